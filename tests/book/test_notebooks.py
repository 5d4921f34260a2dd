"""The notebooks as files: in the table of contents, executed, tested by `make test`, and within the book's measures."""

import re
import statistics
import subprocess

import build
import nbformat
import pytest

BOOK = build.ROOT / "book"
FILES = build.toc_files()
NOTEBOOKS = sorted(BOOK.rglob("*.ipynb"))
CHAPTERS = [path for path in NOTEBOOKS if re.match(r"\d\d-", path.name)]

MEDIAN_LINES, NINE_IN_TEN_LINES, MOST_LINES = 5, 15, 25
AFTER_PROSE = 0.8  # share of code cells that stand right after prose
FIGURE_BY = 3  # the first figure comes with this code cell or before
SECTIONS = (
    "What can go wrong",
    "What the paper says, and what we found",
    "Summary",
    "Exercises",
    "References",
)


def read(path):
    return nbformat.read(path, as_version=4)


def tags(cell):
    return set(cell.metadata.get("tags", []))


def code_cells(notebook, *, install=False):
    """Code cells that are not empty; without the one that installs lrlib in Colab, unless asked for."""
    return [
        cell
        for cell in notebook.cells
        if cell.cell_type == "code" and cell.source.strip() and (install or "remove-cell" not in tags(cell))
    ]


def pictures(cell):
    """The stored outputs of a cell that hold a picture."""
    return [output for output in cell.get("outputs", []) if "image/png" in output.get("data", {})]


def describes_itself(picture):
    """Interactive figures carry their description as plain text, where matplotlib has <Figure size ...>."""
    return not picture["data"].get("text/plain", "<").startswith("<")


def lines(cell):
    """Lines of code: empty ones do not count."""
    return len([line for line in cell.source.splitlines() if line.strip()])


def each(paths):
    return pytest.mark.parametrize("path", paths, ids=lambda path: path.relative_to(BOOK).as_posix())


def test_the_book_has_chapters():
    assert len(CHAPTERS) >= 2


def test_every_entry_of_the_contents_exists():
    missing = [
        name for name in FILES if not any((build.ROOT / f"{name}{end}").exists() for end in (".ipynb", ".md"))
    ]
    assert missing == []


def test_every_page_is_in_the_contents_once():
    pages = [path.relative_to(build.ROOT).with_suffix("").as_posix() for path in BOOK.rglob("*.*")]
    pages = [
        page for page in pages if any((build.ROOT / f"{page}{end}").exists() for end in (".ipynb", ".md"))
    ]
    pages = [page for page in pages if ".ipynb_checkpoints" not in page]
    assert sorted(pages) == sorted(FILES)


def test_chapter_numbers_are_those_of_the_file_names():
    numbered = [re.match(r"book/(\d\d)-", name) for name in FILES]
    numbers = [int(match[1]) for match in numbered if match]
    assert numbers == list(range(1, len(numbers) + 1))


def test_make_test_compares_every_notebook():
    """What `make -n nbval` would run, asked which notebooks it collects: derived, so that it cannot drift.

    Never ask `make -n test`: make runs a recipe line that holds $(MAKE) even then, and that line runs this test.
    """
    makefile = (build.ROOT / "Makefile").read_text("utf-8")
    assert "$(MAKE) --no-print-directory nbval || failed" in makefile, "make test runs nbval"
    plan = subprocess.run(["make", "-n", "nbval"], cwd=build.ROOT, capture_output=True, text=True).stdout
    commands = [line for line in plan.replace("\\\n", " ").splitlines() if "--nbval " in line]
    assert len(commands) == 1, "make nbval must have one nbval command"
    assert "--nbval-sanitize-with=tests/nbval_sanitize.cfg" in commands[0]
    assert "--nbval-lax" not in commands[0]
    folders = re.search(r"--nbval .*?((?: book\S*)+)$", commands[0])[1].split()
    covered = {path for folder in folders for path in (build.ROOT / folder).rglob("*.ipynb")}
    assert set(NOTEBOOKS) <= covered


@each(NOTEBOOKS)
def test_every_cell_was_run_and_none_failed(path):
    for number, cell in enumerate(code_cells(read(path), install=True), 1):
        assert cell.execution_count, f"code cell {number} has no execution count: run `make notebooks`"
        failed = [output for output in cell.outputs if output.output_type == "error"]
        assert not failed or "raises-exception" in tags(cell), f"code cell {number} shows an error"


@each(NOTEBOOKS)
def test_stored_outputs_are_normal(path):
    """As `make notebooks` leaves them: nothing that differs from machine to machine."""
    notebook = read(path)
    stored = path.read_text("utf-8")
    assert nbformat.writes(build.normalised(notebook)) + "\n" == stored, "run `make notebooks`"
    assert str(build.ROOT) not in stored, "a path of one machine"


