"""A warning points at the call from outside, however deep it is told."""

import warnings

from repkit import _caller as caller

INSIDE = """
import warnings
from repkit._caller import outside

def tell(depth):
    if depth:
        return tell(depth - 1)
    warnings.warn("told", stacklevel=outside())
"""


def test_the_line_outside_is_named():
    module = {"__name__": "repkit.inside"}
    exec(INSIDE, module)
    for depth in (0, 1, 7):
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            module["tell"](depth)
        assert [w.filename for w in told] == [__file__]


def test_whoever_calls_from_outside_is_at_the_first_level():
    assert caller.outside() == 1
