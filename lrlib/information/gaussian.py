"""Gaussian information: exact from covariances, estimated from samples, and as an upper bound."""

import math

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from lrlib import _checks
from lrlib.information import checks
from lrlib.information.canonical import canonical
from lrlib.information.estimate import Estimate

SLACK = 16  # roundings per row of a sample below which a column counts as a combination of the others


def gaussian_mi(
    cov_x: Float[Tensor, "d_x d_x"], cov_y: Float[Tensor, "d_y d_y"], cov_xy: Float[Tensor, "d_x d_y"]
) -> float:
    """Return I(X; Y) of jointly Gaussian X and Y, exact, in nats; ``inf`` where a direction of Y is a function of X.

    With rho_i the canonical correlations, the singular values of cov_x^(-1/2) cov_xy cov_y^(-1/2), it is
    -1/2 sum_i ln(1 - rho_i^2), which is 1/2 ln(det cov_x det cov_y / det cov) (Cover & Thomas 2006, section 8.5).

    Directions without variance carry nothing, and a correlation that cannot be told from 1 counts as 1; see
    :func:`lrlib.information.canonical.whiten` for the cutoffs.

    Args:
        cov_x: (d_x, d_x) covariance of X; it may be singular.
        cov_y: (d_y, d_y) covariance of Y; it may be singular.
        cov_xy: (d_x, d_y) covariance of X with Y.

    Raises:
        TypeError, ValueError: an argument is no finite float matrix, shapes do not match, cov_x or cov_y is not
            symmetric, the joint covariance is not positive semi-definite, or covariances are so near to singular
            that rounding would decide the answer.

    >>> one = torch.eye(1)
    >>> print(f"{gaussian_mi(one, one, 0.75 * one):.4f} nats")
    0.4133 nats
    >>> gaussian_mi(one, one, one)
    inf
    """
    found = canonical(cov_x, cov_y, cov_xy)
    if found.deterministic:
        return math.inf
    return float(-0.5 * torch.log1p(-found.correlations.square()).sum())


def gaussian_fit_mi(x: Float[Tensor, "n *d_x"], y: Float[Tensor, "n *d_y"]) -> Estimate:
    """Return the information of the Gaussian that fits the samples, in nats, without bias if they are Gaussian.

    With S the sample covariance on n - 1 degrees of freedom, 1/2 ln(det S_x det S_y / det S) is too large. For
    normal samples E ln det S = ln det Sigma - d ln((n - 1) / 2) + sum_{i=1..d} psi((n - i) / 2), psi the digamma
    function (from the Wishart law; Anderson 2003, section 7.5), and exactly that is taken off. If X and Y are not
    Gaussian the answer is what their covariances show, and it may be far below I(X; Y): dependence without
    correlation counts nothing.

    Args:
        x: (n,) or (n, d_x).
        y: (n,) or (n, d_y), with n >= d_x + d_y + 1.

    Returns:
        An :class:`~lrlib.information.Estimate` without a cap. ``stderr`` is the standard deviation over samples of
        the influence ``(|x|^2 + |y|^2 - |(x, y)|^2) / 2``, norms in the inverse covariances, over sqrt(n). That
        vanishes for independent X and Y, so it is at least the exact spread of normal, independent ones.

    Raises:
        TypeError, ValueError: x or y is no finite float tensor of one or two dimensions, they differ in length,
            there are too few samples, a column is constant, or columns are linearly dependent.

    >>> g = torch.Generator().manual_seed(0)
    >>> x, noise = torch.randn(2, 2000, generator=g)
    >>> found = gaussian_fit_mi(x, 0.8 * x + 0.6 * noise)  # the truth is -ln(0.6) = 0.511 nats
    >>> abs(found.value + math.log(0.6)) < 4 * found.stderr
    True
    """
    x, y = checks.samples("x", x), checks.samples("y", y)
    checks.same_length(x, y)
    n, d_x, d_y = len(x), x.shape[1], y.shape[1]
    if n < d_x + d_y + 1:
        raise ValueError(f"x, y: have {n} samples; must be at least {d_x + d_y + 1}, d_x + d_y + 1")
    for name, value in (("x", x), ("y", y)):
        checks.varying(name, value)
    blocks = [_standardised(block) for block in (x, y)]
    (log_x, norm_x), (log_y, norm_y), (log_joint, norm_joint) = (
        _log_det(block, name)
        for block, name in zip([*blocks, torch.cat(blocks, 1)], ("x", "y", "x, y"), strict=True)
    )
    excess = 0.5 * (_log_det_excess(n, d_x) + _log_det_excess(n, d_y) - _log_det_excess(n, d_x + d_y))
    value = 0.5 * (log_x + log_y - log_joint) - excess
    influence = 0.5 * (norm_x + norm_y - norm_joint)
    stderr = max(float(influence.std()) / math.sqrt(n), _independent_spread(n, d_x, d_y))
    return Estimate(value, stderr, "estimate", "Gaussian fit", n=n)


