"""What InformationPlane's settings can be, and what it sends to the page: words, axes and packed numbers."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from lrlib.interactive.base import packed
from lrlib.interactive.information_rows import ESTIMATORS, LABEL, MEAN, Option, TaskTable
from lrlib.interactive.training_table import READINGS

# A setting stands behind those that decide which values it has.
SETTINGS = ("task", "variant", "seed", "estimator", "noise", "scale", "reading", "eps", "vertical", "step")
DIGITS = 3  # decimals of nats; ranks have two
OFFSET = 1_000_000  # numbers are sent in whole units from minus so many of them up
LARGEST = 2**30  # of such units: what is larger is sent as this
TITLES = {
    "kde": "KDE bounds",
    "logdet": "log-det bound",
    "binning": "binning",
    "ksg": "KSG",
    "exact": "no noise",
}
# What a point is, by its reading; of KDE, the lower end of its bar
KINDS = {"kde": "lower bound", "logdet": "upper bound", "exact": "entropy as stored"}
STORED = 1e-5  # tables are stored with six digits: this far off may be e^cap, as a share
MOST_NAMED = 20_000  # beyond, that is too far to tell which whole number it is
SMALLEST_LOSS = 1e-6  # a loss axis reaches down to this at most


def choices(task: TaskTable, name: str, settings: Mapping[str, Any]) -> list:
    """Return the values that a setting has in this task, given those before it; none where it does not matter."""
    options = [option for option in task.options if option.estimator == settings.get("estimator")]
    of_noise = [option for option in options if option.noise == settings.get("noise")]
    ranks = [eps for reading, eps in task.ranks if reading == settings.get("reading")]
    found: dict[str, Any] = {
        "variant": task.variants,
        "estimator": [option.estimator for option in task.options],
        "noise": [option.noise for option in options if option.noise],
        "scale": [option.scale for option in of_noise if option.noise],
        "reading": [reading for reading, _ in task.ranks],
        "eps": [eps for eps in ranks if eps is not None],
        "vertical": task.verticals,
    }
    if name in ("seed", "step"):
        v = task.variants.index(settings["variant"])
        seeds = task.seeds_of[v]
        found["seed"] = [MEAN, *seeds] if len(seeds) > 1 else seeds
        found["step"] = [task.steps[t] for t in task.steps_of[v]]
    return list(dict.fromkeys(found[name]))


def default(name: str, values: Sequence) -> Any:
    """Return what a setting is at first: the last variant, scale and step, and the first of others."""
    if not values:
        return {"noise": "", "vertical": ""}.get(name, 1.0)
    if name == "eps":
        return nearest(values, 0.1)
    return values[-1] if name in ("variant", "scale", "step") else values[0]


def nearest(values: Sequence[float], wanted: float, *, logarithmic: bool = True) -> float:
    """Return the one of ``values`` that is nearest to ``wanted``, by their ratio or by their difference."""
    place = math.log if logarithmic else float
    return min(values, key=lambda value: abs(place(value) - place(wanted)))


def settled(tasks: Sequence[TaskTable], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings that are stored: those wanted, or the nearest numbers, or else the default.

    information_data.js does the same in the page.
    """
    names = [task.name for task in tasks]
    task = tasks[names.index(wanted["task"])] if wanted.get("task") in names else tasks[0]
    found: dict[str, Any] = {"task": task.name}
    for name in SETTINGS[1:]:
        values, value = choices(task, name, found), wanted.get(name)
        if value in values or (not values and value is not None):
            found[name] = value
        elif values and value is not None and name in ("scale", "eps", "step"):
            found[name] = nearest(values, value, logarithmic=name != "step")
        else:
            found[name] = default(name, values)
    return found


def task_facts(task: TaskTable) -> dict[str, Any]:
    """Return what the page knows of a task besides its packed numbers."""
    return {
        "name": task.name,
        "variants": list(task.variants),
        "seeds": list(task.seeds),
        "seedsOf": [list(seeds) for seeds in task.seeds_of],
        "steps": list(task.steps),
        "stepsOf": [list(places) for places in task.steps_of],
        "layers": list(task.layers),
        "measured": list(task.measured),
        "columns": len(task.columns),
        "digits": [2 if reading in READINGS else DIGITS for reading, _, _ in task.columns],
        "options": [_option(task, option) for option in task.options],
        "ranks": [
            {
                "reading": reading,
                "eps": eps,
                "text": rank_text(reading, eps),
                "column": r,
                "axis": axis_ends(task, [r]),
            }
            for (reading, eps), r in task.ranks.items()
        ],
        "verticals": [
            {"name": name, "text": vertical_text(name), "column": r, **_vertical_axis(task, name, r)}
            for name, r in task.verticals.items()
        ],
        "network": {name: _nested(values) for name, values in task.network.items()},
    }


def packed_values(tasks: Sequence[TaskTable]) -> bytes:
    """Pack the numbers of all tasks, (V, C, R, L, T) each, task after task; ``information_data.js`` reads them.

    A code is 0 where nothing is stored; else 1 + 2 (k + OFFSET), and 1 more if a seed is saturated, for k in units
    of the last digit that is shown.
    """
    return packed(np.concatenate([_codes(task).ravel() for task in tasks]), "<u4")


