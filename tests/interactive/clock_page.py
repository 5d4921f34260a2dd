"""What the tests of ClockCollapse read in a page."""

import math
import re

import numpy as np

TIMES = ("steps", "clock", "corrected")
GROUPS = ["weight decay", "learning rate", "batch size", "momentum", "AdamW", "stopped early"]
MOMENTUM = ["momentum", "momentum 0.95"]  # the leftmost curve by far
MODEL = "document.querySelector('.lr-mount').lrModel"
DIGITS = 0.0051  # three digits are written
PIXEL = 0.3  # path and transform are rounded to tenths and hundredths of a pixel, ticks to tenths


def get(page, name):
    return page.evaluate(f"{MODEL}.get('{name}')")


def set_to(page, **values):
    page.evaluate(f"values => Object.entries(values).forEach(([n, v]) => {MODEL}.set(n, v))", values)


def numbers_in(text):
    """The numbers of a sentence, with the exponents that the figure writes."""
    return [float(n.replace("−", "-")) for n in re.findall(r"\d+(?:\.\d+)?(?:e−?\d+)?", text)]


def summary(page):
    return page.locator("[data-spread]").text_content()


def told(page):
    return page.locator("[data-readout]").text_content()


def drawn(page):
    """Which curves are drawn, as (group, name), in the order of the table."""
    curves = page.locator("[data-plot] > g:nth-of-type(2) > g:nth-of-type(2) > g:not([display=none])")
    return [
        tuple(pair)
        for pair in curves.evaluate_all("all => all.map((e) => [e.dataset.group, e.dataset.name])")
    ]


def highlighted(page):
    """The curve that is drawn before the others, or None."""
    front = page.locator("[data-plot] > g:nth-of-type(2) > g:nth-of-type(3) > g")
    return front.evaluate_all("all => all.map((e) => [e.dataset.group, e.dataset.name])[0] ?? null")


# Corners of every curve that is drawn and the middle of its dot, in pixels of the plot.
CORNERS = """() => {
  const svg = document.querySelector("[data-plot]");
  const curves = [...svg.querySelectorAll(":scope > g:nth-of-type(2) > g:nth-of-type(2) > g")];
  const inPlot = (node, x, y) => {
    const at = new DOMPoint(x, y).matrixTransform(svg.getScreenCTM().inverse().multiply(node.getScreenCTM()));
    return [at.x, at.y];
  };
  return curves.map((curve) => {
    const [line, dot] = [curve.querySelector("path"), curve.querySelector("circle")];
    const numbers = line.getAttribute("d").slice(1).split(/[ML ]/).map(Number);
    const pairs = numbers.filter((_, i) => i % 2 === 0).map((x, i) => [x, numbers[2 * i + 1]]);
    const dotAt = dot && inPlot(dot, dot.cx.baseVal.value, dot.cy.baseVal.value);
    return { line: pairs.map(([x, y]) => inPlot(line, x, y)), dot: dotAt };
  });
}"""


def axes(page):
    """The maps from a pixel to log10 of the time and to the rank, read off the ticks' letters."""
    times = page.locator("[data-plot] [data-tick]").evaluate_all("""all => all.map((e) => {
        const raised = e.querySelector("tspan");
        const text = raised ? `1e${raised.textContent.replace("\u2212", "-")}` : e.textContent;
        return [Number(text), Number(e.getAttribute("x"))];
    })""")
    ranks = page.locator("[data-plot] text[text-anchor=end]").evaluate_all(
        "all => all.map((e) => [Number(e.textContent), Number(e.getAttribute('y')) - 4])"
    )
    assert min(len(times), len(ranks)) >= 2
    to_log = np.polynomial.Polynomial.fit([x for _, x in times], [math.log10(t) for t, _ in times], 1)
    to_rank = np.polynomial.Polynomial.fit([y for _, y in ranks], [rank for rank, _ in ranks], 1)
    return to_log, to_rank
