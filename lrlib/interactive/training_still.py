"""TrainingExplorer as a picture: local rank over training, and the spectra and pictures of one step."""

from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from lrlib import plots
from lrlib.interactive.training_page import variant_text
from lrlib.interactive.training_table import JACOBIAN, SENSITIVITY, THRESHOLDED, WEIGHT, Lists

GREYS = colormaps["gray_r"].resampled(
    12
)  # few, so that the still's small palette has room for the layers' colours


def draw(explorer: Any, canvas: Canvas) -> None:
    """Draw an explorer as it is set now; what is not stored has no row."""
    v, c, _, t = explorer.place
    rows = []
    for name, draw_row in ((WEIGHT if explorer.weights else JACOBIAN, _spectra), (SENSITIVITY, _pictures)):
        kind = explorer.runs.lists.get(name)
        latest = kind and kind.latest(v, c, t)
        if latest is not None:
            rows.append((draw_row, kind, latest))
    parts = np.atleast_1d(canvas.subfigures(1 + len(rows), 1, height_ratios=[1.2] + [1] * len(rows)))
    _curves(explorer, parts[0].subplots())
    for part, (draw_row, kind, latest) in zip(parts[1:], rows, strict=True):
        panels = part.subplots(1, len(kind.layers), squeeze=False)[0]
        draw_row(explorer, panels, kind, latest)
        for ax, l in zip(panels, kind.layers, strict=True):
            ax.set_title(f"{explorer.runs.layers[l]}, step {explorer.runs.steps[latest]}", fontsize=9)
            ax.tick_params(labelsize=8)


def _curves(explorer: Any, ax: Axes) -> None:
    v, c, r, _ = explorer.place
    runs = explorer.runs
    own = list(runs.steps_of[v])
    steps = [runs.steps[t] for t in own]
    plots.rank_curves(steps, runs.ranks[v, c, r][:, own].T, runs.layers, step=explorer.step, ax=ax)
    for l, (low, high) in enumerate(zip(*runs.band(v, c, r), strict=True)):
        ax.fill_between(
            steps, low[own], high[own], color=plots.layer_style(l)["color"], alpha=0.22, linewidth=0
        )
    above = f" above {explorer.eps:g}" if explorer.reading in THRESHOLDED else ""
    which = f"seed {explorer.seed}" if c else f"mean and range of {len(runs.seeds_of[v])} seeds"
    ax.set_ylim(0, 1.05 * runs.most(explorer.reading))
    ax.set_title(
        f"{explorer.reading}{above}, {explorer.by_label} {variant_text(explorer.variant)}, {which}",
        fontsize=10,
    )


def _spectra(explorer: Any, panels: Any, kind: Lists, latest: int) -> None:
    v, c, _, _ = explorer.place
    floor, top = explorer.runs.spectrum_axis(WEIGHT if explorer.weights else JACOBIAN)
    parts = kind.by_layer(kind.values[v, c, latest])
    for ax, l, places, sigma in zip(panels, kind.layers, kind.places, parts, strict=True):
        ax.loglog(places, np.maximum(sigma, 10.0 ** (floor - 9)), linewidth=1.8, **plots.layer_style(l))
        ax.set_ylim(10.0**floor, 10.0**top)
        ax.tick_params(labelleft=ax is panels[0])
        cut = {"absolute": explorer.eps, "relative": explorer.eps * sigma[0]}.get(explorer.reading)
        if cut and not explorer.weights:
            ax.axhline(cut, color="black", linewidth=1, linestyle="--")
    panels[0].set_ylabel(r"$\sigma_i$ of $W_l$" if explorer.weights else r"$\sigma_i$ of $J_l$")


def _pictures(explorer: Any, panels: Any, kind: Lists, latest: int) -> None:
    v, c, _, _ = explorer.place
    largest = np.where(kind.largest()[v] > 0, kind.largest()[v], 1.0)
    for i, (ax, values) in enumerate(zip(panels, kind.by_layer(kind.values[v, c, latest]), strict=True)):
        if explorer.input_shape is None:
            ax.bar(kind.places[i], values, color=plots.layer_style(kind.layers[i])["color"])
            ax.set_ylim(0, largest[i])
        else:
            shown = np.sqrt(values / largest[i]).reshape(explorer.input_shape)
            ax.imshow(shown, cmap=GREYS, vmin=0, vmax=1)
            ax.set(xticks=[], yticks=[], xlabel=f"black: {largest[i]:.2g}")
