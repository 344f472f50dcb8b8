"""Displays of speech: both vectors of utterances in the plane, and frames over time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.utils import check_consistent_length

from repkit._random import legacy_generator
from repkit.plots.embedding import scatter, to_plane
from repkit.plots.figure import take_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class SpeechVectorsDisplay:
    """Phonetic and speaker vectors in the plane, each colored by word and by speaker.

    Parameters
    ----------
    points : mapping of str to ndarray of shape (n, 2)
        By the name of the vectors.
    colorings : mapping of str to ndarray of shape (n,)
        What each is colored by.

    Attributes
    ----------
    ax_ : list of Axes
    figure_ : Figure
    """

    ax_: list[Axes]
    figure_: Figure

    def __init__(self, points: Mapping[str, Any], colorings: Mapping[str, Any]) -> None:
        self.points = {name: np.asarray(value) for name, value in points.items()}
        self.colorings = {name: np.asarray(value) for name, value in colorings.items()}
        if not self.points or not self.colorings:
            raise ValueError("points and colorings must not be empty, or there is nothing to draw")
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
        """Reduce both vectors of a fitted `SpeechAutoencoder` to the plane by UMAP.

        Parameters
        ----------
        estimator : SpeechAutoencoder
        X : list, array, str or Path
            Utterances.
        words, speakers : array-like of shape (n,)
        max_points : int
            Utterances drawn at random when there are more.
        random_state : int, RandomState or None
        ax : sequence of four Axes, optional

        Raises
        ------
        TypeError
            If the estimator has no two vectors of an utterance.
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
            {name: to_plane(value[rows], seed=seed) for name, value in vectors.items()},
            {"word": words[rows], "speaker": speakers[rows]},
        )
        return display.plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw; ``ax`` is one Axes for each kind of vectors and coloring."""
        panels = [(v, c) for v in self.points for c in self.colorings]
        self.ax_, self.figure_ = take_axes(ax, [(5.2, 4.2)] * len(panels), each="panel")
        for axes, (vectors, coloring) in zip(self.ax_, panels, strict=True):
            values = self.colorings[coloring]
            names = {kind: str(kind) for kind in np.unique(values)}
            scatter(axes, self.points[vectors], values, names)
            axes.set_title(f"{vectors} by {coloring}")
        return self


class SpectrogramDisplay:
    """Frames over time, side by side in one scale of colors.

    Parameters
    ----------
    frames : mapping of str to array of shape (T, D)
        Log-mel frames by their titles: an input, its reconstruction, a conversion.

    Attributes
    ----------
    ax_ : list of Axes
    figure_ : Figure
    """

    ax_: list[Axes]
    figure_: Figure

    def __init__(self, frames: Mapping[str, Any]) -> None:
        self.frames = {name: np.asarray(value) for name, value in frames.items()}
        if not self.frames:
            raise ValueError("frames must not be empty, or there is nothing to draw")
        for name, value in self.frames.items():
            if value.ndim != 2 or not value.size:
                raise ValueError(f"frames[{name!r}] must have shape (T, D), not {value.shape}")

    def plot(self, ax: Any = None) -> Self:
        """Draw; ``ax`` is one Axes for each."""
        self.ax_, self.figure_ = take_axes(ax, [(3.4, 2.6)] * len(self.frames), each="spectrogram")
        low = min(value.min() for value in self.frames.values())
        high = max(value.max() for value in self.frames.values())
        for axes, (name, value) in zip(self.ax_, self.frames.items(), strict=True):
            axes.imshow(value.T, origin="lower", aspect="auto", vmin=low, vmax=high)
            axes.set(title=name, xlabel="frame", ylabel="band")
        return self
