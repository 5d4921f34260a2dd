"""EstimatorBench in Python: what it shows, takes and refuses, its still and its words."""

import json
import re

import numpy as np
import pytest
import torch
import traitlets
from bench_examples import (
    FOR_CHANNELS,
    KINDS,
    SIZES,
    TRUTHS,
    made_up_samples,
    made_up_table,
    odd_table,
    small_table,
)
from matplotlib.colors import to_hex
from matplotlib.figure import Figure as Canvas

from lrlib.interactive import EstimatorBench

LARGEST_DATA = 100_000  # letters of a page's numbers, for 16 cases, 5 sizes, 10 estimators and 10 seeds


# --- what is shown -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", TRUTHS)
@pytest.mark.parametrize("n", [100, 10_000])
def test_rows_are_those_of_the_settings(case, n):
    table = made_up_table()
    figure = EstimatorBench(table, case=case, n=n, estimators=["logdet", "nwj", "ksg 1"])
    applying = [name for name in ("ksg 1", "nwj", "logdet") if name not in FOR_CHANNELS or "channel" in case]
    rows = figure.rows
    assert list(rows["estimator"]) == applying
    for name, found in rows.set_index("estimator").iterrows():
        values = table.query("case == @case and n == @n and estimator == @name")["value"]
        assert found["mean"] == pytest.approx(values.mean())
        assert found["bias"] == pytest.approx(values.mean() - TRUTHS[case])
        assert found["spread"] == pytest.approx(values.std())
        assert (found["kind"], found["truth"]) == (KINDS[name], TRUTHS[case])


def test_rows_follow_the_settings_and_may_be_none():
    figure = EstimatorBench(odd_table(), case="independent", n=1000)
    assert list(figure.rows["estimator"]) == ["ksg 1", "infonce", "nwj", "gaussian fit"]
    figure.n = 100
    assert list(figure.rows["estimator"]) == ["ksg 1", "nwj", "gaussian fit"]
    figure.estimators = ["infonce"]
    assert figure.rows.empty
    assert {"estimator", "kind", "truth", "mean", "bias", "spread", "stderr", "saturated", "seeds", "low", "high", "cap"} == set(figure.rows)  # fmt: skip


def test_it_starts_in_the_first_case_at_the_middle_size_with_all_estimators():
    figure = EstimatorBench(made_up_table())
    assert (figure.case, figure.n) == ("normal-0.5", 1000)
    assert figure.estimators == list(figure.bench.estimators)
    assert set(figure.estimators) == set(KINDS)


def test_estimators_are_kept_in_the_order_of_the_table():
    figure = EstimatorBench(made_up_table(), estimators=["nwj", "ksg 1", "nwj"])
    assert figure.estimators == ["ksg 1", "nwj"]


# --- what is taken and refused -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"case": "normal"}, ValueError, r"case='normal': must be one of 'normal-0.75', 'independent', 'channel-high'"),
        ({"n": 500}, ValueError, r"n=500: must be one of 100, 1000"),
        ({"n": "many"}, traitlets.TraitError, r"expected an int, not the str 'many'"),
        ({"estimators": ["ksg 1", "ksg 3"]}, ValueError, r"estimators\[1\]='ksg 3': must be one of 'gaussian fit', 'ksg 1'"),
        ({"titles": {"independent": ""}}, TypeError, r"titles\['independent'\]='': must be a string that is not empty"),
        ({"titles": {"independent": 3}}, TypeError, r"titles\['independent'\]=3: must be a string"),
        ({"samples": {"independent": np.ones(4)}}, ValueError, r"samples\['independent'\]: shape is \(4,\); must be \(m, 2\)"),
        ({"samples": {"independent": np.ones((201, 2))}}, ValueError, r"samples\['independent'\]: shape is \(201, 2\); .* m <= 200"),
        ({"samples": {"independent": [[0, np.nan]]}}, ValueError, r"samples\['independent'\]: 1 entries are NaN or infinite; all must be finite"),
        ({"samples": {"independent": "x"}}, TypeError, r"samples\['independent'\]: must be numbers, \(m, 2\)"),
        ({"samples": np.ones((3, 2))}, TypeError, r"(?s)samples=array.*must be a dict from names of cases, or None"),
        ({"titles": "independent"}, TypeError, r"titles='independent': must be a dict from names of cases, or None"),
        ({"label": "A b"}, ValueError, r"label='A b': must be lower-case letters"),
        ({"title": " "}, ValueError, r"title=' ': must be a string that is not empty"),
    ],
)  # fmt: skip
def test_arguments_outside_the_rules_are_named(options, error, message):
    with pytest.raises(error, match=message):
        EstimatorBench(small_table(), **options)


def test_a_table_outside_the_rules_is_refused():
    with pytest.raises(ValueError, match=r"table: has no column truth; must have seed, case"):
        EstimatorBench(small_table().drop(columns="truth"))


@pytest.mark.parametrize(("name", "value"), [("case", "x"), ("n", 101), ("estimators", ["x"])])
def test_a_setting_outside_the_rules_changes_nothing(name, value):
    figure = EstimatorBench(small_table())
    before = getattr(figure, name)
    with pytest.raises(ValueError, match="must be one of"):
        setattr(figure, name, value)
    assert getattr(figure, name) == before


def test_titles_and_samples_of_cases_that_the_table_lacks_do_no_harm():
    samples = {"elsewhere": np.zeros((3, 2)), "independent": torch.zeros(3, 2)}
    figure = EstimatorBench(small_table(), titles={"elsewhere": "Nowhere."}, samples=samples)
    frames = {case["name"]: case["scatter"] for case in figure.facts["cases"]}
    assert frames["normal-0.75"] is None
    assert frames["independent"]["points"] == 3


