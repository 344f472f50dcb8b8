"""What precision="auto" becomes: asked of a GPU, timed once on a CPU, and then kept."""

import json
import warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from repkit import DANN, VAE, VAEGAN, BiGAN, InfoGAN, SpeechAutoencoder, TripleGAN
from repkit.base import precision
from repkit.base.precision import precision_of
from repkit.engine.batches import Batches
from repkit.engine.engine import Engine
from repkit.engine.replay import FEW
from repkit.engine.rng import isolated_rng
from repkit.engine.system import Phase, System

CPU = torch.device("cpu")
X = np.random.default_rng(0).random((64, 1, 12, 12)).astype(np.float32)
Y, DOMAIN = np.arange(64) % 3, np.repeat([1, -2], 32)
OPTIONS = {"max_epochs": 2, "steps_per_epoch": 3, "width": 8, "random_state": 0, "device": "cpu"}


@pytest.fixture
def able(monkeypatch, tmp_path):
    """A CPU with instructions for bf16, a cache of its own; gives what a measurement says."""
    said = {"answer": True, "asked": 0}

    def measured(system, make):
        said["asked"] += 1
        return said["answer"]

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(precision, "_has_instructions", lambda: True)
    monkeypatch.setattr(precision, "is_quicker", measured)
    monkeypatch.setattr(precision, "_decided", {})
    return said


@pytest.fixture
def timed(able, monkeypatch):
    """The same, but steps are taken: fp32 is what is found unless another share is set."""
    monkeypatch.setattr(precision, "is_quicker", IS_QUICKER)
    monkeypatch.setattr(precision, "ENOUGH", 0.0)
    monkeypatch.setattr(precision, "QUICKER", 0.0)


IS_QUICKER = precision.is_quicker
HAS_INSTRUCTIONS = precision._has_instructions  # before there are fixtures


def of(network, batch=8, every=1, n=40):
    """A system of one network, batches for it, and what makes engines."""

    def loss(n, b):
        return {"F": n.F(b.x).square().mean()}

    system = System({"F": network}, {"F": ("F",)}, (Phase(loss, every=every),))
    x = torch.linspace(-1.0, 1.0, n * 16).view(n, 1, 4, 4)
    batches = Batches({"x": x}, [(np.arange(n), batch)], seed=0, device=CPU)

    def make(system, **options):
        factory = lambda p: torch.optim.SGD(p, 0.1)
        given = {"total_steps": 10, "seed": 0, **options}
        return Engine(system, batches, optimizer=factory, **given)

    return system, batches, make


def conv(width=2, kernel=3):
    return nn.Sequential(nn.Conv2d(1, width, kernel, padding=1), nn.Dropout(0.1))


def frozen():
    network = conv()
    network[0].bias.requires_grad_(False)
    return network


def auto(*given):
    return precision_of("auto", *given)


def kept(folder):
    return [json.loads(file.read_text()) for file in folder.glob("repkit/bf16/*.json")]


def test_what_is_given_and_what_has_no_convolutions(able):
    table = of(nn.Linear(4, 1))
    for answer in (True, False):
        able["answer"] = answer
        assert auto(*table) == "fp32"
        for given in ("fp32", "bf16"):
            assert precision_of(given, *table) == given
            assert precision_of(given, *of(conv())) == given
    assert able["asked"] == 0


@pytest.mark.parametrize(("answer", "expected"), [(True, "bf16"), (False, "fp32")])
def test_the_first_measurement_is_the_only_one(able, tmp_path, monkeypatch, answer, expected):
    able["answer"] = answer
    assert auto(*of(conv())) == expected
    able["answer"] = not answer  # chance, at another time
    assert auto(*of(conv())) == expected
    monkeypatch.setattr(precision, "_decided", {})  # in another process
    assert auto(*of(conv())) == expected
    assert able["asked"] == 1
    assert kept(tmp_path) == [answer]


