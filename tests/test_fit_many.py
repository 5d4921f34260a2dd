"""``fit_many`` against ``train``, model by model: weights, losses, readings, and which model diverges when.

``train`` itself is held to update rules written out in numpy, in test_train.py; refusals are in test_fit_many_arguments.py.
"""

import re
from copy import deepcopy

import numpy as np
import pytest
import torch

from lrlib import runtime
from lrlib.data import gaussian_teacher
from lrlib.nets import MLP, MLPStack
from lrlib.train import fit_many, log_steps, train

WIDTHS = [6, 9, 8, 4]
N = 40  # inputs of one model
# Relative to the largest weight, after 40 updates in float64: the same sums in another order, so rounding of
# 2^-52 that every update passes on. Float64, because in float32 training itself doubles it every few steps.
ROUNDING = 1e-11
LOSS = 1e-6  # relative: fit_many keeps losses in float32
# Relative to the largest weight, after 15 updates in float32: each rounds sums of at most 40 terms, 2^-24 a term,
# and updates add their errors up.
FLOAT32 = 15 * 40 * 2**-24
COURSE = {"steps": 40, "batch_size": 8, "progress": False}


def start(seed, *, dtype=torch.float64, **network):
    """Network and generator of one model."""
    g = runtime.generator(seed)
    return MLP(WIDTHS, generator=g, **network).to(dtype), g


def data(seed, task="mse", dtype=torch.float64):
    """Inputs and targets of one model."""
    made = gaussian_teacher(N, inputs=6, outputs=4, rank=2, generator=runtime.generator(seed))
    return made.x.to(dtype), made.y.argmax(1) if task == "cross_entropy" else made.y.to(dtype)


def each(values, count):
    """One for every model, of what may be one for all."""
    return [values] * count if isinstance(values, torch.Tensor | float) else values


def alone(starts, x, y, rates, **options):
    """Every model trained by ``train``: its network and its history."""
    count, found = len(starts), []
    for m, (net, g) in enumerate(starts):
        own = {name: each(value, count)[m] for name, value in rates.items()}
        inputs, targets = each(x, count)[m], each(y, count)[m]
        found.append((net, train(net, inputs, targets, generator=g, **own, **COURSE | options)))
    return found


def together(starts, x, y, rates, **options):
    """The same models trained by ``fit_many``: the stack and the histories."""
    nets, generators = zip(*starts, strict=True)
    stack = MLPStack(nets)
    return stack, fit_many(stack, x, y, generators=generators, **rates, **COURSE | options)


def assert_same(found, expected, *, rounding=ROUNDING):
    """Weights and losses are those of the models trained alone."""
    stack, histories = found
    assert len(stack) == len(histories) == len(expected)
    for m, (net, history) in enumerate(expected):
        for p, q in zip(stack[m].parameters(), net.parameters(), strict=True):
            assert (p - q).abs().max() <= rounding * q.abs().max()
        assert histories[m].loss == pytest.approx(history.loss, rel=max(LOSS, rounding))
        assert histories[m].steps == history.steps


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize(
    ("optimiser", "decoupled", "rates"),
    [
        ("sgd", False, {"lr": [0.1, 0.3], "weight_decay": [0.0, 0.05]}),
        ("sgd", True, {"lr": [0.1, 0.3], "weight_decay": [0.0, 0.05]}),
        ("sgd", False, {"lr": 0.1, "weight_decay": 0.1, "momentum": [0.0, 0.9]}),
        ("sgd", True, {"lr": 0.1, "weight_decay": [0.1, 0.2], "momentum": [0.5, 0.9]}),
        ("adam", False, {"lr": 1e-2, "weight_decay": [0.0, 0.3]}),
        ("adam", True, {"lr": [1e-2, 3e-2], "weight_decay": 0.3}),
    ],
)
def test_each_model_is_trained_as_if_alone(loss, optimiser, decoupled, rates):
    x, y = zip(*(data(seed, loss) for seed in (5, 6)), strict=True)
    options = {"loss": loss, "optimiser": optimiser, "decoupled": decoupled}
    expected = alone([start(0), start(1)], x, y, rates, **options)
    assert_same(together([start(0), start(1)], x, y, rates, **options), expected)
    assert (expected[0][0].L1.weight - start(0)[0].L1.weight).abs().max() > 0.01  # it was trained at all


