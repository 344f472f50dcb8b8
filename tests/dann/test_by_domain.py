"""What follows from `predict_proba`, `fit` and `transform`, and where the domain goes."""

import numpy as np
import pytest
import sklearn

from repkit import DANN, AdaptationSearch, DANNRegressor
from repkit.dann.by_domain import ByDomain, Classifying

P = np.array([[0.1, 0.7, 0.2], [0.5, 0.2, 0.3], [0.0, 0.1, 0.9], [0.2, 0.3, 0.5]])


class Given(Classifying, ByDomain):
    """Gives what it was asked with."""

    classes_ = np.array(["a", "b", "c"])

    def fit(self, X, y, **named):
        self.fitted = (X, y, named)
        return self

    def transform(self, X, sample_domain=None):
        return np.array([[X, sample_domain]])

    def predict_proba(self, X, sample_domain=None):
        return np.roll(P, sample_domain or 0, axis=1)


def test_labels_and_accuracy_are_those_of_the_domain():
    model = Given()
    assert model.predict(None).tolist() == ["b", "a", "c", "c"]
    assert model.predict(None, 1).tolist() == ["c", "b", "a", "a"]
    y = np.array(["b", "a", "b", "c"])
    assert model.score(np.zeros(4), y) == 0.75
    assert model.score(np.zeros(4), y, [1, 0, 3, 0]) == 0.25
    assert model.score(np.zeros(4), y, None, 1) == 0.0


def test_fit_and_transform_are_given_the_domain():
    model = Given()
    found = model.fit_transform(1, 2, 3, 4, 5)
    assert model.fitted == (1, 2, {"sample_domain": 3, "source": 4, "sample_weight": 5})
    assert found.tolist() == [[1, 3]]


@pytest.mark.parametrize("model", [DANN(), DANNRegressor(), AdaptationSearch()], ids=repr)
def test_the_domain_is_asked_for(model):
    with sklearn.config_context(enable_metadata_routing=True):
        asked = model.get_metadata_routing()
    methods = ["fit", "predict", "score", "transform"]
    if not isinstance(model, DANNRegressor):
        methods.append("predict_proba")
    for method in methods:
        assert getattr(asked, method).requests["sample_domain"] is True
    assert asked.fit.requests["source"] is True
