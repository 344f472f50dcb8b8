"""Fits that end early, by a signal or an error, and fits that go on from where another ended."""

import json
import math
import os
import re
import signal
import warnings

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from repkit import VAE, load
from repkit.base.estimator import fitted_attributes

from .small import models, run_alone

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

STEPS, EPOCHS = 2, 4
COMMON = {
    "width": 12,
    "max_epochs": EPOCHS,
    "steps_per_epoch": STEPS,
    "random_state": 0,
    "device": "cpu",
}
MODELS = models(COMMON, DANN={"ema": 0.9}, TripleGAN={"adversary_start": 0.0})
every_model = pytest.mark.parametrize("name", MODELS)


@pytest.fixture(autouse=True)
def _ctrl_c_interrupts():
    """What a shell starts in the background ignores the signal; Python then leaves it at that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def fit(name, **params):
    model, data = MODELS[name]
    return clone(model).set_params(**params).fit(*data)


def content(model):
    """All that a fit leaves, but for the time that it took."""
    return (
        {
            (which, network, key): value.clone()
            for which, states in model.weights_.items()
            for network, state in states.items()
            for key, value in state.items()
        },
        model.history_.drop(columns="seconds"),
    )


def assert_same(model, other):
    (weights, history), (expected, expected_history) = content(model), content(other)
    torch.testing.assert_close(weights, expected, rtol=0, atol=0)
    assert history.equals(expected_history)


class Interrupt:
    """A schedule of the learning rate that ends the fit at a step, from 2 on, else constant."""

    def __init__(self, step, how):
        self.place, self.how = (step - 1) / (EPOCHS * STEPS), how

    def __call__(self, progress):
        if math.isclose(progress, self.place):
            self.how()
        return 1.0


def ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)


def fails():
    raise ArithmeticError("of the user's schedule")


# -------------------------------------------------------------------- SIGINT, and errors


@every_model
@pytest.mark.parametrize("how", [ctrl_c, fails])
def test_what_is_left_of_a_fit_that_ends_early(name, how, tmp_path):
    """The estimator is as before: live, saved and by its history; the error says how to go on."""
    error = KeyboardInterrupt if how is ctrl_c else ArithmeticError
    model, data = MODELS[name]
    model = clone(model)
    for said, step, folder in (
        (f"after 1 of {EPOCHS} epochs; .* starts anew; with checkpoint=<folder>", STEPS + 2, None),
        ("after 0 of .* starts anew: no epoch was finished", 2, tmp_path / "a"),
        ("after 2 of .* goes on from epoch 2, in checkpoint='.*b'", 2 * STEPS + 1, tmp_path / "b"),
    ):
        model.set_params(checkpoint=folder, learning_rate_schedule=Interrupt(step, how))
        with pytest.raises(error) as ended:
            model.fit(*data)
        assert fitted_attributes(model) == {}
        (note,) = ended.value.__notes__
        assert "\n" not in note
        assert note.startswith("fit was broken off")
        assert re.search(said, note), note


@every_model
@pytest.mark.parametrize("how", [ctrl_c, fails])
@pytest.mark.parametrize("warm_start", [False, True])
def test_a_refit_that_ends_early_leaves_the_model_of_before(name, how, warm_start, tmp_path):
    model, data = fit(name, warm_start=warm_start), MODELS[name][1]
    attributes, before, out = fitted_attributes(model), content(model), model.transform(data[0])
    model.save(tmp_path / "before")
    params = model.fitted_params_
    model.set_params(learning_rate_schedule=Interrupt(STEPS + 1, how), random_state=5)
    with pytest.raises((KeyboardInterrupt, ArithmeticError)):
        model.fit(*data)
    now = fitted_attributes(model)
    assert now.keys() == attributes.keys()
    assert all(now[k] is attributes[k] for k in now)
    assert model.fitted_params_ is params
    torch.testing.assert_close(content(model)[0], before[0], rtol=0, atol=0)
    np.testing.assert_array_equal(model.transform(data[0]), out)
    model.save(tmp_path / "after")
    assert (tmp_path / "after").read_bytes() == (tmp_path / "before").read_bytes()
    assert_same(load(tmp_path / "after"), model)
    assert not any(m.training for n in model.networks_.values() for m in n.modules())


def test_an_interrupt_inside_a_callback_leaves_the_model_of_before():
    """Where the estimator wears the networks that are being trained."""
    model, data = fit("VAE"), MODELS["VAE"][1]
    attributes, seen = fitted_attributes(model), []

    def look(row):
        seen.append(model.networks_ is not attributes["networks_"])
        ctrl_c()

    with pytest.raises(KeyboardInterrupt):
        model.set_params(callbacks=look).fit(*data)
    assert seen == [True]
    assert all(fitted_attributes(model)[k] is v for k, v in attributes.items())


def test_an_interrupt_while_the_model_of_before_is_put_back(monkeypatch):
    """Ctrl-C at the end of a callback, before the estimator wears its own again."""
    model, data = fit("VAE"), MODELS["VAE"][1]
    attributes, wear, calls = fitted_attributes(model), VAE._wear, []

    def interrupted(self, fitted):
        calls.append(fitted)
        if len(calls) == 2:
            raise KeyboardInterrupt
        wear(self, fitted)

    monkeypatch.setattr(VAE, "_wear", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.set_params(callbacks=[lambda row: None]).fit(*data)
    assert len(calls) == 3
    assert all(fitted_attributes(model)[k] is v for k, v in attributes.items())


# -------------------------------------------------------------------- SIGKILL

KILLED = """
import os, signal, sys, json, hashlib, traceback, importlib, contextlib
from pathlib import Path
sys.path.insert(0, ".")
import torch
torch.set_num_threads(1)
from tests.base.test_interrupted import EPOCHS, MODELS, content, fit

