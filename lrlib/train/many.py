"""The same loop for M models at once: their weights are stacked, so that one matrix product serves all of them."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int64
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
from lrlib.train.single import History

LOOK_EVERY = 100  # steps between looks at whether all losses are finite: each look waits for a GPU
ADAM_EPSILON = 1e-8  # torch's
OwnLosses = Callable[[nn.Module, Tensor, Tensor, Sequence[torch.Generator]], Float[Tensor, " M"]]


def fit_many(
    stack: nn.Module,
    x: Float[Tensor, "n *d"] | Sequence[Float[Tensor, "n *d"]],
    y: Tensor | Sequence[Tensor],
    *,
    steps: int,
    lr: float | Sequence[float],
    batch_size: int,
    generators: Sequence[torch.Generator],
    loss: str | OwnLosses = "cross_entropy",
    optimiser: str = "sgd",
    momentum: float | Sequence[float] = 0.0,
    adam_betas: tuple[float, float] = (0.9, 0.999),
    weight_decay: float | Sequence[float] = 0.0,
    decoupled: bool = False,
    schedule: Callable[[int], float] | None = None,
    average: AveragedModel | None = None,
    measure: Callable[[nn.Module], Sequence[Any]] | None = None,
    checkpoints: Sequence[int] | None = None,
    label: str = "training",
    progress: bool = True,
    show: Callable[[Sequence[Any]], str] | None = None,
) -> list[History]:
    """Train M models in place, as :func:`~lrlib.train.train` would each, and return their histories.

    Model m ends where ``train`` ends with its start, its data, its rates and ``generators[m]``, but for rounding:
    the sums are the same and run in another order. One path serves CPU and GPU.

    Args:
        stack: M models as one module: every parameter has a first axis of length M, and an input (M, n, ...)
            gives (M, n, ...). :class:`lrlib.nets.MLPStack` is one. It and the data must be on one device.
        x, y: the data, one tensor for all models, or a sequence of M of one shape, one for each.
        steps, batch_size, optimiser, adam_betas, decoupled, schedule, checkpoints: for all models, as in ``train``.
        loss: as in ``train``; a function of one's own gets the stack, x (M, B, ...), y (M, B, ...) and all
            generators, and returns the mean loss of each model's batch, (M,).
        lr, momentum, weight_decay: for all models, or M of them.
        generators: M CPU generators; the m-th draws the order of model m's data.
        average: a running average of the stack's weights, brought up to date after every update.
        measure: called with the stack at each checkpoint; returns M readings, and must not change the stack.
        label, progress: the progress bar's words, and whether there is one.
        show: what the bar says of the newest M readings, in words.

    Raises:
        TypeError, ValueError: for an argument outside these rules.
        FloatingPointError: if a loss or a final weight is NaN or infinite, naming step and model. Up to 100 more
            steps were made by then.
    """
    count = _checked_count(generators)
    rates = _checked_rates(count, lr, optimiser, momentum, weight_decay)
    inputs, first_input = _joined("x", x, count)
    targets, first_target = _joined("y", y, count)
    n = len(inputs) if isinstance(x, Tensor) else len(inputs) // count
    shared = isinstance(x, Tensor) and isinstance(y, Tensor)
    for i, pair in enumerate(_pairs(x, y, count)):
        check_data(*pair, where="" if shared else f"[{i}]")
    check_adam_betas(adam_betas)
    due = check_course(steps, batch_size, n, loss, checkpoints)
    _check_stack(stack, inputs, generators)
    check_averaged(average, stack)
    parameters = list(stack.parameters())
    update = (
        _AdamUpdate(parameters, rates, adam_betas, decoupled)
        if optimiser == "adam"
        else _Update(parameters, rates, decoupled)
    )
    readings: list[Sequence[Any]] = []
    losses = torch.empty(steps, count, device=inputs.device)  # MPS has no float64
    batches = _batches(n, batch_size, generators, inputs.device)
    bar = runtime.progress(range(steps), label, show=progress)
    for step in bar:
        if measure is not None and step in due:
            _check_losses(losses[:step], rates["lr"])
            readings.append(_measured(measure, stack, count))
            if show is not None:
                bar.set_postfix_str(show(readings[-1]))
        rows = next(batches)
        taken, wanted = _taken(inputs, rows + first_input), _taken(targets, rows + first_target)
        if callable(loss):
            batch_losses = loss(stack, taken, wanted, generators)
            check_own_loss(batch_losses, (count,))
        else:
            outputs = stack(taken)
            if step == 0:
                _check_outputs(outputs, rows.shape)
                check_fit(outputs.flatten(0, 1), wanted.flatten(0, 1), loss, all_targets=targets)
            batch_losses = _losses(outputs, wanted, loss)
        losses[step] = batch_losses.detach()
        gradients = torch.autograd.grad(batch_losses @ update.weights, update.parameters)
        update(gradients, rate_factor(schedule, step))
        if average is not None:
            average.update_parameters(stack)
        if (step + 1) % LOOK_EVERY == 0 or step + 1 == steps:
            _check_losses(losses[: step + 1], rates["lr"])
    for m in range(count):
        if not all(torch.isfinite(p[m]).all() for p in update.parameters):
            raise FloatingPointError(
                f"model {m}: weights are not finite after step {steps}: lr={rates['lr'][m]:g} is too large"
            )
    if measure is not None and steps in due:
        readings.append(_measured(measure, stack, count))
    of_each = zip(*readings, strict=True) if readings else [()] * count
    ends = losses.double().cpu().numpy().T
    kept = due if measure is not None else ()
    return [History(kept, tuple(own), end) for own, end in zip(of_each, ends, strict=True)]


class _Update:
    """The update of ``torch.optim.SGD``, with rates of its own for every model.

    The learning rates come in as the losses' weights: one product a model instead of one a parameter.

    Attributes:
        parameters: what is updated; each has a first axis of length M.
        weights: (M,), what the losses are to be multiplied with before they are differentiated.
    """

    def __init__(self, parameters: list[Tensor], rates: dict[str, list[float]], decoupled: bool) -> None:
        self.parameters, self._decoupled = parameters, decoupled
        self._heavy = any(rates["momentum"])
        self.weights = lr = parameters[0].new_tensor(rates["lr"])
        decay = lr * parameters[0].new_tensor(rates["weight_decay"])
        self._rates = [
            {
                "shrink": self._for(p, 1 - decay),
                "decay": self._for(p, decay),  # in units of the weighted gradient
                "momentum": self._for(p, p.new_tensor(rates["momentum"])),
            }
            for p in parameters
        ]
        self._velocity = [torch.zeros_like(p) for p in parameters] if self._heavy else []

    @torch.no_grad()
    def __call__(self, gradients: Sequence[Tensor], factor: float) -> None:
        """Make an update with the gradients of the weighted losses' sum; all learning rates are taken times ``factor``."""
        for i, (p, gradient, own) in enumerate(zip(self.parameters, gradients, self._rates, strict=True)):
            if self._decoupled or not self._heavy:  # plain SGD: the two kinds of decay are one
                p.mul_(own["shrink"] if factor == 1 else 1 - factor * own["decay"])
            else:
                gradient = gradient.addcmul(p, own["decay"])
            if self._heavy:
                gradient = self._velocity[i].mul_(own["momentum"]).add_(gradient)
            p.sub_(gradient, alpha=factor)

    @staticmethod
    def _for(parameter: Tensor, values: Float[Tensor, " M"]) -> Tensor:
        return values.view(-1, *[1] * (parameter.ndim - 1))


