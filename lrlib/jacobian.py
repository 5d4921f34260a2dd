"""Singular values of the Jacobians J_l(x) = dp_l/dx of every layer, exact and in float64.

This module knows no model. A network that offers ``jacobian_chain(x)`` (as :class:`lrlib.nets.MLP` does) is
differentiated by its own chain rule, all layers in one forward sweep; any other module by torch.func.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import jacfwd, jacrev, vmap

from lrlib import _checks

_CHUNK_BYTES = 64 * 2**20  # the float64 Jacobians of one chunk of inputs take at most about this much


@dataclass(frozen=True)
class Spectra:
    """Singular values of every layer's Jacobian at every input.

    Attributes:
        layers: the layers' names, L of them.
        values: one tensor a layer, (n, k_l) with k_l = min(n_l, d), float64, on the CPU, descending.
    """

    layers: tuple[str, ...]
    values: tuple[Float[Tensor, "n k_l"], ...]

    def __getitem__(self, layer: str) -> Float[Tensor, "n k_l"]:
        """Return the singular values of the layer with this name."""
        _checks.one_of("layer", layer, self.layers)
        return self.values[self.layers.index(layer)]


def jacobian_spectra(
    net: nn.Module,
    x: Float[Tensor, "n *d"],
    *,
    layers: Sequence[str] | None = None,
    input_factor: Float[Tensor, "d r"] | None = None,
    chunk: int | None = None,
) -> Spectra:
    """Return the singular values of dp_l/dx at every input, for every layer, as float64.

    Parameters and inputs are taken to float64 first, so the answer is that of a float64 brute force
    (:mod:`lrlib.reference`) on the same weights: absolute error near 1e-15 sigma_1. The network runs in
    evaluation mode and is left as it was found.

    Args:
        net: any module that maps a batch (n, ...) to a batch.
        x: the inputs, float32 or float64, finite, batch first.
        layers: names of the submodules whose outputs are the p_l. Default: every pre-activation of a network
            with ``jacobian_chain``, otherwise every Linear and Conv output. An output is flattened to n_l.
        input_factor: a matrix A, (d, r), float32 or float64: the spectra are those of J_l A. With
            A A^T = Sigma_x (:func:`lrlib.rank.covariance_root`) this is the data-scaled reading.
        chunk: inputs differentiated at once; memory grows with it and not with n. Default: what fits into
            64 MiB of Jacobians.

    Returns:
        :class:`Spectra`.

    Raises:
        TypeError, ValueError: for an argument outside these rules; the message names it.
        FloatingPointError: if a Jacobian overflows although weights and inputs are finite.

    Example:
        >>> net = nn.Sequential(nn.Linear(3, 2, bias=False))
        >>> _ = net[0].weight.data.copy_(torch.tensor([[3.0, 0, 0], [0, 4, 0]]))
        >>> jacobian_spectra(net, torch.ones(1, 3)).values[0]
        tensor([[4., 3.]], dtype=torch.float64)
    """
    parts = list(spectra_chunks(net, x, layers=layers, input_factor=input_factor, chunk=chunk))
    stacked = zip(*(part.values for part in parts), strict=True)
    return Spectra(parts[0].layers, tuple(torch.cat(values) for values in stacked))


def spectra_chunks(
    net: nn.Module,
    x: Float[Tensor, "n *d"],
    *,
    layers: Sequence[str] | None = None,
    input_factor: Float[Tensor, "d r"] | None = None,
    chunk: int | None = None,
) -> Iterator[Spectra]:
    """Yield :func:`jacobian_spectra` of one chunk of inputs after another; arguments as there.

    What is averaged over inputs, such as a local rank, can so be summed without keeping the spectra.
    """
    _check(net, x, input_factor, chunk)
    # MPS has no float64: its tensors go to the CPU first, and are widened there.
    where = torch.device("cpu") if x.device.type == "mps" else x.device
    factor = None if input_factor is None else input_factor.to(where).double()
    engine = _chain_engine if _offers_chain(net) else _autodiff_engine
    names, floats_per_input, spectra_of = engine(net, layers, x[:1], where, factor)
    size = chunk or max(1, _CHUNK_BYTES // (8 * floats_per_input))
    for inputs in x.detach().split(size):
        # clone: differentiating a view of a large tensor can copy its whole storage
        values = tuple(v.cpu() for v in spectra_of(inputs.to(where).double().clone()))
        if not all(torch.isfinite(v).all() for v in values):
            raise FloatingPointError(
                "net: its Jacobian overflows float64 at these inputs; scale its weights down"
            )
        yield Spectra(names, values)


def _offers_chain(net: nn.Module) -> bool:
    """Return whether net's own chain rule speaks for what net computes: nothing overrides or hooks into it."""
    owner = next((cls for cls in type(net).__mro__ if "jacobian_chain" in vars(cls)), None)
    if owner is None:
        return False
    methods = ("forward", "preactivations")
    overridden = any(getattr(type(net), m, None) is not getattr(owner, m, None) for m in methods)
    hooked = any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())
    return not overridden and not hooked


