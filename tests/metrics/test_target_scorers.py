import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from scipy.sparse import csr_array
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

from repkit import DANN
from repkit.datasets import make_domains
from repkit.metrics import (
    BNMScorer,
    ClassAMIScorer,
    EnsVScorer,
    MaNoScorer,
    MixValScorer,
    ScorerError,
    TransferScorer,
    batch_nuclear_norm,
    class_cluster_information,
    ensemble_agreement,
    logit_matrix_norm,
    transfer_score,
)
from repkit.metrics._domains import mixed

ALL = [BNMScorer(), ClassAMIScorer(), MaNoScorer(), MixValScorer(), TransferScorer()]


@pytest.fixture(scope="module")
def shifted():
    """Three classes at the corners of a triangle; the target is the same, turned a little."""
    rng = np.random.default_rng(0)
    y = np.tile([0, 1, 2], 100)
    angle = np.deg2rad(120 * y + np.repeat([0, 15], 150))
    X = 3 * np.stack([np.cos(angle), np.sin(angle)], axis=1) + 0.4 * rng.normal(size=(300, 2))
    domain = np.repeat([1, -2], 150)
    return X, y, domain


class Turned:
    """A linear classifier that was made for triangles turned by an angle."""

    classes_ = np.array([0, 1, 2])

    def __init__(self, degrees, sharpness=1.0):
        corners = np.deg2rad(120 * np.arange(3) + degrees)
        self.W = sharpness * np.stack([np.cos(corners), np.sin(corners)])

    def transform(self, X):
        return np.asarray(X)

    def predict_proba(self, X):
        Z = np.exp(np.asarray(X) @ self.W)
        return Z / Z.sum(axis=1, keepdims=True)

    def predict(self, X):
        return self.predict_proba(X).argmax(axis=1)


@pytest.mark.parametrize("scorer", ALL, ids=str)
def test_a_model_that_works_on_the_target_scores_above_one_that_does_not(scorer, shifted):
    """Turned by 15 degrees it works; by 75 its boundaries lie across the clusters."""
    X, y, domain = shifted
    good, bad = Turned(15), Turned(75)
    rows = domain < 0
    accuracy = [np.mean(m.predict(X[rows]) == y[rows]) for m in (good, bad)]
    assert accuracy[0] > 0.95
    assert accuracy[1] < 0.7
    scores = [scorer(m, X, y, sample_domain=domain) for m in (good, bad)]
    assert scores[0] > scores[1] + 0.02


def test_scores_are_the_functions_of_the_target_rows(shifted):
    X, y, domain = shifted
    model, T = Turned(40), X[domain < 0]
    P = model.predict_proba(T)
    assert BNMScorer()(model, X, y, domain) == batch_nuclear_norm(P)
    assert MaNoScorer()(model, X, y, domain) == logit_matrix_norm(P)
    assert MaNoScorer(2, 0)(model, X, y, domain) == logit_matrix_norm(P, p=2, threshold=0)
    wanted = class_cluster_information(T, model.predict(T), 3)
    assert ClassAMIScorer()(model, X, y, domain) == wanted
    assert TransferScorer()(model, X, y, domain) == transfer_score(T, P)
    other = TransferScorer(share=0.5, random_state=3)(model, X, y, domain)
    assert other == transfer_score(T, P, 0.5, 3)


def test_there_are_as_many_clusters_as_classes_not_as_predicted_classes(shifted):
    X, y, domain = shifted
    model, T = Turned(15), X[domain < 0]
    model.predict = lambda X: np.minimum(Turned(15).predict(X), 1)  # never the last class
    wanted = class_cluster_information(T, model.predict(T), n_clusters=3)
    assert ClassAMIScorer()(model, X, y, domain) == wanted
    assert wanted < class_cluster_information(T, model.predict(T), n_clusters=2)


# -------------------------------------------------------------------- MixVal


class Step:
    """Class 1 right of a point."""

    def __init__(self, at=0.5):
        self.at, self.seen = at, []

    def predict(self, X):
        self.seen.append(np.asarray(X).copy())
        return (np.asarray(X)[:, 0] > self.at).astype(int)


def test_mixval_by_hand():
    # of three rows the pairs are a cycle, in one direction or the other
    X, domain = np.array([[0.0], [0.4], [1.0], [7.0]]), np.array([-1, -1, -1, 0])
    model = Step()
    score = MixValScorer(mix=0.55, random_state=0)(model, X, sample_domain=domain)
    target, mixtures = model.seen
    np.testing.assert_array_equal(target, X[:3])
    seen = sorted(mixtures[:, 0].tolist())
    one = sorted([0.45 * 0.4, 0.55 * 0.4 + 0.45, 0.55])  # (0, .4), (.4, 1), (1, 0)
    other = sorted([0.45, 0.55 * 0.4, 0.55 + 0.45 * 0.4])  # (0, 1), (.4, 0), (1, .4)
    assert any(np.allclose(seen, w) for w in (one, other))
    # in the first, .4 mixed with 1 is .67 and crosses: pairs of two 1 of 2; of one 1 of 1
    wanted = (1 + 1 / 2) / 2 if np.allclose(seen, one) else 1
    assert score == pytest.approx(wanted)


