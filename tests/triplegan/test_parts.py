import pytest

from repkit import TripleGAN
from repkit.base.parameters import check_parameters
from repkit.triplegan.parts import PseudoDiscriminative


def test_the_pseudo_discriminative_loss():
    assert PseudoDiscriminative().get_params() == {"weight": 0.1, "gate": 0.9}
    model = TripleGAN(pseudo_discriminative=0.3).set_params(pseudo_discriminative__gate=0.5)
    found = check_parameters(model.pseudo_discriminative)
    assert (found.weight, found.gate) == (0.3, 0.5)


@pytest.mark.parametrize(("name", "value"), [("weight", -1), ("gate", 1.1), ("gate", None)])
def test_values_that_are_refused(name, value):
    with pytest.raises((ValueError, TypeError), match=f"{name} must be a number of at least 0"):
        check_parameters(PseudoDiscriminative(**{name: value}))
