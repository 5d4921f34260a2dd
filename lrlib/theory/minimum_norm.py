"""Minimum norm and rank: what the smallest weights that fit the data say about stable ranks and local rank."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from lrlib import _checks


def minimum_norm_ratio(
    depth: int, *, shallow_depth: int, shallow_norm: float, outputs: int = 1, size: float = 1.0
) -> float:
    """Return a lower bound on the mean over layers of ||W_l||_2 / ||W_l||_F at the least sum of ||W_l||_F^2.

    Suppose that a ReLU network without biases, of depth k and with ||W_j||_F <= F for every layer, fits the data
    (f(x_i) = y_i, or y_i f(x_i) >= 1), and that some x_i with ||x_i|| <= 1 needs ||f(x_i)|| >= ``size``. Then every
    network of depth L > k and width at least max(2 C, the shallow one's) that fits the data with the least sum of
    squares has mean ratio >= size^(1/L) / M^(1/L), M = F^k sqrt(2) (2 C)^((L - k)/2). As L grows the bound tends to
    1 / sqrt(2 C): some layer has a stable rank of at most 2 C, nearly. Proved in Chapter 3, after Timor, Vardi &
    Shamir 2023 (arXiv 2201.12760); C > 1 and the constants are ours.

    Args:
        depth: L, above ``shallow_depth``.
        shallow_depth, shallow_norm: k >= 1 and F > 0.
        outputs: C >= 1.
        size: what the network has to reach at some input of norm at most 1, > 0.

    Raises:
        TypeError, ValueError: for an argument outside these rules.

    Example:
        >>> round(minimum_norm_ratio(10_000, shallow_depth=2, shallow_norm=5.0), 3)
        0.707
    """
    _checks.integer("shallow_depth", shallow_depth, minimum=1)
    _checks.integer("depth", depth, minimum=shallow_depth + 1)
    _checks.number("shallow_norm", shallow_norm, exclusive=True)
    _checks.integer("outputs", outputs, minimum=1)
    _checks.number("size", size, exclusive=True)
    if math.log(size) > shallow_depth * math.log(shallow_norm):
        raise ValueError(
            f"shallow_norm={shallow_norm}: {shallow_depth} layers of this norm cannot reach size={size}"
        )
    extra = (depth - shallow_depth) * math.log(2 * outputs)
    log_product = shallow_depth * math.log(shallow_norm) + (math.log(2) + extra) / 2
    return math.exp((math.log(size) - log_product) / depth)


def count_bound(weights: Sequence[Float[Tensor, "n_out n_in"]], eps: float) -> Int64[Tensor, " L"]:
    """Return for every layer l a bound on rank_eps J_l(x) at every x: the least rank_{eps/c_i}(W_i) over i <= l.

    c_i is the product of the operator norms of W_j over j <= l, j != i, and slopes of phi between -1 and 1 are
    assumed. Proved in Chapter 2. Where c_i is 0 the Jacobian is zero, and so is the bound.

    Args:
        weights: W_1, ..., W_L, each (n_l, n_{l-1}).
        eps: the threshold, > 0.

    Raises:
        TypeError, ValueError: for an argument outside these rules.

    Example:
        >>> half, ten = 0.05 * torch.eye(3), 10 * torch.eye(3)
        >>> count_bound([half, ten], 0.1).tolist(), count_bound([ten, half], 0.6).tolist()
        ([0, 3], [3, 0])
    """
    _checks.number("eps", eps, exclusive=True)
    spectra = _spectra(weights)
    bounds = []
    for l in range(len(spectra)):
        top = torch.stack([s[0] for s in spectra[: l + 1]])
        others = [torch.cat([top[:i], top[i + 1 :]]).prod() for i in range(l + 1)]
        # sigma > eps / c, written without the division: c may be 0
        bounds.append(min(int((s * c > eps).sum()) for s, c in zip(spectra, others, strict=False)))
    return torch.tensor(bounds)


def energy_bound(weights: Sequence[Float[Tensor, "n_out n_in"]], eps: float) -> Float64[Tensor, " L"]:
    """Return ||W_l||_F^2 / eps^2 for every layer: more singular values than that cannot exceed eps.

    The trivial bound on rank_eps(W_l), float64. Arguments and errors as for :func:`count_bound`.

    >>> energy_bound([torch.eye(3)], 0.5).tolist()
    [12.0]
    """
    _checks.number("eps", eps, exclusive=True)
    return torch.stack([(s / eps).square().sum() for s in _spectra(weights)])


def _spectra(weights: Sequence[Tensor]) -> list[Float64[Tensor, " k"]]:
    _checks.chain("weights", weights)
    return [torch.linalg.svdvals(weight.detach().double()) for weight in weights]
