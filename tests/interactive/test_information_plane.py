"""InformationPlane in Python: what it shows, takes and refuses, its still and its words."""

import json
import re

import numpy as np
import pytest
import traitlets
from matplotlib.colors import to_hex
from matplotlib.figure import Figure as Canvas
from plane_examples import chosen, made_up_table, odd_tables

from lrlib.interactive import InformationPlane, information_page

LARGEST_DATA = 300_000  # letters of a page's numbers, for a table as large as the full run's


@pytest.fixture(scope="module")
def table():
    return made_up_table()


def settings(figure):
    return {name: getattr(figure, name) for name in ("task", "variant", "seed", "estimator", "noise", "scale", "reading", "eps", "vertical", "step")}  # fmt: skip


# --- what is shown -------------------------------------------------------------------------------------------------


def test_it_starts_with_the_last_variant_and_step_and_the_largest_noise(table):
    figure = InformationPlane(table)
    assert settings(figure) == {
        "task": "teacher",
        "variant": "weight decay",
        "seed": "mean",
        "estimator": "kde",
        "noise": "fixed",
        "scale": 1.0,
        "reading": "absolute",
        "eps": 0.1,
        "vertical": "test_loss",
        "step": 8000,
    }
    assert figure.layers == [f"L{l}" for l in range(1, 7)]


@pytest.mark.parametrize("seed", ["mean", 5])
@pytest.mark.parametrize("step", [0, 500])
def test_rows_are_those_of_the_settings(table, seed, step):
    figure = InformationPlane(table, task="sphere", variant="relu", seed=seed, step=step, noise="layer", reading="relative", eps=0.01)  # fmt: skip
    mine = chosen(table, task="sphere", variant="relu", step=step)
    mine = mine if seed == "mean" else chosen(mine, seed=seed)
    rows = figure.rows.set_index("layer")
    assert list(rows.index) == figure.layers
    for layer, found in rows.iterrows():
        measured = mine[mine["layer"] == layer.replace("L", "H")]
        lower = chosen(measured, reading="kde lower", noise="layer")
        assert found["information"] == pytest.approx(lower["mean"].mean())
        upper = chosen(measured, reading="kde upper", noise="layer")["mean"].mean()
        assert found["upper"] == pytest.approx(upper)
        assert found["cap"] == pytest.approx(np.log(4096))
        assert found["saturated"] == (lower["mean"] >= 0.95 * lower["cap"]).sum()
        assert found["rank"] == pytest.approx(
            chosen(mine, layer=layer, reading="relative", eps=0.01)["mean"].mean()
        )
        label = chosen(measured, reading="binning label")["mean"].mean()
        assert found["vertical"] == pytest.approx(label)


def test_rows_of_other_choices(table):
    figure = InformationPlane(table, estimator="logdet", layers=["L3", "L1"])
    rows = figure.rows
    assert list(rows["layer"]) == figure.layers == ["L1", "L3"]
    assert rows[["upper", "cap"]].isna().all(axis=None)
    mine = chosen(table, task="teacher", variant="weight decay", step=8000)
    assert rows["vertical"].tolist() == pytest.approx([chosen(mine, reading="test_loss")["mean"].mean()] * 2)
    figure.reading = "stable"
    ranks = chosen(mine, reading="stable").groupby("layer")["mean"].mean()
    assert figure.rows["rank"].tolist() == pytest.approx(ranks[["L1", "L3"]].tolist())
    figure.layers = []
    assert figure.rows.empty
    assert {"layer", "information", "upper", "cap", "saturated", "rank", "vertical"} == set(figure.rows)


# --- what is taken and refused -------------------------------------------------------------------------------------


def test_a_change_moves_what_is_not_stored_then(table):
    figure = InformationPlane(table, noise="layer", scale=0.3, seed=2, step=1000)
    figure.task = "sphere"  # neither its variants, nor that scale, nor those steps are stored there
    assert settings(figure) | {"task": "sphere", "variant": "relu", "seed": "mean", "scale": 0.1, "step": 500} == settings(figure)  # fmt: skip
    assert (figure.noise, figure.vertical) == ("layer", "test_loss")
    figure.seed = 5
    figure.variant = "tanh"
    assert figure.seed == "mean"
    figure.seed = 3
    figure.estimator = "exact"  # has no noise, and leaves it as it is
    assert (figure.seed, figure.noise, figure.scale) == (3, "layer", 0.1)
    figure.reading = "effective"
    assert figure.eps == 0.1
    figure.vertical = "binning label"
    figure.task = "teacher"
    assert (figure.estimator, figure.vertical, figure.reading) == ("kde", "test_loss", "effective")
    assert (figure.noise, figure.scale) == ("layer", 0.3)


