"""Mutations of bytes and of containers, each the same for the same numbers.

Of the mutations of a container half are left as they are, most of which its checksums find. The others get their
checksums made right again, so that what lies behind these is reached.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from nmfcompress.codec.container import MAGIC, MODES, SECTIONS, VERSION, unpack, varint
from nmfcompress.errors import NmfcError

GOLDEN = Path(__file__).parents[1] / "golden"
Sections = list[tuple[int, bytes]]


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


def listed(sections: Sequence[tuple[int, bytes]], mode: int = MODES.index("stack"), version: int = VERSION) -> bytes:
    """A container of these sections as they stand, its checksums right, whatever the sections are."""
    head = MAGIC + bytes([version, mode, len(sections)])
    for number, content in sections:
        head += bytes([number]) + varint(len(content)) + zlib.crc32(content).to_bytes(4, "little")
    head += zlib.crc32(head).to_bytes(4, "little")
    body = head + b"".join(content for _, content in sections)
    return body + zlib.crc32(body).to_bytes(4, "little")


@cache
def taken_apart(data: bytes) -> tuple[int, tuple[tuple[int, bytes], ...]]:
    """Its mode, and its sections by number."""
    container = unpack(data)
    return MODES.index(container.mode), tuple(sorted((SECTIONS[n], x) for n, x in container.sections.items()))


@cache
def corpus() -> dict[str, bytes]:
    """The golden files that are whole."""
    files = {path.name: path.read_bytes() for path in sorted(GOLDEN.glob("v1-*.nmfc"))}
    assert len(files) >= 15
    return files


def container(number: int, seed: int) -> bytes:
    """Mutation `number` of the golden files: even ones are left as they are, odd ones get right checksums."""
    rng = np.random.default_rng([seed, number])
    names = list(corpus())
    data = corpus()[names[number // 2 % len(names)]]
    times = int(rng.integers(1, 4))
    if number % 2 == 0:
        for _ in range(times):
            data = broken(data, rng)
        return data
    mode, parts = taken_apart(data)
    sections: Sections = list(parts)
    for _ in range(times):
        which = int(rng.integers(len(sections)))
        chance = rng.random()
        if chance < 0.85:
            sections[which] = sections[which][0], _broken_inside(*sections[which], rng)
        elif chance < 0.90:  # a section of another file, which fits more or less
            _, others = taken_apart(corpus()[names[int(rng.integers(len(names)))]])
            given = dict(others)
            sections = [(n, given[n] if n in given and rng.random() < 0.5 else content) for n, content in sections]
        elif chance < 0.95 and len(sections) > 1:
            del sections[which]
        else:
            mode = int(rng.integers(len(MODES) + 1))
    return listed(sections, mode)


def _broken_inside(number: int, content: bytes, rng: np.random.Generator) -> bytes:
    """What goes with the pictures is deflated: it is broken within, most times."""
    if number != SECTIONS["meta"] or rng.random() < 0.2:
        return broken(content, rng)
    try:
        return zlib.compress(broken(zlib.decompress(content), rng))
    except zlib.error:
        return content


def mended(data: bytes) -> bytes:
    """These bytes with the checksums of a container made right, as far as they are one; for a fuzzer's mutations."""
    from nmfcompress.codec.container import Fields

    try:
        fields = Fields(data, len(MAGIC) + 1)
        mode, count = fields.byte(), fields.byte()
        numbers = [(fields.byte(), fields.varint(), fields.number(4)) for _ in range(min(count, 64))]
        fields.number(4)
        sections = [(n, fields.take(min(length, len(data) - fields.place))) for n, length, _ in numbers]
    except NmfcError:
        return data
    return listed(sections, mode, data[len(MAGIC)])
