"""An experiment's tidy table, read into the arrays of :mod:`lrlib.interactive.training_table`."""

import math
import re
from collections.abc import Sequence
from itertools import pairwise
from numbers import Integral, Real
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from pandas import DataFrame

from lrlib.interactive.training_table import (
    LISTS,
    NETWORK,
    READINGS,
    SENSITIVITY,
    THRESHOLDED,
    Lists,
    TrainingTable,
)

COLUMNS = ("seed", "step", "layer", "reading", "eps", "mean", "stderr")

Axes = dict[str, tuple]  # the values along each axis of an array, in their order


def read(table: DataFrame, by: str) -> TrainingTable:
    """Return what ``table`` holds; rows of other layers and readings than TrainingExplorer's are left out.

    Raises ``TypeError`` or ``ValueError`` that names the column or the row, and the rule it breaks.
    """
    _check_columns(table, by)
    wanted = [by, *COLUMNS, *({"values"} & set(table.columns))]
    rows = table[wanted].rename(columns={by: "variant"}).reset_index(drop=True)
    of_layer = rows["layer"] != "network"
    ranks = rows[of_layer & rows["reading"].isin(READINGS)]
    network = rows[~of_layer & rows["reading"].isin(NETWORK)]
    lists = rows[of_layer & rows["reading"].isin(LISTS)]
    if ranks.empty:
        raise ValueError(f"table: has no rows of a layer with a reading among {', '.join(READINGS)}")
    _check_ranks(ranks)
    ranks = ranks.assign(eps=ranks["eps"].where(ranks["reading"].isin(THRESHOLDED)))
    kept = rows.loc[sorted([*ranks.index, *network.index, *lists.index])].assign(eps=ranks["eps"])
    axes = {
        "variant": _variants(kept["variant"], by),
        "seed": _whole_numbers("seed", kept["seed"]),
        "step": _whole_numbers("step", kept["step"]),
        "layer": _layers(kept["layer"]),
    }
    _check_once(kept, by)
    seeds_of = tuple(
        tuple(sorted(int(seed) for seed in set(kept.loc[kept["variant"] == variant, "seed"])))
        for variant in axes["variant"]
    )
    own_steps = [set(kept.loc[kept["variant"] == variant, "step"]) for variant in axes["variant"]]
    columns, means, stderrs = _ranks(ranks, axes)
    return TrainingTable(
        variants=axes["variant"],
        seeds=axes["seed"],
        seeds_of=seeds_of,
        steps=axes["step"],
        steps_of=tuple(tuple(t for t, step in enumerate(axes["step"]) if step in own) for own in own_steps),
        layers=axes["layer"],
        columns=columns,
        ranks=_with_mean(means, axes["seed"], seeds_of),
        stderrs=stderrs,
        network={
            name: _with_mean(
                _filled(group, "mean", ("variant", "seed", "step"), axes), axes["seed"], seeds_of
            )
            for name, group in network.groupby("reading")
        },
        lists={name: _lists(group, axes) for name, group in lists.groupby("reading")},
    )


def _ranks(rows: DataFrame, axes: Axes) -> tuple[tuple, ndarray, ndarray]:
    """Return the columns (reading and threshold), and the means and standard errors, (V, S, R, L, T) each."""
    pairs = rows[["reading", "eps"]].drop_duplicates().itertuples(index=False)
    named = [(reading, None if math.isnan(eps) else float(eps)) for reading, eps in pairs]
    columns = tuple(sorted(named, key=lambda pair: (READINGS.index(pair[0]), pair[1] or 0.0)))
    parts = []
    for reading, eps in columns:
        chosen = rows["reading"].eq(reading) & (rows["eps"].isna() if eps is None else rows["eps"].eq(eps))
        names = ("variant", "seed", "layer", "step")
        parts.append([_filled(rows[chosen], value, names, axes) for value in ("mean", "stderr")])
    means, stderrs = (np.stack(part, axis=2) for part in zip(*parts, strict=True))
    return columns, means, stderrs


def _filled(rows: DataFrame, value: str, names: Sequence[str], axes: Axes) -> Float64[ndarray, "..."]:
    """Return the column ``value`` as an array along these axes; NaN where there is no row, or no finite number."""
    array = np.full([len(axes[name]) for name in names], np.nan)
    numbers = rows[value].to_numpy(float)
    array[_where(rows, names, axes)] = np.where(np.isfinite(numbers), numbers, np.nan)
    return array


def _where(rows: DataFrame, names: Sequence[str], axes: Axes) -> tuple[list[int], ...]:
    """Return the rows' places along these axes."""
    place = {name: {value: i for i, value in enumerate(axes[name])} for name in names}
    return tuple([place[name][value] for value in rows[name]] for name in names)


def _with_mean(
    values: Float64[ndarray, "V S *rest"], seeds: tuple[int, ...], members: Sequence[Sequence[int]]
) -> Float64[ndarray, "V C *rest"]:
    """Put the mean over each variant's ``members`` before its seeds; NaN where one of them is."""
    means = np.full_like(values[:, :1], np.nan)
    for v, chosen in enumerate(members):
        if chosen:
            means[v, 0] = values[v, [seeds.index(seed) for seed in chosen]].mean(axis=0)
    return np.concatenate([means, values], axis=1)


