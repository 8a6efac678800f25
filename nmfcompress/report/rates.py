"""A codec at a quality, as compare.csv and its plot have it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .compare import Comparison


@dataclass(frozen=True)
class Rate:
    """Of one input by one codec: `psnr_db` is None where nothing is lost, `ssim` for small pictures."""

    input: str
    codec: str
    bits_per_pixel: float
    psnr_db: float | None
    ssim: float | None


def rates_of(name: str, comparison: Comparison) -> list[Rate]:
    """Every rate that was measured."""
    return [
        Rate(name, point.codec, point.bits_per_pixel, point.psnr_db, point.ssim)
        for curve in comparison.curves
        for point in curve.points
    ]
