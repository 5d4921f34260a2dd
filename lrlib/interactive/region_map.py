"""The linear regions of a small ReLU network on the plane, coloured by the rank of a layer's Jacobian."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import traitlets
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import Patch

from lrlib import _checks
from lrlib.interactive.base import HERE, Figure
from lrlib.interactive.rank_explorer import threshold_grid
from lrlib.interactive.regions import Region, layer_rows, split_square
from lrlib.rank import count_above

MOST_LAYERS, MOST_UNITS = 4, 16
THRESHOLDS = threshold_grid(10.0)
RANK_COLOURS = ("#f3ead7", "#de8f05", "#0173b2")  # of rank 0, 1, 2: light, middle, dark
LABEL_ROOM = 0.006  # the still writes the rank into regions of at least this share of the square


class RegionMap(Figure):
    """A ReLU network's linear regions on the plane, each coloured by the rank of one layer's Jacobian.

    The reader drags and turns the lines on which first-layer units switch, sets any other weight, chooses layer
    and threshold, and points at the plane to see the Jacobian there, its singular values and its ellipse.

    Live, these go both ways: ``weights``, ``layer``, ``eps``, ``relative``, ``point`` and ``neuron``, the unit whose
    weights the controls change. :meth:`load_into` copies the weights as they are now into a network. ``eps`` moves
    to the nearest of the figure's thresholds (20 a decade from 1e-4 to 10, relative ones up to 1), and ``point`` into
    the square.

    Args:
        net: an ``lrlib.nets.MLP``: ReLU, two inputs, at most 4 layers of at most 16 units. Layers without biases
            get biases of zero. The figure keeps a copy of the weights.
        layer: the layer whose Jacobian is shown.
        eps: the first threshold, above 0.
        relative: compare with eps * sigma_1(x) instead of eps.
        point: where the Jacobian is shown.
        neuron: the unit chosen first: its layer's name, and its number from 1.
        extent: half the side of the square that is shown, above 0.
        label, title: the figure's HTML id and the line above it.

    Raises:
        TypeError, ValueError: for an argument outside these rules; the message names it.
    """

    javascript = HERE / "region_map.js"
    more_javascript = tuple(
        HERE / name for name in ("picker.js", "regions.js", "region_plane.js", "region_controls.js")
    )
    # One list a layer, one row a unit: its incoming weights, and its bias last. Assign a new list to change it.
    weights = traitlets.List().tag(sync=True)
    layer = traitlets.Unicode().tag(sync=True)
    eps = traitlets.Float().tag(sync=True)
    relative = traitlets.Bool().tag(sync=True)
    point = traitlets.Tuple(traitlets.Float(), traitlets.Float()).tag(sync=True)
    neuron = traitlets.Tuple(traitlets.Unicode(), traitlets.Int()).tag(sync=True)
    facts = traitlets.Dict().tag(sync=True)  # what the picture needs besides

    def __init__(
        self,
        net: torch.nn.Module,
        *,
        layer: str = "L2",
        eps: float = 0.1,
        relative: bool = False,
        point: Sequence[float] = (0.5, 0.5),
        neuron: tuple[str, int] = ("L1", 1),
        extent: float = 3.0,
        label: str = "region-map",
        title: str = "Linear regions of a ReLU network, and the rank of its Jacobian",
    ) -> None:
        first = layer_rows(net)
        _check_size(net.widths)
        _checks.number("extent", extent, exclusive=True)
        self.layers, self.widths, self.extent = tuple(net.layers), tuple(net.widths), float(extent)
        self._check_layer(layer)
        _checks.number("eps", eps, exclusive=True)
        self._check_neuron(neuron)
        first = [rows.tolist() for rows in first]
        super().__init__(
            label=label,
            title=title,
            weights=first,
            layer=layer,
            eps=eps,
            relative=relative,
            point=self._inside(point),
            neuron=tuple(neuron),
            facts={
                "layers": list(self.layers),
                "widths": list(self.widths),
                "first": first,
                "extent": self.extent,
                "thresholds": THRESHOLDS,
                "relativePlaces": THRESHOLDS.index(1.0) + 1,
                "colours": list(RANK_COLOURS),
            },
        )

    @property
    def regions(self) -> list[Region]:
        """The regions of the chosen layer, of the weights as they are now."""
        return split_square([np.array(rows) for rows in self._below()], self.extent)

    def ranks(self, regions: list[Region]) -> list[int]:
        """Return the rank of each region's Jacobian, at the threshold chosen now."""
        sigma = np.linalg.svd(np.stack([region.jacobian for region in regions]), compute_uv=False)
        return count_above(torch.from_numpy(sigma), self.eps, relative=self.relative).tolist()

    def load_into(self, net: torch.nn.Module) -> None:
        """Copy the weights and biases as they are now into ``net``, of the same widths, in its dtype and device.

        Raises ``ValueError`` if its widths are others, or if a layer of it has no bias and needs one.
        """
        if tuple(net.widths) != self.widths:
            raise ValueError(f"net: its widths are {list(net.widths)}; must be {list(self.widths)}")
        rows = [torch.tensor(layer, dtype=torch.float64) for layer in self.weights]
        for name, row in zip(self.layers, rows, strict=True):
            if net.get_submodule(name).bias is None and row[:, -1].any():
                raise ValueError(
                    f"net: its {name} has no bias; the figure's biases of {name} are not all zero"
                )
        with torch.no_grad():
            for name, row in zip(self.layers, rows, strict=True):
                layer = net.get_submodule(name)
                layer.weight.copy_(row[:, :-1])
                if layer.bias is not None:
                    layer.bias.copy_(row[:, -1])

    def alt_text(self) -> str:
        """Return what is shown, without a number that the reader or training decides."""
        return (
            f"Region map: the plane cut into the linear regions of a ReLU network of widths "
            f"{', '.join(map(str, self.widths))}, each coloured by the rank of a layer's Jacobian there. The lines of "
            f"the first layer's units, all other weights, the layer and the threshold can be changed."
        )

    def draw_still(self, canvas: Canvas) -> None:
        """Draw the regions with their ranks, the first layer's lines and the point."""
        ax = canvas.subplots()
        regions = self.regions
        ranks = self.ranks(regions)
        for region, rank in zip(regions, ranks, strict=True):
            ax.fill(*region.polygon.T, facecolor=RANK_COLOURS[rank], edgecolor="white", linewidth=0.8)
            if region.area > LABEL_ROOM * (2 * self.extent) ** 2:
                ink = "white" if rank == 2 else "black"
                ax.text(*region.centroid, str(rank), ha="center", va="center", color=ink, weight="bold")
        for line in filter(None, map(_line, self.weights[0])):
            ax.axline(*line, color="black", linewidth=1)
        ax.plot(*self.point, "o", color="black", markeredgecolor="white", markersize=8)
        patches = [
            Patch(facecolor=RANK_COLOURS[rank], edgecolor="grey", label=f"rank {rank}: {ranks.count(rank)}")
            for rank in range(1 + min(2, len(regions[0].offset)))
        ]
        ax.legend(handles=patches, title="regions", loc="upper left", bbox_to_anchor=(1.02, 1), frameon=False)
        ax.set(aspect="equal", xlim=(-self.extent, self.extent), ylim=(-self.extent, self.extent))
        ax.set(xlabel="$x_1$", ylabel="$x_2$")
        above = f"{self.eps:g}{' of the largest' * self.relative}"
        ax.set_title(f"{self.layer}: singular values above {above}", fontsize=10)

    @traitlets.validate("weights")
    def _same_shape(self, proposal: dict) -> list:
        shapes = list(zip(self.widths[1:], (width + 1 for width in self.widths), strict=False))
        try:
            arrays = [np.array(rows, dtype=float) for rows in proposal["value"]]
        except (TypeError, ValueError):
            raise ValueError(f"weights: must be one table of numbers a layer, of shapes {shapes}") from None
        if [array.shape for array in arrays] != shapes:
            found = [array.shape for array in arrays]
            raise ValueError(
                f"weights: shapes are {found}; must be {shapes}, a row a unit with its bias last"
            )
        for name, array in zip(self.layers, arrays, strict=True):
            _checks.finite(f"weights of {name}", torch.from_numpy(array))
        return [array.tolist() for array in arrays]

    @traitlets.validate("layer")
    def _known_layer(self, proposal: dict) -> str:
        self._check_layer(proposal["value"])
        return proposal["value"]

    @traitlets.validate("neuron")
    def _known_neuron(self, proposal: dict) -> tuple[str, int]:
        self._check_neuron(proposal["value"])
        return proposal["value"]

    @traitlets.validate("point")
    def _point_inside(self, proposal: dict) -> tuple[float, float]:
        return self._inside(proposal["value"])

    @traitlets.validate("eps")
    def _nearest_eps(self, proposal: dict) -> float:
        _checks.number("eps", proposal["value"], exclusive=True)
        grid = THRESHOLDS[: THRESHOLDS.index(1.0) + 1] if self.relative else THRESHOLDS
        return min(grid, key=lambda eps: abs(math.log(eps / proposal["value"])))

    @traitlets.observe("relative")
    def _keep_eps_on_grid(self, change: dict) -> None:
        self.eps = self.eps  # the validator moves what lies beyond the relative grid

    def _below(self) -> list[list[list[float]]]:
        return self.weights[: self.layers.index(self.layer) + 1]

    def _check_layer(self, layer: Any) -> None:
        _checks.one_of("layer", layer, self.layers)

    def _check_neuron(self, neuron: Any) -> None:
        if isinstance(neuron, str) or not isinstance(neuron, Sequence) or len(neuron) != 2:
            raise TypeError(
                f"neuron={neuron!r}: must be a layer's name and a unit's number, such as ('L1', 1)"
            )
        _checks.one_of("neuron[0]", neuron[0], self.layers)
        most = self.widths[self.layers.index(neuron[0]) + 1]
        _checks.integer("neuron[1]", neuron[1], minimum=1, maximum=most)

    def _inside(self, point: Any) -> tuple[float, float]:
        """Return the point, moved into the square if it lies outside."""
        try:
            values = tuple(float(value) for value in point)
        except (TypeError, ValueError):
            values = ()
        if len(values) != 2 or not all(map(math.isfinite, values)):
            raise ValueError(f"point={point!r}: must be two finite numbers")
        return tuple(min(self.extent, max(-self.extent, value)) for value in values)


def _check_size(widths: Sequence[int]) -> None:
    if len(widths) - 1 > MOST_LAYERS:
        raise ValueError(f"net: it has {len(widths) - 1} layers; must have at most {MOST_LAYERS}")
    if max(widths[1:]) > MOST_UNITS:
        raise ValueError(f"net: its widths are {list(widths)}; must be at most {MOST_UNITS} units a layer")


def _line(row: Sequence[float]) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """Return two points of the line on which a first-layer unit switches; None if its weights are zero."""
    a, b, bias = row
    squared = a * a + b * b
    if squared == 0:
        return None
    x, y = -bias * a / squared, -bias * b / squared
    return (x, y), (x - b / math.sqrt(squared), y + a / math.sqrt(squared))
