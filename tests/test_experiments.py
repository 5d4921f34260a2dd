from dataclasses import asdict, replace
from itertools import product

import pandas as pd
import pytest

from lrlib import count_above, effective_rank, experiments, runtime
from lrlib.experiments import batch_size, depth, mnist
from lrlib.nets import MLP
from lrlib.train import train

TINY = replace(mnist.CONFIGS["quick"], hidden=(12, 8), steps=30, probes=6, checkpoints=4, seeds=(0, 1))
SMALL = {
    "mnist": TINY,
    "depth": replace(depth.CONFIGS["quick"], depths=(2, 3), seeds=(0, 1), steps=5, width=8, probes=4),
    "batch_size": replace(
        batch_size.CONFIGS["quick"],
        n=20, hidden=(8,), seeds=(0, 1), batch_sizes=(4, 20), weight_decays=(0.0, 5e-3), steps=5, probes=4,
    ),
}  # fmt: skip
MODULES = {"mnist": mnist, "depth": depth, "batch_size": batch_size}
# The columns of each table that name a run, and the fields of its configuration that they come from.
SWEPT = {
    "mnist": {"seed": "seeds", "weight_decay": "weight_decays"},
    "depth": {"seed": "seeds", "depth": "depths", "weight_decay": "weight_decays"},
    "batch_size": {"seed": "seeds", "batch_size": "batch_sizes", "weight_decay": "weight_decays"},
}


def runs(table, name):
    """The runs that a table holds, as tuples of what was swept."""
    return set(table[list(SWEPT[name])].drop_duplicates().itertuples(index=False, name=None))


def planned(config, name):
    """The runs that a configuration lists."""
    return set(product(*(getattr(config, field) for field in SWEPT[name].values())))


def test_every_experiment_is_tested():
    assert set(SMALL) == set(MODULES) == set(SWEPT) == set(experiments.NAMES)


@pytest.fixture(scope="module")
def task():
    return mnist.prepare(TINY)


def test_task_is_standardised_and_its_probes_are_test_inputs(task):
    assert task.train.x.mean().abs() < 1e-5
    assert task.train.x.std().item() == pytest.approx(1, abs=1e-4)
    rows = {tuple(row.tolist()) for row in task.test.x}
    assert all(tuple(row.tolist()) in rows for row in task.probes)
    assert len(task.probes) == 6


def test_table_is_tidy_and_holds_what_was_measured(task):
    history = mnist.train_one(TINY, task, seed=1, weight_decay=3e-3)
    frame = mnist.table(history, seed=1, weight_decay=3e-3)
    assert list(frame.columns) == [
        "seed",
        "weight_decay",
        "step",
        "layer",
        "reading",
        "eps",
        "mean",
        "stderr",
    ]
    keys = ["seed", "weight_decay", "step", "layer", "reading", "eps"]
    assert not frame.duplicated(keys).any()
    per_layer = 2 + sum(map(len, mnist.THRESHOLDS.values()))
    assert len(frame) == len(history.steps) * (2 + 3 * per_layer)
    last = history.readings[-1].spectra["L2"]
    row = frame.query("step == 30 and layer == 'L2' and reading == 'absolute' and eps == 0.1").iloc[0]
    assert row["mean"] == pytest.approx(count_above(last, 0.1).double().mean().item())
    row = frame.query("step == 30 and layer == 'L2' and reading == 'effective'").iloc[0]
    assert row["mean"] == pytest.approx(effective_rank(last).mean().item())


def test_train_one_is_the_loop_written_out(task):
    history = mnist.train_one(TINY, task, seed=3, weight_decay=0.0)
    g = runtime.generator(3)
    net = MLP([64, 12, 8, 10], generator=g)
    again = train(net, task.train.x, task.train.y, steps=30, lr=0.1, batch_size=128, generator=g)
    assert history.loss == pytest.approx(
        again.loss, rel=1e-4
    )  # float32 sums in another order on another device


@pytest.mark.parametrize("name", SMALL)
def test_run_stores_and_loads(name, tmp_path, monkeypatch):
    monkeypatch.setenv("LRLIB_RESULTS", str(tmp_path))
    monkeypatch.setitem(MODULES[name].CONFIGS, "quick", SMALL[name])
    run = experiments.run(name, "quick")
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"{name}-quick.csv", f"{name}-quick.json"]
    assert run.manifest["seeds"] == [0, 1]
    assert runs(run.table, name) == planned(SMALL[name], name)
    keys = [column for column in run.table.columns if column not in ("mean", "stderr")]
    assert not run.table.duplicated(keys).any()
    assert experiments.load(name, "quick").table.equals(run.table)


@pytest.mark.parametrize("name", SMALL)
def test_a_run_that_was_killed_goes_on_where_it_was(name, tmp_path, monkeypatch):
    module, make, calls = MODULES[name], MODULES[name]._cell, []

    def cell(*arguments):
        calls.append(tuple(a for a in arguments if isinstance(a, int | float)))  # seed, weight decay, ...
        if len(calls) == 3:
            raise KeyboardInterrupt
        return make(*arguments)

    monkeypatch.setitem(module.CONFIGS, "quick", SMALL[name])
    monkeypatch.setenv("LRLIB_RESULTS", str(tmp_path / "whole"))
    whole = experiments.run(name, "quick")
    monkeypatch.setattr(module, "_cell", cell)
    monkeypatch.setenv("LRLIB_RESULTS", str(tmp_path / "killed"))
    with pytest.raises(KeyboardInterrupt):
        experiments.run(name, "quick")
    resumed = experiments.run(name, "quick")
    assert len(calls) == len(planned(SMALL[name], name)) + 1  # only the third was called twice
    assert len(set(calls)) == len(calls) - 1
    assert calls[2] == calls[3]
    pd.testing.assert_frame_equal(resumed.table, whole.table, rtol=1e-3)  # equal, but for a GPU's sums


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="name='nmist': must be one of 'mnist'"):
        experiments.run("nmist")
    with pytest.raises(ValueError, match="preset='huge': must be one of 'quick', 'full'"):
        experiments.load("mnist", "huge")


@pytest.mark.parametrize("name", MODULES)
def test_the_stored_full_run_is_the_one_the_book_describes(name):
    stored = experiments.load(name, "full")
    config = MODULES[name].CONFIGS["full"]
    described = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(config).items()}
    assert stored.manifest["config"] == described
    assert len(config.seeds) >= 3
    assert 0.0 in config.weight_decays
    assert config.lr * max(config.weight_decays) * config.steps >= 2.4
    assert runs(stored.table, name) == planned(config, name)
    if "step" in stored.table:
        assert (stored.table.groupby(list(SWEPT[name])).step.max() == config.steps).all()
