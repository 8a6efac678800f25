"""Models that learn from what they code: bits and integers under contexts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from ..errors import InputError
from .entropy import EVEN, ONE, Coder

LENGTHS = 33  # of magnitudes in bits
BEYOND = "a number in it is beyond 32 bits: it is damaged"
TOGETHER = 2**16  # answers, about, that are worked out together
ABOVE, NEGATIVE, LONGER, SECOND, PLACES = 0, 1, 1, LENGTHS - 1, 2 * LENGTHS - 1  # where a context learns what


class Adaptive:
    """Counts of zeros and ones under each context, from which come the probabilities of the next.

    Krichevsky and Trofimov's estimate: (2 zeros + 1) 2^14 div (2 (zeros + ones) + 2), 1 to 2^14 - 1. After each call,
    which counts all of its bits at once, both counts of a context are halved (rounded down) for as long as together
    they are above `limit`: so that it follows what changes.
    """

    def __init__(self, contexts: int, limit: int = 1024):
        self._counts, self._limit, self._most = np.zeros(2 * contexts, dtype=np.int64), limit, 0

    def zeros(self, which: np.ndarray) -> np.ndarray:
        """How likely a 0 is under these contexts, as `Coder.bits` takes it."""
        zero, one = self._counts.reshape(2, -1)
        if few := len(which) < len(zero):
            zero, one = zero[which], one[which]
        twice = 2 * zero + 1
        likely: np.ndarray = twice * ONE // (twice + 2 * one + 1)
        return likely if few else likely[which]

    def code(self, coder: Coder, values: np.ndarray | None, which: np.ndarray) -> np.ndarray:
        """Code n bits of the one chunk there is under the contexts `which` (n,), and learn from all of them at once."""
        bits: np.ndarray = coder.bits(None if values is None else values[None], self.zeros(which)[None])[0]
        self.learn(which, bits)
        return bits

    def learn(self, which: np.ndarray, bits: np.ndarray, most: int | None = None) -> None:
        """Count bits (n,) under their contexts, of none of which there are more than `most`."""
        contexts = len(self._counts) // 2
        np.add.at(self._counts, which + contexts * bits, 1)
        self._most += len(which) if most is None else most
        if self._most > self._limit:  # before that no context can be
            zero, one = self._counts[:contexts], self._counts[contexts:]
            while (over := zero + one > self._limit).any():
                zero[over] >>= 1
                one[over] >>= 1
            self._most = int((zero + one).max())


class AdaptiveIntegers:
    """Integers below 2^32 in magnitude, under contexts: is it above 0, its sign, its length in bits, its bits.

    Each is asked for all integers in a call that still have it: is the magnitude above 0; of those that are, if there
    are signs, is it negative; then, step by step, of those that went on, does it have more than 1, 2 ... 32 bits (there
    are none of 33); then, of those that have so many, the bits after the first 1, the highest first. What is above 0,
    negative, and each step of the length are learned (Adaptive) per context; the bit after the first per context and
    length; the other bits are even. `several` of them, each of as many contexts, may learn side by side.
    """

    def __init__(self, contexts: int, signed: bool = True, limit: int = 1024, several: int = 1):
        self._signed, self._contexts = signed, contexts
        self._learned = Adaptive(several * contexts * PLACES, limit)

    def code(self, coder: Coder, values: np.ndarray | None, which: np.ndarray) -> np.ndarray:
        """Code n integers under the contexts `which` (n,); returns them, int64."""
        if values is not None:
            ((bits, zeros, ends),) = self.decisions(values[None], which[None], [len(values)])
            for first, end in pairwise((0, *ends)):
                coder.bits(bits[None, first:end], zeros[None, first:end])
            return values
        contexts, found = which * PLACES, np.zeros(len(which), dtype=np.int64)
        there = self._learned.code(coder, None, contexts + ABOVE)
        places = np.flatnonzero(there)
        if not len(places):
            return found
        contexts, negative = contexts[places], np.zeros(len(places), dtype=bool)
        if self._signed:
            negative = self._learned.code(coder, None, contexts + NEGATIVE)
        length = np.ones(len(places), dtype=np.int64)
        open_ = np.arange(len(places))
        for step in range(1, LENGTHS):
            open_ = open_[self._learned.code(coder, None, contexts[open_] + (LONGER + step))]
            length[open_] += 1
            if not len(open_):
                break
        if length.max() >= LENGTHS:
            raise InputError(BEYOND)
        magnitude = np.ones(len(places), dtype=np.int64)
        for bit in range(1, int(length.max())):
            long = np.flatnonzero(length > bit)
            if bit == 1:
                ones = self._learned.code(coder, None, contexts[long] + SECOND + length[long])
            else:
                ones = coder.bits(None, np.full((1, len(long)), EVEN))[0]
            magnitude[long] = 2 * magnitude[long] + ones
        found[places] = np.where(negative, -magnitude, magnitude)
        return found

    def decisions(
        self, values: np.ndarray, which: np.ndarray, ends: Sequence[int]
    ) -> list[tuple[np.ndarray, np.ndarray, list[int]]]:
        """What calls of `code` that end at `ends` decide on known integers, (several, n), under contexts of as many.

        Of each of several: bits, zeros, ends of the calls of `bits`. All that one call asks is learned at once: no two
        of its questions have a context in common.
        """
        size = np.abs(values)
        length = bit_lengths(size)
        if (longest := int(length.max(initial=0))) >= LENGTHS:
            raise InputError(BEYOND)
        # rows: above 0, negative, each step of the length, each bit after the first; who is asked has so many bits
        needed = np.array([0, 1 if self._signed else LENGTHS, *range(1, longest + 1), *range(2, longest + 1)], np.int8)
        size, length, negative = size.astype(np.uint32), length.astype(np.int8), values < 0
        contexts = (which * PLACES).astype(np.int32)
        contexts += self._contexts * PLACES * np.arange(len(which), dtype=np.int32)[:, None]
        # of many integers a few rows at a time are enough to hold
        together = len(needed) if len(ends) > 1 else max(1, TOGETHER // max(1, size.size))
        bits, zeros, counts = [], [], []
        for top in range(0, len(needed), together):
            rows = range(top, min(top + together, len(needed)))
            asked = length >= needed[top : rows.stop, None, None]
            given, under = _questions(size, length, negative, contexts, rows, longest)
            for first, end in pairwise((0, *ends)):
                some = asked[..., first:end]
                counts.append(some.sum(axis=2))
                bits.append(given[..., first:end][some])
                here = under[..., first:end][some[: len(under)]]
                zeros.append(np.full(len(bits[-1]), EVEN, np.uint16))
                zeros[-1][: len(here)] = self._learned.zeros(here)
                most = int(counts[-1][: len(under)].sum(axis=0).max(initial=0))
                self._learned.learn(here, bits[-1][: len(here)], most)
        return _apart(np.concatenate(bits), np.concatenate(zeros), np.concatenate(counts))


def _apart(bits: np.ndarray, zeros: np.ndarray, counts: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, list[int]]]:
    """Decisions of several, of which there are `counts` (calls, several) in turn: those of each, and their ends."""
    ends = counts.cumsum(axis=0)
    if counts.shape[1] == 1:
        return [(bits, zeros, ends[:, 0].tolist())]
    whose = np.repeat(np.tile(np.arange(counts.shape[1], dtype=np.uint16), len(counts)), counts.ravel())
    order = np.argsort(whose, kind="stable")
    bits, zeros = bits[order], zeros[order]
    parts = [slice(first, end) for first, end in pairwise((0, *ends[-1].cumsum().tolist()))]
    return [(bits[part], zeros[part], own) for part, own in zip(parts, ends.T.tolist(), strict=True)]


def _questions(
    size: np.ndarray, length: np.ndarray, negative: np.ndarray, contexts: np.ndarray, rows: range, longest: int
) -> tuple[np.ndarray, np.ndarray]:
    """The answers of integers to the questions of these rows, (rows, several, n), and where those to be learned are."""
    sign, step, bit, even = (max(row - rows.start, 0) for row in (1, 2, 2 + longest, 3 + longest))
    number, given = np.array(rows, np.int8)[:, None, None], np.empty((len(rows), *size.shape), dtype=bool)
    given[:sign], given[sign:step], given[step:bit] = size > 0, negative, length > number[step:bit] - 1
    given[bit:] = size >> np.maximum(length - (number[bit:] - longest), 0).view(np.uint8) & 1
    under = contexts + number[:even]  # the bits after the second are even
    under[bit:] = contexts + SECOND + length
    return given, under


def bit_lengths(magnitudes: np.ndarray) -> np.ndarray:
    """How many bits each of these integers >= 0 has: 0 for 0, 1 for 1, 2 for 2 and 3."""
    lengths: np.ndarray = np.frexp(magnitudes.astype(np.float64))[1].astype(np.int64)
    return lengths
