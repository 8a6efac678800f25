"""The containers that arrays come in: npz, npy, IDX and gzip, each listed before anything is loaded.

A door takes a `Source` and returns its `Entry` list. Files are untrusted: shapes and lengths are compared with
the bytes that are there, and admitted by `Limits`, before memory is taken; nothing is ever unpickled.
"""

from __future__ import annotations

import io
import math
import struct
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from ..errors import InputError, NmfcError, TooLarge
from .levels import count_text, shape_text
from .limits import Limits
from .sniff import HEAD, describe, identify
from .unpacking import Gunzip, fill

Array = np.ndarray[Any, Any]
NOTHING = np.dtype(np.void)
PIECEWISE = "an array in a .npy or uncompressed .npz, images first, is read a piece at a time"
DIRECTORY = 2**20  # bytes that list 10,000 arrays
NPY_HEADER = 10_000  # NumPy's own bound on the text of a header, which it parses as Python literals
USUAL_HEADER = 192  # bytes of one that NumPy writes for plain numbers are 128
LONG_HEADERS = 2**19  # bytes beyond the usual, of all in an archive: a second's work


@dataclass(frozen=True)
class Source:
    """An open file that can seek: `size` bytes, under `path` unless it came through a pipe."""

    file: BinaryIO
    size: int
    path: str | None = None


@dataclass(frozen=True)
class Raw:
    """The bytes of an array, uncompressed, from `offset` of its file on.

    `crc`, where there is one, is that of all bytes from `start` to their end.
    """

    offset: int
    fortran: bool = False
    start: int = 0
    crc: int | None = None


@dataclass(frozen=True)
class Entry:
    """One array of a container, not loaded yet.

    Parameters
    ----------
    name : str
        Its key; for messages only, never a path.
    shape : tuple of int
    dtype : numpy.dtype
    load : callable
        Reads the array; the caller has admitted its size.
    problem : str, optional
        Why it cannot be loaded.
    raw : Raw, optional
        Where its bytes lie in the file, when they lie there as they are.
    """

    name: str
    shape: tuple[int, ...] = ()
    dtype: np.dtype[Any] = NOTHING
    load: Callable[[], Array] = lambda: np.empty(0)
    problem: str | None = None
    raw: Raw | None = None

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    def __str__(self) -> str:
        return f"{printable(self.name)} ({self.problem or f'{shape_text(self.shape)} {self.dtype.name}'})"

    @property
    def needs(self) -> int:
        """Bytes of memory to load it, with the copy that scaling makes."""
        kept = self.dtype.newbyteorder("=") in (np.uint8, np.uint16)
        return self.nbytes + (0 if kept else math.prod(self.shape) * (8 if self.dtype == np.float64 else 4))

    def check(self, kinds: str = "biuf") -> None:
        """Raise InputError when it cannot be read, or its type is none of `kinds`."""
        if self.problem:
            raise InputError(f"{printable(self.name)} {self.problem}")
        if self.dtype.kind not in kinds:
            raise InputError(
                f"{printable(self.name)} holds values of type {self.dtype.name}, "
                "expected real numbers (uint8, float ...)"
            )

    def read(self, limits: Limits, kinds: str = "biuf") -> Array:
        """Load it, if its type is one of `kinds` and `limits` admit it with the copy that scaling makes."""
        self.admit(limits, kinds)
        return self.load()

    def admit(self, limits: Limits, kinds: str = "biuf") -> None:
        """Raise what `read` would, as far as the header tells."""
        self.check(kinds)
        limits.admit(self.needs, f"{printable(self.name)} ({shape_text(self.shape)} {self.dtype.name})", PIECEWISE)


def printable(name: str) -> str:
    """A key as one may print it: no control characters, not longer than a line."""
    text = name if name.isprintable() else ascii(name)[1:-1]
    return text if len(text) <= 60 else text[:57] + "..."


@contextmanager
def broken(what: str) -> Iterator[None]:
    """Turn whatever NumPy, zipfile or zlib raise on bad bytes into one line."""
    try:
        yield
    except NmfcError:
        raise
    except MemoryError:
        raise TooLarge("needs more memory than there is") from None
    except OSError as error:
        raise InputError(error.strerror or str(error)) from error
    except Exception as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise InputError(f"is {what}, but a broken one: {printable(lines[0])}") from error


