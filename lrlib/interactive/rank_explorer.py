"""The book's main figure: singular values, a threshold, and the local rank over training."""

import math
import operator
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import traitlets
from jaxtyping import Float, Int64
from matplotlib.figure import Figure as Canvas
from numpy import ndarray

from lrlib import _checks, plots
from lrlib.interactive.base import Figure, packed
from lrlib.rank import LocalRank, count_above

LOWEST_EXPONENT = -4  # thresholds start at 1e-4 ...
TOP_EXPONENT = 1  # ... and reach at least 10, or the power of ten above the largest singular value
PER_DECADE = 20
FLOOR = LOWEST_EXPONENT - 0.5  # the plots' axes end half a decade below the lowest threshold
CODES_PER_DECADE = 200  # singular values are sent as log10, rounded to 0.005
BAND = (0.5, 0.1, 0.9)  # the median, and the edges of the band


def threshold_grid(largest: float) -> list[float]:
    """Return 20 thresholds a decade, from 1e-4 to at least 10 and at least ``largest``.

    Each is rounded to two significant digits, so that the threshold that is shown is the one that is used.

    >>> threshold_grid(1.0)[60:67], threshold_grid(1.0)[-1], threshold_grid(20.0)[-1]
    ([0.1, 0.11, 0.13, 0.14, 0.16, 0.18, 0.2], 10.0, 100.0)
    """
    top = max(TOP_EXPONENT, math.ceil(math.log10(largest)) if largest > 0 else TOP_EXPONENT)
    places = range(PER_DECADE * LOWEST_EXPONENT, PER_DECADE * top + 1)
    return [float(f"{10 ** (place / PER_DECADE):.2g}") for place in places]


