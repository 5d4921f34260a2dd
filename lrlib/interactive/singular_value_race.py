"""Singular values of a deep linear network on the way to their targets, and how many pass a threshold."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import traitlets
from jaxtyping import Float64, Int64
from matplotlib.figure import Figure as Canvas
from numpy import ndarray

from lrlib import _checks, plots
from lrlib.interactive.base import Figure, nearest_place
from lrlib.rank import count_above
from lrlib.theory import deep_linear_path

MOST_MODES = 12  # lines that can be told apart, with their names beside them
SMALLEST_TARGET, LARGEST_TARGET = 1e-4, 100.0  # others would be learned long after, or before, the time axis
MOST_DEPTH = 6
PER_DECADE = 20
# A mode that ends at a threshold, such as 0.5 at eps = 0.5, never passes it, but the rounding of a computed path
# does, by about 1e-8 of it: sigma must exceed eps by this share to count.
TIE = 1e-5


def _grid(lowest: int, highest: int) -> list[float]:
    """Return 20 numbers a decade from 10^lowest to 10^highest, of two significant digits each."""
    places = range(PER_DECADE * lowest, PER_DECADE * highest + 1)
    return [float(f"{10 ** (place / PER_DECADE):.2g}") for place in places]


TIMES, STARTS, THRESHOLDS = _grid(-2, 4), _grid(-4, 0), _grid(-3, 0)
DECAYS = [0.0, *_grid(-3, 0)]


class SingularValueRace(Figure):
    """Singular values of a deep linear network on the way to their targets under gradient flow.

    The network starts small, aligned with the target and balanced, as in
    :func:`~lrlib.theory.deep_linear_path`: every mode runs alone, so that large ones arrive first, deeper
    networks learn one after the other, and weight decay stops the small ones. The page solves the flow itself.

    Live, ``depth``, ``start``, ``weight_decay``, ``eps`` and ``time`` go both ways: they say what the reader
    chose, and can be set. What is set moves to the nearest place there is: 20 numbers a decade, of two digits.

    Args:
        target: 1 to 12 singular values of the target, descending, each 0 or between 1e-4 and 100.
        depth: number of factors L, 1 to 6.
        start: sigma of every mode at time 0, between 1e-4 and 1.
        weight_decay: lambda, 0 or between 1e-3 and 1.
        eps: the threshold, between 1e-3 and 1.
        time: where the reader's cursor stands, between 0.01 and 10000, in learning rate times steps.
        label, title: the figure's HTML id and the line above it.

    Raises:
        TypeError, ValueError: for an argument outside these rules; the message names it.
    """

    javascript = Path(__file__).with_suffix(".js")
    times = np.array(TIMES)  # (T,) of path and counts; ``time`` is one of them
    depth = traitlets.Int().tag(sync=True)
    start = traitlets.Float().tag(sync=True)
    weight_decay = traitlets.Float().tag(sync=True)
    eps = traitlets.Float().tag(sync=True)
    time = traitlets.Float().tag(sync=True)
    facts = traitlets.Dict().tag(sync=True)  # what the picture needs besides the reader's choices

    def __init__(
        self,
        target: Sequence[float] = (4.0, 2.0, 1.0, 0.5, 0.25, 0.0),
        *,
        depth: int = 3,
        start: float = 1e-2,
        weight_decay: float = 0.0,
        eps: float = 0.1,
        time: float = 5.0,
        label: str = "singular-value-race",
        title: str = "Singular values of a deep linear network, on the way to their targets",
    ) -> None:
        self.target = _checked_target(target)
        first = {
            "depth": _checked_depth(depth),
            "start": nearest_place("start", start, STARTS),
            "weight_decay": nearest_place("weight_decay", weight_decay, DECAYS),
            "eps": nearest_place("eps", eps, THRESHOLDS),
            "time": nearest_place("time", time, TIMES),
        }
        super().__init__(label=label, title=title, facts=self._facts(first), **first)

    @property
    def path(self) -> Float64[ndarray, "T k"]:
        """Every mode's singular value at ``times``, for the settings of now; see ``deep_linear_path``."""
        return deep_linear_path(
            self.target, self.times, depth=self.depth, start=self.start, weight_decay=self.weight_decay
        )

    @property
    def counts(self) -> Int64[ndarray, " T"]:
        """How many singular values lie above ``eps`` at each of ``times``; one that ends at ``eps`` never does."""
        return count_above(torch.from_numpy(self.path).contiguous(), self.eps * (1 + TIE)).numpy()

    @traitlets.validate("depth")
    def _valid_depth(self, proposal: dict) -> int:
        return _checked_depth(proposal["value"])

    @traitlets.validate("start", "weight_decay", "eps", "time")
    def _valid_place(self, proposal: dict) -> float:
        name = proposal["trait"].name
        places = {"start": STARTS, "weight_decay": DECAYS, "eps": THRESHOLDS, "time": TIMES}[name]
        return nearest_place(name, proposal["value"], places)

    def alt_text(self) -> str:
        """Return what is shown, without a setting that the reader can change."""
        return (
            f"Singular value race: {len(self.target)} singular values of a deep linear network, with targets "
            f"{', '.join(f'{s:g}' for s in self.target)}, over the time of gradient flow, and how many of them lie "
            f"above a threshold. Depth, start, weight decay, threshold and time can be chosen."
        )

    def draw_still(self, canvas: Canvas) -> None:
        """Draw the singular values over time, and the count above the threshold below them."""
        upper, lower = canvas.subplots(2, 1, sharex=True, height_ratios=[2.2, 1])
        path = self.path
        for i, sigma in enumerate(path.T):
            upper.plot(
                self.times, sigma, linewidth=1.8, label=rf"$\sigma_{{{i + 1}}}$", **plots.layer_style(i)
            )
        upper.set_yscale("function", functions=(lambda v: np.sqrt(np.maximum(v, 0)), np.square))
        upper.set_ylim(0, self._most())
        upper.set_ylabel(r"$\sigma_i$ (square-root scale)")
        upper.axhline(self.eps, color="black", linewidth=1, linestyle="--")
        upper.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, handlelength=3)
        upper.set_title(
            f"depth {self.depth}, start {self.start:g}, weight decay {self.weight_decay:g}", fontsize=10
        )
        lower.step(self.times, self.counts, where="post", color="black", linewidth=1.8)
        lower.set_xscale("log")
        lower.set_ylim(0, 1.08 * len(self.target))
        lower.set_ylabel(rf"$\sigma_i > {self.eps:g}$")
        lower.set_xlabel("time t = learning rate × steps")
        for ax in (upper, lower):
            ax.axvline(self.time, color="black", linewidth=1, linestyle=":")

    def _most(self) -> float:
        """The top of the axis of singular values: above every target, start and threshold."""
        return 1.06 * max(self.target[0], STARTS[-1], THRESHOLDS[-1])

    def _facts(self, first: dict[str, Any]) -> dict[str, Any]:
        return {
            "target": self.target,
            "depths": list(range(1, MOST_DEPTH + 1)),
            "starts": STARTS,
            "decays": DECAYS,
            "thresholds": THRESHOLDS,
            "times": TIMES,
            "first": first,
            "tie": TIE,
            "most": self._most(),
            "colours": list(plots.PALETTE),
            "dashes": [list(dashes) for dashes in plots.DASHES],
        }


def _checked_target(target: Sequence[float]) -> list[float]:
    try:
        values = np.asarray(target, dtype=float)
    except (TypeError, ValueError):
        raise TypeError(f"target={target!r}: must be a sequence of numbers, singular values") from None
    if values.ndim != 1 or not 1 <= len(values) <= MOST_MODES:
        raise ValueError(f"target={target!r}: must be 1 to {MOST_MODES} numbers in a row")
    for i, s in enumerate(values.tolist()):
        if s != 0 and not SMALLEST_TARGET <= s <= LARGEST_TARGET:
            raise ValueError(
                f"target[{i}]={s:g}: must be 0 or between {SMALLEST_TARGET:g} and {LARGEST_TARGET:g}"
            )
    if (np.diff(values) > 0).any():
        raise ValueError(f"target={values.tolist()}: rises; singular values must be descending")
    return values.tolist()


def _checked_depth(depth: int) -> int:
    _checks.integer("depth", depth, minimum=1, maximum=MOST_DEPTH)
    return depth
