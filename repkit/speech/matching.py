"""Conversion by matching of frames, and closed forms for what a decoder gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.fft import dct

from repkit import _arguments
from repkit.audio import statistics
from repkit.metrics.speaker._frames import frame_arrays
from repkit.speech.neighbors_in_time import joined

__all__ = ["blend_source", "match_frames", "match_moments", "match_voice"]

MOST_CONTEXT = 100


def match_frames(
    X: Any, reference: Any, reference_frames: Any = None, *, n_neighbors: int = 4
) -> list[np.ndarray]:
    """Say what X says with frames of a reference: the mean of those that are nearest by cosine.

    It needs no training and keeps the voice of the reference (Baas et al. 2023, kNN-VC), with as
    much of what is said as the vectors tell.

    Parameters
    ----------
    X : array of shape (T, d), or list of them
        Vectors along the time of what is to be said: frames, or what
        `repkit.SpeechAutoencoder.transform_frames` gives.
    reference : array of shape (K, d), or list of them
        The same of utterances of the voice.
    reference_frames : array of shape (K, D), or list of them, optional
        What is given back of the reference, row by row of it. Default: its vectors themselves.
    n_neighbors : int, default=4
        Frames of the reference of which the mean is taken.

    Returns
    -------
    list of ndarray of shape (T, D)
        One for each of X.

    Raises
    ------
    ValueError
        If input is not finite, or shapes do not match.

    Examples
    --------
    >>> from repkit.speech import match_frames
    >>> match_frames([[2.0, 0.1], [0.0, 3.0]], [[1.0, 0.0], [0.0, 1.0]], n_neighbors=1)[0].tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    sequences, known = _several(X, "X"), _several(reference, "reference")
    given = known
    if reference_frames is not None:
        given = _several(reference_frames, "reference_frames")
        if [len(a) for a in known] != [len(a) for a in given]:
            raise ValueError(
                "reference_frames must have a row for each of reference, "
                f"{[len(a) for a in known]} rows, not {[len(a) for a in given]}"
            )
    _same_columns(sequences, known, "reference")
    n_neighbors = _arguments.integer(n_neighbors, "n_neighbors", 1, sum(map(len, known)))
    match = _matcher(np.concatenate(known), np.concatenate(given), n_neighbors, "cosine")
    return [match(x) for x in sequences]


def match_voice(
    X: Any,
    reference: Any,
    *,
    source: Any = None,
    n_neighbors: int = 4,
    context: int = 1,
    blend: float = 0.5,
    n_cepstra: int = 7,
) -> list[np.ndarray]:
    """Say what X says in the voice of a reference: matching of frames that are scaled by speaker.

    Log-mel frames of both people are brought to mean 0 and deviation 1, each by their own frames.
    A frame of X, with its neighbors in time, is then put in the place of those of the reference
    that are nearest by Euclidean distance, as they are and on average. Their mean is blurred;
    ``blend`` adds some of X itself, at the reference's mean and deviation, to the broad shape of
    the spectrum, which tells what is said. The finer shape is the voice's own. It needs no training
    and no network. `match_frames` matches vectors of any kind as they are (Baas et al. 2023).

    Parameters
    ----------
    X : array of shape (T, D), or list of them
        Log-mel frames of one person, as `repkit.audio.extract` gives them.
    reference : array of shape (K, D), or list of them
        The same of the person who is to speak; the words may be others. In the benchmark of Arabic
        words 20 seconds cost a point or two of words and voice beside 50, and 5 seconds twice that.
    source : array of shape (N, D), or list of them, optional
        Frames of the one who speaks in X, by which X is scaled. Default: X. In that benchmark five
        words were about as good as 80, and X alone, one word, cost seven points of the words.
    n_neighbors : int, default=4
        Frames of the reference of which the mean is taken. More blur the voice.
    context : int, default=1
        Frames on either side that are compared, too.
    blend : float, default=0.5
        Share of X in the broad shape, from 0 to 1. More keeps more of the words and less of the
        voice.
    n_cepstra : int, default=7
        Cepstral coefficients, from the zeroth on, that make the broad shape. With as many as there
        are bands, or more, X is blended with all of the result.

    Returns
    -------
    list of ndarray of shape (T, D)
        Log-mel frames, one array for each of X; see `repkit.audio.to_waveform`.

    Raises
    ------
    ValueError
        If input is not finite, columns do not match, or a number is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from repkit.speech import match_voice
    >>> rng = np.random.default_rng(0)
    >>> low = rng.normal(size=(200, 8))
    >>> high = 5 + 2 * rng.normal(size=(300, 8))
    >>> (said,) = match_voice(low[:20], high, source=low)
    >>> bool(abs(said.mean() - 5) < 0.5)
    True
    """
    sequences, voice, own = _people(X, reference, source)
    rows, lengths = np.concatenate(voice), [len(y) for y in voice]
    n_neighbors = _arguments.integer(n_neighbors, "n_neighbors", 1, len(rows))
    context = _arguments.integer(context, "context", 0, MOST_CONTEXT)
    blended = _blending(rows.shape[1], blend, n_cepstra)
    (mean, std), (own_mean, own_std) = statistics(voice), statistics(own)
    table = joined((rows - mean) / std, lengths, context)
    match = _matcher(table, rows, n_neighbors, "euclidean")

    def converted(x: np.ndarray) -> np.ndarray:
        scaled = (x - own_mean) / own_std
        near = match(joined(scaled, [len(x)], context))
        return blended(near, scaled * std + mean)

    return [converted(x) for x in sequences]


