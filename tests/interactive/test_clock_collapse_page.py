"""ClockCollapse in a real browser: what it draws and says is what Python has."""

import math
import re

import numpy as np
import pandas as pd
import pytest
from clock_examples import full_table, made_up_curves, run
from clock_page import (
    CORNERS,
    DIGITS,
    GROUPS,
    MOMENTUM,
    PIXEL,
    TIMES,
    axes,
    numbers_in,
    set_to,
    summary,
    told,
)

from lrlib.interactive import ClockCollapse

pytestmark = pytest.mark.browser
LINES = 100  # pixels by which what is kept free may miss the figure: two rows of switches


@pytest.fixture
def still(show):
    """Show a page whose curves do not glide."""
    return lambda body, **options: show(body, reduced_motion="reduce", **options)


@pytest.mark.parametrize("width", [374, 704])  # of the window: 8 pixels more to each side than the figure's
@pytest.mark.parametrize("groups", [1, 6, 12])
def test_the_room_kept_for_it_is_as_high_as_it_is(show, width, groups):
    table = full_table() if groups > 6 else made_up_curves()
    figure = ClockCollapse(table[table["group"].isin(table["group"].unique()[:groups])])
    page = show(figure.page(), width=width)
    height = page.locator(".lr-figure").evaluate("e => e.getBoundingClientRect().height")
    assert abs(height - figure.page_heights()[width < 600]) <= LINES


def test_it_is_drawn_when_it_is_scrolled_to(show):
    far = '<div style="height: 5000px"></div>'  # further than the 600 pixels at which a figure is drawn
    page = show(far + ClockCollapse(made_up_curves()).page() + far, ready=0)
    page.wait_for_timeout(300)
    assert page.locator(".lr-figure").count() == 0
    assert page.locator(".lr-waiting").text_content() == ClockCollapse(made_up_curves()).title
    page.evaluate("scrollTo(0, 4000)")
    page.wait_for_function("document.querySelector('.lr-figure')?.dataset.ready === 'true'")
    assert page.locator(".lr-waiting").count() == 0


# --- what is shown -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("time", TIMES)
def test_every_curve_is_drawn_where_the_table_has_it(still, time):
    table = made_up_curves()
    figure = ClockCollapse(table, time=time)
    page = still(figure.page())
    to_log, to_rank = axes(page)
    per_pixel = abs(to_log(1) - to_log(0)), abs(to_rank(1) - to_rank(0))
    runs = [rows for _, rows in table.groupby(["group", "name"], sort=False)]
    halves = figure.half_times[time].tolist()
    for shape, rows, half in zip(page.evaluate(CORNERS), runs, halves, strict=True):
        clock = rows["lr"] * rows["weight_decay"]
        worth = {"steps": clock / clock, "clock": clock, "corrected": clock * rows["speed"]}[time]
        later = np.array(shape["line"])[1 - len(rows) :]  # step 0 has no place on a log axis
        times = np.log10((rows["step"] * worth)[1:])
        np.testing.assert_allclose(to_log(later[:, 0]), times, atol=PIXEL * per_pixel[0])
        np.testing.assert_allclose(to_rank(later[:, 1]), rows["mean"][1:], atol=PIXEL * per_pixel[1])
        first = shape["line"][0]
        assert to_rank(first[1]) == pytest.approx(rows["mean"].iloc[0], abs=PIXEL * per_pixel[1])
        if math.isnan(half):
            assert shape["dot"] is None
        else:
            assert to_log(shape["dot"][0]) == pytest.approx(math.log10(half), abs=PIXEL * per_pixel[0])
            assert to_rank(shape["dot"][1]) == pytest.approx(rows["mean"].max() / 2, abs=PIXEL * per_pixel[1])


def test_a_line_from_step_0_is_straight_in_time(still):
    rows = {"name": "slow", "group": "a", "lr": 0.1, "weight_decay": 0.01, "speed": 1.0}
    table = pd.DataFrame(
        {**rows, "step": [0, 1000, 2000], "mean": [9.0, 1, 1], "low": [8.0, 1, 1], "high": [9.0, 1, 1]}
    )
    page = still(ClockCollapse(table).page())
    to_log, to_rank = axes(page)
    [shape] = page.evaluate(CORNERS)
    corners = [(10 ** to_log(x), to_rank(y)) for x, y in shape["line"][:-1]]
    assert len(corners) > 5
    for step, rank in corners:
        assert rank == pytest.approx(9 - 8 * step / 1000, abs=0.05)


@pytest.mark.parametrize(
    "shown", [GROUPS, ["momentum"], ["batch size", "stopped early"], ["stopped early"], []]
)
def test_the_spread_is_that_of_python(still, shown):
    figure = ClockCollapse(made_up_curves())
    page = still(figure.page())
    figure.shown = shown
    set_to(page, shown=shown)
    for time in TIMES:
        figure.time = time
        page.locator(f"[data-control={time}]").check(force=True)
        spread = figure.spread
        words = summary(page)
        assert page.locator("[data-output]").text_content().endswith(words)
        if not spread.reached:
            none = "None of 2 curves falls to half of its highest rank."
            assert words == (none if shown else "No group is switched on.")
            assert page.locator("[data-plot] [data-factor]").count() == 0
            continue
        assert words.startswith(f"{spread.reached} of {spread.curves} curves fall to half")
        values = [spread.lowest, spread.highest, spread.median, spread.factor]
        assert numbers_in(words)[2:] == pytest.approx(values, rel=DIGITS)
        factor = page.locator("[data-plot] [data-factor]")
        assert float(factor.get_attribute("data-factor")) == pytest.approx(spread.factor)
        assert numbers_in(factor.text_content()) == pytest.approx([spread.factor], rel=DIGITS)


