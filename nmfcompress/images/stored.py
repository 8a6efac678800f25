"""Images in a file, read a piece at a time: collections that are larger than memory.

Nothing is mapped: a mapped file that is cut off meanwhile kills the process (SIGBUS), and the pages that it holds
are counted by nobody. What is read goes into arrays of the reader's own, and every error names the file and the images.
"""

from __future__ import annotations

import copy
import math
import operator
import os
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from ..errors import InputError
from .levels import Levels, apply_levels, find_levels, own_levels, shape_text, working_type
from .picture import luma

Array = np.ndarray[Any, np.dtype[Any]]
Places = range | Array
PIECE = 2**22  # bytes of the one look through a file that has to be looked through

Identity = tuple[int, int, int]


class StoredFile:
    """A file that is read at places, from any thread, as long as it stays the one that was opened.

    Parameters
    ----------
    path : str or None
        Where another process finds it; None for a file without a name, which no other process can read.
    name : str
        What errors call it.
    descriptor : int
        Of the open file; it is duplicated.
    """

    def __init__(self, path: str | None, name: str, descriptor: int):
        self.path = None if path is None else os.path.abspath(path)
        self.name = name
        self._lock = threading.Lock()
        self._descriptor: int | None = os.dup(descriptor)
        self._identity = _identity(descriptor)

    def __getstate__(self) -> dict[str, Any]:
        if self.path is None:
            raise InputError("is read from a temporary file without a name (other processes cannot open it)", self.name)
        return {"path": self.path, "name": self.name, "_identity": self._identity}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock(), _descriptor=None)

    def __del__(self) -> None:
        if getattr(self, "_descriptor", None) is not None:
            with suppress(OSError, TypeError):  # TypeError: the interpreter is going down
                os.close(self._descriptor)  # type: ignore[arg-type]

    def read_into(self, view: memoryview, offset: int) -> None:
        """Fill `view` with the bytes from `offset` on.

        Raises
        ------
        InputError
            They cannot be read, or the file has changed.
        """
        try:
            descriptor = self._opened()
            while view:
                count = self._read(descriptor, view, offset)
                if not count:
                    self.check()
                    raise InputError(f"ends {len(view):,} bytes too early", self.name)
                view, offset = view[count:], offset + count
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}", self.name) from error

    def check(self) -> None:
        """Raise InputError when the file is not what it was when it was opened."""
        try:
            now = _identity(self._opened())
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}", self.name) from error
        if now != self._identity:
            was, size = self._identity[1], now[1]
            more = f" ({size:,} bytes, {was:,} before)" if was != size else ""
            raise InputError(f"has changed since it was opened{more}: start again when it is complete", self.name)

    def _opened(self) -> int:
        with self._lock:
            if self._descriptor is not None:
                return self._descriptor
            descriptor = self._descriptor = os.open(self.path or "", os.O_RDONLY | getattr(os, "O_BINARY", 0))
        self.check()
        return descriptor

    def _read(self, descriptor: int, view: memoryview, offset: int) -> int:
        if hasattr(os, "preadv"):
            return os.preadv(descriptor, [view], offset)
        with self._lock:  # where a descriptor has one place only, threads take turns
            os.lseek(descriptor, offset, os.SEEK_SET)
            data = os.read(descriptor, min(len(view), PIECE))
        view[: len(data)] = data
        return len(data)


def _identity(descriptor: int) -> Identity:
    """What changes with a file; not its device, whose number is another on every machine that mounts it."""
    status = os.fstat(descriptor)
    return status.st_ino, status.st_size, status.st_mtime_ns


@dataclass(frozen=True)
class Extent:
    """`count` images that lie one after the other in a file from byte `offset` on.

    `crc`, where there is one, is that of all bytes from `start` to their end.
    """

    file: StoredFile
    offset: int
    count: int
    start: int = 0
    crc: int | None = None


