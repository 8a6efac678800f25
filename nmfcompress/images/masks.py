"""Masks: images or arrays in which 0 marks a missing pixel."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import InputError
from .archives import read_archive
from .files import display
from .limits import Limits
from .pictures import read_image
from .stacks import is_archive


def read_mask(path: str, shape: tuple[int, ...], limits: Limits) -> np.ndarray:
    """Read a mask for images of `shape`.

    Parameters
    ----------
    path : str
        A picture (any channel that is not 0 makes a pixel known) or an npy or npz array.
    shape : tuple of int
        (h, w), or (n, h, w) where one mask for each image is possible too.

    Returns
    -------
    array of bool, shape (h, w) or `shape`
        True = known.

    Raises
    ------
    InputError
        Unreadable, of another size, or nothing in it is known.
    """
    if is_archive(path):
        stack = read_archive(path, collection=False, limits=limits)
        values: Any
        limits.admit(stack.images.nbytes, f"{display(path)} as a mask")
        low, values = stack.levels.low, stack.images[0 if len(stack.images) == 1 else slice(None)]
        values = values.any(axis=-1) if values.shape[-1] == 3 and values.shape[-3:-1] == shape[-2:] else values
    else:
        picture = read_image(path, limits=limits)
        low, values = picture.levels.low, picture.pixels
        values = values.any(axis=-1) if values.ndim == 3 else values
    if values.shape not in (shape, shape[-2:]):
        sizes = f"{_size(values.shape)}, the pictures are {_size(shape)}"
        raise InputError(f"is a mask of {sizes}", display(path))
    known: np.ndarray = np.asarray(
        (values > 0) | (low > 0)
    )  # values above 0 that were scaled by their own range are no gaps
    if not known.any():
        raise InputError("is a mask without any known pixel (0 is missing)", display(path))
    return known


def _size(shape: tuple[int, ...]) -> str:
    """Width x height, and of how many, as everywhere in messages."""
    return f"{shape[-1]} x {shape[-2]}" + (f" for {shape[0]:,}" if len(shape) == 3 else "")
