"""The still of AnnealedClusters: the tree, the information plane and the encoder at one beta, by matplotlib."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure as Canvas
from numpy import ndarray

from lrlib import plots
from lrlib.interactive.cluster_tree import ClusterTree

# a prediction's colour: low, middle and high on the axis that is shown
COLOURS = (plots.PALETTE[0], plots.PALETTE[7], plots.PALETTE[3])
BLEND = LinearSegmentedColormap.from_list("prediction", COLOURS)
LEAST = 1e-3  # nats on the axes of the plane, at least: where there is nothing to keep, rounding is not drawn
WIDEST = 14  # pixels of a branch that holds every object, in the page; points here are 0.7 of it


def draw_clusters(
    canvas: Canvas,
    tree: ClusterTree,
    *,
    place: int,
    axis: Float64[ndarray, " Y"],
    axis_name: str,
    numbered: Sequence[int],
    names: Sequence[str],
    critical: Sequence[float],
) -> None:
    """Draw the tree, and below it the information plane and the encoder.

    Args:
        canvas: an empty figure; its height follows the number of objects.
        tree: what is drawn.
        place: where the cursor stands on the grid of betas.
        axis: the weights of the outcomes on the axis that is drawn upwards.
        axis_name: its name.
        numbered: the branches that are there, in the order of their clusters' numbers.
        names: of the objects.
        critical: the betas at which clusters split.
    """
    canvas.set_size_inches(7.2, 4.2 + 0.11 * max(14, len(names)))
    panels = canvas.subplot_mosaic([["tree", "tree"], ["plane", "encoder"]], height_ratios=[1.15, 1])
    _draw_tree(panels["tree"], tree, axis, critical)
    panels["tree"].axvline(tree.betas[place], color="black", linewidth=1, linestyle="--")
    panels["tree"].set(xscale="log", xlabel=r"$\beta$", ylabel=axis_name)
    plural = "s" * (len(numbered) > 1)
    panels["tree"].set_title(f"{len(numbered)} cluster{plural} at β = {tree.betas[place]:.4g}", fontsize=10)
    _draw_plane(panels["plane"], tree, place)
    order = np.argsort(-tree.conditionals @ axis, kind="stable")
    _draw_encoder(panels["encoder"], tree.encoders[place][order][:, numbered], [names[x] for x in order])


def _draw_tree(ax: Axes, tree: ClusterTree, axis: Float64[ndarray, " Y"], critical: Sequence[float]) -> None:
    heights, objects = tree.decoders @ axis, tree.conditionals @ axis
    low, high = objects.min(), objects.max()
    links = np.array(tree.links()).reshape(-1, 3)
    place, old, new = links.T
    ends = np.stack([heights[place - 1, old], heights[place, new]], axis=1)
    betas = np.stack([tree.betas[place - 1], tree.betas[place]], axis=1)
    shares = (ends.mean(1) - low) / (high - low) if high > low else np.full(len(links), 0.5)
    widths = np.maximum(1.2, 0.7 * WIDEST * tree.masses[place, new])
    pieces = LineCollection(
        np.stack([betas, ends], axis=2), colors=BLEND(shares), linewidths=widths, capstyle="round"
    )
    ax.add_collection(pieces)
    margin = 0.05 * (high - low) or 0.05
    ax.set(xlim=(tree.betas[0] / 1.1, 1.1 * tree.betas[-1]), ylim=(low - margin, high + margin))
    for beta in critical:
        ax.axvline(beta, color="black", linewidth=0.6, linestyle=":")
    ax.secondary_yaxis("right").set_yticks(objects, [])  # the encoder names them, in this order


def _draw_plane(ax: Axes, tree: ClusterTree, place: int) -> None:
    most = tree.information
    end = 1.05 * max(most, tree.i_xt.max(), LEAST)
    here = tree.i_xt[place], tree.i_ty[place]
    ax.fill_between([0, most, end], [0, most, most], 10 * max(most, LEAST), color="black", alpha=0.09, lw=0)
    ax.plot(tree.i_xt, tree.i_ty, color=plots.PALETTE[0], linewidth=1.8)
    ax.axline(here, slope=1 / tree.betas[place], color="black", linewidth=0.8, linestyle="--")
    ax.plot(*here, "o", color="black")
    ax.set(xlim=(0, end), ylim=(0, 1.1 * max(most, LEAST)))
    ax.set(xlabel="$I(X;T)$, nats", ylabel="$I(T;Y)$, nats")


def _draw_encoder(ax: Axes, encoder: Float64[ndarray, "X K"], names: Sequence[str]) -> None:
    ax.imshow(encoder, cmap="Greys", vmin=0, vmax=1.2, aspect="auto")
    ax.set_yticks(range(len(names)), names, fontsize=7)
    ax.set_xticks(range(encoder.shape[1]), [str(k + 1) for k in range(encoder.shape[1])], fontsize=7)
    ax.set_title("$q(t|x)$", fontsize=10)
