"""How BetaDial looks in a real browser: its fit, its letters, its colours, its labels, and odd tables."""

import re
from itertools import pairwise

import pytest
from beta_examples import BETAS, made_up_table, small_table
from beta_page import page_of, put
from fitting import check_it_fits

pytestmark = pytest.mark.browser
READABLE = 4.5  # contrast of letters on what is behind them (WCAG 2.1, AA)
DARK = ":root { --pst-color-text-base: #ced6dd; --pst-color-background: #121212; background: #121212 }"


@pytest.fixture(scope="module")
def html():
    return page_of(made_up_table())


def test_reduced_motion_has_no_play_button(show, html):
    page = show(html, reduced_motion="reduce")
    assert not page.locator("[data-control=play]").is_visible()
    assert page.locator("[data-control=beta]").is_visible()


@pytest.mark.parametrize("width", [358, 1280])  # 358: a phone of 390, less the margins of a page of the book
def test_it_fits_and_its_letters_are_legible(show, html, width):
    page = show(html, width=width)
    put(page, spectrum="jacobian", readings=[[c["reading"], c["eps"]] for c in page.evaluate("document.querySelector('.lr-mount').lrModel.get('facts')")["columns"]])  # fmt: skip
    for beta in (BETAS[0], 0.6):
        put(page, beta=beta)
        check_it_fits(page, width)
        spilling = page.locator(".lr-reading").evaluate_all(
            "all => all.filter(e => e.scrollWidth > e.clientWidth).length"
        )
        assert spilling == 0


def test_a_finger_has_room_and_still_scrolls(show, html):
    page = show(html, width=390, has_touch=True, is_mobile=True)
    sizes = page.locator(".lr-figure :is(input[type=range], button, select):visible").evaluate_all(
        "all => all.map(e => e.getBoundingClientRect().height)"
    )
    assert min(sizes) >= 44
    for name in ("readings", "costs"):
        assert page.locator(f"[data-plot={name}]").evaluate("e => getComputedStyle(e).touchAction") == "pan-y"


def test_it_redraws_when_its_width_changes(show, html):
    page = show(html)
    page.set_viewport_size({"width": 390, "height": 900})
    page.wait_for_function("document.querySelector('[data-plot=plane]').viewBox.baseVal.width < 390")
    page.wait_for_function("document.querySelector('[data-plot=readings]').viewBox.baseVal.width < 390")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


CONTRASTS = """() => {
  const channels = (colour) => {
    const unit = colour.startsWith("color(") ? 1 : 255;
    return colour.replace("srgb", "").match(/[\\d.]+/g).slice(0, 3).map((n) => Number(n) / unit);
  };
  const light = (rgb) => rgb.map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const fills = (selector) => [...new Set([...document.querySelectorAll(selector)].map((e) => getComputedStyle(e).fill))];
  const [front, back] = [".lr-glyphs text", "[data-region]"].map((selector) => fills(selector).map((fill) => light(channels(fill))));
  return front.flatMap((f) => back.map((b) => (Math.max(f, b) + 0.05) / (Math.min(f, b) + 0.05)));
}"""


@pytest.mark.parametrize("style", ["", DARK], ids=["light", "dark"])
def test_every_digit_is_readable_on_every_region(show, html, style):
    page = show(f"<style>{style}</style>" + html)
    contrasts = page.evaluate(CONTRASTS)
    assert len(contrasts) >= 100  # ten classes on ten regions
    assert min(contrasts) >= READABLE


def test_colour_is_never_the_only_cue(show, html):
    page = show(html)
    put(page, readings=[[c["reading"], c["eps"]] for c in page.evaluate("document.querySelector('.lr-mount').lrModel.get('facts')")["columns"]])  # fmt: skip
    looks = "all => all.map((e) => [e.getAttribute('stroke'), e.getAttribute('stroke-dasharray')].join(' '))"
    lines = page.locator("[data-curve] .lr-line").evaluate_all(looks)
    assert len(set(lines)) == 15
    assert page.locator("[data-legend] .lr-line").evaluate_all(looks) == lines
    assert page.locator(".lr-reading .lr-line").evaluate_all(looks) == lines
    numbers = [str(n + 1) for n in range(15)]
    assert page.locator("[data-curve] text").all_text_contents() == numbers
    assert [text.split()[0] for text in page.locator("[data-legend]").all_text_contents()] == numbers
    heights = page.locator("[data-curve] text").evaluate_all("all => all.map((e) => Number(e.getAttribute('y'))).sort((a, b) => a - b)")  # fmt: skip
    assert min(b - a for a, b in pairwise(heights)) > 9  # they do not cover each other
    wrong = page.locator(".lr-wrong").first.evaluate("e => getComputedStyle(e).textDecorationLine")
    assert wrong == "underline"


def test_every_control_has_a_label_and_takes_the_focus_in_order(show, html):
    page = show(html)
    assert page.locator("[data-control=beta]").evaluate("e => e.labels[0].textContent") == "β0.2"
    for label, name in {"Seeds": "seed", "Spectrum of": "spectrum", "Rate against": "against"}.items():
        assert page.get_by_role("combobox", name=label).get_attribute("data-control") == name
    label = page.locator(".lr-reading").first.get_attribute("aria-label")
    value = page.locator(".lr-reading strong").first.text_content()
    assert label == f"global, ε 0.01: {value}"
    order = []
    for _ in range(21):
        page.keyboard.press("Tab")
        order.append(page.evaluate("document.activeElement.dataset.control"))
    assert order == ["play", "beta", "seed", "reset", "against", "spectrum", *["reading"] * 15]
    assert page.locator("[data-output]").get_attribute("aria-live") == "polite"
    labels = page.locator("svg[data-plot][role=img]").evaluate_all("all => all.map((e) => e.ariaLabel)")
    assert labels[1:] == [
        "Rate against distortion for 15 values of β, with β = 0.2 marked",
        "eigenvalues of the covariance of the mean code against their index at β = 0.2",
        "4 readings of rank against β, with β = 0.2 marked",
    ]
    assert re.fullmatch(r"300 test images in the plane of the code at β = 0\.2; \d+ lie in the region of another class", labels[0])  # fmt: skip
    assert page.locator(".lr-rank-table tbody th[scope=row]").count() == 9
    assert page.locator(".lr-costs tbody th[scope=row]").count() == 6


ODD = {
    "one beta, one seed": small_table(betas=(0.5,), seeds=1, plane=(0.5,)),
    "no plane": small_table(plane=()),
    "a code of two numbers": small_table(code=2),
    "two betas, ten seeds": small_table(betas=(0.3, 0.4), seeds=10),
    "nothing but zeros": small_table().assign(mean=0.0),
    "huge": small_table().assign(mean=lambda table: 1e300 * table["mean"]),
    "no costs": small_table()[lambda table: table["layer"].ne("network")],
    "costs only": small_table()[lambda table: table["layer"].eq("network")],
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("width", [358, 1280])
def test_odd_tables_are_drawn(show, name, width):
    page = show(page_of(ODD[name]), width=width)
    for against in ("distortion", "test_error"):
        put(page, against=against)
        for key in ("Home", "End"):
            page.locator("[data-control=beta]").press(key)
            text = page.locator(".lr-figure").inner_html()
            assert not re.search(r"NaN|Infinity|undefined|null", text)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
