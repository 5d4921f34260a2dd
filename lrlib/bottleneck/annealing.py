"""A path of discrete bottlenecks over beta, each started from the last, and the betas at which clusters split."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from lrlib import _checks
from lrlib.bottleneck.discrete import DiscreteIB, check_solver, discrete_ib, solve
from lrlib.bottleneck.splits import effective_clusters, merge, next_critical_betas
from lrlib.bottleneck.table import Table, check_table, log

REFINE = 1e-3  # a split is bracketed to this relative width
# Updates slow down towards a split. To see whether there are more clusters at a point of the bracket, these suffice.
PROBE_TOL, PROBE_ITERATIONS = 1e-8, 4_000


@dataclass(frozen=True)
class AnnealedIB:
    """Solutions along a path of betas, stacked in the order in which they were found. Informations in nats."""

    joint: Float64[Tensor, "x y"]
    betas: Float64[Tensor, " B"]
    encoders: Float64[Tensor, "B x t"]
    marginals: Float64[Tensor, "B t"]
    decoders: Float64[Tensor, "B t y"]
    i_xt: Float64[Tensor, " B"]
    i_ty: Float64[Tensor, " B"]
    clusters: Int64[Tensor, " B"]
    residual: Float64[Tensor, " B"]
    converged: Bool[Tensor, " B"]
    critical: Float64[Tensor, " C"]  # detected: the middle of the refined bracket in which the number changes
    # The earliest split by the second variation, on the side of the bracket with fewer clusters. It is near ``critical``
    # where copies part, and not where a path jumps.
    predicted: Float64[Tensor, " C"]

    @property
    def lagrangian(self) -> Float64[Tensor, " B"]:
        """I(X;T) - beta I(T;Y) along the path, in nats."""
        return self.i_xt - self.betas * self.i_ty


def annealed_ib(
    joint: Float64[Tensor, "x y"],
    betas: Sequence[float] | Float64[Tensor, " B"],
    *,
    clusters: int | None = None,
    restarts: int = 2,
    jitter: float = 1e-2,
    tol: float = 1e-10,
    max_iterations: int = 20_000,
    refine: bool = True,
    generator: torch.Generator | None = None,
) -> AnnealedIB:
    """Follow solutions over beta: each starts from the last one with its logits jittered, so that copies can part.

    Rising betas start from a single cluster (deterministic annealing); falling betas start from the best of ten
    restarts. The two can differ: where a split is a jump, the path that comes from below stays too long in the old
    solution and the path from above too long in the new one (hysteresis). Compare their Lagrangians.

    Args:
        joint: as for ``discrete_ib``.
        betas: (B,) two or more, above 0, strictly rising or strictly falling.
        clusters: how many columns the encoder has; as many as X has values if None.
        restarts: differently jittered starts at each beta; the lowest Lagrangian is kept.
        jitter: standard deviation of what is added to ln q(t|x). It breaks ties; too much of it is a random restart.
        tol, max_iterations: as for ``discrete_ib``.
        refine: bisect each change of the number of clusters to a relative width of 1e-3 (which takes most of
            the time); otherwise ``critical`` is the middle of the interval between two betas.
        generator: for the jitter; seed 0 if None.

    Raises:
        TypeError, ValueError: for an argument outside these rules.

    Example:
        >>> noisy = torch.tensor([[0.4, 0.1], [0.1, 0.4]], dtype=torch.float64)
        >>> path = annealed_ib(noisy, [2.0, 2.5, 3.0, 3.5])
        >>> path.clusters.tolist(), [round(beta, 2) for beta in path.critical.tolist()]  # 1 / 0.6^2
        ([1, 1, 2, 2], [2.78])
    """
    table = check_table(joint)
    path = _check_betas(betas)
    check_solver(tol, max_iterations)
    size = len(table.p_x) if clusters is None else clusters
    _checks.integer("clusters", size, minimum=1)
    _checks.integer("restarts", restarts, minimum=1)
    _checks.number("jitter", jitter, exclusive=True)
    g = _checks.cpu_generator("generator", generator)

    def follow(last: DiscreteIB, beta: float, tol: float = tol, most: int = max_iterations) -> DiscreteIB:
        noise = torch.randn(restarts, *last.encoder.shape, generator=g, dtype=torch.float64)
        starts = log(_with_copies(last).numpy()) + jitter * noise.numpy()
        found = solve(table, beta, starts, tol, most)
        # The parts of a split cluster get copies of their own, and may split at the same beta.
        return follow(found, beta, tol, most) if found.clusters > last.clusters else found

    solutions = [_first(joint, path, size, follow, g, tol, max_iterations)]
    critical: list[tuple[float, float]] = []
    for beta in path[1:]:
        solutions.append(follow(solutions[-1], beta))
        critical += _changes(solutions[-2], solutions[-1], follow, REFINE if refine else float("inf"))
    return _stack(table, solutions, critical)


def _check_betas(betas: Any) -> list[float]:
    """Return the betas as numbers; raise unless there are two, above 0 and strictly monotone."""
    found = _checks.thresholds("betas", betas)
    if found.ndim != 1 or len(found) < 2:
        raise ValueError(f"betas: shape is {tuple(found.shape)}; must be (B,) with B >= 2")
    _checks.finite("betas", found)
    if (found <= 0).any():
        raise ValueError(f"betas: the smallest is {found.min():g}; must be above 0")
    steps = found.diff().sign()
    if not (steps == steps[0]).all() or steps[0] == 0:
        raise ValueError("betas: go up and down, or repeat; must be strictly rising or strictly falling")
    return found.tolist()


def _first(
    joint: Tensor, path: list[float], size: int, follow: Any, g: Any, tol: float, most: int
) -> DiscreteIB:
    """Return where the path starts: near a single cluster if beta will rise, at the best restart if it will fall."""
    limits = {"clusters": size, "tol": tol, "max_iterations": most}
    if path[0] > path[1]:
        return discrete_ib(joint, path[0], **limits, generator=g)
    single = torch.full((len(joint), size), 1 / size, dtype=torch.float64)
    return follow(discrete_ib(joint, path[0], **limits, start=single), path[0])


def _with_copies(last: DiscreteIB) -> Float64[Tensor, "x t"]:
    """Return the encoder with one column a cluster, and every other column a copy that shares its cluster's mass.

    A cluster can only split if it has a copy. Columns that are empty, or copies already, go to the clusters in turn,
    the one nearest to its split first. A cluster keeps the column of its first member, so that paths can be followed.
    """
    labels = effective_clusters(last.marginal, last.decoder)
    merged = merge(last.encoder, labels)
    clusters = range(merged.shape[1])
    order = next_critical_betas(last).argsort().tolist()
    source = [-1] * len(labels)
    for cluster in clusters:
        source[int((labels == cluster).nonzero()[0])] = cluster
    spare = cycle(order)
    source = [next(spare) if cluster < 0 else cluster for cluster in source]
    copies = torch.tensor([source.count(cluster) for cluster in clusters])
    return (merged / copies)[:, source]


def _changes(old: DiscreteIB, new: DiscreteIB, follow: Any, width: float) -> list[tuple[float, float]]:
    """Return (detected, predicted) for each change of the number of clusters between two solutions of a path."""
    found = []
    while old.clusters != new.clusters:
        before, after = old, new
        while abs(after.beta / before.beta - 1) > width:
            middle = follow(before, (before.beta + after.beta) / 2, PROBE_TOL, PROBE_ITERATIONS)
            if middle.clusters == before.clusters:
                before = middle
            else:
                after = middle
        fewer = min(before, after, key=lambda solution: solution.clusters)
        found.append(((before.beta + after.beta) / 2, next_critical_betas(fewer).min().item()))
        old = after  # goes on from here: a second cluster may split in the same interval
    return found


def _stack(table: Table, solutions: list[DiscreteIB], critical: list[tuple[float, float]]) -> AnnealedIB:
    def numbers(name: str, dtype: torch.dtype = torch.float64) -> Tensor:
        return torch.tensor([getattr(s, name) for s in solutions], dtype=dtype)

    pairs = torch.tensor(critical, dtype=torch.float64).reshape(-1, 2)
    return AnnealedIB(
        joint=torch.from_numpy(table.joint),
        betas=numbers("beta"),
        encoders=torch.stack([s.encoder for s in solutions]),
        marginals=torch.stack([s.marginal for s in solutions]),
        decoders=torch.stack([s.decoder for s in solutions]),
        i_xt=numbers("i_xt"),
        i_ty=numbers("i_ty"),
        clusters=numbers("clusters", torch.long),
        residual=numbers("residual"),
        converged=numbers("converged", torch.bool),
        critical=pairs[:, 0].contiguous(),
        predicted=pairs[:, 1].contiguous(),
    )
