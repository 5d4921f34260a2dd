"""Bounds on minimum-norm networks: held to the network of the proof, to real minimisations, and to brute force."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor

from lrlib.nets import ACTIVATIONS, MLP
from lrlib.runtime import generator
from lrlib.theory import count_bound, energy_bound, minimum_norm_ratio

ROUNDING = 1e-10  # float64 through a dozen small layers loses far less
# The minimisations stop at a gradient of 1e-9 or where float64 sees no progress: norms are then equal to about 0.2 %.
EQUAL_NORMS = 0.01


def network(weights: list[Tensor], x: Tensor) -> Tensor:
    """A ReLU network without biases, written out: (n, d) -> (n, C)."""
    h = x
    for weight in weights[:-1]:
        h = torch.relu(h @ weight.T)
    return h @ weights[-1].T


def random_weights(widths: list[int], seed: int) -> list[Tensor]:
    g = generator(seed)
    return [torch.randn(b, a, generator=g, dtype=torch.float64) / math.sqrt(a) for a, b in pairwise(widths)]


def norms(weights: list[Tensor]) -> Tensor:
    return torch.stack([weight.norm() for weight in weights])


def ratios(weights: list[Tensor]) -> Tensor:
    return torch.stack([torch.linalg.matrix_norm(w, 2) for w in weights]) / norms(weights)


def balanced(weights: list[Tensor]) -> list[Tensor]:
    """The same function with layers of one Frobenius norm, the product of the norms kept."""
    common = norms(weights).log().mean().exp()
    return [weight * common / weight.norm() for weight in weights]


def deepened(shallow: list[Tensor], depth: int) -> list[Tensor]:
    """The proof's network: carry C outputs through ReLUs as 2 C positive and negative parts."""
    outputs = len(shallow[-1])
    one, two = torch.eye(outputs, dtype=torch.float64), torch.eye(2 * outputs, dtype=torch.float64)
    split, joined = torch.cat([shallow[-1], -shallow[-1]]), torch.cat([one, -one], 1)
    return [*shallow[:-1], split, *[two] * (depth - len(shallow) - 1), joined]


def gain(weights: list[Tensor], x: Tensor) -> float:
    return (network(weights, x).norm(dim=1) / x.norm(dim=1)).max().item()


# --- the theorem's construction ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("shallow_depth", [1, 2, 3])
@pytest.mark.parametrize("extra", [1, 2, 7])
def test_the_proof_s_network_computes_the_same_with_the_stated_norms(outputs, shallow_depth, extra):
    size, depth = 2.5, shallow_depth + extra
    shallow = random_weights([4, *[6] * (shallow_depth - 1), outputs], seed=shallow_depth)
    shallow = [5.0 * weight / weight.norm() for weight in shallow]
    deep = balanced(deepened(shallow, depth))
    x = torch.randn(50, 4, generator=generator(1), dtype=torch.float64)
    torch.testing.assert_close(network(deep, x), network(shallow, x), rtol=ROUNDING, atol=ROUNDING)
    assert len(deep) == depth
    assert norms(deep).std() < ROUNDING
    expected = 5.0**shallow_depth * math.sqrt(2) * (2 * outputs) ** (extra / 2)
    assert norms(deep).prod().item() == pytest.approx(expected, rel=ROUNDING)
    bound = minimum_norm_ratio(
        depth, shallow_depth=shallow_depth, shallow_norm=5.0, outputs=outputs, size=size
    )
    assert bound == pytest.approx((size / expected) ** (1 / depth), rel=ROUNDING)
    # the proof speaks of every network with layers of this norm that reaches ``size``, so of this one too
    reached = minimum_norm_ratio(
        depth, shallow_depth=shallow_depth, shallow_norm=5.0, outputs=outputs, size=gain(deep, x)
    )
    assert ratios(deep).mean() >= reached


