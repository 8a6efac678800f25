"""Files that somebody made to do harm: their checksums are right, what they say is not."""

from __future__ import annotations

import time
import tracemalloc
from functools import cache

import numpy as np
import pytest
from made import FILES, collection, listed, picture

from nmfcompress.codec.collection import encode_stack
from nmfcompress.codec.container import MODES, SECTIONS, unpack, varint
from nmfcompress.codec.image import encode_image
from nmfcompress.codec.opened import info, open_container
from nmfcompress.codec.tables import encode_planes, encode_table
from nmfcompress.errors import InputError, NmfcError, TooLarge
from nmfcompress.images.limits import Limits

MUTATIONS = 100  # of each file; half of them with right checksums
SECONDS, BYTES, LIMITS = 1.0, 2**27, Limits(2**26)
STACK, ROWS = MODES.index("stack"), MODES.index("rows")


@cache
def patches_file() -> bytes:
    return encode_image(picture(24, 24), step=60.0)


@cache
def bands_file() -> bytes:
    return encode_stack(collection(12, side=8), arrangement="bands", rank=2)


@cache
def colour_file() -> bytes:
    return encode_stack(collection(20, colour=True, dtype="uint16"), rank=3, arrangement="stack")


ALL = {**FILES, "colour": colour_file, "patches": patches_file, "bands": bands_file}


def taken_apart(data: bytes) -> list[tuple[int, bytes]]:
    return sorted((SECTIONS[name], content) for name, content in unpack(data).sections.items())


