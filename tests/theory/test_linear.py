"""Deep linear networks: the formulas against gradient descent on matrices, integrals and factorisations."""

import math
import warnings
from functools import reduce
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.integrate import quad, solve_ivp
from scipy.optimize import brentq

from lrlib.runtime import generator
from lrlib.theory import balancedness, deep_linear_path, least_factor_energy, schatten_quasinorm

# The integrator's local error is at most 1e-10 of a = sigma^(1/L); a plateau of length t before a rise of length
# t / 1e4 makes of it up to 1e-6 of sigma.
PATH_RTOL = 1e-5
ROUNDING = 1e-12  # a few float64 operations


# --- deep_linear_path ---------------------------------------------------------------------------------------------

TARGET, START, SECONDS = (3.0, 1.5, 0.7, 0.0), 0.05, (1.0, 2.0, 3.0)


def rotation(n, g):
    return torch.linalg.qr(torch.randn(n, n, generator=g, dtype=torch.float64))[0]


def product_of(weights):
    return reduce(lambda product, w: w @ product, weights)


def energy(weights):
    return sum(w.square().sum() for w in weights)


def descend(weights, target, *, step, weight_decay, seconds):
    """Gradient descent on real matrices by autograd; return the factors at each of these times, all from one run."""
    weights = [w.clone().requires_grad_() for w in weights]
    kept, done = [], 0
    for end in seconds:
        for _ in range(round(end / step) - done):
            loss = (product_of(weights) - target).square().sum() + weight_decay * energy(weights)
            gradients = torch.autograd.grad(loss / 2, weights)
            with torch.no_grad():
                for w, gradient in zip(weights, gradients, strict=True):
                    w -= step * gradient
        done = round(end / step)
        kept.append([w.detach().clone() for w in weights])
    return kept


def modes_of_descent(depth, weight_decay, step):
    """u_i^T W v_i along gradient descent from an aligned, balanced start, (T, k); W has no other entries."""
    g = generator(0)
    turns = [rotation(len(TARGET), g) for _ in range(depth + 1)]
    target = turns[-1] @ torch.diag(torch.tensor(TARGET, dtype=torch.float64)) @ turns[0].T
    size = START ** (1 / depth)
    first = [size * after @ before.T for before, after in pairwise(turns)]
    rows = []
    for weights in descend(first, target, step=step, weight_decay=weight_decay, seconds=SECONDS):
        inner = turns[-1].T @ product_of(weights) @ turns[0]
        # modes do not meet: what is beside the diagonal is rounding, grown by training
        assert (inner - inner.diag().diag()).abs().max() < 1e-9
        rows.append(inner.diag())
    return torch.stack(rows).numpy()


def check_descent(depth, weight_decay, expected):
    """Assert that descent goes to ``expected`` as the step falls, in the way of a first-order method."""
    coarse, fine = (modes_of_descent(depth, weight_decay, step) for step in (4e-3, 2e-3))
    gap = np.abs(fine - coarse).max()
    # The error is C h + O(h^2). Half the step halves it, and 2 fine - coarse leaves O(h^2): a few h of the gap.
    assert np.abs(fine - expected).max() < 1.2 * gap
    assert np.abs(2 * fine - coarse - expected).max() < 0.1 * gap


@pytest.mark.parametrize("weight_decay", [0.0, 0.2])
@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_gradient_descent_on_matrices_follows_the_path(depth, weight_decay):
    expected = deep_linear_path(TARGET, SECONDS, depth=depth, start=START, weight_decay=weight_decay)
    check_descent(depth, weight_decay, expected)


@pytest.mark.parametrize(
    ("depth", "weight_decay", "target"),
    [(4, 0.2, TARGET), (2, 0.2, TARGET), (3, 0.1, TARGET), (3, 0.2, TARGET[::-1])],
    ids=["deeper", "shallower", "half the decay", "modes in the reverse order"],
)
def test_another_path_is_not_that_of_gradient_descent(depth, weight_decay, target):
    wrong = deep_linear_path(target, SECONDS, depth=depth, start=START, weight_decay=weight_decay)
    with pytest.raises(AssertionError):
        check_descent(3, 0.2, wrong)


