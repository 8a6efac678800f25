"""What a picture tells of how it is to be held and measured: EXIF, orientation, resolution."""

from __future__ import annotations

import math
import struct
from contextlib import suppress
from typing import Any

import numpy as np
from PIL import Image

from .headers import check_exif

EXIF = b"Exif\0\0"  # how it begins in JPEG, and here
ORIENTATION, X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 0x0112, 0x011A, 0x011B, 0x0128
RATIONALS, WIDTHS = (5, 10), {3: "H", 8: "H"}  # kinds of numbers in tags; others have 4 bytes
ON_SIDE = (5, 6, 7, 8)  # orientations in which a picture's width is its height
# what a TIFF says of the picture, not of itself
TOLD_IN_TIFF = (0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x8298)

TURNS = {  # EXIF's orientations: how the stored pixels are turned upright
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}


def exif_of(image: Image.Image, notes: list[str]) -> tuple[bytes | None, int]:
    """EXIF as the file has it, but for the orientation, which is reset; and the orientation to apply."""
    turn, raw = 1, image.info.get("exif")
    if isinstance(raw, bytes):
        while raw.startswith(EXIF):  # some programs write it twice, and Pillow once more
            raw = raw.removeprefix(EXIF)
        image.info["exif"] = EXIF + raw
        check_exif(raw)
    try:
        exif = image.getexif()
        found = exif.get(ORIENTATION, 1)
        turn = next((number for number in TURNS if number == found), 1)
        if image.format == "TIFF":
            raw = _told(exif)
        elif raw is None and len(exif):
            raw = exif.tobytes()
        if not isinstance(raw, bytes) or len(raw) < 8:
            return None, turn
        raw = EXIF + raw.removeprefix(EXIF)
        return (raw if turn == 1 else _upright(raw, turn in ON_SIDE)), turn
    except Exception:
        notes.append("EXIF that cannot be read dropped")
        return None, turn


def _told(tags: Image.Exif) -> bytes | None:
    """The part of a TIFF's tags that tells of the picture, as EXIF."""
    exif = Image.Exif()
    exif.update({tag: tags[tag] for tag in TOLD_IN_TIFF if tag in tags})
    for place in (0x8769, 0x8825):  # camera, GPS
        if place in tags and (inner := dict(tags.get_ifd(place))):
            exif.get_ifd(place).update(inner)
            exif[place] = inner
    return exif.tobytes() if len(exif) else None


def _upright(raw: bytes, on_side: bool) -> bytes:
    """`raw` with its orientation set to 1, its resolutions exchanged if it lay on its side, and all else in its place
    (maker notes point into it).
    """
    data = bytearray(raw)
    order = "<" if data[6:8] == b"II" else ">"
    start = 6 + struct.unpack_from(order + "I", data, 10)[0]
    places = {}
    for entry in range(struct.unpack_from(order + "H", data, start)[0]):
        place = start + 2 + 12 * entry
        tag, kind = struct.unpack_from(order + "HH", data, place)
        places[tag] = slice(place + 8, place + 12)
        if tag == ORIENTATION:
            if kind in RATIONALS:
                struct.pack_into(order + "II", data, 6 + struct.unpack_from(order + "I", data, place + 8)[0], 1, 1)
            else:
                struct.pack_into(order + WIDTHS.get(kind, "I"), data, place + 8, 1)
    if on_side and {X_RESOLUTION, Y_RESOLUTION} <= places.keys():
        across, down = places[X_RESOLUTION], places[Y_RESOLUTION]
        data[across], data[down] = data[down], data[across]
    return bytes(data)


def resolution_of(image: Image.Image) -> tuple[float, float] | None:
    """Pixels an inch across and down, where the file tells them.

    Pillow makes some up for a TIFF without, and of the EXIF of a JPEG it takes the one across for both.
    """
    if image.format == "TIFF" and not {X_RESOLUTION, Y_RESOLUTION} <= set(image.tag_v2):  # type: ignore[attr-defined]
        return None
    if image.format not in ("JPEG", "MPO") or image.info.get("jfif_unit") in (1, 2):
        return _dpi(image.info.get("dpi"))
    with suppress(Exception):  # of an EXIF that cannot be read
        exif = image.getexif()
        inch = 2.54 if exif.get(RESOLUTION_UNIT) == 3 else 1.0
        across = exif[X_RESOLUTION]
        return _dpi((float(across) * inch, float(exif.get(Y_RESOLUTION, across)) * inch))
    return None


def _dpi(found: Any) -> tuple[float, float] | None:
    try:
        across, down = (float(value) for value in found)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    good = all(math.isfinite(value) and 0 < value < 1e6 for value in (across, down))
    return (across, down) if good else None
