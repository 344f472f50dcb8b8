"""Scorers of `repkit.metrics` on a `DANN`: in its fit, afterwards, and in a Pipeline."""

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from repkit import DANN
from repkit.dann import Selection
from repkit.datasets import make_domains
from repkit.metrics import (
    DEVScorer,
    EntropyScorer,
    InfoMaxScorer,
    IWVScorer,
    ReverseValidationScorer,
    SNDScorer,
    deep_embedded_validation,
    importance_weights,
)
from repkit.metrics._domains import halves

SCORERS = [
    EntropyScorer(),
    InfoMaxScorer(),
    SNDScorer(),
    IWVScorer(),
    DEVScorer(),
    DEVScorer(loss="log"),
    ReverseValidationScorer(),
]


def normed(shape_in, width):
    return nn.Sequential(nn.Linear(shape_in[0], width), nn.BatchNorm1d(width), nn.ReLU())


FAST = {"max_epochs": 3, "width": 16, "random_state": 0, "device": "cpu", "learning_rate": 0.01}
SEPARATE = {**FAST, "backbone": normed, "domain_norm": "separate", "lam": 0.0}
KINDS = {
    "signed": ([0, 5, -1, -3], None),
    "minus two": ([1, 2, -2, -7], None),
    "names": (["east", "north", "south", "west"], ["east", "north"]),
    "integers": ([1, 4, 0, 2], [1, 4]),
    "upside down": ([-2, -1, 0, 1], [-2, -1]),
}


@pytest.fixture(scope="module")
def shifted():
    """Two sources and two targets, each with an offset of its own."""
    data = make_domains(n_samples=160, random_state=0)
    source = data.sample_domain >= 0
    place = np.where(source, 0, 2) + np.arange(len(source)) % 2
    offset = np.array([[0.0, 0.0], [1.0, 0.0], [4.0, 4.0], [6.0, 4.0]])
    return data.X + offset[place], data.y, place


