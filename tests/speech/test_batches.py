"""Batches of speech: what is in them, and that they depend on the step alone."""

import numpy as np
import pytest
import torch

from repkit import SpeechAutoencoder
from repkit.datasets import make_speech
from repkit.speech import batches as module
from repkit.speech.batches import FrameStore, SpeechBatches, padded

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def some_frames(n=40, seed=0, longest=30):
    rng = np.random.default_rng(seed)
    # Each cell says whose it is: utterance + frame / 1000.
    lengths = rng.integers(3, longest, n)
    frames = [i + 1 + np.arange(t)[:, None] / 1000 + np.zeros(2) for i, t in enumerate(lengths)]
    return [x.astype(np.float32) for x in frames]


def make(y, frames=None, **options):
    frames = frames or some_frames(len(y))
    options = {"speakers": 3, "utterances": 4, "max_frames": 100, "seed": 0} | options
    return SpeechBatches(FrameStore(frames, CPU), np.asarray(y), **options)


Y = np.array([0] * 13 + [1] * 12 + [2] * 8 + [3] + [-1] * 6)


def test_every_utterance_comes_once_a_turn():
    batches = make(Y)
    for turn in range(3):
        steps = range(turn * batches.turn, (turn + 1) * batches.turn)
        rows = torch.cat([batches.at(step).row for step in steps])
        assert sorted(rows.tolist()) == list(range(40))
        assert all(
            len(chunk) > 1 or Y[chunk] == 3 for step in steps for chunk in batches.chunks(step)
        )
    assert batches.steps_per_epoch == batches.turn == sum(batches.cuts) // 3
    assert make(Y, steps_per_epoch=7).steps_per_epoch == 7


def test_no_speaker_of_a_few_is_cut_to_one():
    batches = make(np.repeat([0, 1, 2], [3, 5, 9]), speakers=2, utterances=2)
    sizes = [len(chunk) for step in range(batches.turn) for chunk in batches.chunks(step)]
    assert min(sizes) == 2


def test_turns_differ_and_steps_do_not():
    one, other = make(Y), make(Y)
    late = other.at(11)
    for step in range(11):
        one.at(step)
    for name, value in vars(one.at(11)).items():
        torch.testing.assert_close(value, getattr(late, name), rtol=0, atol=0)
    assert one.at(0).row.tolist() != one.at(one.turn).row.tolist()
    assert make(Y, seed=1).at(0).row.tolist() != make(Y).at(0).row.tolist()


def test_frames_are_those_of_the_row_and_zero_beyond():
    frames, batches = some_frames(), make(Y)
    for step in range(5):
        b = batches.at(step)
        assert b.x.shape[1] == b.length.max()
        for x, length, row in zip(b.x, b.length, b.row, strict=True):
            torch.testing.assert_close(x[:length], torch.from_numpy(frames[row]), rtol=0, atol=0)
            assert not x[length:].any()
        assert b.y.tolist() == Y[b.row].tolist()
        assert len(b.y) <= batches.size


def test_partners():
    batches = make(Y)
    found = set()
    for step in range(60):
        b = batches.at(step)
        for i, j in enumerate(b.partner.tolist()):
            assert b.y[i] == b.y[j]
            alone = b.y[i] < 0 or (b.y == b.y[i]).sum() == 1
            assert (i == j) == alone
            found.add((b.row[i].item(), b.row[j].item()))
    # One utterance, and an unknown speaker: their own.
    assert {pair for pair in found if Y[pair[0]] in (3, -1)} == {(i, i) for i in range(33, 40)}
    assert len({j for i, j in found if i == 0}) > 4


def test_long_utterances_are_cropped_at_random():
    batches = make(Y, max_frames=5)
    starts = set()
    for step in range(40):
        b = batches.at(step)
        assert b.length.max() <= 5
        for x, length, row in zip(b.x, b.length, b.row, strict=True):
            steps = ((x[:length, 0] - row - 1) * 1000).round()
            assert (steps.diff() == 1).all()
            if row == 0:
                starts.add(int(steps[0]))
    assert len(starts) > 3


