"""ClockCollapse as a page: mouse, finger and keys, how it glides and looks, and an end that leaves nothing behind."""

import math
from itertools import pairwise

import pandas as pd
import pytest
from clock_examples import curve_table, far_table, full_table, made_up_curves, run
from clock_page import (
    CORNERS,
    GROUPS,
    MOMENTUM,
    TIMES,
    drawn,
    get,
    highlighted,
    set_to,
    told,
)

from lrlib.interactive import ClockCollapse

pytestmark = pytest.mark.browser


GLIDE = 600  # ms: at most so long does a change of the axis take


@pytest.fixture
def still(show):
    """Show a page whose curves do not glide."""
    return lambda body, **options: show(body, reduced_motion="reduce", **options)


# --- what the reader moves -----------------------------------------------------------------------------------------


def test_the_time_axis_answers_mouse_and_keys(still):
    page = still(ClockCollapse(made_up_curves()).page())
    labels = {"corrected": "corrected clock", "clock": "ηλt = learning rate", "steps": "training step t"}
    for time, words in labels.items():
        page.locator(f".lr-switch label:has([value={time}])").click()
        assert get(page, "time") == time
        assert words in page.locator("[data-plot]").text_content()
        assert page.locator(f"[data-control={time}]").is_checked()
    radio = page.locator(".lr-switch input:checked")
    for key, time in (
        ("ArrowRight", "clock"),
        ("ArrowDown", "corrected"),
        ("ArrowRight", "steps"),
        ("ArrowUp", "corrected"),
        ("ArrowLeft", "clock"),
    ):
        radio.press(key)
        assert get(page, "time") == time
        assert page.evaluate("document.activeElement.value") == time
        assert page.locator(".lr-switch input:checked").count() == 1


def test_groups_are_switched_by_mouse_and_keys(still):
    page = still(ClockCollapse(made_up_curves()).page())
    assert len(drawn(page)) == 22
    chips = page.locator(".lr-chip")
    chips.nth(3).click()
    assert get(page, "shown") == [g for g in GROUPS if g != "momentum"]
    assert {group for group, _ in drawn(page)} == set(GROUPS) - {"momentum"}
    assert not page.locator("[data-row=momentum]").is_visible()
    assert "momentum 0.9" not in page.locator("[data-control=curve]").text_content()
    chips.nth(0).locator("input").press("Space")
    assert get(page, "shown") == GROUPS[1:3] + GROUPS[4:]
    chips.nth(3).click()
    assert get(page, "shown") == GROUPS[1:]  # in the table's order
    assert page.locator("[data-row=momentum]").is_visible()
    for place in range(1, 6):
        chips.nth(place).click()
    assert (get(page, "shown"), drawn(page)) == ([], [])
    assert not page.locator(".lr-range").is_visible()


def dot_of(page, group, name):
    """Where a curve's dot lies on the screen."""
    dot = page.locator(f"[data-plot] [data-group='{group}'][data-name='{name}'] circle").first
    dot.scroll_into_view_if_needed()
    box = dot.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_the_mouse_shows_a_curve_and_a_click_keeps_it(still):
    page = still(ClockCollapse(made_up_curves()).page())
    hint = told(page)
    x, y = dot_of(page, *MOMENTUM)
    page.mouse.move(x + 2, y)
    assert highlighted(page) == MOMENTUM
    assert told(page).startswith("momentum 0.95: η = 0.1, λ = 0.003, speed 20; ")
    assert get(page, "highlighted") is None
    page.mouse.move(x - 60, y)
    assert (highlighted(page), told(page)) == (None, hint)
    page.mouse.move(x + 2, y)
    page.locator(".lr-title").hover()
    assert (highlighted(page), told(page)) == (None, hint)
    page.mouse.click(x + 2, y)
    assert get(page, "highlighted") == MOMENTUM
    page.mouse.move(*dot_of(page, "momentum", "momentum 0.9"))
    assert highlighted(page) == ["momentum", "momentum 0.9"]
    page.locator(".lr-title").hover()
    assert highlighted(page) == MOMENTUM  # the one that was kept
    assert told(page).startswith("momentum 0.95: ")
    assert page.locator("[data-control=curve] option:checked").text_content() == MOMENTUM[1]
    page.mouse.click(x - 60, y)
    assert get(page, "highlighted") is None


