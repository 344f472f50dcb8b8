"""Vectors of frames: every gradient against the losses written out, and what they are made of."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import nn

from repkit.engine.engine import Engine
from repkit.engine.rng import isolated_rng
from repkit.speech.algorithm import Objective, speech
from repkit.speech.batches import FrameStore, SpeechBatches
from repkit.speech.bodies import inside
from repkit.speech.frames import (
    RIDGE,
    aligned,
    assignment_loss,
    drawn,
    frame_shares,
    perturbation_basis,
)
from repkit.speech.networks import FrameNorm, speech_networks
from repkit.speech.parts import Adversary, Prototypes, SpeakerLoss, SpeechEncoder, Swap
from repkit.speech.perturb import RandomSpeed
from repkit.speech.prototypes import Assignments

CPU = torch.device("cpu")
D, P, S, K = 3, 4, 2, 5
Y = np.array([0] * 5 + [1] * 4 + [2] + [-1] * 3)


@pytest.fixture(autouse=True)
def _seeded():
    with isolated_rng(CPU):
        torch.manual_seed(0)
        yield


def slower(x, length, y):
    """Twice as long: a view of another length, its time as even as can be."""
    place = torch.arange(2 * x.shape[1] - 1) / 2
    low, high = place.floor().long(), place.ceil().long()
    x = torch.cat([0.5 * (x[:, low] + x[:, high]), torch.zeros_like(x[:, :1])], 1)
    length = 2 * length - 1
    inside = torch.arange(x.shape[1]) < length[:, None]
    return (x + 0.3) * inside[..., None], length


def make(pooling, perturb=None, adversary="classifier"):
    rng = np.random.default_rng(0)
    found = [rng.standard_normal((t, D)).astype(np.float32) for t in rng.integers(3, 9, len(Y))]
    batches = SpeechBatches(
        FrameStore(found, CPU), Y, speakers=4, utterances=5, max_frames=100, seed=0
    )
    heads = [(slice(0, P), 3)]
    nets = speech_networks(
        D,
        encoder=SpeechEncoder(n_segments=2, pooling=pooling),
        width=12,
        phonetic_dim=P,
        speaker_dim=S,
        n_speakers=3,
        adversary=adversary,
        heads=heads,
        frame_clusters=K,
    )
    rows = torch.randn(len(Y), P, generator=torch.Generator().manual_seed(1))
    objective = Objective(
        swap=Swap(),
        speaker_loss=SpeakerLoss(0.0),
        adversary=adversary and Adversary(adversary, weight=0.7, d_steps=1, warmup=0.0),
        prototypes=Prototypes((3,), weight=0.5),
    )
    whole = pooling != "frames"
    system = speech(
        nets,
        objective=objective,
        perturb=perturb,
        assignments=Assignments(Y, heads, lambda n: rows, start=0, seed=0) if whole else None,
    )
    engine = Engine(
        system, batches, optimizer=lambda p: torch.optim.SGD(p, 0.1), total_steps=1, seed=0
    )
    engine.train_mode()
    engine.begin_epoch()
    return engine, system


def steps_of(length):
    return -(-length // 2)


def at(f, place):
    """Of the vectors (steps, d) of one utterance, between two."""
    place = min(max(place, 0.0), len(f) - 1.0)
    low = int(place)
    return f[low] + (place - low) * (f[min(low + 1, len(f) - 1)] - f[low])


def views_of(n, b, perturb, views):
    """The vectors of each view and utterance, at the times of the utterance as it is."""
    x, length = b.x.repeat(views, 1, 1), b.length.repeat(views)
    if perturb is not None:
        x, length = perturb(x, length, None)
    p, f = n.Ep.both(x, length)
    out = []
    for k in range(len(x)):
        own, wanted = f[k, : steps_of(length[k])], int(b.length[k % len(b.y)])
        factor = (int(length[k]) - 1) / max(wanted - 1, 1)
        out.append(
            torch.stack(
                [at(own, ((2 * j + 0.5) * factor - 0.5) / 2) for j in range(steps_of(wanted))]
            )
        )
    return p, out


def frame_losses(n, b, perturb, views):
    p, f = views_of(n, b, perturb, views)
    count, known = len(b.y), [i for i in range(len(b.y)) if b.y[i] >= 0]
    s = n.Es(b.x, b.length)[b.partner]
    cells = []
    for i in range(count):
        t = int(b.length[i])
        back = n.F(f[i][None], s[i : i + 1], b.length[i : i + 1], t)[0]
        cells.append(((back - b.x[i, :t]) ** 2).flatten())
    rebuilt = torch.cat(cells).mean()
    with torch.no_grad():
        clean = n.Ep.both(b.x, b.length)[1]
        mask = torch.zeros(*clean.shape[:2], 1)
        for i, t in enumerate(b.length):
            mask[i, : steps_of(int(t))] = 1
        shares = frame_shares(clean, mask, b.y, n.Kf.directions[0])
    unit = nn.functional.normalize(n.Kf.directions[0], dim=1)
    costs = []
    for view in range(views):
        for i in known:
            for j, row in enumerate(f[view * count + i]):
                logits = unit @ nn.functional.normalize(row, dim=0) / 0.1
                costs.append(-(shares[i, j] * logits.log_softmax(0)).sum())
    return p, f, rebuilt, sum(costs) / len(costs)


def grads(loss, modules):
    parameters = [p for m in modules for p in m.parameters()]
    return torch.autograd.grad(loss, parameters, retain_graph=True, materialize_grads=True)


@pytest.mark.parametrize("pooling", ["frames", "both"])
@pytest.mark.parametrize("perturb", [None, slower], ids=["as it is", "slower"])
def test_gradients_are_those_of_the_losses(pooling, perturb):
    engine, system = make(pooling, perturb)
    whole = pooling == "both"
    views = 2 if whole and perturb is not None else 1
    n = SimpleNamespace(**copy.deepcopy(dict(system.networks)))
    b = engine.batches.at(0)
    torch.manual_seed(5)
    p, f, rebuilt, told = frame_losses(n, b, perturb, views)
    a = rebuilt + 0.5 * told
    labels = b.y.repeat(views)
    known = labels >= 0
    d = 0.0
    if whole:
        s = n.Es(b.x, b.length)[b.partner]
        back = n.R(p[: len(b.y)], s, b.length, b.x.shape[1])
        a = (
            a
            + torch.cat(
                [((back[i, :t] - b.x[i, :t]) ** 2).flatten() for i, t in enumerate(b.length)]
            ).mean()
        )
        shares = dict(zip(("whole",), engine_shares(system, n), strict=True))["whole"]
        (cosine,) = n.K(p)
        costs = -(shares[b.row.repeat(views)] * (cosine / 0.1).log_softmax(1)).sum(1)
        a = a + 0.5 * costs[known].mean()
        d = nn.functional.cross_entropy(n.D(p)[known], labels[known])
    torch.manual_seed(5)
    places = torch.rand(len(labels))
    one = torch.stack([own[int(r * len(own))] for r, own in zip(places, f, strict=True)])
    d = d + nn.functional.cross_entropy(n.Df(one)[known], labels[known])
    torch.manual_seed(5)
    engine.step()
    moving = [name for name in ("Ep", "Es", "R", "K", "F", "Kf") if name in system.networks]
    found = [p.grad for k in moving for p in system.networks[k].parameters()]
    modules = [getattr(n, k) for k in moving]
    lam = 0.7
    for x, y in zip(found, grads(a - lam * d, modules), strict=True):
        torch.testing.assert_close(x, y, rtol=2e-3, atol=5e-6)
    judges = [name for name in ("D", "Df") if name in system.networks]
    found = [p.grad for k in judges for p in system.networks[k].parameters()]
    for x, y in zip(found, grads(d, [getattr(n, k) for k in judges]), strict=True):
        torch.testing.assert_close(x, y, rtol=2e-3, atol=5e-6)
    for name in ("Ep", "F", "Kf"):
        assert max(g.abs().max() for g in grads(a, [getattr(n, name)])) > 1e-4
    assert max(g.abs().max() for g in grads(d, [n.Ep])) > 1e-5


def test_the_unperturbed_view_leaves_no_statistics():
    """Running means are those of what trains, one step of them; assignments look on."""
    engine, system = make("both", slower)
    n = SimpleNamespace(**copy.deepcopy(dict(system.networks)))
    b = engine.batches.at(0)
    x, length = slower(b.x.repeat(2, 1, 1), b.length.repeat(2), None)
    n.Ep.both(x, length)
    engine.step()
    now = system.networks["Ep"].frame_last
    torch.testing.assert_close(now.running_mean, n.Ep.frame_last.running_mean)
    torch.testing.assert_close(now.running_var, n.Ep.frame_last.running_var)
    assert now.running_mean.abs().max() > 1e-4


def engine_shares(system, n):
    """What the assignments of utterances are, made anew from the same rows and seed."""
    rows = torch.randn(len(Y), P, generator=torch.Generator().manual_seed(1))
    own = Assignments(Y, [(slice(0, P), 3)], lambda _: rows, start=0, seed=0)
    own.refresh(SimpleNamespace(K=copy.deepcopy(n.K)), 0)
    return own.shares


@pytest.mark.parametrize("kind", ["pair", "wasserstein", None])
@pytest.mark.parametrize("pooling", ["frames", "both"])
def test_other_adversaries_take_a_step(kind, pooling):
    engine, system = make(pooling, adversary=kind)
    before = copy.deepcopy(system.networks["Ep"].state_dict())
    engine.step()
    means, bad = engine.read()
    assert bad is None
    assert ("frame_d_accuracy" in means) == (kind is not None)
    assert ("d_accuracy" in means) == (kind is not None and pooling == "both")
    changed = system.networks["Ep"].state_dict()
    assert any(not torch.equal(before[k], changed[k]) for k in before)


# -------------------------------------------------------------------- two views of one time


def test_a_view_at_its_own_speed_is_itself():
    f, length = torch.randn(3, 5, 2), torch.tensor([10, 7, 1])
    found = aligned(f, length, length, 10, 2)
    for k, steps in enumerate((5, 4, 1)):
        torch.testing.assert_close(found[k, :steps], f[k, :steps])
        assert (found[k, steps:] == 0).all()


def test_the_same_moment_of_another_view():
    """Vectors that tell their time: after a random speed, the time of what was there."""
    length = torch.tensor([60, 41, 13])
    x = torch.arange(60.0)[None, :, None].repeat(3, 1, 1)
    for seed in range(5):
        torch.manual_seed(seed)
        view, changed = RandomSpeed(0.3, even=True)(x, length, torch.zeros(3))
        f = view[:, :60].reshape(3, 30, 2).mean(2, keepdim=True)  # of two joined frames
        found = aligned(f, changed, length, 60, 2)[..., 0]
        for k, n in enumerate(length.tolist()):
            inner = slice(1, (n - 3) // 2)
            wanted = torch.arange(30) * 2 + 0.5
            torch.testing.assert_close(found[k, inner], wanted[inner], rtol=0, atol=0.6)
    assert changed.tolist() != length.tolist()


def test_an_uneven_speed_is_not_even():
    x, length = torch.arange(60.0)[None, :, None], torch.tensor([60])
    for even in (True, False):
        view, changed = RandomSpeed(0.4, even=even)(x, length, torch.zeros(1))
        gaps = view[0, : int(changed), 0].diff()[1:-2]
        assert (float(gaps.max() - gaps.min()) < 1e-3) == even


def test_a_frame_is_drawn_from_within():
    f = torch.arange(6.0)[None, :, None].repeat(400, 1, 1)
    found = drawn(f, torch.tensor([5] * 200 + [12] * 200), 2)[:, 0]
    assert set(found[:200].tolist()) == {0.0, 1.0, 2.0}
    assert set(found[200:].tolist()) == {0.0, 1.0, 2.0, 3.0, 4.0, 5.0}


# -------------------------------------------------------------------- clusters


def test_every_speaker_has_equal_shares():
    torch.manual_seed(0)
    y = torch.tensor([0, 1, 0, 1, 2, -1])
    mask = torch.ones(6, 40, 1)
    mask[1, 25:] = 0
    f = torch.randn(6, 40, 8) + 4 * torch.randn(3, 8)[y.clamp_min(0)][:, None]
    directions = torch.randn(6, 8)
    shares = frame_shares(f, mask, y, directions)
    torch.testing.assert_close(shares.sum(2), torch.ones(6, 40))
    for k in range(3):
        mean = (shares * mask)[y == k].sum((0, 1)) / mask[y == k].sum()
        assert (mean - 1 / 6).abs().max() < 0.02, k
    # What tells the speaker plays no part, nor who else is there.
    moved = frame_shares(f + 9 * torch.randn(3, 8)[y.clamp_min(0)][:, None], mask, y, directions)
    torch.testing.assert_close(moved, shares, atol=2e-3, rtol=0)
    alone = frame_shares(f[y == 0], mask[y == 0], y[y == 0], directions)
    torch.testing.assert_close(alone, shares[y == 0], atol=1e-4, rtol=0)


def test_speakers_of_few_frames_are_balanced_together():
    y, mask = torch.arange(8), torch.ones(8, 4, 1)
    shares = frame_shares(torch.randn(8, 4, 5), mask, y, torch.randn(7, 5))
    assert torch.isfinite(shares).all()
    assert (shares.mean((0, 1)) - 1 / 7).abs().max() < 0.03


def test_assignment_loss_by_hand():
    cosines = torch.tensor([[[0.1, 0.0], [0.0, 0.0]]])
    shares = torch.tensor([[[1.0, 0.0], [0.5, 0.5]]])
    mask = torch.tensor([[[1.0], [0.0]]])
    found = assignment_loss(cosines, shares, mask)
    assert found == pytest.approx(np.log(1 + np.exp(-1)))
    assert assignment_loss(cosines, shares, 0 * mask) == 0
    assert assignment_loss(cosines, shares, 1 - mask) == pytest.approx(np.log(2))


# -------------------------------------------------------------------- the norm


def test_frame_norm_is_batch_norm_over_what_is_there():
    norm, plain = FrameNorm(3, affine=False), nn.BatchNorm1d(3, affine=False)
    h, mask = torch.randn(4, 5, 3) + 2, torch.ones(4, 5, 1)
    mask[1, 2:], mask[3, 1:] = 0, 0
    rows = h[mask[..., 0] > 0]
    torch.testing.assert_close(norm(h, mask)[mask[..., 0] > 0], plain(rows))
    assert (norm(h, mask)[1, 2:] == 0).all()
    norm, plain = FrameNorm(3, affine=False), nn.BatchNorm1d(3, affine=False)
    norm(h, mask), plain(rows)
    torch.testing.assert_close(norm.running_mean, plain.running_mean)
    torch.testing.assert_close(norm.running_var, plain.running_var)
    torch.testing.assert_close(norm.eval()(h, mask)[mask[..., 0] > 0], plain.eval()(rows))


def test_the_basis_makes_what_the_perturbation_changes_alike():
    """On a network that passes frames on: one column is shaken, one is not."""

    class Passing(torch.nn.Module):
        stack = 1

        def both(self, x, length):
            return x[:, 0], x

    def perturb(x, length, y):
        return x + torch.tensor([2.0, 0.0, 0.1]) * torch.randn(len(x), 1, 3), length

    torch.manual_seed(0)
    x = torch.randn(400, 9, 3) @ torch.tensor([[1.0, 0.5, 0.0], [0.0, 1.0, 0.3], [0.0, 0.0, 1.0]])
    store = FrameStore([v.numpy() for v in x + 5.0], torch.device("cpu"))
    prepare = lambda x, length: x * inside(length, x.shape[1])
    mean, basis = perturbation_basis(Passing(), store, np.zeros(400, int), prepare, perturb, 100)
    np.testing.assert_allclose(mean, x.mean((0, 1)) + 5.0, atol=1e-4)
    C = np.cov(x.flatten(0, 1).T.numpy(), bias=True)
    N = np.diag([4.0, 0.0, 0.01]) + RIDGE * np.trace(C) / 3 * np.eye(3)
    np.testing.assert_allclose(basis.T @ N @ basis, np.eye(3), atol=0.2)
    found = np.diag(basis.T @ C @ basis)
    np.testing.assert_allclose(found, scipy.linalg.eigh(C, N)[0][::-1], rtol=0.1)
    assert abs(basis[0, 0]) < 0.2 * np.abs(basis[:, 0]).max()  # the shaken column is of no weight


def test_shares_are_assigned_in_float32_under_autocast():
    f, mask, y = torch.randn(3, 7, 4), torch.ones(3, 7, 1), torch.tensor([0, 0, 1])
    directions = torch.randn(3, 4)
    expected = frame_shares(f, mask, y, directions)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(frame_shares(f, mask, y, directions), expected)