class _AdamUpdate:
    """The update of ``torch.optim.Adam`` or ``AdamW``, by them: one group if all models have the same rates, else one each.

    Attributes as of :class:`_Update`; the losses' weights are 1.
    """

    def __init__(
        self,
        parameters: list[Tensor],
        rates: dict[str, list[float]],
        betas: tuple[float, float],
        decoupled: bool,
    ) -> None:
        self.parameters = parameters
        self.weights = torch.ones_like(parameters[0].new_tensor(rates["lr"]))
        own = list(zip(rates["lr"], rates["weight_decay"], strict=True))
        self._each = len(set(own)) > 1
        # The same memory without a graph, so that their gradients can be set; one tensor a model if rates differ.
        leaves = [self._parts(p.detach()) for p in parameters]
        groups = [
            {"params": list(part), "lr": lr, "weight_decay": decay}
            for part, (lr, decay) in zip(zip(*leaves, strict=True), own, strict=False)
        ]
        kind = torch.optim.AdamW if decoupled else torch.optim.Adam
        self._leaves, self._rates = leaves, [group["lr"] for group in groups]
        self._optimiser = kind(groups, betas=betas, eps=ADAM_EPSILON, fused=True)

    def __call__(self, gradients: Sequence[Tensor], factor: float) -> None:
        """Make an update with the gradients of the losses' sum; all learning rates are taken times ``factor``."""
        for leaves, gradient in zip(self._leaves, gradients, strict=True):
            for leaf, part in zip(leaves, self._parts(gradient), strict=True):
                leaf.grad = part
        for group, lr in zip(self._optimiser.param_groups, self._rates, strict=True):
            group["lr"] = factor * lr
        self._optimiser.step()

    def _parts(self, stacked: Tensor) -> Sequence[Tensor]:
        return stacked.unbind() if self._each else [stacked]


def _batches(
    n: int, size: int, generators: Sequence[torch.Generator], device: torch.device
) -> Iterator[Int64[Tensor, "M B"]]:
    while True:
        order = torch.stack([torch.randperm(n, generator=g) for g in generators]).to(device)
        yield from order[:, : n - n % size].split(size, dim=1)


