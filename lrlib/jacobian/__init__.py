"""Singular values of the Jacobians J_l(x) = dp_l/dx of every layer, and how many of them exceed a threshold.

This package knows no model. A network that offers ``jacobian_chain(x)`` (as :class:`lrlib.nets.MLP` does) is
differentiated by its own chain rule, all layers in one sweep (``chain.py`` asks, ``sweep.py`` multiplies); any
other module, here called plain, by torch.func (``module.py``). Counts come from Gram matrices where rounding
leaves no doubt and from an SVD otherwise (``counting.py``); those of a plain module's largest Jacobians are
estimated (``lanczos.py``).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from lrlib import _checks, runtime
from lrlib.jacobian.chain import ChainEngine
from lrlib.jacobian.counting import LayerCounts
from lrlib.jacobian.engine import Engine, full_precision
from lrlib.jacobian.module import ModuleEngine

__all__ = ["Counts", "Spectra", "jacobian_counts", "jacobian_spectra"]


@dataclass(frozen=True)
class Spectra:
    """Singular values of every layer's Jacobian at every input.

    Attributes:
        layers: the layers' names, L of them.
        values: one tensor a layer, (n, k_l) with k_l = min(n_l, d), float64, on the CPU, descending.
        methods: what found each layer's values, of "gram" and "svd"; both where some inputs needed the SVD.
        resolution: (L,) float64, the smallest singular value, relative to sigma_1, that was told from zero at
            every input: smaller ones are rounding.
    """

    layers: tuple[str, ...]
    values: tuple[Float[Tensor, "n k_l"], ...]
    methods: tuple[tuple[str, ...], ...] = ()
    resolution: Float[Tensor, " L"] | None = None

    def __getitem__(self, layer: str) -> Float[Tensor, "n k_l"]:
        """Return the singular values of the layer with this name."""
        _checks.one_of("layer", layer, self.layers)
        return self.values[self.layers.index(layer)]


@dataclass(frozen=True)
class Counts:
    """How many singular values of every layer's Jacobian exceed each threshold, at every input.

    Attributes:
        layers: the layers' names, L of them.
        values: (n, L, E) float64, on the CPU: whole numbers, but for estimates.
        stderr: (n, L, E) float64, the standard error of an estimate; 0 where the count is exact.
        ties: (n, L, E) bool, whether a singular value lies within rounding of the threshold, so that another
            order of the same sums may count differently.
        estimated: (L,) bool, whether the layer's counts are estimates.
        methods: what found each layer's counts, of "gram", "svd" and "lanczos"; "gram" and "svd" where the Gram
            matrix left some inputs in doubt.
        resolution: (L,) float64, the smallest singular value, relative to sigma_1, that the first of these
            methods tells from zero, at the worst input. Where that does not decide, the SVD did.
        eps: (E,) float64, the thresholds.
        relative: whether they were multiplied by sigma_1.
    """

    layers: tuple[str, ...]
    values: Float[Tensor, "n L E"]
    stderr: Float[Tensor, "n L E"]
    ties: Bool[Tensor, "n L E"]
    estimated: Bool[Tensor, " L"]
    methods: tuple[tuple[str, ...], ...]
    resolution: Float[Tensor, " L"]
    eps: Float[Tensor, " E"]
    relative: bool

    def __getitem__(self, layer: str) -> Float[Tensor, "n E"]:
        """Return the counts of the layer with this name."""
        _checks.one_of("layer", layer, self.layers)
        return self.values[:, self.layers.index(layer)]


def jacobian_spectra(
    net: nn.Module,
    x: Float[Tensor, "n *d"],
    *,
    layers: Sequence[str] | None = None,
    input_factor: Float[Tensor, "d r"] | None = None,
    chunk: int | None = None,
    resolution: float = 0.0,
) -> Spectra:
    """Return the singular values of dp_l/dx at every input, for every layer, as float64.

    Parameters and inputs are taken to float64 first, so the answer is that of a float64 brute force
    (:mod:`lrlib.reference`) on the same weights: absolute error near 1e-15 sigma_1 by default. The network runs
    in evaluation mode and is left as it was found. To count singular values, :func:`jacobian_counts` is faster.

    Ask from one thread at a time. Plain modules must not be asked from two at once: torch's forward-mode levels
    are global, and a RuntimeError may follow. Whatever the network, settings of torch that are global (TF32,
    fused attention) are switched off meanwhile, and two threads at once may leave them off.

    Args:
        net: any module that maps a batch (n, ...) to a batch.
        x: the inputs, float32 or float64, finite, batch first.
        layers: names of the submodules whose outputs are the p_l. Default: every pre-activation of a network
            with ``jacobian_chain``, otherwise the output of every Linear and Conv module that is called. An
            output is flattened to n_l.
        input_factor: a matrix A, (d, r), float32 or float64: the spectra are those of J_l A. With
            A A^T = Sigma_x (:func:`~lrlib.rank.covariance_root`) this is the data-scaled reading.
        chunk: inputs differentiated at once; memory grows with it and not with n. Default: what fits a fixed
            budget, 16 MiB of matrices on a CPU and 1 GiB on a GPU.
        resolution: the smallest singular value, relative to sigma_1, that must be told from zero. Above zero,
            Gram matrices answer where they resolve that, in about two thirds of the time (1e-4 is mostly within
            their reach). The SVD answers otherwise, and always for 0.

    Returns:
        :class:`Spectra`.

    Raises:
        TypeError, ValueError: for an argument outside these rules, or a plain module's Jacobian of more than
            2 GiB at one input; the message names it.
        FloatingPointError: if a Jacobian overflows although weights and inputs are finite.

    Example:
        >>> net = nn.Sequential(nn.Linear(3, 2, bias=False))
        >>> _ = net[0].weight.data.copy_(torch.tensor([[3.0, 0, 0], [0, 4, 0]]))
        >>> jacobian_spectra(net, torch.ones(1, 3)).values[0]
        tensor([[4., 3.]], dtype=torch.float64)
    """
    _checks.number("resolution", resolution)
    engine, x = _prepared(net, x, layers=layers, input_factor=input_factor, chunk=chunk)
    parts = []
    for inputs in _windows(x, engine):
        with full_precision(inputs.device):
            found = engine.values(_widened(inputs), float(resolution))
        parts.append([layer._replace(values=layer.values.cpu()) for layer in found])
    by_layer = list(zip(*parts, strict=True))
    return Spectra(
        engine.layers,
        tuple(torch.cat([part.values for part in layer]) for layer in by_layer),
        tuple(tuple(sorted(set().union(*(part.methods for part in layer)))) for layer in by_layer),
        torch.tensor([max(part.resolution for part in layer) for layer in by_layer], dtype=torch.float64),
    )


def jacobian_counts(
    net: nn.Module,
    x: Float[Tensor, "n *d"],
    eps: float | Float[Tensor, " E"],
    *,
    relative: bool = False,
    layers: Sequence[str] | None = None,
    input_factor: Float[Tensor, "d r"] | None = None,
    chunk: int | None = None,
    generator: torch.Generator | None = None,
) -> Counts:
    """Return how many singular values of dp_l/dx exceed eps, at every input, for every layer.

    The same numbers as counting :func:`jacobian_spectra`, and for one threshold about twice as fast, since a
    count asks less than a spectrum does. Where rounding could change a Gram matrix's answer, as it does for
    thresholds below its resolution, the float64 SVD of the small factor gives it, and ``ties`` marks what even
    that leaves open. How certain a count is depends on the network:

    - One with ``jacobian_chain``: a count that is no tie is certain for the chain's weights and slopes, by whose
      norms rounding is bounded.
    - A plain module: the factors of J_l are not seen, and rounding is bounded by the norm of J_l alone. Where
      large factors cancel, as in the difference of two nearly equal branches, automatic differentiation errs by
      more than that, and a count is not certain although ``ties`` does not mark it.
    - A plain module with a large J_l, (n_l, r) with r = d or the columns of ``input_factor``: the count is
      estimated, by stochastic Lanczos quadrature, and ``estimated`` says so, if J_l takes more than 2 GiB at one
      input, or more than 256 MiB while both n_l and r exceed 2048. Nothing else is estimated.

    Ask from one thread at a time, as for :func:`jacobian_spectra`.

    Args:
        net, x, layers, input_factor, chunk: as in :func:`jacobian_spectra`.
        eps: the threshold, >= 0, or (E,) of them.
        relative: count sigma > eps * sigma_1 instead of sigma > eps.
        generator: a CPU generator of the estimates' random vectors; default one seeded with 0.

    Returns:
        :class:`Counts`.

    Raises:
        TypeError, ValueError, FloatingPointError: as :func:`jacobian_spectra`, and for a bad eps.

    Example:
        >>> net = nn.Sequential(nn.Linear(3, 2, bias=False))
        >>> _ = net[0].weight.data.copy_(torch.tensor([[3.0, 0, 0], [0, 4, 0]]))
        >>> jacobian_counts(net, torch.ones(1, 3), torch.tensor([1.0, 3.5, 5.0]))["0"]
        tensor([[2., 1., 0.]], dtype=torch.float64)
    """
    options = {"layers": layers, "input_factor": input_factor, "chunk": chunk, "generator": generator}
    return joined(list(count_chunks(net, x, eps, relative=relative, **options)))


def count_chunks(
    net: nn.Module,
    x: Float[Tensor, "n *d"],
    eps: float | Float[Tensor, " E"],
    *,
    relative: bool = False,
    **options: object,
) -> Iterator[Counts]:
    """Yield :func:`jacobian_counts` of some inputs after others, in order, so that one may stop early.

    ``options`` are the rest of its arguments.
    """
    thresholds = _checks.thresholds("eps", eps).reshape(-1)
    engine, x = _prepared(net, x, **options)
    thresholds = thresholds.to(x.device)
    for inputs in _windows(x, engine):
        with full_precision(inputs.device):
            found = engine.counts(_widened(inputs), thresholds, relative)
        yield _counts(engine.layers, found, thresholds, relative)


def joined(parts: Sequence[Counts]) -> Counts:
    """Return the counts that one question found at some inputs after others as one."""
    first = parts[0]
    return replace(
        first,
        **{name: torch.cat([getattr(part, name) for part in parts]) for name in ("values", "stderr", "ties")},
        methods=tuple(
            tuple(sorted(set().union(*layer))) for layer in zip(*(p.methods for p in parts), strict=True)
        ),
        resolution=torch.stack([part.resolution for part in parts]).amax(0),
    )


def _counts(
    layers: tuple[str, ...], found: list[LayerCounts], eps: Float[Tensor, " E"], relative: bool
) -> Counts:
    return Counts(
        layers,
        *(
            torch.stack([getattr(layer, name) for layer in found], dim=1).cpu()
            for name in ("values", "stderr", "ties")
        ),
        estimated=torch.tensor(["lanczos" in layer.methods for layer in found]),
        methods=tuple(tuple(sorted(layer.methods)) for layer in found),
        resolution=torch.tensor([layer.resolution for layer in found], dtype=torch.float64),
        eps=eps.cpu(),
        relative=relative,
    )


def _prepared(
    net: nn.Module,
    x: Tensor,
    *,
    layers: Sequence[str] | None = None,
    input_factor: Tensor | None = None,
    chunk: int | None = None,
    generator: torch.Generator | None = None,
) -> tuple[Engine, Float[Tensor, "n *d"]]:
    """Check the arguments; return the engine for this network, and x on the device that it computes on."""
    _check(net, x, input_factor, chunk)
    generator = _checks.cpu_generator("generator", generator)
    # MPS has no float64: its tensors go to the CPU first, and are widened there.
    where = torch.device("cpu") if x.device.type == "mps" else x.device
    x = x.detach().to(where)
    factor = None if input_factor is None else input_factor.detach().to(where).double()
    with full_precision(where):
        if _offers_chain(net):
            return ChainEngine(net, layers, _widened(x[:1]), factor, chunk), x
        return ModuleEngine(net, layers, _widened(x[:1]), factor, chunk, generator), x


def _windows(x: Float[Tensor, "n *d"], engine: Engine) -> Iterable[Float[Tensor, "m *d"]]:
    return runtime.progress(x.split(engine.window), "Jacobians", delay=5.0)


def _widened(inputs: Tensor) -> Float[Tensor, "n *d"]:
    """Return a float64 copy; differentiating a view of a large tensor can copy its whole storage."""
    return inputs.double().clone()


def _offers_chain(net: nn.Module) -> bool:
    """Return whether net's own chain rule speaks for what net computes: nothing overrides or hooks into it."""
    owner = next((cls for cls in type(net).__mro__ if "jacobian_chain" in vars(cls)), None)
    if owner is None:
        return False
    methods = ("forward", "preactivations")
    overridden = any(getattr(type(net), m, None) is not getattr(owner, m, None) for m in methods)
    hooked = any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())
    return not overridden and not hooked


def _check(net: nn.Module, x: Tensor, input_factor: Tensor | None, chunk: int | None) -> None:
    if not isinstance(net, nn.Module):
        raise TypeError(f"net: must be a torch.nn.Module, not {type(net).__name__}")
    _checks.batch("x", x)
    for kind, tensors in (("parameter", net.named_parameters()), ("buffer", net.named_buffers())):
        for name, tensor in tensors:
            _checks.real_values(f"net, {kind} {name}", tensor)
    if input_factor is not None:
        _checks.real_floating("input_factor", input_factor)
        _checks.finite("input_factor", input_factor)
        d = x[0].numel()
        if input_factor.ndim != 2 or input_factor.shape[0] != d or input_factor.shape[1] == 0:
            found = tuple(input_factor.shape)
            raise ValueError(f"input_factor: shape is {found}; must be ({d}, r) for these x, with r >= 1")
    if chunk is not None:
        _checks.integer("chunk", chunk, minimum=1)
