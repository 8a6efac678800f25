"""Containers for the tests of the commands that read them, quickly made."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from commands import tones

from nmfcompress import encode_image
from nmfcompress.codec.collection import coded_stack
from nmfcompress.codec.header import Header, Meta
from nmfcompress.codec.image import coded_image
from nmfcompress.settings import Coding


def images(count: int = 12, size: tuple[int, int] = (12, 10), channels: int = 1) -> np.ndarray:
    """A collection of like pictures, uint8."""
    return np.stack([tones(size[1], size[0], channels, seed) for seed in range(count)])


@cache
def _stack(count: int, kind: str, arrangement: str, channels: int, low: float, high: float) -> bytes:
    pixels = _typed(images(count, channels=channels), kind)
    header = Header(pixels.shape, pixels.dtype, low, high)
    return coded_stack(pixels, Coding(4, arrangement=arrangement), None, header).data


def _typed(pixels: np.ndarray, kind: str) -> np.ndarray:
    if kind == "uint8":
        return pixels
    return pixels.astype(np.uint16) * 257 if kind == "uint16" else (pixels / 255).astype(kind)


def stack(
    path: Path, count: int = 12, kind: str = "uint8", arrangement: str = "stack", channels: int = 1,
    meta: Meta | None = None, range_: tuple[float, float] = (0.0, 1.0),
) -> bytes:  # fmt: skip
    """Write a collection; its bytes."""
    data = _stack(count, kind, arrangement, channels, *range_)
    if meta is not None:
        data = with_meta(data, meta)
    path.write_bytes(data)
    return data


def single(
    path: Path, kind: str = "uint8", channels: int = 1, meta: Meta | None = None,
    range_: tuple[float, float] = (0.0, 1.0), size: tuple[int, int] = (12, 10),
) -> bytes:  # fmt: skip
    """Write one picture, by its rows; the bytes."""
    pixels = _typed(tones(size[1], size[0], channels), kind)
    header = Header((1, *pixels.shape), pixels.dtype, *range_, single=True)
    data = coded_image(pixels, Coding(3), meta, header).data
    path.write_bytes(data)
    return data


def coded(pixels: np.ndarray, rank: int = 3) -> bytes:
    """Any one picture, from Python."""
    return encode_image(pixels, rank=rank)


def with_meta(data: bytes, meta: Meta) -> bytes:
    """The same pictures with other things beside them."""
    from nmfcompress.codec.container import pack, unpack

    container = unpack(data)
    return pack(container.mode, container.sections | {"meta": meta.pack()})
