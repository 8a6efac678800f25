"""A `.nmfc` file opened: what it says of itself, and its pictures when they are asked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from ..images.limits import Limits
from . import stack
from .container import Container, unpack
from .header import Header, Meta, read_header, read_meta

WORK_BYTES = {"patches": 75, "bands": 26}  # of memory for a value, while these are decoded; others go block by block


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
        TooLarge
            They need more memory than `limits` allow.
        """
        from .bands import decode_bands
        from .image import decode_single

        n = self.header.shape[0]
        if index is not None and len(index) and not 0 <= int(index.min()) <= int(index.max()) < n:
            worst = int(index.max() if index.min() >= 0 else index.min())
            raise InputError(f"index {worst} is beyond its {n:,} pictures")
        count = n if index is None else len(index)
        each = self.header.dtype.itemsize
        needs = count * self.header.pixels * (each + WORK_BYTES.get(self.container.mode, each))
        (limits or Limits()).admit(needs, f"decoding {count:,} pictures of {self.header.pixels:,} values")
        if rank is not None and rank < 1:
            raise InputError(f"rank is {rank} (expected a whole number from 1)")
        mode = self.container.mode
        if mode == "stack":
            return stack.decode(self.container, self.header, index, rank, origin.container if origin else None, limits)
        if mode == "bands":
            return decode_bands(self.container.sections, self.header.shape, self.header.dtype, index=index, rank=rank)
        shown = decode_single(self.container, self.header, rank, limits)
        return shown if index is None else shown[index]


def open_container(data: bytes) -> Opened:
    """Open the bytes of a `.nmfc` file.

    Raises
    ------
    InputError
        They are none, damaged, of a later version, or of a mode that does not go with their shape.
    """
    container = unpack(data)
    header = read_header(container.section("head"))
    if container.mode in ("rows", "patches") and header.shape[0] != 1:
        raise InputError(f"is damaged: {container.mode} is for one picture, and its header says {header.shape[0]:,}")
    return Opened(container, header, read_meta(container.sections.get("meta", b""), header), len(data))


def info(data: bytes) -> dict[str, object]:
    """What a `.nmfc` file holds, by its header: mode, shape, type, bytes by section, what goes with the pictures."""
    opened = open_container(data)
    header, meta = opened.header, opened.meta
    found: dict[str, object] = {
        "mode": opened.container.mode,
        "pictures": header.shape[0],
        "width": header.shape[2],
        "height": header.shape[1],
        "channels": header.shape[3] if len(header.shape) == 4 else 1,
        "dtype": header.dtype.name,
        "low": header.low,
        "high": header.high,
        "single": header.single,
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
