"""Image(s) <-> V, exact inverses. Pure arrays.

rows   one image: its pixel rows are V's rows, colour channels side by side, so that they share W
stack  a collection: one image a row
"""

from __future__ import annotations

from typing import Any

import numpy as np


def arrange_rows(pixels: np.ndarray) -> np.ndarray:
    """(h, w) -> itself; (h, w, c) -> (h, c * w), one channel after the other."""
    if pixels.ndim == 2:
        return pixels
    h, w, c = pixels.shape
    return np.ascontiguousarray(pixels.transpose(0, 2, 1)).reshape(h, c * w)


def restore_rows(V: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The inverse of arrange_rows for pixels of `shape`; leading axes of V, such as one per part, are kept."""
    if len(shape) == 2:
        return V.reshape(*V.shape[:-2], *shape)
    h, w, c = shape
    return np.moveaxis(V.reshape(*V.shape[:-2], h, c, w), -2, -1)


def arrange_stack(images: Any) -> Any:
    """(n, h, w) or (n, h, w, c) -> (n, h * w * c), of an array or of what reshapes like one: images in a file."""
    return images.reshape(len(images), -1)


def restore_stack(V: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The inverse of arrange_stack for images of `shape` (h, w) or (h, w, c)."""
    return V.reshape(len(V), *shape)


def arrange_mask(mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A mask (h, w) for the pixels of one image, as a mask for V by rows."""
    return arrange_rows(np.repeat(mask[:, :, None], shape[2], axis=2) if len(shape) == 3 else mask)


def arrange_stack_mask(mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A mask (h, w) for every image, or (n, h, w) for each, as a mask for V by stack (broadcastable to it)."""
    if len(shape) == 3:
        mask = np.repeat(mask[..., None], shape[2], axis=-1)
    return mask.reshape(1 if mask.ndim == len(shape) else len(mask), -1)
