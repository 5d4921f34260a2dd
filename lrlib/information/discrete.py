"""Information of discrete variables: exact from a table of probabilities, estimated from labels."""

import math
from typing import Any, Literal

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from lrlib import _checks
from lrlib.information import checks
from lrlib.information.estimate import Estimate

ROUNDING = 1e-6  # how far a table's sum may be from 1: float32 sums of millions of entries stay within it
CORRECTIONS = ("none", "miller-madow", "jackknife")
Correction = Literal["none", "miller-madow", "jackknife"]


def table_entropy(p: Float[Tensor, "..."]) -> float:
    """Return the entropy -sum p ln p of a table of probabilities of any shape, in nats.

    Raises ``TypeError`` or ``ValueError`` unless ``p`` is a float tensor, finite, nowhere negative, and sums to 1
    within 1e-6.

    >>> print(f"{table_entropy(torch.tensor([0.5, 0.5, 0.0])):.4f}")
    0.6931
    """
    return torch.special.entr(_table("p", p)).sum().item()


def table_mi(joint: Float[Tensor, "n_x n_y"]) -> float:
    """Return I(X; Y) = sum p(x, y) ln [p(x, y) / p(x) p(y)] of a joint table, in nats, exact but for rounding.

    Raises as :func:`table_entropy` does, and unless ``joint`` is a matrix.

    >>> print(f"{table_mi(torch.tensor([[0.5, 0.0], [0.0, 0.5]])):.4f}")
    0.6931
    """
    if isinstance(joint, Tensor) and joint.ndim != 2:
        raise ValueError(
            f"joint: shape is {tuple(joint.shape)}; must be a matrix, (values of x, values of y)"
        )
    p = _table("joint", joint)
    margins = torch.xlogy(p, p.sum(1, keepdim=True)) + torch.xlogy(p, p.sum(0, keepdim=True))
    return max(0.0, (torch.xlogy(p, p) - margins).sum().item())  # rounding only: this is a divergence


def discrete_entropy(x: Int[Tensor, "n"], *, correction: Correction = "none") -> Estimate:
    """Return an estimate of the entropy of ``n`` integer labels, in nats.

    With N labels, of which the values occur n_1, ..., n_m times (m counts those that occur):

    - ``"none"``: the plug-in H = -sum (n_k/N) ln (n_k/N). It is too small, by about (m - 1)/2N.
    - ``"miller-madow"``: that is added (Miller 1955).
    - ``"jackknife"``: N H - (N - 1) mean_i H_{-i}, with H_{-i} the plug-in without label i (Zahl 1977). In closed
      form N ln N - (N - 1) ln(N - 1) - sum (n_k/N) [n_k ln n_k - (n_k - 1) ln(n_k - 1)].

    ``cap`` is the value when no label occurs twice: ln N, ln N + (N - 1)/2N, and N ln N - (N - 1) ln(N - 1), and
    no other labels reach it. ``stderr`` is that of the plug-in: the standard deviation of -ln(n_k/N) over the labels,
    over sqrt(N) (delta method), but at least sqrt((m - 1)/2)/N, its spread where all values are equally likely.

    Raises ``TypeError`` unless ``x`` is a tensor of integers, ``ValueError`` unless it has shape (n,) with n >= 2, and
    for an unknown ``correction``.

    >>> found = discrete_entropy(torch.tensor([0, 0, 1, 1]))
    >>> print(f"{found.value:.4f}, at most {found.cap:.4f}")
    0.6931, at most 1.3863
    """
    _checks.one_of("correction", correction, CORRECTIONS)
    counts, of_row = _counts(_labels("x", x))
    n, surprise = len(x), math.log(len(x)) - counts.log()
    value = _entropy(counts, correction)
    stderr = max(_delta(surprise[of_row]), math.sqrt((len(counts) - 1) / 2) / n)
    return Estimate(value, stderr, "estimate", _method(correction), n, _cap(n, correction))


