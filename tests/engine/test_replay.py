"""Steps that are recorded and done again: when they may be, and that they are then the same."""

import logging
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from repkit import DANN, VAE, SpeechAutoencoder
from repkit.augment import RandomAffine, RandomInvert
from repkit.datasets import make_speech
from repkit.engine import engine, replay, reuse, tape
from repkit.engine.inspection import foreign
from repkit.engine.replay import WARM, Graphs, graphs_of
from repkit.speech import Prototypes

from .. import test_accelerator
from ..test_accelerator import Brighter, Louder, cases, fitted

ANEW = ("DANN all", "Speech")
PLAIN: dict = {}  # fits without recorded steps, by case


class Tape(tape.Tape):
    """Counts how often it is replayed."""

    made = []

    def __init__(self, other=None):
        super().__init__()
        self.other, self.replays = other, 0
        Tape.made.append(self)

    def replay(self):
        self.replays += 1
        return super().replay()


@pytest.fixture
def graphs(monkeypatch):
    """All engines of estimators record steps; gives what they do that with.

    As on a CPU, where the tape that was compared is replayed, or by graphs of their own.
    """
    made = []

    def on(own=False):
        made.clear()
        Tape.made = []
        monkeypatch.delenv("REPKIT_GRAPHS", raising=False)
        monkeypatch.setattr(replay, "Tape", tape.Tape if own else Tape)
        monkeypatch.setattr(reuse, "LEAST", 1)  # results take the place of operands here, too

        def counted(*_, **options):
            made.append(Graphs(Tape if own else None, warm=1))
            return made[-1]

        monkeypatch.setattr(engine, "graphs_of", counted)
        return made

    return on


@pytest.fixture(scope="module", autouse=True)
def _own_code():
    """The tests' own networks and changes do the same at every step."""
    with pytest.MonkeyPatch.context() as patch:
        for kind in (Brighter, Louder):
            patch.setattr(kind, "__module__", "repkit.tests")
        yield


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("case", [*cases()], ids=lambda c: c[0])
def test_a_fit_of_replayed_steps_is_the_fit(case, own, graphs, monkeypatch):
    name, *what = case
    # A system that is refreshed at every epoch is recorded anew; else a graph outlives it.
    monkeypatch.setattr(test_accelerator, "STEPS", 5 if name.startswith(ANEW) else 3)
    monkeypatch.setattr(test_accelerator, "EPOCHS", 2)
    if name not in PLAIN:
        monkeypatch.setenv("REPKIT_GRAPHS", "0")
        PLAIN[name] = fitted(*what, "cpu", "fp32")
    made = graphs(own)
    found = fitted(*what, "cpu", "fp32")
    assert made[0].given_up is None
    assert sum(tape.replays for tape in Tape.made) >= 1  # the first step may be of another kind
    for a, b in zip(found, PLAIN[name], strict=True):
        np.testing.assert_array_equal(a, b)


# -------------------------------------------------------------------- what may be recorded


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.RAdam])
def test_an_optimizer_of_torchs_is_not_recorded(kind, graphs, monkeypatch):
    _, system, options, X, given = next(c for c in cases() if c[0] == "VAE")
    monkeypatch.setattr(test_accelerator, "STEPS", 3)
    made = graphs()
    fitted(system, options | {"optimizer": kind}, X, given, "cpu", "fp32")
    assert made[0].given_up == f"the optimizer {kind.__name__} keeps numbers on the host"
    assert not Tape.made


def test_a_fit_of_compiled_networks_is_recorded_as_such(graphs, monkeypatch):
    _, kind, options, X, given = next(c for c in cases() if c[0] == "VAE")
    calls = []

    class Quick:
        def __init__(self, network):
            self.network = network

        def __call__(self, *args, **named):
            calls.append(self)
            return self.network(*args, **named)

    def quick(networks, device):
        return {k: Quick(network) for k, network in networks.items()}

    monkeypatch.setattr(engine, "compiled", quick)
    monkeypatch.setattr(test_accelerator, "STEPS", 9)
    monkeypatch.setattr(test_accelerator, "EPOCHS", 1)
    monkeypatch.setenv("REPKIT_GRAPHS", "0")
    expected = fitted(kind, options, X, given, "cpu", "fp32")
    made = graphs(own=True)
    found = fitted(kind, options | {"compile": True}, X, given, "cpu", "fp32")
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    # E and G: a first step, one before it is recorded and that one; two are looked at as they are.
    assert made[0].given_up is None
    assert len(calls) == 2 * 3
    assert [tape.replays for tape in Tape.made] == [4]


