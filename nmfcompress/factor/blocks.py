"""V in row blocks: floats only a block at a time, so that a uint8 collection stays uint8 in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from ..errors import InputError, UsageError

BLOCK_BYTES = 2**22  # a float block that a core's cache still holds at its second product, and that pays for a call
FEW_BLOCKS = 8  # a V of so many smaller blocks is cut into no fewer, so that threads have something to share
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

    @property
    def scale(self) -> float:
        """What a value as stored is multiplied by to be V's: 1/255 for uint8, 1 for floats."""

    def stored(self, rows: slice) -> np.ndarray:
        """V[rows] / scale as floats, shape (b, n): small products are cheaper to scale. Not to be written into."""

    def read(self, rows: slice) -> np.ndarray:
        """V[rows] as floats, shape (b, n). Not to be written into."""


class ArrayBlocks:
    """An array as Blocks.

    Parameters
    ----------
    V : array, shape (m, n), uint8, uint16 (both scaled to 0..1), or floating
        Or whatever has `shape`, `dtype` and V[first:last], such as images that stay in their file. What its values
        are is looked at by the first read, not here.

    Raises
    ------
    InputError
        Not 2-d, empty, or of another type.
    """

    def __init__(self, V: Any):
        if len(V.shape) != 2 or 0 in V.shape:
            raise InputError(f"V has shape {V.shape} (expected two dimensions, none of them 0)")
        scale = scale_of(V.dtype)
        if V.dtype.kind != "f" and scale is None:
            raise InputError(f"V has type {V.dtype} (expected uint8, uint16 or floating)")
        self._V = V
        self.scale = scale or 1.0
        self.shape = V.shape
        self.dtype = np.dtype(np.float64 if V.dtype.kind == "f" and V.dtype.itemsize >= 8 else np.float32)
        self.rows = row_blocks(V.shape, self.dtype)

    def stored(self, rows: slice) -> np.ndarray:
        return np.asarray(self._V[rows], dtype=self.dtype, order="C")

    def read(self, rows: slice) -> np.ndarray:
        block = self.stored(rows)
        return block if self.scale == 1 else np.multiply(block, self.dtype.type(self.scale), out=block)


class Filled:
    """Blocks in which the missing entries of a mask read as `value`."""

    def __init__(self, V: Blocks, mask: np.ndarray, value: float):
        self._V, self._mask = V, mask
        self.shape, self.dtype, self.rows, self.scale = V.shape, V.dtype, V.rows, 1.0
        self._value = V.dtype.type(value)

    def read(self, rows: slice) -> np.ndarray:
        return np.where(self._mask[rows], self._V.read(rows), self._value)

    stored = read


def checked(block: np.ndarray, rows: slice) -> np.ndarray:
    """The block itself, if it may stand in V.

    Raises
    ------
    InputError
        NaN, infinite, negative or beyond LARGEST; with the row, counted from 0.
    """
    low, high = block.min(), block.max()
    if low >= 0 and high <= LARGEST:
        return block
    for what, wrong, expected in (
        ("NaN or infinite values", ~np.isfinite(block), "values >= 0; 0 and a mask where missing"),
        (f"negative values, the lowest is {low:g}", block < 0, "values >= 0"),
        (f"values up to {high:g}", block > LARGEST, f"at most {LARGEST:g}: scale it"),
    ):
        if wrong.any():
            row = rows.start + int(wrong.any(axis=1).argmax())
            raise InputError(f"V has {what}, first in row {row:,} (expected {expected})")
    raise AssertionError("unreachable")


def scale_of(dtype: np.dtype) -> float | None:
    """The factor that brings integers of this type, of any byte order, to 0..1; None for other types."""
    return SCALES.get(dtype.newbyteorder("="))


def row_blocks(shape: tuple[int, int], dtype: np.dtype) -> list[slice]:
    """Slices of about BLOCK_BYTES each that cover the rows of an array of this shape."""
    m, n = shape
    row = n * dtype.itemsize
    step = max(1, min(BLOCK_BYTES // row, max(BLOCK_BYTES // 4 // row, -(-m // FEW_BLOCKS))), -(-m // 65536))
    return [slice(first, min(first + step, m)) for first in range(0, m, step)]


def as_blocks(V: Any) -> Blocks:
    """`V` itself when it speaks the protocol, else V as an array in blocks."""
    if isinstance(V, np.ma.MaskedArray):
        raise InputError("V is a masked array (pass its data, and mask=~V.mask: True = known)")
    if hasattr(V, "rows") and hasattr(V, "read"):
        blocks: Blocks = V
        return blocks
    if hasattr(V, "toarray"):
        raise InputError(f"V is {type(V).__name__}, a sparse matrix (pass V.toarray(): zeros are values like others)")
    try:
        return ArrayBlocks(
            V if hasattr(V, "shape") and isinstance(getattr(V, "dtype", None), np.dtype) else np.asarray(V)
        )
    except (ValueError, TypeError) as error:
        raise InputError(f"V is no array ({error})") from None


def check_mask(mask: np.ndarray | None, shape: tuple[int, int]) -> np.ndarray | None:
    """`mask` broadcast to `shape` (a view), True = known; None when all is known."""
    if mask is None:
        return None
    try:
        mask = np.asarray(mask)
    except ValueError as error:
        raise UsageError(f"mask is no array ({error})") from None
    if mask.dtype != np.bool_:
        raise UsageError(f"mask has type {mask.dtype} (expected bool, True = known)")
    try:
        mask = np.broadcast_to(mask, shape)
    except ValueError:
        raise UsageError(f"mask has shape {mask.shape} (expected {shape}, the shape of V)") from None
    if not mask.any():
        raise UsageError("mask leaves nothing: every entry is missing")
    return None if mask.all() else mask
