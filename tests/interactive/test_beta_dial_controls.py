"""BetaDial in a real browser: every control moves it, by mouse and by keyboard, and nothing is left behind."""

import pytest
from beta_examples import BETAS, made_up_table, small_table
from beta_page import attributes, get, page_of, plots, put, settings
from cleaning_up import check_cleaning_up_stops_everything

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def html():
    return page_of(made_up_table())


def changed(before, after):
    return {name for name in before if before[name] != after[name]}


def test_the_slider_answers_mouse_and_keys(show, html):
    page = show(html)
    slider = page.locator("[data-control=beta]")
    assert slider.get_attribute("aria-valuetext") == "0.2"
    box = slider.bounding_box()
    start = plots(page)
    for x, place in ((5, 0), (box["width"] - 5, 14)):
        page.mouse.click(box["x"] + x, box["y"] + box["height"] / 2)
        assert get(page, "beta") == BETAS[place]
        assert changed(start, plots(page)) == set(start)
    for key, place in (("Home", 0), ("ArrowRight", 1), ("ArrowUp", 2), ("ArrowLeft", 1), ("PageUp", 3), ("End", 14), ("ArrowRight", 14)):  # fmt: skip
        slider.press(key)
        assert get(page, "beta") == BETAS[place]
        written = {0: "1e−6", 1: "1e−5"}.get(place, f"{BETAS[place]:g}")
        assert slider.get_attribute("aria-valuetext") == written
        assert page.locator(".lr-costs caption span").text_content() == f"at β = {written}"


def test_the_choice_of_seed_answers_mouse_and_keys(show, html):
    page = show(html)
    select = page.locator("[data-control=seed]")
    assert select.locator("option").all_text_contents() == [
        "all: mean, lowest to highest",
        "seed 0",
        "seed 1",
        "seed 2",
    ]
    select.select_option(index=2)
    assert get(page, "seed") == 1
    assert page.locator("[data-plot=costs] .lr-seed").count() == len(BETAS)
    for key, seed in (("ArrowUp", 0), ("End", 2), ("Home", None), ("ArrowDown", 0)):
        select.press(key)
        assert get(page, "seed") == seed
    put(page, seed=None)
    assert select.input_value() == "all: mean, lowest to highest"
    assert page.locator("[data-plot=costs] .lr-seed").count() == 3 * len(BETAS)


def test_the_choice_of_spectrum_changes_its_plot_alone(show, html):
    page = show(html)
    select = page.locator("[data-control=spectrum]")
    start = plots(page)
    for index, name in enumerate(("global", "jacobian", "signal-to-noise", "rate")):
        select.select_option(index=index)
        assert get(page, "spectrum") == name
        assert changed(start, plots(page)) == (set() if name == "global" else {"spectrum"})
    for key, name in (
        ("ArrowUp", "signal-to-noise"),
        ("Home", "global"),
        ("ArrowDown", "jacobian"),
        ("End", "rate"),
    ):
        select.press(key)
        assert get(page, "spectrum") == name


def test_the_choice_of_cost_changes_its_plot_alone(show, html):
    page = show(html)
    select = page.locator("[data-control=against]")
    start = plots(page)
    select.select_option("test error")
    assert get(page, "against") == "test_error"
    assert changed(start, plots(page)) == {"costs"}
    select.press("ArrowUp")
    assert get(page, "against") == "distortion"
    assert plots(page) == start


def test_a_press_on_a_number_draws_its_reading_and_another_takes_it_away(show, html):
    page = show(html)
    columns = get(page, "facts")["columns"]
    start = get(page, "readings")
    for q, column in enumerate(columns):
        pair = [column["reading"], column["eps"]]
        button = page.locator(f".lr-reading[data-q='{q}']")
        was_on = pair in start
        for is_on, key in ((not was_on, None), (was_on, "Enter" if q % 2 else "Space")):
            if key:
                button.press(key)
            else:
                button.click()
            assert (pair in get(page, "readings")) == is_on
            assert button.get_attribute("aria-pressed") == str(is_on).lower()
            assert page.locator(f"[data-curve='{q}']").count() == is_on
            assert page.locator(f"[data-legend='{q}']").count() == is_on
            assert page.evaluate("document.activeElement.dataset.q") == str(q)  # the focus stays
    assert get(page, "readings") == start  # in the table's order
    for pair in start:
        page.locator(f".lr-reading[data-q='{columns.index(next(c for c in columns if [c['reading'], c['eps']] == pair))}']").click()  # fmt: skip
    assert get(page, "readings") == []
    assert "no reading is switched on" in page.locator("[data-plot=readings]").text_content()
    assert page.locator("[data-legend]").count() == 0


def test_beta_is_dragged_in_the_plot_of_readings(show, html):
    page = show(html)
    box = page.locator("[data-plot=readings]").bounding_box()
    places = attributes(page, "[data-curve] >> nth=0 >> circle", "data-beta", "cx")
    y = box["y"] + 60
    for beta, x in places[[0, 6, 9, 14]]:
        page.mouse.move(box["x"] + x + 3, y)
        page.mouse.down()
        assert get(page, "beta") == beta
        assert attributes(page, "[data-cursor]", "x1")[0, 0] == pytest.approx(x, abs=0.1)
        page.mouse.move(box["x"] + places[3, 1], y)
        assert get(page, "beta") == places[3, 0]
        page.mouse.up()
        page.mouse.move(box["x"] + box["width"] - 5, y)
        assert get(page, "beta") == places[3, 0]  # let go


