"""Speech as frames: audio is read, resampled and turned into log-mel or MFCC frames, and back.

The extra ``speech`` installs what this package needs: soundfile for audio files, torchaudio for
frames.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from repkit.audio.extraction import Extracted, extract, statistics, stream
    from repkit.audio.front_end import FrontEnd
    from repkit.audio.inversion import to_waveform
    from repkit.audio.utterances import AudioError, Skipped, Utterances, as_utterances
    from repkit.audio.voices import VoiceStatistics, voice_statistics

__all__ = [
    "AudioError",
    "Extracted",
    "FrontEnd",
    "Skipped",
    "Utterances",
    "VoiceStatistics",
    "as_utterances",
    "extract",
    "statistics",
    "stream",
    "to_waveform",
    "voice_statistics",
]
# Where each name lives. It is imported on first use: `repkit.datasets` reads audio files by
# `repkit.audio.reading`, and must not load torch for that.
_HOMES = {
    "AudioError": "utterances",
    "Extracted": "extraction",
    "FrontEnd": "front_end",
    "Skipped": "utterances",
    "Utterances": "utterances",
    "VoiceStatistics": "voices",
    "as_utterances": "utterances",
    "extract": "extraction",
    "statistics": "extraction",
    "stream": "extraction",
    "to_waveform": "inversion",
    "voice_statistics": "voices",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"repkit.audio.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'repkit.audio' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
