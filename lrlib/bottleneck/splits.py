"""How many clusters a representation really has, and the beta at which each of them splits."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float64, Int64
from numpy import ndarray
from torch import Tensor

from lrlib import _checks
from lrlib.bottleneck.table import Table, check_table, log

if TYPE_CHECKING:
    from lrlib.bottleneck.discrete import DiscreteIB

# Clusters are told apart by the total variation of their q(y|t). After a split it grows as sqrt(beta / beta_c - 1), so
# 1e-3 sees a split late by about one part in a million.
DISTINCT = 1e-3
MASS = 1e-6  # a cluster with less mass than this is not there
INDEPENDENT = 1e-12  # a second singular value below this is rounding: nothing to split


def effective_clusters(
    marginal: Float64[Tensor, " t"], decoder: Float64[Tensor, "t y"]
) -> Int64[Tensor, " t"]:
    """Return which distinguishable cluster each t belongs to: 0, 1, ... in order of appearance, -1 without mass.

    A cluster with mass above 1e-6 joins the first one before it whose q(y|t) is within 1e-3 in total variation.

    >>> q = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.9, 0.1]], dtype=torch.float64)
    >>> effective_clusters(torch.tensor([0.3, 0.5, 0.2], dtype=torch.float64), q).tolist()
    [0, 1, 0]
    """
    _checks.matrix("decoder", decoder)
    if marginal.shape != decoder.shape[:1]:
        raise ValueError(
            f"marginal: shape is {tuple(marginal.shape)}; must be ({len(decoder)},), one mass for each row of decoder"
        )
    _checks.finite("marginal", marginal)
    distance = (decoder[:, None] - decoder).abs().sum(-1) / 2
    labels = torch.full(marginal.shape, -1)
    first: list[int] = []  # the first member of each cluster
    for t in (marginal > MASS).nonzero()[:, 0].tolist():
        near = [i for i, member in enumerate(first) if distance[t, member] <= DISTINCT]
        labels[t] = near[0] if near else len(first)
        if not near:
            first.append(t)
    return labels


def check_solution(solution: Any) -> None:
    """Raise ``TypeError`` unless this is a solution of one beta."""
    if not hasattr(solution, "restart_lagrangians"):
        raise TypeError(f"solution: must be a DiscreteIB, not {type(solution).__name__}")


def merge(encoder: Float64[Tensor, "x t"], labels: Int64[Tensor, " t"]) -> Float64[Tensor, "x k"]:
    """Return the encoder with the columns of each cluster added up. Columns labelled -1 are left out."""
    count = int(labels.max()) + 1
    member = (labels[:, None] == torch.arange(count)).to(encoder)
    return encoder @ member


def critical_beta(joint: Float64[Tensor, "x y"]) -> float:
    """Return the beta at which two copies of a single cluster begin to part: 1 / s_2^2.

    s_2 is the second singular value of p(x, y) / sqrt(p(x) p(y)), the maximal correlation of X and Y. Above this beta
    the solution that keeps nothing is no local minimum of I(X;T) - beta I(T;Y). The global minimum may leave it
    earlier, at 1 / sup [I(U;Y) / I(U;X)] (Anantharam, Gohari, Kamath & Nair 2013), where a second cluster is born
    with no mass; ``optimality_gap`` sees that.

    Args:
        joint: ``(|X|, |Y|)`` float64, sums to 1, every row with mass.

    Returns:
        At least 1; ``inf`` if X and Y are independent (s_2 below 1e-12).

    Raises:
        TypeError, ValueError: for a table that is none.

    Example:
        >>> round(critical_beta(torch.tensor([[0.4, 0.1], [0.1, 0.4]], dtype=torch.float64)), 6)  # 1 / 0.6^2
        2.777778
    """
    table = check_table(joint)
    return _split_beta(table, table.p_x)


def next_critical_betas(solution: "DiscreteIB") -> Float64[Tensor, " clusters"]:
    """Return, for each distinguishable cluster t of a solution, the beta at which it splits: 1 / s_2(t)^2.

    s_2(t) is the second singular value of q(x, y|t) / sqrt(q(x|t) q(y|t)), with q(x, y|t) = q(x|t) p(y|x): the maximal
    correlation of X and Y inside the cluster. It comes from the second variation at two copies of t that are moved
    apart. The value holds at the solution that is given, which itself moves with beta: a cluster splits where the
    value meets the solution's own beta, and a value below it means that the solution is a saddle.

    Returns:
        (clusters,) in the order of ``effective_clusters``; ``inf`` for a cluster inside which X says nothing of Y.
    """
    check_solution(solution)
    table = check_table(solution.joint)
    merged = merge(solution.encoder, effective_clusters(solution.marginal, solution.decoder))
    inside = table.p_x * merged.numpy().T
    betas = [_split_beta(table, row / row.sum()) for row in inside]
    return torch.tensor(betas, dtype=torch.float64)


def _split_beta(table: Table, inside: Float64[ndarray, " x"]) -> float:
    """Return 1 / s_2^2 for the joint table q(x|t) p(y|x), given q(x|t)."""
    output = inside @ table.channel
    scale = np.where(output > 0, np.exp(-log(output) / 2), 0)
    s = np.linalg.svd(np.sqrt(inside)[:, None] * table.channel * scale, compute_uv=False)
    second = float(s[1]) if len(s) > 1 else 0.0
    return float("inf") if second < INDEPENDENT else second**-2
