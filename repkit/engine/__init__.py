"""Runs a `System`: networks, groups that share an optimizer, phases with one loss a group."""
