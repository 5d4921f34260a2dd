"""EstimatorBench in a real browser: what it draws and says is what pandas makes of the table."""

import math

import numpy as np
import pytest
from bench_examples import FOR_CHANNELS, SIZES, TRUTHS, made_up_samples, made_up_table, odd_table, small_table
from bench_page import (
    CODE,
    PIXEL,
    assert_written,
    biases,
    marks,
    number,
    set_to,
    table_rows,
    value_axis,
)

from lrlib.interactive import EstimatorBench

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def table():
    return made_up_table()


def chosen(table, case, n, name):
    return table[(table["case"] == case) & (table["n"] == n) & (table["estimator"] == name)]


def applying(case, table):
    names = dict.fromkeys(table["estimator"])
    return [name for name in names if name not in FOR_CHANNELS or case.startswith("channel")]


# --- numbers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [100, 1000, 10_000])
def test_the_table_has_the_numbers_of_every_case(show, table, n):
    page = show(EstimatorBench(table, n=n).page())
    for case, truth in TRUTHS.items():
        set_to(page, case=case)
        shown = table_rows(page)
        assert list(shown) == applying(case, table)
        for name, cells in shown.items():
            rows = chosen(table, case, n, name)
            assert_written(cells["mean"], rows["value"].mean())
            assert_written(cells["bias"], rows["value"].mean() - truth)
            assert_written(cells["spread"], rows["value"].std())
            assert_written(cells["stderr"], rows["stderr"].mean())
            assert cells["saturated"] == f"{rows['saturated'].sum()} of 10"
        assert_written(page.locator("[data-truth]").text_content(), truth)
        words = page.locator("[data-output]").text_content()
        assert words.startswith(f"{case}, truth ")
        assert all(f"{name} {cells['mean']}, bias {cells['bias']}" in words for name, cells in shown.items())


def test_the_sign_of_a_bias_is_always_written(show, table):
    page = show(EstimatorBench(table).page())
    for case in TRUTHS:
        set_to(page, case=case)
        for cells in table_rows(page).values():
            assert cells["bias"][0] in "+−" or number(cells["bias"]) == 0


@pytest.mark.parametrize("n", [100, 10_000])
def test_the_overview_has_the_bias_of_every_estimator_in_every_case(show, table, n):
    page = show(EstimatorBench(table, n=n).page())
    found = biases(page)
    assert list(found) == list(TRUTHS)
    names = set()
    for case, truth in TRUTHS.items():
        for name, (text, look) in found[case].items():
            if name in FOR_CHANNELS and not case.startswith("channel"):
                assert (text, look) == ("", "")
                continue
            bias = chosen(table, case, n, name)["value"].mean() - truth
            assert_written(text, bias)
            level = sum(round(abs(bias), 2) >= least for least in (0.03, 0.1, 0.3, 1))  # of what is printed
            assert look == (f"lr-{'low' if bias < 0 else 'high'} lr-shade-{level}" if level else "")
            names.add(look)
    assert len(names) > 5
    set_to(page, estimators=["ksg 1", "logdet"])
    assert set(biases(page)["spiral"]) == {"ksg 1", "logdet"}


# --- the plots -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ["normal-0.5", "independent", "channel-1", "channel-high"])
def test_means_and_seeds_are_drawn_where_the_table_has_them(show, table, case):
    page = show(EstimatorBench(table, case=case).page())
    to_nats, per_pixel = value_axis(page, "curves", "y")
    near = PIXEL * per_pixel + CODE
    names, ticks = applying(case, table), {}
    for tick in page.locator("[data-plot=curves] [data-size-tick]").all():
        ticks[int(tick.get_attribute("data-size-tick"))] = float(tick.get_attribute("x"))
    assert tuple(ticks) == SIZES
    for name in names:
        found = marks(page, f"[data-curve='{name}']")
        assert [n for _, _, n, _ in found] == list(SIZES)
        aside = {round(x - ticks[n], 3) for x, _, n, _ in found}
        assert max(aside) - min(aside) < 3 * PIXEL  # the same at every size: the line is not bent
        assert max(map(abs, aside)) < 16
        bars = page.locator(f"[data-curve='{name}'] line").evaluate_all(
            "all => all.map((e) => [Number(e.getAttribute('y2')), Number(e.getAttribute('y1'))])"
        )
        for (_, y, n, hollow), bar in zip(found, bars, strict=True):
            rows = chosen(table, case, n, name)
            assert to_nats(y) == pytest.approx(rows["value"].mean(), abs=near)
            ends = [rows["value"].min(), rows["value"].max()]
            assert to_nats(np.array(bar)) == pytest.approx(ends, abs=near)
            assert hollow == (rows["saturated"].sum() > 0)
    truth = page.locator("[data-plot=curves] .lr-truth").get_attribute("y1")
    assert to_nats(float(truth)) == pytest.approx(TRUTHS[case], abs=near)


