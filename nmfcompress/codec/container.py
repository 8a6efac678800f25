"""The container: a few named sections, each with its checksum, behind a header that has one of its own.

    bytes        what
    5            93 4E 4D 46 43: "\\x93NMFC"
    1            the version of the format, 1
    1            the mode: how pixels became a matrix: 0 rows, 1 patches, 2 stack, 3 bands
    1            the number of sections
    each         a byte, the section's number; its length, a varint; its CRC-32, 4 bytes, little-endian
    4            CRC-32 of all bytes so far
                 the sections one after the other
    4            CRC-32 of all bytes so far

Sections are 1 head, 2 parts, 3 curve, 4 contexts, 5 codes, 6 origin, 7 scales, 8 weights, 9 maps, 10 patches, 64 meta.

A varint has 7 bits a byte, the lowest first; all bytes but the last have bit 7 set, and it has no more bytes than it
needs. There are at most 64 sections, in rising order of their numbers, each at most once. One numbered 128 or above may
be skipped by who does not know it; any other unknown number is refused, and so are bytes after the end. A reader of
version N reads all before it; a file of a later version is refused by name.

Every single flipped bit and every truncation is found: each byte is under one checksum, nearly all under two.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import InputError

MAGIC = b"\x93NMFC"
VERSION = 1
MODES = ("rows", "patches", "stack", "bands")
SECTIONS = {  # what a section holds: see the file of each mode
    "head": 1, "parts": 2, "curve": 3, "contexts": 4, "codes": 5, "origin": 6,  # header.py, stack.py
    "scales": 7, "weights": 8, "maps": 9, "patches": 10,  # rows.py, bands.py, patches.py
    "meta": 64,  # what goes with the pictures: names, labels, profiles (header.py)
}  # fmt: skip
NAMES = {number: name for name, number in SECTIONS.items()}
ANCILLARY = 128
MOST_SECTIONS = 64


@dataclass(frozen=True)
class Container:
    """A file taken apart: its mode, and its sections by name."""

    mode: str
    sections: dict[str, bytes]

    def section(self, name: str) -> bytes:
        """One that must be there."""
        if name not in self.sections:
            raise InputError(f"it has no section {name!r}, which {self.mode} needs")
        return self.sections[name]


def pack(mode: str, sections: Mapping[str, bytes]) -> bytes:
    """The file: empty sections are left out."""
    present = sorted((SECTIONS[name], data) for name, data in sections.items() if data)
    head = MAGIC + bytes([VERSION, MODES.index(mode), len(present)])
    for number, data in present:
        head += bytes([number]) + varint(len(data)) + zlib.crc32(data).to_bytes(4, "little")
    head += zlib.crc32(head).to_bytes(4, "little")
    body = head + b"".join(data for _, data in present)
    return body + zlib.crc32(body).to_bytes(4, "little")


@dataclass(frozen=True)
class Place:
    """Where a section lies in the file, and its checksum."""

    number: int
    start: int
    length: int
    crc: int

    @property
    def name(self) -> str | None:
        """What it holds; None for what may be skipped."""
        return NAMES.get(self.number)

    def checked(self, content: bytes) -> bytes:
        """The bytes that lie there, if their checksum is right."""
        if len(content) != self.length or zlib.crc32(content) != self.crc:
            raise InputError(f"is damaged: the checksum of its section {self.name or self.number!r} is wrong")
        return content


@dataclass(frozen=True)
class Listing:
    """What the header of a file says: its mode, and where the sections lie."""

    mode: str
    places: tuple[Place, ...]


HEADER_BYTES = 8 + MOST_SECTIONS * (1 + 8 + 4) + 4  # that a header has at most


def read_listing(data: bytes, size: int) -> Listing:
    """The header of a file of `size` bytes, of which `data` are the first: HEADER_BYTES, or all there are.

    Raises
    ------
    InputError
        As `unpack`, but for the checksums of the sections and of the whole.
    """
    if not data.startswith(MAGIC):
        raise InputError("is no .nmfc file" if data else "is empty")
    fields = Fields(data, len(MAGIC))
    version = fields.byte()
    if version > VERSION:
        raise InputError(f"is of version {version} of the format, later than the {VERSION} that this nmfc reads")
    if version == 0:
        raise InputError("is damaged: its version is 0")
    mode, count = fields.byte(), fields.byte()
    if count > MOST_SECTIONS:
        raise InputError(f"is damaged: it says that it has {count} sections (at most {MOST_SECTIONS})")
    listed = [(fields.byte(), fields.varint(), fields.number(4)) for _ in range(count)]
    if fields.number(4) != zlib.crc32(data[: fields.place - 4]):
        raise InputError("is damaged: the checksum of its header is wrong")
    start, places = fields.place, []
    for number, length, crc in listed:
        places.append(Place(number, start, length, crc))
        start += length
    end = start + 4
    if size < end:
        raise InputError(f"is cut off: {size:,} bytes of {end:,}")
    if size > end:
        raise InputError(f"has {size - end:,} bytes behind its end")
    if mode >= len(MODES):
        raise InputError(f"is of mode {mode}, which this nmfc does not know")
    before = 0
    for place in places:
        if place.number <= before:
            raise InputError("is damaged: its sections are out of order")
        if place.name is None and place.number < ANCILLARY:
            raise InputError(
                f"has a section of number {place.number}, which this nmfc does not know: a later one is needed"
            )
        before = place.number
    return Listing(MODES[mode], tuple(places))


def unpack(data: bytes) -> Container:
    """The sections of a file, all of whose checksums are right.

    Raises
    ------
    InputError
        What is wrong: no such file, of a later version, cut off, damaged, or with more behind its end.
    """
    if not isinstance(data, bytes | bytearray | memoryview):
        raise InputError(f"is {type(data).__name__} (expected the bytes of a .nmfc file)")
    data = bytes(data)
    listing = read_listing(data, len(data))
    sections: dict[str, bytes] = {}
    for place in listing.places:
        content = place.checked(data[place.start : place.start + place.length])
        if place.name is not None:
            sections[place.name] = content
    if zlib.crc32(data[:-4]) != int.from_bytes(data[-4:], "little"):
        raise InputError("is damaged: the checksum of the whole is wrong")
    return Container(listing.mode, sections)


def varint(value: int) -> bytes:
    """A number >= 0, 7 bits a byte."""
    out = bytearray()
    while True:
        low, value = value & 127, value >> 7
        out.append(low | 128 * (value > 0))
        if not value:
            return bytes(out)


class Fields:
    """Reads numbers off bytes, one after the other.

    Raises
    ------
    InputError
        There are not as many bytes, or a varint is none.
    """

    def __init__(self, data: bytes, place: int = 0):
        self.data, self.place = data, place

    def take(self, count: int) -> bytes:
        """So many bytes."""
        if count > len(self.data) - self.place:
            raise InputError("is cut off or damaged: a field goes beyond its end")
        self.place += count
        return self.data[self.place - count : self.place]

    def byte(self) -> int:
        return self.take(1)[0]

    def number(self, size: int) -> int:
        """Of so many bytes, little-endian."""
        return int.from_bytes(self.take(size), "little")

    def varint(self) -> int:
        """A number below 2^56."""
        value = 0
        for shift in range(0, 56, 7):
            byte = self.byte()
            value |= (byte & 127) << shift
            if byte < 128:
                if byte == 0 and shift:
                    break
                return value
        raise InputError("is damaged: a number in it is none")

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(len(self.data) - self.place)

    def done(self) -> None:
        """Raise InputError if anything is left."""
        if self.place != len(self.data):
            raise InputError(f"is damaged: {len(self.data) - self.place:,} bytes too many in a section")
