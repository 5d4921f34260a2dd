import itertools
import math

import numpy as np
import pytest
import scipy.linalg
import torch
from ib_tables import binary_symmetric, informations, random_table, two_levels

from lrlib.bottleneck import (
    annealed_ib,
    critical_beta,
    discrete_ib,
    effective_clusters,
    next_critical_betas,
    optimality_gap,
)
from lrlib.runtime import generator

EXACT = 1e-9
# A split is bracketed to 1e-3 relative; on the far side of the bracket the solution has moved on by as much again.
DETECTED = 2e-3


@pytest.mark.parametrize("p", [0.01, 0.1, 0.3, 0.49])
def test_the_binary_symmetric_source_splits_where_theory_says(p):
    assert critical_beta(binary_symmetric(p)) == pytest.approx((1 - 2 * p) ** -2, rel=EXACT)


def test_a_table_with_nothing_to_tell_never_splits():
    one, two = (torch.tensor(p, dtype=torch.float64) for p in ([0.2, 0.3, 0.5], [0.4, 0.6]))
    independent = torch.outer(one, two)
    assert critical_beta(independent) == math.inf
    assert critical_beta(torch.full((1, 4), 0.25, dtype=torch.float64)) == math.inf


def test_y_as_a_function_of_x_splits_at_one():
    table = torch.tensor([[0.2, 0.0], [0.3, 0.0], [0.0, 0.5]], dtype=torch.float64)
    assert critical_beta(table) == pytest.approx(1, abs=EXACT)


@pytest.mark.parametrize("seed", range(3))
def test_the_critical_beta_is_that_of_the_second_variation_by_finite_differences(seed):
    """The Hessian of the Lagrangian at two copies of one cluster, moved apart: its least eigenvalue changes sign."""
    joint = random_table(5, 4, seed=seed)

    def moved_apart(beta, u, step=1e-3):
        encoder = np.stack([1 + step * u, 1 - step * u], axis=1) / 2
        i_xt, i_ty = informations(joint, encoder)
        return (i_xt - beta * i_ty) / step**2

    def least_curvature(beta):
        basis = np.eye(5)
        hessian = np.array(
            [[(moved_apart(beta, a + b) - moved_apart(beta, a - b)) / 2 for a in basis] for b in basis]
        )
        weight = np.diag(joint.sum(1).numpy())
        return scipy.linalg.eigh(hessian, weight)[0][0]

    found = critical_beta(joint)
    # Central differences with step 1e-3 are good to about 1e-6; the curvature across 1 % of beta is 1e-2.
    assert least_curvature(0.99 * found) > -1e-4
    assert least_curvature(1.01 * found) < -1e-3


def test_the_single_cluster_has_the_first_critical_beta_and_its_parts_have_later_ones():
    joint = two_levels(between=0.1, within=0.3)
    first, second = (
        1 / 0.8**2,
        1 / 0.4**2,
    )  # s_2 of Y1 and of Y2, which are told apart by the pairs and inside them
    assert next_critical_betas(discrete_ib(joint, 1.2)).tolist() == pytest.approx([first], rel=1e-6)
    halves = discrete_ib(joint, 5.0)
    assert halves.clusters == 2
    # Inside a pair X has another pair's members too, as the halves overlap: later than the first, near the second.
    assert next_critical_betas(halves).tolist() == pytest.approx([second] * 2, rel=0.01)
    assert next_critical_betas(discrete_ib(joint, 1e4)).tolist() == [math.inf] * 4


def test_clusters_are_counted_by_what_they_say_not_by_their_number():
    decoder = torch.tensor([[0.5, 0.5], [0.5005, 0.4995], [0.6, 0.4], [0.9, 0.1]], dtype=torch.float64)
    marginal = torch.tensor([0.3, 0.3, 0.4 - 1e-8, 1e-8], dtype=torch.float64)
    assert effective_clusters(marginal, decoder).tolist() == [0, 0, 1, -1]


