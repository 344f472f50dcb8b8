"""Internal. The command `repkit`: all commands together."""

from __future__ import annotations

import click

from repkit._version import __version__
from repkit.cli.commands import Application
from repkit.cli.describing import data, info
from repkit.cli.extracting import extract
from repkit.cli.fitting import fit

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


for one in (fit, extract, info, data):
    app.add_command(one)
