"""Every gradient of the algorithm against the losses written out, differentiated by hand."""

import copy
import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from repkit.engine.engine import Engine
from repkit.engine.rng import isolated_rng
from repkit.speech.algorithm import Objective, centroid_loss, rising, speech, wasserstein
from repkit.speech.batches import FrameStore, SpeechBatches
from repkit.speech.bodies import build_body, inside
from repkit.speech.networks import Codebook, FrameDecoder, UnitLength, UtteranceEncoder, critic
from repkit.speech.parts import Adversary, Prototypes, SpeakerLoss, Swap
from repkit.speech.prototypes import Assignments

CPU = torch.device("cpu")
D, P, S, RATE = 3, 4, 2, 0.1
Y = np.array([0] * 5 + [1] * 4 + [2] + [-1] * 3)
OPTIONS = {
    "classifier": {},
    "pair": {"adversary": "pair"},
    "wasserstein": {"adversary": "wasserstein"},
    "none": {"adversary": None},
    "no swap": {"swap": False},
    "no speaker loss": {"speaker": 0.0},
    "margin": {"speaker": 0.6, "margin": 1.7},
}


@pytest.fixture(autouse=True)
def _seeded():
    with isolated_rng(CPU):
        torch.manual_seed(0)
        yield


def frames():
    rng = np.random.default_rng(0)
    found = [rng.standard_normal((t, D)).astype(np.float32) for t in rng.integers(3, 9, len(Y))]
    return FrameStore(found, CPU)


def networks(adversary="classifier", heads=()):
    n = {}
    for name, dim, last in (("Ep", P, nn.BatchNorm1d(P, affine=False)), ("Es", S, UnitLength())):
        body, width = build_body("conv", 2 * D, 12)
        n[name] = UtteranceEncoder(body, width, dim, 2, 2 if name == "Ep" else 0, last)
    n["R"] = FrameDecoder(P, S, D, 12, 2)
    if adversary is not None:
        n["D"] = critic(P, 3, 12) if adversary == "classifier" else critic(3 * P, 1, 12)
    if heads:
        n["K"] = Codebook(heads)
    return n


def objective(
    adversary="classifier",
    swap=True,
    speaker=1.0,
    margin=1.0,
    d_steps=1,
    adversary_weight=0.7,
    cycle=0.0,
    share=1.0,
    **prototypes,
):
    return Objective(
        swap=Swap(swap, cycle=cycle, reconstruction_share=share),
        speaker_loss=SpeakerLoss(speaker, margin=margin),
        adversary=adversary
        and Adversary(adversary, weight=adversary_weight, d_steps=d_steps, warmup=0.0),
        prototypes=Prototypes(**prototypes),
    )


def make(total=1, y=Y, perturb=None, heads=(), **options):
    store = frames()
    batches = SpeechBatches(store, y, speakers=4, utterances=5, max_frames=100, seed=0)
    nets = networks(options.get("adversary", "classifier"), heads)
    assignments = None
    if heads:
        generator = torch.Generator().manual_seed(1)
        rows = torch.randn(len(y), P, generator=generator)
        assignments = Assignments(y, heads, lambda n: rows, start=0, seed=0)
    system = speech(nets, objective=objective(**options), perturb=perturb, assignments=assignments)
    engine = Engine(
        system,
        batches,
        optimizer=lambda p: torch.optim.SGD(p, RATE),
        total_steps=total,
        seed=0,
    )
    engine.train_mode()
    engine.begin_epoch()
    return engine


def twins(engine):
    return SimpleNamespace(**copy.deepcopy(dict(engine.system.networks)))


def grads(loss, modules):
    parameters = [p for m in modules for p in m.parameters()]
    return torch.autograd.grad(loss, parameters, retain_graph=True, materialize_grads=True)


def found_grads(engine, names):
    return tuple(p.grad for k in names for p in engine.system.networks[k].parameters())


def features(p, q):
    return torch.cat([p + q, (p - q).abs(), p * q])


def mean(values):
    return sum(values) / len(values)


def judged(n, p, y, kind):
    """L_D, what D adds to it, and its accuracy, with the draws that come next."""
    if kind == "classifier":
        return named(n, p, y)
    return judged_pairs(n, p, y) if kind == "pair" else set_apart(n, p, y)


