"""Photographed digits of meters."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from repkit.datasets import METER_KINDS, DataNotFoundError, load_meter_digits
from repkit.datasets._sources import SOURCES, Source


def test_meters(real_data):
    every = load_meter_digits()
    assert every.data.shape == (6124, 3, 32, 32)
    assert every.data.dtype == np.uint8
    assert every.data.flags.c_contiguous
    assert every.target.dtype == np.int64
    assert np.bincount(every.target).tolist() == [
        721, 574, 776, 583, 519, 658, 590, 484, 679, 540
    ]  # fmt: skip
    # A wheel at 9.9 shows a 0 next, and none stands in the middle.
    np.testing.assert_array_equal(np.rint(every.tenths / 10) % 10, every.target)
    kinds = np.array(every.meter_kinds)[every.meter]
    seen = dict.fromkeys(kinds)
    assert tuple(sorted(seen)) == METER_KINDS
    for kind in METER_KINDS:
        part = load_meter_digits(kind)
        np.testing.assert_array_equal(part.data, every.data[kinds == kind])
        np.testing.assert_array_equal(part.target, every.target[kinds == kind])
        np.testing.assert_array_equal(part.meter, every.meter[kinds == kind])
    sizes = dict(zip(every.meter_names, np.bincount(every.meter), strict=True))
    assert sizes["Heliowatt"] == 214
    assert sizes["Techem"] == 618


def made(path):
    np.savez(
        path,
        x=np.arange(3 * 32 * 32 * 3).reshape(3, 32, 32, 3).astype(np.uint8),
        y=np.array([4, 0, 1], np.uint8),
        tenths=np.array([41, 99, 10], np.uint8),
        meter=np.array([0, 1, 1], np.uint8),
        meter_kind=np.array([1, 0], np.uint8),
        meter_names=np.array(["Metrona", "GMT"]),
        kinds=np.array(METER_KINDS),
    )
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_meters_of_a_made_file(folders, monkeypatch):
    root, _ = folders
    (root / "meter_digits").mkdir()
    place = "meter_digits/meter_digits.npz"
    source = Source(place, (f"sha256:{made(root / place)}",))
    monkeypatch.setitem(SOURCES, "meter_digits", (source,))
    data = load_meter_digits("gasmeter")
    assert data.target.tolist() == [0, 1]
    assert data.tenths.tolist() == [99, 10]
    assert [data.meter_names[m] for m in data.meter] == ["GMT", "GMT"]
    assert data.meter_kinds == ("lcd", "gasmeter")
    # Channels come first.
    assert data.data[0, :, 0, 1].tolist() == [3, 4, 5]
    assert load_meter_digits("watermeter").data.shape == (0, 3, 32, 32)


def test_meters_that_are_not_there(folders):
    with pytest.raises(DataNotFoundError, match=r"(?s)published nowhere.*haverland.*375af0bb"):
        load_meter_digits()


@pytest.mark.parametrize("kind", ["water", 1])
def test_kinds(kind):
    with pytest.raises(ValueError, match=r"kind must be one of \[None, 'gasmeter', .*\], not"):
        load_meter_digits(kind)
