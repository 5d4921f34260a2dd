"""The playground's pictures against lrlib and numpy: ranks in the plane of inputs, regions, classes, and features."""

import numpy as np
import pytest
import torch
from playground_page import QUICK, settings_of

import lrlib
from lrlib.interactive.playground import course

pytestmark = pytest.mark.browser

CELLS = 24  # a side of the picture
GIVEN = """
    const training = new Training(given.settings, null);
    while (!training.finished) training.advance();
    const plane = new InputPlane(training);
"""
PICTURE = f"""{GIVEN}
    plane.begin(given.view);
    const before = training.network.weights.map((weight) => weight.slice());
    training.network.weights[0].fill(0);  // the picture is of the weights at its beginning
    while (!plane.paint(performance.now() + 1));
    training.network.weights = before;
    const {{ ranks, classes, patterns, extent, flat, pieces, step }} = plane.picture;
    return {{ ranks, classes, patterns, extent, flat, pieces, step, points: plane.points, mean: plane.mean, axes: plane.axes }};
"""
FLAT = {**QUICK, "steps": 100, "noise": 0.0}
DEEP = {**FLAT, "data": "teacher", "loss": "mse", "inputs": 5, "rank": 2}
PROJECTION = 1e-5  # the page keeps projected points in float32


def trained(settings):
    """The network, and the inputs that it was trained on."""
    net, _ = course.trained(settings)
    with course.float64():
        x, *_ = course.draw(settings, lrlib.runtime.generator(settings["seed"]))
    return net, x


def places(found):
    """The inputs at the cells' centres, row by row from the top, (CELLS^2, d)."""
    at = found["extent"] * ((2 * np.arange(CELLS) + 1) / CELLS - 1)
    along, up = np.meshgrid(at, -at)
    axes = np.array(found["axes"]).reshape(2, -1)
    return torch.tensor(
        np.array(found["mean"]) + along.reshape(-1, 1) * axes[0] + up.reshape(-1, 1) * axes[1]
    )


def rank_at(net, x, inputs, layer, reading, eps):
    factor = lrlib.covariance_root(inputs) if reading == "data-scaled" else None
    s = lrlib.jacobian_spectra(net, x, input_factor=factor).values[layer]
    if reading in ("effective", "stable"):
        return {"effective": lrlib.effective_rank, "stable": lrlib.stable_rank}[reading](s)
    return lrlib.count_above(s, eps, relative=reading == "relative").double()


@pytest.mark.parametrize(
    "changes", [FLAT, DEEP, {**FLAT, "activation": "tanh"}], ids=["flat", "deep", "tanh"]
)
@pytest.mark.parametrize(
    ("layer", "reading", "eps"),
    [(0, "absolute", 0.5), (1, "absolute", 0.2), (2, "relative", 0.2), (2, "data-scaled", 0.5), (1, "effective", 0.1), (2, "stable", 0.1)],
)  # fmt: skip
def test_the_colour_of_a_cell_is_the_rank_at_its_centre(engine, changes, layer, reading, eps):
    settings = settings_of(changes)
    view = {"layer": layer, "reading": reading, "eps": eps, "resolution": CELLS}
    found = engine(PICTURE, settings=settings, view=view)
    net, inputs = trained(settings)
    expected = rank_at(net, places(found), inputs, layer, reading, eps).numpy()
    np.testing.assert_allclose(found["ranks"], expected, rtol=1e-5)  # float32 in the page
    assert found["step"] == settings["steps"]
    assert found["flat"] == (settings["data"] != "teacher")
    assert found["pieces"] == (settings["activation"] != "tanh")


def test_its_classes_are_the_network_s_answers(engine):
    settings = settings_of(FLAT)
    view = {"layer": 1, "reading": "absolute", "eps": 0.1, "resolution": CELLS}
    found = engine(PICTURE, settings=settings, view=view)
    net, _ = trained(settings)
    answers = net(places(found)).argmax(1)
    assert found["classes"] == answers.tolist()
    assert set(found["classes"]) == {0, 1}


