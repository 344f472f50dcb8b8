"""Clusters that speakers share: assignments, their loss, and where vectors are cut."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from repkit.engine.rng import isolated_rng
from repkit.speech.batches import FrameStore
from repkit.speech.networks import Codebook
from repkit.speech.prototypes import (
    Assignments,
    Groups,
    by_group,
    clustered_slices,
    phonetic_vectors,
    sinkhorn,
)

CPU = torch.device("cpu")
P = 4


@pytest.fixture(autouse=True)
def _seeded():
    with isolated_rng(CPU):
        torch.manual_seed(0)
        yield


def together(n):
    return Groups.of(np.zeros(n, int), 1)


def test_sinkhorn():
    scores = 3 * torch.randn(40, 5)
    shares = sinkhorn(scores, together(40), rounds=200)
    torch.testing.assert_close(shares.sum(1), torch.ones(40))
    torch.testing.assert_close(shares.sum(0), torch.full((5,), 8.0), rtol=1e-3, atol=1e-3)
    few = sinkhorn(scores, together(40))
    torch.testing.assert_close(few.sum(1), torch.ones(40))
    torch.testing.assert_close(few.sum(0), torch.full((5,), 8.0), rtol=0.05, atol=0)


@pytest.mark.parametrize("scale", [1.0, 20.0])
def test_sinkhorn_is_the_iteration_by_logarithms(scale):
    """Rows and columns in turns (Cuturi 2013, in the log domain), columns by half a step."""
    scores, y = scale * torch.randn(30, 4), np.repeat([0, 1, -1], [12, 13, 5])
    found = sinkhorn(scores, Groups.of(y, 4), rounds=7)
    for rows in (slice(0, 12), slice(12, 25)):
        x = scores[rows].double()
        for _ in range(7):
            x = x - 0.5 * (x.logsumexp(0) - np.log(len(x) / 4))
            x = x - x.logsumexp(1, keepdim=True)
        torch.testing.assert_close(found[rows], x.exp().float(), rtol=1e-5, atol=1e-7)
    assert found.dtype == torch.float32


@pytest.mark.parametrize("scale", [1.0, 20.0])
def test_each_group_is_balanced_as_if_it_were_alone(scale):
    scores, y = scale * torch.randn(40, 3), np.repeat([0, 1, 2, -1], 10)
    found = sinkhorn(scores, Groups.of(y, 5))
    for k in range(3):
        rows = slice(10 * k, 10 * k + 10)
        torch.testing.assert_close(found[rows], sinkhorn(scores[rows], together(10)))


def test_groups():
    y = np.array([0, 0, 0, 1, 2, 2, -1, 0])
    groups = Groups.of(y, 3)
    assert groups.owner.tolist() == [0, 0, 0, 1, 1, 1, 2, 0]
    assert (groups.count, groups.order.tolist()) == (2, [0, 1, 2, 7, 3, 4, 5])
    few = Groups.of(y, 9)
    assert (few.count, few.order.tolist()) == (1, [0, 1, 2, 3, 4, 5, 7])
    assert Groups.of(y[:3], 3).count == 1  # no group of the others where there are none
    x = torch.randn(8, 2) * 50 + 7
    found = by_group(x, groups)
    assert found.dtype == torch.float32
    assert found[6].tolist() == [0, 0]
    own = x[[0, 1, 2, 7]]
    expected = (own - own.mean(0)) / (own.std(0, correction=0) + 0.05)
    torch.testing.assert_close(found[[0, 1, 2, 7]], expected)
    torch.testing.assert_close(found[3:6].mean(0), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(found[3:6].std(0, correction=0), torch.ones(2), atol=0.01, rtol=0)


def clusters():
    """Three words by two speakers, who are far apart."""
    rng = np.random.default_rng(0)
    word, speaker = np.tile(np.arange(3), 20), np.repeat([0, 1], 30)
    centers = 3 * np.eye(3, P)
    rows = centers[word] + 20.0 * speaker[:, None] + 0.3 * rng.standard_normal((60, P))
    return torch.from_numpy(rows).float(), word, speaker


def test_assignments_find_what_speakers_share():
    rows, word, speaker = clusters()
    heads = [(slice(0, P), 3)]
    found = Assignments(speaker, heads, lambda n: rows, start=4, seed=0)
    n = SimpleNamespace(K=Codebook(heads))
    found.refresh(n, 0)
    assert found.shares == []
    found.refresh(n, 4)
    chosen = found.shares[0].argmax(1).numpy()
    table = np.zeros((3, 3), int)
    np.add.at(table, (chosen, word), 1)
    assert sorted(table.max(1)) == [20, 20, 20]  # words, and not speakers
    units = torch.nn.functional.normalize(by_group(rows, Groups.of(speaker, 3)), dim=1)
    cosines = units @ n.K.directions[0].detach().T
    torch.testing.assert_close(found.shares[0][:30], sinkhorn(cosines[:30] / 0.05, together(30)))
    again = found.shares[0].clone()
    found.refresh(n, 4)  # a replay of the epoch
    assert torch.equal(found.shares[0], again)
    with torch.no_grad():
        n.K.directions[0].copy_(n.K.directions[0][[1, 2, 0]])
    found.refresh(n, 8)  # later they are the network's
    torch.testing.assert_close(found.shares[0], again[:, [1, 2, 0]])


def test_the_loss_of_assignments():
    rows, _, speaker = clusters()
    y = np.where(np.arange(60) < 5, -1, speaker)
    heads = [(slice(0, P), 3), (slice(1, 3), 2)]
    found = Assignments(y, heads, lambda n: rows, start=0, seed=0)
    n = SimpleNamespace(K=Codebook(heads))
    found.refresh(n, 0)
    chosen = torch.tensor([0, 7, 30, 59])
    cosines = [c.detach() for c in n.K(rows[chosen])]
    expected = 0.0
    for cosine, shares in zip(cosines, found.shares, strict=True):
        for k in (1, 2, 3):  # the first is of unknown speaker
            p = (cosine[k] / 0.1).softmax(0)
            expected -= (shares[chosen[k]] * p.log()).sum() / 3 / 2
    assert found.loss(cosines, chosen).item() == pytest.approx(float(expected), rel=1e-5)
    assert found.loss(cosines, torch.tensor([0, 0, 1, 2])).item() == 0


def test_slices_that_are_clustered():
    whole = slice(0, 7)
    assert clustered_slices(7, 2, (3, 5), 0) == [(whole, 3), (whole, 5)]
    assert clustered_slices(7, 2, (), 4) == [(slice(0, 3), 4), (slice(3, 7), 4)]
    assert clustered_slices(7, 2, (), 0) == []


class FirstFrame(nn.Module):
    def forward(self, x, length):
        assert not self.training
        return x[:, 0]


def test_phonetic_vectors_of_all_utterances():
    """In their order, in evaluation mode, of what the networks see."""
    frames = [np.full((t, 2), t, np.float32) for t in (5, 2, 9, 4)]
    network = FirstFrame().train()
    found = phonetic_vectors(
        network,
        FrameStore(frames, CPU),
        lambda x, length: x + length[:, None, None],
        phonetic_dim=2,
        max_frames=6,
    )
    assert found[:, 0].tolist() == [10, 4, 15, 8]
    assert network.training
