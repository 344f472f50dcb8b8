"""PACS features, drifting gas sensors, digits of meters."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from repkit.datasets import (
    GAS_BATCHES,
    METER_KINDS,
    PACS_DOMAINS,
    DataNotFoundError,
    load_gas_drift,
    load_meter_digits,
    load_pacs_deep,
)

PACS = dict(zip(PACS_DOMAINS, (2048, 2344, 1670, 3929), strict=True))
GAS = {
    1: [90, 98, 83, 30, 70, 74],
    2: [164, 334, 100, 109, 532, 5],
    3: [365, 490, 216, 240, 275, 0],
    4: [64, 43, 12, 30, 12, 0],
    5: [28, 40, 20, 46, 63, 0],
    6: [514, 574, 110, 29, 606, 467],
    8: [30, 30, 40, 33, 143, 18],
    9: [61, 55, 100, 75, 78, 101],
}
METERS = {"gasmeter": 716, "lcd": 470, "powermeter": 3781, "watermeter": 1157}


@pytest.mark.parametrize("domain", PACS_DOMAINS)
def test_pacs(real_data, domain):
    data = load_pacs_deep(domain)
    assert data.data.shape == (PACS[domain], 1280)
    assert data.data.dtype == np.float32
    assert data.data.min() == 0
    assert data.target.dtype == np.int64
    assert len(np.unique(data.target)) == 7
    assert data.target_names[0::6] == ("dog", "person")


@pytest.mark.parametrize("batch", GAS_BATCHES)
def test_gas(real_data, batch):
    data = load_gas_drift(batch)
    assert data.data.shape == (sum(GAS[batch]), 128)
    assert data.data.dtype == data.concentration.dtype == np.float32
    assert np.bincount(data.target, minlength=6).tolist() == GAS[batch]
    assert data.concentration.min() > 0
    assert len(data.target_names) == 6


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_gas_rows_go_with_labels(real_data):
    source, target = load_gas_drift(1), load_gas_drift(2)
    mean, scale = source.data.mean(0), source.data.std(0)
    model = LogisticRegression(max_iter=100).fit((source.data - mean) / scale, source.target)
    found = model.score((target.data - mean) / scale, target.target)
    assert found == pytest.approx(0.826, abs=0.03)


@pytest.mark.parametrize("kind", METER_KINDS)
def test_meters(real_data, kind):
    data = load_meter_digits(kind)
    assert data.data.shape == (METERS[kind], 3, 32, 32)
    assert data.data.dtype == np.uint8
    assert data.data.flags.c_contiguous
    assert data.target.min() >= 0
    assert data.target.max() == 9
    assert set(data.kind) == {METER_KINDS.index(kind)}
    assert len(data.meter_names) == 12


def test_all_meters(real_data):
    data = load_meter_digits()
    assert len(data.data) == sum(METERS.values())
    assert np.bincount(data.target).tolist() == [721, 574, 776, 583, 519, 658, 590, 484, 679, 540]


@pytest.mark.parametrize(
    ("load", "wrong", "words"),
    [
        (load_pacs_deep, "art", "domain must be one of art_painting, cartoon, photo, sketch, not"),
        (load_gas_drift, 7, r"batch must be one of \(1, 2, 3, 4, 5, 6, 8, 9\), not 7"),
        (load_meter_digits, "clock", "kind must be 'all' or one of gasmeter, lcd, powermeter"),
    ],
)
def test_unknown_parts(load, wrong, words):
    with pytest.raises(ValueError, match=words):
        load(wrong)


@pytest.mark.parametrize(
    ("load", "words"),
    [
        (lambda: load_pacs_deep("photo"), "EfficientNet-Lite2"),
        (lambda: load_gas_drift(1), "UCI data set 270"),
        (load_meter_digits, "haverland"),
    ],
)
def test_missing_files_say_where_they_are_from(folders, load, words):
    with pytest.raises(DataNotFoundError, match=words):
        load()