def test_one_curve_alone_has_no_spread(still):
    page = still(ClockCollapse(run("a", "one")).page())
    assert summary(page).startswith("1 of 1 curve falls to half of its highest rank, at t = ")
    assert page.locator("[data-plot] [data-factor]").count() == 0


@pytest.mark.parametrize("time", TIMES)
def test_the_shaded_range_goes_from_the_lowest_to_the_highest(still, time):
    figure = ClockCollapse(made_up_curves(), time=time)
    page = still(figure.page())
    to_log, _ = axes(page)
    per_pixel = to_log(1) - to_log(0)
    box = page.locator(".lr-range").evaluate(
        "e => [e.x.baseVal.value, e.x.baseVal.value + e.width.baseVal.value]"
    )
    ends = [math.log10(figure.spread.lowest), math.log10(figure.spread.highest)]
    assert to_log(np.array(box)) == pytest.approx(ends, abs=PIXEL * per_pixel)
    median = page.locator(".lr-median").evaluate("e => new DOMMatrix(getComputedStyle(e).transform).e")
    assert to_log(median) == pytest.approx(math.log10(figure.spread.median), abs=PIXEL * per_pixel)


def test_the_table_has_the_half_rank_times_of_every_group(still):
    figure = ClockCollapse(made_up_curves())
    page = still(figure.page())
    for time in TIMES:
        page.locator(f"[data-control={time}]").check(force=True)
        assert page.locator("caption").text_content().endswith({"steps": "steps t"}.get(time, "ηλt"))
        for group, halves in figure.half_times.groupby("group"):
            row, mine = page.locator(f"[data-row='{group}']"), halves[time].dropna()
            cells = row.locator("td").all_text_contents()
            assert cells[0] == f"{len(mine)} of {len(halves)}"
            if mine.empty:
                assert cells[1:] == ["–", "–", "–"]
                continue
            values = [mine.min(), mine.max(), mine.max() / mine.min()]
            names = ("lowest", "highest", "factor")
            exact = [float(row.locator(f"[data-{name}]").get_attribute(f"data-{name}")) for name in names]
            assert exact == pytest.approx(values)
            assert [float(text) for text in cells[1:]] == pytest.approx(values, rel=DIGITS)


def test_a_change_of_axis_moves_curves_and_bends_none(still):
    page = still(ClockCollapse(made_up_curves()).page())
    shapes = []
    for time in TIMES:
        page.locator(f"[data-control={time}]").check(force=True)
        shapes.append([np.array(shape["line"]) for shape in page.evaluate(CORNERS)])
    for other in shapes[1:]:
        for before, after in zip(shapes[0], other, strict=True):
            moved = after - before
            np.testing.assert_allclose(moved, np.broadcast_to(moved[0], moved.shape) * [1, 0], atol=1e-3)


def test_what_is_told_of_a_curve_is_what_python_has(still):
    table = made_up_curves()
    figure = ClockCollapse(table)
    page = still(figure.page())
    runs = table.groupby(["group", "name"], sort=False)
    for (_, row), ((group, name), rows) in zip(figure.half_times.iterrows(), runs, strict=True):
        set_to(page, highlighted=[group, name])
        words = told(page)
        first = rows.iloc[0]
        start = f"{name}: η = {first['lr']:g}, λ = {first['weight_decay']:g}"
        assert words.startswith(start)
        values = numbers_in(words.removeprefix(start))
        speed = [first["speed"]] if first["speed"] != 1 else []
        assert ("speed" in words) == bool(speed)
        halves = (
            []
            if math.isnan(row["steps"])
            else [row["steps"], row["clock"], *([row["corrected"]] if speed else [])]
        )
        assert ("never falls" in words) == (not halves)
        assert values == pytest.approx([*speed, rows["mean"].max(), *halves], rel=DIGITS)
        assert page.locator("[data-output]").text_content().startswith(words)


def test_the_highlighted_curve_has_its_band_over_seeds_and_a_line_to_its_time(still):
    figure = ClockCollapse(made_up_curves(), time="corrected")
    page = still(figure.page())
    set_to(page, highlighted=MOMENTUM)
    to_log, to_rank = axes(page)
    front = page.locator("[data-plot] > g:nth-of-type(2) > g:nth-of-type(3) > g")
    shift = front.evaluate("e => new DOMMatrix(getComputedStyle(e).transform).e")
    numbers = re.split("[ML ]", front.locator(".lr-seeds").get_attribute("d").strip("MZ"))
    ranks = to_rank(np.array(numbers[1::2], float))
    rows = made_up_curves().query("group == 'momentum' and name == 'momentum 0.95'")
    later, per_pixel = len(rows) - 1, abs(to_rank(1) - to_rank(0))
    np.testing.assert_allclose(
        ranks[len(ranks) // 2 - later : len(ranks) // 2], rows["high"][1:], atol=PIXEL * per_pixel
    )
    np.testing.assert_allclose(
        ranks[len(ranks) // 2 :][:later][::-1], rows["low"][1:], atol=PIXEL * per_pixel
    )
    half = figure.half_times.query("name == 'momentum 0.95'")["corrected"].item()
    drop = float(front.locator(".lr-cut").get_attribute("x1")) + shift
    assert to_log(drop) == pytest.approx(math.log10(half), abs=PIXEL * (to_log(1) - to_log(0)))
