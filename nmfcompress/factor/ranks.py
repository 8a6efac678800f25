"""How many parts? What held-out entries say, and what a fit of each rank comes to.

Entries are held out as in heldout.py. The best approximation without the sign constraint gives the number of directions
that are more than noise. There is a knee where those stand out; where they taper off, as in photos, there is none. As
many parts as directions need not do where no part may be subtracted (the swimmer of Donoho and Stodden has 13
directions and 16 limbs), so from there on models of parts are tried upwards, until they predict as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import InputError, UsageError
from ..settings import Fit
from .blocks import Blocks, as_blocks
from .crew import Piece, Result, workers
from .heldout import (
    CLEAR,
    EXACT,
    FOLDS,
    SIDE,
    free_errors,
    part_error,
    parts_of,
    sample,
    simplest,
    splits_of,
    stands_out,
)
from .nmf import Factorization, cores, factorize_as
from .start import floors
from .sweeps import SweepRecord

WITHIN = 0.75  # of the largest rank tried: a minimum beyond is no sign that more would be worse
NEAR = 1.25  # times the squared error without the sign constraint: as good as that
BETTER = 0.9  # times the squared error of the rank before: worth one part more
AHEAD = 3  # ranks that are tried without being better
MOST_GAIN = 0.9  # of what the largest rank explains: what is recommended where nothing else is to be seen
RUNS = 4  # from other starts, which tell how stable parts are


@dataclass(frozen=True)
class Trial:
    """One rank.

    Parameters
    ----------
    fit : Factorization
        Of all of V, from the fit of the next smaller rank tried and a few random parts more.
    svd_floor : float or None
        The loss that no factorization of this rank goes below; None where min(m, n) is above 2,048, or time was up.
    held_out, held_out_se : float
        Mean squared error of held-out entries relative to V's mean square, predicted without the sign constraint; and
        its standard error over the FOLDS * FOLDS blocks, or as many as there was time for.
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
        Whether gains end at a rank, and do not fade away; if not, `recommended` is only where 90 % is gained.
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
        Whether time is up; asked before and within all that takes long, sweep by sweep. True ends the search: what is
        under way is given up, what is not known stays None, and `reason` says so. Only the fits of the first rank and
        of the one that is recommended are always made.

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


class TimeUp(Exception):
    """What is under way is given up."""


