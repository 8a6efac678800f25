"""What a picture file says of itself, read without Pillow, which makes an object of each number and each frame."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import ImageFile

from ..errors import InputError
from .limits import Limits
from .pace import STEP_BYTES, Paced

File = BinaryIO | Paced

MOST_FRAMES = 2**16  # a longer chain of frames is hostile
MOST_NUMBERS, NUMBER_BYTES = 2**18, 350  # in the tags of a page, beside one for every STEP_BYTES; of memory for each
MOST_ENTRIES = 2**22  # of all directories of a TIFF: usual ones have 20 for each page
MOST_EXIFS = 16  # in an AVIF
ORDERS = {b"II": "<", b"MM": ">"}
WIDTHS, LETTERS = np.zeros(2**16, np.int64), np.zeros(2**16, bool)  # bytes of each, by kind; kinds that are no numbers
LETTERS[[1, 2, 7]] = True
WIDTHS[[1, 2, 7, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 16, 17, 18]] = [1, 1, 1, 2, 4, 8, 1, 2, 4, 8, 4, 8, 4, 8, 8, 8]
INNER, DEPTH = (0x8769, 0x8825, 0xA005), 2  # directories within others: camera, GPS, interoperability


def check_tags(head: bytes, stream: BinaryIO, limits: Limits) -> None:
    """Count the numbers of the tags that Pillow takes up while it opens a file, which begins with `head`.

    Raises
    ------
    InputError
        There are more than in any file that is meant well.
    TooLarge
        They need more memory than is allowed.
    """
    stream.seek(0)
    if head[:2] in ORDERS:
        found, most = _most_numbers(stream)
        if found.numbers > most:
            raise InputError(f"is a TIFF with too many numbers in its tags to be meant well (over {most:,})")
        limits.admit(NUMBER_BYTES * found.numbers + found.letters, "what its tags hold")
    elif head[4:8] == b"ftyp":
        data = stream.read(limits.max_memory)
        for found_exif in islice(re.finditer(rb"II\*\0|MM\0\*", data), MOST_EXIFS):
            check_exif(data[found_exif.start() :])
    stream.seek(0)


def has_many_numbers(exif: bytes) -> bool:
    """Whether EXIF, without its prefix, has more numbers than any that is meant well."""
    found, most = _most_numbers(io.BytesIO(exif))
    return found.numbers > most


def check_exif(exif: bytes) -> None:
    """Raise InputError where there are."""
    if has_many_numbers(exif):
        raise InputError("has EXIF with too many numbers in it to be meant well")


def _most_numbers(stream: File) -> tuple[Held, int]:
    """The most that the tags of a page hold of either; and how many numbers they may."""
    tiff, found = Tiff(stream), Held(0, 0)
    for page in tiff.pages():
        found = Held(*map(max, found, tiff.held(page)))
    return found, MOST_NUMBERS + tiff.size // STEP_BYTES


class Held(NamedTuple):
    """What tags hold: so many numbers, and so many bytes beside."""

    numbers: int
    letters: int


class Tiff:
    """The directories of a TIFF, or of EXIF: where pages are, and what their tags are.

    Raises InputError where there are more entries than in any that is meant well.
    """

    def __init__(self, stream: File):
        self._stream, self._left, self.size = stream, MOST_ENTRIES, stream.seek(0, os.SEEK_END)
        stream.seek(0)
        self._order = ORDERS.get(stream.read(2), "<")
        self._word = 8 if (big := stream.read(1) == b"+") else 4  # as Pillow tells, which reads none of the other order
        value = f"{self._order}u{self._word}"
        short = f"{self._order}u2"
        self._entry = np.dtype([("tag", short), ("kind", short), ("count", value), ("value", value)])
        self._entries = 8 if big else 2
        stream.seek(8 if big else 4)
        self._first = self._number(self._word)

    def _number(self, size: int) -> int:
        return int.from_bytes(self._stream.read(size), "little" if self._order == "<" else "big")

    def _length(self, place: int) -> int:
        """How many entries a directory has; its table follows."""
        self._stream.seek(place)
        return self._number(self._entries)

    def pages(self) -> Iterator[int]:
        """Where the directory of each page is; of one page more than there may be at most."""
        place, seen = self._first, set[int]()
        while 0 < place <= self.size - self._entries and place not in seen and len(seen) <= MOST_FRAMES:
            seen.add(place)
            yield place
            table = place + self._entries + self._length(place) * self._entry.itemsize
            self._stream.seek(min(table, self.size))
            place = self._number(self._word)

    def held(self, place: int, depth: int = DEPTH) -> Held:
        """What there is in the tags of a directory, and of those within it."""
        if not 0 < place < self.size:
            return Held(0, 0)
        table = self._stream.read(min(self._length(place), self._left + 1) * self._entry.itemsize)
        tags = np.frombuffer(table, self._entry, len(table) // self._entry.itemsize)
        self._left -= len(tags)
        if self._left < 0:
            raise InputError(f"has over {MOST_ENTRIES:,} tags")
        tags = tags[(tags["count"] <= self.size) & (tags["value"] <= self.size)]
        counts, widths = tags["count"].astype(np.int64), WIDTHS[tags["kind"]]
        counts[tags["value"].astype(np.int64) + counts * widths > self.size] = 0  # which Pillow passes over
        letters = LETTERS[tags["kind"]]
        found = Held(int(counts[(widths > 0) & ~letters].sum()), int(counts[letters].sum()))
        for tag in INNER if depth else ():
            for inner in tags["value"][tags["tag"] == tag][:1].tolist():
                found = Held(*map(int.__add__, found, self.held(inner, depth - 1)))
        return found


def count_frames(image: ImageFile.ImageFile, stream: File) -> int:
    """How many frames there are, without parsing each as Pillow's n_frames does for TIFF and GIF.

    Raises
    ------
    InputError
        More than MOST_FRAMES.
    """
    if image.format not in ("TIFF", "GIF"):
        return 1 if image.format == "ICO" else max(int(getattr(image, "n_frames", 1)), 1)
    place = stream.tell()
    try:
        count = max(sum(1 for _ in Tiff(stream).pages()) if image.format == "TIFF" else _gif_frames(stream), 1)
    finally:
        stream.seek(place)
    if count > MOST_FRAMES:
        raise InputError(f"has over {MOST_FRAMES:,} frames, no more are read")
    return count


def _gif_frames(stream: File) -> int:
    stream.seek(0)
    header = stream.read(13)
    if len(header) < 13:
        return 0
    stream.seek(_colours(header[10]), os.SEEK_CUR)
    frames = 0
    while frames <= MOST_FRAMES and (mark := stream.read(1)) not in (b"", b";"):
        if mark == b",":
            descriptor = stream.read(9)
            if len(descriptor) < 9:
                break
            frames += 1
            stream.seek(_colours(descriptor[8]) + 1, os.SEEK_CUR)
        elif mark == b"!":
            stream.read(1)
        else:
            continue
        while length := stream.read(1)[:1]:
            if length == b"\0":
                break
            stream.seek(length[0], os.SEEK_CUR)
    return frames


def _colours(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 128 else 0
