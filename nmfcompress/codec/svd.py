"""Truncated SVD <-> bytes: what a low rank alone gives, with the coder of `rows`. For comparisons; no container.

V ~ (U S) Vt. With d the step of the first factor, that of row j of the second is d / s_j: both then hold integers of
the same size, round(U S / d) and round(S Vt / d), and an error of one step in either moves V by as much. The step comes
from the rank: the size of an entry of the last part, times what gave the most PSNR for the bytes on photos, digits and
spectral bands (1.4 to 2.2 hardly differ); finer ones are better spent on a higher rank.

The bytes: a head of 19 (type, rows, columns, rank, the length of the first table, the step), for each part the
logarithm of its singular value in steps (16 bits, 1,024 times that to base 2), then the tables of U S (rank, rows) and
of Vt (rank, columns).
"""

from __future__ import annotations

import struct

import numpy as np

from ..errors import InputError
from ..factor.blocks import ArrayBlocks
from ..factor.start import truncated_svd
from ..images.levels import to_pixels
from .tables import decode_table, encode_table

LAST, FIRST = 1.6, 0.125  # steps at most, in entries of the last part and of the first, as they would be if all alike
HEAD = struct.Struct("<BIIHIf")
TYPES = ("uint8", "uint16", "float32", "float64")


def encode_svd(V: np.ndarray, rank: int) -> bytes:
    """V (m, n), uint8, uint16 or floats within 0..1, from `rank` parts: 2 is a blur, 50 a likeness.

    Raises
    ------
    InputError
        The rank is above the smaller side, or V is no such array.
    """
    m, n = V.shape
    if not 1 <= rank <= min(m, n, 65535):
        raise InputError(f"rank {rank:,} for a matrix of {m:,} x {n:,} (expected at most {min(m, n, 65535):,})")
    U, s, Vt = truncated_svd(ArrayBlocks(V), rank, np.random.default_rng(0), map)
    s = np.maximum(s, 1e-6 * (s[0] or 1.0))  # a V of lower rank has singular values of 0
    step = float(np.float32(min(LAST * s[-1], FIRST * s[0]) / np.sqrt(max(m, n))))
    sizes = np.maximum(np.rint(1024 * np.log2(s / step)), 0).astype("<u2")
    first = encode_table(np.rint(U.T * s[:, None] / step).astype(np.int64))
    second = encode_table(np.rint(Vt * _steps(sizes)).astype(np.int64))
    head = HEAD.pack(TYPES.index(V.dtype.name), m, n, rank, len(first), step)
    packed: bytes = head + sizes.tobytes() + first + second
    return packed


def decode_svd(data: bytes) -> np.ndarray:
    """V again, of its shape and type.

    Raises
    ------
    InputError
        The bytes are not of `encode_svd`.
    """
    if len(data) < HEAD.size:
        raise InputError("a truncated SVD of less bytes than its head")
    kind, m, n, rank, length, step = HEAD.unpack_from(data)
    if kind >= len(TYPES) or not 1 <= rank <= min(m, n) or len(data) < HEAD.size + 2 * rank + length:
        raise InputError("bytes that are no truncated SVD")
    sizes = np.frombuffer(data, "<u2", rank, HEAD.size)
    tables = data[HEAD.size + 2 * rank :]
    first = decode_table(tables[:length], rank, m)
    second = decode_table(tables[length:], rank, n)
    return to_pixels((first * step).T @ (second / _steps(sizes)), np.dtype(TYPES[kind]))


def _steps(sizes: np.ndarray) -> np.ndarray:
    """The singular values again, in steps, as a column."""
    return np.exp2(sizes.astype(np.float64) / 1024)[:, None]
