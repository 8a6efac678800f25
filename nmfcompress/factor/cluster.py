"""V on the workers of a Dask cluster: a crew of crews.

Every worker keeps parts of V and their codes (parts.py). A sweep sends H to each of them in one task and adds their
sums in a tree, so that what travels a sweep and worker is O(k n), whatever the number of rows. Where rows are is
decided here (placement.py): a task that Dask moves elsewhere, because its worker was lost, comes back undone, and its
rows are given to those that are left.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext, suppress
from functools import partial
from itertools import count
from typing import Any

import numpy as np

from ..errors import InputError, UsageError
from . import parts, start
from .blocks import ArrayBlocks
from .crew import Order, moments_of
from .parts import Mark, Plan
from .placement import PIECE_BYTES, Placement
from .scheduler import require
from .sums import Moments, Sums

GATHERED = 256 * 10**6  # bytes of W up to which it is brought here
_RUNS = count()


def is_dask(V: Any) -> bool:
    """Whether V is a Dask array; Dask is not imported to find out."""
    return type(V).__module__.partition(".")[0] == "dask" and hasattr(V, "chunks")


def over(V: Any) -> Any:
    """A context with the crew for V: a Cluster itself, one over a Dask array; None for all else."""
    if isinstance(V, Cluster):
        return nullcontext(V)
    return Cluster(V, _default_client()) if is_dask(V) else nullcontext(None)


def _default_client() -> Any:
    require()
    from distributed import default_client

    try:
        return default_client()
    except ValueError:
        raise UsageError(
            "V is a Dask array and there is no client (from distributed import Client; Client() starts workers here)"
        ) from None


class Cluster:
    """A crew (crew.Crew) of the workers that a Dask client reaches; a context, at whose end they forget V.

    Parameters
    ----------
    V : array, shape (m, n)
        A Dask array, whose chunks stay where they are; what reads itself from a file that every worker sees and
        can be pickled, each worker loading its rows; or an array here, whose rows are sent once.
    client : distributed.Client

    Raises
    ------
    InputError
        V is of no use (see ArrayBlocks), or its chunks have unknown sizes.
    ClusterError
        Workers cannot be reached, or cannot import this package.
    """

    mask = None
    each = staticmethod(map)

    def __init__(self, V: Any, client: Any):
        require()
        if isinstance(V, ArrayBlocks):
            V = V._V
        self.array = V
        self._array = _whole_rows(V) if is_dask(V) else None
        self.V = ArrayBlocks(V if self._array is None else self._array)
        self.shape, self.dtype, self.reads = self.V.shape, self.V.dtype, 0
        self.client = client
        edges = [] if self._array is None else [0, *np.cumsum([size for size in V.chunks[0] if size]).tolist()]
        self._plan = Plan.of(self.shape, self.dtype, edges)
        handle = V if self._array is None and _travels(V) else None
        held = V if handle is None else None
        self._placement = Placement(client, f"{client.id}/{next(_RUNS)}", self._plan, handle, held)
        self._number, self._flat, self._fresh = 0, np.empty((0, 1), self.dtype), False
        self._begun: np.ndarray | None = None  # codes that no read has changed yet
        self._last: Mark | None = None
        self._result: Mark | None = None

    def __enter__(self) -> Cluster:
        if self._array is not None:
            from distributed import futures_of

            self._array = self.client.persist(self._array)
            self.V = ArrayBlocks(self._array)
            futures = {future.key: future for future in futures_of(self._array, client=self.client)}
            self._placement.arrive(futures.values())
            sizes = self._array.chunks[0]
            keys = [row[0] for row, size in zip(self._array.__dask_keys__(), sizes, strict=True) if size]
            chunks = {int(first): futures[key] for first, key in zip(self._plan.edges, keys, strict=False)}
            where = self.client.who_has(list(chunks.values()))
            self._placement.owners = [next(iter(where.get(key, ())), None) for key in keys]
            self._placement.held = chunks
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(Exception):  # what is wrong with the cluster by now has been said
            self.client.run(parts.forget, self._placement.run, on_error="ignore")

    def pids(self) -> list[int]:
        """Process ids of the workers."""
        return sorted(self.client.run(parts.pid).values())

    def moments(self, crc: bool = False) -> Moments:
        self.reads += 1
        looked = [one for _, found in self._placement.ask(parts.Look(crc)) for one in found]
        return moments_of(looked, self.V.scale, self.shape[0] * self.shape[1], crc)

    def begin(self, codes: np.ndarray) -> None:
        self._number += 1
        self._fresh = codes.shape[1] == 1
        self._begun = codes
        self._flat = codes if self._fresh else codes.mean(axis=1, keepdims=True)
        if not self._fresh:
            place, number = self._placement, self._number
            place.place()
            place.arrive(
                place.send(parts.put_codes, address, rows, place.scattered(codes[:, rows], address), number)
                for address, runs in place.shares().items()
                for run in runs
                for rows in place.pieces(run, codes.itemsize * len(codes))
            )

    def sweep(self, order: Order) -> Sums:
        self.reads += 1
        self._number += 1
        self._last = Mark(self._number, order, self._flat, self._fresh)
        self._fresh, self._begun = False, None
        sums: Sums = self._placement.ask(parts.Sweep(self._last))
        return sums

    def _read(self) -> Mark:
        """The read of V that the codes are of."""
        if self._last is None:
            raise UsageError("codes are asked for before the first sweep")
        return self._last

    def take(self, places: np.ndarray) -> np.ndarray:
        return np.concatenate([rows for _, rows in self._placement.ask(parts.Take(places))])

    def codes(self) -> np.ndarray:
        if self._begun is not None:
            return np.broadcast_to(self._begun, (len(self._begun), self.shape[0]))
        return self.fetch(self._read(), slice(0, self.shape[0]))

    def fetch(self, mark: Mark, rows: slice) -> np.ndarray:
        """The codes (k, b) of some rows."""
        return np.concatenate([codes for _, codes in self._placement.ask(parts.Fetch(mark, rows))], axis=1)

    def factor(self) -> Any:
        mark = self._result = self._read()
        if self._array is not None:
            return self._chunks_of_codes(mark)
        size = self.shape[0] * len(mark.order.H) * self.dtype.itemsize
        return np.ascontiguousarray(self.codes().T) if size <= GATHERED else Far(self, mark)

    def _chunks_of_codes(self, mark: Mark) -> Any:
        """W as a Dask array whose chunks are where those of V are; one that is lost is solved again."""
        import dask.array as da

        place = self._placement
        place.place()
        basis = self.client.submit(parts.same, mark, pure=False)  # a task, so that it can be done again too
        found = self._plan.parts(slice(0, self.shape[0]))
        futures = [
            self.client.submit(
                parts.codes_of, place.run, rows, basis, self._plan.block, place.held[rows.start],
                workers=[owner], allow_other_workers=True, pure=False,
            )
            for rows, owner in zip(found, place.owners, strict=True)
        ]  # fmt: skip
        place.arrive(futures)
        shapes = [(rows.stop - rows.start, len(mark.order.H)) for rows in found]
        return da.concatenate(
            [da.from_delayed(f, shape, dtype=self.dtype) for f, shape in zip(futures, shapes, strict=True)]
        )

    def total(self, work: Callable[[np.ndarray, np.ndarray, int], np.ndarray]) -> np.ndarray:
        """The sum over blocks of work(V as stored, W, first row), for the W that `factor` gave; `work` is pickled."""
        found: np.ndarray = self._placement.ask(parts.Total(self._result or self._read(), work))
        return found

    def store(
        self, mark: Mark, columns: np.ndarray, row_bytes: int, name: Callable[[int], str],
        write: Callable[[str, np.ndarray], None],
    ) -> list[slice]:  # fmt: skip
        """See Far.write."""
        return self._placement.store(mark, columns, row_bytes, name, write)

    def svd_floor(self, rank: int) -> float | None:
        """As start.svd_floor says, the products of V's rows added up by the workers; None before `factor`."""
        m, n = self.shape
        if m < n:  # so few rows that one machine does
            return start.svd_floor(self.V, rank, map) if m <= start.WIDEST else None
        return (
            float(start.floors_of(self.total(partial(_gram_of_rows, scale=self.V.scale)))[rank])
            if n <= start.WIDEST
            else None
        )