def named(n, p, y):
    known = [i for i in range(len(y)) if y[i] >= 0]
    probabilities = n.D(p).softmax(1)
    right = [float(probabilities[i].argmax() == y[i]) for i in known]
    return -mean([probabilities[i, y[i]].log() for i in known]), 0.0, mean(right)


def judged_pairs(n, p, y):
    known = [i for i in range(len(y)) if y[i] >= 0]
    costs, right = {True: [], False: []}, {True: [], False: []}
    for i in known:
        for j in known:
            if i < j:
                same = bool(y[i] == y[j])
                probability = n.D(features(p[i], p[j])[None])[0, 0].sigmoid()
                costs[same].append(-(probability if same else 1 - probability).log())
                right[same].append(float((probability > 0.5) == same))
    loss, accuracy = (0.5 * (mean(v[True]) + mean(v[False])) for v in (costs, right))
    return loss, 0.0, accuracy


def set_apart(n, p, y):
    """The Wasserstein form, for every row with a pair of either kind, with a penalty at 10."""
    draw, share = torch.rand(len(y), len(y)), torch.rand(len(y), 1)
    gaps, extra = [], []
    for i in range(len(y)):
        known = [j for j in range(len(y)) if j != i and y[i] >= 0 and y[j] >= 0]
        same, other = ([j for j in known if (y[i] == y[j]) == kind] for kind in (True, False))
        if not same or not other:
            continue
        one, two = (
            features(p[i], p[max(kind, key=lambda j: draw[i, j])]) for kind in (same, other)
        )
        gaps.append(n.D(one[None])[0, 0] - n.D(two[None])[0, 0])
        point = (share[i] * one + (1 - share[i]) * two).detach().requires_grad_()
        (slope,) = torch.autograd.grad(n.D(point[None]).sum(), point, create_graph=True)
        extra.append(10.0 * (slope.norm() - 1.0) ** 2)
    order = mean([float(g > 0) for g in gaps])
    return -mean([g**2 for g in gaps]), mean(extra), max(order, 1 - order)


def written_out(n, b, adversary="classifier", swap=True, speaker=1.0, margin=1.0):
    p, s = n.Ep(b.x, b.length), n.Es(b.x, b.length)
    back = n.R(p, s[b.partner] if swap else s, b.length, b.x.shape[1])
    cells = [((back[i, :t] - b.x[i, :t]) ** 2).flatten() for i, t in enumerate(b.length)]
    a = torch.cat(cells).mean()
    known = [i for i in range(len(b.y)) if b.y[i] >= 0]
    pairs = [(i, j) for i in known for j in known if i != j]
    near = [((s[i] - s[j]) ** 2).sum() for i, j in pairs if b.y[i] == b.y[j]]
    far = [(margin - (s[i] - s[j]).norm()).clamp(min=0) ** 2 for i, j in pairs if b.y[i] != b.y[j]]
    a = a + speaker * (sum(near) / len(near) + sum(far) / len(far))
    if adversary is None:
        return a, None, None
    loss, extra, accuracy = judged(n, p, b.y, adversary)
    return a - 0.7 * loss, loss + extra, accuracy


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_gradients_are_those_of_the_losses(options):
    """A goes against the adversary, which descends its own; neither moves the other."""
    engine = make(**options)
    n, b = twins(engine), engine.batches.at(0)
    assert set(b.y.tolist()) == {0, 1, 2, -1}
    torch.manual_seed(5)
    a, d, accuracy = written_out(n, b, **options)
    torch.manual_seed(5)
    engine.step()
    wanted = grads(a, (n.Ep, n.Es, n.R))
    torch.testing.assert_close(found_grads(engine, ("Ep", "Es", "R")), wanted, rtol=1e-3, atol=3e-6)
    assert min(max(g.abs().max() for g in grads(a, [m])) for m in (n.Ep, n.Es, n.R)) > 1e-3
    means, _ = engine.read()
    assert means["loss_A"] == pytest.approx(a.item(), rel=1e-4)
    if d is not None:
        torch.testing.assert_close(
            found_grads(engine, ("D",)), grads(d, [n.D]), rtol=1e-3, atol=3e-6
        )
        assert max(g.abs().max() for g in grads(d, [n.Ep])) > 1e-4  # so that a sign shows
        assert means["loss_D"] == pytest.approx(d.item(), rel=1e-4)
        assert means["d_accuracy"] == pytest.approx(accuracy)


