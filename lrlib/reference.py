"""Slow, obvious twins of the fast code, in float64: oracles for tests and chapters. Nothing else imports them."""

import copy
import math

import torch
from jaxtyping import Float
from torch import Tensor, nn


def jacobians(net: nn.Module, x: Float[Tensor, "n *d"], layer: str) -> list[Float[Tensor, "n_l d"]]:
    """Return dp_l/dx for one layer, one input after another, by reverse-mode autograd in float64.

    ``layer`` names the submodule of ``net`` whose output is p_l; outputs and inputs are flattened.
    """
    twin = copy.deepcopy(net).double().eval()
    kept: dict[str, Tensor] = {}
    twin.get_submodule(layer).register_forward_hook(lambda _m, _i, out: kept.update(p=out.clone()))

    def preactivation(one: Tensor) -> Tensor:
        twin(one.unsqueeze(0))
        return kept["p"].flatten()

    return [
        torch.autograd.functional.jacobian(preactivation, one).flatten(start_dim=1)
        for one in x.detach().double()
    ]


def spectra(net: nn.Module, x: Float[Tensor, "n *d"], layer: str) -> Float[Tensor, "n k_l"]:
    """Return the singular values of :func:`jacobians`, (n, k_l), descending, one SVD at a time."""
    return torch.stack([torch.linalg.svdvals(jacobian) for jacobian in jacobians(net, x, layer)])


def kde_mi(t: Float[Tensor, "n d"], noise_var: float) -> tuple[float, float]:
    """Return the lower and the upper bound of I(T; T + N(0, noise_var I)), in nats, T one of the rows of t.

    Kolchinsky & Tracey (2017): entropy of the mixture, by Bhattacharyya distances or Kullback-Leibler divergences
    between its n components, less the entropy of the noise.
    """
    points = t.double().tolist()
    n, d = len(points), len(points[0])
    noise = d / 2 * math.log(2 * math.pi * math.e * noise_var)
    bounds = []
    # of two Gaussians with the same covariance: |a - b|^2 / (divergence * noise_var)
    for divergence in (8.0, 2.0):
        entropy = noise
        for a in points:
            overlap = 0.0
            for b in points:
                squared = sum((i - j) ** 2 for i, j in zip(a, b, strict=True))
                overlap += math.exp(-squared / (divergence * noise_var)) / n
            entropy -= math.log(overlap) / n
        bounds.append(entropy - noise)
    return bounds[0], bounds[1]


def ksg_mi(x: Float[Tensor, "n d_x"], y: Float[Tensor, "n d_y"], k: int, variant: int) -> float:
    """Return the estimate of I(X; Y), in nats, of Kraskov, Stögbauer & Grassberger (2004), variant 1 or 2.

    Their equations 8 and 9, with the digamma function as a sum: psi(m) = 1 + 1/2 + ... + 1/(m - 1) - 0.5772...
    """
    xs, ys = x.double().tolist(), y.double().tolist()
    n = len(xs)

    def distance(a: list[float], b: list[float]) -> float:
        return max(abs(i - j) for i, j in zip(a, b, strict=True))

    def psi(m: int) -> float:
        return sum(1 / i for i in range(1, m)) - 0.5772156649015329

    total = 0.0
    for i in range(n):
        others = [j for j in range(n) if j != i]
        in_x = {j: distance(xs[i], xs[j]) for j in others}
        in_y = {j: distance(ys[i], ys[j]) for j in others}
        nearest = sorted(others, key=lambda j: max(in_x[j], in_y[j]))[:k]
        if variant == 1:
            radius = max(in_x[nearest[-1]], in_y[nearest[-1]])
            n_x = sum(in_x[j] < radius for j in others)
            n_y = sum(in_y[j] < radius for j in others)
            total += psi(n_x + 1) + psi(n_y + 1)
        else:
            n_x = sum(in_x[j] <= max(in_x[near] for near in nearest) for j in others)
            n_y = sum(in_y[j] <= max(in_y[near] for near in nearest) for j in others)
            total += psi(n_x) + psi(n_y) + 1 / k
    return psi(k) + psi(n) - total / n
