"""What a download leaves behind: whole files in the cache, whatever the disk, the server or another process does."""

import contextlib
import gzip
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
import requests  # noqa: F401  (imported before a test drops its rights to read the environment it is installed in)
from tiny_idx import (
    CALM,
    IMAGES,
    LABELS,
    PACKED,
    PACKED_LABELS,
    body,
    fetch_images,
    files_in,
    idx_bytes,
    serving,
    status,
    tiny_source,
    write_tiny,
)

from lrlib.data import DataError
from lrlib.data.download import download
from lrlib.data.files import Folders, read_split

NOBODY = 65534


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def test_what_a_server_decompressed_on_the_way_is_kept_compressed(tmp_path):
    with serving(train_images=body(idx_bytes(IMAGES))) as mirror:
        path = fetch_images(tmp_path, mirror)
    assert gzip.decompress(path.read_bytes()) == idx_bytes(IMAGES)


@contextlib.contextmanager
def as_nobody():
    """Act without root's rights, which no permission stops; CI runs as root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_folder():
    """A folder that anybody may enter: pytest's own are closed to all but its user."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    "cache", ["closed", "closed/tiny"], ids=["folder is read-only", "folder cannot be made"]
)
def test_a_read_only_folder_is_an_error_before_anything_is_fetched(open_folder, cache):
    (open_folder / "closed").mkdir(mode=0o555)
    with serving(train_images=body(PACKED)) as mirror, as_nobody():
        with pytest.raises(PermissionError):  # the premise of this test
            (open_folder / "closed" / "probe").touch()
        with pytest.raises(DataError) as error:
            fetch_images(open_folder / cache, mirror)
    message = str(error.value)
    path = open_folder / cache / "train-images.gz"
    assert message.startswith(f"{path}: expected to write this file, found PermissionError: ")
    assert f"Make {path.parent} writable" in message
    assert message.endswith("set LRLIB_DATA to a folder that holds tiny/train-images.gz")
    assert mirror.asked == []
    assert files_in(open_folder) == []


@contextlib.contextmanager
def files_no_larger_than(room: int):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_disk_that_fills_up_leaves_nothing(tmp_path):
    room = len(PACKED) // 2  # a write beyond it fails half done
    with (
        serving(train_images=body(PACKED)) as mirror,
        files_no_larger_than(room),
        pytest.raises(DataError) as error,
    ):
        fetch_images(tmp_path, mirror)
    message = str(error.value)
    path = tmp_path / "train-images.gz"
    assert message.startswith(f"{path}: expected to write this file, found OSError: ")
    assert "File too large" in message
    assert "free some space" in message
    assert files_in(tmp_path) == []


def test_a_missing_file_is_fetched_once_and_then_read_from_the_cache(tmp_path):
    where = Folders(None, tmp_path)
    with serving(train_images=body(PACKED), train_labels=body(PACKED_LABELS)) as mirror:
        for _ in range(2):
            images, labels = read_split(
                tiny_source(mirror.url), "train", where, patience=CALM, progress=False
            )
            np.testing.assert_array_equal(images, IMAGES)
            np.testing.assert_array_equal(labels, LABELS)
    assert sorted(mirror.asked) == ["/train-images.gz", "/train-labels.gz"]
    assert files_in(tmp_path) == ["tiny/train-images.gz", "tiny/train-labels.gz"]


def test_labels_that_do_not_match_the_images_are_not_kept(tmp_path):
    few = body(gzip.compress(idx_bytes(LABELS[:5])))
    with serving(train_images=body(PACKED), train_labels=few) as mirror, pytest.raises(DataError) as error:
        read_split(tiny_source(mirror.url), "train", Folders(None, tmp_path), patience=CALM, progress=False)
    assert f"{mirror.url}train-labels.gz: expected 6 entries, found 5\n" in str(error.value)
    assert files_in(tmp_path) == ["tiny/train-images.gz"]


def test_a_bad_file_in_the_cache_is_replaced_but_only_by_a_good_one(tmp_path):
    write_tiny(tmp_path)
    path = tmp_path / "tiny" / "train-images.gz"
    path.write_bytes(PACKED[:60])
    where = Folders(None, tmp_path)
    again = pytest.warns(
        UserWarning, match="train-images.gz: expected a whole gzip stream, .*; it is fetched again"
    )
    with serving(train_images=status(404)) as mirror:
        source = tiny_source(mirror.url)
        with again, pytest.raises(DataError, match="404 Not Found"):
            read_split(source, "train", where, patience=CALM, progress=False)
        assert path.read_bytes() == PACKED[:60]
        mirror.answers["/train-images.gz"] = body(PACKED)
        with pytest.warns(UserWarning, match="it is fetched again"):
            images, _ = read_split(source, "train", where, patience=CALM, progress=False)
    np.testing.assert_array_equal(images, IMAGES)
    assert path.read_bytes() == PACKED
    assert files_in(tmp_path) == ["tiny/train-images.gz", "tiny/train-labels.gz"]


FETCH_IN_A_PROCESS = """
import json, sys
from pathlib import Path
from lrlib.data.download import Patience, download
from lrlib.data.idx import IdxFile
from lrlib.data.sources import Source
url, folder, name, shape, digest = json.loads(sys.argv[1])
file = IdxFile(name, tuple(shape), digest)
source = Source("tiny", (url,), {}, ())
print(download(source, file, Path(folder), patience=Patience(rounds=1), progress=False))
"""


def test_two_processes_at_once_both_succeed(tmp_path):
    both_here = threading.Barrier(2, timeout=60)

    def wait_for_both(handler):
        both_here.wait()  # neither is answered before both have asked
        body(PACKED)(handler)

    with serving(train_images=wait_for_both) as mirror:
        file = tiny_source().splits["train"][0]
        arguments = json.dumps([mirror.url, str(tmp_path), file.name, file.shape, file.sha256])
        command = [sys.executable, "-c", FETCH_IN_A_PROCESS, arguments]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        processes = [
            subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            for _ in range(2)
        ]
        outcomes = [(*process.communicate(timeout=90), process.returncode) for process in processes]
    for out, err, returncode in outcomes:
        assert (returncode, out.strip()) == (0, str(tmp_path / "train-images.gz")), err
    assert len(mirror.asked) == 2
    assert files_in(tmp_path) == ["train-images.gz"]
    assert (tmp_path / "train-images.gz").read_bytes() == PACKED


@pytest.mark.parametrize(("progress", "output"), [(True, "live"), (False, "live"), (True, "page")])
def test_the_progress_bar_is_drawn_only_for_a_reader(tmp_path, capfd, monkeypatch, progress, output):
    monkeypatch.setenv("LRLIB_OUTPUT", output)
    with serving(train_images=body(PACKED)) as mirror:
        source = tiny_source(mirror.url)
        download(source, source.splits["train"][0], tmp_path, patience=CALM, progress=progress)
    drawn = capfd.readouterr().err
    assert ("train-images" in drawn) == (progress and output == "live")
