"""Internal. The command `repkit`: all commands together."""

from __future__ import annotations

import click

from repkit._version import __version__
from repkit.cli.commands import Application, command
from repkit.cli.describing import data, info
from repkit.cli.evaluating import evaluate
from repkit.cli.exporting import export
from repkit.cli.extracting import extract
from repkit.cli.fitting import fit
from repkit.cli.making import convert, plot, sample

__all__: list[str] = []


@click.group(
    cls=Application,
    context_settings={"max_content_width": 100, "help_option_names": ["-h", "--help"]},
    epilog="""\b
Example:
  repkit fit vae digits --out vae.safetensors
  repkit extract vae.safetensors digits --out codes.parquet

Every command has --help with an example. Exit codes: 0, 1 for a failure, 2 for wrong use, 130 after
Ctrl-C.""",
)
@click.version_option(__version__, prog_name="repkit")
def app() -> None:
    """Representation learning and domain adaptation: from your files to features."""


@command(
    "completion",
    short_help="Print the completion script of a shell.",
    example="""\
eval "$(repkit completion bash)"                             (in ~/.bashrc)
eval "$(repkit completion zsh)"                              (in ~/.zshrc)
repkit completion fish > ~/.config/fish/completions/repkit.fish""",
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what makes SHELL complete commands, systems, data sets, options and parameters."""
    from click.shell_completion import get_completion_class

    script = get_completion_class(shell)
    assert script is not None
    click.echo(script(app, {}, "repkit", "_REPKIT_COMPLETE").source())


for one in (fit, extract, evaluate, export, plot, sample, convert, info, data, completion):
    app.add_command(one)
