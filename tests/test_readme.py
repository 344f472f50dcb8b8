"""The README's snippets run, one after the other, as a reader would run them."""

import doctest
import importlib
import re
from pathlib import Path

import pytest
import sklearn

README = Path(__file__).parent.parent / "README.md"


@pytest.fixture
def routing():
    before = sklearn.get_config()["enable_metadata_routing"]
    yield
    sklearn.set_config(enable_metadata_routing=before)


def test_snippets_run(tmp_path, monkeypatch, capsys, routing):
    text = README.read_text(encoding="utf-8")
    snippets = re.findall(r"```python\n(.*?)```", text, re.S)
    assert len(snippets) >= 5
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for snippet in snippets:
        exec(compile(snippet, str(README), "exec"), names)
    alone, adapted = map(
        float, re.search(r"(\d\.\d+) -> (\d\.\d+)", capsys.readouterr().out).groups()
    )
    assert adapted > alone + 0.1
    made = {"history.png", "features.png", "reconstructions.png", "traversals.png", "run"}
    assert made | {"moons.safetensors"} <= {path.name for path in tmp_path.iterdir()}


def test_every_name_of_the_readme_exists():
    import repkit.datasets
    import repkit.metrics

    text = README.read_text(encoding="utf-8")
    for name in re.findall(r"`((?:load|make)_\w+)`", text):
        assert hasattr(repkit.datasets, name), name
    for name in re.findall(r"`(\w+Scorer)`", text):
        assert hasattr(repkit.metrics, name), name
    for name in repkit.__all__:
        assert getattr(repkit, name) is not None


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", ["bigan", "dann", "infogan"])
def test_examples_in_docstrings(name):
    failed, tried = doctest.testmod(importlib.import_module(f"repkit.estimators.{name}"))
    assert tried
    assert not failed
