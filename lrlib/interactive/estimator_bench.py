"""Estimators of mutual information against known truth: choose a case, a number of samples and estimators."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import traitlets
from jaxtyping import Float64
from matplotlib.figure import Figure as Canvas
from numpy import ndarray
from pandas import DataFrame

from lrlib import _checks
from lrlib.interactive import bench_still
from lrlib.interactive.base import HERE, Figure, packed
from lrlib.interactive.bench_table import read_bench

UNIT, FARTHEST = (
    1e-4,
    1e4,
)  # nats: single estimates go to the page in such steps, and so far from the truth at most
MOST_POINTS = 200  # of a case's scatter
FRAME = 255  # steps across the scatter
QUANTILES, BEYOND = (
    (0.02, 0.98),
    0.25,
)  # the scatter's frame: what lies between, and a share of that to both sides


class EstimatorBench(Figure):
    """Estimates of mutual information by many estimators, in cases of known truth, over numbers of samples.

    Shown are, for the chosen case, the mean over seeds against N with bars from the lowest to the highest seed,
    the truth and what an estimator can say at most; every seed at the chosen N; bias, spread and reported standard
    error in a table; and the bias of every estimator in every case at that N. A mark is open where an estimate was
    saturated. The value axis reaches to all estimates that lie no farther from the truth than 1 time the truth below it
    and 1.5 times above (0.25 nats stand in for a truth that is less): what lies outside is named below the plot.

    Live, these go both ways: ``case``, ``n`` and ``estimators`` (those that are switched on, in the table's order).

    Args:
        table: one row an estimate, in nats, such as the experiment "estimators" stores. Columns: ``seed``, ``case``,
            ``n`` (samples), ``estimator``, ``value``, ``stderr`` (what the estimator reports, or NaN), ``kind``
            ("estimate", "lower bound" or "upper bound"), ``cap`` (the most that it can say with n samples, or NaN),
            ``saturated`` (0 or 1) and ``truth``. Rows that do not apply are left out. At most 40 cases, 10
            estimators, 12 sizes and 50 seeds. Estimators whose names begin with the same word share a colour.
        titles: a sentence on each case, by its name; a case without one has its name alone.
        samples: points of a case, (m, 2) with m <= 200, to draw as a scatter: a coordinate of x and one of y.
        case: the first case; that of the first row if left out.
        n: the first number of samples; the middle one of those that there are if left out.
        estimators: names of those that are switched on at first; all if left out.
        label, title: the figure's HTML id and the line above it.

    Raises:
        TypeError, ValueError: for an argument outside these rules; the message names it.
    """

    javascript = HERE / "estimator_bench.js"
    more_javascript = tuple(HERE / name for name in ("picker.js", "bench_plots.js", "bench_tables.js"))
    still_colours = 128
    case = traitlets.Unicode().tag(sync=True)
    n = traitlets.Int().tag(sync=True)
    estimators = traitlets.List(traitlets.Unicode()).tag(sync=True)
    facts = traitlets.Dict().tag(sync=True)  # what the picture needs besides its packed numbers
    points = traitlets.Bytes().tag(sync=True)  # uint32 codes (C, E, N, S) of single estimates: see _codes
    summary = traitlets.Bytes().tag(
        sync=True
    )  # float32 bits (4, C, E, N): mean, spread, stderr, cap; NaN for none
    scatter = traitlets.Bytes().tag(
        sync=True
    )  # uint16 places in a frame, x and y of every point, case after case

    def __init__(
        self,
        table: DataFrame,
        *,
        titles: Mapping[str, str] | None = None,
        samples: Mapping[str, Any] | None = None,
        case: str | None = None,
        n: int | None = None,
        estimators: list[str] | None = None,
        label: str = "estimator-bench",
        title: str = "Estimators of mutual information against the truth",
    ) -> None:
        self.bench = bench = read_bench(table)
        self.titles = _read_titles(titles)
        clouds = {
            name: _framed(name, cloud)
            for name, cloud in _mapping("samples", samples).items()
            if name in bench.cases
        }
        start = {
            "case": bench.cases[0] if case is None else case,
            "n": bench.sizes[len(bench.sizes) // 2] if n is None else n,
            "estimators": list(bench.estimators if estimators is None else estimators),
        }
        placed = [clouds[name][0].ravel() for name in bench.cases if name in clouds]
        super().__init__(
            label=label,
            title=title,
            facts=self._facts({name: frame for name, (_, frame) in clouds.items()}),
            points=packed(self._codes(), "<u4"),
            summary=packed(self._floats().view("<u4"), "<u4"),
            scatter=packed(np.concatenate(placed) if placed else np.zeros(0), "<u2"),
            **start,
        )
        # what the page's Reset goes back to, as it was checked and put in order
        self.facts = self.facts | {"start": {name: getattr(self, name) for name in start}}

    @property
    def rows(self) -> DataFrame:
        """What is shown: a row for each estimator that is switched on and was run in this case at this N.

        Columns: ``estimator``, ``kind`` and ``truth``; ``mean`` over seeds, ``bias`` (mean - truth), ``spread``
        (standard deviation over seeds, NaN for one seed), ``stderr`` (mean of those that were reported, NaN if none
        was), ``saturated`` (how many) and ``seeds`` (of how many), ``low``, ``high`` and ``cap`` (NaN if none).
        """
        found = self.bench.summary
        found = found[found["case"].eq(self.case) & found["n"].eq(self.n)].set_index("estimator")
        shown = [name for name in self.estimators if name in found.index]
        return found.loc[shown].reset_index().drop(columns=["case", "n"])

    @traitlets.validate("case")
    def _known_case(self, proposal: dict) -> str:
        _checks.one_of("case", proposal["value"], self.bench.cases)
        return proposal["value"]

    @traitlets.validate("n")
    def _known_size(self, proposal: dict) -> int:
        _checks.one_of("n", proposal["value"], self.bench.sizes)
        return proposal["value"]

    @traitlets.validate("estimators")
    def _known_estimators(self, proposal: dict) -> list[str]:
        for i, name in enumerate(proposal["value"]):
            _checks.one_of(f"estimators[{i}]", name, self.bench.estimators)
        return [name for name in self.bench.estimators if name in proposal["value"]]

    def alt_text(self) -> str:
        """Return what is shown, without a number that an estimator decides or a setting that can be changed."""
        bench = self.bench
        sizes = f"N = {bench.sizes[0]:,}" + (f" to {bench.sizes[-1]:,}" if len(bench.sizes) > 1 else "")
        return (
            f"Estimator bench: mutual information by {', '.join(bench.estimators)}, against the truth, in "
            f"{len(bench.cases)} case{'s' * (len(bench.cases) > 1)}, for {sizes} samples and "
            f"{len(bench.seeds)} seed{'s' * (len(bench.seeds) > 1)}. Case, N and estimators can be chosen."
        )

    def draw_still(self, canvas: Canvas) -> None:
        """Draw the estimates against N, and every seed at the N of now."""
        shown = [name for name in self.estimators if self.bench.kind(self.case, name)]
        bench_still.draw(canvas, self.bench, case=self.case, n=self.n, estimators=shown)

    def _facts(self, frames: dict[str, dict]) -> dict[str, Any]:
        bench = self.bench
        reaches = {name: [bench.reach(name, e) for e in bench.estimators] for name in bench.cases}
        return {
            "cases": [
                {
                    "name": name,
                    "title": self.titles.get(name, ""),
                    "truth": float(truth),
                    "kinds": [bench.kind(name, e) for e in bench.estimators],
                    "reach": [reach and [round(end, 5) for end in reach] for reach in reaches[name]],
                    "scatter": frames.get(name),
                }
                for name, truth in zip(bench.cases, bench.truth, strict=True)
            ],
            "estimators": list(bench.estimators),
            "sizes": list(bench.sizes),
            "seeds": len(bench.seeds),
            "unit": UNIT,
            "farthest": FARTHEST,
            "frame": FRAME,
            "margin": bench_still.MARGIN,
            "leastSpan": bench_still.LEAST_SPAN,
            "colours": bench_still.colours(bench.estimators),
            "dashes": [list(dashes) for dashes in bench_still.DASHES],
        }

    def _codes(self) -> Float64[ndarray, "C E N S"]:
        """Return 0 where there is no estimate, else twice its place in steps of UNIT, from 1, plus 1 if saturated."""
        bench = self.bench
        away = bench.placed(bench.rows, "value") - bench.truth[:, None, None, None]
        places = 1 + np.rint((np.clip(away, -FARTHEST, FARTHEST) + FARTHEST) / UNIT)
        return np.where(np.isnan(away), 0, 2 * places + bench.placed(bench.rows, "saturated"))

    def _floats(self) -> ndarray:
        columns = [
            self.bench.placed(self.bench.summary, name) for name in ("mean", "spread", "stderr", "cap")
        ]
        largest = float(np.finfo("<f4").max)
        return np.clip(np.stack(columns), -largest, largest).astype("<f4")


def _mapping(argument: str, value: Any) -> dict[str, Any]:
    if value is not None and not isinstance(value, Mapping):
        raise TypeError(f"{argument}={value!r}: must be a dict from names of cases, or None")
    return dict(value or {})


def _read_titles(titles: Any) -> dict[str, str]:
    """Return the sentences by case; those of cases that the table lacks do no harm."""
    titles = _mapping("titles", titles)
    for name, text in titles.items():
        if not isinstance(text, str) or not text.strip():
            raise TypeError(f"titles[{name!r}]={text!r}: must be a string that is not empty")
    return titles


def _framed(name: str, cloud: Any) -> tuple[Float64[ndarray, "2 m"], dict[str, Any]]:
    """Return a case's points as places in the scatter's frame, and the frame: heavy tails must not decide it.

    It reaches a quarter of the middle 96 % beyond them to each side, or to the last point if that is nearer.
    Points outside are placed on its edge, and counted.
    """
    try:
        points = np.asarray(cloud, dtype=float)
    except (TypeError, ValueError) as error:
        raise TypeError(f"samples[{name!r}]: must be numbers, (m, 2)") from error
    if points.ndim != 2 or points.shape[1] != 2 or not 1 <= len(points) <= MOST_POINTS:
        raise ValueError(
            f"samples[{name!r}]: shape is {points.shape}; must be (m, 2) with 1 <= m <= {MOST_POINTS}"
        )
    if not np.isfinite(points).all():
        raise ValueError(f"samples[{name!r}]: {(~np.isfinite(points)).sum()} entries are NaN or infinite; all must be finite")  # fmt: skip
    low, high = np.quantile(points, QUANTILES, axis=0)
    low, high = low - BEYOND * (high - low), high + BEYOND * (high - low)
    low, high = np.maximum(low, points.min(axis=0)), np.minimum(high, points.max(axis=0))
    outside = int(((points < low) | (points > high)).any(axis=1).sum())
    width = np.where(high > low, high - low, 1.0)
    middle = np.where(high > low, 0.0, 0.5)
    places = np.rint(FRAME * np.clip((points - low) / width + middle, 0, 1))
    ends = {axis: [float(f"{end[i]:.4g}") for end in (low, high)] for i, axis in enumerate("xy")}
    return places.T, {**ends, "points": len(points), "outside": outside}
