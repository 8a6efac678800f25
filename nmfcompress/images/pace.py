"""How many steps Pillow takes through a file: it walks through however many pieces there are, one by one."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, BinaryIO

from ..errors import InputError

STEPS, STEP_BYTES = 2**20, 128  # that a file may take, and bytes of it for one more; usual ones take hundreds
FRAME_STEPS = 64  # more for each frame
TURN_STEPS = {"MPO": 2**16}  # more where one is turned to that is a file of its own
PIXEL_STEPS = {"QOI": 4, "BMP": 4, "DIB": 4}  # more for each pixel, where Pillow decodes in Python
LARGE = 2**20  # bytes: the decoder takes no more at once
# What takes longer than its reading, in steps:
EXIF_SEGMENT = 2**14  # of a JPEG: those before it are copied
PROFILE = 2**14  # of a PNG: it may unpack to a megabyte
SCAN = 2**11  # of a JPEG: a pass over the picture
COMMENT = 2**6  # in a plain PNM: up to a megabyte is copied
BOX_BYTES = 4  # of the header of a JPEG 2000, which is read in one piece and walked through then


class Paced:
    """A file for Pillow that may be read in so many steps only, whatever there is in it and however deep.

    Parameters
    ----------
    stream : binary file
    head : bytes
        How it begins.
    """

    def __init__(self, stream: BinaryIO, head: bytes):
        place = stream.tell()
        self.size = stream.seek(0, os.SEEK_END)
        stream.seek(place)
        self._stream = stream
        self._seen = 0  # so far, what is in the file has been paid for
        self._left = self._most = STEPS + self.size // STEP_BYTES
        self._costs = _costs(head)

    def allow(self, steps: int) -> None:
        """So many more."""
        self._left += steps
        self._most += steps

    def read(self, size: int = -1, /) -> bytes:
        """As files do.

        Raises
        ------
        InputError
            There have been too many steps.
        """
        start = self._stream.tell()
        data = self._stream.read(size)
        self._left -= 1
        if start + len(data) > self._seen:
            self._left -= self._costs(data[max(self._seen - start, 0) :])
            self._seen = start + len(data)
        if self._left < 0:
            raise InputError(f"is in more pieces than any picture that is meant well (over {self._most:,} steps)")
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _costs(head: bytes) -> Callable[[bytes], int]:
    """What data that is read costs beside the step, by how the file begins."""
    if head.startswith(b"\xff\xd8"):
        return _of_jpeg
    if head.startswith((b"\x89PNG", b"\0\0\1\0")):
        return _of_png
    if head[4:8] == b"jP  ":
        return _of_jpeg2000
    return _of_plain_pnm if head[:2] in (b"P1", b"P2", b"P3") else _nothing


def _of_jpeg(data: bytes) -> int:
    return EXIF_SEGMENT * data.startswith(b"Exif\0\0") + SCAN * data.count(b"\xff\xda")


def _of_png(data: bytes) -> int:
    return PROFILE * (data[4:8] == b"iCCP" and len(data) == 8)


def _of_jpeg2000(data: bytes) -> int:
    return len(data) // BOX_BYTES if len(data) > LARGE else 0


def _of_plain_pnm(data: bytes) -> int:
    return COMMENT * data.count(b"#")


def _nothing(data: bytes) -> int:
    return 0
