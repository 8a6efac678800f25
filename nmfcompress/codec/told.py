"""What a `.nmfc` file tells of how it was made, none of it decoded; the file of each arrangement has its sections."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from ..errors import InputError
from .container import Container, Fields
from .header import Header
from .patch_streams import ONE_STEP, read_streams

MOST_PARTS = 2**16


def mode_of(shape: Sequence[int], alpha: bool = False) -> str:
    """Pillow's word for the channels of pictures (n, h, w) or (n, h, w, c): L, LA, RGB or RGBA."""
    channels = shape[3] if len(shape) == 4 else 1
    if alpha and channels in (1, 3):
        channels += 1
    return {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[channels]


def told(container: Container, header: Header) -> dict[str, object]:
    """Rank, quantizer step and number of chunks; None is what its arrangement does not store.

    Returns
    -------
    dict
        "rank": parts, of patches the bands kept of each. "step": of patches, in grey levels. "part_steps": of a stack,
        the least and the largest step that a part is stored in, in grey levels; its codes count in parts. "chunks":
        streams that are decoded each by itself. "chunk_images": pictures of each, but for the last.

    Raises
    ------
    InputError
        A section is missing, cut off, or its numbers make no sense.
    """
    found: dict[str, object] = dict.fromkeys(("rank", "step", "part_steps", "chunks", "chunk_images"))
    return found | ARRANGEMENTS[container.mode](container, header)


def _rows(container: Container, header: Header) -> dict[str, object]:
    return {"rank": _rank(Fields(container.section("scales")).varint())}


def _patches(container: Container, header: Header) -> dict[str, object]:
    streams = read_streams(container.section("patches"), header.shape[0])
    return {"rank": streams.bands, "step": streams.step / ONE_STEP, "chunks": len(streams.each), "chunk_images": 1}


def _stack(container: Container, header: Header) -> dict[str, object]:
    fields = Fields(container.section("codes"), 1)
    pictures = fields.varint()
    if not pictures:
        raise InputError("is damaged: its chunks have no pictures")
    n = header.shape[0]
    found: dict[str, object] = {"chunks": -(-n // pictures), "chunk_images": min(pictures, n)}
    if "origin" in container.sections:  # the parts, and how many, are in the other file
        return found
    fields = Fields(container.section("parts"))
    k, unit, _white = _rank(fields.varint()), max(1, fields.varint()), fields.varint()
    steps = [fields.varint() / unit for _ in range(k)]
    return {**found, "rank": k, "part_steps": [min(steps), max(steps)]}


def _bands(container: Container, header: Header) -> dict[str, object]:
    return {"rank": _rank(Fields(container.section("codes")).byte())}


def _rank(k: int) -> int:
    if not 1 <= k <= MOST_PARTS:
        raise InputError(f"is damaged: it says that it has {k:,} parts")
    return k


ARRANGEMENTS: Mapping[str, Callable[[Container, Header], dict[str, object]]] = MappingProxyType(
    {"rows": _rows, "patches": _patches, "stack": _stack, "bands": _bands}
)
