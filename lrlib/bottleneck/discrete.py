"""The information bottleneck of a joint table, by the Blahut-Arimoto iteration with restarts.

Minimise I(X;T) - beta I(T;Y) over encoders q(t|x): here beta multiplies what is kept about Y.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from numpy import ndarray
from torch import Tensor

from lrlib import _checks
from lrlib.bottleneck.splits import effective_clusters
from lrlib.bottleneck.table import (
    LARGEST_BETA,
    TINY,
    Table,
    check_table,
    decode,
    divergences,
    informations,
    log,
)

# Restarts whose Lagrangians differ by less than this are equally good, and the first of them is taken: rounding does
# not choose.
TIE = 1e-9
FLOOR = (
    -600.0
)  # ln q(t|x) of a cluster that x never goes to: its mass is above 1e-300, so that ratios stay right
LONGEST = 1e4  # of an extrapolation, in steps
SPREAD = 2.0  # standard deviation of the logits of a random start: neither uniform nor hard


@dataclass(frozen=True)
class DiscreteIB:
    """A solution of the self-consistent equations for one beta, with its evidence. Informations in nats."""

    joint: Float64[Tensor, "x y"]
    beta: float
    encoder: Float64[Tensor, "x t"]  # q(t|x)
    marginal: Float64[Tensor, " t"]  # q(t)
    decoder: Float64[Tensor, "t y"]  # q(y|t)
    i_xt: float
    i_ty: float
    clusters: int  # clusters with mass above 1e-6 whose q(y|t) differ by more than 1e-3 in total variation
    iterations: int  # updates of the encoder, of the slowest restart
    residual: float  # largest change of an entry of q(t|x) in one more plain update
    converged: bool  # residual <= tol
    restart_lagrangians: Float64[Tensor, " restarts"]

    @property
    def lagrangian(self) -> float:
        """I(X;T) - beta I(T;Y), in nats; 0 for a representation that keeps nothing."""
        return self.i_xt - self.beta * self.i_ty


def discrete_ib(
    joint: Float64[Tensor, "x y"],
    beta: float,
    *,
    clusters: int | None = None,
    restarts: int = 10,
    tol: float = 1e-10,
    max_iterations: int = 20_000,
    start: Float64[Tensor, "x t"] | None = None,
    generator: torch.Generator | None = None,
) -> DiscreteIB:
    """Minimise I(X;T) - beta I(T;Y) over q(t|x) for one beta; keep the best of several starts.

    The update is that of Tishby, Pereira & Bialek (1999): q(t|x) proportional to q(t) exp(-beta KL(p(y|x) || q(y|t))),
    with q(t) and q(y|t) from the last encoder. It never raises the Lagrangian. Pairs of updates are extrapolated
    (SQUAREM, Varadhan & Roland 2008), and the extrapolation is dropped where it does not go lower. The fixed points
    are stationary points, and the best of the restarts need not be the global minimum.

    As beta grows the encoder hardens: in the limit each x goes to the cluster with the least divergence. ``beta`` is
    finite here; how large is large depends on the divergences, since the odds of two clusters are exp(-beta * gap).

    Args:
        joint: ``(|X|, |Y|)`` float64, sums to 1 within 1e-9, every row with mass.
        beta: above 0, finite.
        clusters: columns of the encoder; as many as X has values if None, enough for every beta. Fewer is a constraint.
        restarts: how many starts. Where clusters are as many as values of X the first is T = X; the others are random.
        tol: stop when one plain update changes no entry of q(t|x) by more.
        max_iterations: stop after this many updates (up to two more), even if some starts still move. ``converged`` and
            ``residual`` are of the start that is returned.
        start: ``(|X|, |T|)`` an encoder to start from, in place of all restarts; rows sum to 1.
        generator: for the random starts; seed 0 if None.

    Raises:
        TypeError, ValueError: for an argument outside these rules.

    Example:
        >>> noisy = torch.tensor([[0.4, 0.1], [0.1, 0.4]], dtype=torch.float64)  # splits at 1 / 0.6^2 = 2.78
        >>> [discrete_ib(noisy, beta).clusters for beta in (2.7, 2.9)]
        [1, 2]
    """
    table = check_table(joint)
    _checks.number("beta", beta, exclusive=True, maximum=LARGEST_BETA)
    check_solver(tol, max_iterations)
    if start is None:
        size = len(table.p_x) if clusters is None else clusters
        _checks.integer("clusters", size, minimum=1)
        _checks.integer("restarts", restarts, minimum=1)
        starts = _starts(len(table.p_x), size, restarts, _checks.cpu_generator("generator", generator))
    else:
        starts = log(check_encoder("start", start, table, clusters).numpy())[None]
    return solve(table, float(beta), starts, tol, max_iterations)


def check_solver(tol: Any, max_iterations: Any) -> None:
    """Raise unless the two limits of the iteration make sense."""
    _checks.number("tol", tol, exclusive=True)
    _checks.integer("max_iterations", max_iterations, minimum=1)


def check_encoder(name: str, encoder: Any, table: Table, clusters: int | None) -> Float64[Tensor, "x t"]:
    """Return the encoder in float64; raise unless it is (|X|, |T|) with rows that are distributions."""
    _checks.matrix(name, encoder)
    rows, columns = encoder.shape
    if rows != len(table.p_x) or (clusters is not None and columns != clusters):
        size = "clusters" if clusters is None else clusters
        raise ValueError(f"{name}: shape is {(rows, columns)}; must be ({len(table.p_x)}, {size})")
    encoder = encoder.detach().to("cpu", torch.float64)
    wrong = max((encoder.sum(1) - 1).abs().max().item(), -encoder.min().item())
    if wrong > 1e-6:
        raise ValueError(
            f"{name}: a row is off by {wrong:g}; each must be a distribution, >= 0 with sum 1 within 1e-6"
        )
    return encoder.clamp_min(0)


def _starts(n: int, clusters: int, restarts: int, generator: torch.Generator) -> Float64[ndarray, "r x t"]:
    """Return logits of encoders to start from: T = X where it fits, then random ones."""
    logits = SPREAD * torch.randn(restarts, n, clusters, generator=generator, dtype=torch.float64).numpy()
    if clusters == n:
        logits[0] = log(np.eye(n))
    return logits


def normalise(logits: Float64[ndarray, "r x t"]) -> Float64[ndarray, "r x t"]:
    """Return ln q(t|x) from numbers that are it up to a constant for each x; nothing falls below ``FLOOR``."""
    shifted = logits - logits.max(-1, keepdims=True)
    return np.maximum(shifted - np.log(np.exp(shifted).sum(-1, keepdims=True)), FLOOR)


def update(
    table: Table, beta: float, logits: Float64[ndarray, "r x t"]
) -> tuple[Float64[ndarray, "r x t"], Float64[ndarray, " r"]]:
    """Return ln q(t|x) after one update, and the Lagrangian before it, up to a constant that all encoders share."""
    encoder = np.exp(logits)
    marginal, decoder = decode(table, encoder)
    target = log(marginal)[..., None, :] - beta * divergences(table, decoder)
    # I(X;T) + beta E KL(p(y|x) || q(y|t)), which is I(X;T) - beta I(T;Y) + beta I(X;Y)
    energy = (encoder * (logits - target)).sum(-1) @ table.p_x
    return normalise(target), energy


def _leap(table: Table, x0: ndarray, x1: ndarray, x2: ndarray) -> Float64[ndarray, "r x t"]:
    """Return the SQUAREM point of three iterates: as far along their parabola as their ratio of steps suggests."""
    step, bend = x1 - x0, (x2 - x1) - (x1 - x0)
    weight = table.p_x[:, None] * np.exp(x1)  # a logit counts as much as its probability
    steps, bends = ((weight * v * v).sum((1, 2)) for v in (step, bend))
    size = np.sqrt(np.maximum(steps, TINY) / np.maximum(bends, TINY)).clip(1, LONGEST)[:, None, None]
    return normalise(x0 + 2 * size * step + size**2 * bend)


def solve(
    table: Table, beta: float, logits: Float64[ndarray, "r x t"], tol: float, max_iterations: int
) -> DiscreteIB:
    """Iterate all starts at once until each is a fixed point; return the best as a result."""
    logits, iterations, residual = normalise(logits), 0, np.inf
    while residual > tol and iterations < max_iterations:
        first, _ = update(table, beta, logits)
        second, energy = update(table, beta, first)
        leapt, leap_energy = update(table, beta, _leap(table, logits, first, second))
        residual = np.abs(np.exp(first) - np.exp(logits)).max()
        logits = np.where((leap_energy < energy)[:, None, None], leapt, second)
        iterations += 3
    i_xt, i_ty = informations(table, np.exp(logits))
    energies = i_xt - beta * i_ty
    best = int(np.flatnonzero(energies <= energies.min() + TIE)[0])
    return _result(table, beta, logits[best], iterations, tol, energies)


def _result(
    table: Table, beta: float, logits: Float64[ndarray, "x t"], iterations: int, tol: float, energies: ndarray
) -> DiscreteIB:
    """Return the encoder with everything that is computed from it."""
    encoder = np.exp(logits)
    marginal, decoder = (torch.from_numpy(part) for part in decode(table, encoder))
    i_xt, i_ty = (float(value) for value in informations(table, encoder))
    again, _ = update(table, beta, logits[None])
    residual = float(np.abs(np.exp(again[0]) - encoder).max())
    return DiscreteIB(
        joint=torch.from_numpy(table.joint),
        beta=beta,
        encoder=torch.from_numpy(encoder),
        marginal=marginal,
        decoder=decoder,
        i_xt=i_xt,
        i_ty=i_ty,
        clusters=int(effective_clusters(marginal, decoder).max()) + 1,
        iterations=iterations,
        residual=residual,
        converged=residual <= tol,
        restart_lagrangians=torch.from_numpy(energies),
    )
