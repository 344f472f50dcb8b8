"""`SpeakerErasure`: scikit-learn's whole suite, and the closed forms behind it."""

import os

os.environ["SCIPY_ARRAY_API"] = "1"  # or check_array_api_input is skipped

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks

from repkit.speech import SpeakerErasure, SpeechAutoencoder
from repkit.speech.erasure import erased, leace, regression, subspace

ALL = [SpeakerErasure(), SpeakerErasure("leace"), SpeakerErasure("regression", speaker_dim=1)]


@parametrize_with_checks(ALL)
def test_scikit_learn(estimator, check):
    check(estimator)


def test_the_suite_is_whole():
    results = check_estimator(SpeakerErasure(), on_fail=None, on_skip=None)
    assert not [r for r in results if r["status"] == "skipped"]


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    speaker = rng.integers(5, size=400)
    voices = rng.standard_normal((5, 3))[speaker]
    X = rng.standard_normal((400, 8)) + voices @ rng.standard_normal((3, 8))
    return X, voices, speaker


def test_each_method_is_its_formula(rows):
    X, voices, speaker = rows
    both = np.hstack([X, voices])
    for model, given, found in (
        (SpeakerErasure(), X, subspace(X, speaker)),
        (SpeakerErasure(n_components=2), X, subspace(X, speaker, 2)),
        (SpeakerErasure("leace"), X, leace(X, speaker)),
        (SpeakerErasure("regression", speaker_dim=3), both, regression(X, voices)),
        (
            SpeakerErasure("regression", speaker_dim=3, n_components=0.6),
            both,
            regression(X, voices, 0.6),
        ),
    ):
        out = model.fit(given, speaker).transform(given)
        np.testing.assert_allclose(out, erased(given, *found), atol=1e-12)
        assert out.shape == X.shape
        assert np.isfinite(model.transform(given[:1] + 3)).all()  # of nobody that was seen
        assert model.transform(given.astype(np.float32)).dtype == np.float32


def test_unknown_speakers_are_left_out(rows):
    X, _, speaker = rows
    known = np.arange(400) >= 100
    names = np.array(["a", "b", "c", "d", "e"])[speaker]
    with_unknown = SpeakerErasure().fit(X, np.where(known, names, "-1"))
    assert with_unknown.speakers_.tolist() == ["a", "b", "c", "d", "e"]
    without = SpeakerErasure().fit(X[known], names[known])
    np.testing.assert_allclose(with_unknown.transform(X), without.transform(X), atol=1e-12)


def test_names_of_columns(rows):
    X, voices, speaker = rows
    names = [f"f{k}" for k in range(8)]
    assert SpeakerErasure().fit(X, speaker).get_feature_names_out(names).tolist() == names
    model = SpeakerErasure("regression", speaker_dim=3).fit(np.hstack([X, voices]))
    assert model.get_feature_names_out().tolist() == [f"x{k}" for k in range(8)]


def test_behind_an_auto_encoder(small, data):
    """Its two vectors side by side are what the regression takes."""
    encoder = small(max_epochs=1)
    pipeline = make_pipeline(encoder, SpeakerErasure("regression", speaker_dim=4))
    out = pipeline.fit_transform(data.data, data.speaker)
    assert out.shape == (48, 8)
    assert isinstance(encoder, SpeechAutoencoder)
    s = small(max_epochs=1).fit(data.data, data.speaker).transform_speaker(data.data)
    assert np.abs((out - out.mean(0)).T @ (s - s.mean(0))).max() < 1e-3


def test_speakers_are_gone(rows):
    X, _, speaker = rows
    train = np.arange(400) < 300

    def read(Z):
        probe = LogisticRegression(max_iter=500).fit(Z[train], speaker[train])
        return probe.score(Z[~train], speaker[~train])

    assert read(X) > 0.5
    for method in ("leace", "subspace"):
        clean = SpeakerErasure(method, n_components=4).fit(X, speaker).transform(X)
        assert read(clean) < 0.35


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"method": "pca"}, "method must be"),
        ({"n_components": 0}, "n_components must be a number above 0"),
        ({"n_components": 1.5}, "n_components must not be 1.5; below 1 it is a share"),
        ({"method": "regression"}, "speaker_dim must say how many columns"),
        ({"method": "regression", "speaker_dim": 8}, "speaker_dim=8 leaves no column of X"),
        ({"method": "regression", "speaker_dim": 0}, "speaker_dim must be an integer"),
    ],
)
def test_errors_of_parameters(rows, change, match):
    with pytest.raises(ValueError, match=match):
        SpeakerErasure(**change).fit(rows[0], rows[2])


def test_errors_of_labels(rows):
    X, _, speaker = rows
    for y, match in (
        (np.zeros(400), "y must name at least 2 speakers, not 1"),
        (np.full(400, -1), "not 0"),
        (speaker[:3], "y must have one label for each of the 400 rows"),
        (None, "needs the speaker of each row"),
    ):
        with pytest.raises(ValueError, match=match):
            SpeakerErasure().fit(X, y)
