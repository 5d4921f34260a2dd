"""Linear regions against brute force on the network itself, and against counts that are known."""

import numpy as np
import pytest
import torch
from region_examples import EXAMPLES, network, uniform_points

from lrlib import count_above, jacobian_spectra, local_rank, reference
from lrlib.interactive import linear_regions

EXTENT = 3.0
ROUNDING = 1e-12  # relative; sums of a few dozen float64 terms of order 1
CASES = [(name, layer) for name, build in EXAMPLES.items() for layer in build().layers]


def regions_of(name, layer):
    net = EXAMPLES[name]()
    return net, linear_regions(net, layer=layer, extent=EXTENT)


def depth_in(polygon, x):
    """How far inside a polygon each point is; negative outside. (v, 2), (n, 2) -> (n,)"""
    edges = np.roll(polygon, -1, axis=0) - polygon
    lengths = np.hypot(*edges.T)
    edges, corners, lengths = edges[lengths > 0], polygon[lengths > 0], lengths[lengths > 0]
    to_x = x[:, None] - corners
    return ((edges[:, 0] * to_x[..., 1] - edges[:, 1] * to_x[..., 0]) / lengths).min(1)


def patterns(net, layer, x):
    """Which units below a layer are on, as one row of zeros and ones a point: the network's own forward pass."""
    below = net.preactivations(torch.as_tensor(x))[: net.layers.index(layer)]
    return torch.cat([torch.zeros(len(x), 1, dtype=torch.float64), *below], dim=1).gt(0).detach().numpy()


@pytest.mark.parametrize(("name", "layer"), CASES)
def test_regions_tile_the_square(name, layer):
    _, regions = regions_of(name, layer)
    areas = np.array([region.area for region in regions])
    assert areas.min() > 0  # so corners run anticlockwise
    assert areas.sum() == pytest.approx((2 * EXTENT) ** 2, rel=ROUNDING)
    x = uniform_points(300, EXTENT).numpy()
    depths = np.stack([depth_in(region.polygon, x) for region in regions])
    assert ((depths > 0).sum(0) == 1).all()
    for region in regions:
        assert depth_in(region.polygon, region.centroid[None]) > 0


@pytest.mark.parametrize(("name", "layer"), CASES)
def test_the_network_is_affine_on_a_region_with_its_jacobian(name, layer):
    net, regions = regions_of(name, layer)
    shares = np.random.default_rng(0).dirichlet(np.ones(4), size=5)  # points within, from four of the corners
    for region in regions:
        corners = region.polygon[np.linspace(0, len(region.polygon) - 1, 4).astype(int)]
        x = np.vstack([region.centroid, 0.5 * region.centroid + 0.5 * shares @ corners])
        p = net.preactivations(torch.from_numpy(x))[net.layers.index(layer)].detach().numpy()
        np.testing.assert_allclose(x @ region.jacobian.T + region.offset, p, rtol=ROUNDING, atol=ROUNDING)
    centres = torch.from_numpy(np.stack([region.centroid for region in regions]))
    for region, jacobian in zip(regions, reference.jacobians(net, centres, layer), strict=True):
        np.testing.assert_allclose(region.jacobian, jacobian.numpy(), rtol=ROUNDING, atol=ROUNDING)


@pytest.mark.parametrize(("name", "layer"), CASES)
def test_there_is_one_region_for_every_activation_pattern(name, layer):
    net, regions = regions_of(name, layer)
    found = {row.tobytes() for row in patterns(net, layer, np.stack([region.centroid for region in regions]))}
    assert len(found) == len(regions)
    side = np.linspace(-EXTENT, EXTENT, 400)
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    assert {row.tobytes() for row in patterns(net, layer, grid)} <= found


@pytest.mark.parametrize("n", range(1, 9))
def test_lines_in_general_position_make_as_many_regions_as_zaslavsky_counts(n):
    net = network(2, n, 1, seed=10)
    weight, bias = net.L1.weight.detach(), net.L1.bias.detach()
    pairs = torch.combinations(torch.arange(n)) if n > 1 else torch.empty(0, 2, dtype=torch.long)
    crossings = [torch.linalg.solve(weight[pair], -bias[pair]).abs().max().item() for pair in pairs]
    distances = (bias.abs() / weight.norm(dim=1)).tolist()
    extent = 1.5 * max(distances + crossings)  # every line and every crossing is in view
    regions = linear_regions(net, layer="L2", extent=extent)
    assert len(regions) == 1 + n + n * (n - 1) // 2


