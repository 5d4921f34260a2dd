"""Made-up rank curves for the tests of ClockCollapse: directions that fade on the clock, and nothing else."""

import numpy as np
import pandas as pd

START, LEFT = 30, 3  # directions at the start, and those that training keeps


def steps_up_to(last, count=24):
    """Step 0, and about ``count`` steps up to the last at equal ratios."""
    return np.unique([0, *np.rint(np.geomspace(1, last, count)).astype(int)])


def run(group, name, *, lr=0.1, weight_decay=3e-3, speed=1.0, last=20_000, noise=0.08, seeds=5, seed=0):
    """Rows of one curve: singular values from 0.12 to 1.5 that decay on the corrected clock, counted above 0.1."""
    g = np.random.default_rng([seed, len(name), *name.encode()])
    steps = steps_up_to(last)
    clock = speed * lr * weight_decay * steps
    sigma = np.geomspace(0.12, 0.4, START - LEFT) * np.exp(
        noise * g.standard_normal((seeds, 1, START - LEFT))
    )
    grown = sigma * (1 + np.minimum(1, steps / 300))[:, None]
    ranks = LEFT + (grown * np.exp(-2 * clock)[:, None] > 0.1).sum(-1)
    settings = {"name": name, "group": group, "lr": lr, "weight_decay": weight_decay, "speed": speed}
    readings = {"step": steps, "mean": ranks.mean(0), "low": ranks.min(0), "high": ranks.max(0)}
    return pd.DataFrame({**settings, **readings})


def curve_table(steps, mean, *, lr=0.1, weight_decay=0.01, speed=1.0, name="run", group="runs"):
    """A curve without a spread over seeds."""
    settings = {"name": name, "group": group, "lr": lr, "weight_decay": weight_decay, "speed": speed}
    return pd.DataFrame({**settings, "step": steps, "mean": mean, "low": mean, "high": mean})


def made_up_curves():
    """22 curves in 6 groups; those of momentum need the corrected clock, and two stop before they fall."""
    decays = [
        run("weight decay", f"weight decay {v:g}", weight_decay=v) for v in (1e-3, 2e-3, 3e-3, 5e-3, 1e-2)
    ]
    rates = [run("learning rate", f"learning rate {v:g}", lr=v) for v in (0.03, 0.1, 0.3, 0.5)]
    batches = [run("batch size", f"batch size {v}", noise=0.3) for v in (8, 32, 128, 512)]
    momenta = [run("momentum", f"momentum {v:g}", speed=1 / (1 - v)) for v in (0.0, 0.5, 0.9, 0.95)]
    adam = [
        run("AdamW", f"AdamW, weight decay {v:g}", lr=1e-3, weight_decay=v, noise=0.5)
        for v in (0.1, 0.3, 1.0)
    ]
    short = [run("stopped early", f"{v} steps", weight_decay=1e-3, last=v) for v in (1000, 2000)]
    return pd.concat([*decays, *rates, *batches, *momenta, *adam, *short], ignore_index=True)


def full_table():
    """As much as there may be: 60 curves in 12 groups, 40 steps each."""
    rows = [
        run(
            f"factor {g + 1} of the study",
            f"factor {g + 1}, setting {c + 1}",
            weight_decay=1e-3 * 2**c,
            seed=60 * g + c,
        )
        for g in range(12)
        for c in range(5)
    ]
    return pd.concat(rows, ignore_index=True)


def far_table():
    """Twelve decades: one curve falls at an early clock long before its end, one comes to a late clock without a fall."""
    one, two = run("runs", "one"), run("runs", "two")
    early = curve_table([0, 1000, 20_000], [10.0, 0.0, 0.0], lr=1e-3, weight_decay=1e-4, name="early")
    never = curve_table(
        [0, 1000, 20_000], [10.0, 9.0, 9.0], lr=1.0, weight_decay=1.0, speed=1e3, name="never"
    )
    return pd.concat([one, two, early, never], ignore_index=True)
