"""InformationPlane as a page: mouse, finger and keys, how it looks, and an end that leaves nothing behind."""

from itertools import combinations

import pytest
from cleaning_up import check_cleaning_up_stops_everything
from fitting import check_it_fits
from plane_examples import TASKS, made_up_table
from plane_page import get, now, path, set_to, table_rows

from lrlib.interactive import InformationPlane

pytestmark = pytest.mark.browser

NAMES = ("task", "variant", "seed", "estimator", "noise", "scale", "reading", "eps", "vertical", "step")


@pytest.fixture(scope="module")
def table():
    return made_up_table()


@pytest.fixture(scope="module")
def figure(table):
    return InformationPlane(table)


def settings(page):
    return {name: get(page, name) for name in NAMES}


# --- what the reader moves -----------------------------------------------------------------------------------------


LISTS = {
    "variant": (["no decay", "weight decay"], lambda page: get(page, "variant")),
    "seed": (["mean over 3 seeds", "seed 0", "seed 1", "seed 2"], lambda page: {"mean": "mean over 3 seeds"}.get(get(page, "seed"), f"seed {get(page, 'seed')}")),
    "vertical": (["test loss", "train loss"], lambda page: get(page, "vertical").replace("_", " ")),
    "estimator": (["KDE bounds", "log-det bound", "binning, 30 bins"], lambda page: {"kde": "KDE bounds", "logdet": "log-det bound", "binning": "binning, 30 bins"}[get(page, "estimator")]),
    "noise": (["deviation 0.1", "deviation 1", "0.3 × layer's deviation", "1 × layer's deviation"], lambda page: f"deviation {get(page, 'scale'):g}" if get(page, "noise") == "fixed" else f"{get(page, 'scale'):g} × layer's deviation"),
    "reading": (["absolute, σ > 0.01", "absolute, σ > 0.1", "absolute, σ > 1", "relative, σ > 0.01 σ₁", "relative, σ > 0.1 σ₁", "data-scaled, σ > 0.1", "data-scaled, σ > 1", "effective rank", "stable rank"], None),
}  # fmt: skip


@pytest.mark.parametrize("control", LISTS)
def test_every_list_answers_mouse_and_keys(show, figure, control):
    names, chosen = LISTS[control]
    page = show(figure.page())
    select = page.locator(f"[data-control={control}]")
    assert select.locator("option").all_text_contents() == names
    seen = set()

    def check(name):
        assert select.locator("option:checked").text_content() == name
        assert chosen is None or chosen(page) == name
        seen.add(page.locator("[data-output]").text_content())

    for place, name in enumerate(names):
        select.select_option(index=place)
        check(name)
    assert len(seen) == len(names)  # each of them shows something else
    for key, place in (
        ("Home", 0),
        ("ArrowUp", 0),
        ("ArrowDown", 1),
        ("End", -1),
        ("ArrowDown", -1),
        ("ArrowLeft", -2),
    ):
        select.press(key)
        check(names[place])


def test_a_reading_without_a_threshold_leaves_it_as_it_is(show, figure):
    page = show(figure.page())
    select = page.locator("[data-control=reading]")
    select.select_option(label="relative, σ > 0.01 σ₁")
    assert (get(page, "reading"), get(page, "eps")) == ("relative", 0.01)
    select.select_option(label="stable rank")
    assert (get(page, "reading"), get(page, "eps")) == ("stable", 0.01)


