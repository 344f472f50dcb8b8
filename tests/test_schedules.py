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


@pytest.mark.parametrize(
    ("schedule", "values"),
    [
        (dann_ramp, (0, 0.9866142981514303, 0.9999092042625951)),
        (dann_decay, (1, 6**-0.75, 11**-0.75)),
        (warm_cosine, (0, 0.5 * (1 + math.cos(math.pi * 0.45 / 0.95)), 0)),
        (half_decay, (1, 1, 0.01)),
    ],
)
def test_the_ends_and_the_middle(schedule, values):
    assert [schedule(p) for p in (0, 0.5, 1)] == pytest.approx(values, abs=1e-12)


def test_warm_cosine_rises_then_falls():
    values = [warm_cosine(p / 100) for p in range(101)]
    assert values[5] == 1
    assert values[:6] == sorted(values[:6])
    assert values[5:] == sorted(values[5:], reverse=True)
    assert values[1] == pytest.approx(0.2)
    assert warm_cosine(0.1, warm=0.2) == pytest.approx(0.5)


def test_half_decay_is_constant_then_exponential():
    assert [half_decay(p / 10) for p in range(6)] == [1] * 6
    assert half_decay(0.75) == pytest.approx(0.1)
    assert half_decay(0.6) / half_decay(0.7) == pytest.approx(half_decay(0.8) / half_decay(0.9))
