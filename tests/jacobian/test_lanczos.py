"""Estimated counts: their standard errors over hundreds of repetitions, and who is estimated."""

import math

import pytest
import scipy.stats
import torch
from jacobian_cases import orthogonal, seeded
from torch import nn

from lrlib import jacobian_counts, jacobian_spectra, local_rank, reference
from lrlib.jacobian import lanczos
from lrlib.runtime import generator

DOUBLE = torch.float64
SIDE = 208  # more than the 192 steps, so that no quadrature is complete
REPEATS = 200


def wishart():
    """Eigenvalues of a sample covariance, dense between 0.1 and 2.9."""
    sample = torch.randn(SIDE, 2 * SIDE, generator=generator(1), dtype=DOUBLE)
    return torch.linalg.eigvalsh(sample @ sample.T / (2 * SIDE)).flip(0)


def decaying(decades):
    return 10 ** (-decades * torch.arange(SIDE, dtype=DOUBLE) / SIDE)


def low_rank_and_noise():
    noise = 1e-4 * (1 + torch.rand(SIDE - 20, generator=generator(2), dtype=DOUBLE))
    return torch.cat([torch.linspace(4, 1, 20, dtype=DOUBLE), noise])


def rank_deficient():
    return torch.cat([torch.linspace(2, 0.5, 70, dtype=DOUBLE), torch.zeros(SIDE - 70, dtype=DOUBLE)])


def matrix_with(eigenvalues):
    turn = orthogonal(len(eigenvalues), 5)
    return (turn * eigenvalues) @ turn.T


def halfway_below(eigenvalues, count):
    """The threshold between two eigenvalues that so many exceed."""
    return float((eigenvalues[count - 1] * eigenvalues[count]) ** 0.25)


def estimates(matrix, eps, relative=False, seeds=range(REPEATS)):
    found = [
        lanczos.estimate_counts(
            lambda v: v @ matrix, len(matrix), torch.tensor([eps], dtype=DOUBLE), relative, generator(seed)
        )
        for seed in seeds
    ]
    return torch.cat([f.values for f in found]), torch.cat([f.stderr for f in found])


@pytest.mark.parametrize(
    ("eigenvalues", "count", "relative"),
    [
        (wishart(), 20, False),
        (decaying(16), 14, False),
        (low_rank_and_noise(), 13, True),
        (rank_deficient(), 48, True),
    ],
    ids=["wishart", "fast decay", "low rank and noise", "rank deficient"],
)
def test_the_standard_error_covers_the_truth_as_often_as_it_says(eigenvalues, count, relative):
    eps = halfway_below(eigenvalues, count) / (eigenvalues[0].sqrt().item() if relative else 1.0)
    values, stderr = estimates(matrix_with(eigenvalues), eps, relative)
    for z in (1.0, 1.96):
        # a mean of PROBES numbers, in units of their own standard error, is distributed like Student's t
        promised = 1 - 2 * scipy.stats.t.sf(z, lanczos.PROBES - 1)
        least, most = scipy.stats.binom.interval(0.999, REPEATS, promised)
        covered = int(((values - count).abs() <= z * stderr).sum())
        assert least <= covered <= most
    assert (stderr < 0.1 * count + 1).all()  # so that it says something
    error_of_the_mean = values.std() / math.sqrt(REPEATS)
    assert abs(values.mean() - count) < 4 * error_of_the_mean + 0.5  # the next eigenvalue may count in part


def test_where_the_steps_do_not_resolve_the_threshold_the_standard_error_grows_to_cover_the_truth():
    side = 400
    eigenvalues = 10 ** (-16 * torch.arange(side, dtype=DOUBLE) / side)
    matrix = matrix_with(eigenvalues)
    for count in (270, 340):
        eps = halfway_below(eigenvalues, count)
        values, stderr = estimates(matrix, eps, seeds=[count])
        assert ((values - count).abs() <= 2 * stderr).all()
        assert (stderr > 10).all()  # it could not be known, and says so


