"""What the parameters of a `SpeechAutoencoder` stand for: networks, losses, batches, an engine."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from repkit.base.parameters import check_choice, check_integer, check_number
from repkit.engine.engine import Engine
from repkit.engine.modes import evaluating
from repkit.engine.optim import Adam
from repkit.speech.algorithm import Objective, Perturb, speech
from repkit.speech.batches import Frames, Segments
from repkit.speech.networks import Decoder, Encoder, Prototypes, Unit, build_body, critic, slices
from repkit.speech.perturb import FILTER, SPEED, WARP, Chain, RandomSpeed, RandomVoice
from repkit.speech.prototypes import Assignments

if TYPE_CHECKING:
    from repkit.speech.estimator import SpeechAutoencoder

SPEAKER_SHARE = 2 / 3  # width of the speaker encoder, of ``n_features``


def check_parameters(model: SpeechAutoencoder) -> None:
    """Raise a ValueError or TypeError that names a parameter, and what it may be."""
    check_integer(
        model,
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
    if model.steps_per_epoch is not None:
        check_integer(model, steps_per_epoch=1)
    check_number(
        model,
        speaker_weight=(0, np.inf),
        margin=(0, 2),
        adversary_weight=(0, np.inf),
        adversary_start=(0, 1),
        adversary_warmup=(0, 1),
        prototype_weight=(0, np.inf),
        prototype_start=(0, 1),
        reconstruction_share=(0, 1),
        quantize_start=(0, 1),
        cycle=(0, np.inf),
        learning_rate=(0, np.inf),
        adversary_learning_rate=(0, np.inf),
        beta1=(0, 0.999),
        weight_decay=(0, np.inf),
    )
    check_choice(
        model,
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
    if not callable(model.perturb):
        check_number(model, perturb=(0, 3))
    if model.n_features % 12:
        raise ValueError(f"n_features must be a multiple of 12, not {model.n_features!r}")
    check_prototypes(model)


def check_prototypes(model: SpeechAutoencoder) -> None:
    """The numbers of clusters, and that what needs clusters has some."""
    sizes = () if model.prototypes is None else model.prototypes
    if not isinstance(sizes, tuple | list) or not all(
        isinstance(k, int | np.integer) and k > 1 for k in sizes
    ):
        raise ValueError(
            "prototypes must be a tuple of numbers of clusters, each at least 2, or None; not "
            f"{model.prototypes!r}"
        )
    if model.segment_prototypes == 1:
        raise ValueError("segment_prototypes must be 0, for none, or at least 2, not 1")
    if model.quantize is not None:
        check_number(model, quantize=(1e-3, np.inf))
        if not sizes:
            raise ValueError(
                f"quantize={model.quantize!r} needs prototypes, which are {model.prototypes!r}: "
                "give numbers of clusters, or quantize=None. segment_prototypes do not serve, they "
                "are of slices"
            )


# ---------------------------------------------------------------- networks


def networks_of(model: SpeechAutoencoder) -> dict[str, nn.Module]:
    """New networks: Ep, Es, R, and D and K where there are two speakers and they are asked for."""
    columns, width = model.input_shape_[0], model.n_features
    body, wide = build_body(model.encoder, model.stack * columns, width)
    other, narrow = build_body(model.encoder, model.stack * columns, round(SPEAKER_SHARE * width))
    networks: dict[str, nn.Module] = {
        "Ep": Encoder(
            body,
            wide,
            model.phonetic_dim,
            model.stack,
            parts_of(model),
            nn.BatchNorm1d(model.phonetic_dim, affine=False),
            model.content_norm == "instance",
        ),
        "Es": Encoder(other, narrow, model.speaker_dim, model.stack, 0, Unit()),
        "R": Decoder(model.phonetic_dim, model.speaker_dim, columns, width, model.stack),
    }
    if has_speakers(model) and model.adversary == "classifier":
        networks["D"] = critic(model.phonetic_dim, len(model.speakers_))
    elif has_speakers(model) and model.adversary is not None:
        networks["D"] = critic(3 * model.phonetic_dim, 1)
    if heads := heads_of(model):
        networks["K"] = Prototypes(heads)
    return networks


def has_speakers(model: SpeechAutoencoder) -> bool:
    """Whether there are two speakers to tell apart."""
    return len(model.speakers_) > 1


def parts_of(model: SpeechAutoencoder) -> int:
    """Slices of the phonetic vector, none of them empty."""
    return min(model.n_segments, model.phonetic_dim)


def heads_of(model: SpeechAutoencoder) -> list[tuple[slice, int]]:
    """Slices of the phonetic vector, and the number of clusters of each."""
    if not has_speakers(model):
        return []
    heads = [(slice(0, model.phonetic_dim), int(k)) for k in model.prototypes or ()]
    if model.segment_prototypes:
        own = slices(model.phonetic_dim, parts_of(model))
        heads += [(part, model.segment_prototypes) for part in own]
    return heads


# ---------------------------------------------------------------- training


def engine_of(
    model: SpeechAutoencoder,
    networks: dict[str, nn.Module],
    frames: Frames,
    place: np.ndarray,
    seed: int,
) -> Engine:
    """What trains these networks on utterances of speakers ``place`` (n,), -1 where unknown."""
    batches = Segments(
        frames,
        place,
        speakers=model.batch_speakers,
        segments=model.batch_segments,
        max_frames=model.max_frames,
        seed=seed,
        steps_per_epoch=model.steps_per_epoch,
    )
    first = min(round(model.prototype_start * model.max_epochs), model.max_epochs - 1)
    prepare = model._prepare(frames.device)
    assignments = None
    if "K" in networks:
        assignments = Assignments(
            place,
            heads_of(model),
            lambda n: phonetic_vectors(n.Ep, model, frames),
            start=first * batches.steps_per_epoch,
            seed=seed,
        )
    objective = Objective(
        swap=model.swap,
        speaker=model.speaker_weight if has_speakers(model) else 0.0,
        margin=model.margin,
        adversary=model.adversary if "D" in networks else None,
        adversary_weight=model.adversary_weight,
        start=model.adversary_start,
        warmup=model.adversary_warmup,
        discriminator_steps=model.n_discriminator_steps,
        prototypes=model.prototype_weight,
        reconstruction_share=model.reconstruction_share,
        quantize=model.quantize if "K" in networks else None,
        # Not before there are clusters: directions are random until then.
        quantize_start=max(model.quantize_start, first / model.max_epochs),
        cycle=model.cycle,
    )
    system = speech(
        networks,
        objective=objective,
        prepare=prepare,
        perturb=perturbation(model, frames, place),
        assignments=assignments,
    )
    adam = partial(Adam, weight_decay=model.weight_decay)
    optimizer = {
        group: partial(adam, lr=model.learning_rate, beta1=model.beta1) for group in ("A", "R")
    }
    optimizer["D"] = partial(adam, lr=model.adversary_learning_rate, beta1=0.5)
    return model._engine_of(system, batches, seed, optimizer)


def perturbation(model: SpeechAutoencoder, frames: Frames, place: np.ndarray) -> Perturb | None:
    """What ``perturb`` stands for; voices can be changed in log-mel frames alone."""
    if callable(model.perturb):
        return model.perturb
    if not model.perturb:
        return None
    speed = RandomSpeed(SPEED * model.perturb)
    if model.kind_ != "audio" or model.features != "logmel" or model.deltas:
        return speed
    owner = torch.from_numpy(np.repeat(place, frames.lengths)).to(frames.device)
    means = [frames.all[owner == k].mean(0) for k in range(len(model.speakers_))]
    table = torch.stack(means) if means else frames.all.new_zeros(0, model.n_mels)
    mean = torch.from_numpy(model.mean_)
    voice = RandomVoice(
        model.sample_rate,
        mean,
        table.cpu(),
        warp=WARP * model.perturb,
        filter=FILTER * model.perturb,
    )
    return Chain(speed, voice.to(frames.device))


@torch.no_grad()
def phonetic_vectors(Ep: nn.Module, model: SpeechAutoencoder, frames: Frames) -> Tensor:
    """Of all utterances, unperturbed; of long ones the first ``max_frames``: ``(n, d)``."""
    out = torch.empty(len(frames.lengths), model.phonetic_dim, device=frames.device)
    prepare = model._prepare(frames.device)
    with evaluating(Ep):
        for rows, x, length in frames.in_order(model.max_frames):
            out[torch.from_numpy(rows).to(frames.device)] = Ep(prepare(x, length), length).float()
    return out
