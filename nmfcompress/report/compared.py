"""A comparison as people and scripts read it: table, verdict, CSV, JSON, and the side-by-side picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from . import montage
from .bjontegaard import said
from .records import figure, line, neutral, text

if TYPE_CHECKING:
    from .compare import Comparison, Curve, Point

COLUMNS = (
    "codec", "quality", "bytes", "bits_per_pixel", "psnr_db", "ssim", "encode_seconds", "decode_seconds",
)  # fmt: skip
HEADINGS = ("codec", "quality", "bytes", "bit/pixel", "PSNR dB", "SSIM", "encode s", "decode s")
LEAST_WIDTH = 400  # pixels of a panel, so that its figures have room
WINDOW = 640  # pixels a side that are shown of a large picture, one for one


def verdict(comparison: Comparison) -> list[str]:
    """What the figures say, in words; the last line is about the codec that the best of ours does worst against."""
    others = [d for d in comparison.deltas if not d.against.startswith("nmfc")]
    compared = [d for d in others if d.bd_rate is not None]
    apart = [f"{d.against} ({said(d.reach_against)})" for d in others if d.bd_rate is None]
    lines = []
    if apart:
        own = said(others[0].reach)
        lines.append(f"{comparison.best} ({own}) has no range of PSNR in common with {', '.join(apart)}")
    lines += _losses(comparison, {d.against for d in others if d.bd_rate is None})
    return lines + [d.words for d in sorted(compared, key=lambda d: d.bd_rate or 0.0)[-1:]]


def _losses(comparison: Comparison, apart: set[str]) -> list[str]:
    """A line for each codec without a common range that is better than the best of ours in no more bytes."""
    points = {curve.points[0].codec: curve.points for curve in comparison.curves if curve.points}
    top = max(points[comparison.best], key=lambda p: float("inf") if p.psnr_db is None else p.psnr_db)
    lines = []
    for name in sorted(apart & points.keys()):
        better = [p for p in points[name] if p.bytes <= top.bytes and (p.psnr_db or 1e9) > (top.psnr_db or 1e9)]
        if better:
            p = min(better, key=lambda p: p.bytes)
            reached = "without loss" if p.psnr_db is None else f"{p.psnr_db:.1f} dB"
            lines.append(f"{comparison.best} loses to {name}: {reached} in {p.bytes:,} bytes")
    return lines


def table(comparison: Comparison) -> list[str]:
    """Every rate of every codec, those of the side-by-side picture with an asterisk; then the deltas."""
    lines = _aligned(rate_rows(comparison))
    return [*lines, "", *_aligned(delta_rows(comparison))] if comparison.deltas else lines


def rate_rows(comparison: Comparison) -> list[tuple[str, ...]]:
    """The first of its tables."""
    rows: list[tuple[str, ...]] = [HEADINGS]
    for curve in comparison.curves:
        for p in curve.points:
            psnr = "equal" if p.psnr_db is None else f"{p.psnr_db:.2f}"
            rows.append((
                p.codec, p.quality + (" *" if p is curve.near else "  "), f"{p.bytes:,}", f"{p.bits_per_pixel:.3f}",
                psnr, figure(p.ssim, ".3f"), f"{p.encode_seconds:.3f}", f"{p.decode_seconds:.3f}",
            ))  # fmt: skip
    return rows


def delta_rows(comparison: Comparison) -> list[tuple[str, ...]]:
    """The second."""
    rows: list[tuple[str, ...]] = [
        (f"{comparison.best} against", "bytes at equal PSNR", "PSNR at equal bytes", "between")
    ]
    for d in comparison.deltas:
        between = "no common range" if d.bd_rate is None else f"{d.psnr_low:.1f} and {d.psnr_high:.1f} dB"
        rate = "-" if d.bd_rate is None else f"{d.bd_rate:+.1f} %"
        rows.append((d.against, rate, "-" if d.bd_psnr is None else f"{d.bd_psnr:+.2f} dB", between))
    return rows


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Columns, the first to the left and the others to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    sides = [str.ljust, *[str.rjust] * (len(widths) - 1)]
    return ["  ".join(side(c, w) for side, c, w in zip(sides, row, widths, strict=True)).rstrip() for row in rows]


def figures(point: Point) -> dict[str, Any]:
    """What CSV and JSON have of a point."""
    return {name: getattr(point, name) for name in COLUMNS}


def to_csv(name: str, comparison: Comparison) -> str:
    """compare.csv: one line a codec and rate."""
    rows = [line(("input", *COLUMNS))]
    for curve in comparison.curves:
        for point in curve.points:
            fields = [f"{value:.6g}" if isinstance(value, float) else value for value in figures(point).values()]
            rows.append(line([neutral(name), *(neutral(text(value)) for value in fields)]))
    return "".join(rows)


def to_json(name: str, images: np.ndarray, comparison: Comparison, outputs: Sequence[str], notes: Sequence[str]) -> str:
    """The whole comparison in one line."""
    return json.dumps(
        {
            "input": name, "images": len(images), "width": images.shape[2], "height": images.shape[1],
            "dtype": images.dtype.name, "size": comparison.size, "best": comparison.best,
            "rates": [
                {**figures(point), "shown": point is curve.near} for curve in comparison.curves
                for point in curve.points
            ],
            "deltas": [asdict(one) for one in comparison.deltas], "verdict": verdict(comparison),
            "outputs": list(outputs), "notes": [*notes, *comparison.notes],
        },
        allow_nan=False,
    )  # fmt: skip


# The picture


def shown_images(shape: tuple[int, ...], show: int) -> np.ndarray:
    """Which images of a collection (n, h, w[, c]) are shown: at most `show`, evenly spaced, fewer large ones."""
    n, h, w = shape[:3]
    count = max(1, min(show, n, 2 * WINDOW**2 // (h * w)))
    return np.arange(count) * n // count


def side_by_side(name: str, images: np.ndarray, places: np.ndarray, comparison: Comparison) -> Image.Image:
    """The original, and what every codec makes of it in about as many bytes, with figures.

    Parameters
    ----------
    name : str
        For the title.
    images : array, shape (n, h, w) or (n, h, w, 3)
        What was compared.
    places : array of int
        Those of them that are shown, as they were for `compare`.
    """
    shown = tiles(images, places, comparison)
    columns = montage.even_columns(len(shown), shown[0].pixels.shape[0] / shown[0].pixels.shape[1])
    return montage.sheet(shown, columns, " · ".join(said_of(name, images, places, comparison)))


def tiles(images: np.ndarray, places: np.ndarray, comparison: Comparison) -> list[montage.Tile]:
    """The pictures of it: the original, and what those codecs make of it that come near the size."""
    images = images[places]
    span = montage.Span.of(images)
    found = [montage.Tile(_panel(images, span), "original")]
    for curve in _shown(comparison):
        if not curve.far(comparison.size):
            assert curve.near is not None and curve.near.shown is not None  # noqa: S101, PT018
            found.append(montage.Tile(_panel(curve.near.shown, span), _caption(curve.near)))
    return found


def _shown(comparison: Comparison) -> list[Curve]:
    """Curves of which a decoded picture is there."""
    return [c for c in comparison.curves if c.near is not None and c.near.shown is not None]


def said_of(name: str, images: np.ndarray, places: np.ndarray, comparison: Comparison) -> list[str]:
    """What the picture shows, and what it does not."""
    count, images, curves = len(images), images[places], _shown(comparison)
    near = [c for c in curves if not c.far(comparison.size)]
    n, h, w = images.shape[:3]
    rate = 8 * comparison.size / (count * h * w)
    words = [name, f"all in about {comparison.size:,} bytes, {rate:.3g} bit/pixel"]
    if count > 1:
        words.append(f"{n:,} of {count:,} images")
    elif max(h, w) > WINDOW:
        words.append(f"the middle of {w:,} x {h:,} pixels")
    if span := montage.Span.of(images).words:
        words.append(span)
    far = [f"{c.codec.name} ({min(p.bytes for p in c.points):,} bytes at least)" if c.near and
           c.near.bytes > comparison.size else c.codec.name for c in curves if c not in near]  # fmt: skip
    return words + [f"not at this size: {', '.join(far)}"] * bool(far)


def _caption(point: Point) -> str:
    likeness = "equal" if point.psnr_db is None else f"{point.psnr_db:.2f} dB"
    ssim = "" if point.ssim is None else f" · SSIM {point.ssim:.3f}"
    return f"{point.codec} · {point.bytes:,} bytes · {likeness}{ssim}"


def _panel(images: np.ndarray, span: montage.Span) -> np.ndarray:
    """The middle of one picture, or several images in a grid, large enough for a caption."""
    h, w = images.shape[1:3]
    if len(images) == 1:
        top, left = max(0, h - WINDOW) // 2, max(0, w - WINDOW) // 2
        shown = images[0, top : top + WINDOW, left : left + WINDOW]
    else:
        columns = montage.even_columns(len(images), h / w)
        rows = -(-len(images) // columns)
        shown = np.full((rows * (h + 1), columns * (w + 1), *images.shape[3:]), images.max(), images.dtype)
        for place, image in enumerate(images):
            y, x = place // columns * (h + 1), place % columns * (w + 1)
            shown[y : y + h, x : x + w] = image
        shown = shown[:-1, :-1]
    grow = -(-LEAST_WIDTH // shown.shape[1])
    return montage.display(shown, span=span).repeat(grow, axis=0).repeat(grow, axis=1)