@each(NOTEBOOKS)
def test_the_first_code_cell_installs_lrlib_in_colab_and_nowhere_else(path):
    first = code_cells(read(path), install=True)[0]
    assert {"remove-cell", "nbval-ignore-output"} <= tags(first)
    lead, _, rest = first.source.partition("pip install")
    assert rest, "it installs lrlib"
    condition = [line for line in lead.splitlines() if line.startswith("if ")]
    assert len(condition) == 1
    assert "google.colab" in condition[0]
    assert lead.splitlines()[-1].startswith("    "), "pip runs under the condition"


@each(CHAPTERS)
def test_code_cells_are_short(path):
    sizes = sorted(lines(cell) for cell in code_cells(read(path)))
    assert statistics.median(sizes) <= MEDIAN_LINES, sizes
    assert sizes[-1] <= MOST_LINES, sizes
    assert sum(size <= NINE_IN_TEN_LINES for size in sizes) >= 0.9 * len(sizes), sizes


@each(CHAPTERS)
def test_code_follows_prose(path):
    cells = [cell for cell in read(path).cells if "remove-cell" not in tags(cell)]
    code = [i for i, cell in enumerate(cells) if cell.cell_type == "code" and cell.source.strip()]
    after = [i for i in code if i and cells[i - 1].cell_type == "markdown"]
    assert len(after) >= AFTER_PROSE * len(code), (
        f"{len(after)} of {len(code)} code cells stand right after prose"
    )


@each(CHAPTERS)
def test_the_first_figure_comes_early(path):
    assert any(pictures(cell) for cell in code_cells(read(path))[:FIGURE_BY])


@each(NOTEBOOKS)
def test_every_figure_is_described(path):
    for cell in code_cells(read(path)):
        if not all(map(describes_itself, pictures(cell))):
            alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
            assert len(alt) >= 20, (
                f"no alternative text (metadata mystnb.image.alt) for the figure of:\n{cell.source}"
            )


@each(NOTEBOOKS)
def test_a_cell_that_draws_shows_a_picture(path):
    """Or else a figure was lost, and the tests above would not see it."""
    drawn = [cell for cell in code_cells(read(path)) if "plt.show()" in cell.source]
    assert all(map(pictures, drawn))


@each(NOTEBOOKS)
def test_restructured_text_stays_on_the_library_page(path):
    assert "eval-rst" not in "".join(cell.source for cell in read(path).cells)


def test_restructured_text_is_on_no_other_page():
    users = {path.name for path in BOOK.glob("*.md") if "eval-rst" in path.read_text("utf-8")}
    assert users <= {"api.md"}


@each(CHAPTERS)
def test_a_chapter_has_its_parts_in_order(path):
    text = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    headings = re.findall(r"^## (.+?)\s*$", text, re.MULTILINE)
    assert [name for name in headings if name in SECTIONS] == list(SECTIONS)
    assert len(re.findall(r"^# ", text, re.MULTILINE)) == 1, "one title"


@each(CHAPTERS)
def test_a_chapter_says_first_what_it_teaches_and_what_it_takes(path):
    prose = [cell.source for cell in read(path).cells if cell.cell_type == "markdown"]
    opening = "\n".join(prose[:2])
    assert "What you will learn" in opening
    assert re.search(r"minutes", opening), "how long it takes"
    assert re.search(r"[Yy]ou need|[Pp]rerequisites", opening), "what to know before"


@each(CHAPTERS)
def test_every_exercise_has_a_folded_solution(path):
    text = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    asked = set(
        re.findall(
            r"^:{3,}\{exercise(?:-start)?\}[^\n]*\n(?:\s*:\w[^\n]*\n)*?\s*:label: (\S+)", text, re.MULTILINE
        )
    )
    solved = set(
        re.findall(
            r"^:{3,}\{solution(?:-start)?\} (\S+)\n(?:\s*:\w[^\n]*\n)*?\s*:class: dropdown",
            text,
            re.MULTILINE,
        )
    )
    assert asked, "a chapter has exercises"
    assert asked == solved


@each(NOTEBOOKS)
def test_no_proof_is_folded_in_a_way_that_stops_the_page(path):
    """A prf:proof with class dropdown has no title to click: its script fails, and with it every fold below."""
    text = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    assert not re.search(r"\{prf:proof\}[^\n]*\n(?:\s*:\w[^\n]*\n)*?\s*:class:[^\n]*dropdown", text), (
        "fold a proof with :::::{dropdown} Proof around it"
    )
