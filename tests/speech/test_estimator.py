"""`SpeechAutoencoder`: what it gives, whatever it is given."""

import pickle
import warnings

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from torch import nn

from repkit import SpeechAutoencoder, load
from repkit.audio import AudioError, as_utterances, extract
from repkit.datasets import make_speech
from repkit.engine.checkpoint import CheckpointError
from repkit.metrics import speaker_eer
from repkit.speech.batches import Frames
from repkit.speech.perturb import FILTER, SPEED, WARP, warps
from repkit.speech.recipe import perturbation
from repkit.speech.speakers import speaker_labels

SMALL = {
    "phonetic_dim": 8,
    "speaker_dim": 4,
    "sample_rate": 8000,
    "n_mels": 20,
    "n_features": 24,
    "batch_speakers": 3,
    "batch_segments": 5,
    "prototypes": (4,),
    "segment_prototypes": 3,
    "max_epochs": 3,
    "random_state": 0,
}
OPTIONS = {
    "plain": {"prototypes": None, "segment_prototypes": 0, "perturb": 0.0, "adversary": None},
    "gru": {"encoder": "gru"},
    "transformer": {"encoder": "transformer"},
    "pair": {"adversary": "pair", "content_norm": "instance", "swap": False},
    "wasserstein": {"adversary": "wasserstein", "erase": "leace"},
    "mfcc": {"features": "mfcc", "deltas": True, "stack": 3},
    "quantized": {"quantize": 0.1, "cycle": 0.3, "reconstruction_share": 0.3, "erase": "leace"},
    "short": {"max_frames": 7, "n_segments": 1},
}


def small(**options):
    return SpeechAutoencoder(**{**SMALL, **options})


@pytest.fixture(scope="module")
def data():
    return make_speech(3, 4, 4, random_state=0)


@pytest.fixture(scope="module")
def fitted(data):
    return small(erase="leace").fit(data.data, data.speaker)


@pytest.fixture(scope="module")
def trained():
    """Long enough to have learned who speaks."""
    data = make_speech(4, 4, 6, token_noise=0.5, random_state=1)
    model = small(
        batch_speakers=4, batch_segments=6, n_features=48, max_epochs=30, learning_rate=6e-3
    )
    return model.fit(data.data, data.speaker), data


def equal(one, other):
    np.testing.assert_array_equal(one, other)


