"""Datasets of Ray, on clusters of one CPU and of two."""

from contextlib import contextmanager

import numpy as np
import pytest

from repkit.distributed import transform

from .conftest import COLUMNS

ray = pytest.importorskip("ray")
pytest.importorskip("ray.data")
# Ray's own, of which none is about what is tested.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.cluster]


@contextmanager
def cluster(cpus):
    quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
    with pytest.MonkeyPatch.context() as patch:
        # Ray's own niceness, 15, starves workers beside other tests: importing can take minutes.
        patch.setenv("RAY_worker_niceness", "0")
        ray.init(num_cpus=cpus, **quiet)
        try:
            ray.data.DataContext.get_current().enable_progress_bars = False
            yield
        finally:
            ray.shutdown()


def test_a_file_and_more_workers_than_cpus(table, model, tmp_path):
    """They leave some to the tasks that read."""
    model.save(tmp_path / "vae.safetensors")
    with cluster(1):
        data = ray.data.from_pandas(table).repartition(7)
        found = transform(data, tmp_path / "vae.safetensors", batch_size=32, workers=2).to_pandas()
    assert list(found) == ["id", "vae0", "vae1"]
    assert found["id"].tolist() == list(range(300))
    expected = model.transform(table[COLUMNS])
    assert np.allclose(found[["vae0", "vae1"]], expected, atol=1e-6)


def test_unusable_rows_and_killed_workers(table, model, mortal):
    """The first worker that comes to a batch is killed there; its work is done by another."""
    expected = model.transform(table[COLUMNS])
    expected[[5, 250]] = np.nan
    table = table.copy()
    table.loc[[5, 250], "x2"] = np.nan
    killer, mark = mortal
    with cluster(2):
        data = ray.data.from_pandas(table).repartition(4)
        with pytest.raises(ValueError, match=r"columns must be among those of .*, not 'path'"):
            transform(data, model, columns="path")  # before any work
        found = transform(data, killer, on_error="skip", batch_size=50, workers=2).to_pandas()
    assert mark.exists()
    assert found["id"].tolist() == list(range(300))
    # A column of Arrow holds NaN, which is not missing to pandas.
    values = found[["mortal0", "mortal1"]].to_numpy("float32")
    assert np.allclose(values, expected, atol=1e-6, equal_nan=True)
    assert np.flatnonzero(found["error"].notna()).tolist() == [5, 250]
