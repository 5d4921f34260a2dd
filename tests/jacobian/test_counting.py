"""The errors that lrlib.jacobian claims for Gram matrices and for SVDs, against spectra without rounding.

``jacobian_spectra(...).resolution`` is the claim: sqrt(error / lambda_1) for a Gram matrix, with the eigenvalue
solver's share, and error / sigma_1 for an SVD. A resolution asked as coarse as COARSE leaves all to Gram matrices.
"""

from fractions import Fraction

import mpmath
import pytest
import torch
from exact_spectra import Chain, exact_jacobians, exact_squares
from jacobian_cases import both, linear_network, orthogonal, with_spectrum

from lrlib import jacobian_counts, jacobian_spectra
from lrlib.runtime import generator

COARSE = 1e9
DOUBLE = torch.float64
BATCH = 3


def gaussian(rows, columns, l, g):
    return torch.randn(rows, columns, generator=g, dtype=DOUBLE)


def positive(rows, columns, l, g):
    return torch.rand(rows, columns, generator=g, dtype=DOUBLE)


def constant(rows, columns, l, g):
    return torch.full((rows, columns), 0.7 if l % 2 else 1 / 3, dtype=DOUBLE)


def ill_conditioned(rows, columns, l, g):
    return with_spectrum(torch.logspace(0, -12, min(rows, columns), dtype=DOUBLE), rows, columns, seed=l)


def graded(rows, columns, l, g):
    scales = torch.logspace(0, -8, rows, dtype=DOUBLE).unsqueeze(-1) * torch.logspace(0, 6 * (l % 2), columns)
    return scales * gaussian(rows, columns, l, g)


def of_orthonormal_rows_or_columns(rows, columns, l, g):
    return orthogonal(max(rows, columns), seed=l)[:rows, :columns]


def huge_and_tiny(rows, columns, l, g):
    return 10.0 ** (40 * (-1) ** l) * gaussian(rows, columns, l, g)


def cancelling(rows, columns, l, g):
    """The first layer's large part is in the second's null space."""
    weight = gaussian(rows, columns, l, g)
    u = orthogonal(rows if l == 0 else columns, seed=99)[:, :1]
    if l == 0:
        return weight + 1e6 * u @ gaussian(1, columns, l, g)
    return weight - (weight @ u) @ u.T if l == 1 else weight


FAMILIES = (
    gaussian,
    positive,
    constant,
    ill_conditioned,
    graded,
    of_orthonormal_rows_or_columns,
    huge_and_tiny,
    cancelling,
)


