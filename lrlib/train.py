"""One visible training loop. It is handed a model and arrays, and knows nothing of where they come from."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn
from torch.nn import functional as F

from lrlib import _checks, runtime

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


def log_steps(last: int, count: int = 30) -> tuple[int, ...]:
    """Return 0 and about ``count`` steps from 1 to ``last``, evenly spaced on a logarithmic axis, no doubles.

    >>> log_steps(1000, 4)
    (0, 1, 10, 100, 1000)
    """
    _checks.integer("last", last, minimum=1)
    _checks.integer("count", count, minimum=2)
    return (0, *sorted({round(step) for step in np.geomspace(1, last, count)}))


def train(
    net: nn.Module,
    x: Float[Tensor, "n *d"],
    y: Tensor,
    *,
    steps: int,
    lr: float,
    batch_size: int,
    generator: torch.Generator,
    loss: str = "cross_entropy",
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    decoupled: bool = False,
    measure: Callable[[nn.Module], Any] | None = None,
    checkpoints: Sequence[int] | None = None,
    label: str = "training",
    progress: bool = True,
) -> History:
    """Train ``net`` in place by mini-batch SGD and return its :class:`History`.

    Args:
        net: the model; it stays where it is, and x and y must be on its device.
        x, y: the data, (n, ...) and (n, ...): classes (int64) for cross-entropy, targets for MSE.
        steps: number of updates T, >= 1.
        lr: learning rate eta, > 0.
        batch_size: 1 to n; every epoch is a new order of the inputs, its incomplete last batch left out.
        generator: CPU generator that draws the order.
        loss: ``"cross_entropy"`` or ``"mse"`` (mean over inputs and outputs).
        momentum: heavy-ball momentum, 0 <= momentum < 1.
        weight_decay: lambda >= 0, on all parameters.
        decoupled: False adds lambda * w to the gradient, as ``torch.optim.SGD`` does, so that momentum sees
            it; True shrinks w by 1 - eta * lambda beside the step (Loshchilov & Hutter 2019). The two are the
            same without momentum.
        measure: called with ``net`` at each checkpoint; its results are the readings. Must not change net.
        checkpoints: increasing steps between 0 and ``steps``; default :func:`log_steps`.
        label, progress: the progress bar's words, and whether there is one.

    Raises:
        TypeError, ValueError: for an argument outside these rules.
        FloatingPointError: at the first loss that is NaN or infinite, naming the step; or if the last update left
            weights that are not finite.
    """
    due = _check(x, y, steps, lr, batch_size, loss, momentum, weight_decay, checkpoints)
    coupled_decay = 0.0 if decoupled else weight_decay
    optimiser = torch.optim.SGD(net.parameters(), lr=lr, momentum=momentum, weight_decay=coupled_decay)
    readings, losses = [], np.empty(steps)
    batches = _batches(x.shape[0], batch_size, generator, x.device)
    for step in runtime.progress(range(steps), label, show=progress):
        if measure is not None and step in due:
            readings.append(measure(net))
        rows = next(batches)
        outputs, targets = net(x[rows]), y[rows]
        if step == 0:
            _check_fit(outputs, targets, loss)
        batch_loss = LOSSES[loss](outputs, targets)
        losses[step] = batch_loss.item()
        if not np.isfinite(losses[step]):
            raise FloatingPointError(
                f"loss is {losses[step]} at step {step} of {steps}: training diverged; lr={lr} is too large "
                "for this network and data, or they hold values that are not finite"
            )
        optimiser.zero_grad()
        batch_loss.backward()
        if decoupled:
            _shrink(net, 1 - lr * weight_decay)
        optimiser.step()
    if not all(torch.isfinite(p).all() for p in net.parameters()):
        raise FloatingPointError(f"weights are not finite after step {steps}: lr={lr} is too large")
    if measure is not None and steps in due:
        readings.append(measure(net))
    return History(due if measure is not None else (), tuple(readings), losses)


def accuracy(net: nn.Module, x: Float[Tensor, "n *d"], y: Tensor) -> float:
    """Return the share of inputs whose largest output is at their class y, between 0 and 1."""
    with torch.no_grad():
        return (net(x).argmax(1) == y).double().mean().item()


@torch.no_grad()
def _shrink(net: nn.Module, factor: float) -> None:
    for parameter in net.parameters():
        parameter.mul_(factor)


def _batches(n: int, size: int, generator: torch.Generator, device: torch.device) -> Iterator[Tensor]:
    while True:
        order = torch.randperm(n, generator=generator).to(device)
        yield from order[: n - n % size].split(size)


def _check_fit(outputs: Tensor, targets: Tensor, loss: str) -> None:
    """Raise unless the loss means what it should for these; torch would broadcast, or fail in its own words."""
    if loss == "mse":
        if not targets.is_floating_point() or targets.shape != outputs.shape:
            raise ValueError(
                f"y: one batch is {targets.dtype} of shape {tuple(targets.shape)}; with loss='mse' it must be float "
                f"and of the outputs' shape, {tuple(outputs.shape)}"
            )
    elif targets.dtype != torch.int64 or targets.ndim != 1 or outputs.ndim != 2:
        raise ValueError(
            f"y: one batch is {targets.dtype} of shape {tuple(targets.shape)}; with loss='cross_entropy' it must be "
            f"int64 of shape (n,), and the outputs (n, classes), not {tuple(outputs.shape)}"
        )
    elif targets.min() < 0 or targets.max() >= outputs.shape[1]:
        raise ValueError(
            f"y: classes are {targets.min()} to {targets.max()}; must be 0 to {outputs.shape[1] - 1}, one an output"
        )


def _check(
    x: Tensor,
    y: Tensor,
    steps: int,
    lr: float,
    batch_size: int,
    loss: str,
    momentum: float,
    weight_decay: float,
    checkpoints: Sequence[int] | None,
) -> tuple[int, ...]:
    _checks.batch("x", x)
    if not isinstance(y, Tensor):
        raise TypeError(f"y: must be a torch.Tensor, not {type(y).__name__}")
    if y.shape[:1] != x.shape[:1]:
        raise ValueError(
            f"y: shape is {tuple(y.shape)}; must have one row for each of the {x.shape[0]} inputs"
        )
    _checks.integer("steps", steps, minimum=1)
    _checks.number("lr", lr, exclusive=True)
    _checks.integer("batch_size", batch_size, minimum=1, maximum=x.shape[0])
    _checks.one_of("loss", loss, LOSSES)
    _checks.number("momentum", momentum)
    if momentum >= 1:
        raise ValueError(f"momentum={momentum}: must be below 1")
    _checks.number("weight_decay", weight_decay)
    due = log_steps(steps) if checkpoints is None else tuple(checkpoints)
    for i, step in enumerate(due):
        _checks.integer(f"checkpoints[{i}]", step, minimum=0)
    if list(due) != sorted(set(due)) or not due or due[0] < 0 or due[-1] > steps:
        raise ValueError(
            f"checkpoints={list(due)}: must increase, from 0 at the least to steps={steps} at the most"
        )
    return due
