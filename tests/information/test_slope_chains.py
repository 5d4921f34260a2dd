"""The sandwich: against closed forms, the exact one-dimensional slope, and the invariance that its bounds rest on."""

import math

import pytest
import torch

import lrlib
from lrlib.information import slope_chains
from lrlib.information.slope import linearised_slope, soft_rank
from lrlib.information.slope_chains import State, lengths, slope_bounds, step
from lrlib.information.slope_curves import PiecewiseLinear, curve_of
from lrlib.nets import MLP
from lrlib.runtime import generator

SIGMAS = 4.0  # standard errors: a chance of 1 in 16,000; seeds are fixed
MIXED = (
    0.1  # share of the slope by which bounds from 100 steps that mix well may lie apart, beside their errors
)
RELU = PiecewiseLinear.through(torch.tensor([-1.0, 0, 1]), torch.tensor([0.0, 0, 1]))


def normal(n, d, seed):
    return torch.randn(n, d, generator=generator(seed), dtype=torch.float64)


def assert_holds(bounds, truth):
    """Both bounds hold, but for sampling, and they are tight."""
    assert bounds.lower - SIGMAS * bounds.lower_stderr <= truth <= bounds.upper + SIGMAS * bounds.upper_stderr
    assert bounds.lower + SIGMAS * bounds.lower_stderr >= (1 - MIXED) * truth
    assert bounds.upper - SIGMAS * bounds.upper_stderr <= (1 + MIXED) * truth


# --- the kernel -------------------------------------------------------------------------------------------------------


def bent(x):
    """A smooth map whose slopes vary by a factor of 10 and more where X is likely."""
    return torch.stack([torch.sinh(x[:, 0]) + x[:, 1] ** 2, 2 * x[:, 1]], 1)


MOMENTS = {
    "x^2": lambda x, y: x.square().sum(1),
    "x^4": lambda x, y: x.pow(4).sum(1),
    "x1 x2": lambda x, y: x[:, 0] * x[:, 1],
    "p(x) y": lambda x, y: (bent(x).clamp(-5, 5) * y.clamp(-5, 5)).sum(1),
    "near 0": lambda x, y: (x.norm(dim=1) < 0.5).double(),
}


def drifts(n=20_000, sigma=0.5, steps=4, length=None):
    """Return, in standard errors, how far moments of (x, y) are from where they were, after steps from exact draws."""
    g = generator(0)
    x = normal(n, 2, seed=1)
    y = bent(x) + sigma * normal(n, 2, seed=2)
    state = State.at(bent, x, y, sigma)
    for _ in range(steps):
        longest = lengths(0.05, n, g) if length is None else torch.full((n, 1), length, dtype=torch.float64)
        state, accept = step(bent, state, y, sigma, longest, g)
        assert 0.2 < accept.double().mean() < 0.999  # it moves, and the ratio has something to decide
    changes = {name: of(state.x, y) - of(x, y) for name, of in MOMENTS.items()}
    return {name: (c.mean() / c.std() * math.sqrt(n)).item() for name, c in changes.items()}


@pytest.mark.parametrize("length", [None, 1.0, 0.5])
def test_the_kernel_leaves_the_posterior_as_it_is(length):
    found = drifts(length=length)
    assert all(abs(drift) < SIGMAS for drift in found.values()), found


def without_determinant(start, end, length):
    share = start.renewed(length)
    gap = (start.axes.mT @ (end.x - start.x)[..., None])[..., 0] - (1 - (1 - share).sqrt()) * start.shift
    return -(start.metric / share * gap.square()).sum(1) / 2