class _Search:
    """The trials of one V."""

    def __init__(self, V: Blocks, fit: Fit, high: int, on_trial: Callable[[Trial], None], enough: Callable[[], bool]):
        self.V, self.fit, self.on_trial, self.enough = V, fit, on_trial, enough
        self.late = False  # something was left out, for time was up
        self.settled = True  # or this was, which decides how many parts there are
        rng = np.random.default_rng(fit.seed)
        looked_at = sample(V, rng)
        splits = splits_of(looked_at.shape, rng)
        self.high = min(high, min(looked_at.shape) * (FOLDS - 1) // FOLDS)
        self.free = free_errors(looked_at, self.high, splits, self.time_up)
        self.splits = splits[: len(self.free)]
        self.looked_at = looked_at.astype(np.float32)  # tells models of parts from one another, in less time
        self.directions = max(1, simplest(self.free))
        self.diagonal = slice(0, len(self.splits), FOLDS + 1)  # every group of rows, and of columns, once
        self.floors = self.lowest()
        self.held: dict[int, float] = {}
        self.trials: dict[int, Trial] = {}

    def time_up(self) -> bool:
        """Asked before anything that takes long and can be left out, which it then is."""
        self.late = self.late or self.enough()
        return self.late

    def ask(self, record: SweepRecord | None = None) -> None:
        """The same between sweeps: TimeUp ends them."""
        if self.time_up():
            raise TimeUp

    def run(self, low: int) -> Ranks:
        low = min(low, self.high)
        ends = self.directions <= WITHIN * self.high or self.clearly_worse_at_last()
        knee = ends and stands_out(self.free, self.directions, self.looked_at.shape)
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
        with suppress(TimeUp):
            for one in fine[:3] if knee else ():
                if one in self.trials:
                    self.held_out(one)
                    self.trials[one] = replace(self.trials[one], stability=self.stability(one))
        for one, error in self.held.items():
            if one in self.trials:
                self.trials[one] = replace(self.trials[one], held_out_parts=error)
        trials = tuple(self.trials[one] for one in sorted(self.trials))
        return Ranks(trials, rank, knee, self.reason(rank, needed, knee, ends))

    def lowest(self) -> np.ndarray | None:
        """The floors of all ranks, if there are any and there is time."""

        def asking(work: Callable[[Piece], Result], pieces: Sequence[Piece], /) -> Iterator[Result]:
            for result in each(work, pieces):
                self.ask()
                yield result

        with suppress(TimeUp), workers(self.fit.jobs or cores(), len(self.V.rows)) as each:
            self.ask()
            return floors(self.V, asking)
        return None

    def clearly_worse_at_last(self) -> bool:
        """Whether the largest rank predicts clearly worse than as many parts as there are directions."""
        above = self.free[:, self.high] - self.free[:, self.directions]
        return bool(above.mean() > CLEAR * above.std(ddof=1) / np.sqrt(len(above)))

    def attempt(self, rank: int, needed: bool = False) -> None:
        """Fit all of V at this rank, unless that is done, or time is up and this one not needed."""
        spared = bool(self.trials) and not needed
        if rank in self.trials or (spared and self.time_up()):
            return
        below = [one for one in self.trials if one < rank]
        fit = replace(self.fit, rank=rank)
        W = H = None
        if below:
            W, H = _grown(self.trials[max(below)].fit, rank, np.random.default_rng([self.fit.seed, rank]))
        try:
            found = factorize_as(self.V, fit, on_sweep=self.ask if spared else None, W=W, H=H)
        except TimeUp:
            return
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
                part_error(self.looked_at, rank, split, NEAR * free + EXACT, self.fit.seed, self.ask)
                for split, free in zip(
                    self.splits[self.diagonal], self.free[self.diagonal, self.directions], strict=True
                )
            ]
            self.held[rank] = float(np.median(errors))
        return self.held[rank]

    def climb(self) -> int:
        """The first rank, from the directions on, at which parts predict as well; or the best of those tried."""
        goal = NEAR * float(np.median(self.free[self.diagonal, self.directions])) + EXACT
        best = rank = self.directions
        try:
            while self.held_out(rank) > goal and rank < min(best + AHEAD, self.high):
                rank += 1
                if self.held_out(rank) < BETTER * self.held_out(best):
                    best = rank
        except TimeUp:
            self.settled = False
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
            H = parts_of(self.looked_at, rank, self.fit.seed + run, self.ask).H
            bases.append(H / np.maximum(np.linalg.norm(H, axis=1, keepdims=True), 1e-30))
        likenesses = [alike(bases[a], bases[b]) for a in range(RUNS) for b in range(a)]
        return float(np.mean(likenesses))

    def reason(self, rank: int, needed: int, knee: bool, ends: bool) -> str:
        said = self.of_knee(rank, needed) if knee else self.of_none(rank, ends)
        return f"{said}; time was up before all was tried" if self.late else said

    def of_none(self, rank: int, ends: bool) -> str:
        """Why there is no knee; `ends`: gains do end, but nothing marks the place."""
        if not self.free.any():
            return f"no knee: all entries are 0, and {rank} parts are the fewest tried"
        first, last = min(self.trials), max(self.trials)
        share = "" if rank == last else f"{rank} explain {MOST_GAIN:.0%} of what {last} do beyond {first}; "
        if ends:
            what = f"gains fade away up to about rank {self.directions}, with no part that stands out"
        else:
            how = "still predicted better" if self.free.mean(axis=0).argmin() == self.high else "predicted no worse"
            where = "tried" if last == self.high else "of the range"
            what = f"held-out entries are {how} at rank {self.high}, the largest {where}"
        return f"no knee: {what} ({share}a quality or a size chooses better)"

    def of_knee(self, rank: int, needed: int) -> str:
        if not self.settled:
            return (
                f"V has {self.directions} directions beyond noise, and parts were not tried up to as good a prediction"
            )
        if needed < rank:
            return f"held-out entries are predicted as well by {needed}: fewer than {rank}, the smallest tried"
        if rank <= self.directions:
            return f"held-out entries are predicted best by {rank}: further parts only fit noise"
        return (
            f"V has {self.directions} directions beyond noise, which only {rank} parts without negative numbers "
            "predict as well"
        )


def trial_bytes(shape: tuple[int, int], high: int) -> int:
    """What trying ranks up to `high` takes beside one fit: the codes of all of them, and what is split."""
    m, n = shape
    return 4 * m * (2 * high + high.bit_length() * 2) + 8 * 4 * min(m, SIDE) * min(n, SIDE)


def alike(a: np.ndarray, b: np.ndarray) -> float:
    """The mean cosine of rows of unit length that are paired off, the most alike first."""
    cosines = a @ b.T
    found = []
    for _ in range(len(a)):
        i, j = np.unravel_index(int(cosines.argmax()), cosines.shape)
        found.append(float(cosines[i, j]))
        cosines[i], cosines[:, j] = -1, -1
    return float(np.mean(found))


def _grown(fit: Factorization, rank: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The factors, with small random parts more."""
    W, H = np.asarray(fit.W), fit.H
    more = rank - len(H)
    new_W = (1 - rng.random((len(W), more), dtype=W.dtype.type)) * W.dtype.type(0.2 * float(W.mean()))
    new_H = (1 - rng.random((more, H.shape[1]), dtype=H.dtype.type)) * H.dtype.type(float(H.mean()))
    return np.concatenate([W, new_W], axis=1), np.concatenate([H, new_H])
