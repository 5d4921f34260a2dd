"""Closed forms, finite data and the integral of the slope, against finite differences, scipy and other closed forms."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate

import lrlib
from lrlib.information import gaussian_mi, logdet_mi
from lrlib.information.slope import (
    finite_channel,
    gaussian_channel_mi,
    information_by_slope,
    linearised_slope,
    soft_rank,
)
from lrlib.nets import MLP
from lrlib.runtime import generator

EXACT = 1e-6  # the issue's; finite differences of step 1e-4 in ln sigma err by 1e-8, the rest by rounding
SIGMAS = 4.0  # standard errors: a chance of 1 in 16,000; seeds are fixed


def linear_net(widths=(7, 6, 4, 5), seed=0):
    return MLP(widths, activation="identity", init="he", generator=generator(seed)).double()


def spectrum(net, x=None):
    x = torch.zeros(1, net.widths[0], dtype=torch.float64) if x is None else x
    return lrlib.jacobian_spectra(net, x, layers=[net.layers[-1]]).values[0]


# --- closed forms -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [0.01, 0.3, 1.0, 20.0])
def test_information_of_a_linear_network_is_the_gaussian_one(sigma):
    net = linear_net()
    j = torch.linalg.multi_dot([net.get_submodule(name).weight.detach() for name in reversed(net.layers)])
    noise = sigma**2 * torch.eye(5, dtype=torch.float64)
    truth = gaussian_mi(torch.eye(7, dtype=torch.float64), j @ j.T + noise, j.T)
    assert gaussian_channel_mi(spectrum(net), sigma).item() == pytest.approx(truth, rel=EXACT)


@pytest.mark.parametrize("sigma", [1e-3, 0.1, 1.0, 30.0])
def test_soft_rank_is_the_slope_of_information_in_log_noise(sigma):
    s, step = spectrum(linear_net()), 1e-4
    around = torch.tensor([sigma * math.exp(-step), sigma * math.exp(step)], dtype=torch.float64)
    fine, coarse = gaussian_channel_mi(s, around)[0]
    assert soft_rank(s, sigma).item() == pytest.approx((fine - coarse).item() / (2 * step), abs=EXACT)


def test_soft_rank_is_the_mean_square_error_of_linear_regression_over_the_noise():
    # E|JX - E[JX|Y]|^2 for jointly normal X, Y, from the covariances alone
    j, sigma = torch.randn(4, 6, generator=generator(1), dtype=torch.float64), 0.7
    cov = j @ j.T
    error = torch.trace(cov - cov @ torch.linalg.inv(cov + sigma**2 * torch.eye(4)) @ cov)
    assert soft_rank(torch.linalg.svdvals(j), sigma).item() == pytest.approx(
        error.item() / sigma**2, rel=EXACT
    )


def test_small_noise_counts_and_large_noise_forgets():
    s = torch.tensor([5.0, 1.0, 1e-3, 0.0])
    assert soft_rank(s, torch.tensor([1e-12, 0.03, 1e12])).tolist() == pytest.approx(
        [3, 2, 0], abs=3e-3
    )  # the second: 1 - 0.03^2 + (1e-3 / 0.03)^2
    assert gaussian_channel_mi(s, 1e170).item() == 0
    huge = torch.tensor([1e200, 0.0], dtype=torch.float64)
    assert gaussian_channel_mi(huge, 1e-100).item() == pytest.approx(300 * math.log(10))


def test_shapes_are_those_of_counts():
    s = torch.rand(2, 3, 4)
    assert soft_rank(s, 0.1).shape == (2, 3)
    sigma = torch.tensor([0.1, 0.2], dtype=torch.float64)
    assert gaussian_channel_mi(s, sigma).shape == (2, 3, 2)
    assert torch.equal(soft_rank(s, sigma)[..., 1], soft_rank(s, 0.2))


def test_linearised_slope_is_a_mean_over_inputs():
    net = MLP([5, 8, 8, 3], generator=generator(0)).double()
    s = spectrum(net, torch.randn(50, 5, generator=generator(1), dtype=torch.float64))
    ranks = (s**2 / (s**2 + 0.3**2)).sum(1).numpy()
    mean, stderr = linearised_slope(s, 0.3)
    assert (mean.item(), stderr.item()) == pytest.approx((ranks.mean(), ranks.std(ddof=1) / math.sqrt(50)))
    assert linearised_slope(s, 1e-9)[0].item() == pytest.approx(
        torch.linalg.matrix_rank(torch.diag_embed(s), atol=1e-6).double().mean().item(), abs=1e-6
    )


# --- finite data ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [0.3, 1.0, 3.0])
def test_two_points_against_quadrature(sigma):
    def expected(of):
        return integrate.quad(lambda u: np.exp(-u * u / 2) / math.sqrt(2 * math.pi) * of(u), -12, 12)[0]

    # T = +-1 and y = 1 + sigma u: E[T|y] = tanh(y / sigma^2), and p(y|T=1) / p(y) = 2 / (1 + exp(-2 y / sigma^2))
    slope = expected(lambda u: 1 - np.tanh((1 + sigma * u) / sigma**2) ** 2) / sigma**2
    mi = expected(lambda u: math.log(2) - np.logaddexp(0, -2 * (1 + sigma * u) / sigma**2))
    found = finite_channel(torch.tensor([-1.0, 1.0]), sigma, draws=20_000)
    assert abs(found.slope - slope) < SIGMAS * found.slope_stderr < 0.1
    assert abs(found.mi - mi) < SIGMAS * found.mi_stderr < 0.05


def test_finite_data_look_full_of_information_at_large_noise_and_empty_at_small():
    s = torch.tensor([2.0, 1.0], dtype=torch.float64)
    t = torch.randn(2000, 2, generator=generator(0), dtype=torch.float64) * s
    coarse, fine = (finite_channel(t, sigma, generator=generator(1)) for sigma in (1.0, 1e-6))
    # 2,000 points are as good as a density where each ball of radius sigma holds hundreds of them: to 2 %
    assert coarse.slope == pytest.approx(soft_rank(s, 1.0).item(), rel=0.02, abs=SIGMAS * coarse.slope_stderr)
    assert (fine.mi, fine.slope) == pytest.approx((math.log(2000), 0), abs=1e-6)


def test_finite_channel_in_parts_is_the_same(monkeypatch):
    t = torch.randn(50, 3, generator=generator(0))
    whole = finite_channel(t, 0.5, draws=30)
    monkeypatch.setattr("lrlib.information.slope.AT_ONCE", 7 * t.numel())
    parts = finite_channel(t, 0.5, draws=30)
    assert (parts.mi, parts.slope) == pytest.approx((whole.mi, whole.slope), rel=1e-12)


# --- the integral -----------------------------------------------------------------------------------------------------


def grid(points=61):
    return torch.logspace(2, -3, points, dtype=torch.float64)


def test_the_integral_of_the_slope_is_the_information():
    s = spectrum(linear_net())[0]
    truth = gaussian_channel_mi(s, grid())
    found = information_by_slope(grid(), soft_rank(s, grid()), start=truth[0].item())
    error = (found.mi - truth).abs()
    assert (error <= found.grid_error + 1e-12).all()
    assert error.max() < 0.01 * truth.max()
    assert (found.stderr == 0).all()


def test_starts_from_below_and_above_hold_the_information_between_them():
    s = torch.tensor([2.0, 0.5], dtype=torch.float64)
    t = torch.randn(20_000, 2, generator=generator(0), dtype=torch.float64) * s
    slope, truth = soft_rank(s, grid()), gaussian_channel_mi(s, grid())
    upper = logdet_mi(t, grid()[0].item() ** 2)
    assert slope[0] / 2 <= truth[0] <= upper.value + SIGMAS * upper.stderr
    low, high = (information_by_slope(grid(), slope, start=a) for a in (slope[0].item() / 2, upper.value))
    assert (low.mi <= high.mi).all()
    assert (high.mi - low.mi).max() < 1e-5  # at sigma = 100 there is little information to dispute


def test_standard_errors_of_the_integral_are_those_of_repeated_slopes():
    sigma, stderr = grid(7), torch.linspace(0.1, 0.4, 7, dtype=torch.float64)
    draws = 2 + stderr * torch.randn(4000, 7, generator=generator(0), dtype=torch.float64)
    spread = torch.stack([information_by_slope(sigma, d, start=0.0).mi for d in draws]).std(0)
    found = information_by_slope(sigma, torch.full((7,), 2.0), start=0.0, stderr=stderr).stderr
    assert found[0] == 0
    assert torch.allclose(found[1:], spread[1:], rtol=0.06)  # 4,000 draws tell a spread to 1.1 %


# --- arguments --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "rule"),
    [
        (lambda: soft_rank(torch.ones(2), 0.0), "sigma=0.0: must be above 0"),
        (lambda: gaussian_channel_mi(torch.tensor([-1.0]), 1.0), "s: its smallest entry is -1"),
        (lambda: linearised_slope(torch.ones(3), 1.0), r"s: shape is \(3,\); must be \(n, k\) with n >= 2"),
        (lambda: finite_channel(torch.ones(3), -1.0), "sigma=-1.0: must be finite and above 0"),
        (lambda: finite_channel(torch.ones(3), 1.0, draws=1), "draws=1: must be at least 2"),
        (
            lambda: information_by_slope(torch.ones(3), torch.ones(3), start=0.0),
            "sigma: .*strictly decreasing",
        ),
        (
            lambda: information_by_slope(grid(5), torch.ones(4), start=0.0),
            r"slope: shape is \(4,\); all must be \(S,\) with one S >= 3",
        ),
        (
            lambda: information_by_slope(grid(5), torch.ones(5), start=-1.0),
            "start=-1.0: must be finite and at least 0",
        ),
    ],
)
def test_refusals(call, rule):
    with pytest.raises(ValueError, match=rule):
        call()
