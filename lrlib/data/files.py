"""Find a data set's files: in the reader's own folder, in the cache, or on a mirror. Every read is verified."""

import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lrlib.data.download import Patience, download
from lrlib.data.idx import DataError, IdxFile, Unexpected, decode
from lrlib.data.sources import Source


@dataclass(frozen=True)
class Folders:
    """Where files are looked for: ``given`` is the reader's (only ever read), ``cache`` is ours (downloads)."""

    given: Path | None
    cache: Path


def folders() -> Folders:
    """Return ``$LRLIB_DATA``, if set, and the cache: data/cache in a clone, else the user's cache folder."""
    import pooch

    given = os.environ.get("LRLIB_DATA")
    clone = Path(__file__).resolve().parents[2]
    in_clone = (clone / "pyproject.toml").is_file() and (clone / "data").is_dir()
    cache = clone / "data" / "cache" if in_clone else Path(pooch.os_cache("lrlib"))
    return Folders(Path(given).expanduser() if given else None, cache)


@dataclass(frozen=True)
class FileStatus:
    """Whether one file is here: ``path`` is None if it is not, ``problem`` is None if it is there and verified."""

    file: str
    path: Path | None
    problem: str | None


def statuses(source: Source, where: Folders) -> tuple[FileStatus, ...]:
    """Look for every file of ``source`` and verify those that are there; fetches nothing."""
    return tuple(_status(source, file, where) for file in source.files)


def _status(source: Source, file: IdxFile, where: Folders) -> FileStatus:
    path = _held(source, file, where.given) or _held(source, file, where.cache)
    if path is None:
        return FileStatus(file.name, None, "not found")
    try:
        _read(path, file)
    except (OSError, Unexpected) as error:
        return FileStatus(file.name, path, str(error))
    return FileStatus(file.name, path, None)


def obtain(
    source: Source, file: IdxFile, where: Folders, *, patience: Patience, progress: bool
) -> tuple[Path, np.ndarray]:
    """Return where ``file`` is and its verified entries, after fetching it into the cache if need be.

    A bad file in the cache is fetched again; one in the reader's own folder is left alone and is an error.
    Raises :class:`DataError`.
    """
    path = _held(source, file, where.given)
    if path is not None:
        return path, _read_given(path, source, file)
    path = _held(source, file, where.cache)
    if path is not None:
        try:
            return path, _read(path, file)
        except (OSError, Unexpected) as error:
            warnings.warn(f"{path}: {error}; it is fetched again", stacklevel=2)
    path = download(source, file, where.cache / source.name, patience=patience, progress=progress)
    return path, _read(path, file)


def read_split(
    source: Source, split: str, where: Folders, *, patience: Patience | None = None, progress: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Return images (n, h, w) and labels (n,) of a split, uint8; raises :class:`DataError`."""
    patience = patience or Patience()
    (images_path, images), (labels_path, labels) = (
        obtain(source, file, where, patience=patience, progress=progress) for file in source.splits[split]
    )
    try:
        _check_pair(images, labels, classes=len(source.classes))
    except Unexpected as error:
        raise DataError(
            f"{labels_path}, read with {images_path.name}: {error}. {_remedy(source, labels_path)}"
        ) from None
    return images, labels


def _check_pair(images: np.ndarray, labels: np.ndarray, *, classes: int) -> None:
    if len(labels) != len(images):
        raise Unexpected(f"{len(images)} labels, one for each image", str(len(labels)))
    if labels.max() >= classes:
        raise Unexpected(f"labels below {classes}", f"the label {labels.max()}")


def _held(source: Source, file: IdxFile, folder: Path | None) -> Path | None:
    """Return the path of ``file`` in ``folder``, compressed or not, or None."""
    if folder is None:
        return None
    paths = (folder / source.name / name for name in (f"{file.name}.gz", file.name))
    # os.path's isfile, not Path's: that raises on folders that may not be read
    return next((path for path in paths if os.path.isfile(path)), None)


def _read(path: Path, file: IdxFile) -> np.ndarray:
    found = path.stat().st_size
    if found > file.largest_body:
        raise Unexpected(f"a file of at most {file.largest_body} bytes", f"{found} bytes")
    return decode(path.read_bytes(), file)


def _read_given(path: Path, source: Source, file: IdxFile) -> np.ndarray:
    try:
        return _read(path, file)
    except OSError as error:
        reason = str(Unexpected("a readable file", f"{type(error).__name__}: {error.strerror}"))
    except Unexpected as error:
        reason = str(error)
    raise DataError(f"{path}: {reason}. {_remedy(source, path)}")


def _remedy(source: Source, path: Path) -> str:
    return (
        f"Nothing was changed there: replace or remove {path.name} in {path.parent}, "
        f"or unset LRLIB_DATA and run: python -m lrlib data {source.name}"
    )
