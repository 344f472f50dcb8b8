"""Handwritten digits in three styles: MNIST, USPS and MNIST-M."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.datasets import load_svmlight_file
from sklearn.utils import Bunch

from repkit import _arguments
from repkit._random import Seed, check_seed, generator
from repkit.datasets._fetch import Arrays, npz, read

__all__ = [
    "load_mnist",
    "load_mnist_m",
    "load_usps",
    "make_mnist_m",
]

_COGAN_TRAIN = 7438  # of 9298 digits


def load_mnist() -> Bunch:
    """Load MNIST (LeCun, Cortes and Burges), official order and split.

    Returns
    -------
    data : Bunch
        ``x_train`` uint8 (60000, 28, 28), 0 = background, 255 = ink; ``y_train`` int64 (60000,),
        0 to 9; ``x_test`` (10000, 28, 28), ``y_test`` (10000,).

    Raises
    ------
    FileNotFoundError
        If the file is not below ``REPKIT_DATA`` or in the cache, and cannot be downloaded.
    OSError
        If a file is torn, altered or of another version.
    ImportError
        If pooch, which downloads, is needed but missing: install the extra `data`.

    Notes
    -----
    Downloaded if needed, from the copy that Keras uses (11 MB).
    """
    data = read("mnist", partial(npz, keys=("x_train", "y_train", "x_test", "y_test")))
    return Bunch(
        x_train=data["x_train"],
        y_train=data["y_train"].astype(np.int64),
        x_test=data["x_test"],
        y_test=data["y_test"].astype(np.int64),
    )


def load_usps(size: int = 16, split: str = "official", random_state: Seed = 0) -> Bunch:
    """Load the USPS digits (Hull, PAMI 1994).

    Parameters
    ----------
    size : int, default=16
        Height and width of the images in pixels, at least 16. Sizes above 16 are resized
        bilinearly. 28 is MNIST's size, but MNIST's digits fill only the middle 20 of 28 pixels.
    split : {"official", "cogan"}, default="official"
        "official" has 7291 digits for training and 2007 for the test, by other writers and harder
        to read. "cogan" puts both together, shuffles them and cuts at 7438, which leaves 1860 for
        the test: the sizes that Liu and Tuzel (CoGAN, 2016) and others after them used. Their
        order is not known, so the shuffle here is one of our own, by `random_state`. Figures of
        the two splits do not compare.
    random_state : int, RandomState, Generator or None, default=0
        Seed of the shuffle of "cogan".

    Returns
    -------
    data : Bunch
        ``x_train`` float32 (7291, size, size) in [0, 1], 1 = ink; ``y_train`` int64 (7291,),
        0 to 9; ``x_test`` (2007, size, size), ``y_test`` (2007,). With "cogan" 7438 and 1860 rows,
        and ``index_train``, ``index_test`` int64, their places in the official order, the test part
        after the training part.

    Raises
    ------
    ValueError
        If `size` is not an integer of at least 16, or `split` is unknown.
    FileNotFoundError
        If the file is not below ``REPKIT_DATA`` or in the cache, and cannot be downloaded.
    OSError
        If a file is torn, altered or of another version.
    ImportError
        If pooch, which downloads, is needed but missing: install the extra `data`.

    Notes
    -----
    Downloaded if needed, from the LIBSVM data sets. Every value is a multiple of 1/2000; it
    is rounded to that grid, so that all sources give the same numbers.
    """
    _arguments.integer(size, "size", 16, 1024)
    _arguments.choice(split, "split", ("official", "cogan"))
    check_seed(random_state)
    bunch = Bunch()
    for part in ("train", "test"):
        data = read(f"usps/{part}", partial(_parse_usps, part=part))
        x = (np.round(data["x"] * 2000) / 2000).astype(np.float32)
        bunch[f"x_{part}"] = x if size == 16 else _resize(x, int(size))
        bunch[f"y_{part}"] = data["y"].astype(np.int64)
    return bunch if split == "official" else _shuffled(bunch, generator(random_state))


def _shuffled(data: Bunch, rng: np.random.Generator) -> Bunch:
    """Both parts together in a random order, cut anew."""
    x, y = (np.concatenate([data[f"{key}_train"], data[f"{key}_test"]]) for key in "xy")
    order = rng.permutation(len(y))
    train, test = order[:_COGAN_TRAIN], order[_COGAN_TRAIN:]
    return Bunch(
        x_train=x[train],
        y_train=y[train],
        index_train=train,
        x_test=x[test],
        y_test=y[test],
        index_test=test,
    )


def load_mnist_m(published: bool = False, train_parts: Iterable[int] = (0, 1)) -> Bunch:
    """Load MNIST-M: digits of MNIST on crops of color photographs (Ganin et al., JMLR 2016).

    The published files have no stable address. This set was rebuilt by their recipe (see
    `make_mnist_m`). It cannot be downloaded: ``REPKIT_DATA`` must hold the files.

    Parameters
    ----------
    published : bool, default=False
        Whether to load, instead, 6000 pictures of the original set, 1000 of each digit 0 to 5 (the
        other digits are not available), to check results on the rebuilt one.
    train_parts : iterable of int, default=(0, 1)
        Which of the two training files to read, 15000 pictures each.

    Returns
    -------
    data : Bunch
        ``x_train`` uint8 (30000, 3, 28, 28), ``y_train`` int64 (30000,), ``index_train`` int64
        (30000,), the rising positions of the digits in MNIST's training part; ``x_test``
        (10000, 3, 28, 28), ``y_test`` and ``index_test`` of MNIST's test part, in order.

        With ``published=True``: ``x_test`` uint8 (6000, 3, 28, 28), ``y_test`` int64 (6000,) and
        ``index`` int64 (6000,). These digits are from MNIST's *training* part: drop the positions
        in ``index`` from the MNIST source data before training, or test digits will have been seen.

    Raises
    ------
    ValueError
        If `train_parts` is empty or holds anything but 0 and 1.
    FileNotFoundError
        If the file is not below ``REPKIT_DATA`` or in the cache, and cannot be downloaded.
    OSError
        If a file is torn, altered or of another version.
    ImportError
        If pooch, which downloads, is needed but missing: install the extra `data`.
    """
    if _arguments.choice(published, "published", (False, True)):
        data = _mnist_m_part("published_part", "mnist_index_train")
        return Bunch(x_test=data["x"], y_test=data["y"], index=data["index"])
    given = list(train_parts) if isinstance(train_parts, Iterable) else []
    if not given or not all(isinstance(part, int) and part in (0, 1) for part in given):
        raise ValueError(
            f"train_parts must be one or both of 0 and 1, not {_arguments.shown(train_parts)}"
        )
    parts = sorted(set(given))
    halves = [_mnist_m_part(f"train_{part}", "mnist_index_train") for part in parts]
    train = {key: np.concatenate([half[key] for half in halves]) for key in halves[0]}
    if len(parts) > 1:
        order = np.argsort(train["index"])
        train = {key: value[order] for key, value in train.items()}
    test = _mnist_m_part("test", "mnist_index_test")
    return Bunch(
        x_train=train["x"],
        y_train=train["y"],
        index_train=train["index"],
        x_test=test["x"],
        y_test=test["y"],
        index_test=test["index"],
    )


def make_mnist_m(
    images: ArrayLike, photographs: Sequence[ArrayLike], random_state: Seed = None
) -> NDArray[np.uint8]:
    """Blend digits into photographs as MNIST-M does (Ganin et al., JMLR 2016, section 5.2.4).

    Each digit gets a random crop of a random photograph, uniform over photographs and positions.
    The crop is inverted where the digit has ink (above 0). That is the paper's ``|crop - digit|``
    with the digit made binary, which is what the published pictures show.

    Parameters
    ----------
    images : array_like of shape (n, height, width)
        Digits, such as MNIST's. Anything above 0 is ink.
    photographs : sequence of array_like of shape (rows, columns, 3), uint8
        Color pictures, each at least as large as a digit. The original used BSDS500
        (Arbelaez et al., PAMI 2011). Take disjoint ones for training and test.
    random_state : int, RandomState, Generator or None, default=None
        Seed of the crops. Numpy's global state is never used.

    Returns
    -------
    images : ndarray of shape (n, 3, height, width), uint8
        Digits in color, from 0 to 255.

    Raises
    ------
    ValueError
        If shapes or dtypes differ from these, or a photograph is too small.

    Examples
    --------
    >>> photographs = [np.full((40, 50, 3), 200, np.uint8)]
    >>> make_mnist_m([[[0, 255]]], photographs, random_state=0)[0, :, 0].tolist()
    [[200, 55], [200, 55], [200, 55]]
    """
    with _arguments.named("images", "an array (n, height, width) of numbers from 0 to 255"):
        digits = np.asarray(images)
        if digits.ndim != 3:
            raise ValueError(f"images must have shape (n, height, width), not {digits.shape}")
        if digits.dtype.kind not in "iufb" or not (
            digits.size == 0 or (digits.min() >= 0 and digits.max() <= 255)
        ):
            raise ValueError(f"not dtype {digits.dtype}, or beyond that range")
    height, width = digits.shape[1:]
    with _arguments.named("photographs", "a list of uint8 arrays (rows, columns, 3)"):
        pictures = [np.asarray(photograph) for photograph in photographs]
    if not pictures:
        raise ValueError("photographs must hold at least one picture to crop from")
    for i, picture in enumerate(pictures):
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
            raise ValueError(
                f"photographs[{i}] must be uint8 of shape (rows, columns, 3), not "
                f"{picture.dtype} of shape {picture.shape}"
            )
        if picture.shape[0] < height or picture.shape[1] < width:
            raise ValueError(
                f"photographs[{i}] must be as large as the digits, {height} x {width} pixels, "
                f"not {picture.shape[0]} x {picture.shape[1]}"
            )
    rng = generator(random_state)
    out = np.empty((len(digits), 3, height, width), np.uint8)
    for i, which in enumerate(rng.integers(len(pictures), size=len(digits))):
        picture = pictures[which]
        top = rng.integers(picture.shape[0] - height + 1)
        left = rng.integers(picture.shape[1] - width + 1)
        crop = picture[top : top + height, left : left + width].transpose(2, 0, 1)
        out[i] = np.where(digits[i] > 0, 255 - crop, crop)
    return out


def _parse_usps(path: Path, part: str) -> Arrays:
    if path.suffix == ".npz":
        packed = npz(path, (f"x_{part}", f"y_{part}"))
        return {"x": packed[f"x_{part}"].astype(np.float64), "y": packed[f"y_{part}"]}
    x, y = load_svmlight_file(str(path), n_features=256, zero_based=False)
    # From [-1, 1] and labels 1 to 10.
    return {"x": (x.toarray().reshape(-1, 16, 16) + 1) / 2, "y": y - 1}


def _mnist_m_part(part: str, index: str) -> dict[str, NDArray[Any]]:
    data = read(f"mnist_m/{part}", partial(npz, keys=("x", "y", index)))
    return {
        "x": np.ascontiguousarray(data["x"].transpose(0, 3, 1, 2)),
        "y": data["y"].astype(np.int64),
        "index": data[index].astype(np.int64),
    }


def _resize(x: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Bilinear, pixel centers at half integers, edges repeated."""
    old = x.shape[-1]
    place = np.clip((np.arange(size) + 0.5) * old / size - 0.5, 0, old - 1)
    # Row i of the weights mixes the two old pixels on either side of new pixel i.
    weights = np.maximum(0, 1 - np.abs(place[:, None] - np.arange(old))).astype(np.float32)
    return np.asarray(weights @ x @ weights.T, np.float32)
