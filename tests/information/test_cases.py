"""Cases with a known answer: the answer against scipy's entropies and quadrature, the samples against their densities."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from scipy.special import ndtri

from lrlib.information import CASES
from lrlib.runtime import generator

EXACT = 1e-10  # nats: float64 determinants of at most 50 rows, quadrature of smooth densities
PAIRS = 20_000
SIGMAS = 4.0  # twenty cases, each with a chance of 1 in 16,000 to be that far off; the seed is fixed
SHARPNESS = 0.05  # nats that 4 standard errors may span: a wrong factor in a formula would show


def dense(d):
    return 0.5 + 0.5 * np.eye(d)


def pairs(d, *correlations):
    matrix = np.eye(2 * d)
    for i, correlation in enumerate(correlations):
        matrix[i, d + i] = matrix[d + i, i] = correlation
    return matrix


COVARIANCES = {
    "independent": pairs(5),
    "normal-0.5": pairs(1, 0.5),
    "normal-0.75": pairs(1, 0.75),
    "normal-0.99": pairs(1, 0.99),
    "normal-cdf": pairs(1, 0.75),
    "half-cube": pairs(1, 0.75),
    "asinh": pairs(1, 0.75),
    "dense-5x5": dense(10),
    "dense-25x25": dense(50),
    "sparse-25x25": pairs(25, 0.8, 0.8),
    "spiral-3x3": pairs(3, 0.8, 0.8),
}
STUDENTS = {
    "student-1": (1, pairs(1, 0.75)),
    "student-3-2x2": (3, pairs(2)),
    "student-5-2x2": (5, pairs(2, 0.5, 0.5)),
}
UNIFORM = {"additive-uniform-0.1": 0.1, "additive-uniform-0.75": 0.75}
CHANNELS = {"channel-1": 0.1, "channel-10": 1.0, "channel-20-nats": 1 / (math.e**4 - 1)}


def unwind(i, j):
    """Return the inverse of the spiral: it turns the other way, by an angle that depends on |x|, which turning keeps."""

    def back(x):
        angle = -(x**2).sum(1) / 3
        turned = x.copy()
        turned[:, i] = np.cos(angle) * x[:, i] - np.sin(angle) * x[:, j]
        turned[:, j] = np.sin(angle) * x[:, i] + np.cos(angle) * x[:, j]
        return turned

    return back


def uncube(x):
    return np.sign(x) * np.abs(x) ** (2 / 3)


INVERSES = {
    "normal-cdf": (ndtri, ndtri),
    "half-cube": (uncube, uncube),
    "asinh": (np.sinh, np.sinh),
    "spiral-3x3": (unwind(0, 1), unwind(1, 2)),
}


def mixture_density(y):
    """The density of one coordinate of y in "channel-clusters": +-1 plus N(0, 0.01 + 0.05)."""
    return (stats.norm.pdf(y, -1, math.sqrt(0.06)) + stats.norm.pdf(y, 1, math.sqrt(0.06))) / 2


def overlap(y, e):
    """The length of [y - e, y + e] within [0, 1]: 2e times the density of y."""
    return np.minimum(y + e, 1) - np.maximum(y - e, 0)


def log_ratios(name, x, y):
    """ln p(x, y) / p(x) p(y) at each pair, from densities written down here and not in the library."""
    for back, value in zip(INVERSES.get(name, ()), (x, y), strict=False):
        value[:] = back(value)  # one-to-one maps of x and of y cancel in the ratio
    d = x.shape[1]
    if name in COVARIANCES or name in STUDENTS:
        dof, cov = STUDENTS.get(name, (np.inf, COVARIANCES.get(name)))
        parts = ((np.hstack([x, y]), cov), (x, cov[:d, :d]), (y, cov[d:, d:]))
        both, of_x, of_y = (stats.multivariate_t(shape=c, df=dof).logpdf(v) for v, c in parts)
        return both - of_x - of_y
    if name in UNIFORM:
        return -np.log(overlap(y[:, 0], UNIFORM[name]))
    noise = CASES[name].noise_var
    given = stats.norm.logpdf(y, x, math.sqrt(noise)).sum(1)
    if name == "channel-clusters":
        return given - np.log(mixture_density(y)).sum(1)
    return given - stats.norm.logpdf(y, 0, math.sqrt(1 + noise)).sum(1)


def drawn(name, n=PAIRS, seed=0):
    return CASES[name].sample(n, generator(seed))


def test_every_case_is_checked():
    known = {*COVARIANCES, *STUDENTS, *UNIFORM, *CHANNELS, "channel-clusters"}
    assert set(CASES) == known
    assert {name for name, case in CASES.items() if case.noise_var is not None} == {
        *CHANNELS,
        "channel-clusters",
    }
    assert all(case.name == name for name, case in CASES.items())


@pytest.mark.parametrize("name", COVARIANCES)
def test_normal_cases_have_the_information_of_scipys_entropies(name):
    cov, (d, _) = COVARIANCES[name], CASES[name].dims
    both, x, y = (stats.multivariate_normal(cov=c).entropy() for c in (cov, cov[:d, :d], cov[d:, d:]))
    assert CASES[name].mi == pytest.approx(x + y - both, abs=EXACT)


@pytest.mark.parametrize("name", STUDENTS)
def test_student_cases_have_the_information_of_scipys_entropies(name):
    (dof, cov), (d, _) = STUDENTS[name], CASES[name].dims
    both, x, y = (stats.multivariate_t(shape=c, df=dof).entropy() for c in (cov, cov[:d, :d], cov[d:, d:]))
    assert CASES[name].mi == pytest.approx(x + y - both, abs=EXACT)


@pytest.mark.parametrize("name", UNIFORM)
def test_uniform_noise_leaves_the_entropy_of_a_trapezium(name):
    e = UNIFORM[name]

    def surprise(y):
        density = overlap(y, e) / (2 * e)
        return -density * math.log(density) if density > 0 else 0.0

    corners = sorted((-e, e, 1 - e, 1 + e))
    entropy = sum(integrate.quad(surprise, a, b, epsabs=1e-12)[0] for a, b in pairwise(corners))
    assert CASES[name].mi == pytest.approx(entropy - math.log(2 * e), abs=EXACT)


def test_clusters_have_the_information_that_quadrature_finds():
    def surprise(y):
        return -mixture_density(y) * math.log(mixture_density(y))

    entropy = 2 * integrate.quad(surprise, -6, 0, epsabs=1e-12, limit=200)[0]  # symmetric; 1e-90 is left out
    noise = stats.norm(scale=math.sqrt(0.05)).entropy()
    assert CASES["channel-clusters"].mi == pytest.approx(2 * (entropy - noise), abs=EXACT)


@pytest.mark.parametrize("name", CHANNELS)
def test_normal_channels_have_shannons_capacity(name):
    case = CASES[name]
    assert case.noise_var == pytest.approx(CHANNELS[name], rel=EXACT)
    assert case.mi == pytest.approx(0.5 * case.dims[0] * math.log(1 + 1 / CHANNELS[name]), abs=EXACT)


def test_information_that_readers_will_look_for():
    for name in ("normal-0.75", "normal-cdf", "half-cube", "asinh"):
        assert round(CASES[name].mi, 4) == 0.4133
    assert CASES["channel-20-nats"].mi == pytest.approx(20, abs=EXACT)
    assert CASES["independent"].mi == 0
    assert CASES["additive-uniform-0.75"].mi == pytest.approx(1 / 3, abs=EXACT)


@pytest.mark.parametrize("name", CASES)
def test_samples_have_that_information(name):
    """The mean of the log-ratio of densities at the samples is I(X; Y): sampler and answer belong together."""
    x, y = (value.numpy().copy() for value in drawn(name))
    terms = log_ratios(name, x, y)
    stderr = terms.std(ddof=1) / math.sqrt(PAIRS)
    assert SIGMAS * stderr < SHARPNESS * max(1, CASES[name].mi)
    assert terms.mean() == pytest.approx(CASES[name].mi, abs=SIGMAS * stderr + EXACT)


@pytest.mark.parametrize("name", ["normal-cdf", "half-cube", "asinh"])
def test_maps_are_one_to_one_and_act_on_the_normal_of_the_same_seed(name):
    for value, plain, back in zip(drawn(name, 500), drawn("normal-0.75", 500), INVERSES[name], strict=True):
        np.testing.assert_allclose(
            back(value.numpy()), plain, atol=1e-9
        )  # ndtri steepens rounding at the ends


def test_the_spiral_keeps_lengths_and_moves_points():
    x, y = drawn("spiral-3x3", 500)
    turned = unwind(0, 1)(x.numpy())
    np.testing.assert_allclose(np.linalg.norm(turned, axis=1), np.linalg.norm(x, axis=1), rtol=1e-12)
    assert np.abs(turned - x.numpy()).max() > 1
    assert np.abs(np.corrcoef(x[:, 0], y[:, 0])[0, 1]) < np.abs(np.corrcoef(turned[:, 0], y[:, 0])[0, 1])


@pytest.mark.parametrize("name", CASES)
def test_samples_are_shaped_as_stated_and_repeat_with_their_seed(name):
    for n in (1, 50):
        for value, again, other, d in zip(
            drawn(name, n), drawn(name, n), drawn(name, n, 1), CASES[name].dims, strict=True
        ):
            assert value.shape == (n, d)
            assert value.dtype == torch.float64
            assert torch.equal(value, again)
            assert not torch.equal(value, other)


def test_sampling_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    for name in CASES:
        drawn(name, 3)
    assert torch.equal(before, torch.get_rng_state())


def test_bad_arguments_are_refused():
    case = CASES["normal-0.5"]
    with pytest.raises(ValueError, match="n=0: must be at least 1"):
        case.sample(0, generator(0))
    with pytest.raises(TypeError, match=r"n=2\.5: must be an integer"):
        case.sample(2.5, generator(0))
    with pytest.raises(TypeError, match=r"generator=7: must be a torch\.Generator on the CPU"):
        case.sample(2, 7)
