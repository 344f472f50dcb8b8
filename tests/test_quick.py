"""What a newcomer sees first: small tables, sentences, a page."""

import re

import pandas as pd
import pytest

from benchmarks import quick
from benchmarks.__main__ import main
from benchmarks.quick.page import Section, page
from benchmarks.quick.table import WIDTH, Figures, Picture, against, as_text, table_of, told
from benchmarks.runner import read
from tests.quick_work import work

MOONS = "two moons, turned by 35 degrees/DANN/"


def rows_of(part):
    """Rows that a run might have written, with wide numbers in all columns."""
    return pd.DataFrame(
        {
            "task": case.task, "system": case.system, "variant": case.variant, "metric": metric,
            "mean": 0.9876, "std": 0.0123, "seeds": 2, "seconds": 123.4,
        }
        for case in part.cases("cpu") for metric in part.columns
    )  # fmt: skip


@pytest.mark.parametrize("part", quick.PARTS, ids=lambda part: part.system)
def test_a_table_is_small_and_a_sentence_has_its_figures(part):
    lines = table_of(part, rows_of(part))
    assert len(lines[0]) <= 6
    text = as_text(lines)
    assert max(map(len, text)) <= WIDTH
    assert len(lines) == 1 + len(part.cases("cpu"))
    assert not re.search(r"[a-z]_[a-z]", " ".join(lines[0]))
    sentence = told(part, rows_of(part))
    assert sentence.endswith(".")
    assert "nan" not in sentence
    assert "0.99" in sentence or "99%" in sentence or "98.8%" in sentence
    assert told(part, rows_of(part)[:1]) == ""


def test_every_part_runs_in_one_job():
    assert sorted(name for job in quick.JOBS for name in job) == sorted(
        part.system for part in quick.PARTS
    )


def test_words_of_a_comparison():
    assert against(0.9, 0.5, 0.01) == "better than"
    assert against(0.5, 0.9, 0.01) == "worse than"
    assert against(0.5, 0.505, 0.01) == against(0.5, float("nan"), 0.0) == "level with"


def test_a_page_needs_no_other_file(tmp_path):
    plt = pytest.importorskip("matplotlib.pyplot")
    figure = plt.figure(figsize=(1, 1))
    figure.savefig(tmp_path / "a.png")
    plt.close(figure)
    part = quick.PARTS[0]
    pictures = [Picture(tmp_path / "a.png", "what <is> seen")]
    text = page([Section(part, table_of(part, rows_of(part)), "a < b", pictures)], "2 runs")
    assert 'name="viewport"' in text
    assert not re.search(r'(src|href)="(?!data:)', text)
    assert "what &lt;is&gt; seen" in text
    assert "a &lt; b" in text
    assert text.count("<tr>") == 1 + len(part.cases("cpu"))


def test_a_case_runs(tmp_path, capsys):
    main(["quick", "--seeds", "1", "--only", f"{MOONS}DANN", "--out", str(tmp_path)])
    out = capsys.readouterr().out
    assert "DANN: labels of one domain, predictions for another" in out
    assert max(map(len, out.splitlines())) <= max(WIDTH, len(str(tmp_path)) + 40)
    rows = read(next(tmp_path.glob("quick-*.csv")))
    assert (rows[rows.metric == "accuracy"]["mean"] > 0.7).all()
    assert not (tmp_path / "index.html").exists()


def test_jobs_side_by_side_give_what_they_say(monkeypatch):
    """In processes of their own; here with a function that needs no training."""
    monkeypatch.setattr(quick, "work", work)
    said = []
    found = list(quick._at_once([("VAE",), ("DANN",)], {"k": 1}, said.append, 2))
    assert sorted(said) == ["DANN 1", "VAE 1"]
    assert sorted(k for one in found for k in one) == ["DANN", "VAE"]


def test_figures_are_looked_up_by_row():
    part = quick.PARTS[1]
    found = Figures(rows_of(part))
    assert found(part.cases("cpu")[0].task, part.cases("cpu")[0].variant, "r") == 0.9876
    with pytest.raises(KeyError):
        found("no", "such", "row")