def test_batches_hold_speakers_of_like_length():
    y = np.repeat(np.arange(6), 60)
    frames = some_frames(len(y), longest=200)
    batches = make(y, frames, speakers=6, utterances=12)
    padded = real = 0
    for step in range(batches.turn):
        b = batches.at(step)
        assert torch.bincount(b.y).tolist() == [12] * 6
        padded, real = padded + len(b.length) * b.length.max(), real + b.length.sum()
    assert real / padded > 0.6  # 0.5 without regard to the length


def test_no_batch_of_one_row():
    """Batch norm has nothing to normalize by."""
    batches = make(np.arange(5), speakers=2)
    assert sorted(len(batches.at(k).y) for k in range(batches.turn)) == [2, 3]
    assert [len(make([0] * 3, utterances=2).at(0).y)] == [3]


def test_all_utterances_in_order():
    frames = FrameStore(some_frames(), CPU)
    rows = []
    for part, x, length in frames.in_order(10):
        assert x.shape[1] == length.max() <= 10
        assert x[:, 0, 0].tolist() == (part + 1).tolist()
        rows += part.tolist()
    assert sorted(rows) == list(range(40))


def test_large_corpora_come_in_parts(monkeypatch):
    monkeypatch.setattr("repkit.speech.batches.AT_ONCE", 64)
    sizes = [x.shape[0] * x.shape[1] for _, x, _ in FrameStore(some_frames(), CPU).in_order(1000)]
    assert len(sizes) > 5
    assert max(sizes) <= 64


@pytest.mark.parametrize("longest", [100, 3])
def test_one_long_utterance_is_a_part_of_its_own(monkeypatch, longest):
    monkeypatch.setattr("repkit.speech.batches.AT_ONCE", 2)
    parts = list(FrameStore(some_frames(3), CPU).in_order(longest))
    assert [len(rows) for rows, _, _ in parts] == [1, 1, 1]


def test_batches_are_of_few_lengths_on_a_gpu(monkeypatch):
    assert [padded(n, CUDA) for n in (1, 16, 17)] == [16, 16, 32]
    assert padded(17, CPU) == 17
    plain = [make(Y).at(step) for step in range(5)]
    monkeypatch.setattr(module, "padded", lambda time, device: padded(time, CUDA))
    for step, batch in enumerate(plain):
        longer, time = make(Y).at(step), int(batch.length.max())
        assert batch.x.shape[1] == time
        assert longer.x.shape[1] == padded(time, CUDA)
        torch.testing.assert_close(longer.x[:, :time], batch.x)
        assert not longer.x[:, time:].any()


@pytest.mark.parametrize("encoder", ["conv", "transformer"])
@pytest.mark.filterwarnings("ignore")
def test_what_is_padded_changes_no_loss(encoder, monkeypatch):
    speech = make_speech(2, 3, 4, random_state=0)
    X = [x[: 1500 + 150 * k] for k, x in enumerate(speech.data)]
    given = {"width": 24, "phonetic_dim": 6, "speaker_dim": 4, "batch_size": (2, 4)}
    model = SpeechAutoencoder(
        sample_rate=8000, perturb=0.0, max_epochs=2, random_state=0, **given
    ).set_params(encoder__network=encoder, encoder__pooling="both")
    model.set_params(prototypes__sizes=(2,), prototypes__segment_size=2, prototypes__start=0.0)

    def history():
        return model.fit(X, speech.speaker).history_.drop(columns="seconds").to_numpy(float)

    expected = history()
    monkeypatch.setattr(module, "padded", lambda time, device: padded(time, CUDA))
    np.testing.assert_allclose(history(), expected, rtol=1e-4, atol=1e-4)
