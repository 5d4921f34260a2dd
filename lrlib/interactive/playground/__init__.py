"""The playground: a figure whose network trains in the reader's browser, and the same course in lrlib."""

from lrlib.interactive.playground.figure import Playground
from lrlib.interactive.playground.presets import PRESETS, Preset
from lrlib.interactive.playground.settings import CHOICES

__all__ = ["CHOICES", "PRESETS", "Playground", "Preset"]
