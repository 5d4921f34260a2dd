"""Students of a Gaussian teacher: their data, the stacks they are trained in, and a cell against networks alone."""

from dataclasses import asdict, fields, replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
import torch

from lrlib import runtime
from lrlib.data import gaussian_teacher
from lrlib.experiments import drivers, readings, students, teacher
from lrlib.experiments.students import Config, Student, Variant
from lrlib.nets import MLP
from lrlib.train import log_steps, train

SMALL = Student(n=60, inputs=8, outputs=4, teacher_rank=2, hidden=(12, 9), steps=20, batch_size=16)
# 20 float32 updates in a stack, whose sums run in another order than alone: rounding of 2^-24, added up
FLOAT32 = 1e-4
# Of a variance of float32 outputs: after a small start their spread is 1e-3 to 1e-4 of their mean, which rounds by 2^-24.
WITHIN_CLASS = 1e-3
PROBES = 6
ONE_PROBE = 1 / PROBES  # a singular value within rounding of a threshold moves a mean count by this
ROUNDING = dict.fromkeys(("absolute", "relative", "data-scaled", "active"), ONE_PROBE) | {
    "within_class": WITHIN_CLASS
}
OWN = {
    "lr",
    "weight_decay",
    "momentum",
    "init",
    "noise",
    "teacher_rank",
    "spread",
}  # what may differ in a stack
CONFIGS = {f"{m.__name__.split('.')[-1]}-{p}": m.CONFIGS[p] for m in (teacher, drivers) for p in m.CONFIGS}


# --- data ---


@pytest.mark.parametrize("spread", [1.0, 10.0, 100.0])
def test_inputs_are_spread_evenly_on_a_log_axis_with_mean_square_1(spread):
    made = students.task(replace(SMALL, n=8_000, spread=spread), seed=0)
    found = torch.cat([made.train[0], made.test[0]]).double().std(0).numpy()
    expected = spread ** (-np.arange(8) / 7)  # from the largest to the smallest
    expected /= np.sqrt((expected**2).mean())
    assert expected[0] / expected[-1] == pytest.approx(spread)
    # the standard error of a standard deviation of 10,000 normal numbers is 1 / sqrt(2 * 10,000) of it; five of them
    np.testing.assert_allclose(found, expected, rtol=5 / np.sqrt(2 * 10_000))


def test_the_data_are_the_teacher_s_first_to_learn_from_and_2000_held_out():
    made = students.task(SMALL, seed=3)
    drawn = gaussian_teacher(2_060, inputs=8, outputs=4, rank=2, generator=runtime.generator(3))
    for found, expected in zip(
        made.train + made.test, (drawn.x[:60], drawn.y[:60], drawn.x[60:], drawn.y[60:]), strict=True
    ):
        assert torch.equal(found, expected)
    assert not torch.equal(made.train[0], students.task(SMALL, seed=4).train[0])


def test_classes_are_the_largest_of_the_noisy_outputs():
    noisy = replace(SMALL, noise=1.0)
    made, labelled = (students.task(replace(noisy, task=t), seed=0) for t in ("regression", "classification"))
    for (x, y), (same_x, labels) in ((made.train, labelled.train), (made.test, labelled.test)):
        assert torch.equal(x, same_x)
        assert labels.dtype == torch.int64
        np.testing.assert_array_equal(labels.numpy(), np.argmax(y.numpy(), 1))
    clean = students.task(replace(SMALL, noise=0.0, task="classification"), seed=0)
    assert 0.1 < (clean.test[1] != labelled.test[1]).double().mean() < 0.9  # noise included


@pytest.mark.parametrize("rank", [1, 2, 4])
def test_directions_are_the_teacher_s_row_space_first(rank):
    made = students.task(replace(SMALL, teacher_rank=rank), seed=5)
    weight = gaussian_teacher(
        1, inputs=8, outputs=4, rank=rank, generator=runtime.generator(5)
    ).weight.double()
    torch.testing.assert_close(made.directions.T @ made.directions, torch.eye(8).double())
    seen = (weight @ made.directions).norm(dim=0)
    # float32: the teacher is a product of two rounded matrices, whose rank is exact but for 2^-24
    assert (seen[rank:] < 1e-6 * seen[0]).all()
    np.testing.assert_allclose(seen[:rank], np.linalg.svd(weight.numpy())[1][:rank], rtol=1e-6)


