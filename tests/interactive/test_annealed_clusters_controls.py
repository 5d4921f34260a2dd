"""AnnealedClusters in a real browser: every control moves it, by mouse and by keys, and Python does."""

import pytest
from annealed_examples import ANIMALS, PLACES, made_up, solved
from annealed_page import attributes, check_numbers, get, move, page_of, set_to
from cleaning_up import check_cleaning_up_stops_everything

from lrlib.interactive import AnnealedClusters

pytestmark = pytest.mark.browser


def test_the_slider_answers_keys(show):
    path = solved(8, 2)
    page = show(page_of(AnnealedClusters(path)))
    slider = page.locator("[data-control=beta]")
    for key, place in (
        ("Home", 0),
        ("ArrowRight", 1),
        ("ArrowUp", 2),
        ("ArrowLeft", 1),
        ("PageUp", 4),
        ("End", 24),
    ):
        slider.press(key)
        assert get(page, "beta") == path.betas[place].item()
        assert slider.get_attribute("aria-valuetext") == f"{path.betas[place]:.4g}"


def test_the_cursor_is_dragged_in_the_tree(show):
    path = solved(8, 2)
    page = show(page_of(AnnealedClusters(path)))
    box = page.locator("[data-plot=tree]").bounding_box()
    ends = {}
    for place in (0, 24):
        move(page, place)
        ends[place] = attributes(page, "[data-cursor]", "x1")[0, 0]
    y = box["y"] + 100
    page.mouse.move(box["x"] + 5, y)
    page.mouse.down()
    assert get(page, "beta") == path.betas[0].item()
    page.mouse.move(box["x"] + (ends[0] + ends[24]) / 2, y, steps=3)
    assert get(page, "beta") == path.betas[12].item()
    page.mouse.move(box["x"] + box["width"] - 2, y)
    assert get(page, "beta") == path.betas[24].item()
    page.mouse.up()
    page.mouse.move(box["x"] + 100, y)
    assert get(page, "beta") == path.betas[24].item()  # let go


def test_buttons_jump_from_split_to_split(show):
    path = solved(8, 2)
    splits = [i for i in range(1, 25) if path.clusters[i] != path.clusters[i - 1]]
    assert len(splits) == 3
    page = show(page_of(AnnealedClusters(path, beta=1.0)))
    previous = page.get_by_role("button", name="Previous split")
    following = page.get_by_role("button", name="Next split")
    assert previous.get_attribute("aria-disabled") == "true"
    for place in splits:
        following.press("Enter")
        assert get(page, "beta") == path.betas[place].item()
    following.click(force=True)  # there is no other
    assert following.get_attribute("aria-disabled") == "true"
    assert get(page, "beta") == path.betas[splits[-1]].item()
    for place in splits[-2::-1]:
        previous.click()
        assert get(page, "beta") == path.betas[place].item()


def test_play_goes_up_to_the_last_beta_and_stops(show):
    path = solved(8, 2)
    page = show(page_of(AnnealedClusters(path, beta=path.betas[22].item())))
    play = page.get_by_role("button", name="Raise β")
    play.click()
    page.wait_for_function("document.querySelector('[data-control=beta]').value === '24'")
    assert play.is_visible()  # its name is no longer "Pause"
    play.evaluate("e => { e.click(); e.dataset.at = document.querySelector('[data-control=beta]').value; }")
    assert page.locator("[data-control=play]").get_attribute("data-at") == "0"  # it starts again
    page.locator("[data-control=beta]").press("ArrowRight")  # a reader's hand stops it
    assert play.is_visible()


def test_reset_brings_back_what_python_set(show):
    paths = {"three": solved(8, 3), "two": solved(8, 2)}
    page = show(page_of(AnnealedClusters(paths, beta=5.0)))
    before = page.locator(".lr-figure").inner_html()
    first = [get(page, name) for name in ("table", "outcome", "beta")]
    page.locator("[data-control=table]").select_option("two")
    move(page, 0)
    page.get_by_role("button", name="Raise β").click()
    page.locator("[data-control=reset]").press("Enter")
    assert [get(page, name) for name in ("table", "outcome", "beta")] == first
    assert page.locator(".lr-figure").inner_html() == before


