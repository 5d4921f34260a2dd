"""What ``python -m lrlib doctor`` looks at. It changes nothing and reaches no network."""

import os
import platform
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

from lrlib import data, runtime, store

# What the book's pages are built with; Jupyter Book 2 reads neither _config.yml nor _toc.yml.
BOOK = (
    "jupyter-book>=1.0.4,<2",
    "sphinx-proof",
    "sphinx-exercise",
    "sphinxcontrib-bibtex",
    "sphinx-mathjax-offline",
    "sphinxext-opengraph",
)
EXTRAS = ("jupyterlab", "pytest", "nbval", "playwright", "ruff")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

INSTALL_LIBRARY = "pip install -e ."
INSTALL_BOOK = "pip install -r requirements.txt"


@dataclass(frozen=True)
class Finding:
    """One line of the report: ``what`` was looked at, what was ``found``, and the ``remedy`` if that is not enough.

    ``needed`` says whether the book cannot be built without it.
    """

    what: str
    found: str
    remedy: str | None = None
    needed: bool = True

    def __str__(self) -> str:
        mark = "ok" if self.remedy is None else "MISSING" if self.needed else "optional"
        return f"{mark:<9} {self.what}: {self.found}" + (f" -> {self.remedy}" if self.remedy else "")


def examine() -> Iterator[tuple[str, list[Finding]]]:
    """Yield the sections of the report, each a title and its findings, as they are found."""
    yield "machine", [Finding("python", f"{platform.python_version()} on {platform.platform()}"), _device()]
    yield "packages of the library", library_packages()
    yield "packages that build the book", [package(each, remedy=INSTALL_BOOK) for each in BOOK]
    yield (
        "for tests and notebooks",
        [*(package(each, remedy=INSTALL_BOOK, needed=False) for each in EXTRAS), browser()],
    )
    yield "data sets", [data_set(name) for name in data.NAMES]
    yield "stored results", stored_results()


def missing_for_the_book(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings that keep ``make book`` from working."""
    return [finding for finding in findings if finding.needed and finding.remedy is not None]


def _device() -> Finding:
    return Finding("device", runtime.device_name())


def library_packages() -> list[Finding]:
    """Return lrlib itself and everything that its metadata requires."""
    itself = package("lrlib", remedy=INSTALL_LIBRARY)
    if itself.remedy is not None:
        return [itself]
    wanted = [each for each in requires("lrlib") or () if "extra ==" not in each]
    return [itself, *(package(each, remedy=INSTALL_LIBRARY) for each in wanted)]


def package(requirement: str, *, remedy: str, needed: bool = True) -> Finding:
    """Return whether ``requirement``, such as ``"numpy>=1.26"``, is met.

    >>> package("no-such-package>=2", remedy="pip install -e .").found
    'not installed'
    """
    wanted = Requirement(requirement)
    try:
        installed = version(wanted.name)
    except PackageNotFoundError:
        return Finding(wanted.name, "not installed", remedy, needed)
    if not wanted.specifier.contains(installed, prereleases=True):
        return Finding(wanted.name, f"{installed}, but {wanted.specifier} is wanted", remedy, needed)
    return Finding(wanted.name, installed)


def browser() -> Finding:
    """Return the Chromium that the browser tests would use: ``$LRLIB_CHROMIUM``, else the first on the path."""
    names = (os.environ["LRLIB_CHROMIUM"],) if os.environ.get("LRLIB_CHROMIUM") else BROWSERS
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        remedy = "apt install chromium, or set LRLIB_CHROMIUM to its path"
        return Finding("chromium", f"no {', '.join(names)}", remedy, needed=False)
    return Finding("chromium", path)


def data_set(name: str) -> Finding:
    """Return whether a data set is here and verified. One that is absent is no obstacle; a damaged one is."""
    files = data.status(name)
    for file in files:
        if file.path is not None and file.problem is not None:
            return Finding(
                name, f"{file.path}: {file.problem}", f"remove {file.path}; python -m lrlib data {name}"
            )
    absent = [file.file for file in files if file.path is None]
    if absent:
        return Finding(name, f"no {', '.join(absent)}", f"python -m lrlib data {name}", needed=False)
    places = sorted({str(file.path.parent) for file in files})
    return Finding(name, f"verified, in {', '.join(places)}" if places else "comes with scikit-learn")


def stored_results() -> list[Finding]:
    """Return the stored runs that the chapters show, each checked against its manifest."""
    try:
        runs = [Finding(f"{run.name}-{run.preset}", str(run.path)) for run in store.stored()]
    except store.StoreError as error:
        return [Finding("stored runs", "damaged", str(error))]
    remedy = "git checkout -- data/results, or make them: python -m lrlib run NAME --preset full"
    return runs or [Finding("stored runs", f"none in {store.folder()}", remedy)]
