"""What is minimized. Each objective knows what a block of rows contributes, and what H's update needs.

A sweep updates H from sums that the sweep before added up, then reads V once: each block gets its rows of W
updated and adds its share to the sums of the next sweep. The sums carry the loss at no extra read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from . import solvers
from .blocks import Blocks

# Below this (relative_loss)^2 the terms of the loss cancel to rounding noise in floats of that size; the residual
# is then summed directly.
CANCELS = {np.dtype(np.float32): 1e-2, np.dtype(np.float64): 1e-9}
CODE_STEPS = 200  # most multiplicative steps when codes are solved to tolerance without a shortcut
CODE_TOL = 1e-5


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
    """

    numerator: np.ndarray
    denominator: np.ndarray
    loss: float
    squares: float


def total(shares: Iterable[Sums]) -> Sums:
    """The shares added up in their order, which makes the result independent of the number of threads."""
    shares = iter(shares)
    first = next(shares)
    sums = Sums(first.numerator.astype(np.float64), first.denominator.astype(np.float64), first.loss, first.squares)
    for share in shares:
        sums.numerator += share.numerator
        sums.denominator += share.denominator
        sums.loss += share.loss
        sums.squares += share.squares
    return sums


class Objective(Protocol):
    """One divergence between V and W H, and its updates."""

    floor: float

    def prepare(self, H: np.ndarray) -> Any:
        """What every block needs of H, computed once a sweep."""

    def codes(self, rows: slice, W: np.ndarray, H: np.ndarray, of_H: Any, last: bool) -> tuple[np.ndarray, Sums]:
        """The rows of W updated for this H (solved to tolerance when `last`), and their share of the sums."""

    def start(self, rows: slice, W: np.ndarray, H: np.ndarray) -> Sums:
        """The share of the sums before the first sweep."""

    def basis(self, H: np.ndarray, sums: Sums) -> np.ndarray:
        """H updated from the sums."""

    def losses(self, H: np.ndarray, sums: Sums) -> tuple[float, float] | None:
        """loss and relative_loss of the factors that the sums were taken from; None: take the sums again."""


