"""Internal. Settings of the speech auto-encoder."""

from __future__ import annotations

from torch import Tensor, nn

from repkit.recipes._named import Settings, named
from repkit.speech import Prototypes, SpeakerLoss, SpeechEncoder, Swap

__all__ = ["no_layers", "speech"]


class _Given(nn.Module):
    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return x


def no_layers(n_in: int, width: int) -> nn.Module:
    """Make an encoder of speech without layers: a linear map of each frame is all that it is.

    Parameters
    ----------
    n_in : int
        Numbers in a frame.
    width : int
        Not used.

    Returns
    -------
    nn.Module
        ``(n, frames, n_in), (n, frames) -> (n, frames, n_in)``: what it is given.
    """
    return _Given()


_SEEN: Settings = {
    "phonetic_dim": 48,
    "adversary": None,
    "swap": Swap(cycle=0.3),
    "steps_per_epoch": 50,
    "max_epochs": 40,
}
# Sizes were chosen on the validation speakers, one seed of three settings; cycle and strength of
# perturbation are those of few voices. The last four, of the speaker vector, by the equal error
# rate of those speakers, one seed.
_WORDS: Settings = {
    "phonetic_dim": 64,
    "adversary": None,
    "prototypes": Prototypes((40, 80)),
    "swap": Swap(cycle=0.3),
    "perturb": 1.7,
    "steps_per_epoch": 50,
    "max_epochs": 32,
    "speaker_dim": 32,
    "batch_size": (9, 8),
    "encoder": SpeechEncoder(statistics=True),
    "speaker_loss": SpeakerLoss(kind="centroid", voices=1.5),
}
_SPEECH: dict[str, Settings] = {
    "words": _WORDS,
    # Of twenty variants, one seed each, the one with the best words of the validation speakers.
    "words-large": {**_WORDS, "perturb": 2.3, "width": 192, "max_epochs": 64},
    # Frames read alone rather than with their neighbors, one by one rather than in twos, whitened,
    # no clusters. Layers made distances worse (.15 and .22 against .13 and .21).
    "frames": {
        "phonetic_dim": 24,
        "adversary": None,
        "encoder": SpeechEncoder(no_layers, stack=1, pooling="frames"),
        "prototypes": None,
        "perturb": 1.0,
        "batch_size": (6, 6),
        "steps_per_epoch": 50,
        "max_epochs": 6,
    },
    "few-voices": _SEEN,
    # Of ten variants on a GPU, one seed each, that with the best words of p and of conversions.
    "few-voices-large": {
        **_SEEN,
        "phonetic_dim": 96,
        "prototypes": Prototypes((40, 80)),
        "width": 192,
        "max_epochs": 64,
    },
    "few-voices-quantized": {
        **_SEEN,
        "prototypes": Prototypes((40, 80), quantize=0.13),
        "swap": Swap(cycle=0.5),
        "max_epochs": 60,
    },
}


def speech(name: str) -> Settings:
    """Give settings of `repkit.SpeechAutoencoder`.

    Parameters
    ----------
    name : str
        "words" are for recordings of single words by some twenty speakers, to be read of people who
        were never heard; "words-large" are wider and longer, for a GPU; both were chosen on
        validation speakers of Arabic Speech Commands. "frames" are for one vector a frame of
        sentences, chosen on half of the speakers of VoxAngeles. "few-voices" are for a handful of
        speakers who are known, chosen on other takes of the six of FSDD; "few-voices-large" are
        wider and longer, for a GPU; "few-voices-quantized" take a speaker out of the phonetic
        vector more thoroughly, at some cost of words.

    Returns
    -------
    dict
        Parameters.

    Examples
    --------
    >>> from repkit import SpeechAutoencoder, recipes
    >>> SpeechAutoencoder(**recipes.speech("words"), random_state=0).phonetic_dim
    64
    """
    return named(_SPEECH, name)
