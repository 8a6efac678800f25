"""Files that somebody made to do harm: their checksums are right, what they say is not. Mutations: test_fuzz.py."""

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

SECONDS, BYTES, LIMITS = 1.0, 2**27, Limits(2**26)
STACK, ROWS, BANDS = map(MODES.index, ("stack", "rows", "bands"))


@cache
def patches_file() -> bytes:
    return encode_image(picture(24, 24), step=60.0)


@cache
def several_file() -> bytes:
    return encode_stack(np.stack([picture(16, 16), picture(16, 16)[::-1]]), arrangement="patches", step=60.0)


@cache
def bands_file() -> bytes:
    return encode_stack(collection(12, side=8), arrangement="bands", rank=2)


@cache
def colour_file() -> bytes:
    return encode_stack(collection(20, colour=True, dtype="uint16"), rank=3, arrangement="stack")


ALL = {**FILES, "colour": colour_file, "patches": patches_file, "several": several_file, "bands": bands_file}


def taken_apart(data: bytes) -> list[tuple[int, bytes]]:
    return sorted((SECTIONS[name], content) for name, content in unpack(data).sections.items())


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
    with pytest.raises(TooLarge, match="max_memory is"):
        open_container(listed(sorted(sections.items()), ROWS)).pictures(limits=Limits(2**30))


def test_what_bands_are_made_of_counts_even_for_one() -> None:
    """Curves and planes are there for all bands, however few are asked for."""
    for shape, parts in (((2**22, 1, 1, 1), 32), ((4, 2**10, 2**11, 1), 32)):
        sections = unpack(bands_file()).sections
        sections |= {"head": b"\0" + b"".join(map(varint, shape)), "codes": bytes([parts]) + bytes(2000)}
        data = listed(sorted((SECTIONS[name], content) for name, content in sections.items()), BANDS)
        with pytest.raises(TooLarge, match="decoding 1 pictures"):
            open_container(data).pictures(np.array([0]), limits=Limits(2**29))
