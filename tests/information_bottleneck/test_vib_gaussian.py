"""A VIB on Gaussian data must find the closed form of the Gaussian bottleneck: its rank, its informations, its gains."""

import math
from itertools import pairwise

import pytest
import torch

from lrlib.bottleneck import fit_gaussian_vib, gaussian_ib
from lrlib.bottleneck.vib_gaussian import _expected_distortion
from lrlib.rank import covariance_root
from lrlib.runtime import generator

N = 400
CORRELATIONS = (0.95, 0.8, 0.5, 0.2)
# The sample's squared correlations lie within 0.1 of 0.9, 0.64, 0.25 and 0.04: these betas are not at a step.
BETAS = (0.1, 0.45, 0.75, 0.98)
NATS = 2e-5  # what a gradient of at most 1e-5 leaves, with curvatures above 0.1
EPS = 1e-3  # a direction that is kept has a gain above this, one that is dropped below


def problem(seed=0):
    g = generator(seed)
    options = {"generator": g, "dtype": torch.float64}
    rho = torch.tensor(CORRELATIONS, dtype=torch.float64)
    x = torch.randn(N, 4, **options)
    y = x * rho + torch.randn(N, 4, **options) * (1 - rho**2).sqrt()
    return x @ torch.randn(4, 4, **options), y @ torch.randn(4, 4, **options) + 3.0


@pytest.fixture(scope="module")
def data():
    x, y = problem()
    cov = torch.cov(torch.cat([x, y], 1).T)
    return x, y, (cov[:4, :4], cov[4:, 4:], cov[:4, 4:])


@pytest.mark.parametrize("beta", BETAS)
def test_it_ends_at_the_closed_form(data, beta):
    x, y, covariances = data
    found, exact = fit_gaussian_vib(x, y, beta), gaussian_ib(*covariances, 1 / beta)
    assert found.converged
    assert int((found.singular_values > EPS).sum()) == exact.rank
    assert found.rate == pytest.approx(exact.i_xt, abs=NATS / beta)
    entropy = 0.5 * torch.linalg.slogdet(2 * math.pi * math.e * covariances[1] * (N - 1) / N)[1].item()
    assert entropy - found.distortion == pytest.approx(exact.i_ty, abs=NATS)
    if exact.rank:
        gains = torch.linalg.svdvals(exact.encoder @ covariance_root(x))
        torch.testing.assert_close(
            found.singular_values[: len(gains)], gains, rtol=1e-3, atol=EPS
        )  # flat near a step: to first order in the gradient


def test_the_rank_falls_one_by_one_as_beta_passes_the_squared_correlations(data):
    x, y, covariances = data
    squares = sorted(1 / b for b in gaussian_ib(*covariances, 2.0).critical_betas.tolist())
    between = [math.sqrt(a * b) for a, b in pairwise(squares)]
    ranks = [int((fit_gaussian_vib(x, y, beta).singular_values > EPS).sum()) for beta in between]
    assert ranks == [3, 2, 1]


def test_the_model_is_in_the_units_of_x_and_its_rate_is_its_own(data):
    x, y, _ = data
    found = fit_gaussian_vib(x, y, 0.3)
    centred = x - x.mean(0)
    assert found.vib.rate(centred).mean().item() == pytest.approx(found.rate, rel=1e-9)
    assert _expected_distortion(found.vib, centred, y - y.mean(0)).item() == pytest.approx(
        found.distortion, rel=1e-9
    )


def test_the_expectation_over_the_noise_is_what_draws_give(data):
    """The residual covariance over many draws, against the closed form inside the distortion."""
    x, y, _ = data
    vib, centred = fit_gaussian_vib(x, y, 0.3).vib, y - y.mean(0)
    with torch.no_grad():
        z = vib.sample(x - x.mean(0), generator(1), samples=500)
        residual = (centred - vib.decode(z)).flatten(0, 1)
    sampled = 0.5 * torch.linalg.slogdet(2 * math.pi * math.e * residual.T @ residual / len(residual))[1]
    # half the log-determinant of a 4 x 4 covariance of n = 200,000 normal draws has the deviation sqrt(2 * 4 / n) / 2
    # = 0.0032; here x is held, and less varies. Four of them.
    assert sampled.item() == pytest.approx(
        _expected_distortion(vib, x - x.mean(0), centred).item(), abs=0.013
    )


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_units_do_not_matter(data, scale):
    x, y, _ = data
    found, other = fit_gaussian_vib(x, y, 0.1), fit_gaussian_vib(x / scale, scale * y, 0.1)
    assert other.converged
    torch.testing.assert_close(other.singular_values, found.singular_values, rtol=1e-5, atol=EPS)
    assert other.rate == pytest.approx(found.rate, abs=NATS / 0.1)
    assert other.distortion == pytest.approx(found.distortion + 4 * math.log(scale), abs=NATS)
    prediction, expected = (f.vib(part - part.mean(0)) for f, part in ((other, x / scale), (found, x)))
    assert ((prediction / scale - expected).norm() < 1e-3 * expected.norm()).item()


def test_a_narrower_code_keeps_the_best_direction(data):
    x, y, covariances = data
    found = fit_gaussian_vib(x, y, 0.1, code=1)
    first = 1 / gaussian_ib(*covariances, 2.0).critical_betas.min().item()  # its squared correlation
    # one direction of correlation rho^2 at beta: gain^2 = (rho^2 - beta) / (beta (1 - rho^2)), the closed form for one
    gain = math.sqrt((first - 0.1) / (0.1 * (1 - first)))
    assert found.singular_values.tolist() == pytest.approx([gain], rel=1e-3)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"beta": 0.0}, ValueError, "beta=0.0"),
        ({"code": 0}, ValueError, "code=0"),
        ({"init": 0.0}, ValueError, "init=0.0"),
        ({"y": torch.zeros(3, 1)}, ValueError, "y: has 3 samples; must have 400"),
        ({"x": torch.ones(N, 2)}, ValueError, "x: its 2 columns are linearly dependent"),
        ({"x": torch.randn(2, 3), "y": torch.randn(2, 1)}, ValueError, "x: its 3 columns are linearly dependent"),
        ({"x": torch.full((N, 1), torch.nan)}, ValueError, "x: "),
        ({"y": torch.ones(N, 1)}, ValueError, "y: its 1 columns are linearly dependent"),
        ({"y": problem()[0][:, :2] + 1}, ValueError, "y: a combination of its columns is a linear function of x"),
    ],
)  # fmt: skip
def test_bad_arguments_are_named(changes, error, message):
    x, y = problem()
    with pytest.raises(error, match=message):
        fit_gaussian_vib(**{"x": x, "y": y, "beta": 0.3} | changes)
