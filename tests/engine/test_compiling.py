"""Networks compiled: every system learns the same with them, or says what is in the way."""

import logging
import pickle
import shutil
import warnings
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch import nn

from repkit import DANN, VAE, VAEGAN, BiGAN, DANNRegressor, InfoGAN, SpeechAutoencoder, TripleGAN
from repkit.base.parts import Discriminator
from repkit.dann import Divergence, Entropy
from repkit.datasets import make_speech
from repkit.engine import compiling
from repkit.engine import engine as engines
from repkit.engine.batches import Batches
from repkit.engine.compiling import calling, compiled, plain
from repkit.engine.system import Phase, System
from repkit.infogan.parts import Continuous
from repkit.losses import gradient_penalty
from repkit.speech.parts import Prototypes, SpeechEncoder, Swap

CPU = torch.device("cpu")
N = 24
X = np.random.default_rng(0).random((N, 4)).astype(np.float32)
Y, DOMAIN = np.arange(N) % 2, np.where(np.arange(N) < 12, 1, -1)
SPEECH = make_speech(2, 4, 3, random_state=0)
FAST = {"max_epochs": 1, "steps_per_epoch": 3, "random_state": 0, "precision": "fp32"}
SLOPE = Discriminator(r1=1.0)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Gradients as in a compiled network, without machine code; torch warns of its own code."""
    monkeypatch.setattr(compiling, "BACKEND", "aot_eager")
    tried = compiling._try
    tried.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    tried.cache_clear()


def table(cls, *args, **options):
    """An estimator of rows, and what it is fitted on."""
    given = {DANN: (X, Y, DOMAIN), DANNRegressor: (X, X[:, 0], DOMAIN), TripleGAN: (X, Y)}
    size = (4, 8) if cls is TripleGAN else 8
    return cls(*args, batch_size=size, width=8, **FAST, **options), given.get(cls, (X,))


def speech(adversary, *, encoder="conv", pooling="utterance", quantize=None, **options):
    model = SpeechAutoencoder(
        4, 4, sample_rate=8000, n_mels=20, batch_size=(2, 4), width=12, max_frames=40,
        adversary=adversary, encoder=SpeechEncoder(encoder, pooling=pooling),
        prototypes=Prototypes((3,), start=0.0, quantize=quantize, quantize_start=0.0),
        **FAST, **options,
    )  # fmt: skip
    return model, (SPEECH.data, SPEECH.speaker)


CASES = {
    "dann": table(DANN, "mlp"),
    "dann-alternating": table(DANN, "mlp", updates="alternating"),
    "dann-conditional": table(DANN, "mlp", conditional="entropy"),
    "dann-wasserstein": table(DANN, "mlp", divergence="wasserstein"),
    "dann-critic": table(DANN, "mlp", divergence=Divergence("wasserstein"), updates="alternating"),
    "dann-discrepancy": table(DANN, "mlp", divergence="discrepancy"),
    "dann-joint-mmd": table(DANN, "mlp", divergence="joint_mmd", updates="alternating"),
    "dann-teacher": table(DANN, "mlp", ema=0.9, consistency=1.0, domain_norm="separate"),
    "dann-smoothness": table(DANN, "mlp", entropy=Entropy(0.1, smoothness=1.0)),
    "regressor": table(DANNRegressor, "mlp", divergence="wasserstein"),
    "triplegan": table(TripleGAN, 2),
    "vae": table(VAE, 2),
    "bigan": table(BiGAN, 2, discriminator=SLOPE, unary=True, latent_cycle=1.0, data_cycle=1.0),
    "bigan-stochastic": table(BiGAN, 2, stochastic=True, prior="normal"),
    "vaegan": table(VAEGAN, 2, discriminator=SLOPE, ema=0.9),
    "vaegan-balanced": table(VAEGAN, 2, balanced_steps=True, pixel=1.0),
    "vaegan-three": table(VAEGAN, 2, discriminator_kind="three_way"),
    "infogan": table(InfoGAN, (3,), 2, discriminator=SLOPE),
    "infogan-contrastive": table(InfoGAN, (3,), Continuous(2, contrastive=1.0), updates="joint"),
    "infogan-spectral": table(InfoGAN, (3,), 2, discriminator_norm="spectral"),
    "speech": speech("classifier"),
    "speech-pair": speech("pair", encoder="gru"),
    "speech-wasserstein": speech("wasserstein", encoder="transformer"),
    "speech-frames": speech("wasserstein", pooling="frames"),
    "speech-both": speech("classifier", pooling="both", quantize=0.1, perturb=0.0),
    "speech-cycle": speech(None, swap=Swap(cycle=1.0)),
}


def fit(case, compile):
    model, data = CASES[case]
    return clone(model).set_params(compile=compile).fit(*data)


def history(model):
    return model.history_.drop(columns="seconds").to_numpy(float)


@contextmanager
def graphs(least, most=1000, *, anew=True):
    """So many are compiled inside; what was compiled before counts for nothing."""
    from torch._dynamo.utils import counters  # slow to import

    if anew:
        torch._dynamo.reset()
    before = counters["stats"]["unique_graphs"]
    yield
    assert least <= counters["stats"]["unique_graphs"] - before <= most


# -------------------------------------------------------------------- every system


class Never(torch.autograd.Function):
    """The identity, without a derivative."""

    @staticmethod
    def forward(ctx, x):
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient):
        raise RuntimeError("what is compiled has no second derivative")


class Once(torch.autograd.Function):
    """The identity, with a first derivative alone: torch's decorator gives no second, silently."""

    @staticmethod
    def forward(ctx, x):
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient):
        return Never.apply(gradient)


