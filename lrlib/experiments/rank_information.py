"""Do local rank and information fall together? Both are read off the same networks, at the same steps of training.

Three tasks: the ``teacher`` (the base of :mod:`lrlib.experiments.drivers`), ``mnist`` (as in
:mod:`lrlib.experiments.mnist`), each with and without weight decay, and the 12-input task of
:mod:`lrlib.data.sphere`, on which the dispute of 2017 and 2018 was fought (Shwartz-Ziv & Tishby, arXiv 1703.00810;
Saxe et al. 2018), with tanh and with ReLU.

Information is that of a layer's representation T about the input, which is one of ``samples`` held-out inputs, each
equally likely. On the sphere task they are all 4,096 patterns in the full run, where ``stderr`` is therefore no error of
the reading, and 1,000 in the quick one, 180 of them trained on. T is the pre-activation p_l ("L1",
...); on the sphere task it is what the dispute was about, the activation h_l ("H1", ..., the last one the softmax of
the outputs). Readings, in nats:

- ``kde lower``, ``kde upper``, ``logdet``: bounds of I(X; T + Z), Z ~ N(0, s^2 I). Noise "fixed": s is ``eps``, the
  same for all layers and times. Noise "layer": s is ``eps`` times the layer's deviation at that time.
- ``deviation``: that deviation, the root of the mean variance of the layer's units (not an information).
- ``binning``: the entropy of T cut into ``eps`` bins a unit. Of p_l, over the layer's range at that time; of tanh on
  [-1, 1], of the softmax on [0, 1], and of ReLU from 0 to the layer's largest activation at any checkpoint.
- ``binning label``: the information of that about the label (sphere task).
- ``exact``: the entropy of T as float32 holds it, I(X; T) without noise and without bins (sphere task).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product

import pandas as pd
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from lrlib import runtime
from lrlib.data.sphere import sphere_task
from lrlib.experiments import drivers, mnist, readings, students
from lrlib.information import binned_mi, discrete_entropy, kde_mi, logdet_mi
from lrlib.information.estimate import Estimate
from lrlib.nets import ACTIVATIONS, MLP, MLPStack
from lrlib.rank import covariance_root
from lrlib.train import History, fit_many, log_steps

COLUMNS = ["task", "variant", "seed", "step", "layer", "reading", "noise", "eps", "mean", "stderr", "cap"]
THRESHOLDS = {"absolute": (0.01, 0.1, 1.0), "relative": (0.01, 0.1), "data-scaled": (0.1, 1.0)}
KEPT = (*THRESHOLDS, "effective", "stable", "train_loss", "test_loss", "train_accuracy", "test_accuracy")
HELD_OUT = 820  # of the sphere task's 4,096 patterns: 80 % are for training, as published
# What is added to a seed for the weights and the batches, as in ``students`` and in ``mnist``: the same networks.
OWN = {"teacher": 1_000, "mnist": 0, "sphere": 1_000}

Row = tuple[str, str, str | None, float | None, float, float | None, float | None]
Layers = dict[str, Float[Tensor, "n n_l"]]


@dataclass(frozen=True)
class Course:
    """How the networks of one task are trained, and with what noise they are read.

    ``variants`` are pairs of a name and a weight decay. ``samples`` are the inputs that information is about, ``fixed``
    and ``layer`` the levels of the two kinds of noise. ``together`` seeds make one cell.
    """

    task: str
    variants: tuple[tuple[str, float], ...]
    seeds: tuple[int, ...]
    hidden: tuple[int, ...]
    lr: float
    batch_size: int
    steps: int
    checkpoints: int
    fixed: tuple[float, ...]
    layer: tuple[float, ...]
    samples: int = 2_000
    activation: str = "relu"
    together: int = 1


@dataclass(frozen=True)
class Config:
    """What is run: every course. ``seeds`` are those of all courses; at ``probes`` inputs ranks are taken."""

    seeds: tuple[int, ...]
    courses: tuple[Course, ...]
    probes: int = 64
    bins: int = 30


# From noise so small that the bounds of 128 units are at their cap, to noise at which those of 10 units are far below.
LEVELS = {"fixed": (0.1, 1.0), "layer": (0.3, 1.0, 3.0)}
TEACHER = Course(
    task="teacher",
    variants=(("no decay", 0.0), ("weight decay", 5e-3)),
    seeds=(0, 1, 2, 3, 4),
    hidden=drivers.BASE.hidden,
    lr=drivers.BASE.lr,
    batch_size=drivers.BASE.batch_size,
    steps=8_000,
    checkpoints=15,
    fixed=LEVELS["fixed"],
    layer=LEVELS["layer"],
)
MNIST = Course(
    task="mnist",
    variants=(("no decay", 0.0), ("weight decay", 3e-3)),
    seeds=(0, 1, 2, 3, 4),
    hidden=(128, 128, 128),
    lr=0.1,
    batch_size=128,
    steps=16_000,
    checkpoints=15,
    fixed=LEVELS["fixed"],
    layer=LEVELS["layer"],
)
# Batches and hidden layers are the published ones, and 20,000 steps are 1,667 passes over the data, of 8,000 published.
# Optimiser and rate are ours: the paper says SGD, its code Adam.
SPHERE = {
    activation: Course(
        task="sphere",
        variants=((activation, 0.0),),
        seeds=tuple(range(10)),
        hidden=(10, 7, 5, 4, 3),
        activation=activation,
        lr=0.1,
        batch_size=256,
        steps=20_000,
        checkpoints=15,
        fixed=(0.1,),
        layer=(0.1,),
        samples=4_096,
        together=5,
    )
    for activation in ("tanh", "relu")
}
CONFIGS = {
    "quick": Config(
        seeds=(0,),
        courses=(
            replace(TEACHER, seeds=(0,), checkpoints=8, samples=1_000),
            *[replace(own, seeds=(0,), checkpoints=8, steps=5_000, samples=1_000) for own in SPHERE.values()],
        ),
        probes=48,
    ),
    "full": Config(seeds=tuple(range(10)), courses=(TEACHER, MNIST, *SPHERE.values())),
}


@dataclass(frozen=True, eq=False)
class Ground:
    """One seed's data: what ranks are read with, and the inputs that information is about, (n, d), with any labels."""

    probe: readings.Probe
    inputs: Tensor
    labels: Tensor | None = None


