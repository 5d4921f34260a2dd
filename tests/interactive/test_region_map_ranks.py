"""RegionMap in a real browser: its ranks are lrlib's on the weights that the reader made, however they were made."""

import math

import pytest
from region_examples import EXAMPLES, network
from region_page import (
    EXTENT,
    PIXEL,
    ROUNDING,
    check_colours,
    check_points,
    frame_of,
    get,
    set_to,
    spot_on_line,
    to_screen,
)

from lrlib.interactive import RegionMap

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("name", EXAMPLES)
def test_ranks_in_the_page_are_lrlibs(show, name):
    net = EXAMPLES[name]()
    page = show(RegionMap(net).page())
    seen = set()
    for layer in net.layers:
        set_to(page, layer=layer)
        for eps, relative in ((0.1, False), (0.02, False), (0.5, False), (0.1, True), (0.5, True)):
            set_to(page, eps=eps, relative=relative)
            seen |= set(check_points(page, 25).tolist())
        check_colours(page)
    assert len(seen) > 1
    assert "NaN" not in page.locator(".lr-figure").inner_html()


def test_random_weights_of_all_sizes(show):
    page = show(RegionMap(network(2, 6, 5, 3), layer="L3").page())
    for seed, scale in ((20, 1.0), (21, 1e-3), (22, 30.0), (23, 3.0)):
        net = network(2, 6, 5, 3, seed=seed, scale=scale)
        set_to(page, weights=RegionMap(net).weights)
        check_points(page)
        check_colours(page, 60)


def test_the_largest_network_is_drawn(show):
    page = show(RegionMap(network(2, 16, 16, 16, 16), layer="L4", eps=0.01).page())
    check_points(page)
    regions = check_colours(page)
    assert regions > 300
    assert page.locator("tbody tr").count() == 6  # five rows, and a word on the other eleven
    assert page.locator("tbody tr").last.text_content() == "and 11 more"


def drag(page, start, end, steps=6):
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*end, steps=steps)
    page.mouse.up()


def line_value(row, point):
    """Signed distance of a point from a row's line."""
    return (row[0] * point[0] + row[1] * point[1] + row[2]) / math.hypot(*row[:2])


def test_dragging_a_line_moves_it_and_nothing_else(show):
    page = show(RegionMap(network(2, 3, 2)).page())
    before = get(page, "weights")
    spot = spot_on_line(page, 2)
    row = before[0][1]
    norm = math.hypot(*row[:2])
    target = [spot[k] + 0.7 * row[k] / norm for k in (0, 1)]
    drag(page, to_screen(page, spot), to_screen(page, target))
    after = get(page, "weights")
    assert get(page, "neuron") == ["L1", 2]
    assert after[0][1][:2] == row[:2]
    assert abs(line_value(after[0][1], target)) < 2 * PIXEL
    assert line_value(after[0][1], spot) == pytest.approx(-0.7, abs=2 * PIXEL)
    assert [after[0][0], after[0][2], after[1]] == [before[0][0], before[0][2], before[1]]
    check_points(page)
    check_colours(page)
    page.mouse.move(*to_screen(page, spot))
    assert get(page, "weights") == after  # let go


def test_a_click_on_a_line_chooses_its_unit_and_changes_no_weight(show):
    page = show(RegionMap(network(2, 3, 2)).page())
    before, point = get(page, "weights"), get(page, "point")
    page.mouse.click(*to_screen(page, spot_on_line(page, 3)))
    assert get(page, "neuron") == ["L1", 3]
    assert (get(page, "weights"), get(page, "point")) == (before, point)
    assert page.locator("[data-control=neuron]").input_value() == "L1 unit 3"
    assert page.locator(".lr-chosen").get_attribute("data-unit") == "3"


def test_the_handles_move_and_turn_the_chosen_line(show):
    page = show(RegionMap(network(2, 3, 2), neuron=("L1", 3)).page())
    row = get(page, "weights")[0][2]

    def centre(name):
        box = page.locator(f".{name} .lr-knob").bounding_box()
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    page.locator("[data-plot=plane]").scroll_into_view_if_needed()
    pivot, start = centre("lr-mover"), centre("lr-turner")
    x, y = start[0] - pivot[0], start[1] - pivot[1]
    # half a right turn on the screen, clockwise, is one in the plane, where y points up
    half = math.sqrt(0.5)
    drag(page, start, (pivot[0] + half * (x - y), pivot[1] + half * (x + y)), steps=12)
    turned = get(page, "weights")[0][2]
    assert math.hypot(*turned[:2]) == pytest.approx(
        math.hypot(*row[:2]), rel=1e-12
    )  # rounding of sin and cos
    angle = math.atan2(turned[1], turned[0]) - math.atan2(row[1], row[0])
    assert math.remainder(angle + math.pi / 4, 2 * math.pi) == pytest.approx(
        0, abs=0.05
    )  # a pixel at its lever
    assert get(page, "weights")[0][:2] == get(page, "facts")["first"][0][:2]
    check_points(page)
    check_colours(page)
    start = centre("lr-mover")
    normal = [turned[k] / math.hypot(*turned[:2]) for k in (0, 1)]
    drag(page, start, (start[0] - 40 * normal[0], start[1] + 40 * normal[1]))
    moved = get(page, "weights")[0][2]
    assert moved[:2] == turned[:2]
    shift = 40 * 2 * EXTENT / frame_of(page)[2]
    change = (turned[2] - moved[2]) / math.hypot(*turned[:2])
    assert change == pytest.approx(-shift, abs=PIXEL)
    check_points(page)