def test_a_new_width_drops_what_the_mouse_showed_until_it_moves(still):
    page = still(ClockCollapse(made_up_curves()).page())
    point = """([x, y]) => document.querySelector("[data-plot]").dispatchEvent(
        new PointerEvent("pointermove", { clientX: x, clientY: y, pointerType: "mouse" }))"""
    page.evaluate(point, dot_of(page, *MOMENTUM))
    assert highlighted(page) == MOMENTUM
    page.evaluate("document.body.style.width = '600px'")  # a real mouse would leave the plot
    page.wait_for_function("document.querySelector('[data-plot]').viewBox.baseVal.width === 600")
    assert highlighted(page) is None
    assert page.locator(".lr-behind").count() == 0
    page.evaluate(point, dot_of(page, *MOMENTUM))
    assert highlighted(page) == MOMENTUM


def test_the_mouse_finds_a_curve_where_it_is_drawn_now(still):
    page = still(ClockCollapse(made_up_curves()).page())
    before = dot_of(page, *MOMENTUM)
    page.locator("[data-control=corrected]").check(force=True)
    now = dot_of(page, *MOMENTUM)
    assert math.dist(before, now) > 40
    page.mouse.move(*now)
    assert highlighted(page) == MOMENTUM
    page.mouse.move(*before)
    assert highlighted(page) != MOMENTUM
    page.locator(".lr-chip").nth(3).click()
    page.mouse.move(*now)
    assert highlighted(page) != MOMENTUM  # its group is off


def test_a_finger_taps_a_curve(show):
    page = show(ClockCollapse(made_up_curves()).page(), width=390, has_touch=True, is_mobile=True)
    page.touchscreen.tap(*dot_of(page, *MOMENTUM))
    assert get(page, "highlighted") == MOMENTUM
    assert highlighted(page) == MOMENTUM


def test_the_list_highlights_by_mouse_and_keys(still):
    table = made_up_curves()
    figure = ClockCollapse(table)
    page = still(figure.page())
    names = [list(pair) for pair in figure.half_times[["group", "name"]].to_numpy()]
    select = page.locator("[data-control=curve]")
    assert select.locator("option").all_text_contents() == ["none", *(name for _, name in names)]
    assert select.locator("optgroup").evaluate_all("all => all.map((e) => e.label)") == GROUPS
    select.select_option("6")
    assert get(page, "highlighted") == names[6]
    for key, chosen in (("ArrowDown", 7), ("ArrowUp", 6), ("End", 21), ("Home", None), ("ArrowDown", 0)):
        select.press(key)
        expected = None if chosen is None else names[chosen]
        assert get(page, "highlighted") == highlighted(page) == expected
    page.locator(".lr-chip").nth(1).click()
    select.press("End")
    assert get(page, "highlighted") == names[21]
    page.locator(".lr-chip").nth(5).click()
    assert (highlighted(page), select.input_value()) == (None, "-1")
    page.locator(".lr-chip").nth(5).click()
    assert highlighted(page) == names[21]  # it was only out of sight


def test_what_python_sets_is_drawn(still):
    page = still(ClockCollapse(made_up_curves()).page())
    set_to(page, time="clock", shown=["momentum"], highlighted=MOMENTUM)
    assert page.locator("[data-control=clock]").is_checked()
    assert page.locator(".lr-chip input").evaluate_all("all => all.map((e) => e.checked)") == [
        g == "momentum" for g in GROUPS
    ]
    assert {group for group, _ in drawn(page)} == {"momentum"}
    assert highlighted(page) == MOMENTUM


# --- how it moves and looks ----------------------------------------------------------------------------------------

MOVING = "document.getAnimations().map((a) => [a.effect.target.closest('.lr-glide').tagName, a.effect.getTiming().duration])"


