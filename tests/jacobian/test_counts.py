"""Counts whose truth is known without computing: closed forms, certification and ties, extremes, monotonicity."""

import math

import numpy as np
import pytest
import torch
from jacobian_cases import both, brute_force, linear_network, orthogonal, random_network, with_spectrum
from torch import nn

from lrlib import jacobian_counts, jacobian_spectra
from lrlib.nets import MLP
from lrlib.runtime import generator

DOUBLE = torch.float64
SIZES = [(1, 1), (3, 2), (14, 14), (20, 63), (64, 64), (65, 70), (128, 130), (140, 96)]


def decades(k: int) -> torch.Tensor:
    """k singular values, 1, 0.1, ..., 1e-12 over and over, descending."""
    return torch.cat([torch.logspace(0, -12, 13, dtype=DOUBLE)] * (k // 13 + 1))[:k].sort(descending=True)[0]


def behind_an_orthogonal_layer(sigma, rows, columns):
    """A network whose second layer has this spectrum, and for several inputs: the first turns its output."""
    return linear_network(orthogonal(columns, 7), with_spectrum(sigma, rows, columns, 1))


@pytest.mark.parametrize(("rows", "columns"), SIZES)
def test_counts_of_known_singular_values_down_to_1e_12(rows, columns):
    sigma = decades(min(rows, columns))
    net, x = behind_an_orthogonal_layer(sigma, rows, columns), torch.ones(2, columns, dtype=DOUBLE)
    cuts = torch.logspace(-12, 0, 13, dtype=DOUBLE) * 3  # the largest is above sigma_1
    expected = torch.tensor([float((sigma > cut).sum()) for cut in cuts])
    for _, module in both(net):
        for relative in (False, True):
            many = jacobian_counts(module, x, cuts, relative=relative)
            assert torch.equal(many.values[:, 1], expected.double().expand(2, -1))
            assert not many.ties[:, 1].any()
            for number in (1, 2):
                for i in range(0, 13, 3):
                    found = jacobian_counts(module, x, cuts[i : i + number], relative=relative)
                    assert torch.equal(found.values[:, 1], expected[i : i + number].double().expand(2, -1))
                    assert not found.ties[:, 1].any()


@pytest.mark.parametrize(("rows", "columns"), SIZES)
@pytest.mark.parametrize("power", [-13, -14])
def test_smaller_singular_values_are_counted_right_or_are_ties(rows, columns, power):
    """Near 1e-14 sigma_1 the sums' rounding is as large as the values: then a count must say so."""
    k = min(rows, columns)
    sigma = torch.where(torch.arange(k) < k // 2, 1.0, 10.0**power).double()
    net, x = behind_an_orthogonal_layer(sigma, rows, columns), torch.ones(2, columns, dtype=DOUBLE)
    for _, module in both(net):
        for relative in (False, True):
            for eps in (0.3, 3.0, 10.0):
                cut = eps * 10.0**power
                found = jacobian_counts(module, x, cut, relative=relative and k > 1)
                right = found.values[:, 1] == (sigma > cut).sum()
                assert (right | found.ties[:, 1]).all()
                if power == -13:
                    assert right.all()


@pytest.mark.parametrize("relative", [False, True])
def test_the_svd_answers_below_the_resolution_of_the_gram_matrix_and_only_there(relative):
    net, x = behind_an_orthogonal_layer(decades(40), 40, 40), torch.ones(3, 40, dtype=DOUBLE)
    for _, module in both(net):
        for eps, method in ((3e-13, "svd"), (3e-10, "svd"), (3e-8, "svd"), (3e-5, "gram"), (0.3, "gram")):
            found = jacobian_counts(module, x, eps, relative=relative)
            assert found.methods[1] == (method,)
            assert 1e-9 < found.resolution[1] < 1e-5  # sqrt(2^-53) is 1e-8
        found = jacobian_counts(module, x, torch.tensor([3e-13, 0.3]), relative=relative)
        assert found.methods[1] == ("svd",)


def test_the_gram_matrix_answers_at_some_inputs_and_the_svd_at_others():
    """ReLU passes sigma = 1, 1e-9 at the first input and sigma = 1 at the second; the threshold is 1e-5."""
    net = linear_network(np.eye(2), np.diag([1.0, 1e-5]), activation="relu")
    x = torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=DOUBLE)
    for _, module in both(net):
        found = jacobian_counts(module, x, torch.tensor([1e-5, 1e-1], dtype=DOUBLE))
        assert found.methods[1] == ("gram", "svd")
        assert found.values[1, 1].tolist() == [1, 1]
        assert found.ties[:, 1].tolist() == [[True, False], [False, False]]


@pytest.mark.parametrize("relative", [False, True])
def test_ties_are_singular_values_at_the_threshold_and_nothing_else(relative):
    sigma = torch.tensor([8.0, 5.0, 5.0, 3.0, 1.0, 0.25], dtype=DOUBLE)
    net, x = linear_network(orthogonal(6, 0), torch.diag(sigma)), torch.ones(2, 6, dtype=DOUBLE)
    for _, module in both(net):
        for s in sigma.tolist():
            eps = s / 8 if relative else s
            found = jacobian_counts(module, x, eps, relative=relative)
            assert found.ties[:, 1].all()
            least, most = (sigma > s).sum(), (sigma >= s).sum()
            assert ((least <= found.values[:, 1]) & (found.values[:, 1] <= most)).all()
            for away, count in ((1e-12, least), (-1e-12, most), (1e-3, least), (-1e-3, most)):
                found = jacobian_counts(module, x, eps * (1 + away), relative=relative)
                assert not found.ties[:, 1].any()
                assert (found.values[:, 1] == count).all()


def test_a_threshold_of_zero_counts_what_is_certainly_not_zero_and_calls_the_rest_ties():
    full, singular = torch.tensor([4.0, 2.0, 1.0]), torch.tensor([4.0, 2.0, 0.0])
    x = torch.ones(1, 3, dtype=DOUBLE)
    for sigma, rank in ((full, 3), (singular, 2)):
        for _, module in both(linear_network(np.eye(3), torch.diag(sigma))):
            found = jacobian_counts(module, x, 0.0)
            assert found.ties[0, 1, 0] == (rank < 3)
            assert rank <= found.values[0, 1, 0] <= 3


@pytest.mark.parametrize("width", [2, 9, 64])
def test_orthogonal_weights_have_the_product_of_their_scales_as_every_singular_value(width):
    scales = (3.0, 0.5, 4.0, 0.1)
    net = linear_network(*(scale * orthogonal(width, seed) for seed, scale in enumerate(scales)))
    for _, module in both(net):
        for l in range(4):
            product = math.prod(scales[: l + 1])
            found = jacobian_counts(
                module, torch.ones(1, width, dtype=DOUBLE), torch.tensor([0.999, 1.001]) * product
            )
            assert found.values[0, l].tolist() == [width, 0]
            spectrum = jacobian_spectra(module, torch.ones(1, width, dtype=DOUBLE)).values[l]
            torch.testing.assert_close(spectrum, torch.full_like(spectrum, product), rtol=1e-14, atol=0)


def test_products_of_rank_deficient_weights_have_the_known_rank():
    g = generator(0)

    def of_rank(r, rows, columns):
        left, right = (torch.randn(*shape, generator=g, dtype=DOUBLE) for shape in ((rows, r), (r, columns)))
        return left @ right

    net = linear_network(of_rank(7, 12, 10), of_rank(9, 11, 12), of_rank(4, 20, 11), of_rank(6, 9, 20))
    for _, module in both(net):
        found = jacobian_counts(module, torch.ones(1, 10, dtype=DOUBLE), 1e-10, relative=True)
        assert found.values[0, :, 0].tolist() == [7, 7, 4, 4]


def test_a_projector_keeps_its_rank_however_often_it_is_applied():
    basis = orthogonal(30, 3)[:, :11]
    projector = basis @ basis.T
    for _, module in both(linear_network(*[projector] * 5)):
        found = jacobian_counts(
            module, torch.ones(1, 30, dtype=DOUBLE), torch.tensor([1e-12, 1e-6, 0.5, 0.999999, 1.000001])
        )
        assert found.values[0].tolist() == [[11, 11, 11, 11, 0]] * 5
        assert not found.ties.any()


def test_a_network_of_single_units_is_differentiated_by_hand():
    weights, biases, x = (2.0, -3.0, 0.5), (0.1, 0.4, 0.0), 0.3
    net = linear_network(*([[w]] for w in weights), activation="tanh", bias=True)
    for l, bias in enumerate(biases, start=1):
        net.get_submodule(f"L{l}").bias.data.fill_(bias)
    p1 = weights[0] * x + biases[0]
    p2 = weights[1] * math.tanh(p1) + biases[1]
    second = weights[1] * weights[0] / math.cosh(p1) ** 2
    third = weights[2] * second / math.cosh(p2) ** 2
    expected = torch.tensor([weights[0], second, third], dtype=DOUBLE).abs()
    for _, module in both(net):
        found = jacobian_spectra(module, torch.tensor([[x]], dtype=DOUBLE))
        torch.testing.assert_close(torch.cat(found.values).squeeze(), expected, rtol=1e-14, atol=0)
        for away, count in ((0.999, 1), (1.001, 0)):
            counts = jacobian_counts(module, torch.tensor([[x]], dtype=DOUBLE), away * expected)
            assert counts.values[0].diagonal().tolist() == [count] * 3


def test_relu_units_pass_exactly_the_rows_that_are_positive():
    """W_1 = 1, so J_2 = W_2 D with as many columns as x has positive entries."""
    g = generator(0)
    x = torch.randn(70, 20, generator=g, dtype=DOUBLE)
    net = linear_network(np.eye(20), torch.randn(24, 20, generator=g, dtype=DOUBLE), activation="relu")
    for _, module in both(net):
        found = jacobian_counts(module, x, 1e-10, relative=True)
        assert torch.equal(found.values[:, 1, 0], (x > 0).sum(1).double())
        assert (found.values[:, 0, 0] == 20).all()


def test_counts_never_rise_with_eps():
    for seed, activation in enumerate(("relu", "tanh", "gelu", "elu")):
        net, x = random_network(activation, 11 + 6 * seed)
        for relative in (False, True):
            eps = torch.logspace(-16, 3, 60, dtype=DOUBLE)
            found = jacobian_counts(net, x, eps, relative=relative)
            assert (found.values.diff(dim=-1) <= 0).all()
            singly = [jacobian_counts(net, x, e, relative=relative).values for e in eps[::6]]
            assert (torch.cat(singly, dim=-1).diff(dim=-1) <= 0).all()


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "tanh", "identity"])
def test_rank_never_rises_with_depth_and_stays_below_the_weights_ranks(activation):
    """rank_eps(J_l) <= rank_{eps / c}(W_i), c the product of the other weights' norms, as slopes are at most 1."""
    for seed in range(12):
        net, x = random_network(activation, 6 * seed + 5)  # six layers
        weights = [p.detach().double().numpy() for p in net.parameters() if p.ndim == 2]
        spectra = [np.linalg.svd(w, compute_uv=False) for w in weights]
        exact = jacobian_counts(net, x, 1e-10, relative=True).values[..., 0]
        assert (exact.diff(dim=1) <= 0).all()
        ranks = np.array([(s > 1e-10 * s[0]).sum() for s in spectra])
        assert (exact.numpy() <= np.minimum.accumulate(ranks)).all()
        top = brute_force(net, x)[-1][0][:, 0].max()
        for eps in top * np.array([1e-4, 1e-2, 0.3]) if top > 0 else [0.1]:
            found = jacobian_counts(net, x, float(eps)).values[..., 0].numpy()
            for l in range(len(spectra)):
                for i in range(l + 1):
                    others = math.prod(s[0] for j, s in enumerate(spectra[: l + 1]) if j != i)
                    assert (found[:, l] <= (spectra[i] * others > eps * (1 - 1e-9)).sum()).all()


