"""A GPU that is not there: a fit runs on it, and what a GPU would refuse or wait for is noted.

A tensor on it holds one on the CPU, with real numbers, and says that it is on "cuda". Where a CPU
tensor meets it, there is an error, as there would be; where the host needs a number of it, or an
array is copied so that the host stands still, that is an event. Python asks for "cuda"; C++ knows
the device as "privateuse1", so that autograd runs without a driver.

Not seen: kernels and their rounding, cuDNN's GRU and fused attention (written out here), memory,
streams, the capture of a graph, speed. No process can get rid of the device again: use it in one of
its own, see `main` in ``test_accelerator.py``.
"""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils import backend_registration as registration
from torch.utils._python_dispatch import TorchDispatchMode

from repkit.engine.calls import leaves

NAME = "imagined"  # what C++ calls it
KIND = "cuda"  # what Python calls it
# Operations whose result depends on values: the host has to have them.
LOOKS = {
    "_local_scalar_dense",
    "_unique2",
    "equal",
    "is_nonzero",
    "masked_select",
    "nonzero",
    "repeat_interleave",
    "unique_consecutive",
    "unique_dim",
}
PINNED = set()  # storages of page-locked memory


class There(Tensor):
    """A tensor on the device; ``held`` has its numbers."""

    held: Tensor

    @staticmethod
    def __new__(cls, held):
        self = Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=torch.device(NAME, 0),
        )
        self.held = held
        return self

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return Device.now.run(func, args, kwargs or {})

    @property
    def device(self):
        return torch.device(KIND, 0)

    @property
    def is_cuda(self):
        return True

    @property
    def data(self):
        return self.detach()

    @data.setter
    def data(self, value):
        Tensor.data.__set__(self, value)
        self.held = value.held

    def data_ptr(self):
        return self.held.data_ptr()

    def untyped_storage(self):
        return self.held.untyped_storage()

    def __deepcopy__(self, memo):
        if id(self) not in memo:
            copy = self.detach().clone(memory_format=torch.preserve_format)
            if isinstance(self, nn.Parameter):
                memo[id(self)] = nn.Parameter(copy, self.requires_grad)
            else:
                memo[id(self)] = copy.requires_grad_(self.requires_grad)
        return memo[id(self)]

    def __reduce_ex__(self, protocol):
        raise AssertionError("a tensor of the device is pickled, not a copy on the CPU")

    def __repr__(self, *, tensor_contents=None):
        return f"There({self.held})"


def is_there(device):
    return device is not None and torch.device(device).type in (NAME, KIND)


class Device(TorchDispatchMode):
    """Does the work of the device on the CPU.

    Attributes
    ----------
    events : Counter
        By ``(phase, what, operation, place)``: "mix", "wait", "copy" (the host waits for it) and
        "sent" (pinned, and not waited for).
    operations, steps : Counter
        Of the device, by name: all, and those in a phase.
    phase : str
        Where the program is; "" is outside of all.
    """

    now: Device

    def __init__(self):
        super().__init__()
        self.phase, self.events, self.operations = "", Counter(), Counter()
        self.steps, self.recorder = Counter(), None

    def note(self, what, func):
        frame, place = sys._getframe(2), "outside repkit"
        while frame is not None:
            path = Path(frame.f_code.co_filename)
            if "repkit" in path.parts and "tests" not in path.parts:
                place = f"{path.parent.name}/{path.name}:{frame.f_lineno}"
                break
            frame = frame.f_back
        self.events[self.phase, what, str(func), place] += 1

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return self.run(func, args, kwargs or {})

    def run(self, func, args, kwargs):
        tensors = tensors_of((*args, *kwargs.values()))
        there = [x for x in tensors if isinstance(x, There)]
        here = [x for x in tensors if not isinstance(x, There)]
        name, target = func.overloadpacket.__name__, kwargs.get("device")
        stays = bool(there) if target is None else is_there(target)
        if not there and not stays:
            return func(*args, **kwargs)
        if target is not None:
            kwargs = {**kwargs, "device": "cpu"}
        self._watch(func, name, args, target, there, here)
        out = func(*mapped(held, args), **mapped(held, kwargs))
        own = {id(x.held): x for x in there}
        if name == "copy_" and not isinstance(args[0], There):
            return args[0]
        self.operations[name] += 1
        if self.phase:
            self.steps[name] += 1
        if not stays:
            return out

        def there_of(x):
            if not isinstance(x, Tensor):
                return x
            return own[id(x)] if id(x) in own else There(x)

        return mapped(there_of, out)

    def _watch(self, func, name, args, target, there, here):
        moved = name == "copy_" and isinstance(args[0], There) != isinstance(args[1], There)
        if moved or (target is not None and tensors_of(args)):
            up = isinstance(args[0], There) if moved else is_there(target)
            source = args[1] if moved else args[0]
            if up and not isinstance(source, There):
                pinned = source.untyped_storage().data_ptr() in PINNED
                self.note("sent" if pinned and self.sending else "copy", func)
            elif not up and isinstance(source, There):
                self.note("copy", func)
        elif there and any(x.ndim for x in here):
            self.note("mix", func)
            raise RuntimeError(f"Expected all tensors to be on the same device, in {func}")
        masks = tensors_of(args[1:2]) if name.startswith(("index", "_index")) else []
        if name in LOOKS or any(x.dtype in (torch.bool, torch.uint8) for x in masks):
            self.note("wait", func)

    sending = False  # within a copy that asks for not waiting

    @contextmanager
    def within(self, phase):
        before, self.phase = self.phase, phase
        try:
            yield
        finally:
            self.phase = before