def test_a_task_brings_its_own_choices(show, figure):
    page = show(figure.page())
    set_to(page, seed=2, step=1000, noise="layer", scale=0.3)
    page.locator("[data-control=task]").press("ArrowDown")
    expected = {
        "task": "sphere",
        "variant": "relu",
        "seed": "mean",
        "vertical": "binning label",
        "scale": 0.1,
        "noise": "layer",
        "step": 500,
    }
    assert settings(page) == settings(page) | expected
    boxes = page.locator(".lr-check:visible")
    assert boxes.all_text_contents() == [f"L{l}" for l in range(1, 7)]
    page.locator("[data-control=estimator]").select_option(label="no noise")
    assert not page.locator("[data-control=noise]").is_visible()
    page.locator("[data-control=task]").select_option(index=0)
    assert settings(page) == settings(page) | {
        "task": "teacher",
        "estimator": "kde",
        "vertical": "test_loss",
        "noise": "layer",
    }
    assert boxes.all_text_contents() == ["L1", "L2", "L3"]
    python = InformationPlane(made_up_table(), **settings(page))  # all of it is stored
    assert {name: getattr(python, name) for name in NAMES} == settings(page)


def test_the_step_answers_mouse_and_keys(show, figure):
    page = show(figure.page())
    slider = page.locator("[data-control=step]")
    for key, step in (("Home", 0), ("ArrowRight", 10), ("ArrowUp", 100), ("End", 8000), ("ArrowRight", 8000), ("ArrowLeft", 1000)):  # fmt: skip
        slider.press(key)
        assert get(page, "step") == step
        assert slider.get_attribute("aria-valuetext") == str(step)
        assert page.locator(".lr-plane-table caption").text_content().startswith(f"Step {step}, weight decay")
    box = slider.bounding_box()
    page.mouse.click(box["x"] + 3, box["y"] + box["height"] / 2)
    assert get(page, "step") == 0


@pytest.mark.parametrize("plot", ["information", "rank"])
def test_a_plane_is_dragged_along_a_path(show, figure, plot):
    page = show(figure.page())
    svg = page.locator(f"[data-plot={plot}]")
    svg.scroll_into_view_if_needed()
    points = path(page, plot, "L2")
    box = svg.bounding_box()
    for i, (x, y, step, _) in enumerate(points):
        page.mouse.move(box["x"] + x + 0.4, box["y"] + y)
        if i == 0:
            page.mouse.down()
        assert get(page, "step") == step
    page.mouse.up()
    page.mouse.move(box["x"] + points[0][0], box["y"] + points[0][1])
    assert get(page, "step") == points[-1][2]  # no longer held


def test_it_plays_to_the_end_and_pauses(show, figure):
    page = show(figure.page())
    button = page.get_by_role("button", name="Play the training")
    button.click()
    assert get(page, "step") == 0  # from the last step on it starts again
    page.wait_for_function("document.querySelector('.lr-mount').lrModel.get('step') >= 10")
    page.get_by_role("button", name="Pause").press("Enter")
    step = get(page, "step")
    page.wait_for_timeout(700)
    assert get(page, "step") == step
    button.press("Space")
    page.wait_for_function("document.querySelector('.lr-mount').lrModel.get('step') === 8000")
    assert button.is_visible()


def test_reduced_motion_has_no_play_button(show, figure):
    page = show(figure.page(), reduced_motion="reduce")
    assert not page.locator("[data-control=play]").is_visible()


def test_layers_are_switched_by_mouse_and_keys(show, figure):
    page = show(figure.page())
    page.locator(".lr-check", has_text="L2").click()
    assert get(page, "layers") == ["L1", "L3", "L4", "L5", "L6"]  # those of the other task stay on
    assert list(table_rows(page)) == list(now(page, "rank")) == list(now(page, "information")) == ["L1", "L3"]
    assert page.locator("[data-path=L2]").count() == 0
    assert "L2" not in page.locator("[data-output]").text_content()
    for name in ("L1", "L3"):
        page.get_by_role("checkbox", name=name).press("Space")
    assert table_rows(page) == {}
    assert page.locator("[data-plot=rank] [data-empty]").text_content() == "no layer is on"
    assert (
        page.locator("[data-output]")
        .text_content()
        .endswith(": no layer. From the lower to the upper bound.")
    )
    page.get_by_role("checkbox", name="L2").press("Space")
    assert get(page, "layers") == ["L2", "L4", "L5", "L6"]


