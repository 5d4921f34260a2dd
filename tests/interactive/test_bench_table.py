"""The table of EstimatorBench: what is read of it, how it is summarised, and what is refused."""

import math

import numpy as np
import pandas as pd
import pytest
from bench_examples import FOR_CHANNELS, KINDS, SIZES, TRUTHS, made_up_table, odd_table, small_table

from lrlib.interactive.bench_table import read_bench

ROUNDING = 1e-12  # a few float64 operations


def test_names_keep_their_order_and_numbers_are_sorted():
    table = made_up_table()
    bench = read_bench(table)
    assert bench.cases == tuple(TRUTHS)
    assert set(bench.estimators) == set(KINDS)
    assert bench.estimators[-3:] == ("kde lower", "kde upper", "logdet")  # first met in the channels
    assert (bench.sizes, bench.seeds) == (SIZES, tuple(range(10)))
    np.testing.assert_array_equal(bench.truth, list(TRUTHS.values()))
    backwards = read_bench(table[::-1])
    assert (backwards.sizes, backwards.seeds) == (bench.sizes, bench.seeds)
    assert backwards.cases == bench.cases[::-1]


def test_the_summary_is_that_of_the_seeds():
    table = made_up_table(cases=("normal-0.75", "channel-high"), sizes=(100, 1000))
    summary = read_bench(table).summary.set_index(["case", "n", "estimator"])
    assert len(summary) == (7 + 10) * 2
    for (case, n, name), found in summary.iterrows():
        values, rows = [], []
        for row in table.to_dict("records"):  # in plain loops
            if (row["case"], row["n"], row["estimator"]) == (case, n, name):
                rows.append(row)
                values.append(row["value"])
        mean = sum(values) / 10
        assert found["mean"] == pytest.approx(mean, rel=ROUNDING)
        assert found["bias"] == pytest.approx(mean - TRUTHS[case], abs=20 * ROUNDING)
        assert found["spread"] == pytest.approx(np.std(values, ddof=1), rel=1e-9, abs=1e-12)
        assert (found["low"], found["high"]) == (min(values), max(values))
        assert (found["seeds"], found["saturated"]) == (10, sum(row["saturated"] for row in rows))
        assert found["kind"] == KINDS[name]
        if name == "nwj":
            assert math.isnan(found["stderr"])
            assert math.isnan(found["cap"])
        else:
            assert found["stderr"] == pytest.approx(np.mean([row["stderr"] for row in rows]), rel=ROUNDING)


def test_one_seed_has_no_spread():
    assert read_bench(odd_table()).summary["spread"].isna().all()


def test_what_does_not_apply_is_none():
    bench = read_bench(made_up_table())
    for case in TRUTHS:
        for name, kind in KINDS.items():
            applies = name not in FOR_CHANNELS or case.startswith("channel")
            assert bench.kind(case, name) == (kind if applies else None)
            assert (bench.reach(case, name) is None) == (not applies)


def test_placed_has_every_number_at_its_place_and_nan_elsewhere():
    table = odd_table()
    bench = read_bench(table)
    values = bench.placed(bench.rows, "value")
    assert values.shape == (3, 4, 3, 1)
    assert np.isfinite(values).sum() == len(table)
    for row in table.itertuples():
        at = bench.cases.index(row.case), bench.estimators.index(row.estimator), bench.sizes.index(row.n), 0
        assert values[at] == row.value
    assert bench.placed(bench.summary, "mean").shape == (3, 4, 3)


@pytest.mark.parametrize(
    ("case", "truth", "limits"),
    [
        ("normal-0.75", 0.4133, (0.0, 2.5 * 0.4133)),
        ("independent", 0.0, (-0.25, 0.375)),
        ("channel-high", 20, (0, 50)),
    ],
)
def test_the_axis_reaches_to_the_estimates_but_not_to_the_far_ones(case, truth, limits):
    bench = read_bench(odd_table())
    values = odd_table().query("case == @case and estimator == 'ksg 1'")["value"]
    assert bench.reach(case, "ksg 1") == pytest.approx((values.min(), values.max()), rel=ROUNDING)
    assert bench.reach(case, "nwj") == (truth, truth)  # 100 times the truth, or -7
    for end, step in zip(limits, (-1, 1), strict=True):
        table = odd_table()
        places = table.index[(table["case"] == case) & (table["estimator"] == "ksg 1")]
        table.loc[places, "value"] = truth
        for away, inside in ((1e-9, False), (-1e-9, True)):
            table.loc[places[0], "value"] = end + step * away
            found = read_bench(table).reach(case, "ksg 1")[step > 0]
            assert found == (table.loc[places[0], "value"] if inside else truth)


