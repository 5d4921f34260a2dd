"""The still of InformationPlane: both planes, every layer's path and where it is at the step of now."""

from typing import Any

import numpy as np
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from numpy import ndarray

from lrlib import plots
from lrlib.interactive.bench_still import DASHES
from lrlib.interactive.information_page import (
    axis_ends,
    cap_text,
    columns_of,
    noise_text,
    rank_text,
    vertical_text,
)
from lrlib.interactive.information_rows import Option, TaskTable

TOGETHER = 0.03  # of the axes' width and height: points nearer than this share one name


def draw(
    canvas: Canvas,
    runs: TaskTable,
    option: Option,
    *,
    place: tuple[int, int, int],
    rank_column: int,
    settings: dict[str, Any],
    layers: list[str],
    names: list[str],
) -> None:
    """Draw both planes of an InformationPlane on an empty canvas.

    ``place`` is that of the variant, the choice of seed and the step; ``layers`` are drawn, and a layer's place among
    ``names`` decides its colour and its dashes.
    """
    canvas.set_size_inches(7.2, 4.2)
    v, c, t = place
    own = [l for l, name in enumerate(runs.layers) if name in layers]
    shown = [runs.layers[l] for l in own]
    values = runs.values[v, c]
    information, ranks = values[option.point], values[rank_column]
    upper = information if option.upper is None else values[option.upper]
    vertical = settings["vertical"]
    heights = _heights(runs, v, c, vertical)
    saturated = runs.saturated[v, c, option.point] > 0
    left, right = canvas.subplots(1, 2)
    for l in own:
        path = {
            "style": _style(names.index(runs.layers[l])),
            "now": t,
            "open_points": saturated[l],
            "name": runs.layers[l],
        }
        bar = {"color": path["style"]["color"], "linewidth": 4, "alpha": 0.5}
        _path(left, information[l], heights[l], **path)
        left.hlines(heights[l, t], information[l, t], upper[l, t], **bar)
        _path(right, ranks[l], information[l], **path)
        right.vlines(ranks[l, t], information[l, t], upper[l, t], **bar)
    top = axis_ends(runs, columns_of(option))[1]
    _caps(left, right, {cap for cap in runs.caps[option.point, own] if cap <= top})
    if vertical.endswith("loss") and (heights[own] > 0).any():
        left.set_yscale("log")
    _name(left, shown, information[own, t], heights[own, t])
    _name(right, shown, ranks[own, t], information[own, t])
    noise = f", noise {noise_text(option)}" if option.noise else ""
    title = f"{settings['estimator']}{noise}"
    left.set(xlabel="I(X;T) (nats)", ylabel=vertical_text(vertical), title=title)
    eps = settings["eps"] if (settings["reading"], settings["eps"]) in runs.ranks else None
    title = f"step {settings['step']}"
    right.set(xlabel=rank_text(settings["reading"], eps), ylabel="I(X;T) (nats)", title=title)
    which = f"seed {settings['seed']}" if c else "mean over seeds"
    canvas.suptitle(f"{settings['task']}, {settings['variant']}, {which}", fontsize=10)


def _style(index: int) -> dict[str, Any]:
    dashes = DASHES[index % len(DASHES)]
    return {"color": plots.PALETTE[index % len(plots.PALETTE)], **({"dashes": dashes} if dashes else {})}


def _caps(left: Axes, right: Axes, caps: set[float]) -> None:
    """Draw the caps of I(X;T) as dashed lines, and their names beyond those of the left plane, where no path is."""
    for cap in caps:
        left.axvline(cap, color="black", linewidth=1, linestyle="--")
        right.axhline(cap, color="black", linewidth=1, linestyle="--")
        at = {"xy": (cap, 0.02), "xycoords": ("data", "axes fraction")}
        left.annotate(f"cap {cap_text(cap)}", **at, rotation=90, ha="left", fontsize=8)


def _heights(runs: TaskTable, v: int, c: int, vertical: str) -> Float64[ndarray, "L T"]:
    """Return the left plane's height of every layer: a number of the network is the same for all of them."""
    shape = (len(runs.layers), len(runs.steps))
    if not vertical:
        return np.full(shape, np.nan)
    column = runs.verticals[vertical]
    return (
        np.broadcast_to(runs.network[vertical][v, c], shape) if column is None else runs.values[v, c, column]
    )


def _path(
    ax: Axes,
    x: Float64[ndarray, " T"],
    y: Float64[ndarray, " T"],
    *,
    style: dict,
    now: int,
    open_points: Float64[ndarray, " T"],
    name: str,
) -> None:
    """Draw one layer's path; its point of now has a name, and is open if it is saturated."""
    there = np.isfinite(x) & np.isfinite(y)
    ax.plot(x[there], y[there], linewidth=1.5, marker=".", markersize=3, label=name, **style)
    if there[now]:
        face = "white" if open_points[now] else style["color"]
        ax.plot(x[now], y[now], "o", color=style["color"], markerfacecolor=face, markersize=7)


def _name(ax: Axes, names: list[str], x: Float64[ndarray, " n"], y: Float64[ndarray, " n"]) -> None:
    """Write names beside points, one for those that lie together."""
    ax.get_xlim(), ax.get_ylim()  # matplotlib settles the axes' ends only when asked
    pixels = ax.transData.transform(np.stack([x, y], axis=1))
    groups: list[tuple[ndarray, tuple[float, float], list[str]]] = []
    for name, place, point in zip(
        names, ax.transAxes.inverted().transform(pixels), zip(x, y, strict=True), strict=True
    ):
        if not np.isfinite(place).all():
            continue
        near = [group for at, _, group in groups if np.abs(at - place).max() < TOGETHER]
        if near:
            near[0].append(name)
        else:
            groups.append((place, point, [name]))
    for _, point, group in groups:
        ax.annotate(", ".join(group), point, xytext=(6, 4), textcoords="offset points", fontsize=9)
