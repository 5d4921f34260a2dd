import ast
import inspect
import json
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import pytest

from lrlib import experiments, provenance, store
from lrlib.experiments import batch_size

CONFIG = {"seeds": [0, 1], "steps": 20}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A made-up lrlib, which is read in the place of the real one."""
    folder = tmp_path / "lrlib"
    for name, source in {
        "__init__.py": "from lrlib import plots, rank, unused",
        "experiments/__init__.py": "from lrlib.experiments import probe, unused",
        "experiments/probe.py": "from lrlib import runtime, store\nfrom lrlib.data import load\nimport lrlib.rank",
        "data/__init__.py": "from .files import load",
        "data/files.py": "from ..nets import MLP\nfrom . import idx\nfrom lrlib.rank import count",
        "data/idx.py": "",
        "nets.py": "def f():\n    from lrlib import plots, theory",
        "rank.py": 'def count(s):\n    """Count."""\n    return s > 0.1  # the threshold',
        "runtime.py": "def generator(seed):\n    return seed\ndef device():\n    return 'cpu'",
        "store.py": "import lrlib.unused",
        "plots.py": "import lrlib.unused",
        "theory/__init__.py": "",
        "theory/decay.py": "",
        "unused.py": "",
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    monkeypatch.setattr(provenance, "_PACKAGE", folder)
    return folder


def probe():
    return provenance.code("lrlib.experiments.probe")


def test_code_follows_the_imports_and_nothing_else(package):
    assert list(probe()) == [
        "data/__init__.py",
        "data/files.py",
        "data/idx.py",
        "experiments/probe.py",
        "nets.py",
        "rank.py",
        "runtime.py",
        "theory/__init__.py",
    ]
    assert all(re.fullmatch("[0-9a-f]{8}", digest) for digest in probe().values())


def test_code_of_a_package_is_that_of_its_init(package):
    assert list(provenance.code("lrlib.data")) == [
        *list(probe())[:3],
        "nets.py",
        "rank.py",
        "theory/__init__.py",
    ]


@pytest.mark.parametrize("module", ["lrlib.no_such", "no_such", "lrlib", "rank"])
def test_modules_that_are_not_there_are_refused(module):
    with pytest.raises(ValueError, match=f"module='{module}': must be a module of lrlib"):
        provenance.code(module)


@pytest.mark.parametrize(
    ("source", "changes"),
    [
        ("def count(s):\n    return s > 0.1", False),
        ('"""Counts."""\n\n\ndef count(s):  # of a spectrum\n    """Say it in other words."""\n    return (s > .1)', False),
        ("def count(s):\n    return s > 0.2", True),
        ("def count(s):\n    return s >= 0.1", True),
        ('def count(s):\n    x = """Count."""\n    return s > 0.1', True),
        ('def count(s):\n    return s > 0.1\n    """Count."""', True),  # no docstring: it stands elsewhere
        ("def count(s, t=None):\n    return s > 0.1", True),
    ],
)  # fmt: skip
def test_only_what_is_computed_changes_a_digest(package, source, changes):
    before = probe()
    (package / "rank.py").write_text(source)
    changed = [name for name, digest in probe().items() if digest != before[name]]
    assert changed == (["rank.py"] if changes else [])


@pytest.mark.parametrize(
    ("source", "changes"),
    [
        (
            "def generator(seed):\n    return seed\ndef device():\n    return 'cuda'\ndef progress(): ...",
            False,
        ),
        ("def generator(seed):\n    return seed + 1\ndef device():\n    return 'cpu'", True),
        (
            "def generator(seed):\n    return seed\ndef precision(): ...",
            True,
        ),  # one that nobody has judged yet
    ],
)
def test_of_runtime_all_counts_but_what_cannot_change_a_number(package, source, changes):
    before = probe()["runtime.py"]
    (package / "runtime.py").write_text(source)
    assert (probe()["runtime.py"] != before) == changes


def test_digests_do_not_depend_on_how_a_python_shows_its_trees(package):
    """Python 3.12 gave functions an empty ``type_params``; here every node is given an empty list and a None."""
    before = probe()
    read, ast_parse = [], ast.parse

    def parse(source):
        tree = ast_parse(source)
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                node._fields = (*node._fields, "type_params", "more")
                node.type_params, node.more = [], None
                read.append(node.name)
        return tree

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ast, "parse", parse)
        assert probe() == before
    assert {"count", "generator"} <= set(read)


def reached_from(module):
    """The modules of lrlib, dotted, that ``module`` reaches by the names it holds, directly or not.

    A submodule stands in its package's namespace once anybody has imported it, so that alone does not count.
    """
    reached, waiting = set(), [module]
    while waiting:
        current = waiting.pop()
        for name, thing in vars(current).items():
            if inspect.ismodule(thing) and thing.__name__ == f"{current.__name__}.{name}":
                continue
            owner = thing.__name__ if inspect.ismodule(thing) else getattr(thing, "__module__", None)
            if isinstance(owner, str) and owner.startswith("lrlib.") and owner not in reached:
                reached.add(owner)
                if owner.split(".")[1] not in provenance.NOT_COUNTED:
                    waiting.append(sys.modules[owner])
    return reached


@pytest.mark.parametrize("name", experiments.NAMES)
def test_the_code_of_an_experiment_covers_all_that_it_reaches(name):
    """Python's own namespaces are the oracle: nothing that the imported module can call is left out."""
    module = sys.modules[f"lrlib.experiments.{name}"]
    package = Path(provenance.__file__).parent
    reached = {
        Path(sys.modules[owner].__file__).relative_to(package).as_posix()
        for owner in reached_from(module)
        if owner.split(".")[1] not in provenance.NOT_COUNTED
    }
    counted = set(provenance.code(module.__name__))
    assert reached | {f"experiments/{name}.py"} <= counted
    # at the least: what an experiment cannot do without
    needed = {"information/ksg.py"} if name == "estimators" else {"rank.py", "nets.py"}
    assert {"runtime.py", *needed} <= reached
    assert not any(file.startswith(("interactive/", "plots", "store", "doctor")) for file in counted)


