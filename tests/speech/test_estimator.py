"""`SpeechAutoencoder`: its parameters, what it is fitted to, and going on."""

import copy
import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from torch import nn

import repkit
from repkit import Optimizer, SpeechAutoencoder
from repkit.base.estimator import Estimator, fitted_attributes
from repkit.speech import (
    Adversary,
    Prototypes,
    SpeakerLoss,
    SpeechEncoder,
    SpeechFrames,
    Swap,
)

OPTIONS = {
    "plain": {"prototypes": None, "perturb": 0.0, "adversary": None},
    "gru": {"encoder": "gru"},
    "transformer": {"encoder": "transformer"},
    "pair": {
        "adversary": "pair",
        "encoder": SpeechEncoder(content_norm="instance"),
        "swap": False,
    },
    "wasserstein": {"adversary": Adversary("wasserstein", d_steps=1), "erase": "leace"},
    "mfcc": {"front_end": SpeechFrames("mfcc", deltas=True), "encoder": SpeechEncoder(stack=3)},
    "quantized": {
        "prototypes": Prototypes((4,), segment_size=3, quantize=0.1),
        "swap": Swap(cycle=0.3, reconstruction_share=0.3),
        "erase": "leace",
    },
    "short": {"max_frames": 7, "encoder": SpeechEncoder(n_segments=1), "erase": "subspace"},
    "centroids": {
        "speaker_loss": SpeakerLoss(kind="centroid", voices=1.0),
        "encoder": SpeechEncoder(statistics=True),
    },
    "no speaker loss": {"speaker_loss": 0.0, "optimizer": "sgd", "erase": "regression"},
}


def equal(one, other):
    np.testing.assert_array_equal(one, other)


