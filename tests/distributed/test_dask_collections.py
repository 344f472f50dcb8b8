"""Collections of Dask, on a cluster of two workers of its own."""

import numpy as np
import pytest

import repkit
from repkit.distributed import transform

from .conftest import COLUMNS, SMALL

pytest.importorskip("distributed")
pytest.importorskip("dask.dataframe")
import dask.array
import dask.dataframe
from distributed import Client, LocalCluster

# Dask's own, of which none is about what is tested.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.cluster]


@pytest.fixture(scope="module")
def cluster():
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        yield client


def test_rows_of_a_table_in_their_order(cluster, table, model, tmp_path):
    model.save(tmp_path / "vae.safetensors")
    data = dask.dataframe.from_pandas(table, npartitions=5)
    promised = transform(data, tmp_path / "vae.safetensors")
    assert list(promised.columns) == ["id", "vae0", "vae1"]
    found = promised.compute()
    assert (found.dtypes == promised.dtypes).all()
    assert found["id"].tolist() == list(range(300))
    assert found.index.tolist() == list(range(300))
    expected = model.transform(table[COLUMNS])
    assert np.allclose(found[["vae0", "vae1"]], expected, atol=1e-6)


def test_unusable_rows_and_killed_workers(cluster, table, mortal):
    """The first worker that comes to a partition is killed there; another does its work."""
    table = table.copy()
    table.loc[[5, 250], "x2"] = np.nan
    model, mark = mortal
    data = dask.dataframe.from_pandas(table, npartitions=4)
    found = transform(data, model, on_error="skip").compute()
    assert mark.exists()
    assert found["id"].tolist() == list(range(300))
    assert np.flatnonzero(found["mortal0"].isna()).tolist() == [5, 250]
    assert np.flatnonzero(found["error"].notna()).tolist() == [5, 250]


@pytest.mark.parametrize("method", ["transform", "predict", "predict_proba"])
def test_an_array(cluster, method):
    rng = np.random.default_rng(0)
    images = (255 * rng.random((30, 8, 8))).astype(np.uint8)
    y = np.array(["no", "yes"] * 15)
    model = repkit.TripleGAN(latent_dim=2, **SMALL).fit(images, y)
    data = dask.array.from_array(images, chunks=(7, 4, 8))
    promised = transform(data, model, method=method)
    found = promised.compute()
    assert found.shape == promised.shape
    assert found.dtype == promised.dtype
    expected = getattr(model, method)(images)
    if method == "predict":
        assert found.tolist() == expected.tolist()
    else:
        assert np.allclose(found, expected, atol=1e-6)
