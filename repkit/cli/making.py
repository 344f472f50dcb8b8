"""Internal. `repkit plot`, `repkit sample` and `repkit convert`: what a model draws and says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np

from repkit._optional import need
from repkit.cli.commands import (
    DataType,
    check_out,
    command,
    drop_option,
    force_option,
    label_option,
    model_argument,
    open_model,
    out_path,
    say,
)
from repkit.cli.describing import write_images
from repkit.cli.evaluating import word_option
from repkit.cli.header import read_header
from repkit.cli.sources import Wanted, open_source
from repkit.cli.systems import parse_value

FIGURES = (".png", ".pdf", ".svg", ".jpg")
SOUND = (".wav", ".flac", ".ogg")
existing = click.Path(exists=True, dir_okay=False, path_type=Path)
seed_option = click.option(
    "--seed", type=click.IntRange(0, 2**32 - 1), help="Seed of what is drawn at random."
)


# ---------------------------------------------------------------- plot


def _history(model: Any, X: Any, y: Any, **more: Any) -> Any:
    from repkit import HistoryDisplay

    return HistoryDisplay.from_estimator(model)


def _embedding(model: Any, X: Any, y: Any, *, words: Any, seed: Any, **more: Any) -> Any:
    from repkit import EmbeddingDisplay, SpeechVectorsDisplay

    if y is None:
        raise click.UsageError("--kind embedding needs labels to color by: give --label")
    say("mapping the features: UMAP is compiled first, which takes about half a minute")
    if words is not None:
        return SpeechVectorsDisplay.from_estimator(model, X, words, y, random_state=seed)
    return EmbeddingDisplay.from_estimator(model, X, y, random_state=seed)


def _traversal(model: Any, X: Any, y: Any, *, seed: Any, shape: Any, **more: Any) -> Any:
    from repkit import TraversalDisplay

    return TraversalDisplay.from_estimator(model, X=X, random_state=seed, image_shape=shape)


def _reconstruction(model: Any, X: Any, y: Any, *, seed: Any, shape: Any, **more: Any) -> Any:
    from repkit import ReconstructionDisplay

    if hasattr(X, "to_numpy"):
        X = X.to_numpy()
    return ReconstructionDisplay.from_estimator(model, X, random_state=seed, image_shape=shape)


def _samples(model: Any, X: Any, y: Any, *, seed: Any, shape: Any, **more: Any) -> Any:
    from repkit import SampleGridDisplay

    return SampleGridDisplay.from_estimator(model, random_state=seed, image_shape=shape)


def _conversion(model: Any, X: Any, y: Any, *, voice: Path | None, **more: Any) -> Any:
    from repkit import SpectrogramDisplay

    if voice is None:
        raise click.UsageError("--kind conversion needs --voice FILE")
    files = [X[0], str(voice)]
    said, heard = model.reconstruct(files)
    (converted,) = model.convert(files[:1], files[1:])
    display = SpectrogramDisplay(
        {"words of DATA": said, "voice of --voice": heard, "both": converted}
    )
    return display.plot()


# What draws a kind, whether it needs DATA (None: takes it), and a method that the model must have.
KINDS: dict[str, tuple[Callable[..., Any], bool | None, str]] = {
    "history": (_history, False, "transform"),
    "embedding": (_embedding, True, "transform"),
    "traversal": (_traversal, None, "sample"),
    "reconstruction": (_reconstruction, True, "inverse_transform"),
    "samples": (_samples, False, "sample"),
    "conversion": (_conversion, True, "convert"),
}


@command(
    "plot",
    short_help="Draw a figure of a model.",
    example="""\
repkit plot vae.safetensors --kind history --out history.png
repkit plot vae.safetensors images/ --kind reconstruction --out back.png
repkit plot speech.safetensors a.wav --kind conversion --voice b.wav --out c.png""",
)
@model_argument
@click.argument("data", type=DataType(), metavar="[DATA]", required=False)
@click.option("--kind", type=click.Choice(list(KINDS)), required=True, help="What to draw.")
@click.option("--out", required=True, type=out_path(), metavar="FILE", help="A .png, .pdf or .svg.")
@label_option
@word_option
@drop_option
@click.option("--voice", type=existing, help="An audio file, for --kind conversion.")
@click.option("--image-shape", help="Of images that are rows of a table: 8x8.")
@seed_option
@force_option
def plot(
    model: Path,
    data: str | None,
    kind: str,
    out: Path,
    label: str | None,
    word: str | None,
    drop: tuple[str, ...],
    voice: Path | None,
    image_shape: str | None,
    seed: int | None,
    force: bool,
) -> None:
    """Draw MODEL, or what it makes of DATA.

    history: losses by epoch. embedding: features in the plane, by UMAP. traversal: what codes
    change. reconstruction: images and what comes back. samples: generated images. conversion:
    spectrograms of the words of DATA in the voice of another file.
    """
    draw, needs, method = KINDS[kind]
    check_out(out, *FIGURES, force=force)
    if needs and data is None:
        raise click.UsageError(f"--kind {kind} needs DATA")
    if needs is False and data is not None:
        raise click.UsageError(f"--kind {kind} takes no DATA")
    cls = read_header(model).content["class"]
    speech = cls == "SpeechAutoencoder"
    shape = _shape_of(image_shape)
    need("matplotlib", "plots").use("Agg")
    wanted = Wanted(label, drop)
    if data is not None:
        open_source(data, wanted, speech=speech)  # before torch is loaded
    fitted = wanted.model = open_model(model, "cpu")
    if not hasattr(fitted, method):
        raise click.UsageError(f"--kind {kind} does not go with a {cls}")
    X = y = words = None
    if data is not None:
        source = open_source(data, wanted, speech=speech)
        X, y = source.load()
        words = None if word is None else source.labels(word, "--word")
    display = draw(fitted, X, y, words=words, seed=seed, voice=voice, shape=shape)
    display.figure_.savefig(out, dpi=150, bbox_inches="tight")
    say(f"{out}: {kind}")


def _shape_of(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    sizes = text.split("x")
    if not all(size.isdecimal() and int(size) for size in sizes):
        raise click.UsageError(f"--image-shape {text}: give 8x8, or 3x32x32")
    return tuple(map(int, sizes))


# ---------------------------------------------------------------- sample


@command(
    "sample",
    short_help="Write samples of a model.",
    example="""\
