"""Categorical and Continuous: parameters of parameters."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from torch import nn

from repkit import Discriminator, InfoGAN, load
from repkit.infogan import Categorical, Continuous

quiet = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@quiet
def test_short_and_long_forms_are_one_model(digits, fast):
    short = InfoGAN((4, 2), 1, **fast, discriminator="mlp").fit(digits[:100])
    long = InfoGAN(
        Categorical((4, 2)), Continuous(1), **fast, discriminator=Discriminator("mlp")
    ).fit(digits[:100])
    np.testing.assert_array_equal(short.transform(digits), long.transform(digits))
    np.testing.assert_array_equal(short.sample(3, random_state=0), long.sample(3, random_state=0))
    assert list(short.get_feature_names_out()) == list(long.get_feature_names_out())


def test_parameters_of_parts_are_set_from_outside():
    model = InfoGAN((4,), 3)
    model.set_params(categorical__invariance=0.5, continuous__contrastive=2.0)
    assert model.categorical.get_params() == {"sizes": (4,), "weight": 1.0, "invariance": 0.5}
    assert (model.continuous.n, model.continuous.contrastive) == (3, 2.0)
    model.set_params(categorical=(5, 2), categorical__weight=0.1)
    assert model.categorical.get_params() == {"sizes": (5, 2), "weight": 0.1, "invariance": 0.0}
    assert InfoGAN().categorical == (10,)  # the class's default is as it was
    found = model.get_params()
    assert (found["categorical__weight"], found["continuous__n"]) == (0.1, 3)
    copy = clone(model)
    assert copy.categorical is not model.categorical
    assert copy.get_params().keys() == found.keys()
    assert repr(copy) == repr(model)
    copy.set_params(categorical__weight=0.7)
    assert model.categorical.weight == 0.1


@quiet
def test_a_grid_search_over_the_parameter_of_a_part(digits, fast):
    model = InfoGAN((4,), 1, **fast, augment=nn.Dropout(0.2))
    grid = {"categorical__invariance": [0.0, 1.0]}
    search = GridSearchCV(
        model, grid, cv=2, scoring=lambda m, X, y=None: m.history_["loss_D"].iloc[-1]
    ).fit(digits[:100])
    first, second = search.cv_results_["mean_test_score"]
    assert first != second
    assert (
        "invariance_loss"
        in clone(model).set_params(categorical__invariance=1.0).fit(digits).history_
    )
    assert search.best_estimator_.categorical.sizes == (4,)


@quiet
def test_parts_in_a_model_file(digits, tmp_path, fast):
    model = InfoGAN(Categorical([3, 2], weight=0.5), Continuous(2, variance="learned"), **fast)
    model.fit(digits[:100]).save(tmp_path / "m.safetensors")
    found = load(tmp_path / "m.safetensors")
    assert repr(found.continuous) == "Continuous(2, variance='learned')"
    assert found.categorical.get_params() == {"sizes": (3, 2), "weight": 0.5, "invariance": 0.0}
    np.testing.assert_array_equal(found.transform(digits), model.transform(digits))
