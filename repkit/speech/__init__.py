"""Speech auto-encoder with a phonetic and a speaker vector (Chen et al. 2018, 2019)."""

from repkit.speech.estimator import SpeechAutoencoder
from repkit.speech.frame_network import FrameNetwork
from repkit.speech.ivectors import IVectorExtractor
from repkit.speech.matching import blend_source, match_frames, match_moments, match_voice
from repkit.speech.parts import (
    Adversary,
    Prototypes,
    SpeakerLoss,
    SpeechEncoder,
    SpeechFrames,
    Swap,
)
from repkit.speech.posteriors import FramePosteriors
from repkit.speech.speaker_erasure import SpeakerErasure
from repkit.speech.speaker_scaler import SpeakerScaler
from repkit.speech.units import merge_repeats, unit_counts
from repkit.speech.verification import SpeakerVerifier

__all__ = [
    "Adversary",
    "FrameNetwork",
    "FramePosteriors",
    "IVectorExtractor",
    "Prototypes",
    "SpeakerErasure",
    "SpeakerLoss",
    "SpeakerScaler",
    "SpeakerVerifier",
    "SpeechAutoencoder",
    "SpeechEncoder",
    "SpeechFrames",
    "Swap",
    "blend_source",
    "match_frames",
    "match_moments",
    "match_voice",
    "merge_repeats",
    "unit_counts",
]
