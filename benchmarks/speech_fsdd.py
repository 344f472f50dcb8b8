"""The speech auto-encoder on the Free Spoken Digit Dataset: six speakers, ten digits.

Seen speakers: trained on takes 10 to 49, judged on takes 0 to 9. p is the phonetic vector, s the
speaker vector; probes are fresh and learn from vectors of the training takes. The word of p is to
be read well and its speaker badly (chance .167; the probe that is not linear is the honest one),
and the other way round for s. Unseen speakers: each speaker is left out in turn, and a linear probe
that learnt digits from p of the other five reads his. The auto-encoder never sees a word.
"""

from __future__ import annotations

from typing import Any

from benchmarks.runner import Case
from benchmarks.spoken import adapted, baseline, corpus, seen, unseen, unseen_baseline

# Chosen on takes 40 to 49 of the training, with one seed. "plain" keeps all that is said, to be
# erased where the speaker must go; "quantised" takes him from probes that are not linear as well.
PLAIN: dict[str, Any] = {
    "phonetic_dim": 30,
    "adversary": None,
    "steps_per_epoch": 50,
    "max_epochs": 16,
}
QUANTISED: dict[str, Any] = {
    "phonetic_dim": 30,
    "adversary_weight": 0.7,
    "adversary_start": 0.3,
    "n_discriminator_steps": 3,
    "adversary_learning_rate": 4e-3,
    "prototype_weight": 3.0,
    "reconstruction_share": 0.3,
    "quantise": 0.1,
    "cycle": 0.3,
    "steps_per_epoch": 50,
    "max_epochs": 20,
}
NO_CLUSTERS: dict[str, Any] = {"prototypes": None, "segment_prototypes": 0}
PARTS: dict[str, Any] = {**NO_CLUSTERS, "perturb": False}
ABLATIONS: dict[str, dict[str, Any]] = {
    "reconstruction alone": {**PARTS, "swap": False, "speaker_weight": 0.0},
    "swap alone": {**PARTS, "speaker_weight": 0.0},
    "margin alone": {**PARTS, "swap": False},
    "swap and margin": PARTS,
    "swap, margin, adversary": {**PARTS, "adversary": "classifier", "adversary_weight": 1.0},
    "swap, margin, adversary of pairs": {**PARTS, "adversary": "pair", "adversary_weight": 1.0},
    "swap, margin, perturbation": NO_CLUSTERS,
    "swap, margin, prototypes": {"perturb": False},
    "plain, quantised in the end": {"quantise": 0.1},
    "quantised, no adversary": {**QUANTISED, "adversary": None},
    "plain with GRU": {"encoder": "gru"},
    "plain with transformer": {"encoder": "transformer"},
}
DOMAINS: dict[str, Any] = {"steps_per_epoch": 100, "max_epochs": 8}
SEEN, UNSEEN = "FSDD, seen speakers", "FSDD, unseen speaker"


def cases(preset: str, device: str) -> list[Case]:
    """Both recipes, ablations of the plain one, what needs no training, and DANN."""
    recipes = {"plain": PLAIN, "quantised": QUANTISED}
    listed = [
        Case(
            SEEN, "SpeechAutoencoder", name, lambda seed, s=settings: seen("FSDD", s, device, seed)
        )
        for name, settings in recipes.items()
    ]
    listed += [
        Case(
            UNSEEN,
            "SpeechAutoencoder",
            f"{name}, linear probe of p",
            lambda seed, s=settings: unseen(corpus("FSDD"), s, device, seed),
        )
        for name, settings in recipes.items()
    ]
    listed += [
        Case(
            SEEN,
            "SpeechAutoencoder",
            name,
            lambda seed, s={**PLAIN, **change}: seen("FSDD", s, device, seed),
            seeds=1,
        )
        for name, change in ABLATIONS.items()
    ]
    for name in ("mean and deviation", "PCA"):
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
                f"{name}, linear probe",
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
