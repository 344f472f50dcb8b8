"""A folder of 200 files with every kind of damage: each bad one is named, no good one is harmed."""

import os
import re
import struct
import warnings

import numpy as np
import pytest
import soundfile

from repkit import SpeechAutoencoder
from repkit.audio import AudioError, FrontEnd, as_utterances, extract
from repkit.datasets import load_speech_folder

RATE = 8000
FRONT_END = FrontEnd(sample_rate=RATE, n_mels=20)
TORN = "it is torn"


def word(k, n=1600):
    """A short vowel, of another pitch and length for every k."""
    n += 8 * (k % 50)
    t = np.arange(n) / RATE
    pitch = 90 + 3 * (k % 40)
    sound = sum(np.sin(2 * np.pi * pitch * h * t + h) / h for h in range(1, 12))
    return (0.2 * sound * np.sin(np.pi * np.arange(n) / n)).astype(np.float32)


def written(path, sound, rate=RATE, format="WAV", subtype=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:  # of any name
        soundfile.write(file, sound, rate, format=format, subtype=subtype)
    return path


GOOD_KINDS = {
    "u8.wav": ("WAV", "PCM_U8"),
    "s24.wav": ("WAV", "PCM_24"),
    "s32.wav": ("WAV", "PCM_32"),
    "float.wav": ("WAV", "FLOAT"),
    "double.wav": ("WAV", "DOUBLE"),
    "mu.wav": ("WAV", "ULAW"),
    "a.wav": ("WAV", "ALAW"),
    "ima.wav": ("WAV", "IMA_ADPCM"),
    "ms.wav": ("WAV", "MS_ADPCM"),
    "gsm.wav": ("WAV", "GSM610"),
    "wavex.wav": ("WAVEX", "PCM_16"),
    "rf64.wav": ("RF64", "PCM_16"),
    "s16.flac": ("FLAC", "PCM_16"),
    "s24.FLAC": ("FLAC", "PCM_24"),
    "vorbis.ogg": ("OGG", "VORBIS"),
    "vorbis.oga": ("OGG", "VORBIS"),
    "opus.opus": ("OGG", "OPUS"),
    "layer.mp3": ("MP3", "MPEG_LAYER_III"),
    "big.aiff": ("AIFF", "PCM_16"),
    "big.aif": ("AIFF", "FLOAT"),
    "sun.au": ("AU", "ULAW"),
    "core.caf": ("CAF", "PCM_16"),
    "sony.w64": ("W64", "PCM_16"),
}
CUT = ["rf64.wav", "mu.wav", "ima.wav", "float.wav", "s16.flac", "vorbis.ogg", "opus.opus"]
CUT += ["layer.mp3", "big.aiff", "sun.au", "core.caf", "sony.w64", "s16.wav", "double.wav"]
NAMES = ["ünï.wav", "two words.wav", "new\nline.wav", "语音.flac", "-dash.wav", "'quote\".wav"]


def patched(raw, place, kind, value):
    return raw[:place] + struct.pack(kind, value) + raw[place + struct.calcsize(kind) :]


def make(top, outside):
    """Fill a folder. Returns the reason of each path that is listed; None for a good one."""
    found, k = {}, 0

    def sound():
        nonlocal k
        k += 1
        return word(k)

    def good(name, samples=None, **options):
        written(top / name, sound() if samples is None else samples, **options)
        found[name] = None

    def bad(name, reason, raw):
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw)
        found[name] = reason

    for speaker in ("ann", "bob", "cid"):
        for i in range(16):
            good(f"{speaker}/{i:02d}.wav")
        for name, (format, subtype) in GOOD_KINDS.items():
            good(f"{speaker}/{name}", format=format, subtype=subtype)
    for name in (*NAMES, os.fsdecode(b"not\xfftext.wav")):
        good(f"ann/{name}", format="FLAC" if name.endswith("flac") else "WAV")
    for rate in (11025, 16000, 44100):
        good(f"bob/rate{rate}.wav", rate=rate)
    good("bob/stereo.wav", np.stack([word(1), word(2)[: len(word(1))]], 1))
    good("bob/eight.flac", np.stack([word(3)] * 8, 1), format="FLAC")
    good("bob/one_sample.wav", np.array([0.5], np.float32))
    good("bob/short.wav", word(4)[:100])
    good("bob/quiet.wav", word(5) / 1000)
    good("bob/not_scaled.wav", word(6) * 30000, subtype="FLOAT")

    raw = written(outside / "a.wav", word(7)).read_bytes()
    for size in (0xFFFFFFFF, 0x7FFFFFFF, 0xFFFFFFFF - 36):  # written into a pipe
        bad(f"bob/pipe{size:x}.wav", None, patched(raw, 40, "<I", size))
    bad("bob/chunk_behind.wav", None, raw + b"LIST" + struct.pack("<I", 4) + b"INFO")
    mp3 = written(outside / "a.mp3", word(8, 9000), format="MP3").read_bytes()
    tag = b"ID3\x04\x00\x00\x00\x00\x02\x00" + bytes(256)
    bad("bob/tagged.mp3", None, tag + mp3 + b"TAG" + bytes(125))

    # Whole files cut, at the end and in the middle.
    for name in CUT:
        format, subtype = GOOD_KINDS.get(name, ("WAV", "PCM_16"))
        raw = written(outside / name, word(9, 9000), format=format, subtype=subtype).read_bytes()
        for share in (0.5, 0.9, 0.98):
            reason = f"{TORN}|could not be read|empty"
            bad(f"cid/cut{share}.{name}", reason, raw[: int(share * len(raw))])

    # Headers.
    raw = written(outside / "b.wav", word(10)).read_bytes()
    for rate in (0, 1, 10, 999, 1_000_001, 130_000_000, 2**31, 2**32 - 1):
        reason = "sample rate of|could not be read"
        bad(f"cid/rate{rate}.wav", reason, patched(raw, 24, "<I", rate))
    for channels in (0, 65, 1000, 1024, 1025, 65535):
        reason = "number of channels|could not be read"
        bad(f"cid/channels{channels}.wav", reason, patched(raw, 22, "<H", channels))
    for size in (10**6, 10**9, 2 * len(raw)):
        bad(f"cid/claims{size}.wav", TORN, patched(raw, 40, "<I", size))
    bad("cid/bits.wav", "could not be read", patched(raw, 34, "<H", 64))
    bad("cid/nothing_announced.wav", "empty", patched(raw, 40, "<I", 0))
    flac = written(outside / "a.flac", word(11), format="FLAC").read_bytes()
    for size in (10**9, 2**36 - 1):
        rest = int.from_bytes(flac[18:26], "big") >> 36 << 36 | size
        bad(f"cid/claims{size}.flac", "could", patched(flac, 18, ">Q", rest))

    # Content.
    for name, value, reason in (
        ("huge", 1e20, r"it contains 1e\+20 \(at sample 70\)"),
        ("huge", -1e11, r"it contains 1e\+11 \(at sample 70\)"),
        ("nan", np.nan, r"NaN or inf \(first at sample 70\)"),
        ("inf", np.inf, "NaN or inf"),
        ("minus_inf", -np.inf, "NaN or inf"),
        ("beyond_float32", 1e300, "NaN or inf"),
    ):
        spoiled = word(12).astype(np.float64)
        spoiled[70] = value
        for subtype in ("FLOAT", "DOUBLE")[abs(value) == 1e300 :]:
            path = outside / "spoiled.wav"
            with np.errstate(over="ignore"):
                raw = written(path, spoiled, subtype=subtype).read_bytes()
            bad(f"ann/{name}{value:.0e}{subtype}.wav", reason, raw)
    for name, samples, reason in (
        ("silent.wav", np.zeros(900), "it is silent"),
        ("silent.flac", np.zeros(900), "it is silent"),
        ("no_samples.wav", np.zeros(0), "it is empty"),
    ):
        format = "FLAC" if name.endswith("flac") else "WAV"
        path = written(outside / name, samples, format=format)
        bad(f"ann/{name}", reason, path.read_bytes())
    for suffix in ("wav", "flac", "ogg", "mp3", "aif", "au", "caf", "w64", "opus"):
        bad(f"bob/empty.{suffix}", "could not be read|no header", b"")
        bad(f"bob/text.{suffix}", "could not be read|no header", b"Call me Ishmael.\n" * 40)

    # Links, and what is not to be listed.
    for name in ("far/1.wav", "far/deep/2.wav"):
        written(outside / name, sound())
        found["dan" + name[3:]] = None
    (top / "dan").symlink_to(outside / "far", target_is_directory=True)
    (outside / "far" / "back").symlink_to(top, target_is_directory=True)
    (outside / "far" / "deep" / "round").symlink_to(outside / "far", target_is_directory=True)
    (top / "ann" / "itself").symlink_to(top / "ann", target_is_directory=True)
    (top / "bob" / "linked.wav").symlink_to(top / "bob" / "00.wav")
    found["bob/linked.wav"] = None
    for name in ("eve", "bob/gone.wav"):
        (top / name).symlink_to(outside / "nowhere")
        found[name] = "it is a link to .*nowhere, where nothing is"
    (top / "ann" / "loop.wav").symlink_to(top / "ann" / "loop.wav")
    found["ann/loop.wav"] = "it is a link to .*loop.wav"
    (top / "notes").symlink_to(outside / "a.wav")
    (top / "ann" / "notes.txt").symlink_to(outside / "nowhere")
    for name in (".hidden.wav", ".hidden/1.wav", "ann/.cache/1.wav"):
        written(top / name, word(13))
    (top / "ann" / "notes.md").write_text("no sound")
    (top / "ann" / "folder.wav").mkdir()
    os.mkfifo(top / "ann" / "pipe.wav")
    return found


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    top, outside = tmp_path_factory.mktemp("speech"), tmp_path_factory.mktemp("outside")
    found = make(top, outside)
    assert len(found) >= 200
    assert 100 < sum(reason is None for reason in found.values()) < len(found) - 80
    return top, {top / name: found[name] for name in found}


