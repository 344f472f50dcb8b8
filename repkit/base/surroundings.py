"""Internal. What torch has that belongs to the caller: put aside for a while, then given back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any, TypeVar

import torch

F = TypeVar("F", bound=Callable[..., Any])
# One fit at a time in a process: random generators, the default type and the caches of
# parametrizations are one for all threads.
LOCK = threading.RLock()


@contextmanager
def settled() -> Iterator[None]:
    """Float32 on the CPU by default, gradients on, inference mode, autocast off; then as before."""
    with LOCK, ExitStack() as stack:
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
        if not torch.is_grad_enabled():
            stack.enter_context(torch.enable_grad())
        # Asked of a tensor: `get_default_device` of torch 2.6 does not see `with torch.device`.
        if torch.empty(0).device.type != "cpu":
            stack.enter_context(torch.device("cpu"))
        if torch.get_default_dtype() != torch.float32:
            stack.callback(torch.set_default_dtype, torch.get_default_dtype())
            torch.set_default_dtype(torch.float32)
        for kind in ("cpu", "cuda"):  # `precision` decides
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        yield


def in_settled(method: F) -> F:
    """Run a function in `settled`."""

    @wraps(method)
    def inner(*args: Any, **named: Any) -> Any:
        with settled():
            return method(*args, **named)

    return inner  # type: ignore[return-value]