def test_another_table_is_drawn_with_its_own_names(show):
    paths = {"three": solved(8, 3), "many": made_up(30, 5), "two": solved(8, 2)}
    figure = AnnealedClusters(paths, beta=5.0)
    page = show(page_of(figure))
    select, upwards = page.locator("[data-control=table]"), page.locator("[data-control=outcome]")
    upwards.select_option("P(y3)")
    figure.outcome = "y3"
    for key, title in ((None, "many"), ("ArrowDown", "two"), ("Home", "three")):
        select.press(key) if key else select.select_option(title)
        figure.table = title
        for name in ("table", "outcome", "beta"):
            assert get(page, name) == getattr(figure, name)  # Python would do the same
        path = paths[title]
        place = path.betas.tolist().index(get(page, "beta"))
        outcome = get(page, "outcome")
        assert outcome == ("y3" if title == "many" else "y2")  # of two outcomes, the second; it stays
        names = [f"x{i + 1}" for i in range(path.joint.shape[0])]
        outcomes = [f"y{j + 1}" for j in range(path.joint.shape[1])]
        check_numbers(page, path, place, [float(name == outcome) for name in outcomes], names, outcomes)
        assert upwards.is_visible() == (title != "two")


def test_the_axis_is_chosen_by_mouse_and_keys(show):
    page = show(page_of(AnnealedClusters(solved(8, 3), names=ANIMALS, outcomes=PLACES)))
    select = page.locator("[data-control=outcome]")
    assert select.locator("option").all_text_contents() == [
        "main axis of p(y|x)",
        "P(land)",
        "P(air)",
        "P(water)",
    ]
    heading = page.locator(".lr-heading").first
    assert "main axis of the predictions, 0 at p(y): up is more " in heading.text_content()
    select.select_option("P(air)")
    assert get(page, "outcome") == "air"
    assert "What each cluster predicts: P(air);" in heading.text_content()
    for key, outcome in (("ArrowDown", "water"), ("Home", None), ("End", "water"), ("ArrowUp", "air")):
        select.press(key)
        assert get(page, "outcome") == outcome


def test_what_python_sets_is_drawn(show):
    paths = {"three": solved(8, 3), "two": solved(8, 2)}
    page = show(page_of(AnnealedClusters(paths)))
    for values in ({"beta": 1.0}, {"outcome": "y1"}, {"table": "two"}, {"outcome": "y2"}, {"beta": 30.0}):
        set_to(page, **values)
    assert page.locator("[data-control=beta]").input_value() == "24"
    check_numbers(page, paths["two"], 24, [0, 1], [f"x{i + 1}" for i in range(8)], ["y1", "y2"])


def test_every_control_has_a_label_and_takes_the_focus_in_order(show):
    paths = {"three": solved(8, 3), "two": solved(8, 2)}
    page = show(page_of(AnnealedClusters(paths, beta=5.0)))
    for role, name in (
        ("combobox", "Table"),
        ("combobox", "Drawn upwards"),
        ("slider", "β"),
        ("button", "Raise β"),
    ):
        assert page.get_by_role(role, name=name).count() == 1
    order = []
    for _ in range(7):
        page.keyboard.press("Tab")
        order.append(page.evaluate("document.activeElement.dataset.control"))
    assert order == ["table", "outcome", "play", "beta", "previous", "next", "reset"]
    assert page.locator("[data-output]").get_attribute("aria-live") == "polite"
    assert page.locator("[data-plot][role=img]:not([aria-label])").count() == 0
    assert page.locator("tbody th[scope=row]").count() == page.locator("[data-mass]").count()


def test_letters_do_not_reach_the_notebook_and_shortcuts_do(show):
    page = show(page_of(AnnealedClusters(solved(8, 3))))
    page.evaluate("window.keys = []; document.addEventListener('keydown', (e) => keys.push(e.key))")
    for control in ("beta", "outcome"):
        for key in ("a", "ArrowLeft", "Escape", "Control+s"):
            page.locator(f"[data-control={control}]").press(key)
    assert page.evaluate("keys") == ["Escape", "Control", "s"] * 2


def test_two_figures_on_a_page_do_not_move_each_other(show):
    page = show(page_of(AnnealedClusters(solved(8, 2))) + page_of(AnnealedClusters(solved(8, 3))), ready=2)
    # as they stand; the one that is ready first gets the shorter id
    one, two = page.locator(".lr-figure").all()
    before = one.inner_html()
    two.locator("[data-control=beta]").press("End")
    assert one.inner_html() == before
    assert two.locator("[data-control=beta]").input_value() == "24"
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids))


def test_cleaning_up_stops_everything(show):
    page = show(page_of(AnnealedClusters(solved(8, 2))))
    check_cleaning_up_stops_everything(page, "beta", play="Raise β")


def test_reduced_motion_has_no_play_button(show):
    page = show(page_of(AnnealedClusters(solved(8, 2))), reduced_motion="reduce")
    assert not page.locator("[data-control=play]").is_visible()
    assert page.locator("[data-control=beta]").is_visible()
