"""A sandwich of the slope of information in log-noise for any differentiable map of X ~ N(0, I_d).

Y = p(X) + sigma Z, and mmse / sigma^2 is the slope. Draw x_0 and then y: x_0 is an exact draw of the posterior given y.

- Lower bound. A Markov chain that is reversible for the posterior goes from x_0 to x_1, x_2, ... Then
  ``E|p(x_s) - p(x_{s+t})|^2 / 2`` = mmse - autocovariance at lag t, and for even t a reversible chain's autocovariance
  is not negative (for the kernel K and centred p it is ``<p, K^t p> = |K^{t/2} p|^2``). The bound rises to mmse with t.
- Upper bound. No function of y comes nearer to p(x_0), in mean square, than ``E[p(X)|y]``. The function taken here is the
  mean of p over a chain of the same kind whose start is found from y alone; or the best affine function of y, if that
  comes nearer by the same draws (so that the smaller of two equally good means is low by a share of its standard error),
  whose bound is sum_i lambda_i / (lambda_i + sigma^2) for the eigenvalues of the covariance of p(X).

The bounds hold whether or not the chains mix; where they mix badly the bounds part.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from lrlib import _checks
from lrlib.information.slope import deviation

Map = Callable[[Tensor], Tensor]

# The longest move of a step in any direction is drawn anew at each step, whatever the state: a mixture of reversible
# kernels is reversible, and some length fits every state. One in six, FULL_SHARE / (1 + FULL_SHARE), is 1, the scale of the prior; the logarithms of
# the others are uniform down to the shortest, SHORTEST * sigma / (root of the total variance of p).
SHORTEST, FULL_SHARE = 0.3, 0.2
BANK = 10_000  # draws of X among which the upper chain looks for its start


@dataclass(frozen=True)
class SlopeBounds:
    """Bounds on dI(X; p(X) + sigma Z) / d ln(1/sigma), and how the chains that they come from moved.

    Attributes:
        sigma: standard deviation of the noise.
        lower, lower_stderr: the lower bound, in directions, and its standard error over the independent y.
        upper, upper_stderr: the same for the upper bound.
        acceptance: share of the proposals accepted, over both chains.
        pairs: how many independent y.
        steps: of each chain; the lower bound is at the lag ``2 * (steps // 4)``.
    """

    sigma: float
    lower: float
    lower_stderr: float
    upper: float
    upper_stderr: float
    acceptance: float
    pairs: int
    steps: int


def slope_bounds(
    p: Map,
    sigma: float,
    *,
    dimension: int,
    pairs: int = 200,
    steps: int = 200,
    generator: torch.Generator | None = None,
) -> SlopeBounds:
    """Return a lower and an upper bound on the slope of I(X; p(X) + sigma Z) against ln(1/sigma), for X ~ N(0, I_d).

    Args:
        p: takes float64 (n, d) to float64 (n, m), row by row, and torch can differentiate it: a network in double, or
            one layer, ``lambda x: net.preactivations(x)[1]``. For another law of X put a map in front: for N(mu, A A^T)
            that is ``lambda z: net(mu + z @ A.T)``, for uniform X the normal distribution function.
        sigma: standard deviation of the noise, > 0.
        dimension: d, an integer >= 1.
        pairs: independent draws of (X, Y), >= 2. The standard error is sqrt(2 * slope / pairs) for chains that do not move, and
            several times smaller where they mix.
        steps: of the chains, >= 4. More steps bring the bounds together, and cost as much more.
        generator: on the CPU; None: one seeded with 0.

    The chain is a manifold MALA without the metric's derivatives (Girolami & Calderhead 2011): its proposals, from the
    local normal posterior with precision G(x) = I + J^T J / sigma^2, are exact for a linear p, and the
    Metropolis-Hastings ratio with G at both ends makes them right for any p. For the lower bound it is enough that it
    moves within one valley of the posterior wherever p differs by sigma; the upper bound is loose where it has not found
    the valley. Time grows as pairs * steps * (d^3 + m n_params).

    Raises:
        TypeError, ValueError: for an argument outside these rules, or if p gives something else.

    >>> found = slope_bounds(lambda x: 3 * x[:, :1], 1.0, dimension=2, pairs=400, steps=20)
    >>> abs(found.lower - 0.9) < 4 * found.lower_stderr, found.acceptance  # 3^2 / (3^2 + 1), of a linear map
    (True, 1.0)
    """
    sigma = deviation(sigma)
    _checks.integer("dimension", dimension, minimum=1)
    _checks.integer("pairs", pairs, minimum=2)
    _checks.integer("steps", steps, minimum=4)
    generator = _checks.cpu_generator("generator", generator)

    x, bank = _normal(pairs, dimension, generator), _normal(BANK, dimension, generator)
    truth, bank_values = _values(p, x), _values(p, bank)
    y = truth + sigma * _normal(pairs, truth.shape[1], generator)
    shortest = SHORTEST / (math.sqrt(float(bank_values.var(0).sum())) or 1.0)
    start = _found(p, y, sigma, bank, bank_values, shortest, steps // 2, generator)
    both = State.joined(State.at(p, x, y, sigma), start)
    values, acceptance = _run(p, both, torch.cat([y, y]), sigma, shortest, steps, generator)

    lag, exact = 2 * (steps // 4), values[:, :pairs]
    lower = _mean((exact[lag:] - exact[:-lag]).square().sum(-1) / (2 * sigma**2))
    linear = _linear_estimate(y, sigma, bank_values)
    found = _estimate(values[steps // 4 :, pairs:], y, sigma, linear)
    # each x_s is a draw of the posterior, as x_0 is, and the estimates know of none of them
    upper = min(_mean((exact - estimate).square().sum(-1) / sigma**2) for estimate in (found, linear))
    return SlopeBounds(sigma, *lower, *upper, acceptance, pairs, steps)


@dataclass(frozen=True)
class State:
    """Where n chains stand, each with a y of its own, and what the next proposal needs to know there.

    Of p at ``x`` (n, d): its ``value`` (n, m), ``jacobian`` (n, m, d), and J^T J = axes diag(squares) axes^T, with
    ``axes`` (n, d, d) and ``squares`` (n, d). Of the posterior: ``log_posterior`` (n,), up to a constant; ``metric``
    (n, d), the eigenvalues 1 + squares / sigma^2 of G = I + J^T J / sigma^2; ``shift`` (n, d) = G^-1 times the gradient,
    along the axes: x + axes shift is the posterior's mean if p is linear.
    """

    x: Float64[Tensor, "n d"]
    value: Float64[Tensor, "n m"]
    jacobian: Float64[Tensor, "n m d"]
    axes: Float64[Tensor, "n d d"]
    squares: Float64[Tensor, "n d"]
    log_posterior: Float64[Tensor, " n"]
    metric: Float64[Tensor, "n d"]
    shift: Float64[Tensor, "n d"]

    @classmethod
    def at(cls, p: Map, x: Float64[Tensor, "n d"], y: Float64[Tensor, "n m"], sigma: float) -> "State":
        """Return the state of chains that stand at x."""
        value, jacobian = value_and_jacobian(p, x)
        jacobian = jacobian.nan_to_num(0.0, 0.0, 0.0)  # where p is not finite, which no chain accepts
        squares, axes = torch.linalg.eigh(jacobian.mT @ jacobian)
        return cls._of((x, value, jacobian, axes, squares.clamp_min(0)), y, sigma)

    @classmethod
    def _of(cls, map_at_x: tuple[Tensor, ...], y: Tensor, sigma: float) -> "State":
        x, value, jacobian, axes, squares = map_at_x
        off, metric = (y - value) / sigma, 1 + squares / sigma**2
        gradient = (jacobian.mT @ off[..., None])[..., 0] / sigma - x
        shift = (axes.mT @ gradient[..., None])[..., 0] / metric
        return cls(*map_at_x, -(x.square().sum(1) + off.square().sum(1)) / 2, metric, shift)

    @classmethod
    def joined(cls, first: "State", second: "State") -> "State":
        """Return one state of the chains of both."""
        return cls(**{name: torch.cat([part, vars(second)[name]]) for name, part in vars(first).items()})

    def believing(self, y: Float64[Tensor, "n m"], sigma: float) -> "State":
        """Return the state at the same x for another noise."""
        return self._of((self.x, self.value, self.jacobian, self.axes, self.squares), y, sigma)

    def where(self, accept: Tensor, proposed: "State") -> "State":
        """Return the state in which the chains that accept have moved."""
        return State(
            **{
                name: torch.where(accept.reshape(-1, *[1] * (part.ndim - 1)), vars(proposed)[name], part)
                for name, part in vars(self).items()
            }
        )

    def renewed(self, length: Float64[Tensor, "n 1"]) -> Float64[Tensor, "n d"]:
        """Return r, the share of the local normal posterior's variance that a step draws anew, axis by axis.

        That posterior has the deviation metric^(-1/2) along an axis, and x -> mean + sqrt(1 - r) (x - mean) +
        sqrt(r) deviation Z leaves it as it is. r is 1 where the deviation is below ``length``; elsewhere the step is
        as long as ``length``.
        """
        return (length.square() * self.metric).clamp_max(1)


def towards_mean(share: Float64[Tensor, "n d"]) -> Float64[Tensor, "n d"]:
    """Return 1 - sqrt(1 - r), without cancellation where r is small."""
    return share / (1 + (1 - share).sqrt())


def step(
    p: Map,
    state: State,
    y: Float64[Tensor, "n m"],
    sigma: float,
    length: Float64[Tensor, "n 1"],
    generator: torch.Generator,
) -> tuple[State, Tensor]:
    """Return every chain's next state, and which of them accepted: one draw of a kernel that keeps the posterior."""
    share = state.renewed(length)
    draw = _normal(*state.x.shape, generator) * (share / state.metric).sqrt()
    move = (state.axes @ (towards_mean(share) * state.shift + draw)[..., None])[..., 0]
    proposed = State.at(p, state.x + move, y, sigma)
    log_ratio = (
        proposed.log_posterior - state.log_posterior
    )  # NaN, and no move, where p leaves float64's range
    log_ratio = log_ratio + log_proposal(proposed, state, length) - log_proposal(state, proposed, length)
    accept = torch.rand(len(y), generator=generator, dtype=torch.float64).log() < log_ratio
    return state.where(accept, proposed), accept


def log_proposal(start: State, end: State, length: Float64[Tensor, "n 1"]) -> Float64[Tensor, " n"]:
    """Return the log-density of proposing ``end.x`` from ``start``, but for a constant of both directions."""
    share = start.renewed(length)
    gap = (start.axes.mT @ (end.x - start.x)[..., None])[..., 0] - towards_mean(share) * start.shift
    precision = start.metric / share
    return (precision.log() - precision * gap.square()).sum(1) / 2


def lengths(shortest: float, n: int, generator: torch.Generator) -> Float64[Tensor, "n 1"]:
    """Return the longest move that each of n chains may propose in this step."""
    power = torch.rand(n, 1, generator=generator, dtype=torch.float64) * (1 + FULL_SHARE) - FULL_SHARE
    return min(shortest, 1.0) ** power.clamp_min(0)


def _run(
    p: Map, state: State, y: Tensor, sigma: float, shortest: float, steps: int, generator: torch.Generator
) -> tuple[Float64[Tensor, "steps+1 n m"], float]:
    """Return p along the chains, the start included, and the share of proposals that were accepted."""
    values, accepted = [state.value], 0
    for _ in range(steps):
        state, accept = step(p, state, y, sigma, lengths(shortest * sigma, len(y), generator), generator)
        values.append(state.value)
        accepted += int(accept.sum())
    return torch.stack(values), accepted / (steps * len(y))


def _found(
    p: Map,
    y: Float64[Tensor, "n m"],
    sigma: float,
    bank: Float64[Tensor, "N d"],
    bank_values: Float64[Tensor, "N m"],
    shortest: float,
    steps: int,
    generator: torch.Generator,
) -> State:
    """Return states near the posterior of each y, found from y and from draws that know nothing of x_0.

    The start is the draw of the bank whose p is nearest to y. The noise then falls from that distance to sigma; at each
    level the chain takes one step of the kernel, and one downhill, which takes it out of poor fits.
    """
    gap, nearest = torch.cdist(y, bank_values).min(1)
    top = max(sigma, math.sqrt(float(gap.square().mean()) / y.shape[1]))
    state = State.at(p, bank[nearest], y, top)
    for level in range(1, steps + 1):
        noise = top * (sigma / top) ** (level / steps)
        state = state.believing(y, noise)
        state, _ = step(p, state, y, noise, lengths(shortest * noise, len(y), generator), generator)
        state = _downhill(p, state, y, noise, lengths(shortest * noise, len(y), generator))
    return state


def _linear_estimate(
    y: Float64[Tensor, "n m"], sigma: float, bank_values: Float64[Tensor, "N m"]
) -> Float64[Tensor, "n m"]:
    """Return the best estimate of p(X) that is affine in y, for the covariance of the bank."""
    m, centre = y.shape[1], bank_values.mean(0)
    cov = torch.cov(bank_values.T).reshape(m, m)
    gain = torch.linalg.solve(cov + sigma**2 * torch.eye(m, dtype=torch.float64), cov)
    return centre + (y - centre) @ gain


def _estimate(
    chain: Float64[Tensor, "T n m"], y: Float64[Tensor, "n m"], sigma: float, linear: Float64[Tensor, "n m"]
) -> Float64[Tensor, "n m"]:
    """Return the chain's mean, or the linear estimate where the chain is lost: a function of y.

    Over y and its posterior ``|y - p|^2 / sigma^2`` has the mean m. A chain whose mean is more than four deviations of a
    chi-square beyond has not found where y came from.
    """
    m = y.shape[1]
    lost = (chain - y).square().sum(-1).mean(0) / sigma**2 > m + 4 * math.sqrt(2 * m)
    return torch.where(lost[:, None], linear, chain.mean(0))


def _mean(terms: Float64[Tensor, "T n"]) -> tuple[float, float]:
    """Return the mean over the chain and the y, and its standard error over the independent y."""
    of_each = terms.mean(0)
    return float(of_each.mean()), float(of_each.std()) / math.sqrt(len(of_each))


def _downhill(p: Map, state: State, y: Tensor, sigma: float, length: Float64[Tensor, "n 1"]) -> State:
    """Return the state after a Gauss-Newton step damped to about ``length``, where that raises the log-posterior."""
    damped = state.metric * state.shift / (state.metric + length.pow(-2))
    proposed = State.at(p, state.x + (state.axes @ damped[..., None])[..., 0], y, sigma)
    return state.where(proposed.log_posterior > state.log_posterior, proposed)


@torch.no_grad()
def value_and_jacobian(
    p: Map, x: Float64[Tensor, "n d"]
) -> tuple[Float64[Tensor, "n m"], Float64[Tensor, "n m d"]]:
    """Return p and its Jacobian at each x."""
    value = p(x)
    jacobian = torch.func.jacfwd if value.shape[1] > x.shape[1] else torch.func.jacrev
    return value, torch.func.vmap(jacobian(lambda z: p(z[None])[0]))(x).detach()


@torch.no_grad()
def _values(p: Map, x: Float64[Tensor, "n d"]) -> Float64[Tensor, "n m"]:
    """Return p at draws of X; raise for a map that :func:`slope_bounds` refuses."""
    value = p(x)
    if not isinstance(value, Tensor) or value.dtype != torch.float64:
        raise TypeError(
            f"p: gives {getattr(value, 'dtype', type(value))}; must give torch.float64 (net.double())"
        )
    if value.ndim != 2 or len(value) != len(x) or value.shape[1] == 0:
        raise ValueError(f"p: gives shape {tuple(value.shape)} for {tuple(x.shape)}; must be ({len(x)}, m)")
    _checks.finite("p(x)", value)
    return value


def _normal(n: int, d: int, generator: torch.Generator) -> Float64[Tensor, "n d"]:
    return torch.randn(n, d, generator=generator, dtype=torch.float64)
