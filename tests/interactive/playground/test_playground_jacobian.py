"""The page's singular values against lrlib's, and against numpy's of a Jacobian by torch.func."""

import numpy as np
import pytest
import torch
from playwright.sync_api import Error
from test_playground_network import ACTIVATIONS, NETWORK, network, sent

from lrlib import jacobian_spectra
from lrlib.rank import covariance_root
from lrlib.runtime import generator

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("float64")]

# Singular values are roots of eigenvalues of a Gram matrix, which rounding moves by some 2e-16 sigma_1^2: one of zero
# becomes 1e-8 sigma_1 (times a root of the size), one of sigma moves by 1e-16 sigma_1^2 / sigma.
GRAM_FLOOR = 1e-7
SQUARED = 1e-14  # of squares, relative to sigma_1^2: a few roundings times 64 terms to a sum
SPECTRA = (
    NETWORK
    + """net.forward(Float64Array.from(given.x), given.x.length / given.widths[0]);
const first = firstFactor(net, given.factor && Float64Array.from(given.factor), given.r);
return spectra(net, given.n, first, given.r, given.layers);"""
)
SINGULAR = "return singularValues(Float64Array.from(given.a), ...given.shape);"


def found_spectra(engine, net, x, *, n=None, factor=None, layers=None):
    d = net.widths[0]
    n, r = n or len(x), d if factor is None else factor.shape[1]
    layers = list(range(len(net.layers))) if layers is None else layers
    given = {"x": x.flatten(), "n": n, "r": r, "layers": layers}
    found = engine(SPECTRA, **sent(net), **given, factor=None if factor is None else factor.flatten())
    return [np.reshape(s, (n, min(net.widths[l + 1], r))) for l, s in zip(layers, found, strict=True)]


def brute_force(net, x, layer, factor=None):
    """numpy's SVD of the Jacobian that torch.func finds, one input after another."""
    jacobians = [torch.func.jacrev(lambda one: net.preactivations(one[None])[layer][0])(one) for one in x]
    factor = torch.eye(x.shape[1]) if factor is None else factor
    return np.stack([np.linalg.svd((j @ factor).detach().numpy(), compute_uv=False) for j in jacobians])


def compare(found, expected):
    """Singular values (n, k): of the squares the error is rounding's, so of small ones it is the Gram floor."""
    assert found.shape == expected.shape
    assert (np.diff(found, axis=1) <= 0).all()
    top = expected[:, :1]
    scale = np.where(top > 0, top, 1.0)
    np.testing.assert_allclose((found / scale) ** 2, (expected / scale) ** 2, rtol=0, atol=SQUARED)
    np.testing.assert_allclose(found / scale, expected / scale, rtol=0, atol=GRAM_FLOOR)


def check(engine, net, x, **options):
    factor = options.get("factor")
    found = found_spectra(engine, net, x, **options)
    for l, theirs in enumerate(jacobian_spectra(net, x, input_factor=factor).values):
        compare(found[l], theirs.numpy())
        compare(found[l], brute_force(net, x, l, factor))


WIDTHS = [
    (2, 8, 8, 2),
    (30, 8, 16, 8, 10),
    (3, 16, 2, 16, 10),
    (5, 5, 5),
    (64, 24, 10),
    (1, 4, 1),
    (4, 1, 4, 4),
    (6, 3),
]


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("widths", WIDTHS, ids=str)
def test_spectra_of_random_networks(engine, widths, activation):
    net = network(widths, activation, seed=2)
    check(engine, net, torch.randn(5, widths[0], generator=generator(3)))


