"""Displays of speech: both vectors of utterances in the plane, and frames over time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.utils import check_consistent_length

from repkit._arguments import mapping, named
from repkit._random import legacy_generator
from repkit.metrics._arrays import feature_matrix
from repkit.plots.embedding import to_plane
from repkit.plots.figure import scatter_by_label, take_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "SpectrogramDisplay",
    "SpeechVectorsDisplay",
]


class SpeechVectorsDisplay:
    """Phonetic and speaker vectors in the plane, each colored by word and by speaker.

    Parameters
    ----------
    points : mapping of str to ndarray of shape (n, 2)
        Points in the plane for each kind of vectors, by name.
    colorings : mapping of str to ndarray of shape (n,)
        Values to color by, such as the words, by name: classes, of which None, NaN and -1 are not
        known and drawn in gray, or numbers (floats, some of them not whole) on a scale of colors.

    Attributes
    ----------
    ax_ : list of Axes
        One for each kind of vectors and coloring.
    figure_ : Figure
        The figure that holds the Axes.

    Raises
    ------
    ValueError
        If a mapping is empty, or shapes do not match.
    """

    ax_: list[Axes]
    figure_: Figure

    def __init__(self, points: Mapping[str, Any], colorings: Mapping[str, Any]) -> None:
        mapping(points, "points", "points (n, 2) by name")
        mapping(colorings, "colorings", "labels (n,) by name")
        self.points = {k: feature_matrix(v, f"points[{k!r}]") for k, v in points.items()}
        self.colorings = {name: np.asarray(value) for name, value in colorings.items()}
        if not self.points or not self.colorings:
            raise ValueError("points and colorings must not be empty, or there is nothing to draw")
        with named("colorings", "of as many entries as points has rows"):
            check_consistent_length(*self.points.values(), *self.colorings.values())
        for name, value in self.points.items():
            if value.ndim != 2 or value.shape[1] != 2:
                raise ValueError(f"points[{name!r}] must have shape (n, 2), not {value.shape}")

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        words: Any,
        speakers: Any,
        *,
        max_points: int = 2000,
        random_state: Any = None,
        ax: Any = None,
    ) -> Self:
        """Reduce both vectors of a fitted `SpeechAutoencoder` to the plane by UMAP of cosines.

        The first map of a process compiles UMAP, which takes about half a minute.

        Parameters
        ----------
        estimator : fitted SpeechAutoencoder
            Its ``transform_phonetic`` and ``transform_speaker`` give the vectors.
        X : list, array, str or Path
            Utterances, as the estimator takes them.
        words : array-like of shape (n,)
            Word of each utterance.
        speakers : array-like of shape (n,)
            Speaker of each utterance.
        max_points : int, default=2000
            Most utterances to draw, chosen at random.
        random_state : int, RandomState, Generator or None, default=None
            Chooses the utterances and seeds UMAP.
        ax : sequence of four Axes, optional
            Where to draw. Default: a new figure.

        Returns
        -------
        display : SpeechVectorsDisplay
            The display, drawn.

        Raises
        ------
        ImportError
            If matplotlib or umap-learn is missing: install the extra `plots`.
        TypeError
            If the estimator does not give two vectors for an utterance.
        ValueError
            If there is not one word and one speaker for each utterance.
        """
        if not hasattr(estimator, "transform_phonetic"):
            raise TypeError(
                "estimator must have the method transform_phonetic, as SpeechAutoencoder "
                f"has; {type(estimator).__name__} does not have it"
            )
        vectors = {
            "phonetic vectors": estimator.transform_phonetic(X),
            "speaker vectors": estimator.transform_speaker(X),
        }
        words, speakers = np.asarray(words), np.asarray(speakers)
        check_consistent_length(*vectors.values(), words, speakers)
        rng = legacy_generator(random_state)
        rows = np.sort(rng.permutation(len(words))[:max_points])
        seed = int(rng.randint(2**31 - 1))
        display = cls(
            {k: to_plane(v[rows], seed=seed, metric="cosine") for k, v in vectors.items()},
            {"word": words[rows], "speaker": speakers[rows]},
        )
        return display.plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw the points.

        Parameters
        ----------
        ax : sequence of Axes, optional
            Where to draw. Default: a new figure.

        Returns
        -------
        display : SpeechVectorsDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is missing: install the extra `plots`.
        ValueError
            If `ax` does not hold one Axes for each kind of vectors and coloring.
        """
        panels = [(v, c) for v in self.points for c in self.colorings]
        self.ax_, self.figure_ = take_axes(ax, [(5.2, 4.2)] * len(panels), each="panel")
        for axes, (vectors, coloring) in zip(self.ax_, panels, strict=True):
            scatter_by_label(axes, self.points[vectors], self.colorings[coloring])
            axes.set_title(f"{vectors} by {coloring}")
        return self


