"""Speech auto-encoder with a phonetic and a speaker vector (Chen et al. 2018, 2019)."""

from repkit.speech.estimator import SpeechAutoencoder
from repkit.speech.parts import (
    Adversary,
    Prototypes,
    SpeakerLoss,
    SpeechEncoder,
    SpeechFrames,
    Swap,
)
from repkit.speech.speaker_erasure import SpeakerErasure

__all__ = [
    "Adversary",
    "Prototypes",
    "SpeakerErasure",
    "SpeakerLoss",
    "SpeechAutoencoder",
    "SpeechEncoder",
    "SpeechFrames",
    "Swap",
]
