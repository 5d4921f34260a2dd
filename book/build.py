"""Build the book (`make book`), or run its notebooks in place (`make notebooks`).

    python book/build.py site
    python book/build.py notebooks [FILE ...]

Not a part of the book: what the Makefile would say if Make could read a notebook.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import yaml
from jupyter_cache import get_cache
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "_build"
CACHE = BUILD / ".jupyter_cache"
CELL_TIMEOUT = 600  # seconds, as in _config.yml

# What chapters read besides their own code cells, which are all that jupyter-cache looks at.
INPUTS = ("requirements.txt", "lrlib", "data/results")


def toc_files() -> list[str]:
    """Return the files that _toc.yml names, in its order, without their suffix."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    return [toc["root"]] + [
        entry["file"] for part in toc["parts"] for entry in part["chapters"]
    ]


def notebooks() -> list[Path]:
    """Return the notebooks of the table of contents, in its order."""
    return [path for name in toc_files() if (path := ROOT / f"{name}.ipynb").exists()]


def fingerprint() -> str:
    """Return a digest of everything that can change a chapter's outputs except the chapter itself."""
    digest = hashlib.sha256(sys.version.encode())
    for name in ("LRLIB_DATA", "LRLIB_RESULTS"):
        digest.update(f"{name}={os.environ.get(name)}".encode())
    for name in INPUTS:
        path = ROOT / name
        files = (
            sorted(p for p in path.rglob("*") if p.is_file())
            if path.is_dir()
            else [path]
        )
        for file in files:
            parts = file.relative_to(ROOT).parts
            if "__pycache__" not in parts and not any(
                part.startswith(".") for part in parts
            ):  # .: runs under way
                digest.update(f"{file.relative_to(ROOT)}\0".encode())
                digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def forget_stale_outputs() -> None:
    """Remove cached outputs and pages that were made with another library, other results or other packages."""
    stamp, now = BUILD / ".inputs", fingerprint()
    if not stamp.exists() or stamp.read_text() != now:
        for folder in (
            CACHE,
            BUILD / ".doctrees",
            BUILD / "html",
            BUILD / "jupyter_execute",
            BUILD / "results",
        ):
            shutil.rmtree(folder, ignore_errors=True)
        BUILD.mkdir(exist_ok=True)
        stamp.write_text(now)


def cached_runs() -> dict[int, tuple[str, float]]:
    """Return what jupyter-cache holds: key -> (notebook, seconds it took)."""
    if not CACHE.exists():
        return {}
    records = get_cache(CACHE).list_cache_records()
    return {
        record.pk: (Path(record.uri).name, record.data["execution_seconds"])
        for record in records
    }


def build_site() -> int:
    """Run every chapter that is not in the cache, write the site, and say where, how many and how long."""
    started = time.monotonic()
    forget_stale_outputs()
    before = cached_runs()
    jupyter_book = Path(sys.executable).with_name("jupyter-book")
    status = subprocess.run(
        [jupyter_book, "build", ROOT, "-W", "--keep-going", "--quiet"],
        env=os.environ | {"LRLIB_OUTPUT": "page"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,  # what matters, warnings and tracebacks, comes on stderr
    ).returncode
    if status:
        # Sphinx would not read the pages again that it warned of, and the next build would pass.
        shutil.rmtree(BUILD / ".doctrees", ignore_errors=True)
        print("\nThe book was NOT built: see the messages above.", file=sys.stderr)
        return status
    total = len(notebooks())
    ran = {
        name: seconds
        for key, (name, seconds) in cached_runs().items()
        if key not in before
    }
    for name, seconds in ran.items():
        print(f"  ran {name} in {seconds:.0f} s")
    print(f"Chapters: {len(ran)} of {total} run, {total - len(ran)} from the cache.")
    print(f"Time: {time.monotonic() - started:.0f} s.")
    print(f"Open: {(BUILD / 'html' / 'index.html').as_uri()}")
    return 0


def normalised(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Return ``notebook`` without what differs from run to run or from machine to machine."""
    notebook.metadata = {
        "kernelspec": {
            "display_name": "Python 3",
            "language": "python",
            "name": "python3",
        },
        "language_info": {"name": "python"},
    }
    for cell in notebook.cells:
        for key in ("execution", "collapsed", "scrolled", "ExecuteTime"):
            cell.metadata.pop(key, None)
        if cell.cell_type == "code":
            cell.outputs = [
                output for output in cell.outputs if output.get("name") != "stderr"
            ]
    return notebook


def run_in_place(paths: list[Path]) -> int:
    """Execute each notebook and save it with its outputs; one that fails is left as it was."""
    os.environ["LRLIB_OUTPUT"] = "still"
    failed = []
    for path in paths:
        started = time.monotonic()
        notebook = nbformat.read(path, as_version=4)
        client = NotebookClient(
            notebook,
            timeout=CELL_TIMEOUT,
            record_timing=False,
            resources={"metadata": {"path": str(path.parent)}},
        )
        try:
            client.execute()
        except CellExecutionError as error:
            failed.append(path.name)
            print(
                f"{path.name} FAILED; the file is unchanged\n{error}",
                file=sys.stderr,
            )
            continue
        notebook = normalised(notebook)
        nbformat.validate(notebook)
        path.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
        print(f"ran {path.relative_to(ROOT)} in {time.monotonic() - started:.0f} s")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return len(failed) > 0


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["site"]:
            sys.exit(build_site())
        case ["notebooks", *files]:
            sys.exit(
                run_in_place([Path(file).resolve() for file in files] or notebooks())
            )
        case _:
            sys.exit(__doc__)
