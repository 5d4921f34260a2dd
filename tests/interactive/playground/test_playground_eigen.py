"""The page's eigenvalues and products of matrices against numpy's, with ties, zeros, and entries of all sizes."""

import numpy as np
import pytest
from playwright.sync_api import Error

pytestmark = pytest.mark.browser

UNIT = 2.0**-52
# Householder's reduction and QL are backward stable: what they find are the eigenvalues of a matrix that differs by a
# few n roundings of the norm. numpy's differ by as much; 4 is what both together are allowed. Seen: below 1.
ROUNDINGS = 4
VALUES = "return eigenvalues(Float64Array.from(given.a), given.n);"
VECTORS = "return eigenvectors(Float64Array.from(given.a), given.n);"


def symmetric(n, seed, *, power=1.0):
    a = np.random.default_rng(seed).normal(size=(n, n)) ** power
    return (a + a.T) / 2


def with_values(values, seed):
    """A symmetric matrix with these eigenvalues, up to rounding, in directions drawn at random."""
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(values), len(values))))
    a = q @ np.diag(values) @ q.T
    return (a + a.T) / 2


def graded(n, decades, seed):
    """Entry i, j is of size 10^(i + j), so scaled that i runs over this many decades."""
    size = np.logspace(0, decades, n)
    return symmetric(n, seed) * np.outer(size, size)


def tridiagonal(n, seed):
    diagonal, beside = np.random.default_rng(seed).normal(size=(2, n))
    return np.diag(diagonal) + np.diag(beside[1:], 1) + np.diag(beside[1:], -1)


def gram(rank, n, seed):
    b = np.random.default_rng(seed).normal(size=(n, rank))
    return b @ b.T


def wilkinson(half):
    """W+ of size 2 half + 1, whose largest eigenvalues are pairs that differ by less than a rounding."""
    i = np.abs(np.arange(-half, half + 1.0))
    return np.diag(i) + np.diag(np.ones(2 * half), 1) + np.diag(np.ones(2 * half), -1)


CASES = {
    **{f"random {n}": symmetric(n, n) for n in (1, 2, 3, 4, 5, 10, 31, 32, 33, 64)},
    **{f"Gram of rank {r}": gram(r, 32, r) for r in (1, 2, 3, 31)},
    "identity": np.eye(20),
    "a multiple of the identity": 0.1 * np.eye(7),
    "projection": with_values([1.0] * 5 + [0.0] * 11, 0),
    "three values, each five times": with_values([3.0] * 5 + [2.0] * 5 + [-1.0] * 5, 1),
    "the same block four times": np.kron(np.eye(4), symmetric(6, 2)),
    "all ones": np.ones((12, 12)),
    "zero": np.zeros((9, 9)),
    "zero 1 x 1": np.zeros((1, 1)),
    "minus 1 x 1": np.array([[-3.0]]),
    "swap": np.array([[0.0, 1.0], [1.0, 0.0]]),
    "a tie of two": np.array([[2.0, 0.0], [0.0, 2.0]]),
    "zeros around one entry": np.pad([[5.0]], (3, 4)),
    "diagonal": np.diag([3.0, -1.0, 0.0, 7.0, 7.0, 1e-9]),
    "tridiagonal": tridiagonal(40, 0),
    "tridiagonal with a zero diagonal": np.diag(np.ones(29), 1) + np.diag(np.ones(29), -1),
    "Wilkinson's": wilkinson(10),
    "graded up": graded(20, 8, 3),
    "graded down": graded(20, 8, 4)[::-1, ::-1].copy(),
    "graded over 150 decades": graded(12, 150, 5) * 1e-150,
    "graded into subnormal numbers": graded(12, 150, 6) * 1e-319,
    "entries of many sizes": symmetric(16, 7, power=15.0),
    "tiny": 1e-150 * symmetric(16, 8),
    "huge": 1e150 * symmetric(16, 9),
    "at the end of float64": 1e307 * gram(1, 8, 10) / 100,
    "subnormal": 1e-310 * symmetric(8, 11),
    "subnormal beside one": np.diag([1.0, 0, 0, 0])
    + 1e-310 * (np.diag([1.0] * 3, 1) + np.diag([1.0] * 3, -1)),
    # QL meets numbers here whose squares are subnormal: a rotation made of them would turn by the wrong angle
    "steps whose squares vanish": np.array([[0.0, 1e-144, 0.0], [1e-144, 0.0, 1e-14], [0.0, 1e-14, 1.0]]),
    "far below one, beside one": np.diag([1.0] + [0.0] * 7) + 1e-160 * symmetric(8, 12),
}


