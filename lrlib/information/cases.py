"""Cases with a known mutual information: samplers that know their own exact answer, to measure estimators against.

The kinds of case are those of Czyż, Grabowski, Vogt, Beerenwinkel & Marx 2023, "Beyond Normal" (arXiv 2306.11078):
normal vectors, dense and sparse; smooth one-to-one maps of them, which leave mutual information as it is; heavy tails
(Student); additive noise. Cases with a ``noise_var`` are channels, y = x + N(0, noise_var I): estimators that know the
noise (the KDE bounds, the log-determinant) apply to these only.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from lrlib import _checks
from lrlib.information.gaussian import gaussian_mi

Sampler = Callable[[int, torch.Generator], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Case:
    """A joint distribution of x and y that can be sampled, and its mutual information.

    ``name`` is its key in ``CASES``; ``title`` and ``text``, a sentence, are for readers; ``dims`` are the
    dimensions of x and of y; ``mi`` is I(X; Y) in nats, exact but for rounding; ``noise_var`` is the variance of the
    noise of each entry where y = x + N(0, noise_var I), else ``None``.
    """

    name: str
    title: str
    text: str
    dims: tuple[int, int]
    mi: float
    draw: Sampler = field(repr=False)
    noise_var: float | None = None

    def sample(
        self, n: int, generator: torch.Generator
    ) -> tuple[Float[Tensor, "n d_x"], Float[Tensor, "n d_y"]]:
        """Return ``n`` independent pairs, float64, drawn with ``generator``, which is on the CPU.

        Raises ``TypeError`` or ``ValueError`` unless ``n`` is an integer >= 1.

        >>> x, y = CASES["normal-0.75"].sample(3, torch.Generator().manual_seed(0))
        >>> tuple(x.shape), tuple(y.shape), round(CASES["normal-0.75"].mi, 4)
        ((3, 1), (3, 1), 0.4133)
        """
        _checks.integer("n", n, minimum=1)
        return self.draw(n, _checks.cpu_generator("generator", generator))


def _randn(n: int, d: int, generator: torch.Generator) -> Tensor:
    return torch.randn(n, d, generator=generator, dtype=torch.float64)


def _dense(d: int, correlation: float) -> Tensor:
    """Return the correlation matrix (d, d) in which every two variables have this correlation."""
    return correlation + (1 - correlation) * torch.eye(d, dtype=torch.float64)


def _pairs(d: int, correlations: tuple[float, ...]) -> Tensor:
    """Return the matrix (2d, 2d) in which x_i and y_i are correlated for the first few i, and nothing else is."""
    matrix = torch.eye(2 * d, dtype=torch.float64)
    for i, correlation in enumerate(correlations):
        matrix[i, d + i] = matrix[d + i, i] = correlation
    return matrix


def _normal_mi(cov: Tensor, d_x: int) -> float:
    """Return the information of normal x and y, for a joint covariance whose first ``d_x`` rows are those of x."""
    return gaussian_mi(cov[:d_x, :d_x], cov[d_x:, d_x:], cov[:d_x, d_x:])


def _normal(cov: Tensor, d_x: int) -> Sampler:
    root = torch.linalg.cholesky(cov)

    def draw(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        z = _randn(n, len(cov), generator) @ root.T
        return z[:, :d_x], z[:, d_x:]

    return draw


def _student_correction(dof: int, d_x: int, d_y: int) -> float:
    """Return what the shared scale of a Student vector adds to the normal's mutual information.

    From the entropy of a multivariate Student distribution: g(dof) + g(dof + d_x + d_y) - g(dof + d_x) - g(dof + d_y)
    with g(k) = ln Gamma(k/2) - (k/2) psi(k/2).
    """

    def g(k: int) -> float:
        return math.lgamma(k / 2) - k / 2 * torch.digamma(torch.tensor(k / 2, dtype=torch.float64)).item()

    return g(dof) + g(dof + d_x + d_y) - g(dof + d_x) - g(dof + d_y)


def _student(cov: Tensor, d_x: int, dof: int) -> Sampler:
    normal = _normal(cov, d_x)

    def draw(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        x, y = normal(n, generator)
        chi2 = _randn(n, dof, generator).square().sum(1, keepdim=True)  # one scale for x and y: it ties them
        scale = (chi2 / dof).sqrt()
        return x / scale, y / scale

    return draw


def _mapped(draw: Sampler, map_x: Callable[[Tensor], Tensor], map_y: Callable[[Tensor], Tensor]) -> Sampler:
    def mapped(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        x, y = draw(n, generator)
        return map_x(x), map_y(y)

    return mapped


def _half_cube(x: Tensor) -> Tensor:
    return x.sign() * x.abs() ** 1.5


def _spiral(i: int, j: int) -> Callable[[Tensor], Tensor]:
    """Return the map that turns the plane of entries i and j by the angle |x|^2 / 3; it keeps |x|, so it is one-to-one."""

    def turn(x: Tensor) -> Tensor:
        angle = x.square().sum(1) / 3
        turned = x.clone()
        turned[:, i] = angle.cos() * x[:, i] - angle.sin() * x[:, j]
        turned[:, j] = angle.sin() * x[:, i] + angle.cos() * x[:, j]
        return turned

    return turn


def _additive_uniform(e: float) -> Sampler:
    def draw(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        u = torch.rand(n, 2, generator=generator, dtype=torch.float64)
        x = u[:, :1]
        return x, x + e * (2 * u[:, 1:] - 1)

    return draw


def _additive_uniform_mi(e: float) -> float:
    """Return h(Y) - ln 2e for X uniform on [0, 1] and noise uniform on [-e, e]: Y's density is a trapezium."""
    return e - math.log(2 * e) if e <= 0.5 else 1 / (4 * e)


