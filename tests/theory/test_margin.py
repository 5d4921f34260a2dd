"""Margins of homogeneous networks: closed forms, the hard-margin SVM, and gradient flow on a small problem."""

import math
from itertools import combinations, pairwise

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lrlib.nets import MLP
from lrlib.runtime import generator
from lrlib.theory import kkt_alignment, normalised_margin, smoothed_margin

ROUNDING = 1e-10  # float64, a handful of small layers


def linear(theta: Tensor) -> MLP:
    """f(x) = theta · x."""
    net = MLP([len(theta), 1], bias=False, generator=generator(0)).double()
    net.L1.weight.data = theta[None].double()
    return net


def relu_net(depth: int, seed: int, *, width: int = 6, inputs: int = 3) -> MLP:
    widths = [inputs, *[width] * (depth - 1), 1]
    return MLP(widths, bias=False, init="he", generator=generator(seed)).double()


def scaled(net: MLP, factor: float) -> MLP:
    """Another network of the same shape, its parameters ``factor`` times those of ``net``."""
    other = MLP(net.widths, bias=False, generator=generator(0)).double()
    other.load_state_dict({name: factor * value for name, value in net.state_dict().items()})
    return other


def labelled(n: int, seed: int, inputs: int = 3) -> tuple[Tensor, Tensor]:
    g = generator(seed)
    x = torch.randn(n, inputs, generator=g, dtype=torch.float64)
    return x, 1 - 2 * torch.randint(2, (n,), generator=g).double()


def flat(tensors) -> Tensor:
    return torch.cat([t.detach().flatten() for t in tensors])


# --- the two margins --------------------------------------------------------------------------------------------------


def test_margins_of_a_linear_map_are_distances():
    theta = torch.tensor([3.0, 4.0])
    x, y = torch.tensor([[1.0, 0.0], [0.0, -2.0]]).double(), torch.tensor([1.0, -1.0]).double()
    assert normalised_margin(linear(theta), x, y, degree=1) == pytest.approx(3 / 5, rel=ROUNDING)
    expected = -math.log(math.exp(-3) + math.exp(-8)) / 5
    assert smoothed_margin(linear(theta), x, y, degree=1) == pytest.approx(expected, rel=ROUNDING)


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
def test_the_normalised_margin_is_that_of_the_direction(depth):
    net, (x, y) = relu_net(depth, depth), labelled(20, 0)
    theta = flat(net.parameters())
    expected = (y * scaled(net, 1 / theta.norm().item())(x)[:, 0]).min().item()
    found = normalised_margin(net, x, y, degree=depth)
    assert found == pytest.approx(expected, rel=ROUNDING)
    for factor in (1e-3, 7.0, 1e3):
        assert normalised_margin(scaled(net, factor), x, y, degree=depth) == pytest.approx(
            found, rel=ROUNDING
        )


@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize("n", [1, 5, 100])
def test_the_smoothed_margin_lies_just_below_the_normalised_one(depth, n):
    for seed in range(5):
        net, (x, y) = relu_net(depth, seed), labelled(n, seed)
        normalised = normalised_margin(net, x, y, degree=depth)
        smoothed = smoothed_margin(net, x, y, degree=depth)
        gap = math.log(n) / flat(net.parameters()).norm().item() ** depth
        rounding = ROUNDING * (1 + abs(normalised))
        assert normalised - gap - rounding <= smoothed <= normalised + rounding
        losses = np.exp(-(y * net(x)[:, 0]).detach().numpy())
        expected = -np.log(losses.sum()) / flat(net.parameters()).norm().item() ** depth
        assert smoothed == pytest.approx(expected, rel=ROUNDING, abs=ROUNDING)


def test_the_gap_is_attained_where_all_points_are_one():
    x, y = torch.ones(8, 2).double(), torch.ones(8).double()
    net = linear(torch.tensor([0.6, 0.8], dtype=torch.float64))
    gap = normalised_margin(net, x, y, degree=1) - smoothed_margin(net, x, y, degree=1)
    assert gap == pytest.approx(math.log(8), rel=ROUNDING)


def test_large_margins_do_not_underflow():
    net, x, y = linear(torch.tensor([1e4, 0.0])), torch.eye(2).double()[:1], torch.ones(1).double()
    assert smoothed_margin(net, x, y, degree=1) == pytest.approx(
        1, rel=ROUNDING
    )  # exp(-10^4) is 0 in float64
    assert kkt_alignment(net, x, y) == pytest.approx(1, rel=ROUNDING)


