"""AnnealedClusters in a real browser: what it shows is what the path holds."""

import math
import re
from itertools import pairwise

import numpy as np
import pytest
import torch
from annealed_examples import ANIMALS, PLACES, made_up, reversed_path, solved, stacked, table, truth
from annealed_page import PIXEL, attributes, check_numbers, fitted, get, move, page_of, texts

from lrlib.interactive import AnnealedClusters

pytestmark = pytest.mark.browser

NASTY = ["</script><b>", "a & b", '"quoted"', "<!-- no -->", "é ü", "W" * 60, "'", "W" * 60 + "M"]


# --- what is shown -------------------------------------------------------------------------------------------------

PATHS = {
    "two outcomes": (solved(8, 2), ANIMALS, ["dry", "rain"]),
    "three outcomes": (solved(8, 3), ANIMALS, PLACES),
    "two objects": (made_up(2, 2, clusters=2), ["x1", "x2"], ["y1", "y2"]),
    "30 objects, 5 outcomes": (made_up(30, 5), [f"x{i + 1}" for i in range(30)], list("abcde")),
    "from the last beta down": (reversed_path(solved(8, 2)), ANIMALS, ["dry", "rain"]),
}


@pytest.mark.parametrize(("path", "names", "outcomes"), PATHS.values(), ids=PATHS)
def test_numbers_are_those_of_the_path(show, path, names, outcomes):
    figure = AnnealedClusters(path, names=names, outcomes=outcomes)
    weights = [0, 1] if len(outcomes) == 2 else figure._tree.main_axis
    page = show(page_of(figure))
    count = len(path.betas)
    order = path.betas.argsort().tolist()
    places = {0, count - 1, *np.random.default_rng(0).choice(count, 4, replace=False).tolist()}
    for place in places:
        move(page, place)
        assert get(page, "beta") == path.betas[order[place]].item()
        check_numbers(page, path, order[place], weights, names, outcomes)


@pytest.mark.parametrize("outcome", ["main", "air"])
def test_the_tree_and_the_plane_are_drawn_where_the_numbers_are(show, outcome):
    path = solved(8, 3)
    figure = AnnealedClusters(path, names=ANIMALS, outcomes=PLACES)
    figure.outcome = None if outcome == "main" else outcome
    weights = figure._tree.main_axis if outcome == "main" else np.array([0.0, 1.0, 0.0])
    page = show(page_of(figure))
    joint = np.asarray(path.joint)
    own = joint / joint.sum(1, keepdims=True) @ weights
    height = fitted(attributes(page, "[data-plot=tree] [data-tick]", "data-tick", "y") - [0, 4])
    per_pixel = abs(height(1) - height(0))
    objects = attributes(page, "[data-object]", "y1")[:, 0]
    np.testing.assert_allclose(height(objects), own, atol=PIXEL * per_pixel)
    beta_ticks = attributes(page, "[data-beta-tick]", "data-beta-tick", "x")
    log_beta = fitted(np.column_stack([np.log10(beta_ticks[:, 0]), beta_ticks[:, 1]]))
    critical = attributes(page, "[data-critical]", "x1")[:, 0]
    np.testing.assert_allclose(log_beta(critical), path.critical.log10(), atol=1e-3)
    labels = [text for text in texts(page, "[data-plot=tree] text") if re.fullmatch(r"\d+\.\d+|\d{3}", text)]
    assert {f"{beta:#.3g}" for beta in path.critical.tolist()} <= set(labels)  # there is room for all
    for place in (0, 8, 13, 24):
        move(page, place)
        dots = attributes(page, "[data-cluster]", "cy", "cx")
        expected = [np.dot(weights, prediction) for _, prediction, _ in truth(path, place, weights)]
        np.testing.assert_allclose(height(dots[:, 0]), expected, atol=1e-4 + PIXEL * per_pixel)
        np.testing.assert_allclose(log_beta(dots[:, 1]), path.betas[place].log10(), atol=1e-3)
        xt = fitted(attributes(page, "[data-x-tick]", "data-x-tick", "x"))
        ty = fitted(attributes(page, "[data-y-tick]", "data-y-tick", "y") - [0, 4])
        [[cx, cy]] = attributes(page, "[data-here]", "cx", "cy")
        assert xt(cx) == pytest.approx(path.i_xt[place].item(), abs=PIXEL * abs(xt(1) - xt(0)))
        assert ty(cy) == pytest.approx(path.i_ty[place].item(), abs=PIXEL * abs(ty(1) - ty(0)))
        ends = page.locator(".lr-tangent").get_attribute("d")[1:].split("L")
        (x0, y0), (x1, y1) = (map(float, end.split()) for end in ends)
        slope = (ty(y1) - ty(y0)) / (xt(x1) - xt(x0))
        assert slope == pytest.approx(1 / path.betas[place].item(), rel=0.01, abs=1e-3)


