"""What a notebook shows of a fitted estimator."""

import re

import numpy as np
import pandas as pd
import pytest
from sklearn.utils import estimator_html_repr

from repkit import DANN, VAE
from repkit.base.html import learned

X = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)


def text_of(html):
    return " ".join(re.sub("<[^>]*>", " ", html).split())


def test_it_shows_what_was_learned():
    model = VAE(latent_dim=2, width=8, max_epochs=2, random_state=0)
    assert learned(model) == ""
    assert "repkit-learned" not in model._repr_html_()
    model.fit(X)
    html = model._repr_html_()
    assert html.startswith(estimator_html_repr(model)[:40])
    said = text_of(learned(model))
    assert said in text_of(html)
    assert re.match(r"trained 2 epochs, \d+\.\d s, on cpu samples 6 networks E \(", said)
    assert "in use those of the last epoch" in said
    last = model.history_.iloc[-1]
    assert f"{last.loss_EG:.4g}" in said
    assert learned(VAE()) == ""


def test_classes_domains_a_selected_epoch_and_a_failure():
    y = np.array(["<b>", "dog"] * 20)
    domain = np.repeat([1, -2], 20)
    model = DANN(width=8, max_epochs=2, select="entropy", random_state=0)
    model.fit(X, y, sample_domain=domain)
    html = learned(model)
    assert "2: &lt;b&gt;, dog" in html
    assert "domains 2: 1, -2" in text_of(html)
    assert f"those of epoch {model.selected_epoch_}, which was selected" in html
    failed = {"epoch": 3, "failed_step": 5.0, "failed_term": "loss_F", "seconds": float("nan")}
    model.history_ = pd.concat([model.history_, pd.DataFrame([failed])])
    assert "failed at step 5: loss_F was not finite" in text_of(learned(model))


@pytest.mark.parametrize("dtype", [np.uint8])
def test_images(dtype):
    images = (X.reshape(40, 1, 2, 3) > 0).astype(dtype) * 255
    said = text_of(learned(VAE(latent_dim=2, width=8, max_epochs=1, random_state=0).fit(images)))
    assert "samples 1 x 2 x 3" in said
