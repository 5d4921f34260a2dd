"""The linear regions of a ReLU network on the plane: polygons, and the affine map on each. regions.js is its twin."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy import ndarray

from lrlib import _checks

SLIVER = 1e-10  # a cut that would leave less than this share of the square is not made


@dataclass(frozen=True)
class Region:
    """A piece of the plane, a convex polygon, on which the layer is affine: p_l(x) = J x + c.

    Attributes:
        polygon: (v, 2) its corners, anticlockwise.
        jacobian: (n_l, 2) J.
        offset: (n_l,) c.
    """

    polygon: Float[ndarray, "v 2"]
    jacobian: Float[ndarray, "n_l 2"]
    offset: Float[ndarray, " n_l"]

    @property
    def area(self) -> float:
        """The polygon's area."""
        return _area(self.polygon)

    @property
    def centroid(self) -> Float[ndarray, "2"]:
        """The polygon's centre of mass, a point within it."""
        # from the first corner, not from 0: a small polygon far from 0 would lose its digits
        a, b = self.polygon[1:-1] - self.polygon[0], self.polygon[2:] - self.polygon[0]
        twice = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
        return self.polygon[0] + twice @ (a + b) / (3 * twice.sum())


def linear_regions(net: torch.nn.Module, *, layer: str, extent: float) -> list[Region]:
    """Return the linear regions of a layer's pre-activation on the square [-extent, extent]^2, float64.

    Layer l's Jacobian is W_l D_{l-1} W_{l-1} ... D_1 W_1 with D_i the units of layer i that are on, so its regions
    are cut by the units of the layers below it: the square is split by the zero line of every unit in turn. The
    first layer has one region. Neighbours on which the map is the same are not merged. A cut is not made where it
    would leave a piece of less than 1e-10 of the square's area.

    Args:
        net: a ReLU network with two inputs: an ``lrlib.nets.MLP``, of any width and depth.
        layer: the layer's name, such as ``"L2"``.
        extent: half the square's side, above 0.

    Raises:
        TypeError, ValueError: for an argument outside these rules; the message names it.

    Example:
        Three lines in general position make seven regions (Zaslavsky 1975):

        >>> from lrlib.nets import MLP
        >>> net = MLP([2, 3, 2], generator=torch.Generator().manual_seed(0))
        >>> len(linear_regions(net, layer="L2", extent=100.0)), len(linear_regions(net, layer="L1", extent=1.0))
        (7, 1)
    """
    weights = layer_rows(net)
    _checks.one_of("layer", layer, net.layers)
    _checks.number("extent", extent, exclusive=True)
    return split_square(weights[: net.layers.index(layer) + 1], extent)


def layer_rows(net: Any) -> list[Float[ndarray, "n_l n_prev_and_1"]]:
    """Return the weights of every layer with the biases as last column, float64; raise unless regions are known."""
    if not all(hasattr(net, name) for name in ("layers", "widths", "activation")):
        raise TypeError(f"net: must be an lrlib.nets.MLP, not {type(net).__name__}")
    if net.activation != "relu":
        raise ValueError(
            f"net: its activation is {net.activation!r}; must be 'relu', which has linear regions"
        )
    if net.widths[0] != 2:
        raise ValueError(f"net: it takes {net.widths[0]} inputs; must take 2, the plane's coordinates")
    tables = []
    for name in net.layers:
        layer = net.get_submodule(name)
        weight = layer.weight.detach().cpu().double()  # in this order: MPS has no float64
        bias = weight.new_zeros(len(weight)) if layer.bias is None else layer.bias.detach().cpu().double()
        _checks.finite(f"net.{name}.weight", weight)
        _checks.finite(f"net.{name}.bias", bias)
        tables.append(torch.column_stack([weight, bias]).numpy())
    return tables


def split_square(weights: list[Float[ndarray, "n_l n_prev_and_1"]], extent: float) -> list[Region]:
    """Return the regions of the last of these layers: polygons, split by every unit of the layers before it."""
    square = extent * np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    pieces = [Region(square, np.eye(2), np.zeros(2))]  # on each, h_{l-1} = jacobian x + offset
    for rows in weights[:-1]:
        before = [_through(rows, piece) for piece in pieces]
        pieces = [
            Region(polygon, p.jacobian * on[:, None], p.offset * on)
            for p in before
            for polygon, on in _patterns(p, SLIVER * (2 * extent) ** 2)
        ]
    return [_through(weights[-1], piece) for piece in pieces]


def _through(rows: Float[ndarray, "n_l n_prev_and_1"], h: Region) -> Region:
    """Return the pre-activation W h + b on a piece where h is affine."""
    weight, bias = rows[:, :-1], rows[:, -1]
    return Region(h.polygon, weight @ h.jacobian, weight @ h.offset + bias)


def _patterns(p: Region, least: float) -> list[tuple[Float[ndarray, "v 2"], Bool[ndarray, " n_l"]]]:
    """Split a piece by the sign of every entry of p; return the polygons, and which entries are above 0 there."""
    pieces = [(p.polygon, [])]
    for slope, offset in zip(p.jacobian, p.offset, strict=True):
        pieces = [
            (part, [*on, above])
            for polygon, on in pieces
            for part, above in _cut(polygon, polygon @ slope + offset, least)
        ]
    return [(polygon, np.array(on)) for polygon, on in pieces]


def _cut(
    polygon: Float[ndarray, "v 2"], values: Float[ndarray, " v"], least: float
) -> list[tuple[Float[ndarray, "u 2"], bool]]:
    """Cut a polygon where an affine function, of these values at the corners, is 0: (part, whether above 0)."""
    if values.max() <= 0 or values.min() >= 0:
        return [(polygon, bool(values.max() > 0))]
    parts = [(_half(polygon, sign * values), sign > 0) for sign in (1, -1)]
    areas = [_area(part) for part, _ in parts]
    if min(areas) < least:  # a sliver, such as two equal lines leave: the piece is all the other side's
        return [(polygon, parts[areas.index(max(areas))][1])]
    return parts


def _half(polygon: Float[ndarray, "v 2"], values: Float[ndarray, " v"]) -> Float[ndarray, "u 2"]:
    """Return the part of a convex polygon on which an affine function, of these values at its corners, is >= 0."""
    kept = []
    for i, (here, value) in enumerate(zip(polygon, values, strict=True)):
        after, following = polygon[(i + 1) % len(polygon)], values[(i + 1) % len(polygon)]
        if value >= 0:
            kept.append(here)
        if np.sign(value) * np.sign(following) < 0:
            kept.append(here + value / (value - following) * (after - here))
    return np.array(kept)


def _area(polygon: Float[ndarray, "v 2"]) -> float:
    a, b = polygon[1:-1] - polygon[0], polygon[2:] - polygon[0]
    return float((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum() / 2)
