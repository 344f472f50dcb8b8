"""Spoken digits and folders of recordings."""

from __future__ import annotations

import io
import re
import wave
import zipfile

import numpy as np
import pytest

from repkit.datasets import DataCorruptedError, _fetch, load_fsdd, load_speech_folder, speech
from repkit.datasets._sources import CONTENT, SOURCES, Source


def test_fsdd(real_data):
    every, train, test = (load_fsdd(subset) for subset in ("all", "train", "test"))
    assert [len(b.data) for b in (every, train, test)] == [3000, 2400, 600]
    assert sum(map(len, every.data)) == 10498424
    assert every.data[0].dtype == np.float32
    assert 0.1 < abs(np.concatenate(every.data)).max() <= 1
    assert every.speaker_names == ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
    assert np.unique(np.stack([every.speaker, every.digit, every.take]), axis=1).shape == (3, 3000)
    assert test.take.max() == 9
    assert train.take.min() == 10
    assert len(load_fsdd("test", test_takes=5).data) == 300
    for digit, name in ((0, "george"), (7, "theo")):
        path = real_data / "fsdd" / "wav" / f"{digit}_{name}_0.wav"
        row = (
            (every.digit == digit)
            & (every.take == 0)
            & (every.speaker == every.speaker_names.index(name))
        )
        with wave.open(str(path)) as file:
            raw = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        np.testing.assert_array_equal(every.data[row.argmax()] * 2**15, raw)


def recording(samples, rate=8000):
    raw = io.BytesIO()
    with wave.open(raw, "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(np.asarray(samples, "<i2").tobytes())
    return raw.getvalue()


def test_fsdd_from_the_public_archive(folders, monkeypatch, serve):
    parts = {
        (s, d, t): [d, t, len(s)] * (d + 1) for s in ("b", "a") for d in (0, 1) for t in (2, 11)
    }
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        archive.writestr("fsdd-26eb/README.md", "words")
        for (s, d, t), samples in parts.items():
            archive.writestr(f"fsdd-26eb/recordings/{d}_{s}_{t}.wav", recording(samples))
    expected = [parts[key] for key in sorted(parts)]
    assert SOURCES["fsdd"][1].path.endswith(".zip")
    source = Source("fsdd/fsdd.zip", (), serve("fsdd.zip", raw.getvalue()))
    monkeypatch.setitem(SOURCES, "fsdd", (source,))
    with pytest.raises(DataCorruptedError, match="its content has sha256"):
        load_fsdd()
    path = folders[1] / "x.zip"
    path.write_bytes(raw.getvalue())
    monkeypatch.setitem(CONTENT, "fsdd", _fetch.digest(speech._parse_fsdd(path)))
    data = load_fsdd()
    assert [(x * 2**15).tolist() for x in data.data] == expected
    assert data.speaker_names == ("a", "b")
    assert data.speaker.tolist() == [0] * 4 + [1] * 4
    assert load_fsdd("train").take.tolist() == [11] * 4


def test_fsdd_archive_gives_the_types_of_the_packed_form(real_data, tmp_path):
    packed = speech._parse_fsdd(real_data / "fsdd" / "fsdd.npz")
    assert _fetch.digest(packed) == CONTENT["fsdd"]
    chosen = np.flatnonzero(packed["index"] == 0)
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for file in (real_data / "fsdd" / "wav").glob("*.wav"):
            archive.write(file, f"x/recordings/{file.name}")
    parsed = speech._parse_fsdd(tmp_path / "x.zip")
    for name, array in parsed.items():
        assert array.dtype == packed[name].dtype, name
    for name in ("digit", "speaker", "index"):
        np.testing.assert_array_equal(parsed[name], packed[name][chosen])
    np.testing.assert_array_equal(parsed["speaker_names"], packed["speaker_names"])
    np.testing.assert_array_equal(np.diff(parsed["offsets"]), np.diff(packed["offsets"])[chosen])


def test_fsdd_refuses():
    with pytest.raises(ValueError, match=r"subset must be one of .*'test'.*, not 'dev'"):
        load_fsdd("dev")
    with pytest.raises(ValueError, match="test_takes must be an integer from 1 to 49, not 50"):
        load_fsdd(test_takes=50)


@pytest.fixture
def recordings(tmp_path):
    for name in ("ann/1_x.wav", "bob/1_y.FLAC", "ann/2_y.ogg", ".cache/3_x.wav", "bob/notes.txt"):
        path = tmp_path / "speech" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"never read")
    return tmp_path / "speech"


def test_speech_folder(recordings):
    data = load_speech_folder(recordings)
    assert data.data == [
        str(recordings / n) for n in ("ann/1_x.wav", "ann/2_y.ogg", "bob/1_y.FLAC")
    ]
    assert data.speaker_names == ("ann", "bob")
    assert data.speaker.tolist() == ["ann", "ann", "bob"]
    for speaker in (r"_(\w)\.", r"(\d)_(?P<speaker>\w)", re.compile("[xy](?=[.])")):
        by = load_speech_folder(str(recordings), speaker)
        assert by.speaker_names == ("x", "y")
        assert by.speaker.tolist() == ["x", "y", "y"]
    assert load_speech_folder(recordings, lambda p: int(p.stem[0])).speaker_names == ("1", "2")


def test_chapters_are_no_speakers(tmp_path):
    """Two speakers read a chapter of one name; a file beside their folders is of nobody."""
    for name in ("ann/1/a.wav", "bob/1/b.wav", "c.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    data = load_speech_folder(tmp_path)
    assert data.speaker.tolist() == ["ann", "bob", "-1"]
    assert data.speaker_names == ("ann", "bob")
    by_chapter = load_speech_folder(tmp_path, lambda path: path.parent.name)
    assert by_chapter.speaker_names == ("1", tmp_path.name)


def test_the_folder_names_whom_it_lists(recordings, tmp_path, monkeypatch):
    """Whatever a link points to, and however the folder is called."""
    (recordings / "bob" / "2_z.wav").symlink_to(recordings / "ann" / "1_x.wav")
    assert load_speech_folder(recordings).speaker.tolist() == ["ann", "ann", "bob", "bob"]
    monkeypatch.chdir(recordings / "ann")
    for path in (".", "../ann", recordings / "ann"):
        assert load_speech_folder(path).speaker_names == ("ann",)


def test_speech_folder_refuses(recordings, tmp_path):
    with pytest.raises(
        ValueError, match=r"speaker must match the path of every file; '1_\(\\\\w\)' does"
    ):
        load_speech_folder(recordings, r"1_(\w)")
    with pytest.raises(TypeError, match=r"speaker must be 'folder', a regular .*, not 3"):
        load_speech_folder(recordings, 3)
    with pytest.raises(ValueError, match=r"speaker must be 'folder', a regular .*, not '\('"):
        load_speech_folder(recordings, "(")
    with pytest.raises(ValueError, match=r"gave None for .*1_x\.wav"):
        load_speech_folder(recordings, lambda p: None)
    with pytest.raises(ValueError, match="names nobody"):
        load_speech_folder(recordings, "z*")
    with pytest.raises(NotADirectoryError, match="typo"):
        load_speech_folder(tmp_path / "typo")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no audio file"):
        load_speech_folder(tmp_path / "empty")
