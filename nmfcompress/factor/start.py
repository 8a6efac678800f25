"""Initial W and H."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..settings import Fit
from .blocks import ArrayBlocks, Blocks
from .crew import Crew, Each, Threads
from .objectives import objective_for
from .sums import Codes, Moments, Objective
from .sweeps import State, descend, first_read

POWERS = 4  # power iterations of the randomized method
SVD_READS = 2 + 2 * POWERS  # of V, by `truncated_svd`
STRIP = 256  # rows of Vt V that one thread adds at a time
WIDEST = 2048  # the smaller side of a V whose svd_floor is looked for
SLAB = 2**21  # entries of V in float64 at a time, where its rows are multiplied with one another


def random_start(V: Blocks, rank: int, mean: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """W, H uniform on (0, 1], scaled so that mean(W H) = `mean`, the mean of V."""
    m, n = V.shape
    W = 1 - rng.random((m, rank), dtype=V.dtype.type)
    H = 1 - rng.random((rank, n), dtype=V.dtype.type)
    product = float(W.mean(axis=0, dtype=np.float64) @ H.mean(axis=1, dtype=np.float64))
    scale = V.dtype.type(np.sqrt(mean / product))
    return W * scale, H * scale


PROBES = 4  # random starts on the sample, the best of which goes on
PROBE_SWEEPS, SAMPLE_SWEEPS, FINAL_SWEEPS = 12, 60, 8
SAMPLE_TOL = 1e-3
SAMPLE_BYTES = 2**26  # of a sample as floats, at most
PARTS = 8  # a sample is at most this part of V's rows; of a smaller V it would tell too little


def sample_size(shape: tuple[int, int], rank: int) -> int:
    """Rows that tell enough of V to find a basis of `rank` parts; 0 where V has too few rows for a sample to pay."""
    m, n = shape
    rows = 1000 + 40 * rank
    return rows if PARTS * rows <= m and 4 * rows * n <= SAMPLE_BYTES else 0


def start_bytes(shape: tuple[int, int], fit: Fit) -> int:
    """What finding the start takes beside V and the factors, at most."""
    (m, n), k = shape, fit.rank
    if fit.init == "nndsvda":
        return 8 * m * 6 * (k + 10)
    if fit.init == "random" or fit.inner is not None:
        return 0
    rows = sample_size(shape, k)
    return 4 * n * (rows if fit.restarts == 1 else rows + _many(rows, n))


def _many(size: int, n: int) -> int:
    """Rows on which the bases of several samples are compared."""
    return max(size, min(PARTS // 2 * size, SAMPLE_BYTES // (4 * n)))


def sample_start(crew: Crew, fit: Fit, moments: Moments, zero: float, rng: np.random.Generator) -> np.ndarray:
    """H (rank, n) of a few rows of V, by HALS (or the divergence's own rule): the best of PROBES random starts.

    With `fit.restarts` above 1 every start is taken to its end, PROBES for each restart on rows of its own. Good bases
    differ by less than their losses on a few rows tell: so the best quarter on many other rows goes on to V itself,
    and the best there after FINAL_SWEEPS is kept.
    """
    size = sample_size(crew.shape, fit.rank)
    fit = replace(fit, solver="hals" if fit.divergence == "frobenius" else fit.solver, tol=SAMPLE_TOL)
    if fit.restarts == 1:
        (best,) = _of_sample(ArrayBlocks(_sample(crew, size, rng)), fit, zero, rng, crew.each, keep=1)
        return best
    found: list[np.ndarray] = []
    for _ in range(fit.restarts):
        found += _of_sample(ArrayBlocks(_sample(crew, size, rng)), fit, zero, rng, crew.each, keep=PROBES)
    others = Threads(ArrayBlocks(_sample(crew, _many(size, crew.shape[1]), rng)), map)
    elsewhere = [_refined(others, H, fit, others.moments(), zero, PROBE_SWEEPS) for H in found]
    del others
    elsewhere.sort(key=_reached)
    last = [_refined(crew, state.H, fit, moments, zero, FINAL_SWEEPS) for state in elsewhere[: fit.restarts]]
    return min(last, key=_reached).H


def _reached(state: State) -> float:
    return state.records[-1].brought_down


def _sample(crew: Crew, size: int, rng: np.random.Generator) -> np.ndarray:
    return crew.take(np.sort(rng.choice(crew.shape[0], size, replace=False, shuffle=False)))


def _of_sample(V: Blocks, fit: Fit, zero: float, rng: np.random.Generator, each: Each, keep: int) -> list[np.ndarray]:
    """PROBES random starts, PROBE_SWEEPS each; the bases of the best `keep` of them, taken on until they settle.

    Threads take a start each, and where one alone goes on, a block each.
    """
    moments = Threads(V, map).moments()
    objective = objective_for(fit, moments, zero, V.shape)

    def probe(start: tuple[np.ndarray, np.ndarray]) -> tuple[State, Threads]:
        crew = Threads(V, map)
        crew.begin(start[0].T)
        return _sweeps(crew, objective, first_read(crew, objective, start[1], Codes.KEEP), fit, PROBE_SWEEPS), crew

    def finish(probed: tuple[State, Threads]) -> np.ndarray:
        return _sweeps(probed[1], objective, probed[0], fit, SAMPLE_SWEEPS).H

    starts = [random_start(V, fit.rank, moments.mean, rng) for _ in range(PROBES)]
    probes = sorted(each(probe, starts), key=lambda probed: _reached(probed[0]))
    if keep > 1:
        return list(each(finish, probes[:keep]))
    probes[0][1].each = each
    return [finish(probes[0])]


def _refined(crew: Crew, H: np.ndarray, fit: Fit, moments: Moments, zero: float, sweeps: int) -> State:
    """What a basis comes to on the rows of this crew, after a few sweeps there."""
    objective = objective_for(fit, moments, zero, crew.shape)
    crew.begin(flat_codes(H, moments.mean))
    return _sweeps(crew, objective, first_read(crew, objective, H, Codes.BEGIN), fit, sweeps)


def _sweeps(crew: Crew, objective: Objective, state: State, fit: Fit, sweeps: int) -> State:
    return descend(crew, objective, state, replace(fit, max_sweeps=sweeps), polish=False)


def flat_codes(H: np.ndarray, mean: float) -> np.ndarray:
    """Equal codes (k, 1), under which W H has this mean."""
    size = mean / (float(H.mean()) * len(H)) if H.any() else 0.0
    return np.full((len(H), 1), size, H.dtype)


def nndsvda(V: Blocks, rank: int, mean: float, rng: np.random.Generator, each: Each) -> tuple[np.ndarray, np.ndarray]:
    """`nndsvd` with zeros filled by the mean."""
    W, H = nndsvd(V, rank, rng, each)
    for factor in (W, H):
        factor[factor == 0] = mean
    return W.astype(V.dtype), H.astype(V.dtype)


def nndsvd(V: Blocks, rank: int, rng: np.random.Generator, each: Each) -> tuple[np.ndarray, np.ndarray]:
    """Non-negative double SVD: W (m, rank) and H (rank, n) in float64, with zeros.

    Boutsidis and Gallopoulos, "SVD based initialization: a head start for nonnegative matrix factorization",
    Pattern Recognition 41, 2008. The singular vectors come from `truncated_svd`.
    """
    U, s, Vt = truncated_svd(V, rank, rng, each)
    W, H = np.zeros((V.shape[0], rank)), np.zeros((rank, V.shape[1]))
    for j in range(len(s)):
        u, v = U[:, j], Vt[j]
        sides = []
        for sign in (1, -1):
            x, y = np.maximum(sign * u, 0), np.maximum(sign * v, 0)
            sides.append((np.linalg.norm(x) * np.linalg.norm(y), x, y))
        weight, x, y = max(sides, key=lambda side: side[0]) if j else (1.0, np.abs(u), np.abs(v))
        if weight > 0:
            root = np.sqrt(s[j] * weight)
            W[:, j], H[j] = root * x / np.linalg.norm(x), root * y / np.linalg.norm(y)
    for factor in (W, H):
        factor[factor < 1e-6] = 0
    return W, H


def truncated_svd(
    V: Blocks, rank: int, rng: np.random.Generator, each: Each
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The leading singular triplets U (m, r), s (r,), Vt (r, n), r = min(rank, m, n), by a randomized method.

    Halko, Martinsson and Tropp, "Finding structure with randomness", SIAM Review 53, 2011 (algorithm 4.4), with
    four power iterations and 10 extra columns; V is only read in blocks.
    """

    def times(X: np.ndarray) -> np.ndarray:
        return np.concatenate(list(each(lambda rows: V.read(rows).astype(np.float64) @ X, V.rows)))

    def transposed_times(Y: np.ndarray) -> np.ndarray:
        product = np.zeros((V.shape[1], Y.shape[1]))
        for share in each(lambda rows: V.read(rows).T.astype(np.float64) @ Y[rows], V.rows):
            product += share
        return product

    width = min(rank + 10, *V.shape)
    Q = np.linalg.qr(times(rng.standard_normal((V.shape[1], width))))[0]
    for _ in range(POWERS):
        Q = np.linalg.qr(times(np.linalg.qr(transposed_times(Q))[0]))[0]
    U, s, Vt = np.linalg.svd(transposed_times(Q).T, full_matrices=False)
    r = min(rank, *V.shape)
    return Q @ U[:, :r], s[:r], Vt[:r]


def svd_floor(V: Blocks, ranks: int, each: Each) -> float | None:
    """The loss of the best approximation of rank `ranks` without the sign constraint (Eckart and Young 1936).

    None where min(m, n) is above 2,048.
    """
    found = floors(V, each)
    return None if found is None else float(found[min(ranks, len(found) - 1)])


def floors(V: Blocks, each: Each) -> np.ndarray | None:
    """svd_floor of every rank from 0, shape (min(m, n) + 1,).

    From the eigenvalues of the smaller of Vt V and V Vt, in float64; None where min(m, n) is above 2,048.
    """
    m, n = V.shape
    if min(m, n) > WIDEST:
        return None
    if n <= m:
        gram = np.zeros((n, n))
        strips = [slice(first, min(first + STRIP, n)) for first in range(0, n, STRIP)]
        for first in range(0, m, max(1, SLAB // n)):
            _add_gram(gram, V.read(slice(first, min(first + max(1, SLAB // n), m))).astype(np.float64), strips, each)
    else:
        step = max(1, SLAB // n)
        slabs = [slice(first, min(first + step, m)) for first in range(0, m, step)]
        gram = np.concatenate(list(each(lambda rows: _lower_rows(V, rows, slabs), slabs)))
    return floors_of(gram)


def floors_of(gram: np.ndarray) -> np.ndarray:
    """The same from the products of V's columns (or rows) with one another, of which the lower triangle is read."""
    values = np.maximum(np.linalg.eigvalsh(gram), 0)
    found: np.ndarray = np.sqrt(np.concatenate([[0.0], np.cumsum(values)])[::-1])
    return found


def _add_gram(gram: np.ndarray, X: np.ndarray, strips: list[slice], each: Each) -> None:
    """gram += Xt X, its lower triangle, strip by strip: no strip waits beside another to be added."""

    def add(strip: slice) -> None:
        gram[strip, : strip.stop] += X[:, strip].T @ X[:, : strip.stop]

    for _ in each(add, strips):
        pass


def _lower_rows(V: Blocks, rows: slice, slabs: list[slice]) -> np.ndarray:
    """These rows of V Vt up to its diagonal, zeros beyond; never more than two slabs of V as floats."""
    own = V.read(rows).astype(np.float64)
    products = np.zeros((len(own), V.shape[0]))
    for slab in slabs:
        if slab.start < rows.start:
            products[:, slab] = own @ V.read(slab).astype(np.float64).T
    products[:, rows] = _gram(own)
    return products


def _gram(X: np.ndarray) -> np.ndarray:
    gram: np.ndarray = X @ X.T
    return gram
