"""Internal. The precision of a training: what "auto" becomes, by one measurement on a machine."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ROUNDS = 4  # of either precision
# bf16 has to take less than this share of the time: what is hardly quicker may be slower elsewhere.
QUICKER = 0.85
WIDTHS = (16, 48)  # of the layers that are timed


def precision_of(given: str, device: torch.device, networks: Mapping[str, nn.Module]) -> str:
    """The precision itself; of "auto", bf16 where it is quick and was measured to cost no accuracy:
    convolutions.
    """
    if given != "auto":
        return given
    convolutions = any(
        isinstance(m, nn.Conv1d | nn.Conv2d | nn.Conv3d)
        for network in networks.values()
        for m in network.modules()
    )
    return "bf16" if convolutions and has_fast_bf16(device) else "fp32"


def has_fast_bf16(device: torch.device) -> bool:
    """Whether convolutions are quicker in bfloat16 than in float32.

    On a GPU by its generation. A CPU without instructions for it is not asked; one that has them is
    timed once, for they are of use on one and of none on another.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu" or not _has_instructions():
        return False
    return _timed(f"{_processor()}, torch {torch.__version__}, threads {torch.get_num_threads()}")


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


def _file() -> Path:
    """Where what was measured is kept, so that later processes decide the same."""
    folder = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(folder) / "repkit" / "bf16.json"


@cache
def _timed(machine: str) -> bool:
    """What was measured on this machine before, or else now."""
    with suppress(OSError, ValueError, RuntimeError):  # no home, or no right to read or write there
        file = _file()
        known = _known(file)
        if machine not in known:
            found = quicker()
            file.parent.mkdir(parents=True, exist_ok=True)
            # Another process may have measured meanwhile: the first one counts for all.
            known = {machine: found, **_known(file)}
            part = file.with_name(f"{file.name}.{os.getpid()}")
            part.write_text(json.dumps(known, indent=1))
            os.replace(part, file)
        return known[machine]
    return quicker()


def _known(file: Path) -> dict[str, bool]:
    try:
        found = json.loads(file.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return {k: v for k, v in found.items() if isinstance(v, bool)} if type(found) is dict else {}


def quicker() -> bool:
    """Whether steps of narrow and of wide convolutions are all quicker in bf16.

    The shortest of a few times of each, taken in turn, is what a busy machine disturbs least.
    """
    for width in WIDTHS:
        x = torch.linspace(-1.0, 1.0, 8 * width * 16 * 16).view(8, width, 16, 16)
        x = x.contiguous(memory_format=torch.channels_last)
        weight = torch.linspace(-0.1, 0.1, 9 * width * width).view(width, width, 3, 3)
        weight.requires_grad_()
        times: dict[bool, list[float]] = {False: [], True: []}
        for k in range(2 * ROUNDS + 2):
            low = bool(k % 2)
            start = time.perf_counter()
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=low):
                loss = _layers(x, weight)
            torch.autograd.grad(loss, weight)
            taken = time.perf_counter() - start
            if k > 1:  # the first of each prepares kernels
                times[low].append(taken)
        if min(times[True]) > QUICKER * min(times[False]):
            return False
    return True


def _layers(x: Tensor, weight: Tensor) -> Tensor:
    for _ in range(3):
        x = F.relu(F.conv2d(x, weight, padding=1))
    return x.float().square().mean()
