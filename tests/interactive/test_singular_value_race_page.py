"""SingularValueRace in a real browser: its numbers are those of lrlib.theory, and every control moves it."""

import numpy as np
import pytest
from cleaning_up import check_cleaning_up_stops_everything
from fitting import check_it_fits

from lrlib.interactive import SingularValueRace, base
from lrlib.interactive.singular_value_race import DECAYS, STARTS, THRESHOLDS, TIMES
from lrlib.theory import deep_linear_path

pytestmark = pytest.mark.browser

DEPTHS = [1, 2, 3, 4, 5, 6]
GRIDS = {"depth": DEPTHS, "weight_decay": DECAYS, "start": STARTS, "eps": THRESHOLDS, "time": TIMES}
WIDE_TARGET = (100.0, 37.0, 12.0, 5.0, 3.3, 0.9, 0.31, 0.1, 0.03, 0.004, 1e-4, 0.0)
SETTINGS = [  # depth, start, weight_decay, eps, time: the corners, and some between
    (3, 0.01, 0.0, 0.1, 5.0),
    (1, 1e-4, 0.0, 0.001, 0.01),
    (1, 1.0, 1.0, 1.0, 10000.0),
    (2, 1e-4, 1.0, 0.001, 10.0),
    (2, 0.01, 0.5, 0.1, 100.0),  # decay as large as a target
    (3, 1.0, 1.0, 0.5, 1.0),
    (4, 0.032, 0.1, 0.2, 20.0),
    (5, 1e-4, 1.0, 0.1, 2.0),
    (6, 1e-4, 0.0, 0.1, 100.0),
    (6, 1e-4, 0.001, 0.25, 10000.0),
    (6, 1.0, 1.0, 0.001, 0.01),
]


@pytest.fixture(scope="module")
def in_page(browser):
    """Evaluate an expression in ``argument`` with the figure's own JavaScript in scope."""
    page = browser.new_page()
    files = (base.HERE / "kit.js", SingularValueRace.javascript)
    code = "".join(file.read_text("utf-8") for file in files).replace("export default { render };", "")
    run = "([code, text, argument]) => new Function('argument', `${code}; return ${text}`)(argument)"
    yield lambda text, argument: page.evaluate(run, [code, text, argument])
    page.close()


def move(page, **values):
    """Move sliders to these values."""
    for name, value in values.items():
        page.locator(f"[data-control={name}]").fill(str(GRIDS[name].index(value)))


def shown(page, name):
    """A column of the table."""
    return page.locator(f"[data-{name}]").all_text_contents()


def plots(page):
    return [page.locator(f"[data-plot={name}]").inner_html() for name in ("paths", "counts")]


def value_of(page, name):
    return page.evaluate("name => document.querySelector('.lr-mount').lrModel.get(name)", name)


