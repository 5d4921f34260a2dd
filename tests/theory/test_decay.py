"""Weight decay: held to SGD as torch does it, and to matrices for which the bounds are attained."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from lrlib.nets import MLP
from lrlib.runtime import generator
from lrlib.theory import decay_factor, remembered_rank, within_class_bound
from lrlib.train import train

ROUNDING = 1e-9  # relative; float64 over a few hundred updates or one SVD of a 40 x 40 matrix loses far less


# --- decay_factor -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("lr", "weight_decay"), [(0.1, 5e-3), (0.5, 0.2), (2.0, 0.45), (0.1, 0.0)])
@pytest.mark.parametrize("steps", [0, 1, 7, 500])
def test_decay_factor_is_what_torch_s_sgd_leaves_without_a_gradient(lr, weight_decay, steps):
    weight = torch.nn.Parameter(torch.randn(3, 4, generator=generator(0), dtype=torch.float64))
    start = weight.detach().clone()
    optimiser = torch.optim.SGD([weight], lr=lr, weight_decay=weight_decay)
    weight.grad = torch.zeros_like(weight)
    by_loop = 1.0
    for _ in range(steps):
        optimiser.step()
        by_loop *= 1 - lr * weight_decay
    found = decay_factor(steps, lr=lr, weight_decay=weight_decay)
    assert found == pytest.approx(by_loop, rel=ROUNDING)
    torch.testing.assert_close(weight.detach(), found * start, rtol=ROUNDING, atol=0)


@pytest.mark.parametrize("rate", [1e-6, 1e-3, 0.1, 0.5, 0.95])
@pytest.mark.parametrize("steps", [1, 10, 1_000])
def test_decay_factor_lies_between_its_two_exponentials(rate, steps):
    found = decay_factor(steps, lr=1.0, weight_decay=rate)
    lower, upper = math.exp(-rate * steps / (1 - rate)), math.exp(-rate * steps)
    assert lower <= found <= upper  # at rate 1e-6 and one step they lie 5e-13 apart, which float64 resolves


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"steps": -1}, ValueError, "steps=-1: must be at least 0"),
        ({"steps": 2.0}, TypeError, "steps=2.0: must be an integer"),
        ({"lr": 0.0}, ValueError, "lr=0.0: must be finite and above 0"),
        ({"weight_decay": -0.1}, ValueError, "weight_decay=-0.1: must be finite and at least 0"),
        ({"lr": 5.0, "weight_decay": 0.2}, ValueError, r"weight_decay=0.2: times lr=5.0 must be below 1"),
    ],
)
def test_decay_factor_names_what_is_wrong(change, error, message):
    arguments = {"steps": 3, "lr": 0.1, "weight_decay": 0.1} | change
    with pytest.raises(error, match=message):
        decay_factor(arguments.pop("steps"), **arguments)


# --- remembered_rank --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.9, 0.3, 0.05, 1e-3])
@pytest.mark.parametrize("size", [1, 32])
def test_remembered_rank_counts_the_steps_of_a_loop(rate, size):
    for ratio in (0.5, 1.0, 1.7, 30.0, 1e4):
        left, steps = ratio, 0
        while left > 1:
            left, steps = left * (1 - rate), steps + 1
        assert (
            remembered_rank(0.2, norm=0.2 * ratio, batch_size=size, lr=1.0, weight_decay=rate) == steps * size
        )


def weights(net: MLP) -> list[Tensor]:
    return [net.get_submodule(name).weight.detach().clone() for name in net.layers]


def forgetful_run(size: int, rate: float) -> list[Tensor]:
    """Singular values of every layer at every step, [(steps, k)], of a tanh network that SGD with decay trains.

    A few large targets at random keep gradients alive: with many, decay this strong drives the weights to zero.
    """
    lr, steps, g = 0.3, 150, generator(0)
    x = 2 * torch.randn(6, 40, generator=g, dtype=torch.float64) / math.sqrt(40)
    y = 20 * torch.randn(6, 40, generator=g, dtype=torch.float64)
    net = MLP([40, 40, 40, 40], activation="tanh", generator=g).double()
    history = train(
        net,
        x,
        y,
        steps=steps,
        lr=lr,
        weight_decay=rate / lr,
        batch_size=size,
        loss="mse",
        generator=g,
        measure=weights,
        checkpoints=range(steps + 1),
        progress=False,
    )
    return [torch.linalg.svdvals(torch.stack(layer)) for layer in zip(*history.readings, strict=True)]


def worst_excess(spectra: Tensor, rate: float, index) -> float:
    """The largest sigma_{index(k) + 1}(W_t) / ((1 - rate)^k ||W_{t - k}||_2) over all steps t and all 1 <= k <= t."""
    last, width = len(spectra) - 1, spectra.shape[1]
    reach = [k for k in range(1, last + 1) if index(k) < width]
    return max(
        (spectra[k:, index(k)] / ((1 - rate) ** k * spectra[: last + 1 - k, 0])).max().item() for k in reach
    )


@pytest.mark.parametrize(("size", "rate"), [(1, 0.05), (1, 0.1), (2, 0.1), (3, 0.1)])
def test_layers_trained_by_sgd_forget_all_but_their_last_batches(size, rate):
    said_something = 0
    for spectra in forgetful_run(size, rate):
        assert spectra[:, 0].min() > 0.1  # nothing has collapsed to zero, where every bound holds
        assert worst_excess(spectra, rate, lambda k: k * size) <= 1 + ROUNDING
        assert worst_excess(spectra, rate, lambda k: k // 2 * size) > 1 + ROUNDING  # half as many: wrong
        top = spectra[:, 0].cummax(0).values
        for part in (0.5, 0.3, 0.1):
            for t, (s, norm) in enumerate(zip(spectra, top.tolist(), strict=True)):
                bound = remembered_rank(part * norm, norm=norm, batch_size=size, lr=1.0, weight_decay=rate)
                if t * size >= bound:  # as many steps ago the layer's norm was at most ``norm``
                    assert int((s > part * norm).sum()) <= bound
                    said_something += bound < len(s)
    assert said_something > 100


@pytest.mark.parametrize(("size", "rate"), [(1, 0.2), (2, 0.1), (3, 0.05)])
def test_the_bound_is_attained_where_every_example_is_a_direction_of_its_own(size, rate):
    """A linear layer that starts as a rotation; each of 40 orthogonal inputs pulls its own direction up, once."""
    g, lr, start = generator(1), 0.5, 3.0
    rotation = torch.linalg.qr(torch.randn(40, 40, generator=g, dtype=torch.float64))[0]
    net = MLP([40, 40], bias=False, generator=g).double()
    net.L1.weight.data = start * rotation
    steps = 40 // size  # one epoch
    history = train(
        net,
        torch.eye(40, dtype=torch.float64),
        1e4 * rotation.T,
        steps=steps,
        lr=lr,
        weight_decay=rate / lr,
        batch_size=size,
        loss="mse",
        generator=g,
        measure=weights,
        checkpoints=range(steps + 1),
        progress=False,
    )
    for k, (weight,) in enumerate(history.readings):
        s = torch.linalg.svdvals(weight)
        left = (1 - rate) ** k * start
        eps = left * (1 + ROUNDING)
        bound = remembered_rank(eps, norm=start, batch_size=size, lr=lr, weight_decay=rate / lr)
        assert int((s > eps).sum()) == bound == k * size
        if k * size < 40:
            assert s[k * size].item() == pytest.approx(left, rel=ROUNDING)
        if k:
            assert s[k * (size - 1)] > left  # one example fewer in a batch, or half as many steps, is too few
            assert s[k // 2 * size] > left


def test_before_k_steps_were_made_the_bound_says_nothing():
    """A fresh layer may have full rank: the bound counts what the last k steps have added, and needs them made."""
    fresh = torch.linalg.svdvals(3 * torch.eye(40))
    assert (
        int((fresh > 0.5).sum())
        == 40
        > remembered_rank(0.5, norm=3.0, batch_size=1, lr=1.0, weight_decay=0.1)
    )


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"eps": 0.0}, ValueError, "eps=0.0: must be finite and above 0"),
        ({"norm": math.inf}, ValueError, "norm=inf: must be finite and above 0"),
        ({"batch_size": 0}, ValueError, "batch_size=0: must be at least 1"),
        ({"batch_size": True}, TypeError, "batch_size=True: must be an integer"),
        ({"weight_decay": 0.0}, ValueError, r"weight_decay=0.0: must be above 0; without decay nothing"),
        ({"lr": 10.0}, ValueError, r"weight_decay=0.1: times lr=10.0 must be below 1"),
    ],
)
def test_remembered_rank_names_what_is_wrong(change, error, message):
    arguments = {"eps": 0.1, "norm": 3.0, "batch_size": 1, "lr": 0.1, "weight_decay": 0.1} | change
    with pytest.raises(error, match=message):
        remembered_rank(arguments.pop("eps"), **arguments)


# --- within_class_bound -----------------------------------------------------------------------------------------------


def by_loops(h: Tensor, delta: Tensor, labels: Tensor, weight: Tensor, weight_decay: float) -> float:
    """The bound in numpy, input by input."""
    h, delta, labels, weight = (v.numpy() for v in (h, delta, labels, weight))
    gradient, error = np.zeros(weight.shape), np.zeros(weight.shape)
    for i in range(len(h)):
        mean = np.mean([h[j] for j in range(len(h)) if labels[j] == labels[i]], axis=0)
        gradient += np.outer(delta[i], h[i]) / len(h)
        error += np.outer(delta[i], h[i] - mean) / len(h)
    rest = gradient + weight_decay * weight
    return (np.linalg.norm(rest, 2) + np.linalg.norm(error, 2)) / weight_decay


def at_rest(
    spread: float, *, classes: int, weight_decay: float, seed: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Features around class means, signals, labels, and the weight for which decay and the gradient cancel."""
    g = generator(seed)
    labels = torch.arange(30) % classes
    means = torch.randn(classes, 8, generator=g, dtype=torch.float64)
    h = means[labels] + spread * torch.randn(30, 8, generator=g, dtype=torch.float64)
    delta = torch.randn(30, 9, generator=g, dtype=torch.float64)
    return h, delta, labels, -delta.T @ h / 30 / weight_decay


