"""The same run has the same fingerprint, another one has another."""

import contextlib
import enum
import functools
import logging
import operator
import os
import random
import re
import subprocess
import sys
import threading
import types
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from torch import nn

from repkit import DANN, VAE, Consistency, Optimizer
from repkit.augment import RandomAffine
from repkit.base.fingerprint import fingerprint
from repkit.dann import Heads
from repkit.metrics import SNDScorer

SCALE = 2.0


def of(thing):
    run, reason = fingerprint(thing)
    assert reason is None
    assert len(run) == 32
    int(run, 16)
    return run


def net(seed=0, layer=nn.ReLU):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(3, 2), layer())


def makes(factor, offset=0):
    return lambda x: factor * x + offset


class Scaled:
    def __init__(self, factor):
        self.factor = factor

    def __call__(self, x):
        return self.factor * x

    def method(self, x):
        return self.factor * x


class Slotted:
    __slots__ = ("value",)

    def __init__(self, value):
        self.value = value


def plus(x, y=1):
    return x + y


def global_scale(x):
    return SCALE * x


EQUAL = {
    "numbers": lambda: (1, 2.5, "x", None, True, b"y"),
    "array": lambda: np.arange(5.0),
    "tensor": lambda: torch.arange(5.0, dtype=torch.bfloat16),
    "sparse": lambda: sparse.csr_array(np.eye(3)),
    "module": net,
    "part": lambda: Consistency(0.5, start=0.1),
    "dict": lambda: {"a": [1, 2], "b": {3, 4}},
    "lambda": lambda: makes(2),
    "partial": lambda: functools.partial(plus, y=2),
    "object": lambda: Scaled(2),
    "method": lambda: Scaled(2).method,
    "slots": lambda: Slotted(2),
    "builtin": lambda: len,
    "ufunc": lambda: np.tanh,
    "class": lambda: nn.Linear,
}


@pytest.mark.parametrize("make", EQUAL.values(), ids=EQUAL)
def test_equal_things(make):
    assert of(make()) == of(make())


DIFFERENT = {
    "numbers": (1, 2),
    "types": (1, 1.5),
    "array": (np.arange(5.0), np.arange(1, 6.0)),
    "array types": (np.arange(5), np.arange(5.0)),
    "tensor": (torch.zeros(2), torch.ones(2)),
    "tensor types": (torch.zeros(2), torch.zeros(2, dtype=torch.float64)),
    "weights": (net(0), net(1)),
    "layers": (net(layer=nn.ReLU), net(layer=nn.Tanh)),
    "part": (Consistency(0.5), Consistency(0.5, threshold=0.5)),
    "closures": (makes(2), makes(3)),
    "code": (lambda x: x + 1, lambda x: x + 2),
    "defaults": (lambda x, y=1: x, lambda x, y=2: x),
    "partials": (functools.partial(plus, y=2), functools.partial(plus, y=3)),
    "objects": (Scaled(2), Scaled(3)),
    "methods": (Scaled(2).method, Scaled(3).method),
    "slots": (Slotted(2), Slotted(3)),
    "builtins": (len, sum),
    "classes": (nn.Linear, nn.Bilinear),
    "order": ([1, 2], [2, 1]),
}


@pytest.mark.parametrize(("one", "other"), DIFFERENT.values(), ids=DIFFERENT)
def test_different_things(one, other):
    assert of(one) != of(other)


def test_a_global_that_is_data_counts(monkeypatch):
    before = of(global_scale)
    monkeypatch.setitem(globals(), "SCALE", 3.0)
    assert of(global_scale) != before


def test_the_forward_of_a_module_counts():
    def other(self, x):
        return -x

    changed = net()
    before = of(changed)
    cls = type("Linear", (nn.Linear,), {"forward": other})
    changed[0].__class__ = cls
    assert of(changed) != before


def test_several_things_are_one_run():
    assert fingerprint("A", [1])[0] == fingerprint("A", [1])[0] != fingerprint("A", [2])[0]


