"""Checks of what a training loop is handed, shared by the loop for one model and the loop for many."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from lrlib import _checks

LOSSES = ("cross_entropy", "mse")
OPTIMISERS = ("sgd", "adam")


def log_steps(last: int, count: int = 30, *, first: int = 1) -> tuple[int, ...]:
    """Return 0 and about ``count`` steps from ``first`` to ``last``, evenly spaced on a log axis, no doubles.

    >>> log_steps(1000, 4)
    (0, 1, 10, 100, 1000)
    """
    _checks.integer("last", last, minimum=1)
    _checks.integer("count", count, minimum=2)
    _checks.integer("first", first, minimum=1, maximum=last)
    return (0, *sorted({round(step) for step in np.geomspace(first, last, count)}))


def check_fit(outputs: Tensor, targets: Tensor, loss: str, *, all_targets: Tensor) -> None:
    """Raise unless the loss means what it should for these; torch would broadcast, or fail in its own words.

    Classes must be outputs in all batches, so they are looked for among ``all_targets``.
    """
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
    elif all_targets.min() < 0 or all_targets.max() >= outputs.shape[1]:
        raise ValueError(
            f"y: classes are {all_targets.min()} to {all_targets.max()}; must be 0 to {outputs.shape[1] - 1}, "
            "one an output"
        )


def check_data(x: Tensor, y: Tensor, *, where: str = "") -> None:
    """Raise unless x is a batch and y has a row for each of its rows; ``where`` is put behind their names."""
    _checks.batch(f"x{where}", x)
    if not isinstance(y, Tensor):
        raise TypeError(f"y{where}: must be a torch.Tensor, not {type(y).__name__}")
    if y.shape[:1] != x.shape[:1]:
        raise ValueError(
            f"y{where}: shape is {tuple(y.shape)}; must have one row for each of the {x.shape[0]} inputs"
        )


def check_generator(name: str, value: Any) -> None:
    """Raise ``TypeError`` unless this is a CPU generator."""
    if not isinstance(value, torch.Generator):
        raise TypeError(f"{name}={value!r}: must be a torch.Generator, not {type(value).__name__}")
    if value.device.type != "cpu":
        raise TypeError(f"{name}: is on {value.device}; must be on the CPU, so that a seed means one order")


def check_trainable(name: str, net: Any, x: Tensor) -> None:
    """Raise unless this is a module with parameters, of the inputs' dtype and on their device."""
    if not isinstance(net, nn.Module):
        raise TypeError(f"{name}: must be a torch.nn.Module, not {type(net).__name__}")
    first = next(net.parameters(), None)
    if first is None:
        raise ValueError(f"{name}: has no parameters; there is nothing to train")
    if (first.dtype, first.device) != (x.dtype, x.device):
        raise TypeError(
            f"x: is {x.dtype} on {x.device}; must be as the parameters of {name}, {first.dtype} on {first.device}"
        )


def check_rates(lr: float, optimiser: str, momentum: float, weight_decay: float, *, where: str = "") -> None:
    """Raise unless these are rates that the optimiser takes."""
    _checks.one_of("optimiser", optimiser, OPTIMISERS)
    _checks.number(f"lr{where}", lr, exclusive=True)
    _checks.number(f"momentum{where}", momentum)
    if momentum >= 1:
        raise ValueError(f"momentum{where}={momentum}: must be below 1")
    if momentum and optimiser != "sgd":
        raise ValueError(f"momentum{where}={momentum}: must be 0 with optimiser={optimiser!r}")
    _checks.number(f"weight_decay{where}", weight_decay)


def check_adam_betas(betas: tuple[float, float]) -> None:
    """Raise unless these are two numbers from 0 to below 1."""
    if len(betas) != 2:
        raise ValueError(f"adam_betas={betas!r}: must be two numbers")
    for i, beta in enumerate(betas):
        _checks.number(f"adam_betas[{i}]", beta)
        if beta >= 1:
            raise ValueError(f"adam_betas[{i}]={beta}: must be below 1")


def check_averaged(average: Any, net: nn.Module) -> None:
    """Raise unless this is a running average of the network's weights, or None."""
    if average is None:
        return
    if not isinstance(average, AveragedModel):
        raise TypeError(
            f"average: must be a torch.optim.swa_utils.AveragedModel, not {type(average).__name__}"
        )
    shapes, own = ([tuple(p.shape) for p in module.parameters()] for module in (average.module, net))
    if shapes != own:
        raise ValueError(f"average: its parameters have shapes {shapes}; must be those of the network, {own}")


def rate_factor(schedule: Callable[[int], float] | None, step: int) -> float:
    """Return the factor on the learning rate at a step; raise unless it is a number >= 0."""
    if schedule is None:
        return 1.0
    factor = schedule(step)
    _checks.number(f"schedule({step})", factor)
    return float(factor)


def check_own_loss(value: Any, shape: tuple[int, ...]) -> None:
    """Raise unless what a loss of one's own returned is a floating tensor of this shape: () or (M,)."""
    if not isinstance(value, Tensor) or not value.is_floating_point() or value.shape != shape:
        seen = (
            f"{value.dtype} of shape {tuple(value.shape)}"
            if isinstance(value, Tensor)
            else type(value).__name__
        )
        raise ValueError(f"loss: returned {seen}; must return a floating tensor of shape {shape}")


def check_course(
    steps: int, batch_size: int, n: int, loss: str | Callable, checkpoints: Sequence[int] | None
) -> tuple[int, ...]:
    """Return the checkpoints; raise unless these describe a course of training on n inputs."""
    _checks.integer("steps", steps, minimum=1)
    _checks.integer("batch_size", batch_size, minimum=1, maximum=n)
    if not callable(loss):
        _checks.one_of("loss", loss, LOSSES)
    if not isinstance(checkpoints, Iterable | None):
        raise TypeError(f"checkpoints={checkpoints!r}: must be a sequence of integers, or None")
    due = log_steps(steps) if checkpoints is None else tuple(checkpoints)
    for i, step in enumerate(due):
        _checks.integer(f"checkpoints[{i}]", step, minimum=0)
    if list(due) != sorted(set(due)) or not due or due[-1] > steps:
        raise ValueError(
            f"checkpoints={list(due)}: must increase, from 0 at the least to steps={steps} at the most"
        )
    return due
