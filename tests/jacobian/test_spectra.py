import subprocess
import sys

import pytest
import torch
from jacobian_examples import random_case, rounding, sequential
from torch import nn

from lrlib import jacobian_spectra, reference
from lrlib.nets import ACTIVATIONS, MLP
from lrlib.rank import count_above, covariance_root
from lrlib.runtime import generator

CASES_PER_ACTIVATION = 40


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_spectra_equal_a_float64_brute_force(activation):
    for seed in range(CASES_PER_ACTIVATION):
        net, x = random_case(activation, seed)
        found = jacobian_spectra(net, x)
        assert found.layers == net.layers
        for layer in net.layers:
            expected = reference.spectra(net, x, layer)
            assert found[layer].dtype == torch.float64
            torch.testing.assert_close(found[layer], expected, rtol=0, atol=rounding(net))


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_the_generic_path_equals_the_brute_force_and_the_chain(activation):
    for seed in range(CASES_PER_ACTIVATION):
        net, x = random_case(activation, seed)
        module = sequential(net)
        found, chain = jacobian_spectra(module, x), jacobian_spectra(net, x)
        for name, by_autodiff, by_chain in zip(found.layers, found.values, chain.values, strict=True):
            torch.testing.assert_close(by_autodiff, by_chain, rtol=0, atol=rounding(net))
            torch.testing.assert_close(
                by_autodiff, reference.spectra(module, x, name), rtol=0, atol=rounding(net)
            )


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


def test_weights_without_real_finite_values_are_refused():
    x = torch.randn(3, 4)
    with pytest.raises(ValueError, match="net, parameter weight: is on the meta device and has no values"):
        jacobian_spectra(nn.Linear(4, 2, device="meta"), x)
    with pytest.raises(TypeError, match=r"net, parameter weight: dtype is torch.complex64; must be real"):
        jacobian_spectra(nn.Linear(4, 2, dtype=torch.complex64), x)
    net = nn.Sequential(nn.Linear(4, 2), nn.BatchNorm1d(2))
    net[1].running_mean[0] = torch.nan
    with pytest.raises(ValueError, match=r"net, buffer 1\.running_mean: 1 of its 2 entries are NaN"):
        jacobian_spectra(net, x)


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


PEAKS = """
import re, torch
from lrlib import local_rank
from pathlib import Path
from lrlib.nets import MLP
from lrlib.runtime import generator
net = MLP([256, 256, 256, 10], generator=generator(0))
x = torch.randn(512, 256, generator=generator(1))
for inputs, chunk in ((16, 16), (512, 16), (512, 512)):
    local_rank(net, x[:inputs], layers=["L3"], chunk=chunk)
    # VmHWM and not getrusage, whose peak a child process inherits from its parent
    print(int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads a process's peak memory from Linux's /proc")
def test_memory_is_set_by_the_chunk_and_not_by_the_number_of_inputs():
    """Peak memory in MiB of a process of its own, after 16 inputs, after 512 in chunks of 16, after 512 at once."""
    run = subprocess.run([sys.executable, "-c", PEAKS], capture_output=True, text=True, check=True)
    one_chunk, many_chunks, all_at_once = map(int, run.stdout.split())
    jacobians = 16 * 256 * 256 * 8 / 2**20  # MiB of one layer's Jacobians at 16 inputs
    assert many_chunks - one_chunk < 4 * jacobians
    assert all_at_once - many_chunks > 16 * jacobians  # the measurement sees what it is to see


def test_a_subset_of_layers_in_the_order_asked():
    net, x = MLP([4, 6, 5, 3], generator=generator(0)), torch.randn(2, 4)
    spec = jacobian_spectra(net, x, layers=["L3", "L1"])
    assert spec.layers == ("L3", "L1")
    assert torch.equal(spec["L3"], jacobian_spectra(net, x)["L3"])


NET = MLP([4, 3, 2], generator=generator(0))
X = torch.randn(3, 4, generator=generator(1))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"net": "net"}, TypeError, "net: must be a torch.nn.Module, not str"),
        ({"x": X.numpy()}, TypeError, "x: must be a torch.Tensor, not ndarray"),
        ({"x": X.half()}, TypeError, "x: dtype is torch.float16; must be torch.float32 or torch.float64"),
        ({"x": X.long()}, TypeError, "x: dtype is torch.int64"),
        ({"x": X.to(torch.complex64)}, TypeError, "x: dtype is torch.complex64"),
        ({"x": X[:0]}, ValueError, r"x: shape is \(0, 4\); must be \(n, ...\) with n >= 1"),
        ({"x": X[0]}, ValueError, r"x: shape is \(4,\); must be"),
        ({"x": X[:, :3]}, ValueError, r"x: one input has shape \(3,\); this network takes \(4,\)"),
        ({"x": X * torch.nan}, ValueError, "x: 12 of its 12 entries are NaN or infinite"),
        ({"layers": "L1"}, TypeError, "layers='L1': must be a sequence of names"),
        ({"layers": ["L9"]}, ValueError, r"layers=\['L9'\]: \['L9'\] not in the network; known: L1, L2"),
        ({"layers": []}, ValueError, r"layers=\[\]: must name at least one layer"),
        ({"layers": ["L1", "L1"]}, ValueError, "each once"),
        ({"chunk": 0}, ValueError, "chunk=0: must be at least 1"),
        ({"input_factor": torch.eye(3)}, ValueError, r"input_factor: shape is \(3, 3\); must be \(4, r\)"),
        ({"input_factor": torch.zeros(4, 0)}, ValueError, r"must be \(4, r\) for these x, with r >= 1"),
        ({"input_factor": torch.eye(4) * torch.inf}, ValueError, "input_factor: 16 of its 16 entries"),
    ],
)
def test_bad_arguments_are_named(change, error, message):
    arguments = {"net": NET, "x": X} | change
    with pytest.raises(error, match=message):
        jacobian_spectra(arguments.pop("net"), arguments.pop("x"), **arguments)


def test_weights_that_are_not_finite_or_overflow_are_refused():
    net = MLP([4, 3, 2], generator=generator(0)).double()
    net.L2.weight.data[0, 0] = torch.inf
    with pytest.raises(
        ValueError, match=r"net, parameter L2\.weight: 1 of its 6 entries are NaN or infinite"
    ):
        jacobian_spectra(net, X.double())
    linear = MLP([4, 3, 2], activation="identity", bias=False, generator=generator(0)).double()
    for parameter in linear.parameters():
        parameter.data *= 1e200
    with pytest.raises(FloatingPointError, match=r"net: .* overflows"):
        jacobian_spectra(linear, X.double())


def test_layers_that_do_not_answer_are_named():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.idle, self.pair = (
                nn.Linear(4, 4),
                nn.Linear(4, 4),
                nn.LSTM(4, 4, batch_first=True),
            )

        def forward(self, x):
            return self.pair(self.used(self.used(x)).unsqueeze(1))[0]

    with pytest.raises(ValueError, match="layers: 'used' is called twice"):
        jacobian_spectra(Twice(), X, layers=["used"])
    with pytest.raises(ValueError, match=r"layers=\['idle'\]: not called when net runs on x"):
        jacobian_spectra(Twice(), X, layers=["idle"])


def test_a_layer_that_returns_a_tuple_is_named():
    net = nn.Sequential(nn.Linear(4, 4), nn.Unflatten(1, (1, 4)), nn.LSTM(4, 4, batch_first=True))
    with pytest.raises(TypeError, match="layers: '2' returns tuple; it must return one tensor"):
        jacobian_spectra(net, X, layers=["2"])
