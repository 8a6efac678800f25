"""Tables and planes of integers <-> bytes: factors, parts, steps; whatever has neighbours that are alike.

A stream: a byte, in which bit 7 says that entries are predicted, bit 6 (always set with it) that what is coded has
signs, and bits 0 to 3 are the binary logarithm of the lanes; then the decisions (entropy.py) of all planes side by
side, from coarse to fine, one call of integers a set: entry (0, 0) of all planes; then, for s = the largest power of
two that is less than the longer side, s / 2, ... 1, three sets: rows that are odd multiples of s with columns that are
even ones, rows even with columns odd, both odd; each plane by plane, row by row. An entry of the first has two
neighbours, above and below at distance s; of the second two, left and right; of the third these four; entry (0, 0) has
one, a 0. A neighbour that lies outside counts as the one opposite. Predicted, what is coded is the entry less the mean
of its neighbours, rounded down; else the entry itself. Its context is c, the length in bits of the difference between
the largest and the smallest neighbour if predicted, else of the sum of their magnitudes (of four, half of it, rounded
down), at most 15; where there are not more than 8 planes each has such contexts of its own, c + 16 times its number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import pairwise

import numpy as np

from ..errors import InputError
from .adaptive import LENGTHS, AdaptiveIntegers, bit_lengths
from .entropy import LANES, Reader, Writer, lanes_for

SIZES = 16  # of neighbours, in bits
OWN = 8  # planes that have contexts of their own
PREDICTED, SIGNED, LANE_BITS = 128, 64, 15
WORK_BYTES = 80  # of memory for an entry, while it is decoded and used
MOST = 1 << 33  # of an entry
TOGETHER = 1 << 16  # entries of a plane whose neighbours are looked at together
SMALL = 1 << 12  # entries of a plane, up to which the places of its sets are kept
FULLEST = 1 << 14  # entries a byte, at most: none costs less than log2(1 + 1/2048) bits, as Adaptive counts to 1024


def encode_planes(values: np.ndarray) -> bytes:
    """The bytes of integers below 2^31 in magnitude, shape (planes, rows, columns); the shape is not among them."""
    return encode_each(np.asarray(values)[None])[0]


def encode_each(values: np.ndarray) -> list[bytes]:
    """What `encode_planes` makes of each of several, shape (several, planes, rows, columns)."""
    values = np.asarray(values, dtype=np.int64)
    if not values.size:
        return [bytes([0]) + Writer(1).finish()[0]] * len(values)
    plain, predicted = (Told(values, predicted) for predicted in (False, True))
    better = predicted.prices() < plain.prices()
    made = plain.encoded(~better) | predicted.encoded(better)
    return [made[place] for place in range(len(values))]


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
    planes, rows, columns = shape
    values = np.zeros((planes, rows * columns + 1), dtype=np.int64)
    model = AdaptiveIntegers(_contexts(planes), bool(data[0] & SIGNED))
    for targets, around in _sets(rows, columns) if values.size > planes else ():
        mean, which = _expected(values, around, bool(data[0] & PREDICTED), planes)
        entries = model.code(reader, None, which.ravel()).reshape(mean.shape) + mean
        if np.abs(entries).max() >= MOST:
            raise InputError("a table has entries beyond all measure: it is damaged")
        values[:, targets] = entries
    reader.finish()
    return values[:, :-1].reshape(shape)


def encode_table(values: np.ndarray) -> bytes:
    """Rows of integers, (rows, columns), as planes of one row each."""
    return encode_planes(np.asarray(values)[:, None, :])


def encode_tables(values: np.ndarray) -> list[bytes]:
    """What `encode_table` makes of each of several, (several, rows, columns)."""
    return encode_each(np.asarray(values)[:, :, None, :])


def decode_table(data: bytes, rows: int, columns: int) -> np.ndarray:
    """The rows again, int64; errors as for `decode_planes`."""
    return decode_planes(data, (rows, 1, columns))[:, 0, :]


class Told:
    """Entries of several as they are coded, with or without prediction: what is left of each set, and its contexts."""

    def __init__(self, values: np.ndarray, predicted: bool):
        several, planes, rows, columns = values.shape
        known = np.zeros((several * planes, rows * columns + 1), dtype=np.int64)
        known[:, :-1] = values.reshape(several * planes, -1)
        kept = np.int32 if np.abs(values).max() < 2**30 else np.int64
        self._values, self._predicted = values, predicted
        self._contexts = _contexts(planes)
        self._signed = np.full(several, True) if predicted else (values < 0).any(axis=(1, 2, 3))
        self._runs: list[tuple[np.ndarray, np.ndarray, list[int]]] = []
        for targets, around, ends in _runs(planes, rows, columns):
            mean, which = _expected(known, around, predicted, planes)
            left = (known[:, targets] - mean).astype(kept)
            numbers, which = (_in_turn(x.reshape(several, planes, -1), ends) for x in (left, which))
            self._runs.append((numbers, which, [planes * end for end in ends]))

    def prices(self) -> np.ndarray:
        """Bits of each, nearly: of each context the entropy of the lengths, learning them, and all else."""
        numbers, contexts = (np.concatenate([run[i] for run in self._runs], axis=1) for i in (0, 1))
        several, lengths = len(numbers), bit_lengths(np.abs(numbers))
        contexts += self._contexts * np.arange(several, dtype=contexts.dtype)[:, None]
        counts, totals = np.bincount((contexts * LENGTHS + lengths).ravel()), np.bincount(contexts.ravel())

        def summed(count: np.ndarray, each: int, bits: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
            there = np.flatnonzero(count)
            return np.bincount(there // each, bits(count[there]), several)

        entropy = summed(totals, self._contexts, _times_log) - summed(counts, self._contexts * LENGTHS, _times_log)
        learning = 0.5 * summed(counts, self._contexts * LENGTHS, lambda x: np.log2(1 + x))
        signs = np.where(self._signed, np.count_nonzero(numbers, axis=1), 0)
        found: np.ndarray = entropy + learning + np.maximum(lengths - 1, 0).sum(axis=1) + signs
        return found

    def encoded(self, wanted: np.ndarray) -> dict[int, bytes]:
        """The bytes of those that are wanted, (several,) bool, by their places."""
        made: dict[int, bytes] = {}
        for signed in (False, True):
            places = np.flatnonzero(wanted & (self._signed == signed))
            if len(places):
                made |= zip(places.tolist(), self._encoded(places, signed), strict=True)
        return made

    def _encoded(self, places: np.ndarray, signed: bool) -> list[bytes]:
        """The bytes of those at these places, which all have signs or none."""
        some = slice(None) if len(places) == len(self._values) else places
        means = np.abs(self._values[some]).sum(axis=(1, 2, 3)) / (size := self._values[0].size)
        lanes = [lanes_for(size * (0.5 + 1.5 * np.log2(1 + mean))) for mean in means]
        writers = [Writer(count) for count in lanes]
        model = AdaptiveIntegers(self._contexts, signed, several=len(places))
        for numbers, which, ends in self._runs:
            for writer, decided in zip(writers, model.decisions(numbers[some], which[some], ends), strict=True):
                writer.calls(*decided)
        flags = [self._predicted * PREDICTED | signed * SIGNED | count.bit_length() - 1 for count in lanes]
        return [bytes([flag]) + writer.finish()[0] for flag, writer in zip(flags, writers, strict=True)]


def _times_log(counts: np.ndarray) -> np.ndarray:
    found: np.ndarray = counts * np.log2(counts)
    return found


def _in_turn(entries: np.ndarray, ends: list[int]) -> np.ndarray:
    """Entries (several, planes, n) as they are coded: set by set, of each plane by plane."""
    sets = [entries[..., first:end].reshape(len(entries), -1) for first, end in pairwise((0, *ends))]
    return np.concatenate(sets, axis=1)


def _contexts(planes: int) -> int:
    return SIZES * (planes if planes <= OWN else 1)


def _expected(values: np.ndarray, around: np.ndarray, predicted: bool, planes: int) -> tuple[np.ndarray, np.ndarray]:
    """What entries are expected to be, and their contexts, (all, n), of their neighbours' places (4, n).

    `values` has all planes, of which so many belong together.
    """
    shape = len(values), around.shape[1]
    mean, which = np.zeros(shape, np.int64), np.empty(shape, np.int32)
    for first in range(0, shape[1], TOGETHER):
        part = slice(first, first + TOGETHER)
        near = values[:, around[:, part]]
        if predicted:
            mean[:, part], alike = near.sum(axis=1) >> 2, near.max(axis=1) - near.min(axis=1)
        else:
            alike = np.abs(near).sum(axis=1) >> 1
        which[:, part] = np.minimum(bit_lengths(alike), SIZES - 1)
    if planes <= OWN:
        which += np.tile(np.arange(0, planes * SIZES, SIZES, dtype=np.int32), len(values) // planes)[:, None]
    return mean, which


def _sets(rows: int, columns: int) -> Iterable[tuple[np.ndarray, np.ndarray]]:
    """The places of each set in a plane, (n,), and of the neighbours of each, (4, n): of two, each twice.

    The first entry has none: the place behind the last, where there is a 0.
    """
    return _small_sets(rows, columns) if rows * columns <= SMALL else _sets_of(rows, columns)


@lru_cache(64)
def _small_sets(rows: int, columns: int) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    return tuple(_sets_of(rows, columns))


def _runs(planes: int, rows: int, columns: int) -> Iterable[tuple[np.ndarray, np.ndarray, list[int]]]:
    """The sets again for who knows all entries: few entries one after the other, and where each ends."""
    if planes * rows * columns <= SMALL:
        return (_small_run(rows, columns),)
    return ((targets, around, [len(targets)]) for targets, around in _sets(rows, columns))


@lru_cache(64)
def _small_run(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray, list[int]]:
    targets, around = zip(*_small_sets(rows, columns), strict=True)
    return np.concatenate(targets), np.concatenate(around, axis=1), np.cumsum([len(x) for x in targets]).tolist()


def _sets_of(rows: int, columns: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    whole = np.dtype("i4" if rows * columns < 2**30 else "i8")
    yield np.array([0]), np.full((4, 1), rows * columns)
    stride = 1 << (max(rows, columns) - 1).bit_length() >> 1
    while stride:
        for down, across in ((1, 0), (0, 1), (1, 1)):
            y = np.arange(down * stride, rows, 2 * stride, dtype=whole)[:, None]
            x = np.arange(across * stride, columns, 2 * stride, dtype=whole)
            if y.size and x.size:
                above, below = y - stride, np.where(y + stride < rows, y + stride, y - stride)
                left, right = x - stride, np.where(x + stride < columns, x + stride, x - stride)
                vertical = [above * columns + x, below * columns + x]
                horizontal = [y * columns + left, y * columns + right]
                around = (vertical if down else horizontal) + (horizontal if across else vertical)
                yield (y * columns + x).ravel(), np.stack(around).reshape(4, -1)
        stride >>= 1
