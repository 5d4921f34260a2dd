"""TrainingExplorer in Python: what it holds is what the table says, and what it refuses."""

import json
import math
import re
import zlib
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
from training_examples import (
    SEEDS,
    SHAPE,
    STEPS,
    THRESHOLDS,
    VARIANTS,
    WIDTHS,
    large_table,
    made_up_table,
    uneven_table,
)

from lrlib import plots
from lrlib.interactive import TrainingExplorer
from lrlib.interactive.training_table import JACOBIAN, SENSITIVITY, WEIGHT

BUDGET = 1_500_000  # bytes of a page's HTML
COLUMNS = [(reading, eps) for reading, grid in THRESHOLDS.items() for eps in grid] + [
    ("effective", None),
    ("stable", None),
]


@pytest.fixture(scope="module")
def table():
    return made_up_table()


def unpacked(data, dtype):
    """What kit.js makes of packed numbers."""
    return np.frombuffer(zlib.decompress(data), dtype).cumsum(dtype=dtype)


def stored(table, *, variant, reading, eps=None, seed=None, step=None):
    """The table's means of every layer, by pandas alone: averaged over seeds unless one is named."""
    rows = table[(table["weight_decay"] == variant) & (table["reading"] == reading)]
    rows = rows[rows["eps"].isna() if eps is None else rows["eps"] == eps]
    rows = rows if seed is None else rows[rows["seed"] == seed]
    rows = rows if step is None else rows[rows["step"] == step]
    return rows.groupby(["layer", "step"], sort=True)["mean"].mean().unstack("step")


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("seed", ["mean", *SEEDS])
@pytest.mark.parametrize(("reading", "eps"), COLUMNS)
def test_local_rank_is_what_the_table_says(table, variant, seed, reading, eps):
    explorer = TrainingExplorer(table)
    explorer.variant, explorer.seed, explorer.reading = variant, seed, reading
    explorer.eps = eps or 0.1
    expected = stored(table, variant=variant, reading=reading, eps=eps, seed=None if seed == "mean" else seed)
    for step in STEPS:
        explorer.step = step
        # sums of three numbers in two orders
        np.testing.assert_allclose(explorer.local_rank, expected[step].to_numpy(), rtol=1e-12)


def test_the_order_of_rows_and_what_is_not_shown_change_nothing(table):
    extra = table[table["reading"] == "stable"].assign(reading="operator", mean=-1.0)
    other = pd.concat([table, extra]).sample(frac=1, random_state=0)
    assert TrainingExplorer(other).page() == TrainingExplorer(table).page()


def test_every_rank_is_sent_rounded_as_python_rounds(table):
    explorer = TrainingExplorer(table)
    sent = iter(unpacked(explorer.ranks, "<u4"))
    for variant in VARIANTS:
        for seed in (None, *SEEDS):
            for reading, eps in COLUMNS:
                means = stored(table, variant=variant, reading=reading, eps=eps, seed=seed)
                for layer in WIDTHS:
                    for step in STEPS:
                        assert f"{next(sent) / 100:.2f}" == f"{means.loc[layer, step]:.2f}"
    assert next(sent, None) is None


@pytest.mark.parametrize("kind", [JACOBIAN, WEIGHT, SENSITIVITY])
def test_lists_hold_the_numbers_of_the_table(table, kind):
    lists = TrainingExplorer(table).runs.lists[kind]
    rows = table[(table["reading"] == kind) & (table["weight_decay"] == 0.001) & (table["step"] == 100)]
    for l, layer in enumerate(WIDTHS):
        texts = rows.loc[rows["layer"] == layer, "values"]
        values = np.array([[float(x.split(":")[-1]) for x in text.split()] for text in texts])
        assert values.shape[0] == len(SEEDS)
        found = lists.by_layer(lists.values)[l][VARIANTS.index(0.001), :, STEPS.index(100)]
        np.testing.assert_array_equal(found[1:], values)
        np.testing.assert_allclose(found[0], values.mean(axis=0), rtol=1e-12)  # two orders of a sum of three


