"""Short files that ask for much work: a decision may cost next to nothing, and so a reader has to count them."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import numpy as np
import pytest
from made import listed

from nmfcompress.codec import entropy, stack
from nmfcompress.codec.container import MODES, SECTIONS, varint
from nmfcompress.codec.contexts import ONWARD, Contexts, code_contexts
from nmfcompress.codec.entropy import ONE, Reader, Writer
from nmfcompress.codec.opened import open_container
from nmfcompress.codec.parts import StoredParts
from nmfcompress.codec.tone import NODES
from nmfcompress.errors import InputError
from nmfcompress.images.limits import Limits

LIMITS = Limits(2**26)
LIKELY = -80  # log-odds of what costs least


@pytest.fixture(autouse=True)
def soon() -> Iterator[None]:
    """Ten times what a file of hostile content may take, 1 s; without the caps these tests take minutes to hours."""

    def late(number: int, frame: object) -> None:
        raise TimeoutError("it takes far too long")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(10)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def contexts(k: int, bias: int = LIKELY, onward: int = LIKELY, weights: np.ndarray | None = None) -> bytes:
    """The section: all parts alike."""
    weights = np.zeros((k, k), np.int64) if weights is None else weights
    writer = Writer(64)
    code_contexts(writer, Contexts(np.full(k, bias), np.full((k, ONWARD), onward), weights), k)
    return b"\6" + writer.finish()[0]


def codes(chunks: int, pictures: int, words: int, lane_bits: int = 0) -> bytes:
    """The section, with streams of noise."""
    rng = np.random.default_rng(1)
    streams = [np.full(1 << lane_bits, 2**31 - 1, "<u4").tobytes() + rng.bytes(2 * words) for _ in range(chunks)]
    lengths = b"".join(varint(len(stream)) for stream in streams)
    return bytes([lane_bits]) + varint(pictures) + lengths + b"".join(streams)


def file(n: int, side: int, k: int, contexts: bytes, codes: bytes) -> bytes:
    parts = StoredParts(
        np.ones(k, int), np.zeros((k, side, side), int), np.linspace(0, 255 * 256, NODES).astype(int), 255
    )
    sections = parts.sections() | {"contexts": contexts, "codes": codes}
    sections["head"] = b"\0" + b"".join(map(varint, (n, side, side, 1)))
    return listed(sorted((SECTIONS[name], content) for name, content in sections.items()), MODES.index("stack"))


def refused(data: bytes, words: str) -> None:
    with pytest.raises(InputError, match=words):
        open_container(data).pictures(limits=LIMITS)


def test_more_parts_than_a_picture_has_values() -> None:
    """7 KB that took half an hour: 4,096 parts, and 16,384 pictures of one pixel, one decision at a time."""
    refused(file(2**14, 1, 4096, contexts(4096), codes(1, 2**14, 1000)), "it has 4,096 parts")


def test_codes_that_go_on_and_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "WORK", 2**18)  # a small part of it shows that it is counted
    data = file(2**13, 4, 16, contexts(16, 80, 80), codes(1, 2**14, 200))
    refused(data, "far more work than its length and its pictures account for")
    monkeypatch.setattr(stack, "WORK", 0)
    data = file(2**13, 4, 16, contexts(16, 80, 80), codes(2**13, 1, 0))
    refused(data, "far more work|cut off")


def test_what_is_counted_is_counted_over_all_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """2^23 pictures of one pixel are 256 times 2^15, each of which has little to say."""
    monkeypatch.setattr(stack, "SIDE_BY_SIDE", 2**12)
    monkeypatch.setattr(stack, "WORK", 2**19)
    refused(file(2**16, 1, 1, contexts(1, 80, 80), codes(2**5, 2**11, 3)), "far more work|cut off|does not end")


def test_weights_in_too_few_bytes() -> None:
    """5 KB that took minutes: each weight is a product with a bit of each picture."""
    k = 256
    weights = np.triu(np.full((k, k), -1), 1)
    refused(file(2**14, 16, k, contexts(k, weights=weights), codes(1, 2**14, 500)), "32,640 weights in too few bytes")


def test_a_collection_of_the_most_extreme_codes_is_none_of_these() -> None:
    """What no encoder makes, and no file has more of for its values: as many parts as values, all codes 255."""
    for pictures, k in ((1000, 4), (3, 16)):
        Q = np.full((k, pictures), 255, np.uint8)
        known = Contexts(np.full(k, 80), np.full((k, ONWARD), 80), np.zeros((k, k), np.int64))
        data = stack.encode_codes(Q, known)
        found = stack.Codes(data, pictures, known, k)
        chunks = range(-(-pictures // found.pictures))
        np.testing.assert_array_equal(found.chunks(chunks, None), Q)


@pytest.mark.parametrize(("lanes", "chunks"), [(1, 1), (4, 1), (1, 5), (8, 3), (32, 1)])
def test_a_decision_at_a_time_or_a_step_at_a_time(
    lanes: int, chunks: int, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, calls = Writer(lanes, chunks), []
    for count in (0, 1, 2, lanes, 3 * lanes + 1, 3000):
        zeros = rng.choice([1, 5, ONE // 2, ONE - 1, ONE], (chunks, count))
        calls.append((writer.bits(rng.random(zeros.shape) * ONE >= zeros, zeros), zeros))
    streams = writer.finish()
    for narrow in (0, 1000):
        monkeypatch.setattr(entropy, "NARROW", narrow)
        reader = Reader(streams, lanes)
        for bits, zeros in calls:
            np.testing.assert_array_equal(reader.bits(None, zeros), bits)
        reader.finish()
        cut = Reader([stream[: 4 * lanes] for stream in streams], lanes)
        with pytest.raises(InputError, match="cut off or damaged"):
            _ = [cut.bits(None, zeros) for _, zeros in calls]


def test_the_most_that_a_reader_gives() -> None:
    writer, zeros = Writer(1), np.full((1, 10), ONE // 2)
    for _ in range(3):
        writer.bits(np.ones((1, 10), bool), zeros)
    reader = Reader(writer.finish(), 1, 2 * (10 + entropy.CALL))
    for _ in range(2):
        assert reader.bits(None, zeros).all()
    assert reader.left == 0
    with pytest.raises(InputError, match="far more work"):
        reader.bits(None, zeros)
