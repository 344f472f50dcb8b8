"""Internal. Audio files: found in a folder, and read block by block as float32 mono.

Files are read by soundfile (libsndfile): wav, flac, ogg, mp3 and others. ``torchaudio.load`` is
not used: since torchaudio 2.9 it needs an FFmpeg of its own.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from repkit._optional import need
from repkit.audio.integrity import missing

SUFFIXES = frozenset(
    {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".caf", ".w64"}
)
RATES = (1000, 1_000_000)  # Hz, least and most: beyond, a header is damaged
MOST_CHANNELS = 64


def find(folder: Path) -> list[Path]:
    """List the audio files below a folder.

    Files are recognized by their suffix. Hidden files and hidden folders are left out. Links are
    followed; a folder that several links lead to is listed once, by its own place if that is below
    `folder`. What cannot be looked into, a folder without permission or a link to nothing, is in
    the list too, lest it be missed: it fails when it is read.

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
    OSError
        If the folder cannot be listed.
    ValueError
        If there is no audio file.
    """
    os.scandir(folder).close()  # raises an error, as `os.walk` does not
    found: list[Path] = []
    seen: set[str] = set()
    waiting = [folder]  # links to folders come after all that has a place of its own
    while waiting:
        links: list[Path] = []
        for top in sorted(waiting):
            if os.path.realpath(top) not in seen:
                _walk(top, found, links, seen)
        waiting = links
    if not found:
        raise ValueError(f"{folder} has no audio file ({', '.join(sorted(SUFFIXES))})")
    return sorted(found)


def _walk(top: Path, found: list[Path], links: list[Path], seen: set[str]) -> None:
    """Add what lies below a folder: sound, links to folders, and the real places of folders."""

    def refused(error: OSError) -> None:
        found.append(Path(error.filename))

    for place, folders, files in os.walk(top, onerror=refused):
        here = Path(place)
        real = os.path.realpath(here)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not name.startswith(".")]
        links.extend(here / name for name in folders if (here / name).is_symlink())
        found.extend(here / name for name in files if name[0] != "." and _counts(here / name))


def _counts(path: Path) -> bool:
    """Whether a file may be sound: by its suffix, and a lost link without one may be a folder's."""
    suffix = path.suffix.lower()
    try:
        return stat.S_ISREG(path.stat().st_mode) and suffix in SUFFIXES
    except OSError:
        return suffix in SUFFIXES or (suffix == "" and path.is_symlink())


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
    ValueError
        If the header says what no recording of speech has.
    OSError or soundfile.LibsndfileError
        If the header cannot be read.
    """
    with _opened(path) as file:
        return file.frames, file.samplerate


def blocks(path: Path, size: int) -> Iterator[np.ndarray]:
    """Read the samples of a file, channels averaged.

    Parameters
    ----------
    path : Path
        An audio file.
    size : int
        Largest number of samples in a block, those of all channels together.

    Yields
    ------
    ndarray of shape (n,)
        Float32 samples; in [-1, 1] where the file holds integers.

    Raises
    ------
    ImportError
        If soundfile is not installed.
    ValueError
        If the file is torn: it ends before what its header announces, or without the mark that
        its format has at the end. Or if the header says what no recording of speech has.
    OSError or soundfile.LibsndfileError
        If the file cannot be decoded.
    """
    with _opened(path) as file:
        reason = missing(path, file)
        if reason is not None:
            raise ValueError(reason)
        # Compressed formats without a seek table only estimate their length.
        exact, found, rows = file.format not in {"MP3", "OGG"}, 0, max(1, size // file.channels)
        # What libsndfile makes of 16 bits itself, in a fraction of its time.
        kind = "int16" if file.subtype == "PCM_16" else "float32"
        while len(block := file.read(rows, dtype=kind, always_2d=True)):
            found += len(block)
            block = scaled(block)
            yield block[:, 0] if block.shape[1] == 1 else block.mean(axis=1)
        if exact and found < file.frames:
            raise ValueError(f"it is torn: {found} of {file.frames} samples could be read")


def _opened(path: Path) -> Any:
    """A ``soundfile.SoundFile`` whose rate and channels are those of a recording."""
    soundfile = need("soundfile", "speech")
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        os.scandir(path).close()  # says why, where it cannot be listed
        raise ValueError("it is a folder")
    if not stat.S_ISREG(mode):  # a pipe would be waited for
        raise ValueError("it is no file")
    path.open("rb").close()  # says why, where it cannot be opened
    # As bytes: a name need not be text.
    file = soundfile.SoundFile(os.fsencode(path) if os.name == "posix" else str(path))
    reason = None
    if file.format == "RAW":  # what libsndfile makes of any .au file without a header
        reason = "it has no header of an audio file"
    elif not RATES[0] <= file.samplerate <= RATES[1]:
        reason = (
            f"its header says a sample rate of {file.samplerate} Hz; that of speech is from "
            f"{RATES[0]} to {RATES[1]} Hz"
        )
    elif file.channels > MOST_CHANNELS:
        reason = (
            f"its header says a number of channels of {file.channels}; that of speech is at most "
            f"{MOST_CHANNELS}"
        )
    if reason is not None:
        file.close()
        raise ValueError(reason)
    return file


def folder_speakers(paths: Sequence[Path]) -> np.ndarray | None:
    """Name the sub-folders in which files lie, where the paths first part.

    Parameters
    ----------
    paths : sequence of Path
        Files below one folder.

    Returns
    -------
    ndarray of str of shape (n,) or None
        "-1" for a file beside the sub-folders; None if all files lie in one folder.
    """
    top = Path(os.path.commonpath([path.parent for path in paths]))
    below = [path.relative_to(top).parts for path in paths]
    if all(len(parts) == 1 for parts in below):
        return None
    return np.array([parts[0] if len(parts) > 1 else "-1" for parts in below])


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
    return np.multiply(samples, np.float32(1 / full), dtype=np.float32, casting="unsafe")
