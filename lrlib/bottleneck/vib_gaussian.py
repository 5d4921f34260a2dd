"""The variational bottleneck where its optimum is known: Gaussian data, linear encoder, linear decoder."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from lrlib import _checks
from lrlib.bottleneck.vib import SHIFT, VIB
from lrlib.information import checks
from lrlib.nets import MLP

GRADIENT = 1e-5  # converged: no entry of the gradient of D + beta R, in white coordinates, is larger
DEPENDENT = 1e-12  # a column with less of its own, as a share of the largest, is a combination of the others
MEMORY = 20  # pairs of steps and gradient changes that L-BFGS keeps


@dataclass(frozen=True)
class GaussianVIB:
    """A VIB with linear encoder and decoder, fitted to real-valued x and y.

    Attributes:
        beta: the price of a nat of rate, as in "minimise D + beta R".
        vib: the model, float64, from x less its sample mean to y less its own; its scale is the same at every x.
        distortion: E[-ln d(y|z)], nats (of a density: it may be negative).
        rate: E KL(q(z|x) || N(0, I)), nats, an upper bound of I(X;Z).
        singular_values: (min(d, K),) descending, of diag(1 / scale) A Sigma_x^{1/2}, Sigma_x of the sample (divisor n).
        gradient_norm: largest entry of the gradient of D + beta R in size, in coordinates in which x and y are white.
        converged: whether that is at most 1e-5: a stationary point.
    """

    beta: float
    vib: VIB
    distortion: float
    rate: float
    singular_values: Float64[Tensor, " k"]
    gradient_norm: float
    converged: bool


class _LinearEncoder(nn.Module):
    """mean = A x, raw scale = a constant for each coordinate."""

    def __init__(self, weight: Tensor, raw_scale: Tensor) -> None:
        super().__init__()
        self.weight, self.raw_scale = nn.Parameter(weight), nn.Parameter(raw_scale)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x @ self.weight.T, self.raw_scale.expand(len(x), -1)], -1)


def fit_gaussian_vib(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "n m"],
    beta: float,
    *,
    code: int | None = None,
    init: float = 0.3,
    max_iterations: int = 2_000,
    generator: torch.Generator | None = None,
) -> GaussianVIB:
    """Minimise D + beta R over linear encoders z ~ N(A x, diag(scale^2)) and decoders N(B z, C), C any covariance.

    No noise is drawn: with R the residual covariance E[(y - B z)(y - B z)^T] over sample and noise,
    D = 1/2 ln det(2 pi e R) at the best C, C = R, and E over z is in closed form. L-BFGS with a strong Wolfe line
    search, float64, in coordinates in which the sample covariances of x and of y are I: units do not matter. Sample means
    are taken off x and y.

    For this loss beta is 1 / beta of :func:`lrlib.bottleneck.gaussian_ib`, of which it is a bound that is tight at the
    optimum: direction i of x is kept where beta < rho_i^2, rho_i the sample's canonical correlations.

    Args:
        x: (n, d) with independent columns, n > d.
        y: (n, m) with independent columns, n > m, no combination of which is a linear function of x.
        beta: above 0.
        code: K, by default d.
        init: standard deviation of the entries of A at the start, in those coordinates.
        max_iterations: of L-BFGS.
        generator: CPU generator of the start; default one seeded with 0.

    Raises:
        TypeError, ValueError: for arguments outside these rules.
    """
    x, y = checks.samples("x", x), checks.samples("y", y)
    checks.same_length(x, y)
    _checks.number("beta", beta, exclusive=True)
    _checks.number("init", init, exclusive=True)
    _checks.integer("max_iterations", max_iterations, minimum=1)
    generator = _checks.cpu_generator("generator", generator)
    n, d = x.shape
    code = d if code is None else code
    _checks.integer("code", code, minimum=1)
    (white, r), (white_y, r_y) = _whitened("x", x), _whitened("y", y)
    if torch.linalg.matrix_norm(white.T @ white_y / n, 2) >= 1 - DEPENDENT:
        raise ValueError(
            "y: a combination of its columns is a linear function of x; then no distortion is lowest"
        )
    options = {"generator": generator, "dtype": torch.float64}
    start = init * torch.randn(code, d, **options)
    unit = math.log(math.expm1(1.0)) + SHIFT  # the raw scale at which softplus(raw - SHIFT) = 1
    encoder = _LinearEncoder(start, torch.full((code,), unit, dtype=torch.float64))
    decoder = MLP([code, y.shape[1]], bias=False, init="he", generator=generator).double()
    vib = VIB(encoder, decoder, code=code)

    def loss() -> tuple[Tensor, Tensor]:
        return _expected_distortion(vib, white, white_y), vib.rate(white).mean()

    _descend(vib, loss, beta, max_iterations)
    distortion, rate = loss()
    gradients = torch.autograd.grad(distortion + beta * rate, list(vib.parameters()))
    gradient_norm = max(g.abs().max().item() for g in gradients)
    with torch.no_grad():
        scale = vib.encode(white[:1])[1][0]
        singular_values = torch.linalg.svdvals(encoder.weight / scale[:, None])
        encoder.weight.copy_(torch.linalg.solve_triangular(r, encoder.weight.T, upper=True).T)
        decoder.L1.weight.copy_(r_y.T @ decoder.L1.weight)
    return GaussianVIB(
        float(beta),
        vib,
        (distortion + r_y.diagonal().abs().log().sum()).item(),
        rate.item(),
        singular_values,
        gradient_norm,
        converged=gradient_norm <= GRADIENT,
    )


def _whitened(name: str, value: Float64[Tensor, "n d"]) -> tuple[Tensor, Tensor]:
    """Return white (n, d) and the triangular r (d, d) with ``value - mean = white @ r``."""
    n, d = value.shape
    r = torch.linalg.qr((value - value.mean(0)) / math.sqrt(n)).R if n > d else torch.zeros(d, d)
    if r.diagonal().abs().min() <= DEPENDENT * r.diagonal().abs().max():
        raise ValueError(f"{name}: its {d} columns are linearly dependent over {n} rows; must be independent")
    return torch.linalg.solve_triangular(r, value - value.mean(0), upper=True, left=False), r


def _expected_distortion(vib: VIB, x: Tensor, y: Tensor) -> Tensor:
    """Return 1/2 ln det(2 pi e R), R the residual covariance over the sample and the code's noise."""
    mean, scale = vib.encode(x)
    b = vib.decoder.get_submodule(vib.decoder.layers[0]).weight
    residual = y - mean @ b.T
    r = residual.T @ residual / len(x) + (b * scale.square().mean(0)) @ b.T
    return 0.5 * (torch.linalg.slogdet(r)[1] + y.shape[1] * (1 + math.log(2 * math.pi)))


def _descend(vib: VIB, loss: Callable[[], tuple[Tensor, Tensor]], beta: float, max_iterations: int) -> None:
    optimiser = torch.optim.LBFGS(
        vib.parameters(),
        max_iter=max_iterations,
        max_eval=2 * max_iterations,
        tolerance_grad=GRADIENT / 1000,
        tolerance_change=0.0,  # near a critical beta the loss hardly changes long before the gradient is small
        history_size=MEMORY,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        distortion, rate = loss()
        total = distortion + beta * rate
        total.backward()
        return total

    optimiser.step(closure)
