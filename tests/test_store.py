import json
import lzma
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest
from filelock import FileLock

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


def files(folder):
    """Every file of the store but the locks, which stay."""
    found = (p.relative_to(folder) for p in folder.rglob("*") if p.is_file())
    return sorted(str(path) for path in found if path.suffix != ".lock")


def save(table=TABLE, name="made", preset="quick"):
    return store.save(name, preset, table, config=CONFIG, origin=ORIGIN, wall_time_s=1.25)


def test_a_saved_run_comes_back_with_its_manifest(results):
    save()
    run = store.load("made", "quick")
    pd.testing.assert_frame_equal(run.table, TABLE.assign(mean=[0.333333, 2.5]))
    assert run.path == results / "made-quick.csv.xz"
    expected = {
        "name": "made",
        "preset": "quick",
        "config": CONFIG,
        "seeds": [0, 1],
        "rows": 2,
        "wall_time_s": 1.2,
    }
    assert expected.items() <= run.manifest.items()
    assert ORIGIN.items() <= run.manifest.items()
    assert {"sha256", "finished"} <= run.manifest.keys()
    assert files(results) == ["made-quick.csv.xz", "made-quick.json"]


def test_a_manifest_s_checksum_is_that_of_the_table_s_text(results):
    run = save()
    text = lzma.decompress(run.path.read_bytes(), format=lzma.FORMAT_XZ)  # what the program xz reads
    found = (
        subprocess.run(["sha256sum"], input=text, capture_output=True, check=True).stdout.decode().split()[0]
    )
    assert run.manifest["sha256"] == found


def test_a_changed_table_is_refused(results):
    path = save().path
    path.write_bytes(lzma.compress(lzma.decompress(path.read_bytes()).replace(b"2.5", b"2.6")))
    with pytest.raises(
        store.StoreError, match=r"made-quick\.csv\.xz: SHA-256 is \w+, its manifest says .* restore both"
    ):
        store.load("made", "quick")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"rows": 2}'])
def test_a_damaged_manifest_is_refused(results, content):
    save()
    (results / "made-quick.json").write_text(content)
    with pytest.raises(
        store.StoreError, match=r"made-quick\.csv\.xz: the table or its manifest cannot be read"
    ):
        store.load("made", "quick")


@pytest.mark.parametrize("damage", [b"", b"\xfd7zXZ\x00", b"seed\n", None])
def test_a_table_that_is_no_whole_xz_file_is_refused(results, damage):
    path = save().path
    path.write_bytes(path.read_bytes()[:-9] if damage is None else damage)
    with pytest.raises(
        store.StoreError, match=r"made-quick\.csv\.xz: the table or its manifest cannot be read"
    ):
        store.load("made", "quick")


def test_a_missing_run_says_how_to_make_it():
    with pytest.raises(
        store.StoreError, match=r"none-full: no stored run .* python -m lrlib run none --preset full"
    ):
        store.load("none")


def test_a_failed_write_leaves_the_old_run_and_nothing_else(results, monkeypatch):
    save()

    def refuse(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="disk full"):
        save(TABLE.assign(seed=9))
    assert files(results) == ["made-quick.csv.xz", "made-quick.json"]
    assert store.load("made", "quick").table.seed.tolist() == [0, 1]


def test_a_run_waits_in_its_place_until_its_manifest_is_there(results):
    """What a kill leaves between the manifest and the last step: a reader finishes it, unless a writer is at work."""
    path = save().path
    old = path.read_bytes()
    save(TABLE.assign(seed=9))
    coming = results / ".made-quick.csv.xz.next"
    path.rename(coming)
    path.write_bytes(old)
    new = coming.read_bytes()
    with FileLock(results / ".made-quick.lock"):  # not ours, as another process would hold it
        assert store.load("made", "quick").table.seed.tolist() == [9, 9]
        path.unlink()
        assert store.load("made", "quick").path == coming  # the very first run of a name
        assert files(results) == [".made-quick.csv.xz.next", "made-quick.json"]
    run = store.load("made", "quick")
    assert (run.path, run.table.seed.tolist()) == (path, [9, 9])
    assert files(results) == ["made-quick.csv.xz", "made-quick.json"]
    assert path.read_bytes() == new
    path.rename(coming)
    with store.writing("made", "quick"):
        pass
    assert files(results) == ["made-quick.csv.xz", "made-quick.json"]