def by_centroids(s, y, scale):
    """-log softmax of the cosines with the centroids, one utterance after the other."""
    costs = []
    for i in range(len(y)):
        if y[i] < 0 or (y == y[i]).sum() < 2:
            continue
        logits = {}
        for k in sorted({int(k) for k in y if k >= 0}):
            rows = [j for j in range(len(y)) if y[j] == k and j != i]
            center = mean([s[j] for j in rows]) if rows else None
            if center is not None:
                logits[k] = scale * torch.cosine_similarity(s[i], center, dim=0)
        costs.append(torch.stack(list(logits.values())).logsumexp(0) - logits[int(y[i])])
    return mean(costs)


def test_the_loss_of_centroids_is_that_of_the_formula():
    x, y = torch.randn(len(Y), 3, requires_grad=True), torch.from_numpy(Y)
    s = torch.nn.functional.normalize(x, dim=1)
    found, wanted = centroid_loss(s, y, 7.0), by_centroids(s, y, 7.0)
    assert found.item() == pytest.approx(wanted.item(), rel=1e-5)
    torch.testing.assert_close(
        *(torch.autograd.grad(v, x, retain_graph=True)[0] for v in (found, wanted))
    )
    assert centroid_loss(s, torch.full((len(Y),), -1), 7.0) == 0
    assert centroid_loss(s, torch.arange(len(Y)), 7.0) == 0


@pytest.mark.parametrize("kind", ["margin", "centroid"])
def test_other_voices_are_speakers_of_their_own(kind):
    """And only the speaker encoder learns of them."""

    def voices(x, length, y):
        return 2.0 * x + torch.randn(()), length

    loss = SpeakerLoss(kind=kind, scale=5.0, voices=1.0)
    store, nets = frames(), networks(None)
    batches = SpeechBatches(store, Y, speakers=4, utterances=5, max_frames=100, seed=0)
    objective = Objective(adversary=None, prototypes=None, speaker_loss=loss)
    engine = Engine(
        speech(nets, objective=objective, voices=voices),
        batches,
        optimizer=lambda p: torch.optim.SGD(p, RATE),
        total_steps=1,
        seed=0,
    )
    engine.train_mode()
    engine.begin_epoch()
    n, b = twins(engine), batches.at(0)
    torch.manual_seed(5)
    engine.step()
    torch.manual_seed(5)
    s = n.Es(b.x, b.length)
    x = (2.0 * b.x + torch.randn(())) * inside(b.length, b.x.shape[1])
    both = torch.cat([s, n.Es(x, b.length)])
    y = torch.cat([b.y, torch.where(b.y < 0, -1, b.y + 10)])
    spk = by_centroids(both, y, 5.0) if kind == "centroid" else apart(both, y)
    means, _ = engine.read()
    assert means["speaker_loss"] == pytest.approx(spk.item(), rel=1e-4)
    rebuilt = n.R(n.Ep(b.x, b.length), s[b.partner], b.length, b.x.shape[1])
    error = ((rebuilt - b.x) * inside(b.length, b.x.shape[1])).square().sum()
    a = error / (b.length.sum() * D) + spk
    torch.testing.assert_close(found_grads(engine, ("Es",)), grads(a, [n.Es]), rtol=1e-3, atol=3e-6)


def apart(s, y, margin=1.0):
    """Squares of the distances within speakers, and what those between lack of the margin."""
    near, far = [], []
    for i in range(len(y)):
        for j in range(len(y)):
            if i != j and min(y[i], y[j]) >= 0:
                d = ((s[i] - s[j]).square().sum() + 1e-8).sqrt()
                (near if y[i] == y[j] else far).append(
                    d.square() if y[i] == y[j] else (margin - d).clamp_min(0).square()
                )
    return mean(near) + mean(far)


