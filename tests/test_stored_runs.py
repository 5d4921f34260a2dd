"""A slice of every stored full run, computed again: some of its networks, from one seed, in their first steps.

Runs that keep only their networks' ends (``depth``) are made again to the end, for the network that is cheapest.
"""

import json
import math
from dataclasses import asdict, replace
from itertools import product
from unittest import mock

import pandas as pd
import pytest

from lrlib import data, experiments, runtime
from lrlib.experiments import (
    batch_size,
    depth,
    drivers,
    estimators,
    fashion_mnist,
    mnist,
    rank_information,
    students,
    teacher,
    vib,
)
from lrlib.information import CASES
from lrlib.store import StoreError

MODULES = {
    "teacher": teacher, "mnist": mnist, "fashion_mnist": fashion_mnist, "drivers": drivers, "depth": depth,
    "batch_size": batch_size, "estimators": estimators, "rank_information": rank_information,
    "vib": vib,
}  # fmt: skip
STEPS = 30  # of training that are made again
# Relative to a reading: tables keep 6 digits; float32 training in a stack of another size, or with another torch or
# processor, sums in another order. That rounds by 2^-24 at every sum, and 30 steps do not make it a thousandth.
FLOAT32 = 1e-3
DIGITS = 1e-5  # tables keep 6 digits of what was computed in float64
TRAINED = (
    "infonce",
    "nwj",
)  # in float32: on another processor they end elsewhere, but within their standard error
# Counts jump: so many probes may hold a singular value, or unit, within that rounding of its threshold.
TIES = 2
COUNTED = ("absolute", "relative", "data-scaled", "active")
IMAGES = 20  # of 10,000 or more, whose two largest outputs may be within rounding
# Inputs of 2,000 or more whose bins may change by that rounding, each moving an entropy by ln(n) / n or so
REBINNED = 20
KEYS = ["step", "layer", "reading", "eps"]


def stored(name):
    """The stored run; one of Fashion-MNIST is made where its files can be had, and skipped until then."""
    try:
        return experiments.load(name, "full")
    except StoreError as problem:
        if name == "fashion_mnist":
            pytest.skip(f"no full run of {name} is stored: {problem}")
        raise


def need_files(dataset):
    missing = [status.file for status in data.status(dataset) if status.problem is not None]
    if missing:
        pytest.skip(
            f"{dataset} is not here: {', '.join(missing)}; set LRLIB_DATA to a folder that holds {dataset}/"
        )


def shortened(module, loop):
    """Cut the training of a module's cells after :data:`STEPS`; checkpoints until then stay those of the full run."""
    train = getattr(module, loop)

    def short(*data, **course):
        early = tuple(step for step in course["checkpoints"] if step <= STEPS)
        assert len(early) >= 4
        return train(*data, **course | {"steps": STEPS, "checkpoints": early, "progress": False})

    return mock.patch.object(module, loop, short)


def tolerance(reading, probes):
    if reading in COUNTED:
        return TIES / probes
    if reading.startswith("binning"):
        return REBINNED * math.log(2_000) / 2_000
    return IMAGES / 10_000 if reading.endswith("accuracy") else 0.0


def assert_agree(found, kept, probes):
    """Two tables of one network hold the same readings: the same keys, and values but for rounding."""
    found, kept = (table.fillna({"eps": 0.0}).set_index(KEYS).sort_index() for table in (found, kept))
    assert list(found.index) == list(kept.index)
    for key, ours, theirs in zip(found.index, found["mean"], kept["mean"], strict=True):
        allowed = tolerance(key[2], probes)
        assert theirs == pytest.approx(ours, rel=FLOAT32, abs=allowed, nan_ok=True), key
    if "values" in found:
        for key, ours, theirs in zip(found.index, found["values"], kept["values"], strict=True):
            assert_lists_agree(key, ours, theirs)


def assert_lists_agree(key, ours, theirs):
    """Lists have three digits; what is small beside the largest of a list is rounding of that."""
    assert pd.isna(ours) == pd.isna(theirs), key
    if pd.isna(ours):
        return
    (places, values), (other_places, others) = (split(text) for text in (ours, theirs))
    assert places == other_places, key
    assert others == pytest.approx(values, rel=1e-2, abs=FLOAT32 * max(values)), key


