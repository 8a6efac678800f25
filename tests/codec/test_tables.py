"""Tables and planes of integers <-> bytes, and a second decoder that was written from the docstrings alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmfcompress.codec.tables import Told, decode_planes, decode_table, encode_each, encode_planes, encode_table
from nmfcompress.errors import InputError

SHAPES = [
    (1, 1, 1), (1, 1, 2), (2, 1, 7), (1, 9, 1), (3, 5, 4), (2, 8, 8), (9, 3, 3), (1, 17, 33), (1, 1, 300), (2, 100, 2),
    (0, 3, 3), (2, 0, 5), (2, 5, 0),
]  # fmt: skip


def smooth(shape: tuple[int, int, int]) -> np.ndarray:
    j, y, x = np.indices(shape)
    return ((j + 1) * (x + 2 * y) - 10).astype(np.int64)


class Plain:
    """The rANS reader, its adaptive bits and integers, in plain Python (entropy.py)."""

    def __init__(self, stream: bytes, lanes: int):
        self.lanes = lanes
        self.states = [int.from_bytes(stream[4 * i : 4 * i + 4], "little") for i in range(lanes)]
        self.words = [int.from_bytes(stream[i : i + 2], "little") for i in range(4 * lanes, len(stream), 2)]
        self.counts: dict[object, list[int]] = {}

    def call(self, zeros: list[int]) -> list[int]:
        bits = []
        for first in range(0, len(zeros), self.lanes):
            step = zeros[first : first + self.lanes]
            for lane, zero in enumerate(step):
                state = self.states[lane]
                slot = state % 2**14
                bits.append(int(slot >= zero))
                start, width = (zero, 2**14 - zero) if bits[-1] else (0, zero)
                self.states[lane] = width * (state // 2**14) + slot - start
            for lane in range(len(step)):
                if self.states[lane] < 2**16:
                    self.states[lane] = 65536 * self.states[lane] + self.words.pop(0)
        return bits

    def learned(self, keys: list[object]) -> list[int]:
        zeros = []
        for key in keys:
            zero, one = self.counts.setdefault(key, [0, 0])
            zeros.append(min(max((2 * zero + 1) * 2**14 // (2 * (zero + one) + 2), 1), 2**14 - 1))
        bits = self.call(zeros)
        for key, bit in zip(keys, bits, strict=True):
            self.counts[key][bit] += 1
        for key in set(keys):
            while sum(self.counts[key]) > 1024:
                self.counts[key] = [count >> 1 for count in self.counts[key]]
        return bits

    def integers(self, contexts: list[object], signed: bool) -> list[int]:
        found = [0] * len(contexts)
        there = [i for i, bit in enumerate(self.learned([("zero", c) for c in contexts])) if bit]
        if not there:
            return found
        signs = self.learned([("sign", contexts[i]) for i in there]) if signed else [0] * len(there)
        lengths, going = dict.fromkeys(there, 1), there
        for step in range(1, 33):
            bits = self.learned([("length", contexts[i], step) for i in going])
            going = [i for i, bit in zip(going, bits, strict=True) if bit]
            for i in going:
                lengths[i] += 1
            if not going:
                break
        magnitudes = dict.fromkeys(there, 1)
        for bit in range(1, max(lengths.values())):
            some = [i for i in there if lengths[i] > bit]
            if bit == 1:
                ones = self.learned([("second", contexts[i], lengths[i]) for i in some])
            else:
                ones = self.call([2**13] * len(some))
            for i, one in zip(some, ones, strict=True):
                magnitudes[i] = 2 * magnitudes[i] + one
        for i, sign in zip(there, signs, strict=True):
            found[i] = -magnitudes[i] if sign else magnitudes[i]
        return found


def plainly_decoded(data: bytes, shape: tuple[int, int, int]) -> np.ndarray:
    """As the docstring of tables.py tells it."""
    planes, rows, columns = shape
    predicted, signed = bool(data[0] & 128), bool(data[0] & 64)
    coder = Plain(data[1:], 1 << (data[0] & 15))
    entries: dict[tuple[int, int, int], int] = {}

    def near(j: int, y: int, x: int, dy: int, dx: int) -> int:
        inside = 0 <= y + dy < rows and 0 <= x + dx < columns
        return entries[(j, y + dy, x + dx) if inside else (j, y - dy, x - dx)]

    def code(places: list[tuple[int, int, int]], steps: list[tuple[int, int]]) -> None:
        around = [[near(*place, *step) for step in steps] for place in places]
        if not steps:
            sizes = [0 for _ in places]
        elif predicted:
            sizes = [max(a) - min(a) for a in around]
        else:
            sizes = [sum(map(abs, a)) * 2 // len(a) for a in around]
        contexts = [
            (min(size.bit_length(), 15), place[0] if planes <= 8 else 0)
            for size, place in zip(sizes, places, strict=True)
        ]
        means = [sum(a) // len(a) if predicted and a else 0 for a in around]
        for place, mean, value in zip(places, means, coder.integers(contexts, signed), strict=True):
            entries[place] = mean + value

    code([(j, 0, 0) for j in range(planes)], [])
    stride = 1
    while 2 * stride < max(rows, columns):
        stride *= 2
    while stride and max(rows, columns) > 1:
        up, across = [(-stride, 0), (stride, 0)], [(0, -stride), (0, stride)]
        for odd_row, odd_column, steps in ((1, 0, up), (0, 1, across), (1, 1, up + across)):
            places = [
                (j, y, x)
                for j in range(planes)
                for y in range(odd_row * stride, rows, 2 * stride)
                for x in range(odd_column * stride, columns, 2 * stride)
            ]
            if places:
                code(places, steps)
        stride //= 2
    assert coder.words == []
    return np.array([entries[place] for place in np.ndindex(shape)]).reshape(shape)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["smooth", "noise", "zero", "extreme"])
def test_planes_come_back(shape: tuple[int, int, int], kind: str, rng: np.random.Generator) -> None:
    values = {
        "smooth": smooth(shape),
        "noise": rng.integers(-1000, 1000, shape),
        "zero": np.zeros(shape, np.int64),
        "extreme": rng.choice([-(2**31) + 1, 0, 2**31 - 1], shape),
    }[kind]
    data = encode_planes(values)
    back = decode_planes(data, shape)
    assert back.dtype == np.int64
    np.testing.assert_array_equal(back, values)
    if values.size:
        np.testing.assert_array_equal(plainly_decoded(data, shape), values)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 10), st.integers(1, 8), st.integers(1, 8), st.integers(0, 31), st.integers(0, 2**32 - 1))
def test_any_planes_come_back(planes: int, rows: int, columns: int, bits: int, seed: int) -> None:
    values = np.random.default_rng(seed).integers(-(2**bits) + 1, 2**bits, (planes, rows, columns))
    values = values if seed % 2 else np.abs(values)
    data = encode_planes(values)
    np.testing.assert_array_equal(decode_planes(data, values.shape), values)
    np.testing.assert_array_equal(plainly_decoded(data, values.shape), values)


def test_tables_are_planes_of_one_row(rng: np.random.Generator) -> None:
    table = rng.integers(0, 50, (4, 30))
    data = encode_table(table)
    assert data == encode_planes(table[:, None, :])
    np.testing.assert_array_equal(decode_table(data, 4, 30), table)


def test_what_is_smooth_is_predicted_and_what_is_sparse_is_not(rng: np.random.Generator) -> None:
    gradient = encode_planes(smooth((1, 64, 64)))
    assert gradient[0] & 128
    assert len(gradient) < 700
    sparse = encode_planes((rng.random((1, 64, 64)) < 0.02).astype(int) * rng.integers(1, 100, (1, 64, 64)))
    assert not sparse[0] & 128
    assert not sparse[0] & 64


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 6), st.tuples(st.integers(1, 10), st.integers(1, 6), st.integers(1, 40)), st.integers(0, 2**32))
def test_several_side_by_side_are_what_each_is_alone(several: int, shape: tuple[int, int, int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = (several, *shape)
    values = np.rint(rng.normal(size=size) * 4 ** rng.integers(0, 8, (several, 1, 1, 1))).astype(int)
    values = np.where(rng.random((several, 1, 1, 1)) < 0.5, np.abs(values), values.cumsum(axis=3))
    made = encode_each(values)
    assert made == [encode_planes(one) for one in values]
    for data, one in zip(made, values, strict=True):
        np.testing.assert_array_equal(decode_planes(data, shape), one)


def test_what_is_chosen_by_its_price_is_hardly_longer_than_the_best(rng: np.random.Generator) -> None:
    """Single tables may be longer by a few bytes; all together they are not."""
    chosen, best, plain = 0, 0, 0
    for _ in range(80):
        shape = tuple(rng.integers(1, (9, 25, 25)))
        values = np.rint(smooth(shape) + 2 ** rng.uniform(0, 12) * rng.normal(size=shape)).astype(int)
        values = np.maximum(values, 0) if rng.random() < 0.5 else values
        lengths = [len(Told(values[None], predicted).encoded(np.array([True]))[0]) for predicted in (False, True)]
        chosen, best, plain = chosen + len(encode_planes(values)), best + min(lengths), plain + lengths[0]
    assert chosen <= 1.005 * best
    assert best < 0.99 * plain


def test_damage_is_found_or_gives_integers(rng: np.random.Generator) -> None:
    shape = (2, 5, 4)
    data = encode_planes(rng.integers(-9, 10, shape))
    missed = 0
    for place in range(8 * len(data)):
        broken = bytearray(data)
        broken[place // 8] ^= 1 << place % 8
        try:
            assert decode_planes(bytes(broken), shape).shape == shape
            missed += 1
        except InputError:
            pass
    assert missed <= 0.1 * 8 * len(data)  # an even bit that is another harms none of the others: the CRC finds it
    for length in range(len(data)):
        with pytest.raises(InputError):
            decode_planes(data[:length], shape)
    with pytest.raises(InputError):
        decode_planes(bytes([13]) + data[1:], shape)
    with pytest.raises(InputError):
        decode_planes(bytes([data[0] | 32]) + data[1:], shape)


@pytest.mark.parametrize("shape", [(4096, 256, 256), (1, 2**15, 2**15), (2**28, 1, 1)])
def test_a_few_bytes_are_no_billions_of_entries(shape: tuple[int, int, int]) -> None:
    data = encode_planes(np.zeros((2, 2, 2), np.int64))
    with pytest.raises(InputError, match="too short"):
        decode_planes(data, shape)


def test_many_entries_may_take_few_bytes() -> None:
    """The bound on entries by bytes lets through whatever the encoder makes."""
    for shape in ((1, 900, 700), (16, 1, 20_000), (20_000, 1, 3)):
        data = encode_planes(np.zeros(shape, np.int64))
        assert not decode_planes(data, shape).any()
