"""What is seen of a training: a bar on a terminal, lines elsewhere."""

import pytest

from repkit.cli import progress
from repkit.cli.progress import Epochs, Samples, duration


@pytest.mark.parametrize(
    ("seconds", "shown"), [(-1, "0:00"), (7.4, "0:07"), (750, "12:30"), (3723, "1:02:03")]
)
def test_durations(seconds, shown):
    assert duration(seconds) == shown


def row(epoch, steps=10, seconds=2.0):
    return {"epoch": epoch, "step": steps * epoch, "loss_D": 0.5, "seconds": seconds * epoch}


def test_a_line_an_epoch_where_there_is_no_terminal(capsys):
    with Epochs(4) as epochs:
        for k in (1, 2):
            assert epochs(row(k)) is None
    assert capsys.readouterr().err.splitlines() == [
        "epoch 1/4  loss_D 0.5  5 steps/s  0:06 left",
        "epoch 2/4  loss_D 0.5  5 steps/s  0:04 left",
    ]


def test_several_trainings_and_a_run_that_goes_on(capsys):
    with Epochs(2, trainings=2) as epochs:
        for k in (1, 2, 1):
            epochs(row(k))
    assert capsys.readouterr().err.splitlines()[-1].startswith("training 2/2 epoch 1/2")
    with Epochs(10) as epochs:
        epochs(row(9))
    assert capsys.readouterr().err == "epoch 9/10  loss_D 0.5  5 steps/s  0:02 left\n"


def test_a_bar_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr(progress, "on_terminal", lambda: True)
    with Epochs(4) as epochs:
        assert epochs.is_shown
        epochs(row(1))
    assert "1/4" in capsys.readouterr().err


def test_samples(monkeypatch, capsys):
    with Samples("extract", 10) as samples:
        samples.set(5)
        assert capsys.readouterr().err == ""
        monkeypatch.setattr(progress, "EVERY", -1.0)
        samples.set(10)
    assert capsys.readouterr().err.startswith("extract: 10 of 10, ")
