"""Networks on the plane for the tests of RegionMap, ordinary and degenerate ones, in float64."""

import torch

from lrlib.nets import MLP
from lrlib.runtime import generator


def network(*widths, seed=0, **options):
    return MLP(widths, init="default", generator=generator(seed), **options).double()


@torch.no_grad()
def dead_layer():
    """Every unit of L2 is off in the whole square, so J_3 is 0."""
    net = network(2, 4, 4, 2)
    net.L2.bias.fill_(-100.0)
    return net


@torch.no_grad()
def equal_lines():
    """Three units that switch on one line, one of them the other way round."""
    net = network(2, 4, 3, 2, seed=1)
    net.L1.weight[1], net.L1.bias[1] = net.L1.weight[0], net.L1.bias[0]
    net.L1.weight[2], net.L1.bias[2] = -0.7 * net.L1.weight[0], -0.7 * net.L1.bias[0]
    return net


@torch.no_grad()
def zero_rows():
    """Two units without a line: one always on, one always off."""
    net = network(2, 4, 2, seed=2)
    net.L1.weight[:2] = 0.0
    net.L1.bias[:2] = torch.tensor([0.5, -0.5])
    return net


@torch.no_grad()
def line_outside():
    """A unit whose line lies outside the square."""
    net = network(2, 3, 2, seed=3)
    net.L1.bias[0] = 20 * net.L1.weight[0].norm()
    return net


EXAMPLES = {
    "2-3-2": lambda: network(2, 3, 2),
    "2-8-8-3": lambda: network(2, 8, 8, 3, seed=4),
    "2-6-5-4-1": lambda: network(2, 6, 5, 4, 1, seed=5),
    "no biases": lambda: network(2, 6, 4, 2, seed=6, bias=False),
    "dead layer": dead_layer,
    "equal lines": equal_lines,
    "zero rows": zero_rows,
    "line outside": line_outside,
}


def uniform_points(n, extent, seed=0):
    """Points drawn uniformly from the square, (n, 2) float64."""
    return extent * (2 * torch.rand(n, 2, generator=generator(seed), dtype=torch.float64) - 1)
