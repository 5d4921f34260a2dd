"""Joint tables for the tests of the discrete bottleneck, and their informations by another road than the library's."""

import math

import numpy as np
import torch
from torch import Tensor

from lrlib.runtime import generator


def random_table(rows: int, columns: int, *, seed: int, power: float = 3.0) -> Tensor:
    """Return a table of random numbers, raised to a power so that rows differ."""
    table = torch.rand(rows, columns, generator=generator(seed), dtype=torch.float64) ** power
    return table / table.sum()


def binary_symmetric(crossover: float) -> Tensor:
    """Return fair X in {0, 1} and Y = X with some entries flipped."""
    p = crossover
    return torch.tensor([[1 - p, p], [p, 1 - p]], dtype=torch.float64) / 2


def two_levels(*, between: float, within: float) -> Tensor:
    """Return four objects in two pairs, which differ in a first binary part of Y, and inside a pair in a second.

    Y = (Y1, Y2): Y1 says which pair, flipped with probability ``between``; Y2 which member, with ``within``.
    By symmetry both pairs split at one beta, and all splits are continuous.
    """
    return torch.kron(binary_symmetric(between), binary_symmetric(within))


def entropy(p) -> float:
    """Return the entropy of a table of probabilities, in nats, term by term."""
    return float(-sum(v * math.log(v) for v in np.asarray(p, dtype=float).ravel() if v > 0))


def informations(joint, encoder) -> tuple[float, float]:
    """Return I(X;T) and I(T;Y) from entropies of the tables."""
    joint, encoder = np.asarray(joint), np.asarray(encoder)
    p_x, p_y = joint.sum(1), joint.sum(0)
    x_t, t_y = p_x[:, None] * encoder, encoder.T @ joint
    t = x_t.sum(0)
    return entropy(p_x) + entropy(t) - entropy(x_t), entropy(t) + entropy(p_y) - entropy(t_y)
