"""A study's stored runs: local rank, losses, spectra and the input-space picture, over training."""

import math
from pathlib import Path
from typing import Any

import traitlets
from jaxtyping import Float64
from matplotlib.figure import Figure as Canvas
from numpy import ndarray
from pandas import DataFrame

from lrlib import _checks
from lrlib.interactive import training_page, training_rows, training_still
from lrlib.interactive.base import HERE, Figure
from lrlib.interactive.training_table import JACOBIAN, LISTS, SENSITIVITY, THRESHOLDED, WEIGHT, TrainingTable

FIRST_EPS = 0.1  # the threshold at the start, or the stored one nearest to it
MOST_NAMED = 8  # variants that the alternative text names
MEAN = "mean"  # the seed that stands for the mean over all


class TrainingExplorer(Figure):
    """A study's stored runs, to scrub through: ranks, losses, spectra and the input-space picture.

    Live, these traits go both ways: ``variant``, ``seed`` (a number, or ``"mean"`` over seeds; -1 says that
    too), ``reading``, ``eps``, ``step``, ``weights`` (spectra of W_l instead of J_l) and ``performance``
    (``"loss"`` or ``"accuracy"``). ``step`` and ``eps`` move to the nearest place that is stored for the variant. They start at the last
    variant and step, the mean over seeds, and the threshold nearest to 0.1. Means over seeds are made here; the
    page only looks them up.

    Args:
        table: rows as the experiments of :mod:`lrlib.experiments` store them, with the columns ``by``, ``seed``,
            ``step``, ``layer``, ``reading``, ``eps``, ``mean``, ``stderr`` and, where there are spectra,
            ``values``. Layer "network": ``train_loss``, ``test_loss``, ``train_accuracy``, ``test_accuracy``.
            Variants that are compared have layers of one shape; each has its own steps.
            Other layers: ``absolute``, ``relative`` and ``data-scaled`` at any thresholds, ``effective``,
            ``stable``; and in ``values`` ``jacobian_spectrum`` and ``weight_spectrum`` as "1:3.2 2:2.97 ...", and
            ``input_sensitivity``, ``sqrt(E |dp_l/dx_i|^2)``, as "0.1 0.2 ...", at all steps and seeds or some.
        by: the column that tells the variants apart: numbers or strings.
        by_label: what the page calls it.
        input_shape: (rows, columns) of the input-space picture; left out, it has a bar for each coordinate.
        input_label: what the coordinates of the input are, such as "pixel".
        label, title: the figure's HTML id and the line above it.

    Raises:
        TypeError, ValueError: for an argument outside these rules; the message names it.
    """

    javascript = Path(__file__).with_suffix(".js")
    more_javascript = tuple(
        HERE / name for name in ("picker.js", "training_data.js", "training_curves.js", "training_panels.js")
    )
    lazy = True
    variant = traitlets.Any().tag(sync=True)
    seed = traitlets.Any().tag(sync=True)
    reading = traitlets.Unicode().tag(sync=True)
    eps = traitlets.Float(FIRST_EPS).tag(sync=True)
    step = traitlets.Int().tag(sync=True)
    weights = traitlets.Bool().tag(sync=True)
    performance = traitlets.Unicode().tag(sync=True)
    facts = traitlets.Dict().tag(sync=True)  # what the picture needs besides its packed numbers
    ranks = traitlets.Bytes().tag(sync=True)  # hundredths, uint32: means (V, C, R, L, T), see TrainingTable
    stderrs = traitlets.Bytes().tag(sync=True)  # the same, (V, S, R, L, T)
    jacobian_spectrum = traitlets.Bytes().tag(sync=True)  # codes, uint16: see training_page.packed_lists
    weight_spectrum = traitlets.Bytes().tag(sync=True)
    input_sensitivity = traitlets.Bytes().tag(sync=True)

    def __init__(
        self,
        table: DataFrame,
        *,
        by: str = "weight_decay",
        by_label: str = "weight decay",
        input_shape: tuple[int, int] | None = None,
        input_label: str = "",
        label: str = "training-explorer",
        title: str = "Training runs: local rank, singular values and sensitivity to the input",
    ) -> None:
        self.runs = runs = training_rows.read(table, by)
        self.by_label, self.input_label = by_label, input_label
        for name, text in (("by_label", by_label), ("input_label", input_label)):
            if not isinstance(text, str):
                raise TypeError(f"{name}={text!r}: must be a string, not {type(text).__name__}")
        self.input_shape = _checked_shape(input_shape, runs)
        self.performances = [n for n in ("loss", "accuracy") if any(key.endswith(n) for key in runs.network)]
        own = {"byLabel": by_label, "inputLabel": input_label, "performances": self.performances}
        super().__init__(
            label=label,
            title=title,
            variant=runs.variants[-1],
            seed=MEAN if len(runs.seeds) > 1 else runs.seeds[0],
            reading=runs.readings[0],
            eps=FIRST_EPS,
            step=runs.steps[-1],
            weights=JACOBIAN not in runs.lists and WEIGHT in runs.lists,
            performance=self.performances[0] if self.performances else "",
            facts=training_page.facts(runs) | own | {"inputShape": self.input_shape},
            ranks=training_page.hundredths(runs.ranks),
            stderrs=training_page.hundredths(runs.stderrs),
            **{name: training_page.packed_lists(runs, name) for name in LISTS},
        )

    @property
    def place(self) -> tuple[int, int, int, int]:
        """Where the settings of now are in ``runs.ranks``: variant, choice of seed, column and step."""
        runs = self.runs
        eps = self.eps if self.reading in THRESHOLDED else None
        choice = 0 if self.seed == MEAN else 1 + runs.seeds.index(self.seed)
        column = runs.columns.index((self.reading, eps))
        return runs.variants.index(self.variant), choice, column, runs.steps.index(self.step)

    @property
    def local_rank(self) -> Float64[ndarray, " L"]:
        """Every layer's reading at the settings of now: the stored mean over probe inputs, or its mean over seeds."""
        v, c, r, t = self.place
        return self.runs.ranks[v, c, r, :, t].copy()

    @traitlets.validate("variant")
    def _known_variant(self, proposal: dict) -> float | str:
        variants = self.runs.variants
        _checks.one_of("variant", proposal["value"], variants)
        return variants[variants.index(proposal["value"])]  # 0.0 where 0 was given

    @traitlets.validate("seed")
    def _known_seed(self, proposal: dict) -> int | str:
        if proposal["value"] in (-1, MEAN):
            return MEAN
        _checks.one_of("seed", proposal["value"], (MEAN, *self._seeds()))
        return int(proposal["value"])

    @traitlets.validate("reading")
    def _stored_reading(self, proposal: dict) -> str:
        _checks.one_of("reading", proposal["value"], self.runs.readings)
        return proposal["value"]

    @traitlets.validate("eps")
    def _nearest_eps(self, proposal: dict) -> float:
        wanted = proposal["value"]
        _checks.number("eps", wanted, exclusive=True)
        stored = self.runs.thresholds(self.reading)
        return min(stored, key=lambda eps: abs(math.log(eps / wanted)), default=wanted)

    @traitlets.validate("step")
    def _nearest_step(self, proposal: dict) -> int:
        runs = self.runs
        own = [runs.steps[t] for t in runs.steps_of[runs.variants.index(self.variant)]]
        return min(own, key=lambda step: abs(step - proposal["value"]))

    @traitlets.validate("weights")
    def _stored_spectra(self, proposal: dict) -> bool:
        stored = [name == WEIGHT for name in (JACOBIAN, WEIGHT) if name in self.runs.lists]
        _checks.one_of("weights", proposal["value"], stored or [False])
        return proposal["value"]

    @traitlets.validate("performance")
    def _stored_performance(self, proposal: dict) -> str:
        _checks.one_of("performance", proposal["value"], self.performances or [""])
        return proposal["value"]

    @traitlets.observe("variant")
    def _keep_seed_and_step_stored(self, change: dict) -> None:
        self.step = self.step  # the validator moves it to the nearest step of this variant
        if self.seed != MEAN and self.seed not in self._seeds():
            self.seed = MEAN

    @traitlets.observe("reading")
    def _keep_eps_stored(self, change: dict) -> None:
        self.eps = self.eps  # the validator moves it to the nearest threshold of this reading

    def alt_text(self) -> str:
        """Return what is shown, without a number that training decides or a setting that can be changed."""
        runs = self.runs
        shown = ["the local rank of every layer over training"]
        shown += ["losses or accuracies"] if runs.network else []
        shown += ["singular values"] if {JACOBIAN, WEIGHT} & set(runs.lists) else []
        shown += (
            ["how strongly each layer reacts to each input coordinate"] if SENSITIVITY in runs.lists else []
        )
        names = [training_page.variant_text(variant) for variant in runs.variants]
        variants = ", ".join(names) if len(names) <= MOST_NAMED else f"{len(names)} of them"
        return (
            f"Training explorer: {', '.join(shown)}. Layers {', '.join(runs.layers)}; {self.by_label} {variants}; "
            f"{len(runs.seeds)} seed{'s' * (len(runs.seeds) > 1)}; {len(runs.steps)} steps from {runs.steps[0]} to {runs.steps[-1]}. "
            f"Run, reading, threshold and step can be chosen."
        )

    def page_heights(self) -> tuple[int, int]:
        """Return the height in pixels that a page keeps free for the figure, wide and on a phone."""
        return training_page.heights(self.runs, images=self.input_shape is not None)

    def draw_still(self, canvas: Canvas) -> None:
        """Draw the curves, and the spectra and pictures below them, at the settings of now."""
        training_still.draw(self, canvas)

    def _seeds(self) -> tuple[int, ...]:
        return self.runs.seeds_of[self.runs.variants.index(self.variant)]


def _checked_shape(shape: Any, runs: TrainingTable) -> tuple[int, int] | None:
    """Return the picture's (rows, columns) after checking that they hold as many numbers as are stored."""
    if shape is None:
        return None
    try:
        rows, columns = shape
    except (TypeError, ValueError):
        raise TypeError(f"input_shape={shape!r}: must be two integers, (rows, columns), or None") from None
    _checks.integer("input_shape[0]", rows, minimum=1)
    _checks.integer("input_shape[1]", columns, minimum=1)
    for places in runs.lists[SENSITIVITY].places if SENSITIVITY in runs.lists else ():
        if len(places) != rows * columns:
            raise ValueError(
                f"input_shape={(rows, columns)}: must have as many cells as input_sensitivity has numbers, {len(places)}"
            )
    return rows, columns
