"""Networks that learn from a Gaussian teacher: what the experiments ``teacher`` and ``drivers`` have in common.

A configuration is a list of variants, each a factor, a level of it, and all settings of the network and its data.
Every variant is trained from every seed, many networks at once. A seed sets the teacher, the data, the initial weights
and the order of the batches.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lrlib import runtime
from lrlib.data import gaussian_teacher
from lrlib.experiments import readings
from lrlib.nets import MLP, MLPStack
from lrlib.rank import covariance_root
from lrlib.train import fit_many, log_steps

TEST = 2_000  # inputs held out
TRAIN_SAMPLE = 2_000  # training inputs, the first, that training losses are read at
AT_ONCE = 20  # networks in one stack: more are not faster on one core


@dataclass(frozen=True)
class Student:
    """All settings of one network and its data, but the seed.

    ``task`` is "regression" (the teacher's outputs with noise, mean squared error) or "classification" (which of
    them is largest, noise included; cross-entropy). ``spread`` is the ratio of the largest to the smallest standard
    deviation of the inputs, which are evenly spaced on a log axis between, with mean square 1; 1 is isotropic.
    """

    task: str = "regression"
    n: int = 1_000
    inputs: int = 30
    outputs: int = 10
    teacher_rank: int = 3
    noise: float = 0.1
    spread: float = 1.0
    hidden: tuple[int, ...] = (100, 100)
    activation: str = "relu"
    init: str = "default"
    optimiser: str = "sgd"
    momentum: float = 0.0
    decoupled: bool = False
    lr: float = 0.1
    weight_decay: float = 5e-3
    batch_size: int = 32
    steps: int = 8_000


@dataclass(frozen=True)
class Variant:
    """One level of one factor, and the student that it means."""

    factor: str
    level: str
    student: Student


@dataclass(frozen=True)
class Config:
    """What is run: every variant from every seed. ``lists`` says at how many checkpoints lists are kept."""

    seeds: tuple[int, ...]
    variants: tuple[Variant, ...]
    probes: int = 48
    checkpoints: int = 24
    lists: int = 0
    absolute: tuple[float, ...] = (0.01, 0.1)
    relative: tuple[float, ...] = (0.01, 0.1)
    scaled: tuple[float, ...] = (0.1,)


@dataclass(frozen=True, eq=False)
class Task:
    """One seed's data: train and test (x, y), and a basis of input space as columns, (d, d), the teacher's first.

    The teacher's right singular vectors, as many as its rank, then the axes of x, made orthogonal to those before.
    (The other right singular vectors could be any basis of the rest, and every LAPACK has its own.)
    """

    train: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]
    directions: Tensor


def settings(config: dict[str, Any]) -> pd.DataFrame:
    """Return the settings of every variant, a row each, from a stored run's manifest["config"]."""
    return pd.DataFrame(
        [
            {
                "factor": v["factor"],
                "level": v["level"],
                **v["student"],
                "depth": len(v["student"]["hidden"]) + 1,
            }
            for v in config["variants"]
        ]
    )


def task(student: Student, *, seed: int) -> Task:
    """Return the data of one seed."""
    deviations = np.geomspace(student.spread, 1, student.inputs)
    made = gaussian_teacher(
        student.n + TEST,
        inputs=student.inputs,
        outputs=student.outputs,
        rank=student.teacher_rank,
        noise=student.noise,
        deviations=(deviations / np.sqrt(np.mean(deviations**2))).tolist(),
        generator=runtime.generator(seed),
    )
    y = made.y.argmax(1) if student.task == "classification" else made.y
    own = torch.linalg.svd(made.weight.double()).Vh[: student.teacher_rank].T
    directions = torch.linalg.qr(torch.hstack([own, torch.eye(student.inputs).double()])).Q
    n = student.n
    return Task((made.x[:n], y[:n]), (made.x[n:], y[n:]), directions)


def cells(config: Config) -> list[tuple[str, Callable[[], pd.DataFrame]]]:
    """Return the experiment's independent cells for :func:`lrlib.store.run_cells`: one stack of networks each.

    A student that several factors have among their levels is trained once, and its rows stand under each of them.
    """
    stacks = []
    for alike in _alike(variant.student for variant in config.variants):
        runs = list(product(alike, config.seeds))
        stacks += [tuple(runs[i : i + AT_ONCE]) for i in range(0, len(runs), AT_ONCE)]
    return [(f"stack{i:03}", partial(_cell, config, part)) for i, part in enumerate(stacks)]


def _alike(students: Iterable[Student]) -> list[list[Student]]:
    """Return the different students, in groups that can be trained as one stack."""
    groups: dict[tuple, list[Student]] = {}
    for student in dict.fromkeys(students):
        settings = asdict(student)
        for own in ("lr", "weight_decay", "momentum", "init", "noise", "teacher_rank", "spread"):
            del settings[own]
        groups.setdefault(tuple(settings.items()), []).append(student)
    return list(groups.values())


def _cell(config: Config, runs: tuple[tuple[Student, int], ...]) -> pd.DataFrame:
    where = runtime.device()
    students, seeds = zip(*runs, strict=True)
    shared = students[0]  # what the networks of a stack have in common is read off the first
    tasks = [task(student, seed=seed) for student, seed in runs]
    generators = [runtime.generator(1_000 + seed) for seed in seeds]  # not the one that drew the data
    widths = [shared.inputs, *shared.hidden, shared.outputs]
    nets = [
        MLP(widths, activation=shared.activation, init=student.init, generator=g)
        for student, g in zip(students, generators, strict=True)
    ]
    named = [(i, v) for i, student in enumerate(students) for v in config.variants if v.student == student]
    checkpoints = log_steps(shared.steps, config.checkpoints, first=min(readings.FIRST, shared.steps))
    histories = fit_many(
        MLPStack(nets).to(where),
        [made.train[0].to(where) for made in tasks],
        [made.train[1].to(where) for made in tasks],
        steps=shared.steps,
        lr=[student.lr for student in students],
        momentum=[student.momentum for student in students],
        weight_decay=[student.weight_decay for student in students],
        optimiser=shared.optimiser,
        decoupled=shared.decoupled,
        batch_size=shared.batch_size,
        loss="cross_entropy" if shared.task == "classification" else "mse",
        generators=generators,
        measure=readings.measure_at(
            [_probe(config, made, where) for made in tasks],
            checkpoints,
            readings.spread_over(checkpoints, config.lists),
        ),
        checkpoints=checkpoints,
        label=f"{len(runs)} networks: {', '.join(sorted({variant.factor for _, variant in named}))}",
        show=readings.in_words,
    )
    return readings.table(
        [histories[i] for i, _ in named],
        [{"factor": v.factor, "level": v.level, "seed": seeds[i]} for i, v in named],
    )


def _probe(config: Config, made: Task, where: torch.device) -> readings.Probe:
    train, test = ((x.to(where), y.to(where)) for x, y in (made.train, made.test))
    return readings.Probe(
        inputs=test[0][: config.probes],
        input_factor=covariance_root(made.train[0]),
        train=(train[0][:TRAIN_SAMPLE], train[1][:TRAIN_SAMPLE]),
        test=test,
        thresholds={
            "absolute": config.absolute, "relative": config.relative, "data-scaled": config.scaled
        },
        cells=torch.arange(made.train[0].shape[1]),
        basis=made.directions,
    )  # fmt: skip
