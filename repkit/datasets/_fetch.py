"""Internal. Find a data file, or download it, and never hand on one that is not the expected one.

A file is looked for below the folder named by the environment variable ``REPKIT_DATA``, then in
the download cache; then it is downloaded. Checksums are verified once per process and file.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from repkit._optional import need
from repkit.datasets._sources import CONTENT, NOTES, SOURCES, Source

Arrays = dict[str, NDArray[Any]]

_verified: set[tuple[Path, int, int]] = set()


class DataNotFoundError(FileNotFoundError):
    """A data file is neither on this machine nor could it be downloaded."""


class DataCorruptedError(OSError):
    """A data file does not hold what it should: torn, altered or of another version."""


def fetch(name: str) -> Path:
    """Return the path of a verified file that holds the data called `name`.

    Parameters
    ----------
    name : str
        A key of ``SOURCES``, such as ``"mnist"`` or ``"amazon_reviews/books_train"``.

    Returns
    -------
    Path
        One of the forms listed for `name`; the suffix tells which.

    Raises
    ------
    DataNotFoundError
        (a ``FileNotFoundError``) No form was found and none could be downloaded.
    DataCorruptedError
        (an ``OSError``) A file was found or downloaded whose checksum is wrong.
    """
    sources = SOURCES[name]
    root = _data_folder(name)
    if root is not None:
        for source in sources:
            if (path := root / source.path).is_file():
                return _verify(path, source)
    cache = _cache_folder()
    for source in sources:
        if (path := cache / source.path).is_file():
            return _verify(path, source)
    for source in sources:
        if source.url is not None:
            return _download(name, source, cache)
    raise DataNotFoundError(_how_to_provide(name, f"{sources[0].path} was not found"))


def read(name: str, parse: Callable[[Path], Arrays]) -> Arrays:
    """Fetch `name` and return what `parse` makes of the file, checked.

    Raises
    ------
    DataNotFoundError, DataCorruptedError
        As `fetch`; also where the file cannot be parsed or its content has another digest than
        the one known. Such a file is taken out of the cache again, never out of ``REPKIT_DATA``.
    """
    path = fetch(name)
    try:
        arrays = parse(path)
        found, expected = digest(arrays), CONTENT.get(name)
        if expected is not None and found != expected:
            raise ValueError(f"its content has sha256 {found}, expected {expected}")
    except (OSError, MemoryError):  # not the content's fault
        raise
    except Exception as error:  # parsers of foreign files raise anything
        message = f"{path} does not hold {name!r} ({error})"
        cache = _cache_folder()
        if path.is_relative_to(cache):
            path.unlink(missing_ok=True)
            message += ": it was removed from the cache, so call again to download it anew"
        else:
            message += ": replace or delete it"
        raise DataCorruptedError(message) from error
    return arrays


def digest(arrays: Arrays) -> str:
    """Return the sha256 of named arrays: of their names, dtypes, shapes and values."""
    total = hashlib.sha256()
    for key in sorted(arrays):
        array = np.ascontiguousarray(arrays[key])
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        total.update(f"{key} {array.dtype.str} {array.shape} ".encode())
        total.update(array.tobytes())
    return total.hexdigest()


def npz(path: Path, keys: Sequence[str]) -> Arrays:
    """Read some of the arrays of a packed file."""
    with np.load(path, allow_pickle=False) as packed:
        return {key: packed[key] for key in keys}


def as_uint8(array: Any) -> NDArray[np.uint8]:
    """Convert to uint8; ValueError where a value would change."""
    given = np.asarray(array)
    exact = given.astype(np.uint8)
    if not np.array_equal(given, exact):
        raise ValueError(f"values are not whole numbers from 0 to 255 (dtype {given.dtype})")
    return exact


def _data_folder(name: str) -> Path | None:
    given = os.environ.get("REPKIT_DATA")
    if not given:
        return None
    root = Path(given).expanduser()
    if not root.is_dir():
        raise DataNotFoundError(
            f"REPKIT_DATA must name a folder, not {given!r} (looking for {name!r}): set "
            "it to the folder that holds the data, or unset it to use the download cache"
        )
    return root


def _cache_folder() -> Path:
    return Path(need("pooch", "data").os_cache("repkit"))


def _verify(path: Path, source: Source) -> Path:
    if not source.sums:
        return path
    state = path.stat()
    # Size and time are part of the key: a file replaced while we run is looked at again.
    key = (path.resolve(), state.st_size, state.st_mtime_ns)
    if key in _verified:
        return path
    found = {}
    for expected in source.sums:
        kind = expected.partition(":")[0]
        if kind not in found:
            with path.open("rb") as file:
                found[kind] = f"{kind}:{hashlib.file_digest(file, kind).hexdigest()}"
        if found[kind] == expected:
            _verified.add(key)
            return path
    raise DataCorruptedError(
        f"{path} ({state.st_size} bytes) is not the expected file but torn or of "
        f"another version (found {', '.join(found.values())}, expected "
        f"{' or '.join(source.sums)}): replace "
        f"it{', or delete it to have it downloaded' if source.url else ''}"
    )


def _download(name: str, source: Source, cache: Path) -> Path:
    from repkit.datasets._download import download

    pooch = need("pooch", "data")
    assert source.url is not None
    target = cache / source.path
    try:
        # To a temporary file first, moved into place once complete and verified.
        pooch.retrieve(
            source.url,
            known_hash=source.sums[0] if source.sums else None,
            fname=target.name,
            path=target.parent,
            downloader=download,
        )
    except ValueError as error:  # pooch's word for a wrong checksum
        raise DataCorruptedError(
            f"the download of {source.url} was refused and not kept: {error}"
        ) from error
    except OSError as error:  # requests' errors too; also a cache folder that cannot be written
        problem = (
            f"{source.path} was not found, and {source.url} could not be downloaded to {target} "
            f"({type(error).__name__}: {error})"
        )
        raise DataNotFoundError(_how_to_provide(name, problem)) from error
    return target


def _how_to_provide(name: str, problem: str) -> str:
    sources = SOURCES[name]
    root = os.environ.get("REPKIT_DATA")
    lines = [
        f"{problem}.",
        f"Looked below REPKIT_DATA ({root or 'not set'}) and in the cache ({_cache_folder()}).",
    ]
    note = NOTES.get(name.partition("/")[0])
    if note and not any(source.url for source in sources):
        lines.append(note)
    lines.append("To provide it, set REPKIT_DATA to a folder that holds one of:")
    for source in sources:
        sums = " or ".join(source.sums) or "its content is checked"
        lines.append(f"  {source.path} ({sums}){f' from {source.url}' if source.url else ''}")
    return "\n".join(lines)
