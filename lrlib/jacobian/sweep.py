"""The algebra of J_l = W_l diag(slope_l-1) J_{l-1}: small matrices with the singular values of every layer's J.

Four identities keep the matrices small and every singular value as it was:

1. W_1 = R^T Q^T with orthonormal Q: the input's d columns become min(n_1, d), once for all inputs.
2. A unit of slope zero drops its row of J_{l-1} and its column of W_l.
3. M with fewer rows than columns may give way to any square factor L with L L^T = M M^T.
4. J has the singular values of the smaller of J J^T and J^T J.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from lrlib.jacobian.counting import rounding

DENSE = 0.85  # a matrix that would keep more than this share of a side is cheaper as it is


class Weight:
    """One layer's matrix in float64, with what is computed from it once for all inputs."""

    def __init__(self, matrix: Float[Tensor, "rows columns"]) -> None:
        self.matrix = matrix
        self.transposed = (
            matrix.mT.contiguous()
        )  # the columns of W are selected as rows: whole lines of memory

    @cached_property
    def gram(self) -> Float[Tensor, "rows rows"]:
        """W W^T."""
        return self.matrix @ self.transposed

    @cached_property
    def frobenius(self) -> Tensor:
        """The Frobenius norm."""
        return torch.linalg.matrix_norm(self.matrix)

    @cached_property
    def norm(self) -> Tensor:
        """An upper bound on the spectral norm, at most n^(1/8) times it: |(W W^T)^2|_F^(1/4)."""
        scaled = self.matrix / torch.where(self.frobenius > 0, self.frobenius, 1.0)
        small = scaled @ scaled.mT if scaled.shape[0] <= scaled.shape[1] else scaled.mT @ scaled
        return torch.linalg.matrix_norm(small @ small) ** 0.25 * self.frobenius


class Factor(NamedTuple):
    """J_l up to a rotation of the input, for a group of inputs.

    Attributes:
        jacobian: (n, n_l, r), with the singular values of J_l.
        error: (n,) bound on the error in the spectral norm: of J_l J_l^T, or of J_l in an exact sweep.
    """

    jacobian: Float[Tensor, "n n_l r"]
    error: Float[Tensor, " n"]


def sweep(
    first: Weight, weights: Sequence[Weight], slopes: Sequence[Float[Tensor, "n n_prev"]], *, exact: bool
) -> Iterator[Factor]:
    """Yield the factors of J_2, J_3, ...; weights and slopes are those of the layers 2, 3, ...

    ``exact`` reduces by QR, which keeps J_l to rounding; otherwise by Cholesky of Gram matrices, several times
    faster, which keeps J_l J_l^T to rounding: the accuracy that J_l's Gram matrix has anyway.
    """
    power = 1 if exact else 2
    jacobian, error = None, rounding(first.frobenius**power, first.matrix.shape[1])
    for weight, slope in zip(weights, slopes, strict=True):
        index, slope = _active(slope)
        reduced = (
            _first_reduced(first, index, slope, exact)
            if jacobian is None
            else _scaled_rows(jacobian, index, slope)
        )
        if reduced.shape[-2] < DENSE * reduced.shape[-1]:
            reduced = _square(reduced, exact)
        size = torch.linalg.matrix_norm(reduced)
        jacobian = (weight.matrix if index is None else _rows(weight.transposed, index).mT) @ reduced
        error = slope.abs().amax(-1) ** power * error + rounding(size**power, reduced.shape[-1])
        error = weight.norm**power * error + rounding(
            (weight.frobenius * size) ** power, max(len(weight.matrix), reduced.shape[-2])
        )
        yield Factor(jacobian, error)


def _first_reduced(first: Weight, index: Tensor | None, slope: Tensor, exact: bool) -> Float[Tensor, "n a r"]:
    """Return diag(slope) W_1 for the units in index, already square where W_1's own Gram matrix gives that."""
    if not exact and index is not None and index.shape[-1] < DENSE * first.matrix.shape[1]:
        places = index.unsqueeze(-1) * len(first.matrix) + index.unsqueeze(-2)
        gram = _rows(first.gram.view(-1), places)
        found = _cholesky(slope.unsqueeze(-1) * gram * slope.unsqueeze(-2))
        if found is not None:
            return found
    rows = first.matrix if index is None else _rows(first.matrix, index)
    return slope.unsqueeze(-1) * rows


def _scaled_rows(
    matrix: Float[Tensor, "n rows r"], index: Tensor | None, slope: Tensor
) -> Float[Tensor, "n a r"]:
    """Return diag(slope) matrix[index], each input with its own rows; None for all of them."""
    if index is not None:
        # all inputs' matrices as one tall one
        above = torch.arange(len(matrix), device=index.device).unsqueeze(-1) * matrix.shape[-2]
        matrix = _rows(matrix.reshape(-1, matrix.shape[-1]), above + index)
    return matrix if (slope == 1).all() else slope.unsqueeze(-1) * matrix


def _rows(table: Tensor, index: Int64[Tensor, "*shape"]) -> Tensor:
    """Return table[index], twice as fast on a CPU."""
    return table.index_select(0, index.reshape(-1)).view(*index.shape, *table.shape[1:])


def _square(matrix: Float[Tensor, "n a r"], exact: bool) -> Float[Tensor, "n a ..."]:
    """Return L (n, a, a) with L L^T = matrix matrix^T."""
    found = None if exact else _cholesky(matrix @ matrix.mT)
    return torch.linalg.qr(matrix.mT, mode="r").R.mT if found is None else found


def _cholesky(gram: Float[Tensor, "n a a"]) -> Float[Tensor, "n a a"] | None:
    """Return L with L L^T = gram, or None where one of the matrices is singular to rounding.

    A row that is zero because its input keeps fewer units than the group stays zero.
    """
    diagonal = gram.diagonal(dim1=-2, dim2=-1)
    empty = diagonal == 0
    diagonal += empty.to(gram.dtype)
    factor, info = torch.linalg.cholesky_ex(gram)
    return None if info.any() else factor.masked_fill_(empty.unsqueeze(-1), 0.0)


def _active(slope: Float[Tensor, "n units"]) -> tuple[Int64[Tensor, "n a"] | None, Float[Tensor, "n a"]]:
    """Return the units of non-zero slope and their slopes; None and all slopes where few are zero."""
    mask: Bool[Tensor, "n units"] = slope != 0
    most = max(1, int(mask.sum(-1).amax()))
    if most > DENSE * slope.shape[-1]:
        return None, slope
    index = mask.sort(dim=-1, descending=True, stable=True).indices[:, :most]
    return index, slope.gather(-1, index)
