"""The variants of ``teacher`` and ``drivers``: one factor is changed and the rest is the base, until the clock's end."""

from collections import Counter
from dataclasses import asdict

import pytest

from lrlib.experiments import drivers, teacher

# Fields in which the levels of a factor may differ from the base, besides `steps`; what else is the same for all its levels.
FREE = {"weight_decay": 0.0}
DRIVERS = {
    "weight decay": ({"weight_decay"}, {}),
    "learning rate": ({"lr"}, {}),
    "learning rate, no decay": ({"lr"}, FREE),
    "time, no decay": (set(), FREE),
    "batch size": ({"batch_size"}, {}),
    "batch size, no decay": ({"batch_size"}, FREE),
    "initial scale": ({"init", "lr"}, {}),  # from the lazy start the base's rate diverges
    "initial scale, no decay": ({"init", "lr"}, FREE),
    "depth": ({"hidden"}, {}),
    "width": ({"hidden"}, {}),
    "activation": ({"activation"}, {}),
    "optimiser": ({"optimiser", "momentum", "decoupled", "lr", "weight_decay"}, {}),
    "label noise": ({"noise"}, {}),
    "label noise, no decay": ({"noise"}, FREE),
    "data size": ({"n"}, {}),
    "data size, no decay": ({"n"}, FREE),
    "cross-entropy, weight decay": ({"weight_decay"}, {"task": "classification"}),
    "learning rate x weight decay": ({"lr", "weight_decay"}, {}),
}
CLASSES = {"task": "classification"}
TEACHER = {
    "teacher rank": ({"teacher_rank"}, {}),
    "depth": ({"hidden"}, {}),
    "noise": ({"noise"}, {}),
    "input spread": ({"spread"}, {}),
    "classification, teacher rank": ({"teacher_rank"}, CLASSES),
    "weight decay": ({"weight_decay"}, {}),
    "classification, weight decay": ({"weight_decay"}, CLASSES),
}
VARIANTS = [
    pytest.param(variant, base, *factors[variant.factor], id=f"{name}-{preset}-{variant.factor}-{variant.level}")
    for name, module, base, factors in (("drivers", drivers, drivers.BASE, DRIVERS), ("teacher", teacher, teacher.LONG, TEACHER))
    for preset, config in module.CONFIGS.items()
    for variant in config.variants
]  # fmt: skip


@pytest.mark.parametrize(("variant", "base", "varied", "fixed"), VARIANTS)
def test_a_variant_is_the_base_but_for_its_factor(variant, base, varied, fixed):
    found, usual = asdict(variant.student), asdict(base)
    may_differ = varied | set(fixed) | ({"steps"} if base is drivers.BASE else set())
    assert {name for name in found if found[name] != usual[name]} <= may_differ
    assert {name: found[name] for name in fixed} == fixed


def read(level):
    """What a level says of its student, field by field, where it is a plain number or name."""
    return float(level) if level.replace(".", "").replace("e-", "").isdigit() else level


@pytest.mark.parametrize(("variant", "base", "varied", "fixed"), VARIANTS)
def test_a_level_says_what_it_is(variant, base, varied, fixed):
    student, level = variant.student, variant.level
    if variant.factor == "depth":
        assert student.hidden == (100,) * (int(level) - 1)
    elif variant.factor == "width":
        assert student.hidden == (int(level),) * 2
    elif variant.factor.startswith("time"):
        assert student.steps == int(level)
    elif variant.factor.startswith("initial scale"):
        assert student.init == level
        assert student.lr == (0.02 if level == "lazy" else 0.1)
    elif variant.factor == "learning rate x weight decay":
        assert [student.lr, student.weight_decay] == [float(part) for part in level.split(" x ")]
    elif variant.factor != "optimiser":
        (field,) = varied
        assert getattr(student, field) == read(level)


