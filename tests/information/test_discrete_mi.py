"""Discrete information: tables against scipy and scikit-learn, corrections against loops and exact expectations."""

import math
from itertools import product

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.metrics import mutual_info_score

from lrlib.information import discrete_entropy, discrete_mi, table_entropy, table_mi
from lrlib.runtime import generator

ROUNDING = 1e-12  # nats: float64 sums of at most some hundred terms
CORRECTIONS = ("none", "miller-madow", "jackknife")


def counts(seed, shape=(4, 6)):
    """A table of integers, some of them zero: scikit-learn takes no other."""
    return torch.randint(9, shape, generator=generator(seed)).sub(2).clamp(min=0)


def random_table(seed):
    return counts(seed).double() / counts(seed).sum()


def labels(seed, n=40, values=5):
    """Two dependent variables of some labels; not 0, 1, 2, ...: any integers will do."""
    x = torch.randint(values, (n,), generator=generator(seed))
    y = (x + torch.randint(2, (n,), generator=generator(seed + 100))) % values
    return 7 * x - 3, y


def without(x, i):
    return torch.cat([x[:i], x[i + 1 :]])


@pytest.mark.parametrize("seed", range(5))
def test_tables_have_scipys_entropy_and_scikit_learns_information(seed):
    p = random_table(seed)
    assert table_entropy(p) == pytest.approx(stats.entropy(p.flatten().numpy()), abs=ROUNDING)
    assert table_mi(p) == pytest.approx(
        mutual_info_score(None, None, contingency=counts(seed).numpy()), abs=ROUNDING
    )
    assert table_mi(p) == pytest.approx(table_mi(p.T), abs=ROUNDING)


def test_tables_with_a_known_answer():
    assert table_entropy(torch.full((8,), 1 / 8)) == pytest.approx(math.log(8), abs=ROUNDING)
    flips = 0.1  # a binary symmetric channel: ln 2 - h(0.1)
    channel = torch.tensor([[1 - flips, flips], [flips, 1 - flips]], dtype=torch.float64) / 2
    assert table_mi(channel) == pytest.approx(math.log(2) - stats.entropy([flips, 1 - flips]), abs=ROUNDING)
    independent = torch.outer(random_table(0).sum(1), random_table(0).sum(0))
    assert 0 <= table_mi(independent) < ROUNDING


def test_a_float32_table_is_taken_for_what_it_rounds():
    p = random_table(1)
    assert table_mi(p.float()) == pytest.approx(table_mi(p), abs=1e-6)  # 24 entries of 6e-8 each


@pytest.mark.parametrize("seed", range(5))
def test_plug_in_is_that_of_scipy_and_scikit_learn(seed):
    x, y = labels(seed)
    shares = np.unique(x.numpy(), return_counts=True)[1]
    assert discrete_entropy(x).value == pytest.approx(stats.entropy(shares), abs=ROUNDING)
    assert discrete_mi(x, y).value == pytest.approx(mutual_info_score(x.numpy(), y.numpy()), abs=ROUNDING)


def test_miller_madow_adds_one_over_2n_for_every_further_value():
    x, y = torch.tensor([0, 0, 1, 1, 1, 2]), torch.tensor([0, 0, 0, 1, 1, 1])
    found = discrete_entropy(x, correction="miller-madow")
    assert found.value == pytest.approx(stats.entropy([2, 3, 1]) + 2 / 12, abs=ROUNDING)
    plug_in, corrected = (discrete_mi(x, y, correction=c) for c in ("none", "miller-madow"))
    assert corrected.value == pytest.approx(
        plug_in.value + (2 + 1 - 3) / 12, abs=ROUNDING
    )  # 3, 2 and 4 values


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("estimator", [discrete_entropy, discrete_mi])
def test_jackknife_is_that_of_the_loop(estimator, seed):
    data = labels(seed, n=15)[: 1 if estimator is discrete_entropy else 2]
    left_out = [estimator(*(without(v, i) for v in data)).value for i in range(15)]
    expected = 15 * estimator(*data).value - 14 * np.mean(left_out)
    assert estimator(*data, correction="jackknife").value == pytest.approx(expected, abs=15 * ROUNDING)


def expected_value(p, n, correction):
    """The exact mean of the entropy's estimate over all samples of n labels drawn from p."""
    total = 0.0
    for sample in product(range(len(p)), repeat=n):
        found = discrete_entropy(torch.tensor(sample), correction=correction)
        total += found.value * math.prod(p[k] for k in sample)
    return total


def test_corrections_take_off_most_of_the_bias():
    """Over all 729 samples of 6 labels: no randomness. The plug-in is too small by nearly (m - 1)/2n."""
    p, n = (0.5, 0.3, 0.2), 6
    bias = {c: expected_value(p, n, c) - stats.entropy(p) for c in CORRECTIONS}
    assert bias["none"] == pytest.approx(-(len(p) - 1) / (2 * n), rel=0.2)  # the next order is 1/n of it
    assert abs(bias["miller-madow"]) < abs(bias["none"]) / 3
    assert abs(bias["jackknife"]) < abs(bias["none"]) / 3


@pytest.mark.parametrize("correction", CORRECTIONS)
def test_the_cap_is_reached_when_no_label_occurs_twice(correction):
    distinct = torch.arange(12)
    for found in (
        discrete_entropy(distinct, correction=correction),
        discrete_mi(distinct, -distinct, correction=correction),
    ):
        assert found.value == pytest.approx(found.cap, abs=12 * ROUNDING)
        assert found.saturated
    for seed in range(20):
        x, y = labels(seed, n=12, values=8)
        for found in (discrete_entropy(x, correction=correction), discrete_mi(x, y, correction=correction)):
            assert found.value < found.cap


