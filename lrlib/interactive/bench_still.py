"""The still of EstimatorBench: estimates against N, and single seeds at the N of now."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import NullLocator

from lrlib import plots
from lrlib.interactive.bench_table import Bench

DASHES = (*plots.DASHES, (9, 2.5), (5, 1.5, 1, 1.5, 1, 1.5))
MARKS = ("o", "s", "^", "D", "v", "p", "*", "<", ">", "h")  # as bench_plots.js has them, in this order
TOO_PALE = "#fbafe4"  # of the palette: a line of it can hardly be seen on white
MARGIN = 0.06  # of the value axis, beyond the last estimate that it has room for
LEAST_SPAN = 0.05  # nats that the value axis shows at least


def colours(estimators: tuple[str, ...]) -> list[str]:
    """Return a colour for each estimator: those whose names begin with the same word share one.

    >>> ksg, also, kde = colours(("ksg 1", "ksg 2", "kde lower"))
    >>> (ksg == also, ksg == kde)
    (True, False)
    """
    families = list(dict.fromkeys(name.split()[0] for name in estimators))
    hues = [hue for hue in plots.PALETTE if hue != TOO_PALE]
    return [hues[families.index(name.split()[0]) % len(hues)] for name in estimators]


def value_range(bench: Bench, case: str, estimators: list[str]) -> tuple[float, float]:
    """Return the ends of the value axis: the truth, and what the estimators reach to, with a margin."""
    truth = float(bench.truth[bench.cases.index(case)])
    ends = [truth, *(end for name in estimators for end in bench.reach(case, name) or ())]
    low, high = min(ends), max(ends)
    margin = max(MARGIN * (high - low), (LEAST_SPAN - (high - low)) / 2)
    return low - margin, high + margin


def draw(canvas: Canvas, bench: Bench, *, case: str, n: int, estimators: list[str]) -> None:
    """Draw both panels on an empty canvas, with the legend below."""
    canvas.set_size_inches(7.2, 4.4)
    left, right = canvas.subplots(1, 2, width_ratios=(3, 2), sharey=True)
    left.set_ylim(*value_range(bench, case, estimators))
    for ax in (left, right):
        ax.axhline(float(bench.truth[bench.cases.index(case)]), color="black", linewidth=2.2, zorder=1)
    _draw_means(left, bench, case, estimators)
    left.axvline(n, color="black", linewidth=0.8, linestyle=":")
    left.set(xlabel="samples $N$", ylabel="mutual information (nats)", title=case)
    _draw_seeds(right, bench, case, n, estimators)
    right.set_title(f"every seed at $N$ = {n:,}")
    if left.lines:
        handles, names = left.get_legend_handles_labels()
        canvas.legend(handles, names, loc="outside lower center", ncols=4, frameon=False, handlelength=3.5)


def _draw_means(ax: Axes, bench: Bench, case: str, estimators: list[str]) -> None:
    of_case = bench.summary[bench.summary["case"].eq(case)]
    capped = of_case[of_case["estimator"].isin(estimators) & of_case["cap"].notna()]
    for _, rows in capped.groupby("estimator", sort=False):
        caps = rows.sort_values("n")
        ax.plot(caps["n"], caps["cap"], color="black", linewidth=0.8, linestyle="--", alpha=0.6)
    for name in estimators:
        rows = of_case[of_case["estimator"].eq(name)].sort_values("n")
        if rows.empty:
            continue
        style = _style(bench, name)
        filled = np.where(rows["saturated"] > 0, "white", style["color"])
        ax.plot(
            rows["n"],
            rows["mean"],
            linewidth=1.3,
            marker=_mark(bench, name),
            markersize=5,
            label=name,
            **style,
        )
        ax.vlines(rows["n"], rows["low"], rows["high"], color=style["color"], linewidth=0.8, alpha=0.7)
        ax.scatter(rows["n"], rows["mean"], c=filled, edgecolors=style["color"], marker=_mark(bench, name), s=26, zorder=4)  # fmt: skip
        _draw_outside(ax, rows["n"], rows["mean"], style["color"])
    ax.set_xscale("log")
    ax.set_xticks(bench.sizes, [f"{size:,}" for size in bench.sizes])
    ax.xaxis.set_minor_locator(NullLocator())


def _draw_seeds(ax: Axes, bench: Bench, case: str, n: int, estimators: list[str]) -> None:
    for place, name in enumerate(estimators):
        chosen = bench.rows["case"].eq(case) & bench.rows["n"].eq(n) & bench.rows["estimator"].eq(name)
        rows = bench.rows[chosen]
        colour = _style(bench, name)["color"]
        filled = np.where(rows["saturated"] > 0, "white", colour)
        around = place + np.linspace(-0.25, 0.25, max(2, len(rows)))[: len(rows)]
        ax.scatter(
            around,
            rows["value"],
            c=filled,
            edgecolors=colour,
            marker=_mark(bench, name),
            s=16,
            linewidths=0.8,
        )
        _draw_outside(ax, around, rows["value"], colour)
    ax.set_xlim(-0.6, max(1, len(estimators)) - 0.4)
    ax.set_xticks([])


def _draw_outside(ax: Axes, x: Iterable[float], values: Iterable[float], colour: str) -> None:
    """Draw an arrow at the edge of the axis for each value that lies beyond it."""
    low, high = ax.get_ylim()
    for place, value in zip(x, values, strict=True):
        if not low <= value <= high:
            mark, edge = ("^", high) if value > high else ("v", low)
            ax.plot(
                place,
                edge,
                mark,
                color=colour,
                markeredgecolor="black",
                markersize=7,
                clip_on=False,
                zorder=5,
            )


def _style(bench: Bench, name: str) -> dict[str, Any]:
    index = bench.estimators.index(name)
    dashes = DASHES[index % len(DASHES)]
    return {"color": colours(bench.estimators)[index], **({"dashes": dashes} if dashes else {})}


def _mark(bench: Bench, name: str) -> str:
    return MARKS[bench.estimators.index(name)]
