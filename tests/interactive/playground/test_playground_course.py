"""A course of training in the page is the course that lrlib takes: losses, local ranks, weights; and so is its code."""

import numpy as np
import pytest
import torch
from playground_page import QUICK, html_of, saved, settings_of, train_to_the_end

import lrlib
from lrlib.interactive.playground import PRESETS, Playground
from lrlib.interactive.playground.course import trained

pytestmark = pytest.mark.browser

FIRST = 200  # updates over which losses are compared one by one
# Both sides compute in float64, from the same random numbers; a sum in another order, or an exponential that is rounded
# the other way, is 1e-16 at first, and grows with every update. Seen: 2e-13 in 200 updates.
LOSS_RTOL = 1e-9
WEIGHT_ATOL = 1e-6  # after thousands of updates, as large as a weight that matters is 1e-1
NEAR = 1e-6  # effective and stable ranks weigh small singular values too, which the page has to 1e-8 of the largest


def check_run(found, settings, reading, eps):
    net, history = trained(settings)
    relative = reading == "relative"
    assert found["settings"] == settings
    assert found["steps"] == list(history.steps)
    np.testing.assert_allclose(found["losses"][:FIRST], history.loss[:FIRST], rtol=LOSS_RTOL)
    for l, values in enumerate(zip(*(spectra.values for spectra in history.readings), strict=True)):
        for here, s, step in zip(found["local_rank"][l], values, history.steps, strict=True):
            # a threshold lies within rounding of one of these 100,000 values with a chance of 1e-9 or so
            assert here == lrlib.count_above(s, eps, relative=relative).double().mean().item(), (l, step)
    for name, weight, bias in zip(net.layers, found["weights"], found["biases"], strict=True):
        layer = net.get_submodule(name)
        for mine, theirs in ((weight, layer.weight), (bias, layer.bias)):
            np.testing.assert_allclose(mine, theirs.detach().flatten(), rtol=0, atol=WEIGHT_ATOL)


@pytest.mark.parametrize("preset", ["fall", "no-decay"])
def test_a_preset_trains_as_lrlib_does(show, preset):
    chosen = PRESETS[preset]
    page = show(html_of(preset=preset))
    train_to_the_end(page)
    check_run(saved(page), chosen.settings, chosen.reading, chosen.eps)


@pytest.mark.parametrize(
    "changes",
    [
        QUICK,
        {**QUICK, "data": "spirals", "loss": "mse", "activation": "tanh", "momentum": 0.9, "lr": 0.02},
        {**QUICK, "data": "rings", "activation": "silu", "batch": 500, "noise": 0.0},
        {**QUICK, "data": "digits", "width": 16, "activation": "elu", "seed": 7},
        {**QUICK, "data": "teacher", "loss": "mse", "inputs": 5, "rank": 1, "activation": "softplus"},
        {
            **QUICK,
            "data": "teacher",
            "loss": "mse",
            "inputs": 2,
            "rank": 2,
            "activation": "identity",
            "scale": 0.1,
        },
    ],
    ids=["moons", "spirals", "rings", "digits", "teacher", "linear"],
)
def test_any_other_settings_do_too(show, changes):
    page = show(html_of(changes))
    train_to_the_end(page)
    preset = PRESETS["fall"]
    check_run(saved(page), settings_of(changes), preset.reading, preset.eps)


@pytest.mark.parametrize("reading", ["absolute", "relative", "data-scaled", "effective", "stable"])
@pytest.mark.parametrize("data", ["moons", "teacher", "digits"])
def test_the_code_that_is_copied_gives_the_page_s_curves(show, data, reading, capsys):
    changes = {
        **QUICK,
        "data": data,
        "inputs": 5,
        "rank": 2,
        "loss": "mse" if data != "digits" else "cross_entropy",
    }
    figure = Playground(settings=changes)
    figure.reading, figure.eps = reading, 0.2
    figure.still = lambda: b""
    page = show(figure.page())
    code = page.locator("[data-code]").text_content()
    assert code == figure.code()
    train_to_the_end(page)
    found = saved(page)
    namespace = {}
    dtype = torch.get_default_dtype()
    try:
        exec(code, namespace)
    finally:
        torch.set_default_dtype(dtype)
    ranks = np.array(namespace["local_rank"]).T
    tolerance = NEAR if reading in ("effective", "stable") else 0
    np.testing.assert_allclose(found["local_rank"], ranks, rtol=tolerance, atol=0)
    np.testing.assert_allclose(found["losses"], namespace["history"].loss, rtol=LOSS_RTOL)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == len(found["steps"])
    assert printed[-1].split() == [str(changes["steps"]), *(f"{rank:.2f}" for rank in ranks[:, -1])]
