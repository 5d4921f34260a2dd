"""Every reading of a network once more: float64 autograd, numpy's SVD and covariance, scipy's and scikit-learn's losses."""

import math
from copy import deepcopy
from functools import partial

import numpy as np
import pytest
import scipy.linalg
import scipy.special
import scipy.stats
import torch
from sklearn import metrics

from lrlib.experiments import readings
from lrlib.nets import MLP, MLPStack
from lrlib.runtime import generator
from lrlib.train import fit_many

D, OUT, PROBES = 6, 4, 35  # an odd number has a median; more than the 32 whose whole Jacobians are formed
THRESHOLDS = {"absolute": (0.05, 0.5, 1.0), "relative": (0.1, 0.6), "data-scaled": (0.5,)}
FLOAT64 = 1e-6  # relative: readings of spectra, which come from float64 Gram matrices on one side
FLOAT32 = 1e-5  # relative: outputs, losses and variances, sums of at most 60 terms in float32
TEXT = 5.1e-3  # relative: lists keep three digits, which is half a unit of 100 at the worst
# Relative, of the effective rank of a low-rank matrix: a singular value of 0 may be read as up to 1e-4 sigma_1, adds
# q ln(1/q) < 1e-3 to the entropy, and there are at most 8 of them.
NOT_TOLD_FROM_ZERO = 8e-3


def relu(**options):
    return MLP([D, 9, 8, OUT], init="he", generator=generator(1), **options)


def low_rank():
    """First weights of rank 2, and a unit that no probe switches on."""
    net = relu()
    with torch.no_grad():
        net.L1.weight.copy_(
            torch.randn(9, 2, generator=generator(2)) @ torch.randn(2, D, generator=generator(3))
        )
        net.L2.bias[0] = -100
    return net


NETS = {
    "relu": relu,
    "tanh, no bias": lambda: MLP([D, 9, 8, OUT], activation="tanh", bias=False, generator=generator(4)),
    "leaky relu, wide end": lambda: MLP([D, 5, OUT], activation="leaky_relu", generator=generator(5)),
    "low rank": low_rank,
}


def split(n, seed, *, classes):
    """Anisotropic inputs with a mean, and classes or targets."""
    g = generator(seed)
    x = torch.randn(n, D, generator=g) * torch.tensor([3.0, 2, 1, 1, 0.5, 0.1]) + 0.5
    return x, torch.randint(0, OUT, (n,), generator=g) if classes else torch.randn(n, OUT, generator=g)


def probe(*, classes=True, **change):
    train, test = split(60, 10, classes=classes), split(50, 11, classes=classes)
    factor = scipy.linalg.sqrtm(np.cov(train[0].double().numpy().T))
    settings = {
        "inputs": split(PROBES, 12, classes=classes)[0],
        "input_factor": torch.from_numpy(factor),
        "train": train,
        "test": test,
        "thresholds": THRESHOLDS,
        "cells": torch.arange(D),
    }
    return readings.Probe(**settings | change)


def jacobians(net, x):
    """(n, n_l, d) of every layer, by autograd in float64."""
    twin = deepcopy(net).double()

    def layer(l, z):
        return twin.preactivations(z[None])[l][0]

    return {
        name: torch.func.vmap(torch.func.jacrev(partial(layer, l)))(x.double()).detach().numpy()
        for l, name in enumerate(net.layers)
    }


def spread(values):
    """Mean and standard error."""
    return values.mean(), values.std(ddof=1) / math.sqrt(len(values))


def expected_ranks(net, probe):
    found = {}
    for name, jacobian in jacobians(net, probe.inputs).items():
        s = np.linalg.svd(jacobian, compute_uv=False)
        scaled = np.linalg.svd(
            jacobian @ np.linalg.cholesky(np.cov(probe.train[0].double().numpy().T)), compute_uv=False
        )
        cuts = {
            "absolute": lambda eps, s=s: s > eps,
            "relative": lambda eps, s=s: s > eps * s[:, :1],
            "data-scaled": lambda eps, s=scaled: s > eps,
        }
        found |= {
            (name, reading, eps): spread(cuts[reading](eps).sum(1))
            for reading, levels in probe.thresholds.items()
            for eps in levels
        }
        found[name, "stable", None] = spread((s**2).sum(1) / s[:, 0] ** 2)
        found[name, "effective", None] = spread(np.exp(scipy.stats.entropy(s, axis=1)))
    return found


