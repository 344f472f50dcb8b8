"""Tables of your own: a CSV or Parquet file as numbers and labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sklearn.utils import Bunch

from repkit._arguments import path as path_of
from repkit._arguments import shown
from repkit.datasets._mapped import RowWriter, checked
from repkit.datasets._tables import ColumnError, TableFile, numbers_of

__all__ = ["load_table"]


def load_table(
    path: str | Path,
    label: str | None = None,
    *,
    drop: Sequence[str] = (),
    memory_map: str | Path | None = None,
) -> Bunch:
    """Load a table of numbers from a CSV or Parquet file.

    Parameters
    ----------
    path : str or Path
        A ``.csv``, ``.tsv`` or ``.parquet`` file; a packed ``.csv.gz`` will do. The first line of
        a CSV file has the names of the columns.
    label : str, optional
        The column of labels.
    drop : sequence of str, default=()
        Columns to leave out, such as a row's name.
    memory_map : str or Path, optional
        A ``.npy`` file to write, for a table larger than memory. The table is read and written in
        blocks of rows, and ``data`` is a memory map of the file, of which estimators read what a
        batch needs.

    Returns
    -------
    data : Bunch
        ``data``, a DataFrame of float64, all columns but the label and those left out, or a memory
        map: of float32 if all columns of a Parquet file are, else of float64; ``target``,
        an array of the labels as they stand in the file, or None; ``feature_names``, a list.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    TypeError
        If an argument is of another type.
    ValueError
        If the file cannot be read, lacks a column, or a cell of ``data`` is empty, not a number or
        infinite: the error names the column and the row.
    ImportError
        If pyarrow, for Parquet, is missing: install the extra `data`.

    Examples
    --------
    Tables with texts and missing values are for scikit-learn's own transformers, in front of an
    estimator in a pipeline:

    >>> import numpy as np
    >>> import pandas as pd
    >>> from sklearn.compose import make_column_transformer
    >>> from sklearn.impute import SimpleImputer
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import OneHotEncoder, StandardScaler
    >>> from repkit import VAE
    >>> frame = pd.DataFrame(
    ...     {"age": [31.0, np.nan, 58.0, 44.0], "city": ["Oran", "Lyon", None, "Lyon"]}
    ... )
    >>> columns = make_column_transformer(
    ...     (make_pipeline(SimpleImputer(), StandardScaler()), ["age"]),
    ...     (OneHotEncoder(handle_unknown="ignore"), ["city"]),
    ...     sparse_threshold=0,
    ... )
    >>> model = make_pipeline(columns, VAE(latent_dim=2, width=8, max_epochs=1, random_state=0))
    >>> model.fit_transform(frame).shape
    (4, 2)
    """
    if label is not None and not isinstance(label, str):
        raise TypeError(f"label must be the name of a column, or None, not {shown(label)}")
    several = isinstance(drop, list | tuple) and all(isinstance(name, str) for name in drop)
    if not several:
        raise TypeError(f"drop must be a list of names of columns, not {shown(drop)}")
    file = TableFile(path_of(path, "path"))
    labels = [] if label is None else [label]
    for argument, names in (("label", labels), ("drop", drop)):
        try:
            file.check(names)
        except ColumnError as error:
            raise ValueError(f"{argument} must be of columns that there are: {error}") from error
    out = [*drop, *labels]
    names = [name for name in file.columns if name not in out]
    if not names:
        raise ValueError(f"{path} has no column of data beside {', '.join(out)}")
    if (mapped := checked(memory_map)) is not None:
        target = None if label is None else file.read(labels)[label].to_numpy()
        with RowWriter(mapped) as writer:
            kind = file.float_type(names)
            position = 0
            for block in file.blocks(names):
                numbers = numbers_of(block, file.path, position)
                writer.append(numbers.to_numpy(dtype=kind))
                position += len(block)
            if position == 0:
                raise ValueError(f"{path} has no row")
        return Bunch(data=writer.mapped(), target=target, feature_names=names)
    frame = file.read([*names, label] if label is not None else names)
    return Bunch(
        data=numbers_of(frame[names], file.path),
        target=None if label is None else frame[label].to_numpy(),
        feature_names=names,
    )
