"""Each theorem of Parts I and II is checked by a cell of its chapter. Would that cell notice if the theorem were wrong?

Here the statement in the cell is made wrong, by an edit of the cell, and the chapter's own check has to fail.
"""

from dataclasses import dataclass

import build
import matplotlib.pyplot as plt
import nbformat
import pytest


@dataclass(frozen=True)
class Wrong:
    """A wrong statement: ``old`` becomes ``new`` in the cell that holds ``cell``; the one with ``check`` must fail.

    Without ``check`` the edited cell itself must.
    """

    chapter: str
    name: str
    cell: str
    old: str
    new: str
    check: str | None = None


WRONG = [
    Wrong(
        "01",
        "rank and kernel: rows",
        "kernel = torch.from_numpy(",
        "kernel.shape[1] == columns",
        "kernel.shape[1] == rows",
    ),
    Wrong("01", "singular values: not squared", "images = M @ V[:20].T", "torch.diag(s**2)", "torch.diag(s)"),
    Wrong(
        "01",
        "best approximation: one better",
        "for B in competitors(M, r):",
        "M - B, 2) > s[r]",
        "M - B, 2) > s[r - 1]",
    ),
    Wrong(
        "01", "rank theorem: another direction", "walk(two_numbers, start, i=2)", "start, i=2)", "start, i=1)"
    ),
    Wrong(
        "01",
        "analytic: ReLU too",
        'exact(seed, "tanh").tolist()',
        'exact(seed, "tanh")',
        'exact(seed, "relu")',
    ),
    Wrong(
        "01",
        "pieces: the other layer's bits",
        "products = W3 @",
        "bits[:, :6, None] * W1",
        "bits[:, 6:, None] * W1",
    ),
    Wrong(
        "01",
        "regions: a dimension less",
        "== region_count(n, d)",
        "region_count(n, d)",
        "region_count(n, d - 1)",
    ),
    Wrong(
        "01",
        "deep regions: a sum for the product",
        "bound = region_bound([2, *hidden])",
        "region_bound([2, *hidden])",
        "sum(region_count(n, 2) for n in hidden)",
    ),
    Wrong(
        "02",
        "depth",
        "narrow = deepcopy(net)",
        "exact[:, 1:] <= exact[:, :-1]",
        "exact[:, 1:] >= exact[:, :-1]",
    ),
    Wrong(
        "02",
        "stretch: the threshold unchanged",
        "for some_net, inputs in",
        "(eps / c)[:, None]",
        "(eps * torch.ones_like(c))[:, None]",
    ),
    Wrong(
        "02",
        "quantitative: the threshold unchanged",
        "def check_bound",
        "eps / c)",
        "eps)",
    ),
    Wrong(
        "02",
        "global: the other way round",
        "local, overall, alive = ",
        "(local <= overall)",
        "(local >= overall)",
    ),
    Wrong(
        "02",
        "bottleneck rank: one less",
        "sizes = [8, 16, k, 16, 8]",
        "counts.max() == k",
        "counts.max() <= k - 1",
    ),
    Wrong(
        "03",
        "balancedness: half the decay",
        "def imbalance_error",
        "np.exp(-2 * decay * 4)",
        "np.exp(-decay * 4)",
        check="imbalance_error(2e-3, decay)",
    ),
    Wrong(
        "03",
        "race: twice the decay",
        "def path_error",
        "weight_decay=decay",
        "weight_decay=2 * decay",
        check="fine < 0.05",
    ),
    Wrong(
        "03",
        "half time: another power",
        "def half_time",
        "power = 2 - 2 / depth",
        "power = 2 - 1 / depth",
        check="T = half_time(s, depth, 1e-3)",
    ),
    Wrong(
        "03",
        "Schatten: another exponent",
        "balanced = [torch.diag(",
        "least_factor_energy(start, depth)",
        "least_factor_energy(start, depth + 1)",
    ),
    Wrong(
        "03",
        "margin: not smoothed",
        "def margin_flow",
        "smoothed_margin",
        "normalised_margin",
        check="(separated.diff() >= 0).all()",
    ),
    Wrong("03", "largest margin of three layers", "0.98 < share", "3**1.5", "3"),
    Wrong("03", "minimum norm: one output", '"shallow_norm": 2.0', '"outputs": 2', '"outputs": 1'),
    Wrong(
        "03",
        "two points: twice the bound",
        "error = two_points(seed, np.pi / 2, alone=True)",
        "(least - rho",
        "(2 * least - rho",
    ),
    Wrong(
        "03",
        "law of decay: twice as fast",
        "law = theory.decay_factor(1000",
        "(1000, lr=0.1",
        "(2000, lr=0.1",
    ),
    Wrong("03", "forgetting: one rank less", "memory = {B:", "s[k:, k * B]", "s[k:, k * B - 1]"),
    Wrong(
        "03",
        "variability: not divided by the decay",
        "within_class_bound(h, delta",
        "sigma_11 <= bound",
        "sigma_11 <= 0.01 * bound",
    ),
    Wrong(
        "04",
        "at least the teacher's rank: at most",
        "found = lrlib.local_rank(net, fresh, eps=1e-6)",
        "found >= 3",
        "found <= 3",
    ),
    Wrong(
        "04",
        "nearly the teacher: half the distance",
        "def check_nearly(",
        "(s - delta)[:, :k]",
        "(s - delta / 2)[:, :k]",
        "check_nearly(frugal_student(less, 3), T)",
    ),
    Wrong("04", "decay law: all layers alike", "law = found[0] * np.exp(", "[1, 2, 3]", "[1, 1, 1]"),
    Wrong(
        "04",
        "what the teacher ignores: any inputs",
        '"along axes": (along, uneven)',
        '"along axes": (along,',
        '"along axes": (turned,',
    ),
    Wrong("04", "price of a ReLU map: half", "least = 4 * s.sum()", "4 * s.sum()", "2 * s.sum()"),
    Wrong("04", "two ReLU layers: half the shift", "law = np.maximum(scale -", "10 * decay", "5 * decay"),
    Wrong(
        "05",
        "blank pixels: not only differences",
        "for trained, factor in ((free_net",
        "(after[:, 1:] - after[:, :1]).norm() / difference.norm()",
        "after[:, 1:].norm() / before[:, 1:].norm()",
    ),
    Wrong(
        "05",
        "blind direction: one output",
        "def all_ones(network)",
        "weights[-1].sum(0)",
        "weights[-1][0]",
        "begin, _ = all_ones(start)",
    ),
    Wrong("05", "factors together: once", "bare = lrlib.nets", "(-0.3 * l).exp()", "(-0.3).exp()"),
    Wrong(
        "05",
        "corner pixels: twice the rate",
        "for decay, step in ((1e-3, 2744)",
        "/ factor - 1",
        "/ factor**2 - 1",
    ),
    Wrong("05", "last layer's weights: twice the rate", "log_weight = spectra_of(", "tenth - 1", "tenth - 2"),
    Wrong("06", "momentum: the other sign", "rate, t = 0.001,", "(1 + mu - rate)", "(1 + mu + rate)"),
    Wrong(
        "06", "clock of momentum: squared", "def clock_ratio(", "(rate / (1 - mu))", "(rate / (1 - mu) ** 2)"
    ),
    Wrong("06", "AdamW: a tenth of the decay", "shrink(torch.optim.AdamW", "0.1 * 0.01)", "0.1 * 0.001)"),
    Wrong("06", "floor of noise: no half", "law = (0.01 / (2 * 0.2))", "(2 * 0.2)", "(0.2)"),
    Wrong("06", "pure decay: one factor", "now = lrlib.local_rank(shrunk", "c**-l)", "c**-1)"),
    Wrong("06", "own runs: momentum forgotten", "on_the_clock = np.array(own", " / (1 - m)", ""),
]


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
    assert {wrong.chapter for wrong in WRONG} == {"01", "02", "03", "04", "05", "06"}