EXTREME = [1e-170, 1e-160, 1e-100, 1.0, 1e100, 1e160]


@pytest.mark.parametrize("scale", EXTREME)
@pytest.mark.parametrize("where", [0, 1])
def test_counts_are_right_where_squares_overflow_or_underflow(scale, where):
    sigma = torch.tensor([4.0, 3.0, 2.0, 1.0], dtype=DOUBLE)
    weights = [orthogonal(4, 0), torch.diag(sigma), orthogonal(4, 1)]
    weights[where] = scale * weights[where]
    for name, module in both(linear_network(*weights)):
        x = torch.zeros(2, 4, dtype=DOUBLE)
        for eps in (0.5, 2.5, torch.tensor([0.5, 2.5]), torch.tensor([0.5, 2.5, 3.5, 4.5], dtype=DOUBLE)):
            expected = (sigma > torch.as_tensor(eps).reshape(-1, 1)).sum(-1)
            for relative in (False, True):
                cut = torch.as_tensor(eps, dtype=DOUBLE) * (1 / 4 if relative else scale)
                found = jacobian_counts(module, x, cut, relative=relative)
                for l in (1, 2):
                    assert torch.equal(found.values[0, l], expected.double()), (name, l, eps, relative)
                assert not found.resolution.isnan().any()