def _taken(values: Tensor, rows: Int64[Tensor, "M B"]) -> Tensor:
    """Return values[rows], (M, B, ...); index_select is several times as fast."""
    return values.index_select(0, rows.flatten()).view(*rows.shape, *values.shape[1:])


def _losses(outputs: Tensor, targets: Tensor, loss: str) -> Float[Tensor, " M"]:
    if loss == "mse":
        return F.mse_loss(outputs, targets, reduction="none").flatten(1).mean(1)
    each = F.cross_entropy(outputs.flatten(0, 1), targets.flatten(), reduction="none")
    return each.view(targets.shape).mean(1)


def _joined(name: str, values: Tensor | Sequence[Tensor], count: int) -> tuple[Tensor, Tensor | int]:
    """Return all rows in one tensor, and where model m's begin, (M, 1); 0 where all models share them."""
    if isinstance(values, Tensor):
        return values, 0
    if len(values) != count:
        raise ValueError(
            f"{name}: there are {len(values)}; must be one tensor for all models, or {count}, one for each generator"
        )
    for i, value in enumerate(values):
        if not isinstance(value, Tensor):
            raise TypeError(f"{name}[{i}]: must be a torch.Tensor, not {type(value).__name__}")
    shapes = [tuple(value.shape) for value in values]
    if len(set(shapes)) > 1:
        raise ValueError(f"{name}: shapes are {shapes}; must all be the same")
    dtypes = [value.dtype for value in values]
    if len(set(dtypes)) > 1:
        raise TypeError(f"{name}: dtypes are {dtypes}; must all be the same")
    starts = torch.arange(count, device=values[0].device)[:, None] * len(values[0])
    return torch.cat(list(values)), starts


def _pairs(
    x: Tensor | Sequence[Tensor], y: Tensor | Sequence[Tensor], count: int
) -> list[tuple[Tensor, Tensor]]:
    """Return every pair of data that some model learns, one where all learn the same."""
    if isinstance(x, Tensor) and isinstance(y, Tensor):
        return [(x, y)]
    xs, ys = ([v] * count if isinstance(v, Tensor) else v for v in (x, y))
    return list(zip(xs, ys, strict=True))


def _checked_count(generators: Sequence[torch.Generator]) -> int:
    """Return M."""
    if not isinstance(generators, Sequence):
        raise TypeError(f"generators: must be a sequence of M generators, not {type(generators).__name__}")
    for m, generator in enumerate(generators):
        check_generator(f"generators[{m}]", generator)
    if len(generators) == 0:
        raise ValueError("generators: there are none; must be one for each model")
    if len({id(g) for g in generators}) < len(generators):
        raise ValueError("generators: one stands there twice; each model must have its own")
    return len(generators)


def _checked_rates(
    count: int,
    lr: float | Sequence[float],
    optimiser: str,
    momentum: float | Sequence[float],
    weight_decay: float | Sequence[float],
) -> dict[str, list[float]]:
    """Return M of each rate."""
    rates = {}
    for name, value in (("lr", lr), ("momentum", momentum), ("weight_decay", weight_decay)):
        rates[name] = list(value) if isinstance(value, Sequence) else [value] * count
        if len(rates[name]) != count:
            raise ValueError(
                f"{name}: there are {len(rates[name])}; must be one number, or {count}, one for each generator"
            )
    for m in range(count):
        where = f"[{m}]" if any(isinstance(v, Sequence) for v in (lr, momentum, weight_decay)) else ""
        check_rates(rates["lr"][m], optimiser, rates["momentum"][m], rates["weight_decay"][m], where=where)
    return rates


def _check_stack(stack: nn.Module, inputs: Tensor, generators: Sequence[torch.Generator]) -> None:
    check_trainable("stack", stack, inputs)
    for name, parameter in stack.named_parameters():
        if parameter.shape[:1] != (len(generators),):
            raise ValueError(
                f"stack: the parameter {name} has shape {tuple(parameter.shape)}; its first axis must be the "
                f"{len(generators)} models, one for each generator"
            )


def _check_outputs(outputs: Tensor, rows: torch.Size) -> None:
    if outputs.shape[:2] != rows:
        raise ValueError(
            f"stack: its output has shape {tuple(outputs.shape)}; must be ({rows[0]} models, {rows[1]} inputs, ...)"
        )


def _check_losses(losses: Float[Tensor, "T M"], lr: list[float]) -> None:
    bad = (~torch.isfinite(losses)).nonzero()
    if len(bad):
        step, m = bad[0].tolist()
        raise FloatingPointError(
            f"model {m}: loss is {losses[step, m].item()} at step {step}: training diverged; lr={lr[m]:g} is too "
            "large for this network and data, or they hold values that are not finite"
        )


def _measured(measure: Callable[[nn.Module], Sequence[Any]], stack: nn.Module, count: int) -> Sequence[Any]:
    readings = measure(stack)
    if len(readings) != count:
        raise ValueError(f"measure: returned {len(readings)} readings; must be {count}, one for each model")
    return readings