@pytest.mark.parametrize("case", ["normal-0.5", "channel-high"])
@pytest.mark.parametrize("n", [100, 10_000])
def test_every_seed_has_its_dot(show, table, case, n):
    page = show(EstimatorBench(table, case=case, n=n).page())
    to_nats, per_pixel = value_axis(page, "dots", "x")
    near = PIXEL * per_pixel + CODE
    for name in applying(case, table):
        rows = chosen(table, case, n, name).set_index("seed")
        _, *dots = marks(page, f"[data-dots='{name}']")  # the first is beside the name
        assert {seed: hollow for _, _, seed, hollow in dots} == rows["saturated"].astype(bool).to_dict()
        for x, _, seed, _ in dots:
            assert to_nats(x) == pytest.approx(rows.loc[seed, "value"], abs=near)
        heights = [round(y, 1) for _, y, _, _ in dots]
        assert len(set(heights)) == 10  # apart, where they are equal
        row = page.locator(f"[data-dots='{name}']")
        mean = float(row.locator(".lr-mean").get_attribute("x1"))
        assert to_nats(mean) == pytest.approx(rows["value"].mean(), abs=near)
        bar = row.locator(".lr-deviation").evaluate("e => [e.x1.baseVal.value, e.x2.baseVal.value]")
        assert to_nats(bar[1]) - to_nats(bar[0]) == pytest.approx(2 * rows["value"].std(), abs=near)
        bias, spread = row.locator("text").last.text_content().split(" ± ")
        assert_written(bias, rows["value"].mean() - TRUTHS[case])
        assert_written(spread, rows["value"].std())


def test_caps_are_drawn_where_they_lie_on_the_axis(show, table):
    page = show(EstimatorBench(table, case="channel-high").page())
    to_nats, per_pixel = value_axis(page, "curves", "y")
    caps = page.locator("[data-plot=curves] [data-cap]")
    assert set(caps.evaluate_all("all => all.map((e) => e.dataset.cap)")) == {"cap ln N", "cap of infonce"}
    for name, expected in (("cap ln N", np.log(SIZES)), ("cap of infonce", np.full(5, math.log(256)))):
        path = page.locator(f"[data-cap='{name}']").get_attribute("d")
        heights = [float(point.split(" ")[1]) for point in path[1:].split("L")]
        assert to_nats(np.array(heights)) == pytest.approx(expected, abs=PIXEL * per_pixel)
        assert page.locator("[data-plot=curves] text", has_text=name).count() == 1
    set_to(page, estimators=["infonce", "nwj"])
    assert caps.count() == 1
    set_to(page, case="normal-0.5", estimators=["ksg 1"])
    assert caps.count() == 0


def test_caps_that_are_the_same_are_one_line_with_one_name(show):
    table = small_table(estimators=("ksg 1", "ksg 2", "binning width", "infonce"), cases=("channel-high",))
    lower = {"ksg 1": 1.0, "ksg 2": 1.004, "binning width": 1.5, "infonce": 0.0}
    table["cap"] -= table["estimator"].map(lower)
    page = show(EstimatorBench(table).page())
    caps = page.locator("[data-plot=curves] [data-cap]")
    named = page.locator("[data-plot=curves] [data-name^=cap]")
    expected = ["cap of ksg", "cap of binning width", "cap of infonce"]
    for found, attribute in ((caps, "cap"), (named, "name")):
        assert found.evaluate_all(f"all => all.map((e) => e.dataset.{attribute})") == expected
    set_to(page, estimators=["ksg 2"])
    assert caps.get_attribute("data-cap") == "cap of ksg 2"


def test_what_lies_outside_the_axis_has_an_arrow_and_is_named(show):
    page = show(EstimatorBench(odd_table(), case="normal-0.75", n=100).page())
    note = page.locator("[data-outside-note]")
    assert note.text_content() == (
        "Outside the axis, at the arrows: nwj (41.33; −7.000; −7.000 at N = 100; 1,000; 10,000)."
    )
    turns = page.locator("[data-plot=curves] [data-outside=nwj]").evaluate_all(
        "all => all.map((e) => /rotate\\((\\d+)\\)/.exec(e.getAttribute('transform'))[1])"
    )
    assert turns == ["0", "180", "180"]  # up, and down
    beyond = page.locator("[data-plot=dots] [data-beyond]")
    assert beyond.text_content() == "1 of 1"
    assert len(marks(page, "[data-dots=nwj]")) == 1  # beside the name, and no dot
    assert table_rows(page)["nwj"]["mean"] == "41.33"
    low, high = (value_axis(page, "curves", "y")[0](y) for y in (300, 12))
    assert 0 < low < 0.19 < 0.42 < high < 0.6  # what is not far from the truth fills the plot
    set_to(page, n=1000)
    assert "lr-shade-4" in biases(page)["normal-0.75"]["nwj"][1]
    assert page.locator("[data-plot=dots] .lr-edge").get_attribute("transform").endswith("rotate(270)")
    set_to(page, estimators=["ksg 1"])
    assert not note.is_visible()
    assert page.locator(".lr-edge").count() == 0


