"""Stored runs: a tidy table and a manifest, written atomically, kept cell by cell so that a kill loses little.

``data/results/NAME-PRESET.csv`` is the table, ``NAME-PRESET.json`` its manifest. Text only: nothing is unpickled.
"""

import hashlib
import io
import json
import os
import platform
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import pooch

from lrlib import runtime

_PACKAGE = Path(__file__).parent
_CLONE = _PACKAGE.parent / "data" / "results"
_WHEEL = _PACKAGE / "_results"


class StoreError(RuntimeError):
    """A stored run is missing, damaged, or was made with another configuration; the message says what to do."""


@dataclass(frozen=True)
class StoredRun:
    """A stored run: ``table``, tidy, one row a reading; ``manifest``, how it was made; ``path`` of the table."""

    name: str
    preset: str
    table: pd.DataFrame
    manifest: dict[str, Any]
    path: Path


def folder() -> Path:
    """Return where runs are written: ``$LRLIB_RESULTS``, else the clone's data/results, else the user's cache."""
    if os.environ.get("LRLIB_RESULTS"):
        return Path(os.environ["LRLIB_RESULTS"])
    return _CLONE if _CLONE.is_dir() else Path(pooch.os_cache("lrlib")) / "results"


def load(name: str, preset: str = "full") -> StoredRun:
    """Return the stored run ``NAME-PRESET`` after checking the table's SHA-256 against its manifest.

    Looked for in :func:`folder`, then among the runs that came with the installation.

    Raises :class:`StoreError` where there is none, or where its files do not fit together.
    """
    for place in _places():
        if (place / f"{name}-{preset}.json").is_file():
            return _read(place, name, preset)
    raise StoreError(
        f"{name}-{preset}: no stored run in {', '.join(map(str, _places()))}; "
        f"make it with: python -m lrlib run {name} --preset {preset}"
    )


def stored() -> Iterator[StoredRun]:
    """Yield every stored run that can be found, each name and preset once, sorted."""
    names = sorted({path.stem for place in _places() for path in place.glob("*-*.json")})
    for name, _, preset in (stem.rpartition("-") for stem in names):
        yield load(name, preset)


def save(
    name: str, preset: str, table: pd.DataFrame, *, config: dict[str, Any], wall_time_s: float
) -> StoredRun:
    """Write ``table`` and its manifest under :func:`folder`, atomically, and return the run as stored.

    Args:
        name, preset: the run's name in the file names: letters, digits and underscores.
        table: tidy, one row a reading; numbers are kept to 6 significant digits.
        config: what was run, JSON values only; its ``seeds`` are repeated at the top of the manifest.
        wall_time_s: seconds that the run took, over all its parts.

    One writer at a time: two that store different tables under one name can leave one's table with the other's
    manifest, which :func:`load` refuses. Raises ``ValueError`` for a bad name or preset.
    """
    for argument, value in (("name", name), ("preset", preset)):
        if not re.fullmatch(r"\w+", value):
            raise ValueError(f"{argument}={value!r}: must be letters, digits and underscores")
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
        "device": runtime.device_name(),
        "commit": _commit(),
        "versions": {p: version(p) for p in ("lrlib", "torch", "numpy", "pandas")}
        | {"python": platform.python_version()},
    }
    place = folder()
    # The table first: a kill in between leaves a manifest that does not fit, which load() reports, or none.
    _write(place / f"{name}-{preset}.csv", text)
    _write(place / f"{name}-{preset}.json", (json.dumps(manifest, indent=2) + "\n").encode())
    return _read(place, name, preset)


def run_cells(
    name: str,
    preset: str,
    config: dict[str, Any],
    cells: Iterable[tuple[str, Callable[[], pd.DataFrame]]],
) -> tuple[pd.DataFrame, float]:
    """Run the independent cells of an experiment, keep each one's table, return them joined and the seconds taken.

    A cell is a name (part of a file name) and a function that makes its table. Tables already kept for the
    same configuration are read and not made again, so a killed run goes on at the first missing cell; another
    configuration starts its own set. :func:`discard_cells` removes them.
    """
    place = _cells_folder(name, preset, config)
    tables, seconds = [], 0.0
    for cell, make in cells:
        path, clock = place / f"{cell}.csv", place / f"{cell}.seconds"
        if not path.is_file():
            start = time.perf_counter()
            text = make().to_csv(index=False, lineterminator="\n").encode()
            _write(clock, f"{time.perf_counter() - start:.1f}".encode())
            _write(path, text)  # last: its presence says that the cell is complete
        tables.append(pd.read_csv(path))
        seconds += float(clock.read_text())
    if not tables:
        raise ValueError("cells: there are none; must be at least one")
    return pd.concat(tables, ignore_index=True), seconds


def discard_cells(name: str, preset: str, config: dict[str, Any]) -> None:
    """Remove what :func:`run_cells` kept for this configuration; to be called once the run is stored."""
    shutil.rmtree(_cells_folder(name, preset, config), ignore_errors=True)


def _places() -> list[Path]:
    return list(dict.fromkeys(place for place in (folder(), _CLONE, _WHEEL)))


def _read(place: Path, name: str, preset: str) -> StoredRun:
    path = place / f"{name}-{preset}.csv"
    remedy = f"restore both files, or make the run again with: python -m lrlib run {name} --preset {preset}"
    try:
        manifest = json.loads(path.with_suffix(".json").read_text())
        text = path.read_bytes()
        expected = manifest["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise StoreError(
            f"{path}: the table or its manifest cannot be read ({problem!r}); {remedy}"
        ) from problem
    found = hashlib.sha256(text).hexdigest()
    if found != expected:
        raise StoreError(f"{path}: SHA-256 is {found}, its manifest says {expected}; {remedy}")
    return StoredRun(name, preset, pd.read_csv(io.BytesIO(text)), manifest, path)


def _cells_folder(name: str, preset: str, config: dict[str, Any]) -> Path:
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:8]
    return folder() / f".{name}-{preset}-{digest}"


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(part, 0o644)  # mkstemp's 0600 would lock others out
        os.replace(part, path)
    finally:
        Path(part).unlink(missing_ok=True)


def _commit() -> str | None:
    """Return the git commit of the clone that lrlib runs from, with ``+`` if lrlib/ differs from it."""
    try:
        top = _git("rev-parse", "--show-toplevel")
        if Path(top).resolve() != _PACKAGE.parent.resolve():
            return None  # lrlib is installed somewhere inside another project's repository
        changed = _git("status", "--porcelain", "--", "lrlib")
        return _git("rev-parse", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(_PACKAGE.parent), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
