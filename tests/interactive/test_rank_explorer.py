"""RankExplorer in Python: what it holds is what lrlib.rank counts, and what it refuses."""

import json
import math
import re
import zlib
from itertools import pairwise

import numpy as np
import pytest
import torch
import traitlets
from explorer_examples import SETTINGS, STEPS, WIDTHS, N, counted, made_up_spectra

from lrlib.interactive import RankExplorer
from lrlib.interactive.rank_explorer import threshold_grid
from lrlib.jacobian import Spectra
from lrlib.rank import count_above


def unpacked(data):
    """What kit.js makes of packed uint32 numbers."""
    return np.frombuffer(zlib.decompress(data), "<u4").cumsum(dtype=np.uint32)


@pytest.mark.parametrize(("step", "eps", "relative"), SETTINGS)
def test_local_rank_is_what_rank_counts(spectra, step, eps, relative):
    explorer = RankExplorer(STEPS, spectra, step=step, eps=eps, relative=relative)
    mean, stderr = counted(spectra, step, eps, relative)
    found = explorer.local_rank
    assert (found.layers, found.n, found.eps, found.relative) == (tuple(WIDTHS), N, eps, relative)
    torch.testing.assert_close(found.mean, mean, rtol=0, atol=1e-12)  # one division of integers
    torch.testing.assert_close(found.stderr, stderr, rtol=1e-9, atol=1e-12)  # two ways to sum squares


def test_every_place_is_sent_rounded_as_python_rounds(spectra):
    explorer = RankExplorer(STEPS, spectra)
    sent = unpacked(explorer.counts)
    absolute = len(STEPS) * 3 * len(explorer.thresholds)
    relative = len(STEPS) * 3 * (explorer.thresholds.index(1.0) + 1)
    assert sent.size == absolute + relative
    places = iter(sent)
    for eps_grid, ratio in ((explorer.thresholds, False), (explorer.thresholds[: relative // 21], True)):
        for spectrum in spectra:
            for values in spectrum.values:
                counts = count_above(values, torch.tensor(eps_grid, dtype=torch.float64), relative=ratio)
                for mean in counts.double().mean(0).tolist():
                    assert f"{next(places) / 100:.2f}" == f"{mean:.2f}"


def test_thresholds_are_round_and_the_familiar_ones_are_exact():
    grid = threshold_grid(3.0)
    assert {1e-4, 1e-3, 0.01, 0.1, 0.2, 0.25, 0.5, 1.0, 10.0} <= set(grid)
    assert (grid[0], grid[-1], len(grid)) == (1e-4, 10.0, 101)
    assert all(a < b for a, b in pairwise(grid))
    assert threshold_grid(0.0) == threshold_grid(10.0) == grid
    assert threshold_grid(5000.0)[-1] == 10000.0


def test_what_is_set_moves_to_the_nearest_place(spectra):
    explorer = RankExplorer(STEPS, spectra, step=999, eps=0.102)
    assert (explorer.step, explorer.eps) == (1000, 0.1)
    explorer.step, explorer.eps = -5, 1e9
    assert (explorer.step, explorer.eps) == (0, 10.0)
    explorer.relative = True
    assert explorer.eps == 1.0
    explorer.eps = 3.0
    assert explorer.eps == 1.0
    explorer.relative = False
    assert explorer.eps == 1.0


@pytest.mark.parametrize("eps", [0.0, -1.0, math.inf, math.nan])
def test_a_threshold_must_be_above_zero(spectra, eps):
    with pytest.raises(ValueError, match=r"eps=.*must be finite and above 0"):
        RankExplorer(STEPS, spectra, eps=eps)
    explorer = RankExplorer(STEPS, spectra)
    with pytest.raises(ValueError, match=r"eps=.*must be finite and above 0"):
        explorer.eps = eps
    with pytest.raises(traitlets.TraitError, match="step"):
        explorer.step = 1.5


def test_live_it_hears_the_reader_and_answers(spectra, monkeypatch):
    monkeypatch.setenv("LRLIB_OUTPUT", "live")
    explorer = RankExplorer(STEPS, spectra)
    heard = []
    explorer.observe(lambda change: heard.append((change["name"], change["new"])), ["step", "eps"])

    def receive(**state):  # as the comm hands over what JavaScript saved
        explorer._handle_msg({"content": {"data": {"method": "update", "state": state}}})

    receive(step=30)
    receive(eps=0.25)
    assert (explorer.step, explorer.eps) == (30, 0.25)
    assert heard == [("step", 30), ("eps", 0.25)]
    receive(relative=True, eps=10.0)
    assert (explorer.relative, explorer.eps) == (True, 1.0)
    sent = []
    monkeypatch.setattr(explorer.comm, "send", lambda *args, **kwargs: sent.append((args, kwargs)))
    explorer.step = 100
    assert '"step": 100' in json.dumps(sent, default=str)


def broken(spectra, change):
    """The spectra, with one layer of one step changed."""
    values = list(spectra[2].values)
    values[1] = change(values[1].clone())
    return [*spectra[:2], Spectra(spectra[2].layers, tuple(values)), *spectra[3:]]


def with_nan(values):
    values[0, 0] = math.nan
    return values


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_nan, r"spectra\[2\]\['layer2'\]: 1 of its 384 entries are NaN or infinite"),
        (lambda v: -v, r"spectra\[2\]\['layer2'\]: its smallest entry is -.*not negative"),
        (lambda v: v.flip(-1), r"spectra\[2\]\['layer2'\]: rises along its last axis; .* descending"),
        (lambda v: v[:5], r"spectra\[2\]\['layer2'\]: shape is \(5, 24\); must be \(n, k_l\) = \(16, 24\)"),
        (lambda v: v[:, :5], r"spectra\[2\]\['layer2'\]: shape is \(16, 5\)"),
        (lambda v: v.long(), r"spectra\[2\]\['layer2'\]: dtype is torch.int64"),
    ],
)
def test_bad_values_are_named(spectra, change, message):
    with pytest.raises((ValueError, TypeError), match=message):
        RankExplorer(STEPS, broken(spectra, change))


