"""Networks whose every layer has a name: layer l of an MLP is the submodule ``L{l}``, its output p_l."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from lrlib import _checks

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "hardtanh": F.hardtanh,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "softplus": F.softplus,
    "gelu": F.gelu,
    "silu": F.silu,
    "elu": F.elu,
    "identity": lambda p: p,
}

# Factors on He's standard deviation, sqrt(2 / fan_in). Small starts near the saddle at zero, where rank is
# learned bit by bit; lazy starts so large that features hardly move (Chizat, Oyallon & Bach 2019).
HE_FACTORS = {"he": 1.0, "small": 0.1, "lazy": 2.0}
INITIALISATIONS = ("default", *HE_FACTORS)


class ChainLink(NamedTuple):
    """One factor of the chain rule: dp_l/dx = weight · diag(slope) · dp_{l-1}/dx (no slope for l = 1)."""

    name: str
    weight: Float[Tensor, "n_l n_prev"]
    slope: Float[Tensor, "n n_prev"] | None


class MLP(nn.Module):
    """A multilayer perceptron, p_l = W_l h_{l-1} + b_l and h_l = phi(p_l), with h_0 = x and no phi after p_L.

    Args:
        widths: d, n_1, ..., n_L; at least two integers >= 1.
        activation: a key of :data:`ACTIVATIONS`; ``"identity"`` gives a deep linear network.
        bias: whether the layers have biases.
        init: ``"default"`` is PyTorch's for ``nn.Linear`` (weights and biases uniform within
            1/sqrt(fan_in)); ``"he"`` draws weights from N(0, 2/fan_in) with zero biases (He et al. 2015);
            ``"small"`` and ``"lazy"`` are ``"he"`` times 0.1 and times 2.
        scale: a further factor (> 0) on the initial weights; biases are left as they are.
        generator: where the random numbers come from; the global generator is never touched.

    Raises:
        ValueError, TypeError: for an argument outside these rules.

    Example:
        >>> from lrlib.runtime import generator
        >>> net = MLP([784, 128, 10], generator=generator(0))
        >>> net.layers, [tuple(p.shape) for p in net.preactivations(torch.zeros(5, 784))]
        (('L1', 'L2'), [(5, 128), (5, 10)])
    """

    def __init__(
        self,
        widths: Sequence[int],
        *,
        activation: str = "relu",
        bias: bool = True,
        init: str = "default",
        scale: float = 1.0,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        if len(widths) < 2:
            raise ValueError(f"widths={list(widths)}: must hold the input width and at least one layer's")
        for i, width in enumerate(widths):
            _checks.integer(f"widths[{i}]", width, minimum=1)
        _checks.one_of("activation", activation, ACTIVATIONS)
        _checks.one_of("init", init, INITIALISATIONS)
        _checks.number("scale", scale, exclusive=True)
        if not isinstance(generator, torch.Generator):
            raise TypeError(
                f"generator={generator!r}: must be a torch.Generator, such as lrlib.runtime.generator(0)"
            )
        self.widths = tuple(widths)
        self.activation = activation
        self.layers = tuple(f"L{l}" for l in range(1, len(widths)))
        for name, fan_in, fan_out in zip(self.layers, widths, widths[1:], strict=False):
            # skip_init: nn.Linear would draw from the global generator before we overwrite it
            layer = nn.utils.skip_init(nn.Linear, fan_in, fan_out, bias=bias)
            _initialise(layer, init, scale, generator)
            self.add_module(name, layer)

    def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n n_L"]:
        """Return the last pre-activation p_L, (n, n_L)."""
        return self.preactivations(x)[-1]

    def preactivations(self, x: Float[Tensor, "n d"]) -> list[Float[Tensor, "n n_l"]]:
        """Return p_1, ..., p_L, one (n, n_l) tensor a layer, in x's device and the network's dtype."""
        self._check_width(x)
        phi = ACTIVATIONS[self.activation]
        outputs: list[Tensor] = []
        for name in self.layers:
            outputs.append(self.get_submodule(name)(phi(outputs[-1]) if outputs else x))
        return outputs

    def jacobian_chain(self, x: Float[Tensor, "n d"]) -> list[ChainLink]:
        """Return the factors of dp_l/dx at every input, evaluated in x's dtype and device.

        Layer l's link holds W_l and phi'(p_{l-1}); :mod:`lrlib.jacobian` multiplies them. The slope at a kink
        is autograd's (0 for ReLU at 0).
        """
        self._check_width(x)
        links: list[ChainLink] = []
        h, slope = x, None
        for name in self.layers:
            layer = self.get_submodule(name)
            if not isinstance(layer, nn.Linear):
                raise TypeError(
                    f"{name}: is a {type(layer).__name__}; the layers of an MLP must be nn.Linear"
                )
            weight = layer.weight.detach().to(x.device).to(x.dtype)  # in this order: MPS has no float64
            links.append(ChainLink(name, weight, slope))
            bias = None if layer.bias is None else layer.bias.detach().to(x.device).to(x.dtype)
            p = F.linear(h, weight, bias)
            if not torch.isfinite(p).all():  # a slope there would be wrong without a word
                raise FloatingPointError(f"net: the output of {name} overflows {p.dtype} at these inputs")
            h, slope = _value_and_slope(ACTIVATIONS[self.activation], p)
        return links

    def _check_width(self, x: Tensor) -> None:
        if x.ndim != 2 or x.shape[1] != self.widths[0]:
            raise ValueError(
                f"x: one input has shape {tuple(x.shape[1:])}; this network takes ({self.widths[0]},)"
            )


class MLPStack(nn.Module):
    """M MLPs of one shape as one module: layer l has ``weights[l]`` (M, n_{l-1}, n_l) and ``biases[l]`` (M, 1, n_l).

    Weights stand transposed, so that batched matrix products and their gradients need no copy.

    Args:
        nets: M MLPs of the same widths and activation, all with biases or all without. Their weights are copied.

    Raises ``TypeError`` or ``ValueError`` for none, for what is no MLP, or for nets that differ in shape or dtype.

    Example:
        >>> from lrlib.runtime import generator
        >>> stack = MLPStack([MLP([4, 3, 2], generator=generator(seed)) for seed in range(5)])
        >>> stack(torch.zeros(5, 7, 4)).shape, stack[2].widths
        (torch.Size([5, 7, 2]), (4, 3, 2))
    """

    def __init__(self, nets: Sequence[MLP]) -> None:
        super().__init__()
        for m, net in enumerate(nets):
            if not isinstance(net, MLP):
                raise TypeError(f"nets[{m}]: must be an MLP, not {type(net).__name__}")
        dtypes = {p.dtype for net in nets for p in net.parameters()}
        if len(dtypes) > 1:
            raise TypeError(f"nets: dtypes are {sorted(map(str, dtypes))}; must be one")
        shapes = [_shape(net) for net in nets]
        if not nets or len(set(shapes)) > 1:
            raise ValueError(
                f"nets: {len(set(shapes))} shapes (widths, activation, bias): {sorted(set(shapes))}; must be one"
            )
        self.widths, self.activation, self._has_bias = shapes[0]
        self.layers = nets[0].layers
        layers = [[net.get_submodule(name) for net in nets] for name in self.layers]
        self.weights = nn.ParameterList(torch.stack([l.weight.detach().T for l in own]) for own in layers)
        biases = layers if self._has_bias else []
        self.biases = nn.ParameterList(torch.stack([l.bias.detach()[None] for l in own]) for own in biases)

    def __len__(self) -> int:
        """Return M."""
        return len(self.weights[0])

    def __getitem__(self, m: int) -> MLP:
        """Return a copy of model m as an :class:`MLP`, of the stack's device and dtype."""
        if not 0 <= m < len(self):
            raise IndexError(f"m={m}: must be 0 to {len(self) - 1}")
        # the generator is drawn from and then overwritten: an MLP cannot be made without one
        net = MLP(self.widths, activation=self.activation, bias=self._has_bias, generator=torch.Generator())
        net = net.to(self.weights[0])  # its device and dtype
        with torch.no_grad():
            for l, name in enumerate(self.layers):
                layer = net.get_submodule(name)
                layer.weight.copy_(self.weights[l][m].T)
                if self._has_bias:
                    layer.bias.copy_(self.biases[l][m, 0])
        return net

    def forward(self, x: Float[Tensor, "M n d"]) -> Float[Tensor, "M n n_L"]:
        """Return every model's last pre-activation at its own inputs; ``ValueError`` for another shape of x."""
        if x.ndim != 3 or (x.shape[0], x.shape[2]) != (len(self), self.widths[0]):
            raise ValueError(f"x: shape is {tuple(x.shape)}; must be ({len(self)}, n, {self.widths[0]})")
        phi, h = ACTIVATIONS[self.activation], x
        for l, weight in enumerate(self.weights):
            h = phi(h) if l else h
            h = torch.baddbmm(self.biases[l], h, weight) if self._has_bias else torch.bmm(h, weight)
        return h