@pytest.mark.parametrize("by_key", [False, True])
def test_reset_goes_back_to_the_start(show, table, by_key):
    start = {"task": "sphere", "variant": "tanh", "seed": 3, "estimator": "logdet", "noise": "layer", "scale": 0.1, "reading": "relative", "eps": 0.01, "vertical": "test_loss", "step": 50}  # fmt: skip
    page = show(InformationPlane(table, **start, layers=["L6", "L1"]).page())
    page.locator("[data-control=task]").press("Home")
    page.locator("[data-control=step]").press("Home")
    page.locator(".lr-check", has_text="L2").click()
    button = page.locator("[data-control=reset]")
    if by_key:
        button.press("Enter")
    else:
        button.click()
    assert settings(page) == start
    assert list(table_rows(page)) == ["L1", "L6"]


def test_what_python_sets_is_drawn(show, figure):
    page = show(figure.page())
    set_to(
        page,
        task="sphere",
        variant="tanh",
        seed=2,
        estimator="binning",
        reading="stable",
        step=50,
        layers=["L5"],
    )
    shown = [page.locator(f"[data-control={name}] option:checked").text_content() for name in ("task", "variant", "seed", "estimator", "reading")]  # fmt: skip
    assert shown == ["sphere", "tanh", "seed 2", "binning, 30 bins", "stable rank"]
    assert page.locator("[data-control=step]").get_attribute("aria-valuetext") == "50"
    checked = page.locator("[data-control=layer]:checked")
    assert checked.evaluate_all("all => all.map((e) => e.value)") == ["L5"]
    assert list(table_rows(page)) == ["L5"]


# --- how it looks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [358, 1280])  # 358: a phone of 390, less the margins of a page of the book
def test_it_fits_and_its_letters_are_legible(show, figure, width):
    page = show(figure.page(), width=width)
    for task, estimator in (("teacher", "kde"), ("sphere", "binning"), ("sphere", "logdet")):
        set_to(page, task=task, estimator=estimator, noise="layer")
        check_it_fits(page, width, captions=False)
        texts = "all => all.filter((e) => e.scrollWidth > e.clientWidth + 1).map((e) => e.textContent)"
        assert (
            page.locator(".lr-plane-table :is(td, th), .lr-figure p:not(.lr-output)").evaluate_all(texts)
            == []
        )
    tops = page.locator("svg[data-plot]").evaluate_all("all => all.map((e) => e.getBoundingClientRect().top)")
    assert (tops[0] == tops[1]) == (width == 1280)  # side by side where there is room


@pytest.mark.parametrize("width", [358, 1280])
@pytest.mark.parametrize("step", [0, 500, 5000])
def test_names_of_layers_do_not_overlap_and_name_them_all(show, table, width, step):
    page = show(InformationPlane(table, task="sphere", step=step).page(), width=width)
    for plot in ("information", "rank"):
        found = page.locator(f"[data-plot={plot}] [data-names]").evaluate_all(
            "all => all.map((e) => [e.dataset.names, e.getBBox()]).map(([n, b]) => [n, b.x, b.y + 2, b.x + b.width, b.y + b.height - 2])"
        )
        assert sorted(name for names, *_ in found for name in names.split(", ")) == [
            f"L{l}" for l in range(1, 7)
        ]
        for (_, a1, b1, a2, b2), (_, c1, d1, c2, d2) in combinations(found, 2):
            assert a2 <= c1 or c2 <= a1 or b2 <= d1 or d2 <= b1


def test_layers_differ_without_colour(show, table):
    page = show(InformationPlane(table, task="sphere").page())
    looks = page.locator(".lr-check:visible .lr-line").evaluate_all(
        "all => all.map((e) => e.getAttribute('stroke-dasharray'))"
    )
    assert len(set(looks)) == 6
    for plot in ("information", "rank"):
        lines = page.locator(f"[data-plot={plot}] [data-path] .lr-line").evaluate_all(
            "all => all.map((e) => e.getAttribute('stroke-dasharray'))"
        )
        assert lines == looks


