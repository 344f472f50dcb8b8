"""Parts of DANN, in their long and short forms."""

import numpy as np
import pytest
from sklearn.base import clone

from repkit import DANN, Consistency
from repkit.base.parameters import check_parameters
from repkit.dann import Divergence, Entropy, Heads, Objective, Selection, Updates

OFF = {"weight": 0.0, "smoothness": 0.0, "confusion": 0.0, "prior": None}


def test_the_value_of_the_first_field_stands_for_the_part():
    o = check_parameters(Objective(updates="alternating", entropy=0.3, consistency=0.5))
    assert o.updates.get_params() == {"order": "alternating", "d_steps": 1}
    assert o.entropy.get_params() == {**OFF, "weight": 0.3}
    assert o.consistency.get_params() == {"weight": 0.5, "threshold": 0.95, "start": 0.0}


def test_by_default_nothing_is_added_to_the_paper():
    o = check_parameters(Objective())
    assert o.updates.get_params() == {"order": "joint", "d_steps": 1}
    assert (o.entropy.get_params(), o.consistency.weight) == (OFF, 0)
    assert o.divergence.kind == "adversarial"


def test_where_the_share_of_held_back_rows_went():
    """It is a field of the part ``select``; its old name is still taken."""
    with pytest.warns(FutureWarning, match="validation_fraction of DANN is now called select__val"):
        model = DANN(validation_fraction=0.3)
    found = model.select.get_params()
    assert found == {"score": None, "validation_fraction": 0.3, "guard": False}
    with pytest.warns(FutureWarning, match="select__validation_fraction"):
        model = DANN(select="snd", validation_fraction=0.2)
    assert model.select.get_params() == {"score": "snd", "validation_fraction": 0.2, "guard": False}
    given = Selection("entropy")
    with pytest.warns(FutureWarning):
        model = DANN(select=given, validation_fraction=0.2)
    assert (given.validation_fraction, model.select.validation_fraction) == (0.1, 0.2)
    with pytest.warns(FutureWarning, match="select__validation_fraction"):
        model = DANN(select="infomax").set_params(validation_fraction=0.4, lam=0.5)
    assert model.select.get_params() == {
        "score": "infomax",
        "validation_fraction": 0.4,
        "guard": False,
    }
    assert (model.lam, DANN().select) == (0.5, None)
    assert clone(model).select.validation_fraction == 0.4
    for refused in ("select__validation_fraction", "heads__label"):  # nested: for set_params alone
        with pytest.raises(TypeError, match=f"DANN has no parameter '{refused}'"):
            DANN(**{refused: 0.3})
    with pytest.raises(ValueError, match=r"^select__validation_fraction must be .*at most 0\.9"):
        DANN().set_params(select__validation_fraction=1)._resolved()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"updates": "both"}, r"^updates must be one of \['joint', 'alternating'\], not 'both'"),
        ({"updates": Updates("both")}, "^updates__order must be one of"),
        ({"updates": Updates(d_steps=0)}, "^updates__d_steps must be an integer of at least 1"),
        ({"entropy": -1}, "^entropy must be a number of at least 0, not -1"),
        ({"entropy": Entropy(smoothness=-1)}, "^entropy__smoothness must be a number"),
        ({"entropy": Entropy(confusion=-1)}, "^entropy__confusion must be a number"),
        ({"entropy": Entropy(prior="same")}, "^entropy__prior must be None, 'estimate' or a share"),
        ({"entropy": Entropy(prior=0.5)}, "^entropy__prior must be None, 'estimate' or a share"),
        ({"entropy": Entropy(prior=[0.5, -1])}, "^entropy__prior must have a share of at least 0"),
        ({"entropy": Entropy(prior=[0, 0])}, "^entropy__prior must have a share of at least 0"),
        ({"divergence": "jmmd"}, r"^divergence must be one of \['adversarial', 'coral', 'mmd', "),
        ({"divergence": Divergence("jmmd")}, "^divergence__kind must be one of"),
        ({"divergence": Divergence(penalty=-1)}, "^divergence__penalty must be a number"),
        ({"divergence": Divergence(bandwidths=())}, "^divergence__bandwidths must be a tuple of"),
        ({"divergence": Divergence(bandwidths=(0, 1))}, "^divergence__bandwidths must be a tuple"),
        ({"divergence": Divergence(bandwidths=2.0)}, "^divergence__bandwidths must be a tuple of"),
        ({"entropy": Entropy(1.0, prior=["a", "b"])}, "^entropy__prior must be None, 'estimate'"),
        ({"entropy": Entropy(1.0, prior=[1j, 1.0])}, "^entropy__prior must be None, 'estimate'"),
        ({"entropy": Entropy(1.0, prior=[[1], [1, 2]])}, "^entropy__prior must be None, 'estimate"),
        ({"consistency": "all"}, "^consistency must be a number"),
        ({"consistency": Consistency(threshold=2)}, "^consistency__threshold must be .*at most 1"),
        ({"consistency": Consistency(start=-0.1)}, "^consistency__start must be a number"),
    ],
)
def test_values_that_are_refused(options, words):
    with pytest.raises((ValueError, TypeError), match=words):
        check_parameters(Objective(**options))


def test_parameters_of_a_part_are_reached_by_two_underscores():
    model = DANN(updates="alternating", entropy=0.1)
    model.set_params(updates__d_steps=3, entropy__smoothness=0.2, consistency__start=0.4)
    assert model.updates.get_params() == {"order": "alternating", "d_steps": 3}
    assert model.entropy.get_params() == {**OFF, "weight": 0.1, "smoothness": 0.2}
    assert model.consistency.get_params() == {"weight": 0.0, "threshold": 0.95, "start": 0.4}
    assert (DANN().updates, DANN().consistency) == ("joint", 0.0)  # the defaults are as they were
    assert model.get_params()["updates__d_steps"] == 3
    copy = clone(model).set_params(updates__d_steps=5)
    assert model.updates.d_steps == 3
    assert copy.updates.order == "alternating"
    with pytest.raises(ValueError, match=r"Updates has no parameter 'steps'.*its parameters are"):
        model.set_params(updates__steps=2)


def test_no_divergence_is_a_kind():
    assert check_parameters(Objective(divergence=None)).divergence.kind is None
    assert DANN(divergence=None).set_params(divergence__penalty=1.0).divergence.penalty == 1.0


@pytest.mark.parametrize("given", [(1, 3), [0.25, 0.75], np.array([2, 6])])
def test_a_prior_is_of_shares(given):
    found = check_parameters(Objective(entropy=Entropy(0.5, prior=given))).entropy.prior
    np.testing.assert_allclose(found, [0.25, 0.75])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"divergence": "coral", "conditional": True}, "conditional=True is a form of the domain"),
        ({"divergence": None, "conditional": "entropy"}, "conditional='entropy' is a form of"),
        ({"divergence": "mmd", "heads": Heads(domain="mlp")}, "divergence='mmd' does not have"),
        ({"entropy": Entropy(prior="estimate")}, "give entropy__weight above 0"),
    ],
)
def test_what_does_not_go_together(options, words):
    with pytest.raises(ValueError, match=words):
        DANN(**options)._resolved()
