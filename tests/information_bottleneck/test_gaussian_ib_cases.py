"""The Gaussian bottleneck where it is degenerate, and bad arguments."""

import math

import pytest
import torch
from covariance_cases import blocks, informations, lagrangian, random_covariances, with_correlations

from lrlib.bottleneck import gaussian_ib, gaussian_ib_curve, learn_gaussian_ib

EYE = torch.eye(2, dtype=torch.float64)


def repeated(cov_x, cov_y, cov_xy, e):
    """The covariances of (E x, y): a tall E makes that of x singular."""
    return e @ cov_x @ e.T, cov_y, e @ cov_xy


@pytest.mark.parametrize("beta", [1.1, 3.0, 30.0])
def test_directions_of_x_without_variance_carry_nothing(beta):
    g = torch.Generator().manual_seed(0)
    regular = random_covariances(3, 3, seed=0)
    e = torch.randn(5, 3, generator=g, dtype=torch.float64)
    one, two = gaussian_ib(*regular, beta), gaussian_ib(*repeated(*regular, e), beta)
    torch.testing.assert_close(two.singular_values[:3], one.singular_values, rtol=1e-7, atol=1e-9)
    assert (two.singular_values[3:] == 0).all()
    assert two.critical_betas[3:].tolist() == [math.inf, math.inf]
    assert two.rank == one.rank
    assert two.i_ty == pytest.approx(one.i_ty, abs=1e-9)
    i_xt = torch.linalg.slogdet(
        torch.eye(5, dtype=torch.float64) + two.encoder @ e @ regular[0] @ e.T @ two.encoder.T
    )
    assert i_xt[1].item() / 2 == pytest.approx(one.i_xt, abs=1e-9)


def test_directions_of_y_without_variance_change_nothing():
    g = torch.Generator().manual_seed(1)
    cov_x, cov_y, cov_xy = random_covariances(3, 3, seed=1)
    e = torch.randn(6, 3, generator=g, dtype=torch.float64)
    one = gaussian_ib(cov_x, cov_y, cov_xy, 5.0)
    two = gaussian_ib(cov_x, e @ cov_y @ e.T, cov_xy @ e.T, 5.0)
    torch.testing.assert_close(two.encoder, one.encoder, rtol=1e-7, atol=1e-8)


def test_constant_variables_are_directions_without_variance():
    cov_x, cov_y, cov_xy = with_correlations([0.9, 0.5])
    constant = torch.zeros(2, 2, dtype=torch.float64)
    constant[0, 0] = 2.0
    cross = torch.tensor([[0.9 * math.sqrt(2.0), 0.0], [0.0, 0.0]], dtype=torch.float64)
    found = gaussian_ib(constant, cov_y, cross, 5.0)
    assert found.critical_betas.tolist() == [pytest.approx(1 / 0.81), math.inf]
    nothing = gaussian_ib(0 * cov_x, cov_y, 0 * cov_xy, 5.0)
    assert (nothing.rank, nothing.i_xt, nothing.i_ty) == (0, 0, 0)
    learned = learn_gaussian_ib(0 * cov_x, cov_y, 0 * cov_xy, 5.0)
    assert (learned.rank, learned.i_xt, learned.converged) == (0, 0, True)


def test_equal_correlations_switch_on_together():
    covariances = with_correlations([0.8, 0.8, 0.8, 0.3], seed=2)
    assert gaussian_ib(*covariances, 1.5625 * (1 - 1e-9)).rank == 0
    found = gaussian_ib(*covariances, 5.0)
    assert found.rank == 3
    assert torch.equal(found.encoder, gaussian_ib(*covariances, 5.0).encoder)  # one and the same choice
    top = found.encoder[:3]
    assert (top.gather(1, top.abs().argmax(1, keepdim=True)) > 0).all()
    # what does not depend on the choice: A^T A, here from the subspace alone
    cov_x, cov_y, cov_xy = covariances
    regression = cov_xy @ torch.linalg.solve(cov_y, cov_xy.T)
    rho2, v = torch.linalg.eig(torch.linalg.solve(cov_x, regression))
    v = v.real[:, rho2.real > 0.5]
    projector = v @ torch.linalg.solve(v.T @ cov_x @ v, v.T)
    gain = (5 * 0.64 - 1) / 0.36
    torch.testing.assert_close(found.encoder.T @ found.encoder, gain * projector, rtol=1e-8, atol=1e-9)
    turned = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(0)).double()).Q
    assert lagrangian(turned @ found.encoder, covariances, 5.0) == pytest.approx(found.lagrangian, abs=1e-10)


@pytest.mark.parametrize("beta", [0.5, 2.0, 1e12])
def test_independent_x_and_y_never_switch_on(beta):
    found = gaussian_ib(EYE, EYE, 0 * EYE, beta)
    assert found.critical_betas.tolist() == [math.inf, math.inf]
    assert (found.rank, found.i_xt, found.i_ty) == (0, 0, 0)


def test_a_correlation_that_is_rounding_counts_as_none():
    found = gaussian_ib(EYE, EYE, 1e-17 * EYE, 1e12)
    assert found.critical_betas.tolist() == [math.inf, math.inf]
    assert found.resolution.max() < 1e-14


