"""The same frames whatever the batch, the block or the source."""

import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch

from repkit.audio import (
    FrontEnd,
    as_utterances,
    extract,
    extraction,
    resampling,
    statistics,
    stream,
)
from repkit.audio import frames as audio_frames

KINDS = [
    {},
    {"kind": "mfcc", "deltas": True},
    {"deltas": True, "stack": 3, "normalize": "utterance"},
]


@pytest.mark.parametrize("options", KINDS)
@pytest.mark.parametrize("rate", [16000, 8000, 11025, 44100])
def test_alone_as_in_a_batch(waves, options, rate):
    front_end = FrontEnd(**options)
    together = extract(as_utterances(waves, sample_rate=rate), front_end)
    assert together.kept.tolist() == list(range(len(waves)))
    backwards = extract(as_utterances(waves[::-1], sample_rate=rate), front_end).frames[::-1]
    for x, frames, other in zip(waves, together.frames, backwards, strict=True):
        alone = extract(as_utterances([x], sample_rate=rate), front_end).frames[0]
        assert frames.dtype == np.float32
        np.testing.assert_allclose(frames, alone, rtol=1e-6, atol=1e-5)
        np.testing.assert_allclose(other, alone, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("form", ["read-only", "reversed", "every second", "big-endian"])
def test_arrays_in_forms_that_torch_refuses(waves, form, monkeypatch):
    """They come in as a copy, and the caller's are as they were."""
    given = [np.ascontiguousarray(w, dtype=np.float32) for w in waves]
    forms = {
        "read-only": lambda w: np.frombuffer(w.tobytes(), np.float32),
        "reversed": lambda w: w[::-1].copy()[::-1],
        "every second": lambda w: np.repeat(w, 2)[::2],
        "big-endian": lambda w: w.astype(">f4"),
    }
    made = [forms[form](w) for w in given]
    for block in (resampling.BLOCK, 1000):  # together, and each in blocks
        monkeypatch.setattr(resampling, "BLOCK", block)
        wanted = extract(as_utterances(given), FrontEnd()).frames
        found = extract(as_utterances(made), FrontEnd()).frames
        for a, b, w, m in zip(found, wanted, given, made, strict=True):
            np.testing.assert_array_equal(a, b)
            np.testing.assert_array_equal(m, w)


@pytest.mark.parametrize("options", KINDS)
@pytest.mark.parametrize("rate", [16000, 8000, 44100])
@pytest.mark.parametrize("block", [1, 400, 4099])
def test_in_blocks_as_whole(waves, options, rate, block, monkeypatch):
    front_end = FrontEnd(**options)
    some = [waves[k] for k in ((0, 3, 7) if block == 1 else (0, 1, 4, -2, -1))]
    whole = [extract(as_utterances([x], sample_rate=rate), front_end).frames[0] for x in some]
    monkeypatch.setattr(resampling, "BLOCK", block)
    for x, expected in zip(some, whole, strict=True):
        got = extract(as_utterances([x], sample_rate=rate), front_end).frames[0]
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-5)


# In a process of its own: the peak of this one may have been anywhere before.
MEMORY = """
import resource, sys
import numpy as np
from repkit.audio import FrontEnd, as_utterances, extract

short, long, out = sys.argv[1:]
front_end = FrontEnd(sample_rate=44100, n_mels=8)
extract(as_utterances([short]), front_end)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
frames = extract(as_utterances([long]), front_end).frames[0]
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
np.save(out, frames)
"""


def test_a_long_file_needs_little_memory(tmp_path):
    rate, minutes = 44100, 10
    noise = np.random.default_rng(0).integers(-9999, 9999, 60 * rate, dtype=np.int16)
    files = [tmp_path / name for name in ("short.wav", "long.wav", "frames.npy")]
    soundfile.write(files[0], noise[:rate], rate)
    with soundfile.SoundFile(files[1], "w", rate, 1) as file:
        for _ in range(minutes):
            file.write(noise)
    command = [sys.executable, "-c", MEMORY, *files]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 130_000  # KiB; with all samples kept, 180 000
    frames = np.load(files[2])
    assert len(frames) == 1 + minutes * 6000
    front_end = FrontEnd(sample_rate=rate, n_mels=8)
    short = extract(as_utterances([noise], sample_rate=rate), front_end).frames[0]
    np.testing.assert_allclose(frames[6000 * 7 + 5 : 6000 * 8 - 5], short[5:-6], atol=1e-5)


