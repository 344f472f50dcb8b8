"""What a worker does with a batch, without a cluster."""

import pickle

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import repkit
from repkit.distributed.batches import Batches

from .conftest import SMALL


@pytest.fixture(scope="module")
def X():
    return np.random.default_rng(0).random((12, 5), dtype=np.float32)


@pytest.fixture(scope="module")
def vae(X):
    return repkit.VAE(latent_dim=2, **SMALL).fit(X)


@pytest.fixture(scope="module")
def classifier(X):
    y = np.array(["no", "yes"] * 6)
    return repkit.TripleGAN(latent_dim=2, **SMALL).fit(X, y)


def batches(model, **options):
    return Batches(
        model,
        options.get("method", "transform"),
        options.get("columns"),
        options.get("on_error", "raise"),
        "cpu",
    )


def columns(X):
    return {f"x{k}": X[:, k] for k in range(X.shape[1])}


def test_columns_of_a_table(vae, X):
    found = batches(vae)(columns(X))
    assert list(found) == ["vae0", "vae1"]
    assert np.array_equal(np.stack(list(found.values()), 1), vae.transform(X))


def test_other_columns_stay(vae, X):
    table = {"id": np.arange(12), **columns(X)}
    found = batches(vae, columns=[f"x{k}" for k in range(5)])(table)
    assert list(found) == ["id", "vae0", "vae1"]
    assert found["id"].tolist() == list(range(12))


def test_names_of_the_fit_are_found_in_any_order(X):
    table = pd.DataFrame(X, columns=list("abcde"))
    model = repkit.VAE(latent_dim=2, **SMALL).fit(table)
    mixed = {name: table[name].to_numpy() for name in "ecabd"} | {"id": np.arange(12)}
    found = batches(model)(mixed)
    assert np.array_equal(found["vae1"], model.transform(table)[:, 1])
    assert "id" in found
    with pytest.raises(ValueError, match=r"columns must be among those of data, a, b, not 'c'"):
        batches(model)({"a": X[:, 0], "b": X[:, 1]})


def test_labels_and_probabilities(classifier, X):
    found = batches(classifier, method="predict")(columns(X))
    assert found["prediction"].tolist() == classifier.predict(X).tolist()
    found = batches(classifier, method="predict_proba")(columns(X))
    assert list(found) == ["proba_no", "proba_yes"]
    assert np.array_equal(found["proba_yes"], classifier.predict_proba(X)[:, 1])


def test_numbers_have_one_type_whatever_the_samples(vae, X):
    found = batches(vae).of_array(X.astype(np.float64))
    assert found.dtype == np.float32
    regressor = repkit.DANNRegressor(**SMALL)
    with pytest.warns(repkit.NoTargetWarning):
        regressor.fit(X, np.stack([X[:, 0], X[:, 1]], 1))
    found = batches(regressor, method="predict")(columns(X))
    assert list(found) == ["prediction0", "prediction1"]
    assert np.array_equal(found["prediction1"], regressor.predict(X)[:, 1])


def test_an_unusable_row_has_a_reason(vae, classifier, X):
    bad = X.copy()
    bad[[3, 7]] = np.nan
    found = batches(vae, on_error="skip")(columns(bad))
    assert np.flatnonzero(np.isnan(found["vae0"])).tolist() == [3, 7]
    assert [k for k, why in enumerate(found["error"]) if why is not None] == [3, 7]
    assert "NaN" in found["error"][3]
    good = np.delete(np.arange(12), [3, 7])
    assert np.allclose(found["vae0"][good], vae.transform(X[good])[:, 0], atol=1e-6)
    labels = batches(classifier, on_error="skip", method="predict")(columns(bad))["prediction"]
    assert labels[3] is None
    assert labels[0] == classifier.predict(X[:1])[0]
    all_bad = batches(vae, on_error="skip")(columns(np.full_like(X, np.nan)))
    assert np.isnan(all_bad["vae1"]).all()
    with pytest.raises(ValueError, match=r"sample 3: .*NaN"):
        batches(vae)(columns(bad))


def test_a_column_of_samples(X):
    images = (255 * np.random.default_rng(0).random((6, 8, 8))).astype(np.uint8)
    model = repkit.VAE(latent_dim=2, **SMALL).fit(images)
    expected = model.transform(images)[:, 0]
    table = {"id": np.arange(6), "image": images}
    found = batches(model, columns="image")(table)
    assert list(found) == ["id", "vae0", "vae1"]
    assert np.array_equal(found["vae0"], expected)
    ragged = np.empty(6, object)
    ragged[:] = list(images)
    assert np.array_equal(batches(model, columns="image")({"image": ragged})["vae0"], expected)


def test_paths_of_images_stay_and_bad_files_are_named(tmp_path):
    images = (255 * np.random.default_rng(0).random((4, 8, 8))).astype(np.uint8)
    model = repkit.VAE(latent_dim=2, **SMALL).fit(images)
    paths = np.array([str(tmp_path / f"{k}.png") for k in range(4)], object)
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path)
    found = batches(model, columns="path")({"path": paths})
    assert list(found) == ["path", "vae0", "vae1"]
    assert np.array_equal(found["vae0"], model.transform(images)[:, 0])
    (tmp_path / "2.png").write_bytes(b"torn")
    with pytest.raises(ValueError, match=r"path '.*2\.png': .*not an image"):
        batches(model, columns="path")({"path": paths})
    found = batches(model, columns="path", on_error="skip")({"path": paths})
    assert np.isnan(found["vae0"]).tolist() == [False, False, True, False]
    assert "not an image" in found["error"][2]


def test_recordings(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    from repkit.datasets import make_speech

    speech = make_speech(2, 3, 2, random_state=0)
    model = repkit.SpeechAutoencoder(
        sample_rate=8000, on_error="skip", prototypes=None, max_epochs=1, steps_per_epoch=1,
        width=24, device="cpu", random_state=0,
    ).fit(speech.data, speech.speaker)  # fmt: skip
    paths = []
    for k, wave in enumerate(speech.data[:4]):
        paths.append(str(tmp_path / f"{k}.wav"))
        soundfile.write(paths[-1], np.asarray(wave), 8000, subtype="FLOAT")
    (tmp_path / "1.wav").write_bytes(b"RIFF")
    found = batches(model, columns="path", on_error="skip")({"path": np.array(paths, object)})
    names = [str(name) for name in model.get_feature_names_out()]
    vectors = np.stack([found[name] for name in names], 1)
    assert np.isnan(vectors).any(1).tolist() == [False, True, False, False]
    assert "1.wav" in found["error"][1]
    expected = model.transform([paths[k] for k in (0, 2, 3)])
    assert np.allclose(vectors[[0, 2, 3]], expected, atol=1e-5)


def test_names_that_clash(vae, X):
    with pytest.raises(ValueError, match=r"data must not have a column 'vae0'"):
        batches(vae, columns=[f"x{k}" for k in range(5)])({**columns(X), "vae0": X[:, 0]})


def test_another_process_gets_ready_anew(vae, X):
    first = batches(vae)
    first(columns(X))
    second = pickle.loads(pickle.dumps(first))
    assert first._ready
    assert not second._ready
    assert np.array_equal(second(columns(X))["vae0"], first(columns(X))["vae0"])


def test_no_rows(vae, X):
    found = batches(vae, on_error="skip")(columns(X[:0]))
    assert {name: x.shape for name, x in found.items()} == {
        "vae0": (0,), "vae1": (0,), "error": (0,),
    }  # fmt: skip