WRONG = {
    "no proposal densities": lambda start, end, length: torch.zeros(len(length)),
    "no determinant": without_determinant,
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_ratio_is_caught(name, monkeypatch):
    monkeypatch.setattr(slope_chains, "log_proposal", WRONG[name])
    found = drifts(length=1.0)
    assert max(map(abs, found.values())) > SIGMAS, found  # what the test above would have called a failure


def test_the_state_knows_the_gradient_and_the_metric():
    x, y, sigma = normal(5, 2, 0), normal(5, 2, 1), 0.3

    def log_posterior(z):
        return -z.square().sum() / 2 - ((y - bent(z)) / sigma).square().sum() / 2

    state = State.at(bent, x, y, sigma)
    assert state.log_posterior.sum().item() == pytest.approx(log_posterior(x).item())
    rebuilt = state.axes * state.metric[:, None] @ state.axes.mT
    jacobian = torch.stack([torch.autograd.functional.jacobian(lambda z: bent(z[None])[0], row) for row in x])
    assert torch.allclose(rebuilt, torch.eye(2) + jacobian.mT @ jacobian / sigma**2)
    gradient = torch.autograd.functional.jacobian(log_posterior, x)
    assert torch.allclose(rebuilt @ state.axes @ state.shift[..., None], gradient[..., None])
    again = State.at(bent, x, y, 3.0).believing(y, sigma)
    assert all(torch.allclose(vars(again)[name], part) for name, part in vars(state).items())


# --- known slopes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [0.01, 0.3, 3.0])
@pytest.mark.parametrize("widths", [(4, 5, 6), (6, 5, 3)])
def test_a_linear_network_has_its_soft_rank(widths, sigma):
    net = MLP(widths, activation="identity", init="he", generator=generator(0)).double()
    s = lrlib.jacobian_spectra(net, torch.zeros(1, widths[0], dtype=torch.float64)).values[-1]
    found = slope_bounds(net, sigma, dimension=widths[0], pairs=400, steps=60)
    assert_holds(found, soft_rank(s[0], sigma).item())
    assert found.acceptance == pytest.approx(1, abs=1e-3)  # but for rounding each proposal is an exact draw


@pytest.mark.parametrize("sigma", [0.01, 0.1, 1.0])
def test_independent_numbers_add_up(sigma):
    # rank 0, 1 or 2, each coordinate a problem of its own: LR = 1
    found = slope_bounds(torch.relu, sigma, dimension=2, pairs=400, steps=100)
    assert_holds(found, 2 * RELU.channel(sigma).slope)


def test_the_slope_tends_to_the_mean_of_ranks():
    found = slope_bounds(torch.relu, 1e-4, dimension=2, pairs=400, steps=40)
    assert_holds(found, 1.0)  # P(rank 1) + 2 P(rank 2) = 1/2 + 2/4; the exact slope here is 1.002


def trained(widths, target, seed=0):
    net, x = (
        MLP(widths, generator=generator(seed)),
        torch.randn(500, widths[0], generator=generator(seed + 1)),
    )
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(300):
        loss = (net(x) - target(x)).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return net.double()


@pytest.mark.parametrize("sigma", [0.03, 0.2, 1.0])
def test_a_trained_network_of_one_input_has_the_exact_slope(sigma):
    net = trained((1, 16, 16, 1), lambda x: torch.relu(2 * torch.sin(2 * x)))
    assert_holds(
        slope_bounds(net, sigma, dimension=1, pairs=600, steps=100), curve_of(net).channel(sigma).slope
    )


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_a_trained_network_of_many_inputs_agrees_with_its_linearisation_at_small_noise(layer):
    net = trained((6, 20, 20, 3), lambda x: torch.relu(x[:, :3]))
    x = normal(400, 6, seed=3)
    s = lrlib.jacobian_spectra(net, x, layers=[net.layers[layer]]).values[0]
    for sigma in (1e-3, 0.05):
        found = slope_bounds(lambda z: net.preactivations(z)[layer], sigma, dimension=6, pairs=300, steps=100)
        linear, stderr = linearised_slope(s, sigma)
        slack = SIGMAS * math.hypot(found.lower_stderr, stderr.item())
        assert found.lower <= found.upper + SIGMAS * found.upper_stderr
        # the posterior lies in one linear piece of the net, but where a kink is near
        assert abs(found.lower - linear.item()) < MIXED * linear.item() + slack


# --- bounds remain bounds ---------------------------------------------------------------------------------------------


def test_chains_that_hardly_move_give_loose_bounds_and_no_wrong_ones(monkeypatch):
    monkeypatch.setattr(
        slope_chains, "lengths", lambda shortest, n, g: torch.full((n, 1), 0.02, dtype=torch.float64)
    )
    found, truth = (
        slope_bounds(torch.relu, 0.3, dimension=2, pairs=400, steps=20),
        2 * RELU.channel(0.3).slope,
    )
    assert found.lower < 0.5 * truth
    assert truth < found.upper + SIGMAS * found.upper_stderr


def test_more_steps_raise_the_lower_bound():
    def bound(steps):
        return slope_bounds(bent, 0.3, dimension=2, pairs=1000, steps=steps)

    few, many = bound(4), bound(80)
    assert many.lower - few.lower > SIGMAS * math.hypot(few.lower_stderr, many.lower_stderr)
    assert many.upper < few.upper


def test_a_lost_chain_gives_way_to_the_linear_estimate():
    y, bank = normal(3, 2, 0), normal(100_000, 2, 1) * torch.tensor([2.0, 1.0])
    linear = slope_chains._linear_estimate(y, 0.1, bank)
    # normal p(X): E[p|y] = var / (var + noise) y; the covariance of 100,000 draws, to 4 in 1,000
    assert torch.allclose(linear, y * torch.tensor([4 / 4.01, 1 / 1.01], dtype=torch.float64), atol=1e-3)
    chain = y + 0.1 * normal(50, 6, 2).reshape(50, 3, 2)
    chain[:, 1] += 10.0
    found = slope_chains._estimate(chain, y, 0.1, linear)
    assert torch.equal(found[[0, 2]], chain.mean(0)[[0, 2]])
    assert torch.equal(found[1], linear[1])


def test_the_upper_bound_is_no_more_than_that_of_the_best_linear_estimate(monkeypatch):
    def lost(chain, y, sigma, linear):
        return chain.mean(0) + 100

    monkeypatch.setattr(slope_chains, "_estimate", lost)
    x = normal(100_000, 2, 7)
    values = torch.linalg.eigvalsh(torch.cov(bent(x).T))
    found = slope_bounds(bent, 0.3, dimension=2, pairs=400, steps=8)
    truth = (values / (values + 0.3**2)).sum().item()
    assert abs(found.upper - truth) < SIGMAS * found.upper_stderr < MIXED * 4


def test_zeros_beside_p_change_nothing_but_the_way_of_differentiation():
    def padded(x):
        return torch.cat([bent(x), torch.zeros(len(x), 3, dtype=torch.float64)], 1)

    x = normal(4, 2, 0)
    forward, backward = (slope_chains.value_and_jacobian(p, x)[1] for p in (padded, bent))
    assert torch.allclose(forward[:, :2], backward)
    assert (forward[:, 2:] == 0).all()


def test_a_constant_map_has_no_slope():
    found = slope_bounds(lambda x: 0 * x + 3, 0.1, dimension=2, pairs=10, steps=4)
    assert (found.lower, found.upper) == pytest.approx((0, 0), abs=1e-20)


def test_proposals_at_which_p_overflows_are_refused():
    # finite wherever X is drawn, e^(x^3) is infinite from x = 8.9 on, where a flat start of the chain aims
    found = slope_bounds(lambda x: torch.exp(x**3), 0.1, dimension=1, pairs=100, steps=20)
    assert 0 < found.acceptance < 1
    assert found.lower <= found.upper + SIGMAS * found.upper_stderr < math.inf


def test_a_generator_means_one_result_and_the_global_one_is_left_alone():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    first, second = (
        slope_bounds(torch.relu, 0.3, dimension=2, pairs=5, steps=8, generator=generator(4)) for _ in range(2)
    )
    assert first == second
    assert torch.equal(torch.rand(1), expected)
    assert first != slope_bounds(torch.relu, 0.3, dimension=2, pairs=5, steps=8, generator=generator(5))


@pytest.mark.parametrize(
    ("changes", "error", "rule"),
    [
        ({"sigma": 0.0}, ValueError, "sigma=0.0: must be finite and above 0"),
        ({"dimension": 0}, ValueError, "dimension=0: must be at least 1"),
        ({"pairs": 1}, ValueError, "pairs=1: must be at least 2"),
        ({"steps": 3}, ValueError, "steps=3: must be at least 4"),
        ({"generator": 3}, TypeError, "generator=3: must be a torch.Generator"),
        ({"p": lambda x: x.float()}, TypeError, r"p: gives torch.float32; must give torch.float64"),
        ({"p": lambda x: x[0]}, ValueError, r"p: gives shape \(2,\) for \(2, 2\); must be \(2, m\)"),
        ({"p": lambda x: x / 0}, ValueError, r"p\(x\): .* entries are NaN or infinite"),
    ],
)
def test_refusals(changes, error, rule):
    arguments = {"p": torch.relu, "sigma": 0.3, "dimension": 2, "pairs": 2, "steps": 4} | changes
    with pytest.raises(error, match=rule):
        slope_bounds(arguments.pop("p"), arguments.pop("sigma"), **arguments)
