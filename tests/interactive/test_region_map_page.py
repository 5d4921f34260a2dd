"""RegionMap as a page: pointer, keys and finger, words, labels, any width, and an end that leaves nothing behind."""

import json
import math

import pytest
import torch
from region_examples import EXAMPLES, network, uniform_points
from region_page import MODEL, PIXEL, check_points, counted, get, network_of, set_to, spot_on_line, to_screen

from lrlib.interactive import RegionMap

pytestmark = pytest.mark.browser


def shown_point(page):
    return json.loads(page.locator("[data-readout]").get_attribute("data-point"))


def test_the_pointer_shows_and_a_click_pins(show):
    page = show(RegionMap(network(2, 3, 2)).page())
    before = get(page, "point")
    page.mouse.move(*to_screen(page, (-2, 2)))
    assert shown_point(page) == pytest.approx([-2, 2], abs=PIXEL)
    assert page.locator(".lr-hover").count() == 1
    assert get(page, "point") == before
    page.locator(".lr-title").hover()
    assert shown_point(page) == before
    assert page.locator(".lr-hover").count() == 0
    page.mouse.click(*to_screen(page, (-2, 2)))
    page.locator(".lr-title").hover()
    assert get(page, "point") == shown_point(page) == pytest.approx([-2, 2], abs=PIXEL)


def test_arrow_keys_move_the_point_and_stop_at_the_edge(show):
    page = show(RegionMap(network(2, 3, 2), point=(0.0, 0.0)).page())
    plane = page.locator("[data-plot=plane]")
    plane.press("ArrowRight")
    plane.press("ArrowUp")
    plane.press("Shift+ArrowUp")
    assert get(page, "point") == pytest.approx([0.05, 0.55])
    for _ in range(8):
        plane.press("Shift+ArrowLeft")
    assert get(page, "point") == pytest.approx([-3, 0.55])
    assert page.locator(".lr-heading").last.text_content().startswith("At (−3.00, 0.55): rank ")


def test_what_is_shown_is_said_in_words_once_it_rests(show):
    page = show(RegionMap(network(2, 3, 2)).page())
    output = page.locator("[data-output]")
    assert output.get_attribute("aria-live") == "polite"
    _, ranks, _ = counted(page, torch.tensor([[0.5, 0.5]], dtype=torch.float64))
    count = page.locator(".lr-region").count()
    words = f"Layer L2, σ > 0.1: {count} regions in view; at (0.50, 0.50) rank {ranks[0]}, σ = "
    page.wait_for_function("document.querySelector('[data-output]').textContent !== ''")
    assert output.text_content().startswith(words)
    said = page.evaluate("""async () => {
        const [model, output] = [document.querySelector(".lr-mount").lrModel, document.querySelector("[data-output]")];
        const said = [];
        new MutationObserver(() => said.push(output.textContent)).observe(output, { childList: true });
        for (let i = 0; i < 20; i += 1) model.set("point", [i / 10, -1]);
        await new Promise((resolve) => setTimeout(resolve, 1000));
        return said;
    }""")
    assert len(said) == 1  # the last of twenty
    assert "at (1.90, −1.00)" in said[0]


def test_the_first_weights_come_back(show):
    page = show(RegionMap(network(2, 3, 2)).page())
    first = get(page, "weights")
    drawn = page.locator("[data-plot=plane]").inner_html()
    page.locator("[data-control=angle]").press("PageUp")
    page.locator("[data-control=strength]").press("PageUp")
    assert get(page, "weights") != first
    page.get_by_role("button", name="Back to the first weights").click()
    assert get(page, "weights") == first
    assert page.locator("[data-plot=plane]").inner_html() == drawn


def test_the_table_shows_the_jacobian_and_the_ellipse_its_singular_values(show):
    page = show(RegionMap(network(2, 3, 2), layer="L1").page())
    rows = [row.locator("td").all_text_contents() for row in page.locator("tbody tr").all()]
    weight = network(2, 3, 2).L1.weight
    assert [[float(text.replace("−", "-")) for text in row] for row in rows] == [
        pytest.approx(row, abs=0.0051) for row in weight.tolist()
    ]
    label = page.locator("[data-plot=ellipse]").get_attribute("aria-label")
    expected = " and ".join(f"{value:.2f}" for value in torch.linalg.svdvals(weight).tolist())
    assert label.endswith(f"half-axes {expected}")
    set_to(page, layer="L2")
    assert page.locator("tbody tr").count() == 2


