"""What the tests of the playground do in a page: set it, train it, and take away what it found."""

import json
import re

import torch

from lrlib.data import load
from lrlib.interactive.playground import CHOICES, Playground
from lrlib.interactive.playground.presets import PRESETS

MODEL = "document.querySelector('.lr-mount').lrModel"
PATIENCE = 120_000  # ms: for a course of training on a busy machine
QUICK = {
    "data": "moons",
    "loss": "cross_entropy",
    "width": 8,
    "depth": 2,
    "steps": 200,
    "decay": 0.01,
    "noise": 0.1,
}
TEACHER = {**QUICK, "data": "teacher", "loss": "mse", "inputs": 15, "rank": 3}


def settings_of(changes, preset="fall"):
    return {**PRESETS[preset].settings, **changes}


def without_still(figure):
    """The figure's page without its picture, which lrlib would have to train for."""
    figure.still = lambda: b""
    return figure.page()


def html_of(changes=None, **options):
    return without_still(Playground(settings=changes or {}, **options))


def page_digits():
    """What the page holds of the digits, for the engine's digitsOf()."""
    train, test = load("digits", n=500, seed=0), load("digits", split="test")
    deviation, mean = torch.std_mean(train.x.double(), correction=0)
    return {
        "pixels": torch.cat([train.x, test.x]).mul(16).round().long().flatten().tolist(),
        "labels": torch.cat([train.y, test.y]).tolist(),
        "training": len(train),
        "mean": float(mean),
        "deviation": float(deviation),
    }


def set_to(page, **values):
    page.evaluate(
        f"values => Object.entries(values).forEach(([name, value]) => {MODEL}.set(name, value))", values
    )


def get(page, name):
    return page.evaluate(f"{MODEL}.get('{name}')")


def press(page, control):
    page.locator(f"[data-control={control}]").click()


def figure_data(page, name):
    return page.locator(".lr-figure").get_attribute(f"data-{name}")


def wait_settled(page):
    """Until nothing more will change: paused or at the end, and the pictures are of that step."""
    page.wait_for_selector(".lr-figure[data-settled=true]", timeout=PATIENCE)


def open_panel(page, name):
    """Open the settings (``lr-all-settings``) or what can be taken away (``lr-takeaways``), if it is closed."""
    if page.locator(f"details.{name}:not([open])").count():
        page.locator(f"details.{name} > summary").click()


def train_to_the_end(page):
    wait_settled(page)
    if page.locator("[data-control=speed]").count():
        page.locator("[data-control=speed]").select_option(label="as fast as it goes")
    press(page, "start")
    page.wait_for_selector(".lr-figure[data-finished=true]", timeout=PATIENCE)
    wait_settled(page)


def saved(page):
    """The file that "Save the run" hands out."""
    open_panel(page, "lr-takeaways")
    with page.expect_download() as download:
        press(page, "save")
    with open(download.value.path(), encoding="utf-8") as file:
        return json.load(file)


def shown_ranks(page):
    """The local ranks at the ends of the curves."""
    return json.loads(page.locator("[data-plot=ranks]").get_attribute("data-ranks"))


def shown_step(page):
    return int(re.match(r"Step ([\d,]+)", page.locator("[data-status]").inner_text())[1].replace(",", ""))


def control(page, name):
    return page.locator(f"[data-control={name}]")


def choose(page, name, index):
    if name in CHOICES:
        open_panel(page, "lr-all-settings")
    control(page, name).select_option(index=index)


def opened(show, changes=QUICK, **options):
    page = show(html_of(changes), **options)
    wait_settled(page)
    return page