@pytest.mark.parametrize(
    ("net", "degree"),
    [
        pytest.param(relu_net(2, 0), 1, id="too small"),
        pytest.param(relu_net(2, 0), 3, id="too large"),
        pytest.param(MLP([3, 6, 1], generator=generator(0)).double(), 2, id="biases"),
        pytest.param(
            MLP([3, 6, 1], activation="tanh", bias=False, generator=generator(0)).double(), 2, id="tanh"
        ),
    ],
)
def test_euler_s_identity_refuses_what_is_not_homogeneous(net, degree):
    x, y = labelled(20, 1)
    with pytest.raises(ValueError, match=rf"degree={degree}: <theta, grad f> must be degree times f, and is"):
        normalised_margin(net, x, y, degree=degree)


# --- gradient flow ----------------------------------------------------------------------------------------------------


def flow(net: nn.Module, x: Tensor, y: Tensor, *, steps: int, size: float) -> None:
    """Follow the path of gradient flow on sum_i exp(-y_i f(x_i)) by steps of Heun's method, each of length ``size``.

    The length of the velocity changes the time at which a point of the path is reached, and not the path.
    """
    parameters = list(net.parameters())

    def direction() -> list[Tensor]:
        down = torch.autograd.grad(-torch.logsumexp(-y * net(x)[:, 0], 0), parameters)
        length = math.sqrt(sum(g.square().sum().item() for g in down))
        return [g / length for g in down]

    def move(along: list[Tensor], by: float) -> None:
        with torch.no_grad():
            for p, g in zip(parameters, along, strict=True):
                p.add_(by * g)

    for _ in range(steps):
        first = direction()
        move(first, size)
        second = direction()
        move([b - a for a, b in zip(first, second, strict=True)], size / 2)


def test_gradient_flow_never_lowers_the_smoothed_margin_once_it_is_positive():
    x = torch.tensor([[1.0, 0.2], [-1.0, 0.1], [0.1, 1.0], [-0.2, -1.2]], dtype=torch.float64)
    y = torch.tensor([1.0, 1.0, -1.0, -1.0], dtype=torch.float64)  # no line separates them
    net = relu_net(2, 0, width=20, inputs=2)
    smoothed, alignment = [], []
    for _ in range(300):
        flow(net, x, y, steps=1, size=0.05)
        smoothed.append(smoothed_margin(net, x, y, degree=2))
        alignment.append(kkt_alignment(net, x, y))
    positive = next(i for i, value in enumerate(smoothed) if value > 0)
    assert (np.diff(smoothed[positive:]) > -ROUNDING).all()
    assert positive < 100  # so that the claim is about most of the path
    assert alignment[-1] > alignment[positive]


def test_before_it_is_positive_the_smoothed_margin_can_fall():
    """Two equal points on the wrong side: -||x|| - ln(2) / ||theta||, and theta shrinks."""
    net = linear(torch.tensor([-2.0, 0.0]))
    x, y = torch.tensor([[1.0, 0.0]] * 2).double(), torch.ones(2).double()
    before = smoothed_margin(net, x, y, degree=1)
    assert before == pytest.approx(-1 - math.log(2) / 2, rel=ROUNDING)
    flow(net, x, y, steps=10, size=0.1)
    assert smoothed_margin(net, x, y, degree=1) == pytest.approx(-1 - math.log(2) / 1, rel=ROUNDING)


# --- KKT points -------------------------------------------------------------------------------------------------------