class StoredImages:
    """Images (n, h, w) or (n, h, w, 3) in a file, of which an index reads what it asks for and nothing else.

    `x[i]`, `x[a:b]` and `x[[i, j]]` are arrays in memory, as those of a loaded collection; `x[:]` is all of it. Its
    other attributes are those of an array. It can be read from several threads, and pickled: where it is unpickled
    the file is opened anew, and must be the same.

    Parameters
    ----------
    extents : sequence of Extent
        Their images, one extent after the other, are the collection.
    item : tuple of int
        Shape of an image in the file, (h, w) or (h, w, 3).
    stored : numpy.dtype
        Of the values in the file, in its byte order.
    levels : Levels
        What the values mean: those that are no pixels are scaled as they are read.
    """

    def __init__(self, extents: Sequence[Extent], item: tuple[int, ...], stored: np.dtype[Any], levels: Levels):
        self._extents = tuple(extents)
        self._item, self._stored, self._levels = item, stored, levels
        self._places: Places = range(sum(extent.count for extent in extents))
        self._seen = item  # the shape of an image as an index gives it
        self._gray = False
        self.dtype = working_type(stored)

    @property
    def shape(self) -> tuple[int, ...]:
        """As seen: (n, h, w), (n, h, w, 3), or after `reshape` (n, h * w * 3)."""
        return (len(self._places), *self._seen)

    @property
    def ndim(self) -> int:
        return 1 + len(self._seen)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of all of it in memory, where it never is."""
        return self.size * self.dtype.itemsize

    @property
    def held(self) -> int:
        """Bytes that it really takes of memory."""
        return 0 if isinstance(self._places, range) else self._places.nbytes

    def __len__(self) -> int:
        return len(self._places)

    def __repr__(self) -> str:
        return f"<{shape_text(self.shape)} {self.dtype.name} in {self._extents[0].file.name}>"

    def __array__(self, *_: object, **__: object) -> Array:
        raise TypeError(f"{self!r} is read a piece at a time: x[a:b], or x[:] to load all of it")

    def __getitem__(self, index: Any) -> Array:
        if isinstance(index, slice):
            return self._read(self._places[index])
        if isinstance(index, list | np.ndarray) and np.ndim(index):
            return self.picked(index)[:]
        try:
            place = operator.index(index)
        except TypeError:
            raise IndexError(f"images are indexed by a number, a slice or a list of numbers, not {index!r}") from None
        if not -len(self) <= place < len(self):
            raise IndexError(f"image {place:,} of {len(self):,}")
        image: Array = self._read(self._places[place % len(self) :][:1])[0]
        return image

    def reshape(self, *shape: Any) -> StoredImages:
        """The same images, each with its pixels in another shape: reshape(n, -1) is one image a row."""
        first, *rest = shape[0] if len(shape) == 1 and isinstance(shape[0], tuple) else shape
        pixels = math.prod(self._seen)
        known = math.prod(side for side in rest if side != -1)
        sides = tuple(pixels // known if side == -1 and known else side for side in rest)
        if first not in (len(self), -1) or math.prod(sides) != pixels or rest.count(-1) > 1 or [first, *rest] == [-1]:
            raise ValueError(f"cannot reshape {shape_text(self.shape)} into {shape} (the first axis stays)")
        return self._with(_seen=sides)

    def picked(self, places: Any) -> StoredImages:
        """Only these images: a slice, indices or a mask, as an array takes them; nothing is read."""
        if isinstance(places, slice):
            return self._with(_places=self._places[places])
        index = np.asarray(places)
        if index.size and (index.ndim != 1 or index.dtype.kind not in "biu"):
            what = f"{shape_text(index.shape)} {index.dtype}"
            raise IndexError(f"images are chosen by a list of whole numbers or a mask, not by {what}")
        if index.dtype == bool:
            if index.shape != (len(self),):
                raise IndexError(f"a mask of {shape_text(index.shape)} for {len(self):,} images")
            index = np.flatnonzero(index)
        if index.size and not -len(self) <= int(index.min()) <= int(index.max()) < len(self):
            raise IndexError(f"images {int(index.min()):,} to {int(index.max()):,} of {len(self):,}")
        index = np.where(index < 0, index + len(self), index).astype(np.int64)
        base = self._places
        return self._with(_places=base.start + base.step * index if isinstance(base, range) else base[index])

    def gray(self) -> StoredImages:
        """The same with colour made one channel as it is read."""
        return self._with(_gray=True, _seen=self._item[:2]) if len(self._item) == 3 else self

    def _with(self, **changes: object) -> StoredImages:
        other = copy.copy(self)
        other.__dict__.update(changes)
        return other

    def _read(self, places: Places) -> Array:
        images = apply_levels(self._as_stored(places), self._levels)
        if self._gray and len(images):
            images = np.stack([luma(image) for image in images])
        return images.reshape(len(places), *self._seen)

    def _as_stored(self, places: Places) -> Array:
        raw: Array = np.empty((len(places), *self._item), self._stored)
        view = raw.reshape(-1).view(np.uint8).data
        image = math.prod(self._item) * self._stored.itemsize
        for first, count in _runs(places):
            try:
                self._fill(view[: count * image], first, image)
            except InputError as error:
                raise InputError(f"{_images(first, count)}: {error.message}", error.source) from error
            view = view[count * image :]
        return raw

    def _fill(self, view: memoryview, first: int, image: int) -> None:
        """The bytes of the images from the one numbered `first` on."""
        base = 0
        for extent in self._extents:
            skipped = max(first - base, 0)
            count = min(extent.count - skipped, len(view) // image)
            if count > 0:
                extent.file.read_into(view[: count * image], extent.offset + skipped * image)
                extent.file.check()  # bytes that were overwritten in place are as many as before
                view = view[count * image :]
                first += count
            base += extent.count

    def _pieces(self) -> Iterator[Array]:
        """Every image as it is stored, in order; at the end of an extent its checksum is compared."""
        image, first = math.prod(self._item) * self._stored.itemsize, 0
        for extent in self._extents:
            head = bytearray(extent.offset - extent.start if extent.crc is not None else 0)
            extent.file.read_into(memoryview(head), extent.start)
            crc, last, step = zlib.crc32(head), first + extent.count, max(1, PIECE // image)
            for start in range(first, last, step):
                piece = self._as_stored(range(start, min(start + step, last)))
                crc = zlib.crc32(piece.reshape(-1).view(np.uint8).data, crc) if extent.crc is not None else 0
                yield piece
            if extent.crc not in (None, crc):
                raise InputError(
                    "is a zip archive, but a broken one: the CRC-32 of its images is wrong", extent.file.name
                )
            first = last


def open_images(extents: Sequence[Extent], item: tuple[int, ...], stored: np.dtype[Any]) -> tuple[StoredImages, Levels]:
    """Images in files, with their levels as `levels.to_levels` finds them.

    They are looked through once where their type does not say what they mean, or where they have a checksum.

    Raises
    ------
    InputError
        NaN, infinite or negative values (the message says in which image); no real numbers; a wrong checksum.
    """
    levels = own_levels(stored)
    images = StoredImages(extents, item, stored, levels or Levels(stored.name, 0, 1))
    if levels is None:
        try:
            levels = find_levels(images._pieces(), stack=True)
        except InputError as error:
            error.source = error.source or extents[0].file.name
            raise
    elif any(extent.crc is not None for extent in extents):
        for _ in images._pieces():
            pass
    return images._with(_levels=levels), levels


def held(images: Array | StoredImages) -> int:
    """Bytes of memory that a collection takes while nothing of it is being worked on."""
    return images.held if isinstance(images, StoredImages) else images.nbytes


def _runs(places: Places) -> Iterator[tuple[int, int]]:
    """(first, count) of images that follow one another in the file."""
    if isinstance(places, range) and places.step == 1:
        if places:
            yield places.start, len(places)
        return
    places = np.asarray(places, np.int64)
    cuts = [0, *(np.flatnonzero(np.diff(places) != 1) + 1).tolist(), len(places)]
    for start, stop in pairwise(cuts):
        if start < stop:
            yield int(places[start]), stop - start


def _images(first: int, count: int) -> str:
    return f"image {first:,}" if count == 1 else f"images {first:,} to {first + count - 1:,}"
