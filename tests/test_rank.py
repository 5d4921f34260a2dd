import math

import numpy as np
import pytest
import scipy.stats
import torch

from lrlib import count_above, covariance_root, effective_rank, local_rank, reference, stable_rank
from lrlib.nets import MLP
from lrlib.rank import mean_and_stderr
from lrlib.runtime import generator


def spectra(*shape: int, seed: int = 0) -> torch.Tensor:
    """Random singular values over many magnitudes."""
    return 10 ** (torch.rand(*shape, generator=generator(seed), dtype=torch.float64) * 6 - 4)


@pytest.mark.parametrize("relative", [False, True])
def test_counts_equal_a_python_loop(relative):
    s = spectra(5, 4, 7)
    for eps in (0.0, 1e-3, 0.1, 1.0, 50.0):
        found = count_above(s, eps, relative=relative)
        assert found.shape == (5, 4)
        for index in np.ndindex(5, 4):
            values = s[index].tolist()
            bound = eps * max(values) if relative else eps
            assert found[index] == sum(v > bound for v in values)


@pytest.mark.parametrize("relative", [False, True])
def test_many_thresholds_at_once_equal_one_at_a_time(relative):
    s, eps = spectra(6, 5), torch.tensor([0.0, 1e-2, 0.1, 1.0, 3.0])
    found = count_above(s, eps, relative=relative)
    assert found.shape == (6, 5)
    for e, column in zip(eps.tolist(), found.T, strict=True):
        assert torch.equal(column, count_above(s, e, relative=relative))


def test_a_singular_value_at_the_threshold_is_not_above_it():
    s = torch.tensor([4.0, 2.0, 1.0])
    assert count_above(s, 2.0) == 1
    assert count_above(s, 0.5, relative=True) == 1
    assert count_above(torch.zeros(3), 0.0) == 0
    assert count_above(torch.zeros(3), 0.0, relative=True) == 0


def test_counts_agree_with_numpys_matrix_rank_on_a_matrix_of_known_rank():
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((20, 4)) @ rng.standard_normal((4, 15))
    s = torch.linalg.svdvals(torch.from_numpy(matrix))
    cutoff = max(matrix.shape) * np.finfo(float).eps
    assert count_above(s, cutoff, relative=True) == np.linalg.matrix_rank(matrix) == 4


def test_effective_rank_equals_scipys_entropy():
    s = spectra(50, 9)
    expected = np.exp(scipy.stats.entropy(s.numpy(), axis=-1))
    np.testing.assert_allclose(effective_rank(s).numpy(), expected, rtol=1e-13)


@pytest.mark.parametrize("power", [1e-310, 1e-300, 1e-5, 1.0, 1e300])
def test_effective_and_stable_rank_do_not_depend_on_scale(power):
    s = torch.tensor([1.0, 0.5, 0.25], dtype=torch.float64)
    # subnormal numbers near 1e-310 have 13 digits left
    torch.testing.assert_close(effective_rank(s * power), effective_rank(s), rtol=1e-12, atol=0)
    torch.testing.assert_close(stable_rank(s * power), stable_rank(s), rtol=1e-12, atol=0)


def test_stable_rank_equals_the_ratio_of_norms():
    matrix = torch.randn(7, 5, generator=generator(0), dtype=torch.float64)
    expected = (torch.linalg.matrix_norm(matrix) / torch.linalg.matrix_norm(matrix, 2)) ** 2
    torch.testing.assert_close(stable_rank(torch.linalg.svdvals(matrix)), expected)


@pytest.mark.parametrize("k", [1, 4])
def test_flat_single_and_zero_spectra_have_the_known_ranks(k):
    flat, zero = torch.full((k,), 3.0), torch.zeros(k)
    for reading in (effective_rank, stable_rank):
        assert reading(flat).item() == pytest.approx(k)
        assert reading(zero).item() == 0
        assert reading(torch.tensor([2.0] + [0.0] * (k - 1))).item() == pytest.approx(1)