def cells(config: Config) -> list[tuple[str, Callable[[], pd.DataFrame]]]:
    """Return the experiment's independent cells for :func:`lrlib.store.run_cells`: some seeds of one course each."""
    return [
        (f"{course.task}-{course.activation}-seed{part[0]}", partial(_cell, config, course, part))
        for course in config.courses
        for i in range(0, len(course.seeds), course.together)
        for part in [course.seeds[i : i + course.together]]
    ]


def ground(config: Config, course: Course, seed: int) -> Ground:
    """Return the data of one seed."""
    where = runtime.device()
    if course.task == "mnist":
        made = mnist.prepare(replace(mnist.CONFIGS["full"], probes=course.samples))
        inputs = made.probe.inputs
        return Ground(replace(made.probe, inputs=inputs[: config.probes], thresholds=THRESHOLDS), inputs)
    labels = None
    if course.task == "teacher":
        own = students.task(drivers.BASE, seed=seed)
        train, test, inputs = own.train, own.test, own.test[0][: course.samples]
    else:
        x, y = sphere_task()
        order = torch.randperm(len(x), generator=runtime.generator(seed))
        train, test = ((x[rows], y[rows]) for rows in (order[HELD_OUT:], order[:HELD_OUT]))
        inputs, labels = x[order[: course.samples]], y[order[: course.samples]]
    probe = readings.Probe(
        inputs=test[0][: config.probes].to(where),
        input_factor=covariance_root(train[0]),
        train=(train[0].to(where), train[1].to(where)),
        test=(test[0].to(where), test[1].to(where)),
        thresholds=THRESHOLDS,
        cells=torch.arange(inputs.shape[1]),
    )
    return Ground(probe, inputs.to(where), labels)


def representations(net: MLP, task: str, x: Float[Tensor, "n d"]) -> Layers:
    """Return what information is read off, by layer: p_l, and on the sphere task h_l, the last of them the softmax."""
    with torch.no_grad():
        outputs = [p.cpu() for p in net.preactivations(x)]
    if task != "sphere":
        return dict(zip(net.layers, outputs, strict=True))
    phi = ACTIVATIONS[net.activation]
    hidden = [*map(phi, outputs[:-1]), outputs[-1].softmax(1)]
    return {f"H{l}": h for l, h in enumerate(hidden, start=1)}


def bounds(
    layer: str, t: Float[Tensor, "n n_l"], fixed: tuple[float, ...], relative: tuple[float, ...]
) -> list[Row]:
    """Return a layer's ``deviation``, and its bounds with every noise."""
    moved = t.double() - t[0].double()  # so that a constant T has no variance, not even by rounding
    deviation = moved.var(0).mean().sqrt().item()
    found: list[Row] = [(layer, "deviation", None, None, deviation, None, None)]
    for noise, unit, levels in (("fixed", 1.0, fixed), ("layer", deviation, relative)):
        for eps in levels:
            variance = (eps * unit) ** 2 if unit else 1.0  # a constant T says nothing, whatever the noise
            lower, upper = kde_mi(t, variance)
            named = {"kde lower": lower, "kde upper": upper, "logdet": logdet_mi(t, variance)}
            found += [_row(layer, reading, noise, eps, bound) for reading, bound in named.items()]
    return found


