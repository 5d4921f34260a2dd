"""The playground as a widget: the page's half with a model that tells Python, and Python's half that listens."""

import base64

import pytest
import torch
from playground_page import (
    MODEL,
    QUICK,
    get,
    open_panel,
    press,
    saved,
    set_to,
    shown_step,
    train_to_the_end,
    wait_settled,
    without_still,
)

from lrlib.interactive.playground import Playground

pytestmark = pytest.mark.browser

WEIGHTS = f"""() => {{
    const view = {MODEL}.get("trained");
    const bytes = new Uint8Array(view.buffer ?? view, view.byteOffset ?? 0, view.byteLength);
    return [{MODEL}.get("step"), btoa(String.fromCharCode(...bytes))];
}}"""


@pytest.fixture
def live(show, monkeypatch):
    """A figure that is live, and a page with its JavaScript over a stand-in for the widget's model."""

    def go(changes=QUICK):
        monkeypatch.setenv("LRLIB_OUTPUT", "live")
        figure = Playground(settings=changes)
        page = show(without_still(figure))
        wait_settled(page)
        return figure, page

    return go


def handed_over(figure, page):
    """What the page told Python, told it as a widget's message."""
    step, text = page.evaluate(WEIGHTS)
    state = {"step": step, "trained": memoryview(base64.b64decode(text)), "settings": get(page, "settings")}
    figure.set_state(state)
    return figure.network()


def test_python_gets_the_weights_when_training_ends(live):
    figure, page = live()
    train_to_the_end(page)
    page.wait_for_function(f"{MODEL}.get('step') === {QUICK['steps']}")
    net = handed_over(figure, page)
    run = saved(page)
    assert figure.step == QUICK["steps"]
    for name, weight, bias in zip(net.layers, run["weights"], run["biases"], strict=True):
        layer = net.get_submodule(name)
        assert layer.weight.flatten().tolist() == weight
        assert layer.bias.tolist() == bias


def test_python_gets_the_weights_of_every_pause_and_step(live):
    _, page = live({**QUICK, "steps": 100_000})
    press(page, "start")
    page.wait_for_function("Number(document.querySelector('.lr-figure').dataset.step) > 50")
    press(page, "start")
    wait_settled(page)
    page.wait_for_function(f"{MODEL}.get('step') === {shown_step(page)}")
    for _ in range(3):
        before = shown_step(page)
        press(page, "step")
        page.wait_for_function(f"{MODEL}.get('step') === {before + 1}")
        wait_settled(page)
    press(page, "reset")
    page.wait_for_function(f"{MODEL}.get('step') === 0 && {MODEL}.get('trained').byteLength === 0")


def test_python_gets_weights_while_it_runs(live):
    _, page = live({**QUICK, "steps": 100_000})
    press(page, "start")
    page.wait_for_function(f"{MODEL}.get('step') > 0", timeout=20_000)
    first = get(page, "step")
    page.wait_for_function(f"{MODEL}.get('step') > {first}", timeout=20_000)


def test_a_file_is_handed_out_also_when_python_asks_at_the_same_time(live):
    _, page = live({**QUICK, "steps": 100_000})
    open_panel(page, "lr-takeaways")
    press(page, "start")
    page.wait_for_function("Number(document.querySelector('.lr-figure').dataset.step) > 20")
    with page.expect_download():
        page.evaluate(
            "() => ['save', 'start'].forEach((name) => document.querySelector(`[data-control=${name}]`).click())"
        )
    wait_settled(page)
    page.wait_for_function(f"{MODEL}.get('step') === {shown_step(page)}")


def test_the_notebook_s_address_is_not_touched(live):
    figure, page = live()
    page.evaluate("location.hash = '#data=rings'")
    set_to(page, reading="stable")
    wait_settled(page)
    assert get(page, "settings")["data"] == "moons"
    assert page.evaluate("location.hash") == "#data=rings"
    assert not figure.facts["address"]
    assert page.locator("[data-control=copy-link]").count() == 0


def test_a_second_view_does_not_wipe_what_python_has(show, monkeypatch):
    monkeypatch.setenv("LRLIB_OUTPUT", "live")
    figure = Playground(settings=QUICK)
    net = figure.network()
    figure.step, figure.trained = (
        5,
        torch.nn.utils.parameters_to_vector(net.parameters()).detach().numpy().tobytes(),
    )
    page = show(without_still(figure))
    wait_settled(page)
    step, text = page.evaluate(WEIGHTS)
    assert (step, base64.b64decode(text)) == (5, figure.trained)
