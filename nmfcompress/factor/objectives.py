"""What is minimized. Each objective knows what a block of rows contributes, and what H's update needs.

A sweep updates H from sums that the sweep before added up, then reads V once: each block gets its codes (its rows of W)
updated and adds its share to the sums of the next sweep. The sums carry the loss at no extra read.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import numpy as np

from ..settings import Fit
from . import solvers
from .solvers import FLOOR, SOLVERS, Solver

# Below this (relative_loss)^2 the terms of the loss cancel to rounding noise in floats of that size; the residual
# is then summed directly.
CANCELS = {np.dtype(np.float32): 2e-2, np.dtype(np.float64): 1e-9}
CANCELS_KL = 1e-2  # the same for Kullback-Leibler, relative to the sum of V
STRIP = 2**16  # entries of V that go through a divergence at a time
CODE_STEPS = 200  # most multiplicative steps when codes are solved to tolerance without a shortcut
CODE_TOL = 1e-5
PATIENCE = 4  # times the usual repeats, for codes that begin from nothing


@dataclass
class Sums:
    """What a read of V leaves for the next update of H, added up in float64.

    Parameters
    ----------
    numerator : array, shape (k, n)
        Wt V, or Wt P for the ratios P of a divergence.
    denominator : array, shape (k, k), (k, n) or (k, 1)
        Wt W, or Wt Q.
    loss : float
        The part of the loss (squared for frobenius) that needs V.
    squares : float
        ||V - W H||_F^2, where it was computed; else nan.
    slope, pull : float
        Squares of the projected gradient for W, and of V Ht, which it is compared with; nan where not computed.
    """

    numerator: np.ndarray
    denominator: np.ndarray
    loss: float = 0.0
    squares: float = math.nan
    slope: float = math.nan
    pull: float = math.nan

    @property
    def gradient(self) -> float | None:
        """How far the codes are from the minimizer for their H: the part of SweepRecord.gradient that is W's."""
        return None if math.isnan(self.slope) else _ratio(self.slope, self.pull)

    def __iadd__(self, other: Sums) -> Sums:
        self.numerator += other.numerator
        self.denominator += other.denominator
        self.loss += other.loss
        self.squares += other.squares
        self.slope += other.slope
        self.pull += other.pull
        return self


def total(shares: Iterable[Sums]) -> Sums:
    """The shares added up in their order, which makes the result independent of the number of threads."""
    shares = iter(shares)
    sums = next(shares)
    for share in shares:
        sums += share
    return sums


@dataclass(frozen=True)
class Moments:
    """What the first read of V finds: the mean and the sum of squares of the known entries; `crc` of all, if asked."""

    mean: float
    squares: float
    crc: int | None = None


class Codes(Enum):
    """What a read of V does with the codes."""

    KEEP = "keep"
    UPDATE = "update"
    BEGIN = "begin"  # they come from nothing: more patience
    SOLVE = "solve"  # to tolerance for this H


@dataclass(frozen=True)
class Losses:
    """loss and relative_loss of the factors that sums were taken from; gradient: see SweepRecord."""

    loss: float
    relative_loss: float
    gradient: float | None


@dataclass(frozen=True)
class Basis:
    """H (k, n), the `scale` of V as stored; and, where they help, scale * Ht (n, k) and H Ht."""

    H: np.ndarray
    scale: float
    scaled: np.ndarray
    gram: np.ndarray


class Objective(Protocol):
    """One divergence between V and W H, and its updates. A plain value: workers elsewhere get a copy."""

    @property
    def floor(self) -> float:
        """No entry of a factor falls below it."""

    def prepare(self, H: np.ndarray, scale: float) -> Basis:
        """What all blocks of a read need of H."""

    def block(
        self, V: np.ndarray, known: np.ndarray | None, X: np.ndarray, basis: Basis, how: Codes, direct: bool
    ) -> tuple[np.ndarray, Sums]:
        """The codes X (k, b) of scale * V (b, n) for this basis, a new array, and their share of the sums.

        `direct`: the residual is summed itself.
        """

    def basis(self, H: np.ndarray, sums: Sums, m: int) -> np.ndarray:
        """H updated from the sums."""

    def losses(self, H: np.ndarray, sums: Sums) -> Losses | None:
        """What the sums say of the factors; None: take the sums again, directly."""


