"""BottleneckDial in Python: what it computes, what it takes and refuses, its still and its words."""

import json
import math
import re
from itertools import pairwise

import numpy as np
import pytest
import torch
import traitlets
from dial_examples import SETTINGS, expected
from scipy.optimize import minimize_scalar

from lrlib.interactive import BottleneckDial
from lrlib.interactive.bottleneck_dial import BETAS, CORRELATIONS, PRESETS, THRESHOLDS

ROUNDING = 1e-9  # correlations go through an SVD, and 1 - rho^2 at rho = 0.999 loses three digits


@pytest.mark.parametrize(("rhos", "beta", "eps", "relative"), SETTINGS)
def test_it_computes_the_closed_form(rhos, beta, eps, relative):
    dial = BottleneckDial(rhos, beta=beta, eps=eps, relative=relative)
    wanted = expected(rhos, beta, eps, relative)
    sigmas = sorted(wanted.sigmas, reverse=True)
    np.testing.assert_allclose(dial.singular_values, sigmas, rtol=ROUNDING, atol=1e-12)
    assert (dial.rank, dial.count) == (wanted.rank, wanted.count)
    assert dial.i_xt == pytest.approx(sum(wanted.x), rel=ROUNDING, abs=ROUNDING)
    assert dial.i_ty == pytest.approx(sum(wanted.y), rel=ROUNDING, abs=ROUNDING)


@pytest.mark.parametrize("beta", [1.2, 1.6, 2.0, 20.0])
def test_no_other_gain_of_a_direction_is_better(beta):
    rho = 0.8

    def lagrangian(log_sigma):
        gain = math.exp(2 * log_sigma)
        x = math.log1p(gain) / 2
        return x - beta * (x - math.log1p(gain * (1 - rho**2)) / 2)  # I(T;Y) = I(X;T) - I(X;T|Y)

    found = minimize_scalar(lagrangian, bounds=(-8, 8), method="bounded", options={"xatol": 1e-9})
    dial = BottleneckDial([rho], beta=beta)
    if dial.rank:
        # the search compares values of the Lagrangian, so it finds the place to the root of their rounding
        assert math.exp(found.x) == pytest.approx(float(dial.singular_values[0]), rel=1e-6)
    else:
        assert found.x == pytest.approx(-8, abs=1e-3)  # as small as it may


def test_the_scalar_yardstick_in_bits():
    dial = BottleneckDial([0.8])
    bits = {2.0: (0.4150, 0.2370), 5.0: (1.4150, 0.5760), 20.0: (2.5390, 0.7000)}  # FACTS, section 4
    for dial.beta, wanted in bits.items():
        found = (dial.i_xt / math.log(2), dial.i_ty / math.log(2))
        assert found == pytest.approx(wanted, abs=5.1e-5)  # four decimals
    dial.beta = 1.55
    assert (dial.rank, dial.i_xt, dial.i_ty) == (0, 0.0, 0.0)  # the critical beta is 1.5625
    dial.beta = 1.6
    assert dial.rank == 1


def test_places_are_round_and_the_familiar_ones_are_there():
    assert (BETAS[0], BETAS[-1], len(BETAS)) == (1.0, 1000.0, 226)
    assert (THRESHOLDS[0], THRESHOLDS[-1], len(THRESHOLDS)) == (0.01, 10.0, 61)
    assert (CORRELATIONS[0], CORRELATIONS[-1], len(CORRELATIONS)) == (0.0, 0.999, 102)
    for grid, familiar in (
        (BETAS, {1.5, 2.0, 4.0, 5.0, 20.0, 25.0, 100.0}),
        (THRESHOLDS, {0.01, 0.1, 0.5, 1.0}),
        (CORRELATIONS, {0.5, 0.8, 0.95, 0.99}),
    ):
        assert familiar <= set(grid)
        assert all(a < b for a, b in pairwise(grid))
        assert all(v == float(f"{v:.3g}") for v in grid)
    assert max(b / a for a, b in pairwise(BETAS)) < 1.051
    for values in PRESETS.values():
        assert BottleneckDial(values).correlations == values