@pytest.mark.parametrize("scale", EXTREME)
@pytest.mark.parametrize("where", [0, 1])
def test_ties_are_only_at_the_threshold_where_squares_overflow_or_underflow(scale, where):
    weights = [orthogonal(4, 0), torch.diag(torch.tensor([4.0, 3.0, 2.0, 1.0], dtype=DOUBLE))]
    weights[where] = scale * weights[where]
    for _, module in both(linear_network(*weights)):
        for eps in (torch.tensor([2.5]), torch.tensor([0.5, 1.5, 2.5])):
            found = jacobian_counts(module, torch.zeros(2, 4, dtype=DOUBLE), eps.double() * scale)
            assert not found.ties[:, 1].any()


@pytest.mark.parametrize("power", range(-170, -139, 3))
def test_counts_are_right_close_to_singular_values_whose_squares_lose_digits(power):
    """Squares below 1e-308 have fewer digits, and below 1e-324 none."""
    sigma = torch.tensor([4.0, 3.0, 2.0, 1.0], dtype=DOUBLE) * 10.0**power
    for weights in ((orthogonal(4, 0), torch.diag(sigma)), (torch.diag(sigma), orthogonal(4, 0))):
        for _, module in both(linear_network(*weights)):
            for above, s in enumerate(sigma.tolist()):
                for away, count in ((1e-6, above), (-1e-6, above + 1)):
                    for eps in (s * (1 + away), torch.full((4,), s * (1 + away), dtype=DOUBLE)):
                        found = jacobian_counts(module, torch.zeros(1, 4, dtype=DOUBLE), eps)
                        assert (found.values[0, 1] == count).all()
                    relative = s / sigma[0].item() * (1 + away)
                    found = jacobian_counts(module, torch.zeros(1, 4, dtype=DOUBLE), relative, relative=True)
                    assert (found.values[0, 1] == count).all()


