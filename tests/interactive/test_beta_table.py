"""The table of BetaDial: what is read of it, and what is refused."""

import math

import numpy as np
import pandas as pd
import pytest
from beta_examples import BETAS, SHORT, decoder_and_positions, made_up_table, small_table
from beta_page import chosen, pairs_of

from lrlib.interactive.beta_table import NETWORK, SPECTRA, read_planes, read_sweep


def test_every_number_is_at_its_place():
    table = made_up_table()
    sweep = read_sweep(table.sample(frac=1, random_state=0), "sweep")  # in any order
    assert (sweep.betas, sweep.seeds) == (BETAS, (0, 1, 2))
    assert (sweep.code, sweep.width, sweep.n) == (256, 64, 6000)
    assert sweep.ranks.shape == (15, 3, 15)
    for b, beta in enumerate(BETAS):
        for s in range(3):
            for r, (name, eps) in enumerate(sweep.columns):
                [value] = chosen(table, reading=name, eps=eps, beta=beta, seed=s)
                assert sweep.ranks[b, s, r] == value
            for i, name in enumerate(NETWORK):
                [value] = chosen(table, reading=name, layer="network", beta=beta, seed=s)
                assert sweep.network[b, s, i] == value
    own = table[table["part"].eq("sweep") & table["seed"].eq(1) & table["beta"].eq(0.4)].set_index("reading")
    for name, reading in SPECTRA.items():
        expected = pairs_of(own.loc[reading, "values"])
        assert (
            dict(zip(sweep.spectra[name].places, sweep.spectra[name].values[9, 1], strict=True)) == expected
        )


def test_readings_have_one_order_whatever_the_table():
    first = read_sweep(small_table(), "sweep").columns
    assert first[:5] == (("global", 0.01), ("global", 0.1), ("global relative", 0.01), ("active", 0.01), ("signal-to-noise", 0.1))  # fmt: skip
    assert first[-2:] == (("effective", None), ("stable", None))
    assert read_sweep(small_table()[::-1], "sweep").columns == first
    table = small_table()
    table["reading"] = table["reading"].replace("global", "another")
    columns = read_sweep(table, "sweep").columns
    assert columns[-2:] == (("another", 0.01), ("another", 0.1))


def test_what_is_not_stored_is_nan():
    table = small_table()
    gone = (
        table["seed"].eq(1)
        & table["beta"].eq(0.5)
        & table["reading"].isin(["effective", "rate", "snr_spectrum"])
    )
    sweep = read_sweep(table[~gone], "sweep")
    place = sweep.columns.index(("effective", None))
    assert np.argwhere(np.isnan(sweep.ranks)).tolist() == [[2, 1, place]]
    assert np.argwhere(np.isnan(sweep.network)).tolist() == [[2, 1, NETWORK.index("rate")]]
    assert np.isnan(sweep.spectra["signal-to-noise"].values[2, 1]).all()
    assert np.isfinite(sweep.spectra["signal-to-noise"].values[2, 0]).all()
    without = read_sweep(table[~table["reading"].eq("rate_spectrum")], "sweep")
    assert list(without.spectra) == ["global", "jacobian", "signal-to-noise"]


def test_a_rate_that_was_rounded_to_less_than_zero_is_zero():
    sweep = read_sweep(
        changed("values", "1:2 2:-1e-17", "rate_spectrum").query("beta == 0.001 and seed == 0"), "sweep"
    )
    assert sweep.spectra["rate"].values.tolist() == [[[2.0, 0.0]]]


def test_planes_are_those_of_the_first_seed():
    table = small_table()
    second = table[table["part"].eq("plane")].assign(seed=7, values="1,1,1,1,0")
    planes = read_planes(pd.concat([second, table]), "plane")
    assert tuple(planes) == SHORT
    for beta, plane in planes.items():
        decoder, positions = decoder_and_positions(table, beta)
        np.testing.assert_array_equal(plane.decoder, decoder)
        np.testing.assert_array_equal(np.column_stack([plane.means, plane.scales, plane.classes]), positions)
        assert plane.seed == 0
        [error] = chosen(table, reading="test_error", layer="network", beta=beta, part="plane")
        assert plane.error == error
        for x, y, named, is_wrong in zip(*plane.means.T, plane.classes, plane.wrong, strict=True):
            scores = [w1 * x + w2 * y + b for w1, w2, b in decoder]
            assert is_wrong == (scores.index(max(scores)) != named)


def test_a_table_without_a_plane_has_none():
    table = small_table()
    assert read_planes(table[table["part"].ne("plane")], "plane") == {}
    assert read_planes(table, "sweep") == {}  # a part whose code is not two numbers
    some = table[~(table["reading"].eq("decoder") & table["beta"].eq(0.5))]
    assert tuple(read_planes(some, "plane")) == (0.001, 0.1, 1.0)
    no_numbers = read_planes(table[~table["layer"].eq("network")], "plane")
    assert {(plane.error, plane.rate) for plane in no_numbers.values()} == {(None, None)}