def test_parallel_lines_and_lines_through_one_point_make_fewer():
    net = network(2, 5, 1)
    with torch.no_grad():
        net.L1.weight.copy_(torch.tensor([0.6, 0.8]).expand(5, 2))
        net.L1.bias.copy_(torch.linspace(-1, 1, 5))
    assert len(linear_regions(net, layer="L2", extent=3.0)) == 6
    assert len(linear_regions(network(2, 5, 1, bias=False), layer="L2", extent=3.0)) == 10


@pytest.mark.parametrize(("apart", "count"), [(1e-3, 3), (1e-13, 2), (0.0, 2)])
def test_two_lines_as_good_as_one_leave_no_sliver(apart, count):
    net = network(2, 2, 1)
    with torch.no_grad():
        net.L1.weight.copy_(torch.tensor([[0.3, 0.4], [0.3, 0.4]]))
        net.L1.bias.copy_(torch.tensor([0.2, 0.2 + apart], dtype=torch.float64))
    regions = linear_regions(net, layer="L2", extent=3.0)
    assert len(regions) == count
    assert sum(region.area for region in regions) == pytest.approx(36, rel=ROUNDING)


@pytest.mark.parametrize(("relative", "eps"), [(False, 0.1), (True, 0.3)])
def test_the_mean_rank_by_area_is_the_local_rank_of_uniform_inputs(relative, eps):
    net, regions = regions_of("2-8-8-3", "L3")
    jacobians = torch.from_numpy(np.stack([region.jacobian for region in regions]))
    ranks = count_above(torch.linalg.svdvals(jacobians), eps, relative=relative).numpy()
    exact = sum(r.area * rank for r, rank in zip(regions, ranks, strict=True)) / (2 * EXTENT) ** 2
    estimate = local_rank(net, uniform_points(4000, EXTENT), eps=eps, relative=relative)
    assert 0.1 < exact < 1.9  # the two sides could differ
    assert abs(estimate.mean[-1] - exact) < 4 * estimate.stderr[-1]  # 4 standard errors: 6 in 100,000


def test_singular_values_on_a_region_are_lrlibs():
    net, regions = regions_of("2-6-5-4-1", "L3")
    spectra = jacobian_spectra(net, torch.from_numpy(np.stack([region.centroid for region in regions])))
    for region, expected in zip(regions, spectra.values[2], strict=True):
        found = np.linalg.svd(region.jacobian, compute_uv=False)
        np.testing.assert_allclose(found, expected, rtol=0, atol=ROUNDING * max(1.0, found[0]))


def test_float32_weights_are_taken_as_they_are():
    net = network(2, 3, 2).float()
    (region,) = linear_regions(net, layer="L1", extent=1.0)
    assert region.jacobian.dtype == np.float64
    assert (region.jacobian == net.L1.weight.detach().double().numpy()).all()


@torch.no_grad()
def with_nan():
    net = network(2, 3, 2)
    net.L2.weight[0, 0] = torch.nan
    return net


@pytest.mark.parametrize(
    ("net", "layer", "extent", "error", "message"),
    [
        (torch.nn.Linear(2, 2), "L1", 1.0, TypeError, r"net: must be an lrlib.nets.MLP, not Linear"),
        (network(2, 3, 2, activation="tanh"), "L2", 1.0, ValueError, r"activation is 'tanh'; must be 'relu'"),
        (network(3, 3, 2), "L2", 1.0, ValueError, r"net: it takes 3 inputs; must take 2"),
        (with_nan(), "L2", 1.0, ValueError, r"net.L2.weight: 1 of its 6 entries are NaN"),
        (network(2, 3, 2), "L3", 1.0, ValueError, r"layer='L3': must be one of 'L1', 'L2'"),
        (network(2, 3, 2), "L2", 0.0, ValueError, r"extent=0.0: must be finite and above 0"),
        (network(2, 3, 2), "L2", "3", TypeError, r"extent='3': must be a number"),
    ],
)
def test_what_it_refuses(net, layer, extent, error, message):
    with pytest.raises(error, match=message):
        linear_regions(net, layer=layer, extent=extent)
