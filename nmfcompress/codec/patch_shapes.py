"""Shapes of patches: which pay, and how they are told.

A square of 4 x 4 cells is one patch, or two halves, or four squares of 2 x 2 cells; of these, each is one patch, or two
halves, or four patches of one cell.
"""

from __future__ import annotations

import numpy as np

from .entropy import Coder
from .patch_blocks import FINE, SHAPES, smooth_part, to_bands
from .patch_nets import ACTIVITIES, tables, zeros_of

LARGEST = 4  # cells a side of the largest patch
SPLITS = ((4, 2, 5, 6), (2, 1, 3, 4))  # cells a side; numbers in SHAPES of the whole, and of tall and wide halves


def code_shapes(coder: Coder, slopes: np.ndarray, given: np.ndarray | None) -> np.ndarray:
    """Code the numbers in SHAPES of the cells' patches (h, w).

    For all squares of 4 x 4 cells, then for those of 2 x 2 that are asked: is it split (first where row + column is
    even)? For those that are: in halves? For those: wide ones?

    Parameters
    ----------
    slopes : array, shape (5, h, w)
        How rough the means are (patch_planes.py); the context is the roughest cell's.
    given : array of int, shape (h, w), optional
        For an encoder.
    """
    shapes = np.zeros(slopes.shape[1:], dtype=np.int64)
    asked = shapes[::LARGEST, ::LARGEST] == 0
    for k, whole, tall, wide in SPLITS:
        h, w = asked.shape
        rough = slopes.reshape(5, h, k, w, k).max(axis=(2, 4)).astype(np.int64)
        context = np.minimum(rough[2:].sum(axis=0) // 4, ACTIVITIES - 1)
        lean = 1 + np.sign(rough[0] + rough[2] - rough[1] - rough[3]) + 3 * (context // 4)
        wanted, odds = None if given is None else given[::k, ::k], tables().splits[k // 4]
        split = np.zeros((h + 2, w + 2), dtype=np.int64)
        inner, (y, x) = split[1:-1, 1:-1], np.indices((h, w))
        for phase in (0, 1):
            at = asked & ((y + x) % 2 == phase)
            beside = split[1:-1, :-2] + split[1:-1, 2:] + split[:-2, 1:-1] + split[2:, 1:-1]
            row = ((1 + (beside > 2)) * phase)[at]
            inner[at] = _ask(coder, odds[row, context[at]], None if wanted is None else wanted[at] != whole)
        two = asked & (inner == 1)
        two[two] = _ask(coder, odds[3, context[two]], None if wanted is None else np.isin(wanted[two], (tall, wide)))
        four = asked & (inner == 1) & ~two
        found = np.full((h, w), whole)
        across = _ask(coder, odds[4, lean[two]], None if wanted is None else wanted[two] == wide)
        found[two] = np.where(across, wide, tall)
        filled = _enlarged(asked & ~four, k)
        shapes[filled] = _enlarged(found, k)[filled]
        asked = _enlarged(four, 2)
    return shapes


def _ask(coder: Coder, odds: np.ndarray, wanted: np.ndarray | None) -> np.ndarray:
    found: np.ndarray = coder.bits(None if wanted is None else wanted[None], zeros_of(odds)[None])[0]
    return found


def _enlarged(values: np.ndarray, k: int) -> np.ndarray:
    return np.repeat(np.repeat(values, k, axis=0), k, axis=1)


def choose_shapes(plane: np.ndarray, step: float, price: float) -> np.ndarray:
    """Which patches cost least, for squared error and bits together: numbers in SHAPES (h, w).

    A coefficient of t steps costs t^2 if its code is 0, else about 5 + 2 log2(t) bits and what rounding leaves.

    Parameters
    ----------
    plane : array of float, shape (8 h, 8 w)
    step : float
        In the plane's units.
    price : float
        Of a bit, in squared steps.
    """
    costs = []
    for a, b in SHAPES:
        t = to_bands(plane, (a, b)) / step
        if (a, b) == (1, 1):
            t[:3, :3] -= smooth_part(t[0, 0] * FINE) / FINE
        t[0, 0] = 0
        t = np.abs(t)
        cost = np.minimum(t**2, price * (5 + 2 * np.log2(np.maximum(t, 1))) + 0.08).sum(axis=(0, 1))
        costs.append(_merged(cost, a, b) + price)
    best, found = costs[0], np.zeros(costs[0].shape, dtype=np.int64)
    for k, whole, tall, wide in reversed(SPLITS):
        halves = [_merged(costs[i], k // SHAPES[i][0], k // SHAPES[i][1]) + 3 * price for i in (tall, wide)]
        parts = [_merged(best, 2, 2), costs[whole], *halves]
        pick, best = np.argmin(parts, axis=0), np.min(parts, axis=0)
        filled = _enlarged(pick > 0, k)
        found[filled] = _enlarged(np.array([0, whole, tall, wide])[pick], k)[filled]
    return found


def _merged(cost: np.ndarray, a: int, b: int) -> np.ndarray:
    h, w = cost.shape
    merged: np.ndarray = cost.reshape(h // a, a, w // b, b).sum(axis=(1, 3))
    return merged