@pytest.mark.parametrize(
    "other",
    ["repkit.base.precision._processor", "torch.__version__", "torch.get_num_threads"],
)
def test_a_measurement_is_of_a_machine(able, monkeypatch, other):
    auto(*of(conv()))
    monkeypatch.setattr(other, "other" if other.endswith("__") else lambda: "other")
    auto(*of(conv()))
    assert able["asked"] == 2


@pytest.mark.parametrize(
    ("able", "expected"),
    [({}, False), ({"avx512_bf16": True}, True), ({"avx512_bf16": False, "amx_bf16": True}, True)],
)
def test_instructions_for_it(monkeypatch, able, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able, raising=False)
    assert HAS_INSTRUCTIONS() is expected


def test_what_this_machine_is():
    assert HAS_INSTRUCTIONS() in (True, False)
    assert precision._processor()
    flags = Path("/proc/cpuinfo")
    if flags.exists() and not (words := {*flags.read_text().split()}) & {"avx512_bf16", "amx_bf16"}:
        assert HAS_INSTRUCTIONS() is False, words


def test_a_measurement_is_of_networks_and_batches_of_these_shapes(able, tmp_path):
    auto(*of(conv()))
    auto(*of(conv(), n=56))  # other data, and other weights
    assert able["asked"] == 1
    others = [
        of(conv(width=3)), of(conv(kernel=1)), of(conv(), batch=4), of(conv(), every=2),
        of(conv().append(nn.ReLU())), of(frozen()),
    ]  # fmt: skip
    for k, other in enumerate(others):
        for _ in range(2):
            auto(*other)
        assert able["asked"] == k + 2
    assert len(kept(tmp_path)) == len(others) + 1


def test_the_address_of_a_function_is_no_other_training(able):
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 3)

        def extra_repr(self):
            return f"<function at {hex(id(self))}>"

        def forward(self, x):
            return self.conv(x)

    first, second = Own(), Own()
    assert repr(first) != repr(second)
    for network in (first, second):
        auto(*of(network))
    assert able["asked"] == 1


def test_a_cpu_without_instructions_is_not_timed(able, monkeypatch):
    monkeypatch.setattr(precision, "_has_instructions", lambda: False)
    assert auto(*of(conv())) == "fp32"
    assert able["asked"] == 0


def test_other_devices(able, monkeypatch):
    system, _, make = of(conv())
    for generation, expected in (((7, 5), "fp32"), ((8, 0), "bf16"), ((9, 0), "bf16")):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device, g=generation: g)
        batches = SimpleNamespace(device=torch.device("cuda"))
        assert auto(system, batches, make) == expected
    for kind in ("meta", "mps"):
        assert auto(system, SimpleNamespace(device=torch.device(kind)), make) == "fp32"
    assert able["asked"] == 0


def test_another_process_may_have_been_first(able, tmp_path, monkeypatch):
    def measured(system, make):
        file.parent.mkdir(parents=True)
        file.write_text("false")
        return True

    system, batches, make = of(conv())
    file = precision._file(precision.name_of(system, batches))
    monkeypatch.setattr(precision, "is_quicker", measured)
    for _ in range(2):
        assert auto(system, batches, make) == "fp32"
    assert kept(tmp_path) == [False]


@pytest.mark.parametrize("content", ["", "junk", "[1]", "1", None])
def test_a_cache_that_is_of_no_use(able, tmp_path, monkeypatch, content):
    system, batches, make = of(conv())
    file = precision._file(precision.name_of(system, batches))
    if content is None:
        (tmp_path / "repkit").write_text("a file where the folder should be")
    else:
        file.parent.mkdir(parents=True)
        file.write_text(content)
    for _ in range(2):  # in this process, whatever becomes of the file
        assert auto(system, batches, make) == "bf16"
        assert able["asked"] == 1
    if content is not None:
        assert kept(tmp_path) == [True]