def held(x):
    return x.held if isinstance(x, There) else x


def tensors_of(x):
    return [leaf for leaf in leaves(x) if isinstance(leaf, Tensor)]


def mapped(function, x):
    """The same nested lists, tuples and dicts, of what a function makes of what is in them.

    As torch's ``tree_map``, which takes a third of the time of a fit here.
    """
    if isinstance(x, dict):
        return {key: mapped(function, part) for key, part in x.items()}
    if isinstance(x, list | tuple) and not isinstance(x, torch.Size):
        return type(x)([mapped(function, part) for part in x])
    return function(x)


class Names(TorchFunctionMode):
    """What a dispatch mode does not see: the device's name, pinned memory, whole GRUs."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is torch.device:
            return func(*args, **kwargs)
        args, kwargs = mapped(renamed, args), mapped(renamed, kwargs)
        first = args[0] if args else None
        if func in (torch.tensor, torch.as_tensor) and is_there(kwargs.get("device")):
            device = kwargs.pop("device")
            made = first if isinstance(first, Tensor) else func(*args, **kwargs)
            return made.to(device, kwargs.get("dtype"))
        if func is Tensor.pin_memory:
            pinned = first.clone(memory_format=torch.preserve_format)
            PINNED.add(pinned.untyped_storage().data_ptr())
            KEPT.append(pinned)
            return pinned
        if func is Tensor.tolist and isinstance(first, There):
            return first.cpu().tolist()
        if func is torch.gru and isinstance(first, There):
            return gru(*args)
        generator = kwargs.get("generator")
        on = isinstance(first, There) or is_there(kwargs.get("device"))
        if generator is not None and on != isinstance(generator, Generator):
            raise RuntimeError(f"Expected a generator of the same device in {func.__name__}")
        if func is Tensor.to and kwargs.get("non_blocking"):
            Device.now.sending = True
            try:
                return func(*args, **kwargs)
            finally:
                Device.now.sending = False
        return func(*args, **kwargs)


KEPT = []  # pinned tensors: an address must not be given out again


def renamed(x):
    if isinstance(x, torch.device) or (isinstance(x, str) and x.split(":")[0] == KIND):
        return torch.device(NAME, 0) if torch.device(x).type == KIND else x
    return x


class Generator(torch._C.Generator):
    """One of the device."""

    @staticmethod
    def __new__(cls, device="cpu"):
        if not is_there(device):
            return REAL_GENERATOR(device)
        return torch._C.Generator.__new__(cls, "cpu")


REAL_GENERATOR = torch.Generator


def gru(x, hx, weights, biases, layers, dropout, train, both, batch_first):
    """One layer onward, as torch writes it."""
    assert biases
    assert batch_first
    assert (layers, bool(dropout), both) == (1, False, False)
    of_x, of_h, bias_x, bias_h = weights
    h, out = hx[0], []
    for step in nn.functional.linear(x, of_x, bias_x).unbind(1):
        reset, update, new = step.chunk(3, 1)
        own = nn.functional.linear(h, of_h, bias_h).chunk(3, 1)
        new = torch.tanh(new + torch.sigmoid(reset + own[0]) * own[2])
        h = new + torch.sigmoid(update + own[1]) * (h - new)
        out.append(h)
    return torch.stack(out, 1), h[None]


# ---------------------------------------------------------------- autocast


def cuda_lists():
    """Which operations CUDA's autocast runs in which precision, from torch's own header."""
    folder = Path(torch.__file__).parent / "include" / "ATen"
    text = (folder / "autocast_mode.h").read_text()
    kinds = {"LOWER_PRECISION_FP": "low", "FP32": "full", "FP32_SET_OPT_DTYPE": "full"}
    found = {}
    for macro, precision in {**kinds, "PROMOTE": "widest"}.items():
        body = re.search(rf"define AT_FORALL_{macro}\(_\)((?:.*\\\n)*.*)", text)
        for name, overload in re.findall(r"_\((\w+)(?:, (\w+))?\)", body[1]):
            found[name, overload or "default"] = precision
    return found


def register_autocast():
    """Give the device CUDA's lists."""
    key = "AutocastPrivateUse1"
    off = torch._C.DispatchKeySet(getattr(torch._C.DispatchKey, key))

    def changed(operation, precision):
        def can(x):
            return isinstance(x, There) and x.is_floating_point() and x.dtype != torch.float64

        def run(*args, **kwargs):
            with torch._C._ExcludeDispatchKeyGuard(off):
                floats = [x for x in tensors_of((*args, *kwargs.values())) if can(x)]
                wide = precision == "full" or any(x.dtype == torch.float32 for x in floats)
                low = precision == "low"
                kind = torch.bfloat16 if low else torch.float32 if wide else None

                def cast(x):
                    return x.to(kind) if can(x) and kind not in (None, x.dtype) else x

                return operation(*mapped(cast, args), **mapped(cast, kwargs))

        return run

    library, rest = torch.library.Library("aten", "IMPL"), torch.library.Library("_", "IMPL")
    for (name, overload), precision in cuda_lists().items():
        packet = getattr(torch.ops.aten, name, None)
        if packet is not None and overload in packet.overloads():
            suffix = "" if overload == "default" else f".{overload}"
            library.impl(name + suffix, changed(getattr(packet, overload), precision), key)
    rest.fallback(torch.library.fallthrough_kernel, key)
    return library, rest