def split(text):
    """The places and the numbers of a list."""
    parts = [item.rpartition(":") for item in str(text).split()]
    return [place for place, _, _ in parts], [float(value) for _, _, value in parts]


def described(config):
    """A configuration as JSON gives it back."""
    return json.loads(json.dumps(asdict(config)))


@pytest.mark.parametrize("name", experiments.NAMES)
def test_the_stored_full_run_is_the_one_the_book_describes(name):
    run, config = stored(name), MODULES[name].CONFIGS["full"]
    assert run.manifest["config"] == described(config)
    assert len(set(config.seeds)) >= (3 if name == "vib" else 5)  # each of vib's takes hours of one core
    if hasattr(config, "variants"):
        columns = ["factor", "level", "seed"]
        planned = {
            (v.factor, v.level, seed): v.student.steps for v, seed in product(config.variants, config.seeds)
        }
    elif name == "rank_information":
        columns = ["task", "variant", "seed"]
        planned = {
            (course.task, variant, seed): course.steps
            for course in config.courses
            for (variant, _), seed in product(course.variants, course.seeds)
        }
    elif name == "vib":
        columns = ["part", "code", "width", "n", "beta", "seed"]
        planned = {
            (part.name, part.code, part.hidden[0], part.n or 60_000, beta, seed)
            for part in config.parts
            for beta, seed in product(part.betas, part.seeds)
        }
    elif name == "estimators":
        columns = ["seed", "case", "n"]
        planned = product(config.seeds, config.cases, config.sizes)
    else:
        swept = {"depth": ["depths"], "batch_size": ["batch_sizes"]}.get(name, [])
        columns = ["seed", *[field.removesuffix("s") for field in swept], "weight_decay"]
        levels = [getattr(config, field) for field in ("seeds", *swept, "weight_decays")]
        planned = dict.fromkeys(product(*levels), config.steps)
    assert set(run.table[columns].itertuples(index=False, name=None)) == set(planned)
    if name == "estimators":
        keys = [*columns, "estimator"]
    elif "step" in run.table:
        assert run.table.groupby(columns).step.max().to_dict() == planned
        assert (run.table.groupby(columns).step.min() == 0).all()
        keys = [*columns, *KEYS, *(["noise"] if name == "rank_information" else [])]
    else:
        keys = [*columns, *KEYS[1:]]
    assert not run.table.duplicated(keys).any()


def last_levels(module):
    """The last level of every factor."""
    return {variant.factor: variant for variant in module.CONFIGS["full"].variants}.values()


@pytest.mark.parametrize(
    ("name", "variant"),
    [
        pytest.param(name, variant, id=f"{name}-{variant.factor}-{variant.level}")
        for name in ("teacher", "drivers")
        for variant in last_levels(MODULES[name])
    ],
)
def test_students_begin_again_as_they_are_stored(name, variant):
    table, config = stored(name).table, MODULES[name].CONFIGS["full"]
    seed = config.seeds[-1]
    with shortened(students, "fit_many"):
        found = students._cell(config, ((variant.student, seed),))

    def rows(of):
        return of[(of.factor == variant.factor) & (of.level == variant.level) & (of.seed == seed)]

    assert_agree(rows(found), rows(table[table.step <= STEPS]), config.probes)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_networks_that_learn_pictures_begin_again_as_they_are_stored(name):
    table, config = stored(name).table, MODULES[name].CONFIGS["full"]
    need_files(config.dataset)
    seed, decay = config.seeds[-1], config.weight_decays[-1]
    with shortened(mnist, "fit_many"):
        found = mnist._cell(replace(config, weight_decays=(decay,)), mnist.prepare(config), seed)
    rows = (table.seed == seed) & (table.weight_decay == decay) & (table.step <= STEPS)
    assert_agree(found, table[rows], config.probes)


