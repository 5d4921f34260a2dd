"""Where a stored result comes from: the code it was computed with, and whether that, or its config, has changed since.

The code of an experiment is its own module and every module of lrlib that those import, directly or not, read with
``ast``: nothing is imported for it, and what comments and docstrings say does not count.
"""

import ast
import hashlib
import json
import platform
import subprocess
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lrlib import runtime

_PACKAGE = Path(__file__).parent
# When each file was last changed as lrlib was imported, which imports this module before any experiment.
_LOADED = {path: path.stat().st_mtime_ns for path in _PACKAGE.rglob("*.py")}

# Parts of lrlib that compute nothing of a result: they check, keep, draw or report.
NOT_COUNTED = {
    "__main__",
    "_checks",
    "doctor",
    "interactive",
    "plots",
    "provenance",
    "reference",
    "store",
}
# Functions that do not count within a file that does. Of runtime the generators set the numbers; what the bars
# look like does not, and the device that was chosen is in the manifest. A new function counts until it is named here.
NOT_COUNTED_FUNCTIONS = {"runtime.py": {"device", "device_name", "devices", "output", "progress"}}

LONGEST = 80  # characters of a change in a configuration that are still shown: a list of settings fills pages


def origin(module: str) -> dict[str, Any]:
    """Return what a manifest says of where a result of ``module`` comes from, JSON values only.

    ``device`` in words, ``commit`` (see :func:`commit`), ``versions`` of the packages, and ``code`` (see
    :func:`code`). To be taken when a run starts: what is edited or committed while it goes on is not its code.

    Raises ``RuntimeError`` where a file of the code was changed after lrlib was imported: what would run is not it.
    """
    files = code(module)
    now = {_PACKAGE / name: (_PACKAGE / name).stat().st_mtime_ns for name in files}
    changed = [
        path.relative_to(_PACKAGE).as_posix() for path, at in now.items() if _LOADED.get(path, at) != at
    ]
    if changed:
        raise RuntimeError(
            f"lrlib: {', '.join(changed)} changed after it was imported; restart Python, so that the code that runs "
            "is the one that is recorded"
        )
    return {
        "device": runtime.device_name(),
        "commit": commit(),
        "versions": {p: version(p) for p in ("lrlib", "torch", "numpy", "pandas")}
        | {"python": platform.python_version()},
        "code": files,
    }


def code(module: str) -> dict[str, str]:
    """Return the digest of each file that a module's results depend on, such as ``{"rank.py": "1f0c33ab", ...}``.

    Args:
        module: a module of lrlib, dotted, such as ``"lrlib.experiments.mnist"``.

    The files, relative to lrlib, are that of ``module`` and of all that it imports from lrlib, directly or not, less
    :data:`NOT_COUNTED`. ``from lrlib.data import load`` counts ``data/__init__.py`` and what that imports;
    ``from lrlib import data`` counts the same, and not ``lrlib/__init__.py``, which imports everything; names that
    ``lrlib/__init__.py`` only passes on are not followed, and tests/test_imports.py keeps them out of the library.
    A digest is the first 8 hexadecimal digits of the SHA-256 of the syntax tree, without docstrings.

    Raises ``ValueError`` where there is no such module.
    """
    if _file(module) is None:
        raise ValueError(f"module={module!r}: must be a module of lrlib, such as 'lrlib.experiments.mnist'")
    found: dict[str, str] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = _file(name)
        if path is None or name.split(".")[1] in NOT_COUNTED:
            continue
        relative = path.relative_to(_PACKAGE).as_posix()
        if relative not in found:
            tree = ast.parse(path.read_text("utf-8"))
            waiting += _imported(tree, name if path.name == "__init__.py" else name.rpartition(".")[0])
            found[relative] = _digest(tree, NOT_COUNTED_FUNCTIONS.get(relative, frozenset()))
    return dict(sorted(found.items()))


def stale(manifest: Mapping[str, Any], *, config: Mapping[str, Any], module: str) -> list[str]:
    """Return in words why a stored run is not what ``module`` would give for ``config`` now; empty if it is.

    Other versions of Python and of packages are no reason: the manifest names them.
    """
    reasons = _changes(
        manifest["config"], json.loads(json.dumps(config))
    )  # as JSON keeps it: lists for tuples
    recorded, present = manifest.get("code"), code(module)
    if recorded is None:
        return [*reasons, "code: not recorded"]
    changed = sorted(
        name for name in recorded.keys() | present.keys() if recorded.get(name) != present.get(name)
    )
    return [*reasons, f"code: {', '.join(changed)} changed since"] if changed else reasons


def _changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return in words what differs between two configurations."""
    reasons = []
    for key in [*now, *(key for key in then if key not in now)]:
        if key not in then:
            change = f"is not recorded, now {now[key]!r}"
        elif key not in now:
            change = f"is {then[key]!r}, now there is none"
        elif then[key] != now[key]:
            change = f"is {then[key]!r}, now {now[key]!r}"
        else:
            continue
        reasons.append(f"config: {key} {change if len(change) <= LONGEST else 'changed since'}")
    return reasons


def commit() -> str | None:
    """Return the git commit of the clone that lrlib runs from, with ``+`` if lrlib/ differs from it; else None."""
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


def _file(module: str) -> Path | None:
    """Return the file of a module below lrlib, ``None`` for what is no such module, ``lrlib`` itself included."""
    root, *pieces = module.split(".")
    if root != "lrlib" or not pieces:
        return None
    path = _PACKAGE.joinpath(*pieces)
    return next((p for p in (path / "__init__.py", path.parent / f"{path.name}.py") if p.is_file()), None)


def _imported(tree: ast.AST, package: str) -> Iterator[str]:
    """Yield the modules that a module of ``package`` imports, dotted; relative names are resolved."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")
            base = above[: len(above) - node.level + 1] if node.level else []
            start = ".".join([*base, *filter(None, [node.module])])
            for alias in node.names:
                inner = f"{start}.{alias.name}"
                yield inner if _file(inner) else start


def _digest(tree: ast.Module, less: frozenset[str] | set[str]) -> str:
    """Return the digest of a module without the top-level functions named in ``less``."""
    tree.body = [node for node in tree.body if getattr(node, "name", None) not in less]
    return hashlib.sha256(_text(tree).encode()).hexdigest()[:8]


def _text(node: Any) -> str:
    """Write a syntax tree out without docstrings and without empty fields.

    ``ast.dump`` has docstrings in it, and Python 3.12 and 3.13 changed what it says of fields that are empty: results
    made with one Python would be stale for another.
    """
    if isinstance(node, list):
        return f"[{', '.join(map(_text, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = {name: value for name, value in ast.iter_fields(node) if value is not None and value != []}
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        first = node.body[0] if node.body else None
        is_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
        if is_text and isinstance(first.value.value, str):
            fields["body"] = node.body[1:]
    return f"{type(node).__name__}({', '.join(f'{name}={_text(value)}' for name, value in fields.items())})"
