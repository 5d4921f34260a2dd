"""Rank and information of the same networks: rows against estimators called on networks trained alone, bins and caps."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from lrlib import runtime
from lrlib.data.sphere import sphere_task
from lrlib.experiments import drivers, mnist, rank_information, readings, students
from lrlib.information import kde_mi, logdet_mi
from lrlib.nets import MLP
from lrlib.train import log_steps, train

STEPS, SAMPLES, PATTERNS, PROBES, BINS = 20, 60, 300, 5, 8
CHECKPOINTS = log_steps(STEPS, 3, first=10)
SMALL = {
    "teacher": replace(
        rank_information.TEACHER,
        seeds=(0, 2, 3),
        hidden=(9, 7),
        steps=STEPS,
        checkpoints=3,
        together=2,
        samples=SAMPLES,
    ),
    **{
        name: replace(course, seeds=(1, 4), steps=STEPS, checkpoints=3, layer=(0.5,), samples=PATTERNS)
        for name, course in rank_information.SPHERE.items()
    },
}
CONFIG = rank_information.Config(
    seeds=(0, 1, 2, 3, 4), courses=tuple(SMALL.values()), probes=PROBES, bins=BINS
)
# 20 float32 updates in a stack, whose sums run in another order than alone: rounding of 2^-24, added up
FLOAT32 = 1e-3
COUNTED = (
    "absolute",
    "relative",
    "data-scaled",
)  # a singular value at a threshold moves a mean count by 1 / PROBES
KEYS = ["variant", "seed", "step", "layer", "reading", "noise", "eps"]


@pytest.fixture(scope="module")
def frame():
    """The whole small run, rows by their keys; what has no noise or eps has "" or 0 there."""
    whole = pd.concat([cell() for _, cell in rank_information.cells(CONFIG)], ignore_index=True)
    assert list(whole.columns) == rank_information.COLUMNS
    return whole.fillna({"noise": "", "eps": 0.0})


def found(frame, variant, seed):
    own = frame[(frame.variant == variant) & (frame.seed == seed)]
    keys = own[KEYS[2:]].itertuples(index=False, name=None)
    return dict(zip(keys, own[["mean", "stderr", "cap"]].itertuples(index=False, name=None), strict=True))


def alone(widths, x, y, *, seed, measure, activation="relu", weight_decay=0.0, **course):
    """One network trained by ``train``, and what ``measure`` said of it at every checkpoint."""
    g = runtime.generator(1_000 + seed)
    net = MLP(widths, activation=activation, generator=g)
    history = train(
        net, x, y, steps=STEPS, weight_decay=weight_decay, generator=g, measure=measure, checkpoints=CHECKPOINTS,
        progress=False, **course,
    )  # fmt: skip
    return dict(zip(history.steps, history.readings, strict=True))


def entropy(keys):
    counts = np.unique(keys, return_counts=True)[1]
    p = counts / counts.sum()
    return -(p * np.log(p)).sum()


def cut(t, bins, low, high):
    """Every row's bins as text; a value on an edge belongs above it, the largest to the last bin."""
    places = np.minimum(np.floor((t.double().numpy() - low) / (high - low) * bins), bins - 1).astype(int)
    return np.array([" ".join(map(str, row)) for row in places])


def test_a_cell_is_some_seeds_of_one_course(frame):
    names = [name for name, _ in rank_information.cells(CONFIG)]
    assert names == ["teacher-relu-seed0", "teacher-relu-seed3", "sphere-tanh-seed1", "sphere-relu-seed1"]
    expected = {("teacher", v, s) for v in ("no decay", "weight decay") for s in (0, 2, 3)}
    expected |= {("sphere", a, s) for a in ("tanh", "relu") for s in (1, 4)}
    assert set(frame[["task", "variant", "seed"]].itertuples(index=False, name=None)) == expected


def test_the_table_is_tidy_and_complete(frame):
    assert not frame.duplicated(KEYS).any()
    ranks = {(reading, "", eps) for reading, levels in rank_information.THRESHOLDS.items() for eps in levels}
    ranks |= {("effective", "", 0.0), ("stable", "", 0.0)}
    losses = {("train_loss", "", 0.0), ("test_loss", "", 0.0)}
    accuracies = {("train_accuracy", "", 0.0), ("test_accuracy", "", 0.0)}
    for (task, variant, _seed, step), own in frame.groupby(["task", "variant", "seed", "step"]):
        assert step in CHECKPOINTS
        course = SMALL["teacher" if task == "teacher" else variant]
        levels = [("fixed", eps) for eps in course.fixed] + [("layer", eps) for eps in course.layer]
        information = {(r, *level) for r in ("kde lower", "kde upper", "logdet") for level in levels}
        information |= {("deviation", "", 0.0), ("binning", "", BINS)}
        if task == "sphere":
            information |= {("binning label", "", BINS), ("exact", "", 0.0)}
        by_layer = own.groupby("layer")[["reading", "noise", "eps"]].apply(
            lambda rows: set(rows.itertuples(index=False, name=None))
        )
        depth = len(course.hidden) + 1
        layers = [f"L{l + 1}" for l in range(depth)]
        if task == "teacher":
            assert by_layer.to_dict() == dict.fromkeys(layers, ranks | information) | {"network": losses}
        else:
            activations = [f"H{l + 1}" for l in range(depth)]
            expected = dict.fromkeys(layers, ranks) | dict.fromkeys(activations, information)
            assert by_layer.to_dict() == expected | {"network": losses | accuracies}


