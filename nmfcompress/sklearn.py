"""`sklearn.decomposition.NMF` on the core of this package ([sklearn]): same names where the meaning is the same."""

from __future__ import annotations

import inspect
import logging
import warnings
from typing import Any

import numpy as np

from .errors import ExtraMissing
from .factor import start
from .factor.blocks import LARGEST, ArrayBlocks
from .factor.nmf import factorize_as, transform_as
from .factor.solvers import FLOOR
from .factor.sweeps import SweepRecord
from .ranges import check, count, within
from .settings import Fit

try:
    from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.utils import check_array, check_random_state
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ExtraMissing("nmfcompress.sklearn", "sklearn") from error

SOLVERS = {"cd": "hals", "hals": "hals", "mu": "mu"}
LOSSES = {"frobenius": "frobenius", "kullback-leibler": "kl", "itakura-saito": "is", 2: "frobenius", 1: "kl", 0: "is"}
INITS = (None, "random", "nndsvd", "nndsvda", "nndsvdar", "custom")
SMALL = 0.01  # of the mean: what nndsvdar fills zeros with, at most
LARGEST_TOL = 1 - 1e-9  # any above ends the sweeps at the first look, too
COSTLY = 1e15
WITHIN = ("nmfcompress", "sklearn")  # packages whose frames are no caller's
log = logging.getLogger(__name__)


