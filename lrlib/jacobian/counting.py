"""How many singular values exceed a threshold: from a Gram matrix where that is certain, from an SVD otherwise."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

UNIT = 2.0**-53  # float64's unit roundoff

# A product of matrices A and B with n terms to a sum, or a factorisation, errs in the spectral norm by at most about
# (8 + n / 4) UNIT |A|_F |B|_F. Rounding errors behave as if random (Higham & Mary 2019), for which 8 leaves room; n / 4
# is for sums of equal terms, whose errors add up. tests/jacobian holds the bound against exact arithmetic.
ROUNDING, PER_TERM = 8.0, 0.25

OVERFLOW = "net: its Jacobian overflows float64 at these inputs; scale its weights down"
UNDERFLOW = 1e-280  # squares below this have lost digits


def rounding(size: Tensor, terms: int) -> Tensor:
    """Return the bound on the error of one product, or factorisation, of Frobenius norms with this product."""
    return (ROUNDING + PER_TERM * terms) * UNIT * size


FACTORISATIONS = 2  # up to so many thresholds, factorising at each beats finding all the eigenvalues


class LayerCounts(NamedTuple):
    """One layer's counts at n inputs and E thresholds.

    Attributes:
        values: (n, E) float64, how many singular values exceed each threshold.
        stderr: (n, E) float64, the standard error of a value that is an estimate; zero where it is exact.
        ties: (n, E), whether a singular value lies within rounding of the threshold.
        methods: what found them, of "gram", "svd" and "lanczos".
        resolution: the smallest relative singular value that the first of these tells from zero, at any input.
    """

    values: Float[Tensor, "n E"]
    stderr: Float[Tensor, "n E"]
    ties: Bool[Tensor, "n E"]
    methods: frozenset[str]
    resolution: float


class LayerValues(NamedTuple):
    """One layer's singular values at n inputs.

    Attributes:
        values: (n, k_l) float64, descending.
        methods: what found them, of "gram" and "svd".
        resolution: the smallest relative singular value that the first of these tells from zero, at any input.
    """

    values: Float[Tensor, "n k_l"]
    methods: frozenset[str]
    resolution: float


class GramCounts(NamedTuple):
    """Counts as far as Gram matrices can tell.

    Attributes:
        values: (n, E) int64, right wherever ``certain``.
        certain: (n, E), whether no eigenvalue can lie on the other side of the threshold.
        resolution: (n,) the smallest relative singular value that this Gram matrix tells from zero.
    """

    values: Int64[Tensor, "n E"]
    certain: Bool[Tensor, "n E"]
    resolution: Float[Tensor, " n"]


def smaller_gram(jacobian: Float[Tensor, "n rows columns"]) -> Float[Tensor, "n k k"]:
    """Return the smaller of J J^T and J^T J.

    In three quarters of the arithmetic: its upper right is its lower left.
    """
    rows, columns = jacobian.shape[-2:]
    matrix = jacobian.mT if rows <= columns else jacobian
    k = matrix.shape[-1]
    half = k // 2
    gram = matrix.new_empty(len(matrix), k, k)
    left = matrix[..., :half]
    gram[:, :half, :half] = left.mT @ left
    gram[:, half:] = matrix[..., half:].mT @ matrix
    gram[:, :half, half:] = gram[:, half:, :half].mT
    return gram


def gram_counts(
    gram: Float[Tensor, "n k k"], error: Float[Tensor, " n"], eps: Float[Tensor, " E"], relative: bool
) -> GramCounts:
    """Count the singular values of J above eps (times sigma_1 if relative), given J J^T or J^T J.

    ``error`` bounds the distance of the Gram matrix's eigenvalues from the squared singular values. A count is
    certain if it is the same at eps^2 - error and at eps^2 + error.
    """
    gram, trace, top, error = _prepare(gram, error)
    error = error.unsqueeze(-1)
    if len(eps) <= FACTORISATIONS and not relative and gram.is_cpu:
        cuts = eps.square().expand(len(gram), -1)
        shifts = torch.cat([cuts + error, cuts - error], dim=-1)
        shifts = torch.where(torch.isfinite(shifts), shifts, 0.0)
        above, below = _positive_inertia(gram, shifts).split(len(eps), dim=-1)
    else:
        eigenvalues = torch.linalg.eigvalsh(gram)
        top = eigenvalues[:, -1].clamp_min(0.0)
        cuts = eps.square() * (top.unsqueeze(-1) if relative else torch.ones_like(error))
        slack = error * (1 + eps.square()) if relative else error
        above, below = (
            gram.shape[-1] - torch.searchsorted(eigenvalues, cuts + sign * slack, right=True)
            for sign in (1, -1)
        )
        error = slack
    certain = (above == below) & (cuts > error.clamp_min(UNDERFLOW)) & torch.isfinite(cuts)
    return GramCounts(above, certain, _resolved(error[:, 0], top, trace))


def gram_values(
    gram: Float[Tensor, "n k k"], error: Float[Tensor, " n"]
) -> tuple[Float[Tensor, "n k"], Float[Tensor, " n"]]:
    """Return the singular values, descending, and the smallest relative one that is told from zero, (n,)."""
    gram, trace, _, error = _prepare(gram, error)
    eigenvalues = torch.linalg.eigvalsh(gram).flip(-1).clamp_min(0.0)
    return eigenvalues.sqrt(), _resolved(error, eigenvalues[:, 0], trace)


def svd_values(
    jacobian: Float[Tensor, "n rows columns"], error: Float[Tensor, " n"]
) -> tuple[Float[Tensor, "n k"], Float[Tensor, " n"]]:
    """Return the singular values, descending, and bounds on their errors, given bounds on those of J."""
    if not torch.isfinite(jacobian).all():
        raise FloatingPointError(OVERFLOW)
    values = torch.linalg.svdvals(jacobian)
    return values, error + rounding(values[..., 0] * values.shape[-1] ** 0.5, max(jacobian.shape[-2:]))


def _resolved(error: Tensor, top: Tensor, trace: Tensor) -> Tensor:
    """Return sqrt(error / lambda_1); infinite where squares overflowed or vanished, all of them perhaps."""
    return torch.where(trace < UNDERFLOW, torch.inf, (error / top).sqrt().nan_to_num(torch.inf, torch.inf))


def _prepare(gram: Tensor, error: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return gram, its trace, a lower bound on its largest eigenvalue, and error with the solver's added.

    Where squaring overflowed the error is infinite, so that nothing is certain.
    """
    trace = gram.diagonal(dim1=-2, dim2=-1).sum(-1)
    finite = torch.isfinite(trace)
    if not finite.all():
        gram = torch.where(finite[:, None, None], gram, 0.0)
    top = torch.linalg.matrix_norm(gram).square() / trace
    error = torch.where(finite, error + rounding(trace, gram.shape[-1]), torch.inf)
    return gram, torch.where(finite, trace, torch.inf), top, error