@pytest.mark.parametrize("shared", ["x", "y", "xy"])
@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_data_may_be_one_for_all_models_or_one_for_each(shared, loss):
    xs, ys = zip(*(data(seed, loss) for seed in (5, 6, 7)), strict=True)
    x, y = xs[0] if "x" in shared else xs, ys[0] if "y" in shared else ys
    rates = {"lr": [0.1, 0.2, 0.3]}
    expected = alone([start(m) for m in range(3)], x, y, rates, loss=loss)
    assert_same(together([start(m) for m in range(3)], x, y, rates, loss=loss), expected)


@pytest.mark.parametrize("batch_size", [1, 7, N])  # 7: 5 inputs are left over in every epoch of 40
def test_batches_are_those_of_train(batch_size):
    x, y = zip(*(data(seed) for seed in (5, 6)), strict=True)
    rates, course = {"lr": 0.05, "momentum": [0.9, 0.5]}, {"loss": "mse", "batch_size": batch_size}
    expected = alone([start(0), start(1)], x, y, rates, **course)
    assert_same(together([start(0), start(1)], x, y, rates, **course), expected)


@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
def test_one_model_is_a_stack_too(optimiser):
    x, y = data(5)
    rates, options = {"lr": 0.01, "weight_decay": 0.1}, {"loss": "mse", "optimiser": optimiser}
    expected = alone([start(0)], x, y, rates, **options)
    assert_same(together([start(0)], x, y, rates, **options), expected)
    assert_same(together([start(0)], [x], [y], rates, **options), expected)


@pytest.mark.parametrize("activation", ["tanh", "gelu", "leaky_relu", "identity"])
@pytest.mark.parametrize("bias", [True, False])
def test_networks_may_start_differently_and_be_of_any_kind(activation, bias):
    def starts():
        kind = {"activation": activation, "bias": bias}
        return [start(m, init=init, **kind) for m, init in enumerate(("small", "default", "lazy"))]

    x, y = data(5)
    rates = {"lr": [0.02, 0.02, 0.001], "weight_decay": 0.1}  # from a lazy start 0.02 diverges
    options = {"loss": "mse"}
    assert_same(together(starts(), x, y, rates, **options), alone(starts(), x, y, rates, **options))


@pytest.mark.parametrize("device", runtime.devices())
def test_float32_on_every_device_is_float32_alone_on_the_cpu(device):
    x, y = data(5, dtype=torch.float32)
    starts = [[start(m, dtype=torch.float32) for m in range(2)] for _ in range(2)]
    rates, options = {"lr": [0.1, 0.2], "weight_decay": 0.1}, {"loss": "mse", "steps": 15}
    expected = alone(starts[0], x, y, rates, **options)
    nets, generators = zip(*starts[1], strict=True)
    stack = MLPStack(nets).to(device)
    histories = fit_many(
        stack, x.to(device), y.to(device), generators=generators, **rates, **COURSE | options
    )
    assert {(p.device.type, p.dtype) for p in stack.parameters()} == {(device, torch.float32)}
    assert_same((stack.cpu(), histories), expected, rounding=FLOAT32)


def copies(stack):
    """What a measure may keep of a stack: it goes on to change."""
    return [stack[m] for m in range(len(stack))]


@pytest.mark.parametrize("checkpoints", [(0, 3, 40), (1, 39), (40,), None])
def test_readings_are_those_of_train_at_the_same_steps(checkpoints):
    x, y = data(5)
    rates, options = {"lr": [0.1, 0.2]}, {"loss": "mse", "checkpoints": checkpoints}
    expected = alone([start(0), start(1)], x, y, rates, measure=deepcopy, **options)
    _, histories = together([start(0), start(1)], x, y, rates, measure=copies, **options)
    assert histories[0].steps == (log_steps(40) if checkpoints is None else checkpoints)
    for history, (_, other) in zip(histories, expected, strict=True):
        assert len(history.readings) == len(history.steps) == len(other.readings)
        for net, twin in zip(history.readings, other.readings, strict=True):
            assert (net.L2.weight - twin.L2.weight).abs().max() <= ROUNDING * twin.L2.weight.abs().max()
        if history.steps[0] == 0:
            assert torch.equal(history.readings[0].L2.weight, other.readings[0].L2.weight)


def test_a_history_holds_losses_as_float64_and_no_readings_where_nothing_is_measured():
    x, y = data(5)
    _, histories = together([start(0), start(1)], x, y, {"lr": 0.1}, loss="mse", checkpoints=(0, 5))
    for history in histories:
        assert (history.steps, history.readings) == ((), ())
        assert history.loss.shape == (40,)
        assert history.loss.dtype == np.float64
    assert (histories[0].loss != histories[1].loss).all()


