"""What the tests of BetaDial read in a page."""

import base64
import math

import numpy as np
import pandas as pd
import pytest

from lrlib.interactive import BetaDial

MODEL = "document.querySelector('.lr-mount').lrModel"
PLOTS = ("plane", "costs", "spectrum", "readings")
SETTINGS = ("beta", "seed", "spectrum", "readings", "against")
PIXEL = 0.11  # marks are placed in hundredths of a pixel, paths and words in tenths
SINGLE = 2e-7  # float32: numbers are sent so
BENDS = {"rate": 0.3, "distortion": 0.1, "test_error": 0.02, "rank": 2.0}  # below these, axes are linear
NBSP = "\u00a0"
# a white PNG of one pixel
PIXEL_PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAsTj2FAAAAABJRU5ErkJggg=="
)


def page_of(table, **settings):
    """The figure's page without its still, which takes most of the time and has tests of its own."""
    figure = BetaDial(table, **settings)
    figure.still = lambda: PIXEL_PNG
    return figure.page()


def get(page, name):
    return page.evaluate(f"{MODEL}.get('{name}')")


def put(page, **values):
    """Set traits, as Python does when live."""
    page.evaluate(f"values => Object.entries(values).forEach(([n, v]) => {MODEL}.set(n, v))", values)


def settings(page):
    return {name: get(page, name) for name in SETTINGS}


def plots(page):
    return {name: page.locator(f"[data-plot={name}]").inner_html() for name in PLOTS}


def chosen(table, *, reading, beta, eps=None, seed=None, part="sweep", layer="code"):
    """The means of a reading over seeds: a pandas Series, empty if it is not stored."""
    rows = table[table["part"].eq(part) & table["layer"].eq(layer) & table["reading"].eq(reading) & table["beta"].eq(beta)]  # fmt: skip
    rows = rows[rows["eps"].isna() if eps is None else rows["eps"].astype(float).eq(eps)]
    return (rows if seed is None else rows[rows["seed"].eq(seed)])["mean"].astype(float).dropna()


def pairs_of(text):
    """The numbers of a stored spectrum, by place."""
    return {int(place): float(value) for place, value in (pair.split(":") for pair in text.split())}


def spectra(table, reading, beta):
    """A row for each seed, a column for each place."""
    rows = table[table["part"].eq("sweep") & table["reading"].eq(reading) & table["beta"].eq(beta)]
    return pd.DataFrame([pairs_of(text) for text in rows["values"].dropna()])


def assert_written(text, expected):
    """The text is this number, in at least two of its digits; a percentage if it says so."""
    text = text.replace(NBSP, " ").replace("−", "-")
    unit = 0.01 if text.endswith(" %") else 1
    number = text.removesuffix(" %")
    mantissa, _, power = number.partition("e")
    last = unit * 10.0 ** (int(power or 0) - len(mantissa.partition(".")[2]))
    assert float(number) * unit == pytest.approx(expected, abs=0.501 * last, rel=SINGLE)
    assert last <= max(0.02 * abs(expected), 0.01 if unit == 1 else 1e-4)


def attributes(page, selector, *names):
    """Numbers in attributes of what the selector finds, a row each."""
    read = "(all, names) => all.map((e) => names.map((name) => Number(e.getAttribute(name))))"
    return np.array(page.locator(selector).evaluate_all(read, list(names)))


def axis(page, plot, letter, straighten=lambda value: value):
    """The map from a value to its pixel in a plot, read off the ticks; ``straighten`` makes the axis linear."""
    aside = {"x": 0, "y": 4}[letter]  # words stand a little below what they name
    ticks = attributes(page, f"[data-plot={plot}] [data-{letter}-tick]", f"data-{letter}-tick", letter)
    assert len(ticks) >= 2
    line = np.polynomial.Polynomial.fit([straighten(v) for v in ticks[:, 0]], ticks[:, 1] - aside, 1)
    at = np.array([line(straighten(v)) for v in ticks[:, 0]])
    assert np.abs(at - ticks[:, 1] + aside).max() < PIXEL  # the axis is what it says it is
    return lambda value: line(straighten(value))


def bent(name):
    """What makes an axis linear that is linear near 0 and logarithmic above."""
    return lambda value: math.asinh(value / BENDS[name])


def points_of(d):
    """The points of a path."""
    return np.array([[float(v) for v in pair.split()] for pair in d.strip("MZ").split("L")])
