"""What all experiments share: they are run cell by cell, stored, loaded, and resumed after a kill."""

from dataclasses import replace
from itertools import product

import pandas as pd
import pytest

from lrlib import experiments
from lrlib.experiments import (
    batch_size,
    depth,
    drivers,
    estimators,
    fashion_mnist,
    mnist,
    rank_information,
    students,
    teacher,
    vib,
)

STUDENT = students.Student(n=20, inputs=5, outputs=3, teacher_rank=2, steps=5, batch_size=10)


def listed(*variants):
    """Students of three shapes, so three stacks, by factor, level and change."""
    return students.Config(
        seeds=(0, 1),
        variants=tuple(students.Variant(f, level, replace(STUDENT, **change)) for f, level, change in variants),
        probes=4, checkpoints=3, lists=1,
    )  # fmt: skip


PICTURES = replace(
    mnist.CONFIGS["quick"], hidden=(8,), steps=5, probes=4, checkpoints=3, lists=1, seeds=(0, 1, 2)
)
SMALL = {
    "teacher": listed(*[("depth", str(len(h) + 1), {"hidden": h}) for h in ((), (6,), (6, 5))]),
    "mnist": PICTURES,
    "fashion_mnist": PICTURES,  # of digits: its own files may not be here
    "drivers": listed(  # levels that a table could take for numbers, beside others
        ("weight decay", "0", {"weight_decay": 0.0}),
        ("weight decay", "0.5", {"weight_decay": 0.5}),
        ("activation", "tanh", {"activation": "tanh"}),
        ("batch size", "20", {"batch_size": 20}),
    ),
    "depth": replace(depth.CONFIGS["quick"], depths=(2, 3), seeds=(0, 1), steps=5, width=8, probes=4),
    "batch_size": replace(
        batch_size.CONFIGS["quick"],
        n=20, hidden=(8,), seeds=(0, 1), batch_sizes=(4, 20), weight_decays=(0.0, 5e-3), steps=5, probes=4,
    ),
    "estimators": replace(
        estimators.CONFIGS["quick"],
        cases=("normal-0.75", "channel-1"), seeds=(0, 1), sizes=(40, 80),
        neural_cases=("channel-1",), neural_seeds=(1,), neural_sizes=(80,), neural_steps=5,
    ),
    "rank_information": replace(
        rank_information.CONFIGS["quick"],
        seeds=(0, 1),
        courses=tuple(
            replace(course, hidden=(6,), seeds=(0, 1), steps=5, checkpoints=2, samples=20, together=1)
            for course in rank_information.CONFIGS["quick"].courses
        ),
        probes=4,
    ),
    "vib": replace(
        vib.CONFIGS["quick"],
        parts=(
            vib.Part("sweep", (1e-3, 0.1), (0,), hidden=(6,), code=3, epochs=1, batch_size=500),
            vib.Part("strength", (1e-3,), (0,), hidden=(6,), code=3, epochs=1, batch_size=500, alone=True),
            vib.Part("plane", (0.1,), (0,), hidden=(6,), code=2, epochs=1, batch_size=500),
        ),
        probes=4,
        bounded=20,
    ),
}  # fmt: skip
MODULES = {
    "teacher": teacher,
    "mnist": mnist,
    "fashion_mnist": fashion_mnist,
    "drivers": drivers,
    "depth": depth,
    "batch_size": batch_size,
    "estimators": estimators,
    "rank_information": rank_information,
    "vib": vib,
}
CELLS = MODULES | {
    "teacher": students,
    "drivers": students,
    "fashion_mnist": mnist,
}  # where a cell is computed
# The columns of each table that name a run, and the fields of its configuration that they come from.
SWEPT = {
    "mnist": {"seed": "seeds", "weight_decay": "weight_decays"},
    "fashion_mnist": {"seed": "seeds", "weight_decay": "weight_decays"},
    "depth": {"seed": "seeds", "depth": "depths", "weight_decay": "weight_decays"},
    "batch_size": {"seed": "seeds", "batch_size": "batch_sizes", "weight_decay": "weight_decays"},
    "estimators": {"seed": "seeds", "case": "cases", "n": "sizes"},
}
LISTED = ("teacher", "drivers")  # their configurations list variants, a factor and a level each
PARTS = ("vib",)  # its configuration lists parts, each with betas and seeds
COURSES = ("rank_information",)  # its configuration lists courses, a task with variants each
CELLS_OF = {
    "teacher": 3,
    "drivers": 3,
    "mnist": 3,
    "fashion_mnist": 3,
    "depth": 8,
    "batch_size": 8,
    "estimators": 4,
    "rank_information": 6,
    "vib": 3,
}