def hard_margin(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """argmin ||theta||^2 with y_i theta·x_i >= 1: theta, the support's rows y_i x_i, and its multipliers.

    All supports are tried; the one that satisfies the KKT conditions is the answer, for the problem is convex.
    """
    a = y[:, None] * x
    for size in range(1, x.shape[1] + 1):
        for chosen in combinations(range(len(x)), size):
            rows = a[list(chosen)]
            alpha = torch.linalg.solve(rows @ rows.T, torch.ones(size, dtype=x.dtype))
            theta = alpha @ rows
            if (alpha > 0).all() and (a @ theta > 1 - ROUNDING).all():
                return theta, rows, alpha
    raise AssertionError("no support satisfies the KKT conditions: the points are not separable")


def separable(seed: int) -> tuple[Tensor, Tensor]:
    """Points at many distances on the right sides of a plane through zero."""
    x, _ = labelled(12, seed)
    return x, torch.sign(x @ torch.tensor([1.0, 2.0, -1.0], dtype=torch.float64))


def cosine(a: Tensor, b: Tensor) -> float:
    return (a @ b / (a.norm() * b.norm())).item()


@pytest.mark.parametrize("seed", range(4))
def test_the_cosine_tends_to_one_on_a_path_like_the_flow_s(seed):
    """theta = s theta* + rho with y_i x_i·rho = -ln alpha_i on the support, where losses are then exp(-s) alpha_i.

    So -grad is exp(-s) theta*, and what points off the margin add, which is less than exp(-s) by far.
    """
    x, y = separable(seed)
    best, rows, alpha = hard_margin(x, y)
    rho = torch.linalg.lstsq(rows, -alpha.log()[:, None]).solution[:, 0]
    for s in (300.0, 3_000.0, 30_000.0):
        theta = s * best + rho
        found = kkt_alignment(linear(theta), x, y)
        assert found == pytest.approx(cosine(theta, best), abs=ROUNDING)
        assert 1 - found <= (rho.norm() / (s * best.norm())) ** 2 + ROUNDING


@pytest.mark.parametrize("seed", range(4))
def test_along_one_direction_it_tends_to_one_only_where_the_multipliers_are_equal(seed):
    """On the ray s theta* the losses of the support are equal: the limit is the cosine with the sum of its rows."""
    x, y = separable(seed)
    best, rows, alpha = hard_margin(x, y)
    limit = cosine(best, rows.sum(0))
    assert kkt_alignment(linear(1e4 * best), x, y) == pytest.approx(
        limit, abs=1e-6
    )  # margins good to 1e-15 * 1e4
    assert (limit > 1 - ROUNDING) == (alpha.std(correction=0) < ROUNDING)


def test_gradient_flow_turns_towards_the_svm_and_the_cosine_towards_one():
    x, y = separable(0)
    best, _, _ = hard_margin(x, y)
    net = linear(torch.tensor([0.1, -0.2, 0.3]))
    missing, turned = [], []
    for steps in (250, 250, 500, 1_000):
        flow(net, x, y, steps=steps, size=0.02)
        missing.append(1 - kkt_alignment(net, x, y))
        turned.append(1 - cosine(net.L1.weight.detach()[0], best))
    for falling in (missing, turned):
        assert all(
            b < a / 2 for a, b in pairwise(falling)
        )  # with twice the norm, a quarter is left at late times


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_layers_of_rank_one_and_equal_norm_are_a_kkt_point_of_one_example(depth):
    """f = |x| a^L at theta = (a u_1 x^T / |x|, a u_2 u_1^T, ..., a u_{L-1}^T): theta and grad f are parallel."""
    g = generator(depth)
    x = torch.randn(1, 4, generator=g, dtype=torch.float64)
    units = [torch.rand(6, generator=g, dtype=torch.float64) for _ in range(depth - 1)]
    chain = [v / v.norm() for v in (x[0], *units, torch.ones(1).double())]
    net = relu_net(depth, 0, inputs=4)
    for name, (before, after) in zip(net.layers, pairwise(chain), strict=True):
        net.get_submodule(name).weight.data = torch.outer(after, before)
    y = torch.ones(1, dtype=torch.float64)
    for factor in (0.5, 1.0, 3.0):
        assert kkt_alignment(scaled(net, factor), x, y) == pytest.approx(1, rel=ROUNDING)
    margin = x.norm().item() / math.sqrt(depth) ** depth
    assert normalised_margin(net, x, y, degree=depth) == pytest.approx(margin, rel=ROUNDING)
    net.L1.weight.data *= 2  # layers of unequal norms: the same function up to scale, and no KKT point
    expected = depth / math.sqrt((depth + 3) * (depth - 0.75))  # slopes go as 1 / norm
    assert kkt_alignment(net, x, y) == pytest.approx(expected, rel=ROUNDING)


def test_the_cosine_of_one_point_is_that_of_theta_and_the_point():
    for seed in range(5):
        theta = torch.randn(4, generator=generator(seed), dtype=torch.float64)
        x, y = labelled(1, seed, inputs=4)
        assert kkt_alignment(linear(theta), x, y) == pytest.approx(cosine(theta, y[0] * x[0]), abs=ROUNDING)


@pytest.mark.parametrize("depth", [2, 3])
def test_random_directions_are_not_aligned_and_the_cosine_is_the_one_of_differences(depth):
    for seed in range(5):
        net, (x, y) = relu_net(depth, seed), labelled(20, seed)
        theta, h = flat(net.parameters()), 1e-6
        numeric = torch.empty_like(theta)
        for i in range(len(theta)):
            losses = []
            for sign in (1, -1):
                moved = theta.clone()
                moved[i] += sign * h
                nn.utils.vector_to_parameters(moved, net.parameters())
                losses.append(torch.exp(-y * net(x)[:, 0]).sum().item())
            numeric[i] = (losses[0] - losses[1]) / (2 * h)
        nn.utils.vector_to_parameters(theta, net.parameters())
        found = kkt_alignment(net, x, y)
        assert found == pytest.approx(cosine(theta, -numeric), abs=1e-6)  # O(h^2) + rounding 1e-16 / h
        assert abs(found) < 0.99


# --- arguments --------------------------------------------------------------------------------------------------------

MARGINS = [
    pytest.param(lambda net, x, y: normalised_margin(net, x, y, degree=2), id="normalised"),
    pytest.param(lambda net, x, y: smoothed_margin(net, x, y, degree=2), id="smoothed"),
    pytest.param(kkt_alignment, id="kkt"),
]


@pytest.mark.parametrize("call", MARGINS)
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"y": torch.tensor([1.0, 0.0])},
            ValueError,
            r"y: shape is \(2,\); must be \(2,\), and every label -1 or 1",
        ),
        ({"y": torch.ones(3)}, ValueError, r"y: shape is \(3,\); must be \(2,\)"),
        ({"y": torch.ones(2, 1)}, ValueError, r"y: shape is \(2, 1\); must be \(2,\)"),
        ({"y": torch.ones(2, dtype=torch.int64)}, TypeError, "y: dtype is torch.int64"),
        ({"x": torch.ones(3)}, ValueError, r"x: shape is \(3,\); must be \(n, ...\)"),
        ({"x": torch.full((2, 3), math.nan)}, ValueError, "x: 6 of its 6 entries are NaN or infinite"),
        (
            {"net": MLP([3, 4, 2], bias=False, generator=generator(0))},
            ValueError,
            r"net: its output has the shape \(2, 2\); must be \(2, 1\)",
        ),
        ({"net": scaled(relu_net(2, 0), 0.0).float()}, ValueError, "net: all its parameters are zero"),
    ],
)
def test_what_is_wrong_is_named(call, change, error, message):
    arguments = {
        "net": relu_net(2, 0).float(),
        "x": torch.ones(2, 3),
        "y": torch.tensor([1.0, -1.0]),
    } | change
    with pytest.raises(error, match=message):
        call(*arguments.values())


