"""Deep variational bottlenecks on digits: one at the published strength, and many over a range of beta.

The loss is D + beta R (:class:`lrlib.bottleneck.VIB`), so a large beta is a narrow bottleneck. The course of training of
the part "strength" is that of Alemi, Fischer, Dillon & Murphy (ICLR 2017) and of the notebook that its first author
published (github.com/alexalemi/vib_demo). The other parts vary beta, and around the collapse also the size of code, network and data.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from lrlib import data, runtime
from lrlib.bottleneck import VIB, VIBStack, load_vib, save_vib, vib_loss
from lrlib.experiments import vib_readings
from lrlib.nets import MLP
from lrlib.rank import covariance_root
from lrlib.store import Resumable
from lrlib.train import fit_many, train

COLUMNS = [
    "part",
    "code",
    "width",
    "n",
    "beta",
    "seed",
    "layer",
    "reading",
    "eps",
    "mean",
    "stderr",
    "values",
]
ADAM_BETAS = (0.5, 0.999)  # Alemi's
AT_ONCE = 6  # models in one stack
TRAIN_READ = 10_000  # training images that readings are taken of
POSITIONS = 300  # test images whose codes are kept where the code is a plane


@dataclass(frozen=True)
class Part:
    """Models that differ in beta and seed only: every combination is one.

    ``hidden`` widths of the encoder, ``code`` K, ``n`` training images (None: all). Training takes ``epochs`` passes
    over ALL training images' worth of batches, whatever ``n``; the learning rate ``lr`` is taken times ``drop`` every
    ``drop_every`` of them. Readings are of the running average of the weights with the decay ``average``.
    ``alone`` models are trained one by one and may be killed in the midst.
    """

    name: str
    betas: tuple[float, ...]
    seeds: tuple[int, ...]
    hidden: tuple[int, ...]
    code: int
    epochs: int
    n: int | None = None
    lr: float = 1e-3
    batch_size: int = 200
    drop: float = 0.8
    drop_every: int = 1
    average: float = 0.99
    alone: bool = False


@dataclass(frozen=True)
class Config:
    """What is run. ``seeds`` of all parts; ``probes`` test images for Jacobians, ``bounded`` for bounds of I(X;Z)."""

    dataset: str
    seeds: tuple[int, ...]
    parts: tuple[Part, ...]
    probes: int = 64
    bounded: int = 5_000


SEEDS = (0, 1, 2)
SWEEP = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 3e-2, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0)
DENSE = (0.1, 0.2, 0.3, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 1.0)
QUICK = (1e-4, 1e-2, 0.1, 0.3, 0.5, 0.7, 1.0)
SMALL = {"hidden": (256, 256), "code": 64, "epochs": 12}


def _around_the_collapse() -> tuple[Part, ...]:
    """Return the small model and its variations, one at a time, at the dense betas."""
    variants = [
        ("base", {}),
        ("code", {"code": 8}),
        ("code", {"code": 256}),
        ("width", {"hidden": (64, 64)}),
        ("size", {"n": 6_000}),
    ]
    return tuple(Part(name, DENSE, SEEDS, **SMALL | changes) for name, changes in variants)


CONFIGS = {
    "quick": Config(
        "digits",
        seeds=(0,),
        parts=(
            Part("sweep", QUICK, (0,), hidden=(64, 64), code=16, epochs=200, lr=3e-3, batch_size=100, drop=0.98),
            Part("plane", QUICK, (0,), hidden=(64, 64), code=2, epochs=200, lr=3e-3, batch_size=100, drop=0.98),
        ),
        probes=16,
        bounded=360,
    ),
    "full": Config(
        "mnist",
        SEEDS,
        parts=(
            Part(
                "strength", (1e-3,), SEEDS, hidden=(1024, 1024), code=256, epochs=200,
                lr=1e-4, batch_size=100, drop=0.97, drop_every=2, average=0.999, alone=True,
            ),
            Part("sweep", SWEEP, SEEDS, hidden=(512, 512), code=256, epochs=12),
            Part("plane", SWEEP, (0,), **SMALL | {"code": 2}),
            *_around_the_collapse(),
        ),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Task:
    """What all models share: images in [-1, 1], as Alemi's, and what readings are taken with."""

    train: tuple[Tensor, Tensor]
    probe: vib_readings.Probe
    classes: int


def prepare(config: Config) -> Task:
    """Load the data, and choose the probe inputs from the test set."""
    train_set, test_set = data.load(config.dataset), data.load(config.dataset, split="test")
    where = runtime.device()
    (x, y), test = (((2 * part.x - 1).to(where), part.y.to(where)) for part in (train_set, test_set))
    chosen = torch.randperm(len(test[1]), generator=runtime.generator(0))[: config.probes].to(where)
    drawn = torch.randperm(len(test[1]), generator=runtime.generator(1))[: config.bounded].to(where)
    probe = vib_readings.Probe(
        train=(x[:TRAIN_READ], y[:TRAIN_READ]),
        test=test,
        inputs=test[0][chosen],
        input_factor=covariance_root(2 * train_set.x - 1),  # on the CPU: MPS has no float64
        bounded=test[0][drawn],
        unit=2.0,
    )
    return Task((x, y), probe, len(train_set.classes))


