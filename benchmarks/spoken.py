"""Corpora of spoken words, and how what is learned of them is judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from repkit import DANN, SpeechAutoencoder, recipes
from repkit.audio import FrontEnd, as_utterances, extract
from repkit.datasets import load_fsdd, make_speech
from repkit.metrics import (
    disentanglement_report,
    linear_probe,
    mean_std,
    resampled_pca,
    swap_test,
)
from repkit.speech import SpeakerScaler, blend_source, match_moments, match_voice
from repkit.speech.erasure import erased, leace
from repkit.words import AcousticWordEmbedding

RATE = 8000
UNSEEN = "FSDD, unseen speaker"
STEPS = 20  # to which utterances are resampled for a network on pictures


@dataclass(frozen=True)
class Corpus:
    """Waveforms of words, and log-mel frames of them for those who need frames.

    Parameters
    ----------
    waves : list of ndarray
    word, speaker : ndarray of shape (n,)
    test : bool ndarray of shape (n,)
        Utterances of speakers that are in the training too.
    frames : list of ndarray of shape (T, 40)
    """

    waves: list[np.ndarray]
    word: np.ndarray
    speaker: np.ndarray
    test: np.ndarray
    frames: list[np.ndarray]

    def pick(self, rows: np.ndarray) -> list[np.ndarray]:
        return [self.waves[k] for k in np.flatnonzero(rows)]


def framed(waves: list[np.ndarray]) -> list[np.ndarray]:
    """Log-mel frames of waveforms that are brought to one level."""
    even = [w / max(float(np.sqrt(np.mean(np.square(w)))), 1e-8) * 0.05 for w in waves]
    return extract(as_utterances(even, sample_rate=RATE), FrontEnd(sample_rate=RATE)).frames


@cache
def corpus(name: str) -> Corpus:
    """Spoken digits, or made words; the first ten takes, or two, are to test on."""
    if name == "FSDD":
        data = load_fsdd("all")
        word, test = data.digit, data.take < 10
    else:
        data = make_speech(8, 12, 10, token_noise=2.0, random_state=0)
        word, test = data.word, data.take < 2
    waves = list(data.data)
    return Corpus(waves, np.asarray(word), np.asarray(data.speaker), test, framed(waves))


# ---------------------------------------------------------------- speakers that are known


def fit(c: Corpus, rows: np.ndarray, settings: Mapping[str, Any], device: str, seed: int):
    """A `SpeechAutoencoder` of some of the utterances; no word is shown to it."""
    model = SpeechAutoencoder(
        **{"sample_rate": RATE, **settings, "device": device, "random_state": seed}
    )
    return model.fit(c.pick(rows), c.speaker[rows])


def seen(name: str, settings: Mapping[str, Any], device: str, seed: int) -> dict[str, float]:
    """The figures of a model that is fitted here to a corpus."""
    c = corpus(name)
    return judge(c, fit(c, ~c.test, settings, device, seed), device)


def judge(c: Corpus, model: SpeechAutoencoder, device: str) -> dict[str, float]:
    """Its figures on the test utterances, and those of p erased and scaled.

    "erased" is what ``erase="leace"`` gives: the map is of the training utterances. "scaled by
    speaker" has the mean and deviation of all utterances of its speaker.
    """
    report = reported(
        c, model.transform_phonetic(c.waves), model.transform_speaker(c.waves), device
    )
    of_s = report.loc["speaker"]
    return {
        **phonetic_figures(report),
        "speaker of s": of_s.speaker_linear,
        "EER of s": of_s.eer,
        "word of s": of_s.word_linear,
        **converted(c, model, device),
    }


def reported(c: Corpus, p: np.ndarray, s: np.ndarray, device: str) -> Any:
    """The report of two kinds of vectors, with p erased and scaled by speaker beside them."""
    train = ~c.test
    others = {
        "erased": erased(p, *leace(p[train], c.speaker[train])),
        "scaled by speaker": SpeakerScaler()
        .fit(p[train], speaker=c.speaker[train])
        .transform(p, speaker=c.speaker),
    }
    return disentanglement_report(p, s, c.word, c.speaker, c.test, baselines=others, device=device)


def phonetic_figures(report: Any) -> dict[str, float]:
    """Those of p as it is, erased, and scaled by speaker."""
    found = {}
    for name in ("phonetic", "erased", "scaled by speaker"):
        row, more = report.loc[name], "" if name == "phonetic" else f", {name}"
        found[f"word{more}"] = row.word_linear
        found[f"speaker{more}"] = row.speaker_linear
        found[f"speaker, MLP{more}"] = row.speaker_mlp
        found[f"EER{more}"] = row.eer
        found[f"ABX across{more}"] = row.abx_across
        found[f"AP across{more}"] = row.ap_across
    return found


def converted(c: Corpus, model: SpeechAutoencoder, device: str) -> dict[str, float]:
    """Test words in the voice of another test utterance, drawn at random from all speakers."""
    rows, voices = conversions(c)
    frames = model.convert([c.waves[k] for k in rows], [c.waves[k] for k in voices])
    found = swapped(c, frames)
    even = moved(c, model, frames)
    for name, said in (("moments", even), ("moments, blended", blended(c, even))):
        found.update({f"{k}, {name}": v for k, v in swapped(c, said).items()})
    return found


def moved(c: Corpus, model: SpeechAutoencoder, frames: list[np.ndarray]) -> list[np.ndarray]:
    """The conversions, with spectrum and variance of the training utterances of each voice.

    What is made in that voice is training utterances of anybody, converted to it.
    """
    train, (_, voices) = np.flatnonzero(~c.test), conversions(c)
    partners = np.random.default_rng(1).permutation(train)
    made = model.convert([c.waves[k] for k in train], [c.waves[k] for k in partners])
    found = list(frames)
    for speaker in np.unique(c.speaker):
        own = np.flatnonzero(c.speaker[voices] == speaker)
        even = match_moments(
            [frames[k] for k in own],
            [made[k] for k in np.flatnonzero(c.speaker[partners] == speaker)],
            [c.frames[k] for k in train[c.speaker[train] == speaker]],
        )
        for k, x in zip(own, even, strict=True):
            found[k] = x
    return found


def blended(c: Corpus, frames: list[np.ndarray]) -> list[np.ndarray]:
    """Conversions with some of what was said, scaled by all training utterances of both people."""
    rows, voices = conversions(c)
    people = np.stack([c.speaker[rows], c.speaker[voices]], 1)
    found = list(frames)
    for pair in np.unique(people, axis=0):
        which = np.flatnonzero((people == pair).all(1))
        source, reference = (
            [c.frames[k] for k in np.flatnonzero(~c.test & (c.speaker == who))] for who in pair
        )
        said = [c.frames[rows[k]] for k in which]
        made = blend_source([frames[k] for k in which], said, reference, source=source)
        for k, x in zip(which, made, strict=True):
            found[k] = x
    return found


def conversions(c: Corpus) -> tuple[np.ndarray, np.ndarray]:
    """All test utterances, and for each another one, at random, in whose voice it is to be said."""
    rows = np.flatnonzero(c.test)
    return rows, np.random.default_rng(0).permutation(rows)


def voiced(c: Corpus) -> dict[str, float]:
    """The same without training, from frames of other words that the voice says in training."""
    frames = []
    for row, voice in zip(*conversions(c), strict=True):
        own, other = c.speaker == c.speaker[row], c.speaker == c.speaker[voice]
        source, reference = (
            [c.frames[k] for k in np.flatnonzero(~c.test & which)]
            for which in (own, other & (c.word != c.word[row]))
        )
        frames += match_voice(c.frames[row], reference, source=source)
    return swapped(c, frames)


def swapped(c: Corpus, frames: list[np.ndarray]) -> dict[str, float]:
    """What probes that know real utterances of the training hear of conversions."""
    rows, voices = conversions(c)
    real = np.flatnonzero(~c.test)
    found = swap_test(
        level(frames),
        c.speaker[voices],
        c.word[rows],
        level([c.frames[k] for k in real]),
        c.speaker[real],
        c.word[real],
    )
    return {"converted: speaker": found["speaker_linear"], "converted: word": found["word_linear"]}


def level(frames: list[np.ndarray]) -> np.ndarray:
    """Mean and deviation over time, the mean over all bands taken out: loudness is not judged."""
    return mean_std([x - x.mean() for x in frames])


def baseline(c: Corpus, name: str, device: str) -> dict[str, float]:
    """Vectors that need no training in the place of p."""
    vectors = fixed_vectors(c, name, ~c.test)
    return phonetic_figures(reported(c, vectors, vectors, device))


def fixed_vectors(c: Corpus, name: str, train: np.ndarray) -> np.ndarray:
    """Resampled frames, their principal components, or the mean and deviation of all frames."""
    if name == "PCA":
        return resampled_pca(c.frames, ~train)
    if name == "20 frames":
        return resampled(c.frames, train).reshape(len(train), -1)
    vectors = mean_std(c.frames)
    return (vectors - vectors[train].mean(0)) / vectors[train].std(0)


# ---------------------------------------------------------------- speakers that are not


def left_out(c: Corpus, accuracy: Callable[[np.ndarray], float]) -> dict[str, float]:
    """Accuracy on the words of a speaker left out, given the rows of the others: all in turn."""
    accuracies = [accuracy(c.speaker != speaker) for speaker in np.unique(c.speaker)]
    return {"word": float(np.mean(accuracies)), "word, worst speaker": float(min(accuracies))}


def unseen(c: Corpus, settings: Mapping[str, Any], device: str, seed: int) -> dict[str, float]:
    """Word accuracy of a linear probe on p of a speaker left out."""

    def accuracy(known: np.ndarray) -> float:
        p = fit(c, known, settings, device, seed).transform_phonetic(c.waves)
        return word_probe(c, p, known, device)

    return left_out(c, accuracy)


def embedded(
    c: Corpus, settings: Mapping[str, Any], device: str, seed: int
) -> dict[str | tuple[str, str], float]:
    """The same of an `AcousticWordEmbedding`, and of its p, by speaker and without."""
    found: dict[str | tuple[str, str], list[float]] = {}
    for speaker in np.unique(c.speaker):
        known = c.speaker != speaker
        speech = SpeechAutoencoder(**{"sample_rate": RATE, **settings, "device": device})
        network = DANN(**recipes.dann("word-clusters"), device=device)
        model = AcousticWordEmbedding(speech, network, random_state=seed)
        model.fit(c.pick(known), speaker=c.speaker[known])
        p, who = model.autoencoder_.transform_phonetic(c.waves), c.speaker
        for key, vectors in (
            ("word", model.transform(c.waves)),
            ((f"{UNSEEN}, scaled by speaker", "word"), model.transform(c.waves, speaker=who)),
            ("word of p", p),
            (
                (f"{UNSEEN}, scaled by speaker", "word of p"),
                SpeakerScaler().fit(p[known], speaker=who[known]).transform(p, speaker=who),
            ),
        ):
            found.setdefault(key, []).append(word_probe(c, vectors, known, device))
    return {
        **{key: float(np.mean(values)) for key, values in found.items()},
        "word, worst speaker": min(found["word"]),
    }


def unseen_baseline(c: Corpus, name: str, device: str) -> dict[str, float]:
    """The same of vectors that need no training."""
    return left_out(c, lambda known: word_probe(c, fixed_vectors(c, name, known), known, device))


def word_probe(c: Corpus, vectors: np.ndarray, known: np.ndarray, device: str) -> float:
    found = linear_probe(vectors[known], c.word[known], vectors[~known], c.word[~known])
    return found["accuracy"]


def adapted(
    c: Corpus, settings: Mapping[str, Any], device: str, seed: int, target: bool
) -> dict[str, float]:
    """A `DANN` on resampled frames: speakers are domains, the one left out is the target.

    It sees the words of the known speakers, and with ``target`` the other's frames, not his words.
    """

    def accuracy(known: np.ndarray) -> float:
        pictures = resampled(c.frames, known)
        domain = np.where(known, 1 + c.speaker, -1 - c.speaker)
        model = DANN("conv", **settings, device=device, random_state=seed)
        if target:
            model.fit(pictures, c.word, sample_domain=domain)
        else:
            model.fit(pictures[known], c.word[known])
        return float(np.mean(model.predict(pictures[~known]) == c.word[~known]))

    return left_out(c, accuracy)


def resampled(frames: list[np.ndarray], train: np.ndarray) -> np.ndarray:
    """Pictures (n, 1, 20, 40), standardized by those to train on."""
    pictures = np.stack(
        [
            F.interpolate(torch.from_numpy(x.T[None]), STEPS, mode="linear", align_corners=True)[0]
            .numpy()
            .T
            for x in frames
        ]
    )
    return ((pictures - pictures[train].mean(0)) / pictures[train].std(0))[:, None]
