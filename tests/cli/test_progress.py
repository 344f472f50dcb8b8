"""What is seen while a command runs."""

import pytest

from repkit import _progress
from repkit.cli import progress
from repkit.cli.progress import Samples, epochs


def test_lines_where_there_is_no_terminal(capsys):
    with epochs(4) as shown:
        shown({"epoch": 1, "step": 10, "loss_D": 0.5, "seconds": 2.0})
    assert capsys.readouterr().err == "epoch 1/4  loss_D 0.5  5 steps/s  0:06 left\n"


def test_a_bar_on_a_terminal(monkeypatch, capsys):
    pytest.importorskip("rich")
    monkeypatch.setattr(_progress, "on_terminal", lambda: True)
    with epochs(4) as shown:
        assert shown.is_shown
        shown({"epoch": 1, "step": 10, "loss_D": 0.5, "seconds": 2.0})
    assert "1/4" in capsys.readouterr().err


def test_samples(monkeypatch, capsys):
    with Samples("extract", 10) as samples:
        samples.set(5)
        assert capsys.readouterr().err == ""
        monkeypatch.setattr(progress, "EVERY", -1.0)
        samples.set(10)
    assert capsys.readouterr().err.startswith("extract: 10 of 10, ")
