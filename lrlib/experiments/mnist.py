"""Local rank of every layer while a 4-layer ReLU MLP learns digits, with and without weight decay.

The experiment of Patel & Shwartz-Ziv 2024 (arXiv 2410.07687), whose hyper-parameters are not public: SGD on
cross-entropy. Weight decay erases what the loss does not need as exp(-eta * lambda * t), so a run has to last
until eta * lambda * t is 3 or so before anything can be said about its end.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pandas as pd
import torch
from jaxtyping import Int64
from torch import Tensor

from lrlib import data, runtime
from lrlib.experiments import readings
from lrlib.nets import MLP, MLPStack
from lrlib.rank import covariance_root
from lrlib.train import fit_many, log_steps

THRESHOLDS = {
    "absolute": (0.01, 0.03, 0.1, 0.3, 1.0),
    "relative": (0.001, 0.01, 0.03, 0.1, 0.3),
    "data-scaled": (0.01, 0.1, 1.0),
}
CELL = 2  # pixels to a side of a cell of the pictures, where images are larger than 8 x 8


@dataclass(frozen=True)
class Config:
    """What is run: every combination of ``seeds`` and ``weight_decays``.

    A seed sets the initial weights and the order of the batches; the probe inputs, at which the Jacobians are
    taken, are the same for all. ``lists`` says at how many checkpoints spectra and pictures are kept.
    """

    dataset: str
    seeds: tuple[int, ...]
    weight_decays: tuple[float, ...]
    steps: int
    hidden: tuple[int, ...] = (128, 128, 128)
    lr: float = 0.1
    batch_size: int = 128
    probes: int = 128
    checkpoints: int = 24
    lists: int = 12


CONFIGS = {
    "quick": Config("digits", seeds=(0,), weight_decays=(0.0, 3e-3), steps=8_000, probes=64),
    "full": Config("mnist", seeds=(0, 1, 2, 3, 4), weight_decays=(0.0, 1e-3, 3e-3), steps=32_000),
}


@dataclass(frozen=True)
class Task:
    """What all runs of one configuration share: standardised data, and what readings are taken with."""

    train: data.Dataset
    test: data.Dataset
    probe: readings.Probe


def prepare(config: Config) -> Task:
    """Load the data, standardise them by the training set, and choose the probe inputs from the test set."""
    train, test = data.standardise(data.load(config.dataset), data.load(config.dataset, split="test"))
    chosen = torch.randperm(len(test.y), generator=runtime.generator(0))[: config.probes]
    where = runtime.device()
    probe = readings.Probe(
        inputs=test.x[chosen].to(where),
        input_factor=covariance_root(train.x),
        train=(train.x.to(where), train.y.to(where)),
        test=(test.x.to(where), test.y.to(where)),
        thresholds=THRESHOLDS,
        cells=_cells_of_pixels(train.image_shape),
    )
    return Task(train, test, probe)


def cells(config: Config) -> list[tuple[str, Callable[[], pd.DataFrame]]]:
    """Return the experiment's independent cells for :func:`lrlib.store.run_cells`: the networks of one seed each."""
    task = prepare(config)
    return [(f"seed{seed}", partial(_cell, config, task, seed)) for seed in config.seeds]


def _cell(config: Config, task: Task, seed: int) -> pd.DataFrame:
    decays, where = config.weight_decays, runtime.device()
    generators = [runtime.generator(seed) for _ in decays]
    widths = [task.train.x.shape[1], *config.hidden, len(task.train.classes)]
    stack = MLPStack([MLP(widths, generator=g) for g in generators]).to(where)
    checkpoints = log_steps(config.steps, config.checkpoints, first=min(readings.FIRST, config.steps))
    with_lists = readings.spread_over(checkpoints, config.lists)
    histories = fit_many(
        stack,
        *task.probe.train,
        steps=config.steps,
        lr=config.lr,
        batch_size=config.batch_size,
        weight_decay=decays,
        generators=generators,
        measure=readings.measure_at([task.probe] * len(decays), checkpoints, with_lists),
        checkpoints=checkpoints,
        label=f"{config.dataset}, seed {seed}, {len(decays)} weight decays",
        show=readings.in_words,
    )
    return readings.table(histories, [{"seed": seed, "weight_decay": decay} for decay in decays])


def _cells_of_pixels(shape: tuple[int, int]) -> Int64[Tensor, " d"]:
    """Return the cell of every pixel, row by row: pixels themselves where images are small, squares of them else."""
    side = CELL if min(shape) > 8 else 1
    rows, columns = (torch.arange(length) // side for length in shape)
    return (rows[:, None] * (int(columns.max()) + 1) + columns[None]).flatten()
