"""Pictures of pictures: contact sheets and comparisons, with words under them, of 8-bit arrays.

They are drawn one tile after the other, and how large one will be is known before.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from PIL import Image, ImageDraw, ImageFont

PANEL_SIDE = 2048  # pixels a side at most
SHOWN_SIDE = 168  # smaller pictures are enlarged (whole factors, no smoothing) to at least about this
GAP = 8
PERCENT = "percent: of the sum of squares of the data that each part explains"
ROWS = 20  # pairs one below the other, before a new column begins
ROOM_FOR_CAPTION = 150  # pixels that a narrow picture gets at most, so that its words are not cut
PAPER, INK, FAINT = (255, 255, 255), (32, 32, 32), (112, 112, 112)
CANVAS_BYTES = 4  # a pixel of a sheet, as Pillow has it
FILE_BYTES = 2  # and in its file: what is as good as noise takes up to 2.2


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
    above = values - values.min()
    return stretch(above, out=above)


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


@dataclass(frozen=True)
class Sheet:
    """Tiles of one size in a grid, captions under them, a title line under all.

    Parameters
    ----------
    panel : (h, w)
        Pixels of the largest tile, as `panel_shape` has it.
    captions : sequence of str
        Of all tiles.
    columns : int
        At most.
    title : str
    """

    panel: tuple[int, int]
    captions: Sequence[str]
    columns: int
    title: str = ""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        across, down = self._step
        rows = -(-len(self.captions) // self._columns)
        words = len(self._lines) * (self._letters + 10) + GAP if self._lines else 0
        return GAP + self._columns * across, GAP + rows * down + words

    def drawn(self, pictures: Iterable[np.ndarray]) -> Image.Image:
        """The sheet of these pictures, (h, w) or (h, w, 3) uint8, of which each is asked for in its turn."""
        canvas = Image.new("RGB", self.size, PAPER)
        draw, size, (across, down) = ImageDraw.Draw(canvas), self._letters, self._step
        for place, (caption, picture) in enumerate(zip(self.captions, pictures, strict=True)):
            x, y = GAP + (place % self._columns) * across, GAP + (place // self._columns) * down
            shown = Image.fromarray(fitted(picture, len(self.captions)))
            canvas.paste(shown, (x, y))
            draw.rectangle((x - 1, y - 1, x + shown.width, y + shown.height), outline=(200, 200, 200))
            if caption:
                draw.text((x, y + shown.height + 3), _cut(_plain(caption), size, across - GAP), FAINT, _font(size))
        for number, words in enumerate(self._lines):
            top = canvas.height - GAP - (len(self._lines) - number) * (size + 10)
            draw.text((GAP, top), words, INK, _font(size + 2))
        return canvas

    @property
    def _columns(self) -> int:
        return min(self.columns, len(self.captions))

    @property
    def _letters(self) -> int:
        """Size of the letters of a caption."""
        w = self.panel[1]
        return 13 if w < 600 else min(max(13, w // 48), 32)

    @cached_property
    def _step(self) -> tuple[int, int]:
        """From one tile to the next, across and down."""
        (h, w), size = self.panel, self._letters
        across = max(w, min(ROOM_FOR_CAPTION, max(_width(caption, size) for caption in self.captions)))
        return across + GAP, h + (size + 8 if any(self.captions) else 0) + GAP

    @cached_property
    def _lines(self) -> list[str]:
        """Of the title."""
        return _wrap(_plain(self.title), self._letters + 2, self._columns * self._step[0] - GAP) if self.title else []


def sheet(tiles: Sequence[Tile], columns: int, title: str = "") -> Image.Image:
    """Tiles in a grid, captions under them, a title line under all."""
    if not tiles:
        raise ValueError("a sheet needs a tile")
    panel = _largest([tile.pixels.shape for tile in tiles], len(tiles))
    return Sheet(panel, [tile.caption for tile in tiles], columns, title).drawn(tile.pixels for tile in tiles)


def drawing_bytes(sizes: Sequence[tuple[int, int]]) -> int:
    """Bytes that it takes to draw sheets of these widths and heights one after the other, and to keep their files."""
    pixels = [width * height for width, height in sizes]
    return CANVAS_BYTES * max(pixels, default=0) + FILE_BYTES * sum(pixels)


def compared(shape: tuple[int, ...], captions: Sequence[str], title: str) -> Sheet:
    """The sheet of three pictures of this shape, side by side."""
    return Sheet(panel_shape(shape, 3), captions, 3, title)


def comparison(
    original: np.ndarray, reconstruction: np.ndarray, alpha: np.ndarray | None, caption: str, rank: int
) -> Image.Image:
    """original | reconstruction | error, with `caption` under them."""
    span = Span.of(original)
    error, factor = error_picture(original, reconstruction, span)
    caption += f" · {span.words}" if span.words else ""
    wrong = f"error x {factor:.1f}" if error.any() else "error: none"
    pictures: list[Callable[[], np.ndarray]] = [
        lambda: display(original, alpha, span),
        lambda: display(reconstruction, alpha, span),
        lambda: error,
    ]
    captions = ("original", f"reconstruction, rank {rank}", wrong)
    return compared(original.shape, captions, caption).drawn(picture() for picture in pictures)


@dataclass(frozen=True)
class Pairs:
    """One row an image: original left, reconstruction right, words beside them; many rows in several columns.

    Parameters
    ----------
    panel : (h, w)
        Pixels of the largest picture, as `panel_shape` has it.
    words : sequence of str
        Of all rows.
    title : str
    """

    panel: tuple[int, int]
    words: Sequence[str]
    title: str = ""

    LETTERS = 15
    HEAD, LINE = LETTERS + 2 * GAP, LETTERS + 8

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        height = self.HEAD + self._deep * (self.panel[0] + GAP) + len(self._lines) * self.LINE
        return GAP + self._columns * self._across, height

    def drawn(self, rows: Iterable[tuple[np.ndarray, np.ndarray]]) -> Image.Image:
        """The picture of these pairs, of any type, each shown in the span of its first."""
        canvas, size, (h, w) = Image.new("RGB", self.size, PAPER), self.LETTERS, self.panel
        draw = ImageDraw.Draw(canvas)
        for place, (pair, said) in enumerate(zip(rows, self.words, strict=True)):
            x, y = GAP + place // self._deep * self._across, self.HEAD + place % self._deep * (h + GAP)
            second = x + max(w + GAP, _width("original  ", size))
            if place % self._deep == 0:
                draw.text((x, GAP // 2), "original", FAINT, _font(size))
                draw.text((second, GAP // 2), "reconstruction", FAINT, _font(size))
            span = Span.of(pair[0])
            for left, pixels in zip((x, second), pair, strict=True):
                canvas.paste(Image.fromarray(fitted(display(pixels, span=span), len(self.words))), (left, y))
            words = _plain(said)
            top = y + h // 2 - (size + 4) * (words.count("\n") + 1) // 2
            draw.text((second + w + GAP, top), words, INK, _font(size))
        for number, words in enumerate(self._lines):
            draw.text((GAP, canvas.height - (len(self._lines) - number) * self.LINE), words, INK, _font(size))
        return canvas

    @property
    def _columns(self) -> int:
        return -(-len(self.words) // ROWS)

    @property
    def _deep(self) -> int:
        """Rows of a column."""
        return -(-len(self.words) // self._columns)

    @cached_property
    def _across(self) -> int:
        """From one column to the next."""
        beside = min(
            max(_width(part, self.LETTERS) for words in self.words for part in _plain(words).split("\n")), PANEL_SIDE
        )
        return max(2 * (self.panel[1] + GAP), _width("original  reconstruction", self.LETTERS)) + beside + 2 * GAP

    @cached_property
    def _lines(self) -> list[str]:
        """Of the title."""
        return _wrap(_plain(self.title), self.LETTERS, self._columns * self._across - GAP) if self.title else []


def pairs(rows: Sequence[tuple[np.ndarray, np.ndarray, str]], title: str = "") -> Image.Image:
    """Originals, their reconstructions and words as `Pairs`."""
    if Span.of(rows[0][0]).words:
        title += " · each shown from its lowest to its highest value"
    panel = _largest([pixels.shape for a, b, _ in rows for pixels in (a, b)], len(rows))
    return Pairs(panel, [words for _, _, words in rows], title).drawn((a, b) for a, b, _ in rows)


def panel_shape(shape: tuple[int, ...], tiles: int) -> tuple[int, int]:
    """Sides (h, w) that pictures of this shape have on a sheet of so many, which is to stay of looked-at size."""
    most = PANEL_SIDE if tiles <= 3 else max(PANEL_SIDE * 2 // max(int(np.ceil(np.sqrt(tiles))), 1), 64)
    h, w = shape[:2]
    if max(h, w) > most:
        scale = most / max(h, w)
        return max(1, round(h * scale)), max(1, round(w * scale))
    least = min(SHOWN_SIDE if tiles <= 40 else SHOWN_SIDE // 2, most)
    grow = max(1, -(-least // max(h, w)))
    return h * grow, w * grow


def _largest(shapes: Iterable[tuple[int, ...]], tiles: int) -> tuple[int, int]:
    panels = [panel_shape(shape, tiles) for shape in shapes]
    return max(h for h, _ in panels), max(w for _, w in panels)


def fitted(pixels: np.ndarray, tiles: int) -> np.ndarray:
    """RGB pixels, enlarged by a whole factor or scaled down to the `panel_shape` of a sheet of `tiles`."""
    h, w = panel_shape(pixels.shape, tiles)
    if h < pixels.shape[0] or w < pixels.shape[1]:
        pixels = np.asarray(Image.fromarray(pixels).resize((w, h), Image.Resampling.BOX))
    rgb = np.repeat(pixels[:, :, None], 3, axis=2) if pixels.ndim == 2 else pixels
    grow = h // pixels.shape[0]
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