def _channel(draw_x: Callable[[int, torch.Generator], Tensor], noise_var: float) -> Sampler:
    def draw(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        x = draw_x(n, generator)
        return x, x + math.sqrt(noise_var) * _randn(n, x.shape[1], generator)

    return draw


def _corners(spread: float) -> Callable[[int, torch.Generator], Tensor]:
    """Return the sampler of normal clusters, of variance ``spread``, at the corners (+-1, +-1) of a square."""

    def draw(n: int, generator: torch.Generator) -> Tensor:
        signs = torch.randint(2, (n, 2), generator=generator).double() * 2 - 1
        return signs + math.sqrt(spread) * _randn(n, 2, generator)

    return draw


def _corners_mi(spread: float, noise_var: float) -> float:
    """Return the mutual information of the channel with clusters at the corners of a square, by quadrature.

    The two coordinates are independent and alike. In each, y is +-1 plus N(0, spread + noise_var), and
    I = h(Y) - h(noise). The trapezoid rule converges exponentially for a smooth density that has died out at both
    ends: 20,001 points over 12 standard deviations beyond the centres leave an error below 1e-12.
    """
    sd = math.sqrt(spread + noise_var)
    y = torch.linspace(-1 - 12 * sd, 1 + 12 * sd, 20_001, dtype=torch.float64)
    at = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
    log_parts = -0.5 * ((y - at) / sd).square() - math.log(2 * sd * math.sqrt(2 * math.pi))
    log_density = torch.logsumexp(log_parts, 0)
    entropy = -torch.trapezoid(log_density.exp() * log_density, y).item()
    return 2 * (entropy - 0.5 * math.log(2 * math.pi * math.e * noise_var))


def _normal_case(name: str, title: str, text: str, cov: Tensor, *, maps: tuple | None = None) -> Case:
    d_x = len(cov) // 2
    draw = _normal(cov, d_x) if maps is None else _mapped(_normal(cov, d_x), *maps)
    return Case(name, title, text, (d_x, d_x), _normal_mi(cov, d_x), draw)


def _student_case(name: str, title: str, text: str, cov: Tensor, dof: int) -> Case:
    d_x = len(cov) // 2
    mi = _normal_mi(cov, d_x) + _student_correction(dof, d_x, d_x)
    return Case(name, title, text, (d_x, d_x), mi, _student(cov, d_x, dof))


def _uniform_case(name: str, title: str, text: str, e: float) -> Case:
    return Case(name, title, text, (1, 1), _additive_uniform_mi(e), _additive_uniform(e))


def _normal_channel(name: str, title: str, text: str, d: int, noise_var: float) -> Case:
    """Return the channel of d independent N(0, 1) entries: d/2 ln(1 + 1/noise_var) nats."""
    draw = _channel(lambda n, generator: _randn(n, d, generator), noise_var)
    return Case(name, title, text, (d, d), d / 2 * math.log1p(1 / noise_var), draw, noise_var)


_CORRELATED = _pairs(1, (0.75,))
_SATURATING = 1 / math.expm1(4)  # ten entries of 2 nats each
_SPREAD, _CORNER_NOISE = 0.01, 0.05

_ALL = (
    _normal_case("independent", "Independent", "Two independent vectors: nothing to find.", _pairs(5, ())),
    _normal_case("normal-0.5", "Normal, ρ = 0.5", "Two numbers, weakly correlated.", _pairs(1, (0.5,))),
    _normal_case("normal-0.75", "Normal, ρ = 0.75", "Two numbers, correlated.", _CORRELATED),
    _normal_case("normal-0.99", "Normal, ρ = 0.99", "Two numbers that nearly agree.", _pairs(1, (0.99,))),
    _normal_case(
        "normal-cdf",
        "Normal, uniform margins",
        "The normal of ρ = 0.75 with each number sent through the normal distribution function.",
        _CORRELATED,
        maps=(torch.special.ndtr, torch.special.ndtr),
    ),
    _normal_case(
        "half-cube",
        "Normal, half-cube",
        "The normal of ρ = 0.75 with each number x replaced by sign(x) |x|^1.5: longer tails.",
        _CORRELATED,
        maps=(_half_cube, _half_cube),
    ),
    _normal_case(
        "asinh",
        "Normal, asinh",
        "The normal of ρ = 0.75 with each number x replaced by asinh(x): shorter tails.",
        _CORRELATED,
        maps=(torch.asinh, torch.asinh),
    ),
    _normal_case(
        "dense-5x5",
        "Normal, dense, 5 × 5",
        "Ten numbers, every two of correlation 0.5; five of them are x.",
        _dense(10, 0.5),
    ),
    _normal_case(
        "dense-25x25",
        "Normal, dense, 25 × 25",
        "Fifty numbers, every two of correlation 0.5; half of them are x.",
        _dense(50, 0.5),
    ),
    _normal_case(
        "sparse-25x25",
        "Normal, sparse, 25 × 25",
        "Fifty numbers, of which two pairs are correlated (0.8) and the rest is noise.",
        _pairs(25, (0.8, 0.8)),
    ),
    _normal_case(
        "spiral-3x3",
        "Spiral, 3 × 3",
        "Two pairs of correlation 0.8 among six numbers; then x and y are each wound into a spiral.",
        _pairs(3, (0.8, 0.8)),
        maps=(_spiral(0, 1), _spiral(1, 2)),
    ),
    _student_case(
        "student-1",
        "Student, 1 degree of freedom",
        "Two numbers with tails so heavy that they have no mean (Cauchy), of correlation parameter 0.75.",
        _CORRELATED,
        dof=1,
    ),
    _student_case(
        "student-3-2x2",
        "Student, 3 degrees, 2 × 2, uncorrelated",
        "No correlation at all: x and y share only the scale of each draw.",
        _pairs(2, ()),
        dof=3,
    ),
    _student_case(
        "student-5-2x2",
        "Student, 5 degrees, 2 × 2",
        "Heavy tails and two correlated pairs (0.5).",
        _pairs(2, (0.5, 0.5)),
        dof=5,
    ),
    _uniform_case(
        "additive-uniform-0.1",
        "Uniform noise, ±0.1",
        "x is uniform on [0, 1], y is x plus uniform noise on [-0.1, 0.1]: edges everywhere.",
        0.1,
    ),
    _uniform_case(
        "additive-uniform-0.75",
        "Uniform noise, ±0.75",
        "x is uniform on [0, 1], y is x plus uniform noise on [-0.75, 0.75], wider than x itself.",
        0.75,
    ),
    _normal_channel("channel-1", "Channel, 1 number", "y is a normal number x plus noise.", 1, noise_var=0.1),
    _normal_channel(
        "channel-10",
        "Channel, 10 numbers",
        "y is x plus noise as large as x, in 10 dimensions.",
        10,
        noise_var=1.0,
    ),
    _normal_channel(
        "channel-20-nats",
        "Channel, 20 nats",
        "y is x plus little noise, in 10 dimensions: 20 nats, more than ln N for any sample one could draw.",
        10,
        noise_var=_SATURATING,
    ),
    Case(
        "channel-clusters",
        "Channel, four clusters",
        "x lies in four narrow clusters at the corners of a square; y is x plus noise.",
        (2, 2),
        _corners_mi(_SPREAD, _CORNER_NOISE),
        _channel(_corners(_SPREAD), _CORNER_NOISE),
        _CORNER_NOISE,
    ),
)

#: All cases by name, in the order in which tables and figures show them.
CASES: dict[str, Case] = {case.name: case for case in _ALL}
