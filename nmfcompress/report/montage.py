"""Pictures of pictures: contact sheets and comparisons, with words under them. 8-bit arrays in and out."""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

PANEL_SIDE = 2048  # pixels a side at most
SHOWN_SIDE = 168  # smaller pictures are enlarged (whole factors, no smoothing) to at least about this
GAP = 8
PERCENT = "percent: of the sum of squares of the data that each part explains"
ROWS = 20  # pairs one below the other, before a new column begins
ROOM_FOR_CAPTION = 150  # pixels that a narrow picture gets at most, so that its words are not cut
PAPER, INK, FAINT = (255, 255, 255), (32, 32, 32), (112, 112, 112)


@dataclass(frozen=True)
class Tile:
    """A picture with a line of words under it: pixels (h, w) or (h, w, 3) uint8."""

    pixels: np.ndarray
    caption: str = ""


@dataclass(frozen=True)
class Span:
    """The pixel values that are shown as black and as white."""

    low: float = 0.0
    high: float = 255.0

    @classmethod
    def of(cls, pixels: np.ndarray) -> Span:
        """0 to 255 for 8 bits; the pixels' own range for all else, of which 8 bits would often show nothing."""
        if pixels.dtype == np.uint8:
            return cls()
        low, high = float(pixels.min()), float(pixels.max())
        return cls(low, high) if high > low else cls(0.0, high or 1.0)

    @property
    def words(self) -> str:
        """For a caption; nothing for 8 bits."""
        return "" if (self.low, self.high) == (0, 255) else f"shown from {self.low:.4g} to {self.high:.4g}"


def display(pixels: np.ndarray, alpha: np.ndarray | None = None, span: Span | None = None) -> np.ndarray:
    """Pixels of any type as 8-bit ones, within `span` (default: their own); what is transparent shows white paper."""
    if pixels.dtype == np.uint8:
        shown = pixels
    else:
        span = span or Span.of(pixels)
        unit = pixels.astype(_work(pixels))  # changed in place: these are the largest arrays of a run
        unit -= span.low
        unit /= span.high - span.low
        np.clip(unit, 0, 1, out=unit)
        unit *= 255
        shown = np.rint(unit, out=unit).astype(np.uint8)
    if alpha is None:
        return shown
    opacity = (alpha / 255).reshape(alpha.shape + (1,) * (shown.ndim - 2))
    return np.rint(shown * opacity + 255 * (1 - opacity)).astype(np.uint8)


def _work(pixels: np.ndarray) -> np.dtype:
    """Floats in which differences of such pixels can be taken."""
    return np.result_type(pixels.dtype, np.float32) if pixels.dtype.kind == "f" else np.dtype(np.float32)