@pytest.mark.parametrize("widths", [[4, 1], [4, 6, 2], [4, 20, 20, 20, 3], [4, *[8] * 11, 1]])
def test_no_network_gains_more_than_its_operator_norms_allow(widths):
    x = torch.randn(200, 4, generator=generator(0), dtype=torch.float64)
    for seed in range(10):
        weights = random_weights(widths, seed)
        most = (gain(weights, x) / norms(weights).prod().item()) ** (1 / len(weights))
        assert ratios(weights).log().mean().exp() >= most
        assert ratios(weights).mean() >= most


def test_the_bound_tends_to_one_over_the_root_of_twice_the_outputs():
    for outputs in (1, 2, 10):
        arguments = {"shallow_depth": 3, "shallow_norm": 7.0, "outputs": outputs}
        distances = [
            abs(minimum_norm_ratio(depth, **arguments) - 1 / math.sqrt(2 * outputs))
            for depth in (10, 100, 1_000, 10**6)
        ]
        assert distances == sorted(distances, reverse=True)
        assert distances[-1] < 1e-5  # log(bound) is off by log(7^3 sqrt 2 / (2 C)^1.5) / L < 6.2 / L


def test_larger_shallow_norms_and_smaller_outputs_say_less():
    by_norm = [minimum_norm_ratio(6, shallow_depth=2, shallow_norm=b) for b in (1.0, 2.0, 5.0, 50.0)]
    by_size = [minimum_norm_ratio(6, shallow_depth=2, shallow_norm=5.0, size=s) for s in (4.0, 1.0, 0.1)]
    by_outputs = [minimum_norm_ratio(6, shallow_depth=2, shallow_norm=5.0, outputs=c) for c in (1, 2, 9)]
    for falling in (by_norm, by_size, by_outputs):
        assert all(a > b for a, b in pairwise(falling))


# --- real minimisations -----------------------------------------------------------------------------------------------


def least_norm(x: Tensor, y: Tensor, widths: list[int], *, seed: int, starts: int = 6) -> list[Tensor]:
    """The network of least sum of squares that was found with y_i f(x_i) >= 1 for every i.

    L-BFGS on squared hinges and a small penalty; then all weights are scaled so that the least y_i f(x_i) is 1,
    exactly, since f is homogeneous of degree L.
    """
    depth, sizes, g = len(widths) - 1, [a * b for a, b in pairwise(widths)], generator(seed)

    def weights(theta: Tensor) -> list[Tensor]:
        return [part.reshape(b, a) for part, (a, b) in zip(theta.split(sizes), pairwise(widths), strict=True)]

    def objective(theta: np.ndarray) -> tuple[float, np.ndarray]:
        parameters = torch.from_numpy(theta).requires_grad_()
        hinges = (1 - y * network(weights(parameters), x)[:, 0]).clamp_min(0)
        total = hinges.square().sum() + 1e-4 * parameters.square().sum()
        return total.item(), torch.autograd.grad(total, parameters)[0].numpy()

    best, least = None, math.inf
    for _ in range(starts):
        start = [
            1.5 * math.sqrt(2 / a) * torch.randn(a * b, generator=g, dtype=torch.float64)
            for a, b in pairwise(widths)
        ]
        options = {"maxiter": 3_000, "maxfun": 6_000, "ftol": 1e-15, "gtol": 1e-9}
        found = torch.from_numpy(
            minimize(objective, torch.cat(start).numpy(), jac=True, method="L-BFGS-B", options=options).x
        )
        margin = (y * network(weights(found), x)[:, 0]).min().item()
        if margin > 0 and found.square().sum() / margin ** (2 / depth) < least:
            best = weights(found / margin ** (1 / depth))
            least = norms(best).square().sum().item()
    assert best is not None, "no start fitted the points"
    return best


POINTS = torch.tensor(
    [[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]], dtype=torch.float64
)  # no linear map fits all three
LABELS = torch.tensor([1.0, 1.0, -1.0], dtype=torch.float64)


