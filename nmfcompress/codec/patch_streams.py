"""The section "patches": the stream of one picture, or those of a collection, each of which is decoded by itself."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import InputError, TooLarge
from .container import Fields, varint

SECTION = "patches"
HEAD = struct.Struct("<IBB")
ONE_STEP = 65536  # a grey level
LEAST_STEP, MOST_STEP = ONE_STEP // 64, ONE_STEP * 2048
BANDS = 64
MENDED = 128
MOST_LANE_BITS = 9
MOST_PICTURES = 2**16  # of a collection: more than that, as large as pays here, are beyond what is ever read


@dataclass(frozen=True)
class Stream:
    """A picture's decisions, by 2**lane_bits lanes, and whether what they show is mended."""

    mended: bool
    lane_bits: int
    decisions: bytes


@dataclass(frozen=True)
class Streams:
    """Those of all pictures, and the step and the bands that they have in common."""

    step: int
    bands: int
    each: Sequence[Stream]


def pack_streams(streams: Streams) -> bytes:
    """The section; see patches.py.

    Raises
    ------
    TooLarge
        There are too many.
    """
    if len(streams.each) == 1:
        one = streams.each[0]
        return HEAD.pack(streams.step, streams.bands | MENDED * one.mended, one.lane_bits) + one.decisions
    check_count(len(streams.each))
    marked = [bytes([one.lane_bits | MENDED * one.mended]) + one.decisions for one in streams.each]
    lengths = b"".join(varint(len(data)) for data in marked)
    return streams.step.to_bytes(4, "little") + bytes([streams.bands]) + lengths + b"".join(marked)


def read_streams(data: bytes, n: int) -> Streams:
    """The streams of `n` pictures, none of which is decoded.

    Raises
    ------
    InputError
        The lengths are not those of as many streams that fill the section, or a number is out of range.
    """
    if len(data) < HEAD.size:
        raise InputError(f'the section "{SECTION}" is missing or cut off')
    if n == 1:
        step, bands, lane_bits = HEAD.unpack_from(data)
        found = Streams(step, bands % MENDED, [Stream(bands >= MENDED, lane_bits, data[HEAD.size :])])
    else:
        fields = Fields(data)
        step, bands = fields.number(4), fields.byte()
        lengths = [fields.varint() for _ in range(n)]
        left = len(data) - fields.place
        if sum(lengths) != left:
            raise InputError(f"is damaged: its {n:,} pictures have {sum(lengths):,} bytes, {left:,} are there")
        if 0 in lengths:
            raise InputError(f"is damaged: its picture {lengths.index(0):,} has no bytes")
        found = Streams(step, bands, [_stream(fields.take(length)) for length in lengths])
    in_range = all(one.lane_bits <= MOST_LANE_BITS for one in found.each)
    if not LEAST_STEP <= step <= MOST_STEP or not 1 <= found.bands <= BANDS or not in_range:
        raise InputError(f'the section "{SECTION}" begins with numbers that are out of range')
    return found


def _stream(data: bytes) -> Stream:
    return Stream(data[0] >= MENDED, data[0] % MENDED, data[1:])


def check_count(n: int) -> None:
    """Raise TooLarge when a collection has more pictures than are ever read."""
    if n > MOST_PICTURES:
        raise TooLarge(f"{n:,} pictures are more than arrangement patches is for (at most {MOST_PICTURES:,})")
