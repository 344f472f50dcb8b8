"""Samples of any collection: lists of images or paths, data sets and loaders, as one array."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sized
from itertools import chain
from numbers import Number
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils import Bunch

from repkit._arguments import choice, shown
from repkit.datasets._images import GRAY, bytes_of, height_and_width, read_image, together
from repkit.datasets._mapped import checked

__all__ = ["gather_samples"]

SAMPLES = ("image", "img", "pixel_values", "x", "data", "features")
LABELS = ("label", "labels", "y", "target", "fine_label")
CHANNELS = (1, 3, 4)


def gather_samples(
    source: Any,
    size: int | tuple[int, int] | None = None,
    *,
    color: bool | None = None,
    sample: str | int | None = None,
    label: str | int | None = None,
    memory_map: str | Path | None = None,
) -> Bunch:
    """Gather the samples of a collection into one array, which every estimator takes.

    Parameters
    ----------
    source : iterable
        A list of images of Pillow, of paths of images, of arrays or tensors; a ``Dataset`` or
        ``DataLoader`` of torch; a ``Dataset`` of Hugging Face; or anything else that gives such
        items, alone, as tuples with their label, or as dicts.
    size : int or (int, int), optional
        Height and width to which images of Pillow and files are resized, bilinearly; an int is
        both. By default, all must be of one size.
    color : bool, optional
        Whether images of Pillow and files have three channels. By default, whether the first has
        colors.
    sample : str or int, optional
        Key of the sample in an item. By default, the first place of a tuple; of a dict, the first
        it has of "image", "img", "pixel_values", "x", "data" and "features".
    label : str or int, optional
        Key of the label in an item. By default, the second place of a tuple; of a dict, the first
        it has of "label", "labels", "y", "target" and "fine_label".
    memory_map : str or Path, optional
        A ``.npy`` file to write, for samples larger than memory. Samples are read and written one
        after the other, and ``data`` is a memory map of the file.

    Returns
    -------
    data : Bunch
        ``data``, an array (n, ...), images with their channels first; ``target``, an array of the
        labels, or None if items have none.

    Raises
    ------
    TypeError
        If an argument is of another type.
    ValueError
        If there is no sample, samples differ in shape, an item has no such key, or an image has
        colors where the first has none and `color` is not given.
    ImportError
        If Pillow is missing: install the extra `data`.

    Examples
    --------
    >>> import torch
    >>> from repkit.datasets import gather_samples
    >>> pairs = torch.utils.data.TensorDataset(torch.zeros(6, 1, 8, 8), torch.arange(6))
    >>> found = gather_samples(torch.utils.data.DataLoader(pairs, batch_size=4))
    >>> found.data.shape, found.target.tolist()
    ((6, 1, 8, 8), [0, 1, 2, 3, 4, 5])
    """
    if isinstance(source, str | bytes | Path | Mapping) or not isinstance(source, Iterable | Sized):
        raise TypeError(
            f"source must be a list of images or paths, or a data set, not {shown(source)}"
        )
    choice(color, "color", (None, False, True))
    reader = _Reader(height_and_width(size), color)
    mapped = checked(memory_map)
    labels: list[Any] = []

    def samples() -> Iterator[np.ndarray]:
        shape: tuple[int, ...] | None = None
        for k, item in enumerate(_items(source, sample)):
            x, y = _parts(item, sample, label, k)
            array = reader.read(x, k)
            if shape is not None and array.shape != shape:
                raise ValueError(
                    f"source must hold samples of one shape, but source[0] has {shape} and "
                    f"source[{k}] has {array.shape}; give size= for images"
                )
            shape = array.shape
            if y is not None:
                labels.append(y)
            elif labels:
                raise ValueError(
                    f"source must have a label for each item or for none, but source[{k}] has none"
                )
            yield array

    found = together(samples(), None, mapped)
    if found is None:
        raise ValueError("source must hold a sample, but it is empty")
    if labels and len(labels) != len(found):
        raise ValueError(f"source has {len(found)} items, but {len(labels)} labels")
    return Bunch(data=found, target=np.asarray(labels) if labels else None)


def _items(source: Any, sample: Any) -> Iterator[Any]:
    """Items one by one, those of a loader's batches too."""
    if hasattr(source, "dataset") and hasattr(source, "batch_size"):
        if source.batch_size is None:
            return iter(source)
        return chain.from_iterable(_of_batch(batch) for batch in source)
    if hasattr(source, "__getitem__") and hasattr(source, "__len__"):
        # By place: the iteration of a torch data set need not end.
        return (source[k] for k in range(len(source)))
    return iter(source)


