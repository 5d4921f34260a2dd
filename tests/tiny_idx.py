"""A data set of a few tiny images with true digests, its files as bytes, and a server on loopback to serve them."""

import contextlib
import gzip
import hashlib
import struct
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

from lrlib.data.download import Patience, download
from lrlib.data.idx import IdxFile
from lrlib.data.sources import Source

IMAGES = np.random.default_rng(0).integers(0, 256, size=(6, 4, 5), dtype=np.uint8)
LABELS = np.array([3, 1, 4, 1, 5, 9], dtype=np.uint8)


def idx_bytes(array: np.ndarray, *, magic: int | None = None) -> bytes:
    """The array in IDX form, written from the format's description and not with lrlib."""
    magic = 0x0800 + array.ndim if magic is None else magic
    return struct.pack(f">i{array.ndim}i", magic, *array.shape) + array.tobytes()


def idx_file(name: str, shape: tuple[int, ...], content: bytes) -> IdxFile:
    return IdxFile(name, shape, hashlib.sha256(content).hexdigest())


def tiny_source(*mirrors: str, images: np.ndarray = IMAGES, labels: np.ndarray = LABELS) -> Source:
    """A source called "tiny" whose digests are those of ``images`` and ``labels``."""
    pair = (
        idx_file("train-images", images.shape, idx_bytes(images)),
        idx_file("train-labels", labels.shape, idx_bytes(labels)),
    )
    return Source("tiny", mirrors, {"train": pair}, tuple("0123456789"))


def write_tiny(folder, *, images: np.ndarray = IMAGES, labels: np.ndarray = LABELS) -> None:
    """Put the two files, compressed, where a reader would: ``folder``/tiny."""
    (folder / "tiny").mkdir(parents=True)
    (folder / "tiny" / "train-images.gz").write_bytes(gzip.compress(idx_bytes(images)))
    (folder / "tiny" / "train-labels.gz").write_bytes(gzip.compress(idx_bytes(labels)))


def gzip_bomb(file: IdxFile, *, megabytes: int) -> bytes:
    """The header of ``file`` and then zeros without end, compressed: about a kilobyte for every megabyte."""
    stream = zlib.compressobj(level=9, wbits=31)
    header = struct.pack(f">i{len(file.shape)}i", 0x0800 + len(file.shape), *file.shape)
    zeros = bytes(2**20)
    return b"".join(
        [stream.compress(header), *(stream.compress(zeros) for _ in range(megabytes)), stream.flush()]
    )


Answer = Callable[[BaseHTTPRequestHandler], None]


def body(content: bytes, *, said_length: int | None = None) -> Answer:
    """Answer 200 with ``content``; the header says ``said_length`` if given, whatever the content's length is."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content) if said_length is None else said_length))
        handler.end_headers()
        handler.wfile.write(content)

    return answer


def status(code: int) -> Answer:
    return lambda handler: handler.send_error(code)


@dataclass
class Mirror:
    """A running server: its ``url``, what it answers to each file name, and the paths it was asked for."""

    url: str
    answers: dict[str, Answer]
    asked: list[str] = field(default_factory=list)


@contextlib.contextmanager
def serving(**answers: Answer):
    """Serve on an ephemeral port of 127.0.0.1; ``train_images=body(...)`` answers for train-images.gz."""
    named = {f"/{name.replace('_', '-')}.gz": answer for name, answer in answers.items()}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            mirror.asked.append(self.path)
            with contextlib.suppress(ConnectionError):  # the client may well have hung up
                mirror.answers.get(self.path, status(404))(self)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    mirror = Mirror(f"http://127.0.0.1:{server.server_port}/", named)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield mirror
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


# Long enough for a busy machine; only servers that are silent on purpose are left after a moment.
CALM = Patience(silence=30, deadline=60, rounds=2, pause=0)
HURRIED = Patience(silence=0.3, deadline=60, rounds=2, pause=0)
PACKED = gzip.compress(idx_bytes(IMAGES))
PACKED_LABELS = gzip.compress(idx_bytes(LABELS))


def fetch_images(folder, *mirrors, patience=CALM):
    source = tiny_source(*(mirror.url for mirror in mirrors))
    return download(source, source.splits["train"][0], folder, patience=patience, progress=False)


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
