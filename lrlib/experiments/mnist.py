"""Local rank of every layer while a 4-layer ReLU MLP learns digits, with and without weight decay.

The experiment of Patel & Shwartz-Ziv 2024 (arXiv 2410.07687), whose hyper-parameters are not public: SGD on
cross-entropy. Weight decay erases what the loss does not need as exp(-eta * lambda * t), so a run has to last
until eta * lambda * t is at least 2.4 before anything can be said about its end.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product

import pandas as pd
import torch
from torch import Tensor, nn

from lrlib import data, runtime
from lrlib.jacobian import Spectra, jacobian_spectra
from lrlib.nets import MLP
from lrlib.rank import count_above, covariance_root, effective_rank, mean_and_stderr, stable_rank
from lrlib.train import History, accuracy, log_steps, train

# Readings that have a threshold, and the thresholds that are stored for each.
THRESHOLDS = {"absolute": (0.01, 0.1, 1.0), "relative": (0.001, 0.01, 0.1), "data-scaled": (0.01, 0.1, 1.0)}


@dataclass(frozen=True)
class Config:
    """What is run: every combination of ``seeds`` and ``weight_decays``.

    A seed sets the initial weights and the order of the batches; the probe inputs, at which the Jacobians are
    taken, are the same for all seeds.
    """

    dataset: str
    seeds: tuple[int, ...]
    weight_decays: tuple[float, ...]
    steps: int
    hidden: tuple[int, ...] = (128, 128, 128)
    lr: float = 0.1
    batch_size: int = 128
    probes: int = 128
    checkpoints: int = 30


CONFIGS = {
    "quick": Config("digits", seeds=(0,), weight_decays=(0.0, 3e-3), steps=8_000, probes=64, checkpoints=20),
    "full": Config("mnist", seeds=(0, 1, 2, 3, 4), weight_decays=(0.0, 1e-3), steps=40_000),
}


@dataclass(frozen=True)
class Task:
    """What all runs of one configuration share: standardised data, probe inputs and Sigma_x^{1/2}."""

    train: data.Dataset
    test: data.Dataset
    probes: Tensor
    input_factor: Tensor


@dataclass(frozen=True)
class Reading:
    """What is read at one checkpoint: spectra of J_l and of J_l Sigma_x^{1/2}, and the shares classified right."""

    spectra: Spectra
    scaled_spectra: Spectra
    train_accuracy: float
    test_accuracy: float


def prepare(config: Config) -> Task:
    """Load the data, standardise them by the training set, and choose the probe inputs from the test set."""
    train_set, test_set = data.standardise(data.load(config.dataset), data.load(config.dataset, split="test"))
    chosen = torch.randperm(len(test_set.y), generator=runtime.generator(0))[: config.probes]
    return Task(train_set, test_set, test_set.x[chosen], covariance_root(train_set.x))


def train_one(config: Config, task: Task, *, seed: int, weight_decay: float) -> History:
    """Train one network; the history's readings are :class:`Reading` objects at log-spaced checkpoints."""
    generator = runtime.generator(seed)
    where = runtime.device()
    widths = [task.train.x.shape[1], *config.hidden, int(task.train.y.max()) + 1]
    net = MLP(widths, generator=generator).to(where)
    return train(
        net,
        task.train.x.to(where),
        task.train.y.to(where),
        steps=config.steps,
        lr=config.lr,
        batch_size=config.batch_size,
        weight_decay=weight_decay,
        generator=generator,
        measure=partial(_measure, task),
        checkpoints=log_steps(config.steps, config.checkpoints),
        label=f"{config.dataset}, seed {seed}, weight decay {weight_decay:g}",
    )


def cells(config: Config) -> list[tuple[str, Callable[[], pd.DataFrame]]]:
    """Return the experiment's independent cells for :func:`lrlib.store.run_cells`: one network each."""
    task = prepare(config)
    return [
        (f"seed{seed}-decay{decay:g}", partial(_cell, config, task, seed, decay))
        for seed, decay in product(config.seeds, config.weight_decays)
    ]


def table(history: History, *, seed: int, weight_decay: float) -> pd.DataFrame:
    """Return one tidy row for every step, layer, reading and threshold: mean over the probes and its stderr."""
    rows = [
        row
        for step, reading in zip(history.steps, history.readings, strict=True)
        for row in _rows(step, reading)
    ]
    frame = pd.DataFrame(rows, columns=["step", "layer", "reading", "eps", "mean", "stderr"])
    frame.insert(0, "weight_decay", weight_decay)
    frame.insert(0, "seed", seed)
    return frame


def _cell(config: Config, task: Task, seed: int, weight_decay: float) -> pd.DataFrame:
    history = train_one(config, task, seed=seed, weight_decay=weight_decay)
    return table(history, seed=seed, weight_decay=weight_decay)


def _measure(task: Task, net: nn.Module) -> Reading:
    where = next(net.parameters()).device
    probes, factor = task.probes.to(where), task.input_factor
    return Reading(
        jacobian_spectra(net, probes),
        jacobian_spectra(net, probes, input_factor=factor),
        accuracy(net, task.train.x.to(where), task.train.y.to(where)),
        accuracy(net, task.test.x.to(where), task.test.y.to(where)),
    )


def _rows(step: int, reading: Reading) -> list[tuple]:
    rows: list[tuple] = [
        (step, "network", "train_accuracy", None, reading.train_accuracy, None),
        (step, "network", "test_accuracy", None, reading.test_accuracy, None),
    ]
    for layer in reading.spectra.layers:
        s, scaled = reading.spectra[layer], reading.scaled_spectra[layer]
        per_input = {
            ("effective", None): effective_rank(s),
            ("stable", None): stable_rank(s),
            **{("absolute", eps): count_above(s, eps) for eps in THRESHOLDS["absolute"]},
            **{("relative", eps): count_above(s, eps, relative=True) for eps in THRESHOLDS["relative"]},
            **{("data-scaled", eps): count_above(scaled, eps) for eps in THRESHOLDS["data-scaled"]},
        }
        for (name, eps), values in per_input.items():
            mean, stderr = mean_and_stderr(values)
            rows.append((step, layer, name, eps, mean.item(), stderr.item()))
    return rows