def _of_batch(batch: Any) -> Iterator[Any]:
    if isinstance(batch, Mapping):
        columns = list(batch.items())
        for row in zip(*(column for _, column in columns), strict=True):
            yield {name: value for (name, _), value in zip(columns, row, strict=True)}
    elif isinstance(batch, list | tuple):
        yield from zip(*batch, strict=True)
    else:
        yield from batch


def _parts(item: Any, sample: Any, label: Any, k: int) -> tuple[Any, Any]:
    """The sample and the label of an item."""
    if isinstance(item, Mapping):
        x = _of_dict(item, sample, SAMPLES, "sample", k)
        if x is None:
            raise ValueError(
                f"source[{k}] has none of {', '.join(SAMPLES)}; give sample=, one of "
                f"{', '.join(map(str, item))}"
            )
        return x, _plain(_of_dict(item, label, LABELS, "label", k))
    asked = sample is not None or label is not None
    if isinstance(item, list | tuple) and item and (asked or not isinstance(item[0], Number)):
        x = item[_place(item, sample, 0, "sample", k)]
        there = label is not None or len(item) > 1
        return x, _plain(item[_place(item, label, 1, "label", k)]) if there else None
    if asked:
        raise ValueError(f"source[{k}] must be a tuple or a dict to have sample= and label= in it")
    return item, None


def _of_dict(
    item: Mapping[Any, Any], key: Any, usual: tuple[str, ...], argument: str, k: int
) -> Any:
    if key is not None and key not in item:
        known = ", ".join(map(str, item))
        raise ValueError(f"{argument} must be a key of source[{k}], one of {known}, not {key!r}")
    found = [key] if key is not None else [name for name in usual if name in item]
    return item[found[0]] if found else None


def _place(item: Any, key: Any, usual: int, argument: str, k: int) -> int:
    place = usual if key is None else key
    if not isinstance(place, int) or not -len(item) <= place < len(item):
        raise ValueError(
            f"{argument} must be a place in source[{k}], which has {len(item)}, not {place!r}"
        )
    return place


def _plain(label: Any) -> Any:
    """A label as Python has it, of a tensor with one number too."""
    return label.item() if hasattr(label, "item") and getattr(label, "ndim", 1) == 0 else label


class _Reader:
    """Makes an array of whatever a sample is."""

    def __init__(self, size: tuple[int, int] | None, color: bool | None) -> None:
        self.size, self.color, self.asked = size, color, color is not None

    def read(self, x: Any, k: int) -> np.ndarray:
        if isinstance(x, str | Path):
            path = Path(x)
            if not self.asked:
                from repkit.datasets._images import has_color

                self._check(has_color(path), k)
            return read_image(path, self.size, bool(self.color))
        if type(x).__module__.startswith("PIL.") and hasattr(x, "getbands"):
            if not self.asked:
                self._check(x.mode not in GRAY, k)
            return bytes_of(x, self.size, bool(self.color))
        if hasattr(x, "detach"):  # a tensor
            x = x.detach().cpu()
            x = x.float() if str(x.dtype) in ("torch.bfloat16", "torch.float16") else x
        array = np.asarray(x)
        if array.dtype.kind not in "fiub" or array.ndim == 0:
            raise TypeError(
                f"source[{k}] must be an image of Pillow, a path, an array or a tensor, not "
                f"{shown(x)}"
            )
        last = array.ndim == 3 and array.shape[2] in CHANNELS and min(array.shape[:2]) > 4
        return array.transpose(2, 0, 1) if last else array

    def _check(self, colored: bool, k: int) -> None:
        if self.color is None:
            self.color = colored
        if colored and not self.color:
            raise ValueError(f"image {k} has colors and image 0 has none; give color=True or False")