class RankExplorer(Figure):
    """Singular values of every layer, a threshold to move, and the local rank over training.

    Live, ``step``, ``eps`` and ``relative`` go both ways: they say what the reader chose, and can be set. What
    is set moves to the nearest place there is: ``step`` to a recorded step, ``eps`` to the grid of
    :func:`threshold_grid`, of which relative thresholds use the part up to 1. The counts of every place are
    made when the figure is, over all probe inputs; the page only looks them up.

    Args:
        steps: (S,) training steps, integers >= 0, increasing.
        spectra: (S,) :class:`~lrlib.jacobian.Spectra` of the same network, at the same n probe inputs.
        eps: the first threshold, above 0.
        relative: compare with eps * sigma_1(x) instead of eps.
        step: the first step; the last one if left out.
        label, title: the figure's HTML id and the line above it.

    Raises:
        TypeError, ValueError: for an argument outside these rules; the message names it.
    """

    javascript = Path(__file__).with_suffix(".js")
    step = traitlets.Int().tag(sync=True)
    eps = traitlets.Float().tag(sync=True)
    relative = traitlets.Bool().tag(sync=True)
    facts = traitlets.Dict().tag(sync=True)  # what the picture needs besides its numbers
    # Packed arrays, first for absolute and then for relative thresholds: mean counts and their standard errors
    # in hundredths, uint32 (S, L, E), and codes of log10 sigma, uint16 (S, 3, sum of k_l).
    counts = traitlets.Bytes().tag(sync=True)
    stderrs = traitlets.Bytes().tag(sync=True)
    bands = traitlets.Bytes().tag(sync=True)

    def __init__(
        self,
        steps: Sequence[int],
        spectra: Sequence[Any],
        *,
        eps: float = 0.1,
        relative: bool = False,
        step: int | None = None,
        label: str = "rank-explorer",
        title: str = "Local rank, layer by layer, over training",
    ) -> None:
        self.steps = _checked_steps(steps)
        _check_spectra(spectra, self.steps)
        _check_eps(eps)
        self.layers = tuple(spectra[0].layers)
        self.n = spectra[0].values[0].shape[0]
        largest = max(float(values.max()) for spectrum in spectra for values in spectrum.values)
        self.thresholds = threshold_grid(largest)
        self._relative_places = self.thresholds.index(1.0) + 1
        self._widths = [values.shape[1] for values in spectra[0].values]
        self._ranks = [_rank_table(spectra, self._grid(ratio), relative=ratio) for ratio in (False, True)]
        self._bands = [[_bands(s.values, relative=ratio) for s in spectra] for ratio in (False, True)]
        super().__init__(
            label=label,
            title=title,
            step=self.steps[-1] if step is None else step,
            eps=eps,
            relative=relative,
            facts=self._facts(),
            counts=_concatenated([mean for mean, _ in self._ranks], "<u4"),
            stderrs=_concatenated([stderr for _, stderr in self._ranks], "<u4"),
            bands=packed(np.concatenate([_codes(s).ravel() for mode in self._bands for s in mode]), "<u2"),
        )

    @property
    def local_rank(self) -> LocalRank:
        """The local rank of every layer at the step and threshold chosen now, looked up, not computed again."""
        mean, stderr = (torch.from_numpy(table[self._place()].copy()) for table in self._ranks[self.relative])
        return LocalRank(self.layers, mean, stderr, n=self.n, eps=self.eps, relative=self.relative)

    @traitlets.validate("step")
    def _nearest_step(self, proposal: dict) -> int:
        return min(self.steps, key=lambda step: abs(step - proposal["value"]))

    @traitlets.validate("eps")
    def _nearest_eps(self, proposal: dict) -> float:
        _check_eps(proposal["value"])
        return min(self._grid(self.relative), key=lambda eps: abs(math.log(eps / proposal["value"])))

    @traitlets.observe("relative")
    def _keep_eps_on_grid(self, change: dict) -> None:
        self.eps = self.eps  # the validator moves what lies beyond the relative grid

    def alt_text(self) -> str:
        """Return what is shown, without a number that training decides."""
        return (
            f"Rank explorer: singular values of the layers {', '.join(self.layers)} at {len(self.steps)} training "
            f"steps from {self.steps[0]} to {self.steps[-1]}, how many of them lie above a threshold, and that "
            f"count, the local rank, over training. Step and threshold can be chosen."
        )

    def draw_still(self, canvas: Canvas) -> None:
        """Draw the spectra in a row of panels, and the local rank over training below them."""
        upper, lower = canvas.subfigures(2, 1, height_ratios=[1, 1.15])
        panels = upper.subplots(1, len(self.layers), sharey=True, squeeze=False)[0]
        bands = self._bands[self.relative][self.steps.index(self.step)]
        mean, _ = self._ranks[self.relative]
        ends = np.cumsum(self._widths)[:-1]
        for i, (ax, band) in enumerate(zip(panels, np.split(bands, ends, axis=1), strict=True)):
            plots.spectrum(*band, index=i, threshold=self.eps, ax=ax)
            name = self.layers[i] if len(self.layers[i]) <= 60 // len(panels) else f"#{i + 1}"
            ax.set_title(f"{name}\n{mean[self._place()][i]:.2f} of {self._widths[i]}", fontsize=10)
            ax.set_xlabel("index i")
        panels[0].set_ylim(10**FLOOR, 1.3 if self.relative else self.thresholds[-1])
        panels[0].set_ylabel(r"$\sigma_i / \sigma_1$" if self.relative else r"$\sigma_i$")
        curves = mean[:, self._grid(self.relative).index(self.eps)]
        ax = plots.rank_curves(self.steps, curves, self.layers, step=self.step, ax=lower.subplots())
        ax.set_ylim(0, 1.05 * max(self._widths))
        ax.set_title(
            f"step {self.step}, singular values above {self.eps:g}{' of the largest' * self.relative}",
            fontsize=10,
        )

    def _grid(self, relative: bool) -> list[float]:
        return self.thresholds[: self._relative_places] if relative else self.thresholds

    def _place(self) -> tuple[int, int]:
        return self.steps.index(self.step), self._grid(self.relative).index(self.eps)

    def _facts(self) -> dict[str, Any]:
        return {
            "steps": list(self.steps),
            "layers": list(self.layers),
            "widths": self._widths,
            "n": self.n,
            "thresholds": self.thresholds,
            "relativePlaces": self._relative_places,
            "floor": FLOOR,
            "codesPerDecade": CODES_PER_DECADE,
            "colours": list(plots.PALETTE),
            "dashes": [list(dashes) for dashes in plots.DASHES],
        }


