"""What the playground does when training diverges, its engine fails, or the page may have no worker."""

import pytest
from playground_page import (
    QUICK,
    TEACHER,
    choose,
    control,
    figure_data,
    html_of,
    opened,
    press,
    set_to,
    settings_of,
    shown_ranks,
    train_to_the_end,
    wait_settled,
)

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(
    "changes",
    [
        {**TEACHER, "lr": 5.0, "activation": "identity"},
        {**QUICK, "loss": "mse", "lr": 5.0, "activation": "identity", "momentum": 0.99},
    ],
)
def test_a_training_that_diverges_stops_with_a_message(show, changes):
    settings = settings_of({**changes, "steps": 2000})
    page = opened(show, settings)
    press(page, "start")
    alarm = page.locator("[data-alarm]")
    alarm.wait_for(state="visible", timeout=60_000)
    assert "training diverged" in alarm.text_content()
    assert alarm.get_attribute("role") == "alert"
    wait_settled(page)
    stopped, words = figure_data(page, "step"), alarm.text_content()
    assert int(stopped) < settings["steps"]
    again = """() => {
        document.querySelector("[data-control=start]").click();
        return document.querySelector("[data-alarm]").hidden;  // at once: it may be back in a frame or two
    }"""
    assert page.evaluate(again)  # and it stops where it stopped
    alarm.wait_for(state="visible", timeout=60_000)
    wait_settled(page)
    assert (figure_data(page, "step"), alarm.text_content()) == (stopped, words)
    choose(page, "lr", 0)
    wait_settled(page)
    assert alarm.is_hidden()
    assert control(page, "start").text_content() == "▶ Train"


def test_without_workers_it_trains_in_the_page(show, monkeypatch):
    page = show("<script>window.Worker = undefined;</script>" + html_of(QUICK))
    train_to_the_end(page)
    ranks = shown_ranks(page)
    other = show(html_of(QUICK))
    train_to_the_end(other)
    assert shown_ranks(other) == ranks


def test_an_engine_that_fails_says_so(show):
    page = opened(show)
    set_to(
        page, settings=settings_of({**QUICK, "activation": "none"})
    )  # no control can: it stands for a mistake of ours
    page.wait_for_selector("[data-alarm]:visible")
    assert "The engine stopped" in page.locator("[data-alarm]").text_content()
