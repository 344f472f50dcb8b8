"""Internal. A trained network with its scaling as one file, for programs without repkit."""

from __future__ import annotations

import copy
import io
import json
import logging
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from repkit._arguments import choice
from repkit._arguments import path as path_of
from repkit._optional import need
from repkit._version import __version__
from repkit.base.model_file import on_cpu
from repkit.base.surroundings import in_settled
from repkit.engine.files import write_whole

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator as Base
else:
    Base = object  # a mixin: it stands beside BaseEstimator, not on it

FORMATS = {".pt2": "pt2", ".onnx": "onnx"}
TYPES = {"uint8": torch.uint8, "float32": torch.float32, "float64": torch.float64}
MOST = 2**31 - 1  # of any size that varies; torch 2.6 has no slice of sizes without a bound
CLOSE = 1e-4  # of what a file gives, at values of about 1, to what the estimator gives
KEY = "repkit"  # of what is told beside the program


@dataclass
class Program:
    """What a file does, and what it is tried with.

    Parameters
    ----------
    module : nn.Module
        From raw input to what the method gives.
    inputs : mapping of str to Tensor
        Input by the name of the module's argument, in order, to trace with; no two sizes that vary
        are alike.
    axes : mapping of str to mapping of int to str
        Sizes that vary, by input and axis, and their names.
    output : str
        Name of what comes out.
    tried : sequence of (mapping, ndarray)
        Inputs of other sizes, and what the estimator itself gives of them.
    told : mapping
        What is written beside the program, as JSON.
    known : (int, int), optional
        The least torch that is known to trace it; older ones may not.
    """

    module: nn.Module
    inputs: Mapping[str, Tensor]
    axes: Mapping[str, Mapping[int, str]]
    output: str
    tried: Iterable[tuple[Mapping[str, Tensor], np.ndarray]]
    told: Mapping[str, Any] = field(default_factory=dict)
    known: tuple[int, int] = (2, 6)


class Scaling(nn.Module):
    """Raw samples to what the networks see: ``(x - low) * factor`` in float32.

    The offset is taken out of float64 in float64. Of other types it is taken out in two float32
    parts, so that a great offset does not drown small differences.
    """

    low: Tensor
    high_part: Tensor
    low_part: Tensor
    factor: Tensor

    def __init__(self, low: Any = 0.0, factor: Any = 1.0) -> None:
        super().__init__()
        whole = torch.as_tensor(np.asarray(low, dtype=np.float64))
        self.plain = bool((whole == 0.0).all()) and bool(np.all(np.asarray(factor) == 1.0))
        self.register_buffer("low", whole)
        self.register_buffer("high_part", whole.float())
        self.register_buffer("low_part", (whole - whole.float()).float())
        self.register_buffer("factor", torch.as_tensor(np.asarray(factor, dtype=np.float64)))

    def forward(self, x: Tensor) -> Tensor:
        if self.plain:
            return x.float()
        if x.dtype == torch.float64:
            return ((x - self.low) * self.factor).float()
        return ((x.float() - self.high_part) - self.low_part) * self.factor.float()


class Applied(nn.Module):
    """A function of scaled samples, and the networks that it calls."""

    def __init__(
        self,
        function: Callable[[Tensor], Tensor],
        networks: Mapping[str, nn.Module],
        scaling: nn.Module,
    ) -> None:
        super().__init__()
        self.function, self.scaling = function, scaling
        self.networks = nn.ModuleDict(networks)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self.scaling(x))


def plain_copy(network: nn.Module) -> nn.Module:
    """A copy on the CPU in evaluation mode, without gradients."""
    own: nn.Module = copy.deepcopy(on_cpu(network))
    return own.eval().requires_grad_(False)


