"""BetaDial in a real browser: what it draws and says is what the table holds, and its regions are the decoder's."""

import math
import re

import numpy as np
import pytest
from beta_examples import BETAS, THRESHOLDS, made_up_table, small_table
from beta_page import (
    NBSP,
    PIXEL,
    assert_written,
    attributes,
    axis,
    bent,
    chosen,
    get,
    page_of,
    plots,
    points_of,
    put,
    spectra,
)

pytestmark = pytest.mark.browser

COSTS = ("test_error", "distortion", "rate", "information_lower", "information_upper", "calibration")
LISTS = {
    "global": "global_spectrum",
    "jacobian": "jacobian_spectrum",
    "signal-to-noise": "snr_spectrum",
    "rate": "rate_spectrum",
}
COLUMNS = [(name, eps) for name, levels in THRESHOLDS.items() for eps in levels]


@pytest.fixture(scope="module")
def table():
    return made_up_table()


@pytest.fixture(scope="module")
def html(table):
    return page_of(table)


# --- numbers -------------------------------------------------------------------------------------------------------


def check_numbers(page, table, beta, seed=None):
    """Assert that both tables have the numbers of pandas, and a range where there are several seeds."""
    for row in page.locator("[data-cost]").all():
        values = chosen(table, reading=row.get_attribute("data-cost"), layer="network", beta=beta, seed=seed)
        assert_written(row.locator("[data-mean]").text_content(), values.mean())
        check_range(row.locator("[data-range]").text_content(), values, " to ")
    names = get(page, "facts")["columns"]
    for button in page.locator(".lr-reading").all():
        column = names[int(button.get_attribute("data-q"))]
        values = chosen(table, reading=column["reading"], eps=column["eps"], beta=beta, seed=seed)
        assert_written(button.locator("strong").text_content(), values.mean())
        check_range(button.locator("small").text_content() or "–", values, "–")


def check_range(text, values, between):
    """Assert that this is the range of several seeds, or says that they are written the same."""
    if len(values) == 1:
        assert text == "–"
    elif between not in text or text == "–":
        assert text in ("–", "the same")
        assert values.max() - values.min() <= 0.01 * values.mean()  # three digits
    else:
        for end, expected in zip(text.split(between), (values.min(), values.max()), strict=True):
            assert_written(end, expected)


def test_the_tables_have_the_numbers_of_every_beta(show, table, html):
    page = show(html)
    assert page.locator("[data-cost]").evaluate_all("all => all.map((e) => e.dataset.cost)") == list(COSTS)
    assert page.locator(".lr-reading").count() == len(COLUMNS)
    for beta in (1e-6, 0.01, 0.6, 1.0):
        put(page, beta=beta)
        check_numbers(page, table, beta)
    for seed in (0, 2):
        put(page, seed=seed)
        check_numbers(page, table, 1.0, seed)


def test_every_number_stands_beside_its_name_and_below_its_threshold(show, html):
    page = show(html)
    heads = page.locator(".lr-rank-table thead th").all_text_contents()
    assert heads == ["reading", "ε = 0.01", "ε = 0.1", "ε = 1", "no ε"]
    columns = get(page, "facts")["columns"]
    for name, levels in THRESHOLDS.items():
        row = page.locator(f"tr[data-reading='{name}']")
        assert row.locator("th").text_content().startswith(name)
        found = row.locator("td").evaluate_all(
            "all => all.map((e) => e.firstChild && Number(e.firstChild.dataset.q))"
        )
        expected = [eps if eps in levels else -1 for eps in (0.01, 0.1, 1.0, None)]
        for place, eps in zip(found, expected, strict=True):
            if eps == -1:
                assert place is None
            else:
                assert (columns[place]["reading"], columns[place]["eps"]) == (name, eps)