def test_sliders_turn_move_and_stretch_a_first_layer_unit(show):
    page = show(RegionMap(network(2, 3, 2)).page())
    regions = page.locator(".lr-region")

    def shapes():
        return [shape.get_attribute("d") for shape in regions.all()]

    def line():
        a, b, bias = get(page, "weights")[0][0]
        return math.degrees(math.atan2(b, a)) % 360, -bias / math.hypot(a, b), math.hypot(a, b)

    first, drawn = line(), shapes()
    page.locator("[data-control=angle]").press("Home")
    page.locator("[data-control=angle]").press("PageUp")
    assert line() == pytest.approx((36, first[1], first[2]), rel=ROUNDING)
    assert shapes() != drawn
    check_points(page, 20)
    drawn = shapes()
    page.locator("[data-control=offset]").press("End")
    assert line() == pytest.approx((36, 1.4 * EXTENT, first[2]), rel=ROUNDING)
    assert page.locator(".lr-hint").last.text_content().startswith("Its line is outside this square")
    assert not page.locator(".lr-turner").is_visible()
    page.locator("[data-control=offset]").press("PageDown")
    page.locator("[data-control=offset]").press("PageDown")
    assert page.locator(".lr-turner").is_visible()
    assert shapes() != drawn
    check_points(page, 20)
    check_colours(page, 60)
    moved, drawn = line(), shapes()
    page.locator("[data-control=strength]").press("End")
    assert line() == pytest.approx((36, moved[1], 10.0), rel=ROUNDING)
    assert shapes() == drawn  # its strength moves no line
    check_points(page, 20)


def test_weights_of_later_layers_are_set_one_by_one(show):
    page = show(RegionMap(network(2, 3, 2, 2), layer="L3").page())
    page.get_by_label("Unit", exact=True).select_option("L2 unit 2")
    assert get(page, "neuron") == ["L2", 2]
    before = get(page, "weights")
    page.get_by_label("Weight from").select_option("L1 unit 3")
    page.get_by_label("Its value").press("End")
    after = get(page, "weights")
    assert after[1][1][2] == 3
    after[1][1][2] = before[1][1][2]
    assert after == before
    page.locator("[data-control=incoming]").press("End")
    assert page.locator("[data-control=incoming]").input_value() == "its bias"
    page.locator("[data-control=weight]").press("Home")
    assert get(page, "weights")[1][1][3] == -3
    check_points(page)
    check_colours(page)
    assert not page.locator("[data-control=angle]").is_visible()


def test_a_unit_without_a_line_gets_one_by_its_strength(show):
    page = show(RegionMap(EXAMPLES["zero rows"]()).page())
    assert get(page, "weights")[0][0] == [0, 0, 0.5]
    for control in ("angle", "offset"):
        assert page.locator(f"[data-control={control}]").is_disabled()
    assert "is on everywhere" in page.locator(".lr-hint").last.text_content()
    page.locator("[data-control=strength]").press("End")
    assert get(page, "weights")[0][0] == [10, 0, 0.5]
    assert page.locator("[data-control=angle]").is_enabled()
    check_points(page)
    check_colours(page)


def test_layer_threshold_and_switch_by_keyboard(show):
    page = show(RegionMap(network(2, 8, 8, 3, seed=4)).page())
    layer = page.get_by_label("Layer")
    for key, name in (("ArrowDown", "L3"), ("ArrowDown", "L3"), ("Home", "L1"), ("ArrowRight", "L2")):
        layer.press(key)
        assert (get(page, "layer"), layer.input_value()) == (name, name)
    page.get_by_label("Threshold").press("PageUp")
    assert get(page, "eps") == 0.32
    check_points(page, 20)
    page.get_by_label("Threshold").press("End")
    assert set(check_points(page, 20).tolist()) == {0}
    assert "larger than the frame" in page.locator(".lr-map-point .lr-hint").text_content()
    page.get_by_label("relative to").press("Space")
    assert (get(page, "eps"), get(page, "relative")) == (1, True)
    assert page.locator("[data-readout]").get_attribute("data-rank") == "0"  # sigma_1 is not above itself
    page.get_by_label("Threshold").press("ArrowLeft")
    assert set(check_points(page, 20).tolist()) == {1}