class LikeCompiled(nn.Module):
    """What a compiled network is to a phase, with none of the compiler's work."""

    def __init__(self, network):
        super().__init__()
        self._orig_mod = network

    def forward(self, *args, **kwargs):
        return self._orig_mod(*(self.once(x) for x in args), **kwargs)

    @staticmethod
    def once(x):
        return Once.apply(x) if isinstance(x, torch.Tensor) and x.is_floating_point() else x

    def __getattr__(self, name):
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self._orig_mod, name)


@pytest.mark.parametrize("case", CASES)
def test_a_phase_asks_no_more_of_a_network_than_a_compiled_one_has(case, monkeypatch):
    def stand_ins(networks, device):
        return {name: LikeCompiled(network) for name, network in networks.items()}

    monkeypatch.setattr(engines, "compiled", stand_ins)
    assert np.isfinite(history(fit(case, compile=True))).all()


def only(names, monkeypatch):
    """Have these networks compiled alone."""

    def some(networks, device):
        return compiled({name: networks[name] for name in names}, device)

    monkeypatch.setattr(engines, "compiled", some)


@pytest.mark.parametrize(
    ("case", "names"),
    [
        ("dann-wasserstein", ["C", "D"]),
        ("vaegan", ["D"]),
        ("infogan-contrastive", ["D"]),
        ("speech-frames", ["Df"]),
        ("speech-both", ["K"]),
    ],
)
def test_what_is_learned_is_the_same(case, names, monkeypatch):
    """Of the larger systems, those networks are compiled that several losses go through."""
    only(names, monkeypatch)
    with graphs(1 + len(names)):  # one of them is `_try`'s
        found = fit(case, compile=True)
    np.testing.assert_allclose(history(found), history(fit(case, compile=False)), atol=1e-4)
    assert not any(hasattr(m, "_orig_mod") for m in found.networks_.values())
    pickle.dumps(found)


# -------------------------------------------------------------------- the engine


def shared():
    """Two groups whose losses go through one call of B, and a penalty of B's slope."""
    torch.manual_seed(0)
    A, B = nn.Sequential(nn.Linear(4, 4), nn.Tanh()), nn.Sequential(nn.Linear(4, 3), nn.Sigmoid())

    def step(n, b):
        seen = n.B(n.A(b.x))
        slope = gradient_penalty(plain(n.B), b.x)
        return {"A": seen.square().sum(), "B": (1.0 - seen).square().sum() + slope}

    return System({"A": A, "B": B}, {"A": ("A",), "B": ("B",)}, (Phase(step),))


