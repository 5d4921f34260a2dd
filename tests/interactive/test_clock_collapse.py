"""ClockCollapse in Python: half-rank times and their spread, what it takes and refuses, its still and its words."""

import json
import math
import re

import numpy as np
import pandas as pd
import pytest
import traitlets
from clock_examples import curve_table, far_table, full_table, made_up_curves, run
from matplotlib.figure import Figure as Canvas

from lrlib.interactive import ClockCollapse

ROUNDING = 1e-12  # a few float64 operations
TIMES = ("steps", "clock", "corrected")
GROUPS = ["weight decay", "learning rate", "batch size", "momentum", "AdamW", "stopped early"]


# --- half-rank times -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("speed", [1.0, 2.0, 10.0])
@pytest.mark.parametrize("lr", [0.03, 0.1])
def test_exponential_decay_has_its_half_at_ln_2_of_its_clock(speed, lr):
    half = 4000  # steps: a checkpoint, so that nothing is interpolated
    decay = math.log(2) / (speed * lr * half)
    steps = np.array([0, 1, 10, 100, 1000, 4000, 5000, 20_000])
    table = curve_table(
        steps, 17 * np.exp(-speed * lr * decay * steps), lr=lr, weight_decay=decay, speed=speed
    )
    found = ClockCollapse(table).half_times.iloc[0]
    assert found["steps"] == pytest.approx(half, rel=ROUNDING)
    assert found["clock"] == pytest.approx(math.log(2) / speed, rel=ROUNDING)
    assert found["corrected"] == pytest.approx(math.log(2), rel=ROUNDING)


def test_half_times_name_every_curve():
    table = made_up_curves()
    found = ClockCollapse(table).half_times
    assert list(found.columns) == ["name", "group", "steps", "clock", "corrected"]
    expected = table[["name", "group"]].drop_duplicates().to_numpy().tolist()
    assert found[["name", "group"]].to_numpy().tolist() == expected
    settings = table.drop_duplicates(["name", "group"])
    np.testing.assert_allclose(
        found["clock"], found["steps"] * settings["lr"].to_numpy() * settings["weight_decay"].to_numpy()
    )
    np.testing.assert_allclose(found["corrected"], found["clock"] * settings["speed"].to_numpy())
    assert found[found["steps"].isna()]["group"].tolist() == ["stopped early"] * 2


def test_rows_of_curves_may_be_mixed():
    table = made_up_curves().sort_values("step", kind="stable")
    mixed = ClockCollapse(table).half_times.set_index(["group", "name"])
    whole = ClockCollapse(made_up_curves()).half_times.set_index(["group", "name"])
    pd.testing.assert_frame_equal(mixed.loc[whole.index], whole)


def test_the_spread_is_that_of_the_groups_shown_on_the_axis_of_now():
    figure = ClockCollapse(made_up_curves())
    halves = figure.half_times
    for time in TIMES:
        for shown in (GROUPS, ["momentum"], ["stopped early", "batch size"]):
            figure.time, figure.shown = time, shown
            mine = halves[halves["group"].isin(shown)][time]
            spread = figure.spread
            assert (spread.curves, spread.reached) == (len(mine), mine.notna().sum())
            assert (spread.lowest, spread.median, spread.highest) == (mine.min(), mine.median(), mine.max())
            assert spread.factor == pytest.approx(mine.max() / mine.min(), rel=ROUNDING)


@pytest.mark.parametrize(("shown", "curves"), [([], 0), (["stopped early"], 2)])
def test_a_spread_of_nothing_is_not_a_number(shown, curves):
    figure = ClockCollapse(made_up_curves())
    figure.shown = shown
    spread = figure.spread
    assert (spread.curves, spread.reached) == (curves, 0)
    assert all(map(math.isnan, (spread.lowest, spread.median, spread.highest, spread.factor)))


# --- what is taken and refused -------------------------------------------------------------------------------------