@pytest.mark.parametrize("relative", [False, True])
def test_local_rank_is_the_mean_of_brute_force_counts(relative):
    net = MLP([6, 9, 7, 4], generator=generator(0))
    x = torch.randn(13, 6, generator=generator(1))
    found = local_rank(net, x, eps=0.2, relative=relative, chunk=4)
    assert (found.layers, found.n, found.eps, found.relative) == (("L1", "L2", "L3"), 13, 0.2, relative)
    for l, layer in enumerate(found.layers):
        counts = []
        for s in reference.spectra(net, x, layer).numpy():
            counts.append((s > 0.2 * (s[0] if relative else 1)).sum())
        assert found.mean[l].item() == pytest.approx(np.mean(counts))
        assert found.stderr[l].item() == pytest.approx(scipy.stats.sem(counts))


def test_the_standard_error_of_one_input_is_infinite():
    mean, stderr = mean_and_stderr(torch.tensor([[3.0, 4.0]]))
    assert mean.tolist() == [3, 4]
    assert stderr.tolist() == [math.inf, math.inf]


def test_scaling_a_layer_moves_the_absolute_and_not_the_relative_local_rank():
    net, x = MLP([6, 9, 4], generator=generator(0)), torch.randn(8, 6, generator=generator(1))
    absolute, relative = local_rank(net, x, eps=0.3), local_rank(net, x, eps=0.3, relative=True)
    net.L2.weight.data *= 10
    assert local_rank(net, x, eps=0.3).mean[1] > absolute.mean[1]
    assert torch.equal(local_rank(net, x, eps=3.0).mean[1], absolute.mean[1])
    assert torch.equal(local_rank(net, x, eps=0.3, relative=True).mean, relative.mean)


def test_exact_local_rank_never_rises_with_depth_and_counts_never_rise_with_eps():
    net, x = MLP([12, 10, 11, 9, 12], generator=generator(0)), torch.randn(20, 12, generator=generator(1))
    exact = local_rank(net, x, eps=1e-12, relative=True).mean
    assert (exact.diff() <= 0).all()
    by_eps = torch.stack([local_rank(net, x, eps=e).mean for e in (0.0, 1e-6, 1e-2, 0.1, 1.0)])
    assert (by_eps.diff(dim=0) <= 0).all()


def test_covariance_root_squares_to_numpys_covariance_also_where_it_is_singular():
    x = torch.randn(30, 5, generator=generator(0)) @ torch.randn(5, 8, generator=generator(1))
    root = covariance_root(x)
    expected = np.cov(x.double().numpy().T)
    np.testing.assert_allclose((root @ root).numpy(), expected, atol=1e-12)
    torch.testing.assert_close(root, root.T)
    assert covariance_root(torch.tensor([[1.0], [3.0]])).item() == pytest.approx(math.sqrt(2))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: count_above(torch.ones(3), -1.0), ValueError, "eps=-1.0: must be a finite number >= 0"),
        (lambda: count_above(torch.ones(3), "0.1"), TypeError, "eps='0.1': must be a number, not str"),
        (lambda: count_above(torch.ones(3), True), TypeError, "eps=True: must be a number, not bool"),
        (lambda: count_above(torch.ones(3), math.nan), ValueError, "eps=nan"),
        (lambda: count_above(torch.ones(3, 0), 1.0), ValueError, r"s: shape is \(3, 0\); must be \(..., k\)"),
        (lambda: count_above([1.0], 1.0), TypeError, "s: must be a torch.Tensor, not list"),
        (lambda: effective_rank(-torch.ones(3)), ValueError, "s: its smallest entry is -1"),
        (lambda: stable_rank(torch.full((3,), torch.nan)), ValueError, "s: 3 of its 3 entries are NaN"),
        (lambda: stable_rank(torch.ones(3, dtype=torch.int64)), TypeError, "s: dtype is torch.int64"),
        (lambda: covariance_root(torch.ones(1, 3)), ValueError, r"x: shape is \(1, 3\); a covariance needs"),
        (
            lambda: local_rank(MLP([2, 2], generator=generator(0)), torch.ones(1, 2), eps=-1.0),
            ValueError,
            "eps=-1.0: must be finite and at least 0",
        ),
        (
            lambda: local_rank(MLP([2, 2], generator=generator(0)), torch.ones(1, 2), eps="a"),
            TypeError,
            "eps='a': must be a number, not str",
        ),
    ],
)
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
