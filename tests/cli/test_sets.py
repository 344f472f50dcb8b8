"""Data sets by name."""

import numpy as np
import pytest

from repkit.cli import sets


@pytest.mark.parametrize("name", sets.SETS)
def test_every_part_is_loaded(name, request):
    found = sets.SETS[name]
    if found.comes in (sets.NET, sets.HOME):
        request.getfixturevalue("data_home")
        pytest.skip("takes seconds") if name in ("mnist-m", "arabic", "fsdd", "amazon") else None
    parts = [f"{name}:{part}" for part in found.parts[1:2] if part]
    for given in [name, *parts]:
        assert sets.is_name(given)
        data = sets.load(given)
        n = data.X.shape[0] if hasattr(data.X, "shape") else len(data.X)
        assert n > 100
        assert data.labels
        assert all(len(np.asarray(label)) == n for label in data.labels.values())
        assert (data.sample_rate is not None) == found.speech


def test_parts_differ():
    source, target = sets.load("digits-shifted"), sets.load("digits-shifted:target")
    assert source.X.shape[1:] == target.X.shape[1:] == (8, 8)
    assert not sets.is_name("no")