def expected_others(net, probe):
    """Losses and accuracies, norms, active shares, and the spread within classes."""
    twin, found = deepcopy(net).double(), {}
    with torch.no_grad():
        for name, (x, y) in (("train", probe.train), ("test", probe.test)):
            outputs = twin(x.double()).numpy()
            if y.dtype == torch.int64:
                surprise = -scipy.special.log_softmax(outputs, axis=1)[np.arange(len(y)), y]
                found["network", f"{name}_loss", None] = surprise.mean(), None
                found["network", f"{name}_accuracy", None] = (
                    metrics.accuracy_score(y, outputs.argmax(1)),
                    None,
                )
            else:
                found["network", f"{name}_loss", None] = metrics.mean_squared_error(y, outputs), None
        if probe.train[1].dtype == torch.int64:
            for name, p in zip(net.layers, twin.preactivations(probe.train[0].double()), strict=True):
                found[name, "within_class", None] = within(p.numpy(), probe.train[1].numpy()), None
        for name, p in zip(net.layers[:-1], twin.preactivations(probe.inputs.double()), strict=False):
            has_slope = p.numpy() > 0 if net.activation == "relu" else np.ones(p.shape)
            found[name, "active", None] = spread(has_slope.mean(1))
    for name in net.layers:
        weight = twin.get_submodule(name).weight.detach().numpy()
        found[name, "operator", None] = np.linalg.svd(weight)[1][0], None
    return found


def within(p, y):
    """tr(mean covariance within classes) / tr(covariance), class by class."""
    parts = [p[y == label] for label in np.unique(y)]
    return sum(len(part) * part.var(0).sum() for part in parts) / (len(p) * p.var(0).sum())


@pytest.mark.parametrize("classes", [True, False])
@pytest.mark.parametrize("kind", NETS)
def test_every_number_is_that_of_a_float64_computation(kind, classes):
    net, taken = NETS[kind](), probe(classes=classes)
    found = readings.rows(net, taken, lists=False)
    assert all(values is None for *_, values in found)
    keyed = {(layer, reading, eps): (mean, stderr) for layer, reading, eps, mean, stderr, _ in found}
    assert len(keyed) == len(found)  # none twice
    expected = {key: (value, FLOAT32) for key, value in expected_others(net, taken).items()}
    for key, value in expected_ranks(net, taken).items():
        hidden_zeros = kind == "low rank" and key[1] == "effective"
        expected[key] = value, NOT_TOLD_FROM_ZERO if hidden_zeros else FLOAT64
    assert keyed.keys() == expected.keys()
    for key, ((mean, stderr), rounding) in expected.items():
        assert keyed[key][0] == pytest.approx(mean, rel=rounding), key
        if stderr is None:
            assert keyed[key][1] is None, key
        else:
            assert keyed[key][1] == pytest.approx(stderr, rel=10 * rounding, abs=1e-12), key


def test_the_thresholds_of_these_tests_are_not_idle():
    """Each network's counts differ from layer to layer or from threshold to threshold, and are not all 0 or full."""
    counts = {key: mean for key, (mean, _) in expected_ranks(relu(), probe()).items() if key[2]}
    assert len({counts["L3", "absolute", eps] for eps in THRESHOLDS["absolute"]}) == 3
    assert counts["L2", "data-scaled", 0.5] != counts["L2", "absolute", 0.5]
    assert all(0 < mean < OUT for key, mean in counts.items() if key[0] == "L3" and key[2] == 0.6)
    low = {key: mean for key, (mean, _) in expected_ranks(low_rank(), probe()).items()}
    assert low["L1", "relative", 0.1] == 2


def within_class(net, x, y):
    found = readings.rows(net, probe(train=(x, y)), lists=False)
    return {layer: mean for layer, reading, _, mean, *_ in found if reading == "within_class"}


