"""Stored runs: a tidy table and a manifest, written atomically, kept cell by cell so that a kill loses little.

``data/results/NAME-PRESET.csv.xz`` is the table, ``NAME-PRESET.json`` its manifest. Text only: nothing is unpickled.
One process at a time writes a run (:func:`writing`); anybody may read meanwhile, and finds the old run or the new.

Beside them lie hidden files, which git ignores: ``.NAME-PRESET.lock``, empty, whose lock the writer holds; what is
kept of a run under way, ``.NAME-PRESET-DIGEST/``; and after a kill perhaps ``.NAME-PRESET.csv.xz.next``, a new table on
its way to its place. It is the manifest that decides which of two tables counts: the one whose text's SHA-256 it gives.
"""

import hashlib
import io
import json
import lzma
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pooch
from filelock import FileLock, Timeout

_PACKAGE = Path(__file__).parent
_CLONE = _PACKAGE.parent / "data" / "results"
_WHEEL = _PACKAGE / "_results"

# What every manifest says; "code" came later, and a run without it is read as well.
_MANIFEST = ("config", "seeds", "rows", "sha256", "wall_time_s", "finished", "device", "commit")
# Columns that are text even where it looks like numbers: "0" is not to come back as 0.0.
_TEXT = {"factor": str, "level": str, "values": str}
# A writer replaces manifest and table one after the other. A reader who looks in between looks again.
_LOOKS = 5


class StoreError(RuntimeError):
    """A stored run is missing, damaged, or being written by another process; the message says what to do."""


@dataclass(frozen=True)
class StoredRun:
    """A stored run: ``table``, tidy, one row a reading; ``manifest``, how it was made; ``path`` of the table."""

    name: str
    preset: str
    table: pd.DataFrame
    manifest: dict[str, Any]
    path: Path


@dataclass(frozen=True)
class Resumable:
    """A long cell of an experiment, which can go on in its middle after a kill.

    ``make`` makes the cell's table. It is called with the path of a file, which it may write to keep what it needs to
    go on, as :func:`lrlib.train.train` does with ``keep_in``. The next run of the same configuration and code finds it.
    """

    make: Callable[[Path], pd.DataFrame]


def folder() -> Path:
    """Return where runs are written: ``$LRLIB_RESULTS``, else the clone's data/results, else the user's cache."""
    if os.environ.get("LRLIB_RESULTS"):
        return Path(os.environ["LRLIB_RESULTS"])
    return _CLONE if _CLONE.is_dir() else Path(pooch.os_cache("lrlib")) / "results"


def names() -> list[tuple[str, str]]:
    """Return the name and preset of every stored run that can be found, sorted; it may be damaged."""
    stems = sorted({path.stem for place in _places() for path in place.glob("[!.]*-*.json")})
    return [(name, preset) for name, _, preset in (stem.rpartition("-") for stem in stems)]


def load(name: str, preset: str = "full") -> StoredRun:
    """Return the stored run ``NAME-PRESET`` after checking the table's SHA-256 against its manifest.

    Looked for in :func:`folder`, then among the runs that came with the installation.

    Raises :class:`StoreError` where there is none, or where its files do not fit together.
    """
    for place in _places():
        if _manifest(place, name, preset).is_file():
            run = _read(place, name, preset)
            if place == folder() and run.path == _tables(place, name, preset)[1]:
                # Its writer was killed before the last step, or is at it. Who has the lock puts that in order.
                with suppress(StoreError, OSError), writing(name, preset):
                    run = _read(place, name, preset)
            return run
    raise StoreError(
        f"{name}-{preset}: no stored run in {', '.join(map(str, _places()))}; "
        f"make it with: python -m lrlib run {name} --preset {preset}"
    )


def stored() -> Iterator[StoredRun]:
    """Yield every stored run that can be read, each name and preset once, sorted.

    Raises :class:`StoreError` after the last of them if there are others, which are damaged; it names each.
    """
    problems = []
    for name, preset in names():
        try:
            run = load(name, preset)
        except StoreError as problem:
            problems.append(str(problem))
        else:
            yield run
    if problems:
        raise StoreError("\n".join(problems))