@pytest.mark.parametrize("start", [1e-4, 1e-2])
@pytest.mark.parametrize("weight_decay", [0.0, 1e-3])
@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5, 6])
def test_the_time_to_a_value_is_the_integral_over_the_way(depth, weight_decay, start):
    s = 2.0

    def seconds_per_log(v):  # dt = d(log sigma) / (sigma' / sigma)
        sigma = math.exp(v)
        return 1 / (depth * sigma ** (1 - 2 / depth) * (s - sigma) - depth * weight_decay)

    for sigma in (2 * start, 0.3, 1.0, 1.9):
        t, _ = quad(seconds_per_log, math.log(start), math.log(sigma), epsabs=0, epsrel=1e-11, limit=500)
        found = deep_linear_path([s], [t], depth=depth, start=start, weight_decay=weight_decay).item()
        assert found == pytest.approx(sigma, rel=PATH_RTOL)


@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
@pytest.mark.parametrize("depth", [2, 3, 4, 5, 6])
def test_a_direction_without_target_follows_bernoullis_equation(depth, weight_decay):
    t, n = np.array([0.0, 0.1, 1.0, 10.0, 100.0]), 2 * depth - 2
    z = 0.5 ** (-n / depth)  # z = a^(-n) turns a' = -a^(n+1) - lambda a into z' = n (1 + lambda z)
    rate = n * weight_decay
    late = z * np.exp(rate * t) + (n * np.expm1(rate * t) / rate if rate else n * t)
    found = deep_linear_path([0.0], t, depth=depth, start=0.5, weight_decay=weight_decay)[:, 0]
    # below 1e-14 in a the integrator's absolute error rules
    np.testing.assert_allclose(found, late ** (-depth / n), rtol=PATH_RTOL, atol=1e-14)


def test_two_layers_with_as_much_decay_as_target_fall_like_one_over_t():
    t = np.array([0.0, 1.0, 1e3, 1e9])
    found = deep_linear_path([0.7], t, depth=2, start=0.5, weight_decay=0.7)[:, 0]
    np.testing.assert_allclose(found, 0.5 / (1 + 2 * 0.5 * t), rtol=ROUNDING)


