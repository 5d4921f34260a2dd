import itertools
import math

import numpy as np
import pytest
import scipy.optimize
import torch
from ib_tables import binary_symmetric, entropy, informations, random_table

from lrlib.bottleneck import discrete_ib, optimality_gap
from lrlib.bottleneck.discrete import update
from lrlib.bottleneck.table import check_table
from lrlib.runtime import generator

EXACT = 1e-9  # float64 over a few dozen terms, and an encoder that is still to within 1e-10


@pytest.mark.parametrize("beta", [1.2, 2.7, 2.9, 4.0, 20.0])
def test_the_binary_symmetric_source_has_its_closed_form(beta):
    """T is X through a binary symmetric channel of crossover a: I(X;T) = ln 2 - h(a), I(T;Y) = ln 2 - h(a * p)."""
    p = 0.2

    def informations_at(a):
        flipped = a * (1 - p) + p * (1 - a)
        return [math.log(2) - entropy([q, 1 - q]) for q in (a, flipped)]

    def lagrangian(a):
        i_xt, i_ty = informations_at(a)
        return i_xt - beta * i_ty

    bounds = {"bounds": (0, 0.5), "method": "bounded", "options": {"xatol": 1e-10}}
    a = scipy.optimize.minimize_scalar(lagrangian, **bounds).x
    found = discrete_ib(binary_symmetric(p), beta)
    assert found.lagrangian == pytest.approx(lagrangian(a), abs=EXACT)
    # The minimum is flat: a is good to about 1e-8 in the middle, and I(X;T) with its root near a = 1/2.
    assert (found.i_xt, found.i_ty) == pytest.approx(informations_at(a), abs=1e-6)
    assert found.clusters == (1 if beta < 1 / (1 - 2 * p) ** 2 else 2)


@pytest.mark.parametrize("seed", range(4))
def test_informations_are_those_of_the_encoder(seed):
    joint = random_table(6, 4, seed=seed)
    for beta in (2.0, 5.0, 50.0):
        found = discrete_ib(joint, beta)
        assert (found.i_xt, found.i_ty) == pytest.approx(informations(joint, found.encoder), abs=EXACT)
        assert found.lagrangian == pytest.approx(found.restart_lagrangians.min().item(), abs=beta * EXACT)


@pytest.mark.parametrize("seed", range(4))
def test_a_solution_satisfies_the_three_equations(seed):
    """Written out with loops: q(t), q(y|t), and q(t|x) proportional to q(t) exp(-beta KL)."""
    beta, joint = 6.0, random_table(5, 4, seed=seed)
    found = discrete_ib(joint, beta)
    assert found.converged
    assert found.residual <= 1e-10
    q, p = found.encoder.numpy(), joint.numpy()
    channel = p / p.sum(1, keepdims=True)
    for t in range(5):
        q_t = sum(p[x].sum() * q[x, t] for x in range(5))
        assert found.marginal[t].item() == pytest.approx(q_t, abs=EXACT)
        if q_t > 1e-6:
            decoder = [sum(q[x, t] * p[x, y] for x in range(5)) / q_t for y in range(4)]
            assert found.decoder[t].tolist() == pytest.approx(decoder, abs=EXACT)
    for x in range(5):
        kl = (channel[x] * np.log(channel[x] / found.decoder.numpy())).sum(1)
        weight = found.marginal.numpy() * np.exp(-beta * kl)
        assert q[x].tolist() == pytest.approx((weight / weight.sum()).tolist(), abs=EXACT)


@pytest.mark.parametrize("seed", range(3))
def test_two_clusters_are_as_good_as_a_general_optimiser_makes_them(seed):
    beta, joint = 5.0, random_table(5, 3, seed=seed)

    def lagrangian(first):
        i_xt, i_ty = informations(joint, np.stack([first, 1 - first], axis=1))
        return i_xt - beta * i_ty

    rng = np.random.default_rng(seed)
    tight = {"bounds": [(0, 1)] * 5, "method": "L-BFGS-B", "options": {"ftol": 1e-14}}
    best = min(scipy.optimize.minimize(lagrangian, rng.random(5), **tight).fun for _ in range(12))
    found = discrete_ib(joint, beta, clusters=2, restarts=20)
    assert found.lagrangian == pytest.approx(
        best, abs=1e-6
    )  # gradients by finite differences stop near there


