"""MATLAB 5 files, a variable at a time: SciPy unpacks all that come before the one that is wanted, however large.

The format is MathWorks' "MAT-File Format" (R2022a, chapter 1): 128 bytes of header, then elements, each a tag of
type and length. A variable is an element of type 14, or one of type 15 that holds it zlib-compressed.
"""

from __future__ import annotations

import math
import zlib
from collections import Counter

import numpy as np

from ..errors import InputError
from .doors import Array, Entry, Raw, Source, broken, printable, shaped
from .levels import shape_text
from .unpacking import PACKED, fill

_MATRIX, _COMPRESSED = 14, 15
_PROBLEMS = {
    1: "is a cell array",
    2: "is a struct",
    3: "is an object",
    4: "is text",
    5: "is a sparse matrix",
    17: "is an object",
}
_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_MOST_AXES = 32
_MOST_VARIABLES = 10_000  # a second's work
_MOST_NAME = 255  # MATLAB itself takes 63
_HEADER = 4096  # bytes of a variable that hold its flags, shape and name


def open_mat(source: Source) -> list[Entry]:
    """The variables of a MATLAB 5 file."""
    entries: list[Entry] = []
    count = 0
    source.file.seek(0)
    head = source.file.read(128)
    if len(head) < 128:
        raise InputError(f"truncated after {source.size:,} bytes, in its header of 128")
    endian = "<" if head[126:128] == b"IM" else ">"
    start = 128
    while start < source.size:
        source.file.seek(start)
        tag = source.file.read(8)
        if len(tag) < 8:
            raise InputError(f"truncated after {source.size:,} bytes, between two variables")
        kind, length = (int(value) for value in np.frombuffer(tag, endian + "u4"))
        if kind not in (_MATRIX, _COMPRESSED):
            raise InputError(f"is a MATLAB file, but a broken one: an element of type {kind} at byte {start:,}")
        if (count := count + 1) > _MOST_VARIABLES:
            raise InputError(f"is a MATLAB file with more than {_MOST_VARIABLES:,} variables, no more are read")
        end = start + 8 + length
        stored = _Stored(source, start + 8, length, kind == _COMPRESSED)
        entry = _variable(stored, endian, cut=end > source.size)
        if end > source.size:
            told = f" {entry}" if entry.shape else ""
            raise InputError(f"truncated after {source.size:,} bytes (its variable{told} ends at byte {end:,})")
        if entry.name:  # what MATLAB keeps for itself has no name
            entries.append(entry)
        start = end
    if not entries:
        raise InputError("this is a MATLAB file without variables")
    times = Counter(entry.name for entry in entries)
    return [Entry(e.name, problem="is there more than once") if times[e.name] > 1 else e for e in entries]


_NOTHING = zlib.decompressobj()


class _Stored:
    """The bytes inside an element, from its first on; those of a compressed one are unpacked as they are read."""

    def __init__(self, source: Source, start: int, length: int, compressed: bool):
        self.compressed, self.start = compressed, start
        self._file, self._length = source.file, length
        self.forget()

    def rewind(self) -> None:
        """Begin anew."""
        self._file.seek(self.start)
        self._left = self._length
        self._inflate = zlib.decompressobj()
        if self.compressed:
            fill(self.read, 8)  # the tag of the one that is inside

    def forget(self) -> None:
        """Let go of what unpacks: there may be thousands of these, and each would keep as much as a window."""
        self._left, self._inflate = 0, _NOTHING

    def read(self, nbytes: int) -> bytes:
        """Up to `nbytes` of them, none at the end."""
        if not self.compressed:
            return self._more(nbytes)
        piece = b""
        while not piece and not self._inflate.eof and (packed := self._inflate.unconsumed_tail or self._more(PACKED)):
            piece = self._inflate.decompress(packed, nbytes)
        return piece

    def _more(self, nbytes: int) -> bytes:
        found = self._file.read(min(nbytes, self._left))
        self._left -= len(found)
        return found

    def ends(self) -> bool:
        """Whether no more is left than fills up eight bytes; the checksum of what is compressed is read, too."""
        return not self.compressed or (len(fill(self.read, 8)) < 8 and self._inflate.eof)


def _variable(stored: _Stored, endian: str, cut: bool) -> Entry:
    """Read the header of a variable; one that cannot be read, in a file that is cut there, has no shape."""
    try:
        with broken("a MATLAB file"):
            stored.rewind()
            return _Reader(fill(stored.read, _HEADER).tobytes(), endian).entry(stored)
    except InputError:
        if cut:
            return Entry("")
        raise
    finally:
        stored.forget()


class _Reader:
    """Walks over the elements inside a variable."""

    def __init__(self, payload: bytes, endian: str):
        self._payload, self._endian, self._at = payload, endian, 0

    def entry(self, stored: _Stored) -> Entry:
        _, flags = self._element()
        word = int(np.frombuffer(flags, self._endian + "u4", 1)[0])
        kind, is_complex = word & 0xFF, bool(word & 0x800)
        if kind == 17:  # its header is laid out in another way
            return Entry("")
        _, sides = self._element()
        shape = tuple(int(side) for side in np.frombuffer(sides, self._endian + "i4"))
        _, letters = self._element()
        name = letters[:_MOST_NAME].decode("latin-1")
        if len(letters) > _MOST_NAME:
            return Entry(name, problem=f"has a name of {len(letters):,} bytes, at most {_MOST_NAME} are read")
        if kind in _PROBLEMS or is_complex:
            return Entry(name, problem="has complex values" if is_complex else _PROBLEMS[kind])
        if len(shape) > _MOST_AXES:
            return Entry(name, problem=f"has {len(shape)} axes, at most {_MOST_AXES} are read")
        if min(shape, default=0) < 1:
            return Entry(name, problem=f"is empty: its shape is {shape_text(shape)}")
        number, length = self._tag()
        if number not in _STORED:
            return Entry(name, problem=f"holds elements of type {number}, which are no numbers")
        dtype = np.dtype(self._endian + _STORED[number])
        if math.prod(shape) * dtype.itemsize != length:
            return Entry(name, problem=f"has {length:,} bytes of {dtype.name} for {shape_text(shape)}")
        at = self._at
        raw = None if stored.compressed else Raw(stored.start + at, fortran=True)
        return Entry(name, shape, dtype, lambda: _load(stored, at, name, shape, dtype), raw=raw)

    def _tag(self) -> tuple[int, int]:
        """Type and length of the next element; short ones keep both in four bytes and their data in the next four."""
        first = int(np.frombuffer(self._payload, self._endian + "u4", 1, self._at)[0])
        if first >> 16:
            self._at += 4
            return first & 0xFFFF, first >> 16
        length = int(np.frombuffer(self._payload, self._endian + "u4", 1, self._at + 4)[0])
        self._at += 8
        return first, length

    def _element(self) -> tuple[int, bytes]:
        kind, length = self._tag()
        data = self._payload[self._at : self._at + length]
        if len(data) < length:
            raise InputError("is a MATLAB file, but a broken one: a variable without its header")
        self._at += -(-length // 8) * 8 if self._at % 8 == 0 else 4
        return kind, data


def _load(stored: _Stored, at: int, name: str, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> Array:
    with broken("a MATLAB file"):
        stored.rewind()
        nbytes = math.prod(shape) * dtype.itemsize
        fill(stored.read, at)
        flat = fill(stored.read, nbytes)
        if len(flat) < nbytes or not stored.ends():
            raise InputError(f"is a MATLAB file, but a broken one: {printable(name)} is not what its header says")
    return shaped(flat, dtype, shape, fortran=True)
