"""The fit that all estimators share: whole or not at all, its weights, rates and seeds."""

import copy
import itertools
import pickle
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch import nn

from repkit import (
    DANN,
    VAE,
    VAEGAN,
    BiGAN,
    InfoGAN,
    Optimizer,
    SpeechAutoencoder,
    TripleGAN,
    load,
)
from repkit.base.estimator import fitted_attributes
from repkit.base.generative import Generative
from repkit.datasets import make_speech
from repkit.engine.modes import norms
from repkit.engine.rng import Kind, generator_of, seed_of

# A few steps link no encoder and fill no code, and the estimators say so.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.random((48, 6)).astype(np.float32)
Y = np.arange(48) % 3
DOMAIN = np.where(np.arange(48) < 24, 1, -2)
SPEECH = make_speech(3, 3, 2, random_state=0)
COMMON = {"width": 16, "max_epochs": 3, "steps_per_epoch": 3, "random_state": 0}


@dataclass
class Case:
    """An estimator, what it is fitted on, and the parameter that is the network reading samples."""

    model: Any
    given: tuple = (X,)
    reader: str | None = "encoder"
    network: str = "E"

    def fresh(self, **params):
        return clone(self.model).set_params(**params)

    def fit(self, model=None):
        return (self.fresh() if model is None else model).fit(*self.given)

    def use(self, model):
        return model.transform(self.given[0])

    @cached_property
    def plain(self):
        """Fitted as it is; not to be changed."""
        return self.fit()

    @cached_property
    def start(self):
        """The networks before the first step."""
        return self.fit(self.fresh(learning_rate=0.0, max_epochs=1)).networks_

    def moved(self, **params):
        """Names of the parameters that an epoch moves."""
        end = self.fit(self.fresh(max_epochs=1, **params)).networks_
        return {
            f"{name}.{key}"
            for name, network in end.items()
            for key, value in network.named_parameters()
            if not torch.equal(value, self.start[name].get_parameter(key))
        }

    @cached_property
    def everything(self):
        """Names of all parameters that move."""
        return self.moved()


CASES = {
    "DANN": Case(DANN(**COMMON, batch_size=16), (X, Y, DOMAIN), "backbone", "F"),
    "BiGAN": Case(BiGAN(4, **COMMON, batch_size=16)),
    "InfoGAN": Case(
        InfoGAN((3,), 2, 4, **COMMON, batch_size=16, recalibrate=False),
        reader="discriminator",
        network="B",
    ),
    "VAE": Case(VAE(4, **COMMON, batch_size=16)),
    "VAEGAN": Case(VAEGAN(4, **COMMON, batch_size=16)),
    "TripleGAN": Case(
        TripleGAN(4, **COMMON, batch_size=(8, 16)), (X, Y), reader="classifier", network="C"
    ),
    "SpeechAutoencoder": Case(
        SpeechAutoencoder(
            6,
            4,
            sample_rate=8000,
            n_mels=20,
            prototypes=(3,),
            batch_size=(3, 2),
            **{**COMMON, "width": 24},
        ),
        (SPEECH.data, SPEECH.speaker),
        reader=None,
        network="Ep",
    ),
}


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


# Of images, of columns with names, of erased speakers.
NOT_ALWAYS = {
    "guarded_",
    "erasure_mean_",
    "frame_mean_",
    "frame_basis_",
    "frame_erasure_mean_",
    "frame_erasure_matrix_",
    "erasure_matrix_",
    "feature_names_in_",
    "n_features_in_",
    "pixels_",
}
# What is found once, when the networks are what they will be.
AT_THE_END = {"labels_", "scores_"}


def only(*names):
    return pytest.mark.parametrize("case", names, indirect=True)


GENERATIVE = [name for name, case in CASES.items() if isinstance(case.model, Generative)]
READING = [name for name, case in CASES.items() if case.reader]


