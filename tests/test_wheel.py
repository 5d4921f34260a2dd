"""What Colab installs: a wheel must work where there is no clone."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = """
import lrlib
from lrlib import store
from lrlib.interactive import RankExplorer
print(lrlib.__file__)
print(store.folder())
print(lrlib.experiments.load("mnist", "full").path)
print(len(RankExplorer._esm) > 1000)
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder that holds lrlib as its wheel holds it, built without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_the_wheel_brings_the_stored_results_and_the_figures(installed, tmp_path):
    environment = {
        "PYTHONPATH": str(installed),
        "HOME": str(tmp_path),
        "PATH": "",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    module, folder, table, figure_has_code = run.stdout.splitlines()
    assert module == str(installed / "lrlib" / "__init__.py")
    assert table == str(installed / "lrlib" / "_results" / "mnist-full.csv.xz")
    assert Path(folder).is_relative_to(
        tmp_path
    )  # new runs go to the user's cache, not among the installed files
    assert figure_has_code == "True"


@pytest.mark.skipif(
    not (ROOT / ".git").exists(), reason="not a git clone: what belongs to lrlib is not known"
)
def test_the_wheel_holds_every_file_of_the_library_and_nothing_else(installed):
    held = {p.relative_to(installed).as_posix() for p in (installed / "lrlib").rglob("*") if p.is_file()}
    listed = subprocess.run(
        ["git", "ls-files", "lrlib"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    tracked = set(listed.stdout.split())
    full = [p.name for p in (ROOT / "data" / "results").glob("[!.]*-full.*")]  # no lock, nothing half done
    assert len(full) >= 2
    assert held == tracked | {f"lrlib/_results/{name}" for name in full}