def test_the_other_directions_are_the_axes_made_orthogonal_to_it_one_by_one():
    made = students.task(replace(SMALL, teacher_rank=2), seed=5)
    basis = list(made.directions[:, :2].T.numpy())  # Gram and Schmidt, in float64
    for axis in np.eye(8)[:6]:
        rest = axis - sum((b @ axis) * b for b in basis)
        basis.append(rest / np.linalg.norm(rest))
    # up to sign, which no sensitivity sees; two float64 algorithms, and axes are far from dependent
    np.testing.assert_allclose(np.abs(np.array(basis) @ made.directions.numpy()), np.eye(8), atol=1e-10)


# --- stacks ---


def stacks(config):
    """The runs of every cell: pairs of a student and a seed."""
    return [make.args[1] for _, make in students.cells(config)]


@pytest.mark.parametrize("name", CONFIGS)
def test_every_student_is_trained_from_every_seed_exactly_once(name):
    config = CONFIGS[name]
    runs = [run for stack in stacks(config) for run in stack]
    assert len(runs) == len(set(runs))
    assert set(runs) == set(product({variant.student for variant in config.variants}, config.seeds))
    cells = [cell for cell, _ in students.cells(config)]
    assert len(set(cells)) == len(cells)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_stack_holds_at_most_20_networks_that_differ_only_in_what_each_may_have_of_its_own(name):
    shared = {field.name for field in fields(Student)} - OWN
    for stack in stacks(CONFIGS[name]):
        assert 1 <= len(stack) <= 20
        assert len({tuple(getattr(student, field) for field in sorted(shared)) for student, _ in stack}) == 1


def test_variants_alike_share_a_stack_and_others_do_not():
    alike = [replace(SMALL, weight_decay=d) for d in (0.0, 0.1)]
    changes = {
        "task": "classification", "n": 61, "inputs": 9, "outputs": 5, "hidden": (12,), "activation": "tanh",
        "optimiser": "adam", "decoupled": True, "batch_size": 15, "steps": 21,
    }  # fmt: skip
    assert set(changes) == {field.name for field in fields(Student)} - OWN
    others = [replace(SMALL, **{field: value}) for field, value in changes.items()]
    variants = [Variant("", str(i), student) for i, student in enumerate([alike[0], *others, alike[1]])]
    found = stacks(Config(seeds=(0, 1), variants=tuple(variants)))
    assert found[0] == tuple(product(alike, (0, 1)))
    assert found[1:] == [tuple(product([other], (0, 1))) for other in others]


def test_many_runs_of_a_kind_are_split_into_stacks_of_20():
    variants = tuple(Variant("rate", str(lr), replace(SMALL, lr=lr)) for lr in (0.1, 0.2, 0.3))
    assert [len(stack) for stack in stacks(Config(seeds=tuple(range(15)), variants=variants))] == [20, 20, 5]


# --- a cell ---

MIXED = (
    Variant("base", "0", SMALL),
    Variant("rates", "0.3", replace(SMALL, lr=0.3, weight_decay=0.1, momentum=0.9)),
    Variant("data", "x", replace(SMALL, noise=0.5, teacher_rank=1, spread=10.0)),
    Variant("start", "small", replace(SMALL, init="small", weight_decay=0.0)),
)
OTHERS = {
    "regression": {},
    "classification": {"task": "classification"},
    "AdamW": {"optimiser": "adam", "decoupled": True, "lr": 0.01, "momentum": 0.0, "activation": "tanh"},
    "deeper": {"hidden": (7, 6, 5), "task": "classification", "batch_size": 60},
}


def small_config(**changes):
    variants = tuple(replace(v, student=replace(v.student, **changes)) for v in MIXED)
    return Config(seeds=(2, 5), variants=variants, probes=PROBES, checkpoints=4, lists=2)


def probe(student, seed):
    """What the readings should be taken with, put together once more."""
    made = students.task(student, seed=seed)
    values, vectors = np.linalg.eigh(np.cov(made.train[0].double().numpy().T))
    return readings.Probe(
        inputs=made.test[0][:PROBES],
        input_factor=torch.from_numpy(vectors * np.sqrt(values) @ vectors.T),
        train=made.train,
        test=made.test,
        thresholds={"absolute": (0.01, 0.1), "relative": (0.01, 0.1), "data-scaled": (0.1,)},
        cells=torch.arange(8),
        basis=made.directions,
    )


