"""TrainingExplorer in a real browser: drawn when it comes near, within the page, and gone when it is cleaned up."""

import pytest
from cleaning_up import check_cleaning_up_stops_everything
from explorer_examples import made_up_spectra
from training_examples import SHAPE, large_table, made_up_table

from lrlib.interactive import RankExplorer, TrainingExplorer, base
from lrlib.interactive.training_table import JACOBIAN, LISTS, SENSITIVITY, WEIGHT

pytestmark = pytest.mark.browser

# Pixels by which the height that is kept free may miss the figure's: headings break into more lines or fewer.
HEIGHT_TOLERANCE = 80
FAR = '<div style="height: 5000px"></div>'  # further than the 600 pixels at which a figure is drawn
STARTED = "document.querySelector('.lr-mount').lrModel !== undefined"
DRAWN = "document.querySelector('.lr-figure')?.dataset.ready === 'true'"


@pytest.fixture(scope="module")
def table():
    return made_up_table()


def wait_a_little(page):
    """Two frames, after which an observer would have called, and a moment more."""
    page.evaluate(
        "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 200))))"
    )


def test_it_is_decoded_and_drawn_when_it_is_scrolled_to(table, show):
    page = show(FAR + TrainingExplorer(table).page() + FAR, ready=0)
    wait_a_little(page)
    waiting = page.locator(".lr-waiting")
    assert (page.evaluate(STARTED), page.locator(".lr-figure").count()) == (False, 0)
    height = page.evaluate("document.documentElement.scrollHeight")
    page.evaluate("scrollTo(0, 3000)")  # still 1100 pixels below the window
    wait_a_little(page)
    assert page.evaluate(STARTED) is False
    page.evaluate("scrollTo(0, 3600)")  # 500 pixels below it
    page.wait_for_function(DRAWN)
    assert (page.evaluate(STARTED), waiting.count()) == (True, 0)
    assert abs(page.evaluate("document.documentElement.scrollHeight") - height) <= HEIGHT_TOLERANCE
    assert not page.locator(".lr-still").is_visible()


def test_the_other_figures_are_drawn_at_once(show):
    html = RankExplorer([0, 1], made_up_spectra([0, 1])).page()
    assert html.startswith(
        '<div class="lr-mount" data-lr-mount="rank-explorer">\n<img hidden class="lr-still"'
    )
    show(FAR + html)


def test_what_it_alone_needs_is_not_sent_with_other_figures():
    shared = (base.HERE / "figure.css").read_text("utf-8")
    assert RankExplorer._css == shared
    assert TrainingExplorer._css == shared + (base.HERE / "training_explorer.css").read_text("utf-8")
    assert "IntersectionObserver" not in RankExplorer([0, 1], made_up_spectra([0, 1])).page()


def test_it_is_drawn_at_once_where_nothing_can_tell_that_it_is_near(table, show):
    page = show("<script>delete window.IntersectionObserver</script>" + FAR + TrainingExplorer(table).page())
    assert page.locator(".lr-waiting").count() == 0


def test_it_is_found_by_its_title_and_reached_by_the_tab_key(table, show):
    title = "Title with </script> & <b>"
    before, after = FAR + '<a href="#" id="before">before</a>' + FAR, FAR + '<a href="#">after</a>'
    page = show(before + TrainingExplorer(table, title=title).page() + after, ready=0)
    assert page.locator(".lr-waiting").text_content() == title
    page.locator("#before").focus()
    page.keyboard.press("Tab")
    page.wait_for_function(DRAWN)
    page.wait_for_function("document.activeElement.dataset.control === 'variant'")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.dataset.control") == "seed"


def test_a_printed_page_has_the_still_until_the_figure_is_drawn(table, show):
    page = show(FAR + TrainingExplorer(table).page(), ready=0)
    wait_a_little(page)
    seen = page.evaluate("""() => {
        dispatchEvent(new Event("beforeprint")); // what is seen right after it is what is printed
        const height = (name) => document.querySelector(name).getBoundingClientRect().height;
        return [height(".lr-still") > 100, height(".lr-waiting")];
    }""")
    assert seen == [True, 0]
    page.wait_for_function(DRAWN)
    page.wait_for_function("document.querySelector('.lr-still').hidden")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert not page.locator(".lr-still").is_visible()


def test_a_real_print_shows_it(table, show):
    page = show(FAR + TrainingExplorer(table).page(), ready=0)
    page.pdf()
    page.wait_for_function(DRAWN)


def test_the_still_is_shown_where_drawing_fails(table, show):
    explorer = TrainingExplorer(table)
    explorer.ranks = b"not deflated"
    page = show(explorer.page(), ready=0)
    page.locator("img.lr-still").wait_for(state="visible")
    assert (page.locator(".lr-figure").count(), page.locator(".lr-waiting").count()) == (0, 0)
    assert len(show.errors) == 1
    show.errors.clear()


def test_without_javascript_there_is_the_still_and_no_empty_room(table, show):
    page = show.browser.new_context(java_script_enabled=False).new_page()
    page.set_content(TrainingExplorer(table).page())
    assert page.locator("img.lr-still").is_visible()
    assert not page.locator(".lr-waiting").is_visible()
    page.context.close()


