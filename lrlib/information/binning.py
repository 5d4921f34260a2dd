"""Information by counting bins: what most early papers on information in networks reported."""

import math
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from lrlib import _checks
from lrlib.information import checks
from lrlib.information.estimate import Estimate


def binned_mi(
    t: Float[Tensor, "n *d"],
    bins: int,
    *,
    y: Tensor | None = None,
    spacing: Literal["width", "mass"] = "width",
    limits: tuple[float, float] | None = None,
) -> Estimate:
    """Return the plug-in information of binned samples, in nats.

    Each coordinate of ``t`` is cut into ``bins`` bins, and a row becomes the tuple of its bins. With p the observed
    shares of these tuples:

    - without ``y``: the entropy H(bin(T)) = -sum p ln p. It is I(X; bin(T)) if T is a function of X and the n inputs
      differ, since each then has probability 1/n and fixes its bin. That is information about the bins, not about T.
    - with ``y``: sum p(t, y) ln(p(t, y) / p(t) p(y)).

    With many coordinates or narrow bins every row has a tuple of its own, and the answer is ln n, or H(Y), whatever
    the data: see ``cap``.

    Args:
        t: (n,) or (n, d).
        bins: number of bins of each coordinate, at least 1.
        y: (n,) integer labels, taken as they are, or floats, (n,) or (n, d_y), which are binned like ``t``.
        spacing: "width": bins of equal width, the same for all coordinates of a variable. "mass": each coordinate is
            cut at its own quantiles, so that bins hold n / bins rows each; equal values share a bin.
        limits: (low, high), the range of bins of equal width, for ``t`` and for a ``y`` of floats. None: each
            variable's own smallest and largest value. A value outside is refused: bins on [-1, 1] made for tanh
            say nothing of a ReLU. The range used is in the result's ``method``.

    Returns:
        An :class:`~lrlib.information.Estimate`. ``cap`` is the least of ln n, d ln(bins) and, with ``y``, the plug-in
        entropy of y. ``stderr`` is the standard deviation over rows of -ln p(t), or ln(p(t, y) / p(t) p(y)), over
        sqrt(n). It knows nothing of the bias, which is larger where bins hold few rows: the entropy comes out too
        small, the information with y too large.

    Raises:
        TypeError, ValueError: t (or y) has the wrong type or shape or is not finite, they differ in length, bins < 1,
            limits are no increasing pair, do not contain the values, or are given with spacing "mass".

    >>> t = torch.tensor([-0.9, -0.8, 0.1, 0.7])
    >>> found = binned_mi(t, 2, limits=(-1.0, 1.0))
    >>> print(f"{found.value:.4f}, {found.method}")  # two bins, two rows in each: ln 2
    0.6931, binning, 2 bins of equal width on [-1, 1]
    """
    _checks.integer("bins", bins, minimum=1)
    _checks.one_of("spacing", spacing, ("width", "mass"))
    _check_limits(limits, spacing)
    t = checks.samples("t", t, minimum=1)
    n = len(t)
    cells, ranges = _cells("t", t, bins, spacing, limits)
    method = f"binning, {bins} bins of equal {spacing}{ranges}"
    cap = min(math.log(n), t.shape[1] * math.log(bins))
    surprise = _surprise(cells)
    if y is None:
        return Estimate(float(surprise.mean()), _spread(surprise), "estimate", method, n=n, cap=cap)
    others, note = _other_cells(y, n, bins, spacing, limits)
    surprise_y = _surprise(others)
    terms = surprise + surprise_y - _surprise(cells * (int(others.max()) + 1) + others)
    value = max(0.0, float(terms.mean()))  # rounding only: this is a divergence
    cap = min(cap, float(surprise_y.mean()))
    return Estimate(value, _spread(terms), "estimate", method + note, n=n, cap=cap)


def _check_limits(limits: tuple[float, float] | None, spacing: str) -> None:
    if limits is None:
        return
    if spacing == "mass":
        raise ValueError(f"limits={limits}: must be None with spacing='mass', which cuts at quantiles")
    if not isinstance(limits, tuple | list) or len(limits) != 2:
        raise ValueError(f"limits={limits!r}: must be two numbers, (low, high)")
    for place, value in enumerate(limits):
        _checks.number(f"limits[{place}]", value, minimum=-math.inf)
    low, high = limits
    if not -math.inf < low < high:
        raise ValueError(f"limits={limits}: must be two finite numbers, the first below the second")


def _cells(
    name: str, value: Float[Tensor, "n d"], bins: int, spacing: str, limits: tuple[float, float] | None
) -> tuple[Int64[Tensor, " n"], str]:
    """Return for each row the number of its tuple of bins, and words for the range of the bins."""
    if spacing == "mass":
        digits = torch.stack([_by_mass(column, bins) for column in value.T], 1)
        ranges = ""
    else:
        low, high = limits or (float(value.min()), float(value.max()))
        outside = int(((value < low) | (value > high)).sum())
        if outside:
            raise ValueError(
                f"limits={limits}: {outside} of the {value.numel()} entries of {name} lie outside, from "
                f"{value.min():.6g} to {value.max():.6g}; must contain all of them"
            )
        inner = torch.linspace(low, high, bins + 1, dtype=torch.float64)[1:-1]
        # a bin holds its left edge and not its right one, but for the last, which holds both
        digits = torch.searchsorted(inner, value.contiguous(), right=True)
        ranges = f" on [{low:.6g}, {high:.6g}]"
    return digits.unique(dim=0, return_inverse=True)[1], ranges


def _by_mass(column: Float[Tensor, " n"], bins: int) -> Int64[Tensor, " n"]:
    """Return bins that hold n / bins of the values each; equal values share one."""
    n = len(column)
    ordered = column.sort().values
    edges = ordered[[i * n // bins for i in range(1, bins)]]
    return torch.searchsorted(edges, column.contiguous(), right=True)


def _other_cells(
    y: Tensor, n: int, bins: int, spacing: str, limits: tuple[float, float] | None
) -> tuple[Int64[Tensor, " n"], str]:
    """Return the cells of y, labels or binned floats, and words for them."""
    if not isinstance(y, Tensor):
        raise TypeError(f"y: must be a torch.Tensor, not {type(y).__name__}")
    if y.is_floating_point():
        y = checks.samples("y", y, minimum=1)
    elif y.is_complex() or y.ndim != 1:
        raise ValueError(f"y: is {y.dtype} of shape {tuple(y.shape)}; labels must be integers of shape (n,)")
    if len(y) != n:
        raise ValueError(f"y: has {len(y)} samples; must have {n}, as many as t")
    if y.is_floating_point():
        cells, ranges = _cells("y", y, bins, spacing, limits)
        return cells, f"; y likewise{ranges}"
    return y.cpu().unique(return_inverse=True)[1], "; y as labels"


def _surprise(cells: Tensor) -> Float[Tensor, " n"]:
    """Return -ln of each row's share of rows that have the same cell."""
    _, index, counts = cells.unique(return_inverse=True, return_counts=True)
    return (math.log(len(cells)) - counts.double().log())[index]


def _spread(terms: Float[Tensor, " n"]) -> float:
    """Return the standard error of the mean over rows (with n in place of n - 1: one row has spread zero)."""
    return float(terms.std(correction=0)) / math.sqrt(len(terms))
