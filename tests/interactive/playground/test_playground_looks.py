"""How the playground looks and is told: widths, names, motion, a compact one, and its end."""

import pytest
from fitting import check_it_fits
from playground_page import (
    MODEL,
    QUICK,
    TEACHER,
    control,
    figure_data,
    html_of,
    open_panel,
    opened,
    press,
    set_to,
    settings_of,
    shown_step,
    train_to_the_end,
    wait_settled,
)

from lrlib.interactive.playground import Playground

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("width", [358, 390, 720, 1280])
@pytest.mark.parametrize("changes", [TEACHER, QUICK, {"depth": 5}])
def test_it_fits_its_window(show, width, changes):
    page = opened(show, changes, width=width)
    check_it_fits(page, width, captions=False)
    for canvas in page.locator("canvas").all():
        box = canvas.bounding_box()
        assert box["width"] == box["height"] > 150
        assert box["x"] + box["width"] <= width
    small = page.locator("button:visible, select:visible").evaluate_all(
        "all => all.map((e) => e.getBoundingClientRect().height)"
    )
    assert min(small) >= (44 if width < 600 else 36)


def test_on_a_phone_the_curves_come_into_view_when_it_starts(show):
    page = opened(show, QUICK, width=390)
    page.set_viewport_size({"width": 390, "height": 560})
    control(page, "start").scroll_into_view_if_needed()
    press(page, "start")
    page.wait_for_function(
        """() => {
            const box = document.querySelector("[data-plot=ranks]").getBoundingClientRect();
            return box.top >= 0 && box.bottom <= innerHeight;
        }"""
    )


def test_every_control_and_picture_has_a_name(show):
    page = opened(show, TEACHER)
    for node in page.locator("select, input, svg[data-plot], canvas, fieldset, [role=group]").all():
        name = node.evaluate(
            "e => e.getAttribute('aria-label') ?? e.querySelector(':scope > legend')?.textContent"
            " ?? e.closest('label')?.textContent ?? ''"
        )
        assert name.strip()
    assert page.locator("[data-canvas=plane]").get_attribute("aria-label").startswith("A slice of the inputs")


def test_those_who_ask_for_less_motion_see_a_picture_a_second(show):
    counted = """async () => {
        let count = 0;
        const observer = new MutationObserver(() => (count += 1));
        observer.observe(document.querySelector("[data-status]"), { childList: true, characterData: true, subtree: true });
        document.querySelector("[data-control=start]").click();
        await new Promise((resolve) => setTimeout(resolve, 2500));
        observer.disconnect();
        return count;
    }"""
    changes = {**QUICK, "steps": 100_000}
    calm = opened(show, changes, reduced_motion="reduce").evaluate(counted)
    lively = opened(show, changes).evaluate(counted)
    assert 1 <= calm <= 4  # at the start, and after one and two seconds
    assert lively > 2 * calm


def test_it_reads_aloud_when_it_stops_and_not_while_it_runs(show):
    page = opened(show, {**QUICK, "steps": 100_000})
    output = page.locator("[data-output]")
    assert output.get_attribute("aria-live") == "polite"
    press(page, "start")
    page.wait_for_function("Number(document.querySelector('.lr-figure').dataset.step) > 100")
    assert output.get_attribute("aria-live") == "off"
    press(page, "start")
    wait_settled(page)
    assert output.get_attribute("aria-live") == "polite"
    assert output.text_content().startswith(f"Step {shown_step(page):,}")


def test_a_compact_one_has_the_curves_and_one_button_to_start(show):
    page = show(html_of({"steps": 200}, compact=True))
    wait_settled(page)
    assert page.locator("[data-plot]").count() == 1
    assert page.locator("canvas, select").count() == 0
    page.wait_for_timeout(300)
    assert shown_step(page) == 0
    train_to_the_end(page)
    assert shown_step(page) == 200
    assert figure_data(page, "finished") == "true"


def test_it_is_removed_with_its_worker(show):
    page = opened(show, {**QUICK, "steps": 100_000})
    press(page, "start")
    (worker,) = page.workers
    with worker.expect_event("close"):
        page.evaluate("document.querySelector('.lr-mount').lrCleanup()")
    assert page.locator(".lr-figure").count() == 0
    listeners = page.evaluate(f"[...{MODEL}.listeners.values()].reduce((sum, own) => sum + own.size, 0)")
    assert listeners == 0
    set_to(page, reading="stable", settings=settings_of(QUICK))
    page.evaluate("location.hash = '#data=rings'")
    page.wait_for_timeout(100)


def test_two_on_a_page_are_two(show):
    page = show(html_of(QUICK) + html_of({**QUICK, "seed": 1}, compact=True), ready=2)
    first, second = page.locator(".lr-figure").all()
    second.locator("[data-control=start]").click()
    page.wait_for_function("document.querySelectorAll('.lr-figure')[1].dataset.finished === 'true'")
    assert first.get_attribute("data-step") == "0"
    assert {figure.get_attribute("id") for figure in (first, second)} == {"playground", "playground-2"}


def test_another_figure_s_style_behind_it_does_not_bring_back_what_is_hidden(show):
    page = show(html_of(QUICK) + html_of(QUICK, compact=True), ready=2)
    open_panel(page, "lr-all-settings")
    for name in ("inputs", "rank"):
        assert control(page, name).is_hidden()
    start = control(page, "start").first
    start.hover()
    colours = start.evaluate("e => [getComputedStyle(e).color, getComputedStyle(e).backgroundColor]")
    assert colours[0] != colours[1]


def test_a_page_of_it_is_small():
    assert len(Playground().page()) < 400_000  # bytes: all of it is ASCII
