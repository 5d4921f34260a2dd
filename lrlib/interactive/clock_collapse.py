"""Rank curves of many runs against steps, eta * lambda * t or the corrected clock: do they fall on each other?"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import traitlets
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from numpy import ndarray
from pandas import DataFrame

from lrlib import _checks, plots
from lrlib.interactive.base import HERE, Figure, packed
from lrlib.interactive.clock_curves import SHARES, Curve, read_curves

TIMES = ("steps", "clock", "corrected")
AXES = {  # as the still writes them
    "steps": "training step $t$",
    "clock": r"$\eta\lambda t$",
    "corrected": r"corrected $\eta\lambda t$",
}
# six patterns and ten colours: twelve groups differ in both from those of nearly the same colour
DASHES = (*plots.DASHES, (9, 2.5), (5, 1.5, 1, 1.5, 1, 1.5))
CODES = 50_000  # ranks are sent in so many steps of the highest one: uint16
LONG_NAME = 24  # letters of a group name, above which three do not fit beside one another below the still
# Measured in a font as narrow as Times and in a wide one, DejaVu Sans: pixels of a letter of a group's name, and of
# all that is neither switches nor table, in a wide page and on a phone.
FONTS = ((5.5, 645, 711), (7.15, 684, 773))
NAME_ROOM = 153  # pixels that a phone's table has for a line of a group's name
LEAD = 0.5  # decades shown before the first step after 0, so that the rank at step 0 is seen
ROOM_BEFORE_END, ROOM_BEFORE_HALF, ROOM_AFTER_HALF = 1.0, 0.3, 0.5  # decades of a curve in view, at least


@dataclass(frozen=True)
class HalfTimeSpread:
    """How far the half-rank times of some curves lie apart; all times are NaN where no curve reaches half.

    Attributes:
        curves: how many curves there are.
        reached: how many of them fall below half of their highest rank.
        lowest: the lowest of their half-rank times, in steps or on the clock.
        median: their median.
        highest: the highest of them.
        factor: highest / lowest.
    """

    curves: int
    reached: int
    lowest: float
    median: float
    highest: float
    factor: float


class ClockCollapse(Figure):
    """Rank curves of many runs on one of three time axes, with the time at which each falls to half.

    The axes are logarithmic: ``"steps"`` is t, ``"clock"`` is eta * lambda * t, and ``"corrected"`` is
    speed * eta * lambda * t. All three show as many decades, so that a distance is the same factor on each, with
    the median half-rank time of all curves at the same place: a change of the axis moves curves sideways, together
    or apart, without changing their shapes. The axis of steps shows all of them; on the others, the long flat end
    of a curve that has fallen may lie outside. Where a curve has a step 0, the line from it to the next step is
    straight in time, not in log time.

    Live, these go both ways: ``time``, ``shown`` (the groups that are switched on, in the table's order) and
    ``highlighted`` (group and name of one curve, or None).

    Args:
        curves: one row a curve and step, a curve's steps in increasing order. Columns: ``name``, unique within
            its ``group`` (the factor that is varied); ``lr``, ``weight_decay`` and ``speed``, above 0, the same
            in all rows of a curve; ``step``, whole and >= 0; ``mean``, ``low`` and ``high``, ranks >= 0: the
            mean over seeds, the lowest and the highest of them. ``speed`` is what eta * lambda * t is multiplied
            with: 1 / (1 - momentum) for coupled weight decay under heavy-ball momentum, 1 otherwise. At most 60
            curves in at most 12 groups.
        time: the first time axis.
        most: top of the rank axis; a little above the highest rank if left out.
        rank_label: what the rank is of, such as ``"local rank of layer 2"``.
        label, title: the figure's HTML id and the line above it.

    Raises:
        TypeError, ValueError: for an argument outside these rules; the message names it.
    """

    javascript = HERE / "clock_collapse.js"
    still_colours = 128  # with 64, the colours of twelve groups came out as one another's
    more_javascript = (HERE / "clock_plot.js",)
    lazy = True
    time = traitlets.Unicode().tag(sync=True)
    shown = traitlets.List(traitlets.Unicode()).tag(sync=True)
    highlighted = traitlets.Tuple(traitlets.Unicode(), traitlets.Unicode(), allow_none=True).tag(sync=True)
    facts = traitlets.Dict().tag(sync=True)  # what the picture needs besides its numbers
    # Packed, curve after curve: steps, uint32, and mean, low and high in codes, uint16, each all points of a curve
    steps = traitlets.Bytes().tag(sync=True)
    ranks = traitlets.Bytes().tag(sync=True)

    def __init__(
        self,
        curves: DataFrame,
        *,
        time: str = "steps",
        most: float | None = None,
        rank_label: str = "local rank of layer 2",
        label: str = "clock-collapse",
        title: str = "Rank over training, and the clock of weight decay",
    ) -> None:
        self._curves = read_curves(curves)
        self.groups = tuple(dict.fromkeys(curve.group for curve in self._curves))
        if most is not None:
            _checks.number("most", most, exclusive=True)
        if not isinstance(rank_label, str) or not rank_label.strip():
            raise ValueError(f"rank_label={rank_label!r}: must be a string that is not empty")
        self._highest = max(float(curve.ranks.max()) for curve in self._curves) or 1.0
        self.most = 1.05 * self._highest if most is None else float(most)
        self.rank_label = rank_label
        super().__init__(
            label=label,
            title=title,
            time=time,
            shown=list(self.groups),
            highlighted=None,
            facts=self._facts(),
            steps=packed(np.concatenate([curve.steps for curve in self._curves]), "<u4"),
            ranks=packed(np.concatenate([self._codes(curve).ravel() for curve in self._curves]), "<u2"),
        )

    @property
    def half_times(self) -> DataFrame:
        """A row for each curve, with its name, its group, and the time on each axis at which it falls to half.

        The half-rank time is the first time after a curve's highest mean at which the mean falls below half of
        that, by linear interpolation in log time between steps, and in time before the first step above 0. It
        is NaN for a curve that never does.
        """
        rows = [
            {"name": c.name, "group": c.group, **{time: c.half * c.per_step(time) for time in TIMES}}
            for c in self._curves
        ]
        return DataFrame(rows)

    @property
    def spread(self) -> HalfTimeSpread:
        """The spread of the half-rank times of the groups that are shown, on the axis that is chosen."""
        return _spread(self._shown_curves(), self.time)

    @traitlets.validate("time")
    def _known_time(self, proposal: dict) -> str:
        _checks.one_of("time", proposal["value"], TIMES)
        return proposal["value"]

    @traitlets.validate("shown")
    def _known_groups(self, proposal: dict) -> list[str]:
        for i, group in enumerate(proposal["value"]):
            _checks.one_of(f"shown[{i}]", group, self.groups)
        return [group for group in self.groups if group in proposal["value"]]

    @traitlets.validate("highlighted")
    def _known_curve(self, proposal: dict) -> tuple[str, str] | None:
        chosen = proposal["value"]
        if chosen is not None:
            _checks.one_of("highlighted[0]", chosen[0], self.groups)
            names = [curve.name for curve in self._curves if curve.group == chosen[0]]
            _checks.one_of("highlighted[1]", chosen[1], names)
        return chosen

    def alt_text(self) -> str:
        """Return what is shown, without a setting that the reader can change."""
        return (
            f"Clock collapse: {self.rank_label} of {len(self._curves)} runs that differ in "
            f"{', '.join(self.groups)}, against the training step, against learning rate times weight decay times "
            f"step, and against that clock corrected for the optimiser, with the time at which each falls to half. "
            f"Time axis and groups can be chosen, and a curve highlighted."
        )

    def page_heights(self) -> tuple[int, int]:
        """Return about how many pixels the figure is high in a page, wide and on a phone; a test measures it.

        What wraps depends on the reader's font, which Python does not know: this is the middle of two fonts.
        """
        heights = [self._heights_in(*font) for font in FONTS]
        wide, narrow = (round(sum(pair) / len(pair)) for pair in zip(*heights, strict=True))
        return wide, narrow

    def _heights_in(self, letter: float, wide: int, narrow: int) -> tuple[int, int]:
        """Return both heights in a font of FONTS: switches wrap, and in a phone's table long names do."""
        table = 52 + 30 * len(self.groups)
        wide_rows, narrow_rows = (_chip_rows(self.groups, width, letter) for width in (690, 360))
        more_lines = sum(int(letter * len(group) / NAME_ROOM) for group in self.groups)
        return wide + 40 * wide_rows + table, narrow + 50 * narrow_rows + table + 20 * more_lines

    def draw_still(self, canvas: Canvas) -> None:
        """Draw the curves that are shown on the three axes, side by side, with the spread above each."""
        rows = -(-len(self.groups) // 3)
        canvas.set_size_inches(7.2, 3.1 + 0.22 * rows)
        panels = canvas.subplots(1, 3, sharey=True)
        for ax, time in zip(panels, TIMES, strict=True):
            self._draw_panel(ax, time)
        panels[0].set_ylabel(self.rank_label)
        lines = [
            Line2D([], [], linewidth=2, label=group, **_group_style(i))
            for i, group in enumerate(self.groups)
            if group in self.shown
        ]
        columns = 2 if max(map(len, self.shown), default=0) > LONG_NAME else 3  # a longer one would be cut
        canvas.legend(handles=lines, loc="outside lower center", ncols=columns, frameon=False, handlelength=4)

    def _draw_panel(self, ax: Axes, time: str) -> None:
        found = _spread(self._shown_curves(), time)
        if found.reached:
            ax.axvspan(found.lowest, found.highest, color="black", alpha=0.09, linewidth=0)
            ax.axvline(found.median, color="black", linewidth=0.8, linestyle=":")
        dimmed = self.highlighted in [(curve.group, curve.name) for curve in self._shown_curves()]
        for curve in self._shown_curves():
            chosen = (curve.group, curve.name) == self.highlighted
            style = _group_style(self.groups.index(curve.group))
            steps, (mean, low, high) = curve.opened()
            times, strength = steps * curve.per_step(time), 1.0 if chosen or not dimmed else 0.35
            if chosen:
                ax.fill_between(times, low, high, color=style["color"], alpha=0.25, linewidth=0)
            ax.plot(times, mean, linewidth=2.4 if chosen else 1.1, alpha=strength, zorder=2 + chosen, **style)
            half = (curve.half * curve.per_step(time), curve.ranks[0].max() / 2)
            ax.plot(*half, "o", color=style["color"], markersize=3, markeredgecolor="white", zorder=4)
        start, end = self._windows()[time]
        ax.set(xscale="log", xlim=(10**start, 10**end), ylim=(0, self.most), xlabel=AXES[time])
        reached = f"{found.reached} of {found.curves} fall to half"
        ax.set_title(f"{reached}\nspread: × {found.factor:.3g}" if found.reached else reached, fontsize=9)

    def _shown_curves(self) -> list[Curve]:
        return [curve for curve in self._curves if curve.group in self.shown]

    def _windows(self) -> dict[str, tuple[float, float]]:
        """Return log10 of the ends of each axis, so many decades before and after the median half-rank time."""
        first = min(np.log10(c.steps[c.steps > 0][0]) - LEAD * (c.steps[0] == 0) for c in self._curves)
        centres, before, after = {}, 0.5, 0.5  # a decade at least
        for time in TIMES:
            worth = [c.per_step(time) for c in self._curves]
            last = np.log10([c.steps[-1] * w for c, w in zip(self._curves, worth, strict=True)])
            half = np.log10([c.half * w for c, w in zip(self._curves, worth, strict=True)])
            late = np.where(np.isnan(half), last, half + ROOM_AFTER_HALF)
            early = np.fmin(last - ROOM_BEFORE_END, half - ROOM_BEFORE_HALF)
            if time == "steps":  # all of it
                late, early = last, np.append(early, first)
            middle = _spread(self._curves, time).median
            centre = centres[time] = float(last.max() if np.isnan(middle) else np.log10(middle))
            before, after = max(before, centre - early.min()), max(after, late.max() - centre)
        return {time: (float(centre - before), float(centre + after)) for time, centre in centres.items()}

    def _codes(self, curve: Curve) -> Float64[ndarray, "3 S"]:
        return np.rint(curve.ranks / self._highest * CODES)

    def _facts(self) -> dict[str, Any]:
        return {
            "groups": list(self.groups),
            "curves": [
                {
                    "name": c.name,
                    "group": c.group,
                    "lr": c.lr,
                    "decay": c.weight_decay,
                    "speed": c.speed,
                    "points": len(c.steps),
                    "half": None if np.isnan(c.half) else c.half,
                    "highest": float(c.ranks[0].max()),
                }
                for c in self._curves
            ],
            "windows": {time: list(window) for time, window in self._windows().items()},
            "shares": list(SHARES),
            "unit": self._highest / CODES,
            "most": self.most,
            "rankLabel": self.rank_label,
            "colours": list(plots.PALETTE),
            "dashes": [list(dashes) for dashes in DASHES],
        }


def _group_style(index: int) -> dict[str, Any]:
    """Return the line style of the group with this index, for ``Axes.plot``."""
    dashes = DASHES[index % len(DASHES)]
    return {"color": plots.PALETTE[index % len(plots.PALETTE)], **({"dashes": dashes} if dashes else {})}


def _spread(curves: list[Curve], time: str) -> HalfTimeSpread:
    times = np.array([c.half * c.per_step(time) for c in curves if not np.isnan(c.half)])
    if not len(times):
        return HalfTimeSpread(len(curves), 0, *[float("nan")] * 4)
    lowest, highest = float(times.min()), float(times.max())
    return HalfTimeSpread(len(curves), len(times), lowest, float(np.median(times)), highest, highest / lowest)


def _chip_rows(groups: list[str], width: float, letter: float) -> int:
    """Return about how many rows the groups' switches take in a page: pixels of the page, and of a letter."""
    rows, left = 1, width
    for group in groups:
        chip = 88 + letter * len(group)
        if chip > left and left < width:
            rows, left = rows + 1, width
        left -= chip
    return rows
