"""Internal. What `DANN` and `DANNRegressor` share: rows, batches, networks, adapted features."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from repkit import nets
from repkit._arguments import shown
from repkit._caller import outside
from repkit.base.estimator import Estimator, Problem
from repkit.base.exporting import Program
from repkit.base.parameters import (
    MOST_ROWS,
    MOST_UNITS,
    choice,
    filled,
    fitted,
    flag,
    integer,
    network,
    number,
    parameters,
    part,
)
from repkit.dann.algorithm import Alignment, Objective, dann
from repkit.dann.by_domain import ByDomain
from repkit.dann.monitor import (
    Monitor,
    judge_adversary,
    judge_shares,
    scored,
    tell_of_guard,
)
from repkit.dann.networks import build_networks
from repkit.dann.parts import WITH_D, Divergence, Heads, Selection
from repkit.dann.rows import (
    Domains,
    as_domain_ids,
    batch_parts,
    check_domains,
    hold_back,
    signed_ids,
)
from repkit.engine.batches import Batches, rows_of, to_device
from repkit.engine.ranks import here
from repkit.losses import multilinear
from repkit.nets.domain_norm import has_domains, of_one_domain

__all__ = ["NoTargetWarning"]

PRIOR_ROWS = 2048  # target rows from which a prior is estimated, at most


class NoTargetWarning(UserWarning):
    """A domain-adaptation fit was given no target rows."""


@dataclass
class Rows:
    """Validated input."""

    X: Any  # array, memory map or sparse table
    codes: np.ndarray  # place of the class, or 0 for a number; -1 where none may be read
    domains: Domains
    weights: np.ndarray | None
    y: np.ndarray | None = None  # (n, outputs) of a regression


@parameters
class DomainAdaptation(ClassNamePrefixFeaturesOutMixin, ByDomain, Alignment, Estimator):
    """Base of the estimators; `DANN` and `DANNRegressor` say what the parameters are."""

    backbone: nets.Spec = network(default="auto", kw_only=False)
    heads: Any = part(Heads, default=None)
    domain_norm: str = choice("shared", "separate", default="shared")
    target_labels: bool = flag(default=False)
    select: Any = part(Selection, default=None)
    width: int = integer(1, MOST_UNITS, default=128)
    ema: float = number(0.0, 0.999999, default=0.0)
    batch_size: int = integer(1, MOST_ROWS, default=64)

    _fitted: ClassVar = (*Estimator._fitted, "domains_", "n_source_domains_")
    # Of a copy that learns from the source alone, whatever targets there are.
    _source_only: ClassVar[bool] = False

    domains_: np.ndarray = fitted()
    n_source_domains_: int = fitted()

    # ---------------------------------------------------------------- what a subclass has

    def _read_y(self, y: Any, domains: Domains, sample_weight: Any) -> dict[str, Any]:
        """``codes``, ``weights`` and perhaps ``y`` of the `Rows`."""
        raise NotImplementedError

    def _head(self) -> tuple[int, str]:
        """How many outputs C has, and what it has one for each of."""
        raise NotImplementedError

    def _labels(self, data: Rows, rows: np.ndarray) -> np.ndarray:
        """What a scorer is given as y; those of target rows are masked."""
        raise NotImplementedError

    def _shares(self, codes: np.ndarray, weights: np.ndarray | None, streams: Any) -> Any:
        """Shares of the classes in the label loss; None if there are no classes."""
        return None

    def _tell_of_plain_images(self) -> None:
        """Warn if images are adapted to that nothing changes, where there is a remedy to name."""

    # ---------------------------------------------------------------- fit

    def fit(
        self,
        X: Any,
        y: Any,
        sample_domain: Any = None,
        source: Any = None,
        sample_weight: Any = None,
    ) -> Self:
        """Train on labeled source rows and unlabeled target rows.

        Parameters
        ----------
        X : array-like of shape (n, features), (n, height, width) or (n, channels, height, width)
            Floats, or uint8 images, which are scaled to [0, 1]. Arrays, memory maps, tensors, data
            frames.
            Columns of a table are taken as they are: a ``StandardScaler`` may stand before.
        y : array-like of shape (n,)
            Labels of the source rows. What stands at target rows is never read, unless
            ``target_labels``.
        sample_domain : array-like of shape (n,), optional
            The domain of each row: an integer, at least 0 for a source and below 0 for a target, as
            in skada; 1 and -1 are two domains. Names are taken too, together with ``source``. By
            default all rows are one source, and training is plainly supervised.
        source : scalar or list, optional
            The domains that are sources, all others being targets: ``source="north"``.
        sample_weight : array-like of shape (n,), optional
            Weights of the rows in the label loss, at least 0. Their scale does not matter.

        Returns
        -------
        DANN
            Itself, fitted.

        Raises
        ------
        TypeError, ValueError
            If a parameter is out of its range, a network does not fit the data, X has NaN, there is
            no source row, a single class, or fewer than two rows of a domain.

        Warns
        -----
        NoTargetWarning
            If there is no target row.
        ConvergenceWarning
            If a loss is not finite, or the domain classifier is dead or has won.
        ShareWarning
            If the shares of the classes that target rows are given part far from the source's.
        PlainImagesWarning
            If `DANN` adapts to images with neither ``augment`` nor ``strong_augment``.
        """
        return self._fit(X, y, sample_domain, source, sample_weight)

    def _check_together(self) -> None:
        kind, conditional = self.divergence.kind, getattr(self, "conditional", False)
        if conditional and kind != "adversarial":
            raise ValueError(
                f"conditional={conditional!r} is a form of the domain classifier of "
                f"divergence='adversarial'; with divergence={kind!r}, leave it out"
            )
        if self.heads.domain is not None and kind not in WITH_D:
            raise ValueError(
                f"heads__domain is the network D, which divergence={kind!r} does not have; leave "
                f"it out, or give a divergence of {list(WITH_D)}"
            )

    def _read(self, X: Any, y: Any, sample_domain: Any, source: Any, sample_weight: Any) -> Rows:
        X = self._check_X(X, reset=True)
        domains = check_domains(sample_domain, X.shape[0], source)
        read = self._read_y(y, domains, sample_weight)
        self.domains_, self.n_source_domains_ = domains.ids, domains.n_source
        if not self._is_adapting():
            warnings.warn(
                "no target rows (sample_domain < 0): training on the source rows only",
                NoTargetWarning,
                stacklevel=outside(),
            )
        self._tell_of_plain_images()
        return Rows(X, domains=domains, **read)

    def _is_adapting(self) -> bool:
        return len(self.domains_) > self.n_source_domains_ and not self._source_only

    def _kind(self) -> str | None:
        """Of the divergence of the fit, if it had a target."""
        divergence = Divergence.of(self._built.divergence)
        return divergence.kind if self._is_adapting() else None

    def _has_aligned(self) -> bool:
        """Whether a divergence has pulled the features of the domains together."""
        return self._kind() is not None and bool((self.history_["lam"] > 0).any())

    def _rates_without_d(self) -> Any:
        """What ``learning_rate`` says of F and C."""
        if not isinstance(self.learning_rate, Mapping):
            return self.learning_rate
        kept = {k: v for k, v in self.learning_rate.items() if k.partition(".")[0] in "FC"}
        return kept or None

    def _networks(self) -> dict[str, nn.Module]:
        outputs, what = self._head()
        return build_networks(
            self.backbone,
            self.heads.label,
            self.heads.domain,
            shape=self.input_shape_,
            width=self.width,
            outputs=outputs,
            n_domains=len(self.domains_),
            kind=self._kind(),
            conditional=bool(getattr(self, "conditional", False)),
            separate=self.domain_norm == "separate",
            what=what,
        )

    def _problem(
        self, data: Rows, networks: dict[str, nn.Module], device: torch.device, seed: int
    ) -> Problem:
        X, codes, domains = data.X, data.codes, data.domains
        if self.domain_norm == "separate" and not has_domains(networks["F"]):
            warnings.warn(
                "domain_norm='separate' changes nothing: the backbone has no batch norm",
                stacklevel=outside(),
            )
        adapting, scorer = self._is_adapting(), callable(self.select.score)
        held_back = np.empty(0, dtype=np.int64)
        if scorer and adapting:
            held_back = hold_back(codes, domains, self.select.validation_fraction, seed)
        train_codes = codes.copy()
        train_codes[held_back] = -1
        streams, layout, labeled = batch_parts(train_codes, domains, self.batch_size)
        starts = accumulate((count for count, _ in layout), initial=0)
        sides = [s for s, start in zip(streams, starts, strict=False) if start < labeled]
        if not adapting:
            streams, layout = sides, layout[: len(sides)]
        # Of several processes, each has its share of every part.
        layout = [(here().share(count), domain) for count, domain in layout]
        labeled = sum(count for count, _ in layout[: len(sides)])
        self._check_counts(layout, domains)
        y = train_codes if data.y is None else data.y
        stores = {"x": self._stored(X, device), "y": to_device(y, device)}
        if data.weights is not None:
            stores["weight"] = to_device(data.weights, device)
        batches = Batches(
            stores,
            streams,
            seed=seed,
            device=device,
            steps_per_epoch=self.steps_per_epoch,
            constants={"domain": torch.tensor([k for n, k in layout for _ in range(n)])},
        )
        shares = self._shares(train_codes, data.weights, sides)

        def take(rows: np.ndarray) -> Tensor:
            return self._scaler(device)(to_device(self._converted(rows_of(X, rows)), device))

        system = dann(
            networks,
            layout=layout,
            labeled=labeled,
            objective=filled(Objective, vars(self)),
            regression=data.y is not None,
            **(self._prior(shares, domains, take, device, seed) if adapting else {}),
        )
        if not adapting:
            # Without a target there is nothing to score, and the last epoch is the one.
            return Problem(system, batches)
        monitor = Monitor(
            self._look,
            take,
            domains,
            device=device,
            seed=seed,
            shares=shares,
            score=self._scored_on(data, held_back) if scorer else None,
        )
        column: Any = "score" if scorer else self.select.score
        return Problem(system, batches, evaluate=monitor, select=column)

    def _check_counts(self, layout: list[tuple[int, int]], domains: Domains) -> None:
        """Raise a ValueError if a step has a single row of a domain where it needs two."""
        if min(count for count, _ in layout) > 1:
            return
        who = None
        if self.domain_norm == "separate":
            who = "domain_norm='separate' can take no statistics"
        elif self._kind() == "coral":
            who = "divergence='coral' can take no covariance"
        if who is not None:
            raise ValueError(
                f"batch_size={self.batch_size} leaves 1 row of a domain in a step, of which {who}; "
                "give batch_size of at least "
                f"{2 * here().world * max(domains.n_source, len(domains.ids) - domains.n_source)}"
            )

    def _prior(
        self,
        shares: np.ndarray | None,
        domains: Domains,
        take: Callable[[np.ndarray], Tensor],
        device: torch.device,
        seed: int,
    ) -> Mapping[str, Any]:
        """What the system is told of the shares that the information term balances to."""
        return {}

    def _scored_on(self, data: Rows, held_back: np.ndarray) -> Callable[[], float]:
        """What the scorer ``select`` says of the model as it is."""
        domains = data.domains
        rows = np.concatenate([held_back if len(held_back) else domains.source, domains.target])
        labels = self._labels(data, rows)
        X, sample_domain = rows_of(data.X, rows), domains.signed[rows]
        select: Any = self.select.score
        return partial(scored, select, self, X, labels, sample_domain)

    def _judge(self) -> None:
        if getattr(self, "guarded_", False):
            tell_of_guard("selected" if "selected" in self.weights_ else "last")
            return
        if self._kind() is not None:
            judge_adversary(self.history_)
        if "share_distance" in self.history_:
            epoch = getattr(self, "selected_epoch_", len(self.history_))
            aligned = self._has_aligned() and not hasattr(self, "guarded_")
            judge_shares(self.history_, epoch, aligned)

    def _probe(self, X: np.ndarray) -> None:
        self.predict(X, np.repeat(self.domains_[-1:], len(X)))

    # ---------------------------------------------------------------- use

    def predict(self, X: Any, sample_domain: Any = None) -> np.ndarray:
        """Predict the label or the numbers of each row.

        Parameters
        ----------
        X : array-like of shape (n, ...)
            Samples of the shape that ``fit`` saw.
        sample_domain : array-like of shape (n,), optional
            The domain of each row.

        Returns
        -------
        ndarray of shape (n, ...)
            One prediction a row.
        """
        raise NotImplementedError

    def _look(self, x: Tensor, rows: np.ndarray) -> tuple[Tensor, Tensor, Tensor | None]:
        """Features, outputs of C and domain logits, if there are any, of float samples."""
        features = self._features(x, rows)
        outputs = self.networks_["C"](features).float()
        if self._kind() != "adversarial":
            return features, outputs, None
        return features, outputs, self._domain_logits(features, outputs)

    def _features(self, x: Tensor, rows: np.ndarray) -> Tensor:
        """F in evaluation mode; ``rows`` is each row's place in ``domains_``."""
        network = self.networks_["F"]
        if self._built.domain_norm == "shared":
            return network(x)
        out: Tensor | None = None
        for domain in np.unique(rows):
            chosen = torch.as_tensor(np.flatnonzero(rows == domain), device=x.device)
            nets.set_rows(network, [(len(chosen), int(domain))])
            part = network(x[chosen])
            if out is None:
                out = part.new_empty(len(x), part.shape[1])
            out[chosen] = part
        assert out is not None
        return out

    def _functions(self) -> dict[str, tuple[str, Callable[[Tensor], Tensor]]]:
        return {"transform": ("F", lambda x: self.networks_["F"](x))}

    def export(
        self,
        path: str | os.PathLike[str],
        *,
        method: str | None = None,
        format: str | None = None,
        dtype: str | None = None,
        sample_domain: Any = None,
    ) -> None:
        """Write the adapted classifier or features as a program that needs no repkit.

        The program takes a batch ``x`` of samples as a user has them, bytes of images too, of any
        number, and gives what the method gives, in float32. Beside it stand, as JSON under the name
        "repkit", the class, the method, and the names of what comes out. Before it is written, it
        is run on a few samples, and compared with the method itself.

        Parameters
        ----------
        path : path
            The file; one that is there is replaced.
        method : str, optional
            "predict_proba" of a classifier or "predict" of a regressor, which are the defaults, or
            "transform".
        format : {"pt2", "onnx"}, optional
            "pt2" is opened by ``torch.export.load``, "onnx" by any ONNX runtime; it needs the extra
            ``onnx``. By default, what the suffix of the path says.
        dtype : {"uint8", "float32", "float64"}, optional
            Type of the input; by default "uint8" of images of bytes, else "float32".
        sample_domain : scalar, optional
            The domain that all samples of the program are of. It matters with
            ``domain_norm="separate"`` alone. By default, the target.

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
        self._export(path, method, format, dtype, sample_domain=sample_domain)

    def _program(
        self,
        method: str,
        dtype: str,
        wanted: Callable[..., Any],
        *,
        sample_domain: Any = None,
    ) -> Program:
        if np.ndim(sample_domain):
            raise ValueError(
                f"sample_domain must be one of {self.domains_.tolist()}, not {shown(sample_domain)}"
            )
        given = None if sample_domain is None else [sample_domain]
        of_one_domain(self.networks_["F"], int(self._places(given, 1)[0]))

        def of_domain(X: Any) -> Any:
            return wanted(X, None if given is None else given * len(X))

        return super()._program(method, dtype, of_domain)

    def _domain_logits(self, features: Tensor, logits: Tensor) -> Tensor:
        D = self.networks_["D"]
        if getattr(self._built, "conditional", False):
            features = multilinear(features.float(), torch.softmax(logits, 1))
        return D(features).float()

    def _run(self, X: Any, sample_domain: Any, head: Callable[[Tensor], Tensor]) -> np.ndarray:
        X = self._check_X(X, reset=False)
        rows = self._places(sample_domain, X.shape[0])
        with torch.no_grad():
            return self._like(self._apply(lambda x, r: head(self._features(x, r)), X, rows), X)

    def _places(self, sample_domain: Any, n: int) -> np.ndarray:
        """Each row's place in ``domains_``; without ``sample_domain``, the first target's."""
        n_targets = len(self.domains_) - self.n_source_domains_
        default = self.n_source_domains_ if n_targets else 0
        if sample_domain is not None:
            ids = as_domain_ids(sample_domain, n, names=self.domains_.dtype.kind == "U")
        if sample_domain is None or self._built.domain_norm == "shared":
            if self._built.domain_norm == "separate" and n_targets > 1:
                raise ValueError(
                    "domain_norm='separate' with several targets: give sample_domain, so that each "
                    "row is normalized by its own domain's statistics"
                )
            return np.full(n, default)
        known = self.domains_
        stand_ins = signed_ids(known, self.n_source_domains_)
        if ids.dtype.kind == "i" and np.isin(ids, stand_ins).all():
            known = stand_ins  # what a scorer is given
        unknown = sorted(set(ids.tolist()) - set(known.tolist()))
        if unknown:
            raise ValueError(
                f"sample_domain has {unknown}, not seen in fit; known are {self.domains_.tolist()}"
            )
        return np.argmax(ids[:, None] == known[None], axis=1)

    def transform(self, X: Any, sample_domain: Any = None) -> np.ndarray:
        """Compute the adapted features F(x).

        Parameters
        ----------
        X : array-like of shape (n, ...)
            Samples of the shape that ``fit`` saw.
        sample_domain : array-like of shape (n,), optional
            The domain of each row; see `predict_proba`.

        Returns
        -------
        ndarray of shape (n, features)
            Outputs of the backbone, float64 if X is, else float32.
        """
        check_is_fitted(self)
        return self._run(X, sample_domain, lambda f: f)

    def predict_domain(self, X: Any, sample_domain: Any = None) -> np.ndarray:
        """The domain that D takes each row for.

        Parameters
        ----------
        X : array-like of shape (n, ...)
            Samples of the shape that ``fit`` saw.
        sample_domain : array-like of shape (n,), optional
            The domain by whose statistics a row is normalized; see `predict_proba`.

        Returns
        -------
        ndarray of shape (n,)
            Values of ``domains_``.

        Raises
        ------
        ValueError
            If there is no domain classifier: for want of a target in `fit`, or with another
            divergence than "adversarial".
        """
        check_is_fitted(self)
        if self._kind() != "adversarial":
            why = (
                f"divergence={Divergence.of(self._built.divergence).kind!r} has none"
                if self._is_adapting()
                else "fit had no target rows"
            )
            raise ValueError(f"there is no domain classifier: {why}")
        C = self.networks_["C"]
        out = self._run(X, sample_domain, lambda f: self._domain_logits(f, C(f).float()))
        return self.domains_[out.argmax(1)]

    @property
    def _n_features_out(self) -> int:
        return nets.width_out(self.networks_["F"], self.input_shape_, name="backbone")