# -------------------------------------------------------------------- what comes out


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_every_option_fits_and_keeps_its_promises(data, options, tmp_path):
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
    equal(load(tmp_path / "model.safetensors").transform(data.data), Z)
    frames = model.reconstruct(data.data[:3])
    width = {"mfcc": 39}.get(options.get("features"), 20)
    for x, wave in zip(frames, data.data, strict=False):
        assert x.shape == (1 + len(wave) // 80, width)
    assert np.isfinite(model.to_waveform(frames[0], n_iter=2)).all()
    again = small(**options).fit(data.data, data.speaker)
    equal(again.transform(data.data), Z)


def test_output(fitted, data):
    model = pickle.loads(pickle.dumps(fitted))
    both = model.transform(data.data)
    equal(model.transform_phonetic(data.data), both[:, :8])
    equal(model.transform_speaker(data.data), both[:, 8:])
    model.set_params(output="phonetic")
    equal(model.transform(data.data), both[:, :8])
    model.set_params(output="speaker").set_output(transform="pandas")
    table = model.transform(data.data)
    assert list(table.columns) == [f"speaker{k}" for k in range(4)]
    equal(table.to_numpy(), both[:, 8:])


def test_names(fitted):
    names = [f"phonetic{k}" for k in range(8)] + [f"speaker{k}" for k in range(4)]
    assert fitted.get_feature_names_out().tolist() == names


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


def test_erasure(fitted, data):
    """The means of the training speakers are one; without it they are not."""
    p = fitted.transform_phonetic(data.data)
    means = np.stack([p[data.speaker == k].mean(0) for k in range(3)])
    np.testing.assert_allclose(means, means[:1].repeat(3, 0), atol=1e-4)
    model = pickle.loads(pickle.dumps(fitted)).set_params(erase=None).fit(data.data, data.speaker)
    plain = model.transform_phonetic(data.data)
    means = np.stack([plain[data.speaker == k].mean(0) for k in range(3)])
    assert np.abs(means - means.mean(0)).max() > 0.05


def test_it_learns_who_speaks(trained):
    model, data = trained
    s = model.transform_speaker(data.data)
    assert speaker_eer(s, data.speaker, device="cpu") < 0.05
    errors = model.history_["reconstruction_loss"]
    assert errors.iloc[-1] < 0.5 * errors.iloc[0]


def test_reconstruction_is_at_the_level_of_the_input(trained):
    model, data = trained
    quiet, loud = model.reconstruct([0.1 * data.data[0], data.data[0]])
    assert (loud - quiet).mean() == pytest.approx(2 * np.log(10), abs=0.5)
    given = as_utterances(data.data[:1], sample_rate=8000)
    (frames,) = extract(given, model._front_end()).frames
    assert ((loud - frames) ** 2).mean() < 0.6 * frames.var()


def test_conversion_moves_the_voice(trained):
    """Towards the reference's mean spectrum, away from the own one."""
    model, data = trained
    mine, other = data.speaker == 0, data.speaker == 1
    own = [data.data[i] for i in np.flatnonzero(mine)]
    theirs = [data.data[i] for i in np.flatnonzero(other)]
    kept, moved = model.reconstruct(own), model.convert(own, theirs[:1])
    target = np.concatenate(model.reconstruct(theirs))
    shape = lambda frames: frames.mean(0) - frames.mean()
    wanted = shape(target)
    before = ((shape(np.concatenate(kept)) - wanted) ** 2).sum()
    after = ((shape(np.concatenate(moved)) - wanted) ** 2).sum()
    assert after < 0.5 * before
    assert [x.shape for x in moved] == [x.shape for x in kept]
    each = model.convert(own, theirs)
    np.testing.assert_allclose(each[0], moved[0], atol=1e-4)
    assert np.abs(each[1] - moved[1]).max() > 1e-3


def test_unseen_speakers(fitted):
    new = make_speech(2, 2, 2, random_state=9)
    assert np.isfinite(fitted.transform(new.data)).all()


def test_long_utterances_are_read_in_pieces(fitted, data):
    long = np.concatenate([data.data[0]] * 40)
    s = fitted.transform_speaker([long, data.data[0]])
    np.testing.assert_allclose(np.linalg.norm(s, axis=1), 1, rtol=1e-5)
    (frames,) = fitted.reconstruct([long])
    assert len(frames) == 1 + len(long) // 80
    model = clone(fitted).set_params(max_frames=5).fit(data.data, data.speaker)
    assert len(model.reconstruct(data.data[:1])[0]) == 1 + len(data.data[0]) // 80


# -------------------------------------------------------------------- who speaks


def test_labels_of_any_kind(data, fitted):
    names = np.array(["ann", "bob", "cid"])
    model = small(erase="leace").fit(data.data, names[data.speaker])
    assert model.speakers_.tolist() == ["ann", "bob", "cid"]
    equal(model.transform(data.data), fitted.transform(data.data))


def test_unknown_speakers(data):
    y = data.speaker.copy()
    y[::3] = -1
    model = small(erase="leace").fit(data.data, y)
    assert model.speakers_.tolist() == [0, 1, 2]
    other = y.astype(str)
    equal(
        small(erase="leace").fit(data.data, other).transform(data.data), model.transform(data.data)
    )
    alone = small().fit(data.data)
    assert "D" not in alone.networks_
    assert "speaker_loss" not in alone.history_


def test_pairs(data):
    pairs = [(0, 1), (1, 2), (20, 21), (21, 22), (22, 23)]
    labels = np.full(48, -1)
    labels[:3], labels[20:24] = 0, 1
    model = small().fit(data.data, pairs=pairs)
    assert len(model.speakers_) == 2
    equal(model.transform(data.data), small().fit(data.data, labels).transform(data.data))


def test_pairs_make_components():
    labels, known = speaker_labels(None, [[3, 1], [1, 5], [0, 2]], 7)
    assert known.tolist() == [True, True, True, True, False, True, False]
    assert labels[1] == labels[3] == labels[5] != labels[0] == labels[2]
    for wrong in ([[0, 7]], [[-1, 0]]):
        with pytest.raises(ValueError, match="pairs has numbers from"):
            speaker_labels(None, wrong, 7)
    for wrong in ([0, 1], [[0.0, 1.0]], np.zeros((0, 2), int)):
        with pytest.raises(ValueError, match="pairs must be whole numbers"):
            speaker_labels(None, wrong, 7)
    with pytest.raises(ValueError, match="not both"):
        speaker_labels([0, 1], [[0, 1]], 2)


def test_one_speaker_and_speakers_of_one_utterance(data):
    with pytest.warns(UserWarning, match="all utterances of known speaker are of one, 0"):
        model = small(erase="leace").fit(data.data[:8], np.zeros(8, int))
    assert set(model.networks_) == {"Ep", "Es", "R"}
    assert np.isfinite(model.transform(data.data[:8])).all()
    model = small().fit(data.data[::6], np.arange(8))
    assert np.isfinite(model.transform(data.data)).all()


# -------------------------------------------------------------------- what goes in


def test_forms_of_input(data, tmp_path):
    from scipy.io import wavfile

    n = min(map(len, data.data))
    table = np.stack([x[:n] for x in data.data])
    model = small().fit(table, data.speaker)
    assert model.n_features_in_ == n
    Z = model.transform(table)
    equal(model.transform(list(table)), Z)
    equal(model.transform(torch.from_numpy(table)), Z)
    assert model.transform(table.astype(np.float64)).dtype == np.float64
    with pytest.raises(ValueError, match=f"expecting {n} features"):
        model.transform(table[:, 1:])
    for k in range(3):
        wavfile.write(tmp_path / f"{k}.wav", 8000, table[k])
    np.testing.assert_allclose(model.transform(tmp_path), Z[:3], atol=1e-5)
    with pytest.raises(ValueError, match="X holds frames of 20 columns, but"):
        model.transform(np.zeros((2, 5, 20)))


def test_ready_frames():
    rng = np.random.default_rng(0)
    frames = [rng.standard_normal((t, 7)) for t in rng.integers(2, 30, 20)]
    model = small().fit(frames, np.arange(20) % 4)
    assert model.kind_ == "frames"
    assert model.transform(frames).shape == (20, 12)
    assert [len(x) for x in model.reconstruct(frames)] == [len(x) for x in frames]
    with pytest.raises(ValueError, match="fitted on ready frames"):
        model.to_waveform(frames[0])
    with pytest.raises(ValueError, match="X holds audio, but"):
        model.transform([np.ones(500)])
    with pytest.raises(ValueError, match="X holds frames of 6 columns, but"):
        model.transform([np.ones((5, 6))])


def test_bad_audio(data):
    X = [*data.data[:12], np.zeros(100), np.array([1.0, np.nan]), *data.data[12:24]]
    y = np.r_[data.speaker[:12], 7, 8, data.speaker[12:24]]
    with pytest.raises(AudioError, match=r"X\[1[23]\] cannot be used: it"):
        small().fit(X, y)
    model = small(on_error="skip").fit(X, y)
    assert [s.index for s in model.skipped_] == [12, 13]
    assert 7 not in model.speakers_
    with pytest.warns(UserWarning, match=r"2 of 26 utterances were skipped.*X\[12\]"):
        Z = model.transform(X)
    assert np.flatnonzero(np.isnan(Z).any(1)).tolist() == [12, 13]
    good = np.r_[:12, 14:26]
    equal(Z[good], model.transform([X[i] for i in good]))
    with pytest.warns(UserWarning, match="skipped"):
        assert [len(x) for x in model.reconstruct(X[11:14])][1:] == [0, 0]
    with pytest.warns(UserWarning, match="skipped"), pytest.raises(ValueError, match="no voice"):
        model.convert(X[:3], X[11:14])
    with pytest.warns(UserWarning, match="skipped"):
        moved = model.convert(X[12:15], data.data[15:48:16])
    assert [len(x) for x in moved[:2]] == [0, 0]
    np.testing.assert_allclose(moved[2], model.convert(X[14:15], data.data[47:])[0], atol=1e-4)
    with pytest.raises(ValueError, match="all 1 utterances were skipped"):
        model.convert(X[:1], X[12:13])
    with pytest.raises(ValueError, match="1 utterance is left of 2"):
        model.fit(X[11:13], y[11:13])
    assert np.isfinite(
        small().fit(data.data[:6], data.speaker[:6] * 0 - 1).transform([[0.5]])
    ).all()


def test_silent_rows_of_an_array_are_silence(data):
    table = np.stack([x[:1500] for x in data.data])
    model = small().fit(table, data.speaker)
    table[3] = 0
    assert np.isfinite(model.transform(table)).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output": "words"}, "output must be one of"),
        ({"n_features": 25}, "multiple of 12"),
        ({"batch_segments": 1}, "batch_segments must be an integer of at least 2"),
        ({"margin": 3.0}, "margin must be between 0 and 2"),
        ({"prototypes": (1,)}, "prototypes must be a tuple"),
        ({"prototypes": 20}, "prototypes must be a tuple"),
        ({"segment_prototypes": 1}, "segment_prototypes must be 0, for none, or at least 2"),
        ({"prototypes": None, "quantize": 0.1}, "quantize=0.1 needs prototypes, which are None"),
        ({"quantize": 0.0}, "quantize must be between 0.001"),
        ({"reconstruction_share": 1.2}, "reconstruction_share must be between 0 and 1"),
        ({"reconstruction_share": -0.1}, "reconstruction_share must be between 0 and 1"),
        ({"adversary": "wgan"}, "adversary must be one of"),
        ({"encoder": "lstm"}, "encoder='lstm' is not known"),
        ({"erase": True}, "erase must be one of"),
        ({"perturb": -0.5}, "perturb must be between"),
    ],
)
def test_parameters_are_checked(data, options, message):
    with pytest.raises(ValueError, match=message):
        small(**options).fit(data.data, data.speaker)


