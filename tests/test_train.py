import numpy as np
import pytest
import torch
from torch import nn

from lrlib.nets import MLP
from lrlib.runtime import generator
from lrlib.train import accuracy, log_steps, train

N, D, OUT = 24, 5, 2


class OnGPU(torch.Generator):
    """A generator that says that it is on a GPU, where there may be none."""

    device = torch.device("cuda:0")


def problem(seed: int = 0) -> tuple[MLP, torch.Tensor, torch.Tensor]:
    g = generator(seed)
    net = MLP([D, OUT], bias=False, generator=g).double()
    x = torch.randn(N, D, generator=g, dtype=torch.float64)
    return net, x, torch.randn(N, OUT, generator=g, dtype=torch.float64)


@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.8])
@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_weights_follow_the_update_rule_written_out_in_numpy(momentum, weight_decay, decoupled):
    net, x, y = problem()
    w, velocity, lr = net.L1.weight.detach().numpy().copy(), 0.0, 0.05
    settings = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "decoupled": decoupled}
    history = train(net, x, y, steps=20, batch_size=N, loss="mse", generator=generator(1), **settings)
    xs, ys, losses = x.numpy(), y.numpy(), []
    for _ in range(20):
        residual = xs @ w.T - ys
        losses.append(np.mean(residual**2))
        gradient = 2 / residual.size * residual.T @ xs + (0 if decoupled else weight_decay * w)
        velocity = momentum * velocity + gradient
        w = (1 - lr * weight_decay * decoupled) * w - lr * velocity
    np.testing.assert_allclose(net.L1.weight.detach().numpy(), w, rtol=1e-12)
    np.testing.assert_allclose(history.loss, losses, rtol=1e-12)


@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_weights_follow_adam_written_out_in_numpy(weight_decay, decoupled):
    """Kingma & Ba 2015, algorithm 1; Loshchilov & Hutter 2019, algorithm 2, where the decay is decoupled."""
    net, x, y = problem()
    w, lr, first, second = net.L1.weight.detach().numpy().copy(), 0.05, 0.0, 0.0
    settings = {"optimiser": "adam", "weight_decay": weight_decay, "decoupled": decoupled}
    train(net, x, y, steps=20, lr=lr, batch_size=N, loss="mse", generator=generator(1), **settings)
    xs, ys = x.numpy(), y.numpy()
    for t in range(1, 21):
        residual = xs @ w.T - ys
        gradient = 2 / residual.size * residual.T @ xs + (0 if decoupled else weight_decay * w)
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        step = first / (1 - 0.9**t) / (np.sqrt(second / (1 - 0.999**t)) + 1e-8)
        w = (1 - lr * weight_decay * decoupled) * w - lr * step
    # 20 updates of float64, some of which divide by a small root: 1e-9 leaves them room and epsilon none
    np.testing.assert_allclose(net.L1.weight.detach().numpy(), w, rtol=1e-9)


def test_a_direction_that_the_loss_does_not_need_decays_as_the_clock_says():
    net, x, y = problem()
    x = x.clone()
    x[:, 0] = 0  # the first column of W_1 gets no gradient
    start = net.L1.weight.detach()[:, 0].clone()
    train(net, x, y, steps=50, lr=0.1, weight_decay=0.2, batch_size=6, loss="mse", generator=generator(1))
    torch.testing.assert_close(net.L1.weight.detach()[:, 0], start * (1 - 0.1 * 0.2) ** 50)


def test_it_learns_to_classify():
    g = generator(0)
    x = torch.randn(200, 2, generator=g)
    y = (x[:, 0] * x[:, 1] > 0).long()
    net = MLP([2, 32, 2], generator=g)
    before = accuracy(net, x, y)
    history = train(net, x, y, steps=800, lr=0.3, momentum=0.9, batch_size=50, generator=g)
    assert accuracy(net, x, y) > 0.97 > before
    assert history.loss.shape == (800,)