def runs(table, name):
    """The runs that a table holds, as tuples of what was swept."""
    columns = list(SWEPT.get(name, ()))
    if name in LISTED:
        columns = ["factor", "level", "seed"]
    if name in COURSES:
        columns = ["task", "variant", "seed"]
    if name in PARTS:
        columns = ["part", "beta", "seed"]
    return set(table[columns].itertuples(index=False, name=None))


def planned(config, name):
    """The runs that a configuration lists."""
    if name in LISTED:
        return {(v.factor, v.level, seed) for v, seed in product(config.variants, config.seeds)}
    if name in PARTS:
        return {(p.name, beta, seed) for p in config.parts for beta, seed in product(p.betas, p.seeds)}
    if name in COURSES:
        return {(c.task, v, seed) for c in config.courses for (v, _), seed in product(c.variants, c.seeds)}
    return set(product(*(getattr(config, field) for field in SWEPT[name].values())))


def test_every_experiment_is_tested():
    assert (
        set(SMALL)
        == set(MODULES)
        == {*SWEPT, *LISTED, *COURSES, *PARTS}
        == set(CELLS_OF)
        == set(experiments.NAMES)
    )


def visible(folder):
    """The files of a store; a lock is hidden."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


@pytest.mark.parametrize("name", SMALL)
def test_run_stores_and_loads(name, tmp_path, monkeypatch):
    monkeypatch.setenv("LRLIB_RESULTS", str(tmp_path))
    monkeypatch.setitem(MODULES[name].CONFIGS, "quick", SMALL[name])
    run = experiments.run(name, "quick")
    assert visible(tmp_path) == [f"{name}-quick.csv.xz", f"{name}-quick.json"]
    assert run.manifest["seeds"] == list(SMALL[name].seeds)
    assert runs(run.table, name) == planned(SMALL[name], name)
    keys = [column for column in run.table.columns if column not in ("mean", "value", "stderr", "values")]
    assert not run.table.duplicated(keys).any()
    assert experiments.load(name, "quick").table.equals(run.table)
    assert experiments.stale(run) == []


@pytest.mark.parametrize("name", SMALL)
def test_a_run_that_was_killed_goes_on_where_it_was(name, tmp_path, monkeypatch):
    function = "_table" if name in PARTS else "_cell"
    module, calls = CELLS[name], []
    make = getattr(module, function)

    def cell(*arguments):
        # a seed, a weight decay, ...; or a stack's runs; or a part; data and models are made anew in every run
        own = arguments if name in PARTS else arguments[1:]
        calls.append(tuple(a for a in own if not isinstance(a, mnist.Task | vib.Task | list)))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return make(*arguments)

    monkeypatch.setitem(MODULES[name].CONFIGS, "quick", SMALL[name])
    monkeypatch.setenv("LRLIB_RESULTS", str(tmp_path / "whole"))
    whole = experiments.run(name, "quick")
    monkeypatch.setattr(module, function, cell)
    monkeypatch.setenv("LRLIB_RESULTS", str(tmp_path / "killed"))
    with pytest.raises(KeyboardInterrupt):
        experiments.run(name, "quick")
    assert visible(tmp_path / "killed") == []
    resumed = experiments.run(name, "quick")
    assert len(calls) == CELLS_OF[name] + 1  # only the third was called twice
    assert calls[2] == calls[3]
    assert len(set(calls)) == CELLS_OF[name]
    pd.testing.assert_frame_equal(resumed.table, whole.table, rtol=1e-3)  # equal, but for a GPU's sums


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="name='nmist': must be one of 'teacher', 'mnist'"):
        experiments.run("nmist")
    with pytest.raises(ValueError, match="preset='huge': must be one of 'quick', 'full'"):
        experiments.load("mnist", "huge")
