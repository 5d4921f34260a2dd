"""RankExplorer in a real browser: mouse, keyboard, finger, any width, and the counts that Python makes."""

import pytest
from cleaning_up import check_cleaning_up_stops_everything
from explorer_examples import SETTINGS, STEPS, WIDTHS, counted, made_up_spectra

from lrlib.interactive import RankExplorer

pytestmark = pytest.mark.browser


def shown_counts(page):
    return {
        cell.get_attribute("data-count"): cell.text_content() for cell in page.locator("[data-count]").all()
    }


def expected_counts(spectra, step, eps, relative):
    mean, _ = counted(spectra, step, eps, relative)
    return {name: f"{value:.2f}" for name, value in zip(WIDTHS, mean.tolist(), strict=True)}


def choose(page, explorer, step, eps, relative):
    """Move the controls to a setting as a reader does: the switch with the mouse, the sliders with keys."""
    page.locator("[data-control=relative]").set_checked(relative)
    for control, places in (
        ("step", explorer.steps.index(step)),
        ("eps", explorer.thresholds.index(eps)),
    ):
        slider = page.locator(f"[data-control={control}]")
        slider.press("Home")
        count = int(slider.get_attribute("max")) + 1
        leap = max(2, round(count / 10))
        for _ in range(places // leap):
            slider.press("PageUp")
        for _ in range(places % leap):
            slider.press("ArrowRight")


def test_the_page_shows_what_python_counts(spectra, show):
    explorer = RankExplorer(STEPS, spectra)
    page = show(explorer.page())
    assert shown_counts(page) == expected_counts(spectra, 1000, 0.1, False)
    for step, eps, relative in SETTINGS:
        choose(page, explorer, step, eps, relative)
        assert shown_counts(page) == expected_counts(spectra, step, eps, relative)
        words = f"Step {step}, σ > {eps:g}{' σ₁' if relative else ''}: layer1 "
        assert page.locator("[data-output]").text_content().startswith(words)


def test_standard_errors_and_sizes_stand_in_the_table(spectra, show):
    page = show(RankExplorer(STEPS, spectra).page())
    _, stderr = counted(spectra, 1000, 0.1, False)
    rows = [row.locator("th, td").all_text_contents() for row in page.locator("tbody tr").all()]
    assert [row[2] for row in rows] == [f"± {value:.2f}" for value in stderr.tolist()]
    assert [(row[0], row[3]) for row in rows] == [(name, str(width)) for name, width in WIDTHS.items()]
    assert page.locator("tbody th[scope=row]").count() == 3


def test_every_control_changes_the_plots(spectra, show):
    page = show(RankExplorer(STEPS, spectra).page())

    def plots():
        return [page.locator(f"[data-plot={name}]").inner_html() for name in ("spectrum", "curves")]

    before = plots()
    for move in (
        lambda: page.locator("[data-control=step]").press("ArrowLeft"),
        lambda: page.locator("[data-control=eps]").press("Shift+ArrowRight"),
        lambda: page.get_by_text("relative to").click(),
    ):
        move()
        after = plots()
        assert all(a != b for a, b in zip(before, after, strict=True))
        before = after


def test_the_mouse_moves_the_sliders_and_the_plots_move_too(spectra, show):
    page = show(RankExplorer(STEPS, spectra).page())
    step, eps = page.locator("[data-control=step]"), page.locator("[data-control=eps]")
    box = step.bounding_box()
    page.mouse.click(box["x"] + 12, box["y"] + box["height"] / 2)
    assert step.input_value() == "0"
    box = page.locator("[data-plot=curves]").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.5, box["y"] + 80)
    assert 0 < int(step.input_value()) < 6
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 10, box["y"] + 80, steps=4)
    page.mouse.up()
    assert step.input_value() == "6"
    page.mouse.move(box["x"] + 40, box["y"] + 80)
    assert step.input_value() == "6"  # let go
    grip = page.locator(".lr-grip").bounding_box()
    before = int(eps.input_value())
    page.mouse.move(grip["x"] + 30, grip["y"] + grip["height"] / 2)
    page.mouse.down()
    page.mouse.move(grip["x"] + 30, grip["y"] + 60, steps=5)
    page.mouse.up()
    assert int(eps.input_value()) < before
    assert (
        page.locator("[data-control=eps]").get_attribute("aria-valuetext")
        in page.locator("[data-output]").text_content()
    )


def test_a_finger_drags_the_threshold_and_scrolls_elsewhere(spectra, show):
    page = show(RankExplorer(STEPS, spectra).page(), width=390, has_touch=True, is_mobile=True)
    touch_action = "e => getComputedStyle(e).touchAction"
    assert page.locator(".lr-grip").first.evaluate(touch_action) == "none"
    assert page.locator("[data-plot=curves]").evaluate(touch_action) == "pan-y"
    assert page.locator("[data-plot=spectrum]").evaluate(touch_action) == "auto"
    sizes = page.locator(".lr-figure :is(input[type=range], label.lr-check, button)").evaluate_all(
        "all => all.map(e => e.getBoundingClientRect().height)"
    )
    assert min(sizes) >= 44


