"""Systems and their parameters: the docstrings as text say what the classes are."""

import ast
import dataclasses
import json

import pytest

import repkit
from repkit.base.parameters import Part
from repkit.cli import systems
from repkit.cli.systems import KEPT, SYSTEMS
from repkit.loading import HOMES

each = pytest.mark.parametrize("name", SYSTEMS)


def test_all_systems_are_there():
    assert {system.cls: system.home for system in SYSTEMS.values()} == HOMES
    assert systems.name_of("DANNRegressor") == "dann-regressor"


@each
def test_parameters_are_those_of_the_constructor(name):
    wanted = {}
    for f in dataclasses.fields(getattr(repkit, SYSTEMS[name].cls)):
        part = f.metadata.get("part")
        wanted[f.name] = part and part.__name__
        if part:
            wanted |= {f"{f.name}__{g.name}": None for g in dataclasses.fields(part)}
    found = systems.parameters(SYSTEMS[name])
    assert {k: p.part for k, p in found.items()} == {
        k: v for k, v in wanted.items() if k not in KEPT
    }
    assert all(p.text and p.kind for p in found.values())


@each
def test_defaults_are_those_of_the_constructor(name):
    found, told = systems.defaults(SYSTEMS[name]), systems.parameters(SYSTEMS[name])
    for f in dataclasses.fields(getattr(repkit, SYSTEMS[name].cls)):
        if f.name in KEPT:
            continue
        part = f.metadata.get("part")
        if part is None:
            assert found[f.name] == json.loads(json.dumps(f.default)), f.name
            continue
        value = f.default if isinstance(f.default, Part) else part.of(f.default)
        for key, one in value.get_params().items():
            if f.default is None or str(one).replace("e-0", "e-") in told[f.name].text:
                continue  # what has no room in the type is said in the text
            assert found[f"{f.name}__{key}"] == json.loads(json.dumps(one)), (f.name, key)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("1e-3", 1e-3),
        ("true", True),
        ("False", False),
        ("none", None),
        ("(20, 40)", (20, 40)),
        ("20,40", (20, 40)),
        ("()", ()),
        ("{'E': 1e-4}", {"E": 1e-4}),
        ("logmel", "logmel"),
        ("'3'", "3"),
        ("a/b.c", "a/b.c"),
        ("x=y", "x=y"),
        ("", ""),
        ("1" * 5000, "1" * 5000),
        ("(" * 300, "(" * 300),
    ],
)
def test_values(text, value):
    found = systems.parse_value(text)
    assert (found, type(found)) == (value, type(value))


def test_changes_are_made_and_nothing_else_is_called():
    change = systems.parse_value("RandomAffine(6, zoom=0.05)")
    assert (change.degrees, change.zoom) == (6, 0.05)
    for text in ("open('x')", "RandomAffine(open('x'))", "RandomAffine(**{'zoom': 1})", "F(1)"):
        with pytest.raises(ValueError, match=r"."):
            systems.parse_value(text)
    assert systems.parse_value("__import__('os').system('ls')").startswith("__import__")


def test_help_fits_the_terminal():
    text = systems.help_of("dann", 60)
    bodies = [line for line in text.splitlines() if line.startswith("      ")]
    assert max(map(len, bodies)) <= 60
    assert ast.literal_eval("'\\n'") in text
