"""Made-up estimates for the tests of EstimatorBench: numbers of the size that estimators give, and nothing else."""

from functools import cache

import numpy as np
import pandas as pd

SIZES = (100, 316, 1000, 3162, 10_000)
KINDS = {
    "gaussian fit": "estimate",
    "ksg 1": "estimate",
    "ksg 2": "estimate",
    "binning width": "estimate",
    "binning mass": "estimate",
    "infonce": "lower bound",
    "nwj": "lower bound",
    "kde lower": "lower bound",
    "kde upper": "upper bound",
    "logdet": "upper bound",
}
CAPPED = {"ksg 1", "ksg 2", "binning width", "binning mass", "kde lower", "kde upper"}  # at ln N
FOR_CHANNELS = {"kde lower", "kde upper", "logdet"}
TRUTHS = {
    "normal-0.5": 0.1438,
    "normal-0.75": 0.4133,
    "half-cube": 0.4133,
    "normal-0.99": 1.9585,
    "independent": 0.0,
    "dense-5": 0.59,
    "dense-25": 1.29,
    "sparse-25": 1.02,
    "student-1": 0.2242,
    "student-3": 0.0518,
    "student-5": 0.0245,
    "uniform-noise": 1.7094,
    "spiral": 1.02,
    "channel-1": 0.8047,
    "channel-10": 3.4657,
    "channel-high": 20.0,
}


def estimates(case, truth, estimator, n, seed):
    """One row, whatever is true of the estimator's errors: a bias that falls with n, and a spread of 1 / sqrt(n)."""
    g = np.random.default_rng([seed, n, *case.encode(), *estimator.encode()])
    place = list(KINDS).index(estimator)
    value = truth * (1 + (place - 4) / n**0.5) + (0.5 + truth) * g.standard_normal() / n**0.5
    cap = np.log(n) if estimator in CAPPED else np.log(256) if estimator == "infonce" else np.nan
    value = float(np.fmin(value, cap))
    stderr = np.nan if estimator == "nwj" else (0.4 + truth) / n**0.5
    settings = {"seed": seed, "case": case, "n": n, "estimator": estimator, "value": value, "stderr": stderr}
    return {
        **settings,
        "kind": KINDS[estimator],
        "cap": cap,
        "saturated": int(value >= 0.95 * cap),
        "truth": truth,
    }


@cache
def _made_up(cases, sizes, estimators, seeds):
    rows = [
        estimates(case, TRUTHS[case], name, n, seed)
        for case in cases
        for name in estimators
        if name not in FOR_CHANNELS or case.startswith("channel")
        for n in sizes
        for seed in range(seeds)
    ]
    return pd.DataFrame(rows)


def made_up_table(*, cases=tuple(TRUTHS), sizes=SIZES, estimators=tuple(KINDS), seeds=10):
    """Every estimator in every case that it applies to: 16 cases, 5 sizes, 10 estimators and 10 seeds."""
    return _made_up(cases, sizes, estimators, seeds).copy()


def small_table(**options):
    """Three cases and two sizes, 3 seeds."""
    return made_up_table(
        **{
            "cases": ("normal-0.75", "independent", "channel-high"),
            "sizes": (100, 1000),
            "seeds": 3,
            **options,
        }
    )


def odd_table():
    """One seed only; an estimator that explodes up, one that explodes down; one that was run at one size only."""
    table = small_table(
        seeds=1, estimators=("ksg 1", "infonce", "nwj", "gaussian fit"), sizes=(100, 1000, 10_000)
    )
    table = table[(table["estimator"] != "infonce") | (table["n"] == 1000)].copy()
    exploding = table["estimator"] == "nwj"
    table.loc[exploding, "value"] = np.where(table["n"] == 100, 100 * table["truth"], -7.0)[exploding]
    return table


def made_up_samples(cases=tuple(TRUTHS), points=200):
    """Points with tails as heavy as they come."""
    return {case: np.random.default_rng(i).standard_t(1 + i, (points, 2)) for i, case in enumerate(cases)}
