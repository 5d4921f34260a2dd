"""Does a student's local rank find its Gaussian teacher's rank? Teachers of rank 1 to 8, students of depth 2 to 6.

The synthetic experiment of Patel & Shwartz-Ziv 2024 (arXiv 2410.07687), whose hyper-parameters are not public. Weight
decay and the length of training make eta * lambda * t = 15, long enough for the first layer, the slowest; where the
decay itself is varied, 10,000 steps as well.
"""

from dataclasses import replace

from lrlib.experiments.students import Config, Student, Variant, cells, settings

__all__ = ["CONFIGS", "cells", "settings"]

LONG = Student(n=8_000, lr=0.3, weight_decay=5e-3, steps=10_000)

RANKS = [Variant("teacher rank", str(rank), replace(LONG, teacher_rank=rank)) for rank in range(1, 9)]
DEPTHS = [
    Variant("depth", str(depth), replace(LONG, hidden=(100,) * (depth - 1))) for depth in (2, 3, 4, 5, 6)
]
NOISES = [Variant("noise", f"{noise:g}", replace(LONG, noise=noise)) for noise in (0.0, 0.1, 0.3, 1.0)]
INPUTS = [
    Variant("input spread", f"{spread:g}", replace(LONG, spread=spread)) for spread in (1.0, 10.0, 100.0)
]
CLASSES = [
    Variant(
        "classification, teacher rank", str(rank), replace(LONG, task="classification", teacher_rank=rank)
    )
    for rank in (1, 2, 3, 5, 8)
]
DECAYS = [
    Variant("weight decay", f"{decay:g}", replace(LONG, weight_decay=decay)) for decay in (0.0, 5e-4, 5e-3)
] + [
    Variant(
        "classification, weight decay", f"{decay:g}", replace(LONG, task="classification", weight_decay=decay)
    )
    for decay in (0.0, 5e-4, 5e-3)
]

CONFIGS = {
    "quick": Config(
        seeds=(0, 1),
        variants=tuple(Variant("teacher rank", str(r), replace(LONG, teacher_rank=r)) for r in (1, 3, 5)),
        probes=32,
        lists=6,
    ),
    "full": Config(
        seeds=tuple(range(10)),
        variants=(*RANKS, *DEPTHS, *NOISES, *INPUTS, *CLASSES, *DECAYS),
        absolute=(0.01, 0.03, 0.1, 0.3),
        relative=(0.01, 0.03, 0.1, 0.3),
        scaled=(0.1,),
        probes=32,  # fewer probes and checkpoints than `drivers`: readings take a quarter of the time
        checkpoints=16,
        lists=8,
    ),
}