@dataclass(frozen=True)
class LeastSquares:
    """||V - W H||_F without a mask: everything follows from the products V Ht, H Ht, Wt V and Wt W.

    The loss is sqrt(||V||^2 - 2 <Wt V, H> + <Wt W, H Ht>); where that cancels (a near-exact fit, CANCELS), the
    residual is summed block by block instead, from the sweep on in which that first happens.

    Parameters
    ----------
    norm2 : float
        ||V||_F^2.
    solver : Solver
    inner : int or None
        Repeats; None is as many as pay.
    floor : float
        No entry of a factor falls below it.
    """

    norm2: float
    solver: Solver
    inner: int | None
    floor: float

    def prepare(self, H: np.ndarray, scale: float) -> Basis:
        return Basis(H, scale, (H * H.dtype.type(scale)).T, H @ H.T)

    def block(
        self, V: np.ndarray, known: np.ndarray | None, X: np.ndarray, basis: Basis, how: Codes, direct: bool
    ) -> tuple[np.ndarray, Sums]:
        A, G = np.ascontiguousarray((V @ basis.scaled).T), basis.gram
        if how is Codes.SOLVE:
            X = solvers.exact(X, A, G)
        elif how is not Codes.KEEP:
            repeats = self.inner or self.solver.repeats(V.shape[1], len(G))
            X = self.solver.rule(X, A, G, repeats * (PATIENCE if how is Codes.BEGIN else 1), self.floor)
        numerator = np.multiply(X @ V, basis.scale, dtype=np.float64)
        squares = _squares(V * V.dtype.type(basis.scale) - X.T @ basis.H) if direct else math.nan
        pull, slope = _squares(A), np.subtract(G @ X, A, out=A)
        X64 = X.astype(np.float64)  # few entries, all of which weigh: float32 shows in the loss of a picture
        return X, Sums(numerator, X64 @ X64.T, 0.0, squares, _projected(X, slope, self.floor), pull)

    def basis(self, H: np.ndarray, sums: Sums, m: int) -> np.ndarray:
        A, G = sums.numerator.astype(H.dtype), sums.denominator.astype(H.dtype)
        return self.solver.rule(H, A, G, self.inner or self.solver.repeats(m, len(H)), self.floor)

    def losses(self, H: np.ndarray, sums: Sums) -> Losses | None:
        squares, H64 = sums.squares, H.astype(np.float64)
        if math.isnan(squares):
            squares = self.norm2 - 2 * np.vdot(sums.numerator, H64) + np.vdot(sums.denominator, H64 @ H64.T)
            if squares < CANCELS[H.dtype] * self.norm2:
                return None
        loss = math.sqrt(max(squares, 0.0))
        slope = _projected(H64, sums.denominator @ H64 - sums.numerator, self.floor)
        gradient = max(_ratio(slope, _squares(sums.numerator)), _ratio(sums.slope, sums.pull))
        return Losses(loss, _ratio(loss**2, self.norm2), gradient)


def _squares(X: np.ndarray) -> float:
    return float(np.vdot(X, X))


def _projected(X: np.ndarray, gradient: np.ndarray, floor: float) -> float:
    """The squares of the projected gradient at X: where X is at its floor, only what would let it grow counts."""
    inside = gradient * (2 * floor < X)
    return _squares(np.minimum(gradient, inside, out=inside))


def _ratio(squares: float, whole: float) -> float:
    return math.sqrt(squares / whole) if whole else 0.0