# --- what is refused -----------------------------------------------------------------------------------------------


def changed(column, value, reading="effective", part="sweep"):
    table = small_table().astype({column: object})
    place = table.index[table["part"].eq(part) & table["reading"].eq(reading)][0]
    table.loc[place, column] = value
    return table


@pytest.mark.parametrize(
    ("table", "error", "message"),
    [
        ([1, 2], TypeError, r"table: must be a pandas.DataFrame, not list"),
        (small_table().drop(columns=["eps", "values"]), ValueError, r"table: has no column eps, values; must have part"),
        (small_table().iloc[:0], ValueError, r"sweep='sweep': the table has no such part; must be one of $"),
        (small_table().replace("sweep", "dense"), ValueError, r"sweep='sweep': .* must be one of 'dense', 'plane', 'strength'"),
        (changed("beta", 0), ValueError, r"table: beta is 0 in a row; must be finite and above 0"),
        (changed("beta", math.nan), ValueError, r"table: beta is nan in a row; must be finite and above 0"),
        (changed("mean", math.inf), ValueError, r"table: mean is inf in a row; must be finite, or nothing"),
        (changed("mean", "many"), TypeError, r"table: mean is of dtype object; must be numbers"),
        (changed("seed", 0.5), ValueError, r"table: seed is 0.5 in a row; must be whole and at least 0"),
        (changed("code", 0), ValueError, r"table: code is 0 in a row; must be whole and at least 1"),
        (changed("width", 32), ValueError, r"table: part 'sweep' has width 32, 64; must have one, so that only beta varies"),
        (changed("reading", "stable"), ValueError, r"table: 'stable' of part 'sweep', beta 0.001, seed 0 is there more than once"),
        (changed("values", "1:2 3", "snr_spectrum"), ValueError, r"table: snr_spectrum is '1:2 3' in a row; must be 'place:value' pairs"),
        (changed("values", "", "snr_spectrum"), ValueError, r"table: snr_spectrum is '' in a row; must be 'place:value' pairs"),
        (changed("values", None, "snr_spectrum"), ValueError, r"table: snr_spectrum is 'None' in a row; must be 'place:value' pairs"),
        (changed("values", "1:2 1:3", "snr_spectrum"), ValueError, r"table: snr_spectrum is '1:2 1:3'; must have rising places"),
        (changed("values", "1:2 2:-3", "snr_spectrum"), ValueError, r"table: snr_spectrum is '1:2 2:-3'; .* values at least 0"),
        (changed("values", "1:2 2:1", "snr_spectrum"), ValueError, r"table: snr_spectrum has different places in its rows"),
    ],
)  # fmt: skip
def test_sweeps_outside_the_rules_are_refused_by_name(table, error, message):
    with pytest.raises(error, match=message):
        read_sweep(table, "sweep")


@pytest.mark.parametrize(
    ("reading", "text", "message"),
    [
        (
            "positions",
            "1,2,3",
            r"table: positions is '1,2,3' in a row; must be groups of 5 numbers with commas",
        ),
        ("positions", "1,2,x,4,5", r"table: positions is '1,2,x,4,5' in a row; must be groups of 5 numbers"),
        ("decoder", "1,2,3 4,5", r"table: decoder is '1,2,3 4,5' in a row; must be groups of 3 numbers"),
        ("decoder", "1,2,inf", r"table: decoder is '1,2,inf' in a row; must be groups of 3 numbers"),
        ("positions", "1,2,0,1,0", r"positions at beta 0.001 have a scale that is not positive, or a class"),
        ("positions", "1,2,1,1,10", r"or a class that is not one of the decoder's 10, from 0"),
        ("positions", "1,2,1,1,0.5", r"or a class that is not one of the decoder's 10, from 0"),
        ("positions", " ".join(["1,2,1,1,0"] * 1001), r"part 'plane' has 1001 images; must be at most 1000"),
        ("decoder", " ".join(["1,2,1"] * 21), r"part 'plane' has 21 classes; must be at most 20"),
    ],
)
def test_planes_outside_the_rules_are_refused_by_name(reading, text, message):
    with pytest.raises(ValueError, match=message):
        read_planes(changed("values", text, reading, "plane"), "plane")


def test_there_are_limits():
    row = small_table().query("part == 'sweep' and reading == 'global'").iloc[0].to_dict()
    for column, name, most, values in (
        ("beta", "betas", 40, range(1, 42)),
        ("seed", "seeds", 20, range(21)),
        ("eps", "readings", 24, range(1, 26)),
    ):
        table = pd.DataFrame([{**row, column: value} for value in values])
        read_sweep(table[:most], "sweep")
        with pytest.raises(ValueError, match=f"part 'sweep' has {most + 1} {name}; must be at most {most}"):
            read_sweep(table, "sweep")
