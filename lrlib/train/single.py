"""One visible training loop for one model."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel

from lrlib import runtime
from lrlib.train.checks import (
    check_adam_betas,
    check_averaged,
    check_course,
    check_data,
    check_fit,
    check_generator,
    check_own_loss,
    check_rates,
    check_trainable,
    rate_factor,
)
from lrlib.train.kept import Kept

OwnLoss = Callable[[nn.Module, Tensor, Tensor, torch.Generator], Tensor]
LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"cross_entropy": F.cross_entropy, "mse": F.mse_loss}


@dataclass(frozen=True)
class History:
    """What a training run left behind.

    Attributes:
        steps: the C checkpoints, in updates of the weights; 0 is before the first.
        readings: what ``measure`` returned at each of them, C objects.
        loss: (T,) float64, the mini-batch loss before each of the T updates.
    """

    steps: tuple[int, ...]
    readings: tuple[Any, ...]
    loss: Float64[np.ndarray, " T"]


def train(
    net: nn.Module,
    x: Float[Tensor, "n *d"],
    y: Tensor,
    *,
    steps: int,
    lr: float,
    batch_size: int,
    generator: torch.Generator,
    loss: str | OwnLoss = "cross_entropy",
    optimiser: str = "sgd",
    momentum: float = 0.0,
    adam_betas: tuple[float, float] = (0.9, 0.999),
    weight_decay: float = 0.0,
    decoupled: bool = False,
    schedule: Callable[[int], float] | None = None,
    average: AveragedModel | None = None,
    measure: Callable[[nn.Module], Any] | None = None,
    checkpoints: Sequence[int] | None = None,
    keep_in: str | Path | None = None,
    label: str = "training",
    progress: bool = True,
    show: Callable[[Any], str] | None = None,
) -> History:
    """Train ``net`` in place on mini-batches and return its :class:`History`.

    Args:
        net: the model; it stays where it is, and x and y must be on its device.
        x, y: the data, (n, ...) and (n, ...): classes (int64) for cross-entropy, targets for MSE.
        steps: number of updates T, >= 1.
        lr: learning rate eta, > 0.
        batch_size: 1 to n; every epoch is a new order of the inputs, its incomplete last batch left out.
        generator: CPU generator that draws the order, and whatever a loss of one's own draws.
        loss: ``"cross_entropy"`` or ``"mse"`` (mean over inputs and outputs), or a function of the network, a
            batch's x and y, and the generator, that returns the batch's mean loss, shape ().
        optimiser: ``"sgd"``, or ``"adam"`` with epsilon 1e-8 (Kingma & Ba 2015).
        momentum: heavy-ball momentum of SGD, 0 <= momentum < 1; must be 0 with Adam.
        adam_betas: how much Adam remembers of the mean gradient and of its square.
        weight_decay: lambda >= 0, on all parameters.
        decoupled: False adds lambda * w to the gradient, as ``torch.optim.SGD`` and ``Adam`` do, so that momentum
            and Adam's scaling see it; True shrinks w by 1 - eta * lambda beside the step (Loshchilov & Hutter
            2019; with Adam this is AdamW). The two are the same for SGD without momentum.
        schedule: step -> factor on ``lr`` at that update, 0 for the first.
        average: a running average of ``net``'s weights, brought up to date after every update.
        measure: called with ``net`` at each checkpoint; its results are the readings. Must not change net.
        checkpoints: increasing steps between 0 and ``steps``; default :func:`log_steps`.
        keep_in: a safetensors file in which training is kept about once a minute, between two epochs. Where it is
            there, the same call goes on from it and ends where it would have ended; it is removed after the last
            update. A file of another seed, shape or setting is refused; of another loss, schedule, data or start it is
            not told apart: name one file for each training. Readings are not kept, so ``measure`` must be None.
        label, progress: the progress bar's words, and whether there is one.
        show: what the bar says of the newest reading, in words.

    Raises:
        TypeError, ValueError: for an argument outside these rules.
        FloatingPointError: at the first loss that is NaN or infinite, naming the step; or if the last update left
            weights that are not finite.
    """
    check_data(x, y)
    check_trainable("net", net, x)
    check_generator("generator", generator)
    check_rates(lr, optimiser, momentum, weight_decay)
    check_adam_betas(adam_betas)
    check_averaged(average, net)
    due = check_course(steps, batch_size, x.shape[0], loss, checkpoints)
    if keep_in is not None and measure is not None:
        raise ValueError(
            "measure: must be None with keep_in: readings are not kept; measure when training is done"
        )
    optimise = _optimiser(net, optimiser, lr, momentum, adam_betas, weight_decay, decoupled)
    readings, losses = [], np.empty(steps)
    kept = None
    if keep_in is not None:
        course = {"steps": steps, "lr": lr, "batch_size": batch_size, "inputs": x.shape[0], "optimiser": optimiser,
                  "momentum": momentum, "adam_betas": list(adam_betas), "weight_decay": weight_decay,
                  "decoupled": decoupled}  # fmt: skip
        kept = Kept(Path(keep_in), course, net, optimise, generator, average)
    first = kept.restore(losses) if kept else 0
    batches = _batches(x.shape[0], batch_size, generator, x.device)
    bar = runtime.progress(range(first, steps), label, show=progress)
    for step in bar:
        if kept and step % (x.shape[0] // batch_size) == 0:  # the order of an epoch is drawn at its start
            kept.save_if_due(step, losses[:step])
        if measure is not None and step in due:
            readings.append(measure(net))
            if show is not None:
                bar.set_postfix_str(show(readings[-1]))
        rows = next(batches)
        if callable(loss):
            batch_loss = loss(net, x[rows], y[rows], generator)
            check_own_loss(batch_loss, ())
        else:
            outputs, targets = net(x[rows]), y[rows]
            if step == 0:
                check_fit(outputs, targets, loss, all_targets=y)
            batch_loss = LOSSES[loss](outputs, targets)
        losses[step] = batch_loss.item()
        if not np.isfinite(losses[step]):
            raise FloatingPointError(
                f"loss is {losses[step]} at step {step} of {steps}: training diverged; lr={lr} is too large "
                "for this network and data, or they hold values that are not finite"
            )
        optimise.zero_grad()
        batch_loss.backward()
        rate = lr * rate_factor(schedule, step)
        optimise.param_groups[0]["lr"] = rate
        if decoupled and optimiser == "sgd":  # AdamW does it itself
            _shrink(net, 1 - rate * weight_decay)
        optimise.step()
        if average is not None:
            average.update_parameters(net)
    if not all(torch.isfinite(p).all() for p in net.parameters()):
        raise FloatingPointError(f"weights are not finite after step {steps}: lr={lr} is too large")
    if measure is not None and steps in due:
        readings.append(measure(net))
    if kept:
        kept.discard()
    return History(due if measure is not None else (), tuple(readings), losses)


def accuracy(net: nn.Module, x: Float[Tensor, "n *d"], y: Tensor) -> float:
    """Return the share of inputs whose largest output is at their class y, between 0 and 1."""
    with torch.no_grad():
        return (net(x).argmax(1) == y).double().mean().item()


def _optimiser(
    net: nn.Module,
    name: str,
    lr: float,
    momentum: float,
    betas: tuple[float, float],
    weight_decay: float,
    decoupled: bool,
) -> torch.optim.Optimizer:
    if name == "adam":
        kind = torch.optim.AdamW if decoupled else torch.optim.Adam
        # fused: one pass over the weights
        return kind(net.parameters(), lr=lr, betas=betas, weight_decay=weight_decay, fused=True)
    coupled_decay = 0.0 if decoupled else weight_decay
    return torch.optim.SGD(net.parameters(), lr=lr, momentum=momentum, weight_decay=coupled_decay)


@torch.no_grad()
def _shrink(net: nn.Module, factor: float) -> None:
    for parameter in net.parameters():
        parameter.mul_(factor)


def _batches(n: int, size: int, generator: torch.Generator, device: torch.device) -> Iterator[Tensor]:
    while True:
        order = torch.randperm(n, generator=generator).to(device)
        yield from order[: n - n % size].split(size)