def test_it_starts_at_the_end_of_the_last_variant(table):
    explorer = TrainingExplorer(table)
    settings = {
        "variant": 0.001,
        "seed": "mean",
        "reading": "absolute",
        "eps": 0.1,
        "step": 1000,
        "weights": False,
    }
    assert {name: getattr(explorer, name) for name in settings} == settings
    assert explorer.performance == "loss"
    one_seed = TrainingExplorer(table[table["seed"] == 1])
    assert one_seed.seed == 1


def test_what_is_set_moves_to_what_is_stored(table):
    explorer = TrainingExplorer(table)
    explorer.step, explorer.eps, explorer.seed = 60, 0.002, 2
    assert (explorer.step, explorer.eps, explorer.seed) == (100, 0.01, 2)
    explorer.reading = "relative"
    assert explorer.eps == 0.01
    explorer.eps = 1e-9
    assert explorer.eps == 0.001
    explorer.reading = "data-scaled"
    assert explorer.eps == 0.01
    explorer.reading = "stable"
    explorer.eps = 0.5  # nothing to compare it with, so it stays
    assert explorer.eps == 0.5
    explorer.variant, explorer.seed = 0, -1
    assert (repr(explorer.variant), explorer.seed) == ("0.0", "mean")


def test_a_seed_that_the_new_variant_lacks_gives_way_to_the_mean(table):
    explorer = TrainingExplorer(table[(table["weight_decay"] > 0) | (table["seed"] < 2)])
    explorer.seed = 2
    explorer.variant = 0.0
    assert explorer.seed == "mean"
    with pytest.raises(ValueError, match=r"seed=2: must be one of 'mean', 0, 1$"):
        explorer.seed = 2
    np.testing.assert_allclose(
        explorer.local_rank,
        stored(table[table["seed"] < 2], variant=0.0, reading="absolute", eps=0.1)[1000],
        rtol=1e-12,
    )


def test_steps_are_those_of_the_variant(monkeypatch):
    explorer = TrainingExplorer(uneven_table())
    assert (explorer.variant, explorer.step) == (0.001, 400)
    expected = stored(uneven_table(), variant=0.001, reading="absolute", eps=0.1)
    np.testing.assert_allclose(explorer.local_rank, expected[400], rtol=1e-12)
    explorer.step = 100
    assert explorer.step == 40
    explorer.variant = 0.0
    assert explorer.step == 10
    explorer.step = 1000
    explorer.variant = 0.001
    assert explorer.step == 400
    monkeypatch.setattr(plots, "rank_curves", Mock(wraps=plots.rank_curves))
    explorer.still()
    (steps, ranks, _), _ = plots.rank_curves.call_args
    assert list(steps) == [0, 10, 40, 400]
    np.testing.assert_allclose(
        ranks.T, expected, rtol=1e-12
    )  # no gap where only the other variant has a step


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("variant", 0.5, r"variant=0\.5: must be one of 0\.0, 0\.001"),
        ("seed", 7, r"seed=7: must be one of 'mean', 0, 1, 2"),
        ("reading", "nuclear", r"reading='nuclear': must be one of 'absolute', 'relative', 'data-scaled'"),
        ("eps", 0.0, r"eps=0.*must be finite and above 0"),
        ("eps", math.nan, r"eps=nan.*must be finite and above 0"),
        ("performance", "margin", r"performance='margin': must be one of 'loss', 'accuracy'"),
    ],
)
def test_a_setting_that_is_not_stored_is_refused(table, name, value, message):
    with pytest.raises(ValueError, match=message):
        setattr(TrainingExplorer(table), name, value)


def test_spectra_that_are_not_stored_cannot_be_chosen(table):
    explorer = TrainingExplorer(table[table["reading"] != WEIGHT])
    with pytest.raises(ValueError, match=r"weights=True: must be one of False"):
        explorer.weights = True
    assert TrainingExplorer(table[table["reading"] != JACOBIAN]).weights is True


