"""Internal. Whether an audio file is whole.

libsndfile gives the samples that are there, and of most formats says nothing of those that are
not. What a whole file looks like is said by its format: the size of its data (wav and its kin), a
mark on its last page (ogg), the number of its frames (mp3).
"""

from __future__ import annotations

import mmap
import os
import re
from pathlib import Path
from typing import Any

# Lines of libsndfile's report: a chunk announces more bytes than there are.
_SHORT = re.compile(
    r"^\s*(?:data|SSND|Data Size|riff|Riff size)\s*: (\d+) \(should be (\d+)\)", re.M
)
# From here on a size says that the writer, into a pipe, did not know it.
_UNKNOWN = 0x7FFF0000
_PAGE = 65307  # bytes of the largest page of an ogg file
# Of layer III, by the number in the header: kbit/s (0: a rate of the file's own) and samples/s.
_MPEG_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MPEG_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


def missing(path: Path, file: Any) -> str | None:
    """Say what is missing from a file.

    Parameters
    ----------
    path : Path
        An audio file.
    file : soundfile.SoundFile
        The same file, opened.

    Returns
    -------
    str or None
        A reason for an error; None if the file is whole, or if its format does not tell.
    """
    for announced, found in _SHORT.findall(file.extra_info):
        if int(found) < int(announced) < _UNKNOWN:
            return f"it is torn: {found} of {announced} bytes are there"
    if file.format in ("OGG", "MP3") and os.path.getsize(path):
        with path.open("rb") as raw, mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _ogg(data) if file.format == "OGG" else _mp3(data, file.frames)
    return None


def _ogg(data: Any) -> str | None:
    """The last page is whole, and is marked as the last one."""
    start = data.rfind(b"OggS", max(0, len(data) - 2 * _PAGE))
    head = data[start : start + 27] if start >= 0 else b""
    if len(head) == 27:
        sizes = data[start + 27 : start + 27 + head[26]]
        whole = start + 27 + head[26] + sum(sizes) <= len(data)
        if whole and head[5] & 4:
            return None
    return "it is torn: the page that ends it is not there"


def _mp3(data: Any, samples: int) -> str | None:
    """The last frame is whole; the first one announces as many, if any; the decoder gives all."""
    place = _after_tags(data)
    frames, announced, last, each = 0, None, place, 1152
    while place + 4 <= len(data):
        size = _frame_size(data[place : place + 4])
        if size == 0:
            return None
        if size is None:
            if not frames or data[place : place + 3] in (b"TAG", b"ID3", b"APE", b"LYR"):
                break
            place = data.find(b"\xff", place + 1)
            if place < 0:
                break
            continue
        if not frames:
            announced = _announced(data[place : place + min(size, 64)])
            each = 1152 if data[place + 1] >> 3 & 3 == 3 else 576
        frames, last = frames + 1, place + size
        place = last
    if not frames:
        return None
    if announced is not None and frames < announced:
        return f"it is torn: {frames} of {announced} frames are there"
    if last > len(data) + 1:  # one byte less is the mark of some encoders
        return "it is torn: its last frame is not whole"
    # libsndfile stops where it guesses the end. Encoders add some frames, which it leaves out.
    if samples < (frames - 8) * each:
        return f"its length is not known: {samples} of {frames * each} samples would be read"
    return None


def _after_tags(data: Any) -> int:
    place = 0
    while data[place : place + 3] == b"ID3" and place + 10 <= len(data):
        a, b, c, d = data[place + 6 : place + 10]
        place += 10 + (a << 21 | b << 14 | c << 7 | d) + 10 * bool(data[place + 5] & 0x10)
    return place


def _frame_size(head: bytes) -> int | None:
    """Bytes of a frame of layer III; None if it is no frame, 0 if it does not say its size."""
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    rate, samples = head[2] >> 4, head[2] >> 2 & 3
    if head[0] != 255 or head[1] < 224 or version == 1 or layer != 1 or rate == 15 or samples == 3:
        return None
    kbits = (_MPEG_1 if version == 3 else _MPEG_2)[rate]
    if kbits == 0:
        return 0
    eighths = 144000 if version == 3 else 72000
    return eighths * kbits // _RATES[version][samples] + (head[2] >> 1 & 1)


def _announced(frame: bytes) -> int | None:
    """Number of frames after this first one, if that is what it holds."""
    tag = max(frame.find(b"Xing"), frame.find(b"Info"))
    if tag < 0 or not frame[tag + 7] & 1:
        return None
    # Some encoders count it among the others.
    return int.from_bytes(frame[tag + 8 : tag + 12], "big")
