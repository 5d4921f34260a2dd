"""How fast information grows as noise shrinks: I(X; p(X) + sigma Z), and its slope against ln(1/sigma).

Z is standard normal, sigma > 0. With snr = 1/sigma^2 and ``mmse(sigma) = E|p(X) - E[p(X)|Y]|^2``, the I-MMSE relation
dI/dsnr = mmse/2 (Guo, Shamai & Verdu 2005, arXiv cs/0412108) reads dI / d ln(1/sigma) = mmse(sigma) / sigma^2. That is
the slope. For a linear p and normal X it is a soft count of singular values, :func:`soft_rank`. For X with a density and
a piecewise linear p it tends to E_x[rank J_x p], the local rank, as sigma goes to 0 (Renyi 1959; Wu & Verdu 2010).

Exact slopes for one input are in :mod:`lrlib.information.slope_curves`, a sandwich for any network in
:mod:`lrlib.information.slope_chains`.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from lrlib import _checks
from lrlib.information import checks

AT_ONCE = 4_000_000  # entries of the largest temporary tensor: 32 MB


@dataclass(frozen=True)
class ChannelReading:
    """I(X; p(X) + sigma Z) and its slope at one noise level.

    Attributes:
        sigma: standard deviation of the noise, in the unit of p(X).
        mi: the information, in nats.
        slope: mmse / sigma^2, which is dI / d ln(1/sigma): directions.
        mi_stderr, slope_stderr: standard errors over draws; 0 where both are integrals by quadrature.
    """

    sigma: float
    mi: float
    slope: float
    mi_stderr: float = 0.0
    slope_stderr: float = 0.0


@dataclass(frozen=True, eq=False)
class InformationCurve:
    """I(X; p(X) + sigma Z) at falling sigma, from its slope.

    Attributes:
        sigma: (S,) float64, strictly decreasing.
        mi: (S,) float64, nats.
        stderr: (S,) float64, from the standard errors of the slopes, taken as independent.
        grid_error: (S,) float64, an estimate, from second differences, of the error of the trapezoids: ``h^3 |slope''| / 12``
            summed over the intervals, h = ln(sigma_k / sigma_{k+1}). It knows of no bend between two grid points.
    """

    sigma: Float64[Tensor, " S"]
    mi: Float64[Tensor, " S"]
    stderr: Float64[Tensor, " S"]
    grid_error: Float64[Tensor, " S"]


def gaussian_channel_mi(
    s: Float[Tensor, "*batch k"], sigma: float | Float[Tensor, " S"]
) -> Float64[Tensor, "*batch"] | Float64[Tensor, "*batch S"]:
    """Return I(X; J X + sigma Z) in nats for X ~ N(0, I) and a matrix J: 1/2 sum_i ln(1 + s_i^2 / sigma^2), exact.

    Args:
        s: singular values of J, (..., k), not negative; those of J Sigma_x^(1/2) if X ~ N(0, Sigma_x).
        sigma: standard deviation of the noise, > 0, or (S,) of them, which adds a last axis to the answer.

    Raises:
        TypeError, ValueError: s is no spectrum, or sigma is not finite and above 0.

    >>> print(f"{gaussian_channel_mi(torch.tensor([1.0, 0.0]), 1.0):.4f}")  # ln(2) / 2
    0.3466
    """
    ratio = _ratios(s, sigma)
    # ln(1 + r^2) without squaring a large r
    found = torch.where(ratio > 1, 2 * ratio.log() + torch.log1p(ratio**-2), torch.log1p(ratio.square()))
    return 0.5 * torch.where(ratio > 0, found, 0.0).sum(-1)


def soft_rank(
    s: Float[Tensor, "*batch k"], sigma: float | Float[Tensor, " S"]
) -> Float64[Tensor, "*batch"] | Float64[Tensor, "*batch S"]:
    """Return sum_i s_i^2 / (s_i^2 + sigma^2): the slope of :func:`gaussian_channel_mi` against ln(1/sigma), exact.

    A singular value far above sigma counts 1, one at sigma 1/2, one far below it (s / sigma)^2: the hard count
    ``count_above(s, sigma)`` with a soft edge, a factor of about 3 wide to either side (from 0.1 to 0.9). Arguments and
    errors are those of :func:`gaussian_channel_mi`.

    >>> soft_rank(torch.tensor([3.0, 1.0, 0.0]), torch.tensor([1.0, 1e-9])).tolist()
    [1.4, 2.0]
    """
    return (1 / (1 + _ratios(s, sigma).pow(-2))).sum(-1)


def linearised_slope(
    s: Float[Tensor, "n k"], sigma: float | Float[Tensor, " S"]
) -> tuple[Float64[Tensor, "*S"], Float64[Tensor, "*S"]]:
    """Return the soft local rank, E_x sum_i s_i(x)^2 / (s_i(x)^2 + sigma^2), and its standard error over the inputs.

    It is what the slope is where p is linear wherever x may lie once Y is known. It tends to the slope as sigma goes to
    0, and is no bound at any sigma. The local rank with threshold sigma is its hard version.

    Args:
        s: singular values of the Jacobian at n >= 2 inputs drawn from the law of X, such as one entry of
            ``lrlib.jacobian_spectra(net, x).values``; the formula asks that X is N(0, I), or else the singular values of
            J Sigma_x^(1/2), which ``input_factor`` makes of them.
        sigma: as for :func:`soft_rank`.

    Raises:
        TypeError, ValueError: as :func:`soft_rank`, and if s is not (n, k) with n >= 2.

    >>> linearised_slope(torch.tensor([[1.0, 0.0], [1.0, 1.0]]), 1e-9)[0].item()
    1.5
    """
    _checks.spectrum("s", s)
    if s.ndim != 2 or len(s) < 2:
        raise ValueError(f"s: shape is {tuple(s.shape)}; must be (n, k) with n >= 2, a row for each input")
    ranks = soft_rank(s, sigma)
    return ranks.mean(0), ranks.std(0) / math.sqrt(len(s))


def information_by_slope(
    sigma: Float[Tensor, " S"],
    slope: Float[Tensor, " S"],
    *,
    start: float,
    stderr: Float[Tensor, " S"] | None = None,
) -> InformationCurve:
    """Return the information at every sigma: ``start``, and the integral of the slope over ln(1/sigma) by trapezoids.

    Lower bounds of the slope, with a start that is one, give a lower bound of the information, but for the errors that
    are returned; upper bounds an upper one. A lower start is ``slope[0] / 2``, since mmse falls as snr grows, so that
    I = 1/2 int_0^snr mmse is at least snr mmse / 2; an upper one is the information of Gaussians with the covariance of
    p(X), as :func:`~lrlib.information.logdet_mi` estimates it. They meet where sigma is large.

    Args:
        sigma: (S,), strictly decreasing, > 0, S >= 3.
        slope: (S,), the slope at each.
        start: information at ``sigma[0]``, nats, >= 0.
        stderr: (S,), standard errors of the slopes, from draws of their own at each sigma (another generator each); of
            slopes from the same draws the answer's are too small. None: they are exact.

    Raises:
        TypeError, ValueError: for an argument outside these rules.

    >>> sigma = torch.logspace(2, -2, 81, dtype=torch.float64)
    >>> s = torch.tensor([1.0])
    >>> found = information_by_slope(sigma, soft_rank(s, sigma), start=gaussian_channel_mi(s, 100.0).item())
    >>> abs(found.mi[-1] - gaussian_channel_mi(s, 0.01)).item() < found.grid_error[-1] < 2e-3
    tensor(True)
    """
    stderr = torch.zeros(len(sigma)) if stderr is None else stderr
    for name, value in (("sigma", sigma), ("slope", slope), ("stderr", stderr)):
        _checks.real_floating(name, value)
        _checks.finite(name, value)
        if value.ndim != 1 or value.shape != sigma.shape or len(value) < 3:
            raise ValueError(f"{name}: shape is {tuple(value.shape)}; all must be (S,) with one S >= 3")
    if (sigma <= 0).any() or (sigma.diff() >= 0).any():
        raise ValueError("sigma: must be above 0 and strictly decreasing")
    _checks.number("start", start)
    sigma, slope, stderr = (value.double() for value in (sigma, slope, stderr))
    h = -sigma.log().diff()
    mi = start + torch.cumulative_trapezoid(slope, -sigma.log())
    # weights[k, j]: what slope j adds to the integral up to point k + 1
    each = torch.diag(h / 2)
    weights = torch.nn.functional.pad(each, (0, 1)) + torch.nn.functional.pad(each, (1, 0))
    variance = (weights.cumsum(0) * stderr).square().sum(1)
    bend = (2 * (slope.diff() / h).diff() / (h[1:] + h[:-1])).abs()  # |slope''| at the inner points
    bend = torch.maximum(
        torch.cat([bend[:1], bend]), torch.cat([bend, bend[-1:]])
    )  # the larger of an interval's ends
    zero = torch.zeros(1, dtype=torch.float64)
    return InformationCurve(
        sigma,
        torch.cat([zero + start, mi]),
        torch.cat([zero, variance.sqrt()]),
        torch.cat([zero, (h.pow(3) * bend / 12).cumsum(0)]),
    )


def finite_channel(
    t: Float[Tensor, "n *m"], sigma: float, *, draws: int = 1000, generator: torch.Generator | None = None
) -> ChannelReading:
    """Return I(T; T + sigma Z) and its slope for T uniform on the n rows of t: what a finite data set shows.

    For such a T the information cannot exceed ln n, and the slope falls to 0 once sigma is below the distances between
    the rows, whatever the rank of the map that made them. Each (T, Y) is a draw; given it, both are exact sums over the rows.

    Args:
        t: (n,) or (n, m), n >= 2, such as a layer's outputs at n inputs.
        sigma: standard deviation of the noise in each coordinate, > 0.
        draws: how many Y, >= 2.
        generator: on the CPU; None: one seeded with 0.

    Raises:
        TypeError, ValueError: for an argument outside these rules.

    >>> found = finite_channel(torch.tensor([-1.0, 1.0]), 1e-3)
    >>> round(found.mi - math.log(2), 12), round(found.slope, 12)
    (0.0, 0.0)
    """
    t, sigma = checks.samples("t", t), deviation(sigma)
    _checks.integer("draws", draws, minimum=2)
    generator = _checks.cpu_generator("generator", generator)
    own = torch.randint(len(t), (draws,), generator=generator)
    y = t[own] + sigma * torch.randn(draws, t.shape[1], generator=generator, dtype=torch.float64)
    parts = zip(y.split(max(1, AT_ONCE // t.numel())), own.split(max(1, AT_ONCE // t.numel())), strict=True)
    mi, slope = (
        torch.cat(found) for found in zip(*(_finite(t, *part, sigma) for part in parts), strict=True)
    )
    return reading(sigma, mi, slope)


def _finite(t: Tensor, y: Tensor, own: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """Return, for each y = t[own] + noise, ln p(y | t[own]) / p(y) and E[|T - E[T|y]|^2 | y] / sigma^2."""
    off = (
        t - y[:, None]
    ) / sigma  # (draws, n, m): from y, so that near rows are not differences of large numbers
    energy = off.square().sum(-1)
    share = (-energy / 2).log_softmax(1)
    weight = share.exp()
    mean = (weight[:, None] @ off)[:, 0]
    return share.gather(1, own[:, None])[:, 0] + math.log(len(t)), (weight * energy).sum(
        1
    ) - mean.square().sum(1)


def reading(sigma: float, mi: Float64[Tensor, " n"], slope: Float64[Tensor, " n"]) -> ChannelReading:
    """Return the means of n independent draws with their standard errors."""
    spread = math.sqrt(len(mi))
    return ChannelReading(
        sigma, float(mi.mean()), float(slope.mean()), float(mi.std()) / spread, float(slope.std()) / spread
    )


def deviation(sigma: Any) -> float:
    """Return sigma as a float; raise ``TypeError`` or ``ValueError`` unless it is a finite number above 0."""
    _checks.number("sigma", sigma, exclusive=True)
    return float(sigma)


def _ratios(s: Tensor, sigma: float | Tensor) -> Float64[Tensor, "*batch k"]:
    """Return s / sigma, with an axis for several sigma before the last."""
    _checks.spectrum("s", s)
    deviations = _checks.thresholds("sigma", sigma).to(s.device)
    if (deviations == 0).any():
        raise ValueError(f"sigma={sigma}: must be above 0")
    values = s.to(torch.float64)
    return values / deviations if deviations.ndim == 0 else values[..., None, :] / deviations[:, None]
