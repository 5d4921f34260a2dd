"""How many eigenvalues of a large symmetric matrix exceed a threshold, estimated from products with vectors."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from lrlib.jacobian.counting import OVERFLOW, rounding

PROBES = 32  # random vectors,
BLOCK = 4  # so many of them together at least, more where memory allows
STEPS = 192  # the most products with each vector, fewer where memory does not allow
BASIS_BYTES = 128 * 2**20
LOOK = 16  # steps between two looks at whether they suffice

Product = Callable[[Float[Tensor, "p k"]], Float[Tensor, "p k"]]


class Estimate(NamedTuple):
    """Estimated counts at E thresholds.

    Attributes:
        values: (E,) float64.
        stderr: (E,) float64, the standard error over the random vectors, and what the quadrature leaves open.
        resolution: the smallest relative singular value that rounding leaves apart from zero.
    """

    values: Float[Tensor, " E"]
    stderr: Float[Tensor, " E"]
    resolution: float


def estimate_counts(
    product: Product, side: int, eps: Float[Tensor, " E"], relative: bool, generator: torch.Generator
) -> Estimate:
    """Estimate how many eigenvalues of A = J^T J, (k, k), exceed eps^2 (times lambda_1 if relative).

    Stochastic Lanczos quadrature (Ubaru, Chen & Saad 2017; of step functions: Di Napoli, Polizzi & Saad 2016).
    For random signs v, E[v^T 1(A > t) v] is the count. Each of these quadratic forms is an integral over the
    spectral measure of A at v, which the Ritz values of the Krylov space of v sum up; between the two Ritz
    values around t the measure is interpolated. ``product`` multiplies each row by A; ``side`` is k.
    """
    top, trace = torch.zeros((), dtype=eps.dtype, device=eps.device), 0.0
    counts, widths = [], []
    signs = (2.0 * torch.randint(0, 2, (PROBES, side), generator=generator) - 1.0).to(eps)
    scale = product(signs[:1]).abs().amax()  # squares of what is computed then neither overflow nor vanish
    scale = torch.where(scale > 0, scale, 1.0)
    eps = eps if relative else eps / scale.sqrt()
    for block in signs.split(min(PROBES, max(BLOCK, BASIS_BYTES // (8 * STEPS * side)))):
        for nodes, weights, residuals in _quadratures(lambda v: product(v) / scale, block, side):
            top = torch.maximum(top, nodes.amax())
            cuts = eps.square() * (top if relative else 1.0)
            count, width = _counts(nodes, weights * side, residuals, cuts)
            if (width.mean(0) <= _tolerated(count.std(0) / PROBES**0.5)).all():
                break
        counts.append(count)
        widths.append(width)
        trace = trace + (weights * nodes).sum() * side / PROBES
    count, width = torch.cat(counts), torch.cat(widths).mean(0)
    spread = count.std(0) / PROBES**0.5
    # interpolation errs by a few hundredths of a width that the spectrum fills; of one too wide nothing is known
    left = torch.where(width <= _tolerated(spread), 0.0, width / 12**0.5)
    resolution = float((rounding(trace, side) / top).sqrt()) if top > 0 else 0.0
    return Estimate(count.mean(0), torch.hypot(spread, left), resolution)


def _tolerated(spread: Float[Tensor, " E"]) -> Float[Tensor, " E"]:
    return (10 * spread).clamp_min(2.0)


def _quadratures(
    product: Product, start: Float[Tensor, "p k"], side: int
) -> Iterator[tuple[Float[Tensor, "p m"], Float[Tensor, "p m"], Float[Tensor, "p m"]]]:
    """Yield Ritz values (descending), their weights (which sum to 1) and residuals, after more and more steps.

    Lanczos with full reorthogonalisation, twice. Where the Krylov space is exhausted zeros follow, of weight 0.
    """
    probes = len(start)
    steps = min(side, max(2 * LOOK, min(STEPS, BASIS_BYTES // (8 * probes * side))))
    basis = start.new_empty(steps, probes, side)
    alpha, beta = start.new_zeros(probes, steps), start.new_zeros(probes, steps)
    q = start / side**0.5
    for step in range(steps):
        basis[step] = q
        w = product(q)
        if not torch.isfinite(w).all():
            raise FloatingPointError(OVERFLOW)
        alpha[:, step] = (w * q).sum(-1)
        for _ in range(2):
            known = basis[: step + 1]
            w = w - torch.einsum("jpk,jp->pk", known, torch.einsum("jpk,pk->jp", known, w))
        norm = torch.linalg.vector_norm(w, dim=-1)
        alive = norm > rounding(side * alpha.abs().amax(-1), 0)
        beta[:, step] = torch.where(alive, norm, 0.0)
        q = torch.where(alive.unsqueeze(-1), w / norm.unsqueeze(-1), 0.0)
        m = step + 1
        if m % LOOK == 0 or m == steps:
            off = beta[:, : m - 1]
            tridiagonal = (
                torch.diag_embed(alpha[:, :m]) + torch.diag_embed(off, 1) + torch.diag_embed(off, -1)
            )
            nodes, vectors = torch.linalg.eigh(tridiagonal)
            last = beta[:, step:m] if m < side else torch.zeros_like(beta[:, :1])
            residuals = last * vectors[:, -1].abs()
            yield nodes.flip(-1), vectors[:, 0].square().flip(-1), residuals.flip(-1)


def _counts(
    nodes: Float[Tensor, "p m"], weights: Float[Tensor, "p m"], residuals: Float[Tensor, "p m"], cuts: Tensor
) -> tuple[Float[Tensor, "p E"], Float[Tensor, "p E"]]:
    """Return the weight above each cut, and the width of the interval that the truth is in.

    By the inequalities of Chebyshev, Markov and Stieltjes the two nodes around a cut hold the doubt. It is gone
    where both have converged to eigenvalues on their side of the cut.
    """
    above = (nodes.unsqueeze(-1) > cuts).sum(-2)  # (p, E)
    upper, lower = (above - 1).clamp_min(0), above.clamp_max(nodes.shape[-1] - 1)

    def at(values: Tensor, place: Tensor) -> Tensor:
        return values.gather(-1, place)

    settled = torch.ones_like(above, dtype=torch.bool)
    for place in (upper, lower):
        settled &= at(residuals, place) <= 0.1 * (at(nodes, place) - cuts).abs()
    stepped = torch.where(nodes.unsqueeze(-1) > cuts, weights.unsqueeze(-1), 0.0).sum(-2)
    # mass above the middle of each node, interpolated in log(node)
    middle = weights.cumsum(-1) - weights / 2
    tiny = torch.finfo(nodes.dtype).tiny
    high, low = at(nodes, upper).clamp_min(tiny).log(), at(nodes, lower).clamp_min(tiny).log()
    part = ((high - cuts.clamp_min(tiny).log()) / (high - low).clamp_min(tiny)).clamp(0.0, 1.0)
    between = at(middle, upper) + part * (at(middle, lower) - at(middle, upper))
    outside = (above == 0) | (above == nodes.shape[-1])
    count = torch.where(settled | outside, stepped, between)
    width = torch.where(settled, 0.0, at(weights, upper) + at(weights, lower))
    return count, width
