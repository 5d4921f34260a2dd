"""What TrainingExplorer sends to the page: its numbers, rounded and packed, and what is said about them."""

import math
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from lrlib import plots
from lrlib.interactive.base import packed
from lrlib.interactive.training_table import (
    JACOBIAN,
    NETWORK,
    SENSITIVITY,
    WEIGHT,
    Lists,
    TrainingTable,
)

NOT_STORED = 2**32 - 1  # the code of a rank or a standard error that is not there
DIGITS = 4  # significant ones, of losses and accuracies
# Spectra and pictures are sent as log10, rounded to 1/200 and 1/100 of a decade: steps of 1.2 % and 2.3 %.
PER_DECADE = {JACOBIAN: 200, WEIGHT: 200, SENSITIVITY: 100}
PICTURE_DECADES = 4  # a sensitivity below 1e-4 of its layer's largest is sent as 0


def variant_text(variant: float | str) -> str:
    """Return how a variant is written.

    >>> variant_text(0.001), variant_text(0.0), variant_text("AdamW")
    ('0.001', '0', 'AdamW')
    """
    return variant if isinstance(variant, str) else f"{variant:g}"


def facts(runs: TrainingTable) -> dict[str, Any]:
    """Return what the page knows of the runs besides the packed numbers."""
    columns = [reading for reading, _ in runs.columns]
    return {
        "variants": list(runs.variants),
        "variantTexts": [variant_text(variant) for variant in runs.variants],
        "seeds": list(runs.seeds),
        "seedsOf": [list(seeds) for seeds in runs.seeds_of],
        "steps": list(runs.steps),
        "stepsOf": [list(places) for places in runs.steps_of],
        "layers": list(runs.layers),
        "columns": len(columns),
        "readings": [
            {
                "name": name,
                "first": columns.index(name),
                "thresholds": runs.thresholds(name),
                "most": runs.most(name),
            }
            for name in runs.readings
        ],
        "network": {name: _nested(runs.network[name]) for name in NETWORK if name in runs.network},
        "lists": {name: _list_facts(runs, name) for name in runs.lists},
        "colours": list(plots.PALETTE),
        "dashes": [list(dashes) for dashes in plots.DASHES],
    }


def hundredths(values: Float64[ndarray, "..."]) -> bytes:
    """Pack numbers >= 0 in hundredths, each rounded as ``format(value, ".2f")`` rounds."""
    codes = [NOT_STORED if math.isnan(v) else round(100 * round(v, 2)) for v in values.ravel().tolist()]
    return packed(codes, "<u4")


def packed_lists(runs: TrainingTable, name: str) -> bytes:
    """Pack one kind of lists: for every variant and choice of seed a block (K, steps at which it is stored).

    Along the steps numbers change little, so that their differences, which :func:`packed` deflates, are small.
    """
    if name not in runs.lists:
        return packed([], "<u2")
    kind = runs.lists[name]
    blocks = []
    for v, floors in enumerate(_floors(runs, name)):
        for c in range(kind.values.shape[1]):
            stored = kind.by_layer(kind.values[v, c, kind.held(v, c)])
            codes = [_codes(part, floor, name) for part, floor in zip(stored, floors, strict=True)]
            blocks.append(np.concatenate(codes, axis=-1).T.ravel())
    return packed(np.concatenate(blocks), "<u2")


def heights(runs: TrainingTable, *, images: bool) -> tuple[int, int]:
    """Return about how many pixels the figure is high in a page, wide and on a phone; a test measures it."""
    numbers = 70 + 32 * (len(runs.layers) + len(runs.network))  # the table
    curves = 460 if runs.network else 280
    second_row = {JACOBIAN, WEIGHT} <= set(runs.lists) or any("accuracy" in name for name in runs.network)
    wide, narrow = 170 + 60 * second_row + max(curves, numbers), 270 + 75 * second_row + curves + numbers
    spectra = next((runs.lists[name] for name in (JACOBIAN, WEIGHT) if name in runs.lists), None)
    for kind, rows in (
        (spectra, (196, 166)),
        (runs.lists.get(SENSITIVITY), (174, 174) if images else (158, 158)),
    ):
        if kind is not None:
            wide += 55 + rows[0] * math.ceil(len(kind.layers) / 4)
            narrow += 85 + rows[1] * math.ceil(len(kind.layers) / 2)
    return wide, narrow


def _codes(values: Float64[ndarray, "..."], floor: float, name: str) -> Int64[ndarray, "..."]:
    """Return log10 above ``floor`` in whole parts of a decade, from 1; 0 for all that is not above it."""
    heights = np.log10(np.maximum(values, 10.0**floor)) - floor
    return np.where(values > 10.0**floor, np.rint(heights * PER_DECADE[name]) + 1, 0).astype(np.int64)


def _floors(runs: TrainingTable, name: str) -> list[list[float]]:
    """Return log10 of what code 0 stands for, for every variant and layer of a kind of lists."""
    kind = runs.lists[name]
    if name != SENSITIVITY:
        return [[runs.spectrum_axis(name)[0]] * len(kind.layers)] * len(runs.variants)
    largest = np.where(kind.largest() > 0, kind.largest(), 1.0)
    return (np.log10(largest) - PICTURE_DECADES).tolist()


def _list_facts(runs: TrainingTable, name: str) -> dict[str, Any]:
    kind: Lists = runs.lists[name]
    choices = range(kind.values.shape[1])
    return {
        "layers": list(kind.layers),
        "places": [list(places) for places in kind.places],
        "held": [[kind.held(v, c) for c in choices] for v in range(len(runs.variants))],
        "seeds": [list(seeds) for seeds in kind.seeds],
        "floors": _floors(runs, name),
        "perDecade": PER_DECADE[name],
        "top": None if name == SENSITIVITY else runs.spectrum_axis(name)[1],
        "largest": _nested(kind.largest()),
    }


def _nested(values: Float64[ndarray, "..."]) -> list:
    """Return an array as nested lists of numbers of four significant digits, None for NaN."""
    if values.ndim > 1:
        return [_nested(row) for row in values]
    return [None if math.isnan(v) else float(f"{v:.{DIGITS}g}") for v in values.tolist()]
