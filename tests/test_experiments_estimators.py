"""The experiment on estimators: which of them apply, its table, and every value of it from the estimators themselves."""

from dataclasses import replace

import pytest

from lrlib import information, runtime
from lrlib.experiments import estimators
from lrlib.information import CASES

TINY = replace(
    estimators.CONFIGS["quick"],
    cases=("student-3-2x2", "channel-clusters"), seeds=(0, 3), sizes=(50, 200),
    neural_cases=("channel-clusters",), neural_seeds=(3,), neural_sizes=(200,), neural_steps=10, bins=5, neighbours=2,
)  # fmt: skip
ANY = ["gaussian fit", "ksg 1", "ksg 2", "binning width", "binning mass"]
KNOW_THE_NOISE = ["kde lower", "kde upper", "logdet"]
TRAINED = ["infonce", "nwj"]


@pytest.fixture(scope="module")
def tables():
    return {name: cell() for name, cell in estimators.cells(TINY)}


def test_there_is_a_cell_for_every_case_and_seed(tables):
    assert list(tables) == [f"{case}-seed{seed}" for case in TINY.cases for seed in TINY.seeds]


def test_the_table_is_tidy_and_complete(tables):
    for case in TINY.cases:
        for seed in TINY.seeds:
            table = tables[f"{case}-seed{seed}"]
            assert list(table.columns) == [
                "seed", "case", "n", "estimator", "value", "stderr", "kind", "cap", "saturated", "truth",
            ]  # fmt: skip
            assert set(table.seed) == {seed}
            assert set(table.case) == {case}
            assert set(table.truth) == {CASES[case].mi}
            assert set(table.saturated) <= {0, 1}
            assert table.value.notna().all()


def test_rows_are_those_of_the_estimators_that_apply(tables):
    for case, noise in (("student-3-2x2", []), ("channel-clusters", KNOW_THE_NOISE)):
        for seed in TINY.seeds:
            for n in TINY.sizes:
                table = tables[f"{case}-seed{seed}"]
                trained = TRAINED if (case, seed, n) == ("channel-clusters", 3, 200) else []
                assert list(table[table.n == n].estimator) == ANY + noise + trained


def test_values_are_those_of_the_estimators(tables):
    """On the first n pairs of one sample."""
    x, y = CASES["channel-clusters"].sample(200, runtime.generator(3))
    table = tables["channel-clusters-seed3"]
    for n in TINY.sizes:
        a, b, noise = x[:n], y[:n], CASES["channel-clusters"].noise_var
        lower, upper = information.kde_mi(a, noise)
        expected = {
            "gaussian fit": information.gaussian_fit_mi(a, b),
            "ksg 1": information.ksg_mi(a, b, 2),
            "ksg 2": information.ksg_mi(a, b, 2, variant=2),
            "binning width": information.binned_mi(a, 5, y=b),
            "binning mass": information.binned_mi(a, 5, y=b, spacing="mass"),
            "kde lower": lower,
            "kde upper": upper,
            "logdet": information.logdet_mi(a, noise),
        }
        if n == 200:
            g = runtime.generator
            expected["infonce"] = information.infonce_mi(a, b, steps=10, generator=g(1_003))
            expected["nwj"] = information.nwj_mi(a, b, steps=10, generator=g(1_003))
        rows = table[table.n == n].set_index("estimator")
        for name, found in expected.items():
            row = rows.loc[name]
            assert (row.value, row.kind) == (found.value, found.kind)
            assert row.stderr == pytest.approx(found.stderr, nan_ok=True)
            assert bool(row.saturated) == found.saturated
            assert row.cap == pytest.approx(found.cap) if found.cap is not None else row.cap != row.cap


def test_both_presets_cover_every_case_and_some_trained_bounds():
    for config in estimators.CONFIGS.values():
        assert config.cases == tuple(CASES)
        assert set(config.neural_cases) <= set(config.cases)
        assert set(config.neural_seeds) <= set(config.seeds)
        assert set(config.neural_sizes) <= set(config.sizes)
    full = estimators.CONFIGS["full"]
    assert len(full.seeds) >= 10
    assert full.sizes == (100, 316, 1_000, 3_162, 10_000)
