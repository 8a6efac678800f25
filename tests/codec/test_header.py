"""What the pixels are, and what goes with them."""

from __future__ import annotations

import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmfcompress.codec.container import varint
from nmfcompress.codec.header import KINDS, TYPES, Header, Meta, read_header, read_meta
from nmfcompress.errors import InputError, TooLarge
from nmfcompress.images.limits import Limits

SIDE = st.integers(1, 40)
SHAPE = st.tuples(SIDE, SIDE, SIDE) | st.tuples(SIDE, SIDE, SIDE, st.integers(2, 4))
RANGE = st.tuples(st.floats(-1e300, 1e300), st.floats(0, 1e300))


@given(SHAPE, st.sampled_from(TYPES), st.none() | RANGE, st.booleans())
def test_headers_come_back(shape: tuple[int, ...], dtype: str, own: tuple[float, float] | None, single: bool) -> None:
    low, high = (0.0, 1.0) if own is None else (own[0], own[0] + own[1])
    header = Header((1, *shape[1:]) if single else shape, np.dtype(dtype), low, high, single)
    back = read_header(header.pack())
    assert back == header
    assert back.values == np.prod(header.shape)
    assert back.pixels * header.shape[0] == back.values


def head(kind: int, *sides: int, tail: bytes = b"") -> bytes:
    return bytes([kind]) + b"".join(map(varint, sides)) + tail


@pytest.mark.parametrize(
    "data",
    [
        b"",
        head(0, 1, 2, 3),
        head(0, 1, 2, 3, 1, tail=b"x"),
        head(4, 1, 2, 3, 1),
        head(63, 1, 2, 3, 1),
        head(0, 0, 2, 3, 1),
        head(0, 1, 0, 3, 1),
        head(0, 1, 2, 3, 0),
        head(0, 1, 2, 3, 5),
        head(64, 2, 2, 3, 1),
        head(128, 1, 2, 3, 1),
        head(128, 1, 2, 3, 1, tail=struct.pack("<2d", 2, 1)),
        head(128, 1, 2, 3, 1, tail=struct.pack("<2d", float("nan"), 1)),
        head(128, 1, 2, 3, 1, tail=struct.pack("<2d", 0, float("inf"))),
    ],
)
def test_headers_that_are_none(data: bytes) -> None:
    with pytest.raises(InputError):
        read_header(data)


@pytest.mark.parametrize(
    "sides", [(2**50, 2**50, 2**50, 4), (1, 2**17, 2**17, 1), (2**34, 1, 1, 1), (2**27, 8, 8, 1), (2**28, 1, 1, 1)]
)
def test_absurd_shapes_are_refused(sides: tuple[int, ...]) -> None:
    with pytest.raises(TooLarge, match="more than are ever read"):
        read_header(head(0, *sides))
    with pytest.raises(TooLarge):
        Header(sides, np.dtype("uint8"))


TEXT = st.text(max_size=8) | st.sampled_from(["\udcff.png", "\ud800", "a\0b", "", "ä/ö", "\udfff\udc80"])
PICTURE = Header((1, 3, 4), np.dtype("uint8"), single=True)


def many(n: int) -> Header:
    return Header((n, 3, 4), np.dtype("uint8"))


def kept(text: str) -> str:
    """What UTF-8 with escaped bytes can carry: no NUL, and of surrogates only those that stand for bytes."""
    return "".join("\ufffd" if "\ud800" <= c < "\udc80" or "\udcff" < c <= "\udfff" else c for c in text if c != "\0")


@settings(deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=5))
def test_names_and_words_come_back(texts: list[str]) -> None:
    meta = Meta(names=tuple(texts), labels=np.array(texts, object))
    back = read_meta(meta.pack(), many(len(texts)))
    assert [name.encode("utf-8", "surrogateescape") for name in back.names] == [
        kept(text).encode("utf-8", "surrogateescape") for text in texts
    ]
    assert back.labels is not None
    assert back.labels.tolist() == list(back.names)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=9), st.sampled_from(["<i8", ">i8", "<i4"]))
