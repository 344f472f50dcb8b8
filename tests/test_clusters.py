"""The benchmark of clusters: what one process and plain processes write, and nothing left out."""

import numpy as np
import pandas as pd
import pytest

from benchmarks import clusters
from repkit import VAE

pytest.importorskip("pyarrow")


@pytest.fixture
def folder(tmp_path):
    rng, source = np.random.default_rng(0), tmp_path / "in"
    source.mkdir()
    for k in range(3):
        rows = pd.DataFrame(rng.random((6, len(clusters.COLUMNS))), columns=clusters.COLUMNS)
        rows.assign(id=np.arange(6) + 6 * k).to_parquet(source / f"{k}.parquet")
    (tmp_path / "out").mkdir()
    return source, tmp_path / "out"


@pytest.mark.parametrize("parts", [[slice(None)], [slice(0, None, 2), slice(1, None, 2)]])
def test_every_row_is_transformed_once(folder, parts):
    source, out = folder
    X = pd.read_parquet(source)[clusters.COLUMNS]
    few = {"max_epochs": 1, "steps_per_epoch": 1, "width": 8, "device": "cpu", "random_state": 0}
    model = VAE(2, **few).fit(X)
    for part in parts:
        clusters.alone(model, source, out, part)
    found = pd.read_parquet(out).sort_values("id")
    assert found["id"].tolist() == list(range(18))
    np.testing.assert_allclose(found.drop(columns="id"), model.transform(X), atol=1e-6)