def test_the_adversary_is_fooled():
    """A step of A alone makes D's loss greater, a step of D smaller."""
    for group, sign in (("A", 1), ("D", -1)):
        engine = make(speaker=0.0, adversary_weight=50.0)
        n, b = twins(engine), engine.batches.at(0)
        before, *_ = named(n, n.Ep(b.x, b.length), b.y)
        engine.optimizers = {k: o for k, o in engine.optimizers.items() if k == group} | {
            k: SimpleNamespace(step=lambda: None, param_groups=[])
            for k in engine.optimizers
            if k != group
        }
        engine.optimizers[group].param_groups[0]["lr"] = 1e-3
        engine.step()
        n = engine.networks
        after, *_ = named(n, n.Ep(b.x, b.length), b.y)
        assert sign * (after - before) > 1e-5


@pytest.mark.parametrize("kind", ["classifier", "wasserstein"])
def test_more_steps_of_the_adversary_move_it_alone(kind):
    """On the vectors that the decoder gets."""
    engine = make(d_steps=3, adversary=kind, heads=HEADS, quantize=0.1, quantize_start=0.0)
    system = engine.system
    assert [p.times for p in system.phases] == [2, 1]
    engine.system = dataclasses.replace(system, phases=system.phases[:1])
    n, b = twins(engine), engine.batches.at(0)
    p = quantized(n, n.Ep(b.x, b.length)).detach()
    torch.manual_seed(5)
    engine.step()
    torch.manual_seed(5)
    for _ in range(2):
        loss, extra, _ = judged(n, p, b.y, kind)
        gradients = grads(loss + extra, [n.D])
        with torch.no_grad():
            for parameter, g in zip(n.D.parameters(), gradients, strict=True):
                parameter -= RATE * g
    now = engine.system.networks
    torch.testing.assert_close(
        tuple(now["D"].parameters()), tuple(n.D.parameters()), rtol=1e-4, atol=1e-6
    )
    for name in ("Ep", "Es", "R", "K"):
        pairs = zip(now[name].parameters(), getattr(n, name).parameters(), strict=True)
        assert all(torch.equal(x, y) for x, y in pairs)


def test_the_penalty_is_for_slopes_that_are_not_1():
    """A linear D of slope 1 pays nothing, one of slope 3 pays 10 * (3 - 1)^2."""
    p, y = torch.randn(13, P), torch.from_numpy(Y)
    direction = torch.nn.functional.normalize(torch.randn(3 * P, 1), dim=0)
    assert wasserstein(lambda x: x @ direction, p, y).penalty == pytest.approx(0, abs=1e-4)
    assert wasserstein(lambda x: 3 * x @ direction, p, y).penalty == pytest.approx(40, rel=1e-3)


def test_a_wasserstein_adversary_may_order_pairs_either_way():
    """Its loss is the same for both signs; where nothing can be judged it is right in nothing."""
    y = torch.arange(12) % 2
    p = torch.stack([y.float(), torch.zeros(12)], 1)
    apart = lambda x: x[:, 2:3]  # |p - q|: 0 for pairs of one speaker, 1 for pairs of two
    for sign in (1.0, -1.0):
        verdict = wasserstein(lambda x, sign=sign: sign * apart(x), p, y)
        assert verdict.loss == -1
        assert verdict.accuracy == 1
    for _ in range(20):
        assert wasserstein(lambda x: x[:, :1] + x[:, 4:5], torch.randn(12, 2), y).accuracy >= 0.5
    assert wasserstein(apart, p, torch.full((12,), -1)).accuracy == 0


def test_defaults_stand_for_themselves():
    """Without an objective; prototypes need assignments."""
    system = speech(networks())
    assert [phase.times for phase in system.phases] == [1, 1]
    assert set(system.groups) == {"A", "D"}
    assert system.schedules["lam"](1.0) == pytest.approx(0.3 * rising(1.0, 0.0, 0.3))


def test_without_prototypes_assignments_count_for_nothing():
    assignments = Assignments(Y, HEADS, lambda n: torch.randn(len(Y), P), start=0, seed=0)
    given = Objective(prototypes=None, adversary=None)
    system = speech(networks(None), objective=given, assignments=assignments)
    assert system.refresh is None


def test_unlabeled_rows_only_count_in_the_reconstruction():
    for adversary in ("classifier", "pair", "wasserstein"):
        engine = make(y=np.full(len(Y), -1), adversary=adversary)
        engine.step()
        means, bad = engine.read()
        assert bad is None
        assert means["speaker_loss"] == means["d_accuracy"] == 0
        assert means["loss_A"] == pytest.approx(means["reconstruction_loss"])