def test_code_that_may_be_recorded(monkeypatch):
    assert foreign([nn.Sequential(nn.Linear(2, 2), nn.Dropout()), RandomAffine()]) is None
    assert foreign([nn.Sequential(nn.Linear(2, 2), Strange())]).endswith("Strange")
    assert foreign([Strange.own]).endswith("Strange.own")
    assert foreign([nn.functional.relu]) is None
    monkeypatch.setenv("REPKIT_GRAPHS", "1")
    assert foreign([Strange.own, Strange()]) is None


class Strange(nn.Module):
    def own(self):
        pass


@pytest.mark.parametrize(
    ("device", "compiled", "steps", "recorded"),
    [
        ("cpu", False, 200, True),
        ("cpu", True, 200, False),
        ("cpu", False, 199, False),
        ("mps", False, 200, False),
    ],
)
def test_which_steps_are_recorded(device, compiled, steps, recorded, monkeypatch):
    monkeypatch.delenv("REPKIT_GRAPHS", raising=False)
    assert (graphs_of(torch.device(device), [], steps, compiled) is not None) == recorded
    monkeypatch.setenv("REPKIT_GRAPHS", "0")
    assert graphs_of(torch.device(device), [], steps, compiled) is None


def test_a_step_that_cannot_be_recorded_is_taken_as_it_is(caplog):
    class Broken(Tape):
        def record(self, act):
            self.obstacle = "operation not permitted when stream is capturing"
            return act()

    made, taken = Graphs(Broken, nullcontext), []

    def act():
        taken.append(torch.ones(1))
        return [(0, ("loss",), taken[-1])]

    with caplog.at_level(logging.INFO, "repkit"):
        for _ in range(WARM + 4):
            if made.given_up is None:
                (found,) = made.take((0,), (), act)
                assert found[2].item() == 1
    assert made.given_up == "operation not permitted when stream is capturing"
    (line,) = caplog.messages
    assert line.startswith("the steps of this training are not recorded: operation not")


def test_values_of_replays_are_kept_apart():
    Tape.made = []
    made, x = Graphs(Tape), torch.zeros(1)

    def act():
        return [(0, ("loss",), x.add_(1.0).clone())]

    found = [made.take((0,), (), act)[0][2] for _ in range(WARM + 5)]
    assert [v.item() for v in found] == list(range(1, WARM + 6))
    assert [tape.replays for tape in Tape.made] == [2]  # two are looked at, the next is recorded
    made.forget()  # after a resume: from the start
    assert made.take((0,), (), act)[0][2].item() == WARM + 6


def test_a_tape_that_was_compared_is_replayed(monkeypatch):
    Tape.made = []
    monkeypatch.setattr(replay, "Tape", Tape)
    made, x = Graphs(warm=1), torch.zeros(1)

    def act():
        return [(0, ("loss",), x.add_(1.0).clone())]

    found = [made.take((0,), (), act)[0][2].item() for _ in range(6)]
    assert found == list(range(1, 7))
    # One warms up, and two are recorded; the second is taken back, replayed, and taken as it is.
    assert [tape.replays for tape in Tape.made] == [0, 1 + 3]


def test_on_a_cpu_nobody_is_told(caplog):
    with caplog.at_level(logging.INFO, "repkit"):
        graphs_of(torch.device("cpu"), [], 500, False).give_up("no reason")
    assert not caplog.messages


def test_batches_come_to_one_place():
    made = Graphs(Tape)
    constant = torch.arange(3)
    batches = [SimpleNamespace(x=torch.full((2,), float(k)), y=constant) for k in range(3)]
    places = set()
    for k, batch in enumerate(batches):
        made.place(batch)
        assert batch.x.tolist() == [k, k]
        assert batch.y.tolist() == [0, 1, 2]
        places.add((batch.x.data_ptr(), batch.y.data_ptr()))
    assert len(places) == 1
    longer, again = (SimpleNamespace(x=torch.full((3,), 5.0), y=constant) for _ in range(2))
    assert made.place(longer) == made.place(again) == ((3,), (3,))
    assert longer.x is again.x
    (other,) = {x for x, _ in places}
    assert longer.x.data_ptr() != other  # a place for each shape
    assert made.given_up is None


def test_numbers_of_a_batch_are_of_its_shape():
    made, x = Graphs(Tape), torch.zeros(2)
    shapes = {made.place(SimpleNamespace(x=x, time=time)) for time in (3, 4, 3)}
    assert shapes == {((2,), (3,)), ((2,), (4,))}


def test_each_shape_is_a_graph():
    Tape.made = []
    made, rng, total = Graphs(Tape), np.random.default_rng(0), torch.zeros(())
    sizes = [2, 3, 2, 3, *rng.integers(2, 5, 60)]
    expected = 0.0
    for n in sizes:
        batch = SimpleNamespace(x=torch.full((int(n),), float(n)))
        shapes = made.place(batch)

        def act(batch=batch):
            total.add_((2.0 * batch.x).sum())
            return [(0, ("loss",), total)]

        ((_, _, value),) = made.take((0,), shapes, act)
        expected += 2.0 * n * n
        assert value.item() == expected
    assert len(Tape.made) == 3
    assert sum(tape.replays for tape in Tape.made) > 40


