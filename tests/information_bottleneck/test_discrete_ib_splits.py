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
# Without symmetry the third order is not zero: the jitter tips the copies over a little before the second variation does.
TIPPED = 5e-3


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


def least_curvature(joint, encoder, cluster, beta) -> float:
    """The least eigenvalue of the Lagrangian's Hessian for two copies of a cluster that are moved apart.

    By central differences with step 1e-3, which are good to about 1e-6; relative to the variance inside the cluster.
    """
    n, step = len(encoder), 1e-3
    rest = np.delete(encoder, cluster, axis=1)
    inside = joint.sum(1).numpy() * encoder[:, cluster]

    def lagrangian(u):
        copies = encoder[:, [cluster]] * np.stack([1 + u, 1 - u], axis=1) / 2
        i_xt, i_ty = informations(joint, np.concatenate([rest, copies], axis=1))
        return i_xt - beta * i_ty

    steps = step * np.eye(n)
    hessian = [[(lagrangian(a + b) - lagrangian(a - b)) / 2 / step**2 for a in steps] for b in steps]
    return scipy.linalg.eigh(hessian, np.diag(inside))[0][0]


@pytest.mark.parametrize("seed", range(3))
def test_the_first_critical_beta_is_that_of_the_second_variation(seed):
    joint = random_table(5, 4, seed=seed)
    found = critical_beta(joint)
    single = np.ones((5, 1))
    assert least_curvature(joint, single, 0, 0.99 * found) > -1e-4
    assert least_curvature(joint, single, 0, 1.01 * found) < -1e-3


@pytest.mark.parametrize("seed", range(3))
def test_the_next_critical_betas_are_those_of_the_second_variation(seed):
    """The encoder is held where it is: only the beta of the Lagrangian moves."""
    joint = random_table(5, 4, seed=seed)
    solution = discrete_ib(joint, 1.5 * critical_beta(joint), clusters=2)
    betas = next_critical_betas(solution)
    assert len(betas) == solution.clusters == 2
    for cluster, beta in enumerate(betas.tolist()):
        encoder = solution.encoder.numpy()
        assert least_curvature(joint, encoder, cluster, 0.99 * beta) > -1e-4
        assert least_curvature(joint, encoder, cluster, 1.01 * beta) < -1e-3


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


@pytest.mark.parametrize("seed", range(5))
def test_every_split_of_a_random_table_is_predicted(seed):
    joint = random_table(8, 5, seed=seed)
    path = annealed_ib(joint, torch.logspace(0.1, 1.5, 15, dtype=torch.float64))
    assert len(path.critical) >= 5
    assert path.critical.tolist() == pytest.approx(path.predicted.tolist(), rel=TIPPED)


def test_a_path_is_its_solutions():
    joint = random_table(6, 4, seed=1)
    betas = [1.5, 2.5, 4.0, 8.0, 20.0]
    path = annealed_ib(joint, betas, refine=False)
    assert torch.equal(path.joint, joint / joint.sum())
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


def test_a_rare_and_telling_value_is_kept_long_before_copies_part():
    """The contraction coefficient of this channel is ln 0.1 / ln 0.02, reached where X is the rare value for sure."""
    joint = torch.tensor([[0.02, 0.0], [0.08, 0.9]], dtype=torch.float64)
    worth = math.log(0.02) / math.log(0.1)
    for beta, keeps in ((0.999 * worth, False), (1.001 * worth, True), (5.0, True)):
        assert (optimality_gap(discrete_ib(joint, beta, clusters=1)) > 1e-9) == keeps
    betas = torch.linspace(1.5, 6.5, 11, dtype=torch.float64)
    up, down = annealed_ib(joint, betas), annealed_ib(joint, betas.flip(0))
    correlation = (0.02 * 0.9) ** 2 / (0.02 * 0.98 * 0.1 * 0.9)  # of two bits, squared
    assert up.critical.tolist() == pytest.approx([1 / correlation], rel=DETECTED)
    assert down.critical.tolist() == pytest.approx([worth], rel=DETECTED)


def test_parts_of_a_split_cluster_split_again_at_the_same_beta():
    """One step of the path from one cluster to four: each split cluster needs copies of its parts."""
    joint = two_levels(between=0.1, within=0.2)
    path = annealed_ib(joint, [1.2, 20.0])
    assert path.clusters.tolist() == [1, 4]
    assert path.critical.tolist() == pytest.approx([0.8**-2, 0.6**-2], rel=DETECTED)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"betas": [2.0]}, r"betas: shape is \(1,\); must be \(B,\) with B >= 2"),
        ({"betas": [[2.0, 3.0]]}, r"betas=\[\[2.0, 3.0\]\]: must be a finite number >= 0, or a vector"),
        ({"betas": [0.0, 1.0]}, r"betas: the smallest is 0; must be above 0"),
        ({"betas": [1.0, math.nan]}, r"betas=\[1.0, nan\]: must be a finite number >= 0, or a vector"),
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


def test_arguments_of_another_kind_are_named():
    with pytest.raises(TypeError, match="betas='12': must be a number, not str"):
        annealed_ib(binary_symmetric(0.2), "12")
    with pytest.raises(TypeError, match="solution: must be a DiscreteIB, not int"):
        next_critical_betas(3)
    with pytest.raises(TypeError, match="solution: must be a DiscreteIB, not int"):
        optimality_gap(3)
    three = torch.full((3, 2), 0.5, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"marginal: shape is \(2,\); must be \(3,\)"):
        effective_clusters(torch.tensor([0.5, 0.5], dtype=torch.float64), three)
    with pytest.raises(ValueError, match="marginal: 1 of its 3 entries are NaN"):
        effective_clusters(torch.tensor([0.5, 0.5, math.nan], dtype=torch.float64), three)


def test_the_lagrangian_of_a_path_is_that_of_its_points():
    path = annealed_ib(binary_symmetric(0.2), [2.0, 3.0, 6.0])
    for i, beta in enumerate(path.betas.tolist()):
        alone = discrete_ib(binary_symmetric(0.2), beta)
        assert path.lagrangian[i].item() == pytest.approx(alone.lagrangian, abs=1e-9)
