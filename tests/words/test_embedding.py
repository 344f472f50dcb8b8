"""`AcousticWordEmbedding`: scikit-learn's whole suite, and what its vectors are made of."""

import os

os.environ["SCIPY_ARRAY_API"] = "1"  # or check_array_api_input is skipped

import pickle
import warnings

import numpy as np
import pytest
import soundfile
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import normalize
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks

from repkit import DANN, NoTargetWarning, SpeechAutoencoder, recipes
from repkit.datasets import make_speech
from repkit.metrics import abx_error
from repkit.speech import SpeakerScaler
from repkit.words import AcousticWordEmbedding, as_pictures, embedding

SHORT = {"max_epochs": 1, "steps_per_epoch": 2}
TINY = AcousticWordEmbedding(
    SpeechAutoencoder(8, 4, n_mels=20, width=24, max_epochs=1),
    DANN(width=8, batch_size=16, **SHORT),
    n_clusters=(4, 2),
    random_state=0,
)


@pytest.mark.filterwarnings("ignore:y is not read")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks([TINY])
def test_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.filterwarnings("ignore:y is not read")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_suite_is_whole():
    results = check_estimator(TINY, on_fail=None, on_skip=None, legacy=False)
    assert not [r for r in results if r["status"] == "skipped"]


class Corner(BaseEstimator):
    """The first numbers of a picture; what it was fitted on is kept."""

    def __init__(self, width=6, random_state=None):
        self.width = width
        self.random_state = random_state

    def fit(self, X, y):
        self.X_, self.y_ = X, y
        return self

    def transform(self, X):
        return X.reshape(len(X), -1)[:, : self.width] + self.y_.max()


@pytest.fixture(scope="module")
def data():
    return make_speech(3, 4, 4, random_state=0)


@pytest.fixture(scope="module")
def autoencoder(data):
    model = SpeechAutoencoder(8, 4, sample_rate=8000, n_mels=20, width=24, max_epochs=2)
    return model.set_params(random_state=0).fit(data.data, data.speaker)


@pytest.fixture
def model(autoencoder):
    return AcousticWordEmbedding(
        FrozenEstimator(autoencoder), Corner(), n_clusters=(3, 5), random_state=0
    )


def test_the_vectors_are_what_they_are_said_to_be(model, autoencoder, data):
    X, who = data.data, data.speaker
    model.fit(X, speaker=who)
    p = autoencoder.transform_phonetic(X)
    scaled = SpeakerScaler().fit_transform(p, speaker=who)
    pictures = as_pictures(autoencoder._frames_and_vectors(X)[0].frames)
    assert pictures.shape == (48, 1, 20, 48)
    parts = [scaled]
    assert model.labels_.shape == (48, 2)
    for k, (clusters, network) in enumerate(zip(model.clusters_, model.classifiers_, strict=True)):
        assert clusters.n_components == (3, 5)[k]
        assert (clusters.n_rounds, clusters.context) == (embedding.ROUNDS, 0)
        again = clone(clusters).fit(scaled)
        np.testing.assert_array_equal(again.transform_units(scaled), model.labels_[:, k])
        np.testing.assert_array_equal(network.y_, model.labels_[:, k])
        np.testing.assert_array_equal(network.X_, pictures)
        features = pictures.reshape(48, -1)[:, :6] + model.labels_[:, k].max()
        parts.append(SpeakerScaler().fit_transform(features, speaker=who))
    wanted = np.hstack([normalize(x) for x in parts]) / np.sqrt(3)
    found = model.transform(X, speaker=who)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    # Others, whom fit has not heard, by their own moments.
    names = np.where(who == who[0], "zoe", "yan")
    scaler = SpeakerScaler().fit(p, speaker=who)
    wanted = normalize(scaler.transform(p, speaker=names)) / np.sqrt(3)
    np.testing.assert_allclose(model.transform(X, speaker=names)[:, :8], wanted, atol=1e-5)


def test_who_speaks_may_be_unknown(model, data):
    X, who = data.data, data.speaker
    model.fit(X, speaker=who)
    alone = model.transform(X)
    np.testing.assert_array_equal(alone, model.transform(X, speaker=np.full(48, -1)))
    np.testing.assert_allclose(alone[:5], model.transform(X[:5]), atol=1e-5)
    assert not np.allclose(alone, model.transform(X, speaker=who), atol=1e-2)
    partly = np.where(np.arange(48) < 9, -1, who)
    found = model.transform(X, speaker=partly)
    np.testing.assert_allclose(found[:9], alone[:9], atol=1e-5)
    assert np.isfinite(clone(model).fit(X).transform(X)).all()
    both = clone(model).fit_transform(X, speaker=who)
    np.testing.assert_allclose(both, model.transform(X, speaker=who), atol=1e-5)


def test_speakers_that_are_given_as_y_are_missed(model, data):
    with pytest.warns(UserWarning, match="y is not read: who speaks is given as speaker="):
        model.fit(data.data, data.speaker)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(data.data, data.word, speaker=data.speaker)


