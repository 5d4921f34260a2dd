"""Runs that are killed with SIGKILL, at random moments and at every line of a write, and several at once.

All happens in processes of its own kind: a fork server imports lrlib once, and what it forks has no threads yet.
"""

import lzma
import multiprocessing
import multiprocessing.connection
import os
import random
import signal
import sys
import time
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch

from lrlib import experiments, store

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork and no SIGKILL")

CELLS = 30
PAUSE = 0.02  # seconds that a cell waits: a run takes at least CELLS times that
KILL_WITHIN = 0.3  # seconds, half of what a run takes at least: the first time; later more
PATIENCE = 60  # seconds after which a process that says nothing counts as hung
ORIGIN = {"device": "cpu", "commit": None, "versions": {}, "code": {}}


@pytest.fixture(autouse=True)
def results(tmp_path, monkeypatch):
    """A store of the test's own, in a folder that is there."""
    folder = tmp_path / "results"
    folder.mkdir()
    monkeypatch.setenv("LRLIB_RESULTS", str(folder))
    return folder


@pytest.fixture(scope="module")
def server():
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["lrlib"])
    return context


@pytest.fixture
def start(server):
    """Start a function in a process; it is handed a connection as its last argument, whose other end comes back."""
    started = []

    def start(function, *arguments):
        ours, theirs = server.Pipe()
        process = server.Process(target=function, args=(*arguments, theirs))
        process.start()
        theirs.close()  # so that the end of the process ends the connection
        started.append(process)
        return process, ours

    yield start
    for process in started:
        process.kill()
        process.join()


def heard(connection):
    """Wait for the next message of a process."""
    assert connection.poll(PATIENCE), f"nothing heard for {PATIENCE} s"
    return connection.recv()


def files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


@dataclass(frozen=True)
class Config:
    seeds: tuple[int, ...] = tuple(range(CELLS))


def cell(seed: int, log: Path, gate: Path | None) -> pd.DataFrame:
    """Float32 sums whose digits would show another order or another seed; each call is noted in ``log``."""
    with log.open("a") as file:
        file.write(f"{seed}\n")
    while gate is not None and not gate.exists():
        time.sleep(PAUSE)
    time.sleep(PAUSE)
    state = torch.randn(8, 8, generator=torch.Generator().manual_seed(seed))
    for _ in range(20):
        state = torch.tanh(state @ state)
    return pd.DataFrame({"seed": seed, "row": range(8), "mean": state.sum(1).tolist()})


def add_probe(results: Path, cells) -> None:
    """Add the made-up experiment ``probe`` of these cells to those of this process, stored in ``results``."""
    os.environ["LRLIB_RESULTS"] = str(results)
    experiments.NAMES = (*experiments.NAMES, "probe")
    experiments._MODULES["probe"] = SimpleNamespace(
        __name__="lrlib.rank",  # whose code stands for the experiment's
        CONFIGS={"quick": Config()},
        cells=cells,
    )


def run_resumable(results: Path, connection) -> None:
    """Run a ``probe`` of one resumable cell; say what it finds, and that it kept something, after which it waits."""

    def make(path: Path) -> pd.DataFrame:
        found = path.read_text() if path.is_file() else None
        connection.send(found)
        if found is None:
            path.write_text("half")
            connection.send("kept")
            time.sleep(PATIENCE)
        return pd.DataFrame({"seed": [0]})

    add_probe(results, lambda _: [("long", store.Resumable(make))])
    experiments.run("probe", "quick")
    connection.send("stored")


def run_probe(results: Path, log: Path, gate: Path | None, connection) -> None:
    """Run the made-up experiment ``probe``; say "started", and then what became of it."""
    torch.set_num_threads(1)
    add_probe(
        results, lambda config: [(f"seed{seed}", partial(cell, seed, log, gate)) for seed in config.seeds]
    )
    connection.send("started")
    try:
        experiments.run("probe", "quick")
    except store.StoreError as error:
        connection.send(str(error))
    else:
        connection.send("stored")


def undisturbed(start, folder: Path) -> bytes:
    """Return the table of a run that nobody disturbs, in a store of its own."""
    folder.mkdir()
    _, connection = start(run_probe, folder, folder / "log", None)
    assert [heard(connection), heard(connection)] == ["started", "stored"]
    assert (folder / "log").read_text().splitlines() == [str(seed) for seed in range(CELLS)]
    return (folder / "probe-quick.csv.xz").read_bytes()


def save(seed: int) -> store.StoredRun:
    table = pd.DataFrame({"seed": [seed] * 3})
    return store.save("probe", "quick", table, config={"seeds": [seed]}, origin=ORIGIN, wall_time_s=0)


