"""Internal. Audio files: found in a folder, and read block by block as float32 mono.

Files are read by soundfile (libsndfile): wav, flac, ogg, mp3 and others. ``torchaudio.load`` is
not used: since torchaudio 2.9 it needs an FFmpeg of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from repkit._optional import need

SUFFIXES = frozenset(
    {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".caf", ".w64"}
)


def find(folder: Path) -> list[Path]:
    """List the audio files below a folder.

    Files are recognized by their suffix. Hidden files and hidden folders are left out.

    Parameters
    ----------
    folder : Path
        An existing folder.

    Returns
    -------
    list of Path
        At least one file, ordered by path.

    Raises
    ------
    ValueError
        If there is no audio file.
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
    """Read the length of a file from its header alone.

    Parameters
    ----------
    path : Path
        An audio file.

    Returns
    -------
    n_samples : int
        Samples in each channel; an estimate for some compressed files.
    sample_rate : int
        Sample rate, in Hz.

    Raises
    ------
    ImportError
        If soundfile is not installed.
    OSError or soundfile.LibsndfileError
        If the header cannot be read.
    """
    info = need("soundfile", "speech").info(str(path))
    return info.frames, info.samplerate


def blocks(path: Path, size: int) -> Iterator[np.ndarray]:
    """Read the samples of a file, channels averaged.

    Parameters
    ----------
    path : Path
        An audio file.
    size : int
        Largest number of samples in a block.

    Yields
    ------
    ndarray of shape (n,)
        Float32 samples; in [-1, 1] where the file holds integers.

    Raises
    ------
    ImportError
        If soundfile is not installed.
    ValueError
        If the file ends before the number of samples that its header announces. (Of a torn wav
        file libsndfile gives the samples that are there.)
    OSError or soundfile.LibsndfileError
        If the file cannot be decoded.
    """
    with need("soundfile", "speech").SoundFile(str(path)) as file:
        # Compressed formats without a seek table only estimate their length.
        exact, found = file.format not in {"MP3", "OGG"}, 0
        while len(block := file.read(size, dtype="float32", always_2d=True)):
            found += len(block)
            yield block[:, 0] if block.shape[1] == 1 else block.mean(axis=1)
        if exact and found < file.frames:
            raise ValueError(f"it is torn: {found} of {file.frames} samples could be read")


def scaled(samples: np.ndarray) -> np.ndarray:
    """Convert samples to float32, PCM integers to [-1, 1).

    Parameters
    ----------
    samples : ndarray
        Floats are taken as they are. Integers are PCM: uint8 is centered on 128, as in wav files;
        int8 is divided by 128 and int32 by 2**31; int16 and every other integer type is divided
        by 32768, as 16-bit samples in a wider type.

    Returns
    -------
    ndarray
        Float32, of the shape of `samples`.
    """
    if samples.dtype.kind == "f":
        return samples.astype(np.float32, copy=False)
    if samples.dtype == np.uint8:
        return (samples.astype(np.float32) - 128) / 128
    full = {"int8": 2.0**7, "int32": 2.0**31}.get(samples.dtype.name, 2.0**15)
    return (samples / full).astype(np.float32)
