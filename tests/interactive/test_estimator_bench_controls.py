"""EstimatorBench as a page: mouse, finger and keys, how it looks, and an end that leaves nothing behind."""

import re
from itertools import pairwise

import pandas as pd
import pytest
from bench_examples import SIZES, TRUTHS, made_up_samples, made_up_table, odd_table, small_table
from bench_page import biases, get, set_to, settings, table_rows

from lrlib.interactive import EstimatorBench

pytestmark = pytest.mark.browser
READABLE = 4.5  # contrast of letters on what is behind them (WCAG 2.1, AA)


@pytest.fixture(scope="module")
def figure():
    return EstimatorBench(made_up_table(), samples=made_up_samples())


# --- what the reader moves -----------------------------------------------------------------------------------------


def test_the_case_answers_mouse_and_keys(show, figure):
    page = show(figure.page())
    names = list(TRUTHS)
    select = page.locator("[data-control=case]")
    assert select.locator("option").all_text_contents() == names
    select.select_option(index=5)
    assert get(page, "case") == names[5]
    assert page.locator("[data-about] strong").first.text_content() == names[5]
    for key, place in (("ArrowDown", 6), ("ArrowUp", 5), ("End", 15), ("ArrowDown", 15), ("Home", 0)):
        select.press(key)
        assert (get(page, "case"), select.input_value()) == (names[place], names[place])
        assert page.locator("tr[aria-current=true]").get_attribute("data-case") == names[place]


def test_a_row_of_the_overview_chooses_its_case(show, figure):
    page = show(figure.page())
    page.locator("tr[data-case=student-3] td").nth(2).click()
    assert get(page, "case") == "student-3"
    page.locator("tr[data-case=channel-10] th").click()
    assert get(page, "case") == "channel-10"
    assert page.locator("[data-control=case]").input_value() == "channel-10"
    page.locator(".lr-bias thead th").first.click()
    assert get(page, "case") == "channel-10"


def test_the_number_of_samples_answers_mouse_and_keys(show, figure):
    page = show(figure.page())
    slider = page.locator("[data-control=n]")
    for key, n in (
        ("ArrowRight", 3162),
        ("End", 10_000),
        ("ArrowRight", 10_000),
        ("Home", 100),
        ("ArrowUp", 316),
    ):
        slider.press(key)
        assert get(page, "n") == n
        assert slider.get_attribute("aria-valuetext") == f"{n:,}"
        assert f"N = {n:,}" in page.locator(".lr-bench-table caption").text_content()
    box = slider.bounding_box()
    page.mouse.click(box["x"] + box["width"] - 4, box["y"] + box["height"] / 2)
    assert get(page, "n") == 10_000


def test_the_plot_is_dragged_to_a_number_of_samples(show, figure):
    page = show(figure.page())
    plot = page.locator("[data-plot=curves]")
    box = plot.bounding_box()
    y = box["y"] + 60
    for n in SIZES:
        tick = page.locator(f"[data-size-tick='{n}']")
        x = box["x"] + float(tick.get_attribute("x"))
        page.mouse.move(x + 12, y)
        page.mouse.down()
        assert get(page, "n") == n
        line = float(page.locator(".lr-now").get_attribute("x1"))
        assert line == pytest.approx(float(tick.get_attribute("x")), abs=0.1)
        page.mouse.move(box["x"] + 5, y)
        assert get(page, "n") == 100
        page.mouse.up()


def test_estimators_are_switched_by_mouse_and_keys(show, figure):
    page = show(figure.page())
    names = get(page, "estimators")
    checks = page.locator("[data-control=estimator]")
    page.locator(".lr-check", has_text="ksg 2").click()
    left = [name for name in names if name != "ksg 2"]
    assert get(page, "estimators") == left
    assert "ksg 2" not in table_rows(page)
    assert "ksg 2" not in biases(page)["spiral"]
    assert page.locator("[data-curve='ksg 2'], [data-dots='ksg 2']").count() == 0
    checks.first.press("Space")
    assert get(page, "estimators") == left[1:]
    for control, key, expected in (("none", None, []), ("all", None, names), ("none", "Enter", []), ("all", "Space", names)):  # fmt: skip
        button = page.locator(f"[data-control={control}]")
        if key:
            button.press(key)
        else:
            button.click()
        assert get(page, "estimators") == expected
        assert checks.evaluate_all("all => all.map((e) => e.checked)") == [bool(expected)] * 10
        assert (page.locator("[data-curve]").count() > 0) == bool(expected)
    page.locator("[data-control=none]").click()
    page.locator(".lr-check", has_text="infonce").click()
    page.locator(".lr-check", has_text="gaussian fit").click()
    assert get(page, "estimators") == ["gaussian fit", "infonce"]  # in the table's order


