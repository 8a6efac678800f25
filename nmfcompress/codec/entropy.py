"""Integers <-> bytes: interleaved rANS over binary decisions, and integer models of them.

A model is written once, as a function of a coder. `Writer` records the decisions that it is given and `Reader` returns
those that were recorded; both return the bits, so that what comes next may depend on them.

The stream of one chunk: a state of 32 bits, 2^16 or above, for each lane, little-endian, as after the last step of the
writer, which goes backwards from the last decision to the first; then words of 16 bits, little-endian. Decisions come
in calls, each of which says how likely a 0 is in all of its decisions: zeros, out of 2^14. Those of one call are
numbered from 0 in their order and run `lanes` at a time, a step: decision i on lane i mod lanes. The last step of a
call may leave lanes out; the next call begins with lane 0 again; a call of no decisions changes nothing. A reader takes
slot = state mod 2^14; the bit is slot >= zeros; state becomes zeros * (state div 2^14) + slot for a 0,
(2^14 - zeros) * (state div 2^14) + slot - zeros for a 1. After each step those of its lanes whose state is below 2^16,
in their order, take a word: state = 65536 * state + word. At the end every state is 2^16 again and no word is left.
Duda, "Asymmetric numeral systems", arXiv:1311.2540, 2013; Giesen, "Interleaved entropy coders", arXiv:1402.3392, 2014.

A decision costs -log2(zeros / 2^14) bits or its complement's; a lane costs 2 bytes and the rest of its state. All
arithmetic is on integers, so that a stream is read alike on every machine. As a decision may cost next to nothing, a
short stream could keep a reader at work for hours: who reads one says how much work is too much, see `Reader`.
"""

from __future__ import annotations

import decimal
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Protocol

import numpy as np

from ..errors import InputError

BITS = 14  # of a probability
ONE = 1 << BITS
LOW = 1 << 16  # a state stays in LOW .. LOW * LOW - 1
LANES = 4096  # at most
CALL = 256  # decisions that take as long as asking for some
NARROW = 32  # streams and lanes together, up to which a decision at a time is faster than a step at a time


class Coder(Protocol):
    """What a model is a function of."""

    def bits(self, values: np.ndarray | None, zeros: np.ndarray) -> np.ndarray:
        """Code decisions that do not depend on each other.

        Parameters
        ----------
        values : array of bool, shape (chunks, n)
            For a Writer; a Reader does not look at it.
        zeros : array of int, shape (chunks, n)
            How likely the bit is 0, as a frequency out of 2**14: 1 to 2**14 - 1; 2**14 where it is 0 for certain and
            costs nothing.

        Returns
        -------
        array of bool, shape (chunks, n)
        """


