"""``fit_many`` against ``train``, model by model, and against torch's own optimisers."""

import pytest

from lrlib import runtime
from lrlib.data import gaussian_teacher
from lrlib.nets import MLP, MLPStack
from lrlib.train import fit_many, train

WIDTHS = [6, 9, 8, 4]
# Relative to the largest weight, after 40 updates in float64: the same sums in another order, so rounding of
# 2^-52 that every update passes on. Float64, because in float32 training itself doubles it every few steps.
ROUNDING = 1e-11
COURSE = {"steps": 40, "batch_size": 8, "progress": False}


def start(seed, **options):
    """Network and generator of one model, in float64."""
    g = runtime.generator(seed)
    return MLP(WIDTHS, generator=g, **options).double(), g


def data(seed, task="mse"):
    """Inputs and targets of one model."""
    made = gaussian_teacher(40, inputs=6, outputs=4, rank=2, generator=runtime.generator(seed))
    return made.x.double(), made.y.argmax(1) if task == "cross_entropy" else made.y.double()


def alone(seeds, xs, ys, rates, **options):
    """Every model trained by ``train``, with its history."""
    found = []
    for seed, x, y, own in zip(seeds, xs, ys, rates, strict=True):
        net, g = start(seed)
        found.append((net, train(net, x, y, generator=g, **own, **COURSE, **options)))
    return found


def together(seeds, xs, ys, rates, **options):
    """The same models trained by ``fit_many``."""
    nets, generators = zip(*(start(seed) for seed in seeds), strict=True)
    stack = MLPStack(nets)
    own = {name: [rate[name] for rate in rates] for name in rates[0]}
    return stack, fit_many(stack, xs, ys, generators=generators, **own, **COURSE, **options)


def assert_same(found, expected):
    """Weights and losses are those of the models trained alone."""
    stack, histories = found
    for m, (net, history) in enumerate(expected):
        for p, q in zip(stack[m].parameters(), net.parameters(), strict=True):
            assert (p - q).abs().max() <= ROUNDING * q.abs().max()
        assert histories[m].loss == pytest.approx(history.loss, rel=1e-6)  # kept in float32 by fit_many
        assert histories[m].steps == history.steps


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize(
    ("optimiser", "decoupled", "rates"),
    [
        ("sgd", False, [{"lr": 0.1, "weight_decay": 0.0}, {"lr": 0.3, "weight_decay": 0.05}]),
        ("sgd", True, [{"lr": 0.1, "weight_decay": 0.0}, {"lr": 0.3, "weight_decay": 0.05}]),
        ("sgd", False, [{"lr": 0.1, "weight_decay": 0.1, "momentum": m} for m in (0.0, 0.9)]),
        ("sgd", True, [{"lr": 0.1, "weight_decay": 0.1, "momentum": m} for m in (0.5, 0.9)]),
        ("adam", False, [{"lr": 1e-2, "weight_decay": d} for d in (0.0, 0.3)]),
        ("adam", True, [{"lr": r, "weight_decay": 0.3} for r in (1e-2, 3e-2)]),
    ],
)
def test_each_model_is_trained_as_if_alone(loss, optimiser, decoupled, rates):
    xs, ys = zip(*(data(seed, loss) for seed in (5, 6)), strict=True)
    options = {"loss": loss, "optimiser": optimiser, "decoupled": decoupled}
    expected = alone((0, 1), xs, ys, rates, **options)
    assert_same(together((0, 1), xs, ys, rates, **options), expected)
    assert (expected[0][0].L1.weight - start(0)[0].L1.weight).abs().max() > 0.01  # it was trained at all