def test_a_relative_threshold_beyond_one_comes_back_to_one(spectra, show):
    page = show(RankExplorer(STEPS, spectra, eps=10.0).page())
    page.locator("[data-control=relative]").press("Space")
    assert page.locator("[data-control=eps]").get_attribute("aria-valuetext") == "1"
    assert page.evaluate("document.querySelector('.lr-mount').lrModel.get('eps')") == 1
    assert shown_counts(page) == expected_counts(spectra, 1000, 1.0, True)


def test_play_goes_from_the_first_step_to_the_last_and_stops(spectra, show):
    page = show(RankExplorer(STEPS, spectra).page())
    play, step = page.get_by_role("button", name="Play the training"), page.locator("[data-control=step]")
    play.click()
    assert step.input_value() == "0"
    page.wait_for_function("document.querySelector('[data-control=step]').value === '6'")
    assert play.is_visible()  # its name is no longer "Pause"
    play.click()
    step.press("ArrowRight")  # a reader's hand stops it
    assert play.is_visible()


def test_reduced_motion_has_no_play_button(spectra, show):
    page = show(RankExplorer(STEPS, spectra).page(), reduced_motion="reduce")
    assert not page.locator("[data-control=play]").is_visible()


@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_and_its_letters_are_legible(spectra, show, width):
    page = show(RankExplorer(STEPS, spectra).page(), width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    sizes = page.locator(".lr-figure text").evaluate_all(
        "all => all.map(e => parseFloat(getComputedStyle(e).fontSize))"
    )
    assert min(sizes) >= 11
    for name in ("spectrum", "curves"):
        svg = page.locator(f"[data-plot={name}]")
        assert svg.evaluate(
            "e => e.viewBox.baseVal.width - e.getBoundingClientRect().width"
        ) == pytest.approx(0, abs=0.51)


def test_it_redraws_when_its_width_changes(spectra, show):
    page = show(RankExplorer(STEPS, spectra).page())
    page.set_viewport_size({"width": 390, "height": 900})
    page.wait_for_function("document.querySelector('[data-plot=spectrum]').viewBox.baseVal.width < 390")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_every_control_has_a_label_and_takes_the_focus_in_order(spectra, show):
    page = show(RankExplorer(STEPS, spectra).page())
    assert page.get_by_label("Training step").get_attribute("data-control") == "step"
    assert page.get_by_label("Threshold ε").get_attribute("data-control") == "eps"
    assert page.get_by_label("relative to").get_attribute("data-control") == "relative"
    order = []
    for _ in range(4):
        page.keyboard.press("Tab")
        order.append(page.evaluate("document.activeElement.dataset.control"))
    assert order == ["play", "step", "eps", "relative"]
    assert page.locator("[data-output]").get_attribute("aria-live") == "polite"


def test_letters_do_not_reach_the_notebook_and_shortcuts_do(spectra, show):
    page = show(RankExplorer(STEPS, spectra).page())
    page.evaluate("window.keys = []; document.addEventListener('keydown', (e) => keys.push(e.key))")
    for key in ("a", "ArrowLeft", "Escape", "Control+s"):
        page.locator("[data-control=step]").press(key)
    assert page.evaluate("keys") == ["Escape", "Control", "s"]


def test_two_explorers_on_a_page_do_not_move_each_other(spectra, show):
    html = (
        RankExplorer(STEPS, spectra).page()
        + RankExplorer(STEPS, spectra, label="other", title="</script><b>").page()
    )
    page = show(html, ready=2)
    one, two = page.locator("#rank-explorer"), page.locator("#other")
    before = one.locator("[data-plot=spectrum]").inner_html()
    two.locator("[data-control=step]").press("Home")
    assert two.locator("[data-output]").text_content().startswith("Step 0,")
    assert one.locator("[data-output]").text_content().startswith("Step 1000,")
    assert one.locator("[data-plot=spectrum]").inner_html() == before
    assert two.locator(".lr-title").text_content() == "</script><b>"
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids))


def test_cleaning_up_stops_everything(spectra, show):
    check_cleaning_up_stops_everything(show(RankExplorer(STEPS, spectra).page()), "step")


@pytest.mark.parametrize(
    ("steps", "widths", "n"),
    [
        ([5], {"only": 1}, 1),
        ([0], {"a": 3, "b": 1}, 2),
        ([0, 1], {f"features.{i}.convolution": 300 for i in range(6)}, 2),
    ],
    ids=["one of everything", "step zero only", "many wide layers with long names"],
)
@pytest.mark.parametrize("width", [390, 1280])
def test_odd_sizes_are_drawn(show, steps, widths, n, width):
    spectra = made_up_spectra(steps, widths, n)
    explorer = RankExplorer(steps, spectra, step=steps[0])
    page = show(explorer.page(), width=width)
    means = [f"{value:.2f}" for value in explorer.local_rank.mean.tolist()]
    assert list(shown_counts(page).values()) == means
    assert "NaN" not in page.locator(".lr-figure").inner_html()
    assert "null" not in page.locator(".lr-figure").text_content()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert explorer.still()