def _positive_inertia(gram: Float[Tensor, "n k k"], shifts: Float[Tensor, "n E"]) -> Int64[Tensor, "n E"]:
    """Count the eigenvalues above each shift: the positive pivots of L D L^T = G - shift (Sylvester's law).

    A quarter of the arithmetic of finding the eigenvalues. A Bunch-Kaufman pivot of size two, marked by two
    negative indices, has one eigenvalue of each sign.
    """
    k = gram.shape[-1]
    side = k + 8 if k % 64 == 0 else k  # LAPACK takes twice the time where rows collide in the cache
    shifted = gram.new_empty(*shifts.shape, side, side)
    shifted[..., :k, :k] = gram.unsqueeze(1)
    if side > k:
        shifted[..., k:, :] = shifted[..., :, k:] = 0.0
        shifted.diagonal(dim1=-2, dim2=-1)[..., k:] = -1.0  # counts nothing
    shifted.diagonal(dim1=-2, dim2=-1)[..., :k] -= shifts.unsqueeze(-1)
    factor, pivots, _info = torch.linalg.ldl_factor_ex(shifted)
    single = (factor.diagonal(dim1=-2, dim2=-1) > 0) & (pivots > 0)
    return single.sum(-1) + (pivots < 0).sum(-1) // 2