@contextmanager
def writing(name: str, preset: str) -> Iterator[None]:
    """Hold the one right to write the run ``NAME-PRESET``, which the system takes back from a process that ends.

    May be entered again by the thread that holds it. First of all it puts in order what a killed writer left.

    Raises ``ValueError`` for a name or preset that file names could not give back, and at once :class:`StoreError`
    where another process or thread writes this run.
    """
    for argument, value in (("name", name), ("preset", preset)):
        if not re.fullmatch(r"\w+", value):
            raise ValueError(f"{argument}={value!r}: must be letters, digits and underscores")
    place = folder()
    place.mkdir(parents=True, exist_ok=True)
    # The file stays when the lock is gone: who removes it while another opens it lets two writers in.
    lock = FileLock(place / f".{name}-{preset}.lock", timeout=0, is_singleton=True)
    try:
        lock.acquire()
    except Timeout:
        raise StoreError(
            f"{name}-{preset}: another process runs this and writes to {place}; wait for it to finish and load "
            f"its result, or stop it and start again, which goes on where it was"
        ) from None
    try:
        _put_in_order(place, name, preset)
        yield
    finally:
        lock.release()


def save(
    name: str,
    preset: str,
    table: pd.DataFrame,
    *,
    config: dict[str, Any],
    origin: Mapping[str, Any],
    wall_time_s: float,
) -> StoredRun:
    """Write ``table`` and its manifest under :func:`folder`, atomically, and return the run as stored.

    Args:
        name, preset: the run's name in the file names: letters, digits and underscores.
        table: tidy, one row a reading; numbers are kept to 6 significant digits.
        config: what was run, JSON values only; its ``seeds`` are repeated at the top of the manifest.
        origin: the manifest's ``device``, ``commit``, ``versions`` and ``code``, as lrlib.provenance finds them.
        wall_time_s: seconds that the run took, over all its parts.

    A kill at any moment leaves the run that was stored before, or this one. Raises as :func:`writing` does.
    """
    text = table.to_csv(index=False, float_format="%.6g", lineterminator="\n").encode()
    manifest = {
        "name": name,
        "preset": preset,
        "config": config,
        "seeds": config.get("seeds"),
        "rows": len(table),
        "sha256": hashlib.sha256(text).hexdigest(),
        "wall_time_s": round(wall_time_s, 1),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    } | dict(origin)
    with writing(name, preset):
        place = folder()
        path, coming = _tables(place, name, preset)
        _write(coming, lzma.compress(text, preset=6))  # no time in it: equal tables are equal files
        # From here on the new run counts: until the last step its table is read where it waits.
        _write(_manifest(place, name, preset), (json.dumps(manifest, indent=2) + "\n").encode())
        os.replace(coming, path)
        return _read(place, name, preset)


def run_cells(
    name: str,
    preset: str,
    config: dict[str, Any],
    cells: Iterable[tuple[str, Callable[[], pd.DataFrame] | Resumable]],
    *,
    origin: Mapping[str, Any],
) -> tuple[pd.DataFrame, float]:
    """Run the independent cells of an experiment, keep each one's table, return them joined and the seconds taken.

    A cell is a name (part of a file name) and a function that makes its table, or a ``Resumable``, whose file goes
    when its table is kept. Tables already kept are read and not made again, so a killed run goes on at the first
    missing cell, if configuration and ``origin`` are the same but for the commit: one table is never joined from two
    versions of the code, two devices or two versions of torch. A kept table that is not whole is made again. To be
    called while :func:`writing`.
    """
    place = _cells_folder(name, preset, config, origin)
    tables, seconds = [], 0.0
    for cell, make in cells:
        path, sidecar, training = (place / f"{cell}.{suffix}" for suffix in ("csv", "json", "training"))
        resumable = isinstance(make, Resumable)
        took = _kept(path, sidecar)
        if took is None:
            spent = _begun(training, sidecar) if resumable else 0.0
            start = time.perf_counter()
            table = make.make(training) if resumable else make()
            text = table.to_csv(index=False, lineterminator="\n").encode()
            took = spent + time.perf_counter() - start
            note = {"seconds": took, "sha256": hashlib.sha256(text).hexdigest()}
            _write(sidecar, json.dumps(note).encode())
            _write(path, text)  # last: its presence says that the cell is complete
        training.unlink(missing_ok=True)
        tables.append(pd.read_csv(path, dtype=_TEXT))
        seconds += took
    if not tables:
        raise ValueError("cells: there are none; must be at least one")
    return pd.concat(tables, ignore_index=True), seconds


