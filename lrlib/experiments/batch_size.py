"""Does the batch size decide how low local rank falls? The experiment that tells two explanations apart.

If layers are of low rank because SGD with weight decay forgets all but its last batches, the rank should fall with
the batch size B, as B / (eta lambda) (Galanti, Siegel, Gupte & Poggio 2025, arXiv 2206.05794). If directions that
the loss does not need decay as exp(-eta lambda t), B should not matter. A 3-layer ReLU MLP learns a linear teacher of
rank 3; everything but B is held fixed, the number of steps included.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product

import pandas as pd
import torch
from torch import nn

from lrlib import runtime
from lrlib.data import TeacherData, gaussian_teacher
from lrlib.jacobian import jacobian_spectra
from lrlib.nets import MLP
from lrlib.rank import count_above, mean_and_stderr
from lrlib.train import log_steps, train

EPS = 0.1  # the threshold of both readings


@dataclass(frozen=True)
class Config:
    """What is run: every combination of ``seeds``, ``batch_sizes`` and ``weight_decays``.

    A seed sets the teacher, its data, the initial weights and the order of the batches.
    """

    seeds: tuple[int, ...]
    batch_sizes: tuple[int, ...]
    weight_decays: tuple[float, ...]
    steps: int
    n: int = 1_000
    teacher_rank: int = 3
    noise: float = 0.1
    hidden: tuple[int, ...] = (100, 100)
    lr: float = 0.1
    probes: int = 64
    checkpoints: int = 24


CONFIGS = {
    "quick": Config(seeds=(0,), batch_sizes=(4, 250), weight_decays=(5e-3,), steps=6_000),
    "full": Config(
        seeds=(0, 1, 2, 3, 4), batch_sizes=(4, 32, 250, 1_000), weight_decays=(0.0, 5e-3), steps=20_000
    ),
}


def task(config: Config, *, seed: int) -> TeacherData:
    """Return the data of one seed."""
    generator = runtime.generator(seed)
    return gaussian_teacher(config.n, rank=config.teacher_rank, noise=config.noise, generator=generator)


def cells(config: Config) -> list[tuple[str, Callable[[], pd.DataFrame]]]:
    """Return the experiment's independent cells for :func:`lrlib.store.run_cells`: one network each."""
    return [
        (f"seed{seed}-batch{size}-decay{decay:g}", partial(_cell, config, seed, size, decay))
        for seed, size, decay in product(config.seeds, config.batch_sizes, config.weight_decays)
    ]


def _cell(config: Config, seed: int, batch_size: int, weight_decay: float) -> pd.DataFrame:
    made, where = task(config, seed=seed), runtime.device()
    generator = runtime.generator(1_000 + seed)  # not the one that drew the data
    widths = [made.x.shape[1], *config.hidden, made.y.shape[1]]
    net = MLP(widths, generator=generator).to(where)
    x, y = made.x.to(where), made.y.to(where)
    history = train(
        net,
        x,
        y,
        steps=config.steps,
        lr=config.lr,
        batch_size=batch_size,
        weight_decay=weight_decay,
        loss="mse",
        generator=generator,
        measure=lambda now: _rows(now, x, y, config.probes),
        checkpoints=log_steps(config.steps, config.checkpoints),
        show=_in_words,
        label=f"batch size {batch_size}, seed {seed}, weight decay {weight_decay:g}",
    )
    rows = [
        (seed, batch_size, weight_decay, step, *row)
        for step, reading in zip(history.steps, history.readings, strict=True)
        for row in reading
    ]
    names = ["seed", "batch_size", "weight_decay", "step", "layer", "reading", "eps", "mean", "stderr"]
    return pd.DataFrame(rows, columns=names)


def _in_words(rows: list[tuple]) -> str:
    """Return the local ranks of one checkpoint for the progress bar."""
    ranks = [f"{layer} {mean:.1f}" for layer, reading, _, mean, _ in rows if reading == "absolute"]
    return f"rank {' '.join(ranks)}"


def _rows(net: nn.Module, x: torch.Tensor, y: torch.Tensor, probes: int) -> list[tuple]:
    """Return the rows of one checkpoint: the loss, and per layer the local ranks and the weight's operator norm."""
    with torch.no_grad():
        loss = (net(x) - y).square().mean().item()
    rows: list[tuple] = [("network", "loss", None, loss, None)]
    spectra = jacobian_spectra(net, x[:probes])
    for name, s in zip(spectra.layers, spectra.values, strict=True):
        for reading, relative in (("absolute", False), ("relative", True)):
            mean, stderr = mean_and_stderr(count_above(s, EPS, relative=relative))
            rows.append((name, reading, EPS, mean.item(), stderr.item()))
        weight = net.get_submodule(name).weight.detach().double()
        rows.append((name, "operator", None, torch.linalg.matrix_norm(weight, 2).item(), None))
    return rows