def _standardised(value: Float64[Tensor, "n d"]) -> Float64[Tensor, "n d"]:
    centred = value - value.mean(0)
    centred = centred / centred.abs().amax(0)  # first, so that no square over- or underflows
    return centred / centred.std(0)


def _log_det(centred: Float64[Tensor, "n d"], name: str) -> tuple[float, Float64[Tensor, " n"]]:
    """Return ln det of the sample covariance and every row's squared norm in its inverse, from a QR: no Gram."""
    q, r = torch.linalg.qr(centred)
    size = r.diagonal().abs()
    if size.min() <= SLACK * len(centred) * torch.finfo(torch.float64).eps * size.max():
        raise ValueError(
            f"{name}: columns are linearly dependent; must be independent, or the covariance is singular"
        )
    freedom = len(centred) - 1
    return float(2 * size.log().sum() - len(r) * math.log(freedom)), freedom * q.square().sum(1)


def _log_det_excess(n: int, d: int) -> float:
    """Return E ln det S - ln det Sigma of the covariance S of n normal samples in d dimensions."""
    terms = torch.digamma((n - torch.arange(1, d + 1, dtype=torch.float64)) / 2)
    return float(terms.sum()) - d * math.log((n - 1) / 2)


def _independent_spread(n: int, d_x: int, d_y: int) -> float:
    """Return the standard deviation of the fitted information of n normal, independent x and y.

    Then det S / (det S_x det S_y) is a product of Beta((n - d_y - i) / 2, d_y / 2), i = 1..d_x (Wilks), and
    ln Beta(a, b) has the variance psi'(a) - psi'(a + b).
    """
    i = torch.arange(1, d_x + 1, dtype=torch.float64)
    variance = torch.polygamma(1, (n - d_y - i) / 2) - torch.polygamma(1, (n - i) / 2)
    return 0.5 * math.sqrt(float(variance.sum()))


def logdet_mi(t: Float[Tensor, "n *d"], noise_var: float) -> Estimate:
    r"""Return the largest I(T; T + Z), Z ~ N(0, noise_var I), that the covariance of T allows, in nats.

    It is 1/2 ln det(I + Cov(t) / noise_var): at the covariance of T an upper bound, since a Gaussian has the largest
    entropy of all with its covariance, and exact for Gaussian T. Here Cov(t) is that of the sample, on n - 1
    degrees of freedom, and ln det is concave: on average the value is below the bound at the true covariance, the
    more so the nearer d comes to n. It does not saturate at ln n.

    Args:
        t: (n,) or (n, d), the representation without noise; constant columns carry nothing.
        noise_var: variance of the noise in each coordinate, in the square of the unit of ``t``, above 0.

    Returns:
        An :class:`~lrlib.information.Estimate` of kind "upper bound", without a cap. ``stderr`` is the standard
        deviation over samples of the influence ``|t - mean|^2 / 2``, norm in (Cov + noise_var I)^-1, over sqrt(n).

    Raises:
        TypeError, ValueError: t is no finite float tensor of one or two dimensions and at least two rows, or
            noise_var is not above 0.

    >>> print(f"{logdet_mi(torch.tensor([-1.0, 1.0]), 2.0).value:.4f}")  # the variance is 2: 1/2 ln(1 + 2/2)
    0.3466
    """
    _checks.number("noise_var", noise_var, minimum=0, exclusive=True)
    t = checks.samples("t", t)
    n = len(t)
    # singular values of t / sqrt(n - 1) are square roots of the eigenvalues of its covariance
    u, s, _ = torch.linalg.svd(t - t.mean(0), full_matrices=False)
    power = s.square() / (n - 1) / noise_var
    influence = 0.5 * (n - 1) * (u.square() @ (power / (1 + power)))
    spread = float(influence.std()) / math.sqrt(n)
    checks.representable(t, noise_var, power)
    method = f"log-determinant, noise variance {noise_var:g}"
    return Estimate(float(0.5 * torch.log1p(power).sum()), spread, "upper bound", method, n=n)