def discard_cells(name: str, preset: str) -> None:
    """Remove all that :func:`run_cells` kept for ``NAME-PRESET``; to be called once the run is stored.

    What an earlier configuration or other code left unfinished goes, too: the stored run has superseded it.
    """
    for place in folder().glob(f".{name}-{preset}-????????"):
        shutil.rmtree(place, ignore_errors=True)


def _places() -> list[Path]:
    return list(dict.fromkeys(place for place in (folder(), _CLONE, _WHEEL)))


def _tables(place: Path, name: str, preset: str) -> tuple[Path, Path]:
    """Return where a run's table is, and where a new one waits until its manifest is written."""
    return place / f"{name}-{preset}.csv.xz", place / f".{name}-{preset}.csv.xz.next"


def _manifest(place: Path, name: str, preset: str) -> Path:
    return place / f"{name}-{preset}.json"


def _put_in_order(place: Path, name: str, preset: str) -> None:
    """Finish what a killed writer began, or remove it. Only for the one who holds the lock."""
    path, coming = _tables(place, name, preset)
    if coming.is_file():
        try:
            finished = _read(place, name, preset).path == coming
        except StoreError:
            finished = False
        if finished:
            os.replace(coming, path)
        else:
            coming.unlink()
    for part in place.glob(f".{name}-{preset}.*.part"):
        part.unlink()


def _read(place: Path, name: str, preset: str) -> StoredRun:
    for _ in range(_LOOKS - 1):
        with suppress(StoreError):
            return _read_once(place, name, preset)
    return _read_once(place, name, preset)


def _read_once(place: Path, name: str, preset: str) -> StoredRun:
    path, coming = _tables(place, name, preset)
    remedy = f"restore both files, or make the run again with: python -m lrlib run {name} --preset {preset}"
    try:
        manifest = json.loads(_manifest(place, name, preset).read_text())
        expected = {key: manifest[key] for key in _MANIFEST}["sha256"]
        for table in (coming, path):
            with suppress(OSError, lzma.LZMAError) if table == coming else nullcontext():
                text = lzma.decompress(table.read_bytes())
                if (found := _sha256(text)) == expected:
                    return StoredRun(
                        name, preset, pd.read_csv(io.BytesIO(text), dtype=_TEXT), manifest, table
                    )
    except (OSError, lzma.LZMAError, ValueError, KeyError, TypeError) as problem:
        raise StoreError(
            f"{path}: the table or its manifest cannot be read ({problem!r}); {remedy}"
        ) from problem
    raise StoreError(f"{path}: SHA-256 is {found}, its manifest says {expected}; {remedy}")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _cells_folder(name: str, preset: str, config: dict[str, Any], origin: Mapping[str, Any]) -> Path:
    same = {"config": config} | {key: value for key, value in origin.items() if key != "commit"}
    digest = _sha256(json.dumps(same, sort_keys=True).encode())[:8]
    return folder() / f".{name}-{preset}-{digest}"


def _kept(path: Path, sidecar: Path) -> float | None:
    """Return the seconds that a kept cell took, or None where it is missing or not whole."""
    try:
        note = json.loads(sidecar.read_text())
        return float(note["seconds"]) if _sha256(path.read_bytes()) == note["sha256"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _begun(training: Path, sidecar: Path) -> float:
    """Note that a resumable cell begins; return the seconds it had taken when it last kept something in ``training``."""
    try:
        note = json.loads(sidecar.read_text())
        spent = note["spent"] + max(0.0, training.stat().st_mtime - note["began"])
    except (OSError, ValueError, KeyError, TypeError):
        spent = 0.0
    # Without a checksum: _kept takes it for a cell that is not whole.
    _write(sidecar, json.dumps({"spent": spent, "began": time.time()}).encode())
    return spent


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name.lstrip('.')}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # else a power failure could leave the new name on an empty file
        os.chmod(part, 0o644)  # mkstemp's 0600 would lock others out
        os.replace(part, path)
    finally:
        Path(part).unlink(missing_ok=True)