class LeastSquares:
    """||V - W H||_F without a mask: everything follows from the products V Ht, H Ht, Wt V and Wt W.

    The loss is sqrt(||V||^2 - 2 <Wt V, H> + <Wt W, H Ht>); where that cancels (a near-exact fit, CANCELS), the
    residual is summed block by block instead, from the sweep on in which that first happens.
    """

    def __init__(self, V: Blocks, norm2: float, rule: Callable[..., np.ndarray], inner: int | None, floor: float):
        self.V, self.norm2, self.rule, self.inner, self.floor = V, norm2, rule, inner, floor
        self.direct = False

    def repeats(self, m: int, n: int, k: int) -> int:
        """Most inner steps for an (m, k) factor: 1 + 2 rho, rho = 1 + products / inner step (Gillis and Glineur)."""
        return self.inner or min(1 + 2 * (1 + n * (m + k) // (m * (k + 1))), MOST_REPEATS)

    def prepare(self, H: np.ndarray) -> np.ndarray:
        gram: np.ndarray = H @ H.T
        return gram

    def start(self, rows: slice, W: np.ndarray, H: np.ndarray) -> Sums:
        return self._sums(self.V.read(rows), W, H)

    def codes(self, rows: slice, W: np.ndarray, H: np.ndarray, of_H: Any, last: bool) -> tuple[np.ndarray, Sums]:
        V = self.V.read(rows)
        A = V @ H.T
        if last:
            W = solvers.exact(W, A, of_H)
        else:
            W = self.rule(W, A, of_H, self.repeats(*self.V.shape, len(H)), self.floor)
        return W, self._sums(V, W, H)

    def basis(self, H: np.ndarray, sums: Sums) -> np.ndarray:
        m, n = self.V.shape
        A, G = sums.numerator.T.astype(H.dtype), sums.denominator.astype(H.dtype)
        X = self.rule(np.ascontiguousarray(H.T), A, G, self.repeats(n, m, len(H)), self.floor)
        return np.ascontiguousarray(X.T)

    def losses(self, H: np.ndarray, sums: Sums) -> tuple[float, float] | None:
        squares = sums.squares
        if np.isnan(squares):
            H64 = H.astype(np.float64)
            squares = self.norm2 - 2 * np.vdot(sums.numerator, H64) + np.vdot(sums.denominator, H64 @ H64.T)
            self.direct = squares < CANCELS[self.V.dtype] * self.norm2
            if self.direct:
                return None
        loss = float(np.sqrt(max(squares, 0.0)))
        return loss, loss / math.sqrt(self.norm2) if self.norm2 else 0.0

    def _sums(self, V: np.ndarray, W: np.ndarray, H: np.ndarray) -> Sums:
        squares = float("nan")
        if self.direct:
            residual = V - W @ H
            squares = float(np.vdot(residual, residual))
        return Sums(W.T @ V, W.T @ W, 0.0, squares)


MOST_REPEATS = 60


class BetaDivergence:
    """The beta-divergence, masked or not: 2 is squared Euclidean, 1 Kullback-Leibler, 0 Itakura-Saito.

    X <- X * ((P Yt) / (Q Yt))^gamma with P = V (X Y)^(beta - 2), Q = (X Y)^(beta - 1), gamma = 1 / (2 - beta) below
    beta 1: the majorization-minimization updates of Fevotte and Idier, "Algorithms for nonnegative matrix
    factorization with the beta-divergence", Neural Computation 23, 2011 (table 1), under which the loss never
    rises. A masked entry counts in neither P, Q nor the loss. One inner step: P and Q change with the factor.
    """

    def __init__(self, V: Blocks, norm2: float, beta: int, mask: np.ndarray | None, floor: float, zero: float):
        self.V, self.norm2, self.beta, self.mask, self.floor, self.zero = V, norm2, beta, mask, floor, zero
        self.gamma = 1 / (2 - beta) if beta < 1 else 1.0

    def prepare(self, H: np.ndarray) -> None:
        return None

    def start(self, rows: slice, W: np.ndarray, H: np.ndarray) -> Sums:
        return self._sums(*self._read(rows), W, H)

    def codes(self, rows: slice, W: np.ndarray, H: np.ndarray, of_H: Any, last: bool) -> tuple[np.ndarray, Sums]:
        V, mask = self._read(rows)
        for _ in range(CODE_STEPS if last else 1):
            P, Q = self._ratios(V, mask, self._product(W, H))
            denominator = H.sum(axis=1) if Q is None else Q @ H.T
            new = self._step(W, P @ H.T, denominator, self.floor)
            settled = np.linalg.norm(new - W) <= CODE_TOL * np.linalg.norm(new)
            W = new
            if settled:
                break
        return W, self._sums(V, mask, W, H)

    def basis(self, H: np.ndarray, sums: Sums) -> np.ndarray:
        numerator, denominator = sums.numerator.astype(H.dtype), sums.denominator.astype(H.dtype)
        return self._step(H, numerator, denominator, self.floor)

    def losses(self, H: np.ndarray, sums: Sums) -> tuple[float, float]:
        loss = float(np.sqrt(sums.loss)) if self.beta == 2 else max(sums.loss, 0.0)
        return loss, float(np.sqrt(sums.squares / self.norm2)) if self.norm2 else 0.0

    def _read(self, rows: slice) -> tuple[np.ndarray, np.ndarray | None]:
        V, mask = self.V.read(rows), None if self.mask is None else self.mask[rows]
        if mask is not None:
            V = V * mask
        if self.beta == 0:
            V = np.where(V == 0, V.dtype.type(self.zero), V)
        return V, mask

    def _product(self, W: np.ndarray, H: np.ndarray) -> np.ndarray:
        """W H, above zero where it divides: V / WH and, for Itakura-Saito, 1 / WH^2 must not overflow."""
        WH: np.ndarray = W @ H
        if self.beta != 2:
            np.maximum(WH, np.finfo(WH.dtype).tiny ** (0.75 if self.beta else 0.4), out=WH)
        return WH

    def _ratios(self, V: np.ndarray, mask: np.ndarray | None, WH: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        if self.beta == 2:
            P, Q = V, WH
        else:
            P, Q = V / WH, None
            if self.beta == 0:
                Q = 1 / WH
                P = P * Q
        if mask is not None:
            P, Q = P * mask, mask.astype(P.dtype) if Q is None else Q * mask
        return P, Q

    def _step(self, X: np.ndarray, numerator: np.ndarray, denominator: np.ndarray, floor: float) -> np.ndarray:
        factor = numerator / np.maximum(denominator, np.finfo(X.dtype).tiny)
        if self.gamma != 1:
            factor **= self.gamma
        new: np.ndarray = np.maximum(X * factor, X.dtype.type(floor))
        return new

    def _sums(self, V: np.ndarray, mask: np.ndarray | None, W: np.ndarray, H: np.ndarray) -> Sums:
        WH = self._product(W, H)
        residual = V - WH if mask is None else (V - WH) * mask
        squares = float(np.vdot(residual, residual))
        loss = squares if self.beta == 2 else self._divergence(V, mask, WH)
        P, Q = self._ratios(V, mask, WH)
        return Sums(W.T @ P, W.sum(axis=0)[:, None] if Q is None else W.T @ Q, loss, squares)

    def _divergence(self, V: np.ndarray, mask: np.ndarray | None, WH: np.ndarray) -> float:
        ratio = V / WH
        logs = np.log(np.maximum(ratio, np.finfo(V.dtype).tiny))
        over = ratio - 1  # exact near 1: the order of these differences keeps the digits of near-exact fits
        terms = WH * (ratio * logs - over) if self.beta == 1 else over - logs
        return float(terms.sum(dtype=np.float64, where=True if mask is None else mask))


BETAS = {"frobenius": 2, "kl": 1, "is": 0}
