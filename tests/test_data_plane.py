"""Points in the plane: where they lie, that a generator fixes them, and what is refused."""

import math

import pytest
import torch

from lrlib.data.plane import flip_labels, moons, rings, two_spirals
from lrlib.runtime import generator

SETS = {"two_spirals": two_spirals, "rings": rings, "moons": moons}
ROUNDING = 1e-12  # sines and roots of numbers of size 10, in float64
SIGMAS = 5  # a sound draw is further out once in 1.7 million readings


@pytest.fixture(autouse=True)
def float64():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("name", SETS)
def test_shapes_dtypes_and_labels_by_turns(name):
    x, y = SETS[name](7, generator=generator(0))
    assert (x.shape, x.dtype) == ((7, 2), torch.float64)
    assert (y.tolist(), y.dtype) == ([0, 1, 0, 1, 0, 1, 0], torch.int64)
    torch.set_default_dtype(torch.float32)
    assert SETS[name](7, generator=generator(0))[0].dtype == torch.float32


@pytest.mark.parametrize("turns", [0.5, 1.25, 3.0])
def test_spirals_without_noise_lie_on_their_curves(turns):
    x, y = two_spirals(400, noise=0.0, turns=turns, generator=generator(1))
    radius = x.norm(dim=1)
    assert radius.max() < 2
    angle = math.pi * (turns * radius + y)  # 2 turns sqrt(u), with 2 sqrt(u) the radius
    close(x, radius[:, None] * torch.stack([angle.cos(), angle.sin()], 1))
    share = (radius < 1).double().mean().item()  # a quarter, for the density is even over the disc
    assert abs(share - 0.25) < SIGMAS * math.sqrt(0.25 * 0.75 / 400)


def test_either_spiral_is_the_other_turned_by_half_a_turn():
    g = generator(2)
    u = torch.rand(2, generator=generator(2))
    x, _ = two_spirals(2, noise=0.0, generator=g)
    turned = -x[1] / x[1].norm()
    angle = 2 * math.pi * 1.25 * u[1].sqrt()
    close(turned, torch.stack([angle.cos(), angle.sin()]))


def test_rings_without_noise_lie_on_their_circles_all_around():
    x, y = rings(1000, noise=0.0, generator=generator(3))
    close(x.norm(dim=1), torch.where(y == 0, 0.8, 1.8))
    quarters = (x[:, 0] > 0).long() + 2 * (x[:, 1] > 0)
    counts = quarters.bincount(minlength=4)
    assert (counts - 250).abs().max() < SIGMAS * math.sqrt(1000 * 0.25 * 0.75)


def test_moons_without_noise_are_half_circles_that_reach_into_each_other():
    x, y = moons(1000, noise=0.0, generator=generator(4))
    centre = torch.tensor([[-0.75, -0.375], [0.75, 0.375]])
    close((x - centre[y]).norm(dim=1), torch.full((1000,), 1.5))
    up = x[:, 1] - centre[y][:, 1]
    assert (up[y == 0] >= 0).all()
    assert (up[y == 1] <= ROUNDING).all()
    assert x[y == 0][:, 0].max() > 0.7 > -0.7 > x[y == 1][:, 0].min()  # 0.75 and -0.75 at the tips
    assert x[y == 0][:, 1].min() < x[y == 1][:, 1].max()


@pytest.mark.parametrize("name", SETS)
def test_noise_is_normal_with_its_deviation_and_moves_nothing_else(name):
    n = 4000
    clean, _ = SETS[name](n, noise=0.0, generator=generator(5))
    noisy, _ = SETS[name](n, noise=0.3, generator=generator(5))
    z = (noisy - clean) / 0.3
    assert z.mean(0).abs().max() < SIGMAS / math.sqrt(n)
    stderr = torch.full((2, 2), 1 / math.sqrt(n)).fill_diagonal_(
        math.sqrt(2 / n)
    )  # of a product, of a square
    assert ((z.T @ z / n - torch.eye(2)) / stderr).abs().max() < SIGMAS
    double, _ = SETS[name](n, noise=0.6, generator=generator(5))
    close(double - clean, 2 * (noisy - clean))


@pytest.mark.parametrize("name", SETS)
def test_a_seed_fixes_the_points_and_noise_does_not_change_how_many_numbers_are_drawn(name):
    after = []
    for noise in (0.0, 0.05, 2.0):
        g = generator(6)
        x, _ = SETS[name](9, noise=noise, generator=g)
        assert torch.equal(x, SETS[name](9, noise=noise, generator=generator(6))[0])
        assert not torch.equal(x, SETS[name](9, noise=noise, generator=generator(7))[0])
        after.append(torch.rand(4, generator=g))
    assert torch.equal(after[0], after[1])
    assert torch.equal(after[0], after[2])


