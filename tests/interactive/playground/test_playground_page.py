"""The playground in a page: its buttons, settings, readings and words."""

import itertools
import json

import pytest
import torch
from playground_page import (
    PATIENCE,
    QUICK,
    TEACHER,
    choose,
    control,
    figure_data,
    get,
    opened,
    press,
    saved,
    set_to,
    shown_ranks,
    shown_step,
    train_to_the_end,
    wait_settled,
)

import lrlib
from lrlib.interactive.playground import CHOICES, PRESETS
from lrlib.interactive.playground.course import draw, float64, trained
from lrlib.interactive.playground.settings import READINGS, THRESHOLDS

pytestmark = pytest.mark.browser


# --- the run -------------------------------------------------------------------------------------------------------


def test_it_waits_at_step_0_until_it_is_started(show):
    page = opened(show)
    page.wait_for_timeout(300)
    assert shown_step(page) == 0
    assert control(page, "start").text_content() == "▶ Train"
    assert len(shown_ranks(page)) == QUICK["depth"] + 1


def test_training_goes_on_where_it_was_paused(show):
    page = opened(show, {**QUICK, "steps": 100_000})
    press(page, "start")
    page.wait_for_function("Number(document.querySelector('.lr-figure').dataset.step) > 100")
    assert control(page, "start").text_content() == "❚❚ Pause"
    press(page, "start")
    wait_settled(page)
    paused = shown_step(page)
    page.wait_for_timeout(300)
    assert shown_step(page) == paused
    assert control(page, "start").text_content() == "▶ Go on"
    press(page, "start")
    page.wait_for_function(f"Number(document.querySelector('.lr-figure').dataset.step) > {paused}")


def test_step_takes_one_step_and_reset_takes_all_back(show):
    page = opened(show)
    first = shown_ranks(page)
    for count in (1, 2, 3):
        press(page, "step")
        page.wait_for_selector(f".lr-figure[data-step='{count}']")
        wait_settled(page)
    assert saved(page)["steps"] == [0, 1, 2, 3]
    press(page, "reset")
    page.wait_for_selector(".lr-figure[data-step='0']")
    wait_settled(page)
    assert shown_ranks(page) == first
    assert control(page, "start").text_content() == "▶ Train"


def test_a_pause_or_a_speed_changes_nothing_of_what_is_computed(show):
    page = opened(show)
    train_to_the_end(page)
    whole = saved(page)
    press(page, "reset")
    choose(page, "speed", 0)
    press(page, "start")
    page.wait_for_function("Number(document.querySelector('.lr-figure').dataset.step) > 20")
    press(page, "start")
    wait_settled(page)
    assert 20 < shown_step(page) < QUICK["steps"]
    press(page, "step")
    choose(page, "speed", 2)
    train_to_the_end(page)
    with page.expect_download() as download:
        press(page, "save")
    assert json.loads(download.value.path().read_text("utf-8")) == whole


def test_at_the_end_it_can_be_seen_again(show):
    page = opened(show)
    train_to_the_end(page)
    ranks = shown_ranks(page)
    assert shown_step(page) == QUICK["steps"]
    assert control(page, "step").get_attribute("aria-disabled") == "true"
    control(page, "step").click(force=True)  # it keeps the focus, so it can be pressed
    page.wait_for_timeout(100)
    assert shown_step(page) == QUICK["steps"]
    assert control(page, "start").text_content() == "▶ Again"
    choose(page, "speed", 0)
    press(page, "start")
    page.wait_for_function(f"Number(document.querySelector('.lr-figure').dataset.step) < {QUICK['steps']}")
    train = "document.querySelector('[data-control=start]')"
    assert page.evaluate(f"document.activeElement === {train}")
    choose(page, "speed", 3)
    page.wait_for_selector(".lr-figure[data-finished=true][data-settled=true]", timeout=PATIENCE)
    assert shown_ranks(page) == ranks