@pytest.mark.parametrize("by_key", [False, True])
def test_reset_goes_back_to_the_start(show, by_key):
    start = {"case": "spiral", "n": 316, "estimators": ["nwj", "ksg 1"]}
    page = show(EstimatorBench(made_up_table(), **start).page())
    set_to(page, case="independent", n=100, estimators=["logdet"])
    button = page.locator("[data-control=reset]")
    if by_key:
        button.press("Enter")
    else:
        button.click()
    assert settings(page) == ("spiral", 316, ["ksg 1", "nwj"])
    assert list(table_rows(page)) == ["ksg 1", "nwj"]


def test_what_python_sets_is_drawn(show, figure):
    page = show(figure.page())
    set_to(page, case="channel-1", n=100, estimators=["kde lower"])
    assert page.locator("[data-control=case]").input_value() == "channel-1"
    assert page.locator("[data-control=n]").get_attribute("aria-valuetext") == "100"
    checked = page.locator("[data-control=estimator]:checked")
    assert checked.evaluate_all("all => all.map((e) => e.value)") == ["kde lower"]
    assert list(table_rows(page)) == ["kde lower"]


def test_an_estimator_that_was_not_run_is_named_to_a_screen_reader(show):
    page = show(EstimatorBench(small_table(), case="normal-0.75", estimators=["logdet"]).page())
    words = page.locator("[data-output]").text_content()
    assert words.endswith(": none of those that are switched on. Not run in this case: logdet.")


def test_no_estimator_is_no_error(show):
    page = show(EstimatorBench(small_table(), estimators=[]).page())
    assert table_rows(page) == {}
    assert page.locator("[data-output]").text_content().endswith(": no estimator.")
    assert page.locator("[data-plot=curves] .lr-truth").count() == 1


# --- how it looks --------------------------------------------------------------------------------------------------

LONG = made_up_table().replace(
    {
        "case": {"spiral": "a-case-of-many-words-in-25-dimensions"},
        "estimator": {"ksg 1": "nearest neighbours, first"},
    }
)


@pytest.mark.parametrize("width", [358, 1280])  # 358: a phone of 390, less the margins of a page of the book
@pytest.mark.parametrize("table", [made_up_table(), odd_table(), LONG], ids=["made up", "odd", "long"])
def test_it_fits_and_its_letters_are_legible(show, width, table):
    page = show(EstimatorBench(table, samples=made_up_samples()).page(), width=width)
    for case in ("normal-0.75", "channel-high"):
        set_to(page, case=case, n=100)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        boxes = page.locator("svg[data-plot] text").evaluate_all(
            "all => all.map((e) => e.getBoundingClientRect()).map((b) => [b.left, b.right])"
        )
        assert all(left >= 0 and right <= width for left, right in boxes)
        plots = page.locator("svg[data-plot]:visible").evaluate_all(
            "all => all.map((e) => e.viewBox.baseVal.width / e.getBoundingClientRect().width)"
        )
        assert plots == pytest.approx([1] * len(plots), abs=0.03)  # letters are as large as the style says
    sizes = page.locator(
        ".lr-figure :is(text, th, td, p, li, label, legend, select, button, caption)"
    ).evaluate_all("all => all.map(e => parseFloat(getComputedStyle(e).fontSize))")
    assert min(sizes) >= 11
    texts = "all => all.filter((e) => e.scrollWidth > e.clientWidth + 1).map((e) => e.textContent)"
    assert page.locator(".lr-bench-table :is(td, th), .lr-figure p:not(.lr-output)").evaluate_all(texts) == []
    ticks = page.locator("[data-size-tick]").evaluate_all(
        "all => all.map((e) => e.getBoundingClientRect()).map((b) => [b.left, b.right])"
    )
    assert all(a[1] + 4 < b[0] for a, b in pairwise(ticks))


