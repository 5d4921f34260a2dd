"""The playground's experiments as lrlib code: a template that the page fills in too, so that both say the same."""

from typing import Any

from lrlib.interactive.playground.settings import CHOICES

TRAINING = 500  # points to train on, and as many to test; data.js draws the same ones
SHAPES = {"digits": (64, 10), "spirals": (2, 2), "rings": (2, 2), "moons": (2, 2)}  # inputs and outputs
TEACHER_OUTPUTS = 10

WHOLE = """\
import torch

import lrlib
{import}
torch.set_default_dtype(torch.float64)  # as the page computes
g = lrlib.runtime.generator({seed})
{draw}{targets}net = lrlib.nets.MLP([{widths}], activation="{activation}", init="he", scale={scale}, generator=g)
probe = x_test[:64]
history = lrlib.train.train(
    net,
    x,
    y,
    steps={steps},
    lr={lr},
    batch_size={batch},
    generator=g,
    loss="{loss}",
    momentum={momentum},
    weight_decay={decay},
    measure=lambda net: lrlib.jacobian_spectra(net, probe{factor}),
    checkpoints=lrlib.train.log_steps({steps}, 60),
)
local_rank = [[{count}.double().mean().item() for s in spectra.values] for spectra in history.readings]
for step, ranks in zip(history.steps, local_rank, strict=True):
    print(step, *(f"{rank:.2f}" for rank in ranks))
"""
PLANE_IMPORT = "from lrlib.data.plane import flip_labels, {name}\n"
PLANE = """\
x, y = {name}(1000, generator=g)
x, x_test, y, y_test = x[:500], x[500:], y[:500], y[500:]
y = flip_labels(y, {{noise}}, classes=2, generator=g)
"""
PLANE_NAMES = {"spirals": "two_spirals", "rings": "rings", "moons": "moons"}
IMPORTS = {
    "teacher": "",
    "digits": "from lrlib.data.plane import flip_labels\n",
    **{data: PLANE_IMPORT.format(name=name) for data, name in PLANE_NAMES.items()},
}
DATA = {
    "teacher": """\
made = lrlib.data.gaussian_teacher(1000, inputs={inputs}, rank={rank}, noise={noise}, generator=g)
x, x_test, y, y_test = made.x[:500], made.x[500:], made.y[:500], made.y[500:]
""",
    "digits": """\
train, test = lrlib.data.load("digits", n=500, seed=0), lrlib.data.load("digits", split="test")
train, test = lrlib.data.standardise(train, test)
x, x_test, y_test = train.x.double(), test.x.double(), test.y
y = flip_labels(train.y, {noise}, classes=10, generator=g)
""",
    **{data: PLANE.format(name=name) for data, name in PLANE_NAMES.items()},
}
TARGETS = "y = torch.nn.functional.one_hot(y, {outputs}).double()\n"
FACTORS = {"data-scaled": ", input_factor=lrlib.covariance_root(x)"}
COUNTS = {
    "absolute": "lrlib.count_above(s, {eps})",
    "relative": "lrlib.count_above(s, {eps}, relative=True)",
    "data-scaled": "lrlib.count_above(s, {eps})",
    "effective": "lrlib.effective_rank(s)",
    "stable": "lrlib.stable_rank(s)",
}
TEMPLATE = {
    "whole": WHOLE,
    "imports": IMPORTS,
    "data": DATA,
    "targets": TARGETS,
    "factors": FACTORS,
    "counts": COUNTS,
}


def code_of(settings: dict[str, Any], *, reading: str, eps: float) -> str:
    """Return lrlib code that trains as the playground does with these settings, and prints the local ranks."""
    inputs, outputs = SHAPES.get(settings["data"], (settings["inputs"], TEACHER_OUTPUTS))
    words = {name: str(settings[name]) for name in CHOICES} | {"eps": str(eps), "outputs": str(outputs)}
    words["widths"] = ", ".join(map(str, [inputs, *[settings["width"]] * settings["depth"], outputs]))
    words["import"] = IMPORTS[settings["data"]]
    words["draw"] = DATA[settings["data"]].format(**words)
    one_hot = settings["loss"] == "mse" and settings["data"] != "teacher"
    words["targets"] = TARGETS.format(**words) if one_hot else ""
    words["factor"] = FACTORS.get(reading, "")
    words["count"] = COUNTS[reading].format(**words)
    # not str.format: the code has braces of its own
    text = WHOLE
    for name, word in words.items():
        text = text.replace(f"{{{name}}}", word)
    return text
