"""lrlib.information.gaussian_mi, gaussian_fit_mi and logdet_mi against closed forms."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from lrlib.information import gaussian_fit_mi, gaussian_mi, logdet_mi

EXACT = 1e-10  # relative: float64 through an eigendecomposition of a well-conditioned matrix
EYE = torch.eye(1, dtype=torch.float64)


def covariance(d: int, seed: int, rank: int | None = None) -> torch.Tensor:
    """Return a random covariance matrix, (d, d), of the given rank."""
    root = torch.randn(d, rank or 2 * d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return root @ root.T / root.shape[1]


def split(cov: torch.Tensor, d_x: int):
    return cov[:d_x, :d_x], cov[d_x:, d_x:], cov[:d_x, d_x:]


def pairs(n: int, rho: float, seed: int, d: int = 1):
    x, noise = torch.randn(2, n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return x, rho * x + math.sqrt(1 - rho**2) * noise


# --- gaussian_mi ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rho", [0.0, 1e-6, 0.5, -0.75, 0.8, 0.999999])
def test_one_correlation(rho):
    assert gaussian_mi(EYE, EYE, rho * EYE) == pytest.approx(
        -0.5 * math.log1p(-(rho**2)), rel=EXACT, abs=1e-16
    )


def test_yardsticks():
    assert gaussian_mi(EYE, EYE, 0.75 * EYE) == pytest.approx(0.4133, abs=5e-5)
    assert gaussian_mi(EYE, EYE, 0.8 * EYE) / math.log(2) == pytest.approx(0.7370, abs=5e-5)  # bits


@pytest.mark.parametrize(("d_x", "d_y"), [(1, 1), (2, 5), (7, 3), (30, 30)])
def test_equals_differential_entropies_of_scipy(d_x, d_y):
    cov = covariance(d_x + d_y, seed=d_x)
    entropy = [multivariate_normal(cov=block).entropy() for block in (cov[:d_x, :d_x], cov[d_x:, d_x:], cov)]
    found = gaussian_mi(*split(cov, d_x))
    assert found == pytest.approx(entropy[0] + entropy[1] - entropy[2], rel=EXACT)


def test_units_do_not_matter_even_very_different_ones():
    cov = covariance(6, seed=1)
    scale = torch.diag(10.0 ** torch.tensor([-9, 9, 0, 3, -6, 1], dtype=torch.float64))
    expected = gaussian_mi(*split(cov, 3))
    assert gaussian_mi(*split(scale @ cov @ scale, 3)) == pytest.approx(expected, rel=EXACT)


def test_a_singular_covariance_loses_only_what_is_constant_or_said_twice():
    cov = covariance(5, seed=2)
    expected = gaussian_mi(*split(cov, 3))
    twice = torch.zeros(5, 7, dtype=torch.float64)
    twice[:, 2:] = torch.eye(5)
    twice[0, 0] = 1.0  # x_0 once more; coordinate 1 is constant
    assert gaussian_mi(*split(twice.T @ cov @ twice, 5)) == pytest.approx(expected, rel=EXACT)


def test_a_function_of_x_carries_infinite_information():
    cov_x = covariance(4, seed=3)
    weight = torch.randn(2, 4, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    assert gaussian_mi(cov_x, weight @ cov_x @ weight.T, cov_x @ weight.T) == math.inf


@pytest.mark.parametrize("noise_var", [1e-2, 1e-6, 1e-9])
def test_a_channel_of_small_noise_is_not_called_infinite(noise_var):
    found = gaussian_mi(EYE, EYE + noise_var, EYE)
    # 1 - rho^2 is rounded at 1e-16, so its logarithm at 1e-16 / noise_var
    assert found == pytest.approx(0.5 * math.log1p(1 / noise_var), abs=1e-15 / noise_var)


@pytest.mark.parametrize("noise_var", [1e-3, 1e-6, 1e-9, 1e-12])
def test_a_layer_of_low_rank_seen_through_small_noise(noise_var):
    # ten units, three directions: the covariance of what is seen has a condition number of 1e4 to 1e13
    cov = covariance(10, seed=9, rank=3)
    strengths = torch.linalg.eigvalsh(cov)[-3:]
    found = gaussian_mi(cov, cov + noise_var * torch.eye(10, dtype=torch.float64), cov)
    # 1 - rho^2 is rounded at about 1e-15, beside noise_var / strength
    assert found == pytest.approx(
        0.5 * torch.log1p(strengths / noise_var).sum().item(), abs=1e-14 / noise_var
    )


def test_constants_carry_nothing():
    zero = torch.zeros(2, 2, dtype=torch.float64)
    assert gaussian_mi(zero, covariance(2, 5), zero) == 0.0


def test_float32_is_taken_with_its_own_rounding():
    cov = covariance(8, seed=6)
    expected = gaussian_mi(*split(cov, 4))
    assert gaussian_mi(*split(cov.float(), 4)) == pytest.approx(
        expected, rel=1e-4
    )  # 6e-8 by the condition, ~100
    # float32 rounding makes the joint covariance of X and a function of X slightly indefinite: no reason to refuse
    cov_x = covariance(4, seed=7)
    weight = torch.randn(2, 4, generator=torch.Generator().manual_seed(8), dtype=torch.float64)
    given = [cov.float() for cov in (cov_x, weight @ cov_x @ weight.T, cov_x @ weight.T)]
    assert gaussian_mi(*given) == math.inf


@pytest.mark.parametrize(
    ("change", "error", "rule"),
    [
        ({"cov_xy": torch.zeros(2, 3)}, ValueError, r"cov_xy: shape is \(2, 3\); must be \(2, 2\)"),
        ({"cov_x": torch.ones(2, 3)}, ValueError, r"cov_x: shape is \(2, 3\); must be square"),
        ({"cov_y": torch.tensor([[1.0, 0.5], [0.0, 1.0]])}, ValueError, "cov_y: differs from its transpose by up to 0.5 "),
        ({"cov_y": -torch.eye(2)}, ValueError, r"eigenvalue -1\.12; must be positive semi-definite"),
        ({"cov_xy": 1.2 * torch.eye(2)}, ValueError, "the joint covariance has the eigenvalue -0.2;"),
        ({"cov_x": torch.zeros(2, 2), "cov_xy": torch.eye(2) / 2}, ValueError, "joint covariance has the eigenvalue"),
        ({"cov_x": torch.full((2, 2), math.nan)}, ValueError, "cov_x: 4 of its 4 entries are NaN"),
        ({"cov_x": torch.eye(2, dtype=torch.int64)}, TypeError, "cov_x: dtype is torch.int64"),
        ({"cov_x": torch.ones(2)}, ValueError, r"cov_x: shape is \(2,\); must be a matrix"),
    ],
)  # fmt: skip
def test_gaussian_mi_refusals(change, error, rule):
    arguments = {"cov_x": torch.eye(2), "cov_y": torch.eye(2), "cov_xy": torch.eye(2) / 2, **change}
    with pytest.raises(error, match=rule):
        gaussian_mi(**arguments)


# --- gaussian_fit_mi --------------------------------------------------------------------------------------------------


def test_the_fit_is_the_information_of_the_sample_covariance_less_the_stated_bias():
    x, y = pairs(50, 0.6, seed=1, d=2)
    cov = torch.cov(torch.cat([x, y], 1).T)
    bias = (
        sum(  # for n = 50: 1/2 sum over x, over y, less over both, of psi((n - i) / 2); the logarithms cancel
            sign * 0.5 * torch.digamma(torch.tensor((50 - i) / 2, dtype=torch.float64)).item()
            for sign, d in ((1, 2), (1, 2), (-1, 4))
            for i in range(1, d + 1)
        )
    )
    assert bias > 0
    assert gaussian_fit_mi(x, y).value == pytest.approx(gaussian_mi(*split(cov, 2)) - bias, rel=EXACT)


@pytest.mark.parametrize(("n", "d"), [(10, 1), (12, 4), (100, 3)])
@pytest.mark.parametrize("rho", [0.0, 0.8])
def test_the_fit_has_no_bias_for_gaussians(n, d, rho):
    values = torch.tensor([gaussian_fit_mi(*pairs(n, rho, seed, d)).value for seed in range(300)])
    truth = -d / 2 * math.log(1 - rho**2)
    assert abs(values.mean() - truth) < 4 * values.std() / math.sqrt(300)


@pytest.mark.parametrize(("n", "d", "rho"), [(100, 1, 0.5), (1000, 3, 0.9), (100, 3, 0.0), (1000, 1, 0.99)])
def test_the_standard_error_of_the_fit_is_that_of_repeated_samples(n, d, rho):
    found = [gaussian_fit_mi(*pairs(n, rho, seed, d)) for seed in range(100)]
    spread = torch.tensor([e.value for e in found]).std()
    mean = sum(e.stderr for e in found) / 100
    # 100 samples tell a spread to 7 %; for rho = 0 the larger of two estimates of it errs upward
    assert 0.75 < mean / spread < 1.6


def test_no_standard_error_of_the_fit_is_below_the_spread_at_independence():
    # for n = 100 normal, independent pairs 1 - r^2 is Beta(98 / 2, 1 / 2), whose logarithm is drawn here
    draws = np.random.default_rng(0).beta(98 / 2, 1 / 2, size=200_000)
    spread = np.std(0.5 * np.log(draws))
    errors = [gaussian_fit_mi(*pairs(100, 0.0, seed)).stderr for seed in range(20)]
    assert min(errors) == pytest.approx(spread, rel=0.02)  # 200,000 draws with heavy tails: about 0.4 %


def test_the_fit_does_not_depend_on_linear_maps_of_each_variable():
    x, y = pairs(200, 0.7, seed=2, d=3)
    mix = torch.randn(3, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    found, plain = gaussian_fit_mi(x @ mix + 5, 1e6 * y), gaussian_fit_mi(x, y)
    assert (found.value, found.stderr) == pytest.approx((plain.value, plain.stderr), rel=1e-8)
    assert (plain.kind, plain.cap, plain.method) == ("estimate", None, "Gaussian fit")


def test_the_fit_is_blind_to_dependence_without_correlation():
    x, _ = pairs(2000, 0.0, seed=4)
    found = gaussian_fit_mi(x, x**2)
    assert found.value < 4 * found.stderr < 0.1


@pytest.mark.parametrize(
    ("x", "y", "rule"),
    [
        (torch.randn(5, 2), torch.randn(5, 3), "x, y: have 5 samples; must be at least 6"),
        (torch.randn(9, 2), torch.randn(8, 2), "y: has 8 samples; must have 9"),
        (torch.ones(9), torch.randn(9), r"x: columns \[0\] of 1 are constant"),
        (torch.arange(9.0)[:, None].expand(9, 2), torch.randn(9), "x: columns are linearly dependent"),
        (torch.arange(9.0), 2 * torch.arange(9.0) + 1, "x, y: columns are linearly dependent"),
        (torch.randn(9), torch.full((9,), math.inf), "y: 9 of its 9 entries are NaN or infinite"),
    ],
)
def test_gaussian_fit_refusals(x, y, rule):
    with pytest.raises(ValueError, match=rule):
        gaussian_fit_mi(x, y)


# --- logdet_mi --------------------------------------------------------------------------------------------------------


def exactly(cov: torch.Tensor, n: int) -> torch.Tensor:
    """Return n rows whose sample covariance is cov."""
    rows = torch.randn(n, len(cov), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    white = torch.linalg.qr(rows - rows.mean(0))[0] * math.sqrt(n - 1)
    return white @ torch.linalg.cholesky(cov).T


@pytest.mark.parametrize(("d", "noise_var"), [(1, 0.1), (4, 1.0), (10, 30.0)])
def test_logdet_equals_the_gaussian_channel(d, noise_var):
    cov = covariance(d, seed=d)
    channel = cov + noise_var * torch.eye(d, dtype=torch.float64)
    found = logdet_mi(exactly(cov, 40), noise_var)
    assert found.value == pytest.approx(gaussian_mi(cov, channel, cov), rel=EXACT)
    assert (found.kind, found.cap, found.n) == ("upper bound", None, 40)


def test_logdet_takes_more_columns_than_rows_and_constant_ones():
    t = exactly(covariance(3, seed=1), 10)
    wide = torch.cat([t, torch.ones(10, 20, dtype=torch.float64)], 1)
    assert logdet_mi(wide, 0.5).value == pytest.approx(logdet_mi(t, 0.5).value, rel=EXACT)
    assert logdet_mi(torch.ones(10, 2), 0.5).value == 0.0


def test_logdet_is_low_where_the_sample_is_small():
    truth = 10 / 2 * math.log(2)
    values = torch.tensor([logdet_mi(pairs(30, 0.0, seed, 10)[0], 1.0).value for seed in range(50)])
    assert values.mean() + 4 * values.std() / math.sqrt(50) < truth  # as the docstring warns


@pytest.mark.parametrize(("n", "d"), [(300, 1), (1000, 5)])
def test_the_standard_error_of_logdet_is_that_of_repeated_samples(n, d):
    found = [logdet_mi(pairs(n, 0.0, seed, d)[0], 0.3) for seed in range(100)]
    spread = torch.tensor([e.value for e in found]).std()
    mean = sum(e.stderr for e in found) / 100
    assert 0.75 < mean / spread < 1.3  # 100 samples tell a spread to 7 %


@pytest.mark.parametrize(
    ("t", "noise_var", "rule"),
    [
        (torch.randn(5, 2), 0.0, "noise_var=0.0: must be finite and above 0"),
        (torch.randn(1, 2), 1.0, "t: has 1 samples; must be at least 2"),
        (torch.full((3,), math.nan), 1.0, "t: 3 of its 3 entries are NaN"),
    ],
)
def test_logdet_refusals(t, noise_var, rule):
    with pytest.raises(ValueError, match=rule):
        logdet_mi(t, noise_var)


@pytest.mark.parametrize("scale", [1e200, 1e-200])
def test_the_fit_does_not_depend_on_extreme_units(scale):
    x, y = pairs(100, 0.6, seed=3)
    assert gaussian_fit_mi(scale * x, y).value == pytest.approx(gaussian_fit_mi(x, y).value, rel=EXACT)


def test_noise_out_of_range_beside_t_is_named():
    with pytest.raises(ValueError, match="noise_var=1e-310: beside t, whose entries reach"):
        logdet_mi(pairs(50, 0.0, seed=0)[0], 1e-310)
