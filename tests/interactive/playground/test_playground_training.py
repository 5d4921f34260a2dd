"""A course of training in the engine is lrlib's, update by update, and stops where lrlib's raises."""

import re

import numpy as np
import pytest
import torch
from playground_page import page_digits
from torch.nn import functional as F

from lrlib import jacobian_spectra, runtime
from lrlib.interactive.playground import CHOICES
from lrlib.interactive.playground.course import PROBE, draw, start, trained
from lrlib.rank import covariance_root
from lrlib.train import accuracy, log_steps, train

pytestmark = pytest.mark.browser

# Sums in another order and exponentials of another library differ by 1e-16, and every update passes that on. Seen: 1e-12
LOSS_RTOL = 1e-9
WEIGHT_ATOL = 1e-9  # of weights near 1, for the same reason
# what numpy finds of the page's weights differs by a root of rounding: see GRAM_FLOOR in test_playground_jacobian.py
SPECTRA_ATOL = 1e-6
PLAIN = {
    "data": "moons", "inputs": 10, "rank": 3, "width": 16, "depth": 2, "activation": "relu", "loss": "cross_entropy",
    "lr": 0.1, "momentum": 0.0, "decay": 0.0, "scale": 1.0, "noise": 0.0, "batch": 32, "steps": 200, "seed": 0,
}  # fmt: skip
COURSE = """const training = new Training(given.settings, given.digits && digitsOf(given.digits));
while (!training.finished) training.advance();
const { failure, losses, records, network, step } = training;
return { failure, losses, records, step, weights: network.weights, biases: network.biases };"""
# a batch of 4 divides the 500 inputs, and its 200 updates go past the end of an epoch; so do those of 32, which does not
CHANGES = {
    "moons": {},
    "spirals, momentum and decay": {"data": "spirals", "momentum": 0.9, "decay": 0.005, "lr": 0.02, "noise": 0.2},
    "rings, mean squares, tanh": {"data": "rings", "loss": "mse", "activation": "tanh", "batch": 4, "seed": 3},
    "decay alone, leaky": {"decay": 0.1, "activation": "leaky_relu", "batch": 128},
    "momentum alone, silu": {"momentum": 0.95, "lr": 0.01, "activation": "silu", "batch": 64, "depth": 1},
    "all data at once, softplus": {"batch": 500, "activation": "softplus", "scale": 2.0},
    "one at a time, elu": {"batch": 1, "activation": "elu", "lr": 0.01, "noise": 1.0},
    "teacher": {"data": "teacher", "loss": "mse", "noise": 0.1, "decay": 0.01, "depth": 3, "momentum": 0.5},
    "teacher of two inputs, linear": {
        "data": "teacher", "loss": "mse", "inputs": 2, "rank": 2, "activation": "identity", "scale": 0.1, "depth": 5,
    },
    "digits": {"data": "digits", "noise": 0.3, "decay": 0.002, "width": 24, "batch": 64, "seed": 11},
    "digits, mean squares": {"data": "digits", "loss": "mse", "noise": 0.1, "momentum": 0.9},
}  # fmt: skip


@pytest.fixture(scope="module")
def digits():
    return page_digits()


def course(engine, digits, **changes):
    settings = {**PLAIN, **changes}
    return settings, engine(
        COURSE, settings=settings, digits=digits if settings["data"] == "digits" else None
    )


def check_weights(found, net):
    for name, weight, bias in zip(net.layers, found["weights"], found["biases"], strict=True):
        layer = net.get_submodule(name)
        for here, theirs in ((weight, layer.weight), (bias, layer.bias)):
            np.testing.assert_allclose(here, theirs.detach().flatten(), rtol=0, atol=WEIGHT_ATOL)


def check_spectra(found, expected):
    for here, s in zip(found, expected.values, strict=True):
        atol = SPECTRA_ATOL * s.max().item()
        np.testing.assert_allclose(np.reshape(here, s.shape), s, rtol=0, atol=atol)


@pytest.mark.parametrize("name", CHANGES)
def test_losses_weights_and_readings_are_lrlib_s(engine, digits, float64, name):
    settings, found = course(engine, digits, **CHANGES[name])
    net, history = trained(settings)
    assert (found["failure"], found["step"]) == (None, 200)
    np.testing.assert_allclose(found["losses"], history.loss, rtol=LOSS_RTOL, atol=0)
    check_weights(found, net)
    x, y, x_test, y_test = draw(settings, runtime.generator(settings["seed"]))
    assert [record["step"] for record in found["records"]] == list(history.steps) == list(log_steps(200, 60))
    for record, spectra in zip(found["records"], history.readings, strict=True):
        check_spectra(record["plain"], spectra)
    scaled = jacobian_spectra(net, x_test[:PROBE], input_factor=covariance_root(x))
    check_spectra(found["records"][-1]["scaled"], scaled)
    for part, points, labels in (("train", x, y), ("test", x_test, y_test)):
        last = found["records"][-1][part]
        outputs = net(points).detach()
        loss = F.mse_loss(outputs, labels) if settings["loss"] == "mse" else F.cross_entropy(outputs, labels)
        assert last["loss"] == pytest.approx(loss.item(), rel=LOSS_RTOL)
        if settings["data"] != "teacher":
            classes = labels if labels.ndim == 1 else labels.argmax(1)
            assert last["score"] == accuracy(torch.nn.Identity(), outputs, classes)
        else:
            explained = 1 - loss / (labels - labels.mean(0)).square().mean()
            assert last["score"] == pytest.approx(explained.item(), rel=LOSS_RTOL)


