"""What is read off MLPs while they train: the same rows in every experiment's table.

A reading is one row: layer, reading, eps, mean, stderr, values. Of the whole network (layer "network"):

- ``train_loss``, ``test_loss``; with classes also ``train_accuracy``, ``test_accuracy``.

Of every layer, over the probe inputs, mean and standard error:

- ``absolute``, ``relative``, ``data-scaled``: local rank at each threshold eps; ``effective``, ``stable``: the ranks
  without one;
- ``active``: the share of its units whose slope is not zero (none for the last layer, which has no units).

Of every layer, one number:

- ``operator``: the operator norm of the weight matrix;
- ``within_class``: tr(covariance within classes) / tr(total covariance) of p_l over training inputs: 1 where classes
  have one mean, 0 where each class is one point. With classes only.

Of every layer, a list, at some checkpoints only, as text in ``values``:

- ``jacobian_spectrum``: ``i:sigma``, medians over the probes of the i-th singular value of J_l, at :func:`places`;
- ``weight_spectrum``: the same of W_l;
- ``input_sensitivity``: ``sqrt(E_x |dp_l/dx_i|^2)``, squares averaged over the cell, one number a cell of input coordinates.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F

from lrlib.jacobian import Spectra, jacobian_spectra
from lrlib.nets import MLP, MLPStack
from lrlib.rank import count_above, effective_rank, mean_and_stderr, stable_rank
from lrlib.train import History

COLUMNS = ("layer", "reading", "eps", "mean", "stderr", "values")
# From Gram matrices: singular values below 1e-4 sigma_1 are not told from zero, which no reading here asks for.
RESOLUTION = 1e-4
SENSITIVITY_PROBES = 32  # whole Jacobians are formed for it
FIRST = 10  # the first checkpoint after 0, or the last if training is shorter
CLASS_SAMPLE = 2_000  # training inputs that the spread within classes is taken over

Row = tuple[str, str, float | None, float | None, float | None, str | None]


@dataclass(frozen=True, eq=False)
class Probe:
    """What one network's readings are taken with.

    Attributes:
        inputs: (p, d), where Jacobians are taken.
        input_factor: (d, d), Sigma_x^{1/2} of the training inputs.
        train, test: inputs and targets, on the network's device.
        thresholds: of the readings ``absolute``, ``relative`` and ``data-scaled``.
        basis: (d, d) orthonormal columns, the coordinates of ``input_sensitivity``; None for those of x.
        cells: (d,) the cell of each coordinate, 0 and up.
    """

    inputs: Float[Tensor, "p d"]
    input_factor: Float[Tensor, "d d"]
    train: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]
    thresholds: dict[str, tuple[float, ...]]
    cells: Int64[Tensor, " d"]
    basis: Float[Tensor, "d d"] | None = field(default=None)


def measure(stack: MLPStack, probes: Sequence[Probe], *, lists: bool = True) -> list[list[Row]]:
    """Return the rows of every network of a stack; ``lists`` says whether those with ``values`` are among them."""
    return [rows(stack[m], probe, lists=lists) for m, probe in enumerate(probes)]


def measure_at(
    probes: Sequence[Probe], checkpoints: Sequence[int], with_lists: Sequence[int]
) -> Callable[[MLPStack], list[list[Row]]]:
    """Return what ``fit_many`` calls at the checkpoints in turn: :func:`measure`, with lists at some of them."""
    turns = iter(checkpoints)

    def at_next(stack: MLPStack) -> list[list[Row]]:
        return measure(stack, probes, lists=next(turns) in with_lists)

    return at_next


def spread_over(checkpoints: Sequence[int], count: int) -> tuple[int, ...]:
    """Return ``count`` of the checkpoints, evenly spaced among them; from two on, the first and the last included."""
    return tuple(checkpoints[round(i)] for i in np.linspace(0, len(checkpoints) - 1, count))


def rows(net: MLP, probe: Probe, *, lists: bool = True) -> list[Row]:
    """Return all readings of one network."""
    take = partial(jacobian_spectra, net, probe.inputs, resolution=RESOLUTION)
    spectra, scaled = take(), take(input_factor=probe.input_factor)
    found = [*_of_network(net, probe), *_of_weights(net), *_activity(net, probe.inputs)]
    found += [*_ranks(spectra, scaled, probe.thresholds), *_within_classes(net, *probe.train)]
    return found + (_lists(net, spectra, probe) if lists else [])


def table(histories: Sequence[History], runs: Sequence[dict]) -> pd.DataFrame:
    """Return the readings of several runs in one tidy table; ``runs`` name them: the first columns."""
    tables = []
    for history, run in zip(histories, runs, strict=True):
        lines = [
            (*run.values(), step, *row)
            for step, reading in zip(history.steps, history.readings, strict=True)
            for row in reading
        ]
        tables.append(pd.DataFrame(lines, columns=[*run, "step", *COLUMNS]))
    return pd.concat(tables, ignore_index=True)


def in_words(readings: Sequence[list[Row]]) -> str:
    """Return the newest readings of several networks for a progress bar: means of the loss and of one local rank.

    >>> in_words([[("network", "train_loss", None, 0.5, None, None), ("L1", "absolute", 0.1, 3.0, 0.0, None)]])
    'loss 0.5, rank L1 3.0'
    """
    losses = [row[3] for own in readings for row in own if row[1] == "train_loss"]
    ranks: dict[str, list[float]] = {}
    for own in readings:
        for layer, reading, eps, mean, *_ in own:
            if reading == "absolute" and eps == 0.1:
                ranks.setdefault(layer, []).append(mean)
    words = " ".join(f"{layer} {np.mean(means):.1f}" for layer, means in ranks.items())
    return f"loss {np.mean(losses):.3g}, rank {words}"


def places(count: int) -> list[int]:
    """Return which of ``count`` singular values are kept in a list: 1 to 16, and then about 16 more up to the last.

    >>> places(18), len(places(128)), places(128)[-3:]
    ([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18], 32, [98, 112, 128])
    """
    far = np.geomspace(17, count, 16).round().astype(int).tolist() if count > 16 else []
    return sorted({*range(1, min(count, 16) + 1), *far})


@torch.no_grad()
def _of_network(net: MLP, probe: Probe) -> list[Row]:
    found: list[Row] = []
    for split, (x, y) in (("train", probe.train), ("test", probe.test)):
        outputs = net(x)
        classes = y.dtype == torch.int64
        loss = F.cross_entropy(outputs, y) if classes else F.mse_loss(outputs, y)
        found.append(("network", f"{split}_loss", None, loss.item(), None, None))
        if classes:
            share = (outputs.argmax(1) == y).double().mean().item()
            found.append(("network", f"{split}_accuracy", None, share, None, None))
    return found


def _ranks(spectra: Spectra, scaled: Spectra, thresholds: dict[str, tuple[float, ...]]) -> list[Row]:
    found: list[Row] = []
    for layer in spectra.layers:
        s = spectra[layer]
        values = {("effective", None): effective_rank(s), ("stable", None): stable_rank(s)}
        for reading, levels in thresholds.items():
            counted = scaled[layer] if reading == "data-scaled" else s
            eps = torch.tensor(levels, dtype=torch.float64)
            counts = count_above(counted, eps, relative=reading == "relative")
            values |= {(reading, level): counts[:, e] for e, level in enumerate(levels)}
        for (reading, eps), value in values.items():
            mean, stderr = mean_and_stderr(value)
            found.append((layer, reading, eps, mean.item(), stderr.item(), None))
    return found


def _of_weights(net: MLP) -> list[Row]:
    found: list[Row] = []
    for name in net.layers:
        weight = net.get_submodule(name).weight.detach().double().cpu()
        found.append((name, "operator", None, torch.linalg.matrix_norm(weight, 2).item(), None, None))
    return found


def _activity(net: MLP, x: Float[Tensor, "p d"]) -> list[Row]:
    """Return the share of units with a slope; the slopes of layer l's units stand in the link of layer l + 1."""
    found: list[Row] = []
    for name, link in zip(net.layers, net.jacobian_chain(x)[1:], strict=False):
        mean, stderr = mean_and_stderr((link.slope != 0).double().mean(1))
        found.append((name, "active", None, mean.item(), stderr.item(), None))
    return found