def test_curves_glide_to_their_places(show):
    page = show(ClockCollapse(made_up_curves()).page())
    assert page.evaluate(MOVING) == []  # the first drawing stands
    before = page.evaluate(CORNERS)
    page.locator(".lr-switch label:has([value=corrected])").click()
    moving = page.evaluate(MOVING)
    assert max(duration for _, duration in moving) <= GLIDE
    page.wait_for_function("document.getAnimations().length === 0")
    there = page.evaluate(CORNERS)
    away = [abs(a["line"][0][0] - b["line"][0][0]) > 0 for a, b in zip(before, there, strict=True)]
    assert [tag for tag, _ in moving].count("g") == sum(away) > 15
    page.set_viewport_size({"width": 900, "height": 900})
    page.wait_for_function("document.querySelector('[data-plot]').viewBox.baseVal.width < 900")
    assert page.evaluate(MOVING) == []  # a new width is no change of the axis
    page.set_viewport_size({"width": 1280, "height": 900})
    page.wait_for_function("document.querySelector('[data-plot]').viewBox.baseVal.width > 1200")
    assert page.evaluate(CORNERS) == there


def test_with_reduced_motion_they_stand_there_at_once(still):
    page = still(ClockCollapse(made_up_curves()).page())
    page.locator("[data-control=corrected]").check(force=True)
    assert page.evaluate(MOVING) == []


LONG = pd.concat([run(f"{name} of the optimiser", f"{name} of the optimiser {v:g}", weight_decay=v, lr=1.5e-5, speed=1 / 0.03, last=3_000_000)
                  for name in ("weight decay", "momentum") for v in (0.00123, 0.0456)])  # fmt: skip


# for the width that it has: where a scroll bar takes some of it, the figure draws again one frame later
DRAWN = """() => {
    const plot = document.querySelector("[data-plot]");
    return Math.abs(plot.viewBox.baseVal.width - plot.getBoundingClientRect().width) <= 0.5;
}"""


@pytest.mark.parametrize("width", [358, 1280])  # 358: a phone of 390, less the margins of a page of the book
@pytest.mark.parametrize(
    "table",
    [made_up_curves(), full_table(), far_table(), LONG],
    ids=["made up", "full", "far", "long"],
)
def test_it_fits_and_its_letters_are_legible(still, width, table):
    page = still(ClockCollapse(table).page(), width=width)
    last = table.iloc[-1]
    set_to(page, highlighted=[last["group"], last["name"]])
    for time in TIMES:
        page.locator(f"[data-control={time}]").check(force=True)
        page.wait_for_function(DRAWN)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        boxes = page.locator("[data-plot] > g text").evaluate_all(
            "all => all.map((e) => e.getBoundingClientRect()).map((b) => [b.left, b.right, b.top])"
        )
        assert all(left >= 0 and right <= width for left, right, _ in boxes)
        ticks = page.locator("[data-plot] [data-tick]").evaluate_all(
            "all => all.map((e) => e.getBoundingClientRect()).map((b) => [b.left, b.right]).sort((a, b) => a[0] - b[0])"
        )
        assert all(a[1] + 4 < b[0] for a, b in pairwise(ticks))
    sizes = page.locator(".lr-figure :is(text, th, td, p, label, legend, select)").evaluate_all(
        "all => all.map(e => parseFloat(getComputedStyle(e).fontSize))"
    )
    assert min(sizes) >= 11


def test_a_finger_has_room_and_still_scrolls(show):
    page = show(ClockCollapse(made_up_curves()).page(), width=390, has_touch=True, is_mobile=True)
    sizes = page.locator(".lr-switch label, .lr-chip, .lr-figure select").evaluate_all(
        "all => all.map(e => e.getBoundingClientRect().height)"
    )
    assert len(sizes) == 3 + 6 + 1
    assert min(sizes) >= 44
    assert page.locator("[data-plot]").evaluate("e => getComputedStyle(e).touchAction") == "pan-y"


def test_groups_differ_in_colour_and_dash_and_say_so_everywhere(still):
    page = still(ClockCollapse(full_table()).page())
    style = "all => all.map((e) => [e.getAttribute('stroke'), e.getAttribute('stroke-dasharray')].join(' '))"
    styles = page.locator(".lr-chip path").evaluate_all(style)
    assert len(set(styles)) == 12
    assert page.locator("tbody path").evaluate_all(style) == styles
    lines = page.locator("[data-plot] [data-group] > path").evaluate_all(style)
    assert lines == [s for s in styles for _ in range(5)]
    assert len({s.split(" ", 1)[1] for s in styles}) == 6  # dashes