# --- what is computed ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [SingularValueRace().target, WIDE_TARGET], ids=["default", "wide"])
@pytest.mark.parametrize("depth", DEPTHS)
def test_every_point_that_is_drawn_is_that_of_theory(in_page, depth, target):
    facts = SingularValueRace(target).facts
    times = in_page("fineTimes(argument.times)", facts)
    assert times[:: (len(times) - 1) // (len(TIMES) - 1)] == TIMES
    for start in (1e-4, 0.0032, 0.1, 1.0):
        for decay in (0.0, 0.001, 0.022, 0.22, 1.0):
            settings = {"depth": depth, "start": start, "decay": decay}
            modes = in_page("runRace(...argument).modes.map((mode) => mode.path)", [facts, settings])
            expected = deep_linear_path(target, times, depth=depth, start=start, weight_decay=decay)
            # a reader sees three digits: ten times as good
            np.testing.assert_allclose(np.transpose(modes), expected, rtol=1e-4, atol=1e-6, err_msg=settings)


def test_every_count_that_is_drawn_is_that_of_python(in_page):
    for depth, start, decay, eps, time in SETTINGS:
        race = SingularValueRace(depth=depth, start=start, weight_decay=decay, eps=eps, time=time)
        settings = {"depth": depth, "start": start, "decay": decay}
        counts = in_page("runRace(argument[0], argument[1]).counts(argument[2])", [race.facts, settings, eps])
        assert counts[:: (len(counts) - 1) // (len(TIMES) - 1)] == race.counts.tolist(), settings


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_mode_that_ends_at_the_threshold_never_passes_it(in_page, depth):
    most = """argument[0].thresholds.map((eps) =>
        Math.max(...runRace({ ...argument[0], target: [eps] }, argument[1]).counts(eps)))"""
    settings = {"depth": depth, "start": 0.001, "decay": 0}
    assert set(in_page(most, [SingularValueRace().facts, settings])) == {0}


@pytest.mark.parametrize(
    ("target", "depth", "start", "decay"),
    [
        (1.01, 4, 0.01, 0.1),  # start^(1/2) (s - start) = decay: between the ways up and down
        (0.01, 3, 0.01, 0.0),
        (3e-4, 6, 1e-4, 0.0),  # half way after 2e5
        (4.002, 3, 0.001, 0.4),  # above the critical start by one part in 4000
    ],
)
def test_slow_modes_come_to_an_answer(in_page, target, depth, start, decay):
    facts = SingularValueRace([target]).facts
    settings = {"depth": depth, "start": start, "decay": decay}
    [mode] = in_page("runRace(...argument).modes", [facts, settings])
    assert all(0 < v < 1.01 * max(start, target) for v in mode["path"])
    assert mode["half"] is None or 0 <= mode["half"] < 1e7


def check_table(page, target, depth, start, weight_decay, time):
    """Assert that the table agrees with lrlib.theory, to the digits that it shows."""

    def sigma(t):
        return deep_linear_path(target, [t], depth=depth, start=start, weight_decay=weight_decay)[0]

    end, seen = sigma(1e12), 0.0005 + 1e-6  # three decimals, and the two integrators
    assert [float(text) for text in shown(page, "now")] == pytest.approx(sigma(time), abs=seen)
    assert [float(text) for text in shown(page, "end")] == pytest.approx(end, abs=seen)
    for i, text in enumerate(shown(page, "half")):
        if text == "never":
            assert end[i] < 1e-6  # at depth 6 a direction without target falls as slowly as t^(-3/5)
        elif text == "at start":
            assert start >= end[i] / 2
        else:
            digits = 0.0051 if "e" not in text else 0.051  # three digits, or two
            before, after = sigma(float(text) * (1 - digits))[i], sigma(float(text) * (1 + digits))[i]
            assert before < end[i] / 2 < after


@pytest.mark.parametrize("target", [SingularValueRace().target, WIDE_TARGET], ids=["default", "wide"])
def test_the_page_shows_what_theory_says(show, target):
    race = SingularValueRace(target)
    page = show(race.page())
    for depth, start, decay, eps, time in SETTINGS:
        move(page, depth=depth, start=start, weight_decay=decay, eps=eps, time=time)
        check_table(page, target, depth, start, decay, time)
        race.depth, race.start, race.weight_decay, race.eps = depth, start, decay, eps
        count = f"{race.counts[TIMES.index(time)]} of {len(target)}"
        assert f": {count} at t = {time:g}" in page.locator(".lr-heading").nth(1).text_content()
        words = f"Time {time:g}, depth {depth}, start {start:g}, weight decay {decay:g}: {count} singular values above {eps:g}."
        assert page.locator("[data-output]").text_content().startswith(words)


@pytest.mark.parametrize(
    ("target", "settings", "note"),
    [
        ([2.0, 1.0], {"depth": 2}, "By t = 2.30 the last mode is half learned."),  # ln(99) / 2 = 2.298
        ([1.0, 0.0], {}, "With target 0 there is nothing to learn: σ₂ can only fall."),
        (
            [4.0, 0.5, 0.25],
            {"depth": 4, "start": 0.032, "weight_decay": 0.1},
            "Never learned: weight decay takes σ₂ and σ₃ to 0.",
        ),
        ([2.0, 1e-3], {"depth": 6, "start": 1e-4}, "Not yet learned at t = 10000: σ₂ (half way at t = "),
        ([0.5], {"depth": 3, "start": 1.0}, ""),
    ],
)
def test_a_line_says_what_the_axis_cannot_show(show, target, settings, note):
    page = show(SingularValueRace(target, **settings).page())
    found = page.locator("[data-note]").text_content()
    assert found.startswith(note) if note else found == ""
    assert page.locator("[data-output]").text_content().endswith(found)


# --- what the reader moves -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(GRIDS))
def test_every_slider_answers_mouse_and_keys(show, name):
    page = show(SingularValueRace().page())
    slider = page.locator(f"[data-control={name}]")
    box = slider.bounding_box()
    seen = []
    for x, place in ((5, 0), (box["width"] - 5, len(GRIDS[name]) - 1)):
        page.mouse.click(box["x"] + x, box["y"] + box["height"] / 2)
        assert slider.input_value() == str(place)
        assert value_of(page, name) == GRIDS[name][place]
        seen.append(plots(page))
    keys = {"Home": 0, "ArrowRight": 1, "ArrowUp": 2, "ArrowLeft": 1, "End": len(GRIDS[name]) - 1}
    for key, place in keys.items():
        slider.press(key)
        assert value_of(page, name) == GRIDS[name][place]
        assert slider.get_attribute("aria-valuetext") == f"{GRIDS[name][place]:g}"
    assert all(a != b for a, b in zip(*seen, strict=True))  # both plots
    assert plots(page) == seen[1]


def test_both_plots_move_the_time(show):
    page = show(SingularValueRace().page())
    for name in ("paths", "counts"):
        box = page.locator(f"[data-plot={name}]").bounding_box()
        y = box["y"] + 40
        page.mouse.click(box["x"] + 36, y)
        assert value_of(page, "time") == 0.01
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] - 46, y, steps=4)
        assert value_of(page, "time") == 10000
        page.mouse.move(box["x"] + (36 + box["width"] - 46) / 2, y)
        assert value_of(page, "time") == 10  # the middle of 0.01 to 10000
        page.mouse.up()
        page.mouse.move(box["x"] + 60, y)
        assert value_of(page, "time") == 10  # let go


