"""Who holds V and W: a crew works through V's row blocks, each with its codes beside it, and hands back small sums.

A sweep never asks for V or W, only for their sums, so the same sweeps run over threads here (`Threads`) and over the
workers of a cluster (cluster.py), each of which is a `Threads` over rows of its own.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np

from .blocks import Blocks, checked
from .sums import Codes, Moments, Objective, Sums, total

Piece = TypeVar("Piece")
Result = TypeVar("Result")
Look = tuple[float, float, int]  # of a block: the sum and the sum of squares, as stored, and a checksum
CHUNK = 128  # squares of so many uint8 add up exactly in float32


class Each(Protocol):
    """A map over blocks, or other pieces of work, whose results come in their order."""

    def __call__(self, work: Callable[[Piece], Result], pieces: Sequence[Piece], /) -> Iterator[Result]: ...


@contextmanager
def workers(jobs: int, blocks: int) -> Iterator[Each]:
    """A map over blocks: in this thread, or in `jobs` threads; results always in the order of the blocks.

    At most 2 * `jobs` blocks are under way: results of wide blocks would otherwise pile up before they are added.
    """
    if min(jobs, blocks) <= 1:
        yield map
        return
    with ThreadPoolExecutor(min(jobs, blocks)) as pool:

        def each(work: Callable[[Piece], Result], pieces: Sequence[Piece], /) -> Iterator[Result]:
            under_way: deque[Future[Result]] = deque()
            for part in pieces:
                under_way.append(pool.submit(work, part))
                if len(under_way) >= 2 * jobs:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()

        try:
            yield each
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@dataclass(frozen=True)
class Order:
    """What a read of V is for: the objective, the basis, and what becomes of the codes."""

    objective: Objective
    H: np.ndarray
    codes: Codes
    direct: bool = False


class Crew(Protocol):
    """V in row blocks, and the codes of each: W transposed, (k, m)."""

    shape: tuple[int, int]
    dtype: np.dtype
    reads: int
    V: Blocks
    each: Each
    mask: np.ndarray | None

    def moments(self, crc: bool = False) -> Moments:
        """The first read, which also looks for what may not stand in V."""

    def begin(self, codes: np.ndarray) -> None:
        """Codes to begin with, (k, m), or (k, 1): the same for every row."""

    def sweep(self, order: Order) -> Sums:
        """One read of V."""

    def take(self, places: np.ndarray) -> np.ndarray:
        """The rows of V at `places` (ascending) as floats."""

    def codes(self) -> np.ndarray:
        """The codes of all rows, (k, m)."""

    def factor(self) -> Any:
        """W as the sweeps have left it, (m, k): an array, or what reads like one and stays where its rows are."""


def _sum_and_squares(V: np.ndarray) -> tuple[float, float]:
    """In the type of V over CHUNK entries only, then in float64."""
    flat = V.ravel()
    whole = flat.size - flat.size % CHUNK
    parts = (flat[:whole].reshape(-1, CHUNK), flat[whole:].reshape(1, -1))
    return (
        float(sum(part.sum(axis=1).sum(dtype=np.float64) for part in parts)),
        float(sum(np.einsum("ij,ij->i", part, part).sum(dtype=np.float64) for part in parts)),
    )


def moments_of(looked: list[Look], scale: float, known: int, crc: bool) -> Moments:
    """The moments of all blocks; `known`: how many entries they have."""
    return Moments(
        sum(s for s, _, _ in looked) * scale / known,
        sum(q for _, q, _ in looked) * scale**2,
        zlib.crc32(np.array([mark for _, _, mark in looked]).data) if crc else None,
    )


def in_place(array: np.ndarray) -> np.ndarray:
    """An array where its type wants it in memory, copied there if need be.

    What has come from another process may lie anywhere. NumPy copies it for each product, and H @ H.T, now of two
    arrays, is then added up in another order.
    """
    return np.require(array, requirements="A")


class Threads:
    """The crew of one process.

    Parameters
    ----------
    V : Blocks
    each : Each
        From `workers`.
    mask : array of bool, shape (m, n), optional
        True = known.
    first : int
        The number of the first row, for errors, where V is a part of something larger.
    """

    def __init__(self, V: Blocks, each: Each, mask: np.ndarray | None = None, first: int = 0):
        self.V, self.each, self.mask, self.first = V, each, mask, first
        self.shape, self.dtype, self.reads = V.shape, V.dtype, 0
        self._codes = np.empty((0, 0), V.dtype)

    def moments(self, crc: bool = False) -> Moments:
        m, n = self.shape
        known = m * n if self.mask is None else int(np.count_nonzero(self.mask))
        return moments_of(self.looked(crc), self.V.scale, known, crc)

    def looked(self, crc: bool) -> list[Look]:
        """What `moments` is made of, a block each."""
        self.reads += 1

        def share(rows: slice) -> Look:
            V = self.V.stored(rows)
            if self.V.scale == 1:  # integers are all fit to stand in V
                V = checked(V, slice(self.first + rows.start, self.first + rows.stop))
            mark = zlib.crc32(np.ascontiguousarray(V).data) if crc else 0
            return *_sum_and_squares(V if self.mask is None else V * self.mask[rows]), mark

        return list(self.each(share, self.V.rows))

    def begin(self, codes: np.ndarray) -> None:
        self._codes = np.array(np.broadcast_to(codes, (len(codes), self.shape[0])), dtype=self.dtype, order="C")

    def sweep(self, order: Order) -> Sums:
        self.reads += 1
        basis = order.objective.prepare(in_place(order.H), self.V.scale)

        def share(rows: slice) -> Sums:
            known = None if self.mask is None else self.mask[rows]
            X = np.ascontiguousarray(self._codes[:, rows])
            new, sums = order.objective.block(self.V.stored(rows), known, X, basis, order.codes, order.direct)
            if new is not X:
                self._codes[:, rows] = new
            return sums

        return total(self.each(share, self.V.rows))

    def take(self, places: np.ndarray) -> np.ndarray:
        found = np.empty((len(places), self.shape[1]), self.dtype)
        for row, place in enumerate(places):
            found[row] = self.V.read(slice(int(place), int(place) + 1))[0]
        return found

    def codes(self) -> np.ndarray:
        return self._codes

    def factor(self) -> np.ndarray:
        return np.ascontiguousarray(self._codes.T)
