"""A small convolutional network that mends what quantizing did to a decoded picture, in whole numbers.

It works on 2 x 2 pixels of luma and one of blue and red chroma at a time, in steps of the quantizer, and knows where
patches meet. What it adds to luma and to chroma of full size was learned from photographs (patch_tables.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .patch_blocks import FINE, SHAPES
from .patch_nets import level_of, tables

UNIT = 16  # of an input or an inner value, a step
WEIGHT = 64
REACH = 3  # half the box whose mean is taken off the inputs
MOST = 127
TILE = 4096


def inputs(planes: Sequence[np.ndarray], shapes: np.ndarray, step: int) -> np.ndarray:
    """What the network sees: float32 (10, h / 2, w / 2), whole numbers.

    These are the four pixels of 2 x 2 of luma, blue, red (each less the mean of the 7 x 7 around, of luma that of the
    means of 2 x 2), and whether a patch of luma begins or ends here, across; begins or ends, down.

    Parameters
    ----------
    planes : sequence of arrays
        Luma (h, w), and two or no half planes: whole units of 1 / FINE.
    shapes : array of int
        Numbers in SHAPES of the patches of luma, for each of its cells.
    step : int
        Of luma, in 1 / 65536 grey level.
    """
    luma = planes[0]
    h, w = (-(-side // 2) for side in luma.shape)
    luma = np.pad(luma, ((0, 2 * h - luma.shape[0]), (0, 2 * w - luma.shape[1])), mode="edge")
    found = np.zeros((10, h, w), dtype=np.float32)
    quarters = luma.reshape(h, 2, w, 2).transpose(1, 3, 0, 2).reshape(4, h, w)
    base = _box(np.floor(quarters.sum(axis=0) / 4))
    found[:4] = _scaled(quarters - base, step)
    for i, plane in enumerate(planes[1:]):
        found[4 + i] = _scaled(plane - _box(plane), step)
    shapes = shapes[: -(-h // 4), : -(-w // 4)]
    down, across = np.array(SHAPES).T[:, shapes]
    first, last = np.zeros((2, 2, *shapes.shape), bool)
    for i, (at, k) in enumerate(zip(np.indices(shapes.shape)[::-1], (across, down), strict=True)):
        first[i], last[i] = at % k == 0, at % k == k - 1
    for i, (mark, offset, axis) in enumerate(((first[0], 0, 2), (last[0], 3, 2), (first[1], 0, 1), (last[1], 3, 1))):
        wide = np.repeat(np.repeat(mark, 4, axis=0), 4, axis=1)[:h, :w]
        here = (np.arange(w) % 4 == offset)[None, :] if axis == 2 else (np.arange(h) % 4 == offset)[:, None]
        found[6 + i] = UNIT * (wide & here)
    return found


def _scaled(values: np.ndarray, step: int) -> np.ndarray:
    """Values in 1 / UNIT of a step, rounded, halves upwards; in the type of integers, whose division is exact."""
    doubled = (2 * UNIT * (65536 // FINE) * values).astype(np.int64)
    found: np.ndarray = np.clip((doubled + step) // (2 * step), -MOST, MOST)
    return found


def _box(plane: np.ndarray) -> np.ndarray:
    """The mean of 7 x 7 around, rounded down."""
    n = 2 * REACH + 1
    for axis in (0, 1):
        pads = [(0, 0), (0, 0)]
        pads[axis] = (REACH + 1, REACH)
        sums = np.cumsum(np.pad(plane, pads, mode="edge"), axis=axis)
        plane = np.take(sums, range(n, sums.shape[axis]), axis=axis) - np.take(
            sums, range(sums.shape[axis] - n), axis=axis
        )
    return np.floor(plane / (n * n))


def mend(planes: Sequence[np.ndarray], shapes: np.ndarray, step: int) -> np.ndarray:
    """What to add, in 1 / 1024 steps: float32 (12, h / 2, w / 2), whole numbers; 2 x 2 of luma, then blue, then red."""
    x = inputs(planes, shapes, step)
    level = np.float32(level_of(step))
    for i, layer in enumerate(tables().layers):
        last = i == len(tables().layers) - 1
        bias = layer.bias + layer.by_level * level
        x = _convolve(x, layer.weights, bias, layer.spread)
        if not last:
            np.clip(np.floor(x * np.float32(1 / WEIGHT), out=x), 0, 255, out=x)
    return x


def _convolve(x: np.ndarray, weights: np.ndarray, bias: np.ndarray, spread: int) -> np.ndarray:
    """3 x 3 taps `spread` apart, zeros around: x (c, h, w), weights (9, c, o) -> (o, h, w)."""
    c, h, w = x.shape
    wide = np.pad(x, ((0, 0), (spread, spread + 1), (spread, spread))).reshape(c, -1)
    line = w + 2 * spread
    steps = [dy * spread * line + dx * spread for dy in range(3) for dx in range(3)]
    matrix = np.ascontiguousarray(weights.reshape(9 * c, -1).T)
    found = np.empty((matrix.shape[0], h * line), dtype=np.float32)
    patch = np.empty((9 * c, TILE), dtype=np.float32)
    for first in range(0, h * line, TILE):
        n = min(TILE, h * line - first)
        for i, step in enumerate(steps):
            patch[i * c : (i + 1) * c, :n] = wide[:, first + step : first + step + n]
        np.matmul(matrix, patch[:, :n], out=found[:, first : first + n])
    found += bias[:, None]
    return np.ascontiguousarray(found.reshape(-1, h, line)[:, :, :w])