def risks(model, X, y, ids):
    p = model.predict_proba(X, sample_domain=ids)
    return -np.log(p[np.arange(len(y)), y] + 1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scorer", SCORERS, ids=str)
def test_scores_do_not_depend_on_what_domains_are_called(shifted, scorer, kind):
    X, y, place = shifted
    names, source = KINDS[kind]
    domain = np.array(names)[place]
    found = []
    for ids, sources in ((domain, source), (np.array([0, 1, -1, -2])[place], None)):
        model = DANN(**SEPARATE).fit(X, y, sample_domain=ids, source=sources)
        found.append(scorer(model, X, y, sample_domain=ids))
    assert found[0] == pytest.approx(found[1], abs=1e-6)


def test_the_risk_is_that_of_rows_seen_by_their_own_domain(shifted):
    X, y, place = shifted
    ids = np.array([0, 1, -1, -2])[place]
    model = DANN(**{**SEPARATE, "max_epochs": 15}).fit(X, y, sample_domain=ids)
    source = ids >= 0
    right = risks(model, X[source], y[source], ids[source]).mean()
    wrong = risks(model, X[source], y[source], np.full(source.sum(), -1)).mean()
    assert wrong > right + 0.3
    features = model.transform(X, sample_domain=ids)
    train, val = halves(int(source.sum()), 0.5, 0)
    losses = risks(model, X[source], y[source], ids[source])[val]
    parts = features[source][train], features[source][val], features[~source]
    wanted = deep_embedded_validation(*parts, losses)
    assert -DEVScorer(loss="log")(model, X, y, ids) == pytest.approx(wanted, rel=1e-4)
    weights = importance_weights(X[source][train], X[~source], X[source][val])
    wanted = (weights * losses).mean()
    assert -IWVScorer(loss="log")(model, X, y, ids) == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scorer", SCORERS, ids=str)
def test_every_scorer_selects_with_every_kind_of_domains(shifted, scorer, kind):
    X, y, place = shifted
    names, source = KINDS[kind]
    model = DANN(**SEPARATE, select=Selection(scorer, validation_fraction=0.3))
    model.fit(X, y, sample_domain=np.array(names)[place], source=source)
    assert np.isfinite(model.history_["score"]).all()
    assert model.history_["score"].idxmax() + 1 == model.selected_epoch_


@pytest.mark.parametrize("norm", ["shared", "separate"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_scorer_of_the_users_own_sees_signs_and_may_pass_the_ids_on(shifted, kind, norm):
    X, y, place = shifted
    names, source = KINDS[kind]
    domain = np.array(names)[place]

    def own(model, X, y, sample_domain):
        target = sample_domain < 0
        assert 0 < target.sum() < len(X)
        seen = model.predict_proba(X[target], sample_domain=sample_domain[target])
        return float(seen.max(1).mean())

    options = {**SEPARATE, "domain_norm": norm, "select": own}
    model = DANN(**options).fit(X, y, sample_domain=domain, source=source)
    target = place > 1
    last = model.use("last").predict_proba(X[target], sample_domain=domain[target]).max(1).mean()
    assert model.history_["score"].iloc[-1] == pytest.approx(last, abs=1e-5)


def test_the_way_back_leaves_the_fit_alone(shifted, tmp_path):
    """It asks no scorer, writes no checkpoint, calls no callback, draws no number of the fit."""
    X, y, place = shifted
    ids = np.array([0, 0, -1, -1])[place]
    seen, histories = [], []
    for scorer in (ReverseValidationScorer(), EntropyScorer(), Selection(EntropyScorer())):
        folder = tmp_path / str(len(histories))
        model = DANN(**FAST, select=scorer, checkpoint=folder, callbacks=seen.append)
        histories.append(model.fit(X, y, sample_domain=ids).history_)
        assert len(list(folder.iterdir())) == 1  # a folder of the run
    assert len(seen) == 3 * FAST["max_epochs"]
    for name in ("label_loss", "domain_loss"):
        assert histories[0][name].tolist() == histories[1][name].tolist()


def test_the_way_back_from_within_a_function(shifted):
    X, y, place = shifted
    ids = np.array([0, 0, -1, -1])[place]

    def wrapped(model, X, y, sample_domain):
        return ReverseValidationScorer()(model, X, y, sample_domain)

    scores = [
        DANN(**FAST, select=s).fit(X, y, sample_domain=ids).history_["score"].tolist()
        for s in (wrapped, ReverseValidationScorer())
    ]
    assert scores[0] == scores[1]


def test_the_way_back_reads_no_label_of_its_target(shifted):
    """With target_labels, what fills the place of a label would be read as one."""
    X, y, place = shifted
    ids = np.array([0, 0, -1, -1])[place]
    masked = np.where(ids < 0, -1, y)
    scores = [
        ReverseValidationScorer()(
            DANN(**FAST, target_labels=t).fit(X, masked, sample_domain=ids), X, y, ids
        )
        for t in (False, True)
    ]
    assert scores[0] == scores[1]


def test_clones_and_parameters_of_a_scorer():
    model = DANN(select=ReverseValidationScorer(val_size=0.3, random_state=5))
    copy = clone(model)
    assert copy.select is not model.select
    assert repr(copy.select) == repr(model.select)
    assert clone(ReverseValidationScorer(0.2)).val_size == 0.2


@pytest.mark.parametrize("routing", [False, True])
@pytest.mark.parametrize("scorer", SCORERS, ids=str)
def test_a_pipeline_hands_the_domains_on(shifted, scorer, routing):
    X, y, place = shifted
    ids = np.array([0, 1, -1, -2])[place]
    scaler = StandardScaler().fit(X)
    plain = DANN(**SEPARATE).fit(scaler.transform(X), y, sample_domain=ids)
    wanted = scorer(plain, scaler.transform(X), y, ids)
    with sklearn.config_context(enable_metadata_routing=routing):
        name = "sample_domain" if routing else "dann__sample_domain"
        model = make_pipeline(StandardScaler(), DANN(**SEPARATE)).fit(X, y, **{name: ids})
        found = scorer(model, X, y, ids)
    # The clone of a pipeline learns its scale from the rows of the way back.
    near = 0.1 if isinstance(scorer, ReverseValidationScorer) else 1e-4
    assert found == pytest.approx(wanted, abs=near)


@pytest.mark.parametrize(
    "scorer", [InfoMaxScorer(), DEVScorer(), ReverseValidationScorer()], ids=str
)
def test_a_search_over_separate_norms(shifted, scorer):
    X, y, place = shifted
    rows = np.random.default_rng(0).permutation(len(X))
    ids = np.array([0, 1, -1, -2])[place]
    with sklearn.config_context(enable_metadata_routing=True):
        search = GridSearchCV(DANN(**SEPARATE), {"width": [4, 16]}, scoring=scorer, cv=2)
        search.fit(X[rows], y[rows], sample_domain=ids[rows])
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert np.isfinite(scorer(search, X, y, ids))
