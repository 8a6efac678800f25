"""Planes <-> decisions: the means, the means of means and so on, last ones first; shapes of patches; codes.

A plane of pixels, padded by its last row and column to whole squares of 32 pixels, has a plane of means, one value a
cell; padded to whole cells this has one too, up to a plane of one value, which is sent as it is. Each level is put
together from the one above and codes: band (0, 0) is the means; the first bands of patches of one cell are foretold by
a smooth surface through the means; the rest is codes times the step. All are written once, for a writer and a reader.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .adaptive import AdaptiveIntegers
from .entropy import Coder
from .patch_blocks import (
    CELL,
    FINE,
    PLACES,
    SHAPES,
    from_bands,
    from_means,
    smooth_part,
    to_bands,
    to_means,
    to_mixed_bands,
)
from .patch_model import MARGIN, Canvas, Chooser, Layout, band_mask, code_canvas, size_of
from .patch_nets import level_of
from .patch_shapes import LARGEST, choose_shapes, code_shapes

BEYOND = 2.0**40  # units that only a damaged file reaches: nothing overflows after that
STEPS = (16, 8, 9)  # of luma, blue and red chroma, in 1/16 of the step: a pixel of chroma is seen four times


@dataclass(frozen=True)
class Level:
    """A plane of a pyramid: `h` x `w` values, padded to `rows` x `columns` cells."""

    h: int
    w: int
    unit: int

    @property
    def rows(self) -> int:
        return -(-self.h // (CELL * self.unit)) * self.unit

    @property
    def columns(self) -> int:
        return -(-self.w // (CELL * self.unit)) * self.unit


def pyramid(h: int, w: int) -> list[Level]:
    """The plane itself, its plane of means, the means of that ... up to one of a single cell."""
    levels = [Level(h, w, LARGEST)]
    while levels[-1].rows * levels[-1].columns > 1:
        levels.append(Level(levels[-1].rows, levels[-1].columns, 1))
    return levels


@dataclass(frozen=True)
class Source:
    """What an encoder knows: planes of floats in grey levels, and the price of a bit in squared steps."""

    planes: Sequence[np.ndarray]
    price: float


def padded(values: np.ndarray, level: Level) -> np.ndarray:
    h, w = values.shape
    return np.pad(values, ((0, level.rows * CELL - h), (0, level.columns * CELL - w)), mode="edge")


def slopes(means: np.ndarray, step: int) -> np.ndarray:
    """How rough means are around each cell, in steps, on the scale of size_of: (5, h, w)."""
    m = np.pad(means, 1, mode="edge")
    left, right, up, down = m[1:-1, :-2], m[1:-1, 2:], m[:-2, 1:-1], m[2:, 1:-1]
    twice = 2 * means
    cross = m[:-2, :-2] + m[2:, 2:] - m[:-2, 2:] - m[2:, :-2]
    found = np.stack([right - left, down - up, right + left - twice, up + down - twice, cross])
    return size_of(np.abs(found) * (65536 // FINE) // step)


@dataclass(frozen=True)
class Decoded:
    """Planes as decoded, in whole units of 1 / FINE, and the shapes of the first one's patches."""

    planes: list[np.ndarray]
    shapes: np.ndarray


