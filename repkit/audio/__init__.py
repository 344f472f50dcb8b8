"""From audio to frames: reading, resampling, log-mel and MFCC frames, and back to a waveform."""

from .extraction import Extracted, extract, statistics, stream
from .front_end import FrontEnd
from .inversion import to_waveform
from .utterances import AudioError, Skipped, Utterances, as_utterances

__all__ = [
    "AudioError",
    "Extracted",
    "FrontEnd",
    "Skipped",
    "Utterances",
    "as_utterances",
    "extract",
    "statistics",
    "stream",
    "to_waveform",
]
