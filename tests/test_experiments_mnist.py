"""The experiments on digits and clothes: their task, the cells of their pictures, and a seed against ``train``."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from lrlib import data, runtime
from lrlib.experiments import fashion_mnist, mnist, readings
from lrlib.nets import MLP
from lrlib.train import log_steps, train

PROBES = 6
TINY = replace(
    mnist.CONFIGS["quick"], hidden=(12, 8), steps=30, probes=PROBES, checkpoints=4, lists=3, seeds=(0, 1)
)
# 30 float32 updates in a stack, whose sums run in another order than alone: rounding of 2^-24, added up
FLOAT32 = 1e-3
ONE_PROBE = 1 / PROBES  # a singular value within rounding of a threshold moves a mean count by this
ONE_IMAGE = 1.5 / 360  # an output within rounding of another may be the largest or not
COUNTED = dict.fromkeys(("absolute", "relative", "data-scaled", "active"), ONE_PROBE)
ABSOLUTE = COUNTED | dict.fromkeys(("train_accuracy", "test_accuracy"), ONE_IMAGE)


@pytest.fixture(scope="module")
def task():
    return mnist.prepare(TINY)


@pytest.fixture(scope="module")
def frame():
    return dict(mnist.cells(TINY))["seed1"]()


def test_the_task_is_scikit_learn_s_digits_standardised_by_the_training_images(task):
    pixels = load_digits().data
    mean, std = pixels[:1437].mean(), pixels[:1437].std()
    for found, rows in ((task.train, slice(1437)), (task.test, slice(1437, None))):
        np.testing.assert_allclose(found.x.numpy(), (pixels[rows] - mean) / std, rtol=1e-5, atol=1e-6)


def test_readings_are_taken_at_test_images_and_over_all_of_the_data(task):
    probe = task.probe
    test = {tuple(row.tolist()) for row in task.test.x}
    assert all(tuple(row.tolist()) in test for row in probe.inputs.cpu())
    assert len({tuple(row.tolist()) for row in probe.inputs}) == PROBES
    factor = probe.input_factor.numpy()
    covariance = np.cov(task.train.x.double().numpy().T)
    np.testing.assert_allclose(factor @ factor.T, covariance, atol=1e-12 * covariance.max())
    for (x, y), split in ((probe.train, task.train), (probe.test, task.test)):
        assert torch.equal(x.cpu(), split.x)
        assert torch.equal(y.cpu(), split.y)
    assert torch.equal(mnist.prepare(TINY).probe.inputs, probe.inputs)  # the same for all runs


@pytest.mark.parametrize(("shape", "side"), [((8, 8), 1), ((28, 28), 2), ((10, 9), 2)])
def test_a_cell_of_a_picture_is_a_square_of_pixels_or_one_where_images_are_small(shape, side):
    across = -(-shape[1] // side)
    expected = [(i // side) * across + j // side for i in range(shape[0]) for j in range(shape[1])]
    assert mnist._cells_of_pixels(shape).tolist() == expected


def test_a_cell_is_one_seed_with_every_weight_decay(frame):
    assert [name for name, _ in mnist.cells(TINY)] == ["seed0", "seed1"]
    assert set(zip(frame.seed, frame.weight_decay, strict=True)) == {(1, 0.0), (1, 3e-3)}


def test_the_table_is_tidy_and_complete(frame):
    keys = ["seed", "weight_decay", "step", "layer", "reading", "eps"]
    assert list(frame.columns) == [*keys, "mean", "stderr", "values"]
    assert not frame.duplicated(keys).any()
    steps = log_steps(30, 4, first=10)
    with_lists = {steps[0], steps[2], steps[-1]}  # 3 of 5
    counts = {reading: len(levels) for reading, levels in mnist.THRESHOLDS.items()}
    of_layer = counts | dict.fromkeys(("effective", "stable", "operator", "within_class"), 1)
    lists = dict.fromkeys(("jacobian_spectrum", "weight_spectrum", "input_sensitivity"), 1)
    network = dict.fromkeys(("train_loss", "test_loss", "train_accuracy", "test_accuracy"), 1)
    for decay in (0.0, 3e-3):
        for step in steps:
            found = frame[(frame.weight_decay == decay) & (frame.step == step)]
            for layer in ("L1", "L2", "L3"):
                expected = (
                    of_layer
                    | (lists if step in with_lists else {})
                    | ({} if layer == "L3" else {"active": 1})
                )
                assert found[found.layer == layer].reading.value_counts().to_dict() == expected
            assert found[found.layer == "network"].reading.value_counts().to_dict() == network
            assert len(found) == len(found[found.layer.isin(["L1", "L2", "L3", "network"])])
    assert set(frame.step) == set(steps)


@pytest.mark.parametrize("weight_decay", [0.0, 3e-3])
def test_each_network_is_trained_as_if_alone(frame, task, weight_decay):
    g = runtime.generator(1)
    net = MLP([64, 12, 8, 10], generator=g)
    probe = replace(task.probe, **{
        name: tuple(t.cpu() for t in getattr(task.probe, name)) for name in ("train", "test")
    }, inputs=task.probe.inputs.cpu())  # fmt: skip
    history = train(
        net, task.train.x, task.train.y, steps=30, lr=0.1, batch_size=128, weight_decay=weight_decay, generator=g,
        measure=lambda now: readings.rows(now, probe), checkpoints=log_steps(30, 4, first=10), progress=False,
    )  # fmt: skip
    own = frame[frame.weight_decay == weight_decay].fillna({"eps": 0.0})
    found = own.set_index(["step", "layer", "reading", "eps"])["mean"]
    for step, rows in zip(history.steps, history.readings, strict=True):
        for layer, reading, eps, mean, *_ in rows:
            if mean is not None:
                tolerance = ABSOLUTE.get(reading, 0)
                assert found[step, layer, reading, eps or 0.0] == pytest.approx(
                    mean, rel=FLOAT32, abs=tolerance
                )


def test_weight_decays_of_a_seed_start_from_the_same_weights(frame):
    start = frame[(frame.step == 0) & frame["mean"].notna()].set_index(["layer", "reading", "eps"])
    first, second = (start[start.weight_decay == decay]["mean"] for decay in (0.0, 3e-3))
    assert (first == second).all()


def test_the_full_run_lasts_until_the_clock_shows_3_at_least():
    for module in (mnist, fashion_mnist):
        full = module.CONFIGS["full"]
        assert full.lr * min(d for d in full.weight_decays if d) * full.steps >= 3
        assert 0.0 in full.weight_decays
        assert len(set(full.seeds)) >= 5


def test_fashion_mnist_is_the_same_experiment_on_other_pictures():
    full, quick = fashion_mnist.CONFIGS["full"], fashion_mnist.CONFIGS["quick"]
    assert full.dataset == "fashion-mnist"
    assert full.dataset in data.NAMES
    assert asdict(full) | {"dataset": "mnist"} == asdict(mnist.CONFIGS["full"])
    assert fashion_mnist.cells is mnist.cells
    assert quick.dataset == "fashion-mnist"
