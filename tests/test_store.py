import json
import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest

from lrlib import store

TABLE = pd.DataFrame({"seed": [0, 1], "layer": ["L1", "L2"], "mean": [1 / 3, 2.5]})
CONFIG = {"steps": 10, "seeds": [0, 1]}


@pytest.fixture(autouse=True)
def results(tmp_path, monkeypatch):
    """A store of the test's own; the one that ships with the book is never written."""
    folder = tmp_path / "results"
    monkeypatch.setenv("LRLIB_RESULTS", str(folder))
    return folder


def files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_a_saved_run_comes_back_with_its_manifest(results):
    store.save("made", "quick", TABLE, config=CONFIG, wall_time_s=1.25)
    run = store.load("made", "quick")
    pd.testing.assert_frame_equal(run.table, TABLE.assign(mean=[0.333333, 2.5]))
    assert run.path == results / "made-quick.csv"
    expected = {
        "name": "made",
        "preset": "quick",
        "config": CONFIG,
        "seeds": [0, 1],
        "rows": 2,
        "wall_time_s": 1.2,
    }
    assert expected.items() <= run.manifest.items()
    assert {"sha256", "device", "commit", "versions", "finished"} <= run.manifest.keys()
    assert files(results) == ["made-quick.csv", "made-quick.json"]


def test_a_manifest_s_checksum_is_that_of_the_file(results):
    run = store.save("made", "quick", TABLE, config=CONFIG, wall_time_s=0)
    found = subprocess.run(
        ["sha256sum", run.path], capture_output=True, text=True, check=True
    ).stdout.split()[0]
    assert run.manifest["sha256"] == found


def test_a_changed_table_is_refused(results):
    path = store.save("made", "quick", TABLE, config=CONFIG, wall_time_s=0).path
    path.write_text(path.read_text().replace("2.5", "2.6"))
    with pytest.raises(
        store.StoreError, match=r"made-quick\.csv: SHA-256 is \w+, its manifest says .* restore both"
    ):
        store.load("made", "quick")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"rows": 2}'])
def test_a_damaged_manifest_is_refused(results, content):
    path = store.save("made", "quick", TABLE, config=CONFIG, wall_time_s=0).path
    path.with_suffix(".json").write_text(content)
    with pytest.raises(store.StoreError, match=r"made-quick\.csv: the table or its manifest cannot be read"):
        store.load("made", "quick")


def test_a_missing_run_says_how_to_make_it():
    with pytest.raises(
        store.StoreError, match=r"none-full: no stored run .* python -m lrlib run none --preset full"
    ):
        store.load("none")


def test_a_failed_write_leaves_the_old_run_and_nothing_else(results, monkeypatch):
    store.save("made", "quick", TABLE, config=CONFIG, wall_time_s=0)

    def refuse(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="disk full"):
        store.save("made", "quick", TABLE.assign(seed=9), config=CONFIG, wall_time_s=0)
    assert files(results) == ["made-quick.csv", "made-quick.json"]
    assert store.load("made", "quick").table.seed.tolist() == [0, 1]


def test_stored_lists_each_run_once(results):
    for preset in ("quick", "full"):
        store.save("made", preset, TABLE, config=CONFIG, wall_time_s=0)
    assert [(r.name, r.preset) for r in store.stored() if r.name == "made"] == [
        ("made", "full"),
        ("made", "quick"),
    ]


def test_a_run_goes_on_at_the_first_cell_that_is_missing(results):
    calls = []

    def cell(name, fail=False):
        def make():
            calls.append(name)
            if fail:
                raise RuntimeError("stopped")
            return TABLE.assign(cell=name)

        return name, make

    with pytest.raises(RuntimeError, match="stopped"):
        store.run_cells("made", "full", CONFIG, [cell("a"), cell("b", fail=True)])
    table, seconds = store.run_cells("made", "full", CONFIG, [cell("a"), cell("b")])
    assert calls == ["a", "b", "b"]
    assert table["cell"].tolist() == ["a", "a", "b", "b"]
    assert table["mean"].tolist() == [1 / 3, 2.5] * 2  # not rounded on the way
    assert seconds >= 0
    store.run_cells("made", "full", CONFIG | {"steps": 20}, [cell("a")])
    assert calls[-1] == "a"  # another configuration is another run
    store.discard_cells("made", "full", CONFIG)
    store.discard_cells("made", "full", CONFIG | {"steps": 20})
    assert files(results) == []


def test_a_killed_process_loses_one_cell_and_leaves_nothing_half_written(results):
    program = """
import os, signal, sys
import pandas as pd
from lrlib import store
def cell(name):
    def make():
        print(name, flush=True)
        if name == sys.argv[1]:
            os.kill(os.getpid(), signal.SIGKILL)
        return pd.DataFrame({"cell": [name]})
    return name, make
print(store.run_cells("made", "full", {"seeds": [0]}, [cell("a"), cell("b"), cell("c")])[0].cell.tolist())
"""

    def run(kill_at):
        return subprocess.run([sys.executable, "-c", program, kill_at], capture_output=True, text=True)

    killed = run("b")
    assert killed.returncode == -signal.SIGKILL
    assert killed.stdout.split() == ["a", "b"]
    assert [name.rpartition("/")[2] for name in files(results)] == ["a.csv", "a.seconds"]
    assert run("none").stdout.splitlines() == ["b", "c", "['a', 'b', 'c']"]


@pytest.mark.parametrize(
    ("name", "preset"), [("made", "full-x"), ("a-b", "full"), ("../made", "full"), ("", "full")]
)
def test_names_that_files_could_not_give_back_are_refused(results, name, preset):
    with pytest.raises(ValueError, match=r"(name|preset)='.*': must be letters, digits and underscores"):
        store.save(name, preset, TABLE, config=CONFIG, wall_time_s=0)
    assert not results.exists()


def test_a_run_without_cells_is_refused():
    with pytest.raises(ValueError, match="cells: there are none"):
        store.run_cells("made", "full", CONFIG, [])


def test_threads_that_write_the_same_run_do_not_meet_in_a_temporary_file(results):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: store._write(results / "a.csv", b"whole" * 1000), range(64)))
    assert (results / "a.csv").read_bytes() == b"whole" * 1000
    assert files(results) == ["a.csv"]


def test_the_commit_is_this_clone_s_and_nobody_else_s(tmp_path, monkeypatch):
    if (store._PACKAGE.parent / ".git").exists():
        assert re.fullmatch(r"[0-9a-f]{40}\+?", store._commit())
    other = tmp_path / "project"
    (other / "site-packages" / "lrlib").mkdir(parents=True)
    git = ["git", "-C", other, "-c", "user.name=a", "-c", "user.email=a@b.c"]
    for command in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "theirs"]):
        subprocess.run([*git, *command], check=True)
    monkeypatch.setattr(store, "_PACKAGE", other / "site-packages" / "lrlib")
    assert store._commit() is None


def test_manifests_are_plain_json(results):
    path = store.save("made", "quick", TABLE, config=CONFIG, wall_time_s=0).path
    assert json.loads(path.with_suffix(".json").read_text())["name"] == "made"
