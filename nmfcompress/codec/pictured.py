"""What a `.nmfc` file says of the pixel values of a picture, and those values again."""

from __future__ import annotations

import numpy as np

from ..images.levels import Levels
from ..images.picture import Picture
from .header import Header, Meta


def described(picture: Picture) -> tuple[Header, Meta]:
    """What a .nmfc file says of a picture."""
    pixels = picture.pixels
    header = Header((1, *pixels.shape), pixels.dtype, *range_of(picture.levels, pixels.dtype), single=True)
    return header, Meta(picture.icc, picture.exif, picture.dpi, picture.alpha, picture.mode)


def range_of(levels: Levels, dtype: np.dtype) -> tuple[float, float]:
    """What 0 and 1 stand for, of floats that were scaled."""
    return (levels.low, levels.high) if dtype.kind == "f" and levels.own else (0.0, 1.0)


def in_range(pixels: np.ndarray, header: Header) -> np.ndarray:
    """Values that lie within 0..1, where they lay at first; others as they are."""
    if header.dtype.kind != "f" or (header.low, header.high) == (0.0, 1.0):
        return pixels
    with np.errstate(over="ignore", invalid="ignore"):  # a range that no float holds is the file's own
        found: np.ndarray = (pixels.astype(np.float64) * (header.high - header.low) + header.low).astype(header.dtype)
    return found
