from dataclasses import asdict, replace

import pytest

from lrlib import count_above, effective_rank, experiments, runtime
from lrlib.experiments import mnist
from lrlib.nets import MLP
from lrlib.train import train

TINY = replace(mnist.CONFIGS["quick"], hidden=(12, 8), steps=30, probes=6, checkpoints=4, seeds=(0, 1))


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


def test_run_stores_resumes_and_loads(tmp_path, monkeypatch):
    monkeypatch.setenv("LRLIB_RESULTS", str(tmp_path))
    monkeypatch.setitem(mnist.CONFIGS, "quick", TINY)
    run = experiments.run("mnist", "quick")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mnist-quick.csv", "mnist-quick.json"]
    assert run.manifest["seeds"] == [0, 1]
    assert set(run.table.seed) == {0, 1}
    assert set(run.table.weight_decay) == set(TINY.weight_decays)
    assert experiments.load("mnist", "quick").table.equals(run.table)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="name='nmist': must be one of 'mnist'"):
        experiments.run("nmist")
    with pytest.raises(ValueError, match="preset='huge': must be one of 'quick', 'full'"):
        experiments.load("mnist", "huge")


def test_the_stored_full_run_is_the_one_the_book_describes():
    stored = experiments.load("mnist", "full")
    config = mnist.CONFIGS["full"]
    described = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(config).items()}
    assert stored.manifest["config"] == described
    assert len(config.seeds) >= 3
    assert 0.0 in config.weight_decays
    assert config.lr * max(config.weight_decays) * config.steps >= 2.4
    found = stored.table.groupby(["seed", "weight_decay"]).step.max()
    assert len(found) == len(config.seeds) * len(config.weight_decays)
    assert (found == config.steps).all()
