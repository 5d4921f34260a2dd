"""BetaDial in Python: what it shows, takes and refuses, its still and its words."""

import json
import math
import re

import numpy as np
import pytest
import traitlets
from beta_examples import BETAS, SHORT, THRESHOLDS, decoder_and_positions, made_up_table, small_table
from beta_page import chosen
from matplotlib.figure import Figure as Canvas

from lrlib.interactive import BetaDial, beta_still

LARGEST_DATA = 80_000  # letters of a page's numbers, for 15 betas, 3 seeds, 256 code numbers and 15 planes
ROUNDING = 1e-12  # a few float64 operations


# --- what is shown -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [None, 1])
@pytest.mark.parametrize("beta", [1e-6, 0.5, 1.0])
def test_rows_are_those_of_the_settings(beta, seed):
    table = made_up_table()
    figure = BetaDial(table, beta=beta, seed=seed, readings=["effective", "absolute", ("global", 0.1)])
    rows = figure.rows
    assert list(rows["reading"]) == ["global", "absolute", "absolute", "absolute", "effective"]
    for row in rows.itertuples():
        eps = None if math.isnan(row.eps) else row.eps
        values = chosen(table, reading=row.reading, eps=eps, beta=beta, seed=seed)
        assert (row.mean, row.low, row.high) == pytest.approx(
            (values.mean(), values.min(), values.max()), rel=ROUNDING
        )
        assert row.seeds == (3 if seed is None else 1)
    for row in figure.network.itertuples():
        values = chosen(table, reading=row.quantity, layer="network", beta=beta, seed=seed)
        assert (row.mean, row.low, row.high) == pytest.approx(
            (values.mean(), values.min(), values.max()), rel=ROUNDING
        )
    assert list(figure.network["quantity"])[:3] == ["test_error", "distortion", "rate"]


def test_a_number_that_one_seed_lacks_is_the_mean_of_the_others():
    table = small_table()
    gone = table["seed"].eq(0) & table["reading"].eq("effective") & table["part"].eq("sweep")
    figure = BetaDial(table[~gone], readings=["effective"], beta=0.5)
    [left] = chosen(table, reading="effective", beta=0.5, seed=1)
    assert figure.rows[["mean", "low", "high", "seeds"]].values.tolist() == [[left, left, left, 1]]
    figure.seed = 0
    assert math.isnan(figure.rows["mean"][0])
    assert figure.rows["seeds"][0] == 0


def test_it_starts_in_the_middle_with_four_readings():
    figure = BetaDial(made_up_table())
    assert (figure.beta, figure.seed, figure.spectrum, figure.against) == (0.2, None, "global", "distortion")
    assert figure.readings == [
        ["global", 0.01],
        ["signal-to-noise", 1.0],
        ["absolute", 0.1],
        ["relative", 0.1],
    ]
    some = small_table()
    some = BetaDial(some[some["reading"].isin(["effective", "stable", "jacobian_spectrum"])])
    assert (some.readings, some.spectrum) == ([["effective", None], ["stable", None]], "jacobian")


def test_a_beta_moves_to_the_nearest_stored_one():
    figure = BetaDial(made_up_table(), beta=0.0032)
    assert figure.beta == 0.01  # on a log scale
    figure.beta = 0.74
    assert figure.beta == 0.7


