"""Bounds of I(X;Z) against loops, and against codes whose information is known."""

import math

import pytest
import torch
from vib_cases import X, code_law, linear_code, make

from lrlib.bottleneck import VIBStack, information_bounds, vib_bounds
from lrlib.information import gaussian_mi
from lrlib.runtime import generator

ROUNDING = 1e-9  # float64; squares are expanded, so that a few digits are lost where terms cancel
STDERRS = 4  # a mean of draws lies further from the truth once in 16,000 times; the seeds are fixed
# Codes of a normal X: mean A x with scales s, so that Z is normal and I(X;Z) = 1/2 ln det(I + A A^T / s^2).
CODES = {
    "narrow": (torch.tensor([[0.3, 0.1], [0.0, 0.2]]), torch.tensor([1.0, 0.7])),
    "wide": (torch.tensor([[3.0, 1.0], [-1.0, 2.0], [0.5, 0.5]]), torch.tensor([1.0, 0.7, 2.0])),
}


def gaussian(name):
    a, scale = (part.double() for part in CODES[name])
    cov_z = a @ a.T + scale.square().diag()
    return linear_code(a, scale), gaussian_mi(torch.eye(2).double(), cov_z, a.T)


@pytest.mark.parametrize("marginal", [None, 2])
@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("block", [2, 512])
def test_values_are_those_of_a_loop(samples, block, marginal, monkeypatch):
    monkeypatch.setattr(vib_bounds, "BLOCK", block)
    vib, n = make(marginal), len(X)
    found = information_bounds(vib, X, generator(3), samples=samples)
    law, g = code_law(vib), generator(3)
    rate = vib.rate(X, g, samples=samples)  # a mixture's is drawn first
    noise = torch.randn(samples, n, vib.code, generator=g, dtype=torch.float64)
    z = law.mean + law.stddev * noise
    lowers, uppers = [], []
    for draw in z:
        for i in range(n):
            densities = law.log_prob(draw[i])
            others = [j for j in range(n) if j != i]
            lowers.append((densities[i] - densities.logsumexp(0) + math.log(n)).item())
            uppers.append((densities[i] - densities[others].logsumexp(0) + math.log(n - 1)).item())
    for estimate, each in zip(found, (lowers, uppers), strict=False):
        each = torch.tensor(each, dtype=torch.float64).view(samples, n).mean(0)
        assert estimate.value == pytest.approx(each.mean().item(), rel=ROUNDING)
        assert estimate.stderr == pytest.approx(each.std().item() / math.sqrt(n), rel=ROUNDING)
    assert found[2].value == pytest.approx(rate.mean().item(), rel=ROUNDING)
    assert [e.kind for e in found] == ["lower bound", "upper bound", "upper bound"]
    assert [e.cap for e in found] == [math.log(n), None, None]


@pytest.mark.parametrize("name", CODES)
def test_the_truth_of_a_gaussian_code_lies_between_them(name):
    vib, truth = gaussian(name)
    values = torch.tensor(
        [
            [e.value for e in information_bounds(vib, torch.randn(300, 2, generator=g).double(), g)]
            for g in map(generator, range(40))
        ]
    )
    mean, error = values.mean(0), values.std(0) / math.sqrt(len(values))
    lower, upper, rate = mean
    assert lower - STDERRS * error[0] <= truth <= upper + STDERRS * error[1]
    assert truth <= rate + STDERRS * error[2]
    assert upper - lower < 0.1 * truth  # with 300 inputs, for less than 3 nats


def test_where_the_code_knows_each_input_the_lower_bound_is_its_cap_and_the_upper_has_none():
    a = torch.eye(2).double()
    vib, x = (
        linear_code(a, torch.tensor([1e-4, 1e-4]).double()),
        torch.randn(50, 2, generator=generator(0)).double(),
    )
    lower, upper, rate = information_bounds(vib, x, generator(1))
    truth = 0.5 * torch.linalg.slogdet(torch.eye(2) * (1 + 1e8))[1].item()
    assert lower.value == pytest.approx(math.log(50), rel=1e-6)
    assert lower.saturated
    assert upper.value > truth > lower.value
    assert rate.value > truth - STDERRS * rate.stderr


def test_a_code_that_ignores_its_input_has_no_information():
    vib = linear_code(torch.zeros(2, 2).double(), torch.ones(2).double())
    for estimate in information_bounds(
        vib, torch.randn(30, 2, generator=generator(0)).double(), generator(1)
    ):
        assert abs(estimate.value) < ROUNDING


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"x": X[:1]}, ValueError, "x: has 1 rows; must be at least 2"),
        ({"samples": 0}, ValueError, "samples=0"),
        ({"x": [1.0]}, TypeError, "x: must be a torch.Tensor"),
        (
            {"vib": VIBStack([make(), make()])},
            TypeError,
            r"vib: is a VIBStack; must be one VIB, such as stack\[0\]",
        ),
    ],
)
def test_bad_arguments_are_named(changes, error, message):
    with pytest.raises(error, match=message):
        information_bounds(**{"vib": make(), "x": X, "generator": generator(0)} | changes)