PROCESS = """
import dataclasses, enum, functools, re
import numpy as np
import torch
from torch import nn
from repkit import Consistency
from repkit.augment import RandomAffine
from repkit.base.fingerprint import fingerprint
from repkit.metrics import SNDScorer

LIMITS = {"a", "b", "c"}

def helper(x):
    return x in {"one", "two", "three", "four"}

def plus(x, y=1):
    return helper(x) and y in LIMITS and odd(x)

def odd(n):
    return n != 0 and plus(n - 1)

class Kind(enum.Enum):
    ONE = "one"
    TWO = "two"

@dataclasses.dataclass
class Held:
    names: frozenset
    kind: Kind = Kind.ONE
    scale: float = 1.0

    def __call__(self, x):
        return x

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.utils.parametrizations.spectral_norm(nn.Linear(3, 2))
        self.norm = nn.BatchNorm1d(2)
        self.names = {"x", "y", "z"}

    def forward(self, x):
        return plus(self.linear(x))

print(fingerprint({
    "a": np.arange(3), "f": plus, "p": Consistency(0.5), "s": {"x", "y", "z"},
    "o": Held(frozenset("abc")), "n": Net(), "c": Net, "l": functools.partial(plus, y="a"),
    "r": re.compile("a+"), "t": torch.ones(2), "q": SNDScorer(temperature=0.1), "w": RandomAffine(),
}))
"""


def test_another_process_finds_the_same(capsys):
    """Where sets have another order, and objects other addresses."""
    done = subprocess.run(
        [sys.executable, "-c", PROCESS],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "1"},
    )
    with torch.random.fork_rng(devices=[]):
        exec(PROCESS, {"__name__": "__main__"})
    here = capsys.readouterr().out
    assert here == done.stdout
    assert "None" in here


@pytest.mark.parametrize("thing", [object(), [object()], {"a": iter([1])}])
def test_what_cannot_be_compared_is_never_the_same(thing):
    first, reason = fingerprint(thing)
    second, _ = fingerprint(thing)
    assert first != second
    assert reason.startswith("an object of builtins.")
    deep = [1]
    for _ in range(60):
        deep = [deep]
    assert "nested too deeply" in fingerprint(deep)[1]


# -------------------------------------------------------------------- code in code


def module_of(code, name="mine"):
    """The names of a module of a user's own, as if it had been imported."""
    module = types.ModuleType(name)
    exec(compile(code, f"/somewhere/{name}.py", "exec"), vars(module))
    return module