def test_the_words_for_who_does_not_see_it_have_the_numbers(show, table, html):
    page = show(html)
    put(page, beta=0.5, readings=[["global", 0.01], ["effective", None]])
    words = page.locator("[data-output]").text_content().replace(NBSP, " ")
    pattern = (
        r"β 0\.5: test error (\S+ %) \((\S+ %) to (\S+ %) over 3 seeds\), rate R (\S+) nats \((\S+) to (\S+) over 3 seeds\), "
        r"distortion D (\S+) nats \((\S+) to (\S+) over 3 seeds\)\. "
        r"global, ε 0\.01: (\S+) \((\S+) to (\S+)\); effective: (\S+) \((\S+) to (\S+)\)\."
    )
    found = re.fullmatch(pattern, words).groups()
    expected = []
    for layer, name, eps in (("network", "test_error", None), ("network", "rate", None), ("network", "distortion", None), ("code", "global", 0.01), ("code", "effective", None)):  # fmt: skip
        values = chosen(table, reading=name, eps=eps, layer=layer, beta=0.5)
        expected += [values.mean(), values.min(), values.max()]
    for text, value in zip(found, expected, strict=True):
        assert_written(text, value)
    put(page, seed=1, readings=[])
    words = page.locator("[data-output]").text_content()
    assert words.startswith("β 0.5, seed 1: test error ")
    assert words.endswith(" nats. No reading is switched on.")
    assert " over " not in words


# --- the plots -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("against", ["distortion", "test_error"])
@pytest.mark.parametrize("seed", [None, 1])
def test_rate_and_its_partner_are_drawn_where_the_table_has_them(show, table, html, against, seed):
    page = show(html)
    put(page, against=against, seed=seed, beta=0.3)
    to_x, to_y = axis(page, "costs", "x", bent("rate")), axis(page, "costs", "y", bent(against))

    def values(name, beta):
        return chosen(table, reading=name, layer="network", beta=beta, seed=seed).to_numpy()

    dots = attributes(page, "[data-plot=costs] .lr-seed", "cx", "cy")
    rates, costs = (np.concatenate([values(name, beta) for beta in BETAS]) for name in ("rate", against))
    expected = [[to_x(rate), to_y(cost)] for rate, cost in zip(rates, costs, strict=True)]
    np.testing.assert_allclose(dots, expected, atol=2 * PIXEL)
    line = points_of(page.locator("[data-plot=costs] .lr-cost").get_attribute("d"))
    means = [[to_x(values("rate", beta).mean()), to_y(values(against, beta).mean())] for beta in BETAS]
    np.testing.assert_allclose(line, means, atol=2 * PIXEL)
    here = attributes(page, "[data-plot=costs] .lr-here", "cx", "cy")[0]
    assert here == pytest.approx(means[BETAS.index(0.3)], abs=2 * PIXEL)
    limit = page.locator("[data-plot=costs] .lr-limit")
    if against == "test_error":
        assert limit.count() == 0
        return
    for x, y in points_of(limit.get_attribute("d")):  # D = ln 10 - R
        rate = 0.3 * math.sinh((x - to_x(0)) / (to_x(0.3 * math.sinh(1)) - to_x(0)))
        assert y == pytest.approx(to_y(math.log(10) - rate), abs=10 * PIXEL)  # where it falls steeply


@pytest.mark.parametrize("name", LISTS)
def test_spectra_are_means_with_a_band_over_seeds(show, table, html, name):
    page = show(html)
    for beta, seed in ((1e-3, None), (0.8, 2)):
        put(page, spectrum=name, beta=beta, seed=seed)
        own = spectra(table, LISTS[name], beta)
        own = own if seed is None else own.iloc[[seed]]
        to_x = axis(page, "spectrum", "x", math.log2)
        to_y = axis(page, "spectrum", "y")  # its ticks are powers of ten
        lowest = get(page, "facts")["spectra"][list(LISTS).index(name)]["ends"][0]

        def height(value, to_y=to_y, lowest=lowest):
            return to_y(max(lowest, math.log10(value)))

        dots = attributes(page, "[data-plot=spectrum] circle", "data-place", "cx", "cy")
        assert dots[:, 0].tolist() == own.columns.tolist()
        for place, x, y in dots:
            assert x == pytest.approx(to_x(place), abs=2 * PIXEL)
            # spectra are kept in three digits, and sent in float32
            assert y == pytest.approx(height(own[place].mean()), abs=2 * PIXEL)
        band = points_of(page.locator("[data-plot=spectrum] .lr-band").get_attribute("d"))
        ends = [height(value) for value in own.min()] + [height(value) for value in own.max()][::-1]
        np.testing.assert_allclose(band[:, 1], ends, atol=2 * PIXEL)