def test_courses_of_two_seeds_differ_and_of_one_do_not(engine):
    once, again, other = (course(engine, None, seed=seed)[1]["losses"] for seed in (4, 4, 5))
    assert once == again
    assert not np.allclose(once, other, rtol=0.01)


@pytest.mark.parametrize("steps", [1, 2, 3, 59, 60, 61, 12_345, *CHOICES["steps"]])
def test_records_are_taken_at_log_steps(engine, steps):
    assert engine("return logSteps(given.steps);", steps=steps) == list(log_steps(steps, 60))


@pytest.mark.parametrize(("n", "d"), [(2, 1), (9, 4), (500, 2), (40, 30)])
def test_moments_and_the_root_of_the_covariance(engine, n, d):
    x = np.random.default_rng(d).normal(3.0, 2.0, size=(n, d)) * np.linspace(
        0, 1, d
    )  # one column is constant
    body = """const moments = momentsOf(Float64Array.from(given.x), given.n, given.d);
return { ...moments, root: rootOf(moments.covariance, given.d) };"""
    found = engine(body, x=x.flatten(), n=n, d=d)
    np.testing.assert_allclose(found["mean"], x.mean(0), rtol=1e-13)  # sums of up to 500 terms
    covariance = np.cov(x.T).reshape(d, d)
    atol = 1e-13 * max(1, covariance.max())
    np.testing.assert_allclose(np.reshape(found["covariance"], (d, d)), covariance, rtol=0, atol=atol)
    root = covariance_root(torch.from_numpy(x)).numpy()
    # a root of what should be zero is a root of rounding: 1e-8 times the largest deviation
    np.testing.assert_allclose(
        np.reshape(found["root"], (d, d)), root, rtol=0, atol=1e-7 * max(1, root.max())
    )


DIVERGING = {
    "mean squares": {"loss": "mse", "lr": 5.0, "activation": "identity", "scale": 3.0},
    "momentum": {
        "loss": "mse",
        "lr": 0.5,
        "momentum": 0.99,
        "depth": 3,
        "activation": "leaky_relu",
        "scale": 3.0,
    },
    "slow, all data at once": {
        "loss": "mse",
        "lr": 1.0,
        "batch": 500,
        "scale": 2.0,
        "activation": "identity",
    },
    "cross-entropy": {
        "lr": 5.0,
        "momentum": 0.99,
        "decay": 0.1,
        "activation": "identity",
        "steps": 5000,
        "scale": 5.0,
    },
    "relu, which must not swallow NaN": {
        "lr": 0.5,
        "momentum": 0.99,
        "decay": 0.1,
        "depth": 4,
        "batch": 4,
        "scale": 1.0,
        "noise": 0.1,
        "steps": 400,
        "seed": 0,
    },
}


@pytest.mark.parametrize("name", DIVERGING)
def test_training_that_diverges_stops_with_a_message_at_the_step_where_lrlib_raises(engine, float64, name):
    settings, found = course(engine, None, **DIVERGING[name])
    generator = runtime.generator(settings["seed"])
    x, y, *_ = draw(settings, generator)
    net = start(settings, generator)
    options = {"batch_size": settings["batch"], "loss": settings["loss"], "weight_decay": settings["decay"]}
    options |= {name: settings[name] for name in ("steps", "lr", "momentum")}
    with pytest.raises(FloatingPointError, match=r"at step (\d+)") as error:
        train(net, x, y, generator=generator, **options)
    step = int(re.search(r"at step (\d+)", str(error.value))[1])
    # a record that falls due meanwhile, of weights whose Jacobian is beyond float64, may find it first
    told = re.fullmatch(
        r"(?:The loss is (?:NaN|Infinity) at|A (?:weight|Jacobian) is not finite after) step (\d+): training diverged\. "
        r"Reset, and try a learning rate below ([\d.]+)(, or less momentum)?\.",
        found["failure"],
    )
    assert told
    assert float(told[2]) == settings["lr"]
    assert bool(told[3]) == bool(settings["momentum"])
    assert found["step"] == int(told[1])
    if found["failure"].startswith("The loss"):
        assert int(told[1]) == step
    else:
        assert log_steps(settings["steps"], 60).count(int(told[1])) == 1
        assert 0 < int(told[1]) <= step
    for record in found["records"]:
        for layer in record["plain"] + record["scaled"]:
            assert np.isfinite(np.array(layer, dtype=float)).all()


def test_a_course_that_has_ended_says_so(engine):
    body = """const training = new Training(given.settings, null);
const seen = [];
while (!training.finished) { seen.push(training.step); training.advance(); }
return { seen, due: [...training.due], probe: PROBE, same: training.read(), last: training.records.at(-1) };"""
    found = engine(body, settings={**PLAIN, "steps": 5})
    assert found["seen"] == [0, 1, 2, 3, 4]
    assert found["due"] == list(log_steps(5, 60))
    assert found["probe"] == PROBE
    assert found["same"] == found["last"]
