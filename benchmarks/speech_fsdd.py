"""The speech auto-encoder on the Free Spoken Digit Dataset: six speakers, ten digits.

Seen speakers: trained on takes 10 to 49, judged on takes 0 to 9. p is the phonetic vector, s the
speaker vector; probes are fresh and learn from vectors of the training takes. The word of p is to
be read well and its speaker badly (chance .167; the probe that is not linear is the honest one),
and the other way round for s. Unseen speakers: each speaker is left out in turn, and a linear probe
that learned digits from p of the other five reads his. The auto-encoder never sees a word.
"""

from __future__ import annotations

from typing import Any

from benchmarks.runner import Case
from benchmarks.spoken import (
    UNSEEN,
    adapted,
    baseline,
    corpus,
    embedded,
    seen,
    unseen,
    unseen_baseline,
    voiced,
)
from repkit import recipes
from repkit.speech import Adversary, Prototypes, Swap

# Chosen on takes 40 to 49 of the training, with one seed. "plain" keeps all that is said, to be
# erased where the speaker must go; "quantized" takes him from probes that are not linear as well.
# The strength of the perturbation in UNKNOWN was chosen with speakers 0, 3 and 4 left out.
PLAIN, QUANTIZED = (recipes.speech(f"few-voices{more}") for more in ("", "-quantized"))
UNKNOWN: dict[str, Any] = {**PLAIN, "swap": True, "perturb": 1.7, "max_epochs": 32}
ELSEWHERE = recipes.speech("words")  # chosen on other speakers of another language
SHORT: dict[str, Any] = {
    "phonetic_dim": 30,
    "adversary": None,
    "steps_per_epoch": 50,
    "max_epochs": 16,
}
NO_CLUSTERS: dict[str, Any] = {"prototypes": None}
PARTS: dict[str, Any] = {**NO_CLUSTERS, "perturb": 0.0}
ABLATIONS: dict[str, dict[str, Any]] = {
    "reconstruction alone": {**PARTS, "swap": False, "speaker_loss": 0.0},
    "swap alone": {**PARTS, "speaker_loss": 0.0},
    "margin alone": {**PARTS, "swap": False},
    "swap, margin": PARTS,
    "swap, margin, adversary": {**PARTS, "adversary": Adversary(weight=1.0)},
    "swap, margin, adversary of pairs": {**PARTS, "adversary": Adversary("pair", weight=1.0)},
    "swap, margin, perturbation": NO_CLUSTERS,
    "swap, margin, prototypes": {"perturb": 0.0},
    "swap, margin, perturbation, prototypes": {},
    "the same with adversary": {"adversary": Adversary(weight=1.0)},
    "the same quantized": {"prototypes": Prototypes(quantize=0.1)},
    "the same with cycle": {"swap": Swap(cycle=1.0)},
    "the same with GRU": {"encoder": "gru"},
    "the same with transformer": {"encoder": "transformer"},
}
DOMAINS: dict[str, Any] = {"steps_per_epoch": 100, "max_epochs": 8}
SEEN = "FSDD, seen speakers"
SHORT_TASK = "FSDD, seen speakers, 800 steps"


def cases(preset: str, device: str) -> list[Case]:
    """Recipes, parts of a short one, what needs no training, and DANN; for a GPU, the large one."""
    if preset == "paper":
        large = recipes.speech("few-voices-large")
        return [
            Case(SEEN, "SpeechAutoencoder", "large", lambda seed: seen("FSDD", large, device, seed))
        ]
    listed = [
        Case(
            task,
            "SpeechAutoencoder",
            name,
            lambda seed, s=settings: seen("FSDD", s, device, seed),
            seeds=seeds,
        )
        for task, name, settings, seeds in (
            (SEEN, "plain", PLAIN, None),
            (SEEN, "quantized", QUANTIZED, None),
            *((SHORT_TASK, name, {**SHORT, **change}, 1) for name, change in ABLATIONS.items()),
        )
    ]
    listed.append(
        Case(
            UNSEEN,
            "SpeechAutoencoder",
            "plain, stronger perturbation",
            lambda seed: unseen(corpus("FSDD"), UNKNOWN, device, seed),
        )
    )
    listed += [
        Case(
            UNSEEN,
            "SpeechAutoencoder",
            "recipe of Arabic words",
            lambda seed: unseen(corpus("FSDD"), ELSEWHERE, device, seed),
        ),
        Case(
            UNSEEN,
            "AcousticWordEmbedding",
            "recipe of Arabic words",
            lambda seed: embedded(corpus("FSDD"), ELSEWHERE, device, seed),
        ),
        Case(
            SEEN,
            "SpeechAutoencoder",
            "recipe of Arabic words",
            lambda seed: seen("FSDD", ELSEWHERE, device, seed),
        ),
        Case(SEEN, "match_voice", "log-mel", lambda seed: voiced(corpus("FSDD")), seeds=1),
    ]
    for name in ("mean and deviation", "PCA", "20 frames"):
        listed.append(
            Case(
                SEEN,
                "log-mel",
                name,
                lambda seed, n=name: baseline(corpus("FSDD"), n, device),
                seeds=1,
            )
        )
        listed.append(
            Case(
                UNSEEN,
                "log-mel",
                name,
                lambda seed, n=name: unseen_baseline(corpus("FSDD"), n, device),
                seeds=1,
            )
        )
    for name, target in (("speakers as domains", True), ("source only", False)):
        listed.append(
            Case(
                UNSEEN,
                "DANN",
                f"{name}, sees the words",
                lambda seed, t=target: adapted(corpus("FSDD"), DOMAINS, device, seed, t),
            )
        )
    return listed
