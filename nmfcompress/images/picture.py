"""A picture in memory: its pixels, and what its file said about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .levels import Levels

Array = np.ndarray[Any, np.dtype[Any]]

PROFILES = {b"GRAY": "grey", b"RGB ": "RGB", b"CMYK": "CMYK", b"Lab ": "LAB"}


@dataclass(frozen=True)
class Picture:
    """One picture, upright.

    Parameters
    ----------
    pixels : array, shape (h, w) or (h, w, 3)
        uint8, uint16 (grey only), or floats within 0..1.
    levels : Levels
        What the values were before.
    alpha : array of uint8, shape (h, w), optional
        As it was: 0 is transparent.
    mode : str
        Pillow's word for the file's pixels ("P", "CMYK", "I;16", "RGB" ...).
    icc, exif : bytes, optional
        Colour profile, always one for the pixels as they are here; EXIF with its prefix and without orientation.
    dpi : (float, float), optional
        Across and down.
    frame, frames : int
        Which of how many, counted from 1.
    notes : tuple of str
        Everything converted or dropped, one phrase each.
    """

    pixels: Array
    levels: Levels
    alpha: Array | None = None
    mode: str = ""
    icc: bytes | None = None
    exif: bytes | None = None
    dpi: tuple[float, float] | None = None
    frame: int = 1
    frames: int = 1
    notes: tuple[str, ...] = ()


def luma(colours: Array) -> Array:
    """(h, w, 3) -> (h, w) of the same type: ITU-R 601, rounded as Pillow does."""
    if colours.dtype.kind == "f":
        return np.asarray(colours @ np.array([0.299, 0.587, 0.114], colours.dtype))
    total = np.full(colours.shape[:2], 0x8000, np.uint32)  # 65535 * 65536 + 0x8000 fits
    for channel, weight in enumerate((19595, 38470, 7471)):
        total += colours[..., channel].astype(np.uint32) * np.uint32(weight)
    return (total >> np.uint32(16)).astype(colours.dtype)


def fitting_profile(icc: object, colour: bool, notes: list[str]) -> bytes | None:
    """`icc` if it is a profile for such pixels, else None and a note."""
    if not isinstance(icc, bytes) or not icc:
        return None
    space = PROFILES.get(icc[16:20])
    if len(icc) >= 128 and space == ("RGB" if colour else "grey"):
        return icc
    notes.append(f"{space or 'unknown'} ICC profile dropped")
    return None
