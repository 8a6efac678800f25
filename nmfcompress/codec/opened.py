"""A `.nmfc` file opened: what it says of itself, and its pictures when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError, NmfcError
from ..images.limits import Limits
from ..ranges import check, count
from . import stack
from .container import HEADER_BYTES, Container, read_listing, unpack
from .header import MOST_META, Header, Meta, read_header, read_meta
from .patch_streams import check_count
from .told import mode_of, told

if TYPE_CHECKING:
    from .bands import Mixed

MOST_READ = {"head": 2**10, "meta": MOST_META + 2**16}  # bytes of a section that is read at a glance


@dataclass(frozen=True)
class Opened:
    """A file whose checksums and header are right.

    Parameters
    ----------
    container : Container
    header : Header
    meta : Meta
    size : int
        Bytes of the file.
    """

    container: Container
    header: Header
    meta: Meta
    size: int

    def pictures(
        self, index: np.ndarray | None = None, rank: int | None = None, origin: Opened | None = None,
        limits: Limits | None = None,
    ) -> np.ndarray:  # fmt: skip
        """The pictures at `index` (all, where None), (n, h, w) or (n, h, w, c), of the first `rank` parts.

        Raises
        ------
        InputError
            Damaged in spite of all, an index that is none, or a missing `origin`.
        UsageError
            The rank is no whole number from 1.
        TooLarge
            They need more memory than `limits` allow.
        """
        from .image import decode_single
        from .patched import decode_pictures

        n = self.header.shape[0]
        check(rank is None or count(rank), "rank", rank, "a whole number from 1")
        if index is not None and len(index) and not 0 <= int(index.min()) <= int(index.max()) < n:
            worst = int(index.max() if index.min() >= 0 else index.min())
            raise InputError(f"index {worst} is beyond its {n:,} pictures")
        asked, mode = n if index is None else len(index), self.container.mode
        each, beside = self._needs
        what = f"decoding {asked:,} pictures of {self.header.pixels:,} values"
        (limits or Limits()).admit(asked * each + beside, what)
        if mode == "stack":
            return stack.decode(self.container, self.header, index, rank, origin.container if origin else None, limits)
        if mode == "bands":
            return self._mixed.bands(index, rank)
        if mode == "patches":
            return decode_pictures(self.container.section("patches"), self.header, index, rank)
        shown = decode_single(self.container, self.header, rank, limits)
        return shown if index is None else shown[index]

    def together(self, limits: Limits) -> int:
        """How many pictures may be decoded at a time, at least one."""
        return limits.fitting(*self._needs)

    @property
    def _needs(self) -> tuple[int, int]:
        """Bytes of memory that decoding takes for each picture, and beside them, however many they are."""
        from .bands import VALUE_BYTES, reading_bytes
        from .patched import decoding_bytes

        mode, pixels, itemsize = self.container.mode, self.header.pixels, self.header.dtype.itemsize
        if mode == "bands":
            return pixels * (itemsize + VALUE_BYTES), reading_bytes(self.container.sections, self.header.shape)
        if mode == "patches":
            return pixels * itemsize, decoding_bytes(self.header)
        return 2 * pixels * itemsize, 0  # block by block

    @cached_property
    def _mixed(self) -> Mixed:
        """What bands are made of: decoded once, for all pieces of them."""
        from .bands import read_bands

        return read_bands(self.container.sections, self.header.shape, self.header.dtype)


def open_container(data: bytes, limits: Limits | None = None) -> Opened:
    """Open the bytes of a `.nmfc` file.

    Raises
    ------
    InputError
        They are none, damaged, of a later version, or of a mode that does not go with their shape.
    TooLarge
        What goes with the pictures needs more memory than `limits` allow.
    """
    container = unpack(data)
    header = _header(container.mode, container.section("head"))
    return Opened(container, header, read_meta(container.sections.get("meta", b""), header, limits), len(data))


def _header(mode: str, section: bytes) -> Header:
    """What the pixels are, if this mode may have such."""
    header = read_header(section)
    if mode == "rows" and header.shape[0] != 1:
        raise InputError(f"is damaged: rows is for one picture, and its header says {header.shape[0]:,}")
    if mode == "patches":
        check_count(header.shape[0])
    return header


@dataclass(frozen=True)
class Glance:
    """What the first bytes of a file say, and its last section: what its pictures are, and what goes with them."""

    mode: str
    header: Header
    meta: Meta


def glance(read: Callable[[int, int], bytes], size: int, limits: Limits) -> Glance:
    """Look at a `.nmfc` file of `size` bytes without reading what its pictures are made of.

    Parameters
    ----------
    read : callable
        Of a place in the file and a count: so many bytes from there on, fewer only at its end.

    Raises
    ------
    InputError, TooLarge
        As `open_container`, but the checksums of what is not read are not looked at.
    """
    listing = read_listing(read(0, HEADER_BYTES), size)
    found: dict[str | None, bytes] = {}
    for place in listing.places:
        if place.name in MOST_READ:
            if place.length > MOST_READ[place.name]:
                raise InputError(f"is damaged: its section {place.name!r} has {place.length:,} bytes")
            found[place.name] = place.checked(read(place.start, place.length))
    header = _header(listing.mode, found.get("head", b""))
    return Glance(listing.mode, header, read_meta(found.get("meta", b""), header, limits))


@contextmanager
def doubted() -> Iterator[None]:
    """Whatever a hostile file stumbles over is its own fault."""
    try:
        yield
    except NmfcError:
        raise
    except (ArithmeticError, LookupError, ValueError) as error:
        raise InputError(f"is damaged in spite of its checksums ({type(error).__name__})") from error


def info(data: bytes) -> dict[str, object]:
    """What a `.nmfc` file holds, none of it decoded: arrangement, shape, type, bytes by section, what goes with it.

    "low" and "high" are what 0 and 1 of floats stood for; whole numbers stand for themselves, and have None there.
    """
    opened = open_container(data)
    header, meta = opened.header, opened.meta
    low, high = (header.low, header.high) if header.dtype.kind == "f" else (None, None)
    found: dict[str, object] = {
        "arrangement": opened.container.mode,
        "images": header.shape[0],
        "width": header.shape[2],
        "height": header.shape[1],
        "channels": header.shape[3] if len(header.shape) == 4 else 1,
        "mode": mode_of(header.shape, meta.alpha is not None),
        "dtype": header.dtype.name,
        "low": low,
        "high": high,
        "single": header.single,
        **told(opened.container, header),
        "bytes": opened.size,
        "bits_per_pixel": 8 * opened.size / (header.shape[0] * header.shape[1] * header.shape[2]),
        "ratio": header.values * header.dtype.itemsize / opened.size,
        "sections": {name: len(content) for name, content in opened.container.sections.items()},
        "names": len(meta.names),
        "labels": 0 if meta.labels is None else len(meta.labels),
        "meta": sorted(name for name in ("icc", "exif", "dpi", "alpha") if getattr(meta, name) is not None),
        "basis_from": opened.container.sections["origin"].hex() if "origin" in opened.container.sections else None,
    }
    return found