def test_perturbed_views_are_read_and_not_rebuilt():
    seen = []

    def perturb(x, length, y):
        seen.append(y)
        return x + 1.0, length - 1

    engine = make(perturb=perturb, adversary=None, speaker=0.0)
    n, b = twins(engine), engine.batches.at(0)
    shorter = (b.x + 1.0) * inside(b.length - 1, b.x.shape[1])
    p, s = n.Ep(shorter, b.length - 1), n.Es(b.x, b.length)
    back = n.R(p, s[b.partner], b.length, b.x.shape[1])
    mask = inside(b.length, b.x.shape[1])
    error = ((back - b.x).square() * mask).sum() / (mask.sum() * D)
    engine.step()
    assert engine.read()[0]["loss_A"] == pytest.approx(error.item(), rel=1e-5)
    assert [y.tolist() for y in seen] == [b.y.tolist()]


HEADS = [(slice(0, P), 3), (slice(0, P), 5), (slice(0, 2), 2)]


def test_a_share_of_the_reconstruction_reaches_the_phonetic_encoder():
    plain, less = (make(adversary=None, share=share) for share in (1.0, 0.3))
    less.system.networks["Ep"].load_state_dict(plain.system.networks["Ep"].state_dict())
    for name in ("Es", "R"):
        less.system.networks[name].load_state_dict(plain.system.networks[name].state_dict())
    for engine in (plain, less):
        engine.step()
    for name, share in (("Ep", 0.3), ("Es", 1.0), ("R", 1.0)):
        wanted = tuple(share * g for g in found_grads(plain, [name]))
        torch.testing.assert_close(found_grads(less, [name]), wanted, rtol=1e-4, atol=1e-7)


def quantized(n, p):
    """By hand, over the two heads of whole vectors."""
    total = 0
    for directions in n.K.directions[:2]:
        unit = directions / directions.norm(dim=1, keepdim=True)
        cosines = p @ unit.T / p.norm(dim=1, keepdim=True)
        total = total + (cosines / 0.1).softmax(1) @ unit
    return total / 2 * P**0.5


def test_quantized_vectors_are_what_decoder_and_adversary_get():
    engine = make(heads=HEADS, quantize=0.1, quantize_start=0.0, speaker=0.0, weight=0.0)
    n, b = twins(engine), engine.batches.at(0)
    p, s = quantized(n, n.Ep(b.x, b.length)), n.Es(b.x, b.length)
    back = n.R(p, s[b.partner], b.length, b.x.shape[1])
    error = (back - b.x)[inside(b.length, b.x.shape[1])[..., 0] > 0].square().mean()
    d, *_ = named(n, p, b.y)
    engine.step()
    wanted = grads(error - 0.7 * d, (n.Ep, n.Es, n.R, n.K))
    found = found_grads(engine, ("Ep", "Es", "R", "K"))
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=3e-6)
    torch.testing.assert_close(found_grads(engine, ("D",)), grads(d, [n.D]), rtol=1e-3, atol=3e-6)
    late = make(heads=HEADS, quantize=0.1, quantize_start=0.5, total=2)
    late.step()
    assert late.scheduled()["quantized"] == 0
    late.step()
    assert late.scheduled()["quantized"] == 1


