"""Tables of a user: CSV and Parquet, their labels, and cells that are no numbers."""

import numpy as np
import pandas as pd
import pytest

from repkit.datasets import load_table
from repkit.datasets._tables import TableFile, usable_rows

FRAME = pd.DataFrame(
    {"a": [1.0, 2.5, 3.0], "b": [1, 2, 3], "on": [True, False, True], "y": ["u", "v", "u"]}
)


@pytest.fixture(params=["csv", "tsv", "csv.gz", "parquet"])
def path(request, tmp_path):
    found = tmp_path / f"table.{request.param}"
    if request.param == "parquet":
        pytest.importorskip("pyarrow")
        FRAME.to_parquet(found)
    else:
        FRAME.to_csv(found, index=False, sep="\t" if request.param == "tsv" else ",")
    return found


def test_numbers_and_labels(path):
    found = load_table(path, "y")
    assert found.feature_names == ["a", "b", "on"]
    assert set(found.data.dtypes) == {np.dtype(float)}
    np.testing.assert_array_equal(found.data, FRAME[["a", "b", "on"]].astype(float))
    assert found.target.tolist() == ["u", "v", "u"]
    found = load_table(path, drop=["y", "a"])
    assert (found.feature_names, found.target) == (["b", "on"], None)


def test_a_column_that_is_named_twice_is_there_once(path):
    file = TableFile(path)
    for found in (file.read(["a", "b", "a"]), *file.blocks(["a", "b", "a"])):
        assert list(found) == ["a", "b"]


def test_blocks_are_the_rows_in_order(path):
    file = TableFile(path)
    assert file.n_rows() == 3
    for start, stop, rows in ((0, None, [1, 2, 3]), (1, None, [2, 3]), (1, 2, [2]), (2, 9, [3])):
        for size in (1, 2, 10):
            blocks = list(file.blocks(["b"], start, stop, size))
            assert [b for block in blocks for b in block["b"]] == rows
            assert max(map(len, blocks)) <= size


def test_columns_are_named_in_errors(path):
    with pytest.raises(ValueError, match=r"has no column 'z'; it has a, b, on, y$"):
        load_table(path, "z")
    with pytest.raises(ValueError, match="column 'y' holds 'u' in row 1; fill or encode"):
        load_table(path)
    with pytest.raises(ValueError, match="has no column of data beside a, b, on, y"):
        load_table(path, "y", drop=["a", "b", "on"])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "cannot be read as a .csv file: No columns"),
        ("1,2\n3,4\n", "has no names of columns in its first line"),
        ("a,b\n1,2,3\n4,5,6\n", "has more cells in its rows than names"),
        ("a,b\n1,2\n4,5,6\n", "cannot be read as a .csv file: .* Expected 2 fields in line 3"),
        ("a,b\n1,2\n4\n", "column 'b' is empty in row 2"),
        ("a,b\n1,2\n4,-inf\n", "column 'b' holds .*-inf.* in row 2"),
        ("a,b\n1,2\n4,nan\n", "column 'b' is empty in row 2"),
        ("a,b\n2020-01-01,2\n", "column 'a' holds '2020-01-01' in row 1"),
    ],
)
def test_what_is_no_table_of_numbers(tmp_path, text, says):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"t.csv.* ?{says}"):
        load_table(path)


def test_other_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no table at .*t.csv"):
        load_table(tmp_path / "t.csv")
    with pytest.raises(ValueError, match=r"must be a .csv, .tsv or .parquet file"):
        load_table(tmp_path / "t.xls")
    pytest.importorskip("pyarrow")
    (tmp_path / "t.parquet").write_text("torn")
    with pytest.raises(ValueError, match=r"t.parquet cannot be read as a .parquet file"):
        load_table(tmp_path / "t.parquet")
    twice = tmp_path / "d.parquet"
    pd.DataFrame({"day": pd.to_datetime(["2020-01-01"]), "x": [1]}).to_parquet(twice)
    with pytest.raises(ValueError, match="column 'day' holds Timestamp"):
        load_table(twice)


def test_rows_that_are_numbers():
    frame = pd.DataFrame({"a": [1, np.nan, 3, np.inf], "b": [1, 2, "x", 4]})
    good, bad = usable_rows(frame)
    assert good.tolist() == [True, False, False, False]
    assert bad == [(k + 1, f"column '{c}' holds no number") for k, c in enumerate("aba")]
