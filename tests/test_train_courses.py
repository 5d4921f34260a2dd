"""Losses of one's own, learning rates that change, averaged weights, and training that goes on after a kill."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from lrlib.nets import MLP, MLPStack
from lrlib.runtime import generator
from lrlib.train import fit_many, kept, train

N, D, CLASSES, BATCH = 40, 5, 3, 8
COURSE = {"steps": 23, "lr": 0.05, "batch_size": BATCH}  # 5 steps an epoch: the last epoch is cut
# Sums in another order, over 23 updates in float64, a few of them Adam's, which divide by small roots.
REORDERED = 1e-8


def problem(seed=0):
    g = generator(100 + seed)
    x = torch.randn(N, D, generator=g, dtype=torch.float64)
    return (
        MLP([D, 7, CLASSES], activation="tanh", generator=generator(seed)).double(),
        x,
        torch.arange(N) % CLASSES,
    )


def noisy(net, x, y, g):
    """Cross-entropy at inputs with noise from the generator that orders the batches."""
    return F.cross_entropy(net(x + 0.1 * torch.randn(x.shape, generator=g, dtype=x.dtype)), y)


def noisy_many(stack, x, y, generators):
    noise = torch.stack([torch.randn(x.shape[1:], generator=g, dtype=x.dtype) for g in generators])
    logits = stack(x + 0.1 * noise)
    return F.cross_entropy(logits.transpose(1, 2), y, reduction="none").mean(1)


def averaged(net, decay=0.9):
    return AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(decay))


def weights(net):
    return torch.cat([p.detach().flatten() for p in net.parameters()])


def stepwise(step):
    return 0.9 ** (step // 4)


SETTINGS = [
    {"momentum": 0.8, "weight_decay": 0.1},
    {"momentum": 0.8, "weight_decay": 0.1, "decoupled": True},
    {"weight_decay": 0.1},
    {"optimiser": "adam", "adam_betas": (0.5, 0.9), "weight_decay": 0.1},
    {"optimiser": "adam", "adam_betas": (0.5, 0.9), "weight_decay": 0.1, "decoupled": True},
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_one_model_follows_torch_s_own_loop(settings):
    """The oracle draws the same numbers, and takes torch's optimiser, LambdaLR and an average written out."""
    net, x, y = problem()
    twin, _, _ = problem()
    average = averaged(net)
    history = train(
        net,
        x,
        y,
        **COURSE,
        **settings,
        loss=noisy,
        schedule=stepwise,
        average=average,
        generator=generator(1),
    )
    settings = dict(settings)
    adam, decoupled = settings.pop("optimiser", "sgd") == "adam", settings.pop("decoupled", False)
    if adam:
        kind = torch.optim.AdamW if decoupled else torch.optim.Adam
        optimiser = kind(
            twin.parameters(), lr=0.05, betas=settings["adam_betas"], weight_decay=settings["weight_decay"]
        )
    else:
        decay = 0 if decoupled else settings["weight_decay"]
        optimiser = torch.optim.SGD(
            twin.parameters(), lr=0.05, momentum=settings.get("momentum", 0), weight_decay=decay
        )
    rates = torch.optim.lr_scheduler.LambdaLR(optimiser, stepwise)
    g, losses, mean = generator(1), [], None
    for step in range(COURSE["steps"]):
        if step % 5 == 0:
            order = torch.randperm(N, generator=g)
        rows = order[step % 5 * BATCH :][:BATCH]
        loss = noisy(twin, x[rows], y[rows], g)
        losses.append(loss.item())
        optimiser.zero_grad()
        loss.backward()
        if decoupled and not adam:
            with torch.no_grad():
                for p in twin.parameters():
                    p.mul_(1 - rates.get_last_lr()[0] * settings["weight_decay"])
        optimiser.step()
        rates.step()
        mean = weights(twin).clone() if mean is None else 0.9 * mean + 0.1 * weights(twin)
    np.testing.assert_allclose(history.loss, losses, rtol=REORDERED)
    torch.testing.assert_close(weights(net), weights(twin), rtol=REORDERED, atol=REORDERED)
    torch.testing.assert_close(weights(average.module), mean, rtol=REORDERED, atol=REORDERED)


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("rates", ["one", "each"])
def test_many_models_end_where_each_would(settings, rates):
    _, x, y = problem()
    stack = MLPStack([problem(seed)[0] for seed in range(3)])
    average = averaged(stack)
    lr = [0.05] * 3 if rates == "one" else [0.05, 0.02, 0.01]
    histories = fit_many(
        stack, x, y, steps=23, lr=lr, batch_size=BATCH, loss=noisy_many, schedule=stepwise, average=average,
        generators=[generator(10 + m) for m in range(3)], **settings,
    )  # fmt: skip
    for m in range(3):
        net, _, _ = problem(m)
        own = averaged(net)
        history = train(
            net, x, y, steps=23, lr=lr[m], batch_size=BATCH, loss=noisy, schedule=stepwise, average=own,
            generator=generator(10 + m), **settings,
        )  # fmt: skip
        np.testing.assert_allclose(histories[m].loss, history.loss, rtol=1e-5)  # kept in float32
        torch.testing.assert_close(weights(stack[m]), weights(net), rtol=REORDERED, atol=REORDERED)
        torch.testing.assert_close(
            weights(average.module[m]), weights(own.module), rtol=REORDERED, atol=REORDERED
        )


class Killed(Exception):
    pass


