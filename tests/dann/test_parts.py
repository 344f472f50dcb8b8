"""Parts of DANN, in their long and short forms."""

import pytest
from sklearn.base import clone

from repkit import DANN, Consistency
from repkit.base.parameters import check_parameters
from repkit.dann import Entropy, Objective, Updates


def test_the_value_of_the_first_field_stands_for_the_part():
    o = check_parameters(Objective(updates="alternating", entropy=0.3, consistency=0.5))
    assert o.updates.get_params() == {"order": "alternating", "d_steps": 1}
    assert o.entropy.get_params() == {"weight": 0.3, "smoothness": 0.0}
    assert o.consistency.get_params() == {"weight": 0.5, "threshold": 0.95, "start": 0.0}


def test_by_default_nothing_is_added_to_the_paper():
    o = check_parameters(Objective())
    assert o.updates.get_params() == {"order": "joint", "d_steps": 1}
    assert (o.entropy.weight, o.entropy.smoothness, o.consistency.weight) == (0, 0, 0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"updates": "both"}, r"^updates must be one of \['joint', 'alternating'\], not 'both'"),
        ({"updates": Updates("both")}, "^updates__order must be one of"),
        ({"updates": Updates(d_steps=0)}, "^updates__d_steps must be an integer of at least 1"),
        ({"entropy": -1}, "^entropy must be a number of at least 0, not -1"),
        ({"entropy": Entropy(smoothness=-1)}, "^entropy__smoothness must be a number"),
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
    assert model.entropy.get_params() == {"weight": 0.1, "smoothness": 0.2}
    assert model.consistency.get_params() == {"weight": 0.0, "threshold": 0.95, "start": 0.4}
    assert (DANN().updates, DANN().consistency) == ("joint", 0.0)  # the defaults are as they were
    assert model.get_params()["updates__d_steps"] == 3
    copy = clone(model).set_params(updates__d_steps=5)
    assert model.updates.d_steps == 3
    assert copy.updates.order == "alternating"
    with pytest.raises(ValueError, match=r"Updates has no parameter 'steps'.*its parameters are"):
        model.set_params(updates__steps=2)
