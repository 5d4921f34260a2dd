"""The information bottleneck of jointly Gaussian x and y, in closed form (Chechik, Globerson, Tishby & Weiss 2005).

Convention: minimise I(X;T) - beta I(T;Y). Information is in nats.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from lrlib import _checks
from lrlib.bottleneck.table import LARGEST_BETA
from lrlib.information.canonical import Canonical, canonical


@dataclass(frozen=True)
class GaussianIB:
    """The best encoder T = A X + N(0, I) at one beta.

    Attributes:
        beta: the trade-off.
        eigenvalues: (d,) float64, ascending: of Sigma_{x|y} Sigma_x^{-1}, lambda_i = 1 - rho_i^2 with rho_i the
            canonical correlations. 1 where a direction of x says nothing about y, or does not vary.
        critical_betas: (d,) float64, ascending: 1 / (1 - lambda_i), where direction i switches on; inf where
            lambda_i = 1.
        encoder: (d, d) float64, A. Rows from ``rank`` on are zero.
        rank: number of critical betas below beta; the rank of A.
        singular_values: (d,) float64, descending: of A Sigma_x^{1/2}. Unit noise makes their squares signal-to-noise ratios.
        i_xt, i_ty: I(X;T) and I(T;Y), nats.
        resolution: (d,) float64, rounding error to reckon with in each correlation; one below it is taken for 0.
    """

    beta: float
    eigenvalues: Float64[Tensor, " d"]
    critical_betas: Float64[Tensor, " d"]
    encoder: Float64[Tensor, "d d"]
    rank: int
    singular_values: Float64[Tensor, " d"]
    i_xt: float
    i_ty: float
    resolution: Float64[Tensor, " d"]

    @property
    def lagrangian(self) -> float:
        """I(X;T) - beta I(T;Y), nats: the least that any encoder reaches."""
        return self.i_xt - self.beta * self.i_ty


@dataclass(frozen=True)
class GaussianIBCurve:
    """The best encoders over many betas, one row for each: see :class:`GaussianIB`, whose rows of A they leave out.

    Attributes:
        betas: (B,) float64.
        critical_betas: (d,) float64, ascending.
        rank: (B,) int64.
        singular_values: (B, d) float64, of A Sigma_x^{1/2}.
        i_xt, i_ty: (B,) float64, nats.
    """

    betas: Float64[Tensor, " B"]
    critical_betas: Float64[Tensor, " d"]
    rank: Int64[Tensor, " B"]
    singular_values: Float64[Tensor, "B d"]
    i_xt: Float64[Tensor, " B"]
    i_ty: Float64[Tensor, " B"]


def gaussian_ib(
    cov_x: Float[Tensor, "d d"], cov_y: Float[Tensor, "m m"], cov_xy: Float[Tensor, "d m"], beta: float
) -> GaussianIB:
    """Return the encoder that minimises I(X;T) - beta I(T;Y) for jointly Gaussian x and y.

    With w_i the combination of x (unit variance) that belongs to the canonical correlation rho_i, row i of A is
    s_i w_i with s_i^2 = (beta rho_i^2 - 1) / (1 - rho_i^2) where that is positive, else 0.

    Args:
        cov_x: (d, d) covariance of x, float32 or float64. It may be singular: directions without variance carry
            nothing. Those are where the correlation matrix has an eigenvalue of at most d * eps times its largest,
            eps the spacing of the coarsest dtype given.
        cov_y: (m, m) covariance of y.
        cov_xy: (d, m) covariance of x with y.
        beta: >= 0. Nothing is encoded up to the first critical beta, which is at least 1.

    Returns:
        :class:`GaussianIB`. Where correlations are equal, any rotation of their rows of A is as good; signs are such
        that the entry of largest size in a row is positive.

    Raises:
        TypeError, ValueError: for a bad argument; among them covariances that no (x, y) has, and beta > 1 where a
            combination of x determines one of y: the best gain is then infinite.

    Example:
        >>> one = torch.eye(1)
        >>> found = gaussian_ib(one, one, 0.8 * one.double(), beta=5)
        >>> found.rank, round(found.i_xt, 4), round(found.i_ty, 4)
        (1, 0.9808, 0.3993)
    """
    _checks.number("beta", beta, maximum=LARGEST_BETA)
    found = canonical(cov_x, cov_y, cov_xy)
    curve = _curve(found, torch.tensor([float(beta)], dtype=torch.float64))
    gains = curve.singular_values[0]
    return GaussianIB(
        float(beta),
        1 - found.correlations**2,
        curve.critical_betas,
        gains[:, None] * found.directions,
        int(curve.rank[0]),
        gains,
        curve.i_xt[0].item(),
        curve.i_ty[0].item(),
        found.resolution,
    )


def gaussian_ib_curve(
    cov_x: Float[Tensor, "d d"],
    cov_y: Float[Tensor, "m m"],
    cov_xy: Float[Tensor, "d m"],
    betas: Float[Tensor, " B"],
) -> GaussianIBCurve:
    """Return ranks, singular values and the information curve at (B,) betas >= 0, from one decomposition.

    Arguments and errors are otherwise those of :func:`gaussian_ib`.
    """
    betas = _checks.thresholds("betas", betas)
    if betas.ndim != 1:
        raise ValueError(f"betas={betas.item()}: must be a vector; gaussian_ib takes a single number")
    _checks.number("betas.max()", betas.max().item(), maximum=LARGEST_BETA)
    return _curve(canonical(cov_x, cov_y, cov_xy), betas)


def _curve(found: Canonical, betas: Tensor) -> GaussianIBCurve:
    if found.deterministic and (betas > 1).any():
        raise ValueError(
            f"cov_xy: a combination of x determines one of y (canonical correlation 1 to within "
            f"{found.resolution[0]:.1g}); at beta={betas.max():g} the best encoder has infinite gain: "
            f"beta must be at most 1, or y must have noise of its own"
        )
    rho2 = found.correlations.square()
    critical = 1 / rho2  # inf where the correlation is 0
    on = betas[:, None] > critical
    b = betas[:, None].expand_as(on)
    noise = torch.where(on, 1 - rho2, 1.0)
    squared = torch.where(on, b * rho2 - 1, 0.0).clamp_min(0) / noise
    i_xt = squared.log1p().sum(1) / 2
    lost = (squared * noise).log1p().sum(1) / 2  # I(X;T|Y)
    return GaussianIBCurve(betas, critical, on.sum(1), squared.sqrt(), i_xt, i_xt - lost)
