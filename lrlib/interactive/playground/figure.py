"""The playground: a small network that trains in the page itself, and its local rank, live."""

from dataclasses import asdict
from typing import Any

import numpy as np
import torch
import traitlets
from matplotlib.figure import Figure as Canvas

from lrlib import _checks, plots, runtime
from lrlib.data import load
from lrlib.interactive.base import HERE, Figure, packed
from lrlib.interactive.playground import course
from lrlib.interactive.playground.code import SHAPES, TEACHER_OUTPUTS, TEMPLATE, TRAINING, code_of
from lrlib.interactive.playground.presets import CHECKED_SEEDS, PRESETS
from lrlib.interactive.playground.settings import (
    CHOICES,
    COUNTED,
    LABELS,
    READINGS,
    TARGET_NOISE,
    TEXTS,
    THRESHOLDS,
    checked,
)
from lrlib.nets import MLP
from lrlib.rank import count_above, effective_rank, stable_rank
from lrlib.train import History

FOLDER = HERE / "playground"
# The engine, which a worker runs; each part comes after those it needs.
ENGINE = (
    "random",
    "tensor",
    "eigen",
    "network",
    "jacobian",
    "loss",
    "data",
    "training",
    "reading",
    "views",
    "worker",
)
MOST_LAYERS = max(CHOICES["depth"]) + 1
CHOSEN = {**CHOICES, "reading": READINGS, "eps": THRESHOLDS, "layer": tuple(range(1, MOST_LAYERS + 1))}


