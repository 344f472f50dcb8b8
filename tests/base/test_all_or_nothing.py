"""Small estimators that are interrupted in a fit are those of before, whichever they are."""

import numpy as np
import pytest

from repkit.base.all_or_nothing import all_or_nothing
from repkit.dann import MarginalizedDenoiser, denoising
from repkit.speech import (
    FrameNetwork,
    FramePosteriors,
    IVectorExtractor,
    SpeakerErasure,
    SpeakerScaler,
    SpeakerVerifier,
    frame_network,
    ivectors,
    posteriors,
    speaker_erasure,
    speaker_scaler,
    verification,
)

RNG = np.random.default_rng(0)
X, OTHER = RNG.normal(size=(80, 4)), 5 + 2 * RNG.normal(size=(60, 4))
WHO, WHO_ELSE = np.arange(80) % 4, np.arange(60) % 4

# What learns, what it is given, what it is given again, and where that fit is interrupted.
CASES = {
    "FramePosteriors": (
        FramePosteriors(2, n_rounds=1, random_state=0),
        (X,),
        (OTHER,),
        (posteriors, "_discriminant"),
    ),
    "FrameNetwork": (
        FrameNetwork(1, width=4, max_epochs=1, device="cpu", random_state=0),
        (X, WHO),
        (OTHER, WHO_ELSE),
        (frame_network, "train"),
    ),
    "IVectorExtractor": (
        IVectorExtractor(2, n_factors=2, random_state=0),
        (X,),
        (OTHER,),
        (ivectors.IVectorExtractor, "_maximized"),
    ),
    "SpeakerErasure": (
        SpeakerErasure("leace"),
        (X, WHO),
        (OTHER, WHO_ELSE),
        (speaker_erasure, "leace"),
    ),
    "SpeakerScaler": (SpeakerScaler(), (X,), (OTHER,), (speaker_scaler, "_rows")),
    "SpeakerVerifier": (
        SpeakerVerifier(whiten=True),
        (X, WHO),
        (OTHER, WHO_ELSE),
        (verification.SpeakerVerifier, "_left_out"),
    ),
    "MarginalizedDenoiser": (
        MarginalizedDenoiser(n_layers=2),
        (X,),
        (OTHER,),
        (denoising, "_squashed"),
    ),
}


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("name", CASES)
def test_what_is_interrupted_is_as_before(name, error, monkeypatch):
    model, first, second, (place, called) = CASES[name]
    use = "decision_function" if name == "SpeakerVerifier" else "transform"
    model.fit(*first)
    attributes, wanted = dict(vars(model)), getattr(model, use)(X)

    def interrupted(*given, **named):
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(place, called, interrupted)
        with pytest.raises(error):
            model.fit(*second)
    assert vars(model).keys() == attributes.keys()
    assert all(vars(model)[key] is value for key, value in attributes.items())
    np.testing.assert_array_equal(getattr(model, use)(X), wanted)
    model.fit(*second)
    assert np.abs(getattr(model, use)(X) - wanted).max() > 1e-6


def test_a_first_fit_leaves_nothing():
    class Model:
        @all_or_nothing
        def fit(self, x, *, then=None):
            """Learn."""
            self.seen_ = x
            if then:
                raise then
            return self

    model = Model()
    with pytest.raises(KeyboardInterrupt):
        model.fit(1, then=KeyboardInterrupt)
    assert not vars(model)
    assert model.fit(2) is model
    assert model.seen_ == 2
    assert Model.fit.__doc__ == "Learn."
    with pytest.raises(ValueError, match="no"):
        model.fit(3, then=ValueError("no"))
    assert model.seen_ == 2
