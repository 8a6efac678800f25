"""factorize() and transform(): start, sweep, stop."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..errors import InputError, UsageError
from ..settings import Fit
from . import start
from .blocks import LARGEST, Blocks, Each, Filled, as_blocks, check_mask, scale_of, workers
from .objectives import BETAS, BetaDivergence, LeastSquares, Objective, Sums, total
from .solvers import FLOOR, SOLVERS

ROUNDING = 10  # a relative_loss below so many units of rounding is noise: nothing is left to gain
WINDOW = 10  # sweeps over which the fall of the loss is compared with tol


@dataclass(frozen=True)
class SweepRecord:
    """One sweep: `sweep` from 1, `loss` and `relative_loss` after it, `seconds` since the start."""

    sweep: int
    loss: float
    relative_loss: float
    seconds: float


@dataclass(frozen=True)
class Factorization:
    """V ~ W @ H.

    Parameters
    ----------
    W : array, shape (m, rank), >= 0, float32 or float64
    H : array, shape (rank, n), >= 0
    records : tuple of SweepRecord
        One a sweep; the last belongs to W and H as they are here.
    converged : bool
        Whether `tol` ended the sweeps before `max_sweeps` did.
    """

    W: np.ndarray
    H: np.ndarray
    records: tuple[SweepRecord, ...]
    converged: bool

    @property
    def loss(self) -> float:
        """The loss of W and H."""
        return self.records[-1].loss

    @property
    def relative_loss(self) -> float:
        """||V - W H||_F / ||V||_F."""
        return self.records[-1].relative_loss

    def shares(self) -> np.ndarray:
        """How much of ||W H||^2 each part accounts for, shape (rank,), adding up to 1.

        Part j has <w_j h_j, W H>: its own square and its overlap with the others.
        """
        W, H = self.W.astype(np.float64), self.H.astype(np.float64)
        weights = ((W.T @ W) * (H @ H.T)).sum(axis=1)
        return weights / weights.sum() if weights.sum() > 0 else np.full(len(H), 1 / len(H))

    def explained(self) -> np.ndarray:
        """How much of ||V||^2 each part explains, shape (rank,): `shares` of the 1 - relative_loss^2 that W H does."""
        return self.shares() * max(0.0, 1 - self.relative_loss**2)

    def sorted(self) -> Factorization:
        """The same with the parts in falling order of `shares`."""
        order = np.argsort(-self.shares(), kind="stable")
        return Factorization(self.W[:, order], self.H[order], self.records, self.converged)


def factorize(
    V: np.ndarray | Blocks,
    rank: int,
    *,
    solver: str = "mu",
    divergence: str = "frobenius",
    init: str = "random",
    rng: np.random.Generator | int | None = None,
    max_sweeps: int = 200,
    tol: float = 1e-4,
    inner: int | None = None,
    mask: np.ndarray | None = None,
    W: np.ndarray | None = None,
    H: np.ndarray | None = None,
    jobs: int | None = None,
    on_sweep: Callable[[SweepRecord], None] | None = None,
) -> Factorization:
    """Find W, H >= 0 of rank `rank` with V ~ W @ H.

    Parameters
    ----------
    V : array, shape (m, n)
        uint8 or uint16 (scaled to 0..1 as it is read, never copied to float as a whole), float32 or float64
        >= 0. float64 gives float64 factors, all else float32. Objects with the protocol `factor.blocks.Blocks` too.
    rank : int
        Number of parts, 1 to min(m, n).
    solver : {"mu"}
        Multiplicative updates (Lee and Seung, NIPS 2000, equation 4), H first.
    divergence : {"frobenius", "kl", "is"}
        ||V - W H||_F, Kullback-Leibler or Itakura-Saito; for "is" zeros count as half a grey level (0.5/255 for
        uint8 and floats, 0.5/65535 for uint16), also in the loss.
    init : {"random", "nndsvda"}
    rng : Generator, int or None
        Source of the random start; None is seed 0.
    max_sweeps, tol : int, float
        Most sweeps, and the relative fall of the loss over 10 sweeps at which to stop (0: never early).
    inner : int or None
        Repeats of the inner step (frobenius without a mask); 1 is the plain rule and nothing else, None repeats
        while it pays (Gillis and Glineur 2012) and solves W to tolerance for its H in the last sweep.
    mask : array of bool, broadcastable to (m, n)
        True = known. Missing entries may hold anything that V may, and are ignored.
    W, H : array, optional
        A start of your own, shapes (m, rank) and (rank, n), instead of the random one.
    jobs : int or None
        Threads over blocks; the result is the same for any number. None is every core that this process may use
        when BLAS is held to one thread (OPENBLAS_NUM_THREADS=1 before NumPy is imported, the fastest), else 1.
    on_sweep : callable, optional
        Called with each SweepRecord; an exception that it raises passes through unchanged.

    Returns
    -------
    Factorization

    Raises
    ------
    InputError
        V is not 2-d, empty, negative, NaN, infinite or above 1e15, or `rank` is above min(m, n).
    UsageError
        An argument is out of its range, or a mask or a start does not fit V.
    """
    seed = 0 if rng is None or isinstance(rng, np.random.Generator) else rng
    fit = Fit(rank, max_sweeps, tol, solver, inner, divergence, init, seed, jobs=jobs)
    blocks = as_blocks(V)
    m, n = blocks.shape
    if rank > min(m, n):
        raise InputError(f"rank {rank} is above {min(m, n)}, the smaller side of V ({m} x {n})")
    mask = check_mask(mask, blocks.shape)
    began = time.perf_counter()
    with workers(jobs or cores(), len(blocks.rows)) as each:
        mean, norm2 = _moments(blocks, mask, each)
        generator = rng if isinstance(rng, np.random.Generator) else np.random.default_rng(seed)
        known = blocks if mask is None else Filled(blocks, mask, mean)
        codes, basis = _start(known, fit, mean, generator, each, W, H)
        objective = _objective(blocks, fit, mask, mean, norm2, V)

        def read(H: np.ndarray, last: bool) -> Sums:
            """One read of V: every block of W updated for this H, and the sums for the next."""
            of_H = objective.prepare(H)

            def update(rows: slice) -> Sums:
                codes[rows], share = objective.codes(rows, codes[rows], H, of_H, last)
                return share

            return total(each(update, blocks.rows))

        def look(H: np.ndarray) -> Sums:
            """The sums of the factors as they are."""
            return total(each(lambda rows: objective.start(rows, codes[rows], H), blocks.rows))

        sums = look(basis)
        records: list[SweepRecord] = []
        converged = False
        for sweep in range(1, max_sweeps + 1):
            last = inner != 1 and (converged or sweep == max_sweeps)
            basis = objective.basis(basis, sums)
            sums = read(basis, last)
            while (losses := objective.losses(basis, sums)) is None:
                sums = look(basis)
            records.append(SweepRecord(sweep, *losses, time.perf_counter() - began))
            if on_sweep is not None:
                on_sweep(records[-1])
            if converged and last:
                break
            converged = tol > 0 and _settled(records, tol, ROUNDING * float(np.finfo(blocks.dtype).eps))
            if converged and inner == 1:
                break
    return Factorization(codes, basis, tuple(records), converged)


def factorize_best(
    V: np.ndarray | Blocks,
    fit: Fit,
    mask: np.ndarray | None = None,
    on_sweep: Callable[[SweepRecord], None] | None = None,
) -> Factorization:
    """The best of `fit.restarts` factorizations from independent starts, the first of them from `fit.seed` itself."""

    def attempt(restart: int) -> Factorization:
        return factorize(
            V, fit.rank, solver=fit.solver, divergence=fit.divergence, init=fit.init,
            rng=np.random.default_rng([fit.seed, restart] if restart else fit.seed),
            max_sweeps=fit.max_sweeps, tol=fit.tol, inner=fit.inner, mask=mask, jobs=fit.jobs, on_sweep=on_sweep,
        )  # fmt: skip

    best = attempt(0)
    for restart in range(1, fit.restarts):
        found = attempt(restart)
        best = found if found.loss < best.loss else best
    return best


def transform(
    V: np.ndarray | Blocks,
    H: np.ndarray,
    *,
    divergence: str = "frobenius",
    mask: np.ndarray | None = None,
    jobs: int | None = None,
) -> np.ndarray:
    """Codes W >= 0 of V under a given basis H, solved to tolerance.

    Parameters
    ----------
    V : array, shape (m, n), as for `factorize`
    H : array, shape (rank, n), >= 0
    divergence, mask, jobs
        As for `factorize`.

    Returns
    -------
    array, shape (m, rank)
        For the data that H was learned from, the W that `factorize` returned (Frobenius, no mask: to 1e-4, unless parts
        are linearly dependent, when only the loss is the same); for other divergences and masks, codes whose loss is
        the same to about 0.5 %, though entries may differ by more.
    """
    blocks = as_blocks(V)
    fit = Fit(len(H) if np.ndim(H) == 2 else 1, divergence=divergence, jobs=jobs)
    H = _factor(H, (fit.rank, blocks.shape[1]), "H", blocks.dtype)
    mask = check_mask(mask, blocks.shape)
    with workers(jobs or cores(), len(blocks.rows)) as each:
        mean, norm2 = _moments(blocks, mask, each)
        objective = _objective(blocks, fit, mask, mean, norm2, V)
        of_H = objective.prepare(H)
        size = mean / (float(H.mean()) * len(H)) if H.any() else 0.0
        flat = np.full((1, len(H)), max(size, objective.floor), H.dtype)

        def solve(rows: slice) -> np.ndarray:
            return objective.codes(rows, np.repeat(flat, rows.stop - rows.start, axis=0), H, of_H, True)[0]

        return np.concatenate(list(each(solve, blocks.rows)))


def best_rank_loss(V: np.ndarray | Blocks, rank: int, jobs: int | None = None) -> float | None:
    """svd_floor: the loss that no factorization of this rank can go below; None where min(m, n) is above 2,048."""
    blocks = as_blocks(V)
    with workers(jobs or cores(), len(blocks.rows)) as each:
        return start.svd_floor(blocks, rank, each)


def cores() -> int:
    """Threads to use unless told: every core when BLAS is held to one thread, else one, for BLAS takes the cores.

    Threads of ours that each call a BLAS with threads of its own are many times slower than either alone.
    """
    if all(os.environ.get(name) != "1" for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")):
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _moments(blocks: Blocks, mask: np.ndarray | None, each: Each) -> tuple[float, float]:
    """The mean and the sum of squares of V's known entries."""

    def share(rows: slice) -> tuple[float, float]:
        V = blocks.read(rows)
        if mask is not None:
            V = V * mask[rows]
        return float(V.sum(dtype=np.float64)), float(np.einsum("ij,ij->", V, V, dtype=np.float64))

    shares = list(each(share, blocks.rows))
    known = blocks.shape[0] * blocks.shape[1] if mask is None else int(np.count_nonzero(mask))
    return sum(s for s, _ in shares) / known, sum(q for _, q in shares)