class Playground(Figure):
    """A small network that trains in front of the reader, in the page or in the notebook, and its local rank.

    It trains in the browser, in float64, on the numbers that torch draws for the seed: :meth:`code` is lrlib code
    that takes the same course. Live, these go both ways: ``settings``, ``preset``, ``reading``, ``eps`` and ``layer``.
    When training pauses, and every two seconds while it runs, Python gets the weights: ``step`` and :meth:`network`.
    Of two views of one figure, each trains by itself, and Python has the weights that came last.

    Args:
        preset: ``"fall"``, ``"no-decay"``, ``"lazy"``, ``"too-short"`` or ``"label-noise"``: brings settings, reading and
            threshold.
        settings: what differs from the preset, by name; each one of the module's ``CHOICES``.
        compact: only the curves of local rank, and a button to start.
        label, title: the figure's HTML id and the line above it.

    Raises:
        TypeError, ValueError: for an argument outside these rules; the message names it.

    Example:
        >>> from lrlib.interactive import Playground
        >>> playground = Playground(preset="fall", settings={"seed": 3})
        >>> playground.settings["seed"], playground.network().layers
        (3, ('L1', 'L2', 'L3'))
    """

    javascript = FOLDER / "playground.js"
    more_javascript = (
        HERE / "picker.js",
        FOLDER / "engine" / "reading.js",
        *(
            FOLDER / f"{name}.js"
            for name in ("address", "engine", "run", "plots", "planes", "panels", "controls")
        ),
    )
    worker_javascript = tuple(FOLDER / "engine" / f"{name}.js" for name in ENGINE)
    settings = traitlets.Dict().tag(sync=True)
    preset = traitlets.Unicode().tag(sync=True)  # "" where settings, but for the seed, are the reader's own
    reading = traitlets.Unicode().tag(sync=True)
    eps = traitlets.Float().tag(sync=True)
    layer = traitlets.Int().tag(sync=True)  # of the pictures, from 1
    step = traitlets.Int(0).tag(sync=True)  # of the weights in `trained`
    # float64: each layer's weights row by row, then its biases
    trained = traitlets.CBytes(b"").tag(sync=True, echo_update=False)
    digits = traitlets.Bytes(b"").tag(sync=True)
    facts = traitlets.Dict().tag(sync=True)  # what the picture needs besides

    def __init__(
        self,
        *,
        preset: str = "fall",
        settings: dict[str, Any] | None = None,
        compact: bool = False,
        label: str = "playground",
        title: str = "A network trains in this page",
    ) -> None:
        _checks.one_of("preset", preset, PRESETS)
        _checks.one_of("compact", compact, (False, True))
        chosen = PRESETS[preset]
        wanted = checked({**chosen.settings, **(settings or {})})
        self.compact = compact
        self._histories: dict[str, History] = {}
        digits, labels = _digits()
        live = runtime.output() == "live"
        super().__init__(
            label=label,
            title=title,
            settings=wanted,
            preset=preset if _is_preset(wanted, preset) else "",
            reading=chosen.reading,
            eps=chosen.eps,
            layer=chosen.layer,
            digits=digits if wanted["data"] == "digits" or not compact or live else b"",  # 30 kB
            facts=self._facts(labels, live),
        )

    def code(self) -> str:
        """Return lrlib code that trains as the page does with the settings of now, and prints the local ranks."""
        return code_of(self.settings, reading=self.reading, eps=self.eps)

    def network(self) -> MLP:
        """Return the network with the weights that the page sent last, float64; before that, its start."""
        with course.float64():
            generator = runtime.generator(self.settings["seed"])
            course.draw(self.settings, generator)
            net = course.start(self.settings, generator)
        if self.trained:
            flat = torch.from_numpy(np.frombuffer(self.trained, dtype="<f8").copy())
            torch.nn.utils.vector_to_parameters(flat, net.parameters())
        return net

    def alt_text(self) -> str:
        """Return what is shown, without a number that the reader or training decides."""
        return (
            "Playground: a small network trains in the page, and the local rank of each of its layers is drawn over "
            "the steps. Data, network, training and reading can be chosen."
        )

    def draw_still(self, canvas: Canvas) -> None:
        """Draw the local rank of every layer over the whole course, which lrlib computes here."""
        history = self._history
        ranks = [[self._rank(values) for values in spectra.values] for spectra in history.readings]
        layers = history.readings[0].layers
        ax = plots.rank_curves(history.steps, np.array(ranks), layers, ax=canvas.subplots())
        counted = f", threshold {self.eps:g}" if self.reading in COUNTED else ""
        ax.set_title(f"{self.title} ({self.reading}{counted})", fontsize=10)

    @property
    def _history(self) -> History:
        """The course of the settings of now; a still and a page of one figure ask for it twice."""
        scaled = self.reading == "data-scaled"
        key = f"{scaled} {self.settings}"
        if key not in self._histories:
            self._histories = {key: course.trained(self.settings, data_scaled=scaled)[1]}
        return self._histories[key]

    def _rank(self, values: torch.Tensor) -> float:
        if self.reading == "effective":
            return effective_rank(values).mean().item()
        if self.reading == "stable":
            return stable_rank(values).mean().item()
        return count_above(values, self.eps, relative=self.reading == "relative").double().mean().item()

    def _facts(self, digits: dict[str, Any], live: bool) -> dict[str, Any]:
        return {
            "compact": self.compact,
            "live": live,
            "address": not live and not self.compact,  # a notebook's address is not ours
            "choices": {name: list(choices) for name, choices in CHOSEN.items()},
            "written": {name: [str(choice) for choice in choices] for name, choices in CHOSEN.items()},
            "settings": list(CHOICES),
            "labels": LABELS,
            "targetNoise": TARGET_NOISE,
            "texts": {name: list(texts) for name, texts in TEXTS.items()}
            | {"steps": [f"{steps:,}" for steps in CHOICES["steps"]]},
            "readings": list(READINGS),
            "counted": list(COUNTED),
            "thresholds": list(THRESHOLDS),
            "checkedSeeds": CHECKED_SEEDS,
            "presets": [{"key": key, **asdict(preset)} for key, preset in PRESETS.items()],
            "shapes": {name: list(shape) for name, shape in SHAPES.items()},
            "outputs": TEACHER_OUTPUTS,
            "template": TEMPLATE,
            "digits": digits,
            "colours": list(plots.PALETTE),
            "dashes": [list(dashes) for dashes in plots.DASHES],
        }

    @traitlets.validate("settings")
    def _known_settings(self, proposal: dict) -> dict[str, Any]:
        return checked(proposal["value"])

    @traitlets.validate("preset")
    def _known_preset(self, proposal: dict) -> str:
        _checks.one_of("preset", proposal["value"], ("", *PRESETS))
        return proposal["value"]

    @traitlets.validate("reading")
    def _known_reading(self, proposal: dict) -> str:
        _checks.one_of("reading", proposal["value"], READINGS)
        return proposal["value"]

    @traitlets.validate("eps")
    def _known_eps(self, proposal: dict) -> float:
        _checks.one_of("eps", proposal["value"], THRESHOLDS)
        return proposal["value"]

    @traitlets.validate("layer")
    def _known_layer(self, proposal: dict) -> int:
        _checks.integer("layer", proposal["value"], minimum=1, maximum=self.settings["depth"] + 1)
        return proposal["value"]

    @traitlets.observe("settings")
    def _begin_anew(self, change: dict) -> None:
        if change["old"]:  # not when the figure is made
            self.step, self.trained = 0, b""
            self.layer = min(self.layer, self.settings["depth"] + 1)
            self.preset = next((key for key in PRESETS if _is_preset(self.settings, key)), "")

    @traitlets.observe("preset")
    def _bring_settings(self, change: dict) -> None:
        key = change["new"]
        if key and not _is_preset(self.settings, key):
            preset = PRESETS[key]
            self.settings = preset.settings | {"seed": self.settings["seed"]}
            self.reading, self.eps, self.layer = preset.reading, preset.eps, preset.layer


def _is_preset(settings: dict[str, Any], key: str) -> bool:
    """Whether these are the settings of a preset, but for the seed."""
    return settings | {"seed": 0} == PRESETS[key].settings | {"seed": 0}


def _digits() -> tuple[bytes, dict[str, Any]]:
    """Return the pixels (0 to 16) of the training and test digits, packed, and what makes the book's digits of them."""
    train, test = load("digits", n=TRAINING, seed=0), load("digits", split="test")
    std, mean = torch.std_mean(train.x.double(), correction=0)  # as lrlib.data.standardise
    pixels = (torch.cat([train.x, test.x]) * 16).round().to(torch.int64)
    labels = torch.cat([train.y, test.y]).tolist()
    return packed(pixels, "<u2"), {
        "labels": labels,
        "training": TRAINING,
        "mean": mean.item(),
        "deviation": std.item(),
    }
