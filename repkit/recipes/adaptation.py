"""Internal. Settings of domain adaptation, and two networks of its recipes."""

from __future__ import annotations

from functools import partial

from torch import nn

from repkit.augment import RandomAffine, RandomInvert, RandomMasks, RandomTexture, RandomThickness
from repkit.base.parts import Consistency, Optimizer
from repkit.dann.parts import Entropy
from repkit.nets import Cosine, Standardize, mlp
from repkit.recipes._named import Settings, named

__all__ = ["dann", "digit_net", "dropout_mlp"]


def digit_net(shape_in: tuple[int, ...], dim_out: int, width: int = 16) -> nn.Module:
    """Make the features of digits that are seen under other light.

    Five convolutions and a linear layer, all with batch norm. Every image is first brought to mean
    0 and deviation 1, so that brightness and contrast, which differ between the domains, are gone
    before anything is learned.

    Parameters
    ----------
    shape_in : tuple of int
        (channels, height, width), both sides at least 8.
    dim_out : int
        Features.
    width : int, default=16
        Channels of the first convolution.

    Returns
    -------
    nn.Module
        ``(n, *shape_in) -> (n, dim_out)``.
    """

    def block(channels: int, size: int, kernel: int = 3) -> list[nn.Module]:
        return [
            nn.Conv2d(channels, size, kernel, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(size),
            nn.ReLU(),
        ]

    return nn.Sequential(
        Standardize(),
        *block(shape_in[0], width, 5),
        nn.MaxPool2d(2),
        *block(width, 2 * width),
        *block(2 * width, 2 * width),
        nn.MaxPool2d(2),
        *block(2 * width, 4 * width),
        *block(4 * width, 4 * width),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(4 * width * (shape_in[1] // 8) * (shape_in[2] // 8), dim_out),
        nn.BatchNorm1d(dim_out),
        nn.ReLU(),
    )


def dropout_mlp(shape_in: tuple[int, ...], dim_out: int, dropout: float = 0.5) -> nn.Module:
    """Make one hidden layer that sees a random part of the inputs in training.

    Half of its own outputs are dropped too. A row must then be read from any part of its columns.

    Parameters
    ----------
    shape_in : tuple of int
        (columns,).
    dim_out : int
        Features.
    dropout : float, default=0.5
        Share of the inputs that is dropped, below 1.

    Returns
    -------
    nn.Module
        ``(n, columns) -> (n, dim_out)``.
    """
    return nn.Sequential(
        nn.Dropout(dropout), nn.Linear(shape_in[0], dim_out), nn.ReLU(), nn.Dropout(0.5)
    )


def two_layers(shape_in: tuple[int, ...], dim_out: int) -> nn.Module:
    """Two layers of the same width, as the class's own of the name "mlp"."""
    return nn.Sequential(mlp(shape_in, dim_out, (dim_out,)), nn.ReLU())


# Each domain has batch norm statistics of its own: shared ones cost MNIST-M 20 points.
_ADAPTED: Settings = {
    "backbone": digit_net,
    "domain_norm": "separate",
    "learning_rate": 2e-3,
    "learning_rate_schedule": "cosine",
    "optimizer": Optimizer(weight_decay=1e-4),
    "batch_size": 64,
    "ema": 0.998,
    "max_epochs": 10,
    "steps_per_epoch": 100,
}
_TABLE: Settings = {
    "learning_rate": 1e-3,
    "batch_size": 64,
    "steps_per_epoch": 50,
    "precision": "fp32",
}
# Speakers share the statistics of batch norm, as a step has few rows of each. The changes are other
# lengths of the vocal tract and other tempi, as stretches and shifts, and masks.
_WORDS: Settings = {
    **_ADAPTED,
    "domain_norm": "shared",
    "batch_size": 72,
    "max_epochs": 12,
    "strong_augment": nn.Sequential(
        RandomAffine(degrees=0, zoom=0.0, stretch=0.2, shear=0.1, shift=0.08), RandomMasks()
    ),
}
_SLIGHT = RandomAffine(degrees=5, zoom=0.05, stretch=0.02, shear=0.05, shift=0.03)
_DANN: dict[str, Settings] = {
    # Changes of strokes alone: those of shape, not of what lies behind it.
    "gray-digits": {
        **_ADAPTED,
        "consistency": Consistency(1.0, threshold=0.9, start=0.2),
        "augment": _SLIGHT,
        "strong_augment": nn.Sequential(RandomAffine(), RandomThickness()),
    },
    # Learned more slowly. The changes are also of what lies behind a digit, as |x - field| of
    # random smooth fields: that is how MNIST-M itself is blended, with photographs in the place of
    # the fields, so that what is known of the target's making is built in.
    "color-digits": {
        **_ADAPTED,
        "steps_per_epoch": 250,
        "consistency": Consistency(2.0, threshold=0.8, start=0.1),
        "entropy": 0.1,
        "augment": _SLIGHT,
        "strong_augment": nn.Sequential(
            RandomAffine(degrees=10, zoom=0.1, stretch=0.05, shear=0.1, shift=0.04),
            RandomTexture(grids=(2, 6, 14, 28)),
            RandomInvert(),
        ),
    },
    # Print and light for shape and texture, and polarity, since some meters have light digits on
    # dark wheels.
    "meters": {
        **_ADAPTED,
        "consistency": Consistency(1.0, threshold=0.9, start=0.2),
        "entropy": 0.1,
        "augment": _SLIGHT,
        "strong_augment": nn.Sequential(
            RandomAffine(degrees=10, zoom=0.25, stretch=0.15, shear=0.15, shift=0.08),
            RandomThickness(),
            RandomTexture(p=0.5, grids=(2, 5)),
            RandomInvert(),
        ),
    },
    # Words are dropped as the marginalized denoising auto-encoder of the DANN paper's better
    # columns drops them.
    "words": {
        **_WORDS,
        "consistency": Consistency(1.0, threshold=0.8, start=0.2),
        "entropy": 0.1,
        "augment": RandomAffine(degrees=0, zoom=0.0, stretch=0.05, shear=0.0, shift=0.03),
    },
    # Labels are numbers of clusters, and there is no target.
    "word-clusters": {**_WORDS, "max_epochs": 24},
    "reviews": {
        **_TABLE,
        "backbone": dropout_mlp,
        "width": 100,
        "ema": 0.99,
        "max_epochs": 10,
        "conditional": True,
        "entropy": 0.2,
        "consistency": Consistency(1.0, threshold=0.8, start=0.3),
    },
    # Slowly, from a fifth of the columns at a time: at the usual rate a network is worse than a
    # logistic regression. The adversary adds nothing to that. Counts of words themselves, most of
    # which are 0, need the settings above: with these little is learned from them.
    "denoised-reviews": {
        **_TABLE,
        "backbone": partial(dropout_mlp, dropout=0.8),
        "width": 100,
        "learning_rate": 2e-4,
        "ema": 0.99,
        "max_epochs": 10,
        "divergence": None,
        "entropy": 0.05,
        "consistency": Consistency(1.0, threshold=0.8, start=0.3),
    },
    # Nothing here asks for even shares of the classes: those of a month are anything but even.
    "sensors": {
        **_TABLE,
        "backbone": two_layers,
        "width": 128,
        "ema": 0.99,
        "max_epochs": 20,
        "divergence": None,
        "consistency": Consistency(1.0, threshold=0.9),
        "augment": nn.Dropout(0.2),
        "strong_augment": nn.Dropout(0.5),
    },
    # A classifier of cosines makes the confusion of classes worth 14 points on PACS, where it is
    # worth 8 with a linear one.
    "deep-features": {
        **_TABLE,
        "backbone": dropout_mlp,
        "heads": Cosine,
        "width": 128,
        "max_epochs": 10,
        "divergence": None,
        "entropy": Entropy(confusion=1.0),
        "augment": nn.Dropout(0.3),
    },
}


def dann(name: str) -> Settings:
    """Give settings of `repkit.DANN`.

    Images have 28 or 32 pixels a side. Rows of tables are expected as the benchmarks have them,
    which takes no label.

    Parameters
    ----------
    name : str
        One of "gray-digits", "color-digits", "meters", "words", "word-clusters", "reviews",
        "denoised-reviews", "sensors" and "deep-features".

        "gray-digits" are for MNIST to USPS and back: a first guess, which no target label changed.
        "color-digits" are for MNIST to MNIST-M, chosen on the labels of 2000 target rows of its
        training part. "meters" are for photographed digits: a first guess; one pair of meters, set
        aside to choose by its labels, changed nothing. "words" are for log-mel pictures of spoken
        words, each standardized, with speakers as domains: a first guess, which no label of another
        speaker than those of the training changed. "word-clusters" are those without a target, for
        twice as long, as `repkit.words.AcousticWordEmbedding` trains them; chosen on the validation
        speakers of Arabic Speech Commands. "reviews" are for counts of words, as log
        TF-IDF of length 10; chosen on target training labels of two of twelve pairs of Amazon
        reviews. "denoised-reviews" are better, and for what `repkit.dann.MarginalizedDenoiser`
        makes of them, less the mean of each domain, brought to the same length; chosen likewise.
        "sensors" are for tables that drift, each domain standardized by itself, then each row
        brought to the length ``sqrt(columns)``; chosen without labels, by agreement with the
        ensemble of the candidates.
        "deep-features" are for outputs of a frozen network, square roots of which are treated as
        "sensors" are; chosen on one of the twelve pairs of PACS.

    Returns
    -------
    dict
        Parameters.
    """
    return named(_DANN, name)
