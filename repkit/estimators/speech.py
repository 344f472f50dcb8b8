"""`SpeechAutoencoder`: what was said, and who said it, in two vectors."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Mapping
from types import SimpleNamespace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from repkit import nets
from repkit.data import mix
from repkit.engine import Engine
from repkit.erasure import leace
from repkit.estimators.choices import check_choice, check_integer, check_number, rate_of
from repkit.estimators.saved import take_weights
from repkit.estimators.speakers import speaker_labels
from repkit.estimators.two_vectors import TwoVectors
from repkit.features import statistics
from repkit.nets.modes import evaluating
from repkit.nets.speech import (
    Decoder,
    Encoder,
    Prototypes,
    Unit,
    build_body,
    critic,
    slices,
)
from repkit.optim import Adam
from repkit.perturb import Chain, RandomSpeed, RandomVoice
from repkit.segments import Frames, Segments
from repkit.systems.prototypes import Assignments
from repkit.systems.speech import Objective, Perturb, speech
from repkit.training import Callback

SPEAKER_SHARE = 2 / 3  # width of the speaker encoder, of ``n_features``


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
        "instance": the phonetic encoder sees frames normalised within the utterance.
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
        Numbers of clusters, balanced within each speaker, that phonetic vectors are pulled to; None
        or (): none.
    segment_prototypes : int, default=16
        The same for the slice of each segment; 0: none.
    prototype_weight : float, default=1.0
    prototype_start : float, default=0.15
        Share of the training before clusters are made.
    reconstruction_share : float, default=1.0
        Share of the reconstruction's gradient that reaches the phonetic encoder.
    quantise : float, optional
        Replace phonetic vectors softly by the prototypes next to them, with this temperature (.1,
        say): in training for decoder and adversary, and in what comes out. It takes most of the
        speaker away from nonlinear probes too, and some of what is said.
    quantise_start : float, default=0.3
        Share of the training before that.
    cycle : float, default=0.0
        Weight in the decoder of a loss by which converted utterances keep their prototypes.
    perturb : bool or callable, default=True
        Let the phonetic encoder read other voices and speeds (of MFCC and of ready frames: speeds).
        A callable maps ``(x, length, y)``, frames ``(n, T, D)`` before standardisation, lengths and
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
        For each epoch: loss_A, reconstruction_loss (per frame and column, of standardised frames),
        speaker_loss, prototype_loss, and of the adversary loss_D, d_accuracy and lam; seconds.
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
        quantise: float | None = None,
        quantise_start: float = 0.3,
        cycle: float = 0.0,
        perturb: bool | Perturb = True,
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
        self.quantise = quantise
        self.quantise_start = quantise_start
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
            folder, or frames ``(T, D)``; see `repkit.features.as_utterances`. A silent waveform is
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
        repkit.features.AudioError
            (a ``ValueError``) An utterance cannot be used, and ``on_error="raise"``.
        ValueError
            Among others: a parameter out of its range, y of another length, an encoder that does
            not fit the frames.

        Warns
        -----
        UserWarning
            If all known speakers are one: nothing can then be learnt of speakers, and the model is
            an auto-encoder with two vectors.
        ConvergenceWarning
            If a loss is not finite.
        """
        self._check_parameters()
        utterances, dtype = self._utterances(X, reset=True)
        labels, known = speaker_labels(y, pairs, len(utterances))
        read = self._speech(utterances, dtype, self._resolve_device())
        if len(read.frames) < 2:
            raise ValueError(f"{len(read.frames)} utterance is left of {read.n}: 2 are required")
        self.skipped_, self.kind_ = read.skipped, read.kind
        self.input_shape_ = read.frames[0].shape[1:]
        self.mean_, self.std_ = statistics(read.frames)
        place = self._learn_speakers(labels[read.kept], known[read.kept])
        with self._training((read.frames, place)) as (device, seed, checkpoints):
            torch.manual_seed(mix(seed, 0))
            networks = self._networks()
            if self.warm_start:
                take_weights(networks, getattr(self, "networks_", {}))
            frames = Frames(read.frames, device)
            engine = self._engine(networks, frames, place, device, seed)
            self.device_ = device
            self._train(engine, checkpoints=checkpoints, evaluate=dict)
            self._learn_erasure(frames, place)
        return self

    def _learn_speakers(self, labels: np.ndarray, known: np.ndarray) -> np.ndarray:
        """Set ``speakers_``; the place of each utterance's among them, -1 where it is unknown."""
        self.speakers_, found = np.unique(labels[known], return_inverse=True)
        if len(self.speakers_) == 1:
            warnings.warn(
                f"all utterances of known speaker are of one, {self.speakers_[0]}: the speaker "
                "losses and the adversary need two, and are left out",
                stacklevel=3,
            )
        place = np.full(len(labels), -1, dtype=np.int64)
        place[known] = found
        return place

    def _check_parameters(self) -> None:
        check_integer(
            self,
            phonetic_dim=1,
            speaker_dim=1,
            sample_rate=1,
            n_mels=1,
            stack=1,
            n_features=12,
            n_segments=1,
            segment_prototypes=0,
            n_discriminator_steps=1,
            batch_speakers=2,
            batch_segments=2,
            max_frames=1,
            max_epochs=1,
        )
        if self.steps_per_epoch is not None:
            check_integer(self, steps_per_epoch=1)
        check_number(
            self,
            speaker_weight=(0, np.inf),
            margin=(0, 2),
            adversary_weight=(0, np.inf),
            adversary_start=(0, 1),
            adversary_warmup=(0, 1),
            prototype_weight=(0, np.inf),
            prototype_start=(0, 1),
            reconstruction_share=(0, 1),
            quantise_start=(0, 1),
            cycle=(0, np.inf),
            learning_rate=(0, np.inf),
            adversary_learning_rate=(0, np.inf),
            beta1=(0, 0.999),
            weight_decay=(0, np.inf),
        )
        check_choice(
            self,
            output=("both", "phonetic", "speaker"),
            features=("logmel", "mfcc"),
            deltas=(False, True),
            content_norm=(None, "instance"),
            swap=(False, True),
            adversary=(None, "classifier", "pair", "wasserstein"),
            erase=(None, "leace"),
            on_error=("raise", "skip"),
            compile=(False, True),
        )
        if not callable(self.perturb):
            check_choice(self, perturb=(False, True))
        if self.n_features % 12:
            raise ValueError(f"n_features must be a multiple of 12, not {self.n_features!r}")
        sizes = self.prototypes or ()
        if not all(isinstance(k, int | np.integer) and k > 1 for k in sizes):
            raise ValueError(
                f"prototypes must be numbers of clusters of at least 2, not {self.prototypes!r}"
            )
        if self.quantise is not None:
            check_number(self, quantise=(1e-3, np.inf))
            if not sizes:
                raise ValueError(f"quantise={self.quantise!r} needs prototypes; there are none")

    # ---------------------------------------------------------------- networks

    @property
    def _told_apart(self) -> bool:
        """Whether there are two speakers."""
        return len(self.speakers_) > 1

    def _networks(self) -> dict[str, nn.Module]:
        columns, width = self.input_shape_[0], self.n_features
        normed = nn.BatchNorm1d(self.phonetic_dim, affine=False)
        instance = self.content_norm == "instance"
        body, wide = build_body(self.encoder, self.stack * columns, width)
        other, narrow = build_body(self.encoder, self.stack * columns, round(SPEAKER_SHARE * width))
        networks: dict[str, nn.Module] = {
            "Ep": Encoder(body, wide, self.phonetic_dim, self.stack, self._parts, normed, instance),
            "Es": Encoder(other, narrow, self.speaker_dim, self.stack, 0, Unit()),
            "R": Decoder(self.phonetic_dim, self.speaker_dim, columns, width, self.stack),
        }
        if self._told_apart and self.adversary == "classifier":
            networks["D"] = critic(self.phonetic_dim, len(self.speakers_))
        elif self._told_apart and self.adversary is not None:
            networks["D"] = critic(3 * self.phonetic_dim, 1)
        if heads := self._heads():
            networks["K"] = Prototypes(heads)
        return networks

    @property
    def _parts(self) -> int:
        """Slices of the phonetic vector, none of them empty."""
        return min(self.n_segments, self.phonetic_dim)

    def _heads(self) -> list[tuple[slice, int]]:
        """Slices of the phonetic vector, and the number of clusters of each."""
        if not self._told_apart:
            return []
        heads = [(slice(0, self.phonetic_dim), int(k)) for k in self.prototypes or ()]
        if self.segment_prototypes:
            own = slices(self.phonetic_dim, self._parts)
            heads += [(part, self.segment_prototypes) for part in own]
        return heads

    def _resolve_precision(self, device: torch.device, networks: dict[str, nn.Module]) -> str:
        if self.precision == "auto" and device.type == "cpu":
            return "fp32"
        return super()._resolve_precision(device, networks)

    def _perturbation(self, frames: Frames, place: np.ndarray) -> Perturb | None:
        if self.perturb is False or callable(self.perturb):
            return self.perturb or None
        speed = RandomSpeed()
        if self.kind_ != "audio" or self.features != "logmel" or self.deltas:
            return speed
        owner = torch.from_numpy(np.repeat(place, frames.lengths)).to(frames.device)
        means = [frames.all[owner == k].mean(0) for k in range(len(self.speakers_))]
        table = torch.stack(means) if means else frames.all.new_zeros(0, self.n_mels)
        mean = torch.from_numpy(self.mean_).to(frames.device)
        voice = RandomVoice(self.sample_rate, mean.cpu(), table.cpu()).to(frames.device)
        return Chain(speed, voice)

    def _engine(
        self,
        networks: Mapping[str, nn.Module],
        frames: Frames,
        place: np.ndarray,
        device: torch.device,
        seed: int,
    ) -> Engine:
        batches = Segments(
            frames,
            place,
            speakers=self.batch_speakers,
            segments=self.batch_segments,
            max_frames=self.max_frames,
            seed=seed,
            steps_per_epoch=self.steps_per_epoch,
        )
        prepare = self._prepare(device)

        def embed(n: SimpleNamespace) -> Tensor:
            return phonetic_vectors(n.Ep, frames, prepare, self.max_frames, self.phonetic_dim)

        assignments = None
        if "K" in networks:
            late = min(round(self.prototype_start * self.max_epochs), self.max_epochs - 1)
            start = late * batches.steps_per_epoch
            assignments = Assignments(place, self._heads(), embed, start=start, seed=seed)
        system = speech(
            networks,
            objective=Objective(
                self.swap,
                self.speaker_weight if self._told_apart else 0.0,
                self.margin,
                self.adversary if "D" in networks else None,
                self.adversary_weight,
                self.adversary_start,
                self.adversary_warmup,
                self.n_discriminator_steps,
                self.prototype_weight,
                self.reconstruction_share,
                self.quantise if "K" in networks else None,
                self.quantise_start,
                self.cycle,
            ),
            prepare=prepare,
            perturb=self._perturbation(frames, place),
            assignments=assignments,
        )
        rates = dict.fromkeys(("A", "R"), (self.learning_rate, self.beta1))
        rates["D"] = self.adversary_learning_rate, 0.5
        return Engine(
            system,
            batches,
            optimizer={
                group: lambda p, rate=rate, beta1=beta1: Adam(  # type: ignore[misc]
                    p, rate, beta1=beta1, weight_decay=self.weight_decay
                )
                for group, (rate, beta1) in rates.items()
            },
            total_steps=self.max_epochs * batches.steps_per_epoch,
            seed=seed,
            precision=self._resolve_precision(device, dict(networks)),
            learning_rate_schedule=rate_of(self),
            compile=self.compile,
        )

    def _learn_erasure(self, frames: Frames, place: np.ndarray) -> None:
        for name in ("erasure_mean_", "erasure_matrix_"):
            self.__dict__.pop(name, None)
        if self.erase is None or not self._told_apart:
            return
        p = self._vectors_of(frames)[0]
        self.erasure_mean_, self.erasure_matrix_ = leace(p[place >= 0], place[place >= 0])


def phonetic_vectors(
    Ep: nn.Module,
    frames: Frames,
    prepare: Callable[[Tensor, Tensor], Tensor],
    max_frames: int,
    dim: int,
) -> Tensor:
    """Of all utterances as they are, in evaluation mode: ``(n, dim)``."""
    out = torch.empty(len(frames.lengths), dim, device=frames.device)
    with torch.no_grad(), evaluating(Ep):
        for rows, x, length in frames.in_order(max_frames):
            out[torch.from_numpy(rows).to(frames.device)] = Ep(prepare(x, length), length).float()
    return out