def test_where_x_determines_y_the_gain_would_be_infinite():
    covariances = with_correlations([1.0, 0.5], seed=0)
    below = gaussian_ib(*covariances, 1.0)
    assert below.critical_betas[0] == pytest.approx(1.0)
    assert below.rank == 0
    for solve in (gaussian_ib, learn_gaussian_ib):
        with pytest.raises(
            ValueError, match=r"cov_xy: a combination of x determines one of y.* at beta=1\.5"
        ):
            solve(*covariances, 1.5)
    with pytest.raises(
        ValueError, match=r"determines one of y.*at beta=3 the best encoder has infinite gain"
    ):
        gaussian_ib_curve(*covariances, torch.tensor([0.5, 3.0]))
    # what the error says is true: the Lagrangian has no minimum
    plain, top = with_correlations([1.0, 0.5]), torch.diag(torch.tensor([1.0, 0.0], dtype=torch.float64))
    values = [lagrangian(c * top, plain, 1.5) for c in (1e1, 1e2, 1e3)]
    assert values[0] > values[1] + 1
    assert values[1] > values[2] + 1


def test_single_precision_is_taken_for_what_it_is():
    covariances = random_covariances(4, 3, seed=3)
    double = gaussian_ib(*covariances, 8.0)
    single = gaussian_ib(*(c.float() for c in covariances), 8.0)
    assert single.encoder.dtype == torch.float64
    torch.testing.assert_close(single.singular_values, double.singular_values, rtol=1e-4, atol=1e-4)
    assert (single.resolution[:3] > 1e6 * double.resolution[:3]).all()  # y has three entries


def test_more_variables_than_samples():
    """A sample covariance of few samples is singular, and x then determines y: said, not computed."""
    g = torch.Generator().manual_seed(0)
    few = torch.cov(torch.randn(16, 10, generator=g, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"determines one of y"):
        gaussian_ib(*blocks(few, 8), 2.0)


INDEFINITE = torch.tensor([[1.0, 2.0], [2.0, 1.0]])
SKEW = torch.tensor([[1.0, 0.5], [0.1, 1.0]])
NEARLY = torch.tensor([[1.0, 1 - 1e-14], [1 - 1e-14, 1.0]], dtype=torch.float64)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((EYE, EYE, EYE / 2, -1.0), ValueError, r"beta=-1.0: must be finite and at least 0"),
        ((EYE, EYE, EYE / 2, math.nan), ValueError, r"beta=nan: must be finite"),
        ((EYE, EYE, EYE / 2, math.inf), ValueError, r"beta=inf: must be finite"),
        ((EYE, EYE, EYE / 2, "2"), TypeError, r"beta='2': must be a number"),
        (([[1.0]], EYE, EYE, 2.0), TypeError, r"cov_x: must be a torch.Tensor, not list"),
        ((EYE.int(), EYE, EYE, 2.0), TypeError, r"cov_x: dtype is torch.int32"),
        ((EYE[:1], EYE, EYE, 2.0), ValueError, r"cov_x: shape is \(1, 2\); must be square"),
        ((EYE, EYE, EYE[:, :1], 2.0), ValueError, r"cov_xy: shape is \(2, 1\); must be \(2, 2\)"),
        ((EYE, EYE, EYE * math.nan, 2.0), ValueError, r"cov_xy: 4 of its 4 entries are NaN"),
        ((SKEW, EYE, EYE / 2, 2.0), ValueError, r"cov_x: differs from its transpose by up to 0.4"),
        ((EYE, SKEW, EYE / 2, 2.0), ValueError, r"cov_y: differs from its transpose"),
        ((INDEFINITE, EYE, 0 * EYE, 2.0), ValueError, r"joint covariance has the eigenvalue -1; must be"),
        ((EYE, INDEFINITE, 0 * EYE, 2.0), ValueError, r"joint covariance has the eigenvalue -1"),
        ((-EYE, EYE, 0 * EYE, 2.0), ValueError, r"joint covariance has the eigenvalue -1"),
        (
            (EYE, EYE, 1.5 * EYE, 2.0),
            ValueError,
            r"joint covariance has the eigenvalue -0.5; must be positive",
        ),
        ((torch.diag(torch.tensor([1.0, 0.0])), EYE, EYE / 2, 2.0), ValueError, r"joint covariance has"),
        ((NEARLY, EYE, 0 * EYE, 2.0), ValueError, r"cov_x, cov_y: some variables are nearly combinations"),
    ],
)
def test_bad_arguments_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        gaussian_ib(*arguments)


@pytest.mark.parametrize(
    ("betas", "error", "message"),
    [
        (torch.tensor([1.0, -2.0]), ValueError, r"betas=.*must be a finite number >= 0"),
        (torch.tensor([math.nan]), ValueError, r"betas=.*must be a finite number >= 0"),
        (torch.tensor(2.0), ValueError, r"betas=2.0: must be a vector"),
        ("all", TypeError, r"betas='all'"),
    ],
)
def test_bad_betas_are_named(betas, error, message):
    with pytest.raises(error, match=message):
        gaussian_ib_curve(EYE, EYE, EYE / 2, betas)


def test_the_oracle_of_these_tests_knows_the_scalar_case():
    one = torch.ones(1, 1, dtype=torch.float64)
    i_xt, i_ty = informations(3 * one, one, one, 0.8 * one)
    assert i_xt == pytest.approx(0.5 * math.log(10))
    assert i_ty == pytest.approx(-0.5 * math.log(1 - 0.64 * 9 / 10))  # correlation of T and Y squared
