"""A fit of nothing but defaults that will take long says so, once, and what takes less."""

import warnings

import numpy as np
import pytest

from repkit import DANN, VAEGAN, BiGAN, InfoGAN, SpeechAutoencoder, TripleGAN
from repkit.base import forecast

X = np.random.default_rng(0).random((300, 1, 16, 16)).astype(np.float32)
SLOW = {"width": 8, "device": "cpu", "random_state": 0}


@pytest.fixture
def slow(monkeypatch):
    """Steps of a minute each, after six of which Ctrl-C comes."""
    clock = {"now": 0.0}

    class Counted(forecast.Forecast):
        def on_step(self, done, of):
            clock["now"] += 60.0
            super().on_step(done, of)
            if clock["now"] % 360 == 0:
                raise KeyboardInterrupt

    monkeypatch.setattr("repkit.base.estimator.Forecast", Counted)
    monkeypatch.setattr(forecast, "perf_counter", lambda: clock["now"])


def told(model, *given):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        with pytest.raises(KeyboardInterrupt):
            model.fit(*given)
    return [w for w in found if "this fit will take" in str(w.message)]


@pytest.mark.parametrize(
    ("model", "names"),
    [
        (BiGAN(**SLOW), "less work is discriminator='mlp', encoder='mlp', generator='mlp'"),
        (BiGAN(**SLOW, encoder="mlp"), "less work is discriminator='mlp', generator='mlp'"),
        (VAEGAN(**SLOW, discriminator="mlp", generator="mlp"), "is encoder='mlp'; repkit"),
    ],
)
def test_long_and_unwatched(slow, model, names):
    (warning,) = told(model, X)
    assert warning.filename == __file__
    message = str(warning.message)
    assert names in message
    assert "verbose=1" in message
    assert "minutes on the CPU" in message
    of = model.get_params()["max_epochs"] * -(-285 // model.batch_size)
    assert f"about {of} minutes" in message
    assert f"({of:,} steps of 60 s)" in message


def test_tables_have_no_networks_for_images(slow):
    y = np.where(np.arange(300) < 30, np.arange(300) % 3, -1)
    (warning,) = told(TripleGAN(**SLOW), X.reshape(300, -1), y)
    assert "'mlp'" not in str(warning.message)


def test_all_trainings_count(slow):
    one, three = (told(InfoGAN(**SLOW, n_init=n), X)[0] for n in (1, 3))
    steps = [int(str(w.message).split("(")[1].split()[0].replace(",", "")) for w in (one, three)]
    assert steps[1] == 3 * steps[0]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_it_is_said_once(monkeypatch):
    clock = iter(range(0, 10**6, 60))
    monkeypatch.setattr(forecast, "perf_counter", lambda: float(next(clock)))
    with pytest.warns(UserWarning, match="this fit will take") as found:
        InfoGAN(**SLOW, n_init=2).fit(X[:40, 0, :2, :2].reshape(40, -1))
    assert sum("this fit will take" in str(w.message) for w in found) == 1


def test_epochs_that_fit_into_ten_minutes(slow):
    (warning,) = told(BiGAN(**SLOW), X[:40])
    assert "with max_epochs=10 it takes 10" in str(warning.message)


@pytest.mark.parametrize(
    "change",
    [
        {"max_epochs": 49},
        {"steps_per_epoch": 100},
        {"verbose": 1},
        {"callbacks": [print]},
        {"checkpoint": "run"},
    ],
)
def test_nothing_is_said_to_who_has_chosen_or_watches(change):
    assert not forecast.is_wanted(BiGAN(**SLOW, **change)._resolved())
    assert forecast.is_wanted(BiGAN(**SLOW)._resolved())
    assert forecast.is_wanted(
        DANN()._resolved().set_params(device=BiGAN(**SLOW)._resolved().device)
    )
    assert forecast.is_wanted(SpeechAutoencoder(device="cpu")._resolved())


def test_nothing_is_said_of_a_short_fit(monkeypatch):
    clock = iter(np.arange(0.0, 1e4, 0.05))
    monkeypatch.setattr(forecast, "perf_counter", lambda: next(clock))
    model = BiGAN(**SLOW)._resolved()
    model.input_shape_ = (1, 16, 16)
    watch = forecast.Forecast(model, 1)
    for done in range(1, 1000):
        watch.on_step(done, 3)
    assert watch.told


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_it_is_not_called_of_epochs(monkeypatch):
    """So that nothing is made ready for callbacks, and nothing is in the history."""
    monkeypatch.setattr(BiGAN, "_tell", lambda self, history: shown.append(history))
    rows = X[:40, 0, :4, :4].reshape(40, -1)
    for more, times in (({}, 1), ({"callbacks": [lambda row: None]}, 51)):
        shown = []
        with pytest.raises(AttributeError, match="history_"):
            BiGAN(**SLOW, **more).fit(rows)
        assert len(shown) == times
        assert "seconds" in shown[-1][0]
