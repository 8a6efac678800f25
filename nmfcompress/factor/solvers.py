"""Update rules for one factor while the other is fixed, one per function.

Each takes the problem  min ||V - Yt X||_F over X >= 0  as two products, the same for H and, transposed, for W:

    X : (k, p), the factor, one column a column (or row) of V          A = Y V : (k, p)          G = Y Yt : (k, k)

With penalties, l1 |X|_1 + l2/2 ||X||^2 beside ||V - Yt X||^2 / 2, l2 is on the diagonal of G already. l1 is an
argument of the rules; `exact` wants A less l1.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

# Relative to the size of a typical entry of a factor. It keeps denominators positive, lets an entry that
# was driven to zero grow again, and stays far from denormal floats, even squared and in float32.
FLOOR = 1e-12
LEAPS = (10, 20, 40, 80, 160, 320, 640)  # rounds of coordinate descent after which the support is tried as it stands
PIVOTS = 4  # steps from near the minimizer, of which one is enough for most
RIDGE = 1e-13  # relative to G's diagonal: collinear parts have a minimizer too, if not just one
EMPTY = 1e-20  # relative to the largest part, squared: FLOOR squared and some more
STOP = 0.1  # an inner step below this fraction of the first one ends the repeats (Gillis and Glineur 2012)
MOST_REPEATS = 30  # more gain nothing, and are what a small V would spend most of its time on
_TURN = threading.Lock()  # for short calls in a row: threads that share them hand over the interpreter at each


def mu(X: np.ndarray, A: np.ndarray, G: np.ndarray, repeats: int, floor: float, l1: float = 0.0) -> np.ndarray:
    """Multiplicative updates, repeated while the two products stay fixed.

    X <- X * A / (G X + l1), Lee and Seung, "Algorithms for non-negative matrix factorization", NIPS 2000,
    equation 4, with l1 as in Hoyer, "Non-negative sparse coding", NNSP 2002; the repeats are those of Gillis and
    Glineur, "Accelerated multiplicative updates and hierarchical ALS algorithms for nonnegative matrix factorization",
    Neural Computation 24, 2012.

    Parameters
    ----------
    repeats : int
        Most inner steps; 1 is the plain rule.
    floor : float
        No entry falls below it.
    l1 : float
        What an entry costs by its size.
    """
    tiny, least = X.dtype.type(np.finfo(X.dtype).tiny), X.dtype.type(floor)
    spare, first = np.empty_like(X), 0.0
    for step in range(repeats):
        new: np.ndarray = np.matmul(G, X, out=spare)
        if l1:
            new += X.dtype.type(l1)
        np.maximum(new, tiny, out=new)
        np.divide(A, new, out=new)
        new *= X
        np.maximum(new, least, out=new)
        if step == repeats - 1:
            return new
        if step == 0 and repeats == 2:  # no step to compare with
            X, spare = new, np.empty_like(X)
            continue
        moved = np.subtract(new, X, out=X if step else None)
        squares = float(np.vdot(moved, moved))
        X, spare, first = new, moved, first or squares
        if squares <= STOP**2 * first:
            break
    return X


def hals(X: np.ndarray, A: np.ndarray, G: np.ndarray, repeats: int, floor: float, l1: float = 0.0) -> np.ndarray:
    """Hierarchical alternating least squares: each row of X in turn takes its own minimum, all others fixed.

    x_j <- max((a_j - l1 - sum_{l != j} g_jl x_l) / g_jj, floor), Cichocki, Zdunek and Amari, "Hierarchical ALS
    algorithms for nonnegative matrix and 3D tensor factorization", ICA 2007, with the repeats of Gillis and Glineur
    (see `mu`). Parameters as for `mu`; a row whose part is empty (g_jj next to 0) stays as it is. Threads take turns.
    """
    X, first = X.copy(), 0.0
    least, step = X.dtype.type(floor), np.empty(X.shape[1], X.dtype)
    coordinates = _coordinates(X, A - X.dtype.type(l1) if l1 else A, G)
    for last in (*(False,) * (repeats - 1), True):
        before = None if last else X.copy()
        with _TURN:
            for x, others, target in coordinates:
                np.dot(others, X, out=step)
                np.subtract(target, step, out=step)
                np.maximum(step, least, out=x)
        if before is None:
            break
        before -= X
        squares = float(np.vdot(before, before))
        first = first or squares
        if squares <= STOP**2 * first:
            break
    return X


def _coordinates(X: np.ndarray, A: np.ndarray, G: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """For each row x of X (a view) that has a minimum, max(target - others @ X, 0): its others and its target.

    These are G without its diagonal and A, both divided by that diagonal. An empty part whose codes only cost
    something (A below zero throughout, which a penalty alone brings about) has one, too: zero.
    """
    used = _used(G)
    scale = np.where(used, G.diagonal(), 1)[:, None]
    if not used.all():
        used |= (A < 0).all(axis=1)
    others = G / scale
    np.fill_diagonal(others, 0)
    rows = zip(X, others, A / scale, used, strict=True)
    return [(x, other, target) for x, other, target, has_minimum in rows if has_minimum]


def _used(G: np.ndarray) -> np.ndarray:
    """Which parts are there, (..., k) bool: one at the floor would ask for codes beyond all measure."""
    diagonal = G.diagonal(axis1=-2, axis2=-1)
    used: np.ndarray = diagonal > np.maximum(EMPTY * diagonal.max(axis=-1, keepdims=True), np.finfo(G.dtype).tiny)
    return used


def exact(X: np.ndarray, A: np.ndarray, G: np.ndarray, tol: float | None = None, most: int = 1000) -> np.ndarray:
    """The minimizer itself, to tolerance: non-negative least squares by cyclic coordinate descent.

    Each coordinate takes its own minimum in turn (the rule of `hals`); columns that have settled leave the iteration.
    Where parts are nearly collinear that creeps, so now and then the equations of the entries above zero are solved at
    once, and columns that then meet the optimality conditions leave too (the idea of an active set: Lawson and Hanson
    1974, chapter 23). Unlike `mu` it reaches exact zeros.

    Parameters
    ----------
    tol : float, optional
        A column has settled when a round moves it by less than this fraction of its norm; by default 1e-6, or what
        float32 can tell, 3e-6.
    most : int
        Most rounds.
    """
    tol = tol or (1e-6 if X.dtype == np.float64 else 3e-6)
    x, a = X.copy(), A
    x[:, ~(a > 0).any(axis=0)] = 0  # their minimizer, which they would only approach
    solution, open_columns = x.copy(), np.arange(x.shape[1])
    coordinates = _coordinates(x, a, G)
    for done in range(1, most + 1):
        before = x.copy()
        for row, others, target in coordinates:
            np.maximum(target - others @ x, 0, out=row)
        before -= x
        moved = np.einsum("kp,kp->p", before, before) > tol**2 * np.einsum("kp,kp->p", x, x)
        if done in LEAPS and moved.any():
            y, right = _leap(x, a, G)
            x[:, right] = y[:, right]
            moved &= ~right
        left = np.count_nonzero(moved)
        if not left:
            break
        if left / len(moved) < 0.7:
            solution[:, open_columns] = x
            x, a, open_columns = x[:, moved], a[:, moved], open_columns[moved]
            coordinates = _coordinates(x, a, G)
    solution[:, open_columns] = x
    return solution


def exact_near(X: np.ndarray, A: np.ndarray, G: np.ndarray) -> np.ndarray:
    """The minimizers of several problems at once, to which X, (s, k, p), is near already; A (s, k, p), G (s, k, k).

    By block principal pivoting, which takes few steps from there: the equations of the entries above zero are solved,
    and where that is not the minimizer, entries below zero go and those that would rise come in (Kim and Park, "Fast
    nonnegative matrix factorization: an active-set-like method and comparisons", SIAM J. Sci. Comput. 33, 2011). What
    is left after PIVOTS steps is for `exact`.
    """
    found, right = _leap(X, A, G, PIVOTS)
    for problem in np.flatnonzero(~right.all(axis=-1)):
        found[problem] = exact(X[problem], A[problem], G[problem])
    return found


def _leap(x: np.ndarray, a: np.ndarray, G: np.ndarray, pivots: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """The minimizers on the support of x, (..., k, p), and which of them are those of all, (..., p) bool.

    Those that are not are tried again on the support that they tell, until that has been tried `pivots` times. Parts
    are looked at in units of their own, so that none drowns in the rounding of another.
    """
    k, p = x.shape[-2:]
    G = G.astype(np.float64).reshape(-1, k, k)
    used = _used(G)
    units = np.sqrt(np.where(used, G.diagonal(axis1=1, axis2=2), 1.0))
    G /= units[:, :, None] * units[:, None, :]
    columns, wanted = (np.swapaxes(one, -1, -2).reshape(-1, k) for one in (x, a))  # one after the other
    solution, right = columns.copy(), np.zeros(len(columns), dtype=bool)
    for first in range(0, len(columns), together := max(1, 2**21 // k**2)):
        places = np.arange(first, min(first + together, len(columns)))
        free = columns[places] > 0
        for _ in range(pivots):
            problem = places // p
            free &= used[problem]
            y, slope, met = _on_support(free, wanted[places] / units[problem], G, problem)
            right[places] = met
            solution[places] = np.where(met[:, None] & used[problem], y / units[problem], solution[places])
            if met.all():
                break
            left = ~met
            free, places = np.where(free, y > 0, slope < 0)[left], places[left]
    shape = (*x.shape[:-2], p)
    return np.swapaxes(solution.reshape(*shape, k), -1, -2), right.reshape(shape)


def _on_support(
    free: np.ndarray, a: np.ndarray, G: np.ndarray, problem: np.ndarray, slack: float = 1e-9
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The minimizer where `free`, (p, k), of each a, (p, k), with the G (s, k, k) of its problem, whose diagonal is 1;
    its slope everywhere; and whether it is the minimizer of all.
    """
    k = a.shape[1]
    own = G if len(G) == 1 else G[problem]
    systems = own * (free[:, :, None] & free[:, None, :])
    diagonals = systems.reshape(-1, k * k)[:, :: k + 1]  # a view
    diagonals += np.where(free, RIDGE, 1.0)
    y = _solved(systems, (a * free)[:, :, None])[:, :, 0]
    slope = (y @ G[0] if len(G) == 1 else (y[:, None] @ own)[:, 0]) - a
    enough = slack * np.abs(a).max(axis=1, keepdims=True)
    met = ((y >= 0) & (slope >= -enough) & (~free | (slope <= enough))).all(axis=1)
    return y, slope, met


def _solved(systems: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """The solutions of systems; of one that has none, 0, whatever stands beside it."""
    try:
        found: np.ndarray = np.linalg.solve(systems, sides)
        return found
    except np.linalg.LinAlgError:
        if len(systems) == 1:
            return np.zeros_like(sides)
        half = len(systems) // 2
        return np.concatenate([_solved(systems[:half], sides[:half]), _solved(systems[half:], sides[half:])])


@dataclass(frozen=True)
class Solver:
    """An update rule, and how it is driven.

    Parameters
    ----------
    rule : callable
        (X, A, G, repeats, floor, l1) -> X, a new array.
    cost : int
        What a pass of it costs, in units that `repeats` weighs against the product that went before.
    momentum : bool
        Whether extrapolating H pays (Ang and Gillis 2019); it does not for `mu`.
    """

    rule: Callable[[np.ndarray, np.ndarray, np.ndarray, int, float, float], np.ndarray]
    cost: int
    momentum: bool

    def repeats(self, q: int, k: int) -> int:
        """Most passes for a factor (k, p) whose product A ran over `q` entries each: about a third of its time.

        Counted in flops, 2 q against 2 k a pass, and 20 more for the element-wise work of a pass, which is measured.
        """
        return min(1 + q // (self.cost * (k + 20)), MOST_REPEATS)


SOLVERS = {"mu": Solver(mu, 3, momentum=False), "hals": Solver(hals, 16, momentum=True)}