@pytest.mark.parametrize("width", [358, 1280])
@pytest.mark.parametrize(("case", "caps"), [("channel-1", 0), ("channel-high", 2)])
def test_names_beside_the_curves_do_not_overlap(show, width, case, caps):
    page = show(EstimatorBench(made_up_table(), case=case).page(), width=width)
    tops = page.locator("[data-plot=curves] [data-name]").evaluate_all(
        "all => all.map((e) => e.getBoundingClientRect().top).sort((a, b) => a - b)"
    )
    assert len(tops) == 10 + caps
    assert all(b - a > 12 for a, b in pairwise(tops))


def test_on_a_phone_controls_have_room_for_a_finger_and_the_overview_scrolls(show, figure):
    page = show(figure.page(), width=390, has_touch=True, is_mobile=True)
    sizes = page.locator(".lr-figure :is(select, input[type=range], button, .lr-check)").evaluate_all(
        "all => all.map(e => e.getBoundingClientRect().height)"
    )
    assert len(sizes) == 1 + 1 + 3 + 10
    assert min(sizes) >= 44
    assert page.locator("[data-plot=curves]").evaluate("e => getComputedStyle(e).touchAction") == "pan-y"
    region = page.get_by_role("region", name="Bias in every case")
    region.scroll_into_view_if_needed()
    region.focus()  # it can be reached by keys where it has to be scrolled
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.querySelector('.lr-scroll:has(.lr-bias)').scrollLeft > 0")
    name = region.locator("tbody th").first
    assert name.bounding_box()["x"] >= 0  # the names of cases stay
    page.locator("tr[data-case=spiral] th").tap()
    assert get(page, "case") == "spiral"


def test_what_does_not_scroll_takes_no_focus(show, figure):
    page = show(figure.page(), width=1280)
    assert page.locator(".lr-scroll[tabindex]").count() == 0


def test_estimators_differ_in_mark_and_say_so_everywhere(show, figure):
    page = show(figure.page())
    set_to(page, case="channel-1")
    shapes = "all => all.map((e) => e.getAttribute('d'))"
    swatches = page.locator(".lr-check .lr-mark").evaluate_all(shapes)
    assert len(set(swatches)) == 10  # without colour, and without dashes
    assert page.locator(".lr-bench-table .lr-mark").evaluate_all(shapes) == swatches
    for name, shape in zip(figure.bench.estimators, swatches, strict=True):
        assert set(page.locator(f"[data-curve='{name}'] .lr-mark").evaluate_all(shapes)) == {shape}
    looks = "all => all.map((e) => [e.getAttribute('stroke'), e.getAttribute('stroke-dasharray')].join(' '))"
    assert len(set(page.locator(".lr-check .lr-line").evaluate_all(looks))) == 10


DARK = ":root { --pst-color-text-base: #ced6dd; --pst-color-background: #121212; background: #121212 }"
CONTRASTS = """() => {
  const channels = (colour) => {
    const numbers = colour.match(/[\\d.]+/g).map(Number);
    const unit = colour.startsWith("color(") ? 1 : 255;
    return [...numbers.slice(0, 3).map((n) => n / unit), numbers[3] ?? 1];
  };
  const light = (rgb) => rgb.map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const probe = document.querySelector(".lr-bias th");
  const paper = channels(getComputedStyle(probe).backgroundColor);
  return [...document.querySelectorAll(".lr-bias td, .lr-shades li")].map((cell) => {
    const style = getComputedStyle(cell);
    const [ink, back] = [channels(style.color), channels(style.backgroundColor)];
    const behind = light([0, 1, 2].map((i) => back[3] * back[i] + (1 - back[3]) * paper[i]));
    const front = light(ink.slice(0, 3));
    return (Math.max(front, behind) + 0.05) / (Math.min(front, behind) + 0.05);
  });
}"""


@pytest.mark.parametrize("style", ["", DARK], ids=["light", "dark"])
def test_shaded_numbers_are_readable(show, figure, style):
    page = show(f"<style>{style}</style>" + figure.page())
    contrasts = page.evaluate(CONTRASTS)
    assert len(contrasts) == 16 * 10 + 8
    assert max(contrasts) > 10  # on no shade
    assert min(contrasts) >= READABLE


