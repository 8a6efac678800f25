"""Tables of integers <-> bytes: factors, deltas, steps; whatever is small and has neighbours that are alike.

A stream: a byte, in which bit 7 says that entries are predicted and bits 0 to 3 are the logarithm of the lanes; then
the decisions (entropy.py) of column 0, then of those at odd multiples of s, for s = the largest power of two below
`columns`, s / 2, ... 1: of each such set, all rows, row by row. An entry has two neighbours in its row, known already:
at a distance of s to the left, and to the right where there is one, else the left one again; none for column 0, where
both count as 0. Predicted, what is coded is the entry less their mean, rounded down. Its context is its row's number
(all rows share one where there are more than 64) and the length in bits of the difference of its neighbours if
predicted, else of the sum of their magnitudes; at most 15.
"""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from .entropy import LANES, AdaptiveIntegers, Coder, Reader, Writer, lanes_for

SIZES = 16  # of neighbours, in bits
OWN = 64  # rows that have contexts of their own
PREDICTED, LANE_BITS = 128, 15


def encode_table(values: np.ndarray) -> bytes:
    """The bytes of integers below 2^31 in magnitude, shape (rows, columns); the shape is not among them."""
    values = np.asarray(values, dtype=np.int64)
    return min((_encoded(values, predicted) for predicted in (False, True)), key=len)


def decode_table(data: bytes, rows: int, columns: int) -> np.ndarray:
    """The integers again, int64, shape (rows, columns), all of them below 2^33 in magnitude.

    Raises
    ------
    InputError
        The bytes are not those of such a table.
    """
    if not data:
        raise InputError("a table is empty")
    lanes = 1 << (data[0] & LANE_BITS)
    if lanes > LANES or data[0] & ~(PREDICTED | LANE_BITS):
        raise InputError("a table begins with a byte that is none of its own")
    reader = Reader([data[1:]], lanes)
    values = _code(reader, None, rows, columns, bool(data[0] & PREDICTED))
    reader.finish()
    return values


def _encoded(values: np.ndarray, predicted: bool) -> bytes:
    rough = values.size * (2 + np.log2(1 + np.abs(values).mean())) if values.size else 0.0
    lanes = lanes_for(rough)
    writer = Writer(lanes)
    _code(writer, values, values.shape[0], values.shape[1], predicted)
    return bytes([predicted * PREDICTED | lanes.bit_length() - 1]) + writer.finish()[0]


def _code(coder: Coder, values: np.ndarray | None, rows: int, columns: int, predicted: bool) -> np.ndarray:
    found = np.zeros((rows, columns), dtype=np.int64)
    if not found.size:
        return found
    own = np.arange(rows if rows <= OWN else 1)
    model = AdaptiveIntegers(SIZES * len(own))

    def code(places: np.ndarray, left: np.ndarray, right: np.ndarray) -> None:
        mean = (left + right) >> 1 if predicted else np.zeros_like(left)
        alike = np.abs(left - right) if predicted else np.abs(left) + np.abs(right)
        which = np.minimum(bit_lengths(alike), SIZES - 1) + SIZES * (own[:, None] if rows <= OWN else 0)
        given = None if values is None else (values[:, places] - mean).ravel()
        found[:, places] = model.code(coder, given, which.ravel()).reshape(left.shape) + mean
        if np.abs(found[:, places]).max() >= 1 << 33:
            raise InputError("a table has entries beyond 33 bits: it is damaged")

    nothing = np.zeros((rows, 1), dtype=np.int64)
    code(np.array([0]), nothing, nothing)
    stride = 1 << (columns - 1).bit_length() >> 1
    while stride:
        places = np.arange(stride, columns, 2 * stride)
        left = found[:, places - stride]
        right = found[:, np.where(places + stride < columns, places + stride, places - stride)]
        code(places, left, right)
        stride >>= 1
    return found


def bit_lengths(magnitudes: np.ndarray) -> np.ndarray:
    """How many bits each of these integers >= 0 has: 0 for 0, 1 for 1, 2 for 2 and 3."""
    lengths: np.ndarray = np.frexp(magnitudes.astype(np.float64))[1].astype(np.int64)
    return lengths