def test_a_shape_has_to_come_often():
    Tape.made = []
    made = Graphs(Tape, often=3)
    for n in [*[1] * 8, *[2, 1] * 8, 3, 3]:
        batch = SimpleNamespace(x=torch.ones(n))
        shapes = made.place(batch)
        ((_, _, value),) = made.take((0,), shapes, lambda b=batch: [(0, ("loss",), b.x.sum())])
        assert value.item() == n
    assert [tape.replays for tape in Tape.made] == [2 + 8, 8 - 3 - 1]


def test_there_is_an_end_to_the_number_of_graphs(monkeypatch):
    monkeypatch.setattr(replay, "MOST", 2)
    Tape.made = []
    made = Graphs(Tape)
    for n in [1] * 6 + [1, 2, 3, 4] * 4:
        batch = SimpleNamespace(x=torch.ones(n))
        shapes = made.place(batch)
        ((_, _, value),) = made.take((0,), shapes, lambda b=batch: [(0, ("loss",), b.x.sum())])
        assert value.item() == n
    assert len(Tape.made) == 2


def test_steps_that_are_found_to_differ_are_not_recorded():
    Tape.made = []
    made, x, numbers = Graphs(Tape), torch.ones(2), iter(range(100))
    for n in range(WARM + 4):
        if made.given_up is None:
            scaled = (0.5 * next(numbers) + 1.0,)
            ((_, _, value),) = made.take((0,), (), lambda s=scaled: [(0, ("a",), (x * s[0]).sum())])
            assert value.item() == n + 2.0
    assert made.given_up == "mul is given something else at every step"
    assert not Tape.made


def test_what_was_compiled_is_recorded_and_what_it_was_made_of_is_looked_at():
    Tape.made = []
    made, x, calls = Graphs(Tape), torch.zeros(()), []

    def step(by):
        calls.append(by)
        return [(0, ("loss",), x.add_(1.0).clone())]

    for n in range(WARM + 6):
        ((_, _, value),) = made.take((0,), (), lambda: step("compiled"), lambda: step("plain"))
        assert value.item() == n + 1
    # Once more before it is recorded: no shape is compiled while a graph is.
    assert calls == ["compiled"] * WARM + ["plain"] * 2 + ["compiled"] * 2
    assert [tape.replays for tape in Tape.made] == [2]


def test_graphs_share_the_memory_of_another():
    Tape.made = []
    made = Graphs(Tape)
    for n in [1] * 6 + [1, 2, 3] * 3:
        batch = SimpleNamespace(x=torch.ones(n))
        shapes = made.place(batch)
        made.take((0,), shapes, lambda b=batch: [(0, ("loss",), b.x.sum())])
    first, *rest = Tape.made
    assert first.other is None
    assert {tape.other for tape in rest} == {first}
    assert len(rest) == 2


def test_the_look_goes_on_to_another_shape(monkeypatch):
    """If none comes that has the shape of the first."""
    monkeypatch.setattr(replay, "PATIENCE", 3)
    Tape.made = []
    made = Graphs(Tape)
    for n in [*range(9, 9 + WARM), 100, *[5] * 12]:
        batch = SimpleNamespace(x=torch.ones(n))
        shapes = made.place(batch)
        made.take((0,), shapes, lambda b=batch: [(0, ("loss",), b.x.sum())])
    assert Tape.made