def test_every_control_has_a_label_and_takes_the_focus_in_order(show, figure):
    page = show(figure.page())
    assert page.get_by_role("combobox", name="Case").get_attribute("data-control") == "case"
    assert page.get_by_label("Samples N").get_attribute("data-control") == "n"
    group = page.get_by_role("group", name="Estimators", exact=True)
    for name in figure.bench.estimators:
        assert group.get_by_role("checkbox", name=name, exact=True).get_attribute("value") == name
    for name in ("All", "None", "Reset"):
        assert page.get_by_role("button", name=name).count() == 1
    order = []
    for _ in range(15):
        page.keyboard.press("Tab")
        order.append(page.evaluate("document.activeElement.dataset.control"))
    assert order == ["case", "reset", "n", *["estimator"] * 10, "all", "none"]
    assert page.locator("[data-output]").get_attribute("aria-live") == "polite"
    labels = page.locator("svg[data-plot][role=img]").evaluate_all("all => all.map((e) => e.ariaLabel)")
    assert labels == [
        "200 points of the case normal-0.5: a coordinate of y against one of x",
        "Estimates of 7 estimators against the number of samples, normal-0.5",
        "Every seed of 7 estimators at N = 1,000, normal-0.5",
    ]
    assert page.locator(".lr-bench-table tbody th[scope=row]").count() == 7
    assert page.locator(".lr-bias tbody th[scope=row]").count() == 16


def test_letters_do_not_reach_the_notebook_and_shortcuts_do(show, figure):
    page = show(figure.page())
    page.evaluate("window.keys = []; document.addEventListener('keydown', (e) => keys.push(e.key))")
    for control in ("case", "n"):
        for key in ("a", "ArrowLeft", "Escape", "Control+s"):
            page.locator(f"[data-control={control}]").press(key)
    assert page.evaluate("keys") == ["Escape", "Control", "s"] * 2


def test_two_figures_on_a_page_do_not_move_each_other(show):
    html = EstimatorBench(small_table()).page()
    page = show(html + html, ready=2)
    # as they stand; the one that is ready first gets the shorter id
    one, two = page.locator(".lr-figure").all()
    before = one.inner_html()
    two.locator("[data-control=n]").press("Home")
    two.locator("[data-control=none]").click()
    two.locator("[data-control=case]").press("End")
    assert one.inner_html() == before
    assert "channel-high" in two.locator("[data-output]").text_content()
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids))


def test_cleaning_up_stops_everything(show):
    page = show(EstimatorBench(small_table()).page())
    left = page.evaluate("""() => {
        const mount = document.querySelector(".lr-mount");
        const root = mount.querySelector(".lr-figure");
        const of = (control) => root.querySelector(`[data-control=${control}]`);
        const [row, plot] = [root.querySelector("tr[data-case=independent] td"), root.querySelector("[data-plot=curves]")];
        mount.lrCleanup();
        of("n").value = 0;
        of("n").dispatchEvent(new Event("input"));
        of("case").selectedIndex = 2;
        of("case").dispatchEvent(new Event("change"));
        ["none", "reset"].forEach((control) => of(control).click());
        of("estimator").click();
        row.click();
        plot.dispatchEvent(new PointerEvent("pointerdown", { clientX: 60, clientY: 60, button: 0 }));
        const listeners = [...mount.lrModel.listeners.values()].reduce((n, set) => n + set.size, 0);
        const { lrModel: model } = mount;
        return [root.isConnected, listeners, model.get("case"), model.get("n"), model.get("estimators").length];
    }""")
    assert left == [False, 0, "normal-0.75", 1000, 10]


ODD = {
    "odd": odd_table(),
    "one estimate": small_table(cases=("independent",), sizes=(100,), estimators=("ksg 1",), seeds=1),
    "huge": pd.concat([small_table(seeds=1), odd_table().assign(value=-1e300, seed=1)], ignore_index=True),
    "exact": small_table().assign(value=lambda table: table["truth"], stderr=0.0, saturated=0),
}


@pytest.mark.parametrize("table", ODD.values(), ids=ODD)
@pytest.mark.parametrize("width", [358, 1280])
def test_odd_tables_are_drawn(show, table, width):
    page = show(EstimatorBench(table).page(), width=width)
    for case in table["case"].unique():
        for n in sorted(table["n"].unique().tolist()):
            set_to(page, case=case, n=n)
            text = page.locator(".lr-figure").inner_html()
            assert not re.search(r"NaN|Infinity|undefined|null", text)
            assert len(page.locator("[data-plot=curves] [data-value-tick]").all_text_contents()) >= 2
    assert page.evaluate("document.documentElement.scrollWidth") <= width
