"""Probes for words and speakers: what simple classifiers read in frozen vectors."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from repkit import _arguments
from repkit._random import generator
from repkit.metrics._arrays import feature_matrix, label_vector, same_width
from repkit.metrics._probe import logistic_probe, probe_classes
from repkit.metrics.speaker._frames import are_frames
from repkit.metrics.speaker._pooling import pooled

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

_LEAST_STEPS = 500  # of the MLP, however few rows there are
MOST_HIDDEN = 10**4
MOST_EPOCHS = 10**5


def probe_report(
    X_train: Any,
    y_train: Any,
    X_test: Any,
    y_test: Any,
    *,
    C: float = 1.0,
    n_hidden: int = 128,
    n_epochs: int = 60,
    random_state: Any = 0,
) -> dict[str, float]:
    """Score a linear and an MLP probe, beside chance and the same probes on random labels.

    Trust the MLP more: an adversary or an erasure often hides a label from linear probes only.

    Parameters
    ----------
    X_train : array of shape (n_train, ...)
        Frozen training vectors. Both probes standardize vectors by these.
    y_train : array of shape (n_train,)
        Training labels, such as words or speakers: at least two classes.
    X_test : array of shape (n_test, ...)
        Frozen test vectors, as wide as `X_train`.
    y_test : array of shape (n_test,)
        Test labels, all of classes in `y_train`.
    C : float, default=1.0
        Inverse strength of the linear probe's penalty, as in :func:`linear_probe`.
    n_hidden : int, default=128
        Hidden units of the MLP, scikit-learn's ``MLPClassifier``.
    n_epochs : int, default=60
        Most passes of the MLP over the training rows. If these are few, as many as make 500 steps.
    random_state : int, RandomState, Generator or None, default=0
        Draws the MLP's first weights, the order of rows, and the random labels.

    Returns
    -------
    scores : dict of str to float
        ``linear`` and ``mlp``: accuracies on the test rows. ``chance``: share of the most frequent
        test label, which the best constant answer gets right. ``linear_random`` and
        ``mlp_random``: accuracies after training labels were shuffled. If these are not near
        chance, the test is unfair.

    Raises
    ------
    ValueError
        If input is not finite, shapes do not match, there is one class, or a test class is missing
        from training.
    """
    X_train, X_test = _vectors(X_train, X_test, ("X_train", "X_test"))
    y_train = label_vector(y_train, "y_train", len(X_train), "X_train")
    y_test = label_vector(y_test, "y_test", len(X_test), "X_test")
    probe_classes(y_train, y_test)
    rng = generator(random_state)
    labels = [y_train, rng.permutation(y_train)]
    probes = Probes(C, n_hidden, n_epochs, rng).fit(X_train, labels)
    true, shuffled = probes.predict(X_test)
    return {
        **accuracies(true, y_test, "{}"),
        "chance": majority_share(y_test),
        **accuracies(shuffled, y_test, "{}_random"),
    }


def swap_test(
    converted: Any,
    target_speakers: Any,
    words: Any,
    real: Any,
    real_speakers: Any,
    real_words: Any,
    *,
    source_speakers: Any = None,
    C: float = 1.0,
    n_hidden: int = 128,
    n_epochs: int = 60,
    random_state: Any = 0,
) -> dict[str, float]:
    """Ask probes of real utterances who speaks in converted ones, and which word.

    A converted utterance holds the word of one utterance, decoded with the speaker of another. A
    good conversion is heard as the target speaker and still as the word. One that ignores the
    speaker is heard as the source speaker.

    Parameters
    ----------
    converted : array of shape (n, d), or sequence of n arrays of shape (T_i, d)
        Vectors of the converted utterances, or their frames, of which :func:`mean_std` is taken.
    target_speakers : array of shape (n,)
        Whose voice each conversion asked for.
    words : array of shape (n,)
        Word of each converted utterance.
    real : array of shape (m, d), or sequence of m arrays of shape (T_i, d)
        Vectors or frames of real utterances that train the probes. None of them should have been
        converted.
    real_speakers : array of shape (m,)
        Speaker of each real utterance.
    real_words : array of shape (m,)
        Word of each real utterance.
    source_speakers : array of shape (n,), optional
        Who said the utterances that were converted.
    C : float, default=1.0
        Inverse strength of the linear probe's penalty, as in :func:`linear_probe`.
    n_hidden : int, default=128
        Hidden units of the MLP, scikit-learn's ``MLPClassifier``.
    n_epochs : int, default=60
        Most passes of the MLP over the training rows. If these are few, as many as make 500 steps.
    random_state : int, RandomState, Generator or None, default=0
        Draws the MLP's first weights and the order of rows.

    Returns
    -------
    scores : dict of str to float
        ``speaker_linear``, ``speaker_mlp``: share heard as the target speaker. ``word_linear``,
        ``word_mlp``: share heard as the word. ``speaker_chance``, ``word_chance``: share of the
        most frequent target speaker and word. With `source_speakers` also ``source_linear`` and
        ``source_mlp``: share heard as the source speaker.

    Raises
    ------
    ValueError
        If input is not finite, shapes do not match, or a label is missing from the real utterances.
    """
    X_real, X = (
        pooled(given, name) if are_frames(given, name) else given
        for given, name in ((real, "real"), (converted, "converted"))
    )
    X_real, X = _vectors(X_real, X, ("real", "converted"))
    speaker = label_vector(real_speakers, "real_speakers", len(X_real), "real")
    word = label_vector(real_words, "real_words", len(X_real), "real")

    def answers(y: Any, name: str, known: np.ndarray, known_name: str) -> np.ndarray:
        y = label_vector(y, name, len(X), "converted")
        probe_classes(known, y, (known_name, name))
        return y

    target = answers(target_speakers, "target_speakers", speaker, "real_speakers")
    said = answers(words, "words", word, "real_words")
    probes = Probes(C, n_hidden, n_epochs, generator(random_state))
    source = None
    if source_speakers is not None:
        source = answers(source_speakers, "source_speakers", speaker, "real_speakers")
    voices, heard = probes.fit(X_real, [speaker, word]).predict(X)
    scores = accuracies(voices, target, "speaker_{}") | accuracies(heard, said, "word_{}")
    if source is not None:
        scores |= accuracies(voices, source, "source_{}")
    return {
        **scores,
        "speaker_chance": majority_share(target),
        "word_chance": majority_share(said),
    }


class Probes:
    """A linear and an MLP probe for each of several label vectors of the same rows."""

    def __init__(self, C: float, n_hidden: int, n_epochs: int, rng: np.random.Generator) -> None:
        _arguments.integer(n_hidden, "n_hidden", 1, MOST_HIDDEN)
        _arguments.integer(n_epochs, "n_epochs", 1, MOST_EPOCHS)
        self.linear = logistic_probe(C)
        self.n_hidden, self.n_epochs, self.rng = n_hidden, n_epochs, rng

    def fit(self, X: np.ndarray, labels: Sequence[np.ndarray]) -> Probes:
        """Fit rows (n, d) and label vectors (n,)."""
        from sklearn.base import clone

        self.fitted_ = []
        for y in labels:
            classes, codes = np.unique(y, return_inverse=True)
            self.fitted_.append((classes, clone(self.linear).fit(X, codes), self._mlp(X, codes)))
        return self

    def _mlp(self, X: np.ndarray, y: np.ndarray) -> Pipeline:
        from sklearn.neural_network import MLPClassifier
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        batches = -(-len(X) // min(200, len(X)))
        network = MLPClassifier(
            (self.n_hidden,),
            learning_rate_init=3e-3,
            max_iter=max(self.n_epochs, -(-_LEAST_STEPS // batches)),
            random_state=int(self.rng.integers(2**31)),
        )
        with warnings.catch_warnings():  # the passes are limited on purpose
            warnings.simplefilter("ignore", ConvergenceWarning)
            return make_pipeline(StandardScaler(), network).fit(X, y)

    def predict(self, X: np.ndarray) -> list[dict[str, np.ndarray]]:
        """Give for each label vector the labels (m,) that both probes predict."""
        return [
            {"linear": classes[linear.predict(X)], "mlp": classes[mlp.predict(X)]}
            for classes, linear, mlp in self.fitted_
        ]


def accuracies(predicted: dict[str, np.ndarray], y: np.ndarray, name: str) -> dict[str, float]:
    """Give the share that each probe has right; `name` makes "speaker_linear" of "linear"."""
    return {name.format(probe): float(np.mean(p == y)) for probe, p in predicted.items()}


def majority_share(y: np.ndarray) -> float:
    """Give the share of the most frequent label, which the best constant answer gets right."""
    return float(np.unique(y, return_counts=True)[1].max() / len(y))


def _vectors(X_train: Any, X_test: Any, names: tuple[str, str]) -> tuple[np.ndarray, np.ndarray]:
    train, test = feature_matrix(X_train, names[0]), feature_matrix(X_test, names[1])
    same_width(train, test, names)
    return train, test
