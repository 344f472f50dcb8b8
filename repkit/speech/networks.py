"""Internal. Networks of speech: encoders of frames, the decoder, prototypes and the adversary.

All read padded utterances as if each were alone, whatever the batch: frames ``x`` (n, T, D) are
zero beyond ``length`` (n,).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repkit.speech.bodies import Convolutions, build_body, inside
from repkit.speech.parts import SpeechEncoder

SPEAKER_SHARE = 2 / 3  # width of the speaker encoder's body, of the phonetic one's


def joined(x: Tensor, length: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Each n frames side by side, ``(rows, ceil(T / n), n D)``, zeros at the end."""
    rows, time, width = x.shape
    x = F.pad(x, (0, 0, 0, -time % n))
    return x.reshape(rows, -1, n * width), (length + n - 1) // n


def near(place: Tensor, n: int) -> Tensor:
    """Weights of n points for places in [0, n - 1]: linear between the two next ones."""
    return (1.0 - (place[..., None] - torch.arange(n, device=place.device)).abs()).clamp_min(0.0)


def segment_means(h: Tensor, mask: Tensor, n: int) -> Tensor:
    """Means over n overlapping parts of equal share of the time: ``(rows, T, C) -> (rows, n, C)``.

    A frame counts for the two parts whose middles it lies between, by its nearness. A part that no
    frame lies near, of an utterance of few frames, has what lies at its middle.
    """
    time, length = h.shape[1], mask.sum(1)
    steps = torch.arange(time, device=h.device)
    place = ((steps + 0.5) / length * n - 0.5).clamp(0.0, n - 1.0)
    weight = near(place, n) * mask
    middles = (torch.arange(n, device=h.device) + 0.5) / n * length - 0.5
    between = near(torch.minimum(middles.clamp_min(0.0), length - 1.0), time).transpose(1, 2)
    total = weight.sum(1, keepdim=True)
    weight = torch.where(total > 1e-4, weight / total.clamp_min(1e-4), between)
    with torch.autocast(h.device.type, enabled=False):
        return torch.einsum("btn,btc->bnc", weight, h.float())


def mean_deviation(h: Tensor, mask: Tensor) -> Tensor:
    """Mean and standard deviation over time: ``(rows, T, C) -> (rows, 2 C)``."""
    h, count = h.float(), mask.sum(1)
    mean = (h * mask).sum(1) / count
    variance = ((h - mean[:, None]).square() * mask).sum(1) / count
    return torch.cat([mean, (variance + 1e-5).sqrt()], 1)