OPTIMISERS = {  # kind, momentum, decoupled
    "SGD": ("sgd", 0.0, False),
    "momentum 0.5": ("sgd", 0.5, False),
    "momentum 0.9": ("sgd", 0.9, False),
    "momentum 0.9, decoupled": ("sgd", 0.9, True),
    "AdamW": ("adam", 0.0, True),
    "AdamW, slower": ("adam", 0.0, True),
    "Adam, coupled": ("adam", 0.0, False),
}


def test_optimisers_are_what_their_levels_say():
    found = {
        v.level: (v.student.optimiser, v.student.momentum, v.student.decoupled)
        for v in drivers.VARIANTS
        if v.factor == "optimiser"
    }
    assert found == OPTIMISERS


@pytest.mark.parametrize("module", [teacher, drivers])
@pytest.mark.parametrize("preset", ["quick", "full"])
def test_no_level_of_a_factor_stands_there_twice(module, preset):
    variants = module.CONFIGS[preset].variants
    assert max(Counter((v.factor, v.level) for v in variants).values()) == 1
    # nor the same student under two levels of a factor
    assert max(Counter((v.factor, v.student) for v in variants).values()) == 1


def test_every_factor_has_levels_to_compare_and_every_one_is_tested():
    for module, factors in ((drivers, DRIVERS), (teacher, TEACHER)):
        levels = Counter(v.factor for v in module.CONFIGS["full"].variants)
        assert set(levels) == set(factors)
        assert min(count for factor, count in levels.items() if not factor.startswith("time")) >= 3


@pytest.mark.parametrize("preset", ["quick", "full"])
def test_drivers_run_until_the_clock_shows_4_or_for_40000_steps(preset):
    for variant in drivers.CONFIGS[preset].variants:
        student = variant.student
        # heavy-ball momentum lengthens a step, and with it coupled decay, by 1 / (1 - momentum)
        speed = 1 if student.decoupled else 1 / (1 - student.momentum)
        tick = speed * student.lr * student.weight_decay  # of the clock, a step
        if student.weight_decay == 0:
            assert student.steps == (80_000 if variant.factor == "time, no decay" else 20_000)
        elif variant.level == "Adam, coupled":  # its decay has no such clock
            assert student.steps == drivers.BASE.steps
        elif student.steps == 40_000:
            assert tick * 40_000 <= 4 * (1 + 1e-12)  # the clock of the slowest just reaches 4, in float64
        else:
            assert student.steps < 40_000
            assert abs(tick * student.steps - 4) <= tick / 2  # a whole number of steps


def test_teacher_runs_until_the_clock_shows_15_with_the_base_s_decay():
    assert teacher.LONG.lr * teacher.LONG.weight_decay * teacher.LONG.steps == pytest.approx(15)
    assert {v.student.steps for config in teacher.CONFIGS.values() for v in config.variants} == {10_000}


def test_the_full_teacher_run_is_the_study_that_was_planned():
    full = teacher.CONFIGS["full"]
    levels = {factor: [v.level for v in full.variants if v.factor == factor] for factor in TEACHER}
    assert len(set(full.seeds)) >= 10
    assert levels["teacher rank"] == [str(rank) for rank in range(1, 9)]
    assert levels["depth"] == ["2", "3", "4", "5", "6"]
    assert "1" in levels["input spread"]
    assert all("0" in levels[factor] for factor in ("noise", "weight decay", "classification, weight decay"))


@pytest.mark.parametrize("module", [teacher, drivers])
def test_a_quick_run_is_a_part_of_the_full_one(module):
    quick, full = module.CONFIGS["quick"], module.CONFIGS["full"]
    assert {v.student for v in quick.variants} <= {v.student for v in full.variants}
    assert set(quick.seeds) < set(full.seeds)
    assert len(quick.variants) >= 3
    for reading in ("absolute", "relative", "scaled"):
        assert set(getattr(quick, reading)) <= set(getattr(full, reading))


def test_the_full_drivers_run_has_at_least_five_seeds():
    assert len(set(drivers.CONFIGS["full"].seeds)) >= 5
