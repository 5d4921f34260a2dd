"""Canonical correlations of two Gaussian variables from their covariances, singular ones included."""

from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from lrlib import _checks

COARSEST = 0.01  # rounding in a correlation above which there is no answer worth returning
SLACK = 16  # roundings per row that a covariance matrix may carry: for what is asymmetric or negative


@dataclass(frozen=True)
class WhitenedPair:
    """x and y in white coordinates.

    Attributes:
        white_x: (r, d) float64, the map to white coordinates of x, white_x @ cov_x @ white_x.T = I; r is the rank
            of cov_x.
        cross: (r, s) float64, the covariance of white x and white y; its singular values are the correlations.
        from_unit_x, from_unit_y: (r, d) and (s, m), the same maps for variables of unit variance.
        rounding: relative rounding of the covariances, the spacing of the coarsest dtype given.
    """

    white_x: Float64[Tensor, "r d"]
    cross: Float64[Tensor, "r s"]
    from_unit_x: Float64[Tensor, "r d"]
    from_unit_y: Float64[Tensor, "s m"]
    rounding: float


@dataclass(frozen=True)
class Canonical:
    """Canonical correlations and the combinations of x that have them.

    Attributes:
        correlations: (d,) float64, descending, between 0 and 1. Where x has fewer correlated directions than d the
            rest is 0; so are correlations below their ``resolution``.
        directions: (d, d) float64. Rows belong to the correlations and have covariance I among themselves:
            directions @ cov_x @ directions.T = I. Rows from min(rank cov_x, rank cov_y) on are zero: nothing there
            says anything about y. The entry of largest size in each row is positive; where correlations are equal,
            any rotation among their rows would do as well.
        resolution: (d,) float64, the rounding error to reckon with in each correlation, to first order: eps times
            (d w.w + m v.v), w and v its directions for x and y of unit variance. It is large for combinations of variables
            that nearly cancel.
    """

    correlations: Float64[Tensor, " d"]
    directions: Float64[Tensor, "d d"]
    resolution: Float64[Tensor, " d"]

    @property
    def deterministic(self) -> bool:
        """Whether some combination of x determines one of y: a correlation cannot be told from 1."""
        return bool((1 - self.correlations <= self.resolution).any())


def canonical(cov_x: Tensor, cov_y: Tensor, cov_xy: Tensor) -> Canonical:
    """Return the canonical correlations between x and y, and the directions of x; arguments as :func:`whiten`.

    Raises what that raises, and ``ValueError`` where rounding could change a correlation by more than 0.01.

    >>> found = canonical(torch.eye(2), torch.eye(2), torch.diag(torch.tensor([0.3, 0.8])).double())
    >>> found.correlations.round(decimals=6), found.directions.round(decimals=6)
    (tensor([0.8000, 0.3000], dtype=torch.float64), tensor([[0., 1.],
            [1., 0.]], dtype=torch.float64))
    """
    pair = whiten(cov_x, cov_y, cov_xy)
    u, rho, vt = torch.linalg.svd(pair.cross, full_matrices=False)
    d, m = len(cov_x), len(cov_y)
    unit_x, unit_y = u.T @ pair.from_unit_x, vt @ pair.from_unit_y
    error = pair.rounding * (d * unit_x.square().sum(1) + m * unit_y.square().sum(1))
    if len(error) and error.max() > COARSEST:
        raise ValueError(
            f"cov_x, cov_y: some variables are nearly combinations of others; rounding of {error.max():.1g} in a "
            f"correlation must be at most {COARSEST:g}"
        )
    rows = u.T @ pair.white_x
    largest = rows.gather(1, rows.abs().argmax(1, keepdim=True)) if len(rows) else rows[:, :1]
    correlations, resolution, directions = rho.new_zeros(d), rho.new_zeros(d), rho.new_zeros(d, d)
    correlations[: len(rho)] = torch.where(rho > error, rho.clamp_max(1.0), 0.0)
    resolution[: len(rho)] = error
    directions[: len(rho)] = rows * torch.where(largest < 0, -1.0, 1.0)
    order = correlations.argsort(descending=True, stable=True)  # one taken for 0 may have stood before others
    return Canonical(correlations[order], directions[order], resolution[order])


