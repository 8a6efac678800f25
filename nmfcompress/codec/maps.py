"""Smooth maps <-> bytes: 8-bit pictures, one below the other, by one of Pillow's codecs.

The maps, h x w each, make one picture, the first one on top. Each has been continued to the right and below to whole
multiples of 8 values, which are cut off again.

The bytes: one that names the codec, then its stream without the file around it, which is the same for all such pictures
and as long as a small one's stream: it is put back before Pillow sees it. The streams are

    0  AVIF       the OBUs of one still AV1 picture (8 bit, monochrome, full range) without the temporal delimiter
    1  WebP       one VP8 frame; the map is its luma as Pillow's RGB -> L has it
    2  JPEG 2000  the codestream (from SOC to EOC) of one component: a file as it is

A decoder of AV1 takes 12 00, the delimiter, and the stream. A file is these boxes, each its length and its name before
its content, numbers big-endian; S is the stream's length and 2:

    ftyp    "avif", 4 bytes of 0, "avifmif1miaf"
    meta    4 bytes of 0, then the boxes hdlr: 8 bytes of 0, "pict", 13 bytes of 0; pitm: 00000000 0001; iloc: 00000000
            4400 0001 0001 0000 0001, where mdat's content begins in the file (32 bits), S (32 bits); iinf: 00000000
            0001, then the box infe: 02000000 0001 0000 "av01" 00; iprp: the boxes ipco, ipma
    ipco    ispe: 00000000, width, height (32 bits each); pixi: 00000000 01 08; av1C: 81, a byte L, 1C 00; colr: "nclx"
            0001 000D 0006 80; L is 4 times the lowest 3 bits of the stream's byte 2, and the highest 2 of its byte 3
    ipma    00000000 00000001 0001 04 01 02 83 04
    mdat    12 00 and the stream

A file of WebP is "RIFF", the length of what follows; "WEBPVP8 ", the stream's length; the stream, and a 0 if that is
odd; lengths have 32 bits, little-endian. RGB -> L is (19595 R + 38470 G + 7471 B + 32768) div 65536.

A stream says how large its picture is. That is read from it here, and compared, before any decoder sees it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image, features

from ..errors import InputError, TooLarge, UsageError

MOST_PIXELS = 80_000_000  # of all maps together: Pillow warns of bombs from 89 million
EDGE = 8  # maps are continued to a multiple of it: so the blocks of two maps do not overlap


@dataclass(frozen=True)
class Quality:
    """What to ask a codec for, and the quantizer step, in levels of the map, that this comes to."""

    setting: float
    step: float


def codec_here() -> str:
    """The first of the codecs, best first, that this Pillow has.

    Raises
    ------
    UsageError
        It has none.
    """
    for name, codec in CODECS.items():
        if features.check(codec.feature):
            return name
    raise UsageError(f"this Pillow has none of the codecs that keep maps ({', '.join(CODECS)})")


def quality_for(codec: str, step: float) -> Quality:
    """The coarsest quality of a codec ("AVIF", "WebP", "JPEG 2000") whose step is not above `step`, if there is one.

    Codecs know some dozens of qualities. Maps whose range is scaled by `.step / step` before they are coded have, in
    their own units, the step that was asked for.
    """
    steps = CODECS[codec].qualities
    fitting = [quality for quality in steps if quality.step <= step]
    return max(fitting, key=lambda quality: quality.step) if fitting else min(steps, key=lambda quality: quality.step)


def encode_maps(maps: np.ndarray, codec: str, quality: Quality) -> bytes:
    """Maps of uint8, shape (k, h, w), as one picture.

    Raises
    ------
    UsageError
        This Pillow lacks the codec.
    TooLarge
        The maps have too many pixels for a picture.
    """
    coder = _coder(codec, UsageError)
    k, h, w = maps.shape
    _check_size(k, *_padded(h, w), coder)
    padded = np.pad(maps, ((0, 0), (0, -h % EDGE), (0, -w % EDGE)), mode="edge")
    picture = Image.fromarray(padded.reshape(-1, padded.shape[2]))
    return bytes([coder.number]) + coder.encode(picture, quality.setting)


def decode_maps(data: bytes, shape: tuple[int, int, int]) -> np.ndarray:
    """The maps again, as the codec left them: uint8, `shape` (k, h, w).

    Raises
    ------
    InputError
        The bytes are none of `encode_maps`, of another size, or of a codec that this Pillow lacks.
    """
    named = {coder.number: name for name, coder in CODECS.items()}
    if not data or data[0] not in named:
        raise InputError("its maps are of a codec that is not known")
    name = named[data[0]]
    coder = _coder(name, InputError)
    k, (h, w) = shape[0], _padded(*shape[1:])
    _check_size(k, h, w, coder)
    try:
        found = coder.size(data[1:])
    except (IndexError, struct.error):
        found = (0, 0)
    if found != (w, k * h):
        raise InputError(f"its maps are {found[0]:,} x {found[1]:,} pixels of {name} (expected {w:,} x {k * h:,})")
    try:
        with Image.open(BytesIO(coder.wrap(data[1:], w, k * h)), formats=(coder.format,)) as picture:
            if picture.size != (w, k * h):
                raise ValueError("another size")
            pixels = np.asarray(picture.convert("L"))
    except Exception as error:  # Pillow and its libraries raise whatever they like
        raise InputError(f"its maps are no {name} that can be decoded: damaged") from error
    return pixels.reshape(k, h, w)[:, : shape[1], : shape[2]]


def _padded(h: int, w: int) -> tuple[int, int]:
    return h + -h % EDGE, w + -w % EDGE


def _check_size(k: int, h: int, w: int, coder: _Codec) -> None:
    if k * h * w > MOST_PIXELS or max(k * h, w) > coder.longest:
        raise TooLarge(
            f"the maps would make a picture of {w:,} x {k * h:,} (at most {MOST_PIXELS:,} pixels, "
            f"{coder.longest:,} a side)"
        )


def _saved(picture: Image.Image, file_format: str, **options: object) -> bytes:
    target = BytesIO()
    picture.save(target, file_format, **options)
    return target.getvalue()


# AVIF

DELIMITER = b"\x12\x00"
SEQUENCE, FRAME = 0x0A, {0x1A, 0x22, 0x32}  # heads of OBUs with a size: frame header, tile group, frame
STILL = 0b00011  # profile 0, a still picture, its header reduced
AC_STEPS = {  # AV1's 8-bit quantizer (eighths) by its index, AV1 specification, table Ac_Qlookup; linear in between
    4: 11, 95: 102, 120: 152, 137: 203, 150: 255, 160: 305, 169: 359, 176: 408, 182: 456, 188: 510, 193: 560, 198: 615,
    202: 663, 206: 715, 210: 771, 213: 816, 216: 864, 219: 915, 222: 969, 225: 1026, 230: 1129, 234: 1219, 238: 1317,
    242: 1423, 246: 1537, 250: 1660, 255: 1828,
}  # fmt: skip


def _avif_qualities() -> tuple[Quality, ...]:
    """One for each of libavif's 64 quantizers; the last is lossless, where only the rounding to 8 bits is left."""
    found = {}
    for setting in range(100):
        quantizer = ((100 - setting) * 63 + 50) // 100
        index = 249 if quantizer == 62 else 255 if quantizer == 63 else 4 * quantizer
        found[quantizer] = Quality(setting, float(np.interp(index, list(AC_STEPS), list(AC_STEPS.values()))) / 8)
    return (*found.values(), Quality(100, 1.0))