@pytest.mark.parametrize("classes", [1, 3, 6])
@pytest.mark.parametrize("weight_decay", [1e-3, 0.1, 2.0])
def test_at_rest_the_next_singular_value_obeys_the_bound(classes, weight_decay):
    for seed, spread in enumerate((1e-3, 0.1, 1.0, 10.0)):
        h, delta, labels, weight = at_rest(spread, classes=classes, weight_decay=weight_decay, seed=seed)
        bound = within_class_bound(h, delta, labels, weight=weight, weight_decay=weight_decay)
        assert bound == pytest.approx(by_loops(h, delta, labels, weight, weight_decay), rel=ROUNDING)
        assert torch.linalg.svdvals(weight)[classes] <= bound * (1 + ROUNDING)


@pytest.mark.parametrize("distance", [0.01, 1.0, 100.0])
def test_away_from_rest_the_distance_counts(distance):
    h, delta, labels, weight = at_rest(0.1, classes=3, weight_decay=0.1, seed=0)
    moved = weight + distance * torch.randn(9, 8, generator=generator(1), dtype=torch.float64)
    bound = within_class_bound(h, delta, labels, weight=moved, weight_decay=0.1)
    assert torch.linalg.svdvals(moved)[3] <= bound
    assert bound == pytest.approx(by_loops(h, delta, labels, moved, 0.1), rel=ROUNDING)
    error_only = within_class_bound(h, delta, labels, weight=weight, weight_decay=0.1)
    if distance >= 1:
        assert torch.linalg.svdvals(moved)[3] > error_only  # so the residual is needed


