"""Which axis of an array counts the images, which are rows and columns, which holds the channels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ..errors import InputError, UsageError
from .doors import Array
from .levels import shape_text


@dataclass(frozen=True)
class Hints:
    """What is known of an array besides its shape.

    Parameters
    ----------
    name : str
        Its key, for messages.
    habit : int
        The axis that counts images where nothing else tells: 0, or -1 for MATLAB's files.
    axis : int, optional
        The axis that the user says counts images.
    order : {"C", "F"}
        How the pixels of an image lie: row by row, or column by column.
    count : int, optional
        How many labels came with it.
    named : bool
        Its name says that it is a collection ("x_train", "images").
    collection : bool
        The caller wants a collection: a table of numbers is one image a row, not a picture.
    """

    name: str
    habit: int = 0
    axis: int | None = None
    order: str = "C"
    count: int | None = None
    named: bool = False
    collection: bool = True


@dataclass
class LaidOut:
    """The images as views where possible, (n, h, w) or (n, h, w, 3), with what was assumed and what must be told."""

    images: Array
    single: bool = False
    assumed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def lay_out(values: Array, hints: Hints) -> LaidOut:
    """Bring an array to (n, h, w) or (n, h, w, 3).

    Raises
    ------
    InputError
        No reading fits its shape.
    UsageError
        `hints.axis` is not an axis of it.
    """
    what = f"{hints.name} ({shape_text(values.shape)}) {values.dtype.name}"
    if not 2 <= values.ndim <= 4:
        raise InputError(
            f"{what} has {values.ndim} dimensions, images need 2, 3 or 4 (choose another array with --key)"
        )
    if hints.axis is not None and not -values.ndim <= hints.axis < values.ndim:
        raise UsageError(f"--axis {hints.axis} is not an axis of {what}: from {-values.ndim} to {values.ndim - 1}")
    axis = _told_axis(values.shape, hints)
    out = (_table, _planes, _pictures)[values.ndim - 2](values, axis, hints)
    if hints.order == "F":
        out.images = out.images.swapaxes(1, 2)
    out.assumed.insert(0, f"{what}: {out.assumed.pop(0)}")
    return out


def unread(shape: tuple[int, ...], dtype: np.dtype[Any], fortran: bool) -> Array:
    """A stand-in for an array in a file, with its shape, type and strides but no values: only views may be taken."""
    steps = np.array(shape[::-1] if not fortran else shape, dtype=object)
    strides = [dtype.itemsize, *(int(step) for step in dtype.itemsize * np.cumprod(steps[:-1]))]
    return as_strided(np.empty(1, dtype), shape, strides if fortran else strides[::-1], writeable=False)


def _told_axis(shape: tuple[int, ...], hints: Hints) -> int | None:
    """The axis that the user or the labels say counts the images."""
    if hints.axis is not None:
        return hints.axis % len(shape)
    matches = [axis for axis, side in enumerate(shape) if side == hints.count]
    habit = hints.habit % len(shape)
    if len(matches) > 1 and habit in matches and len(shape) > 2:
        return habit
    return matches[0] if len(matches) == 1 else None


def _table(values: Array, axis: int | None, hints: Hints) -> LaidOut:
    """2-d: one image a row or a column, or a picture."""
    told = axis is not None or hints.named
    if axis is None:
        habit = hints.habit % 2
        fits = [a for a in (habit, 1 - habit) if _folds(values.shape[1 - a], hints.order)]
        axis = fits[0] if fits else habit
    count, pixels = values.shape[axis], values.shape[1 - axis]
    if not (told or hints.collection):
        out = LaidOut(values[np.newaxis], True, ["taken as one picture"])
        if _folds(pixels, hints.order):
            out.notes.append(
                f"{hints.name} ({shape_text(values.shape)}) taken as one picture; "
                f"--axis {axis} takes it as {count:,} pictures"
            )
        return out
    shape = _folds(pixels, hints.order)
    if shape is None:
        raise InputError(
            f"{hints.name} ({shape_text(values.shape)}): each image has {pixels:,} values, which make no "
            f"square picture; if it is not square, save the array as {count:,} x height x width"
        )
    rows = np.moveaxis(values, axis, 0)
    told_shape = f"axis {axis} counts the images, {pixels:,} values each are {shape_text(shape)}"
    images = rows.reshape(count, *shape)
    if shape[0] == 3:
        images = np.moveaxis(images, 1, 3)
    return LaidOut(images, False, [told_shape + (", column by column" if hints.order == "F" else "")])


def _folds(pixels: int, order: str) -> tuple[int, ...] | None:
    """The shape of an image of so many values: a square, or a square of three colours."""
    side = math.isqrt(pixels)
    if side * side == pixels:
        return side, side
    side = math.isqrt(pixels // 3)
    if 3 * side * side != pixels:
        return None
    # CIFAR's rows hold all red, then all green, then all blue; so do columns first, with the colour as the last side
    return (3, side, side) if pixels == 3072 or order == "F" else (side, side, 3)


def _planes(values: Array, axis: int | None, hints: Hints) -> LaidOut:
    """3-d: grey images, or one picture in colour."""
    height, width, last = values.shape
    if axis is None and not hints.named and last in (3, 4) and min(height, width) > 4:
        out = LaidOut(values[np.newaxis], True, ["taken as one picture in colour"])
        _keep_colours(out, hints.name)
        return out
    axis = hints.habit % 3 if axis is None else axis
    return LaidOut(np.moveaxis(values, axis, 0), False, [f"axis {axis} counts the images"])


def _pictures(values: Array, axis: int | None, hints: Hints) -> LaidOut:
    """4-d: images with channels, which are last or first."""
    for count_axis, channel_axis in _readings(values.shape, axis, hints.habit):
        images = np.moveaxis(np.moveaxis(values, count_axis, 0), channel_axis, 3)
        told = f"axis {count_axis} counts the images, channels {'last' if channel_axis == 3 else 'first'}"
        out = LaidOut(images, False, [told])
        _keep_colours(out, hints.name)
        return out
    raise InputError(
        f"{hints.name} ({shape_text(values.shape)}) has no axis of 1 to 4 channels where images have it: "
        "say with --axis which axis counts the images, or choose another array with --key"
    )


def _readings(shape: tuple[int, ...], axis: int | None, habit: int) -> Iterator[tuple[int, int]]:
    """The axis of the count and, without that one, the place of the channels: the likeliest first."""
    for count_axis in dict.fromkeys((habit % 4, 0)) if axis is None else (axis,):
        sides = shape[:count_axis] + shape[count_axis + 1 :]
        if sides[2] in (1, 3, 4):
            yield count_axis, 3
        if sides[0] in (1, 3):
            yield count_axis, 1
        if sides[2] == 2:
            yield count_axis, 3


def _keep_colours(out: LaidOut, name: str) -> None:
    """Leave out alpha, never without a word, and the axis of a single channel."""
    channels = out.images.shape[3]
    if channels in (2, 4):
        out.notes.append(f"{name}: alpha, the last of {channels} channels, is left out")
    out.images = out.images[..., 0] if channels < 3 else out.images[..., :3]
