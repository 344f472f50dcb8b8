"""README.md: its snippets run one after the other, its names exist, its picture is the tree's."""

import re
from pathlib import Path

import pytest

import repkit
import repkit.datasets
import repkit.metrics

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.S)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_snippets_run(tmp_path, monkeypatch, capsys):
    snippets = blocks("python")
    assert len(snippets) >= 7
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for number, snippet in enumerate(snippets):
        exec(compile(snippet, f"README.md, snippet {number}", "exec"), names)
    printed = capsys.readouterr().out
    alone, adapted = map(float, re.search(r"(\d\.\d+) -> (\d\.\d+)", printed).groups())
    assert adapted > alone + 0.1
    assert float(re.search(r"(\S+) of the digits in the category", printed)[1]) > 0.4
    assert float(re.search(r"(\S+) right, from 50 labels", printed)[1]) > 0.7
    assert float(re.search(r"(\S+) from a sample to the nearest point", printed)[1]) < 0.15
    assert {"run", "moons.safetensors"} <= {path.name for path in tmp_path.iterdir()}


def test_it_is_short():
    assert len(README.splitlines()) <= 270


def test_the_first_two_commands_are_those_that_run_everything():
    commands = [line for line in README.splitlines() if line.startswith("python -m pip")][:2]
    assert commands == [
        'python -m pip install ".[all]" && python -m benchmarks quick',
        'python -m pip install ".[all,test]" && python -m pytest -n auto',
    ]


def test_names_exist():
    for name in re.findall(r"`((?:load|make)_\w+)`", README):
        assert hasattr(repkit.datasets, name), name
    for name in re.findall(r"`(\w+Scorer)`", README):
        assert hasattr(repkit.metrics, name), name
    for name in re.findall(r"^\| .* \| `(\w+)` \|", README, re.M):
        assert hasattr(repkit, name), name
    for name in repkit.__all__:
        assert getattr(repkit, name) is not None


def test_files_of_the_picture_exist():
    (picture,) = blocks("text")
    root = None
    listed = set()
    for line in picture.splitlines():
        if folder := re.match(r"(  )?(\w+)/", line):
            root = ROOT / "repkit" / folder[2] if folder[1] else ROOT / folder[2]
            assert root.is_dir(), root
        elif re.match(r"  \w+\.py", line):
            root = ROOT / "repkit"
        for name in re.findall(r"(?<![\w/])(\w+\.py)", line):
            assert (root / name).is_file(), root / name
            listed.add(root / name)
    rooms = {p.parent.name for p in (ROOT / "repkit").glob("*/__init__.py")}
    assert rooms <= {path.parent.name for path in listed} | set(re.findall(r"(\w+)/", picture))
