"""Update rules for one factor while the other is fixed, one per function.

Each takes the problem  min ||V - X Y||_F over X >= 0  as two products, the same for W and, transposed, for H:

    X : (m, k), the factor, positive          A = V Yt : (m, k)          G = Y Yt : (k, k)
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

# Relative to the size of a typical entry of a factor. It keeps denominators positive, lets an entry that
# was driven to zero grow again, and stays far from denormal floats, even squared and in float32.
FLOOR = 1e-12
LEAPS = (10, 20, 40, 80, 160, 320, 640)  # rounds of coordinate descent after which the support is tried as it stands
RIDGE = 1e-13  # relative to G's diagonal: collinear parts have a minimizer too, if not just one
STOP = 0.1  # an inner step below this fraction of the first one ends the repeats (Gillis and Glineur 2012)


def mu(X: np.ndarray, A: np.ndarray, G: np.ndarray, repeats: int, floor: float) -> np.ndarray:
    """Multiplicative updates, repeated while the two products stay fixed.

    X <- X * A / (X G), Lee and Seung, "Algorithms for non-negative matrix factorization", NIPS 2000,
    equation 4; the repeats are those of Gillis and Glineur, "Accelerated multiplicative updates and
    hierarchical ALS algorithms for nonnegative matrix factorization", Neural Computation 24, 2012.

    Parameters
    ----------
    repeats : int
        Most inner steps; 1 is the plain rule.
    floor : float
        No entry falls below it.
    """
    first, tiny = 0.0, X.dtype.type(np.finfo(X.dtype).tiny)
    for step in range(repeats):
        new: np.ndarray = X @ G
        np.maximum(new, tiny, out=new)
        np.divide(A, new, out=new)
        new *= X
        np.maximum(new, floor, out=new)
        if repeats == 1:
            return new
        moved = float(np.linalg.norm(np.subtract(new, X, out=X if step else None)))
        X = new
        first = first or moved
        if moved <= STOP * first:
            break
    return X


def exact(X: np.ndarray, A: np.ndarray, G: np.ndarray, tol: float = 1e-6, most: int = 1000) -> np.ndarray:
    """The minimizer itself, to tolerance: non-negative least squares by cyclic coordinate descent.

    Each coordinate takes its own minimum in turn (the rule of HALS, Cichocki, Zdunek and Amari 2007); rows that have
    settled leave the iteration. Where parts are nearly collinear that creeps, so now and then the equations of the
    entries above zero are solved at once, and rows that then meet the optimality conditions leave too (the idea of
    an active set: Lawson and Hanson 1974, chapter 23). Unlike `mu` it reaches exact zeros.

    Parameters
    ----------
    tol : float
        A row has settled when a round moves it by less than this fraction of its norm.
    most : int
        Most rounds.
    """
    k = len(G)
    G = G.astype(np.float64)
    diagonal = np.maximum(np.diag(G), np.finfo(np.float64).tiny)
    coordinates = [j for j in range(k) if G[j, j] > 0]
    x, a = np.array(X.T, dtype=np.float64, order="C"), np.array(A.T, dtype=np.float64, order="C")
    x[:, ~(a > 0).any(axis=0)] = 0  # their minimizer, which they would only approach
    solution, open_rows = x.copy(), np.arange(x.shape[1])
    for done in range(1, most + 1):
        before = x.copy()
        for j in coordinates:
            np.maximum(x[j] + (a[j] - G[j] @ x) / diagonal[j], 0, out=x[j])
        moved = np.square(x - before).sum(axis=0) > tol**2 * np.square(x).sum(axis=0)
        if done in LEAPS and moved.any():
            moved &= ~_leap(x, a, G)
        solution[:, open_rows] = x
        if not moved.any():
            break
        if moved.mean() < 0.7:
            x, a, open_rows = x[:, moved], a[:, moved], open_rows[moved]
    return np.ascontiguousarray(solution.T, dtype=X.dtype)


def _leap(x: np.ndarray, a: np.ndarray, G: np.ndarray, slack: float = 1e-9) -> np.ndarray:
    """Put the columns of x to the minimizer on their own support where that is the minimizer; which ones, (m,) bool."""
    k, m = x.shape
    right, used = np.zeros(m, dtype=bool), np.diag(G) > 0
    for first in range(0, m, max(1, 2**21 // k**2)):
        part = slice(first, first + max(1, 2**21 // k**2))
        free = (x[:, part] > 0).T & used
        systems = np.where(free[:, :, None] & free[:, None, :], G, 0.0)
        systems[:, range(k), range(k)] += ~free + RIDGE * np.trace(G) / k
        try:
            y = np.linalg.solve(systems, np.where(free, a[:, part].T, 0.0)[:, :, None])[:, :, 0]
        except np.linalg.LinAlgError:
            continue
        least = -slack * np.abs(a[:, part]).max(axis=0)[:, None]
        slope = y @ G - a[:, part].T
        met = ((y >= 0) & np.where(free, np.abs(slope) <= -least, slope >= least)).all(axis=1)
        x[:, part] = np.where(met & used[:, None], y.T, x[:, part])
        right[part] = met
    return right


SOLVERS: dict[str, Callable[..., np.ndarray]] = {"mu": mu}
