"""The settings of the BiGAN and InfoGAN benchmarks, those of digits from `repkit.recipes`.

Those for sprites were chosen on the factors of images outside the tables.
"""

from __future__ import annotations

from typing import Any

from benchmarks.sprite_nets import PlacedFeatures, StampGenerator, hold_then_fall
from repkit import Discriminator, recipes
from repkit.infogan import Continuous

# ---------------------------------------------------------------- BiGAN

BIGAN_MNIST, BIGAN_DIGITS = (recipes.bigan(name) for name in ("mnist", "digits"))
BIGAN_ABLATIONS: dict[str, dict[str, dict[str, Any]]] = {
    "MNIST": {
        "no reconstruction term": {"data_cycle": 0.0},
        "no augmentation": {"augment": None},
    },
    "digits": {
        "no reconstruction term": {"data_cycle": 0.0},
        "no augmentation": {"augment": None},
        "no averaged weights": {"ema": 0.0},
        "statistics recalibrated": {"recalibrate": True},
    },
}
BIGAN_PAPER = recipes.bigan("mnist-paper")
# Auto-encoders of the same networks; more steps, since a step of theirs takes about half the time.
BIGAN_TWIN: dict[str, dict[str, Any]] = {
    "MNIST": {"kind": "mlp", "latent_dim": 50, "n_features": 512, "steps": 16_000, "bf16": True},
    "digits": {"kind": "mlp", "latent_dim": 50, "n_features": 256, "steps": 2400, "bf16": False},
}

# ---------------------------------------------------------------- InfoGAN

INFOGAN_MNIST, INFOGAN_DIGITS = (recipes.infogan(name) for name in ("mnist", "digits"))
INFOGAN_ABLATIONS: dict[str, dict[str, dict[str, Any]]] = {
    "MNIST": {
        "no invariance": {"categorical": (10,)},
        "no augmentation, no invariance": {"categorical": (10,), "augment": None},
        "no invariance, four times the steps": {"categorical": (10,), "max_epochs": 28},
        "best of two trainings": {"n_init": 2},
    },
    "digits": {
        "no invariance": {"categorical": (10,)},
        "no augmentation, no invariance": {"categorical": (10,), "augment": None},
        "best of three trainings": {"n_init": 3},
        "alternating updates": {"updates": "alternating"},
        "statistics not recalibrated": {"recalibrate": False},
    },
}
INFOGAN_PAPER = recipes.infogan("mnist-paper")

# ---------------------------------------------------------------- sprites

# Most of it is the generator's doing, see `StampGenerator`; the row without it says so. R1 keeps D
# from winning outright. Chosen on the factors of images that are in no table.
SPRITES: dict[str, Any] = {
    "categorical": (),
    "continuous": 5,
    "latent_dim": 3,
    "generator": StampGenerator,
    "discriminator": Discriminator(PlacedFeatures, r1=1.0),
    "width": 128,
    "updates": "joint",
    "ema": 0.999,
    "learning_rate": dict.fromkeys("BDQ", 5e-4),
    "learning_rate_schedule": hold_then_fall,
    "batch_size": 64,
    "steps_per_epoch": 500,
    "max_epochs": 10,
}
SPRITES_ABLATIONS: dict[str, dict[str, Any]] = {
    "plain generator": {"generator": "dcgan"},
    "contrastive": {"continuous": Continuous(5, contrastive=1.0)},
}
# As in Lin et al. 2020 all images are seen, here five times, with their regularizer.
SPRITES_PAPER: dict[str, Any] = {
    **SPRITES,
    "n_train": 737_280,
    "continuous": Continuous(5, contrastive=1.0),
    "steps_per_epoch": 11_520,
    "max_epochs": 5,
}
SPRITES_TWIN: dict[str, Any] = {
    "kind": "dcgan",
    "latent_dim": 10,
    "n_features": 128,
    "body": PlacedFeatures,
    "steps": 8000,
    "bf16": True,
    "batch_size": 64,
    "learning_rate": 1e-3,
}
