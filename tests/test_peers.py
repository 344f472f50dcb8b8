"""DANN under skada's scorers and splitters, where skada is installed."""

import numpy as np
import pytest
import sklearn
from sklearn.model_selection import cross_validate

from repkit import DANN
from repkit.datasets import make_domains

pytestmark = pytest.mark.peers


@pytest.fixture
def skada():
    before = sklearn.get_config()["enable_metadata_routing"]
    module = pytest.importorskip("skada", reason="skada is in the extra 'peers'")
    yield module  # importing it switches metadata routing on
    sklearn.set_config(enable_metadata_routing=before)


@pytest.mark.parametrize("name", ["PredictionEntropyScorer", "SupervisedScorer"])
def test_with_skadas_scorers_and_splitters(skada, name):
    from skada import metrics
    from skada.model_selection import SourceTargetShuffleSplit

    data = make_domains(n_samples=60, random_state=0)
    params = {"sample_domain": data.sample_domain}
    if name == "SupervisedScorer":
        params["target_labels"] = data.y
    y = np.where(data.sample_domain < 0, -1, data.y)
    with sklearn.config_context(enable_metadata_routing=True):
        scorer = getattr(metrics, name)()
        found = cross_validate(
            DANN(max_epochs=5, random_state=0),
            data.X,
            y,
            params=params,
            cv=SourceTargetShuffleSplit(n_splits=2, random_state=0),
            scoring=scorer,
            error_score="raise",
        )
    assert np.isfinite(found["test_score"]).all()