class Writer:
    """Records decisions, and makes a stream of each chunk.

    Parameters
    ----------
    lanes : int
        1 to 4096: more are faster, and cost 2 to 4 bytes each in every chunk.
    chunks : int
        Streams that are made side by side.
    """

    def __init__(self, lanes: int, chunks: int = 1):
        self._lanes, self._chunks = lanes, chunks
        self._calls: list[tuple[np.ndarray, np.ndarray]] = []

    def bits(self, values: np.ndarray | None, zeros: np.ndarray) -> np.ndarray:
        assert values is not None  # noqa: S101
        self._calls.append((np.asarray(values, dtype=bool), np.asarray(zeros, dtype=np.uint16)))
        return self._calls[-1][0]

    def calls(self, values: np.ndarray, zeros: np.ndarray, ends: Sequence[int]) -> None:
        """Record what several calls of `bits` would, for the one chunk there is: (n,), of which each ends at `ends`."""
        for first, end in pairwise((0, *(ends[-1:] if self._lanes == 1 else ends))):  # one lane knows no calls
            self.bits(values[None, first:end], zeros[None, first:end])

    def finish(self) -> list[bytes]:
        """The streams, one a chunk."""
        if self._chunks * self._lanes <= NARROW:
            streams = [self._narrow(chunk) for chunk in range(self._chunks)]
            self._calls.clear()
            return streams
        states = np.full((self._chunks, self._lanes), LOW, dtype=np.int64)
        words: list[np.ndarray] = []
        chunks: list[np.ndarray] = []
        for values, zeros in reversed(self._calls):
            zeros = zeros.astype(np.int64)
            width, start = np.where(values, ONE - zeros, zeros), np.where(values, zeros, 0)
            for first in reversed(range(0, values.shape[1], self._lanes)):
                step = slice(first, first + self._lanes)
                w = width[:, step]
                state = states[:, : w.shape[1]]
                full = state >= w << (32 - BITS)
                where = np.nonzero(full)
                words.append(state[where] & (LOW - 1))
                chunks.append(where[0])
                state = np.where(full, state >> 16, state)
                quotient = (state / w).astype(np.int64)  # exact: both are far below 2**53
                states[:, : w.shape[1]] = (quotient << BITS) + state - quotient * w + start[:, step]
        self._calls.clear()
        order = np.concatenate(chunks[::-1]) if chunks else np.empty(0, np.int64)
        stream = np.concatenate(words[::-1]).astype("<u2") if words else np.empty(0, "<u2")
        heads = states.astype("<u4")
        if self._chunks == 1:
            return [heads[0].tobytes() + stream.tobytes()]
        ends = np.cumsum(np.bincount(order, minlength=self._chunks))
        parts = np.split(stream[np.argsort(order, kind="stable")], ends)
        return [head.tobytes() + part.tobytes() for head, part in zip(heads, parts, strict=False)]

    def _narrow(self, chunk: int) -> bytes:
        """The stream of a chunk, decision by decision: with few lanes plain numbers are 20 times faster than arrays."""
        nothing = np.empty(0, np.uint16)
        values, zeros = (np.concatenate([nothing, *(call[i][chunk] for call in self._calls)])[::-1] for i in (0, 1))
        lanes = np.concatenate([nothing, *(np.arange(call[0].shape[1]) % self._lanes for call in self._calls)])[::-1]
        start, zeros = values * zeros, zeros.astype(np.int64)
        width = np.where(values, ONE - zeros, zeros)
        states, words = [LOW] * self._lanes, []
        for lane, w, first in zip(lanes.tolist(), width.tolist(), start.tolist(), strict=True):
            state = states[lane]
            if state >= w << (32 - BITS):
                words.append(state & (LOW - 1))
                state >>= 16
            states[lane] = state + state // w * (ONE - w) + first
        return np.array(states, "<u4").tobytes() + np.array(words[::-1], "<u2").tobytes()


