"""Each theorem is checked by a cell of its chapter. Would that cell notice if the theorem were wrong?

Here the statement in the cell is made wrong, by an edit of the cell, and the chapter's own check has to fail.
"""

import build
import matplotlib.pyplot as plt
import nbformat
import pytest
import wrong_statements_1_2
import wrong_statements_3
import wrong_statements_10
import wrong_statements_11

WRONG = (
    wrong_statements_1_2.WRONG
    + wrong_statements_3.WRONG
    + wrong_statements_10.WRONG
    + wrong_statements_11.WRONG
)


def code_cells(chapter):
    """The code of a chapter's cells, without the one that installs lrlib in Colab."""
    (path,) = [path for path in build.notebooks() if path.name.startswith(f"{chapter}-")]
    notebook = nbformat.read(path, as_version=4)
    return [
        cell.source
        for cell in notebook.cells
        if cell.cell_type == "code" and "remove-cell" not in cell.metadata.get("tags", [])
    ]


def place(cells, text):
    """The one cell that holds this text."""
    found = [i for i, source in enumerate(cells) if text in source]
    assert len(found) == 1, f"{text!r} is in {len(found)} cells; must be in one"
    return found[0]


def outcomes(chapter):
    """Run a chapter once, and each wrong statement where its cell stands. Return name -> what the check said."""
    cells, said = code_cells(chapter), {}
    due = {}
    for wrong in WRONG:
        if wrong.chapter == chapter:
            first = place(cells, wrong.cell)
            last = first if wrong.check is None else place(cells, wrong.check)
            assert cells[first].count(wrong.old) == 1, f"{wrong.old!r} must be in its cell once"
            due.setdefault(first, []).append((wrong, last))
    names = {"__name__": "__main__"}
    for i, source in enumerate(cells[: max(due, default=-1) + 1]):
        for wrong, last in due.get(i, []):
            tried = [source.replace(wrong.old, wrong.new), *cells[i + 1 : last + 1]]
            said[wrong.name] = verdict(tried, dict(names))
        exec(compile(source, f"{chapter}, code cell {i + 1}", "exec"), names)
        plt.close("all")
    return said


def verdict(sources, names):
    """Run cells that hold a wrong statement; True if an assert of the last one failed."""
    for source in sources[:-1]:
        exec(compile(source, "a cell made wrong", "exec"), names)
    try:
        exec(compile(sources[-1], "the check", "exec"), names)
    except AssertionError:
        return True
    return False


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory):
    """The verdicts of all chapters, each run when it is first asked for."""
    made = {}

    def of(chapter):
        if chapter not in made:
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("LRLIB_OUTPUT", "still")
                patch.setenv("LRLIB_RESULTS", str(tmp_path_factory.mktemp("results")))
                made[chapter] = outcomes(chapter)
        return made[chapter]

    return of


@pytest.mark.timeout(300)
@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: f"{wrong.chapter}: {wrong.name}")
def test_the_chapter_notices_a_wrong_statement(verdicts, wrong):
    assert verdicts(wrong.chapter)[wrong.name], "the check passed, although the statement is wrong"


def test_each_chapter_is_tried():
    chapters = {path.name[:2] for path in build.notebooks() if path.name[0].isdigit()}
    assert {wrong.chapter for wrong in WRONG} == chapters
