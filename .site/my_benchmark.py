"""Codes of a table before a logistic regression: a method of yours, and fair opponents."""

from sklearn.datasets import load_breast_cancer
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.runner import Case
from repkit import VAE

SETTINGS = {"latent_dim": 5, "likelihood": "gaussian", "width": 64, "max_epochs": 10}


def run(codes, seed):
    X, y = load_breast_cancer(return_X_y=True)
    X, X_test, y, y_test = train_test_split(X, y, random_state=seed)
    model = make_pipeline(StandardScaler(), codes, LogisticRegression(max_iter=1000))
    return {"accuracy": model.fit(X, y).score(X_test, y_test)}


def cases(preset, device):
    vae = VAE(**SETTINGS, device=device)
    methods = {"VAE": lambda seed: vae.set_params(random_state=seed), "PCA": lambda seed: PCA(5)}
    return [
        Case("breast cancer", name, "5 codes", lambda seed, make=make: run(make(seed), seed))
        for name, make in methods.items()
    ]