def killed_after(steps):
    left = iter(range(steps))

    def loss(net, x, y, g):
        if next(left, None) is None:
            raise Killed
        return noisy(net, x, y, g)

    return loss


@pytest.mark.parametrize("settings", SETTINGS)
def test_training_that_was_killed_ends_where_it_would_have_ended(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "KEEP_EVERY", 0.0)
    whole, x, y = problem()
    average = averaged(whole)
    history = train(
        whole,
        x,
        y,
        **COURSE,
        **settings,
        loss=noisy,
        schedule=stepwise,
        average=average,
        generator=generator(1),
    )
    file = tmp_path / "training.safetensors"
    for steps in (13, 4):  # killed in the third epoch, and again before another was kept
        net, _, _ = problem()
        with pytest.raises(Killed):
            train(
                net, x, y, **COURSE, **settings, loss=killed_after(steps), schedule=stepwise,
                average=averaged(net), generator=generator(1), keep_in=file,
            )  # fmt: skip
    assert load_file(file)["losses"].shape == (10,)
    net, _, _ = problem()
    other = averaged(net)
    resumed = train(
        net, x, y, **COURSE, **settings, loss=noisy, schedule=stepwise, average=other, generator=generator(1),
        keep_in=file,
    )  # fmt: skip
    np.testing.assert_array_equal(resumed.loss, history.loss)
    assert torch.equal(weights(net), weights(whole))
    assert torch.equal(weights(other.module), weights(average.module))
    assert not list(tmp_path.iterdir())


def test_what_is_kept_of_another_training_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "KEEP_EVERY", 0.0)
    file = tmp_path / "training.safetensors"

    def run(*, seed=1, loss=noisy, **changes):
        net, x, y = problem()
        train(net, x, y, **COURSE | changes, loss=loss, generator=generator(seed), keep_in=file)

    with pytest.raises(Killed):
        run(loss=killed_after(8))
    before = file.read_bytes()
    for changes in ({"seed": 2}, {"lr": 0.1}, {"steps": 24}, {"optimiser": "adam"}):
        with pytest.raises(ValueError, match=r"keep_in: .* is of another training; remove it"):
            run(**changes)
    assert file.read_bytes() == before
    file.write_bytes(before[:100])
    with pytest.raises(ValueError, match=r"keep_in: .* cannot be read"):
        run()
    save_file({"losses": torch.zeros(3)}, file)
    with pytest.raises(ValueError, match="is of another training"):
        run()


def test_nothing_half_written_is_left_by_a_failing_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "KEEP_EVERY", 0.0)

    def fail(*_args, **_kwargs):
        raise OSError("no space left on device")

    monkeypatch.setattr(kept, "save_file", fail)
    net, x, y = problem()
    with pytest.raises(OSError, match="no space left"):
        train(net, x, y, **COURSE, loss=noisy, generator=generator(1), keep_in=tmp_path / "a")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"loss": lambda *_: torch.zeros(3)}, ValueError, r"loss: returned torch.float32 of shape \(3,\)"),
        ({"loss": lambda *_: 1.0}, ValueError, r"loss: returned float; must return a floating tensor of shape \(\)"),
        ({"loss": "hinge"}, ValueError, "loss='hinge'"),
        ({"schedule": lambda _: -1.0}, ValueError, r"schedule\(0\)=-1"),
        ({"adam_betas": (0.9, 1.0)}, ValueError, r"adam_betas\[1\]=1.0: must be below 1"),
        ({"adam_betas": (0.9,)}, ValueError, r"adam_betas=\(0.9,\): must be two numbers"),
        ({"average": MLP([D, 2], generator=generator(0))}, TypeError, "average: must be a torch.optim.swa_utils"),
        ({"average": averaged(MLP([D, 2], generator=generator(0)))}, ValueError, "average: its parameters"),
        ({"measure": lambda _: 0, "keep_in": "x"}, ValueError, "measure: must be None with keep_in"),
    ],
)  # fmt: skip
def test_bad_arguments_are_named(changes, error, message):
    net, x, y = problem()
    with pytest.raises(error, match=message):
        train(net, x, y, **COURSE | {"generator": generator(0)} | changes)


def test_a_loss_for_many_must_give_one_number_a_model():
    _, x, y = problem()
    stack = MLPStack([problem(seed)[0] for seed in range(3)])
    with pytest.raises(ValueError, match=r"loss: returned torch.float64 of shape \(\); must .* shape \(3,\)"):
        fit_many(
            stack, x, y, **COURSE, loss=lambda s, a, b, g: noisy_many(s, a, b, g).mean(),
            generators=[generator(m) for m in range(3)],
        )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"schedule": lambda _: -1.0}, ValueError, r"schedule\(0\)=-1"),
        ({"adam_betas": (0.9, 1.0)}, ValueError, r"adam_betas\[1\]=1.0: must be below 1"),
        (
            {"average": MLP([D, 2], generator=generator(0))},
            TypeError,
            "average: must be a torch.optim.swa_utils",
        ),
        ({"average": averaged(MLP([D, 2], generator=generator(0)))}, ValueError, "average: its parameters"),
    ],
)
def test_bad_arguments_are_named_for_many_too(changes, error, message):
    _, x, y = problem()
    stack = MLPStack([problem(seed)[0] for seed in range(2)])
    start = weights(stack)
    with pytest.raises(error, match=message):
        fit_many(stack, x, y, **COURSE | {"generators": [generator(m) for m in range(2)]} | changes)
    assert torch.equal(weights(stack), start)
