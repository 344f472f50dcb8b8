"""Models to and from the hub, by way of a stand-in that keeps repositories in a folder."""

import shutil
import sys
import types
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

import repkit
from repkit import DANN, VAE, from_pretrained, nets, push_to_hub
from repkit.base.model_file import ModelFileError
from repkit.hub import FILE, model_card

X = np.random.default_rng(0).random((24, 4)).astype(np.float32)
SMALL = {"width": 8, "max_epochs": 2, "steps_per_epoch": 2, "device": "cpu"}


class EntryNotFoundError(Exception):
    """As of the hub."""


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A module in the place of huggingface_hub; repositories are folders below what is given."""
    home, calls = tmp_path / "hub", []

    class Api:
        def __init__(self, token=None):
            calls.append(("token", token))

        def create_repo(self, repo_id, *, private=None, exist_ok=False):
            (home / repo_id).mkdir(parents=True, exist_ok=exist_ok)
            calls.append(("private", private))

        def upload_folder(self, *, repo_id, folder_path, commit_message):
            shutil.copytree(folder_path, home / repo_id, dirs_exist_ok=True)
            calls.append(("message", commit_message))
            return types.SimpleNamespace(commit_url=f"https://hub/{repo_id}/commit/1")

    def download(repo_id, filename, *, revision=None, token=None):
        calls.append(("revision", revision))
        path = home / repo_id / filename
        if not path.exists():
            raise EntryNotFoundError(filename)
        return str(path)

    module = types.ModuleType("huggingface_hub")
    module.HfApi, module.hf_hub_download = Api, download
    module.errors = types.ModuleType("huggingface_hub.errors")
    module.errors.EntryNotFoundError = EntryNotFoundError
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    monkeypatch.setitem(sys.modules, "huggingface_hub.errors", module.errors)
    return types.SimpleNamespace(home=home, calls=calls)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("secret")
    return VAE(2, checkpoint=folder, random_state=0, **SMALL).fit(X)


def test_there_and_back(hub, model):
    address = push_to_hub(model, "me/vae", private=True, token="t", message="first")
    assert address == "https://hub/me/vae/commit/1"
    told = {("token", "t"), ("private", True), ("message", "first")}
    assert told <= set(hub.calls)
    assert {path.name for path in (hub.home / "me" / "vae").iterdir()} == {FILE, "README.md"}
    again = from_pretrained("me/vae", revision="abc")
    assert ("revision", "abc") in hub.calls
    np.testing.assert_array_equal(again.transform(X), model.transform(X))
    push_to_hub(model, "me/vae")  # once more, over it
    assert ("message", f"VAE of repkit {repkit.__version__}") in hub.calls


def test_no_path_of_the_machine_is_uploaded(hub, model):
    push_to_hub(model, "me/vae")
    for path in (hub.home / "me" / "vae").iterdir():
        assert b"secret" not in path.read_bytes()
    assert "secret" in str(model.checkpoint)
    assert from_pretrained("me/vae").checkpoint is None


def test_the_card_tells_what_it_is(model):
    figures = {"accuracy | test": 0.96444, "by": "me,\ntoday"}
    card = model_card(model, "me/vae", figures=figures, license="mit")
    head, text = card.split("---\n")[1:]
    assert head == "library_name: repkit\ntags:\n- repkit\n- VAE\nlicense: mit\n"
    assert 'repkit.from_pretrained("me/vae")' in text
    for line in (
        "| shape of a sample | 4 |",
        "| numbers | numbers as they are |",
        "| epochs | 2 |",
        "| latent_dim | 2 |",
        "| width | 8 |",
        r"| accuracy \| test | 0.9644 |",
        "| by | me, today |",
    ):
        assert line in text.splitlines()
    assert "| kl |" in text
    assert not {"checkpoint", "device", "secret"} & set(text.replace("|", " ").split())
    assert "## Figures" not in model_card(model)


def test_the_card_of_a_classifier():
    y, domain = np.where(np.arange(24) % 2, "cat", "dog"), np.repeat([1, -1], 12)
    named = {"backbone": nets.mlp, "heads": partial(nets.mlp, hidden=(4,))}
    card = model_card(DANN(random_state=0, **SMALL, **named).fit(X, y, domain))
    assert "| backbone | mlp |" in card
    assert "| heads | functools.partial(mlp, hidden=(4,)) |" in card
    assert "| classes | 2: cat, dog |" in card
    assert "| domains | 1 to learn from, 1 to adapt to |" in card


@pytest.mark.parametrize("damage", ["cut", "foreign", "changed"])
def test_what_load_refuses_is_refused(hub, model, damage):
    push_to_hub(model, "me/vae")
    path = Path(hub.home, "me", "vae", FILE)
    content = path.read_bytes()
    changed = bytearray(content)
    changed[-1] ^= 1
    path.write_bytes({"cut": content[:-9], "foreign": b"PK", "changed": bytes(changed)}[damage])
    with pytest.raises(ModelFileError, match=r"^repo_id='me/vae' holds no model of repkit: "):
        from_pretrained("me/vae")


def test_what_is_not_there(hub, model):
    with pytest.raises(FileNotFoundError, match=r"^repo_id='me/no' has no model.safetensors: it"):
        from_pretrained("me/no")
    push_to_hub(model, "me/vae")
    with pytest.raises(TypeError, match="latent_dim is held by"):
        from_pretrained("me/vae", latent_dim=3)


def test_bad_arguments(hub, model):
    with pytest.raises(NotFittedError):
        push_to_hub(VAE(), "me/vae")
    with pytest.raises(TypeError, match="estimator must be one of repkit, not a Pipeline; of a"):
        push_to_hub(make_pipeline(model), "me/vae")
    with pytest.raises(TypeError, match="figures must be a dict of numbers or text by name, not 3"):
        push_to_hub(model, "me/vae", figures=3)
    assert not hub.home.exists()


def test_without_the_library_the_error_names_the_extra(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    wanted = r"^the Hugging Face hub needs huggingface-hub: .* 'repkit\[hub\]'$"
    for call in (lambda: from_pretrained("me/vae"), lambda: push_to_hub(model, "me/vae")):
        with pytest.raises(ImportError, match=wanted):
            call()
