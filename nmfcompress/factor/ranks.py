"""How many parts? What held-out entries say, and what a fit of each rank comes to.

Bi-cross-validation: Owen and Perry, "Bi-cross-validation of the SVD and the nonnegative matrix factorization", Annals
of Applied Statistics 3, 2009. Rows and columns are split into FOLDS groups each. A group of rows and one of columns
leave out a block A of V; B and C are what is left of its rows and columns, D all else. A model of D, with codes of B
under its columns and of C under its rows, predicts A: of more parts than V has, the last ones fit the noise of D, and
predict A worse.

The best approximation without the sign constraint (the SVD of D) is tried at all ranks at once, and gives the number of
directions that are more than noise. As many parts as that need not do where no part may be subtracted (the swimmer of
Donoho and Stodden has 13 directions and 16 limbs), so from there on models of parts are tried upwards, until they
predict as well. A model that predicts worse may also be one that got stuck, two of its parts sharing the work of one
while one does that of two: before a part more is said to be needed, parts are exchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import InputError, UsageError
from ..settings import Fit
from .blocks import Blocks, as_blocks
from .crew import Threads, workers
from .nmf import Factorization, cores, factorize, factorize_as, transform
from .start import floors

FOLDS = 4  # of the rows, and of the columns
CLEAR = 2.0  # standard errors by which more parts must predict better to be needed
SIDE = 1536  # rows and columns, at most, that are split: more would not tell more
WITHIN = 0.75  # of the largest rank tried: a minimum beyond is no sign that more would be worse
NEAR = 1.25  # times the squared error without the sign constraint: as good as that
EXACT = 1e-5  # of V's squares: nothing is left to predict better
BETTER = 0.9  # times the squared error of the rank before: worth one part more
AHEAD = 3  # ranks that are tried without being better
MOST_GAIN = 0.9  # of what the largest rank explains: what is recommended where nothing else is to be seen
SWEEPS = 80  # of a model of parts, on the rows and columns looked at
SETTLING = 12  # sweeps until a new part has found its place
EXCHANGES = 6  # of a part of such a model, before it is said to predict no better
PAYS = 0.99  # times the loss before: worth another exchange
RIDGE = 1e-9  # relative to the mean square of parts: even collinear ones have an inverse
RUNS = 4  # from other starts, which tell how stable parts are


@dataclass(frozen=True)
class Trial:
    """One rank.

    Parameters
    ----------
    fit : Factorization
        Of all of V, from the fit of the next smaller rank tried and a few random parts more.
    svd_floor : float or None
        The loss that no factorization of this rank goes below; None where min(m, n) is above 2,048.
    held_out, held_out_se : float
        Mean squared error of held-out entries relative to V's mean square, predicted without the sign constraint; and
        its standard error over the FOLDS * FOLDS blocks.
    held_out_parts : float or None
        The same predicted by parts, near the answer: the median over FOLDS of the blocks, for some fits get stuck.
    stability : float or None
        How alike the parts of several starts are, near the answer: the mean cosine of parts and their likenesses,
        0..1; 1 is the same parts from every start.
    """

    fit: Factorization
    svd_floor: float | None
    held_out: float
    held_out_se: float
    held_out_parts: float | None = None
    stability: float | None = None

    @property
    def rank(self) -> int:
        return len(self.fit.H)


@dataclass(frozen=True)
class Ranks:
    """What was tried, in rising order of rank, and what it says.

    Parameters
    ----------
    recommended : int
    knee : bool
        Whether there is a rank beyond which nothing is gained; if not, `recommended` is only where 90 % is gained.
    reason : str
        One line.
    """

    trials: tuple[Trial, ...]
    recommended: int
    knee: bool
    reason: str

    @property
    def best(self) -> Trial:
        """That of the rank that is recommended."""
        return next(trial for trial in self.trials if trial.rank == self.recommended)


def choose_rank(
    V: Any, low: int = 1, high: int = 64, *, fit: Fit | None = None,
    on_trial: Callable[[Trial], None] | None = None, enough: Callable[[], bool] = lambda: False,
) -> Ranks:  # fmt: skip
    """Ranks between `low` and `high`, coarse to fine, and which of them V needs.

    Parameters
    ----------
    V : array, shape (m, n), as for `factorize`
    low, high : int
        64 at most is a lot for parts to be looked at; both are held to what V has room for.
    fit : Fit, optional
        How all of V is factorized; its rank does not count. frobenius only.
    on_trial : callable, optional
        Called with every Trial, in the order in which they are made.
    enough : callable, optional
        Asked before every rank but the first and the one that is recommended: True ends the search early.

    Raises
    ------
    InputError
        V is too small to be split (below 8 rows or columns), or one that `factorize` refuses.
    UsageError
        `low` is below 1 or above `high`.
    """
    fit = fit or Fit(1)
    if not 1 <= low <= high:
        raise UsageError(f"ranks are {low} to {high} (expected a range from 1, such as 1 to 64)")
    if fit.divergence != "frobenius":
        raise UsageError(f"divergence is {fit.divergence} (expected frobenius: ranks are compared by squared errors)")
    blocks = as_blocks(V)
    m, n = blocks.shape
    if min(m, n) < 2 * FOLDS:
        raise InputError(f"V is {m} x {n}: too small to leave out parts of it (expected {2 * FOLDS} rows and columns)")
    search = _Search(blocks, fit, min(high, min(m, n) * (FOLDS - 1) // FOLDS), on_trial or (lambda trial: None), enough)
    return search.run(low)


class _Search:
    """The trials of one V."""

    def __init__(self, V: Blocks, fit: Fit, high: int, on_trial: Callable[[Trial], None], enough: Callable[[], bool]):
        self.V, self.fit, self.on_trial, self.enough = V, fit, on_trial, enough
        rng = np.random.default_rng(fit.seed)
        looked_at = _sample(V, rng)
        self.splits = _splits(looked_at.shape, rng)
        self.high = min(high, min(looked_at.shape) * (FOLDS - 1) // FOLDS)
        self.free = free_errors(looked_at, self.high, self.splits)
        self.looked_at = looked_at.astype(np.float32)  # tells models of parts from one another, in less time
        self.directions = max(1, simplest(self.free))
        self.diagonal = slice(0, len(self.splits), FOLDS + 1)  # every group of rows, and of columns, once
        with workers(fit.jobs or cores(), len(V.rows)) as each:
            self.floors = floors(V, each)
        self.held: dict[int, float] = {}
        self.trials: dict[int, Trial] = {}

    def run(self, low: int) -> Ranks:
        low = min(low, self.high)
        knee = self.directions <= WITHIN * self.high or self.clearly_worse_at_last()
        needed = self.climb() if knee else self.high
        rank = max(low, needed)
        coarse = {low, self.high} | {2**power for power in range(self.high.bit_length()) if low <= 2**power}
        for one in sorted(coarse):
            self.attempt(one)
        if not knee:
            rank = self.most_gained()
        self.attempt(rank, needed=True)
        fine = [one for one in (rank, rank - 1, rank + 1, rank - 2, rank + 2) if low <= one <= self.high]
        for one in fine:
            self.attempt(one)
        for one in fine[:3] if knee else ():
            if one in self.trials and not (self.enough() and one != rank):
                self.held_out(one)
                self.trials[one] = replace(self.trials[one], stability=self.stability(one))
        for one, error in self.held.items():
            if one in self.trials:
                self.trials[one] = replace(self.trials[one], held_out_parts=error)
        trials = tuple(self.trials[one] for one in sorted(self.trials))
        return Ranks(trials, rank, knee, self.reason(rank, needed, knee))

    def clearly_worse_at_last(self) -> bool:
        """Whether the largest rank predicts clearly worse than as many parts as there are directions."""
        above = self.free[:, self.high] - self.free[:, self.directions]
        return bool(above.mean() > CLEAR * above.std(ddof=1) / np.sqrt(len(above)))

    def attempt(self, rank: int, needed: bool = False) -> None:
        """Fit all of V at this rank, unless that is done, or it is enough and this one not needed."""
        if rank in self.trials or (self.trials and not needed and self.enough()):
            return
        below = [one for one in self.trials if one < rank]
        fit = replace(self.fit, rank=rank)
        if below:
            W, H = _grown(self.trials[max(below)].fit, rank, np.random.default_rng([self.fit.seed, rank]))
            found = factorize_as(self.V, fit, W=W, H=H)
        else:
            found = factorize_as(self.V, fit)
        free = self.free[:, rank]
        trial = Trial(
            found, None if self.floors is None else float(self.floors[rank]), float(free.mean()),
            float(free.std(ddof=1) / np.sqrt(len(free))),
        )  # fmt: skip
        self.trials[rank] = trial
        self.on_trial(trial)

    def held_out(self, rank: int) -> float:
        """By parts: the median over one block for each group of rows, and of columns; some fits get stuck."""
        if rank not in self.held:
            errors = [
                part_error(self.looked_at, rank, split, NEAR * free + EXACT, self.fit.seed)
                for split, free in zip(
                    self.splits[self.diagonal], self.free[self.diagonal, self.directions], strict=True
                )
            ]
            self.held[rank] = float(np.median(errors))
        return self.held[rank]

    def climb(self) -> int:
        """The first rank, from the directions on, at which parts predict as well; or the best of some."""
        goal = NEAR * float(np.median(self.free[self.diagonal, self.directions])) + EXACT
        best = rank = self.directions
        while self.held_out(rank) > goal and rank < min(best + AHEAD, self.high):
            rank += 1
            if self.held_out(rank) < BETTER * self.held_out(best):
                best = rank
        return best

    def most_gained(self) -> int:
        """The smallest rank tried that explains MOST_GAIN of what the largest explains."""
        explained = {rank: 1 - trial.fit.relative_loss**2 for rank, trial in self.trials.items()}
        first, last = explained[min(explained)], explained[max(explained)]
        return min(rank for rank, share in explained.items() if share - first >= MOST_GAIN * (last - first))

    def stability(self, rank: int) -> float:
        """The mean likeness of the parts of RUNS fits from other starts, on the rows and columns looked at."""
        bases = []
        for run in range(RUNS):
            H = _parts(self.looked_at, rank, self.fit.seed + run).H
            bases.append(H / np.maximum(np.linalg.norm(H, axis=1, keepdims=True), 1e-30))
        likenesses = [alike(bases[a], bases[b]) for a in range(RUNS) for b in range(a)]
        return float(np.mean(likenesses))

    def reason(self, rank: int, needed: int, knee: bool) -> str:
        if not knee:
            last = max(self.trials)
            share = (
                "" if rank == last else f"{rank} explain {MOST_GAIN:.0%} of what {last} do beyond {min(self.trials)}; "
            )
            where = "tried" if last == self.high else f"of the range, though time was up after rank {last}"
            how = "still predicted better" if self.free.mean(axis=0).argmin() == self.high else "predicted no worse"
            return (
                f"no knee: held-out entries are {how} at rank {self.high}, the largest {where} "
                f"({share}a quality or a size chooses better)"
            )
        if needed < rank:
            return f"held-out entries are predicted as well by {needed}: fewer than {rank}, the smallest tried"
        if rank <= self.directions:
            return f"held-out entries are predicted best by {rank}: further parts only fit noise"
        return (
            f"V has {self.directions} directions beyond noise, which only {rank} parts without negative numbers "
            "predict as well"
        )


def free_errors(V: np.ndarray, high: int, splits: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Squared errors of held-out entries by the SVD, relative to V's squares, shape (len(splits), high + 1)."""
    found = np.empty((len(splits), high + 1))
    for place, (rows, columns) in enumerate(splits):
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