def trained(system, **options):
    """The weights after three steps."""
    batches = Batches({"x": torch.from_numpy(X)}, [(np.arange(N), 8)], seed=0, device=CPU)
    engine = engines.Engine(
        system,
        batches,
        optimizer=lambda p: torch.optim.SGD(p, 0.1),
        total_steps=3,
        seed=0,
        **options,
    )
    engine.train_mode()
    engine.begin_epoch()
    for _ in range(3):
        engine.step()
    return [p.detach() for m in system.networks.values() for p in m.parameters()]


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_machine_code_learns_the_same(monkeypatch):
    monkeypatch.setattr(compiling, "BACKEND", "inductor")
    monkeypatch.setattr(compiling, "_try", lambda device: None)
    only(["B"], monkeypatch)
    with graphs(1, 1):
        found = trained(shared(), compile=True)
    torch.testing.assert_close(found, trained(shared()))


def test_the_compiler_is_announced(caplog):
    with caplog.at_level(logging.INFO, "repkit"):
        trained(shared())
        assert not caplog.messages
        compiled(shared().networks, CPU)
    (line,) = caplog.messages
    assert line.startswith("compile=True: torch.compile works on the networks A, B in the first")


def test_a_refresh_reads_the_networks_themselves(monkeypatch):
    """Over other batches than those of the steps, each of which the compiler would work on."""
    monkeypatch.setattr(engines, "compiled", lambda networks, device: dict.fromkeys(networks, len))
    system, seen = shared(), []
    system = replace(system, phases=(), refresh=lambda n, step: seen.append(n.A))
    trained(system, compile=True)
    assert seen == [system.networks["A"]]


def test_what_was_compiled_elsewhere_is_not_taken():
    """There the first gradient may write over what the second one needs."""
    x = torch.ones(2, 4)
    networks = [nn.Sequential(nn.Linear(4, 2), nn.Tanh()) for _ in range(3)]
    with graphs(1, 1):
        torch.compile(networks[0], backend="aot_eager")(x)
    compiling._try(CPU)
    with calling(), graphs(1, 1, anew=False):
        compiled({"A": networks[1]}, CPU)["A"](x)
    with calling(), graphs(0, 0, anew=False):  # but what was compiled here is
        compiled({"A": networks[2]}, CPU)["A"](x)


def test_torch_has_its_own_settings_again():
    def settings():
        return torch._functorch.config.donated_buffer, torch._dynamo.config.cache_size_limit

    before = settings()
    for _ in range(2):
        with calling():
            assert settings() == (False, compiling.MOST_WAYS)
        assert settings() == before


# -------------------------------------------------------------------- refusals


def broken(graph, inputs):
    raise RuntimeError("no compiler of C++ found\nin any of the places\n")


def test_a_machine_that_cannot_compile(monkeypatch):
    monkeypatch.setattr(compiling, "BACKEND", broken)
    torch._dynamo.reset()
    message = (
        r"compile=True: torch.compile does not work here for device 'cpu' \(no compiler of C\+\+ "
        r"found\); install what it lacks, or set compile=False$"
    )
    model, data = CASES["vae"]
    for _ in range(2):
        with pytest.raises(ValueError, match=message):
            clone(model).set_params(compile=True).fit(*data)


def test_a_network_that_cannot_be_compiled(monkeypatch):
    compiling._try(CPU)
    monkeypatch.setattr(compiling, "BACKEND", broken)
    torch._dynamo.reset()
    message = (
        r"compile=True: torch.compile does not work on one of the networks \(no compiler of C\+\+ "
        r"found\); set compile=False$"
    )
    with pytest.raises(ValueError, match=message):
        trained(shared(), compile=True)
