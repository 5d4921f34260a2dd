"""The plane of BetaDial in a real browser: its regions are the decoder's, and every image is at its code."""

import math
import re

import numpy as np
import pytest
from beta_examples import BETAS, decoder_and_positions, made_up_table
from beta_page import PIXEL, assert_written, attributes, axis, chosen, get, page_of, points_of, put

from lrlib.interactive import BetaDial, base

pytestmark = pytest.mark.browser
GRID = 60  # points to a side at which the regions are held to the decoder
EDGE = 1e-9  # of the frame: where two classes are as near as this in score, rounding decides


@pytest.fixture(scope="module")
def table():
    return made_up_table()


@pytest.fixture(scope="module")
def html(table):
    return page_of(table)


@pytest.fixture(scope="module")
def in_page(browser):
    """Evaluate an expression in ``argument`` with the figure's own JavaScript in scope."""
    page = browser.new_page()
    files = (base.HERE / "kit.js", *BetaDial.more_javascript, BetaDial.javascript)
    code = "".join(file.read_text("utf-8") for file in files).replace("export default { render };", "")
    run = "([code, text, argument]) => new Function('argument', `${code}; return ${text}`)(argument)"
    yield lambda text, argument: page.evaluate(run, [code, text, argument])
    page.close()


def inside(polygon, points):
    """Whether points (n, 2) lie in a convex polygon, by the signs of cross products."""
    polygon = np.array(polygon).reshape(-1, 2)
    if len(polygon) < 3:
        return np.zeros(len(points), bool)
    steps = np.roll(polygon, -1, 0) - polygon
    away = points[:, None] - polygon
    cross = steps[:, 0] * away[..., 1] - steps[:, 1] * away[..., 0]
    return (cross >= -1e-9).all(1) | (cross <= 1e-9).all(1)


def check_regions(regions, decoder, half):
    """Assert that each point of a grid lies in the region of the largest score, and in no other."""
    line = (
        np.linspace(-half, half, GRID + 2)[1:-1] + half * 1e-3 / math.pi
    )  # not on lines through round numbers
    points = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)
    scores = points @ decoder[:, :2].T + decoder[:, 2]
    best, second = np.sort(scores, 1)[:, :-3:-1].T
    clear = best - second > EDGE * np.abs(scores).max()
    found = np.stack([inside(polygon, points) for polygon in regions], 1)
    np.testing.assert_array_equal(found[clear].argmax(1), scores[clear].argmax(1))
    assert (found[clear].sum(1) == 1).all()
    assert clear.mean() > 0.95


@pytest.mark.parametrize("scale", [0.01, 1.0, 300.0])
@pytest.mark.parametrize("seed", range(4))
def test_regions_are_those_of_the_largest_score(in_page, seed, scale):
    decoder = scale * np.random.default_rng(seed).standard_normal((10, 3))
    regions = in_page("regionsOf(...argument)", [decoder.tolist(), 2.5])
    check_regions(regions, decoder, 2.5)


def test_of_equal_classes_the_first_has_the_region(in_page):
    decoder = np.array([[0, 0, 0], [1, 0, 0], [1, 0, 0], [-1, 0, -9]])
    regions = in_page("regionsOf(...argument)", [decoder.tolist(), 1.0])
    assert [len(polygon) > 2 for polygon in regions] == [True, True, False, False]
    everywhere = in_page("regionsOf(...argument)", [[[0, 0, 1]] * 3, 1.0])
    assert [len(polygon) for polygon in everywhere] == [4, 0, 0]


@pytest.mark.parametrize("beta", [1e-6, 0.5, 1.0])
def test_the_plane_has_every_image_at_its_code_in_the_decoders_regions(show, table, html, beta):
    page = show(html)
    put(page, beta=beta)
    decoder, positions = decoder_and_positions(table, beta)
    to_x, to_y = axis(page, "plane", "x"), axis(page, "plane", "y")
    glyphs = attributes(page, ".lr-glyphs text", "x", "y") - [0, 4]
    half = get(page, "facts")["planes"][BETAS.index(beta)]["half"]
    assert half >= max(1.25, np.abs(positions[:, :2]).max())
    places = np.column_stack([to_x(positions[:, 0]), to_y(positions[:, 1])])
    np.testing.assert_allclose(glyphs, places, atol=2 * PIXEL)
    names = page.locator(".lr-glyphs text").all_text_contents()
    assert names == [str(int(c)) for c in positions[:, 4]]
    decided = (positions[:, :2] @ decoder[:, :2].T + decoder[:, 2]).argmax(1)
    wrong = page.locator(".lr-glyphs text").evaluate_all(
        "all => all.map((e) => e.classList.contains('lr-wrong'))"
    )
    assert wrong == (decided != positions[:, 4]).tolist()
    note = page.locator("[data-wrong]").text_content()
    assert note.startswith(f"{sum(wrong)} of 300 lie where the decoder names another class")
    [error], [rate] = (
        chosen(table, reading=name, layer="network", beta=beta, part="plane")
        for name in ("test_error", "rate")
    )
    written = re.search(r"test error ([^,]+), rate (\S+) nats", note)
    assert_written(written[1], error)
    assert_written(written[2], rate)
    drawn = [[] for _ in decoder]
    unit = to_x(1) - to_x(0)
    for shape in page.locator("[data-region]").all():
        pixels = points_of(shape.get_attribute("d"))
        drawn[int(shape.get_attribute("data-region"))] = np.column_stack(
            [(pixels[:, 0] - to_x(0)) / unit, (to_y(0) - pixels[:, 1]) / unit]
        )
    # paths are in tenths of a pixel: points nearer to an edge than that are not asked
    line = np.linspace(-half, half, GRID + 2)[1:-1]
    points = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)
    scores = points @ decoder[:, :2].T + decoder[:, 2]
    gaps = np.sort(scores, 1)[:, -1] - np.sort(scores, 1)[:, -2]
    clear = gaps > 3 * PIXEL / unit * 2 * np.abs(decoder[:, :2]).max()
    found = np.stack([inside(polygon, points) for polygon in drawn], 1)[clear]
    np.testing.assert_array_equal(found.argmax(1), scores[clear].argmax(1))
    assert clear.mean() > 0.8


@pytest.mark.parametrize("beta", [1e-6, 0.5])
def test_ellipses_are_the_mean_noise_of_a_class_and_the_circle_has_radius_one(show, table, html, beta):
    page = show(html)
    put(page, beta=beta)
    _, positions = decoder_and_positions(table, beta)
    to_x, to_y = axis(page, "plane", "x"), axis(page, "plane", "y")
    unit = to_x(1) - to_x(0)
    found = attributes(page, "[data-ellipse]", "data-ellipse", "cx", "cy", "rx", "ry")
    assert sorted(found[:, 0]) == sorted(set(positions[:, 4]))
    for c, cx, cy, rx, ry in found:
        own = positions[positions[:, 4] == c].mean(0)
        expected = [to_x(own[0]), to_y(own[1]), unit * own[2], unit * own[3]]
        assert [cx, cy, rx, ry] == pytest.approx(expected, rel=1e-3, abs=2 * PIXEL)  # four digits are sent
    circle = attributes(page, ".lr-marginal", "cx", "cy", "r")[0]
    assert circle == pytest.approx([to_x(0), to_y(0), unit], abs=2 * PIXEL)
