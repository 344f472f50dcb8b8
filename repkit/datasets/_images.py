"""Internal. Image files: found in a folder, and read one by one as arrays of bytes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from repkit._arguments import integer, shown
from repkit._optional import need
from repkit.datasets._mapped import RowWriter

SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
GRAY = frozenset({"1", "L", "LA"})  # Pillow's modes of images without color
MOST = 10**4  # pixels in a row or a column
DEEP = ("I", "F")  # and of those with more than 8 bits, which it would clip


class ImageError(ValueError):
    """An image file cannot be used; the message names it and says why."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} cannot be used: {reason}")
        self.reason = reason


def find_images(folder: Path) -> list[Path]:
    """List the image files below a folder and the folders that links in it lead to, by path.

    Hidden files and folders are left out. Raises a ValueError if there is none.
    """
    found: list[Path] = []
    seen: set[str] = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if name[0] != ".")
        found += [
            Path(place, name)
            for name in files
            if name[0] != "." and Path(name).suffix.lower() in SUFFIXES
        ]
    if not found:
        raise ValueError(f"{folder} has no image file ({', '.join(sorted(SUFFIXES))})")
    return sorted(found)


def _opened(path: Path) -> Any:
    """Pillow's image of a file, whose pixels are not read yet."""
    image = need("PIL.Image", "data")
    try:
        found = image.open(path)
    except Exception as error:  # of each format another
        raise ImageError(path, _told(error)) from error
    if found.mode.startswith(DEEP):
        found.close()
        raise ImageError(path, f"it has more than 8 bits a pixel (mode {found.mode!r})")
    return found


def _told(error: Exception) -> str:
    if type(error).__name__ == "UnidentifiedImageError":
        return "it is not an image"
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return f"it cannot be read ({said})"


def has_color(path: Path) -> bool:
    """Whether an image has colors, by its header alone."""
    with _opened(path) as image:
        return image.mode not in GRAY


def any_color(files: Sequence[Path], *, skip: bool) -> bool:
    """Whether any image has colors; one that cannot be read has none, if it may be skipped."""
    found = False
    for path in files:
        try:
            found = found or has_color(path)
        except ImageError:
            if not skip:
                raise
    return found


def size_of(path: Path) -> tuple[int, int]:
    """Height and width of an image, by its header alone; those of a pixel if it has none."""
    try:
        with _opened(path) as image:
            return image.height, image.width
    except ImageError:
        return 1, 1


def read_image(path: Path, size: tuple[int, int] | None, color: bool) -> np.ndarray:
    """The bytes of an image file, see `bytes_of`. Raises an ImageError if it cannot be read."""
    with _opened(path) as image:
        try:
            return bytes_of(image, size, color)
        except Exception as error:  # torn, or absurdly large
            raise ImageError(path, _told(error)) from error


def bytes_of(image: Any, size: tuple[int, int] | None, color: bool) -> np.ndarray:
    """The bytes of a Pillow image, (height, width) or (3, height, width).

    Resized to ``size`` (height, width), if that is given; turned as its camera says. Transparency
    is dropped.
    """
    image = need("PIL.ImageOps", "data").exif_transpose(image).convert("RGB" if color else "L")
    if size is not None and image.size != (size[1], size[0]):
        image = image.resize((size[1], size[0]), need("PIL.Image", "data").Resampling.BILINEAR)
    array: np.ndarray = np.asarray(image)
    return array.transpose(2, 0, 1) if color else array


@dataclass
class Images:
    """Those of a list of files that can be read: their array, their places, and the others."""

    data: np.ndarray | None
    kept: list[int]
    skipped: list[tuple[Path, str]]


def read_images(
    files: Sequence[Path],
    size: tuple[int, int] | None,
    color: bool | None,
    *,
    skip: bool,
    memory_map: Path | None = None,
) -> Images:
    """Read images of one size into one array, or into a file that is mapped.

    ``color=None`` is whether any has colors. Raises an ImageError for a file that cannot be read,
    unless it may be skipped, and a ValueError if sizes differ.
    """
    skipped: dict[Path, str] = {}

    def tried(action: Callable[[Path], Any], path: Path) -> Any:
        try:
            return action(path)
        except ImageError as error:
            if not skip:
                raise
            skipped[path] = error.reason
            return None

    if color is None:
        color = True in [tried(has_color, path) for path in files]  # all, not up to the first
    kept: list[int] = []

    def images() -> Iterator[np.ndarray]:
        shape: tuple[int, ...] | None = None
        for k, path in enumerate(files):
            image = None if path in skipped else tried(lambda p: read_image(p, size, color), path)
            if image is None:
                continue
            if shape is not None and image.shape != shape:
                sizes = ["x".join(map(str, one[-2:])) for one in (shape, image.shape)]
                raise ValueError(
                    f"images must be of one size, but {files[kept[0]]} has {sizes[0]} pixels and "
                    f"{path} has {sizes[1]}; give size={sizes[0].partition('x')[0]}, say"
                )
            shape = image.shape
            kept.append(k)
            yield image

    data = together(images(), len(files), memory_map)
    return Images(data, kept, list(skipped.items()))


def together(
    samples: Iterable[np.ndarray], most: int | None, memory_map: Path | None
) -> np.ndarray | None:
    """Samples of one shape, one after the other, as one array; None if there are none.

    Parameters
    ----------
    samples : iterable of ndarray
        Of one shape and type.
    most : int, optional
        How many there are at most, if that is known.
    memory_map : Path, optional
        A file to write them to, which is then mapped.

    Returns
    -------
    ndarray or None
        One row a sample.
    """
    if memory_map is not None:
        with RowWriter(memory_map) as writer:
            for sample in samples:
                writer.append(sample[None])
        return writer.mapped() if writer.n else None
    if most is None:
        found = list(samples)
        return np.stack(found) if found else None
    data, n = None, 0
    for sample in samples:
        if data is None:
            data = np.empty((most, *sample.shape), dtype=sample.dtype)
        data[n] = sample
        n += 1
    return None if data is None else data[:n]


def height_and_width(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    """Height and width of what may be both in one number, or None."""
    if size is None:
        return None
    if isinstance(size, tuple | list):
        if len(size) != 2:
            raise ValueError(f"size must be an integer, or height and width, not {shown(size)}")
        return integer(size[0], "size[0]", 1, MOST), integer(size[1], "size[1]", 1, MOST)
    return (integer(size, "size", 1, MOST, otherwise=", or height and width"),) * 2
