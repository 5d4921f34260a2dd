"""The table of InformationPlane: checked, and put into arrays over variants, seeds, readings, layers and steps."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int64
from numpy import ndarray
from pandas import DataFrame, Series

from lrlib import _checks
from lrlib.information.estimate import SATURATED
from lrlib.interactive.training_table import NETWORK, READINGS, THRESHOLDED

COLUMNS = ("task", "variant", "seed", "step", "layer", "reading", "noise", "eps", "mean", "cap")
# Of every estimator: the reading that its points are, and the one to which a bar leads from them, if any.
ESTIMATORS = {
    "kde": ("kde lower", "kde upper"),
    "logdet": ("logdet", None),
    "binning": ("binning", None),
    "ksg": ("ksg", None),
    "exact": ("exact", None),
}
LABEL = "binning label"
NOISY = ("kde lower", "kde upper", "logdet")
NOISES = ("fixed", "layer")
INFORMATION = (*NOISY, "binning", "ksg", "exact", LABEL)
HAS_EPS = (*THRESHOLDED, *NOISY, "binning", LABEL, "ksg")  # what ``eps`` says of others is left out
MEAN = "mean"  # the seed that stands for the mean over all

Column = tuple[str, str, float | None]  # reading, noise ("" for none) and eps


@dataclass(frozen=True)
class Option:
    """One way to estimate I(X;T): an estimator with its noise, and where its numbers are among the columns."""

    estimator: str  # its name; that of one with a count of bins, where there are several, ends in it
    noise: str  # "fixed", "layer", or "" for none
    scale: float | None  # of the noise; of binning, the number of bins
    point: int
    upper: int | None


@dataclass(frozen=True)
class TaskTable:
    """One task's runs: V variants, C = 1 + S choices (mean over seeds, each seed), R columns, L layers, T steps.

    ``values`` is NaN where a number is not stored or not finite, and so is a mean over seeds that lacks one of them.
    ``saturated`` counts the seeds whose value is within 5 % of its cap, or above it. A layer is named L1, L2, ...
    whether its rows are of p_l ("L1") or of h_l ("H1"); ``measured`` has the names of those that information is of.
    """

    name: str
    variants: tuple[str, ...]
    seeds: tuple[int, ...]
    seeds_of: tuple[tuple[int, ...], ...]  # of each variant
    steps: tuple[int, ...]
    steps_of: tuple[tuple[int, ...], ...]  # the places in ``steps`` of those of each variant
    layers: tuple[str, ...]
    measured: tuple[str, ...]
    columns: tuple[Column, ...]
    values: Float64[ndarray, "V C R L T"]
    saturated: Int64[ndarray, "V C R L T"]
    caps: Float64[ndarray, "R L"]  # the largest that is stored; NaN where there is none
    network: dict[str, Float64[ndarray, "V C T"]]  # by the names in NETWORK

    @cached_property
    def options(self) -> tuple[Option, ...]:
        """The ways to estimate I(X;T) that are stored, in the order of ESTIMATORS."""
        found = []
        for name, (point, upper) in ESTIMATORS.items():
            own = [
                (r, noise, eps) for r, (reading, noise, eps) in enumerate(self.columns) if reading == point
            ]
            several = sum(noise == "" for _, noise, _ in own) > 1
            for r, noise, eps in own:
                end = (upper, noise, eps)
                place = self.columns.index(end) if end in self.columns else None
                found.append(Option(f"{name} {eps:g}" if several else name, noise, eps, r, place))
        return tuple(found)

    @cached_property
    def ranks(self) -> dict[tuple[str, float | None], int]:
        """The columns of local rank, by reading and threshold."""
        return {(name, eps): r for r, (name, _, eps) in enumerate(self.columns) if name in READINGS}

    @cached_property
    def verticals(self) -> dict[str, int | None]:
        """What the left plane can have upward: the label's information, by its column, or a number of the network."""
        labels = {eps: r for r, (reading, _, eps) in enumerate(self.columns) if reading == LABEL}
        named = {LABEL if len(labels) == 1 else f"{LABEL} {eps:g}": r for eps, r in labels.items()}
        order = ("test_accuracy", "test_loss", "train_accuracy", "train_loss")
        return named | dict.fromkeys(name for name in order if name in self.network)


