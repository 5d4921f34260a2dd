"""lrlib.information.ksg_mi against its slow twin, scikit-learn, exact values, and the spread of repeated samples."""

import math
import re

import pytest
import torch
from scipy.special import digamma
from sklearn.feature_selection import mutual_info_regression

from lrlib import reference
from lrlib.information import ksg, ksg_mi

ROUNDING = 1e-12  # sums of digammas in another order


def gaussians(n: int, rho: float, seed: int, d: int = 1):
    """Return n samples, (n, d) each, of d pairs with correlation rho: the information is -d/2 ln(1 - rho^2)."""
    g = torch.Generator().manual_seed(seed)
    x, noise = torch.randn(2, n, d, generator=g, dtype=torch.float64)
    return x, rho * x + math.sqrt(1 - rho**2) * noise


def estimates(rho: float, seeds: range, *, n: int, variant: int = 1, d: int = 1):
    found = [ksg_mi(*gaussians(n, rho, seed, d), variant=variant) for seed in seeds]
    return torch.tensor([e.value for e in found]), torch.tensor([e.stderr for e in found])


@pytest.fixture(params=["trees", "all distances"])
def both_ways(request, monkeypatch):
    """Whatever the number of coordinates, once with each of the two searches."""
    monkeypatch.setattr(ksg, "DENSE", 99 if request.param == "trees" else 1)
    monkeypatch.setattr(ksg, "ROWS", 32)  # several blocks, the last of them smaller


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("variant", [1, 2])
@pytest.mark.parametrize(
    ("n", "k", "d_x", "d_y"),
    [(4, 3, 1, 1), (2, 1, 2, 1), (60, 3, 1, 1), (60, 1, 2, 3), (50, 7, 5, 1), (40, 39, 1, 5), (40, 3, 9, 8)],
)
def test_equals_the_slow_twin(variant, n, k, d_x, d_y):
    g = torch.Generator().manual_seed(n + k)
    x = torch.randn(n, d_x, generator=g, dtype=torch.float64)
    y = x[:, :1] + torch.rand(n, d_y, generator=g, dtype=torch.float64)
    expected = reference.ksg_mi(x, y, k, variant)
    assert ksg_mi(x, y, k, variant=variant).value == pytest.approx(expected, abs=ROUNDING)


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("variant", [1, 2])
def test_equals_the_slow_twin_where_distances_tie_exactly(variant):
    # On a grid with a step of 1/8, many neighbours lie at exactly eps: only "<" or "<=" tells the variants' counts.
    # k = 20 admits the repeated values.
    g = torch.Generator().manual_seed(3)
    x = torch.randint(0, 60, (80, 1), generator=g).double() / 8
    y = x + torch.randint(0, 9, (80, 1), generator=g).double() / 8
    x, y = torch.cat([x, y], 1).unique(dim=0).split(1, dim=1)  # repeated pairs would be refused
    order = torch.randperm(len(x), generator=g)
    first = ksg_mi(x, y, 20, variant=1).value
    assert first == pytest.approx(reference.ksg_mi(x, y, 20, 1), abs=ROUNDING)
    if variant == 1:  # which of the tied points are the k nearest does not matter to variant 1
        assert ksg_mi(x[order], y[order], 20).value == pytest.approx(first, abs=ROUNDING)


@pytest.mark.parametrize("k", [1, 3, 10])
def test_equals_scikit_learn(k):
    # scikit-learn divides by the standard deviation and adds noise of 1e-10, so a pair of points whose distances
    # differ by less may change places: each moves the mean by at most 2 / n, and in 300 points there is hardly one.
    x, y = gaussians(300, 0.6, seed=k)
    theirs = mutual_info_regression(x.numpy(), y.numpy()[:, 0], n_neighbors=k, random_state=0)[0]
    scaled = (v / v.std(correction=0) for v in (x, y))
    assert ksg_mi(*scaled, k).value == pytest.approx(theirs, abs=2 / 300)
    # the same number with every unit multiplied by 1024, exactly
    assert ksg_mi(1024 * x, 1024 * y, k).value == ksg_mi(x, y, k).value