@pytest.mark.parametrize(("rows", "clusters"), [(4, 2), (5, 3), (6, 2), (6, 3)])
def test_a_large_beta_finds_the_best_of_all_partitions(rows, clusters):
    """I(T;Y) is convex in q(t|x), so no soft encoder beats the best partition, and beta lets it lose ln |T| / beta."""
    joint, beta = random_table(rows, 4, seed=rows), 1e4
    best = max(
        informations(joint, np.eye(clusters)[list(labels)])[1]
        for labels in itertools.product(range(clusters), repeat=rows)
    )
    found = discrete_ib(joint, beta, clusters=clusters, restarts=200)
    assert best - math.log(clusters) / beta <= found.i_ty <= best + EXACT
    assert found.encoder.max(1).values.min() > 1 - 1e-6  # and is a partition itself


@pytest.mark.parametrize("seed", range(3))
def test_the_lagrangian_never_rises_in_an_update(seed):
    joint, beta = random_table(6, 5, seed=seed), 4.0
    table = check_table(joint)
    logits = torch.randn(7, 6, 6, generator=generator(seed), dtype=torch.float64).log_softmax(-1).numpy()
    constant = beta * informations(joint, np.eye(6))[1]
    values = []
    for _ in range(60):
        values.append([i_xt - beta * i_ty for i_xt, i_ty in (informations(joint, q) for q in np.exp(logits))])
        logits, energy = update(table, beta, logits)
        # What the solver steers by is the Lagrangian, up to beta I(X;Y).
        assert (energy - constant).tolist() == pytest.approx(values[-1], abs=EXACT)
    assert np.diff(values, axis=0).max() <= 1e-12  # rounding
    assert np.diff(values, axis=0)[0].max() < -1e-3  # and at first it falls


@pytest.mark.parametrize("seed", range(3))
def test_the_curve_is_monotone_and_concave_with_slope_one_over_beta(seed):
    joint = random_table(6, 4, seed=seed)
    everything = informations(joint, np.eye(6))[1]
    betas = [1.0, 2.0, 3.0, 4.5, 7.0, 12.0, 30.0, 100.0]
    best = [discrete_ib(joint, beta, restarts=40) for beta in betas]
    assert max(optimality_gap(found) for found in best) < EXACT  # so these are points of the curve
    for old, new in itertools.pairwise(best):
        run, rise = new.i_xt - old.i_xt, new.i_ty - old.i_ty
        assert min(run, rise) > -EXACT
        # A tangent of slope 1/beta at each end: the chord lies between them.
        assert run / new.beta - EXACT <= rise <= run / old.beta + EXACT
    for found in best:
        assert found.i_ty <= min(found.i_xt, everything) + EXACT
    assert best[0].i_xt < EXACT
    assert best[-1].i_ty > 0.99 * everything


@pytest.mark.parametrize("seed", range(3))
def test_objects_that_say_the_same_share_a_cluster_and_nothing_is_lost(seed):
    """A minimal sufficient statistic: six objects, three different p(y|x)."""
    kinds = random_table(3, 4, seed=seed)
    joint = torch.kron(kinds, torch.tensor([[0.3], [0.7]], dtype=torch.float64))
    found = discrete_ib(joint, 1e4)
    assert found.clusters == 3
    assert found.i_ty == pytest.approx(informations(joint, np.eye(6))[1], abs=1e-6)
    assert found.i_xt == pytest.approx(entropy(kinds.sum(1)), abs=1e-6)


def test_the_zeros_of_a_table_do_no_harm():
    """Y is a function of X, with a spare value that never comes: KL is infinite between the objects."""
    joint = torch.tensor([[0.5, 0.0, 0.0], [0.0, 0.25, 0.0], [0.0, 0.25, 0.0]], dtype=torch.float64)
    found = discrete_ib(joint, 3.0)
    assert found.converged
    assert found.clusters == 2
    assert (found.i_xt, found.i_ty) == pytest.approx((math.log(2), math.log(2)), abs=EXACT)


