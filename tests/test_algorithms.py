"""What holds for every algorithm, with all that can be added to it, on the networks of its class.

Each paper's own file has its gradients by hand; here stands what none of them needs to repeat.
"""

import warnings

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from torch.utils._python_dispatch import TorchDispatchMode

import repkit.base.estimator
from repkit import (
    DANN,
    VAE,
    VAEGAN,
    BiGAN,
    Consistency,
    Discriminator,
    InfoGAN,
    Optimizer,
    SpeechAutoencoder,
    TripleGAN,
)
from repkit.dann import Entropy, Updates
from repkit.datasets import make_speech
from repkit.infogan import Categorical, Continuous
from repkit.speech import Adversary, Prototypes, SpeechEncoder, Swap

from .updates import assert_modes, assert_resumes, assert_same, weights

pytestmark = pytest.mark.usefixtures("seeded")

STEPS = 4  # of an epoch
FAST = {"max_epochs": 40, "steps_per_epoch": STEPS, "random_state": 0, "device": "cpu"}


def jitter(x):
    """An augmentation of images in [0, 1] that draws from torch's generator."""
    return (x + 0.05 * torch.randn_like(x)).clamp(0, 1)


IMAGES = np.random.default_rng(0).integers(0, 256, (40, 1, 12, 12)).astype(np.uint8)
Y = np.arange(40) % 2
PARTLY = np.where(np.arange(40) < 12, Y, -1)
DOMAIN = np.repeat([1, -1], 20)
SPEECH = make_speech(3, 3, 4, random_state=0)
SMALL = {**FAST, "width": 32, "batch_size": 16, "augment": jitter}
R1 = Discriminator(loss="hinge", r1=0.5)

# Of each algorithm: models with everything on, and what they are fitted to.
CASES = {
    "DANN, joint": (
        DANN(
            **SMALL,
            ema=0.9,
            domain_norm="separate",
            conditional="entropy",
            entropy=Entropy(0.3, smoothness=0.1, confusion=0.2, prior="estimate"),
            consistency=Consistency(0.5, threshold=0.1),
            strong_augment=jitter,
            lam=0.5,
        ),
        (IMAGES, Y, DOMAIN),
    ),
    "DANN, alternating": (
        DANN(**SMALL, updates=Updates("alternating", d_steps=2), lam=0.5),
        (IMAGES, Y, DOMAIN),
    ),
    **{
        f"DANN, {kind}, {order}": (
            DANN(**SMALL, updates=Updates(order, d_steps=2), divergence=kind),
            (IMAGES, Y, DOMAIN),
        )
        for kind, order in (
            ("joint_mmd", "joint"),
            ("wasserstein", "joint"),
            ("wasserstein", "alternating"),
            ("discrepancy", "alternating"),
        )
    },
    "VAE": (VAE(4, beta=0.5, **SMALL), (IMAGES,)),
    "VAEGAN, two way": (
        VAEGAN(
            4, **SMALL, discriminator=Discriminator(r1=0.5), pixel=0.5, balanced_steps=True, ema=0.9
        ),
        (IMAGES,),
    ),
    "VAEGAN, three way": (VAEGAN(4, **SMALL, discriminator_kind="three_way"), (IMAGES,)),
    "BiGAN": (
        BiGAN(
            4,
            **SMALL,
            prior="normal",
            stochastic=True,
            unary=True,
            discriminator=R1,
            latent_cycle=0.5,
            data_cycle=0.5,
            ema=0.9,
        ),
        (IMAGES,),
    ),
    "InfoGAN, alternating": (
        InfoGAN(
            Categorical((3,), invariance=0.5),
            Continuous(2, variance="learned", contrastive=0.5),
            4,
            **SMALL,
            strong_augment=jitter,
            discriminator=R1,
            ema=0.9,
        ),
        (IMAGES,),
    ),
    "InfoGAN, joint": (InfoGAN((3,), 2, 4, **SMALL, updates="joint"), (IMAGES,)),
    "TripleGAN": (
        TripleGAN(
            4,
            **{**SMALL, "batch_size": (6, 10)},
            entropy=0.3,
            consistency=Consistency(0.5, threshold=0.1),
            adversary_start=0.0,
            strong_augment=jitter,
        ).set_params(pseudo_discriminative__gate=0.0),
        (IMAGES, PARTLY),
    ),
    **{
        f"speech, {kind}": (
            SpeechAutoencoder(
                **FAST,
                phonetic_dim=8,
                speaker_dim=4,
                sample_rate=8000,
                n_mels=20,
                width=24,
                batch_size=(3, 4),
                swap=Swap(cycle=0.5),
                adversary=Adversary(kind, warmup=0.0),
                prototypes=Prototypes(
                    (4,),
                    segment_size=3,
                    frame_size=5,
                    start=0.0,
                    quantize=0.1,
                    quantize_start=0.0,
                ),
                encoder=SpeechEncoder(pooling=pooling),
            ),
            (SPEECH.data, SPEECH.speaker),
        )
        for kind, pooling in (
            ("classifier", "both"),
            ("pair", "utterance"),
            ("wasserstein", "both"),
        )
    },
}
WITH_PENALTY = ["VAEGAN, two way", "BiGAN", "InfoGAN, alternating"]
every_case = pytest.mark.parametrize("case", CASES)


