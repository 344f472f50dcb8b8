"""What is done ahead of its turn: in order, no further than it may, errors at their turn."""

import threading
import time

import numpy as np
import pytest
import soundfile
import torch

from repkit.audio import AudioError, FrontEnd, as_utterances, extract, extraction, stream
from repkit.audio.ahead import ahead, each_ahead


def after(begun, n):
    """What has begun, once there is as much as that, and time for more."""
    end = time.monotonic() + 10
    while len(begun) < n and time.monotonic() < end:
        time.sleep(0.005)
    time.sleep(0.05)
    return sorted(begun)


def names():
    return [t.name for t in threading.enumerate() if t.name.startswith("repkit-ahead")]


def test_results_come_in_order():
    def work(x):
        time.sleep(0.01 * (x % 3))
        return x * x

    for workers in (0, 3):
        assert list(ahead(work, range(20), workers)) == [x * x for x in range(20)]
    assert names() == []


def test_it_is_no_further_ahead_than_it_may():
    begun = []
    results = ahead(lambda x: begun.append(x) or x, iter(range(100)), workers=2)
    assert next(results) == 0
    assert after(begun, 3) == [0, 1, 2]
    results.close()
    assert names() == []


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_an_error_is_raised_at_its_turn(workers):
    def work(x):
        return 6 // (3 - x)

    results = ahead(work, range(9), workers)
    assert [next(results) for _ in range(3)] == [2, 3, 6]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert names() == []


def test_an_error_of_the_inputs_ends_it():
    def inputs():
        yield 1
        raise KeyError("inputs")

    with pytest.raises(KeyError, match="inputs"):
        list(ahead(abs, inputs(), workers=1))
    assert names() == []


def test_values_are_made_while_one_is_used():
    made = []

    def values():
        for k in range(4):
            made.append(k)
            yield k

    found = each_ahead(values())
    assert next(found) == 0
    assert after(made, 2) == [0, 1]
    assert list(found) == [1, 2, 3]
    assert list(each_ahead([])) == []
    assert names() == []


def test_an_error_among_values_is_raised_at_its_turn():
    def values():
        yield 1
        raise KeyError("values")

    found = each_ahead(values())
    assert next(found) == 1
    with pytest.raises(KeyError, match="values"):
        next(found)
    assert names() == []


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    for k, n in enumerate(rng.integers(4000, 16000, 12)):
        soundfile.write(tmp_path / f"{k:02}.wav", 0.1 * rng.normal(size=n), 16000)
    soundfile.write(tmp_path / "12.wav", 0.1 * rng.normal(size=200_000), 16000)
    return sorted(tmp_path.iterdir())


@pytest.fixture
def readers(request, monkeypatch):
    monkeypatch.setattr(extraction, "_readers", lambda *_: request.param)


def of(*numbers):
    """With as many threads that read."""
    return pytest.mark.parametrize("readers", numbers, indirect=True)


@pytest.mark.parametrize(
    ("processors", "threads", "device", "expected"),
    [
        (2, 2, "cpu", 0),
        (2, 1, "cpu", 1),
        (16, 8, "cpu", 8),
        (16, 1, "cpu", 1),
        (1, 2, "cpu", 0),
        (6, 4, "cpu", 2),
        (4, 4, "cuda", 3),
        (64, 32, "cuda", 8),
    ],
)
def test_threads_that_read(files, processors, threads, device, expected, monkeypatch):
    monkeypatch.setattr(extraction.joblib, "cpu_count", lambda: processors)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    assert extraction._readers(as_utterances(files), torch.device(device)) == expected
    arrays = as_utterances([np.ones(4000)])
    assert extraction._readers(arrays, torch.device(device)) == 0


@of(0, 1, 5)
@pytest.mark.usefixtures("readers")
def test_frames_of_files_are_those_of_their_samples(files, monkeypatch):
    monkeypatch.setattr(extraction.resampling, "BLOCK", 2**15)
    found = extract(as_utterances(files), FrontEnd())
    waves = [soundfile.read(path, dtype="float32")[0] for path in files]
    expected = extract(as_utterances(waves), FrontEnd())
    for x, y in zip(found.frames, expected.frames, strict=True):
        np.testing.assert_array_equal(x, y)
    assert names() == []


@of(0, 3)
@pytest.mark.usefixtures("readers")
def test_files_are_read_in_those_threads(files, monkeypatch):
    seen = set()
    blocks = extraction.Utterances.blocks

    def noted(self, i, size):
        seen.add(threading.current_thread().name.startswith("repkit-ahead"))
        yield from blocks(self, i, size)

    monkeypatch.setattr(extraction.Utterances, "blocks", noted)
    extract(as_utterances(files), FrontEnd())
    assert seen == {extraction._readers() > 0}


@of(0, 3)
@pytest.mark.usefixtures("readers")
def test_an_error_of_a_file_is_raised_and_no_thread_stays(files):
    files[3].write_bytes(files[3].read_bytes()[:2000])
    with pytest.raises(AudioError, match=r"03\.wav cannot be used: it is torn"):
        extract(as_utterances(files), FrontEnd())
    assert names() == []
    found = extract(as_utterances(files, on_error="skip"), FrontEnd())
    assert [x.index for x in found.skipped] == [3]
    assert len(found.frames) == 12


@of(2)
@pytest.mark.usefixtures("readers")
def test_whoever_has_seen_enough_leaves_no_thread(files):
    frames = stream(as_utterances(files), FrontEnd())
    next(frames)
    frames.close()
    assert names() == []
