"""Made-up rows of "rank_information" for the tests of InformationPlane: paths that move, and caps that are met."""

from functools import cache

import numpy as np
import pandas as pd

COLUMNS = ["task", "variant", "seed", "step", "layer", "reading", "noise", "eps", "mean", "stderr", "cap"]
THRESHOLDS = {"absolute": (0.01, 0.1, 1.0), "relative": (0.01, 0.1), "data-scaled": (0.1, 1.0)}
NOISES = {"fixed": (0.1, 1.0), "layer": (0.3, 1.0)}
TASKS = {
    "teacher": {
        "variants": {"no decay": (0, 1, 2), "weight decay": (0, 1, 2)},
        "steps": (0, 10, 100, 1000, 8000),
        "depth": 3,
        "n": 2000,
        "network": ("train_loss", "test_loss"),
    },
    "sphere": {
        "variants": {"tanh": (0, 1, 2, 3), "relu": (1, 5)},  # not the same seeds
        "steps": (0, 50, 500, 5000),
        "depth": 6,
        "n": 4096,
        "network": ("train_loss", "test_loss", "train_accuracy", "test_accuracy"),
    },
}
FULL = {  # as large as the full run: tasks, variants, seeds, steps and layers
    "teacher": TASKS["teacher"] | {"variants": dict.fromkeys(("no decay", "weight decay"), range(5)), "steps": (0, *range(1, 20))},
    "mnist": TASKS["sphere"] | {"variants": dict.fromkeys(("no decay", "weight decay"), range(5)), "steps": (0, *range(1, 18)), "depth": 4},
    "sphere": TASKS["sphere"] | {"variants": dict.fromkeys(("tanh", "relu"), range(10)), "steps": (0, *range(1, 18))},
}  # fmt: skip


def rows_of(task, variant, seed, step, layer, about):
    """Yield the rows of a layer at a step: (layer, reading, noise, eps, mean, cap)."""
    g = np.random.default_rng([seed, step, layer, *variant.encode()])
    cap = np.log(about["n"])
    learned = (1 + step) / (300 + step)
    share = max(0.05, 1.1 - 0.2 * layer) * (0.6 + 0.6 * learned) * np.exp(0.05 * g.standard_normal())
    sphere = task == "sphere"
    measured = f"H{layer}" if sphere else f"L{layer}"
    for noise, scales in ({"fixed": (0.1,), "layer": (0.1,)} if sphere else NOISES).items():
        for i, scale in enumerate(scales):
            lower = min(cap, cap * share / (1 + i))
            yield measured, "kde lower", noise, scale, lower, cap
            yield measured, "kde upper", noise, scale, min(cap, 1.3 * lower + 0.1), cap
            yield measured, "logdet", noise, scale, 3 * cap * share / (1 + i), None
    own = min(cap, 2 * np.log(30)) if layer == 6 else cap
    yield measured, "binning", None, 30, min(own, 1.1 * own * share), own
    yield measured, "deviation", None, None, 1.0, None
    if sphere:
        label = min(0.692563, 0.8 * learned / layer**0.2 * np.exp(0.05 * g.standard_normal()))
        yield measured, "binning label", None, 30, label, 0.692563
        yield measured, "exact", None, None, cap, cap
    width = max(2, 40 - 10 * layer)
    for reading, grid in THRESHOLDS.items():
        for k, eps in enumerate(grid):
            yield (
                f"L{layer}",
                reading,
                None,
                eps,
                width * (1 - 0.3 * k) * (1 - 0.5 * learned * g.uniform(0.8, 1)),
                None,
            )
    yield f"L{layer}", "effective", None, None, 0.8 * width, None
    yield f"L{layer}", "stable", None, None, 0.3 * width * (2 - learned), None


def network_value(name, seed, step):
    loss = 1.1 / (1 + step / 40) * (1 + 0.02 * seed) + 0.003
    return min(1.0, 0.5 + 0.5 * step / (100 + step) + 0.001 * seed) if name.endswith("accuracy") else loss


@cache
def _made_up(names, full):
    rows = []
    for task in names:
        about = (FULL if full else TASKS)[task]
        for variant, seeds in about["variants"].items():
            for seed in seeds:
                for step in about["steps"]:
                    own = [
                        ("network", name, None, None, network_value(name, seed, step), None)
                        for name in about["network"]
                    ]
                    for layer in range(1, about["depth"] + 1):
                        own += rows_of(task, variant, seed, step, layer, about)
                    rows += [(task, variant, seed, step, *row[:-1], 0.01, row[-1]) for row in own]
    return pd.DataFrame(rows, columns=COLUMNS)


def made_up_table(names=("teacher", "sphere"), *, full=False):
    """Two tasks, two variants each, with 2 to 4 seeds; or three as large as those of the full run."""
    return _made_up(tuple(FULL) if full else names, full).copy()


def chosen(table, **values):
    """The rows with these values; None stands for none."""
    for name, value in values.items():
        table = table[table[name].isna() if value is None else table[name] == value]
    return table


def odd_tables():
    """Tables that hold less than they could, by what is odd about them."""
    table = made_up_table()
    teacher = made_up_table(("teacher",))
    readings = teacher["reading"]
    return {
        "one of everything": chosen(teacher, variant="no decay", seed=0, step=0, layer="L1"),
        "no upper bound": teacher[readings != "kde upper"],
        "no kde": teacher[~readings.str.startswith("kde")],
        "no network": teacher[teacher["layer"] != "network"],
        "no caps": table.assign(cap=np.nan),
        "no label": table[table["reading"] != "binning label"],
        "all zero": teacher.assign(mean=0.0),
        "gaps": table[
            ~((table["step"] == 1000) & (table["layer"] == "L2"))
            & ~((table["step"] == 50) & (table["seed"] == 2))
        ],
        "infinite": table.assign(mean=table["mean"].where(table["reading"] != "logdet", np.inf)),
        "negative": table.assign(mean=table["mean"].where(table["reading"] != "binning", -0.02)),
    }
