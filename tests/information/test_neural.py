"""Neural bounds: their formulas in loops, their standard error against fresh samples, and what training may not do."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from lrlib.information import CASES, infonce_mi, neural, nwj_mi
from lrlib.runtime import generator

BOUNDS = {"infonce": (infonce_mi, neural._infonce), "nwj": (nwj_mi, neural._nwj)}
ROUNDING = 1e-10  # float64 sums of a hundred exponentials of order one
QUICK = {"steps": 300, "hidden": (64,), "batch_size": 128}
BRIEF = QUICK | {"steps": 60}  # for what does not depend on how well a critic is trained
SIGMAS = 4.0  # standard errors; seeds are fixed
# What 300 steps on 2,000 pairs may leave of the information of two correlated numbers: half a tenth for what the
# critic has not learned, and the standard error comes on top.
TIGHT = 0.05

both = pytest.mark.parametrize("name", BOUNDS)


def scores(seed=0, size=7):
    return torch.randn(size, size, generator=generator(seed), dtype=torch.float64)


def weighted(name, f, weights):
    """The bound with weights (summing to 1) on its pairs, in plain loops; equal weights give the bound itself."""
    n = len(f)
    if name == "infonce":
        return sum(
            weights[i] * (f[i][i] - math.log(sum(weights[j] * math.exp(f[i][j]) for j in range(n))))
            for i in range(n)
        )
    # n / (n - 1): pairs i = j, a share of 1/n of all, do not count
    other = sum(weights[i] * weights[j] * math.exp(f[i][j] - 1) for i in range(n) for j in range(n) if i != j)
    return sum(weights[i] * f[i][i] for i in range(n)) - other * n / (n - 1)


@both
def test_the_bound_is_that_of_the_loop(name):
    f = scores()
    found, _ = BOUNDS[name][1](f)
    assert found.item() == pytest.approx(weighted(name, f.tolist(), [1 / 7] * 7), abs=ROUNDING)


@both
def test_the_influence_is_the_derivative_along_a_pairs_weight(name):
    f, step = scores(1).tolist(), 1e-5
    _, influence = BOUNDS[name][1](scores(1))
    for k in range(7):
        up, down = (weighted(name, f, [(1 - e) / 7 + e * (i == k) for i in range(7)]) for e in (step, -step))
        assert influence[k].item() == pytest.approx(
            (up - down) / (2 * step), abs=1e-8
        )  # step^2, times a third derivative
    assert influence.sum().item() == pytest.approx(0, abs=ROUNDING)


@both
@pytest.mark.parametrize("case", ["normal-0.5", "normal-0.75"])
def test_the_bound_comes_close_from_below(name, case):
    known = CASES[case]
    found = BOUNDS[name][0](*known.sample(2_000, generator(0)), generator=generator(1), **QUICK)
    assert found.kind == "lower bound"
    assert found.value <= known.mi + SIGMAS * found.stderr
    assert found.value >= known.mi - TIGHT - SIGMAS * found.stderr
    assert SIGMAS * found.stderr < known.mi  # else these two say nothing


@both
@pytest.mark.parametrize("case", ["student-1", "channel-clusters"])
def test_heavy_tails_and_clusters_are_bounded_from_below_too(name, case):
    """300 steps are too few to come close here, but at least half is found, and never too much."""
    known = CASES[case]
    found = BOUNDS[name][0](*known.sample(2_000, generator(0)), generator=generator(1), **QUICK)
    assert known.mi / 2 <= found.value <= known.mi + SIGMAS * found.stderr
    assert SIGMAS * found.stderr < known.mi / 2


@both
def test_nothing_is_found_where_there_is_nothing(name):
    """A critic of 200 pairs that has learned them by heart must not count what it has learned."""
    x, y = CASES["independent"].sample(200, generator(0))
    found = BOUNDS[name][0](x, y, generator=generator(1), **QUICK)
    assert found.value <= SIGMAS * found.stderr + ROUNDING


@both
def test_the_standard_error_is_the_spread_over_fresh_test_parts(name):
    bound = BOUNDS[name][1]
    critic = neural._Critic(1, 1, (64,), generator(0))
    part = torch.arange(1_000)

    def pairs(seed, n):
        return [neural._scores(value, part[:n]) for value in CASES["normal-0.75"].sample(n, generator(seed))]

    course = neural._Course(128, (64,), 200, 1e-3, 0.3, 10)
    neural._train(critic, bound, pairs(0, 1_000), pairs(1, 300), course, generator(2))
    found = np.array([neural._measure(critic, bound, *pairs(10 + i, 256), 128) for i in range(300)])
    # 300 values know their spread to 4 %; 12 % is three times that, and 3 % for what squares of 128 leave to the second order
    assert found[:, 0].std(ddof=1) == pytest.approx(np.sqrt((found[:, 1] ** 2).mean()), rel=0.15)


def test_infonce_cannot_exceed_the_logarithm_of_its_batch():
    x, y = CASES["channel-20-nats"].sample(1_000, generator(0))
    found = infonce_mi(x, y, batch_size=16, steps=300, hidden=(64,), generator=generator(0))
    assert found.cap == math.log(16)
    assert found.saturated
    assert found.value <= math.log(16)
    few = infonce_mi(x[:100], y[:100], generator=generator(0), **QUICK)
    assert few.cap == math.log(30)  # the test part is smaller than the batch
    assert nwj_mi(x[:100], y[:100], generator=generator(0), **QUICK).cap is None


def test_nwj_is_measured_in_equal_parts_of_bounded_size():
    course = neural._Course(256, (8,), 1, 1e-3, 0.3, 1)
    for n in (4, 2_047, 2_048, 2_049, 5_000):
        size = neural._measured_at_once(neural._nwj, n, course)
        assert size <= 2_048
        assert n - size * (n // size) < n // size + 1  # no more left over than there are parts


@both
def test_a_seed_sets_the_result_and_the_global_generator_is_left_alone(name):
    x, y = CASES["normal-0.75"].sample(300, generator(0))
    before = torch.get_rng_state()
    first, again, other = (BOUNDS[name][0](x, y, generator=generator(seed), **BRIEF) for seed in (3, 3, 4))
    assert first == again
    assert first.value != other.value
    assert BOUNDS[name][0](x, y, **BRIEF) == BOUNDS[name][0](x, y, generator=generator(0), **BRIEF)
    assert torch.equal(before, torch.get_rng_state())


@both
def test_rising_maps_change_nothing_at_all(name):
    """The cubes of one, the exponentials of the other: ranks are the same, and so is every digit."""
    x, y = CASES["normal-0.75"].sample(300, generator(0))
    plain, mapped = (
        BOUNDS[name][0](a, b, generator=generator(0), **BRIEF) for a, b in ((x, y), (x**3, y.exp()))
    )
    assert mapped == plain


def test_normal_scores_are_those_of_scipys_ranks():
    x = torch.randint(6, (30, 2), generator=generator(0)).double()  # with ties
    train = torch.arange(20)
    found = neural._scores(x, train)
    kept = x[:20].numpy()
    expected = stats.norm.ppf(stats.rankdata(kept, axis=0) / 21)
    np.testing.assert_allclose(found[:20], expected, rtol=1e-6)  # float32
    for row, scores_of_row in zip(x[20:].numpy(), found[20:].numpy(), strict=True):
        share = ((kept < row).sum(0) + (kept <= row).sum(0) + 1) / 42
        np.testing.assert_allclose(scores_of_row, stats.norm.ppf(share), rtol=1e-6, atol=1e-7)


@both
def test_a_constant_column_does_no_harm(name):
    x, y = CASES["normal-0.75"].sample(300, generator(0))
    found = BOUNDS[name][0](torch.cat([x, torch.ones_like(x)], 1), y, generator=generator(0), **QUICK)
    assert found.value > 2 * found.stderr
    nothing = BOUNDS[name][0](torch.ones_like(x), y, generator=generator(0), **BRIEF)
    assert nothing.value <= SIGMAS * nothing.stderr + ROUNDING


@both
def test_training_that_diverges_falls_back_to_the_best_critic(name):
    x, y = CASES["normal-0.75"].sample(300, generator(0))
    found = BOUNDS[name][0](x, y, lr=1e6, generator=generator(0), **QUICK)
    assert math.isfinite(found.value)
    assert found.value <= CASES["normal-0.75"].mi + SIGMAS * found.stderr


@both
def test_a_bound_that_is_not_finite_is_an_error_and_no_number(name, monkeypatch):
    x, y = CASES["normal-0.75"].sample(100, generator(0))
    monkeypatch.setattr(neural, "_measure", lambda *_: (math.nan, 0.1))
    with pytest.raises(RuntimeError, match="is nan on the test part; lower lr="):
        BOUNDS[name][0](x, y, **QUICK)


def test_training_stops_when_its_patience_is_used_up():
    x, y = CASES["independent"].sample(300, generator(0))
    found = infonce_mi(x, y, steps=5_000, patience=2, hidden=(64,), generator=generator(0))
    steps = int(found.method.split("best of ")[1].split()[0])
    assert steps < 1_000
    assert steps % neural.CHECK_EVERY == 0


X = torch.randn(40, 2, generator=generator(0))


@both
@pytest.mark.parametrize(
    ("change", "error", "rule"),
    [
        ({"x": X[:39]}, ValueError, "y: has 40 samples; must have 39, as many as x"),
        ({"y": X.where(X < 1, math.nan)}, ValueError, r"y: \d+ of its 80 entries are NaN or infinite"),
        ({"x": X.half()}, TypeError, "x: dtype is torch.float16"),
        ({"x": X[:12], "y": X[:12]}, ValueError, r"test_share=0.3: parts the 12 pairs into \(6, 2, 4\)"),
        ({"test_share": 1.0}, ValueError, r"test_share=1.0: parts the 40 pairs into \(0, 0, 40\)"),
        ({"test_share": 0.0}, ValueError, "test_share=0.0: must be finite and above 0"),
        ({"batch_size": 1}, ValueError, "batch_size=1: must be at least 2"),
        ({"hidden": (8, 0)}, ValueError, r"hidden\[1\]=0: must be at least 1"),
        ({"steps": 0}, ValueError, "steps=0: must be at least 1"),
        ({"lr": 0.0}, ValueError, "lr=0.0: must be finite and above 0"),
        ({"patience": 0}, ValueError, "patience=0: must be at least 1"),
        ({"generator": 3}, TypeError, r"generator=3: must be a torch\.Generator on the CPU"),
    ],
)
def test_bad_arguments_are_refused(name, change, error, rule):
    arguments = {"x": X, "y": X} | change
    with pytest.raises(error, match=rule):
        BOUNDS[name][0](arguments.pop("x"), arguments.pop("y"), **arguments)


def test_global_settings_do_not_matter():
    x, noise = torch.randn(2, 200, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    options = {"steps": 50, "batch_size": 32}
    expected = infonce_mi(x, x + noise, **options)
    with torch.no_grad():
        assert infonce_mi(x, x + noise, **options) == expected
    torch.set_default_dtype(torch.float64)
    try:
        assert infonce_mi(x, x + noise, **options) == expected
    finally:
        torch.set_default_dtype(torch.float32)


def test_hidden_must_be_a_tuple():
    x = torch.randn(200, 1, generator=torch.Generator().manual_seed(0))
    with pytest.raises(TypeError, match="hidden=128: must be a tuple of widths"):
        infonce_mi(x, x, hidden=128)
