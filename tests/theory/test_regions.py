"""Counts of regions, held to linear programmes that look for a point in every candidate region."""

import itertools

import numpy as np
import pytest
from scipy.optimize import linprog

from lrlib.theory import region_bound, region_count

# A region counts as real if a point of it keeps this distance (in units of the functions' values) from every boundary.
# Solvers return margins good to about 1e-9; regions of the arrangements below are wider than 1e-5, or have no interior.
MARGIN = 1e-6


def margin(rows: list[np.ndarray]) -> float:
    """The largest t <= 1 for which some x has a·x + b >= t for every row (a, b)."""
    rows = np.array(rows)
    d = rows.shape[1] - 1
    bounds = [(None, None)] * d + [(None, 1)]
    constraints = np.hstack([-rows[:, :-1], np.ones((len(rows), 1))])
    solved = linprog([0] * d + [-1], A_ub=constraints, b_ub=rows[:, -1], bounds=bounds)
    assert solved.status == 0, solved.message
    return -solved.fun


def counted(hyperplanes: np.ndarray) -> int:
    """The number of regions of the hyperplanes a·x + b = 0, rows (a, b): one programme for every pattern of signs."""
    patterns = itertools.product((-1, 1), repeat=len(hyperplanes))
    return sum(
        margin([sign * row for sign, row in zip(p, hyperplanes, strict=True)]) > MARGIN for p in patterns
    )


def counted_in_network(weights: list[np.ndarray], dimension: int) -> int:
    """The activation patterns of a ReLU network that occur on sets with interior points; rows are (w, b)."""
    identity = np.eye(dimension + 1)  # what a layer gets, as affine functions of the input: rows (a, b)
    regions = [([], identity)]
    for layer in weights:
        found = []
        for conditions, inputs in regions:
            cut = [(conditions, [])]
            for row in layer @ inputs:
                cut = [
                    ([*rows, sign * row], [*on, sign > 0])
                    for rows, on in cut
                    for sign in (-1, 1)
                    if margin([*rows, sign * row]) > MARGIN
                ]
            found += [
                (rows, np.vstack([(layer @ inputs) * np.array(on)[:, None], identity[-1]]))
                for rows, on in cut
            ]
        regions = found
    return len(regions)


@pytest.mark.parametrize("dimension", [1, 2, 3])
@pytest.mark.parametrize("hyperplanes", [1, 2, 3, 4, 5, 6])
def test_random_hyperplanes_make_as_many_regions_as_the_formula_says(hyperplanes, dimension):
    rng = np.random.default_rng(hyperplanes)
    assert counted(rng.standard_normal((hyperplanes, dimension + 1))) == region_count(hyperplanes, dimension)


@pytest.mark.parametrize(
    ("lines", "regions"),
    [
        ([(1, 0, 0), (1, 0, 1), (1, 0, 2)], 4),  # parallel
        ([(1, 0, 0), (0, 1, 0), (1, 1, 0)], 6),  # through one point
        ([(1, 0, 0), (1, 0, 1), (0, 1, 0)], 6),  # two parallel, one across
        ([(1, 0, 0), (1, 0, 0), (0, 1, 0)], 4),  # one of them twice
    ],
)
def test_three_lines_in_special_position_make_fewer_regions(lines, regions):
    assert counted(np.array(lines, dtype=float)) == regions < region_count(3, 2) == 7


def test_known_sequences():
    assert [region_count(n, 1) for n in range(5)] == [1, 2, 3, 4, 5]
    assert [region_count(n, 2) for n in range(7)] == [1, 2, 4, 7, 11, 16, 22]  # OEIS A000124, Steiner 1826
    assert [region_count(n, 3) for n in range(7)] == [1, 2, 4, 8, 15, 26, 42]  # OEIS A000125
    assert [region_count(n, 0) for n in range(3)] == [1, 1, 1]
    assert region_count(20, 30) == 2**20


@pytest.mark.parametrize("widths", [[2, 3, 3], [2, 1, 3], [1, 3, 3], [3, 2, 3], [2, 2, 2, 2]])
def test_no_random_network_has_more_regions_than_the_bound(widths):
    rng = np.random.default_rng(0)
    for _ in range(3):
        weights = [rng.standard_normal((n, m + 1)) for m, n in itertools.pairwise(widths)]
        assert 1 < counted_in_network(weights, widths[0]) <= region_bound(widths)


@pytest.mark.parametrize("widths", [[1, 4], [2, 4], [3, 4]])
def test_the_bound_is_reached_by_one_hidden_layer(widths):
    rng = np.random.default_rng(1)
    weights = [rng.standard_normal((widths[1], widths[0] + 1))]
    assert counted_in_network(weights, widths[0]) == region_bound(widths)


def test_the_bound_knows_that_a_narrow_layer_leaves_few_dimensions():
    # After one unit the second layer sees one number: 2 regions, each cut into at most 4, not 7.
    assert region_bound([2, 1, 3]) == 2 * 4
    assert region_bound([5, 2, 4]) == 4 * 11
    # 3 units on a line, then thresholds of the one number that is left: a network for which 5 of the 8 exist.
    weights = [np.array([[1.0, 0.0, 0.0]]), np.array([[1.0, -1.0], [1.0, -2.0], [1.0, -3.0]])]
    assert counted_in_network(weights, 2) == 5


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((-1, 2), ValueError, "hyperplanes=-1: must be at least 0"),
        ((3, -1), ValueError, "dimension=-1: must be at least 0"),
        ((3.0, 2), TypeError, "hyperplanes=3.0: must be an integer"),
        ((3, True), TypeError, "dimension=True: must be an integer"),
    ],
)
def test_region_count_names_what_is_wrong(arguments, error, message):
    with pytest.raises(error, match=message):
        region_count(*arguments)


@pytest.mark.parametrize(
    ("widths", "error", "message"),
    [
        ([2], ValueError, r"widths=\[2\]: must hold the input width and at least one"),
        ([2, 0], ValueError, r"widths\[1\]=0: must be at least 1"),
        ([2.0, 3], TypeError, r"widths\[0\]=2.0: must be an integer"),
    ],
)
def test_region_bound_names_what_is_wrong(widths, error, message):
    with pytest.raises(error, match=message):
        region_bound(widths)