@pytest.mark.parametrize("size", batch_size.CONFIGS["full"].batch_sizes)
def test_batch_sizes_begin_again_as_they_are_stored(size):
    table, config = stored("batch_size").table, batch_size.CONFIGS["full"]
    seed, decay = config.seeds[-1], config.weight_decays[-1]
    with shortened(batch_size, "train"):
        found = batch_size._cell(config, seed, size, decay)
    rows = (table.seed == seed) & (table.batch_size == size) & (table.weight_decay == decay)
    assert_agree(found, table[rows & (table.step <= STEPS)], config.probes)


@pytest.mark.parametrize("name", ["normal-0.75", "spiral-3x3", "channel-clusters"])
def test_estimates_come_out_again_as_they_are_stored(name):
    table, config = stored("estimators").table, estimators.CONFIGS["full"]
    seed, n = config.neural_seeds[-1], 1_000
    case = CASES[name]
    x, y = case.sample(max(config.sizes), runtime.generator(seed))
    found = dict(estimators._estimates(config, case, seed, x[:n], y[:n]))
    kept = table[(table.case == name) & (table.seed == seed) & (table.n == n)].set_index("estimator")
    assert list(found) == list(kept.index)
    for label, ours in found.items():
        row = kept.loc[label]
        allowed = ours.stderr if label in TRAINED else DIGITS
        assert row.value == pytest.approx(ours.value, rel=DIGITS, abs=allowed), label
        assert row.truth == pytest.approx(case.mi, rel=DIGITS)
        assert row.kind == ours.kind


@pytest.mark.parametrize(
    "course", rank_information.CONFIGS["full"].courses, ids=lambda c: f"{c.task}-{c.activation}"
)
def test_networks_with_their_information_begin_again_as_they_are_stored(course):
    table, config = stored("rank_information").table, rank_information.CONFIGS["full"]
    if course.task == "mnist":
        need_files("mnist")
    seed = course.seeds[-1]
    with shortened(rank_information, "fit_many"):
        found = rank_information._cell(config, course, (seed,))
    rows = (table.task == course.task) & (table.seed == seed) & (table.step <= STEPS)
    kept = table[rows & table.variant.isin([variant for variant, _ in course.variants])]
    if (
        course.activation == "relu" and course.task == "sphere"
    ):  # its bins reach to the largest activation of the whole run
        found, kept = (of[~of.reading.str.startswith("binning")] for of in (found, kept))
    for variant, _ in course.variants:
        parts = []
        for of in (found, kept):
            own = of[of.variant == variant]
            noise = own.noise.fillna("") + " "
            parts.append(own.assign(reading=(noise + own.reading).str.strip()))
        assert_agree(*parts, config.probes)


def test_the_shallowest_network_ends_again_as_it_is_stored():
    """With weight decay, which makes training forget its rounding, and all of its 30,000 steps: only ends are kept."""
    table, config = stored("depth").table, depth.CONFIGS["full"]
    layers, decay = min(config.depths), max(config.weight_decays)
    found = depth._cell(config, 0, layers, decay)
    rows = (table.seed == 0) & (table.depth == layers) & (table.weight_decay == decay)
    assert_agree(found.assign(step=0), table[rows].assign(step=0), config.probes)


def test_the_narrowest_bottlenecks_end_again_about_where_they_are_stored():
    """Adam's 3,600 steps grow rounding: on another processor they end elsewhere, as another order of batches would."""
    table, config = stored("vib").table, vib.CONFIGS["full"]
    need_files(config.dataset)
    part = min((p for p in config.parts if p.name == "width"), key=lambda p: p.hidden)
    seed, betas = part.seeds[-1], part.betas[vib.AT_ONCE :]
    found = vib._together(part, vib.prepare(config), seed, betas)
    own = table[(table.part == part.name) & (table.width == part.hidden[0]) & table.beta.isin(betas)]
    names = ["beta", "layer", "reading", "eps"]
    spread = own.fillna({"eps": 0}).groupby(names)["mean"].agg(["min", "max"])
    for key, value in found.fillna({"eps": 0}).groupby(names)["mean"].first().dropna().items():
        low, high = spread.loc[key]
        # three seeds' range holds a fourth half of the time; within four times it in any direction, nearly always
        margin = 3 * (high - low) + 0.02 * abs(high) + 0.05
        assert low - margin <= value <= high + margin, key
