"""Pictures out: a table of the kinds that can be written and one function that fits pixels to a kind.

Values are rounded and clipped here and nowhere else.
"""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from types import MappingProxyType
from typing import Any

import numpy as np
from PIL import Image

from ..errors import OutputError, UsageError
from .files import FileId, display, writing
from .headers import has_many_numbers
from .levels import Levels
from .picture import Array, Picture, fitting_profile, luma

ALL = frozenset({"icc", "exif", "dpi"})


@dataclass(frozen=True)
class Kind:
    """A kind of file that pictures are written as.

    Parameters
    ----------
    word : str
        As people call it.
    format : str
        As Pillow calls it.
    modes : tuple of str
        What it holds: "L", "I;16" (16-bit grey), "RGB", "LA", "RGBA".
    keeps : frozenset of str
        Of "icc", "exif" and "dpi".
    options : mapping
        How it is saved.
    """

    word: str
    format: str
    modes: tuple[str, ...]
    keeps: frozenset[str] = frozenset()
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


JPEG = Kind("JPEG", "JPEG", ("L", "RGB"), ALL, {"quality": 95, "subsampling": "4:4:4"})
# Not compressed: libtiff, which Pillow would ask, takes no EXIF.
TIFF = Kind("TIFF", "TIFF", ("L", "LA", "RGB", "RGBA", "I;16"), ALL)
# PNG by run lengths: four times faster than zlib's default and within 4 % of its size on what NMF gives.
KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "png": Kind("PNG", "PNG", ("L", "LA", "RGB", "RGBA", "I;16"), ALL, {"compress_type": zlib.Z_RLE}),
        "jpg": JPEG,
        "jpeg": JPEG,
        "webp": Kind("WebP", "WEBP", ("RGB", "RGBA"), ALL - {"dpi"}, {"lossless": True, "exact": True}),
        "tif": TIFF,
        "tiff": TIFF,
        "bmp": Kind("BMP", "BMP", ("L", "RGB"), frozenset({"dpi"})),
        "avif": Kind("AVIF", "AVIF", ("L", "RGB", "RGBA"), ALL - {"dpi"}, {"quality": 90, "subsampling": "4:4:4"}),
        "jp2": Kind("JPEG 2000", "JPEG2000", ("L", "LA", "RGB", "RGBA", "I;16"), options={"irreversible": False}),
        "pgm": Kind("PGM", "PPM", ("L", "I;16")),
        "ppm": Kind("PPM", "PPM", ("RGB",)),
        "pnm": Kind("PNM", "PPM", ("L", "RGB", "I;16")),
    }
)
DEEPEST_EXIF = 65533 - 6  # bytes in a JPEG's marker


def kind_of(path: str | os.PathLike[str]) -> str:
    """The key of `KINDS` that a path's ending asks for.

    Raises
    ------
    UsageError
        No ending, or none that can be written.
    """
    ending = PurePath(path).suffix[1:].lower()
    if ending not in KINDS:
        found = f"has the ending .{display(ending)}" if ending else "has no ending"
        raise UsageError(f"{found}, pictures are written as .{', .'.join(KINDS)}", display(os.fspath(path)))
    return ending


def write_image(
    target: str | os.PathLike[str],
    picture: Picture | Array,
    *,
    kind: str | None = None,
    overwrite: bool = False,
    inputs: Collection[FileId] = (),
) -> tuple[str, ...]:
    """Write a picture, whole or not at all (see `files.writing`).

    Parameters
    ----------
    target : path
        Its ending tells the kind, unless `kind` does.
    picture : Picture, or array of shape (h, w), (h, w, 3) or with alpha (h, w, 2 or 4)
        Arrays are uint8, uint16, bool, or floats, of which 0 is black and 1 is white.
    kind : str, optional
        A key of `KINDS`.

    Returns
    -------
    tuple of str
        What the kind cannot hold, one phrase each.

    Raises
    ------
    OutputError
        It cannot be written there, or not as this kind.
    UsageError
        Unknown kind, or an array that is no picture.
    """
    data, notes = encode_picture(picture, kind or kind_of(target))
    with writing(target, overwrite=overwrite, inputs=inputs) as stream:
        stream.write(data)
    return notes


