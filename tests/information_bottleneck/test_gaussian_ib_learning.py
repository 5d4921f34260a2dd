"""Descent on the Gaussian bottleneck finds the closed form, and says when it has not."""

import math

import pytest
import torch
from covariance_cases import informations, lagrangian, random_covariances, with_correlations

from lrlib.bottleneck import gaussian_ib, learn_gaussian_ib

# L is flat to second order at its minimum, so float64 leaves singular values of about 10 uncertain by some 1e-5
SINGULAR_VALUES = 1e-4
LAGRANGIAN = 1e-10


def generator(seed):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("seed", range(3))
def test_descent_finds_the_closed_form(seed):
    covariances = random_covariances(5, 4, seed)
    critical = gaussian_ib(*covariances, 1).critical_betas[:4]
    between = (
        critical * torch.cat([critical[1:], 3 * critical[-1:]])
    ).sqrt()  # on each step of the staircase
    for beta in [critical[0].item() * 0.9, *between.tolist()]:
        best = gaussian_ib(*covariances, beta)
        found = learn_gaussian_ib(*covariances, beta, generator=generator(seed))
        assert (found.converged, found.saddle) == (True, False)
        assert found.rank == best.rank
        torch.testing.assert_close(found.singular_values, best.singular_values, rtol=0, atol=SINGULAR_VALUES)
        excess = found.lagrangian - best.lagrangian
        assert -1e-12 <= excess <= LAGRANGIAN


def test_what_is_reported_is_what_the_encoder_does():
    covariances = random_covariances(4, 6, seed=4)
    found = learn_gaussian_ib(*covariances, 6.0, max_iterations=5)
    assert not found.converged
    assert found.iterations == 5
    i_xt, i_ty = informations(found.encoder, *covariances)
    assert (found.i_xt, found.i_ty) == (pytest.approx(i_xt, abs=1e-10), pytest.approx(i_ty, abs=1e-10))
    root = torch.linalg.cholesky(covariances[0])
    values = torch.linalg.svdvals(found.encoder @ root)
    torch.testing.assert_close(found.singular_values, values, rtol=1e-9, atol=1e-10)
    assert found.rank == (values > found.eps).sum()


def test_the_gradient_and_the_curvature_are_those_of_the_lagrangian():
    """By differences of the definition: along B itself, and along a new row."""
    rho, beta = [0.9, 0.6, 0.3], 4.0
    covariances = with_correlations(rho)
    found = learn_gaussian_ib(*covariances, beta, max_iterations=3)
    a = found.encoder.clone().requires_grad_()
    unit, noise = torch.eye(3).double(), torch.diag(1 - torch.tensor(rho, dtype=torch.float64) ** 2)
    i_xt, given = torch.logdet(unit + a @ a.T) / 2, torch.logdet(unit + a @ noise @ a.T) / 2
    (gradient,) = torch.autograd.grad((i_xt - beta * (i_xt - given)) / beta, a)
    assert found.gradient_norm == pytest.approx(gradient.abs().max().item(), rel=1e-6)

    def gain(v, step):  # of a fourth row; the three others stay
        more = torch.cat([found.encoder, step * v[None]])
        return (lagrangian(more, covariances, beta) - found.lagrangian) / beta / (step**2 / 2)

    directions = torch.nn.functional.normalize(torch.randn(20_000, 3, generator=generator(0)).double())
    lowest = min(gain(v, 1e-3) for v in directions[:2000])
    assert found.lowest_curvature <= lowest + 1e-5
    assert found.lowest_curvature == pytest.approx(lowest, abs=0.02)  # 2000 directions leave that much unseen


def test_a_zero_row_never_starts_to_move_and_the_result_says_saddle():
    covariances = with_correlations([0.9, 0.7], seed=1)
    critical = gaussian_ib(*covariances, 1).critical_betas
    below = gaussian_ib(*covariances, critical.mean().item())
    assert below.rank == 1
    stuck = learn_gaussian_ib(*covariances, 10.0, start=below.encoder)
    assert gaussian_ib(*covariances, 10.0).rank == 2
    assert (stuck.rank, stuck.converged, stuck.saddle) == (1, True, True)
    noise = 1e-3 * torch.randn(2, 2, generator=generator(0), dtype=torch.float64)
    freed = learn_gaussian_ib(*covariances, 10.0, start=below.encoder + noise)
    assert (freed.rank, freed.converged, freed.saddle) == (2, True, False)
    assert freed.lagrangian < stuck.lagrangian - 0.1