def broken(content: bytes, rng: np.random.Generator) -> bytes:
    """Bytes like these, but not these: a bit, a byte, some bytes more or less, or a large number at some place."""
    out = bytearray(content)
    place = int(rng.integers(0, len(out) + 1)) if rng.random() < 0.6 else int(rng.integers(0, min(len(out), 8) + 1))
    match int(rng.integers(0, 7)):
        case 0 if place < len(out):
            out[place] ^= 1 << int(rng.integers(8))
        case 1 if place < len(out):
            out[place] = int(rng.integers(256))
        case 2:
            del out[place : place + int(rng.integers(1, 9))]
        case 3:
            out[place:place] = rng.bytes(int(rng.integers(1, 9)))
        case 4:
            out[place : place + 1] = varint(1 << int(rng.integers(7, 50)))
        case 5:
            out[place:] = rng.bytes(len(out) - place)
        case _:
            out[place : place + 4] = rng.choice(
                [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\x7f\x7f\x7f", b"\x80\x80\x80\1"]
            )
    return bytes(out)


def decode(data: bytes) -> None:
    """All that a reader does; nothing but our own errors may come of it, soon, and in little memory."""
    began, said = time.process_time(), ""
    try:
        info(data)
        opened = open_container(data)
        opened.pictures(limits=LIMITS)
        opened.pictures(np.array([0]), 1, limits=LIMITS)
    except NmfcError as error:
        said = str(error)
    assert "\n" not in said
    assert len(said) < 300
    assert time.process_time() - began < SECONDS


@pytest.mark.parametrize("name", ALL)
def test_broken_files_are_refused_soon_and_in_little_memory(name: str) -> None:
    data, rng = ALL[name](), np.random.default_rng(sum(name.encode()))
    decode(data)
    tracemalloc.start()
    try:
        for _ in range(MUTATIONS // 2):
            decode(broken(data, rng))
        for _ in range(MUTATIONS // 2):
            sections = taken_apart(data)
            for _ in range(int(rng.integers(1, 3))):
                which = int(rng.integers(len(sections)))
                sections[which] = sections[which][0], broken(sections[which][1], rng)
            decode(listed(sections, unpack_mode(data)))
        assert tracemalloc.get_traced_memory()[1] < BYTES
    finally:
        tracemalloc.stop()


def unpack_mode(data: bytes) -> int:
    return MODES.index(unpack(data).mode)


@pytest.mark.parametrize("name", ALL)
def test_sections_missing_swapped_or_of_another_mode(name: str) -> None:
    sections = taken_apart(ALL[name]())
    for which in range(len(sections)):
        decode(listed(sections[:which] + sections[which + 1 :], unpack_mode(ALL[name]())))
        for other in ALL:
            given = dict(taken_apart(ALL[other]()))
            if sections[which][0] in given:
                mixed = dict(sections) | {sections[which][0]: given[sections[which][0]]}
                decode(listed(sorted(mixed.items()), unpack_mode(ALL[name]())))
    for mode in range(len(MODES)):
        decode(listed(sections, mode))


def stack_of(n: int, h: int, w: int, c: int = 1, **changed: bytes) -> bytes:
    """The stack file with another shape, and other sections."""
    sections = dict(unpack(FILES["stack"]()).sections) | changed
    sections["head"] = b"\0" + b"".join(map(varint, (n, h, w, c)))
    return listed(sorted((SECTIONS[name], content) for name, content in sections.items()), STACK)


def one_part(k: int = 1) -> bytes:
    return varint(k) + varint(16) + b"\1" * k


BOMBS = {
    "many pictures": lambda: stack_of(2**23, 6, 6),
    "large pictures": lambda: stack_of(1, 2**16, 2**16),
    "wide pictures": lambda: stack_of(30, 1, 2**27),
    "many parts": lambda: stack_of(30, 6, 6, parts=one_part(4096) + encode_planes(np.zeros((4, 6, 6), int))),
    "parts beyond count": lambda: stack_of(30, 6, 6, parts=varint(2**40) + bytes(50)),
    "a chunk of all": lambda: stack_of(2**23, 1, 1, codes=b"\0" + varint(2**14) + b"\4" * 512 + bytes(2048)),
    "a chunk too long": lambda: stack_of(2**23, 1, 1, codes=b"\0" + varint(2**23) + b"\4" + bytes(4)),
    "chunks of one": lambda: stack_of(2**23, 1, 1, codes=b"\0" + varint(1) + b"\4" * 3000),
    "long parts": lambda: stack_of(
        30, 2048, 2048, parts=one_part(4) + encode_planes(np.zeros((1, 1, 1), int)) + bytes(2000)
    ),
    "rows of nothing": lambda: listed(
        [
            (SECTIONS["head"], b"\x40" + varint(1) + varint(2**15) + varint(2**15) + varint(1)),
            (SECTIONS["weights"], encode_table(np.zeros((1, 2**15), int))),
            (SECTIONS["maps"], encode_table(np.zeros((1, 2**15), int))[:40]),
            (SECTIONS["scales"], b"\1\1"),
        ],
        ROWS,
    ),
    "rows of many parts": lambda: listed(
        [
            (SECTIONS["head"], b"\x40" + varint(1) + varint(2**14) + varint(2**14) + varint(1)),
            (SECTIONS["weights"], encode_table(np.zeros((1, 2**10), int))),
            (SECTIONS["maps"], encode_table(np.zeros((1, 2**10), int))),
            (SECTIONS["scales"], varint(4096) + b"\1" * 4096),
        ],
        ROWS,
    ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_small_files_that_speak_of_much_take_little(name: str) -> None:
    data = BOMBS[name]()
    assert len(data) < 10_000
    tracemalloc.start()
    began = time.process_time()
    try:
        with pytest.raises(InputError):
            open_container(data).pictures(limits=Limits(2**30))
        assert tracemalloc.get_traced_memory()[1] < 2 * BYTES
    finally:
        tracemalloc.stop()
    assert time.process_time() - began < 4 * SECONDS


def test_what_takes_more_than_there_is_names_the_option() -> None:
    sections = {
        SECTIONS["head"]: b"\x40" + varint(1) + varint(2**18) + varint(2**15) + varint(1),
        SECTIONS["weights"]: encode_table(np.ones((1, 2**10), int)),
        SECTIONS["maps"]: encode_table(np.ones((1, 2**10), int)),
        SECTIONS["scales"]: b"\1\1",
    }
    with pytest.raises(TooLarge, match="--max-memory"):
        open_container(listed(sorted(sections.items()), ROWS)).pictures(limits=Limits(2**30))
