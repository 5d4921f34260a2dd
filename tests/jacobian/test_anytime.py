"""local_rank(tol=...): how many inputs it takes, which, and that they stand for all.

It looks at its error after each window of inputs, which is as many as memory allows; a chunk of 64 makes it 64.
"""

import math

import numpy as np
import pytest
import scipy.stats
import torch
from jacobian_cases import both, linear_network, seeded, sequential
from torch import nn

from lrlib import jacobian_counts, local_rank
from lrlib.nets import MLP
from lrlib.runtime import generator

DOUBLE = torch.float64
N = 600


def network():
    """Its counts at eps = 0.3 vary from input to input in every layer but the first."""
    return MLP([8, 24, 20, 6], init="he", generator=generator(0))


X = torch.randn(N, 8, generator=generator(1))
EPS = 0.7


def counts(net, x, **options):
    return jacobian_counts(net, x, EPS, **options).values[..., 0]


def test_without_tol_every_input_is_taken():
    net = network()
    found, each = local_rank(net, X, eps=EPS), counts(net, X).numpy()
    assert found.n == N
    np.testing.assert_allclose(found.mean, each.mean(0), rtol=1e-14)
    np.testing.assert_allclose(found.stderr, scipy.stats.sem(each), rtol=1e-12, atol=0)
    assert (found.stderr[1:] > 0).all()  # so that the tests below have something to estimate


@pytest.mark.parametrize("tol", [0.5, 0.05, 0.01, 0.005])
def test_it_stops_once_every_layer_is_accurate_and_says_after_how_many(tol):
    for _, module in both(network()):
        found = local_rank(module, X, eps=EPS, tol=tol, chunk=64)
        assert 64 <= found.n <= N
        if found.n < N:
            assert (found.stderr <= tol * found.mean).all()
        assert (found.n < N) == (tol >= 0.01)
    assert local_rank(network(), X, eps=EPS, tol=0.5, chunk=64).n == 64


def test_it_stops_no_later_than_it_must():
    """With windows of 64 inputs, the last window but one was not accurate enough."""
    net, tol = network(), 0.012
    found = local_rank(net, X, eps=EPS, tol=tol, chunk=64)
    assert 64 < found.n < N
    assert found.n % 64 == 0
    order = torch.randperm(N, generator=generator(0))
    before = counts(net, X[order[: found.n - 64]]).numpy()
    assert (scipy.stats.sem(before) > tol * before.mean(0)).any()


def test_a_tolerance_too_small_for_the_inputs_takes_them_all_once():
    net = network()
    full, found = local_rank(net, X, eps=EPS), local_rank(net, X, eps=EPS, tol=1e-9)
    assert found.n == N
    torch.testing.assert_close(found.mean, full.mean, rtol=1e-14, atol=0)
    torch.testing.assert_close(found.stderr, full.stderr, rtol=1e-12, atol=0)


@pytest.mark.parametrize("n", [1, 2, 63, 64, 65])
def test_up_to_64_inputs_are_all_taken(n):
    for _, module in both(network()):
        found = local_rank(module, X[:n], eps=EPS, tol=0.9, chunk=1)
        assert found.n == min(n, 64)
        assert found.mean.isfinite().all()
    assert local_rank(network(), X[:1], eps=EPS, tol=0.9).stderr.isinf().all()


def test_the_inputs_are_a_sample_without_replacement():
    """J = W_2 D with W_2 = 1, so the counts add up to what passes; every input passes a number of its own."""
    x = torch.tril(torch.ones(100, 100, dtype=DOUBLE))  # input i has i + 1 positive entries
    net = linear_network(np.eye(100), np.eye(100), activation="relu")
    found = local_rank(net, x, eps=0.5, tol=1e-9, layers=["L2"])
    assert found.n == 100
    assert found.mean.item() == 50.5
    part = local_rank(net, x, eps=0.5, tol=0.99, layers=["L2"], chunk=16)
    assert part.n == 64
    assert 50.5 - 10 < part.mean.item() < 50.5 + 10
    assert part.mean.item() != 32.5  # the mean of the first 64