def stretch(values: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Floats >= 0 scaled by their own maximum to 8 bit; all zero stays black; `out`: where to work."""
    top = values.max()
    if not top > 0:
        return np.zeros(values.shape, np.uint8)
    scaled = np.divide(values, top, out=out)
    scaled *= 255
    shown: np.ndarray = np.rint(scaled, out=scaled).astype(np.uint8)
    return shown


def own_range(values: np.ndarray) -> np.ndarray:
    """Floats scaled by their own minimum and maximum to 8 bit; a constant becomes black."""
    return stretch(values - values.min())


def error_picture(original: np.ndarray, reconstruction: np.ndarray, span: Span) -> tuple[np.ndarray, float]:
    """|original - reconstruction| made bright enough to see, 8 bit, and the factor by which it was brightened."""
    error = np.subtract(original, reconstruction, dtype=_work(original))
    np.abs(error, out=error)
    error /= span.high - span.low
    top = float(error.max())
    return stretch(error, out=error), 1 / top if top > 0 else 1.0


def even_columns(count: int, aspect: float) -> int:
    """Columns for `count` tiles of this height / width: few empty places, and about 1.6 times as wide as high."""
    ideal = float(np.sqrt(count * 1.6 * aspect))

    def badness(columns: int) -> float:
        return (-count % columns) / count + 0.5 * abs(float(np.log(columns / ideal)))

    return min(range(1, count + 1), key=badness)


def sheet(tiles: Sequence[Tile], columns: int, title: str = "") -> np.ndarray:
    """Tiles of one size in a grid, captions under them, a title line under all. Returns (h, w, 3) uint8."""
    if not tiles:
        raise ValueError("a sheet needs a tile")
    columns = min(columns, len(tiles))
    panels = [fitted(tile.pixels, len(tiles)) for tile in tiles]
    h, w = max(p.shape[0] for p in panels), max(p.shape[1] for p in panels)
    size = 13 if w < 600 else min(max(13, w // 48), 32)
    line = size + 8
    w = max(w, min(ROOM_FOR_CAPTION, max(_width(tile.caption, size) for tile in tiles)))
    caption = line if any(tile.caption for tile in tiles) else 0
    rows = -(-len(tiles) // columns)
    lines = _wrap(_plain(title), size + 2, columns * (w + GAP) - GAP) if title else []
    height = GAP + rows * (h + caption + GAP) + (len(lines) * (line + 2) + GAP if lines else 0)
    canvas = Image.new("RGB", (GAP + columns * (w + GAP), height), PAPER)
    draw = ImageDraw.Draw(canvas)
    for place, (tile, pixels) in enumerate(zip(tiles, panels, strict=True)):
        x, y = GAP + (place % columns) * (w + GAP), GAP + (place // columns) * (h + caption + GAP)
        canvas.paste(Image.fromarray(pixels), (x, y))
        draw.rectangle((x - 1, y - 1, x + pixels.shape[1], y + pixels.shape[0]), outline=(200, 200, 200))
        if tile.caption:
            draw.text((x, y + pixels.shape[0] + 3), _cut(_plain(tile.caption), size, w), FAINT, _font(size))
    for number, words in enumerate(lines):
        top = height - GAP - (len(lines) - number) * (line + 2)
        draw.text((GAP, top), words, INK, _font(size + 2))
    return np.asarray(canvas)


def comparison(
    original: np.ndarray, reconstruction: np.ndarray, alpha: np.ndarray | None, caption: str, rank: int
) -> np.ndarray:
    """original | reconstruction | error, with `caption` under them."""
    span = Span.of(original)
    error, factor = error_picture(original, reconstruction, span)
    caption += f" · {span.words}" if span.words else ""
    return sheet(
        [
            Tile(display(original, alpha, span), "original"),
            Tile(display(reconstruction, alpha, span), f"reconstruction, rank {rank}"),
            Tile(error, f"error x {factor:.1f}" if error.any() else "error: none"),
        ],
        3,
        caption,
    )


def pairs(rows: Sequence[tuple[np.ndarray, np.ndarray, str]], title: str = "") -> np.ndarray:
    """One row an image: original left, reconstruction right, words beside them; many rows in several columns.

    Returns (h, w, 3) uint8.
    """
    spans = [Span.of(a) for a, _, _ in rows]
    shown = [
        (fitted(display(a, span=span), len(rows)), fitted(display(b, span=span), len(rows)), _plain(words))
        for (a, b, words), span in zip(rows, spans, strict=True)
    ]
    h, w = max(a.shape[0] for a, _, _ in shown), max(a.shape[1] for a, _, _ in shown)
    size = 15
    head, line = size + 2 * GAP, size + 8
    beside = min(max(_width(part, size) for _, _, words in shown for part in words.split("\n")), PANEL_SIDE)
    across = max(2 * (w + GAP), _width("original  reconstruction", size)) + beside + 2 * GAP
    columns = -(-len(shown) // ROWS)
    deep = -(-len(shown) // columns)
    if spans[0].words:
        title += " · each shown from its lowest to its highest value"
    lines = _wrap(_plain(title), size, columns * across - GAP) if title else []
    canvas = Image.new("RGB", (GAP + columns * across, head + deep * (h + GAP) + len(lines) * line), PAPER)
    draw = ImageDraw.Draw(canvas)
    for place, (a, b, words) in enumerate(shown):
        x, y = GAP + place // deep * across, head + place % deep * (h + GAP)
        second = x + max(w + GAP, _width("original  ", size))
        if place % deep == 0:
            draw.text((x, GAP // 2), "original", FAINT, _font(size))
            draw.text((second, GAP // 2), "reconstruction", FAINT, _font(size))
        canvas.paste(Image.fromarray(a), (x, y))
        canvas.paste(Image.fromarray(b), (second, y))
        top = y + h // 2 - (size + 4) * (words.count("\n") + 1) // 2
        draw.text((second + w + GAP, top), words, INK, _font(size))
    for number, words in enumerate(lines):
        draw.text((GAP, canvas.height - (len(lines) - number) * line), words, INK, _font(size))
    return np.asarray(canvas)


def fitted(pixels: np.ndarray, tiles: int) -> np.ndarray:
    """RGB pixels, enlarged by a whole factor or scaled down so that a sheet of `tiles` stays looked-at size."""
    most = PANEL_SIDE if tiles <= 3 else max(PANEL_SIDE * 2 // max(int(np.ceil(np.sqrt(tiles))), 1), 64)
    h, w = pixels.shape[:2]
    least = min(SHOWN_SIDE if tiles <= 40 else SHOWN_SIDE // 2, most)
    grow = max(1, -(-least // max(h, w)))
    if max(h, w) > most:
        scale = most / max(h, w)
        smaller = max(1, round(w * scale)), max(1, round(h * scale))
        pixels = np.asarray(Image.fromarray(pixels).resize(smaller, Image.Resampling.BOX))
    rgb = np.repeat(pixels[:, :, None], 3, axis=2) if pixels.ndim == 2 else pixels
    return rgb.repeat(grow, axis=0).repeat(grow, axis=1) if grow > 1 else rgb


def _plain(words: str) -> str:
    """Words in letters that the font has: accents fall off, others become a question mark."""
    folded = unicodedata.normalize("NFKD", words)
    return "".join(c if c.isascii() or c in "·×" else "?" for c in folded if not unicodedata.combining(c))


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
