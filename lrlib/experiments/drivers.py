"""What drives the fall of local rank? One factor at a time is changed, and the pairs that matter.

The base is a 3-layer ReLU MLP that learns a teacher of rank 3 from 1,000 inputs, by SGD with weight decay. Runs last
until the clock eta * lambda * t, with momentum the corrected one, shows 4, or for 40,000 steps, if that is less;
without weight decay 20,000 steps (once 80,000), and Adam with coupled decay, which has no such clock, as many as the base.
"""

from dataclasses import replace
from typing import Any

from lrlib.experiments.students import Config, Student, Variant, cells, settings

__all__ = ["CONFIGS", "cells", "settings"]

BASE = Student()
END, MOST_STEPS, WITHOUT_DECAY = 4.0, 40_000, 20_000


def _variant(factor: str, level: str, *, speed: float = 1.0, **changes: Any) -> Variant:
    """Return the base with changes, trained until speed * eta * lambda * t = END."""
    student = replace(BASE, **changes)
    rate = speed * student.lr * student.weight_decay
    steps = min(MOST_STEPS, round(END / rate)) if rate else WITHOUT_DECAY
    return Variant(factor, level, replace(student, **{"steps": steps, **changes}))


def _numbers(factor: str, field: str, values: tuple, **changes: Any) -> list[Variant]:
    return [_variant(factor, f"{value:g}", **{field: value}, **changes) for value in values]


FREE = {"weight_decay": 0.0}
RATES = [
    _variant("learning rate x weight decay", f"{lr:g} x {decay:g}", lr=lr, weight_decay=decay)
    for lr in (0.03, 0.1, 0.3)
    for decay in (2e-3, 5e-3, 2e-2)
]
# Adam's steps do not scale with the gradient, so its rates are its own; eta * lambda is the base's, 5e-4.
OPTIMISERS = [
    _variant("optimiser", "SGD"),
    _variant("optimiser", "momentum 0.5", lr=0.05, momentum=0.5, speed=2),
    _variant("optimiser", "momentum 0.9", lr=0.01, momentum=0.9, speed=10),
    _variant(
        "optimiser", "momentum 0.9, decoupled", lr=0.01, momentum=0.9, weight_decay=5e-2, decoupled=True
    ),
    _variant("optimiser", "AdamW", optimiser="adam", decoupled=True, lr=1e-3, weight_decay=0.5),
    _variant("optimiser", "AdamW, slower", optimiser="adam", decoupled=True, lr=3e-4, weight_decay=0.5),
    _variant("optimiser", "Adam, coupled", optimiser="adam", lr=1e-3, weight_decay=5e-3, steps=8_000),
]
SCALES = {"small": {}, "default": {}, "he": {}, "lazy": {"lr": 0.02}}  # from the lazy start 0.1 diverges
HIDDEN = {"depth": [(100,) * layers for layers in (1, 2, 3, 4, 5)], "width": [(w, w) for w in (30, 100, 300)]}

VARIANTS = (
    *_numbers("weight decay", "weight_decay", (0.0, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2)),
    *_numbers("learning rate", "lr", (0.03, 0.1, 0.3)),
    *_numbers("learning rate, no decay", "lr", (0.03, 0.1, 0.3), **FREE),
    *_numbers("time, no decay", "steps", (80_000,), **FREE),
    *_numbers("batch size", "batch_size", (4, 32, 250, 1_000)),
    *_numbers("batch size, no decay", "batch_size", (4, 32, 250, 1_000), **FREE),
    *[_variant("initial scale", init, init=init, **rate) for init, rate in SCALES.items()],
    *[_variant("initial scale, no decay", init, init=init, **rate, **FREE) for init, rate in SCALES.items()],
    *[_variant("depth", str(len(hidden) + 1), hidden=hidden) for hidden in HIDDEN["depth"]],
    *[_variant("width", str(hidden[0]), hidden=hidden) for hidden in HIDDEN["width"]],
    *[_variant("activation", name, activation=name) for name in ("relu", "leaky_relu", "gelu", "tanh", "identity")],
    *OPTIMISERS,
    *_numbers("label noise", "noise", (0.0, 0.1, 0.3, 1.0)),
    *_numbers("label noise, no decay", "noise", (0.0, 0.1, 0.3, 1.0), **FREE),
    *_numbers("data size", "n", (250, 1_000, 4_000)),
    *_numbers("data size, no decay", "n", (250, 1_000, 4_000), **FREE),
    *_numbers("cross-entropy, weight decay", "weight_decay", (0.0, 1e-3, 5e-3, 2e-2), task="classification"),
    *RATES,
)  # fmt: skip

CONFIGS = {
    "quick": Config(
        seeds=(0, 1),
        variants=(
            *_numbers("weight decay", "weight_decay", (5e-3, 2e-2)),
            _variant("learning rate", "0.3", lr=0.3),
        ),
    ),
    "full": Config(seeds=(0, 1, 2, 3, 4), variants=VARIANTS, checkpoints=20, lists=6),
}