def cells(config: Config) -> list[tuple[str, Callable[[], pd.DataFrame] | Resumable]]:
    """Return the experiment's independent cells for :func:`lrlib.store.run_cells`: up to 6 models of a seed each."""
    task = prepare(config)
    found: list[tuple[str, Callable[[], pd.DataFrame] | Resumable]] = []
    for i, part in enumerate(config.parts):
        at_once = 1 if part.alone else AT_ONCE
        for seed in part.seeds:
            for first in range(0, len(part.betas), at_once):
                betas = part.betas[first : first + at_once]
                make = Resumable(partial(_alone, part, task, seed, betas[0])) if part.alone else (
                    partial(_together, part, task, seed, betas)
                )  # fmt: skip
                found.append((f"part{i}-{part.name}-seed{seed}-beta{first}", make))
    return found


def _alone(part: Part, task: Task, seed: int, beta: float, keep_in: Path) -> pd.DataFrame:
    x, y = _images(part, task, seed)
    trained = keep_in.with_suffix(
        ".vib"
    )  # lies there until the run is stored, so that a kill during the readings costs them only
    if not trained.is_file():
        vib, average, g = (
            *_averaged(part, _model(part, task, seed, x.device)),
            runtime.generator(1_000 + seed),
        )
        options = _course(part, task) | {"loss": vib_loss(beta), "average": average, "generator": g}
        train(vib, x, y, **options, keep_in=keep_in, label=f"VIB, beta {beta:g}, seed {seed}")
        save_vib(average.module, trained)
    return _table(part, task, seed, [(beta, load_vib(trained).to(x.device))])


def _together(part: Part, task: Task, seed: int, betas: tuple[float, ...]) -> pd.DataFrame:
    x, y = _images(part, task, seed)
    stack, average = _averaged(part, VIBStack([_model(part, task, seed, x.device) for _ in betas]))
    # one order and one noise for all betas of a seed: they differ in beta only
    generators = [runtime.generator(1_000 + seed) for _ in betas]
    options = _course(part, task) | {"loss": vib_loss(betas), "average": average, "generators": generators}
    fit_many(stack, x, y, **options, label=f"{len(betas)} VIBs, {part.name}, seed {seed}")
    return _table(part, task, seed, [(beta, average.module[m]) for m, beta in enumerate(betas)])


def _images(part: Part, task: Task, seed: int) -> tuple[Tensor, Tensor]:
    x, y = task.train
    if part.n is None:
        return x, y
    chosen = torch.randperm(len(y), generator=runtime.generator(2_000 + seed))[: part.n].to(x.device)
    return x[chosen], y[chosen]


def _model(part: Part, task: Task, seed: int, where: torch.device) -> VIB:
    g = runtime.generator(seed)
    widths = [task.train[0].shape[1], *part.hidden, 2 * part.code]
    decoder = MLP([part.code, task.classes], generator=g)
    return VIB(MLP(widths, generator=g), decoder, code=part.code).to(where)


def _averaged(part: Part, model: VIB) -> tuple[VIB, AveragedModel]:
    return model, AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(part.average))


def _course(part: Part, task: Task) -> dict:
    an_epoch = len(task.train[1]) // part.batch_size
    return {
        "steps": part.epochs * an_epoch,
        "lr": part.lr,
        "batch_size": part.batch_size,
        "optimiser": "adam",
        "adam_betas": ADAM_BETAS,
        "schedule": lambda step: part.drop ** (step // (an_epoch * part.drop_every)),
    }


def _table(part: Part, task: Task, seed: int, models: list[tuple[float, VIB]]) -> pd.DataFrame:
    n = part.n or len(task.train[1])
    lines = [
        (part.name, part.code, part.hidden[0], n, beta, seed, *row)
        for beta, vib in models
        for row in [*vib_readings.rows(vib, task.probe), *_in_the_plane(vib, task.probe)]
    ]
    return pd.DataFrame(lines, columns=COLUMNS)


@torch.no_grad()
def _in_the_plane(vib: VIB, probe: vib_readings.Probe) -> list[vib_readings.Row]:
    """Return where test images lie in a code of two numbers, and the linear decoder that cuts the plane into classes.

    ``positions``: "x,y,sx,sy,class" of each image, mean, scale and class; ``decoder``: "wx,wy,b" of each class.
    """
    if vib.code != 2:
        return []
    x, y = (part[:POSITIONS] for part in probe.test)
    lines = torch.cat([*vib.encode(x), y[:, None]], 1).tolist()
    last = vib.decoder.get_submodule(vib.decoder.layers[-1])
    planes = torch.cat([last.weight, last.bias[:, None]], 1).tolist()
    texts = {
        "positions": " ".join(",".join(f"{v:.4g}" for v in line) for line in lines),
        "decoder": " ".join(",".join(f"{v:.5g}" for v in line) for line in planes),
    }
    return [("code", name, None, None, None, text) for name, text in texts.items()]
