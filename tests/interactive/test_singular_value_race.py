"""SingularValueRace in Python: what it computes, what it takes and refuses, its still and its words."""

import json
import math
import re
from itertools import pairwise

import numpy as np
import pytest
import traitlets

from lrlib.interactive import SingularValueRace
from lrlib.interactive.singular_value_race import DECAYS, STARTS, THRESHOLDS, TIMES

TARGET = (4.0, 2.0, 1.0, 0.5, 0.25, 0.0)
ROUNDING = 1e-12  # a few float64 operations


def test_the_path_is_that_of_the_settings():
    race = SingularValueRace(depth=1, start=0.1, weight_decay=0.5)
    s, t = np.array(TARGET), np.array(TIMES)[:, None]
    expected = s / 1.5 + (0.1 - s / 1.5) * np.exp(-1.5 * t)  # sigma' = s - 1.5 sigma
    np.testing.assert_allclose(race.path, expected, rtol=ROUNDING, atol=ROUNDING)
    race.depth, race.weight_decay = 2, 0.0
    logistic = [v / (1 + (v / 0.1 - 1) * np.exp(-2 * v * t[:, 0])) for v in TARGET[:-1]]
    np.testing.assert_allclose(race.path[:, :-1].T, logistic, rtol=1e-9)  # it cancels where v is near 0.1


def test_counts_are_what_lies_above_the_threshold():
    race = SingularValueRace(eps=0.3)
    assert race.counts.tolist() == [sum(v > 0.3 for v in row) for row in race.path.tolist()]
    assert (race.counts[0], race.counts[-1]) == (0, 4)
    race.eps = 0.001  # the target 0 has not yet fallen below it at depth 3
    assert (race.counts[0], race.counts[-1]) == (6, 5)


@pytest.mark.parametrize("depth", [1, 2, 3, 6])
@pytest.mark.parametrize("start", [0.01, 0.5])
def test_a_mode_that_ends_at_the_threshold_never_passes_it(depth, start):
    race = SingularValueRace([1.0, 0.5], depth=depth, start=start, eps=0.5)
    assert race.counts.max() == race.counts[-1] == 1


def test_places_are_round_and_the_familiar_ones_are_there():
    assert (TIMES[0], TIMES[-1], len(TIMES)) == (0.01, 10000.0, 121)
    assert (STARTS[0], STARTS[-1]) == (1e-4, 1.0)
    assert (THRESHOLDS[0], THRESHOLDS[-1]) == (1e-3, 1.0)
    assert DECAYS[:2] == [0.0, 1e-3]
    assert DECAYS[-1] == 1.0
    for grid, familiar in (
        (TIMES, {0.5, 5.0, 100.0}),
        (DECAYS, {0.01, 0.1}),
        (THRESHOLDS, {0.01, 0.1, 0.2, 0.25}),
    ):
        assert familiar <= set(grid)
        assert all(a < b for a, b in pairwise(grid))
        assert all(v == float(f"{v:.2g}") for v in grid)


def test_what_is_set_moves_to_the_nearest_place():
    race = SingularValueRace(start=0.0101, weight_decay=0.0104, eps=0.102, time=5.1)
    assert (race.start, race.weight_decay, race.eps, race.time) == (0.01, 0.01, 0.1, 5.0)
    race.time, race.weight_decay, race.eps, race.start = 9400, 0, 0.97, 1e-4
    assert (race.time, race.weight_decay, race.eps, race.start) == (8900.0, 0.0, 1.0, 1e-4)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"depth": 0}, ValueError, r"depth=0: must be between 1 and 6"),
        ({"depth": 7}, ValueError, r"depth=7: must be between 1 and 6"),
        ({"depth": 2.5}, TypeError, r"depth=2.5: must be an integer"),
        ({"depth": True}, TypeError, r"depth=True: must be an integer"),
        ({"start": 0.0}, ValueError, r"start=0: must be between 0.0001 and 1"),
        ({"start": 1.5}, ValueError, r"start=1.5: must be between 0.0001 and 1"),
        ({"weight_decay": 1e-9}, ValueError, r"weight_decay=1e-09: must be 0 or between 0.001 and 1"),
        ({"weight_decay": -1.0}, ValueError, r"weight_decay=-1.0: must be finite and at least 0"),
        ({"eps": 0}, ValueError, r"eps=0: must be between 0.001 and 1"),
        ({"eps": math.nan}, ValueError, r"eps=nan: must be finite"),
        ({"eps": "0.1"}, TypeError, r"eps='0.1': must be a number"),
        ({"time": 0.0}, ValueError, r"time=0: must be between 0.01 and 10000"),
        ({"time": math.inf}, ValueError, r"time=inf: must be finite"),
    ],
)
def test_settings_outside_the_rules_are_named(change, error, message):
    with pytest.raises(error, match=message):
        SingularValueRace(**change)
    [(name, value)] = change.items()
    race = SingularValueRace()
    before = getattr(race, name)
    # traitlets itself refuses what is not even of the trait's type
    with pytest.raises((error, traitlets.TraitError)):
        setattr(race, name, value)
    assert getattr(race, name) == before