def _rank_table(
    spectra: Sequence[Any], thresholds: list[float], *, relative: bool
) -> tuple[Float[ndarray, "S E L"], Float[ndarray, "S E L"]]:
    """Count over all inputs, and return the means and standard errors of every step, threshold and layer."""
    eps = torch.tensor(thresholds, dtype=torch.float64)
    rows = [
        [_totals(count_above(values, eps, relative=relative).numpy()) for values in spectrum.values]
        for spectrum in spectra
    ]
    total, squares = np.moveaxis(np.array(rows), 2, 0).swapaxes(2, 3)  # (S, L, 2, E) -> 2 x (S, E, L)
    n = spectra[0].values[0].shape[0]
    if n == 1:
        return total / n, np.full(total.shape, np.inf)
    # integers up to the division, so that equal counts have the error 0 and not a rounding
    return total / n, np.sqrt((n * squares - total**2) / (n * n * (n - 1)))


def _totals(counts: Int64[ndarray, "n E"]) -> Int64[ndarray, "2 E"]:
    return np.stack([counts.sum(0), (counts**2).sum(0)])


def _bands(values: Sequence[torch.Tensor], *, relative: bool) -> Float[ndarray, "3 k"]:
    """Return the median and the band's edges over inputs of every layer's singular values, side by side."""
    parts = []
    for layer in (v.to(torch.float64) for v in values):
        top = layer[:, :1].clamp_min(torch.finfo(torch.float64).tiny) if relative else 1.0
        parts.append(np.quantile((layer / top).numpy(), BAND, axis=0))
    return np.concatenate(parts, axis=1)


def _codes(sigma: Float[ndarray, "..."]) -> Int64[ndarray, "..."]:
    """Return log10(sigma) above the axes' floor in whole 1/200 decades, from 1; 0 for all below the floor."""
    heights = np.log10(np.maximum(sigma, 10**FLOOR)) - FLOOR
    return np.where(sigma > 10**FLOOR, np.rint(heights * CODES_PER_DECADE) + 1, 0).astype(np.int64)


def _concatenated(tables: list[Float[ndarray, "S E L"]], dtype: str) -> bytes:
    """Pack tables as (S, L, E) in hundredths, each rounded as ``format(value, ".2f")`` rounds; infinity is 2^32 - 1."""
    flat = np.concatenate([table.swapaxes(1, 2).ravel() for table in tables]).tolist()
    return packed([round(100 * round(v, 2)) if v < math.inf else 2**32 - 1 for v in flat], dtype)


def _checked_steps(steps: Sequence[int]) -> list[int]:
    try:
        checked = [operator.index(step) for step in steps]
    except TypeError:
        raise TypeError(f"steps={steps!r}: must be a sequence of integers, the training steps") from None
    if not checked or checked[0] < 0 or any(a >= b for a, b in pairwise(checked)):
        raise ValueError(f"steps={checked}: must be at least one step, none negative, strictly increasing")
    return checked


def _check_spectra(spectra: Sequence[Any], steps: list[int]) -> None:
    """Raise unless there is one spectrum a step, all of the same layers and shapes, finite and descending."""
    if len(spectra) != len(steps):
        raise ValueError(f"spectra: there are {len(spectra)}; must be one for each of the {len(steps)} steps")
    for i, spectrum in enumerate(spectra):
        name = f"spectra[{i}]"
        if not (hasattr(spectrum, "layers") and hasattr(spectrum, "values")):
            raise TypeError(f"{name}: must be a Spectra, not {type(spectrum).__name__}")
        if not spectrum.layers or len(spectrum.layers) != len(spectrum.values):
            raise ValueError(
                f"{name}: has {len(spectrum.layers)} layers; must be at least one, with values for each"
            )
        if tuple(spectrum.layers) != tuple(spectra[0].layers):
            raise ValueError(
                f"{name}: layers are {spectrum.layers}; must be {spectra[0].layers}, as in spectra[0]"
            )
        for layer, values, first in zip(spectrum.layers, spectrum.values, spectra[0].values, strict=True):
            _check_values(f"{name}[{layer!r}]", values, (spectra[0].values[0].shape[0], first.shape[-1]))


def _check_values(name: str, values: torch.Tensor, shape: tuple[int, int]) -> None:
    _checks.spectrum(name, values)
    if tuple(values.shape) != shape:
        raise ValueError(
            f"{name}: shape is {tuple(values.shape)}; must be (n, k_l) = {shape}, as in spectra[0]"
        )
    if (values.diff(dim=-1) > 0).any():
        raise ValueError(f"{name}: rises along its last axis; singular values must be descending")


def _check_eps(eps: float) -> None:
    _checks.number("eps", eps, exclusive=True)
