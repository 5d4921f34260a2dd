"""Mutual information from nearest neighbours: Kraskov, Stögbauer & Grassberger (2004), both variants."""

import math
from typing import Literal

import torch
from jaxtyping import Float, Float64, Int64
from scipy.spatial import cKDTree
from scipy.special import digamma
from torch import Tensor

from lrlib import _checks
from lrlib.information import checks
from lrlib.information.estimate import Estimate

GROUPS = 10  # of the jackknife: its standard error is itself known to about 1 / sqrt(2 * 9), a quarter
ENOUGH = 2000  # rows for the jackknife, so that at n = 10,000 it costs no more than the estimate
# Coordinates of (x, y) from which all n^2 distances cost less than k-d trees, which then visit nearly every pair. At
# n = 10,000, distances against trees: 10 coordinates 4.8 s and 1.9 s, 20 coordinates 4.6 s and 9.7 s, 50 7.9 s and 39 s.
DENSE = 16
ROWS = 512  # of distances at a time: 3 blocks of 512 n numbers
JITTER = 1e-10  # standard deviations: far below any spacing that matters, far above float64's rounding


def ksg_mi(
    x: Float[Tensor, "n *d_x"],
    y: Float[Tensor, "n *d_y"],
    k: int = 3,
    *,
    variant: Literal[1, 2] = 1,
    ties: Literal["refuse", "jitter"] = "refuse",
    generator: torch.Generator | None = None,
) -> Estimate:
    """Return the estimate of I(X; Y), in nats, of Kraskov, Stögbauer & Grassberger from ``n`` pairs of samples.

    Distances are max-norms, between joint points the larger of ``|x_i - x_j|`` and ``|y_i - y_j|``. With eps_i the
    distance of joint point i to its k-th neighbour, and psi the digamma function (their equations 8 and 9):

    - variant 1: psi(k) + psi(n) - mean[psi(n_x + 1) + psi(n_y + 1)], n_x(i) the number of other points with
      ``|x_i - x_j| < eps_i``, strictly;
    - variant 2: psi(k) - 1/k + psi(n) - mean[psi(n_x) + psi(n_y)], n_x(i) the number with ``|x_i - x_j| <= eps_x``,
      the largest ``|x_i - x_j|`` among the k neighbours of i.

    Nothing is rescaled. For scalars x and y the unit of each hardly matters; for vectors the units of their
    coordinates do, although I(X; Y) itself does not depend on them: give coordinates comparable scales first.
    Smooth maps of x and of y alone leave I(X; Y) as it is, and the estimate only about: for two Gaussians with
    correlation 0.75 and n = 1000, x^3 + x and e^y lower it by a tenth.

    Neighbours come from k-d trees, or from all n^2 distances where x and y have 16 coordinates or more: trees then
    visit nearly all pairs anyway.

    The method needs densities, and values that repeat have none (labels, rounded numbers, the zeros of a ReLU).

    Args:
        x: (n,) or (n, d_x).
        y: (n,) or (n, d_y).
        k: which neighbour; small k has less bias and more spread.
        variant: 1 or 2.
        ties: "refuse" raises if in a column one value occurs more than ``k`` times. "jitter" adds normal noise of
            1e-10 standard deviations to every column, which lets the formula run; whether its answer then means
            something is for the caller to know.
        generator: draws the jitter and the groups of the standard error; None is one seeded with 0.

    Returns:
        An :class:`~lrlib.information.Estimate`. Its ``stderr`` is the jackknife's, sqrt(9/10 sum_g (I_g - mean)^2)
        over ten random groups, I_g the estimate without group g. Beyond 2000 samples that is done with 2000 of them
        and multiplied by sqrt(2000 / n). It errs upward: on Gaussians it is 1 to 1.8 times the spread. (The terms
        averaged above share neighbours: their spread over sqrt(n) is too small, by up to a half.) None where
        leaving a group out leaves k samples or fewer. ``cap`` is psi(n) - psi(k + 1): no
        sample of this size gives more unless distances repeat exactly (variant 1 then gives up to 1/k more, as for
        y = x). The bias begins far below it; the sample must grow as e^I to see I nats (Gao, Ver Steeg & Galstyan
        2015).

    Raises:
        TypeError, ValueError: x or y is no finite float tensor of one or two dimensions, they differ in length, a
            column is constant, n <= k, or there are ties and they are refused.

    >>> g = torch.Generator().manual_seed(0)
    >>> x, noise = torch.randn(2, 2000, generator=g, dtype=torch.float64)
    >>> found = ksg_mi(x, 0.8 * x + 0.6 * noise)  # the truth is -ln(0.6) = 0.511 nats
    >>> abs(found.value + math.log(0.6)) < 4 * found.stderr
    True
    """
    _checks.integer("k", k, minimum=1)
    _checks.one_of("variant", variant, (1, 2))
    _checks.one_of("ties", ties, ("refuse", "jitter"))
    x, y = checks.samples("x", x), checks.samples("y", y)
    checks.same_length(x, y)
    n = len(x)
    if n <= k:
        raise ValueError(f"k={k}: x and y have {n} samples; must be below the number of samples")
    for name, value in (("x", x), ("y", y)):
        checks.varying(name, value)
        if ties == "refuse":
            _refuse_ties(name, value, k)
    if ties == "refuse":
        _refuse_copies(x, y)
    generator = _checks.cpu_generator("generator", generator)
    if ties == "jitter":
        x, y = _jittered(x, generator), _jittered(y, generator)
    cap = _psi(n) - _psi(k + 1)
    method = f"KSG {variant}, k = {k}{', jitter' if ties == 'jitter' else ''}"
    value, stderr = _estimate(x, y, k, variant), _jackknife(x, y, k, variant, generator)
    return Estimate(value, stderr, "estimate", method, n=n, cap=cap)