class Exporting(Base):
    """The way out of an estimator: its encoder or classifier as a file that needs no repkit."""

    networks_: dict[str, nn.Module]
    input_shape_: tuple[int, ...]
    pixels_: str
    if TYPE_CHECKING:

        def _rows(self, X: np.ndarray) -> Any: ...

    # ---------------------------------------------------------------- what a subclass has

    def _functions(self) -> dict[str, tuple[str, Callable[[Tensor], Tensor]]]:
        """By method: the networks that it needs, letter by letter, and what it does.

        Functions are of scaled samples. The first method is the default.
        """
        raise NotImplementedError

    def _input_type(self) -> str:
        """Type of the samples that ``fit`` saw."""
        return "uint8" if self.pixels_ == "bytes" else "float32"

    def _scaling(self, dtype: str) -> Scaling:
        """Raw samples of a type to what the networks see."""
        bytes_ = dtype == "uint8" and len(self.input_shape_) > 1 and self.pixels_ != "raw"
        return Scaling(0.0, 1 / 255) if bytes_ else Scaling()

    def _span(self) -> tuple[Any, Any]:
        """Least values of samples, and how far they reach, to try a file with."""
        return 0.0, 255.0 if self.pixels_ == "bytes" else 1.0

    def _program(self, method: str, dtype: str, wanted: Callable[[Any], Any]) -> Program:
        """What `export` writes. ``self`` is a copy, and ``wanted`` the method of another one."""
        letters, function = self._functions()[method]
        networks = {name: self.networks_[name] for name in letters}
        module = Applied(function, networks, self._scaling(dtype)).eval()
        low, span = self._span()
        rng = np.random.default_rng(0)

        def some(n: int) -> np.ndarray:
            x = rng.random((n, *self.input_shape_))
            if dtype == "uint8" and len(self.input_shape_) > 1:
                return (256 * x).astype(np.uint8)
            if self.pixels_ == "bytes":
                return x.astype(dtype)
            return (low + x * span).astype(dtype)

        def tried() -> Iterator[tuple[Mapping[str, Tensor], np.ndarray]]:
            for n in (1, 5):
                x = some(n)
                yield {"x": torch.from_numpy(x)}, wanted(self._rows(x))

        inputs = {"x": torch.from_numpy(some(3))}
        return Program(module, inputs, {"x": {0: "batch"}}, method, tried(), self._told(method))

    def _told(self, method: str) -> dict[str, Any]:
        """Names of the columns of what comes out."""
        if method == "predict_proba":
            return {"classes": self.classes_.tolist()}
        if method == "transform":
            return {"columns": self.get_feature_names_out().tolist()}
        return {}

    # ---------------------------------------------------------------- for users

    def export(
        self,
        path: str | os.PathLike[str],
        *,
        method: str | None = None,
        format: str | None = None,
        dtype: str | None = None,
    ) -> None:
        """Write the encoder or classifier, with its scaling, as a program that needs no repkit.

        The program takes a batch ``x`` of samples as a user has them, bytes of images too, of any
        number, and gives what the method gives, in float32. Beside it stand, as JSON under the name
        "repkit", the class, the method, and the names of what comes out. Before it is written, it
        is run on a few samples, and compared with the method itself.

        Of speech it takes padded frames ``(n, T, D)``, as `repkit.audio.FrontEnd` makes them (how,
        is told beside it) or as ``fit`` was given them, and lengths ``(n,)``; what stands beyond a
        length is not read. Utterances longer than ``max_frames`` are cut as `transform` cuts them.

        Parameters
        ----------
        path : path
            The file; one that is there is replaced.
        method : str, optional
            "transform"; of a classifier "predict_proba", too, and of a regressor "predict", which
            are then the defaults.
        format : {"pt2", "onnx"}, optional
            "pt2" is opened by ``torch.export.load``, "onnx" by any ONNX runtime; it needs the extra
            ``onnx``. By default, what the suffix of the path says.
        dtype : {"uint8", "float32", "float64"}, optional
            Type of the input, by default that of the samples that ``fit`` saw.

        Raises
        ------
        ImportError
            If the format is "onnx" and the extra is not installed.
        NotFittedError
            If it is not fitted.
        ValueError
            If an argument is none of these, or a network cannot be exported: one of your own that
            branches on its input, say.
        """
        self._export(path, method, format, dtype)

    @in_settled
    def _export(
        self,
        path: str | os.PathLike[str],
        method: str | None,
        format: str | None,
        dtype: str | None,
        **how: Any,
    ) -> None:
        check_is_fitted(self, "networks_")
        target = path_of(path, "path")
        if format is None and target.suffix.lower() not in FORMATS:
            raise ValueError(
                f"path must end in {' or '.join(FORMATS)}, or format be given; not {str(path)!r}"
            )
        kind = FORMATS[target.suffix.lower()] if format is None else format
        kind = choice(kind, "format", tuple(FORMATS.values()))
        if not target.parent.is_dir() or target.is_dir():
            raise FileNotFoundError(
                f"path must be a file in a folder that exists, not {str(path)!r}"
            )
        own = self._alone()
        methods = list(own._functions())
        method = methods[0] if method is None else choice(method, "method", methods)
        dtype = own._input_type() if dtype is None else choice(dtype, "dtype", list(TYPES))
        told = {"class": type(self).__name__, "repkit": __version__, "method": method}
        wanted: Callable[[Any], Any] = getattr(self._alone(), method)
        program = own._program(method, dtype, wanted, **how)
        program.told = {**told, **program.told}
        write(target, program, kind)

    def _alone(self) -> Self:
        """A copy whose networks are copies on the CPU, fit for tracing."""
        own = object.__new__(type(self))
        own.__dict__.update(vars(self))
        own.networks_ = {name: plain_copy(n) for name, n in self.networks_.items()}
        return own


