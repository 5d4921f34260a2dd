"""lrlib.information.Estimate: what it refuses, when it is saturated, how it prints."""

import dataclasses
import math

import pytest

from lrlib.information import SATURATED, Estimate


def test_a_number_that_knows_its_error():
    found = Estimate(0.5, 0.1, "estimate", "KSG 1, k = 3", n=100)
    assert float(found) == 0.5
    assert str(found) == "0.500 ± 0.100 nats (estimate)"
    assert not found.saturated
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.value = 1.0


def test_print_without_a_standard_error():
    assert str(Estimate(0.5, None, "lower bound", "NWJ", n=100)) == "0.500 nats (lower bound)"


@pytest.mark.parametrize(
    ("value", "cap", "saturated"),
    [
        (math.log(100), math.log(100), True),
        ((1 - SATURATED) * 2, 2.0, True),
        ((1 - SATURATED) * 2 - 1e-9, 2.0, False),
        (3.0, 2.0, True),  # a noisy lower bound may be above its cap
        (0.0, 0.0, True),  # a method that can say nothing but 0
        (1e9, None, False),
    ],
)
def test_saturated_within_five_per_cent_of_the_cap(value, cap, saturated):
    found = Estimate(value, None, "estimate", "made up", n=100, cap=cap)
    assert found.saturated is saturated
    assert ("saturated" in str(found)) is saturated


@pytest.mark.parametrize("name", ["value", "stderr", "cap"])
@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_a_failure_never_looks_like_a_number(name, wrong):
    given = {"value": 0.5, "stderr": 0.1, "cap": 1.0, name: wrong}
    with pytest.raises(ValueError, match=f"{name}={wrong}: must be finite"):
        Estimate(kind="estimate", method="made up", n=10, **given)


def test_other_refusals():
    with pytest.raises(ValueError, match=r"stderr=-0\.1: must be at least 0"):
        Estimate(0.5, -0.1, "estimate", "made up", n=10)
    with pytest.raises(ValueError, match="kind='guess': must be one of"):
        Estimate(0.5, 0.1, "guess", "made up", n=10)
    with pytest.raises(ValueError, match="n=0: must be at least 1"):
        Estimate(0.5, 0.1, "estimate", "made up", n=0)