def test_a_start_is_followed_and_restarts_are_repeatable():
    joint = random_table(6, 4, seed=0)
    one = torch.ones(6, 1, dtype=torch.float64)
    assert discrete_ib(joint, 50.0, start=one).clusters == 1
    assert len(discrete_ib(joint, 5.0, restarts=7).restart_lagrangians) == 7
    a, b = (discrete_ib(joint, 5.0, clusters=3, generator=generator(5)) for _ in range(2))
    assert torch.equal(a.encoder, b.encoder)
    other = discrete_ib(joint, 5.0, clusters=3, generator=generator(6))
    assert not torch.equal(a.restart_lagrangians, other.restart_lagrangians)


def test_what_has_not_converged_says_so():
    found = discrete_ib(random_table(6, 4, seed=0), 5.0, max_iterations=3)
    assert found.iterations == 3
    assert not found.converged
    assert found.residual > 1e-10


GOOD = binary_symmetric(0.2)
HALF = torch.full((2, 2), 0.5, dtype=torch.float64)


@pytest.mark.parametrize(
    ("joint", "error", "message"),
    [
        (GOOD * 2, ValueError, r"joint: its entries sum to 2; must be 1 within 1e-09"),
        (GOOD - 0.3, ValueError, r"joint: its smallest entry is -0.2; probabilities are not negative"),
        (GOOD * float("nan"), ValueError, r"joint: 4 of its 4 entries are NaN or infinite"),
        (GOOD.float(), TypeError, r"joint: dtype is torch.float32; must be torch.float64"),
        (GOOD[0], ValueError, r"joint: shape is \(2,\); must be a matrix"),
        (GOOD.numpy(), TypeError, r"joint: must be a torch.Tensor, not ndarray"),
        (torch.diag(HALF[0] * torch.tensor([2.0, 0.0])), ValueError, r"joint: row 1 has no mass"),
    ],
)
def test_a_table_that_is_none_is_refused(joint, error, message):
    with pytest.raises(error, match=message):
        discrete_ib(joint, 2.0)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"beta": 0.0}, ValueError, r"beta=0.0: must be finite and above 0"),
        ({"beta": math.inf}, ValueError, r"beta=inf: must be finite and above 0"),
        ({"beta": "2"}, TypeError, r"beta='2': must be a number"),
        ({"clusters": 0}, ValueError, r"clusters=0: must be at least 1"),
        ({"restarts": 0}, ValueError, r"restarts=0: must be at least 1"),
        ({"tol": 0.0}, ValueError, r"tol=0.0: must be finite and above 0"),
        ({"max_iterations": 0}, ValueError, r"max_iterations=0: must be at least 1"),
        ({"generator": 3}, TypeError, r"generator=3: must be a torch.Generator"),
        (
            {"start": torch.ones(3, 2).double()},
            ValueError,
            r"start: shape is \(3, 2\); must be \(2, clusters\)",
        ),
        ({"start": HALF, "clusters": 3}, ValueError, r"start: shape is \(2, 2\); must be \(2, 3\)"),
        ({"start": HALF * 2}, ValueError, r"start: a row is off by 1; each must be a distribution"),
        (
            {"start": HALF - torch.tensor([1.0, -1.0])},
            ValueError,
            r"start: a row is off by 0.5; each must be",
        ),
    ],
)
def test_bad_arguments_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        discrete_ib(GOOD, **{"beta": 2.0, **arguments})


@pytest.mark.parametrize("beta", [1e-300, 1e-3, 1.0])
def test_informations_are_never_below_zero(beta):
    found = discrete_ib(random_table(4, 3, seed=0), beta)
    assert found.i_xt >= 0
    assert found.i_ty >= 0


def test_a_beta_beyond_float64_is_refused():
    with pytest.raises(ValueError, match=r"beta=1.7e\+308: must be at most 1e\+100"):
        discrete_ib(binary_symmetric(0.1), 1.7e308)


def test_a_start_that_wants_gradients_is_taken():
    start = torch.tensor([[0.9, 0.1], [0.2, 0.8]], dtype=torch.float64, requires_grad=True)
    found = discrete_ib(binary_symmetric(0.1), 3.0, start=start)
    assert found.clusters == 2
    assert not found.encoder.requires_grad