class Captured(BaseException):
    """In the place of the training."""


def engine_of(case, monkeypatch, given=None, **options):
    """The engine of a fit, about to take its first step."""
    model, data = CASES[case]
    found = []

    def capture(engine, **_):
        found.append(engine)
        raise Captured

    with monkeypatch.context() as patch:
        patch.setattr(repkit.base.estimator, "train", capture)
        with pytest.raises(Captured):
            type(model)(**{**model.get_params(deep=False), **options}).fit(*(given or data))
    (engine,) = found
    engine.train_mode()
    engine.begin_epoch()
    return engine


def take(engine, steps):
    for _ in range(steps):
        engine.step()
    return engine


@every_case
def test_every_weight_moves_and_every_term_is_finite(case, monkeypatch):
    engine = engine_of(case, monkeypatch)
    before = weights(engine.system.networks)
    take(engine, STEPS)
    for name, moved in weights(engine.system.networks).items():
        for old, new in zip(before[name], moved, strict=True):
            # The halves of a hinge loss may cancel in a last bias.
            assert new.ndim < 2 or not torch.equal(new, old), name
    means, bad = engine.read()
    assert bad is None
    assert {f"loss_{group}" for group in engine.groups} <= set(means)
    assert engine.broken() is None


@every_case
def test_a_step_leaves_modes_as_they_were(case, monkeypatch):
    engine = take(engine_of(case, monkeypatch), 2)
    assert_modes(engine.system.networks)
    assert not any(m.training for n in engine.averaged.values() for m in n.modules())
    assert all(p.grad is None for n in engine.averaged.values() for p in n.parameters())


@every_case
def test_a_run_goes_on_from_an_epochs_end_bit_by_bit(case, monkeypatch):
    def make():
        return engine_of(case, monkeypatch)

    assert_resumes(make)


@every_case
def test_bf16(case, monkeypatch):
    """The forward pass takes it; weights, statistics and what is logged stay float32."""
    engine = take(engine_of(case, monkeypatch, precision="bf16"), STEPS)
    means, bad = engine.read()
    assert bad is None
    assert set(means) == set(take(engine_of(case, monkeypatch), STEPS).read()[0])
    for network in engine.system.networks.values():
        for tensor in network.state_dict().values():
            assert tensor.dtype in (torch.float32, torch.int64)
    assert engine.broken() is None


