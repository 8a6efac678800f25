"""What is minimized. Each objective knows what a block of rows contributes, and what H's update needs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..settings import Fit
from . import solvers
from .beta import BetaDivergence
from .solvers import FLOOR, SOLVERS, Solver
from .sums import FREE, PATIENCE, Basis, Codes, Cost, Losses, Moments, Objective, Sums, ratio, square_sum

COLUMNS = 2**16  # of H that are looked at together in float64
# Below this (relative_loss)^2 the terms of the loss cancel to rounding noise in floats of that size; the residual
# is then summed directly.
CANCELS = {np.dtype(np.float32): 2e-2, np.dtype(np.float64): 1e-9}


@dataclass(frozen=True)
class LeastSquares:
    """||V - W H||_F without a mask: everything follows from the products V Ht, H Ht, Wt V and Wt W.

    The loss is sqrt(||V||^2 - 2 <Wt V, H> + <Wt W, H Ht>); where that cancels (a near-exact fit, CANCELS), the
    residual is summed block by block instead, from the sweep on in which that first happens. With penalties it is
    ||V - W H||_F^2 / 2 and what the factors cost.

    Parameters
    ----------
    norm2 : float
        ||V||_F^2.
    solver : Solver
    inner : int or None
        Repeats; None is as many as pay.
    floor : float
        No entry of a factor falls below it.
    on_codes, on_basis : Cost
        What W and H cost.
    """

    norm2: float
    solver: Solver
    inner: int | None
    floor: float
    on_codes: Cost = FREE
    on_basis: Cost = FREE

    def prepare(self, H: np.ndarray, scale: float) -> Basis:
        return Basis(H, scale, (H * H.dtype.type(scale)).T, self.on_codes.on(H @ H.T))

    def block(
        self, V: np.ndarray, known: np.ndarray | None, X: np.ndarray, basis: Basis, how: Codes, direct: bool
    ) -> tuple[np.ndarray, Sums]:
        A, G, l1 = np.ascontiguousarray((V @ basis.scaled).T), basis.gram, self.on_codes.l1
        if how is Codes.SOLVE:
            X = solvers.exact(X, A - A.dtype.type(l1) if l1 else A, G)
        elif how is not Codes.KEEP:
            repeats = self.inner or self.solver.repeats(V.shape[1], len(G))
            X = self.solver.rule(X, A, G, repeats * (PATIENCE if how is Codes.BEGIN else 1), self.floor, l1)
        numerator = np.multiply(X @ V, basis.scale, dtype=np.float64)
        squares = square_sum(V * V.dtype.type(basis.scale) - X.T @ basis.H) if direct else math.nan
        pull, slope = square_sum(A), np.subtract(G @ X, A, out=A)
        if l1:
            slope += A.dtype.type(l1)
        X64 = X.astype(np.float64)  # few entries, all of which weigh: float32 shows in the loss of a picture
        cost = self.on_codes.of(X) if self.on_codes else 0.0
        return X, Sums(numerator, X64 @ X64.T, 0.0, squares, _projected(X, slope, self.floor), pull, cost)

    def basis(self, H: np.ndarray, sums: Sums, m: int) -> np.ndarray:
        A, G = sums.numerator.astype(H.dtype), self.on_basis.on(sums.denominator).astype(H.dtype)
        return self.solver.rule(H, A, G, self.inner or self.solver.repeats(m, len(H)), self.floor, self.on_basis.l1)

    def losses(self, H: np.ndarray, sums: Sums) -> Losses | None:
        squares, products, steep, pull, costs = sums.squares, 0.0, 0.0, 0.0, sums.penalty
        gram, slopes = np.zeros_like(sums.denominator), self.on_basis.on(sums.denominator)
        for first in range(0, H.shape[1], COLUMNS):
            some = slice(first, first + COLUMNS)
            H64, numerator = H[:, some].astype(np.float64), sums.numerator[:, some]
            products += float(np.vdot(numerator, H64))
            gram += H64 @ H64.T
            slope = slopes @ H64
            slope -= numerator
            if self.on_basis.l1:
                slope += self.on_basis.l1
            steep += _projected(H64, slope, self.floor)
            pull += square_sum(numerator)
            costs += self.on_basis.of(H64) if self.on_basis else 0.0
        if math.isnan(squares):
            squares = self.norm2 - 2 * products + np.vdot(sums.denominator, gram)
            if squares < CANCELS[H.dtype] * self.norm2:
                return None
        loss = math.sqrt(max(squares, 0.0))
        gradient = max(ratio(steep, pull), ratio(sums.slope, sums.pull))
        objective = loss**2 / 2 + costs if self.on_codes or self.on_basis else None
        return Losses(loss, ratio(loss**2, self.norm2), gradient, objective)


def _projected(X: np.ndarray, gradient: np.ndarray, floor: float) -> float:
    """The squares of the projected gradient at X: where X is at its floor, only what would let it grow counts."""
    inside = gradient * (2 * floor < X)
    return square_sum(np.minimum(gradient, inside, out=inside))


BETAS = {"frobenius": 2, "kl": 1, "is": 0}


def objective_for(fit: Fit, moments: Moments, zero: float, shape: tuple[int, int], masked: bool = False) -> Objective:
    """The objective that `fit` asks for, of a V of this shape with these moments.

    `zero`: what zeros count as for Itakura-Saito. Penalties weigh n times for W and m times for H, so that they mean
    the same for more rows or columns of the same kind.
    """
    (m, n), (l1_w, l1_h), (l2_w, l2_h) = shape, fit.l1, fit.l2
    costs = Cost(n * l1_w, n * l2_w), Cost(m * l1_h, m * l2_h)
    floor = FLOOR * math.sqrt(moments.mean / fit.rank) if moments.mean > 0 else FLOOR
    if fit.divergence == "frobenius" and not masked:
        return LeastSquares(moments.squares, SOLVERS[fit.solver], fit.inner, floor, *costs)
    return BetaDivergence(moments.squares, floor, BETAS[fit.divergence], zero, *costs)
