"""How far a discrete bottleneck can be from the best one: a bound from convex duality."""

import numpy as np
import torch
from jaxtyping import Float64
from numpy import ndarray

from lrlib import _checks
from lrlib.bottleneck.discrete import DiscreteIB
from lrlib.bottleneck.splits import check_solution
from lrlib.bottleneck.table import Table, check_table, divergences, log

STEPS = 1000  # of the search; each one raises the growth, and the starts are many


def optimality_gap(
    solution: DiscreteIB, *, restarts: int = 100, generator: torch.Generator | None = None
) -> float:
    """Return how much lower the Lagrangian of any encoder can be, at most, in nats: ln max_r G(r).

    G(r) = sum_x p(x) exp(-beta KL(p(y|x) || r)) / Z(x), with Z(x) = sum_t q(t) exp(-beta KL(p(y|x) || q(y|t))), is the
    factor by which an empty cluster with q(y|t) = r grows in one update. It is 1 at the clusters of a solution. If it
    is above 1 nowhere, no encoder with any number of clusters does better; otherwise one that takes in a new cluster
    does, and the bound says by how much at most (as for rate-distortion functions: Blahut 1972). Fewer than ``|X|``
    clusters may be unable to close the gap.

    The maximum over r is searched for by the update r <- sum_x w(x) p(y|x), with the terms of G(r) as weights w, which
    raises G: from each row p(y|x), each q(y|t), and random mixtures. So the bound is as good as that search.

    Args:
        solution: of ``discrete_ib``; a fixed point, ``converged``.
        restarts: random mixtures to start from.
        generator: for them; seed 0 if None.

    Raises ``ValueError`` for a solution that has not converged, ``TypeError`` or ``ValueError`` for other arguments.

    >>> from lrlib.bottleneck import discrete_ib
    >>> noisy = torch.tensor([[0.4, 0.1], [0.1, 0.4]], dtype=torch.float64)
    >>> single = discrete_ib(noisy, 4.0, clusters=1)  # one cluster, where two do better
    >>> round(optimality_gap(single), 3), round(single.lagrangian - discrete_ib(noisy, 4.0).lagrangian, 3)
    (0.121, 0.121)
    """
    _checks.integer("restarts", restarts, minimum=0)
    check_solution(solution)
    if not solution.converged:
        raise ValueError(f"solution: its residual is {solution.residual:.1g}; must have converged")
    g = _checks.cpu_generator("generator", generator)
    table = check_table(solution.joint)
    partition = log_partition(table, solution)
    mixtures = torch.rand(restarts, len(table.p_x), generator=g, dtype=torch.float64).numpy() ** 4
    mixtures /= mixtures.sum(1, keepdims=True)
    r = np.concatenate([table.channel, solution.decoder.numpy(), mixtures @ table.channel])
    for _ in range(STEPS):
        terms = _log_terms(table, solution.beta, partition, r)
        r = np.exp(terms - _logsumexp(terms)).T @ table.channel
    return max(0.0, float(_logsumexp(_log_terms(table, solution.beta, partition, r)).max()))


def log_partition(table: Table, solution: DiscreteIB) -> Float64[ndarray, " x"]:
    """Return ln Z(x) of a solution."""
    terms = log(solution.marginal.numpy()) - solution.beta * divergences(table, solution.decoder.numpy())
    return _logsumexp(terms.T)[0]


def _log_terms(table: Table, beta: float, partition: ndarray, r: ndarray) -> Float64[ndarray, "x r"]:
    """Return the logarithms of the terms of G(r), a column for each r."""
    return (log(table.p_x) - partition)[:, None] - beta * divergences(table, r)


def _logsumexp(terms: Float64[ndarray, "n m"]) -> Float64[ndarray, "1 m"]:
    """Return ln sum exp over the first axis."""
    top = terms.max(0, keepdims=True)
    return top + np.log(np.exp(terms - top).sum(0, keepdims=True))