def test_two_layers_with_more_decay_than_target_fall_exponentially():
    c, t = 0.5 - 0.8, np.array([0.0, 0.5, 2.0, 8.0])
    found = deep_linear_path([0.5], t, depth=2, start=0.3, weight_decay=0.8)[:, 0]
    slow = solve_ivp(lambda _, v: 2 * v * (c - v), (0, 8), [0.3], t_eval=t, rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(found, slow.y[0], rtol=1e-7)  # of solve_ivp


def end_of(s, depth, start, weight_decay):
    """Where a mode comes to rest: the zeros of its velocity bound the ways up and down."""
    if depth <= 2:
        return s / (1 + weight_decay) if depth == 1 else max(0.0, s - weight_decay)

    def pull(sigma):
        return sigma ** (1 - 2 / depth) * (s - sigma) - weight_decay

    fastest = s * (depth - 2) / (2 * depth - 2)
    if pull(fastest) <= 0 or (start < fastest and pull(start) < 0):
        return 0.0
    return brentq(pull, fastest, s, xtol=1e-15) if weight_decay else s


@pytest.mark.parametrize("weight_decay", [0.0, 1e-2, 0.3, 0.8])
@pytest.mark.parametrize("start", [1e-4, 1e-2, 1.0])
@pytest.mark.parametrize("depth", [1, 2, 3, 4, 6])
def test_large_times_end_at_rest_without_a_warning(depth, start, weight_decay):
    target = (100.0, 4.0, 2.0, 1.0, 0.5, 0.25)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        path = deep_linear_path(target, [0.0, 1e5, 1e7], depth=depth, start=start, weight_decay=weight_decay)
    ends = [end_of(s, depth, start, weight_decay) for s in target]
    np.testing.assert_allclose(path[0], start, rtol=ROUNDING, atol=1e-13)  # rounding of the largest, 100
    for row in path[1:]:
        np.testing.assert_allclose(row, ends, rtol=PATH_RTOL, atol=1e-9)
    assert (path >= 0).all()  # they are singular values


def test_deep_networks_under_decay_have_a_critical_size():
    """At depth 3 a mode leaves zero only from above a threshold; at depth 2 from any start, if s > lambda."""
    critical = brentq(lambda v: v ** (1 / 3) * (1 - v) - 0.2, 1e-6, 0.1)
    below, above = (
        deep_linear_path([1.0], [1e5], depth=3, start=factor * critical, weight_decay=0.2).item()
        for factor in (0.99, 1.01)
    )
    assert below < 1e-9
    assert above > 0.7
    assert deep_linear_path([1.0], [1e5], depth=2, start=1e-9, weight_decay=0.2).item() > 0.79


@pytest.mark.parametrize("depth", [1, 2, 3, 6])
def test_times_can_be_any_that_do_not_decrease(depth):
    def path(times):
        return deep_linear_path([2.0, 0.5, 0.0], times, depth=depth, start=1e-2)

    whole = path([0.0, 1.0, 1.0, 30.0])
    np.testing.assert_array_equal(whole[1], whole[2])
    np.testing.assert_allclose(path([1.0]), whole[1:2], rtol=PATH_RTOL)
    np.testing.assert_allclose(path(np.array([0.0])), whole[:1], rtol=ROUNDING)
    np.testing.assert_allclose(path([1e-200]), whole[:1], rtol=ROUNDING)
    assert whole.shape == (4, 3)
    assert whole.dtype == np.float64


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"depth": 0}, ValueError, r"depth=0: must be at least 1"),
        ({"depth": 2.0}, TypeError, r"depth=2.0: must be an integer"),
        ({"start": 0.0}, ValueError, r"start=0.0: must be finite and above 0"),
        ({"start": math.nan}, ValueError, r"start=nan: must be finite and above 0"),
        ({"start": "1"}, TypeError, r"start='1': must be a number"),
        ({"weight_decay": -0.1}, ValueError, r"weight_decay=-0.1: must be finite and at least 0"),
        ({"target": []}, ValueError, r"target=\[\]: must be one or more numbers"),
        ({"target": [[1.0]]}, ValueError, r"target=\[\[1.0\]\]: must be one or more numbers in a row"),
        ({"target": [1.0, -1.0]}, ValueError, r"target=\[1.0, -1.0\]: .*none negative"),
        ({"target": [math.inf]}, ValueError, r"target=\[inf\]: .*finite"),
        ({"times": []}, ValueError, r"times=\[\]: must be one or more numbers"),
        ({"times": [-1.0]}, ValueError, r"times=\[-1.0\]: .*none negative"),
        ({"times": [2.0, 1.0]}, ValueError, r"times=\[2.0, 1.0\]: must not decrease"),
    ],
)
def test_bad_arguments_of_the_path_are_named(change, error, message):
    arguments = {"target": [1.0], "times": [1.0], "depth": 3, "start": 0.1} | change
    with pytest.raises(error, match=message):
        deep_linear_path(**arguments)


# --- balancedness -------------------------------------------------------------------------------------------------


def unbalanced(depth):
    g = generator(1)
    widths = [*(3, 4, 5, 4)[:depth], 2]
    return [0.5 * torch.randn(b, a, generator=g, dtype=torch.float64) for a, b in pairwise(widths)]


def test_balancedness_is_what_its_formula_says():
    weights = unbalanced(3)
    first, second, third = (w.numpy() for w in weights)
    found = balancedness([w.float() for w in weights])
    expected = [second.T @ second - first @ first.T, third.T @ third - second @ second.T]
    assert [d.dtype for d in found] == [torch.float64, torch.float64]
    for d, e in zip(found, expected, strict=True):
        np.testing.assert_allclose(d.numpy(), e, atol=1e-6)  # the weights were rounded to float32


