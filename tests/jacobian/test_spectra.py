import pytest
import torch
from jacobian_cases import brute_force, random_network, sequential
from torch import nn

from lrlib import jacobian_spectra, reference
from lrlib.nets import ACTIVATIONS, MLP
from lrlib.rank import count_above, covariance_root
from lrlib.runtime import generator

CASES_PER_ACTIVATION = 40


def cases(activation):
    """Networks, at most three inputs of each, and bounds on the rounding of every layer's spectra there, (n, 1)."""
    for seed in range(CASES_PER_ACTIVATION):
        net, x = random_network(activation, seed, widest=14)
        x = x[:3]
        yield net, x, [torch.from_numpy(rounding).unsqueeze(-1) for _, rounding in brute_force(net, x)]


def assert_within(rounding, found, expected):
    assert found.shape == expected.shape
    assert ((found - expected).abs() <= rounding).all()


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_spectra_equal_a_float64_brute_force(activation):
    for net, x, roundings in cases(activation):
        found = jacobian_spectra(net, x)
        assert found.layers == net.layers
        for layer, rounding in zip(net.layers, roundings, strict=True):
            assert found[layer].dtype == torch.float64
            assert_within(rounding, found[layer], reference.spectra(net, x, layer))


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_the_generic_path_equals_the_brute_force_and_the_chain(activation):
    for net, x, roundings in cases(activation):
        module = sequential(net)
        found, chain = jacobian_spectra(module, x), jacobian_spectra(net, x)
        for name, by_autodiff, by_chain, rounding in zip(
            found.layers, found.values, chain.values, roundings, strict=True
        ):
            assert_within(rounding, by_autodiff, by_chain)
            assert_within(rounding, by_autodiff, reference.spectra(module, x, name))


def test_dead_relu_layer_has_spectrum_zero_behind_it():
    net = MLP([4, 6, 5, 3], generator=generator(0))
    net.L2.bias.data.fill_(-1e4)
    spec = jacobian_spectra(net, torch.randn(7, 4, generator=generator(1)))
    assert (spec["L1"] > 0).all()
    assert (spec["L2"] >= 0).all()
    assert (spec["L3"] == 0).all()


def test_convolutions_residuals_and_norms_equal_the_brute_force():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(2, 2, 3, padding=1)
            self.norm = nn.BatchNorm2d(2)
            self.head = nn.Linear(2 * 4 * 4, 3)

        def forward(self, x):
            return self.head(
                nn.functional.dropout(x + torch.tanh(self.norm(self.conv(x))), 0.5, self.training).flatten(1)
            )

    torch.manual_seed(0)
    net, x = Block(), torch.randn(4, 2, 4, 4)
    net(x)  # running statistics other than 0 and 1
    found = jacobian_spectra(net, x)
    assert found.layers == ("conv", "head")
    for name in ("conv", "head"):
        torch.testing.assert_close(found[name], reference.spectra(net, x, name), rtol=0, atol=1e-13)
    named = jacobian_spectra(net, x, layers=["norm"])
    torch.testing.assert_close(named["norm"], reference.spectra(net, x, "norm"), rtol=0, atol=1e-13)


def test_an_activation_in_place_does_not_change_the_pre_activation_before_it():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4))
    in_place = nn.Sequential(net[0], nn.ReLU(inplace=True), net[2])
    x = torch.randn(5, 6)
    expected, found = jacobian_spectra(net, x), jacobian_spectra(in_place, x)
    for name in ("0", "2"):
        assert torch.equal(found[name], expected[name])
        torch.testing.assert_close(reference.spectra(in_place, x, name), expected[name], rtol=0, atol=1e-14)
    torch.testing.assert_close(found["0"], torch.linalg.svdvals(net[0].weight.double()).expand(5, -1))


def test_a_network_that_changes_an_mlp_is_differentiated_as_it_is():
    class Doubled(MLP):
        def forward(self, x):
            return super().forward(2 * x)

    x = torch.randn(3, 4, generator=generator(1))
    plain, doubled = (cls([4, 5, 3], bias=False, generator=generator(0)) for cls in (MLP, Doubled))
    torch.testing.assert_close(jacobian_spectra(doubled, x)["L2"], 2 * jacobian_spectra(plain, x)["L2"])
    plain.L1.register_forward_hook(lambda _m, _i, out: 3 * out)
    torch.testing.assert_close(jacobian_spectra(plain, x)["L2"], reference.spectra(plain, x, "L2"))


def test_inference_mode_changes_nothing():
    net, x = MLP([4, 5, 3], generator=generator(0)), torch.randn(3, 4, generator=generator(1))
    expected = jacobian_spectra(net, x)["L2"]
    with torch.inference_mode():
        assert torch.equal(jacobian_spectra(net, x)["L2"], expected)


