"""Internal. Headers of model files that earlier versions of repkit wrote, in the names of now."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

# Old names, by class, of parameters by which networks are built or used.
RENAMED: dict[str, dict[str, str]] = {
    "DANN": {"label_head": "heads", "domain_head": "heads"},
    "BiGAN": {"features": "output"},
    "VAEGAN": {"discriminator": "discriminator_kind", "discriminator_body": "discriminator"},
    "InfoGAN": {"noise_dim": "latent_dim"},
}
# Those that are fields of parts now: old name to part, field and class.
FIELDS: dict[str, dict[str, tuple[str, str, str]]] = {
    "InfoGAN": {
        "continuous": ("continuous", "n", "Continuous"),
        "variance": ("continuous", "variance", "Continuous"),
    },
    "SpeechAutoencoder": {
        "features": ("front_end", "kind", "SpeechFrames"),
        "deltas": ("front_end", "deltas", "SpeechFrames"),
        "encoder": ("encoder", "network", "SpeechEncoder"),
        "stack": ("encoder", "stack", "SpeechEncoder"),
        "n_segments": ("encoder", "n_segments", "SpeechEncoder"),
        "content_norm": ("encoder", "content_norm", "SpeechEncoder"),
        "prototypes": ("prototypes", "sizes", "Prototypes"),
        "segment_prototypes": ("prototypes", "segment_size", "Prototypes"),
        "quantise": ("prototypes", "quantize", "Prototypes"),
    },
}
# Those that count in training alone, and whose names or meaning are others now.
TRAINING = {
    *("beta1", "weight_decay", "loss", "r1", "training", "d_steps", "pseudo", "pseudo_threshold"),
    *("smoothness", "late", "teacher_augment", "view_augment", "generator_learning_rate"),
    *("adversary_learning_rate", "lam_categorical", "lam_continuous", "contrastive", "invariance"),
    *("adversarial", "threshold", "gate", "pretraining", "labelled_batch_size", "speaker_weight"),
    *("margin", "adversary_weight", "n_discriminator_steps", "adversary_start", "adversary_warmup"),
    *("prototype_weight", "prototype_start", "reconstruction_share", "quantise_start", "cycle"),
    *("batch_speakers", "batch_segments", "perturb"),
}
# Values that have other names now, in classes that generate.
VALUES = {"conv": "dcgan", "learnt": "learned"}
CHANGED = {"VAEGAN": {"balance"}, "TripleGAN": {"balance", "batch_size", "consistency"}}


def with_names_of_now(header: Mapping[str, Any]) -> dict[str, Any]:
    """A header of format 1 in the form of format 2; says which parameters are lost.

    All that predictions need is taken over. A parameter that is in no table keeps its name.
    """
    name = header["class"]
    renamed, fields = RENAMED.get(name, {}), FIELDS.get(name, {})
    dropped = TRAINING | CHANGED.get(name, set())
    params: dict[str, Any] = {}
    parts: dict[str, dict[str, Any]] = {}
    lost = []
    for key, value in header["params"].items():
        if isinstance(value, str) and name not in ("DANN", "TripleGAN", "SpeechAutoencoder"):
            value = VALUES.get(value, value)
        if key in fields:
            place, field, kind = fields[key]
            parts.setdefault(place, {"part": kind, "params": {}})["params"][field] = value
        elif key in dropped:
            lost.append(key)
        else:
            params[renamed.get(key, "width" if key == "n_features" else key)] = value
    if lost:
        warnings.warn(
            f"the parameters {sorted(lost)} of this {name} count in training alone and have other "
            "names or meanings now: they have their defaults; set them before another fit",
            stacklevel=4,
        )
    code = {fields[k][0] if k in fields else renamed.get(k, k) for k in header["code"]}
    fitted = {"seed_": 0, **header["fitted"]}
    if name == "DANN":
        # Ids of sources were not negative.
        fitted.setdefault("n_source_domains_", int((fitted["domains_"] >= 0).sum()))
    if name != "SpeechAutoencoder":
        fitted.setdefault("pixels_", "unit")
    return {**header, "params": params | parts, "code": sorted(code - dropped), "fitted": fitted}
