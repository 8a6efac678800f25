"""`.nmfc` files as inputs: read up to the memory allowed, opened, and decoded a piece at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from ..codec.container import MAGIC
from ..codec.opened import Opened, open_container
from ..codec.opened import doubted as opened_in_doubt
from ..codec.parts import NeedsOrigin
from ..codec.told import mode_of
from ..errors import InputError, about
from ..images.files import display
from ..images.limits import Limits
from ..images.selection import select
from ..images.sniff import HEAD, describe, identify
from ..settings import Decoding, Selection
from .inputs import STDIN, Source, content

PIECE_BYTES = 2**28  # of pixels that are decoded at a time
PATCHES_VALUES = 2**20  # of pixels, likewise, of pictures that are each decoded alone
CHUNKS = (2048 * 16, 2048)  # pictures that a stack decodes together at best, and at least
PLACE_BYTES = 16  # that go with each picture of a file: its place, twice


def load(source: Source, limits: Limits) -> bytes:
    """The bytes of a file or pipe, whose size is looked at before they are read.

    Raises
    ------
    InputError
        A folder, or it cannot be read.
    TooLarge
        It is longer than the memory allowed.
    """
    if not source.path:
        raise InputError("cannot be read: it is no name of a file")
    if source.path != STDIN and os.path.isdir(source.path):
        raise InputError("is a folder (expected a .nmfc file)")
    found = content(source, limits)
    if isinstance(found, bytes):
        return found
    try:
        with open(found, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            limits.admit(size, f"reading {size:,} bytes")
            return file.read(size + 1)  # one that grows meanwhile shows that it has more behind its end
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read: {getattr(error, 'strerror', None) or error}") from None


def opened(source: Source, limits: Limits) -> Opened:
    """A file whose checksums and header are right.

    Raises
    ------
    InputError
        What is wrong with it, or what else it is.
    """
    return opened_bytes(load(source, limits), limits)


def opened_bytes(data: bytes, limits: Limits | None = None) -> Opened:
    """The same of bytes that are in memory."""
    head = data[:HEAD]
    if head and MAGIC.startswith(head):
        raise InputError(f"is cut off: {len(data)} bytes")
    if head and not data.startswith(MAGIC):
        what = "a picture" if identify(head) == "picture" else describe(head)
        raise InputError(f"is {what}, no .nmfc file" if what else "is no .nmfc file")
    with doubted():
        return open_container(data, limits)


def origin_of(decoding: Decoding, limits: Limits) -> Opened | None:
    """The file of --basis-from, opened.

    Raises
    ------
    InputError
        It is none, or has no parts that others could take; it is named.
    """
    if decoding.basis_from is None:
        return None
    with about(display(decoding.basis_from)):
        found = opened(Source(decoding.basis_from), limits)
        if not {"parts", "curve"} <= found.container.sections.keys():
            where = "they are in another file still" if "origin" in found.container.sections else found.container.mode
            raise InputError(f"has no parts for --basis-from ({where}; expected a .nmfc file of arrangement stack)")
        return found


def chosen(file: Opened, decoding: Decoding, limits: Limits) -> Sequence[int] | np.ndarray:
    """The places of the pictures that are wanted, rising.

    Raises
    ------
    UsageError
        One is beyond the file.
    TooLarge
        There are too many to count.
    """
    n = file.header.shape[0]
    limits.admit(n * PLACE_BYTES, f"a file that says it has {n:,} pictures")
    return select(Selection(index=decoding.index), None, n) if decoding.index else range(n)


def pieces(
    file: Opened, places: Sequence[int] | np.ndarray, decoding: Decoding, origin: Opened | None, limits: Limits
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Places, and the pictures there: as many at a time as fit into a part of the memory allowed.

    Raises
    ------
    InputError
        Damaged in spite of its checksums, or its parts are in a file that was not given.
    """
    bytes_each = file.header.pixels * file.header.dtype.itemsize
    count = min(max(1, min(PIECE_BYTES, limits.loaded) // bytes_each), file.together(limits))
    if file.container.mode == "patches":  # decoded one by one as it is: the bar should move
        count = min(count, max(1, PATCHES_VALUES // file.header.pixels))
    for chunk in CHUNKS:
        if count >= chunk:
            count -= count % chunk
            break
    for start in range(0, len(places), count):
        at = np.asarray(places[start : start + count])
        with doubted(decoding.basis_from):
            shown = file.pictures(at, decoding.rank, origin, limits)
        yield at, shown


@contextmanager
def doubted(basis_from: str | None = None) -> Iterator[None]:
    """Whatever a hostile file stumbles over is its own fault; and a file of --basis-from that is another is named."""
    try:
        with opened_in_doubt():
            yield
    except NeedsOrigin as error:
        if basis_from is None:
            raise
        raise InputError(f"was made with the parts of another file than {display(basis_from)}") from error


def holds(file: Opened) -> str:
    """What is in it, in words: '60,000 pictures of 28x28 L uint8'."""
    n, h, w = file.header.shape[:3]
    return f"{n:,} picture{'s' if n > 1 else ''} of {w}x{h} {mode_in(file)} {file.header.dtype.name}"


def mode_in(file: Opened) -> str:
    """Pillow's word for the channels of its pictures."""
    return mode_of(file.header.shape, file.meta.alpha is not None)
