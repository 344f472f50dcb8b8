"""Recorded speech: the Free Spoken Digit Dataset, and files of your own."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import wavfile
from sklearn.utils import Bunch

from repkit import _arguments
from repkit.datasets._fetch import Arrays, npz, read

__all__ = [
    "load_fsdd",
    "load_speech_folder",
]


def load_fsdd(subset: str = "all", test_takes: int = 10) -> Bunch:
    """Load the Free Spoken Digit Dataset (Jackson et al.): 6 men, 10 digits, 50 takes of each.

    Parameters
    ----------
    subset : {"all", "train", "test"}, default="all"
        Part to load. The test part holds the first takes of every speaker and digit.
    test_takes : int, default=10
        Number of takes in the test part. 10 makes 2400 recordings for training and 600 for the
        test. The authors' own split takes 5.

    Returns
    -------
    data : Bunch
        ``data``, a list of float32 waveforms (T,) in [-1, 1), 0.14 to 2.28 s long;
        ``digit``, ``speaker`` and ``take``, int64 (n,), take 0 to 49; ``speaker_names``, a tuple
        of 6; ``sample_rate``, 8000 Hz. Ordered by speaker, digit and take.

    Raises
    ------
    ValueError
        If `subset` is unknown, or `test_takes` is not from 1 to 49.
    FileNotFoundError
        If the file is not below ``REPKIT_DATA`` or in the cache, and cannot be downloaded.
    OSError
        If a file is torn, altered or of another version.
    ImportError
        If pooch, which downloads, is needed but missing: install the extra `data`.

    Notes
    -----
    Downloaded if needed, from its repository on GitHub, at one commit (CC BY-SA 4.0).
    """
    _arguments.choice(subset, "subset", ("all", "train", "test"))
    _arguments.integer(test_takes, "test_takes", 1, 49)
    from repkit.audio import reading  # loads torch

    data = read("fsdd", _parse_fsdd)
    take = data["index"].astype(np.int64)
    rows = np.flatnonzero((subset == "all") | ((take < test_takes) == (subset == "test")))
    start, end = data["offsets"][:-1], data["offsets"][1:]
    scaled = reading.scaled(data["samples"])
    return Bunch(
        data=[scaled[start[i] : end[i]].copy() for i in rows],
        digit=data["digit"][rows].astype(np.int64),
        speaker=data["speaker"][rows].astype(np.int64),
        take=take[rows],
        speaker_names=tuple(data["speaker_names"].tolist()),
        sample_rate=8000,
    )


def _parse_fsdd(path: Path) -> Arrays:
    names = ("samples", "offsets", "digit", "speaker", "index", "speaker_names")
    if path.suffix == ".npz":
        return npz(path, names)
    found = []
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            match = re.search(r"/recordings/(\d)_([a-z]+)_(\d+)\.wav$", member)
            if match:
                digit, speaker, take = match.groups()
                found.append(((speaker, int(digit), int(take)), archive.read(member)))
    found.sort(key=lambda item: item[0])
    samples = [wavfile.read(io.BytesIO(raw))[1] for _, raw in found]
    speakers, digits, takes = zip(*(key for key, _ in found), strict=True)
    speaker_names, speaker = np.unique(speakers, return_inverse=True)
    return {
        "samples": np.concatenate(samples),
        "offsets": np.cumsum([0, *map(len, samples)], dtype=np.int64),
        "digit": np.array(digits, np.uint8),
        "speaker": speaker.astype(np.uint8),
        "index": np.array(takes, np.uint8),
        "speaker_names": speaker_names,
    }


_SPEAKER = "speaker must be 'folder', a regular expression or a function of a file's path"


def load_speech_folder(
    path: str | Path, speaker: str | re.Pattern[str] | Callable[[Path], Any] = "folder"
) -> Bunch:
    """List the audio files below a folder and who speaks in them. No sound is read.

    Parameters
    ----------
    path : str or Path
        Folder to search, with the folders that links in it lead to. Hidden files and folders are
        left out.
    speaker : "folder", str, re.Pattern or callable, default="folder"
        How to tell the speaker of a file. "folder": by the sub-folder in which it lies, where the
        paths first part, however deep below it the file is, as `SpeechAutoencoder` does; a file
        beside the sub-folders is of unknown speaker, "-1". If all files lie in one folder, it is
        that folder's name. Another string or a pattern: by a regular expression that is searched
        for in the path below `path`, with forward slashes. The group called ``speaker``, else the
        first group, else the whole match names the speaker. A callable maps the full path to the
        name.

    Returns
    -------
    data : Bunch
        ``data``, a list of paths (str), in the order of their names, as the estimators take it;
        ``speaker``, the name of each one's speaker, str (n,); ``speaker_names``, a sorted tuple of
        those known.

    Raises
    ------
    NotADirectoryError
        If `path` is not a folder.
    ValueError
        If the folder holds no audio file, or a file has no speaker.
    """
    if isinstance(speaker, str) and speaker != "folder":
        try:
            re.compile(speaker)
        except re.error as error:
            raise ValueError(f"{_SPEAKER}, not {speaker!r}: {error}") from error
    elif not callable(speaker) and not isinstance(speaker, str | re.Pattern):
        raise TypeError(f"{_SPEAKER}, not {_arguments.shown(speaker)}")
    folder = _arguments.path(path, "path", "a folder")
    if not folder.is_dir():
        raise NotADirectoryError(f"path must be a folder, not {str(path)!r}")
    from repkit.audio import reading  # loads torch

    files = reading.find(folder)
    if isinstance(speaker, str) and speaker == "folder":
        named = reading.folder_speakers(files)
        if named is None:
            named = np.full(len(files), files[0].parent.name or files[0].parent.resolve().name)
    else:
        named = np.array([_speaker_of(file, folder, speaker) for file in files])
    return Bunch(
        data=[str(file) for file in files],
        speaker=named,
        speaker_names=tuple(name for name in np.unique(named).tolist() if name != "-1"),
    )


def _speaker_of(
    file: Path, folder: Path, speaker: str | re.Pattern[str] | Callable[[Path], Any]
) -> str:
    """What a function or a pattern says."""
    if callable(speaker):
        name = speaker(file)
        if name is None or name == "":
            raise ValueError(
                f"speaker must give a name for every file; {speaker!r} gave {name!r} for {file}"
            )
        return str(name)
    match = re.search(speaker, file.relative_to(folder).as_posix())
    if match is None:
        raise ValueError(
            f"speaker must match the path of every file; {speaker!r} does not match {file}"
        )
    groups = match.groupdict()
    name = groups.get("speaker") or (match.group(1) if match.re.groups else match.group())
    if not name:
        raise ValueError(
            f"speaker must name somebody for every file; {speaker!r} names nobody for {file}"
        )
    return name
