"""AnnealedClusters in Python: its tree against plain loops, what it takes and refuses, its still and its words."""

import json
import math
import re

import numpy as np
import pytest
import torch
import traitlets
from annealed_examples import (
    ANIMALS,
    PLACES,
    information,
    made_up,
    reversed_path,
    solved,
    stacked,
    table,
    truth,
)

from lrlib.bottleneck import AnnealedIB, annealed_ib
from lrlib.interactive import AnnealedClusters
from lrlib.interactive.cluster_tree import cluster_tree

ROUNDING = 1e-12  # a few float64 operations
SECOND = [0.0, 1.0]  # weights of the second of two outcomes


def check_against_loops(figure, path, weights):
    """Assert at every beta that clusters, masses, predictions and encoder are those of plain loops."""
    for place, beta in enumerate(path.betas.tolist()):
        figure.beta = beta
        assert figure.beta == beta
        expected = truth(path, place, weights)
        assert figure.clusters == len(expected) == int(path.clusters[place])
        masses, predictions, encoders = zip(*expected, strict=True)
        np.testing.assert_allclose(figure.masses, masses, atol=ROUNDING)
        np.testing.assert_allclose(figure.decoder, predictions, atol=ROUNDING)
        np.testing.assert_allclose(figure.encoder, np.transpose(encoders), atol=ROUNDING)
        assert (figure.i_xt, figure.i_ty) == (path.i_xt[place], path.i_ty[place])


# --- the tree ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [solved(8, 2), reversed_path(solved(8, 2))], ids=["rising", "falling"])
def test_clusters_of_two_outcomes_are_those_of_the_path(path):
    figure = AnnealedClusters(path)
    check_against_loops(figure, path, SECOND)
    assert figure.facts["tables"][0]["betas"] == sorted(path.betas.tolist())


@pytest.mark.parametrize("objects", [3, 8, 30])
def test_clusters_of_more_outcomes_are_those_of_the_path(objects):
    path = made_up(objects, 5, clusters=min(8, objects))
    figure = AnnealedClusters(path)
    assert figure.outcome is None
    check_against_loops(figure, path, figure._tree.main_axis)
    figure.outcome = "y3"
    check_against_loops(figure, path, [0, 0, 1, 0, 0])


def test_a_symmetric_table_splits_into_two_that_mirror_each_other():
    noisy = torch.tensor([[0.4, 0.1], [0.1, 0.4]], dtype=torch.float64)
    figure = AnnealedClusters(annealed_ib(noisy, [2.0, 2.7, 2.9, 20.0]), beta=20.0)
    assert figure.clusters == 2
    np.testing.assert_allclose(figure.masses, [0.5, 0.5], atol=1e-6)
    np.testing.assert_allclose(figure.encoder, figure.encoder[::-1, ::-1], atol=1e-6)
    assert figure.decoder[0, 1] == pytest.approx(figure.decoder[1, 0], abs=1e-6)
    assert 0.75 < figure.decoder[0, 1] < 0.8  # nearly x itself, whose p(y|x) is 0.8
    figure.beta = 2.7  # below 1 / 0.6^2 = 2.78
    assert figure.clusters == 1
    np.testing.assert_allclose(figure.decoder, [[0.5, 0.5]], atol=1e-6)


def test_copies_that_are_made_one_lose_no_information():
    path = solved(8, 3)
    figure = AnnealedClusters(path)
    joint = np.asarray(path.joint)
    for beta in path.betas.tolist():
        figure.beta = beta
        merged = figure.encoder
        # predictions of copies differ by less than 1e-3, which costs the square of it times beta
        assert information(joint.sum(1)[:, None] * merged) == pytest.approx(figure.i_xt, abs=3e-5)
        assert information(merged.T @ joint) == pytest.approx(figure.i_ty, abs=1e-6)


def hard(*rows, columns=3):
    """An encoder that sends the i-th object to the column rows[i]."""
    return torch.eye(columns, dtype=torch.float64)[list(rows)]