def test_models_come_back_in_the_order_of_their_generators():
    x, y = data(5)
    rates, options = {"lr": [0.1, 0.2, 0.3]}, {"loss": "mse", "measure": lambda _: ["a", "b", "c"]}
    order = [2, 0, 1]
    _, straight = together([start(m) for m in range(3)], x, y, rates, **options)
    turned = {"lr": [rates["lr"][m] for m in order]}
    _, found = together([start(m) for m in order], x, y, turned, **options)
    for place, m in enumerate(order):
        assert found[place].loss == pytest.approx(straight[m].loss, rel=LOSS)
    assert [history.readings[0] for history in found] == ["a", "b", "c"]


def test_the_bar_shows_the_newest_readings_and_only_where_it_is_wanted(monkeypatch, capsys):
    monkeypatch.setenv("LRLIB_OUTPUT", "live")
    x, y = data(5)
    seen = []
    options = {
        "loss": "mse",
        "checkpoints": (0, 20),
        "measure": lambda stack: [seen.append(1) or len(seen)] * len(stack),
        "label": "two of them",
        "show": lambda newest: f"reading {newest[0]} of {len(newest)}",
    }
    together([start(0), start(1)], x, y, {"lr": 0.1}, **options, progress=True)
    words = capsys.readouterr().err
    assert "two of them:" in words
    assert re.findall("reading . of .", words)[0] == "reading 1 of 2"
    assert re.findall("reading . of .", words)[-1] == "reading 2 of 2"
    together([start(0), start(1)], x, y, {"lr": 0.1}, **options, progress=False)
    assert "two of them" not in capsys.readouterr().err


def test_the_given_nets_and_the_global_generator_are_left_alone():
    x, y = data(5)
    before = torch.get_rng_state()
    starts = [start(0), start(1)]
    stack, _ = together(starts, x, y, {"lr": 0.1}, loss="mse")
    assert torch.equal(torch.get_rng_state(), before)
    for m, (net, _) in enumerate(starts):
        for p, q in zip(net.parameters(), start(m)[0].parameters(), strict=True):
            assert torch.equal(p, q)
        assert not torch.equal(net.L1.weight, stack[m].L1.weight)


def test_the_generators_decide():
    x, y = data(5)
    stacks = [
        together([start(0), (start(1)[0], runtime.generator(seed))], x, y, {"lr": 0.1}, loss="mse")[0]
        for seed in (3, 3, 4)
    ]
    first, again, other = (list(stack.parameters()) for stack in stacks)
    assert all(torch.equal(p, q) for p, q in zip(first, again, strict=True))
    assert torch.equal(first[0][0], other[0][0])  # model 0 does not feel model 1's generator
    assert not torch.equal(first[0][1], other[0][1])


def test_divergence_names_the_model_the_step_and_the_rate():
    x, y = data(5, dtype=torch.float32)
    lr, course = [0.1, 90.0, 0.2], {"loss": "mse", "steps": 400}
    with pytest.raises(FloatingPointError) as one:
        alone([start(1, dtype=torch.float32)], x, y, {"lr": [lr[1]]}, **course)
    step = re.search(r"at step (\d+) of 400", str(one.value)).group(1)
    with pytest.raises(
        FloatingPointError,
        match=rf"model 1: loss is (inf|nan) at step {step}: training diverged; lr=90 is too large for this",
    ):
        together([start(m, dtype=torch.float32) for m in range(3)], x, y, {"lr": lr}, **course)


def test_networks_that_diverged_are_not_measured():
    x, y = data(5, dtype=torch.float32)
    calls = []
    options = {
        "loss": "mse",
        "checkpoints": (0, 60),
        "steps": 90,
    }  # a look is due at 90, and before 60 is measured
    with pytest.raises(FloatingPointError, match="model 0: loss is"):
        together(
            [start(0, dtype=torch.float32)],
            x,
            y,
            {"lr": 90.0},
            measure=lambda _: calls.append(0) or [0],
            **options,
        )
    assert calls == [0]


def test_a_last_update_that_leaves_weights_not_finite_is_an_error():
    x, y = data(5)
    rates = {"lr": [0.1, 1e300]}
    with pytest.raises(
        FloatingPointError, match=r"model 1: weights are not finite after step 1: lr=1e\+300 is too large"
    ):
        together([start(0), start(1)], 1e10 * x, y, rates, loss="mse", steps=1)
