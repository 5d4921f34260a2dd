"""lrlib: local rank of neural networks, the library behind The Local Rank Book."""

from lrlib import bottleneck, data, experiments, information, nets, runtime, store, theory, train
from lrlib.jacobian import Counts, Spectra, jacobian_counts, jacobian_spectra
from lrlib.rank import (
    LocalRank,
    count_above,
    covariance_root,
    effective_rank,
    local_rank,
    stable_rank,
)

__all__ = [
    "Counts",
    "LocalRank",
    "Spectra",
    "bottleneck",
    "count_above",
    "covariance_root",
    "data",
    "effective_rank",
    "experiments",
    "information",
    "jacobian_counts",
    "jacobian_spectra",
    "local_rank",
    "nets",
    "runtime",
    "stable_rank",
    "store",
    "theory",
    "train",
]