def test_labels_are_flipped_with_their_probability_to_any_other_class():
    n, share = 6000, 0.3
    y = torch.randint(0, 4, (n,), generator=generator(0))
    flipped = flip_labels(y, share, classes=4, generator=generator(1))
    assert flipped.dtype == torch.int64
    assert abs((flipped != y).double().mean() - share) < SIGMAS * math.sqrt(share * (1 - share) / n)
    shift = ((flipped - y) % 4).bincount(minlength=4)[1:]  # each of three others
    assert (shift - n * share / 3).abs().max() < SIGMAS * math.sqrt(n * share / 3)
    assert flipped.min() == 0
    assert flipped.max() == 3


def test_a_share_of_none_and_of_all():
    y = torch.arange(50) % 5
    assert torch.equal(flip_labels(y, 0.0, classes=5, generator=generator(0)), y)
    assert (flip_labels(y, 1.0, classes=5, generator=generator(0)) != y).all()
    assert torch.equal(flip_labels(y % 2, 1, classes=2, generator=generator(0)), 1 - y % 2)
    assert flip_labels(y[:0], 0.5, classes=2, generator=generator(0)).shape == (0,)


def test_more_flips_keep_those_of_fewer_and_draw_as_many_numbers():
    y = torch.arange(200) % 3
    after, wrong = [], []
    for share in (0.0, 0.2, 0.7):
        g = generator(8)
        wrong.append(flip_labels(y, share, classes=3, generator=g))
        after.append(torch.rand(3, generator=g))
    few = wrong[1] != y
    assert torch.equal(wrong[2][few], wrong[1][few])
    assert torch.equal(after[0], after[1])
    assert torch.equal(after[0], after[2])
    assert torch.equal(y, torch.arange(200) % 3)  # the labels given are left as they were


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n": 0}, ValueError, "n=0: must be at least 1"),
        ({"n": 2.0}, TypeError, r"n=2\.0: must be an integer"),
        ({"noise": -0.1}, ValueError, r"noise=-0\.1: must be finite and at least 0"),
        ({"noise": math.inf}, ValueError, "noise=inf: must be finite"),
        ({"generator": 0}, TypeError, r"generator=0: must be a torch\.Generator on the CPU"),
    ],
)
def test_wrong_arguments_are_named(name, arguments, error, message):
    given = {"n": 4, "generator": generator(0), **arguments}
    with pytest.raises(error, match=f"^{message}"):
        SETS[name](given.pop("n"), **given)


@pytest.mark.parametrize("turns", [0, -1.0, math.nan, math.inf])
def test_turns_must_be_above_zero(turns):
    with pytest.raises(ValueError, match=f"^turns={turns}: must be finite and above 0"):
        two_spirals(4, turns=turns, generator=generator(0))


LABELS = torch.tensor([0, 1, 2])


@pytest.mark.parametrize(
    ("y", "share", "classes", "error", "message"),
    [
        (LABELS.double(), 0.1, 3, TypeError, r"y: must be an int64 tensor of shape \(n,\)"),
        (LABELS[:, None], 0.1, 3, TypeError, r"y: must be an int64 tensor of shape \(n,\)"),
        ([0, 1], 0.1, 3, TypeError, r"y: must be an int64 tensor of shape \(n,\)"),
        (LABELS, 0.1, 2, ValueError, "y: labels are 0 to 2; must be 0 to 1"),
        (LABELS - 1, 0.1, 3, ValueError, "y: labels are -1 to 1; must be 0 to 2"),
        (LABELS, -0.1, 3, ValueError, r"share=-0\.1: must be finite and at least 0"),
        (LABELS, 1.1, 3, ValueError, r"share=1\.1: must be 0 to 1"),
        (LABELS, 0.1, 1, ValueError, "classes=1: must be at least 2"),
    ],
)
def test_wrong_labels_and_shares_are_named(y, share, classes, error, message):
    with pytest.raises(error, match=f"^{message}"):
        flip_labels(y, share, classes=classes, generator=generator(0))


def test_labels_are_flipped_by_a_generator():
    with pytest.raises(TypeError, match=r"^generator=0: must be a torch\.Generator on the CPU"):
        flip_labels(LABELS, 0.1, classes=3, generator=0)
