"""Internal. `SpeechAutoencoder`: what was said, and who said it, in two vectors."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from repkit._random import seed_torch
from repkit.audio import statistics
from repkit.audio.reading import folder_speakers
from repkit.base.estimator import Problem
from repkit.base.parameters import (
    MOST_EPOCHS,
    MOST_ROWS,
    MOST_UNITS,
    anything,
    choice,
    filled,
    fitted,
    integer,
    number,
    parameters,
    part,
    per_group,
    schedule,
    sizes,
)
from repkit.base.parts import Optimizer
from repkit.base.rules import OnDevice
from repkit.engine.rng import isolated_rng
from repkit.schedules import RATES
from repkit.speech.algorithm import Objective, Perturb, speech
from repkit.speech.batches import FrameStore, SpeechBatches
from repkit.speech.erasure import erasure
from repkit.speech.frame_vectors import FrameVectors
from repkit.speech.frames import perturbation_basis
from repkit.speech.networks import Codebook, speech_networks
from repkit.speech.parts import Prototypes, SpeechEncoder
from repkit.speech.perturb import OtherSpeakers, probe_perturb, voices_and_speeds
from repkit.speech.prototypes import Assignments, clustered_slices, phonetic_vectors
from repkit.speech.speakers import numbered, speaker_labels
from repkit.speech.utterance_input import doubtful_rate, standardization, utterance_frames
from repkit.speech.vectors import TwoVectors

__all__ = ["SpeechAutoencoder"]

_AT_LEAST_12, _STRENGTH = integer(12, MOST_UNITS, default=96), number(0.0, 3.0, default=1.0)


def _width(name: str, value: Any) -> int:
    found: int = _AT_LEAST_12.metadata["rule"](name, value)
    if found % 12:
        raise ValueError(f"{name} must be a multiple of 12, not {value!r}")
    return found


def _perturb(name: str, value: Any) -> Any:
    return value if callable(value) else _STRENGTH.metadata["rule"](name, value)


@parameters
class SpeechAutoencoder(Objective, FrameVectors, TwoVectors):
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
        Length of the phonetic vector p.
    speaker_dim : int, default=16
        Components of the speaker vector s, whose length is 1.
    encoder : str, nn.Module, callable or SpeechEncoder, default="auto"
        How both encoders read frames, and the layout of p; see `SpeechEncoder`.
    width : int, default=96
        Width of the fully connected layers of networks that are given by name. It is a multiple of
        12, and that of convolutions and recurrent layers too; the speaker encoder has two thirds of
        it.
    perturb : float or callable, default=1.0
        How much the phonetic encoder reads other voices and speeds (of MFCC and of ready frames:
        speeds), from 0, not at all, to 3. Stronger ones serve speakers that were never seen. A
        callable maps ``(x, length, y)``, frames ``(n, T, D)`` before standardization, lengths and
        speakers, to ``(x, length)`` of the same shapes; for vectors of frames it must keep the
        speed even within an utterance.
    erase : {None, "leace", "subspace", "regression"}, default=None
        What takes the speaker out of the phonetic vectors after training, by a linear map. "leace"
        removes what a linear probe can tell of the training speakers, and as little else as
        possible; "subspace" the principal directions of their means; "regression" what the speaker
        vector explains. See `SpeakerErasure`.
    swap : bool or Swap, default=True
        Whether an utterance is rebuilt with the speaker vector of another utterance of its speaker,
        and what the decoder learns from conversions; see `Swap`.
    speaker_loss : float or SpeakerLoss, default=1.0
        :math:`\alpha`, the weight of the loss of speaker vectors, and its margin; see
        `SpeakerLoss`.
    adversary : {"classifier", "pair", "wasserstein"}, Adversary or None, default="classifier"
        What looks for the speaker in p, with which weight :math:`\lambda` and when; see
        `Adversary`. None trains without one.
    prototypes : tuple of int, Prototypes or None, default=(20, 40)
        Numbers of clusters, balanced within each speaker, that phonetic vectors are pulled to; see
        `Prototypes`. None makes no clusters at all, () only those of segments.
    output : {"both", "phonetic", "speaker"}, default="both"
        What `transform` gives.
    sample_rate : int, default=16000
        Sample rate in Hz of arrays, and to which files are resampled.
    front_end : {"logmel", "mfcc"} or SpeechFrames, default="logmel"
        What frames of sound hold; see `SpeechFrames`.
    n_mels : int, default=40
        Mel bands of a frame.
    max_frames : int, default=400
        Training sees random pieces of this length of longer utterances. Elsewhere they are cut into
        equal pieces of at most this length, whose vectors are averaged.
    on_error : {"raise", "skip"}, default="raise"
        "skip" leaves out utterances that are empty, silent, not finite or not readable, and lists
        them in ``skipped_``. `transform` has NaN rows for them.
    max_epochs : int, default=32
        Length of the training.
    steps_per_epoch : int, optional
        Steps in an epoch. By default, as many as show every row once.
    batch_size : (int, int), default=(6, 12)
        Speakers in a step, and utterances of each, about; each at least 2.
    learning_rate : float or dict, default=2e-3
        Learning rate. A dict gives rates by the name of a network, or of a module inside one:
        ``{"Ep": 1e-4, "Ep.body": 1e-5}``. The longest name that matches wins, and modules
        without one keep the default.
    learning_rate_schedule : {"constant", "half", "dann", "cosine"} or callable, default="cosine"
        Factor of the learning rate, as a function of the progress p from 0 to 1. "half" is 1, and
        from p = 1/2 on an exponential fall to 0.01; "dann" is ``(1 + 10 p) ** -0.75``; "cosine" is
        a rise over the first twentieth, then a half cosine down to 0.
    optimizer : {"adam", "sgd"}, callable or Optimizer, default=Optimizer("adam", weight_decay=1e-4)
        How gradients become steps; see `repkit.Optimizer`. The adversary's momentum is always 0.5.
    device : str or torch.device, default="auto"
        Where to train. "auto" is CUDA if there is one that works, else the CPU.
    precision : {"auto", "fp32", "bf16"}, default="auto"
        Precision of the training. "auto" takes bf16 for convolutions where that is quicker: on a
        GPU by its generation, on a CPU by a few steps of either, which the first fit of such
        networks and batches takes on copies. What they show is kept for the machine. Here it is
        fp32 on any CPU: bf16 takes longer on networks of this size.
    compile : bool, default=False
        Whether to compile the networks with ``torch.compile``, which takes seconds to minutes in
        the first steps. On a CPU it has never paid. On a GPU small networks gain up to a quarter
        by it, large ones may lose.
    checkpoint : path, optional
        A folder. A checkpoint is written there after every epoch, and a later fit of the same data
        and parameters goes on from it. A fit with a larger ``max_epochs`` goes on from the longest
        shorter run; schedules then follow the new length, of which a warning tells.
    warm_start : bool, default=False
        Whether to start from the networks of the fit before.
    callbacks : callable or iterable of callable, optional
        Called after every epoch with its row of ``history_`` as a dict. Training stops
        if one returns a true value. Ready ones are in `repkit.callbacks`.
    verbose : int or bool, default=0
        Above 0, a bar is shown on a terminal or in a notebook; elsewhere a line an epoch, by the
        logger "repkit" if it has a handler, else on standard output. At 0, a fit on a CPU whose
        ``max_epochs``, ``steps_per_epoch``, ``callbacks`` and ``checkpoint`` are left as they are
        warns early if it will take more than ten minutes.
    random_state : int, RandomState, Generator or None, default=None
        Seed of everything random. With an int, every fit gives the same model.

    Attributes
    ----------
    networks_ : dict of str to nn.Module
        The trained networks, in evaluation mode: ``Ep``, ``Es`` and ``R``, and ``D`` (adversary)
        and ``K`` (prototypes) where they were used; of vectors of frames ``F``, ``Df`` and ``Kf``.
    weights_ : dict
        The weights of the "last" epoch, by network.
    history_ : DataFrame
        One row an epoch: loss_A, reconstruction_loss (per frame and column, of standardized frames)
        and seconds. The same of vectors of frames begin with ``frame_``. From two known speakers
        on, speaker_loss, prototype_loss, and of the adversary loss_D, lam (its weight) and
        d_accuracy; the last is the share of its judgments that are right, of "wasserstein", which
        may order pairs either way, the share of the more frequent order. With ``cycle``, loss_R and
        cycle_loss; with ``quantize``, quantized, 1 once it has begun.
    speakers_ : ndarray
        The speakers of the training.
    skipped_ : list of Skipped
        Utterances that ``fit`` left out: index, name and reason.
    n_iter_ : int
        Epochs trained.
    input_shape_ : tuple of int
        Shape of one sample: ``(D,)``, the columns of a frame.
    device_ : torch.device
        Where it was trained; after unpickling or loading, the CPU.
    precision_ : str
        The precision of the training, "fp32" or "bf16".

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

    encoder: Any = part(SpeechEncoder, default="auto")
    width: int = anything(_width, default=96)
    perturb: float | Perturb = anything(_perturb, default=1.0)
    erase: str | None = choice(None, "leace", "subspace", "regression", default=None)
    max_epochs: int = integer(1, MOST_EPOCHS, default=32)
    batch_size: tuple[int, int] = sizes(2, MOST_ROWS, length=2, default=(6, 12))
    learning_rate: float | Mapping[str, float] = per_group(default=2e-3)
    learning_rate_schedule: str | Callable[[float], float] = schedule(RATES, default="cosine")
    optimizer: Any = part(Optimizer, default=Optimizer("adam", weight_decay=1e-4))

    _fitted: ClassVar = (
        *TwoVectors._fitted,
        "speakers_",
        "frame_mean_",
        "frame_basis_",
        "frame_erasure_mean_",
        "frame_erasure_matrix_",
    )
    _live: ClassVar = ("output", "on_error", "max_frames")

    speakers_: np.ndarray = fitted()
    frame_mean_: np.ndarray = fitted()
    frame_basis_: np.ndarray = fitted()
    frame_erasure_mean_: np.ndarray = fitted()
    frame_erasure_matrix_: np.ndarray = fitted()

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
            speaker vector. By default, the files of a folder that lie in several sub-folders have
            the names of those as speakers, and all other utterances are of unknown speaker. Give y
            where sub-folders are anything else: words, or parts of a corpus.
        pairs : array-like of shape (m, 2), optional
            In the place of y: numbers of utterances known to be of the same speaker, of one
            recording, say. All that is connected is one speaker, and what is not is taken as of
            different ones; an utterance in no pair is of unknown speaker.

        Returns
        -------
        SpeechAutoencoder
            Itself, fitted.

        Raises
        ------
        repkit.audio.AudioError
            (a ``ValueError``) If an utterance cannot be used, and ``on_error="raise"``.
        TypeError, ValueError
            If a parameter is out of its range, y is of another length, an encoder does not fit the
            frames, or fewer than two utterances are usable.

        Warns
        -----
        UserWarning
            If utterances were left out (``on_error="skip"``); ``skipped_`` lists them. If arrays
            have no energy in the upper two thirds of what ``sample_rate`` allows, as where it is
            lower than theirs. If all known
            speakers are one: nothing can then be learned of speakers, and the model is an
            auto-encoder with two vectors.
        ConvergenceWarning
            If a loss is not finite.
        """
        return self._fit(X, y, pairs)

    def _check_together(self) -> None:
        p = self.prototypes
        if self.encoder.pooling == "frames" and (self.swap.cycle or (p and p.quantize)):
            name = "swap__cycle" if self.swap.cycle else "prototypes__quantize"
            raise ValueError(
                f"{name} is about the vectors of utterances, which encoder__pooling='frames' does "
                "not train; give encoder__pooling='both', or leave it out"
            )
        if p is not None and p.quantize is not None and not p.sizes:
            raise ValueError(
                f"prototypes__quantize={p.quantize!r} needs clusters of whole vectors; give "
                "prototypes__sizes=(20, 40), say, or prototypes__quantize=None; those of "
                "prototypes__segment_size do not serve, they are of slices"
            )

    def _read(self, X: Any, y: Any, pairs: Any) -> tuple[list[np.ndarray], np.ndarray]:
        utterances, _ = self._utterances(X, reset=True)
        if len(utterances) < 2:
            raise ValueError(
                f"X has {len(utterances)} utterance (n_samples={len(utterances)}) while a minimum "
                "of 2 is required to fit"
            )
        if y is None and pairs is None and isinstance(X, str | os.PathLike):
            y = folder_speakers(utterances.items)
        labels, known = speaker_labels(y, pairs, len(utterances))
        found = utterance_frames(utterances, self._front_end(), torch.device(self.device))
        if len(found.frames) < 2:
            raise ValueError(f"{len(found.frames)} utterance is left of {found.n}: 2 are required")
        found.warn("fit left out {} of {} utterances", stacklevel=6)
        # Files say their rate themselves.
        arrays = utterances.kind == "audio" and not utterances.of_files
        doubt = doubtful_rate(found.frames, self._front_end()) if arrays else None
        if doubt:
            warnings.warn(doubt, stacklevel=5)
        self.skipped_, self.kind_ = found.skipped, utterances.kind
        self.input_shape_ = found.frames[0].shape[1:]
        self.mean_, self.std_ = statistics(found.frames)
        self.speakers_, place = numbered(labels[found.kept], known[found.kept])
        if len(self.speakers_) < 2:
            found_one = ", ".join(map(str, self.speakers_))
            of_one = f"all utterances of known speaker are of one, {found_one}"
            warnings.warn(
                f"{of_one if found_one else 'no utterance is of known speaker'}: the "
                "speaker losses and the adversary need two, and are left out; give y, or pairs",
                stacklevel=5,
            )
        return found.frames, place

    def _objective(self) -> Objective:
        """What is trained; without two known speakers, nothing about speakers."""
        if len(self.speakers_) > 1:
            return filled(Objective, vars(self))
        return Objective(swap=self.swap, speaker_loss=0.0, adversary=None, prototypes=None)

    def _heads(self) -> list[tuple[slice, int]]:
        """Slices of the phonetic vector that are clustered, and the clusters of each."""
        p, segments = self._objective().prototypes, self.encoder.n_segments
        if p is None:
            return []
        segments = min(segments, self.phonetic_dim)
        return clustered_slices(self.phonetic_dim, segments, p.sizes, p.segment_size)

    def _networks(self) -> dict[str, nn.Module]:
        objective = self._objective()
        adversary, prototypes = objective.adversary, objective.prototypes
        return speech_networks(
            self.input_shape_[0],
            encoder=self.encoder,
            width=self.width,
            phonetic_dim=self.phonetic_dim,
            speaker_dim=self.speaker_dim,
            n_speakers=len(self.speakers_),
            adversary=None if adversary is None else adversary.kind,
            heads=self._heads(),
            frame_clusters=0 if prototypes is None else prototypes.frame_size,
        )

    def _problem(
        self,
        data: tuple[list[np.ndarray], np.ndarray],
        networks: dict[str, nn.Module],
        device: torch.device,
        seed: int,
    ) -> Problem:
        frames, speaker = FrameStore(data[0], device), data[1]
        speakers, utterances = self.batch_size
        batches = SpeechBatches(
            frames,
            speaker,
            speakers=speakers,
            utterances=utterances,
            max_frames=self.max_frames,
            seed=seed,
            steps_per_epoch=self.steps_per_epoch,
        )
        prepare = standardization(self.mean_, self.std_, device)
        objective, assignments = self._objective(), None
        if "K" in networks:
            of, epochs = objective.prototypes, self.max_epochs
            first = min(round(of.start * epochs), epochs - 1)
            # Not before there are clusters: directions are random until then.
            begins = max(of.quantize_start, first / epochs)
            objective.prototypes = Prototypes(**{**of.get_params(), "quantize_start": begins})
            assignments = Assignments(
                speaker,
                self._heads(),
                lambda n: phonetic_vectors(
                    n.Ep,
                    frames,
                    prepare,
                    phonetic_dim=self.phonetic_dim,
                    max_frames=self.max_frames,
                ),
                start=first * batches.steps_per_epoch,
                seed=seed,
            )
        system = speech(
            networks,
            objective=objective,
            prepare=prepare,
            perturb=self._perturbation(frames, speaker),
            voices=self._other_speakers(device),
            assignments=assignments,
        )
        return Problem(system, batches, momentum={"D": 0.5})

    def _perturbation(self, frames: FrameStore, speaker: np.ndarray) -> Perturb | None:
        if callable(self.perturb):
            perturb = OnDevice(self.perturb, frames.device)
            probe_perturb(perturb, len(self.mean_), frames.device, named=self.perturb)
            return perturb
        if not self.perturb:
            return None
        return voices_and_speeds(
            self.perturb,
            frames,
            speaker,
            sample_rate=self.sample_rate,
            mean=self.mean_,
            voices=self._logmel(),
            even=self.encoder.pooling != "utterance",
        )

    def _logmel(self) -> bool:
        """Whether the frames are such that a voice can be changed in them."""
        of = self.front_end
        return bool(self.kind_ == "audio" and of.kind == "logmel" and not of.deltas)

    def _other_speakers(self, device: torch.device) -> Perturb | None:
        strength = self.speaker_loss.voices
        if not strength or not self._logmel():
            return None
        return OtherSpeakers(self.sample_rate, self.n_mels, strength).to(device)

    def _precision(self, device: torch.device) -> str:
        if self.precision == "auto" and device.type == "cpu":
            return "fp32"  # quicker there, with matrix units for bf16 too
        return super()._precision(device)

    def _conclude(self, data: tuple[list[np.ndarray], np.ndarray], scores: np.ndarray) -> None:
        frames, speaker = data
        store = FrameStore(frames, self.device_)
        if "F" in self.networks_ and self.encoder.whiten:
            self._learn_frame_basis(store, speaker)
        if self.erase is None or len(self.speakers_) < 2:
            return
        p, s = self._vectors_of(store)
        self.erasure_mean_, self.erasure_matrix_ = erasure(self.erase, p, s, speaker)
        if "F" in self.networks_:
            self._learn_frame_erasure(store, s, speaker)

    def _learn_frame_basis(self, store: FrameStore, speaker: np.ndarray) -> None:
        """Where there is a perturbation that changes more than the speed."""
        perturb = self._perturbation(store, speaker)
        if perturb is None or not (callable(self.perturb) or self._logmel()):
            return
        prepare = standardization(self.mean_, self.std_, store.device)
        with isolated_rng(store.device):
            seed_torch(0, self.device_)
            self.frame_mean_, self.frame_basis_ = perturbation_basis(
                self.networks_["Ep"], store, speaker, prepare, perturb, self.max_frames
            )

    # ---------------------------------------------------------------- use

    def _phonetic(self, x: Tensor, length: Tensor) -> Tensor:
        p, K = super()._phonetic(x, length), self.networks_.get("K")
        prototypes = self._built.prototypes
        if prototypes is None or not isinstance(K, Codebook):
            return p
        temperature = Prototypes.of(prototypes).quantize
        return p if temperature is None else K.quantized(p, temperature)