def part_error(V: np.ndarray, rank: int, split: tuple[np.ndarray, np.ndarray], goal: float, seed: int) -> float:
    """The squared error of the held-out block by parts, relative to V's squares.

    A model that does not come down to `goal` may be stuck: it exchanges a part for another as long as that explains D
    better.
    """
    A, B, C, D = _blocks(V, *split)
    whole = float(np.square(V, dtype=np.float64).sum()) * A.size / V.size or 1.0
    model = _parts(D, rank, seed, init="nndsvda")
    error = _predicted(A, B, C, model) / whole
    for _ in range(EXCHANGES):
        if error <= goal:
            break
        other = _exchanged(D, model)
        if other.loss >= PAYS * model.loss:
            break
        model, error = other, _predicted(A, B, C, other) / whole
    return error


def _predicted(A: np.ndarray, B: np.ndarray, C: np.ndarray, model: Factorization) -> float:
    """The squared error of A."""
    codes = transform(B, model.H, jobs=1)
    columns = transform(np.ascontiguousarray(C.T), np.ascontiguousarray(model.W.T), jobs=1)
    return float(np.square(A - codes @ columns.T, dtype=np.float64).sum())


def _exchanged(V: np.ndarray, model: Factorization) -> Factorization:
    """The model with one part more, for the row that it explains worst, and then without the one it needs least."""
    rest = V - model.W @ model.H
    worst = int(np.square(rest).sum(axis=1).argmax())
    W = np.column_stack([model.W, np.arange(len(V)) == worst]).astype(V.dtype)
    H = np.vstack([model.H, np.maximum(rest[worst], 0)])
    more = _parts(V, len(H), sweeps=SETTLING, W=W, H=H)
    least = int(np.minimum(_needs(more.W, more.H), _needs(more.H.T, more.W.T)).argmin())
    return _parts(V, len(model.H), W=np.delete(more.W, least, axis=1), H=np.delete(more.H, least, axis=0))