def blend_source(
    X: Any,
    said: Any,
    reference: Any,
    *,
    source: Any = None,
    blend: float = 0.3,
    n_cepstra: int = 7,
) -> list[np.ndarray]:
    """Give conversions back some of what was said, in the broad shape of the spectrum.

    What was said is brought to the mean and deviation that the voice has, band by band, and a
    share of it takes the place of as much of the conversion, in the first cepstral coefficients.
    Those tell the word more than the voice. `match_voice` does the same with what it matches.

    In the benchmark of spoken digits it gained a point of the words and cost a point of the voice,
    after `match_moments`. Voices that the network had not heard in training lost more by it than
    the words gained (Arabic words, one draw).

    Parameters
    ----------
    X : array of shape (T, D), or list of them
        Log-mel frames that `repkit.SpeechAutoencoder.convert` gives.
    said : array of shape (T, D), or list of them
        Log-mel frames of the recordings that were converted, each as long as its conversion.
    reference : array of shape (K, D), or list of them
        The same of the voice, of any words.
    source : array of shape (N, D), or list of them, optional
        Frames of the one who speaks in ``said``, by which that is scaled. Default: ``said``.
    blend : float, default=0.3
        Share of what was said, from 0 to 1. More keeps more of the words and less of the voice.
    n_cepstra : int, default=7
        Cepstral coefficients, from the zeroth on, that are blended.

    Returns
    -------
    list of ndarray of shape (T, D)
        One for each of X.

    Raises
    ------
    ValueError
        If input is not finite, shapes do not match, or a number is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from repkit.speech import blend_source
    >>> rng = np.random.default_rng(0)
    >>> low, high = rng.normal(size=(200, 8)), 5 + 2 * rng.normal(size=(300, 8))
    >>> (found,) = blend_source(np.full((20, 8), 5.0), low[:20], high, source=low, blend=1.0)
    >>> bool(abs(found.mean() - 5) < 0.5)
    True
    """
    sequences, (heard, voice, own) = _several(X, "X"), _people(said, reference, source, "said")
    if [x.shape for x in heard] != [x.shape for x in sequences]:
        raise ValueError(
            "said must have the shapes of X, one of what was said for each conversion, "
            f"{[x.shape for x in sequences][:3]}, not {[x.shape for x in heard][:3]}"
        )
    blended = _blending(sequences[0].shape[1], blend, n_cepstra)
    (mean, std), (own_mean, own_std) = statistics(voice), statistics(own)
    pairs = zip(sequences, heard, strict=True)
    return [blended(x, (y - own_mean) / own_std * std + mean) for x, y in pairs]


