"""The utility of the paper and the terms of C, differentiated by hand."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Categorical

from repkit.base.parts import Consistency
from repkit.engine.batches import Batches
from repkit.engine.rng import isolated_rng
from repkit.nets.trunks import spectral_norms
from repkit.triplegan import AdversarialTerm, PseudoDiscriminative
from repkit.triplegan.algorithm import Objective, _balance, triplegan

from ..updates import (
    CPU,
    LATENT,
    ROWS,
    WIDTH,
    assert_close,
    assert_counted,
    assert_modes,
    assert_resumes,
    assert_same,
    bend,
    descend,
    drawn,
    engine_of,
    gradients,
    net,
    seen_by,
    table,
    twins,
    weights,
)

CLASSES, LABELED, FREE = 3, 4, 8
BATCH = LABELED + FREE
# None of the terms that are C's own.
TERMS = {"entropy": 0.0, "balance": 0.0, "consistency": 0.0, "pseudo_discriminative": 0.0}


def pseudo(weight, gate):
    return {"pseudo_discriminative": PseudoDiscriminative(weight, gate=gate)}


def consistent(weight, threshold=0.95, start=0.0):
    return {"consistency": Consistency(weight, threshold=threshold, start=start)}


OPTIONS = {
    "defaults": {},
    "utility": TERMS,
    "argmax": {**TERMS, "expectation": "argmax"},
    "alpha": {**TERMS, "alpha": 0.3},
    "alpha, argmax": {**TERMS, "alpha": 0.8, "expectation": "argmax"},
    "entropy": {**TERMS, "entropy": 2.0},
    "balance": {**TERMS, "balance": 2.0},
    "consistency": {**TERMS, **consistent(2.0, 0.0)},
    "consistency of some": {**TERMS, **consistent(2.0, 0.75)},
    "consistency, late": {**TERMS, **consistent(2.0, 0.0, 0.4)},
    "pseudo": {**TERMS, **pseudo(2.0, 0.0)},
    "augment": {"augment": bend, **pseudo(0.1, 0.0), **consistent(1.0, 0.0)},
    "two views": {"augment": bend, "strong_augment": torch.tanh, **consistent(1.0, 0.0)},
    "strong view": {"strong_augment": bend, **consistent(1.0, 0.75)},
    "everything": {
        "alpha": 0.3,
        "expectation": "argmax",
        "entropy": 0.7,
        "balance": 0.6,
        **consistent(1.5, 0.75),
        **pseudo(0.8, 0.0),
        "augment": bend,
        "strong_augment": torch.tanh,
    },
}
every_option = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
PLAYERS = "CGD"


@pytest.fixture(autouse=True)
def _seeded():
    with isolated_rng(CPU):
        torch.manual_seed(0)
        yield


def networks(alone=False):
    nets = {
        "C": net(WIDTH, CLASSES),
        "G": net(LATENT + CLASSES, WIDTH),
        "D": nn.Sequential(nn.Linear(WIDTH, 6), nn.Tanh(), nn.Linear(6, CLASSES)),
    }
    return {"C": nets["C"]} if alone else nets


def data(x=None):
    """The labels of rows that have none are of no class, as those of the estimator are."""
    y = np.where(np.arange(ROWS) < 10, np.arange(ROWS) % CLASSES, -1)
    stores = {"x": table() if x is None else x, "y": torch.from_numpy(y)}
    streams = [(np.arange(10), LABELED), (np.arange(ROWS), FREE)]
    return Batches(stores, streams, seed=0, device=CPU)


def objective_of(alpha=0.5, expectation="exact", **options):
    return Objective(alpha=AdversarialTerm(alpha, expectation=expectation), **options)


def make(position=50, nets=None, batches=None, alone=False, rate=0.1, precision="fp32", **options):
    system = triplegan(
        nets or networks(alone),
        n_labeled=LABELED,
        n_classes=CLASSES,
        latent_dim=LATENT,
        objective=objective_of(**options),
    )
    engine = engine_of(system, batches or data(), rate, precision, 0.9, position)
    with torch.no_grad():
        for p in engine.averaged["C"].parameters():  # an average is not the network of the day
            p.add_(0.5 * torch.randn_like(p))
    return engine


def same(x):
    return x


def views(position, options):
    """The factor of the consistency term: 0 up to its start, whole at twice that."""
    start = 100 * Consistency.of(options.get("consistency", 1.0)).start
    return min(max(position - start, 0) / start, 1) if start else 1.0


def losses(
    n,
    batch,
    b,
    heed=1.0,
    views=1.0,
    alpha=0.5,
    expectation="exact",
    entropy=0.3,
    balance=0.1,
    consistency=1.0,
    pseudo_discriminative=0.1,
    augment=None,
    strong_augment=None,
):
    """What C, G and D minimize, written out, and what is logged."""
    of_pseudo = PseudoDiscriminative.of(pseudo_discriminative)
    of_views = Consistency.of(consistency)
    plain = augment or same
    strong = strong_augment or plain
    x, y = batch.x, batch.y[:LABELED]
    with torch.no_grad():
        q = n.ema.C(plain(x)[LABELED:]).softmax(1)
    label = q.argmax(1)
    both = n.C(torch.cat([plain(x)[:LABELED], strong(x)[LABELED:]]))
    said, free = both[:LABELED], both[LABELED:]
    p = free.softmax(1)
    sure = [row.max() >= of_views.threshold for row in q]
    mean = p.mean(0)
    logs = {
        "label_loss": -Categorical(logits=said).log_prob(y).mean(),
        "consistency_loss": -sum(p[i, label[i]].log() * sure[i] for i in range(FREE)) / FREE,
        "entropy": Categorical(p).entropy().mean(),
        "balance_loss": -sum(share.log() for share in mean) / CLASSES,
    }
    c = logs["label_loss"] + views * of_views.weight * logs["consistency_loss"]
    c = c + entropy * logs["entropy"] + balance * logs["balance_loss"]
    if b is None:
        return {"C": c}, logs

    wanted = [row.tolist().index(1) for row in b.code]
    fake = n.G(torch.cat([b.z, b.code], 1))
    true_p, free_p, fake_p = (torch.sigmoid(n.D(t)) for t in (x[:LABELED], x[LABELED:], fake))
    true = sum(true_p[i, y[i]].log() for i in range(LABELED))
    true = true + sum(free_p[i, label[i]].log() for i in range(FREE))
    of_c, heeded = torch.zeros(()), torch.zeros(())
    for i in range(FREE):
        if expectation == "exact":
            for k in range(CLASSES):
                of_c = of_c + q[i, k] * (1 - free_p[i, k]).log() / FREE
                heeded = heeded - p[i, k] * free_p[i, k].log() / FREE
        else:
            of_c = of_c + (1 - free_p[i, q[i].argmax()]).log() / FREE
            k = p[i].argmax()
            heeded = heeded - p[i, k] * free_p[i, k].log() / FREE
    of_g = sum((1 - fake_p[i, k]).log() for i, k in enumerate(wanted)) / BATCH
    g = -sum(fake_p[i, k].log() for i, k in enumerate(wanted)) / BATCH
    logs["adversarial_loss"] = heeded
    told = n.C(plain(fake)).log_softmax(1)
    logs["pseudo_discriminative_loss"] = -sum(told[i, k] for i, k in enumerate(wanted)) / BATCH
    agreed = n.ema.C(plain(fake)).argmax(1).tolist()
    logs["generator_accuracy"] = torch.tensor(np.mean(np.equal(agreed, wanted)))
    open_ = float(logs["generator_accuracy"] >= of_pseudo.gate)
    return {
        "C": c
        + heed * (alpha * heeded + open_ * of_pseudo.weight * logs["pseudo_discriminative_loss"]),
        "G": (1 - alpha) * g,
        "D": -(true / BATCH + alpha * of_c + (1 - alpha) * of_g),
    }, logs


# -------------------------------------------------------------------- gradients


@pytest.mark.parametrize(("position", "heed"), [(0, 0.0), (29, 0.0), (30, 1.0), (50, 1.0)])
@every_option
def test_gradients_are_those_of_the_paper(options, position, heed):
    """All three from one forward pass; C heeds the others from a progress on."""
    engine = make(position, **options)
    n, batch, b = twins(engine), engine.batches.at(position), drawn(engine)
    engine.step()
    expected, logs = losses(n, batch, b, heed, views(position, options), **options)
    wanted = descend(n, expected)
    assert min(max(g.abs().max() for g in network) for network in wanted.values()) > 1e-3
    assert_close(gradients(engine), wanted)
    assert_close(weights(engine.system.networks), weights(n))
    means, _ = engine.read()
    for name, value in expected.items():
        assert means[f"loss_{name}"] == pytest.approx(value.item(), rel=1e-4)
    for name, value in logs.items():
        if name in means:
            assert means[name] == pytest.approx(value.item(), rel=1e-4, abs=1e-6)
    o = objective_of(**options)
    for name, weight in (
        ("entropy", o.entropy),
        ("balance_loss", o.balance),
        ("consistency_loss", Consistency.of(o.consistency).weight),
        (
            "pseudo_discriminative_loss",
            PseudoDiscriminative.of(o.pseudo_discriminative).weight,
        ),
    ):
        assert (name in means) == (weight > 0)


def test_the_share_that_is_certain():
    """With the threshold itself among the sure ones."""

    def sure(threshold):
        torch.manual_seed(7)
        engine = make(**consistent(1.0, threshold))
        with torch.no_grad():
            q = engine.averaged["C"](engine.batches.at(50).x[LABELED:]).softmax(1)
        engine.step()
        return q.max(1).values.sort().values.tolist(), engine.read()[0]["certain"]

    q, _ = sure(0.9)
    assert q[4] < q[5]
    for threshold, share in ((q[5], 3 / FREE), (q[5] + 1e-6, 2 / FREE), (0.0, 1.0), (1.0, 0.0)):
        assert sure(threshold)[1] == share


def test_the_shares_that_are_called_true():
    torch.manual_seed(1)
    engine = make()
    n, batch, b = twins(engine), engine.batches.at(50), drawn(engine)
    engine.step()
    label = n.ema.C(batch.x[LABELED:]).argmax(1)
    pairs = n.D(batch.x)[range(BATCH), torch.cat([batch.y[:LABELED], label])]
    fake = n.D(n.G(torch.cat([b.z, b.code], 1)))[range(BATCH), b.code.argmax(1)]
    means, _ = engine.read()
    assert means["d_real"] == pytest.approx(sum(t > 0 for t in pairs.tolist()) / BATCH)
    assert means["d_fake"] == pytest.approx(sum(t > 0 for t in fake.tolist()) / BATCH)
    assert means["d_real"] != means["d_fake"]


@pytest.mark.parametrize("options", [{}, OPTIONS["everything"]], ids=["defaults", "everything"])
def test_the_classifier_alone(options):
    """Without G and D it learns as it does before it heeds them."""
    engine = make(alone=True, **options)
    n, batch = twins(engine), engine.batches.at(50)
    engine.step()
    expected, _ = losses(n, batch, None, views=views(50, options), **options)
    assert_close(gradients(engine), descend(n, expected))
    assert engine.read()[0]["loss_C"] == pytest.approx(expected["C"].item(), rel=1e-4)
    assert set(engine.groups) == {"C"}
    assert not engine.system.noise


# -------------------------------------------------------------------- by hand


class Says(nn.Module):
    """The same logits, whatever it is shown: those of the labeled rows are zeros."""

    def __init__(self, rows):
        super().__init__()
        self.rows = nn.Parameter(torch.tensor(rows))

    def forward(self, x):
        if len(x) == 2:
            return self.rows
        return torch.cat([torch.zeros(len(x) - 2, 2), self.rows])


class Pairs(nn.Module):
    """The same logits of pairs for the two unlabeled rows, the last of the real ones."""

    def __init__(self, rows):
        super().__init__()
        self.rows = nn.Parameter(torch.tensor(rows))

    def forward(self, x):
        if not x.any():  # the real ones
            return torch.cat([torch.zeros(2, 2), self.rows])
        return 0.0 * x * torch.ones(len(x), 2)


ln = lambda x: float(np.log(x))


@pytest.mark.parametrize(
    ("expectation", "value", "slope"),
    [
        # Costs sp(-l): ln 2 and ln 4/3 of the first row, ln 4 and ln 2 of the second.
        # (.8 ln 2 + .2 ln 4/3 + .25 ln 4 + .75 ln 2) / 2, and p_k (cost_k - mean cost) / 2.
        ("exact", 0.739244, [[0.032437, -0.032437], [0.064982, -0.064982]]),
        # (.8 ln 2 + .75 ln 2) / 2, and cost p_k (1[k = top] - p_top) / 2.
        ("argmax", 0.537189, [[0.055452, -0.055452], [-0.064983, 0.064983]]),
    ],
)
def test_the_adversarial_term_of_c_against_numbers_by_hand(expectation, value, slope):
    """The rows of C are (.8, .2) and (.25, .75)."""
    nets = {
        "C": Says([[ln(0.8), ln(0.2)], [ln(0.25), ln(0.75)]]),
        "G": nn.Linear(3, 1),
        "D": Pairs([[0.0, ln(3)], [-ln(3), 0.0]]),
    }
    stores = {"x": torch.zeros(4, 1), "y": torch.tensor([0, 1, -1, -1])}
    batches = Batches(stores, [(np.arange(2), 2), (np.arange(2, 4), 2)], seed=0, device=CPU)
    objective = objective_of(expectation=expectation, **TERMS, adversary_start=0.0)
    system = triplegan(nets, n_labeled=2, n_classes=2, latent_dim=1, objective=objective)
    engine = engine_of(system, batches, ema=0.5)
    engine.step()
    means, _ = engine.read()
    assert means["adversarial_loss"] == pytest.approx(value, abs=1e-6)
    assert means["loss_C"] == pytest.approx(ln(2) + 0.5 * value, abs=1e-6)
    torch.testing.assert_close(nets["C"].rows.grad, 0.5 * torch.tensor(slope), atol=1e-6, rtol=0)
    # D's half: fakes of C cost sp(l), ln 2 and ln 4, ln 4/3 and ln 2, true pairs sp(-l).
    exact = (0.8 * ln(2) + 0.2 * ln(4) + 0.25 * ln(4 / 3) + 0.75 * ln(2)) / 2
    of_c = exact if expectation == "exact" else ln(2)
    assert means["loss_D"] == pytest.approx(ln(2) + 0.5 * of_c + 0.5 * ln(2), abs=1e-6)
    assert means["loss_G"] == pytest.approx(0.5 * ln(2), abs=1e-6)


# -------------------------------------------------------------------- a class that has died


@pytest.mark.parametrize("gap", [1.0, 16.5, 30.0, 120.0])
@pytest.mark.parametrize("rows", [1, 6])
def test_balance_has_a_gradient_where_a_class_has_died(gap, rows):
    """At a mean probability of about 1e-7, and where the softmax underflows: 1/4 towards it."""
    logits = torch.zeros(rows, 4)
    logits[:, 3] = -gap
    logits.requires_grad_()
    loss = _balance(logits)
    loss.backward()
    p = logits.detach().double().softmax(1)
    assert loss.item() == pytest.approx(-p.mean(0).log().mean().item(), rel=1e-5)
    slope = logits.grad.sum(0)
    # -1/4 sum_k (1[k = j] - p_j), rows being alike.
    torch.testing.assert_close(slope.double(), p[0] - 0.25, atol=1e-6, rtol=0)
    if gap > 16:
        assert p[0, 3] < 1e-6
        assert slope[3].item() == pytest.approx(-0.25, abs=1e-5)


def test_balance_revives_a_class_through_the_classifier():
    """One that no row predicts: the clamp of the mean prediction that stood here let it rest."""
    bias = torch.tensor([0.0, 0.0, -20.0], requires_grad=True)
    for _ in range(400):
        (slope,) = torch.autograd.grad(_balance(bias.expand(8, 3)), bias)
        bias = (bias - 0.5 * slope).detach().requires_grad_()
    torch.testing.assert_close(bias.softmax(0), torch.full((3,), 1 / 3), atol=1e-2, rtol=0)


def test_balance_of_rows_that_differ():
    logits = 3 * torch.randn(7, 5, dtype=torch.float64)
    mean = logits.softmax(1).mean(0)
    assert _balance(logits).item() == pytest.approx(-mean.log().mean().item(), rel=1e-5)


# -------------------------------------------------------------------- whose labels D is shown


@pytest.mark.parametrize("expectation", ["exact", "argmax"])
def test_d_is_shown_labels_of_the_averaged_classifier(expectation):
    """C itself may say what it likes: D's loss is another only if the averaged one does."""

    def loss_d(change):
        torch.manual_seed(7)
        engine = make(expectation=expectation)
        with torch.no_grad():
            change(engine)
        engine.step()
        return engine.read()[0]["loss_D"]

    as_it_is = loss_d(lambda engine: None)
    assert loss_d(lambda engine: engine.system.networks["C"][-1].weight.neg_()) == as_it_is
    assert loss_d(lambda engine: engine.averaged["C"][-1].weight.neg_()) != as_it_is


