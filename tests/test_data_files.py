"""Files that are already here: which one is taken, and what is said of one that is not what it must be."""

import gzip
import hashlib
import re
import tracemalloc

import numpy as np
import pytest
from tiny_idx import IMAGES, LABELS, gzip_bomb, idx_bytes, idx_file, tiny_source, write_tiny

from lrlib.data import DataError
from lrlib.data.files import Folders, folders, read_split, statuses
from lrlib.data.idx import IdxFile, Unexpected, decode

NO_MIRROR = tiny_source()  # so that nothing here can reach a network


def flip_bit(content: bytes, index: int) -> bytes:
    return content[:index] + bytes([content[index] ^ 1]) + content[index + 1 :]


def read(given, cache, source=NO_MIRROR):
    return read_split(source, "train", Folders(given, cache), progress=False)


@pytest.mark.parametrize("pack", [gzip.compress, bytes], ids=["gzip", "plain"])
def test_decode_returns_the_entries(pack):
    content = idx_bytes(IMAGES)
    np.testing.assert_array_equal(decode(pack(content), idx_file("x", IMAGES.shape, content)), IMAGES)


IMAGES_FILE = NO_MIRROR.splits["train"][0]
CONTENT = idx_bytes(IMAGES)


@pytest.mark.parametrize(
    ("content", "expected", "found"),
    [
        (idx_bytes(IMAGES, magic=0x0803 + 0x0100), "magic number 00 00 08 03", "00 00 09 03"),
        (idx_bytes(IMAGES[0]), r"magic number 00 00 08 03 \(unsigned bytes in 3 dimensions\)", "00 00 08 02"),
        (b"<html>Please log in", "magic number 00 00 08 03", "3c 68 74 6d"),
        (b"", "magic number", "an empty file"),
        (CONTENT[:9], "136 bytes after decompression", "9"),
        (idx_bytes(IMAGES[:5]), "6 x 4 x 5 entries", "5 x 4 x 5"),
        (CONTENT[:-1], "136 bytes after decompression", "135"),
        (CONTENT + b"0", "136 bytes after decompression", "more"),
        (flip_bit(CONTENT, 77), f"SHA-256 {hashlib.sha256(CONTENT).hexdigest()}", "[0-9a-f]{64}"),
    ],
)
@pytest.mark.parametrize("pack", [gzip.compress, bytes], ids=["gzip", "plain"])
def test_decode_says_what_is_wrong(pack, content, expected, found):
    with pytest.raises(Unexpected, match=f"^expected .*{expected}.*, found {found}$"):
        decode(pack(content), IMAGES_FILE)


def test_decode_refuses_a_bit_flipped_in_any_byte():
    for index in range(len(CONTENT)):
        with pytest.raises(Unexpected):
            decode(flip_bit(CONTENT, index), IMAGES_FILE)


def test_decode_refuses_every_truncated_gzip_stream():
    packed = gzip.compress(CONTENT)
    for length in range(len(packed)):
        with pytest.raises(Unexpected):
            decode(packed[:length], IMAGES_FILE)


def test_decode_says_that_a_gzip_stream_is_broken():
    packed = gzip.compress(CONTENT)
    with pytest.raises(
        Unexpected, match=r"expected a whole gzip stream, found one that breaks off after 136 deco"
    ):
        decode(packed[:-3], IMAGES_FILE)
    with pytest.raises(Unexpected, match=r"expected an intact gzip stream, found .*incorrect data check"):
        decode(flip_bit(packed, len(packed) - 6), IMAGES_FILE)  # a bit of its checksum


def test_a_gzip_bomb_is_not_unfolded():
    file = IdxFile("bomb", (400, 28, 28), "0" * 64)
    bomb = gzip_bomb(file, megabytes=300)
    assert len(bomb) < file.largest_body  # so that only the unfolding can be what stops it
    tracemalloc.start()
    try:
        with pytest.raises(Unexpected, match=f"^expected {file.size} bytes after decompression, found more$"):
            decode(bomb, file)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert file.size < peak < 4 * file.size  # zlib grows its buffer by doubling, and copies once


def test_the_readers_folder_comes_before_the_cache(tmp_path):
    write_tiny(tmp_path / "given")
    write_tiny(tmp_path / "cache", images=255 - IMAGES)
    images, labels = read(tmp_path / "given", tmp_path / "cache")
    np.testing.assert_array_equal(images, IMAGES)
    np.testing.assert_array_equal(labels, LABELS)