root = Path(sys.argv[1])


def die(row):
    if row["epoch"] == 3:
        os.kill(os.getpid(), signal.SIGKILL)


def child(name, **params):
    pid = os.fork()
    if pid:
        return os.waitpid(pid, 0)[1]
    try:
        weights, history = content(fit(name, **params))
        digest = hashlib.sha256(history.to_csv().encode())
        for key in sorted(weights):
            digest.update(weights[key].numpy().tobytes())
        (root / "modules").write_text("\\n".join(sys.modules))
        (root / "digest").write_text(digest.hexdigest())
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def result(name, **params):
    assert child(name, **params) == 0
    return (root / "digest").read_text()


child("SpeechAutoencoder")  # what a fit imports, once for all children
for module in (root / "modules").read_text().splitlines():
    with contextlib.suppress(Exception):
        importlib.import_module(module)
report = {}
for name in MODELS:
    status = child(name, checkpoint=root / name, callbacks=die)
    report[name] = {
        "killed": os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL,
        "epochs": sorted(int(p.stem[6:]) for p in (root / name).rglob("*.ckpt")),
        "same": result(name, checkpoint=root / name) == result(name),
    }
print(json.dumps(report))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_killed_fit_goes_on_bit_for_bit(tmp_path):
    """Each of them; at random moments, and while a checkpoint is written: test_estimator."""
    report = json.loads(run_alone(KILLED, tmp_path))
    assert report == {name: {"killed": True, "epochs": [1, 2], "same": True} for name in MODELS}


# -------------------------------------------------------------------- more epochs