def _shape(net: MLP) -> tuple[tuple[int, ...], str, bool]:
    return net.widths, net.activation, net.get_submodule(net.layers[0]).bias is not None


def _value_and_slope(phi: Callable[[Tensor], Tensor], p: Tensor) -> tuple[Tensor, Tensor]:
    """Return phi(p) and phi'(p), elementwise, the slope by autograd so that every activation is covered."""
    with torch.inference_mode(False), torch.enable_grad():
        p = (
            p.detach().clone().requires_grad_()
        )  # a copy, since a tensor made in inference mode has no gradient
        h = phi(p)
        (slope,) = torch.autograd.grad(h.sum(), p)
    return h.detach(), slope


@torch.no_grad()
def _initialise(layer: nn.Linear, init: str, scale: float, generator: torch.Generator) -> None:
    fan_in = layer.in_features
    if init == "default":
        bound = 1 / math.sqrt(fan_in)
        layer.weight.uniform_(-bound, bound, generator=generator).mul_(scale)
        if layer.bias is not None:
            layer.bias.uniform_(-bound, bound, generator=generator)
        return
    layer.weight.normal_(0, HE_FACTORS[init] * math.sqrt(2 / fan_in), generator=generator).mul_(scale)
    if layer.bias is not None:
        layer.bias.zero_()
