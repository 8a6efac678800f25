"""What a picture file says of itself, read without Pillow, which walks step by step through however much it is."""

from __future__ import annotations

import math
import os
import re
import struct
from typing import BinaryIO

from PIL import ImageFile, JpegImagePlugin, PpmImagePlugin

from ..errors import InputError

HEAD_BYTES = 2**16  # of a file that are looked at before it is opened
MOST_FRAMES = 2**16  # a longer chain of frames is hostile
MOST_STEPS = 2**14  # segments before the picture in a JPEG, bytes between them, chunks of a PNG: usual ones have tens
MOST_SCANS, SCAN_BYTES = 500, 2**16  # of a JPEG, each of which is a pass over its picture; usual ones have ten
MOST_COMMENTS = 2**17  # of a plain PNM: Pillow copies a megabyte at each
MOST_NUMBERS, MOST_DIRECTORIES = 2**16, 256  # in the tags of a directory of a TIFF, which are looked at so far
ORDERS = {b"II": "<", b"MM": ">"}
NUMBERS = {3: 2, 4: 4, 5: 8, 6: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}  # kinds: bytes of each
LAYOUT = {273, 279, 288, 289, 320, 324, 325}  # where the pixels are, and their colours
INNER = {0x8769, 0x8825, 0xA005}  # directories within: camera, GPS, interoperability
PLAIN_BYTES, PLAIN_MORE = 32, 2**20  # of a number in a plain PNM, and of the file beside them: more is comments
# Blocks and chunks of a whole file, beside one for every so many bytes: frames have some each, pictures large ones
MOST_BLOCKS, MOST_CHUNKS, BLOCK = 2**19, 2**17, 64


def check_header(head: bytes, stream: BinaryIO) -> None:
    """Look at a header that Pillow would walk through for as long as it lasts; `head`: its first HEAD_BYTES.

    Raises
    ------
    InputError
        It is longer than any that is meant well.
    """
    if head.startswith(b"\xff\xd8"):
        _check_jpeg(stream)
    elif head.startswith(b"\x89PNG"):
        _check_png(stream)
    elif head.startswith(b"GIF8"):
        _gif_frames(stream)
    elif head[:2] in ORDERS and has_many_numbers(stream):
        raise InputError(f"is a TIFF with over {MOST_NUMBERS:,} numbers in its tags")
    elif head[4:8] == b"jP  ":
        _check_boxes(stream)
    elif head[:1] == b"P" and len(head) == HEAD_BYTES:
        _check_pnm(head, stream)
    stream.seek(0)


def _check_jpeg(stream: BinaryIO) -> None:
    scans, most = _count(b"\xff\xda", stream), MOST_SCANS + stream.seek(0, os.SEEK_END) // SCAN_BYTES
    if scans > most:
        raise InputError(f"is a JPEG with over {most:,} scans")
    stream.seek(2)
    for _ in range(MOST_STEPS):
        byte = stream.read(1)
        if not byte:
            return
        if byte != b"\xff":
            continue
        marker = stream.read(1)
        if marker in (b"", b"\xda"):  # the picture itself; Pillow walks on behind an end
            return
        if marker == b"\xff":  # padding: it may begin the marker
            stream.seek(-1, os.SEEK_CUR)
        elif marker not in _ALONE:
            stream.seek(max(int.from_bytes(stream.read(2), "big") - 2, 0), os.SEEK_CUR)
    raise InputError(f"is a JPEG with over {MOST_STEPS:,} segments or bytes of padding before its picture")


# Markers without a segment: more than the standard has, as Pillow looks for markers within those of JPG, JPG0 to JPG13
_ALONE = frozenset(bytes([code & 255]) for code, found in JpegImagePlugin.MARKER.items() if not found[2]) | {b"\0"}