def test_a_linear_network_has_one_region(engine):
    view = {"layer": 2, "reading": "absolute", "eps": 0.1, "resolution": CELLS}
    found = engine(PICTURE, settings=settings_of({**FLAT, "activation": "identity"}), view=view)
    assert not found["pieces"]
    assert len(set(found["patterns"])) == 1


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_cells_of_one_pattern_are_those_where_the_same_units_are_on(engine, layer):
    settings = settings_of(FLAT)
    view = {"layer": layer, "reading": "absolute", "eps": 0.1, "resolution": CELLS}
    found = engine(PICTURE, settings=settings, view=view)
    net, _ = trained(settings)
    below = net.preactivations(places(found))[:layer]
    on = torch.cat([torch.ones(CELLS**2, 1, dtype=torch.bool), *(p > 0 for p in below)], dim=1)
    _, expected = torch.unique(on, dim=0, return_inverse=True)
    _, shown = np.unique(found["patterns"], return_inverse=True)
    pairs = set(zip(expected.tolist(), shown.tolist(), strict=True))
    assert len(pairs) == len(set(expected.tolist())) == len(set(shown.tolist()))
    assert (len(pairs) == 1) == (layer == 0)


def test_the_picture_holds_all_points(engine):
    for changes in (FLAT, DEEP):
        settings = settings_of(changes)
        view = {"layer": 1, "reading": "absolute", "eps": 0.1, "resolution": CELLS}
        found = engine(PICTURE, settings=settings, view=view)
        points = np.array(found["points"]).reshape(-1, 2)
        assert 0.8 < np.abs(points).max() / found["extent"] < 1
        _, inputs = trained(settings)
        axes = np.array(found["axes"]).reshape(2, -1)
        np.testing.assert_allclose(axes @ axes.T, np.eye(2), atol=1e-12)
        own = (inputs.numpy() - np.array(found["mean"])) @ axes.T
        np.testing.assert_allclose(points, own, atol=PROJECTION)
        if changes is DEEP:  # the slice is that of the two principal directions
            variances = np.linalg.eigvalsh(np.cov(inputs.numpy().T))
            np.testing.assert_allclose(own.var(0, ddof=1), variances[::-1][:2], rtol=1e-10)
        else:
            assert np.array_equal(axes, np.eye(2))


@pytest.mark.parametrize("layer", [0, 1, 2])
@pytest.mark.parametrize("changes", [FLAT, DEEP], ids=["flat", "deep"])
def test_features_are_along_their_principal_directions(engine, changes, layer):
    settings = settings_of(changes)
    found = engine(
        f"{GIVEN} return featurePlane(training, given.layer, null);", settings=settings, layer=layer
    )
    net, inputs = trained(settings)
    p = net.preactivations(inputs)[layer].detach().numpy()
    values = np.linalg.eigvalsh(np.cov(p.T))[::-1]
    points = np.array(found["points"]).reshape(-1, 2)
    np.testing.assert_allclose(points.var(0, ddof=1), values[:2], rtol=PROJECTION)
    assert found["share"] == pytest.approx(values[:2].sum() / values.sum(), rel=1e-10)
    axes = np.array(found["axes"]).reshape(2, -1)
    np.testing.assert_allclose(points, (p - p.mean(0)) @ axes.T, atol=PROJECTION * np.abs(p).max())


def test_features_do_not_flip_from_one_frame_to_the_next(engine):
    flipped = """
        const first = featurePlane(training, 1, null);
        const turned = first.axes.map((value) => -value);
        return [first.points, featurePlane(training, 1, turned).points, featurePlane(training, 1, first.axes).points];
    """
    first, turned, same = map(np.array, engine(GIVEN + flipped, settings=settings_of(FLAT)))
    assert np.array_equal(turned, -first)
    assert np.array_equal(same, first)


@pytest.mark.parametrize("reading", ["absolute", "relative", "effective", "stable"])
def test_a_rank_is_lrlib_s_also_with_ties_and_zeros(engine, reading):
    rows = [
        [3.0, 1.0, 0.5, 0.0],
        [1.0, 1.0, 1.0, 1.0],
        [0.0] * 4,
        [0.5, 0.5, 0.25, 1e-300],
        [2.0, 0.0, 0.0, 0.0],
    ]
    ranks = """return given.rows.map((row) => rankOf(Float64Array.from(row), 0, 4, given.reading, 0.5));"""
    found = engine(ranks, rows=rows, reading=reading)
    s = torch.tensor(rows, dtype=torch.float64)
    expected = {"effective": lrlib.effective_rank, "stable": lrlib.stable_rank}.get(
        reading, lambda s: lrlib.count_above(s, 0.5, relative=reading == "relative")
    )(s)
    assert found == pytest.approx(expected.tolist(), rel=1e-14)
