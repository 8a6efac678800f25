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

from nmfcompress.errors import InputError, TooLarge
from nmfcompress.images import pace
from nmfcompress.images.headers import MOST_FRAMES, MOST_NUMBERS
from nmfcompress.images.limits import Limits
from nmfcompress.images.pictures import count_frames, read_image
from nmfcompress.images.saving import encode_picture

FEW = 2**15  # steps, so that it takes files of no size to go beyond
PIXELS = np.arange(300, dtype=np.uint8).reshape(15, 20)


def jpeg(before: bytes) -> bytes:
    out = io.BytesIO()
    Image.fromarray(PIXELS).save(out, "JPEG")
    return out.getvalue()[:2] + before + out.getvalue()[2:]


def jpeg_hiding(marker: int) -> bytes:
    """Segments within what looks like segments of a marker that has none."""
    hidden = b"\xff\xee\0\2" * 2**10
    start = bytes([0xFF, marker]) + struct.pack(">H", 2 + len(hidden))
    return jpeg((start + hidden) * (FEW // 2**10))


def pgm(between: bytes, magic: bytes = b"P5", white: bytes = b"255") -> bytes:
    return magic + b"\n" + between + b"\n20 15\n" + white + b"\n" + PIXELS.tobytes()


def pages(count: int) -> bytes:
    """A TIFF of so many pages of one pixel each, its directories one behind the other."""
    tags = [(256, 1), (257, 1), (258, 8), (259, 1), (262, 1), (273, 8), (278, 1), (279, 1)]
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, 3, 1, value) for tag, value in tags)
    length = len(directory) + 4
    following = (*(12 + length * (place + 1) for place in range(count - 1)), 0)
    return b"II*\0" + struct.pack("<II", 12, 0) + b"".join(directory + struct.pack("<I", next_) for next_ in following)


def whole(chunk: bytes) -> bytes:
    return struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))


def png(chunk: bytes, count: int = 1) -> bytes:
    out = io.BytesIO()
    Image.fromarray(PIXELS).save(out, "PNG")
    return out.getvalue()[:33] + whole(chunk) * count + out.getvalue()[33:]


def ico(picture: bytes) -> bytes:
    return b"\0\0\1\0\1\0" + struct.pack("<BBBBHHII", 20, 15, 0, 0, 1, 32, len(picture), 22) + picture


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


