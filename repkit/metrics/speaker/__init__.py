"""Speech: what the vectors of an utterance tell about the word and about the speaker.

Verification, discrimination and probes follow the conventions of their fields. There is one table
of them all, and vectors without training that a model must beat.
"""

from repkit.metrics.speaker._abx import abx_error
from repkit.metrics.speaker._pooling import mean_std, resampled_pca
from repkit.metrics.speaker._probes import probe_report, swap_test
from repkit.metrics.speaker._report import disentanglement_report
from repkit.metrics.speaker._same_different import same_different
from repkit.metrics.speaker._segments import cut_segments, phone_probe
from repkit.metrics.speaker._verification import enrolled_eer, speaker_eer

__all__ = [
    "abx_error",
    "cut_segments",
    "disentanglement_report",
    "enrolled_eer",
    "mean_std",
    "phone_probe",
    "probe_report",
    "resampled_pca",
    "same_different",
    "speaker_eer",
    "swap_test",
]