@pytest.mark.parametrize("widths", [(2, 8, 8, 2), (30, 8, 16, 10), (5, 24, 3)], ids=str)
@pytest.mark.parametrize("activation", ["relu", "silu"])
def test_spectra_scaled_by_the_data(engine, widths, activation):
    d = widths[0]
    spread = torch.randn(100, d, generator=generator(5)) @ torch.randn(d, d, generator=generator(6))
    root = covariance_root(spread)
    x = torch.randn(4, d, generator=generator(7))
    check(engine, network(widths, activation, seed=1), x, factor=root)
    check(engine, network(widths, activation, seed=1), x, factor=root[:, : max(1, d // 2)])


def all_times(factor):
    return lambda net: [net.get_submodule(name).weight.mul_(factor) for name in net.layers]


DEGENERATE = {
    "no weights": lambda net: [parameter.zero_() for parameter in net.parameters()],
    "the first layer zero": lambda net: net.L1.weight.zero_(),
    "the last layer zero": lambda net: net.L3.weight.zero_(),
    "every unit dead": lambda net: net.L1.bias.fill_(-1e3),
    "half of the units dead": lambda net: net.L2.bias[:2].fill_(-1e3),
    "equal rows": lambda net: net.L1.weight.copy_(net.L1.weight[:1].expand(4, 4)),
    "identities": lambda net: [net.get_submodule(name).weight.copy_(torch.eye(4)) for name in net.layers],
    "units exactly at the kink": lambda net: [part.zero_() for part in (net.L1.bias[:2], net.L1.weight[:2])],
    "tiny": all_times(1e-40),
    "huge": all_times(1e40),
    "with squares that overflow": all_times(1e55),
    "with squares that vanish": all_times(1e-60),
}


def degenerate(name):
    net = network((4, 4, 4, 4), "relu", seed=9)
    with torch.no_grad():
        DEGENERATE[name](net)
    return net


@pytest.mark.parametrize("name", DEGENERATE)
def test_spectra_of_degenerate_networks(engine, name):
    check(engine, degenerate(name), torch.randn(6, 4, generator=generator(0)))


def test_a_dead_network_has_singular_values_of_zero_exactly(engine):
    found = found_spectra(engine, degenerate("every unit dead"), torch.ones(3, 4))
    assert (found[0] > 0).all()
    assert not found[1].any()
    assert not found[2].any()


def test_some_layers_at_the_first_inputs_only(engine):
    net, x = network((5, 8, 8, 8, 3), "tanh", seed=0), torch.randn(9, 5, generator=generator(1))
    everything = jacobian_spectra(net, x).values
    for layers in ([0], [2], [3], [1, 3]):
        for l, found in zip(layers, found_spectra(engine, net, x, n=4, layers=layers), strict=True):
            compare(found, everything[l][:4].numpy())


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (4, 9), (9, 4), (12, 12), (64, 32), (32, 64)])
def test_singular_values_of_a_matrix(engine, shape):
    a = np.random.default_rng(sum(shape)).normal(size=shape)
    found = np.array(engine(SINGULAR, a=a.flatten(), shape=shape))
    compare(found[None], np.linalg.svd(a, compute_uv=False)[None])


def test_small_singular_values_are_told_apart_down_to_the_gram_floor(engine):
    """Above it a value is right to a share that grows as it falls; below it what is found is rounding."""
    chance = np.random.default_rng(0)
    left, right = (np.linalg.qr(chance.normal(size=(20, 20)))[0] for _ in range(2))
    for small in (1e-1, 1e-3, 1e-5, 1e-6):
        s = np.array([1.0] * 10 + [small] * 10)
        found = np.array(engine(SINGULAR, a=((left * s) @ right).flatten(), shape=(20, 20)))
        np.testing.assert_allclose(found, s, rtol=0, atol=SQUARED / small)
    s = np.array([1.0] * 10 + [1e-12] * 10)
    found = np.array(engine(SINGULAR, a=((left * s) @ right).flatten(), shape=(20, 20)))
    assert found[10:].max() < GRAM_FLOOR
    assert (
        found[10:].max() > 1e-12
    )  # so a threshold must stay above the floor: there is nothing to see below it


def test_a_jacobian_that_overflows_is_an_error(engine):
    net = network((4, 4, 4, 4), "relu", seed=9)
    with torch.no_grad():
        all_times(1e150)(net)
    with pytest.raises(FloatingPointError):
        jacobian_spectra(net, torch.ones(2, 4))
    with pytest.raises(Error, match="an entry of the matrix is not finite"):
        found_spectra(engine, net, torch.ones(2, 4))