def value_counts(
    values: Float[Tensor, "n k"], error: Float[Tensor, " n"], eps: Float[Tensor, " E"], relative: bool
) -> tuple[Int64[Tensor, "n E"], Bool[Tensor, "n E"]]:
    """Return the counts above eps of singular values known to within ``error``, and where they are ties."""
    top = values.amax(-1, keepdim=True)
    cuts = eps * top if relative else eps.expand(len(values), -1)
    slack = error.unsqueeze(-1) * (1 + eps if relative else 1)
    above = values.unsqueeze(-1) > cuts.unsqueeze(-2)
    near = (values.unsqueeze(-1) - cuts.unsqueeze(-2)).abs() <= slack.unsqueeze(-2)
    # sigma_1 = 0: nothing is above eps * 0, whatever the order of the sums
    return above.sum(-2), near.any(-2) & (top > 0 if relative else True)


SvdWhere = Callable[[Bool[Tensor, " n"]], tuple[Float[Tensor, "m k"], Float[Tensor, " m"]]]


def certified(
    found: GramCounts, svd_where: SvdWhere, eps: Float[Tensor, " E"], relative: bool
) -> LayerCounts:
    """Return counts that are certain: the Gram matrices' where they are, an SVD's otherwise.

    ``svd_where`` gets a mask of inputs and returns what :func:`svd_values` finds for those.
    """
    values, ties, methods = found.values.double(), torch.zeros_like(found.certain), {"gram"}
    unsure = ~found.certain.all(-1)
    if unsure.any():
        methods = {"svd"} if unsure.all() else {"gram", "svd"}
        counts, near = value_counts(*svd_where(unsure), eps, relative)
        values[unsure], ties[unsure] = counts.double(), near
    resolution = float(found.resolution.amax())
    return LayerCounts(values, torch.zeros_like(values), ties, frozenset(methods), resolution)


def refined(
    values: Float[Tensor, "n k"], resolution: Float[Tensor, " n"], svd_where: SvdWhere, wanted: float
) -> LayerValues:
    """Return a Gram matrix's singular values where it resolves what is wanted, an SVD's otherwise."""
    methods, coarse = {"gram"}, resolution > wanted
    if coarse.any():
        methods = {"svd"} if coarse.all() else {"gram", "svd"}
        exact, error = svd_where(coarse)
        values[coarse], resolution[coarse] = exact, relative_error(exact, error)
    return LayerValues(values, frozenset(methods), float(resolution.amax()))


def from_svd(values: Float[Tensor, "n k"], error: Float[Tensor, " n"]) -> LayerValues:
    """Return singular values that an SVD found."""
    return LayerValues(values, frozenset({"svd"}), float(relative_error(values, error).amax()))


def counts_from_svd(
    values: Float[Tensor, "n k"], error: Float[Tensor, " n"], eps: Float[Tensor, " E"], relative: bool
) -> LayerCounts:
    """Return the counts of singular values that an SVD found."""
    counts, ties = value_counts(values, error, eps, relative)
    resolution = float(relative_error(values, error).amax())
    return LayerCounts(
        counts.double(), torch.zeros_like(counts).double(), ties, frozenset({"svd"}), resolution
    )


def relative_error(values: Float[Tensor, "n k"], error: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Return error / sigma_1; zero for a matrix of zeros."""
    top = values.amax(-1)
    return torch.where(top > 0, error / top, 0.0)