@pytest.mark.parametrize("points", [1, 2, 3])
def test_the_least_norm_that_is_found_obeys_the_bound(points):
    x, y = POINTS[:points], LABELS[:points]
    shallow = least_norm(x, y, [2, 8, 1], seed=0)
    norm = norms(shallow).max().item()
    for depth in (3, 4, 5):
        found = least_norm(x, y, [2, *[8] * (depth - 1), 1], seed=depth)
        built = balanced(deepened(shallow, depth))
        assert (y * network(built, x)[:, 0]).min() > 1 - ROUNDING
        assert norms(found).square().sum() < norms(built).square().sum()  # or the search has failed
        assert norms(found).std() / norms(found).mean() < EQUAL_NORMS
        allowed = (gain(found, x) / norms(found).prod().item()) ** (1 / depth)
        assert ratios(found).log().mean().exp() >= allowed
        assert ratios(found).mean() >= minimum_norm_ratio(depth, shallow_depth=2, shallow_norm=norm)


def test_one_point_needs_layers_of_rank_one_and_known_norm():
    """f(x) = 1 at ||x|| = 1/8: every layer has norm 8^(1/L), and stable rank 1."""
    for depth in (2, 3, 5):
        found = least_norm(POINTS[:1] / 8, LABELS[:1], [2, *[5] * (depth - 1), 1], seed=depth)
        torch.testing.assert_close(
            norms(found), torch.full_like(norms(found), 8 ** (1 / depth)), rtol=1e-3, atol=0
        )
        assert ratios(found).min() > 1 - 1e-3


def test_a_network_that_fits_with_more_than_the_least_norm_can_break_the_bound():
    """So "minimum norm" is needed: random wide layers that fit the points have ratios far below the bound."""
    shallow = least_norm(POINTS[:2], LABELS[:2], [2, 8, 1], seed=0)
    bound = minimum_norm_ratio(5, shallow_depth=2, shallow_norm=norms(shallow).max().item())
    hidden = random_weights([2, *[100] * 4], seed=0)
    h = torch.relu(network(hidden, POINTS[:2]))
    last = torch.linalg.lstsq(h, LABELS[:2, None]).solution.T
    wide = [*hidden, last]
    torch.testing.assert_close(network(wide, POINTS[:2])[:, 0], LABELS[:2])
    assert ratios(wide).mean() < bound


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"depth": 2}, ValueError, "depth=2: must be at least 3"),
        ({"depth": 4.0}, TypeError, "depth=4.0: must be an integer"),
        ({"shallow_depth": 0}, ValueError, "shallow_depth=0: must be at least 1"),
        ({"shallow_norm": 0.0}, ValueError, "shallow_norm=0.0: must be finite and above 0"),
        ({"shallow_norm": math.inf}, ValueError, "shallow_norm=inf: must be finite"),
        ({"outputs": 0}, ValueError, "outputs=0: must be at least 1"),
        ({"shallow_norm": 0.9}, ValueError, "shallow_norm=0.9: 2 layers of this norm cannot reach size=1"),
        ({"size": -1.0}, ValueError, "size=-1.0: must be finite and above 0"),
        ({"size": "1"}, TypeError, "size='1': must be a number"),
    ],
)
def test_minimum_norm_ratio_names_what_is_wrong(change, error, message):
    with pytest.raises(error, match=message):
        minimum_norm_ratio(**{"depth": 5, "shallow_depth": 2, "shallow_norm": 3.0} | change)


# --- counts of Jacobians and of weights -------------------------------------------------------------------------------

THRESHOLDS = [10.0**power for power in range(-6, 2)]
SLOPE_AT_MOST_1 = ("relu", "leaky_relu", "hardtanh", "tanh", "sigmoid", "softplus", "elu", "identity")
STEEPER = ("gelu", "silu")


def weights_of(net: MLP) -> list[Tensor]:
    return [net.get_submodule(name).weight.detach() for name in net.layers]


