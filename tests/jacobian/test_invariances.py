"""What must not change counts and spectra: turning spaces, naming units, scaling, batches, chunks, layers."""

import pytest
import torch
from jacobian_cases import (
    both,
    brute_force,
    differentiated,
    linear_network,
    orthogonal,
    random_network,
    sequential,
)
from torch import nn

from lrlib import jacobian_counts, jacobian_spectra, local_rank
from lrlib.nets import MLP
from lrlib.runtime import generator

DOUBLE = torch.float64
EPS = torch.tensor([1e-10, 1e-6, 1e-3, 0.03, 0.3, 0.7], dtype=DOUBLE)
SOME = ("relu", "tanh", "gelu", "identity")


def cases(number=5):
    """Networks of two to six layers that nothing has saturated, in float64, and inputs."""
    for activation in SOME:
        for seed in range(0, 5 * number, 5):  # those of scale 1
            net, x = random_network(activation, seed)
            if len(net.layers) > 1 and seed % 8 != 7:
                yield net.double(), x.double()


def relative(module, x, **options):
    return jacobian_counts(module, x, EPS, relative=True, **options).values


def copy_with(net, change):
    """A copy of the network whose weights and biases, by layer, went through ``change(l, weight, bias)``."""
    weights, biases = [], []
    for l, name in enumerate(net.layers, start=1):
        layer = net.get_submodule(name)
        bias = torch.zeros(len(layer.weight), dtype=DOUBLE) if layer.bias is None else layer.bias.data
        weight, bias = change(l, layer.weight.data, bias)
        weights.append(weight)
        biases.append(bias)
    twin = linear_network(*weights, activation=net.activation, bias=True)
    for name, bias in zip(net.layers, biases, strict=True):
        twin.get_submodule(name).bias.data = bias.clone()
    return twin


def test_turning_the_input_changes_nothing():
    for net, x in cases():
        turn = orthogonal(x.shape[1], seed=1)
        twin = copy_with(net, lambda l, w, b, turn=turn: (w @ turn.T if l == 1 else w, b))
        assert torch.equal(relative(twin, x @ turn.T), relative(net, x))


def test_turning_the_output_changes_nothing():
    for net, x in cases():
        depth, turn = len(net.layers), orthogonal(net.widths[-1], seed=2)

        def change(l, w, b, depth=depth, turn=turn):
            return (turn @ w, turn @ b) if l == depth else (w, b)

        assert torch.equal(relative(copy_with(net, change), x), relative(net, x))


def test_renaming_hidden_units_changes_nothing():
    for net, x in cases():
        orders = [torch.arange(x.shape[1])]
        orders += [torch.randperm(width, generator=generator(width)) for width in net.widths[1:]]
        twin = copy_with(net, lambda l, w, b, o=orders: (w[o[l]][:, o[l - 1]], b[o[l]]))
        assert torch.equal(relative(twin, x), relative(net, x))


@pytest.mark.parametrize("c", [1e-30, 0.37, 4.0, 1e30])
def test_scaling_the_last_layer_and_eps_alike_changes_nothing(c):
    for net, x in cases():
        depth = len(net.layers)
        twin = copy_with(net, lambda l, w, b, d=depth: (c * w, c * b) if l == d else (w, b))
        top = brute_force(net, x)[-1][0][0, 0]
        for eps in (0.05 * top, EPS * top):
            before, after = (
                jacobian_counts(m, x, scale * eps).values[:, -1] for m, scale in ((net, 1.0), (twin, c))
            )
            assert torch.equal(before, after)
        assert torch.equal(relative(twin, x), relative(net, x))


def test_scales_that_layers_of_relus_hand_on_change_nothing():
    """ReLU(c p) = c ReLU(p) for c > 0, so factors c and 1/c of neighbouring layers cancel."""
    for seed in range(0, 30, 5):
        net, x = random_network("relu", seed)
        factors = {1: 100.0, 2: 0.01} if len(net.layers) > 1 else {}

        def change(l, w, b, factors=factors):
            return factors.get(l, 1.0) * w, (100.0 if l == 1 and factors else 1.0) * b

        twin = copy_with(net.double(), change)
        assert torch.equal(relative(twin, x.double()), relative(net, x.double()))


