"""The experiment on depth: every value of its table, computed once more without the library's counts and spectra."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from lrlib import runtime
from lrlib.experiments import depth
from lrlib.nets import MLP
from lrlib.train import train

TINY = replace(depth.CONFIGS["quick"], depths=(2, 4), seeds=(0, 1), steps=40, width=12, probes=5)
FLOAT32 = 1e-4  # relative: networks run in float32, and sums over 1437 images round
FLOAT64 = 1e-9  # of readings of the weights, which are taken in float64


@pytest.fixture(scope="module")
def net() -> MLP:
    return depth.train_one(TINY, seed=1, depth=4, weight_decay=1e-2)


@pytest.fixture(scope="module")
def found(net):
    """The table by layer, reading and threshold (0 where there is none): pairs of mean and standard error."""
    frame = depth.table(net, probes=TINY.probes)
    keys = zip(frame.layer, frame.reading, frame.eps.fillna(0.0), strict=True)
    return dict(zip(keys, zip(frame["mean"], frame["stderr"], strict=True), strict=True))


def parity() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The task from scikit-learn's digits, scaled: training inputs and labels, test inputs and labels."""
    digits = load_digits()
    x = digits.data / np.linalg.norm(digits.data[:1437], axis=1).max()
    y = np.where(digits.target % 2 == 1, 1.0, -1.0)
    return x[:1437], y[:1437], x[1437:], y[1437:]


def matrices(net: MLP) -> list[np.ndarray]:
    return [net.get_submodule(name).weight.detach().double().numpy() for name in net.layers]


def outputs(net: MLP, x: np.ndarray) -> np.ndarray:
    for weight in matrices(net)[:-1]:
        x = np.maximum(x @ weight.T, 0)
    return (x @ matrices(net)[-1].T)[:, 0]


def test_the_task_is_parity_of_digits_no_longer_than_one():
    x, y, test_x, test_y = parity()
    for split, images, labels in (("train", x, y), ("test", test_x, test_y)):
        found_x, found_y = depth.task(split)
        np.testing.assert_allclose(found_x.numpy(), images, rtol=1e-6)  # float32
        np.testing.assert_array_equal(found_y.numpy(), labels[:, None])
    assert depth.task()[0].norm(dim=1).max().item() == pytest.approx(1, abs=1e-6)


def test_the_table_is_tidy_and_complete(net, found):
    frame = depth.table(net, probes=TINY.probes)
    assert list(frame.columns) == ["layer", "reading", "eps", "mean", "stderr"]
    assert len(found) == len(frame)  # no key twice
    of_layer = {(reading, 0.0) for reading in ("frobenius", "operator", "stable")}
    counts = ("weight", "product", "energy", "absolute", "relative")
    of_layer |= {(reading, eps) for reading in counts for eps in depth.THRESHOLDS}
    of_network = {(r, 0.0) for r in ("loss", "margin", "gain", "train_accuracy", "test_accuracy")}
    expected = {(layer, *key) for layer in ("L1", "L2", "L3", "L4") for key in of_layer}
    assert set(found) == expected | {("network", *key) for key in of_network}


def test_readings_of_the_weights_are_numpy_s(net, found):
    spectra = [np.linalg.svd(weight, compute_uv=False) for weight in matrices(net)]
    tops = [s[0] for s in spectra]
    for l, (name, s) in enumerate(zip(net.layers, spectra, strict=True)):
        energy = (matrices(net)[l] ** 2).sum()
        assert found[name, "frobenius", 0.0][0] == pytest.approx(np.sqrt(energy), rel=FLOAT64)
        assert found[name, "operator", 0.0][0] == pytest.approx(tops[l], rel=FLOAT64)
        assert found[name, "stable", 0.0][0] == pytest.approx(energy / tops[l] ** 2, rel=FLOAT64)
        for eps in depth.THRESHOLDS:
            assert found[name, "weight", eps][0] == (s > eps).sum()
            assert found[name, "energy", eps][0] == pytest.approx(energy / eps**2, rel=FLOAT64)
            all_tops = np.prod(tops[: l + 1])
            product = min((spectra[i] * all_tops / tops[i] > eps).sum() for i in range(l + 1))
            assert found[name, "product", eps][0] == product


def test_local_ranks_are_those_of_jacobians_written_out(net, found):
    inputs = depth.task("test")[0]
    probes = (
        inputs[torch.randperm(len(inputs), generator=runtime.generator(0))[: TINY.probes]].double().numpy()
    )
    jacobians = [np.broadcast_to(matrices(net)[0], (len(probes), *matrices(net)[0].shape))]
    p = probes @ matrices(net)[0].T
    for weight in matrices(net)[1:]:
        jacobians.append(weight @ ((p > 0)[:, :, None] * jacobians[-1]))
        p = np.maximum(p, 0) @ weight.T
    for name, jacobian in zip(net.layers, jacobians, strict=True):
        s = np.linalg.svd(jacobian, compute_uv=False)
        for eps in depth.THRESHOLDS:
            for reading, cut in (("absolute", eps), ("relative", eps * s[:, :1])):
                counts = (s > cut).sum(1)
                mean, stderr = found[name, reading, eps]
                assert mean == pytest.approx(counts.mean())
                assert stderr == pytest.approx(counts.std(ddof=1) / np.sqrt(TINY.probes))
            assert (found[name, "absolute", eps][0]) <= found[name, "product", eps][0]


def test_readings_of_the_network_are_those_of_a_float64_pass(net, found):
    x, y, test_x, test_y = parity()
    f = outputs(net, x)
    assert found["network", "loss", 0.0][0] == pytest.approx(((f - y) ** 2).mean(), rel=FLOAT32)
    assert found["network", "margin", 0.0][0] == pytest.approx((y * f).min(), rel=FLOAT32)
    gain = (np.abs(f) / np.linalg.norm(x, axis=1)).max()
    assert found["network", "gain", 0.0][0] == pytest.approx(gain, rel=FLOAT32)
    one_image = 1.5 / 360  # an output within rounding of 0 may fall on either side
    right = [(y * f > 0).mean(), (test_y * outputs(net, test_x) > 0).mean()]
    assert found["network", "train_accuracy", 0.0][0] == pytest.approx(right[0], abs=one_image)
    assert found["network", "test_accuracy", 0.0][0] == pytest.approx(right[1], abs=one_image)


def test_train_one_is_the_loop_written_out(net):
    g = runtime.generator(1)
    again = MLP([64, 12, 12, 12, 1], bias=False, init="he", generator=g)
    x, y = depth.task()
    train(again, x, y, steps=40, lr=0.1, batch_size=128, weight_decay=1e-2, loss="mse", generator=g)
    for a, b in zip(net.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=FLOAT32, atol=1e-5)  # float32 sums in another order on a GPU


def test_a_cell_is_the_table_of_its_network_with_its_names():
    cells = dict(depth.cells(TINY))
    assert list(cells) == [
        f"seed{seed}-depth{d}-decay{decay}" for seed in (0, 1) for d in (2, 4) for decay in ("0", "0.01")
    ]
    frame = cells["seed1-depth4-decay0.01"]()
    assert set(zip(frame.seed, frame.depth, frame.weight_decay, strict=True)) == {(1, 4, 0.01)}
    net = depth.train_one(TINY, seed=1, depth=4, weight_decay=0.01)
    expected = depth.table(net, probes=5)
    assert list(frame.columns) == ["seed", "depth", "weight_decay", *expected.columns]
    np.testing.assert_allclose(
        frame["mean"], expected["mean"], rtol=1e-2
    )  # the same network, but for a GPU's sums