def has_many_numbers(stream: BinaryIO) -> bool:
    """Whether tags of a TIFF, or of EXIF without its prefix, have so many: Pillow makes an object of each."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    order = ORDERS.get(stream.read(2), "<")

    def number(size: int) -> int:
        return int.from_bytes(stream.read(size), "little" if order == "<" else "big")

    big = number(2) == 43
    word, entries = (8, 8) if big else (4, 2)
    if big:
        stream.seek(8)
    places, seen = [number(word)], set[int]()
    while places and len(seen) < MOST_DIRECTORIES:
        place = places.pop()
        if place in seen or not 0 < place < 2**62:
            continue
        seen.add(place)
        stream.seek(place)
        each = struct.Struct(order + ("HHQQ" if big else "HHII"))
        table = stream.read(min(number(entries), MOST_STEPS) * each.size)
        following = number(word)
        tags = list(each.iter_unpack(table[: len(table) // each.size * each.size]))
        there = (
            count for tag, kind, count, value in tags
            if tag not in LAYOUT and kind in NUMBERS and value + count * NUMBERS[kind] <= size  # others are passed over
        )  # fmt: skip
        if sum(there) > MOST_NUMBERS:
            return True
        places += [following, *(value for tag, _, _, value in tags if tag in INNER)]
    return False


def _count(what: bytes, stream: BinaryIO) -> int:
    """How often that is in a file, but for where two megabytes meet."""
    stream.seek(0)
    return sum(part.count(what) for part in iter(lambda: stream.read(2**20), b""))


def _check_png(stream: BinaryIO) -> None:
    most, before = _most(MOST_CHUNKS, stream), True
    stream.seek(8)
    for count in range(most):
        chunk = stream.read(8)
        if len(chunk) < 8 or chunk[4:] == b"IEND":
            return
        before = before and chunk[4:] != b"IDAT"
        if before and count == MOST_STEPS:
            raise InputError(f"is a PNG with over {MOST_STEPS:,} chunks before its picture")
        stream.seek(int.from_bytes(chunk[:4], "big") + 4, os.SEEK_CUR)
    raise InputError(f"is a PNG with over {most:,} chunks")


def _check_boxes(stream: BinaryIO) -> None:
    """JPEG 2000."""
    stream.seek(0)
    for _ in range(MOST_STEPS):
        box = stream.read(8)
        length = int.from_bytes(box[:4], "big")
        if len(box) < 8 or box[4:] == b"jp2c" or length == 0:
            return
        if length == 1:
            length = int.from_bytes(stream.read(8), "big") - 8
        if not 8 <= length < 2**62:
            return
        stream.seek(length - 8, os.SEEK_CUR)
    raise InputError(f"is a JPEG 2000 with over {MOST_STEPS:,} boxes before its picture")


def _most(blocks: int, stream: BinaryIO) -> int:
    """So many, and as many as a file of this length may have beside."""
    return blocks + stream.seek(0, os.SEEK_END) // BLOCK


def _check_pnm(head: bytes, stream: BinaryIO) -> None:
    kind = head[:6].split()[0]
    mode = PpmImagePlugin.MODES.get(kind)
    if mode is None:
        return
    numbers = 2 if mode == "1" else 3
    for some in (head[:256], head):
        bare = re.sub(rb"#[^\r\n]*[\r\n]?", b"", some)
        if re.match(rb"\S+(\s+\S+){%d}\s" % numbers, bare):
            break
    else:
        raise InputError(f"is a PNM picture with a header of over {HEAD_BYTES:,} bytes")
    sides = bare.split(None, 3)[1:3]
    if kind in (b"P1", b"P2", b"P3") and all(side.isdigit() and len(side) < 10 for side in sides):
        size, samples = stream.seek(0, os.SEEK_END), math.prod(map(int, sides)) * (3 if kind == b"P3" else 1)
        if size > PLAIN_MORE + PLAIN_BYTES * samples:
            raise InputError(f"is a PNM picture of {size:,} bytes for {samples:,} numbers")
        if _count(b"#", stream) > MOST_COMMENTS:
            raise InputError(f"is a PNM picture with over {MOST_COMMENTS:,} comments")


def count_frames(image: ImageFile.ImageFile, stream: BinaryIO) -> int:
    """How many frames there are, without parsing each as Pillow's n_frames does for TIFF and GIF.

    Raises
    ------
    InputError
        More than MOST_FRAMES.
    """
    if image.format not in ("TIFF", "GIF"):
        return 1 if image.format == "ICO" else max(int(getattr(image, "n_frames", 1)), 1)
    place = stream.tell()
    try:
        count = max(_tiff_pages(stream) if image.format == "TIFF" else _gif_frames(stream), 1)
    finally:
        stream.seek(place)
    if count > MOST_FRAMES:
        raise InputError(f"has over {MOST_FRAMES:,} frames, no more are read")
    return count


def _tiff_pages(stream: BinaryIO) -> int:
    stream.seek(0)
    header = stream.read(16)
    little = header[:2] == b"II"

    def number(data: bytes) -> int:
        return int.from_bytes(data, "little" if little else "big")

    big = number(header[2:4]) == 43
    word, entries, entry = (8, 8, 20) if big else (4, 2, 12)
    place = number(header[8:16] if big else header[4:8])
    seen: set[int] = set()
    while place and place not in seen and place < 2**63 and len(seen) <= MOST_FRAMES:
        stream.seek(place)
        count = stream.read(entries)
        if len(count) < entries or number(count) * entry >= 2**62:
            break
        seen.add(place)
        stream.seek(number(count) * entry, os.SEEK_CUR)
        place = number(stream.read(word))
    return len(seen)


def _gif_frames(stream: BinaryIO) -> int:
    """Raises InputError where it has more blocks than any that is meant well, or bytes between them."""
    most = _most(MOST_BLOCKS, stream)
    left = iter(range(most))

    def count_block() -> None:
        if next(left, None) is None:
            raise InputError(f"is a GIF with over {most:,} blocks")

    stream.seek(0)
    header = stream.read(13)
    if len(header) < 13:
        return 0
    stream.seek(_colours(header[10]), os.SEEK_CUR)
    frames = 0
    while frames <= MOST_FRAMES and (mark := stream.read(1)) not in (b"", b";"):
        count_block()
        if mark == b",":
            descriptor = stream.read(9)
            if len(descriptor) < 9:
                break
            frames += 1
            stream.seek(_colours(descriptor[8]) + 1, os.SEEK_CUR)
        elif mark == b"!":
            stream.read(1)
        else:
            continue
        while length := stream.read(1)[:1]:
            if length == b"\0":
                break
            count_block()
            stream.seek(length[0], os.SEEK_CUR)
    return frames


def _colours(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 128 else 0
