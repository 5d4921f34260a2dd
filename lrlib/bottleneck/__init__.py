"""The information bottleneck: minimise I(X;T) - beta I(T;Y), for joint tables and for Gaussians. In nats."""

from lrlib.bottleneck.annealing import AnnealedIB, annealed_ib
from lrlib.bottleneck.certificate import optimality_gap
from lrlib.bottleneck.discrete import DiscreteIB, discrete_ib
from lrlib.bottleneck.gaussian import GaussianIB, GaussianIBCurve, gaussian_ib, gaussian_ib_curve
from lrlib.bottleneck.gaussian_learning import LearnedGaussianIB, learn_gaussian_ib
from lrlib.bottleneck.splits import critical_beta, effective_clusters, next_critical_betas

__all__ = [
    "AnnealedIB",
    "DiscreteIB",
    "GaussianIB",
    "GaussianIBCurve",
    "LearnedGaussianIB",
    "annealed_ib",
    "critical_beta",
    "discrete_ib",
    "effective_clusters",
    "gaussian_ib",
    "gaussian_ib_curve",
    "learn_gaussian_ib",
    "next_critical_betas",
    "optimality_gap",
]