def _avif_encode(picture: Image.Image, quality: float) -> bytes:
    # The slowest search pays on small maps; on large ones it would take minutes.
    pixels = picture.width * picture.height
    speed = 0 if pixels < 2**18 else 2 if pixels < 2**20 else 4 if pixels < 2**22 else 6
    file = _saved(
        picture, "AVIF", quality=int(quality), speed=speed, subsampling="4:0:0", range="full", codec="aom",
        max_threads=1, autotiling=False, advanced={"tune": "psnr", "sb-size": "64"},
    )  # fmt: skip
    return file[file.index(b"mdat") + 4 :].removeprefix(DELIMITER)


def _avif_size(stream: bytes) -> tuple[int, int]:
    """Width and height from the sequence header, whose fields are bits (AV1 specification, 5.5.1).

    Only what one still picture is made of is known: a header that says that it has no other, and its one size; then
    parts of its frame. Another sequence header could bring another size.
    """
    kinds, place = [], 0
    while place < len(stream):
        kinds.append(stream[place])
        length, shift, place = 0, 0, place + 1
        while True:
            length |= (stream[place] & 127) << shift
            shift, place = shift + 7, place + 1
            if stream[place - 1] < 128 or shift > 28:
                break
        place += length
    if place != len(stream) or kinds[0] != SEQUENCE or not FRAME.issuperset(kinds[1:]) or stream[1] > 127:
        return 0, 0
    if stream[2] >> 3 != STILL:
        return 0, 0
    bits = int.from_bytes(stream[2:12].ljust(10, b"\0"), "big")
    place = 80 - 10

    def take(count: int) -> int:
        nonlocal place
        place -= count
        return bits >> place & ((1 << count) - 1)

    wide, high = take(4) + 1, take(4) + 1
    return take(wide) + 1, take(high) + 1


def _box(name: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), name) + body