# Nothing in these runs depends on their length.
FREE = {
    "DANN": {"lam": 0.5},
    "TripleGAN": {"consistency": 0.0, "learning_rate_schedule": "constant"},
    "BiGAN": {"learning_rate_schedule": "constant"},
    "InfoGAN": {},
    "SpeechAutoencoder": {
        "prototypes": None,
        "adversary__warmup": 0.0,
        "learning_rate_schedule": "constant",
    },
}
# In these, this does.
BOUND = {
    "DANN": ({}, "lam"),
    "TripleGAN": ({}, "learning_rate_schedule"),
    "VAE": ({"learning_rate_schedule": "constant", "steps_per_epoch": 12}, "kl_weight"),
    "VAEGAN": ({"steps_per_epoch": 12}, "kl_weight, learning_rate_schedule"),
    "BiGAN": ({"learning_rate_schedule": "dann"}, "learning_rate_schedule"),
    "InfoGAN": ({"learning_rate_schedule": "half"}, "learning_rate_schedule"),
    "SpeechAutoencoder": ({"learning_rate_schedule": "constant"}, "lam, prototypes"),
}


def epochs_of(name, **params):
    rows = []
    return fit(name, callbacks=rows.append, **params), [row["epoch"] for row in rows]


@pytest.mark.parametrize("name", FREE)
def test_more_epochs_are_the_longer_run_where_nothing_depends_on_the_length(name, tmp_path):
    whole = fit(name, **FREE[name])
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        short, _ = epochs_of(name, max_epochs=2, checkpoint=tmp_path, **FREE[name])
        longer, epochs = epochs_of(name, checkpoint=tmp_path, **FREE[name])
    assert epochs == [3, 4]
    assert_same(longer, whole)
    # The shorter one is still there, and so is the longer.
    for model, length in ((short, 2), (longer, EPOCHS)):
        again, epochs = epochs_of(name, max_epochs=length, checkpoint=tmp_path, **FREE[name])
        assert epochs == []
        assert_same(again, model)
    _, epochs = epochs_of(name, max_epochs=1, checkpoint=tmp_path, **FREE[name])
    assert epochs == [1]  # fewer start anew


@pytest.mark.parametrize("name", BOUND)
def test_more_epochs_where_something_depends_on_the_length(name, tmp_path):
    """The training goes on, and it is said that it is another one than that of the whole length."""
    params, words = BOUND[name]
    short = fit(name, max_epochs=2, checkpoint=tmp_path, **params)
    with pytest.warns(UserWarning, match="goes on from epoch 2 of a run of 2 epochs") as told:
        longer, epochs = epochs_of(name, checkpoint=tmp_path, **params)
    (told,) = [w for w in told if "goes on from" in str(w.message)]
    assert f"({words})" in str(told.message)
    assert told.filename == __file__
    assert epochs == [3, 4]
    columns = short.history_.columns.drop("seconds")
    assert longer.history_[columns][:2].equals(short.history_[columns])
    assert np.isfinite(longer.transform(MODELS[name][1][0])).all()


def test_a_run_that_was_stopped_goes_on(tmp_path):
    stopped = fit("DANN", lam=0.5, checkpoint=tmp_path, max_epochs=3, callbacks=lambda r: True)
    assert stopped.n_iter_ == 1
    again = fit("DANN", lam=0.5, checkpoint=tmp_path, max_epochs=3)
    assert again.n_iter_ == 1  # of the same length, it has ended
    longer = fit("DANN", lam=0.5, checkpoint=tmp_path)
    assert longer.n_iter_ == EPOCHS
    torch.testing.assert_close(content(longer)[0], content(fit("DANN", lam=0.5))[0], rtol=0, atol=0)


def test_the_longest_of_several_is_gone_on_from(tmp_path):
    for length in (1, 3, 2):
        fit("DANN", lam=0.5, checkpoint=tmp_path, max_epochs=length)
    assert epochs_of("DANN", lam=0.5, checkpoint=tmp_path)[1] == [4]
    for path in [*tmp_path.glob("*-4/*.ckpt"), *tmp_path.glob("*-3/*.ckpt")]:
        path.write_bytes(b"torn") if path.parent.name.endswith("-3") else path.unlink()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        _, epochs = epochs_of("DANN", lam=0.5, checkpoint=tmp_path)
    assert epochs == [3, 4]
    assert "are damaged" in str(told[-1].message)
    assert "this fit does not go on from it" in str(told[-1].message)