def test_mixval_counts_pairs_of_one_and_of_two_classes():
    X = np.concatenate([np.zeros((50, 1)), np.ones((50, 1))])
    X += 0.01 * np.random.default_rng(0).normal(size=X.shape)
    domain = np.full(100, -1)
    gap, edge = (MixValScorer()(Step(at), X, sample_domain=domain) for at in (0.5, 0.9))
    assert gap == 1
    # mixtures of a row of class 1 with one of class 0 lie at .55, left of the edge
    assert 0.6 < edge < 0.9
    # a single class has no boundary to test
    assert MixValScorer()(Step(5), X, sample_domain=domain) == 0.5


def test_mixval_keeps_domains_apart():
    X = np.concatenate([np.zeros((20, 1)), np.full((20, 1), 100.0), [[55.0]]])
    domain = np.repeat([-1, -2, -3], [20, 20, 1])
    model = Step()
    MixValScorer()(model, X, sample_domain=domain)
    # a row alone in its domain is left out
    assert set(model.seen[1].ravel().round(6)) == {0.0, 100.0}
    assert len(model.seen[1]) == 40
    with pytest.raises(ValueError, match="must have at least 2 target rows of a domain to mix"):
        MixValScorer()(model, X[-2:], sample_domain=[0, -1])


@pytest.mark.parametrize(
    ("make", "back"),
    [
        (np.asarray, np.asarray),
        (lambda v: v.astype(int), np.asarray),
        (lambda v: torch.tensor(v), np.asarray),
        (csr_array, lambda v: v.toarray()),
        (lambda v: csr_array(v.astype(np.uint8)), lambda v: v.toarray()),
        (lambda v: v.tolist(), np.asarray),
        (lambda v: pd.DataFrame(v, columns=["a", "b"]), lambda v: v.to_numpy()),
    ],
)
def test_rows_of_any_kind_are_mixed(make, back):
    A, B = np.array([[1.0, 0], [2, 4]]), np.array([[3.0, 8], [0, 0]])
    if hasattr(a := make(A), "iloc"):
        a.index = [7, 3]
    np.testing.assert_allclose(back(mixed(a, make(B), 0.75)), [[1.5, 2], [1.5, 3]])


def test_images_of_bytes_stay_bytes():
    A, B = np.array([[200, 7]], np.uint8), np.array([[100, 0]], np.uint8)
    for kind in (np.asarray, torch.tensor):
        M = mixed(kind(A), kind(B), 0.55)
        assert M.dtype == kind(A).dtype
        assert M.tolist() == [[155, 4]]


def test_what_cannot_be_mixed_is_refused():
    model, domain = Step(), np.full(4, -1)
    model.predict = lambda X: np.zeros(len(X))
    for X in (
        pd.DataFrame({"a": ["x", "y", "x", "y"]}),
        [np.zeros(3), np.zeros(4), np.zeros(3), np.zeros(4)],
        np.array([["x"], ["y"], ["x"], ["y"]]),
    ):
        with pytest.raises(ScorerError, match="X must hold numbers for MixValScorer, which mixes"):
            MixValScorer()(model, X, sample_domain=domain)


# -------------------------------------------------------------------- EnsV


def test_ensv_ranks_candidates(shifted):
    X, y, domain = shifted
    models = [Turned(d, s) for d, s in ((75, 1), (10, 2), (20, 1), (30, 1), (60, 3))]
    scorer = EnsVScorer()
    scores = scorer.scores(models, X, y, domain)
    T = X[domain < 0]
    np.testing.assert_array_equal(scores, ensemble_agreement([m.predict_proba(T) for m in models]))
    order = scorer.rank(models, X, sample_domain=domain)
    assert sorted(order) == [0, 1, 2, 3, 4]
    assert (np.diff(scores[order]) <= 0).all()
    assert order[-1] == 0  # the worst