@every_case
@pytest.mark.parametrize("kind", ["adam", "sgd"])
def test_what_a_loss_does_not_reach_stays(case, kind, monkeypatch):
    """In every phase of every step, with momentum and weight decay."""
    engine = engine_of(case, monkeypatch, optimizer=Optimizer(kind, weight_decay=0.1))
    calls = []

    def watched(group):
        plain = group.set_gradients

        def set_gradients(gradients):
            calls.append((group, [k for k, g in enumerate(gradients) if g is None]))
            return plain(gradients)

        return set_gradients

    for group in engine.groups.values():
        monkeypatch.setattr(group, "set_gradients", watched(group))
    run = engine._run

    def running(number, phase, batch, called):
        calls.clear()
        before = {id(g): [p.detach().clone() for p in g.parameters] for g in engine.groups.values()}
        found = run(number, phase, batch, called)
        for group, unreached in calls:
            for k in unreached:
                assert torch.equal(group.parameters[k], before[id(group)][k])
        stepped = {id(group) for group, _ in calls}
        for group in engine.groups.values():
            if id(group) not in stepped:
                assert all(map(torch.equal, group.parameters, before[id(group)]))
        return found

    monkeypatch.setattr(engine, "_run", running)
    take(engine, 3)


class NoSync(TorchDispatchMode):
    """Fails on whatever makes the host wait for a value: item, bool, float, nonzero, ..."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = str(func)
        waits = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal.")
        assert not any(k in name for k in waits), name
        return func(*args, **(kwargs or {}))


@every_case
def test_no_step_waits_for_the_device(case, monkeypatch):
    engine = take(engine_of(case, monkeypatch), 1)  # batches of an epoch are made
    with NoSync():
        take(engine, STEPS - 1)


@pytest.mark.parametrize("case", [k for k, (_, data) in CASES.items() if data[0] is IMAGES])
def test_images_of_bytes_are_scaled(case, monkeypatch):
    """Bytes train as the same images in [0, 1] do, to the last bit."""
    _, (_, *rest) = CASES[case]
    scaled = torch.from_numpy(IMAGES).float().div(255.0).numpy()
    states = [
        take(engine_of(case, monkeypatch, (X, *rest)), 3).state_dict() for X in (IMAGES, scaled)
    ]
    assert_same(states[0], states[1])


@pytest.mark.parametrize("case", WITH_PENALTY)
def test_the_gradient_penalty_comes_at_every_so_many_steps(case, monkeypatch):
    engine = engine_of(case, monkeypatch)
    seen = []
    for step in range(33):
        engine.begin_epoch()
        engine.step()
        if "r1" in engine.read()[0]:
            seen.append(step)
    assert seen == [0, 16, 32]


@pytest.mark.parametrize("case", WITH_PENALTY)
def test_the_penaltys_step_is_proportional_to_its_weight_without_adam(case, monkeypatch):
    """As the docstring of ``r1`` says; Adam's own step has a length whatever the weight."""

    def length(kind, r1):
        given = CASES[case][0].discriminator
        engine = engine_of(
            case,
            monkeypatch,
            optimizer=Optimizer(kind, momentum=0.0),
            learning_rate=1e-3,
            learning_rate_schedule="constant",
            discriminator=Discriminator(loss=given.loss, r1=r1),
        )
        start = [p.clone() for p in engine.groups["D"].parameters]
        (phase,) = [n for n, p in enumerate(engine.system.phases) if p.every == 16]
        batch = engine.batches.at(0)
        engine._draw_noise(batch)
        for optimizer in engine.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = 1e-3
        if engine.system.forward is not None:
            engine.system.forward(engine.networks, batch)
        engine._run(phase, engine.system.phases[phase], batch, engine.networks)
        moved = zip(engine.groups["D"].parameters, start, strict=True)
        return torch.cat([(p - old).flatten() for p, old in moved]).norm().item()

    assert length("sgd", 1.0) == pytest.approx(2 * length("sgd", 0.5), rel=0.02)
    assert length("adam", 1.0) == pytest.approx(length("adam", 0.5), rel=0.2)


@every_case
def test_one_seed_one_result(case):
    """Whatever the state of the caller's generators, which are given back."""
    model, data = CASES[case]
    found = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        np.random.seed(seed)
        before = torch.get_rng_state(), np.random.get_state()[1].copy()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            short = {"max_epochs": 2, "steps_per_epoch": 2}
            fitted = type(model)(**{**model.get_params(deep=False), **short}).fit(*data)
        assert torch.equal(torch.get_rng_state(), before[0])
        assert (np.random.get_state()[1] == before[1]).all()
        found.append(fitted.weights_)
    assert_same(found[0], found[1])
