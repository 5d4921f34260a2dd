"""Results drawn on matplotlib axes: every function takes numbers and returns the Axes, and computes nothing."""

from collections.abc import Sequence

import seaborn
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter
from numpy import ndarray
from pandas import DataFrame

# seaborn's "colorblind" palette, in its order (a test holds it to that)
PALETTE = (
    "#0173b2",
    "#de8f05",
    "#029e73",
    "#d55e00",
    "#cc78bc",
    "#ca9161",
    "#fbafe4",
    "#949494",
    "#ece133",
    "#56b4e9",
)
# dash lengths in units of the line's width, drawn then left out: colour is never the only cue
DASHES = ((), (5, 2), (1.5, 1.5), (6, 2, 1.5, 2))


def layer_style(index: int) -> dict:
    """Return the line style of the layer with this index, for ``Axes.plot``: the same in every figure.

    >>> layer_style(1)
    {'color': '#de8f05', 'dashes': (5, 2)}
    """
    dashes = DASHES[index % len(DASHES)]
    return {"color": PALETTE[index % len(PALETTE)], **({"dashes": dashes} if dashes else {})}


def spectrum(
    median: Float[ndarray, " k"],
    low: Float[ndarray, " k"],
    high: Float[ndarray, " k"],
    *,
    index: int = 0,
    threshold: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw singular values against their index on a log axis: a line, its band, and the threshold.

    Args:
        median, low, high: the line and the edges of its band, (k,) each, descending; zeros fall off the axis.
        index: the layer's place among the layers; it decides the colour.
        threshold: where to draw the horizontal line, if anywhere.
        ax: the axes to draw on; a new pyplot figure's if left out.
    """
    ax = _axes(ax)
    ax.set_yscale("log")
    places = range(1, len(median) + 1)
    style = layer_style(index)
    marker = "o" if len(median) <= 16 else None
    ax.fill_between(places, low, high, color=style["color"], alpha=0.22, linewidth=0)
    ax.plot(places, median, color=style["color"], linewidth=1.8, marker=marker, markersize=3.5)
    if threshold is not None:
        ax.axhline(threshold, color="black", linewidth=1, linestyle="--")
    ax.set_xticks([1, len(median)] if len(median) > 1 else [1])
    return ax


def rank_curves(
    steps: Sequence[int],
    mean: Float[ndarray, "S L"],
    layers: Sequence[str],
    *,
    stderr: Float[ndarray, "S L"] | None = None,
    step: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the local rank of every layer over training, with each line named at its end.

    Args:
        steps: (S,) training steps, increasing, on a log axis; a step 0 has a place of its own left of it.
        mean, stderr: (S, L) local ranks and their standard errors, drawn as a band of one to each side.
        layers: (L,) names.
        step: where to draw a vertical line, if anywhere.
        ax: the axes to draw on; a new pyplot figure's if left out.
    """
    ax = _axes(ax)
    for i, name in enumerate(layers):
        style = layer_style(i)
        ax.plot(steps, mean[:, i], linewidth=1.8, label=name, **style)
        if stderr is not None:
            ax.fill_between(
                steps, mean[:, i] - stderr[:, i], mean[:, i] + stderr[:, i], color=style["color"], alpha=0.22
            )
    if step is not None:
        ax.axvline(step, color="black", linewidth=1, linestyle="--")
    _step_axis(ax, steps)
    ax.set_ylim(bottom=0)
    ax.set_ylabel("local rank")
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, handlelength=3)
    return ax


def seed_curves(table: DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw one reading of every layer over training: the mean over seeds, in a band from the lowest to the highest.

    Args:
        table: rows of one reading at one threshold, such as :mod:`lrlib.experiments` stores: columns seed, step,
            layer and mean.
        ax: the axes to draw on; a new pyplot figure's if left out.
    """
    ax = _axes(ax)
    layers = sorted(table["layer"].unique())
    styles = [layer_style(l) for l in range(len(layers))]
    seaborn.lineplot(
        table,
        x="step",
        y="mean",
        hue="layer",
        style="layer",
        hue_order=layers,
        style_order=layers,
        palette=[style["color"] for style in styles],
        dashes=[style.get("dashes", "") for style in styles],
        errorbar=("pi", 100),  # the interval that holds all seeds
        ax=ax,
    )
    _step_axis(ax, sorted(table["step"].unique()))
    ax.set_ylim(bottom=0)
    ax.set_ylabel("local rank")
    ax.legend(frameon=False, handlelength=3)
    return ax


def _step_axis(ax: Axes, steps: Sequence[int]) -> None:
    """Make the x axis logarithmic in the training step, with room for a step 0."""
    ax.set_xlabel("training step")
    positive = [step for step in steps if step > 0]
    if not positive:
        return
    if steps[0] == 0:
        ax.set_xscale("symlog", linthresh=positive[0], linscale=0.4)
        ax.set_xlim(left=-0.1 * positive[0])
    else:
        ax.set_xscale("log")
    ax.xaxis.set_major_formatter("{x:.0f}")
    ax.xaxis.set_minor_formatter(NullFormatter())


def _axes(ax: Axes | None) -> Axes:
    """Return ``ax``, or the axes of a new pyplot figure, which a notebook shows."""
    if ax is None:
        import matplotlib.pyplot as plt

        ax = plt.subplots(layout="constrained")[1]
    return ax
