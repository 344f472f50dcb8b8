"""What of torch belongs to the caller is put aside, and given back."""

import threading

import pytest
import torch

from repkit.base.surroundings import in_settled, settled


def now():
    return (
        torch.get_default_dtype(),
        torch.get_default_device().type,
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
    )


WITHIN = (torch.float32, "cpu", True, False)


@pytest.fixture
def odd():
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    with torch.inference_mode():
        yield
    torch.set_default_device(None)
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("odd")
def test_the_callers_settings_are_given_back():
    before = now()
    assert before == (torch.float64, "meta", False, True)
    with settled():
        assert now() == WITHIN
        with settled():  # one in the other
            assert now() == WITHIN
        assert torch.ones(1, requires_grad=True).mul(2).requires_grad
    assert now() == before
    with pytest.raises(KeyError), settled():
        raise KeyError
    assert now() == before


def test_gradients_are_on():
    with torch.no_grad(), settled():
        assert torch.is_grad_enabled()


@pytest.mark.usefixtures("odd")
def test_a_method_may_be_run_so():
    @in_settled
    def method(a, *, b):
        """Of its own."""
        return now(), a + b

    assert method(1, b=2) == (WITHIN, 3)
    assert method.__doc__ == "Of its own."


def test_one_at_a_time():
    inside, order = threading.Event(), []

    def second():
        inside.wait()
        with settled():
            order.append("second")

    other = threading.Thread(target=second)
    other.start()
    with settled():
        inside.set()
        other.join(0.2)
        order.append("first")
    other.join()
    assert order == ["first", "second"]
