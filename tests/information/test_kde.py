"""lrlib.information.kde_mi against its slow twin, and against the exact information of small mixtures."""

import math

import pytest
import torch

from lrlib import reference
from lrlib.information import kde, kde_mi

ROUNDING = 1e-12  # relative, of a mean of logarithms of sums of positive terms, taken in another order
QUADRATURE = 1e-9  # nats, see exact()


def normal(n: int, d: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def exact(t: torch.Tensor, noise_var: float) -> float:
    """Return I(T; T + N(0, noise_var I)), T one of the rows of t, (n, 1) or (n, 2), by the trapezoid rule.

    The rule is exact to rounding for Gaussian bumps at a step of an eighth of their width, 9 widths out.
    """
    width, d = math.sqrt(noise_var), t.shape[1]
    low, high = (t.min(0).values - 9 * width).tolist(), (t.max(0).values + 9 * width).tolist()
    axes = [torch.arange(a, b, width / 8, dtype=torch.float64) for a, b in zip(low, high, strict=True)]
    z = torch.cartesian_prod(*axes).reshape(-1, d)
    squares = (z[:, None] - t).square().sum(2)
    p = torch.exp(-squares / (2 * noise_var)).mean(1) / (2 * math.pi * noise_var) ** (d / 2)
    entropy = torch.special.entr(p).sum().item() * (width / 8) ** d
    return entropy - d / 2 * math.log(2 * math.pi * math.e * noise_var)


def test_the_oracle_has_the_entropy_of_one_gaussian():
    assert exact(torch.zeros(1, 2, dtype=torch.float64), 0.3) == pytest.approx(0.0, abs=QUADRATURE)


@pytest.mark.parametrize(("n", "d", "noise_var"), [(2, 1, 1.0), (30, 1, 0.1), (25, 5, 2.0), (40, 3, 1e-3)])
def test_equals_the_slow_twin(n, d, noise_var):
    t = normal(n, d, seed=n)
    found = [float(bound) for bound in kde_mi(t, noise_var)]
    assert found == pytest.approx(reference.kde_mi(t, noise_var), rel=ROUNDING)


@pytest.mark.parametrize("block", [1, 7, 30, 31])
def test_blocks_do_not_change_the_bounds(monkeypatch, block):
    t = normal(30, 2)
    whole = kde_mi(t, 0.3)
    monkeypatch.setattr(kde, "BLOCK", block)
    for part, expected in zip(kde_mi(t, 0.3), whole, strict=True):
        assert part.value == pytest.approx(expected.value, rel=ROUNDING)
        assert part.stderr == pytest.approx(expected.stderr, rel=1e-10)  # a spread: differences of such means


@pytest.mark.parametrize("gap", [0.3, 1.0, 2.0, 4.0, 8.0])
def test_two_points_hold_their_exact_information_between_them(gap):
    t = torch.tensor([[0.0], [gap]], dtype=torch.float64)
    lower, upper = kde_mi(t, 1.0)
    assert lower.value < exact(t, 1.0) < upper.value + QUADRATURE  # at a gap of 8 all are ln 2


def test_the_value_in_the_docstring():
    assert exact(torch.tensor([[0.0], [2.0]], dtype=torch.float64), 1.0) == pytest.approx(0.337, abs=5e-4)


@pytest.mark.parametrize("noise_var", [0.02, 0.3, 3.0])
@pytest.mark.parametrize(("n", "d"), [(12, 1), (4, 2)])
def test_a_mixture_holds_its_exact_information_between_them(n, d, noise_var):
    t = normal(n, d, seed=5)
    lower, upper = kde_mi(t, noise_var)
    assert lower.value < exact(t, noise_var) < upper.value + QUADRATURE


@pytest.mark.parametrize("d", [1, 3, 20])
@pytest.mark.parametrize("noise_var", [1e-6, 0.1, 1.0, 1e6])
def test_in_order_and_never_above_ln_n(d, noise_var):
    lower, upper = kde_mi(normal(200, d), noise_var)
    assert 0 <= lower.value <= upper.value <= math.log(200) * (1 + ROUNDING)
    assert (lower.kind, upper.kind) == ("lower bound", "upper bound")
    assert lower.cap == upper.cap == pytest.approx(math.log(200))
    assert lower.n == 200
    assert "noise variance" in lower.method


def test_equal_points_pass_nothing():
    for bound in kde_mi(torch.full((50, 3), 1 / 3), 0.1):
        assert (bound.value, bound.stderr, bound.saturated) == (0.0, 0.0, False)


def test_points_far_apart_are_saturated_at_ln_n():
    for bound in kde_mi(torch.arange(64.0) * 100, 1.0):
        assert bound.value == pytest.approx(math.log(64), rel=ROUNDING)
        assert bound.saturated


def test_small_distances_beside_large_norms_are_kept():
    # two clusters at +-1e7 whose points differ by about 1: |a|^2 + |b|^2 - 2ab would be rounded to 0.03
    cluster = normal(40, 2)
    t = torch.cat([cluster - 1e7, cluster + 1e7])
    for both, one in zip(kde_mi(t, 0.5), kde_mi(cluster, 0.5), strict=True):
        # which cluster is worth ln 2; 1e7 leaves float64 nine digits of a coordinate
        assert both.value == pytest.approx(one.value + math.log(2), abs=1e-7)


def test_the_unit_does_not_matter_and_neither_does_the_origin():
    t = normal(100, 4)
    expected = [bound.value for bound in kde_mi(t, 0.7)]
    assert [b.value for b in kde_mi(1024 * t + 3, 0.7 * 1024**2)] == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize(("n", "d", "noise_var"), [(100, 1, 1.0), (300, 1, 0.1), (300, 3, 1.0)])
@pytest.mark.parametrize("side", [0, 1])
def test_the_standard_error_is_that_of_repeated_samples(n, d, noise_var, side):
    found = [kde_mi(normal(n, d, seed), noise_var)[side] for seed in range(40)]
    spread = torch.tensor([bound.value for bound in found]).std()
    mean = sum(bound.stderr for bound in found) / 40
    # first order in 1 / n, and 40 samples tell a spread to 11 %: three of these each way
    assert 0.67 < mean / spread < 1.33


def test_the_influence_is_the_change_when_a_row_is_doubled():
    # weights p on the rows: the derivative of -sum_i p_i ln sum_j p_j k_ij along row 0 - uniform
    t = normal(6, 2)
    k = torch.exp(-torch.cdist(t, t).square() / 2)

    def value(p: torch.Tensor) -> float:
        return float(-(p * (k @ p).log()).sum())

    uniform, step = torch.full((6,), 1 / 6, dtype=torch.float64), 1e-6
    influence = []
    for row in range(6):
        along = torch.eye(6, dtype=torch.float64)[row] - uniform
        influence.append((value(uniform + step * along) - value(uniform - step * along)) / (2 * step))
    expected = torch.tensor(influence).std() / math.sqrt(6)
    assert kde_mi(t, 1.0)[1].stderr == pytest.approx(float(expected), rel=1e-5)  # central differences


def test_vectors_are_one_coordinate_and_float32_is_taken():
    t = normal(50, 1)
    assert kde_mi(t[:, 0], 0.5) == kde_mi(t, 0.5)
    assert kde_mi(t.float(), 0.5)[0].value == pytest.approx(kde_mi(t, 0.5)[0].value, rel=1e-6)


@pytest.mark.parametrize(
    ("t", "noise_var", "error", "rule"),
    [
        (torch.randn(5, 2), 0.0, ValueError, "noise_var=0.0: must be finite and above 0"),
        (torch.randn(5, 2), -1.0, ValueError, r"noise_var=-1\.0: must be finite and above 0"),
        (torch.randn(5, 2), math.nan, ValueError, "noise_var=nan: must be finite"),
        (torch.randn(5, 2), "1", TypeError, "noise_var='1': must be a number"),
        (torch.tensor([1.0, math.nan]), 1.0, ValueError, "t: 1 of its 2 entries are NaN or infinite"),
        (torch.randn(1, 2), 1.0, ValueError, "t: has 1 samples; must be at least 2"),
        (torch.randn(3, 2, 2), 1.0, ValueError, r"t: shape is \(3, 2, 2\); must be"),
        (torch.arange(3), 1.0, TypeError, "t: dtype is torch.int64"),
    ],
)
def test_refusals(t, noise_var, error, rule):
    with pytest.raises(error, match=rule):
        kde_mi(t, noise_var)


def test_noise_out_of_range_beside_t_is_named():
    t = torch.randn(50, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with pytest.raises(ValueError, match="noise_var=1e-310: beside t, whose entries reach"):
        kde_mi(t, 1e-310)