def tensors(model):
    return {
        f"{name}.{key}": value.clone()
        for name, network in model.networks_.items()
        for key, value in network.state_dict().items()
    }


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(v, other[k]) for k, v in one.items())


class Looking:
    """A callback that a pickle of the model has no trace of."""

    def __init__(self, look):
        self.look = look

    def __call__(self, row):
        return self.look(row)

    def __reduce__(self):
        return tuple, ()


class Stopped(BaseException):
    """As a killed process would see it."""


def interrupt(error, epoch=2):
    def callback(row):
        if row["epoch"] == epoch:
            raise error

    return callback


# -------------------------------------------------------------------- whole or not at all


def test_nothing_is_fitted_before_the_training_has_ended(case):
    """Seen from a schedule, which is called in every step."""
    found = []
    model = case.fresh()

    def watch(progress):
        found.append(fitted_attributes(model))
        return 1.0

    case.fit(model.set_params(learning_rate_schedule=watch))
    assert found
    assert not any(found)
    first = fitted_attributes(model)
    assert {"networks_", "weights_", "history_", "n_iter_", "input_shape_", "device_"} <= set(first)
    assert set(model._fitted) - NOT_ALWAYS <= set(first)
    found.clear()
    case.fit(model)
    assert found
    for seen in found:
        assert seen.keys() == first.keys()
        assert all(seen[k] is first[k] for k in seen)


@pytest.mark.parametrize(
    ("place", "error"),
    [
        ("callback", KeyboardInterrupt),
        ("callback", Stopped),
        ("step", KeyboardInterrupt),
        ("step", ArithmeticError),
    ],
)
def test_a_fit_that_is_broken_off_leaves_nothing(case, place, error):
    """An ordinary error in a callback is told, and the training goes on: see the engine's tests."""

    def schedule(progress):
        if progress > 0.4:
            raise error
        return 1.0

    broken = {
        "callback": {"callbacks": interrupt(error)},
        "step": {"learning_rate_schedule": schedule},
    }
    model = case.fresh(**broken[place])
    with pytest.raises(error):
        case.fit(model)
    assert fitted_attributes(model) == {}
    # A model that was fitted before is that model still.
    model = case.fit()
    attributes, weights, out = fitted_attributes(model), tensors(model), case.use(model)
    model.set_params(**broken[place])
    with pytest.raises(error):
        case.fit(model)
    now = fitted_attributes(model)
    assert now.keys() == attributes.keys()
    assert all(now[k] is attributes[k] for k in now)
    assert same(tensors(model), weights)
    np.testing.assert_array_equal(case.use(model), out)


@pytest.mark.parametrize("warm_start", [False, True])
def test_a_second_fit_that_fails_leaves_the_first(case, warm_start):
    model = case.fit(case.fresh(warm_start=warm_start))
    attributes, weights, out = fitted_attributes(model), tensors(model), case.use(model)
    data, *others = case.given
    worse = np.array(data[0]) * np.nan
    bad = [worse, *data[1:]] if case.reader is None else np.vstack([worse, data[1:]])
    with pytest.raises(ValueError, match=r"NaN|not finite|nan"):
        model.fit(bad, *others)
    with pytest.raises((TypeError, ValueError), match="learning_rate"):
        case.fit(model.set_params(learning_rate=-1.0))
    model.set_params(learning_rate=1e-3, callbacks=interrupt(Stopped))
    with pytest.raises(Stopped):
        case.fit(model)
    now = fitted_attributes(model)
    assert now.keys() == attributes.keys()
    assert all(now[k] is attributes[k] for k in now)
    assert same(tensors(model), weights)
    np.testing.assert_array_equal(case.use(model), out)


def test_parameters_are_what_they_were(case):
    """The fit works on a copy: short forms stay short, schedules stay names."""
    model = case.fresh()
    before = model.get_params(deep=False)
    case.fit(model)
    after = model.get_params(deep=False)
    assert all(after[k] is before[k] for k in before)


