"""The command line `repkit`; its extra is ``cli``."""

from __future__ import annotations

import sys

from repkit._optional import need

__all__ = ["main"]


def main() -> None:
    """Run the command line, and end the process with its exit code.

    Without click or rich, a line says what installs them, and the exit code is 1.
    """
    try:
        need("click", "cli")
        need("rich", "cli")
    except ImportError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    from repkit.cli.app import app

    app()
