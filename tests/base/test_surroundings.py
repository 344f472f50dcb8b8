"""What torch has that belongs to the caller changes no result, and is as it was afterwards."""

import copy
import pickle
import threading
import warnings
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from joblib import Parallel, delayed
from sklearn.base import clone
from torch import nn

from repkit import load
from repkit.base.surroundings import LOCK, in_settled, settled

from .small import X, models

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

COMMON = {"width": 12, "max_epochs": 2, "steps_per_epoch": 2, "random_state": 0}
MODELS = models(COMMON, TripleGAN={"batch_size": (6, 12)})
every_model = pytest.mark.parametrize("name", MODELS)


@contextmanager
def default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def all_at_once():
    with torch.device("meta"), torch.inference_mode(), default_dtype(torch.float64):
        yield


AROUND = {
    "all": all_at_once,
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "float64": lambda: default_dtype(torch.float64),
    "bfloat16": lambda: default_dtype(torch.bfloat16),
    "meta": lambda: torch.device("meta"),
}
every_around = pytest.mark.parametrize("around", AROUND.values(), ids=AROUND)
# Every class in all of them at once, and one in each alone.
each = pytest.mark.parametrize(
    ("name", "around"),
    [(n, a) for n in MODELS for a in AROUND.values() if n == "VAE" or a is all_at_once],
)


def state():
    """What a caller would notice."""
    return (
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.is_autocast_enabled("cpu"),
    )


def fit(name, **params):
    model, given = MODELS[name]
    return clone(model).set_params(**params).fit(*given)


PLAIN: dict = {}


def plain(name):
    """Fitted with nothing around it, and its codes."""
    if name not in PLAIN:
        model = fit(name)
        PLAIN[name] = model, model.transform(MODELS[name][1][0])
    return PLAIN[name]


def assert_usable(model):
    """Its weights are leaves of float32 on the CPU, whatever was around the fit."""
    for network in model.networks_.values():
        for p in network.parameters():
            assert (p.device.type, p.dtype) == ("cpu", torch.float32)
            assert not p.is_inference()


# -------------------------------------------------------------------- inside of what a caller set


@each
def test_a_fit_inside_is_the_fit(name, around):
    _, codes = plain(name)
    with around():
        before = state()
        inside = fit(name)
        assert state() == before
        found = inside.transform(MODELS[name][1][0])
        assert state() == before
    np.testing.assert_array_equal(found, codes)
    np.testing.assert_array_equal(inside.transform(MODELS[name][1][0]), codes)
    assert_usable(inside)
    # And it can go on: as the start of another fit, with gradients.
    inside.set_params(warm_start=True, max_epochs=1).fit(*MODELS[name][1])


@each
def test_a_model_from_outside_is_used_inside(name, around, tmp_path):
    model, codes = plain(name)
    data = MODELS[name][1][0]
    model.save(tmp_path / "m")
    with around():
        before = state()
        np.testing.assert_array_equal(model.transform(data), codes)
        opened = load(tmp_path / "m")  # no good file is blamed
        unpickled = pickle.loads(pickle.dumps(model))
        copied = copy.deepcopy(model)
        np.testing.assert_array_equal(opened.transform(data), codes)
        if hasattr(model, "sample"):
            found = model.sample(3, random_state=0)
        if hasattr(model, "predict_proba"):
            shares = model.predict_proba(data)
        assert state() == before
    if hasattr(model, "sample"):
        np.testing.assert_array_equal(found, model.sample(3, random_state=0))
    if hasattr(model, "predict_proba"):
        np.testing.assert_array_equal(shares, model.predict_proba(data))
    for kept in (opened, unpickled, copied):
        np.testing.assert_array_equal(kept.transform(data), codes)
        assert_usable(kept)
    unpickled.set_params(warm_start=True, max_epochs=1).fit(*MODELS[name][1])


@pytest.mark.parametrize("around", [all_at_once, torch.no_grad])
@pytest.mark.parametrize("name", ["DANN", "VAE", "SpeechAutoencoder"])
def test_the_state_is_given_back_after_an_error(name, around):
    model, given = MODELS[name]

    def breaks(progress):
        if progress > 0.4:
            raise ArithmeticError("on purpose")
        return 1.0

    for wrong, error in (
        ({"learning_rate_schedule": breaks}, ArithmeticError),
        ({"max_epochs": 0}, ValueError),
    ):
        with around():
            before = state()
            with pytest.raises(error):
                clone(model).set_params(**wrong).fit(*given)
            assert state() == before
            with pytest.raises(ValueError):
                plain(name)[0].transform(given[0][:0])
            assert state() == before
    assert not LOCK._is_owned()


