"""The paper presets on one GPU: each job is one case, and the clock ends what it must."""

import csv
import time

import pytest

from benchmarks import __main__ as main
from benchmarks import presets
from benchmarks.runner import Case, chosen

OWN = """
import time
from benchmarks.runner import Case

def cases(preset, device):
    def slow(seed):
        time.sleep(600)
    return [
        Case("toy", "fast", "", lambda seed: {"found": seed + 1.0}),
        Case("toy", "broken", "", lambda seed: 1 / 0),
        Case("toy", "slow", "", slow),
    ]
"""


@pytest.mark.parametrize("benchmark", sorted({name for name, _ in presets.JOBS}))
def test_every_job_is_one_case(benchmark):
    cases = main.cases_of(benchmark, "paper", "cpu", 1)
    for name, case in presets.JOBS:
        if name == benchmark:
            (found,) = chosen(benchmark, cases, case)
            assert found.name == case
            assert found.seeds in (None, 1)
    assert len(set(presets.JOBS)) == len(presets.JOBS)


def in_turn(tmp_path, names, seconds):
    file, said = tmp_path / "own_toy.py", []
    file.write_text(OWN)
    found = presets.run(
        time.monotonic() + seconds,
        device="cpu",
        out=tmp_path / "out",
        label="toy",
        jobs=[(str(file), f"toy/{name}/") for name in names],
        at_once=2,
        echo=said.append,
    )
    states = {d.case: d.state for d in found}
    with (tmp_path / "out" / "gpu-toy-presets.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert {r["case"]: r["state"] for r in rows} == states
    return states, rows, said


def test_what_is_done_and_what_fails(tmp_path):
    states, rows, said = in_turn(tmp_path, ["broken", "fast"], 300)
    assert states == {"toy/fast/": "done", "toy/broken/": "failed"}
    assert all(float(r["seconds"]) > 0 for r in rows)
    with (tmp_path / "out" / "own_toy-cpu.csv").open() as table:
        (row,) = csv.DictReader(table)
    assert (row["system"], row["mean"], row["seeds"], row["preset"]) == (
        "fast",
        "1.0",
        "1",
        "paper",
    )
    assert "ZeroDivisionError" in (tmp_path / "out" / "gpu-toy-presets.log").read_text()
    assert "what they printed" in said[-1]


def test_what_the_clock_ends(tmp_path):
    states, _, said = in_turn(tmp_path, ["slow", "broken", "fast"], 0.5)
    assert states == {
        "toy/slow/": "ended by the clock",
        "toy/broken/": "ended by the clock",
        "toy/fast/": "not begun",
    }
    assert any("not begun" in line for line in said)


def test_no_time_is_left(tmp_path):
    found = presets.run(time.monotonic() - 1, device="cpu", out=tmp_path, label="x", echo=str)
    assert [d[:2] for d in found] == list(presets.JOBS)
    assert {d.state for d in found} == {"not begun"}


def test_they_follow_the_cases_of_the_gpu(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(main, "run", lambda name, options: calls.append(name))
    monkeypatch.setattr(presets, "run", lambda until, **given: calls.append((until, given)))
    options = ["--device", "cpu", "--out", str(tmp_path)]
    main.main(["gpu", "--only", "x", *options])
    main.main(["sprites", *options])
    assert calls == ["gpu", "sprites"]
    main.main(["gpu", "--minutes", "3", *options])
    until, given = calls[-1]
    assert until - time.monotonic() == pytest.approx(180, abs=30)
    assert given == {"device": "cpu", "out": tmp_path, "label": "cpu"}


def test_seeds_that_are_asked_for_are_the_most(monkeypatch):
    several = [Case("t", "s", str(n), lambda seed: {}, seeds=n) for n in (None, 1, 5)]
    monkeypatch.setattr("benchmarks.sprites.cases", lambda preset, device: several)
    found = {
        n: [c.seeds for c in main.cases_of("sprites", "cpu", "cpu", n)] for n in (None, 1, 3, 9)
    }
    assert found == {
        None: [None, 1, 5],
        1: [None, 1, 1],
        3: [None, 1, 3],
        9: [None, 1, 5],
    }
