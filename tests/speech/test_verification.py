"""Speakers enrolled by several utterances: scores, the threshold, and speakers never seen."""

import os

os.environ["SCIPY_ARRAY_API"] = "1"  # or check_array_api_input is skipped

import numpy as np
import pytest
from sklearn.metrics import roc_curve
from sklearn.utils.estimator_checks import parametrize_with_checks

from repkit.metrics import enrolled_eer, speaker_eer
from repkit.speech import SpeakerVerifier


@parametrize_with_checks([SpeakerVerifier(1)])
def test_scikit_learn(estimator, check):
    check(estimator)


def voices(k=12, n=20, d=16, noise=1.2, seed=0):
    rng = np.random.default_rng(seed)
    speaker = np.repeat(np.arange(k), n)
    return rng.normal(size=(k, d))[speaker] + noise * rng.normal(size=(k * n, d)), speaker


def unit(X):
    return X / np.linalg.norm(X, axis=-1, keepdims=True)


def test_eer_of_enrolled_speakers_is_where_the_curves_cross():
    X, speaker = voices()
    rng = np.random.default_rng(3)
    drawn = [rng.permutation(np.flatnonzero(speaker == k)) for k in range(12)]
    enrolled = np.stack([unit(unit(X[own[:5]]).mean(0)) for own in drawn])
    rest = np.concatenate([own[5:] for own in drawn])
    scores = unit(X[rest]) @ enrolled.T
    same = speaker[rest][:, None] == np.arange(12)
    far, hit, _ = roc_curve(same.ravel(), scores.ravel(), drop_intermediate=False)
    crossing = np.interp(0, far + hit - 1, far)
    found = enrolled_eer(X, speaker, n_draws=1, random_state=3)
    assert found["eer"] == pytest.approx(crossing, abs=2e-3)
    assert found["n_trials"] == scores.size
    accepted = scores >= found["threshold"]
    assert accepted[~same].mean() == pytest.approx(found["eer"], abs=0.01)
    assert 1 - accepted[same].mean() == pytest.approx(found["eer"], abs=0.01)


def test_more_utterances_tell_more():
    X, speaker = voices(noise=1.5)
    rates = [enrolled_eer(X, speaker, n_enrolled=n)["eer"] for n in (1, 3, 10)]
    assert rates[0] > rates[1] > rates[2]
    assert rates[0] == pytest.approx(speaker_eer(X, speaker, device="cpu"), abs=0.02)
    assert enrolled_eer(X, np.random.default_rng(0).permutation(speaker))["eer"] > 0.4


def test_the_threshold_holds_for_others():
    X, speaker = voices(k=24)
    seen = speaker < 12
    verifier = SpeakerVerifier(5).fit(X[seen], speaker[seen])
    assert verifier.eer_ < 0.1
    names = np.array([f"s{k}" for k in range(24)])[speaker]
    place = np.arange(len(X)) % 20
    verifier.enroll(X[~seen & (place < 5)], names[~seen & (place < 5)])
    rows = ~seen & (place >= 5)
    assert (verifier.predict(X[rows]) == names[rows]).mean() > 0.75
    assert verifier.verify(X[rows], names[rows]).mean() > 0.85
    claimed = np.array([f"s{12 + (k - 11) % 12}" for k in speaker[rows]])
    assert (claimed != names[rows]).all()
    assert verifier.verify(X[rows], claimed).mean() < 0.15
    np.testing.assert_allclose(np.linalg.norm(verifier.voices_, axis=1), 1)
    np.testing.assert_allclose(
        verifier.decision_function(X[rows]), unit(X[rows]) @ verifier.voices_.T, atol=1e-12
    )


def test_the_length_of_a_vector_says_nothing():
    X, speaker = voices(k=4, n=8)
    long = X * np.random.default_rng(1).uniform(0.1, 10.0, (len(X), 1))
    found = [SpeakerVerifier(3).fit(rows, speaker) for rows in (X, long)]
    np.testing.assert_allclose(found[0].voices_, found[1].voices_, atol=1e-12)
    np.testing.assert_allclose(
        found[0].decision_function(X), found[1].decision_function(long), atol=1e-12
    )
    assert found[0].threshold_ == pytest.approx(found[1].threshold_)


def test_errors():
    X, speaker = voices(k=3, n=4)
    with pytest.raises(ValueError, match="at least 2 speakers of more than n_enrolled=5"):
        SpeakerVerifier().fit(X, speaker)
    with pytest.raises(ValueError, match="n_enrolled must be"):
        SpeakerVerifier(0).fit(X, speaker)
    verifier = SpeakerVerifier(2).fit(X, speaker)
    with pytest.raises(ValueError, match="y names 7, who is not enrolled"):
        verifier.verify(X[:2], [0, 7])
    with pytest.raises(ValueError, match="y must have one label for each of the 2 rows"):
        verifier.verify(X[:2], [0])
    with pytest.raises(ValueError, match="y must name a speaker"):
        verifier.enroll(X[:2], [-1, -1])


def test_whitening_takes_away_what_varies_within_speakers():
    """Two columns are loud and tell nothing, two are quiet and name the speaker."""
    rng = np.random.default_rng(0)
    speaker = np.repeat(np.arange(12), 20)
    names = rng.normal(size=(12, 2))[speaker] + 0.1 * rng.normal(size=(240, 2))
    X = np.hstack([names, 10.0 * rng.normal(size=(240, 2)) + 3.0])
    train, test = speaker < 8, speaker >= 8
    plain = SpeakerVerifier().fit(X[train], speaker[train])
    white = SpeakerVerifier(whiten=True).fit(X[train], speaker[train])
    assert white.eer_ < 0.2 < 0.3 < plain.eer_
    first = np.flatnonzero(test)[::20]
    white.enroll(X[first], speaker[first])
    assert (white.predict(X[test]) == speaker[test]).mean() > 0.8
    rest = X[train] - np.stack([X[speaker == k].mean(0) for k in range(8)])[speaker[train]]
    found = rest @ white.matrix_
    # Columns that hardly vary are less than white: the ridge is of all.
    within = np.diag(found.T @ found / 152)
    assert within.max() == pytest.approx(1.0, abs=0.1)
    assert within.min() > 0.3
    with pytest.raises(ValueError, match="whiten must be"):
        SpeakerVerifier(whiten="wccn").fit(X, speaker)
    assert not hasattr(white.set_params(whiten=False).fit(X, speaker), "matrix_")