def test_nothing_is_quantized_before_there_are_clusters(data):
    model = small(quantize=0.1, quantize_start=0.0, prototype_start=0.5, max_epochs=2)
    assert model.fit(data.data, data.speaker).history_["quantized"].tolist() == [0, 1]


def test_the_clusters_are_switched_off_separately(data):
    """None of both leaves no network for them."""
    for options, heads in (
        ({"prototypes": None}, [(3, 3), (3, 3), (3, 2)]),
        ({"segment_prototypes": 0}, [(4, 8)]),
    ):
        model = small(**options, max_epochs=1).fit(data.data, data.speaker)
        found = [tuple(d.shape) for d in model.networks_["K"].directions]
        assert sorted(found) == sorted(heads)
    model = small(prototypes=None, max_epochs=1).fit(data.data, data.speaker)
    with pytest.raises(ValueError, match="the model was fitted without"):
        model.set_params(quantize=0.1).transform(data.data)
    model = small(prototypes=None, segment_prototypes=0, max_epochs=1)
    assert "K" not in model.fit(data.data, data.speaker).networks_


def test_other_errors(data, fitted):
    with pytest.raises(ValueError, match="y has 3 labels for 48 utterances"):
        small().fit(data.data, [0, 1, 2])
    with pytest.raises(ValueError, match="minimum of 2"):
        small().fit(data.data[:1], [0])
    with pytest.raises(ValueError, match="reference must have one utterance, or as many as X, 3"):
        fitted.convert(data.data[:3], data.data[:2])