def test_a_start_at_the_optimum_stays():
    covariances = random_covariances(4, 4, seed=6)
    best = gaussian_ib(*covariances, 5.0)
    found = learn_gaussian_ib(*covariances, 5.0, start=best.encoder)
    assert found.iterations <= 2
    torch.testing.assert_close(found.singular_values, best.singular_values, rtol=0, atol=1e-6)


def test_a_singular_covariance_of_x():
    e = torch.randn(5, 3, generator=generator(0), dtype=torch.float64)
    cov_x, cov_y, cov_xy = random_covariances(3, 3, seed=0)
    found = learn_gaussian_ib(e @ cov_x @ e.T, cov_y, e @ cov_xy, 5.0)
    best = gaussian_ib(cov_x, cov_y, cov_xy, 5.0)
    torch.testing.assert_close(found.singular_values[:3], best.singular_values, rtol=0, atol=SINGULAR_VALUES)
    assert found.encoder.shape == (5, 5)
    assert found.lagrangian == pytest.approx(best.lagrangian, abs=LAGRANGIAN)


def test_the_generator_decides_the_start():
    covariances = random_covariances(3, 3, seed=1)
    one, two, other = (
        learn_gaussian_ib(*covariances, 5.0, max_iterations=2, generator=generator(s)) for s in (0, 0, 1)
    )
    assert torch.equal(one.encoder, two.encoder)
    assert not torch.equal(one.encoder, other.encoder)
    default = learn_gaussian_ib(*covariances, 5.0, max_iterations=2)
    assert torch.equal(default.encoder, one.encoder)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"beta": 0.0}, ValueError, r"beta=0.0: must be finite and above 0"),
        ({"beta": math.nan}, ValueError, r"beta=nan: must be finite and above 0"),
        ({"init": 0.0}, ValueError, r"init=0.0: must be finite and above 0"),
        ({"eps": -1.0}, ValueError, r"eps=-1.0: must be finite and at least 0"),
        ({"max_iterations": 0}, ValueError, r"max_iterations=0: must be at least 1"),
        ({"start": torch.ones(3, 2)}, ValueError, r"start: shape is \(3, 2\); must be \(2, 2\)"),
        ({"start": [1.0]}, TypeError, r"start: must be a torch.Tensor"),
        ({"generator": 3}, TypeError, r"generator=3: must be a torch.Generator"),
    ],
)
def test_bad_options_are_named(change, error, message):
    eye = torch.eye(2, dtype=torch.float64)
    arguments = {"beta": 2.0} | change
    with pytest.raises(error, match=message):
        learn_gaussian_ib(eye, eye, eye / 2, arguments.pop("beta"), **arguments)


def test_where_float64_cannot_resolve_the_minimum_it_does_not_say_converged():
    problem = with_correlations([0.9, 0.5])
    assert learn_gaussian_ib(*problem, 1e3).converged
    far = learn_gaussian_ib(*problem, 1e6)
    excess = far.lagrangian - gaussian_ib(*problem, 1e6).lagrangian
    assert far.converged == (excess < 1e-3)
    assert not far.converged


def test_starts_and_covariances_that_want_gradients_are_taken():
    problem = [c.requires_grad_() for c in with_correlations([0.9, 0.5])]
    start = torch.eye(2, dtype=torch.float64, requires_grad=True)
    assert learn_gaussian_ib(*problem, 3.0, start=start).rank == 1


def test_a_beta_beyond_float64_is_refused():
    for solve in (gaussian_ib, learn_gaussian_ib):
        with pytest.raises(ValueError, match=r"beta=1.7e\+308: must be at most 1e\+100"):
            solve(*with_correlations([0.9]), 1.7e308)
