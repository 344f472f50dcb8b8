"""The speech auto-encoder on made words."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quick.table import Figures, Part, Picture, against, seconds_of, to_plane
from benchmarks.runner import Case
from benchmarks.spoken import Corpus, fit, fixed_vectors, framed
from repkit import SpectrogramDisplay, SpeechAutoencoder, SpeechVectorsDisplay
from repkit.datasets import make_speech
from repkit.metrics import probe_report, same_different, speaker_eer

TASK = "made words"
OURS: dict[str, Any] = {
    "adversary": None,
    "batch_size": (8, 9),
    "steps_per_epoch": 25,
    "max_epochs": 8,
}
WORDS, VOICES, FRAMES = "phonetic vectors", "speaker vectors", "sound itself, mean and deviation"


@cache
def corpus() -> Corpus:
    """Eight speakers, ten words, eight takes, of which two are to test on."""
    data = make_speech(8, 10, 8, random_state=0)
    waves = list(data.data)
    word, speaker = np.asarray(data.word), np.asarray(data.speaker)
    return Corpus(waves, word, speaker, data.take < 2, framed(waves))


@cache
def autoencoder(device: str, seed: int) -> SpeechAutoencoder:
    c = corpus()
    return fit(c, ~c.test, OURS, device, seed)


def judge(vectors: np.ndarray) -> dict[str, float]:
    """What vectors of test utterances say of words and of speakers; probes learn on the others."""
    c = corpus()
    test = c.test
    read = probe_report(vectors[~test], c.speaker[~test], vectors[test], c.speaker[test])
    same = same_different(vectors[test], c.word[test], c.speaker[test])
    return {
        "same word": same["ap_across"],
        "speaker": read["mlp"],
        "EER": speaker_eer(vectors[test], c.speaker[test]),
    }


def cases(device: str) -> list[Case]:
    """Both vectors, and vectors that need no training."""

    def ours(kind: str, seed: int) -> dict[str, float]:
        model = autoencoder(device, seed)
        transform = model.transform_phonetic if kind == WORDS else model.transform_speaker
        return {**judge(transform(corpus().waves)), **seconds_of(model)}

    def frames(seed: int) -> dict[str, float]:
        c = corpus()
        return judge(fixed_vectors(c, "mean and deviation", ~c.test))

    return [
        Case(TASK, "SpeechAutoencoder", WORDS, lambda seed: ours(WORDS, seed)),
        Case(TASK, "SpeechAutoencoder", VOICES, lambda seed: ours(VOICES, seed)),
        Case(TASK, "log-mel", FRAMES, frames, seeds=1),
    ]


def sentence(found: Figures) -> str:
    ours, theirs = found(TASK, WORDS, "same word"), found(TASK, FRAMES, "same word")
    return (
        "Nobody told it a word. Asked for the same word from another speaker, its phonetic vectors "
        f"are {against(ours, theirs, 0.02)} the sound itself (precision {ours:.2f} against "
        f"{theirs:.2f}). A network still reads the speaker from {found(TASK, WORDS, 'speaker'):.0%}"
        f" of them ({found(TASK, FRAMES, 'speaker'):.0%} of the sound); its speaker vectors mistake"
        f" {found(TASK, VOICES, 'EER'):.1%} of pairs."
    )


def pictures(out: Path, device: str) -> list[Picture]:
    """Both vectors in the plane; an input, its reconstruction and a conversion."""
    model, c = autoencoder(device, 0), corpus()
    rows = np.flatnonzero(c.test)
    word, voice = rows[0], rows[-1]
    waves = [c.waves[word]]
    heard = [c.waves[k] for k in rows]
    both = {
        WORDS: model.transform_phonetic(heard),
        VOICES: model.transform_speaker(heard),
    }
    vectors = SpeechVectorsDisplay(
        {name: to_plane(value, "cosine") for name, value in both.items()},
        {"word": c.word[rows], "speaker": c.speaker[rows]},
    ).plot()
    spectrograms = SpectrogramDisplay(
        {
            "input": c.frames[word],
            "reconstruction": model.reconstruct(waves)[0],
            f"in the voice of {c.speaker[voice]}": model.convert(waves, [c.waves[voice]])[0],
        }
    ).plot()
    paths = [out / "quick-speech-vectors.png", out / "quick-spectrograms.png"]
    vectors.figure_.savefig(paths[0], dpi=110)
    spectrograms.figure_.savefig(paths[1], dpi=110)
    return [
        Picture(
            paths[0],
            "Test utterances, a point each. Above: phonetic vectors lie by word (left) and mix the "
            "speakers (right). Below: speaker vectors mix the words and lie by speaker.",
        ),
        Picture(
            paths[1],
            "A word as it was said, as it was rebuilt, and in the voice of another speaker.",
        ),
    ]


PART = Part(
    "SpeechAutoencoder",
    "what was said apart from who said it",
    cases,
    {
        "same word": "same word of another speaker found (precision)",
        "speaker": "speaker read by a network",
        "EER": "speakers mistaken (equal error rate)",
    },
    sentence,
    pictures,
)
