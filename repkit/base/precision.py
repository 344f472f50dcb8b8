"""Internal. The precision of a training: what "auto" becomes, by one measurement on a machine."""

from __future__ import annotations

import copy
import json
import os
import platform
import re
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import astuple, replace
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

import joblib
import torch
from torch import Tensor, nn

from repkit.engine.batches import BatchSource
from repkit.engine.engine import Engine
from repkit.engine.memory import keeping_memory
from repkit.engine.ranks import here
from repkit.engine.replay import FEW
from repkit.engine.system import System
from repkit.engine.threads import giving_way

QUICKER = 0.9  # bf16 has to take less than this share of the time; another measurement varies
ROUNDS = 40  # of a step in either precision, at most
# Rounds at least, one by one and recorded: the first prepare kernels, or are recorded.
LEAST = {ROUNDS: 3, FEW: 7}  # by the length of a training
ENOUGH = 0.4  # seconds after which no other round begins
LARGE = 0.06  # seconds of a step of which recording saves next to nothing

_decided: dict[str, bool] = {}  # in this process, whatever becomes of the file


def precision_of(
    given: str, system: System, batches: BatchSource, make: Callable[..., Engine]
) -> str:
    """The precision itself; of "auto", bf16 where it is quick and was measured to cost no accuracy:
    convolutions.

    On a GPU its generation decides. On a CPU with instructions for bf16, which are of use to some
    trainings and of none to others, steps of either precision are timed, once for all trainings
    that have the same `name_of`.

    Parameters
    ----------
    given : {"auto", "fp32", "bf16"}
    system : System
        What is to be trained; it stays as it is.
    batches : BatchSource
    make : callable
        ``(system, precision=..., **changes) -> Engine``: one for this training.
    """
    if given != "auto":
        return given
    device, networks = batches.device, system.networks.values()
    kinds = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
    if not any(isinstance(m, kinds) for network in networks for m in network.modules()):
        return "fp32"
    if device.type == "cuda":
        return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "fp32"
    ranks = here()
    if device.type != "cpu" or not ranks.same(_has_instructions()):
        return "fp32"
    training = name_of(system, batches)
    found = ranks.first(partial(_known, training))
    if found is None:
        found = ranks.first(partial(_keep, training, is_quicker(system, make)))
    return "bf16" if found else "fp32"


def name_of(system: System, batches: BatchSource) -> str:
    """A name for all trainings on this machine with the same networks, batches and phases."""
    described: list[Any] = [_processor(), torch.__version__, torch.get_num_threads()]
    for name, network in system.networks.items():
        described += [name, re.sub(r" at 0x[0-9a-f]+", "", repr(network))]
        described += [(*p.shape, p.requires_grad) for p in network.parameters()]
    for name, value in vars(batches.at(0)).items():
        described.append((name, *value.shape) if isinstance(value, Tensor) else name)
    for phase in system.phases:
        described.append((getattr(phase.loss, "__name__", ""), *astuple(phase)[1:]))
    return joblib.hash(described)


def is_quicker(system: System, make: Callable[..., Engine]) -> bool:
    """Whether steps of a training are quicker in bf16; it stays where it is, and so does all else.

    Steps that are recorded gain more in float32. So short ones have to be quicker that way, too.
    What fails counts as slow: if it does so in float32 too, the training will tell.
    """
    # As a training is taken, but for its warnings: it gives them itself.
    with giving_way(), keeping_memory(), warnings.catch_warnings(), suppress(Exception):
        warnings.simplefilter("ignore")
        for length in LEAST:
            low, high = _shortest(system, make, length)
            if low >= QUICKER * high:
                return False
            if high > LARGE:
                break
        return True
    return False


def _shortest(system: System, make: Callable[..., Engine], length: int) -> tuple[float, float]:
    """Seconds of a step in bf16 and in fp32, taken in turn, on copies.

    The shortest of each is what a busy machine disturbs least.
    """
    ranks, times = here(), {"bf16": inf, "fp32": inf}
    engines = {precision: _on_copy(system, make, precision, length) for precision in times}
    start = time.perf_counter()
    for k in range(ROUNDS):
        for precision, engine in engines.items():
            before = time.perf_counter()
            engine.step()
            if k:
                times[precision] = min(times[precision], time.perf_counter() - before)
        if k + 1 >= LEAST[length] and ranks.same(time.perf_counter() - start > ENOUGH):
            break
    return ranks.same((times["bf16"], times["fp32"]))


def _on_copy(system: System, make: Callable[..., Engine], precision: str, length: int) -> Engine:
    """What trains copies of the networks, ready for its first step."""
    own = replace(system, networks=copy.deepcopy(dict(system.networks)))
    engine = make(own, precision=precision, total_steps=length, compile=False)
    engine.train_mode()
    engine.begin_epoch()
    return engine


def _has_instructions() -> bool:
    if not hasattr(torch.cpu, "get_capabilities"):  # torch 2.6
        return bool(torch.cpu._is_avx512_bf16_supported())
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def _processor() -> str:
    """The name of the processor, as far as the system tells it."""
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(x for x in lines if x.startswith("model name")).partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _file(training: str) -> Path:
    """Where what was measured is kept, so that later processes decide the same."""
    folder = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(folder) / "repkit" / "bf16" / f"{training}.json"


def _known(training: str) -> bool | None:
    """What was measured before, if anything."""
    if training not in _decided:
        with suppress(OSError, RuntimeError, ValueError):  # no home, no file, no right to read it
            found = json.loads(_file(training).read_text())
            if isinstance(found, bool):
                _decided[training] = found
    return _decided.get(training)


def _keep(training: str, found: bool) -> bool:
    """Remember what was measured. Another process may have done so first: that counts for all."""
    with suppress(OSError, RuntimeError):
        file = _file(training)
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            with file.open("x") as new:
                new.write(json.dumps(found))
        except FileExistsError:
            if (first := _known(training)) is not None:
                return first
            file.write_text(json.dumps(found))
    _decided[training] = found
    return found