# Code whose one change, {x}, is far from the function that is given.
TEMPLATES = {
    "body": "def f(x): return x + {x}",
    "nested function": "def f(x):\n    def g(y): return y + {x}\n    return g(x)",
    "comprehension": "def f(x): return [y + {x} for y in x]",
    "lambda in it": "f = lambda x: (lambda y: y + {x})(x)",
    "default": "def f(x, y={x}): return x + y",
    "keyword default": "def f(x, *, y={x}): return x + y",
    "array default": "import numpy as np\ndef f(x, y=np.full(3, {x})): return x + y",
    "tensor default": "import torch\ndef f(x, y=torch.full((3,), {x})): return x + y",
    "global": "K = {x}\ndef f(x): return x + K",
    "global in a nested function": "K = {x}\ndef f(x): return (lambda y: y + K)(x)",
    "global array": "import numpy as np\nK = np.full(3, {x})\ndef f(x): return x + K",
    "helper": "def g(x): return x + {x}\ndef f(x): return g(x)",
    "helper's helper": "def h(x): return x + {x}\ndef g(x): return h(x)\ndef f(x): return g(x)",
    "helper that comes back": (
        "def g(x): return f(x - 1) + {x}\ndef f(x): return 0 if x < 0 else g(x)"
    ),
    "recursion": "def f(n): return {x} if n == 0 else n * f(n - 1)",
    "closure": "def make(k): return lambda x: x + k\nf = make({x})",
    "closure over a function": ("def make(g): return lambda x: g(x)\nf = make(lambda x: x + {x})"),
    "closure over a recursive function": (
        "def make(k):\n    def f(n): return k if n == 0 else f(n - 1)\n    return f\nf = make({x})"
    ),
    "wrapped": (
        "import functools\ndef twice(g):\n    @functools.wraps(g)\n    def h(x): return g(g(x))\n"
        "    return h\n@twice\ndef f(x): return x + {x}"
    ),
    "cached": "import functools\n@functools.lru_cache\ndef f(x): return x + {x}",
    "without gradients": "import torch\n@torch.no_grad()\ndef f(x): return x + {x}",
    "attribute of a function": "def f(x): return x + f.k\nf.k = {x}",
    "set constant": "def f(x): return x in {{{x}, 5}}",
    "class": "class f:\n    def __init__(self, *a): self.k = {x}",
    "base class": "class A:\n    def g(self): return {x}\nclass f(A): pass",
    "class attribute": "class f:\n    k = {x}\n    def __call__(self, x): return self.k",
    "method": "class A:\n    def __call__(self, x): return self.g(x)\n"
    "    def g(self, x): return {x}\nf = A()",
    "property": "class A:\n    @property\n    def k(self): return {x}\n"
    "    def __call__(self, x): return self.k\nf = A()",
    "cached property": "import functools\nclass A:\n    @functools.cached_property\n"
    "    def k(self): return {x}\n    def __call__(self, x): return self.k\nf = A()",
    "static method": "class A:\n    @staticmethod\n    def k(): return {x}\n"
    "    def __call__(self, x): return self.k()\nf = A()",
    "class method": "class A:\n    @classmethod\n    def k(cls): return {x}\nf = A.k",
    "helper of a method": "def g(x): return {x}\nclass A:\n"
    "    def __call__(self, x): return g(x)\nf = A()",
    "default of a method": "class A:\n    def __call__(self, x, y={x}): return y\nf = A()",
    "attribute": "class A:\n    def __init__(self): self.k = {x}\n"
    "    def __call__(self, x): return self.k\nf = A()",
    "attribute's attribute": "class B: pass\nclass A:\n"
    "    def __init__(self): self.b = B(); self.b.k = {x}\n"
    "    def __call__(self, x): return self.b.k\nf = A()",
    "one slot": "class A:\n    __slots__ = 'value'\n    def __call__(self, x): return self.value\n"
    "f = A(); f.value = {x}",
    "private slot": "class A:\n    __slots__ = ('__k',)\n"
    "    def __init__(self, k): self.__k = k\n    def __call__(self, x): return self.__k\n"
    "f = A({x})",
    "inherited slot": "class B:\n    __slots__ = ('k',)\nclass A(B):\n    __slots__ = ()\n"
    "    def __call__(self, x): return self.k\nf = A(); f.k = {x}",
    "object that holds itself": "class A:\n    def __call__(self, x): return self.k\n"
    "f = A(); f.me = f; f.k = {x}",
    "callable dict": "class A(dict):\n    def __call__(self, x): return self['k'] + {x}\n"
    "f = A(k=1)",
    "partial": "import functools\ndef g(x, y): return x + y\nf = functools.partial(g, y={x})",
    "partial of a partial": "import functools\ndef g(x, y): return x + y + {x}\n"
    "f = functools.partial(functools.partial(g, 1), 2)",
    "module's helper method": "from torch import nn\nclass A(nn.Module):\n"
    "    def forward(self, x): return self.g(x)\n    def g(self, x): return x + {x}\nf = A()",
    "module's attribute": "from torch import nn\nclass A(nn.Module):\n"
    "    def __init__(self): super().__init__(); self.k = {x}\n"
    "    def forward(self, x): return x * self.k\nf = A()",
    "module's hidden buffer": "import torch\nfrom torch import nn\nclass A(nn.Module):\n"
    "    def __init__(self):\n        super().__init__()\n"
    "        self.register_buffer('k', torch.full((2,), {x}), persistent=False)\n"
    "    def forward(self, x): return x * self.k\nf = nn.Sequential(A())",
    "function in a module": "from torch import nn\nclass A(nn.Module):\n"
    "    def __init__(self): super().__init__(); self.g = lambda x: x + {x}\n"
    "    def forward(self, x): return self.g(x)\nf = A()",
    "hook": "from torch import nn\nf = nn.Linear(2, 2, bias=False); nn.init.ones_(f.weight)\n"
    "f.register_forward_hook(lambda m, i, o: o + {x})",
    "frozen": "from torch import nn\nf = nn.Linear(2, 2, bias=False); nn.init.ones_(f.weight)\n"
    "f.requires_grad_({x} > 1.5)",
    "evaluation mode": "from torch import nn\nf = nn.Dropout().train({x} > 1.5)",
    "rate of dropout": "from torch import nn\nf = nn.Dropout({x} / 4)",
    "enum": "import enum\nclass E(enum.Enum):\n    A = {x}\ndef f(x): return E.A.value",
    "data class": "import dataclasses\n@dataclasses.dataclass\nclass A:\n    k: float = {x}\n"
    "    def __call__(self, x): return self.k\nf = A()",
    "numpy generator": "import numpy as np\nf = np.random.default_rng(int({x})).normal",
    "data frame": "import pandas as pd\nt = pd.DataFrame({{'a': [{x}]}})\ndef f(x): return t",
}


