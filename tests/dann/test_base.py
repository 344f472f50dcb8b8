"""What the estimators share, with every divergence: input, domains, copies, and what is told."""

import pickle
import warnings

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.utils.estimator_checks import estimator_checks_generator

from repkit import DANN, load
from repkit.dann import Divergence, Entropy, ShareWarning
from repkit.datasets import make_domains

FAST = {"max_epochs": 3, "steps_per_epoch": 4, "batch_size": 12, "random_state": 0, "width": 8}
KINDS = ["adversarial", "coral", "mmd", "joint_mmd", "wasserstein", "discrepancy", None]
each_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def moons():
    return make_domains(n_samples=60, random_state=0)


def split(domain):
    """Each domain in two: two sources and two targets."""
    return np.where(np.arange(len(domain)) % 2, domain, 3 * domain)


@each_kind
@pytest.mark.parametrize("order", ["joint", "alternating"])
@pytest.mark.parametrize("several", [False, True])
def test_every_divergence(moons, kind, order, several, tmp_path):
    domain = split(moons.sample_domain) if several else moons.sample_domain
    weight = np.linspace(0.5, 1.5, len(moons.X))
    model = DANN(**FAST, divergence=kind, updates=order)
    model.fit(moons.X, moons.y, sample_domain=domain, sample_weight=weight)
    assert ("domain_loss" in model.history_) == (kind == "adversarial")
    assert ("divergence" in model.history_) == (kind not in ("adversarial", None))
    assert ("D" in model.networks_) == (kind in ("adversarial", "wasserstein", "discrepancy"))
    proba = model.predict_proba(moons.X)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict_proba(moons.X), proba)
    model.save(tmp_path / "m")
    again = load(tmp_path / "m")
    np.testing.assert_array_equal(again.predict_proba(moons.X), proba)
    assert again.divergence == kind
    if kind == "adversarial":
        assert set(model.predict_domain(moons.X)) <= set(domain)
    else:
        with pytest.raises(ValueError, match=f"domain classifier: divergence={kind!r} has none"):
            model.predict_domain(moons.X)


@pytest.mark.parametrize("kind", ["coral", "joint_mmd", "wasserstein", "discrepancy"])
def test_divergences_on_images(kind):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (40, 1, 12, 12)).astype(np.uint8)
    options = {**FAST, "domain_norm": "separate", "precision": "bf16", "ema": 0.9}
    model = DANN(**options, divergence=kind, lam=0.5)
    model.fit(X, np.arange(40) % 2, sample_domain=np.repeat([1, -1], 20))
    assert np.isfinite(model.history_.to_numpy()).all()
    assert model.transform(X).shape == (40, 8)


@pytest.mark.parametrize("kind", ["adversarial", "wasserstein"])
def test_a_sparse_table_is_the_same_table(kind):
    """Through the fit, the scores, the prior and what comes after."""
    rng = np.random.default_rng(0)
    X = sparse.random_array((60, 20), density=0.2, rng=rng, format="csr")
    y, domain = rng.integers(0, 2, 60), np.repeat([0, -1], 30)
    found = []
    for table in (X, X.toarray()):
        model = DANN(**FAST, divergence=kind, entropy=Entropy(0.1, prior="estimate"))
        model.fit(table, y, sample_domain=domain).adapt(table[30:], max_epochs=2)
        found.append(model.predict_proba(table))
    np.testing.assert_array_equal(*found)


def test_without_a_target_the_divergence_does_not_matter(moons):
    source = moons.sample_domain >= 0
    found = []
    for kind in KINDS:
        model = DANN(**FAST, divergence=kind).fit(moons.X[source], moons.y[source])
        assert set(model.networks_) == {"F", "C"}
        found.append(model.predict_proba(moons.X))
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])
    with pytest.raises(ValueError, match="no domain classifier: fit had no target rows"):
        DANN(**FAST).fit(moons.X[source], moons.y[source]).predict_domain(moons.X)


def test_settings_of_the_divergence_matter(moons):
    def fit(**options):
        model = DANN(**FAST, **options)
        model.fit(moons.X, moons.y, sample_domain=moons.sample_domain)
        return model.predict_proba(moons.X)

    for one, other in (
        (Divergence("mmd"), Divergence("mmd", bandwidths=(0.1,))),
        (Divergence("joint_mmd"), Divergence("joint_mmd", bandwidths=[9.0])),
        (Divergence("wasserstein"), Divergence("wasserstein", penalty=100.0)),
    ):
        assert np.abs(fit(divergence=one, lam=3.0) - fit(divergence=other, lam=3.0)).max() > 1e-6


def test_a_step_with_one_row_of_a_domain(moons):
    domain = np.arange(len(moons.X)) % 6 * np.sign(moons.sample_domain)
    domain = np.where(moons.sample_domain < 0, domain - 1, domain)
    model = DANN(**{**FAST, "batch_size": 6}, divergence="coral")
    with pytest.raises(ValueError, match="coral' can take no covariance; give batch_size of at"):
        model.fit(moons.X, moons.y, sample_domain=domain)
    model.set_params(divergence="mmd").fit(moons.X, moons.y, sample_domain=domain)


