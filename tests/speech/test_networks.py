"""Networks over padded utterances: each reads as if it were alone."""

import pytest
import torch
from torch import nn

from repkit.speech.bodies import BODIES, build_body, inside
from repkit.speech.networks import (
    Codebook,
    FrameDecoder,
    UnitLength,
    UtteranceEncoder,
    centered,
    joined,
    mean_deviation,
    segment_means,
    slices,
    speech_networks,
)
from repkit.speech.parts import SpeechEncoder

D = 6


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def encoder(name="conv", segments=3, dim=7, **options):
    body, width = build_body(name, 2 * D, 24)
    last = nn.BatchNorm1d(dim, affine=False) if segments else UnitLength()
    return UtteranceEncoder(body, width, dim, 2, segments, last, **options).eval()


def padded(length, time, filling=0.0):
    x = torch.randn(len(length), time, D, generator=torch.Generator().manual_seed(1))
    return torch.where(inside(length, time) > 0, x, filling)


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("segments", [0, 3])
@pytest.mark.parametrize("norm", [False, True])
def test_company_and_padding_change_nothing(name, segments, norm):
    net = encoder(name, segments, instance_norm=norm)
    length = torch.tensor([1, 2, 5, 13, 40, 31])
    x = padded(length, 40)
    together = net(x, length)
    for k, n in enumerate(length):
        alone = net(x[k : k + 1, :n], length[k : k + 1])
        torch.testing.assert_close(alone[0], together[k], rtol=0, atol=1e-5)
    longer = net(torch.cat([x, torch.zeros(6, 9, D)], 1), length)
    torch.testing.assert_close(longer, together, rtol=0, atol=1e-5)
    other = x.clone()
    other[4] = other[4].flip(0)
    assert (net(other, length)[4] - together[4]).abs().max() > 1e-3
    torch.testing.assert_close(net(other, length)[:4], together[:4], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", BODIES)
def test_every_frame_counts_and_so_does_the_order(name):
    net, length = encoder(name), torch.tensor([11])
    x = padded(length, 11).requires_grad_()
    out = net(x, length)
    (reached,) = torch.autograd.grad(out.square().sum(), x)
    assert (reached[0].abs().amax(1) > 0).all()
    assert (net(x.flip(1), length) - out).abs().max() > 1e-2


def test_joined():
    x = torch.arange(10.0).view(1, 5, 2)
    found, length = joined(x, torch.tensor([5]), 2)
    assert found.tolist() == [[[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 0, 0]]]
    assert length.tolist() == [3]
    assert joined(x, torch.tensor([4]), 2)[1].tolist() == [2]


def test_segment_means_by_hand():
    """Four frames in two parts: middles at 1/4 and 3/4, frames at 1/8, 3/8, 5/8, 7/8."""
    h = torch.tensor([1.0, 2.0, 4.0, 8.0, 100.0])[None, :, None]
    mask = torch.tensor([1.0, 1, 1, 1, 0])[None, :, None]
    first = (1 + 0.75 * 2 + 0.25 * 4) / 2
    second = (0.25 * 2 + 0.75 * 4 + 8) / 2
    assert segment_means(h, mask, 2).flatten().tolist() == pytest.approx([first, second])


@pytest.mark.parametrize(
    ("frames", "expected"),
    [([3.0], [3, 3, 3, 3]), ([3.0, 7.0], [3, 3, 3, 4.5, 5.5, 7, 7, 7])],
)
def test_few_frames_reach_every_segment(frames, expected):
    """A part that no frame lies near has what lies at its middle, between the frames."""
    h = torch.tensor([*frames, 100.0, 100.0])[None, :, None]
    mask = inside(torch.tensor([len(frames)]), len(frames) + 2)
    assert segment_means(h, mask, len(expected)).flatten().tolist() == expected


def test_one_joined_frame_gives_no_slice_that_is_the_bias_alone():
    net = encoder("conv", 4, 8)
    for count in (1, 2, 3):
        x = padded(torch.tensor([count]), count)
        found, other = (net(v, torch.tensor([count])) for v in (x, x + 1.0))
        assert (found - other).abs().min() > 1e-4


def test_mean_deviation_and_centered():
    h = torch.tensor([1.0, 3.0, 100.0])[None, :, None]
    mask = torch.tensor([1.0, 1, 0])[None, :, None]
    assert mean_deviation(h, mask).flatten().tolist() == pytest.approx([2, 1], rel=1e-4)
    found = centered(h, mask).flatten().tolist()
    assert found == pytest.approx([-1 / 1.1**0.5, 1 / 1.1**0.5, 0])


def test_slices():
    assert slices(7, 3) == [slice(0, 2), slice(2, 4), slice(4, 7)]
    assert slices(7, 0) == []


def test_the_segments_have_slices_of_their_own():
    """The end of an utterance does not reach the slice of its beginning."""
    net, length = encoder("conv", 3, 6), torch.tensor([60])
    x = padded(length, 60)
    other = x.clone()
    other[:, 50:] += 1
    change = (net(other, length) - net(x, length))[0].abs()
    assert change[:2].max() < 1e-5
    assert change[4:].min() > 1e-4


def test_decoder():
    net = FrameDecoder(5, 3, D, 24, 2).eval()
    p, s = torch.randn(3, 5), torch.randn(3, 3)
    length = torch.tensor([9, 4, 1])
    together = net(p, s, length, 9)
    assert together.shape == (3, 9, D)
    for k, n in enumerate(length.tolist()):
        alone = net(p[k : k + 1], s[k : k + 1], length[k : k + 1], n)
        torch.testing.assert_close(alone[0], together[k, :n], rtol=0, atol=1e-5)
    assert (net(p, s[[1, 0, 2]], length, 9) - together)[:2].abs().amax((1, 2)).min() > 1e-3
    assert (together[0, 0] - together[0, -1]).abs().max() > 1e-2  # it knows the time


def test_speaker_vectors_have_length_one():
    out = encoder("gru", 0)(padded(torch.tensor([5, 8]), 8), torch.tensor([5, 8]))
    torch.testing.assert_close(out.norm(dim=1), torch.ones(2))


def test_codebook():
    net = Codebook([(slice(0, 4), 3), (slice(1, 3), 5)])
    x = torch.randn(7, 4)
    whole, part = net(x)
    assert whole.shape == (7, 3)
    expected = nn.functional.cosine_similarity(x[:, None, 1:3], net.directions[1][None], dim=2)
    torch.testing.assert_close(part, expected)


def test_the_networks_that_the_parts_ask_for():
    options = {
        "encoder": SpeechEncoder(n_segments=5),
        "width": 24,
        "phonetic_dim": 3,
        "speaker_dim": 2,
        "n_speakers": 7,
    }
    plain = speech_networks(D, **options, adversary=None, heads=[])
    assert set(plain) == {"Ep", "Es", "R"}
    assert len(plain["Ep"].linear) == 3  # no segment without a component
    assert plain["Es"].linear[0].in_features == 2 * 16
    named = speech_networks(D, **options, adversary="classifier", heads=[(slice(0, 3), 4)])
    assert named["D"][-1].out_features == 7
    assert named["K"].directions[0].shape == (4, 3)
    for kind in ("pair", "wasserstein"):
        judge = speech_networks(D, **options, adversary=kind, heads=[])["D"]
        assert (judge[0].in_features, judge[-1].out_features) == (9, 1)


def test_only_whole_vectors_can_be_quantized():
    net, x = Codebook([(slice(0, 4), 3), (slice(1, 3), 5)]), torch.randn(7, 4)
    sharp = net.quantized(x, 1e-3)
    nearest = nn.functional.normalize(net.directions[0], dim=1)[net(x)[0].argmax(1)]
    torch.testing.assert_close(sharp, 2.0 * nearest, rtol=1e-3, atol=1e-3)
    with pytest.raises(ValueError, match="the model was fitted without"):
        Codebook([(slice(1, 3), 5)]).quantized(x, 0.1)


def test_statistics_of_the_frames_are_read_too():
    """Whatever the padding; by hand from mean and deviation."""
    torch.manual_seed(0)
    body, width = build_body("conv", 6, 12)
    Es = UtteranceEncoder(body, width, 4, 2, 0, UnitLength(), statistics=3).eval()
    x, length = torch.randn(3, 8, 3), torch.tensor([8, 5, 2])
    x = x * inside(length, 8)
    found = Es(x, length)
    for k, n in enumerate(length):
        own = x[k : k + 1, :n]
        torch.testing.assert_close(Es(own, length[k : k + 1])[0], found[k])
        stacked, last = joined(own, length[k : k + 1], 2)
        mask = inside(last, stacked.shape[1])
        h = body(stacked, mask)[0]
        rows = [torch.cat([v.mean(0), (v.var(0, correction=0) + 1e-5).sqrt()]) for v in (h, own[0])]
        out = Es.linear[0](Es.scale(torch.cat(rows)[None]))
        torch.testing.assert_close(torch.nn.functional.normalize(out)[0], found[k])


def test_products_that_stay_in_float32_under_autocast():
    """Sums over time, and cosines that are divided by a small temperature."""
    h, mask, x = torch.randn(3, 9, 6), torch.ones(3, 9, 1), torch.randn(5, 8)
    book = Codebook([(slice(0, 8), 4), (slice(2, 6), 3)])

    def found():
        return [segment_means(h, mask, 3), *book(x), book.quantized(x, 0.1)]

    with torch.no_grad():
        expected = found()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert all(torch.equal(a, b) for a, b in zip(found(), expected, strict=True))
