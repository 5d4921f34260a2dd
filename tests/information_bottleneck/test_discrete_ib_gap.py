import itertools
import math

import numpy as np
import pytest
import torch
from ib_tables import binary_symmetric, random_table

from lrlib.bottleneck import discrete_ib, optimality_gap

EXACT = 1e-9  # float64 over a few dozen terms, and an encoder that is still to within 1e-10


@pytest.mark.parametrize("seed", range(4))
def test_the_gap_bounds_what_any_encoder_gains(seed):
    """Bad local minima, of few clusters or one start: the best of many is lower, but by no more than the bound."""
    joint = random_table(7, 4, seed=seed)
    seen = []
    for beta, clusters in itertools.product((3.0, 6.0, 15.0), (1, 2, 3)):
        poor = discrete_ib(joint, beta, clusters=clusters, restarts=1)
        best = discrete_ib(joint, beta, restarts=40)
        loss = poor.lagrangian - best.lagrangian
        assert loss <= optimality_gap(poor) + EXACT
        seen.append(loss)
    assert max(seen) > 0.05  # some of them are bad indeed


@pytest.mark.parametrize("beta", [1.5, 2.7, 2.9, 6.0, 40.0])
def test_the_gap_is_the_maximum_over_a_grid(beta):
    """Two values of Y: r is one number, and the maximum of the growth is found by trying them all."""
    joint = torch.tensor([[0.30, 0.05], [0.10, 0.15], [0.02, 0.38]], dtype=torch.float64)
    p_x = joint.sum(1).numpy()
    channel = joint.numpy() / p_x[:, None]
    grid = np.linspace(1e-4, 1 - 1e-4, 20_001)[:, None, None]

    def divergence(r):
        r = np.concatenate([r, 1 - r], axis=-1)
        return (channel * np.log(channel / r)).sum(-1)

    for clusters in (1, 2, 3):
        found = discrete_ib(joint, beta, clusters=clusters)
        inside = divergence(found.decoder.numpy()[:, None, :1])
        partition = (found.marginal.numpy()[:, None] * np.exp(-beta * inside)).sum(0)
        growth = (p_x / partition * np.exp(-beta * divergence(grid))).sum(-1)
        assert optimality_gap(found) == pytest.approx(
            max(0, math.log(growth.max())), abs=1e-5
        )  # the grid's mesh


def test_the_gap_of_a_solution_that_keeps_nothing_tells_when_that_is_best():
    """The symmetric source: nothing is best up to 1 / (1 - 2 p)^2, and not beyond."""
    joint = binary_symmetric(0.2)
    for beta, best in ((2.0, True), (2.75, True), (2.8, False), (5.0, False)):
        assert (optimality_gap(discrete_ib(joint, beta, clusters=1)) < 1e-12) == best


def test_the_gap_is_for_fixed_points():
    with pytest.raises(ValueError, match=r"solution: its residual is .*; must have converged"):
        optimality_gap(discrete_ib(random_table(6, 4, seed=0), 5.0, max_iterations=3))
    with pytest.raises(ValueError, match=r"restarts=-1: must be at least 0"):
        optimality_gap(discrete_ib(binary_symmetric(0.1), 5.0), restarts=-1)