SpectraOf = Callable[[Tensor], list[Tensor]]
Engine = tuple[tuple[str, ...], int, SpectraOf]


def _chain_engine(
    net: nn.Module, layers: Sequence[str] | None, probe: Tensor, where: torch.device, factor: Tensor | None
) -> Engine:
    """Prepare J_l = W_l diag(phi'(p_{l-1})) J_{l-1}, one sweep for all layers.

    The input is as wide as an image and W_1 is much narrower, so W_1 (times the input factor) is replaced
    once by the small triangular factor R^T of W_1 = R^T Q^T: Q^T has orthonormal rows and changes no singular
    value of any layer, but for zeros where a later layer is wider than the first.
    """
    links = net.jacobian_chain(probe.to(where).double())
    names = _selected(layers, [link.name for link in links])
    depth = max(i for i, link in enumerate(links) if link.name in names) + 1
    first = links[0].weight if factor is None else links[0].weight @ factor
    columns = first.shape[1]
    if first.shape[0] < columns:
        first = torch.linalg.qr(first.T, mode="r").R.T

    def spectra_of(inputs: Tensor) -> list[Tensor]:
        found = {}
        jacobian = first.unsqueeze(0)
        for link in net.jacobian_chain(inputs)[:depth]:
            if link.slope is not None:
                jacobian = link.weight @ (link.slope.unsqueeze(-1) * jacobian)
            if link.name in names:
                # J_1 = W_1 is the same at every input: one decomposition serves all
                values = _singular_values(jacobian).expand(inputs.shape[0], -1)
                zeros = min(jacobian.shape[-2], columns) - values.shape[-1]
                found[link.name] = nn.functional.pad(values, (0, zeros))
        return [found[name] for name in names]

    widest = max(link.weight.shape[0] for link in links[:depth])
    return names, 2 * widest * first.shape[1], spectra_of


def _autodiff_engine(
    net: nn.Module, layers: Sequence[str] | None, probe: Tensor, where: torch.device, factor: Tensor | None
) -> Engine:
    """Prepare Jacobians of named submodules' outputs by torch.func, in whichever mode needs fewer passes.

    Works on a float64 copy in evaluation mode, so the caller's module is never touched.
    """
    twin = copy.deepcopy(net).to(where).double().eval().requires_grad_(False)
    modules = dict(twin.named_modules())
    convolutions = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
    default = [name for name, module in modules.items() if isinstance(module, (nn.Linear, *convolutions))]
    names = _selected(layers, list(modules) if layers is not None else default)
    seen: dict[str, Tensor] = {}
    for name in names:
        modules[name].register_forward_hook(_keep_output(seen, name))

    def outputs(one: Tensor) -> tuple[Tensor, ...]:
        seen.clear()
        twin(one.unsqueeze(0))
        missing = [name for name in names if name not in seen]
        if missing:
            raise ValueError(f"layers={missing}: not called when net runs on x; name submodules that are")
        return tuple(seen[name].flatten() for name in names)

    rows = [p.numel() for p in outputs(probe[0].to(where).double())]
    columns = probe[0].numel()
    differentiate = jacrev if sum(rows) <= columns else jacfwd
    jacobians_of = vmap(differentiate(outputs))

    def spectra_of(inputs: Tensor) -> list[Tensor]:
        flat = [j.flatten(start_dim=2) for j in jacobians_of(inputs)]
        return [_singular_values(j if factor is None else j @ factor) for j in flat]

    return names, 2 * sum(rows) * columns, spectra_of


def _keep_output(seen: dict[str, Tensor], name: str) -> Callable[[nn.Module, tuple, Tensor], None]:
    def hook(_module: nn.Module, _inputs: tuple, output: Tensor) -> None:
        if not isinstance(output, Tensor):
            raise TypeError(f"layers: {name!r} returns {type(output).__name__}; it must return one tensor")
        if name in seen:
            raise ValueError(f"layers: {name!r} is called twice for one input, so its Jacobian is ambiguous")
        seen[name] = output.clone()  # an in-place activation behind it would change it

    return hook


def _singular_values(jacobian: Float[Tensor, "n rows columns"]) -> Float[Tensor, "n k"]:
    if not torch.isfinite(jacobian).all():  # LAPACK would fail with a message about convergence
        return torch.full((*jacobian.shape[:-2], min(jacobian.shape[-2:])), torch.nan, dtype=torch.float64)
    return torch.linalg.svdvals(jacobian)


def _selected(layers: Sequence[str] | None, known: list[str]) -> tuple[str, ...]:
    if isinstance(layers, str):
        raise TypeError(f"layers={layers!r}: must be a sequence of names, such as [{layers!r}]")
    names = tuple(known if layers is None else layers)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"layers={list(names)}: {unknown} not in the network; known: {', '.join(known)}")
    if not names or len(set(names)) < len(names):
        raise ValueError(f"layers={list(names)}: must name at least one layer, and each once")
    return names


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
