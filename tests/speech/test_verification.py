"""Speakers enrolled by several utterances: scores, the threshold, and speakers never seen."""

import os

os.environ["SCIPY_ARRAY_API"] = "1"  # or check_array_api_input is skipped

import numpy as np
import pytest
from sklearn.metrics import roc_curve
from sklearn.utils.estimator_checks import parametrize_with_checks

from repkit.metrics import enrolled_eer, speaker_eer
from repkit.speech import SpeakerVerifier


@parametrize_with_checks([SpeakerVerifier(1), SpeakerVerifier(1, scoring="plda")])
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


def unlike(k=24, n=20, d=20, seed=0):
    """Voices of which few columns tell and the others do not, at the same scale."""
    rng = np.random.default_rng(seed)
    speaker = np.repeat(np.arange(k), n)
    tells = np.where(np.arange(d) < 5, 1.5, 0.0)
    X = (tells * rng.normal(size=(k, d)))[speaker] + rng.normal(size=(k * n, d))
    return 3.0 * X + 1.0, speaker


def test_plda_weighs_what_tells():
    X, speaker = unlike()
    train, test = speaker < 16, speaker >= 16
    white = SpeakerVerifier(whiten=True).fit(X[train], speaker[train])
    plda = SpeakerVerifier(scoring="plda").fit(X[train], speaker[train])
    assert plda.score(X[test], speaker[test]) > white.score(X[test], speaker[test]) + 0.02
    each = np.flatnonzero(test)
    scores = plda.enroll(X[each], each).decision_function(X[each])
    np.testing.assert_allclose(scores, scores.T, atol=1e-8)
    plda.enroll(X[each], speaker[each])
    assert (plda.variances_ > 0).all()
    assert (plda.predict(X[each]) == speaker[each]).mean() > 0.9
    one = plda.enroll(X[each[:1]], ["a"]).variances_
    assert (one >= plda.enroll(X[each[:9]], ["a"] * 9).variances_).all()


@pytest.mark.parametrize("settings", [{"whiten": True}, {"scoring": "plda"}])
def test_what_is_learned_is_judged_by_those_left_out(settings):
    """Where vectors tell nothing, many numbers learned from few speakers tell nothing, either."""
    rng = np.random.default_rng(0)
    speaker = np.repeat(np.arange(8), 10)
    X = rng.normal(size=(80, 40))
    verifier = SpeakerVerifier(**settings).fit(X, speaker)
    assert 0.4 < verifier.eer_ < 0.6
    assert verifier.score(X, speaker) > 0.6  # those whom it learned from

    X, speaker = unlike(k=200)
    seen = speaker < 100
    verifier.fit(X[seen], speaker[seen])
    assert verifier.eer_ == pytest.approx(1 - verifier.score(X[~seen], speaker[~seen]), abs=0.03)
    place = np.arange(len(X)) % 20
    verifier.enroll(X[~seen & (place < 5)], speaker[~seen & (place < 5)])
    rows = ~seen & (place >= 5)
    scores = verifier.decision_function(X[rows])
    same = speaker[rows][:, None] == verifier.speakers_
    accepted = scores >= verifier.threshold_
    assert accepted[~same].mean() == pytest.approx(verifier.eer_, abs=0.05)
    assert 1 - accepted[same].mean() == pytest.approx(verifier.eer_, abs=0.05)


def test_two_or_three_speakers_judge_themselves():
    X, speaker = unlike(k=3)
    for settings in ({"whiten": True}, {"scoring": "plda"}):
        verifier = SpeakerVerifier(**settings).fit(X, speaker)
        assert 0 <= verifier.eer_ < 0.3
    # Those of few utterances are learned from, and judge nobody.
    few = np.concatenate([np.flatnonzero(speaker == k)[: 20 if k < 2 else 4] for k in range(3)])
    assert SpeakerVerifier(scoring="plda").fit(X[few], speaker[few]).eer_ >= 0


