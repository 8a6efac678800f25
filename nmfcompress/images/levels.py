"""What pixel values mean: the scale between an array as stored and 0..1.

uint8 and uint16 keep their type (a solver scales them block by block); floats within 0..1 stay as they
are; every other array is scaled by its own minimum and maximum, which are kept here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import InputError


@dataclass(frozen=True)
class Levels:
    """How stored values map to 0..1: `low` is 0, `high` is 1.

    Parameters
    ----------
    dtype : str
        The NumPy type of the values as stored, native byte order ("uint8", "float32", "int16" ...).
    low, high : float
        0 and 255 for uint8, 0 and 65535 for uint16, 0 and 1 for floats within it, else the data's own range.
    """

    dtype: str
    low: float
    high: float

    @property
    def own(self) -> bool:
        """True when the data's own minimum and maximum were the scale: worth a note."""
        return (self.low, self.high) not in ((0, 255), (0, 65535), (0, 1))


def to_levels(values: np.ndarray) -> tuple[np.ndarray, Levels]:
    """Bring any real array to uint8, uint16 or floats within 0..1.

    Parameters
    ----------
    values : array of bool, integers or floats
        uint8 and uint16 (of any byte order) come back as they are, natively ordered and unscaled; bool as
        uint8 0 or 255; floats within 0..1 as float32 or float64; others as floats scaled by their own
        minimum and maximum.

    Raises
    ------
    InputError
        Nothing in it, NaN or infinite, negative, or not real numbers (object, text, complex, dates).
    """
    kind = values.dtype.kind
    if kind not in "biuf":
        raise InputError(f"holds values of type {values.dtype.name}, expected real numbers (uint8, uint16, float ...)")
    if values.size == 0:
        raise InputError(f"is empty: its shape is {shape_text(values.shape)}")
    if values.dtype.itemsize > 8:
        raise InputError(f"holds values of type {values.dtype.name}, at most 64 bits are read")
    native = values.dtype.newbyteorder("=")
    if kind == "b":
        return values.astype(np.uint8) * np.uint8(255), Levels("bool", 0, 255)
    if native in (np.dtype(np.uint8), np.dtype(np.uint16)):
        return values.astype(native, copy=False), Levels(native.name, 0, 255 if native.itemsize == 1 else 65535)
    low, high = values.min(), values.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        wrong = ~np.isfinite(values)
        first = ", ".join(str(i) for i in np.unravel_index(int(np.argmax(wrong)), values.shape))
        raise InputError(f"has {int(wrong.sum()):,} NaN or infinite values, the first at ({first})")
    if low < 0:
        raise InputError(f"has negative values (lowest {float(low):g}), NMF needs values >= 0")
    work = np.dtype(np.float64) if native.itemsize == 8 and kind == "f" else np.dtype(np.float32)
    if kind == "f" and high <= 1:
        return values.astype(work, copy=False), Levels(native.name, 0.0, 1.0)
    levels = Levels(native.name, float(low), float(high))
    if low == high:
        return np.ones(values.shape, work) if high > 0 else np.zeros(values.shape, work), levels
    scaled: np.ndarray = np.empty(values.shape, work)
    slab = max(1, 2**20 // max(values[:1].size, 1))  # float64 only a slab at a time
    for start in range(0, len(values), slab):
        part = values[start : start + slab].astype(np.float64)
        scaled[start : start + slab] = (part - levels.low) / (levels.high - levels.low)
    return scaled, levels


def shape_text(shape: tuple[int, ...]) -> str:
    """(60000, 28, 28) -> '60,000 x 28 x 28'."""
    return " x ".join(f"{side:,}" for side in shape) or "a single number"


def to_pixels(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Values around 0..1, rounded and clipped to pixels of `dtype`: uint8, uint16, or floats within 0..1."""
    top = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}.get(np.dtype(dtype))
    if top is None:
        unit: np.ndarray = np.clip(values, 0, 1).astype(dtype, copy=False)
        return unit
    scaled: np.ndarray = values * values.dtype.type(top)
    np.clip(np.rint(scaled, out=scaled), 0, top, out=scaled)
    return scaled.astype(dtype)
