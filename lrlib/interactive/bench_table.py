"""The table of EstimatorBench: checked, put in order, and summarised over seeds."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float64
from numpy import ndarray
from pandas import DataFrame, Series

from lrlib import _checks

KINDS = ("estimate", "lower bound", "upper bound")
COLUMNS = ("seed", "case", "n", "estimator", "value", "stderr", "kind", "cap", "saturated", "truth")
MAY_LACK = ("stderr", "cap")  # None or NaN where an estimator has none
MOST = {"case": 40, "estimator": 10, "n": 12, "seed": 50}  # ten marks tell ten estimators apart
# How far from the truth an estimate may lie for the value axis to reach to it, in units of the truth or of LEAST_UNIT
# nats, whichever is more. What lies farther out would press everything else together: it is shown at the edge.
BELOW, ABOVE, LEAST_UNIT = 1.0, 1.5, 0.25


@dataclass(frozen=True)
class Bench:
    """Estimates of mutual information in nats, and the truth.

    Attributes:
        cases, estimators: (C,) and (E,) names, in the order in which the table has them.
        sizes, seeds: (N,) and (S,) increasing.
        truth: (C,) mutual information.
        rows: the table's columns, one row an estimate.
        summary: one row for each case, size and estimator that the table has: ``case``, ``n``, ``estimator``,
            ``kind``, ``truth``, ``mean``, ``bias`` (mean - truth), ``spread`` (standard deviation over seeds,
            NaN for one seed), ``stderr`` (mean of those that were reported, NaN if none was), ``saturated``
            (how many), ``seeds`` (of how many), ``low``, ``high`` and ``cap`` (NaN where there is none).
        pairs: by case and estimator, its ``kind``, and the ends ``low`` and ``high`` of its reach.
    """

    cases: tuple[str, ...]
    estimators: tuple[str, ...]
    sizes: tuple[int, ...]
    seeds: tuple[int, ...]
    truth: Float64[ndarray, " C"]
    rows: DataFrame
    summary: DataFrame
    pairs: DataFrame

    def placed(self, rows: DataFrame, name: str) -> Float64[ndarray, "C E N *S"]:
        """Return a column as an array (C, E, N), or (C, E, N, S) if the rows have seeds; NaN where there is no row."""
        axes = {"case": self.cases, "estimator": self.estimators, "n": self.sizes, "seed": self.seeds}
        used = [axis for axis in axes if axis in rows.columns]
        array = np.full([len(axes[axis]) for axis in used], np.nan)
        places = tuple(pd.Index(axes[axis]).get_indexer(rows[axis]) for axis in used)
        array[places] = rows[name].to_numpy(dtype=float)
        return array

    def kind(self, case: str, estimator: str) -> str | None:
        """Return what the estimator gives in this case; None where it does not apply."""
        return self.pairs["kind"].get((case, estimator))

    def reach(self, case: str, estimator: str) -> tuple[float, float] | None:
        """Return the lowest and highest estimate, over sizes and seeds, of those that are not far from the truth.

        Both are the truth where all are far, and there is no such pair where the estimator does not apply.
        """
        if (case, estimator) not in self.pairs.index:
            return None
        low, high = self.pairs.loc[(case, estimator), ["low", "high"]]
        return float(low), float(high)


def read_bench(table: DataFrame) -> Bench:
    """Return what ``table`` holds; raise ``TypeError`` or ``ValueError`` with the column and the rule it breaks."""
    if not isinstance(table, DataFrame):
        raise TypeError(f"table: must be a pandas.DataFrame, not {type(table).__name__}")
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise ValueError(f"table: has no column {', '.join(missing)}; must have {', '.join(COLUMNS)}")
    if table.empty:
        raise ValueError("table: has no rows; must have one for each estimate")
    names = {name: _names(name, table[name]) for name in ("case", "estimator", "kind")}
    numbers = {name: _numbers(name, table[name]) for name in COLUMNS if name not in names}
    rows = DataFrame({name: (names | numbers)[name].to_numpy() for name in COLUMNS})
    for name, most in MOST.items():
        if rows[name].nunique() > most:
            raise ValueError(f"table: {name} has {rows[name].nunique()} values; must be at most {most}")
    twice = rows[rows.duplicated(["seed", "case", "n", "estimator"])]
    if len(twice):
        first = twice.iloc[0]
        raise ValueError(
            f"table: {first['estimator']!r} of case {first['case']!r}, n {first['n']:g}, seed {first['seed']:g} "
            f"is there more than once; must be there once"
        )
    _check_one("truth", rows, ["case"])
    _check_one("kind", rows, ["case", "estimator"])
    rows = rows.astype({"seed": int, "n": int})
    cases = tuple(rows["case"].unique())
    truth = rows.drop_duplicates("case").set_index("case")["truth"]
    return Bench(
        cases=cases,
        estimators=tuple(rows["estimator"].unique()),
        sizes=tuple(sorted(rows["n"].unique().tolist())),
        seeds=tuple(sorted(rows["seed"].unique().tolist())),
        truth=truth.loc[list(cases)].to_numpy(dtype=float),
        rows=rows,
        summary=_summary(rows),
        pairs=_pairs(rows),
    )


def _summary(rows: DataFrame) -> DataFrame:
    found = rows.groupby(["case", "n", "estimator"], sort=False, as_index=False).agg(
        kind=("kind", "first"),
        truth=("truth", "first"),
        mean=("value", "mean"),
        spread=("value", "std"),
        stderr=("stderr", "mean"),
        saturated=("saturated", "sum"),
        seeds=("value", "size"),
        low=("value", "min"),
        high=("value", "max"),
        cap=("cap", "mean"),
    )
    found.insert(6, "bias", found["mean"] - found["truth"])
    return found.astype({"saturated": int})


def _pairs(rows: DataFrame) -> DataFrame:
    truth = rows["truth"]
    unit = truth.clip(lower=LEAST_UNIT)
    near = rows["value"].between(truth - BELOW * unit, truth + ABOVE * unit)
    groups = rows.assign(inside=rows["value"].where(near, truth)).groupby(["case", "estimator"], sort=False)
    return groups.agg(kind=("kind", "first"), low=("inside", "min"), high=("inside", "max"))


def _names(column: str, values: Series) -> Series:
    for value in values.unique():
        if not isinstance(value, str) or not value.strip():
            raise TypeError(f"table: {column} is {value!r} in a row; must be a string that is not empty")
        if column == "kind":
            _checks.one_of("table: kind", value, KINDS)
    return values.astype(object)


def _numbers(column: str, values: Series) -> Series:
    try:
        numbers = pd.to_numeric(values).astype(float)  # None becomes NaN
    except (TypeError, ValueError) as error:
        raise TypeError(f"table: {column} is of dtype {values.dtype}; must be numbers") from error
    allowed, rule = _rule(column, numbers)
    if column in MAY_LACK:
        allowed |= numbers.isna()
    if not allowed.all():
        raise ValueError(f"table: {column} is {numbers[~allowed].iloc[0]:g} in a row; must be {rule}")
    return numbers


def _rule(column: str, numbers: Series) -> tuple[Any, str]:
    """Return which numbers a column may hold, and that in words."""
    if column in ("seed", "n"):
        least = 1 if column == "n" else 0
        return (numbers >= least) & (numbers % 1 == 0), f"whole and at least {least}"
    if column == "saturated":
        return numbers.isin([0, 1]), "0 or 1"
    if column in ("stderr", "truth"):
        return np.isfinite(numbers) & (numbers >= 0), "finite and at least 0"
    return Series(np.isfinite(numbers)), "finite"


def _check_one(column: str, rows: DataFrame, keys: list[str]) -> None:
    """Raise where a column has two values for one choice of ``keys``."""
    pairs = rows[[*keys, column]].drop_duplicates()
    several = pairs[pairs.duplicated(keys, keep=False)]
    if len(several):
        first = several.iloc[0]
        mine = several.loc[(several[keys] == first[keys]).all(axis=1), column].tolist()
        where = ", ".join(f"{key} {first[key]!r}" for key in keys)
        raise ValueError(f"table: {column} is {mine} in rows of {where}; must be the same in all of them")
