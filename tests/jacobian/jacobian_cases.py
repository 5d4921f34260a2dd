"""Networks for the tests of lrlib.jacobian, and their spectra without it: numpy with slopes derived by hand."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import expit, ndtr
from torch import nn

from lrlib.nets import MLP
from lrlib.runtime import generator

UNIT = 2.0**-53

# phi and phi', with torch's conventions at a kink; softplus is the identity above 20 there
ACTIVATIONS = {
    "relu": (lambda p: np.maximum(p, 0), lambda p: 1.0 * (p > 0)),
    "leaky_relu": (lambda p: np.where(p > 0, p, 0.01 * p), lambda p: np.where(p > 0, 1.0, 0.01)),
    "hardtanh": (lambda p: np.clip(p, -1, 1), lambda p: 1.0 * (np.abs(p) < 1)),
    "tanh": (np.tanh, lambda p: 1 - np.tanh(p) ** 2),
    "sigmoid": (expit, lambda p: expit(p) * expit(-p)),
    "softplus": (
        lambda p: np.where(p > 20, p, np.logaddexp(0, p)),
        lambda p: np.where(p > 20, 1.0, expit(p)),
    ),
    "gelu": (
        lambda p: p * ndtr(p),
        lambda p: ndtr(p) + p * np.exp(-(p**2) / 2) / math.sqrt(2 * math.pi),
    ),
    "silu": (lambda p: p * expit(p), lambda p: expit(p) * (1 + p * expit(-p))),
    "elu": (lambda p: np.where(p > 0, p, np.expm1(np.minimum(p, 0))), lambda p: np.exp(np.minimum(p, 0))),
    "identity": (lambda p: p, np.ones_like),
}
PIECEWISE_LINEAR = ("relu", "leaky_relu", "hardtanh", "identity")
MODULES = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "hardtanh": nn.Hardtanh,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "softplus": nn.Softplus,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "elu": nn.ELU,
    "identity": nn.Identity,
}


def double(tensor) -> np.ndarray:
    return tensor.detach().double().numpy()


class Layer(NamedTuple):
    """One layer by numpy: what it gets and gives, the slopes before it, (n, n_prev), and J_l, (n, n_l, d)."""

    weight: np.ndarray
    bias: np.ndarray
    h: np.ndarray
    p: np.ndarray
    slope: np.ndarray
    jacobian: np.ndarray


def differentiated(net: MLP, x: torch.Tensor) -> list[Layer]:
    """Every layer with its Jacobian, by the chain rule."""
    phi, slope_at = ACTIVATIONS[net.activation]
    h, slope, found = double(x), np.ones(x.shape), []
    for name in net.layers:
        layer = net.get_submodule(name)
        weight = double(layer.weight)
        bias = np.zeros(len(weight)) if layer.bias is None else double(layer.bias)
        p = h @ weight.T + bias
        before = found[-1].jacobian if found else np.eye(x.shape[1])
        found.append(Layer(weight, bias, h, p, slope, weight @ (slope[..., None] * before)))
        h, slope = phi(p), slope_at(p)
    return found


def brute_force(net: MLP, x: torch.Tensor) -> list[tuple[np.ndarray, np.ndarray]]:
    """Singular values of J_l, (n, k_l), and a bound on their rounding, (n,), for every layer.

    A product of n x n matrices and an SVD err by at most about n * 2^-53 times the factors' norms, here and in
    what is tested. A curved phi' also inherits the rounding of p; 4 * 2^-53 is that of 1 - tanh^2.
    """
    slope_at = ACTIVATIONS[net.activation][1]
    size, error, moved = (
        np.ones(len(x)),
        np.zeros(len(x)),
        np.zeros(len(x)),
    )  # of J, of J's and of slopes' errors
    shaken = np.zeros((len(x), 1))  # the error of p
    answers = []
    for layer in differentiated(net, x):
        norm, unit = np.linalg.norm(layer.weight, 2), 4 * max(layer.weight.shape) * UNIT
        steepest = np.abs(layer.slope).max(1)
        error = norm * (steepest * error + (moved + 2 * unit * steepest) * size)
        s = np.linalg.svd(layer.jacobian, compute_uv=False)
        answers.append((s, error))
        size = s[:, 0]
        inherited = norm * (1.13 * shaken + unit * np.linalg.norm(layer.h, axis=1, keepdims=True))
        shaken = inherited + UNIT * np.linalg.norm(layer.bias)
        if net.activation not in PIECEWISE_LINEAR:
            slope = slope_at(layer.p)
            away = [np.abs(slope_at(layer.p + sign * shaken) - slope).max(1) for sign in (1, -1)]
            moved = np.maximum(*away) + 4 * UNIT
    return answers


def random_network(activation: str, seed: int, *, widest: int = 40) -> tuple[MLP, torch.Tensor]:
    """Random depth, widths (narrow ones in every third network), biases, scale, dtype, dead layers and batch."""
    g = generator(1000 + seed)

    def integer(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=g))

    depth = 1 + seed % 6
    widths = [integer(1, widest) for _ in range(depth + 1)]
    if seed % 3 == 0:
        widths[integer(0, depth)] = integer(1, 3)  # a bottleneck, perhaps the input itself
    if widest > 100:
        widths = [integer(100, widest) for _ in range(depth)] + [integer(1, widest)]
    # far out on a curved phi, slopes are tiny and known to few digits
    large = (3.0, 30.0) if activation in PIECEWISE_LINEAR else (1.5, 4.0)
    scale = [1.0, large[0], 1e-3, 0.3, large[1]][seed % 5]
    net = MLP(
        widths, activation=activation, init="he", scale=scale, bias=bool(integer(0, 1)), generator=g
    ).double()
    for name in net.layers:
        bias = net.get_submodule(name).bias
        if bias is not None:
            bias.data = 0.3 * torch.randn(bias.shape, generator=g, dtype=torch.float64)
    if seed % 8 == 7 and depth > 1 and net.L1.bias is not None:
        dead = net.get_submodule(net.layers[integer(0, depth - 2)])
        dead.bias.data.fill_(-1e5)  # slope 0 for all but leaky ReLU and the identity
    dtype = torch.float32 if seed % 2 else torch.float64
    batch = [1, 2, 5, 17, 33, 70][integer(0, 5)] if widest <= 40 else 5
    return net.to(dtype), torch.randn(batch, widths[0], generator=g, dtype=torch.float64).to(dtype)


def linear_network(*matrices, activation: str = "identity", bias: bool = False) -> MLP:
    """The MLP with these weights, in float64."""
    weights = [torch.as_tensor(matrix, dtype=torch.float64) for matrix in matrices]
    widths = [weights[0].shape[1], *(len(weight) for weight in weights)]
    net = MLP(widths, activation=activation, bias=bias, generator=generator(0)).double()
    for name, weight in zip(net.layers, weights, strict=True):
        net.get_submodule(name).weight.data = weight.clone()
    return net


def sequential(net: MLP) -> nn.Sequential:
    """The same network without a chain rule of its own: layer l is the submodule 2 (l - 1)."""
    phi = MODULES[net.activation]
    first, *rest = (net.get_submodule(name) for name in net.layers)
    return nn.Sequential(first, *(module for layer in rest for module in (phi(), layer)))


def both(net: MLP) -> list[tuple[str, nn.Module]]:
    return [("chain", net), ("module", sequential(net))]


def seeded(build: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    """What build() makes with the global generator seeded, which is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def orthogonal(size: int, seed: int) -> torch.Tensor:
    return torch.linalg.qr(torch.randn(size, size, generator=generator(seed), dtype=torch.float64)).Q