def whiten(cov_x: Tensor, cov_y: Tensor, cov_xy: Tensor) -> WhitenedPair:
    """Return x and y in coordinates with covariance I.

    Variables are first divided by their standard deviations, so that no answer depends on their units. A direction
    whose eigenvalue of the correlation matrix is at most d * eps * (the largest), eps the spacing of the coarsest
    dtype given, has no variance: it is left out.

    Args:
        cov_x: (d, d) covariance of x, float32 or float64.
        cov_y: (m, m) covariance of y.
        cov_xy: (d, m) covariance of x with y.

    Raises:
        TypeError: if one is no float tensor.
        ValueError: for a wrong shape, NaN, a covariance that is not symmetric, or a joint covariance with a
            negative eigenvalue.
    """
    for name, cov in (("cov_x", cov_x), ("cov_y", cov_y), ("cov_xy", cov_xy)):
        _checks.matrix(name, cov)
    for name, cov in (("cov_x", cov_x), ("cov_y", cov_y)):
        if cov.shape[0] != cov.shape[1]:
            raise ValueError(f"{name}: shape is {tuple(cov.shape)}; must be square")
    if cov_xy.shape != (len(cov_x), len(cov_y)):
        raise ValueError(
            f"cov_xy: shape is {tuple(cov_xy.shape)}; must be ({len(cov_x)}, {len(cov_y)}), "
            f"the number of variables of x and of y"
        )
    eps = max(torch.finfo(cov.dtype).eps for cov in (cov_x, cov_y, cov_xy))
    cov_x, cov_y, cov_xy = (cov.detach().to("cpu", torch.float64) for cov in (cov_x, cov_y, cov_xy))
    scale_x, scale_y = _scales(cov_x), _scales(cov_y)
    corr_x = _symmetric("cov_x", cov_x / torch.outer(scale_x, scale_x), eps)
    corr_y = _symmetric("cov_y", cov_y / torch.outer(scale_y, scale_y), eps)
    corr_xy = cov_xy / torch.outer(scale_x, scale_y)
    _refuse_indefinite(corr_x, corr_y, corr_xy, eps)
    map_x, map_y = _white(corr_x, eps), _white(corr_y, eps)
    return WhitenedPair(map_x / scale_x, map_x @ corr_xy @ map_y.T, map_x, map_y, eps)


def _scales(cov: Tensor) -> Tensor:
    """Return standard deviations, with 1 for variables that do not vary."""
    variances = cov.diagonal()
    return torch.where(variances > 0, variances, 1.0).sqrt()


def _symmetric(name: str, correlation: Tensor, eps: float) -> Tensor:
    skew = (correlation - correlation.T).abs().max().item()
    if skew > SLACK * len(correlation) * eps:
        raise ValueError(
            f"{name}: differs from its transpose by up to {skew:.2g} (at unit variances); must be symmetric"
        )
    return (correlation + correlation.T) / 2


def _refuse_indefinite(corr_x: Tensor, corr_y: Tensor, corr_xy: Tensor, eps: float) -> None:
    joint = torch.cat([torch.cat([corr_x, corr_xy], 1), torch.cat([corr_xy.T, corr_y], 1)])
    values = torch.linalg.eigvalsh(joint)
    if values[0] < -SLACK * len(joint) * eps * values.abs().max():
        raise ValueError(
            f"cov_x, cov_y, cov_xy: at unit variances the joint covariance has the eigenvalue {values[0]:.3g}; "
            f"must be positive semi-definite"
        )


def _white(correlation: Tensor, eps: float) -> Tensor:
    """Return the map (r, d) to white coordinates."""
    values, vectors = torch.linalg.eigh(correlation)
    kept = values > len(correlation) * eps * values[-1]
    return (vectors[:, kept] / values[kept].sqrt()).T