def encode_picture(picture: Picture | Array, kind: str = "png") -> tuple[bytes, tuple[str, ...]]:
    """The bytes of a picture file, and the notes: see `write_image`."""
    if kind not in KINDS:
        raise UsageError(f"no kind of picture is called {display(kind)}, choose from {', '.join(KINDS)}")
    into = KINDS[kind]
    notes: list[str] = []
    image, fitted = _fit(picture if isinstance(picture, Picture) else _wrap(picture), into, notes)
    saved = dict(into.options)
    for word, key in (("icc", "icc_profile"), ("exif", "exif"), ("dpi", "dpi")):
        value = getattr(fitted, word)
        if value is None:
            continue
        if word not in into.keeps:
            notes.append(f"{_spelt(word)} dropped ({into.word} holds none)")
        elif word == "exif" and into is JPEG and len(value) > DEEPEST_EXIF:
            notes.append("EXIF dropped (too long for JPEG)")
        elif word == "exif" and into.format in ("TIFF", "AVIF") and has_many_numbers(value.removeprefix(b"Exif\0\0")):
            notes.append("EXIF dropped (too many numbers in it)")
        else:
            saved[key] = value
    return _saved(image, into, saved), tuple(notes)


def encode_png(image: Image.Image) -> bytes:
    """The bytes of a PNG of what Pillow has drawn, without a copy of it."""
    return _saved(image, KINDS["png"], KINDS["png"].options)


def _saved(image: Image.Image, into: Kind, options: Mapping[str, Any]) -> bytes:
    stream = io.BytesIO()
    try:
        image.save(stream, into.format, **options)
    except Exception as error:
        reason = " ".join(display(str(error)).split()) or type(error).__name__
        raise OutputError(f"cannot be written as {into.word}, {image.width} x {image.height}: {reason}") from error
    return stream.getvalue()


def _spelt(word: str) -> str:
    return {"icc": "ICC profile", "exif": "EXIF", "dpi": "resolution"}[word]


def _wrap(values: Array) -> Picture:
    values = np.asarray(values)
    alpha = None
    if values.ndim == 3 and values.shape[2] in (2, 4) and values.dtype == np.uint8:
        values, alpha = values[..., :-1], values[..., -1]
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    if values.dtype == np.bool_:
        values = values.astype(np.uint8) * np.uint8(255)
    shaped = values.ndim == 2 or (values.ndim == 3 and values.shape[2] == 3)
    if not shaped or not values.size or not (values.dtype in (np.uint8, np.uint16) or values.dtype.kind == "f"):
        raise UsageError(
            f"an array of {values.dtype.name} and shape {values.shape} is no picture, "
            "expected (h, w) or (h, w, 3) of uint8, uint16 or floats within 0..1"
        )
    high = {"uint8": 255, "uint16": 65535}.get(values.dtype.name, 1)
    return Picture(values, Levels(values.dtype.name, 0, high), alpha)


def _fit(picture: Picture, into: Kind, notes: list[str]) -> tuple[Image.Image, Picture]:
    """Bring a picture to a mode that the kind holds."""
    pixels, alpha = picture.pixels, picture.alpha
    if pixels.ndim == 3 and "RGB" not in into.modes:
        pixels = luma(pixels)
        notes.append(f"colour turned into grey ({into.word} holds none)")
    deep = pixels.ndim == 2 and "I;16" in into.modes and pixels.dtype != np.uint8
    if pixels.dtype.kind == "f":
        if not np.isfinite(pixels).all():
            raise UsageError("the picture holds NaN or infinite values")
        levels = picture.levels
        notes.append(f"values {levels.low:g} to {levels.high:g} written as {'0 to 65535' if deep else '0 to 255'}")
        pixels = _whole(pixels, 65535) if deep else eight_bits(pixels)
    elif pixels.dtype == np.uint16 and not deep:
        notes.append("16 bits a channel written as 8")
        pixels = eight_bits(pixels)
    if alpha is not None and (deep or not any(mode.endswith("A") for mode in into.modes)):
        notes.append(f"alpha dropped ({into.word} holds none{' beside 16 bits' if deep else ''})")
        alpha = None
    mode = "L" if pixels.ndim == 2 else "RGB"
    if not deep and (mode if alpha is None else mode + "A") not in into.modes and pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    icc = fitting_profile(picture.icc, pixels.ndim == 3, notes)
    if alpha is not None:
        pixels = np.dstack([pixels, alpha])
    image = Image.fromarray(np.ascontiguousarray(pixels.astype(pixels.dtype.newbyteorder("="), copy=False)))
    return image, replace(picture, icc=icc)


def eight_bits(pixels: Array) -> Array:
    """Pixels (uint8, uint16, or floats of which 0 is black and 1 is white) as uint8."""
    if pixels.dtype == np.uint16:
        return ((pixels.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    return pixels if pixels.dtype == np.uint8 else _whole(pixels, 255)


def _whole(values: Array, top: int) -> Array:
    scaled = np.clip(values, 0, 1) * np.asarray(top, np.float64 if top > 255 else values.dtype)
    return np.asarray(np.rint(scaled), np.uint8 if top == 255 else np.uint16)