def test_branches_follow_clusters_whatever_their_columns():
    joint = table(3, 2, seed=1)
    path = stacked(joint, [1.0, 2.0, 3.0], [hard(0, 1, 2), hard(2, 0, 1), hard(1, 2, 0)])
    tree = cluster_tree(path)
    assert (tree.births, tree.deaths) == ((), ())
    assert (tree.encoders == tree.encoders[0]).all()
    np.testing.assert_allclose(tree.decoders, np.broadcast_to(tree.decoders[0], (3, 3, 2)), rtol=ROUNDING)


def test_splits_and_mergers_are_births_and_deaths():
    channel = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9]], dtype=torch.float64)
    encoders = [hard(0, 0, 1), hard(0, 2, 1), hard(2, 2, 0), hard(0, 0, 0)]
    tree = cluster_tree(stacked(channel / 3, [1.0, 2.0, 3.0, 4.0], encoders))
    [(born, branch, parent)] = tree.births
    assert (born, tree.encoders[0, 0, parent]) == (1, 1)
    [(first, one, heir), (last, other, end)] = tree.deaths
    assert (first, last) == (2, 3)
    assert {one, heir} == {branch, parent}
    assert {other, end} == set(tree.present(2))
    assert [len(tree.present(place)) for place in range(4)] == [2, 3, 2, 1]
    # every cluster but those of the first place comes from one before it, and every one has somewhere to go
    links = tree.links()
    for place in range(1, 4):
        assert {new for p, _, new in links if p == place} == set(tree.present(place))
        assert {old for p, old, _ in links if p == place} == set(tree.present(place - 1))


@pytest.mark.parametrize("path", [solved(8, 3), made_up(30, 5)], ids=["solved", "made up"])
def test_every_cluster_has_a_way_to_it_and_from_it(path):
    tree = cluster_tree(path)
    links = tree.links()
    for place in range(1, len(tree.betas)):
        assert {new for p, _, new in links if p == place} == set(tree.present(place))
        assert {old for p, old, _ in links if p == place} == set(tree.present(place - 1))


def test_the_main_axis_is_the_first_principal_axis_of_the_predictions():
    path = made_up(8, 4)
    tree = cluster_tree(path)
    joint = path.joint.numpy()
    p_x, centre = joint.sum(1), joint.sum(0)
    away = joint / p_x[:, None] - centre
    values, vectors = np.linalg.eigh(away.T @ (p_x[:, None] * away))
    heights = tree.conditionals @ tree.main_axis
    np.testing.assert_allclose(np.abs(heights), np.abs(away @ vectors[:, -1]), atol=1e-9)
    assert p_x @ heights**2 == pytest.approx(values[-1])
    assert centre @ tree.main_axis == pytest.approx(0, abs=ROUNDING)
    assert tree.information == pytest.approx(information(joint), abs=ROUNDING)


# --- settings ------------------------------------------------------------------------------------------------------


def test_it_starts_after_the_first_split_unless_it_is_told():
    path = solved(8, 2)
    assert AnnealedClusters(path).beta == path.betas[7]
    assert AnnealedClusters(path, beta=5.4).beta == path.betas[12]  # 10^(1.477 / 2) = 5.48
    never = stacked(table(2, 2), [1.0, 2.0], [hard(0, 0, columns=1)] * 2)
    assert AnnealedClusters(never).beta == 2.0


def test_beta_moves_to_the_nearest_of_the_path_in_ratio():
    figure = AnnealedClusters(stacked(table(2, 2), [1.0, 4.0, 100.0], [hard(0, 1)] * 3))
    for given, nearest in ((1.9, 1.0), (2.1, 4.0), (19.0, 4.0), (21.0, 100.0), (1e-9, 1.0), (1e9, 100.0)):
        figure.beta = given
        assert figure.beta == nearest