def test_score_is_that_of_the_metric():
    X, speaker = voices()
    verifier = SpeakerVerifier(3).fit(X, speaker)
    found = enrolled_eer(X, speaker, n_enrolled=3)
    assert verifier.score(X, speaker) == pytest.approx(1 - found["eer"])
    assert verifier.threshold_ == pytest.approx(found["threshold"])
    unknown = np.where(speaker < 6, speaker, -1)
    assert verifier.score(X, unknown) == pytest.approx(
        1 - enrolled_eer(X[speaker < 6], speaker[speaker < 6], n_enrolled=3)["eer"]
    )
    with pytest.raises(ValueError, match="at least 2 speakers of more than n_enrolled=3"):
        verifier.score(X[:20], speaker[:20])
    with pytest.raises(ValueError, match="scoring must be"):
        SpeakerVerifier(scoring="cos").fit(X, speaker)
    verifier.set_params(scoring="plda").fit(X, speaker).set_params(scoring="cosine").fit(X, speaker)
    assert verifier.variances_ is None
    assert not hasattr(verifier, "matrix_")
    assert verifier.score(X, speaker) == pytest.approx(1 - found["eer"])


def test_who_is_unknown_enrolls_nobody():
    X, speaker = voices(k=6)
    verifier = SpeakerVerifier(scoring="plda").fit(X, speaker)
    for scoring in ("plda", "cosine"):
        verifier.set_params(scoring=scoring).fit(X, speaker)
        known = verifier.enroll(X[:40], speaker[:40]).voices_
        some = verifier.enroll(X[:60], np.where(speaker[:60] < 2, speaker[:60], -1))
        np.testing.assert_array_equal(some.voices_, known)
        assert some.speakers_.tolist() == [0, 1]


def test_nobody_is_tried_without_an_utterance_that_is_left():
    X, speaker = voices(k=3, n=8)
    few = np.concatenate([np.arange(16), [16, 17, 18]])  # three of the last
    found = enrolled_eer(X[few], speaker[few], n_enrolled=3)
    assert found["n_trials"] == 2 * 2 * 5
    assert found["eer"] == enrolled_eer(X[:16], speaker[:16], n_enrolled=3)["eer"]


def test_whitening_is_held_back_where_hardly_anything_varies():
    """Two columns that are nearly one: their difference is not blown up to the scale of all."""
    X, speaker = voices(k=8, d=6)
    X = np.hstack([X, X[:, :1] + 1e-6 * np.random.default_rng(1).normal(size=(len(X), 1))])
    verifier = SpeakerVerifier(whiten=True).fit(X, speaker)
    assert np.linalg.svd(verifier.matrix_ / np.std(X, 0).max(), compute_uv=False).max() < 20


def test_scale_of_vectors_is_beyond_nothing():
    X, speaker = voices(k=4, n=8)
    found = [SpeakerVerifier(3).fit(X * scale, speaker).voices_ for scale in (1.0, 1e-200, 1e200)]
    np.testing.assert_allclose(found[1], found[0])
    np.testing.assert_allclose(found[2], found[0])


@pytest.mark.parametrize("settings", [{}, {"whiten": True}, {"scoring": "plda"}])
def test_blocks_are_compared_for_themselves(settings):
    """The score of two kinds of vectors is the mean of cosines, or the sum of ratios."""
    X, speaker = unlike(d=8, seed=1)
    Z = 100.0 * unlike(d=6, seed=2)[0]
    both = SpeakerVerifier(**settings, blocks=(8, 6)).fit(np.hstack([X, Z]), speaker)
    apart = [SpeakerVerifier(**settings).fit(part, speaker) for part in (X, Z)]
    each = np.arange(24)
    rows = each * 20
    found = both.enroll(np.hstack([X, Z])[rows], each).decision_function(np.hstack([X, Z]))
    single = [
        verifier.enroll(part[rows], each).decision_function(part)
        for verifier, part in zip(apart, (X, Z), strict=True)
    ]
    wanted = sum(single) if "scoring" in settings else sum(single) / 2
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-8)
    one = SpeakerVerifier(**settings, blocks=[8]).fit(X, speaker)
    assert one.eer_ == pytest.approx(apart[0].eer_)


def test_blocks_that_are_none():
    X, speaker = voices(d=16)
    with pytest.raises(ValueError, match="blocks must sum to the 16 columns of X, not 12"):
        SpeakerVerifier(blocks=(8, 4)).fit(X, speaker)
    with pytest.raises(ValueError, match=r"blocks\[1\] must be"):
        SpeakerVerifier(blocks=(16, 0)).fit(X, speaker)
    with pytest.raises(TypeError, match="blocks must be a sequence"):
        SpeakerVerifier(blocks=16).fit(X, speaker)
