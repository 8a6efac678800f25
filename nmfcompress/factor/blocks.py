"""V in row blocks: floats only a block at a time, so that a uint8 collection stays uint8 in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Protocol, TypeVar

import numpy as np

from ..errors import InputError, UsageError

Result = TypeVar("Result")
BLOCK_BYTES = 2**20  # a float block of about this size stays in a core's cache between its two products
SCALES = {np.dtype(np.uint8): 1 / 255, np.dtype(np.uint16): 1 / 65535}
LARGEST = 1e15  # the squares of such values still add up in float32


class Blocks(Protocol):
    """What a solver needs of V: its shape, and float blocks of its rows, in any order, from any thread."""

    @property
    def shape(self) -> tuple[int, int]:
        """(m, n)."""

    @property
    def dtype(self) -> np.dtype:
        """Of the blocks and of the factors: float32 or float64."""

    @property
    def rows(self) -> Sequence[slice]:
        """The rows of each block; they depend on the shape only, never on the number of threads."""

    def read(self, rows: slice) -> np.ndarray:
        """V[rows] as floats, shape (b, n), >= 0. Not to be written into."""


class ArrayBlocks:
    """An array as Blocks.

    Parameters
    ----------
    V : array, shape (m, n), uint8, uint16 (both scaled to 0..1), or floating >= 0

    Raises
    ------
    InputError
        Not 2-d, empty, another type, negative, NaN or infinite.
    """

    def __init__(self, V: np.ndarray):
        if V.ndim != 2 or V.size == 0:
            raise InputError(f"V has shape {V.shape} (expected two dimensions, none of them 0)")
        if V.dtype.kind == "f":
            low, high = V.min(), V.max()
            if not (np.isfinite(low) and np.isfinite(high)):
                raise InputError("V has NaN or infinite values (expected values >= 0; 0 and a mask where missing)")
            if low < 0:
                raise InputError(f"V has negative values, the lowest is {low:g} (expected values >= 0)")
            if float(high) > LARGEST:
                raise InputError(f"V has values up to {high:g} (expected at most {LARGEST:g}: scale it)")
        elif scale_of(V.dtype) is None:
            raise InputError(f"V has type {V.dtype} (expected uint8, uint16 or floating)")
        self._V = V
        self._scale = scale_of(V.dtype)
        self.shape = V.shape
        self.dtype = np.dtype(np.float64 if V.dtype.kind == "f" and V.dtype.itemsize >= 8 else np.float32)
        self.rows = row_blocks(V.shape, self.dtype)

    def read(self, rows: slice) -> np.ndarray:
        block = np.asarray(self._V[rows], dtype=self.dtype, order="C")
        return block if self._scale is None else np.multiply(block, self.dtype.type(self._scale), out=block)


class Filled:
    """Blocks in which the missing entries of a mask read as `value`."""

    def __init__(self, V: Blocks, mask: np.ndarray, value: float):
        self._V, self._mask = V, mask
        self.shape, self.dtype, self.rows = V.shape, V.dtype, V.rows
        self._value = V.dtype.type(value)

    def read(self, rows: slice) -> np.ndarray:
        return np.where(self._mask[rows], self._V.read(rows), self._value)


def scale_of(dtype: np.dtype) -> float | None:
    """The factor that brings integers of this type, of any byte order, to 0..1; None for other types."""
    return SCALES.get(dtype.newbyteorder("="))


def row_blocks(shape: tuple[int, int], dtype: np.dtype) -> list[slice]:
    """Slices of about BLOCK_BYTES each that cover the rows of an array of this shape."""
    m, n = shape
    step = max(1, BLOCK_BYTES // (n * dtype.itemsize), -(-m // 65536))
    return [slice(first, min(first + step, m)) for first in range(0, m, step)]


def as_blocks(V: np.ndarray | Blocks) -> Blocks:
    """`V` itself when it speaks the protocol, else V as an array in blocks."""
    if isinstance(V, np.ma.MaskedArray):
        raise InputError("V is a masked array (pass its data, and mask=~V.mask: True = known)")
    return V if hasattr(V, "rows") and hasattr(V, "read") else ArrayBlocks(np.asarray(V))


def check_mask(mask: np.ndarray | None, shape: tuple[int, int]) -> np.ndarray | None:
    """`mask` broadcast to `shape` (a view), True = known; None when all is known."""
    if mask is None:
        return None
    mask = np.asarray(mask)
    if mask.dtype != np.bool_:
        raise UsageError(f"mask has type {mask.dtype} (expected bool, True = known)")
    try:
        mask = np.broadcast_to(mask, shape)
    except ValueError:
        raise UsageError(f"mask has shape {mask.shape} (expected {shape}, the shape of V)") from None
    if not mask.any():
        raise UsageError("mask leaves nothing: every entry is missing")
    return None if mask.all() else mask


class Each(Protocol):
    """A map over blocks, whose results come in the order of the blocks."""

    def __call__(self, work: Callable[[slice], Result], rows: Sequence[slice], /) -> Iterator[Result]: ...


@contextmanager
def workers(jobs: int, blocks: int) -> Iterator[Each]:
    """A map over blocks: in this thread, or in `jobs` threads; results always in the order of the blocks.

    At most 2 * `jobs` blocks are under way: results of wide blocks would otherwise pile up before they are added.
    """
    if min(jobs, blocks) <= 1:
        yield map
        return
    with ThreadPoolExecutor(min(jobs, blocks)) as pool:

        def each(work: Callable[[slice], Result], rows: Sequence[slice], /) -> Iterator[Result]:
            under_way: deque[Future[Result]] = deque()
            for part in rows:
                under_way.append(pool.submit(work, part))
                if len(under_way) >= 2 * jobs:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()

        try:
            yield each
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
