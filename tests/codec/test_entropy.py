"""Decisions and integers <-> streams."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmfcompress.codec import entropy
from nmfcompress.codec.adaptive import LENGTHS, Adaptive, AdaptiveIntegers
from nmfcompress.codec.entropy import LANES, LOGITS, LOW, ONE, Reader, Writer, lanes_for, squash, squash_table
from nmfcompress.errors import InputError


def drawn(zeros: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Bits that are as likely as `zeros` says."""
    return rng.integers(0, ONE, zeros.shape) >= zeros


def written(calls: list[tuple[np.ndarray, np.ndarray]], lanes: int) -> list[bytes]:
    writer = Writer(lanes, calls[0][0].shape[0] if calls else 1)
    for values, zeros in calls:
        writer.bits(values, zeros)
    return writer.finish()


def read(streams: list[bytes], lanes: int, zeros: list[np.ndarray]) -> list[np.ndarray]:
    reader = Reader(streams, lanes)
    found = [reader.bits(None, each) for each in zeros]
    reader.finish()
    return found


def plainly_read(stream: bytes, lanes: int, zeros: list[list[int]]) -> list[list[int]]:
    """One stream as the docstring of entropy.py tells it, a decision after the other."""
    states = [int.from_bytes(stream[4 * i : 4 * i + 4], "little") for i in range(lanes)]
    words = [int.from_bytes(stream[i : i + 2], "little") for i in range(4 * lanes, len(stream), 2)]
    found = []
    for call in zeros:
        bits = []
        for first in range(0, len(call), lanes):
            step = call[first : first + lanes]
            for lane, zero in enumerate(step):
                slot = states[lane] % 2**14
                bits.append(int(slot >= zero))
                start, width = (zero, 2**14 - zero) if bits[-1] else (0, zero)
                states[lane] = width * (states[lane] // 2**14) + slot - start
            for lane in range(len(step)):
                if states[lane] < 2**16:
                    states[lane] = 65536 * states[lane] + words.pop(0)
        found.append(bits)
    assert words == []
    assert set(states) == {2**16}
    return found


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 2, 3, 8, 64]),
    st.integers(1, 4),
    st.lists(st.integers(0, 70), max_size=6),
)
def test_decisions_come_back(seed: int, lanes: int, chunks: int, lengths: list[int]) -> None:
    rng = np.random.default_rng(seed)
    calls = []
    for length in lengths:
        zeros = rng.choice([1, 2, 100, ONE // 2, ONE - 100, ONE - 1, ONE, int(rng.integers(1, ONE))], (chunks, length))
        likely = drawn(zeros, rng)
        calls.append((np.where(rng.random(zeros.shape) < 0.1, ~likely & (zeros < ONE), likely), zeros))
    streams = written(calls, lanes) if calls else Writer(lanes, chunks).finish()
    assert len(streams) == chunks
    back = read(streams, lanes, [zeros for _, zeros in calls])
    for (values, _), found in zip(calls, back, strict=True):
        np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize(("lanes", "chunks"), [(1, 1), (1, 3), (4, 2), (7, 1), (16, 2)])
def test_few_lanes_are_written_as_many_are(
    lanes: int, chunks: int, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    zeros = [rng.integers(1, ONE, (chunks, length)) for length in (0, 1, 5, 64, 301)]
    calls = [(drawn(z, rng), z) for z in zeros]
    narrow = written(calls, lanes)
    monkeypatch.setattr(entropy, "NARROW", 0)
    assert written(calls, lanes) == narrow


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.lists(st.integers(0, 40), max_size=4))
def test_a_reader_written_from_the_docstring_agrees(seed: int, lanes: int, lengths: list[int]) -> None:
    rng = np.random.default_rng(seed)
    calls = [(drawn(zeros, rng), zeros) for zeros in (rng.integers(1, ONE, (1, length)) for length in lengths)]
    (stream,) = written(calls, lanes)
    found = plainly_read(stream, lanes, [zeros[0].tolist() for _, zeros in calls])
    assert found == [values[0].astype(int).tolist() for values, _ in calls]


@pytest.mark.parametrize("zero", [1, 200, 5000, ONE // 2, ONE - 200, ONE - 2])
@pytest.mark.parametrize("lanes", [1, 16])
def test_a_stream_is_as_long_as_its_entropy(zero: int, lanes: int, rng: np.random.Generator) -> None:
    count = 40_000
    zeros = np.full((1, count), zero)
    values = drawn(zeros, rng)
    ones = int(values.sum())
    bits = -(count - ones) * math.log2(zero / ONE) - ones * math.log2(1 - zero / ONE)
    (stream,) = written([(values, zeros)], lanes)
    assert bits / 8 - 1 <= len(stream) <= 1.01 * bits / 8 + 4 * lanes + 2


def test_what_is_certain_costs_nothing() -> None:
    zeros = np.full((1, 10_000), ONE)
    (stream,) = written([(np.zeros(zeros.shape, bool), zeros)], 2)
    assert stream == LOW.to_bytes(4, "little") * 2


def test_damaged_streams_are_found_or_read_but_nothing_else(rng: np.random.Generator) -> None:
    zeros = [rng.integers(1, ONE, (1, length)) for length in (40, 1, 90)]
    (stream,) = written([(drawn(each, rng), each) for each in zeros], 2)
    found = 0
    for place in range(8 * len(stream)):
        broken = bytearray(stream)
        broken[place // 8] ^= 1 << place % 8
        try:
            read([bytes(broken)], 2, zeros)
        except InputError:
            found += 1
    assert found >= 0.99 * 8 * len(stream)
    for length in range(len(stream)):
        with pytest.raises(InputError):
            read([stream[:length]], 2, zeros)
    for more in (b"\0", b"\0\0", b"abcd"):
        with pytest.raises(InputError):
            read([stream + more], 2, zeros)


def test_one_broken_stream_among_many_is_found(rng: np.random.Generator) -> None:
    zeros = rng.integers(1, ONE, (3, 100))
    streams = written([(drawn(zeros, rng), zeros)], 4)
    streams[1] = streams[1][:-2]
    with pytest.raises(InputError, match="cut off"):
        read(streams, 4, [zeros])


def test_squash_is_the_logistic_function_in_whole_numbers() -> None:
    table = squash_table()
    assert len(table) == 2 * LOGITS + 1
    assert (np.diff(table) <= 0).all()
    assert table[LOGITS] == ONE // 2
    exact = [ONE / (1 + math.exp(x / 8)) for x in range(-LOGITS, LOGITS + 1)]
    assert np.abs(table - exact).max() <= 0.75  # 1/2 by rounding; 1 at the very ends, which may not be 0 or ONE
    np.testing.assert_array_equal(squash(np.array([-10_000, 10_000])), [table[0], table[-1]])
    assert table.min() >= 1
    assert table.max() <= ONE - 1


def test_lanes_are_worth_their_bytes() -> None:
    for bits in (0, 1, 1e3, 1e5, 1e7, 1e12):
        lanes = lanes_for(bits)
        assert 1 <= lanes <= LANES
        assert lanes & (lanes - 1) == 0
        assert lanes == 1 or 3 * lanes <= 0.005 * bits / 8


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 2)), max_size=60), st.integers(1, 5))
def test_adaptive_bits_come_back(pairs: list[tuple[bool, int]], batch: int) -> None:
    values, which = np.array([v for v, _ in pairs], bool), np.array([w for _, w in pairs], int)
    writer, model = Writer(2), Adaptive(3, limit=8)
    for first in range(0, len(pairs), batch):
        model.code(writer, values[first : first + batch], which[first : first + batch])
    (stream,) = writer.finish()
    reader, model, found = Reader([stream], 2), Adaptive(3, limit=8), []
    for first in range(0, len(pairs), batch):
        found += model.code(reader, None, which[first : first + batch]).tolist()
    reader.finish()
    assert found == values.tolist()


def test_adaptive_learns_the_shares_of_each_context(rng: np.random.Generator) -> None:
    model, writer = Adaptive(2), Writer(1)
    for _ in range(200):
        which = rng.integers(0, 2, 50)
        model.code(writer, rng.random(50) < np.array([0.1, 0.7])[which], which)
    assert np.abs(model.zeros(np.array([0, 1])) / ONE - [0.9, 0.3]).max() < 0.06


INTEGER = st.integers(-(2**32) + 1, 2**32 - 1) | st.integers(-3, 3)


@settings(max_examples=60, deadline=None)
@given(st.lists(INTEGER, max_size=40), st.booleans(), st.integers(1, 3))
def test_integers_come_back(numbers: list[int], signed: bool, contexts: int) -> None:
    values = np.array([n if signed else abs(n) for n in numbers], np.int64)
    which = np.arange(len(values)) % contexts
    writer = Writer(4)
    AdaptiveIntegers(contexts, signed).code(writer, values, which)
    (stream,) = writer.finish()
    reader = Reader([stream], 4)
    found = AdaptiveIntegers(contexts, signed).code(reader, None, which)
    reader.finish()
    np.testing.assert_array_equal(found, values)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(INTEGER, max_size=12), min_size=1, max_size=6), st.sampled_from([1, 4]), st.booleans())
