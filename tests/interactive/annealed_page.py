"""What the tests of AnnealedClusters read in a page."""

import re

import numpy as np
import pytest
from annealed_examples import truth

MODEL = "document.querySelector('.lr-mount').lrModel"
THREE = 0.00051 + 2e-5  # three decimals, of numbers that are sent in steps of 2e-5
TWO = 0.0051
PIXEL = 0.06  # SVG coordinates of text are rounded to tenths


def page_of(figure):
    """Return the figure's page without its still, which takes longer to draw than the page to be read."""
    figure.still = lambda: b""
    return figure.page()


def get(page, name):
    return page.evaluate(f"{MODEL}.get('{name}')")


def set_to(page, **values):
    page.evaluate(f"values => Object.entries(values).forEach(([n, v]) => {MODEL}.set(n, v))", values)


def texts(page, selector):
    return page.locator(selector).all_text_contents()


def move(page, place):
    page.locator("[data-control=beta]").fill(str(place))


def numbers_in(text):
    return [float(n.replace("−", "-")) for n in re.findall(r"[-−]?\d+(?:\.\d+)?", text)]


def attributes(page, selector, *names):
    """Numbers of every element: an array (elements, names)."""
    script = "(all, names) => all.map((e) => names.map((n) => Number(e.getAttribute(n))))"
    return np.array(page.locator(selector).evaluate_all(script, list(names)))


def fitted(ticks):
    """The linear map from a coordinate to the value of a tick, from (value, coordinate) pairs."""
    assert len(ticks) >= 2
    return np.polynomial.Polynomial.fit(ticks[:, 1], ticks[:, 0], 1)


def check_numbers(page, path, place, weights, names, outcomes):
    """Assert that the words, the table and the encoder say what the path holds, computed by plain loops."""
    expected = truth(path, place, weights)
    summary = page.locator("[data-summary]").text_content()
    assert summary.startswith(f"{len(expected)} cluster{'s' * (len(expected) > 1)} at β = ")
    found = re.search(r"I\(X;T\) = ([\d.]+) nats and keeps I\(T;Y\) = ([\d.]+) of ", summary)
    kept = [path.i_xt[place].item(), path.i_ty[place].item()]
    assert [float(text) for text in found.groups()] == pytest.approx(kept, abs=THREE)
    assert [float(t) for t in texts(page, "[data-mass]")] == pytest.approx(
        [m for m, *_ in expected], abs=THREE
    )
    for text, (_, prediction, _) in zip(texts(page, "[data-predicts]"), expected, strict=True):
        told = re.findall(r"(\S+)\s(\d\.\d{3})", text)
        assert len(told) == (len(outcomes) if len(outcomes) <= 3 else 2)
        for name, value in told:
            assert float(value) == pytest.approx(prediction[outcomes.index(name)], abs=THREE)
        assert float(told[0][1]) == pytest.approx(max(prediction), abs=THREE)
    encoder = np.transpose([encoder for *_, encoder in expected])
    cells = page.locator("[data-cell]").evaluate_all(
        "all => all.map((e) => [e.dataset.cell, Number(e.dataset.q)])"
    )
    shown = {tuple(map(int, cell.split())): q for cell, q in cells}
    assert len(shown) == encoder.size
    for (x, k), q in shown.items():
        assert q == pytest.approx(encoder[x - 1, k - 1], abs=2e-5)
    members = [name for text in texts(page, "[data-members]") if text != "none" for name in text.split(", ")]
    assert sorted(name.split(" (")[0] for name in members) == sorted(names)
    for k, text in enumerate(texts(page, "[data-members]")):
        for name in text.split(", ") if text != "none" else ():
            share = float(name.split(" (")[1][:-1]) if " (" in name else 1.0
            x = names.index(name.split(" (")[0])
            assert share == pytest.approx(encoder[x, k], abs=TWO)
            assert encoder[x, k] == pytest.approx(encoder[x].max(), abs=4e-5)
    output = page.locator("[data-output]").text_content()
    assert output.startswith(summary)
    assert output.count("Cluster ") == len(expected)