def error_of(a, n):
    """What rounding may do to an eigenvalue; of subnormal numbers a whole last place."""
    return ROUNDINGS * n * max(UNIT * np.linalg.norm(a, 2), 5e-324)


@pytest.mark.parametrize("name", CASES)
def test_eigenvalues(engine, name):
    a, n = CASES[name], len(CASES[name])
    found = np.array(engine(VALUES, a=a.flatten(), n=n))
    assert found.shape == (n,)
    assert (np.diff(found) <= 0).all()
    np.testing.assert_allclose(found, np.linalg.eigvalsh(a)[::-1], rtol=0, atol=error_of(a, n))


@pytest.mark.parametrize("name", CASES)
def test_eigenvectors(engine, name):
    a, n = CASES[name], len(CASES[name])
    found = engine(VECTORS, a=a.flatten(), n=n)
    values, vectors = np.array(found["values"]), np.reshape(found["vectors"], (n, n))
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(n), rtol=0, atol=ROUNDINGS * n * UNIT)
    np.testing.assert_allclose(values, np.linalg.eigvalsh(a)[::-1], rtol=0, atol=error_of(a, n))
    again = (vectors.T * values) @ vectors
    np.testing.assert_allclose(again, a, rtol=0, atol=2 * error_of(a, n))  # the product rounds as well


def test_a_diagonal_matrix_is_not_rounded_at_all(engine):
    values = [7.3, 0.1, 0.1, 1e-30, 0.0, -2.7]
    assert engine(VALUES, a=np.diag(np.roll(values, 2)).flatten(), n=6) == values


def test_only_the_triangle_below_the_diagonal_is_read(engine):
    a = symmetric(9, 0)
    spoilt = np.tril(a) + np.triu(np.ones((9, 9)), 1)
    for body in (VALUES, VECTORS):
        assert engine(body, a=a.flatten(), n=9) == engine(body, a=spoilt.flatten(), n=9)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("i", "j"), [(0, 0), (4, 1), (4, 4)])
@pytest.mark.parametrize("body", [VALUES, VECTORS])
def test_what_is_not_finite_is_an_error(engine, body, bad, i, j):
    a = symmetric(5, 0)
    a[i, j] = a[j, i] = bad
    with pytest.raises(Error, match="eigenvalues: an entry of the matrix is not finite"):
        engine(body, a=a.flatten(), n=5)


SIZES = [
    (1, 1, 1),
    (2, 3, 4),
    (3, 2, 5),
    (1, 7, 9),
    (9, 7, 1),
    (5, 1, 6),
    (6, 64, 7),
    (33, 32, 10),
    (32, 2, 32),
    (16, 8, 24),
]
PRODUCT = """const [a, b, out] = [Float64Array.from(given.a), Float64Array.from(given.b), new Float64Array(given.size).fill(NaN)];
return given.product(a, b, out, ...given.sizes);"""


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("name", ["times", "timesTransposed", "transposedTimes"])
def test_products(engine, name, sizes):
    n, k, m = sizes
    chance = np.random.default_rng(n + k + m)
    a = chance.normal(size=(n, k))
    b = chance.normal(size={"times": (k, m), "timesTransposed": (m, k), "transposedTimes": (n, m)}[name])
    expected = {
        "times": lambda: a @ b,
        "timesTransposed": lambda: a @ b.T,
        "transposedTimes": lambda: a.T @ b,
    }[name]()
    body = PRODUCT.replace("given.product", name)
    found = engine(body, a=a.flatten(), b=b.flatten(), size=expected.size, sizes=sizes)
    terms = n if name == "transposedTimes" else k
    atol = (
        terms * UNIT * np.abs(a).max() * np.abs(b).max() * terms
    )  # each of the sum's terms is rounded, in any order
    np.testing.assert_allclose(np.reshape(found, expected.shape), expected, rtol=0, atol=atol)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 9, 32])
@pytest.mark.parametrize("name", ["gram", "transposedGram"])
def test_gram_matrices_below_their_diagonals(engine, name, n):
    a = np.random.default_rng(n).normal(size=(n, 7) if name == "gram" else (7, n))
    body = PRODUCT.replace("given.product(a, b,", f"{name}(a,")
    found = engine(body, a=a.flatten(), b=[], size=n * n, sizes=a.shape)
    expected = a @ a.T if name == "gram" else a.T @ a
    atol = 7 * UNIT * np.abs(expected).max()
    np.testing.assert_allclose(
        np.tril(np.reshape(found, (n, n)), -1), np.tril(expected, -1), rtol=0, atol=atol
    )
    np.testing.assert_allclose(np.diag(np.reshape(found, (n, n))), np.diag(expected), rtol=0, atol=atol)
