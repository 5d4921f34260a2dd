"""Fetch one file from the first mirror that serves the right bytes, and keep it whole or not at all."""

import gzip
import os
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from tqdm.auto import tqdm

from lrlib import runtime
from lrlib.data.idx import GZIP_MAGIC, DataError, IdxFile, Unexpected, decode
from lrlib.data.sources import Source

CHUNK = 16 * 1024


@dataclass(frozen=True)
class Patience:
    """How long a download may take; all times in seconds."""

    silence: float = 20.0  # without a byte, before a connection is given up
    deadline: float = 300.0  # for one file from one mirror, however it trickles
    rounds: int = 2  # over the mirrors whose trouble may pass
    pause: float = 1.0  # between rounds


def download(source: Source, file: IdxFile, folder: Path, *, patience: Patience, progress: bool) -> Path:
    """Fetch ``file`` into ``folder`` as ``<name>.gz`` and return its path.

    Only verified bytes are written, through a temporary file that replaces the target in one step, so that two
    processes may do this at once and a reader never sees half a file. Raises :class:`DataError`.
    """
    path = folder / f"{file.name}.gz"
    try:
        _check_writable(folder)
        _write_whole(path, _from_first_good_mirror(source, file, patience, progress))
    except OSError as error:
        raise DataError(
            f"{path}: expected to write this file, found {type(error).__name__}: {error}. "
            f"Make {folder} writable and free some space, or {_by_hand(source, file)}"
        ) from None
    return path


def _by_hand(source: Source, file: IdxFile) -> str:
    return f"fetch the file by hand and set LRLIB_DATA to a folder that holds {source.name}/{file.name}.gz"


def _from_first_good_mirror(source: Source, file: IdxFile, patience: Patience, progress: bool) -> bytes:
    """Return verified bytes; raise :class:`DataError` with every mirror's reason if none serves them.

    Trouble that may pass (time-outs, lost connections, status 5xx) earns a mirror another round; wrong bytes do not.
    """
    reasons: dict[str, str] = {}
    urls = [f"{mirror}{file.name}.gz" for mirror in source.mirrors]
    for round_ in range(patience.rounds):
        if round_ and urls:
            time.sleep(patience.pause)
        again = []
        for url in urls:
            try:
                body = _body(url, file, patience, progress)
                decode(body, file)
            except (OSError, ValueError) as error:  # requests raises OSErrors; Unexpected is a ValueError
                reasons[url] = _reason(error, patience)
                if _may_pass(error):
                    again.append(url)
            else:
                return body
        urls = again
    lines = "\n".join(f"  {url}: {reason}" for url, reason in reasons.items())
    raise DataError(
        f"{source.name}/{file.name}.gz could not be downloaded from any mirror:\n{lines}\n"
        f"Check the network and run: python -m lrlib data {source.name}. Or {_by_hand(source, file)}"
    )


def _body(url: str, file: IdxFile, patience: Patience, progress: bool) -> bytes:
    """Return what ``url`` serves, bounded in size by ``file`` and in time by ``patience``.

    A socket time-out only bounds the silence between two bytes, and a server that drips never reaches it. So the
    transfer runs in a thread that is left behind at the deadline; it holds no file, and ends at its next write.
    """
    import pooch

    received = _Received(file.largest_body)
    failures: list[Exception] = []
    with _bar(file, progress) as bar:
        fetch = pooch.HTTPDownloader(
            progressbar=bar,
            chunk_size=CHUNK,
            timeout=patience.silence,
            headers={"Accept-Encoding": "identity"},  # the file as stored, not compressed once more
        )
        thread = threading.Thread(
            target=_note_failure, args=(failures, fetch, url, received), name=f"download {url}", daemon=True
        )
        thread.start()
        try:
            thread.join(patience.deadline)
        finally:
            received.closed = True
    if thread.is_alive():
        found = f"it unfinished, with {len(received.content)} bytes received"
        raise Unexpected(f"the transfer to end within {patience.deadline:g} s", found)
    if failures:
        raise failures[0]
    return bytes(received.content)


def _note_failure(failures: list[Exception], fetch, url: str, received: "_Received") -> None:
    try:
        fetch(url, received, None)
    except Exception as error:  # raised again by the thread that waits for this one
        failures.append(error)


class _Received:
    """The file that pooch writes into: memory that refuses to grow past ``limit`` bytes or once closed."""

    def __init__(self, limit: int):
        self.content = bytearray()
        self.limit = limit
        self.closed = False

    def write(self, chunk: bytes) -> None:
        if self.closed:
            raise TimeoutError("the transfer was given up")
        if len(self.content) + len(chunk) > self.limit:
            raise Unexpected(f"at most {self.limit} bytes", "a larger body")
        self.content += chunk

    def flush(self) -> None:
        """Do nothing; pooch asks for it after every chunk."""


def _bar(file: IdxFile, progress: bool) -> tqdm:
    # pooch sets the true total once the server has said it; it needs a non-zero one until then.
    shown = progress and runtime.output() == "live"
    return tqdm(total=file.size, desc=file.name, unit="B", unit_scale=True, leave=False, disable=not shown)


def _reason(error: Exception, patience: Patience) -> str:
    import requests

    if isinstance(error, Unexpected):
        return str(error)
    if isinstance(error, requests.HTTPError):
        return f"expected HTTP status 200, found {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return f"expected an answer within {patience.silence:g} s, found none"
    return f"expected the whole file, found {type(error).__name__}: {error}"


def _may_pass(error: Exception) -> bool:
    import requests

    if isinstance(error, requests.HTTPError):
        return error.response.status_code >= 500
    return isinstance(error, requests.RequestException)


def _check_writable(folder: Path) -> None:
    """Raise ``OSError`` before, rather than after, megabytes were fetched that cannot be kept."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass


def _write_whole(path: Path, body: bytes) -> None:
    """Write ``body`` to ``path`` in one step; compress it if a server decompressed it on the way."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(body if body.startswith(GZIP_MAGIC) else gzip.compress(body))
        os.chmod(temporary, 0o644)  # mkstemp's 0600 would lock others out of a shared cache
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
