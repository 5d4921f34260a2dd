"""What the tests of EstimatorBench read in a page."""

import re

import numpy as np
import pytest

MODEL = "document.querySelector('.lr-mount').lrModel"
PIXEL = 0.11  # marks and ticks are placed in tenths of a pixel
CODE = 1e-4  # nats: single estimates are sent in steps of this
SINGLE = 2e-7  # float32: means, spreads and standard errors are sent so


def get(page, name):
    return page.evaluate(f"{MODEL}.get('{name}')")


def set_to(page, **values):
    page.evaluate(f"values => Object.entries(values).forEach(([n, v]) => {MODEL}.set(n, v))", values)


def settings(page):
    return get(page, "case"), get(page, "n"), get(page, "estimators")


def number(text):
    return float(text.replace("−", "-").replace(",", ""))


def assert_written(text, expected):
    """The text is this number in as many digits as it has; nothing at all where there is none."""
    if np.isnan(expected):
        assert text == "–"
        return
    digits = len(text.partition(".")[2])
    assert digits >= (2 if abs(expected) < 10 else 1 if abs(expected) < 100 else 0)
    assert number(text) == pytest.approx(expected, abs=0.501 * 10**-digits, rel=SINGLE)


def table_rows(page):
    """The texts of the table's cells, by estimator and column."""
    return page.locator(".lr-bench-table tbody tr").evaluate_all("""rows => Object.fromEntries(rows.map((row) => [
        row.dataset.row, Object.fromEntries([...row.querySelectorAll("td")].map((td) => [Object.keys(td.dataset)[0], td.textContent]))
    ]))""")


def biases(page):
    """The texts and classes of the overview's cells, by case and estimator; no text where nothing was run."""
    return page.locator(".lr-bias tbody tr").evaluate_all("""rows => Object.fromEntries(rows.map((row) => [
        row.dataset.case, Object.fromEntries([...row.querySelectorAll("td")].map((td) => [td.dataset.bias, [td.textContent, td.className]]))
    ]))""")


def value_axis(page, plot, axis):
    """The map from a pixel of a plot to nats, read off its ticks, and nats per pixel."""
    ticks = page.locator(f"[data-plot={plot}] [data-value-tick]").evaluate_all(
        f"all => all.map((e) => [e.textContent, Number(e.getAttribute('{axis}')){' - 4' if axis == 'y' else ''}])"
    )
    assert len(ticks) >= 2
    to_nats = np.polynomial.Polynomial.fit([at for _, at in ticks], [number(text) for text, _ in ticks], 1)
    return to_nats, abs(to_nats(1) - to_nats(0))


def marks(page, selector):
    """Place, size or seed, and openness of marks: (x, y, data, open)."""
    found = page.locator(f"{selector} .lr-mark").evaluate_all("""all => all.map((e) => [
        e.getAttribute("transform"), e.dataset.size ?? e.dataset.seed ?? null, e.classList.contains("lr-open")
    ])""")
    places = [[float(x) for x in re.findall(r"-?[\d.]+", transform)] for transform, _, _ in found]
    return [
        (x, y, data and int(data), hollow) for (x, y), (_, data, hollow) in zip(places, found, strict=True)
    ]
