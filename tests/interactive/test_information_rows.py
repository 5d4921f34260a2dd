"""The table of InformationPlane: what it reads, and what it refuses."""

import math

import numpy as np
import pandas as pd
import pytest
from plane_examples import TASKS, chosen, made_up_table

from lrlib.information import Estimate
from lrlib.interactive.information_rows import read_planes


@pytest.fixture(scope="module")
def table():
    return made_up_table()


def test_every_number_is_where_its_row_says(table):
    rows = table[~table["reading"].eq("deviation")].sample(600, random_state=0)
    for own in read_planes(table):
        for row in rows[rows["task"] == own.name].itertuples():
            v, s, t = own.variants.index(row.variant), own.seeds.index(row.seed), own.steps.index(row.step)
            if row.layer == "network":
                assert own.network[row.reading][v, 1 + s, t] == row.mean
                continue
            noise = row.noise if isinstance(row.noise, str) else ""
            r = own.columns.index((row.reading, noise, None if math.isnan(row.eps) else row.eps))
            place = own.values[v, 1 + s, r, int(row.layer[1:]) - 1, t]
            assert place == row.mean
            assert math.isnan(row.cap) or own.caps[r, int(row.layer[1:]) - 1] == row.cap


def test_means_are_over_the_variants_own_seeds(table):
    (sphere,) = (own for own in read_planes(table) if own.name == "sphere")
    assert sphere.seeds == (0, 1, 2, 3, 5)
    assert sphere.seeds_of == ((0, 1, 2, 3), (1, 5))
    r = sphere.columns.index(("kde lower", "fixed", 0.1))
    for v, variant in enumerate(("tanh", "relu")):
        for l in range(6):
            rows = chosen(
                table, task="sphere", variant=variant, layer=f"H{l + 1}", reading="kde lower", noise="fixed"
            )
            expected = rows.groupby("step")["mean"].mean()
            np.testing.assert_allclose(sphere.values[v, 0, r, l], expected, rtol=1e-12)


def test_a_mean_that_lacks_a_seed_is_none(table):
    lacking = (table["step"] == 500) & (table["seed"] == 2) & (table["layer"] == "H3")
    (_, sphere) = read_planes(table[~lacking])
    r = sphere.columns.index(("kde upper", "layer", 0.1))
    assert np.isnan(sphere.values[0, :, r, 2, 2]).tolist() == [True, False, False, True, False, True]
    assert np.isfinite(sphere.values[0, 0, r, 3]).all()


def test_saturated_is_what_an_estimate_calls_so(table):
    (teacher, sphere) = read_planes(table)
    for own, reading, noise, eps in ((teacher, "kde lower", "fixed", 0.1), (sphere, "binning", "", 30.0)):
        r = own.columns.index((reading, noise, eps))
        found = set()
        for v, seeds in enumerate(own.seeds_of):
            for l, t in np.ndindex(len(own.layers), len(own.steps)):
                flags = []
                for seed in seeds:
                    value = own.values[v, 1 + own.seeds.index(seed), r, l, t]
                    flags.append(
                        Estimate(value, None, "estimate", "made up", n=9, cap=own.caps[r, l]).saturated
                    )
                    assert own.saturated[v, 1 + own.seeds.index(seed), r, l, t] == flags[-1]
                assert own.saturated[v, 0, r, l, t] == sum(flags)
                found.add(sum(flags))
        assert {0, len(own.seeds_of[0])} <= found
    assert sphere.saturated[:, :, sphere.columns.index(("absolute", "", 0.1))].max() == 0


def test_activations_and_preactivations_are_one_layer(table):
    teacher, sphere = read_planes(table.sample(frac=1, random_state=1))
    if teacher.name == "sphere":
        teacher, sphere = sphere, teacher
    assert (teacher.layers, teacher.measured) == (("L1", "L2", "L3"), ("L1", "L2", "L3"))
    assert sphere.layers == tuple(f"L{l}" for l in range(1, 7))
    assert sphere.measured == tuple(f"H{l}" for l in range(1, 7))
    assert (sphere.steps, teacher.steps) == (TASKS["sphere"]["steps"], TASKS["teacher"]["steps"])


