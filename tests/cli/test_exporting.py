"""`repkit export`."""

import numpy as np
import torch

from repkit import load


def test_a_model_becomes_a_program(run, models, files):
    code, out, err = run("export", models / "vae", "--out", "vae.pt2", "--dtype", "uint8")
    assert (code, out) == (0, "")
    assert err.splitlines()[-1].startswith("vae.pt2: 0.")
    X = np.random.default_rng(0).integers(0, 256, (5, 10, 8)).astype(np.uint8)
    found = torch.export.load("vae.pt2").module()(torch.from_numpy(X)).detach().numpy()
    np.testing.assert_allclose(found, load(models / "vae").transform(X), atol=1e-4)
    code, _, err = run("export", models / "vae", "--out", "vae.pt2")
    assert (code, "is there already; give --force" in err) == (2, True)


def test_domains_by_name(run, models, files):
    code, _, err = run("export", models / "dann", "--out", "d.pt2", "--domain", "-1", "-q")
    assert (code, err) == (0, "")
    for model, domain, says in (
        ("dann", "west", "--domain west: the domains are 1, -1"),
        ("vae", "1", "--domain 1: a VAE has no domains"),
    ):
        code, _, err = run("export", models / model, "--out", "e.pt2", "--domain", domain)
        assert code == 2
        assert says in err.splitlines()[-1]


def test_bad_use(run, models, files):
    for args, code, says in (
        (("--out", "m.pth"), 2, "--out m.pth: the name must end in .onnx or .pt2"),
        (("--out", "m.pt2", "--method", "predict"), 1, "method must be one of ['transform']"),
        (("--out", "m.pt2", "--method", "sample"), 2, "'sample' is not one of 'transform'"),
        ((), 2, "Missing option '--out'"),
    ):
        found, _, err = run("export", models / "vae", *args)
        assert (found, says in err.splitlines()[-1]) == (code, True)
