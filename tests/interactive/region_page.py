"""What the tests of RegionMap read in a page, and how they hold it to lrlib on the page's own weights."""

import json
import math

import pytest
import torch
from region_examples import network, uniform_points

from lrlib import count_above, jacobian_spectra
from lrlib.interactive import linear_regions

EXTENT = 3.0
ROUNDING = 1e-12  # of sigma_1: two float64 algorithms for the singular values of a matrix with 2 columns
NEAR_TIE = 1e-9  # a singular value this near to the threshold could fall on either side
MODEL = "document.querySelector('.lr-mount').lrModel"
PIXEL = 2 * EXTENT / 300  # in the plane, at most: the square is wider than 300 pixels


def get(page, name):
    return page.evaluate(f"{MODEL}.get('{name}')")


def set_to(page, **values):
    page.evaluate(
        f"values => Object.entries(values).forEach(([name, value]) => {MODEL}.set(name, value))", values
    )


def network_of(page):
    """The network whose weights the page holds now."""
    weights = get(page, "weights")
    net = network(2, *(len(rows) for rows in weights))
    with torch.no_grad():
        for name, rows in zip(net.layers, weights, strict=True):
            table = torch.tensor(rows, dtype=torch.float64)
            net.get_submodule(name).weight.copy_(table[:, :-1])
            net.get_submodule(name).bias.copy_(table[:, -1])
    return net


def counted(page, x):
    """Singular values, ranks, and whether a rank is no near tie, by lrlib at the points x on the page's weights."""
    layer, eps, relative = (get(page, name) for name in ("layer", "eps", "relative"))
    net = network_of(page)
    s = jacobian_spectra(net, x).values[net.layers.index(layer)]
    cut = eps * s[:, :1] if relative else torch.tensor(eps, dtype=torch.float64)
    sure = ((s - cut).abs() > NEAR_TIE * s[:, :1].clamp_min(eps)).all(1) | (s[:, 0] == 0)
    return s, count_above(s, eps, relative=relative), sure


def check_points(page, n=60, seed=0):
    """At random points the page's singular values and ranks are lrlib's. Returns the ranks."""
    x = uniform_points(n, EXTENT, seed)
    pinned = get(page, "point")
    readouts = page.evaluate(
        f"""points => points.map((point) => {{
            {MODEL}.set("point", point);
            return {{ ...document.querySelector("[data-readout]").dataset }};
        }})""",
        x.tolist(),
    )
    set_to(page, point=pinned)
    s, ranks, sure = counted(page, x)
    for readout, point, expected in zip(readouts, x.tolist(), s, strict=True):
        assert json.loads(readout["point"]) == point
        found = torch.tensor(json.loads(readout["sigma"]), dtype=torch.float64)
        torch.testing.assert_close(found, expected, rtol=0, atol=ROUNDING * max(1.0, expected[0].item()))
    found = torch.tensor([int(readout["rank"]) for readout in readouts])
    assert sure.double().mean() > 0.9
    assert torch.equal(found[sure], ranks[sure])
    return ranks


# the region in which each pixel lies, or null within a pixel of an edge, where the drawing rounds
RANKS_AT = """pixels => {
  const shapes = [...document.querySelectorAll(".lr-region")];
  const at = (x, y) => shapes.filter((shape) => shape.isPointInFill(new DOMPoint(x, y)));
  return pixels.map(([x, y]) => {
    const near = [[0, 0], [1, 1], [1, -1], [-1, 1], [-1, -1]].map(([a, b]) => at(x + a, y + b));
    const clear = near.every((found) => found.length === 1 && found[0] === near[0][0]);
    return clear ? Number(near[0][0].dataset.rank) : null;
  });
}"""


def frame_of(page):
    """The square's left, top and side, in pixels of the plot."""
    frame = page.locator(".lr-frame")
    return [float(frame.get_attribute(name)) for name in ("x", "y", "width")]


def check_colours(page, n=150, seed=1):
    """The region drawn at random points has the rank that lrlib counts there, and the local rank is its mean."""
    left, top, side = frame_of(page)
    x = uniform_points(n, EXTENT, seed)
    scaled = (x + EXTENT) / (2 * EXTENT)
    pixels = torch.stack([left + scaled[:, 0] * side, top + (1 - scaled[:, 1]) * side], dim=1)
    drawn = page.evaluate(RANKS_AT, pixels.tolist())
    _, ranks, sure = counted(page, x)
    clear = torch.tensor([rank is not None for rank in drawn])
    assert clear.double().mean() > 0.5
    for rank, expected, compare in zip(drawn, ranks.tolist(), clear & sure, strict=True):
        assert not compare or rank == expected
    regions = linear_regions(network_of(page), layer=get(page, "layer"), extent=EXTENT)
    centres = torch.stack([torch.from_numpy(region.centroid) for region in regions])
    _, ranks, _ = counted(page, centres)
    assert page.locator(".lr-region").count() == len(regions)
    shown = [int(shape.get_attribute("data-rank")) for shape in page.locator(".lr-region").all()]
    assert sorted(shown) == sorted(ranks.tolist())
    mean = sum(r.area * rank for r, rank in zip(regions, ranks.tolist(), strict=True)) / (2 * EXTENT) ** 2
    found = float(page.locator("[data-local-rank]").get_attribute("data-local-rank"))
    assert found == pytest.approx(mean, abs=1e-9)
    return len(regions)


def to_screen(page, point):
    """Where a point of the plane lies on the screen."""
    page.locator("[data-plot=plane]").scroll_into_view_if_needed()
    box = page.locator("[data-plot=plane]").bounding_box()
    left, top, side = frame_of(page)
    x, y = ((value + EXTENT) / (2 * EXTENT) for value in point)
    return box["x"] + left + x * side, box["y"] + top + (1 - y) * side


def spot_on_line(page, unit):
    """A point in the square on a unit's line, as far as can be from the other lines and the middle of its own."""
    rows = get(page, "weights")[0]
    a, b, bias = rows[unit - 1]
    norm = math.hypot(a, b)
    foot, along = (-bias * a / norm**2, -bias * b / norm**2), (-b / norm, a / norm)
    spots = [(foot[0] + t * along[0], foot[1] + t * along[1]) for t in torch.linspace(-4, 4, 161).tolist()]
    others = [row for i, row in enumerate(rows) if i != unit - 1]

    def room(spot):
        walls = [EXTENT - abs(value) for value in spot]
        lines = [abs(r[0] * spot[0] + r[1] * spot[1] + r[2]) / math.hypot(*r[:2]) for r in others]
        return min(*walls, *lines)

    return max(spots, key=room)
