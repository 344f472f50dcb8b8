"""Rows that are written to a file block by block, and mapped from it."""

import numpy as np
import pytest

from repkit.datasets import load_image_folder, load_table
from repkit.datasets._mapped import RowWriter


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, ">i2"])
@pytest.mark.parametrize("blocks", [(1,), (3, 0, 400), (99999, 2)])
def test_rows_come_back(tmp_path, dtype, blocks):
    parts = [np.arange(6 * n).reshape(n, 3, 2).astype(dtype) for n in blocks]
    with RowWriter(tmp_path / "x.npy") as writer:
        for part in parts:
            writer.append(part[:, ::-1][:, ::-1])
    found = writer.mapped()
    assert (found.dtype, found.mode) == (np.dtype(dtype), "r")
    np.testing.assert_array_equal(found, np.concatenate(parts))
    assert [p.name for p in tmp_path.iterdir()] == ["x.npy"]


def test_a_file_is_whole_or_not_there(tmp_path):
    def write():
        with RowWriter(tmp_path / "x.npy") as writer:
            writer.append(np.ones((2, 3)))
            writer.append(np.ones((2, 4)))

    with pytest.raises(ValueError, match="rows must be of one shape, but some have 3, some 4"):
        write()
    assert not list(tmp_path.iterdir())


def test_a_table_larger_than_memory(tmp_path):
    pytest.importorskip("pyarrow")
    import pandas as pd

    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(50, 3)), columns=list("abc"))
    frame["kind"] = ["x", "y"] * 25
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet", row_group_size=20)
    frame.astype(dict.fromkeys("abc", np.float32)).to_parquet(tmp_path / "f.parquet")
    for name, kind in (("t.csv", "f8"), ("t.parquet", "f8"), ("f.parquet", "f4")):
        plain = load_table(tmp_path / name, "kind")
        found = load_table(tmp_path / name, "kind", memory_map=tmp_path / "x.npy")
        assert isinstance(found.data, np.memmap)
        assert found.data.dtype == kind
        np.testing.assert_array_equal(found.data, plain.data.to_numpy())
        assert found.target.tolist() == plain.target.tolist()
        assert found.feature_names == plain.feature_names
    frame.loc[33, "b"] = np.nan
    frame.to_parquet(tmp_path / "t.parquet", row_group_size=20)
    with pytest.raises(ValueError, match="column 'b' is empty in row 34"):
        load_table(tmp_path / "t.parquet", "kind", memory_map=tmp_path / "x.npy")
    frame[:0].to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(ValueError, match="has no row"):
        load_table(tmp_path / "t.csv", "kind", memory_map=tmp_path / "y.npy")
    with pytest.raises(ValueError, match="memory_map must be in a folder"):
        load_table(tmp_path / "f.parquet", memory_map=tmp_path / "no" / "x.npy")


def test_a_folder_larger_than_memory(tmp_path):
    Image = pytest.importorskip("PIL.Image")
    (tmp_path / "in").mkdir()
    for k in range(5):
        Image.fromarray(np.full((4, 6), 40 * k, np.uint8)).save(tmp_path / "in" / f"{k}.png")
    (tmp_path / "in" / "3.png").write_bytes(b"torn")
    how = {"size": (2, 3), "on_error": "skip"}
    plain = load_image_folder(tmp_path / "in", **how)
    found = load_image_folder(tmp_path / "in", **how, memory_map=tmp_path / "x.npy")
    assert isinstance(found.data, np.memmap)
    np.testing.assert_array_equal(found.data, plain.data)
    assert (found.paths, found.skipped) == (plain.paths, plain.skipped)
