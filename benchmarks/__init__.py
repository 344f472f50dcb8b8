"""Benchmarks of repkit: ``python -m benchmarks --help``. They use its public names only."""