def test_live_it_hears_the_reader_and_answers(table, monkeypatch):
    monkeypatch.setenv("LRLIB_OUTPUT", "live")
    explorer = TrainingExplorer(table)

    def receive(**state):  # as the comm hands over what JavaScript saved
        explorer._handle_msg({"content": {"data": {"method": "update", "state": state}}})

    receive(variant=0, seed=1)
    receive(reading="relative", eps=0.001)
    receive(step=10, weights=True, performance="accuracy")
    assert explorer.place == (0, 2, COLUMNS.index(("relative", 0.001)), STEPS.index(10))
    assert (explorer.weights, explorer.performance) == (True, "accuracy")
    sent = []
    monkeypatch.setattr(explorer.comm, "send", lambda *args, **kwargs: sent.append((args, kwargs)))
    explorer.seed = "mean"
    assert '"seed": "mean"' in json.dumps(sent, default=str)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"by_label": 3}, TypeError, r"by_label=3: must be a string, not int"),
        ({"input_label": None}, TypeError, r"input_label=None: must be a string, not NoneType"),
        ({"input_shape": 16}, TypeError, r"input_shape=16: must be two integers, \(rows, columns\), or None"),
        ({"input_shape": (4, 4.0)}, TypeError, r"input_shape\[1\]=4\.0: must be an integer"),
        ({"input_shape": (0, 4)}, ValueError, r"input_shape\[0\]=0: must be at least 1"),
        (
            {"input_shape": (4, 5)},
            ValueError,
            r"input_shape=\(4, 5\): must have as many cells .* numbers, 16",
        ),
        ({"label": "A b"}, ValueError, r"label='A b': must be lower-case"),
        ({"title": " "}, ValueError, r"title=' ': must be a string that is not empty"),
    ],
)
def test_arguments_are_checked(table, options, error, message):
    with pytest.raises(error, match=message):
        TrainingExplorer(table, **options)


def test_its_words_hold_no_number_that_training_decides(table):
    explorer = TrainingExplorer(table)
    before = repr(explorer)
    explorer.step, explorer.variant = 0, 0.0
    assert repr(explorer) == before == explorer.alt
    assert "Layers L1, L2, L3; weight decay 0, 0.001; 3 seeds; 5 steps from 0 to 1000." in explorer.alt
    few = TrainingExplorer(table[(table["layer"] != "network") & table["values"].isna()])
    assert "losses" not in few.alt
    assert "singular values" not in few.alt


def test_html_is_the_same_for_the_same_input(table):
    assert TrainingExplorer(table).page() == TrainingExplorer(made_up_table()).page()


def test_a_page_of_full_size_is_within_its_budget():
    html = TrainingExplorer(large_table(), input_shape=(14, 14)).page()
    assert len(html.encode()) <= BUDGET


@pytest.mark.parametrize("shape", [None, SHAPE])
def test_the_still_follows_the_settings(table, shape):
    explorer = TrainingExplorer(table, input_shape=shape)
    stills = {explorer.still()}
    settings = {
        "step": 10,
        "variant": 0.0,
        "seed": 1,
        "reading": "relative",
        "eps": 0.001,
        "weights": True,
    }
    for name, value in settings.items():
        setattr(explorer, name, value)
        stills.add(explorer.still())
    assert len(stills) == 1 + len(settings)
    assert max(map(len, stills)) < 60_000


@pytest.mark.parametrize("left_out", [(JACOBIAN, WEIGHT), (SENSITIVITY,), (JACOBIAN, WEIGHT, SENSITIVITY)])
def test_a_still_leaves_out_what_is_not_stored(table, left_out):
    explorer = TrainingExplorer(table[~table["reading"].isin(left_out)], input_shape=SHAPE)
    assert explorer.still() != TrainingExplorer(table, input_shape=SHAPE).still()


def test_a_network_that_is_dead_counts_nothing(table):
    dead = table[table["seed"] == 0].copy()
    dead.loc[dead["layer"] != "network", ["mean", "stderr"]] = 0.0
    zeros = [
        " ".join(re.sub(r"[^:]*$", "0", item, count=1) for item in str(text).split())
        for text in dead["values"]
    ]
    dead["values"] = dead["values"].where(dead["values"].isna(), zeros)
    explorer = TrainingExplorer(dead, input_shape=SHAPE)
    assert (
        explorer.runs.lists[JACOBIAN].largest().max() == explorer.runs.lists[SENSITIVITY].largest().max() == 0
    )
    assert explorer.local_rank.tolist() == [0.0] * len(WIDTHS)
    assert explorer.still()
    assert explorer.page()
