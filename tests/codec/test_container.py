"""The container: sections in, the same sections out, and nothing that is damaged."""

from __future__ import annotations

import re
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import FILES, assembled, listed

from nmfcompress.codec.container import MAGIC, MODES, SECTIONS, VERSION, Fields, pack, unpack, varint
from nmfcompress.errors import InputError, NmfcError

TWO = {1: b"head of it", 2: b"parts"}


@given(st.sampled_from(MODES), st.dictionaries(st.sampled_from(sorted(SECTIONS)), st.binary(max_size=300)))
def test_sections_come_back(mode: str, sections: dict[str, bytes]) -> None:
    found = unpack(pack(mode, sections))
    assert found.mode == mode
    assert found.sections == {name: data for name, data in sections.items() if data}


def test_the_specification_is_what_is_written() -> None:
    data = pack("stack", {"meta": b"m" * 130, "head": b"h"})
    head = b"\x93NMFC" + bytes([1, 2, 2]) + b"\x01\x01" + zlib.crc32(b"h").to_bytes(4, "little")
    head += b"\x40\x82\x01" + zlib.crc32(b"m" * 130).to_bytes(4, "little")
    head += zlib.crc32(head).to_bytes(4, "little")
    body = head + b"h" + b"m" * 130
    assert data == body + zlib.crc32(body).to_bytes(4, "little")
    assert data == listed([(1, b"h"), (64, b"m" * 130)])


@pytest.mark.parametrize("name", FILES)
def test_every_flipped_bit_is_found(name: str) -> None:
    data = FILES[name]()
    assert len(data) < 3000
    for place in range(8 * len(data)):
        broken = bytearray(data)
        broken[place // 8] ^= 1 << place % 8
        with pytest.raises(InputError):
            unpack(bytes(broken))


@pytest.mark.parametrize("name", FILES)
def test_every_truncation_is_found(name: str) -> None:
    data = FILES[name]()
    for length in range(len(data)):
        with pytest.raises(InputError):
            unpack(data[:length])


@pytest.mark.parametrize("more", [b"\0", b"\n", b"\x93NMFC", b"x" * 1000])
def test_bytes_behind_the_end_are_refused(more: bytes) -> None:
    with pytest.raises(InputError, match=f"{len(more):,} bytes behind its end"):
        unpack(assembled(TWO) + more)
    with pytest.raises(InputError):
        unpack(more + assembled(TWO))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "is no .nmfc file"),
        (b"NMFC", "is no .nmfc file"),
        (MAGIC, "cut off"),
        (assembled(TWO, version=VERSION + 1), f"is of version {VERSION + 1} .*later"),
        (assembled(TWO, version=255), "is of version 255"),
        (assembled(TWO, version=0), "version is 0"),
        (assembled(TWO, mode=len(MODES)), f"mode {len(MODES)}"),
        (assembled({**TWO, 127: b"x"}), "a section of number 127"),
        (listed([(2, b"b"), (1, b"a")]), "out of order"),
        (listed([(1, b"a"), (1, b"a")]), "out of order"),
        (listed([(0, b"a")]), "out of order|number 0"),
        (MAGIC + bytes([1, 2, 255]), "255 sections"),
    ],
)
def test_what_is_wrong_is_named(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        unpack(data)


def test_sections_that_may_be_skipped_are() -> None:
    found = unpack(assembled({**TWO, 128: b"later", 255: b"news"}))
    assert found.sections == {"head": TWO[1], "parts": TWO[2]}
    broken = bytearray(assembled({**TWO, 128: b"later"}))
    broken[-6] ^= 1
    with pytest.raises(InputError, match="section 128"):
        unpack(bytes(broken))


def test_lengths_are_checked_before_anything_else() -> None:
    for length in (2**20, 2**40, 2**55):
        head = MAGIC + bytes([1, 2, 1, 1]) + varint(length) + bytes(4)
        data = head + zlib.crc32(head).to_bytes(4, "little") + bytes(20)
        with pytest.raises(InputError, match="is cut off"):
            unpack(data)


def test_each_checksum_is_checked() -> None:
    right = assembled(TWO)
    lengths = len(MAGIC) + 3 + 2 * 6
    for place, message in ((lengths - 1, "header"), (lengths + 4, "'?head'?"), (len(right) - 1, "whole")):
        broken = bytearray(right)
        broken[place] ^= 4
        if message == "whole":
            pass
        with pytest.raises(InputError, match=f"checksum of .*{message}"):
            unpack(bytes(broken))


def test_a_missing_section_is_named() -> None:
    with pytest.raises(InputError, match=re.escape("no section 'codes', which stack needs")):
        unpack(assembled(TWO)).section("codes")


@given(st.integers(0, 2**56 - 1))
def test_varints_come_back(value: int) -> None:
    data = varint(value)
    fields = Fields(data + b"z")
    assert fields.varint() == value
    assert fields.rest() == b"z"
    assert len(data) == max(1, -(-value.bit_length() // 7))


@pytest.mark.parametrize("data", [b"", b"\x80", b"\x80\x00", b"\xff" * 8 + b"\x01", b"\xff" * 20, b"\x81\x80\x00"])
def test_what_is_no_varint_is_refused(data: bytes) -> None:
    with pytest.raises(InputError):
        Fields(data).varint()


@given(st.binary(max_size=200))
def test_anything_is_a_file_or_an_error(data: bytes) -> None:
    for start in (b"", MAGIC, MAGIC + b"\x01\x02\x02"):
        try:
            unpack(start + data)
        except NmfcError:
            continue