def open_npz(source: Source) -> list[Entry]:
    """The `.npy` members of a zip archive."""
    if (listed := _directory(source)) > DIRECTORY:
        raise InputError(f"is a zip archive with a directory of {listed:,} bytes, at most {DIRECTORY:,} are read")
    try:
        archive = zipfile.ZipFile(source.file)
    except zipfile.BadZipFile:
        source.file.seek(max(source.size - 2**16 - 22, 0))
        if b"PK\5\6" in source.file.read():
            raise
        raise InputError(
            f"truncated after {source.size:,} bytes (the directory at the end of every zip is missing)"
        ) from None
    members = [member for member in archive.infolist() if member.filename.endswith(".npy")]
    if not members:
        raise InputError("this is a zip archive without arrays (no .npy in it)")
    twice = {name for name, times in Counter(member.filename for member in members).items() if times > 1}
    spent, entries = 0, []
    for member in members:
        entry, header = _npz_member(archive, member, member.filename in twice)
        entries.append(entry)
        spent += max(header - USUAL_HEADER, 0)
        if spent > LONG_HEADERS:
            raise InputError(f"is a zip archive with more than {LONG_HEADERS:,} bytes of headers of its arrays")
    return entries


def _directory(source: Source) -> int:
    """Bytes of a zip's directory, as the records at its end say: zipfile reads it whole, and makes far more of it."""
    source.file.seek(max(source.size - 2**16 - 22 - 20 - 56, 0))
    tail = source.file.read()
    plain = tail[-22:-18] == b"PK\5\6" and tail[-2:] == b"\0\0"  # without a comment; as zipfile looks for it
    end = len(tail) - 22 if plain else tail.rfind(b"PK\5\6")
    if end < 0 or tail[end - 20 : end - 16] != b"PK\6\7":
        return int.from_bytes(tail[end + 12 : end + 16], "little") if end >= 0 else 0
    wide = tail.rfind(b"PK\6\6", 0, end)
    return int.from_bytes(tail[wide + 40 : wide + 48], "little") if wide >= 0 else source.size


def _npz_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, twice: bool) -> tuple[Entry, int]:
    """A member, and how many bytes were parsed for it."""
    name = member.filename.removesuffix(".npy")
    if twice:
        return Entry(name, problem="is there more than once"), 0
    if member.flag_bits & 1:
        return Entry(name, problem="is encrypted"), 0
    parsed = 0
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return Entry(name, problem=f"is compressed by method {member.compress_type}, which NumPy does not write"), 0
    try:
        with broken("a zip member"), archive.open(member) as stream:
            head = stream.read(NPY_HEADER + 12)
        parsed = len(head[10 : 10 + int.from_bytes(head[8:10], "little")].rstrip())  # also of versions 2 and 3
        header = _npy_header(head, member.file_size)
        raw = _raw_member(archive, member, header)
    except InputError as error:
        return Entry(name, problem=error.message), parsed

    def load() -> Array:
        with archive.open(member) as stream:
            stream.read(header.offset)
            flat = fill(stream.read, header.nbytes)
            if len(flat) < header.nbytes or stream.read(1):
                raise InputError(f"{printable(name)} has not the length that the zip's directory says")
        return header.shaped(flat)

    return Entry(name, header.shape, header.dtype, load, raw=raw), parsed


def _raw_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, header: _Header) -> Raw | None:
    """Where the array of a stored member lies; zipfile has compared the local header with the directory already."""
    if member.compress_type != zipfile.ZIP_STORED or archive.fp is None:
        return None
    if member.compress_size != member.file_size:
        raise InputError(f"says {member.compress_size:,} bytes are stored of {member.file_size:,}")
    archive.fp.seek(member.header_offset)
    name, extra = struct.unpack("<26x2H", archive.fp.read(30))
    start = member.header_offset + 30 + name + extra
    if start + member.file_size > archive.start_dir:
        raise InputError("reaches into the directory of its zip archive")
    return Raw(start + header.offset, header.fortran, start, member.CRC)


def open_npy(source: Source) -> list[Entry]:
    """The one array of a `.npy` file."""
    source.file.seek(0)
    header = _npy_header(source.file.read(NPY_HEADER + 12), source.size)
    return [_plain("array", source, header)]


def open_idx(source: Source) -> list[Entry]:
    """The one array of an IDX file; in this format the first axis always counts, so it is named "images"."""
    source.file.seek(0)
    header = _idx_header(source.file.read(20), source.size)
    return [_plain("images", source, header)]


def open_gzip(source: Source) -> list[Entry]:
    """An IDX or npy file in a gzip, unpacked as a stream."""
    stream = Gunzip(source.file)
    head = stream.read(HEAD)
    if not head:
        if stream.cut:
            raise InputError(f"truncated after {source.size:,} bytes (a gzip that breaks off in its header)")
        raise InputError("this is an empty gzip: nothing is in it")
    kind = identify(head)
    if kind == "npy":
        head += stream.read(NPY_HEADER + 12 - len(head))
    elif kind != "idx":
        inside = "a picture" if kind == "picture" else describe(head) or "bytes of no known kind"
        hint = ": unpack it with gunzip" if kind in ("npz", "mat", "picture") else ""
        raise InputError(f"this is a gzip of {inside}, expected an IDX or npy file in it{hint}")
    header = _npy_header(head) if kind == "npy" else _idx_header(head)

    def load() -> Array:
        stream = Gunzip(source.file)
        stream.read(header.offset)
        flat = fill(stream.read, header.nbytes)
        more = stream.read(1)  # also reads the checksum at the end
        if stream.cut:  # the file breaks off: its own length is what a user can compare
            raise InputError(header.truncated(source.size, f", {stream.count:,} unpacked"))
        header.check_length(header.offset + len(flat) + len(more))
        return header.shaped(flat)

    return [Entry("array" if kind == "npy" else "images", header.shape, header.dtype, load)]


