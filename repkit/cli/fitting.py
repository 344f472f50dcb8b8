"""Internal. `repkit fit`."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from repkit._processes import asked_alone, launched
from repkit.cli import systems
from repkit.cli.commands import (
    BROKEN_OFF,
    FAILED,
    DataType,
    SizeType,
    check_out,
    command,
    data_argument,
    drop_option,
    label_option,
    one_line,
    out_path,
    say,
    skip_option,
)
from repkit.cli.pouring import is_large, poured
from repkit.cli.sources import Pictures, Source, Table, Wanted, open_source
from repkit.cli.systems import SYSTEMS, System

_NAMED = "repkit.system"


class _Fit(click.Command):
    """``repkit fit SYSTEM --help`` also lists the system's parameters."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # Of --help click knows no argument: it is called before they are told apart.
        ctx.meta[_NAMED] = next((one for one in args if one in SYSTEMS), None)
        return super().parse_args(ctx, args)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_epilog(ctx, formatter)
        if (name := ctx.meta.get(_NAMED)) is not None:
            formatter.write_paragraph()
            formatter.write(systems.help_of(name, min(formatter.width, 100)) + "\n")


class _SettingType(click.ParamType):
    """NAME=VALUE; completes the names of the system's parameters."""

    name = "setting"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[Any]:
        from click.shell_completion import CompletionItem

        system = ctx.meta.get(_NAMED)
        known = systems.parameters(SYSTEMS[system]) if system is not None else {}
        return [
            CompletionItem(f"{name}=", help=p.kind)
            for name, p in known.items()
            if name.startswith(incomplete)
        ]


@command(
    "fit",
    cls=_Fit,
    short_help="Train a system on DATA.",
    example="""\
repkit fit vae images/ --size 32 --out vae.safetensors --set latent_dim=16
repkit fit dann source.csv --target target.csv --label y --out dann.safetensors --search
repkit fit speech wavs/ --out speech.safetensors --set prototypes__weight=0.5 --resume
repkit fit dann --help            (also lists all parameters of the system)""",
)
@click.argument("system", type=click.Choice(list(SYSTEMS)), metavar="SYSTEM")
@data_argument
@click.option("--out", required=True, type=out_path(), metavar="MODEL", help="The file to write.")
@click.option(
    "--target",
    multiple=True,
    type=DataType(),
    metavar="DATA",
    help="Data of a domain to adapt to (dann, dann-regressor); labels in it are never read.",
)
@label_option
@drop_option
@click.option("--size", type=SizeType(), help="Resize images: 32, or 32x48 (height, width).")
@click.option(
    "--set",
    "settings",
    multiple=True,
    type=_SettingType(),
    metavar="NAME=VALUE",
    help="A parameter of the system, one of a part as PART__NAME=VALUE.",
)
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Parameters in a TOML file, those of a part as a table; --set counts more.",
)
@click.option(
    "--search",
    is_flag=True,
    help="Fit several ways of adapting, and none, and keep the one that the target rows speak for "
    "(dann with --target).",
)
@click.option("--resume", is_flag=True, help="Go on from the checkpoints of a run broken off.")
@click.option("--force", is_flag=True, help="Replace MODEL if it is there, and an unfinished run.")
@skip_option
def fit(
    system: str,
    data: str,
    out: Path,
    target: tuple[str, ...],
    label: str | None,
    drop: tuple[str, ...],
    size: tuple[int, int] | None,
    settings: tuple[str, ...],
    config: Path | None,
    search: bool,
    resume: bool,
    force: bool,
    on_error: str,
) -> None:
    """Train SYSTEM on DATA and write the model.

    SYSTEM is one of dann, dann-regressor, bigan, infogan, vae, vaegan, triplegan, speech.

    DATA is a table (.csv, .tsv, .parquet), an array (.npy, .npz), a folder of images, or an
    embedded set (repkit data list); for speech a folder of audio files, or a list of them (.txt,
    or a table with the column "path"). Sub-folders are classes, or speakers.

    After every epoch a checkpoint is written beside MODEL. Ctrl-C keeps the last one, and --resume
    goes on from it. When MODEL is written, the checkpoints are removed.

    Tables and folders of more than 256 MB are copied to a file beside MODEL and read from there by
    the batch, and a .npy file is read so in its place; the copy is removed at the end. Held in
    memory as a whole are .npz files, embedded sets, labels, and the frames of sound.
    """
    if launched() and not asked_alone():
        raise click.UsageError(
            "repkit fit is of one process, and torchrun has started several; call fit in a script, "
            "where each takes its share of every batch"
        )
    kind = SYSTEMS[system]
    params = systems.read_settings(system, settings, config)
    check_out(out, force=force)
    if target and not kind.adapts:
        raise click.UsageError(f"--target goes with dann and dann-regressor, not with {system}")
    if search and not (system == "dann" and target):
        raise click.UsageError("--search goes with dann and --target: it chooses how to adapt")
    folder = out.with_name(f"{out.name}.checkpoints")
    _look_for_runs(folder, resume, force)
    wanted = Wanted(label, drop, size, skip=on_error == "skip")
    say(f"reading {', '.join([data, *target])}")
    sources = _opened(kind, data, target, wanted)
    mapped = out.with_name(f"{out.name}.samples.npy")
    try:
        X, y, domain = read_all(sources, system, mapped)
        _fit(kind, system, params, (X, y, domain), sources, out, folder, search)
    finally:
        mapped.unlink(missing_ok=True)