def test_beta_is_dragged_along_the_costs(show):
    page = show(page_of(small_table(seeds=1)))
    box = page.locator("[data-plot=costs]").bounding_box()
    dots = attributes(page, "[data-plot=costs] .lr-seed", "cx", "cy")
    for beta, (x, y) in zip((1e-3, 0.1, 0.5, 1.0), dots, strict=True):
        page.mouse.click(box["x"] + x, box["y"] + y)
        assert get(page, "beta") == beta
        [here] = attributes(page, "[data-plot=costs] .lr-here", "cx", "cy")
        assert here == pytest.approx([x, y])


def test_play_turns_beta_to_the_end_and_stops(show, html):
    page = show(html)
    put(page, beta=0.7)
    play, beta = page.get_by_role("button", name="Turn β up"), page.locator("[data-control=beta]")
    play.click()
    page.wait_for_function("document.querySelector('[data-control=beta]').value === '14'")
    assert play.is_visible()  # its name is no longer "Pause"
    play.click()
    assert int(beta.input_value()) < 5  # it starts again
    beta.press("ArrowRight")  # a reader's hand stops it
    assert play.is_visible()


def test_a_screen_reader_is_told_where_play_stopped_and_not_each_step(show, html):
    page = show(html)
    output = page.locator("[data-output]")
    assert output.get_attribute("aria-live") == "polite"
    page.get_by_role("button", name="Turn β up").click()
    assert output.get_attribute("aria-live") == "off"
    page.get_by_role("button", name="Pause").click()
    assert output.get_attribute("aria-live") == "polite"
    assert output.text_content()


def test_reset_brings_back_what_python_set(show):
    start = {"beta": 0.1, "seed": 1, "spectrum": "rate", "readings": ["stable", ("absolute", 1.0)]}
    page = show(page_of(small_table(), **start))
    before, wanted = plots(page), settings(page)
    assert wanted == {**start, "readings": [["absolute", 1.0], ["stable", None]], "against": "distortion"}
    put(page, beta=1.0, seed=None, spectrum="global", readings=[], against="test_error")
    assert changed(before, plots(page)) == {"plane", "costs", "spectrum", "readings"}
    page.get_by_role("button", name="Turn β up").click()
    page.locator("[data-control=reset]").press("Enter")
    assert page.get_by_role("button", name="Turn β up").is_visible()
    assert (plots(page), settings(page)) == (before, wanted)


def test_what_python_sets_is_drawn(show, html):
    page = show(html)
    put(page, beta=0.8, seed=2, spectrum="rate", readings=[["active", 0.01]], against="test_error")
    assert page.locator("[data-control=beta]").input_value() == "13"
    for name, text in {"seed": "seed 2", "spectrum": "rate of every number of the code, nats", "against": "test error"}.items():  # fmt: skip
        assert page.locator(f"[data-control={name}]").input_value() == text
    pressed = page.locator(".lr-reading[aria-pressed=true]")
    assert pressed.evaluate_all("all => all.map((e) => e.ariaLabel.split(':')[0])") == ["active, ε 0.01"]
    assert page.locator("[data-output]").text_content().startswith("β 0.8, seed 2: ")


def test_letters_do_not_reach_the_notebook_and_shortcuts_do(show, html):
    page = show(html)
    page.evaluate("window.keys = []; document.addEventListener('keydown', (e) => keys.push(e.key))")
    for control in ("beta", "spectrum"):
        for key in ("a", "ArrowLeft", "Escape", "Control+s"):
            page.locator(f"[data-control={control}]").press(key)
    assert page.evaluate("keys") == ["Escape", "Control", "s"] * 2


def test_two_figures_on_a_page_do_not_move_each_other(show):
    html = page_of(small_table())
    page = show(html + html, ready=2)
    # as they stand; the one that is ready first gets the shorter id
    one, two = page.locator(".lr-figure").all()
    before = one.inner_html()
    two.locator("[data-control=beta]").press("Home")
    two.locator(".lr-reading").first.click()
    two.locator("[data-control=spectrum]").press("End")
    assert one.inner_html() == before
    assert two.locator("[data-output]").text_content().startswith("β 0.001:")
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids))


def test_cleaning_up_stops_everything(show):
    check_cleaning_up_stops_everything(show(page_of(small_table(), beta=0.001)), "beta", play="Turn β up")


def test_cleaning_up_leaves_no_control_alive(show):
    page = show(page_of(small_table()))
    before = settings(page)
    assert page.evaluate("""() => {
        const mount = document.querySelector(".lr-mount");
        const root = mount.querySelector(".lr-figure");
        const of = (control) => root.querySelector(`[data-control=${control}]`);
        mount.lrCleanup();
        for (const name of ["seed", "spectrum", "against"]) {
            of(name).selectedIndex = 1;
            of(name).dispatchEvent(new Event("change"));
        }
        ["play", "reset", "reading"].forEach((control) => of(control).click());
        for (const name of ["readings", "costs"]) {
            const plot = root.querySelector(`[data-plot=${name}]`);
            plot.dispatchEvent(new PointerEvent("pointerdown", { clientX: 60, clientY: 60, button: 0 }));
        }
        return root.isConnected;
    }""") is False  # fmt: skip
    assert settings(page) == before