# -------------------------------------------------------------------- what comes out


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_every_option_fits_and_keeps_its_promises(small, data, options, tmp_path):
    options = {"max_epochs": 2, **options}
    model = small(**options).fit(data.data, data.speaker)
    Z = model.transform(data.data)
    assert Z.shape == (48, 12)
    assert Z.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(Z[:, 8:], axis=1), 1, rtol=1e-5)
    # Alone, turned around, and from a file: the same.
    np.testing.assert_allclose(model.transform(data.data[7:8]), Z[7:8], rtol=0, atol=1e-5)
    np.testing.assert_allclose(model.transform(data.data[::-1])[::-1], Z, rtol=0, atol=1e-5)
    model.save(tmp_path / "model.safetensors")
    equal(repkit.load(tmp_path / "model.safetensors").transform(data.data), Z)
    frames = model.reconstruct(data.data[:3])
    width = 39 if "front_end" in options else 20
    for x, wave in zip(frames, data.data, strict=False):
        assert x.shape == (1 + len(wave) // 80, width)
    assert np.isfinite(model.to_waveform(frames[0], n_iter=2)).all()
    again = small(**options).fit(data.data, data.speaker)
    equal(again.transform(data.data), Z)


def test_history(fitted):
    assert {
        "loss_A",
        "loss_D",
        "reconstruction_loss",
        "speaker_loss",
        "prototype_loss",
        "d_accuracy",
        "lam",
    } <= set(fitted.history_)
    assert fitted.n_iter_ == 3
    assert fitted.input_shape_ == (20,)


def test_erasure(small, fitted, data):
    """The means of the training speakers are one; without it they are not."""
    p = fitted.transform_phonetic(data.data)
    means = np.stack([p[data.speaker == k].mean(0) for k in range(3)])
    np.testing.assert_allclose(means, means[:1].repeat(3, 0), atol=1e-4)
    for erase in ("subspace", "regression"):
        p, s = np.split(small(erase=erase).fit_transform(data.data, data.speaker), [8], axis=1)
        if erase == "subspace":  # of three means, two directions hold all, and one 95 % or not
            means = np.stack([p[data.speaker == k].mean(0) for k in range(3)])
            assert np.linalg.svd(means - means.mean(0))[1].max() < 0.5
        else:
            assert np.abs((p - p.mean(0)).T @ (s - s.mean(0))).max() < 1e-3
    model = pickle.loads(pickle.dumps(fitted)).set_params(erase=None).fit(data.data, data.speaker)
    plain = model.transform_phonetic(data.data)
    means = np.stack([plain[data.speaker == k].mean(0) for k in range(3)])
    assert np.abs(means - means.mean(0)).max() > 0.05


# -------------------------------------------------------------------- parts

# Short form, long form, and a parameter of the part that is not its first.
PARTS = {
    "front_end": ("mfcc", SpeechFrames("mfcc"), "deltas", True),
    "encoder": ("gru", SpeechEncoder("gru"), "stack", 3),
    "swap": (False, Swap(False), "cycle", 0.2),
    "speaker_loss": (0.5, SpeakerLoss(0.5), "margin", 1.5),
    "adversary": ("pair", Adversary("pair"), "weight", 0.1),
    "prototypes": ((3, 5), Prototypes((3, 5)), "segment_size", 0),
    "optimizer": ("sgd", Optimizer("sgd"), "momentum", 0.5),
}


@pytest.fixture(scope="module")
def whole(small, data):
    return small(max_epochs=1, prototypes=(20, 40)).fit(data.data, data.speaker)


@pytest.mark.parametrize("name", PARTS)
def test_the_short_form_is_the_part(small, data, whole, name):
    short, long, inner, value = PARTS[name]
    options = {"max_epochs": 1, "prototypes": (20, 40)}
    one, other = (
        small(**{**options, name: form}).fit(data.data, data.speaker).transform(data.data)
        for form in (short, long)
    )
    equal(one, other)
    assert not np.array_equal(one, whole.transform(data.data))
    changed = small(**{**options, name: short}).set_params(**{f"{name}__{inner}": value})
    expected = type(long)(short, **{inner: value})
    assert repr(getattr(changed, name)) == repr(expected)
    assert changed.get_params()[f"{name}__{inner}"] == value
    # What stands behind the first parameter is heard as well.
    again = changed.fit(data.data, data.speaker).transform(data.data)
    assert not np.array_equal(again, one)
    assert ("cycle_loss" in changed.history_) == (inner == "cycle")


def test_parts_are_cloned_and_the_defaults_stay(small):
    model = small(adversary="pair", prototypes=(3, 5))
    model.set_params(adversary__weight=0.1, optimizer__momentum=0.5)
    other = clone(model)
    assert repr(other.get_params(deep=False)) == repr(model.get_params(deep=False))
    other.set_params(adversary__weight=0.9)
    assert model.adversary.weight == 0.1
    assert repr(SpeechAutoencoder().optimizer) == "Optimizer('adam', weight_decay=0.0001)"
    assert "adversary=Adversary('pair', weight=0.1)" in repr(model)
    none = small(adversary=None).set_params(adversary__kind="pair")
    assert repr(none.adversary) == "Adversary('pair')"
    with pytest.raises(ValueError, match="Adversary has no parameter 'weigth'"):
        model.set_params(adversary__weigth=0.1)


def test_a_grid_over_the_parameter_of_a_part(small, data):
    table = np.stack([x[:1500] for x in data.data])
    model = make_pipeline(small(output="speaker", max_epochs=1), LogisticRegression())
    grid = {"speechautoencoder__adversary__weight": [0.0, 0.5]}
    search = GridSearchCV(model, grid, cv=2, error_score="raise").fit(table, data.speaker)
    best = search.best_estimator_[0].adversary
    assert isinstance(best, Adversary)
    assert best.weight in grid["speechautoencoder__adversary__weight"]
    assert model[0].adversary == "classifier"


def test_the_weight_of_a_part_is_used(small, data):
    for options, column in (
        ({"adversary": Adversary(weight=0.8, warmup=0.0)}, "lam"),
        ({"adversary": Adversary(weight=0.8, warmup=0.0, start=0.5)}, "lam"),
    ):
        found = small(**options, max_epochs=2).fit(data.data, data.speaker).history_[column]
        late = options["adversary"].start
        assert found.tolist() == pytest.approx([0.0 if late else 0.8, 0.8], rel=1e-6)


def test_no_more_parameters_than_a_page_holds():
    assert len(SpeechAutoencoder().get_params(deep=False)) <= 30
    names = list(SpeechAutoencoder().get_params())
    plain = {"phonetic_dim", "speaker_dim", "sample_rate", "n_mels", "width", "max_epochs"}
    assert plain < set(names)
    assert SpeechAutoencoder(8, 4).get_params()["speaker_dim"] == 4


def test_levels_of_inheritance():
    levels = SpeechAutoencoder.__mro__
    between = [c for c in levels[1 : levels.index(Estimator) + 1] if issubclass(c, Estimator)]
    assert len(between) <= 3


def test_the_adversary_has_a_momentum_of_its_own(small, data):
    model = small(optimizer=Optimizer(momentum=0.8))._resolved()
    read = model._read(data.data, data.speaker, None)
    networks = model._networks()
    problem = model._problem(read, networks, torch.device("cpu"), 0)
    engine = model._engine(problem, 0)
    assert {k: o.own["beta1"] for k, o in engine.optimizers.items()} == {"A": 0.8, "D": 0.5}


# -------------------------------------------------------------------- fitted as a whole


def same(before, after):
    """The very objects, or equal ones."""
    return before.keys() == after.keys() and all(before[k] is after[k] for k in before)


class Stop(BaseException):  # an error of a callback would not end the training
    pass


@pytest.mark.filterwarnings("ignore:no utterance is of known speaker")
def test_a_fit_that_fails_changes_nothing(small, data):
    def stop(row):
        assert np.isfinite(model.transform(data.data)).all()  # while it trains, it can be used
        raise Stop

    model = small(erase="leace")
    with pytest.raises(Stop):
        model.set_params(callbacks=stop).fit(data.data, data.speaker)
    assert fitted_attributes(model) == {}
    model.set_params(callbacks=None).fit(data.data, data.speaker)
    before, Z = fitted_attributes(model), model.transform(data.data)
    assert {"erasure_mean_", "kind_", "mean_", "speakers_", "weights_"} < before.keys()
    state = copy.deepcopy(model.networks_["Ep"].state_dict())
    for change, X, y in (
        ({"callbacks": stop}, data.data[:24], data.speaker[:24]),
        ({"encoder": "lstm"}, data.data, data.speaker),
        ({}, data.data, data.speaker[:3]),
        ({}, [np.ones((5, 7))] * 4, None),
    ):
        failing = {"callbacks": None, "encoder": "conv", **change}
        if y is None:
            failing["callbacks"] = stop_at_once
        with pytest.raises((Stop, ValueError)):
            model.set_params(**failing).fit(X, y)
        assert same(before, fitted_attributes(model))
    model.set_params(callbacks=None, encoder="conv")
    equal(model.transform(data.data), Z)
    for key, value in model.networks_["Ep"].state_dict().items():
        assert torch.equal(value, state[key])


def stop_at_once(row):
    raise Stop


def test_a_second_fit_leaves_nothing_of_the_first(small, data, fitted):
    model = pickle.loads(pickle.dumps(fitted)).set_params(erase=None)
    table = np.stack([x[:1500] for x in data.data])
    model.fit(table, data.speaker)
    assert model.n_features_in_ == 1500
    assert not hasattr(model, "erasure_matrix_")
    model.fit(data.data, data.speaker)
    assert not hasattr(model, "n_features_in_")


def test_weights_are_held_once(small, data):
    model = small(max_epochs=1, width=96).fit(data.data, data.speaker)
    tensors = [t for n in model.networks_.values() for t in n.state_dict().values()]
    size = sum(t.numel() * t.element_size() for t in tensors)
    assert len(pickle.dumps(model)) < 1.1 * size + 20_000


# -------------------------------------------------------------------- who speaks


def test_labels_of_any_kind(small, data, fitted):
    names = np.array(["ann", "bob", "cid"])
    model = small(erase="leace").fit(data.data, names[data.speaker])
    assert model.speakers_.tolist() == ["ann", "bob", "cid"]
    equal(model.transform(data.data), fitted.transform(data.data))


def test_unknown_speakers(small, data):
    y = data.speaker.copy()
    y[::3] = -1
    model = small(erase="leace").fit(data.data, y)
    assert model.speakers_.tolist() == [0, 1, 2]
    other = y.astype(str)
    equal(
        small(erase="leace").fit(data.data, other).transform(data.data), model.transform(data.data)
    )
    with pytest.warns(UserWarning, match="no utterance is of known speaker: the speaker losses"):
        alone = small().fit(data.data)
    assert "D" not in alone.networks_
    assert "speaker_loss" not in alone.history_


def test_pairs(small, data):
    pairs = [(0, 1), (1, 2), (20, 21), (21, 22), (22, 23)]
    labels = np.full(48, -1)
    labels[:3], labels[20:24] = 0, 1
    model = small().fit(data.data, pairs=pairs)
    assert len(model.speakers_) == 2
    equal(model.transform(data.data), small().fit(data.data, labels).transform(data.data))


def test_sub_folders_are_speakers(small, data, tmp_path):
    """Of a folder without y; with y or pairs they say nothing."""
    from scipy.io import wavfile

    for k, wave in enumerate(data.data[:36]):
        folder = tmp_path / ("ann", "bob", "cid")[data.speaker[k]] / "chapter"
        folder.mkdir(parents=True, exist_ok=True)
        wavfile.write(folder / f"{k:02d}.wav", 8000, wave)
    model = small(max_epochs=1).fit(tmp_path)
    assert model.speakers_.tolist() == ["ann", "bob", "cid"]
    assert {"speaker_loss", "prototype_loss", "d_accuracy"} < set(model.history_)
    files = sorted(tmp_path.rglob("*.wav"))
    names = [path.parent.parent.name for path in files]
    equal(model.transform(files), small(max_epochs=1).fit(files, names).transform(files))
    with pytest.warns(UserWarning, match="no utterance is of known speaker"):
        assert small(max_epochs=1).fit(files).speakers_.tolist() == []
    with pytest.warns(UserWarning, match="no utterance is of known speaker"):
        assert small(max_epochs=1).fit(str(tmp_path), np.full(36, -1)).speakers_.tolist() == []
    assert len(small(max_epochs=1).fit(tmp_path, pairs=[(0, 1), (2, 3)]).speakers_) == 2
    with pytest.warns(UserWarning, match="no utterance is of known speaker"):
        assert small(max_epochs=1).fit(tmp_path / "ann").speakers_.tolist() == []


def test_one_speaker_and_speakers_of_one_utterance(small, data):
    with pytest.warns(UserWarning, match="all utterances of known speaker are of one, 0"):
        model = small(erase="leace").fit(data.data[:8], np.zeros(8, int))
    assert set(model.networks_) == {"Ep", "Es", "R"}
    assert np.isfinite(model.transform(data.data[:8])).all()
    model = small().fit(data.data[::6], np.arange(8))
    assert np.isfinite(model.transform(data.data)).all()


# -------------------------------------------------------------------- what goes in


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output": "words"}, "output must be one of"),
        ({"width": 25}, "width must be a multiple of 12, not 25"),
        ({"width": 0}, "width must be an integer of at least 12, not 0"),
        ({"batch_size": (3, 1)}, "batch_size must be a tuple of 2 integers of at least 2"),
        ({"batch_size": (3, 3, 3)}, "batch_size must be a tuple of 2 integers of at least 2"),
        ({"speaker_loss": SpeakerLoss(margin=3.0)}, "speaker_loss__margin must be a number"),
        ({"speaker_loss": -1.0}, "speaker_loss must be a number of at least 0"),
        ({"prototypes": (1,)}, "prototypes must be a tuple of integers of at least 2"),
        ({"prototypes": 20}, "prototypes must be a tuple of integers of at least 2"),
        ({"prototypes": Prototypes(segment_size=1)}, "prototypes__segment_size must be 0, for no"),
        (
            {"prototypes": Prototypes((), quantize=0.1)},
            "prototypes__quantize=0.1 needs clusters of whole vectors",
        ),
        ({"prototypes": Prototypes(quantize=0.0)}, "prototypes__quantize must be a number of at"),
        ({"swap": Swap(reconstruction_share=1.2)}, "swap__reconstruction_share must be a number"),
        ({"swap": "yes"}, "swap must be one of"),
        ({"adversary": "wgan"}, "adversary must be one of"),
        ({"adversary": Adversary(d_steps=0)}, "adversary__d_steps must be an integer of at least"),
        ({"encoder": "lstm"}, "encoder='lstm' is not known"),
        ({"encoder": SpeechEncoder(stack=0)}, "encoder__stack must be an integer of at least 1"),
        ({"front_end": "wav2vec"}, "front_end must be one of"),
        ({"erase": True}, "erase must be one of"),
        ({"perturb": -0.5}, "perturb must be a number of at least 0 and at most 3"),
    ],
)
def test_parameters_are_checked(small, data, options, message):
    with pytest.raises(ValueError, match=message):
        small(**options).fit(data.data, data.speaker)


