"""The still of BetaDial, and where things stand in the still and in the page."""

import math

import numpy as np
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import Ellipse
from numpy import ndarray
from pandas import DataFrame

from lrlib import plots
from lrlib.interactive.beta_table import NETWORK, Plane, Sweep

# Of the palette, those of which a line can be seen on white, without grey; those of the first readings differ most.
COLOURS = tuple(plots.PALETTE[i] for i in (0, 1, 5, 3, 4, 2, 9))
CLASS_COLOURS = plots.PALETTE
TITLES = {
    "global": "eigenvalues of the covariance of the mean code",
    "jacobian": "singular values of the mean's Jacobian J",
    "signal-to-noise": "singular values of diag(1/scale) J Σₓ^½",
    "rate": "rate of every number of the code, nats",
}
LEAST_HALF = 1.25  # of the plane: the circle of radius 1 is always in it
MARGIN = 1.06
MOST_DECADES = 7  # of the axis of a spectrum
KNEE_DECADES = 3  # a longer range of beta whose last decade has at least half of the values is bent there
# axes are linear below, and logarithmic above
BENDS = {"rate": 0.3, "distortion": 0.1, "test_error": 0.02, "rank": 2.0}


def styles(sweep: Sweep) -> tuple[list[str], list[tuple[float, ...]]]:
    """Return a colour and dashes for each column of ranks: a colour for each reading, and no pair twice in 7 readings.

    Of readings that share a colour, 7 places apart, the dashes are shifted by one.
    """
    names = list(dict.fromkeys(name for name, _ in sweep.columns))
    order = [names.index(name) for name, _ in sweep.columns]
    dashes = [plots.DASHES[(q + i // len(COLOURS)) % len(plots.DASHES)] for q, i in enumerate(order)]
    return [COLOURS[i % len(COLOURS)] for i in order], dashes


def half_width(plane: Plane) -> float:
    """Return how far the plane reaches from 0 to each side: to all images, and to 1.25 at least."""
    return float(f"{max(LEAST_HALF, MARGIN * np.abs(plane.means).max()):.3g}")


def ellipses(plane: Plane) -> Float64[ndarray, "c 5"]:
    """Return class, mean of the means (2) and mean of the scales (2), for each class that has images."""
    of_class = [(c, plane.classes == c) for c in np.unique(plane.classes)]
    return np.array([[c, *plane.means[own].mean(0), *plane.scales[own].mean(0)] for c, own in of_class])


def knee(betas: tuple[float, ...]) -> float | None:
    """Return the beta from which on the axis of beta is stretched, or None if it is logarithmic throughout.

    >>> knee((1e-6, 1e-3, 0.1, 0.2, 0.4, 0.8, 1.0)), knee((0.1, 1.0))
    (0.1, None)
    """
    last = [beta for beta in betas if beta >= betas[-1] / 10.0001]
    is_dense = len(last) >= len(betas) / 2 and betas[-1] / betas[0] >= 10**KNEE_DECADES
    return last[0] if is_dense and len(last) > 2 else None


def ends(sweep: Sweep, name: str) -> tuple[float, float]:
    """Return log10 of the ends of a spectrum's axis: whole decades, the same at every beta."""
    values = sweep.spectra[name].values
    positive = values[np.nan_to_num(values) > 0]
    if not len(positive):
        return -1.0, 0.0
    top = math.ceil(math.log10(positive.max()) - 1e-9)
    return float(max(top - MOST_DECADES, min(math.floor(math.log10(positive.min())), top - 1))), float(top)


def most(ranks: Float64[ndarray, "B S R"]) -> float:
    """Return the largest rank reading, and 1 at least."""
    return float(max(1.0, np.nan_to_num(ranks).max(initial=0.0)))


def draw(
    canvas: Canvas, sweep: Sweep, plane: Plane | None, *, beta: float, seed: int | None, spectrum: str, against: str,
    columns: list[int],
) -> None:  # fmt: skip
    """Draw four panels on an empty canvas."""
    canvas.set_size_inches(7.2, 6.4)
    panels = canvas.subplots(2, 2)
    chosen = slice(None) if seed is None else [sweep.seeds.index(seed)]
    place = sweep.betas.index(beta)
    _draw_plane(panels[0, 0], plane)
    _draw_costs(panels[0, 1], sweep.network[:, chosen], place, against)
    _draw_spectrum(panels[1, 0], sweep, spectrum, place, chosen)
    _draw_readings(panels[1, 1], sweep, columns, beta, chosen)
    panels[0, 1].set_title(f"β = {beta:g}", fontsize=10)


def _draw_plane(ax: Axes, plane: Plane | None) -> None:
    if plane is None:
        ax.set_axis_off()
        ax.text(0.5, 0.5, "no code of two numbers\nis stored at this β", ha="center", transform=ax.transAxes)
        return
    half = half_width(plane)
    line = np.linspace(-half, half, 400)
    grid = np.stack(np.meshgrid(line, line), -1)
    classes = (grid @ plane.decoder[:, :2].T + plane.decoder[:, 2]).argmax(-1)
    colours = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in CLASS_COLOURS])
    pale = (255 - 0.3 * (255 - colours[classes % len(colours)])).astype(np.uint8)
    ax.imshow(pale, origin="lower", extent=(-half, half, -half, half))
    for c, x, y, sx, sy in ellipses(plane):
        ax.add_patch(Ellipse((x, y), 2 * sx, 2 * sy, fill=False, linewidth=1.2))
        own = plane.means[plane.classes == c]
        ax.scatter(*own.T, marker=f"${int(c)}$", s=14, linewidths=0.1, color="black", alpha=0.75)
    ax.set(xlim=(-half, half), ylim=(-half, half))
    ax.set_title(f"a code of two numbers, {len(plane.classes)} test images", fontsize=10)


def _draw_costs(ax: Axes, network: Float64[ndarray, "B S N"], place: int, against: str) -> None:
    x, y = (network[..., NETWORK.index(name)] for name in ("rate", against))
    ax.plot(x.ravel(), y.ravel(), ".", color="grey", markersize=6)
    x, y = (_over_seeds(values)[1] for values in (x, y))
    ax.plot(x, y, color="black", linewidth=1.5)
    ax.plot(x[place], y[place], "o", color=COLOURS[0], markersize=8)
    ax.set_xscale("asinh", linear_width=BENDS["rate"])
    ax.set_yscale("asinh", linear_width=BENDS[against])
    name, levels = {
        "distortion": ("distortion D, nats", (0, 0.1, 0.5, 1, 2)),
        "test_error": ("test error", (0, 0.02, 0.1, 0.5)),
    }[against]
    ax.set_xticks((0, 1, 10, 100), ["0", "1", "10", "100"])
    ax.set_yticks(levels, [f"{level:g}" for level in levels])
    ax.set(xlabel="rate R, nats", ylabel=name, ylim=(0, None))


def _over_seeds(values: Float64[ndarray, "n S"]) -> tuple[ndarray, ndarray, ndarray]:
    """Return lowest, mean and highest of the seeds that have a number; NaN where none has."""
    table = DataFrame(values)  # numpy warns of rows without a number
    return table.min(axis=1).to_numpy(), table.mean(axis=1).to_numpy(), table.max(axis=1).to_numpy()


def _draw_spectrum(ax: Axes, sweep: Sweep, name: str, place: int, chosen: slice | list[int]) -> None:
    if not name:
        ax.set_axis_off()
        ax.text(0.5, 0.5, "no spectrum is stored", ha="center", transform=ax.transAxes)
        return
    kept = sweep.spectra[name]
    values = kept.values[place, chosen]
    low, high = ends(sweep, name)
    ax.set_yscale("log")
    ax.set_xscale("log", base=2)
    lowest, mean, highest = _over_seeds(values.T)
    ax.fill_between(kept.places, lowest, highest, color=COLOURS[0], alpha=0.25, linewidth=0)
    ax.plot(kept.places, mean, color=COLOURS[0], marker="o", markersize=3)
    ax.set_ylim(10**low, 10**high)
    ticks = [2**power for power in range(int(math.log2(kept.places[-1])) + 1)]
    ax.set_xticks(ticks, [str(tick) for tick in ticks])
    ax.set_xlabel("index $i$")
    ax.set_title(TITLES[name], fontsize=9)


def _draw_readings(
    ax: Axes, sweep: Sweep, columns: list[int], beta: float, chosen: slice | list[int]
) -> None:
    colours, dashes = styles(sweep)
    for column in columns:
        lowest, mean, highest = _over_seeds(sweep.ranks[:, chosen, column])
        name, eps = sweep.columns[column]
        style = {"color": colours[column], **({"dashes": dashes[column]} if dashes[column] else {})}
        ax.fill_between(sweep.betas, lowest, highest, color=style["color"], alpha=0.2, linewidth=0)
        ax.plot(sweep.betas, mean, label=name if eps is None else f"{name}, ε = {eps:g}", **style)
    ax.axvline(beta, color="black", linewidth=1, linestyle=":")
    ax.set_xscale("log")
    ax.set_yscale("asinh", linear_width=BENDS["rank"])
    ticks = [tick for tick in (0, 1, 2, 5, 10, 20, 50, 100, 200, 500) if tick <= most(sweep.ranks)]
    ax.set_yticks(ticks, [str(tick) for tick in ticks])
    ax.set_ylim(0, None)
    ax.set_xlabel("β")
    ax.set_title("readings of rank", fontsize=10)
    if columns:
        ax.legend(frameon=False, fontsize=8, handlelength=3)
