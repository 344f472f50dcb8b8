"""Speech auto-encoder with a phonetic and a speaker vector (Chen et al. 2018, 2019)."""

from repkit.speech.estimator import SpeechAutoencoder

__all__ = ["SpeechAutoencoder"]