def test_an_estimator_that_was_not_run_says_so(show, table):
    page = show(EstimatorBench(odd_table(), case="normal-0.75", n=100).page())
    assert set(table_rows(page)["infonce"].values()) == {"–"}
    assert page.locator("[data-dots=infonce]").text_content() == "infoncenot run at this N"
    assert biases(page)["independent"]["infonce"] == ["", ""]
    assert "infonce not run" in page.locator("[data-output]").text_content()
    assert [n for _, _, n, _ in marks(page, "[data-curve=infonce]")] == [1000]
    set_to(page, n=1000)
    assert table_rows(page)["infonce"]["saturated"] == "0 of 1"

    page = show(EstimatorBench(table).page())
    away = page.locator("[data-not-here]")
    assert away.text_content() == "Not run in this case: kde lower, kde upper, logdet."
    set_to(page, case="channel-1")
    assert not away.is_visible()


def test_one_seed_has_no_spread_and_no_bar(show):
    page = show(EstimatorBench(odd_table(), case="independent", n=1000).page())
    assert {cells["spread"] for cells in table_rows(page).values()} == {"–"}
    assert page.locator(".lr-deviation").count() == 0
    assert "±" not in page.locator("[data-dots='ksg 1']").text_content()


def test_negative_estimates_have_their_sign(show):
    table = small_table(seeds=2, estimators=("ksg 1",))
    table["value"] = table["truth"] - 0.2
    page = show(EstimatorBench(table, case="independent").page())
    assert table_rows(page)["ksg 1"]["mean"] == "−0.200"
    to_nats, per_pixel = value_axis(page, "curves", "y")
    for _, y, _, _ in marks(page, "[data-curve='ksg 1']"):
        assert to_nats(y) == pytest.approx(-0.2, abs=PIXEL * per_pixel)


def test_an_error_that_rounds_to_nothing_has_no_sign(show):
    table = small_table(seeds=2, estimators=("ksg 1",))
    table["value"] = table["truth"] - 1e-6
    page = show(EstimatorBench(table).page())
    cells = table_rows(page)["ksg 1"]
    assert (cells["bias"], cells["spread"]) == ("0.000", "0.000")
    assert biases(page)["independent"]["ksg 1"] == ["0.00", ""]


def test_a_case_shows_its_points(show, table):
    samples = {"normal-0.5": made_up_samples()["normal-0.5"], "spiral": [[0, 1], [2, 3.5], [1, 2]]}
    page = show(EstimatorBench(table, samples=samples).page())
    box = page.locator(".lr-bench-cloud")
    places = "all => all.map((e) => [e.cx.baseVal.value, e.cy.baseVal.value])"
    dots = np.array(page.locator("[data-plot=scatter] circle").evaluate_all(places))
    assert len(dots) == 200
    points = samples["normal-0.5"]
    middle = (np.abs(points) < np.quantile(np.abs(points), 0.9, axis=0)).all(axis=1)
    for axis, sign in ((0, 1), (1, -1)):  # those in the middle are where they are, up to a map of the axis
        line = np.polynomial.Polynomial.fit(points[middle, axis], dots[middle, axis], 1)
        assert np.abs(line(points[middle, axis]) - dots[middle, axis]).max() < 136 / 255
        assert sign * (line(1) - line(0)) > 0
    assert dots.min() >= 5
    assert dots.max() <= 181
    assert " farther out" in box.text_content()
    set_to(page, case="spiral")
    assert page.locator("[data-plot=scatter] circle").count() == 3
    assert page.locator("[data-plot=scatter] text").all_text_contents() == [
        "0.0",
        "2.0",
        "1.0",
        "3.5",
        "x",
        "y",
    ]
    assert page.locator(".lr-bench-cloud .lr-hint").text_content() == "3 points"
    set_to(page, case="independent")
    assert not box.is_visible()


def test_names_and_sentences_are_text(show):
    evil = "</script><img src=x onerror=alert(1)> & \"b\" 'c'"
    table = small_table(seeds=1, estimators=("ksg 1", "nwj"))
    table["case"] = table["case"].replace("independent", evil)
    table["estimator"] = table["estimator"].replace("nwj", evil)
    figure = EstimatorBench(table, case=evil, titles={evil: evil}, samples={evil: [[0, 1]]}, title=evil)
    page = show(figure.page())
    assert page.locator(".lr-title").text_content() == evil
    assert page.locator("[data-about]").text_content().startswith(f"{evil}. {evil}")
    assert list(table_rows(page)) == ["ksg 1", evil]
    assert evil in biases(page)
    assert page.locator(".lr-figure img").count() == 0
