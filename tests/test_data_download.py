"""Downloads from servers on loopback that misbehave in every way known: a clear error, and nothing left behind."""

import contextlib
import gzip
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import requests  # noqa: F401  (imported before a test drops its rights to read the environment it is installed in)
from tiny_idx import IMAGES, LABELS, body, gzip_bomb, idx_bytes, serving, status, tiny_source, write_tiny

from lrlib.data import DataError
from lrlib.data.download import Patience, download
from lrlib.data.files import Folders, read_split
from lrlib.data.idx import IdxFile
from lrlib.data.sources import Source

# Long enough for a busy machine; only servers that are silent on purpose are left after a moment.
CALM = Patience(silence=30, deadline=60, rounds=2, pause=0)
HURRIED = Patience(silence=0.3, deadline=60, rounds=2, pause=0)
PACKED = gzip.compress(idx_bytes(IMAGES))
PACKED_LABELS = gzip.compress(idx_bytes(LABELS))
NOBODY = 65534


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def fetch_images(folder, *mirrors, patience=CALM):
    source = tiny_source(*(mirror.url for mirror in mirrors))
    return download(source, source.splits["train"][0], folder, patience=patience, progress=False)


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def flip_bit(content: bytes, index: int) -> bytes:
    return content[:index] + bytes([content[index] ^ 1]) + content[index + 1 :]