# -------------------------------------------------------------------- inside a callback


@pytest.mark.parametrize("ema", [0.0, 0.5])
def test_inside_a_callback_it_is_the_model_that_would_come_of_it(case, ema, tmp_path):
    if ema and "ema" not in case.model.get_params():
        pytest.skip("no averaged weights")
    if not ema and isinstance(case.model, TripleGAN):
        ema = 0.9
    seen = []

    def look(row):
        assert not any(m.training for n in model.networks_.values() for m in n.modules())
        assert len(model.history_) == model.n_iter_ == row["epoch"]
        assert model.history_["epoch"].iloc[-1] == row["epoch"]
        out = case.use(model)
        if row["epoch"] == 2:
            copies = [pickle.loads(pickle.dumps(model)), copy.deepcopy(model)]
            model.save(tmp_path / "m.safetensors")
            for other in [*copies, load(tmp_path / "m.safetensors")]:
                np.testing.assert_allclose(case.use(other), out, atol=1e-6)
        seen.append((out, fitted_attributes(model).keys()))

    params = {"ema": ema} if "ema" in case.model.get_params() else {}
    model = case.fresh(**params).set_params(callbacks=Looking(look))
    case.fit(model)
    assert len(seen) == 3
    np.testing.assert_array_equal(seen[-1][0], case.use(model))
    assert seen[-1][1] == fitted_attributes(model).keys() - AT_THE_END
    assert np.abs(seen[0][0] - seen[-1][0]).max() > 0
    # Looking changes nothing.
    plain = case.fit(case.fresh(**params))
    assert same(tensors(plain), tensors(model))


def test_the_networks_of_a_callback_are_those_of_the_end(case):
    """One identity during a whole fit."""
    seen = []
    model = case.fresh()
    case.fit(model.set_params(callbacks=lambda row: seen.append(dict(model.networks_))))
    for networks in seen:
        assert networks.keys() == model.networks_.keys()
        assert all(networks[k] is model.networks_[k] for k in networks)


def test_a_true_answer_stops(case):
    model = case.fit(case.fresh(callbacks=lambda row: row["epoch"] == 2))
    assert model.n_iter_ == len(model.history_) == 2


# -------------------------------------------------------------------- what it holds


def bytes_of(model):
    return sum(v.numel() * v.element_size() for v in tensors(model).values())


def grown(case):
    """With networks of normal size, of which what else is held is a small part."""
    return case.fresh(width=600, max_epochs=2, steps_per_epoch=1)


@pytest.mark.parametrize("ema", [0.0, 0.5])
def test_a_pickle_holds_the_weights_once(case, ema):
    if ema and "ema" not in case.model.get_params():
        pytest.skip("no averaged weights")
    model = grown(case)
    if ema:
        model.set_params(ema=ema)
    inside = []
    model.set_params(callbacks=Looking(lambda row: inside.append(len(pickle.dumps(model)))))
    case.fit(model)
    size = bytes_of(model)
    assert size > 5e5
    assert len(pickle.dumps(model)) <= 1.1 * size
    assert max(inside) <= 1.1 * size


def test_a_pickle_with_a_selected_epoch_holds_them_twice():
    case = CASES["DANN"]
    model = case.fit(grown(case).set_params(select="entropy", backbone=wide))
    assert set(model.weights_) == {"last", "selected"}
    size = bytes_of(model)
    assert size > 1e6
    for which in ("selected", "last"):
        assert len(pickle.dumps(model.use(which))) <= 2.1 * size


