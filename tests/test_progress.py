"""What is seen of a training: a bar on a terminal, lines elsewhere."""

import sys
import types

import pytest

from repkit import _progress
from repkit._progress import Bar, Epochs, duration


@pytest.mark.parametrize(
    ("seconds", "shown"), [(-1, "0:00"), (7.4, "0:07"), (750, "12:30"), (3723, "1:02:03")]
)
def test_durations(seconds, shown):
    assert duration(seconds) == shown


def row(epoch, steps=10, seconds=2.0):
    return {"epoch": epoch, "step": steps * epoch, "loss_D": 0.5, "seconds": seconds * epoch}


def lines(*args, **named):
    said = []
    return Epochs(*args, line=lambda row, text: said.append(text), **named), said


def test_a_line_an_epoch_where_there_is_no_terminal(capsys):
    epochs, said = lines(4)
    with epochs:
        for k in (1, 2):
            epochs.on_step(5, 10)
            assert epochs(row(k)) is None
    assert said == [
        "epoch 1/4  loss_D 0.5  5 steps/s  0:06 left",
        "epoch 2/4  loss_D 0.5  5 steps/s  0:04 left",
    ]
    assert capsys.readouterr() == ("", "")


def test_several_trainings_and_a_run_that_goes_on():
    epochs, said = lines(2, trainings=2)
    for k in (1, 2, 1):
        epochs(row(k))
    assert said[-1].startswith("training 2/2 epoch 1/2")
    epochs, said = lines(10)
    epochs.resumed(8)
    epochs(row(9))
    assert said == ["epoch 9/10  loss_D 0.5  5 steps/s  0:02 left"]


def test_a_bar_on_a_terminal_ticks_within_an_epoch(monkeypatch, capsys):
    pytest.importorskip("rich")
    monkeypatch.setattr(_progress, "on_terminal", lambda: True)
    monkeypatch.setattr(_progress, "TICKS", -1.0)
    epochs, said = lines(4)
    with epochs:
        assert epochs.is_shown
        epochs(row(1))
        epochs.on_step(5, 10)
        assert epochs._progress.tasks[0].completed == 1.5
        assert epochs._progress.tasks[0].fields["said"].startswith("step 5/10  loss_D 0.5")
        epochs(row(2))
        assert epochs._progress.tasks[0].completed == 2
    assert "2/4" in capsys.readouterr().err
    assert not said


def test_where_a_bar_can_be(monkeypatch):
    """On a terminal that is not dumb, and in a notebook; nowhere without rich."""
    monkeypatch.setattr(_progress, "has_rich", lambda: True)
    monkeypatch.setitem(sys.modules, "IPython", None)
    assert not _progress.can_show()
    shell = type("ZMQInteractiveShell", (), {})
    notebook = types.SimpleNamespace(get_ipython=shell)
    monkeypatch.setitem(sys.modules, "IPython", notebook)
    assert _progress.can_show()
    monkeypatch.setattr(_progress, "has_rich", lambda: False)
    assert not _progress.can_show()
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert _progress.on_terminal()
    monkeypatch.setenv("TERM", "dumb")
    assert not _progress.on_terminal()


def test_a_bar_that_is_not_shown_says_nothing(capsys):
    with Bar("work", None, shown=False) as bar:
        bar.set(3, "so far")
    assert capsys.readouterr() == ("", "")