@pytest.mark.parametrize("scale", EXTREME)
@pytest.mark.parametrize("resolution", [0.0, 1e-4])
def test_spectra_are_right_where_squares_overflow_or_underflow(scale, resolution):
    sigma = torch.tensor([4.0, 3.0, 2.0, 1.0], dtype=DOUBLE)
    net = linear_network(orthogonal(4, 0), scale * torch.diag(sigma))
    for _, module in both(net):
        found = jacobian_spectra(module, torch.zeros(2, 4, dtype=DOUBLE), resolution=resolution)
        torch.testing.assert_close(found.values[1] / scale, sigma.expand(2, -1), rtol=1e-9, atol=0)
        assert not found.resolution.isnan().any()


@pytest.mark.parametrize("scale", [1e155, 1e160, 1e200])
@pytest.mark.parametrize("order", [1, -1])
def test_huge_weights_that_tiny_ones_make_up_for_change_nothing(scale, order):
    sigma = torch.tensor([4.0, 3.0, 2.0, 1.0], dtype=DOUBLE)
    scales = [scale, 1 / scale][::order]
    net = linear_network(scales[0] * orthogonal(4, 0), scales[1] * torch.diag(sigma))
    x = torch.zeros(2, 4, dtype=DOUBLE)
    for _, module in both(net):
        assert jacobian_counts(module, x, 2.5).values[:, 1, 0].tolist() == [2, 2]
        many = jacobian_counts(module, x, torch.tensor([0.5, 1.5, 2.5, 3.5]))
        assert many.values[0, 1].tolist() == [4, 3, 2, 1]
        for resolution in (0.0, 1e-4):
            found = jacobian_spectra(module, x, resolution=resolution)
            torch.testing.assert_close(found.values[1], sigma.expand(2, -1), rtol=1e-9, atol=0)
            assert not found.resolution.isnan().any()


