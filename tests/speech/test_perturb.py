"""Perturbations: what they keep, and what they change."""

import numpy as np
import pytest
import torch

from repkit.speech.batches import FrameStore
from repkit.speech.perturb import (
    FILTER,
    SPEED,
    WARP,
    Chain,
    OtherSpeakers,
    RandomSpeed,
    RandomVoice,
    voices_and_speeds,
    warps,
)

MELS = 24


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def some(n=50, time=20):
    length = torch.randint(1, time + 1, (n,))
    x = torch.randn(n, time, MELS) * (torch.arange(time) < length[:, None])[..., None]
    return x, length, torch.arange(n) % 3 - 1


def voice(**options):
    off = {"warp": 0.0, "filter": 0.0, "mix": 0.0, "floor": (-90.0, -90.0), "mask": 0.0}
    means = torch.tensor([0.0, 10.0])[:, None].expand(2, MELS)
    return RandomVoice(8000, torch.full((MELS,), 7.0), means, **{**off, **options})


def test_nothing_is_changed_where_all_is_off():
    x, length, y = some()
    found, same = Chain(RandomSpeed(0.0), voice())(x, length, y)
    torch.testing.assert_close(found, x)
    assert torch.equal(same, length)


def test_speed():
    _, length, y = some(200)
    time = torch.arange(20.0)[None, :, None].expand(200, 20, MELS)
    found, changed = RandomSpeed(0.3)(time, length, y)
    assert changed.min() == 1
    assert changed.max() == 20
    assert ((changed - length).abs() <= (length * 0.36).ceil()).all()
    assert (changed < length).any()
    assert (changed > length).any()
    uneven = 0.0
    for row, before, after in zip(found[..., 0], length.tolist(), changed.tolist(), strict=True):
        assert not row[after:].any()
        inside = row[:after]
        if after > 1 and before > 1:  # in lines between the frames, never backwards
            pace = inside.diff() * (after - 1) / (before - 1)
            assert (pace - 1).abs().max() < 0.15 + 1e-4
            uneven = max(uneven, (pace - 1).abs().max().item())
        assert inside[-1] == pytest.approx(before - 1 if after > 1 else 0, abs=1e-4)
    assert uneven > 0.1


def test_warps_move_frequencies():
    """A peak at a band of f is found at f / factor."""

    def hertz(band):
        low, high = (2595 * torch.log10(1 + torch.tensor([20.0, 4000.0]) / 700)).tolist()
        return 700 * (10 ** ((low + (band + 1) * (high - low) / (MELS + 1)) / 2595) - 1)

    x = torch.exp(-0.5 * ((torch.arange(MELS) - 14.0) / 1.5) ** 2)
    bands = torch.arange(float(MELS))
    for factor in (0.85, 1.0, 1.15):
        (matrix,) = warps(8000, MELS, torch.tensor([factor]))
        torch.testing.assert_close(matrix.sum(0), torch.ones(MELS))
        moved = x @ matrix
        peak = (moved * bands).sum() / moved.sum()
        assert hertz(peak) == pytest.approx(hertz(14.0) / factor, rel=0.02)


def test_mixing_goes_to_other_speakers_and_knows_the_unknown():
    x, length, y = some(300)
    found, _ = voice(mix=1.0)(x, length, y)
    change = (found - x)[:, 0, 0]
    assert not change[y == -1].abs().max() > 1e-5
    assert change[y == 0].min() > -1e-5
    assert change[y == 0].max() > 5
    assert change[y == 1].min() < -5
    assert change.abs().max() <= 10 + 1e-5
    torch.testing.assert_close(found - x, (found - x)[:, :1, :1].expand_as(x), rtol=0, atol=1e-4)


def test_filter_floor_and_mask():
    x, length, y = some(100)
    change = voice(filter=0.5)(x, length, y)[0] - x
    torch.testing.assert_close(change, change[:, :1].expand_as(x), rtol=0, atol=1e-4)
    assert 0.1 < change[:, 0].std(1).mean() < 2
    loud = voice(floor=(2.0, 3.0))(x, length, y)[0]
    assert (loud > x).all()
    assert loud.min() > -1
    masked = voice(mask=0.25)(x, length, y)[0]
    hidden = (masked == 7.0).all(1)
    torch.testing.assert_close(masked * ~hidden[:, None], x * ~hidden[:, None])
    assert hidden.sum(1).min() == 0
    assert hidden.sum(1).max() == 6
    edges = hidden.int().diff(dim=1).abs().sum(1)
    assert edges.max() <= 2  # neighbors


def test_no_speaker_known():
    x, length, y = some()
    found, _ = RandomVoice(8000, torch.zeros(MELS), torch.zeros(0, MELS))(x, length, y)
    assert found.isfinite().all()


def test_perturbations_are_as_strong_as_asked():
    frames = [np.full((t, 20), k, np.float32) for t, k in ((9, 1.0), (3, 5.0), (4, 7.0))]
    store, mean = FrameStore(frames, torch.device("cpu")), np.full(20, 2.0, np.float32)
    options = {"sample_rate": 8000, "mean": mean, "voices": True}
    speed, voice = voices_and_speeds(2.0, store, np.array([0, 0, -1]), **options).steps
    assert speed.amount == 2 * SPEED
    assert voice.filter == 2 * FILTER
    widest = torch.linspace(-2 * WARP, 2 * WARP, len(voice.bank)).exp()
    assert torch.equal(voice.bank, warps(8000, 20, widest))
    assert voice.speaker_means.tolist() == [[2.0] * 20]  # (9 * 1 + 3 * 5) / 12, a mean of frames
    assert voice.mean.tolist() == [2.0] * 20
    unknown = voices_and_speeds(1.0, store, np.full(3, -1), **options).steps[1]
    assert unknown.speaker_means.shape == (0, 20)
    options["voices"] = False
    assert isinstance(voices_and_speeds(1.0, store, np.zeros(3, int), **options), RandomSpeed)


def test_a_speaker_is_one_other_speaker():
    """One matrix and one filter for all utterances of a speaker, others for the next."""
    x = torch.randn(6, 5, 20)
    length, y = torch.full((6,), 5), torch.tensor([3, 0, 3, 0, -1, 3])
    change = OtherSpeakers(8000, 20, 1.0)
    torch.manual_seed(0)
    found, same = change(x, length, y)
    assert same is length
    filters = found - torch.bmm(x, change.bank[_chosen(change, x, found)])
    for rows in ([0, 2, 5], [1, 3], [4]):
        torch.testing.assert_close(
            filters[rows].std(1).amax(), torch.tensor(0.0), atol=1e-4, rtol=0
        )
        torch.testing.assert_close(filters[rows[0]], filters[rows[-1]], atol=1e-4, rtol=0)
    assert (filters[0] - filters[1]).abs().max() > 0.01


def _chosen(change, x, found):
    """The matrix of each row: that which leaves the same for every frame."""
    rest = found[None] - torch.einsum("ntm,kmo->knto", x, change.bank)
    return rest.std(2).sum(2).argmin(0)
