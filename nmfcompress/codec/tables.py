"""Tables and planes of integers <-> bytes: factors, parts, steps; whatever has neighbours that are alike.

A stream: a byte, in which bit 7 says that entries are predicted and bits 0 to 3 are the logarithm of the lanes; then
the decisions (entropy.py) of all planes side by side, from coarse to fine: entry (0, 0); then, for s = the largest
power of two below the longer side, s / 2, ... 1, three sets, in this order: rows that are odd multiples of s with
columns that are even ones, rows even with columns odd, both odd; of each set plane by plane, row by row. An entry of
the first set has two neighbours, above and below at distance s; of the second two, left and right; of the third four. A
neighbour that lies outside counts as the one opposite. Predicted, what is coded is the entry less the mean of its
neighbours, rounded down (with a sign); else the entry itself (with a sign only if bit 6 is set). Its context is the
length in bits of the difference between the largest and the smallest neighbour if predicted, else of the sum of their
magnitudes (of four, half of it), at most 15; and the number of the plane, where there are not more than 8.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ..errors import InputError
from .entropy import LANES, AdaptiveIntegers, Coder, Reader, Writer, lanes_for

SIZES = 16  # of neighbours, in bits
OWN = 8  # planes that have contexts of their own
PREDICTED, SIGNED, LANE_BITS = 128, 64, 15
WORK_BYTES = 64  # of memory for an entry, while it is decoded and used
MOST = 1 << 33  # of an entry
FULLEST = 1 << 14  # entries a byte, at most: none costs less than log2(1 + 1/2048) bits, as Adaptive counts to 1024


def encode_planes(values: np.ndarray) -> bytes:
    """The bytes of integers below 2^31 in magnitude, shape (planes, rows, columns); the shape is not among them."""
    values = np.asarray(values, dtype=np.int64)
    return min((_encoded(values, predicted) for predicted in (False, True)), key=len)


def decode_planes(data: bytes, shape: tuple[int, int, int]) -> np.ndarray:
    """The integers again, int64, of this shape.

    Raises
    ------
    InputError
        The bytes are not those of such planes.
    """
    if not data:
        raise InputError("a table is empty")
    lanes = 1 << (data[0] & LANE_BITS)
    if lanes > LANES or data[0] & ~(PREDICTED | SIGNED | LANE_BITS):
        raise InputError("a table begins with a byte that is none of its own")
    if math.prod(shape) > FULLEST * len(data):
        raise InputError(f"a table of {len(data):,} bytes is too short for {math.prod(shape):,} entries")
    reader = Reader([data[1:]], lanes)
    values = _code(reader, None, shape, bool(data[0] & PREDICTED), bool(data[0] & SIGNED))
    reader.finish()
    return values


def encode_table(values: np.ndarray) -> bytes:
    """Rows of integers, (rows, columns), as planes of one row each."""
    return encode_planes(np.asarray(values)[:, None, :])


def decode_table(data: bytes, rows: int, columns: int) -> np.ndarray:
    """The rows again, int64; errors as for `decode_planes`."""
    return decode_planes(data, (rows, 1, columns))[:, 0, :]


def _encoded(values: np.ndarray, predicted: bool) -> bytes:
    rough = values.size * (0.5 + 1.5 * np.log2(1 + np.abs(values).mean())) if values.size else 0.0
    lanes = lanes_for(rough)
    signed = predicted or bool((values < 0).any())
    writer = Writer(lanes)
    _code(writer, values, values.shape, predicted, signed)
    return bytes([predicted * PREDICTED | signed * SIGNED | lanes.bit_length() - 1]) + writer.finish()[0]


def _places(rows: int, columns: int) -> Iterator[tuple[int, int, np.ndarray, np.ndarray]]:
    """Stride, number of the set, rows and columns of each set that is not empty."""
    stride = 1 << (max(rows, columns) - 1).bit_length() >> 1
    while stride:
        for number, (down, across) in enumerate(((1, 0), (0, 1), (1, 1))):
            y = np.arange(down * stride, rows, 2 * stride)
            x = np.arange(across * stride, columns, 2 * stride)
            if len(y) and len(x):
                yield stride, number, y, x
        stride >>= 1


def _code(coder: Coder, values: np.ndarray | None, shape: tuple[int, ...], predicted: bool, signed: bool) -> np.ndarray:
    planes, rows, columns = shape
    found = np.zeros(shape, dtype=np.int64)
    if not found.size:
        return found
    own = np.arange(planes)[:, None, None] * SIZES if planes <= OWN else np.zeros((1, 1, 1), np.int64)
    model = AdaptiveIntegers(SIZES * (planes if planes <= OWN else 1), signed)

    def code(y: np.ndarray, x: np.ndarray, neighbours: list[np.ndarray]) -> None:
        total = sum(neighbours, np.zeros((planes, len(y), len(x)), np.int64))
        mean = total // max(len(neighbours), 1) if predicted else np.zeros_like(total)
        alike = np.zeros_like(total)
        if neighbours and predicted:
            alike = np.maximum.reduce(neighbours) - np.minimum.reduce(neighbours)
        elif neighbours:
            alike = sum((np.abs(one) for one in neighbours), alike) * 2 // len(neighbours)
        which = np.minimum(bit_lengths(alike), SIZES - 1) + own
        given = None if values is None else (values[:, y[:, None], x] - mean).ravel()
        found[:, y[:, None], x] = model.code(coder, given, which.ravel()).reshape(total.shape) + mean
        if np.abs(found[:, y[:, None], x]).max() >= MOST:
            raise InputError("a table has entries beyond all measure: it is damaged")

    code(np.array([0]), np.array([0]), [])
    for stride, number, y, x in _places(rows, columns):
        above, below = y - stride, np.where(y + stride < rows, y + stride, y - stride)
        left, right = x - stride, np.where(x + stride < columns, x + stride, x - stride)
        around = []
        if number != 1:
            around += [found[:, above[:, None], x], found[:, below[:, None], x]]
        if number != 0:
            around += [found[:, y[:, None], left], found[:, y[:, None], right]]
        code(y, x, around)
    return found


def bit_lengths(magnitudes: np.ndarray) -> np.ndarray:
    """How many bits each of these integers >= 0 has: 0 for 0, 1 for 1, 2 for 2 and 3."""
    lengths: np.ndarray = np.frexp(magnitudes.astype(np.float64))[1].astype(np.int64)
    return lengths