repkit sample vae.safetensors --n 100 --out samples/          (a folder of PNG files)
repkit sample triplegan.safetensors --n 20 --label 7 --out sevens.npy
repkit sample infogan.safetensors --n 5 --code category0=3 --out threes.npy""",
)
@model_argument
@click.option("--n", type=click.IntRange(1), default=16, show_default=True, help="How many.")
@click.option(
    "--out",
    required=True,
    type=out_path(folder_too=True),
    help="A .npy, .csv or .parquet file, or a folder.",
)
@click.option("--label", help="The class of the samples, of a triplegan.")
@click.option("--code", multiple=True, metavar="NAME=VALUE", help="A code of an infogan.")
@seed_option
@force_option
def sample(
    model: Path,
    n: int,
    out: Path,
    label: str | None,
    code: tuple[str, ...],
    seed: int | None,
    force: bool,
) -> None:
    """Write samples of MODEL: arrays, a table, or a folder of images."""
    suffix = out.suffix.lower()
    if suffix not in ("", ".npy", ".csv", ".parquet"):
        raise click.UsageError(f"--out {out}: give a .npy, .csv or .parquet file, or a folder")
    check_out(out, force=force)
    cls = read_header(model).content["class"]
    if label is not None and cls != "TripleGAN":
        raise click.UsageError(f"--label does not go with a {cls}: its samples have no classes")
    if code and cls != "InfoGAN":
        raise click.UsageError(f"--code does not go with a {cls}: it has no codes")
    fitted = open_model(model, "cpu")
    if not hasattr(fitted, "sample"):
        raise click.UsageError(f"a {cls} does not generate samples")
    more: dict[str, Any] = {}
    if label is not None:
        names = {str(c): c for c in fitted.classes_.tolist()}
        if label not in names:
            raise click.UsageError(f"--label {label}: the classes are {', '.join(names)}")
        more["y"] = names[label]
    if code:
        more["codes"] = dict(_code(text) for text in code)
    X = fitted.sample(n, random_state=seed, **more)
    _write_samples(X, out, getattr(fitted, "feature_names_in_", None))
    say(f"{out}: {n} samples of shape {X.shape[1:]}")


def _code(text: str) -> tuple[str, Any]:
    name, mark, value = text.partition("=")
    if not mark:
        raise click.UsageError(f"--code {text}: give NAME=VALUE")
    return name, parse_value(value)


def _write_samples(X: np.ndarray, out: Path, names: Any) -> None:
    suffix = out.suffix.lower()
    if suffix == ".npy":
        np.save(out, X)
    elif suffix == "" and X.ndim > 2:
        write_images(X, out)
    elif suffix and X.ndim == 2:
        import pandas as pd

        columns = [f"x{k}" for k in range(X.shape[1])] if names is None else list(names)
        frame = pd.DataFrame(X, columns=columns)
        if suffix == ".csv":
            frame.to_csv(out, index=False)
        else:
            need("pyarrow", "data")
            frame.to_parquet(out, index=False)
    else:
        kinds = "images go into a folder" if X.ndim > 2 else "rows go into a .csv or .parquet file"
        raise click.UsageError(f"--out {out}: {kinds}, or into a .npy file")


# ---------------------------------------------------------------- convert


@command(
    "convert",
    short_help="Say a recording's words in another voice.",
    example="repkit convert speech.safetensors a.wav --voice b.wav --out c.wav",
)
@model_argument
@click.argument("words", type=existing, metavar="AUDIO")
@click.option("--voice", required=True, type=existing, help="A recording of the voice.")
@click.option("--out", required=True, type=out_path(), help="A .wav, .flac or .ogg file.")
@force_option
def convert(model: Path, words: Path, voice: Path, out: Path, force: bool) -> None:
    """Write the words of AUDIO in the voice of another recording.

    MODEL is one of speech, fitted on sound.
    """
    check_out(out, *SOUND, force=force)
    cls = read_header(model).content["class"]
    if cls != "SpeechAutoencoder":
        raise click.UsageError(f"MODEL is a {cls}; convert needs one of speech")
    soundfile = need("soundfile", "speech")
    fitted = open_model(model, "cpu")
    frames = fitted.convert([str(words)], [str(voice)])[0]
    wave = fitted.to_waveform(frames)
    soundfile.write(out, np.clip(wave, -1, 1), fitted.sample_rate)
    say(f"{out}: {len(wave) / fitted.sample_rate:.1f} s at {fitted.sample_rate} Hz")
