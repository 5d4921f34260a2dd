"""IDX, the format of MNIST: what a file must hold, and its bytes checked and read as an array.

A leaf: imports nothing else of the package. Nothing here trusts the bytes it is given.
"""

import hashlib
import math
import struct
import zlib
from dataclasses import dataclass

import numpy as np

GZIP_MAGIC = b"\x1f\x8b"
UNSIGNED_BYTE = 0x08


class DataError(RuntimeError):
    """A data set cannot be had; the message names the file, what was expected, what was found and what to do."""


class Unexpected(ValueError):
    """Bytes are not what they must be; whoever knows where they came from turns this into a :class:`DataError`."""

    def __init__(self, expected: str, found: str):
        super().__init__(f"expected {expected}, found {found}")


@dataclass(frozen=True)
class IdxFile:
    """One IDX file of unsigned bytes: its ``name`` (decompressed), its ``shape`` and the SHA-256 of its content."""

    name: str
    shape: tuple[int, ...]
    sha256: str

    @property
    def magic(self) -> bytes:
        """Return the four bytes that an IDX file starts with: two zeros, the type, the number of dimensions."""
        return bytes([0, 0, UNSIGNED_BYTE, len(self.shape)])

    @property
    def header_size(self) -> int:
        """Return the bytes before the first entry: the magic number and one 32-bit integer per dimension."""
        return len(self.magic) + 4 * len(self.shape)

    @property
    def size(self) -> int:
        """Return the length of the decompressed file in bytes."""
        return self.header_size + math.prod(self.shape)

    @property
    def largest_body(self) -> int:
        """Return the most bytes that it can take, compressed or not: gzip adds little even to what it cannot shrink."""
        return self.size + self.size // 1000 + 1024


def decode(body: bytes, file: IdxFile) -> np.ndarray:
    """Return the entries of ``file`` (uint8, read-only) from ``body``, its bytes as they are or gzip-compressed.

    Checks the header, the length and the SHA-256 of the decompressed bytes; raises :class:`Unexpected`.
    The digest comes last although it alone would do: the checks before it say more about what is wrong.
    """
    content = _inflate(body, limit=file.size + 1)
    _check_header(content, file)
    if len(content) != file.size:
        found = "more" if len(content) > file.size else str(len(content))
        raise Unexpected(f"{file.size} bytes after decompression", found)
    digest = hashlib.sha256(content).hexdigest()
    if digest != file.sha256:
        raise Unexpected(f"SHA-256 {file.sha256} of the decompressed bytes", digest)
    return np.frombuffer(content, np.uint8, offset=file.header_size).reshape(file.shape)


def _inflate(body: bytes, *, limit: int) -> bytes:
    """Return at most ``limit`` decompressed bytes, so that a gzip bomb never unfolds; plain bytes pass through."""
    if not body.startswith(GZIP_MAGIC):
        return body
    stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        content = stream.decompress(body, limit)
    except zlib.error as error:
        raise Unexpected("an intact gzip stream", str(error)) from None
    if not stream.eof and len(content) < limit:
        raise Unexpected(
            "a whole gzip stream", f"one that breaks off after {len(content)} decompressed bytes"
        )
    return content


def _check_header(content: bytes, file: IdxFile) -> None:
    """Raise :class:`Unexpected` unless ``content`` starts as ``file`` must."""
    magic = content[: len(file.magic)]
    if magic != file.magic:
        rule = f"the magic number {file.magic.hex(' ')} (unsigned bytes in {len(file.shape)} dimensions)"
        raise Unexpected(rule, magic.hex(" ") or "an empty file")
    if len(content) < file.header_size:
        raise Unexpected(f"{file.size} bytes after decompression", str(len(content)))
    shape = struct.unpack_from(f">{len(file.shape)}I", content, offset=len(magic))
    if shape != file.shape:
        raise Unexpected(f"{_times(file.shape)} entries", _times(shape))


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