class SpectrogramDisplay:
    """Frames over time, side by side in one scale of colors, with units over them if there are any.

    Parameters
    ----------
    frames : mapping of str to array of shape (T, D)
        T log-mel frames of D bands under each title: an input, its reconstruction, a conversion.
    units : mapping of str to array of int of shape (K,), optional
        Units of the frames of some of the titles, spread evenly over the T frames, as
        `SpeechAutoencoder.transform_units` gives them. A line stands where the unit changes, and
        the number of the unit over each run.

    Attributes
    ----------
    ax_ : list of Axes
        One for each entry of `frames`.
    figure_ : Figure
        The figure that holds the Axes.

    Raises
    ------
    TypeError, ValueError
        If `frames` is empty, an entry has another shape, or units are not whole numbers of a title
        of `frames`.
    """

    ax_: list[Axes]
    figure_: Figure

    def __init__(self, frames: Mapping[str, Any], units: Mapping[str, Any] | None = None) -> None:
        mapping(frames, "frames", "frames (T, D) by name")
        self.frames = {name: np.asarray(value) for name, value in frames.items()}
        if not self.frames:
            raise ValueError("frames must not be empty, or there is nothing to draw")
        for name, value in self.frames.items():
            if value.ndim != 2 or not value.size:
                raise ValueError(f"frames[{name!r}] must have shape (T, D), not {value.shape}")
        if units is not None:
            mapping(units, "units", "units (K,) by name of frames")
        self.units = {name: np.asarray(value) for name, value in (units or {}).items()}
        for name, value in self.units.items():
            if name not in self.frames:
                raise ValueError(
                    f"units must have names of frames, {', '.join(map(repr, self.frames))}, not "
                    f"{name!r}"
                )
            if value.ndim != 1 or not value.size or value.dtype.kind not in "iu":
                raise ValueError(
                    f"units[{name!r}] must be whole numbers of shape (K,), not {value.dtype} of "
                    f"shape {value.shape}"
                )

    def plot(self, ax: Any = None) -> Self:
        """Draw the spectrograms.

        Parameters
        ----------
        ax : sequence of Axes, optional
            Where to draw. Default: a new figure.

        Returns
        -------
        display : SpectrogramDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is missing: install the extra `plots`.
        ValueError
            If `ax` does not hold one Axes for each entry of `frames`.
        """
        # As wide as the numbers of units need, and the most that a page holds.
        width = {k: min(max(3.4, 0.16 * len(self.units.get(k, ()))), 14.0) for k in self.frames}
        sizes = [(width[name], 2.6) for name in self.frames]
        self.ax_, self.figure_ = take_axes(ax, sizes, each="spectrogram")
        low = min(value.min() for value in self.frames.values())
        high = max(value.max() for value in self.frames.values())
        for axes, (name, value) in zip(self.ax_, self.frames.items(), strict=True):
            axes.imshow(value.T, origin="lower", aspect="auto", vmin=low, vmax=high)
            axes.set(title=name, xlabel="frame", ylabel="band")
            if name in self.units:
                self._write_units(axes, self.units[name], len(value))
        return self

    def _write_units(self, axes: Axes, units: np.ndarray, n_frames: int) -> None:
        """Lines between runs, and the number of each run above the frames."""
        edges = np.concatenate([[0], np.flatnonzero(np.diff(units)) + 1, [len(units)]])
        places = edges * (n_frames / len(units)) - 0.5
        for place in places[1:-1]:
            axes.axvline(place, color="white", linewidth=0.5)
        for first, last, unit in zip(places[:-1], places[1:], units[edges[:-1]], strict=True):
            middle = 0.5 * (first + last)
            where = axes.get_xaxis_transform()
            axes.text(middle, 1.0, str(unit), transform=where, fontsize=5, ha="center", va="bottom")
        axes.set_title(axes.get_title(), pad=10)