def test_nothing_is_quantized_before_there_are_clusters(small, data):
    given = Prototypes((4,), quantize=0.1, quantize_start=0.0, start=0.5)
    model = small(prototypes=given, max_epochs=2).fit(data.data, data.speaker)
    assert model.history_["quantized"].tolist() == [0, 1]
    assert given.quantize_start == 0.0


def test_clusters_of_whole_vectors_and_of_segments(small, data):
    for given, heads in (
        (Prototypes((), segment_size=3), [(3, 2), (3, 3), (3, 3)]),
        (Prototypes((4,), segment_size=0), [(4, 8)]),
        (Prototypes((), segment_size=0), []),
        (None, []),
    ):
        model = small(prototypes=given, max_epochs=1).fit(data.data, data.speaker)
        assert ("K" in model.networks_) == ("prototype_loss" in model.history_) == bool(heads)
        if heads:
            found = [tuple(d.shape) for d in model.networks_["K"].directions]
            assert sorted(found) == heads


def test_quantizing_is_what_the_fit_was_told(small, data):
    """What is set later counts from the next fit on."""
    model = small(max_epochs=1).fit(data.data, data.speaker)
    plain = model.transform_phonetic(data.data)
    equal(model.set_params(prototypes__quantize=0.1).transform_phonetic(data.data), plain)
    model.fit(data.data, data.speaker)
    assert np.abs(model.transform_phonetic(data.data) - plain).max() > 1e-2