def test_sorted_inputs_do_not_bias_the_estimate():
    """Layer 2 keeps 2 units at the first half of x and 8 at the second."""
    signs = torch.cat([-torch.ones(N // 2, 1), torch.ones(N // 2, 1)])
    x = torch.cat([torch.ones(N, 2), signs.expand(-1, 6)], dim=1) * (
        1 + torch.rand(N, 8, generator=generator(2))
    )
    net = linear_network(np.eye(8), np.eye(8), activation="relu")
    for _, module in both(net):
        means = []
        for seed in range(5):
            found = local_rank(module, x, eps=0.1, tol=0.2, chunk=64, generator=generator(seed))
            assert found.n < N // 2
            assert abs(found.mean[1] - 5) < 4 * found.stderr[1]
            assert found.stderr[1] == pytest.approx(3 / math.sqrt(found.n), rel=0.2)
            means.append(found.mean[1].item())
        assert len(set(means)) > 1


def test_the_estimate_is_within_its_standard_error_of_the_mean_over_all_inputs():
    """Over seeds, a share of about 95 % within 1.96; at most what a sample without replacement makes better."""
    net = network()
    full = local_rank(net, X, eps=EPS).mean
    within = []
    for seed in range(40):
        found = local_rank(net, X, eps=EPS, tol=0.5, chunk=64, generator=generator(seed))
        assert found.n == 64
        z = (found.mean - full)[1:].abs() / found.stderr[1:]
        assert (z < 5).all()
        within += (z < 1.96).tolist()
    assert sum(within) >= scipy.stats.binom.ppf(0.001, 40, 0.95) * 2  # the two layers are not independent


def test_the_generator_chooses_the_inputs():
    net = network()

    def mean(seed):
        chosen = None if seed is None else generator(seed)
        return local_rank(net, X, eps=EPS, tol=0.5, chunk=64, generator=chosen).mean.tolist()

    assert mean(3) == mean(3)
    assert mean(None) == mean(None) == mean(0)
    assert len({tuple(mean(seed)) for seed in range(6)}) > 3


def test_the_global_generator_is_left_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    local_rank(network(), X, eps=EPS, tol=0.5)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_same_inputs_are_taken_by_the_chain_and_by_a_plain_module():
    net = network()
    of_chain, of_module = (
        local_rank(m, X, eps=EPS, tol=0.5, chunk=64, generator=generator(2)) for m in (net, sequential(net))
    )
    assert of_chain.n == of_module.n == 64
    assert torch.equal(of_chain.mean, of_module.mean)


def test_a_layer_that_is_always_zero_does_not_keep_it_from_stopping():
    net = network()
    net.L2.bias.data.fill_(-1e4)  # layer 3 is dead
    for _, module in both(net):
        found = local_rank(module, X, eps=EPS, tol=0.5, chunk=64)
        assert found.n == 64
        assert found.mean[2] == found.stderr[2] == 0
    nothing = local_rank(net, X, eps=1e6, tol=0.01, chunk=64)
    assert nothing.n == 64
    assert (nothing.mean == 0).all()


def test_an_absolute_and_a_relative_threshold_may_stop_early():
    net = seeded(lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 6)))
    x = torch.randn(300, 1, 4, 4, generator=generator(4))
    for relative in (False, True):
        found = local_rank(net, x, eps=0.05, relative=relative, tol=0.1, chunk=20)
        assert 64 <= found.n < 300
        assert (found.eps, found.relative) == (0.05, relative)
        assert not found.estimated.any()


@pytest.mark.parametrize(
    ("tol", "error", "message"),
    [
        (0, ValueError, "tol=0: must be finite and above 0"),
        (0.0, ValueError, "tol=0.0: must be finite and above 0"),
        (-0.1, ValueError, "tol=-0.1: must be finite and above 0"),
        (math.nan, ValueError, "tol=nan: must be finite and above 0"),
        (math.inf, ValueError, "tol=inf: must be finite and above 0"),
        (True, TypeError, "tol=True: must be a number, not bool"),
        ("0.1", TypeError, "tol='0.1': must be a number, not str"),
    ],
)
def test_bad_tolerances_are_named(tol, error, message):
    with pytest.raises(error, match=message):
        local_rank(network(), X, eps=EPS, tol=tol)