def drip(handler):
    """Say that the whole body comes, and send a byte of it now and then: never silent for long, never done."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100")
    handler.end_headers()
    _drip_bytes(handler, b"\x1f")


def drip_chunks(handler):
    """Drip as a chunked body, of which the client sees every byte when it comes."""
    handler.protocol_version = "HTTP/1.1"
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    _drip_bytes(handler, b"1\r\n\x1f\r\n")


def drip_header(handler):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    _drip_bytes(handler, b"x")


def _drip_bytes(handler, byte):
    for _ in range(200):
        handler.wfile.write(byte)
        handler.wfile.flush()
        time.sleep(0.05)


def silent(handler):
    """Take the request and say nothing for longer than the client waits."""
    time.sleep(5)


def silent_halfway(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(PACKED)))
    handler.end_headers()
    handler.wfile.write(PACKED[:40])
    handler.wfile.flush()
    time.sleep(5)


def hang_up(handler):
    handler.close_connection = True  # without a word: an empty reply


WRONG_DIGEST = r"expected SHA-256 [0-9a-f]{64} of the decompressed bytes, found [0-9a-f]{64}"
BAD_ANSWERS = {
    "truncated": (
        body(PACKED[:50], said_length=len(PACKED)),
        r"expected the whole file, found .*IncompleteRead.*50 ",
    ),
    "truncated, and so it says": (
        body(PACKED[:50]),
        "expected a whole gzip stream, found one that breaks off",
    ),
    "empty": (body(b""), "expected the magic number 00 00 08 03 .*, found an empty file"),
    "flipped bit": (body(gzip.compress(flip_bit(idx_bytes(IMAGES), 99))), WRONG_DIGEST),
    "flipped bit of gzip": (
        body(flip_bit(PACKED, len(PACKED) - 6)),
        "expected an intact gzip stream, found .*check",
    ),
    "wrong magic number": (
        body(gzip.compress(idx_bytes(IMAGES, magic=0x0D03))),
        "expected the magic number 00 00 08 03 .*, found 00 00 0d 03",
    ),
    "too few images": (
        body(gzip.compress(idx_bytes(IMAGES[:5]))),
        "expected 6 x 4 x 5 entries, found 5 x 4 x 5",
    ),
    "gzip that unfolds too far": (
        body(gzip.compress(idx_bytes(IMAGES) + bytes(1))),
        "expected 136 bytes after decompression, found more",
    ),
    "large body": (body(bytes(2**20)), r"expected at most \d+ bytes, found a larger body"),
    "login page": (body(b"<html>Log in"), "expected the magic number 00 00 08 03 .*, found 3c 68 74 6d"),
    "403": (status(403), "expected HTTP status 200, found 403 Forbidden"),
    "404": (status(404), "expected HTTP status 200, found 404 Not Found"),
    "503": (status(503), "expected HTTP status 200, found 503 Service Unavailable"),
    "silent": (silent, r"expected an answer within 0\.3 s, found none"),
    "silent halfway": (silent_halfway, r"expected the whole file, found .*Read timed out"),
    "hangs up": (hang_up, "expected the whole file, found ConnectionError"),
}


def patience_for(name: str) -> Patience:
    return HURRIED if "silent" in name else CALM


@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_a_bad_answer_is_explained_and_leaves_nothing(tmp_path, name):
    answer, reason = BAD_ANSWERS[name]
    with serving(train_images=answer) as mirror, pytest.raises(DataError) as error:
        fetch_images(tmp_path / "tiny", mirror, patience=patience_for(name))
    message = str(error.value)
    assert message.startswith("tiny/train-images.gz could not be downloaded from any mirror:\n")
    assert re.search(f"^  {mirror.url}train-images.gz: {reason}", message, re.MULTILINE)
    assert "run: python -m lrlib data tiny." in message
    assert message.endswith("set LRLIB_DATA to a folder that holds tiny/train-images.gz")
    assert files_in(tmp_path) == []


@contextlib.contextmanager
def traced_memory():
    """Yield a list that holds, afterwards, the most bytes that Python had allocated at once."""
    peak = []
    tracemalloc.start()
    try:
        yield peak
    finally:
        peak.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()


def test_a_gzip_bomb_is_not_unfolded(tmp_path):
    file = IdxFile("train-images", (400, 28, 28), "0" * 64)
    bomb = gzip_bomb(file, megabytes=300)
    assert len(bomb) < file.largest_body  # so that only the unfolding can be what stops it
    with (
        serving(train_images=body(bomb)) as mirror,
        traced_memory() as peak,
        pytest.raises(DataError) as error,
    ):
        download(Source("tiny", (mirror.url,), {}, ()), file, tmp_path, patience=CALM, progress=False)
    assert f"expected {file.size} bytes after decompression, found more" in str(error.value)
    # what arrived, its unfolded start and copies of both: 3 MB, not 300
    assert file.size < peak[0] < 10 * file.size
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("answer", [drip, drip_chunks, drip_header])
def test_a_server_that_drips_meets_the_deadline(tmp_path, answer):
    started = time.monotonic()
    with serving(train_images=answer) as mirror, pytest.raises(DataError) as error:
        fetch_images(tmp_path, mirror, patience=Patience(silence=30, deadline=0.6, rounds=2, pause=0))
    assert 0.6 <= time.monotonic() - started < 8  # the dripping itself takes 10 s
    assert len(mirror.asked) == 1  # no second round for a server that drips
    assert re.search(
        r": expected the transfer to end within 0\.6 s, found it unfinished, with \d", str(error.value)
    )
    assert files_in(tmp_path) == []


def test_a_transfer_that_was_given_up_ends_at_its_next_byte(tmp_path):
    with serving(train_images=drip_chunks) as mirror:
        with pytest.raises(DataError):
            fetch_images(tmp_path, mirror, patience=Patience(silence=30, deadline=0.6, rounds=1))
        given_up = time.monotonic()
        while any(mirror.url in thread.name for thread in threading.enumerate()):
            assert time.monotonic() - given_up < 5  # of the 9 s that the dripping goes on
            time.sleep(0.01)


@pytest.mark.parametrize(
    ("name", "requests_made"),
    [("404", 1), ("flipped bit", 1), ("503", 2), ("silent", 2), ("hangs up", 2), ("truncated", 2)],
)
def test_only_trouble_that_may_pass_is_tried_again(tmp_path, name, requests_made):
    with serving(train_images=BAD_ANSWERS[name][0]) as mirror, pytest.raises(DataError):
        fetch_images(tmp_path, mirror, patience=patience_for(name))
    assert len(mirror.asked) == requests_made


def test_trouble_that_passes_costs_only_another_round(tmp_path):
    def once_busy(handler):
        (status(503) if len(mirror.asked) == 1 else body(PACKED))(handler)

    with serving(train_images=once_busy) as mirror:
        fetch_images(tmp_path, mirror)
    assert files_in(tmp_path) == ["train-images.gz"]


def test_a_mirror_that_refuses_connections_is_passed_over(tmp_path):
    with serving() as closed:
        pass
    with serving(train_images=body(PACKED)) as good:
        path = fetch_images(tmp_path, closed, good)
    assert gzip.decompress(path.read_bytes()) == idx_bytes(IMAGES)
    with pytest.raises(
        DataError, match=f"{closed.url}train-images.gz: expected the whole file, found ConnectionError"
    ):
        fetch_images(tmp_path, closed)


@pytest.mark.parametrize("name", ["404", "flipped bit", "truncated", "silent", "large body"])
def test_the_next_mirror_makes_good_for_a_bad_one(tmp_path, name):
    with serving(train_images=BAD_ANSWERS[name][0]) as bad, serving(train_images=body(PACKED)) as good:
        path = fetch_images(tmp_path, bad, good, patience=Patience(silence=1, deadline=60, rounds=1))
    assert path == tmp_path / "train-images.gz"
    assert path.read_bytes() == PACKED
    assert (len(bad.asked), len(good.asked)) == (1, 1)
    assert files_in(tmp_path) == ["train-images.gz"]


def test_every_mirror_has_its_reason(tmp_path):
    refused, short = serving(train_images=status(403)), serving(train_images=body(PACKED[:50]))
    with refused as first, short as second, pytest.raises(DataError) as error:
        fetch_images(tmp_path, first, second)
    lines = str(error.value).splitlines()
    assert lines[1] == f"  {first.url}train-images.gz: expected HTTP status 200, found 403 Forbidden"
    assert lines[2].startswith(f"  {second.url}train-images.gz: expected a whole gzip stream, found one that")


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
