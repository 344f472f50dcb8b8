"""Internal. DATA of the command line: a table, an array, a folder of images, sound, or a set.

A source gives everything at once, for `fit` and `evaluate`, or blocks in bounded memory, for
`extract`, with the id of every sample: a path below the folder, or its place.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np

from repkit.cli import sets

BYTES = 2**26  # of samples in a block, about
PICTURES, FILES = 512, 64  # files of images and of sound in a block
IMAGES, LABELS = ("X", "x", "data", "x_train"), ("y", "target", "labels", "y_train")


@dataclass
class Wanted:
    """What is wanted of DATA, as the options say, and a fitted model to whose data it must fit."""

    label: str | None = None
    drop: tuple[str, ...] = ()
    size: tuple[int, int] | None = None
    skip: bool = False
    model: Any = None
    like: Any = None  # a table whose columns are to be had
    lenient: bool = False  # a label need not be there: nobody reads it
    id: str | None = None  # a column of a table that names its rows


@dataclass
class Block:
    """Samples that follow each other, their ids, and those left out with a reason."""

    ids: list[Any]
    X: Any
    skipped: list[tuple[Any, str]] = field(default_factory=list)


class Source:
    """Base: what all kinds of DATA have."""

    id_name = "index"
    sample_rate: int | None = None
    speech = False

    def __init__(self, given: str, wanted: Wanted) -> None:
        self.given, self.wanted = given, wanted
        self.skipped: list[tuple[Any, str]] = []  # what `load` left out

    def id_type(self) -> Any:
        """The type of the ids in a Parquet file."""
        import pyarrow

        return pyarrow.string() if self.id_name == "path" else pyarrow.int64()

    def load(self) -> tuple[Any, Any]:
        """All samples, and their labels or None."""
        raise NotImplementedError

    def labels(self, label: str | None, option: str = "--label") -> np.ndarray | None:
        """The label of each sample; by default, of the usual kind. Errors name the option."""
        raise NotImplementedError

    def count(self) -> int:
        raise NotImplementedError

    def n_bytes(self) -> int:
        """How many bytes all samples take in memory, about."""
        return 0

    def blocks(self, start: int, stop: int | None) -> Iterator[Block]:
        """The samples from ``start`` to ``stop``, in order."""
        raise NotImplementedError

    def stamp(self) -> dict[str, Any]:
        """What tells this DATA from another, cheaply."""
        path = Path(self.given)
        if not path.exists():
            return {"data": self.given}
        return {"data": str(path.resolve()), "modified": path.stat().st_mtime_ns}


def open_source(given: str, wanted: Wanted, *, speech: bool) -> Source:
    """The source of what was given; a UsageError says why there is none."""
    source = _source(given, wanted, speech)
    if wanted.id is not None and not isinstance(source, Table):
        raise click.UsageError(f"--id {wanted.id}: {given} is no table with columns")
    return source


def _source(given: str, wanted: Wanted, speech: bool) -> Source:
    path = Path(given)
    if not path.exists():
        if sets.is_name(given):
            return _set_of(given, wanted, speech)
        raise click.UsageError(
            f"DATA: there is no file, folder or data set {given!r}{sets.near(given)}"
        )
    suffix = path.suffix.lower()
    if path.is_dir():
        return Sound(given, wanted) if speech else Pictures(given, wanted)
    if suffix in (".npy", ".npz"):
        return Arrays(given, wanted)
    if speech:
        return Sound(given, wanted)
    from repkit.datasets._tables import kind_of

    if kind_of(path) is not None:
        return Table(given, wanted)
    raise click.UsageError(
        f"DATA: {given} is no .csv, .tsv, .parquet, .npy or .npz file, nor a folder of images"
    )


# ---------------------------------------------------------------- tables


class Table(Source):
    """A CSV or Parquet file."""

    def __init__(self, given: str, wanted: Wanted) -> None:
        from repkit.datasets._tables import ColumnError, TableFile

        super().__init__(given, wanted)
        self.file = TableFile(Path(given))
        self.columns = self.file.columns
        out = [*wanted.drop, *(name for name in (wanted.label, wanted.id) if name)]
        self.id_name = wanted.id or "index"
        try:
            self.file.check([*wanted.drop, *([wanted.id] if wanted.id else [])])
            if wanted.label and not wanted.lenient:
                self.file.check([wanted.label])
            self.names = self._features(out)
        except ColumnError as error:
            raise click.UsageError(str(error)) from error

    def _features(self, out: Sequence[str]) -> list[str]:
        model, like = self.wanted.model, self.wanted.like
        if like is not None:
            self.file.check(like.names, f", which {like.given} has")
            return list(like.names)
        known = getattr(model, "feature_names_in_", None)
        if known is not None:
            self.file.check(list(known), ", which the model was fitted on")
            return list(known)
        names = [name for name in self.columns if name not in out]
        if not names:
            raise click.UsageError(f"{self.given} has no column of data beside {', '.join(out)}")
        if model is not None and len(model.input_shape_) > 1:
            shape = "x".join(map(str, model.input_shape_))
            raise click.UsageError(
                f"{self.given} is a table, but the model was fitted on images of {shape}"
            )
        if model is not None and model.input_shape_ != (len(names),):
            raise click.UsageError(
                f"{self.given} has {len(names)} columns, but the model was fitted on "
                f"{model.input_shape_[0]}; --drop the others"
            )
        return names

    def load(self) -> tuple[Any, Any]:
        from repkit.datasets._tables import TableError, numbers_of, usable_rows

        label = self.wanted.label if not self.wanted.lenient else None
        # What samples are labeled by may be a feature, too.
        frame = self.file.read([*self.names, label] if label else self.names)
        if self.wanted.skip:
            good, self.skipped = usable_rows(frame[self.names])
            frame = frame[good]
        try:
            X = numbers_of(frame[self.names], self.file.path)
        except TableError as error:
            raise TableError(f"{error} (--drop NAME)") from error
        return self._as_fitted(X), frame[label].to_numpy() if label else None

    def _as_fitted(self, X: Any) -> Any:
        """A frame, or an array if the model was fitted on columns without names."""
        model = self.wanted.model
        named = model is None or getattr(model, "feature_names_in_", None) is not None
        return X if named else X.to_numpy()

    def labels(self, label: str | None, option: str = "--label") -> np.ndarray | None:
        if label is None:
            return None
        from repkit.datasets._tables import ColumnError

        try:
            return self.file.read([label])[label].to_numpy()
        except ColumnError as error:
            raise click.UsageError(str(error)) from error

    def count(self) -> int:
        return self.file.n_rows()

    def blocks(self, start: int, stop: int | None) -> Iterator[Block]:
        from repkit.datasets._tables import numbers_of, usable_rows

        size = max(64, BYTES // (8 * len(self.names)))
        named = [self.wanted.id] if self.wanted.id else []
        position = start
        for whole in self.file.blocks(
            [*self.names, *named], start, stop, min(size, 8192), texts=named
        ):
            frame, skipped = whole[self.names], []
            ids = (
                whole[named[0]].to_numpy() if named else np.arange(position, position + len(frame))
            )
            if self.wanted.skip:
                good, bad = usable_rows(frame)
                skipped = [(ids[row], reason) for row, reason in bad]
                frame, ids = frame[good], ids[good]
            X = numbers_of(frame, self.file.path, position)
            position += len(ids) + len(skipped)
            yield Block(ids.tolist(), self._as_fitted(X), skipped)

    def n_bytes(self) -> int:
        if self.file.kind == ".parquet":
            return 8 * len(self.names) * self.count()
        return self.file.path.stat().st_size

    def id_type(self) -> Any:
        return self.file.type_of(self.wanted.id) if self.wanted.id else super().id_type()


# ---------------------------------------------------------------- arrays


class Arrays(Source):
    """A .npy or .npz file; the former is mapped, not read."""

    def __init__(self, given: str, wanted: Wanted) -> None:
        super().__init__(given, wanted)
        try:
            if given.lower().endswith(".npz") and not zipfile.is_zipfile(given):
                raise ValueError("it is torn, or no .npz file")
            found = np.load(given, mmap_mode="r")
        except Exception as error:  # torn, pickled, or no array at all
            raise ValueError(f"{given} cannot be read as arrays: {error}") from error
        self.archive = None if isinstance(found, np.ndarray) else found
        self.X = found if self.archive is None else self._entry(self._key(IMAGES))
        if self.X.ndim == 0:
            raise ValueError(f"{given} holds a single number, not samples")

    def _key(self, names: Sequence[str]) -> str:
        assert self.archive is not None
        known = list(self.archive)
        if found := [name for name in names if name in known]:
            return found[0]
        if len(known) == 1 and names is IMAGES:
            return known[0]
        raise click.UsageError(
            f"{self.given} has the arrays {', '.join(known)}; one must be called "
            f"{' or '.join(names[:3])}"
        )

    def _entry(self, key: str) -> np.ndarray:
        assert self.archive is not None
        try:
            array: np.ndarray = self.archive[key]
        except Exception as error:
            raise ValueError(f"{self.given} cannot be read, at {key!r}: {error}") from error
        return array

    def load(self) -> tuple[Any, Any]:
        return self.X, None if self.wanted.lenient else self.labels(self.wanted.label)

    def labels(self, label: str | None, option: str = "--label") -> np.ndarray | None:
        if label is not None and label.endswith(".npy"):
            if not Path(label).is_file():
                raise click.UsageError(f"{option}: there is no file {label!r}")
            y = np.load(label)
        elif self.archive is None:
            if label is not None:
                raise click.UsageError(f"{option} {label}: beside a .npy file, give another one")
            return None
        elif label is not None:
            y = self._entry(self._key([label]))
        else:
            known = [name for name in LABELS if name in self.archive]
            y = self._entry(known[0]) if known else None
        if y is not None and len(y) != len(self.X):
            raise ValueError(f"{self.given} has {len(self.X)} samples, but {len(y)} labels")
        return y

    def count(self) -> int:
        return len(self.X)

    def n_bytes(self) -> int:
        return int(self.X.nbytes)

    def blocks(self, start: int, stop: int | None) -> Iterator[Block]:
        stop = self.count() if stop is None else stop
        row = max(1, self.X.nbytes // max(1, len(self.X)))
        size = int(np.clip(BYTES // row, 1, 8192))
        for first in range(start, stop, size):
            rows = slice(first, min(first + size, stop))
            if self.archive is None:  # mapped anew: pages that were read go, too
                X = np.array(np.load(self.given, mmap_mode="r")[rows])
            else:
                X = self.X[rows]
            good, ids = np.ones(len(X), dtype=bool), np.arange(rows.start, rows.stop)
            if self.wanted.skip and X.dtype.kind == "f":
                good = np.isfinite(X.reshape(len(X), -1)).all(1)
            skipped = [(k, "it has NaN or infinite numbers") for k in ids[~good].tolist()]
            yield Block(ids[good].tolist(), X[good] if skipped else X, skipped)


class Named(Source):
    """An embedded set."""

    def __init__(self, given: str, wanted: Wanted) -> None:
        super().__init__(given, wanted)
        self.data = sets.load(given)
        self.X, self.sample_rate = self.data.X, self.data.sample_rate
        self.n = self.X.shape[0] if hasattr(self.X, "shape") else len(self.X)

    def load(self) -> tuple[Any, Any]:
        return self.X, None if self.wanted.lenient else self.labels(self.wanted.label)

    def labels(self, label: str | None, option: str = "--label") -> np.ndarray | None:
        known = self.data.labels
        if label is not None and label not in known:
            raise click.UsageError(
                f"{self.given} has no label {label!r}; it has {', '.join(known)}"
            )
        found = known[label if label is not None else next(iter(known))]
        return np.asarray(found)

    def count(self) -> int:
        return int(self.n)

    def blocks(self, start: int, stop: int | None) -> Iterator[Block]:
        stop = self.n if stop is None else stop
        for first in range(start, stop, 1024):
            last = min(first + 1024, stop)
            yield Block(list(range(first, last)), self.X[first:last])


def _set_of(given: str, wanted: Wanted, speech: bool) -> Source:
    found = sets.SETS[given.partition(":")[0]]
    if found.speech != speech:
        what = ("speech", "images or a table")
        raise click.UsageError(
            f"the data set {given} is {what[not found.speech]}, and {what[not speech]} is needed"
        )
    return Named(given, wanted)


# ---------------------------------------------------------------- folders of images


class Pictures(Source):
    """A folder of images, of which sub-folders are classes."""

    id_name = "path"

    def __init__(self, given: str, wanted: Wanted) -> None:
        from repkit._optional import need
        from repkit.datasets._images import find_images

        need("PIL", "data")
        super().__init__(given, wanted)
        self.files = find_images(Path(given))
        self.size, self.color, self.channel = wanted.size, None, False
        if (model := wanted.model) is not None:
            shape = model.input_shape_
            if len(shape) == 1 or (len(shape) == 3 and shape[0] not in (1, 3)):
                raise click.UsageError(
                    f"{given} is a folder of images, but the model was fitted on samples of shape "
                    f"{shape}"
                )
            self.size, self.channel = shape[-2:], len(shape) == 3 and shape[0] == 1
            self.color = len(shape) == 3 and shape[0] == 3

    def load(self) -> tuple[Any, Any]:
        X, kept, self.skipped = self._read(range(len(self.files)))
        if X is None:
            raise ValueError(f"{self.given} has no image that can be used")
        y = self.labels(self.wanted.label)
        return X, None if y is None else y[kept]

    def colored(self) -> bool:
        """Whether any image has colors."""
        from repkit.datasets._images import any_color

        return any_color(self.files, skip=self.wanted.skip)

    def _read(self, places: Sequence[int]) -> tuple[Any, list[int], list[tuple[Any, str]]]:
        from repkit.datasets._images import read_images

        files = [self.files[k] for k in places]
        try:
            found = read_images(files, self.size, self.color, skip=self.wanted.skip)
        except ValueError as error:
            said = re.sub(r"give size=(\d+), say", r"give --size \1, say", str(error))
            raise ValueError(said) from error
        X = found.data
        if X is not None and self.channel:
            X = X[:, None]
        skipped = [(self._id(path), reason) for path, reason in found.skipped]
        return X, [places[k] for k in found.kept], skipped

    def _id(self, path: Path) -> str:
        return path.relative_to(self.given).as_posix()

    def name_of(self, k: int) -> str:
        """The path of an image below the folder."""
        return self._id(self.files[k])

    def n_bytes(self) -> int:
        from repkit.datasets._images import size_of

        height, width = self.size or size_of(self.files[0])
        return len(self.files) * height * width * (1 if self.color is False else 3)

    def labels(self, label: str | None, option: str = "--label") -> np.ndarray | None:
        from repkit.audio.reading import folder_speakers

        if label is not None:
            return _matched(label, [self._id(path) for path in self.files], option)
        return folder_speakers(self.files)  # the same rule as of speech

    def count(self) -> int:
        return len(self.files)

    def blocks(self, start: int, stop: int | None) -> Iterator[Block]:
        stop = len(self.files) if stop is None else stop
        for first in range(start, stop, PICTURES):
            X, kept, skipped = self._read(range(first, min(first + PICTURES, stop)))
            yield Block([self._id(self.files[k]) for k in kept], X, skipped)

    def stamp(self) -> dict[str, Any]:
        return {"data": str(Path(self.given).resolve()), "files": len(self.files)}


# ---------------------------------------------------------------- sound


class Sound(Source):
    """Audio files: of a folder, or of a list in a .txt or .csv file."""

    id_name = "path"
    speech = True

    def __init__(self, given: str, wanted: Wanted) -> None:
        from repkit.audio.reading import SUFFIXES, find
        from repkit.datasets._tables import TableFile, kind_of

        super().__init__(given, wanted)
        path = Path(given)
        self.top, self.table = path if path.is_dir() else path.parent, None
        if path.is_dir():
            self.files = find(path)
        elif path.suffix.lower() in SUFFIXES:
            self.files = [path]
        elif path.suffix.lower() == ".txt":
            lines = path.read_text(encoding="utf-8").splitlines()
            self.files = [self.top / line.strip() for line in lines if line.strip()]
        elif kind_of(path) is not None:
            self.table = TableFile(path)
            self.table.check(["path"], ", where the audio files are")
            self.files = [self.top / str(name) for name in self.table.read(["path"])["path"]]
        else:
            raise click.UsageError(
                f"DATA: {given} is no audio file, nor a list of some (.txt, or a table with the "
                "column 'path')"
            )
        if not self.files:
            raise ValueError(f"{given} lists no file")

    def load(self) -> tuple[Any, Any]:
        return [str(path) for path in self.files], self.labels(self.wanted.label)

    def labels(self, label: str | None, option: str = "--label") -> np.ndarray | None:
        from repkit.audio.reading import folder_speakers
        from repkit.datasets._tables import ColumnError

        if self.table is not None and label is not None:
            try:
                return self.table.read([label])[label].to_numpy()
            except ColumnError as error:
                raise click.UsageError(str(error)) from error
        if label is not None:
            return _matched(label, [self._id(path) for path in self.files], option)
        return folder_speakers(self.files)

    def _id(self, path: Path) -> str:
        return path.relative_to(self.top).as_posix() if path.is_relative_to(self.top) else str(path)

    def count(self) -> int:
        return len(self.files)

    def blocks(self, start: int, stop: int | None) -> Iterator[Block]:
        stop = len(self.files) if stop is None else stop
        for first in range(start, stop, FILES):
            files = self.files[first : min(first + FILES, stop)]
            yield Block([self._id(path) for path in files], [str(path) for path in files])

    def stamp(self) -> dict[str, Any]:
        return {"data": str(Path(self.given).resolve()), "files": len(self.files)}


def _matched(pattern: str, ids: Sequence[str], option: str) -> np.ndarray:
    """What a regular expression finds in each path: its first group, or the whole match."""
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise click.UsageError(f"{option} {pattern!r} is no regular expression: {error}") from error
    found = []
    for name in ids:
        match = expression.search(name)
        if match is None:
            raise click.UsageError(f"{option} {pattern!r} does not match {name}")
        found.append(match[1] if expression.groups else match[0])
    return np.array(found)
