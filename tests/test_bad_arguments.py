# ruff: noqa: E501, one row of the table on one line
"""A table of every function by every kind of bad argument: refused by name, nothing changed."""

import inspect
import math
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from repkit import audio, augment, datasets, losses, metrics, plots, schedules

from .hostile import Anything, Case, faults, shown

pytestmark = pytest.mark.filterwarnings("ignore")

RNG = np.random.default_rng(0)
N = 24
F, G = RNG.normal(size=(2, N, 5))
Y, S, MASK = np.arange(N) % 3, np.arange(N) // 3 % 2, np.arange(N) % 2 == 0
FACTORS = np.stack([Y, S], 1)
P = np.full((N, 3), 1 / 3)
LOSS = RNG.random(N)
FRAMES = [RNG.normal(size=(4 + i % 3, 5)) for i in range(N)]
DOMAIN = np.where(np.arange(N) < N // 2, 1, -1)
T = torch.tensor(F[:6, :4])
IMAGES = RNG.random((2, 3, 4, 4))

# ---------------------------------------------------------------- kinds of bad values

INTEGER = [1.5, -1, math.nan, math.inf, "junk", [1], {}, 1j, True, Anything(), np.array([1, 2]), abs,
           10**30]  # fmt: skip
NUMBER = [-math.inf, math.nan, math.inf, "junk", [], {}, 1j, None, Anything(), np.ones(2), abs]
NEGATIVE = [-1.0, -1e-9]
CHOICE = ["junk", "", 3, [], {}, 1.5, math.nan, Anything(), ("a",), np.array([1, 2])]
DEVICE = ["junk", "", None, 3.5, [], {}, "cuda:99", -1, "meta", True, Anything(), "cpu:x"]
SEED = ["junk", -1, 1.5, math.nan, {}, Anything(), 10**30, True, [1, 2], 1j]
BYTES = [0, -1, "junk", None, math.nan, [], math.inf, 1j]
MAP = [3, "junk", "nowhere/x.npy", Anything(), ["a.npy"], "a\0.npy", ""]
FUNCTION = [3, "junk", [], {}, True]
SEQUENCES = [
    None, 3.0, "junk", [], [np.ones((3, 5)), np.ones((3, 4))] * 3, [np.ones((0, 5))] * 3,
    [np.full((3, 5), np.nan)] * 3, [np.full((3, 5), "a")] * 3, [np.ones((3, 5), complex)] * 3,
    {"a": 1}, Anything(), ["a"] * 3, [None] * 3, [[[1.0], [1.0, 2.0]]] * 3,
]  # fmt: skip


def features(X, *, width=True, squares=True):
    """Whatever is no matrix of numbers; of another width and too great for squares, if asked."""
    bad = X.copy()
    bad[1, 0] = np.nan
    wrong = [
        None, 3.0, "junk", {"a": 1}, Anything(), X[:, 0], np.array(1.0), np.full(X.shape, "a"),
        [["a", "b"]] * len(X), np.array([[{}] * 2] * len(X)), X.astype(complex), [[1.0], [1.0, 2.0]],
        [], X[:0], X[:, :0], bad, torch.full((3, 5), np.nan),
        sparse.csr_array(X), np.ma.masked_array(X, X > 0), pd.DataFrame({"a": ["x"] * len(X)}),
        set("ab"), (x for x in X), np.full(X.shape, np.datetime64("2020-01-01")),
    ]  # fmt: skip
    wrong += [np.full(X.shape, 1e300)] * squares
    return [*wrong, X[:, :2], np.concatenate([X, X], 1)] if width else wrong


def labels(y):
    return [
        None, 3, "junk", {"a": 1}, Anything(), np.stack([y, y], 1), y[:-1], np.append(y, 0), [],
        np.full(len(y), np.nan), [None, *y[1:].tolist()], [[1], [1, 2]] * (len(y) // 2),
        ["a", 1] * (len(y) // 2), [{}] * len(y), sparse.csr_array(y[None]), set("ab"),
    ]  # fmt: skip


def values(v):
    return [
        None, 3.0, "junk", {"a": 1}, ["a"] * len(v), np.stack([v, v], 1), v[:-1], [],
        np.full(len(v), np.nan), np.full(len(v), 1e200), v.astype(complex), [[1.0], [1.0, 2.0]],
    ]  # fmt: skip


def tensors(*wrong):
    return [None, [1.0], np.ones((6, 4)), "a", Anything(), T.to(torch.complex64), *wrong]


def probabilities():
    return [*features(P, width=False), F, np.ones((N, 1)), np.array([[-0.5, 1.5]] * N)]


# ---------------------------------------------------------------- the table

XY = {"X_train": F, "y_train": Y, "X_test": G, "y_test": Y}
X4 = {"X_train": features(F), "y_train": labels(Y), "X_test": features(G), "y_test": labels(Y)}
WHERE = {"device": DEVICE, "batch_bytes": BYTES}
POSITIVE = [0.0, *NEGATIVE, *NUMBER]
TABLES = {
    "codes": features(F, width=False),
    "factors": [*features(FACTORS + 0.0, width=False), FACTORS[:-1], FACTORS * 0.5, FACTORS * 0],
}
CODES = {"codes": F, "factors": FACTORS}
DRAWN = {"n_train": [0, *INTEGER], "random_state": SEED}
TWO = {"real": features(F), "generated": features(G)}
SOURCES = {"X_source": features(F), "X_target": features(G)}
# Each function with arguments that work, and for each argument what it must refuse.
METRICS = {
    "linear_probe": (XY, {**X4, "C": POSITIVE, "max_iter": [0, *INTEGER]}),
    "knn_probe": (XY, {**X4, "n_neighbors": [0, *INTEGER], "metric": CHOICE, **WHERE}),
    "knn_predict": ({k: XY[k] for k in list(XY)[:3]}, {**{k: X4[k] for k in list(X4)[:3]}, "n_neighbors": [0, 25, *INTEGER], "metric": CHOICE}),
    "nearest_neighbors": ({"X_reference": F, "X_query": G}, {"X_reference": features(F), "X_query": features(G), "n_neighbors": [0, *INTEGER], "metric": CHOICE, **WHERE}),
    "frechet_distance": ({"real": F, "generated": G}, {**TWO, "device": DEVICE}),
    "precision_recall": ({"real": F, "generated": G}, {**TWO, "k": [0, *INTEGER], **WHERE}),
    "nearest_neighbor_distance": ({"real": F, "generated": G}, {**TWO, **WHERE}),
    "match_clusters": ({"clusters": Y, "labels": Y}, {"clusters": labels(Y), "labels": labels(Y), "n_clusters": [0, 10**7, *INTEGER]}),
    "reconstruction_ratio": ({"X": F, "X_back": G}, {"X": features(F), "X_back": features(G), "random_state": SEED}),
    "domain_accuracy": ({"X_source": F, "X_target": G}, {**SOURCES, "C": [0.0, *NEGATIVE, *NUMBER[:-2], [0.0]], "n_splits": [1, *INTEGER], "max_samples": [0, *INTEGER], "random_state": SEED}),
    "proxy_a_distance": ({"X_source": F, "X_target": G}, {**SOURCES, "random_state": SEED}),
    "prediction_entropy": ({}, {"proba": probabilities()}),
    "information_maximization": ({}, {"proba": probabilities()}),
    "soft_neighborhood_density": ({"X": F}, {"X": features(F, width=False), "temperature": POSITIVE, **WHERE}),
    "importance_weights": ({"features_source": F, "features_target": G}, {"features_source": features(F), "features_target": features(G), "features_at": features(F)[1:], "C": POSITIVE}),
    "importance_weighted_validation": ({"loss_source_val": LOSS, "weights": LOSS}, {"loss_source_val": values(LOSS), "weights": [*values(LOSS), -LOSS]}),
    "control_variate_risk": ({"loss_source_val": LOSS, "weights": LOSS}, {"loss_source_val": values(LOSS), "weights": [*values(LOSS), -LOSS]}),
    "deep_embedded_validation": ({"features_source_train": F, "features_source_val": G, "features_target": F, "loss_source_val": LOSS}, {"features_source_train": features(F), "features_source_val": features(G), "features_target": features(F), "loss_source_val": values(LOSS), "C": POSITIVE}),
    "batch_nuclear_norm": ({}, {"proba": probabilities()}),
    "logit_matrix_norm": ({"proba": P}, {"proba": probabilities(), "p": [1e5, *POSITIVE], "threshold": [*NEGATIVE, *NUMBER]}),
    "class_cluster_information": ({"features": F, "labels": Y}, {"features": features(F, width=False), "labels": labels(Y), "n_clusters": [0, N + 1, *INTEGER], "n_init": [0, None, 10**7, *INTEGER], "random_state": SEED}),
    "ensemble_order": ({"agreement": [0.1, 0.9]}, {"agreement": [None, "junk", [], [[0.1]], [np.nan], ["a"], {"a": 1}, Anything()], "baseline": [2, -1, 0.5, "first"], "margin": [-0.1, 1.0, np.nan, "wide", None]}),
    "ensemble_agreement": ({}, {"probas": [None, 3.0, "junk", {"a": P}, Anything(), [], [P, P[:-1]], [[1.0]], *([P, v] for v in probabilities())]}),
    "transfer_score": ({"features": F, "proba": P}, {"features": features(F, width=False), "proba": [*probabilities(), P[:-1]], "share": [1.5, *POSITIVE], "random_state": SEED}),
    "mig": (CODES, {**TABLES, "n_bins": [1, 10**7, *INTEGER], "max_samples": [1, *INTEGER], "random_state": SEED}),
    "sap": (CODES, {**TABLES, **DRAWN, "continuous": CHOICE, "C": POSITIVE}),
    "dci": ({**CODES, "model": "random_forest"}, {**TABLES, **DRAWN, "model": CHOICE, "n_test": [0, *INTEGER]}),
    "modularity_explicitness": (CODES, {**TABLES, **DRAWN, "n_bins": [1, 10**7, *INTEGER]}),
    "factor_vae_score": ({**CODES, "n_train": 20, "n_eval": 20}, {**TABLES, **DRAWN, "encode": FUNCTION, "n_eval": [0, 10**7, *INTEGER], "batch_size": [1, 10**7, *INTEGER], "min_std": [*NEGATIVE, *NUMBER]}),
    "beta_vae_score": ({**CODES, "n_train": 20, "n_eval": 20}, {**TABLES, **DRAWN, "encode": FUNCTION, "batch_size": [0, 10**7, *INTEGER]}),
    "disentanglement_scores": ({**CODES, "scores": ["mig"]}, {**TABLES, "scores": [None, *CHOICE], "encode": FUNCTION, "random_state": SEED}),
    "abx_error": ({"items": F, "categories": Y}, {"items": features(F, width=False, squares=False), "categories": labels(Y), "speakers": labels(S)[1:], "mode": CHOICE, "max_items": [0, *INTEGER], "random_state": SEED, "return_cells": CHOICE, **WHERE}),
    "same_different": ({"vectors": F, "categories": Y}, {"vectors": features(F, width=False, squares=False), "categories": labels(Y), "speakers": labels(S)[1:], **WHERE}),
    "speaker_eer": ({"vectors": F, "speakers": Y}, {"vectors": features(F, width=False, squares=False), "speakers": labels(Y), **WHERE}),
    "enrolled_eer": ({"vectors": F, "speakers": S, "n_enrolled": 3}, {"vectors": features(F, width=False, squares=False), "speakers": labels(S), "n_enrolled": [0, 10**6, *INTEGER], "n_draws": [0, *INTEGER], "random_state": SEED}),
    "cut_segments": ({"frames": FRAMES, "times": [np.arange(len(x)) for x in FRAMES], "recording": np.arange(N), "start": np.zeros(N), "end": np.ones(N)}, {"frames": SEQUENCES, "times": [None, 3.0, "junk", [], {}, [[0.0]] * N, Anything()], "recording": [*labels(np.arange(N)), np.full(N, N), np.full(N, -1), np.full(N, 0.5)], "start": [*values(LOSS), np.full(N, 2.0)][:-1], "end": [*values(LOSS), np.full(N, -2.0)]}),
    "phone_probe": ({"segments": FRAMES, "phones": Y, "test": MASK}, {"segments": SEQUENCES, "phones": labels(Y), "test": [None, 3, "junk", MASK[:-1], np.zeros(N, bool), Y, Anything()], "part": [0.0, 1.5, *POSITIVE], "C": POSITIVE}),
    "mean_std": ({}, {"frames": SEQUENCES}),
    "resampled_pca": ({"frames": FRAMES, "n_components": 3}, {"frames": SEQUENCES, "test": labels(MASK + 0)[1:], "n_steps": [0, 10**7, *INTEGER], "n_components": [0, *INTEGER]}),
    "probe_report": (XY, {**X4, "C": POSITIVE, "n_hidden": [0, 10**7, *INTEGER], "n_epochs": [0, *INTEGER], "random_state": SEED}),
    "swap_test": ({"converted": F, "target_speakers": S, "words": Y, "real": G, "real_speakers": S, "real_words": Y}, {"converted": features(F), "target_speakers": labels(S), "words": labels(Y), "real": features(G), "real_speakers": labels(S), "real_words": labels(Y), "source_speakers": labels(S)[1:]}),
    "disentanglement_report": ({"phonetic": F, "speaker_vectors": G, "words": Y, "speakers": S, "test": MASK}, {"phonetic": features(F, width=False), "speaker_vectors": features(G, width=False), "words": labels(Y), "speakers": labels(S), "test": labels(MASK + 0), "baselines": CHOICE[:4], "random_state": SEED, **WHERE}),
}  # fmt: skip

FLOAT = [math.nan, math.inf, "junk", [], {}, 1j, None, True, Anything(), abs]
GRAY = RNG.integers(0, 255, (2, 4, 4), dtype=np.uint8)
PHOTOS = [np.zeros((9, 9, 3), np.uint8)]
MAPPING = [None, 3, "junk", [1], Anything()]
NOT_IMAGES = [
    None,
    [1.0],
    np.ones((2, 1, 8, 8)),
    "a",
    torch.ones(3, 3),
    torch.ones(2, 1, 8, 8).long(),
    torch.ones(1, 1, 1, 3, 3),
    Anything(),
]
TENSORS = {"x": T, "y": T}
WIDTHS = [None, 3.0, "junk", [], [0.0], [-1.0], [math.nan], ["a"], {}, np.ones((2, 2)), Anything()]
SPECTRUM = RNG.random((5, 40))
SOUND = audio.as_utterances([RNG.random(800)])
HISTORY = pd.DataFrame({"epoch": [1, 2], "loss_a": [1.0, 2.0]})
POINTS = RNG.random((6, 2))
OTHERS = [
    (datasets.make_domains, {}, {"n_samples": [0, *INTEGER], "rotation": FLOAT, "noise": [-1.0, *FLOAT], "random_state": SEED}),
    (datasets.make_sprites, {}, {"n_samples": [0, *INTEGER], "size": [15, *INTEGER], "random_state": SEED, "factors": features(np.zeros((4, 5)))[1:]}),
    (datasets.Sprites, {}, {"size": [15, *INTEGER]}),
    (datasets.make_sentences, {"waves": [np.ones(9)] * 4, "word": [0, 1, 0, 1], "speaker": [0, 0, 1, 1], "n_words": 2}, {"waves": [None, 3, "junk", [], {}, [np.ones((2, 2))] * 4, [np.ones(0)] * 4, ["a"] * 4, Anything()], "word": [None, 3, [0], Anything(), [[0]] * 4], "speaker": [None, 3, [0], Anything(), [[0]] * 4], "n_words": [0, 9, *INTEGER], "gap": NEGATIVE + FLOAT, "sample_rate": [10, *INTEGER], "random_state": SEED}),
    (datasets.make_speech, {}, {"n_speakers": [0, *INTEGER], "n_words": [0, *INTEGER], "n_takes": [0, *INTEGER], "vocab": CHOICE, "sample_rate": [100, *INTEGER], "speaker_spread": [-1.0, *FLOAT], "token_noise": [-1.0, *FLOAT], "channel": [-1.0, *FLOAT], "snr_db": [v for v in FLOAT if not isinstance(v, float) or v != math.inf], "random_state": SEED}),
    (datasets.load_digits_domains, {}, {"shift": [None, *CHOICE], "test_size": [0, 1.0, 10**9, *FLOAT], "random_state": SEED}),
    (datasets.load_fsdd, {}, {"subset": CHOICE, "test_takes": [0, 50, *INTEGER]}),
    (datasets.load_usps, {}, {"size": [15, *INTEGER], "split": [None, *CHOICE], "random_state": SEED}),
    (datasets.load_gas_drift, {}, {"batch": [None, 7, 0, 1.0, True, *CHOICE[:2], *CHOICE[3:]]}),
    (datasets.load_meter_digits, {}, {"kind": CHOICE}),
    (datasets.load_pacs_deep, {}, {"domain": [None, *CHOICE]}),
    (datasets.load_arabic_commands, {}, {"subset": [None, *CHOICE]}),
    (datasets.load_mnist_m, {}, {"published": CHOICE, "train_parts": [None, 3, "junk", [7], [], [0.5], Anything()]}),
    (datasets.load_amazon_reviews, {}, {"domain": [None, *CHOICE]}),
    (datasets.load_office_caltech, {}, {"domain": [None, *CHOICE]}),
    (datasets.load_speech_folder, {"path": "."}, {"path": [None, 3, "nowhere", ["a"], Anything(), "", "a\0b"], "speaker": [None, 3, Anything(), "(", []]}),
    (datasets.load_image_folder, {"path": "pictures"}, {"path": [None, 3, "nowhere", ["a"], Anything(), "", "a\0b"], "size": [0, -1, 2.5, "junk", (1,), (0, 3), [3, None], Anything(), 10**9], "color": [3, "junk", Anything()], "on_error": CHOICE, "memory_map": MAP}),
    (datasets.gather_samples, {"source": [np.zeros((4, 4), np.uint8)] * 3}, {"source": [None, 3, "junk", [], {}, Anything(), [None] * 3, [np.zeros((2, 2)), np.zeros((3, 3))]], "size": [0, -1, 2.5, "junk", (1,), (0, 3), [3, None], Anything(), 10**9], "color": [3, "junk", Anything()], "memory_map": MAP}),
    (datasets.load_table, {"path": "table.csv"}, {"path": [None, 3, "nowhere.csv", ["a"], Anything(), "", "a\0b"], "label": [3, "nothing", Anything(), ["a"]], "drop": [3, ["nothing"], Anything(), [3]], "memory_map": MAP}),
    (datasets.make_mnist_m, {"images": GRAY, "photographs": PHOTOS}, {"images": [None, GRAY[0], np.full((2, 4, 4), "a"), np.full((2, 4, 4), 1e9), np.full((2, 4, 4), -1), [[[1]], [[1, 2]]], Anything(), []], "photographs": [None, 3, [], [np.zeros((9, 9), np.uint8)], [np.zeros((9, 9, 3))], ["a"], Anything()], "random_state": SEED}),
    (augment.RandomAffine, {}, {k: [-1.0, *FLOAT] for k in ("degrees", "zoom", "stretch", "shear", "shift")}),
    (augment.RandomThickness, {}, {"p": [-0.1, 1.1, *FLOAT]}),
    (augment.RandomInvert, {}, {"p": [-0.1, 1.1, *FLOAT]}),
    (augment.RandomTexture, {}, {"p": [-0.1, 1.1, *FLOAT], "grids": [None, 3, [], [0], [0.5], ["a"], [10**9], "ab", Anything()]}),
    *[(make(), {}, {"x": NOT_IMAGES}) for make in (augment.RandomAffine, augment.RandomThickness, augment.RandomInvert, augment.RandomTexture)],
    (losses.GradientReversal, {}, {"lam": FLOAT}),
    (losses.entropy, {}, {"logits": tensors(T[0], T[None])}),
    (losses.information, {"logits": T}, {"logits": tensors(T[0], T[None]), "prior": tensors(T, T[0, :3])[1:]}),
    (losses.class_confusion, {"logits": T}, {"logits": tensors(T[0], T[None]), "temperature": [0.0, -1.0, *FLOAT]}),
    (losses.estimate_shares, {"proba": T, "shares": T[0]}, {"proba": tensors(T[0]), "shares": tensors(T, T[0, :3]), "n_steps": [10**7, None, *INTEGER]}),
    (losses.coral, TENSORS, {"x": tensors(T[0], T[:1], T[:, :3]), "y": tensors(T[0], T[:1], T[:, :3])}),
    (losses.mmd, TENSORS, {"x": tensors(T[0], T[:0], T[:, :3]), "y": tensors(T[0], T[:0], T[:, :3]), "bandwidths": WIDTHS}),
    (losses.joint_mmd, {**TENSORS, "p": T, "q": T}, {"x": tensors(T[0], T[:0]), "y": tensors(T[0], T[:0], T[:, :3]), "p": tensors(T[0], T[:5], T[:, :3])[:-1], "q": tensors(T[0], T[:5], T[:, :3]), "bandwidths": WIDTHS}),
    (losses.wasserstein, {"x": T[0], "y": T[0]}, {"x": tensors(T, T[0, :0]), "y": tensors(T, T[0, :0])}),
    (losses.slope_penalty, {**TENSORS, "critic": lambda x: x.sum(1)}, {"critic": [None, *FUNCTION], "x": tensors(T[0], T[:0], T[:, :3]), "y": tensors(T[0], T[:0], T[:, :3])}),
    (losses.discrepancy, {"p": T, "q": T}, {"p": tensors(T[0]), "q": tensors(T[0], T[:5])}),
    (losses.weighted_squared_error, {"found": T, "y": T, "weight": None}, {"found": tensors(T[0]), "y": tensors(T[0], T[:5]), "weight": tensors(T, T[:3, 0])[1:]}),
    (lambda logits, inputs: losses.gradient_penalty(logits, T, inputs), {"logits": lambda *x: x[0], "inputs": T}, {"logits": [None, *FUNCTION], "inputs": tensors(T.long())}),
    (losses.code_loss, {"logits": [T], "codes": [T], "means": T, "values": T}, {"logits": [None, 3, T, [None], [T, T], [T[0]]], "codes": [None, 3, T, [None], [], [T[:5]]], "means": tensors(T[0]), "values": tensors(T[0], T[:5]), "log_variances": tensors(T[0], T[:5])[1:]}),
    (losses.paired_information, {"logits": T, "other": T}, {"logits": tensors(T[0]), "other": tensors(T[:3])}),
    (losses.multilinear, {"features": T, "probabilities": T}, {"features": tensors(T[0]), "probabilities": tensors(T[:3])}),
    (losses.kl_from_standard, {}, {"posterior": tensors(T[0], T[:, :3])}),
    (losses.draw, {"posterior": T, "noise": T[:, :2]}, {"posterior": tensors(T[0], T[:, :3]), "noise": tensors(T)}),
    (losses.half_squared_error, {"found": T, "x": T}, {"found": tensors(), "x": tensors(T[:3])}),
    (losses.weighted_cross_entropy, {"logits": T, "y": torch.zeros(6).long(), "weight": None}, {"logits": tensors(T[0]), "y": tensors(T[:, 0], torch.zeros(5).long()), "weight": tensors(T[:3, 0])[1:]}),
    (losses.reverse, {"x": T}, {"x": tensors(), "lam": [T, *FLOAT]}),
    (losses.bounded, {"x": T, "least": 0.0, "greatest": 1.0}, {"x": tensors(), "least": [2.0, *FLOAT], "greatest": FLOAT}),
    (losses.virtual_adversarial, {"logits": lambda x: x, "x": T, "radius": 1.0}, {"logits": [None, 3, "junk"], "x": tensors(), "radius": [-1.0, *FLOAT], "reach": [0.0, -1.0, *FLOAT]}),
    *[(getattr(schedules, name), {}, {"progress": FLOAT}) for name in ("constant", "dann_decay", "dann_ramp", "half_decay")],
    (schedules.warm_cosine, {"progress": 0.5}, {"progress": FLOAT, "warm": [1.0, -1.0, *FLOAT]}),
    (schedules.early_rise, {"progress": 0.5}, {"progress": FLOAT, "until": [0.0, *FLOAT]}),
    (schedules.rise, {}, {"start": [-1.0, 2.0, *FLOAT]}),
    (plots.EmbeddingDisplay, {"points": POINTS, "labels": np.zeros(6)}, {"points": [*features(POINTS)[:-2], SPECTRUM], "labels": [3, "junk", {}, POINTS, [1], [], [{}] * 6, Anything()], "sample_domain": labels(np.arange(6))[1:]}),
    (plots.EmbeddingDisplay.from_embedding, {}, {"features": features(POINTS, width=False)}),
    (partial(plots.to_plane, seed=0), {}, {"features": features(POINTS, width=False)}),
    (plots.to_plane, {"features": POINTS}, {"seed": SEED}),
    (plots.SampleGridDisplay, {"samples": IMAGES}, {"samples": features(F, width=False), "classes": [[1], Anything()][:1], "image_shape": [(3, 3), (-1, 4), "junk", Anything()], "value_range": [3, "junk", (1, 0), (1, 1), (0, math.nan), Anything()]}),
    (plots.TraversalDisplay, {"samples": {"a": IMAGES}}, {"samples": [*MAPPING, {}, {"a": "b"}], "values": [*MAPPING[1:], {"b": [1]}, {"a": [1]}]}),
    (plots.SpectrogramDisplay, {}, {"frames": [*MAPPING, {}, {"a": [1.0]}, {"a": "b"}]}),
    (plots.SpeechVectorsDisplay, {"points": {"a": POINTS}, "colorings": {"b": Y[:6]}}, {"points": [*MAPPING, {}, {"a": "b"}, {"a": [1.0]}], "colorings": [*MAPPING, {}, {"a": [1]}]}),
    (plots.HistoryDisplay, {"history": HISTORY}, {"history": [None, 3, [1], Anything()], "selected_epoch": ["junk", 0, 1.5, Anything()], "panels": MAPPING[1:]}),
    (plots.ErrorCurveDisplay, {}, {"table": [None, 3, [1], Anything(), HISTORY, HISTORY[:0]]}),
    (audio.FrontEnd, {}, {"kind": CHOICE, "sample_rate": [0, *INTEGER], "n_mels": [0, *INTEGER], "n_mfcc": [0, *INTEGER], "window": [0.0, *FLOAT], "hop": [0.0, 1.0, *FLOAT], "deltas": CHOICE, "stack": [0, *INTEGER], "normalize": CHOICE}),
    (audio.extract, {"utterances": SOUND, "front_end": audio.FrontEnd()}, {"utterances": [None, [np.zeros(9)], Anything()], "front_end": [None, "logmel", Anything()], "device": DEVICE}),
    (audio.to_waveform, {"frames": SPECTRUM, "front_end": audio.FrontEnd()}, {"frames": features(SPECTRUM), "front_end": [None, "logmel", Anything()], "n_iter": [0, *INTEGER], "device": DEVICE}),
    (audio.statistics, {}, {"frames": [None, 3.0, "junk", [], [np.ones(3)] * 3, [np.full((3, 5), "a")], {"a": 1}, Anything()]}),
]  # fmt: skip


class Model:
    """A classifier that has learned nothing."""

    classes_ = np.arange(3)

    def predict_proba(self, X):
        return np.full((len(X), 3), 1 / 3)

    def predict(self, X):
        return np.zeros(len(X), int)

    def transform(self, X):
        return np.asarray(X)


SPLIT = {"val_size": [0.0, 1.0, *NUMBER], "random_state": SEED}
WEIGHTED = {"features": [None, *CHOICE], "loss": [None, *CHOICE], "C": POSITIVE, **SPLIT}
FEATURES = {"features": [None, *CHOICE], "random_state": SEED}
SCORERS = {
    metrics.EntropyScorer: {},
    metrics.InfoMaxScorer: {},
    metrics.SNDScorer: {"temperature": POSITIVE},
    metrics.DEVScorer: WEIGHTED,
    metrics.IWVScorer: WEIGHTED,
    metrics.ReverseValidationScorer: SPLIT,
    metrics.BNMScorer: {},
    metrics.MaNoScorer: {"p": [1e5, *POSITIVE], "threshold": [*NEGATIVE, *NUMBER]},
    metrics.ClassAMIScorer: {**FEATURES, "n_init": [0, None, 10**7, *INTEGER]},
    metrics.TransferScorer: {**FEATURES, "share": [1.5, *POSITIVE]},
    metrics.MixValScorer: {"mix": [0.5, 1.0, *NUMBER], "random_state": SEED},
    metrics.EnsVScorer: {},
}


def cases(function, good, bad):
    label = getattr(function, "__name__", type(function).__name__)
    for argument, wrong in bad.items():
        for value in wrong:
            call = partial(function, **{**good, argument: value})
            yield Case(f"{label}({argument}={shown(value)})", (argument,), call)


def scored(scorer, X, y, sample_domain):
    """What it says of a model, or of a list of one if it compares them."""
    if isinstance(scorer, metrics.EnsVScorer):
        return scorer.scores([Model()], X, y, sample_domain)
    return scorer(Model(), X, y, sample_domain)


def of_scorers():
    for value in (None, 3, "junk", Model(), {"a": Model()}, []):
        label = f"EnsVScorer: estimators={shown(value)}"
        call = partial(metrics.EnsVScorer().rank, value, F, Y, DOMAIN)
        yield Case(label, ("estimators",), call)
    for scorer, bad in SCORERS.items():
        for argument, wrong in bad.items():
            for value in wrong:
                label = f"{scorer.__name__}({argument}={shown(value)})"
                call = partial(scored, scorer(**{argument: value}), F, Y, DOMAIN)
                yield Case(label, (argument,), call)
        for value in [*labels(DOMAIN), np.ones(N, int), DOMAIN * 0.5]:
            label = f"{scorer.__name__}: sample_domain={shown(value)}"
            yield Case(label, ("sample_domain",), partial(scored, scorer(), F, Y, value))
        for value in (None, 3.0, F[:-1], "junk", [], {}, Anything()):
            label = f"{scorer.__name__}: X={shown(value)}"
            yield Case(label, ("X",), partial(scored, scorer(), value, Y, DOMAIN))
        if scorer._needs_labels:
            for value in labels(Y)[:-3]:
                label = f"{scorer.__name__}: y={shown(value)}"
                yield Case(label, ("y",), partial(scored, scorer(), F, value, DOMAIN))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "table.csv").write_text("a,b\n1,2\n3,4\n")
    (tmp_path / "pictures").mkdir()
    picture = b"P5 2 2 255 " + bytes(range(4))  # a gray bitmap, as Pillow reads it
    (tmp_path / "pictures" / "one.pgm").write_bytes(picture)
    metrics.linear_probe(F, Y, G, Y)  # what is imported late is imported now
    metrics.domain_accuracy(F, G)
    metrics.abx_error(F, Y)


def test_metrics():
    rows = [
        c for name, (good, bad) in METRICS.items() for c in cases(getattr(metrics, name), good, bad)
    ]
    count, found = faults(rows)
    assert count >= 2200
    assert not found, "\n".join(found)


def test_scorers():
    count, found = faults(of_scorers())
    assert count >= 250
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "row", OTHERS, ids=lambda row: getattr(row[0], "__name__", type(row[0]).__name__)
)
def test_other_functions(row):
    count, found = faults(cases(*row))
    assert count >= 6
    assert not found, "\n".join(found)


def test_the_table_has_every_metric_and_every_argument():
    functions = {n for n in metrics.__all__ if inspect.isfunction(getattr(metrics, n))}
    assert set(METRICS) == functions
    assert set(SCORERS) == set(subclasses(metrics.scorers.DomainScorer))
    others = {getattr(row[0], "__name__", "") for row in OTHERS}
    tried = {n for n in losses.__all__ if callable(getattr(losses, n))} - {"Adversarial"}
    assert tried - others <= {"gradient_penalty"}  # as a function of one input
    loaders = {n for n in datasets.__all__ if inspect.isfunction(getattr(datasets, n))}
    takes = {n for n in loaders if inspect.signature(getattr(datasets, n)).parameters}
    assert takes <= others
    for name, (_, bad) in METRICS.items():
        missing = set(inspect.signature(getattr(metrics, name)).parameters) - set(bad)
        # what goes through the same check elsewhere in the table
        assert missing <= {
            "n_test",
            "n_eval",
            "model",
            "C",
            "n_hidden",
            "n_epochs",
            "device",
            "batch_bytes",
            "n_splits",
            "max_samples",
            "random_state",
        }, (name, missing)


def subclasses(cls):
    """The public ones below a class."""
    for sub in cls.__subclasses__():
        yield from ([sub] if sub.__name__ in metrics.__all__ else [])
        yield from subclasses(sub)
