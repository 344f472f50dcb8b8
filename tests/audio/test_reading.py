"""Audio files of every format, read block by block."""

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from repkit.audio import FrontEnd, as_utterances, extract, reading


def tone(n=4000, rate=8000, f=440.0):
    return (0.5 * np.sin(2 * np.pi * f * np.arange(n) / rate)).astype(np.float32)


def read(path):
    return np.concatenate(list(reading.blocks(path, 1000)))


@pytest.mark.parametrize(
    ("name", "subtype", "tolerance"),
    [
        ("a.wav", "PCM_U8", 1e-2),
        ("a.wav", "PCM_16", 1e-4),
        ("a.wav", "PCM_24", 1e-6),
        ("a.wav", "PCM_32", 1e-7),
        ("a.wav", "FLOAT", 0),
        ("a.flac", "PCM_16", 1e-4),
        ("a.ogg", "VORBIS", 0.05),
        ("a.mp3", "MPEG_LAYER_III", None),
    ],
)
def test_formats(tmp_path, name, subtype, tolerance):
    soundfile.write(tmp_path / name, tone(), 8000, subtype=subtype)
    n, rate = reading.length(tmp_path / name)
    assert rate == 8000
    got = read(tmp_path / name)
    if tolerance is None:  # mp3 adds silence at the ends
        assert min(n, len(got)) >= 4000
        assert abs(got).max() == pytest.approx(0.5, abs=0.1)
    else:
        assert n == 4000
        np.testing.assert_allclose(got, tone(), rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.aiff", "a.au"])
@pytest.mark.parametrize("channels", [1, 2])
def test_16_bits_are_what_libsndfile_makes_of_them(tmp_path, name, channels):
    samples = np.random.default_rng(0).integers(-32768, 32768, (2500, channels), dtype=np.int16)
    samples[:2] = [[-32768], [32767]]
    soundfile.write(tmp_path / name, samples, 8000, subtype="PCM_16")
    wanted = soundfile.read(tmp_path / name, dtype="float32", always_2d=True)[0].mean(axis=1)
    np.testing.assert_array_equal(read(tmp_path / name), wanted)


def test_stereo_is_averaged(tmp_path):
    both = np.stack([tone(), np.zeros(4000, np.float32)], axis=1)
    soundfile.write(tmp_path / "a.wav", both, 8000, subtype="FLOAT")
    np.testing.assert_allclose(read(tmp_path / "a.wav"), tone() / 2)


def test_without_soundfile_the_extra_is_named(tmp_path, monkeypatch):
    for name in ("a.flac", "a.wav"):
        soundfile.write(tmp_path / name, tone(), 8000)
    monkeypatch.setitem(sys.modules, "soundfile", None)
    for name in ("a.flac", "a.wav"):
        u = as_utterances([tmp_path / name], on_error="skip")  # not the file's fault
        with pytest.raises(ImportError, match=r"needs? soundfile.*'repkit\[speech\]'"):
            extract(u, FrontEnd(sample_rate=8000))


def test_blocks_are_bounded(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(5000), 8000)
    sizes = [len(b) for b in reading.blocks(tmp_path / "a.wav", 1024)]
    assert sizes == [1024] * 4 + [904]


def test_scaled_keeps_the_shape_of_its_input():
    assert reading.scaled(np.zeros((2, 3), np.int16)).shape == (2, 3)
    x = np.ones(3, np.float32)
    assert reading.scaled(x) is x


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["ann/1.wav", "ann/2.wav", "bob/1.wav"], ["ann", "ann", "bob"]),
        (["ann/book/1.wav", "bob/book/2.wav"], ["ann", "bob"]),
        (["wav/ann/1.wav", "wav/bob/1.wav"], ["ann", "bob"]),
        (["1.wav", "ann/1.wav", "bob/1.wav"], ["-1", "ann", "bob"]),
        (["1.wav", "2.wav"], None),
        (["wav/1.wav", "wav/2.wav"], None),
        (["1.wav"], None),
    ],
)
def test_speakers_are_the_folders_where_paths_part(files, expected):
    found = reading.folder_speakers([Path("data") / name for name in files])
    assert (found if found is None else found.tolist()) == expected
    assert expected is None or isinstance(found, np.ndarray)