def wide(shape_in, width):
    return nn.Sequential(nn.Linear(*shape_in, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())


def test_weights_in_use_are_those_of_the_networks(case):
    model = case.plain
    assert list(model.weights_) == ["last"]
    assert model.used_weights_ == "last"
    for name, network in model.networks_.items():
        for key, value in network.state_dict().items():
            assert value.data_ptr() == model.weights_["last"][name][key].data_ptr()


# -------------------------------------------------------------------- learning rates


def test_rates_by_network(case):
    names = {key.partition(".")[0] for key in case.everything}
    assert names >= {case.network}
    for name in sorted(names):
        found = case.moved(learning_rate={name: 0.0})
        assert {key for key in case.everything if not key.startswith(f"{name}.")} == found


def test_rates_by_the_path_of_a_module(case):
    """The longest name counts."""
    inner = ".".join(min(k for k in case.everything if k.startswith(case.network)).split(".")[:2])
    within = {k for k in case.everything if k.startswith(f"{inner}.")}
    others = dict.fromkeys(case.start, 0.0)
    assert case.moved(learning_rate={**others, inner: 1e-3}) == within
    assert case.moved(learning_rate={inner: 0.0}) == case.everything - within


def test_what_has_no_rate_keeps_the_default(case):
    default = {**(type(case.model)._rates or {"": type(case.model)().learning_rate})}
    alike = case.fit(
        case.fresh(learning_rate={name: default.get(name, default[""]) for name in case.start})
    )
    one = case.fit(case.fresh(learning_rate={case.network: default.get(case.network, default[""])}))
    for other in (alike, one):
        for key, value in tensors(case.plain).items():
            torch.testing.assert_close(tensors(other)[key], value, rtol=1e-5, atol=1e-6)


def test_rates_that_fit_no_network(case):
    for rates, message in (
        ({"Z": 1e-3}, "learning_rate has a rate for 'Z'; give the name of a network, one of"),
        ({f"{case.network}.nothing": 1e-3}, "learning_rate has a rate for .*nothing"),
        ({"": 1e-3}, "learning_rate has a rate for ''"),
        ({}, "learning_rate must be a number, or a dict"),
        ({case.network: -1}, r"learning_rate\['.*'\] must be a number of at least 0, not -1"),
        ({case.network: "fast"}, r"learning_rate\['.*'\] must be a number of at least 0"),
        ([1e-3], r"learning_rate must be a number .*not \[0.001\]"),
    ):
        model = case.fresh(learning_rate=rates)
        with pytest.raises((ValueError, TypeError), match=message):
            case.fit(model)
        assert not fitted_attributes(model)


def test_the_rates_of_the_docstring(case):
    """Its example names networks that the class has."""
    import ast
    import re

    (example,) = re.findall(r"A dict gives rates .*?``(\{.*?\})``", type(case.model).__doc__, re.S)
    rates = ast.literal_eval(example)
    assert len(rates) == 2
    case.fit(case.fresh(learning_rate=rates))


# -------------------------------------------------------------------- optimizers


def test_an_optimizer_of_torch(case):
    made = []

    def radam(groups, learning_rate):
        made.append(torch.optim.RAdam(groups, learning_rate))
        return made[-1]

    for optimizer in (torch.optim.RAdam, Optimizer(torch.optim.RAdam), Optimizer(radam)):
        model = case.fit(case.fresh(optimizer=optimizer))
        assert np.isfinite(case.use(model)).all()
        assert np.abs(case.use(model) - case.use(case.plain)).max() > 0
    assert made
    assert all(group["lr"] >= 0 for optimizer in made for group in optimizer.param_groups)


def test_the_optimizer_gets_a_group_for_each_rate(case):
    made = []

    def sgd(groups, learning_rate):
        made.append([dict(group) for group in groups])
        return torch.optim.SGD(groups, learning_rate)

    inner = max(k for k in case.everything if k.startswith(f"{case.network}.")).rpartition(".")[0]
    rates = {**dict.fromkeys(case.start, 1e-3), inner: 1e-5}
    model = case.fit(
        case.fresh(optimizer=sgd, learning_rate=rates, learning_rate_schedule="constant")
    )
    found = [group["lr"] for groups in made for group in groups]
    assert set(found) == {1e-3, 1e-5}
    small = sum(
        p.numel() for groups in made for g in groups if g["lr"] == 1e-5 for p in g["params"]
    )
    wanted = sum(
        p.numel()
        for p in model.networks_[case.network]
        .get_submodule(inner[len(case.network) + 1 :])
        .parameters()
    )
    # A vector has room between its parameters.
    assert wanted <= small < wanted + 64 * 8


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        ("lion", "optimizer must be 'adam', 'sgd' or a callable"),
        (3, "optimizer must be 'adam', 'sgd' or a callable"),
        (Optimizer("sgd", momentum=2), "optimizer__momentum must be a number of at least 0"),
    ],
    ids=str,
)
def test_optimizers_that_are_none(case, optimizer, message):
    with pytest.raises((ValueError, TypeError), match=message):
        case.fit(case.fresh(optimizer=optimizer))


