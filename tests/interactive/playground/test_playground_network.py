"""The page's forward and backward pass, losses and scores against torch, number by number."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from lrlib.interactive.playground import CHOICES
from lrlib.nets import MLP
from lrlib.runtime import generator
from lrlib.train import accuracy

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("float64")]

ACTIVATIONS = CHOICES["activation"]
ROUNDING = (
    1e-13  # absolute; sums of up to 24 terms of size 10 or less through three layers, each rounded to 2e-16
)
NETWORK = """const rows = (arrays) => arrays.map((array) => Float64Array.from(array));
const net = new Network(given.widths, given.activation, rows(given.weights), rows(given.biases));"""
PASS = (
    NETWORK
    + """const x = Float64Array.from(given.x);
if (given.before) net.forward(Float64Array.from(given.before), given.before.length / given.widths[0]);
const outputs = net.forward(x, given.n).slice(0, given.n * given.widths.at(-1));
const set = { classes: given.classes, targets: given.targets, n: given.n, outputs: given.widths.at(-1) };
const gradient = new Float64Array(outputs.length);
const value = lossOf(given.loss, outputs, set, gradient);
const made = [net.weights, net.biases].map((arrays) => arrays.map((array) => new Float64Array(array.length).fill(NaN)));
net.backward(x, given.n, gradient, ...made);
return { outputs, p: net.p.map((p, l) => p.slice(0, given.n * given.widths[l + 1])), value,
  weights: made[0], biases: made[1] };"""
)


def network(widths, activation, seed, scale=1.0):
    """An MLP with biases that are not zero."""
    net = MLP(widths, activation=activation, init="he", scale=scale, generator=generator(seed))
    with torch.no_grad():
        for name in net.layers:
            net.get_submodule(name).bias.normal_(generator=generator(seed + 1))
    return net


def sent(net):
    layers = [net.get_submodule(name) for name in net.layers]
    return {
        "widths": net.widths,
        "activation": net.activation,
        "weights": [layer.weight.detach().flatten() for layer in layers],
        "biases": [layer.bias.detach() for layer in layers],
    }


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("widths", [(2, 8, 8, 3), (5, 24, 7, 24, 10), (3, 2), (1, 1, 2)])
def test_forward_and_backward(engine, widths, activation, loss):
    net, n = network(widths, activation, seed=4, scale=1.5), 9
    x = torch.randn(n, widths[0], generator=generator(0))
    classes = torch.randint(0, widths[-1], (n,), generator=generator(1))
    targets = torch.randn(n, widths[-1], generator=generator(2))
    expected = (F.mse_loss if loss == "mse" else F.cross_entropy)(
        net(x), targets if loss == "mse" else classes
    )
    expected.backward()
    given = {"x": x.flatten(), "n": n, "classes": classes, "targets": targets.flatten(), "loss": loss}
    before = torch.ones(20 * widths[0])  # a larger batch, whose memory is used again
    found = engine(PASS, **sent(net), **given, before=before)
    for p, theirs in zip(found["p"], net.preactivations(x), strict=True):
        np.testing.assert_allclose(p, theirs.detach().flatten(), rtol=0, atol=ROUNDING)
    assert found["outputs"] == found["p"][-1]
    assert found["value"] == pytest.approx(expected.item(), abs=ROUNDING)
    for name, weight, bias in zip(net.layers, found["weights"], found["biases"], strict=True):
        layer = net.get_submodule(name)
        np.testing.assert_allclose(weight, layer.weight.grad.flatten(), rtol=0, atol=ROUNDING)
        np.testing.assert_allclose(bias, layer.bias.grad, rtol=0, atol=ROUNDING)


# kinks, both ends of exp, and where torch's softplus turns into the identity
POINTS = [
    0.0,
    -0.0,
    1e-300,
    -1e-300,
    1e-8,
    -1e-8,
    0.5,
    -0.5,
    3.0,
    -3.0,
    19.9,
    20.0,
    20.1,
    -20.0,
    -40.0,
    710.0,
    -750.0,
]
PIECE = """const { value, slope } = ACTIVATIONS[given.name];
return given.points.map((p) => [value(p), slope(p, value(p))]);"""


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_and_their_slopes_at_kinks_and_far_out(engine, name):
    points = POINTS + torch.linspace(-5, 5, 101).tolist()
    found = np.array(engine(PIECE, name=name, points=points))
    p = torch.tensor(points, requires_grad=True)
    function = {"identity": lambda p: 1 * p, "tanh": torch.tanh}.get(name) or getattr(F, name)
    h = function(p)
    h.sum().backward()
    # a few roundings of the value; of a slope those of 1, from which tanh's is subtracted
    np.testing.assert_allclose(found[:, 0], h.detach(), rtol=1e-14, atol=0)
    np.testing.assert_allclose(found[:, 1], p.grad, rtol=1e-14, atol=4 * 2.0**-52)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_no_activation_swallows_nan(engine, name):
    """Else training whose weights are no numbers would go on, with a finite loss."""
    assert engine("return Number.isNaN(ACTIVATIONS[given.name].value(NaN));", name=name)


def test_copies_share_nothing(engine):
    body = NETWORK + "const copy = net.copy(); net.weights[0][0] = 7; net.biases[0][0] = 7; return copy;"
    net = network((2, 3, 1), "relu", seed=0)
    copy = engine(body, **sent(net))
    assert copy["weights"][0] == net.L1.weight.flatten().tolist()
    assert copy["biases"][0] == net.L1.bias.tolist()
    assert (copy["widths"], copy["activation"]) == ([2, 3, 1], "relu")


@pytest.mark.parametrize("scale", [0.1, 1.0, 5.0])
def test_the_start_is_he_s(engine, scale):
    body = "return Network.start(given.widths, 'relu', given.scale, new Generator(given.seed));"
    for widths, seed in (((2, 4, 3), 0), ((30, 8, 8, 10), 3)):
        found = engine(body, widths=widths, scale=scale, seed=seed)
        net = MLP(widths, init="he", scale=scale, generator=generator(seed))
        for name, weight, bias in zip(net.layers, found["weights"], found["biases"], strict=True):
            layer = net.get_submodule(name)
            np.testing.assert_allclose(weight, layer.weight.detach().flatten(), rtol=1e-15 * 4, atol=0)
            assert bias == [0] * layer.out_features


LOSS = "return lossOf(given.loss, Float64Array.from(given.outputs), given.set, null);"
SCORE = "return scoreOf(Float64Array.from(given.outputs), given.set);"


def test_cross_entropy_of_large_outputs_does_not_overflow(engine):
    outputs = torch.tensor([[1000.0, 0.0, -1000.0], [-5000.0, -5001.0, 3.0]])
    classes = torch.tensor([1, 0])
    found = engine(
        LOSS, loss="cross_entropy", outputs=outputs.flatten(), set={"classes": classes, "n": 2, "outputs": 3}
    )
    assert found == pytest.approx(F.cross_entropy(outputs, classes).item(), rel=1e-15)
    assert math.isfinite(found)


def test_accuracy_is_lrlib_s(engine):
    outputs = torch.randn(50, 4, generator=generator(0))
    outputs[0] = 1.0  # a tie, which the first class wins
    for seed in range(3):
        classes = torch.randint(0, 4, (50,), generator=generator(seed))
        found = engine(SCORE, outputs=outputs.flatten(), set={"classes": classes, "n": 50, "outputs": 4})
        assert found == accuracy(torch.nn.Identity(), outputs, classes)


def test_without_classes_the_score_is_the_variance_explained(engine):
    from sklearn.metrics import r2_score

    targets = torch.randn(40, 3, generator=generator(0)) * torch.tensor([1.0, 2.0, 0.1]) + 5
    outputs = targets + 0.3 * torch.randn(40, 3, generator=generator(1))
    given = {"targets": targets.flatten(), "n": 40, "outputs": 3}
    found = engine(SCORE, outputs=outputs.flatten(), set=given)
    assert found == pytest.approx(r2_score(targets, outputs, multioutput="variance_weighted"), abs=1e-13)
