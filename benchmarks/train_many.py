"""Throughput of ``fit_many`` against ``train`` one after the other, for the synthetic experiment's networks.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/train_many.py

Each number of models is timed in turns, first one way and then the other, and the median of the ratios counts: a
shared machine changes its speed between runs, but less between neighbours.
"""

import argparse
import statistics
import time

import torch

from lrlib import runtime
from lrlib.data import gaussian_teacher
from lrlib.nets import MLP, MLPStack
from lrlib.train import fit_many, train

WIDTHS = [30, 100, 100, 10]
COURSE = {"lr": 0.1, "weight_decay": 5e-3, "batch_size": 32, "loss": "mse", "progress": False}


def one_after_the_other(data: list, steps: int) -> float:
    """Return the seconds that training the models with ``train`` takes, and nothing else."""
    seconds = 0.0
    for seed, made in enumerate(data):
        net, g = MLP(WIDTHS, generator=runtime.generator(seed)), runtime.generator(100 + seed)
        start = time.perf_counter()
        train(net, made.x, made.y, steps=steps, generator=g, **COURSE)
        seconds += time.perf_counter() - start
    return seconds


def at_once(data: list, steps: int) -> float:
    """Return the seconds that ``fit_many`` takes for the same models."""
    stack = MLPStack([MLP(WIDTHS, generator=runtime.generator(seed)) for seed in range(len(data))])
    generators = [runtime.generator(100 + seed) for seed in range(len(data))]
    xs, ys = [made.x for made in data], [made.y for made in data]
    start = time.perf_counter()
    fit_many(stack, xs, ys, steps=steps, generators=generators, **COURSE)
    return time.perf_counter() - start


def main() -> None:
    """Print one row for each number of models."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=5)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'models':>6} {'train, us/step':>15} {'fit_many, us/step':>18} {'ratio':>6}  (lowest to highest)")
    for count in chosen.models:
        data = [gaussian_teacher(1_000, generator=runtime.generator(seed)) for seed in range(count)]
        one_after_the_other(data[:1], 50), at_once(data, 50)  # warm up
        pairs = [
            (one_after_the_other(data, chosen.steps), at_once(data, chosen.steps))
            for _ in range(chosen.repeats)
        ]
        single, many = (statistics.median(times) / chosen.steps * 1e6 for times in zip(*pairs, strict=True))
        ratios = sorted(a / b for a, b in pairs)
        print(
            f"{count:>6} {single:>15.0f} {many:>18.0f} {statistics.median(ratios):>6.1f}"
            f"  ({ratios[0]:.1f} to {ratios[-1]:.1f})"
        )


if __name__ == "__main__":
    main()