# -------------------------------------------------------------------- frozen layers


def trunk():
    """A trunk with a layer that has statistics in its frozen half, and one in its trained half."""
    torch.manual_seed(1)
    frozen = nn.Sequential(nn.Linear(6, 12), nn.BatchNorm1d(12), nn.ReLU())
    with torch.no_grad():
        frozen[1].running_mean.fill_(0.25)
        frozen[1].running_var.fill_(0.5)
    frozen.requires_grad_(False)
    return nn.Sequential(frozen, nn.Linear(12, 12), nn.BatchNorm1d(12), nn.ReLU())


def halves(model, network):
    """Frozen half and trained half of the trunk, wherever they are in the network."""
    found = [
        m
        for m in model.networks_[network].modules()
        if isinstance(m, nn.Sequential)
        and len(m) == 4
        and isinstance(m[0], nn.Sequential)
        and len(m[0]) == 3
    ]
    assert len(found) == 1
    return found[0][0], found[0][1:]


@pytest.mark.parametrize("ema", [0.0, 0.5])
@pytest.mark.parametrize("recalibrate", [False, True])
@only(*READING)
def test_frozen_layers_stay_frozen(case, ema, recalibrate):
    params = case.model.get_params()
    if recalibrate and "recalibrate" not in params:
        pytest.skip("no recalibration")
    if not ema and isinstance(case.model, TripleGAN):
        pytest.skip("averages always")
    given = trunk()
    options = {case.reader: given, "ema": ema, "learning_rate": 1e-2}
    if recalibrate:
        options["recalibrate"] = True
    model = case.fit(case.fresh(**options))
    still, trained = halves(model, case.network)
    for key, value in still.state_dict().items():
        assert torch.equal(value, given[0].state_dict()[key]), key
    for key, value in trained.state_dict().items():
        # The average of a counter is that of the start.
        assert not torch.equal(value, given[1:].state_dict()[key]) or "tracked" in key, key
    assert not any(p.requires_grad for p in still.parameters())
    assert all(p.requires_grad for p in trained.parameters())
    # What the user gave is untouched.
    assert same(given.state_dict(), trunk().state_dict())
    # The frozen half also runs with its own statistics while training: a warm start keeps it.
    case.fit(model.set_params(warm_start=True))
    still, _ = halves(model, case.network)
    assert same(dict(still.state_dict()), dict(given[0].state_dict()))


@only(*READING)
def test_a_network_that_is_frozen_whole(case):
    given = trunk().requires_grad_(False)
    model = case.fit(case.fresh(**{case.reader: given, "learning_rate": 1e-2}))
    still, other = halves(model, case.network)
    assert same(dict(still.state_dict()), dict(given[0].state_dict()))
    assert same(dict(other.state_dict()), dict(given[1:].state_dict()))


# -------------------------------------------------------------------- random numbers


SEEDS = {
    "int": lambda: 7,
    "numpy's int": lambda: np.int32(7),
    "RandomState": lambda: np.random.RandomState(7),
    "Generator": lambda: np.random.default_rng(7),
}
every_seed = pytest.mark.parametrize("seed", SEEDS.values(), ids=SEEDS)


