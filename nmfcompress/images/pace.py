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
PAINTED = 2**12  # pixels that are painted in the time of a step, where frames are passed over
# What takes longer than its reading, in steps:
EXIF_SEGMENT = 2**14  # of a JPEG: those before it are copied
PROFILE = 2**14  # of a PNG: it may unpack to a megabyte
SCAN = 2**11  # of a JPEG: a pass over the picture
COMMENT = 2**6  # in a plain PNM: up to a megabyte is copied
LARGE, BOX_BYTES = 2**20, 4  # of the header of a JPEG 2000, which is read in one piece and walked through then


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
        self._cost, self._later = _costs(head)

    def opened(self) -> None:
        """From here on it is the picture that is read, and no longer its header."""
        self._cost = self._later

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
        data: bytes = self._stream.read(size)
        steps = 1
        if self._cost is not None and (end := self._stream.tell()) > self._seen:
            new = min(end - self._seen, len(data))
            steps += self._cost(data[len(data) - new :])
            self._seen = end
        self.spend(steps)
        return data

    def spend(self, steps: int) -> None:
        """Take so many for something else. Raises as `read` does."""
        self._left -= steps
        if self._left < 0:
            raise InputError(f"is in more pieces than any picture that is meant well (over {self._most:,} steps)")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


Cost = Callable[[bytes], int] | None


def _costs(head: bytes) -> tuple[Cost, Cost]:
    """What data that is read costs beside the step, in the header and from then on, by how the file begins."""
    if head.startswith(b"\xff\xd8"):
        return _exif, lambda data: _exif(data) + SCAN * data.count(b"\xff\xda")
    if head.startswith((b"\x89PNG", b"\0\0\1\0")):
        return _profile, _profile
    if head[4:8] == b"jP  ":
        return lambda data: len(data) // BOX_BYTES if len(data) > LARGE else 0, None
    if head[:2] in (b"P1", b"P2", b"P3"):
        return None, lambda data: COMMENT * data.count(b"#")
    return None, None


def _exif(data: bytes) -> int:
    return EXIF_SEGMENT * data.startswith(b"Exif\0\0")


def _profile(data: bytes) -> int:
    return PROFILE * (data[4:8] == b"iCCP" and len(data) == 8)