def jacobian_counts(net: MLP, x: Tensor, eps: float) -> list[Tensor]:
    """For every layer the counts at all inputs, by autograd and a float64 SVD."""

    def all_layers(z: Tensor) -> tuple[Tensor, ...]:
        return tuple(p[0] for p in net.preactivations(z[None]))

    jacobians = torch.func.vmap(torch.func.jacrev(all_layers))(x)
    return [(torch.linalg.svdvals(j) > eps).sum(1) for j in jacobians]


def others(tops: list[float], i: int) -> float:
    return math.prod(tops[:i] + tops[i + 1 :])


def counted(weights: list[Tensor], eps: float, scale=others) -> list[int]:
    """The bound in numpy, min over i <= l of rank_{eps / scale}(W_i); other scales make other statements."""
    spectra = [np.linalg.svd(weight.numpy(), compute_uv=False) for weight in weights]
    tops = [float(s[0]) for s in spectra]
    return [
        min(int((spectra[i] > eps / scale(tops[: l + 1], i)).sum()) for i in range(l + 1))
        for l in range(len(weights))
    ]


def networks(activation: str):
    """Random networks with biases, of small, usual and large weights, and inputs for each."""
    for seed, scale in enumerate((0.3, 1.0, 3.0)):
        for widths in ([6, 8, 5, 7, 3], [5, 12, 12, 12]):
            net = MLP(
                widths, activation=activation, init="he", scale=scale, generator=generator(seed)
            ).double()
            yield net, torch.randn(10, widths[0], generator=generator(9), dtype=torch.float64)


@pytest.mark.parametrize("activation", SLOPE_AT_MOST_1)
def test_no_jacobian_has_more_large_singular_values_than_the_bound(activation):
    below = 0
    for net, x in networks(activation):
        for eps in THRESHOLDS:
            bound = count_bound(weights_of(net), eps).tolist()
            assert bound == counted(weights_of(net), eps)
            below += sum(b < n for b, n in zip(bound, net.widths[1:], strict=True))
            assert all(
                (found <= b).all() for found, b in zip(jacobian_counts(net, x, eps), bound, strict=True)
            )
    assert below > 0  # the bound says something


@pytest.mark.parametrize(
    "scale",
    [
        pytest.param(lambda tops, i: 1 / others(tops, i), id="eps c"),
        pytest.param(lambda tops, i: 1.0, id="eps unchanged"),
        pytest.param(lambda tops, i: math.prod(tops[:i]), id="earlier layers only"),
        pytest.param(lambda tops, i: math.prod(tops[i + 1 :]), id="later layers only"),
    ],
)
def test_the_check_catches_statements_with_other_thresholds(scale):
    broken = sum(
        int((found > b).sum())
        for net, x in networks("relu")
        for eps in THRESHOLDS
        for found, b in zip(jacobian_counts(net, x, eps), counted(weights_of(net), eps, scale), strict=True)
    )
    assert broken > 0


@pytest.mark.parametrize("where", [0, 1, 2])
def test_the_bound_is_attained_where_all_layers_but_one_are_rotations_with_a_scale(where):
    g = generator(where)
    net = MLP([6] * 4, activation="identity", generator=g).double()
    for l, layer in enumerate((net.L1, net.L2, net.L3)):
        rotation = torch.linalg.qr(torch.randn(6, 6, generator=g, dtype=torch.float64))[0]
        values = 3 * torch.logspace(0, -5, 6) if l == where else torch.full((6,), 0.7 + l)  # no ties with eps
        layer.weight.data = rotation * values
    x = torch.zeros(1, 6, dtype=torch.float64)
    seen = set()
    for eps in THRESHOLDS:
        found = [int(count) for count in jacobian_counts(net, x, eps)]
        assert count_bound(weights_of(net), eps).tolist() == found
        seen |= set(found)
    assert len(seen) > 3


def test_the_activations_are_sorted_by_their_slopes():
    assert set(SLOPE_AT_MOST_1) | set(STEEPER) == set(ACTIVATIONS)
    for name, phi in ACTIVATIONS.items():
        p = torch.linspace(-20, 20, 40_001, dtype=torch.float64, requires_grad=True)
        slope = torch.autograd.grad(phi(p).sum(), p)[0].abs().max()
        assert (slope <= 1) == (name in SLOPE_AT_MOST_1)


