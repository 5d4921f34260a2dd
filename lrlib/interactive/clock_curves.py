"""The curves of ClockCollapse: a table is checked and read, and each curve gets its half-rank time."""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int64
from numpy import ndarray
from pandas import DataFrame

MOST_CURVES, MOST_GROUPS = 60, 12
NAMES, SETTINGS, RANKS = ["name", "group"], ["lr", "weight_decay", "speed"], ["mean", "low", "high"]
ROUNDING = 1e-9  # a mean over equal seeds may lie outside them by this share
# where a line from step 0 gets its points, as shares of the next step: it is straight in time, so bent on the axis
SHARES = (1e-9, 0.01, 0.03, 0.06, 0.1, 0.2, 0.35, 0.5, 0.75)


@dataclass(frozen=True)
class Curve:
    """One curve of the figure.

    Attributes:
        name, group, lr, weight_decay, speed: as in the figure's table.
        steps: (S,) increasing, the last above 0.
        ranks: (3, S) mean, lowest and highest over seeds.
        half: the half-rank time of the mean in steps, NaN if there is none.
    """

    name: str
    group: str
    lr: float
    weight_decay: float
    speed: float
    steps: Int64[ndarray, " S"]
    ranks: Float64[ndarray, "3 S"]
    half: float

    def per_step(self, time: str) -> float:
        """Return what one step is worth on this time axis."""
        clock = self.lr * self.weight_decay
        return {"steps": 1.0, "clock": clock, "corrected": self.speed * clock}[time]

    def opened(self) -> tuple[Float64[ndarray, " P"], Float64[ndarray, "3 P"]]:
        """Return steps above 0 and ranks to draw: a step 0 becomes points on the way to the next one."""
        if self.steps[0] > 0:
            return self.steps.astype(float), self.ranks
        steps = np.concatenate([self.steps[1] * np.array(SHARES), self.steps[1:]])
        return steps, np.stack([np.interp(steps, self.steps, rank) for rank in self.ranks])


def half_rank_time(steps: Int64[ndarray, " S"], mean: Float64[ndarray, " S"]) -> float:
    """Return the first time after the highest ``mean`` at which ``mean`` falls below half of that; NaN if never.

    Between steps the mean is taken as linear in log time; between step 0 and the next one, linear in time.

    >>> half_rank_time(np.array([0, 10, 1000, 4000]), np.array([6.0, 8.0, 6.0, 2.0]))
    2000.0
    """
    top = int(np.argmax(mean))
    half = mean[top] / 2
    below = np.flatnonzero(mean[top:] < half)
    if not len(below):
        return math.nan
    after = top + int(below[0])
    share = (mean[after - 1] - half) / (mean[after - 1] - mean[after])
    before = float(steps[after - 1])
    return float(before * (steps[after] / before) ** share if before else steps[after] * share)


def read_curves(table: DataFrame) -> list[Curve]:
    """Return the curves of a table in the order in which they first appear, group after group."""
    if not isinstance(table, DataFrame):
        raise TypeError(f"curves: must be a pandas DataFrame, not {type(table).__name__}")
    wanted = [*NAMES, *SETTINGS, "step", *RANKS]
    missing = [column for column in wanted if column not in table.columns]
    if missing:
        raise ValueError(f"curves: has no column {', '.join(missing)}; must have {', '.join(wanted)}")
    for column in NAMES:
        wrong = [value for value in table[column] if not isinstance(value, str) or not value.strip()]
        if wrong:
            raise TypeError(f"curves: {column} is {wrong[0]!r} in a row; must be a string that is not empty")
    for column in wanted[2:]:
        _check_numbers(column, table[column])
    groups = table["group"].unique()
    if not 1 <= len(groups) <= MOST_GROUPS:
        raise ValueError(f"curves: there are {len(groups)} groups; must be 1 to {MOST_GROUPS}")
    curves = [
        _read_curve(name, group, rows)
        for group in groups
        for name, rows in table[table["group"] == group].groupby("name", sort=False, observed=True)
    ]
    if len(curves) > MOST_CURVES:
        raise ValueError(f"curves: there are {len(curves)}; must be at most {MOST_CURVES}")
    return curves


def _check_numbers(column: str, values: pd.Series) -> None:
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        raise TypeError(f"curves: {column} is of dtype {values.dtype}; must be numbers")
    numbers = values.to_numpy(dtype=float)
    positive = column in SETTINGS
    bad = numbers[~(np.isfinite(numbers) & ((numbers > 0) if positive else (numbers >= 0)))]
    if len(bad):
        rule = "above 0" if positive else "at least 0"
        raise ValueError(f"curves: {column} is {bad[0]:g} in a row; must be finite and {rule}")


def _read_curve(name: str, group: str, rows: DataFrame) -> Curve:
    """Return one curve; the messages call it by its name and group."""
    where = f"curves: {name!r} of {group!r}"
    for column in SETTINGS:
        if rows[column].nunique() > 1:
            raise ValueError(
                f"{where}: {column} is {rows[column].unique().tolist()}; must be one number a curve"
            )
    steps = rows["step"].to_numpy(dtype=float)
    if len(steps) < 2:
        raise ValueError(f"{where}: has {len(steps)} step; must have at least 2")
    if (steps != np.rint(steps)).any() or steps.max() >= 2**32:
        raise ValueError(f"{where}: step is {steps.tolist()}; must be whole numbers below 2^32")
    for before, after in pairwise(steps.tolist()):
        if before >= after:
            raise ValueError(f"{where}: step {after:g} comes after step {before:g}; steps must increase")
    mean, low, high = ranks = rows[RANKS].to_numpy(dtype=float).T
    wrong = np.flatnonzero((low > mean * (1 + ROUNDING)) | (mean > high * (1 + ROUNDING)))
    if len(wrong):
        at = wrong[0]
        raise ValueError(
            f"{where}: at step {steps[at]:g} low, mean, high are {low[at]:g}, {mean[at]:g}, {high[at]:g}; "
            f"must not fall"
        )
    lr, decay, speed = (float(rows[column].iloc[0]) for column in SETTINGS)
    return Curve(
        name, group, lr, decay, speed, steps.astype(np.int64), ranks.copy(), half_rank_time(steps, mean)
    )