@pytest.mark.parametrize("kind", ["solved", "merging"])
def test_every_branch_is_drawn_from_where_it_comes_to_where_it_goes(show, kind):
    three, two = torch.eye(3, dtype=torch.float64), torch.eye(3, dtype=torch.float64)[[0, 0, 1]]
    path = solved(8, 2) if kind == "solved" else stacked(table(3, 2), [1.0, 2.0, 4.0], [two, three, two])
    figure = AnnealedClusters(path)
    tree = figure._tree
    assert (len(tree.births), len(tree.deaths)) == ((3, 0) if kind == "solved" else (1, 1))
    page = show(page_of(figure))
    height = fitted(attributes(page, "[data-plot=tree] [data-tick]", "data-tick", "y") - [0, 4])
    ticks = attributes(page, "[data-beta-tick]", "data-beta-tick", "x")
    log_beta = fitted(np.column_stack([np.log10(ticks[:, 0]), ticks[:, 1]]))
    drawn = []
    for branch in page.locator(".lr-branch").all():
        corners = [tuple(map(float, c.split())) for c in branch.get_attribute("d")[1:].split("L")]
        points = [(log_beta(x), height(y)) for x, y in corners]
        drawn += [(*a, *b, float(branch.get_attribute("stroke-width"))) for a, b in pairwise(points)]
    heights, logs = tree.decoders[..., 1], np.log10(tree.betas)
    expected = [
        (logs[p - 1], heights[p - 1, old], logs[p], heights[p, new], max(1.5, 14 * tree.masses[p, new]))
        for p, old, new in tree.links()
    ]
    assert len(drawn) == len(expected)
    # tenths of a pixel, on axes of 200 pixels or more; widths in halves of a pixel
    slack = [0.002, 0.002, 0.002, 0.002, 0.26]
    for piece in expected:
        away = np.abs(np.subtract(drawn, piece)) / slack
        assert away.max(1).min() <= 1, piece


def test_the_next_split_and_what_has_not_converged_are_told(show):
    alike, apart = torch.full((3, 3), 1 / 3, dtype=torch.float64), torch.eye(3, dtype=torch.float64)
    converged = [True, True, False]
    path = stacked(table(3, 2), [1.0, 2.0, 4.0], [alike, apart, apart], critical=[1.5], converged=converged)
    page = show(page_of(AnnealedClusters(path, beta=1.0)))
    summary = page.locator("[data-summary]")
    assert summary.text_content().endswith("Next split at β = 1.50.")
    move(page, 1)
    assert summary.text_content().endswith("(100.0 %). No split above this β, up to 4.")
    move(page, 2)
    assert summary.text_content().endswith(
        "Not converged here: one more update changes q(t|x) by up to 3e−4."
    )


# --- how it looks --------------------------------------------------------------------------------------------------

LARGE = made_up(40, 12, clusters=40, count=30)


