"""The slope of information in log-noise, exact, for a piecewise linear curve: one input, m outputs.

Y = f(X) + sigma Z, X ~ N(0, 1) or uniform on an interval, f linear on pieces. Given y and the piece, X is a truncated
normal number, so the density of Y, ``E[f(X)|y]`` and ``Var[f(X)|y]`` are finite sums in closed form. For one output the
expectation over y is an integral by quadrature; for several it is a mean over draws.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor, nn

from lrlib import _checks
from lrlib.information.slope import AT_ONCE, ChannelReading, deviation, reading

REACH = 9.0  # a standard normal number lies beyond with probability 2e-19
NODES = 16  # of Gauss-Legendre on a panel, no wider than the scale on which the density of Y changes
GROWTH = 1.5  # panels grow by this factor with the distance from an end of a piece
NARROW = 1.0  # a truncated normal law narrower than this many of its deviations is integrated by quadrature

LOG_ROOT_2PI = math.log(2 * math.pi) / 2
_GAUSS = tuple(torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(NODES))


@dataclass(frozen=True, eq=False)
class PiecewiseLinear:
    """f(x) = offsets[i] + slopes[i] x on piece i of the line, and the law of X.

    Attributes:
        breaks: (k,) float64, strictly increasing; piece 0 is left of the first, piece k right of the last.
        slopes, offsets: (k + 1, m) float64. Jumps at the breaks are allowed.
        interval: None for X ~ N(0, 1); (lo, hi) for X uniform on it.

    Raises ``TypeError`` or ``ValueError`` for arguments outside these rules.

    >>> relu = PiecewiseLinear.through(torch.tensor([-1.0, 0, 1]), torch.tensor([0.0, 0, 1]))
    >>> relu.local_rank(), round(relu.channel(1e-6).slope, 4)
    (0.5, 0.5)
    """

    breaks: Float64[Tensor, " k"]
    slopes: Float64[Tensor, "k+1 m"]
    offsets: Float64[Tensor, "k+1 m"]
    interval: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        for name in ("breaks", "slopes", "offsets"):
            _checks.real_floating(name, getattr(self, name))
            _checks.finite(name, getattr(self, name))
            object.__setattr__(self, name, getattr(self, name).detach().to("cpu", torch.float64))
        shape = tuple(self.slopes.shape)
        if self.breaks.ndim != 1 or (self.breaks.diff() <= 0).any():
            raise ValueError(
                f"breaks: shape is {tuple(self.breaks.shape)}; must be (k,), strictly increasing"
            )
        if len(shape) != 2 or shape[0] != len(self.breaks) + 1 or shape != tuple(self.offsets.shape):
            raise ValueError(
                f"slopes, offsets: shapes are {shape}, {tuple(self.offsets.shape)}; must both be "
                f"({len(self.breaks) + 1}, m), a row for each piece"
            )
        if self.interval is not None and not -math.inf < self.interval[0] < self.interval[1] < math.inf:
            raise ValueError(f"interval={self.interval}: must be (lo, hi), finite, with lo < hi")

    @classmethod
    def through(
        cls, x: Tensor, values: Tensor, *, interval: tuple[float, float] | None = None
    ) -> "PiecewiseLinear":
        """Return the continuous curve through values (k,) or (k, m) at the increasing x (k,), k >= 2.

        Beyond the first and the last x it goes on straight.
        """
        _checks.real_floating("x", x)
        _checks.real_floating("values", values)
        if x.ndim != 1 or len(x) < 2 or values.shape[:1] != x.shape or (x.diff() <= 0).any():
            raise ValueError(
                f"x, values: shapes are {tuple(x.shape)}, {tuple(values.shape)}; must be (k,), increasing, and (k,) "
                "or (k, m), with k >= 2"
            )
        x, values = x.double(), values.double().reshape(len(x), -1)
        slopes = values.diff(dim=0) / x.diff()[:, None]
        return cls(x[1:-1], slopes, values[:-1] - slopes * x[:-1, None], interval)

    def __call__(self, x: Float64[Tensor, " n"]) -> Float64[Tensor, "n m"]:
        """Return f at each x."""
        piece = torch.bucketize(x, self.breaks)
        return self.offsets[piece] + self.slopes[piece] * x[:, None]

    def local_rank(self, eps: float = 0.0) -> float:
        """Return the probability that X lies where the length of f' exceeds eps: LR^eps, exact; eps = 0 gives LR."""
        _checks.number("eps", eps)
        _, lo, hi = self._pieces()
        if self.interval is None:
            mass = torch.special.ndtr(hi) - torch.special.ndtr(lo)
        else:
            mass = (hi - lo) / (self.interval[1] - self.interval[0])
        return float(mass[self._kept().slopes.norm(dim=1) > eps].sum())

    def channel(
        self, sigma: float, *, draws: int = 4000, generator: torch.Generator | None = None
    ) -> ChannelReading:
        """Return I(X; f(X) + sigma Z) in nats and its slope.

        For one output both come from quadrature, to about 1e-9; for several they are means over ``draws`` (>= 2) of Y,
        drawn with ``generator`` (CPU; None: one seeded with 0), exact given Y, with standard errors.

        Raises ``TypeError`` or ``ValueError`` unless sigma is finite and above 0, and for a bad draws or generator.
        """
        sigma = deviation(sigma)
        _checks.integer("draws", draws, minimum=2)
        generator = _checks.cpu_generator("generator", generator)
        m = self.slopes.shape[1]
        noise_entropy = m / 2 * math.log(2 * math.pi * math.e * sigma**2)
        if m == 1:
            y, weight = self._nodes(sigma)
            log_density, slope = self._given(y, sigma)
            mass = weight * log_density.exp()
            return ChannelReading(
                sigma, float(-(mass * log_density).sum()) - noise_entropy, float(mass @ slope)
            )
        noise = torch.randn(draws, m, generator=generator, dtype=torch.float64)
        log_density, slope = self._given(self(self._draw(draws, generator)) + sigma * noise, sigma)
        # ln p(y | x) of the same draw in place of its mean: the two logarithms vary together
        log_ratio = -noise.square().sum(1) / 2 + m / 2 - noise_entropy - log_density
        return reading(sigma, log_ratio, slope)

    def _draw(self, n: int, generator: torch.Generator) -> Float64[Tensor, " n"]:
        if self.interval is None:
            return torch.randn(n, generator=generator, dtype=torch.float64)
        lo, hi = self.interval
        return lo + (hi - lo) * torch.rand(n, generator=generator, dtype=torch.float64)

    def _pieces(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return which pieces X can lie on, and their ends."""
        far = torch.tensor([math.inf], dtype=torch.float64)
        lo, hi = torch.cat([-far, self.breaks]), torch.cat([self.breaks, far])
        if self.interval is not None:
            lo, hi = lo.clamp(*self.interval), hi.clamp(*self.interval)
        kept = hi > lo
        return kept, lo[kept], hi[kept]

    def _kept(self) -> "PiecewiseLinear":
        kept, lo, _ = self._pieces()
        return PiecewiseLinear(lo[1:], self.slopes[kept], self.offsets[kept], self.interval)

    def _nodes(self, sigma: float) -> tuple[Float64[Tensor, "q 1"], Float64[Tensor, " q"]]:
        """Return nodes and weights for integrals over y, dense near the images of the ends of pieces.

        Near such an image the density of Y changes on the scale of sigma, or of the distance from it; elsewhere on the
        scale of a slope, which is that of the distance to the end of its piece, or more.
        """
        kept, lo, hi = self._pieces()
        ends = torch.stack([lo, hi]).clamp(-REACH, REACH) if self.interval is None else torch.stack([lo, hi])
        images = (self.offsets[kept] + self.slopes[kept] * ends[..., None]).flatten()
        first, last = images.min() - REACH * sigma, images.max() + REACH * sigma
        far = max(1, math.ceil(math.log(max(float(last - first) / sigma, 1.0)) / math.log(GROWTH)))
        offsets = sigma * torch.cat(
            [torch.arange(1, 13), 12 * GROWTH ** torch.arange(1, far + 1, dtype=torch.float64)]
        )
        offsets = torch.cat([-offsets, torch.zeros(1, dtype=torch.float64), offsets])
        cuts = (images[:, None] + offsets).clamp(first, last).flatten().unique()
        nodes, weights = _GAUSS
        half = cuts.diff()[:, None] / 2
        return (cuts[:-1, None] + half * (1 + nodes)).reshape(-1, 1), (half * weights).flatten()

    def _given(self, y: Float64[Tensor, "n m"], sigma: float) -> tuple[Tensor, Tensor]:
        """Return ln p(y) and E[|f(X) - E[f(X)|y]|^2 | y] / sigma^2, (n,) each."""
        kept, lo, hi = self._pieces()
        pieces = (self.slopes[kept], self.offsets[kept], lo, hi)
        parts = y.split(max(1, AT_ONCE // (8 * self.slopes.numel())))
        found = [self._given_part(part, sigma, *pieces) for part in parts]
        return torch.cat([a for a, _ in found]), torch.cat([b for _, b in found])

    def _given_part(self, y: Tensor, sigma: float, b: Tensor, a: Tensor, lo: Tensor, hi: Tensor) -> tuple:
        m, length = y.shape[1], b.norm(dim=1)
        unit = b / torch.where(length > 0, length, 1.0)[:, None]
        off = y[:, None] - a
        along = (off * unit).sum(-1)  # (n, pieces)
        across = (off - along[..., None] * unit).square().sum(-1) / sigma**2
        if self.interval is None:  # f(X) on the extended piece is normal: variance length^2 along b, 0 across
            total = sigma**2 + length.square()
            log_piece = -(across + along.square() / total + (total / sigma**2).log()) / 2
            centre, scale = along * length / total, (sigma**2 / total).sqrt()
        else:  # X, without its ends, would be normal around the nearest point of the piece's line
            flat = length * (hi - lo) < 1e-12 * sigma
            steep = torch.where(flat, 1.0, length)
            log_piece = -across / 2 + LOG_ROOT_2PI + math.log(sigma) - steep.log()
            log_piece = log_piece - math.log(self.interval[1] - self.interval[0])
            centre, scale = along / steep, sigma / steep
            level = (
                -(across + (along / sigma).square()) / 2
                + ((hi - lo) / (self.interval[1] - self.interval[0])).log()
            )
        log_mass, mean, var = _truncated(centre, scale, lo, hi)
        log_piece = log_piece + log_mass
        if self.interval is not None:
            log_piece = torch.where(flat, level, log_piece)
        share = log_piece.softmax(1)
        image = a + b * mean[..., None]
        away = image - (share[..., None] * image).sum(1, keepdim=True)
        spread = (share * (length.square() * var + away.square().sum(-1))).sum(1) / sigma**2
        return log_piece.logsumexp(1) - m / 2 * math.log(2 * math.pi * sigma**2), spread


def curve_of(net: nn.Module, layer: str | None = None) -> PiecewiseLinear:
    """Return p_l of a ReLU ``MLP`` with one input as a :class:`PiecewiseLinear`: every kink found, one layer at a time.

    On a piece each unit of a layer is a linear function of x; where one crosses zero, the piece is cut.

    Args:
        net: an ``lrlib.nets.MLP`` with ``widths[0] == 1`` and ReLU.
        layer: its name; default the last.

    Raises:
        TypeError, ValueError: for another net, or a name that it does not have.

    >>> from lrlib.nets import MLP
    >>> net = MLP([1, 5, 5, 2], generator=torch.Generator().manual_seed(0)).double()
    >>> x = torch.linspace(-3, 3, 100, dtype=torch.float64)
    >>> torch.allclose(curve_of(net)(x), net(x[:, None]))
    True
    """
    if getattr(net, "activation", None) != "relu" or getattr(net, "widths", (0,))[0] != 1:
        raise TypeError(f"net: must be an lrlib MLP with one input and ReLU, not {net}")
    layer = net.layers[-1] if layer is None else layer
    _checks.one_of("layer", layer, net.layers)
    breaks = torch.zeros(0, dtype=torch.float64)
    slopes, offsets = torch.ones(1, 1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
    for name in net.layers:
        linear = net.get_submodule(name)
        weight = linear.weight.detach().to("cpu", torch.float64)
        slopes, offsets = slopes @ weight.T, offsets @ weight.T
        if linear.bias is not None:
            offsets = offsets + linear.bias.detach().to("cpu", torch.float64)
        if name == layer:
            return PiecewiseLinear(breaks, slopes, offsets)
        breaks, slopes, offsets = _relu(breaks, slopes, offsets)
    raise AssertionError("unreachable: layer is one of net.layers")


def _relu(breaks: Tensor, slopes: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return ReLU of a piecewise linear map, entry by entry: cut the pieces at its zeros, then set what is off to 0."""
    far = breaks.new_tensor([math.inf])
    lo, hi = torch.cat([-far, breaks])[:, None], torch.cat([breaks, far])[:, None]
    zeros = -offsets / slopes  # infinite or NaN where a unit does not change: no zero there
    cuts = torch.cat([breaks, zeros[(zeros > lo) & (zeros < hi)]]).unique()
    inside = breaks.new_zeros(1)  # a point of each piece
    if len(cuts):
        inside = torch.cat([cuts[:1] - 1, (cuts[1:] + cuts[:-1]) / 2, cuts[-1:] + 1])
    parent = torch.bucketize(inside, breaks)
    slopes, offsets = slopes[parent], offsets[parent]
    on = offsets + slopes * inside[:, None] > 0
    return cuts, slopes * on, offsets * on


def _truncated(centre: Tensor, scale: Tensor, lo: Tensor, hi: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return ln P(lo < X < hi), and mean and variance of X given that, for X ~ N(centre, scale^2)."""
    a, b, width = (lo - centre) / scale, (hi - centre) / scale, (hi - lo) / scale
    flip = a + b > 0  # to the left tail, where ln Phi keeps its digits
    a, b = torch.where(flip, -b, a), torch.where(flip, -a, b)
    wide, narrow = _wide(a, b), _narrow((a + b) / 2, width)
    log_mass, mean, var = (torch.where(width < NARROW, n, w) for n, w in zip(narrow, wide, strict=True))
    mean = torch.where(flip, -mean, mean)
    return log_mass, (centre + scale * mean).clamp(lo, hi), scale.square() * var


def _wide(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return ln mass, mean and variance of a standard normal number in (a, b), by the formulas with phi and Phi."""
    log_b = torch.special.log_ndtr(b)
    log_mass = log_b + torch.log1p(-(torch.special.log_ndtr(a) - log_b).exp().clamp_max(1 - 1e-16))
    at_a, at_b = ((-end.square() / 2 - LOG_ROOT_2PI - log_mass).exp() for end in (a, b))
    mean = at_a - at_b
    moment = 1 + torch.where(a.isinf(), 0.0, a * at_a) - torch.where(b.isinf(), 0.0, b * at_b)
    # where (a, b) lies so far out that the difference has no digits left, the weight of the piece has none either
    return log_mass, mean, (moment - mean.square()).clamp(0, 1)


def _narrow(middle: Tensor, width: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the same by quadrature, for widths below ``NARROW``, where the formulas are differences of near equals."""
    nodes, weights = _GAUSS
    # a ray is not narrow, and its answer not used: any finite numbers will do
    half = (width / 2).clamp_max(NARROW)[..., None]
    middle = middle.nan_to_num(0.0, 0.0, 0.0)
    x = half * nodes
    log_density = -middle[..., None] * x - x.square() / 2  # relative to the middle's
    top = log_density.amax(-1, keepdim=True)
    mass = weights * half * (log_density - top).exp()
    total = mass.sum(-1)
    mean = (mass * x).sum(-1) / total
    var = (mass * (x - mean[..., None]).square()).sum(-1) / total
    return total.log() + top[..., 0] - middle.square() / 2 - LOG_ROOT_2PI, middle + mean, var