def test_utterances_of_several_lengths(graphs, monkeypatch):
    """Each length has its graphs, also once prototypes are there."""
    speech = make_speech(2, 3, 6, random_state=0)
    rng = np.random.default_rng(0)
    X = [x[: rng.choice([1600, 2400])] for x in speech.data]
    options = {
        "sample_rate": 8000, "width": 24, "phonetic_dim": 6, "speaker_dim": 4,
        "prototypes": Prototypes((2,), segment_size=2, start=0.3), "batch_size": (2, 3),
        "max_epochs": 4, "steps_per_epoch": 12, "random_state": 0, "device": "cpu",
    }  # fmt: skip

    def fit():
        return SpeechAutoencoder(**options).fit(X, speech.speaker).transform(X)

    monkeypatch.setenv("REPKIT_GRAPHS", "0")
    expected = fit()
    made = graphs()
    found = fit()
    assert made[0].given_up is None
    assert len(Tape.made) >= 3
    assert sum(tape.replays for tape in Tape.made) > 10
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("change", ["augment", "layer", "hook"])
def test_what_a_callback_changes_of_code(change, graphs, monkeypatch):
    """A share of augmentation, a layer, a hook: not only what is a setting of a network."""
    X = np.random.default_rng(0).random((48, 1, 8, 8), dtype=np.float32)
    given = {"y": np.arange(48) % 2, "sample_domain": np.repeat([1, -2], 24)}

    def fit():
        torch.manual_seed(0)
        network = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.Tanh(), nn.Linear(8, 8))
        augment = RandomInvert(0.1)

        class Change:
            def __call__(self, row):
                own = model.networks_["F"]
                if row["epoch"] != 2:
                    return
                if change == "augment":
                    augment.p = 0.9
                elif change == "layer":
                    holder, name = next(
                        (m, name)
                        for m in own.modules()
                        for name, child in m.named_children()
                        if isinstance(child, nn.Tanh)
                    )
                    setattr(holder, name, nn.Sigmoid())
                else:
                    own.register_forward_hook(lambda *given: 0.5 * given[-1])

        model = DANN(
            network, max_epochs=4, steps_per_epoch=10, batch_size=8, callbacks=[Change()],
            augment=augment, random_state=0, device="cpu", precision="fp32",
        )  # fmt: skip
        return model.fit(X, **given).history_["label_loss"].tolist()

    monkeypatch.setenv("REPKIT_GRAPHS", "0")
    expected = fit()
    made = graphs()
    assert fit() == expected
    assert Tape.made[1].replays > 1
    assert (made[0].given_up is None) == (change != "hook")


def test_fits_in_an_autocast_of_the_users(graphs, monkeypatch):
    """`precision` decides, also of steps that are replayed."""
    X = np.random.default_rng(0).random((48, 1, 8, 8), dtype=np.float32)
    options = {"max_epochs": 2, "steps_per_epoch": 10, "batch_size": 8, "width": 8, "latent_dim": 2}

    def fit():
        return (
            VAE(**options, augment=RandomAffine(), random_state=0, device="cpu").fit(X).transform(X)
        )

    monkeypatch.setenv("REPKIT_GRAPHS", "0")
    expected = fit()
    graphs()
    for _ in range(2):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            np.testing.assert_array_equal(fit(), expected)
        monkeypatch.setenv("REPKIT_GRAPHS", "0")


@pytest.mark.parametrize(("value", "wanted"), [(None, True), ("0", False), ("1", True)])
def test_graphs_are_turned_off_by_the_environment(value, wanted, monkeypatch):
    monkeypatch.delenv("REPKIT_GRAPHS", raising=False)
    if value is not None:
        monkeypatch.setenv("REPKIT_GRAPHS", value)
    assert replay.wanted() == wanted


def test_no_gradient_of_an_earlier_step_is_left(graphs):
    """Long gradients are not copied: what a replay has of them only the replay knows."""
    graphs()
    X = np.random.default_rng(0).normal(size=(40, 300)).astype(np.float32)
    seen = []

    class Look:
        def __call__(self, row):
            pass

        def on_step(self, done, of):
            groups = engine_of[0].groups.values()
            seen.append([p.grad is None for own in groups for p in own.parameters])

    engine_of, begin = [], engine.Engine.begin_epoch

    def noted(self):
        engine_of[:] = [self]
        begin(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine.Engine, "begin_epoch", noted)
        DANN(
            width=1024, max_epochs=1, steps_per_epoch=10, batch_size=8, callbacks=[Look()],
            random_state=0, device="cpu",
        ).fit(X, np.arange(40) % 2, sample_domain=np.repeat([1, -2], 20))  # fmt: skip
    assert len(seen) == 10
    assert len({tuple(x) for x in seen}) == 1
    assert any(seen[0])
    assert not all(seen[0])


def test_what_a_callback_changes_in_a_network_counts(graphs, monkeypatch):
    """At the next epoch, whose steps are recorded anew."""
    X = np.random.default_rng(0).normal(size=(48, 6)).astype(np.float32)
    given = {"y": np.arange(48) % 2, "sample_domain": np.repeat([1, -2], 24)}

    def fit():
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Dropout(0.5))

        class Change:
            def __call__(self, row):
                own = model.networks_["F"].modules()
                if row["epoch"] == 2:
                    next(m for m in own if isinstance(m, nn.Dropout)).p = 0.0

        model = DANN(
            network, max_epochs=4, steps_per_epoch=10, batch_size=8, callbacks=[Change()],
            random_state=0, device="cpu",
        )  # fmt: skip
        return model.fit(X, **given).history_["label_loss"].tolist()

    monkeypatch.setenv("REPKIT_GRAPHS", "0")
    expected = fit()
    graphs()
    found = fit()
    assert found == expected
    # Of the first two epochs, and of the others.
    assert len([tape for tape in Tape.made if tape.replays]) == 2