@pytest.mark.parametrize("classes", [1, 3, 6])
def test_features_without_spread_leave_a_rank_of_at_most_the_number_of_classes(classes):
    h, delta, labels, weight = at_rest(0.0, classes=classes, weight_decay=0.1, seed=classes)
    bound = within_class_bound(h, delta, labels, weight=weight, weight_decay=0.1)
    s = torch.linalg.svdvals(weight)
    assert bound < ROUNDING * s[0]
    assert s[classes] < ROUNDING * s[0]
    assert s[classes - 1] > 0.01 * s[0]  # sigma_C instead of sigma_{C+1}: wrong


@pytest.mark.parametrize("weight_decay", [1e-3, 0.5])
def test_the_bound_is_attained_where_the_class_mean_is_zero(weight_decay):
    """One class, features +-e_j: the gradient is all within-class, and its singular values are equal."""
    half = torch.eye(4, dtype=torch.float64)
    h, delta = torch.cat([half, -half]), torch.cat([half, -half])
    weight = -delta.T @ h / 8 / weight_decay
    bound = within_class_bound(
        h, delta, torch.zeros(8, dtype=torch.int64), weight=weight, weight_decay=weight_decay
    )
    second = torch.linalg.svdvals(weight)[1].item()
    assert second == pytest.approx(bound, rel=ROUNDING)
    assert second > bound * weight_decay * 1.5  # without the division by lambda: wrong