def read_planes(table: DataFrame) -> tuple[TaskTable, ...]:
    """Return what ``table`` holds, task by task; rows of readings that InformationPlane does not show are left out.

    Raises ``TypeError`` or ``ValueError`` that names the column or the row, and the rule it breaks.
    """
    rows = _checked(table)
    return tuple(_task(str(name), own) for name, own in rows.groupby("task", sort=False))


def _task(name: str, rows: DataFrame) -> TaskTable:
    inside = rows[rows["layer"] != "network"]
    told = rows[rows["layer"] == "network"]
    for kind, readings in (("information", INFORMATION[:-1]), ("local rank", READINGS)):
        if not inside["reading"].isin(readings).any():
            raise ValueError(
                f"table: task {name!r} has no {kind}; must have a reading among {', '.join(readings)}"
            )
    scales = [None if math.isnan(eps) else eps for eps in inside["eps"]]
    keys = list(zip(inside["reading"], inside["noise"], scales, strict=True))
    columns = tuple(sorted(set(keys), key=lambda key: (_order(key[0]), key[1], key[2] or 0.0)))
    inside = inside.assign(column=[columns.index(key) for key in keys])
    variants = tuple(rows["variant"].unique())
    axes = {
        "variant": variants,
        "seed": tuple(sorted(rows["seed"].unique().tolist())),
        "column": tuple(range(len(columns))),
        "place": in_order(inside["place"].unique()),
        "step": tuple(sorted(rows["step"].unique().tolist())),
    }
    own = {v: rows[rows["variant"] == v] for v in variants}
    seeds_of = tuple(tuple(sorted(own[v]["seed"].unique().tolist())) for v in variants)
    members = [[axes["seed"].index(seed) for seed in seeds] for seeds in seeds_of]
    saturated = np.nan_to_num(_array(inside, "saturated", axes)).astype(np.int64)
    of = inside[inside["reading"].isin(INFORMATION)].drop_duplicates("place").set_index("place")["layer"]
    caps = inside.groupby(["column", "place"])["cap"].max().unstack()
    return TaskTable(
        name=name,
        variants=variants,
        seeds=axes["seed"],
        seeds_of=seeds_of,
        steps=axes["step"],
        steps_of=tuple(
            tuple(axes["step"].index(step) for step in sorted(own[v]["step"].unique())) for v in variants
        ),
        layers=axes["place"],
        measured=tuple(of.get(place, place) for place in axes["place"]),
        columns=columns,
        values=_with_mean(_array(inside, "mean", axes), members),
        saturated=np.concatenate([saturated.sum(axis=1, keepdims=True), saturated], axis=1),
        caps=caps.reindex(index=axes["column"], columns=axes["place"]).to_numpy(float),
        network={
            reading: _with_mean(
                _array(group, "mean", {k: axes[k] for k in ("variant", "seed", "step")}), members
            )
            for reading, group in told.groupby("reading")
        },
    )


def _array(rows: DataFrame, name: str, axes: dict[str, tuple]) -> Float64[ndarray, "..."]:
    """Return the column ``name`` as an array along these axes; NaN where there is no row."""
    index = pd.MultiIndex.from_product(axes.values(), names=list(axes))
    found = rows.set_index(list(axes))[name].reindex(index)
    return found.to_numpy(float).reshape([len(values) for values in axes.values()])


def _with_mean(values: Float64[ndarray, "V S *rest"], members: list[list[int]]) -> ndarray:
    """Put the mean over each variant's seeds before them; NaN where one of them is."""
    means = np.stack([values[v, chosen].mean(axis=0) for v, chosen in enumerate(members)])
    return np.concatenate([means[:, None], values], axis=1)


def _order(reading: str) -> int:
    return (*INFORMATION, *READINGS).index(reading)


def in_order(layers: Iterable[str]) -> tuple[str, ...]:
    """Return L1, L2, ... in their order, whatever that of the rows is; other names as they come."""
    names = list(layers)
    if all(re.fullmatch(r"L\d+", name) for name in names):
        names.sort(key=lambda name: int(name[1:]))
    return tuple(names)


