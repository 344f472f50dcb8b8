"""The settings of the BiGAN and InfoGAN benchmarks, each ingredient with its reason.

Those for MNIST were chosen on the labels of the last 10 000 training images, those for sprites on
the factors of images outside the tables; no test image was looked at to choose them.
"""

from __future__ import annotations

from typing import Any

from benchmarks.sprite_nets import PlacedFeatures, StampGenerator, hold_then_fall
from repkit import Discriminator
from repkit.augment import RandomAffine
from repkit.infogan import Categorical, Continuous

# ---------------------------------------------------------------- BiGAN

# The reconstruction term (ALICE) ties E to G within minutes instead of hours; augmentation keeps D
# from learning the pairs by heart. Each ingredient has its row among the ablations.
BIGAN_MNIST: dict[str, Any] = {
    "encoder": "mlp",
    "generator": "mlp",
    "discriminator": "mlp",
    "width": 512,
    "data_cycle": 10.0,
    "augment": RandomAffine(degrees=8.6, zoom=0.1, stretch=0.0, shear=0.0, shift=2 / 28),
    "ema": 0.995,
    "learning_rate": 5e-4,
    "precision": "bf16",
    "steps_per_epoch": 500,
    "max_epochs": 16,
}
BIGAN_DIGITS: dict[str, Any] = {
    "width": 256,
    "data_cycle": 10.0,
    "augment": RandomAffine(degrees=6, zoom=0.05, stretch=0.0, shear=0.0, shift=1 / 16),
    "ema": 0.99,
    "learning_rate": 5e-4,
    "steps_per_epoch": 100,
    "max_epochs": 12,
}
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
# The paper's permutation-invariant recipe: 400 epochs, no term but the paper's.
BIGAN_PAPER: dict[str, Any] = {
    "encoder": "mlp",
    "generator": "mlp",
    "discriminator": "mlp",
    "width": 1024,
    "max_epochs": 400,
}
# Auto-encoders of the same networks; more steps, since a step of theirs takes about half the time.
BIGAN_TWIN: dict[str, dict[str, Any]] = {
    "MNIST": {"kind": "mlp", "latent_dim": 50, "n_features": 512, "steps": 16_000, "bf16": True},
    "digits": {"kind": "mlp", "latent_dim": 50, "n_features": 256, "steps": 2400, "bf16": False},
}

# ---------------------------------------------------------------- InfoGAN

# Changes of a digit that keep it a digit. Real and generated images alike go through WEAK on their
# way to the discriminator, so that no category is spent on them; it leaves slant alone, so that a
# continuous code can be slant. A real image's category is also to survive STRONG (IIC). That saves
# two thirds of the steps; without the generator it collapsed in the one trial we made.
WEAK = RandomAffine(degrees=12, zoom=0.12, stretch=0.0, shear=0.05, shift=0.08)
STRONG = RandomAffine(degrees=15, zoom=0.12, stretch=0.0, shear=0.25, shift=0.08)
INFOGAN_MNIST: dict[str, Any] = {
    "width": 512,
    "augment": WEAK,
    "strong_augment": STRONG,
    "categorical": Categorical((10,), invariance=1.0),
    "updates": "joint",
    "ema": 0.99,
    "learning_rate": dict.fromkeys("BDQ", 5e-4),
    "batch_size": 64,
    "steps_per_epoch": 300,
    "max_epochs": 7,
}
INFOGAN_DIGITS: dict[str, Any] = {
    "generator": "dcgan",
    "discriminator": "dcgan",
    "width": 256,
    "latent_dim": 16,
    "augment": RandomAffine(degrees=15, zoom=0.12, stretch=0.1, shear=0.2, shift=0.1),
    "categorical": Categorical((10,), invariance=2.0),
    "updates": "joint",
    "ema": 0.99,
    "learning_rate": 1e-3,
    "batch_size": 128,
    "steps_per_epoch": 100,
    "max_epochs": 10,
}
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
# The paper's networks and number of steps, with the two ingredients above.
INFOGAN_PAPER: dict[str, Any] = {
    "augment": WEAK,
    "strong_augment": STRONG,
    "categorical": Categorical((10,), invariance=1.0),
    "ema": 0.999,
    "max_epochs": 50,
}

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