def test_a_frozen_autoencoder_stays_and_another_is_fitted(model, autoencoder, data):
    before = autoencoder.transform(data.data)
    model.fit(data.data, speaker=data.speaker)
    assert model.autoencoder_ is autoencoder
    np.testing.assert_array_equal(autoencoder.transform(data.data), before)
    assert autoencoder.random_state == 0
    own = clone(autoencoder)
    model.set_params(autoencoder=own).fit(data.data, speaker=data.speaker)
    assert not hasattr(own, "networks_")
    assert model.autoencoder_ is not own
    assert list(model.autoencoder_.speakers_) == sorted(set(data.speaker))


def test_seeds(model, autoencoder, data):
    own = clone(autoencoder).set_params(max_epochs=1, random_state=7)
    model.set_params(autoencoder=own, classifier=Corner(random_state=3))
    one, other = (clone(model).fit(data.data, speaker=data.speaker) for _ in range(2))
    np.testing.assert_array_equal(one.transform(data.data), other.transform(data.data))
    seeds = [m.random_state for m in (one.autoencoder_, *one.classifiers_)]
    assert len({7, *seeds}) == 4
    model.set_params(random_state=None).fit(data.data, speaker=data.speaker)
    assert model.autoencoder_.random_state == 7
    assert [m.random_state for m in model.classifiers_] == [3, 3]


def test_sub_folders_are_speakers(tmp_path, model, data):
    names = np.array(["ann", "bob", "cat"])[data.speaker]
    for k, (wave, name) in enumerate(zip(data.data, names, strict=True)):
        (tmp_path / name).mkdir(exist_ok=True)
        soundfile.write(tmp_path / name / f"{k:02}.wav", wave, 8000, subtype="FLOAT")
    order = np.argsort(names, kind="stable")
    X = [data.data[k] for k in order]
    model.fit(tmp_path)
    found, wanted = model.transform(tmp_path), model.transform(X, speaker=names[order])
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    again = clone(model).fit(X, speaker=names[order])
    np.testing.assert_allclose(again.transform(X, speaker=names[order]), wanted, atol=1e-3)
    given = model.transform(tmp_path, speaker=np.full(48, -1))
    np.testing.assert_allclose(given, model.transform(X), atol=1e-4)


def test_what_is_skipped_is_nan(autoencoder, data):
    own = clone(autoencoder).set_params(on_error="skip", max_epochs=1)
    model = AcousticWordEmbedding(own, Corner(), n_clusters=3, random_state=0)
    X = [*data.data, np.zeros(4000, dtype=np.float32)]
    who = [*data.speaker, 0]
    with pytest.warns(UserWarning, match="1 of 49 utterances") as said:
        model.fit(X, speaker=who)
    assert ["1 of 49 utterances" in str(w.message) for w in said] == [True]  # told once
    assert model.labels_.shape == (48, 1)
    with pytest.warns(UserWarning, match="1 of 49 utterances"):
        found = model.transform(X, speaker=who)
    assert np.isnan(found[48]).all()
    np.testing.assert_allclose(found[:48], model.transform(X[:48], speaker=who[:48]), atol=1e-5)
    frozen = clone(model).set_params(autoencoder=FrozenEstimator(model.autoencoder_))
    with pytest.warns(UserWarning, match="1 of 49 utterances were skipped"):
        frozen.fit(X, speaker=who)


def test_one_cluster_has_no_network(model, data):
    model.set_params(n_clusters=(1, 4))
    with pytest.warns(ConvergenceWarning, match="all recordings fall into one cluster"):
        model.fit(data.data, speaker=data.speaker)
    assert len(model.clusters_) == 2
    assert len(model.classifiers_) == 1
    assert (model.labels_[:, 0] == 0).all()
    assert model.transform(data.data).shape == (48, 8 + 6)


def test_few_recordings_have_few_clusters(model, data):
    model.set_params(n_clusters=80).fit(data.data[:14], speaker=data.speaker[:14])
    assert [c.n_components for c in model.clusters_] == [3]


def test_names_of_columns_and_pickles(model, data):
    model.fit(data.data, speaker=data.speaker)
    names = model.get_feature_names_out()
    assert [names[k] for k in (0, 7, 8, 14, 19)] == [
        "phonetic0",
        "phonetic7",
        "network0_0",
        "network1_0",
        "network1_5",
    ]
    wanted = model.transform(data.data)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.transform(data.data), wanted)
    frame = model.set_output(transform="pandas").transform(data.data)
    assert list(frame.columns) == list(names)


def test_the_classifier_by_default_is_the_recipe(model, data, monkeypatch):
    seen = []
    monkeypatch.setattr(DANN, "fit", lambda self, X, y: seen.append(self.get_params()) or self)
    monkeypatch.setattr(DANN, "transform", lambda self, X: np.ones((len(X), 3)))
    model.set_params(classifier=None).fit(data.data, speaker=data.speaker)
    assert len(seen) == 2
    for name, value in recipes.dann("word-clusters").items():
        assert repr(seen[0][name]) == repr(value)
    model.set_params(autoencoder=None)
    monkeypatch.setattr(
        SpeechAutoencoder, "fit", lambda self, X, y: seen.append(self.get_params()) or 1 / 0
    )
    with pytest.raises(ZeroDivisionError):
        model.fit(data.data, speaker=data.speaker)
    assert seen[-1]["phonetic_dim"] == recipes.speech("words")["phonetic_dim"]


