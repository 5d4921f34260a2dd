"""The page's random numbers are torch's, one by one, and so is the order in which they are drawn."""

import numpy as np
import pytest
import torch

from lrlib.runtime import generator

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("float64")]

SEEDS = (0, 1, 7, 99, 2**31, 2**32 - 1)
# radius * cos(angle): logarithm, root and cosine come from another library, each within one unit in the last place
NORMAL_RTOL = 4 * 2.0**-52
DRAWN = "const g = new Generator(given.seed); return given.sizes.map((n) => g[given.what](n));"
MIXED = """const g = new Generator(given.seed);
return given.calls.map(([what, ...args]) => g[what](...args));"""
TORCH = {
    "uniform": lambda n, g: torch.rand(n, generator=g),
    "normal": lambda n, g: torch.randn(n, generator=g),
    "permutation": lambda n, g: torch.randperm(n, generator=g),
    "integers": lambda low, high, n, g: torch.randint(low, high, (n,), generator=g),
}


def compare(found, expected, what):
    if what == "normal":
        np.testing.assert_allclose(found, expected.numpy(), rtol=NORMAL_RTOL, atol=0)
    else:
        np.testing.assert_array_equal(found, expected.numpy())


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("what", "sizes"),
    [
        (
            "uniform",
            [1, 2, 311, 312, 313, 5000],
        ),  # 624 words of 32 bits, two a number, before the state is renewed
        ("permutation", [1, 2, 3, 437, 500, 1000]),
        ("normal", [1, 15, 16, 17, 31, 32, 33, 1000, 2001]),
        ("normal", [3, 20, 1, 1, 16, 4, 2]),  # from 16 on the number that is left of a pair stays where it is
    ],
    ids=["uniform", "permutation", "normal", "normal with a spare"],
)
def test_numbers_are_torch_s(engine, seed, what, sizes):
    g = generator(seed)
    for n, found in zip(sizes, engine(DRAWN, seed=seed, what=what, sizes=sizes), strict=True):
        assert len(found) == n
        compare(found, TORCH[what](n, g), what)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (1, 2), (1, 10), (0, 2**16), (-5, 1000)])
def test_integers_are_torch_s(engine, low, high):
    for seed in SEEDS:
        (found,) = engine(MIXED, seed=seed, calls=[("integers", low, high, 400)])
        compare(found, TORCH["integers"](low, high, 400, generator(seed)), "integers")


@pytest.mark.parametrize("seed", range(5))
def test_so_they_are_in_any_order_of_calls(engine, seed):
    chance = np.random.default_rng(seed)
    calls = []
    for what in chance.choice(list(TORCH), 60):
        n = int(chance.integers(1, 40))
        calls.append((str(what), 0, 10, n) if what == "integers" else (str(what), n))
    g = generator(seed)
    for (what, *args), found in zip(calls, engine(MIXED, seed=seed, calls=calls), strict=True):
        compare(found, TORCH[what](*args, g), what)
