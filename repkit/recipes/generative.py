"""Internal. Settings of the systems that generate."""

from __future__ import annotations

from functools import partial

from repkit import nets
from repkit.augment import RandomAffine
from repkit.base.parts import Consistency, Optimizer
from repkit.infogan.parts import Categorical
from repkit.recipes._named import Settings, named
from repkit.triplegan.parts import PseudoDiscriminative

__all__ = ["bigan", "infogan", "triplegan", "vae", "vaegan"]

# The reconstruction term (ALICE) ties E to G within minutes instead of hours; augmentation keeps D
# from learning the pairs by heart. Each ingredient has its row among the ablations.
_BIGAN: dict[str, Settings] = {
    "mnist": {
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
    },
    "digits": {
        "width": 256,
        "data_cycle": 10.0,
        "augment": RandomAffine(degrees=6, zoom=0.05, stretch=0.0, shear=0.0, shift=1 / 16),
        "ema": 0.99,
        "learning_rate": 5e-4,
        "steps_per_epoch": 100,
        "max_epochs": 12,
    },
    # The paper's permutation-invariant recipe: 400 epochs, no term but the paper's.
    "mnist-paper": {
        "encoder": "mlp",
        "generator": "mlp",
        "discriminator": "mlp",
        "width": 1024,
        "data_cycle": 0.0,
        "ema": 0.0,
        "learning_rate": 2e-4,
        "max_epochs": 400,
    },
}


def bigan(name: str) -> Settings:
    """Give settings of `repkit.BiGAN`.

    Parameters
    ----------
    name : {"digits", "mnist", "mnist-paper"}
        "digits" are gray images of 8 pixels, "mnist" of 28, chosen on the last 10 000 training
        images; "mnist-paper" is the permutation-invariant recipe of Donahue et al. 2017, for a GPU.

    Returns
    -------
    dict
        Parameters.

    Examples
    --------
    >>> from repkit import BiGAN, recipes
    >>> BiGAN(**recipes.bigan("digits"), random_state=0).data_cycle
    10.0
    """
    return named(_BIGAN, name)


# Changes of a digit that keep it a digit. Real and generated images alike go through the weak ones
# on their way to the discriminator, so that no category is spent on them; they leave slant alone,
# so that a continuous code can be slant. A real image's category is also to survive the strong ones
# (IIC). That saves two thirds of the steps; without the generator it collapsed in the one trial.
_WEAK = RandomAffine(degrees=12, zoom=0.12, stretch=0.0, shear=0.05, shift=0.08)
_STRONG = RandomAffine(degrees=15, zoom=0.12, stretch=0.0, shear=0.25, shift=0.08)
_INFOGAN: dict[str, Settings] = {
    "mnist": {
        "width": 512,
        "augment": _WEAK,
        "strong_augment": _STRONG,
        "categorical": Categorical((10,), invariance=1.0),
        "updates": "joint",
        "ema": 0.99,
        "learning_rate": dict.fromkeys("BDQ", 5e-4),
        "batch_size": 64,
        "steps_per_epoch": 300,
        "max_epochs": 7,
    },
    "digits": {
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
    },
    "mnist-paper": {
        "augment": _WEAK,
        "strong_augment": _STRONG,
        "categorical": Categorical((10,), invariance=1.0),
        "ema": 0.999,
        "max_epochs": 50,
    },
}


def infogan(name: str) -> Settings:
    """Give settings of `repkit.InfoGAN`.

    Parameters
    ----------
    name : {"digits", "mnist", "mnist-paper"}
        "digits" are gray images of 8 pixels, "mnist" of 28, chosen on the last 10 000 training
        images; "mnist-paper" has the networks and the number of steps of Chen et al. 2016, for a
        GPU.

    Returns
    -------
    dict
        Parameters.
    """
    return named(_INFOGAN, name)


_SMALL: dict[str, Settings] = {
    "mnist": {
        "latent_dim": 24,
        "width": 512,
        "batch_size": 64,
        "learning_rate": 1e-3,
        "ema": 0.998,
        "precision": "bf16",
        "max_epochs": 2,
    },
    "digits": {
        "latent_dim": 16,
        "width": 256,
        "batch_size": 64,
        "learning_rate": 1e-3,
        "ema": 0.99,
        "max_epochs": 60,
    },
}
_VAE = {name: {**settings, "beta": 1.0} for name, settings in _SMALL.items()}
_VAEGAN: dict[str, Settings] = {
    "mnist": {**_SMALL["mnist"], "beta": 12.0, "pixel": 20.0},
    "digits": {**_SMALL["digits"], "beta": 4.0, "gamma": 5.0},
}


def vae(name: str) -> Settings:
    """Give settings of `repkit.VAE`.

    Parameters
    ----------
    name : {"digits", "mnist"}
        "digits" are gray images of 8 pixels, a first guess; "mnist" of 28, chosen on the last
        10 000 training images, one run a setting.

    Returns
    -------
    dict
        Parameters.
    """
    return named(_VAE, name)


def vaegan(name: str) -> Settings:
    """Give settings of `repkit.VAEGAN`.

    Parameters
    ----------
    name : {"digits", "mnist"}
        "digits" are gray images of 8 pixels, a first guess; "mnist" of 28, chosen on the last
        10 000 training images, one run a setting.

    Returns
    -------
    dict
        Parameters.
    """
    return named(_VAEGAN, name)


_DECAY = Optimizer("adam", momentum=0.5, weight_decay=5e-3)
_TRIPLEGAN: dict[str, Settings] = {
    "mnist": {
        "classifier": partial(nets.conv, width=16),
        "generator": "mlp",
        "discriminator": "mlp",
        "width": 256,
        "augment": RandomAffine(degrees=6, zoom=0.06, stretch=0.03, shear=0.1, shift=0.03),
        "strong_augment": RandomAffine(degrees=15, zoom=0.12, stretch=0.06, shear=0.25, shift=0.08),
        "consistency": Consistency(1.0, threshold=0.7),
        "entropy": 0.0,
        "balance": 0.0,
        "pseudo_discriminative": PseudoDiscriminative(0.1, gate=0.8),
        "optimizer": _DECAY,
        "precision": "bf16",
        "steps_per_epoch": 300,
        "max_epochs": 5,
    },
    "digits": {
        "classifier": "conv",
        "generator": "mlp",
        "discriminator": "mlp",
        "width": 128,
        "augment": RandomAffine(degrees=6, zoom=0.06, stretch=0.03, shear=0.1, shift=0.04),
        "strong_augment": RandomAffine(degrees=15, zoom=0.12, stretch=0.06, shear=0.25, shift=0.1),
        "consistency": Consistency(1.0, threshold=0.8),
        "entropy": 0.0,
        "balance": 0.0,
        "optimizer": _DECAY,
        "batch_size": (32, 64),
        "steps_per_epoch": 100,
        "max_epochs": 8,
    },
}


def triplegan(name: str) -> Settings:
    """Give settings of `repkit.TripleGAN`.

    Parameters
    ----------
    name : {"digits", "mnist"}
        "digits" are gray images of 8 pixels with 50 labels, chosen on a quarter of the training
        images; "mnist" of 28 with 20 to 200 labels, chosen on the last 10 000 training images, with
        one seed.

    Returns
    -------
    dict
        Parameters.
    """
    return named(_TRIPLEGAN, name)
