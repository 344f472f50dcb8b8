"""Operations by names."""

import torch

from repkit.engine.calls import Call, Name, leaves


def test_leaves_of_nested_lists():
    x = torch.ones(2)
    assert leaves([1, (x, [None, "a"]), []]) == [1, x, None, "a"]
    assert leaves(x) == [x]
    assert leaves(torch.Size([2, 3])) == [torch.Size([2, 3])]  # one value, as torch gives it


def test_what_a_call_uses():
    a, b, c, out = map(Name, ("a", "b", "c", "out"))
    call = Call(None, ([a, 1.0], "no name"), {"weight": b, "more": (c, None)}, [out, None], True)
    assert list(call.used()) == [a, b, c, out]
