"""The repository's own files: one address, pins that fit the package, no path of one machine, valid metadata."""

import json
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
REPOSITORY = PROJECT["urls"]["Repository"]
OWNER, NAME = REPOSITORY.removeprefix("https://github.com/").split("/")
SITE = f"https://{OWNER}.github.io/{NAME}/"
COLAB = f"https://colab.research.google.com/github/{OWNER}/{NAME}/blob/main/"

NAMED_IN = ("README.md", "CONTRIBUTING.md", "CITATION.cff", "_config.yml")
BINARY = {".png", ".xz", ".ico", ".woff2"}


def text_files() -> list[Path]:
    """Files of the repository that people read or run: tracked, or new and not ignored."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git clone, so what belongs to the repository is not known")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    paths = [ROOT / name for name in listed]
    return [path for path in paths if path.is_file() and path.suffix not in BINARY]


def notebooks() -> list[Path]:
    return sorted((ROOT / "book").glob("*.ipynb"))


def test_the_repository_is_called_by_one_name():
    """pyproject.toml says where the project lives; nobody else may say otherwise."""
    address = re.compile(
        r"(?:github\.com|colab\.research\.google\.com/github)/([\w.-]+)/([\w-]*local-rank[\w-]*)"
    )
    pages = re.compile(r"https://([\w-]+)\.github\.io/([\w-]*local-rank[\w-]*)")
    wrong = []
    for path in text_files():
        text = path.read_text("utf-8")
        for pattern in (address, pages):
            wrong += [
                f"{path.relative_to(ROOT)}: {m[0]}"
                for m in pattern.finditer(text)
                if m.groups() != (OWNER, NAME)
            ]
    assert wrong == []


@pytest.mark.parametrize("name", NAMED_IN)
def test_files_that_must_name_the_repository_do(name):
    assert REPOSITORY in (ROOT / name).read_text("utf-8")


def test_the_book_knows_its_addresses():
    config = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))
    assert config["repository"]["url"] == REPOSITORY
    assert config["repository"]["path_to_book"] == ""
    assert config["html"]["baseurl"] == SITE
    assert config["sphinx"]["config"]["ogp_site_url"] == SITE
    assert REPOSITORY in config["html"]["extra_footer"]


def test_the_citation_is_complete():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert citation["repository-code"] == REPOSITORY
    assert citation["url"] == SITE
    assert citation["version"] == PROJECT["version"]


@pytest.mark.parametrize("path", notebooks(), ids=lambda path: path.name)
def test_notebooks_install_from_the_repository(path):
    cells = json.loads(path.read_text("utf-8"))["cells"]
    first = next("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    assert f"git+{REPOSITORY}" in first


def test_the_readme_opens_a_notebook_that_exists_in_colab():
    links = re.findall(rf"{re.escape(COLAB)}(\S+?)\)", (ROOT / "README.md").read_text("utf-8"))
    assert links
    assert [link for link in links if not (ROOT / link).is_file()] == []


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "data/README.md"])
def test_links_between_the_repository_s_pages_lead_somewhere(name):
    page = ROOT / name
    prose = re.sub(r"`[^`]*`", "", page.read_text("utf-8"))
    links = re.findall(r"\]\(([^)\s]+)\)", prose)
    local = [link.split("#")[0] for link in links if not re.match(r"https?:|#", link)]
    assert [link for link in local if not (page.parent / link).exists()] == []


def test_the_workflow_runs_what_ci_runs_with_least_rights():
    workflow = yaml.safe_load((ROOT / ".github/workflows/book.yml").read_text("utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    test, publish = workflow["jobs"]["test"], workflow["jobs"]["publish"]
    assert {"run": ".ci/run"} in test["steps"]
    assert "permissions" not in test
    assert publish["permissions"] == {"pages": "write", "id-token": "write"}
    assert publish["needs"] == "test"
    assert os.access(ROOT / ".ci/run", os.X_OK)


def test_pins_are_exact_and_fit_the_package():
    lines = (ROOT / "requirements.txt").read_text("utf-8").splitlines()
    pins = {}
    for line in filter(None, (line.partition("#")[0].strip() for line in lines)):
        pin = Requirement(line)
        assert re.fullmatch(r"==[\w.]+", str(pin.specifier)), f"{line}: not an exact pin"
        name = pin.name.lower().replace("_", "-")
        assert name not in pins, f"{name} is pinned twice"
        pins[name] = next(iter(pin.specifier)).version
    for needed in map(Requirement, PROJECT["dependencies"]):
        assert needed.name in pins, f"{needed.name} is a dependency of lrlib and not pinned"
        assert needed.specifier.contains(pins[needed.name]), f"{needed} does not allow {pins[needed.name]}"
        assert all(spec.operator == ">=" for spec in needed.specifier), (
            f"{needed}: lower bounds only, for Colab"
        )
    platform_bound = [
        name for name in pins if name.startswith("nvidia") or name in ("triton", "appnope", "pywinpty")
    ]
    assert platform_bound == []


def test_no_path_of_one_machine():
    private = re.compile(r"(?<![\w.])/(?:home|root|Users|work|opt/wheels)/[\w.-]+")
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in text_files()
        if path != Path(__file__)
        for match in private.finditer(path.read_text("utf-8"))
    ]
    assert found == []


def test_nothing_is_injected_into_every_page():
    """Jupyter Book 1 loads every script and style below a root folder _static into every page."""
    assert not (ROOT / "_static").exists()