def ellipse_points(page):
    """Corners of the drawn ellipse from its middle, in pixels, y up."""
    size = float(page.locator("[data-plot=ellipse]").evaluate("e => e.viewBox.baseVal.width"))
    numbers = page.locator(".lr-image").get_attribute("d").replace("Z", "").replace("L", "M").split("M")[1:]
    points = torch.tensor([[float(v) for v in pair.split()] for pair in numbers])
    return (points - size / 2) * torch.tensor([1.0, -1.0])


@pytest.mark.parametrize(("net", "layer"), [("2-3-2", "L2"), ("2-8-8-3", "L3")])
def test_the_ellipse_is_the_image_of_a_circle(show, net, layer):
    page = show(RegionMap(EXAMPLES[net](), layer=layer).page())
    points = ellipse_points(page)
    drawn = torch.linalg.svdvals(points.double()) * math.sqrt(2 / len(points))  # half-axes, from even angles
    sigma = json.loads(page.locator("[data-readout]").get_attribute("data-sigma"))
    assert drawn[1] / drawn[0] == pytest.approx(
        sigma[1] / sigma[0], abs=0.03
    )  # pixels, and one corner drawn twice
    if layer == "L2":  # two units: as they are, so J^-1 maps the ellipse back to a circle
        s_net = network_of(page)
        point = torch.tensor([get(page, "point")], dtype=torch.float64)
        jacobian = torch.autograd.functional.jacobian(lambda x: s_net(x)[0], point)[:, 0]
        radii = torch.linalg.solve(jacobian, points.double().T).norm(dim=0)
        assert radii.max() / radii.min() < 1.05  # points are rounded to tenths of a pixel


@pytest.mark.parametrize("layer", ["L2", "L3"])
def test_half_axes_have_the_singular_values_lengths_at_right_angles(show, layer):
    page = show(RegionMap(network(2, 6, 2, 4), layer=layer, eps=0.05).page())
    for point in uniform_points(12, 3.0).tolist():
        set_to(page, point=point)
        sigma = json.loads(page.locator("[data-readout]").get_attribute("data-sigma"))
        halves = page.locator(".lr-half-axis")
        ends = []
        for path in halves.all():
            middle, end = (
                [float(v) for v in pair.split()]
                for pair in path.get_attribute("d").replace("L", "M").split("M")[1:]
            )
            ends.append([end[0] - middle[0], end[1] - middle[1]])
        (a, b), (c, d) = ends
        lengths = [math.hypot(a, b), math.hypot(c, d)]
        tenth = 0.2  # pixels: both ends are rounded to tenths
        assert lengths[1] * sigma[0] == pytest.approx(lengths[0] * sigma[1], abs=tenth * sum(sigma))
        assert a * c + b * d == pytest.approx(0, abs=tenth * sum(lengths))
        dashed = [path.get_attribute("stroke-dasharray") is not None for path in halves.all()]
        assert dashed == [value <= 0.05 for value in sigma]


def test_a_singular_value_that_is_rounding_is_written_as_zero(show):
    page = show(RegionMap(network(2, 6, 2, seed=3), point=(-0.95, 0.92)).page())
    readout = page.locator("[data-readout]")
    sigma = json.loads(readout.get_attribute("data-sigma"))
    assert 0 < sigma[1] < 1e-15  # one unit is on there: the Jacobian has rank 1, but for rounding
    assert readout.text_content() == f"σ₁ = {sigma[0]:.2f}, σ₂ = 0"


@pytest.mark.parametrize("name", ["2-3-2", "2-6-5-4-1"])
def test_the_legend_and_the_heading_count_the_regions(show, name):
    net = EXAMPLES[name]()
    figure = RegionMap(net, layer=net.layers[-1])
    ranks = figure.ranks(figure.regions)
    page = show(figure.page())
    assert page.locator(".lr-heading strong").first.text_content() == f"{len(ranks)} linear regions"
    items = page.locator(".lr-legend li").all_text_contents()[:-1]
    most = min(2, net.widths[-1])
    plural = ["region" if ranks.count(rank) == 1 else "regions" for rank in range(most + 1)]
    assert items == [f"{rank}{ranks.count(rank)} {plural[rank]}" for rank in range(most + 1)]
    numbers = page.locator("[data-plot=plane] :is(.lr-on-0, .lr-on-1, .lr-on-2)").all_text_contents()
    assert set(numbers) <= {"0", "1", "2"}  # the second cue besides colour, where there is room
    assert len(numbers) > 3


