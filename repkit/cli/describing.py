"""Internal. `repkit info` and `repkit data`: what models and data sets are."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import click
import numpy as np

from repkit._optional import need
from repkit.cli import sets, systems
from repkit.cli.commands import check_out, command, force_option, model_argument, out_path, say
from repkit.cli.header import Header, read_header

LETTERS = re.compile(r"[^\w.-]+")


@command(
    "info",
    short_help="Show what a model is, without loading its weights.",
    example="""\
repkit info vae.safetensors
repkit info vae.safetensors --json | jq .history[-1]""",
)
@model_argument
@click.option("--json", "as_json", is_flag=True, help="All of it, as JSON.")
def info(model: Path, as_json: bool) -> None:
    """Show class, parameters, shapes, history, versions and sizes of MODEL.

    Only the header of the file is read: it is not checked whether the weights are whole.
    """
    header = read_header(model)
    if as_json:
        sizes = {"bytes": header.size, "tensors": {k: list(v) for k, v in header.tensors.items()}}
        click.echo(json.dumps({**header.content, **sizes}, indent=2))
        return
    for name, value in _described(header):
        click.echo(f"{name:<12} {value}")


def _described(header: Header) -> list[tuple[str, str]]:
    content, fitted, history = header.content, header.content["fitted"], header.content["history"]
    versions = ", ".join(f"{k} {v}" for k, v in content.get("versions", {}).items())
    lines = [
        ("class", f"{content['class']} (repkit fit {systems.name_of(content['class'])})"),
        ("file", f"{header.size / 1e6:.2f} MB, {versions}"),
        ("samples", f"{'x'.join(map(str, fitted.get('input_shape_', ())))}, {_kind(fitted)}"),
    ]
    for key, name in (("classes_", "classes"), ("domains_", "domains"), ("speakers_", "speakers")):
        if key in fitted:
            values = fitted[key].get("array", []) if isinstance(fitted[key], dict) else fitted[key]
            lines.append((name, _listed(list(values))))
    for which, networks in _networks(header).items():
        lines += [(f"{which} {name}", f"{n:,} weights") for name, n in networks.items()]
    changed = [f"{k}={_written(v)}" for k, v in _changed(content)]
    lines.append(("parameters", ", ".join(changed) if changed else "all as by default"))
    if content.get("code"):
        lines.append(("code", f"{', '.join(content['code'])}: not in the file"))
    lines.append(("seed", str(fitted.get("seed_"))))
    if history:
        row = {k: v for k, v in history[-1].items() if v is not None and v == v}
        lines.append(("epochs", f"{len(history)}, {row.pop('seconds', math.nan):.1f} s"))
        told = (f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items())
        lines.append(("last epoch", ", ".join(told)))
    return lines


def _kind(fitted: dict[str, Any]) -> str:
    if "kind_" in fitted:
        return f"columns of frames of {fitted['kind_']}"
    return {"bytes": "images of bytes", "unit": "images in [0, 1]"}.get(
        str(fitted.get("pixels_")), "numbers as they are"
    )


def _listed(values: list[Any]) -> str:
    shown = ", ".join(map(str, values[:10]))
    return f"{len(values)}: {shown}{', ...' if len(values) > 10 else ''}"


def _networks(header: Header) -> dict[str, dict[str, int]]:
    """Numbers in each network, for each epoch of which there are weights."""
    found: dict[str, dict[str, int]] = {}
    for path, shape in header.tensors.items():
        which, network = path.split("/")[:2]
        sizes = found.setdefault(which, {})
        sizes[network] = sizes.get(network, 0) + math.prod(shape)
    return found


def _changed(content: dict[str, Any]) -> list[tuple[str, Any]]:
    """Parameters that are not as by default, those of parts by their own names."""
    defaults = systems.defaults(systems.SYSTEMS[systems.name_of(content["class"])])
    flat: dict[str, Any] = {}
    for name, value in content["params"].items():
        if isinstance(value, dict) and set(value) == {"part", "params"}:
            flat |= {f"{name}__{k}": v for k, v in value["params"].items()}
        else:
            flat[name] = value
    return [(k, v) for k, v in flat.items() if k in defaults and defaults[k] != v]


def _written(value: Any) -> str:
    """A value as in a call; a maker of networks, of which the file has the name, as such."""
    if not isinstance(value, dict) or set(value) != {"maker", "arguments"}:
        return repr(value)
    bound = [f"{k}={v!r}" for k, v in value["arguments"].items()]
    return f"partial({', '.join([value['maker'], *bound])})" if bound else value["maker"]


# ---------------------------------------------------------------- data sets


@click.group("data", short_help="List the embedded data sets, or get one.")
def data() -> None:
    """Data sets by name, which every command takes as DATA: digits, mnist:test, ..."""


@command("list", short_help="List the data sets.", example="repkit data list")
def list_sets() -> None:
    """List the data sets, their parts and where they come from.

    A part is given after a colon: mnist:test. The first one is the default.
    """
    for name, found in sets.SETS.items():
        parts = f" ({', '.join(filter(None, found.parts))})" if found.parts else ""
        click.echo(f"{name:<15} {found.what}, {found.comes}{parts}")


@command(
    "get",
    short_help="Load a data set, and write it as files.",
    example="""\
