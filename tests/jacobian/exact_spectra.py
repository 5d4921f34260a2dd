"""Spectra without rounding: products of integers, and eigenvalues to 40 digits by mpmath (which torch brings)."""

from collections.abc import Sequence
from fractions import Fraction

import mpmath
import numpy as np
import torch
from torch import Tensor, nn

from lrlib.nets import ChainLink


class Chain(nn.Module):
    """A chain rule with given weights and slopes; slopes are (n, units), and input i is that with x[i] = i."""

    def __init__(self, weights: Sequence[Tensor], slopes: Sequence[Tensor]):
        super().__init__()
        self.weights = nn.ParameterList(weights)
        self.slopes = slopes

    @property
    def x(self) -> Tensor:
        """The inputs, as many as there are slopes."""
        n, d = len(self.slopes[0]), self.weights[0].shape[1]
        return torch.arange(n, dtype=torch.float64).unsqueeze(-1).expand(n, d)

    def jacobian_chain(self, x: Tensor) -> list[ChainLink]:
        which = x[:, 0].long()
        slopes = [None, *(slope[which] for slope in self.slopes)]
        return [
            ChainLink(f"L{l}", weight.detach(), slope)
            for l, (weight, slope) in enumerate(zip(self.weights, slopes, strict=True), start=1)
        ]


def integers(matrix: Tensor) -> tuple[np.ndarray, int]:
    """Return integers and e with matrix = integers * 2^-e, exactly."""
    entries = [[Fraction(value) for value in row] for row in matrix.tolist()]
    e = max(entry.denominator for row in entries for entry in row).bit_length() - 1
    return np.array([[int(entry * 2**e) for entry in row] for row in entries], dtype=object), e


def exact_jacobians(chain: Chain, which: int) -> list[tuple[np.ndarray, int]]:
    """Return J_l of one input for every layer, as integers and e; J_l = integers * 2^-e."""
    found = [integers(chain.weights[0].detach())]
    for weight, slope in zip(chain.weights[1:], chain.slopes, strict=True):
        w, e_w = integers(weight.detach())
        s, e_s = integers(slope[which].unsqueeze(-1))
        previous, e = found[-1]
        found.append((w @ (s * previous), e_w + e_s + e))
    return found


def exact_squares(jacobian: np.ndarray, e: int) -> list[mpmath.mpf]:
    """Return the squared singular values of jacobian * 2^-e, descending, to 40 digits of the largest."""
    small = jacobian if jacobian.shape[0] <= jacobian.shape[1] else jacobian.T
    gram = small @ small.T
    with mpmath.workdps(40):
        scale = mpmath.mpf(max(1, max(gram.diagonal())))
        matrix = mpmath.matrix([[mpmath.mpf(value) / scale for value in row] for row in gram.tolist()])
        found = mpmath.eigsy(matrix, eigvals_only=True)
        return sorted((value * scale * mpmath.mpf(2) ** (-2 * e) for value in found), reverse=True)
