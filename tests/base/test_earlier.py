"""Model files of format 1: what predictions need is taken over, and the rest is told."""

import json
import warnings

import numpy as np
import pytest
from safetensors.torch import save_file
from sklearn.exceptions import ConvergenceWarning

from repkit import DANN, VAEGAN, BiGAN, InfoGAN, SpeechAutoencoder, load
from repkit.base import model_file
from repkit.base.earlier import with_names_of_now
from repkit.base.model_file import ModelFileError, encode
from repkit.datasets import make_speech
from repkit.infogan import Continuous
from repkit.speech import Prototypes, SpeechEncoder, SpeechFrames

pytestmark = [
    pytest.mark.filterwarnings("ignore:the parameters .* count in training alone"),
    pytest.mark.filterwarnings("ignore:domain_norm='separate' changes nothing"),
]

N = 16
X = np.random.default_rng(0).random((N, 4)).astype(np.float32)
IMAGES = np.random.default_rng(0).random((N, 1, 16, 16)).astype(np.float32)
SPEECH = make_speech(2, 4, 3, random_state=0)
COMMON = {"max_epochs": 1, "steps_per_epoch": 1, "random_state": 0}
SHARED = {"beta1": 0.5, "weight_decay": 0.0}

# A model of now, what it is fitted on, and the parameters of then that made the same networks.
CASES = {
    "DANN": (
        DANN("mlp", width=12, domain_norm="separate", **COMMON),
        (X, np.arange(N) % 2, np.where(np.arange(N) < 8, 1, -2)),
        {"n_features": 12, "domain_norm": "separate", "training": "joint", "late": 0.2},
    ),
    "VAEGAN": (
        VAEGAN(2, width=16, discriminator_kind="three_way", encoder="dcgan", **COMMON),
        (IMAGES,),
        {"latent_dim": 2, "n_features": 16, "discriminator": "three_way", "encoder": "conv"}
        | {"discriminator_body": "auto", "balance": True, "r1": 0.0},
    ),
    "BiGAN": (
        BiGAN(2, width=16, output="hidden", **COMMON),
        (IMAGES,),
        {"latent_dim": 2, "n_features": 16, "features": "hidden", "loss": "hinge"},
    ),
    "InfoGAN": (
        InfoGAN((3,), Continuous(2, variance="learned"), 5, width=16, **COMMON),
        (IMAGES,),
        {"categorical": [3], "continuous": 2, "variance": "learnt", "noise_dim": 5}
        | {"n_features": 16, "lam_continuous": 0.5},
    ),
    "SpeechAutoencoder": (
        SpeechAutoencoder(
            4,
            4,
            width=24,
            sample_rate=8000,
            n_mels=20,
            front_end=SpeechFrames("mfcc", deltas=True),
            encoder=SpeechEncoder("conv", stack=3, n_segments=2),
            prototypes=Prototypes((3,), segment_size=2, quantize=0.1),
            **COMMON,
        ),
        (SPEECH.data, SPEECH.speaker),
        {"phonetic_dim": 4, "speaker_dim": 4, "n_features": 24, "sample_rate": 8000, "n_mels": 20}
        | {"features": "mfcc", "deltas": True, "stack": 3, "n_segments": 2, "encoder": "conv"}
        | {"prototypes": [3], "segment_prototypes": 2, "quantise": 0.1, "cycle": 0.1},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_file_of_format_1(name, tmp_path):
    model, data, params = CASES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(*data)
    model.save(tmp_path / "now")
    header, tensors = model_file.load(tmp_path / "now")
    header |= {"format": 1, "params": params | SHARED | COMMON}
    for key in ("seed_", "pixels_", "n_source_domains_"):
        header["fitted"].pop(key, None)
    own = {k: v.contiguous() for k, v in tensors.items()}
    save_file(own, tmp_path / "m", metadata={"repkit": json.dumps(header, default=encode)})
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        again = load(tmp_path / "m")
    text = "\n".join(str(w.message) for w in told)
    assert "was saved by an earlier version of repkit, without a digest" in text
    assert "'weight_decay'] of this" in text
    assert all(w.filename == __file__ for w in told)
    np.testing.assert_array_equal(again.transform(data[0]), model.transform(data[0]))
    again.save(tmp_path / "n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(tmp_path / "n")  # is of the format of now
    save_file(
        own,
        tmp_path / "o",
        metadata={
            "repkit": json.dumps({**header, "params": {**params, "shell": 1}}, default=encode)
        },
    )
    with (
        pytest.warns(UserWarning, match="without a digest"),
        pytest.raises(ModelFileError, match=r"o' has parameters that .* does not: \['shell'\]"),
    ):
        load(tmp_path / "o")


def test_code_has_the_names_of_now():
    header = {
        "class": "VAEGAN",
        "params": {"latent_dim": 2},
        "code": ["discriminator_body", "encoder"],
        "fitted": {},
    }
    assert with_names_of_now(header)["code"] == ["discriminator", "encoder"]
    header |= {"class": "SpeechAutoencoder", "code": ["encoder", "perturb"]}
    found = with_names_of_now(header)
    assert found["code"] == ["encoder"]
    assert found["fitted"] == {"seed_": 0}