def test_numbers_of_other_types_and_none_are_taken():
    table = small_table(seeds=1)
    same = table.assign(
        stderr=table["stderr"].astype(object).where(table["stderr"].notna(), None),
        cap=table["cap"].astype(object).where(table["cap"].notna(), None),
        saturated=table["saturated"].astype(bool),
        n=table["n"].astype(float),
        case=table["case"].astype("category"),
    )
    pd.testing.assert_frame_equal(read_bench(same).summary, read_bench(table).summary)


# --- what is refused -----------------------------------------------------------------------------------------------


def changed(column, value, place=0):
    table = small_table(seeds=2).astype({column: object})
    table.loc[table.index[place], column] = value
    return table


@pytest.mark.parametrize(
    ("table", "error", "message"),
    [
        ([1, 2], TypeError, r"table: must be a pandas.DataFrame, not list"),
        (small_table().drop(columns=["cap", "kind"]), ValueError, r"table: has no column kind, cap; must have seed, case"),
        (small_table().iloc[:0], ValueError, r"table: has no rows; must have one for each estimate"),
        (changed("case", ""), TypeError, r"table: case is '' in a row; must be a string that is not empty"),
        (changed("estimator", 3), TypeError, r"table: estimator is 3 in a row; must be a string"),
        (changed("kind", "guess"), ValueError, r"table: kind='guess': must be one of 'estimate', 'lower bound', 'upper bound'"),
        (changed("value", "0.3x"), TypeError, r"table: value is of dtype object; must be numbers"),
        (changed("value", None), ValueError, r"table: value is nan in a row; must be finite"),
        (changed("value", math.inf), ValueError, r"table: value is inf in a row; must be finite"),
        (changed("stderr", -0.1), ValueError, r"table: stderr is -0.1 in a row; must be finite and at least 0"),
        (changed("cap", math.inf), ValueError, r"table: cap is inf in a row; must be finite"),
        (changed("truth", -1), ValueError, r"table: truth is -1 in a row; must be finite and at least 0"),
        (changed("saturated", 2), ValueError, r"table: saturated is 2 in a row; must be 0 or 1"),
        (changed("n", 0), ValueError, r"table: n is 0 in a row; must be whole and at least 1"),
        (changed("seed", 0.5), ValueError, r"table: seed is 0.5 in a row; must be whole and at least 0"),
        (changed("truth", 0.5), ValueError, r"table: truth is \[0.5, 0.4133\] in rows of case 'normal-0.75'; must be the same"),
        (changed("kind", "upper bound"), ValueError, r"table: kind is \['upper bound', 'estimate'\] in rows of case 'normal-0.75', estimator 'gaussian fit'"),
        (changed("seed", 1), ValueError, r"table: 'gaussian fit' of case 'normal-0.75', n 100, seed 1 is there more than once"),
    ],
)  # fmt: skip
def test_tables_outside_the_rules_are_refused_by_name(table, error, message):
    with pytest.raises(error, match=message):
        read_bench(table)


@pytest.mark.parametrize(
    ("column", "most", "values"),
    [("case", 40, [f"case {i}" for i in range(41)]), ("estimator", 10, [f"e{i}" for i in range(11)]),
     ("n", 12, range(1, 14)), ("seed", 50, range(51))],
)  # fmt: skip
def test_there_are_limits(column, most, values):
    row = small_table(seeds=1).iloc[0].to_dict()
    table = pd.DataFrame([{**row, column: value} for value in values])
    read_bench(table[:most])
    with pytest.raises(ValueError, match=f"table: {column} has {most + 1} values; must be at most {most}"):
        read_bench(table)