def test_groups_are_kept_in_the_order_of_the_table():
    figure = ClockCollapse(made_up_curves())
    assert figure.groups == tuple(GROUPS)
    assert figure.shown == GROUPS
    figure.shown = ["momentum", "weight decay", "momentum"]
    assert figure.shown == ["weight decay", "momentum"]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"time": "epochs"}, ValueError, r"time='epochs': must be one of 'steps', 'clock', 'corrected'"),
        ({"most": 0}, ValueError, r"most=0: must be finite and above 0"),
        ({"most": "30"}, TypeError, r"most='30': must be a number, not str"),
        ({"rank_label": " "}, ValueError, r"rank_label=' ': must be a string that is not empty"),
        ({"label": "A b"}, ValueError, r"label='A b': must be lower-case letters"),
        ({"title": ""}, ValueError, r"title='': must be a string that is not empty"),
    ],
)
def test_arguments_outside_the_rules_are_named(change, error, message):
    with pytest.raises(error, match=message):
        ClockCollapse(made_up_curves(), **change)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("time", "epochs", r"time='epochs': must be one of 'steps', 'clock', 'corrected'"),
        ("shown", ["momentum", "depth"], r"shown\[1\]='depth': must be one of 'weight decay', .*'momentum'"),
        ("highlighted", ("depth", "8"), r"highlighted\[0\]='depth': must be one of 'weight decay'"),
        (
            "highlighted",
            ("momentum", "8"),
            r"highlighted\[1\]='8': must be one of 'momentum 0', 'momentum 0.5'",
        ),
    ],
)
def test_settings_outside_the_rules_are_named_and_change_nothing(name, value, message):
    figure = ClockCollapse(made_up_curves())
    before = getattr(figure, name)
    with pytest.raises(ValueError, match=message):
        setattr(figure, name, value)
    assert getattr(figure, name) == before


def test_what_is_no_list_or_pair_is_refused():
    figure = ClockCollapse(made_up_curves())
    for name, value in (("shown", 3), ("highlighted", "momentum 0"), ("highlighted", ("momentum",))):
        with pytest.raises(traitlets.TraitError):
            setattr(figure, name, value)


# --- its outputs ---------------------------------------------------------------------------------------------------


def test_live_it_hears_the_reader_and_answers(monkeypatch):
    monkeypatch.setenv("LRLIB_OUTPUT", "live")
    figure = ClockCollapse(made_up_curves())
    state = {"time": "clock", "shown": ["momentum"], "highlighted": ["momentum", "momentum 0.9"]}
    figure._handle_msg({"content": {"data": {"method": "update", "state": state}}})
    assert (figure.time, figure.shown, figure.highlighted) == (
        "clock",
        ["momentum"],
        ("momentum", "momentum 0.9"),
    )
    assert figure.spread.curves == 4
    sent = []
    monkeypatch.setattr(figure.comm, "send", lambda *args, **kwargs: sent.append((args, kwargs)))
    figure.time = "corrected"
    figure.highlighted = None
    assert '"time": "corrected"' in json.dumps(sent, default=str)
    assert '"highlighted": null' in json.dumps(sent, default=str)


def test_its_words_hold_nothing_that_the_reader_can_change():
    figure, other = ClockCollapse(made_up_curves()), ClockCollapse(made_up_curves(), time="clock")
    other.shown, other.highlighted = ["momentum"], ("momentum", "momentum 0")
    assert figure.alt == other.alt == repr(figure)
    assert "22 runs that differ in weight decay, learning rate, batch size" in figure.alt
    assert not re.search("0x[0-9a-f]{6}", figure.alt)


def test_html_is_the_same_for_the_same_table_and_small():
    html = ClockCollapse(made_up_curves()).page()
    assert html == ClockCollapse(made_up_curves()).page()
    assert len(html.encode()) < 150_000
    assert len(ClockCollapse(full_table()).page().encode()) < 300_000


def test_the_still_follows_the_groups_the_highlight_and_the_top():
    figure = ClockCollapse(made_up_curves())
    stills = {figure.still(), ClockCollapse(made_up_curves(), most=60).still()}
    figure.shown = GROUPS[:3]
    stills.add(figure.still())
    figure.highlighted = ("batch size", "batch size 8")
    stills.add(figure.still())
    assert len(stills) == 4
    assert max(map(len, stills)) < 60_000


def drawn_still(figure):
    canvas = Canvas(layout="constrained")
    figure.draw_still(canvas)
    return canvas


def test_a_highlight_that_is_not_shown_dims_nothing():
    figure = ClockCollapse(made_up_curves())
    figure.shown, figure.highlighted = GROUPS[:1], (GROUPS[0], figure.half_times["name"].iloc[0])

    def strengths():
        return {
            line.get_alpha()
            for ax in drawn_still(figure).axes
            for line in ax.lines
            if len(line.get_xdata()) > 2
        }

    assert strengths() == {1.0, 0.35}
    figure.shown = GROUPS[1:3]
    assert strengths() == {1.0}