@every_around
def test_the_users_own_code_runs_in_float32_with_gradients(around):
    seen = []

    def backbone(shape, width):
        seen.append(("build", *state()[:4]))
        return nn.Sequential(nn.Linear(*shape, width), nn.ReLU())

    def augment(x):
        seen.append(("augment", *state()[:4], x.dtype))
        return x

    with around():
        fit("DANN", backbone=backbone, augment=augment)
    assert {s[0] for s in seen} == {"build", "augment"}
    for _, grad, inference, dtype, device, *more in seen:
        assert grad
        assert not inference
        assert (dtype, device.type) == (torch.float32, "cpu")
        assert more in ([], [torch.float32])


# -------------------------------------------------------------------- threads


@pytest.mark.parametrize("name", ["DANN", "TripleGAN", "VAE", "BiGAN"])
def test_fits_in_threads_are_the_fit(name):
    _, codes = plain(name)
    torch.manual_seed(5)
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
    tasks = (delayed(lambda: fit(name).transform(X))() for _ in range(6))
    for found in Parallel(n_jobs=3, backend="threading")(tasks):
        np.testing.assert_array_equal(found, codes)
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_before)


def test_fits_and_uses_in_threads_beside_each_other():
    """With spectral norm, whose cache torch shares between threads."""
    triple, codes = plain("TripleGAN")
    samples = triple.sample(5, random_state=0)
    tasks = [
        *[delayed(lambda: fit("TripleGAN").transform(X))] * 3,
        *[delayed(lambda: triple.transform(X))] * 3,
    ]
    for found in Parallel(n_jobs=3, backend="threading")(task() for task in tasks):
        np.testing.assert_array_equal(found, codes)
    np.testing.assert_array_equal(triple.sample(5, random_state=0), samples)


def test_a_thread_with_another_default_type():
    found = []

    def work():
        with torch.no_grad():
            found.append(fit("VAE").transform(X))

    with default_dtype(torch.float64):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert torch.get_default_dtype() == torch.float64
    np.testing.assert_array_equal(found[0], plain("VAE")[1])


def test_an_error_in_one_thread_stops_no_other():
    def task(k):
        if k == 1:
            with pytest.raises(ValueError, match="max_epochs"):
                fit("VAE", max_epochs=0)
            return plain("VAE")[1]
        return fit("VAE").transform(X)

    plain("VAE")
    for found in Parallel(n_jobs=2, backend="threading")(delayed(task)(k) for k in range(4)):
        np.testing.assert_array_equal(found, plain("VAE")[1])


@every_model
def test_random_generators_of_the_caller_are_left_alone(name):
    torch.manual_seed(7)
    np.random.seed(7)
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
    model = fit(name)
    model.transform(MODELS[name][1][0])
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_before)


# -------------------------------------------------------------------- the function


@every_around
def test_settled_inside_and_as_before_after(around):
    with around():
        before = state()
        with settled():
            assert state()[:2] == (True, False)
            assert torch.get_default_dtype() == torch.float32
            assert torch.empty(1).device.type == "cpu"
            assert (torch.ones(1, requires_grad=True) * 2).requires_grad
        assert state() == before
        with pytest.raises(KeyError), settled():
            raise KeyError
        assert state() == before


def test_settled_in_settled():
    with default_dtype(torch.float64):
        with settled(), settled():
            assert torch.get_default_dtype() == torch.float32
        assert torch.get_default_dtype() == torch.float64


def test_a_decorated_function_is_the_function():
    @in_settled
    def f(a, *, b=2):
        """Words."""
        assert LOCK._is_owned()
        return a, b, torch.is_grad_enabled()

    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("error")
        assert f(1, b=3) == (1, 3, True)
    assert (f.__name__, f.__doc__) == ("f", "Words.")
    assert not LOCK._is_owned()


def test_one_at_a_time():
    inside, order = threading.Event(), []

    def second():
        inside.wait()
        with settled():
            order.append("second")

    other = threading.Thread(target=second)
    other.start()
    with settled():
        inside.set()
        other.join(0.2)
        order.append("first")
    other.join()
    assert order == ["first", "second"]
