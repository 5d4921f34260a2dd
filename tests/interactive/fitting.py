"""Whether a figure fits the window that it stands in."""

import pytest

LETTERS = ".lr-figure :is(text, th, td, p, span, label, legend, select, button, caption, small, li)"


def check_it_fits(page, width, *, captions=True):
    """Nothing sticks out of ``width`` px, letters have 11 px or more, plots are not scaled, ``captions`` are one line."""
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    sizes = page.locator(LETTERS).evaluate_all(
        "all => all.map(e => parseFloat(getComputedStyle(e).fontSize))"
    )
    assert min(sizes) >= 11
    if captions:
        heights = page.locator(".lr-caption:visible").evaluate_all(
            "all => all.map(e => e.getBoundingClientRect().height)"
        )
        assert max(heights) < 30  # one line
    drawn = page.locator("svg[data-plot]").all()
    assert drawn
    for svg in drawn:
        gap = svg.evaluate("e => e.viewBox.baseVal.width - e.getBoundingClientRect().width")
        assert gap == pytest.approx(0, abs=0.51)  # drawn in whole pixels, not scaled
        outside = svg.evaluate(
            "e => [...e.querySelectorAll('text')].filter((t) => t.getBoundingClientRect().right > innerWidth"
            " || t.getBoundingClientRect().left < 0).map((t) => t.textContent)"
        )
        assert outside == []