def test_the_still_shows_the_table_on_the_three_axes():
    table = made_up_curves()
    figure = ClockCollapse(table)
    runs = [rows for _, rows in table.groupby(["group", "name"], sort=False)]
    halves = figure.half_times
    for ax, time in zip(drawn_still(figure).axes, TIMES, strict=True):
        lines = [line for line in ax.lines if len(line.get_xdata()) > 2]
        for line, rows in zip(lines, runs, strict=True):
            clock = rows["lr"] * rows["weight_decay"]
            worth = {"steps": 1, "clock": clock, "corrected": clock * rows["speed"]}[time]
            later = len(rows) - 1  # without step 0, which a log axis cannot show
            np.testing.assert_allclose(line.get_xdata()[-later:], (rows["step"] * worth)[1:])
            np.testing.assert_allclose(line.get_ydata()[-later:], rows["mean"][1:])
            assert line.get_ydata()[0] == pytest.approx(rows["mean"].iloc[0])
        dots = [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "o"]
        np.testing.assert_allclose(dots, halves[time])
        figure.time = time
        assert ax.get_title() == f"20 of 22 fall to half\nspread: × {figure.spread.factor:.3g}"


def test_the_still_names_the_groups_that_it_shows():
    figure = ClockCollapse(made_up_curves())
    figure.shown = ["momentum", "batch size"]
    canvas = drawn_still(figure)
    [legend] = canvas.legends
    assert [text.get_text() for text in legend.get_texts()] == ["batch size", "momentum"]
    lines = [line for line in canvas.axes[0].lines if len(line.get_xdata()) > 2]
    assert {line.get_color() for line in legend.get_lines()} == {line.get_color() for line in lines}
    assert {line.is_dashed() for line in lines} == {True}
    assert canvas.axes[0].get_title().startswith("8 of 8 fall to half")


WIDE = pd.concat([run("a", "slow", weight_decay=1e-6), run("b", "fast", weight_decay=0.1)])
TABLES = {"made up": made_up_curves(), "full": full_table(), "wide": WIDE, "far": far_table()}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_all_axes_have_as_many_decades_and_the_median_in_one_place(table):
    figure = ClockCollapse(table)
    limits = [[math.log10(end) for end in ax.get_xlim()] for ax in drawn_still(figure).axes]
    medians = [math.log10(figure.half_times[time].median()) for time in TIMES]
    before, after = zip(
        *((m - low, high - m) for m, (low, high) in zip(medians, limits, strict=True)), strict=True
    )
    assert before == pytest.approx([before[0]] * 3)
    assert after == pytest.approx([after[0]] * 3)


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_what_matters_of_a_curve_is_on_every_axis(table):
    figure = ClockCollapse(table)
    limits = dict(zip(TIMES, (ax.get_xlim() for ax in drawn_still(figure).axes), strict=True))
    runs = table.groupby(["group", "name"], sort=False)
    for (_, half), (_, rows) in zip(figure.half_times.iterrows(), runs, strict=True):
        for time, (low, high) in limits.items():
            last = rows.iloc[-1]
            clock = last["lr"] * last["weight_decay"]
            end = last["step"] * {"steps": 1, "clock": clock, "corrected": clock * last["speed"]}[time]
            assert end > 9.99 * low  # a decade of it
            if math.isnan(half[time]):
                assert end < 1.001 * high  # how far it went without a fall
            else:
                assert 1.9 * low < half[time] < high / 1.01
    assert limits["steps"][0] < 1 < table["step"].max() < 1.001 * limits["steps"][1]


@pytest.mark.parametrize("most", [1e-3, 512.0])
def test_odd_tables_have_a_still(most):
    for table in (curve_table([1, 2], [2.0, 1.5]), curve_table([0, 5], [0.0, 0.0]), far_table()):
        assert ClockCollapse(table, most=most).still()


def test_a_still_of_no_group_is_empty():
    figure = ClockCollapse(made_up_curves())
    figure.shown = []
    assert [ax.get_title() for ax in drawn_still(figure).axes] == ["0 of 0 fall to half"] * 3
    assert figure.still()
