import math

import pytest
import torch
from torch import nn

from lrlib.nets import ACTIVATIONS, INITIALISATIONS, MLP, MLPStack
from lrlib.runtime import generator

TORCH_MODULES = {
    "relu": nn.ReLU(),
    "leaky_relu": nn.LeakyReLU(),
    "hardtanh": nn.Hardtanh(),
    "tanh": nn.Tanh(),
    "sigmoid": nn.Sigmoid(),
    "softplus": nn.Softplus(),
    "gelu": nn.GELU(),
    "silu": nn.SiLU(),
    "elu": nn.ELU(),
    "identity": nn.Identity(),
}


def as_sequential(net: MLP) -> nn.Sequential:
    """The same function built from torch's own modules."""
    layers = [net.get_submodule(name) for name in net.layers]
    phi = TORCH_MODULES[net.activation]
    return nn.Sequential(layers[0], *(m for layer in layers[1:] for m in (phi, layer)))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("bias", [True, False])
def test_forward_and_preactivations_equal_torchs_own_modules(activation, bias):
    net = MLP([5, 7, 6, 3], activation=activation, bias=bias, generator=generator(1))
    x = torch.randn(11, 5, generator=generator(2))
    twin = as_sequential(net)
    torch.testing.assert_close(net(x), twin(x))
    for l, p in enumerate(net.preactivations(x)):
        torch.testing.assert_close(p, twin[: 2 * l + 1](x))


def test_every_activation_is_checked_against_torch():
    assert set(TORCH_MODULES) == set(ACTIVATIONS)


def test_layers_are_named_submodules():
    net = MLP([4, 3, 2], generator=generator(0))
    assert net.layers == ("L1", "L2")
    assert [name for name, _ in net.named_parameters()] == ["L1.weight", "L1.bias", "L2.weight", "L2.bias"]


@pytest.mark.parametrize(("init", "std"), [("he", 1.0), ("small", 0.1), ("lazy", 2.0)])
def test_he_initialisations_have_the_stated_standard_deviation(init, std):
    net = MLP([400, 400], init=init, scale=3.0, generator=generator(0))
    expected = 3.0 * std * math.sqrt(2 / 400)
    # the standard error of a standard deviation over N normal draws is std / sqrt(2N); five of them
    assert abs(net.L1.weight.std().item() - expected) < 5 * expected / math.sqrt(2 * 400 * 400)
    assert (net.L1.bias == 0).all()


def test_default_initialisation_has_the_distribution_of_nn_linear():
    net = MLP([400, 400], generator=generator(0))
    assert net.L1.weight.abs().max() <= 1 / math.sqrt(400)
    assert net.L1.bias.abs().max() <= 1 / math.sqrt(400)
    theirs = nn.Linear(400, 400).weight.std().item()
    # a uniform variable's fourth moment gives std/sqrt(5N) for one standard deviation; the difference of two
    assert abs(net.L1.weight.std().item() - theirs) < 5 * math.sqrt(2) * theirs / math.sqrt(5 * 400 * 400)


@pytest.mark.parametrize("init", INITIALISATIONS)
def test_the_generator_decides_and_the_global_one_is_untouched(init):
    before = torch.get_rng_state()
    first, again, other = (MLP([6, 5, 4], init=init, generator=generator(s)) for s in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not torch.equal(first.L1.weight, other.L1.weight)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_chain_slopes_equal_central_differences(activation):
    net = MLP([3, 8, 2], activation=activation, generator=generator(5)).double()
    x = torch.randn(20, 3, generator=generator(6), dtype=torch.float64)
    slope = net.jacobian_chain(x)[1].slope
    p, phi, h = net.preactivations(x)[0], TORCH_MODULES[activation], 1e-6
    numeric = (phi(p + h) - phi(p - h)) / (2 * h)
    torch.testing.assert_close(slope, numeric, rtol=0, atol=1e-8)  # O(h^2) + rounding 1e-16 / h


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"widths": [4]}, r"widths=\[4\]: must hold the input width"),
        ({"widths": [4, 0]}, r"widths\[1\]=0: must be at least 1"),
        ({"activation": "swash"}, "activation='swash': must be one of 'relu'"),
        ({"init": "big"}, "init='big': must be one of"),
        ({"scale": 0.0}, "scale=0.0: must be finite and above 0"),
        ({"scale": math.nan}, "scale=nan: must be finite"),
    ],
)
def test_bad_arguments_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        MLP(**{"widths": [4, 2], "generator": generator(0)} | change)


def test_non_integer_width_is_a_type_error():
    with pytest.raises(TypeError, match=r"widths\[1\]=2.5: must be an integer, not float"):
        MLP([4, 2.5], generator=generator(0))