def test_the_cache_serves_what_the_readers_folder_lacks(tmp_path):
    write_tiny(tmp_path / "given")
    write_tiny(tmp_path / "cache")
    (tmp_path / "given" / "tiny" / "train-labels.gz").unlink()
    np.testing.assert_array_equal(read(tmp_path / "given", tmp_path / "cache")[1], LABELS)
    np.testing.assert_array_equal(read(tmp_path / "nowhere", tmp_path / "cache")[1], LABELS)
    np.testing.assert_array_equal(read(None, tmp_path / "cache")[1], LABELS)


def test_decompressed_files_serve_as_well(tmp_path):
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "train-images").write_bytes(idx_bytes(IMAGES))
    (tmp_path / "tiny" / "train-labels").write_bytes(idx_bytes(LABELS))
    np.testing.assert_array_equal(read(tmp_path, tmp_path / "cache")[0], IMAGES)


def test_a_bad_file_of_the_reader_is_an_error_and_left_alone(tmp_path):
    write_tiny(tmp_path)
    path = tmp_path / "tiny" / "train-images.gz"
    bad = gzip.compress(flip_bit(CONTENT, 100))
    path.write_bytes(bad)
    with pytest.raises(DataError) as error:
        read(tmp_path, tmp_path / "cache")
    assert re.search(
        f"^{re.escape(str(path))}: expected SHA-256 {IMAGES_FILE.sha256} .*, found [0-9a-f]{{64}}\\. .*"
        f"replace or remove train-images.gz in .*, or unset LRLIB_DATA and run: python -m lrlib data tiny$",
        str(error.value),
    )
    assert path.read_bytes() == bad
    assert not (tmp_path / "cache").exists()


def test_a_huge_file_of_the_reader_is_not_even_read(tmp_path):
    write_tiny(tmp_path)
    path = tmp_path / "tiny" / "train-images.gz"
    with path.open("wb") as file:
        file.truncate(10**12)  # sparse: takes no space, and no memory would hold it
    with pytest.raises(DataError, match=r"expected a file of at most \d+ bytes, found 1000000000000 bytes"):
        read(tmp_path, tmp_path / "cache")


def test_labels_that_do_not_match_the_images_are_refused(tmp_path):
    write_tiny(tmp_path, labels=LABELS[:5])
    with pytest.raises(
        DataError, match=r"train-labels.gz: expected 6 entries, found 5\. .*replace or remove"
    ):
        read(tmp_path, tmp_path / "cache")
    with pytest.raises(
        DataError, match=r"train-labels.gz, .*: expected 6 labels, one for each image, found 5\. "
    ):
        read(tmp_path, tmp_path / "cache", tiny_source(labels=LABELS[:5]))


def test_labels_outside_the_classes_are_refused(tmp_path):
    labels = np.array([0, 1, 2, 3, 4, 10], dtype=np.uint8)
    write_tiny(tmp_path, labels=labels)
    with pytest.raises(
        DataError, match=r"train-labels.gz, .*: expected labels below 10, found the label 10\. "
    ):
        read(tmp_path, tmp_path / "cache", tiny_source(labels=labels))


def test_statuses_tell_present_missing_and_bad_and_fetch_nothing(tmp_path):
    assert [s.problem for s in statuses(NO_MIRROR, Folders(None, tmp_path))] == ["not found", "not found"]
    write_tiny(tmp_path)
    (tmp_path / "tiny" / "train-labels.gz").write_bytes(b"junk")
    images, labels = statuses(NO_MIRROR, Folders(None, tmp_path))
    assert (images.path, images.problem) == (tmp_path / "tiny" / "train-images.gz", None)
    assert labels.path == tmp_path / "tiny" / "train-labels.gz"
    assert re.search("expected the magic number 00 00 08 01 .*, found 6a 75 6e 6b", labels.problem)


def test_folders_read_the_environment_when_called(monkeypatch, tmp_path):
    monkeypatch.setenv("LRLIB_DATA", str(tmp_path))
    assert folders().given == tmp_path
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LRLIB_DATA", "~/sets")
    assert folders().given == tmp_path / "sets"
    monkeypatch.delenv("LRLIB_DATA")
    assert folders().given is None
    assert folders().cache.name in ("cache", "lrlib")