def test_numbers_come_back(numbers: list[int], dtype: str) -> None:
    labels = np.array(numbers).astype(dtype)
    indices = np.abs(np.array(numbers) // 4)
    back = read_meta(Meta(labels=labels, indices=indices).pack(), many(len(labels)))
    assert back.labels is not None
    np.testing.assert_array_equal(back.labels, labels)
    if back.indices is None:
        np.testing.assert_array_equal(indices, np.arange(len(indices)))
    else:
        np.testing.assert_array_equal(back.indices, indices)


def test_what_goes_with_a_picture_comes_back(rng: np.random.Generator) -> None:
    meta = Meta(
        icc=b"profile" * 50,
        exif=b"Exif\0\0MM",
        dpi=(300.0, 72.5),
        alpha=rng.integers(0, 256, (3, 4), np.uint8),
        mode="RGBA",
    )
    back = read_meta(meta.pack(), PICTURE)
    assert back == meta
    assert back.alpha is not None
    np.testing.assert_array_equal(back.alpha, meta.alpha)


def test_nothing_takes_no_room() -> None:
    assert Meta().pack() == b""
    assert Meta(indices=np.arange(500)).pack() == b""
    assert read_meta(b"", many(5)) == Meta()
    assert len(Meta(labels=np.arange(5000) % 10).pack()) < 4000
    assert len(Meta(alpha=np.full((500, 500), 255, np.uint8)).pack()) < 400


def packed(*fields: tuple[int, bytes]) -> bytes:
    return zlib.compress(b"".join(bytes([kind]) + varint(len(data)) + data for kind, data in fields))


@pytest.mark.parametrize(
    "data",
    [
        b"x",
        zlib.compress(b"")[:-1],
        zlib.compress(b"") + b"x",
        zlib.compress(b"\x05"),
        zlib.compress(b"\x05\x80"),
        zlib.compress(b"\x05\x09abc"),
        packed((KINDS["names"], b"a\0b\0c\0")),
        packed((KINDS["words"], b"a\0")),
        packed((KINDS["numbers"], bytes(8))),
        packed((KINDS["indices"], bytes(17))),
        packed((KINDS["alpha"], bytes(11))),
        packed((KINDS["dpi"], bytes(8))),
        packed((KINDS["names"], b"a\0b\0c")),
        packed((KINDS["mode"], b"L"), (KINDS["icc"], b"profile")),
        packed((KINDS["mode"], b"L"), (KINDS["mode"], b"L")),
        packed((0, b"")),
    ],
)
def test_damaged_meta_is_refused(data: bytes) -> None:
    with pytest.raises(InputError):
        read_meta(data, many(2))


def test_fields_of_other_kinds_are_passed_over() -> None:
    assert read_meta(packed((KINDS["mode"], b"L"), (200, b"later")), PICTURE).mode == "L"
    assert read_meta(packed((KINDS["dpi"], struct.pack("<2d", float("nan"), 1))), PICTURE).dpi is None


LONG = 2**26
BOMBS = {
    "zeros": lambda: (zlib.compress(bytes(2 * LONG)), many(2)),
    "fields": lambda: (zlib.compress(bytes(LONG)), many(2)),
    "names": lambda: (packed((KINDS["names"], bytes(LONG - 2**10))), many(7)),
    "words": lambda: (packed((KINDS["words"], b"w" * 2**20 + b"\0" + bytes(2**20 - 1))), many(2**20)),
    "icc": lambda: (packed((KINDS["icc"], bytes(LONG))), PICTURE),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_do_not_go_off(name: str) -> None:
    data, header = BOMBS[name]()
    assert len(data) < 300_000
    tracemalloc.start()
    try:
        with pytest.raises(InputError):
            read_meta(data, header)
        assert tracemalloc.get_traced_memory()[1] < 4 * LONG
    finally:
        tracemalloc.stop()


def test_labels_that_could_not_be_read_again_are_refused() -> None:
    with pytest.raises(TooLarge, match="letters"):
        Meta(labels=np.array(["w" * 2**20, *["short"] * 200], object)).pack()
    with pytest.raises(TooLarge, match="goes with the pictures"):
        Meta(icc=bytes(LONG)).pack()


def test_small_files_with_much_to_say_need_no_more_memory_than_is_allowed() -> None:
    """1 KB of labels that took 550 MB, whatever --max-memory said."""
    n = 2**16
    for words in (b"a" * 127 + b"\0" * n, b"abcdefg\0" * n):
        data = packed((KINDS["words"], words))
        assert len(data) < 2000
        with pytest.raises(TooLarge, match="max_memory is"):
            read_meta(data, many(n), Limits(5 * 10**6))
        assert read_meta(data, many(n), Limits(10**8)).labels is not None
