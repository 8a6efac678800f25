"""Initial W and H."""

from __future__ import annotations

import numpy as np

from .blocks import Blocks, Each

SLAB = 2**21  # entries of V in float64 at a time, where its rows are multiplied with one another


def random_start(V: Blocks, rank: int, mean: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """W, H uniform on (0, 1], scaled so that mean(W H) = `mean`, the mean of V."""
    m, n = V.shape
    W = 1 - rng.random((m, rank), dtype=V.dtype.type)
    H = 1 - rng.random((rank, n), dtype=V.dtype.type)
    product = float(W.mean(axis=0, dtype=np.float64) @ H.mean(axis=1, dtype=np.float64))
    scale = V.dtype.type(np.sqrt(mean / product))
    return W * scale, H * scale


def nndsvda(V: Blocks, rank: int, mean: float, rng: np.random.Generator, each: Each) -> tuple[np.ndarray, np.ndarray]:
    """Non-negative double SVD with zeros filled by the mean.

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
        factor[factor < 1e-6] = mean
    return W.astype(V.dtype), H.astype(V.dtype)


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
    for _ in range(4):
        Q = np.linalg.qr(times(np.linalg.qr(transposed_times(Q))[0]))[0]
    U, s, Vt = np.linalg.svd(transposed_times(Q).T, full_matrices=False)
    r = min(rank, *V.shape)
    return Q @ U[:, :r], s[:r], Vt[:r]


def svd_floor(V: Blocks, ranks: int, each: Each) -> float | None:
    """The loss of the best approximation of rank `ranks` without the sign constraint (Eckart and Young 1936).

    From the eigenvalues of the smaller of Vt V and V Vt, in float64; None where min(m, n) is above 2,048.
    """
    m, n = V.shape
    if min(m, n) > 2048:
        return None
    if n <= m:
        gram = np.zeros((n, n))
        for share in each(lambda rows: _gram(V.read(rows).astype(np.float64).T), V.rows):
            gram += share
    else:
        step = max(1, SLAB // n)
        slabs = [slice(first, min(first + step, m)) for first in range(0, m, step)]
        gram = np.concatenate(list(each(lambda rows: _lower_rows(V, rows, slabs), slabs)))
    values = np.linalg.eigvalsh(gram)[::-1]  # which reads the lower triangle
    return float(np.sqrt(np.maximum(values[ranks:], 0).sum()))


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