def with_spectrum(sigma: torch.Tensor, rows: int, columns: int, seed: int) -> torch.Tensor:
    """A random matrix, (rows, columns), with these singular values."""
    k = len(sigma)
    return (orthogonal(rows, seed)[:, :k] * sigma.double()) @ orthogonal(columns, seed + 1)[:k]


class Tally:
    """Compares counts with singular values, and remembers how often rounding left a count open."""

    def __init__(self):
        self.counts = self.near = self.between = self.ties = 0

    def check(self, found, spectra, eps, relative):
        """Fail unless every count lies between those of the values pushed down and up by their rounding."""
        assert not found.estimated.any()
        assert (found.stderr == 0).all()
        for l, (s, rounding) in enumerate(spectra):
            top = s[:, :1] if relative else np.ones_like(s[:, :1])
            cuts, slack = eps * top, rounding[:, None] * (1 + eps * relative)
            slack = np.where(s[:, :1] == 0, 0.0, slack)  # a Jacobian of zeros is one in any order of sums
            least = (s[:, None] > (cuts + slack)[..., None]).sum(-1)
            most = (s[:, None] > (cuts - slack)[..., None]).sum(-1)
            got = found.values[:, l].numpy()
            assert ((least <= got) & (got <= most)).all(), (found.layers[l], eps, got, least, most)
            self.counts += got.size
            self.ties += (found.ties[:, l].numpy() & (s[:, :1] > 0)).sum()
            self.near += (least != most).sum()
            self.between += ((got > 0) & (got < s.shape[1])).sum()

    def assert_strict(self, between: float = 0.3):
        """Fail if the comparison could be passed by anything: few counts were open, many neither 0 nor full."""
        assert self.near < 0.01 * self.counts
        assert self.ties < 0.01 * self.counts
        assert self.between > between * self.counts