def test_what_is_shown_at_a_pause_is_of_that_step(show):
    """Also where a record and a reading between two records come in one frame."""
    page = opened(show, {**QUICK, "steps": 500})
    choose(page, "speed", 1)
    for _ in range(6):
        press(page, "start")
        page.wait_for_timeout(120)
        press(page, "start")
        wait_settled(page)
        step = figure_data(page, "step")
        for plot in ("ranks", "loss", "score", "values"):
            label = page.locator(f"[data-plot={plot}]").get_attribute("aria-label")
            assert f"at step {step}" in label
        if int(step) == 500:
            break
    assert int(step) > 0


@pytest.mark.parametrize(("speed", "most", "least"), [(0, 1, 1), (1, 10, 2), (2, 100, 11)])
def test_a_speed_is_a_number_of_steps_a_frame(show, speed, most, least):
    """A frame's time may end before its steps are done, so at least one must have more than the speed below."""
    page = opened(show, {**QUICK, "steps": 100_000})
    choose(page, "speed", speed)
    counts = page.evaluate(
        """async (most) => {
            const figure = document.querySelector(".lr-figure");
            document.querySelector("[data-control=start]").click();
            const seen = [];
            while (new Set(seen).size < 20) {
                await new Promise(requestAnimationFrame);
                seen.push(Number(figure.dataset.step));
            }
            return seen;
        }""",
        most,
    )
    jumps = [b - a for a, b in itertools.pairwise(counts)]
    assert least <= max(jumps) <= most


# --- settings ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(CHOICES))
def test_each_setting_can_be_chosen_and_starts_a_new_run(show, name):
    page = opened(show, {"steps": 500} if name not in ("inputs", "rank", "loss") else TEACHER)
    assert get(page, "preset") == ""
    press(page, "step")
    page.wait_for_selector(".lr-figure[data-step='1']")
    now = CHOICES[name].index(get(page, "settings")[name])
    other = (now + 1) % len(CHOICES[name])
    if name == "loss":  # a teacher has no classes: its loss cannot be chosen
        assert control(page, "loss").is_disabled()
        choose(page, "data", CHOICES["data"].index("moons"))
        wait_settled(page)
    choose(page, name, other)
    page.wait_for_selector(".lr-figure[data-step='0']")
    wait_settled(page)
    assert get(page, "settings")[name] == CHOICES[name][other]


def test_a_preset_with_another_seed_is_still_the_preset(show):
    page = opened(show, {})
    choose(page, "seed", 4)
    assert get(page, "preset") == "fall"
    assert page.locator("[data-sentence]").text_content() == PRESETS["fall"].sentence
    choose(page, "batch", 0)
    assert get(page, "preset") == ""
    assert control(page, "preset").first.get_attribute("aria-pressed") == "false"
    choose(page, "batch", CHOICES["batch"].index(PRESETS["fall"].settings["batch"]))
    choose(page, "seed", 5)
    assert "Checked on the seeds 0 to 4" in page.locator("[data-sentence]").text_content()
    page.locator("[data-preset=no-decay]").click()
    assert get(page, "settings") == {**PRESETS["no-decay"].settings, "seed": 5}
    choose(page, "decay", CHOICES["decay"].index(PRESETS["fall"].settings["decay"]))
    assert get(page, "preset") == "fall"


def test_settings_that_do_not_go_together_are_brought_together(show):
    page = opened(show, {**QUICK, "rank": 10, "inputs": 30})
    assert control(page, "inputs").is_hidden()
    choose(page, "data", CHOICES["data"].index("teacher"))
    assert get(page, "settings")["loss"] == "mse"
    assert page.locator("label:has([data-control=noise]) span").text_content() == "Target noise"
    choose(page, "inputs", CHOICES["inputs"].index(3))
    assert get(page, "settings")["rank"] == 3
    wait_settled(page)
    assert page.locator("[data-alarm]").is_hidden()


