"""Smooth curves <-> bytes: the codes of each part along bands or frames, as sums of cosines.

n entries are split in b = ceil(n / 128) blocks, block i from n i div b to n (i + 1) div b. A block of length l has l
coefficients of the orthonormal DCT-II; integers q are coded, one a coefficient. A curve comes back as integers, q @ C
with C the DCT-II matrix times 65536, rounded: (l, l), row k the cosine of frequency k.

The bytes: one, the binary logarithm of the lanes; then the decisions (entropy.py). First all q of frequency 0, each
less that of the block before it in its row (the first less 0), row by row, block by block: one call of integers of a
model that they have for themselves, under one context. Then the others, by a second model, frequency by frequency, one
call each, row by row, block by block; blocks that are too short for a frequency are left out. The context is c + 8 f: c
is the length in bits of 2 |q1| + 2 |q2| + |q3| + |q4|, the q of the same block at 1 to 4 frequencies below, magnitudes
above 15 counting as 15, frequency 0 and what is below it as 0; f is the length in bits of the frequency, less 1; both
at most 7.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from ..errors import InputError
from .adaptive import AdaptiveIntegers, bit_lengths
from .entropy import LANES, Coder, Reader, Writer, lanes_for
from .patch_blocks import cosines

UNIT = 65536  # of the integer cosines
LONGEST = 128  # entries of a block
LARGEST = 2**30 - 1  # magnitude of a coefficient: the sums that are made of them stay exact in float64
WEIGHTS, MOST = (2, 2, 1, 1), 15
SIZES = 8


def analyze(curves: np.ndarray) -> np.ndarray:
    """Coefficients (rows, n) of curves (rows, n), floats: block after block, frequencies rising."""
    return np.concatenate([curves[:, part] @ cosines(part.stop - part.start).T for part in _blocks(curves)], axis=1)


def synthesize(coefficients: np.ndarray) -> np.ndarray:
    """Curves (rows, n) of integer coefficients, times 65536: whole numbers in float64."""
    parts = _blocks(coefficients)
    return np.concatenate(
        [coefficients[:, part].astype(np.float64) @ _whole(part.stop - part.start) for part in parts], axis=1
    )


def encode_curves(coefficients: np.ndarray) -> bytes:
    """The bytes of integer coefficients (rows, n), at most LARGEST in magnitude."""
    rough = coefficients.size * (1 + np.log2(1 + np.abs(coefficients).mean()))
    lanes = lanes_for(rough)
    writer = Writer(lanes)
    _code(writer, coefficients, *coefficients.shape)
    return bytes([lanes.bit_length() - 1]) + writer.finish()[0]


def decode_curves(data: bytes, rows: int, n: int) -> np.ndarray:
    """The coefficients again, int64.

    Raises
    ------
    InputError
        The bytes are not those of such curves.
    """
    if not data or 1 << min(data[0], 63) > LANES:
        raise InputError("its codes begin with a byte that is none of their own")
    reader = Reader([data[1:]], 1 << data[0])
    found = _code(reader, None, rows, n)
    reader.finish()
    return found


@cache
def _whole(length: int) -> np.ndarray:
    whole: np.ndarray = np.rint(cosines(length) * UNIT)
    return whole


def _blocks(curves: np.ndarray) -> list[slice]:
    n = curves.shape[1]
    count = -(-n // LONGEST)
    return [slice(n * i // count, n * (i + 1) // count) for i in range(count)]


def _code(coder: Coder, given: np.ndarray | None, rows: int, n: int) -> np.ndarray:
    found = np.zeros((rows, n), dtype=np.int64)
    parts = _blocks(found)
    starts = np.array([part.start for part in parts])
    lengths = np.array([part.stop - part.start for part in parts])
    steady, moving = AdaptiveIntegers(1), AdaptiveIntegers(SIZES * SIZES)
    means = None if given is None else np.diff(given[:, starts], axis=1, prepend=0).ravel()
    coded = steady.code(coder, means, np.zeros(rows * len(parts), dtype=np.int64)).reshape(rows, -1)
    found[:, starts] = np.cumsum(coded, axis=1)
    magnitudes = np.zeros((len(WEIGHTS), rows, len(parts)), dtype=np.int64)  # of the frequencies before
    for frequency in range(1, int(lengths.max())):
        longer = lengths > frequency
        places = starts[longer] + frequency
        near = bit_lengths(np.tensordot(WEIGHTS, magnitudes[:, :, longer], 1))
        which = np.minimum(near, SIZES - 1) + SIZES * min(frequency.bit_length() - 1, SIZES - 1)
        coded = moving.code(coder, None if given is None else given[:, places].ravel(), which.ravel())
        found[:, places] = coded.reshape(rows, -1)
        magnitudes[1:] = magnitudes[:-1].copy()
        magnitudes[0][:, longer] = np.minimum(np.abs(found[:, places]), MOST)
    if np.abs(found).max() > LARGEST:
        raise InputError("its codes have a number that is too large: damaged")
    return found
