import os
from collections.abc import Iterator
from pathlib import Path

os.environ["MPLBACKEND"] = "Agg"

import pytest
import torch

from repkit.base import precision
from repkit.engine.rng import isolated_rng

# Small networks: threads cost more than they give, above all on a loaded machine.
torch.set_num_threads(1)


@pytest.fixture(scope="module", autouse=True)
def threads_stay() -> Iterator[None]:
    """Whoever leaves more than one thread behind slows all tests that come after."""
    yield
    found = torch.get_num_threads()
    torch.set_num_threads(1)
    assert found == 1, f"a test has left {found} threads"


@pytest.fixture(scope="session", autouse=True)
def no_steps_are_timed() -> Iterator[None]:
    """On every machine ``precision="auto"`` is the same, but where it is what is tested."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(precision, "_has_instructions", lambda: False)
        yield


@pytest.fixture
def data_home() -> Path:
    """The folder with the real data sets; tests that need one are skipped without it."""
    given = os.environ.get("REPKIT_DATA")
    if not given:
        pytest.skip("needs real data: set REPKIT_DATA to the folder that holds the data sets")
    if not Path(given).is_dir():
        pytest.skip(f"needs real data: REPKIT_DATA={given!r} is not a folder")
    return Path(given)


@pytest.fixture
def seeded() -> Iterator[None]:
    """Random numbers as from a new seed; the generators of other tests are left alone."""
    with isolated_rng(torch.device("cpu")):
        torch.manual_seed(0)
        yield
