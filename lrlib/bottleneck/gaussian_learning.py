"""Learning the Gaussian bottleneck's encoder by descent, as evidence that its closed form is what descent finds."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from lrlib import _checks
from lrlib.bottleneck.table import LARGEST_BETA
from lrlib.information.canonical import canonical, whiten

GRADIENT = 1e-7  # converged: no entry of the gradient of L / beta is larger,
RELATIVE = 1e-3  # nor any of B^T times the gradient of L: then L is within about 1e-6 nats
CURVATURE = 1e-6  # a saddle: a curvature of L / beta below minus this
RANK_EPS = 1e-3  # singular values above this count for the learned rank
MEMORY = 20  # pairs of steps and gradient changes that L-BFGS keeps


@dataclass(frozen=True)
class LearnedGaussianIB:
    """An encoder T = A X + N(0, I) found by descent, with the evidence that it is a minimum.

    Attributes:
        beta: the trade-off.
        encoder: (d, d) float64, A.
        singular_values: (d,) float64, descending: of A Sigma_x^{1/2}.
        rank: number of singular values above ``eps``.
        eps: that threshold.
        i_xt, i_ty: I(X;T) and I(T;Y), nats.
        gradient_norm: largest entry of the gradient of L / beta, in white coordinates, in size.
        lowest_curvature: smallest eigenvalue of H / beta (see :func:`learn_gaussian_ib`); negative where a new row
            of A would lower the Lagrangian.
        iterations: of L-BFGS.
        converged: whether ``gradient_norm`` <= 1e-7, and B times the gradient of L, the change of L by the share that
            a row grows, is nowhere above 1e-3 nats. True at a saddle too.
        saddle: whether ``lowest_curvature`` < -1e-6, so that this is no minimum (B = 0 may be a maximum).
    """

    beta: float
    encoder: Float64[Tensor, "d d"]
    singular_values: Float64[Tensor, " d"]
    rank: int
    eps: float
    i_xt: float
    i_ty: float
    gradient_norm: float
    lowest_curvature: float
    iterations: int
    converged: bool
    saddle: bool

    @property
    def lagrangian(self) -> float:
        """I(X;T) - beta I(T;Y), nats; compare it with the closed form's."""
        return self.i_xt - self.beta * self.i_ty


def learn_gaussian_ib(
    cov_x: Float[Tensor, "d d"],
    cov_y: Float[Tensor, "m m"],
    cov_xy: Float[Tensor, "d m"],
    beta: float,
    *,
    init: float = 0.3,
    start: Float[Tensor, "d d"] | None = None,
    max_iterations: int = 2000,
    eps: float = RANK_EPS,
    generator: torch.Generator | None = None,
) -> LearnedGaussianIB:
    """Minimise L = I(X;T) - beta I(T;Y) over A by L-BFGS with a strong Wolfe line search, in float64.

    In white coordinates of x, A = B W with W Sigma_x W^T = I. With S = B^T B and Lambda = I - M M^T, M the covariance
    of white x and white y, I(X;T) = 1/2 ln det(I + S) and I(X;T|Y) = 1/2 ln det(I + B Lambda B^T). What is minimised
    is L / beta, whose size does not grow with beta. Beyond a beta of about 1e4 the minimum is flatter than float64
    resolves, below about 1e-4 the gradient of L / beta is too steep for its tolerance: ``converged`` is then False.

    The gradient of L by B is B H with H = (1 - beta) (I + S)^{-1} + beta Lambda^{1/2} (I + Lambda^{1/2} S
    Lambda^{1/2})^{-1} Lambda^{1/2}. A point with B H = 0 is the global minimum if and only if H has no negative
    eigenvalue (chapter 9 proves it), and otherwise no local minimum: a saddle, or at B = 0 perhaps a maximum. Both
    the gradient and that eigenvalue are reported.

    Args:
        cov_x, cov_y, cov_xy: as for :func:`lrlib.bottleneck.gaussian_ib`.
        beta: above 0.
        init: standard deviation of the entries of B at the start.
        start: A to start from, (d, d), in place of a random one.
        max_iterations: of L-BFGS.
        eps: threshold of the rank that is reported.
        generator: CPU generator of the start; default one seeded with 0.

    Raises:
        TypeError, ValueError: as :func:`lrlib.bottleneck.gaussian_ib`, and for a bad option.
    """
    _checks.number("beta", beta, exclusive=True, maximum=LARGEST_BETA)
    _checks.number("init", init, exclusive=True)
    _checks.number("eps", eps)
    _checks.integer("max_iterations", max_iterations, minimum=1)
    generator = _checks.cpu_generator("generator", generator)
    pair = whiten(cov_x, cov_y, cov_xy)
    d, r = len(cov_x), len(pair.white_x)
    noise = torch.eye(r, dtype=torch.float64) - pair.cross @ pair.cross.T  # Lambda
    if beta > 1 and canonical(cov_x, cov_y, cov_xy).deterministic:
        raise ValueError(
            f"cov_xy: a combination of x determines one of y; at beta={beta:g} > 1 the best encoder has infinite gain"
        )
    if start is None:
        b = init * torch.randn(d, r, generator=generator, dtype=torch.float64)
    else:
        _checks.matrix("start", start)
        if start.shape != (d, d):
            raise ValueError(f"start: shape is {tuple(start.shape)}; must be ({d}, {d})")
        start, cov_x = (m.detach().to("cpu", torch.float64) for m in (start, cov_x))
        b = start @ cov_x @ pair.white_x.T
    iterations = _descend(b.requires_grad_(), noise, beta, max_iterations) if r else 0
    return _result(b, noise, beta, iterations, eps, pair.white_x)