def test_the_choices_are_those_that_are_stored(table):
    teacher, sphere = read_planes(table)
    found = [(o.estimator, o.noise, o.scale, o.upper is not None) for o in sphere.options]
    assert found == [
        ("kde", "fixed", 0.1, True),
        ("kde", "layer", 0.1, True),
        ("logdet", "fixed", 0.1, False),
        ("logdet", "layer", 0.1, False),
        ("binning", "", 30.0, False),
        ("exact", "", None, False),
    ]
    assert list(sphere.verticals) == [
        "binning label",
        "test_accuracy",
        "test_loss",
        "train_accuracy",
        "train_loss",
    ]
    assert list(teacher.verticals) == ["test_loss", "train_loss"]
    assert [pair for pair in teacher.ranks if pair[0] == "relative"] == [
        ("relative", 0.01),
        ("relative", 0.1),
    ]
    assert ("stable", None) in teacher.ranks


def test_several_counts_of_bins_are_told_apart(table):
    rows = table[(table["task"] == "sphere")]
    more = rows[rows["reading"].str.startswith("binning")].assign(eps=60.0)
    (sphere,) = read_planes(pd.concat([rows, more]))
    assert [o.estimator for o in sphere.options if o.estimator.startswith("bin")] == [
        "binning 30",
        "binning 60",
    ]
    assert list(sphere.verticals)[:2] == ["binning label 30", "binning label 60"]


def test_other_readings_and_columns_do_no_harm(table):
    other = table.assign(values="1:2", extra=3)
    other.loc[other["reading"] == "deviation", ["reading", "eps"]] = ["entropy of a kind", -1.0]
    expected = read_planes(table)
    for own, before in zip(read_planes(other), expected, strict=True):
        np.testing.assert_array_equal(own.values, before.values)


def with_row(table, column, value, **where):
    changed = table.copy()
    changed[column] = changed[column].astype(object)
    changed.loc[chosen(changed, **where).index[:1], column] = value
    return changed


LOWER = {"reading": "kde lower", "noise": "layer", "layer": "L2"}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda t: 3, TypeError, r"table: must be a pandas.DataFrame, not int"),
        (lambda t: t.drop(columns=["noise", "cap"]), ValueError, r"table: has no column noise, cap; must have task, variant"),
        (lambda t: t[t["layer"] == "none"], ValueError, r"table: has no rows of a reading that is shown"),
        (lambda t: t[~t["reading"].isin(["absolute", "relative", "data-scaled", "effective", "stable"])], ValueError, r"table: task 'teacher' has no local rank; must have a reading among absolute,"),
        (lambda t: t[(t["task"] == "teacher") | t["reading"].isin(["absolute", "binning label"])], ValueError, r"table: task 'sphere' has no information; must have a reading among kde lower,"),
        (lambda t: t.assign(variant=1), TypeError, r"table: variant is .*1.* in a row; must be a string that is not empty"),
        (lambda t: t.assign(mean="x"), TypeError, r"table: mean is of dtype \w+; must be numbers"),
        (lambda t: with_row(t, "seed", 0.5, **LOWER), ValueError, r"table: seed is 0.5 in a row; must be whole and at least 0"),
        (lambda t: with_row(t, "step", -1, **LOWER), ValueError, r"table: step is -1 in a row; must be whole and at least 0"),
        (lambda t: with_row(t, "noise", "loud", **LOWER), ValueError, r"table: noise of 'kde lower'='loud': must be one of 'fixed', 'layer'"),
        (lambda t: with_row(t, "eps", 0.0, **LOWER), ValueError, r"table: the row 'kde lower' of task 'teacher', variant 'no decay', seed 0, step 0, layer 'L2' has eps=0; must be finite and above 0"),
        (lambda t: with_row(t, "eps", None, reading="absolute"), ValueError, r"the row 'absolute' of .* has eps=nan; must be finite and above 0"),
        (lambda t: with_row(t, "mean", -1.0, reading="stable"), ValueError, r"the row 'stable' of .* has mean=-1; a rank must not be negative"),
        (lambda t: pd.concat([t, t.tail(1)]), ValueError, r"the row 'stable' of task 'sphere', .*, layer 'L6' is there 2 times, of L6; must be there once"),
        (lambda t: pd.concat([t, chosen(t, layer="H2", reading="exact").assign(layer="L2")]), ValueError, r"the row 'exact' of .* is there 2 times, of H2 and L2; must be there once"),
    ],
)  # fmt: skip
def test_tables_outside_the_rules_are_refused(table, change, error, message):
    with pytest.raises(error, match=message):
        read_planes(change(table))
