"""Pictures in: what Pillow decodes becomes plain arrays, and everything converted or dropped on the way is noted.

Picture files are opened in guard.py and written in saving.py, whose names are here too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageCms

from ..errors import InputError
from .exif import ON_SIDE, ORIENTATION, TURNS, exif_of, resolution_of
from .guard import FORMATS, Opened, opened
from .levels import to_levels
from .limits import Limits
from .picture import Array, Picture, fitting_profile, luma
from .saving import KINDS, Kind, encode_picture, kind_of, write_image

__all__ = [
    "FORMATS",
    "KINDS",
    "Kind",
    "Picture",
    "count_frames",
    "encode_picture",
    "kind_of",
    "read_frames",
    "read_image",
    "write_image",
]

Source = str | bytes | os.PathLike[str]

WHITE_IS = 0x0106  # TIFF's photometric interpretation
SHORT_LEVELS = {"L;2": 85, "L;4": 17}  # PNG's tRNS counts in the file's few grey levels, Pillow's pixels in 256
UNKEPT = {
    "gamma": "gamma",
    "chromaticity": "chromaticities",
    "xmp": "XMP",
    "photoshop": "Photoshop data",
    "comment": "comment",
    "text": "text",
}
UNREAD = {  # what Pillow passes over, by how it begins; and what the pixels begin with
    "JPEG2000": (b"\xff\x4f\xff\x51", {b"colr\2": "ICC profile", b"JpgTiffExif->JP2": "EXIF"}),
    "GIF": (b"\0\x2c\0", {b"ICCRGBG1": "ICC profile"}),
}
WORDS = {"1": "1 bit a pixel turned into grey 0 and 255", "RGBX": "unused fourth channel dropped"}


def read_image(
    source: Source, *, name: str | None = None, frame: int = 1, gray: bool = False, limits: Limits | None = None
) -> Picture:
    """Read one picture.

    Parameters
    ----------
    source : path or bytes
        Of a file in one of `FORMATS`; a path may be a pipe.
    name : str, optional
        What messages call it, by default the path.
    frame : int
        Of an animation or of a file of several pages, counted from 1.
    gray : bool
        One channel: the luma of ITU-R 601.
    limits : Limits, optional
        Checked against the header before anything is decoded.

    Raises
    ------
    InputError
        It cannot be read, is no picture, is broken, has no such frame, or holds values below zero.
    TooLarge
        It needs more than the limits allow.
    """
    return next(read_frames(source, name=name, frames=frame, gray=gray, limits=limits))


def read_frames(
    source: Source,
    *,
    name: str | None = None,
    frames: Literal["all"] | int = "all",
    gray: bool = False,
    limits: Limits | None = None,
) -> Iterator[Picture]:
    """Read all the frames of a file, or one, opening it once: see `read_image`.

    Frames of animations are whole pictures, as a viewer would show them.
    """
    with opened(source, name, limits) as file:
        if frames != "all" and not 1 <= frames <= file.frames:
            has = "1 frame" if file.frames == 1 else f"{file.frames:,} frames"
            raise InputError(f"has {has}, no frame {frames}", file.name)
        for frame in range(1, file.frames + 1) if frames == "all" else (frames,):
            with file.glass(f"frame {frame} of {file.frames}: " if file.frames > 1 else ""):
                picture = _read_frame(file, frame, gray)
            if frames != "all" and file.frames > 1:
                picture = replace(picture, notes=(f"frame {frame} of {file.frames}", *picture.notes))
            yield picture


def count_frames(source: Source, *, name: str | None = None, limits: Limits | None = None) -> int:
    """Count the frames (pages) of a picture file without decoding them. Raises as `read_image` does."""
    with opened(source, name, limits) as file:
        return file.frames


def _read_frame(file: Opened, frame: int, gray: bool) -> Picture:
    image = file.image
    file.turn_to(frame)
    _admit(file)
    mode, rawmode = image.mode, _rawmode(image)
    notes = _depth_notes(file, rawmode)
    turn = image.tag_v2.get(ORIENTATION, 1) if image.format == "TIFF" else 1  # type: ignore[attr-defined]
    file.load()
    _admit(file)  # an icon's picture may be another than its directory says
    values, alpha = channels(image, rawmode, file.frames, notes)
    pixels, levels = to_levels(values)
    if levels.own:
        notes.append(f"values from {levels.low:g} to {levels.high:g} scaled to 0..1")
    if gray and pixels.ndim == 3:
        pixels = luma(pixels)
        notes.append("colour turned into grey")
    exif, later_turn = exif_of(image, notes)
    if later_turn in TURNS:  # for TIFF Pillow has done it in load()
        turn = later_turn
        pixels = np.ascontiguousarray(TURNS[turn](pixels))
        alpha = None if alpha is None else np.ascontiguousarray(TURNS[turn](alpha))
    if turn in TURNS:
        notes.append(f"orientation {turn} applied")
    left_out = [word for key, word in UNKEPT.items() if image.info.get(key) or (key == "text" and _texts(image))]
    left_out += _unread(file)
    if left_out:
        notes.append(f"{' and '.join(left_out)} dropped")
    dpi = resolution_of(image)
    return Picture(
        pixels=pixels,
        levels=levels,
        alpha=alpha,
        mode=mode,
        icc=fitting_profile(image.info.get("icc_profile"), pixels.ndim == 3, notes),
        exif=exif,
        dpi=dpi[::-1] if dpi and turn in ON_SIDE else dpi,
        frame=frame,
        frames=file.frames,
        notes=tuple(notes),
    )


def _texts(image: Image.Image) -> bool:
    """Whether a PNG has text chunks; XMP, which Pillow counts among them, has a word of its own."""
    return any(key != "XML:com.adobe.xmp" for key in getattr(image, "text", {}))


def _unread(file: Opened) -> list[str]:
    """What the file has of those things that Pillow passes over in its format."""
    pixels, words = UNREAD.get(file.image.format or "", (b"", {}))
    before = file.head.split(pixels, 1)[0] if pixels else b""
    return [word for mark, word in words.items() if mark in before]


def _admit(file: Opened) -> None:
    width, height = file.image.size
    if min(width, height) < 1:
        raise InputError(f"its header says {width} x {height} pixels, expected at least 1 x 1")
    samples = 4 if file.image.mode in ("P", "PA") else len(file.image.getbands())
    file.limits.admit_picture(width, height, samples)


def _rawmode(image: Image.Image) -> str:
    """How the pixels lie in the file, where Pillow says so."""
    for tile in getattr(image, "tile", ()):
        args = tile[3]
        first = args[0] if isinstance(args, tuple) and args else args
        return first if isinstance(first, str) else ""
    return ""


def _depth_notes(file: Opened, rawmode: str) -> list[str]:
    """Say where Pillow reads more than 8 bits a channel as 8."""
    image, head = file.image, file.head
    bits: Any = 8
    if image.format == "PNG":
        bits = 16 if ";16" in rawmode else 8
    elif image.format == "TIFF":
        found = image.tag_v2.get(258, 8)  # type: ignore[attr-defined]
        bits = max(found) if isinstance(found, tuple) and found else found
        if rawmode in ("R", "C") and isinstance(bits, int) and bits > 8:  # Pillow takes each half of a value for one
            raise InputError(
                f"has {bits} bits a channel, each channel by itself (save it with all together)", file.name
            )
    elif image.format == "JPEG2000":
        siz = head.find(b"\xff\x4f\xff\x51")
        bits = (head[siz + 42] & 0x7F) + 1 if 0 <= siz < len(head) - 42 else 8
    elif image.format == "AVIF":
        config = head.find(b"av1C")
        flags = head[config + 6] if 0 <= config < len(head) - 6 else 0
        bits = (12 if flags & 32 else 10) if flags & 64 else 8
    elif image.format == "PPM" and (args := [tile[3] for tile in image.tile]) and isinstance(args[0], tuple):
        bits = 16 if isinstance(args[0][-1], int) and args[0][-1] > 255 else 8
    elif image.format == "SGI":
        bits = 16 if head[3:4] == b"\2" else 8
    if image.mode[0] in "IF1" or not isinstance(bits, int) or bits <= 8:
        return []
    return [f"{bits} bits a channel read as 8"]


def channels(image: Image.Image, rawmode: str, frames: int, notes: list[str]) -> tuple[Array, Array | None]:
    """The decoded picture as (h, w) or (h, w, 3) values of any type, and its alpha (h, w); `notes` gets what is lost.

    `rawmode` is how the pixels lie in the file, where that is known; `frames` how many pictures it has.
    """
    mode = image.mode
    if mode in ("L", "RGB"):
        values = np.asarray(image)
        return values, _transparent(image, values, rawmode, notes)
    if mode in ("LA", "RGBA"):
        values = np.asarray(image)
        colours = values[..., 0] if mode == "LA" or rawmode.startswith("LA") else values[..., :3]
        return np.ascontiguousarray(colours), np.ascontiguousarray(values[..., -1])
    if mode in ("La", "RGBa"):
        notes.append("premultiplied alpha divided out")
        return channels(image.convert(mode.upper()), rawmode, frames, notes)
    if mode in ("P", "PA"):
        return _palette(image, frames, notes)
    if mode == "1":
        notes.append(WORDS[mode])
        values = np.asarray(image.convert("L"))
        return values, _transparent(image, values, rawmode, notes)
    if mode.startswith("I;16"):
        if image.info.get("transparency") is not None:
            notes.append(f"transparent grey level {image.info['transparency']} dropped (16 bits)")
        if image.format == "TIFF" and image.tag_v2.get(WHITE_IS) == 0:  # type: ignore[attr-defined]
            notes.append("white-is-zero grey turned round")  # which Pillow does for 8 bits only
            return np.uint16(65535) - np.asarray(image), None
        return np.asarray(image), None
    if mode in ("I", "F"):
        return _wide(image, notes), None
    if mode == "LAB":
        to_rgb = ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")
        converted = ImageCms.applyTransform(image, to_rgb) or image
    else:
        converted = image.convert("RGB")
    notes.append(WORDS.get(mode, f"{mode} turned into RGB"))
    return np.asarray(converted), None


def _palette(image: Image.Image, frames: int, notes: list[str]) -> tuple[Array, Array | None]:
    """Grey palettes give grey, except in animations, whose later frames have no palette to tell."""
    colours = np.asarray(image.getpalette("RGB") or [0, 0, 0], np.uint8).reshape(-1, 3)
    grey = frames == 1 and bool((colours == colours[:, :1]).all())
    see_through = image.has_transparency_data
    values = np.asarray(image.convert("RGBA" if see_through else "RGB"))
    notes.append("grey palette turned into grey" if grey else "palette turned into RGB")
    alpha = np.ascontiguousarray(values[..., 3]) if see_through else None
    return np.ascontiguousarray(values[..., 0] if grey else values[..., :3]), alpha


def _transparent(image: Image.Image, values: Array, rawmode: str, notes: list[str]) -> Array | None:
    """Alpha from the one transparent colour of a PNG (its tRNS chunk)."""
    colour = image.info.get("transparency")
    if colour is None or image.format != "PNG":
        return None
    if ";16" in rawmode:
        notes.append("transparent colour dropped (16 bits a channel)")
        return None
    same = values == np.asarray(colour) * SHORT_LEVELS.get(rawmode, 1)
    return np.where(same.all(axis=-1) if values.ndim == 3 else same, 0, 255).astype(np.uint8)


def _wide(image: Image.Image, notes: list[str]) -> Array:
    """32-bit values: whole numbers up to 65535 as uint16, the others for to_levels."""
    values = np.asarray(image)
    if image.mode == "F":
        return values
    wide = image.format == "TIFF" and image.tag_v2.get(258) == (32,)  # type: ignore[attr-defined]
    if wide and image.tag_v2.get(339, (1,)) == (1,):  # type: ignore[attr-defined]
        values = values.view(np.uint32)  # Pillow's I is signed, these were not
    low, high = values.min(), values.max()
    if low < 0 or high > 65535:
        return values
    if wide:
        notes.append(f"32-bit values {low}..{high} taken as they are for 16-bit ones")
    return values.astype(np.uint16)
