"""Joint tables p(x, y), and what an encoder q(t|x) makes of one. In float64 and nats.

In numpy: the tables are small, and a step of the iteration is many operations on few numbers.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from numpy import ndarray

from lrlib import _checks

LARGEST_BETA = 1e100  # products with informations must stay in float64's range
SUM_TOLERANCE = 1e-9  # how far from 1 the entries of a table may sum: rounding, not a forgotten factor
TINY = 1e-300  # stands for 0 in logarithms


@dataclass(frozen=True)
class Table:
    """A checked joint table with its marginals and its channel."""

    joint: Float64[ndarray, "x y"]
    p_x: Float64[ndarray, " x"]
    p_y: Float64[ndarray, " y"]
    channel: Float64[ndarray, "x y"]  # p(y|x)
    own: Float64[ndarray, " x"]  # sum_y p(y|x) ln p(y|x)


def check_table(joint: Any, name: str = "joint") -> Table:
    """Return the table with its marginals; raise unless it is a joint distribution of X (rows) and Y (columns).

    Rules: a float64 matrix, finite, nothing below 0, sum 1 within 1e-9, every row with mass. A column without mass is
    a value that Y never takes, and does no harm.

    Raises ``TypeError`` or ``ValueError`` that names the rule.
    """
    _checks.matrix(name, joint)
    if joint.dtype != torch.float64:
        raise TypeError(
            f"{name}: dtype is {joint.dtype}; must be torch.float64, which can sum to 1 within 1e-9"
        )
    if (joint < 0).any():
        raise ValueError(f"{name}: its smallest entry is {joint.min():g}; probabilities are not negative")
    total = joint.sum().item()
    if abs(total - 1) > SUM_TOLERANCE:
        raise ValueError(f"{name}: its entries sum to {total:.12g}; must be 1 within {SUM_TOLERANCE:g}")
    empty = (joint.sum(1) == 0).nonzero()
    if len(empty):
        raise ValueError(f"{name}: row {int(empty[0])} has no mass; drop the values that X never takes")
    table = joint.detach().cpu().numpy() / total
    p_x = table.sum(1)
    channel = table / p_x[:, None]
    return Table(table, p_x, table.sum(0), channel, (channel * log(channel)).sum(1))


def log(p: Float64[ndarray, "..."]) -> Float64[ndarray, "..."]:
    """Return the logarithm, of 1e-300 for everything smaller: so 0 log 0 is 0."""
    return np.log(np.maximum(p, TINY))


def decode(table: Table, encoder: Float64[ndarray, "*r x t"]) -> tuple[ndarray, ndarray]:
    """Return q(t), (..., |T|), and q(y|t), (..., |T|, |Y|). A cluster without mass gets p(y)."""
    both = np.swapaxes(encoder, -1, -2) @ table.joint
    total = both.sum(-1, keepdims=True)
    return table.p_x @ encoder, np.where(total > TINY, both / np.maximum(total, TINY), table.p_y)


def divergences(table: Table, decoder: Float64[ndarray, "*r t y"]) -> Float64[ndarray, "*r x t"]:
    """Return KL(p(y|x) || q(y|t)) for every x and t, in nats; where it is infinite, hundreds of them."""
    return table.own[:, None] - table.channel @ np.swapaxes(log(decoder), -1, -2)


def informations(table: Table, encoder: Float64[ndarray, "*r x t"]) -> tuple[ndarray, ndarray]:
    """Return I(X;T) and I(T;Y) of an encoder, each (...), in nats."""
    marginal, decoder = decode(table, encoder)
    i_xt = (encoder * (log(encoder) - log(marginal)[..., None, :])).sum(-1) @ table.p_x
    gain = (decoder * (log(decoder) - log(table.p_y))).sum(-1)
    # 0 where rounding has left a little less
    return np.maximum(i_xt, 0.0), np.maximum((marginal * gain).sum(-1), 0.0)
