"""Entropy-constrained NMF: V ~ tone(Q H) with integer codes Q >= 0 and parts H >= 0.

    minimise  ||V - tone(Q H)||^2 + price * bits(Q)

The norm of a part is the step that its codes are counted in, so that the quantizer, its dead zone, the sparsity and
the refit of the parts are one objective. For a fixed tone curve, Q and H are fitted to targets T = X + (V - tone(X)) *
tone'(X) at the sums X = Q H: a step of gradient descent on the pixels' error, which leaves alone what is white or black
anyway. Codes go by coordinate descent over {0, m - 1, m, m + 1} around the best real number m (as in integer least
squares), from the products T Ht and H Ht alone; parts by the rule of HALS on Q; the curve by least squares.

All grey levels here are floats of 0 to 255, whatever the pictures' type. Q is kept transposed, (parts, images), as W is
in factor.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ..factor.crew import Each
from ..factor.nmf import factorize
from .contexts import LARGEST
from .tone import STEPS, Curve, CurveFit, places_of

BLOCK = 2000  # images whose codes are sought together
STEP_OF_PRICE = 0.13  # price / step^2 for parts of that norm
GREEDY_STEPS = 200  # codes that one image begins with, at most
SLOPE, LEAST_SLOPE, DAMPING = 1.0, 0.02, 0.8  # of the curve, as far as targets are concerned
FARTHEST = 2.0  # times the way along the tangent to the grey level: beyond it steep curves swing to and fro
WARMING = ((0.03, 3), (0.1, 2), (0.2, 2), (0.4, 2), (0.7, 2))  # shares of the price that codes begin at, and rounds
WARM_SLOPE = 0.3  # the least slope there: what is missing where the curve is flat must not be lost
WHITE = 0.9  # of the curve's last level: as far as sums are sought at first
BLACK = 2  # grey levels: a sum that shows no more shows nothing

TRIED = np.array([[-1], [0], [1], [0]])  # beside the nearest whole number; the last is the code as it is

Read = Callable[[slice], np.ndarray]  # rows of V as grey levels, float32
Costs = Callable[[np.ndarray], np.ndarray]  # codes (k, b) -> bits that a code above 0 costs more here, (k, b)


@dataclass(frozen=True, eq=False)
class Parts:
    """What pictures are put together from.

    Parameters
    ----------
    H : array of float32, shape (k, pixels)
        In grey levels a count.
    curve : Curve
    rates : array, shape (k, LARGEST + 1)
        Bits of each code of a part, less those of its code 0, as far as one part alone tells.
    """

    H: np.ndarray
    curve: Curve
    rates: np.ndarray


def first_parts(V: np.ndarray, k: int, price: float, seed: int) -> Parts:
    """Parts of a plain NMF of these rows (grey levels, float32), scaled to the step that the price is for."""
    k = min(k, *V.shape)
    found = factorize(V / 255, k, solver="hals", inner=1, max_sweeps=20, tol=0, rng=seed, init="random", jobs=1)
    norms = np.linalg.norm(found.H, axis=1, keepdims=True)
    H = found.H * (np.sqrt(price / STEP_OF_PRICE) / np.maximum(norms, np.finfo(np.float32).tiny))
    rates = np.zeros((k, LARGEST + 1), np.float32)
    rates[:, 1:] = np.log2(k) - 2 + np.minimum(np.arange(LARGEST), 24)
    return Parts(H.astype(np.float32), Curve.first(), rates)


@dataclass
class Fit:
    """What a pass over pictures adds up: enough for the next rates and curve, and half of what the next parts need.

    Parameters
    ----------
    gram : array, shape (k, k)
        Q Qt.
    counts : array, shape (k, LARGEST + 1)
        How often each code is there.
    curve : CurveFit or None
        Where it is asked for.
    error : float
        The sum of squares of the error, in grey levels; `values` of them.
    """

    gram: np.ndarray
    counts: np.ndarray
    curve: CurveFit | None
    error: float = 0.0
    values: int = 0

    def rates(self) -> np.ndarray:
        """Bits of codes by their counts, less those of code 0."""
        rates = np.zeros(self.counts.shape)
        seen = self.counts[:, 1:] + 0.5 ** np.minimum(np.arange(1, LARGEST + 1), 40)
        rates[:, 1:] = np.log2(self.counts[:, :1] + 1) - np.log2(seen)
        return rates

    def bits(self) -> float:
        """Of all codes, as far as each part alone tells."""
        shares = self.counts / np.maximum(self.counts.sum(axis=1, keepdims=True), 1)
        return float(-(self.counts * np.log2(np.where(shares > 0, shares, 1))).sum())

    @property
    def mse(self) -> float:
        """Mean squared error in grey levels."""
        return self.error / self.values

    def objective(self, price: float) -> float:
        """What is minimized, a pixel."""
        return self.mse + price * self.bits() / self.values


def descended(H: np.ndarray, gram: np.ndarray, cross: np.ndarray) -> np.ndarray:
    """H after a pass of HALS (factor/solvers.py) on fixed codes; parts that no code uses stay as they are."""
    H = H.copy()
    for j in np.flatnonzero(np.diag(gram) > 0):
        H[j] = np.maximum(H[j] + (cross[j] - gram[j] @ H) / gram[j, j], 0)
    return H


class Seeker:
    """Finds codes under fixed parts.

    Parameters
    ----------
    parts : Parts
    price : float
        Squared grey levels that a bit is worth.
    costs : callable, optional
        What contexts add to the rates.
    straight : bool
        The curve is still the one that learning begins with: where it is flat, what is missing must not be lost.
    """

    def __init__(self, parts: Parts, price: float, costs: Costs | None = None, straight: bool = False):
        self.parts, self.price, self._costs = parts, np.float32(price), costs
        self._G = (parts.H @ parts.H.T).astype(np.float32)
        self._energy = np.diag(self._G).copy()
        self.levels, slope = parts.curve.table()
        within = np.minimum(slope, FARTHEST / np.maximum(slope, LEAST_SLOPE))
        self._pull = (np.clip(within, LEAST_SLOPE, SLOPE) / DAMPING).astype(np.float32)
        if straight:
            self._pull = np.ones_like(slope)

    def grey(self, X: np.ndarray) -> np.ndarray:
        """The grey levels of sums."""
        found: np.ndarray = self.levels.take(places_of(X))
        return found

    def pull(self, error: np.ndarray, at: np.ndarray) -> np.ndarray:
        """T - X where sums stand `at` these places and miss the picture by `error`."""
        pulled: np.ndarray = self._pull.take(at)
        pulled *= error
        return pulled

    def missing(self, V: np.ndarray, Q: np.ndarray) -> np.ndarray:
        """T - X of pictures V (b, pixels) for codes (k, b)."""
        at = places_of(Q.T.astype(np.float32) @ self.parts.H)
        return self.pull(V - self.levels.take(at), at)

    def codes(self, V: np.ndarray, Q: np.ndarray | None, rounds: int) -> np.ndarray:
        """Codes (k, b), int16, of pictures V (b, pixels): those given made better, or found from nothing.

        From nothing they begin where they cost little, and the price rises: at the full price most would stay away.
        """
        if Q is None:
            Q = np.ascontiguousarray(self._at(WARMING[0][0])._greedy(self._sums(V) @ self.parts.H.T).T)
            for share, some in WARMING:
                self._at(share)._improve(V, Q, some)
        else:
            Q = np.ascontiguousarray(Q)
        self._improve(V, Q, rounds)
        return Q

    def _at(self, share: float) -> Seeker:
        """The same at a part of the price, eager to begin."""
        eager = copy.copy(self)
        eager.price, eager._costs = self.price * np.float32(share), None
        eager._pull = np.maximum(self._pull, np.float32(WARM_SLOPE / DAMPING))
        return eager

    def _sums(self, V: np.ndarray) -> np.ndarray:
        """Sums that show about these grey levels; for black half of those that still do."""
        grey = self.levels
        inverse = np.interp(np.minimum(np.arange(256), WHITE * grey[-1]), grey, np.arange(len(grey)) / STEPS)
        inverse[0] = np.flatnonzero(grey <= BLACK)[-1] / STEPS / 2 if grey[0] <= BLACK else 0
        found: np.ndarray = inverse.astype(np.float32)[np.clip(np.rint(V), 0, 255).astype(np.int64)]
        return found

    def _improve(self, V: np.ndarray, Q: np.ndarray, rounds: int) -> None:
        """Rounds of coordinate descent, each towards targets of its own; Q is changed."""
        for _ in range(rounds):
            if not self._sweep(Q, self.missing(V, Q) @ self.parts.H.T):
                break

    def _greedy(self, C: np.ndarray) -> np.ndarray:
        """Codes (b, k) that take, one after the other, what lowers the objective most; C = T Ht, (b, k)."""
        Q = np.zeros(C.shape, np.int16)
        rows, first = np.arange(len(C)), self.parts.rates[:, 1]
        energy = np.where(self._energy > 0, self._energy, np.inf)
        for _ in range(GREEDY_STEPS):
            m = np.maximum(np.rint(C / energy), 0)
            gain = m * (2 * C - m * np.where(self._energy > 0, self._energy, 0)) - self.price * (first + m) * (m > 0)
            best = gain.argmax(axis=1)
            better = gain[np.arange(len(C)), best] > 0
            rows, best, C = rows[better], best[better], C[better]
            if not len(rows):
                break
            count = np.minimum(m[better, best], LARGEST - Q[rows, best])
            Q[rows, best] += count.astype(np.int16)
            C = C - count[:, None] * self._G[best]
            rows, C = rows[count > 0], C[count > 0]
        return Q

    def _sweep(self, Q: np.ndarray, C: np.ndarray) -> int:
        """One round over the parts; Q (k, b) and C = (T - Q H) Ht, (b, k), are changed. How many codes changed.

        C has a picture's numbers side by side: few pictures change at a time.
        """
        changed, k = 0, len(Q)
        extra = self._costs(Q) if self._costs is not None else None
        for j in range(k):
            energy = self._energy[j]
            if energy <= 0:
                continue
            best_real = Q[j] + C[:, j] / energy
            (seen,) = ((Q[j] > 0) | (best_real > 0.5)).nonzero()
            if not len(seen):
                continue
            real, before = best_real[seen], Q[j, seen]
            tried = np.rint(real).astype(np.int64) + TRIED
            tried[-1] = before
            tried = np.minimum(np.maximum(tried, 1), LARGEST)
            bits = self.parts.rates[j][tried] + (0 if extra is None else extra[j, seen])
            costs = energy * np.square(real - tried) + self.price * bits
            least = costs.argmin(axis=0), np.arange(len(seen))
            best = np.where(costs[least] < energy * real * real, tried[least], 0)
            moved = best - before
            (where,) = moved.nonzero()
            if not len(where):
                continue
            changed += len(where)
            places, by = seen[where], moved[where].astype(np.float32)
            Q[j, places] = best[where]
            C[places] -= np.outer(by, self._G[j])
        return changed


def blocks_of(n: int) -> list[slice]:
    """Rows of a block each."""
    return [slice(first, min(first + BLOCK, n)) for first in range(0, n, BLOCK)]


def seek(
    read: Read, Q: np.ndarray, seeker: Seeker, each: Each, *, fresh: bool, rounds: int = 2, bend: bool = False
) -> Fit:  # fmt: skip
    """A pass over all pictures: their codes Q (k, n), uint8, changed in place, and what they add up to.

    Where the curve may `bend`, what the best one follows from is part of it.
    """
    k = len(Q)

    def work(rows: slice) -> tuple[slice, np.ndarray, np.ndarray, np.ndarray, np.ndarray, float]:
        V = read(rows)
        found = seeker.codes(V, None if fresh else Q[:, rows].astype(np.int16), rounds)
        codes = found.astype(np.float32)
        at = places_of(codes.T @ seeker.parts.H)
        error = V - seeker.levels.take(at)
        return rows, found, codes @ codes.T, at, V, float(np.vdot(error, error))

    fit = Fit(np.zeros((k, k)), np.zeros((k, LARGEST + 1)), CurveFit() if bend else None)
    for rows, found, gram, at, V, error in each(work, blocks_of(Q.shape[1])):
        Q[:, rows] = found
        fit.gram += gram
        if fit.curve is not None:
            fit.curve.add(at, V)
        fit.error += error
        fit.values += V.size
        flat = found.astype(np.int64) + (LARGEST + 1) * np.arange(k)[:, None]
        fit.counts += np.bincount(flat.ravel(), minlength=k * (LARGEST + 1)).reshape(k, -1)
    return fit


def refitted(seeker: Seeker, gram: np.ndarray, read: Read, Q: np.ndarray, each: Each) -> np.ndarray:
    """H that fits the codes Q better: a pass over all pictures, and one of HALS."""

    def share(rows: slice) -> np.ndarray:
        product: np.ndarray = Q[:, rows].astype(np.float32) @ seeker.missing(read(rows), Q[:, rows])
        return product

    H = seeker.parts.H.astype(np.float64)
    cross: np.ndarray = gram @ H
    for one in each(share, blocks_of(Q.shape[1])):
        cross += one
    return descended(H, gram, cross).astype(np.float32)


def revived(parts: Parts, fit: Fit, read: Read, Q: np.ndarray, price: float, rng: np.random.Generator) -> Parts:
    """Parts that hardly any picture uses begin anew, from what is missing in some pictures."""
    dead = np.flatnonzero(fit.counts[:, 1:].sum(axis=1) < 3)
    if not len(dead):
        return parts
    first = int(rng.integers(0, max(1, Q.shape[1] - BLOCK)))
    rows = slice(first, min(first + BLOCK, Q.shape[1]))
    V = read(rows)
    missing = V - Seeker(parts, price).grey(Q[:, rows].T.astype(np.float32) @ parts.H)
    worst = np.argsort(-np.square(missing).sum(axis=1), kind="stable")[: 4 * len(dead) : 4]
    H, rates = parts.H.copy(), parts.rates.copy()
    for j, row in zip(dead, worst, strict=False):
        shape = np.maximum(missing[row], 0)
        norm = float(np.linalg.norm(shape))
        if norm > 0:
            H[j] = shape * (np.sqrt(price / STEP_OF_PRICE) / norm)
            rates[j, 1:] = np.log2(max(Q.shape[1] / 20, 2)) + np.minimum(np.arange(LARGEST), 24)
    return replace(parts, H=H, rates=rates)
