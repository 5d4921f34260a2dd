"""Deep linear networks, W_L ... W_1: what gradient flow does to singular values, and what small weights mean."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Float64
from scipy.integrate import solve_ivp
from torch import Tensor

from lrlib import _checks

# Local error of the integrator, relative and absolute, in a = sigma^(1/L). Against an independent integrator paths
# are good to 1e-6 relative; the worst is a steep rise after a long plateau.
RTOL, ATOL = 1e-12, 1e-14


def balancedness(weights: Sequence[Float[Tensor, "n_out n_in"]]) -> list[Float64[Tensor, "n n"]]:
    """Return W_{j+1}^T W_{j+1} - W_j W_j^T for j = 1, ..., L - 1, in float64.

    Gradient flow of any loss of the product W_L ... W_1 keeps these matrices; with L2 decay lambda on every factor
    they shrink as exp(-2 lambda t) (without decay: Arora, Cohen & Hazan 2018, theorem 1; Du, Hu & Lee 2018).

    Raises ``ValueError`` unless there are two weights or more, each as wide as the one before is high.

    >>> import torch
    >>> [d.tolist() for d in balancedness([torch.tensor([[2.0]]), torch.tensor([[3.0]])])]
    [[[5.0]]]
    """
    _checks.chain("weights", weights, minimum=2)
    return [b.double().T @ b.double() - a.double() @ a.double().T for a, b in pairwise(weights)]


def deep_linear_path(
    target: Sequence[float] | Float[np.ndarray, " k"],
    times: Sequence[float] | Float[np.ndarray, " T"],
    *,
    depth: int,
    start: float,
    weight_decay: float = 0.0,
) -> Float64[np.ndarray, "T k"]:
    """Return the singular values of a deep linear network under gradient flow from an aligned, balanced start.

    The loss is 1/2 ||W_L ... W_1 - Y||_F^2 + lambda/2 sum_j ||W_j||_F^2, and every factor starts with the same
    singular values, in the singular directions of Y. Then the modes do not meet: with a = sigma^(1/L), each obeys
    a' = a^(L-1) (s - a^L) - lambda a, that is sigma' = L sigma^(2-2/L) (s - sigma) - L lambda sigma (Saxe,
    McClelland & Ganguli 2014; Arora et al. 2019, theorem 3). Depths 1 and 2 have closed forms, which are used;
    others are integrated (LSODA).

    Args:
        target: (k,) the singular values s of Y, >= 0; 0 is a direction that the loss does not need.
        times: (T,) when to read, >= 0 and not decreasing, in units of 1 / learning rate steps.
        depth: number of factors L, >= 1.
        start: sigma of every mode at time 0, > 0. At depth 2 and more a mode that starts at 0 stays there.
        weight_decay: lambda >= 0.

    Returns:
        (T, k) float64.

    Raises:
        TypeError, ValueError: for an argument outside these rules.

    Example:
        >>> deep_linear_path([2.0, 1.0], [0.0, 5.0, 50.0], depth=2, start=1e-3).round(3).tolist()
        [[0.001, 0.001], [2.0, 0.957], [2.0, 1.0]]
    """
    s, t = _path_arguments(target, times, depth, start, weight_decay)
    if depth == 1:
        end, rate = s / (1 + weight_decay), 1 + weight_decay
        return end + (start - end) * np.exp(-rate * t[:, None])
    if depth == 2:
        return _logistic(s - weight_decay, start, t[:, None])

    def velocity(_time: float, a: np.ndarray) -> np.ndarray:
        return a ** (depth - 1) * (s - a**depth) - weight_decay * a

    first = np.full_like(s, start ** (1 / depth))
    end = max(t[-1], 1e-6)  # LSODA does not return from an interval of hardly any length
    each, place = np.unique(t, return_inverse=True)  # solve_ivp takes no time twice
    solved = solve_ivp(velocity, (0.0, end), first, method="LSODA", t_eval=each, rtol=RTOL, atol=ATOL)
    if not solved.success:
        raise FloatingPointError(f"times up to {t[-1]:g}: the integration failed: {solved.message}")
    return np.maximum(solved.y.T[place], 0) ** depth  # a is positive, its rounding need not be


def _logistic(capacity: np.ndarray, start: float, t: np.ndarray) -> np.ndarray:
    """Solve sigma' = 2 sigma (c - sigma) from ``start``; c may be zero or negative."""
    # 1/sigma is linear: (1/sigma)' = 2 - 2 c (1/sigma). Written with e <= 1, so that nothing overflows.
    size = np.abs(capacity)
    e = np.exp(-2 * size * t)
    built = np.where(size == 0, 2 * t, -np.expm1(-2 * size * t) / np.where(size == 0, 1.0, size))
    falls = capacity < 0
    return np.where(falls, e, 1.0) / (np.where(falls, 1.0, e) / start + built)


def schatten_quasinorm(s: Float[Tensor, "*batch k"], p: float) -> Float64[Tensor, "*batch"]:
    """Return (sum_i sigma_i^p)^(1/p), float64: the Schatten-p norm, only a quasi-norm for p < 1.

    Args:
        s: singular values, (..., k), not negative, in any order.
        p: above 0. As p falls to 0 the sum under the root counts the sigma_i that are not zero.

    Raises ``TypeError`` or ``ValueError`` for a bad s or p.

    >>> import torch
    >>> schatten_quasinorm(torch.tensor([3.0, 4.0]), 2).item(), schatten_quasinorm(torch.tensor([4.0, 9.0]), 0.5).item()
    (5.0, 25.0)
    """
    _checks.spectrum("s", s)
    _checks.number("p", p, exclusive=True)
    return s.double().pow(p).sum(-1).pow(1 / p)


def least_factor_energy(s: Float[Tensor, "*batch k"], depth: int) -> Float64[Tensor, "*batch"]:
    """Return min sum_j ||W_j||_F^2 over all W_L ... W_1 = W with singular values s: L sum_i sigma_i^(2/L).

    So L2 regularisation of L wide enough factors is Schatten-2/L regularisation of their product (Shang, Liu &
    Cheng 2016; for L = 2 it is twice the nuclear norm). Raises ``TypeError`` or ``ValueError`` for a bad argument.

    >>> import torch
    >>> least_factor_energy(torch.tensor([8.0, 1.0]), 3).item()
    15.0
    """
    _checks.spectrum("s", s)
    _checks.integer("depth", depth, minimum=1)
    return depth * s.double().pow(2 / depth).sum(-1)


def _path_arguments(
    target: Sequence[float] | np.ndarray,
    times: Sequence[float] | np.ndarray,
    depth: int,
    start: float,
    weight_decay: float,
) -> tuple[np.ndarray, np.ndarray]:
    _checks.integer("depth", depth, minimum=1)
    _checks.number("start", start, exclusive=True)
    _checks.number("weight_decay", weight_decay)
    s, t = np.asarray(target, dtype=float), np.asarray(times, dtype=float)
    for name, value in (("target", s), ("times", t)):
        if value.ndim != 1 or not len(value) or not np.isfinite(value).all() or (value < 0).any():
            raise ValueError(
                f"{name}={value.tolist()}: must be one or more numbers in a row, finite, none negative"
            )
    if (np.diff(t) < 0).any():
        raise ValueError(f"times={t.tolist()}: must not decrease")
    return s, t