def test_a_run_that_waits_is_read_where_nothing_may_be_written(results, monkeypatch):
    path = save().path
    coming = results / ".made-quick.csv.xz.next"
    path.rename(coming)

    def refuse(*arguments, **options):
        raise PermissionError("read-only file system")

    monkeypatch.setattr(FileLock, "acquire", refuse)
    assert store.load("made", "quick").path == coming


def test_what_a_killed_writer_left_half_done_is_removed_by_the_next(results):
    save()
    for name in (".made-quick.csv.xz.next", ".made-quick.csv.xz.next.x1.part", ".made-quick.json.x2.part"):
        (results / name).write_text("seed\n")
    (results / ".made-full.csv.xz.x3.part").write_text("")  # another run's, whose writer may be at work
    with store.writing("made", "quick"):
        pass
    assert files(results) == [".made-full.csv.xz.x3.part", "made-quick.csv.xz", "made-quick.json"]
    assert store.load("made", "quick").table.seed.tolist() == [0, 1]


def test_a_reader_finds_a_whole_run_while_a_writer_replaces_it():
    tables = [TABLE.assign(seed=seed) for seed in range(40)]
    save(tables[0])
    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(lambda: [save(table) for table in tables])
        seen = []
        while not writer.done():
            seen.append(store.load("made", "quick").table.seed.unique().tolist())
    assert seen
    assert all(len(seeds) == 1 for seeds in seen)
    assert seen == sorted(seen)  # never back to an older one


def test_one_writer_at_a_time(results):
    def write():
        with store.writing("made", "full"):
            pass

    with ThreadPoolExecutor(1) as pool, store.writing("made", "full"):
        with store.writing("made", "full"):  # again, by the one who holds it
            pass
        with pytest.raises(store.StoreError, match=r"made-full: another process runs this .* or stop it"):
            pool.submit(write).result()
        save()  # another preset is another run
        with pytest.raises(store.StoreError, match="made-full: another process"):
            pool.submit(save, preset="full").result()
    write()
    assert not (results / "made-full.csv.xz").exists()


def test_stored_lists_each_run_once(results):
    for preset in ("quick", "full"):
        save(preset=preset)
    assert [(r.name, r.preset) for r in store.stored() if r.name == "made"] == [
        ("made", "full"),
        ("made", "quick"),
    ]


def test_stored_goes_past_a_damaged_run_and_names_it_at_the_end(results):
    for name in ("broken", "lost", "made"):
        save(name=name)
    (results / "broken-quick.csv.xz").write_bytes(lzma.compress(b"seed\n"))
    (results / "lost-quick.csv.xz").unlink()
    found = []
    with pytest.raises(store.StoreError) as raised:
        found.extend(run.name for run in store.stored())
    assert "made" in found
    broken, lost = str(raised.value).splitlines()
    assert "broken-quick.csv.xz: SHA-256 is" in broken
    assert "lost-quick.csv.xz: the table or its manifest cannot be read" in lost
    assert {("broken", "quick"), ("lost", "quick"), ("made", "quick")} <= set(store.names())


@pytest.mark.parametrize(
    ("name", "preset"), [("made", "full-x"), ("a-b", "full"), ("../made", "full"), ("", "full")]
)
def test_names_that_files_could_not_give_back_are_refused(results, name, preset):
    with pytest.raises(ValueError, match=r"(name|preset)='.*': must be letters, digits and underscores"):
        save(name=name, preset=preset)
    assert not results.exists()


def test_threads_that_write_the_same_run_do_not_meet_in_a_temporary_file(results):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: store._write(results / "a.csv", b"whole" * 1000), range(64)))
    assert (results / "a.csv").read_bytes() == b"whole" * 1000
    assert files(results) == ["a.csv"]


def test_manifests_are_plain_json(results):
    save()
    assert json.loads((results / "made-quick.json").read_text())["name"] == "made"