def test_numbers_move_to_the_nearest_that_is_stored(table):
    figure = InformationPlane(table, step=700, scale=0.5, eps=0.02)
    assert (figure.step, figure.scale, figure.eps) == (1000, 1.0, 0.01)
    figure.step, figure.scale, figure.eps = 40, 0.2, 20.0
    assert (figure.step, figure.scale, figure.eps) == (10, 0.1, 1.0)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"task": "cifar"}, ValueError, r"task='cifar': must be one of 'teacher', 'sphere'"),
        ({"variant": "tanh"}, ValueError, r"variant='tanh': must be one of 'no decay', 'weight decay'"),
        ({"task": "sphere", "variant": "relu", "seed": 2}, ValueError, r"seed=2: must be one of 'mean', 1, 5"),
        ({"estimator": "ksg"}, ValueError, r"estimator='ksg': must be one of 'kde', 'logdet', 'binning'"),
        ({"noise": "loud"}, ValueError, r"noise='loud': must be one of 'fixed', 'layer'"),
        ({"estimator": "binning", "noise": "loud"}, ValueError, r"noise='loud': must be one of 'fixed', 'layer', ''"),
        ({"scale": 0.0}, ValueError, r"scale=0.0: must be finite and above 0"),
        ({"reading": "nuclear"}, ValueError, r"reading='nuclear': must be one of 'absolute', 'relative'"),
        ({"eps": -1.0}, ValueError, r"eps=-1.0: must be"),
        ({"eps": "small"}, TypeError, r"eps='small': must be a number, not str"),
        ({"vertical": "test_accuracy"}, ValueError, r"vertical='test_accuracy': must be one of 'test_loss', 'train_loss'"),
        ({"step": -5}, ValueError, r"step=-5: must be"),
        ({"layers": ["L1", "L9"]}, ValueError, r"layers\[1\]='L9': must be one of 'L1', 'L2'"),
        ({"layers": 3}, traitlets.TraitError, r"expected a list, not the int 3"),
        ({"label": "A b"}, ValueError, r"label='A b': must be lower-case letters"),
        ({"title": " "}, ValueError, r"title=' ': must be a string that is not empty"),
    ],
)  # fmt: skip
def test_arguments_outside_the_rules_are_named(table, options, error, message):
    with pytest.raises(error, match=message):
        InformationPlane(table, **options)


@pytest.mark.parametrize(
    ("name", "value"),
    [("task", "x"), ("variant", "relu"), ("seed", 9), ("estimator", "exact"), ("noise", ""), ("reading", "x"), ("vertical", "binning label"), ("layers", ["x"])]
)  # fmt: skip
def test_a_setting_outside_the_rules_changes_nothing(table, name, value):
    figure = InformationPlane(table)
    before = settings(figure) | {"layers": figure.layers}
    with pytest.raises(ValueError, match="must be one of"):
        setattr(figure, name, value)
    assert settings(figure) | {"layers": figure.layers} == before


# --- its outputs ---------------------------------------------------------------------------------------------------


def test_live_it_hears_the_reader_and_answers(table, monkeypatch):
    monkeypatch.setenv("LRLIB_OUTPUT", "live")
    figure = InformationPlane(table)
    # what the page sends when the task is chosen there: all that had to move with it
    state = {
        "task": "sphere",
        "variant": "tanh",
        "seed": 3,
        "scale": 0.1,
        "vertical": "test_accuracy",
        "step": 50,
    }
    figure._handle_msg({"content": {"data": {"method": "update", "state": state}}})
    assert settings(figure) | state == settings(figure)
    mine = chosen(
        table, task="sphere", variant="tanh", seed=3, step=50, layer="H2", reading="kde lower", noise="fixed"
    )
    assert figure.rows["information"][1] == mine["mean"].item()
    sent = []
    monkeypatch.setattr(figure.comm, "send", lambda *args, **kwargs: sent.append((args, kwargs)))
    figure.task, figure.layers = "teacher", ["L2"]
    told = json.dumps(sent, default=str)
    for part in ('"task": "teacher"', '"variant": "weight decay"', '"step": 10', '"layers": ["L2"]'):
        assert part in told


def test_its_words_hold_nothing_that_the_reader_can_change(table):
    figure = InformationPlane(table)
    other = InformationPlane(table, task="sphere", seed=1, estimator="exact", step=50, layers=["L2"])
    assert figure.alt == other.alt == repr(figure)
    assert "Tasks: teacher (no decay, weight decay); sphere (tanh, relu); up to step 8000" in figure.alt
    assert not re.search("0x[0-9a-f]{6}", figure.alt)


