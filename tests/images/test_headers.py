"""Headers that go on and on are refused before Pillow walks through them; long ones that are meant well are read."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, PpmImagePlugin

from nmfcompress.errors import InputError
from nmfcompress.images.headers import (
    HEAD_BYTES,
    MOST_BLOCKS,
    MOST_CHUNKS,
    MOST_COMMENTS,
    MOST_FRAMES,
    MOST_NUMBERS,
    MOST_SCANS,
    MOST_STEPS,
)  # fmt: skip
from nmfcompress.images.pictures import count_frames, read_image
from nmfcompress.images.saving import encode_picture

PIXELS = np.arange(300, dtype=np.uint8).reshape(15, 20)


def jpeg(before: bytes) -> bytes:
    out = io.BytesIO()
    Image.fromarray(PIXELS).save(out, "JPEG")
    return out.getvalue()[:2] + before + out.getvalue()[2:]


def jpeg_hiding(marker: int) -> bytes:
    """Segments within what looks like segments of a marker that has none."""
    hidden = b"\xff\xee\0\2" * 2**10
    start = bytes([0xFF, marker]) + struct.pack(">H", 2 + len(hidden))
    return jpeg((start + hidden) * (MOST_STEPS // 2**10))


def pgm(between: bytes, magic: bytes = b"P5", white: bytes = b"255") -> bytes:
    return magic + b"\n" + between + b"\n20 15\n" + white + b"\n" + PIXELS.tobytes() + bytes(HEAD_BYTES)


def pages(count: int) -> bytes:
    """A TIFF of so many pages of one pixel each, its directories one behind the other."""
    tags = [(256, 1), (257, 1), (258, 8), (259, 1), (262, 1), (273, 8), (278, 1), (279, 1)]
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, 3, 1, value) for tag, value in tags)
    length = len(directory) + 4
    following = (*(12 + length * (place + 1) for place in range(count - 1)), 0)
    return b"II*\0" + struct.pack("<II", 12, 0) + b"".join(directory + struct.pack("<I", next_) for next_ in following)


def png(chunk: bytes, count: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(PIXELS).save(out, "PNG")
    whole = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return out.getvalue()[:33] + whole * count + out.getvalue()[33:]


def gif(before: bytes) -> bytes:
    out = io.BytesIO()
    Image.fromarray(PIXELS).save(out, "GIF")
    place = 13 + 3 * (2 << (out.getvalue()[10] & 7))
    return out.getvalue()[:place] + before + out.getvalue()[place:]


def scans(count: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(PIXELS).save(out, "JPEG", progressive=True)
    start = out.getvalue().rfind(b"\xff\xda")
    return out.getvalue()[:-2] + out.getvalue()[start:-2] * count + out.getvalue()[-2:]


def plain(comments: int) -> bytes:
    """Enough numbers that so many comments are no matter of bytes."""
    return b"P2\n300 100\n255\n" + b"1 " * 100 + b"#\n" * comments + b"1 " * 29900


def numbers(count: int, tag: int = 0x9999, kind: int = 5) -> bytes:
    """A TIFF of one pixel and a tag of so many numbers."""
    tags = [(256, 3, 1, 1), (257, 3, 1, 1), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8),
            (278, 3, 1, 1), (279, 4, 1, 1), (tag, kind, count, 122)]  # fmt: skip
    table = b"".join(struct.pack("<HHII", *one) for one in sorted(tags))
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + table + bytes(4) + bytes(8 * count)


def jp2(boxes: bytes) -> bytes:
    out = io.BytesIO()
    Image.fromarray(PIXELS).save(out, "JPEG2000")
    return out.getvalue()[:32] + boxes + out.getvalue()[32:]  # behind the signature and the kind


def behind(chunk: bytes, count: int) -> bytes:
    """A PNG with so many chunks behind its picture."""
    whole, end = png(chunk, count), png(b"none", 0)
    return end[:-12] + whole[33 : 33 + len(whole) - len(end)] + end[-12:]


LONG = {
    "comments in the body": b"P2\n20 15\n255\n" + b"#\n" * 2**20 + b" ".join(b"%d" % v for v in PIXELS.ravel()),
    "chunks": png(b"teSt", MOST_STEPS + 1),
    "texts": png(b"tEXta\0b", MOST_STEPS + 1),
    "segments": jpeg(b"\xff\xee\0\2" * (MOST_STEPS + 1)),
    "padding": jpeg(b"\xff" * (MOST_STEPS + 1)),
    "bytes between": jpeg(bytes(MOST_STEPS + 1)),
    "segments behind an end": jpeg(b"\xff\xd9" + b"\xff\xee\0\2" * MOST_STEPS),
    "segments within JPG": jpeg_hiding(0xC8),
    "segments within JPG0": jpeg_hiding(0xF0),
    "segments within JPG13": jpeg_hiding(0xFD),
    "nothing but padding": b"\xff\xd8" + b"\xff" * 10**6,
    "a comment": pgm(b"#" + b"x" * HEAD_BYTES),
    "a comment within the last number": pgm(b"", white=b"2#" + b"x" * HEAD_BYTES + b"\n55"),
    "spaces": pgm(b" " * HEAD_BYTES),
    **{f"spaces in {magic.decode()}": pgm(b" " * HEAD_BYTES, magic) for magic in PpmImagePlugin.MODES},
    "pages": pages(MOST_FRAMES + 1),
    "chunks behind": behind(b"teSt", 2 * MOST_CHUNKS),
    "pictures behind": behind(b"IDAT", 2 * MOST_CHUNKS),
    "comments of GIF": gif(b"!\xfe\1a\0" * MOST_BLOCKS),
    "comments of one letter": gif(b"!\xfe" + b"\1a" * (MOST_BLOCKS + MOST_BLOCKS // 16) + b"\0"),
    "bytes in GIF": gif(bytes(MOST_BLOCKS + MOST_BLOCKS // 16)),
    "scans": scans(MOST_SCANS + 9),
    "comments between numbers": plain(MOST_COMMENTS + 1),
    "rationals": numbers(MOST_NUMBERS + 1),
    "description": numbers(MOST_NUMBERS + 1, 270),
    "boxes": jp2(b"\0\0\0\x08free" * MOST_STEPS),
}


@pytest.mark.parametrize("kind", LONG)
def test_a_header_without_end_is_refused(kind, monkeypatch):
    walked = []
    monkeypatch.setattr(Image.Image, "seek", lambda *_: walked.append(1))
    with pytest.raises(
        InputError, match=r"is a (JPEG|PNG|GIF|TIFF|JPEG 2000) with over|is a PNM picture (with|of)|frames, no more"
    ):
        read_image(LONG[kind])
    assert not walked


@pytest.mark.parametrize(
    "content",
    [
        jpeg(b"\xff\xee\0\2" * (MOST_STEPS // 2)),
        jpeg(b"\xff" * (MOST_STEPS // 2)),
        jpeg(b"\xff\xfe\xff\xff" + bytes(65533)),
        pgm(b"# made by hand\n#\r# twice"),
        pgm(b"#" + b"x" * (HEAD_BYTES - 200)),
        pgm(b""),
        pgm(b"", white=b"2#\n5#" + b"x" * 300 + b"\n5"),
        gif(b"!\xfe\1a\0" * (MOST_BLOCKS // 8)),
        gif(b"!\xfe" + (b"\xff" + bytes(255)) * MOST_STEPS + b"\0"),
        jp2(b"\0\0\0\1free\0\0\0\0\0\0\0\x10" + b"\0\0\0\x08free" * (MOST_STEPS // 2)),
        behind(b"teSt", MOST_STEPS * 2),
        b"P2\n20 15\n255\n" + (b" " * 38).join(b"%d" % v for v in PIXELS.ravel()) + b"\n" + b"P2 1 1 9 5\n" * 10**4,
    ],
    ids=[
        "segments",
        "padding",
        "a long comment",
        "comments",
        "one long comment",
        "none",
        "comments in a number",
        "GIF comments",
        "a long GIF comment",
        "boxes",
        "chunks behind",
        "blanks and more pictures",
    ],
)
def test_a_long_header_is_read(content):
    found = read_image(content).pixels
    assert found.shape == PIXELS.shape
    assert np.abs(found.astype(int) - PIXELS).max() < 40


def test_a_tiff_may_have_many_bytes_in_its_tags():
    assert read_image(numbers(MOST_NUMBERS // 2)).pixels.shape == (1, 1)
    assert read_image(numbers(2 * MOST_NUMBERS, kind=7)).pixels.shape == (1, 1)


@pytest.mark.parametrize("kind", ["tif", "avif", "png"])
def test_exif_of_many_numbers_costs_no_more_than_its_bytes(kind):
    exif = b"Exif\0\0II*\0" + struct.pack("<IHHHIII", 8, 1, 0x9999, 5, 500_000, 26, 0) + bytes(4_000_000)
    tracemalloc.start()
    try:
        data, notes = encode_picture(replace(read_image(png(b"none", 0)), exif=exif), kind)
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()
    assert notes == (() if kind == "png" else ("EXIF dropped (over 65,536 numbers in it)",))
    assert read_image(data).pixels.shape[:2] == PIXELS.shape


def test_a_text_is_no_picture():
    with pytest.raises(InputError, match="is a text file, expected a picture"):
        read_image(b"Python" * HEAD_BYTES)


def test_as_many_pages_as_there_may_be():
    assert count_frames(pages(MOST_FRAMES)) == MOST_FRAMES


def test_a_token_is_shown_as_text():
    with pytest.raises(InputError, match=r"Token too long in file header: 1111") as raised:
        read_image(b"P5\n" + b"1" * 40 + b" 3\n255\n" + bytes(99))
    assert "b'" not in str(raised.value)
