"""The mean distance of two rate curves: in bytes at equal PSNR, in PSNR at equal bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

LEAST = 0.05  # dB that two curves have in common at least
Rates = Sequence[tuple[int, float]]


@dataclass(frozen=True)
class Delta:
    """What one codec needs against another.

    Parameters
    ----------
    codec, against : str
    bd_rate : float or None
        Percent of bytes more (negative: fewer) at equal PSNR; None without a common range.
    bd_psnr : float or None
        dB more at equal bytes; None without a common range of bytes.
    psnr_low, psnr_high : float or None
        The common range.
    reach, reach_against : (float, float) or None
        The range of either, in dB.
    """

    codec: str
    against: str
    bd_rate: float | None
    bd_psnr: float | None
    psnr_low: float | None
    psnr_high: float | None
    reach: tuple[float, float] | None
    reach_against: tuple[float, float] | None

    @property
    def words(self) -> str:
        """The truth in one sentence."""
        if self.bd_rate is None:
            own, other = said(self.reach), said(self.reach_against)
            return f"{self.codec} ({own}) and {self.against} ({other}) have no common range"
        between = f"at equal PSNR ({self.psnr_low:.1f} to {self.psnr_high:.1f} dB)"
        if abs(self.bd_rate) < 0.5:
            return f"{self.codec} needs as many bytes as {self.against} {between}"
        more = "more" if self.bd_rate > 0 else "fewer"
        return f"{self.codec} needs {abs(self.bd_rate):.0f} % {more} bytes than {self.against} {between}"


def said(reach: tuple[float, float] | None) -> str:
    """The range of a codec in words."""
    if reach is None:
        return "without loss"
    return f"{reach[0]:.1f} to {reach[1]:.1f} dB" if reach[0] < reach[1] else f"{reach[0]:.1f} dB"


def delta(codec: str, ours: Rates, against: str, theirs: Rates) -> Delta:
    """Compare two codecs by (bytes, PSNR) of their rates, in any order.

    Bjontegaard, "Calculation of average PSNR differences between RD-curves", VCEG-M33, 2001: the mean over the common
    range of the difference of log bytes as a function of PSNR, and of PSNR as a function of log bytes. The curves are
    cubic in pieces (`smooth`) rather than one cubic fitted to four points, so that any number of points will do; on
    four points of a smooth curve both give the same to a fraction of a percent.
    """
    a, b = front(ours), front(theirs)
    reach, other = (_reach(a), _reach(b))
    log_bytes = None if min(len(a), len(b)) < 2 else _mean_difference((a[:, 1], a[:, 0]), (b[:, 1], b[:, 0]), LEAST)
    psnr = None if min(len(a), len(b)) < 2 else _mean_difference((a[:, 0], a[:, 1]), (b[:, 0], b[:, 1]), 1e-3)
    return Delta(
        codec, against, None if log_bytes is None else 100 * (float(np.exp(log_bytes[0])) - 1),
        None if psnr is None else psnr[0], None if log_bytes is None else log_bytes[1],
        None if log_bytes is None else log_bytes[2], reach, other,
    )  # fmt: skip


def front(rates: Rates) -> np.ndarray:
    """log bytes and PSNR (n, 2), both rising: rates for which another has more PSNR in as few bytes are left out."""
    kept: list[tuple[float, float]] = []
    for size, psnr in sorted(rates, key=lambda rate: (rate[0], -rate[1])):
        if not kept or psnr > kept[-1][1] + 1e-6:
            kept.append((float(np.log(size)), psnr))
    return np.array(kept).reshape(-1, 2)


def _reach(curve: np.ndarray) -> tuple[float, float] | None:
    return (float(curve[0, 1]), float(curve[-1, 1])) if len(curve) else None


Points = tuple[np.ndarray, np.ndarray]


def _mean_difference(ours: Points, theirs: Points, least: float) -> tuple[float, float, float] | None:
    """The mean of ours - theirs over their common range, and this range; None if it is shorter than `least`."""
    low, high = max(ours[0][0], theirs[0][0]), min(ours[0][-1], theirs[0][-1])
    if high - low < least:
        return None
    total = sum(sign * _integral(*points, low, high) for sign, points in ((1, ours), (-1, theirs)))
    return float(total / (high - low)), float(low), float(high)


def _integral(x: np.ndarray, y: np.ndarray, low: float, high: float) -> float:
    """Of `smooth` from low to high, by Simpson's rule, which is exact for cubics, piece by piece."""
    curve = smooth(x, y)
    cuts = np.concatenate(([low], x[(x > low) & (x < high)], [high]))
    widths, middles = np.diff(cuts), (cuts[:-1] + cuts[1:]) / 2
    return float((widths / 6 * (curve(cuts[:-1]) + 4 * curve(middles) + curve(cuts[1:]))).sum())


def smooth(x: np.ndarray, y: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """A curve through points (x rising), cubic between them, that never leaves the range of two neighbours.

    Fritsch and Butland, "A method for constructing local monotone piecewise cubic interpolants", SIAM Journal on
    Scientific and Statistical Computing 5, 1984. Two points make a line.
    """
    h, d = np.diff(x), np.diff(y) / np.diff(x)
    slopes = np.full(len(x), d[0])
    if len(x) > 2:
        w1, w2 = 2 * h[1:] + h[:-1], h[1:] + 2 * h[:-1]
        same = d[:-1] * d[1:] > 0
        left, right = np.where(same, d[:-1], 1), np.where(same, d[1:], 1)
        with np.errstate(over="ignore"):  # next to a step that is hardly there the slope is 0
            slopes[1:-1] = np.where(same, (w1 + w2) / (w1 / left + w2 / right), 0)
        slopes[0], slopes[-1] = _end(h[0], h[1], d[0], d[1]), _end(h[-1], h[-2], d[-1], d[-2])

    def curve(at: np.ndarray) -> np.ndarray:
        i = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(h) - 1)
        t = (at - x[i]) / h[i]
        rise = (3 - 2 * t) * t * t
        bend = h[i] * t * (1 - t) * (slopes[i] * (1 - t) - slopes[i + 1] * t)
        found: np.ndarray = y[i] * (1 - rise) + y[i + 1] * rise + bend
        return found

    return curve


def _end(h0: float, h1: float, d0: float, d1: float) -> float:
    """The slope at an end: of the parabola through three points, held back where it would overshoot."""
    slope = ((2 * h0 + h1) * d0 - h0 * d1) / (h0 + h1)
    if slope * d0 <= 0:
        return 0.0
    return 3 * d0 if d0 * d1 <= 0 and abs(slope) > 3 * abs(d0) else float(slope)