@pytest.mark.parametrize(
    ("target", "error", "message"),
    [
        ([], ValueError, r"target=\[\]: must be 1 to 12 numbers in a row"),
        ([1.0] * 13, ValueError, r"target=\[.*\]: must be 1 to 12 numbers in a row"),
        (3.0, ValueError, r"target=3.0: must be 1 to 12 numbers in a row"),
        ([[1.0]], ValueError, r"target=\[\[1.0\]\]: must be 1 to 12 numbers in a row"),
        (["a"], TypeError, r"target=\['a'\]: must be a sequence of numbers"),
        (None, ValueError, r"target=None: must be 1 to 12 numbers in a row"),
        ([1.0, 2.0], ValueError, r"target=\[1.0, 2.0\]: rises; singular values must be descending"),
        ([1.0, -1.0], ValueError, r"target\[1\]=-1: must be 0 or between 0.0001 and 100"),
        ([101.0], ValueError, r"target\[0\]=101: must be 0 or between 0.0001 and 100"),
        ([1.0, 1e-5], ValueError, r"target\[1\]=1e-05: must be 0 or between 0.0001 and 100"),
        ([math.nan], ValueError, r"target\[0\]=nan: must be 0 or between"),
    ],
)
def test_bad_targets_are_named(target, error, message):
    with pytest.raises(error, match=message):
        SingularValueRace(target)


def test_live_it_hears_the_reader_and_answers(monkeypatch):
    monkeypatch.setenv("LRLIB_OUTPUT", "live")
    race = SingularValueRace()
    race._handle_msg(
        {"content": {"data": {"method": "update", "state": {"depth": 5, "time": 10000, "weight_decay": 0.1}}}}
    )
    assert (race.depth, race.time, race.weight_decay) == (5, 10000.0, 0.1)
    assert race.counts[-1] == 2  # 0.01^(3/5) (s - 0.01) > 0.1 for the first two targets only
    sent = []
    monkeypatch.setattr(race.comm, "send", lambda *args, **kwargs: sent.append((args, kwargs)))
    race.eps = 0.25
    assert '"eps": 0.25' in json.dumps(sent, default=str)


def test_its_words_hold_nothing_that_the_reader_can_change():
    race = SingularValueRace()
    other = SingularValueRace(depth=6, start=1e-3, weight_decay=0.1, eps=0.5, time=1.0)
    assert race.alt == other.alt == repr(race)
    assert "6 singular values of a deep linear network, with targets 4, 2, 1, 0.5, 0.25, 0" in race.alt
    assert not re.search("0x[0-9a-f]{6}", race.alt)


def test_html_is_the_same_for_the_same_input_and_small():
    html = SingularValueRace().page()
    assert html == SingularValueRace(np.array(TARGET)).page()
    assert len(html.encode()) < 120_000  # two thirds of it is the still


def test_the_still_follows_the_settings():
    race = SingularValueRace()
    stills = {race.still()}
    for name, value in (("depth", 2), ("start", 0.1), ("weight_decay", 0.1), ("eps", 0.5), ("time", 1.0)):
        setattr(race, name, value)
        stills.add(race.still())
    assert len(stills) == 6
    assert max(map(len, stills)) < 60_000


@pytest.mark.parametrize("target", [[0.0], [100.0], [0.0] * 12, [1.0] * 12, [100.0, 1e-4]])
def test_odd_targets_have_a_still(target):
    for depth in (1, 2, 6):
        race = SingularValueRace(target, depth=depth, start=1.0, weight_decay=1.0)
        assert race.path.shape == (121, len(target))
        assert (race.path >= 0).all()
        assert race.still()