@pytest.mark.parametrize("relative", [False, True])
def test_counts_that_are_certain_have_no_error(relative):
    """All or none of the eigenvalues exceed the threshold."""
    matrix = matrix_with(decaying(2))
    for eps, count in ((1e-3, SIDE), (1.5, 0)):
        values, stderr = estimates(matrix, eps, relative, seeds=range(3))
        torch.testing.assert_close(values, torch.full((3,), float(count), dtype=DOUBLE), rtol=0, atol=1e-9)
        assert (stderr < 1e-9).all()


@pytest.mark.parametrize("scale", [1e-200, 1e-100, 1e100, 1e200])
@pytest.mark.parametrize("relative", [False, True])
def test_scale_does_not_matter(scale, relative):
    eigenvalues = rank_deficient()
    plain = estimates(matrix_with(eigenvalues), 0.7, relative, seeds=range(2))
    scaled = estimates(
        matrix_with(scale * eigenvalues),
        0.7 * (1.0 if relative else math.sqrt(scale)),
        relative,
        seeds=range(2),
    )
    for found, expected in zip(scaled, plain, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("relative", [False, True])
def test_a_matrix_of_zeros_has_no_eigenvalue_above_anything(relative):
    for eps in (0.0, 1e-9, 1.0):
        values, stderr = estimates(torch.zeros(SIDE, SIDE, dtype=DOUBLE), eps, relative, seeds=range(2))
        assert (values == 0).all()
        assert (stderr == 0).all()


def test_many_thresholds_are_as_good_as_one():
    eigenvalues = rank_deficient()
    eps = torch.tensor([0.1, 0.8, 1.0, 1.2, 2.0], dtype=DOUBLE)
    exact = (eigenvalues.unsqueeze(-1) > eps**2).sum(0)
    found = lanczos.estimate_counts(
        lambda v: v @ matrix_with(eigenvalues), SIDE, eps, relative=False, generator=generator(0)
    )
    assert ((found.values - exact).abs() <= 4 * found.stderr + 1e-9).all()
    assert (found.values.diff() <= 1e-9).all()


def test_small_and_defective_krylov_spaces():
    """A multiple of the identity is known after one step, and a matrix of one row from one entry."""
    for matrix, eps, count in (
        (3.0 * torch.eye(50, dtype=DOUBLE), 1.0, 50),
        (3.0 * torch.eye(50, dtype=DOUBLE), 2.0, 0),
        (torch.tensor([[4.0]], dtype=DOUBLE), 1.9, 1),
        (torch.tensor([[4.0]], dtype=DOUBLE), 2.1, 0),
        (torch.diag(torch.tensor([4.0, 1.0], dtype=DOUBLE)), 0.5, 2),
    ):
        values, stderr = estimates(matrix, eps, seeds=range(2))
        torch.testing.assert_close(values, torch.full((2,), float(count), dtype=DOUBLE))
        assert (stderr < 1e-9).all()


@pytest.fixture
def small_limits(monkeypatch):
    """Jacobians of more than 5 on both sides are estimated, whatever memory they take."""
    monkeypatch.setattr("lrlib.jacobian.module.EXACT_UP_TO", 5)
    monkeypatch.setattr("lrlib.jacobian.module.TOGETHER", 1)


def small_cnn():
    """Jacobians of 32 x 16 (tall), 12 x 16 (wide) and 5 x 16."""
    net = seeded(
        lambda: nn.Sequential(
            nn.Conv2d(1, 2, 3, padding=1),
            nn.Tanh(),
            nn.Conv2d(2, 3, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Flatten(),
            nn.Linear(12, 5),
        )
    )
    return net, torch.randn(2, 1, 4, 4, generator=generator(1))


EPS = torch.tensor([1e-3, 0.05, 0.2, 0.4, 0.8, 5.0], dtype=DOUBLE)


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("columns", [None, 10, 30])
def test_layers_large_on_both_sides_are_estimated_and_no_others(relative, columns, small_limits):
    net, x = small_cnn()
    x = x if columns is None else x[:1]
    factor = None if columns is None else torch.randn(16, columns, generator=generator(2)) / 4
    found = jacobian_counts(net, x, EPS, relative=relative, input_factor=factor)
    assert found.estimated.tolist() == [True, True, False]
    assert found.methods[:2] == (("lanczos",), ("lanczos",))
    assert "lanczos" not in found.methods[2]
    assert not found.ties[:, :2].any()
    for l, layer in enumerate(found.layers):
        jacobians = reference.jacobians(net, x, layer)
        s = torch.stack(
            [torch.linalg.svdvals(j if factor is None else j @ factor.double()) for j in jacobians]
        )
        cuts = EPS * (s[:, :1] if relative else torch.ones_like(s[:, :1]))
        exact = (s.unsqueeze(-2) > cuts.unsqueeze(-1)).sum(-1).double()
        values, stderr = found.values[:, l], found.stderr[:, l]
        if layer == "5":
            assert torch.equal(values, exact)
            assert (stderr == 0).all()
        else:
            known = (exact == 0) | (exact == s.shape[1])
            assert torch.equal(stderr > 1e-9, ~known)
            assert ((values - exact).abs() <= 5 * stderr + 1e-9).all()
            assert (stderr <= 3).all()


def test_a_side_that_is_small_enough_keeps_a_layer_exact(small_limits):
    net, x = small_cnn()
    factor = torch.randn(16, 5, generator=generator(2))
    assert not jacobian_counts(net, x, 0.1, input_factor=factor).estimated.any()
    assert not jacobian_counts(net, x, 0.1, layers=["5"]).estimated.any()


def test_the_same_generator_gives_the_same_estimates_and_the_global_one_is_left_alone(small_limits):
    net, x = small_cnn()
    torch.manual_seed(123)
    before = torch.get_rng_state()
    calls = [
        jacobian_counts(net, x[:1], EPS, layers=["2"], generator=g)
        for g in (None, generator(0), generator(7), generator(7))
    ]
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(calls[0].values, calls[1].values)  # a generator seeded with 0 is the default
    assert torch.equal(calls[2].values, calls[3].values)
    assert torch.equal(calls[2].stderr, calls[3].stderr)
    assert not torch.equal(calls[0].values, calls[2].values)
    ranks = [
        local_rank(net, x[:1], eps=0.2, layers=["2", "5"], generator=generator(seed)) for seed in (1, 1, 2)
    ]
    assert torch.equal(ranks[0].mean, ranks[1].mean)
    assert not torch.equal(ranks[0].mean, ranks[2].mean)
    assert ranks[0].estimated.tolist() == [True, False]


def test_spectra_are_never_estimates(small_limits):
    net, x = small_cnn()
    for resolution in (0.0, 1e-4):
        found = jacobian_spectra(net, x, resolution=resolution)
        for layer in found.layers:
            s = reference.spectra(net, x, layer)
            torch.testing.assert_close(found[layer], s, rtol=0, atol=1e-9)
            assert "lanczos" not in found.methods[found.layers.index(layer)]


def test_layers_of_zeros_and_of_huge_weights_are_zero_or_refused(small_limits):
    net, x = small_cnn()
    net[2].weight.data.zero_()
    for relative in (False, True):
        found = jacobian_counts(net, x[:1], EPS[1::2], relative=relative)
        assert (found.values[:, 1:] == 0).all()
        assert (found.stderr[:, 1:] == 0).all()
        assert found.values.isfinite().all()
        assert found.stderr.isfinite().all()
    net = small_cnn()[0].double()
    for parameter in net.parameters():
        parameter.data *= 1e160
    with pytest.raises(FloatingPointError, match="overflows float64"):
        jacobian_counts(net, x, 0.1)


def test_an_estimated_jacobian_that_overflows_although_the_outputs_do_not_is_refused(small_limits):
    net = seeded(
        lambda: nn.Sequential(*(nn.Conv2d(1, 1, 3, padding=1, bias=False) for _ in range(2)))
    ).double()
    for parameter in net.parameters():
        parameter.data *= 1e200
    for relative in (False, True):
        with pytest.raises(FloatingPointError, match="net: its Jacobian overflows float64"):
            jacobian_counts(net, torch.zeros(1, 1, 4, 4), 0.1, layers=["1"], relative=relative)
