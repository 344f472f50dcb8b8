"""Internal. Both encoders of speech as one program: frames and lengths in, vectors out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repkit.base.exporting import Program
from repkit.speech.batches import FrameStore
from repkit.speech.bodies import inside
from repkit.speech.utterance_input import QUIET, framed

if TYPE_CHECKING:
    from repkit.speech.vectors import TwoVectors

Encode = Callable[[Tensor, Tensor], Tensor]  # (x, length) -> (n, d)


class Front(nn.Module):
    """Raw frames to what the networks see; see `utterance_input.framed` and `standardization`.

    Parameters
    ----------
    mean, std : ndarray of shape (D,)
    n_level : int
        Columns of log-mel energies, of which the level of the utterance is taken out; or 0.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, mean: np.ndarray, std: np.ndarray, n_level: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(mean).float())
        self.register_buffer("scale", torch.from_numpy(1.0 / std).float())
        self.n_level = n_level

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        if self.n_level:
            mel, rest = x[..., : self.n_level], x[..., self.n_level :]
            weight = torch.where(mask > 0, 0.0, -torch.inf)
            total = mask.sum((1, 2)).clamp_min(1.0) * self.n_level
            level = torch.logsumexp((mel + weight).flatten(1), 1) - total.log()
            mel = F.softplus(mel - level[:, None, None] - QUIET) + QUIET
            x = torch.cat([mel, rest], 2)
        return (x - self.mean) * self.scale


class Erasure(nn.Module):
    """The map of ``erase``; see `erasure.erased_by`."""

    mean: Tensor
    matrix: Tensor

    def __init__(self, mean: np.ndarray, matrix: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(mean).float())
        self.register_buffer("matrix", torch.from_numpy(matrix).float())

    def forward(self, p: Tensor, s: Tensor) -> Tensor:
        known = p if self.mean.shape[0] == p.shape[-1] else torch.cat([p, s], -1)
        return (known - self.mean) @ self.matrix.T + self.mean[: self.matrix.shape[0]]


class SpeechProgram(nn.Module):
    """``(frames, length) -> vectors``: what `transform` gives of frames.

    Parameters
    ----------
    phonetic, speaker : callable
        ``(x, length) -> (n, d)``, of what the networks see.
    networks : dict of str to nn.Module
        That they call.
    front : Front
    erasure : Erasure, optional
    max_frames : int
        Longer utterances are cut into equal pieces of at most this length, as `transform` does.
    output : {"both", "phonetic", "speaker"}
    """

    def __init__(
        self,
        phonetic: Encode,
        speaker: Encode,
        networks: dict[str, nn.Module],
        front: Front,
        erasure: Erasure | None,
        max_frames: int,
        output: str,
    ) -> None:
        super().__init__()
        self.phonetic, self.speaker = phonetic, speaker
        self.networks, self.front, self.erasure = nn.ModuleDict(networks), front, erasure
        self.max_frames, self.output = max_frames, output

    def forward(self, frames: Tensor, length: Tensor) -> Tensor:
        mask = inside(length, frames.shape[1])
        # Beyond the ends there may be anything.
        frames = torch.where(mask > 0, frames, 0.0)
        x = self.front(frames, mask) * mask
        p, s = self._vectors(x, length)
        if self.erasure is not None:
            p = self.erasure(p, s)
        return {"both": torch.cat([p, s], 1), "phonetic": p, "speaker": s}[self.output]

    def _vectors(self, x: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        """Means over the pieces of each utterance, by their lengths; s of length 1."""
        count = (length + self.max_frames - 1) // self.max_frames
        rows = torch.repeat_interleave(torch.arange(length.shape[0]), count)
        place = torch.arange(rows.shape[0]) - (count.cumsum(0) - count)[rows]
        whole, count = length[rows], count[rows]
        first = place * whole // count
        size = (place + 1) * whole // count - first
        # All pieces are padded alike, to max_frames: a graph has one size for them.
        index = (first[:, None] + torch.arange(self.max_frames)).clamp_max(x.shape[1] - 1)
        pieces = x[rows[:, None], index] * inside(size, self.max_frames)
        weight = (size / whole).float()[:, None]

        def mean(given: Tensor) -> Tensor:
            out = torch.zeros(length.shape[0], given.shape[1])
            return out.index_add(0, rows, given.float() * weight)

        p, s = (mean(f(pieces, size)) for f in (self.phonetic, self.speaker))
        return p, F.normalize(s, dim=1)


def speech_program(model: TwoVectors) -> Program:
    """What is exported of a model, a copy on the CPU, and tried with frames of a few lengths."""
    erasure = None
    if hasattr(model, "erasure_matrix_"):
        erasure = Erasure(model.erasure_mean_, model.erasure_matrix_)
    front_end, audio, networks = model._front_end(), model.kind_ == "audio", model.networks_
    module = SpeechProgram(
        model._phonetic,
        networks["Es"],
        {k: networks[k] for k in ("Ep", "Es", "K") if k in networks},
        Front(model.mean_, model.std_, front_end.n_mels if front_end.kind == "logmel" else 0)
        if audio
        else Front(model.mean_, model.std_, 0),
        erasure,
        model.max_frames,
        model.output,
    )
    rng, columns = np.random.default_rng(0), model.input_shape_[0]

    def some(*lengths: int) -> dict[str, Tensor]:
        """Padded frames of any numbers, NaN beyond their ends."""
        x = rng.normal(size=(len(lengths), max(lengths), columns)).astype(np.float32)
        for row, length in zip(x, lengths, strict=True):
            row[length:] = np.nan
        return {"frames": torch.from_numpy(x), "length": torch.tensor(lengths)}

    def given(inputs: dict[str, Tensor]) -> np.ndarray:
        utterances = [
            framed(x[:length].numpy().copy(), model.kind_, front_end)[0]
            for x, length in zip(inputs["frames"], inputs["length"].tolist(), strict=True)
        ]
        p, s = model._vectors_of(FrameStore(utterances, torch.device("cpu")), erase=True)
        return {"both": np.hstack([p, s]), "phonetic": p, "speaker": s}[model.output]

    most = model.max_frames
    told: dict[str, object] = {"columns": model.get_feature_names_out().tolist()}
    if audio:  # how frames are made
        names = ("kind", "sample_rate", "n_mels", "deltas")
        told["front_end"] = {name: getattr(front_end, name) for name in names}
    trials = [some(1), some(2 * most + 3, 7, most, most + 1)]
    return Program(
        module.eval(),
        some(5, most + 5, 9),
        {"frames": {0: "batch", 1: "time"}, "length": {0: "batch"}},
        "transform",
        [(inputs, given(inputs)) for inputs in trials],
        told,
        known=(2, 14),
    )