def test_no_home_at_all(able, monkeypatch):
    def none():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", none)
    for _ in range(2):
        assert auto(*of(conv())) == "bf16"
    assert able["asked"] == 1


ONE_BY_ONE, RECORDED = precision.LEAST


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({ONE_BY_ONE: (0.95, 1.0)}, False),
        ({ONE_BY_ONE: (0.0095, 0.01)}, False),
        ({ONE_BY_ONE: (0.85, 1.0)}, True),  # long steps: recording changes nothing
        ({ONE_BY_ONE: (0.0085, 0.01), RECORDED: (0.0072, 0.009)}, True),
        ({ONE_BY_ONE: (0.0085, 0.01), RECORDED: (0.0085, 0.009)}, False),
    ],
)
def test_short_steps_are_quicker_recorded_too(monkeypatch, found, expected):
    asked = []

    def shortest(system, make, length):
        asked.append(length)
        return found[length]

    monkeypatch.setattr(precision, "_shortest", shortest)
    system, _, make = of(conv())
    assert precision.is_quicker(system, make) is expected
    assert asked == list(found)
    assert ONE_BY_ONE < FEW <= RECORDED


def test_the_shortest_of_steps_in_turn(monkeypatch):
    """The first of each prepares kernels, and some are disturbed."""
    taken = {"fp32": iter([0.1, 5.0, 1.0, 1.0]), "bf16": iter([0.1, 0.5, 4.0, 0.6])}
    clock = SimpleNamespace(now=0.0)
    order = []

    class Stopped(Engine):
        def step(self):
            order.append(self.precision)
            clock.now += next(taken[self.precision])

    def make(system, **options):
        return Stopped(system, batches, optimizer=torch.optim.SGD, seed=0, **options)

    system, batches, _ = of(conv())
    monkeypatch.setattr(precision.time, "perf_counter", lambda: clock.now)
    monkeypatch.setattr(precision, "LEAST", {5: 4})
    assert precision._shortest(system, make, 5) == pytest.approx((0.5, 1.0))
    assert sorted(order[:2]) == ["bf16", "fp32"]
    assert order[:2] * 4 == order


def test_steps_are_those_of_a_training(timed):
    """In training mode, after what an epoch begins with; nothing is compiled for them."""
    seen = []

    class Seen(nn.Conv2d):
        def forward(self, x):
            seen.append((self.training, torch.is_autocast_enabled("cpu")))
            return super().forward(x)

    system, batches, _ = of(Seen(1, 1, 3))
    system = replace(system, refresh=lambda n, step: seen.append(step))

    def make(system, **options):
        assert options["compile"] is False
        seen.append("made")
        return Engine(
            system, batches, optimizer=lambda p: torch.optim.SGD(p, 0.1), seed=0, **options
        )

    system.networks["F"].eval()
    assert precision.is_quicker(system, make) is False
    assert seen[:4] == ["made", 0, "made", 0]
    assert set(seen[4:]) == {(True, False), (True, True)}


class Counting(nn.Module):
    """A network that does something else at every call, and keeps what no state_dict has."""

    def __init__(self, shape_in, width):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())
        self.last = nn.Linear(400, width)
        self.times = 0
        self.register_buffer("factor", torch.ones(()), persistent=False)

    def forward(self, x):
        self.times += 1
        self.factor = self.factor * 1.01
        return F.dropout(self.last(self.layers(x)) * self.factor / self.times, 0.1, self.training)


MODELS = [
    (DANN(Counting, batch_size=16, ema=0.9, **OPTIONS), {"y": Y, "sample_domain": DOMAIN}),
    (DANN("conv", target_labels=True, batch_size=16, **OPTIONS), {"y": Y, "sample_domain": DOMAIN}),
    (BiGAN(generator="dcgan", encoder="dcgan", discriminator="dcgan", **OPTIONS), {}),
    (VAE(encoder="dcgan", augment=nn.Dropout(0.1), **OPTIONS), {}),
    (VAEGAN(discriminator="dcgan", **OPTIONS), {}),
    (InfoGAN(generator="dcgan", discriminator="dcgan", **OPTIONS), {}),
    (TripleGAN(classifier="conv", **OPTIONS), {"y": np.where(np.arange(64) < 30, Y, -1)}),
]


