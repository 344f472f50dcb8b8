"""Internal. ``python -m repkit`` is the command `repkit`."""

from repkit.cli import main

if __name__ == "__main__":
    main()