def test_the_threshold_is_dragged_in_the_plot_and_the_time_stays(show):
    page = show(SingularValueRace(eps=1.0).page())
    knob, svg = (
        page.locator(".lr-grip circle").bounding_box(),
        page.locator("[data-plot=paths]").bounding_box(),
    )
    x, y = knob["x"] + knob["width"] / 2, knob["y"] + knob["height"] / 2
    floor = svg["y"] + svg["height"] - 6  # where sigma is 0
    page.mouse.move(x, y)
    page.mouse.down()
    assert value_of(page, "eps") == 1.0
    page.mouse.move(x, floor - (floor - y) / 2, steps=4)
    # half the height on a square-root scale is a quarter; one pixel there is 3 % of it
    assert value_of(page, "eps") == pytest.approx(0.25, rel=0.05)
    page.mouse.move(x, floor + 30)
    assert value_of(page, "eps") == 0.001
    page.mouse.move(x, svg["y"])
    assert value_of(page, "eps") == 1.0
    page.mouse.up()
    assert value_of(page, "time") == 5.0


def test_play_goes_on_to_the_last_time_and_stops(show):
    page = show(SingularValueRace(time=7900).page())
    play, time = page.get_by_role("button", name="Play the training"), page.locator("[data-control=time]")
    play.click()
    page.wait_for_function("document.querySelector('[data-control=time]').value === '120'")
    assert play.is_visible()  # its name is no longer "Pause"
    play.click()
    assert int(time.input_value()) < 60  # it starts again
    time.press("ArrowRight")  # a reader's hand stops it
    assert play.is_visible()


def test_reset_brings_back_what_python_set(show):
    page = show(SingularValueRace(depth=4, start=0.1, weight_decay=0.01, eps=0.5, time=2.0).page())
    before = plots(page)
    move(page, depth=1, start=1.0, weight_decay=0.0, eps=0.001, time=0.01)
    page.get_by_role("button", name="Play the training").click()
    page.locator("[data-control=reset]").press("Enter")
    assert page.get_by_role("button", name="Play the training").is_visible()
    assert plots(page) == before
    assert [value_of(page, name) for name in GRIDS] == [4, 0.01, 0.1, 0.5, 2.0]


def test_what_python_sets_is_drawn(show):
    page = show(SingularValueRace().page())
    page.evaluate("document.querySelector('.lr-mount').lrModel.set('depth', 6)")
    assert page.locator("[data-control=depth]").input_value() == "5"
    check_table(page, SingularValueRace().target, 6, 0.01, 0.0, 5.0)


# --- how it looks --------------------------------------------------------------------------------------------------


def test_reduced_motion_has_no_play_button(show):
    page = show(SingularValueRace().page(), reduced_motion="reduce")
    assert not page.locator("[data-control=play]").is_visible()
    assert page.locator("[data-control=time]").is_visible()


