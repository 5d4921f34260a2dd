"""One input: information and slope of piecewise linear curves against brute force, closed forms and the limit."""

import math
from dataclasses import replace

import pytest
import torch

from lrlib.information.slope import finite_channel, gaussian_channel_mi, soft_rank
from lrlib.information.slope_curves import PiecewiseLinear, curve_of
from lrlib.nets import MLP
from lrlib.runtime import generator

EXACT = 1e-9  # quadrature with 16 nodes on panels narrower than the scale of the integrand
SIGMAS = 4.0  # standard errors: a chance of 1 in 16,000; seeds are fixed
POINTS = 2501  # of x and of y in brute force
BRUTE = (
    5e-5  # the trapezoid rule on them: spacing squared, at kinks of p; the ends of a uniform law are halved
)

RELU = PiecewiseLinear.through(torch.tensor([-1.0, 0, 1]), torch.tensor([0.0, 0, 1]))
HAT = PiecewiseLinear.through(torch.tensor([-3.0, -2, 0, 0.5, 1]), torch.tensor([0.0, 0, 1, -1, -1]))
CURVES = {
    "relu": RELU,
    "hat": HAT,
    "hat, uniform": replace(HAT, interval=(-1.0, 2.0)),
    "jump": PiecewiseLinear(torch.tensor([0.3]), torch.zeros(2, 1), torch.tensor([[0.0], [1.0]])),
    "absolute value": PiecewiseLinear.through(torch.tensor([-1.0, 0, 1]), torch.tensor([1.0, 0, 1])),
}


def brute(curve, sigma):
    """Return information and slope by sums over fine grids of x and y, with Bayes' rule and nothing else."""
    lo, hi = curve.interval or (-9.0, 9.0)
    x = torch.linspace(lo, hi, POINTS, dtype=torch.float64)
    mass = torch.exp(-x.square() / 2) if curve.interval is None else torch.ones(POINTS, dtype=torch.float64)
    mass[[0, -1]] /= 2
    mass = mass / mass.sum()
    t = curve(x)[:, 0]
    y = torch.linspace(t.min() - 10 * sigma, t.max() + 10 * sigma, POINTS, dtype=torch.float64)
    joint = torch.exp(-((y[:, None] - t) / sigma).square() / 2) / (sigma * math.sqrt(2 * math.pi)) * mass
    density = joint.sum(1)
    mean = joint @ t / density
    error = (joint @ t.square() - density * mean.square()).sum() * (y[1] - y[0])
    entropy = torch.special.entr(density).sum() * (y[1] - y[0])
    return float(entropy) - math.log(2 * math.pi * math.e * sigma**2) / 2, float(error) / sigma**2


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("sigma", [0.1, 0.5, 2.0])
def test_against_brute_force(name, sigma):
    found = CURVES[name].channel(sigma)
    # a jump is between two points of x: an error of the mass of one interval
    tolerance = 1e-2 if name == "jump" else BRUTE / min(sigma, 1.0) ** 2
    assert (found.mi, found.slope) == pytest.approx(brute(CURVES[name], sigma), abs=tolerance)


@pytest.mark.parametrize("sigma", [1e-6, 1e-3, 0.1, 1.0, 50.0])
def test_a_straight_line_is_the_gaussian_channel(sigma):
    line, s = (
        PiecewiseLinear(torch.zeros(0), torch.tensor([[2.0]]), torch.tensor([[0.3]])),
        torch.tensor([2.0]),
    )
    found = line.channel(sigma)
    assert found.mi == pytest.approx(gaussian_channel_mi(s, sigma).item(), rel=EXACT, abs=EXACT)
    assert found.slope == pytest.approx(soft_rank(s, sigma).item(), rel=EXACT)
    assert (found.mi_stderr, found.slope_stderr) == (0, 0)


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("sigma", [1e-4, 1e-2, 0.3])
def test_cutting_a_piece_changes_nothing(name, sigma):
    # exact truncated moments on pieces as narrow as 1e-9, and on pieces that start far out
    curve = CURVES[name]
    cuts = torch.tensor([-7.0, -0.5, -0.5 + 1e-9, -0.4999, 0.1, 1.5, 8.0], dtype=torch.float64)
    breaks = torch.cat([curve.breaks, cuts]).unique()
    inside = torch.cat([breaks[:1] - 1, (breaks[1:] + breaks[:-1]) / 2, breaks[-1:] + 1])
    piece = torch.bucketize(inside, curve.breaks)
    cut = PiecewiseLinear(breaks, curve.slopes[piece], curve.offsets[piece], curve.interval)
    found, whole = cut.channel(sigma), curve.channel(sigma)
    assert (found.mi, found.slope) == pytest.approx((whole.mi, whole.slope), abs=EXACT)