def on_sphere(
    kept: Sequence[Layers], labels: Int64[Tensor, " n"], activation: str, bins: int
) -> list[list[Row]]:
    """Return the rows that need no noise, of every checkpoint of one network of the sphere task."""
    last = list(kept[0])[-1]
    limits = dict.fromkeys(kept[0], (-1.0, 1.0))
    if activation == "relu":  # a layer that was dead all along has no largest activation: any bins hold it
        limits = {layer: (0.0, max(now[layer].max().item() for now in kept) or 1.0) for layer in kept[0]}
    limits[last] = (0.0, 1.0)
    return [
        [row for layer, t in now.items() for row in _counted(layer, t, labels, limits[layer], bins)]
        for now in kept
    ]


def _counted(
    layer: str, t: Float[Tensor, "n n_l"], labels: Int64[Tensor, " n"], limits: tuple[float, float], bins: int
) -> list[Row]:
    distinct = t.unique(dim=0, return_inverse=True)[1]
    return [
        _row(layer, "binning", None, bins, binned_mi(t, bins, limits=limits)),
        _row(layer, "binning label", None, bins, binned_mi(t, bins, limits=limits, y=labels)),
        _row(layer, "exact", None, None, discrete_entropy(distinct)),
    ]


def _row(layer: str, reading: str, noise: str | None, eps: float | None, found: Estimate) -> Row:
    return layer, reading, noise, eps, found.value, found.stderr, found.cap


def _cell(config: Config, course: Course, seeds: tuple[int, ...]) -> pd.DataFrame:
    own = {seed: ground(config, course, seed) for seed in seeds}
    runs = [(seed, name, decay) for seed, (name, decay) in product(seeds, course.variants)]
    grounds = [own[seed] for seed, *_ in runs]
    histories = _trained(config, course, runs, grounds)
    lines = []
    for (seed, name, _), made, history in zip(runs, grounds, histories, strict=True):
        rows, kept = zip(*history.readings, strict=True)
        late: list[list[Row]] = [[]] * len(kept)
        if course.task == "sphere":
            late = on_sphere(kept, made.labels, course.activation, config.bins)
        for step, early, more in zip(history.steps, rows, late, strict=True):
            lines += [(course.task, name, seed, step, *row) for row in [*early, *more]]
    return pd.DataFrame(lines, columns=COLUMNS)


def _trained(
    config: Config, course: Course, runs: Sequence[tuple[int, str, float]], grounds: Sequence[Ground]
) -> list[History]:
    """Train the networks of some runs (seed, variant, weight decay) in one stack, reading each at its checkpoints."""
    seeds = [seed for seed, *_ in runs]
    xs, ys = zip(*(made.probe.train for made in grounds), strict=True)
    if len(set(seeds)) == 1:  # all networks share one tensor, which need not be copied
        xs, ys = xs[0], ys[0]
    y = grounds[0].probe.train[1]
    classes = y.dtype == torch.int64
    widths = [grounds[0].inputs.shape[1], *course.hidden, int(y.max()) + 1 if classes else y.shape[1]]
    generators = [runtime.generator(OWN[course.task] + seed) for seed in seeds]
    nets = [MLP(widths, activation=course.activation, generator=g) for g in generators]
    return fit_many(
        MLPStack(nets).to(runtime.device()),
        xs,
        ys,
        steps=course.steps,
        lr=course.lr,
        batch_size=course.batch_size,
        weight_decay=[decay for *_, decay in runs],
        loss="cross_entropy" if classes else "mse",
        generators=generators,
        measure=lambda stack: [_read(config, course, stack[m], made) for m, made in enumerate(grounds)],
        checkpoints=log_steps(course.steps, course.checkpoints, first=min(readings.FIRST, course.steps)),
        label=f"{course.task} {course.activation}, {len(runs)} networks from seed {seeds[0]}",
    )


def _read(config: Config, course: Course, net: MLP, made: Ground) -> tuple[list[Row], Layers | None]:
    """Return the rows of one network now, and on the sphere task its layers: their bins need the later ones too."""
    found: list[Row] = [
        (layer, reading, None, eps, mean, stderr, None)
        for layer, reading, eps, mean, stderr, _ in readings.rows(net, made.probe, lists=False)
        if reading in KEPT
    ]
    layers = representations(net, course.task, made.inputs)
    for layer, t in layers.items():
        found += bounds(layer, t, course.fixed, course.layer)
        if course.task != "sphere":
            found.append(_row(layer, "binning", None, config.bins, binned_mi(t, config.bins)))
    return found, layers if course.task == "sphere" else None