@pytest.mark.parametrize("variant", [1, 2])
@pytest.mark.parametrize("rho", [0.0, 0.5, 0.75, 0.9])
def test_the_exact_value_of_gaussians_is_in_the_band(variant, rho):
    values, _ = estimates(rho, range(12), n=1000, variant=variant)
    truth = -0.5 * math.log(1 - rho**2)
    # Kraskov et al. (2004, figure 4) find a systematic error below 0.02 for n = 1000 and these correlations
    bias = 0.02
    assert abs(values.mean() - truth) < bias + 4 * values.std() / math.sqrt(12)


def test_independent_gaussians_have_no_bias():
    # Kraskov et al. conjecture zero bias for independent X and Y: no allowance but four standard errors
    values, _ = estimates(0.0, range(40), n=300)
    assert abs(values.mean()) < 4 * values.std() / math.sqrt(40)


@pytest.mark.parametrize(("rho", "d", "n"), [(0.0, 1, 300), (0.75, 1, 300), (0.75, 3, 300), (0.95, 1, 2500)])
def test_the_standard_error_is_that_of_repeated_samples(rho, d, n):
    values, errors = estimates(rho, range(40), n=n, d=d)
    # Efron & Stein (1981): the jackknife errs upward. 40 samples tell the spread to 11 %, two of which are allowed.
    assert 0.8 < errors.square().mean().sqrt() / values.std() < 2.2


def test_smooth_bijections_of_each_variable_change_little():
    differences = []
    for seed in range(10):
        x, y = gaussians(600, 0.75, seed)
        plain = ksg_mi(x, y)
        bent = ksg_mi(x**3 + x, y.exp())
        assert abs(bent.value - plain.value) < 3 * plain.stderr
        differences.append(bent.value - plain.value)
    # The information is the same, the estimate is not: where a density is stretched unevenly, a square of side
    # 2 eps no longer sees an even density. That costs about a tenth of the 0.413 nats; twice that is allowed.
    assert abs(sum(differences) / 10) < 0.2 * 0.413


@pytest.mark.parametrize("variant", [1, 2])
def test_symmetric(variant):
    x, y = gaussians(200, 0.8, seed=1, d=2)
    assert ksg_mi(x, y, variant=variant).value == pytest.approx(
        ksg_mi(y, x, variant=variant).value, abs=ROUNDING
    )


@pytest.mark.parametrize(("variant", "above"), [(1, 1 / 3), (2, 0.0)])
def test_saturated_where_y_is_x_or_nearly(variant, above):
    x, y = gaussians(500, 0.0, seed=2)
    cap = digamma(500) - digamma(4)
    nearly, copy = (ksg_mi(x, other, variant=variant) for other in (x + 1e-8 * y, x))
    assert nearly.cap == copy.cap == pytest.approx(cap, abs=ROUNDING)
    # no point but the k neighbours is as near; in variant 1 the k-th is strictly nearer in one of the two
    assert nearly.value == pytest.approx(cap, abs=ROUNDING)
    assert copy.value == pytest.approx(cap + above, abs=ROUNDING)  # in none of the two, as both are equal
    assert nearly.saturated
    assert copy.saturated
    assert not ksg_mi(*gaussians(500, 0.75, seed=2), variant=variant).saturated


def test_shapes_dtypes_and_what_is_reported():
    x, y = gaussians(100, 0.5, seed=4)
    assert ksg_mi(x[:, 0], y[:, 0]) == ksg_mi(x, y)
    assert ksg_mi(x.float(), y).value == pytest.approx(ksg_mi(x, y).value, abs=0.02)
    found = ksg_mi(x, y, 5, variant=2)
    assert (found.method, found.kind, found.n) == ("KSG 2, k = 5", "estimate", 100)


def test_no_standard_error_where_a_group_cannot_be_left_out():
    x, y = gaussians(12, 0.5, seed=5)
    assert ksg_mi(x, y, 9).stderr is not None  # 12 - ceil(12 / 10) = 10 samples remain
    assert ksg_mi(x, y, 10).stderr is None


