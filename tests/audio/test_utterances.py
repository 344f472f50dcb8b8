"""Reading speech in all its forms, good and bad."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from repkit.audio import AudioError, FrontEnd, as_utterances, extract


def tone(n=4000, rate=8000, f=440.0):
    return (0.5 * np.sin(2 * np.pi * f * np.arange(n) / rate)).astype(np.float32)


def read(utterances, i=0):
    return np.concatenate(list(utterances.blocks(i, 1000)))


def test_waveforms_in_all_containers():
    x, y = tone(100), tone(50)
    for X in ([x, y], (torch.tensor(x), torch.tensor(y)), [x.tolist(), y.tolist()]):
        u = as_utterances(X)
        assert (len(u), u.kind, u.length(1)) == (2, "audio", (50, 16000))
        np.testing.assert_array_equal(read(u, 1), y)
    for X in (np.stack([x, x]), torch.tensor(np.stack([x, x]))):
        u = as_utterances(X, sample_rate=8000)
        assert len(u) == 2
        assert u.length(0) == (100, 8000)
        np.testing.assert_array_equal(read(u, 1), x)


@pytest.mark.parametrize(
    ("dtype", "full"),
    [("int8", 2**7), ("int16", 2**15), ("int32", 2**31), ("int64", 2**15), ("uint16", 2**15)],
)
def test_integers_are_pcm(dtype, full):
    x = np.array([0, 1, 100], dtype)
    got = read(as_utterances([x]))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, [0, 1 / full, 100 / full], rtol=1e-6)


def test_bytes_are_centered():
    np.testing.assert_array_equal(
        read(as_utterances([np.array([0, 128, 192], np.uint8)])), [-1, 0, 0.5]
    )


def test_folder(tmp_path):
    for name in ("b/x.wav", "a/y.FLAC", "c.ogg", ".hidden/z.wav", ".w.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        soundfile.write(tmp_path / name, tone(), 8000)
    (tmp_path / "notes.txt").write_text("no sound")
    u = as_utterances(str(tmp_path))
    assert [Path(u.name(i)).relative_to(tmp_path).as_posix() for i in range(len(u))] == [
        "a/y.FLAC",
        "b/x.wav",
        "c.ogg",
    ]
    names = np.array([u.name(i) for i in range(3)])
    assert [as_utterances(names).name(i) for i in range(3)] == names.tolist()


def test_folder_without_audio(tmp_path):
    with pytest.raises(ValueError, match=r"no audio file \(\.aif"):
        as_utterances(tmp_path)
    with pytest.raises(FileNotFoundError, match="typo does not exist"):
        as_utterances(tmp_path / "typo")


def test_ready_frames():
    frames = [np.ones((3, 5)), np.zeros((1, 5))]
    u = as_utterances(frames)
    assert (u.kind, u.n_features) == ("frames", 5)
    assert u.frames(0).dtype == np.float32
    assert as_utterances(np.zeros((4, 3, 5))).kind == "frames"
    u = as_utterances([np.ones((3, 5)), np.ones((3, 4)), np.ones((0, 5)), np.full((2, 5), np.inf)])
    for i, reason in ((1, "4 columns where.*5"), (2, "empty"), (3, "NaN or inf")):
        with pytest.raises(AudioError, match=rf"X\[{i}\].*{reason}"):
            u.frames(i)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([], "at least 1 utterance, not 0"),
        (np.zeros((0, 3)), "at least 1 utterance, not 0"),
        (np.zeros((3, 0)), "0 feature"),
        (np.zeros(7), "Reshape your data"),
        (np.zeros((2, 3), complex), "Complex data not supported"),
        ([np.zeros(3), np.zeros((3, 2))], r"\[1, 2\] dimensions"),
        ([1.0, 2.0], "not a single number"),
        ([np.zeros(3), "a.wav"], r"X must hold paths.*X\[0\] is of type ndarray"),
        ([np.array([True, False])], "not dtype bool"),
        (np.array([["a", "b"]]), "must hold samples"),
        (np.array([[1, "b"]], object), "must be numeric"),
    ],
)
def test_refused(X, message):
    with pytest.raises(ValueError, match=message):
        as_utterances(X)


def test_parameters():
    with pytest.raises(ValueError, match=r"on_error must be .*, not 'ignore'"):
        as_utterances([[1.0]], on_error="ignore")
    with pytest.raises(ValueError, match=r"sample_rate must be .*, not 0"):
        as_utterances([[1.0]], sample_rate=0)


BAD = {
    1: (np.zeros(0), "empty"),
    2: (np.array([0.1, np.nan, 0.2]), "NaN or inf.*sample 1"),
    3: (np.array([0.1, 0.1, np.inf]), "NaN or inf.*sample 2"),
    5: (np.zeros(3), "silent"),
    6: (np.array([1e300]), "NaN or inf"),
}


def test_bad_items_are_named_or_skipped():
    X = [BAD[i][0] if i in BAD else tone(500) for i in range(8)]
    for i, (_, reason) in BAD.items():
        with pytest.raises(AudioError, match=rf"X\[{i}\] cannot be used.*{reason}") as caught:
            read(as_utterances(X), i)
        again = pickle.loads(pickle.dumps(caught.value))
        assert (again.index, str(again)) == (i, str(caught.value))
    with pytest.raises(AudioError):
        extract(as_utterances(X), FrontEnd())
    u = as_utterances(X, on_error="skip")
    got = extract(u, FrontEnd())
    assert got.kept.tolist() == [0, 4, 7]
    assert [s.index for s in got.skipped] == sorted(BAD)
    assert got.skipped == u.skipped
    assert got.skipped[0].name == "X[1]"
    alone = extract(as_utterances([tone(500)]), FrontEnd()).frames[0]
    for frames in got.frames:
        np.testing.assert_allclose(frames, alone, atol=1e-5)


def test_all_skipped():
    with pytest.raises(ValueError, match=r"all 2 utterances were skipped.*X\[0\].*empty"):
        extract(as_utterances([[], []], on_error="skip"), FrontEnd())


def test_corrupt_files_among_good_ones(tmp_path):
    for i in range(20):
        soundfile.write(tmp_path / f"{i:02d}.flac", tone(1000 + i), 8000)
    (tmp_path / "03.flac").write_bytes(b"not audio at all")
    torn = (tmp_path / "07.flac").read_bytes()
    (tmp_path / "07.flac").write_bytes(torn[: len(torn) // 2])
    (tmp_path / "11.flac").write_bytes(b"")
    front_end = FrontEnd(sample_rate=8000)
    with pytest.raises(AudioError, match=r"03\.flac|07\.flac|11\.flac"):
        extract(as_utterances(tmp_path), front_end)
    got = extract(as_utterances(tmp_path, on_error="skip"), front_end)
    assert [Path(s.name).name for s in got.skipped] == ["03.flac", "07.flac", "11.flac"]
    assert got.kept.tolist() == [i for i in range(20) if i not in (3, 7, 11)]
    paths = [*sorted(map(str, tmp_path.glob("0[012].flac"))), str(tmp_path / "gone.wav")]
    with pytest.raises(AudioError, match=r"gone\.wav cannot be used: there is no such file"):
        extract(as_utterances(paths), front_end)


def test_clipped_is_used_and_listed():
    loud = np.clip(4 * tone(), -1, 1)
    u = as_utterances([tone(), loud, tone() / 0.5, 4 * tone()])
    assert len(extract(u, FrontEnd()).frames) == 4
    assert list(u.clipped) == [1]
    flat = (abs(loud[1:]) >= 0.999) & (loud[1:] == loud[:-1])
    assert u.clipped[1] == pytest.approx(flat.sum() / len(loud))


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([(tone(), 8000)], "tuple that holds more; give the samples, with sample_rate=8000"),
        ([(8000, tone())], "tuple that holds more; give the samples, with sample_rate=8000"),
        ([(torch.zeros(1, 9), 8000)], "with sample_rate=8000"),
        ([{"array": tone(), "sampling_rate": 8000}], "a dict .*, with sample_rate=8000"),
        ([{"path": "a.wav"}], "a dict that holds more; give the samples$"),
        ({"data": [tone()], "sample_rate": 8000}, "not be a dict; .*, with sample_rate=8000"),
        (iter([tone()]), r"X must be a list, not a list_iterator: give list\(X\)"),
    ],
)
def test_a_rate_beside_the_samples_is_not_taken_for_sound(X, message):
    with pytest.raises(TypeError, match=message):
        as_utterances(X)


def test_a_rate_in_kilohertz():
    for rate in (16, 44, 44.1, 10**7):
        with pytest.raises(ValueError, match=rf"sample_rate .* from 1000 to 1000000, .*{rate}"):
            as_utterances([tone()], sample_rate=rate)


def test_numbers_beyond_all_sound_are_named():
    spoiled = tone(50)
    spoiled[7] = -1e20
    u = as_utterances([tone(50), spoiled], on_error="skip")
    assert extract(u, FrontEnd()).kept.tolist() == [0]
    assert u.skipped[0].reason.startswith("it contains 1e+20 (at sample 7)")
    assert len(extract(as_utterances([tone(50) * 2**31]), FrontEnd()).frames) == 1
    frames = as_utterances([np.ones((3, 2)), np.full((3, 2), -1e20)])
    with pytest.raises(AudioError, match=r"X\[1\].*contains 1e\+20, whose square is beyond"):
        frames.frames(1)