@dataclass(frozen=True)
class BetaDivergence:
    """The beta-divergence, masked or not: 2 is squared Euclidean, 1 Kullback-Leibler, 0 Itakura-Saito.

    X <- X * ((P Yt) / (Q Yt))^gamma with P = V (X Y)^(beta - 2), Q = (X Y)^(beta - 1), gamma = 1 / (2 - beta) below
    beta 1: the majorization-minimization updates of Fevotte and Idier, "Algorithms for nonnegative matrix
    factorization with the beta-divergence", Neural Computation 23, 2011 (table 1), under which the loss never
    rises. A masked entry counts in neither P, Q nor the loss. One inner step: P and Q change with the factor.

    Parameters
    ----------
    norm2, floor : float
        As for LeastSquares.
    beta : {2, 1, 0}
    zero : float
        What zeros of V count as when beta is 0.
    """

    norm2: float
    floor: float
    beta: int
    zero: float

    @property
    def gamma(self) -> float:
        return 1 / (2 - self.beta) if self.beta < 1 else 1.0

    def prepare(self, H: np.ndarray, scale: float) -> Basis:
        return Basis(H, scale, H, H)

    def block(
        self, V: np.ndarray, known: np.ndarray | None, X: np.ndarray, basis: Basis, how: Codes, direct: bool
    ) -> tuple[np.ndarray, Sums]:
        """Strip by strip: of what is as large as V here, several arrays stay in a core's own cache."""
        step, new, shares = max(1, STRIP // V.shape[1]), np.empty_like(X), []
        for first in range(0, len(V), step):
            rows = slice(first, first + step)
            mask = None if known is None else known[rows]
            seen = self._seen(V[rows], basis.scale, mask)
            new[:, rows], share = self._strip(seen, mask, X[:, rows], basis.H, how)
            shares.append(share)
        return new, total(shares)

    def _strip(
        self, V: np.ndarray, known: np.ndarray | None, X: np.ndarray, H: np.ndarray, how: Codes
    ) -> tuple[np.ndarray, Sums]:
        WH = self._product(X, H)
        for _ in range({Codes.KEEP: 0, Codes.UPDATE: 1, Codes.BEGIN: PATIENCE, Codes.SOLVE: CODE_STEPS}[how]):
            P, Q = self._ratios(V, known, WH)
            new = self._step(X, (P @ H.T).T, H.sum(axis=1)[:, None] if Q is None else (Q @ H.T).T)
            settled = np.linalg.norm(new - X) <= CODE_TOL * np.linalg.norm(new)
            X = new
            WH = self._product(X, H)
            if settled:
                break
        return X, self._sums(V, known, X, WH)

    def basis(self, H: np.ndarray, sums: Sums, m: int) -> np.ndarray:
        return self._step(H, sums.numerator.astype(H.dtype), sums.denominator.astype(H.dtype))

    def losses(self, H: np.ndarray, sums: Sums) -> Losses:
        loss = math.sqrt(sums.loss) if self.beta == 2 else max(sums.loss, 0.0)
        return Losses(loss, _ratio(sums.squares, self.norm2), None)

    def _seen(self, V: np.ndarray, scale: float, known: np.ndarray | None) -> np.ndarray:
        if scale != 1:
            V = V * V.dtype.type(scale)
        if known is not None:
            V = V * known
        return np.where(V == 0, V.dtype.type(self.zero), V) if self.beta == 0 else V

    def _product(self, X: np.ndarray, H: np.ndarray) -> np.ndarray:
        """W H, above zero where it divides: V / WH and, for Itakura-Saito, 1 / WH^2 must not overflow."""
        WH: np.ndarray = X.T @ H
        least = np.finfo(WH.dtype).tiny ** (0.75 if self.beta else 0.4)
        if self.beta != 2 and float(X.min()) * float(H.min()) < least:
            np.maximum(WH, WH.dtype.type(least), out=WH)
        return WH

    def _ratios(self, V: np.ndarray, known: np.ndarray | None, WH: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        if self.beta == 2:
            P, Q = V, WH
        else:
            P, Q = V / WH, None
            if self.beta == 0:
                Q = 1 / WH
                P = P * Q
        if known is not None:
            P, Q = P * known, known.astype(P.dtype) if Q is None else Q * known
        return P, Q

    def _step(self, X: np.ndarray, numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
        factor = numerator / np.maximum(denominator, np.finfo(X.dtype).tiny)
        if self.gamma != 1:
            factor **= self.gamma
        new: np.ndarray = np.maximum(X * factor, X.dtype.type(self.floor))
        return new

    def _sums(self, V: np.ndarray, known: np.ndarray | None, X: np.ndarray, WH: np.ndarray) -> Sums:
        P, Q = self._ratios(V, known, WH)
        residual = V - WH if known is None else (V - WH) * known
        squares = _dot(residual, residual)
        if self.beta == 2:
            loss = squares
        elif self.beta == 0:
            loss = _near(V, known, WH, 0)
        else:
            logs = np.maximum(P, np.finfo(P.dtype).tiny)
            loss = _dot(V, np.log(logs, out=logs)) - _sum(residual)
            if loss < CANCELS_KL * _sum(V):
                loss = _near(V, known, WH, 1)
        denominator = X.sum(axis=1)[:, None] if Q is None else X @ Q
        return Sums((X @ P).astype(np.float64), denominator.astype(np.float64), loss, squares)


def _dot(X: np.ndarray, Y: np.ndarray) -> float:
    """<X, Y>, in float64 but for a row at a time."""
    return float(np.einsum("ij,ij->i", X, Y).sum(dtype=np.float64))


def _sum(X: np.ndarray) -> float:
    """The sum of all entries, as `_dot`."""
    return float((X @ np.ones(X.shape[1], X.dtype)).sum(dtype=np.float64))


def _near(V: np.ndarray, known: np.ndarray | None, WH: np.ndarray, beta: int) -> float:
    """The divergence by terms of which none cancels: their order keeps the digits of near-exact fits."""
    ratio = V / WH
    logs = np.log(np.maximum(ratio, np.finfo(V.dtype).tiny))
    over = ratio - 1  # exact near 1
    terms = WH * (ratio * logs - over) if beta == 1 else over - logs
    return float(terms.sum(dtype=np.float64, where=True if known is None else known))


BETAS = {"frobenius": 2, "kl": 1, "is": 0}


def objective_for(fit: Fit, moments: Moments, zero: float, masked: bool = False) -> Objective:
    """The objective that `fit` asks for, of a V with these moments; `zero`: what zeros count as for Itakura-Saito."""
    floor = FLOOR * math.sqrt(moments.mean / fit.rank) if moments.mean > 0 else FLOOR
    if fit.divergence == "frobenius" and not masked:
        return LeastSquares(moments.squares, SOLVERS[fit.solver], fit.inner, floor)
    return BetaDivergence(moments.squares, floor, BETAS[fit.divergence], zero)