def test_ties_are_refused_and_counted():
    x, y = gaussians(50, 0.5, seed=6)
    relu = y.relu()
    zeros = int((relu == 0).sum())
    rule = re.escape(f"y: {zeros} of the 50 entries of column 0 have values that occur more than k=3 times")
    with pytest.raises(ValueError, match=rule):
        ksg_mi(x, relu)
    with pytest.raises(ValueError, match="y: 50 of the 50 entries of column 1 have values"):
        ksg_mi(x, torch.cat([y, (x > 0).double()], 1))


def test_a_value_that_occurs_k_times_is_no_tie():
    x, y = gaussians(50, 0.5, seed=7)
    x[:3] = x[0]
    assert ksg_mi(x, y, 3).value == pytest.approx(reference.ksg_mi(x, y, 3, 1), abs=ROUNDING)
    with pytest.raises(ValueError, match="x: 3 of the 50 entries"):
        ksg_mi(x, y, 2)


def test_jitter_breaks_ties_by_the_generator_and_shifts_do_not_swallow_it():
    # beside 1e9 a noise of 1e-10 is below float64's rounding, so it must be added after centring
    label = (torch.arange(400) % 2).double() + 1e9
    draws = [
        ksg_mi(label, label, ties="jitter", generator=torch.Generator().manual_seed(seed))
        for seed in (1, 1, 2)
    ]
    assert draws[0] == draws[1]
    assert draws[0].value != draws[2].value
    assert draws[0].method == "KSG 1, k = 3, jitter"
    # one fair bit in both, and independent noise within each of its values
    assert abs(draws[0].value - math.log(2)) < 4 * draws[0].stderr


def test_jitter_changes_nothing_much_without_ties():
    x, y = gaussians(400, 0.5, seed=9)
    # two distances closer than 1e-10 may change places, and each such pair moves the mean by at most 2 / n
    assert ksg_mi(x, y, ties="jitter").value == pytest.approx(ksg_mi(x, y).value, abs=2 / 400)


@pytest.mark.parametrize(
    ("change", "error", "rule"),
    [
        ({"k": 20}, ValueError, "k=20: x and y have 20 samples; must be below the number of samples"),
        ({"k": 0}, ValueError, "k=0: must be at least 1"),
        ({"k": 2.0}, TypeError, r"k=2.0: must be an integer"),
        ({"variant": 3}, ValueError, "variant=3: must be one of 1, 2"),
        ({"ties": "ignore"}, ValueError, "ties='ignore': must be one of 'refuse', 'jitter'"),
        ({"generator": 1}, TypeError, "generator=1: must be a torch.Generator"),
        ({"y": torch.randn(19)}, ValueError, "y: has 19 samples; must have 20, as many as x"),
        ({"x": torch.full((20,), math.nan)}, ValueError, "x: 20 of its 20 entries are NaN or infinite"),
        ({"x": torch.ones(20, 2)}, ValueError, r"x: columns \[0, 1\] of 2 are constant"),
        ({"x": torch.randn(20, 2, 2)}, ValueError, r"x: shape is \(20, 2, 2\); must be \(n,\) or \(n, d\)"),
        ({"x": torch.arange(20)}, TypeError, "x: dtype is torch.int64"),
        ({"x": [1.0, 2.0]}, TypeError, "x: must be a torch.Tensor, not list"),
        ({"x": torch.randn(1), "y": torch.randn(1)}, ValueError, "x: has 1 samples; must be at least 2"),
    ],
)
def test_refusals(change, error, rule):
    arguments = {"x": torch.linspace(0, 1, 20), "y": torch.linspace(0, 1, 20) ** 2, **change}
    with pytest.raises(error, match=rule):
        ksg_mi(**arguments)


@pytest.mark.parametrize("variant", [1, 2])
def test_repeated_pairs_are_refused(variant):
    x, y = gaussians(300, 0.0, seed=6)
    with pytest.raises(ValueError, match="x, y: 300 of the 600 pairs repeat another; must be distinct"):
        ksg_mi(x.repeat(2, 1), y.repeat(2, 1), variant=variant)
    one_twice = [torch.cat([v, v[:1]]) for v in (x, y)]  # below 1 %: honest data may do that
    assert ksg_mi(*one_twice, variant=variant).value < 0.2
