"""`SpeechAutoencoder`: what was said, and who said it, in two vectors."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import nn

from repkit import nets
from repkit.audio import statistics
from repkit.engine.training import Callback
from repkit.speech.algorithm import Perturb
from repkit.speech.batches import Frames
from repkit.speech.erasure import leace
from repkit.speech.recipe import (
    check_parameters,
    engine_of,
    has_speakers,
    networks_of,
)
from repkit.speech.speakers import numbered, speaker_labels
from repkit.speech.vectors import TwoVectors


class SpeechAutoencoder(TwoVectors):
    r"""Two vectors of an utterance: what is said, p, and who says it, s.

    A phonetic and a speaker encoder read the frames, and one decoder rebuilds them from both, with
    the speaker vector of *another* utterance of the same speaker. Speaker vectors of one speaker
    are pulled together, those of two are pushed beyond a margin; an adversary looks for the speaker
    in the phonetic vector, and the phonetic encoder learns to leave it nothing to find,

    .. math:: \min_{E_p, E_s, R} \; L_\text{rec} + \alpha L_\text{spk} - \lambda L_D, \qquad
              \min_D L_D

    (Chen et al. 2018, 2019). Beyond the paper, the phonetic encoder reads perturbed voices, and
    learns to tell clusters of which every speaker has equal shares. Speakers that were never seen
    are encoded as well.

    Parameters
    ----------
    phonetic_dim : int, default=32
    speaker_dim : int, default=16
        Speaker vectors have length 1.
    output : {"both", "phonetic", "speaker"}, default="both"
        What `transform` gives.
    sample_rate : int, default=16000
        In Hz, of arrays, and what files are resampled to.
    features : {"logmel", "mfcc"}, default="logmel"
        Frames of 25 ms every 10 ms. The level of log-mel frames is taken out of every utterance.
    n_mels : int, default=40
    deltas : bool, default=False
        Append first and second differences.
    stack : int, default=2
        Frames that the networks take as one.
    content_norm : {None, "instance"}, default=None
        "instance": the phonetic encoder sees frames normalized within the utterance.
    encoder : {"conv", "gru", "transformer"}, nn.Module or callable, default="conv"
        From frames ``(n, T, D)`` and a mask ``(n, T, 1)`` to ``(n, T, C)``, for both encoders; what
        it gives beyond an end is not read. A callable gets ``(D, n_features)``.
    n_features : int, default=96
        Width of the named networks, a multiple of 12; the speaker encoder has two thirds of it.
    n_segments : int, default=3
        Parts of equal share of an utterance's time, each of which has its own slice of the phonetic
        vector, in order.
    swap : bool, default=True
        Decode with the speaker vector of another utterance of the speaker, not the own one.
    speaker_weight : float, default=1.0
        :math:`\alpha`.
    margin : float, default=1.0
        Least distance of vectors of two speakers, between 0 and 2.
    adversary : {"classifier", "pair", "wasserstein", None}, default="classifier"
        It names the speaker, or tells pairs of one speaker from pairs of two, by a logit or in the
        paper's Wasserstein form.
    adversary_weight : float, default=0.3
        The last :math:`\lambda`.
    n_discriminator_steps : int, default=2
        Of the adversary in each step.
    adversary_start : float, default=0.0
        Share of the training before :math:`\lambda` rises.
    adversary_warmup : float, default=0.3
        Share of the training over which :math:`\lambda` rises.
    prototypes : tuple of int or None, default=(20, 40)
        Numbers of clusters, balanced within each speaker, that whole phonetic vectors are pulled
        to; None or (): none. The clusters of slices stay: without any, set both this and
        ``segment_prototypes`` off.
    segment_prototypes : int, default=16
        The same for the slice of each segment; 0: none.
    prototype_weight : float, default=1.0
        Of both.
    prototype_start : float, default=0.15
        Share of the training before clusters are made, rounded to whole epochs.
    reconstruction_share : float, default=1.0
        Share of the reconstruction's gradient that reaches the phonetic encoder, from 0 to 1.
    quantize : float, optional
        Replace phonetic vectors softly by the prototypes next to them, with this temperature (.1,
        say): in training for decoder and adversary, and in what comes out. It takes most of the
        speaker away from nonlinear probes too, and some of what is said. It needs ``prototypes``,
        those of whole vectors; of unknown speakers, or of one, nothing is quantized.
    quantize_start : float, default=0.3
        Share of the training before that; it never begins before clusters are made.
    cycle : float, default=0.0
        Weight in the decoder of what the encoders find wrong in converted utterances: speaker
        vectors that are not those asked for, and other prototypes, where there are any.
    perturb : float or callable, default=1.0
        How much the phonetic encoder reads other voices and speeds (of MFCC and of ready frames:
        speeds); 0: not at all. Stronger ones serve speakers that were never seen.
        A callable maps ``(x, length, y)``, frames ``(n, T, D)`` before standardization, lengths and
        speakers, to ``(x, length)`` of the same shapes.
    erase : {None, "leace"}, default=None
        "leace": after training, remove by a linear map what a linear probe can tell of the training
        speakers from the phonetic vectors, and as little else as possible (Belrose et al. 2023).
    batch_speakers : int, default=6
        Speakers in a batch, about; at least 2.
    batch_segments : int, default=12
        Utterances of each, about; at least 2.
    max_frames : int, default=400
        Training sees random pieces of this length of longer utterances. Elsewhere they are cut into
        equal pieces of at most this length, whose vectors are averaged.
    on_error : {"raise", "skip"}, default="raise"
        Leave out utterances that are empty, silent, not finite or not readable, and list them in
        ``skipped_``. `transform` has NaN rows for them.
    learning_rate : float, default=2e-3
        Of Adam.
    adversary_learning_rate : float, default=2e-3
    beta1 : float, default=0.9
        Of Adam; the adversary's is 0.5.
    learning_rate_schedule : {"constant", "half", "dann", "cosine"} or callable, default="cosine"
        Factor of the learning rates, a function of progress.
    weight_decay : float, default=1e-4
        Decoupled from the gradient.
    max_epochs : int, default=32
    steps_per_epoch : int, optional
        Default: as many as show every utterance once.
    device : str, default="auto"
        A torch device; "auto" is cuda, else mps, else cpu.
    precision : {"auto", "fp32", "bf16"}, default="auto"
        "auto" takes bf16 for convolutions on a GPU that multiplies it.
    compile : bool, default=False
        Use ``torch.compile``.
    checkpoint : path, optional
        A folder: a checkpoint is written after every epoch, and a fit of the same data and
        parameters goes on from it.
    warm_start : bool, default=False
        Start from the networks of the fit before.
    callbacks : iterable of callable, optional
        Each gets the epoch's row of ``history_`` as a dict; a true answer stops.
    verbose : int, default=0
        Above 0, a line an epoch on the logger "repkit".
    random_state : int, RandomState or None, default=None

    Attributes
    ----------
    speakers_ : ndarray
        Those of the training.
    skipped_ : list
        Utterances that ``fit`` left out: index, name and reason.
    networks_ : dict
        ``Ep``, ``Es``, ``R``; ``D`` and ``K`` (prototypes) where they were used.
    history_ : DataFrame
        For each epoch: loss_A, reconstruction_loss (per frame and column, of standardized frames),
        speaker_loss, prototype_loss, and of the adversary loss_D, d_accuracy and lam; with
        ``cycle`` loss_R and cycle_loss, with ``quantize`` quantized, 1 once it has begun; seconds.
    n_iter_ : int
    input_shape_ : tuple of int
        ``(D,)``, columns of a frame.
    device_ : torch.device

    Examples
    --------
    >>> from repkit import SpeechAutoencoder
    >>> from repkit.datasets import make_speech
    >>> data = make_speech(3, 4, 3, random_state=0)
    >>> model = SpeechAutoencoder(sample_rate=8000, max_epochs=2, random_state=0)
    >>> model.fit_transform(data.data, data.speaker).shape
    (36, 48)
    >>> model.convert(data.data[:1], data.data[-1:])[0].shape[1]
    40
    """

    _fitted: ClassVar = (
        "input_shape_",
        "n_features_in_",
        "feature_names_in_",
        "n_iter_",
        "kind_",
        "mean_",
        "std_",
        "speakers_",
        "erasure_mean_",
        "erasure_matrix_",
    )
    _code: ClassVar = ("encoder",)

    speakers_: np.ndarray

    def __init__(
        self,
        phonetic_dim: int = 32,
        speaker_dim: int = 16,
        *,
        output: str = "both",
        sample_rate: int = 16000,
        features: str = "logmel",
        n_mels: int = 40,
        deltas: bool = False,
        stack: int = 2,
        content_norm: str | None = None,
        encoder: nets.Spec = "conv",
        n_features: int = 96,
        n_segments: int = 3,
        swap: bool = True,
        speaker_weight: float = 1.0,
        margin: float = 1.0,
        adversary: str | None = "classifier",
        adversary_weight: float = 0.3,
        n_discriminator_steps: int = 2,
        adversary_start: float = 0.0,
        adversary_warmup: float = 0.3,
        prototypes: tuple[int, ...] | None = (20, 40),
        segment_prototypes: int = 16,
        prototype_weight: float = 1.0,
        prototype_start: float = 0.15,
        reconstruction_share: float = 1.0,
        quantize: float | None = None,
        quantize_start: float = 0.3,
        cycle: float = 0.0,
        perturb: float | Perturb = 1.0,
        erase: str | None = None,
        batch_speakers: int = 6,
        batch_segments: int = 12,
        max_frames: int = 400,
        on_error: str = "raise",
        learning_rate: float = 2e-3,
        adversary_learning_rate: float = 2e-3,
        beta1: float = 0.9,
        learning_rate_schedule: str | Callable[[float], float] = "cosine",
        weight_decay: float = 1e-4,
        max_epochs: int = 32,
        steps_per_epoch: int | None = None,
        device: str = "auto",
        precision: str = "auto",
        compile: bool = False,
        checkpoint: str | os.PathLike[str] | None = None,
        warm_start: bool = False,
        callbacks: Iterable[Callback] | None = None,
        verbose: int = 0,
        random_state: Any = None,
    ) -> None:
        self.phonetic_dim = phonetic_dim
        self.speaker_dim = speaker_dim
        self.output = output
        self.sample_rate = sample_rate
        self.features = features
        self.n_mels = n_mels
        self.deltas = deltas
        self.stack = stack
        self.content_norm = content_norm
        self.encoder = encoder
        self.n_features = n_features
        self.n_segments = n_segments
        self.swap = swap
        self.speaker_weight = speaker_weight
        self.margin = margin
        self.adversary = adversary
        self.adversary_weight = adversary_weight
        self.n_discriminator_steps = n_discriminator_steps
        self.adversary_start = adversary_start
        self.adversary_warmup = adversary_warmup
        self.prototypes = prototypes
        self.segment_prototypes = segment_prototypes
        self.prototype_weight = prototype_weight
        self.prototype_start = prototype_start
        self.reconstruction_share = reconstruction_share
        self.quantize = quantize
        self.quantize_start = quantize_start
        self.cycle = cycle
        self.perturb = perturb
        self.erase = erase
        self.batch_speakers = batch_speakers
        self.batch_segments = batch_segments
        self.max_frames = max_frames
        self.on_error = on_error
        self.learning_rate = learning_rate
        self.adversary_learning_rate = adversary_learning_rate
        self.beta1 = beta1
        self.learning_rate_schedule = learning_rate_schedule
        self.weight_decay = weight_decay
        self.max_epochs = max_epochs
        self.steps_per_epoch = steps_per_epoch
        self.device = device
        self.precision = precision
        self.compile = compile
        self.checkpoint = checkpoint
        self.warm_start = warm_start
        self.callbacks = callbacks
        self.verbose = verbose
        self.random_state = random_state

    # ---------------------------------------------------------------- fit

    def fit(self, X: Any, y: Any = None, *, pairs: Any = None) -> Self:
        """Train encoders, decoder and adversary.

        Parameters
        ----------
        X : list, array, str or Path
            A list of 1-D waveforms, a 2-D array with one a row, paths of audio files or of a
            folder, or frames ``(T, D)``; see `repkit.audio.as_utterances`. A silent waveform is
            an error, or skipped; a silent row of an array is taken as silence.
        y : array-like of shape (n,), optional
            The speaker of each utterance, labels of any kind; -1 (or "-1" among strings) where it
            is unknown. Utterances of unknown speaker only serve the reconstruction, with their own
            speaker vector. None: all unknown.
        pairs : array-like of shape (m, 2), optional
            In the place of y: numbers of utterances known to be of the same speaker, of one
            recording, say. All that is connected is one speaker, and what is not is taken as of
            different ones; an utterance in no pair is of unknown speaker.

        Raises
        ------
        repkit.audio.AudioError
            (a ``ValueError``) An utterance cannot be used, and ``on_error="raise"``.
        ValueError
            Among others: a parameter out of its range, ``quantize`` without prototypes, y
            of another length, an encoder that does not fit the frames.

        Warns
        -----
        UserWarning
            If all known speakers are one: nothing can then be learned of speakers, and the model is
            an auto-encoder with two vectors.
        ConvergenceWarning
            If a loss is not finite.
        """
        check_parameters(self)
        utterances, dtype = self._utterances(X, reset=True)
        labels, known = speaker_labels(y, pairs, len(utterances))
        read = self._speech(utterances, dtype, self._resolve_device())
        if len(read.frames) < 2:
            raise ValueError(f"{len(read.frames)} utterance is left of {read.n}: 2 are required")
        self.skipped_, self.kind_ = read.skipped, read.kind
        self.input_shape_ = read.frames[0].shape[1:]
        self.mean_, self.std_ = statistics(read.frames)
        self.speakers_, place = numbered(labels[read.kept], known[read.kept])
        if len(self.speakers_) == 1:
            warnings.warn(
                f"all utterances of known speaker are of one, {self.speakers_[0]}: the speaker "
                "losses and the adversary need two, and are left out",
                stacklevel=2,
            )
        with self._training((read.frames, place)) as (device, seed, checkpoints):
            networks = self._start(seed)
            frames = Frames(read.frames, device)
            engine = engine_of(self, networks, frames, place, seed)
            self.device_ = device
            self._train(engine, checkpoints=checkpoints, evaluate=dict)
            self._learn_erasure(frames, place)
        return self

    def _networks(self) -> dict[str, nn.Module]:
        return networks_of(self)

    def _resolve_precision(self, device: torch.device, networks: dict[str, nn.Module]) -> str:
        if self.precision == "auto" and device.type == "cpu":
            return "fp32"  # bf16 gains nothing there, on networks of this size
        return super()._resolve_precision(device, networks)

    def _learn_erasure(self, frames: Frames, place: np.ndarray) -> None:
        for name in ("erasure_mean_", "erasure_matrix_"):
            self.__dict__.pop(name, None)
        if self.erase is None or not has_speakers(self):
            return
        p = self._vectors_of(frames)[0]
        self.erasure_mean_, self.erasure_matrix_ = leace(p[place >= 0], place[place >= 0])
