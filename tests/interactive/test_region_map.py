"""RegionMap in Python: what it holds, what it takes back from the reader, and what it refuses."""

import json
import math

import pytest
import torch
import traitlets
from region_examples import EXAMPLES, network

from lrlib import jacobian_spectra
from lrlib.interactive import RegionMap, linear_regions


@pytest.mark.parametrize("name", EXAMPLES)
def test_it_holds_the_networks_weights_and_regions(name):
    net = EXAMPLES[name]()
    figure = RegionMap(net)
    for layer, rows in zip(net.layers, figure.weights, strict=True):
        module = net.get_submodule(layer)
        bias = torch.zeros(len(rows)) if module.bias is None else module.bias
        assert torch.equal(torch.tensor(rows, dtype=torch.float64), torch.column_stack([module.weight, bias]))
    expected = linear_regions(net, layer="L2", extent=3.0)
    assert len(figure.regions) == len(expected)
    for found, region in zip(figure.regions, expected, strict=True):
        assert (found.polygon == region.polygon).all()
        assert (found.jacobian == region.jacobian).all()


@pytest.mark.parametrize(("eps", "relative"), [(0.1, False), (0.25, True)])
def test_ranks_are_the_counts_of_jacobian_spectra(eps, relative):
    net = EXAMPLES["2-8-8-3"]()
    figure = RegionMap(net, layer="L3", eps=eps, relative=relative)
    regions = figure.regions
    x = torch.stack([torch.from_numpy(region.centroid) for region in regions])
    s = jacobian_spectra(net, x).values[2]
    cuts = eps * s[:, :1] if relative else eps
    ranks = figure.ranks(regions)
    assert ranks == (s > cuts).sum(1).tolist()
    assert len(set(ranks)) > 1


def test_the_figure_keeps_a_copy():
    net = network(2, 3, 2)
    figure = RegionMap(net)
    with torch.no_grad():
        net.L1.weight.zero_()
    assert any(figure.weights[0][0])


def test_weights_that_were_dragged_come_back_into_a_network():
    figure = RegionMap(network(2, 4, 3))
    changed = [[[0.5 * v for v in row] for row in rows] for rows in figure.weights]
    figure.weights = changed
    net = network(2, 4, 3, seed=9).float()
    figure.load_into(net)
    for layer, rows in zip(net.layers, changed, strict=True):
        module = net.get_submodule(layer)
        found = torch.column_stack([module.weight, module.bias])
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, torch.tensor(rows), rtol=0, atol=0)  # rounded once, both
    assert figure.facts["first"] != changed


def test_weights_without_biases_come_back_if_they_need_none():
    net = network(2, 3, 2, bias=False)
    figure = RegionMap(net)
    other = network(2, 3, 2, bias=False, seed=9)
    figure.load_into(other)
    assert torch.equal(other.L1.weight, net.L1.weight)
    figure.weights = [[[1.0, 0.0, 0.5]] * 3, figure.weights[1]]
    with pytest.raises(
        ValueError, match="net: its L1 has no bias; the figure's biases of L1 are not all zero"
    ):
        figure.load_into(other)
    assert torch.equal(other.L1.weight, net.L1.weight)  # nothing was copied
    with pytest.raises(ValueError, match=r"net: its widths are \[2, 4, 2\]; must be \[2, 3, 2\]"):
        figure.load_into(network(2, 4, 2))


def test_live_it_hears_the_reader_and_answers(monkeypatch):
    monkeypatch.setenv("LRLIB_OUTPUT", "live")
    net = network(2, 3, 2)
    figure = RegionMap(net)

    def receive(**state):  # as the comm hands over what JavaScript saved: integers where a number is whole
        figure._handle_msg({"content": {"data": {"method": "update", "state": state}}})

    receive(weights=[[[1, 0, 0], [0, 1, 0], [1, 1, -1]], figure.weights[1]])
    receive(point=[1, -0.25], neuron=["L2", 2], layer="L1", eps=0.5, relative=True)
    assert figure.weights[0] == [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 1.0, -1.0]]
    assert (figure.point, figure.neuron) == ((1.0, -0.25), ("L2", 2))
    assert (figure.layer, figure.eps, figure.relative) == ("L1", 0.5, True)
    figure.load_into(net)
    assert net.L1.bias.tolist() == [0.0, 0.0, -1.0]
    figure.layer = "L2"
    assert len(figure.regions) == 7
    sent = []
    monkeypatch.setattr(figure.comm, "send", lambda *args, **kwargs: sent.append((args, kwargs)))
    figure.point = (0.0, 2.0)
    assert '"point": [0.0, 2.0]' in json.dumps(sent, default=str)