@pytest.mark.parametrize(
    ("temperature", "heads"),
    [(None, ()), (None, HEADS), (0.1, HEADS)],
    ids=["voices", "voices and words", "quantized"],
)
def test_conversions_keep_voice_and_prototypes_by_the_decoder_alone(temperature, heads):
    options = {"quantize": temperature, "quantize_start": 0.0, "weight": 0.0}
    engine = make(heads=heads, cycle=0.6, adversary=None, speaker=0.0, **options)
    shares = [x.clone() for x in engine.system.refresh.__self__.shares] if heads else []
    n, b = twins(engine), engine.batches.at(0)
    torch.manual_seed(5)
    order = torch.randperm(len(b.y))
    p, s = n.Ep(b.x, b.length), n.Es(b.x, b.length)
    p = quantized(n, p) if temperature else p
    time = b.x.shape[1]
    error = ((n.R(p, s[b.partner], b.length, time) - b.x) * inside(b.length, time)).square()
    error = error.sum() / (b.length.sum() * D)
    running = copy.deepcopy(engine.system.networks["Ep"].last.state_dict())
    converted = n.R(p.detach(), s[order].detach(), b.length, time) * inside(b.length, time)
    distances = (n.Es(converted, b.length) - s[order].detach()).norm(dim=1)
    cycle = (distances**2).mean()
    found = n.K(n.Ep(converted, b.length)) if heads else []
    for cosine, share in zip(found, shares, strict=True):
        costs = -(share[b.row] * (cosine / 0.1).log_softmax(1)).sum(1)
        cycle = cycle + costs[b.y >= 0].mean() / len(shares)
    torch.manual_seed(5)
    engine.step()
    torch.testing.assert_close(
        found_grads(engine, ("R",)), grads(error + 0.6 * cycle, [n.R]), rtol=1e-3, atol=1e-4
    )
    others = ("Ep", "Es", "K") if heads else ("Ep", "Es")
    torch.testing.assert_close(
        found_grads(engine, others),
        grads(error, [vars(n)[name] for name in others]),
        rtol=1e-3,
        atol=3e-6,
    )
    for network in (n.Es, n.Ep, n.K) if heads else (n.Es,):  # which is not in theirs
        assert max(g.abs().max() for g in grads(cycle, [network])) > 1e-3
    moved = engine.system.networks["Ep"].last.state_dict()
    assert moved["num_batches_tracked"] == running["num_batches_tracked"] + 1


def test_both_views_learn_the_assignment():
    """They count for prototypes and adversary; the first is decoded."""

    def perturb(x, length, y):
        return x + torch.linspace(0, 1, len(y))[:, None, None], length

    engine = make(heads=HEADS, perturb=perturb, speaker=0.0, weight=0.8)
    shares = [x.clone() for x in engine.system.refresh.__self__.shares]
    n, b = twins(engine), engine.batches.at(0)
    time, count = b.x.shape[1], len(b.y)
    length, y, row = b.length.repeat(2), b.y.repeat(2), b.row.repeat(2)
    x, _ = perturb(b.x.repeat(2, 1, 1), length, y)
    p, s = n.Ep(x * inside(length, time), length), n.Es(b.x, b.length)
    back = n.R(p[:count], s[b.partner], b.length, time)
    error = (back - b.x)[inside(b.length, time)[..., 0] > 0].square().mean()
    told = 0.0
    for cosine, share in zip(n.K(p), shares, strict=True):
        costs = -(share[row] * (cosine / 0.1).log_softmax(1)).sum(1)
        told = told + costs[y >= 0].mean() / len(shares)
    d, *_ = named(n, p, y)
    engine.step()
    wanted = grads(error + 0.8 * told - 0.7 * d, (n.Ep, n.Es, n.R, n.K))
    found = found_grads(engine, ("Ep", "Es", "R", "K"))
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=3e-6)
    torch.testing.assert_close(found_grads(engine, ("D",)), grads(d, [n.D]), rtol=1e-3, atol=3e-6)
    assert engine.read()[0]["prototype_loss"] == pytest.approx(told.item(), rel=1e-4)


def test_every_network_moves():
    heads = [(slice(0, P), 3), (slice(0, 2), 2)]
    engine = make(heads=heads, perturb=lambda x, length, y: (x, length), total=3)
    before = {k: m.state_dict() for k, m in twins(engine).__dict__.items()}
    for _ in range(3):
        engine.step()
    for name, network in engine.system.networks.items():
        for key, value in network.state_dict().items():
            assert not torch.equal(value, before[name][key]), (name, key)
    assert engine.read()[0]["prototype_loss"] > 0


def test_rising():
    assert rising(0.1, 0.2, 0.5) == rising(0.2, 0.2, 0.5) == 0
    assert rising(0.7, 0.2, 0.5) == rising(1.0, 0.2, 0.5) == pytest.approx(2 / (1 + np.exp(-5)) - 1)
    assert rising(0.45, 0.2, 0.5) == pytest.approx(2 / (1 + np.exp(-2.5)) - 1)
    assert rising(0.0, 0.0, 0.0) == 1