def rank_text(reading: str, eps: float | None) -> str:
    """Return how a reading of local rank is written.

    >>> rank_text("relative", 0.1), rank_text("stable", None)
    ('relative, σ > 0.1 σ₁', 'stable rank')
    """
    if eps is None:
        return f"{reading} rank"
    return f"{reading}, σ > {eps:g}{' σ₁' if reading == 'relative' else ''}"


def vertical_text(name: str) -> str:
    """Return what the left plane's height is called.

    >>> vertical_text("test_loss"), vertical_text("binning label")
    ('test loss', 'binned I(T;Y)')
    """
    if not name.startswith(LABEL):
        return name.replace("_", " ")
    bins = name.removeprefix(LABEL).strip()
    return f"I(T;Y) in {bins} bins" if bins else "binned I(T;Y)"


def noise_text(option: Option) -> str:
    """Return what is done to T before its information is taken."""
    if option.noise:
        layer = option.noise == "layer"
        return f"{option.scale:g} × layer's deviation" if layer else f"deviation {option.scale:g}"
    return f"{option.scale:g} bins" if option.scale else ""


def cap_text(cap: float) -> str:
    """Return what a cap is called; ln N where it is the logarithm of a whole number, as far as six digits tell.

    >>> cap_text(7.6009), cap_text(0.6922)
    ('ln 2,000 = 7.601', '0.692')
    """
    count = math.exp(min(cap, 50))
    whole = 1.5 <= count <= MOST_NAMED and abs(count - round(count)) < STORED * count
    return f"ln {round(count):,} = {cap:.3f}" if whole else f"{cap:.3f}"


def _option(task: TaskTable, option: Option) -> dict[str, Any]:
    name = option.estimator.split()[0]
    return {
        "estimator": option.estimator,
        "title": TITLES[name] + (f", {noise_text(option)}" if not option.noise and option.scale else ""),
        "kind": KINDS.get(name, "estimate"),
        "upperKind": "upper bound",
        "noise": option.noise,
        "scale": option.scale,
        "text": noise_text(option),
        "reading": ESTIMATORS[name][0],
        "point": option.point,
        "upper": option.upper,
        "axis": axis_ends(task, columns_of(option)),
        "caps": _caps(task, option.point),
        "capsOf": _nested(task.caps[option.point]),
    }


def _caps(task: TaskTable, column: int) -> list[dict[str, Any]]:
    """Return the caps of a column, rising, with their names: one for those that differ by rounding only."""
    caps = {f"{cap:.9g}": float(cap) for cap in sorted(task.caps[column]) if math.isfinite(cap)}
    return [{"value": cap, "text": cap_text(cap)} for cap in caps.values()]


def columns_of(option: Option) -> list[int]:
    """Return the columns of an option's points and, if it has them, of the upper ends of their bars."""
    return [option.point] if option.upper is None else [option.point, option.upper]


def axis_ends(task: TaskTable, columns: list[int]) -> list[float]:
    """Return the ends of an axis: from 0 or less to the largest number; a cap that is not far above it is on it."""
    low, high = _span(task.values[:, :, columns])
    caps = task.caps[columns].ravel()
    near = [cap for cap in caps if math.isfinite(cap) and cap <= 2 * high]
    ends = [min(low, 0.0), max([high, 0.0, *near])]
    return ends if ends[0] < ends[1] else [0.0, 1.0]


def _vertical_axis(task: TaskTable, name: str, column: int | None) -> dict[str, Any]:
    if column is not None:
        return {"axis": axis_ends(task, [column]), "logarithmic": False, "caps": _caps(task, column)}
    values = task.network[name]
    low, high = _span(values)
    if name.endswith("accuracy"):
        return {
            "axis": [min(math.floor(10 * low) / 10, 0.9), max(high, 1.0)],
            "logarithmic": False,
            "caps": [],
        }
    least = np.nanmin(np.where(values > SMALLEST_LOSS, values, np.nan), initial=max(high, SMALLEST_LOSS))
    return {"axis": [float(least), max(high, 1.5 * float(least))], "logarithmic": True, "caps": []}


def _span(values: Float64[ndarray, "..."]) -> tuple[float, float]:
    """Return the smallest and the largest of the numbers that are there."""
    there = values[np.isfinite(values)]
    return (float(there.min()), float(there.max())) if there.size else (0.0, 1.0)


def _codes(task: TaskTable) -> ndarray:
    digits = np.array([2 if reading in READINGS else DIGITS for reading, _, _ in task.columns])
    units = 10.0 ** digits[None, None, :, None, None]
    there = ~np.isnan(task.values)
    places = np.clip(np.rint(np.nan_to_num(task.values) * units), -OFFSET, LARGEST).astype(np.int64)
    return np.where(there, 1 + 2 * (places + OFFSET) + (task.saturated > 0), 0)


def _nested(values: Float64[ndarray, "..."]) -> list:
    """Return an array as nested lists of numbers of four significant digits, None for NaN."""
    if values.ndim > 1:
        return [_nested(row) for row in values]
    return [None if math.isnan(v) else float(f"{v:.4g}") for v in values.tolist()]
