"""Benchmarks of repkit: ``python -m benchmarks --help``. They use its public names only."""

from repkit._optional import need

# Asked for before any of these modules imports them, so that the error names the extra.
for _name in ("click", "rich"):
    need(_name, "cli")
