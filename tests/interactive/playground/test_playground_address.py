"""The playground's state in the page's address: a link opens the same experiment, and what is wrong in it is said."""

import pytest
from playground_page import (
    QUICK,
    get,
    html_of,
    open_panel,
    press,
    shown_ranks,
    shown_step,
    train_to_the_end,
    wait_settled,
)

from lrlib.interactive.playground import PRESETS

pytestmark = pytest.mark.browser
HOST = "https://playground.test"  # nobody's: the page is put there by the test; https, for the clipboard


@pytest.fixture
def visit(browser):
    """Open the playground at an address of its own; returns the page, whose console must stay clean."""
    contexts, errors = [], []

    def go(fragment="", changes=None, **options):
        context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
        contexts.append(context)
        body = f"<!doctype html><meta charset=utf-8><h2 id=far>Far</h2>{html_of(changes, **options)}"
        context.route(f"{HOST}/**", lambda route: route.fulfill(body=body, content_type="text/html"))
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda message: message.type == "error" and errors.append(message.text))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{HOST}/page.html{fragment}")
        wait_settled(page)
        return page

    yield go
    for context in contexts:
        context.close()
    assert [error for error in errors if "favicon" not in error] == []


def fragment(page):
    return page.evaluate("location.hash")


def test_it_is_bare_until_something_is_chosen(visit):
    assert fragment(visit()) == ""


def test_a_link_opens_the_same_experiment(visit):
    page = visit(changes=QUICK)
    open_panel(page, "lr-all-settings")
    page.locator("[data-control=seed]").select_option(index=3)
    page.locator("[data-control=reading]").select_option(index=1)
    page.locator("[data-control=layer]").select_option(index=0)
    train_to_the_end(page)
    ranks = shown_ranks(page)
    open_panel(page, "lr-takeaways")
    press(page, "copy-link")
    page.get_by_text("The link is in the clipboard.").wait_for()
    link = page.evaluate("navigator.clipboard.readText()")
    assert link == page.evaluate("location.href")
    other = visit(link.removeprefix(f"{HOST}/page.html"))
    for name in ("settings", "reading", "eps", "layer"):
        assert get(other, name) == get(page, name)
    assert shown_step(other) == 0
    train_to_the_end(other)
    assert shown_ranks(other) == ranks


def test_an_address_may_be_short(visit):
    page = visit("#data=rings&loss=cross_entropy&lr=0.050&decay=5e-3")
    changes = {"data": "rings", "loss": "cross_entropy", "lr": 0.05, "decay": 0.005}
    assert get(page, "settings") == {**PRESETS["fall"].settings, **changes}
    assert get(page, "preset") == ""


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("#width=999", "width=999: must be one of 4, 8, 16, 24, 32, 48, 64"),
        ("#seed=-1", "seed=-1: must be 0 to 99"),
        ("#lr=", "lr=: must be one of"),
        ("#colour=red&width=8", "colour: is no setting"),
        ("#constructor=1&__proto__=2", "constructor: is no setting; __proto__: is no setting"),
        ("#data=<img src=x onerror=alert(1)>", "data=<img src=x onerror=alert(1)>: must be one of"),
    ],
)
def test_what_is_wrong_in_an_address_is_said_and_left_out(visit, text, complaint):
    page = visit(text)
    assert complaint in page.locator("[data-alarm]").text_content()
    fall = PRESETS["fall"].settings
    assert get(page, "settings") == ({**fall, "width": 8} if "width=8" in text else fall)
    assert page.locator("[data-alarm] img").count() == 0


def test_settings_in_an_address_that_do_not_go_together_are_brought_together(visit):
    page = visit("#data=teacher&inputs=3&rank=10&loss=cross_entropy&layer=6&depth=1")
    settings = get(page, "settings")
    assert (settings["inputs"], settings["rank"], settings["loss"]) == (3, 3, "mse")
    assert get(page, "layer") == 2
    alarm = page.locator("[data-alarm]")
    for complaint in (
        "rank=10: does not go with the others; 3 is used",
        "loss=cross_entropy: does",
        "layer=6: does",
    ):
        assert complaint in alarm.text_content()
    open_panel(page, "lr-all-settings")
    page.locator("[data-control=width]").select_option(index=0)
    wait_settled(page)
    assert alarm.is_hidden()  # it was of the address


def test_a_new_address_in_the_same_page_is_read(visit):
    page = visit()
    page.evaluate("location.hash = '#data=moons&loss=cross_entropy&steps=100'")
    page.wait_for_function("document.querySelector('.lr-mount').lrModel.get('settings').data === 'moons'")
    wait_settled(page)
    assert "of 100:" in page.locator("[data-status]").text_content()


def test_the_page_s_own_links_are_left_alone(visit):
    page = visit("#far")
    assert page.locator("[data-alarm]").is_hidden()
    assert fragment(page) == "#far"


def test_a_compact_one_does_not_touch_the_address(visit):
    page = visit("#data=moons", {"steps": 100}, compact=True)
    assert get(page, "settings")["data"] == PRESETS["fall"].settings["data"]
    train_to_the_end(page)
    assert fragment(page) == "#data=moons"


def test_the_code_is_copied(visit):
    page = visit(changes=QUICK)
    open_panel(page, "lr-takeaways")
    press(page, "copy-code")
    page.get_by_text("The code is in the clipboard.").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == page.locator("[data-code]").text_content()


def test_a_clipboard_that_is_refused_is_said(visit):
    page = visit(changes=QUICK)
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('no')); }")
    open_panel(page, "lr-takeaways")
    press(page, "copy-code")
    page.get_by_text("select the text and copy it").wait_for()
