"""The rows of the tables of adapted images: each runs, and none reads the target's labels."""

import numpy as np
import pytest

from benchmarks.images import Data, fit, variants
from benchmarks.recipes import METER_PSEUDO, METERS, PRINT

ROWS = variants(PRINT, METER_PSEUDO)
FEW = {**METERS, "batch_size": 16, "max_epochs": 1, "steps_per_epoch": 2, "precision": "fp32"}


def toy(seed=0):
    """Bars of four widths, dark on light in the target; its labels are shuffled by the seed."""
    rng = np.random.default_rng(0)
    y = np.tile(np.arange(4), 4)
    x = rng.integers(0, 60, (16, 3, 16, 16))
    for image, width in zip(x, y, strict=True):
        image[:, :, 5 : 6 + 2 * width] += 180
    x = x.astype(np.uint8)
    truth = np.random.default_rng(seed).permutation(y) if seed else y
    return Data(x, y, 255 - x, truth, 255 - x, y)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [name for name in ROWS if "default" not in name])
def test_a_row_runs_and_reads_no_label_of_the_target(name):
    plain = fit(toy, ROWS[name], FEW, "cpu", 0)
    if "target" not in name:
        assert plain == fit(lambda: toy(5), ROWS[name], FEW, "cpu", 0)
    assert "accuracy_last" in plain
    assert ("accuracy_before" in plain) == ("then" in ROWS[name])
    assert ("accuracy_selected" in plain) == ("on" not in ROWS[name] and "guarded" not in name)


def test_speakers_are_domains(monkeypatch):
    seen = []
    monkeypatch.setattr(
        "repkit.DANN.fit",
        lambda self, X, y, sample_domain: seen.append((y, sample_domain)) or 1 / 0,
    )
    ids = np.arange(16) % 3
    data = toy()._replace(domain_source=ids, domain_target=-1 - ids)
    with pytest.raises(ZeroDivisionError):
        fit(lambda: data, {}, FEW, "cpu", 0)
    (y, domain), *_ = seen
    assert (y[16:] == -1).all()
    assert (domain == np.concatenate([ids, -1 - ids])).all()