def test_no_bound_exceeds_its_cap_and_caps_are_those_of_the_sample(frame):
    capped = frame[frame["cap"].notna()]
    assert set(capped.reading) == {"kde lower", "kde upper", "binning", "binning label", "exact"}
    assert (capped["mean"] <= capped["cap"] + 1e-9).all()
    for task, n in (("teacher", SAMPLES), ("sphere", PATTERNS)):
        bounds = capped[(capped.task == task) & capped.reading.str.startswith("kde")]
        np.testing.assert_allclose(bounds["cap"], math.log(n), rtol=1e-9)
    wide = frame.pivot_table(index=["task", *KEYS[:4], "noise", "eps"], columns="reading", values="mean")
    wide = wide.dropna(subset=["kde lower"])
    assert (wide["kde lower"] <= wide["kde upper"]).all()
    assert (wide["kde lower"] <= wide["logdet"] + 1e-9).all()  # both bound the same Gaussian channel


@pytest.mark.parametrize(("variant", "decay"), [("no decay", 0.0), ("weight decay", 5e-3)])
def test_a_student_reads_as_if_trained_alone(frame, variant, decay):
    made = students.task(drivers.BASE, seed=2)
    inputs = made.test[0][:SAMPLES]
    probe = rank_information.ground(CONFIG, SMALL["teacher"], 2).probe
    assert torch.equal(probe.inputs.cpu(), made.test[0][:PROBES])
    read = alone(
        [30, 9, 7, 10], *made.train, seed=2, weight_decay=decay, loss="mse", lr=0.1, batch_size=32,
        measure=lambda net: (readings.rows(net, probe, lists=False), [p.detach().clone() for p in net.preactivations(inputs)]),
    )  # fmt: skip
    rows = found(frame, variant, 2)
    compared = 0
    for step, (ranks, layers) in read.items():
        for layer, reading, eps, mean, *_ in ranks:
            key = (step, layer, reading, "", eps or 0.0)
            if key in rows:
                allowed = 1 / PROBES if reading in COUNTED else 0
                assert rows[key][0] == pytest.approx(mean, rel=FLOAT32, abs=allowed), key
                compared += 1
        for l, t in enumerate(layers, start=1):
            deviation = math.sqrt(t.double().numpy().var(0, ddof=1).mean())
            assert rows[step, f"L{l}", "deviation", "", 0.0][0] == pytest.approx(deviation, rel=FLOAT32)
            for noise, unit, eps in [("fixed", 1, 0.1), ("fixed", 1, 1.0), ("layer", deviation, 0.3)]:
                lower, upper = kde_mi(t, (eps * unit) ** 2)
                expected = {"kde lower": lower, "kde upper": upper, "logdet": logdet_mi(t, (eps * unit) ** 2)}
                for reading, bound in expected.items():
                    value, stderr, _ = rows[step, f"L{l}", reading, noise, eps]
                    assert value == pytest.approx(bound.value, rel=FLOAT32), (step, l, reading, noise, eps)
                    assert stderr == pytest.approx(bound.stderr, rel=FLOAT32, abs=1e-6)
            value = rows[step, f"L{l}", "binning", "", BINS][0]
            # a row within rounding of an edge may change its bin, and with it its share of the entropy
            expected = entropy(cut(t, BINS, t.min().item(), t.max().item()))
            assert value == pytest.approx(expected, abs=2 * math.log(SAMPLES) / SAMPLES)
    assert compared == len(CHECKPOINTS) * (2 + 3 * 9)


