"""How much a code of a variational bottleneck knows of its input: bounds of I(X;Z) from both sides."""

import math

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from lrlib import _checks
from lrlib.bottleneck.vib import VIB, one_model
from lrlib.information import Estimate

BLOCK = 512  # rows of the (N, N) table of densities at a time


@torch.no_grad()
def information_bounds(
    vib: VIB, x: Float[Tensor, "n *d"], generator: torch.Generator, *, samples: int = 1
) -> tuple[Estimate, Estimate, Estimate]:
    r"""Return a lower and two upper bounds of I(X;Z), nats, for X of which the N rows of ``x`` are a sample.

    With z_i drawn from q(z|x_i), which is known (Poole, Ozair, van den Oord, Alemi & Tucker 2019, "structured bounds"),

    .. math:: \frac1N \sum_i \ln\frac{q(z_i|x_i)}{\frac1N \sum_j q(z_i|x_j)} \quad\text{and}\quad
              \frac1N \sum_i \ln\frac{q(z_i|x_i)}{\frac1{N-1} \sum_{j \ne i} q(z_i|x_j)}

    are on average below and above I(X;Z). The first cannot exceed ln N. The third is the rate, which is above by
    KL(q(z) || m(z)), whatever N.

    Args:
        vib: one model.
        x: (N, ...) inputs, N >= 2.
        generator: CPU generator of the draws.
        samples: draws of z for each input, >= 1.

    Returns:
        Lower bound (``cap`` ln N), leave-one-out upper bound, rate. ``stderr`` is over inputs, as if the mixtures
        in the denominators were fixed: standard deviation over sqrt(N).

    Raises ``TypeError`` or ``ValueError`` for arguments outside these rules.
    """
    one_model(vib)
    _checks.batch("x", x)
    _checks.integer("samples", samples, minimum=1)
    n = len(x)
    if n < 2:
        raise ValueError(f"x: has {n} rows; must be at least 2")
    mean, scale = (part.cpu().double() for part in vib.encode(x))  # in this order: MPS has no float64
    rate = vib.rate(x, generator, samples=samples).cpu().double()
    noise = torch.randn(samples, *mean.shape, generator=generator, dtype=torch.float64)
    ratios = torch.stack([_log_ratios(mean, scale, mean + scale * draw, draw) for draw in noise])
    lower, upper = ratios.mean(0).unbind(-1)
    draws = f"{samples} draw{'s' if samples > 1 else ''} for each input"
    return (
        _estimate(lower, "lower bound", f"known conditional against its mixture, {draws}", math.log(n)),
        _estimate(upper, "upper bound", f"known conditional against the others' mixture, {draws}", None),
        _estimate(rate, "upper bound", "rate: KL to the marginal", None),
    )


def _estimate(values: Tensor, kind: str, method: str, cap: float | None) -> Estimate:
    n = len(values)
    return Estimate(float(values.mean()), float(values.std()) / math.sqrt(n), kind, method, n=n, cap=cap)


def _log_ratios(mean: Tensor, scale: Tensor, z: Tensor, draw: Tensor) -> Float64[Tensor, "n 2"]:
    """Return ln q(z_i|x_i) less the log of the mixture of all x_j, and of all but x_i; common constants left out."""
    n = len(mean)
    log_scale = scale.log().sum(-1)
    own = -0.5 * draw.square().sum(-1) - log_scale
    # |(z_i - mean_j) / scale_j|^2 by products; centred, so that little is lost where the terms cancel
    centre = mean.mean(0)
    mean, z = mean - centre, z - centre
    precision = scale.square().reciprocal()
    constant = (mean.square() * precision).sum(-1) + 2 * log_scale
    found = torch.empty(n, 2, dtype=torch.float64)
    for start in range(0, n, BLOCK):
        rows = slice(start, start + BLOCK)
        squares = z[rows].square() @ precision.T - 2 * z[rows] @ (mean * precision).T + constant
        log_q = -0.5 * squares
        here = torch.arange(start, min(start + BLOCK, n))
        log_q[here - start, here] = own[rows]  # exact where it matters most
        found[rows, 0] = log_q.logsumexp(-1) - math.log(n)
        log_q[here - start, here] = -torch.inf
        found[rows, 1] = log_q.logsumexp(-1) - math.log(n - 1)
    return own[:, None] - found