# --- what is taken and refused -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"sweep": "sweeps"}, ValueError, r"sweep='sweeps': the table has no such part; must be one of 'sweep', 'plane', 'strength'"),
        ({"beta": 2}, ValueError, r"beta=2: must be between 0.001 and 1"),
        ({"beta": "all"}, TypeError, r"beta='all': must be a number"),
        ({"seed": 2}, ValueError, r"seed=2: must be one of None, 0, 1"),
        ({"spectrum": "local"}, ValueError, r"spectrum='local': must be one of 'global', 'jacobian', 'signal-to-noise', 'rate'"),
        ({"readings": "global"}, TypeError, r"readings='global': must be a list of names, or of pairs"),
        ({"readings": 3}, TypeError, r"readings=3: must be a list of names, or of pairs"),
        ({"readings": ["local"]}, ValueError, r"readings\[0\]='local': must be one of 'global', 'global relative'"),
        ({"readings": ["stable", ("global", 1.0)]}, ValueError, r"readings\[1\]: eps=1.0: must be one of 0.01, 0.1"),
        ({"readings": [3]}, TypeError, r"readings\[0\]=3: must be a name, or a pair \(name, threshold\)"),
        ({"readings": [("global", 0.1, 1)]}, TypeError, r"readings\[0\]=\('global', 0.1, 1\): must be a name, or a pair"),
        ({"label": "A b"}, ValueError, r"label='A b': must be lower-case letters"),
        ({"title": " "}, ValueError, r"title=' ': must be a string that is not empty"),
    ],
)  # fmt: skip
def test_arguments_outside_the_rules_are_named(options, error, message):
    with pytest.raises(error, match=message):
        BetaDial(small_table(), **options)


def test_a_sweep_of_two_shapes_is_refused():
    table = small_table()
    table["part"] = table["part"].replace("plane", "sweep")
    with pytest.raises(ValueError, match=r"table: part 'sweep' has code 2, 16; must have one"):
        BetaDial(table)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("beta", 5.0),
        ("seed", 9),
        ("spectrum", "x"),
        ("readings", ["x"]),
        ("readings", [["global", 7]]),
        ("against", "x"),
    ],
)
def test_a_setting_outside_the_rules_changes_nothing(name, value):
    figure = BetaDial(small_table())
    before = getattr(figure, name)
    with pytest.raises((ValueError, traitlets.TraitError), match="must be"):
        setattr(figure, name, value)
    assert getattr(figure, name) == before


# --- its outputs ---------------------------------------------------------------------------------------------------


def test_live_it_hears_the_reader_and_answers(monkeypatch):
    monkeypatch.setenv("LRLIB_OUTPUT", "live")
    figure = BetaDial(small_table())
    state = {"beta": 0.5, "seed": 1, "spectrum": "rate", "readings": [["stable", None], ["global", 0.1]], "against": "test_error"}  # fmt: skip
    figure._handle_msg({"content": {"data": {"method": "update", "state": state}}})
    assert (figure.beta, figure.seed, figure.spectrum, figure.against) == (0.5, 1, "rate", "test_error")
    assert figure.readings == [["global", 0.1], ["stable", None]]
    assert list(figure.rows["reading"]) == ["global", "stable"]
    sent = []
    monkeypatch.setattr(figure.comm, "send", lambda *args, **kwargs: sent.append((args, kwargs)))
    figure.beta, figure.seed, figure.readings = 1.0, None, ["active"]
    told = json.dumps(sent, default=str)
    for words in ('"beta": 1.0', '"seed": null', '"readings": [["active", 0.01]]'):
        assert words in told


def test_its_words_hold_nothing_that_the_reader_can_change():
    figure = BetaDial(made_up_table())
    other = BetaDial(made_up_table(), beta=1.0, seed=2, spectrum="rate", readings=[])
    assert figure.alt == other.alt == repr(figure)
    assert (
        "with 256 code numbers at 15 values of beta from 1e-06 to 1, 3 seeds each: test images" in figure.alt
    )
    assert not re.search("0x[0-9a-f]{6}", figure.alt)
    one = BetaDial(small_table(seeds=1, plane=()))
    assert "1 seed each: the spectrum" in one.alt


def test_html_is_the_same_for_the_same_table_and_small():
    figure = BetaDial(made_up_table())
    html = figure.page()
    assert html == BetaDial(made_up_table()[::-1]).page()
    state = figure.page_state()
    assert sum(map(len, state["arrays"].values())) + len(json.dumps(state["values"])) < LARGEST_DATA
    assert len(html.encode()) < 200_000  # with its code, its style and its still