def test_what_is_set_moves_to_the_nearest_place():
    dial = BottleneckDial(np.array([0.951, 1 / math.sqrt(2), 0.998]), beta=5.02, eps=0.102)
    assert (dial.correlations, dial.beta, dial.eps) == ([0.95, 0.71, 0.999], 5.0, 0.1)
    dial.correlations, dial.beta, dial.eps = torch.tensor([0.3]).tolist(), 960, 9.7
    assert (dial.correlations, dial.beta, dial.eps) == ([0.3], 960.0, 10.0)
    dial.correlations = (0.2, 0)
    assert dial.correlations == [0.2, 0.0]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"beta": 0.9}, ValueError, r"beta=0.9: must be between 1 and 1000"),
        ({"beta": 1001}, ValueError, r"beta=1001: must be between 1 and 1000"),
        ({"beta": math.nan}, ValueError, r"beta=nan: must be finite"),
        ({"beta": "5"}, TypeError, r"beta='5': must be a number"),
        ({"eps": 0}, ValueError, r"eps=0: must be between 0.01 and 10"),
        ({"eps": math.inf}, ValueError, r"eps=inf: must be finite"),
        ({"relative": "yes"}, TypeError, r"relative='yes': must be True or False"),
        ({"correlations": []}, ValueError, r"correlations=\[\]: must be 1 to 6 numbers in a row"),
        ({"correlations": [0.5] * 7}, ValueError, r"correlations=\[.*\]: must be 1 to 6 numbers in a row"),
        ({"correlations": 0.5}, ValueError, r"correlations=0.5: must be 1 to 6 numbers in a row"),
        ({"correlations": [[0.5]]}, ValueError, r"correlations=\[\[0.5\]\]: must be 1 to 6 numbers in a row"),
        ({"correlations": None}, ValueError, r"correlations=None: must be 1 to 6 numbers in a row"),
        ({"correlations": ["a"]}, TypeError, r"correlations=\['a'\]: must be a sequence of numbers"),
        ({"correlations": [0.5, 1.0]}, ValueError, r"correlations\[1\]=1: must be between 0 and 0.999"),
        ({"correlations": [-0.1]}, ValueError, r"correlations\[0\]=-0.1: must be between 0 and 0.999"),
        ({"correlations": [math.nan]}, ValueError, r"correlations\[0\]=nan: must be between 0 and 0.999"),
    ],
)
def test_settings_outside_the_rules_are_named(change, error, message):
    with pytest.raises(error, match=message):
        BottleneckDial(**change)
    [(name, value)] = change.items()
    dial = BottleneckDial()
    before = getattr(dial, name)
    # traitlets itself refuses what is not even of the trait's type
    with pytest.raises((error, traitlets.TraitError)):
        setattr(dial, name, value)
    assert getattr(dial, name) == before


def test_live_it_hears_the_reader_and_answers(monkeypatch):
    monkeypatch.setenv("LRLIB_OUTPUT", "live")
    dial = BottleneckDial()
    state = {"correlations": [0.8, 0.5], "beta": 20, "eps": 0.5, "relative": True}
    dial._handle_msg({"content": {"data": {"method": "update", "state": state}}})
    assert (dial.correlations, dial.beta, dial.eps, dial.relative) == ([0.8, 0.5], 20.0, 0.5, True)
    assert (dial.rank, dial.count) == (2, 1)  # sigma 5.7 and 2.3
    sent = []
    monkeypatch.setattr(dial.comm, "send", lambda *args, **kwargs: sent.append((args, kwargs)))
    dial.correlations = [0.9]
    assert '"correlations": [0.9]' in json.dumps(sent, default=str)


def test_its_words_hold_nothing_that_the_reader_can_change():
    dial, other = BottleneckDial(), BottleneckDial([0.1], beta=100.0, eps=1.0, relative=True)
    assert dial.alt == other.alt == repr(dial)
    assert not re.search("0x[0-9a-f]{6}|[0-9]", dial.alt)


def test_html_is_the_same_for_the_same_input_and_small():
    html = BottleneckDial().page()
    assert html == BottleneckDial(np.array([0.95, 0.8, 0.5])).page()
    assert len(html.encode()) < 120_000  # half of it is the still


def test_the_still_follows_the_settings():
    dial = BottleneckDial()
    stills = {dial.still()}
    changes = (("beta", 2.0), ("eps", 1.0), ("relative", True), ("correlations", [0.8, 0.4]))
    for name, value in changes:
        setattr(dial, name, value)
        stills.add(dial.still())
    assert len(stills) == 5
    assert max(map(len, stills)) < 60_000


def test_the_still_draws_each_direction_in_its_own_style(monkeypatch):
    from matplotlib.figure import Figure as Canvas

    rhos, canvas = [0.5, 0.95, 0.8], Canvas()
    BottleneckDial(rhos, beta=20.0).draw_still(canvas)
    lines = {line.get_label(): line for line in canvas.axes[0].get_lines()}
    for i, rho in enumerate(rhos):
        betas, sigmas = lines[rf"$\sigma_{{{i + 1}}}$"].get_data()
        np.testing.assert_allclose(sigmas, expected_curve(rho, betas), rtol=ROUNDING, atol=1e-7)


def expected_curve(rho, betas):
    return [expected([rho], beta, 1.0, False).sigmas[0] for beta in betas]


@pytest.mark.parametrize("rhos", [[0.0], [0.999], [0.5] * 6, [0.0, 0.999], [0.01, 0.02, 0.03]])
def test_odd_correlations_have_a_still(rhos):
    assert BottleneckDial(rhos, beta=1000.0, eps=10.0, relative=True).still()
    assert BottleneckDial(rhos, beta=1.0).rank == 0