def stored_seeds() -> list[int]:
    return store.load("probe", "quick").table.seed.unique().tolist()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_run_killed_at_random_moments_ends_in_the_same_table(seed, start, results, tmp_path):
    expected = undisturbed(start, tmp_path / "undisturbed")
    save(-1)  # an older run, which counts until the new one is there
    moments, kills, log = random.Random(seed), 0, tmp_path / "log"
    while stored_seeds() == [-1]:
        process, connection = start(run_probe, results, log, None)
        assert heard(connection) == "started"
        within = KILL_WITHIN * (1 + kills / 4)  # more each time, so that a busy machine gets through as well
        moment = time.monotonic() + moments.uniform(0, within)
        while time.monotonic() < moment:
            assert stored_seeds() in ([-1], list(range(CELLS)))
            time.sleep(PAUSE / 4)
        process.kill()
        process.join()
        kills += process.exitcode == -signal.SIGKILL
        assert kills < 100, "the run makes no progress"
    assert stored_seeds() == list(range(CELLS))
    assert kills > 0
    assert CELLS <= len(log.read_text().splitlines()) <= CELLS + kills  # a kill loses one cell at most
    _, connection = start(run_probe, results, log, None)  # once more, and to the end
    assert [heard(connection), heard(connection)] == ["started", "stored"]
    assert (results / "probe-quick.csv.xz").read_bytes() == expected
    assert files(results) == [".probe-quick.lock", "probe-quick.csv.xz", "probe-quick.json"]


def test_a_resumable_cell_that_was_killed_goes_on_with_what_it_kept(start, results):
    process, connection = start(run_resumable, results)
    assert [heard(connection), heard(connection)] == [None, "kept"]
    process.kill()
    process.join()
    assert any(name.endswith("/long.training") for name in files(results))
    _, connection = start(run_resumable, results)
    assert [heard(connection), heard(connection)] == ["half", "stored"]
    assert stored_seeds() == [0]
    assert files(results) == [".probe-quick.lock", "probe-quick.csv.xz", "probe-quick.json"]


def kill_saves_at_every_line(results: Path, begin, connection) -> None:
    """Kill ``save(2)`` before its first line in store.py, its second, ..., until one lives; tell what each leaves.

    ``begin`` makes the state that each save finds. After each kill it is told which seed ``load`` finds, and which
    it finds once ``save(3)`` has followed.
    """
    os.environ["LRLIB_RESULTS"] = str(results)
    for last in count(1):
        for path in results.iterdir():
            path.unlink()
        begin(results)
        child = os.fork()
        if child == 0:
            lines = iter(range(last, 0, -1))

            def trace(frame, event, _, lines=lines):
                if frame.f_code.co_filename != store.__file__:
                    return None
                if event == "line" and next(lines) == 1:
                    os.kill(os.getpid(), signal.SIGKILL)
                return trace

            sys.settrace(trace)
            try:
                save(2)
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            break
        found = stored_seeds()
        save(3)
        connection.send((found, stored_seeds(), files(results)))
    connection.send(None)


def stored_before(_: Path) -> None:
    save(1)


def waiting_before(results: Path) -> None:
    """What a kill between the last two steps of ``save(1)`` leaves: its table is not yet in its place."""
    save(1)
    path = results / "probe-quick.csv.xz"
    path.rename(results / ".probe-quick.csv.xz.next")
    path.write_bytes(lzma.compress(b"seed\n0\n"))


@pytest.mark.parametrize("begin", [stored_before, waiting_before])
def test_a_save_killed_at_any_line_leaves_the_old_run_or_the_new(begin, start, results):
    _, connection = start(kill_saves_at_every_line, results, begin)
    found = []
    while (message := heard(connection)) is not None:
        found.append(message[0])
        assert message[1:] == ([3], [".probe-quick.lock", "probe-quick.csv.xz", "probe-quick.json"])
    commit = found.index([2])
    assert found == [[1]] * commit + [[2]] * (len(found) - commit)
    assert min(commit, len(found) - commit) > 3  # there were lines before and after the new one counts


def test_of_several_at_once_one_runs_and_the_others_are_told(start, results, tmp_path):
    expected = undisturbed(start, tmp_path / "undisturbed")
    gate = tmp_path / "gate"
    runs = [start(run_probe, results, tmp_path / "log", gate) for _ in range(4)]
    assert {heard(connection) for _, connection in runs} == {"started"}
    said, waiting = [], [connection for _, connection in runs]
    while len(waiting) > 1:  # the one that runs waits for the gate
        ready = multiprocessing.connection.wait(waiting, timeout=PATIENCE)
        assert ready, f"nothing heard for {PATIENCE} s"
        said += [connection.recv() for connection in ready]
        waiting = [connection for connection in waiting if connection not in ready]
    assert len(said) == 3
    assert all("probe-quick: another process runs this and writes to" in message for message in said)
    gate.touch()
    assert heard(waiting[0]) == "stored"
    assert (results / "probe-quick.csv.xz").read_bytes() == expected
    assert (tmp_path / "log").read_text().splitlines() == [str(seed) for seed in range(CELLS)]
