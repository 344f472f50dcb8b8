"""Internal. `repkit export`: a model as a program that needs no repkit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from repkit.cli.commands import (
    check_out,
    command,
    force_option,
    model_argument,
    open_model,
    out_path,
    say,
)

METHODS = ("transform", "predict_proba", "predict")
TYPES = ("uint8", "float32", "float64")


@command(
    "export",
    short_help="Write a model as a program for torch.export or ONNX.",
    example="""\
repkit export vae.safetensors --out vae.onnx
repkit export dann.safetensors --out dann.pt2 --method transform""",
)
@model_argument
@click.option(
    "--out", type=out_path(), required=True, help="A .onnx file, or a .pt2 file of torch.export."
)
@click.option(
    "--method",
    type=click.Choice(METHODS),
    help="What the program gives. By default, probabilities of a classifier, numbers of a "
    "regressor, else features.",
)
@click.option(
    "--dtype",
    type=click.Choice(TYPES),
    help="Type of its input. By default, that of the data of the fit.",
)
@click.option(
    "--domain",
    metavar="NAME",
    help="Domain of its samples, for DANN with domain_norm=separate. By default, the target.",
)
@force_option
def export(
    model: Path, out: Path, method: str | None, dtype: str | None, domain: str | None, force: bool
) -> None:
    """Write MODEL with its scaling as a program that runs without repkit, and try it.

    It takes a batch of samples as they are in your data, bytes of images too; of speech, padded
    frames and their lengths. Names of what comes out stand in the file.
    """
    check_out(out, ".onnx", ".pt2", force=force)
    fitted = open_model(model, "cpu")
    how: dict[str, Any] = {}
    if domain is not None:
        how["sample_domain"] = domain_of(fitted, domain)
    say(f"tracing a {type(fitted).__name__}")
    fitted.export(out, method=method, dtype=dtype, **how)
    say(f"{out}: {out.stat().st_size / 1e6:.2f} MB")


def domain_of(fitted: Any, name: str) -> Any:
    """The domain of that name; a UsageError lists those that there are."""
    known = {str(d): d for d in getattr(fitted, "domains_", ())}
    if not known:
        raise click.UsageError(f"--domain {name}: a {type(fitted).__name__} has no domains")
    if name not in known:
        raise click.UsageError(f"--domain {name}: the domains are {', '.join(known)}")
    return known[name]
