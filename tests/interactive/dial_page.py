"""BottleneckDial in a page: what it shows is read, and held to the closed form."""

import base64
import math

import pytest
from dial_examples import expected

from lrlib.interactive import BottleneckDial

PLOTS = ("sigmas", "ranks", "information", "ellipse")
NBSP = "\u00a0"
# a white PNG of one pixel
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAsTj2FAAAAABJRU5ErkJggg=="
)


def page_of(*args, **settings):
    """The figure's page without its still, which takes most of the time and has tests of its own."""
    dial = BottleneckDial(*args, **settings)
    dial.still = lambda: PIXEL
    return dial.page()


def put(page, **values):
    """Set traits, as Python does when live."""
    page.evaluate(
        "v => Object.entries(v).forEach((pair) => document.querySelector('.lr-mount').lrModel.set(...pair))",
        values,
    )


def value_of(page, name):
    return page.evaluate("name => document.querySelector('.lr-mount').lrModel.get(name)", name)


def values(page):
    return [value_of(page, name) for name in ("correlations", "beta", "eps", "relative")]


def shown(page, name):
    """A column of the table."""
    return page.locator(f"[data-{name}]").all_text_contents()


def plots(page):
    return [page.locator(f"[data-plot={name}]").inner_html() for name in PLOTS]


def check_table(page, rhos, beta, eps, relative):
    """Assert that the table and the headings agree with the closed form, to the digits that they show."""
    wanted = expected(rhos, beta, eps, relative)
    assert [float(text) for text in shown(page, "rho")] == rhos
    assert [float(text) for text in shown(page, "sigma")] == pytest.approx(wanted.sigmas, rel=0.0051)
    assert [float(text) for text in shown(page, "x")] == pytest.approx(wanted.x, abs=0.00051)
    assert [float(text) for text in shown(page, "y")] == pytest.approx(wanted.y, abs=0.00051)
    assert float(shown(page, "i-xt")[0]) == pytest.approx(sum(wanted.x), abs=0.00051)
    assert float(shown(page, "i-ty")[0]) == pytest.approx(sum(wanted.y), abs=0.00051)
    assert shown(page, "rank") == [f"rank {wanted.rank}"]
    states = shown(page, "state")
    assert [state != "off" for state in states] == [sigma > 0 for sigma in wanted.sigmas]
    assert states.count("on") == wanted.count
    for text, critical in zip(shown(page, "critical"), wanted.critical, strict=True):
        assert text == "–" if math.isinf(critical) else float(text) == pytest.approx(critical, rel=5.1e-5)
    for text, critical, read in zip(shown(page, "late"), wanted.critical, wanted.read, strict=True):
        check_lateness(text.replace(NBSP, " "), critical, read)
    words = page.locator(".lr-heading").nth(1).text_content()
    assert words.startswith(f"Rank {wanted.rank} of {len(rhos)}count {wanted.count} of σ > {eps:g}")


def check_lateness(text, critical, read):
    if math.isinf(critical) or math.isinf(read):
        assert text == ("–" if math.isinf(critical) else "never")
        return
    percent = 100 * (read / critical - 1)
    if text == "< 0.01 %":
        assert 0 < percent < 0.01
    else:
        assert float(text.removesuffix(" %")) == pytest.approx(percent, rel=0.051, abs=1e-6)
