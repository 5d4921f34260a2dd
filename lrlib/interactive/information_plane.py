"""Training on two planes side by side: information against what is predicted, and local rank against information."""

from typing import Any

import numpy as np
import pandas as pd
import traitlets
from matplotlib.figure import Figure as Canvas
from pandas import DataFrame

from lrlib import _checks, plots
from lrlib.interactive import information_page, information_still
from lrlib.interactive.base import HERE, Figure
from lrlib.interactive.bench_still import DASHES
from lrlib.interactive.information_page import SETTINGS, choices, settled
from lrlib.interactive.information_rows import MEAN, NOISES, Option, TaskTable, in_order, read_planes

NUMBERS = ("scale", "eps", "step")  # these settings move to the nearest number that is stored


class InformationPlane(Figure):
    """Stored training runs on the information plane and, beside it, on the plane of local rank and information.

    Left, I(X;T) of every layer against its information about the label, where that is stored, or a loss or an
    accuracy; right, the same I(X;T) against the layer's local rank: what falls together moves to the lower left.
    A layer's path runs over the steps of training. Its points are the estimates, or the lower of two bounds; a bar
    leads to the upper one. A point is open where a seed is saturated: within 5 % of its cap, the most that could have
    been found. For the mean over seeds a pale box reaches from the lowest seed to the highest.

    Live, these traits go both ways: ``task``, ``variant``, ``seed`` (a number, or ``"mean"``), ``estimator``
    ("kde", "logdet", "binning", "ksg", "exact"), ``noise`` ("fixed" or "layer"), ``scale`` (of the noise), ``reading``
    and ``eps`` (of local rank), ``vertical`` (the left plane's height: "binning label", "test_accuracy",
    "test_loss", ...), ``layers`` (those that are drawn) and ``step``. ``scale``, ``eps`` and ``step`` move to the
    nearest number that is stored. Where a task, variant, estimator, noise or reading lacks what was chosen before, that
    moves too. An estimator without noise leaves ``noise`` and ``scale`` as they are. A reader who
    chooses a task in the page gets its own height of the left plane too.

    Args:
        table: rows as the experiment "rank_information" stores them, with the columns ``task``, ``variant``,
            ``seed``, ``step``, ``layer``, ``reading``, ``noise``, ``eps``, ``mean`` and ``cap`` (nats). Layer "network":
            ``train_loss``, ``test_loss``, ``train_accuracy``, ``test_accuracy``. Layers "L1", "L2", ... (of p_l) or
            "H1", "H2", ... (of h_l): local rank as ``absolute``, ``relative``, ``data-scaled`` with thresholds, ``effective``,
            ``stable``; information as ``kde lower``, ``kde upper`` and ``logdet``, with noise "fixed" or "layer" and its
            deviation in ``eps``; ``binning`` and ``binning label`` with the number of bins in ``eps``; ``ksg``; ``exact``.
            H1 and L1 are drawn as one layer.
        task, variant, seed, estimator, noise, scale, reading, eps, vertical, step: what is shown at first. Left
            out: the first task, its last variant, the mean over seeds, the first estimator with its largest noise,
            the threshold nearest to 0.1, and the last step.
        layers: names of those that are drawn at first, such as ["L1", "L3"]; all if left out.
        label, title: the figure's HTML id and the line above it.

    Raises:
        TypeError, ValueError: for an argument outside these rules; the message names it.
    """

    javascript = HERE / "information_plane.js"
    more_javascript = tuple(
        HERE / name for name in ("picker.js", "information_data.js", "information_plots.js")
    )
    still_colours = 128
    task = traitlets.Unicode().tag(sync=True)
    variant = traitlets.Unicode().tag(sync=True)
    seed = traitlets.Any().tag(sync=True)
    estimator = traitlets.Unicode().tag(sync=True)
    noise = traitlets.Unicode().tag(sync=True)
    scale = traitlets.Float().tag(sync=True)
    reading = traitlets.Unicode().tag(sync=True)
    eps = traitlets.Float().tag(sync=True)
    vertical = traitlets.Unicode().tag(sync=True)
    layers = traitlets.List(traitlets.Unicode()).tag(sync=True)
    step = traitlets.Int().tag(sync=True)
    facts = traitlets.Dict().tag(sync=True)  # what the picture needs besides its packed numbers
    values = traitlets.Bytes().tag(sync=True)  # uint32: see information_page.packed_values

    def __init__(
        self,
        table: DataFrame,
        *,
        task: str | None = None,
        variant: str | None = None,
        seed: int | str | None = None,
        estimator: str | None = None,
        noise: str | None = None,
        scale: float | None = None,
        reading: str | None = None,
        eps: float | None = None,
        vertical: str | None = None,
        step: int | None = None,
        layers: list[str] | None = None,
        label: str = "information-plane",
        title: str = "Training on the information plane, and on the plane of rank and information",
    ) -> None:
        self.tasks = tasks = read_planes(table)
        self.names = list(in_order(dict.fromkeys(layer for own in tasks for layer in own.layers)))
        wanted = {
            name: value
            for name, value in zip(
                SETTINGS,
                (task, variant, seed, estimator, noise, scale, reading, eps, vertical, step),
                strict=True,
            )
            if value is not None
        }
        start = self._checked(wanted) | {"layers": self.names if layers is None else layers}
        facts = {
            "tasks": [information_page.task_facts(own) for own in tasks],
            "layers": self.names,
            "offset": information_page.OFFSET,
            "colours": list(plots.PALETTE),
            "dashes": [list(dashes) for dashes in DASHES],
        }
        super().__init__(
            label=label,
            title=title,
            facts=facts,
            values=information_page.packed_values(tasks),
            **start,
        )
        # what the page's Reset goes back to, as it was checked and put in order
        self.facts = facts | {"first": {name: getattr(self, name) for name in start}}

    @property
    def _runs(self) -> TaskTable:
        """The chosen task's runs."""
        return next(own for own in self.tasks if own.name == self.task)

    @property
    def _option(self) -> Option:
        """The chosen estimator with its noise."""
        own = [option for option in self._runs.options if option.estimator == self.estimator]
        return next((o for o in own if (o.noise, o.scale) == (self.noise, self.scale)), own[0])

    @property
    def _rank_column(self) -> int:
        """The chosen local rank's column."""
        ranks = self._runs.ranks
        return ranks.get((self.reading, self.eps), ranks.get((self.reading, None)))

    @property
    def _place(self) -> tuple[int, int, int]:
        """Where the settings of now are in ``runs.values``: variant, choice of seed, and step."""
        runs = self._runs
        choice = 0 if self.seed == MEAN else 1 + runs.seeds.index(self.seed)
        return runs.variants.index(self.variant), choice, runs.steps.index(self.step)

    @property
    def rows(self) -> DataFrame:
        """What is shown at the step of now: a row for each layer that is drawn.

        Columns: ``layer``; ``information`` (nats: the estimate, or the lower of two bounds), ``upper`` (the upper one,
        NaN if there is none), ``cap`` (NaN if there is none), ``saturated`` (how many seeds are), ``rank``, and
        ``vertical`` (the left plane's height). NaN also stands for what is not stored.
        """
        runs, option = self._runs, self._option
        v, c, t = self._place
        own = [l for l, name in enumerate(runs.layers) if name in self.layers]
        values = runs.values[v, c, :, :, t][:, own]
        column = runs.verticals.get(self.vertical)
        vertical = values[column] if column is not None else np.nan
        if column is None and self.vertical:
            vertical = runs.network[self.vertical][v, c, t]
        return pd.DataFrame(
            {
                "layer": [runs.layers[l] for l in own],
                "information": values[option.point],
                "upper": np.nan if option.upper is None else values[option.upper],
                "cap": runs.caps[option.point, own],
                "saturated": runs.saturated[v, c, option.point, own, t],
                "rank": values[self._rank_column],
                "vertical": vertical,
            }
        )

    @traitlets.validate(*SETTINGS)
    def _stored(self, proposal: dict) -> Any:
        name = proposal["trait"].name
        value = proposal["value"]
        if name == "task":
            _checks.one_of(name, value, [own.name for own in self.tasks])
            return value
        return self._allowed(name, value, choices(self._runs, name, self._settings()))

    @traitlets.validate("layers")
    def _known_layers(self, proposal: dict) -> list[str]:
        for i, name in enumerate(proposal["value"]):
            _checks.one_of(f"layers[{i}]", name, self.names)
        return [name for name in self.names if name in proposal["value"]]

    @traitlets.observe("task", "variant", "estimator", "noise", "reading")
    def _keep_stored(self, change: dict) -> None:
        for name, value in settled(self.tasks, self._settings()).items():
            if getattr(self, name) != value:
                setattr(self, name, value)

    def alt_text(self) -> str:
        """Return what is shown, without a number that training decides or a setting that can be changed."""
        named = [f"{own.name} ({', '.join(own.variants)})" for own in self.tasks]
        steps = max(own.steps[-1] for own in self.tasks)
        return (
            f"Information plane: paths of layers {', '.join(self.names)} over training, as I(X;T) against what is "
            f"predicted and as local rank against I(X;T). Tasks: {'; '.join(named)}; up to step {steps}. "
            f"Task, run, estimator, noise, reading of rank, layers and step can be chosen."
        )

    def draw_still(self, canvas: Canvas) -> None:
        """Draw both planes at the settings of now."""
        chosen = {"place": self._place, "rank_column": self._rank_column, "settings": self._settings()}
        information_still.draw(
            canvas, self._runs, self._option, layers=self.layers, names=self.names, **chosen
        )

    def _settings(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in SETTINGS}

    def _checked(self, wanted: dict[str, Any]) -> dict[str, Any]:
        """Return settings of which those wanted are stored; raise for one that is not."""
        if "task" in wanted:
            _checks.one_of("task", wanted["task"], [own.name for own in self.tasks])
        for name in set(NUMBERS) & set(wanted):
            _checks.number(name, wanted[name], exclusive=name != "step")
        found = settled(self.tasks, wanted)
        runs = next(own for own in self.tasks if own.name == found["task"])
        for name in SETTINGS[1:]:
            if name in wanted:
                found[name] = self._allowed(name, wanted[name], choices(runs, name, found))
        return found

    @staticmethod
    def _allowed(name: str, value: Any, values: list) -> Any:
        """Return a setting's value, or the nearest number that is stored; raise for one that it cannot have."""
        if name in NUMBERS:
            _checks.number(name, value, exclusive=name != "step")
            if not values:
                return value
            return information_page.nearest(values, value, logarithmic=name != "step")
        allowed = values or [*NOISES, ""] if name == "noise" else values or [""]
        _checks.one_of(name, value, allowed)
        return allowed[allowed.index(value)]  # 1 where True or 1.0 was given
