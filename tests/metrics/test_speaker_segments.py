"""Segments cut by their boundaries, and what a probe reads from their middle."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from repkit.datasets import make_sentences
from repkit.metrics import abx_error, cut_segments, phone_probe


def recordings(n=12, seed=0):
    """Frames that tell the phone, of recordings in which phones follow each other."""
    rng = np.random.default_rng(seed)
    kinds = rng.normal(size=(5, 6))
    frames, times, rows = [], [], []
    for k in range(n):
        clock, pieces = 0.0, []
        for _ in range(8):
            phone, length = rng.integers(5), rng.integers(3, 9)
            pieces.append(kinds[phone] + 0.3 * rng.normal(size=(length, 6)))
            rows.append((k, clock, clock + 0.02 * length, phone))
            clock += 0.02 * length
        frames.append(np.concatenate(pieces))
        times.append(0.01 + 0.02 * np.arange(len(frames[-1])))
    return frames, times, *(np.array(v) for v in zip(*rows, strict=True))


def test_segments_are_what_lies_between():
    frames, times, recording, start, end, _ = recordings()
    found = cut_segments(frames, times, recording, start, end)
    assert sum(len(x) for x in found) == sum(len(x) for x in frames)
    np.testing.assert_array_equal(np.concatenate(found), np.concatenate(frames))
    for x, k, low, high in zip(found, recording, start, end, strict=True):
        inside = (times[k] >= low) & (times[k] < high)
        np.testing.assert_array_equal(x, frames[k][inside])


def test_a_segment_without_a_frame_has_the_nearest():
    frames, times = [np.arange(4.0)[:, None]], [[0.0, 1.0, 2.0, 3.0]]
    found = cut_segments(frames, times, [0] * 4, [0.3, 1.1, 9.0, -5.0], [0.4, 1.9, 9.0, -4.0])
    assert [x.ravel().tolist() for x in found] == [[0.0], [1.0], [3.0], [0.0]]


def test_the_probe_is_scikit_learns_on_the_middle():
    frames, times, recording, start, end, phone = recordings()
    segments, test = cut_segments(frames, times, recording, start, end), recording % 2 == 1
    means = []
    for x in segments:
        count = max(1, round(len(x) / 2))
        first = (len(x) - count) // 2
        means.append(x[first : first + count].mean(0))
    X = np.stack(means)
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    wanted = probe.fit(X[~test], phone[~test]).score(X[test], phone[test])
    scores = phone_probe(segments, phone, test)
    assert scores["accuracy"] == pytest.approx(wanted)
    assert scores["accuracy"] > 0.9 > scores["majority"]
    most = np.bincount(phone[~test]).argmax()
    assert scores["majority"] == pytest.approx(np.mean(phone[test] == most))
    scrambled = np.random.default_rng(1).permutation(phone)
    assert phone_probe(segments, scrambled, test)["accuracy"] < 0.6


def test_the_edges_of_a_segment_do_not_count():
    frames, times, recording, start, end, phone = recordings()
    segments, test = cut_segments(frames, times, recording, start, end), recording % 2 == 1
    noise = 20 * np.random.default_rng(2).normal(size=(len(segments), 2, 6))
    spoiled = [np.concatenate([a[:1], x, a[1:]]) for a, x in zip(noise, segments, strict=True)]
    scores = {part: phone_probe(spoiled, phone, test, part=part)["accuracy"] for part in (0.5, 1.0)}
    assert scores[0.5] > 0.9 > scores[1.0] + 0.2


def test_segments_go_into_abx():
    frames, times, recording, start, end, phone = recordings()
    segments = cut_segments(frames, times, recording, start, end)
    scores = abx_error(segments, phone, recording % 3, mode="across", device="cpu")
    assert scores["error"] < 0.15


def test_words_of_a_sentence():
    """Boundaries of joined words are the segments of their frames."""
    waves = [np.full(100 + 10 * k, k, dtype=np.float32) for k in range(6)]
    made = make_sentences(waves, np.arange(6), [0] * 6, n_words=3, gap=0.01, sample_rate=1000)
    frames = [x[:, None] for x in made.data]
    times = [np.arange(len(x)) / 1000 for x in made.data]
    found = cut_segments(frames, times, made.recording, made.start - 1e-9, made.end - 1e-9)
    for x, source in zip(found, made.source, strict=True):
        np.testing.assert_array_equal(x[:, 0], waves[source])


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"recording": [0, 9]}, "recording must hold whole numbers from 0 to 0"),
        ({"recording": [0.0, 0.5]}, "recording must hold whole numbers"),
        ({"end": [0.0, 0.5]}, "end must not be before start, as that of segment 1 is"),
        ({"end": [2.0]}, "end has 1 entries for 2 of recording"),
        ({"times": [[0.0, 1.0]]}, r"times\[0\] must ascend and have one time for each of the 3"),
        ({"times": [[0.0, 2.0, 1.0]]}, r"times\[0\] must ascend"),
        ({"times": []}, "times must have one array for each of the 1"),
    ],
)
def test_errors(change, match):
    given = {
        "frames": [np.ones((3, 2))],
        "times": [[0.0, 1.0, 2.0]],
        "recording": [0, 0],
        "start": [0.0, 1.0],
        "end": [1.0, 2.0],
    }
    assert len(cut_segments(**given)) == 2
    with pytest.raises(ValueError, match=match):
        cut_segments(**{**given, **change})