@pytest.fixture(scope="module")
def good(damaged):
    return sorted(path for path, reason in damaged[1].items() if reason is None)


def test_every_bad_file_is_named_and_no_good_one_is_harmed(damaged, good):
    top, reasons = damaged
    utterances = as_utterances(top, on_error="skip")
    assert utterances.items == sorted(reasons)
    found = extract(utterances, FRONT_END)
    assert [utterances.items[i] for i in found.kept] == good
    for skipped in found.skipped:
        path = utterances.items[skipped.index]
        assert skipped.name == os.fsencode(path).decode(errors="replace")
        assert re.search(reasons[path], skipped.reason), skipped
    clean = extract(as_utterances(good), FRONT_END)
    for path, x, y in zip(good, found.frames, clean.frames, strict=True):
        np.testing.assert_array_equal(x, y, err_msg=str(path))
        assert np.isfinite(x).all()
    # Alone, and in a list: the same.
    for path, reason in reasons.items():
        if reason is not None:
            with pytest.raises(AudioError, match=reason) as caught:
                extract(as_utterances([path]), FRONT_END)
            assert (caught.value.index, caught.value.name) == (0, as_utterances([path]).name(0))


def test_raise_names_the_first(damaged):
    top, reasons = damaged
    with pytest.raises(AudioError, match=r'cannot be used: .*pass on_error="skip"') as caught:
        extract(as_utterances(top), FRONT_END)
    assert any(
        os.fsencode(path).decode(errors="replace") == caught.value.name
        for path, reason in reasons.items()
        if reason is not None
    )


