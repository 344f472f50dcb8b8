"""`FrameNetwork`: scikit-learn's whole suite, its loss, and what it reads and gives."""

import os

os.environ["SCIPY_ARRAY_API"] = "1"  # or check_array_api_input is skipped

import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks

from repkit.engine import optim
from repkit.engine.tape import Tape
from repkit.speech import FrameNetwork, frame_network, frame_table

SMALL = FrameNetwork(1, width=8, max_epochs=2, random_state=0)
NAMES = ["ann", "ann", "bob", "bob"]


@parametrize_with_checks([SMALL])
def test_scikit_learn(estimator, check):
    check(estimator)


def test_the_suite_is_whole():
    results = check_estimator(SMALL, on_fail=None, on_skip=None)
    assert not [r for r in results if r["status"] == "skipped"]


@pytest.fixture(scope="module")
def frames():
    """Four phones that a neighbor alone tells; two people with gains and offsets of their own."""
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(4, 6))
    X, labels = [], []
    for name, n in zip(NAMES, (300, 250, 280, 310), strict=True):
        label = rng.integers(4, size=n)
        x = centers[np.roll(label, -1)] + 0.2 * rng.normal(size=(n, 6))
        X.append(x if name == "ann" else 3 * x - 7)
        labels.append(label)
    return X, labels


@pytest.fixture(scope="module")
def model(frames):
    X, labels = frames
    network = FrameNetwork(1, width=32, max_epochs=12, batch_size=64, noise=0.1, random_state=0)
    return network.fit(X, labels, speaker=NAMES)


def test_the_loss_is_the_cross_entropy_of_noisy_frames():
    torch.manual_seed(0)
    network = torch.nn.Linear(5, 3)
    x, z, y = torch.randn(7, 5), torch.randn(7, 5), torch.randn(7, 3).softmax(1)
    batch = SimpleNamespace(x=x, y=y, z=z)
    losses = frame_network._Loss(0.5)(SimpleNamespace(N=network), batch)
    assert list(losses) == ["N"]
    weight, bias = network.weight.detach(), network.bias.detach()
    likely = torch.softmax((x + 0.5 * z) @ weight.T + bias, 1)
    wanted = (
        -sum(float(y[i, j]) * float(likely[i, j].log()) for i in range(7) for j in range(3)) / 7
    )
    assert float(losses["N"].detach()) == pytest.approx(wanted, rel=1e-5)
    # The gradient by the logits is the difference of the probabilities.
    (found,) = torch.autograd.grad(losses["N"], network.bias)
    torch.testing.assert_close(found, (likely - y).mean(0))


def test_one_step_goes_down_that_gradient(frames, monkeypatch):
    X, labels = frames
    seen = []
    step = optim.Adam.step

    def noted(self, skip, lent):
        parts = [optim._cuts(p.grad, own)[1] for p, own in zip(self.vectors, lent, strict=True)]
        seen.append([x.clone() for own in parts for x in own])
        return step(self, skip, lent)

    monkeypatch.setattr(optim.Adam, "step", noted)
    calls, loss = [], frame_network._Loss.__call__

    def kept(self, networks, batch):
        calls.append((networks.N, SimpleNamespace(x=batch.x, y=batch.y, z=batch.z), self.noise))
        return loss(self, networks, batch)

    monkeypatch.setattr(frame_network._Loss, "__call__", kept)
    given = {"max_epochs": 1, "batch_size": 1140, "dropout": 0.0, "random_state": 1}
    FrameNetwork(1, width=8, **given).fit(X, labels, speaker=NAMES)
    _, batch, noise = calls[0]
    assert len(seen) == 1
    assert batch.z.std() == pytest.approx(1, abs=0.05)
    # Before the first step the network was a fresh one; its gradient by hand, from its own draw.
    with torch.random.fork_rng(devices=[]):
        rng = np.random.default_rng(1)
        rng.permutation(1140)
        torch.manual_seed(int(rng.integers(2**31)))
        fresh = frame_network._layers(18, 8, 4, 0.0)
    logits = fresh(batch.x + noise * batch.z)
    wanted = torch.nn.functional.cross_entropy(logits, batch.y.argmax(1))
    grads = torch.autograd.grad(wanted, list(fresh.parameters()))
    flat = torch.cat([g.flatten() for g in seen[0]])
    norm = torch.cat([g.flatten() for g in grads]).norm()
    assert flat.norm() == pytest.approx(float(norm), rel=1e-4)


