"""Weight decay: what it erases, what a layer still remembers of its batches, and the rank of a layer at rest."""

import math

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from lrlib import _checks


def decay_factor(steps: int, *, lr: float, weight_decay: float) -> float:
    """Return (1 - eta lambda)^t: what SGD leaves of a weight after t steps without gradient, no momentum.

    It lies between exp(-eta lambda t / (1 - eta lambda)) and exp(-eta lambda t). Raises ``TypeError`` or ``ValueError``
    for steps < 0, or unless 0 <= eta lambda < 1.

    >>> decay_factor(2, lr=0.5, weight_decay=0.2)
    0.81
    """
    _checks.integer("steps", steps, minimum=0)
    return (1 - _rate(lr, weight_decay)) ** steps


def remembered_rank(eps: float, *, norm: float, batch_size: int, lr: float, weight_decay: float) -> int:
    """Return a bound on how many singular values of a layer trained by SGD with decay exceed eps.

    A step adds a matrix of rank at most B, the batch size, and multiplies the rest by 1 - eta lambda. So k steps after
    its operator norm was at most ``norm``, W is within (1 - eta lambda)^k norm of a matrix of rank k B: at most k B of
    its singular values exceed that distance. It holds from step k on. Needs one row of inputs for each example of a
    batch, as a fully connected layer has; proved in Chapter 3, after Galanti, Siegel, Gupte & Poggio 2025 (arXiv 2206.05794).

    Args:
        eps: the threshold, > 0.
        norm: the largest operator norm that the layer has had, > 0.
        batch_size: B >= 1.
        lr, weight_decay: eta and lambda, both > 0, with eta lambda < 1; no momentum.

    Returns:
        k B, with the smallest k for which (1 - eta lambda)^k norm <= eps, up to rounding. It says something only
        where it is smaller than the layer.

    Raises:
        TypeError, ValueError: for an argument outside these rules.

    Example:
        >>> remembered_rank(0.1, norm=3.0, batch_size=1, lr=0.1, weight_decay=0.5)
        67
        >>> remembered_rank(0.1, norm=3.0, batch_size=32, lr=0.1, weight_decay=1e-3)
        1088352
    """
    _checks.number("eps", eps, exclusive=True)
    _checks.number("norm", norm, exclusive=True)
    _checks.integer("batch_size", batch_size, minimum=1)
    rate = _rate(lr, weight_decay)
    if rate == 0:
        raise ValueError(f"weight_decay={weight_decay}: must be above 0; without decay nothing is forgotten")
    return batch_size * max(0, math.ceil((math.log(norm) - math.log(eps)) / -math.log1p(-rate)))


def within_class_bound(
    features: Float[Tensor, "n n_prev"],
    signals: Float[Tensor, "n n_l"],
    labels: Int64[Tensor, " n"],
    *,
    weight: Float[Tensor, "n_l n_prev"],
    weight_decay: float,
) -> float:
    """Return a bound on sigma_{C+1}(W_l), C the number of classes, from how the features vary within classes.

    The loss's gradient is G = 1/n sum_i delta_i h_i^T. With each h_i replaced by the mean of its class it has rank at
    most C, and differs from G by E = 1/n sum_i delta_i (h_i - mean)^T. Hence, with R = G + lambda W, which is zero where
    training is at rest, sigma_{C+1}(W) <= (||R||_2 + ||E||_2) / lambda. No rest is assumed: R is measured. Proved in
    Chapter 3; the idea is that of Zangrando et al. 2024 (arXiv 2402.03991).

    Args:
        features: h_{l-1} at every training input, (n, n_prev).
        signals: delta_l = d loss_i / d p_l, the loss of input i differentiated, (n, n_l).
        labels: the class of every input, or of every cluster that is to be collapsed, (n,) int64.
        weight: W_l, (n_l, n_prev).
        weight_decay: lambda > 0.

    Raises:
        TypeError, ValueError: for an argument outside these rules.
    """
    h, delta, w = (
        _matrix(name, v) for name, v in (("features", features), ("signals", signals), ("weight", weight))
    )
    _checks.number("weight_decay", weight_decay, exclusive=True)
    if delta.shape[0] != h.shape[0] or w.shape != (delta.shape[1], h.shape[1]):
        raise ValueError(
            f"weight: shape is {tuple(w.shape)}; features {tuple(h.shape)} and signals {tuple(delta.shape)} need "
            f"one row for each input, and a weight of shape (n_l, n_prev)"
        )
    if not isinstance(labels, Tensor):
        raise TypeError(f"labels: must be a torch.Tensor, not {type(labels).__name__}")
    if labels.shape != (h.shape[0],) or labels.dtype != torch.int64:
        raise ValueError(f"labels: is {labels.dtype} {tuple(labels.shape)}; must be int64 ({h.shape[0]},)")
    spread = h - _class_means(h, labels)
    rest = delta.T @ h / len(h) + weight_decay * w
    error = delta.T @ spread / len(h)
    return ((torch.linalg.matrix_norm(rest, 2) + torch.linalg.matrix_norm(error, 2)) / weight_decay).item()


def _class_means(h: Float64[Tensor, "n d"], labels: Int64[Tensor, " n"]) -> Float64[Tensor, "n d"]:
    """Return for every row the mean of its class."""
    _, index = labels.unique(return_inverse=True)
    sums = torch.zeros(int(index.max()) + 1, h.shape[1], dtype=h.dtype, device=h.device).index_add_(
        0, index, h
    )
    return (sums / index.bincount()[:, None])[index]


def _matrix(name: str, value: Tensor) -> Float64[Tensor, "rows columns"]:
    _checks.matrix(name, value)
    return value.detach().double()


def _rate(lr: float, weight_decay: float) -> float:
    _checks.number("lr", lr, exclusive=True)
    _checks.number("weight_decay", weight_decay)
    if lr * weight_decay >= 1:
        raise ValueError(
            f"weight_decay={weight_decay}: times lr={lr} must be below 1, or each step overshoots zero"
        )
    return lr * weight_decay
