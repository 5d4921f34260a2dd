"""Plots draw what they are given, on the axes they are given, and touch nothing else."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import seaborn as sns
from matplotlib.figure import Figure

from lrlib import plots

STEPS = [0, 1, 10, 100]
MEAN = np.array([[8.0, 2.0], [7.0, 2.0], [5.0, 1.5], [3.0, 1.0]])


@pytest.fixture
def ax():
    return Figure().subplots()


def test_the_palette_is_seaborns_colour_blind_one():
    assert list(plots.PALETTE) == sns.color_palette("colorblind").as_hex()


def test_layers_differ_by_more_than_colour():
    styles = [plots.layer_style(i) for i in range(4)]
    assert len({style.get("dashes") for style in styles}) == 4
    assert len({style["color"] for style in styles}) == 4
    assert plots.layer_style(len(plots.PALETTE))["color"] == plots.PALETTE[0]


def test_a_spectrum_has_its_line_band_and_threshold(ax):
    median = np.array([3.0, 1.0, 0.1])
    assert plots.spectrum(median, median / 2, median * 2, index=1, threshold=0.5, ax=ax) is ax
    line, threshold = ax.lines
    np.testing.assert_array_equal(line.get_xydata(), np.column_stack([[1, 2, 3], median]))
    assert line.get_color() == plots.PALETTE[1]
    assert list(threshold.get_ydata()) == [0.5, 0.5]
    assert ax.get_yscale() == "log"
    assert list(ax.get_xticks()) == [1, 3]
    assert len(ax.collections) == 1


@pytest.mark.filterwarnings("ignore:Data has no positive values")
def test_a_spectrum_of_zeros_is_an_empty_plot(ax):
    plots.spectrum(np.zeros(3), np.zeros(3), np.zeros(3), ax=ax)
    ax.figure.canvas.draw()


def test_curves_are_named_and_hold_the_numbers(ax):
    assert plots.rank_curves(STEPS, MEAN, ["a", "b"], stderr=MEAN / 10, step=10, ax=ax) is ax
    first, second, marker = ax.lines
    np.testing.assert_array_equal(first.get_ydata(), MEAN[:, 0])
    np.testing.assert_array_equal(second.get_ydata(), MEAN[:, 1])
    assert list(marker.get_xdata()) == [10, 10]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("training step", "local rank")
    assert len(ax.collections) == 2


@pytest.mark.parametrize(("steps", "xscale"), [(STEPS, "symlog"), ([1, 2, 4, 8], "log"), ([0], "linear")])
def test_the_step_axis_is_logarithmic_and_keeps_step_zero(ax, steps, xscale):
    plots.rank_curves(steps, MEAN[: len(steps)], ["a", "b"], ax=ax)
    assert ax.get_xscale() == xscale
    ax.figure.canvas.draw()
    assert ax.get_xlim()[0] <= steps[0]


def test_without_axes_a_notebook_gets_a_figure_of_its_own():
    plt.close("all")
    ax = plots.rank_curves(STEPS, MEAN, ["a", "b"])
    assert plt.get_fignums() == [ax.figure.number]
    plt.close("all")


@pytest.mark.parametrize("layers", [3, 6])
def test_seed_curves_draw_the_mean_in_a_band_that_holds_every_seed(ax, layers):
    rng = np.random.default_rng(0)
    index = pd.MultiIndex.from_product(
        [range(3), [0, 1, 10], [f"L{l + 1}" for l in range(layers)]], names=["seed", "step", "layer"]
    )
    table = pd.DataFrame({"mean": rng.uniform(0, 9, len(index))}, index=index).reset_index()
    assert plots.seed_curves(table, ax=ax) is ax
    for l, (_, rows) in enumerate(table.groupby("layer")):
        by_step = rows.groupby("step")["mean"]
        np.testing.assert_allclose(ax.lines[l].get_ydata(), by_step.mean())
        assert ax.lines[l].get_color() == plots.layer_style(l)["color"]
        edges = ax.collections[l].get_paths()[0].vertices[:, 1]
        assert edges.min() == pytest.approx(by_step.min().min())
        assert edges.max() == pytest.approx(by_step.max().max())
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [f"L{l + 1}" for l in range(layers)]