@pytest.mark.parametrize("width", [358, 1280])  # 358: a phone of 390, less the margins of a page of the book
@pytest.mark.parametrize("kind", ["nasty", "large"])
def test_it_fits_and_its_letters_are_legible(show, width, kind):
    if kind == "nasty":
        figure = AnnealedClusters({"one": solved(8, 3), "z" * 40: solved(8, 2)}, names=NASTY)
    else:
        figure = AnnealedClusters(LARGE, names=[f"a long name {i}" for i in range(40)])
    page = show(page_of(figure), width=width)
    for place in (0, 15, 24):
        move(page, place)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        boxes = page.locator("[data-plot] text").evaluate_all(
            "all => all.map((e) => e.getBoundingClientRect()).map((b) => [b.left, b.right])"
        )
        assert all(left >= 0 and right <= width for left, right in boxes)
    for tick in ("[data-beta-tick]", "[data-x-tick]"):
        found = page.locator(f"text{tick}").evaluate_all(
            "all => all.map((e) => e.getBoundingClientRect()).map((b) => [b.left, b.right]).sort((a, b) => a[0] - b[0])"
        )
        assert all(a[1] + 4 < b[0] for a, b in pairwise(found))
    sizes = page.locator(".lr-figure :is(text, th, td, p, label, caption, select, button)").evaluate_all(
        "all => all.map(e => parseFloat(getComputedStyle(e).fontSize))"
    )
    assert min(sizes) >= 11


def test_names_are_text_and_never_markup(show):
    page = show(
        page_of(
            AnnealedClusters({"<i>": solved(8, 2)}, names=NASTY, outcomes=["<b>", "&amp;"], title="</style>")
        )
    )
    move(page, 24)
    members = ", ".join(texts(page, "[data-members]"))
    assert all(name in members for name in NASTY)
    assert "&amp;\xa0" in texts(page, "[data-predicts]")[0]
    assert page.locator(".lr-figure :is(b, i)").count() == 0
    assert page.locator(".lr-title").text_content() == "</style>"


def test_a_finger_has_room_and_still_scrolls(show):
    paths = {"three": solved(8, 3), "two": solved(8, 2)}
    page = show(page_of(AnnealedClusters(paths)), width=390, has_touch=True, is_mobile=True)
    sizes = page.locator(".lr-figure :is(input, button, select)").evaluate_all(
        "all => all.map(e => e.getBoundingClientRect().height)"
    )
    assert len(sizes) == 7
    assert min(sizes) >= 44
    assert page.locator("[data-plot=tree]").evaluate("e => getComputedStyle(e).touchAction") == "pan-y"


def test_it_redraws_when_its_width_changes(show):
    page = show(page_of(AnnealedClusters(solved(8, 3))))
    page.set_viewport_size({"width": 390, "height": 900})
    page.wait_for_function("document.querySelector('[data-plot=tree]').viewBox.baseVal.width < 390")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


ONE, EYE = torch.ones(2, 1, dtype=torch.float64), torch.eye(3, dtype=torch.float64)
ODD = {
    "one cluster": stacked(table(2, 2), [1.0, 2.0], [ONE] * 2),
    "one object": stacked(torch.tensor([[0.3, 0.7]]).double(), [1.0, 2.0], [ONE[:1]] * 2),
    "one outcome": stacked(table(3, 1), [1.0, 2.0], [EYE] * 2),
    "nothing shared": stacked(torch.full((3, 4), 1 / 12).double(), [1.0, 1.01], [EYE] * 2),
    "large": LARGE,
}


@pytest.mark.parametrize("path", ODD.values(), ids=ODD)
@pytest.mark.parametrize("width", [358, 1280])
def test_odd_paths_are_drawn(show, path, width):
    page = show(page_of(AnnealedClusters(path)), width=width)
    for place in (0, len(path.betas) - 1):
        move(page, place)
        text = page.locator(".lr-figure").inner_html()
        assert not any(wrong in text for wrong in ("NaN", "Infinity", "undefined"))
        assert page.locator("[data-cluster]").count() == int(path.clusters[place])
        assert page.locator("[data-plot=tree] [data-beta-tick]").count() >= 1
        masses = [float(mass) for mass in texts(page, "[data-mass]")]
        assert math.fsum(masses) == pytest.approx(1, abs=5e-4 * len(masses))
    assert page.evaluate("document.documentElement.scrollWidth") <= width