def _fit(
    kind: System,
    system: str,
    params: dict[str, Any],
    data: tuple[Any, Any, Any],
    sources: list[Source],
    out: Path,
    folder: Path,
    search: bool,
) -> None:
    X, y, domain = data
    _tell_skipped(sources)
    say("loading torch")
    if sources[0].sample_rate is not None:
        params.setdefault("sample_rate", sources[0].sample_rate)
    if kind.speech and sources[0].wanted.skip:
        params.setdefault("on_error", "skip")
    model = systems.estimator(system, params)
    model = _train(model, X, y, domain, folder, sources, search)
    if isinstance(sources[0], Table):  # a memory map has no names
        model.feature_names_in_ = np.array(sources[0].names, dtype=object)
    model.save(out)
    shutil.rmtree(folder, ignore_errors=True)
    for left_out in getattr(model, "skipped_", ()):
        click.echo(f"skipped {left_out.name}: {left_out.reason}", err=True)
    history = model.history_
    if "failed_step" in history and history["failed_step"].notna().any():
        raise click.ClickException(f"the training failed; its last good weights are in {out}")
    say(f"{out}: {model.n_iter_} epochs, {out.stat().st_size / 1e6:.1f} MB; repkit info {out}")


# ---------------------------------------------------------------- data


def _opened(kind: System, data: str, target: Sequence[str], wanted: Wanted) -> list[Source]:
    first = open_source(data, wanted, speech=kind.speech)
    like = first if isinstance(first, Table) else None
    others = [
        open_source(
            one,
            Wanted(wanted.label, (), wanted.size, wanted.skip, like=like, lenient=True),
            speech=False,
        )
        for one in target
    ]
    for other in others:
        if isinstance(other, Table) != isinstance(first, Table):
            raise click.UsageError(f"--target {other.given} is of another kind than {data}")
    return [first, *others]


def read_all(
    sources: Sequence[Source], system: str, mapped: Path | None = None
) -> tuple[Any, Any, Any]:
    """Samples and labels of the first source, and of the others samples; the domain of each.

    What is large is mapped from the file ``mapped``.
    """
    kind, first = SYSTEMS[system], sources[0]
    pictures = [s for s in sources if isinstance(s, Pictures)]
    if len(pictures) > 1:
        color = any(source.colored() for source in pictures)
        for source in pictures:
            source.color = color
    if kind.labels and isinstance(first, Table) and first.wanted.label is None:
        _check_labels(first, None, system)  # before cells are looked at
    if mapped is not None and is_large(sources):
        X, labels, counts = poured(sources, mapped)
        y = labels[0]
        if kind.labels:
            _check_labels(first, y, system)
        return X, *_labels_and_domains(y if kind.labels else None, counts)
    X, y = first.load()
    if kind.labels and not kind.speech:
        _check_labels(first, y, system)
    if len(sources) == 1:
        return X, y if kind.labels else None, None
    parts = [X, *(source.load()[0] for source in sources[1:])]
    counts = [part.shape[0] for part in parts]
    return _joined(parts, sources), *_labels_and_domains(y, counts)


def _labels_and_domains(y: Any, counts: Sequence[int]) -> tuple[Any, Any]:
    """Of the rows of all sources."""
    if len(counts) == 1:
        return y, None
    # The labels of target rows are never read: any will do.
    y = np.concatenate([y, np.repeat(y[:1], sum(counts[1:]))])
    return y, np.repeat([1, *(-k for k in range(1, len(counts)))], counts)


def _joined(parts: Sequence[Any], sources: Sequence[Source]) -> Any:
    first = parts[0]
    for part, source in zip(parts, sources, strict=True):
        if part.shape[1:] != first.shape[1:]:
            raise click.UsageError(
                f"{source.given} has samples of shape {part.shape[1:]}, and {sources[0].given} of "
                f"{first.shape[1:]}{'; give --size' if isinstance(source, Pictures) else ''}"
            )
        if hasattr(part, "dtype") and (part.dtype == np.uint8) != (first.dtype == np.uint8):
            raise click.UsageError(
                f"{source.given} holds {part.dtype} and {sources[0].given} {first.dtype}: bytes "
                "and other numbers do not go together"
            )
    if hasattr(first, "columns"):
        import pandas as pd

        return pd.concat(parts, ignore_index=True)
    if hasattr(first, "tocsr"):
        from scipy import sparse

        return sparse.vstack(parts).tocsr()
    return np.concatenate(parts)


