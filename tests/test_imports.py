"""Imports in lrlib point one way, as CONTRIBUTING.md draws it. Read from the source, nothing is imported."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# What each part may import of lrlib, besides itself and what everything may: _checks and runtime.
MAY_IMPORT = {
    "_checks": set(),
    "runtime": set(),
    "nets": set(),
    "data": set(),
    "train": set(),
    "information": set(),
    "jacobian": set(),  # takes any module with named layers, and knows no model
    "rank": {"jacobian"},
    "theory": {"rank"},
    "bottleneck": {"information", "jacobian", "nets", "rank"},
    "store": set(),
    "provenance": set(),  # reads the library's source, and imports none of it
    "experiments": {
        "bottleneck",
        "data",
        "information",
        "jacobian",
        "nets",
        "provenance",
        "rank",
        "store",
        "theory",
        "train",
    },
    "plots": {"rank"},
    "interactive": {
        "bottleneck",
        "data",  # the playground does in lrlib what its page does
        "information",
        "jacobian",
        "nets",
        "plots",
        "rank",
        "theory",
        "train",
    },
    "doctor": {"data", "experiments", "store"},
    "reference": set(),  # oracles stand alone: they share no code with what they check
    "__init__": None,  # None: whatever it likes
    "__main__": None,
}
EVERYBODY_MAY_IMPORT = {"_checks", "runtime"}
INK = {"matplotlib", "seaborn", "anywidget", "ipywidgets", "plotly", "IPython"}
MAY_DRAW = {"plots", "interactive", "doctor", "__main__"}
BANNED_NAMES = {"utils", "util", "helpers", "helper", "misc", "common"}


def library() -> dict[str, str]:
    """Return the source of every module of the library, by its dotted name below lrlib."""
    folder = ROOT / "lrlib"
    return {
        ".".join(path.relative_to(folder).with_suffix("").parts): path.read_text("utf-8")
        for path in sorted(folder.rglob("*.py"))
    }


def imports(module: str, source: str) -> list[tuple[str, int]]:
    """Return the absolute dotted names that a module imports, with their lines; relative ones are resolved."""
    package = ["lrlib", *module.split(".")[:-1]]
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1] if node.level else [])
            start = ".".join(filter(None, [base, node.module]))
            found += [(f"{start}.{alias.name}", node.lineno) for alias in node.names]
    return found


def part_of(module: str) -> str:
    """Return the part of the library that a module (dotted, below lrlib) belongs to."""
    return module.split(".")[0]


def graph(sources: dict[str, str]) -> dict[str, set[str]]:
    """Return part -> parts of lrlib that it imports."""
    parts = {part_of(module) for module in sources}
    edges: dict[str, set[str]] = {part: set() for part in parts}
    for module, source in sources.items():
        for name, _ in imports(module, source):
            pieces = name.split(".")
            if pieces[0] == "lrlib" and len(pieces) > 1:
                # `from lrlib import local_rank` names no part: it is the package itself
                edges[part_of(module)].add(pieces[1] if pieces[1] in parts else "__init__")
    return {part: targets - {part} for part, targets in edges.items()}


def cycles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Return the cycles that a depth-first walk meets."""
    found, done = [], set()

    def walk(part: str, path: list[str]) -> None:
        if part in path:
            found.append([*path[path.index(part) :], part])
        elif part not in done:
            for target in sorted(edges.get(part, ())):
                walk(target, [*path, part])
            done.add(part)

    for part in sorted(edges):
        walk(part, [])
    return found


def violations(sources: dict[str, str]) -> list[str]:
    """Return every way in which these sources break the rules, in words."""
    edges = graph(sources)
    found = []
    for part, targets in sorted(edges.items()):
        if part not in MAY_IMPORT:
            found.append(f"lrlib.{part} is in no rule: say in {Path(__file__).name} what it may import")
        elif MAY_IMPORT[part] is not None:
            wrong = targets - MAY_IMPORT[part] - EVERYBODY_MAY_IMPORT
            found += [f"lrlib.{part} imports lrlib.{target}" for target in sorted(wrong)]
    for module, source in sources.items():
        if part_of(module) not in MAY_DRAW:
            found += [
                f"lrlib.{module}:{line} imports {name}"
                for name, line in imports(module, source)
                if name.split(".")[0] in INK
            ]
        if set(module.split(".")) & BANNED_NAMES:
            found.append(f"lrlib.{module}: a name says what a thing is")
    inner = {
        part: targets - {"__init__"}
        for part, targets in edges.items()
        if part not in ("__init__", "__main__")
    }
    found += [f"cycle: {' -> '.join(cycle)}" for cycle in cycles(inner)]
    return found


def test_imports_point_one_way():
    assert violations(library()) == []


def test_the_library_is_read_at_all():
    assert {"runtime", "rank", "jacobian.__init__", "data.__init__"} <= set(library())


def test_only_tests_and_chapters_use_the_oracles():
    users = [
        module
        for module, source in library().items()
        if module != "reference"
        and any("reference" in name.split(".") for name, _ in imports(module, source))
    ]
    assert users == []


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        ("nets", "from lrlib.data import load", "lrlib.nets imports lrlib.data"),
        ("train", "import lrlib.nets", "lrlib.train imports lrlib.nets"),
        ("train", "from . import nets", "lrlib.train imports lrlib.nets"),
        ("data.idx", "from ..rank import count_above", "lrlib.data imports lrlib.rank"),
        ("jacobian", "def f():\n    from lrlib import nets", "lrlib.jacobian imports lrlib.nets"),
        ("rank", "import lrlib.reference", "lrlib.rank imports lrlib.reference"),
        ("rank", "from lrlib import local_rank", "lrlib.rank imports lrlib.__init__"),
        ("rank", "import matplotlib.pyplot as plt", "lrlib.rank:1 imports matplotlib.pyplot"),
        (
            "experiments.mnist",
            "from seaborn import lineplot",
            "lrlib.experiments.mnist:1 imports seaborn.lineplot",
        ),
        ("utils", "", "lrlib.utils: a name says what a thing is"),
        ("jacobian", "from lrlib.rank import effective_rank", "cycle: jacobian -> rank -> jacobian"),
    ],
)
def test_the_check_sees_a_violation(module, source, complaint):
    made_up = dict.fromkeys(("__init__", "nets", "data.idx", "train", "jacobian", "reference", "rank"), "")
    made_up["rank"] = "from lrlib.jacobian import jacobian_spectra"
    assert violations(made_up) == []
    made_up[module] = source if module != "rank" else made_up["rank"] + "\n" + source
    found = violations(made_up)
    assert any(complaint in line or complaint.replace(":1", ":2") in line for line in found), found
