"""Pictures of pictures: contact sheets and comparisons, with words under them. 8-bit arrays in and out."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

PANEL_SIDE = 2048  # pixels a side at most
SHOWN_SIDE = 168  # smaller pictures are enlarged (whole factors, no smoothing) to at least about this
GAP = 8
ROOM_FOR_CAPTION = 150  # pixels that a narrow picture gets at most, so that its words are not cut
PAPER, INK, FAINT = (255, 255, 255), (32, 32, 32), (112, 112, 112)


@dataclass(frozen=True)
class Tile:
    """A picture with a line of words under it: pixels (h, w) or (h, w, 3) uint8."""

    pixels: np.ndarray
    caption: str = ""


def display(pixels: np.ndarray, alpha: np.ndarray | None = None) -> np.ndarray:
    """Pixels of any type as 8-bit ones; what is transparent shows white paper."""
    if pixels.dtype == np.uint16:
        shown = (pixels // 257).astype(np.uint8)
    elif pixels.dtype.kind == "f":
        shown = np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)
    else:
        shown = pixels
    if alpha is None:
        return shown
    opacity = (alpha / 255).reshape(alpha.shape + (1,) * (shown.ndim - 2))
    return np.rint(shown * opacity + 255 * (1 - opacity)).astype(np.uint8)


def stretch(values: np.ndarray) -> np.ndarray:
    """Floats >= 0 scaled by their own maximum to 8 bit; all zero stays black."""
    top = values.max()
    return np.rint(values / top * 255).astype(np.uint8) if top > 0 else np.zeros(values.shape, np.uint8)


def own_range(values: np.ndarray) -> np.ndarray:
    """Floats scaled by their own minimum and maximum to 8 bit; a constant becomes black."""
    return stretch(values - values.min())


def error_picture(original: np.ndarray, reconstruction: np.ndarray) -> tuple[np.ndarray, float]:
    """|original - reconstruction| made bright enough to see, 8 bit, and the factor by which it was brightened."""
    error = np.abs(display(original).astype(np.float32) - display(reconstruction)) / 255
    top = float(error.max())
    factor = 1 / top if top > 0 else 1.0
    return np.rint(error * (255 * factor)).astype(np.uint8), factor


def even_columns(count: int, aspect: float) -> int:
    """Columns for `count` tiles of this height / width that fill the last row best, about 1.6 times as wide as high."""
    ideal = max(1.0, float(np.sqrt(count * 1.6 * aspect)))
    choices = range(min(count, max(1, int(ideal * 0.7))), min(count, int(ideal * 1.5) + 1) + 1)
    return min(choices, key=lambda columns: (-count % columns, abs(columns - ideal)))


def sheet(tiles: Sequence[Tile], columns: int, title: str = "") -> np.ndarray:
    """Tiles of one size in a grid, captions under them, a title line under all. Returns (h, w, 3) uint8."""
    if not tiles:
        raise ValueError("a sheet needs a tile")
    columns = min(columns, len(tiles))
    fitted = [_fit(tile.pixels, len(tiles)) for tile in tiles]
    h, w = max(p.shape[0] for p in fitted), max(p.shape[1] for p in fitted)
    size = 13 if w < 600 else min(max(13, w // 48), 32)
    line = size + 8
    w = max(w, min(ROOM_FOR_CAPTION, max(_width(tile.caption, size) for tile in tiles)))
    caption = line if any(tile.caption for tile in tiles) else 0
    rows = -(-len(tiles) // columns)
    lines = _wrap(title, size + 2, columns * (w + GAP) - GAP) if title else []
    height = GAP + rows * (h + caption + GAP) + (len(lines) * (line + 2) + GAP if lines else 0)
    canvas = Image.new("RGB", (GAP + columns * (w + GAP), height), PAPER)
    draw = ImageDraw.Draw(canvas)
    for place, (tile, pixels) in enumerate(zip(tiles, fitted, strict=True)):
        x, y = GAP + (place % columns) * (w + GAP), GAP + (place // columns) * (h + caption + GAP)
        canvas.paste(Image.fromarray(pixels), (x, y))
        draw.rectangle((x - 1, y - 1, x + pixels.shape[1], y + pixels.shape[0]), outline=(200, 200, 200))
        if tile.caption:
            draw.text((x, y + pixels.shape[0] + 3), _cut(tile.caption, size, w), FAINT, _font(size))
    for number, words in enumerate(lines):
        top = height - GAP - (len(lines) - number) * (line + 2)
        draw.text((GAP, top), words, INK, _font(size + 2))
    return np.asarray(canvas)


def comparison(
    original: np.ndarray, reconstruction: np.ndarray, alpha: np.ndarray | None, caption: str, rank: int
) -> np.ndarray:
    """original | reconstruction | error, with `caption` under them."""
    error, factor = error_picture(original, reconstruction)
    return sheet(
        [
            Tile(display(original, alpha), "original"),
            Tile(display(reconstruction, alpha), f"reconstruction, rank {rank}"),
            Tile(error, f"error x {factor:.1f}" if error.any() else "error: none"),
        ],
        3,
        caption,
    )


def pairs(rows: Sequence[tuple[np.ndarray, np.ndarray, str]], title: str = "") -> np.ndarray:
    """One row an image: original left, reconstruction right, words beside them. Returns (h, w, 3) uint8."""
    shown = [(_fit(display(a), len(rows)), _fit(display(b), len(rows)), words) for a, b, words in rows]
    h, w = max(a.shape[0] for a, _, _ in shown), max(a.shape[1] for a, _, _ in shown)
    size = 15
    beside = min(max(_width(part, size) for _, _, words in shown for part in words.split("\n")), PANEL_SIDE) + 2 * GAP
    head = size + 2 * GAP
    canvas = Image.new("RGB", (GAP + 2 * (w + GAP) + beside, head + len(shown) * (h + GAP)), PAPER)
    draw = ImageDraw.Draw(canvas)
    draw.text((GAP, GAP // 2), _cut("original", size, w), FAINT, _font(size))
    draw.text((GAP + w + GAP, GAP // 2), _cut("reconstruction", size, w + beside), FAINT, _font(size))
    for row, (a, b, words) in enumerate(shown):
        y = head + row * (h + GAP)
        canvas.paste(Image.fromarray(a), (GAP, y))
        canvas.paste(Image.fromarray(b), (GAP + w + GAP, y))
        top = y + h // 2 - (size + 4) * (words.count("\n") + 1) // 2
        draw.text((GAP + 2 * (w + GAP), top), words, INK, _font(size))
    if title:
        lines = _wrap(title, size, canvas.width - 2 * GAP)
        taller = Image.new("RGB", (canvas.width, canvas.height + len(lines) * (size + 8)), PAPER)
        taller.paste(canvas, (0, 0))
        draw = ImageDraw.Draw(taller)
        for number, words in enumerate(lines):
            draw.text((GAP, canvas.height + number * (size + 8)), words, INK, _font(size))
        canvas = taller
    return np.asarray(canvas)


def _fit(pixels: np.ndarray, tiles: int) -> np.ndarray:
    """RGB pixels, enlarged by a whole factor or scaled down so that a sheet of `tiles` stays looked-at size."""
    rgb = np.repeat(pixels[:, :, None], 3, axis=2) if pixels.ndim == 2 else pixels
    most = PANEL_SIDE if tiles <= 3 else max(PANEL_SIDE * 2 // max(int(np.ceil(np.sqrt(tiles))), 1), 64)
    h, w = rgb.shape[:2]
    least = min(SHOWN_SIDE if tiles <= 40 else SHOWN_SIDE // 2, most)
    grow = max(1, -(-least // max(h, w)))
    if max(h, w) > most:
        scale = most / max(h, w)
        smaller = max(1, round(w * scale)), max(1, round(h * scale))
        return np.asarray(Image.fromarray(rgb).resize(smaller, Image.Resampling.BOX))
    return rgb.repeat(grow, axis=0).repeat(grow, axis=1) if grow > 1 else rgb


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _width(words: str, size: int) -> int:
    return int(_font(size).getlength(words) + 1)


def _cut(words: str, size: int, width: int) -> str:
    """As many of the words' letters as fit into `width` pixels."""
    counts = range(1, len(words) + 1)
    return words[: bisect_right(counts, width, key=lambda count: _width(words[:count], size))]


def _wrap(words: str, size: int, width: int) -> list[str]:
    """`words` in lines of at most `width` pixels, broken at the separators ' · ' where they stand."""
    lines: list[str] = []
    for part in words.split(" · "):
        joined = f"{lines[-1]} · {part}" if lines else part
        if lines and _width(joined, size) <= width:
            lines[-1] = joined
        else:
            lines.append(_cut(part, size, width))
    return lines