@pytest.mark.parametrize("margin", [normalised_margin, smoothed_margin])
@pytest.mark.parametrize(
    ("degree", "error"), [(0, ValueError), (-3, ValueError), (2.5, TypeError), (True, TypeError)]
)
def test_the_degree_is_a_whole_number_from_one(margin, degree, error):
    x, y = torch.ones(2, 3), torch.tensor([1.0, -1.0])
    with pytest.raises(error, match=f"degree={degree}: must be"):
        margin(relu_net(2, 0).float(), x, y, degree=degree)


def test_a_network_without_a_gradient_has_no_cosine():
    dead = MLP([3, 4, 1], bias=False, generator=generator(0))
    dead.L1.weight.data = -dead.L1.weight.data.abs()
    with pytest.raises(ValueError, match="net: its gradient is zero at all these inputs"):
        kkt_alignment(dead, torch.ones(2, 3), torch.tensor([1.0, -1.0]))


@pytest.mark.parametrize("call", MARGINS)
def test_margins_need_no_gradients_of_their_caller(call):
    net, x, y = relu_net(2, 0).float(), torch.randn(5, 3, generator=generator(1)), torch.ones(5)
    expected = call(net, x, y)
    with torch.no_grad():
        assert call(net, x, y) == expected
    assert all(p.grad is None for p in net.parameters())


@pytest.mark.parametrize("margin", [normalised_margin, smoothed_margin])
def test_margins_refuse_what_is_not_homogeneous(margin):
    g = generator(0)
    x, y = torch.randn(6, 3, generator=g), torch.ones(6)
    biased = MLP([3, 4, 1], generator=g)
    with pytest.raises(ValueError, match="degree=2: <theta, grad f> must be degree times f"):
        margin(biased, x, y, degree=2)
    with pytest.raises(
        ValueError, match="degree=3: <theta, grad f> must be degree times f, and is 2 times it"
    ):
        margin(MLP([3, 4, 1], bias=False, generator=g), x, y, degree=3)