# ---------------------------------------------------------------- files


def write(path: Path, program: Program, kind: str) -> None:
    """Trace a program, try it, and write it, whole or not at all.

    Raises
    ------
    ImportError
        If what writes the format is missing.
    ValueError
        If it cannot be traced, or gives something else than the estimator.
    """
    if kind == "onnx":
        for name in ("onnx", "onnxscript"):
            need(name, "onnx")
    who = program.told["class"]
    try:
        with quiet(), torch.no_grad():
            traced = trace(program)
            found = traced.module()
            content = to_pt2(traced, program) if kind == "pt2" else to_onnx(traced, program)
    except Exception as error:  # whatever the exporters raise of a network
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        if tuple(map(int, torch.__version__.split(".")[:2])) < program.known:
            known = ".".join(map(str, program.known))
            reason = f"it takes a newer torch than {torch.__version__}; {known} can ({reason})"
        raise ValueError(f"this {who} cannot be exported as {kind}: {reason}") from error
    run = session(content) if kind == "onnx" else found
    with torch.no_grad():
        for inputs, wanted in program.tried:
            given = np.asarray(run(*inputs.values()))
            far = np.abs(given - wanted).max(initial=0.0) / max(1.0, np.abs(wanted).max(initial=0))
            if given.shape != wanted.shape or not far <= CLOSE:
                raise ValueError(
                    f"this {who} cannot be exported as {kind}: for other samples than those it was "
                    f"traced with, the program is {far:.2g} away from {program.told['method']}"
                )
    write_whole(path, [content])


def trace(program: Program) -> torch.export.ExportedProgram:
    """The program as a graph whose named axes vary."""
    dims: dict[str, Any] = {}
    shapes = {}
    for name, axes in program.axes.items():
        for axis in axes.values():
            dims.setdefault(axis, torch.export.Dim(axis, min=1, max=MOST))
        shapes[name] = {place: dims[axis] for place, axis in axes.items()}
    # With the fast path, transformers branch on the size of the batch.
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        return torch.export.export(
            program.module,
            tuple(program.inputs.values()),
            dynamic_shapes=shapes,
            strict=False,
        )
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def to_pt2(traced: torch.export.ExportedProgram, program: Program) -> bytes:
    """The content of a file of ``torch.export.save``."""
    file = io.BytesIO()
    torch.export.save(traced, file, extra_files={KEY: json.dumps(program.told)})
    return file.getvalue()


def to_onnx(traced: torch.export.ExportedProgram, program: Program) -> bytes:
    """The content of an ONNX file, its varying axes by their names."""
    made = torch.onnx.export(
        traced,
        (),
        input_names=list(program.inputs),
        output_names=[program.output],
        dynamo=True,
        verbose=False,
        optimize=True,
    )
    model = made.model_proto  # type: ignore[union-attr]
    for value in model.graph.input:
        for axis, name in program.axes.get(value.name, {}).items():
            value.type.tensor_type.shape.dim[axis].dim_param = name
    (out,) = model.graph.output
    out.type.tensor_type.shape.dim[0].dim_param = "batch"
    entry = model.metadata_props.add()
    entry.key, entry.value = KEY, json.dumps(program.told)
    content: bytes = model.SerializeToString()
    return content


def session(content: bytes) -> Callable[..., np.ndarray]:
    """An ONNX program as a function: run by onnxruntime where there is one, else by onnx itself."""
    try:
        import onnxruntime

        ready = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    except ImportError:
        onnx, reference = need("onnx", "onnx"), need("onnx.reference", "onnx")
        ready = reference.ReferenceEvaluator(onnx.load_model_from_string(content))
        names = ready.input_names
    else:
        names = [given.name for given in ready.get_inputs()]

    def run(*inputs: Tensor) -> np.ndarray:
        (out,) = ready.run(None, {k: x.numpy() for k, x in zip(names, inputs, strict=True)})
        return np.asarray(out)

    return run


@contextmanager
def quiet() -> Iterator[None]:
    """Without what the exporters tell of themselves."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