def test_too_few_labels_or_utterances(small, data):
    with pytest.raises(ValueError, match="y must have one label for each of the 48"):
        small().fit(data.data, [0, 1, 2])
    with pytest.raises(ValueError, match="minimum of 2"):
        small().fit(data.data[:1], [0])


# -------------------------------------------------------------------- keeping and going on


class Own(nn.Module):
    def __init__(self, n_in, width):
        super().__init__()
        self.linear = nn.Linear(n_in, width)

    def forward(self, x, mask):
        return self.linear(x).relu()


def test_an_encoder_of_ones_own(small, data, tmp_path):
    model = small(encoder=Own).fit(data.data, data.speaker)
    Z = model.transform(data.data)
    model.save(tmp_path / "own")
    equal(repkit.load(tmp_path / "own", encoder=Own).transform(data.data), Z)
    given = Own(40, 9)
    before = given.linear.weight.clone()
    small(encoder=given).fit(data.data, data.speaker)
    assert torch.equal(given.linear.weight, before)


def test_a_perturbation_of_ones_own(small, data):
    calls = []

    def perturb(x, length, y):
        calls.append(len(y))
        return x, length

    small(perturb=perturb, max_epochs=1).fit(data.data, data.speaker)
    assert calls


@pytest.mark.parametrize(
    ("options", "stops"),
    [
        ({}, (1, 2, 3)),
        (
            {
                "adversary": "wasserstein",
                "max_frames": 9,
                "prototypes": Prototypes((4,), segment_size=3, quantize=0.1),
                "swap": Swap(cycle=0.2),
            },
            (2,),
        ),
    ],
)
def test_a_run_goes_on_as_if_it_had_not_stopped(small, data, tmp_path, options, stops):
    """Across the start of prototypes and beyond."""
    options = {"max_epochs": 4, "prototypes": Prototypes((4,), segment_size=3), **options}
    options["prototypes"] = clone(options["prototypes"]).set_params(start=0.5)
    whole = small(**options).fit(data.data, data.speaker)
    assert (whole.history_["prototype_loss"] > 0).tolist() == [False] * 2 + [True] * 2
    for stop in stops:
        folder = tmp_path / str(stop)

        def stopper(row, stop=stop):
            if row["epoch"] > stop:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            small(checkpoint=folder, callbacks=[stopper], **options).fit(data.data, data.speaker)
        model = small(checkpoint=folder, **options).fit(data.data, data.speaker)
        equal(model.transform(data.data), whole.transform(data.data))
        for name, network in whole.networks_.items():
            for key, value in network.state_dict().items():
                assert torch.equal(model.networks_[name].state_dict()[key], value)
    other = small(checkpoint=folder, **options).fit(data.data, data.speaker[::-1])
    fresh = small(**options).fit(data.data, data.speaker[::-1])
    equal(other.transform(data.data), fresh.transform(data.data))


def test_warm_start(small, data):
    model = small(warm_start=True, learning_rate=0.0, perturb=0.0, prototypes=None)
    first = model.fit(data.data, data.speaker).transform_speaker(data.data)
    np.testing.assert_allclose(
        model.fit(data.data, data.speaker).transform_speaker(data.data), first, atol=1e-6
    )
    cold = clone(model).set_params(warm_start=False, random_state=1).fit(data.data, data.speaker)
    assert np.abs(cold.transform_speaker(data.data) - first).max() > 1e-2


def test_the_callers_random_state_is_left_alone(small, data):
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    small(max_epochs=1).fit(data.data, data.speaker)
    assert torch.equal(torch.rand(3), expected)