@pytest.mark.parametrize("width", [374, 740])  # of the window: 8 pixels more to each side than the figure's
@pytest.mark.parametrize(
    "left_out",
    [(), (WEIGHT,), (SENSITIVITY,), LISTS, ("train_loss", "test_loss", "train_accuracy", "test_accuracy")],
)
@pytest.mark.parametrize("shape", [None, SHAPE])
def test_the_room_kept_for_it_is_as_high_as_it_is(table, show, width, left_out, shape):
    explorer = TrainingExplorer(table[~table["reading"].isin(left_out)], input_shape=shape)
    page = show(explorer.page(), width=width)
    height = page.locator(".lr-figure").evaluate("e => e.getBoundingClientRect().height")
    kept = explorer.page_heights()[1 if width < 600 else 0]
    assert abs(height - kept) <= HEIGHT_TOLERANCE


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("shape", [None, (14, 14)])
def test_it_fits_and_its_letters_are_legible(show, width, shape):
    page = show(TrainingExplorer(large_table(), input_shape=shape).page(), width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    sizes = page.locator(".lr-figure :is(text, tspan, p, td, th)").evaluate_all(
        "all => all.map(e => parseFloat(getComputedStyle(e).fontSize))"
    )
    assert min(sizes) >= 11
    for plot in page.locator("svg[data-plot]").all():
        box = "e => e.viewBox.baseVal.width - e.getBoundingClientRect().width"
        assert plot.evaluate(box) == pytest.approx(0, abs=0.51)
    overflowing = "all => all.filter((e) => e.scrollWidth > e.clientWidth + 1).map((e) => e.textContent)"
    assert page.locator(".lr-figure :is(td, th, p:not(.lr-output))").evaluate_all(overflowing) == []


def test_on_a_phone_controls_have_room_for_a_finger(table, show):
    page = show(TrainingExplorer(table).page(), width=390, has_touch=True, is_mobile=True)
    sizes = page.locator(".lr-figure :is(select, input, button)").evaluate_all(
        "all => all.map(e => e.getBoundingClientRect().height)"
    )
    assert min(sizes) >= 44
    assert page.locator("[data-plot=ranks]").evaluate("e => getComputedStyle(e).touchAction") == "pan-y"


@pytest.mark.parametrize("width", [390, 1280])
def test_the_step_stays_in_view_while_the_reader_scrolls(table, show, width):
    page = show(TrainingExplorer(table).page() + FAR, width=width)
    page.evaluate("document.querySelector('[data-plot=pictures]').scrollIntoView({ block: 'end' })")
    box = page.locator("[data-control=step]").bounding_box()
    assert 0 <= box["y"] < 100
    assert page.locator("[data-control=step]").evaluate(
        "e => { const b = e.getBoundingClientRect(); return document.elementFromPoint(b.x + 20, b.y + 20) === e; }"
    )


def test_every_control_has_a_label_and_takes_the_focus_in_order(table, show):
    page = show(TrainingExplorer(table, by_label="λ").page())
    labels = {
        "variant": "λ",
        "seed": "Seed",
        "reading": "Reading",
        "performance": "Performance",
        "weights": "Spectra of",
    }
    for control, label in labels.items():
        assert page.get_by_role("combobox", name=label, exact=True).get_attribute("data-control") == control
    assert page.get_by_label("Training step").get_attribute("data-control") == "step"
    assert page.get_by_label("Threshold ε").get_attribute("data-control") == "eps"
    order = []
    for _ in range(8):
        page.keyboard.press("Tab")
        order.append(page.evaluate("document.activeElement.dataset.control"))
    assert order == [*labels, "eps", "play", "step"]
    assert page.locator("[data-output]").get_attribute("aria-live") == "polite"
    assert page.locator("tbody th[scope=row]").count() == 3 + 4


def test_letters_do_not_reach_the_notebook_and_shortcuts_do(table, show):
    page = show(TrainingExplorer(table).page())
    page.evaluate("window.keys = []; document.addEventListener('keydown', (e) => keys.push(e.key))")
    for control in ("step", "variant"):
        for key in ("a", "ArrowLeft", "Control+s"):
            page.locator(f"[data-control={control}]").press(key)
    assert page.evaluate("keys") == ["Control", "s"] * 2


def test_two_explorers_on_a_page_do_not_move_each_other(table, show):
    page = show(TrainingExplorer(table).page() + TrainingExplorer(table).page(), ready=1)
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    page.wait_for_function("document.querySelectorAll('.lr-figure[data-ready=true]').length === 2")
    one, two = (page.locator(f"#training-explorer{end}") for end in ("", "-2"))
    before = one.locator("[data-plot=ranks]").inner_html()
    two.locator("[data-control=step]").press("Home")
    assert two.locator("[data-output]").text_content().startswith("Step 0,")
    assert one.locator("[data-plot=ranks]").inner_html() == before
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids))


def test_cleaning_up_stops_everything(table, show):
    check_cleaning_up_stops_everything(show(TrainingExplorer(table).page()), "step")


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("kind", [JACOBIAN, WEIGHT])
def test_odd_sizes_are_drawn(show, width, kind):
    widths = {f"features.{i}.convolution": 300 if i else 1 for i in range(6)}
    table = made_up_table(variants=(0.5,), seeds=(7,), steps=(0,), widths=widths, shape=(2, 7))
    table = table[table["reading"] != (WEIGHT if kind == JACOBIAN else JACOBIAN)]
    page = show(TrainingExplorer(table, input_shape=(2, 7)).page(), width=width)
    assert not page.locator("[data-control=seed]").is_visible()
    assert page.locator("[data-plot=spectra] > g").count() == 6
    assert "NaN" not in page.locator(".lr-figure").inner_html()
    assert "null" not in page.locator(".lr-figure").text_content()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
