"""Entries that are held out: how well directions, and how well parts, predict them from the rest.

Bi-cross-validation: Owen and Perry, "Bi-cross-validation of the SVD and the nonnegative matrix factorization", Annals
of Applied Statistics 3, 2009. Rows and columns are split into FOLDS groups each. A group of rows and one of columns
leave out a block A of V; B and C are what is left of its rows and columns, D all else. A model of D, with codes of B
under its columns and of C under its rows, predicts A: of more parts than V has, the last ones fit the noise of D, and
predict A worse.

The best approximation without the sign constraint (the SVD of D) is tried at all ranks at once. A model of parts that
predicts worse may also be one that got stuck, two of its parts sharing the work of one while one does that of two:
before it is said to, parts are exchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .blocks import Blocks
from .crew import Threads
from .nmf import Factorization, factorize, transform
from .sweeps import SweepRecord

OnSweep = Callable[[SweepRecord], None]

FOLDS = 4  # of the rows, and of the columns
CLEAR = 2.0  # standard errors by which more parts must predict better to be needed
SIDE = 1536  # rows and columns, at most, that are split: more would not tell more
EXACT = 1e-5  # of V's squares: nothing is left to predict better
LAST = 4  # directions, the last ones, that are looked at together
STANDS_OUT = 0.7  # of noise: photos come to 0.63 at most, a few pieces of sky aside, parts under noise of 20 dB to 1.8
LEAST = 2  # blocks that tell a standard error
SWEEPS = 80  # of a model of parts, on the rows and columns looked at
SETTLING = 12  # sweeps until a new part has found its place
EXCHANGES = 6  # of a part of such a model, before it is said to predict no better
PAYS = 0.99  # times the loss before: worth another exchange
RIDGE = 1e-9  # relative to the mean square of parts: even collinear ones have an inverse


def sample(V: Blocks, rng: np.random.Generator) -> np.ndarray:
    """At most SIDE rows and columns of V, in float64; the largest entry is 1, unless all are 0."""
    rows, columns = (np.sort(rng.choice(side, min(side, SIDE), replace=False)) for side in V.shape)
    taken: np.ndarray = Threads(V, map).take(rows)[:, columns].astype(np.float64)
    return taken / (taken.max() or 1)


def splits_of(shape: tuple[int, int], rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
    """Which rows and columns are left out: every group of rows with every group of columns."""
    rows, columns = (rng.permutation(side) % FOLDS for side in shape)
    return [(rows == i, columns == j) for i in range(FOLDS) for j in range(FOLDS)]


def free_errors(
    V: np.ndarray,
    high: int,
    splits: Sequence[tuple[np.ndarray, np.ndarray]],
    enough: Callable[[], bool] = lambda: False,
) -> np.ndarray:
    """Squared errors of held-out entries by the SVD, relative to V's squares, shape (len(splits), high + 1).

    `enough` is asked before each split but the first LEAST: True leaves out that row and all after it.
    """
    found = np.empty((len(splits), high + 1))
    for place, (rows, columns) in enumerate(splits):
        if place >= LEAST and enough():
            found = found[:place]
            break
        A, B, C, D = _blocks(V, rows, columns)
        U, s, Vt = np.linalg.svd(D, full_matrices=False)
        used = int((s > 1e-7 * s[0]).sum()) if s[0] > 0 else 0
        left, right = B @ Vt[: min(high, used)].T / s[: min(high, used)], U[:, : min(high, used)].T @ C
        rest = A.copy()
        found[place, 0] = np.square(rest).sum()
        for rank in range(1, high + 1):
            if rank <= used:
                rest -= np.outer(left[:, rank - 1], right[rank - 1])
            found[place, rank] = np.square(rest).sum()
    return found / (float(np.square(V).sum()) / len(splits) or 1.0)


def simplest(errors: np.ndarray) -> int:
    """The fewest parts whose errors (blocks, ranks) are not clearly above the smallest, over the same blocks."""
    mean = errors.mean(axis=0)
    best = int(mean.argmin())
    above = errors - errors[:, [best]]
    noise = above.std(axis=0, ddof=1) / np.sqrt(len(errors))
    right = (above.mean(axis=0) <= CLEAR * noise) | (mean <= EXACT * mean[0])
    return int(right.argmax())


def stands_out(errors: np.ndarray, directions: int, shape: tuple[int, int]) -> bool:
    """Whether the last of the directions gain as much as parts do, or gains have faded away long before.

    The errors of photos fall more and more slowly, until noise outweighs the little that is left to gain: the last
    directions gain far less than those before, and less than the noise in one direction comes to. Where V has so many
    parts, the last ones gain about as much as others. They stand out if what they gain is nearer to what those before
    gain than to noise, in ratios.

    Parameters
    ----------
    errors : array, shape (blocks, ranks)
        As `free_errors` tells them.
    directions : int
        From 1: as `simplest` counts them.
    shape : (m, n)
        Of what was split; noise of power 1 comes to (sqrt(m) + sqrt(n))**2 in its strongest direction.
    """
    (m, n), mean = shape, errors.mean(axis=0)
    noise = STANDS_OUT * mean[directions] * (np.sqrt(m) + np.sqrt(n)) ** 2 / (m * n)
    half = max(directions - LAST, directions // 2)
    quarter = max(directions // 4, 1)  # the first direction is the mean, more or less: it is no measure
    last = (mean[half] - mean[directions]) / (directions - half)
    before = (mean[quarter] - mean[half]) / (half - quarter) if quarter < half else last
    return bool(last > 0 and last**2 > noise * before)


def part_error(
    V: np.ndarray, rank: int, split: tuple[np.ndarray, np.ndarray], goal: float, seed: int,
    on_sweep: OnSweep | None = None,
) -> float:  # fmt: skip
    """The squared error of the held-out block by parts, relative to V's squares.

    A model that does not come down to `goal` may be stuck: it exchanges a part for another as long as that explains D
    better. `on_sweep` is called after every sweep of every model; what it raises ends all of it.
    """
    A, B, C, D = _blocks(V, *split)
    whole = float(np.square(V, dtype=np.float64).sum()) * A.size / V.size or 1.0
    model = parts_of(D, rank, seed, on_sweep, init="nndsvda")
    error = _predicted(A, B, C, model) / whole
    for _ in range(EXCHANGES):
        if error <= goal:
            break
        other = _exchanged(D, model, on_sweep)
        if other.loss >= PAYS * model.loss:
            break
        model, error = other, _predicted(A, B, C, other) / whole
    return error


def parts_of(
    V: np.ndarray, rank: int, seed: int = 0, on_sweep: OnSweep | None = None, sweeps: int = SWEEPS, **start: Any
) -> Factorization:
    """A model of parts, from `start` or at random, by the plain rule: leaps and solved codes would take longer."""
    start = start or {"init": "random"}
    return factorize(
        V, rank, solver="hals", max_sweeps=sweeps, tol=1e-4, rng=seed, inner=1, jobs=1, on_sweep=on_sweep, **start
    )


def _predicted(A: np.ndarray, B: np.ndarray, C: np.ndarray, model: Factorization) -> float:
    """The squared error of A."""
    codes = transform(B, model.H, jobs=1)
    columns = transform(np.ascontiguousarray(C.T), np.ascontiguousarray(model.W.T), jobs=1)
    return float(np.square(A - codes @ columns.T, dtype=np.float64).sum())


def _exchanged(V: np.ndarray, model: Factorization, on_sweep: OnSweep | None) -> Factorization:
    """The model with one part more, for the row that it explains worst, and then without the one it needs least."""
    rest = V - model.W @ model.H
    worst = int(np.square(rest).sum(axis=1).argmax())
    W = np.column_stack([model.W, np.arange(len(V)) == worst]).astype(V.dtype)
    H = np.vstack([model.H, np.maximum(rest[worst], 0)])
    more = parts_of(V, len(H), 0, on_sweep, SETTLING, W=W, H=H)
    least = int(np.minimum(_needs(more.W, more.H), _needs(more.H.T, more.W.T)).argmin())
    W, H = np.delete(more.W, least, axis=1), np.delete(more.H, least, axis=0)
    return parts_of(V, len(H), 0, on_sweep, W=W, H=H)


def _needs(codes: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """How far from codes @ parts it is without each part, squared, with new codes of any sign, shape (k,)."""
    G = parts.astype(np.float64) @ parts.T.astype(np.float64)
    G += np.eye(len(G)) * (RIDGE * np.trace(G) / len(G) + np.finfo(float).tiny)
    missed: np.ndarray = np.square(codes, dtype=np.float64).sum(axis=0) / np.diag(np.linalg.inv(G))
    return missed


def _blocks(V: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, ...]:
    """A, B, C and D: left out, the rest of its rows, the rest of its columns, all else."""
    return V[np.ix_(rows, columns)], V[np.ix_(rows, ~columns)], V[np.ix_(~rows, columns)], V[np.ix_(~rows, ~columns)]
