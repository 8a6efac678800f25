"""Decisions <-> bytes: interleaved rANS; adaptive.py has models of integers on top of it.

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
EVEN = ONE // 2
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