def test_lines_can_be_told_apart():
    colours, dashes = beta_still.styles(BetaDial(made_up_table()).sweep)
    assert len(set(zip(colours, dashes, strict=True))) == sum(map(len, THRESHOLDS.values())) == 15


def drawn_still(figure):
    canvas = Canvas(layout="constrained")
    figure.draw_still(canvas)
    return canvas.axes


@pytest.mark.parametrize("seed", [None, 1])
def test_the_still_shows_what_the_table_holds(seed):
    table = small_table()
    figure = BetaDial(
        table, beta=0.5, seed=seed, readings=["effective", ("global", 0.1)], spectrum="jacobian"
    )
    plane, costs, spectrum, readings = drawn_still(figure)

    def means(**of):
        return [chosen(table, beta=beta, seed=seed, **of).mean() for beta in SHORT]

    lines = [line for line in costs.lines if line.get_linestyle() == "-"]
    np.testing.assert_allclose(lines[0].get_xdata(), means(reading="rate", layer="network"))
    np.testing.assert_allclose(lines[0].get_ydata(), means(reading="distortion", layer="network"))
    for line, (name, eps) in zip(readings.lines, (("global", 0.1), ("effective", None)), strict=False):
        np.testing.assert_allclose(line.get_ydata(), means(reading=name, eps=eps))
    assert list(spectrum.lines[0].get_xdata()) == list(range(1, 17))
    own = table[table["part"].eq("sweep") & table["reading"].eq("jacobian_spectrum") & table["beta"].eq(0.5)]
    texts = (own if seed is None else own[own["seed"].eq(seed)])["values"]
    expected = np.mean([[float(pair.split(":")[1]) for pair in text.split()] for text in texts], axis=0)
    np.testing.assert_allclose(spectrum.lines[0].get_ydata(), expected)
    _, positions = decoder_and_positions(table, 0.5)
    offsets = np.concatenate([found.get_offsets() for found in plane.collections])
    assert sorted(map(tuple, offsets)) == sorted(map(tuple, positions[:, :2]))


def test_the_still_follows_the_settings():
    figure = BetaDial(small_table())
    stills = {figure.still()}
    changes = (("beta", 1.0), ("seed", 1), ("spectrum", "rate"), ("readings", ["stable"]), ("readings", []), ("against", "test_error"))  # fmt: skip
    for name, value in changes:
        setattr(figure, name, value)
        stills.add(figure.still())
    assert len(stills) == 1 + len(changes)
    assert max(map(len, stills)) < 80_000


def odd_tables():
    whole = small_table()
    sweep = whole[whole["part"].eq("sweep")]
    return {
        "one beta, one seed": small_table(betas=(0.5,), seeds=1, plane=(0.5,)),
        "no plane": sweep,
        "a plane at other betas": small_table(plane=(0.2,)),
        "no costs": whole[whole["layer"].ne("network")],
        "costs only": sweep[sweep["layer"].eq("network")],
        "no test error": whole[whole["reading"].ne("test_error")],
        "a code of two numbers": small_table(code=2),
        "all betas": small_table(betas=BETAS, plane=BETAS),
    }


@pytest.mark.parametrize("name", odd_tables())
def test_odd_tables_have_a_still_and_a_page(name):
    figure = BetaDial(odd_tables()[name])
    for against in ("distortion", "test_error"):
        figure.against = against
        assert figure.still()
    assert "beta-dial" in figure.page()


def test_the_last_decade_is_stretched_where_many_betas_lie():
    assert beta_still.knee(BETAS) == 0.1
    assert beta_still.knee((1e-4, 1e-3, 1e-2, 0.1, 1.0)) is None  # evenly spread
    assert beta_still.knee((0.1, 0.3, 0.5, 1.0)) is None  # one decade
    assert beta_still.knee((0.5,)) is None