@pytest.mark.parametrize(
    ("scores", "baseline", "margin", "order"),
    [
        ([0.5, 0.9, 0.7], None, 0.1, [1, 2, 0]),
        ([0.5, 0.9, 0.7], 0, 0.1, [1, 2, 0]),
        ([0.5, 0.9, 0.7], 0, 0.3, [1, 0, 2]),
        ([0.5, 0.9, 0.7], 0, 0.5, [0, 1, 2]),
        ([0.7, 0.7, 0.7, 0.8], 1, 0.0, [3, 1, 0, 2]),
        ([0.875, 0.5, 0.75, 0.25], 2, 0.125, [2, 0, 1, 3]),  # as much as the margin is not enough
        ([0.9, 0.5, 0.75, 0.25], 2, 0.125, [0, 2, 1, 3]),
        ([0.7, 0.8], 0, 0.1, [0, 1]),  # whatever the last digits are
        ([0.8, 0.9], 0, 0.1, [0, 1]),
    ],
)
def test_a_baseline_is_passed_by_more_than_the_margin(scores, baseline, margin, order, monkeypatch):
    monkeypatch.setattr(EnsVScorer, "scores", lambda *a: np.array(scores))
    found = EnsVScorer().rank([None] * len(scores), None, baseline=baseline, margin=margin)
    assert found.tolist() == order


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        ({"baseline": 2}, ValueError, "baseline must be an integer from 0 to 1, not 2"),
        ({"baseline": "first"}, TypeError, "baseline must be an integer"),
        ({"baseline": 0, "margin": -0.1}, ValueError, "margin must be"),
    ],
)
def test_baselines_that_are_none(options, kind, said, monkeypatch):
    monkeypatch.setattr(EnsVScorer, "scores", lambda *a: np.array([0.1, 0.2]))
    with pytest.raises(kind, match=said):
        EnsVScorer().rank([None, None], None, **options)


def test_ensv_over_the_epochs_of_a_training():
    data = make_domains(n_samples=60, random_state=0)
    target, probas = data.X[data.sample_domain < 0], []
    model = DANN(
        max_epochs=4,
        callbacks=lambda row: probas.append(model.predict_proba(target)),
        random_state=0,
    )
    model.fit(data.X, data.y, sample_domain=data.sample_domain)
    assert len(probas) == 4
    assert ensemble_agreement(probas).shape == (4,)
    np.testing.assert_array_equal(probas[-1], model.predict_proba(target))


def test_ensv_refuses(shifted):
    X, y, domain = shifted
    model = Turned(0)
    with pytest.raises(TypeError, match=r"EnsVScorer must be given all .* call rank"):
        EnsVScorer()(model, X, y, domain)
    with pytest.raises(TypeError, match="EnsVScorer must be given all"):
        EnsVScorer().score(model, X, y, domain)
    search = GridSearchCV(LogisticRegression(), {"C": [1.0]}, scoring=EnsVScorer(), cv=2)
    with (
        sklearn.config_context(enable_metadata_routing=True),
        pytest.raises(ScorerError, match="cannot score one alone, as a search would"),
    ):
        search.fit(X, y, sample_domain=domain)
    with pytest.raises(ValueError, match="at least one candidate, not none"):
        EnsVScorer().rank([], X, sample_domain=domain)
    other = Turned(0)
    other.classes_ = np.array([0, 1, 5])
    with pytest.raises(ValueError, match=r"same classes_, not \[0, 1, 2\] and \[0, 1, 5\]"):
        EnsVScorer().rank([model, other], X, sample_domain=domain)
    with pytest.raises(TypeError, match=r"EnsVScorer needs estimator\.predict_proba"):
        EnsVScorer().rank([Step()], X, sample_domain=domain)
    with pytest.raises(ValueError, match="EnsVScorer needs sample_domain"):
        EnsVScorer().rank([model], X)


# -------------------------------------------------------------------- parameters


@pytest.mark.parametrize(
    ("scorer", "message"),
    [
        (MaNoScorer(p=0), "p must be a number above 0, not 0"),
        (MaNoScorer(threshold=-1), "threshold must be a number of at least 0, not -1"),
        (ClassAMIScorer(features="hidden"), "features must be 'transform', 'input' or a function"),
        (ClassAMIScorer(n_init=0), "n_init must be an integer of at least 1, not 0"),
        (TransferScorer(share=0), "share must be a number above 0 and at most 1, not 0"),
        (TransferScorer(share=2), "share must be a number above 0 and at most 1, not 2"),
        (MixValScorer(mix=0.5), r"mix must be a number above 0\.5 and below 1, not 0\.5"),
        (MixValScorer(mix="half"), r"mix must be a number above 0\.5 and below 1, not 'half'"),
    ],
    ids=str,
)
def test_bad_parameters(scorer, message, shifted):
    X, y, domain = shifted
    with pytest.raises((TypeError, ValueError), match=message):
        scorer(Turned(0), X, y, domain)


@pytest.mark.parametrize("scorer", [ClassAMIScorer(), TransferScorer()], ids=str)
def test_features_that_are_not_there(scorer, shifted):
    X, y, domain = shifted
    plain = LogisticRegression().fit(X, y)
    with pytest.raises(TypeError, match=r"needs estimator\.transform.*features='input'"):
        scorer(plain, X, y, domain)
    scorer = type(scorer)(features="input")
    assert np.isfinite(scorer(plain, X, y, domain))
