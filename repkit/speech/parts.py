"""Internal. Parts that `SpeechAutoencoder` takes: what belongs together is one parameter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from repkit.base.parameters import (
    MOST_UNITS,
    Part,
    anything,
    choice,
    flag,
    integer,
    network,
    number,
    parameters,
    sizes,
)

__all__ = ["Adversary", "Prototypes", "SpeakerLoss", "SpeechEncoder", "SpeechFrames", "Swap"]

_COUNT = integer(0, MOST_UNITS, default=0)


def _none_or_several(name: str, value: Any) -> int:
    found: int = _COUNT.metadata["rule"](name, value)
    if found == 1:
        raise ValueError(f"{name} must be 0, for no clusters, or at least 2, not 1")
    return found


@parameters
class SpeechFrames(Part):
    """What the frames of sound hold: one of 25 ms every 10 ms.

    Parameters
    ----------
    kind : {"logmel", "mfcc"}, default="logmel"
        Logarithms of mel energies, whose level is taken out of every utterance, or 13 mel cepstral
        coefficients.
    deltas : bool, default=False
        Whether first and second differences over time are appended.

    Examples
    --------
    >>> from repkit import SpeechAutoencoder
    >>> from repkit.speech import SpeechFrames
    >>> SpeechAutoencoder(front_end=SpeechFrames("mfcc", deltas=True)).front_end
    SpeechFrames('mfcc', deltas=True)
    """

    kind: str = choice("logmel", "mfcc", default="logmel", kw_only=False)
    deltas: bool = flag(default=False)


@parameters
class SpeechEncoder(Part):
    """How both encoders read frames, and how the phonetic vector is laid out.

    Parameters
    ----------
    network : {"auto", "conv", "gru", "transformer", "mlp"}, nn.Module or callable, default="auto"
        Maps frames ``(n, T, D)`` and a mask ``(n, T, 1)`` to ``(n, T, C)``; each encoder has one of
        its own. What it gives beyond the end of an utterance is not read. "gru" reads forwards and
        backwards, as in Chen et al. 2018; "mlp" reads each of the joined frames alone. "auto" is
        "mlp" for ``pooling="frames"``, where what stands beside a phone would be taken for a part
        of it, and "conv" else. A callable gets ``(D, width)``.
    stack : int, default=2
        Frames that are joined to one before the network.
    n_segments : int, default=3
        Parts of equal share of an utterance's time, each of which has its own slice of the phonetic
        vector, in order.
    content_norm : {None, "instance"}, default=None
        "instance" shows the phonetic encoder frames that are normalized within the utterance (Chou
        et al. 2019).
    pooling : {"utterance", "frames", "both"}, default="utterance"
        What the phonetic encoder learns to give: a vector of the utterance, a vector of every
        ``stack`` frames (20 ms by default; see `repkit.SpeechAutoencoder.transform_frames`), or
        both, with the same body. With "frames", the vector of an utterance is the mean of those of
        its frames.
    statistics : bool, default=False
        Whether the speaker encoder also reads mean and deviation of each column of the frames
        themselves, where rooms and microphones show most plainly.
    whiten : bool, default=True
        Whether vectors of frames are given in a basis in which other voices move them equally far
        in all directions, found after training from the perturbation. Distances then tell phones
        rather than rooms and voices. Without a perturbation of voices it is left out.

    Examples
    --------
    >>> from repkit import SpeechAutoencoder
    >>> SpeechAutoencoder(encoder="gru").set_params(encoder__stack=3).encoder
    SpeechEncoder('gru', stack=3)
    """

    network: str | nn.Module | Callable[..., nn.Module] = network(default="auto", kw_only=False)
    stack: int = integer(1, 1000, default=2)
    n_segments: int = integer(1, 1000, default=3)
    content_norm: str | None = choice(None, "instance", default=None)
    pooling: str = choice("utterance", "frames", "both", default="utterance")
    statistics: bool = flag(default=False)
    whiten: bool = flag(default=True)


@parameters
class Swap(Part):
    """Whose speaker vector the decoder gets, and what it learns from that.

    Parameters
    ----------
    on : bool, default=True
        Whether an utterance is rebuilt with the speaker vector of another utterance of its speaker,
        rather than its own.
    cycle : float, default=0.0
        Weight in the decoder of what the encoders find wrong in converted utterances: speaker
        vectors that are not those asked for, and other prototypes, where there are any.
    reconstruction_share : float, default=1.0
        Share of the reconstruction's gradient that reaches the phonetic encoder, from 0 to 1.

    Examples
    --------
    >>> from repkit import SpeechAutoencoder
    >>> from repkit.speech import Swap
    >>> SpeechAutoencoder(swap=Swap(cycle=0.3)).swap
    Swap(True, cycle=0.3)
    """

    on: bool = choice(False, True, default=True, kw_only=False)
    cycle: float = number(default=0.0)
    reconstruction_share: float = number(0.0, 1.0, default=1.0)


@parameters
class SpeakerLoss(Part):
    """Speaker vectors of one speaker are pulled together, those of two pushed apart.

    Parameters
    ----------
    weight : float, default=1.0
        Weight of the loss.
    margin : float, default=1.0
        Least distance wanted between vectors of two speakers, from 0 to 2: the vectors have
        length 1.
    kind : {"margin", "centroid"}, default="margin"
        "margin" compares all pairs of a step. "centroid" names the speaker by the cosine with the
        mean vector of each speaker of the step (Wan et al. 2018, GE2E), and knows no margin.
    scale : float, default=10.0
        Factor of the cosines of "centroid".
    voices : float, default=0.0
        How much every speaker of a step is heard in another voice and room, too, one for all
        utterances of that speaker, which counts as another speaker; from 0, not at all, to 3. Few
        speakers then teach the differences between many, and speakers that were never seen are
        told apart better. Of log-mel frames without differences only.

    Examples
    --------
    >>> from repkit import SpeechAutoencoder
    >>> SpeechAutoencoder(speaker_loss=0.5).set_params(speaker_loss__margin=1.5).speaker_loss
    SpeakerLoss(0.5, margin=1.5)
    """

    weight: float = number(default=1.0, kw_only=False)
    margin: float = number(0.0, 2.0, default=1.0)
    kind: str = choice("margin", "centroid", default="margin")
    scale: float = number(1e-3, default=10.0)
    voices: float = number(0.0, 3.0, default=0.0)


@parameters
class Adversary(Part):
    """The network that looks for the speaker in phonetic vectors.

    Parameters
    ----------
    kind : {"classifier", "pair", "wasserstein"}, default="classifier"
        "classifier" names the speaker. "pair" tells pairs of one speaker from pairs of two by a
        logit, "wasserstein" in the form of Chen et al. 2018, with a gradient penalty.
    weight : float, default=0.3
        Weight in the phonetic encoder of the adversary's loss, once it has risen.
    d_steps : int, default=2
        Steps of the adversary in each step of the others.
    start : float, default=0.0
        Progress, from 0 to 1, at which the weight begins to rise.
    warmup : float, default=0.3
        Share of the training over which the weight rises, along the ramp of Ganin et al. 2016.

    Examples
    --------
    >>> from repkit import SpeechAutoencoder
    >>> SpeechAutoencoder(adversary="pair").set_params(adversary__weight=0.1).adversary
    Adversary('pair', weight=0.1)
    """

    kind: str = choice("classifier", "pair", "wasserstein", default="classifier", kw_only=False)
    weight: float = number(default=0.3)
    d_steps: int = integer(1, 1000, default=2)
    start: float = number(0.0, 1.0, default=0.0)
    warmup: float = number(0.0, 1.0, default=0.3)


@parameters
class Prototypes(Part):
    """Clusters of phonetic vectors of which every speaker has equal shares.

    Parameters
    ----------
    sizes : tuple of int, default=(20, 40)
        Numbers of clusters of whole vectors, one for each clustering. () makes none.
    segment_size : int, default=16
        Number of clusters of each segment's slice of the vector. 0 makes none.
    frame_size : int, default=64
        Number of clusters of the vectors of frames, where the encoder gives such. 0 makes none.
    weight : float, default=1.0
        Weight of the loss by which the phonetic encoder learns to tell the clusters.
    start : float, default=0.15
        Progress, from 0 to 1, at which clusters are made, rounded to whole epochs.
    quantize : float, optional
        Temperature at which phonetic vectors are softly replaced by the prototypes of ``sizes``
        next to them: 0.1, say. In training, decoder and adversary get the replaced vectors; after
        it, they are what comes out. Quantizing takes away much of what nonlinear probes read of the
        speaker, and some of what is said. With fewer than two known speakers nothing is quantized.
    quantize_start : float, default=0.3
        Progress, from 0 to 1, at which quantizing begins in training. It never begins before there
        are clusters.

    Examples
    --------
    >>> from repkit import SpeechAutoencoder
    >>> model = SpeechAutoencoder(prototypes=(40, 80))
    >>> model.set_params(prototypes__quantize=0.1).prototypes
    Prototypes((40, 80), quantize=0.1)
    """

    sizes: tuple[int, ...] = sizes(2, MOST_UNITS, default=(20, 40), kw_only=False)
    segment_size: int = anything(_none_or_several, default=16)
    frame_size: int = anything(_none_or_several, default=64)
    weight: float = number(default=1.0)
    start: float = number(0.0, 1.0, default=0.15)
    quantize: float | None = number(1e-3, default=None, optional=True)
    quantize_start: float = number(0.0, 1.0, default=0.3)
