"""What BottleneckDial should show, from formulas other than its own: numpy and scipy, and nothing of lrlib."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

SETTINGS = [  # correlations, beta, eps, relative: the corners, equal directions, and some between
    ([0.95, 0.8, 0.5], 5.0, 0.1, False),
    ([0.95, 0.8, 0.5], 20.0, 0.2, True),
    ([0.5, 0.95, 0.8], 1.5, 1.0, False),
    ([0.8, 0.8, 0.4], 2.0, 0.71, False),
    ([0.8], 20.0, 0.01, False),
    ([0.5], 4.0, 0.01, True),  # exactly at the critical beta
    ([0.1, 0.2], 100.0, 0.01, True),  # 1 / 0.1^2 is 99.99999999999999 in float64
    ([0.5], 7.0, 1.0, False),  # a singular value of exactly 1
    ([0.999], 1000.0, 10.0, False),
    ([0.999] * 6, 1.05, 0.01, False),
    ([0.999, 0.995, 0.03, 0.02, 0.01, 0.0], 1000.0, 0.5, True),
    ([0.0, 0.0], 1000.0, 0.01, True),
    ([0.9, 0.9, 0.3], 12.0, 2.0, True),  # relative to the largest, nothing exceeds twice it
]
CRITICAL_SLACK = 1e-9  # more than rounding does to 1 / rho^2, less than from a beta of the dial to the next


@dataclass
class Expected:
    """The closed form at one setting; lists are in the order of the correlations."""

    sigmas: list[float]
    critical: list[float]
    read: list[float]
    x: list[float]
    y: list[float]
    count: int

    @property
    def rank(self):
        return sum(sigma > 0 for sigma in self.sigmas)


def sigma_of(rho, beta):
    """The singular value as Chechik et al. write it: alpha^2 = (beta (1 - lambda) - 1) / lambda, lambda = 1 - rho^2."""
    if rho == 0 or beta <= (1 + CRITICAL_SLACK) / rho**2:
        return 0.0
    lam = 1 - rho**2
    return math.sqrt((beta * (1 - lam) - 1) / lam)


def nats_of(rho, beta):
    """I(X;T) and I(T;Y) of one direction by their formulas for the curve (Chechik et al., section 5)."""
    if sigma_of(rho, beta) == 0:
        return 0.0, 0.0
    lam = 1 - rho**2
    x = math.log((beta - 1) * (1 - lam) / lam) / 2
    return x, x - math.log(beta * (1 - lam)) / 2


def read_at(rho, rhos, eps, relative):
    """The beta above which sigma exceeds the threshold, by bisection; infinity if it never does."""
    if rho == 0:
        return math.inf
    if relative and eps >= 1:
        return math.inf

    def above(beta):
        return sigma_of(rho, beta) - eps * (max(sigma_of(r, beta) for r in rhos) if relative else 1)

    low, high = (1 + 2 * CRITICAL_SLACK) / rho**2, 1e12
    if above(low) > 0:  # the largest one itself, relative to the largest
        return 1 / rho**2
    return brentq(above, low, high, xtol=1e-12, rtol=1e-14) if above(high) > 0 else math.inf


def expected(rhos, beta, eps, relative):
    """Everything at one setting."""
    sigmas = [sigma_of(rho, beta) for rho in rhos]
    cut = eps * (max(sigmas) if relative else 1)
    x, y = np.transpose([nats_of(rho, beta) for rho in rhos])
    return Expected(
        sigmas,
        [1 / rho**2 if rho else math.inf for rho in rhos],
        [read_at(rho, rhos, eps, relative) for rho in rhos],
        x.tolist(),
        y.tolist(),
        sum(sigma > cut * (1 + CRITICAL_SLACK) for sigma in sigmas),
    )