def test_the_learning_rate_rises_and_falls(frames, monkeypatch):
    X, labels = frames
    rates, step = [], optim.Adam.step

    def noted(self, *given):
        rates.append(float(self.param_groups[0]["lr"]))
        return step(self, *given)

    monkeypatch.setattr(optim.Adam, "step", noted)
    clone(SMALL).set_params(max_epochs=8, batch_size=64, learning_rate=0.01).fit(X, labels)
    assert len(rates) == 8 * 18
    assert max(rates) == pytest.approx(0.01, rel=0.02)
    assert rates[0] < 0.004
    assert rates[-1] < 1e-4


def test_steps_are_recorded_and_the_same(frames, model, monkeypatch):
    X, labels = frames
    replays, replay = [], Tape.replay

    def counted(self):
        replays.append(self)
        return replay(self)

    monkeypatch.setattr(Tape, "replay", counted)
    recorded = clone(model).fit(X, labels, speaker=NAMES)
    assert len(replays) > 150  # of 216 steps
    replays.clear()
    monkeypatch.setenv("REPKIT_GRAPHS", "0")
    plain = clone(model).fit(X, labels, speaker=NAMES)
    assert not replays
    for a, b in zip(recorded.network_.parameters(), plain.network_.parameters(), strict=True):
        assert torch.equal(a, b)


def test_it_reads_the_neighbors_of_scaled_frames(frames, model):
    X, labels = frames
    found = model.transform(X, speaker=NAMES)
    right = np.mean(np.concatenate([p.argmax(1) for p in found]) == np.concatenate(labels))
    assert right > 0.95
    np.testing.assert_array_equal(model.classes_, np.arange(4))
    assert found[0].dtype == np.float32
    for p in found:
        np.testing.assert_allclose(p.sum(1), 1, atol=1e-5)
    # By hand: bob's frames by bob's moments, with a frame on either side, the ends repeated.
    own = np.concatenate(X[2:])
    z = (X[3] - own.mean(0)) / own.std(0)
    wide = np.hstack([np.concatenate([z[:1], z[:-1]]), z, np.concatenate([z[1:], z[-1:]])])
    with torch.no_grad():
        wanted = model.network_(torch.from_numpy(wide.astype(np.float32))).softmax(1).numpy()
    np.testing.assert_allclose(found[3], wanted, atol=1e-4)
    alone = clone(model).set_params(context=0).fit(X, labels, speaker=NAMES)
    guessed = np.concatenate([p.argmax(1) for p in alone.transform(X, speaker=NAMES)])
    assert np.mean(guessed == np.concatenate(labels)) < 0.5


def test_the_loss_falls(model):
    losses = model.history_["loss_N"]
    assert len(losses) == 12
    assert losses.iloc[-1] < 0.5 * losses.iloc[0]


def test_probabilities_teach_as_labels_do(frames, model):
    X, labels = frames
    hard = [np.eye(4)[y] for y in labels]
    same = clone(model).fit(X, hard, speaker=NAMES)
    for p, q in zip(same.transform(X), model.transform(X), strict=True):
        np.testing.assert_allclose(p, q, atol=1e-6)
    assert not hasattr(same, "classes_")
    again = clone(SMALL).fit(X, labels)
    assert len(again.classes_) == 4
    assert not hasattr(again.fit(X, hard), "classes_")
    # A share of each: what is learned comes near to it.
    soft = [0.6 * y + 0.1 for y in hard]
    found = clone(model).fit(X, soft, speaker=NAMES).transform(X, speaker=NAMES)
    gaps = np.abs(np.concatenate(found) - np.concatenate(soft)).mean()
    assert gaps < 0.1