def _checked(table: Any) -> DataFrame:
    """Return the rows that are shown, with ``place`` (L1 for H1 too) and ``saturated``; raise outside the rules."""
    if not isinstance(table, DataFrame):
        raise TypeError(f"table: must be a pandas.DataFrame, not {type(table).__name__}")
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise ValueError(f"table: has no column {', '.join(missing)}; must have {', '.join(COLUMNS)}")
    rows = table[list(COLUMNS)].reset_index(drop=True)
    for name in ("task", "variant", "layer", "reading"):
        rows[name] = _names(name, rows[name])
    shown = np.where(
        rows["layer"] == "network",
        rows["reading"].isin(NETWORK),
        rows["reading"].isin([*READINGS, *INFORMATION]),
    )
    rows = rows[shown].copy()
    if rows.empty:
        raise ValueError(
            "table: has no rows of a reading that is shown; must have information and local rank"
        )
    for name in ("seed", "step", "eps", "mean", "cap"):
        rows[name] = _numbers(name, rows[name])
    rows = rows.astype({"seed": int, "step": int})
    rows["noise"] = rows["noise"].astype(object).where(rows["reading"].isin(NOISY), "")
    rows["eps"] = rows["eps"].where(rows["reading"].isin(HAS_EPS))
    _check_settings(rows)
    rows["mean"] = rows["mean"].where(np.isfinite(rows["mean"]))
    rows["saturated"] = rows["mean"] >= (1 - SATURATED) * rows["cap"]
    rows["place"] = rows["layer"].str.replace(r"^H(?=\d+$)", "L", regex=True)
    _check_once(rows)
    return rows


def _names(column: str, values: Series) -> Series:
    for value in values.unique():
        if not isinstance(value, str) or not value.strip():
            raise TypeError(f"table: {column} is {value!r} in a row; must be a string that is not empty")
    return values.astype(object)


def _numbers(column: str, values: Series) -> Series:
    try:
        numbers = pd.to_numeric(values).astype(float)  # None becomes NaN
    except (TypeError, ValueError) as error:
        raise TypeError(f"table: {column} is of dtype {values.dtype}; must be numbers") from error
    if column in ("seed", "step"):
        bad = ~((numbers >= 0) & (numbers % 1 == 0))
        if bad.any():
            raise ValueError(
                f"table: {column} is {numbers[bad].iloc[0]:g} in a row; must be whole and at least 0"
            )
    return numbers


def _check_settings(rows: DataFrame) -> None:
    """Raise for a noise that is not known, a threshold or a noise's scale that is missing, a negative rank."""
    for row in rows[rows["reading"].isin(NOISY)].drop_duplicates("noise").itertuples():
        _checks.one_of(f"table: noise of {row.reading!r}", row.noise, NOISES)
    needs = rows["reading"].isin([*THRESHOLDED, *NOISY]) & ~((rows["eps"] > 0) & np.isfinite(rows["eps"]))
    if needs.any():
        row = rows[needs].iloc[0]
        raise ValueError(f"table: {_named(row)} has eps={row['eps']:g}; must be finite and above 0")
    negative = rows["reading"].isin(READINGS) & (rows["mean"] < 0)
    if negative.any():
        row = rows[negative].iloc[0]
        raise ValueError(f"table: {_named(row)} has mean={row['mean']:g}; a rank must not be negative")


def _check_once(rows: DataFrame) -> None:
    """Raise where two rows say the same thing, as they do where information is both of p_l and of h_l."""
    keys = ["task", "variant", "seed", "step", "place", "reading", "noise", "eps"]
    twice = rows[rows.duplicated(keys, keep=False)]
    if twice.empty:
        return
    first = twice.iloc[0]
    same = twice[(twice[keys].fillna(-1.0) == first[keys].fillna(-1.0)).all(axis=1)]
    names = " and ".join(dict.fromkeys(same["layer"]))
    raise ValueError(f"table: {_named(first)} is there {len(same)} times, of {names}; must be there once")


def _named(row: Any) -> str:
    where = f"task {row['task']!r}, variant {row['variant']!r}, seed {row['seed']}, step {row['step']}"
    return f"the row {row['reading']!r} of {where}, layer {row['layer']!r}"
