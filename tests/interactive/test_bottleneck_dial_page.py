"""BottleneckDial in a real browser: its numbers are the closed form's, in the table and in the plots."""

import math
from itertools import pairwise

import numpy as np
import pytest
from dial_examples import SETTINGS, expected, nats_of, sigma_of
from dial_page import NBSP, check_table, page_of, put, shown

from lrlib.interactive import BottleneckDial, base
from lrlib.interactive.bottleneck_dial import BETAS, CORRELATIONS

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def in_page(browser):
    """Evaluate an expression in ``argument`` with the figure's own JavaScript in scope."""
    page = browser.new_page()
    files = (base.HERE / "kit.js", *BottleneckDial.more_javascript, BottleneckDial.javascript)
    code = "".join(file.read_text("utf-8") for file in files).replace("export default { render };", "")
    run = "([code, text, argument]) => new Function('argument', `${code}; return ${text}`)(argument)"
    yield lambda text, argument: page.evaluate(run, [code, text, argument])
    page.close()


# --- what is computed ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rhos", "beta", "eps", "relative"), SETTINGS)
def test_the_page_computes_the_closed_form(in_page, rhos, beta, eps, relative):
    choice = {"correlations": rhos, "beta": beta, "eps": eps, "relative": relative}
    found = in_page(
        "(({ rows, rank, count, most }) => ({ rows, rank, count, most }))(solve(argument))", choice
    )
    wanted = expected(rhos, beta, eps, relative)
    for name, column in (("sigma", wanted.sigmas), ("x", wanted.x), ("y", wanted.y)):
        # two formulas for the same number, at rho = 0.999 with three digits less than float64 has
        np.testing.assert_allclose([row[name] for row in found["rows"]], column, rtol=1e-10, atol=1e-14)
    for name, column in (("critical", wanted.critical), ("read", wanted.read)):
        np.testing.assert_allclose([row[name] for row in found["rows"]], column, rtol=1e-8)  # bisection
    assert (found["rank"], found["count"]) == (wanted.rank, wanted.count)
    assert found["most"] == pytest.approx(-sum(math.log(1 - rho**2) for rho in rhos) / 2, rel=1e-12)


def test_exactly_at_its_critical_beta_a_direction_is_off(in_page):
    def hundredths(values):
        return {round(100 * v): v for v in values if abs(100 * v - round(100 * v)) < 1e-9}

    rhos, betas = hundredths(CORRELATIONS), hundredths(BETAS)
    ties = [(rhos[r], betas[b]) for r in rhos for b in betas if b * r**2 == 100**3]
    assert len(ties) == 5  # 0.5 and 4, 0.25 and 16, 0.2 and 25, 0.1 and 100, 0.05 and 400
    for rho, beta in ties:
        choice = {"correlations": [rho], "beta": beta, "eps": 0.01, "relative": True}
        assert in_page("solve(argument).rank", choice) == BottleneckDial(**choice).rank == 0


def test_the_table_shows_what_the_closed_form_says(show):
    page = show(page_of())
    for rhos, beta, eps, relative in SETTINGS:
        put(page, correlations=rhos, beta=beta, eps=eps, relative=relative)
        check_table(page, rhos, beta, eps, relative)


def test_the_scalar_yardstick_in_bits(show):
    page = show(page_of([0.8]))
    # FACTS, section 4: I(X;T) and I(T;Y) in bits to four decimals; the table has three decimals, of nats
    for beta, bits in {2.0: (0.4150, 0.2370), 5.0: (1.4150, 0.5760), 20.0: (2.5390, 0.7000)}.items():
        put(page, beta=beta)
        found = [float(shown(page, name)[0]) / math.log(2) for name in ("i-xt", "i-ty")]
        assert found == pytest.approx(bits, abs=0.0005 / math.log(2) + 0.00005)
    assert shown(page, "critical") == ["1.5625"]
    assert "I(X;Y) = 0.511" in page.locator("[data-plot=information]").text_content()  # 0.7370 bits


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"eps": 1.0}, "Counting σ > 1 reads the steps late: σ₁ by 9.8 %, σ₂ by 36 % and σ₃ by 75 %."),
        (
            {"eps": 0.2, "relative": True},
            "Counting σ > 0.2 × the largest reads the steps late: σ₂ by 7.7 %. "
            "Counting σ > 0.2 × the largest never reads σ₃.",
        ),
        (
            {"correlations": [0.8, 0.02]},
            "σ₁ by 0.36 % and σ₂ by 1.0 %. Beyond the axis: σ₂ (β = 2500).",
        ),
        ({"correlations": [0.0, 0.0]}, "ρ = 0, so off at every β: σ₁ and σ₂."),
        ({"correlations": [0.9], "eps": 0.5, "relative": True}, ""),
    ],
)
def test_a_line_says_how_late_the_threshold_reads(show, settings, words):
    page = show(page_of(**settings))
    note = page.locator("[data-note]").text_content()
    assert note.replace(NBSP, " ").endswith(words)
    assert bool(note) == bool(words)
    assert page.locator("[data-output]").text_content().endswith(note)


# --- what is drawn -------------------------------------------------------------------------------------------------

POINTS = """e => e.getAttribute("d").slice(1).split(/[ML]/).map((pair) => pair.split(" ").map(Number))"""


def drawn_line(page, plot, selector):
    return np.array(page.locator(f"[data-plot={plot}] {selector}").evaluate(POINTS))