def _check_labels(source: Source, y: Any, system: str) -> None:
    if y is None:
        columns = ""
        if isinstance(source, Table):
            from repkit.datasets._tables import listed

            columns = f"; {source.given} has the columns {listed(source.columns)}"
        raise click.UsageError(
            f"{system} learns from {SYSTEMS[system].labels}: give --label{columns}"
        )
    if system != "triplegan":
        import pandas as pd

        gone = np.flatnonzero(pd.isna(y))
        if len(gone):
            raise ValueError(
                f"{source.given}: the label {source.wanted.label!r} is empty in row {gone[0] + 1}"
            )


def _tell_skipped(sources: Sequence[Source]) -> None:
    for source in sources:
        for name, reason in source.skipped:
            click.echo(f"skipped {name} of {source.given}: {reason}", err=True)


# ---------------------------------------------------------------- training


def _look_for_runs(folder: Path, resume: bool, force: bool) -> None:
    """Neither lose an unfinished run nor go on from it unasked."""
    there = _newest(folder) > 0
    if there and not resume and not force:
        raise click.UsageError(
            f"{folder} holds a run that was broken off; give --resume to go on from it, or --force "
            "to start anew"
        )
    if there and force and not resume:
        shutil.rmtree(folder)
    if resume and not there:
        say(f"there is nothing to go on from in {folder}; starting anew")


def _newest(folder: Path) -> int:
    """The epoch of the newest checkpoint, or the sum of those of a search; 0 if there is none."""
    newest: dict[Path, int] = {}
    for path in folder.glob("**/epoch-*.ckpt"):
        runs = path.parents[1]  # the folder, or in a search that of a candidate
        newest[runs] = max(newest.get(runs, 0), int(path.stem.rpartition("-")[2]))
    return sum(newest.values())


def _train(
    model: Any, X: Any, y: Any, domain: Any, folder: Path, sources: Any, search: bool
) -> Any:
    """Fit the model, or the candidates of a search; give what is fitted."""
    from repkit import AdaptationSearch
    from repkit.cli.progress import epochs as shown_epochs

    there = _newest(folder) > 0
    more = {} if domain is None else {"sample_domain": domain}
    fitted = AdaptationSearch(model) if search else model
    trainings = len(fitted.make_candidates()) if search else getattr(model, "n_init", 1)
    epochs = shown_epochs(model.max_epochs, trainings)

    if search and there:
        say(f"going on with what {folder} has of these data and parameters")
        # Those that are complete are not told of again.
        epochs.number = _newest(folder) // model.max_epochs

    def began(row: dict[str, Any]) -> None:
        if epochs.first is None and there and not search:
            if row["epoch"] == 1:
                click.echo(
                    f"warning: the run in {folder} is of other data or parameters; starting anew",
                    err=True,
                )
            else:
                say(f"going on from epoch {row['epoch'] - 1}")

    model.set_params(checkpoint=folder, callbacks=[began, epochs])
    try:
        with epochs:
            fitted.fit(X, **({} if y is None else {"y": y}), **more)
    except BaseException as error:
        given = list(click.get_current_context().find_root().obj)
        if (kept := _newest(folder)) == 0:
            shutil.rmtree(folder, ignore_errors=True)
            how = "no epoch was finished"
        else:
            again = [a for a in given if a not in ("--force", "--resume")] + ["--resume"]
            total = model.max_epochs * (trainings if search else 1)
            how = f"{kept} of {total} epochs are kept; go on with: "
            how += shlex.join(["repkit", *again])
        if isinstance(error, KeyboardInterrupt):
            click.echo(f"interrupted; {how}", err=True)
            raise click.exceptions.Exit(BROKEN_OFF) from error
        if kept and "--debug" not in given:
            click.echo(f"error: {one_line(str(error))}; {how}", err=True)
            raise click.exceptions.Exit(FAILED) from error
        if isinstance(error, ValueError) and sources[0].given not in str(error):
            raise ValueError(f"{sources[0].given}: {error}") from error
        raise
    if search:
        model = fitted.best_estimator_
        agreement = fitted.results_["agreement"]
        say("agreement: " + ", ".join(f"{name} {v:.2f}" for name, v in agreement.items()))
        say(f"taken: {fitted.best_candidate_}")
    # What the command line has put in is no part of the model.
    own = {"checkpoint": None, "callbacks": None}
    model.set_params(**own).fitted_params_.update(own)
    return model
