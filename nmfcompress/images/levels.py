"""What pixel values mean: the scale between an array as stored and 0..1.

uint8 and uint16 keep their type (a solver scales them block by block); floats within 0..1 stay as they
are; every other array is scaled by its own minimum and maximum, which are kept here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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


def to_levels(values: np.ndarray, *, stack: bool = False) -> tuple[np.ndarray, Levels]:
    """Bring any real array to uint8, uint16 or floats within 0..1.

    Parameters
    ----------
    values : array of bool, integers or floats
        uint8 and uint16 (of any byte order) come back as they are, natively ordered and unscaled; bool as
        uint8 0 or 255; floats within 0..1 as float32 or float64; others as floats scaled by their own
        minimum and maximum.
    stack : bool
        Its first axis counts images, for the message.

    Raises
    ------
    InputError
        Nothing in it, NaN or infinite, negative, or not real numbers (object, text, complex, dates).
    """
    if values.size == 0:
        raise InputError(f"is empty: its shape is {shape_text(values.shape)}")
    levels = own_levels(values.dtype) or find_levels(_slabs(values), stack=stack)
    return apply_levels(values, levels), levels


def own_levels(dtype: np.dtype) -> Levels | None:
    """The levels that a type has by itself (bool, uint8, uint16); None where its values decide.

    Raises
    ------
    InputError
        Values of this type are no real numbers, or of more than 64 bits.
    """
    if dtype.kind not in "biuf":
        raise InputError(f"holds values of type {dtype.name}, expected real numbers (uint8, uint16, float ...)")
    if dtype.itemsize > 8:
        raise InputError(f"holds values of type {dtype.name}, at most 64 bits are read")
    name = dtype.newbyteorder("=").name
    top = {"bool": 255, "uint8": 255, "uint16": 65535}.get(name)
    return None if top is None else Levels(name, 0, top)


def find_levels(pieces: Iterable[np.ndarray], *, stack: bool = False) -> Levels:
    """The levels of values whose type has none by itself, from one look at each of `pieces` along the first axis.

    Raises
    ------
    InputError
        NaN, infinite or negative values.
    """
    name, low, high, done, wrong, first, below = "", np.inf, -np.inf, 0, 0, "", ""
    for piece in pieces:
        name = piece.dtype.newbyteorder("=").name
        least, most = piece.min(), piece.max()
        if np.isfinite(least) and np.isfinite(most):
            low, high = min(low, least.item()), max(high, most.item())
            below = below or (_place(piece < 0, done, stack) if least < 0 else "")
        else:
            odd = ~np.isfinite(piece)
            first = first or _place(odd, done, stack)
            wrong += int(odd.sum())
        done += len(piece)
    if wrong:
        raise InputError(f"has {wrong:,} NaN or infinite values, the first {first}")
    if low < 0:
        raise InputError(f"has negative values (lowest {float(low):g}, the first {below}), NMF needs values >= 0")
    if np.dtype(name).kind == "f" and high <= 1:
        return Levels(name, 0.0, 1.0)
    return Levels(name, float(low), float(high))


def _place(odd: np.ndarray, before: int, stack: bool) -> str:
    """Where the first True of `odd` is, `before` entries of whose first axis were seen already."""
    first, *within = (int(i) for i in np.unravel_index(int(np.argmax(odd)), odd.shape))
    if stack:
        return f"in image {first + before:,} at ({', '.join(map(str, within))})"
    return f"at ({', '.join(map(str, [first + before, *within]))})"


def working_type(dtype: np.dtype) -> np.dtype:
    """The type that values of `dtype` have on 0..1: uint8 and uint16 stay, float64 is float64, all else float32."""
    if own_levels(dtype) is not None:
        return np.dtype(np.uint8) if dtype.kind == "b" else dtype.newbyteorder("=")
    return np.dtype(np.float64) if dtype.kind == "f" and dtype.itemsize == 8 else np.dtype(np.float32)


def apply_levels(values: np.ndarray, levels: Levels) -> np.ndarray:
    """Values of the type that `levels` name, all or a part of them, on the scale that `to_levels` brings them to."""
    work = working_type(values.dtype)
    if values.dtype.kind == "b":
        return values.astype(np.uint8) * np.uint8(255)
    if work.kind == "u" or (values.dtype.kind == "f" and (levels.low, levels.high) == (0, 1)):
        return values.astype(work, copy=False)
    if levels.low == levels.high:
        return np.full(values.shape, 1 if levels.high > 0 else 0, work)
    scaled: np.ndarray = np.empty(values.shape, work)
    done = 0
    for part in _slabs(values):  # float64 only a slab at a time
        scaled[done : done + len(part)] = (part.astype(np.float64) - levels.low) / (levels.high - levels.low)
        done += len(part)
    return scaled


def _slabs(values: np.ndarray) -> Iterator[np.ndarray]:
    step = max(1, 2**20 // max(values[:1].size, 1))
    return (values[start : start + step] for start in range(0, len(values), step))


def shape_text(shape: tuple[int, ...]) -> str:
    """(60000, 28, 28) -> '60,000 x 28 x 28'."""
    return " x ".join(map(count_text, shape)) or "a single number"


def count_text(number: int) -> str:
    """60000 -> '60,000'; what a header says may have hundreds of digits, which are no number to anyone."""
    return f"{number:,}" if abs(number) < 10**20 else "over 10^20"


def to_pixels(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Values around 0..1, rounded and clipped to pixels of `dtype`: uint8, uint16, or floats within 0..1."""
    top = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}.get(np.dtype(dtype))
    if top is None:
        unit: np.ndarray = np.clip(values, 0, 1).astype(dtype, copy=False)
        return unit
    scaled: np.ndarray = values * values.dtype.type(top)
    np.clip(np.rint(scaled, out=scaled), 0, top, out=scaled)
    return scaled.astype(dtype)