def match_moments(X: Any, made: Any, real: Any) -> list[np.ndarray]:
    """Give rebuilt frames the spectrum and the variance along the time that real ones have.

    What a decoder learned by mean squares is too smooth. Each column of an utterance is scaled
    about its own mean, by the root of what real utterances vary on average over what rebuilt ones
    do (global variance, Toda et al. 2007). Then it is moved by what the mean of real ones differs
    on average. The mean of all columns together, the level of an utterance, stays as it is.

    The figures of the voice itself suit best. In the benchmark of Arabic words, of voices that were
    never heard in training, an independent encoder took .75 of the conversions for the right person
    rather than .45, and no words were lost.

    Parameters
    ----------
    X : array of shape (T, D), or list of them
        Frames that `repkit.SpeechAutoencoder.convert` or another decoder gives.
    made : array of shape (K, D), or list of them
        Utterances made in the same way, of the same voice and of any words: recordings of others,
        say, converted to it.
    real : array of shape (N, D), or list of them
        Frames of recordings of that voice, of any words. Of spoken digits a hundred of them and of
        ``made`` were enough; thirty cost a point of the words, and ten six points.

    Returns
    -------
    list of ndarray of shape (T, D)
        One for each of X.

    Raises
    ------
    ValueError
        If input is not finite, or columns do not match.

    References
    ----------
    Toda, Black and Tokuda, "Voice conversion based on maximum-likelihood estimation of spectral
    parameter trajectory", IEEE TASLP 2007.

    Examples
    --------
    >>> import numpy as np
    >>> from repkit.speech import match_moments
    >>> rng = np.random.default_rng(0)
    >>> made = [0.5 * rng.normal(size=(50, 4)) for _ in range(20)]
    >>> real = [rng.normal(size=(50, 4)) for _ in range(20)]
    >>> (found,) = match_moments(made[0], made, real)
    >>> float((found.std() / made[0].std()).round(1))
    2.0
    """
    sequences = _several(X, "X")
    moments = []
    for given, name in ((made, "made"), (real, "real")):
        utterances = _several(given, name)
        _same_columns(sequences, utterances, name)
        mean = np.mean([x.mean(0) - x.mean() for x in utterances], 0)
        moments.append((mean, np.mean([x.var(0) for x in utterances], 0)))
    (mean, smooth), (wanted_mean, wanted) = moments
    factor = np.sqrt(np.divide(wanted, smooth, out=np.ones_like(wanted), where=smooth > 0.0))
    return [x.mean(0) + wanted_mean - mean + factor * (x - x.mean(0)) for x in sequences]


def _blending(
    n_bands: int, blend: float, n_cepstra: int
) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """A function that moves frames towards others in the broad shape of the spectrum."""
    blend = _arguments.number(blend, "blend", 0.0, 1.0)
    n_cepstra = _arguments.integer(n_cepstra, "n_cepstra")
    cosines = dct(np.eye(n_bands), norm="ortho")[:, :n_cepstra]

    def blended(made: np.ndarray, said: np.ndarray) -> np.ndarray:
        # The zeroth to the last cepstral coefficient of what differs, and back.
        moved: np.ndarray = made + blend * ((said - made) @ cosines) @ cosines.T
        return moved

    return blended


def _matcher(
    table: np.ndarray, rows: np.ndarray, n: int, metric: str
) -> Callable[[np.ndarray], np.ndarray]:
    """A function that gives the mean of the rows whose entries in the table are nearest."""
    from sklearn.neighbors import KNeighborsRegressor

    return KNeighborsRegressor(n, metric=metric, algorithm="brute").fit(table, rows).predict


def _people(
    X: Any, reference: Any, source: Any, name: str = "X"
) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
    """What is said, frames of the voice, and those of the one who says it: by default the same."""
    said, voice = _several(X, name), _several(reference, "reference")
    own = said if source is None else _several(source, "source")
    _same_columns(said, voice, "reference", name)
    _same_columns(said, own, "source", name)
    return said, voice, own


def _same_columns(X: list[np.ndarray], other: list[np.ndarray], name: str, of: str = "X") -> None:
    if X[0].shape[1] != other[0].shape[1]:
        raise ValueError(
            f"{name} must have the {X[0].shape[1]} columns of {of}, not {other[0].shape[1]}"
        )


def _several(X: Any, name: str) -> list[np.ndarray]:
    """A sequence of frames, or one alone."""
    shape = getattr(X, "ndim", None)
    if shape is None and len(X) and np.ndim(X[0]) == 1:
        shape = 2
    return frame_arrays([X] if shape == 2 else X, name)