@torch.no_grad()
def _within_classes(net: MLP, x: Tensor, y: Tensor) -> list[Row]:
    if y.dtype != torch.int64:
        return []
    x, y = x[:CLASS_SAMPLE], y[:CLASS_SAMPLE]
    members = F.one_hot(y).to(x.dtype)
    found: list[Row] = []
    for name, p in zip(net.layers, net.preactivations(x), strict=True):
        means = (members.T @ p) / members.sum(0).clamp_min(1)[:, None]
        within = (p - means[y]).square().sum()
        total = (p - p.mean(0)).square().sum()
        found.append((name, "within_class", None, (within / total).item() if total > 0 else 1.0, None, None))
    return found


def _lists(net: MLP, spectra: Spectra, probe: Probe) -> list[Row]:
    found: list[Row] = []
    sensitivity = _sensitivity(net, probe)
    for l, name in enumerate(net.layers):
        weight = net.get_submodule(name).weight.detach().double().cpu()
        lists = {
            "jacobian_spectrum": _spectrum_text(spectra[name].quantile(0.5, dim=0)),
            "weight_spectrum": _spectrum_text(torch.linalg.svdvals(weight)),
            "input_sensitivity": " ".join(f"{v:.3g}" for v in sensitivity[l].tolist()),
        }
        found += [(name, reading, None, None, None, text) for reading, text in lists.items()]
    return found


def _spectrum_text(s: Float[Tensor, " k"]) -> str:
    return " ".join(f"{i}:{s[i - 1].item():.3g}" for i in places(len(s)))


@torch.no_grad()
def _sensitivity(net: MLP, probe: Probe) -> list[Float[Tensor, " cells"]]:
    """Return sqrt(E |dp_l/dx_i|^2) of every layer, in float32: it is for pictures."""
    x = probe.inputs[:SENSITIVITY_PROBES]
    jacobian, found = None, []
    cells = probe.cells.to(x.device)
    sizes = torch.bincount(cells).to(x.dtype)
    for link in net.jacobian_chain(x):
        jacobian = link.weight[None] if jacobian is None else (link.weight * link.slope[:, None]) @ jacobian
        seen = jacobian if probe.basis is None else jacobian @ probe.basis.to(x)
        squares = seen.square().sum(1).mean(0)
        found.append((torch.zeros_like(sizes).index_add_(0, cells, squares) / sizes).sqrt().cpu())
    return found
