"""Audio files, read block by block as float32 mono.

Everything that libsndfile reads, by the package soundfile; without it, PCM wav files only.
``torchaudio.load`` is not used: since torchaudio 2.9 it needs an FFmpeg of its own.
"""

from __future__ import annotations

import wave
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np

SUFFIXES = frozenset(
    {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".caf", ".w64"}
)

Block = np.ndarray  # float32 (n,), in [-1, 1] where the file holds integers


def find(folder: Path) -> list[Path]:
    """List the audio files below a folder, by suffix and in the order of their paths.

    Hidden files and what lies in hidden folders are left out.

    Raises
    ------
    ValueError
        There is none.
    """
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    )
    if not found:
        raise ValueError(f"{folder} has no audio file ({', '.join(sorted(SUFFIXES))})")
    return found


def length(path: Path) -> tuple[int, int]:
    """Samples in a channel and the sample rate in Hz, from the header alone.

    Of some compressed files the number of samples is an estimate.
    """
    soundfile = _soundfile()
    if soundfile is None:
        with _open_wave(path) as file:
            return file.getnframes(), file.getframerate()
    info = soundfile.info(str(path))
    return info.frames, info.samplerate


def blocks(path: Path, size: int) -> Iterator[Block]:
    """Yield the samples of a file, channels averaged, at most `size` at a time.

    Raises
    ------
    ImportError
        The file is no wav and soundfile is not installed.
    ValueError
        The file ends before the number of samples that its header announces. (Of a torn wav
        file libsndfile gives what there is.)
    Exception
        Whatever the reader raises on a file that it cannot decode.
    """
    soundfile = _soundfile()
    if soundfile is None:
        yield from _wave_blocks(path, size)
        return
    with soundfile.SoundFile(str(path)) as file:
        # Compressed formats without a seek table only estimate their length.
        exact, found = file.format not in {"MP3", "OGG"}, 0
        while len(block := file.read(size, dtype="float32", always_2d=True)):
            found += len(block)
            yield _mono(block)
        if exact and found < file.frames:
            raise ValueError(f"it is torn: {found} of {file.frames} samples could be read")


def _soundfile() -> ModuleType | None:
    try:
        import soundfile
    except (ImportError, OSError):  # OSError: the package is there, its libsndfile is not
        return None
    return soundfile


def _open_wave(path: Path) -> wave.Wave_read:
    if path.suffix.lower() != ".wav":
        raise ImportError(
            f"{path} can only be read with soundfile, which is not installed: "
            'pip install "repkit[audio]". (Without it, PCM wav files only.)'
        )
    try:
        return wave.open(str(path), "rb")
    except wave.Error as error:
        if "unknown format" in str(error):  # a sound wav file, but of floats or compressed
            raise ImportError(
                f"{path} holds other than PCM samples ({error}), which takes soundfile: "
                'pip install "repkit[audio]"'
            ) from error
        raise


def _wave_blocks(path: Path, size: int) -> Iterator[Block]:
    with _open_wave(path) as file:
        announced, found, width = file.getnframes(), 0, file.getsampwidth()
        while raw := file.readframes(size):
            whole = len(raw) // (width * file.getnchannels())
            samples = _pcm(raw[: whole * width * file.getnchannels()], width)
            found += whole
            yield _mono(samples.reshape(-1, file.getnchannels()))
        if found < announced:
            raise ValueError(f"it is torn: {found} of {announced} samples could be read")


def _pcm(raw: bytes, width: int) -> np.ndarray:
    """Decode little-endian PCM of 1 to 4 bytes a sample to [-1, 1)."""
    if width == 1:
        return scaled(np.frombuffer(raw, np.uint8))
    if width == 3:  # the three bytes become the upper ones of an int32
        wide = np.zeros((len(raw) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(raw, np.uint8).reshape(-1, 3)
        return scaled(wide.view("<i4")[:, 0])
    return scaled(np.frombuffer(raw, f"<i{width}"))


def _mono(block: np.ndarray) -> Block:
    return block[:, 0] if block.shape[1] == 1 else block.mean(axis=1)


def scaled(samples: np.ndarray) -> Block:
    """Float32 samples; integers are PCM and scaled to [-1, 1).

    uint8 is offset by 128 as in wav files; int8 and int32 are divided by their full scale;
    int16 and every other integer type by 32768, as 16-bit samples in a wider type.
    """
    if samples.dtype.kind == "f":
        return samples.astype(np.float32, copy=False)
    if samples.dtype == np.uint8:
        return (samples.astype(np.float32) - 128) / 128
    full = {"int8": 2.0**7, "int32": 2.0**31}.get(samples.dtype.name, 2.0**15)
    return (samples / full).astype(np.float32)