def test_on_a_phone_controls_have_room_for_a_finger(show, figure):
    page = show(figure.page(), width=390, has_touch=True, is_mobile=True)
    sizes = page.locator(".lr-figure :is(select, input[type=range], button, .lr-check):visible").evaluate_all(
        "all => all.map(e => e.getBoundingClientRect().height)"
    )
    assert len(sizes) == 7 + 1 + 2 + 3
    assert min(sizes) >= 44
    for plot in ("information", "rank"):
        assert page.locator(f"[data-plot={plot}]").evaluate("e => getComputedStyle(e).touchAction") == "pan-y"


def test_every_control_has_a_label_and_takes_the_focus_in_order(show, figure):
    page = show(figure.page())
    labels = {"Task": "task", "Run": "variant", "Seed": "seed", "Height of the left plane": "vertical", "Estimator of I(X;T)": "estimator", "Noise": "noise", "Local rank": "reading"}  # fmt: skip
    for label, control in labels.items():
        assert page.get_by_role("combobox", name=label, exact=True).get_attribute("data-control") == control
    assert page.get_by_label("Training step").get_attribute("data-control") == "step"
    group = page.get_by_role("group", name="Layers", exact=True)
    for name in ("L1", "L2", "L3"):
        assert group.get_by_role("checkbox", name=name, exact=True).get_attribute("value") == name
    order = []
    for _ in range(13):
        page.keyboard.press("Tab")
        order.append(page.evaluate("document.activeElement.dataset.control"))
    assert order == [*labels.values(), "play", "step", "reset", "layer", "layer", "layer"]
    assert page.locator("[data-output]").get_attribute("aria-live") == "polite"
    images = page.locator("svg[data-plot][role=img]").evaluate_all("all => all.map((e) => e.ariaLabel)")
    told = "3 layers: teacher, weight decay, mean over 3 seeds, step 8000"
    assert images == [f"Information plane of {told}", f"Rank plane of {told}"]
    assert page.locator(".lr-plane-table tbody th[scope=row]").count() == 3


def test_letters_do_not_reach_the_notebook_and_shortcuts_do(show, figure):
    page = show(figure.page())
    page.evaluate("window.keys = []; document.addEventListener('keydown', (e) => keys.push(e.key))")
    for control in ("task", "step"):
        for key in ("a", "ArrowLeft", "Escape", "Control+s"):
            page.locator(f"[data-control={control}]").press(key)
    assert page.evaluate("keys") == ["Escape", "Control", "s"] * 2


def test_two_figures_on_a_page_do_not_move_each_other(show, figure):
    page = show(figure.page() + figure.page(), ready=2)
    # as they stand; the one that is ready first gets the shorter id
    one, two = page.locator(".lr-figure").all()
    before = one.inner_html()
    two.locator("[data-control=step]").press("Home")
    two.locator("[data-control=task]").press("End")
    two.locator("[data-control=layer]").first.press("Space")
    assert one.inner_html() == before
    assert "sphere" in two.locator("[data-output]").text_content()


def test_it_redraws_when_its_width_changes(show, figure):
    page = show(figure.page())
    page.set_viewport_size({"width": 390, "height": 900})
    page.wait_for_function("document.querySelector('[data-plot=rank]').viewBox.baseVal.width < 390")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_list_of_one_is_not_shown(show, table):
    one = table[(table["task"] == "teacher") & (table["variant"] == "no decay") & (table["seed"] == 1)]
    page = show(InformationPlane(one).page())
    shown = page.locator(".lr-plane-controls select:visible").evaluate_all(
        "all => all.map((e) => e.dataset.control)"
    )
    assert shown == ["vertical", "estimator", "noise", "reading"]
    assert TASKS["teacher"]["steps"][-1] == get(page, "step")


def test_cleaning_up_stops_everything(show, figure):
    check_cleaning_up_stops_everything(show(figure.page()), "step")
