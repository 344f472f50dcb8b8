"""torchaudio is used through one file, which says what to do where it does not load."""

import math
import re
import sys
from pathlib import Path

import pytest
import torch

import repkit
from repkit.audio import FrontEnd, _torchaudio

PACKAGE = Path(repkit.__file__).parent


def test_one_file_imports_torchaudio():
    wanted = re.compile(r"^\s*(import|from) torchaudio|[\"']torchaudio\b", re.M)
    found = [p.name for p in PACKAGE.rglob("*.py") if wanted.search(p.read_text(encoding="utf-8"))]
    assert found == ["_torchaudio.py"]


@pytest.fixture
def without(monkeypatch):
    """Hide what is loaded of torchaudio, and forget filters made with it."""
    for name in [n for n in sys.modules if n.partition(".")[0] == "torchaudio"]:
        monkeypatch.delitem(sys.modules, name)


def test_a_missing_torchaudio_is_named_with_its_extra(without, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchaudio", None)
    with pytest.raises(ImportError, match=r"torchaudio.*pip install 'repkit\[speech\]'$") as caught:
        FrontEnd(n_mels=7, sample_rate=7001)
    assert "package index" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("RuntimeError", "Detected that PyTorch and TorchAudio were compiled with different CUDA"),
        ("OSError", "libc10_cuda.so: cannot open shared object file"),
        ("ImportError", "undefined symbol: aoti_torch_abi_version"),
    ],
)
def test_a_torchaudio_that_does_not_load_says_why(without, tmp_path, monkeypatch, kind, reason):
    (tmp_path / "torchaudio").mkdir()
    (tmp_path / "torchaudio" / "__init__.py").write_text(f"raise {kind}({reason!r})")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError) as caught:
        FrontEnd(n_mels=7, sample_rate=7001)
    for part in (reason, "'repkit[speech]'", f"torch {torch.__version__}", "one package index"):
        assert part in str(caught.value)


def test_the_cosine_matrix_is_orthonormal():
    dct = _torchaudio.create_dct(9, 9)
    torch.testing.assert_close(dct.T @ dct, torch.eye(9), rtol=0, atol=1e-6)
    torch.testing.assert_close(dct[:, 0], torch.full((9,), 1 / 3))


def test_slopes_of_a_ramp():
    got = _torchaudio.compute_deltas(3 * torch.arange(9.0)[None])
    torch.testing.assert_close(got[0, 2:-2], torch.full((5,), 3.0))


def test_filters_peak_where_their_neighbors_start():
    filters = _torchaudio.melscale_fbanks(4001, 20.0, 4000.0, 5, 8000)
    assert filters.shape == (4001, 5)
    low, high = (2595 * math.log10(1 + f / 700) for f in (20, 4000))
    for k in range(5):
        center = 700 * (10 ** ((low + (high - low) * (k + 1) / 6) / 2595) - 1)
        assert abs(int(filters[:, k].argmax()) - center) <= 1


def test_resampler_keeps_a_tone():
    n = torch.arange(8000, dtype=torch.float64)
    got = _torchaudio.resampler(2, 1, torch.float64)(torch.sin(2 * math.pi * n / 80))
    expected = torch.sin(2 * math.pi * torch.arange(4000, dtype=torch.float64) / 40)
    assert (got - expected)[50:-50].abs().max() < 0.01


def test_griffin_and_lim_rebuild_a_tone():
    window = torch.hann_window(400)
    n = torch.arange(8000.0)
    spectrum = torch.stft(torch.sin(n / 5), 512, 160, 400, window, return_complex=True)
    power = spectrum.abs().square()
    wave = _torchaudio.griffinlim(
        power, window=window, n_fft=512, hop_length=160, n_iter=32, momentum=0.99
    )
    again = torch.stft(wave, 512, 160, 400, window, return_complex=True).abs().square()
    assert (again - power).norm() < 0.2 * power.norm()