def test_labels_are_names_whatever_their_numbers():
    h, delta, labels, weight = at_rest(0.3, classes=3, weight_decay=0.1, seed=0)
    plain = within_class_bound(h, delta, labels, weight=weight, weight_decay=0.1)
    renamed = torch.tensor([700, -5, 2])[labels]
    assert within_class_bound(h, delta, renamed, weight=weight, weight_decay=0.1) == plain
    order = torch.randperm(30, generator=generator(0))
    shuffled = within_class_bound(h[order], delta[order], labels[order], weight=weight, weight_decay=0.1)
    assert shuffled == pytest.approx(plain, rel=ROUNDING)


def test_float32_is_computed_in_float64():
    h, delta, labels, weight = (
        v.float() if v.is_floating_point() else v for v in at_rest(0.3, classes=3, weight_decay=0.1, seed=0)
    )
    found = within_class_bound(h, delta, labels, weight=weight, weight_decay=0.1)
    expected = by_loops(h.double(), delta.double(), labels, weight.double(), 0.1)
    assert found == pytest.approx(expected, rel=ROUNDING)


def test_a_trained_classifier_obeys_the_bound_in_every_layer():
    g, weight_decay = generator(0), 0.02
    labels = torch.arange(60) % 3
    centres = 2 * torch.randn(3, 6, generator=g, dtype=torch.float64)
    x = centres[labels] + 0.3 * torch.randn(60, 6, generator=g, dtype=torch.float64)
    net = MLP([6, 12, 12, 3], generator=g).double()

    def readings(now: MLP) -> list[tuple[float, Tensor]]:
        p = now.preactivations(x)
        signals = torch.autograd.grad(F.cross_entropy(p[-1], labels, reduction="sum"), p)
        features = [x, *(torch.relu(v) for v in p[:-1])]
        return [
            (
                within_class_bound(h, delta, labels, weight=weight, weight_decay=weight_decay),
                torch.linalg.svdvals(weight),
            )
            for h, delta, weight in zip(features, signals, weights(now), strict=True)
        ]

    history = train(
        net,
        x,
        labels,
        steps=2_000,
        lr=0.3,
        batch_size=60,
        weight_decay=weight_decay,
        generator=g,
        measure=readings,
        checkpoints=(0, 10, 100, 500, 2_000),
        progress=False,
    )
    for reading in history.readings:
        for bound, s in reading:
            assert len(s) == 3 or s[3] <= bound * (1 + ROUNDING)
    bound, s = history.readings[-1][1]
    assert bound < s[2]  # at the end of training it separates sigma_4 from the three of the classes


FITTING = {
    "features": torch.ones(4, 2),
    "signals": torch.ones(4, 3),
    "labels": torch.tensor([0, 0, 1, 1]),
    "weight": torch.ones(3, 2),
    "weight_decay": 0.1,
}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"weight_decay": 0.0}, ValueError, "weight_decay=0.0: must be finite and above 0"),
        ({"features": torch.ones(4)}, ValueError, r"features: shape is \(4,\); must be a matrix"),
        ({"signals": torch.ones(4, 3) * math.nan}, ValueError, "signals: 12 of its 12 entries are NaN"),
        ({"signals": torch.ones(5, 3)}, ValueError, r"features \(4, 2\) and signals \(5, 3\) need one row"),
        ({"weight": torch.ones(2, 3)}, ValueError, r"weight: shape is \(2, 3\)"),
        (
            {"labels": torch.tensor([0, 1])},
            ValueError,
            r"labels: is torch.int64 \(2,\); must be int64 \(4,\)",
        ),
        ({"labels": [0, 1, 0, 1]}, TypeError, "labels: must be a torch.Tensor, not list"),
        ({"labels": torch.zeros(4)}, ValueError, r"labels: is torch.float32 \(4,\); must be int64"),
    ],
)
def test_within_class_bound_names_what_is_wrong(change, error, message):
    arguments = FITTING | change
    features, signals, labels = (arguments.pop(name) for name in ("features", "signals", "labels"))
    with pytest.raises(error, match=message):
        within_class_bound(features, signals, labels, **arguments)