def _avif_wrap(stream: bytes, width: int, height: int) -> bytes:
    """A file with one item, the stream: the boxes that the AVIF specification asks for, and no more."""
    level = (stream[2] & 7) << 2 | stream[3] >> 6
    properties = _box(
        b"ipco",
        _box(b"ispe", struct.pack(">III", 0, width, height)),
        _box(b"pixi", bytes([0, 0, 0, 0, 1, 8])),
        _box(b"av1C", bytes([0x81, level, 0x1C, 0])),
        _box(b"colr", b"nclx", struct.pack(">HHHB", 1, 13, 6, 0x80)),
    )
    associated = _box(b"ipma", struct.pack(">IIHB4B", 0, 1, 1, 4, 1, 2, 0x83, 4))

    def meta(offset: int) -> bytes:
        return _box(
            b"meta",
            bytes(4),
            _box(b"hdlr", bytes(8), b"pict", bytes(13)),
            _box(b"pitm", struct.pack(">IH", 0, 1)),
            _box(b"iloc", struct.pack(">IHHHHHII", 0, 0x4400, 1, 1, 0, 1, offset, len(DELIMITER + stream))),
            _box(b"iinf", struct.pack(">IH", 0, 1), _box(b"infe", struct.pack(">IHH", 2 << 24, 1, 0), b"av01\0")),
            _box(b"iprp", properties, associated),
        )

    head = _box(b"ftyp", b"avif", bytes(4), b"avifmif1miaf")
    return head + meta(len(head) + len(meta(0)) + 8) + _box(b"mdat", DELIMITER, stream)


# WebP


def _webp_qualities() -> tuple[Quality, ...]:
    """One for each index of VP8's quantizer that Pillow's quality reaches; the steps were measured against AVIF's."""
    found = {}
    for setting in range(101):
        share = setting / 100 * 2 / 3 if setting < 75 else setting / 50 - 1
        index = int(127 * (1 - share ** (1 / 3)))
        found[index] = Quality(setting, 12.5 * 1.029**index)
    return tuple(found.values())


def _webp_encode(picture: Image.Image, quality: float) -> bytes:
    file = _saved(picture.convert("RGB"), "WEBP", quality=quality, method=6, alpha_quality=0)
    if file[12:16] != b"VP8 ":
        raise UsageError("this Pillow writes a WebP that is not known here")
    return file[20 : 20 + int.from_bytes(file[16:20], "little")]


def _webp_size(stream: bytes) -> tuple[int, int]:
    """From the head of the frame (RFC 6386, 9.1); a key frame, no scaling."""
    width, height = struct.unpack_from("<HH", stream, 6)
    return (width, height) if stream[3:6] == b"\x9d\x01\x2a" and not stream[0] & 1 else (0, 0)


def _webp_wrap(stream: bytes, width: int, height: int) -> bytes:
    body = b"WEBPVP8 " + struct.pack("<I", len(stream)) + stream + bytes(len(stream) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


# JPEG 2000


def _j2k_qualities() -> tuple[Quality, ...]:
    """Its setting is a PSNR, any; the steps were measured against AVIF's."""
    return tuple(Quality(float(db), float(5 * 10 ** ((49 - db) / 13))) for db in np.arange(15, 60.1, 0.5))


def _j2k_encode(picture: Image.Image, quality: float) -> bytes:
    resolutions = max(1, min(6, min(picture.size).bit_length() - 2))
    return _saved(
        picture, "JPEG2000", no_jp2=True, irreversible=True, quality_mode="dB", quality_layers=[quality],
        num_resolutions=resolutions,
    )  # fmt: skip


def _j2k_size(stream: bytes) -> tuple[int, int]:
    """From the SIZ marker (ITU-T T.800, A.5.1): one component of 8 bits, nothing cut off, one tile."""
    x, y, left, top, tile_x, tile_y, *_ = struct.unpack_from(">8I", stream, 8)
    (components, depth) = struct.unpack_from(">HB", stream, 40)
    whole = (left, top, tile_x, tile_y) == (0, 0, x, y)
    known = stream[:4] == b"\xff\x4f\xff\x51" and whole and (components, depth) == (1, 7)
    return (x, y) if known else (0, 0)


@dataclass(frozen=True)
class _Codec:
    number: int
    feature: str
    format: str
    longest: int
    qualities: tuple[Quality, ...]
    encode: Callable[[Image.Image, float], bytes]
    size: Callable[[bytes], tuple[int, int]]
    wrap: Callable[[bytes, int, int], bytes]


CODECS = {
    "AVIF": _Codec(0, "avif", "AVIF", 65535, _avif_qualities(), _avif_encode, _avif_size, _avif_wrap),
    "WebP": _Codec(1, "webp", "WEBP", 16383, _webp_qualities(), _webp_encode, _webp_size, _webp_wrap),
    "JPEG 2000": _Codec(
        2, "jpg_2000", "JPEG2000", 2**31 - 1, _j2k_qualities(), _j2k_encode, _j2k_size, lambda stream, w, h: stream
    ),
}


def _coder(name: str, kind: type[UsageError] | type[InputError]) -> _Codec:
    coder = CODECS[name]
    if not features.check(coder.feature):
        raise kind(f"its maps are {name}, which this Pillow lacks (expected one with {coder.feature})")
    return coder