@pytest.mark.parametrize("weight_decay", [0.0, 0.4])
@pytest.mark.parametrize("depth", [2, 3, 4])
def test_gradient_flow_keeps_balancedness_but_for_decay(depth, weight_decay):
    """The deviation from exp(-2 lambda t) D(0) is the step's: half the step leaves half of it."""
    first = unbalanced(depth)
    target = torch.tensor([[2.0, -1.0, 0.5], [0.3, 1.0, -2.0]], dtype=torch.float64)

    def deviation(step, rate):
        [late] = descend(first, target, step=step, weight_decay=weight_decay, seconds=[2.0])
        pairs = zip(balancedness(late), balancedness(first), strict=True)
        return max((d - math.exp(-2 * rate * 2.0) * d0).norm().item() for d, d0 in pairs)

    coarse, fine = (deviation(step, weight_decay) for step in (4e-3, 2e-3))
    assert 0.45 < fine / coarse < 0.55
    size = max(d.norm().item() for d in balancedness(first))
    assert fine < 0.02 * size
    assert deviation(2e-3, 0.4 - weight_decay) > 0.5 * size  # another rate does not fit


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        ([torch.ones(2, 2)], ValueError, r"weights: there are 1; must be at least 2"),
        ([torch.ones(2, 2), torch.ones(3)], ValueError, r"weights\[1\]: shape is \(3,\); must be a matrix"),
        (
            [torch.ones(2, 2), torch.ones(2, 3)],
            ValueError,
            r"weights\[1\]: shape is \(2, 3\); must have 2 columns, one for each row of weights\[0\]",
        ),
        ([[1.0], torch.ones(2, 2)], TypeError, r"weights\[0\]: must be a torch.Tensor, not list"),
        ([torch.full((1, 1), math.nan), torch.ones(1, 1)], ValueError, r"weights\[0\]: 1 of its 1 entries"),
    ],
)
def test_bad_weights_are_named(weights, error, message):
    with pytest.raises(error, match=message):
        balancedness(weights)


# --- schatten_quasinorm and least_factor_energy -------------------------------------------------------------------


def test_schatten_norms_are_those_of_torch():
    w = torch.randn(6, 5, 4, generator=generator(0), dtype=torch.float64)
    s = torch.linalg.svdvals(w)
    for p, name in ((1, "nuc"), (2, "fro")):
        expected = torch.linalg.matrix_norm(w, ord=name)
        torch.testing.assert_close(schatten_quasinorm(s, p), expected, rtol=ROUNDING, atol=0)
    # between the largest value and k^(1/p) times it
    high = schatten_quasinorm(s, 200) / torch.linalg.matrix_norm(w, ord=2)
    assert ((high >= 1) & (high <= 4 ** (1 / 200))).all()


def test_schatten_sums_count_what_is_not_zero_as_p_falls():
    s = torch.tensor([5.0, 1e-3, 0.0, 0.0], dtype=torch.float64)
    p = 2e-3
    assert schatten_quasinorm(s, p).item() ** p == pytest.approx(2, abs=0.02)  # p |ln 1e-3| is 0.014


def test_below_one_it_is_no_norm():
    a, b = torch.diag(torch.tensor([1.0, 0.0])), torch.diag(torch.tensor([0.0, 1.0]))
    of = [schatten_quasinorm(torch.linalg.svdvals(m), 0.5).item() for m in (a, b, a + b)]
    assert of[2] > of[0] + of[1]


def factorisations(w, depth, count):
    """Random W_1, ..., W_L with the product ``w``, as parameters: the last factor is made from the others."""
    g = generator(2)
    widths = [w.shape[1], *[w.shape[1] + 1] * (depth - 1)]
    for _ in range(count):
        yield [
            torch.randn(b, a, generator=g, dtype=torch.float64).requires_grad_() for a, b in pairwise(widths)
        ]


def with_last(free, w):
    """All L factors: the last one is the least-norm solution of W_L (W_{L-1} ... W_1) = w."""
    return [*free, w @ torch.linalg.pinv(product_of(free))]