def test_mixed_rates_come_together(tmp_path):
    t = np.arange(16000) / 16000
    sound = sum(np.sin(2 * np.pi * f * t) for f in (200, 900, 2500)) / 4
    for rate in (8000, 16000, 22050, 48000):
        n = np.arange(rate) / rate
        x = sum(np.sin(2 * np.pi * f * n) for f in (200, 900, 2500)) / 4
        soundfile.write(tmp_path / f"{rate}.wav", x, rate, subtype="FLOAT")
    got = extract(as_utterances(tmp_path), FrontEnd(sample_rate=8000)).frames
    expected = extract(as_utterances([sound]), FrontEnd(sample_rate=8000)).frames[0]
    audible = expected > -2
    for frames in got:
        assert len(frames) == 101
        np.testing.assert_allclose(
            frames[5:-5][audible[5:-5]], expected[5:-5][audible[5:-5]], atol=0.02
        )


def test_statistics(waves):
    frames = extract(as_utterances(waves), FrontEnd()).frames
    mean, std = statistics(x for _, x in stream(as_utterances(waves), FrontEnd()))
    together = np.concatenate(frames).astype(np.float64)
    np.testing.assert_allclose(mean, together.mean(0), rtol=1e-5)
    np.testing.assert_allclose(std, together.std(0), rtol=1e-5)
    mean, std = statistics([np.full((3, 2), 1e4 / 3), np.full((5, 2), 1e4 / 3)])
    assert std.tolist() == [1, 1]
    with pytest.raises(ValueError, match="at least one array of frames"):
        statistics([])


def test_statistics_of_many_short_and_of_long_utterances_are_alike(monkeypatch):
    rng = np.random.default_rng(0)
    frames = [rng.normal(3, 2, size=(n, 2)) for n in (0, 1, 5, 40, 2, 17, 33, 0)]
    together = np.concatenate(frames)
    for piece in (1, 8, 64):
        monkeypatch.setattr(extraction, "PIECE", piece)
        monkeypatch.setattr(audio_frames, "PIECE", piece)
        sizes = [len(block) for block in extraction._blocks(frames)]
        assert sum(sizes) == len(together)
        assert max(sizes) < 2 * piece
        assert min(sizes[:-1], default=piece) >= piece
        mean, std = statistics(frames)
        np.testing.assert_allclose(mean, together.mean(0), rtol=1e-6)
        np.testing.assert_allclose(std, together.std(0), rtol=1e-6)
    with pytest.raises(ValueError, match=r"frames must .*arrays \(T, D\) of one width"):
        statistics([np.ones((2, 3)), np.ones((2, 4))])


def test_batches_are_bounded(waves, monkeypatch):
    monkeypatch.setattr(resampling, "BLOCK", 12000)
    u = as_utterances(waves * 5)
    batches = list(extraction._batches(u, FrontEnd()))
    assert sorted(i for b in batches for i in b) == list(range(60))
    for batch in batches:
        assert len(batch) * max(len(waves[i % 12]) for i in batch) <= 12000
    assert len(batches) < 45


def test_a_header_that_lies_changes_no_frame(waves, monkeypatch):
    """One that says too little, and one that says too much, asks for no memory before."""
    expected = extract(as_utterances(waves), FrontEnd())
    for claimed in (lambda n: 1 + n // 9, lambda n: n + 2**36):
        u = as_utterances(waves)
        monkeypatch.setattr(u, "length", lambda i, u=u, c=claimed: (c(len(u.items[i])), 16000))
        monkeypatch.setattr(resampling, "BLOCK", 12000)
        found = extract(u, FrontEnd())
        for x, y in zip(found.frames, expected.frames, strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-6, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_the_gpu(waves):
    for options in KINDS:
        front_end = FrontEnd(**options)
        here = extract(as_utterances(waves, sample_rate=8000), front_end).frames
        there = extract(as_utterances(waves, sample_rate=8000), front_end, "cuda").frames
        for x, a, b in zip(waves, here, there, strict=True):
            np.testing.assert_allclose(a, b, atol=5e-3)
            alone = extract(as_utterances([x], sample_rate=8000), front_end, "cuda").frames[0]
            np.testing.assert_allclose(b, alone, rtol=1e-6, atol=1e-5)
