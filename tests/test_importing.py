"""The collector rests while repkit is imported, and only then."""

import gc
import os
import subprocess
import sys

import pytest

from repkit._importing import uncollected

COUNTING = """
import gc, os, torch, sklearn.base
found = []
gc.callbacks.append(lambda phase, info: found.append(info["generation"]))
for name in ("DANN", "TripleGAN", "load"):
    if child := os.fork():
        os.waitpid(child, 0)
        continue
    exec(f"from repkit import {name}")
    print(name, len(found), gc.isenabled(), flush=True)
    os._exit(0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_no_collection_runs_during_an_import():
    out = subprocess.check_output([sys.executable, "-c", COUNTING], text=True)
    found = [line.split() for line in out.splitlines()]
    assert [name for name, *_ in found] == ["DANN", "TripleGAN", "load"]
    for _, passes, enabled in found:
        assert int(passes) <= 4  # one before the import, one after; some twenty otherwise
        assert enabled == "True"


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