def test_readings_are_taken_at_the_checkpoints_before_the_update():
    net, x, y = problem()
    first = net.L1.weight.detach().clone()
    history = train(
        net, x, y, steps=7, lr=0.1, batch_size=5, loss="mse", generator=generator(1),
        measure=lambda n: n.L1.weight.detach().clone(), checkpoints=(0, 3, 7),
    )  # fmt: skip
    assert history.steps == (0, 3, 7)
    assert torch.equal(history.readings[0], first)
    assert not torch.equal(history.readings[1], first)
    assert torch.equal(history.readings[2], net.L1.weight)


def test_the_bar_shows_the_newest_reading(monkeypatch, capsys):
    monkeypatch.setenv("LRLIB_OUTPUT", "live")
    net, x, y = problem()
    train(
        net, x, y, steps=7, lr=0.1, batch_size=5, loss="mse", generator=generator(1), label="linear",
        measure=lambda _: 4.25, checkpoints=(0, 3), show=lambda reading: f"rank {reading}",
    )  # fmt: skip
    words = capsys.readouterr().err
    assert "linear:" in words
    assert "rank 4.25" in words


def test_every_epoch_shows_every_input_once():
    class Recorder(nn.Linear):
        def forward(self, x):
            seen.extend(x[:, 0].tolist())
            return super().forward(x)

    seen: list[float] = []
    x = torch.arange(12.0).reshape(12, 1)
    train(Recorder(1, 1), x, x, steps=6, lr=1e-9, batch_size=4, loss="mse", generator=generator(0))
    assert sorted(seen[:12]) == sorted(seen[12:]) == list(range(12))
    assert seen[:12] != seen[12:]


def test_the_generator_decides_and_the_global_one_is_untouched():
    before, results = torch.get_rng_state(), []
    for _ in range(2):
        net, x, y = problem()
        train(net, x, y, steps=9, lr=0.1, batch_size=5, loss="mse", generator=generator(3))
        results.append(net.L1.weight.detach())
    assert torch.equal(*results)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_step():
    net, x, y = problem()
    with pytest.raises(
        FloatingPointError, match=r"loss is (inf|nan) at step \d+ of 5000: .*lr=50.0 is too large"
    ):
        train(net, x, y, steps=5000, lr=50.0, batch_size=N, loss="mse", generator=generator(0))


def test_a_last_update_that_leaves_weights_not_finite_is_an_error():
    net, x, y = problem()
    with pytest.raises(
        FloatingPointError, match="weights are not finite after step 1: lr=1e\\+300 is too large"
    ):
        train(net, 1e10 * x, y, steps=1, lr=1e300, batch_size=N, loss="mse", generator=generator(0))


@pytest.mark.parametrize(("last", "count"), [(1, 2), (10, 5), (8000, 20), (40000, 30)])
def test_log_steps_start_at_zero_end_at_last_and_increase(last, count):
    steps = log_steps(last, count)
    assert steps[0] == 0
    assert steps[-1] == last
    assert list(steps) == sorted(set(steps))
    assert len(steps) <= count + 1