@pytest.mark.parametrize(
    ("layer", "neuron", "words"),
    [
        ("L2", ("L1", 1), "Drag its line in the map"),
        ("L1", ("L1", 1), "L1 itself has one region"),
        ("L2", ("L3", 1), "L3 comes after L2: its weights change nothing here."),
        ("L2", ("L2", 1), "its weights change the Jacobian, not the regions."),
        ("L3", ("L2", 1), "edges bend where a unit of L2 switches."),
    ],
)
def test_a_hint_says_what_a_units_weights_do(show, layer, neuron, words):
    page = show(RegionMap(network(2, 3, 3, 2), layer=layer, neuron=neuron).page())
    assert words in page.locator(".lr-neuron .lr-hint").text_content()
    regions = [shape.get_attribute("d") for shape in page.locator(".lr-region").all()]
    jacobian = page.locator("tbody").inner_html()
    weights, place = get(page, "weights"), int(neuron[0][1]) - 1
    weights[place][0] = [
        *[1.0, -1.0, 1.0][: len(weights[place][0]) - 1],
        -0.1,
    ]  # it switches within the square
    set_to(page, weights=weights)
    same_regions = regions == [shape.get_attribute("d") for shape in page.locator(".lr-region").all()]
    same_jacobian = jacobian == page.locator("tbody").inner_html()
    assert same_regions == (neuron[0] >= layer)  # "L1" < "L2" < "L3"
    if same_regions:
        assert same_jacobian == (neuron[0] > layer)


@pytest.mark.parametrize("width", [358, 1280])  # 358: a phone of 390, less the margins of a page of the book
@pytest.mark.parametrize("name", ["2-3-2", "2-6-5-4-1", "2-8-8-3"])
def test_it_fits_and_its_letters_are_legible(show, width, name):
    net = EXAMPLES[name]()
    page = show(RegionMap(net, layer=net.layers[-1]).page(), width=width)
    for neuron in (["L1", 1], ["L2", 1]):
        set_to(page, neuron=neuron)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    sizes = page.locator(".lr-figure *").evaluate_all(
        """all => all.filter((e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
              .map((e) => parseFloat(getComputedStyle(e).fontSize))"""
    )
    assert min(sizes) >= 11
    plane = page.locator("[data-plot=plane]")
    assert plane.evaluate("e => e.viewBox.baseVal.width - e.getBoundingClientRect().width") == pytest.approx(
        0, abs=0.51
    )


