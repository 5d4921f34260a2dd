"""BottleneckDial in a real browser: every control moves it, by mouse and by keyboard."""

import math

import pytest
from dial_examples import sigma_of
from dial_page import PLOTS, check_table, page_of, plots, put, value_of, values

from lrlib.interactive.bottleneck_dial import BETAS, CORRELATIONS, PRESETS, THRESHOLDS

pytestmark = pytest.mark.browser

GRIDS = {
    "beta": BETAS,
    "eps": THRESHOLDS,
    "rho-1": CORRELATIONS,
    "rho-2": CORRELATIONS,
    "rho-3": CORRELATIONS,
}


@pytest.mark.parametrize("name", list(GRIDS))
def test_every_slider_answers_mouse_and_keys(show, name):
    page = show(page_of())
    slider = page.locator(f"[data-control={name}]")

    def chosen():
        number = int(name[-1]) - 1 if name.startswith("rho") else None
        return value_of(page, name) if number is None else value_of(page, "correlations")[number]

    box = slider.bounding_box()
    seen = []
    for x, place in ((5, 0), (box["width"] - 5, len(GRIDS[name]) - 1)):
        page.mouse.click(box["x"] + x, box["y"] + box["height"] / 2)
        assert slider.input_value() == str(place)
        assert chosen() == GRIDS[name][place]
        seen.append(plots(page))
    for key, place in {
        "Home": 0,
        "ArrowRight": 1,
        "ArrowUp": 2,
        "ArrowLeft": 1,
        "End": len(GRIDS[name]) - 1,
    }.items():
        slider.press(key)
        assert chosen() == GRIDS[name][place]
        assert slider.get_attribute("aria-valuetext") == f"{GRIDS[name][place]:g}"
    assert plots(page) == seen[1]
    changed = {plot for plot, a, b in zip(PLOTS, *seen, strict=True) if a != b}
    if name == "eps":
        assert changed == {"sigmas", "ranks"}  # a threshold changes nothing but the reading
    else:
        assert changed >= {"sigmas", "ranks", "information"}
    others = [rho for i, rho in enumerate([0.95, 0.8, 0.5], start=1) if name != f"rho-{i}"]
    assert set(others) <= set(value_of(page, "correlations"))


def test_the_checkbox_makes_the_threshold_relative(show):
    page = show(page_of(eps=0.2, beta=20.0))
    page.get_by_label("relative to largest").check()
    check_table(page, [0.95, 0.8, 0.5], 20.0, 0.2, True)
    page.get_by_label("relative to largest").press("Space")
    check_table(page, [0.95, 0.8, 0.5], 20.0, 0.2, False)


def test_directions_come_and_go_between_one_and_six(show):
    page = show(page_of([0.8]))
    add, remove = page.locator("[data-control=add]"), page.locator("[data-control=remove]")
    assert remove.get_attribute("aria-disabled") == "true"
    remove.click(force=True)
    assert value_of(page, "correlations") == [0.8]
    for _ in range(7):
        add.press("Enter")
    assert value_of(page, "correlations") == [0.8, *[0.3] * 5]
    assert add.get_attribute("aria-disabled") == "true"
    assert page.locator("input[data-control^=rho]:visible").count() == 6
    remove.press("Enter")
    assert page.locator("input[data-control^=rho]:visible").count() == 5
    check_table(page, [0.8, *[0.3] * 4], 5.0, 0.1, False)


def test_presets_set_the_correlations_and_name_them(show):
    page = show(page_of([0.4]))
    preset = page.get_by_label("Correlations of X with Y")

    def named():
        return preset.evaluate("e => e.options[e.selectedIndex].textContent")

    assert named() == "your own"
    for name, correlations in PRESETS.items():
        preset.select_option(name)
        assert (value_of(page, "correlations"), named()) == (correlations, name)
        check_table(page, correlations, 5.0, 0.1, False)
    preset.press("Home")
    assert value_of(page, "correlations") == next(iter(PRESETS.values()))
    page.locator("[data-control=rho-1]").press("ArrowLeft")
    assert named() == "your own"


