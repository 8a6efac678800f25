"""factorize() and transform(): start, sweep, stop."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import InputError, UsageError
from ..ranges import Penalty, both
from ..settings import Fit
from . import cluster, start
from .blocks import LARGEST, Blocks, Filled, as_blocks, check_mask
from .checkpoint import Checkpoint, OnCheckpoint, data_of
from .crew import Crew, Threads, workers
from .objectives import objective_for
from .sums import Codes, Moments, Objective
from .sweeps import State, SweepRecord, descend, first_read, read, resumed


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
        H = self.H.astype(np.float64)
        weights = (self._gram() * (H @ H.T)).sum(axis=1)
        return weights / weights.sum() if weights.sum() > 0 else np.full(len(H), 1 / len(H))

    def _gram(self) -> np.ndarray:
        """Wt W in float64, taken where W is."""
        if isinstance(self.W, cluster.Far):
            return self.W.gram()
        W = self.W.astype(np.float64)
        return np.asarray(W.T @ W)

    def explained(self) -> np.ndarray:
        """How much of ||V||^2 each part explains, shape (rank,): `shares` of the 1 - relative_loss^2 that W H does."""
        return self.shares() * max(0.0, 1 - self.relative_loss**2)

    def sorted(self) -> Factorization:
        """The same with the parts in falling order of `shares`."""
        order = np.argsort(-self.shares(), kind="stable")
        return Factorization(self.W[:, order], self.H[order], self.records, self.converged)


def factorize(
    V: Any,
    rank: int,
    *,
    solver: str = "mu",
    divergence: str = "frobenius",
    init: str = "auto",
    rng: np.random.Generator | int | None = None,
    max_sweeps: int = 200,
    tol: float = 1e-4,
    inner: int | None = None,
    l1: Penalty = 0.0,
    l2: Penalty = 0.0,
    restarts: int = 1,
    mask: np.ndarray | None = None,
    W: np.ndarray | None = None,
    H: np.ndarray | None = None,
    jobs: int | None = None,
    on_sweep: Callable[[SweepRecord], None] | None = None,
    resume: Checkpoint | None = None,
    on_checkpoint: OnCheckpoint | None = None,
) -> Factorization:
    """Find W, H >= 0 of rank `rank` with V ~ W @ H.

    Parameters
    ----------
    V : array, shape (m, n)
        uint8 or uint16 (scaled to 0..1 as it is read, never copied to float as a whole), float32 or float64
        >= 0. float64 gives float64 factors, all else float32. Whatever has shape, dtype and V[first:last] is read
        a block at a time; objects with the protocol `factor.blocks.Blocks` too. A Dask array is worked on by the
        workers that hold its chunks, and W is then a Dask array; `factor.cluster.Cluster` brings any other V there.
    rank : int
        Number of parts, 1 to min(m, n), or as many as the `H` to begin with has.
    solver : {"mu", "hals"}
        Multiplicative updates (Lee and Seung, NIPS 2000, equation 4), H first; or hierarchical alternating least
        squares with extrapolation (Ang and Gillis 2019), which goes farther (frobenius without a mask).
    divergence : {"frobenius", "kl", "is"}
        ||V - W H||_F, Kullback-Leibler or Itakura-Saito; for "is" zeros count as half a grey level (0.5/255 for
        uint8 and floats, 0.5/65535 for uint16), also in the loss.
    init : {"auto", "sample", "random", "nndsvda"}
        "sample" learns H from some 1,000 + 40 rank rows first, which saves most sweeps over V; it needs 8 times as
        many rows. "auto" is that where it can be done (without a mask, inner or H), else "random".
    rng : Generator, int or None
        Source of the random start, or its seed; None is seed 0. A Generator is drawn from, and goes on.
    max_sweeps, tol : int, float
        Most sweeps, and the relative fall of the loss over 10 sweeps at which to stop (0: never early).
    inner : int or None
        Repeats of the inner step (frobenius without a mask); 1 is the plain rule and nothing else, None repeats
        while it pays (Gillis and Glineur 2012) and solves W to tolerance for its H in the last sweep.
    l1, l2 : float or (float, float)
        What large factors cost, one number for both or one each for W and H, >= 0:
        n (l1 |W|_1 + l2/2 ||W||_F^2) + m (l1 |H|_1 + l2/2 ||H||_F^2) is added to ||V - W H||_F^2 / 2, or to the
        divergence. l1 makes entries zero: for values in 0..1 and frobenius 1e-3 is felt, 3e-3 typical, and by 1e-2
        whole parts go. l2 keeps all of them small and alike: 1e-2 is felt, 1e-1 much, by 1 nothing is left. A cost of
        one factor alone is escaped by scaling: the other must cost something, too.
    restarts : int
        Independent starts, of which the best is kept: whole factorizations, or under init "sample" samples.
    mask : array of bool, broadcastable to (m, n)
        True = known. Missing entries may hold anything that V may, and are ignored.
    W, H : array, optional
        A start of your own, shapes (m, rank) and (rank, n), instead of the random one. Under H alone W begins with
        the codes of that H; under W alone H is random.
    jobs : int or None
        Threads over blocks; the result is the same for any number. None is every core that this process may use
        when BLAS is held to one thread (OPENBLAS_NUM_THREADS=1 before NumPy is imported, the fastest), else 1.
    on_sweep : callable, optional
        Called with each SweepRecord; an exception that it raises passes through unchanged.
    resume : Checkpoint, optional
        Go on from there, on the same V and with the same options (max_sweeps, tol and jobs may be others), and end with
        the bytes of a run that was never stopped, its records included, the seconds aside. The read of V that compares
        the data is not counted in them.
    on_checkpoint : callable, optional
        Called as on_checkpoint(take, last) between the sweeps: take() is a Checkpoint whose arrays are the run's own,
        so `numpy.savez(file, **factor.checkpoint.pack(take()))` belongs inside the call; `factor.checkpoint.unpack`
        makes it of the arrays again. `last`: no later one comes, only the sweep that solves W (`inner` 1 has none).
        With `restarts` above 1 under init "sample" only.

    Returns
    -------
    Factorization

    Raises
    ------
    InputError
        V is not 2-d, empty, negative, NaN, infinite or above 1e15 (found by the first read, which names the row), or
        `rank` is above min(m, n) where no H is given.
    OtherRun
        `resume` is of other data or options (an InputError).
    UsageError
        An argument is out of its range, or a mask or a start does not fit V.
    """
    if resume is not None and not isinstance(resume, Checkpoint):
        raise UsageError(f"resume is {type(resume).__name__} (expected a Checkpoint)")
    for name, call in (("on_sweep", on_sweep), ("on_checkpoint", on_checkpoint)):
        if call is not None and not callable(call):
            raise UsageError(f"{name} is {type(call).__name__} (expected something to call)")
    seed = 0 if rng is None or isinstance(rng, np.random.Generator) else rng
    penalties = both(l1, "l1"), both(l2, "l2")
    fit = Fit(rank, max_sweeps, tol, solver, inner, divergence, init, seed, restarts, jobs, *penalties)
    given = rng if isinstance(rng, np.random.Generator) else None
    return factorize_as(V, fit, mask, on_sweep, given, W, H, resume, on_checkpoint)


def factorize_as(
    V: Any,
    fit: Fit,
    mask: np.ndarray | None = None,
    on_sweep: Callable[[SweepRecord], None] | None = None,
    rng: np.random.Generator | None = None,
    W: np.ndarray | None = None,
    H: np.ndarray | None = None,
    resume: Checkpoint | None = None,
    on_checkpoint: OnCheckpoint | None = None,
) -> Factorization:
    """`factorize` as settings say; `rng` replaces `fit.seed`. The rest is as for `factorize`."""
    began = time.perf_counter() - (0 if resume is None else resume.seconds)
    with _crew(V, fit, mask) as (crew, zero):
        m, n = crew.shape
        if fit.rank > min(m, n) and H is None:
            raise InputError(f"rank {fit.rank} is above {min(m, n)}, the smaller side of V ({m} x {n})")
        masked = crew.mask is not None
        if masked and fit.solver != "mu":
            raise UsageError(f"solver is {fit.solver} with a mask (expected mu: hals is for frobenius without one)")
        init = _init(fit, crew, masked or W is not None or H is not None)
        kept = resume is not None or on_checkpoint is not None
        if kept and fit.restarts > 1 and init != "sample":
            raise UsageError(f"restarts is {fit.restarts} with a checkpoint (expected 1, or init sample)")
        if resume is not None:
            resume.check_fit(fit)
        moments = crew.moments(crc=kept)
        data = data_of(V.array if isinstance(V, cluster.Cluster) else V, crew, moments, crew.mask if kept else None)
        objective = objective_for(fit, moments, zero, crew.shape, masked)

        def rested(state: State, last: bool) -> None:
            if on_checkpoint is not None:
                on_checkpoint(lambda: Checkpoint(fit, data, state, crew.codes(), crew.reads), last)

        def told(state: State) -> None:
            if on_sweep is not None:
                on_sweep(state.records[-1])

        found: list[Factorization] = []
        for restart in range(1 if init == "sample" else fit.restarts):
            draws = rng or np.random.default_rng([fit.seed, restart] if restart else fit.seed)
            if resume is not None:
                resume.check_data(data)
                crew.begin(resume.codes)
                crew.reads = resume.reads
                state = resumed(resume.state, fit)
            else:
                codes, basis = _start(crew, fit, init, moments, zero, draws, W, H)
                state = _begin(crew, objective, codes, basis, moments)
            state = descend(
                crew, objective, state, fit, elapsed=lambda: time.perf_counter() - began, on_state=told, on_rest=rested
            )
            if not found or state.records[-1].brought_down < found[0].records[-1].brought_down:
                found = [Factorization(crew.factor(), state.H, state.records, state.settled)]
    return found[0]


def _begin(crew: Crew, objective: Objective, codes: np.ndarray | None, basis: np.ndarray, moments: Moments) -> State:
    """The state before the first sweep; without codes, those that the basis asks for."""
    least = crew.dtype.type(objective.floor)
    crew.begin(np.maximum(start.flat_codes(basis, moments.mean) if codes is None else codes, least))
    return first_read(crew, objective, np.maximum(basis, least), Codes.BEGIN if codes is None else Codes.KEEP)


def transform(
    V: Any,
    H: np.ndarray,
    *,
    divergence: str = "frobenius",
    l1: Penalty = 0.0,
    l2: Penalty = 0.0,
    mask: np.ndarray | None = None,
    jobs: int | None = None,
) -> np.ndarray:
    """Codes W >= 0 of V under a given basis H, solved to tolerance.

    Parameters
    ----------
    V : array, shape (m, n), as for `factorize`
    H : array, shape (rank, n), >= 0
    divergence, l1, l2, mask, jobs
        As for `factorize`; of the penalties, those of W count.

    Returns
    -------
    array, shape (m, rank)
        For the data that H was learned from, the W that `factorize` returned, to 1e-4 (other divergences:
        1e-3); unless parts are linearly dependent: then codes are not unique, and near-exact fits lose some of their
        exactness. Not after `inner` 1, which never solves W.
    """
    rank = len(H) if np.ndim(H) == 2 else 1
    fit = Fit(rank, divergence=divergence, jobs=jobs, l1=both(l1, "l1"), l2=both(l2, "l2"))
    return transform_as(V, H, fit, mask).W


def transform_as(V: Any, H: np.ndarray, fit: Fit, mask: np.ndarray | None = None) -> Factorization:
    """`transform` as settings say (rank, divergence, penalties, jobs), with a record of the one sweep that it is."""
    began = time.perf_counter()
    with _crew(V, fit, mask) as (crew, zero):
        H = _factor(H, (fit.rank, crew.shape[1]), "H", crew.dtype)
        moments = crew.moments()
        fit = replace(fit, solver="mu", inner=None)  # codes are solved in the same way whatever H was learned with
        objective = objective_for(fit, moments, zero, crew.shape, crew.mask is not None)
        crew.begin(np.maximum(start.flat_codes(H, moments.mean), crew.dtype.type(objective.floor)))
        sums, losses, _ = read(crew, objective, H, Codes.SOLVE, False)
        seconds = time.perf_counter() - began
        record = SweepRecord(1, losses.loss, losses.relative_loss, seconds, crew.reads, sums.gradient, losses.objective)
        return Factorization(crew.factor(), H, (record,), True)


def best_rank_loss(V: Any, rank: int, jobs: int | None = None) -> float | None:
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


@contextmanager
def _crew(V: Any, fit: Fit, mask: np.ndarray | None) -> Iterator[tuple[Crew, float]]:
    """Who works on V, and what zeros count as where they cannot be zeros."""
    with cluster.over(V) as crew:
        if crew is not None:
            if check_mask(mask, crew.shape) is not None:
                raise UsageError("mask is given with a cluster (expected none: masks are for one machine)")
            yield crew, _level(crew.V) / 2
            return
    blocks = as_blocks(V)
    mask = check_mask(mask, blocks.shape)
    with workers(fit.jobs or cores(), len(blocks.rows)) as each:
        yield Threads(blocks, each, mask), _level(blocks) / 2


def _level(V: Blocks) -> float:
    """One grey level: of uint8, also for floats."""
    return V.scale if V.scale != 1 else 1 / 255


def _init(fit: Fit, crew: Crew, given: bool) -> str:
    """How the factors begin; `given`: there is a mask, or a start."""
    possible = start.sample_size(crew.shape, fit.rank) > 0 and not given
    if fit.init == "sample" and not possible:
        m, n = crew.shape
        raise UsageError(f"init is sample with {m:,} rows of {n:,} (expected many more rows, no mask, no W or H)")
    if fit.init == "auto":
        return "sample" if possible and fit.inner is None else "random"
    return fit.init


def _start(
    crew: Crew, fit: Fit, init: str, moments: Moments, zero: float, rng: np.random.Generator,
    W: np.ndarray | None, H: np.ndarray | None,
) -> tuple[np.ndarray | None, np.ndarray]:  # fmt: skip
    """W transposed and H to begin with: those given, the rest by `init`. None: the codes come from the basis."""
    (m, n), k = crew.shape, fit.rank
    if W is not None:
        W = _factor(W, (m, k), "W", crew.dtype).T
    if H is not None:
        return W, _factor(H, (k, n), "H", crew.dtype)
    if init == "sample":
        return None, start.sample_start(crew, fit, moments, zero, rng)
    V = crew.V if crew.mask is None else Filled(crew.V, crew.mask, moments.mean)
    if init == "nndsvda":
        made, H = start.nndsvda(V, k, moments.mean, rng, crew.each)
        crew.reads += start.SVD_READS
    else:
        made, H = start.random_start(V, k, moments.mean, rng)
    return made.T if W is None else W, H


def _factor(X: np.ndarray, shape: tuple[int, int], name: str, dtype: np.dtype) -> np.ndarray:
    try:
        X = np.asarray(X)
    except ValueError as error:
        raise UsageError(f"{name} is no array ({error})") from None
    if X.shape != shape:
        raise UsageError(f"{name} has shape {X.shape} (expected {shape})")
    if X.dtype.kind not in "fiu":
        raise UsageError(f"{name} has type {X.dtype} (expected real numbers)")
    if not np.isfinite(X).all() or X.min() < 0:
        raise UsageError(f"{name} has negative, NaN or infinite values (expected finite values >= 0)")
    if X.max() > LARGEST:
        raise UsageError(f"{name} has values up to {X.max():g} (expected at most {LARGEST:g}: scale it)")
    return X.astype(dtype)