def test_no_word_of_a_target_that_nobody_asked_for(model, data):
    network = DANN(width=8, device="cpu", **SHORT)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model.set_params(classifier=network, n_clusters=3).fit(data.data, speaker=data.speaker)
    assert not [w for w in said if issubclass(w.category, NoTargetWarning)]


def test_what_does_not_serve(model, autoencoder, data, monkeypatch):
    def fails(error, message, **settings):
        with pytest.raises(error, match=message):
            clone(model).set_params(**settings).fit(data.data, speaker=data.speaker)

    fails(TypeError, "autoencoder must be a SpeechAutoencoder, .*not 3", autoencoder=3)
    fails(TypeError, "autoencoder must be .* not DANN", autoencoder=DANN())
    fails(NotFittedError, "not fitted", autoencoder=FrozenEstimator(SpeechAutoencoder()))
    fails(TypeError, "classifier must have a method fit", classifier="conv")
    fails(TypeError, "classifier must have a method transform", classifier=LogisticRegression())
    fails(ValueError, "n_clusters must be an integer of at least 1, not 0", n_clusters=(4, 0))
    fails(ValueError, "n_clusters must name at least one number", n_clusters=())
    fails(TypeError, "n_clusters must be an integer", n_clusters="many")
    with pytest.raises(ValueError, match=r"7 recordings .n_samples=7. while a minimum of 8"):
        model.fit(data.data[:7])
    for own in (model, clone(model).set_params(autoencoder=clone(autoencoder))):
        with pytest.raises(ValueError, match="speaker must have one label for each of the 48"):
            own.fit(data.data, speaker=[1, 2, 3])
    with pytest.raises(NotFittedError):
        clone(model).transform(data.data)
    # Told before anything is trained.
    monkeypatch.setattr(SpeechAutoencoder, "fit", lambda *_: 1 / 0)
    mfcc = clone(autoencoder).set_params(front_end="mfcc")
    fails(ValueError, "autoencoder must read sound as log-mel bands.*mfcc", autoencoder=mfcc)
    frames = [np.random.default_rng(k).normal(size=(9, 20)) for k in range(9)]
    own = clone(autoencoder)
    with pytest.raises(ValueError, match=r"autoencoder must read sound .*, not frames with"):
        AcousticWordEmbedding(own).fit(frames, speaker=np.arange(9) % 3)

    class Flat(Corner):
        def transform(self, X):
            return np.zeros(3)

    fails(
        ValueError, r"transform must give 48 rows, not an array of shape \(3,\)", classifier=Flat()
    )


def test_an_unfinished_fit_keeps_the_autoencoder(model, autoencoder, data):
    class Broken(Corner):
        def fit(self, X, y):
            raise KeyboardInterrupt

    model.set_params(autoencoder=clone(autoencoder).set_params(max_epochs=1), classifier=Broken())
    with pytest.raises(KeyboardInterrupt):
        model.fit(data.data, speaker=data.speaker)
    with pytest.raises(NotFittedError):
        model.transform(data.data)
    kept = FrozenEstimator(model.autoencoder_)
    model.set_params(autoencoder=kept, classifier=Corner()).fit(data.data, speaker=data.speaker)
    # Where there is a whole model, it stays.
    before = model.transform(data.data)
    other = clone(autoencoder).set_params(max_epochs=1, random_state=9)
    model.set_params(autoencoder=other, classifier=Broken())
    with pytest.raises(KeyboardInterrupt):
        model.fit(data.data, speaker=data.speaker)
    np.testing.assert_array_equal(model.transform(data.data), before)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_words_of_unheard_people_are_nearer():
    data = make_speech(9, 8, 5, token_noise=1.0, random_state=0)
    known = data.speaker < 6
    X, others = ([data.data[k] for k in np.flatnonzero(rows)] for rows in (known, ~known))
    who, word = data.speaker[~known], data.word[~known]
    speech = SpeechAutoencoder(
        16, 8, sample_rate=8000, n_mels=20, width=48, max_epochs=6, random_state=0
    )
    network = DANN(
        **{**recipes.dann("word-clusters"), "width": 32, "max_epochs": 3, "steps_per_epoch": 20}
    )
    model = AcousticWordEmbedding(speech, network, n_clusters=(8, 16), random_state=0)
    model.fit(X, speaker=data.speaker[known])
    p = (
        SpeakerScaler()
        .fit(model.autoencoder_.transform_phonetic(X))
        .transform(model.autoencoder_.transform_phonetic(others), speaker=who)
    )
    before, after = (
        abx_error(x, word, who, mode="across", device="cpu")["error"]
        for x in (p, model.transform(others, speaker=who))
    )
    print(before, after)
    assert after < 0.8 * before