def test_thresholds_of_readings_lie_at_their_values(show, table, html):
    page = show(html)
    put(page, beta=0.5, spectrum="jacobian", readings=[["absolute", 0.1], ["relative", 0.1], ["global", 0.1]])
    to_y = axis(page, "spectrum", "y")
    columns = get(page, "facts")["columns"]
    largest = spectra(table, "jacobian_spectrum", 0.5)[1].mean()
    found = page.locator("[data-plot=spectrum] [data-cut]").evaluate_all(
        "all => all.map((e) => [Number(e.dataset.cut), e.y1.baseVal.value, e.classList.contains('lr-threshold')])"
    )
    shown = {(columns[q]["reading"], columns[q]["eps"]): (y, is_on) for q, y, is_on in found}
    assert set(shown) == {
        ("absolute", 0.01),
        ("absolute", 0.1),
        ("absolute", 1),
        ("relative", 0.01),
        ("relative", 0.1),
    }
    for (name, eps), (y, is_on) in shown.items():
        value = eps * (largest if name == "relative" else 1)
        assert y == pytest.approx(to_y(math.log10(value)), abs=2 * PIXEL)
        assert is_on == (eps == 0.1)
    words = page.locator("[data-plot=spectrum] text").all_text_contents()
    assert {"ε = 0.1", "0.1 × largest", "C − 1 = 9"} <= set(words)


@pytest.mark.parametrize("seed", [None, 0])
def test_readings_are_drawn_against_beta(show, table, html, seed):
    page = show(html)
    put(page, beta=0.7, seed=seed, readings=[list(column) for column in COLUMNS])
    to_y = axis(page, "readings", "y", bent("rank"))

    def stretched(beta):  # half of the width for the last decade, half for the five before
        return 1 + math.log10(beta / 0.1) if beta >= 0.1 else 1 + math.log10(beta / 0.1) / 5

    to_x = axis(page, "readings", "x", stretched)
    columns = get(page, "facts")["columns"]
    curves = page.locator("[data-curve]").all()
    assert len(curves) == len(COLUMNS)
    for curve in curves:
        column = columns[int(curve.get_attribute("data-curve"))]
        values = [
            chosen(table, reading=column["reading"], eps=column["eps"], beta=beta, seed=seed)
            for beta in BETAS
        ]
        dots = np.array(curve.locator("circle").evaluate_all("all => all.map((e) => [e.cx, e.cy, e.r].map((v) => v.baseVal.value))"))  # fmt: skip
        expected = [[to_x(beta), to_y(own.mean())] for beta, own in zip(BETAS, values, strict=True)]
        np.testing.assert_allclose(dots[:, :2], expected, atol=2 * PIXEL)
        assert dots[:, 2].argmax() == BETAS.index(0.7)
        line = points_of(curve.locator(".lr-line").get_attribute("d"))
        np.testing.assert_allclose(line, expected, atol=2 * PIXEL)
        band = points_of(curve.locator(".lr-band").get_attribute("d"))
        ends = [to_y(own.min()) for own in values] + [to_y(own.max()) for own in values][::-1]
        np.testing.assert_allclose(band[:, 1], ends, atol=2 * PIXEL)
    cursor = attributes(page, "[data-cursor]", "x1")[0, 0]
    assert cursor == pytest.approx(to_x(0.7), abs=2 * PIXEL)


def test_the_legend_numbers_the_lines(show, table, html):
    page = show(html)
    put(page, beta=0.4, readings=[["global", 0.1], ["relative", 0.01], ["stable", None]])
    legend = page.locator("[data-legend]").all_text_contents()
    for n, (text, (name, eps)) in enumerate(zip(legend, (("global", 0.1), ("relative", 0.01), ("stable", None)), strict=True), 1):  # fmt: skip
        title, value = text.split(": ")
        assert title.split() == f"{n} {name}{f', ε {eps}' if eps else ''}".split()
        assert_written(value, chosen(table, reading=name, eps=eps, beta=0.4).mean())
    tags = page.locator("[data-curve] text").all_text_contents()
    assert tags == ["1", "2", "3"]


