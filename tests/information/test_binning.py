"""lrlib.information.binned_mi against NumPy, SciPy and scikit-learn."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import entropy
from sklearn.metrics import mutual_info_score

from lrlib.information import binned_mi

ROUNDING = 1e-12  # sums of at most a few thousand terms p ln p


def normal(n: int, d: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(("n", "d", "bins"), [(500, 1, 30), (200, 2, 7), (300, 3, 2), (100, 1, 1)])
def test_entropy_equals_numpy_s_histogram(n, d, bins):
    t = normal(n, d)
    low, high = -5.0, 5.0
    counts, _ = np.histogramdd(t.numpy(), bins=bins, range=[(low, high)] * d)
    found = binned_mi(t, bins, limits=(low, high))
    assert found.value == pytest.approx(entropy(counts.ravel()), abs=ROUNDING)


def test_a_bin_holds_its_left_edge_and_the_last_one_both():
    t = torch.arange(9.0)  # edges 0, 2, 4, 6, 8
    counts, _ = np.histogram(t.numpy(), bins=4, range=(0, 8))
    labels = np.repeat(np.arange(4), counts)
    assert counts.tolist() == [2, 2, 2, 3]
    # all of the entropy is shared with numpy's bins only if they are the same bins
    found = binned_mi(t, 4, y=torch.from_numpy(labels), limits=(0, 8))
    assert found.value == pytest.approx(entropy(counts), abs=ROUNDING)


def test_without_limits_all_coordinates_share_one_range():
    t = normal(100, 2) * torch.tensor([1.0, 10.0])
    low, high = float(t.min()), float(t.max())
    counts, _ = np.histogramdd(t.numpy(), bins=5, range=[(low, high)] * 2)
    found = binned_mi(t, 5)
    assert found.value == pytest.approx(entropy(counts.ravel()), abs=ROUNDING)
    assert found.method == f"binning, 5 bins of equal width on [{low:.6g}, {high:.6g}]"


@pytest.mark.parametrize("spacing", ["width", "mass"])
def test_with_labels_it_equals_scikit_learn(spacing):
    t = normal(400, 1)
    y = (t[:, 0] + normal(400, 1, seed=1)[:, 0] > 0).long() * 5 - 2
    found = binned_mi(t, 8, y=y, spacing=spacing)
    if spacing == "width":
        edges = np.linspace(float(t.min()), float(t.max()), 9)
    else:
        edges = np.append(np.sort(t.numpy()[:, 0])[::50], np.inf)  # 50 rows a bin
    cells = np.digitize(t.numpy()[:, 0], edges[1:-1])
    assert found.value == pytest.approx(mutual_info_score(cells, y.numpy()), abs=ROUNDING)
    assert found.method.endswith("; y as labels")


def test_with_floats_both_are_binned_on_their_own_ranges():
    t = normal(300, 1)
    y = 100 * t + 70 * normal(300, 1, seed=1)
    counts, _, _ = np.histogram2d(t[:, 0].numpy(), y[:, 0].numpy(), bins=6)
    found = binned_mi(t, 6, y=y)
    assert found.value == pytest.approx(mutual_info_score(None, None, contingency=counts), abs=ROUNDING)
    assert f"; y likewise on [{y.min():.6g}, {y.max():.6g}]" in found.method


def test_bins_of_equal_mass_hold_as_many_rows_each_and_equal_values_share_one():
    t = normal(90, 1).exp()
    found = binned_mi(t, 9, spacing="mass")
    assert found.value == pytest.approx(math.log(9), abs=ROUNDING)
    assert found.method == "binning, 9 bins of equal mass"
    # monotone maps do not change ranks
    assert binned_mi(t.log(), 9, spacing="mass") == found
    # 60 zeros and 30 other values: the edges below rank 60 are all zero, so the zeros are one bin
    relu = torch.cat([torch.zeros(60), torch.arange(1.0, 31.0)])
    expected = entropy([60, 10, 10, 10])
    assert binned_mi(relu, 9, spacing="mass").value == pytest.approx(expected, abs=ROUNDING)


def test_narrow_bins_are_saturated_at_ln_n_whatever_the_data():
    found = binned_mi(normal(200, 10), 30)
    assert found.value == pytest.approx(math.log(200), abs=ROUNDING)
    assert found.cap == pytest.approx(math.log(200))
    assert found.saturated
    assert found.stderr < ROUNDING  # nothing but n was measured, and that has no spread


def test_narrow_bins_give_all_of_h_y_for_labels_that_have_nothing_to_do_with_t():
    y = torch.arange(200) % 2
    found = binned_mi(normal(200, 10), 30, y=y)
    assert found.value == pytest.approx(math.log(2), abs=ROUNDING)
    assert found.cap == pytest.approx(math.log(2))
    assert found.saturated


def test_the_cap_of_few_bins_is_their_number():
    assert binned_mi(normal(200, 2), 3).cap == pytest.approx(2 * math.log(3))


def test_constant_units_and_single_rows_carry_nothing():
    t = normal(100, 1)
    dead = torch.cat([t, torch.zeros(100, 3, dtype=torch.float64)], 1)
    assert binned_mi(dead, 10, limits=(-5, 5)).value == binned_mi(t, 10, limits=(-5, 5)).value
    assert binned_mi(torch.zeros(100), 10).value == 0.0
    assert binned_mi(torch.zeros(1), 10).value == 0.0


def test_symmetric():
    t, y = normal(200, 1), normal(200, 1, seed=1) + normal(200, 1)
    assert binned_mi(t, 5, y=y).value == pytest.approx(binned_mi(y, 5, y=t).value, abs=ROUNDING)


@pytest.mark.parametrize("labels", [False, True])
def test_the_standard_error_is_that_of_repeated_samples(labels):
    found = []
    for seed in range(60):
        t = normal(500, 1, seed)
        y = (t[:, 0] + normal(500, 1, seed + 1000)[:, 0] > 0).long() if labels else None
        found.append(binned_mi(t, 8, y=y, limits=(-6, 6)))
    spread = torch.tensor([e.value for e in found]).std()
    mean = sum(e.stderr for e in found) / 60
    assert 0.7 < mean / spread < 1.3  # 60 samples tell a spread to 9 %: three of these


@pytest.mark.parametrize(
    ("change", "error", "rule"),
    [
        ({"limits": (-1.0, 1.0)}, ValueError, r"limits=\(-1\.0, 1\.0\): 1 of the 4 entries of t lie outside, from -1 to 3"),
        ({"limits": (1.0, -1.0)}, ValueError, r"limits=\(1\.0, -1\.0\): must be two finite numbers"),
        ({"limits": (-math.inf, 1.0)}, ValueError, "must be two finite numbers, the first below the second"),
        ({"limits": (-9, 9), "spacing": "mass"}, ValueError, "must be None with spacing='mass'"),
        ({"limits": (-9, 9), "y": torch.full((4,), 10.0)}, ValueError, "4 of the 4 entries of y lie outside"),
        ({"spacing": "equal"}, ValueError, "spacing='equal': must be one of 'width', 'mass'"),
        ({"bins": 0}, ValueError, "bins=0: must be at least 1"),
        ({"bins": 2.5}, TypeError, r"bins=2\.5: must be an integer"),
        ({"y": torch.zeros(3).long()}, ValueError, "y: has 3 samples; must have 4, as many as t"),
        ({"y": torch.zeros(4, 1).long()}, ValueError, "labels must be integers of shape"),
        ({"y": [0, 1, 0, 1]}, TypeError, "y: must be a torch.Tensor, not list"),
        ({"y": torch.full((4,), math.nan)}, ValueError, "y: 4 of its 4 entries are NaN"),
        ({"t": torch.full((4,), math.nan)}, ValueError, "t: 4 of its 4 entries are NaN"),
        ({"t": torch.arange(4)}, TypeError, "t: dtype is torch.int64"),
    ],
)  # fmt: skip
def test_refusals(change, error, rule):
    arguments = {"t": torch.tensor([-1.0, 0.0, 0.5, 3.0]), "bins": 3, **change}
    with pytest.raises(error, match=rule):
        binned_mi(**arguments)


@pytest.mark.parametrize(
    ("limits", "error", "rule"),
    [
        ((0, 1, 2), ValueError, r"limits=\(0, 1, 2\): must be two numbers, \(low, high\)"),
        (("a", 1), TypeError, r"limits\[0\]='a': must be a number"),
        ((0.0, math.inf), ValueError, r"limits\[1\]=inf: must be finite"),
    ],
)
def test_limits_that_are_no_pair_of_numbers(limits, error, rule):
    with pytest.raises(error, match=rule):
        binned_mi(torch.tensor([0.1, 0.2]), 3, limits=limits)