class Backend(registration._DummyBackendModule):
    def get_amp_supported_dtype(self):
        return [torch.bfloat16, torch.float16]


@contextmanager
def accelerator():
    """A machine with one GPU, from now on: gives its `Device`."""
    registration._setup_privateuseone_for_python_backend(NAME, Backend())
    torch._C._ensureCUDADeviceGuardSet()
    libraries = register_autocast()
    Device.now = Device()
    real = torch.autocast
    state = torch.ones(1, dtype=torch.uint8)
    replaced = [
        (torch, "autocast", lambda kind, **k: real(NAME if kind == KIND else kind, **k)),
        (torch, "Generator", Generator),
        (torch.cuda, "_lazy_init", lambda: None),
        (torch.cuda, "is_available", lambda: True),
        (torch.cuda, "device_count", lambda: 1),
        (torch.cuda, "is_initialized", lambda: True),
        (torch.cuda, "get_device_capability", lambda *_: (9, 0)),
        (torch.cuda, "get_rng_state", lambda *_: state),
        (torch.cuda, "set_rng_state", lambda *_: None),
        (torch.cuda, "manual_seed", lambda seed: None),
        (torch.cuda, "device", lambda device: nullcontext()),
        (torch.backends.cudnn, "is_acceptable", lambda x: False),
    ]
    with ExitStack() as stack:
        stack.callback(libraries.clear) if hasattr(libraries, "clear") else None
        for place, name, value in replaced:
            stack.enter_context(patch.object(place, name, value))
        set_overwrite = torch.__future__.set_overwrite_module_params_on_conversion
        set_overwrite(True)
        stack.callback(set_overwrite, False)
        stack.enter_context(patch.dict(os.environ, {}))
        stack.enter_context(torch.autograd.set_multithreading_enabled(False))
        math = nn.attention.SDPBackend.MATH
        stack.enter_context(nn.attention.sdpa_kernel(math))
        stack.enter_context(Device.now)
        stack.enter_context(Names())
        yield Device.now
