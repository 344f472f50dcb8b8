"""What the benchmarks on tables of features share: pairs of domains, and methods on them."""

import numpy as np
import pytest

from benchmarks import pairs
from benchmarks.pairs import Pair, alone, dann, on_target, over_pairs, searched, table, whole
from repkit import DANN
from repkit.dann import AdaptationSearch, Entropy, MarginalizedDenoiser


def blobs(source=None, target=None):
    rng = np.random.default_rng(0)
    y = np.arange(80) % 2
    X = (y[:, None] * 4.0 + rng.standard_normal((80, 3))).astype(np.float32)
    return Pair(X[:40], y[:40], X[40:], X[40:], y[40:])


SHORT = {"width": 8, "max_epochs": 2, "steps_per_epoch": 5, "batch_size": 16}
EVERY = {**alone({}, 1.0), **whole({"entropy": 1.0})}


def test_means_over_pairs_with_and_without_those_that_chose():
    values = {"a": 0.2, "b": 0.6}
    run = over_pairs(
        [("s", "a"), ("s", "b")],
        lambda source, target: target,
        lambda pair, seed: {"accuracy": values[pair]},
        left_out=("s->a",),
    )
    found = run(0)
    assert found["accuracy"] == pytest.approx(0.4)
    assert found["accuracy, untouched pairs"] == 0.6
    assert found["s->a", "accuracy"] == 0.2


def test_train_on_target_is_tested_on_other_rows():
    pair = blobs()
    half = on_target(pair)
    assert len(half.X_test) == len(half.X_source) == 20
    both = np.concatenate([half.X_source, half.X_test])
    assert len(np.unique(both, axis=0)) == len(np.unique(pair.X_test, axis=0))


def test_denoised_rows_lie_about_0_in_each_domain_and_are_as_long(monkeypatch):
    fits = []

    class Counted(MarginalizedDenoiser):
        def fit(self, X, y=None):
            fits.append(X)
            return super().fit(X, y)

    monkeypatch.setattr(pairs, "MarginalizedDenoiser", Counted)

    def load(source, target):
        pair = blobs()
        if source > target:  # the other way round
            pair = Pair(pair.X_target, pair.y_test, pair.X_source, pair.X_source, pair.y_source)
        return pair._replace(X_test=pair.X_target[:5])

    clean = pairs.denoised(load, 0.5, 1.0)
    (a, b), plain = (clean("a", "b"), clean("b", "a")), load("a", "b")
    assert len(fits) == 1  # the labels have no say in it, nor which domain has them
    rows = np.vstack([plain.X_source, plain.X_target])
    length = np.linalg.norm(rows, axis=1).mean()
    np.testing.assert_allclose(np.linalg.norm(fits[0], axis=1).mean(), 1.0, rtol=1e-5)
    model = MarginalizedDenoiser(0.5).fit(rows / length)
    expected = model.transform(plain.X_target / length)
    expected -= expected.mean(0)
    expected *= length / np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(a.X_target, expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(a.X_test, expected[:5], rtol=1e-3, atol=1e-3)  # not its own mean
    np.testing.assert_array_equal(a.X_target, b.X_source)
    np.testing.assert_array_equal(a.y_source, plain.y_source)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", EVERY)
def test_every_variant_trains(name):
    found = dann({**SHORT, **EVERY[name]}, "cpu")(blobs(), 0)
    assert ("accuracy_before" in found) == ("then" in EVERY[name])
    assert all(0 <= value <= 1 for value in found.values())
    assert ("guarded" in found) == name.endswith("guarded")
    assert ("accuracy_selected" in found) == (
        not any(word in name for word in ("source", "guarded", "DIRT-T"))
    )


def test_no_label_of_the_target_is_given(monkeypatch):
    seen = {}

    def fit(self, X, y, sample_domain, *more, **named):
        seen.update(y=y, domain=sample_domain)
        raise StopIteration

    monkeypatch.setattr(DANN, "_fit", fit)
    several = blobs()._replace(source_domain=np.repeat([1, 2], 20))
    for method in (dann, searched):
        seen.clear()
        with pytest.raises(StopIteration):
            method(SHORT, "cpu")(several, 0)
        assert (seen["y"][40:] == -1).all()
        assert seen["domain"].tolist() == [1] * 20 + [2] * 20 + [-9] * 40


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("margin", [0.0, 0.99])
def test_the_search_is_tested_beside_no_adaptation(margin, monkeypatch):
    made = []

    class Kept(AdaptationSearch):
        def __init__(self, model):
            super().__init__(model, margin=margin)
            made.append(self)

        def fit(self, *given, **named):
            super().fit(*given, **named)
            none = self.estimators_["no adaptation"]
            none.predict_proba = lambda X, d=None: DANN.predict_proba(none, X, d)[:, ::-1]
            self.best_candidate_ = "as given" if margin == 0.0 else "no adaptation"
            self.best_estimator_ = self.estimators_[self.best_candidate_]
            return self

    monkeypatch.setattr(pairs, "AdaptationSearch", Kept)
    pair = blobs()
    pair = pair._replace(y_test=np.zeros_like(pair.y_test))  # what is flipped is told apart
    found = searched(SHORT, "cpu")(pair, 0)
    (search,) = made
    none = search.estimators_["no adaptation"]
    assert found["accuracy_last"] == search.score(pair.X_test, pair.y_test)
    assert found["accuracy_unadapted"] == none.score(pair.X_test, pair.y_test)
    assert found["guarded"] == (search.best_candidate_ == "no adaptation")
    assert found["guarded"] == (margin > 0.0)
    assert (found["accuracy_last"] == found["accuracy_unadapted"]) == (margin > 0.0)


def test_the_recipe_has_its_fair_opponents():
    assert "whole recipe, no adversary" in whole({"conditional": True})
    rows = whole({"divergence": None, "entropy": Entropy(confusion=1.0)})
    assert rows["whole recipe + adversary"]["divergence"] == "adversarial"
    assert rows["whole recipe, guarded"]["select"] is pairs.GUARD
    cases = table("t", [(1, 2)], blobs, "cpu", base=SHORT, variants=EVERY, C=1.0)
    assert {case.variant for case in cases} >= {*EVERY, "the class's default"}
