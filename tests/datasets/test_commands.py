"""Arabic Speech Commands."""

from __future__ import annotations

import numpy as np
import pytest

from repkit.datasets import DataNotFoundError, load_arabic_commands

SPEAKERS = {"validation": {1, 6, 7, 11, 20, 24}, "test": {2, 3, 9, 13, 25, 27}}


def test_arabic_commands(real_data):
    seen = set()
    for subset, speakers in SPEAKERS.items():
        data = load_arabic_commands(subset)
        assert set(data.speaker) == speakers
        assert len(data.data) == 480
        seen |= speakers
    data = load_arabic_commands("train")
    assert set(data.speaker) == set(range(30)) - seen
    assert np.bincount(data.word).tolist() == [36] * 40
    assert data.sample_rate == 16000
    assert len(data.word_names) == 40
    assert all(x.dtype == np.float32 and np.abs(x).max() <= 1 for x in data.data)
    seconds = np.array([len(x) for x in data.data]) / 16000
    assert 0.2 < seconds.min() < seconds.max() <= 1.0


def test_unknown_parts_and_missing_files(folders):
    with pytest.raises(ValueError, match="subset must be 'all' or one of train, validation, test"):
        load_arabic_commands("dev")
    with pytest.raises(DataNotFoundError, match=r"Ghandoura et al\. 2021"):
        load_arabic_commands()
