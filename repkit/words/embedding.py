"""`AcousticWordEmbedding`: one vector a word, of an auto-encoder and of networks that learn it."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.preprocessing import normalize
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted

from repkit import _arguments, recipes
from repkit._arguments import shown
from repkit.audio import as_utterances
from repkit.audio.reading import find, folder_speakers
from repkit.dann import DANN, NoTargetWarning
from repkit.speech import FramePosteriors, SpeakerScaler, SpeechAutoencoder, SpeechFrames
from repkit.speech.by_speaker import BySpeaker
from repkit.speech.speakers import read_speakers
from repkit.speech.utterance_input import UtteranceFrames, is_table
from repkit.words.pictures import as_pictures

__all__ = ["AcousticWordEmbedding"]

ROUNDS, TEMPERATURE = 3, 4.0  # of the clusters
FEWEST = 8  # utterances of a fit
MOST = 2**14


class AcousticWordEmbedding(BySpeaker, BaseEstimator):
    """Turn recordings of words into vectors that are near for one word, whoever says it.

    An auto-encoder of speech gives phonetic vectors, which are brought to the mean and deviation
    of their speakers. Clusters of them, found without a word, are labels for a network that sees
    pictures of the sound, stretched, shifted and masked: it must find the cluster whatever the
    voice and the tempo (DeepCluster: Caron et al. 2018; SpecAugment: Park et al. 2019). What it
    computes before its last layer stands beside the phonetic vectors. There is one network for each
    number of clusters.

    In the benchmark of Arabic words, a linear probe of the phonetic vectors reads .91 of the words
    of people whom nobody had heard before, and of these vectors .93; the two networks take about a
    fifth of the auto-encoder's time. Around an auto-encoder of 800 steps they have .92, in ten
    minutes of one core altogether. It is for one vector a word. For sentences and frames, see
    `repkit.speech.FramePosteriors` and `repkit.speech.FrameNetwork`.

    Parameters
    ----------
    autoencoder : SpeechAutoencoder, optional
        What gives the phonetic vectors; it is cloned and fitted. One that is fitted already stays
        as it is within ``sklearn.frozen.FrozenEstimator``. It must read sound as log-mel bands.
        Default: ``SpeechAutoencoder(**recipes.speech("words"))``.
    classifier : estimator, optional
        A classifier of pictures (n, 1, D, 48) whose ``transform`` gives vectors; it is cloned for
        each number of clusters. Default: ``DANN(**recipes.dann("word-clusters"))``.
    n_clusters : int or tuple of int, default=(40, 80)
        Clusters that each network tells apart. One to several times the number of different words
        will do. There is at most one for four recordings.
    random_state : int, RandomState or None, default=None
        Seed of everything random. With None, the auto-encoder and the classifiers keep their own.

    Attributes
    ----------
    autoencoder_ : SpeechAutoencoder
        The fitted auto-encoder.
    clusters_ : list of FramePosteriors
        What found the clusters, for each number of them.
    classifiers_ : list of estimator
        The fitted networks; none for a number that gave one cluster alone.
    scalers_ : list of SpeakerScaler
        What scales the phonetic vectors, and those of each network.
    labels_ : ndarray of int of shape (n, k)
        The cluster of each usable recording of ``fit``, for each of the k numbers of clusters.
    n_features_in_ : int
        Samples of a waveform, where ``fit`` was given an array of them.

    Examples
    --------
    >>> from repkit import DANN, SpeechAutoencoder
    >>> from repkit.datasets import make_speech
    >>> from repkit.words import AcousticWordEmbedding
    >>> data = make_speech(3, 4, 4, random_state=0)
    >>> short = {"max_epochs": 1, "steps_per_epoch": 2}
    >>> model = AcousticWordEmbedding(
    ...     SpeechAutoencoder(8, sample_rate=8000, **short), DANN(width=16, **short), n_clusters=4
    ... )
    >>> model.fit(data.data, speaker=data.speaker).transform(data.data, speaker=data.speaker).shape
    (48, 24)
    """

    def __init__(
        self,
        autoencoder: SpeechAutoencoder | FrozenEstimator | None = None,
        classifier: Any = None,
        *,
        n_clusters: int | tuple[int, ...] = (40, 80),
        random_state: Any = None,
    ) -> None:
        self.autoencoder = autoencoder
        self.classifier = classifier
        self.n_clusters = n_clusters
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None, *, speaker: Any = None) -> Self:
        """Train the auto-encoder, find clusters, and train the networks that tell them.

        Parameters
        ----------
        X : list, array, str or Path
            Recordings of one word each, in the forms that `repkit.SpeechAutoencoder.fit` takes;
            at least 8.
        y : None
            Not read.
        speaker : array-like of shape (n,), optional
            Who speaks in each recording, labels of any kind; -1 where it is unknown. Without names,
            files of a folder that lie in several sub-folders have those of the sub-folders. Where
            nobody is known, clusters are of voices as much as of words.

        Returns
        -------
        AcousticWordEmbedding
            Itself, fitted.

        Raises
        ------
        repkit.audio.AudioError
            (a ``ValueError``) If a recording cannot be used, and the auto-encoder's ``on_error`` is
            "raise".
        TypeError, ValueError
            If a parameter is out of its range, the auto-encoder reads anything but log-mel bands,
            there are fewer than 8 recordings, or ``speaker`` is of another length.

        Warns
        -----
        UserWarning
            If y is given and ``speaker`` is not.
        ConvergenceWarning
            If all recordings fall into one cluster. There is no network for it then.
        """
        if y is not None and speaker is None:
            warnings.warn(
                "y is not read: who speaks is given as speaker=, and without that, clusters are of "
                "voices as much as of words",
                stacklevel=2,
            )
        numbers = self._numbers()
        rng = check_random_state(self.random_state)
        classifier = self._classifier()
        autoencoder = self._fit_autoencoder(X, speaker, rng)
        if not hasattr(self, "classifiers_"):
            self.autoencoder_ = autoencoder  # kept, should the rest be interrupted
        with warnings.catch_warnings():
            if not isinstance(self.autoencoder, FrozenEstimator):  # its own fit has told of them
                warnings.filterwarnings("ignore", r"\d+ of \d+ utterances were skipped")
            found, p = autoencoder._frames_and_vectors(X)
        codes = self._codes(X, speaker, found)
        if len(p) < FEWEST:
            raise ValueError(
                f"X has {len(p)} recordings (n_samples={len(p)}) while a minimum of {FEWEST} is "
                "required to find clusters"
            )
        scalers = [SpeakerScaler().fit(p, speaker=codes)]
        scaled = scalers[0].transform(p, speaker=codes)
        pictures = as_pictures(found.frames)
        clusters, classifiers, labels = [], [], []
        for number in numbers:
            of = FramePosteriors(
                min(number, len(p) // 4),
                n_rounds=ROUNDS,
                context=0,
                temperature=TEMPERATURE,
                random_state=rng.randint(2**31),
            )
            label = of.fit(scaled).transform_units(scaled)
            clusters.append(of)
            labels.append(label)
            if label.min() == label.max():
                warnings.warn(
                    "all recordings fall into one cluster, in which there is nothing for a network "
                    "to learn: it is left out; more n_clusters or a longer training of the "
                    "auto-encoder may help",
                    ConvergenceWarning,
                    stacklevel=2,
                )
                continue
            model = self._seeded(clone(classifier), rng)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NoTargetWarning)  # clusters are all that is told
                model.fit(pictures, label)
            scalers.append(SpeakerScaler().fit(_features(model, pictures), speaker=codes))
            classifiers.append(model)
        self.autoencoder_, self.clusters_ = autoencoder, clusters
        self.classifiers_, self.scalers_ = classifiers, scalers
        self.labels_ = np.stack(labels, axis=1)
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self.autoencoder_, name):
                setattr(self, name, getattr(self.autoencoder_, name))
            elif hasattr(self, name):
                delattr(self, name)
        return self

    def transform(self, X: Any, *, speaker: Any = None) -> np.ndarray:
        """Give one vector a recording.

        Parameters
        ----------
        X : list, array, str or Path
            Recordings of any speakers, in the forms that ``fit`` takes.
        speaker : array-like of shape (n,), optional
            Who speaks in each recording, by whose recordings in X it is scaled: names of people
            whom ``fit`` has not heard will do. Without names, those of sub-folders, as in ``fit``;
            where a speaker is unknown, recordings are scaled as those of ``fit`` on average, and
            fewer words are told apart.

        Returns
        -------
        ndarray of shape (n, phonetic_dim + k * width)
            Float32 rows of length 1: the phonetic vectors, and those of each of the k networks, all
            at the same length. NaN where a recording was skipped.

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        repkit.audio.AudioError
            (a ``ValueError``) If a recording cannot be used, and the auto-encoder's ``on_error`` is
            "raise".
        ValueError
            If ``speaker`` is of another length.
        """
        check_is_fitted(self)
        found, p = self.autoencoder_._frames_and_vectors(X)
        codes = self._codes(X, speaker, found)
        pictures = as_pictures(found.frames)
        given = [p, *(_features(model, pictures) for model in self.classifiers_)]
        parts = [
            normalize(scaler.transform(x, speaker=codes)) / np.sqrt(len(given))
            for scaler, x in zip(self.scalers_, given, strict=True)
        ]
        return found.spread(np.hstack(parts).astype(np.float32))

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Name the columns that `transform` gives.

        Parameters
        ----------
        input_features : array-like of str, optional
            Not read.

        Returns
        -------
        ndarray of str
            "phonetic0", "phonetic1" and so on, then "network0_0" and so on.
        """
        check_is_fitted(self)
        kinds = ["phonetic", *(f"network{k}_" for k in range(len(self.classifiers_)))]
        widths = [scaler.n_features_in_ for scaler in self.scalers_]
        names = [f"{kind}{j}" for kind, n in zip(kinds, widths, strict=True) for j in range(n)]
        return np.array(names, dtype=object)

    def _numbers(self) -> tuple[int, ...]:
        """How many clusters each network tells apart."""
        given = self.n_clusters
        numbers = given if isinstance(given, tuple | list) else (given,)
        if not numbers:
            raise ValueError(f"n_clusters must name at least one number, not {shown(given)}")
        return tuple(_arguments.integer(k, "n_clusters", 1, MOST) for k in numbers)

    def _classifier(self) -> Any:
        if self.classifier is not None:
            for method in ("fit", "transform"):
                if not hasattr(self.classifier, method):
                    raise TypeError(
                        f"classifier must have a method {method}, as DANN has, unlike "
                        f"{shown(self.classifier)}"
                    )
            return self.classifier
        return DANN(**recipes.dann("word-clusters"))

    def _fit_autoencoder(self, X: Any, speaker: Any, rng: np.random.RandomState) -> Any:
        """Fit it, unless it is frozen."""
        given = self.autoencoder
        frozen = isinstance(given, FrozenEstimator)
        if given is None:
            given = SpeechAutoencoder(**recipes.speech("words"))
        model = given.estimator if frozen else given
        if not isinstance(model, SpeechAutoencoder):
            raise TypeError(
                "autoencoder must be a SpeechAutoencoder, fitted within a FrozenEstimator or not, "
                f"not {shown(self.autoencoder)}"
            )
        if frozen:
            check_is_fitted(model)
            kind = model.kind_
        else:  # an array has a waveform in each row
            kind = "audio" if is_table(X) else as_utterances(X, on_error=model.on_error).kind
        frames = SpeechFrames.of(model.front_end)
        if (kind, frames.kind, frames.deltas) != ("audio", "logmel", False):
            raise ValueError(
                "autoencoder must read sound as log-mel bands, with front_end='logmel' and without "
                f"deltas, to have pictures of it, not {kind} with front_end={model.front_end!r}"
            )
        if frozen:
            return model
        if speaker is not None and not isinstance(X, str | os.PathLike):
            read_speakers(speaker, len(X), name="speaker")
        with warnings.catch_warnings():
            if speaker is None:  # as the docstring has it
                warnings.filterwarnings("ignore", "no utterance is of known speaker")
            return self._seeded(clone(model), rng).fit(X, speaker)

    def _seeded(self, model: Any, rng: np.random.RandomState) -> Any:
        """The model, with a seed of its own if this one has any."""
        seed = rng.randint(2**31)
        if self.random_state is not None and "random_state" in model.get_params():
            model.set_params(random_state=seed)
        return model

    def _codes(self, X: Any, speaker: Any, found: UtteranceFrames) -> np.ndarray | None:
        """The number of each usable recording's speaker, -1 where it is unknown."""
        if speaker is None and isinstance(X, str | os.PathLike) and Path(X).is_dir():
            speaker = folder_speakers(find(Path(X)))
        if speaker is None:
            return None
        return read_speakers(speaker, found.n, name="speaker").codes[found.kept]

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "classifiers_")

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


def _features(model: Any, pictures: np.ndarray) -> np.ndarray:
    """What a network computes of pictures, a row of each."""
    found = np.asarray(model.transform(pictures))
    if found.ndim != 2 or len(found) != len(pictures):
        raise ValueError(
            f"the classifier's transform must give {len(pictures)} rows, not an array of shape "
            f"{found.shape}"
        )
    return found