@pytest.mark.parametrize("slope", [0.1, 1e-3, 1e-6, 1e-9])
def test_a_faint_slope_keeps_its_digits(slope):
    # Var f(X) / sigma^2 (1 + O(slope^2)), with X uniform on (0, 1) and sigma = 1
    faint = PiecewiseLinear(torch.zeros(0), torch.tensor([[slope]]), torch.tensor([[5.0]]), (0.0, 1.0))
    assert faint.channel(1.0).slope == pytest.approx(slope**2 / 12, rel=max(slope**2, 1e-6))


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("sigma", [1e-4, 0.1, 1.0])
def test_the_slope_is_the_derivative_of_the_information(name, sigma):
    step = 1e-4
    fine, coarse = (CURVES[name].channel(sigma * math.exp(h)).mi for h in (-step, step))
    assert CURVES[name].channel(sigma).slope == pytest.approx((fine - coarse) / (2 * step), abs=1e-6)


NORMAL_TAIL = 0.5 * math.erfc(0.5 / math.sqrt(2))  # P(X > 0.5)
LIMITS = {
    "relu": 0.5,
    "hat": 1 - NORMAL_TAIL - 0.5 * math.erfc(math.sqrt(2)),  # flat below -2 and above 0.5
    "hat, uniform": 0.5,  # of (-1, 2), (-1, 0.5) is not flat
    "jump": 0.0,
    "absolute value": 1.0,
}


@pytest.mark.parametrize("name", CURVES)
def test_the_slope_tends_to_the_mass_of_the_pieces_that_are_not_flat(name):
    curve, limit = CURVES[name], LIMITS[name]
    assert curve.local_rank() == pytest.approx(limit, abs=1e-12)
    errors = [abs(curve.channel(sigma).slope - limit) for sigma in (1e-2, 1e-3, 1e-5)]
    # X is within sigma of an end of a piece with a probability of order sigma, up to a factor ln(1/sigma)
    for sigma, error in zip((1e-2, 1e-3, 1e-5), errors, strict=True):
        assert error <= 10 * sigma * math.log(1 / sigma)


def test_the_ratio_of_information_to_log_noise_tends_to_the_limit_more_slowly():
    sigma = 1e-8
    assert RELU.channel(sigma).mi / math.log(1 / sigma) == pytest.approx(0.5, abs=0.03)


def test_local_rank_with_a_threshold_is_the_mass_of_the_steeper_pieces():
    assert HAT.local_rank(0.4) == pytest.approx(LIMITS["hat"])
    assert HAT.local_rank(1.0) == pytest.approx(0.5 - NORMAL_TAIL)  # slope 4 on (0, 0.5), 1/2 on (-2, 0)
    assert HAT.local_rank(4.0) == 0  # strictly above


@pytest.mark.parametrize("sigma", [0.05, 0.5, 2.0])
def test_several_outputs_against_one(sigma):
    # (f, 0) and a rotation of it carry what f carries; the second output is noise
    turn = torch.tensor([[0.6, 0.8]], dtype=torch.float64)
    for interval in (None, (-1.0, 2.0)):
        curve = replace(HAT, interval=interval)
        turned = PiecewiseLinear(curve.breaks, curve.slopes @ turn, curve.offsets @ turn, interval)
        found, truth = turned.channel(sigma, draws=8000), curve.channel(sigma)
        assert abs(found.mi - truth.mi) < SIGMAS * found.mi_stderr < 0.1
        assert abs(found.slope - truth.slope) < SIGMAS * found.slope_stderr < 0.05