def stale(**changed):
    manifest = {"config": CONFIG, "code": probe()} | changed
    return provenance.stale(manifest, config=CONFIG, module="lrlib.experiments.probe")


def test_a_run_is_current_until_its_config_or_code_changes(package):
    tuples = {"seeds": (0, 1), "steps": 20}
    manifest = json.loads(json.dumps({"config": CONFIG, "code": probe()}))
    assert provenance.stale(manifest, config=tuples, module="lrlib.experiments.probe") == []
    (package / "rank.py").write_text("def count(s):\n    return s > 0.2")
    (package / "nets.py").write_text("from lrlib import theory, unused")
    assert provenance.stale(manifest, config=tuples | {"steps": 30}, module="lrlib.experiments.probe") == [
        "config: steps is 20, now 30",
        "code: nets.py, rank.py, unused.py changed since",
    ]


@pytest.mark.parametrize(
    ("then", "reason"),
    [
        ({"seeds": [0, 1]}, "config: steps is not recorded, now 20"),
        (CONFIG | {"width": 8}, "config: width is 8, now there is none"),
        (CONFIG | {"seeds": [0]}, "config: seeds is [0], now [0, 1]"),
        (CONFIG | {"seeds": list(range(30))}, "config: seeds changed since"),  # too long to show
    ],
)
def test_reasons_say_what_was_and_what_is(package, then, reason):
    assert stale(config=then) == [reason]


def test_a_run_without_code_is_stale(package):
    assert stale(code=None) == ["code: not recorded"]


def test_experiments_know_whether_their_runs_are_current(tmp_path, monkeypatch):
    monkeypatch.setenv("LRLIB_RESULTS", str(tmp_path))
    origin = provenance.origin("lrlib.experiments.batch_size")
    config = asdict(batch_size.CONFIGS["quick"])

    def kept(name, preset="quick", origin=origin, **changed):
        table = pd.DataFrame({"seed": [0]})
        return store.save(name, preset, table, config=config | changed, origin=origin, wall_time_s=0)

    assert experiments.stale(kept("batch_size")) == []
    steps = config["steps"]
    assert experiments.stale(kept("batch_size", steps=3)) == [f"config: steps is 3, now {steps}"]
    old = {key: value for key, value in origin.items() if key != "code"}
    assert experiments.stale(kept("batch_size", origin=old)) == ["code: not recorded"]
    assert experiments.stale(kept("no_such")) == ["experiment: there is no such one"]
    assert experiments.stale(kept("batch_size", "no_such")) == ["preset: there is no such one"]


def test_an_origin_is_plain_json_and_names_the_device(monkeypatch):
    monkeypatch.setenv("LRLIB_DEVICE", "cpu")
    origin = provenance.origin("lrlib.rank")
    assert json.loads(json.dumps(origin)) == origin
    assert origin.keys() == {"device", "commit", "versions", "code"}
    assert origin["device"].startswith("cpu (")
    assert origin["code"] == provenance.code("lrlib.rank")
    assert origin["versions"].keys() == {"lrlib", "torch", "numpy", "pandas", "python"}


def test_code_that_was_edited_after_its_import_is_not_recorded_as_what_ran(monkeypatch):
    edited = provenance._PACKAGE / "rank.py"
    assert provenance._LOADED[edited] == edited.stat().st_mtime_ns
    monkeypatch.setitem(provenance._LOADED, edited, 0)
    with pytest.raises(RuntimeError, match=r"^lrlib: rank\.py changed after it was imported; restart Python"):
        provenance.origin("lrlib.experiments.batch_size")
    assert provenance.origin("lrlib.train.checks")  # does not depend on it


def test_the_commit_is_this_clone_s_and_nobody_else_s(tmp_path, monkeypatch):
    if (provenance._PACKAGE.parent / ".git").exists():
        assert re.fullmatch(r"[0-9a-f]{40}\+?", provenance.commit())
    other = tmp_path / "project"
    (other / "site-packages" / "lrlib").mkdir(parents=True)
    git = ["git", "-C", other, "-c", "user.name=a", "-c", "user.email=a@b.c"]
    for command in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "theirs"]):
        subprocess.run([*git, *command], check=True)
    monkeypatch.setattr(provenance, "_PACKAGE", other / "site-packages" / "lrlib")
    assert provenance.commit() is None
