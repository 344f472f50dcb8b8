"""Internal. Random changes of log-mel frames that keep the words: other voices, rooms and speeds.

Each is a module that maps ``x`` (n, T, M), ``length`` (n,) and ``y`` (n,), speakers or -1, to
frames and lengths of the same shape, with new random numbers for every utterance from torch's
global generator. Levels are natural logarithms of energy, 0 about the utterance's mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from repkit._arguments import shown
from repkit.audio.front_end import LOWEST
from repkit.speech.batches import FrameStore

# Widths that keep what is said easy to tell.
SPEED, WARP, FILTER = 0.15, 0.15, 0.3
WARPS = 81  # kept ready, evenly spread


def uniform(x: Tensor, *shape: int) -> Tensor:
    """Numbers on [-1, 1] for each utterance, ``(n, *shape)``."""
    return torch.empty(len(x), *shape, device=x.device).uniform_(-1.0, 1.0)


class RandomSpeed(nn.Module):
    """Slower or faster, and a little faster at one end than at the other.

    Parameters
    ----------
    amount : float
        Greatest natural logarithm of the factor. No utterance outgrows the batch's longest.
    even : bool, default=False
        The same factor from end to end: what lies where can then be told from the lengths.
    """

    def __init__(self, amount: float = SPEED, *, even: bool = False) -> None:
        super().__init__()
        self.amount, self.even = amount, even

    def forward(self, x: Tensor, length: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        time, ends = x.shape[1], (length - 1).float()[:, None]
        factor = torch.exp(uniform(x) * self.amount)
        changed = (length * factor).round().long().clamp(1, time)
        steps = torch.arange(time, device=x.device)
        share = steps / (changed - 1).clamp_min(1)[:, None]
        # Its derivative is between 1 - amount / 2 and 1 + amount / 2: time does not run backwards.
        bend = 0.5 * self.amount / math.pi * uniform(x, 1) * torch.sin(math.pi * share)
        bend = 0.0 * bend if self.even else bend
        place = torch.minimum(((share + bend) * ends).clamp_min(0.0), ends)
        before = place.floor().long()
        after = torch.minimum(before + 1, (length - 1)[:, None])
        weight = (place - before)[..., None]

        def at(index: Tensor) -> Tensor:
            return x.gather(1, index[..., None].expand(-1, -1, x.shape[2]))

        x = torch.lerp(at(before), at(after), weight)
        return x * (steps < changed[:, None])[..., None], changed


class RandomVoice(nn.Module):
    """Another vocal tract, another room and another microphone.

    In this order: frequencies scaled, as by a longer or shorter vocal tract (Jaitly and Hinton
    2013); a smooth filter; part of the way from the speaker's mean spectrum to another's; noise
    below the speech; some neighboring bands replaced by their mean (Park et al. 2019).

    Parameters
    ----------
    sample_rate : int
    mean : Tensor of shape (M,)
        Mean frame of all speakers.
    speaker_means : Tensor of shape (speakers, M)
        May have no row.
    warp : float
        Greatest natural logarithm of the factor of frequencies.
    filter : float
        Standard deviation of the filter's first cosine, a natural logarithm of energy.
    mix : float
        Greatest share of the way to another speaker's mean.
    floor : (float, float)
        Range of the noise's level.
    mask : float
        Greatest share of the bands that is replaced.
    """

    bank: Tensor
    cosines: Tensor
    mean: Tensor
    speaker_means: Tensor

    def __init__(
        self,
        sample_rate: int,
        mean: Tensor,
        speaker_means: Tensor,
        *,
        warp: float = WARP,
        filter: float = FILTER,
        mix: float = 1.0,
        floor: tuple[float, float] = (-10.0, -5.0),
        mask: float = 0.15,
    ) -> None:
        super().__init__()
        n_mels = len(mean)
        self.filter, self.mix, self.floor = filter, mix, floor
        self.widest = int(mask * n_mels)
        factors = torch.linspace(-warp, warp, WARPS).exp()
        for name, value in (
            ("bank", warps(sample_rate, n_mels, factors)),
            ("cosines", smooth(n_mels)),
            ("mean", mean),
            ("speaker_means", speaker_means),
        ):
            self.register_buffer(name, value, persistent=False)

    def forward(self, x: Tensor, length: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        n, _, n_mels = x.shape
        change = self.filter * torch.randn(n, 6, device=x.device) @ self.cosines
        if len(self.speaker_means):
            other = torch.randint(len(self.speaker_means), (n,), device=x.device)
            way = self.speaker_means[other] - self.speaker_means[y.clamp_min(0)]
            change = change + self.mix * torch.rand(n, 1, device=x.device) * way * (y >= 0)[:, None]
        chosen = torch.randint(WARPS, (n,), device=x.device)
        x = torch.bmm(x, self.bank[chosen]) + change[:, None]
        low, high = self.floor
        level = low + (high - low) * torch.rand(n, 1, device=x.device)
        noise = level + 0.5 * torch.randn(n, 3, device=x.device) @ self.cosines[:3]
        x = torch.logaddexp(x, noise[:, None])
        width = torch.randint(self.widest + 1, (n, 1), device=x.device)
        start = (torch.rand(n, 1, device=x.device) * (n_mels - width)).long()
        band = torch.arange(n_mels, device=x.device)
        hidden = (band >= start) & (band < start + width)
        return torch.where(hidden[:, None], self.mean, x), length


class OtherSpeakers(nn.Module):
    """Another vocal tract and another smooth filter for every speaker of the batch.

    All utterances of a speaker are changed alike, so that what comes out is as of other speakers.
    Those of unknown speaker are changed as one.

    Parameters
    ----------
    sample_rate : int
    n_mels : int
    strength : float
        Factor of the widths.
    """

    bank: Tensor
    cosines: Tensor

    def __init__(self, sample_rate: int, n_mels: int, strength: float) -> None:
        super().__init__()
        self.filter = FILTER * strength
        factors = torch.linspace(-WARP * strength, WARP * strength, WARPS).exp()
        self.register_buffer("bank", warps(sample_rate, n_mels, factors), persistent=False)
        self.register_buffer("cosines", smooth(n_mels), persistent=False)

    def forward(self, x: Tensor, length: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        first = (y[:, None] == y[None]).float().argmax(1)  # the speaker's first row draws for all
        chosen = torch.randint(WARPS, (len(x),), device=x.device)[first]
        change = self.filter * torch.randn(len(x), 6, device=x.device) @ self.cosines
        return torch.bmm(x, self.bank[chosen]) + change[first][:, None], length


class Chain(nn.Module):
    """Perturbations one after the other."""

    def __init__(self, *steps: nn.Module) -> None:
        super().__init__()
        self.steps = nn.ModuleList(steps)

    def forward(self, x: Tensor, length: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        for step in self.steps:
            x, length = step(x, length, y)
        return x, length


def voices_and_speeds(
    strength: float,
    frames: FrameStore,
    speaker: np.ndarray,
    *,
    sample_rate: int,
    mean: np.ndarray,
    voices: bool,
    even: bool = False,
) -> nn.Module:
    """The perturbation of a strength.

    Parameters
    ----------
    strength : float
        Factor of the widths that keep what is said easy to tell.
    frames : FrameStore
        Of the training utterances.
    speaker : int64 ndarray of shape (n,)
        Of each utterance, from 0; -1 where unknown.
    sample_rate : int
        In Hz.
    mean : ndarray of shape (M,)
        Mean of all frames.
    voices : bool
        Whether voices are changed too, which needs log-mel frames.
    even : bool, default=False
        Whether the speed stays the same within an utterance.

    Returns
    -------
    nn.Module
        On the device of the frames.
    """
    speed = RandomSpeed(SPEED * strength, even=even)
    if not voices:
        return speed
    voice = RandomVoice(
        sample_rate,
        torch.from_numpy(mean),
        speaker_means(frames, speaker),
        warp=WARP * strength,
        filter=FILTER * strength,
    )
    return Chain(speed, voice.to(frames.device))


def smooth(n_mels: int) -> Tensor:
    """Slow cosines over the bands, of which a random filter is a sum: ``(6, M)``."""
    cosines = torch.cos(
        math.pi * torch.arange(6.0)[:, None] * (torch.arange(n_mels) + 0.5) / n_mels
    )
    return cosines / torch.tensor([1, 0.7, 1, 1.25, 1.7, 2])[:, None]


def speaker_means(frames: FrameStore, speaker: np.ndarray) -> Tensor:
    """Mean frame of each speaker, ``(speakers, M)``, on the CPU."""
    owner = torch.from_numpy(np.repeat(np.arange(len(speaker)), frames.lengths))
    sums = frames.all.new_zeros(len(speaker), frames.all.shape[1])
    # Of utterances first: of few frames, float32 adds up well.
    sums = sums.index_add_(0, owner.to(frames.device), frames.all).cpu().double()
    known, n = torch.from_numpy(speaker >= 0), speaker.max(initial=-1) + 1
    of = torch.from_numpy(speaker)[known]
    total = sums.new_zeros(n, sums.shape[1]).index_add_(0, of, sums[known])
    lengths = torch.from_numpy(frames.lengths).double()[known]
    return (total / sums.new_zeros(n).index_add_(0, of, lengths)[:, None]).float()


def warps(sample_rate: int, n_mels: int, factors: Tensor) -> Tensor:
    """Matrices that scale the frequencies of rows of mel bands: ``(k,) -> (k, M, M)``.

    Band m of ``x @ matrix`` is x at ``factor`` times its frequency, between the two next bands.
    """

    def mel(hertz: Tensor) -> Tensor:
        return 2595.0 * torch.log10(1.0 + hertz / 700.0)

    low, high = mel(torch.tensor([LOWEST, sample_rate / 2.0])).tolist()
    middles = torch.linspace(low, high, n_mels + 2)[1:-1]
    read = mel(700.0 * (10.0 ** (middles / 2595.0) - 1.0) * factors[:, None])
    place = ((read - low) / (high - low) * (n_mels + 1) - 1.0).clamp(0.0, n_mels - 1.0)
    weights = 1.0 - (place[:, None, :] - torch.arange(n_mels)[:, None]).abs()
    return weights.clamp_min(0.0)


def probe_perturb(
    perturb: Callable[..., tuple[Tensor, Tensor]],
    width: int,
    device: torch.device,
    named: Any = None,
) -> None:
    """Raise an error that names the parameter unless frames and lengths become such.

    ``named`` is what the user gave, if ``perturb`` is another form of it.
    """
    named = perturb if named is None else named
    wanted = "perturb must map frames (n, T, d), lengths (n,) and speakers (n,) to frames, lengths"
    length = torch.tensor([20, 16], device=device)
    try:
        frames = torch.zeros(2, 20, width, device=device)
        x, found = perturb(frames, length, torch.zeros_like(length))
        good = x.ndim == 3 and x.shape[::2] == (2, width) and found.shape == (2,)
    except Exception as error:
        raise ValueError(f"{wanted}, but {shown(named)} fails: {error}") from error
    if not good:
        raise ValueError(
            f"{wanted}; {shown(named)} gives {tuple(x.shape)} and {tuple(found.shape)}"
        )