def test_several_calls_at_once_are_those_calls(calls: list[list[int]], lanes: int, signed: bool) -> None:
    some = [np.array([n if signed else abs(n) for n in call], np.int64) for call in calls]
    contexts = [np.arange(len(call)) % 3 for call in calls]
    one_by_one, together = Writer(lanes), Writer(lanes)
    model = AdaptiveIntegers(3, signed, limit=8)
    for values, which in zip(some, contexts, strict=True):
        model.code(one_by_one, values, which)
    ends = np.cumsum([len(call) for call in calls]).tolist()
    known = AdaptiveIntegers(3, signed, limit=8)
    together.calls(*known.decisions(np.concatenate(some)[None], np.concatenate(contexts)[None], ends)[0])
    assert together.finish() == one_by_one.finish()


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 12).flatmap(lambda n: st.lists(st.lists(INTEGER, min_size=n, max_size=n), min_size=1, max_size=5)),
    st.integers(0, 12),
    st.sampled_from([1, 4]),
    st.booleans(),
)
def test_several_learn_side_by_side_what_each_learns_alone(
    rows: list[list[int]], end: int, lanes: int, signed: bool
) -> None:
    values = np.array([[n if signed else abs(n) for n in row] for row in rows], np.int64)
    which, ends = np.arange(values.size).reshape(values.shape) % 3, [min(end, values.shape[1]), values.shape[1]]
    together = AdaptiveIntegers(3, signed, limit=8, several=len(rows)).decisions(values, which, ends)
    for row, own, decided in zip(values, which, together, strict=True):
        alone, beside = Writer(lanes), Writer(lanes)
        model = AdaptiveIntegers(3, signed, limit=8)
        for first, last in pairwise((0, *ends)):
            model.code(alone, row[first:last], own[first:last])
        beside.calls(*decided)
        assert beside.finish() == alone.finish()


def test_integers_beyond_32_bits_are_refused() -> None:
    largest = np.array([2**32 - 1, 1 - 2**32])
    AdaptiveIntegers(1).code(Writer(1), largest, np.zeros(2, int))
    assert LENGTHS == 33
    with pytest.raises(InputError, match="32 bits"):
        AdaptiveIntegers(1).code(Writer(1), np.array([2**32]), np.zeros(1, int))


@given(st.lists(st.lists(st.tuples(st.booleans(), st.integers(1, ONE - 1)), min_size=1, max_size=40), max_size=5))
def test_one_lane_by_itself_writes_what_it_writes_beside_others(calls: list[list[tuple[bool, int]]]) -> None:
    alone, twice = Writer(1), Writer(1, chunks=2)
    for call in calls:
        bits, zeros = np.array([[bit for bit, _ in call]]), np.array([[zero for _, zero in call]])
        alone.bits(bits, zeros)
        twice.bits(np.repeat(bits, 2, axis=0), np.repeat(zeros, 2, axis=0))
    assert alone.finish() * 2 == twice.finish()