def shifted_shares(rng, n, share, offset):
    y = (rng.random(n) < share).astype(int)
    return rng.normal(size=(n, 2)) + 2.0 * y[:, None] + offset, y


def test_shares_that_part_far_are_told(moons):
    """Far off, all rows of the target are taken for one class."""
    X = np.where(moons.sample_domain[:, None] >= 0, moons.X, moons.X + 40)
    model = DANN(**{**FAST, "max_epochs": 8, "learning_rate": 0.1}, divergence=None)
    with pytest.warns(ShareWarning, match="predicted for target rows part from") as record:
        model.fit(X, moons.y, sample_domain=moons.sample_domain)
    assert record[0].filename == __file__


@pytest.mark.parametrize(
    ("params", "guarded", "told"),
    [
        ({}, None, True),
        ({"divergence": "coral"}, None, True),
        ({"lam": 0.0}, None, False),  # nothing has pulled the shares together
        ({"divergence": None}, None, False),
        ({}, False, False),  # a guard has looked
    ],
)
def test_nearer_shares_are_told_of_where_a_divergence_pulls(moons, params, guarded, told):
    model = DANN(**{**FAST, "max_epochs": 4}, **params)
    model.fit(moons.X, moons.y, sample_domain=moons.sample_domain)
    model.history_ = model.history_.assign(share_distance=0.3, share_chance=0.0)
    if guarded is not None:
        model.guarded_ = guarded
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        model._judge()
    assert [w.category for w in record].count(ShareWarning) == told


def test_a_target_with_other_shares():
    """Balance to equal shares spoils what a prior keeps, given or estimated."""
    rng = np.random.default_rng(0)
    X, y = shifted_shares(rng, 400, 0.5, 0.0)
    Xt, yt = shifted_shares(rng, 400, 0.05, 0.2)
    rows, domain = np.concatenate([X, Xt]), np.repeat([0, -1], 400)
    labels = np.concatenate([y, yt])
    options = {**FAST, "max_epochs": 15, "steps_per_epoch": 12, "batch_size": 64, "lam": 0.0}
    options |= {"divergence": None, "learning_rate": 5e-3}
    found = {}
    for prior in (None, "estimate", [0.95, 0.05]):
        model = DANN(**options, entropy=Entropy(2.0, prior=prior))
        model.fit(rows, labels, sample_domain=domain)
        found[str(prior)] = model.score(Xt, yt)
    assert found["estimate"] > found["None"] + 0.05, found
    assert found["[0.95, 0.05]"] > found["None"] + 0.05, found


def test_a_prior_has_a_share_for_each_class(moons):
    model = DANN(**FAST, entropy=Entropy(0.5, prior=[0.2, 0.3, 0.5]))
    with pytest.raises(ValueError, match="a share for each of the 2 classes, not 3"):
        model.fit(moons.X, moons.y, sample_domain=moons.sample_domain)


def test_shares_are_those_of_the_label_loss(moons):
    """Rows count by their weights, and domains alike."""
    y = np.where(np.arange(len(moons.y)) % 4 == 0, 0, 1)
    domain = np.where(moons.sample_domain < 0, -1, np.where(np.arange(len(y)) < 20, 0, 1))
    model = DANN(**FAST, class_weight={0: 3.0, 1: 1.0})._resolved()
    data = model._read(moons.X, y, domain, None, None)
    streams = [(np.flatnonzero(domain == k), 6) for k in (0, 1)]
    found = model._shares(data.codes, data.weights, streams)
    mass = np.zeros(2)
    for k in (0, 1):
        for c, weight in ((0, 3.0), (1, 1.0)):
            mass[c] += weight * np.mean(y[domain == k] == c)
    np.testing.assert_allclose(found, mass / mass.sum(), rtol=1e-5)


@pytest.mark.parametrize("kind", ["wasserstein"])
def test_scikit_learn_with_another_divergence(kind):
    """Spot checks; the whole suite is run with the default. None of them gives a target."""
    names = ("check_fit2d_1sample", "check_estimators_pickle", "check_fit_idempotent")
    model = DANN(**FAST, divergence=Divergence(kind, penalty=5.0))
    ran = 0
    for estimator, check in estimator_checks_generator(model):
        if check.func.__name__ in (*names, "check_parameters_default_constructible"):
            check(estimator)
            ran += 1
    assert ran >= 3


def test_resuming_with_an_estimated_prior(moons, tmp_path):
    def interrupt(row):
        if row["epoch"] == 2:
            raise KeyboardInterrupt

    options = {**FAST, "entropy": Entropy(0.5, prior="estimate"), "divergence": "wasserstein"}
    given = {"sample_domain": split(moons.sample_domain)}
    whole = DANN(**options).fit(moons.X, moons.y, **given)
    with pytest.raises(KeyboardInterrupt):
        DANN(**options, checkpoint=tmp_path, callbacks=interrupt).fit(moons.X, moons.y, **given)
    resumed = DANN(**options, checkpoint=tmp_path).fit(moons.X, moons.y, **given)
    for name, network in whole.networks_.items():
        for key, value in network.state_dict().items():
            assert torch.equal(resumed.networks_[name].state_dict()[key], value)