def _start(
    blocks: Blocks, fit: Fit, mean: float, rng: np.random.Generator, each: Each,
    W: np.ndarray | None, H: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """W and H to begin with: those given, the rest by `fit.init`; new arrays, nothing below the floor."""
    (m, n), k = blocks.shape, fit.rank
    if W is None or H is None:
        if fit.init == "nndsvda":
            made_W, made_H = start.nndsvda(blocks, k, mean, rng, each)
        else:
            made_W, made_H = start.random_start(blocks, k, mean, rng)
    floor = blocks.dtype.type(_floor(mean, k))
    W = np.maximum(made_W if W is None else _factor(W, (m, k), "W", blocks.dtype), floor)
    H = np.maximum(made_H if H is None else _factor(H, (k, n), "H", blocks.dtype), floor)
    return W, H


def _factor(X: np.ndarray, shape: tuple[int, int], name: str, dtype: np.dtype) -> np.ndarray:
    X = np.asarray(X)
    if X.shape != shape:
        raise UsageError(f"{name} has shape {X.shape} (expected {shape})")
    if X.dtype.kind not in "fiu":
        raise UsageError(f"{name} has type {X.dtype} (expected real numbers)")
    if not np.isfinite(X).all() or X.min() < 0:
        raise UsageError(f"{name} has negative, NaN or infinite values (expected finite values >= 0)")
    if X.max() > LARGEST:
        raise UsageError(f"{name} has values up to {X.max():g} (expected at most {LARGEST:g}: scale it)")
    return X.astype(dtype)


def _floor(mean: float, rank: int) -> float:
    """FLOOR in the units of V's factors."""
    return FLOOR * float(np.sqrt(mean / rank)) if mean > 0 else FLOOR


def _objective(blocks: Blocks, fit: Fit, mask: np.ndarray | None, mean: float, norm2: float, V: object) -> Objective:
    floor = _floor(mean, fit.rank)
    if fit.divergence == "frobenius" and mask is None:
        return LeastSquares(blocks, norm2, SOLVERS[fit.solver], fit.inner, floor)
    level = scale_of(getattr(V, "dtype", np.dtype(np.uint8))) or 1 / 255
    return BetaDivergence(blocks, norm2, BETAS[fit.divergence], mask, floor, level / 2)


def _settled(records: list[SweepRecord], tol: float, noise: float) -> bool:
    if len(records) <= WINDOW:
        return False
    before, now = records[-1 - WINDOW].loss, records[-1].loss
    return before - now <= tol * before or 0 < records[-1].relative_loss <= noise