@pytest.mark.parametrize("code", TEMPLATES.values(), ids=TEMPLATES)
def test_what_a_function_does_tells_runs_apart(code):
    """However far from it the change is; and the same code is the same run."""
    one, same, other = (module_of(code.format(x=x)).f for x in (1.0, 1.0, 2.0))
    assert of(one) == of(same)
    assert of(one) != of(other)
    assert of([one, {"k": one}]) == of([same, {"k": same}])


def test_code_of_a_users_module(monkeypatch):
    """Read as ``mine.helper``; what is not read does not count."""
    found = []
    for k, unused in ((1, 1), (1, 2), (2, 1)):
        code = f"UNUSED = {unused}\nclass Inner: pass\nScale = {k}\ndef helper(x): return x + {k}"
        monkeypatch.setitem(sys.modules, "mine", module_of(code))
        user = module_of("import mine\ndef f(x): return mine.helper(x)", "user")
        found.append(of(user.f))
    assert found[0] == found[1] != found[2]


def test_a_name_that_is_no_global_of_the_function_does_not_count():
    one = module_of("data = 1\ndef f(x): return x.data", "user").f
    other = module_of("data = 2\ndef f(x): return x.data", "user").f
    assert of(one) == of(other)


LIBRARY = {
    "torch function": nn.functional.dropout,
    "torch builtin": torch.relu,
    "method descriptor": torch.Tensor.relu,
    "numpy function": np.clip,
    "optimizer class": torch.optim.RAdam,
    "item": operator.itemgetter(1),
    "pattern": re.compile("a"),
    "path": Path("a"),
    "dtype": np.dtype("f4"),
    "torch dtype": torch.float32,
    "device": torch.device("cpu"),
    "seeded": random.Random(1),
    "enum": enum.Enum("E", "A B").A,
    "logger": logging.getLogger("mine"),
    "range": range(3),
    "type": float,
    "attention": nn.MultiheadAttention(4, 2).requires_grad_(False),
    "scorer": SNDScorer(),
    "augmentation": RandomAffine(),
    "estimator": VAE(3),
    "objects": np.array([1, "a", None], dtype=object),
    "frame": pd.DataFrame({"a": [1, 2]}),
    "stack": contextlib.nullcontext(3),
}


@pytest.mark.parametrize("thing", LIBRARY.values(), ids=LIBRARY)
def test_things_of_libraries_can_be_compared(thing):
    assert of(thing) == of(thing)


OTHERS = {
    "items": (operator.itemgetter(1), operator.itemgetter(2)),
    "patterns": (re.compile("a"), re.compile("b")),
    "random": (random.Random(1), random.Random(2)),
    "paths": (Path("a"), Path("b")),
    "scorers": (SNDScorer(), SNDScorer(temperature=0.1)),
    "scorer's class": (SNDScorer, RandomAffine),
    "augmentations": (RandomAffine(), RandomAffine(degrees=1.0)),
    "estimators": (VAE(3), VAE(4)),
    "optimizers": (Optimizer(torch.optim.RAdam), Optimizer(torch.optim.NAdam)),
    "heads": (Heads(nn.Linear), Heads(nn.Bilinear)),
    "objects": (np.array([1, None], dtype=object), np.array([2, None], dtype=object)),
    "sparse": (sparse.csr_array(np.eye(3)), sparse.csr_array(2 * np.eye(3))),
    "frames": (pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [2]})),
    "shapes": (np.zeros((2, 3)), np.zeros((3, 2))),
    "numbers": (1, True),
    "text": ("1", 1),
}


@pytest.mark.parametrize(("one", "other"), OTHERS.values(), ids=OTHERS)
def test_things_of_libraries_that_differ(one, other):
    assert of(one) != of(other)