def alone(student, seed):
    """The rows of one network trained by ``train``, by step, layer, reading and threshold, 0 for none."""
    g, taken = runtime.generator(1_000 + seed), probe(student, seed)
    net = MLP([8, *student.hidden, 4], activation=student.activation, init=student.init, generator=g)
    history = train(
        net, *taken.train, steps=student.steps, lr=student.lr, batch_size=student.batch_size, generator=g,
        loss="cross_entropy" if student.task == "classification" else "mse", optimiser=student.optimiser,
        momentum=student.momentum, weight_decay=student.weight_decay, decoupled=student.decoupled,
        measure=lambda now: readings.rows(now, taken), checkpoints=log_steps(20, 4, first=10), progress=False,
    )  # fmt: skip
    return {
        (step, layer, reading, eps or 0.0): mean
        for step, found in zip(history.steps, history.readings, strict=True)
        for layer, reading, eps, mean, *_ in found
        if mean is not None
    }


@pytest.mark.parametrize("changes", OTHERS.values(), ids=OTHERS.keys())
def test_a_cell_is_its_networks_trained_alone(changes):
    config = small_config(**changes)
    ((_, make),) = students.cells(config)  # one stack
    frame = make()
    assert list(frame.columns) == ["factor", "level", "seed", "step", *readings.COLUMNS]
    frame = frame[frame["mean"].notna()].fillna({"eps": 0.0})
    for (factor, level, seed), own in frame.groupby(["factor", "level", "seed"]):
        (student,) = (v.student for v in config.variants if (v.factor, v.level) == (factor, level))
        expected, found = alone(student, seed), own.set_index(["step", "layer", "reading", "eps"])["mean"]
        assert set(found.index) == set(expected)
        for key, mean in expected.items():
            rounding = ROUNDING.get(key[2], FLOAT32)
            assert found[key] == pytest.approx(mean, rel=FLOAT32, abs=rounding), key
    assert len(frame.groupby(["factor", "level", "seed"])) == 8
    ends = frame[(frame.step == 20) & (frame.reading == "train_loss")]["mean"]
    assert ends.nunique() == 8  # no two networks are one


def test_a_student_of_two_factors_is_trained_once_and_stands_under_both():
    config = small_config()
    again = Variant("again", "0", config.variants[0].student)
    ((_, make),) = students.cells(replace(config, variants=(*config.variants, again)))
    assert len(make.args[1]) == len(config.variants) * len(config.seeds)
    columns = ["factor", "level"]
    frame = make()
    once, twice = (frame[frame.factor == factor].drop(columns=columns) for factor in ("base", "again"))
    pd.testing.assert_frame_equal(once.reset_index(drop=True), twice.reset_index(drop=True))
    assert set(frame[columns].itertuples(index=False, name=None)) == {
        (v.factor, v.level) for v in (*config.variants, again)
    }


def test_lists_are_kept_at_the_stated_number_of_checkpoints_ends_included():
    config = small_config()
    ((_, make),) = students.cells(replace(config, variants=MIXED[:1], seeds=(0,), checkpoints=9, lists=3))
    frame = make()
    steps = sorted(set(frame.step))
    assert len(steps) == 10
    kept = sorted(set(frame[frame["values"].notna()].step))
    assert len(kept) == 3
    assert (kept[0], kept[-1]) == (0, 20)
    assert steps.index(kept[1]) in (4, 5)
    ((_, make),) = students.cells(replace(config, variants=MIXED[:1], seeds=(0,), lists=0))
    assert make()["values"].isna().all()


def test_training_losses_of_large_data_are_read_at_the_first_2000_inputs():
    config = Config(seeds=(0,), variants=(Variant("", "", replace(SMALL, n=2_100, steps=1)),), probes=2)
    ((_, make),) = students.cells(config)
    found = make().query("step == 0 and reading == 'train_loss'")["mean"].item()
    x, y = students.task(config.variants[0].student, seed=0).train
    net = MLP([8, 12, 9, 4], generator=runtime.generator(1_000)).double()
    with torch.no_grad():
        each = (net(x.double()) - y).square().mean(1)
    assert found == pytest.approx(each[:2_000].mean().item(), rel=FLOAT32)
    assert found != pytest.approx(each.mean().item(), rel=FLOAT32)


def test_settings_are_a_row_a_variant_as_a_manifest_keeps_them():
    config = small_config()
    table = students.settings(asdict(config))
    assert len(table) == len(MIXED)
    for row, variant in zip(table.to_dict("records"), config.variants, strict=True):
        own = {"factor": variant.factor, "level": variant.level, "depth": 3}  # layers, not hidden ones
        assert row == own | asdict(variant.student)
    for module in (teacher, drivers):
        assert module.settings is students.settings
        pd.testing.assert_frame_equal(
            module.settings(asdict(module.CONFIGS["full"]))[["factor", "level"]],
            pd.DataFrame(
                [(v.factor, v.level) for v in module.CONFIGS["full"].variants], columns=["factor", "level"]
            ),
        )