def test_spectra_must_be_of_one_network(spectra):
    with pytest.raises(ValueError, match=r"there are 6; must be one for each of the 7 steps"):
        RankExplorer(STEPS, spectra[:-1])
    other = Spectra(("a", "b", "c"), spectra[0].values)
    with pytest.raises(ValueError, match=r"spectra\[1\]: layers are \('a', 'b', 'c'\); must be"):
        RankExplorer(STEPS, [spectra[0], other, *spectra[2:]])
    with pytest.raises(TypeError, match=r"spectra\[0\]: must be a Spectra, not list"):
        RankExplorer(STEPS, [[], *spectra[1:]])
    with pytest.raises(ValueError, match="must be at least one, with values for each"):
        RankExplorer([0], [Spectra((), ())])


@pytest.mark.parametrize("steps", [[], [1, 1], [2, 1], [-1, 1]])
def test_steps_must_increase(spectra, steps):
    with pytest.raises(ValueError, match=r"steps=.*none negative, strictly increasing"):
        RankExplorer(steps, spectra[: len(steps)])


@pytest.mark.parametrize("steps", [[0.5], ["1"], 3])
def test_steps_must_be_integers(spectra, steps):
    with pytest.raises(TypeError, match=r"steps=.*must be a sequence of integers"):
        RankExplorer(steps, spectra[:1])


def test_its_words_hold_no_number_that_training_decides(spectra):
    explorer = RankExplorer(STEPS, spectra)
    other = RankExplorer(STEPS, made_up_spectra(seed=1))
    assert explorer.alt == other.alt == repr(explorer)
    assert "layer1, layer2, layer3 at 7 training steps from 0 to 1000" in explorer.alt
    assert not re.search("0x[0-9a-f]{6}", explorer.alt)


def test_html_is_the_same_for_the_same_input(spectra):
    assert RankExplorer(STEPS, spectra).page() == RankExplorer(STEPS, made_up_spectra()).page()


def test_a_figure_as_large_as_the_mnist_chapter_is_under_150_kilobytes():
    steps = [0, *np.unique(np.geomspace(1, 8000, 30).astype(int)).tolist()]
    big = made_up_spectra(steps, {"layer1": 128, "layer2": 128, "layer3": 128, "layer4": 10}, n=64)
    html = RankExplorer(steps, big).page()
    assert len(html.encode()) < 150_000


def test_the_still_follows_the_settings(spectra):
    explorer = RankExplorer(STEPS, spectra)
    stills = {explorer.still()}
    for name, value in (("step", 10), ("eps", 0.5), ("relative", True)):
        setattr(explorer, name, value)
        stills.add(explorer.still())
    assert len(stills) == 4
    assert max(map(len, stills)) < 60_000


def test_one_input_says_nothing_of_the_spread():
    explorer = RankExplorer([5], made_up_spectra([5], n=1))
    assert torch.isinf(explorer.local_rank.stderr).all()
    assert set(unpacked(explorer.stderrs)) == {2**32 - 1}


@pytest.mark.filterwarnings("ignore:Data has no positive values", "ignore:Attempting to set identical")
def test_a_network_that_is_dead_counts_nothing():
    dead = Spectra(("layer1",), (torch.zeros(4, 3, dtype=torch.float64),))
    explorer = RankExplorer([0, 1], [dead, dead], relative=True)
    assert explorer.local_rank.mean.tolist() == [0.0]
    assert explorer.still()


def test_float32_spectra_are_as_good():
    half_dead = torch.tensor([[2.0, 0.5], [0.0, 0.0]])
    explorer = RankExplorer([0], [Spectra(("layer1",), (half_dead,))], relative=True)
    assert explorer.local_rank.mean.tolist() == [1.0]
    assert explorer.still()
