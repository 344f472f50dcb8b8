"""Names that both `fit` and `transform` are given."""

import sklearn
from sklearn.base import BaseEstimator

from repkit.speech.by_speaker import BySpeaker


class Given(BySpeaker, BaseEstimator):
    """Gives what it was asked with."""

    def fit(self, X, y=None, *, speaker=None):
        self.fitted = (X, speaker)
        return self

    def transform(self, X, *, speaker=None):
        return (*self.fitted, X, speaker)


def test_both_are_given_the_names():
    assert Given().fit_transform("X", speaker="names") == ("X", "names", "X", "names")
    assert Given().fit_transform("X", "y") == ("X", None, "X", None)
    with sklearn.config_context(enable_metadata_routing=True):
        model = Given().set_fit_request(speaker=True).set_transform_request(speaker=True)
        assert model.fit_transform("X", speaker="names")[3] == "names"