@pytest.mark.parametrize(("model", "given"), MODELS, ids=lambda x: type(x).__name__)
@pytest.mark.parametrize(("share", "expected"), [(0.0, "fp32"), (1e9, "bf16")])
def test_a_training_is_the_same_after_it(timed, monkeypatch, model, given, share, expected):
    monkeypatch.setattr(precision, "QUICKER", share)
    states = []
    for choice in ("auto", expected):
        with isolated_rng(CPU), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.manual_seed(0)
            fitted = type(model)(**model.get_params(deep=False) | {"precision": choice})
            fitted.fit(X, **given)
            states.append([*fitted.networks_.items(), torch.rand(3), fitted.history_])
        assert fitted.precision_ == expected
        if choice == "auto":
            assert [*precision._decided.values()] == [expected == "bf16"]
    (*some, drawn, told), (*others, drawn_, told_) = states
    for (name, network), (_, other) in zip(some, others, strict=True):
        for key, value in network.state_dict().items():
            assert torch.equal(value, other.state_dict()[key]), f"{name}.{key}"
    assert torch.equal(drawn, drawn_)
    assert told.drop(columns="seconds").equals(told_.drop(columns="seconds"))


def test_speech_is_not_timed(able):
    waves = [np.random.default_rng(k).normal(size=4000) for k in range(8)]
    model = SpeechAutoencoder(max_epochs=1, width=12, random_state=0, device="cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert model.fit(waves, [0, 1] * 4).precision_ == "fp32"
    assert able["asked"] == 0


class Picky(nn.Module):
    """Takes no bf16, as an operation without a kernel for it."""

    def __init__(self, width=2):
        super().__init__()
        self.conv = nn.Conv2d(1, width, 3)

    def forward(self, x):
        found = self.conv(x)
        if found.dtype != torch.float32:
            raise RuntimeError("not implemented for 'BFloat16'")
        return found


def test_what_fails_in_bf16_is_trained_in_fp32(timed, monkeypatch):
    monkeypatch.setattr(precision, "QUICKER", 1e9)
    assert auto(*of(conv())) == "bf16"
    assert auto(*of(Picky())) == "fp32"


def test_what_fails_in_any_precision_fails_in_the_training(timed):
    def broken(shape_in, width):
        class Broken(nn.Conv2d):
            def forward(self, x):
                if self.training and torch.is_grad_enabled():
                    raise ZeroDivisionError("of the network")
                return super().forward(x).flatten(1)

        return Broken(1, 1, 3)

    with pytest.raises(ZeroDivisionError, match="of the network"):
        DANN(broken, batch_size=16, **OPTIONS).fit(X, Y, sample_domain=DOMAIN)


def test_it_can_be_interrupted(timed):
    class Interrupted(nn.Conv2d):
        def forward(self, x):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        auto(*of(Interrupted(1, 1, 3)))


def test_a_network_warns_once(timed):
    class Warning_(nn.Module):
        def __init__(self, shape_in, width):
            super().__init__()
            self.conv, self.warned = nn.Conv2d(1, 1, 3), False

        def forward(self, x):
            if self.training and not self.warned:
                self.warned = True
                warnings.warn("of the network", RuntimeWarning, stacklevel=2)
            return self.conv(x).flatten(1)

    model = DANN(Warning_, batch_size=16, **OPTIONS)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        model.fit(X, Y, sample_domain=DOMAIN)
    assert precision._decided
    assert sum("of the network" in str(w.message) for w in told) == 1
