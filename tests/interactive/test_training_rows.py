"""Tables that TrainingExplorer is given: what is read of incomplete ones, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from training_examples import SEEDS, STEPS, made_up_table

from lrlib.interactive.training_rows import read
from lrlib.interactive.training_table import JACOBIAN, SENSITIVITY, WEIGHT


@pytest.fixture(scope="module")
def table():
    return made_up_table()


def test_strings_are_variants_in_the_order_of_the_rows(table):
    named = table.assign(optimiser=table["weight_decay"].map({0.0: "SGD", 0.001: "AdamW"}))
    assert read(named, "optimiser").variants == ("SGD", "AdamW")
    assert read(named.iloc[::-1], "optimiser").variants == ("AdamW", "SGD")


def test_layers_are_in_the_order_of_their_numbers_and_others_as_they_come(table):
    many = table.assign(layer=table["layer"].replace({"L2": "L10"}))
    assert read(many.iloc[::-1], "weight_decay").layers == ("L1", "L3", "L10")
    named = table.assign(layer=table["layer"].replace({"L1": "stem", "L2": "body", "L3": "a head"}))
    assert read(named, "weight_decay").layers == ("stem", "body", "a head")


def test_a_mean_over_seeds_needs_all_of_them(table):
    lost = (table["seed"] == 1) & (table["step"] == 10) & (table["weight_decay"] == 0)
    infinite = table["mean"].where(~lost, np.inf)
    for damaged in (table[~lost], table.assign(mean=infinite)):
        runs = read(damaged, "weight_decay")
        t = STEPS.index(10)
        assert np.isnan(runs.ranks[0, 0, :, :, t]).all()  # the mean
        assert np.isnan(runs.ranks[0, 2, :, :, t]).all()  # seed 1 itself
        assert np.isnan(runs.network["train_loss"][0, [0, 2], t]).all()
        assert np.isfinite(runs.ranks[0, [1, 3]]).all()
        assert np.isfinite(np.delete(runs.ranks, t, axis=-1)).all()
        assert np.isfinite(runs.ranks[1]).all()


def test_the_band_is_the_range_of_the_seeds_or_one_standard_error(table):
    runs = read(table, "weight_decay")
    rows = table[(table["weight_decay"] == 0) & (table["reading"] == "stable") & (table["layer"] == "L2")]
    r = runs.columns.index(("stable", None))
    by_step = rows.groupby("step")["mean"]
    low, high = runs.band(0, 0, r)
    np.testing.assert_array_equal(low[1], by_step.min())
    np.testing.assert_array_equal(high[1], by_step.max())
    one = rows[rows["seed"] == 1]
    low, high = runs.band(0, 1 + SEEDS.index(1), r)
    np.testing.assert_array_equal(low[1], one["mean"] - one["stderr"])
    np.testing.assert_array_equal(high[1], one["mean"] + one["stderr"])


def test_lists_of_some_steps_and_seeds_are_found_at_the_nearest_earlier_step(table):
    is_list = table["values"].notna()
    kept = ~is_list | ((table["seed"] < 2) & table["step"].isin([1, 100]))
    kept &= ~(is_list & (table["seed"] == 1) & (table["step"] == 1))  # seed 0 alone has step 1
    runs = read(table[kept], "weight_decay")
    lists = runs.lists[SENSITIVITY]
    assert lists.seeds == ((0, 1), (0, 1))
    assert [lists.held(0, c) for c in range(4)] == [[3], [1, 3], [3], []]  # mean, seeds 0, 1, 2
    assert [lists.latest(0, 1, t) for t in range(5)] == [None, 1, 1, 3, 3]
    assert lists.latest(0, 0, 2) is None
    whole = read(table, "weight_decay").lists[SENSITIVITY].values[0, :, 3]
    np.testing.assert_allclose(lists.values[0, 0, 3], whole[1:3].mean(axis=0), rtol=1e-15)


def test_kinds_of_lists_may_be_of_some_layers_or_missing(table):
    kept = ~table["reading"].isin([WEIGHT]) & ~((table["reading"] == JACOBIAN) & (table["layer"] == "L2"))
    runs = read(table[kept], "weight_decay")
    assert set(runs.lists) == {JACOBIAN, SENSITIVITY}
    assert runs.lists[JACOBIAN].layers == (0, 2)
    assert read(table.drop(columns="values")[table["values"].isna()], "weight_decay").lists == {}


def test_axes_hold_every_threshold_and_every_rank(table):
    runs = read(table, "weight_decay")
    floor, top = runs.spectrum_axis(JACOBIAN)
    largest = max(
        float(text.split()[0].split(":")[1]) for text in table.loc[table["reading"] == JACOBIAN, "values"]
    )
    assert floor == -4  # a decade below the smallest threshold, 0.001
    assert np.log10(largest) < top < np.log10(largest) + 0.2
    assert runs.most("absolute") == 24
    without = read(table[~table["reading"].isin(["absolute", "relative"])], "weight_decay")
    assert without.spectrum_axis(JACOBIAN)[0] < -5


def changed(table, column, value, reading="absolute"):
    """The table with one row changed: seed 1, step 10, L2 without weight decay."""
    place = (
        (table["seed"] == 1) & (table["step"] == 10) & (table["weight_decay"] == 0) & (table["layer"] == "L2")
    )
    (row, *_) = table.index[place & (table["reading"] == reading)]
    other = table.copy()
    other[column] = other[column].astype(object) if isinstance(value, str) else other[column]
    other.loc[row, column] = value
    return other


ROW = r"table: the row {} of variant 0\.0, seed 1, step 10, layer L2"


@pytest.mark.parametrize(
    ("column", "value", "reading", "message"),
    [
        ("eps", np.nan, "absolute", ROW.format("absolute") + r" has eps=nan; must be finite and above 0"),
        ("eps", 0.0, "relative", ROW.format("relative") + r" has eps=0\.0; must be finite and above 0"),
        ("eps", 0.1, "absolute", ROW.format("absolute") + r", eps 0\.1 is there more than once"),
        ("mean", -1.0, "stable", ROW.format("stable") + r" has mean=-1\.0; must not be negative"),
        ("stderr", -1.0, "stable", ROW.format("stable") + r" has stderr=-1\.0; must not be negative"),
        ("values", "1:2 3", JACOBIAN, ROW.format(JACOBIAN) + r" has values='1:2 3'; must be pairs 'i:sigma'"),
        ("values", "2:1 3:1", JACOBIAN, r"must be pairs 'i:sigma' with i = 1 first and rising"),
        ("values", "1:2 1:1", JACOBIAN, r"must be pairs 'i:sigma' with i = 1 first and rising"),
        ("values", "1:-2", WEIGHT, r"values='1:-2'; must be .*, finite, none negative"),
        ("values", "1:nan", WEIGHT, r"values='1:nan'; must be .*, finite, none negative"),
        ("values", "1:2 2:1", JACOBIAN, ROW.format(JACOBIAN) + r" has other places than the first such row of L2"),
        ("values", "0.1 x", SENSITIVITY, r"values='0\.1 x'; must be numbers, separated by spaces"),
        ("values", "", SENSITIVITY, r"values=''; must be numbers, separated by spaces"),
        ("values", "0.1 0.2", SENSITIVITY, r"has other places than the first such row of L2"),
    ],
)  # fmt: skip
def test_a_bad_row_is_named(table, column, value, reading, message):
    with pytest.raises(ValueError, match=message):
        read(changed(table, column, value, reading), "weight_decay")


def test_lists_must_be_there_for_all_layers_or_none(table):
    lost = (
        (table["reading"] == JACOBIAN)
        & (table["layer"] == "L2")
        & (table["seed"] == 1)
        & (table["step"] == 10)
    )
    with pytest.raises(
        ValueError,
        match=r"jacobian_spectrum at 0\.0, seed 1, step 10 is there for some layers; must be for L1, L2, L3",
    ):
        read(table[~lost], "weight_decay")


@pytest.mark.parametrize(
    ("change", "by", "error", "message"),
    [
        (lambda t: t.to_dict(), "weight_decay", TypeError, r"table: must be a pandas.DataFrame, not dict"),
        (lambda t: t.drop(columns=["eps", "step"]), "weight_decay", ValueError, r"lacks the columns \['step', 'eps'\]"),
        (lambda t: t, "lr", ValueError, r"lacks the columns \['lr'\]; must have \['lr', 'seed'"),
        (lambda t: t, "layer", ValueError, r"by='layer': must be the name of the column that tells the variants"),
        (lambda t: t, 3, ValueError, r"by=3: must be the name of the column"),
        (lambda t: t[t["layer"] == "network"], "weight_decay", ValueError, r"table: has no rows of a layer"),
        (lambda t: t.assign(mean="1"), "weight_decay", TypeError, r"its column 'mean' is .*; must be numbers"),
        (lambda t: t.assign(step=t["step"] + 0.5), "weight_decay", ValueError, r"column 'step' holds 0\.5; must be integers"),
        (lambda t: t.assign(seed=t["seed"] - 1), "weight_decay", ValueError, r"column 'seed' holds -1; must be integers, none"),
        (lambda t: t.assign(weight_decay=np.nan), "weight_decay", ValueError, r"column 'weight_decay' holds \[.*nan.*\]; must be strings, or"),
    ],
)  # fmt: skip
def test_a_bad_table_is_refused(table, change, by, error, message):
    with pytest.raises(error, match=message):
        read(change(table), by)


def test_a_second_factor_that_was_not_chosen_is_noticed(table):
    swept = pd.concat([table.assign(lr=0.1), table.assign(lr=0.3)])
    with pytest.raises(
        ValueError, match=r"more than once; choose one value of every column but 'weight_decay' first"
    ):
        read(swept, "weight_decay")
    assert read(swept[swept["lr"] == 0.3], "weight_decay").variants == (0.0, 0.001)