def discrete_mi(x: Int[Tensor, "n"], y: Int[Tensor, "n"], *, correction: Correction = "none") -> Estimate:
    """Return an estimate of I(X; Y) = H(X) + H(Y) - H(X, Y) from ``n`` pairs of integer labels, in nats.

    Each of the three entropies is estimated with ``correction`` (:func:`discrete_entropy`). The plug-in is too large:
    if x and y are independent, by about (m_x - 1)(m_y - 1)/2n where all pairs of values occur. The corrections take
    that off, and may then go below zero; none of them helps where most pairs occur only once.

    ``cap`` is that of the entropy, which I(X; Y) cannot exceed either. ``stderr`` is that of the plug-in: the standard
    deviation of ln [p(x, y) / p(x) p(y)] over the pairs, over sqrt(n) (delta method), but at least sqrt(f/2)/n with
    f = m_xy - m_x - m_y + 1, m_xy the number of pairs of values that occur: where all occur, f is (m_x - 1)(m_y - 1)
    and that is its spread for independent x and y.

    Raises as :func:`discrete_entropy` does, and ``ValueError`` where x and y differ in length.

    >>> x = torch.tensor([0, 0, 1, 1])
    >>> print(f"{discrete_mi(x, 1 - x).value:.4f}")
    0.6931
    """
    _checks.one_of("correction", correction, CORRECTIONS)
    x, y = _labels("x", x), _labels("y", y)
    checks.same_length(x, y)
    n = len(x)
    tables = [_counts(x), _counts(y)]
    code = tables[0][1] * len(tables[1][0]) + tables[1][1]  # one number for each pair of values
    tables.append(_counts(code))
    value = sum(
        sign * _entropy(counts, correction) for sign, (counts, _) in zip((1, 1, -1), tables, strict=True)
    )
    surprise_x, surprise_y, surprise_both = (math.log(n) - counts.log()[of_row] for counts, of_row in tables)
    m_x, m_y, m_xy = (len(counts) for counts, _ in tables)
    freedom = max(0, m_xy - m_x - m_y + 1)
    stderr = max(_delta(surprise_x + surprise_y - surprise_both), math.sqrt(freedom / 2) / n)
    if correction == "none":
        value = max(0.0, value)  # rounding only: this is a divergence
    return Estimate(value, stderr, "estimate", _method(correction), n, _cap(n, correction))


def _table(name: str, value: Any) -> Float64[Tensor, "..."]:
    """Return a table of probabilities in float64, with sum 1 but for rounding; raise where it is none."""
    _checks.real_floating(name, value)
    if value.numel() == 0:
        raise ValueError(f"{name}: shape is {tuple(value.shape)}; must not be empty")
    _checks.finite(name, value)
    value = value.detach().double()
    if (value < 0).any():
        raise ValueError(f"{name}: its smallest entry is {value.min():g}; probabilities are not negative")
    total = value.sum().item()
    if abs(total - 1) > ROUNDING:
        raise ValueError(f"{name}: sums to {total:.9g}; must sum to 1, within {ROUNDING:g}")
    return value / total


def _labels(name: str, value: Any) -> Int[Tensor, "n"]:
    if not isinstance(value, Tensor):
        raise TypeError(f"{name}: must be a torch.Tensor, not {type(value).__name__}")
    if value.is_floating_point() or value.is_complex() or value.dtype == torch.bool:
        raise TypeError(f"{name}: dtype is {value.dtype}; must be integers, one label a sample")
    if value.ndim != 1 or len(value) < 2:
        raise ValueError(f"{name}: shape is {tuple(value.shape)}; must be (n,) with n >= 2")
    return value.detach().to("cpu", torch.int64)


def _counts(labels: Int[Tensor, "n"]) -> tuple[Float64[Tensor, "m"], Int[Tensor, "n"]]:
    """Return how often each value occurs, and which of them each sample has."""
    _, of_row, counts = labels.unique(return_inverse=True, return_counts=True)
    return counts.double(), of_row


def _entropy(counts: Float64[Tensor, "m"], correction: Correction) -> float:
    n = counts.sum().item()
    if correction == "jackknife":
        steps = torch.xlogy(counts, counts) - torch.xlogy(counts - 1, counts - 1)
        return _cap(int(n), correction) - (counts * steps).sum().item() / n
    plug_in = torch.special.entr(counts / n).sum().item()
    return plug_in + ((len(counts) - 1) / (2 * n) if correction == "miller-madow" else 0.0)


def _cap(n: int, correction: Correction) -> float:
    """Return the entropy that is estimated when no label occurs twice."""
    if correction == "jackknife":
        return n * math.log(n) - (n - 1) * math.log(n - 1)
    return math.log(n) + ((n - 1) / (2 * n) if correction == "miller-madow" else 0.0)


def _delta(terms: Float64[Tensor, "n"]) -> float:
    return terms.std().item() / math.sqrt(len(terms))


def _method(correction: Correction) -> str:
    return "plug-in" if correction == "none" else f"plug-in, {correction}"