def _informations(b: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Return I(X;T) and I(T;Y) of T = B z + N(0, I), z white."""
    unit = torch.eye(len(b), dtype=b.dtype)
    i_xt = torch.linalg.slogdet(unit + b @ b.T)[1] / 2
    return i_xt, i_xt - torch.linalg.slogdet(unit + b @ noise @ b.T)[1] / 2


def _descend(b: Tensor, noise: Tensor, beta: float, max_iterations: int) -> int:
    """Minimise in place; return the number of iterations."""
    optimiser = torch.optim.LBFGS(
        [b],
        max_iter=max_iterations,
        max_eval=2 * max_iterations,
        tolerance_grad=GRADIENT / 100,
        tolerance_change=0.0,  # near a critical beta the loss hardly changes long before the gradient is small
        history_size=MEMORY,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        i_xt, i_ty = _informations(b, noise)
        loss = i_xt / beta - i_ty
        loss.backward()
        return loss

    optimiser.step(closure)
    return optimiser.state[b].get("n_iter", 0)


def _result(
    b: Tensor, noise: Tensor, beta: float, iterations: int, eps: float, white_x: Tensor
) -> LearnedGaussianIB:
    b = b.detach()
    i_xt, i_ty = _informations(b, noise)
    unit, s = torch.eye(b.shape[1], dtype=b.dtype), b.T @ b
    # Lambda^{1/2} (I + Lambda^{1/2} S Lambda^{1/2})^{-1} Lambda^{1/2} without the roots
    kept = torch.linalg.solve(unit + noise @ s, noise)
    h = ((1 - beta) * torch.linalg.inv(unit + s) + beta * (kept + kept.T) / 2) / beta
    singular_values = torch.zeros(len(b), dtype=b.dtype)
    singular_values[: b.shape[1]] = torch.linalg.svdvals(b)
    gradient_norm = (b @ h).abs().max().item() if b.numel() else 0.0
    relative = beta * (b @ h @ b.T).abs().max().item() if b.numel() else 0.0
    lowest = torch.linalg.eigvalsh(h)[0].item() if len(h) else 0.0
    return LearnedGaussianIB(
        float(beta),
        b @ white_x,
        singular_values,
        int((singular_values > eps).sum()),
        float(eps),
        i_xt.item(),
        i_ty.item(),
        gradient_norm,
        lowest,
        iterations,
        converged=gradient_norm <= GRADIENT and relative <= RELATIVE,
        saddle=lowest < -CURVATURE,
    )
