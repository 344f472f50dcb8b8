"""Whole files and torn ones, by what their formats say of the end."""

import numpy as np
import pytest
import soundfile

from repkit.audio.integrity import missing


@pytest.fixture
def write(tmp_path):
    """Write noise, ever softer, and give its bytes."""

    def write(name, n=20000, **options):
        noise = 0.3 * np.random.default_rng(0).standard_normal(n)
        path = tmp_path / name
        soundfile.write(path, noise * np.linspace(1, 0, n) ** 2, 8000, **options)
        return path.read_bytes()

    return write


@pytest.fixture
def said(tmp_path):
    """What is missing from a file of these bytes."""

    def said(name, raw):
        path = tmp_path / name
        path.write_bytes(raw)
        with soundfile.SoundFile(path) as file:
            return missing(path, file)

    return said


def frames_of(raw):
    """Cut an mp3 file of layer III, MPEG 2.5, at its sync words."""
    edges, place = [], 0
    while raw[place : place + 2] == b"\xff\xe3":
        edges.append(place)
        kbits = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)[raw[place + 2] >> 4]
        place += 72000 * kbits // 8000 + (raw[place + 2] >> 1 & 1)
    return [raw[a:b] for a, b in zip(edges, [*edges[1:], place], strict=True)]


@pytest.mark.parametrize("name", ["a.wav", "a.aiff", "a.au", "a.w64", "a.ogg", "a.mp3"])
def test_all_cuts_are_told(name, write, said):
    raw = write(name)
    assert said(name, raw) is None
    for cut in (8, 100, len(raw) // 3):
        assert "torn" in said(name, raw[:-cut]), cut


def test_ogg_of_several_pages(write, said):
    raw = write("a.ogg", n=200000)
    assert raw.count(b"OggS") > 4
    assert said("a.ogg", raw) is None
    last = raw.rfind(b"OggS")
    assert said("a.ogg", raw[:last]) == "it is torn: the page that ends it is not there"
    assert "torn" in said("a.ogg", raw[: last + 20])


def test_mp3_with_and_without_the_number_of_its_frames(write, said):
    raw = write("a.mp3")
    frames = frames_of(raw)
    assert (b"".join(frames), b"Xing" in frames[0]) == (raw, True)
    n = len(frames) - 1
    for lost in (2, n // 2):
        reason = f"it is torn: {n + 1 - lost} of {n} frames are there"
        assert said("a.mp3", b"".join(frames[:-lost])) == reason
    # libsndfile takes the size of the first frame for that of all, and stops too early.
    assert "its length is not known" in said("a.mp3", b"".join(frames[1:]))
    assert len({len(frame) for frame in frames[1:]}) > 1
    even = [frame for frame in frames if len(frame) == len(frames[0])][1:] * 9
    assert said("a.mp3", b"".join(even)) is None
    assert said("a.mp3", b"".join(even)[:-30]) == "it is torn: its last frame is not whole"


def test_mp3_with_tags_and_dirt(write, said):
    raw, tag = write("a.mp3"), b"ID3\x04\x00\x00\x00\x00\x02\x00" + b"\xff\xe3" * 128
    frames = frames_of(raw)
    dirty = b"".join(frames[:9]) + b"\xff\x00dirt" + b"".join(frames[9:])
    for whole in (tag + raw, tag + tag + raw + b"TAG" + bytes(125), dirty):
        assert said("a.mp3", whole) is None
    assert "frames are there" in said("a.mp3", tag + b"".join(frames[:-3]) + b"TAG" + bytes(125))


def test_formats_without_a_mark_are_left_alone(write, said):
    assert said("a.flac", write("a.flac")) is None  # its decoder tells