def _refuse_ties(name: str, value: Float64[Tensor, "n d"], k: int) -> None:
    """Raise if some value fills more than k places of a column: its k-th neighbour there has distance zero.

    Fewer than that happen by chance among honest float32 numbers.
    """
    for column in range(value.shape[1]):
        counts = value[:, column].unique(return_counts=True)[1]
        tied = int(counts[counts > k].sum())
        if tied:
            raise ValueError(
                f"{name}: {tied} of the {len(value)} entries of column {column} have values that occur more than "
                f"k={k} times; KSG needs a density: use an estimator for discrete values, or ties='jitter'"
            )


def _refuse_copies(x: Float64[Tensor, "n d_x"], y: Float64[Tensor, "n d_y"]) -> None:
    """Raise if more than 1 % of the pairs repeat another: a pair that lies twice has itself for a neighbour."""
    copies = len(x) - len(torch.cat([x, y], 1).unique(dim=0))
    if copies > len(x) / 100:
        raise ValueError(
            f"x, y: {copies} of the {len(x)} pairs repeat another; must be distinct: resampled or repeated rows make "
            "KSG too large"
        )


def _jittered(value: Float64[Tensor, "n d"], generator: torch.Generator) -> Float64[Tensor, "n d"]:
    # centred, since 1e-10 of a small spread would be rounded away beside a large mean
    centred = value - value.mean(0)
    noise = torch.randn(value.shape, generator=generator, dtype=torch.float64)
    return centred + JITTER * centred.std(0) * noise


def _estimate(x: Float64[Tensor, "n d_x"], y: Float64[Tensor, "n d_y"], k: int, variant: int) -> float:
    counts = _dense_counts if x.shape[1] + y.shape[1] >= DENSE else _tree_counts
    within = torch.stack(counts(x, y, k, variant)).double()
    level = _psi(k) + _psi(len(x))
    if variant == 1:
        return level - float(torch.digamma(within + 1).sum(0).mean())
    return level - 1 / k - float(torch.digamma(within).sum(0).mean())


def _tree_counts(
    x: Float64[Tensor, "n d_x"], y: Float64[Tensor, "n d_y"], k: int, variant: int
) -> list[Int64[Tensor, " n"]]:
    """Return n_x and n_y, (n,) each: how many other points lie within each point's radius, by k-d trees."""
    joint = torch.cat([x, y], 1)
    # the nearest of all is the point itself (or a copy of it): the k-th neighbour is the (k + 1)-th found
    distances, nearest = (torch.from_numpy(a) for a in cKDTree(joint).query(joint, k=k + 1, p=math.inf))
    found = []
    for block in (x, y):
        if variant == 1:  # strictly nearer: at most the next number below
            radius = distances[:, -1].nextafter(torch.tensor(-math.inf, dtype=torch.float64))
        else:  # the point itself is among the k + 1, at distance zero: it does not change the largest
            radius = (block[nearest] - block[:, None]).abs().amax((1, 2))
        inside = cKDTree(block).query_ball_point(block, radius, p=math.inf, return_length=True)
        found.append(torch.from_numpy(inside) - 1)
    return found


def _dense_counts(
    x: Float64[Tensor, "n d_x"], y: Float64[Tensor, "n d_y"], k: int, variant: int
) -> list[Int64[Tensor, " n"]]:
    """Return the same from all n^2 distances, some rows at a time."""
    found: list[list[Tensor]] = [[], []]
    for start in range(0, len(x), ROWS):
        blocks = [torch.cdist(v[start : start + ROWS], v, p=math.inf) for v in (x, y)]
        distances, nearest = torch.maximum(*blocks).topk(k + 1, largest=False)
        for counts, block in zip(found, blocks, strict=True):
            if variant == 1:
                inside = block < distances[:, -1:]
            else:
                inside = block <= block.gather(1, nearest).amax(1, keepdim=True)
            counts.append(inside.sum(1) - 1)
    return [torch.cat(counts) for counts in found]


def _jackknife(
    x: Float64[Tensor, "n d_x"],
    y: Float64[Tensor, "n d_y"],
    k: int,
    variant: int,
    generator: torch.Generator,
) -> float | None:
    """Return the standard error that leaving out one random group after another shows."""
    order = torch.randperm(len(x), generator=generator)[:ENOUGH]  # rows may have been sorted
    if len(order) - math.ceil(len(order) / GROUPS) <= k:
        return None
    without = []
    for group in range(GROUPS):
        kept = order[torch.arange(len(order)) % GROUPS != group]
        without.append(_estimate(x[kept], y[kept], k, variant))
    scale = (GROUPS - 1) ** 2 / GROUPS * len(order) / len(x)  # torch's variance divides by GROUPS - 1
    return math.sqrt(scale * float(torch.tensor(without, dtype=torch.float64).var()))


def _psi(n: int) -> float:
    return float(digamma(n))
