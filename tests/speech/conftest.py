"""A small model, and words by three speakers to fit it to."""

import pytest

from repkit import SpeechAutoencoder
from repkit.datasets import make_speech
from repkit.speech import Prototypes

SMALL = {
    "phonetic_dim": 8,
    "speaker_dim": 4,
    "sample_rate": 8000,
    "n_mels": 20,
    "width": 24,
    "batch_size": (3, 5),
    "prototypes": Prototypes((4,), segment_size=3),
    "max_epochs": 3,
    "random_state": 0,
}


@pytest.fixture(scope="session")
def small():
    return lambda **options: SpeechAutoencoder(**{**SMALL, **options})


@pytest.fixture(scope="session")
def data():
    return make_speech(3, 4, 4, random_state=0)


@pytest.fixture(scope="session")
def fitted(small, data):
    return small(erase="leace").fit(data.data, data.speaker)


@pytest.fixture(scope="session")
def trained(small):
    """Long enough to have learned who speaks."""
    data = make_speech(4, 4, 6, token_noise=0.5, random_state=1)
    model = small(batch_size=(4, 6), width=48, max_epochs=30, learning_rate=6e-3)
    return model.fit(data.data, data.speaker), data