@dataclass(frozen=True)
class _Header:
    """What the first bytes of an npy or IDX file promise: the array begins at `offset`."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int
    fortran: bool = False
    idx: bool = False

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    def shaped(self, flat: Array) -> Array:
        return shaped(flat, self.dtype, self.shape, self.fortran)

    def truncated(self, there: int, more: str = "") -> str:
        if self.idx and len(self.shape) > 1:
            promise = f"{count_text(self.shape[0])} images of {shape_text(self.shape[1:])}"
        else:
            promise = f"{shape_text(self.shape)} {self.dtype.name}"
        whole = count_text(self.offset + self.nbytes)
        return f"truncated after {there:,} bytes{more} (its header says {promise}: {whole} bytes)"

    def check_length(self, there: int) -> None:
        if there < self.offset + self.nbytes:
            raise InputError(self.truncated(there))
        if there > self.offset + self.nbytes:
            raise InputError(
                f"is longer than its header says ({shape_text(self.shape)} {self.dtype.name}: "
                f"{count_text(self.offset + self.nbytes)} bytes)"
            )


def _npy_header(head: bytes, size: int | None = None) -> _Header:
    """Parse the header in `head`; `size` is the length of the whole file where it is known."""
    stream = io.BytesIO(head)
    with broken("a NumPy array"), warnings.catch_warnings(action="ignore"):
        version = np.lib.format.read_magic(stream)
        if version not in ((1, 0), (2, 0), (3, 0)):
            raise InputError(f"is a NumPy array of version {version[0]}.{version[1]} (1.0, 2.0 and 3.0 are read)")
        width, form = (2, "<H") if version == (1, 0) else (4, "<I")
        if len(head) < 8 + width:
            raise InputError(f"truncated after {len(head):,} bytes, in its header")
        offset = 8 + width + struct.unpack(form, head[8 : 8 + width])[0]
        if offset > NPY_HEADER + 12:
            raise InputError(f"is a NumPy array with a header of {offset:,} bytes, at most {NPY_HEADER:,} are read")
        if len(head) < offset:
            raise InputError(f"truncated after {len(head):,} bytes, in its header of {offset:,}")
        # versions 2 and 3 differ in the encoding of field names only, and arrays with fields are not for us
        read = np.lib.format.read_array_header_1_0 if width == 2 else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(stream, max_header_size=NPY_HEADER)
    if dtype.hasobject:
        raise InputError("holds pickled Python objects, which nmfc never loads")
    if any(side < 0 for side in shape):
        raise InputError(f"is a NumPy array with a negative side: {shape_text(shape)}")
    if 0 in shape or dtype.itemsize == 0:
        raise InputError(f"is empty: its shape is {shape_text(shape)}, of {dtype.name}")
    header = _Header(tuple(int(side) for side in shape), dtype, offset, fortran)
    if size is not None:
        header.check_length(size)
    return header


_IDX_TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


def _idx_header(head: bytes, size: int | None = None) -> _Header:
    offset = 4 + 4 * head[3]
    if len(head) < offset:
        raise InputError(f"truncated after {len(head):,} bytes, in its header of {offset}")
    shape = struct.unpack(f">{head[3]}I", head[4:offset])
    if 0 in shape:
        raise InputError(f"is empty: its shape is {shape_text(shape)}")
    header = _Header(shape, np.dtype(_IDX_TYPES[head[2]]), offset, idx=True)
    if size is not None:
        header.check_length(size)
    return header


def _plain(name: str, source: Source, header: _Header) -> Entry:
    """The array of an uncompressed file."""

    def load() -> Array:
        source.file.seek(header.offset)
        flat = fill(source.file.read, header.nbytes)
        header.check_length(header.offset + len(flat))  # the file may have been cut since its length was asked
        return header.shaped(flat)

    return Entry(name, header.shape, header.dtype, load, raw=Raw(header.offset, header.fortran))


def shaped(flat: Array, dtype: np.dtype[Any], shape: tuple[int, ...], fortran: bool) -> Array:
    """Bytes, as `fill` has read them, as an array in the machine's byte order; they are turned in their place."""
    values = flat.view(dtype)
    if not dtype.isnative:
        values = values.byteswap(inplace=True).view(dtype.newbyteorder("="))
    return values.reshape(shape, order="F" if fortran else "C")
