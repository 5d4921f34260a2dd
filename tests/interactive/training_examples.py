"""Made-up tables for the tests of TrainingExplorer: runs that learn ten directions and forget the others."""

import numpy as np
import pandas as pd

STEPS = (0, 1, 10, 100, 1000)
WIDTHS = {"L1": 24, "L2": 24, "L3": 5}
VARIANTS = (0.0, 0.001)
SEEDS = (0, 1, 2)
THRESHOLDS = {"absolute": (0.01, 0.1, 1.0), "relative": (0.001, 0.01, 0.1), "data-scaled": (0.01, 0.1)}
SHAPE = (4, 4)


def places(width):
    """1 to 16, then about 16 more up to the width: where a stored spectrum is."""
    more = np.geomspace(16, width, 17).round().astype(int) if width > 16 else []
    return sorted({*range(1, min(width, 16) + 1), *more})


def pairs(sigma):
    return " ".join(f"{i}:{sigma[i - 1]:.4g}" for i in places(len(sigma)))


def spectrum(generator, width, depth, forgotten, learned):
    """Ten singular values that grow, the others shrunk to what is not yet forgotten."""
    i = np.arange(width)
    start = 1.6 * np.sqrt(1.02 - i / width) * 0.7**depth * np.exp(0.05 * generator.standard_normal(width))
    signal = np.where(i < 10, (1 + 1.5 * depth) * np.exp(-0.15 * i), 0.0)
    sigma = np.sort(forgotten * start + learned * signal)[::-1]
    return np.where(sigma > 1e-6, sigma, 0.0)


def picture(generator, shape, forgotten, learned, depth):
    """A bright middle that is learned, over an even ground that is forgotten."""
    rows, columns = (np.linspace(-1, 1, n) for n in shape)
    middle = np.exp(-2.5 * (rows[:, None] ** 2 + columns**2)) * (1.2 + 0.3 * np.cos(5 * rows[:, None]))
    grain = np.exp(0.12 * generator.standard_normal(shape))
    return (0.55 * 0.8**depth * forgotten * grain + learned * (0.4 + 0.5 * depth) * middle * grain).ravel()


def made_up_table(
    variants=VARIANTS, seeds=SEEDS, steps=STEPS, widths=WIDTHS, thresholds=THRESHOLDS, shape=SHAPE, rate=0.1
):
    """A tidy table with all rows that TrainingExplorer shows, column ``weight_decay``; seeded, so always the same."""
    rows = []

    def add(reading, layer="network", eps=None, mean=None, stderr=None, values=None):
        rows.append((variant, seed, step, layer, reading, eps, mean, stderr, values))

    for v, variant in enumerate(variants):
        for seed in seeds:
            generator = np.random.default_rng([v, seed])
            for step in steps:
                forgotten = np.exp(-rate * variant * step)
                learned = step / (step + 300.0 * np.exp(0.2 * generator.standard_normal()))
                for l, (layer, width) in enumerate(widths.items()):
                    sigma = spectrum(generator, width, l, forgotten, learned)
                    for reading, grid in thresholds.items():
                        for eps in grid:
                            cut = eps * sigma[0] if reading == "relative" else eps
                            count = (sigma > cut).sum() * (1 - 0.03 * generator.random())
                            add(reading, layer, eps, count, 0.02 * count)
                    q = sigma / sigma.sum()
                    entropy = -(q[q > 0] * np.log(q[q > 0])).sum()
                    add("effective", layer, None, np.exp(entropy), 0.3)
                    add("stable", layer, None, (sigma**2).sum() / sigma[0] ** 2, 0.1)
                    add("jacobian_spectrum", layer, values=pairs(sigma))
                    add("weight_spectrum", layer, values=pairs(np.sqrt(sigma)))
                    cells = picture(generator, shape, forgotten, learned, l)
                    add("input_sensitivity", layer, values=" ".join(f"{x:.4g}" for x in cells))
                error = 0.9 - 0.88 * learned
                noise = np.exp(0.05 * generator.standard_normal(4))
                for name, value in (("train_loss", 2.3 * error**2), ("test_loss", 2.3 * error**2 + 0.05)):
                    add(name, mean=value * noise[0])
                for name, value in (("train_accuracy", 1 - error), ("test_accuracy", 0.98 - error)):
                    add(name, mean=min(1.0, max(0.0, value * noise[1])))
    names = ["weight_decay", "seed", "step", "layer", "reading", "eps", "mean", "stderr", "values"]
    return pd.DataFrame(rows, columns=names).astype({"eps": float, "mean": float, "stderr": float})


def uneven_table():
    """Variants of other lengths, which share the steps 0 and 10 only; the second one ends at 400."""
    runs = ((0.0, STEPS), (0.001, (0, 10, 40, 400)))
    return pd.concat([made_up_table(variants=(v,), steps=steps) for v, steps in runs], ignore_index=True)


def large_table():
    """As much as a page must hold: 3 variants, 5 seeds, 25 steps, 4 layers, 14 thresholds, images 14 x 14."""
    return made_up_table(
        variants=(0.0, 3e-4, 1e-3),
        seeds=range(5),
        steps=[0, *np.unique(np.geomspace(1, 40_000, 24).astype(int)).tolist()],
        widths={"L1": 128, "L2": 128, "L3": 128, "L4": 10},
        thresholds={
            "absolute": (0.001, 0.01, 0.1, 0.3, 1.0),
            "relative": (0.001, 0.003, 0.01, 0.1, 0.3),
            "data-scaled": (0.01, 0.1, 0.3, 1.0),
        },
        shape=(14, 14),
    )
