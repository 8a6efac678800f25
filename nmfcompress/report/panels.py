"""Pictures for a page: small enough to stand in it, large enough to be looked at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from ..images.saving import encode_picture
from . import montage

ENLARGED = 160  # smaller pictures are shown at least so large; their bytes stay as they are


@dataclass(frozen=True)
class Sizes:
    """Pixels a side of pictures and of parts at most, and how many parts."""

    picture: int
    part: int
    parts: int


SHOWN = 24  # pictures of a run whose pixels are in its page, at most


def sizes_for(count: int) -> Sizes:
    """What keeps a page of so many pictures at a few MB, and below 20 whatever they show."""
    if count == 1:
        return Sizes(640, 160, 24)
    return Sizes(320, 128, 12) if count <= 6 else Sizes(192, 96, 6)


@dataclass(frozen=True)
class Panel:
    """A picture as the page has it: PNG bytes, its size there, and the size that it had."""

    png: bytes
    width: int
    height: int
    full: tuple[int, int]

    @property
    def reduced(self) -> bool:
        return (self.width, self.height) != self.full

    @property
    def enlarged(self) -> int:
        """By how much it is to be shown larger, without smoothing."""
        return max(1, ENLARGED // max(self.width, self.height))


def panel(pixels: np.ndarray, side: int) -> Panel:
    """A panel of pixels (h, w) or (h, w, 3) uint8, reduced where they are more than `side` in a direction."""
    h, w = pixels.shape[:2]
    if max(h, w) > side:
        smaller = max(1, round(w * side / max(h, w))), max(1, round(h * side / max(h, w)))
        pixels = np.asarray(Image.fromarray(pixels).resize(smaller, Image.Resampling.BOX))
    return Panel(encode_picture(pixels, "png")[0], pixels.shape[1], pixels.shape[0], (w, h))


@dataclass(frozen=True)
class Trio:
    """An original, what became of it, and the error, which is `factor` times as bright; `span` says what is white."""

    original: Panel
    reconstruction: Panel
    error: Panel
    factor: float | None
    span: str


def trio(original: np.ndarray, reconstruction: np.ndarray, side: int, alpha: np.ndarray | None = None) -> Trio:
    """The three pictures of one; the factor is None where there is no error."""
    span = montage.Span.of(original)
    error, factor = montage.error_picture(original, reconstruction, span)
    before, after = (panel(montage.display(pixels, alpha, span), side) for pixels in (original, reconstruction))
    return Trio(before, after, panel(error, side), factor if error.any() else None, span.words)


@dataclass(frozen=True)
class Part:
    """A part, and the fraction of the sum of squares of the data that it explains."""

    panel: Panel
    explained: float
