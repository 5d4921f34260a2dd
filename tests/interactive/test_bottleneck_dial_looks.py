"""How BottleneckDial looks in a real browser: its fit, its letters, its labels, and odd correlations."""

import pytest
from cleaning_up import check_cleaning_up_stops_everything
from dial_page import PLOTS, page_of
from fitting import check_it_fits

pytestmark = pytest.mark.browser

EXTREMES = [[0.0], [0.999], [0.8] * 6, [0.0, 0.999], [0.999, 0.995, 0.03, 0.02, 0.01, 0.0], [0.01]]


def test_reduced_motion_has_no_play_button(show):
    page = show(page_of(), reduced_motion="reduce")
    assert not page.locator("[data-control=play]").is_visible()
    assert page.locator("[data-control=beta]").is_visible()


@pytest.mark.parametrize("width", [358, 1280])  # 358: a phone of 390, less the margins of a page of the book
@pytest.mark.parametrize("relative", [False, True])
def test_it_fits_and_its_letters_are_legible(show, width, relative):
    # the longest numbers, and the longest words for the threshold
    rhos = [0.999, 0.995, 0.03, 0.02, 0.01, 0.07]
    page = show(page_of(rhos, beta=1.05, eps=0.011, relative=relative), width=width)
    check_it_fits(page, width)


def test_a_finger_has_room_and_still_scrolls(show):
    page = show(page_of(), width=390, has_touch=True, is_mobile=True)
    sizes = page.locator(".lr-figure :is(input[type=range], button, select):visible").evaluate_all(
        "all => all.map(e => e.getBoundingClientRect().height)"
    )
    assert min(sizes) >= 44
    assert page.locator(".lr-check").evaluate("e => e.getBoundingClientRect().height") >= 44
    touch_action = "e => getComputedStyle(e).touchAction"
    for name in ("sigmas", "ranks", "information"):
        assert page.locator(f"[data-plot={name}]").evaluate(touch_action) == "pan-y"
    assert page.locator(".lr-grip").evaluate(touch_action) == "none"


def test_it_redraws_when_its_width_changes(show):
    page = show(page_of())
    page.set_viewport_size({"width": 390, "height": 900})
    page.wait_for_function("document.querySelector('[data-plot=sigmas]').viewBox.baseVal.width < 390")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_lines_differ_without_colour(show):
    page = show(page_of([0.9, 0.8, 0.7, 0.6]))
    dashes = page.locator("tbody .lr-line").evaluate_all(
        "all => all.map(e => e.getAttribute('stroke-dasharray'))"
    )
    assert len(set(dashes)) == 4
    names = page.locator("[data-plot=sigmas] text").all_text_contents()
    assert {"σ₁", "σ₂", "σ₃", "σ₄", "β₁", "β₂", "β₃", "β₄", "ε"} <= set(names)
    counted = page.locator(".lr-line.lr-counted").evaluate("e => getComputedStyle(e).strokeDasharray")
    assert counted != "none"
    assert page.locator(".lr-line.lr-stairs").evaluate("e => getComputedStyle(e).strokeDasharray") == "none"


def test_equal_critical_values_share_one_mark(show):
    page = show(page_of([0.8, 0.5, 0.8]))
    names = page.locator("[data-plot=sigmas] text").all_text_contents()
    assert {"β₁,₃", "β₂"} <= set(names)
    assert page.locator("[data-plot=sigmas] .lr-critical").count() == 2


def test_every_control_has_a_label_and_takes_the_focus_in_order(show):
    page = show(page_of())
    labels = {"β": "beta", "Threshold ε": "eps", "ρ₁": "rho-1", "ρ₃": "rho-3", "Across": "across", "Up": "up"}
    for label, name in labels.items():
        assert page.locator(f"[data-control={name}]").evaluate(
            "(e, label) => (e.getAttribute('aria-label') ?? e.labels[0].textContent).startsWith(label)", label
        )
    order = []
    for _ in range(13):
        page.keyboard.press("Tab")
        order.append(page.evaluate("document.activeElement.dataset.control"))
    first = ["play", "beta", "reset", "eps", "relative", "preset", "add", "remove"]
    assert order == [*first, "rho-1", "rho-2", "rho-3", "across", "up"]
    assert page.locator("[data-output]").get_attribute("aria-live") == "polite"
    assert page.locator("svg[role=img]:not([aria-label])").count() == 0
    assert page.locator("tbody th[scope=row]").count() == 3
    words = "β 5: rank 3 of 3, 3 counted by σ > 0.1. I(X;T) 2.930 nats, I(T;Y) 1.484 nats. Counting"
    assert page.locator("[data-output]").text_content().startswith(words)


def test_letters_do_not_reach_the_notebook_and_shortcuts_do(show):
    page = show(page_of())
    page.evaluate("window.keys = []; document.addEventListener('keydown', (e) => keys.push(e.key))")
    for key in ("a", "ArrowLeft", "Escape", "Control+s"):
        page.locator("[data-control=beta]").press(key)
    assert page.evaluate("keys") == ["Escape", "Control", "s"]


def test_two_dials_on_a_page_do_not_move_each_other(show):
    html = page_of() + page_of(label="other", title="</script><b>")
    page = show(html, ready=2)
    one, two = page.locator("#bottleneck-dial"), page.locator("#other")
    before = one.locator("[data-plot=sigmas]").inner_html()
    two.locator("[data-control=beta]").press("End")
    two.locator("[data-control=up]").press("End")
    assert two.locator("[data-output]").text_content().startswith("β 1000:")
    assert one.locator("[data-output]").text_content().startswith("β 5:")
    assert one.locator("[data-plot=sigmas]").inner_html() == before
    assert two.locator(".lr-title").text_content() == "</script><b>"
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids))


def test_cleaning_up_stops_everything(show):
    check_cleaning_up_stops_everything(show(page_of()), "beta", play="Turn β up")


@pytest.mark.parametrize("rhos", EXTREMES, ids=lambda rhos: f"{len(rhos)} from {rhos[0]:g}")
@pytest.mark.parametrize("width", [390, 1280])
def test_odd_correlations_are_drawn(show, rhos, width):
    page = show(page_of(rhos), width=width)
    for relative in ("check", "uncheck"):
        getattr(page.locator("[data-control=relative]"), relative)()
        for key in ("Home", "End"):
            page.locator("[data-control=beta]").press(key)
            page.locator("[data-control=eps]").press(key)
            for plot in PLOTS:
                drawn = page.locator(f"[data-plot={plot}]").inner_html()
                assert "NaN" not in drawn
                assert "Infinity" not in drawn
                assert "undefined" not in drawn
    assert page.evaluate("document.documentElement.scrollWidth") <= width
