"""What only an extra installs is needed for what the extra is for, and for nothing else."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import soundfile

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# Each extra and what it installs, by the name that is imported.
EXTRAS = {
    "speech": ("torchaudio", "soundfile"),
    "plots": ("matplotlib", "umap"),
    "data": ("pooch", "PIL", "pyarrow"),
    "cli": ("click", "rich"),
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "hub": ("huggingface_hub",),
}
# The names that pip knows, where they are others.
DISTRIBUTIONS = {"umap": "umap-learn", "PIL": "pillow", "huggingface_hub": "huggingface-hub"}
# All but those of onnx, of which torch itself asks whether they are there; see test_exporting.
OPTIONAL = [name for extra, names in EXTRAS.items() for name in names if extra != "onnx"]

# Run before anything else: a finder ahead of all others that knows none of the missing packages.
WITHOUT = """
import sys

missing = {}

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in missing:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
"""

CORE = """
import importlib, pkgutil, tempfile, warnings
import numpy as np
import repkit

for module in pkgutil.walk_packages(repkit.__path__, "repkit."):
    if not module.name.startswith("repkit.cli."):  # which is made of click
        importlib.import_module(module.name)
for name in repkit.__all__:
    getattr(repkit, name)

from repkit import DANN, VAE, load
from repkit.datasets import load_digits_domains, make_domains, make_speech, make_sprites

moons = make_domains(random_state=0)
model = DANN(max_epochs=2, random_state=0).fit(moons.X, moons.y, sample_domain=moons.sample_domain)
assert model.predict(moons.X).shape == moons.y.shape
X = np.random.default_rng(0).normal(size=(64, 5)).astype(np.float32)
vae = VAE(max_epochs=2, random_state=0).fit(X)
with tempfile.TemporaryDirectory() as folder:
    vae.save(f"{folder}/m.safetensors")
    np.testing.assert_array_equal(load(f"{folder}/m.safetensors").transform(X), vae.transform(X))
load_digits_domains(random_state=0)
make_sprites(random_state=0)
make_speech(2, 2, 1, random_state=0)
"""

SPEECH = """
from repkit import SpeechAutoencoder
from repkit.datasets import make_speech

data = make_speech(2, 3, 2, random_state=0)
SpeechAutoencoder(sample_rate=8000, max_epochs=1, random_state=0).fit(data.data, data.speaker)
"""

HISTORY = """
import numpy as np
from repkit import VAE, HistoryDisplay

X = np.random.default_rng(0).normal(size=(64, 5)).astype(np.float32)
HistoryDisplay.from_estimator(VAE(max_epochs=2, random_state=0).fit(X))
"""

IMAGES = """
import pathlib, tempfile
from repkit.datasets import load_image_folder

with tempfile.TemporaryDirectory() as folder:
    pathlib.Path(folder, "a.png").write_bytes(b"")
    load_image_folder(folder)
"""

UMAP = """
import numpy as np
from repkit import VAE, EmbeddingDisplay

X = np.random.default_rng(0).normal(size=(64, 5)).astype(np.float32)
EmbeddingDisplay.from_estimator(VAE(max_epochs=2, latent_dim=3, random_state=0).fit(X), X)
"""

WAVES = """
missing = ["soundfile"]
from repkit.audio import FrontEnd, as_utterances, extract

extract(as_utterances([np.ones(800)]), FrontEnd())
"""


def refused(code):
    """Code that prints the ImportError in which the given code ends."""
    return f"""
try:
    exec({code!r})
except ImportError as error:
    print(error)
else:
    print("no error")
"""


def test_the_core_does_without_and_the_errors_name_the_extra(tmp_path):
    wave = str(tmp_path / "a.wav")
    soundfile.write(wave, [0.1, 0.2, 0.3], 8000)
    none = f"missing = {OPTIONAL}"
    # The package and its extra; what goes before, and what is refused.
    needs = [
        ("torchaudio", "speech", none, SPEECH),
        ("matplotlib", "plots", none, HISTORY),
        ("pooch", "data", none, "from repkit.datasets import load_mnist; load_mnist()"),
        ("pyarrow", "data", none, "repkit.datasets.load_table('a.parquet')"),
        ("pillow", "data", none, IMAGES),
        ("huggingface-hub", "hub", none, "repkit.from_pretrained('a/b')"),
        ("umap", "plots", "missing = ['umap']", UMAP),
        ("soundfile", "speech", WAVES, f"extract(as_utterances({wave!r}), FrontEnd())"),
    ]
    code = WITHOUT.format(OPTIONAL) + CORE
    code += "".join(f"{before}{refused(last)}" for *_, before, last in needs)
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if k != "REPKIT_DATA"},
    )
    assert done.returncode == 0, done.stderr
    for (name, extra, *_), line in zip(needs, done.stdout.splitlines(), strict=True):
        assert re.match(rf".*\b{name}\b.*pip install 'repkit\[{extra}\]'", line), line


def test_the_extras_are_those_of_the_project():
    declared = {
        extra: {re.split(r"[<>=\[]", line)[0] for line in lines}
        for extra, lines in PROJECT["optional-dependencies"].items()
    }
    for extra, names in EXTRAS.items():
        assert {DISTRIBUTIONS.get(name, name) for name in names} <= declared[extra]
    (everything,) = PROJECT["optional-dependencies"]["all"]
    assert everything == f"repkit[{','.join(EXTRAS)}]"
    core = {re.split(r"[<>=]", line)[0] for line in PROJECT["dependencies"]}
    assert not core & set().union(*(declared[extra] for extra in EXTRAS)) - {"torch"}
    assert "torch>=2.6" in PROJECT["dependencies"]
