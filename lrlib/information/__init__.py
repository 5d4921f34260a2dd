"""Mutual information: exact where there is a formula, estimated from samples elsewhere. Everything is in nats."""

from lrlib.information.binning import binned_mi
from lrlib.information.cases import CASES, Case
from lrlib.information.discrete import discrete_entropy, discrete_mi, table_entropy, table_mi
from lrlib.information.estimate import SATURATED, Estimate
from lrlib.information.gaussian import gaussian_fit_mi, gaussian_mi, logdet_mi
from lrlib.information.kde import kde_mi
from lrlib.information.ksg import ksg_mi
from lrlib.information.neural import infonce_mi, nwj_mi

__all__ = [
    "CASES",
    "SATURATED",
    "Case",
    "Estimate",
    "binned_mi",
    "discrete_entropy",
    "discrete_mi",
    "gaussian_fit_mi",
    "gaussian_mi",
    "infonce_mi",
    "kde_mi",
    "ksg_mi",
    "logdet_mi",
    "nwj_mi",
    "table_entropy",
    "table_mi",
]
