"""The same pictures in several codecs at several rates: measured, put side by side, and judged."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from .. import metrics
from ..errors import InputError, NmfcError
from .bjontegaard import Delta, delta, front
from .rivals import Codec

LOOKED_AT = 2**22  # pixel values of which the SSIM is taken: evenly spaced images of a larger collection
NEAR = 0.02  # of the size of the side-by-side picture, which is near enough
TRIES = 3  # more encodings of one codec to come that near
FAR = 1.6  # times the size: a codec whose nearest rate is farther is named, not shown


@dataclass(frozen=True)
class Point:
    """One codec at one quality.

    Parameters
    ----------
    codec, quality : str
        As `Codec.name` and `Codec.words`.
    bytes : int
        All of them.
    bits_per_pixel : float
        Colour channels of a pixel count as one pixel.
    psnr_db : float or None
        Over all pixels together, as decoded, in the images' own type; None when all are equal.
    ssim : float or None
        The mean over images and channels; None below 11 pixels a side.
    encode_seconds, decode_seconds : float
        CPU time of this process, of all its threads together.
    value : float
        The quality as the codec takes it.
    shown : array
        What has become of the images that are shown.
    """

    codec: str
    quality: str
    bytes: int
    bits_per_pixel: float
    psnr_db: float | None
    ssim: float | None
    encode_seconds: float
    decode_seconds: float
    value: float = field(repr=False, default=0.0)
    shown: np.ndarray | None = field(repr=False, default=None, compare=False)


@dataclass(frozen=True)
class Curve:
    """One codec at its rates, from small to large, and which of them is nearest to the common size."""

    codec: Codec
    points: tuple[Point, ...]
    near: Point | None = None

    @property
    def rates(self) -> list[tuple[int, float]]:
        """(bytes, PSNR) of each rate that lost something."""
        return [(p.bytes, p.psnr_db) for p in self.points if p.psnr_db is not None]

    @property
    def sizes(self) -> list[int]:
        """Bytes of each rate."""
        return [p.bytes for p in self.points]

    def far(self, size: int) -> bool:
        """Whether its nearest rate is too far from a size to be shown as of that size."""
        return all(max(some / size, size / some) > FAR for some in self.sizes)


@dataclass(frozen=True)
class Comparison:
    """What was measured.

    Parameters
    ----------
    curves : tuple of Curve
        In the order of the codecs.
    size : int
        Bytes of the side-by-side picture.
    best : str
        Our arrangement that is best; where none of ours was compared, the first codec.
    deltas : tuple of Delta
        Of `best` against every other codec.
    notes : tuple of str
        Codecs and rates that failed, and why; a size that no codec comes near.
    """

    curves: tuple[Curve, ...]
    size: int
    best: str
    deltas: tuple[Delta, ...]
    notes: tuple[str, ...] = ()


def compare(
    images: np.ndarray,
    codecs: Sequence[Codec],
    rates: int = 6,
    size: int | None = None,
    shown: np.ndarray | slice = slice(0, 1),
    on_point: Callable[[Codec], None] = lambda codec: None,
) -> Comparison:
    """Put the same images through every codec.

    Parameters
    ----------
    images : array, shape (n, h, w) or (n, h, w, 3), uint8, uint16, or floats within 0..1
    codecs : sequence of Codec
        Made for these images.
    rates : int
        Qualities of each: 2 make a line, 6 a curve.
    size : int, optional
        Bytes at which they are put side by side; by default in the middle of what most of them reach.
    shown : indices of the images that are kept of every decoding
    on_point : callable, optional
        Called after every rate of every codec, and once more for each when it has been brought near the size.

    Raises
    ------
    InputError
        None of the codecs takes these images.
    """
    notes: dict[str, None] = {}
    work = _Work(images, shown, notes)
    curves = []
    for codec in codecs:
        points: list[Point] = []
        for quality in codec.spread(rates):
            points += work.point(codec, quality)
            on_point(codec)
        curves += [Curve(codec, _sorted(points))] if points else []
    if not curves:
        raise InputError("no codec takes these images: " + "; ".join(notes))
    best = _best(curves)
    size = size or common_size([curve.sizes for curve in curves], curves[best].sizes)
    for place, curve in enumerate(curves):
        curves[place] = work.nearer(curve, size)
        on_point(curve.codec)
    if all(curve.far(size) for curve in curves):
        nearest = min(curves, key=lambda curve: abs(np.log(_nearest(curve.points, size).bytes / size)))
        reached = _nearest(nearest.points, size).bytes
        notes[f"no codec comes near {size:,} bytes (the nearest is {nearest.codec.name} with {reached:,})"] = None
    ours, others = curves[best], (curve for place, curve in enumerate(curves) if place != best)
    deltas = [delta(ours.codec.name, ours.rates, other.codec.name, other.rates) for other in others]
    return Comparison(tuple(curves), size, ours.codec.name, tuple(deltas), tuple(notes))


@dataclass(frozen=True)
class _Work:
    images: np.ndarray
    shown: np.ndarray | slice
    notes: dict[str, None]

    def point(self, codec: Codec, quality: float) -> list[Point]:
        """What the codec makes at this quality; nothing, and a note, where it fails: that costs no other rate."""
        try:
            return [measure(self.images, codec, quality, self.shown)]
        except NmfcError as error:
            self.notes[f"{codec.name}, {codec.words(quality)}: {error.message}"] = None
            return []

    def nearer(self, curve: Curve, size: int) -> Curve:
        """The curve with the rate that is nearest to this size, after a few more encodings if none was near."""
        codec, points = curve.codec, list(curve.points)
        for _ in range(TRIES):
            nearest = _nearest(points, size)
            sizes, values = np.log([p.bytes for p in points]), [p.value for p in points]
            if abs(np.log(nearest.bytes / size)) <= NEAR or not sizes[0] < np.log(size) < sizes[-1]:
                break
            quality = float(np.interp(np.log(size), sizes, values))
            quality = round(quality) if codec.whole else quality
            if quality in values or not (more := self.point(codec, quality)):
                break
            points = list(_sorted(points + more))
        nearest = _nearest(points, size)
        return Curve(codec, tuple(p for p in points if p in curve.points or p is nearest), nearest)


def measure(images: np.ndarray, codec: Codec, quality: float, shown: np.ndarray | slice = slice(0, 0)) -> Point:
    """One codec at one quality, decoded again.

    Raises
    ------
    NmfcError
        The codec's own; or what it decodes is not of the shape and type of the images.
    """
    subject = images if codec.places is None else images[codec.places]
    began = time.process_time()
    parts = codec.encode(subject, quality)
    encoded = time.process_time()
    again = codec.decode(parts)
    decoded = time.process_time()
    if again.shape != subject.shape or again.dtype != subject.dtype:
        raise InputError(f"gives back {again.shape} {again.dtype} (expected {subject.shape} {subject.dtype})")
    more = len(images) / len(subject)
    size = round(sum(len(part) for part in parts) * more)
    looked_at = slice(None, None, -(-subject.size // LOOKED_AT))
    return Point(
        codec.name, codec.words(quality), size, 8 * size / int(np.prod(images.shape[:3])),
        metrics.psnr(subject, again), metrics.ssim_stack(_planes(subject[looked_at]), _planes(again[looked_at])),
        (encoded - began) * more, (decoded - encoded) * more, quality,
        again[shown].copy() if codec.places is None else None,
    )  # fmt: skip


def _planes(images: np.ndarray) -> np.ndarray:
    """The channels of images, one after the other: (n, h, w)."""
    return images if images.ndim == 3 else np.moveaxis(images, 3, 1).reshape(-1, *images.shape[1:3])


def _sorted(points: Sequence[Point]) -> tuple[Point, ...]:
    return tuple(sorted(points, key=lambda point: (point.bytes, point.value)))


def _nearest(points: Sequence[Point], size: int) -> Point:
    return min(points, key=lambda point: abs(np.log(point.bytes / size)))


def common_size(sizes: Sequence[Sequence[int]], own: Sequence[int]) -> int:
    """The size in bytes, of those that `own` spans, which most of these codecs reach: the middle of where that is."""
    tried = np.geomspace(min(own), max(own), 200)
    reached = sum(((tried >= min(some)) & (tried <= max(some))).astype(int) for some in sizes)
    best = tried[reached == np.max(reached)]
    return round(float(np.sqrt(best[0] * best[-1])))


def _best(curves: Sequence[Curve]) -> int:
    """Our arrangement that has the best PSNR at the sizes of the other codecs; the first codec where none is ours."""
    ours = [place for place, curve in enumerate(curves) if curve.codec.ours]
    sizes = [size for curve in curves if not curve.codec.ours for size in curve.sizes]
    best = ours[0] if ours else 0
    for place in ours[1:]:
        best = place if _gain(curves[place], curves[best], sizes) > 0 else best
    return best


def _gain(curve: Curve, other: Curve, sizes: Sequence[int]) -> float:
    """dB that one of two has more, in the mean over the logarithm of the bytes that both can be made of.

    One that ends at fewer bytes than the other goes on as it ends: more bytes make it no better. `sizes`, if any, are
    those of the codecs that the better of the two is to be compared with: none but bytes between them count.
    """
    a, b = front(curve.rates), front(other.rates)
    if not len(a) or not len(b):  # without loss at any rate
        return 0.0
    low, high = max(a[0, 0], b[0, 0]), max(a[-1, 0], b[-1, 0])
    if sizes:
        low, high = np.clip((low, high), *np.log((min(sizes), max(sizes))))
    at = np.linspace(low, high, 200)
    return float((np.interp(at, *a.T) - np.interp(at, *b.T)).mean())