def test_every_input_is_counted_for_itself_whatever_else_is_in_the_batch():
    for net, x in cases():
        x = torch.cat([x, 3 * x[:5], -x])  # neighbours that keep other units
        order = torch.randperm(len(x), generator=generator(3))
        for module in (net, sequential(net)):
            whole = relative(module, x)
            assert torch.equal(relative(module, x[order]), whole[order])
            halves = [relative(module, part) for part in x.split(len(x) // 2 + 1)]
            assert torch.equal(torch.cat(halves), whole)
            assert torch.equal(relative(module, x[:1]), whole[:1])


def test_an_input_again_and_again_has_the_same_count_every_time():
    net, x = random_network("relu", 10)
    found = relative(net, x[:1].expand(150, -1))
    assert (found == found[:1]).all()


@pytest.mark.parametrize("chunk", [1, 5, 7, 64, 1000])
def test_chunks_change_nothing(chunk):
    for net, x in cases(2):
        x = torch.cat([x, -2 * x, 0.1 * x])[:12]
        for module in (net, sequential(net)):
            assert torch.equal(relative(module, x, chunk=chunk), relative(module, x))
            one = jacobian_counts(module, x, 0.05, chunk=chunk)
            assert torch.equal(one.values, jacobian_counts(module, x, 0.05).values)
            whole, parts = jacobian_spectra(module, x), jacobian_spectra(module, x, chunk=chunk)
            for a, b in zip(whole.values, parts.values, strict=True):
                torch.testing.assert_close(a, b, rtol=0, atol=1e-13 * float(a.amax()))


def test_layers_come_as_asked():
    for net, x in cases(2):
        for _, module in both(net):
            everything = jacobian_counts(module, x, EPS, relative=True)
            names = everything.layers
            for asked in ([names[-1]], [names[0]], list(reversed(names)), names[::2]):
                found = jacobian_counts(module, x, EPS, relative=True, layers=asked)
                assert found.layers == tuple(asked)
                for name in asked:
                    assert torch.equal(found[name], everything[name])
                    place, places = found.layers.index(name), names.index(name)
                    assert found.methods[place] == everything.methods[places]
                ranks = local_rank(module, x, eps=0.03, relative=True, layers=asked)
                assert ranks.layers == tuple(asked)


def test_thresholds_come_as_asked():
    for net, x in cases(2):
        order = torch.randperm(len(EPS), generator=generator(1))
        found = jacobian_counts(net, x, EPS[order], relative=True)
        assert torch.equal(found.values, relative(net, x)[..., order])
        assert torch.equal(found.eps, EPS[order])
        assert found.relative
        assert torch.equal(jacobian_counts(net, x, EPS.tolist(), relative=True).values, relative(net, x))
        doubled = jacobian_counts(net, x, torch.cat([EPS, EPS]), relative=True).values
        assert torch.equal(doubled, torch.cat([relative(net, x)] * 2, dim=-1))


def test_a_factor_of_the_input_is_a_layer_before_the_first():
    g = generator(0)
    for net, x in cases(2):
        for columns in (1, x.shape[1], 50):
            factor = torch.randn(x.shape[1], columns, generator=g, dtype=DOUBLE)
            jacobians = [torch.from_numpy(layer.jacobian) for layer in differentiated(net, x)]
            spectra = [torch.linalg.svdvals(jacobian @ factor) for jacobian in jacobians]
            for _, module in both(net):
                found = jacobian_counts(module, x, EPS, relative=True, input_factor=factor)
                for l, s in enumerate(spectra):
                    expected = (s.unsqueeze(-2) > (EPS * s[:, :1]).unsqueeze(-1)).sum(-1)
                    assert torch.equal(found.values[:, l], expected.double())
                    assert jacobian_spectra(module, x, input_factor=factor).values[l].shape == s.shape


def test_float32_networks_and_inputs_are_taken_to_float64_first():
    net, x = (
        MLP([9, 12, 7], activation="gelu", generator=generator(0)),
        torch.randn(4, 9, generator=generator(1)),
    )
    for _, module in both(net):
        single = jacobian_counts(module, x, EPS, relative=True)
        assert single.values.dtype == single.resolution.dtype == DOUBLE
        mixed = [jacobian_counts(module, x.double(), EPS, relative=True)]
        mixed.append(jacobian_counts(module.double(), x, EPS, relative=True))
        for other in mixed:
            assert torch.equal(other.values, single.values)
            assert torch.equal(other.resolution, single.resolution)
        module.float()


def test_inputs_may_be_views_ask_for_gradients_or_come_from_inference_mode():
    net = MLP([9, 12, 7], generator=generator(0))
    x = torch.randn(9, 6, generator=generator(1)).T  # a transposed view
    with torch.inference_mode():
        made_there = x.clone()
    for module in (net, nn.Sequential(net.L1, nn.ReLU(), net.L2)):
        expected = jacobian_counts(module, x.contiguous(), EPS, relative=True).values
        asks = x.clone().requires_grad_()
        for given in (x, asks, made_there, x.expand(3, 6, 9)[1]):
            assert torch.equal(jacobian_counts(module, given, EPS, relative=True).values, expected)
        assert asks.grad is None
        for mode in (torch.inference_mode, torch.no_grad, torch.enable_grad):
            with mode():
                assert torch.equal(jacobian_counts(module, x, EPS, relative=True).values, expected)