def test_another_table_keeps_beta_and_an_outcome_that_it_has():
    paths = {"two": solved(8, 2), "three": made_up(8, 3), "five": made_up(8, 5)}
    figure = AnnealedClusters(paths, beta=5.0)
    assert (figure.table, figure.outcome) == ("two", "y2")
    figure.table = "three"
    assert figure.outcome == "y2"
    assert figure.path is paths["three"]
    assert figure.beta == min(paths["three"].betas.tolist(), key=lambda beta: abs(math.log(beta / 5)))
    figure.outcome = "y3"
    figure.table = "two"
    assert figure.outcome == "y2"  # it has no y3
    figure.table, figure.outcome = "three", None
    figure.table = "five"
    assert figure.outcome is None


def test_names_are_given_once_or_for_each_table():
    paths = {"a": solved(8, 3), "b": made_up(3, 3)}
    figure = AnnealedClusters(paths, names={"a": ANIMALS, "b": ["x", "y", "z"]}, outcomes=PLACES, beta=5.0)
    tables = figure.facts["tables"]
    assert [t["names"] for t in tables] == [ANIMALS, ["x", "y", "z"]]
    assert [t["outcomes"] for t in tables] == [PLACES, PLACES]
    assert AnnealedClusters(made_up(3, 3)).facts["tables"][0]["names"] == ["x1", "x2", "x3"]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"names": ["a"]}, ValueError, r"names=\['a'\]: must be 8 different names"),
        ({"names": ["a"] * 8}, ValueError, r"must be 8 different names"),
        ({"names": "abcdefgh"}, ValueError, r"names='abcdefgh': must be a sequence of strings"),
        ({"names": [*ANIMALS[:7], " "]}, ValueError, r"must be a sequence of strings that are not empty"),
        ({"names": [*ANIMALS[:7], 8]}, ValueError, r"must be a sequence of strings that are not empty"),
        ({"names": 3}, ValueError, r"names=3: must be a sequence of strings"),
        ({"names": {"other": ANIMALS}}, ValueError, r"names: has no entry for the path 'table'"),
        ({"names": {"table": ["a"]}}, ValueError, r"names\['table'\]=\['a'\]: must be 8 different names"),
        ({"outcomes": PLACES}, ValueError, r"outcomes=.*: must be 2 different names"),
        ({"beta": 0.0}, ValueError, r"beta=0.0: must be finite and above 0"),
        ({"beta": math.inf}, ValueError, r"beta=inf: must be finite"),
        ({"beta": math.nan}, ValueError, r"beta=nan: must be finite"),
        ({"beta": "3"}, TypeError, r"beta='3': must be a number"),
        ({"label": "A b"}, ValueError, r"label='A b': must be lower-case letters"),
        ({"title": ""}, ValueError, r"title='': must be a string that is not empty"),
    ],
)
def test_arguments_outside_the_rules_are_named(change, error, message):
    with pytest.raises(error, match=message):
        AnnealedClusters(solved(8, 2), **change)


def test_paths_outside_the_rules_are_named():
    path = solved(8, 2)
    large = {
        "objects": (stacked(table(41, 2), [1.0, 2.0], [hard(*[0] * 41)] * 2), 40),
        "outcomes": (stacked(table(2, 13), [1.0, 2.0], [hard(0, 1)] * 2), 12),
        "betas": (stacked(table(2, 2), torch.arange(1.0, 502.0), [hard(0, 1)] * 501), 500),
    }
    for what, (one, most) in large.items():
        with pytest.raises(ValueError, match=rf"path: has {most + 1} {what}; must have at most {most}"):
            AnnealedClusters(one)
    with pytest.raises(ValueError, match=r"path=\{\}: must hold one path or more"):
        AnnealedClusters({})
    with pytest.raises(ValueError, match=r"path: the title '' must be a string that is not empty"):
        AnnealedClusters({"": path})
    with pytest.raises(TypeError, match=r"path: must be what annealed_ib returns, not Tensor"):
        AnnealedClusters(path.encoders)
    with pytest.raises(TypeError, match=r"path\['a'\]: must be what annealed_ib returns, not int"):
        AnnealedClusters({"a": 3})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("table", "other", r"table='other': must be one of 'table'"),
        ("outcome", "y3", r"outcome='y3': must be one of 'y1', 'y2'"),
        ("beta", -1.0, r"beta=-1.0: must be finite and above 0"),
        ("beta", math.nan, r"beta=nan: must be finite"),
    ],
)
def test_settings_outside_the_rules_are_named_and_change_nothing(name, value, message):
    figure = AnnealedClusters(solved(8, 2))
    before = getattr(figure, name)
    with pytest.raises(ValueError, match=message):
        setattr(figure, name, value)
    assert getattr(figure, name) == before
    with pytest.raises(traitlets.TraitError):
        setattr(figure, name, [value])