# -------------------------------------------------------------------- who works against whom


@pytest.mark.parametrize("name", PLAYERS)
@pytest.mark.parametrize("expectation", ["exact", "argmax"])
def test_which_way_a_step_pushes_the_logits(name, expectation):
    """D parts true pairs from both kinds of false ones; G and C make theirs seem true."""
    nets = networks()
    for other in set(nets) - {name}:
        nets[other].requires_grad_(False)
    engine = make(nets=nets, rate=1e-2, expectation=expectation, alpha=0.9, **TERMS)
    n, batch, b = twins(engine), engine.batches.at(50), drawn(engine)
    free = batch.x[LABELED:]

    @torch.no_grad()
    def cost(n):
        """Of seeming true: for C's labels, summed over the classes, and for G's samples."""
        p = n.C(batch.x)[LABELED:].softmax(1)
        if expectation == "argmax":
            p = p * (p == p.max(1, keepdim=True).values)
        fake = n.D(n.G(torch.cat([b.z, b.code], 1)))[range(BATCH), b.code.argmax(1)]
        labeled = n.D(batch.x[:LABELED])[range(LABELED), batch.y[:LABELED]]
        of_c = -(p * torch.sigmoid(n.D(free)).log()).sum(1).mean()
        return [t.item() for t in (of_c, -fake.mean(), -labeled.mean())]

    before = cost(n)
    engine.step()
    of_c, of_g, of_labeled = (np.subtract(cost(twins(engine)), before)).tolist()
    if name == "C":
        assert (of_g, of_labeled) == (0, 0)
        return  # its labeled loss goes along; by hand above
    if name == "G":
        assert of_g < -1e-5
        assert (of_c, of_labeled) == (0, 0)
    else:
        assert of_g - of_labeled > 1e-5