@pytest.mark.parametrize("activation", STEEPER)
def test_the_bound_can_fail_where_a_slope_exceeds_one(activation):
    """At the steepest point of gelu (1.129) and silu (1.100) two identity layers have the Jacobian slope * I."""
    net = MLP([4, 4, 4], activation=activation, bias=False, generator=generator(0)).double()
    net.L1.weight.data = net.L2.weight.data = torch.eye(4, dtype=torch.float64)
    steepest = {"gelu": math.sqrt(2), "silu": 2.3994}[activation]
    x = torch.full((1, 4), steepest, dtype=torch.float64)
    assert count_bound(weights_of(net), 1.05).tolist() == [0, 0]
    assert [int(count) for count in jacobian_counts(net, x, 1.05)] == [0, 4]


def test_a_layer_of_zeros_leaves_nothing():
    ten, zero = 10 * torch.eye(3), torch.zeros(3, 3)
    assert count_bound([ten, zero, ten], 1e-6).tolist() == [3, 0, 0]
    assert count_bound([zero, ten], 1e-6).tolist() == [0, 0]


def test_a_singular_value_at_the_threshold_is_not_above_it():
    half, two = 0.5 * torch.eye(3), 2 * torch.eye(3)
    assert count_bound([two], 2.0).tolist() == [0]
    assert count_bound([half, two], 1.0).tolist() == [0, 0]


def test_float32_weights_are_computed_with_in_float64():
    weight = random_weights([7, 5], seed=0)[0].float()
    expected = (weight.double().numpy() ** 2).sum() / 0.01
    assert energy_bound([weight], 0.1).item() == pytest.approx(expected, rel=ROUNDING)


def test_the_trivial_bound_is_no_less_than_the_count():
    for seed, scale in enumerate((0.1, 1.0, 10.0)):
        weights = [scale * weight for weight in random_weights([7, 5, 9, 3], seed)]
        for eps in THRESHOLDS:
            found = energy_bound(weights, eps)
            for weight, bound in zip(weights, found.tolist(), strict=True):
                assert int((torch.linalg.svdvals(weight) > eps).sum()) <= bound
                assert bound == pytest.approx((weight.numpy() ** 2).sum() / eps**2, rel=ROUNDING)


def test_the_trivial_bound_is_nearly_attained_and_smaller_ones_are_wrong():
    weight = 0.25 * (1 + 1e-9) * torch.eye(9, dtype=torch.float64)  # 9 singular values just above 1/4
    found = energy_bound([weight], 0.25).item()
    assert found == pytest.approx(9, rel=1e-8)
    count = int((torch.linalg.svdvals(weight) > 0.25).sum())
    assert count == 9
    assert count > torch.linalg.matrix_norm(weight, 2).item() ** 2 / 0.25**2  # the operator norm instead
    assert count > weight.norm().item() / 0.25  # not squared


@pytest.mark.parametrize("bound", [count_bound, energy_bound])
@pytest.mark.parametrize(
    ("weights", "eps", "error", "message"),
    [
        ([], 0.1, ValueError, "weights: there are 0; must be at least 1"),
        ([torch.eye(2), torch.ones(3)], 0.1, ValueError, r"weights\[1\]: shape is \(3,\); must be a matrix"),
        ([torch.eye(2, dtype=torch.int64)], 0.1, TypeError, r"weights\[0\]: dtype is torch.int64"),
        ([torch.eye(2) / 0], 0.1, ValueError, r"weights\[0\]: 4 of its 4 entries are NaN or infinite"),
        ([torch.eye(2)], 0.0, ValueError, "eps=0.0: must be finite and above 0"),
        ([torch.eye(2)], math.nan, ValueError, "eps=nan: must be finite and above 0"),
    ],
)
def test_the_bounds_name_what_is_wrong(bound, weights, eps, error, message):
    with pytest.raises(error, match=message):
        bound(weights, eps)
