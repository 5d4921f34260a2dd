"""Runs of the playground to begin with, each with a sentence that is true of its run whatever the seed."""

from dataclasses import dataclass
from typing import Any

from lrlib.interactive.playground.settings import checked

CHECKED_SEEDS = 5  # a test trains every preset from the seeds 0 to 4


@dataclass(frozen=True)
class Preset:
    """Settings, what to read off their run, and a sentence that says what will be seen there.

    ``reading`` and ``eps`` are those of the curves of local rank, ``layer`` (1 is L1) the one to show at first where a
    single one is shown. The tests (``test_presets_true.py``) assert each part of the sentence.
    """

    name: str
    sentence: str
    settings: dict[str, Any]
    reading: str = "absolute"
    eps: float = 0.1
    layer: int = 2

    def __post_init__(self) -> None:
        """Refuse settings that the playground does not have."""
        object.__setattr__(self, "settings", checked(self.settings))


_DIGITS = {
    "data": "digits",
    "inputs": 20,  # of a teacher: not in use here
    "rank": 3,
    "width": 32,
    "depth": 2,
    "activation": "relu",
    "loss": "cross_entropy",
    "lr": 0.1,
    "momentum": 0.0,
    "decay": 0.01,
    "scale": 0.5,
    "noise": 0.0,
    "batch": 16,
    "steps": 5000,
    "seed": 0,
}

_TEACHER = {
    **_DIGITS,
    "data": "teacher",
    "inputs": 15,
    "loss": "mse",
    "lr": 0.3,
    "decay": 0.0,
    "scale": 0.1,
    "noise": 0.5,
}

PRESETS: dict[str, Preset] = {
    "fall": Preset(
        "The fall",
        "Ten digits, weight decay: absolute local rank climbs in L2 and L3, then falls. By step 2,000 (clock ηλt = 2) it"
        " is below 10 in L2; L1, full with 32 at the start, follows later, to below 20.",
        _DIGITS,
    ),
    "no-decay": Preset(
        "No decay: absolute up, relative down",
        "The fall's settings without weight decay: in L2 and L3 the absolute local rank ends higher than it began, and"
        " the relative one lower. L1 hardly moves in either.",
        {**_DIGITS, "decay": 0.0},
    ),
    "lazy": Preset(
        "Lazy",
        "Width 64, a start three times the fall's, no decay: over 98 % of the training digits are learned, yet in L1 and"
        " L2 local rank stays within a tenth of its start, absolute and relative.",
        {**_DIGITS, "width": 64, "lr": 0.02, "decay": 0.0, "scale": 1.5, "steps": 500},
    ),
    "too-short": Preset(
        "Too short",
        "The fall's first 200 steps: the loss is below a fifth of its start, but absolute local rank is all 32 in L1, and"
        " higher than at first in L2 and L3. The clock is at 0.2, too early for the fall.",
        {**_DIGITS, "steps": 200},
    ),
    "label-noise": Preset(
        "Label noise brings rank back",
        "A rank-3 teacher with noise, no decay: L2's relative local rank falls below 4, and comes back above 8 once the"
        " training loss is below 0.25, the noise's variance. With noise 0 it ends below 5.",
        _TEACHER,
        reading="relative",
    ),
}