def test_each_player_lowers_its_own_loss():
    for name in PLAYERS:
        nets = networks()
        for other in set(nets) - {name}:
            nets[other].requires_grad_(False)
        engine = make(nets=nets, rate=0.5, alpha=0.5, **TERMS)
        values = []
        for _ in range(4):
            engine.begin_epoch()
            for _ in range(10):
                engine.step()
            values.append(engine.read()[0][f"loss_{name}"])
        assert values[-1] < values[0] - 0.01


@every_option
def test_every_weight_moves_in_a_step(options):
    engine = make(**options)
    before = weights(engine.system.networks)
    engine.step()
    for name, moved in weights(engine.system.networks).items():
        for old, new in zip(before[name], moved, strict=True):
            assert not torch.equal(new, old)


# -------------------------------------------------------------------- what a term must not touch


def first_gradients(position=50, change=lambda nets: None, **options):
    torch.manual_seed(7)
    nets = networks()
    with torch.no_grad():
        change(nets)
    engine = make(position, nets, **options)
    engine.step()
    return gradients(engine) | {"read": engine.read()[0]}


@pytest.mark.parametrize(
    ("term", "moved"),
    [
        ({"entropy": 5.0}, "C"),
        ({"balance": 5.0}, "C"),
        (consistent(5.0, 0.0), "C"),
        (pseudo(5.0, 0.0), "C"),
        ({"alpha": 0.1}, "CGD"),
        ({"expectation": "argmax"}, "CD"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_term_has_a_gradient_in_its_own_networks_alone(term, moved):
    without, found = first_gradients(**TERMS), first_gradients(**{**TERMS, **term})
    for name in PLAYERS:
        if name in moved:
            assert not torch.equal(found[name][0], without[name][0])
        else:
            assert_same(found[name], without[name])


def test_before_it_heeds_them_c_knows_nothing_of_g_and_d():
    def other_players(nets):
        for name in "GD":
            nets[name][-1].weight.mul_(-2.0)

    options = pseudo(5.0, 0.0)
    for position, heeds in ((29, False), (30, True)):
        without = first_gradients(position, **options)
        found = first_gradients(position, other_players, **options)
        assert torch.equal(found["C"][0], without["C"][0]) != heeds
        assert not torch.equal(found["G"][0], without["G"][0])


def test_the_pseudo_term_counts_from_the_gate_on():
    agreed = first_gradients()["read"]["generator_accuracy"]
    assert 0 < agreed < 1
    shut = first_gradients(pseudo_discriminative=0.0)
    for gate, counts in ((agreed - 0.01, True), (agreed, True), (agreed + 0.01, False)):
        found = first_gradients(**pseudo(5.0, gate))
        assert torch.equal(found["C"][0], shut["C"][0]) != counts


def test_labels_of_the_unlabeled_rows_are_not_read():
    def run(batches):
        torch.manual_seed(7)
        engine = make(batches=batches, **pseudo(0.1, 0.0))
        engine.step()
        return gradients(engine)

    expected, other = run(data()), data()
    real = other.fill

    def fill(batch):
        real(batch)
        batch.y[LABELED:] = 2

    other.fill = fill
    assert_same(run(other), expected)


@pytest.mark.parametrize("options", [{}, OPTIONS["pseudo"], OPTIONS["everything"]])
def test_running_statistics(options):
    """C's are of data, though it is shown generated samples; each batch counts once."""
    engine = make(**options)
    n, batch, b = twins(engine), engine.batches.at(50), drawn(engine)
    engine.step()
    plain = options.get("augment", same)
    strong = options.get("strong_augment", plain)
    shown = torch.cat([plain(batch.x)[:LABELED], strong(batch.x)[LABELED:]])
    nets = engine.system.networks
    assert_counted(nets["C"][1], [n.C[0](shown)])
    assert_counted(nets["G"][1], [n.G[0](torch.cat([b.z, b.code], 1))])
    assert_modes(nets)
    assert not any(m.training for m in engine.averaged["C"].modules())


def test_d_sees_real_and_generated_samples_apart():
    engine = make()
    n, x, b = twins(engine), engine.batches.at(50).x, drawn(engine)
    seen = seen_by(engine.system.networks["D"])
    engine.step()
    assert_close(seen, [x, n.G(torch.cat([b.z, b.code], 1))])


def test_real_and_generated_samples_meet_the_same_spectral_norm():
    """In training mode every use of the weight is a step of its power iteration."""
    nets = networks()
    spectral_norms(nets["D"])
    used = seen_by(nets["D"][0].parametrizations.weight[0])
    make(nets=nets).step()
    assert len(used) == 1


# -------------------------------------------------------------------- data and state


@pytest.mark.parametrize("alone", [False, True])
def test_images_of_bytes_are_scaled(alone):
    nets = {
        "C": nn.Sequential(nn.Flatten(), nn.Linear(12, CLASSES)),
        "G": nn.Sequential(nn.Linear(LATENT + CLASSES, 12), nn.Unflatten(1, (3, 2, 2))),
        "D": nn.Sequential(nn.Flatten(), nn.Linear(12, CLASSES)),
    }
    nets = {"C": nets["C"]} if alone else nets
    images = torch.randint(0, 256, (ROWS, 3, 2, 2), dtype=torch.uint8)
    engine = make(0, nets, data(images.to(memory_format=torch.channels_last)))
    seen = {name: seen_by(network) for name, network in nets.items()}
    engine.step()
    x = engine.batches.at(0).x.float() / 255
    assert_same(seen["C"][0], x)
    if not alone:
        assert_same(seen["D"][0][:BATCH], x)


def test_a_run_goes_on_from_an_epoch_s_end_bit_by_bit():
    options = OPTIONS["everything"] | {"augment": lambda x: x + 0.1 * torch.randn_like(x)}
    assert_resumes(lambda: make(0, adversary_start=0.02, **options))


def test_bf16():
    engine = make(precision="bf16", **OPTIONS["everything"])
    for _ in range(4):
        engine.step()
    means, bad = engine.read()
    assert bad is None
    assert {"loss_C", "loss_G", "loss_D", "adversarial_loss", "pseudo_discriminative_loss"} <= set(
        means
    )
    assert engine.broken() is None


def test_the_noise():
    noise = make().system.noise
    assert {name: (n.shape, n.kind) for name, n in noise.items()} == {
        "z": ((LATENT,), "normal"),
        "code": ((CLASSES,), "onehot"),
    }