def values_of(codes: np.ndarray, step: int) -> np.ndarray:
    """Codes times `step` (of 1 / 65536 grey level), in whole units of 1 / FINE."""
    found: np.ndarray = np.floor(codes.astype(np.float64) * step / (65536 // FINE) + 0.5)
    return found


def code_planes(
    coder: Coder,
    shapes: Sequence[tuple[int, int]],
    step: int,
    bands: int,
    source: Source | None,
    keep: int = 64,
) -> Decoded:
    """Code one plane, or three of which the second and third are alike in shape.

    Parameters
    ----------
    step : int
        Of luma, in 1 / 65536 grey level.
    bands : int
        Coded of each patch, 1 to 64.
    source : Source, optional
        For an encoder.
    keep : int
        Bands of each patch that are shown.
    """
    state = [
        _Plane(pyramid(*shape), step * part // 16, i)
        for i, (shape, part) in enumerate(zip(shapes, STEPS, strict=False))
    ]
    if source is not None:
        for plane, values in zip(state, source.planes, strict=True):
            plane.analyze(values, source.price)
    top = AdaptiveIntegers(1)
    for plane in state:
        given = None if plane.analysis is None else np.rint(plane.analysis[-1][0, 0].ravel() * 65536 / plane.step)
        given = None if given is None else given.astype(np.int64)
        code = top.code(coder, given, np.zeros(1, dtype=np.int64))
        plane.means = np.clip(values_of(code, plane.step), -BEYOND, BEYOND).reshape(1, 1)
    for depth in range(max(len(plane.levels) for plane in state) - 1, 0, -1):
        some = [plane for plane in state if len(plane.levels) > depth]
        together = [some] if depth > 1 else [some[:1], some[1:]]
        for i, planes in enumerate(together):
            if planes:
                _code_level(coder, planes, depth, "means", source, 64, 64, state[0] if i else None)
    for plane in state:
        given = None if plane.analysis is None else plane.shapes
        plane.shapes = code_shapes(coder, slopes(plane.means, plane.step), given)
    _code_level(coder, state[:1], 0, "luma", source, bands, keep)
    if len(state) > 1:
        _code_level(coder, state[1:], 0, "chroma", source, bands, keep, state[0])
    return Decoded([plane.means for plane in state], state[0].shapes)


class _Plane:
    """A plane on its way: `means` is what is known of the level below the one that comes next."""

    def __init__(self, levels: list[Level], step: int, number: int):
        self.levels, self.step, self.number = levels, step, number
        self.means = np.zeros((1, 1))
        self.shapes = np.zeros((levels[0].rows, levels[0].columns), dtype=np.int64)
        self.analysis: list[np.ndarray] | None = None
        self.codes = np.zeros((8, 8, 1, 1), dtype=np.int32)

    def shapes_at(self, depth: int) -> np.ndarray:
        level = self.levels[depth]
        return np.zeros((level.rows, level.columns), dtype=np.int64) if depth else self.shapes

    def analyze(self, values: np.ndarray, price: float) -> None:
        values = padded(values, self.levels[0])
        self.shapes = choose_shapes(values, self.step / 65536, price)
        bands = to_mixed_bands(values, self.shapes)
        bands[0, 0] = to_means(bands[0, 0], self.shapes)
        self.analysis = [bands]
        for level in self.levels[1:]:
            self.analysis.append(to_bands(padded(self.analysis[-1][0, 0], level), SHAPES[0]))


def _code_level(
    coder: Coder,
    planes: list[_Plane],
    depth: int,
    nets: str,
    source: Source | None,
    bands: int,
    keep: int,
    guide: _Plane | None = None,
) -> None:
    """Code a level of some planes on one canvas, and put the level together."""
    h = max(plane.levels[depth].rows for plane in planes) + 2 * MARGIN
    w = sum(plane.levels[depth].columns + MARGIN for plane in planes) + MARGIN
    phase = np.full((h, w), -1)
    kind, place = np.zeros((2, h, w), dtype=np.int64)
    known = np.zeros((9, h, w), dtype=np.float32)
    targets = None if source is None else np.zeros((8, 8, h, w))
    views, smooths, left = [], [], MARGIN
    for i, plane in enumerate(planes):
        rows, columns = plane.levels[depth].rows, plane.levels[depth].columns
        view = (..., slice(MARGIN, MARGIN + rows), slice(left, left + columns))
        left += columns + MARGIN
        y, x = np.indices((rows, columns))
        shapes, step = plane.shapes_at(depth), plane.step
        phase[view] = (y + x) % 2 + (2 * i if guide is not None else 0)
        kind[view] = plane.number + 3 * min(depth, 2)
        place[view] = np.choose(shapes, [at + y % a * b + x % b for at, (a, b) in zip(PLACES, SHAPES, strict=True)])
        known[0][view] = level_of(step)
        known[1:6][view] = slopes(plane.means, step)
        if guide is not None:
            known[6:][view] = _guide(guide, rows, columns)
        smooth = smooth_part(plane.means) * (shapes == 0)
        if targets is not None:
            assert plane.analysis is not None  # noqa: S101
            targets[view] = plane.analysis[depth] * (65536 / step)
            targets[:3, :3][view] -= smooth * (65536 / FINE / step)
        views.append(view)
        smooths.append(smooth)
    twin = planes[0].levels[depth].columns + MARGIN if guide is not None else 0
    canvas = Canvas(Layout(phase, kind, place, known, twin))
    chooser = None if source is None or targets is None else Chooser(targets * band_mask(bands), source.price)
    codes = code_canvas(coder, canvas, nets, chooser, bands)
    for plane, view, smooth in zip(planes, views, smooths, strict=True):
        level, shapes = plane.levels[depth], plane.shapes_at(depth)
        plane.codes = codes[view]
        values = values_of(plane.codes * band_mask(keep), plane.step)
        values[:3, :3] += smooth
        values[0, 0] = from_means(plane.means, shapes)
        plane.means = np.clip(from_bands(values, shapes)[: level.h, : level.w], -BEYOND, BEYOND)


def _guide(luma: _Plane, rows: int, columns: int) -> np.ndarray:
    """How much the luma of 2 x 2 cells has in low, middle and high bands: (3, rows, columns)."""
    size = np.abs(luma.codes)
    u, v = np.indices((8, 8))
    found = []
    for low, high in ((1, 2), (3, 4), (5, 14)):
        chosen = (u + v >= low) & (u + v <= high)
        total = np.zeros((rows * 2, columns * 2), dtype=np.int64)
        part = size[chosen].sum(axis=0)[: rows * 2, : columns * 2]
        total[: part.shape[0], : part.shape[1]] = part
        found.append(total.reshape(rows, 2, columns, 2).sum(axis=(1, 3)))
    return size_of(np.stack(found))