@pytest.mark.parametrize("key", list(PRESETS))
def test_a_preset_brings_its_settings_and_its_sentence(show, key):
    page = opened(show)
    preset = PRESETS[key]
    page.locator(f"[data-preset={key}]").click()
    wait_settled(page)
    assert get(page, "settings") == preset.settings
    assert (get(page, "reading"), get(page, "eps"), get(page, "layer")) == (
        preset.reading,
        preset.eps,
        preset.layer,
    )
    assert page.locator("[data-sentence]").text_content() == preset.sentence
    pressed = page.locator("[data-control=preset][aria-pressed=true]")
    assert pressed.all_text_contents() == [preset.name]


def test_fewer_layers_leave_no_picture_of_one_that_is_gone(show):
    page = opened(show, {**QUICK, "depth": 5})
    set_to(page, layer=6)
    choose(page, "depth", 0)
    wait_settled(page)
    assert get(page, "layer") == 2
    assert control(page, "layer").locator("option").all_text_contents() == ["L1", "L2"]


# --- readings ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reading", READINGS)
def test_readings_are_lrlib_s(show, reading):
    page = opened(show)
    train_to_the_end(page)
    choose(page, "reading", READINGS.index(reading))
    counted = reading in READINGS[:3]
    assert control(page, "eps").is_visible() == counted
    settings = get(page, "settings")
    net, _ = trained(settings)
    with float64():
        x, _, x_test, _ = draw(settings, lrlib.runtime.generator(settings["seed"]))
    factor = lrlib.covariance_root(x) if reading == "data-scaled" else None
    spectra = lrlib.jacobian_spectra(net, x_test[:64], input_factor=factor)
    for eps in (0.01, 0.5) if counted else (THRESHOLDS[0],):
        set_to(page, eps=eps)
        wait_settled(page)
        expected = {
            "effective": lrlib.effective_rank,
            "stable": lrlib.stable_rank,
        }.get(reading, lambda s, eps=eps: lrlib.count_above(s, eps, relative=reading == "relative"))
        ranks = [expected(s).double().mean().item() for s in spectra.values]
        assert shown_ranks(page) == pytest.approx(ranks, rel=1e-6, abs=0)


def test_the_threshold_moves_by_key(show):
    page = opened(show)
    control(page, "eps").focus()
    page.keyboard.press("ArrowRight")
    assert get(page, "eps") == THRESHOLDS[THRESHOLDS.index(0.1) + 1]
    page.keyboard.press("Home")
    assert get(page, "eps") == THRESHOLDS[0]
    control(page, "reading").focus()
    page.keyboard.press("ArrowDown")
    assert get(page, "reading") == READINGS[1]
    control(page, "start").focus()
    page.keyboard.press("Space")
    page.wait_for_selector(".lr-figure[data-finished=true]")


def test_what_is_said_is_what_was_found(show):
    page = opened(show)
    train_to_the_end(page)
    run = saved(page)
    train, test = run["train"][-1], run["test"][-1]
    words = page.locator("[data-status]").text_content()
    assert words.startswith(f"Step {QUICK['steps']} of {QUICK['steps']}")
    assert f"{train['loss']:.3g} in training, {test['loss']:.3g} in test" in words
    assert f"test accuracy {round(100 * test['score'])} %" in words
    said = page.locator("[data-output]").text_content()
    assert all(f"L{l + 1} {float(f'{rank:.3g}'):g}" in said for l, rank in enumerate(shown_ranks(page)))
    settings = get(page, "settings")
    time = settings["lr"] * settings["decay"] * QUICK["steps"]
    assert f"is at {time:.3g}" in page.locator("[data-clock]").text_content()


def test_losses_and_scores_are_lrlib_s(show):
    page = opened(show)
    train_to_the_end(page)
    run, settings = saved(page), get(page, "settings")
    net, _ = trained(settings)
    with float64():
        x, y, x_test, y_test = draw(settings, lrlib.runtime.generator(settings["seed"]))
    for found, inputs, labels in ((run["train"], x, y), (run["test"], x_test, y_test)):
        loss = torch.nn.functional.cross_entropy(net(inputs), labels).item()
        assert found[-1]["loss"] == pytest.approx(loss, rel=1e-6)
        assert found[-1]["score"] == lrlib.train.accuracy(net, inputs, labels)
