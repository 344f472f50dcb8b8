"""The collector rests while repkit is imported, and only then."""

import gc
import subprocess
import sys

import pytest

from repkit._importing import uncollected

COUNTING = """
import gc, json, torch, sklearn.base
found = []
gc.callbacks.append(lambda phase, info: found.append(info["generation"]))
from repkit import {name}
print(len(found), gc.isenabled())
"""


@pytest.mark.parametrize("name", ["DANN", "TripleGAN", "load"])
def test_no_collection_runs_during_an_import(name):
    code = COUNTING.format(name=name)
    out = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert int(out[0]) <= 4  # one pass before the import, one after; some twenty otherwise
    assert out[1] == "True"


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_left_as_it_was(enabled):
    before = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        with uncollected():
            assert not gc.isenabled()
        assert gc.isenabled() == enabled
        with pytest.raises(ValueError, match="an error"), uncollected():
            raise ValueError("an error")
        assert gc.isenabled() == enabled
    finally:
        (gc.enable if before else gc.disable)()
