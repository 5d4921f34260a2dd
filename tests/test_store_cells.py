"""The cells of a run: what is kept of each, when it is found again, and when it goes."""

import os
import time

import pandas as pd
import pytest

from lrlib import store

TABLE = pd.DataFrame({"seed": [0, 1], "layer": ["L1", "L2"], "mean": [1 / 3, 2.5]})
CONFIG = {"steps": 10, "seeds": [0, 1]}
ORIGIN = {"device": "cpu (1 thread)", "commit": None, "versions": {"torch": "2"}, "code": {"rank.py": "0a"}}


@pytest.fixture(autouse=True)
def results(tmp_path, monkeypatch):
    """A store of the test's own; the one that ships with the book is never written."""
    folder = tmp_path / "results"
    monkeypatch.setenv("LRLIB_RESULTS", str(folder))
    return folder


def run_cells(cells, config=CONFIG, **changed):
    """``changed`` is what of the origin is other than usual."""
    return store.run_cells("made", "full", config, cells, origin=ORIGIN | changed)


@pytest.fixture
def calls():
    return []


@pytest.fixture
def cell(calls):
    def made(name, fail=False):
        def make():
            calls.append(name)
            if fail:
                raise RuntimeError("stopped")
            return TABLE.assign(cell=name)

        return name, make

    return made


def test_a_run_goes_on_at_the_first_cell_that_is_missing(results, cell, calls):
    with pytest.raises(RuntimeError, match="stopped"):
        run_cells([cell("a"), cell("b", fail=True)])
    table, seconds = run_cells([cell("a"), cell("b")])
    assert calls == ["a", "b", "b"]
    assert table["cell"].tolist() == ["a", "a", "b", "b"]
    assert table["mean"].tolist() == [1 / 3, 2.5] * 2  # not rounded on the way
    assert seconds >= 0


@pytest.mark.parametrize(
    "changed",
    [
        {"config": CONFIG | {"steps": 20}},
        {"code": {"rank.py": "0b"}},
        {"device": "cuda (NVIDIA H100)"},
        {"versions": {"torch": "3"}},
    ],
)
def test_cells_that_were_made_otherwise_are_not_joined(cell, calls, changed):
    run_cells([cell("a")])
    run_cells([cell("a")], **changed)
    assert calls == ["a", "a"]


def test_another_commit_of_the_same_code_goes_on(cell, calls):
    run_cells([cell("a")])
    run_cells([cell("a")], commit="4f9c")
    assert calls == ["a"]


def test_discard_removes_all_that_was_kept_of_one_run_and_no_more(results, cell):
    run_cells([cell("a")])
    run_cells([cell("a")], commit="4f9c", code={})
    store.run_cells("made", "quick", CONFIG, [cell("a")], origin=ORIGIN)
    store.run_cells("made_up", "full", CONFIG, [cell("a")], origin=ORIGIN)
    store.discard_cells("made", "full")
    left = {path.name.rpartition("-")[0] for path in results.iterdir()}
    assert left == {".made-quick", ".made_up-full"}


@pytest.mark.parametrize("damage", [b"", b"seed,layer", None])
@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_a_kept_cell_that_is_not_whole_is_made_again(results, cell, calls, suffix, damage):
    whole, _ = run_cells([cell("a"), cell("b")])
    (path,) = results.glob(f".made-full-*/a{suffix}")
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage)
    again, _ = run_cells([cell("a"), cell("b")])
    assert calls == ["a", "b", "a"]
    pd.testing.assert_frame_equal(again, whole)


class Halved:
    """A resumable cell of two halves: stopped in the first run after one, it goes on with the other if it may."""

    def __init__(self):
        self.found = []

    def __call__(self, path):
        self.found.append(path.read_text() if path.is_file() else None)
        if self.found[-1] is None:
            path.write_text("half")
            raise RuntimeError("stopped")
        return TABLE.assign(cell="whole")


def resumable(make):
    return "long", store.Resumable(make)


def test_a_resumable_cell_finds_what_it_kept_and_that_goes_when_its_table_is_there(results, cell):
    halved = Halved()
    with pytest.raises(RuntimeError, match="stopped"):
        run_cells([cell("a"), resumable(halved)])
    (kept,) = results.glob(".made-full-*/long.training")
    table, _ = run_cells([cell("a"), resumable(halved)], commit="4f9c")
    assert halved.found == [None, "half"]
    assert table["cell"].tolist() == ["a", "a", "whole", "whole"]
    assert not kept.exists()
    kept.write_text("half")  # what a kill leaves right after the table was written
    run_cells([cell("a"), resumable(halved)])
    assert halved.found == [None, "half"]
    assert not kept.exists()


@pytest.mark.parametrize(
    "changed", [{"config": CONFIG | {"steps": 20}}, {"code": {"rank.py": "0b"}}, {"device": "cuda"}]
)
def test_what_a_resumable_cell_kept_is_not_found_by_another_run(changed):
    halved = Halved()
    for other in ({}, changed):
        with pytest.raises(RuntimeError, match="stopped"):
            run_cells([resumable(halved)], **other)
    assert halved.found == [None, None]


def test_two_resumable_cells_have_a_file_each():
    first, second = Halved(), Halved()
    cells = [("a", store.Resumable(first)), ("b", store.Resumable(second))]
    for _ in range(2):
        with pytest.raises(RuntimeError, match="stopped"):
            run_cells(cells)
    run_cells(cells)
    assert (first.found, second.found) == ([None, "half"], [None, "half"])


def test_discard_removes_what_a_resumable_cell_kept(results):
    with pytest.raises(RuntimeError, match="stopped"):
        run_cells([resumable(Halved())])
    assert list(results.glob(".made-full-*/long.training")) != []
    store.discard_cells("made", "full")
    assert list(results.iterdir()) == []


def test_the_seconds_of_a_resumable_cell_are_those_of_all_its_parts():
    """Each of two parts keeps something 1,000 s after it began, by the file's clock, and is stopped."""
    parts = iter([True, True, False])

    def make(path):
        if next(parts):
            path.write_text("half")
            os.utime(path, (time.time() + 1000,) * 2)
            raise RuntimeError("stopped")
        return TABLE

    for _ in range(2):
        with pytest.raises(RuntimeError, match="stopped"):
            run_cells([resumable(make)])
    _, seconds = run_cells([resumable(make)])
    assert 2000 <= round(seconds) < 2000 + 60  # the last part takes its own time


def test_a_run_without_cells_is_refused():
    with pytest.raises(ValueError, match="cells: there are none"):
        run_cells([])