def test_html_is_the_same_for_the_same_table_and_small(table):
    assert InformationPlane(table).page() == InformationPlane(made_up_table()).page()
    figure = InformationPlane(made_up_table(full=True))
    state = figure.page_state()
    assert sum(map(len, state["arrays"].values())) + len(json.dumps(state["values"])) < LARGEST_DATA
    assert len(figure.page().encode()) < LARGEST_DATA + 150_000  # with its code, its style and its still


def drawn_still(figure):
    canvas = Canvas(layout="constrained")
    figure.draw_still(canvas)
    return canvas.axes


@pytest.mark.parametrize(("estimator", "bars"), [("kde", True), ("binning", False)])
def test_the_still_shows_the_paths_the_bounds_and_the_caps(table, estimator, bars):
    figure = InformationPlane(table, task="sphere", variant="tanh", estimator=estimator, layers=["L1", "L2", "L6"], step=500)  # fmt: skip
    left, right = drawn_still(figure)
    mine = chosen(table, task="sphere", variant="tanh")
    reading = "kde lower" if bars else "binning"
    rows = figure.rows.set_index("layer")
    for layer in ("L1", "L2", "L6"):
        own = chosen(mine, layer=layer.replace("L", "H"), reading=reading)
        own = chosen(own, noise="fixed") if bars else own
        information = own.groupby("step")["mean"].mean().to_numpy()
        label = (
            chosen(mine, layer=layer.replace("L", "H"), reading="binning label")
            .groupby("step")["mean"]
            .mean()
        )
        rank = chosen(mine, layer=layer, reading="absolute", eps=0.1).groupby("step")["mean"].mean()
        for ax, x, y in ((left, information, label), (right, rank, information)):
            (line,) = [line for line in ax.lines if line.get_label() == layer]
            np.testing.assert_allclose(line.get_xdata(), x)
            np.testing.assert_allclose(line.get_ydata(), y)
        points = [line for line in left.lines if len(line.get_xdata()) == 1 and line.get_marker() == "o"]
        point = points[["L1", "L2", "L6"].index(layer)]
        assert point.get_xdata()[0] == pytest.approx(rows.loc[layer, "information"])
        assert (to_hex(point.get_markerfacecolor()) == "#ffffff") == (rows.loc[layer, "saturated"] > 0)
    ends = np.array([segment for lines in left.collections for segment in lines.get_segments()])
    assert ends[:, :, 0].tolist() == pytest.approx(np.array([rows["information"], rows["upper" if bars else "information"]]).T)  # fmt: skip
    caps = {
        round(line.get_xdata()[0], 6)
        for line in left.lines
        if line.get_linestyle() == "--" and len(line.get_xdata()) == 2
    }
    assert caps == ({round(np.log(4096), 6)} if bars else {round(np.log(4096), 6), round(2 * np.log(30), 6)})
    named = [text.get_text() for text in left.texts]
    assert {name for text in named for name in text.split(", ")} >= {"L1", "L2", "L6"}
    assert {text for text in named if text.startswith("cap")} == (
        {"cap ln 4,096 = 8.318"} if bars else {"cap ln 4,096 = 8.318", "cap ln 900 = 6.802"}
    )


def test_the_still_follows_every_setting(table):
    figure = InformationPlane(table)
    stills = {figure.still()}
    changes = {"variant": "no decay", "seed": 1, "noise": "layer", "scale": 0.3, "estimator": "logdet", "reading": "relative", "eps": 0.01, "vertical": "train_loss", "step": 10, "layers": ["L2"], "task": "sphere"}  # fmt: skip
    for name, value in changes.items():
        setattr(figure, name, value)
        stills.add(figure.still())
    assert len(stills) == 1 + len(changes)
    assert max(map(len, stills)) < 60_000


@pytest.mark.parametrize("n", [2, 900, 1000, 2000, 4096, 10_000])
def test_a_cap_of_a_stored_table_has_its_name(n):
    stored = float(f"{np.log(n):.6g}")  # as lrlib.store writes it
    assert information_page.cap_text(stored) == f"ln {n:,} = {np.log(n):.3f}"
    assert information_page.cap_text(np.log(n) * 1.001) == f"{np.log(n) * 1.001:.3f}"
    assert information_page.cap_text(11.0021) == "11.002"  # 60,000, or 60,001


@pytest.mark.parametrize("odd", odd_tables())
def test_odd_tables_have_rows_a_still_and_a_page(odd):
    figure = InformationPlane(odd_tables()[odd])
    assert len(figure.rows) >= 1
    assert figure.still()
    assert "information-plane" in figure.page()
