"""pictures.py: what a file holds is what we get, and every change is noted."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import threading
import warnings
import zlib

import numpy as np
import PIL
import pytest
from arrays_made import PEAK
from PIL import Image, ImageCms

from nmfcompress.errors import InputError, OutputError, TooLarge, UsageError
from nmfcompress.images.levels import Levels
from nmfcompress.images.limits import Limits
from nmfcompress.images.pictures import (
    FORMATS,
    KINDS,
    Picture,
    count_frames,
    encode_picture,
    kind_of,
    read_frames,
    read_image,
    write_image,
)

RNG = np.random.default_rng(7)
GREY = RNG.integers(0, 256, (6, 9), np.uint8)
RGB = RNG.integers(0, 256, (6, 9, 3), np.uint8)
ALPHA = RNG.integers(0, 256, (6, 9), np.uint8)
DEEP = RNG.integers(0, 65536, (6, 9), np.uint16)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
GREY_PROFILE = SRGB[:16] + b"GRAY" + SRGB[20:]


def exif_bytes(orientation: int | None = None) -> bytes:
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    if orientation:
        exif[0x0112] = orientation
    exif.get_ifd(0x8769)[0x829A] = 0.01
    return exif.tobytes()


def saved(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def png(width: int, height: int, depth: int, colour: int, *chunks: tuple[bytes, bytes], rows: bytes = b"") -> bytes:
    """A PNG file made by hand."""
    found = [(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)), *chunks]
    found += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    parts = [struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in found]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("values", [GREY, RGB, np.dstack([GREY, ALPHA]), np.dstack([RGB, ALPHA]), DEEP])
@pytest.mark.parametrize("told", [True, False])
def test_png_round_trip(tmp_path, values, told):
    icc = (SRGB if values.ndim == 3 and values.shape[2] > 2 else GREY_PROFILE) if told else None
    options = {"icc_profile": icc, "exif": exif_bytes(), "dpi": (300, 150)} if told else {}
    (tmp_path / "a.png").write_bytes(saved(Image.fromarray(values), **options))
    first = read_image(tmp_path / "a.png")
    assert first.notes == ()
    assert write_image(tmp_path / "b.png", first) == ()
    second = read_image(tmp_path / "b.png")
    stacked = second.pixels if second.alpha is None else np.dstack([second.pixels, second.alpha])
    np.testing.assert_array_equal(stacked, values)
    assert stacked.dtype == values.dtype
    assert (second.icc, second.exif, second.dpi) == (first.icc, first.exif, first.dpi)
    assert second.icc == icc
    assert (second.exif is not None) == told
    assert not told or second.dpi == pytest.approx((300, 150), abs=0.02)


TURNED = {  # written out, independent of NumPy's turns: where pixel (y, x) of the upright h x w picture is stored
    1: lambda y, x, h, w: (y, x), 2: lambda y, x, h, w: (y, w - 1 - x),
    3: lambda y, x, h, w: (h - 1 - y, w - 1 - x), 4: lambda y, x, h, w: (h - 1 - y, x),
    5: lambda y, x, h, w: (x, y), 6: lambda y, x, h, w: (w - 1 - x, y),
    7: lambda y, x, h, w: (w - 1 - x, h - 1 - y), 8: lambda y, x, h, w: (x, h - 1 - y),
}  # fmt: skip


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_orientation(orientation, kind):
    values = np.dstack([RGB, ALPHA])
    h, w = ALPHA.shape
    stored = np.zeros((w, h, 4) if orientation > 4 else (h, w, 4), np.uint8)
    for y in range(h):
        for x in range(w):
            stored[TURNED[orientation](y, x, h, w)] = values[y, x]
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    if kind != "WEBP":
        options["dpi"] = (300, 100)
    picture = read_image(saved(Image.fromarray(stored), kind, exif=exif_bytes(orientation), **options))
    np.testing.assert_array_equal(picture.pixels, RGB)
    np.testing.assert_array_equal(picture.alpha, ALPHA)
    assert picture.notes == ((f"orientation {orientation} applied",) if orientation > 1 else ())
    assert picture.exif is not None
    exif = Image.Exif()
    exif.load(picture.exif)
    assert exif.get(0x0112, 1) == 1
    assert exif[0x010F] == "Maker"
    if kind != "WEBP":
        assert picture.dpi == pytest.approx((100, 300) if orientation > 4 else (300, 100), abs=0.02)
    np.testing.assert_array_equal(read_image(encode_picture(picture)[0]).pixels, RGB)


def test_orientation_is_reset_in_place():
    raw = bytearray(exif_bytes(6))
    exif = read_image(saved(Image.fromarray(RGB), exif=bytes(raw))).exif
    assert exif is not None
    changed = [place for place in range(len(raw)) if raw[place] != exif[place]]
    assert len(exif) == len(raw)
    assert len(changed) == 1


def test_a_resolution_that_only_exif_has_lies_on_its_side_too():
    exif = Image.Exif()
    exif[0x0112], exif[0x0128], exif[0x011A], exif[0x011B] = 6, 3, 300.0, 150.0
    picture = read_image(saved(Image.fromarray(RGB), "JPEG", exif=exif.tobytes()))
    assert picture.dpi == pytest.approx((150 * 2.54, 300 * 2.54))
    told = Image.Exif()
    told.load(picture.exif or b"")
    assert (told[0x0112], told[0x011A], told[0x011B]) == (1, 150, 300)


@pytest.mark.parametrize("prefixes", [0, 1, 2])
def test_a_prefix_of_exif_may_be_there_twice(prefixes):
    raw = b"Exif\0\0" * prefixes + exif_bytes(6).removeprefix(b"Exif\0\0")
    found = read_image(png(9, 6, 8, 0, (b"eXIf", raw), rows=bytes(60)))
    assert found.pixels.shape == (9, 6)
    assert found.notes == ("orientation 6 applied",)
    assert found.exif == read_image(saved(Image.fromarray(GREY), exif=exif_bytes(6))).exif


def test_exif_that_is_cut_off_still_turns_the_picture():
    raw = b"II*\0" + struct.pack("<IHHHIHH", 8, 5, 0x0112, 3, 1, 6, 0)
    found = read_image(png(9, 6, 8, 0, (b"eXIf", raw), rows=bytes(60)))
    assert found.pixels.shape == (9, 6)
    assert found.notes == ("EXIF that cannot be read dropped", "orientation 6 applied")


@pytest.mark.parametrize("kind", [3, 4, 5, 8, 9])
def test_orientation_is_a_number_of_any_kind(kind):
    value = {
        3: struct.pack("<HH", 6, 0),
        8: struct.pack("<HH", 6, 0),
        5: struct.pack("<I", 26),
    }
    raw = b"II*\0" + struct.pack("<IHHHI", 8, 1, 0x0112, kind, 1) + value.get(kind, struct.pack("<I", 6)) + bytes(4)
    raw += struct.pack("<II", 6, 1)
    found = read_image(png(9, 6, 8, 0, (b"eXIf", raw), rows=bytes(60)))
    assert found.pixels.shape == (9, 6)
    told = Image.Exif()
    told.load(found.exif or b"")
    assert told[0x0112] == 1


def test_deep_channels_by_themselves_are_refused_where_pillow_reads_them_wrongly():
    tags = [(256, 3, 1, 2), (257, 3, 1, 1), (258, 3, 3, 134), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 3, 140),
            (277, 3, 1, 3), (278, 3, 1, 1), (279, 4, 3, 152), (284, 3, 1, 2)]  # fmt: skip
    table = b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    behind = struct.pack("<3H6I", 16, 16, 16, 164, 168, 172, 4, 4, 4) + bytes(range(12))
    with pytest.raises(InputError, match="has 16 bits a channel, each channel by itself"):
        read_image(b"II*\0" + struct.pack("<IH", 8, len(tags)) + table + behind)


def test_a_resolution_across_only_is_none():
    data = saved(Image.fromarray(GREY), "TIFF", tiffinfo={0x011A: 100.0, 0x0128: 2})
    assert read_image(data).dpi is None


@pytest.mark.parametrize("disposal", range(3))
def test_an_animation_that_begins_in_all_greys_is_in_colour(disposal):
    """Pillow takes the first frame for grey, and draws the others onto it by their places in their palettes."""
    frames = [RNG.integers(0, 256, (40, 40), np.uint8) for _ in range(3)]
    shown = [Image.fromarray(values) for values in frames]
    data = saved(shown[0], "GIF", save_all=True, append_images=shown[1:], disposal=disposal)
    for picture, values in zip(read_frames(data), frames, strict=True):
        np.testing.assert_array_equal(picture.pixels, np.dstack([values] * 3))
    for number, values in enumerate(frames, 1):
        np.testing.assert_array_equal(read_image(data, frame=number).pixels, np.dstack([values] * 3))


def test_all_greys_may_be_transparent():
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    found = read_image(saved(Image.fromarray(values), "GIF", transparency=7))
    np.testing.assert_array_equal(found.pixels[values != 7], values[values != 7])
    assert found.alpha is not None
    np.testing.assert_array_equal(found.alpha == 0, values == 7)


def test_frames_of_an_apng_are_the_same_in_turn_and_by_themselves():
    frames = []
    for number in range(4):
        values = RNG.integers(0, 256, (24, 24, 4), np.uint8)
        values[..., 3] = 255
        values[5 * number : 5 * number + 9, 3:20, 3] = 0
        frames.append(Image.fromarray(values))
    data = saved(frames[0], "PNG", save_all=True, append_images=frames[1:], disposal=2, blend=1)
    for number, picture in enumerate(read_frames(data), 1):
        alone = read_image(data, frame=number)
        np.testing.assert_array_equal(picture.pixels, alone.pixels)
        np.testing.assert_array_equal(picture.alpha, alone.alpha)


CONVERTED = [
    (Image.fromarray(RGB).quantize(16), "PNG", "palette turned into RGB", RGB.shape),
    (Image.fromarray(GREY >> 4 << 4).convert("P"), "PNG", "grey palette turned into grey", GREY.shape),
    (Image.fromarray(GREY > 99), "PNG", "1 bit a pixel turned into grey 0 and 255", GREY.shape),
    (Image.fromarray(RGB).convert("CMYK"), "TIFF", "CMYK turned into RGB", RGB.shape),
    (Image.fromarray(RGB).convert("CMYK"), "JPEG", "CMYK turned into RGB", RGB.shape),
    pytest.param(
        Image.fromarray(RGB).convert("YCbCr"), "TIFF", "YCbCr turned into RGB", RGB.shape,
        marks=pytest.mark.skipif(int(PIL.__version__.split(".")[0]) < 13, reason="older Pillows misread their own"),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("image", "kind", "note", "shape"), CONVERTED)
def test_conversions_are_noted(image, kind, note, shape):
    picture = read_image(saved(image, kind))
    assert picture.notes == (note,)
    assert picture.pixels.shape == shape
    assert picture.mode == image.mode
    if kind != "JPEG":
        channels = image.convert("RGB" if len(shape) == 3 else "L")
        np.testing.assert_array_equal(picture.pixels, np.asarray(channels))


def test_lab():
    lab = Image.merge("LAB", [Image.new("L", (4, 3), 128)] * 3)
    picture = read_image(saved(lab, "TIFF"))
    assert picture.notes == ("LAB turned into RGB",)
    assert np.ptp(picture.pixels.astype(int)) <= 3  # a* = b* = 0 is neutral grey
    assert 115 < picture.pixels.mean() < 123


def test_profiles_follow_the_pixels():
    cmyk = read_image(saved(Image.fromarray(RGB).convert("CMYK"), "TIFF", icc_profile=SRGB[:16] + b"CMYK" + SRGB[20:]))
    assert cmyk.icc is None
    assert cmyk.notes == ("CMYK turned into RGB", "CMYK ICC profile dropped")
    grey = read_image(saved(Image.fromarray(RGB), icc_profile=SRGB), gray=True)
    assert grey.icc is None
    assert grey.notes == ("colour turned into grey", "RGB ICC profile dropped")
    np.testing.assert_array_equal(grey.pixels, np.asarray(Image.fromarray(RGB).convert("L")))
    assert read_image(saved(Image.fromarray(RGB), icc_profile=b"junk")).notes == ("unknown ICC profile dropped",)


def test_what_pillow_passes_over_is_noted():
    """A profile in a JPEG 2000: the box that names a colour space is made one that holds a profile."""
    data = saved(Image.fromarray(RGB), "JPEG2000")
    start = data.index(b"colr") - 4
    box = struct.pack(">I", 11 + len(SRGB)) + b"colr\2\0\0" + SRGB
    whole = data.index(b"jp2h") - 4
    longer = int.from_bytes(data[whole : whole + 4], "big") + len(box) - 15
    told = data[:whole] + struct.pack(">I", longer) + data[whole + 4 : start] + box + data[start + 15 :]
    assert read_image(told).notes == ("comment and ICC profile dropped",)
    assert read_image(data).notes == ("comment dropped",)


@pytest.mark.parametrize(("density", "found"), [((0, 0), None), ((1, 300), (300, 300)), ((2, 100), (254, 254))])
def test_no_resolution_is_made_up(density, found):
    """Pillow says 72 dots per inch of a JPEG whose EXIF says nothing."""
    unit, value = density
    data = saved(Image.fromarray(RGB), "JPEG", exif=exif_bytes())
    start = data.index(b"JFIF\0")
    told = data[: start + 7] + struct.pack(">BHH", unit, value or 1, value or 1) + data[start + 12 :]
    assert read_image(told).dpi == (pytest.approx(found) if found else None)


@pytest.mark.parametrize(("depth", "colour"), [(1, 0), (2, 0), (4, 0), (8, 0), (8, 2)])
def test_the_transparent_colour_becomes_alpha(depth, colour):
    level = (1 << depth) - 1
    rows = b"\0" + bytes([level << (8 - depth), *[0] * (2 if colour else 0)]) + b"\0" * (3 if colour else 1)
    trns = struct.pack(">H", level) + (b"\0" * 4 if colour else b"")
    picture = read_image(png(2, 1, depth, colour, (b"tRNS", trns), rows=rows[: 1 + (6 if colour else depth // 8 + 1)]))
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [[0, 255]]
    assert picture.pixels.ravel()[0] == 255


def test_transparent_palette_entries():
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8), "L").convert("P")
    picture = read_image(saved(image, transparency=b"\0\x40\xff"))
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [[0, 64, 255]]


def test_sixteen_bits():
    deep = b"".join(b"\0" + row.astype(">u2").tobytes() for row in DEEP)
    assert read_image(png(9, 6, 16, 0, rows=deep)).pixels.tolist() == DEEP.tolist()
    dropped = read_image(png(9, 6, 16, 0, (b"tRNS", b"\1\0"), rows=deep))
    assert dropped.notes == ("transparent grey level 256 dropped (16 bits)",)
    colour = read_image(png(3, 6, 16, 2, rows=deep))
    assert colour.notes == ("16 bits a channel read as 8",)
    assert colour.pixels.shape == (6, 3, 3)
    grey_alpha = read_image(png(1, 1, 16, 4, rows=b"\0\x80\0\x40\0"))
    assert grey_alpha.notes == ("16 bits a channel read as 8",)
    assert (grey_alpha.pixels.tolist(), grey_alpha.alpha.tolist()) == ([[128]], [[64]])  # type: ignore[union-attr]
    assert read_image(b"P6 1 1 65535\n" + b"\x80\0" * 3).notes == ("16 bits a channel read as 8",)
    assert read_image(b"P5 1 1 65535\n\x12\x34").pixels.tolist() == [[0x1234]]


def test_sixteen_bits_where_white_is_zero():
    picture = read_image(saved(Image.fromarray(DEEP), "TIFF", tiffinfo={262: 0}))
    np.testing.assert_array_equal(picture.pixels, 65535 - DEEP)
    assert picture.notes == ("white-is-zero grey turned round",)


@pytest.mark.parametrize("mode", ["I", "F"])
def test_wide_values(mode):
    values = np.array([[0, 70000], [5, 1]], np.int32 if mode == "I" else np.float32)
    picture = read_image(saved(Image.fromarray(values), "TIFF"))
    assert picture.levels == Levels("int32" if mode == "I" else "float32", 0, 70000)
    assert picture.notes == ("values from 0 to 70000 scaled to 0..1",)
    np.testing.assert_allclose(picture.pixels, values / 70000, rtol=1e-6)
    with pytest.raises(InputError, match="negative values"):
        read_image(saved(Image.fromarray(values - 1), "TIFF"))
    if mode == "I":
        assert read_image(saved(Image.fromarray(values // 2), "TIFF")).pixels.dtype == np.uint16
    else:
        assert read_image(saved(Image.fromarray(values / 70000), "TIFF")).notes == ()
        with pytest.raises(InputError, match="NaN"):
            read_image(saved(Image.fromarray(values * np.float32(np.nan)), "TIFF"))


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_frames(tmp_path, kind):
    frames = [Image.fromarray(np.full((5, 4, 3), level, np.uint8)) for level in (10, 90, 170, 250)]
    options = {"lossless": True} if kind == "WEBP" else {}
    path = tmp_path / "a"
    frames[0].save(path, kind, save_all=True, append_images=frames[1:], **options)
    assert count_frames(path) == 4
    pictures = list(read_frames(path))
    assert [picture.pixels[2, 2].tolist() for picture in pictures] == [[v] * 3 for v in (10, 90, 170, 250)]
    assert [(picture.frame, picture.frames) for picture in pictures] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    third = read_image(path, frame=3)
    np.testing.assert_array_equal(third.pixels, pictures[2].pixels)
    assert third.notes[0] == "frame 3 of 4"
    for frame in (0, 9, -1):
        with pytest.raises(InputError, match=f"has 4 frames, no frame {frame}"):
            read_image(path, frame=frame)
    with pytest.raises(InputError, match="has 1 frame, no frame 2"):
        read_image(saved(frames[0]), frame=2)


def bmp(width: int, height: int) -> bytes:
    return b"BM" + struct.pack("<IIIIiiHHIIIIII", 54, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)


def tiff(width: int, height: int, packed: int = 1) -> bytes:
    tags = [(256, width), (257, height), (258, 8), (259, packed), (262, 1), (273, 8), (277, 1), (278, height), (279, 9)]
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + b"".join(
        struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags
    ) + bytes(4)  # fmt: skip


def patched(data: bytes, mark: bytes, skip: int, sides: bytes) -> bytes:
    """A picture whose header says another size, `skip` bytes behind a mark."""
    at = data.index(mark) + skip
    return data[:at] + sides + data[at + len(sides) :]


def in_ico() -> bytes:
    """An icon that says 16 x 16 of a PNG that is a bomb."""
    bomb = png(65535, 65535, 8, 2)
    return struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, len(bomb), 22) + bomb


BOMBS = {
    "tiff 2^31-1": tiff(2**31 - 1, 2**31 - 1),
    "tiff 65535 packed": tiff(65535, 65535, packed=8),
    "tiff 0": tiff(0, 0),
    "jpeg 65535": patched(saved(Image.fromarray(RGB), "JPEG"), b"\xff\xc0", 5, b"\xff" * 4),
    "webp 2^24": b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + b"\xff" * 6,
    "avif 65535": patched(saved(Image.fromarray(RGB), "AVIF"), b"ispe", 8, struct.pack(">II", 65535, 65535)),
    "jp2 2^31-1": patched(saved(Image.fromarray(RGB), "JPEG2000"), b"ihdr", 4, b"\x7f\xff\xff\xff" * 2),
    "ico 65535": in_ico(),
    "png 65535": png(65535, 65535, 8, 2),
    "png 2^31-1": png(2**31 - 1, 2**31 - 1, 8, 0),
    "png 0": png(0, 0, 8, 0),
    "bmp 65535": bmp(65535, 65535),
    "bmp 0": bmp(0, 0),
    "gif 65535": b"GIF89a" + b"\xff" * 4 + b"\0" * 3 + b"," + b"\0" * 4 + b"\xff" * 4 + b"\0\2\0;",
    "ppm": b"P6 2147483647 2147483647 255\n",
    "pgm 0": b"P5 0 0 255\n",
    "qoi": b"qoif" + struct.pack(">IIBB", 2**31 - 1, 2**31 - 1, 3, 0),
    "tga": struct.pack("<BBBHHBHHHHBB", 0, 0, 2, 0, 0, 0, 0, 0, 65535, 65535, 24, 0),
}  # fmt: skip

CHILD = (
    PEAK
    + """
