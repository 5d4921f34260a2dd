"""Throughput of ``fit_many`` against ``train`` one after the other, for the synthetic experiment's networks.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/train_many.py

A second table says which share of a full run's time its readings take: the time of a step and of a checkpoint, measured
in a short run, times how many of them the full configuration has.

Times are CPU times of one thread, which depend less on what else the machine does than the clock on the wall. Each number of
models is timed in turns, first one way and then the other, and the median of the ratios counts.
"""

import argparse
import statistics
import time
from unittest import mock

import torch

from lrlib import runtime
from lrlib.data import gaussian_teacher
from lrlib.experiments import drivers, mnist, students, teacher
from lrlib.nets import MLP, MLPStack
from lrlib.train import fit_many, train

WIDTHS = [30, 100, 100, 10]
COURSE = {"lr": 0.1, "weight_decay": 5e-3, "batch_size": 32, "loss": "mse", "progress": False}


def one_after_the_other(data: list, steps: int) -> float:
    """Return the seconds that training the models with ``train`` takes, and nothing else."""
    seconds = 0.0
    for seed, made in enumerate(data):
        net, g = MLP(WIDTHS, generator=runtime.generator(seed)), runtime.generator(100 + seed)
        start = time.process_time()
        train(net, made.x, made.y, steps=steps, generator=g, **COURSE)
        seconds += time.process_time() - start
    return seconds


def at_once(data: list, steps: int) -> float:
    """Return the seconds that ``fit_many`` takes for the same models."""
    stack = MLPStack([MLP(WIDTHS, generator=runtime.generator(seed)) for seed in range(len(data))])
    generators = [runtime.generator(100 + seed) for seed in range(len(data))]
    xs, ys = [made.x for made in data], [made.y for made in data]
    start = time.process_time()
    fit_many(stack, xs, ys, steps=steps, generators=generators, **COURSE)
    return time.process_time() - start


def readings_share(name: str, steps: int) -> tuple[int, float, float, int, float]:
    """Return steps, seconds a step, seconds a checkpoint, checkpoints and the readings' share of a full run's stack.

    Of the experiment's first cell: ``fit_many`` is run for ``steps`` steps, its readings are timed one by one.
    """
    experiment, module = {
        "teacher": (teacher, students), "drivers": (drivers, students), "mnist": (mnist, mnist)
    }[name]  # fmt: skip
    config = experiment.CONFIGS["full"]
    spent, plan = {}, {}

    def short(*data: object, **course: object) -> list:
        measure, checkpoints = course["measure"], course["checkpoints"]
        plan.update(steps=course["steps"], checkpoints=len(checkpoints))

        def timed(stack: MLPStack) -> list:
            start = time.process_time()
            found = measure(stack)
            spent["reading"] = spent.get("reading", 0.0) + time.process_time() - start
            return found

        early = [step for step in checkpoints if step <= steps]
        spent["count"] = len(early)
        start = time.process_time()
        histories = fit_many(*data, **course | {"steps": steps, "checkpoints": early, "measure": timed})
        spent["all"] = time.process_time() - start
        return histories

    with mock.patch.object(module, "fit_many", short):
        _, run = module.cells(config)[0]
        run()
    step = (spent["all"] - spent["reading"]) / steps
    checkpoint = spent["reading"] / spent["count"]
    reading = checkpoint * plan["checkpoints"]
    return plan["steps"], step, checkpoint, plan["checkpoints"], reading / (reading + step * plan["steps"])


def main() -> None:
    """Print one row for each number of models."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--experiments", nargs="*", default=["teacher", "drivers", "mnist"])
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
    print(
        f"\n{'full run':>8} {'steps':>6} {'ms/step':>8} {'checkpoints':>11} {'ms each':>8} {'share of readings':>18}"
    )
    for name in chosen.experiments:
        steps, step, checkpoint, count, share = readings_share(name, chosen.steps)
        print(f"{name:>8} {steps:>6} {step * 1e3:>8.2f} {count:>11} {checkpoint * 1e3:>8.0f} {share:>18.0%}")


if __name__ == "__main__":
    main()