class NMF(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Non-negative matrix factorization X ~ W @ H, W and H >= 0, as an estimator of scikit-learn.

    Minimizes the divergence, ||X - W H||_F^2 / 2 for frobenius, plus the penalties

        n_features (alpha_W l1_ratio |W|_1 + alpha_W (1 - l1_ratio) / 2 ||W||_F^2)
        + n_samples (alpha_H l1_ratio |H|_1 + alpha_H (1 - l1_ratio) / 2 ||H||_F^2).

    Parameters
    ----------
    n_components : int, None or "auto"
        Number of parts. "auto" is that of `H` where init is "custom", and else, as None, the number of features.
    init : {None, "random", "nndsvd", "nndsvda", "nndsvdar", "custom"}
        None is "nndsvda" where n_components is not above min(n_samples, n_features), else "random"; "custom" takes W
        and H of `fit`.
    solver : {"cd", "mu", "hals"}
        Coordinate descent with extrapolation (HALS, by either name), or accelerated multiplicative updates.
    beta_loss : {"frobenius", "kullback-leibler", "itakura-saito"}, or 2, 1, 0
        Under "cd" frobenius only. No other values. Itakura-Saito takes no zeros.
    tol : float
        Stop when the objective fell by less than this fraction over 10 sweeps: 1e-3 is hasty, 1e-4 typical, 0 never.
    max_iter : int
        Most sweeps.
    random_state : int, RandomState or None
    alpha_W, alpha_H : float, float or "same"
        Weights of the penalties. For values in 0..1 1e-3 is felt.
    l1_ratio : float
        0 is all squares (L2), 1 all sums (L1).
    verbose : int
        Not 0: each sweep is told to the logger "nmfcompress.sklearn", at INFO.
    shuffle : False
        There for the sake of those who pass it; True is refused, for parts take their turns in their order.
    warm_start : bool
        Begin with the components of the last fit, where they fit X.

    Attributes
    ----------
    components_ : array, shape (n_components_, n_features_in_)
        H, float32 for float32 X, else float64.
    n_components_, n_features_in_, n_iter_ : int
        Parts, features and sweeps.
    feature_names_in_ : array of str
        Of an X with names.
    reconstruction_err_ : float
        ||X - W H||_F, or the root of twice the divergence.
    loss_curve_ : array, shape (n_iter_,)
        ||X - W H||_F, or the divergence, after each sweep; without penalties.

    Examples
    --------
    >>> import numpy as np
    >>> from nmfcompress.sklearn import NMF
    >>> X = np.random.default_rng(0).random((20, 12))
    >>> W = NMF(3, random_state=0).fit_transform(X)
    >>> W.shape
    (20, 3)
    """

    def __init__(
        self,
        n_components: Any = "auto",
        *,
        init: Any = None,
        solver: Any = "cd",
        beta_loss: Any = "frobenius",
        tol: Any = 1e-4,
        max_iter: Any = 200,
        random_state: Any = None,
        alpha_W: Any = 0.0,
        alpha_H: Any = "same",
        l1_ratio: Any = 0.0,
        verbose: Any = 0,
        shuffle: Any = False,
        warm_start: Any = False,
    ):
        self.n_components = n_components
        self.init = init
        self.solver = solver
        self.beta_loss = beta_loss
        self.tol = tol
        self.max_iter = max_iter
        self.random_state = random_state
        self.alpha_W = alpha_W
        self.alpha_H = alpha_H
        self.l1_ratio = l1_ratio
        self.verbose = verbose
        self.shuffle = shuffle
        self.warm_start = warm_start

    def fit(self, X: Any, y: Any = None, W: Any = None, H: Any = None) -> NMF:
        """Learn the parts of X (n_samples, n_features), >= 0; W and H: see `fit_transform`."""
        self.fit_transform(X, W=W, H=H)
        return self

    def fit_transform(self, X: Any, y: Any = None, W: Any = None, H: Any = None) -> np.ndarray:
        """Learn the parts of X and return its codes.

        Parameters
        ----------
        X : array, shape (n_samples, n_features), >= 0, not sparse
        y : ignored
        W, H : array, shapes (n_samples, n_components) and (n_components, n_features), of X's dtype
            To begin with, under init "custom".

        Returns
        -------
        array, shape (n_samples, n_components)

        Raises
        ------
        ValueError, TypeError
            A parameter is out of its range, X is sparse, negative, NaN or infinite, or W and H do not fit.
        """
        self._check()
        X = self._checked(X, reset=True)
        rank = self._rank(X, H)
        W, H = self._start(X, rank, W, H)
        fit = self._fit(rank)
        found = factorize_as(X, fit, on_sweep=self._tell if self.verbose else None, W=W, H=H)
        least = 2 * FLOOR * float(np.sqrt(X.mean(dtype=np.float64) / rank))
        self.components_, self.n_components_ = _with_zeros(found.H, least), rank
        self.n_iter_ = len(found.records)
        self.loss_curve_ = np.array([record.loss for record in found.records])
        self.reconstruction_err_ = found.loss if fit.divergence == "frobenius" else float(np.sqrt(2 * found.loss))
        if not found.converged and self.tol > 0:
            what = f"Maximum number of iterations {self.max_iter} reached. Increase it to improve convergence."
            _warn(what, ConvergenceWarning)
        return _with_zeros(found.W, least)

    def transform(self, X: Any) -> np.ndarray:
        """The codes of X (n_samples, n_features) under the parts as they are, solved to tolerance."""
        check_is_fitted(self)
        self._check()
        X = self._checked(X, reset=False)
        return np.asarray(transform_as(X, self.components_, self._fit(len(self.components_))).W)

    def inverse_transform(self, X: Any) -> np.ndarray:
        """W @ H for codes X (n_samples, n_components)."""
        check_is_fitted(self)
        found: np.ndarray = X @ self.components_
        return found

    @property
    def _n_features_out(self) -> int:
        return len(self.components_)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _check(self) -> None:
        """Every parameter but those that only X can judge; ValueError."""
        components, loss = self.n_components, self.beta_loss
        check(components in (None, "auto") or count(components), "n_components", components, "a number from 1, or auto")
        check(
            self.init is None or (isinstance(self.init, str) and self.init in INITS),
            "init",
            self.init,
            f"one of {', '.join(map(str, INITS))}",
        )
        check(
            isinstance(self.solver, str) and self.solver in SOLVERS,
            "solver",
            self.solver,
            f"one of {', '.join(SOLVERS)}",
        )
        known = isinstance(loss, str | int | float) and loss in LOSSES
        check(known, "beta_loss", loss, "frobenius or 2, kullback-leibler or 1, itakura-saito or 0")
        if SOLVERS[self.solver] != "mu" and LOSSES[loss] != "frobenius":
            raise ValueError(
                f"Invalid beta_loss parameter: solver {self.solver!r} does not handle beta_loss = {loss!r} "
                "(expected solver mu)"
            )
        check(within(self.tol, 0, float("inf")), "tol", self.tol, "a number from 0, typically 1e-4")
        check(count(self.max_iter), "max_iter", self.max_iter, "a whole number from 1")
        check(within(self.alpha_W, 0, COSTLY), "alpha_W", self.alpha_W, "a number from 0")
        same = isinstance(self.alpha_H, str) and self.alpha_H == "same"
        check(same or within(self.alpha_H, 0, COSTLY), "alpha_H", self.alpha_H, "a number from 0, or same")
        check(within(self.l1_ratio, 0, 1), "l1_ratio", self.l1_ratio, "0 to 1")
        check(not self.shuffle, "shuffle", self.shuffle, "False: parts take their turns in their order")

    def _checked(self, X: Any, reset: bool) -> np.ndarray:
        if hasattr(X, "toarray"):
            raise TypeError(
                f"X is {type(X).__name__}, which is sparse (expected X.toarray(): zeros are values like others)"
            )
        kinds = [np.float64, np.float32]
        found: np.ndarray = validate_data(self, X, reset=reset, dtype=kinds, ensure_non_negative=True)
        most = float(found.max())
        check(most <= LARGEST, "X", f"up to {most:g}", f"at most {LARGEST:g}: scale it")
        if LOSSES[self.beta_loss] == "is" and found.min() == 0:
            raise ValueError(
                "When beta_loss <= 0 and X contains zeros, the solver may diverge. Add a small value to X, or choose "
                "another beta_loss."
            )
        return found

    def _rank(self, X: np.ndarray, H: Any) -> int:
        if self.n_components == "auto" and self.init == "custom" and np.ndim(H) == 2:
            return len(H)
        return X.shape[1] if self.n_components in (None, "auto") else int(self.n_components)

    def _start(self, X: np.ndarray, rank: int, W: Any, H: Any) -> tuple[np.ndarray | None, np.ndarray]:
        """W and H to begin with; no W: codes of H."""
        (m, n), init = X.shape, self.init
        if init == "custom":
            return _given(W, (m, rank), "W", X.dtype), _given(H, (rank, n), "H", X.dtype)
        if W is not None or H is not None:
            what = "When init!='custom', provided W or H are ignored (init='custom' begins with them)."
            _warn(what, RuntimeWarning)
        before = getattr(self, "components_", None) if self.warm_start else None
        if before is not None and before.shape == (rank, n):
            return None, before
        if init is None:
            init = "nndsvda" if rank <= min(m, n) else "random"
        rng = np.random.default_rng(check_random_state(self.random_state).randint(2**31))
        V, mean = ArrayBlocks(X), float(X.mean(dtype=np.float64))
        if init == "random":
            return start.random_start(V, rank, mean, rng)
        if rank > min(m, n):
            raise ValueError(
                f"init = '{init}' can only be used when n_components <= min(n_samples, n_features), "
                f"here {rank} and min({m}, {n})"
            )
        if init == "nndsvd" and self.solver == "mu":
            what = "init 'nndsvd' leaves zeros, which solver 'mu' hardly moves (expected 'nndsvda' or 'nndsvdar')"
            _warn(what, UserWarning)
        made = start.nndsvd(V, rank, rng, map)
        for factor in made:
            zeros = factor == 0
            if init == "nndsvda":
                factor[zeros] = mean
            elif init == "nndsvdar":
                factor[zeros] = SMALL * mean * rng.random(np.count_nonzero(zeros))
        return made

    def _fit(self, rank: int) -> Fit:
        alpha_H = self.alpha_W if isinstance(self.alpha_H, str) else self.alpha_H
        l1, l2 = ((float(self.alpha_W) * part, float(alpha_H) * part) for part in (self.l1_ratio, 1 - self.l1_ratio))
        solver, divergence = SOLVERS[self.solver], LOSSES[self.beta_loss]
        tol = min(self.tol, LARGEST_TOL)
        return Fit(rank, int(self.max_iter), tol, solver, divergence=divergence, init="random", l1=l1, l2=l2)

    def _tell(self, record: SweepRecord) -> None:
        log.info("sweep %d, loss %.6g", record.sweep, record.loss)


def _warn(what: str, category: type[Warning]) -> None:
    """Warn where the estimator was called from: scikit-learn calls it through wrappers, pipelines and searches."""
    level, frame = 1, inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__", "").split(".")[0] in WITHIN:
        level, frame = level + 1, frame.f_back
    warnings.warn(what, category, stacklevel=level)


def _with_zeros(factor: np.ndarray, least: float) -> np.ndarray:
    """A factor with zeros where the solver has its floor, from which entries could grow again."""
    return np.where(factor > least, factor, factor.dtype.type(0))


def _given(factor: Any, shape: tuple[int, int], name: str, dtype: np.dtype) -> np.ndarray:
    """A factor to begin with, if it may be one."""
    if factor is None:
        raise ValueError(f"{name} is missing (expected W and H, for init is custom)")
    whom = f"NMF (input {name})"
    found: np.ndarray = check_array(factor, dtype=None, ensure_non_negative=True, input_name=whom)
    for place, word in enumerate(("first", "second")):
        if found.shape[place] != shape[place]:
            raise ValueError(
                f"Array with wrong {word} dimension passed to {whom}. Expected {shape[place]}, "
                f"but got {found.shape[place]}."
            )
    if not found.any():
        raise ValueError(f"Array passed to {whom} is full of zeros.")
    if found.dtype != dtype:
        raise TypeError(f"H and W should have the same dtype as X, {dtype}. Got {found.dtype} for {name}.")
    return found