def random_chain(family, seed):
    """Two to seven layers, up to 14 wide; slopes of one, of zero and one, up to 1.1, and down to 1e-8."""
    g = generator(seed)
    depth, widest = 2 + seed % 6, (2, 5, 9, 14)[seed % 4]
    widths = torch.randint(max(1, widest // 2), widest + 1, (depth + 1,), generator=g).tolist()
    weights = [family(widths[l + 1], widths[l], l, g) for l in range(depth)]
    slopes = []
    for l in range(1, depth):
        uniform = torch.rand(BATCH, widths[l], generator=g, dtype=DOUBLE)
        kinds = (
            torch.ones_like(uniform),
            (uniform < 0.5).to(DOUBLE),
            1.1 * uniform,
            (uniform < 0.6) * 10 ** (-13 * uniform),
        )
        slopes.append(kinds[(seed + l) % 4 if seed % 3 else seed // 3 % 4])
    return Chain(weights, slopes)


def off_by(found, l, which, squares):
    """The largest error of one input's singular values, as a share of what layer l claims."""
    claimed = mpmath.mpf(found.resolution[l].item())
    shares = []
    for value, square in zip(found.values[l][which].tolist(), squares, strict=True):
        value, square, top = mpmath.mpf(value), max(square, 0), squares[0]
        if found.methods[l] == ("gram",):
            error, room = abs(value**2 - square), claimed**2 * top
        else:
            error, room = abs(value - mpmath.sqrt(square)), claimed * mpmath.sqrt(top)
        shares.append(float(error / room) if room else float(error > 0))
    return max(shares)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_the_claimed_error_bounds_the_true_one(family):
    worst, by_gram = 0.0, 0
    for seed in range(18):
        chain = random_chain(family, seed)
        # a group of inputs with zero rows filled up, and an input on its own
        for inputs in (range(BATCH), [seed % BATCH]):
            x = chain.x[list(inputs)]
            answers = [jacobian_spectra(chain, x, resolution=resolution) for resolution in (0.0, COARSE)]
            by_gram += sum(methods == ("gram",) for methods in answers[1].methods)
            for place, which in enumerate(inputs):
                for l, jacobian in enumerate(exact_jacobians(chain, which)):
                    squares = exact_squares(*jacobian)
                    worst = max(worst, *(off_by(found, l, place, squares) for found in answers))
    assert worst <= 1
    assert worst > 0.01  # the bound is within a factor of 100, so that the comparison says something
    assert by_gram > 45


@pytest.mark.parametrize("width", [16, 64, 256, 384])
@pytest.mark.parametrize("entry", [1 / 3, 0.1, 0.9])
def test_the_claimed_error_bounds_the_true_one_where_roundings_add_up(width, entry):
    """Constant weights: every partial sum is rounded the same way. J has sigma_1 = (entry * width)^depth."""
    x = torch.ones(1, width, dtype=DOUBLE)
    for depth in (1, 2, 3, 5):
        exact = (Fraction(entry) * width) ** depth
        net = linear_network(*[torch.full((width, width), entry, dtype=DOUBLE)] * depth)
        for _, module in both(net):
            by_svd, by_gram = (
                jacobian_spectra(module, x, resolution=resolution) for resolution in (0.0, COARSE)
            )
            off = abs(Fraction(by_svd.values[-1][0, 0].item()) - exact)
            assert off <= Fraction(by_svd.resolution[-1].item()) * exact
            off = abs(Fraction(by_gram.values[-1][0, 0].item()) ** 2 - exact**2)
            power = 2 if by_gram.methods[-1] == ("gram",) else 1
            assert off <= Fraction(by_gram.resolution[-1].item()) ** power * exact**2 * (3 - power)


@pytest.mark.parametrize("width", [16, 64, 256])
def test_counts_are_right_or_ties_within_roundings_of_the_only_singular_value(width):
    """As above, of counts: thresholds up to 250 * 2^-53 sigma_1 from sigma_1, on both sides."""
    x = torch.ones(1, width, dtype=DOUBLE)
    exact = (Fraction(0.9) * width) ** 2
    net = linear_network(*[torch.full((width, width), 0.9, dtype=DOUBLE)] * 2)
    for _, module in both(net):
        for steps in range(-250, 251, 25):
            eps = float(exact * (1 + Fraction(steps, 2**53)))
            found = jacobian_counts(module, x, eps)
            assert found.values[0, -1, 0] == (exact > eps) or found.ties[0, -1, 0]


def test_integers_are_multiplied_without_error():
    """Where all sums are exact the spectrum of an integer matrix of known factors is, too, to the solver's error."""
    g = generator(0)
    for seed in range(20):
        signs = 2.0 * torch.randint(0, 2, (8,), generator=g).double() - 1
        order = torch.randperm(8, generator=generator(seed))
        scale = torch.tensor([64.0, 32, 16, 8, 4, 2, 1, 0], dtype=DOUBLE)
        permuted = torch.eye(8, dtype=DOUBLE)[order]
        net = linear_network(permuted * signs, torch.diag(scale)[order], permuted)
        for _, module in both(net):
            found = jacobian_spectra(module, torch.ones(1, 8, dtype=DOUBLE))
            assert torch.equal(found.values[-1][0], scale)
            counts = jacobian_counts(module, torch.ones(1, 8, dtype=DOUBLE), scale + 0.5)
            assert counts.values[0, -1].tolist() == list(range(8))