class Reader:
    """Returns the decisions of streams that a Writer made with as many lanes.

    Parameters
    ----------
    streams : sequence of bytes
        One a chunk.
    lanes : int
    most : int, optional
        Decisions of all streams together, and CALL more for each call of `bits`, that no stream that is meant well has;
        `left` is what is left of them.

    Raises
    ------
    InputError
        A stream is too short, or asks for too much; here, in `bits`, or in `finish`.
    """

    def __init__(self, streams: Sequence[bytes], lanes: int, most: int | None = None):
        if any(len(stream) < 4 * lanes or len(stream) % 2 for stream in streams):
            raise InputError("a stream is cut off")
        heads = [np.frombuffer(stream, "<u4", lanes) for stream in streams]
        self._lanes, self._states = lanes, np.array(heads, dtype=np.int64).reshape(len(streams), lanes)
        if (self._states < LOW).any():
            raise InputError("a stream begins with a state that is none")
        counts = np.array([len(stream) // 2 - 2 * lanes for stream in streams], dtype=np.int64)
        self._ends = np.cumsum(counts)
        self._next = self._ends - counts
        self._words = np.concatenate([np.frombuffer(stream, "<u2", offset=4 * lanes) for stream in streams] + [[0]])
        self._words = self._words.astype(np.int64)
        self.left = most

    def bits(self, values: np.ndarray | None, zeros: np.ndarray) -> np.ndarray:
        if self.left is not None:
            self.left -= zeros.size + CALL
            if self.left < 0:
                raise InputError("a stream asks for far more work than its length and its pictures account for")
        if self._states.size <= NARROW:
            return self._one_by_one(zeros)
        found = np.empty(zeros.shape, dtype=bool)
        zeros = np.asarray(zeros, dtype=np.int64)
        for first in range(0, zeros.shape[1], self._lanes):
            step = slice(first, first + self._lanes)
            z = zeros[:, step]
            state = self._states[:, : z.shape[1]]
            slot = state & (ONE - 1)
            one = slot >= z
            state = np.where(one, ONE - z, z) * (state >> BITS) + slot - np.where(one, z, 0)
            short = state < LOW
            if short.any():
                taken = np.cumsum(short, axis=1)
                word = self._words[np.minimum(self._next[:, None] + taken - 1, len(self._words) - 1)]
                state = np.where(short, (state << 16) + word, state)
                self._next = self._next + taken[:, -1]
                if (self._next > self._ends).any():
                    raise InputError("a stream is cut off or damaged")
            self._states[:, : z.shape[1]] = state
            found[:, step] = one
        return found

    def _one_by_one(self, zeros: np.ndarray) -> np.ndarray:
        """The same in plain integers: for few lanes much faster than arrays of so few."""
        found, lanes = np.empty(zeros.shape, dtype=bool), self._lanes
        for chunk, row in enumerate(zeros):
            states, place, end = self._states[chunk].tolist(), int(self._next[chunk]), int(self._ends[chunk])
            words = self._words[place : min(end, place + len(row))].tolist()[::-1]
            bits, lane = bytearray(len(row)), 0
            for i, z in enumerate(row.tolist()):
                state = states[lane]
                slot = state & (ONE - 1)
                if slot < z:
                    state = z * (state >> BITS) + slot
                else:
                    state = (ONE - z) * (state >> BITS) + slot - z
                    bits[i] = 1
                if state < LOW:
                    if not words:
                        raise InputError("a stream is cut off or damaged")
                    state, place = (state << 16) + words.pop(), place + 1
                states[lane] = state
                lane += 1
                if lane == lanes:
                    lane = 0
            self._states[chunk], self._next[chunk] = states, place
            found[chunk] = np.frombuffer(bits, dtype=bool)
        return found

    def finish(self) -> None:
        """Raise InputError unless all words have been used and the states are as they were at the beginning."""
        if (self._next != self._ends).any() or (self._states != LOW).any():
            raise InputError("a stream does not end where its data do: it is damaged")


def lanes_for(bits: float) -> int:
    """How many lanes a stream of about so many bits is worth, a power of two: they cost half a per cent, at most."""
    return 1 << max(0, min(9, int(bits / 8 * 0.005 / 3).bit_length() - 1))


@cache
def squash_table() -> np.ndarray:
    """Zeros for log-odds of a 1 in eighths, from -LOGITS to LOGITS: round(2^14 / (1 + exp(x / 8))), 1 to 2^14 - 1.

    Computed in decimal numbers of 30 digits, so that it is the same on every machine.
    """
    with decimal.localcontext(decimal.Context(prec=30)):
        values = [ONE / (1 + (decimal.Decimal(x) / 8).exp()) for x in range(-LOGITS, LOGITS + 1)]
        whole = [int(value.to_integral_value(decimal.ROUND_HALF_UP)) for value in values]
    return np.clip(np.array(whole, dtype=np.int64), 1, ONE - 1)


LOGITS = 80  # eighths: 10, odds of 22,000


def squash(logits: np.ndarray) -> np.ndarray:
    """Zeros, as `Coder.bits` takes them, for integer log-odds of a 1 in eighths."""
    found: np.ndarray = squash_table()[np.clip(logits, -LOGITS, LOGITS) + LOGITS]
    return found


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


EVEN = ONE // 2
LENGTHS = 33  # of magnitudes in bits
BEYOND = "a number in it is beyond 32 bits: it is damaged"
TOGETHER = 2**16  # answers, about, that are worked out together
ABOVE, NEGATIVE, LONGER, SECOND, PLACES = 0, 1, 1, LENGTHS - 1, 2 * LENGTHS - 1  # where a context learns what


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
