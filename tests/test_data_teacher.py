"""The Gaussian teacher: its rank, and the moments of what it draws, within five of their standard errors."""

import math

import pytest
import scipy.stats
import torch
from torch import Tensor

from lrlib.data import gaussian_teacher
from lrlib.runtime import generator

N = 20_000
SIGMAS = 5  # a sound draw is further out once in 1.7 million readings
FLOAT32 = 1e-5  # relative; float32 rounding of a product over 30 terms is below 1e-6


def deviation(values: Tensor, expected: Tensor | float, stderr: Tensor | float) -> float:
    """The largest distance from what is expected, in standard errors."""
    return ((values.double() - expected) / stderr).abs().max().item()


@pytest.mark.parametrize(("inputs", "outputs", "rank"), [(30, 10, 3), (30, 10, 10), (4, 9, 4), (5, 1, 1)])
def test_the_teacher_has_its_rank_and_all_have_their_shapes(inputs, outputs, rank):
    made = gaussian_teacher(20, inputs=inputs, outputs=outputs, rank=rank, generator=generator(0))
    assert (made.x.shape, made.y.shape) == ((20, inputs), (20, outputs))
    assert made.weight.shape == (outputs, inputs)
    assert {made.x.dtype, made.y.dtype, made.weight.dtype} == {torch.float32}
    s = torch.linalg.svdvals(made.weight.double())
    assert s[rank - 1] > 100 * FLOAT32 * s[0]
    assert (s[rank:] < FLOAT32 * s[0]).all()


def test_inputs_are_standard_normal():
    x = gaussian_teacher(N, generator=generator(1)).x
    assert deviation(x.mean(0), 0, 1 / math.sqrt(N)) < SIGMAS
    covariance = x.double().T @ x.double() / N
    stderr = torch.full((30, 30), 1 / math.sqrt(N)).fill_diagonal_(
        math.sqrt(2 / N)
    )  # of a product, of a square
    assert deviation(covariance, torch.eye(30), stderr) < SIGMAS
    found = scipy.stats.kstest(x.flatten().double().numpy(), "norm")
    assert found.pvalue > 1e-6  # a false alarm once in a million


DEVIATIONS = [0.0, 1, 0.01, 7.5]


def test_inputs_have_the_stated_deviations_and_stay_independent():
    x = gaussian_teacher(N, inputs=4, rank=2, deviations=DEVIATIONS, generator=generator(5)).x.double()
    assert (x[:, 0] == 0).all()
    s = torch.tensor(DEVIATIONS[1:]).double()
    found = x[:, 1:].T @ x[:, 1:] / N
    stderr = s.outer(s) / math.sqrt(N) * (1 + (math.sqrt(2) - 1) * torch.eye(3))  # of a product, of a square
    assert deviation(found, torch.diag(s**2), stderr) < SIGMAS


def test_deviations_stretch_the_inputs_before_the_teacher_sees_them_and_change_nothing_else():
    round_, stretched = (
        gaussian_teacher(50, inputs=4, rank=2, noise=0.0, deviations=d, generator=generator(6))
        for d in (None, DEVIATIONS)
    )
    assert torch.equal(stretched.x, round_.x * torch.tensor(DEVIATIONS))
    assert torch.equal(stretched.weight, round_.weight)
    torch.testing.assert_close(stretched.y, stretched.x @ stretched.weight.T, rtol=0, atol=0)
    ones = gaussian_teacher(50, inputs=4, rank=2, noise=0.0, deviations=[1] * 4, generator=generator(6))
    assert torch.equal(ones.y, round_.y)


@pytest.mark.parametrize("noise", [0.1, 3.0])
def test_targets_are_the_teacher_s_answers_with_noise_of_the_stated_size(noise):
    made = gaussian_teacher(N, noise=noise, generator=generator(2))
    left = made.y.double() - made.x.double() @ made.weight.double().T
    assert deviation(left.mean(0), 0, noise / math.sqrt(N)) < SIGMAS
    assert deviation(left.std(0), noise, noise / math.sqrt(2 * N)) < SIGMAS
    assert deviation(left.T @ made.x.double() / N, 0, noise / math.sqrt(N)) < SIGMAS  # independent of x
    assert deviation(torch.corrcoef(left.T) - torch.eye(10), 0, 1 / math.sqrt(N)) < SIGMAS


def test_without_noise_the_targets_are_exact_and_the_noise_changes_nothing_else():
    exact, noisy = (gaussian_teacher(50, noise=noise, generator=generator(3)) for noise in (0.0, 0.5))
    torch.testing.assert_close(exact.y, exact.x @ exact.weight.T, rtol=0, atol=0)
    assert torch.equal(exact.x, noisy.x)
    assert torch.equal(exact.weight, noisy.weight)
    assert not torch.equal(exact.y, noisy.y)


@pytest.mark.parametrize(("inputs", "outputs", "rank"), [(30, 10, 3), (8, 5, 1), (3, 3, 3)])
def test_outputs_have_variance_one_on_average_over_teachers(inputs, outputs, rank):
    """Given the teacher, output i has the variance ||w_i||^2: its mean over many teachers is 1."""
    g = generator(4)
    made = [gaussian_teacher(1, inputs=inputs, outputs=outputs, rank=rank, generator=g) for _ in range(500)]
    variances = torch.stack([m.weight.double().square().sum(1).mean() for m in made])
    assert deviation(variances.mean(), 1, variances.std() / math.sqrt(500)) < SIGMAS


def test_the_generator_decides_and_the_global_one_is_untouched():
    before = torch.get_rng_state()
    first, again, other = (gaussian_teacher(5, generator=generator(seed)) for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), before)
    for name in ("x", "y", "weight"):
        assert torch.equal(getattr(first, name), getattr(again, name))
        assert not torch.equal(getattr(first, name), getattr(other, name))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"n": 0}, ValueError, "n=0: must be at least 1"),
        ({"n": 5.0}, TypeError, "n=5.0: must be an integer"),
        ({"inputs": 0}, ValueError, "inputs=0: must be at least 1"),
        ({"outputs": -1}, ValueError, "outputs=-1: must be at least 1"),
        ({"rank": 0}, ValueError, "rank=0: must be between 1 and 10"),
        ({"rank": 11}, ValueError, "rank=11: must be between 1 and 10"),
        ({"noise": -0.1}, ValueError, "noise=-0.1: must be finite and at least 0"),
        ({"noise": math.nan}, ValueError, "noise=nan: must be finite"),
        (
            {"deviations": [1.0] * 3},
            ValueError,
            "deviations: there are 3; must be one for each of the 30 inputs",
        ),
        (
            {"deviations": [1.0] * 29 + [-1.0]},
            ValueError,
            r"deviations\[29\]=-1.0: must be finite and at least 0",
        ),
        ({"deviations": [math.inf] * 30}, ValueError, r"deviations\[0\]=inf: must be finite"),
        ({"deviations": ["1"] * 30}, TypeError, r"deviations\[0\]='1': must be a number, not str"),
        ({"generator": 0}, TypeError, r"generator=0: must be a torch\.Generator on the CPU"),
    ],
)
def test_what_is_wrong_is_named(change, error, message):
    arguments = {"n": 5, "generator": generator(0)} | change
    with pytest.raises(error, match=message):
        gaussian_teacher(arguments.pop("n"), **arguments)
