"""Planes <-> bands: patches of 8, 16 or 32 pixels a side as sums of cosine atoms, all seen as cells of 8 x 8.

A plane's cell is 8 x 8 pixels. Coefficient (U, V) of a patch of a x b cells lies in band (U // a, V // b), at cell
(U % a, V % b) of its cells: so every cell has 64 bands, whatever the patch, and like frequencies meet like. What
band (0, 0) holds is turned into the cells' means (times 8) by the inverse transform of a x b: the plane of means, which
is a plane itself.

A cosine atom c is the difference of two non-negative ones, max(c, 0) and max(-c, 0), of which a code of sign s takes
one: the parts are as non-negative as the codes.

Arithmetic that a decoder repeats is on whole numbers held in float64, all far below 2**53: exact in any order.
"""

from __future__ import annotations

from functools import cache

import numpy as np

CELL = 8
SHAPES = ((1, 1), (2, 2), (4, 4), (2, 1), (1, 2), (4, 2), (2, 4))  # of patches: cells down and across
PLACES = (0, 1, 5, 21, 23, 25, 33)  # numbers of their first cells, all counted through
FINE = 256  # units a grey level (of 8 bits)
SCALE = 65536  # of the integer atoms
SLOPE, BEND = 32, 8  # of 256: how far neighbouring means foretell the first two cosines across a cell


@cache
def cosines(n: int) -> np.ndarray:
    """The orthonormal DCT-II, (n, n): row i is the cosine of frequency i."""
    i, x = np.arange(n)[:, None], np.arange(n)[None, :]
    basis: np.ndarray = np.cos(np.pi * i * (2 * x + 1) / (2 * n)) * np.sqrt(np.where(i == 0, 1, 2) / n)
    return basis


@cache
def whole_cosines(n: int) -> np.ndarray:
    """The same, times SCALE, rounded: whole numbers in float64."""
    whole: np.ndarray = np.rint(cosines(n) * SCALE)
    return whole


def rounded(values: np.ndarray) -> np.ndarray:
    """Whole numbers divided by SCALE and rounded, halves upwards."""
    found: np.ndarray = np.floor(values / SCALE + 0.5)
    return found


def to_bands(plane: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Analyze a plane by patches of `shape` cells, which its sides are multiples of: bands (8, 8, h / 8, w / 8)."""
    n, m = CELL * shape[0], CELL * shape[1]
    blocks = plane.reshape(plane.shape[0] // n, n, plane.shape[1] // m, m).transpose(0, 2, 1, 3)
    coefficients = cosines(n) @ blocks @ cosines(m).T
    rows, columns = coefficients.shape[:2]
    split = coefficients.reshape(rows, columns, CELL, shape[0], CELL, shape[1]).transpose(2, 4, 0, 3, 1, 5)
    bands: np.ndarray = split.reshape(CELL, CELL, rows * shape[0], columns * shape[1])
    return bands


def to_mixed_bands(plane: np.ndarray, shapes: np.ndarray) -> np.ndarray:
    """Analyze a plane by patches of which `shapes` (h, w) are the numbers in SHAPES."""
    bands = np.empty((CELL, CELL, *shapes.shape))
    for number in np.unique(shapes):
        here = to_bands(plane, SHAPES[number])
        np.copyto(bands, here, where=shapes == number)
    return bands


def from_bands(bands: np.ndarray, shapes: np.ndarray) -> np.ndarray:
    """Add up the atoms: bands of whole numbers (8, 8, h, w), numbers of the cells' patches in SHAPES (h, w).

    Returns the plane (8 h, 8 w), whole numbers in float64.
    """
    h, w = shapes.shape
    plane = np.empty((h * CELL, w * CELL))
    for number in np.unique(shapes):
        ky, kx = SHAPES[number]
        n, m, chosen = CELL * ky, CELL * kx, shapes[::ky, ::kx] == number
        split = bands.reshape(CELL, CELL, h // ky, ky, w // kx, kx).transpose(2, 4, 0, 3, 1, 5)
        blocks = split[chosen].reshape(-1, m)
        half = rounded(blocks @ whole_cosines(m)).reshape(-1, n, m).transpose(0, 2, 1)
        pixels = rounded(half.reshape(-1, n) @ whole_cosines(n)).reshape(-1, m, n).transpose(0, 2, 1)
        plane.reshape(h * CELL // n, n, w * CELL // m, m).transpose(0, 2, 1, 3)[chosen] = pixels
    return plane


def to_means(corner: np.ndarray, shapes: np.ndarray) -> np.ndarray:
    """What band (0, 0) holds (h, w), as 8 times the means of cells (for patches of one cell it is that)."""
    means = corner.copy()
    for number in np.unique(shapes):
        ky, kx = SHAPES[number]
        chosen = shapes[::ky, ::kx] == number
        _cells(means, ky, kx)[chosen] = cosines(ky).T @ _cells(corner, ky, kx)[chosen] @ cosines(kx)
    return means


def from_means(means: np.ndarray, shapes: np.ndarray) -> np.ndarray:
    """The inverse of `to_means` on whole numbers."""
    corner = means.copy()
    for number in np.unique(shapes):
        ky, kx = SHAPES[number]
        old = _cells(means, ky, kx)[shapes[::ky, ::kx] == number]
        new = rounded(rounded(whole_cosines(ky) @ old) @ whole_cosines(kx).T)
        _cells(corner, ky, kx)[shapes[::ky, ::kx] == number] = new
    return corner


def _cells(values: np.ndarray, ky: int, kx: int) -> np.ndarray:
    """A view of cells (h, w) as (rows, columns, ky, kx)."""
    h, w = values.shape
    return values.reshape(h // ky, ky, w // kx, kx).transpose(0, 2, 1, 3)


def smooth_part(means: np.ndarray) -> np.ndarray:
    """What the means around a cell foretell of its first bands, for patches of one cell: (3, 3, h, w), [0, 0] not used.

    A parabola through three means in each direction, shrunk as pictures are rougher than that; compare the prediction
    of AC coefficients in annex K.8 of ITU-T T.81.
    """
    across = _along(np.pad(means, 1, mode="edge"), 1)
    return np.floor(np.stack([_along(a, 0) for a in across], axis=1) / 65536 + 0.5)


def _along(wide: np.ndarray, axis: int) -> np.ndarray:
    n = wide.shape[axis] - 2
    a, b, c = (np.take(wide, range(i, i + n), axis=axis) for i in range(3))
    return np.stack([256 * b, SLOPE * (a - c), BEND * (a + c - 2 * b)])
