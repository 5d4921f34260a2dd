"""Downloads from servers on loopback that misbehave in every way known: a clear error, and nothing left behind."""

import contextlib
import gzip
import re
import threading
import time
import tracemalloc

import pytest
import requests  # noqa: F401  (imported before a test drops its rights to read the environment it is installed in)
from tiny_idx import (
    CALM,
    HURRIED,
    IMAGES,
    PACKED,
    body,
    fetch_images,
    files_in,
    gzip_bomb,
    idx_bytes,
    serving,
    status,
)

from lrlib.data import DataError
from lrlib.data.download import Patience, download
from lrlib.data.idx import IdxFile
from lrlib.data.sources import Source


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


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