def test_within_class_is_0_where_each_class_is_one_point():
    points = torch.randn(OUT, D, generator=generator(20))
    y = torch.arange(60) % OUT
    # float32: the mean of 15 equal numbers is off by 15 roundings of 2^-24 at most, squared
    assert within_class(relu(), points[y], y) == pytest.approx(
        dict.fromkeys(("L1", "L2", "L3"), 0), abs=1e-11
    )


def test_within_class_is_1_where_classes_have_one_mean():
    points = torch.randn(15, D, generator=generator(20))  # each class holds the same 15 points
    found = within_class(relu(), points.repeat(OUT, 1), torch.arange(60) // 15)
    assert found == pytest.approx(dict.fromkeys(("L1", "L2", "L3"), 1), rel=FLOAT32)


def test_within_class_of_two_classes_on_a_line_is_the_closed_form():
    """Classes at -a and a, each with points 1 to both sides: 1 of a variance of 1 + a^2."""
    net = MLP([D, OUT], bias=False, generator=generator(0))
    x = torch.zeros(4, D)
    x[:, 0] = torch.tensor([-4.0, -2, 2, 4])
    assert within_class(net, x, torch.tensor([0, 0, 1, 1])) == pytest.approx({"L1": 1 / 10}, rel=FLOAT32)


def test_within_class_does_without_some_classes_and_without_any_spread():
    x = torch.randn(20, D, generator=generator(21))
    y = torch.arange(20) % 2 * 3  # classes 1 and 2 have no inputs
    p = relu().double().preactivations(x.double())[2].detach().numpy()
    assert within_class(relu(), x, y)["L3"] == pytest.approx(within(p, y.numpy()), rel=FLOAT32)
    dead = relu()
    with torch.no_grad():
        dead.L2.weight.zero_()
    assert within_class(dead, x, y)["L2"] == 1.0


def test_within_class_is_taken_over_the_first_2000_inputs():
    x, y = split(2_000, 22, classes=True)
    more, other = split(50, 23, classes=True)
    longer = torch.cat([x, 100 * more]), torch.cat([y, other])
    assert within_class(relu(), *longer) == within_class(relu(), x, y)


def numbers(text):
    """Numbers of a list by their place, which is counted from 0 where it is not written."""
    pairs = [item.rpartition(":") for item in text.split()]
    return {int(at) if at else i: float(value) for i, (at, _, value) in enumerate(pairs)}


def lists(net, taken):
    found = [row for row in readings.rows(net, taken) if row[5] is not None]
    assert all(row[2:5] == (None, None, None) for row in found)
    return {(layer, reading): numbers(values) for layer, reading, *_, values in found}


def test_lists_are_spectra_and_sensitivities_of_every_layer():
    net, taken = MLP([40, 50, OUT], generator=generator(6)), None
    g = generator(7)
    inputs, train = torch.randn(PROBES, 40, generator=g), torch.randn(60, 40, generator=g)
    basis = torch.linalg.qr(torch.randn(40, 40, generator=g)).Q
    cells = torch.arange(40) % 7  # of 5 or 6 coordinates
    y = torch.arange(60) % OUT
    taken = probe(
        inputs=inputs, input_factor=torch.eye(40), train=(train, y), test=(train, y), basis=basis, cells=cells
    )
    found = lists(net, taken)
    kinds = ("jacobian_spectrum", "weight_spectrum", "input_sensitivity")
    assert found.keys() == {(layer, kind) for layer in ("L1", "L2") for kind in kinds}
    for name, jacobian in jacobians(net, inputs).items():
        weight = net.get_submodule(name).weight.detach().double().numpy()
        spectra = {
            "weight_spectrum": np.linalg.svd(weight, compute_uv=False),
            "jacobian_spectrum": np.median(np.linalg.svd(jacobian, compute_uv=False), axis=0),
        }
        for kind, s in spectra.items():
            expected = {i: s[i - 1] for i in readings.places(len(s))}
            assert found[name, kind] == pytest.approx(expected, rel=TEXT)
        squares = ((jacobian[:32] @ basis.double().numpy()) ** 2).sum(1).mean(0)
        expected = {c: np.sqrt(squares[cells.numpy() == c].mean()) for c in range(7)}
        assert found[name, "input_sensitivity"] == pytest.approx(expected, rel=TEXT)


def test_without_a_basis_sensitivities_are_those_of_the_inputs_coordinates():
    """Of a linear network they are the norms of the columns of W_l ... W_1."""
    net = MLP([D, 5, OUT], activation="identity", generator=generator(8))
    product = (net.L2.weight @ net.L1.weight).detach().double().numpy()
    expected = dict(enumerate(np.linalg.norm(product, axis=0)))
    assert lists(net, probe())["L2", "input_sensitivity"] == pytest.approx(expected, rel=TEXT)


def test_a_stack_is_measured_network_by_network_each_with_its_own_probe():
    nets, probes = [relu(), low_rank()], [probe(), probe(inputs=split(9, 30, classes=True)[0])]
    found = readings.measure(MLPStack(nets), probes)
    assert found == [readings.rows(net, taken) for net, taken in zip(nets, probes, strict=True)]
    assert found[0] != found[1]


def test_a_table_names_the_runs_and_keeps_lists_at_the_checkpoints_that_are_asked_for():
    nets, checkpoints = [relu(), relu(bias=False)], (0, 2, 5)
    stacks = [MLPStack([net]) for net in nets]
    histories = [
        fit_many(
            stack, *probe().train, steps=5, lr=0.01, batch_size=10, generators=[generator(0)], progress=False,
            measure=readings.measure_at([probe()], checkpoints, (0, 5)), checkpoints=checkpoints,
        )[0]
        for stack in stacks
    ]  # fmt: skip
    frame = readings.table(histories, [{"level": "a", "seed": 3}, {"level": "b", "seed": 4}])
    assert list(frame.columns) == ["level", "seed", "step", *readings.COLUMNS]
    assert not frame.duplicated(["level", "seed", "step", "layer", "reading", "eps"]).any()
    assert {(r.level, r.seed) for r in frame.itertuples()} == {("a", 3), ("b", 4)}
    assert set(frame[frame["values"].notna()].step) == {0, 5}
    last = frame.query("level == 'b' and step == 5").drop(columns=["level", "seed", "step"])
    expected = readings.rows(stacks[1][0], probe())
    assert len(last) == len(expected)
    for row, values in zip(last.itertuples(index=False), expected, strict=True):
        assert row[:2] == values[:2]
        assert row[3] == pytest.approx(math.nan if values[3] is None else values[3], nan_ok=True)


def test_in_words_are_means_of_the_loss_and_of_the_absolute_rank_at_a_tenth():
    def one(loss, ranks):
        found = [
            ("network", "train_loss", None, loss, None, None),
            ("network", "test_loss", None, 9.0, None, None),
        ]
        for layer, rank in ranks.items():
            found += [
                (layer, "absolute", 0.01, 50.0, 0.0, None),
                (layer, "absolute", 0.1, rank, 0.0, None),
                (layer, "relative", 0.1, 60.0, 0.0, None),
            ]
        return found

    words = readings.in_words([one(0.125, {"L1": 3.0, "L2": 8.0}), one(0.375, {"L1": 4.0, "L2": 9.1})])
    assert words == "loss 0.25, rank L1 3.5 L2 8.6"  # 8.55 is shown to one digit


@pytest.mark.parametrize("count", [1, 2, 15, 16, 17, 18, 30, 33, 100, 128, 784, 10_000])
def test_places_are_the_first_16_then_thinner_and_thinner_up_to_the_last(count):
    found = readings.places(count)
    assert found[:16] == list(range(1, min(count, 16) + 1))
    assert found[-1] == count
    assert found == sorted(set(found))
    assert len(found) <= 32
    # rounding moves each of two places by a half: a step is the common ratio, and at most 1 more
    steps, ratio = np.diff(found[16:]), (count / 17) ** (1 / 15) if count > 16 else 1
    assert all(step <= (ratio - 1) * place + 2 for step, place in zip(steps, found[16:], strict=False))
