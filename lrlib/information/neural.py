"""Bounds that a network learns: InfoNCE and NWJ, trained on one part of the sample and measured on another.

Both train a critic f(x, y) that is to be large for pairs that belong together. Whatever the critic is, the bound holds;
a good one makes it tight. The critic is separable, f(x, y) = g(x) . h(y) with two small MLPs, so that the B^2 pairs of a
batch cost 2B passes through them. Training is in float32, the result is measured in float64, on the CPU.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lrlib import _checks, runtime
from lrlib.information import checks
from lrlib.information.estimate import Estimate

EMBEDDING = 32  # entries of g(x) and h(y)
VALIDATION_SHARE = 0.2  # of what is not the test part
CHECK_EVERY = 50  # steps between two looks at the validation part
SMALLEST_PART = 4  # pairs, at least, in the training, the validation and the test part
NWJ_BATCH = 2048  # pairs at most whose square NWJ is measured on at once: 32 MB


def infonce_mi(
    x: Float[Tensor, "n d_x"],
    y: Float[Tensor, "n d_y"],
    *,
    batch_size: int = 256,
    hidden: tuple[int, ...] = (128, 128),
    steps: int = 2000,
    lr: float = 1e-3,
    test_share: float = 0.3,
    patience: int = 10,
    generator: torch.Generator | None = None,
) -> Estimate:
    """Return the InfoNCE lower bound on I(X; Y) in nats (van den Oord, Li & Vinyals 2018, arXiv 1807.03748).

    mean_i [ f(x_i, y_i) - ln mean_j exp f(x_i, y_j) ] over a batch: how well the critic finds the partner of x_i among
    the B values of y. It cannot exceed ln B, with B the smaller of ``batch_size`` and the test part.

    Args:
        x, y: float32 or float64, n rows each.
        batch_size: pairs of a training step, and of one measurement on the test part.
        hidden: widths of the hidden layers of each of the two networks.
        steps: training steps (Adam), at most.
        lr: learning rate.
        test_share: share of the pairs on which the result is measured, and which training never sees.
        patience: training stops after so many looks at the validation part, every 50 steps, without a new best;
            the critic of the best look is measured.
        generator: on the CPU; draws the parts, the initial weights and the batches. None: one seeded with 0.

    Each entry is first replaced by its normal score, the normal quantile of its rank in its column of the training
    part. A function of x alone, or of y alone, cannot raise the information, so the bound holds; and neither units nor
    heavy tails matter. Constant columns do no harm. The standard error is the infinitesimal jackknife over the pairs of
    the test part; it does not know how far the bound is from the truth, nor that another training would end elsewhere.
    The result depends on the arguments alone.

    Raises:
        TypeError, ValueError: for data that are not two finite float matrices of one length with enough rows for
            three parts, and for other arguments outside these rules.
        RuntimeError: if the bound on the test part is not finite.

    >>> x = torch.randn(2000, 1, generator=torch.Generator().manual_seed(0))
    >>> found = infonce_mi(x, x.square(), steps=100, batch_size=64)
    >>> found.kind, found.cap == math.log(64), found.value > 1
    ('lower bound', True, True)
    """
    course = _Course(batch_size, hidden, steps, lr, test_share, patience)
    return _trained("InfoNCE", _infonce, x, y, course, generator)


def nwj_mi(
    x: Float[Tensor, "n d_x"],
    y: Float[Tensor, "n d_y"],
    *,
    batch_size: int = 256,
    hidden: tuple[int, ...] = (128, 128),
    steps: int = 2000,
    lr: float = 1e-3,
    test_share: float = 0.3,
    patience: int = 10,
    generator: torch.Generator | None = None,
) -> Estimate:
    """Return the lower bound of Nguyen, Wainwright & Jordan (2010, arXiv 0809.0853) on I(X; Y) in nats.

    mean_i f(x_i, y_i) - mean_{i != j} exp(f(x_i, y_j) - 1), on the test part. It has no cap, but where the information
    is large its mean of exponentials hangs on pairs so rare that no sample holds them, and it spreads widely.
    Arguments, treatment of the data, standard error and errors are those of :func:`infonce_mi`.
    """
    course = _Course(batch_size, hidden, steps, lr, test_share, patience)
    return _trained("NWJ", _nwj, x, y, course, generator)


@dataclass(frozen=True)
class _Course:
    """How a critic is trained and measured; the arguments of :func:`infonce_mi`."""

    batch_size: int
    hidden: tuple[int, ...]
    steps: int
    lr: float
    test_share: float
    patience: int

    def __post_init__(self) -> None:
        _checks.integer("batch_size", self.batch_size, minimum=2)
        if not isinstance(self.hidden, tuple | list):
            raise TypeError(f"hidden={self.hidden!r}: must be a tuple of widths, one for each hidden layer")
        for i, width in enumerate(self.hidden):
            _checks.integer(f"hidden[{i}]", width, minimum=1)
        _checks.integer("steps", self.steps, minimum=1)
        _checks.number("lr", self.lr, exclusive=True)
        _checks.number("test_share", self.test_share, exclusive=True)
        _checks.integer("patience", self.patience, minimum=1)


Bound = Callable[[Float[Tensor, "b b"]], tuple[Tensor, Float[Tensor, "b"]]]  # of scores f(x_i, y_j)


def _infonce(scores: Float[Tensor, "b b"]) -> tuple[Tensor, Float[Tensor, "b"]]:
    """Return the bound of a batch, and the influence of each pair on it: as x_i, and as a y_j of the others."""
    log_ratios = scores.diagonal() - scores.logsumexp(1) + math.log(len(scores))
    bound = log_ratios.mean()
    return bound, log_ratios - bound - (scores.softmax(1).sum(0) - 1)


def _nwj(scores: Float[Tensor, "b b"]) -> tuple[Tensor, Float[Tensor, "b"]]:
    """Return the bound of a batch, and the influence of each pair on it: as x_i, and as a y_j of the others."""
    paired = torch.eye(len(scores), dtype=torch.bool)
    exponentials = (scores - 1).exp().masked_fill(paired, 0.0)
    as_x, as_y = (exponentials.sum(axis) / (len(scores) - 1) for axis in (1, 0))
    terms = scores.diagonal() - as_x - as_y
    return scores.diagonal().mean() - as_x.mean(), terms - terms.mean()


class _Critic(nn.Module):
    """f(x, y) = 1 + g(x) . h(y) / sqrt(32): near 1 at first, where NWJ is near 0. InfoNCE does not see the 1."""

    def __init__(self, d_x: int, d_y: int, hidden: tuple[int, ...], generator: torch.Generator) -> None:
        super().__init__()
        self.g = _mlp((d_x, *hidden, EMBEDDING), generator)
        self.h = _mlp((d_y, *hidden, EMBEDDING), generator)

    def forward(self, x: Float[Tensor, "b d_x"], y: Float[Tensor, "b d_y"]) -> Float[Tensor, "b b"]:
        return 1 + self.g(x) @ self.h(y).T / math.sqrt(EMBEDDING)


def _mlp(widths: tuple[int, ...], generator: torch.Generator) -> nn.Sequential:
    """Return a ReLU network, its weights and biases uniform within 1/sqrt(fan_in), PyTorch's default."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(widths):
        # skip_init: nn.Linear would draw from the global generator before we overwrite it
        layer = nn.utils.skip_init(nn.Linear, fan_in, fan_out, dtype=torch.float32)
        for parameter in (layer.weight, layer.bias):
            nn.init.uniform_(parameter, -1 / math.sqrt(fan_in), 1 / math.sqrt(fan_in), generator=generator)
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _trained(
    method: str, bound: Bound, x: Tensor, y: Tensor, course: _Course, generator: torch.Generator | None
) -> Estimate:
    """Split, train, measure: what both bounds share."""
    x, y = checks.samples("x", x), checks.samples("y", y)
    checks.same_length(x, y)
    generator = _checks.cpu_generator("generator", generator)
    train, validation, test = _parts(len(x), course.test_share, generator)
    x, y = _scores(x, train), _scores(y, train)
    critic = _Critic(x.shape[1], y.shape[1], course.hidden, generator)
    steps = _train(critic, bound, (x[train], y[train]), (x[validation], y[validation]), course, generator)
    size = _measured_at_once(bound, len(test), course)
    value, stderr = _measure(critic, bound, x[test], y[test], size)
    if not (math.isfinite(value) and math.isfinite(stderr)):
        raise RuntimeError(
            f"{method}: is {value} on the test part; lower lr={course.lr} or steps={course.steps}"
        )
    how = f"{method}, hidden layers {course.hidden}, best of {steps} steps, on {len(test)} held-out pairs"
    cap = math.log(size) if bound is _infonce else None
    return Estimate(value, stderr, "lower bound", how, len(x), cap)


