"""The 12-input task: its points, its power spectra by scipy's harmonics, its symmetries by brute force, its labels."""

import math
from itertools import combinations, permutations

import numpy as np
import pytest
import torch
from scipy.special import sph_harm_y

from lrlib.data import sphere

FLOAT64 = 1e-10  # sums of some hundred float64 terms of size 1
DEGREES = tuple(range(9))
PUBLISHED = (1_978, 2_118)  # patterns in the classes of the published file


@pytest.fixture(scope="module")
def symmetries():
    """The 120 permutations of the points that a rotation or a reflection makes, with its determinant.

    A linear map is fixed by the images of three independent vectors, so all images of three points are tried.
    """
    points = sphere.icosahedron()
    cosines = points @ points.T
    base = next(b for b in combinations(range(12), 3) if abs(np.linalg.det(points[list(b)])) > 0.1)
    found = []
    for image in permutations(range(12), 3):
        if np.allclose(cosines[np.ix_(base, base)], cosines[np.ix_(image, image)]):
            turn = np.linalg.solve(points[list(base)], points[list(image)])
            order = (points @ turn @ points.T).argmax(1)
            if np.allclose(points @ turn, points[order]):
                found.append((order, round(np.linalg.det(turn))))
    return found


def test_the_points_are_twelve_on_the_sphere_each_with_five_nearest_at_the_same_distance():
    points = sphere.icosahedron()
    assert points.shape == (12, 3)
    np.testing.assert_allclose((points**2).sum(1), 1, rtol=FLOAT64)
    cosines = np.sort(points @ points.T, axis=1)
    near = 1 / math.sqrt(5)
    expected = np.tile([-1, *[-near] * 5, *[near] * 5, 1], (12, 1))
    np.testing.assert_allclose(cosines, expected, atol=FLOAT64)


def test_there_are_60_rotations_and_as_many_reflections(symmetries):
    assert [det for _, det in symmetries].count(1) == 60
    assert [det for _, det in symmetries].count(-1) == 60
    assert len({tuple(order) for order, _ in symmetries}) == 120


@pytest.mark.parametrize(("dets", "orbits"), [((1,), 96), ((1, -1), 82)])
def test_the_patterns_have_96_orbits_under_rotations_and_82_with_reflections(symmetries, dets, orbits):
    group = [order for order, det in symmetries if det in dets]
    codes = sphere.patterns() @ 2 ** np.arange(12)
    images = np.stack([sphere.patterns()[:, order] @ 2 ** np.arange(12) for order in group])
    assert len(set(images.min(0).tolist())) == orbits  # every orbit has one smallest member
    fixed = (images == codes).sum()
    # Burnside: orbits are the mean number of patterns that a symmetry keeps
    assert fixed == orbits * len(group)


def test_power_is_that_of_scipy_s_spherical_harmonics():
    points, present = sphere.icosahedron(), sphere.patterns()
    polar, azimuth = np.arccos(np.clip(points[:, 2], -1, 1)), np.arctan2(points[:, 1], points[:, 0])
    found = sphere.power(present, DEGREES)
    for degree in DEGREES:
        orders = range(-degree, degree + 1)
        harmonics = np.stack([sph_harm_y(degree, m, polar, azimuth) for m in orders], 1)
        expected = (np.abs(present @ harmonics) ** 2).sum(1)
        np.testing.assert_allclose(found[:, degree], expected, atol=144 * FLOAT64)  # up to 12^2 terms


def test_no_symmetry_changes_power_or_label(symmetries):
    present, (x, y) = sphere.patterns(), sphere.sphere_task()
    power = sphere.power(present)
    for order, _ in symmetries:
        np.testing.assert_allclose(sphere.power(present[:, order]), power, atol=144 * FLOAT64)
        rows = present[:, order] @ 2 ** np.arange(12)
        assert torch.equal(x[torch.from_numpy(rows)], x[:, torch.from_numpy(order)])
        assert torch.equal(y[torch.from_numpy(rows)], y)


def test_the_total_up_to_degree_2_and_no_lower_tells_all_64_spectra_apart():
    power = sphere.power(sphere.patterns(), tuple(range(31))).round(8)
    assert len(np.unique(power, axis=0)) == 64
    totals = [len(np.unique(power[:, : degree + 1].sum(1).round(6))) for degree in range(3)]
    assert totals[2] == 64
    assert max(totals[:2]) < 64
    values = np.unique(sphere.power(sphere.patterns()).sum(1).round(sphere.DIGITS))
    assert len(values) == 64
    assert np.diff(values).min() > 0.01  # far above rounding: no label hangs on it


def test_all_patterns_are_there_once_in_order():
    x, y = sphere.sphere_task()
    assert (x.shape, x.dtype, y.shape, y.dtype) == ((4096, 12), torch.float32, (4096,), torch.int64)
    bits = [[1.0 if code >> i & 1 else -1.0 for i in range(12)] for code in range(4096)]
    assert x.tolist() == bits
    again = sphere.sphere_task()
    assert torch.equal(again[0], x)
    assert torch.equal(again[1], y)


def test_labels_are_as_many_of_each_kind_as_published_and_split_power_in_two():
    present, (_, y) = sphere.patterns(), sphere.sphere_task()
    counts = np.bincount(y)
    assert tuple(counts) == PUBLISHED
    p = counts / 4096
    assert -(p * np.log2(p)).sum() == pytest.approx(sphere.PUBLISHED_BITS, abs=5e-6)  # given to five digits
    total = sphere.power(present).sum(1)
    assert total[y == 1].min() > total[y == 0].max()
    by_size = [int(y[present.sum(1) == size].sum()) for size in range(13)]
    assert by_size == [0] * 6 + [592, 732, 495, 220, 66, 12, 1]
