"""The speech auto-encoder on words of speakers whom it has never heard: 40 words, 30 speakers.

Arabic Speech Commands, two of ten takes; the authors' split by speaker: 18 to train, 6 to choose
settings on, 6 to test. No word is shown to the auto-encoder. *word* is the accuracy of a linear
probe that learned words from vectors of the training speakers, on the test speakers; *10 labels a
word* the same from ten words of each kind. *speaker* is what probes read of all 30 speakers, from
one take to the other (chance .033). ABX, average precision and equal error rates are those of the
test speakers among themselves; *whitened* are s, with mean and deviation of the frames beside it,
after the whitening of `SpeakerVerifier` by the training speakers; *PLDA* are of
`voice_statistics`, i-vectors of MFCC, or GE2E's vectors, by its two-covariance model of the
training speakers. *Scaled by speaker* are vectors at the mean and deviation of all recordings of
their speaker (`SpeakerScaler`). Conversions are test words in the voice of another test speaker,
heard by probes that learned from real speech: the speaker from mean and deviation of the frames,
the word by a supervised network of the training speakers; *matched* are conversions put together
from the nearest frames of other words of the same voice; *GE2E* hears the sound of every fourth,
and names the nearest of the test speakers (see `benchmarks.ge2e`). The rows of the validation
speakers are those by which settings were chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.ge2e import ge2e
from benchmarks.recipes import SPECTRAL, WORDS, split
from benchmarks.runner import Case
from benchmarks.spoken import level, resampled
from repkit import DANN, SpeechAutoencoder, recipes
from repkit.audio import FrontEnd, as_utterances, extract, to_waveform, voice_statistics
from repkit.datasets import load_arabic_commands
from repkit.metrics import (
    abx_error,
    enrolled_eer,
    linear_probe,
    mean_std,
    probe_report,
    resampled_pca,
    same_different,
    speaker_eer,
)
from repkit.metrics.speaker._verification import equal_error
from repkit.speech import (
    FramePosteriors,
    IVectorExtractor,
    Prototypes,
    SpeakerErasure,
    SpeakerLoss,
    SpeakerScaler,
    SpeakerVerifier,
    SpeechEncoder,
    Swap,
    match_frames,
    match_moments,
    match_voice,
)
from repkit.words import AcousticWordEmbedding, as_pictures

RATE = 16000
TASK, ABLATION = "arabic, unseen speakers", "arabic, unseen speakers, short"
VARIANT = "arabic, variants"
PARTS = ("train", "validation", "test")

# "words" is the recipe with a speaker vector that was chosen for itself.
VOICED = recipes.speech("words")
RECIPE, SPEAKER = split(VOICED, "speaker_dim", "batch_size", "encoder", "speaker_loss")
# Twice as long and twice as wide, which a GPU alone does in minutes.
LARGE = recipes.speech("words-large")
VARIANTS: dict[str, dict[str, Any]] = {
    "64 epochs": {"max_epochs": 64},
    "64 epochs, width 192": {"max_epochs": 64, "width": 192},
    "64 epochs, width 192, perturbation 2.3": {"perturb": 2.3, "max_epochs": 64, "width": 192},
    "perturbation 2.3": {"perturb": 2.3},
    "128 columns": {"phonetic_dim": 128},
    "clusters 40": {"prototypes": Prototypes((40,))},
    "clusters 40, 80, 160": {"prototypes": Prototypes((40, 80, 160))},
    "clusters later": {"prototypes": Prototypes((40, 80), start=0.3)},
    "clusters, weight 3": {"prototypes": Prototypes((40, 80), weight=3.0)},
    "18 speakers in a batch": {"batch_size": (18, 8)},
    "a third of the reconstruction": {"swap": Swap(cycle=0.3, reconstruction_share=0.3)},
    "no cycle": {"swap": Swap()},
    "content norm": {"encoder": SpeechEncoder(statistics=True, content_norm="instance")},
    "transformer": {"encoder": SpeechEncoder("transformer", statistics=True)},
    "5 segments": {"encoder": SpeechEncoder(statistics=True, n_segments=5)},
    "voices 2, scale 20": {
        "speaker_loss": SpeakerLoss(kind="centroid", voices=2.0, scale=20.0),
    },
    "voices 2.5, 18 speakers in a batch": {
        "speaker_loss": SpeakerLoss(kind="centroid", voices=2.5),
        "batch_size": (18, 8),
    },
    "64 columns of s, weight 3": {
        "speaker_dim": 64,
        "speaker_loss": SpeakerLoss(3.0, kind="centroid", voices=1.5),
    },
    "64 epochs, width 192, 18 speakers in a batch, clusters 40, 80, 160": {
        "batch_size": (18, 8),
        "max_epochs": 64,
        "width": 192,
        "prototypes": Prototypes((40, 80, 160)),
    },
    "64 epochs, width 192, clusters weigh 3, a third of the reconstruction": {
        "max_epochs": 64,
        "width": 192,
        "prototypes": Prototypes((40, 80), weight=3.0),
        "swap": Swap(cycle=0.3, reconstruction_share=0.3),
    },
}
# The speaker vector alone: nothing is done for p, in 300 steps.
WHO = "arabic, who speaks, 300 steps"
ALONE: dict[str, Any] = {
    "batch_size": (9, 8),
    "adversary": None,
    "prototypes": None,
    "perturb": 0.0,
    "steps_per_epoch": 50,
    "max_epochs": 6,
}
VOICES: dict[str, dict[str, Any]] = {
    "margin": {},
    "margin, statistics": {"encoder": SpeechEncoder(statistics=True), "speaker_dim": 32},
    "centroids, statistics": {**SPEAKER, "speaker_loss": SpeakerLoss(kind="centroid")},
    "centroids, statistics, other voices": SPEAKER,
}
SHORT: dict[str, Any] = {**RECIPE, "swap": True, "max_epochs": 16}
ABLATIONS: dict[str, dict[str, Any]] = {
    "all parts": {},
    "no prototypes": {"prototypes": None},
    "no perturbation": {"perturb": 0.0},
    "weaker perturbation": {"perturb": 1.0},
    "quantized": {"prototypes": Prototypes((40, 80), quantize=0.13)},
    "cycle": {"swap": Swap(cycle=0.3)},
    "centroids, statistics, other voices": SPEAKER,
}
SPEAKERS = (5, 10)  # of the training, beside all 18
ERASURES = ("leace", "subspace", "regression")
LABELS = (1, 3, 10)  # of a word
VALIDATION = "arabic, validation speakers"
SCALED = f"{TASK}, scaled by speaker"
# Probabilities of clusters of the vectors; numbers that validation speakers chose.
CLUSTERS: dict[str, Any] = {"n_components": 80, "n_rounds": 3, "context": 0, "temperature": 8.0}


@cache
def corpus() -> dict[str, Any]:
    """Waveforms and labels of all recordings, log-mel frames of one level, and the split."""
    parts = [load_arabic_commands(name) for name in PARTS]
    waves = [w for part in parts for w in part.data]
    found = {
        "waves": waves,
        **{k: np.concatenate([p[k] for p in parts]) for k in ("word", "speaker", "take")},
        "part": np.repeat(PARTS, [len(p.data) for p in parts]),
    }
    even = [w / max(float(np.sqrt(np.mean(np.square(w)))), 1e-8) * 0.05 for w in waves]
    utterances = as_utterances(even, sample_rate=RATE)
    found["frames"] = extract(utterances, FrontEnd(sample_rate=RATE)).frames
    found["statistics"] = mean_std([x - np.log(np.mean(np.exp(x))) for x in found["frames"]])
    found["mfcc"] = extract(utterances, FrontEnd("mfcc", sample_rate=RATE, deltas=True)).frames
    first = np.zeros(len(waves), dtype=bool)
    keys = np.stack([found["speaker"], found["word"]], 1)
    first[np.unique(keys, axis=0, return_index=True)[1]] = True
    return {**found, "first": first}


def chosen(rows: np.ndarray) -> list[np.ndarray]:
    return [corpus()["waves"][k] for k in np.flatnonzero(rows)]


def fit(
    settings: Mapping[str, Any], device: str, seed: int, speakers: int | None = None
) -> SpeechAutoencoder:
    """Fit to the training speakers, or to the first few of them in an order that the seed draws."""
    c = corpus()
    rows = c["part"] == "train"
    if speakers is not None:
        names = np.random.default_rng(seed).permutation(np.unique(c["speaker"][rows]))
        rows &= np.isin(c["speaker"], names[:speakers])
    model = SpeechAutoencoder(
        **{"sample_rate": RATE, **settings, "device": device, "random_state": seed}
    )
    return model.fit(chosen(rows), c["speaker"][rows])


@cache
def large(device: str, seed: int) -> SpeechAutoencoder:
    """The large model, which two cases judge."""
    return fit(LARGE, device, seed)


def phonetic_figures(p: np.ndarray, seed: int, part: str) -> dict[str, float]:
    """What phonetic vectors of all recordings tell, on the speakers of a part."""
    c = corpus()
    speaker, first = c["speaker"], c["first"]
    who = probe_report(p[first], speaker[first], p[~first], speaker[~first], random_state=seed)
    return {
        **word_figures(p, seed, part),
        "speaker": who["linear"],
        "speaker, MLP": who["mlp"],
    }


def scaled_figures(p: np.ndarray, seed: int, part: str) -> dict[str | tuple[str, str], float]:
    """The same of vectors at the mean and deviation of all recordings of their speaker."""
    c = corpus()
    train = c["part"] == "train"
    scaler = SpeakerScaler().fit(p[train], speaker=c["speaker"][train])
    return named_figures(scaler.transform(p, speaker=c["speaker"]), seed, part)


def named_figures(x: np.ndarray, seed: int, part: str) -> dict[str | tuple[str, str], float]:
    """The figures of vectors that know whose they are, and of probabilities of their clusters."""
    task = SCALED if part == "test" else f"{VALIDATION}, scaled by speaker"
    clusters = FramePosteriors(**CLUSTERS, random_state=seed).fit(x[corpus()["part"] == "train"])
    found = {(task, k): v for k, v in phonetic_figures(x, seed, part).items()}
    likely = phonetic_figures(np.sqrt(clusters.transform(x)), seed, part)
    return {**found, **{(f"{task}, clusters", k): v for k, v in likely.items()}}


def embedded(
    autoencoder: SpeechAutoencoder, device: str, seed: int
) -> dict[str | tuple[str, str], float]:
    """The figures of an `AcousticWordEmbedding` of a fitted model, by speaker and without."""
    c = corpus()
    rows = c["part"] == "train"
    model = AcousticWordEmbedding(
        FrozenEstimator(autoencoder),
        DANN(**recipes.dann("word-clusters"), device=device),
        random_state=seed,
    ).fit(chosen(rows), speaker=c["speaker"][rows])
    alone = model.transform(c["waves"])
    known = model.transform(c["waves"], speaker=c["speaker"])
    return {
        **phonetic_figures(alone, seed, "test"),
        **{(VALIDATION, k): v for k, v in word_figures(alone, seed, "validation").items()},
        **named_figures(known, seed, "test"),
        **named_figures(known, seed, "validation"),
    }


def word_figures(p: np.ndarray, seed: int, part: str) -> dict[str, float]:
    """Words by a linear probe of the training speakers, by number of labels; and distances."""
    c = corpus()
    train, test = c["part"] == "train", c["part"] == part
    word, speaker = c["word"], c["speaker"]

    few = {}
    for count in LABELS:
        rows = few_labels(train, word, seed, count)
        found = linear_probe(p[rows], word[rows], p[test], word[test])
        few[f"word, {count} label{'s' * (count > 1)}"] = found["accuracy"]
    # The probe of `linear_probe`, once for all speakers.
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    right = probe.fit(p[train], word[train]).predict(p[test]) == word[test]
    across = abx_error(p[test], word[test], speaker[test], mode="across", device="cpu")
    pairs = same_different(p[test], word[test], speaker[test], device="cpu")
    return {
        "word": float(right.mean()),
        "word, worst speaker": min(
            float(right[speaker[test] == k].mean()) for k in np.unique(speaker[test])
        ),
        **few,
        "ABX across": across["error"],
        "AP across": pairs["ap_across"],
    }


def few_labels(rows: np.ndarray, word: np.ndarray, seed: int, count: int) -> np.ndarray:
    """So many recordings of each word among the rows, at random."""
    order = np.random.default_rng(seed).permutation(np.flatnonzero(rows))
    return np.concatenate([order[word[order] == k][:count] for k in np.unique(word)])


def speaker_figures(s: np.ndarray, part: str) -> dict[str, float]:
    """Equal error rates of vectors as they are, and whitened with statistics beside them."""
    c = corpus()
    rows, train = c["part"] == part, c["part"] == "train"
    who = c["speaker"][rows]
    given = np.hstack([s, c["statistics"]])
    verifier = SpeakerVerifier(whiten=True).fit(given[train], c["speaker"][train])
    white = verifier.enroll(given[rows], np.arange(rows.sum())).voices_
    return {
        "EER of s": speaker_eer(s[rows], who, device="cpu"),
        "EER of s, five enrolled": enrolled_eer(s[rows], who)["eer"],
        "EER, whitened": speaker_eer(white, who, device="cpu"),
        "EER, whitened, five enrolled": enrolled_eer(white, who)["eer"],
    }


def scored(vectors: np.ndarray, part: str, blocks: list[int] | None = None) -> dict[str, float]:
    """Equal error rates of vectors by the two-covariance model of the training speakers."""
    c = corpus()
    rows, train = c["part"] == part, c["part"] == "train"
    who = c["speaker"][rows]
    verifier = SpeakerVerifier(scoring="plda", blocks=blocks).fit(
        vectors[train], c["speaker"][train]
    )
    five = 1 - verifier.score(vectors[rows], who)
    each = verifier.enroll(vectors[rows], np.arange(len(who))).decision_function(vectors[rows])
    first, second = np.triu_indices(len(who), 1)
    return {
        "EER, PLDA": equal_error(each[first, second], who[first] == who[second])[0],
        "EER, PLDA, five enrolled": five,
    }


def voices(kinds: tuple[str, ...], seed: int) -> dict[str | tuple[str, str], float]:
    """Equal error rates of vectors of the voice that need no network, beside each other."""
    c = corpus()
    rows = np.flatnonzero(c["part"] == "train")
    found = []
    if "statistics" in kinds:
        utterances = as_utterances(c["waves"], sample_rate=RATE)
        found.append(voice_statistics(utterances, FrontEnd(sample_rate=RATE)).vectors)
    if "i-vectors" in kinds:
        model = IVectorExtractor(random_state=seed).fit([c["mfcc"][k] for k in rows])
        found.append(model.transform(c["mfcc"]))
    vectors, blocks = np.hstack(found), [x.shape[1] for x in found]
    return {
        **scored(vectors, "test", blocks),
        **{(VALIDATION, k): v for k, v in scored(vectors, "validation", blocks).items()},
    }


def judge(
    settings: Mapping[str, Any],
    device: str,
    seed: int,
    *,
    speakers: int | None = None,
    whole: bool = True,
) -> dict[str | tuple[str, str], float]:
    """The figures of a model that is fitted here; with ``whole``, those of erased p, too."""
    c = corpus()
    model = large(device, seed) if settings is LARGE else fit(settings, device, seed, speakers)
    p, s = model.transform_phonetic(c["waves"]), model.transform_speaker(c["waves"])
    found: dict[str | tuple[str, str], float] = {
        **phonetic_figures(p, seed, "test"),
        **speaker_figures(s, "test"),
    }
    seen = {**word_figures(p, seed, "validation"), **speaker_figures(s, "validation")}
    found.update({(VALIDATION, k): v for k, v in seen.items()})
    if not whole:
        return found
    train = c["part"] == "train"
    for method in ERASURES:
        given = np.hstack([p, s]) if method == "regression" else p
        dim = s.shape[1] if method == "regression" else None
        erasure = SpeakerErasure(method, speaker_dim=dim).fit(given[train], c["speaker"][train])
        figures = phonetic_figures(erasure.transform(given), seed, "test")
        found.update({(f"{TASK}, {method}", k): v for k, v in figures.items()})
    found.update(scaled_figures(p, seed, "test"))
    found.update(scaled_figures(p, seed, "validation"))
    rows, voices = test_conversions(seed)
    waves = c["waves"]
    frames = model.convert([waves[k] for k in rows], [waves[k] for k in voices])
    for task, said in (
        (TASK, frames),
        (f"{TASK}, moments", moved(model, frames, rows, voices, seed)),
        (f"{TASK}, matched", matched(frames, rows, voices)),
    ):
        figures = heard(said, sounds(said), rows, voices, device, seed)
        found.update({(task, k): v for k, v in figures.items()})
    return found


def who_speaks(settings: Mapping[str, Any], device: str, seed: int) -> dict[Any, float]:
    """The figures of the speaker vector alone, on the test and the validation speakers."""
    s = fit(settings, device, seed).transform_speaker(corpus()["waves"])
    seen = {(f"{WHO}, validation", k): v for k, v in speaker_figures(s, "validation").items()}
    return {**speaker_figures(s, "test"), **seen}


def test_conversions(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """All test recordings, and for each one of another test speaker, who is to say it."""
    c, rng = corpus(), np.random.default_rng(seed)
    rows = np.flatnonzero(c["part"] == "test")
    voices = [rng.choice(rows[c["speaker"][rows] != c["speaker"][row]]) for row in rows]
    return rows, np.array(voices)


def of_speaker(row: int, but: int = -1) -> list[np.ndarray]:
    """Frames of all that the speaker of a recording says, but for the word of another."""
    c = corpus()
    which = c["speaker"] == c["speaker"][row]
    if but >= 0:
        which &= c["word"] != c["word"][but]
    return [c["frames"][k] for k in np.flatnonzero(which)]


def matched(
    frames: list[np.ndarray], rows: np.ndarray, voices: np.ndarray, even: bool = False
) -> list[np.ndarray]:
    """Utterances put together from the nearest frames of other words of those who are to say them.

    With ``even``, what is near is judged without the mean of each utterance.
    """
    found = []
    for x, row, voice in zip(frames, rows, voices, strict=True):
        given = of_speaker(voice, but=row)
        reference = [y - y.mean(0) for y in given] if even else given
        found += match_frames(x - x.mean(0) if even else x, reference, given)
    return found


def moved(
    model: SpeechAutoencoder,
    frames: list[np.ndarray],
    rows: np.ndarray,
    voices: np.ndarray,
    seed: int,
) -> list[np.ndarray]:
    """Conversions with spectrum and variance of other words of those who are to say them.

    What is made in a voice are conversions of the same recordings in another draw of the voices.
    """
    c, (_, others) = corpus(), test_conversions(seed + 1000)
    made = model.convert([c["waves"][k] for k in rows], [c["waves"][k] for k in others])
    found = []
    for x, row, voice in zip(frames, rows, voices, strict=True):
        same = c["speaker"][others] == c["speaker"][voice]
        same &= c["word"][rows] != c["word"][row]
        found += match_moments(
            x, [made[k] for k in np.flatnonzero(same)], of_speaker(voice, but=row)
        )
    return found


def sounds(frames: list[np.ndarray]) -> list[np.ndarray]:
    """Waveforms of every fourth, if there is somebody to hear them."""
    front_end = FrontEnd(sample_rate=RATE)
    return [to_waveform(x, front_end) for x in frames[::4]] if ge2e() else []


def untrained(device: str, seed: int) -> dict[str, float]:
    """Conversion by the nearest frames alone."""
    rows, voices = test_conversions(seed)
    frames = matched([corpus()["frames"][k] for k in rows], rows, voices, even=True)
    return heard(frames, sounds(frames), rows, voices, device, seed)


def voiced(device: str, seed: int) -> dict[str, float]:
    """Conversion by frames that are matched and blended, scaled by speaker, without training.

    The settings are those that did best on the validation speakers.
    """
    rows, voices = test_conversions(seed)
    frames = []
    for row, voice in zip(rows, voices, strict=True):
        x, reference = corpus()["frames"][row], of_speaker(voice, but=row)
        frames += match_voice(x, reference, source=of_speaker(row))
    return heard(frames, sounds(frames), rows, voices, device, seed)


def heard(
    frames: list[np.ndarray],
    sound: list[np.ndarray],
    rows: np.ndarray,
    voices: np.ndarray,
    device: str,
    seed: int,
) -> dict[str, float]:
    """What is heard of conversions, or of real speech: who speaks, and the word."""
    c = corpus()
    test = np.flatnonzero(c["part"] == "test")
    real, made = (level(x) for x in ([c["frames"][k] for k in test], frames))
    who = linear_probe(real, c["speaker"][test], made, c["speaker"][voices])
    found = {
        "converted: speaker": who["accuracy"],
        "converted: word": float(np.mean(supervised(device, seed)(frames) == c["word"][rows])),
    }
    judge_of_voices = ge2e()
    if judge_of_voices is not None and sound:
        vectors = judge_of_voices.embed([c["waves"][k] for k in test])
        verifier = SpeakerVerifier().fit(vectors, c["speaker"][test])
        named = verifier.predict(judge_of_voices.embed(sound))
        found["converted: speaker, GE2E"] = float(np.mean(named == c["speaker"][voices[::4]]))
    return found


def real_speech(device: str, seed: int) -> dict[str | tuple[str, str], float]:
    """Equal error rates of GE2E itself, and what it and the others hear of the recordings."""
    c, judge_of_voices = corpus(), ge2e()
    if judge_of_voices is None:
        raise RuntimeError("REPKIT_GE2E does not name the weights; see benchmarks/ge2e.py")
    rows = np.flatnonzero(c["part"] == "test")
    who, waves = c["speaker"][rows], [c["waves"][k] for k in rows]
    everybody = judge_of_voices.embed(c["waves"])
    vectors = everybody[rows]
    return {
        "EER of s": speaker_eer(vectors, who, device="cpu"),
        "EER of s, five enrolled": enrolled_eer(vectors, who)["eer"],
        **scored(everybody, "test"),
        **{(VALIDATION, k): v for k, v in scored(everybody, "validation").items()},
        **heard([c["frames"][k] for k in rows], waves[::4], rows, rows, device, seed),
    }


@cache
def supervised(
    device: str, seed: int, max_epochs: int = 12
) -> Callable[[list[np.ndarray]], np.ndarray]:
    """A network that learned the words of the training speakers from real speech.

    That of `benchmarks.arabic_commands` with its augmentation, and without other speakers.
    """
    c = corpus()
    train = np.flatnonzero(c["part"] == "train")
    settings = {**WORDS, "max_epochs": max_epochs}
    model = DANN(**settings, strong_augment=SPECTRAL, device=device, random_state=seed)
    model.fit(as_pictures([c["frames"][k] for k in train]), c["word"][train])
    return lambda frames: np.asarray(model.predict(as_pictures(frames)))


def supervised_figures(
    device: str, seed: int, max_epochs: int = 12
) -> dict[str | tuple[str, str], float]:
    """The words that it finds of people whom it has not heard."""
    c, named = corpus(), supervised(device, seed, max_epochs)
    found: dict[str | tuple[str, str], float] = {}
    for task, part in ((TASK, "test"), (VALIDATION, "validation")):
        rows = np.flatnonzero(c["part"] == part)
        right = named([c["frames"][k] for k in rows]) == c["word"][rows]
        found[task, "word"] = float(np.mean(right))
    return found


def baseline(name: str, part: str = "test") -> dict[str | tuple[str, str], float]:
    """Vectors that need no training, in the place of both."""
    c = corpus()
    train = c["part"] == "train"
    if name == "PCA":
        vectors = resampled_pca(c["frames"], ~train)
    elif name == "20 frames":
        vectors = resampled(c["frames"], train).reshape(len(train), -1)
    else:
        vectors = mean_std(c["mfcc"] if name.startswith("MFCC") else c["frames"])
        vectors = (vectors - vectors[train].mean(0)) / vectors[train].std(0)
    return {
        **phonetic_figures(vectors, 0, part),
        **speaker_figures(vectors, part),
        **scaled_figures(vectors, 0, part),
    }


def cases(preset: str, device: str) -> list[Case]:
    """The recipe with each erasure, parts of a short one, and what needs no training.

    For a GPU, preset "paper": the large one, and the variants among which it was chosen.
    """
    if preset == "paper":
        return [
            Case(TASK, "SpeechAutoencoder", "large", lambda seed: judge(LARGE, device, seed)),
            Case(
                TASK,
                "AcousticWordEmbedding",
                "large",
                lambda seed: embedded(large(device, seed), device, seed),
            ),
            *(
                Case(
                    VARIANT,
                    "SpeechAutoencoder",
                    name,
                    lambda seed, s={**RECIPE, **SPEAKER, **change}: judge(
                        s, device, seed, whole=False
                    ),
                    seeds=1,
                )
                for name, change in VARIANTS.items()
            ),
        ]
    listed = [
        Case(TASK, "SpeechAutoencoder", "recipe", lambda seed: judge(RECIPE, device, seed)),
        Case(
            TASK,
            "SpeechAutoencoder",
            "recipe, other voices",
            lambda seed: judge(VOICED, device, seed),
        ),
        Case(
            TASK,
            "AcousticWordEmbedding",
            "short",
            lambda seed: embedded(fit(SHORT, device, seed), device, seed),
        ),
        Case(TASK, "DANN", "sees the words", lambda seed: supervised_figures(device, seed)),
        Case(
            TASK,
            "DANN",
            "sees the words, twice as long",
            lambda seed: supervised_figures(device, seed, 24),
        ),
        Case(TASK, "match_frames", "log-mel", lambda seed: untrained(device, seed)),
        Case(TASK, "match_voice", "log-mel", lambda seed: voiced(device, seed)),
        Case(
            TASK,
            "voice_statistics",
            "PLDA",
            lambda seed: voices(("statistics",), seed),
            seeds=1,
        ),
        Case(TASK, "IVectorExtractor", "PLDA", lambda seed: voices(("i-vectors",), seed)),
        Case(
            TASK,
            "IVectorExtractor",
            "beside voice_statistics, PLDA",
            lambda seed: voices(("statistics", "i-vectors"), seed),
        ),
        Case(TASK, "GE2E", "real speech", lambda seed: real_speech(device, seed), seeds=1),
    ]
    for name in ("mean and deviation", "PCA", "20 frames", "MFCC, mean and deviation"):
        listed.append(Case(TASK, "log-mel", name, lambda seed, n=name: baseline(n), seeds=1))
    for name, change in ABLATIONS.items():
        listed.append(
            Case(
                ABLATION,
                "SpeechAutoencoder",
                name,
                lambda seed, s={**SHORT, **change}: judge(s, device, seed, whole=False),
                seeds=1,
            )
        )
    for name, change in VOICES.items():
        listed.append(
            Case(
                WHO,
                "SpeechAutoencoder",
                name,
                lambda seed, s={**ALONE, **change}: who_speaks(s, device, seed),
                seeds=1,
            )
        )
    for count in SPEAKERS:
        listed.append(
            Case(
                ABLATION,
                "SpeechAutoencoder",
                f"{count} speakers",
                lambda seed, n=count: judge(SHORT, device, seed, speakers=n, whole=False),
                seeds=1,
            )
        )
    return listed