def test_the_module_is_left_as_it_was_found():
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, 2)).train()
    net[0].weight.grad = torch.ones(4, 3)
    calls = []
    net.register_forward_hook(lambda *_: calls.append(1))
    state = {k: v.clone() for k, v in net.state_dict().items()}
    jacobian_spectra(net, torch.randn(5, 3))
    with pytest.raises(ValueError, match="layers"):
        jacobian_spectra(net, torch.randn(5, 3), layers=["0", "nowhere"])
    assert all(torch.equal(v, state[k]) for k, v in net.state_dict().items())
    assert net.training
    assert all(m.training for m in net)
    assert torch.equal(net[0].weight.grad, torch.ones(4, 3))
    assert all(p.requires_grad and p.dtype == torch.float32 for p in net.parameters())
    assert not net[0]._forward_hooks
    assert len(net._forward_hooks) == 1


def test_linear_network_with_orthogonal_factors_has_the_known_spectrum():
    q = [torch.linalg.qr(torch.randn(6, 6, generator=generator(s), dtype=torch.float64)).Q for s in range(3)]
    sigma = torch.tensor([5.0, 3.0, 1.0, 0.5, 1e-3, 0.0], dtype=torch.float64)
    net = MLP([6, 6, 6], activation="identity", generator=generator(0)).double()
    net.L1.weight.data, net.L2.weight.data = torch.diag(sigma) @ q[0], q[1]
    spec = jacobian_spectra(net, torch.randn(2, 6, dtype=torch.float64))
    for layer in ("L1", "L2"):
        torch.testing.assert_close(spec[layer], sigma.expand(2, -1), rtol=0, atol=1e-14)


def test_scaling_a_layer_scales_the_spectrum_and_rotating_the_input_changes_nothing():
    net = MLP([5, 8, 4], generator=generator(0)).double()
    x = torch.randn(6, 5, generator=generator(1), dtype=torch.float64)
    before = jacobian_spectra(net, x)["L2"]
    turn = torch.linalg.qr(torch.randn(5, 5, generator=generator(2), dtype=torch.float64)).Q
    net.L1.weight.data = net.L1.weight.data @ turn.T
    torch.testing.assert_close(jacobian_spectra(net, x @ turn.T)["L2"], before, rtol=1e-12, atol=1e-14)
    net.L2.weight.data *= 7
    torch.testing.assert_close(jacobian_spectra(net, x @ turn.T)["L2"], 7 * before, rtol=1e-12, atol=1e-14)


def test_rank_of_the_jacobian_is_at_most_the_smallest_rank_of_the_weights_before_it():
    net = MLP([9, 8, 8, 8], generator=generator(0)).double()
    for name, r in (("L1", 6), ("L2", 3), ("L3", 7)):
        u, s, v = torch.linalg.svd(net.get_submodule(name).weight.data)
        s[r:] = 0
        net.get_submodule(name).weight.data = u @ torch.diag(s) @ v[:8]
    spec = jacobian_spectra(net, torch.randn(20, 9, generator=generator(1), dtype=torch.float64))
    for layer, bound in (("L1", 6), ("L2", 3), ("L3", 3)):
        assert (count_above(spec[layer], 1e-10, relative=True) <= bound).all()


def test_input_factor_multiplies_the_jacobian_from_the_right():
    net = MLP([5, 4, 3], activation="tanh", generator=generator(0)).double()
    x = torch.randn(6, 5, generator=generator(1), dtype=torch.float64) * torch.arange(1.0, 6)
    root = covariance_root(x)
    jacobians = torch.stack(reference.jacobians(net, x, "L2"))
    expected = torch.linalg.svdvals(jacobians @ root)
    sequential = nn.Sequential(net.L1, nn.Tanh(), net.L2)
    for found in (
        jacobian_spectra(net, x, input_factor=root)["L2"],
        jacobian_spectra(sequential, x, input_factor=root)["2"],
    ):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("chunk", [1, 2, 5, 100])
def test_chunks_change_nothing(chunk):
    net, x = MLP([4, 6, 3], generator=generator(0)), torch.randn(5, 4, generator=generator(1))
    for module in (net, nn.Sequential(net.L1, nn.ReLU(), net.L2)):
        whole, parts = jacobian_spectra(module, x), jacobian_spectra(module, x, chunk=chunk)
        for a, b in zip(whole.values, parts.values, strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-14)


def test_a_subset_of_layers_in_the_order_asked():
    net, x = MLP([4, 6, 5, 3], generator=generator(0)), torch.randn(2, 4)
    spec = jacobian_spectra(net, x, layers=["L3", "L1"])
    assert spec.layers == ("L3", "L1")
    assert torch.equal(spec["L3"], jacobian_spectra(net, x)["L3"])


def test_weights_that_are_not_finite_or_overflow_are_refused():
    net, x = MLP([4, 3, 2], generator=generator(0)).double(), torch.ones(3, 4)
    net.L2.weight.data[0, 0] = torch.inf
    with pytest.raises(
        ValueError, match=r"net, parameter L2\.weight: 1 of its 6 entries are NaN or infinite"
    ):
        jacobian_spectra(net, x)
    linear = MLP([4, 3, 2], activation="identity", bias=False, generator=generator(0)).double()
    for parameter in linear.parameters():
        parameter.data *= 1e200
    with pytest.raises(FloatingPointError, match=r"net: .* overflows"):
        jacobian_spectra(linear, x)