repkit data get moons:source --out source.csv
repkit data get digits --out digits/          (a sub-folder of PNG files for each class)
repkit data get speech --out wavs/            (a sub-folder of WAV files for each speaker)""",
)
@click.argument("name", metavar="NAME")
@click.option(
    "--out", type=out_path(folder_too=True), help="A .csv, .parquet or .npz file, or a folder."
)
@force_option
def get(name: str, out: Path | None, force: bool) -> None:
    """Load the data set NAME, downloading it if needed; with --out, write it as files."""
    if not sets.is_name(name):
        raise click.UsageError(f"there is no data set {name!r}{sets.near(name)}; repkit data list")
    if out is not None:
        check_out(out, force=force)
    say(f"loading {name}")
    found = sets.load(name)
    if out is not None:
        write_set(found, out)
    shape = "x".join(map(str, getattr(found.X, "shape", (len(found.X),))))
    where = "" if out is None else f"; in {out}"
    say(f"{name}: {shape}; labels: {', '.join(found.labels)}{where}")


def write_set(found: sets.Data, out: Path) -> None:
    """Write samples and labels: a table, arrays, or a folder of images or of sound."""
    suffix = out.suffix.lower()
    if isinstance(found.X, list):
        if suffix:
            raise click.UsageError(f"--out {out}: sound goes into a folder, of WAV files")
        _write_sound(found, out)
    elif suffix == ".npz":
        arrays: dict[str, Any] = {"X": _dense(found.X), **found.labels}
        np.savez(out, **arrays)
    elif suffix in (".csv", ".parquet") and found.X.ndim == 2:
        import pandas as pd

        frame = pd.DataFrame(_dense(found.X)).rename(columns=lambda k: f"x{k}")
        frame = frame.assign(**{k: np.asarray(v) for k, v in found.labels.items()})
        if suffix == ".csv":
            frame.to_csv(out, index=False)
        else:
            need("pyarrow", "data")
            frame.to_parquet(out, index=False)
    elif not suffix and found.X.ndim > 2:
        write_images(found.X, out, next(iter(found.labels.values())))
    else:
        raise click.UsageError(
            f"--out {out}: tables go into a .csv, .parquet or .npz file, images into a folder or a "
            ".npz file"
        )


def _dense(X: Any) -> np.ndarray:
    return X.toarray() if hasattr(X, "toarray") else np.asarray(X)


def write_images(X: np.ndarray, out: Path, y: Any = None) -> None:
    """Write images as PNG files, in a sub-folder for each class if there are classes."""
    image = need("PIL.Image", "data")
    if X.dtype != np.uint8:
        X = np.rint(255 * np.clip(X, 0, 1)).astype(np.uint8)
    digits = len(str(len(X) - 1))
    for k, x in enumerate(X):
        folder = out if y is None else out / LETTERS.sub("_", str(y[k]))
        folder.mkdir(parents=True, exist_ok=True)
        x = x[0] if x.ndim == 3 and x.shape[0] == 1 else x
        x = x.transpose(1, 2, 0) if x.ndim == 3 else x
        image.fromarray(np.ascontiguousarray(x)).save(folder / f"{k:0{digits}}.png")


def _write_sound(found: sets.Data, out: Path) -> None:
    soundfile = need("soundfile", "speech")
    speakers, words = found.labels["speaker"], found.labels["word"]
    digits = len(str(len(found.X) - 1))
    for k, wave in enumerate(found.X):
        folder = out / LETTERS.sub("_", str(speakers[k]))
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{k:0{digits}}_word{LETTERS.sub('_', str(words[k]))}.wav"
        soundfile.write(folder / name, wave, found.sample_rate)


data.add_command(list_sets)
data.add_command(get)