def test_every_control_has_a_label_and_takes_the_focus_in_order(still):
    page = still(ClockCollapse(made_up_curves(), time="clock").page())
    radios = page.get_by_role("group", name="Time axis").get_by_role("radio")
    assert [radio.get_attribute("value") for radio in radios.all()] == list(TIMES)
    assert page.get_by_role("radio", name="corrected ηλt").get_attribute("value") == "corrected"
    chips = page.get_by_role("group", name="Runs that differ in")
    for group in GROUPS:
        assert chips.get_by_role("checkbox", name=group).get_attribute("value") == group
    assert page.get_by_role("combobox", name="Highlighted curve").count() == 1
    order = []
    for _ in range(8):
        page.keyboard.press("Tab")
        order.append(page.evaluate("document.activeElement.dataset.control"))
    assert order == ["clock", *["group"] * 6, "curve"]
    page.locator(".lr-switch [value=clock]").focus()
    page.keyboard.press("ArrowLeft")  # a key makes the focus visible
    around = page.locator(".lr-switch [value=steps] + span")
    assert around.evaluate("e => getComputedStyle(e).outline").endswith("solid 3px")
    assert page.locator("[data-output]").get_attribute("aria-live") == "polite"
    assert page.locator("[data-plot][role=img]").get_attribute("aria-label") == (
        "local rank of layer 2 of 22 curves against training step t"
    )
    assert page.locator("tbody th[scope=row]").count() == 6


def test_letters_do_not_reach_the_notebook_and_shortcuts_do(still):
    page = still(ClockCollapse(made_up_curves()).page())
    page.evaluate("window.keys = []; document.addEventListener('keydown', (e) => keys.push(e.key))")
    for control in ("steps", "curve"):
        for key in ("a", "ArrowLeft", "Escape", "Control+s"):
            page.locator(f"[data-control={control}]").press(key)
    assert page.evaluate("keys") == ["Escape", "Control", "s"] * 2


def test_two_figures_on_a_page_do_not_move_each_other(still):
    html = ClockCollapse(made_up_curves()).page()
    page = still(html + ClockCollapse(made_up_curves(), title="</script><b>").page(), ready=2)
    # as they stand; the one that is ready first gets the shorter id
    one, two = page.locator(".lr-figure").all()
    before = one.locator("[data-plot]").inner_html()
    two.locator("[data-control=clock]").check(force=True)
    two.locator(".lr-chip").first.click()
    assert one.locator("[data-plot]").inner_html() == before
    assert one.locator("[data-control=steps]").is_checked()
    assert two.locator(".lr-title").text_content() == "</script><b>"
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids))


def test_cleaning_up_stops_everything(still):
    page = still(ClockCollapse(made_up_curves()).page())
    left = page.evaluate("""() => {
        const mount = document.querySelector(".lr-mount");
        const root = mount.querySelector(".lr-figure");
        const [radio, svg] = [root.querySelector("[data-control=clock]"), root.querySelector("[data-plot]")];
        mount.lrCleanup();
        radio.dispatchEvent(new Event("change"));
        svg.dispatchEvent(new MouseEvent("click", { clientX: 300, clientY: 300 }));
        const listeners = [...mount.lrModel.listeners.values()].reduce((n, set) => n + set.size, 0);
        return [root.isConnected, listeners, mount.lrModel.get("time"), mount.lrModel.get("highlighted")];
    }""")
    assert left == [False, 0, "steps", None]


ODD = {
    "one curve": curve_table([0, 1], [2.0, 1.5]),
    "no rank": curve_table([0, 1], [0.0, 0.0]),
    "far apart": far_table(),
    "full": full_table(),
}


@pytest.mark.parametrize("table", ODD.values(), ids=ODD)
@pytest.mark.parametrize("width", [358, 1280])
def test_odd_tables_are_drawn(still, table, width):
    for most in (None, 0.5):
        page = still(ClockCollapse(table, most=most).page(), width=width)
        set_to(page, highlighted=[table.iloc[0]["group"], table.iloc[0]["name"]])
        for time in TIMES:
            page.locator(f"[data-control={time}]").check(force=True)
            text = page.locator(".lr-figure").inner_html()
            assert "NaN" not in text
            assert "Infinity" not in text
            assert "undefined" not in text
            assert page.locator("[data-plot] [data-tick]").count() >= 1
        assert page.evaluate("document.documentElement.scrollWidth") <= width