def test_a_sparse_table_is_its_numbers():
    table = sparse.csr_array(np.eye(3))
    before = of(table)
    table.has_sorted_indices  # noqa: B018 - which scipy remembers
    assert of(table) == of(sparse.csc_array(table)) == before


class Odd:
    """An object that raises when it is looked at."""

    @property
    def __dict__(self):
        raise OSError("gone")


@pytest.mark.parametrize(
    "thing",
    [
        threading.Lock(),
        (k for k in range(3)),
        nn.LazyLinear(2),
        torch.empty(2, device="meta"),
        Odd(),
    ],
    ids=["lock", "generator", "lazy", "meta", "odd"],
)
def test_what_else_cannot_be_compared(thing):
    """Wherever it stands: in an attribute, a closure, a global, a default."""
    user = module_of("K = None\ndef f(x): return K", "user")
    user.K = thing
    for holder in (thing, Scaled(thing), makes(thing), user.f, lambda x, k=thing: k):
        (first, reason), (second, _) = fingerprint(holder), fingerprint(holder)
        assert first != second
        assert reason


# -------------------------------------------------------------------- in a fit

X = np.random.default_rng(0).random((24, 4)).astype(np.float32)
Y, DOMAIN = np.arange(24) % 2, np.where(np.arange(24) < 12, 1, -1)


def epochs_trained(folder, **params):
    """A fit's epochs that were trained in earnest, not taken from the folder."""
    seen = []
    model = DANN("mlp", width=8, max_epochs=2, steps_per_epoch=1, random_state=0, checkpoint=folder)
    model.set_params(callbacks=lambda row: seen.append(row["epoch"]) and None, **params)
    model.fit(X, Y, DOMAIN)
    return len(seen)


def ramp(top):
    return lambda progress: top * progress


class Weight:
    def __init__(self, top):
        self.top = top

    def __call__(self, progress):
        return self.top


def scaled(shape, width):
    return nn.Sequential(nn.Linear(*shape, width), nn.Tanh())


def other_scaled(shape, width):
    return nn.Sequential(nn.Linear(*shape, width), nn.Sigmoid())


class Body(nn.Sequential):
    def __init__(self, shape, width):
        super().__init__(nn.Linear(*shape, width), nn.ReLU())


@pytest.mark.parametrize(
    ("name", "one", "same", "other"),
    [
        ("lam", ramp(1.0), ramp(1.0), ramp(0.5)),
        ("lam", Weight(1.0), Weight(1.0), Weight(0.5)),
        ("lam", functools.partial(operator.mul, 1.0), functools.partial(operator.mul, 1.0),
         functools.partial(operator.mul, 0.5)),
        ("backbone", scaled, scaled, other_scaled),
        ("backbone", Body, Body, type("Body", (Body,), {"forward": lambda self, x: self[0](x)})),
        ("select", SNDScorer(), SNDScorer(), SNDScorer(temperature=0.5)),
        ("optimizer", torch.optim.RAdam, torch.optim.RAdam, torch.optim.NAdam),
        ("augment", nn.Dropout(0.1), nn.Dropout(0.1), nn.Dropout(0.2)),
        ("class_weight", {0: 1.0, 1: 2.0}, {0: 1.0, 1: 2.0}, {0: 1.0, 1: 3.0}),
    ],
)  # fmt: skip
def test_another_parameter_is_another_run(tmp_path, name, one, same, other):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert epochs_trained(tmp_path, **{name: one}) == 2
        assert epochs_trained(tmp_path, **{name: same}) == 0
        assert epochs_trained(tmp_path, **{name: other}) == 2
        assert epochs_trained(tmp_path, **{name: one}) == 0


def test_what_cannot_be_compared_is_never_resumed(tmp_path):
    numbers = (1.0 for _ in range(10**6))
    words = "checkpoint: an object of builtins.generator cannot be compared with what it was"
    for _ in range(2):
        with pytest.warns(UserWarning, match=words):
            assert epochs_trained(tmp_path, lam=lambda progress: next(numbers)) == 2


def test_using_a_function_does_not_change_its_run(tmp_path):
    """A second fit in the same process, with the very objects of the first."""
    params = {"select": SNDScorer(), "backbone": Body, "augment": nn.Dropout(0.1), "lam": Weight(1)}
    assert epochs_trained(tmp_path, **params) == 2
    assert epochs_trained(tmp_path, **params) == 0