def _lists(rows: DataFrame, axes: Axes) -> Lists:
    """Parse the column ``values`` of one kind of rows, and put the layers' numbers side by side."""
    parsed = [_parsed(row) for row in rows.itertuples()]
    layers = [l for l, name in enumerate(axes["layer"]) if (rows["layer"] == name).any()]
    parts, places = [], []
    for l in layers:
        (chosen,) = np.nonzero((rows["layer"] == axes["layer"][l]).to_numpy())
        first = parsed[chosen[0]][0]
        for i in chosen:
            if parsed[i][0] != first:
                raise ValueError(
                    f"table: {_named(rows.iloc[i])} has other places than the first such row of "
                    f"{axes['layer'][l]}; they must be the same at all steps"
                )
        part = np.full((*(len(axes[name]) for name in ("variant", "seed", "step")), len(first)), np.nan)
        part[_where(rows.iloc[chosen], ("variant", "seed", "step"), axes)] = [parsed[i][1] for i in chosen]
        parts.append(part)
        places.append(first)
    values = np.concatenate(parts, axis=-1)
    incomplete = np.argwhere(np.isnan(values).any(-1) & ~np.isnan(values).all(-1))
    if incomplete.size:
        v, s, t = incomplete[0]
        raise ValueError(
            f"table: {rows['reading'].iloc[0]} at {axes['variant'][v]}, seed {axes['seed'][s]}, step "
            f"{axes['step'][t]} is there for some layers; must be for {', '.join(axes['layer'][l] for l in layers)}"
        )
    stored = ~np.isnan(values[..., 0]).all(axis=2)
    seeds = tuple(tuple(axes["seed"][s] for s in np.flatnonzero(row)) for row in stored)
    return Lists(tuple(layers), tuple(places), _with_mean(values, axes["seed"], seeds), seeds)


def _parsed(row: Any) -> tuple[tuple[int, ...], list[float]]:
    """Return the places, from 1, and the numbers of one row's ``values``."""
    text = getattr(row, "values", None)
    spectrum = row.reading != SENSITIVITY
    try:
        items = [item.split(":") for item in text.split()]
        places = tuple(int(item[0]) for item in items) if spectrum else tuple(range(1, len(items) + 1))
        numbers = [float(item[1] if spectrum else item[0]) for item in items]
    except (AttributeError, ValueError, IndexError):
        places, numbers = (), []
    rising = all(a < b for a, b in pairwise(places))
    if not places or places[0] != 1 or not rising or not all(0 <= x < math.inf for x in numbers):
        rule = "pairs 'i:sigma' with i = 1 first and rising" if spectrum else "numbers"
        shown = text if not isinstance(text, str) or len(text) <= 40 else f"{text[:40]}..."
        raise ValueError(
            f"table: {_named(row)} has values={shown!r}; must be {rule}, separated by spaces, finite, none negative"
        )
    return places, numbers


def _variants(column: Any, by: str) -> tuple[float | str, ...]:
    """Return the variants: numbers in rising order, or strings as they come."""
    values = column.unique().tolist()
    if all(isinstance(value, str) for value in values):
        return tuple(values)
    numbers = [v for v in values if isinstance(v, Real) and not isinstance(v, bool) and math.isfinite(v)]
    if len(numbers) < len(values):
        raise ValueError(f"table: its column {by!r} holds {values}; must be strings, or finite numbers")
    return tuple(sorted(float(value) for value in values))


def _whole_numbers(name: str, column: Any) -> tuple[int, ...]:
    values = column.unique().tolist()
    for value in values:
        whole = isinstance(value, Integral) or (isinstance(value, Real) and float(value).is_integer())
        if not whole or isinstance(value, bool) or value < 0:
            raise ValueError(f"table: its column {name!r} holds {value!r}; must be integers, none negative")
    return tuple(sorted(int(value) for value in values))


def _layers(column: Any) -> tuple[str, ...]:
    """Return the layers L1, L2, ... in their order, whatever that of the rows is; others as they come."""
    names = [name for name in column.unique() if name != "network"]
    if all(re.fullmatch(r"L\d+", name) for name in names):
        names.sort(key=lambda name: int(name[1:]))
    return tuple(names)


def _named(row: Any) -> str:
    return (
        f"the row {row.reading} of variant {row.variant}, seed {row.seed}, step {row.step}, layer {row.layer}"
    )


def _check_columns(table: DataFrame, by: str) -> None:
    if not isinstance(table, DataFrame):
        raise TypeError(f"table: must be a pandas.DataFrame, not {type(table).__name__}")
    if not isinstance(by, str) or by in (*COLUMNS, "values"):
        raise ValueError(f"by={by!r}: must be the name of the column that tells the variants apart")
    missing = [name for name in (by, *COLUMNS) if name not in table.columns]
    if missing:
        raise ValueError(f"table: lacks the columns {missing}; must have {[by, *COLUMNS]}")
    for name in ("eps", "mean", "stderr"):
        if not np.issubdtype(table[name].to_numpy().dtype, np.number):
            raise TypeError(f"table: its column {name!r} is {table[name].dtype}; must be numbers")


def _check_ranks(rows: DataFrame) -> None:
    """Raise for a threshold that is missing or not above 0, or a rank or standard error below 0."""
    bad = rows["reading"].isin(THRESHOLDED) & ~((rows["eps"] > 0) & np.isfinite(rows["eps"]))
    if bad.any():
        row = rows[bad].iloc[0]
        raise ValueError(f"table: {_named(row)} has eps={row.eps}; must be finite and above 0")
    for name in ("mean", "stderr"):
        if (rows[name] < 0).any():
            row = rows[rows[name] < 0].iloc[0]
            raise ValueError(f"table: {_named(row)} has {name}={row[name]}; must not be negative")


def _check_once(rows: DataFrame, by: str) -> None:
    """Raise where two rows say the same thing twice: a second factor that was swept and not chosen."""
    keys = ["variant", "seed", "step", "layer", "reading", "eps"]
    twice = rows[rows.duplicated(keys, keep=False)]
    if len(twice):
        row = twice.iloc[0]
        raise ValueError(
            f"table: {_named(row)}, eps {row.eps} is there more than once; choose one value of every column "
            f"but {by!r} first"
        )
