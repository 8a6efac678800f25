"""A house front behind a tree: a relief in slanting light."""

from __future__ import annotations

import itertools

import numpy as np
from PIL import Image, ImageDraw

from .tools import halve, noise, to_uint8

LIGHT = (0.8, 0.6)  # where shadows fall: rows down and columns right, for each pixel of depth


def front(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the relief of a house front in pixels, and its albedo."""
    relief = np.zeros(shape)
    albedo = 0.70 + 0.025 * noise(rng, shape, 1.0)
    albedo += 0.02 * noise(rng, shape, 1.1).mean(axis=0) * 6  # rain has run down the plaster

    def block(top: int, left: int, height: int, width: int, depth: float, shade: float | None = None) -> None:
        place = slice(max(top, 0), top + height), slice(max(left, 0), left + width)
        relief[place] = depth
        if shade is not None:
            albedo[place] = shade + 0.02 * noise(rng, albedo[place].shape, 0.7)

    for top, height, depth in ((0, 18, 24), (18, 8, 15), (26, 6, 8), (158, 5, 5), (300, 7, 7), (440, 40, 5)):
        block(top, 0, height, shape[1], depth, 0.76)
    for top in range(326, 440, 19):
        block(top, 0, 3, shape[1], -3)
    for floor, (top, height) in enumerate(((62, 76), (188, 92), (334, 96))):
        for left in range(36, 640, 124):
            if floor == 2 and left == 284:  # the door
                block(top - 6, left - 14, 150, 92, 5, 0.74)
                block(top + 4, left - 4, 140, 72, -16, 0.24)
                for panel in range(3):
                    block(top + 14 + 42 * panel, left + 4, 32, 26, -19, 0.19)
                    block(top + 14 + 42 * panel, left + 34, 32, 26, -19, 0.19)
                continue
            block(top - 8, left - 8, height + 14, 80, 4, 0.78)
            block(top - 14, left - 12, 7, 88, 11, 0.80)
            block(top + height, left - 11, 7, 86, 9, 0.80)
            block(top, left, height, 64, -9, 0.86)
            curtain = rng.random() < 0.4
            for y, x in itertools.product((0, 1), (0, 1)):
                upper, lower = top + 4 + y * height // 3, top + (height - 3 if y else height // 3)
                pane = slice(upper, lower), slice(left + 4 + 30 * x, left + 30 + 30 * x)
                rows = np.linspace(0, 1, lower - upper)[:, None]
                relief[pane] = -12
                glass = 0.30 - 0.20 * (rows + y) / 2 + 0.04 * noise(rng, (len(rows), 26), 1.6)
                folds = 0.42 + 0.06 * np.sin(np.arange(26) * 0.9 + x) - 0.1 * rows
                albedo[pane] = np.where(curtain & (np.abs(np.arange(26) + 30 * x - 28) > 12), folds, glass)
            if floor == 0 and rng.random() < 0.6:  # open shutters
                for side in (left - 36, left + 66):
                    block(top - 2, side, height + 4, 33, 6, 0.40)
                    for y in range(top + 2, top + height - 2, 5):
                        block(y, side + 4, 2, 25, 3, 0.34)
    return relief, albedo


def cast(mask: np.ndarray, depth: int) -> np.ndarray:
    """Return the soft shadow of a mask that floats ``depth`` pixels before the wall."""
    down, right, margin = round(LIGHT[0] * depth), round(LIGHT[1] * depth), 32
    moved = np.pad(mask, ((down + margin, margin), (right + margin, margin)))
    for axis, width in itertools.product((0, 1), (2 + depth // 14, 1 + depth // 9)):
        moved = np.sum([np.roll(moved, i - width // 2, axis=axis) for i in range(width)], axis=0) / width
    return moved[margin : margin + mask.shape[0], margin : margin + mask.shape[1]]


def tree(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the shades of a tree, and its mask."""
    shade, mask = Image.new("L", shape[::-1]), Image.new("L", shape[::-1])
    draw, cover = ImageDraw.Draw(shade), ImageDraw.Draw(mask)
    twigs, leaves = [(96.0, 500.0, -1.52, 15.0)], []
    while twigs:
        x, y, angle, width = twigs.pop()
        length = 26 + 6.2 * width * rng.uniform(0.7, 1.1)
        end = x + length * np.cos(angle), y + length * np.sin(angle)
        for side, tone in ((0, 52), (-width / 4, 92)):
            thick = max(1, round(width if side == 0 else width / 3))
            draw.line((x + side, y, end[0] + side * 0.7, end[1]), fill=tone, width=thick)
        cover.line((x, y, *end), fill=255, width=max(1, round(width)))
        if width > 1.6:
            for turn in (-0.52, 0.06, 0.50):
                twigs.append((*end, angle + turn + rng.normal(0, 0.14), width * rng.uniform(0.52, 0.70)))
        if width < 5:
            leaves.append(end)
    centres = np.repeat(leaves, 9, axis=0)
    centres = centres + rng.normal(0, 11, centres.shape)
    middle = centres.mean(axis=0)
    sizes, chances = rng.uniform(2, 4.6, len(centres)), rng.normal(0, 30, len(centres))
    for (x, y), size, luck in zip(centres, sizes, chances, strict=True):
        bright = 84 - 0.22 * (x - middle[0]) - 0.36 * (y - middle[1]) + luck
        box = (x - size, y - size * 0.7, x + size, y + size * 0.7)
        draw.ellipse(box, fill=int(np.clip(bright, 22, 205)))
        cover.ellipse(box, fill=255)
    return np.asarray(shade) / 255, np.asarray(mask) / 255


def grey(rng: np.random.Generator) -> np.ndarray:
    """Return a house front behind a tree in slanting light, (240, 320) uint8."""
    shape = (480, 640)
    relief, albedo = front(rng, shape)
    lit = np.ones(shape)
    for s in range(1, 44):  # the sun is up on the left: is there something higher on the way to it?
        way = round(LIGHT[0] * s), round(LIGHT[1] * s)
        higher = np.roll(relief, way, axis=(0, 1)) - relief - s
        higher[: way[0]] = -1
        lit = np.minimum(lit, np.clip(1 - higher / 1.5, 0, 1))
    bars = np.zeros(shape)
    for left in (140, 388):
        bars[234:290, left : left + 104 : 6] = bars[235:290, left + 1 : left + 104 : 6] = 1
        bars[232:236, left : left + 104] = bars[282:290, left - 4 : left + 108] = 1
    shade, mask = tree(rng, shape)
    lit = lit * (1 - cast(bars, 20)) * (1 - 0.94 * cast(mask, 90))
    edges = sum(a * b for a, b in zip(np.gradient(relief), LIGHT, strict=True))
    picture = albedo * (0.30 + 0.86 * lit * np.clip(0.86 + 0.05 * edges, 0.4, 1.25))
    picture = picture + (0.16 + 0.12 * lit - picture) * bars
    picture = picture + (shade - picture) * mask
    rows, columns = np.mgrid[:240, :320]
    picture = halve(picture) * (1.03 - 0.2 * ((rows / 240 - 0.45) ** 2 + (columns / 320 - 0.45) ** 2))
    return to_uint8(picture + 0.008 * rng.standard_normal((240, 320)))
