"""Datasets of Ray, on a cluster of two workers of its own."""

import os
import signal

import numpy as np
import pandas as pd
import pytest

import repkit
from repkit.distributed import transform

ray = pytest.importorskip("ray")
pytest.importorskip("ray.data")
# Ray's own, of which none is about what is tested.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.cluster]

COLUMNS = [f"x{k}" for k in range(5)]


@pytest.fixture(scope="module")
def cluster():
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def table():
    values = np.random.default_rng(0).random((300, 5), dtype=np.float32)
    return pd.DataFrame(values, columns=COLUMNS).assign(id=np.arange(300))


@pytest.fixture(scope="module")
def model(table):
    return repkit.VAE(
        latent_dim=2, max_epochs=1, steps_per_epoch=1, width=8, device="cpu", random_state=0
    ).fit(table[COLUMNS])


@pytest.mark.usefixtures("cluster")
def test_rows_of_a_table_in_their_order(table, model, tmp_path):
    model.save(tmp_path / "vae.safetensors")
    data = ray.data.from_pandas(table).repartition(7)
    found = transform(data, tmp_path / "vae.safetensors", batch_size=32, workers=2).to_pandas()
    assert list(found) == ["id", "vae0", "vae1"]
    assert found["id"].tolist() == list(range(300))
    expected = model.transform(table[COLUMNS])
    assert np.allclose(found[["vae0", "vae1"]], expected, atol=1e-6)


@pytest.mark.usefixtures("cluster")
def test_unusable_rows_and_killed_workers(table, model, tmp_path, monkeypatch):
    """The first worker that comes to a batch is killed there; its work is done by another."""
    table = table.copy()
    table.loc[[5, 250], "x2"] = np.nan
    mark = tmp_path / "killed"

    class Mortal(type(model)):
        def transform(self, X):
            if not mark.exists():
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return super().transform(X)

    mortal = Mortal(**model.get_params(deep=False))
    mortal.__dict__.update(model.__dict__)
    data = ray.data.from_pandas(table).repartition(4)
    found = transform(data, mortal, on_error="skip", batch_size=50, workers=2).to_pandas()
    assert mark.exists()
    assert found["id"].tolist() == list(range(300))
    assert np.flatnonzero(found["mortal0"].isna()).tolist() == [5, 250]
    assert np.flatnonzero(found["error"].notna()).tolist() == [5, 250]


@pytest.mark.usefixtures("cluster")
def test_a_missing_column_is_named_before_any_work(table, model):
    data = ray.data.from_pandas(table)
    with pytest.raises(ValueError, match=r"columns must be among those of data, .*, not 'path'"):
        transform(data, model, columns="path")
