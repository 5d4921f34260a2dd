"""Covariances with known answers, for the tests of the Gaussian bottleneck."""

import torch
from torch import Tensor


def random_covariances(d: int, m: int, seed: int, *, factor: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    """Covariance blocks of d + m variables: a Wishart draw with ``factor`` times as many samples as variables."""
    g = torch.Generator().manual_seed(seed)
    draws = torch.randn(d + m, factor * (d + m), generator=g, dtype=torch.float64)
    return blocks(draws @ draws.T / draws.shape[1], d)


def blocks(joint: Tensor, d: int) -> tuple[Tensor, Tensor, Tensor]:
    """cov_x, cov_y, cov_xy of a joint covariance whose first d variables are x."""
    return joint[:d, :d], joint[d:, d:], joint[:d, d:]


def with_correlations(rho: list[float], seed: int | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Covariances with these canonical correlations, in random coordinates of x and y if there is a seed."""
    d = len(rho)
    eye, cross = torch.eye(d, dtype=torch.float64), torch.diag(torch.tensor(rho, dtype=torch.float64))
    if seed is None:
        return eye, eye, cross
    g = torch.Generator().manual_seed(seed)
    a, b = (eye + 0.3 * torch.randn(d, d, generator=g, dtype=torch.float64) for _ in range(2))
    return a @ a.T, b @ b.T, a @ cross @ b.T


def informations(a: Tensor, cov_x: Tensor, cov_y: Tensor, cov_xy: Tensor) -> tuple[float, float]:
    """I(X;T) and I(T;Y) of T = A X + N(0, I) by determinants of covariances: the definition, nothing whitened."""
    unit = torch.eye(len(a), dtype=torch.float64)
    cov_t = a @ cov_x @ a.T + unit
    cov_ty = a @ cov_xy
    joint = torch.cat([torch.cat([cov_t, cov_ty], 1), torch.cat([cov_ty.T, cov_y], 1)])
    log_det = [torch.linalg.slogdet(m)[1].item() for m in (cov_t, cov_y, joint)]
    return log_det[0] / 2, (log_det[0] + log_det[1] - log_det[2]) / 2


def lagrangian(a: Tensor, covariances: tuple[Tensor, Tensor, Tensor], beta: float) -> float:
    """I(X;T) - beta I(T;Y) of an encoder, nats."""
    i_xt, i_ty = informations(a, *covariances)
    return i_xt - beta * i_ty