@pytest.mark.parametrize(("between", "within"), [(0.1, 0.3), (0.2, 0.35), (0.05, 0.2)])
def test_an_annealed_path_splits_where_the_second_variation_says(between, within):
    joint = two_levels(between=between, within=within)
    betas = torch.logspace(0.01, 1.6, 25, dtype=torch.float64)
    path = annealed_ib(joint, betas)
    assert path.converged.all()
    assert path.clusters[0] == 1
    assert path.clusters[-1] == 4
    assert path.critical[0].item() == pytest.approx(critical_beta(joint), rel=DETECTED)
    assert path.critical.tolist() == pytest.approx(path.predicted.tolist(), rel=DETECTED)
    # By symmetry the two parts of Y are separate problems: the members part at 1 / (1 - 2 within)^2.
    assert path.critical[-1].item() == pytest.approx((1 - 2 * within) ** -2, rel=DETECTED)


def test_a_path_is_its_solutions():
    joint = random_table(6, 4, seed=1)
    betas = [1.5, 2.5, 4.0, 8.0, 20.0]
    path = annealed_ib(joint, betas, refine=False)
    assert path.betas.tolist() == betas
    assert path.encoders.shape == (5, 6, 6)
    assert {getattr(path, f).dtype for f in ("betas", "i_xt", "i_ty", "encoders", "residual")} == {
        torch.float64
    }
    for i, encoder in enumerate(path.encoders):
        assert (path.i_xt[i].item(), path.i_ty[i].item()) == pytest.approx(
            informations(joint, encoder), abs=EXACT
        )
        assert (
            len(set(effective_clusters(path.marginals[i], path.decoders[i]).tolist()) - {-1})
            == path.clusters[i]
        )
    lagrangians = path.i_xt - path.betas * path.i_ty
    for beta, found in zip(betas, lagrangians.tolist(), strict=True):
        assert found >= discrete_ib(joint, beta, restarts=40).lagrangian - 1e-7
    # Unrefined, a change of the number of clusters lies in the middle of its interval.
    changes = [
        (a + b) / 2
        for (a, b), step in zip(itertools.pairwise(betas), path.clusters.diff(), strict=True)
        if step
    ]
    assert path.critical.tolist() == pytest.approx(changes)


def test_the_way_up_and_the_way_down_differ_where_a_split_is_a_jump():
    """This table's best solution leaves the single cluster by 3.6; copies of the cluster stay together up to 4.5."""
    joint = random_table(8, 5, seed=0)
    assert critical_beta(joint) == pytest.approx(4.498, abs=1e-3)
    betas = [2.5, 3.0, 3.6, 4.2, 4.4, 5.0]
    up = annealed_ib(joint, betas)
    down = annealed_ib(joint, betas[::-1])
    assert up.clusters[betas.index(4.2)] == 1
    assert down.clusters[betas[::-1].index(4.2)] > 1
    at = [(path.i_xt - path.betas * path.i_ty)[path.betas == 4.2].item() for path in (up, down)]
    assert at[1] < at[0] - 1e-3


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"betas": [2.0]}, r"betas: shape is \(1,\); must be \(B,\) with B >= 2"),
        ({"betas": [[2.0, 3.0]]}, r"betas: shape is \(1, 2\); must be \(B,\)"),
        ({"betas": [0.0, 1.0]}, r"betas: the smallest is 0; must be above 0"),
        ({"betas": [1.0, math.nan]}, r"betas: 1 of its 2 entries are NaN or infinite"),
        ({"betas": [1.0, 3.0, 2.0]}, r"betas: go up and down, or repeat; must be strictly"),
        ({"betas": [1.0, 1.0]}, r"betas: go up and down, or repeat; must be strictly"),
        ({"clusters": 0}, r"clusters=0: must be at least 1"),
        ({"restarts": 0}, r"restarts=0: must be at least 1"),
        ({"jitter": 0.0}, r"jitter=0.0: must be finite and above 0"),
        ({"tol": -1.0}, r"tol=-1.0: must be finite and above 0"),
        ({"joint": binary_symmetric(0.2) * 0.9}, r"joint: its entries sum to 0.9; must be 1"),
    ],
)
def test_bad_paths_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        annealed_ib(**{"joint": binary_symmetric(0.2), "betas": [1.0, 2.0], **arguments})


def test_paths_are_repeatable():
    joint = random_table(5, 4, seed=3)
    one, two = (annealed_ib(joint, [2.0, 4.0, 8.0], generator=generator(1)) for _ in range(2))
    assert torch.equal(one.encoders, two.encoders)
    assert torch.equal(one.critical, two.critical)
