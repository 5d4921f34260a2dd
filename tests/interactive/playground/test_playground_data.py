"""The page's data are lrlib's for the same generator, and leave it where lrlib leaves it."""

import numpy as np
import pytest
import torch
from playground_page import page_digits

from lrlib.data import gaussian_teacher, load, standardise
from lrlib.data.plane import flip_labels, moons, rings, two_spirals
from lrlib.runtime import generator

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("float64")]

PLANE = {"spirals": two_spirals, "rings": rings, "moons": moons}
ROUNDING = 1e-13  # absolute; sines, logarithms and sums of up to 64 terms of size 5, each rounded to 2e-16
MADE = """const g = new Generator(given.settings.seed);
const sets = dataOf(given.settings, g, given.digits && digitsOf(given.digits));
return { ...sets, next: g.uniform(3) };"""


def made(engine, digits=None, **settings):
    return engine(MADE, settings={"loss": "cross_entropy", "noise": 0.0, **settings}, digits=digits)


def table(values, columns):
    return np.reshape(values, (-1, columns))


def check_next(found, g):
    np.testing.assert_array_equal(found["next"], torch.rand(3, generator=g).numpy())


@pytest.mark.parametrize("seed", [0, 1, 42])
@pytest.mark.parametrize("noise", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("name", PLANE)
def test_points_in_the_plane_and_flipped_labels(engine, name, noise, seed):
    found = made(engine, data=name, noise=noise, seed=seed)
    g = generator(seed)
    x, y = PLANE[name](1000, generator=g)
    flipped = flip_labels(y[:500], noise, classes=2, generator=g)
    for part, points, labels in (("train", x[:500], flipped), ("test", x[500:], y[500:])):
        assert (found[part]["n"], found[part]["inputs"], found[part]["outputs"]) == (500, 2, 2)
        np.testing.assert_allclose(table(found[part]["x"], 2), points, rtol=0, atol=ROUNDING)
        assert found[part]["classes"] == labels.tolist()
        assert found[part]["targets"] is None
    check_next(found, g)


@pytest.mark.parametrize(("inputs", "rank"), [(2, 1), (2, 2), (3, 3), (5, 2), (30, 1), (30, 10)])
@pytest.mark.parametrize(("noise", "seed"), [(0.0, 0), (0.1, 3), (1.0, 8)])
def test_the_teacher(engine, inputs, rank, noise, seed):
    found = made(engine, data="teacher", inputs=inputs, rank=rank, noise=noise, seed=seed, loss="mse")
    g = generator(seed)
    expected = gaussian_teacher(1000, inputs=inputs, outputs=10, rank=rank, noise=noise, generator=g)
    for part, rows in (("train", slice(0, 500)), ("test", slice(500, 1000))):
        assert (found[part]["inputs"], found[part]["outputs"], found[part]["classes"]) == (inputs, 10, None)
        np.testing.assert_allclose(table(found[part]["x"], inputs), expected.x[rows], rtol=0, atol=ROUNDING)
        np.testing.assert_allclose(table(found[part]["targets"], 10), expected.y[rows], rtol=0, atol=ROUNDING)
    check_next(found, g)


@pytest.fixture(scope="module")
def digits():
    """What a page holds of the digits, and what lrlib makes of them."""
    return page_digits(), standardise(load("digits", n=500, seed=0), load("digits", split="test"))


def test_the_digits_to_the_last_bit(engine, digits):
    sent, parts = digits
    found = made(engine, sent, data="digits", seed=0)
    for part, expected in zip((found["train"], found["test"]), parts, strict=True):
        assert (part["n"], part["inputs"], part["outputs"]) == (len(expected), 64, 10)
        np.testing.assert_array_equal(table(part["x"], 64), expected.x.double())
        assert part["classes"] == expected.y.tolist()


@pytest.mark.parametrize("noise", [0.2, 1.0])
def test_flipped_labels_of_ten_classes(engine, digits, noise):
    sent, (train, test) = digits
    found = made(engine, sent, data="digits", noise=noise, seed=5)
    g = generator(5)
    flipped = flip_labels(train.y, noise, classes=10, generator=g)
    assert found["train"]["classes"] == flipped.tolist() != train.y.tolist()
    assert found["test"]["classes"] == test.y.tolist()
    check_next(found, g)


def test_classes_as_targets_of_a_mean_squared_error(engine, digits):
    for settings, sent, classes in (
        ({"data": "moons", "noise": 0.4}, None, 2),
        ({"data": "digits", "noise": 0.4}, digits[0], 10),
    ):
        found = made(engine, sent, loss="mse", seed=1, **settings)
        for part in (found["train"], found["test"]):
            labels = torch.tensor(part["classes"])
            one_hot = torch.nn.functional.one_hot(labels, classes)
            np.testing.assert_array_equal(table(part["targets"], classes), one_hot)
