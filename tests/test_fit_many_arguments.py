"""What ``fit_many`` refuses, in its own words; what the numbers must be is in test_fit_many.py."""

import math

import pytest
import torch
from torch import nn

from lrlib.nets import MLP, MLPStack
from lrlib.runtime import generator
from lrlib.train import fit_many

N, M = 24, 2
X = torch.randn(N, 5, generator=generator(0))
Y = torch.randn(N, 3, generator=generator(1))
CLASSES = torch.arange(N) % 3
ONE = generator(7)


def fit(**change):
    """Train two networks of 5 inputs and 3 outputs; ``change`` is what is other than usual."""
    settings = {
        "stack": MLPStack([MLP([5, 4, 3], generator=generator(seed)) for seed in range(M)]),
        "x": X,
        "y": Y,
        "steps": 4,
        "lr": 0.1,
        "batch_size": 8,
        "loss": "mse",
        "generators": [generator(seed) for seed in range(M)],
        "progress": False,
    } | change
    return fit_many(settings.pop("stack"), settings.pop("x"), settings.pop("y"), **settings)


class Averaged(nn.Module):
    """A stack whose models are summed up: its output has lost the models' axis."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(M, 5, 3))

    def forward(self, x):
        return torch.bmm(x, self.weight).sum(0)


ONE_FOR_EACH = r"one for each generator"
CASES = {
    # as many of everything as there are models
    "no generators": (
        {"generators": []},
        ValueError,
        "generators: there are none; must be one for each model",
    ),
    "one generator twice": (
        {"generators": [ONE, ONE]},
        ValueError,
        "generators: one stands there twice; each model must have its own",
    ),
    "generators that are seeds": (
        {"generators": [0, 1]},
        TypeError,
        r"generators\[0\]=0: must be a torch\.Generator, not int",
    ),
    "one generator for all": (
        {"generators": ONE},
        TypeError,
        "generators: must be a sequence of M generators, not Generator",
    ),
    "more generators than models": (
        {"generators": [generator(seed) for seed in range(3)]},
        ValueError,
        r"stack: the parameter weights\.0 has shape \(2, 5, 4\); its first axis must be the 3 models, "
        + ONE_FOR_EACH,
    ),
    **{
        f"three of {name}": (
            {name: [0.1, 0.2, 0.3]},
            ValueError,
            f"{name}: there are 3; must be one number, or 2, {ONE_FOR_EACH}",
        )
        for name in ("lr", "momentum", "weight_decay")
    },
    "three x": (
        {"x": [X] * 3},
        ValueError,
        f"x: there are 3; must be one tensor for all models, or 2, {ONE_FOR_EACH}",
    ),
    "one y in a list": (
        {"y": [Y]},
        ValueError,
        f"y: there are 1; must be one tensor for all models, or 2, {ONE_FOR_EACH}",
    ),
    # data
    "x of two shapes": (
        {"x": [X, X[:7]]},
        ValueError,
        r"x: shapes are \[\(24, 5\), \(7, 5\)\]; must all be the same",
    ),
    "y no tensor": (
        {"y": [Y, [1.0]]},
        TypeError,
        r"y\[1\]: must be a torch.Tensor, not list",
    ),
    "y lists for numbers": ({"y": [[1.0], [2.0]]}, TypeError, r"y\[0\]: must be a torch.Tensor, not list"),
    "only y is one for each, and the second is short": (
        {"y": [Y, Y[:5]]},
        ValueError,
        r"y: shapes are \[\(24, 3\), \(5, 3\)\]; must all be the same",
    ),
    "only y is one for each, and too short": (
        {"y": [Y[:5], Y[:5]]},
        ValueError,
        r"y\[0\]: shape is \(5, 3\); must have one row for each of the 24 inputs",
    ),
    "x of integers": ({"x": X.long()}, TypeError, r"x: dtype is torch\.int64; must be torch\.float32 or"),
    "the second x is not finite": (
        {"x": [X, X * math.inf]},
        ValueError,
        r"x\[1\]: 120 of its 120 entries are NaN or infinite",
    ),
    "fewer y than x": (
        {"y": Y[:5]},
        ValueError,
        r"y: shape is \(5, 3\); must have one row for each of the 24 inputs",
    ),
    "fewer y than x, one for each": (
        {"x": [X] * 2, "y": [Y[:5]] * 2},
        ValueError,
        r"y\[0\]: shape is \(5, 3\); must have one row for each of the 24 inputs",
    ),
    "y for another loss": (
        {"y": CLASSES},
        ValueError,
        r"y: one batch is torch\.int64 of shape \(16,\); with loss='mse' it must be float and of the outputs' shape",
    ),
    "y of another width": (
        {"y": Y[:, :1]},
        ValueError,
        r"y: one batch is torch\.float32 of shape \(16, 1\); .* the outputs' shape, \(16, 3\)",
    ),
    "targets for cross-entropy": (
        {"loss": "cross_entropy"},
        ValueError,
        r"y: one batch is torch\.float32 of shape \(16, 3\); with loss='cross_entropy' it must be int64 of shape \(n,\)",
    ),
    "a class too many, late in the data": (
        {
            "loss": "cross_entropy",
            "y": torch.cat([CLASSES[1:], torch.tensor([3])]),
            "batch_size": 1,
            "steps": 1,
        },
        ValueError,
        "y: classes are 0 to 3; must be 0 to 2, one an output",
    ),
    "classes of two dtypes": (
        {"loss": "cross_entropy", "y": [CLASSES, CLASSES.int()]},
        TypeError,
        r"y: dtypes are \[torch\.int64, torch\.int32\]; must all be the same",
    ),
    "x of another dtype than the weights": (
        {"x": X.double()},
        TypeError,
        r"x: is torch\.float64 on cpu; must be as the parameters of stack, torch\.float32 on cpu",
    ),
    "x of another width": ({"x": X[:, :4]}, ValueError, r"x: shape is \(2, 8, 4\); must be \(2, n, 5\)"),
    "a list of networks": (
        {"stack": [MLP([5, 3], generator=generator(0))] * 2},
        TypeError,
        r"stack: must be a torch\.nn\.Module, not list",
    ),
    "no parameters": (
        {"stack": nn.ReLU()},
        ValueError,
        "stack: has no parameters; there is nothing to train",
    ),
    "a class too many": (
        {"loss": "cross_entropy", "y": CLASSES + 1, "batch_size": N},
        ValueError,
        "y: classes are 1 to 3; must be 0 to 2, one an output",
    ),
    # rates: named without a number where each is one for all
    "lr": ({"lr": 0.0}, ValueError, "lr=0.0: must be finite and above 0"),
    "the second lr": ({"lr": [0.1, -1.0]}, ValueError, r"lr\[1\]=-1.0: must be finite and above 0"),
    "lr no number": ({"lr": None}, TypeError, "lr=None: must be a number, not NoneType"),
    "the first momentum": ({"momentum": [1.0, 0.5]}, ValueError, r"momentum\[0\]=1.0: must be below 1"),
    "momentum below zero": ({"momentum": -0.5}, ValueError, "momentum=-0.5: must be finite and at least 0"),
    "Adam's momentum": (
        {"momentum": [0.0, 0.9], "optimiser": "adam"},
        ValueError,
        r"momentum\[1\]=0.9: must be 0 with optimiser='adam'",
    ),
    "the second decay": (
        {"weight_decay": [0.0, math.nan]},
        ValueError,
        r"weight_decay\[1\]=nan: must be finite and at least 0",
    ),
    # course
    "steps": ({"steps": 0}, ValueError, "steps=0: must be at least 1"),
    "batch_size": ({"batch_size": N + 1}, ValueError, "batch_size=25: must be between 1 and 24"),
    "batch_size of data for each": (
        {"x": [X] * 2, "y": [Y] * 2, "batch_size": N + 1},
        ValueError,
        "batch_size=25: must be between 1 and 24",
    ),
    "loss": ({"loss": "hinge"}, ValueError, "loss='hinge': must be one of 'cross_entropy', 'mse'"),
    "optimiser": ({"optimiser": "lion"}, ValueError, "optimiser='lion': must be one of 'sgd', 'adam'"),
    "checkpoints no sequence": (
        {"checkpoints": 5},
        TypeError,
        "checkpoints=5: must be a sequence of integers, or None",
    ),
    "checkpoints": ({"checkpoints": (0, 5)}, ValueError, r"checkpoints=\[0, 5\]: .* to steps=4 at the most"),
    # what the stack and the measure give back
    "the stack's output": (
        {"stack": Averaged()},
        ValueError,
        r"stack: its output has shape \(8, 3\); must be \(2 models, 8 inputs, \.\.\.\)",
    ),
    "too few readings": (
        {"measure": lambda _: [0]},
        ValueError,
        "measure: returned 1 readings; must be 2, one for each model",
    ),
    "too few readings at the end": (
        {"measure": lambda _: [0], "checkpoints": (4,)},
        ValueError,
        "measure: returned 1 readings; must be 2, one for each model",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_is_named(case):
    change, error, message = CASES[case]
    with pytest.raises(error, match=message):
        fit(**change)


def test_as_it_usually_is_nothing_is_refused():
    assert [len(history.loss) for history in fit()] == [4, 4]
    assert [len(history.loss) for history in fit(y=CLASSES, loss="cross_entropy")] == [4, 4]