import sys
from pathlib import Path
from nmfcompress.images.pictures import read_image
from nmfcompress.errors import InputError
before = peak()
for path in sys.argv[1:]:
    try:
        read_image(path)
        print("read", path)
    except InputError as error:
        print(type(error).__name__, error.message)
grown = peak() - before
assert grown < 200, grown
"""
)


def test_header_bombs(tmp_path):
    paths = []
    for name, data in BOMBS.items():
        paths.append(tmp_path / name)
        paths[-1].write_bytes(data)
    told = subprocess.run([sys.executable, "-c", CHILD, *paths], capture_output=True, text=True, timeout=60)
    assert told.returncode == 0, told.stderr
    assert told.stderr == ""
    lines = dict(zip(BOMBS, told.stdout.splitlines(), strict=True))
    for name, line in lines.items():
        if name.startswith(("avif", "webp")):  # their libraries may refuse them before Pillow tells us of a size
            assert line.startswith(("InputError", "TooLarge")), (name, line)
        else:
            assert line.startswith("InputError" if name.endswith(" 0") else "TooLarge"), (name, line)
            assert name.endswith(" 0") or "max_pixels" in line


def test_limits():
    data = saved(Image.fromarray(np.zeros((100, 100, 3), np.uint8)))
    with pytest.raises(
        TooLarge, match=r"100 x 100 pixels, at most 9,999 are read \(pass limits with max_pixels 10000\)"
    ):
        read_image(data, limits=Limits(max_pixels=9_999))
    with pytest.raises(TooLarge, match="max_memory is"):
        read_image(data, limits=Limits(max_memory=100_000))
    assert read_image(data, limits=Limits(max_pixels=10_000)).pixels.shape == (100, 100, 3)


def test_globals_are_put_back():
    before = Image.MAX_IMAGE_PIXELS, list(warnings.filters)
    data = saved(Image.fromarray(RGB))
    threads = [threading.Thread(target=lambda: [read_image(data) for _ in range(50)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    with pytest.raises(TooLarge):
        read_image(BOMBS["png 65535"])
    for thread in threads:
        thread.join()
    paused = read_frames(data)
    next(paused)
    assert (Image.MAX_IMAGE_PIXELS, list(warnings.filters)) == before


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "is an empty file"),
        (b"<!DOCTYPE html><html>", "is an HTML page, expected a picture"),
        (b"hello", "expected a picture"),
        (saved(Image.fromarray(RGB), "JPEG")[:-20], "truncated JPEG data"),
        (saved(Image.fromarray(RGB))[:20], "PNG data"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is an EPS or PostScript file"),
    ],
)
def test_what_is_no_picture(tmp_path, data, found):
    path = tmp_path / "odd\nname.png"
    path.write_bytes(data)
    with pytest.raises(InputError, match=found) as caught:
        read_image(path)
    assert caught.value.source is not None
    assert caught.value.source.endswith("odd\\nname.png")
    with pytest.raises(InputError) as caught:
        read_image(data, name="stdin")
    assert caught.value.source == "stdin"


def test_sources(tmp_path):
    with pytest.raises(InputError, match="is a folder"):
        read_image(tmp_path)
    with pytest.raises(InputError, match="No such file"):
        read_image(tmp_path / "none")
    with pytest.raises(InputError, match="is a device"):
        read_image("/dev/zero")
    os.mkfifo(tmp_path / "fifo")
    data = saved(Image.fromarray(RGB), "TIFF")
    writer = threading.Thread(target=lambda: (tmp_path / "fifo").write_bytes(data))
    writer.start()
    np.testing.assert_array_equal(read_image(tmp_path / "fifo").pixels, RGB)
    writer.join()


def test_formats():
    assert {"PNG", "JPEG", "GIF", "TIFF", "BMP", "PPM", "TGA"} <= set(FORMATS)
    assert not {"EPS", "WMF", "FITS", "GRIB", "HDF5"} & set(FORMATS)


FULL = Picture(RGB, Levels("uint8", 0, 255), ALPHA, icc=SRGB, exif=exif_bytes(), dpi=(72, 72))
DROPPED = {
    "png": set(),
    "webp": {"resolution"},
    "tif": set(),
    "jpg": {"alpha"},
    "bmp": {"alpha", "ICC profile", "EXIF"},
    "avif": {"resolution"},
    "jp2": {"ICC profile", "EXIF", "resolution"},
    "ppm": {"alpha", "ICC profile", "EXIF", "resolution"},
}


@pytest.mark.parametrize("kind", DROPPED)
def test_each_kind_keeps_or_notes(kind):
    data, notes = encode_picture(FULL, kind)
    assert {note.split(" dropped")[0] for note in notes} == DROPPED[kind]
    again = read_image(data)
    assert (again.alpha is None) == ("alpha" in DROPPED[kind])
    assert (again.icc is None) == ("ICC profile" in DROPPED[kind])
    assert (again.exif is None) == ("EXIF" in DROPPED[kind])
    assert (again.dpi is None) == ("resolution" in DROPPED[kind])
    if kind not in ("jpg", "avif"):
        np.testing.assert_array_equal(again.pixels, RGB)
    assert encode_picture(FULL, kind)[0] == data


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("values", [GREY, RGB, DEEP, GREY / 255, GREY > 9, RGB.astype(np.uint16)])
def test_every_kind_takes_every_array(kind, values):
    data, _ = encode_picture(values, kind)
    again = read_image(data)
    assert again.pixels.shape[:2] == values.shape[:2]
    if values.dtype == np.uint16 and values.ndim == 2 and kind in ("png", "tif", "jp2", "pgm"):
        np.testing.assert_array_equal(again.pixels, values)


def test_floats_are_rounded_and_clipped_at_the_border():
    data, notes = encode_picture(np.array([[-0.1, 0.0, 0.5, 1.0, 1.7]]))
    assert read_image(data).pixels.tolist() == [[0, 0, 32768, 65535, 65535]]
    assert notes == ("values 0 to 1 written as 0 to 65535",)
    data, notes = encode_picture(Picture(RGB / 255, Levels("float64", 0, 7.5)))
    np.testing.assert_array_equal(read_image(data).pixels, RGB)
    assert notes == ("values 0 to 7.5 written as 0 to 255",)
    with pytest.raises(UsageError, match="NaN"):
        encode_picture(np.array([[np.nan]]))
    for wrong in (np.zeros((2, 3, 5), np.uint8), np.zeros(3), np.zeros((2, 2), np.int16), np.zeros((0, 2))):
        with pytest.raises(UsageError, match="is no picture"):
            encode_picture(wrong)


def test_kinds(tmp_path):
    assert kind_of("a.b.PNG") == "png"
    for name in ("a", "a.xyz", "png"):
        with pytest.raises(UsageError, match=r"written as \.png, \.jpg"):
            kind_of(name)
    with pytest.raises(UsageError, match="no kind of picture"):
        encode_picture(GREY, "gif")
    with pytest.raises(OutputError, match="cannot be written as WebP"):
        encode_picture(np.zeros((1, 20000), np.uint8), "webp")
    write_image(tmp_path / "a", GREY, kind="png")
    with pytest.raises(OutputError, match="exists"):
        write_image(tmp_path / "a", RGB, kind="png")
    np.testing.assert_array_equal(read_image(tmp_path / "a").pixels, GREY)


def test_32_bits_that_fit_16_are_said(tmp_path):
    Image.fromarray(np.array([[0, 212], [5, 1]], np.int32)).save(tmp_path / "a.tif")
    picture = read_image(str(tmp_path / "a.tif"))
    assert picture.pixels.tolist() == [[0, 212], [5, 1]]
    assert picture.notes == ("32-bit values 0..212 taken as they are for 16-bit ones",)
    Image.fromarray(np.array([[0, 212], [5, 1]], np.uint16)).save(tmp_path / "a.png")
    Image.fromarray(np.array([[0, 212], [5, 1]], np.uint16)).save(tmp_path / "a.pgm")
    assert read_image(str(tmp_path / "a.png")).notes == read_image(str(tmp_path / "a.pgm")).notes == ()
