"""Internal. The warning of images that no augmentation changes."""

from __future__ import annotations

import warnings
from typing import Any

from repkit._caller import outside

__all__ = ["PlainImagesWarning", "tell_of_plain_images"]


class PlainImagesWarning(UserWarning):
    """Unlabeled images are learned from as they are, without a change of their look."""


def tell_of_plain_images(model: Any, why: str) -> None:
    """Warn if the samples of a model are images that nothing changes.

    Parameters
    ----------
    model : Estimator
        One that has read its samples, with ``augment`` and ``strong_augment``.
    why : str
        What that costs, and what to do; it ends the sentence.
    """
    changed = model.augment is not None or model.strong_augment is not None
    if len(model.input_shape_) == 1 or changed:
        return
    warnings.warn(
        f"with neither augment nor strong_augment, {why}",
        PlainImagesWarning,
        stacklevel=outside(),
    )
