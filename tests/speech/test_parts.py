import pytest

from repkit import SpeechAutoencoder
from repkit.base.parameters import check_parameters
from repkit.speech.parts import (
    Adversary,
    Prototypes,
    SpeakerLoss,
    SpeechEncoder,
    SpeechFrames,
    Swap,
)

PARTS = (Adversary, Prototypes, SpeakerLoss, SpeechEncoder, SpeechFrames, Swap)


@pytest.mark.parametrize("part", PARTS)
def test_defaults_are_allowed(part):
    assert check_parameters(part()).get_params() == part().get_params()


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (SpeechFrames("fbank"), r"kind must be one of \['logmel', 'mfcc'\], not 'fbank'"),
        (SpeechEncoder(stack=0), "stack must be an integer of at least 1"),
        (SpeechEncoder(5), "network must be a string, a callable"),
        (SpeechEncoder(content_norm="batch"), "content_norm must be one of"),
        (Swap("yes"), "on must be one of"),
        (Swap(cycle=-1), "cycle must be a number of at least 0"),
        (Swap(reconstruction_share=1.1), "reconstruction_share must be .*at most 1"),
        (SpeakerLoss(margin=3), "margin must be a number of at least 0 and at most 2"),
        (Adversary("two"), r"kind must be one of \['classifier', 'pair', 'wasserstein'\]"),
        (Adversary(d_steps=0), "d_steps must be an integer of at least 1"),
        (Prototypes((20, 1)), "sizes must be a tuple of integers of at least 2"),
        (Prototypes(segment_size=1), "segment_size must be"),
        (Prototypes(quantize=0.0), "quantize must be a number of at least 0.001"),
    ],
)
def test_values_that_are_refused(part, words):
    with pytest.raises((ValueError, TypeError), match=words):
        check_parameters(part)


def test_a_grid_reaches_into_parts():
    model = SpeechAutoencoder(adversary="pair").set_params(adversary__weight=0.1, swap__cycle=0.2)
    assert (model.adversary.kind, model.adversary.weight, model.swap.cycle) == ("pair", 0.1, 0.2)
