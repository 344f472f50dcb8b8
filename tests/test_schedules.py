"""Schedules against their formulas, at the ends and in between."""

import math

import pytest

from repkit.schedules import (
    LAMBDAS,
    RATES,
    constant,
    dann_decay,
    dann_ramp,
    early_rise,
    half_decay,
    rise,
    warm_cosine,
)

TABLE = [
    (constant, {0.0: 1, 0.3: 1, 1.0: 1}),
    (dann_ramp, {0.0: 0, 0.1: 2 / (1 + math.exp(-1)) - 1, 1.0: 0.99990920}),
    (dann_decay, {0.0: 1, 0.5: 6**-0.75, 1.0: 11**-0.75}),
    (warm_cosine, {0.0: 0, 0.025: 0.5, 0.05: 1, 0.525: 0.5, 1.0: 0}),
    (half_decay, {0.0: 1, 0.5: 1, 0.75: 0.1, 1.0: 0.01}),
    (rise(0.0), {0.0: 1, 1.0: 1}),
    (rise(0.2), {0.0: 0, 0.2: 0, 0.3: 0.5, 0.4: 1, 1.0: 1}),
]


@pytest.mark.parametrize(("schedule", "values"), TABLE)
def test_values(schedule, values):
    assert {p: schedule(p) for p in values} == pytest.approx(values, abs=1e-8)


@pytest.mark.parametrize("schedule", [dann_ramp, early_rise, rise(0.1), rise(0.5)])
def test_weights_grow_from_0_to_1(schedule):
    values = [schedule(k / 100) for k in range(101)]
    assert values == sorted(values)
    assert values[0] == 0
    assert values[-1] == pytest.approx(1, abs=1e-3)


def test_the_warm_up_may_have_another_length():
    assert warm_cosine(0.0, warm=0.0) == 1
    assert warm_cosine(0.1, warm=0.2) == pytest.approx(0.5)


def test_names():
    assert set(RATES) == {"constant", "half", "dann", "cosine"}
    assert {"ramp": dann_ramp} == LAMBDAS