# --- its outputs ---------------------------------------------------------------------------------------------------


def test_live_it_hears_the_reader_and_answers(monkeypatch):
    monkeypatch.setenv("LRLIB_OUTPUT", "live")
    figure = EstimatorBench(small_table())
    state = {"case": "channel-high", "n": 100, "estimators": ["logdet"]}
    figure._handle_msg({"content": {"data": {"method": "update", "state": state}}})
    assert (figure.case, figure.n, figure.estimators) == ("channel-high", 100, ["logdet"])
    assert list(figure.rows["estimator"]) == ["logdet"]
    sent = []
    monkeypatch.setattr(figure.comm, "send", lambda *args, **kwargs: sent.append((args, kwargs)))
    figure.case, figure.n, figure.estimators = "independent", 1000, ["nwj", "ksg 1"]
    told = json.dumps(sent, default=str)
    assert '"case": "independent"' in told
    assert '"n": 1000' in told
    assert '"estimators": ["ksg 1", "nwj"]' in told


def test_its_words_hold_nothing_that_the_reader_can_change():
    figure = EstimatorBench(made_up_table())
    other = EstimatorBench(made_up_table(), case="spiral", n=100, estimators=["nwj"])
    assert figure.alt == other.alt == repr(figure)
    assert "in 16 cases, for N = 100 to 10,000 samples and 10 seeds" in figure.alt
    assert not re.search("0x[0-9a-f]{6}", figure.alt)
    one = EstimatorBench(small_table(cases=("spiral",), sizes=(100,), seeds=1))
    assert "in 1 case, for N = 100 samples and 1 seed." in one.alt


def test_html_is_the_same_for_the_same_table_and_small():
    figure = EstimatorBench(made_up_table(), samples=made_up_samples())
    html = figure.page()
    assert html == EstimatorBench(made_up_table(), samples=made_up_samples()).page()
    state = figure.page_state()
    assert sum(map(len, state["arrays"].values())) + len(json.dumps(state["values"])) < LARGEST_DATA
    assert len(html.encode()) < 2 * LARGEST_DATA  # with its code, its style and its still


def drawn_still(figure):
    canvas = Canvas(layout="constrained")
    figure.draw_still(canvas)
    return canvas


@pytest.mark.parametrize("case", ["normal-0.75", "channel-high"])
def test_the_still_shows_the_means_the_truth_and_every_seed(case):
    table = small_table()
    figure = EstimatorBench(table, case=case, n=100)
    left, right = drawn_still(figure).axes
    lines = {line.get_label(): line for line in left.lines if line.get_label() in KINDS}
    applying = [name for name in figure.estimators if name not in FOR_CHANNELS or case == "channel-high"]
    assert list(lines) == applying
    of_case = table[table["case"] == case]
    for name, line in lines.items():
        mine = of_case[of_case["estimator"] == name]
        np.testing.assert_allclose(line.get_ydata(), mine.groupby("n")["value"].mean())
        assert list(line.get_xdata()) == [100, 1000]
    for ax in (left, right):
        assert TRUTHS[case] in [line.get_ydata()[0] for line in ax.lines if len(set(line.get_ydata())) == 1]
    for name, seeds in zip(applying, right.collections, strict=True):
        mine = of_case[(of_case["estimator"] == name) & (of_case["n"] == 100)]
        np.testing.assert_allclose(seeds.get_offsets()[:, 1], mine["value"])
        hollow = [to_hex(colour) == "#ffffff" for colour in seeds.get_facecolors()]
        assert hollow == list(mine["saturated"].astype(bool))
    low, high = left.get_ylim()
    values = of_case["value"]
    assert low < max(values.min(), 0.0)
    assert high > min(values.max(), 2.5 * TRUTHS[case])


def test_the_still_follows_case_size_and_estimators():
    figure = EstimatorBench(small_table())
    stills = {figure.still()}
    for name, value in (("case", "channel-high"), ("n", 100), ("estimators", ["logdet"]), ("estimators", [])):
        setattr(figure, name, value)
        stills.add(figure.still())
    assert len(stills) == 5
    assert max(map(len, stills)) < 60_000


def test_the_axis_of_the_still_has_room_for_what_is_not_far_out():
    left, _ = drawn_still(EstimatorBench(odd_table(), case="normal-0.75")).axes
    low, high = left.get_ylim()
    near = odd_table().query("case == 'normal-0.75' and estimator != 'nwj'")["value"]
    assert near.min() - 0.1 < low < near.min()  # not down to -7
    assert near.max() < high < near.max() + 0.1  # not up to 41


@pytest.mark.parametrize(("n", "arrows"), [(100, "^"), (1000, "v")])
def test_the_still_has_arrows_for_what_lies_outside(n, arrows):
    left, right = drawn_still(EstimatorBench(odd_table(), case="normal-0.75", n=n)).axes
    edges = {"^": left.get_ylim()[1], "v": left.get_ylim()[0]}

    def at_edges(ax):
        found = [line for line in ax.lines if line.get_marker() in edges and len(line.get_xdata()) == 1]
        return [line.get_marker() for line in found if line.get_ydata()[0] == edges[line.get_marker()]]

    assert at_edges(left) == ["^", "v", "v"]  # nwj at its three sizes
    assert at_edges(right) == [arrows]


@pytest.mark.parametrize("table", [odd_table(), small_table(cases=("spiral",), sizes=(100,), seeds=1)])
def test_odd_tables_have_a_still_and_a_page(table):
    figure = EstimatorBench(table)
    assert figure.still()
    assert "estimator-bench" in figure.page()
    assert SIZES[0] in figure.bench.sizes