def least_energy_found(free, w):
    """Descend by L-BFGS from one random factorisation and return the least energy on the way down."""
    optimiser = torch.optim.LBFGS(free, max_iter=400, line_search_fn="strong_wolfe", tolerance_change=1e-14)

    def closure():
        optimiser.zero_grad()
        loss = energy(with_last(free, w))
        loss.backward()
        return loss

    optimiser.step(closure)
    factors = with_last(free, w)
    assert torch.allclose(product_of(factors), w, atol=1e-9)
    return energy(factors).item()


def check_least_energy(depth, claimed):
    """Assert that ``claimed`` of the singular values of some w is the least energy of its factorisations."""
    w = torch.tensor([[2.0, -1.0, 0.3], [0.5, 1.0, 0.8]], dtype=torch.float64).T
    least = claimed(torch.linalg.svdvals(w))
    for free in factorisations(w, depth, 200):
        assert energy(with_last(free, w)).item() >= least * (1 - ROUNDING)
    best = [least_energy_found(free, w) for free in factorisations(w, depth, 5)]
    assert min(best) >= least * (1 - 1e-9)  # the product is w to 1e-9
    assert min(best) <= least * (1 + 1e-6)  # where L-BFGS stops: the energy is flat to second order there


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_no_factorisation_has_less_energy_and_the_best_come_down_to_it(depth):
    check_least_energy(depth, lambda s: least_factor_energy(s, depth).item())


@pytest.mark.parametrize("depth", [2, 3, 4])
@pytest.mark.parametrize(
    "wrong",
    [
        lambda s, depth: depth * s.pow(2 / (depth + 1)).sum().item(),
        lambda s, depth: depth * s.pow(1 / depth).sum().item(),
        lambda s, depth: s.pow(2 / depth).sum().item(),
    ],
    ids=["exponent 2/(L+1)", "exponent 1/L", "without L"],
)
def test_a_wrong_least_energy_is_found_out(depth, wrong):
    with pytest.raises(AssertionError):
        check_least_energy(depth, lambda s: wrong(s, depth))


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_the_balanced_factorisation_has_the_least_energy(depth):
    g = generator(3)
    w = torch.randn(4, 4, generator=g, dtype=torch.float64)
    u, s, vh = torch.linalg.svd(w)
    turns = [vh.T, *[rotation(4, g) for _ in range(depth - 1)], u]
    root = torch.diag(s.pow(1 / depth))
    factors = [after @ root @ before.T for before, after in pairwise(turns)]
    torch.testing.assert_close(product_of(factors), w, rtol=0, atol=1e-12)
    assert energy(factors).item() == pytest.approx(least_factor_energy(s, depth).item(), rel=ROUNDING)
    assert all(d.norm() < 1e-12 for d in (balancedness(factors) if depth > 1 else []))


def test_least_energies_of_a_batch_are_those_of_its_members():
    s = torch.rand(3, 2, 5, generator=generator(0))
    found = least_factor_energy(s, 3)
    assert found.shape == (3, 2)
    assert found.dtype == torch.float64
    assert found[1, 0].item() == least_factor_energy(s[1, 0], 3).item()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: schatten_quasinorm([1.0], 1), TypeError, r"s: must be a torch.Tensor, not list"),
        (lambda: schatten_quasinorm(torch.tensor([-1.0]), 1), ValueError, r"s: .*not negative"),
        (lambda: schatten_quasinorm(torch.ones(2), 0), ValueError, r"p=0: must be finite and above 0"),
        (lambda: schatten_quasinorm(torch.ones(2), math.inf), ValueError, r"p=inf: must be finite"),
        (lambda: least_factor_energy(torch.ones(2, 0), 2), ValueError, r"s: shape is \(2, 0\)"),
        (lambda: least_factor_energy(torch.ones(2), 0), ValueError, r"depth=0: must be at least 1"),
        (lambda: least_factor_energy(torch.ones(2), 1.5), TypeError, r"depth=1.5: must be an integer"),
    ],
)
def test_bad_arguments_of_the_energies_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
