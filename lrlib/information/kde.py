"""Bounds on the information that passes a Gaussian channel, from pairwise distances: Kolchinsky & Tracey (2017)."""

import math
from collections.abc import Iterator

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from lrlib import _checks
from lrlib.information import checks
from lrlib.information.estimate import Estimate

BLOCK = 1024  # rows of distances at a time: 8 MB a block, whatever n
# Of |t_i - t_j|^2 / noise_var: the Bhattacharyya distance. The Kullback-Leibler divergence is four times that.
LOWER = 1 / 8


def kde_mi(t: Float[Tensor, "n *d"], noise_var: float) -> tuple[Estimate, Estimate]:
    r"""Return a lower and an upper bound of I(T; T + Z), Z ~ N(0, noise_var I), in nats.

    T is one of the n rows of ``t``, each equally likely, so T + Z is a mixture of n Gaussians and (Kolchinsky &
    Tracey 2017)

    .. math:: \hat I_c = -\frac1n \sum_i \ln \frac1n \sum_j \exp(-c\,|t_i - t_j|^2 / \text{noise\_var})

    is below the information for c = 1/8 (Bhattacharyya distance) and above it for c = 1/2 (Kullback-Leibler
    divergence). These are bounds for the mixture of the n rows. If the rows are a sample of a continuous T, that
    mixture holds at most ln n nats, and its information is on average below that of T: the upper bound can fail.

    Time is O(n^2 d), memory O(n d) and a few blocks of 1024 x 1024.

    Args:
        t: (n,) or (n, d), the representation without noise.
        noise_var: variance of the noise in each coordinate, in the square of the unit of ``t``, above 0.

    Returns:
        Lower and upper bound, each an :class:`~lrlib.information.Estimate` with ``cap`` ln n. ``stderr`` is over
        draws of n rows: with f_i = mean_j k_ij, k_ij the exponential, it is the standard deviation of the influence
        -ln f_i - mean_j(k_ij / f_j), over sqrt(n).

    Raises:
        TypeError, ValueError: t is no finite float tensor of one or two dimensions and at least two rows, or
            noise_var is not above 0.

    >>> lower, upper = kde_mi(torch.tensor([0.0, 2.0]), 1.0)  # the truth, by quadrature, is 0.337
    >>> print(f"{lower.value:.3f} {upper.value:.3f}, never above {upper.cap:.3f}")
    0.219 0.566, never above 0.693
    """
    _checks.number("noise_var", noise_var, minimum=0, exclusive=True)
    t = checks.samples("t", t)
    n = len(t)
    # |t_i - t_j|^2 * LOWER / noise_var is then a plain squared distance
    scaled = (t - t.mean(0)) * math.sqrt(LOWER / noise_var)
    checks.representable(t, noise_var, scaled.square())
    found = []
    densities = _densities(scaled)
    for density, influence, kind, name in zip(
        densities, _influences(scaled, densities), ("lower bound", "upper bound"), ("1/8", "1/2"), strict=True
    ):
        method = f"KDE, {name} of the squared distances, noise variance {noise_var:g}"
        value = max(0.0, float(-density.log().mean()))  # rounding only: no density exceeds 1
        spread = float(influence.std()) / math.sqrt(n)
        found.append(Estimate(value, spread, kind, method, n=n, cap=math.log(n)))
    return found[0], found[1]


def _kernels(scaled: Float64[Tensor, "n d"]) -> Iterator[tuple[slice, slice, tuple[Tensor, Tensor]]]:
    """Yield the kernels of the lower and the upper bound, by blocks on and above the diagonal.

    Distances are taken directly: |a|^2 + |b|^2 - 2ab would lose those that are small beside the norms.
    """
    for start in range(0, len(scaled), BLOCK):
        for other in range(start, len(scaled), BLOCK):
            rows, columns = slice(start, start + BLOCK), slice(other, other + BLOCK)
            distances = torch.cdist(
                scaled[rows], scaled[columns], compute_mode="donot_use_mm_for_euclid_dist"
            )
            lower = distances.square_().neg_().exp_()
            yield rows, columns, (lower, lower.square().square_())  # the upper bound's is its fourth power


def _densities(scaled: Float64[Tensor, "n d"]) -> tuple[Tensor, Tensor]:
    """Return f_i = mean_j k_ij of both bounds. Since k_ii = 1, no f_i underflows and no logarithm fails."""
    sums = torch.zeros(2, len(scaled), dtype=torch.float64)
    for rows, columns, kernels in _kernels(scaled):
        for total, kernel in zip(sums, kernels, strict=True):
            total[rows] += kernel.sum(1)
            if columns != rows:
                total[columns] += kernel.sum(0)
    return tuple(sums / len(scaled))


def _influences(scaled: Float64[Tensor, "n d"], densities: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Return -ln f_i - mean_j(k_ij / f_j): how a bound moves if more rows are like row i."""
    sums = torch.zeros(2, len(scaled), dtype=torch.float64)
    for rows, columns, kernels in _kernels(scaled):
        for total, kernel, density in zip(sums, kernels, densities, strict=True):
            total[rows] += kernel @ (1 / density[columns])
            if columns != rows:
                total[columns] += (1 / density[rows]) @ kernel
    return tuple(-density.log() - total / len(scaled) for density, total in zip(densities, sums, strict=True))