def test_a_curve_in_the_plane_against_many_points_of_it():
    corner = PiecewiseLinear.through(torch.tensor([-1.0, 0, 1]), torch.tensor([[0.0, 1], [0, 0], [1, 0.5]]))
    found = corner.channel(0.3, draws=8000)
    x = torch.special.ndtri((torch.arange(3000, dtype=torch.float64) + 0.5) / 3000)  # as good as N(0, 1) here
    points = finite_channel(corner(x), 0.3, draws=4000, generator=generator(5))
    assert abs(found.mi - points.mi) < SIGMAS * math.hypot(found.mi_stderr, points.mi_stderr) < 0.15
    assert (
        abs(found.slope - points.slope) < SIGMAS * math.hypot(found.slope_stderr, points.slope_stderr) < 0.1
    )


# --- networks ---------------------------------------------------------------------------------------------------------


def net(widths, seed=0, bias=True):
    made = MLP(widths, bias=bias, init="he", generator=generator(seed)).double()
    with torch.no_grad():
        for p in made.parameters():
            p += 0.3 * torch.randn(p.shape, generator=generator(seed + 1), dtype=torch.float64)
    return made


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("widths", [(1, 6, 1), (1, 20, 20, 20, 3)])
def test_every_kink_of_a_network_is_found(widths, bias):
    made = net(widths, bias=bias)
    x = torch.linspace(-9, 9, 5000, dtype=torch.float64)
    for layer, p in zip(made.layers, made.preactivations(x[:, None]), strict=True):
        curve = curve_of(made, layer)
        assert torch.allclose(curve(x), p, atol=1e-10)
        jacobian = torch.func.vmap(torch.func.jacrev(lambda z, l=layer: made.preactivations(z[None])[
            made.layers.index(l)][0]))(x[:, None])[..., 0]  # fmt: skip
        assert torch.allclose(curve.slopes[torch.bucketize(x, curve.breaks)], jacobian, atol=1e-10)
    kinks = (-made.L1.bias / made.L1.weight[:, 0]).detach().sort().values if bias else torch.zeros(1)
    assert torch.allclose(curve_of(made, "L2").breaks, kinks.to(torch.float64))


def test_a_trained_network_has_the_slope_of_brute_force():
    made, x = MLP([1, 16, 16, 1], generator=generator(0)), torch.linspace(-3, 3, 200)[:, None]
    optimiser = torch.optim.Adam(made.parameters(), lr=1e-2)
    for _ in range(300):
        loss = (made(x) - torch.relu(torch.sin(2 * x))).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    curve = curve_of(made)
    found = curve.channel(0.2)
    assert (found.mi, found.slope) == pytest.approx(brute(curve, 0.2), abs=BRUTE / 0.2**2)
    small = curve.channel(1e-7)
    assert small.slope == pytest.approx(curve.local_rank(1e-4), abs=1e-3)


# --- arguments --------------------------------------------------------------------------------------------------------

ONE = torch.ones(1, 1)


@pytest.mark.parametrize(
    ("call", "error", "rule"),
    [
        (lambda: PiecewiseLinear(torch.ones(2), ONE, ONE), ValueError, "breaks: .* strictly increasing"),
        (lambda: PiecewiseLinear(torch.ones(1), ONE, ONE), ValueError, r"must both be \(2, m\)"),
        (
            lambda: replace(RELU, interval=(1.0, 0.0)),
            ValueError,
            r"interval=\(1.0, 0.0\): must be \(lo, hi\)",
        ),
        (lambda: PiecewiseLinear.through(torch.ones(1), torch.ones(1)), ValueError, "with k >= 2"),
        (lambda: RELU.channel(0.0), ValueError, "sigma=0.0: must be finite and above 0"),
        (lambda: RELU.channel(1.0, draws=1), ValueError, "draws=1: must be at least 2"),
        (lambda: RELU.local_rank(-1.0), ValueError, "eps=-1.0: must be finite and at least 0"),
        (lambda: curve_of(net((2, 3, 1))), TypeError, "net: must be an lrlib MLP with one input and ReLU"),
        (lambda: curve_of(net((1, 3, 1)), "L9"), ValueError, "layer='L9': must be one of 'L1', 'L2'"),
    ],
)
def test_refusals(call, error, rule):
    with pytest.raises(error, match=rule):
        call()