class Far:
    """W (m, k) that stays with its owners: W[a:b] fetches rows, W[:, order] puts the parts in another order."""

    def __init__(self, crew: Cluster, mark: Mark, order: np.ndarray | None = None):
        self._crew, self._mark = crew, mark
        self._order = np.arange(len(mark.order.H)) if order is None else order
        self.shape, self.dtype = (crew.shape[0], len(self._order)), crew.dtype

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, tuple):
            rows, columns = index
            if not isinstance(rows, slice) or rows != slice(None):
                return self[rows][:, columns]
            return Far(self._crew, self._mark, self._order[columns])
        if not isinstance(index, slice) or index.step not in (None, 1):
            raise IndexError("W that stays with its workers is read as W[first:last]")
        rows = slice(*index.indices(len(self))[:2])
        return np.ascontiguousarray(self._crew.fetch(self._mark, rows)[self._order].T)

    def write(self, name: Callable[[int], str], write: Callable[[str, np.ndarray], None]) -> list[slice]:
        """write(name(i), W[rows]) by the workers that have them, for runs of rows i = 0, 1, ..., which are returned."""
        row = len(self._order) * self.dtype.itemsize
        return self._crew.store(self._mark, self._order, row, name, write)

    def gram(self) -> np.ndarray:
        """Wt W in float64."""
        found: np.ndarray = self._crew.total(_gram)[np.ix_(self._order, self._order)]
        return found


def _gram(V: np.ndarray, W: np.ndarray, first: int) -> np.ndarray:
    W = W.astype(np.float64)
    product: np.ndarray = W.T @ W
    return product


def _gram_of_rows(V: np.ndarray, W: np.ndarray, first: int, scale: float) -> np.ndarray:
    X = V.astype(np.float64) * scale
    product: np.ndarray = X.T @ X
    return product


def _travels(V: Any) -> bool:
    """Whether other processes can read V by themselves; of what cannot be pickled, or is large then, rows are sent."""
    from distributed.protocol.pickle import dumps

    if isinstance(V, np.ndarray):
        return False
    try:
        return len(dumps(V)) <= PIECE_BYTES
    except Exception:
        return False


def _whole_rows(V: Any) -> Any:
    """V with all columns in one chunk."""
    if any(size != size for sizes in V.chunks for size in sizes):
        raise InputError("V is a Dask array with chunks of unknown sizes (V.compute_chunk_sizes() finds them)")
    return V.rechunk({1: -1}) if V.ndim == 2 and len(V.chunks[1]) > 1 else V
