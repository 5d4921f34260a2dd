"""What a study's stored runs hold, as arrays over variants, seeds, readings, layers and steps."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

READINGS = ("absolute", "relative", "data-scaled", "effective", "stable")
THRESHOLDED = READINGS[:3]
NETWORK = ("train_loss", "test_loss", "train_accuracy", "test_accuracy")
JACOBIAN, WEIGHT, SENSITIVITY = LISTS = ("jacobian_spectrum", "weight_spectrum", "input_sensitivity")
LEAST_DECADES = 6  # of the axis of singular values, where no threshold says how far down it should go


@dataclass(frozen=True)
class Lists:
    """One kind of rows that hold a list of numbers, such as spectra: K numbers in all layers together.

    ``values`` is NaN where a list is not stored. Its choice 0 is the mean over ``seeds[v]``, the seeds of variant
    v that have such lists at all, at the steps where all of them do.
    """

    layers: tuple[int, ...]  # the layers that have such lists, from 0
    places: tuple[tuple[int, ...], ...]  # for each of them: which singular values or inputs, from 1
    values: Float64[ndarray, "V C T K"]
    seeds: tuple[tuple[int, ...], ...]

    def held(self, v: int, c: int) -> list[int]:
        """Return the places of the steps at which variant ``v`` has lists for choice ``c``."""
        return np.flatnonzero(~np.isnan(self.values[v, c, :, 0])).tolist()

    def latest(self, v: int, c: int, t: int) -> int | None:
        """Return the last of those places that is not after ``t``, or None."""
        return max((place for place in self.held(v, c) if place <= t), default=None)

    def by_layer(self, values: Float64[ndarray, "*rest K"]) -> list[Float64[ndarray, "*rest k"]]:
        """Take the K numbers apart, into those of each layer."""
        return np.split(values, np.cumsum([len(places) for places in self.places])[:-1], axis=-1)

    def largest(self) -> Float64[ndarray, "V layers"]:
        """The largest number of every variant and layer, over all seeds and steps; 0 where none is stored."""
        return np.stack(
            [np.nan_to_num(part).max(axis=(1, 2, 3)) for part in self.by_layer(self.values)], axis=1
        )


@dataclass(frozen=True)
class TrainingTable:
    """V variants, C = 1 + S choices (the mean over seeds, then each seed), R columns of ranks, L layers, T steps.

    A number that is not stored, or is not finite, is NaN, and so is a mean over seeds that lacks one of them.
    """

    variants: tuple[float | str, ...]
    seeds: tuple[int, ...]  # those of all variants
    seeds_of: tuple[tuple[int, ...], ...]  # those of each variant
    steps: tuple[int, ...]  # those of all variants
    steps_of: tuple[tuple[int, ...], ...]  # the places in ``steps`` of those of each variant
    layers: tuple[str, ...]
    columns: tuple[tuple[str, float | None], ...]  # (R,) reading and threshold
    ranks: Float64[ndarray, "V C R L T"]
    stderrs: Float64[ndarray, "V S R L T"]  # over probe inputs
    network: dict[str, Float64[ndarray, "V C T"]]  # by the names in NETWORK
    lists: dict[str, Lists]  # by the names in LISTS

    @property
    def readings(self) -> list[str]:
        """The readings that are stored."""
        return list(dict.fromkeys(reading for reading, _ in self.columns))

    def thresholds(self, reading: str) -> list[float]:
        """Return the thresholds of a reading, rising; none for one without."""
        return [eps for name, eps in self.columns if name == reading and eps is not None]

    def band(self, v: int, c: int, r: int) -> tuple[Float64[ndarray, "L T"], Float64[ndarray, "L T"]]:
        """Return the lowest and the highest seed; for one seed, one standard error to each side."""
        if c == 0:
            of_seeds = self.ranks[v, [1 + self.seeds.index(seed) for seed in self.seeds_of[v]], r]
            return of_seeds.min(axis=0), of_seeds.max(axis=0)
        mean, stderr = self.ranks[v, c, r], self.stderrs[v, c - 1, r]
        return mean - stderr, mean + stderr

    def most(self, reading: str) -> int:
        """Return the top of a reading's axis: its largest mean over everything, rounded up; 1 where all are 0."""
        columns = [r for r, (name, _) in enumerate(self.columns) if name == reading]
        return math.ceil(np.nan_to_num(self.ranks[:, :, columns]).max()) or 1

    def spectrum_axis(self, kind: str) -> tuple[float, float]:
        """Return log10 of the ends of the axis of singular values: a decade below every threshold, and the largest."""
        largest = float(self.lists[kind].largest().max())
        top = math.log10(largest) + 0.1 if largest > 0 else 0.0
        thresholds = [eps for reading, eps in self.columns if reading in ("absolute", "relative") and eps]
        floor = math.floor(math.log10(min(thresholds))) - 1 if thresholds else math.floor(top) - LEAST_DECADES
        return min(floor, math.floor(top) - 1), top