def _needs(codes: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """How far from codes @ parts it is without each part, squared, with new codes of any sign, shape (k,)."""
    G = parts.astype(np.float64) @ parts.T.astype(np.float64)
    G += np.eye(len(G)) * (RIDGE * np.trace(G) / len(G) + np.finfo(float).tiny)
    missed: np.ndarray = np.square(codes, dtype=np.float64).sum(axis=0) / np.diag(np.linalg.inv(G))
    return missed


def trial_bytes(shape: tuple[int, int], high: int) -> int:
    """What trying ranks up to `high` takes beside one fit: the codes of all of them, and what is split."""
    m, n = shape
    return 4 * m * (2 * high + high.bit_length() * 2) + 8 * 4 * min(m, SIDE) * min(n, SIDE)


def simplest(errors: np.ndarray) -> int:
    """The fewest parts whose errors (blocks, ranks) are not clearly above the smallest, over the same blocks."""
    mean = errors.mean(axis=0)
    best = int(mean.argmin())
    above = errors - errors[:, [best]]
    noise = above.std(axis=0, ddof=1) / np.sqrt(len(errors))
    right = (above.mean(axis=0) <= CLEAR * noise) | (mean <= EXACT * mean[0])
    return int(right.argmax())


def alike(a: np.ndarray, b: np.ndarray) -> float:
    """The mean cosine of rows of unit length that are paired off, the most alike first."""
    cosines = a @ b.T
    found = []
    for _ in range(len(a)):
        i, j = np.unravel_index(int(cosines.argmax()), cosines.shape)
        found.append(float(cosines[i, j]))
        cosines[i], cosines[:, j] = -1, -1
    return float(np.mean(found))


def _sample(V: Blocks, rng: np.random.Generator) -> np.ndarray:
    """At most SIDE rows and columns of V, in float64; the largest entry is 1, unless all are 0."""
    rows, columns = (np.sort(rng.choice(side, min(side, SIDE), replace=False)) for side in V.shape)
    taken: np.ndarray = Threads(V, map).take(rows)[:, columns].astype(np.float64)
    return taken / (taken.max() or 1)


def _splits(shape: tuple[int, int], rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
    """Which rows and columns are left out: every group of rows with every group of columns."""
    rows, columns = (rng.permutation(side) % FOLDS for side in shape)
    return [(rows == i, columns == j) for i in range(FOLDS) for j in range(FOLDS)]


def _blocks(V: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, ...]:
    """A, B, C and D: left out, the rest of its rows, the rest of its columns, all else."""
    return V[np.ix_(rows, columns)], V[np.ix_(rows, ~columns)], V[np.ix_(~rows, columns)], V[np.ix_(~rows, ~columns)]


def _parts(V: np.ndarray, rank: int, seed: int = 0, sweeps: int = SWEEPS, **start: Any) -> Factorization:
    """A model of parts, from `start` or at random, by the plain rule: leaps and solved codes would take longer."""
    start = start or {"init": "random"}
    return factorize(V, rank, solver="hals", max_sweeps=sweeps, tol=1e-4, rng=seed, inner=1, jobs=1, **start)


def _grown(fit: Factorization, rank: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The factors, with small random parts more."""
    W, H = np.asarray(fit.W), fit.H
    more = rank - len(H)
    new_W = (1 - rng.random((len(W), more), dtype=W.dtype.type)) * W.dtype.type(0.2 * float(W.mean()))
    new_H = (1 - rng.random((more, H.shape[1]), dtype=H.dtype.type)) * H.dtype.type(float(H.mean()))
    return np.concatenate([W, new_W], axis=1), np.concatenate([H, new_H])
