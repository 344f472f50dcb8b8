"""Internal. `repkit evaluate`: the metrics that fit the model."""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np

from repkit.cli.commands import (
    command,
    data_argument,
    drop_option,
    label_option,
    model_argument,
    open_model,
)
from repkit.cli.header import read_header
from repkit.cli.pouring import is_large, poured
from repkit.cli.sources import Named, Source, Wanted, open_source

MOST = 10_000  # rows of probes and of pairs, chosen at random


class Figure(NamedTuple):
    """A metric, its value, and what it says."""

    name: str
    value: float
    says: str


word_option = click.option(
    "--word",
    metavar="NAME",
    help="Of speech: what is said; a column, or a regular expression searched for in paths.",
)


@command(
    "evaluate",
    short_help="Measure a model on DATA.",
    example="""\
repkit evaluate dann.safetensors target.csv --label y
repkit evaluate vae.safetensors images/ --json
repkit evaluate speech.safetensors wavs/ --word 'word(\\d+)'""",
)
@model_argument
@data_argument
@label_option
@word_option
@drop_option
@click.option("--json", "as_json", is_flag=True, help="Numbers as JSON, for programs.")
@click.option("--device", default="auto", show_default=True, help="Where to compute.")
def evaluate(
    model: Path,
    data: str,
    label: str | None,
    word: str | None,
    drop: tuple[str, ...],
    as_json: bool,
    device: str,
) -> None:
    """Measure MODEL on DATA that it was not fitted on.

    Classifiers and regressors are compared with labels. Other models give the error of their
    reconstructions and, if there are labels, how well a linear probe reads these from features,
    beside raw numbers, on at most 10,000 rows at random; a model of speech, how far its vectors
    tell words and speakers. Tables and folders of more than 256 MB are copied to a temporary file
    and read from there.
    """
    header = read_header(model)
    cls = header.content["class"]
    speech = cls == "SpeechAutoencoder"
    if word is not None and not speech:
        raise click.UsageError(f"--word is for models of speech, not for a {cls}")
    wanted = Wanted(label, drop)
    open_source(data, wanted, speech=speech)  # before torch is loaded
    wanted.model = open_model(model, device)
    source = open_source(data, wanted, speech=speech)
    with tempfile.TemporaryDirectory(prefix="repkit-") as folder:
        X, y = _read(source, Path(folder) / "samples.npy")
        figures = _figures(cls, wanted.model, source, X, y, word)
        del X
    if as_json:
        click.echo(json.dumps({f.name: f.value for f in figures}, indent=2))
        return
    width = max(len(f.name) for f in figures)
    for f in figures:
        click.echo(f"{f.name:<{width}}  {f.value:>9.4g}  {f.says}")


def _read(source: Source, path: Path) -> tuple[Any, Any]:
    """Samples and labels; what is large is mapped from a file."""
    if not is_large([source]):
        return source.load()
    X, (y,), _ = poured([source], path)
    return X, y


def _figures(
    cls: str, model: Any, source: Source, X: Any, y: Any, word: str | None
) -> list[Figure]:
    if word is None and isinstance(source, Named) and "word" in source.data.labels:
        word = "word"
    words = None if word is None else source.labels(word, "--word")
    with warnings.catch_warnings():
        # A memory map of a table has the columns that the model knows, but not their names.
        warnings.filterwarnings("ignore", "X does not have valid feature names")
        return FIGURES[cls](model, X, y, words)


# ---------------------------------------------------------------- metrics


def _labeled(y: Any, what: str, classes: Any = None) -> np.ndarray:
    """Labels, in the type that the model knows; a UsageError if there are none."""
    if y is None:
        raise click.UsageError(f"evaluate compares with {what}: give --label")
    found = np.asarray(y)
    if classes is not None and classes.dtype.kind in "if" and found.dtype.kind in "OUT":
        try:  # names of folders are texts
            return found.astype(classes.dtype)
        except ValueError:
            return found
    if classes is not None and classes.dtype.kind in "OUT" and found.dtype.kind in "if":
        return found.astype(str)
    return found


def _classifier(model: Any, X: Any, y: Any, words: Any) -> list[Figure]:
    from sklearn.metrics import balanced_accuracy_score

    y = _labeled(y, "classes", model.classes_)
    found = model.predict(X)
    share = max(float((y == c).mean()) for c in model.classes_)
    return [
        Figure("accuracy", float(model.score(X, y)), "share of rows that are right"),
        Figure("balanced_accuracy", balanced_accuracy_score(y, found), "mean over the classes"),
        Figure("most_frequent", share, "accuracy of always saying the most frequent class"),
        Figure("rows", len(y), ""),
    ]


def _regressor(model: Any, X: Any, y: Any, words: Any) -> list[Figure]:
    y = _labeled(y, "numbers")
    if y.dtype.kind not in "iuf":
        raise click.UsageError("--label must name a column of numbers")
    error = model.predict(X) - y
    return [
        Figure("r2", float(model.score(X, y)), "1 is perfect, 0 is saying the mean"),
        Figure("rmse", float(np.sqrt((error**2).mean())), "root of the mean squared error"),
        Figure("mae", float(np.abs(error).mean()), "mean absolute error"),
        Figure("rows", len(y), ""),
    ]