# --- tables with less in them --------------------------------------------------------------------------------------


def test_without_a_plane_it_says_so(show):
    table = small_table()
    page = show(page_of(table[table["part"].ne("plane")]))
    assert page.locator("[data-missing]").text_content() == "No code of two numbers is stored."
    assert not page.locator("[data-plot=plane]").is_visible()
    assert page.locator(".lr-limit").count() == 0  # nobody says how many classes there are
    assert "C − 1" not in page.locator("[data-plot=spectrum]").text_content()

    page = show(page_of(small_table(plane=(0.1,)), beta=0.1))
    assert page.locator("[data-missing]").text_content() == ""
    assert page.locator("[data-plot=plane] [data-region]").count() > 1
    put(page, beta=0.5)
    assert page.locator("[data-missing]").text_content() == "No code of two numbers is stored at β = 0.5."
    assert not page.locator("[data-plot=plane]").is_visible()
    assert page.locator("[data-wrong]").text_content() == ""
    put(page, beta=0.1)
    assert page.locator("[data-plot=plane]").is_visible()


def test_what_is_missing_is_a_dash_and_its_curve_has_a_hole(show):
    table = small_table(betas=BETAS, plane=())
    at = table["beta"].eq(0.3)
    gone = at & table["reading"].isin(["effective", "rate", "global_spectrum"])
    page = show(page_of(table[~gone], beta=0.3, readings=["effective", "stable"]))
    place = get(page, "facts")["columns"].index({"reading": "effective", "eps": None, "of": None})
    assert page.locator(f"[data-q='{place}'] strong").text_content() == "–"
    assert page.locator("[data-cost=rate] [data-mean]").text_content() == "–"
    assert page.locator("[data-plot=costs] .lr-here").count() == 0
    assert "no spectrum is stored at this β" in page.locator("[data-plot=spectrum]").text_content()
    words = page.locator("[data-output]").text_content()
    assert "rate R not stored" in words
    assert "effective: not stored; stable: " in words
    holes = page.locator(f"[data-curve='{place}'] .lr-band").count()
    assert holes == 2  # on both sides
    assert page.locator(f"[data-curve='{place}'] circle").count() == len(BETAS) - 1
    everything = "".join(plots(page).values())
    assert not re.search("NaN|Infinity|undefined|null", everything)


def test_costs_that_are_not_stored_at_all(show):
    table = small_table()
    page = show(page_of(table[table["layer"].ne("network")]))
    assert "rate or distortion is not stored" in page.locator("[data-plot=costs]").text_content()
    assert page.locator("[data-cost]").count() == 0
    box = page.locator("[data-plot=costs]").bounding_box()
    before = get(page, "beta")
    page.mouse.click(box["x"] + 30, box["y"] + 30)
    assert get(page, "beta") == before


def test_one_seed_has_no_range_and_no_choice(show):
    page = show(page_of(small_table(seeds=1)))
    assert not page.locator("[data-control=seed]").is_visible()
    assert set(page.locator("[data-range]").all_text_contents()) == {"–"}
    assert set(page.locator(".lr-reading small").all_text_contents()) == {""}
    assert "seeds)" not in page.locator("[data-output]").text_content()
    assert ", seed 0" in page.locator(".lr-view-readings .lr-heading").text_content()


def test_one_beta_is_drawn(show):
    page = show(page_of(small_table(betas=(0.5,), plane=(0.5,))))
    assert page.locator("[data-control=beta]").get_attribute("max") == "0"
    assert not re.search("NaN|Infinity|undefined", "".join(plots(page).values()))


def test_names_are_text(show):
    evil = "</script><img src=x onerror=alert(1)> & \"b\" 'c'"
    table = small_table(seeds=1)
    table["reading"] = table["reading"].replace("effective", evil)
    page = show(page_of(table, readings=[evil, "stable"], title=evil))
    assert page.locator(".lr-title").text_content() == evil
    assert page.locator("tr[data-reading] th").last.text_content() == evil
    assert page.locator("[data-legend]").last.text_content().split(": ")[0].endswith(evil)
    assert evil in page.locator("[data-output]").text_content()
    assert page.locator(".lr-figure img").count() == 0
