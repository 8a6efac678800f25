"""The beta-divergences, masked or not: all that has no shortcut through the products of least squares."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from .sums import FREE, PATIENCE, Basis, Codes, Cost, Losses, Sums, ratio, total

CANCELS_KL = 1e-2  # relative to the sum of V: below it the terms of Kullback-Leibler cancel to rounding noise
SOLVED, HESSIANS = 2**19, 2**21  # entries of V, and of the Hessians of its rows, whose codes are solved together
STRIP = 2**16  # entries of V that go through a divergence at a time
ROUNDS = 30  # of coordinate descent in a Newton step
STEPS = (1.0, 0.3, 0.1)  # how much of a Newton step is tried
LEAST_CURVED = 0.1  # of the curvature expected of Itakura-Saito, where it is less or negative
STEEPEST = 1e150  # of curvatures
NEWTON_STEPS = 100  # most of them, when codes are solved to tolerance
CODE_TOL = 1e-5  # of a row's norm: it has settled when it moves less
NEWTON_ROOT = 6  # steps to a root, of which each doubles the digits
RIDGE, TINY = 1e-6, 1e-30  # relative to the Hessian's diagonal, for parts that are alike; for rows of nothing


@dataclass(frozen=True)
class BetaDivergence:
    """The beta-divergence, masked or not: 2 is squared Euclidean, 1 Kullback-Leibler, 0 Itakura-Saito.

    X <- X * ((P Yt) / (Q Yt))^gamma with P = V (X Y)^(beta - 2), Q = (X Y)^(beta - 1), gamma = 1 / (2 - beta) below
    beta 1: the majorization-minimization updates of Fevotte and Idier, "Algorithms for nonnegative matrix
    factorization with the beta-divergence", Neural Computation 23, 2011 (table 1), under which the loss never
    rises. A masked entry counts in neither P, Q nor the loss. One inner step: P and Q change with the factor.
    Penalties join what is majorized, and its minimum moves: see `_cheaper`.

    Parameters
    ----------
    norm2, floor : float
        As for LeastSquares.
    beta : {2, 1, 0}
    zero : float
        What zeros of V count as when beta is 0.
    on_codes, on_basis : Cost
        What W and H cost.
    """

    norm2: float
    floor: float
    beta: int
    zero: float
    on_codes: Cost = FREE
    on_basis: Cost = FREE

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
        if how is Codes.SOLVE:  # of rows that take many small steps
            step = max(1, min(SOLVED // V.shape[1], HESSIANS // len(X) ** 2))
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
        if how is Codes.SOLVE:
            X = self._solved(V, known, X, H)
        WH = self._product(X, H)
        for _ in range({Codes.UPDATE: 1, Codes.BEGIN: PATIENCE}.get(how, 0)):
            X = self._multiplied(V, known, X, H, WH)
            WH = self._product(X, H)
        return X, self._sums(V, known, X, WH)

    def _multiplied(
        self, V: np.ndarray, known: np.ndarray | None, X: np.ndarray, H: np.ndarray, WH: np.ndarray
    ) -> np.ndarray:
        """One multiplicative step of the codes X, whose product with H is WH."""
        P, Q = self._ratios(V, known, WH)
        return self._step(X, (P @ H.T).T, H.sum(axis=1)[:, None] if Q is None else (Q @ H.T).T, self.on_codes)

    def _solved(self, V: np.ndarray, known: np.ndarray | None, X: np.ndarray, H: np.ndarray) -> np.ndarray:
        """The codes to tolerance.

        Itakura-Saito has several minima. So that the images of a fit get its codes from `transform` too, codes begin
        where V and H alone say: at one level, and at the codes for Kullback-Leibler, which has one minimum. A row that
        X is better for stays with what these come to, unless all rows together would be worse: the loss never rises.
        """
        if self.beta:
            return self._descend(V, known, X, H)
        level = V.mean(axis=1) / (float(H.sum(axis=0).mean()) or 1.0)
        flat = np.broadcast_to(np.maximum(level, self.floor), X.shape).astype(X.dtype)
        convex = np.maximum(replace(self, beta=1)._descend(V, known, flat, H), X.dtype.type(self.floor))
        new, other = (self._descend(V, known, begun, H) for begun in (flat, convex))
        before, after, beside = (self._by_row(V, known, x, self._product(x, H)) for x in (X, new, other))
        new, after = np.where(beside < after, other, new), np.minimum(beside, after)
        if after.sum() > before.sum():
            worse = after > before
            new[:, worse] = self._descend(V[worse], None if known is None else known[worse], X[:, worse], H)
        return new

    def _descend(self, V: np.ndarray, known: np.ndarray | None, X: np.ndarray, H: np.ndarray) -> np.ndarray:
        """Multiplicative and Newton steps in turn, row by row, until each row has settled.

        Newton's goes down the quadratic as far as entries >= 0 allow, or a part of that way where the divergence
        would rise (Lee, Sun and Saunders, "Proximal Newton-type methods for minimizing composite functions", SIAM
        Journal on Optimization 24, 2014). It needs about ten, where multiplicative steps alone need thousands; these
        bring back, in one step, an entry that it has sent too near to zero.
        """
        codes, rows = X.astype(np.float64), np.arange(X.shape[1])
        V, H, x = V.astype(np.float64), H.astype(np.float64), codes.copy()
        WH = self._product(x, H)
        for _ in range(NEWTON_STEPS):
            first = new = self._multiplied(V, known, x, H, WH)
            after = self._product(new, H)
            least, ahead = self._by_row(V, known, new, after), self._newton(V, known, new, H, after)
            for part in STEPS:
                tried = first + part * (ahead - first)
                product = self._product(tried, H)
                reached = self._by_row(V, known, tried, product)
                better = reached <= least
                new, after = np.where(better, tried, new), np.where(better[:, None], product, after)
                least = np.where(better, reached, least)
            codes[:, rows] = new
            moved = np.linalg.norm(new - x, axis=0) > CODE_TOL * np.linalg.norm(new, axis=0)
            if not moved.any():
                break
            V, x, WH, rows = V[moved], new[:, moved], after[moved], rows[moved]
            known = None if known is None else known[moved]
        return codes.astype(X.dtype)

    def _newton(
        self, V: np.ndarray, known: np.ndarray | None, X: np.ndarray, H: np.ndarray, WH: np.ndarray
    ) -> np.ndarray:
        """Where a Newton step leads from X (k, b), above the floor; the Hessian is made positive."""
        P, Q = self._ratios(V, known, WH)
        slope = (H.sum(axis=1) if Q is None else Q @ H.T) - P @ H.T  # (b, k)
        if self.on_codes:
            slope += self.on_codes.l1 + self.on_codes.l2 * X.T
        if self.beta == 2:
            weights = np.ones_like(V) if known is None else known.astype(V.dtype)
        else:
            with np.errstate(over="ignore"):  # where H is zero, so is what these are multiplied with
                curved = P if self.beta else np.maximum(2 * P - 1 / WH, LEAST_CURVED / WH)
                weights = np.minimum(curved / WH, STEEPEST)
            weights = weights if known is None else weights * known
        k, b = X.shape
        G = np.empty((b, k, k))
        for j in range(k):
            G[:, j, j:] = G[:, j:, j] = (weights * H[j]) @ H[j:].T
        if self.on_codes.l2:
            G += self.on_codes.l2 * np.eye(k)
        G += RIDGE * np.einsum("bkk->b", G)[:, None, None] * np.eye(k) + TINY
        return _descended(X, slope.T, G, self.floor)

    def _by_row(self, V: np.ndarray, known: np.ndarray | None, X: np.ndarray, WH: np.ndarray) -> np.ndarray:
        """The divergence of each row and what its codes X cost, (b,), but for what does not depend on them."""
        if self.beta == 2:
            terms = np.square(V - WH) / 2
        elif self.beta == 1:
            terms = WH - V * np.log(WH)
        else:
            terms = V / WH + np.log(WH)
        found: np.ndarray = terms.sum(axis=1, dtype=np.float64, where=True if known is None else known)
        if self.on_codes:
            found += self.on_codes.l1 * X.sum(axis=0) + self.on_codes.l2 / 2 * np.einsum("kb,kb->b", X, X)
        return found

    def basis(self, H: np.ndarray, sums: Sums, m: int) -> np.ndarray:
        return self._step(H, sums.numerator.astype(H.dtype), sums.denominator.astype(H.dtype), self.on_basis)

    def losses(self, H: np.ndarray, sums: Sums) -> Losses:
        loss = math.sqrt(sums.loss) if self.beta == 2 else max(sums.loss, 0.0)
        objective = None
        if self.on_codes or self.on_basis:
            objective = (sums.loss / 2 if self.beta == 2 else loss) + sums.penalty + self.on_basis.of(H)
        return Losses(loss, ratio(sums.squares, self.norm2), None, objective)

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

    def _step(self, X: np.ndarray, numerator: np.ndarray, denominator: np.ndarray, cost: Cost) -> np.ndarray:
        if cost:
            cheaper = _cheaper(self.beta, X.astype(np.float64), numerator, denominator, cost)
            new: np.ndarray = np.maximum(cheaper, self.floor).astype(X.dtype)
            return new
        factor = numerator / np.maximum(denominator, np.finfo(X.dtype).tiny)
        if self.gamma != 1:
            factor **= self.gamma
        new = np.maximum(X * factor, X.dtype.type(self.floor))
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
        cost = self.on_codes.of(X) if self.on_codes else 0.0
        return Sums((X @ P).astype(np.float64), denominator.astype(np.float64), loss, squares, penalty=cost)


def _cheaper(beta: int, X: np.ndarray, numerator: np.ndarray, denominator: np.ndarray, cost: Cost) -> np.ndarray:
    """The minimum of what majorizes the divergence at X (Fevotte and Idier 2011) and of l1 x + l2/2 x^2 together.

    l1 joins the denominator. With l2 that leaves, below beta 2, numerator (X / x)^(2 - beta) = denominator + l1 + l2 x:
    a quadratic equation for Kullback-Leibler and a cubic one for Itakura-Saito, each with one root above zero.
    """
    below = np.maximum(denominator.astype(np.float64) + cost.l1, np.finfo(np.float64).tiny)  # nothing in float32
    if beta == 2:
        found: np.ndarray = X * numerator / (below + cost.l2 * X)
    elif beta == 1:
        above = X * numerator
        found = 2 * above / (below + np.sqrt(below**2 + 4 * cost.l2 * above))
    else:
        above = X**2 * numerator
        found = np.sqrt(above / below)
        if cost.l2:
            found = np.minimum(found, np.cbrt(above / cost.l2))  # above the root, and by 1.4 times at most
            for _ in range(NEWTON_ROOT):  # on a convex function, so that each step stays above the root
                rest, slope = (cost.l2 * found + below) * found**2 - above, (3 * cost.l2 * found + 2 * below) * found
                found -= rest / np.maximum(slope, np.finfo(np.float64).tiny)
    return found


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


def _descended(X: np.ndarray, slope: np.ndarray, G: np.ndarray, floor: float) -> np.ndarray:
    """Columns of X (k, b), each brought down its own quadratic by coordinate descent: slope (k, b), G (b, k, k)."""
    k = len(X)
    rows = [np.ascontiguousarray(G[:, j]) for j in range(k)]
    targets = [slope[j] / rows[j][:, j] for j in range(k)]
    for j in range(k):
        rows[j] /= rows[j][:, j : j + 1]
    new, size = X.T.copy(), CODE_TOL * X.max(axis=0)[:, None]
    moved = np.zeros_like(new)
    for _ in range(ROUNDS):
        before = new.copy()
        for j in range(k):
            to = np.einsum("bk,bk->b", rows[j], moved)
            to += targets[j]
            np.maximum(new[:, j] - to, floor, out=to)
            moved[:, j] += to - new[:, j]
            new[:, j] = to
        if (np.abs(new - before) <= size).all():
            break
    return new.T
