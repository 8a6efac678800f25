"""Small collections and containers that several tests use."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
from campaigns.mutations import listed

from nmfcompress.codec.collection import encode_stack
from nmfcompress.codec.container import MODES, VERSION
from nmfcompress.codec.header import Meta
from nmfcompress.codec.image import encode_image

PEAKS = {"uint8": 255.0, "uint16": 65535.0, "float32": 1.0, "float64": 1.0}


def collection(n: int, side: int = 6, parts: int = 3, dtype: str = "uint8", colour: bool = False) -> np.ndarray:
    """Pictures that are sums of a few shared parts, which some have and some do not."""
    rng = np.random.default_rng(7)
    shape = (side, side, 3) if colour else (side, side)
    H = rng.random((parts, *shape)) ** 3
    codes = (rng.random((n, parts)) < 0.4) * rng.integers(1, 3, (n, parts))
    V = np.clip(np.tensordot(codes, H, 1) * 0.5, 0, 1)
    return as_type(V, dtype)


def picture(h: int = 20, w: int = 16, dtype: str = "uint8", colour: bool = False) -> np.ndarray:
    """A smooth picture with an edge."""
    y, x = np.mgrid[:h, :w]
    V = 0.5 + 0.3 * np.sin(x / 5) * np.cos(y / 4) + 0.2 * (x > y)
    if colour:
        V = np.stack([V, V[::-1], V**2], axis=2)
    return as_type(np.clip(V, 0, 1), dtype)


def as_type(V: np.ndarray, dtype: str) -> np.ndarray:
    return (np.rint(V * PEAKS[dtype]) if PEAKS[dtype] > 1 else V).astype(dtype)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    error = float(np.square(a.astype(float) - b.astype(float)).mean())
    return 10 * np.log10(PEAKS[a.dtype.name] ** 2 / error) if error else np.inf


@cache
def rows_file() -> bytes:
    return encode_image(picture(), rank=3)


@cache
def stack_file() -> bytes:
    return encode_stack(collection(30), rank=4, arrangement="stack")


@cache
def meta_file() -> bytes:
    n = 12
    meta = Meta(names=tuple(f"{i}.png" for i in range(n)), labels=np.arange(n) % 3, indices=np.arange(n) * 2)
    return encode_stack(collection(n), rank=2, arrangement="stack", meta=meta)


FILES = {"rows": rows_file, "stack": stack_file, "meta": meta_file}


def assembled(sections: Mapping[int, bytes], mode: int = MODES.index("stack"), version: int = VERSION) -> bytes:
    """A file of these sections as they stand, its checksums right, whatever the sections are."""
    return listed(list(sections.items()), mode, version)
