"""What a fitted model makes of utterances: vectors, frames, sound."""

import pickle
import warnings

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal as equal
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from repkit.audio import AudioError, as_utterances, extract
from repkit.datasets import make_speech
from repkit.metrics import speaker_eer


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


def test_forms_of_input(small, data, tmp_path):
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
    with pytest.raises(ValueError, match="must hold audio, as in fit, not frames of 20 columns"):
        model.transform(np.zeros((2, 5, 20)))


def test_ready_frames(small):
    rng = np.random.default_rng(0)
    frames = [rng.standard_normal((t, 7)) for t in rng.integers(2, 30, 20)]
    model = small().fit(frames, np.arange(20) % 4)
    assert model.kind_ == "frames"
    assert model.transform(frames).shape == (20, 12)
    assert [len(x) for x in model.reconstruct(frames)] == [len(x) for x in frames]
    with pytest.raises(ValueError, match="fitted on ready frames"):
        model.to_waveform(frames[0])
    with pytest.raises(ValueError, match="must hold frames of 7 columns, as in fit, not audio"):
        model.transform([np.ones(500)])
    with pytest.raises(
        ValueError, match="must hold frames of 7 columns, as in fit, not frames of 6 columns"
    ):
        model.transform([np.ones((5, 6))])


def test_bad_audio(small, data):
    X = [*data.data[:12], np.zeros(100), np.array([1.0, np.nan]), *data.data[12:24]]
    y = np.r_[data.speaker[:12], 7, 8, data.speaker[12:24]]
    with pytest.raises(AudioError, match=r"X\[1[23]\] cannot be used: it"):
        small().fit(X, y)
    with pytest.warns(UserWarning, match=r"fit left out 2 of 26 utterances; .*X\[12\]") as caught:
        model = small(on_error="skip").fit(X, y)
    assert caught[0].filename == __file__
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
    with pytest.warns(UserWarning, match="no utterance is of known speaker"):
        alone = small().fit(data.data[:6], data.speaker[:6] * 0 - 1)
    assert np.isfinite(alone.transform([[0.5]])).all()


def test_silent_rows_of_an_array_are_silence(small, data):
    table = np.stack([x[:1500] for x in data.data])
    model = small().fit(table, data.speaker)
    table[3] = 0
    assert np.isfinite(model.transform(table)).all()


def test_bad_rows_of_an_array_are_named_as_those_of_a_list(small, data):
    table = np.stack([x[:1500] for x in data.data]).astype(np.float64)
    table[3, 9], table[5, 2], table[7, 0] = np.nan, 1e20, 1e300
    with pytest.raises(ValueError, match="NaN"):
        small().fit(table, data.speaker)
    with pytest.raises(AudioError, match=r"X\[0\] cannot be used: it contains 1e\+20"):
        small().fit(table[5:], data.speaker[5:])
    with pytest.warns(UserWarning, match="fit left out 3 of 48"):
        model = small(on_error="skip").fit(table, data.speaker)
    assert [skipped.index for skipped in model.skipped_] == [3, 5, 7]
    with pytest.warns(UserWarning, match="3 of 48"):
        assert np.flatnonzero(np.isnan(model.transform(table)).any(1)).tolist() == [3, 5, 7]


def test_in_a_pipeline(small, data):
    from sklearn.linear_model import LogisticRegression

    model = make_pipeline(small(output="speaker"), LogisticRegression())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert model.fit(data.data, data.speaker).predict(data.data[:4]).shape == (4,)


def test_a_reference_for_each_or_one_for_all(fitted, data):
    with pytest.raises(ValueError, match="reference must have one utterance, or as many as X, 3"):
        fitted.convert(data.data[:3], data.data[:2])