def test_three_plots_move_beta(show):
    page = show(page_of())
    for name in ("sigmas", "ranks"):
        box = page.locator(f"[data-plot={name}]").bounding_box()
        left, right, y = box["x"] + 36, box["x"] + box["width"] - 34, box["y"] + 40
        page.mouse.click(left, y)
        assert value_of(page, "beta") == 1
        page.mouse.down()
        page.mouse.move(right, y, steps=4)
        assert value_of(page, "beta") == 1000
        page.mouse.move(left + (right - left) / 3, y)
        assert value_of(page, "beta") == 10  # a third of the way from 1 to 1000
        page.mouse.up()
        page.mouse.move(left, y)
        assert value_of(page, "beta") == 10  # let go
    box = page.locator("[data-plot=information]").bounding_box()
    page.mouse.click(box["x"] + 44, box["y"] + 100)
    assert value_of(page, "beta") <= 1.1  # nothing is kept: any beta up to 1.108 is as near
    page.mouse.click(box["x"] + box["width"] - 5, box["y"] + 100)
    assert value_of(page, "beta") == 1000


@pytest.mark.parametrize("relative", [False, True])
def test_the_threshold_is_dragged_in_the_plot_and_beta_stays(show, relative):
    page = show(page_of([0.8], eps=0.5, relative=relative))
    knob = page.locator(".lr-grip circle").bounding_box()
    svg = page.locator("[data-plot=sigmas]").bounding_box()
    x, y = knob["x"] + knob["width"] / 2, knob["y"] + knob["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    assert value_of(page, "eps") == 0.5
    page.mouse.move(x, y - 20, steps=4)
    # the axis from 0 to 900 is asinh(sigma / 0.3), 218 pixels long: what 20 of them make of the threshold
    unit = sigma_of(0.8, 1000) if relative else 1.0
    rise = 20 / 218 * math.asinh(3000)
    wanted = 0.3 * math.sinh(math.asinh(0.5 * unit / 0.3) + rise) / unit
    assert value_of(page, "eps") == pytest.approx(wanted, rel=0.12)  # the grid's steps are 12 % apart
    page.mouse.move(x, svg["y"] + svg["height"] + 30)
    assert value_of(page, "eps") == 0.01
    page.mouse.move(x, svg["y"])
    assert value_of(page, "eps") == 10.0
    page.mouse.up()
    assert value_of(page, "beta") == 5.0


def test_a_relative_threshold_of_nothing_cannot_be_dragged(show):
    page = show(page_of([0.0], relative=True))
    knob = page.locator(".lr-grip circle").bounding_box()
    page.mouse.move(knob["x"] + 3, knob["y"] + 3)
    page.mouse.down()
    page.mouse.move(knob["x"] + 3, knob["y"] - 60)
    assert value_of(page, "eps") == 0.1


def test_play_turns_beta_to_the_end_and_stops(show):
    page = show(page_of(beta=960))
    play, beta = page.get_by_role("button", name="Turn β up"), page.locator("[data-control=beta]")
    play.click()
    page.wait_for_function("document.querySelector('[data-control=beta]').value === '225'")
    assert play.is_visible()  # its name is no longer "Pause"
    play.click()
    assert int(beta.input_value()) < 200  # it starts again
    beta.press("ArrowRight")  # a reader's hand stops it
    assert play.is_visible()


def test_a_screen_reader_is_told_where_play_stopped_and_not_each_step(show):
    page = show(page_of(beta=2.0))
    output = page.locator("[data-output]")
    assert output.get_attribute("aria-live") == "polite"
    page.get_by_role("button", name="Turn β up").click()
    assert output.get_attribute("aria-live") == "off"
    page.get_by_role("button", name="Pause").click()
    assert output.get_attribute("aria-live") == "polite"
    assert output.text_content()


def test_reset_brings_back_what_python_set(show):
    page = show(page_of([0.7, 0.6], beta=2.5, eps=0.5, relative=True))
    before = plots(page)
    put(page, correlations=[0.999] * 6, beta=1000.0, eps=10.0, relative=False)
    page.get_by_role("button", name="Turn β up").click()
    page.locator("[data-control=reset]").press("Enter")
    assert page.get_by_role("button", name="Turn β up").is_visible()
    assert plots(page) == before
    assert values(page) == [[0.7, 0.6], 2.5, 0.5, True]