@every_seed
def test_seeds_of_a_fit(case, seed):
    one, other = (case.fit(case.fresh(random_state=seed(), max_epochs=1)) for _ in range(2))
    assert same(tensors(one), tensors(other))


def test_other_seeds_are_other_fits(case):
    seeds = (0, 1, None, None)
    found = [tensors(case.fit(case.fresh(random_state=s, max_epochs=1))) for s in seeds]
    assert not any(same(a, b) for a, b in itertools.combinations(found, 2))


@pytest.mark.parametrize("kind", ["RandomState", "Generator"])
def test_a_generator_moves_on(case, kind):
    """As in scikit-learn: two fits of one estimator differ, and a script as a whole repeats."""

    def twice():
        model = case.fresh(max_epochs=1)
        model.random_state = SEEDS[kind]()
        return [tensors(case.fit(model)) for _ in range(2)]

    first, again = twice(), twice()
    assert not same(*first)
    assert all(same(a, b) for a, b in zip(first, again, strict=True))


@every_seed
@only(*GENERATIVE)
def test_seeds_of_samples(case, seed):
    model = case.plain
    np.testing.assert_array_equal(
        model.sample(3, random_state=seed()), model.sample(3, random_state=seed())
    )
    given = seed()
    moves = not isinstance(given, int | np.integer)
    one, other = (model.sample(3, random_state=given) for _ in range(2))
    assert (one != other).any() == moves
    assert (model.sample(3, random_state=None) != model.sample(3)).any()


@every_seed
def test_seeds_of_a_traverse(seed):
    model = CASES["InfoGAN"].plain
    for code in ("category0", "continuous1"):
        one, other = (model.traverse(code, n_rows=2, random_state=seed()) for _ in range(2))
        np.testing.assert_array_equal(one, other)
        assert (model.traverse(code, n_rows=2) != one).any()
    assert len({r.tobytes() for r in model.traverse("category0", [1, 1], 4, seed())[:, 0]}) == 4


@pytest.mark.parametrize("wrong", [-1, 2**32, 1.5, "seed", True], ids=repr)
def test_seeds_that_are_none(case, wrong):
    message = "random_state must be an integer from 0 to"
    with pytest.raises(ValueError, match=message):
        case.fit(case.fresh(random_state=wrong))
    if isinstance(case.model, Generative):
        with pytest.raises(ValueError, match=message):
            case.plain.sample(2, random_state=wrong)


NUMBERS = [
    (),
    *itertools.product(range(12)),
    *itertools.product(range(12), repeat=2),
    *itertools.product((0, 1, 2), repeat=3),
    (100_000,),
    (2**31,),
    (0, 2**31),
]


def test_no_two_uses_share_a_seed():
    """Over kinds, numbers and fits; a zero at the end matters."""
    assert len({int(kind) for kind in Kind}) == len(Kind)
    found = {
        (seed, kind, numbers): seed_of(seed, kind, *numbers)
        for seed in (0, 1, 2, 2**31 - 2, 2**62)
        for kind in Kind
        for numbers in NUMBERS
    }
    assert len(set(found.values())) == len(found)
    assert all(0 <= value < 2**63 for value in found.values())
    assert len({seed_of(0, Kind.NOISE, *[0] * k) for k in range(6)}) == 6


def test_the_generators_of_two_uses_differ():
    drawn = {
        tuple(generator_of(3, kind, *numbers).integers(2**62, size=4))
        for kind in Kind
        for numbers in NUMBERS[:30]
    }
    assert len(drawn) == 30 * len(Kind)
    assert generator_of(3, Kind.MONITOR).random() == generator_of(3, Kind.MONITOR).random()


def test_no_norm_is_left_out():
    """What the frozen half is made of is what the engine looks for."""
    assert len(norms(trunk())) == 2