def test_an_estimator_learns_the_same_from_a_damaged_folder(damaged, good):
    """As from its good files alone: and tells how many it left out."""
    top, reasons = damaged
    options = {"sample_rate": RATE, "n_mels": 20, "phonetic_dim": 8, "speaker_dim": 4, "width": 24}
    options |= {"max_epochs": 1, "on_error": "skip", "random_state": 0}
    n, bad = len(reasons), len(reasons) - len(good)
    model = SpeechAutoencoder(**options)
    with pytest.warns(UserWarning, match=rf"fit left out {bad} of {n} utterances.*\n?.*because"):
        model.fit(top)
    assert model.speakers_.tolist() == ["ann", "bob", "cid", "dan"]
    assert [skipped.index for skipped in model.skipped_] == [
        k for k, path in enumerate(sorted(reasons)) if reasons[path] is not None
    ]
    names = [path.relative_to(top).parts[0] for path in good]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clean = SpeechAutoencoder(**options).fit(good, names)
        expected = clean.transform(good)
    with pytest.warns(UserWarning, match=rf"{bad} of {n} utterances were skipped"):
        vectors = model.transform(top)
    kept = np.array([reasons[path] is None for path in sorted(reasons)])
    np.testing.assert_array_equal(vectors[kept], expected)
    assert np.isnan(vectors[~kept]).all()
    with pytest.raises(AudioError, match="cannot be used"):
        SpeechAutoencoder(**{**options, "on_error": "raise"}).fit(top)


def test_a_list_of_the_folder_has_all_of_it(damaged):
    top, reasons = damaged
    data = load_speech_folder(top, lambda path: path.relative_to(top).parts[0])
    assert data.data == [str(path) for path in sorted(reasons)]
    assert {"ann", "bob", "cid", "dan"} < set(data.speaker_names)


def test_folders_and_files_without_permission_are_named(tmp_path, monkeypatch):
    """Some systems let the superuser read all: permission is taken away where it is asked for."""
    for name in ("a/1.wav", "b/2.wav", "c/3.wav"):
        written(tmp_path / name, word(1))
    scandir, opened = os.scandir, type(tmp_path).open

    def refuse(function, name):
        def asked(path, *given, **named):
            if str(path).endswith(name):
                raise PermissionError(13, "Permission denied", str(path))
            return function(path, *given, **named)

        return asked

    monkeypatch.setattr(os, "scandir", refuse(scandir, "b"))
    monkeypatch.setattr(type(tmp_path), "open", refuse(opened, "3.wav"))
    u = as_utterances(tmp_path, on_error="skip")
    assert [u.name(i).removeprefix(f"{tmp_path}/") for i in range(3)] == ["a/1.wav", "b", "c/3.wav"]
    found = extract(u, FRONT_END)
    assert found.kept.tolist() == [0]
    assert all("Permission denied" in skipped.reason for skipped in found.skipped)
    monkeypatch.setattr(os, "scandir", refuse(scandir, tmp_path.name))
    with pytest.raises(PermissionError):
        as_utterances(tmp_path)