@pytest.mark.parametrize(
    "scales", [(1e-90, 1e-90, 1e120, 1e60), (1e60, 1e120, 1e-90, 1e-90), (1e-150, 1e-150, 1e150, 1e150)]
)
def test_tiny_layers_that_huge_ones_make_up_for_change_nothing(scales):
    """The squares of what the first two layers do underflow; a narrow layer behind them has rank 2."""
    g = generator(0)
    shapes = ((6, 6), (2, 6), (6, 2), (6, 6))
    weights = [torch.randn(shape, generator=g, dtype=DOUBLE) for shape in shapes]
    x = torch.randn(3, 6, generator=g, dtype=DOUBLE)
    plain = linear_network(*weights)
    spectra = brute_force(plain, x)
    for _, module in both(linear_network(*(c * w for c, w in zip(scales, weights, strict=True)))):
        for eps in (0.5, 40.0, torch.tensor([0.5, 40.0, 1e-3, 1e3], dtype=DOUBLE)):
            expected = (spectra[3][0][:, None] > np.reshape(np.asarray(eps), (-1, 1))).sum(-1)
            assert (jacobian_counts(module, x, eps).values[:, 3].numpy() == expected).all()
        found = jacobian_spectra(module, x, resolution=1e-4).values[3]
        torch.testing.assert_close(found[:, :2], torch.from_numpy(spectra[3][0])[:, :2], rtol=1e-6, atol=0)


@pytest.mark.parametrize("eps", [1e20, 1e100, 1e154, 1e155, 1e160, 1e300])
def test_nothing_exceeds_a_huge_threshold(eps):
    net, x = MLP([4, 6, 5], generator=generator(0)), torch.randn(3, 4, generator=generator(1))
    for _, module in both(net):
        for asked in (eps, torch.tensor([eps, 1.0], dtype=DOUBLE), torch.tensor([eps] * 4, dtype=DOUBLE)):
            for relative in (False, True):
                found = jacobian_counts(module, x, asked, relative=relative)
                assert (found.values[..., 0] == 0).all()
                assert not found.ties[..., 0].any()


@pytest.mark.parametrize("eps", [0.0, 1e-300, 1e-3, 1.0])
@pytest.mark.parametrize("relative", [False, True])
def test_a_jacobian_of_zeros_has_rank_zero_at_every_threshold(eps, relative):
    net = linear_network(np.ones((6, 4)), np.ones((5, 6)), np.ones((3, 5)), activation="relu", bias=True)
    net.L2.bias.data.fill_(-1e4)  # J_3 is dead
    still = linear_network(np.ones((6, 4)), np.zeros((5, 6)), np.ones((3, 5)))
    for _, module in both(net) + both(still):
        for asked in (eps, torch.full((3,), eps)):
            found = jacobian_counts(module, torch.zeros(2, 4, dtype=DOUBLE), asked, relative=relative)
            assert (found.values[:, 2] == 0).all()
            assert not found.values.isnan().any()
            assert not found.resolution.isnan().any()


def test_a_jacobian_that_overflows_is_refused():
    net = linear_network(1e200 * np.eye(4), 1e200 * np.eye(4))
    for _, module in both(net):
        for eps in (1.0, torch.tensor([0.1, 1.0, 10.0])):
            for relative in (False, True):
                with pytest.raises(FloatingPointError, match="net: its Jacobian overflows float64"):
                    jacobian_counts(module, torch.zeros(2, 4, dtype=DOUBLE), eps, relative=relative)
        first = jacobian_counts(
            module, torch.zeros(2, 4, dtype=DOUBLE), 1e199, layers=["L1" if module is net else "0"]
        )
        assert (first.values == 4).all()


def test_one_layer_and_one_unit_are_enough():
    for module in (MLP([1, 1], generator=generator(0)), nn.Linear(1, 1), nn.Sequential(nn.Linear(1, 1))):
        weight = next(module.parameters()).abs().item()
        found = jacobian_counts(module, torch.ones(1, 1), torch.tensor([0.5, 2.0], dtype=DOUBLE) * weight)
        assert found.values.tolist() == [[[1, 0]]]


@pytest.mark.filterwarnings("error")
def test_inputs_that_share_their_answer_are_refined_without_a_deprecated_operation():
    sigma = torch.tensor([1.0, 0.5, 1e-3, 1e-9], dtype=DOUBLE)
    net = linear_network(orthogonal(4, 0), torch.diag(sigma))
    found = jacobian_spectra(net, torch.ones(3, 4, dtype=DOUBLE), resolution=1e-10)
    assert found.methods[1] == ("svd",)
    torch.testing.assert_close(found.values[1], sigma.expand(3, -1), rtol=0, atol=1e-14)