def axis(page, plot, anchor, place):
    """The line from a coordinate to the number on the axis, or to a function of it, read off the ticks."""
    ticks = page.locator(f"[data-plot={plot}] text[text-anchor={anchor}]").evaluate_all(
        f"all => all.map((e) => [Number(e.textContent), Number(e.getAttribute('{place}'))])"
    )
    return [(value, at - (4 if place == "y" else 0)) for value, at in ticks if value == value]


def test_curves_of_sigma_are_drawn_where_they_belong(show):
    rhos = [0.5, 0.95, 0.02]
    page = show(page_of(rhos))
    ticks = axis(page, "sigmas", "end", "y")
    heights = np.polynomial.Polynomial.fit([y for _, y in ticks], [math.asinh(v / 0.3) for v, _ in ticks], 1)
    betas = [(v, x) for v, x in axis(page, "ranks", "middle", "x") if v]
    to_log = np.polynomial.Polynomial.fit([x for _, x in betas], [math.log10(v) for v, _ in betas], 1)
    for i, rho in enumerate(rhos):
        points = np.array(page.locator("[data-plot=sigmas] .lr-line").nth(i).evaluate(POINTS))
        logs, found = to_log(points[:, 0]), heights(points[:, 1])
        # both coordinates are in tenths of a pixel: the curve must pass within one to the left or the right
        pixel = to_log(1.0) - to_log(0.0)
        low = [math.asinh(sigma_of(rho, 10 ** (log - pixel)) / 0.3) for log in logs]
        high = [math.asinh(sigma_of(rho, 10 ** (log + pixel)) / 0.3) for log in logs]
        slack = abs(heights(0.0) - heights(1.0))
        assert (found >= np.array(low) - slack).all()
        assert (found <= np.array(high) + slack).all()
        assert (logs[0], logs[-1]) == pytest.approx((0, 3), abs=pixel)


def test_stairs_are_drawn_where_the_steps_are(show):
    rhos, eps = [0.5, 0.8, 0.8, 0.0], 1.0
    page = show(page_of(rhos, eps=eps))
    betas = [(v, x) for v, x in axis(page, "ranks", "middle", "x") if v]
    to_log = np.polynomial.Polynomial.fit([x for _, x in betas], [math.log10(v) for v, _ in betas], 1)
    wanted = expected(rhos, 5.0, eps, False)
    for selector, steps in ((".lr-stairs", wanted.critical), (".lr-counted", wanted.read)):
        points = drawn_line(page, "ranks", f".lr-line{selector}")
        found = [a[0] for a, b in pairwise(points) if a[1] != b[1]]
        steps = sorted(step for step in steps if step <= 1000)
        assert 10 ** to_log(np.array(found)) == pytest.approx(steps, rel=0.005)  # a pixel is 1 %


def test_the_information_curve_and_its_point_are_where_they_belong(show):
    rhos, beta = [0.95, 0.8, 0.5], 5.0
    page = show(page_of(rhos, beta=beta))
    to_x, to_y = (
        np.polynomial.Polynomial.fit([v for v, _ in ticks], [at for _, at in ticks], 1)
        for ticks in (
            axis(page, "information", "middle", "x"),
            axis(page, "information", "end", "y"),
        )
    )

    def at(b):
        return np.sum([nats_of(rho, b) for rho in rhos], axis=0)

    x, y = at(beta)
    here = page.locator("[data-plot=information] .lr-here")
    place = [float(here.get_attribute(name)) for name in ("cx", "cy")]
    assert place == pytest.approx([to_x(x), to_y(y)], abs=0.5)  # pixels
    line = drawn_line(page, "information", ".lr-information")
    grid = np.array([at(b) for b in np.geomspace(1, 1000, 4000)])
    for px, py in line:
        gaps = np.hypot(to_x(grid[:, 0]) - px, to_y(grid[:, 1]) - py)
        assert gaps.min() < 0.6
    corner = drawn_line(page, "information", ".lr-beyond")[1]
    most = at(1e12)[1]
    assert corner == pytest.approx([to_x(most), to_y(most)], abs=0.6)


def test_the_ellipse_has_what_the_encoder_leaves(show):
    page = show(page_of([0.95, 0.8, 0.5], beta=2.0))
    svg = page.locator("[data-plot=ellipse]")
    radius = float(svg.locator("circle").get_attribute("r"))

    def check(*rhos):
        half = [float(svg.locator("ellipse").get_attribute(name)) / radius for name in ("rx", "ry")]
        assert half == pytest.approx([1 / math.hypot(1, sigma_of(rho, 2.0)) for rho in rhos], rel=1e-9)

    check(0.95, 0.8)
    page.locator("[data-control=up]").select_option(index=2)
    check(0.95, 0.5)
    # at rho = 0.95: sqrt((1 - 0.9025) / 0.9025 / (2 - 1))
    assert page.locator("[data-unknown]").text_content() == "x₁ ± 0.329, x₃ ± 1.000"
    page.locator("[data-control=across]").press("ArrowDown")
    check(0.8, 0.5)
    page.locator("[data-control=across]").press("End")  # it was up: they change places
    check(0.5, 0.8)
    page.locator("[data-control=remove]").click()
    check(0.95, 0.8)
    assert not page.locator("[data-control=across]").is_visible()
    page.locator("[data-control=reset]").click()
    check(0.95, 0.8)