def test_blocks_and_tables(frames, model, monkeypatch):
    X, labels = frames
    whole = model.transform(X, speaker=NAMES)
    monkeypatch.setattr(frame_table, "BLOCK", 64)
    for p, q in zip(whole, model.transform(X, speaker=NAMES), strict=True):
        np.testing.assert_allclose(p, q, atol=1e-5)
    table, label = np.concatenate(X), np.concatenate(labels)
    who = np.repeat(NAMES, [len(x) for x in X])
    single = clone(model).fit(table, label, speaker=who)
    assert single.transform(table, speaker=who).shape == (1140, 4)
    framed = single.set_output(transform="pandas").transform(table, speaker=who)
    assert list(framed.columns) == ["cluster0", "cluster1", "cluster2", "cluster3"]
    monkeypatch.setattr(frame_network, "MOST_FRAMES", 400)
    few = clone(model).set_params(max_epochs=40).fit(X, labels, speaker=NAMES)
    read = np.concatenate([p.argmax(1) for p in few.transform(X, speaker=NAMES)])
    assert np.mean(read == label) > 0.9
    assert few.history_["loss_N"][0] > model.history_["loss_N"][0]  # seven steps in an epoch


def test_who_speaks_may_be_unknown(frames, model):
    X, _ = frames
    for p, q in zip(model.transform(X), model.transform(X, speaker=[-1] * 4), strict=True):
        np.testing.assert_array_equal(p, q)
    # Those are scaled by the mean of all, and the deviation within the speakers of the fit.
    people = [np.concatenate(X[:2]), np.concatenate(X[2:])]
    within = np.average([x.var(0) for x in people], axis=0, weights=[len(x) for x in people])
    np.testing.assert_allclose(model.scaler_.mean_, np.concatenate(X).mean(0), rtol=1e-4)
    np.testing.assert_allclose(model.scaler_.var_, within, rtol=1e-4)
    both = model.transform(X[:1] + X[2:3], speaker=["ann", -1])
    np.testing.assert_allclose(both[1], model.transform(X[2:3])[0], atol=1e-6)


def test_seeds_pickles_and_the_generators_of_others(frames, model):
    X, labels = frames
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    again = clone(model).fit(X, labels, speaker=NAMES)
    assert torch.equal(before, torch.random.get_rng_state())
    copy = pickle.loads(pickle.dumps(again))
    other = clone(model).set_params(random_state=1).fit(X, labels, speaker=NAMES)
    wanted = model.transform(X)[0]
    np.testing.assert_array_equal(again.transform(X)[0], wanted)
    np.testing.assert_array_equal(copy.transform(X)[0], wanted)
    assert np.abs(other.transform(X)[0] - wanted).max() > 1e-3
    assert not any(p.requires_grad for p in model.network_.parameters())
    assert not model.network_.training


def test_a_fit_that_diverges_keeps_the_network_before(frames):
    X, labels = frames
    network = FrameNetwork(1, width=8, max_epochs=4, learning_rate=1e20, random_state=0)
    with pytest.warns(ConvergenceWarning, match="not finite in epoch .*lower learning_rate"):
        network.fit(X, labels, speaker=NAMES)
    assert all(torch.isfinite(p).all() for p in network.network_.parameters())


def test_what_it_cannot_learn(frames):
    X, labels = frames

    def fails(error, message, y=labels, X=X, speaker=None, **settings):
        with pytest.raises(error, match=message):
            clone(SMALL).set_params(**settings).fit(X, y, speaker=speaker)

    fails(ValueError, "requires y to be passed", y=None)
    fails(ValueError, r"y must have an array for each recording of X.*4 of \[300", y=labels[:3])
    fails(ValueError, "y must have an array for each recording", y=[x[:9] for x in labels])
    fails(ValueError, "y must have one label for each of the 1140 rows", y=np.zeros((9, 3)))
    junk = [np.full((len(x), 3), 0.5) for x in X]
    fails(ValueError, "y must hold probabilities, .* sum is off by 0.5", y=junk)
    junk = [np.tile([1.5, -0.5], (len(x), 1)) for x in X]
    fails(ValueError, "y must hold probabilities, not entries of -0.5", y=junk)
    fails(ValueError, "y contains NaN", y=[np.full((len(x), 2), np.nan) for x in X])
    fails(ValueError, "300 have none", y=[np.full(300, -1), *labels[1:]])
    fails(ValueError, "speaker must have one label for each of the 4", speaker=["ann"])
    fails(ValueError, "context must be an integer from 0", context=-1)
    fails(ValueError, "dropout must be", dropout=1.0)
    fails(ValueError, "noise must be", noise=-1)
    fails(ValueError, "width must be", width=0)
    fails(ValueError, "max_epochs must be", max_epochs=0)
    fails(ValueError, "batch_size must be", batch_size=1)
    fails(ValueError, "learning_rate must be", learning_rate=0)
    fails(ValueError, "device must be", device="nowhere")
