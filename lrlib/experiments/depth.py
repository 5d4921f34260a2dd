"""How near trained ReLU networks of depth 2 to 12 come to the low-rank bounds for minimum-norm networks.

Even digits against odd ones, labels -1 and 1, one output, no biases, mean squared error: the setting of Timor, Vardi &
Shamir 2023 (arXiv 2201.12760), but for the optimum, which training need not find. Images are scaled so that the
longest has norm 1. What is stored of every layer is enough to evaluate both sides of each bound.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product

import pandas as pd
import torch
from torch import Tensor, nn

from lrlib import data, runtime
from lrlib.jacobian import jacobian_spectra
from lrlib.nets import MLP
from lrlib.rank import count_above, mean_and_stderr, stable_rank
from lrlib.theory import count_bound, energy_bound
from lrlib.train import log_steps, train

THRESHOLDS = (0.01, 0.1, 1.0)
SHOWN = 8  # inputs that the progress bar's local ranks are taken at


@dataclass(frozen=True)
class Config:
    """What is run: every combination of ``seeds``, ``depths`` and ``weight_decays``; a seed sets weights and batches."""

    seeds: tuple[int, ...]
    depths: tuple[int, ...]
    weight_decays: tuple[float, ...]
    steps: int
    width: int = 64
    lr: float = 0.1
    batch_size: int = 128
    probes: int = 64


CONFIGS = {
    "quick": Config(seeds=(0,), depths=(2, 6), weight_decays=(0.0, 1e-2), steps=3_000),
    "full": Config(
        seeds=(0, 1, 2, 3, 4), depths=(2, 3, 4, 6, 8, 10, 12), weight_decays=(0.0, 1e-3), steps=30_000
    ),
}


def task(split: str = "train") -> tuple[Tensor, Tensor]:
    """Return the digits, scaled by the longest of the training images, (n, 64), and 1 for odd, -1 for even, (n, 1)."""
    digits = data.load("digits", split=split)
    longest = data.load("digits").x.norm(dim=1).max()
    return digits.x / longest, (2.0 * (digits.y % 2) - 1)[:, None]


def train_one(config: Config, *, seed: int, depth: int, weight_decay: float) -> MLP:
    """Train one network of the configuration and return it, on the CPU."""
    x, y = task()
    generator, where = runtime.generator(seed), runtime.device()
    widths = [x.shape[1], *[config.width] * (depth - 1), 1]
    net = MLP(widths, bias=False, init="he", generator=generator).to(where)
    shown = task("test")[0][:SHOWN].to(where)
    train(
        net,
        x.to(where),
        y.to(where),
        steps=config.steps,
        lr=config.lr,
        batch_size=config.batch_size,
        weight_decay=weight_decay,
        loss="mse",
        generator=generator,
        measure=lambda now: [
            count_above(s, 0.1).double().mean() for s in jacobian_spectra(now, shown).values
        ],
        checkpoints=log_steps(config.steps, 10),
        show=lambda ranks: f"rank {' '.join(f'{rank:.0f}' for rank in ranks)}",
        label=f"depth {depth}, seed {seed}, weight decay {weight_decay:g}",
    )
    return net.cpu()


def cells(config: Config) -> list[tuple[str, Callable[[], pd.DataFrame]]]:
    """Return the experiment's independent cells for :func:`lrlib.store.run_cells`: one network each."""
    return [
        (f"seed{seed}-depth{depth}-decay{decay:g}", partial(_cell, config, seed, depth, decay))
        for seed, depth, decay in product(config.seeds, config.depths, config.weight_decays)
    ]


def table(net: MLP, *, probes: int) -> pd.DataFrame:
    """Return one tidy row for every layer, reading and threshold of a trained network.

    Readings of a layer: ``frobenius``, ``operator`` and ``stable`` of W_l; at every threshold the counts ``weight`` of
    W_l, ``product`` and ``energy``, the bounds of :mod:`lrlib.theory`, and the local ranks ``absolute`` and
    ``relative`` with their standard errors. Readings of the network: ``loss``, ``margin`` (the least y f(x)) and
    ``gain`` (the largest size of f(x) over the norm of x) over the training set, ``train_accuracy`` and ``test_accuracy``.
    """
    rows = _network_rows(net)
    weights = [net.get_submodule(name).weight.detach().double() for name in net.layers]
    inputs = task("test")[0]
    chosen = torch.randperm(len(inputs), generator=runtime.generator(0))[:probes]
    spectra = jacobian_spectra(net, inputs[chosen])
    products = {eps: count_bound(weights, eps) for eps in THRESHOLDS}
    energies = {eps: energy_bound(weights, eps) for eps in THRESHOLDS}
    for l, (name, weight) in enumerate(zip(net.layers, weights, strict=True)):
        s = torch.linalg.svdvals(weight)
        rows += [
            (name, "frobenius", None, s.norm().item(), None),
            (name, "operator", None, s[0].item(), None),
            (name, "stable", None, stable_rank(s).item(), None),
        ]
        for eps in THRESHOLDS:
            rows += [
                (name, "weight", eps, float(count_above(s, eps)), None),
                (name, "product", eps, float(products[eps][l]), None),
                (name, "energy", eps, energies[eps][l].item(), None),
            ]
            for reading, relative in (("absolute", False), ("relative", True)):
                mean, stderr = mean_and_stderr(count_above(spectra[name], eps, relative=relative))
                rows.append((name, reading, eps, mean.item(), stderr.item()))
    return pd.DataFrame(rows, columns=["layer", "reading", "eps", "mean", "stderr"])


def _cell(config: Config, seed: int, depth: int, weight_decay: float) -> pd.DataFrame:
    net = train_one(config, seed=seed, depth=depth, weight_decay=weight_decay)
    frame = table(net, probes=config.probes)
    for place, (name, value) in enumerate((("seed", seed), ("depth", depth), ("weight_decay", weight_decay))):
        frame.insert(place, name, value)
    return frame


@torch.no_grad()
def _network_rows(net: nn.Module) -> list[tuple]:
    (x, y), (test_x, test_y) = task(), task("test")
    f = net(x)
    readings = {
        "loss": (f - y).square().mean(),
        "margin": (y * f).min(),
        "gain": (f.abs()[:, 0] / x.norm(dim=1)).max(),
        "train_accuracy": (y * f > 0).double().mean(),
        "test_accuracy": (test_y * net(test_x) > 0).double().mean(),
    }
    return [("network", name, None, value.item(), None) for name, value in readings.items()]
