"""Models to and from the Hugging Face hub: what ``save`` writes, with a card; what ``load`` reads.

It needs the extra ``hub``.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from repkit._arguments import mapping
from repkit._optional import need
from repkit._version import __version__
from repkit.base.estimator import Estimator
from repkit.base.model_file import ModelFileError
from repkit.loading import load

__all__ = ["from_pretrained", "model_card", "push_to_hub"]

FILE = "model.safetensors"
# Parameters that say where and how it was run, not what was learned: they are no one else's matter.
PRIVATE = {"checkpoint": None, "callbacks": None, "verbose": 0, "device": "auto"}
PIXELS = {"bytes": "images of bytes", "unit": "images in [0, 1]", "raw": "numbers as they are"}


def push_to_hub(
    estimator: Estimator,
    repo_id: str,
    *,
    figures: Mapping[str, Any] | None = None,
    license: str | None = None,
    private: bool | None = None,
    token: str | None = None,
    message: str | None = None,
) -> str:
    """Upload a fitted estimator to the Hugging Face hub, with a model card.

    The model file holds the names of columns and the labels of classes, domains and speakers, as
    predictions need them. Local paths and devices are left out.

    Parameters
    ----------
    estimator : estimator
        Fitted.
    repo_id : str
        ``"user/name"``; made if it is not there.
    figures : mapping of str to float or str, optional
        What was measured, and on what, for the card: ``{"accuracy on the target's test part":
        0.964}``.
    license : str, optional
        An identifier of the hub's for the card, ``"mit"``, say.
    private : bool, optional
        Whether a new repository is private; by default, as the account has it.
    token : str, optional
        By default, that of the login of the hub's own tools.
    message : str, optional
        Of the commit.

    Returns
    -------
    str
        Address of the commit.

    Raises
    ------
    ImportError
        If huggingface-hub is missing; the extra ``hub`` installs it.
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If it is no estimator of repkit.

    See Also
    --------
    from_pretrained : The way back.
    model_card : The card's text.
    """
    card = model_card(estimator, repo_id, figures=figures, license=license)
    api = need("huggingface_hub", "hub").HfApi(token=token)
    with TemporaryDirectory() as folder:
        _public(estimator).save(Path(folder, FILE))
        Path(folder, "README.md").write_text(card, encoding="utf-8")
        api.create_repo(repo_id, private=private, exist_ok=True)
        done = api.upload_folder(
            repo_id=repo_id,
            folder_path=folder,
            commit_message=message or f"{type(estimator).__name__} of repkit {__version__}",
        )
    return str(done.commit_url)


def from_pretrained(
    repo_id: str,
    *,
    revision: str | None = None,
    token: str | None = None,
    device: Any = "cpu",
    **code: Any,
) -> Estimator:
    """Download a model that `push_to_hub` uploaded, and open it. Nothing in it is run.

    Parameters
    ----------
    repo_id : str
        ``"user/name"``.
    revision : str, optional
        A branch, tag or commit; give a commit to get the same model every time.
    token : str, optional
        By default, that of the login of the hub's own tools.
    device : str or torch.device, default="cpu"
        Where the networks shall be; see `repkit.load`.
    **code
        The parameters that are code, which a file cannot hold; see `repkit.load`.

    Returns
    -------
    estimator
        Fitted.

    Raises
    ------
    ImportError
        If huggingface-hub is missing; the extra ``hub`` installs it.
    FileNotFoundError
        If the repository has no model file of repkit.
    ModelFileError
        If the file is damaged or foreign; see `repkit.load`.
    """
    hub = need("huggingface_hub", "hub")
    try:
        path = hub.hf_hub_download(repo_id, FILE, revision=revision, token=token)
    except need("huggingface_hub.errors", "hub").EntryNotFoundError as error:
        raise FileNotFoundError(
            f"repo_id={repo_id!r} has no {FILE}: it is no model that push_to_hub wrote"
        ) from error
    try:
        return load(path, device=device, **code)
    except ModelFileError as error:
        raise ModelFileError(f"repo_id={repo_id!r} holds no model of repkit: {error}") from error


def model_card(
    estimator: Estimator,
    repo_id: str = "user/name",
    *,
    figures: Mapping[str, Any] | None = None,
    license: str | None = None,
) -> str:
    """Describe a fitted estimator in Markdown: what it is, its data, training, and figures.

    Parameters
    ----------
    estimator : estimator
        Fitted.
    repo_id : str, default="user/name"
        Where it will be.
    figures : mapping of str to float or str, optional
        What was measured, and on what.
    license : str, optional
        An identifier of the hub's.

    Returns
    -------
    str
        The card.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If it is no estimator of repkit, or figures no mapping.
    """
    if not isinstance(estimator, Estimator):
        raise TypeError(
            f"estimator must be one of repkit, not a {type(estimator).__name__}; of a pipeline, "
            "push its step"
        )
    check_is_fitted(estimator, "weights_")
    figures = mapping({} if figures is None else figures, "figures", "numbers or text by name")
    name = type(estimator).__name__
    head = ["---", "library_name: repkit", "tags:", "- repkit", f"- {name}"]
    head += [f"license: {_line(license)}"] if license else []
    summary = (type(estimator).__doc__ or "").strip().splitlines()[0]
    parts = [
        "\n".join([*head, "---"]),
        f"# {name}",
        summary,
        "\n".join(
            [
                "```python",
                "import repkit",
                "",
                f'model = repkit.from_pretrained("{repo_id}")',
                "```",
            ]
        ),
        "## Data",
        _table(_of_data(estimator)),
        "## Training",
        _table(_of_training(estimator)),
        "Parameters that are not as by default:",
        _table(_changed(estimator)) or "none.",
    ]
    if figures:
        parts += ["## Figures", "As given by whoever uploaded it.", _table(figures)]
    return "\n\n".join(parts) + "\n"


def _of_data(model: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"shape of a sample": "x".join(map(str, model.input_shape_))}
    if hasattr(model, "kind_"):
        found = {"utterances": f"{model.kind_}, {model.input_shape_[0]} columns a frame"}
        if model.kind_ == "audio":
            found["sample rate"] = f"{model.sample_rate} Hz"
    elif hasattr(model, "pixels_"):
        found["numbers"] = PIXELS[model.pixels_]
    if hasattr(model, "classes_"):
        labels = [str(label) for label in model.classes_.tolist()]
        more = ", ..." if len(labels) > 20 else ""
        found["classes"] = f"{len(labels)}: {', '.join(labels[:20])}{more}"
    if hasattr(model, "domains_"):
        n = model.n_source_domains_
        found["domains"] = f"{n} to learn from, {len(model.domains_) - n} to adapt to"
    if hasattr(model, "speakers_"):
        found["speakers"] = len(model.speakers_)
    return found


def _of_training(model: Any) -> dict[str, Any]:
    """Epochs and the last row of the history."""
    found: dict[str, Any] = {"epochs": model.n_iter_}
    if hasattr(model, "selected_epoch_"):
        found["epoch in use"] = model.selected_epoch_
    if len(model.history_):
        last = model.history_.iloc[-1].to_dict()
        found |= {k: v for k, v in last.items() if k != "epoch" and v is not None and v == v}
    found["weights"] = sum(p.numel() for n in model.networks_.values() for p in n.parameters())
    found["seed"] = model.seed_
    return {**found, "repkit": __version__}


def _changed(model: Estimator) -> dict[str, str]:
    defaults = {f.name: f.default for f in fields(type(model))}
    now = {**model.get_params(deep=False), **model.fitted_params_}
    return {
        # Functions by their names: where they lie in memory tells nothing.
        k: re.sub(r"<function (\S+) at 0x\w+>", r"\1", repr(v))
        for k, v in now.items()
        if k not in PRIVATE and repr(v) != repr(defaults.get(k))
    }


def _public(model: Estimator) -> Estimator:
    """A copy without what is nobody else's matter."""
    own = copy.copy(model)
    params = {k: v for k, v in PRIVATE.items() if k in own.fitted_params_}
    own.set_params(**params)
    own.fitted_params_ = {**own.fitted_params_, **params}
    return own


def _table(rows: Mapping[str, Any]) -> str:
    if not rows:
        return ""
    lines = [f"| {_line(k)} | {_line(_shown(v))} |" for k, v in rows.items()]
    return "\n".join(["| | |", "|---|---|", *lines])


def _shown(value: Any) -> str:
    if isinstance(value, float | np.floating) and math.isfinite(value):
        return f"{value:.4g}"
    return str(value)


def _line(text: Any) -> str:
    """A text on one line, in a cell of a table."""
    return " ".join(str(text).split()).replace("|", r"\|")