SAMPLES = 400
# The spread of 400 estimates is known to 1/sqrt(800) = 3.5 %; four times that, and the first order of the delta method.
SPREAD = 0.2


@pytest.mark.parametrize(
    ("p", "correction"),
    [
        (((0.4, 0.1), (0.1, 0.4)), "none"),
        (((0.4, 0.1), (0.1, 0.4)), "jackknife"),
        (((0.25, 0.25), (0.25, 0.25)), "none"),  # independent: the first order vanishes
    ],
)
def test_the_standard_error_is_the_spread_over_samples(p, correction):
    table, g = torch.tensor(p, dtype=torch.float64), generator(0)
    found = []
    for _ in range(SAMPLES):
        drawn = torch.multinomial(table.flatten(), 300, replacement=True, generator=g)
        found.append(discrete_mi(drawn // 2, drawn % 2, correction=correction))
    spread = np.std([estimate.value for estimate in found], ddof=1)
    stated = np.sqrt(np.mean([estimate.stderr**2 for estimate in found]))
    if (
        p[0][0] == 0.25
    ):  # chi-square of 1 degree / 2n spreads by sqrt(2)/2n; the larger of two errors is stated
        assert spread < stated < 2 * spread
    else:
        assert stated == pytest.approx(spread, rel=SPREAD)


def test_an_entropy_of_equal_shares_still_has_a_standard_error():
    found = discrete_entropy(torch.arange(8).repeat(10))
    assert found.value == pytest.approx(math.log(8), abs=ROUNDING)
    assert found.stderr == pytest.approx(math.sqrt(7 / 2) / 80, rel=1e-9)


def test_a_constant_has_no_information():
    x, constant = torch.arange(10) % 3, torch.zeros(10, dtype=torch.int64)
    assert discrete_entropy(constant).value == 0
    assert discrete_mi(x, constant).value == pytest.approx(0, abs=ROUNDING)


@pytest.mark.parametrize(
    ("table", "error", "rule"),
    [
        (torch.tensor([[0.5, 0.4]]), ValueError, r"joint: sums to 0\.9\d*; must sum to 1"),
        (
            torch.tensor([[1.5, -0.5]]),
            ValueError,
            "joint: its smallest entry is -0.5; probabilities are not negative",
        ),
        (torch.tensor([[math.nan, 1.0]]), ValueError, "joint: 1 of its 2 entries are NaN or infinite"),
        (torch.tensor([0.5, 0.5]), ValueError, r"joint: shape is \(2,\); must be a matrix"),
        (torch.zeros(0, 2), ValueError, r"joint: shape is \(0, 2\); must not be empty"),
        (
            torch.tensor([[1, 0]]),
            TypeError,
            "joint: dtype is torch.int64; must be torch.float32 or torch.float64",
        ),
        ([[0.5, 0.5]], TypeError, "joint: must be a torch.Tensor, not list"),
    ],
)
def test_tables_that_are_none_are_refused(table, error, rule):
    with pytest.raises(error, match=rule):
        table_mi(table)
    if not isinstance(table, torch.Tensor) or table.ndim == 2:
        with pytest.raises(error, match=rule.replace("joint", "p", 1)):
            table_entropy(table)


@pytest.mark.parametrize(
    ("x", "error", "rule"),
    [
        (torch.rand(4), TypeError, "x: dtype is torch.float32; must be integers"),
        (torch.tensor([True, False]), TypeError, "x: dtype is torch.bool; must be integers"),
        (
            torch.zeros(4, 2, dtype=torch.int64),
            ValueError,
            r"x: shape is \(4, 2\); must be \(n,\) with n >= 2",
        ),
        (torch.tensor([3]), ValueError, r"x: shape is \(1,\); must be \(n,\) with n >= 2"),
        ([1, 2], TypeError, "x: must be a torch.Tensor, not list"),
    ],
)
def test_labels_that_are_none_are_refused(x, error, rule):
    with pytest.raises(error, match=rule):
        discrete_entropy(x)
    with pytest.raises(error, match=rule):
        discrete_mi(x, torch.tensor([0, 1, 1, 0]))


def test_lengths_and_corrections_are_checked():
    x = torch.tensor([0, 1, 1, 0])
    with pytest.raises(ValueError, match="y: has 3 samples; must have 4, as many as x"):
        discrete_mi(x, x[:3])
    for function in (discrete_entropy, lambda x, **c: discrete_mi(x, x, **c)):
        with pytest.raises(
            ValueError, match="correction='nsb': must be one of 'none', 'miller-madow', 'jackknife'"
        ):
            function(x, correction="nsb")


@pytest.mark.parametrize("p", [1e-100, 1e-200, 1e-308])
def test_a_table_of_tiny_probabilities(p):
    found = table_mi(torch.tensor([[1 - p, 0.0], [0.0, p]], dtype=torch.float64))
    # p ln(1/p) + p, of which rounding of 1 - p to 1 takes p
    assert found == pytest.approx(-p * math.log(p), rel=0.01)


def test_the_standard_error_where_most_pairs_of_values_never_occur():
    found = []
    for seed in range(40):
        x, y = torch.randint(200, (2, 500), generator=torch.Generator().manual_seed(seed))
        found.append(discrete_mi(x, y))
    spread = torch.tensor([e.value for e in found]).std()
    stated = torch.tensor([e.stderr for e in found]).mean()
    assert (
        0.5 < stated / spread < 2
    )  # (m_x - 1)(m_y - 1) in place of the pairs that occur would say eight times


def test_a_million_pairs_need_no_table_of_rows():
    x, y = torch.randint(30, (2, 10**6), generator=torch.Generator().manual_seed(0))
    assert discrete_mi(x, y).value == pytest.approx(29 * 29 / 2e6, rel=0.2)