def tiff(*tags: tuple[int, int, int, int], behind: bytes = b"") -> bytes:
    """Of two pixels; what is behind begins at 122 and 12 more for each tag beside one."""
    usual = {256: (3, 1, 1), 257: (3, 1, 2), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1), 273: (4, 1, 8),
             278: (3, 1, 1), 279: (4, 1, 2)}  # fmt: skip
    all_ = [(tag, *what) for tag, what in usual.items() if tag not in {tag for tag, *_ in tags}]
    table = b"".join(struct.pack("<HHII", *one) for one in sorted((*all_, *tags)))
    return b"II*\0" + struct.pack("<IH", 8, len(table) // 12) + table + bytes(4) + behind


def numbers(count: int, tag: int = 0x9999, kind: int = 5, size: int = 8) -> bytes:
    """A TIFF with a tag of so many numbers of so many bytes."""
    return tiff((tag, kind, count, 110 if tag in (273, 279) else 122), behind=bytes(12 + size * count))


def decoys() -> bytes:
    """A TIFF with many rationals for the GPS, and many tags that lead elsewhere."""
    inner = [(0xA005, 4, 1, 10 + 12 * 309 + 4)] * 300
    gps = struct.pack("<HHHII", 1, 2, 5, BEYOND, 10 + 12 * 309 + 4 + 24) + bytes(10) + bytes(8 * BEYOND)
    return tiff((0x8825, 4, 1, 10 + 12 * 309 + 4), *inner, behind=gps)


def other_order() -> bytes:
    """It begins as a BigTIFF would that has no pages; Pillow takes it for a TIFF with one."""
    tags = [
        (tag, 4, 1, value) for tag, value in ((256, 1), (257, 1), (259, 1), (262, 1), (273, 24), (278, 1), (279, 1))
    ]
    tags = sorted([*tags, (258, 3, 1, 8 << 16), (282, 5, BEYOND, 200)])
    table = struct.pack(">H", len(tags)) + b"".join(struct.pack(">HHII", *one) for one in tags) + bytes(4)
    return b"MM\0+" + struct.pack(">I", 64) + bytes(56) + table + bytes(24) + bytes(8 * BEYOND)


def exif(count: int) -> bytes:
    """With an orientation that is so many numbers."""
    return b"II*\0" + struct.pack("<IHHHIII", 8, 1, 274, 5, count, 26, 0) + struct.pack("<II", 1, 1) * count


def saved(kind: str, **options) -> bytes:
    out = io.BytesIO()
    Image.fromarray(PIXELS).save(out, kind, **options)
    return out.getvalue()


def jp2(boxes: bytes, inner: bytes = b"") -> bytes:
    out = saved("JPEG2000")
    head = out.index(b"jp2h")
    length = struct.unpack_from(">I", out, head - 4)[0]
    header = struct.pack(">I", length + len(inner)) + b"jp2h" + inner + out[head + 4 : head - 4 + length]
    return out[:32] + boxes + out[32 : head - 4] + header + out[head - 4 + length :]


def behind(chunk: bytes, count: int) -> bytes:
    """A PNG with so many chunks behind its picture."""
    return saved("PNG")[:-12] + whole(chunk) * count + saved("PNG")[-12:]


BEYOND = 2 * MOST_NUMBERS
PROFILE = b"iCCPx\0\0" + zlib.compress(bytes(2**20), 9)
LONG = {
    "comments in the body": b"P2\n20 15\n255\n" + b"#\n" * FEW + b" ".join(b"%d" % v for v in PIXELS.ravel()),
    "chunks": png(b"teSt", FEW),
    "texts": png(b"tEXta\0b", FEW),
    "profiles": png(PROFILE, 4),
    "profiles behind": behind(PROFILE, 4),
    "chunks within an icon": ico(png(b"teSt", FEW)),
    "profiles within an icon": ico(png(PROFILE, 4)),
    "segments": jpeg(b"\xff\xee\0\2" * FEW),
    "EXIF in pieces": jpeg(b"\xff\xe1\0\x10Exif\0\0II*\0\0\0\0\0" * 4),
    "padding": jpeg(b"\xff" * 2 * FEW),
    "bytes between": jpeg(b"\xff\xee\0\2" + bytes(2 * FEW)),
    "segments behind an end": jpeg(b"\xff\xd9" + b"\xff\xee\0\2" * FEW),
    "segments within JPG": jpeg_hiding(0xC8),
    "segments within JPG0": jpeg_hiding(0xF0),
    "segments within JPG13": jpeg_hiding(0xFD),
    "nothing but padding": b"\xff\xd8" + b"\xff" * 10**6,
    "a comment": pgm(b"#" + b"x" * 2 * FEW),
    "a comment within the last number": pgm(b"", white=b"2#" + b"x" * 2 * FEW + b"\n55"),
    "spaces": pgm(b" " * 2 * FEW),
    **{f"spaces in {magic.decode()}": pgm(b" " * 2 * FEW, magic) for magic in PpmImagePlugin.MODES},
    "pages": pages(MOST_FRAMES + 1),
    "chunks behind": behind(b"teSt", FEW),
    "pictures behind": behind(b"IDAT", FEW),
    "comments of GIF": gif(b"!\xfe\1a\0" * FEW),
    "comments of one letter": gif(b"!\xfe" + b"\1a" * FEW + b"\0"),
    "bytes in GIF": gif(bytes(2 * FEW)),
    "scans": scans(20),
    "comments between numbers": plain(FEW // 32),
    "rationals": numbers(BEYOND),
    "description": numbers(BEYOND, 270),
    "strips": numbers(BEYOND, 273, 6, 1),
    "colours": numbers(BEYOND, 320, 3, 2),
    "rationals behind decoys": decoys(),
    "rationals behind a large header of the other order": other_order(),
    "rationals in EXIF of PNG": png(b"eXIf" + exif(BEYOND)),
    "rationals in EXIF of WebP": saved("WEBP", exif=exif(BEYOND)),
    "rationals in EXIF of AVIF": saved("AVIF").replace(b"mdat", b"mdat" + exif(BEYOND)),
    "boxes": jp2(b"\0\0\0\x08free" * 2 * FEW),
    "boxes within a box": jp2(b"", b"\0\0\0\x08free" * 4 * FEW),
}


@pytest.mark.parametrize("kind", LONG)
def test_a_header_without_end_is_refused(kind, monkeypatch):
    walked = []
    monkeypatch.setattr(pace, "STEPS", FEW)
    monkeypatch.setattr(pace, "LARGE", FEW)
    monkeypatch.setattr(Image.Image, "seek", lambda *_: walked.append(1))
    with pytest.raises(InputError, match=r"in more pieces than any|too many numbers in|frames, no more are read"):
        read_image(LONG[kind])
    assert not walked


def test_so_much_is_refused():
    with pytest.raises(InputError, match="in more pieces than any picture that is meant well"):
        read_image(scans(600))


@pytest.mark.parametrize(
    "content",
    [
        jpeg(b"\xff\xee\0\2" * 10_000),
        jpeg(b"\xff" * 10_000),
        jpeg(b"\xff\xfe\xff\xff" + bytes(65533)),
        jpeg(b"\xff\xe1\xff\xffExif\0\0II*\0\0\0\0\0" + bytes(65519)),
        jpeg(b"") * 600,
        pgm(b"# made by hand\n#\r# twice"),
        pgm(b"#" + b"x" * 100_000),
        pgm(b""),
        pgm(b"", white=b"2#\n5#" + b"x" * 300 + b"\n5"),
        gif(b"!\xfe\1a\0" * 65_536),
        gif(b"!\xfe" + (b"\xff" + bytes(255)) * 16_384 + b"\0"),
        gif(b"")[:-1] + bytes(600_000),
        jp2(b"\0\0\0\1free\0\0\0\0\0\0\0\x10" + b"\0\0\0\x08free" * 10_000, b"\0\0\0\x08free" * 10_000),
        behind(b"teSt", 30_000),
        png(PROFILE, 30),
        b"P2\n20 15\n255\n" + (b" " * 38).join(b"%d" % v for v in PIXELS.ravel()) + b"\n" + b"P2 1 1 9 5\n" * 10**4,
        b"P2\n20 15\n255\n" + (b"\n# " + b"a remark " * 12 + b"\n").join(b"%d" % v for v in PIXELS.ravel()) + b"\n",
    ],
    ids=[
        "segments",
        "padding",
        "a long comment",
        "long EXIF",
        "pictures behind",
        "comments",
        "one long comment",
        "none",
        "comments in a number",
        "GIF comments",
        "a long GIF comment",
        "zeros behind",
        "boxes",
        "chunks behind",
        "profiles",
        "blanks and more pictures",
        "remarks",
    ],
)
def test_a_long_header_is_read(content):
    found = read_image(content).pixels
    assert found.shape == PIXELS.shape
    assert np.abs(found.astype(int) - PIXELS).max() < 40


def test_a_tiff_may_have_many_bytes_in_its_tags():
    assert read_image(numbers(MOST_NUMBERS // 2)).pixels.shape == (2, 1)
    assert read_image(numbers(BEYOND, kind=7)).pixels.shape == (2, 1)
    assert read_image(numbers(65536, 301, 3, 2)).pixels.shape == (2, 1)  # a transfer function, which has no fewer


def test_what_tags_hold_is_within_the_memory_allowed():
    with pytest.raises(TooLarge, match=r"what its tags hold needs 89\.5 MB, max_memory is 50\.0 MB"):
        read_image(numbers(250_000), limits=Limits(max_memory=50_000_000))


@pytest.mark.parametrize(
    ("content", "what"),
    [(png(b"teSt" + bytes(3_000_000)), "is in the file"), (numbers(375_000, kind=7), "its tags hold")],
)
def test_what_is_read_is_within_the_memory_allowed(content, what, tmp_path):
    (tmp_path / "a.png").write_bytes(content)
    assert read_image(tmp_path / "a.png").pixels.size > 1
    with pytest.raises(TooLarge, match=rf"what {what} needs [0-9.]+ .B, max_memory is 300\.0 KB"):
        read_image(tmp_path / "a.png", limits=Limits(max_memory=300_000))


def test_a_picture_may_have_hundreds_of_scans():
    assert read_image(scans(400)).pixels.shape == PIXELS.shape


def test_what_is_read_again_is_paid_for_once(monkeypatch):
    monkeypatch.setattr(pace, "STEPS", 2**16)
    file = pace.Paced(io.BytesIO(scans(10)), b"\xff\xd8")
    file.opened()
    for _ in range(100):
        file.seek(0)
        file.read(2**16)
    other = pace.Paced(io.BytesIO(scans(40)), b"\xff\xd8")
    assert other.read()
    other.seek(0)
    assert other.read(), "the header is no picture"
    other = pace.Paced(io.BytesIO(scans(40)), b"\xff\xd8")
    other.opened()
    with pytest.raises(InputError):
        other.read()


def test_a_large_codestream_is_no_header(monkeypatch):
    monkeypatch.setattr(pace, "LARGE", 2**10)
    monkeypatch.setattr(pace, "STEPS", 2**10)
    out = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (300, 300), np.uint8)
    Image.fromarray(noise).save(out, "JPEG2000")
    np.testing.assert_array_equal(read_image(out.getvalue()).pixels, noise)


def many_frames(kind: str) -> bytes:
    """An animation of 2,000 frames of a pixel each, on a large canvas."""
    if kind == "GIF":
        frame = b"!\xf9\4\0\1\0\0\0," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\2\2\x4c\1\0"
        return b"GIF89a" + struct.pack("<HHBBB", 3000, 3000, 128, 0, 0) + b"\0\0\0\xff\0\0" + 2000 * frame + b";"
    black = zlib.compress(bytes(3000 * 3001))
    parts = [b"IHDR" + struct.pack(">IIBBBBB", 3000, 3000, 8, 0, 0, 0, 0), b"acTL" + struct.pack(">II", 2000, 0)]
    parts += [b"fcTL" + struct.pack(">IIIIIHHBB", 0, 3000, 3000, 0, 0, 1, 10, 0, 0), b"IDAT" + black]
    for place in range(1, 4000 - 2, 2):
        parts.append(b"fcTL" + struct.pack(">IIIIIHHBB", place, 1, 1, 0, 0, 1, 10, 0, 1))
        parts.append(b"fdAT" + struct.pack(">I", place + 1) + zlib.compress(b"\0\7"))
    return b"\x89PNG\r\n\x1a\n" + b"".join(map(whole, [*parts, b"IEND"]))


@pytest.mark.parametrize("kind", ["GIF", "PNG"])
def test_frames_that_are_passed_over_cost_as_much_as_is_painted(kind):
    content = many_frames(kind)
    assert count_frames(content) == 2000
    assert read_image(content, frame=3).pixels.shape[:2] == (3000, 3000)
    with pytest.raises(InputError, match="in more pieces than any picture that is meant well"):
        read_image(content, frame=2000)


@pytest.mark.parametrize("kind", ["tif", "avif", "png"])
def test_exif_of_many_numbers_costs_no_more_than_its_bytes(kind):
    tracemalloc.start()
    try:
        picture = replace(read_image(png(b"none", 0)), exif=b"Exif\0\0" + exif(500_000))
        data, notes = encode_picture(picture, kind)
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()
    assert notes == (() if kind == "png" else ("EXIF dropped (too many numbers in it)",))
    assert data


def test_a_text_is_no_picture():
    with pytest.raises(InputError, match="is a text file, expected a picture"):
        read_image(b"Python" * 2**16)


def test_as_many_pages_as_there_may_be():
    assert count_frames(pages(MOST_FRAMES)) == MOST_FRAMES


def test_a_token_is_shown_as_text():
    with pytest.raises(InputError, match=r"Token too long in file header: 1111") as raised:
        read_image(b"P5\n" + b"1" * 40 + b" 3\n255\n" + bytes(99))
    assert "b'" not in str(raised.value)