def test_log_steps_may_begin_later_and_are_evenly_spaced_on_a_log_axis():
    steps = log_steps(10_000, 24, first=10)
    assert steps[:2] == (0, 10)
    assert len(steps) == 25  # none coincide here
    ratios = np.diff(np.log(steps[1:]))
    # a step is rounded by at most 1/2, so its logarithm by 1/20 at 10; a ratio has two of them
    np.testing.assert_allclose(ratios, np.log(1_000) / 23, atol=1 / 10)
    assert log_steps(7, first=7) == (0, 7)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((0,), {}, ValueError, "last=0: must be at least 1"),
        ((10, 1), {}, ValueError, "count=1: must be at least 2"),
        ((10, 2.0), {}, TypeError, "count=2.0: must be an integer, not float"),
        ((10,), {"first": 11}, ValueError, "first=11: must be between 1 and 10"),
        ((10,), {"first": 0}, ValueError, "first=0: must be between 1 and 10"),
    ],
)
def test_log_steps_that_cannot_be_are_named(arguments, options, error, message):
    with pytest.raises(error, match=message):
        log_steps(*arguments, **options)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"steps": 0}, ValueError, "steps=0: must be at least 1"),
        ({"steps": 2.5}, TypeError, "steps=2.5: must be an integer, not float"),
        ({"lr": 0.0}, ValueError, "lr=0.0: must be finite and above 0"),
        ({"lr": float("inf")}, ValueError, "lr=inf: must be finite"),
        ({"batch_size": N + 1}, ValueError, f"batch_size={N + 1}: must be between 1 and {N}"),
        ({"loss": "hinge"}, ValueError, "loss='hinge': must be one of 'cross_entropy', 'mse'"),
        ({"optimiser": "lion"}, ValueError, "optimiser='lion': must be one of 'sgd', 'adam'"),
        (
            {"optimiser": "adam", "momentum": 0.9},
            ValueError,
            "momentum=0.9: must be 0 with optimiser='adam'",
        ),
        ({"checkpoints": ()}, ValueError, r"checkpoints=\[\]: must increase"),
        ({"checkpoints": (-1, 3)}, ValueError, r"checkpoints\[0\]=-1: must be at least 0"),
        ({"momentum": 1.0}, ValueError, "momentum=1.0: must be below 1"),
        ({"weight_decay": -0.1}, ValueError, "weight_decay=-0.1: must be finite and at least 0"),
        ({"checkpoints": (0, 5, 3)}, ValueError, r"checkpoints=\[0, 5, 3\]: must increase"),
        ({"checkpoints": (0, 1.5)}, TypeError, r"checkpoints\[1\]=1.5: must be an integer, not float"),
        ({"checkpoints": 5}, TypeError, "checkpoints=5: must be a sequence of integers, or None"),
        ({"generator": 3}, TypeError, r"generator=3: must be a torch\.Generator, not int"),
        (
            {"generator": OnGPU()},
            TypeError,
            "generator: is on cuda:0; must be on the CPU, so that a seed means one order",
        ),
        ({"net": torch.nn.ReLU()}, ValueError, "net: has no parameters; there is nothing to train"),
        ({"net": len}, TypeError, r"net: must be a torch\.nn\.Module, not builtin_function_or_method"),
        (
            {"x": torch.zeros(N, D, dtype=torch.float32)},
            TypeError,
            r"x: is torch\.float32 on cpu; must be as the parameters of net, torch\.float64 on cpu",
        ),
        (
            {
                "y": torch.arange(N).clamp_min(N - 2) - N + 2 + OUT - 1,
                "loss": "cross_entropy",
                "batch_size": 1,
            },
            ValueError,
            f"y: classes are {OUT - 1} to {OUT}; must be 0 to {OUT - 1}, one an output",
        ),
        ({"y": [1, 2]}, TypeError, "y: must be a torch.Tensor, not list"),
        (
            {"y": torch.zeros(N)},
            ValueError,
            r"y: one batch is torch.float32 of shape \(4,\); with loss='mse'",
        ),
        ({"y": torch.zeros(N, OUT, dtype=torch.int64)}, ValueError, "y: one batch is torch.int64 of shape"),
        ({"y": torch.zeros(N), "loss": "cross_entropy"}, ValueError, r"it must be int64 of shape \(n,\)"),
        (
            {"y": torch.full((N,), 7), "loss": "cross_entropy"},
            ValueError,
            "y: classes are 7 to 7; must be 0 to 1",
        ),
        ({"checkpoints": (0, 999)}, ValueError, "to steps=10 at the most"),
        (
            {"y": torch.zeros(3)},
            ValueError,
            r"y: shape is \(3,\); must have one row for each of the 24 inputs",
        ),
    ],
)
def test_bad_arguments_are_named(change, error, message):
    net, x, y = problem()
    settings = {
        "x": x,
        "y": y,
        "steps": 10,
        "lr": 0.1,
        "batch_size": 4,
        "loss": "mse",
        "generator": generator(0),
    }
    with pytest.raises(error, match=message):
        train(**{"net": net} | settings | change)