@pytest.mark.parametrize("width", [358, 1280])  # 358: a phone of 390, less the margins of a page of the book
def test_it_fits_and_its_letters_are_legible(show, width):
    # the longest numbers
    race = SingularValueRace(WIDE_TARGET, start=1.1e-4, weight_decay=0.0011, eps=0.0011, time=0.011)
    page = show(race.page(), width=width)
    check_it_fits(page, width)


def test_a_finger_has_room_and_still_scrolls(show):
    page = show(SingularValueRace().page(), width=390, has_touch=True, is_mobile=True)
    sizes = page.locator(".lr-figure :is(input, button)").evaluate_all(
        "all => all.map(e => e.getBoundingClientRect().height)"
    )
    assert min(sizes) >= 44
    touch_action = "e => getComputedStyle(e).touchAction"
    assert page.locator("[data-plot=paths]").evaluate(touch_action) == "pan-y"
    assert page.locator("[data-plot=counts]").evaluate(touch_action) == "pan-y"
    assert page.locator(".lr-grip").evaluate(touch_action) == "none"


def test_it_redraws_when_its_width_changes(show):
    page = show(SingularValueRace().page())
    page.set_viewport_size({"width": 390, "height": 900})
    page.wait_for_function("document.querySelector('[data-plot=paths]').viewBox.baseVal.width < 390")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_lines_differ_without_colour(show):
    page = show(SingularValueRace([4.0, 3.0, 2.0, 1.0]).page())
    dashes = page.locator("tbody .lr-line").evaluate_all(
        "all => all.map(e => e.getAttribute('stroke-dasharray'))"
    )
    assert len(set(dashes)) == 4
    names = page.locator("[data-plot=paths] text").all_text_contents()
    assert {"σ₁", "σ₂", "σ₃", "σ₄"} <= set(names)


def test_every_control_has_a_label_and_takes_the_focus_in_order(show):
    page = show(SingularValueRace().page())
    labels = ("Depth L", "Weight decay λ", "Start σ(0)", "Threshold ε", "Time t")
    for label, name in zip(labels, GRIDS, strict=True):
        assert page.get_by_label(label).get_attribute("data-control") == name
    order = []
    for _ in range(7):
        page.keyboard.press("Tab")
        order.append(page.evaluate("document.activeElement.dataset.control"))
    assert order == ["depth", "weight_decay", "start", "eps", "play", "time", "reset"]
    assert page.locator("[data-output]").get_attribute("aria-live") == "polite"
    assert page.locator("svg[role=img]:not([aria-label])").count() == 0
    assert page.locator("tbody th[scope=row]").count() == 6


def test_letters_do_not_reach_the_notebook_and_shortcuts_do(show):
    page = show(SingularValueRace().page())
    page.evaluate("window.keys = []; document.addEventListener('keydown', (e) => keys.push(e.key))")
    for key in ("a", "ArrowLeft", "Escape", "Control+s"):
        page.locator("[data-control=depth]").press(key)
    assert page.evaluate("keys") == ["Escape", "Control", "s"]


def test_two_races_on_a_page_do_not_move_each_other(show):
    html = SingularValueRace().page() + SingularValueRace(label="other", title="</script><b>").page()
    page = show(html, ready=2)
    one, two = page.locator("#singular-value-race"), page.locator("#other")
    before = one.locator("[data-plot=paths]").inner_html()
    two.locator("[data-control=depth]").press("End")
    assert ", depth 6," in two.locator("[data-output]").text_content()
    assert ", depth 3," in one.locator("[data-output]").text_content()
    assert one.locator("[data-plot=paths]").inner_html() == before
    assert two.locator(".lr-title").text_content() == "</script><b>"
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids))


def test_cleaning_up_stops_everything(show):
    check_cleaning_up_stops_everything(show(SingularValueRace().page()), "time")


@pytest.mark.parametrize(
    "target",
    [[1.0], [0.0], [0.0] * 3, [1.0] * 12, WIDE_TARGET, [100.0, 1e-4]],
    ids=lambda t: f"{len(t)} from {t[0]:g}",
)
@pytest.mark.parametrize("width", [390, 1280])
def test_odd_targets_are_drawn(show, target, width):
    page = show(SingularValueRace(target, weight_decay=0.01).page(), width=width)
    for depth in (1, 2, 6):
        move(page, depth=depth)
        check_table(page, target, depth, 0.01, 0.01, 5.0)
        assert "NaN" not in page.locator(".lr-figure").inner_html()
        assert "Infinity" not in page.locator(".lr-figure").inner_html()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
