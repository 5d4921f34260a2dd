"""How many pieces hyperplanes cut space into, and so how many linear maps a ReLU network can consist of."""

import math
from collections.abc import Sequence

from lrlib import _checks


def region_count(hyperplanes: int, dimension: int) -> int:
    """Return how many regions n hyperplanes in general position cut R^d into: sum_{i=0}^{d} C(n, i).

    General position: any k <= d of them meet in dimension d - k, no d + 1 in a point. Any other n hyperplanes make
    fewer regions or as many. Source: Zaslavsky 1975, as a special case of his theorem on all arrangements; for this
    case already Schlaefli (about 1850). Chapter 1 has the proof.

    Args:
        hyperplanes: n, an integer >= 0.
        dimension: d, an integer >= 0; R^0 is a point and is never cut.

    Raises:
        TypeError, ValueError: for an argument outside these rules.

    Example:
        >>> region_count(3, 2), region_count(3, 3), region_count(0, 5)
        (7, 8, 1)
    """
    _checks.integer("hyperplanes", hyperplanes, minimum=0)
    _checks.integer("dimension", dimension, minimum=0)
    return sum(math.comb(hyperplanes, i) for i in range(min(hyperplanes, dimension) + 1))


def region_bound(widths: Sequence[int]) -> int:
    """Return a number that the linear regions of a ReLU network cannot exceed: prod_l region_count(n_l, r_l).

    n_1, ..., n_k are the widths of the hidden layers and r_l = min(d, n_1, ..., n_{l-1}), which the rank of the layer's
    input as a function of x cannot exceed. Within one region of the layers before it, layer l is affine of that rank,
    so that its n_l units cut the region as n_l hyperplanes cut R^{r_l}. Chapter 1 has the proof; the bound is exact for
    one hidden layer in general position, and loose for deep networks.

    Args:
        widths: d, n_1, ..., n_k: the input's width and those of the hidden layers, integers >= 1. The output layer
            has no ReLU and makes no regions.

    Raises:
        TypeError, ValueError: for an argument outside these rules.

    Example:
        >>> region_bound([2, 3]), region_bound([2, 3, 3]), region_bound([2, 1, 3])
        (7, 49, 8)
    """
    if len(widths) < 2:
        raise ValueError(f"widths={list(widths)}: must hold the input width and at least one hidden layer's")
    for i, width in enumerate(widths):
        _checks.integer(f"widths[{i}]", width, minimum=1)
    return math.prod(region_count(n, min(widths[: l + 1])) for l, n in enumerate(widths[1:]))
