"""The information bottleneck: minimise I(X;T) - beta I(T;Y), for joint tables, for Gaussians, and deep (VIB). In nats."""

from lrlib.bottleneck.annealing import AnnealedIB, annealed_ib
from lrlib.bottleneck.certificate import optimality_gap
from lrlib.bottleneck.discrete import DiscreteIB, discrete_ib
from lrlib.bottleneck.gaussian import GaussianIB, GaussianIBCurve, gaussian_ib, gaussian_ib_curve
from lrlib.bottleneck.gaussian_learning import LearnedGaussianIB, learn_gaussian_ib
from lrlib.bottleneck.splits import critical_beta, effective_clusters, next_critical_betas
from lrlib.bottleneck.vib import VIB, VIBStack, vib_loss
from lrlib.bottleneck.vib_bounds import information_bounds
from lrlib.bottleneck.vib_files import load_vib, save_vib
from lrlib.bottleneck.vib_gaussian import GaussianVIB, fit_gaussian_vib
from lrlib.bottleneck.vib_spectra import code_covariance_spectrum, mean_spectra, snr_spectra

__all__ = [
    "VIB",
    "AnnealedIB",
    "DiscreteIB",
    "GaussianIB",
    "GaussianIBCurve",
    "GaussianVIB",
    "LearnedGaussianIB",
    "VIBStack",
    "annealed_ib",
    "code_covariance_spectrum",
    "critical_beta",
    "discrete_ib",
    "effective_clusters",
    "fit_gaussian_vib",
    "gaussian_ib",
    "gaussian_ib_curve",
    "information_bounds",
    "learn_gaussian_ib",
    "load_vib",
    "mean_spectra",
    "next_critical_betas",
    "optimality_gap",
    "save_vib",
    "snr_spectra",
    "vib_loss",
]