def test_what_is_set_moves_to_the_nearest_place():
    figure = RegionMap(network(2, 3, 2), eps=0.102, point=(5, -math.pi))
    assert (figure.eps, figure.point) == (0.1, (3.0, -3.0))
    figure.eps = 7.0
    figure.relative = True
    assert figure.eps == 1.0
    figure.point = [-9, 0.5]
    assert figure.point == (-3.0, 0.5)


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (network(2, *[3] * 5), r"net: it has 5 layers; must have at most 4"),
        (network(2, 17, 2), r"net: its widths are \[2, 17, 2\]; must be at most 16 units a layer"),
        (network(3, 3, 2), r"net: it takes 3 inputs; must take 2"),
        (network(2, 3, 2, activation="gelu"), r"net: its activation is 'gelu'; must be 'relu'"),
    ],
)
def test_networks_it_refuses(net, message):
    with pytest.raises(ValueError, match=message):
        RegionMap(net)


def test_a_network_must_be_one():
    with pytest.raises(TypeError, match=r"net: must be an lrlib.nets.MLP, not Sequential"):
        RegionMap(torch.nn.Sequential())


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("layer", "L3", ValueError, r"layer='L3': must be one of 'L1', 'L2'"),
        ("eps", 0.0, ValueError, r"eps=0.0: must be finite and above 0"),
        ("eps", math.nan, ValueError, r"eps=nan: must be finite and above 0"),
        ("point", (0.0,), ValueError, r"point=\(0.0,\): must be two finite numbers"),
        ("point", (0.0, math.inf), ValueError, r"point=\(0.0, inf\): must be two finite numbers"),
        ("point", 0.5, ValueError, r"point=0.5: must be two finite numbers"),
        ("neuron", ("L3", 1), ValueError, r"neuron\[0\]='L3': must be one of 'L1', 'L2'"),
        ("neuron", ("L2", 3), ValueError, r"neuron\[1\]=3: must be between 1 and 2"),
        ("neuron", ("L2", 0), ValueError, r"neuron\[1\]=0: must be between 1 and 2"),
        ("neuron", "L1", TypeError, r"neuron='L1': must be a layer's name and a unit's number"),
    ],
)
def test_arguments_it_refuses_at_first_and_later(name, value, error, message):
    with pytest.raises(error, match=message):
        RegionMap(network(2, 3, 2), **{name: value})
    figure = RegionMap(network(2, 3, 2))
    before = getattr(figure, name)
    with pytest.raises((error, traitlets.TraitError)):  # traitlets itself refuses a tuple of another length
        setattr(figure, name, value)
    assert getattr(figure, name) == before


def test_an_extent_must_be_above_zero():
    with pytest.raises(ValueError, match=r"extent=-1.0: must be finite and above 0"):
        RegionMap(network(2, 3, 2), extent=-1.0)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([[[1.0, 2.0, 3.0]] * 3], r"weights: shapes are \[\(3, 3\)\]; must be \[\(3, 3\), \(2, 4\)\]"),
        ([[[1.0, 2.0]] * 3, [[1.0] * 4] * 2], r"weights: shapes are \[\(3, 2\), \(2, 4\)\]"),
        ([[[1.0], [1.0, 2.0]], []], r"weights: must be one table of numbers a layer"),
        ([[["a", 0, 0]] * 3, [[1.0] * 4] * 2], r"weights: must be one table of numbers a layer"),
        ([[[math.nan, 0, 0]] * 3, [[1.0] * 4] * 2], r"weights of L1: 3 of its 9 entries are NaN"),
    ],
)
def test_weights_keep_their_shape(weights, message):
    figure = RegionMap(network(2, 3, 2))
    with pytest.raises(ValueError, match=message):
        figure.weights = weights


def test_its_words_hold_no_number_that_changes():
    figure, other = RegionMap(network(2, 3, 2)), RegionMap(network(2, 3, 2, seed=1), layer="L1", eps=0.5)
    assert figure.alt == other.alt == repr(figure)
    assert "widths 2, 3, 2" in figure.alt


def test_html_is_the_same_for_the_same_input_and_small():
    big = network(2, 16, 16, 16, 16)
    html = RegionMap(big, layer="L4").page()
    assert html == RegionMap(network(2, 16, 16, 16, 16), layer="L4").page()
    assert len(html.encode()) < 250_000


def test_the_still_follows_the_settings():
    figure = RegionMap(network(2, 3, 2))
    stills = {figure.still()}
    changes = {
        "eps": 0.02,
        "point": (-1.0, 1.0),
        "relative": True,
        "layer": "L1",
        "weights": [[[1.0, 0.0, -1.0]] * 3, [[1.0] * 4] * 2],
    }
    for name, value in changes.items():
        setattr(figure, name, value)
        stills.add(figure.still())
    assert len(stills) == 1 + len(changes)
    assert max(map(len, stills)) < 60_000


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_has_a_still(name):
    net = EXAMPLES[name]()
    for layer in net.layers:
        assert RegionMap(net, layer=layer).still()