def test_without_a_generator_nothing_is_drawn():
    with pytest.raises(TypeError, match=r"generator=None: must be a torch\.Generator"):
        MLP([4, 2], generator=None)


def test_a_layer_that_was_replaced_is_named():
    net = MLP([4, 2], generator=generator(0))
    net.L1 = nn.Sequential(nn.Linear(4, 2))
    with pytest.raises(TypeError, match=r"L1: is a Sequential; the layers of an MLP must be nn\.Linear"):
        net.jacobian_chain(torch.zeros(1, 4))


def test_wrong_input_width_is_named():
    with pytest.raises(ValueError, match=r"x: one input has shape \(5,\); this network takes \(4,\)"):
        MLP([4, 2], generator=generator(0))(torch.zeros(2, 5))


def several(count: int = 3, **options) -> list[MLP]:
    return [MLP([5, 7, 6, 3], generator=generator(seed), **options) for seed in range(count)]


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("bias", [True, False])
def test_a_stack_gives_what_each_of_its_networks_gives(activation, bias):
    nets = several(activation=activation, bias=bias)
    x = torch.randn(3, 11, 5, generator=generator(9))
    outputs = MLPStack(nets)(x)
    assert outputs.shape == (3, 11, 3)
    for m, net in enumerate(nets):
        torch.testing.assert_close(outputs[m], net(x[m]))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_network_comes_back_from_a_stack_as_it_went_in(bias, dtype):
    nets = [net.to(dtype) for net in several(activation="gelu", bias=bias)]
    stack = MLPStack(nets)
    assert (len(stack), stack.widths, stack.layers) == (3, (5, 7, 6, 3), ("L1", "L2", "L3"))
    for found, net in zip(stack, nets, strict=True):  # indices end with IndexError, so it can be looped over
        assert (found.widths, found.activation, found.layers) == (net.widths, "gelu", net.layers)
        given, own = dict(net.named_parameters()), dict(found.named_parameters())
        assert own.keys() == given.keys()  # no bias where there was none
        assert all(torch.equal(own[name], given[name]) and own[name].dtype == dtype for name in own)


def test_every_parameter_of_a_stack_has_a_row_for_each_network():
    shapes = {name: tuple(p.shape) for name, p in MLPStack(several()).named_parameters()}
    assert shapes == {
        "weights.0": (3, 5, 7), "weights.1": (3, 7, 6), "weights.2": (3, 6, 3),
        "biases.0": (3, 1, 7), "biases.1": (3, 1, 6), "biases.2": (3, 1, 3),
    }  # fmt: skip


def test_a_stack_shares_no_weights_and_draws_no_numbers():
    nets, before = several(), torch.get_rng_state()
    stack = MLPStack(nets)
    taken = stack[1]
    with torch.no_grad():
        for p in stack.parameters():
            p.zero_()
    for net in (nets[1], taken):
        assert torch.equal(net.L2.weight, several()[1].L2.weight)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("nets", "message"),
    [
        ([], r"nets: 0 shapes \(widths, activation, bias\): \[\]; must be one"),
        ([*several(1), *several(1, bias=False)], r"nets: 2 shapes .*False.*True.*; must be one"),
        ([*several(1), *several(1, activation="tanh")], "nets: 2 shapes .*'relu'.*'tanh'.*; must be one"),
        (
            [*several(1), MLP([5, 3], generator=generator(0))],
            r"nets: 2 shapes .*\(5, 3\).*\(5, 7, 6, 3\).*; must be one",
        ),
    ],
)
def test_networks_that_cannot_be_stacked_are_named(nets, message):
    with pytest.raises(ValueError, match=message):
        MLPStack(nets)


@pytest.mark.parametrize(
    ("nets", "message"),
    [
        (
            [*several(1), several(1)[0].double()],
            r"nets: dtypes are \['torch.float32', 'torch.float64'\]; must be one",
        ),
        ([*several(1), torch.nn.Linear(5, 3)], r"nets\[1\]: must be an MLP, not Linear"),
    ],
)
def test_what_is_no_stack_of_mlps_of_one_kind_is_named(nets, message):
    with pytest.raises(TypeError, match=message):
        MLPStack(nets)


@pytest.mark.parametrize("shape", [(3, 7, 4), (2, 7, 5), (7, 5)])
def test_inputs_of_another_shape_than_the_stack_takes_are_named(shape):
    with pytest.raises(
        ValueError, match=rf"x: shape is \({', '.join(map(str, shape))}\); must be \(3, n, 5\)"
    ):
        MLPStack(several())(torch.zeros(shape))


@pytest.mark.parametrize("m", [3, -1])
def test_a_network_that_is_not_in_the_stack_is_named(m):
    with pytest.raises(IndexError, match=f"m={m}: must be 0 to 2"):
        MLPStack(several())[m]
