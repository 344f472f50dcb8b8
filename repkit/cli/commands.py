"""Internal. What all commands share: options, messages, and errors on one line."""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

USE, FAILED, BROKEN_OFF = 2, 1, 130  # exit codes
QUIET = "repkit.quiet"


class Application(click.Group):
    """The command line: whatever goes wrong is told on one line."""

    def main(self, *args: Any, **extra: Any) -> Any:
        found = args[0] if args else extra.pop("args", None)
        given = list(sys.argv[1:] if found is None else found)
        extra = {"prog_name": "repkit", **extra, "standalone_mode": False, "obj": given}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                warnings.simplefilter("default", UserWarning)
                warnings.showwarning = _tell_warning
                # An Exit inside becomes what it gives back.
                found = super().main(given, **extra)
            code = found if isinstance(found, int) else 0
        except BrokenPipeError:  # `repkit ... | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            code = FAILED
        except BaseException as error:
            if "--debug" in given and not isinstance(error, click.UsageError):
                raise
            code = tell(error)
        sys.exit(code)


def tell(error: BaseException) -> int:
    """Say on one line what went wrong; give the exit code."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return USE
    if isinstance(error, click.UsageError):
        text = one_line(error.format_message())
        where = error.ctx.command_path if error.ctx else "repkit"
        click.echo(f"error: {text}{'' if '--help' in text else f' ({where} --help)'}", err=True)
        return USE
    if isinstance(error, KeyboardInterrupt | click.Abort):
        click.echo("interrupted", err=True)
        return BROKEN_OFF
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else FAILED
    text = error.format_message() if isinstance(error, click.ClickException) else str(error)
    if type(error).__name__ == "AudioError":  # without loading what the class is of
        text = f"{error.name}: {error.reason}"  # type: ignore[attr-defined]
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        text = f"{error.filename}: {error.strerror}"
    if isinstance(error, MemoryError) and not text:
        text = "there is not enough memory"
    click.echo(f"error: {one_line(text) or type(error).__name__}", err=True)
    return FAILED


def one_line(text: str) -> str:
    """A text without its line breaks."""
    return " ".join(text.split())


def _tell_warning(message: Warning | str, *where: Any, **more: Any) -> None:
    click.echo(f"warning: {one_line(str(message))}", err=True)


def say(text: str) -> None:
    """A message to the user, on standard error, unless --quiet."""
    if not is_quiet():
        click.echo(text, err=True)


def is_quiet() -> bool:
    context = click.get_current_context(silent=True)
    return bool(context is not None and context.meta.get(QUIET))


def _be_quiet(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    context.meta[QUIET] = value


def command(
    name: str, *, example: str, **how: Any
) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a command with an example, --quiet and --debug."""

    def decorated(function: Callable[..., Any]) -> click.Command:
        lines = "\n".join(f"  {line}" for line in example.splitlines())
        function = click.option(
            "--debug", is_flag=True, expose_value=False, help="Show where an error comes from."
        )(function)
        function = click.option(
            "-q",
            "--quiet",
            is_flag=True,
            expose_value=False,
            callback=_be_quiet,
            help="Say nothing but warnings and errors.",
        )(function)
        settings = {"max_content_width": 100, "help_option_names": ["-h", "--help"]}
        plural = "Examples" if "\n" in example else "Example"
        return click.command(
            name, epilog=f"\b\n{plural}:\n{lines}", context_settings=settings, **how
        )(function)

    return decorated


# ---------------------------------------------------------------- arguments and options


class DataType(click.ParamType):
    """DATA: a path, or the name of an embedded set; completes both."""

    name = "data"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[Any]:
        from click.shell_completion import CompletionItem

        from repkit.cli.sets import SETS

        names = [CompletionItem(name, help=s.what) for name, s in SETS.items()]
        return [
            *(n for n in names if n.value.startswith(incomplete)),
            CompletionItem(incomplete, type="file"),
        ]


class SizeType(click.ParamType):
    """HEIGHTxWIDTH, or one number for both."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"(\d+)(?:x(\d+))?", value)
        size = match and (int(match[1]), int(match[2] or match[1]))
        if not size or not all(1 <= n <= 10**4 for n in size):
            self.fail(f"{value!r} is no size: give 32, or 32x48 for height and width", param, ctx)
        return size


def out_path(folder_too: bool = False) -> click.Path:
    return click.Path(dir_okay=folder_too, writable=True, path_type=Path)


model_argument = click.argument(
    "model", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="MODEL"
)
data_argument = click.argument("data", type=DataType(), metavar="DATA")
label_option = click.option(
    "--label",
    metavar="NAME",
    help="Labels: a column of a table, an array of a .npz file, a .npy file, or a regular "
    "expression that is searched for in paths. By default, the sub-folders of a folder.",
)
drop_option = click.option(
    "--drop", multiple=True, metavar="COLUMN", help="A column of a table to leave out."
)
force_option = click.option("--force", is_flag=True, help="Replace a file that is there.")
skip_option = click.option(
    "--on-error",
    type=click.Choice(["raise", "skip"]),
    default="raise",
    show_default=True,
    help="What to do with a file or row that cannot be used; skipped ones are listed.",
)


def check_out(path: Path, *suffixes: str, force: bool) -> None:
    """Raise a UsageError unless a file can be written there, before time is spent."""
    if suffixes and path.suffix.lower() not in suffixes:
        raise click.UsageError(f"--out {path}: the name must end in {' or '.join(suffixes)}")
    if not path.parent.is_dir():
        raise click.UsageError(f"--out {path}: there is no folder {str(path.parent)!r}")
    if not os.access(path.parent, os.W_OK):
        raise click.UsageError(f"--out {path}: the folder {str(path.parent)!r} is not writable")
    if path.is_dir():
        raise click.UsageError(
            f"--out {path} is there already, a folder; give the name of a new one"
        )
    if path.exists() and not force:
        raise click.UsageError(f"--out {path} is there already; give --force to replace it")


def open_model(path: Path, device: str = "auto") -> Any:
    """The model of a file, on a device."""
    say(f"loading {path}")
    from repkit import load  # takes seconds: it loads torch

    return load(path, device=device)
