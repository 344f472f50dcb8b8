"""Small problems for domain adaptation, made on the spot: two moons and shifted digits.

Both follow skada's convention: ``sample_domain`` is positive for source rows and negative for
target rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.datasets import load_digits, make_moons
from sklearn.model_selection import train_test_split
from sklearn.utils import Bunch

from repkit import _arguments
from repkit._random import Seed, generator

__all__ = [
    "load_digits_domains",
    "make_domains",
]

SOURCE, TARGET = 1, -2

Images = NDArray[np.float64]


def make_domains(
    n_samples: int = 300,
    rotation: float = 35.0,
    noise: float = 0.05,
    random_state: Seed = None,
) -> Bunch:
    """Make two moons and, as target, two rotated moons (Ganin et al., JMLR 2016, figure 2).

    Parameters
    ----------
    n_samples : int, default=300
        Rows in each domain, half of each class.
    rotation : float, default=35.0
        Angle in degrees by which the target is rotated counterclockwise about the center.
    noise : float, default=0.05
        Standard deviation of the Gaussian noise, where a moon is a half circle of radius 1
        (before everything is doubled in size, as in the figure).
    random_state : int, RandomState, Generator or None, default=None
        Seed of all random draws. Numpy's global state is never used.

    Returns
    -------
    data : Bunch
        ``X`` float64 (2 * n_samples, 2), centered, source rows first; ``y`` int64, 0 or 1, *true
        for target rows, too*, for evaluation only: replace these by ``-1`` if a method might read
        them; ``sample_domain`` int64, 1 for source and -2 for target.

    Raises
    ------
    ValueError
        If `n_samples` is below 2 or `noise` is negative.

    Examples
    --------
    >>> data = make_domains(n_samples=100, random_state=0)
    >>> data.X.shape, data.sample_domain[[0, -1]].tolist()
    ((200, 2), [1, -2])
    """
    _arguments.integer(n_samples, "n_samples", 2, 10**7)
    _arguments.number(rotation, "rotation", -math.inf)
    _arguments.number(noise, "noise")
    rng = generator(random_state)
    xs, ys = [], []
    for angle in (0.0, np.deg2rad(rotation)):
        # The target is a sample of its own, not the source's rows turned.
        x, y = make_moons(n_samples, noise=noise, random_state=int(rng.integers(2**32)))
        # The moons' center of symmetry, rather than the sample mean: the same in both domains.
        x = 2 * (x - (0.5, 0.25))
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        xs.append(x @ turn.T)
        ys.append(y.astype(np.int64))
    return Bunch(
        X=np.concatenate(xs),
        y=np.concatenate(ys),
        sample_domain=np.repeat(np.array([SOURCE, TARGET]), n_samples),
    )


def load_digits_domains(
    shift: str | Sequence[str] = "rotated+blurred",
    test_size: float | int = 1 / 3,
    random_state: Seed = None,
) -> Bunch:
    """Split scikit-learn's digits into a source and a shifted target of other digits.

    The 1797 digits (8 x 8) come with scikit-learn, so that nothing is downloaded. One random half
    is the source, unchanged. The other half is the target, changed by `shift`.

    Parameters
    ----------
    shift : str or sequence of str, default="rotated+blurred"
        One or more of these changes in order, in a list or joined by ``+``:

        - ``"rotated"``: by 20 degrees, counterclockwise;
        - ``"blurred"``: Gaussian, standard deviation 0.5 pixels;
        - ``"textured"``: a smooth random background up to 0.5, another for each digit, blended
          in as ``|background - digit|``, as MNIST-M does with photographs;
        - ``"inverted"``: dark on light. Alone it puts a classifier of the source *below* chance,
          where aligning the domains does not help.
    test_size : float or int, default=1/3
        Share or number of the target's digits to keep for the test.
    random_state : int, RandomState, Generator or None, default=None
        Seed of the splits and the backgrounds. Numpy's global state is never used.

    Returns
    -------
    data : Bunch
        ``X`` float32 (n, 1, 8, 8) in [0, 1], 1 = ink (before any inversion), source rows first;
        ``y`` int64 (n,), 0 to 9, *true for target rows, too*, for evaluation only;
        ``sample_domain`` int64 (n,), 1 for source and -2 for target; ``index`` int64 (n,), the
        row in ``sklearn.datasets.load_digits``; ``X_test``, ``y_test``, ``index_test``: target
        digits that occur nowhere else. All parts are stratified by class.

    Raises
    ------
    ValueError
        If `shift` is unknown, or `test_size` leaves a part empty.

    Examples
    --------
    >>> data = load_digits_domains("inverted", random_state=0)
    >>> data.X.shape, data.X_test.shape
    ((1497, 1, 8, 8), (300, 1, 8, 8))
    """
    given = [shift] if isinstance(shift, str) else shift
    several = isinstance(given, list | tuple) and all(isinstance(name, str) for name in given)
    names = [part.strip() for name in given for part in name.split("+")] if several else []
    if not names or not set(names) <= _SHIFTS.keys():
        raise ValueError(
            f"shift must be one or more of {', '.join(_SHIFTS)}, not {_arguments.shown(shift)}"
        )
    if isinstance(test_size, float):
        _arguments.number(test_size, "test_size", 0.0, 1.0, above=True, below=True)
    else:
        _arguments.integer(test_size, "test_size", 10, 888, otherwise=", or a share of the rows")
    rng = generator(random_state)
    digits = load_digits()
    labels = digits.target.astype(np.int64)

    def split(rows: NDArray[Any], size: float | int) -> list[NDArray[Any]]:
        seed = int(rng.integers(2**32))
        return train_test_split(rows, test_size=size, stratify=labels[rows], random_state=seed)

    source, target = split(np.arange(len(labels)), 0.5)
    train, test = split(target, test_size)
    plain = digits.images / 16
    shifted = plain
    # All the digits, so that a digit's background does not depend on the size of the test part.
    for name in names:
        shifted = _SHIFTS[name](shifted, rng)

    def as_float32(images: Images) -> NDArray[np.float32]:
        return images[:, None].astype(np.float32)

    return Bunch(
        X=as_float32(np.concatenate([plain[source], shifted[train]])),
        y=labels[np.concatenate([source, train])],
        sample_domain=np.repeat(np.array([SOURCE, TARGET]), [len(source), len(train)]),
        index=np.concatenate([source, train]),
        X_test=as_float32(shifted[test]),
        y_test=labels[test],
        index_test=test,
    )


def _rotated(images: Images, rng: np.random.Generator) -> Images:
    # Linear interpolation stays in [0, 1]; splines overshoot.
    return ndimage.rotate(images, 20, axes=(1, 2), reshape=False, order=1)


def _blurred(images: Images, rng: np.random.Generator) -> Images:
    return ndimage.gaussian_filter(images, (0, 0.5, 0.5), mode="nearest")


def _textured(images: Images, rng: np.random.Generator) -> Images:
    coarse = rng.uniform(0, 0.5, size=(len(images), 3, 3))
    # Linear between the 3 x 3 points, the outer ones on the corner pixels.
    background = ndimage.zoom(coarse, (1, 8 / 3, 8 / 3), order=1)
    return np.abs(background - images)


def _inverted(images: Images, rng: np.random.Generator) -> Images:
    return 1 - images


_SHIFTS: dict[str, Callable[[Images, np.random.Generator], Images]] = {
    "rotated": _rotated,
    "blurred": _blurred,
    "textured": _textured,
    "inverted": _inverted,
}