def _parts(n: int, test_share: float, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Return the rows of the training, validation and test part, at random."""
    test = round(test_share * n)
    validation = round(VALIDATION_SHARE * (n - test))
    sizes = (n - test - validation, validation, test)
    if min(sizes) < SMALLEST_PART:
        raise ValueError(
            f"test_share={test_share}: parts the {n} pairs into {sizes} for training, validation and test; "
            f"each must hold at least {SMALLEST_PART}"
        )
    return torch.randperm(n, generator=generator).split(sizes)


def _scores(x: Float[Tensor, "n d"], train: Tensor) -> Float[Tensor, "n d"]:
    """Return the normal score of each entry: where it ranks among those of its column in the training part.

    The score is the normal quantile of (2 r + 1) / (2 m + 2), with r the mean of the numbers of the m training entries
    below it, and below or equal to it. It is a function of the entry alone, and one-to-one on distinct training entries.
    """
    kept, columns = x[train].T.contiguous().sort().values, x.T.contiguous()
    twice_r = torch.searchsorted(kept, columns) + torch.searchsorted(kept, columns, right=True)
    return torch.special.ndtri((twice_r + 1).double() / (2 * len(train) + 2)).T.float()


def _train(
    critic: _Critic,
    bound: Bound,
    train: tuple[Tensor, Tensor],
    validation: tuple[Tensor, Tensor],
    course: _Course,
    generator: torch.Generator,
) -> int:
    """Train the critic, leave it as it was at its best look at the validation part, and return the steps taken.

    A loss that is no longer finite ends training, too: the best critic so far still gives a bound.
    """
    optimiser = torch.optim.Adam(critic.parameters(), lr=course.lr, fused=True)
    size = _measured_at_once(bound, len(validation[0]), course)
    best, kept, since = _measure(critic, bound, *validation, size)[0], copy.deepcopy(critic.state_dict()), 0
    step = 0
    for step in runtime.progress(range(1, course.steps + 1), "training a critic"):
        rows = torch.randperm(len(train[0]), generator=generator)[: course.batch_size]
        with torch.enable_grad():  # whatever the caller has switched off
            loss = -bound(critic(train[0][rows], train[1][rows]))[0]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if not loss.isfinite():
            break
        if step % CHECK_EVERY == 0 or step == course.steps:
            found, since = _measure(critic, bound, *validation, size)[0], since + 1
            if found > best:
                best, kept, since = found, copy.deepcopy(critic.state_dict()), 0
            elif since >= course.patience:
                break
    critic.load_state_dict(kept)
    return step


def _measured_at_once(bound: Bound, n: int, course: _Course) -> int:
    """Return how many of n pairs make one square of scores: the batch for InfoNCE, equal parts for NWJ."""
    return min(course.batch_size, n) if bound is _infonce else n // math.ceil(n / NWJ_BATCH)


@torch.no_grad()
def _measure(critic: _Critic, bound: Bound, x: Tensor, y: Tensor, size: int) -> tuple[float, float]:
    """Return the bound, the mean over squares of ``size`` pairs, and its standard error over the pairs.

    Pairs left over, fewer than ``size``, are not used.
    """
    squares = zip(x.split(size), y.split(size), strict=True)
    found = [bound(critic(a, b).double()) for a, b in squares if len(a) == size]
    influences = torch.cat([influence for _, influence in found])
    value = torch.stack([of_square for of_square, _ in found]).mean().item()
    return value, (influences.square().mean() / (len(influences) - 1)).sqrt().item()
