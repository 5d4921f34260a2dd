"""Random networks, and how far rounding may move a singular value of theirs."""

import math

import torch
from torch import nn

from lrlib.nets import MLP
from lrlib.runtime import generator


def rounding(net: nn.Module) -> float:
    """A bound on the float64 rounding of a product of the network's Jacobian factors and of its SVD.

    Each product and SVD of n x n matrices errs by at most about n * 2^-53 times the product of the factors'
    norms; slopes of the activations used are below 1.2 (GELU, SiLU).
    """
    weights = [p.detach().double() for p in net.parameters() if p.ndim == 2]
    norms = math.prod(1.2 * torch.linalg.matrix_norm(w, 2).item() for w in weights)
    return 4 * len(weights) * max(max(w.shape) for w in weights) * 2.0**-53 * max(norms, 1.0)


def random_case(activation: str, seed: int, *, widest: int = 14) -> tuple[MLP, torch.Tensor]:
    """Random depth, widths, biases, scale, dtype and batch; inputs wider and narrower than the layers."""
    g = generator(seed)
    depth = int(torch.randint(1, 6, (), generator=g))
    widths = torch.randint(1, widest, (depth + 1,), generator=g).tolist()
    bias, scale = bool(seed % 2), float(torch.rand((), generator=g) * 3 + 0.1)
    net = MLP(widths, activation=activation, bias=bias, scale=scale, generator=g)
    if seed % 5 == 0 and bias and depth > 1:
        net.L1.bias.data.fill_(-1e3)  # a dead layer for ReLU, a saturated one for the others
    dtype = torch.float64 if seed % 3 else torch.float32
    batch = 1 if seed % 4 == 0 else 3
    return net.to(dtype), torch.randn(batch, widths[0], generator=g).to(dtype)


def sequential(net: MLP) -> nn.Sequential:
    """The same function without a chain rule of its own: layer l is submodule 2 (l - 1)."""
    phi = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU, "identity": nn.Identity}[net.activation]
    parts = [net.get_submodule(name) for name in net.layers]
    return nn.Sequential(parts[0], *(m for layer in parts[1:] for m in (phi(), layer)))
