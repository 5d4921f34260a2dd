"""What the page does, done by lrlib: the same data, start, batches and updates for the same settings, in float64."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from lrlib import runtime
from lrlib.data import gaussian_teacher, load, standardise
from lrlib.data.plane import flip_labels, moons, rings, two_spirals
from lrlib.interactive.playground.code import SHAPES, TEACHER_OUTPUTS, TRAINING
from lrlib.jacobian import Spectra, jacobian_spectra
from lrlib.nets import MLP
from lrlib.rank import covariance_root
from lrlib.train import History, log_steps, train

PROBE = 64  # test inputs that a local rank is a mean over
PLANE = {"spirals": two_spirals, "rings": rings, "moons": moons}


@contextmanager
def float64() -> Iterator[None]:
    """Make float64 torch's default dtype, and put it back."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def draw(settings: dict[str, Any], generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return x, y to train on and x, y to test, y as the loss takes it; float64 where floating."""
    name, noise = settings["data"], settings["noise"]
    if name == "teacher":
        inputs, rank = settings["inputs"], settings["rank"]
        made = gaussian_teacher(2 * TRAINING, inputs=inputs, rank=rank, noise=noise, generator=generator)
        return made.x[:TRAINING], made.y[:TRAINING], made.x[TRAINING:], made.y[TRAINING:]
    if name == "digits":
        parts = standardise(load("digits", n=TRAINING, seed=0), load("digits", split="test"))
        (x, y), (x_test, y_test) = ((part.x.double(), part.y) for part in parts)
    else:
        x, y = PLANE[name](2 * TRAINING, generator=generator)
        x, x_test, y, y_test = x[:TRAINING], x[TRAINING:], y[:TRAINING], y[TRAINING:]
    classes = SHAPES[name][1]
    y = flip_labels(y, noise, classes=classes, generator=generator)
    if settings["loss"] == "mse":
        y, y_test = (F.one_hot(labels, classes).double() for labels in (y, y_test))
    return x, y, x_test, y_test


def start(settings: dict[str, Any], generator: torch.Generator) -> MLP:
    """Return the network before training, float64, drawn after the data."""
    inputs, outputs = SHAPES.get(settings["data"], (settings["inputs"], TEACHER_OUTPUTS))
    widths = [inputs, *[settings["width"]] * settings["depth"], outputs]
    scale, activation = settings["scale"], settings["activation"]
    return MLP(widths, activation=activation, init="he", scale=scale, generator=generator)


def trained(settings: dict[str, Any], *, data_scaled: bool = False) -> tuple[MLP, History]:
    """Train as the page does, to the end; the readings are the spectra at the page's 64 test inputs."""
    with float64():
        generator = runtime.generator(settings["seed"])
        x, y, x_test, _ = draw(settings, generator)
        net = start(settings, generator)
        factor = covariance_root(x) if data_scaled else None

        def measure(net: MLP) -> Spectra:
            return jacobian_spectra(net, x_test[:PROBE], input_factor=factor)

        history = train(
            net,
            x,
            y,
            steps=settings["steps"],
            lr=settings["lr"],
            batch_size=settings["batch"],
            generator=generator,
            loss=settings["loss"],
            momentum=settings["momentum"],
            weight_decay=settings["decay"],
            measure=measure,
            checkpoints=log_steps(settings["steps"], 60),
            label="playground",
        )
    return net, history
