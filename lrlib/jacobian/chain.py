"""The engine for a network that offers its own chain rule, ``jacobian_chain(x)``: one sweep for all layers."""

import math
from collections.abc import Callable, Sequence
from itertools import accumulate

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lrlib.jacobian import counting
from lrlib.jacobian.counting import LayerCounts, LayerValues, SvdWhere
from lrlib.jacobian.engine import group_size, selected
from lrlib.jacobian.sweep import Factor, Weight, sweep

WINDOW = 64  # inputs among which those that keep about as many units are grouped
MATRICES = 6  # about so many matrices, as wide as the widest layer, are held for each input of a group


class ChainEngine:
    """Spectra and counts by the chain rule: an :class:`lrlib.jacobian.engine.Engine`."""

    def __init__(
        self,
        net: nn.Module,
        layers: Sequence[str] | None,
        probe: Float[Tensor, "1 d"],
        factor: Float[Tensor, "d r"] | None,
        chunk: int | None,
    ) -> None:
        links = net.jacobian_chain(probe)
        names = [link.name for link in links]
        self.layers = selected(layers, names)
        depth = max(names.index(name) for name in self.layers) + 1
        self._net, self._names = net, names[:depth]
        matrices, exponents = zip(*(_normalised(link.weight) for link in links[:depth]), strict=True)
        first = matrices[0]
        self._width = first.shape[1]
        if factor is not None:
            factor, exponent = _normalised(factor)
            first, exponents = first @ factor, (exponents[0] + exponent, *exponents[1:])
        self._exponents = dict(zip(self._names, accumulate(exponents), strict=True))
        self._sides = {link.name: min(link.weight.shape[0], first.shape[1]) for link in links}
        if first.shape[0] < first.shape[1]:
            first = torch.linalg.qr(first.mT, mode="r").R.mT
        self._first = Weight(first)
        self._first_spectrum: tuple[Tensor, Tensor] | None = None
        self._weights = [Weight(matrix) for matrix in matrices[1:]]
        widest = max(link.weight.shape[0] for link in links[:depth])
        self._chunk, self._floats = chunk, MATRICES * widest * first.shape[1]
        self.window = max(WINDOW, chunk or 0)

    def values(self, inputs: Float[Tensor, "n d"], resolution: float) -> list[LayerValues]:
        """Return every layer's singular values, from Gram matrices where those resolve what is wanted."""
        slopes = self._slopes(inputs)
        if resolution == 0:
            by_svd = self._by_svd(slopes, self.layers)
            found = {name: counting.from_svd(*answer) for name, answer in by_svd.items()}
        else:
            by_gram = self._swept(slopes, self.layers, self._gram_values, exact=False)
            found = {
                name: counting.refined(*answer, self._svd_where(slopes, name), resolution)
                for name, answer in by_gram.items()
            }
        if self._names[0] in self.layers:
            found[self._names[0]] = counting.from_svd(*self._first_by_svd(len(inputs)))
        return [self._in_units(name, found[name]) for name in self.layers]

    def counts(
        self, inputs: Float[Tensor, "n d"], eps: Float[Tensor, " E"], relative: bool
    ) -> list[LayerCounts]:
        """Return how many singular values of every layer exceed eps, times sigma_1 if relative."""

        thresholds = {
            name: eps if relative else _times_power_of_two(eps, -exponent)
            for name, exponent in self._exponents.items()
        }

        def count(name: str, factor: Factor) -> counting.GramCounts:
            if self._exponents[name] > 900:
                self._refuse_overflow(name, torch.linalg.matrix_norm(factor.jacobian))
            gram = counting.smaller_gram(factor.jacobian)
            return counting.gram_counts(gram, factor.error, thresholds[name], relative)

        slopes = self._slopes(inputs)
        found = {
            name: counting.certified(
                counting.GramCounts(*answer), self._svd_where(slopes, name), thresholds[name], relative
            )
            for name, answer in self._swept(slopes, self.layers, count, exact=False).items()
        }
        first = self._names[0]
        if first in self.layers:
            spectrum = self._first_by_svd(len(inputs))
            found[first] = counting.counts_from_svd(*spectrum, thresholds[first], relative)
        return [found[name] for name in self.layers]

    def _slopes(self, inputs: Float[Tensor, "n d"]) -> list[Float[Tensor, "n n_prev"]]:
        return [link.slope for link in self._net.jacobian_chain(inputs)[1 : len(self._names)]]

    def _by_svd(self, slopes: list[Tensor], names: Sequence[str]) -> dict[str, list[Tensor]]:
        def values(name: str, factor: Factor) -> tuple[Tensor, Tensor]:
            found, error = counting.svd_values(factor.jacobian, factor.error)
            return self._padded(name, found), error

        return self._swept(slopes, names, values, exact=True)

    def _gram_values(self, name: str, factor: Factor) -> tuple[Tensor, Tensor]:
        values, resolution = counting.gram_values(counting.smaller_gram(factor.jacobian), factor.error)
        return self._padded(name, values), resolution

    def _svd_where(self, slopes: list[Tensor], name: str) -> SvdWhere:
        def where(mask: Tensor) -> tuple[Tensor, Tensor]:
            values, error = self._by_svd([slope[mask] for slope in slopes], [name])[name]
            return values, error

        return where

    def _first_by_svd(self, inputs: int) -> tuple[Tensor, Tensor]:
        """Return the spectrum of J_1 = W_1, the same at every input, for all of them."""
        if self._first_spectrum is None:
            first = self._first
            self._first_spectrum = counting.svd_values(
                first.matrix.unsqueeze(0), counting.rounding(first.frobenius, self._width)
            )
        values, error = self._first_spectrum
        return self._padded(self._names[0], values).expand(inputs, -1), error.expand(inputs)

    def _swept(
        self,
        slopes: list[Tensor],
        names: Sequence[str],
        answer: Callable[[str, Factor], tuple[Tensor, ...]],
        *,
        exact: bool,
    ) -> dict[str, list[Tensor]]:
        """Return what ``answer`` says of each named layer but the first, all inputs in their order."""
        found: dict[str, list[Tensor]] = {}
        wanted = [name in names for name in self._names[1:]]
        if not any(wanted):
            return found
        inputs = len(slopes[0])
        if all((slope == slope[:1]).all() for slope in slopes):  # as in a linear network: one answer for all
            slopes = [slope[:1] for slope in slopes]
        active = torch.stack([(slope != 0).double().mean(-1) for slope in slopes])
        order = active.square().sum(0).argsort()
        # matrices of inactive units are not formed, so more inputs fit
        size = group_size(self._chunk, int(self._floats * active.mean(1).amax()), order.device)
        for group in order.tensor_split(-(-len(order) // size)):
            factors = sweep(self._first, self._weights, [slope[group] for slope in slopes], exact=exact)
            for name, asked, factor in zip(self._names[1:], wanted, factors, strict=True):
                if asked:
                    parts = answer(name, factor)
                    # at once into its place: small tensors kept between the large ones would split the heap
                    if name not in found:
                        found[name] = [part.new_empty(len(order), *part.shape[1:]) for part in parts]
                    for place, part in zip(found[name], parts, strict=True):
                        place[group] = part
        return {
            name: [place.expand(inputs, *place.shape[1:]).contiguous() for place in places]
            for name, places in found.items()
        }

    def _in_units(self, name: str, found: LayerValues) -> LayerValues:
        """Undo the normalisation of the weights."""
        return found._replace(values=self._refuse_overflow(name, found.values))

    def _refuse_overflow(self, name: str, values: Tensor) -> Tensor:
        values = _times_power_of_two(values, self._exponents[name])
        if not torch.isfinite(values).all():
            raise FloatingPointError(counting.OVERFLOW)
        return values

    def _padded(self, name: str, values: Float[Tensor, "n k"]) -> Float[Tensor, "n k_l"]:
        """Append the singular values that are zero for want of rank."""
        return nn.functional.pad(values, (0, self._sides[name] - values.shape[-1]))


def _normalised(matrix: Tensor) -> tuple[Tensor, int]:
    """Return matrix / 2^e and e, so that its norm is about 1: squares then neither overflow nor vanish."""
    largest = float(matrix.abs().amax())
    if largest == 0:
        return matrix, 0
    exponent = math.frexp(largest)[1] + math.frexp(float(torch.linalg.matrix_norm(matrix / largest)))[1]
    return _times_power_of_two(matrix, -exponent), exponent


def _times_power_of_two(values: Tensor, exponent: int) -> Tensor:
    """Return values * 2^exponent, also where 2^exponent is no float64."""
    while exponent:
        step = max(-1000, min(1000, exponent))
        values, exponent = values * 2.0**step, exponent - step
    return values
