"""Bounds and laws of the chapters on rank, as functions that check their own conditions."""

from lrlib.theory.decay import decay_factor, remembered_rank, within_class_bound
from lrlib.theory.linear import balancedness, deep_linear_path, least_factor_energy, schatten_quasinorm
from lrlib.theory.margin import kkt_alignment, normalised_margin, smoothed_margin
from lrlib.theory.minimum_norm import count_bound, energy_bound, minimum_norm_ratio
from lrlib.theory.regions import region_bound, region_count

__all__ = [
    "balancedness",
    "count_bound",
    "decay_factor",
    "deep_linear_path",
    "energy_bound",
    "kkt_alignment",
    "least_factor_energy",
    "minimum_norm_ratio",
    "normalised_margin",
    "region_bound",
    "region_count",
    "remembered_rank",
    "schatten_quasinorm",
    "smoothed_margin",
    "within_class_bound",
]