def test_it_redraws_when_its_width_changes(show):
    page = show(RegionMap(network(2, 3, 2)).page())
    for width in (390, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_function(
            "wide => (document.querySelector('.lr-frame').width.baseVal.value > 400) === wide",
            arg=width > 600,
        )
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_finger_pins_drags_and_scrolls(show):
    page = show(RegionMap(network(2, 3, 2)).page(), width=390, has_touch=True, is_mobile=True)
    targets = page.locator(
        ".lr-figure :is(input[type=range], label.lr-check, button, select, .lr-target):visible"
    ).evaluate_all("all => all.map(e => e.getBoundingClientRect().height)")
    assert min(targets) >= 44
    touch_action = "e => getComputedStyle(e).touchAction"
    assert page.locator("[data-plot=plane]").evaluate(touch_action) == "pan-y"
    assert page.locator(".lr-turner").evaluate(touch_action) == "none"
    page.touchscreen.tap(*to_screen(page, (-2, 2)))
    assert get(page, "point") == pytest.approx([-2, 2], abs=2 * PIXEL)
    assert page.locator(".lr-hover").count() == 0
    before = get(page, "weights")
    page.touchscreen.tap(*to_screen(page, spot_on_line(page, 2)))
    assert get(page, "neuron") == ["L1", 2]
    assert get(page, "weights") == before


def test_a_finger_drags_a_line_only_once_it_is_chosen(show):
    page = show(RegionMap(network(2, 3, 2)).page(), width=390, has_touch=True, is_mobile=True)
    spot = spot_on_line(page, 2)
    start, end = to_screen(page, spot), to_screen(page, (spot[0] + 0.5, spot[1] + 0.5))
    session = page.context.new_cdp_session(page)

    def swipe():
        for kind, at in (("touchStart", start), ("touchMove", end), ("touchEnd", None)):
            points = [{"x": at[0], "y": at[1]}] if at else []
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    before = get(page, "weights")
    swipe()
    assert (get(page, "weights"), get(page, "neuron")) == (before, ["L1", 2])
    start, end = to_screen(page, spot), to_screen(page, (spot[0] + 0.5, spot[1] + 0.5))
    swipe()
    assert get(page, "weights") != before
    check_points(page, 20)


def test_every_control_has_a_label_and_takes_the_focus_in_order(show):
    page = show(RegionMap(network(2, 3, 2)).page())
    labels = {
        "layer": "Layer",
        "eps": "Threshold ε",
        "relative": "relative to",
        "neuron": "Unit",
        "angle": "Angle of its weights",
        "offset": "Offset of its line",
        "strength": "Strength |w|",
    }
    for control, label in labels.items():
        assert (
            page.get_by_label(label).and_(page.locator("[data-control]")).get_attribute("data-control")
            == control
        )
    assert "Arrow keys move the point" in page.locator("[data-plot=plane]").get_attribute("aria-label")
    order = []
    for _ in range(9):
        page.keyboard.press("Tab")
        order.append(
            page.evaluate("document.activeElement.dataset.control ?? document.activeElement.dataset.plot")
        )
    assert order == ["layer", "eps", "relative", "plane", "neuron", "reset", "angle", "offset", "strength"]


def test_letters_and_arrows_do_not_reach_the_notebook_and_shortcuts_do(show):
    page = show(RegionMap(network(2, 3, 2)).page())
    page.evaluate("window.keys = []; document.addEventListener('keydown', (e) => keys.push(e.key))")
    for control in ("[data-control=layer]", "[data-control=angle]", "[data-plot=plane]"):
        for key in ("a", "ArrowLeft", "Escape", "Control+s"):
            page.locator(control).press(key)
    assert page.evaluate("keys") == ["Escape", "Control", "s"] * 3


def test_two_maps_on_a_page_do_not_move_each_other(show):
    html = (
        RegionMap(network(2, 3, 2)).page()
        + RegionMap(network(2, 4, 2), label="other", title="</script><b>").page()
    )
    page = show(html, ready=2)
    one, two = page.locator("#region-map"), page.locator("#other")
    before = one.inner_html()
    two.locator("[data-control=angle]").press("PageUp")
    two.locator("[data-control=layer]").press("Home")
    assert two.locator(".lr-region").count() == 1
    page.wait_for_function("document.querySelectorAll('[data-output]')[1].textContent.startsWith('Layer L1')")
    assert one.locator("[data-plot]").first.inner_html() in before
    assert page.evaluate(f"{MODEL}.get('layer')") == "L2"
    assert two.locator(".lr-title").text_content() == "</script><b>"
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids))


def test_cleaning_up_stops_everything(show):
    page = show(RegionMap(network(2, 3, 2)).page())
    left = page.evaluate("""async () => {
        const mount = document.querySelector(".lr-mount");
        const root = mount.querySelector(".lr-figure");
        const [slider, output, plane] = ["[data-control=angle]", "[data-output]", "[data-plot=plane]"].map((s) => root.querySelector(s));
        mount.lrModel.set("point", [1, 1]); // what it would say is still to come
        const said = output.textContent;
        mount.lrCleanup();
        const [weights, point] = [mount.lrModel.get("weights"), mount.lrModel.get("point")];
        slider.value = 2;
        slider.dispatchEvent(new Event("input"));
        plane.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowUp" }));
        await new Promise((resolve) => setTimeout(resolve, 600));
        const listeners = [...mount.lrModel.listeners.values()].reduce((n, set) => n + set.size, 0);
        const same = mount.lrModel.get("weights") === weights && mount.lrModel.get("point") === point;
        return [root.isConnected, listeners, same, output.textContent === said];
    }""")
    assert left == [False, 0, True, True]


def test_nothing_is_animated(show):
    """So there is nothing to stop for those who asked for less motion."""
    page = show(RegionMap(network(2, 3, 2)).page(), reduced_motion="reduce")
    assert page.evaluate("document.getAnimations().length") == 0
