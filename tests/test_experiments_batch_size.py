"""The experiment on batch size: its task, its runs and every value of its table, written out."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch

from lrlib import runtime
from lrlib.data import gaussian_teacher
from lrlib.experiments import batch_size
from lrlib.nets import MLP
from lrlib.train import log_steps, train

TINY = replace(
    batch_size.CONFIGS["quick"],
    n=40, hidden=(12, 9), steps=30, probes=6, checkpoints=4, seeds=(0, 1), batch_sizes=(4, 20),
)  # fmt: skip
FLOAT32 = 1e-3  # relative: 30 float32 updates, whose sums run in another order on another device


@pytest.fixture(scope="module")
def frame():
    return dict(batch_size.cells(TINY))["seed1-batch4-decay0.005"]()


def readings(net: MLP, x: torch.Tensor, y: torch.Tensor) -> dict[tuple[str, str], tuple[float, float]]:
    """What one checkpoint should hold, in numpy and autograd: mean and standard error by layer and reading."""
    with torch.no_grad():
        found = {("network", "loss"): (((net(x) - y) ** 2).mean().item(), np.nan)}
    exact = deepcopy(net).double()
    for l, name in enumerate(net.layers):
        jacobians = [
            torch.autograd.functional.jacobian(lambda z, l=l: exact.preactivations(z[None])[l][0], z)
            for z in x[: TINY.probes].double()
        ]
        s = np.linalg.svd(torch.stack(jacobians).numpy(), compute_uv=False)
        for reading, cut in (("absolute", 0.1), ("relative", 0.1 * s[:, :1])):
            counts = (s > cut).sum(1)
            found[name, reading] = counts.mean(), counts.std(ddof=1) / np.sqrt(TINY.probes)
        weight = net.get_submodule(name).weight.detach().double().numpy()
        found[name, "operator"] = np.linalg.norm(weight, 2), np.nan
    return found


def test_the_task_is_the_teacher_of_its_seed():
    made, again = batch_size.task(TINY, seed=1), gaussian_teacher(40, rank=3, generator=runtime.generator(1))
    assert torch.equal(made.x, again.x)
    assert torch.equal(made.y, again.y)
    assert not torch.equal(made.x, batch_size.task(TINY, seed=0).x)


def test_the_table_is_tidy_and_complete(frame):
    names = ["seed", "batch_size", "weight_decay", "step", "layer", "reading", "eps", "mean", "stderr"]
    assert list(frame.columns) == names
    assert not frame.duplicated(names[:7]).any()
    assert set(zip(frame.seed, frame.batch_size, frame.weight_decay, strict=True)) == {(1, 4, 0.005)}
    assert tuple(frame.step.unique()) == log_steps(30, 4)
    per_layer = {(layer, r) for layer in ("L1", "L2", "L3") for r in ("absolute", "relative", "operator")}
    for _, rows in frame.groupby("step"):
        assert set(zip(rows.layer, rows.reading, strict=True)) == per_layer | {("network", "loss")}
    assert (frame.eps.notna() == frame.reading.isin(["absolute", "relative"])).all()
    assert set(frame.eps.dropna()) == {0.1}


def test_its_values_are_those_of_the_loop_written_out(frame):
    made = batch_size.task(TINY, seed=1)
    g = runtime.generator(1_001)
    net = MLP([30, 12, 9, 10], generator=g)
    history = train(
        net, made.x, made.y, steps=30, lr=0.1, batch_size=4, weight_decay=5e-3, loss="mse", generator=g,
        measure=lambda now: readings(now, made.x, made.y), checkpoints=log_steps(30, 4),
    )  # fmt: skip
    found = frame.set_index(["step", "layer", "reading"])[["mean", "stderr"]]
    for step, expected in zip(history.steps, history.readings, strict=True):
        for (layer, reading), (mean, stderr) in expected.items():
            row = found.loc[step, layer, reading]
            assert row["mean"] == pytest.approx(mean, rel=FLOAT32)
            assert row["stderr"] == pytest.approx(stderr, rel=FLOAT32, nan_ok=True)


def test_runs_differ_in_what_is_swept_and_share_the_rest():
    cells = dict(batch_size.cells(replace(TINY, seeds=(0,), weight_decays=(0.0, 0.05))))
    assert list(cells) == [f"seed0-batch{size}-decay{decay}" for size in (4, 20) for decay in ("0", "0.05")]
    tables = {name: cell().set_index(["step", "layer", "reading"])["mean"] for name, cell in cells.items()}
    starts = [table.loc[0].to_numpy() for table in tables.values()]
    assert all((start == starts[0]).all() for start in starts)  # one start for all of a seed
    ends = [table.loc[30, "network", "loss"] for table in tables.values()]
    assert len(set(ends)) == 4