# --- its outputs ---------------------------------------------------------------------------------------------------


def test_live_it_hears_the_reader_and_answers(monkeypatch):
    monkeypatch.setenv("LRLIB_OUTPUT", "live")
    paths = {"two": solved(8, 2), "three": made_up(8, 3)}
    figure = AnnealedClusters(paths)
    state = {"table": "three", "outcome": "y3", "beta": paths["three"].betas[30].item()}
    figure._handle_msg({"content": {"data": {"method": "update", "state": state}}})
    assert (figure.table, figure.outcome, figure.beta) == tuple(state.values())
    assert figure.clusters == paths["three"].clusters[30]
    sent = []
    monkeypatch.setattr(figure.comm, "send", lambda *args, **kwargs: sent.append((args, kwargs)))
    figure.table = "two"
    figure.beta = 9.0
    told = json.dumps(sent, default=str)
    assert '"table": "two"' in told
    assert '"outcome": "y2"' in told
    assert f'"beta": {figure.beta}' in told


def test_its_words_hold_nothing_that_the_reader_can_change():
    paths = {"one": solved(8, 2), "another": made_up(30, 5)}
    figure, other = AnnealedClusters(paths), AnnealedClusters(paths, beta=20.0)
    other.table, other.outcome = "another", "y1"
    assert figure.alt == other.alt == repr(figure)
    assert figure.alt.endswith("one: 8 objects, 2 outcomes; another: 30 objects, 5 outcomes.")
    assert not re.search("0x[0-9a-f]{6}", figure.alt)


def test_html_is_the_same_for_the_same_input_and_small():
    path = solved(8, 3)
    html = AnnealedClusters(path).page()
    assert html == AnnealedClusters(path).page()
    assert len(html.encode()) < 130_000  # most of it the still and the code
    assert len(AnnealedClusters(made_up(30, 5)).page().encode()) < 180_000


def test_the_still_follows_the_settings():
    figure = AnnealedClusters({"three": solved(8, 3), "two": solved(8, 2)})
    stills = {figure.still()}
    for name, value in (("beta", 20.0), ("outcome", "y3"), ("table", "two"), ("beta", 1.0)):
        setattr(figure, name, value)
        stills.add(figure.still())
    assert len(stills) == 5
    assert max(map(len, stills)) < 60_000


ODD = {
    "one cluster": stacked(table(2, 2), [1.0, 2.0], [hard(0, 0, columns=1)] * 2),
    "one object": stacked(torch.tensor([[0.3, 0.7]]).double(), [1.0, 2.0], [hard(0)] * 2),
    "one outcome": stacked(table(3, 1), [1.0, 2.0], [hard(0, 1, 2)] * 2),
    "nothing shared": stacked(torch.full((3, 4), 1 / 12).double(), [1.0, 2.0], [hard(0, 1, 2)] * 2),
    "much": made_up(40, 12, clusters=40, count=60),
}


@pytest.mark.parametrize("path", ODD.values(), ids=ODD)
def test_odd_paths_have_a_still(path):
    figure = AnnealedClusters(path)
    assert isinstance(figure.path, AnnealedIB)
    for beta in (path.betas[0].item(), path.betas[-1].item()):
        figure.beta = beta
        assert figure.masses.sum() == pytest.approx(1, abs=1e-4)
        assert figure.still()