def _some(X: Any, y: Any) -> tuple[Any, np.ndarray]:
    """At most `MOST` rows that have a label of which there are several, at random."""
    y = np.asarray(y).astype(str)
    kinds, counts = np.unique(y, return_counts=True)
    rows = np.flatnonzero(np.isin(y, kinds[(counts > 3) & (kinds != "-1") & (kinds != "nan")]))
    rows = np.random.default_rng(0).permutation(rows)[:MOST]
    return (X.iloc[rows] if hasattr(X, "iloc") else X[rows]), y[rows]


def _flat(X: Any) -> np.ndarray:
    X = X.toarray() if hasattr(X, "toarray") else np.asarray(X)
    found: np.ndarray = X.reshape(len(X), -1).astype(np.float64)
    return found / 255 if X.dtype == np.uint8 else found


def _probes(model: Any, X: Any, y: Any) -> list[Figure]:
    """How well labels are read from features and from raw numbers, on halves."""
    if y is None:
        return []
    from sklearn.model_selection import train_test_split

    from repkit.metrics import linear_probe

    X, y = _some(X, y)
    if len(set(y)) < 2:
        return []
    train, test = train_test_split(np.arange(len(y)), test_size=0.5, stratify=y, random_state=0)
    figures = []
    for name, Z, says in (
        ("linear_probe", _flat(model.transform(X)), "labels read from features"),
        ("linear_probe_raw", _flat(X), "labels read from the raw numbers"),
    ):
        score = linear_probe(Z[train], y[train], Z[test], y[test])["accuracy"]
        figures.append(Figure(name, score, f"accuracy of {says}, half to learn, half to test"))
    return figures


def _autoencoder(model: Any, X: Any, y: Any, words: Any) -> list[Figure]:
    from repkit.metrics import reconstruction_ratio

    rows = np.sort(np.random.default_rng(0).permutation(X.shape[0])[:MOST])
    some = X.iloc[rows] if hasattr(X, "iloc") else X[rows]
    back, flat = _flat(model.reconstruct(some)), _flat(some)
    return [
        Figure(
            "reconstruction_ratio",
            reconstruction_ratio(flat, back),
            "0 if each reconstruction is its sample, 1 if it might be any",
        ),
        Figure("rmse", float(np.sqrt(((flat - back) ** 2).mean())), "of reconstructions"),
        *_probes(model, X, y),
        Figure("rows", len(flat), ""),
    ]


def _clusters(model: Any, X: Any, y: Any, words: Any) -> list[Figure]:
    figures = []
    n = X.shape[0]
    if model._codes().sizes:
        found = model.predict(X)
        shares = np.unique(found, return_counts=True)[1] / n
        used = float(np.exp(-(shares * np.log(shares)).sum()))
        figures.append(Figure("categories_used", used, "perplexity of the categories"))
        if y is not None:
            from sklearn.metrics import normalized_mutual_info_score

            from repkit.metrics import match_clusters

            y = np.asarray(y).astype(str)
            named = match_clusters(found, y)
            share = float((named[found] == y).mean())
            figures.append(Figure("matched", share, "share of rows in the category of their label"))
            score = float(normalized_mutual_info_score(y, found))
            figures.append(Figure("nmi", score, "mutual information of labels and categories"))
    return [*figures, *_probes(model, X, y), Figure("rows", n, "")]


def _speech(model: Any, X: Any, y: Any, words: Any) -> list[Figure]:
    from repkit.metrics import same_different, speaker_eer

    p, s = model.transform_phonetic(X), model.transform_speaker(X)
    known = np.ones(len(p), dtype=bool) if y is None else np.asarray(y).astype(str) != "-1"
    rows = np.random.default_rng(0).permutation(np.flatnonzero(known))[:MOST]
    figures = []
    if y is None and words is None:
        raise click.UsageError(
            "evaluate needs speakers or words: sub-folders by speaker, --label or --word"
        )
    if y is not None:
        speakers = np.asarray(y).astype(str)[rows]
        if len(set(speakers)) < 2:
            raise click.UsageError("evaluate needs two speakers, or words by --word")
        for name, Z, says in (
            ("eer_speaker", s, "0 if speaker vectors tell speakers apart, 0.5 by chance"),
            ("eer_phonetic", p, "0.5 if phonetic vectors tell nothing of the speaker by cosine"),
        ):
            figures.append(
                Figure(name, speaker_eer(Z[rows], speakers), f"equal error rate: {says}")
            )
    if words is not None:
        said = np.asarray(words).astype(str)[rows]
        scores = same_different(p[rows], said, None if y is None else speakers)
        kind = "ap" if y is None else "ap_across"
        which = "" if y is None else " of two speakers"
        figures += [
            Figure(kind, scores[kind], f"precision of the same word among pairs{which}"),
            Figure("chance", scores["chance" + kind[2:]], "the same of vectors without words"),
        ]
    return [*figures, Figure("utterances", len(rows), "")]


FIGURES: dict[str, Callable[[Any, Any, Any, Any], list[Figure]]] = {
    "DANN": _classifier,
    "DANNRegressor": _regressor,
    "TripleGAN": _classifier,
    "VAE": _autoencoder,
    "VAEGAN": _autoencoder,
    "BiGAN": _autoencoder,
    "InfoGAN": _clusters,
    "SpeechAutoencoder": _speech,
}