# -------------------------------------------------------------------- keeping and going on


class Own(nn.Module):
    def __init__(self, n_in, width):
        super().__init__()
        self.linear = nn.Linear(n_in, width)

    def forward(self, x, mask):
        return self.linear(x).relu()


def test_an_encoder_of_ones_own(data, tmp_path):
    model = small(encoder=Own).fit(data.data, data.speaker)
    Z = model.transform(data.data)
    model.save(tmp_path / "own")
    equal(load(tmp_path / "own", encoder=Own).transform(data.data), Z)
    given = Own(40, 9)
    before = given.linear.weight.clone()
    small(encoder=given).fit(data.data, data.speaker)
    assert torch.equal(given.linear.weight, before)


def test_a_perturbation_of_ones_own(data):
    calls = []

    def perturb(x, length, y):
        calls.append(len(y))
        return x, length

    small(perturb=perturb, max_epochs=1).fit(data.data, data.speaker)
    assert calls


def test_perturbations_are_as_strong_as_asked(data):
    model = small(perturb=2.0, max_epochs=1).fit(data.data, data.speaker)
    frames = Frames([np.zeros((9, 20), np.float32)], torch.device("cpu"))
    place = np.zeros(1, dtype=np.int64)
    speed, voice = perturbation(model, frames, place).steps
    assert speed.amount == 2 * SPEED
    assert voice.filter == 2 * FILTER
    widest = torch.linspace(-2 * WARP, 2 * WARP, len(voice.bank)).exp()
    assert torch.equal(voice.bank, warps(8000, 20, widest))
    assert perturbation(model.set_params(perturb=0), frames, place) is None


@pytest.mark.parametrize(
    ("options", "stops"),
    [
        ({}, (1, 2, 3)),
        ({"adversary": "wasserstein", "max_frames": 9, "quantize": 0.1, "cycle": 0.2}, (2,)),
    ],
)
def test_a_run_goes_on_as_if_it_had_not_stopped(data, tmp_path, options, stops):
    """Across the start of prototypes and beyond."""
    options = {"max_epochs": 4, "prototype_start": 0.5, **options}
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
    with pytest.raises(CheckpointError, match="holds a different run"):
        small(checkpoint=folder, **options).fit(data.data, data.speaker[::-1])


def test_warm_start(data):
    model = small(warm_start=True, learning_rate=0.0, adversary_learning_rate=0.0, perturb=0.0)
    model.set_params(prototypes=None, segment_prototypes=0)
    first = model.fit(data.data, data.speaker).transform_speaker(data.data)
    np.testing.assert_allclose(
        model.fit(data.data, data.speaker).transform_speaker(data.data), first, atol=1e-6
    )
    cold = clone(model).set_params(warm_start=False, random_state=1).fit(data.data, data.speaker)
    assert np.abs(cold.transform_speaker(data.data) - first).max() > 1e-2


def test_the_callers_random_state_is_left_alone(data):
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    small(max_epochs=1).fit(data.data, data.speaker)
    assert torch.equal(torch.rand(3), expected)


def test_in_a_pipeline(data):
    from sklearn.linear_model import LogisticRegression

    model = make_pipeline(small(output="speaker"), LogisticRegression())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert model.fit(data.data, data.speaker).predict(data.data[:4]).shape == (4,)