def slices(dim: int, n: int) -> list[slice]:
    """A row of dim numbers cut into n slices, as equal as can be."""
    edges = [dim * k // n for k in range(n + 1)] if n else []
    return [slice(low, high) for low, high in pairwise(edges)]


def centered(x: Tensor, mask: Tensor) -> Tensor:
    """Each column to mean 0 and about unit deviation within its utterance; zero beyond the end."""
    count = mask.sum(1, keepdim=True)
    x = (x - (x * mask).sum(1, keepdim=True) / count) * mask
    # A column that hardly varies is not blown up.
    return x / (x.square().sum(1, keepdim=True) / count + 0.1).sqrt()


def speech_networks(
    columns: int,
    *,
    encoder: SpeechEncoder,
    width: int,
    phonetic_dim: int,
    speaker_dim: int,
    n_speakers: int,
    adversary: str | None,
    heads: Sequence[tuple[slice, int]],
    frame_clusters: int = 0,
) -> dict[str, nn.Module]:
    """New networks Ep and Es, and, as the encoder's ``pooling`` says, of utterances and of frames.

    Of utterances: R, D with an adversary, and K with clustered slices; of frames: F, Df and Kf.

    Parameters
    ----------
    columns : int
        Of a frame.
    encoder : SpeechEncoder
        Checked.
    width : int
        Of the bodies that are given by name.
    phonetic_dim, speaker_dim : int
        Of the vectors.
    n_speakers : int
        That a classifier tells apart.
    adversary : {"classifier", "pair", "wasserstein"}, optional
        Its kind.
    heads : sequence of (slice, int)
        Slices of the phonetic vector and the prototypes of each.
    frame_clusters : int, default=0
        Prototypes of the vectors of frames.

    Returns
    -------
    dict of str to nn.Module
    """
    stack, n_in = encoder.stack, encoder.stack * columns
    spec = encoder.network
    if isinstance(spec, str) and spec == "auto":
        spec = "mlp" if encoder.pooling == "frames" else "conv"
    body, wide = build_body(spec, n_in, width)
    other, narrow = build_body(spec, n_in, round(SPEAKER_SHARE * width))
    of_frames, whole = encoder.pooling != "utterance", encoder.pooling != "frames"
    networks: dict[str, nn.Module] = {
        "Ep": UtteranceEncoder(
            body,
            wide,
            phonetic_dim,
            stack,
            min(encoder.n_segments, phonetic_dim) if whole else None,
            nn.BatchNorm1d(phonetic_dim, affine=False) if whole else nn.Identity(),
            encoder.content_norm == "instance",
            FrameNorm(phonetic_dim, affine=False) if of_frames else None,
        ),
        "Es": UtteranceEncoder(
            other,
            narrow,
            speaker_dim,
            stack,
            0,
            UnitLength(),
            statistics=columns if encoder.statistics else 0,
        ),
    }
    judged = {"classifier": (phonetic_dim, n_speakers)}.get(adversary or "", (3 * phonetic_dim, 1))
    if whole:
        networks["R"] = FrameDecoder(phonetic_dim, speaker_dim, columns, width, stack)
        if adversary is not None:
            networks["D"] = critic(*judged)
        if heads:
            networks["K"] = Codebook(heads)
    if of_frames:
        networks["F"] = FrameRebuilder(phonetic_dim, speaker_dim, columns, width, stack)
        if adversary is not None:
            networks["Df"] = critic(*judged)
        if frame_clusters:
            networks["Kf"] = Codebook([(slice(0, phonetic_dim), frame_clusters)])
    return networks


class FrameNorm(nn.BatchNorm1d):
    """Batch norm over all frames within the lengths; zero beyond: ``(n, T, C) -> (n, T, C)``."""

    def forward(self, h: Tensor, mask: Tensor) -> Tensor:  # type: ignore[override]
        mean, variance = self.running_mean, self.running_var
        if self.training:
            count = mask.sum()
            mean = (h * mask).sum((0, 1)) / count
            variance = ((h - mean).square() * mask).sum((0, 1)) / count
            if self.track_running_stats:
                self._follow(mean.detach(), variance.detach(), count)
        assert mean is not None
        assert variance is not None
        return (h - mean) * (variance + self.eps).rsqrt() * mask

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        momentum = 0.1 if self.momentum is None else self.momentum
        unbiased = variance * count / (count - 1.0).clamp_min(1.0)
        for running, now in ((self.running_mean, mean), (self.running_var, unbiased)):
            assert running is not None
            running.lerp_(now.to(running.dtype), momentum)


class UtteranceEncoder(nn.Module):
    """A body over joined frames, pooled over time, and a linear layer.

    Parameters
    ----------
    body : nn.Module
    width : int
        Of what it gives.
    dim_out : int
    stack : int
        Frames joined to one.
    segments : int or None
        Pooling over so many parts (`segment_means`), each of which has its own slice of the row
        (`slices`); 0: `mean_deviation` of the whole; None: the mean of the vectors of frames.
    last : nn.Module
        What the rows go through at the end.
    instance_norm : bool
        Give each column mean 0 and deviation 1 within the utterance first (Chou et al. 2019).
    frame_last : nn.Module, optional
        ``(h, mask) -> h``, what vectors of frames go through; there are none without it.
    statistics : int, default=0
        Columns of frames whose mean and deviation are read beside those of what the body gives, all
        through batch norm; 0: they are not. Only with 0 segments.
    """

    def __init__(
        self,
        body: nn.Module,
        width: int,
        dim_out: int,
        stack: int,
        segments: int | None,
        last: nn.Module,
        instance_norm: bool = False,
        frame_last: nn.Module | None = None,
        statistics: int = 0,
    ) -> None:
        super().__init__()
        self.body, self.stack, self.segments = body, stack, segments
        self.instance_norm = instance_norm
        sizes = [(width, part.stop - part.start) for part in slices(dim_out, segments or 0)]
        if segments is not None:
            sizes = sizes or [(2 * (width + statistics), dim_out)]
        self.linear = nn.ModuleList(nn.Linear(*s) for s in sizes)
        self.last, self.frame_last = last, frame_last
        if statistics:
            self.scale = nn.BatchNorm1d(2 * (width + statistics))
        if frame_last is not None:
            self.frame_linear = nn.Linear(width, dim_out)

    def forward(self, x: Tensor, length: Tensor) -> Tensor:
        if not self.linear:
            return self.both(x, length)[0]
        h, mask = self._features(x, length)
        if hasattr(self, "scale"):
            frames = mean_deviation(x, inside(length, x.shape[1]))
            return self._out([self.scale(torch.cat([mean_deviation(h, mask), frames], 1))])
        return self._pooled(h, mask)

    def both(self, x: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        """The vector of the utterance and, zero beyond its end, those of its joined frames.

        ``(n, T, D) -> (n, dim_out), (n, ceil(T / stack), dim_out)``
        """
        assert self.frame_last is not None
        h, mask = self._features(x, length)
        frames = self.frame_last(self.frame_linear(h).float(), mask)
        if not self.linear:
            return frames.sum(1) / mask.sum(1), frames
        return self._pooled(h, mask), frames

    def _features(self, x: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        if self.instance_norm:
            x = centered(x, inside(length, x.shape[1]))
        x, length = joined(x, length, self.stack)
        mask = inside(length, x.shape[1])
        h = self.body(x, mask)
        # Beyond an end there may be anything: zero, lest a NaN of a body outlive its weight of 0.
        return torch.where(mask > 0, h, 0.0), mask

    def _pooled(self, h: Tensor, mask: Tensor) -> Tensor:
        pooled = (
            segment_means(h, mask, self.segments)
            if self.segments
            else mean_deviation(h, mask)[:, None]
        )
        return self._out(list(pooled.unbind(1)))

    def _out(self, pooled: list[Tensor]) -> Tensor:
        rows = [linear(x) for linear, x in zip(self.linear, pooled, strict=True)]
        out: Tensor = self.last(torch.cat(rows, 1))
        return out


class UnitLength(nn.Module):
    """Rows of length 1."""

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(x.float(), dim=1)


class FrameDecoder(nn.Module):
    """``(p, s, length, T) -> (n, T, D)``: all frames at once, from vectors and their place in time.

    The vectors and the logarithm of the length are mapped to points that are evenly spread over the
    utterance; between them features are interpolated, and convolutions follow.
    """

    def __init__(
        self,
        phonetic_dim: int,
        speaker_dim: int,
        n_features: int,
        width: int,
        stack: int,
        *,
        points: int = 8,
        harmonics: int = 4,
        layers: int = 2,
    ) -> None:
        super().__init__()
        self.n_features, self.stack, self.points = n_features, stack, points
        self.harmonics, self.width = harmonics, width
        self.course = nn.Linear(phonetic_dim + speaker_dim + 1, points * width)
        self.voice = nn.Linear(speaker_dim, width)
        self.place = nn.Linear(1 + 2 * harmonics, width)
        self.blocks = Convolutions(width, width, layers, kernel=5)
        self.out = nn.Linear(width, stack * n_features)

    def forward(self, p: Tensor, s: Tensor, length: Tensor, time: int) -> Tensor:
        steps, ends = -(-time // self.stack), (length + self.stack - 1) // self.stack
        size = torch.log(length[:, None] / 50.0)
        course = self.course(torch.cat([p, s, size], 1)).view(-1, self.points, self.width)
        clock = torch.arange(steps, device=p.device)
        relative = ((clock + 0.5) / ends[:, None]).clamp(0.0, 1.0)
        weight = near((relative * self.points - 0.5).clamp(0.0, self.points - 1.0), self.points)
        octaves = math.pi * 2.0 ** torch.arange(self.harmonics, device=p.device)
        angles = relative[..., None] * octaves
        place = torch.cat([relative[..., None], angles.sin(), angles.cos()], 2)
        h = torch.einsum("btn,bnc->btc", weight, course) + self.voice(s)[:, None]
        h = self.blocks(F.gelu(h + self.place(place)), inside(ends, steps))
        return self.out(h).reshape(p.shape[0], -1, self.n_features)[:, :time]


class FrameRebuilder(nn.Module):
    """``(f, s, length, T) -> (n, T, D)``: frames from vectors of joined frames and a voice."""

    def __init__(
        self, phonetic_dim: int, speaker_dim: int, n_features: int, width: int, stack: int
    ) -> None:
        super().__init__()
        self.n_features, self.stack = n_features, stack
        self.said = nn.Linear(phonetic_dim, width)
        self.voice = nn.Linear(speaker_dim, width)
        self.blocks = Convolutions(width, width, 2, kernel=5)
        self.out = nn.Linear(width, stack * n_features)

    def forward(self, f: Tensor, s: Tensor, length: Tensor, time: int) -> Tensor:
        ends = (length + self.stack - 1) // self.stack
        h = F.gelu(self.said(f) + self.voice(s)[:, None])
        h = self.blocks(h, inside(ends, f.shape[1]))
        return self.out(h).reshape(f.shape[0], -1, self.n_features)[:, :time]


class Codebook(nn.Module):
    """Prototypes: cosines of slices of rows with learned directions.

    Parameters
    ----------
    heads : sequence of (slice, int)
        Each a slice and the number of its directions.
    """

    def __init__(self, heads: Sequence[tuple[slice, int]]) -> None:
        super().__init__()
        self.slices = [part for part, _ in heads]
        self.directions = nn.ParameterList(torch.randn(k, s.stop - s.start) for s, k in heads)

    def forward(self, x: Tensor) -> list[Tensor]:
        units = [F.normalize(x[:, part].float(), dim=1) for part in self.slices]
        with torch.autocast(x.device.type, enabled=False):
            pairs = zip(units, self.directions, strict=True)
            return [unit @ F.normalize(d, dim=1).T for unit, d in pairs]

    def quantized(self, x: Tensor, temperature: float) -> Tensor:
        """Rows softly replaced by the directions next to them, a mean over heads of whole rows.

        The squares of what comes out add up to the row's width, or less, as after batch norm.

        Raises
        ------
        ValueError
            If there is no such head.
        """
        whole = [d for d in self.directions if d.shape[1] == x.shape[1]]
        if not whole:
            raise ValueError(
                "prototypes__quantize needs prototypes of whole vectors, and the model was fitted "
                "without; fit it again with prototypes__sizes=(20, 40), say, or set "
                "prototypes__quantize=None"
            )
        unit, out = F.normalize(x.float(), dim=1), torch.zeros_like(x, dtype=torch.float32)
        with torch.autocast(x.device.type, enabled=False):
            for directions in whole:
                directions = F.normalize(directions, dim=1)
                out = out + F.softmax(unit @ directions.T / temperature, 1) @ directions
        return out * (math.sqrt(x.shape[1]) / len(whole))


def critic(n_in: int, n_out: int, width: int = 128) -> nn.Module:
    """The adversary: two hidden layers."""
    return nn.Sequential(
        nn.Linear(n_in, width),
        nn.LeakyReLU(0.1),
        nn.Linear(width, width),
        nn.LeakyReLU(0.1),
        nn.Linear(width, n_out),
    )
