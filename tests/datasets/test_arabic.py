"""Arabic speech commands."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from repkit.datasets import DataNotFoundError, load_arabic_commands
from repkit.datasets._sources import SOURCES, Source


def test_arabic_commands(real_data):
    every = load_arabic_commands()
    assert len(every.data) == 2400
    assert sum(map(len, every.data)) == 26138880
    assert every.data[0].dtype == np.float32
    assert 0.1 < max(abs(x).max() for x in every.data) <= 1
    assert len(every.words) == 40
    assert every.words[::39] == ("backward", "zoom out")
    pairs = np.stack([every.speaker, every.word])
    assert (np.unique(pairs, axis=1, return_counts=True)[1] == 2).all()
    assert (np.diff(every.speaker * 40 + every.word) >= 0).all()
    speakers = {}
    for subset, size in (("train", 1440), ("validation", 480), ("test", 480)):
        part = load_arabic_commands(subset)
        assert len(part.data) == len(part.word) == len(part.speaker) == len(part.take) == size
        speakers[subset] = set(part.speaker.tolist())
        k = int(np.flatnonzero(every.speaker == part.speaker[0])[0])
        np.testing.assert_array_equal(part.data[0], every.data[k])
    assert speakers["validation"] == {1, 6, 7, 11, 20, 24}
    assert speakers["test"] == {2, 3, 9, 13, 25, 27}
    assert len(speakers["train"] - speakers["validation"] - speakers["test"]) == 18


def test_arabic_commands_of_a_made_file(folders, monkeypatch):
    root, _ = folders
    place = "arabic_commands/arabic_commands.npz"
    (root / place).parent.mkdir()
    np.savez(
        root / place,
        samples=np.arange(-3, 6, dtype=np.int16) * 2**12,
        offsets=np.array([0, 2, 5, 9]),
        word=np.array([0, 1, 1], np.uint8),
        speaker=np.array([0, 1, 2], np.uint8),
        take=np.array([1, 10, 3], np.uint8),
        split=np.array([0, 2, 1], np.uint8),
        words=np.array(["close", "yes"]),
    )
    sha256 = hashlib.sha256((root / place).read_bytes()).hexdigest()
    monkeypatch.setitem(SOURCES, "arabic_commands", (Source(place, (f"sha256:{sha256}",)),))
    data = load_arabic_commands("test")
    assert [x.tolist() for x in data.data] == [[-0.125, 0.0, 0.125]]
    assert [data.words[w] for w in data.word] == ["yes"]
    assert (data.speaker.tolist(), data.take.tolist()) == ([1], [10])
    assert [len(x) for x in load_arabic_commands().data] == [2, 3, 4]


def test_arabic_commands_that_are_not_there(folders):
    with pytest.raises(DataNotFoundError, match=r"(?s)published nowhere.*CC BY 4\.0.*c9148943"):
        load_arabic_commands()


def test_subset():
    with pytest.raises(
        ValueError, match=r"subset must be one of \['all', 'train', .*\], not 'valid'"
    ):
        load_arabic_commands("valid")