def sphere_alone(activation, seed):
    x, y = sphere_task()
    order = torch.randperm(4096, generator=runtime.generator(seed))
    seen, about = order[820:], order[:PATTERNS]
    phi = {"tanh": torch.tanh, "relu": torch.relu}[activation]

    def layers(net):
        with torch.no_grad():
            p = net.preactivations(x[about])
        return [*[phi(q) for q in p[:-1]], torch.softmax(p[-1], 1)]

    return alone(
        [12, 10, 7, 5, 4, 3, 2], x[seen], y[seen], seed=seed, activation=activation, lr=0.1, batch_size=256, measure=layers
    )  # fmt: skip


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_activations_of_the_sphere_task_are_binned_as_the_dispute_binned_them(frame, activation):
    order = torch.randperm(4096, generator=runtime.generator(4))
    labels = sphere_task()[1][order[:PATTERNS]].numpy()
    read, rows = sphere_alone(activation, 4), found(frame, activation, 4)
    tops = [max(layers[l].max().item() for layers in read.values()) for l in range(6)]
    edges = 3 / PATTERNS * math.log(PATTERNS)  # 3 patterns may lie within rounding of an edge
    for step, layers in read.items():
        for l, t in enumerate(layers):
            low, high = (0.0, 1.0) if l == 5 else (-1.0, 1.0) if activation == "tanh" else (0.0, tops[l])
            places = cut(t, BINS, low, high)
            value = rows[step, f"H{l + 1}", "binning", "", BINS][0]
            assert value == pytest.approx(entropy(places), abs=edges)
            joint = np.char.add(places, np.where(labels == 1, " a", " b"))
            information = entropy(places) + entropy(labels) - entropy(joint)
            value, _, cap = rows[step, f"H{l + 1}", "binning label", "", BINS]
            assert value == pytest.approx(information, abs=edges)
            assert cap <= entropy(labels) + 1e-9
            exact = rows[step, f"H{l + 1}", "exact", "", 0.0][0]
            assert exact == pytest.approx(entropy([row.tobytes() for row in t.numpy() + 0.0]), abs=edges)


def test_layers_of_the_sphere_task_have_the_noise_of_their_size(frame):
    read, rows = sphere_alone("tanh", 1), found(frame, "tanh", 1)
    for step, l in ((0, 0), (STEPS, 4), (STEPS, 5)):
        t = read[step][l]
        deviation = math.sqrt(t.double().numpy().var(0, ddof=1).mean())
        for noise, std in (("fixed", 0.1), ("layer", 0.5 * deviation)):
            eps = 0.1 if noise == "fixed" else 0.5
            for reading, bound in zip(("kde lower", "kde upper"), kde_mi(t, std**2), strict=True):
                value = rows[step, f"H{l + 1}", reading, noise, eps][0]
                assert value == pytest.approx(bound.value, rel=FLOAT32, abs=1e-6)


def test_a_constant_layer_tells_nothing():
    rows = rank_information.bounds("H1", torch.full((7, 3), 0.7), (0.1,), (0.1, 1.0))  # whose mean rounds
    assert len(rows) == 1 + 3 * 3
    assert {row[4] for row in rows} == {0.0}
    dead = rank_information.on_sphere(
        [{"H1": torch.zeros(6, 2), "H2": torch.full((6, 2), 0.5)}], torch.arange(6) % 2, "relu", 30
    )
    assert {row[4] for row in dead[0]} == {0.0}


def test_patterns_are_split_by_the_seed_and_information_is_about_all_of_them_in_the_full_run():
    labels = sphere_task()[1]
    made = [rank_information.ground(CONFIG, rank_information.SPHERE["relu"], seed) for seed in (1, 4)]
    for own in made:
        codes = ((own.inputs.cpu() > 0).long() * 2 ** torch.arange(12)).sum(1)
        assert codes.sort().values.tolist() == list(range(4096))
        assert torch.equal(own.labels, labels[codes])
        assert (len(own.probe.train[0]), len(own.probe.test[0])) == (3276, 820)
        both = torch.cat([own.probe.train[0], own.probe.test[0]]).cpu()
        assert len(both.unique(dim=0)) == 4096
    assert not torch.equal(made[0].probe.test[0], made[1].probe.test[0])
    few = rank_information.ground(CONFIG, SMALL["relu"], 1)
    assert torch.equal(few.inputs, few.probe.test[0][:PATTERNS])  # held out, where it is not about all


def test_students_and_pictures_are_the_networks_of_the_earlier_experiments():
    teacher, pictures = rank_information.TEACHER, rank_information.MNIST
    base = replace(drivers.BASE, weight_decay=dict(teacher.variants)["weight decay"])
    assert base == drivers.BASE
    assert (teacher.steps, teacher.activation) == (base.steps, base.activation)
    earlier = mnist.CONFIGS["full"]
    assert (pictures.hidden, pictures.lr, pictures.batch_size) == (
        earlier.hidden,
        earlier.lr,
        earlier.batch_size,
    )
    assert {decay for _, decay in pictures.variants} <= set(earlier.weight_decays)
    assert set(pictures.seeds) <= set(earlier.seeds)


@pytest.mark.parametrize("preset", ["quick", "full"])
def test_seeds_are_those_of_all_courses(preset):
    config = rank_information.CONFIGS[preset]
    assert set(config.seeds) == {seed for course in config.courses for seed in course.seeds}
    assert preset == "full" or "mnist" not in {
        course.task for course in config.courses
    }  # quick downloads nothing
