"""The curves of ClockCollapse: their half-rank times, and what a table must hold."""

import math

import numpy as np
import pandas as pd
import pytest
from clock_examples import curve_table, made_up_curves

from lrlib.interactive import ClockCollapse
from lrlib.interactive.clock_curves import half_rank_time

ROUNDING = 1e-12  # a few float64 operations


@pytest.mark.parametrize("start", [40.0, 7.0])
def test_what_is_straight_in_log_time_is_interpolated_exactly(start):
    steps = np.array([1, 3, 20, 700, 9000, 100_000])
    mean = start - 0.9 * start * np.log(steps) / np.log(steps[-1])
    assert half_rank_time(steps, mean) == pytest.approx(100_000 ** (0.5 / 0.9), rel=ROUNDING)


def test_half_times_are_those_of_a_search_along_the_line():
    g = np.random.default_rng(0)
    logs = np.linspace(0, np.log(30_000), 300_001)
    resolution = logs[1] - logs[0]
    found = []
    for _ in range(40):
        steps = np.unique([1, *np.rint(np.exp(g.uniform(0, np.log(30_000), 12))).astype(int), 30_000])
        mean = g.uniform(0, 10, len(steps)) * np.exp(-steps / g.uniform(100, 30_000))
        line = np.interp(logs, np.log(steps), mean)
        after = np.arange(len(logs)) >= np.searchsorted(logs, np.log(steps[mean.argmax()]))
        below = np.flatnonzero(after & (line < mean.max() / 2))
        half = half_rank_time(steps, mean)
        found.append(not math.isnan(half))
        if len(below):
            assert math.log(half) == pytest.approx(logs[below[0]], abs=1.01 * resolution)
        else:
            assert math.isnan(half)
    assert sum(found) > 20  # the search had something to find


def test_a_rank_that_only_rises_or_rests_has_no_half_time():
    steps = np.array([0, 10, 100])
    for mean in ([1.0, 5.0, 9.0], [4.0, 4.0, 4.0], [4.0, 3.0, 2.0], [0.0, 0.0, 0.0]):
        assert math.isnan(half_rank_time(steps, np.array(mean)))


def test_what_lies_below_half_before_the_highest_rank_is_no_fall():
    steps = np.array([0, 1, 10, 100, 1000])
    assert half_rank_time(steps, np.array([6.0, 2.0, 10.0, 6.0, 4.0])) == pytest.approx(math.sqrt(1e5))


def test_the_first_fall_counts_when_a_rank_comes_back():
    steps = np.array([1, 10, 100, 1000])
    assert half_rank_time(steps, np.array([8.0, 0.0, 8.0, 0.0])) == pytest.approx(math.sqrt(10))


def test_before_the_first_step_above_0_the_rank_is_straight_in_time():
    assert half_rank_time(np.array([0, 100, 200]), np.array([8.0, 0.0, 0.0])) == 50.0


def changed(**columns):
    """Two curves of four steps; the columns given are put in their place, or left out where they are None."""
    one, two = (
        curve_table([0, 1, 10, 100], [4.0, 4, 2, 1], name="a"),
        curve_table([0, 1, 10, 100], [4.0, 4, 2, 1], name="b"),
    )
    table = pd.concat([one, two], ignore_index=True)
    for name, values in columns.items():
        table = table.drop(columns=name) if values is None else table.assign(**{name: values})
    return table


@pytest.mark.parametrize(
    ("columns", "error", "message"),
    [
        ({"speed": None, "low": None}, ValueError, r"curves: has no column speed, low; must have name, group, lr, weight_decay, speed, step, mean, low, high"),
        ({"name": [1] * 8}, TypeError, r"curves: name is 1 in a row; must be a string that is not empty"),
        ({"group": ["g"] * 7 + [""]}, TypeError, r"curves: group is '' in a row; must be a string that is not empty"),
        ({"lr": ["0.1"] * 8}, TypeError, r"curves: lr is of dtype .*; must be numbers"),
        ({"mean": [True] * 8}, TypeError, r"curves: mean is of dtype bool; must be numbers"),
        ({"weight_decay": [0.0] * 8}, ValueError, r"curves: weight_decay is 0 in a row; must be finite and above 0"),
        ({"speed": [-1.0] * 8}, ValueError, r"curves: speed is -1 in a row; must be finite and above 0"),
        ({"high": [4.0] * 7 + [math.nan]}, ValueError, r"curves: high is nan in a row; must be finite and at least 0"),
        ({"low": [-1] * 8}, ValueError, r"curves: low is -1 in a row; must be finite and at least 0"),
        ({"lr": [0.1] * 7 + [0.2]}, ValueError, r"curves: 'b' of 'runs': lr is \[0.1, 0.2\]; must be one number a curve"),
        ({"step": [0, 1, 10, 100, 0, 10, 10, 100]}, ValueError, r"curves: 'b' of 'runs': step 10 comes after step 10; steps must increase"),
        ({"step": [0, 100, 10, 1, 0, 1, 10, 100]}, ValueError, r"curves: 'a' of 'runs': step 10 comes after step 100; steps must increase"),
        ({"step": [0, 1, 1.5, 100] * 2}, ValueError, r"curves: 'a' of 'runs': step is .*1\.5.*; must be whole numbers"),
        ({"low": [4.0, 4, 3, 1] * 2}, ValueError, r"curves: 'a' of 'runs': at step 10 low, mean, high are 3, 2, 2; must not fall"),
        ({"name": ["a"] * 7 + ["b"]}, ValueError, r"curves: 'a' of 'runs': step 0 comes after step 100"),
    ],
)  # fmt: skip
def test_bad_tables_are_named(columns, error, message):
    with pytest.raises(error, match=message):
        ClockCollapse(changed(**columns))


def test_tables_of_a_wrong_size_are_named():
    with pytest.raises(TypeError, match=r"curves: must be a pandas DataFrame, not list"):
        ClockCollapse([1, 2])
    with pytest.raises(ValueError, match=r"curves: there are 0 groups; must be 1 to 12"):
        ClockCollapse(changed().iloc[:0])
    with pytest.raises(ValueError, match=r"curves: 'b' of 'runs': has 1 step; must have at least 2"):
        ClockCollapse(changed().iloc[:5])
    many = [curve_table([1, 2], [2.0, 1], name=f"run {i}") for i in range(61)]
    with pytest.raises(ValueError, match=r"curves: there are 61; must be at most 60"):
        ClockCollapse(pd.concat(many))
    groups = [curve_table([1, 2], [2.0, 1], group=f"group {i}") for i in range(13)]
    with pytest.raises(ValueError, match=r"curves: there are 13 groups; must be 1 to 12"):
        ClockCollapse(pd.concat(groups))


def test_the_mean_of_equal_seeds_may_be_off_by_rounding():
    mean = 3.3 * (1 + 2e-16)
    assert mean > 3.3
    ClockCollapse(changed().assign(mean=mean, low=3.3, high=3.3))


def test_categories_that_do_not_occur_are_no_curves():
    table = made_up_curves()
    table["name"] = table["name"].astype("category")
    kept = table[table["group"] == "momentum"]
    assert len(ClockCollapse(kept).half_times) == 4
