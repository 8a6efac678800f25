"""Spectral bands or frames of a calibrated movie <-> bytes: V = bands x pixels, few parts, their maps kept as pictures.

V ~ W H is found with W, H >= 0. But parts overlap: an error in one map is an error in all bands that use it, and what
one map shows the others show too. So the product is kept in coordinates in which neither is so,

    W H = A C,   the curves A = W P,   the planes C = P^-1 H

where P is chosen so that the curves are orthogonal to each other, and the planes too: the principal components of W H,
the strongest first. Their errors add up without mixing, all planes are coded with one quantizer step, and a plane that
does not matter costs next to nothing. (JPEG 2000, part 2, calls that a multiple component transform.) Curves and planes
have signs; the bands that they make are clipped to 0 .. peak. A decoder that goes back to W and H and clips those at 0
lost 0.02 to 0.06 dB on a cube of 156 bands with 3 parts, 0.3 to 1.1 dB with 5 or 6, up to 3.9 dB with 8, and nothing
(0.02 dB) on a movie: where parts are alike, P makes large errors of small ones.

The planes are coded as one picture (maps.py) and decoded; only then the curves are found, those that are best for the
decoded planes, and coded (curves.py).

Sections, all numbers integers:

    maps    the planes as pictures: r of them (3 r for colour: each plane's red, then its green, its blue), see maps.py
    codes   the number r of planes, one byte, 1 to 32; the zero of each plane, r bytes; a byte e for the step of each
            curve, r bytes; then the curves, r rows of n, see curves.py

A decoder takes C = picture - zero, and A = floor(2^8 * step * a + 1/2), clipped to -2^39 .. 2^39, of the integer
curves a and the steps (8 + e mod 8) 2^(e div 8 - 25). The bands, times 2^24 and in levels of 8 bits, are At C, clipped
to 0 .. 255 * 2^24: uint8 are that / 2^24, uint16 that * 257 / 2^24, both rounded, halves upwards, and floats that /
(255 * 2^24) in float64, then rounded to their type. Sums stay below 2^53, exact in float64 in any order. Decoded with
fewer planes, the last ones count as 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InputError, UsageError
from ..factor import factorize
from .curves import LARGEST, UNIT, analyze, decode_curves, encode_curves, synthesize
from .maps import codec_here, decode_maps, encode_maps, quality_for

MOST_PARTS = 32
PEAKS = {"uint8": 255.0, "uint16": 65535.0, "float32": 1.0, "float64": 1.0}
BIAS, MANTISSA = 25, 8  # of the bytes that say steps
ONE = 2.0**24  # a level of 8 bits
LARGEST_CODE = 2.0**39
CURVE_STEP = 0.8  # of the planes': measured
DEAD = 0.36  # added to coefficients of curves before they are cut to integers
WORTH = 0.3  # of the step: the root mean square of the numbers of a curve whose plane is kept
SAME = 1e-7  # relative: components below are none
BLOCK = 2**22  # entries of V that are float64 at a time
VALUE_BYTES, PLANE_BYTES, CURVE_BYTES = 26, 14, 26  # of memory while bands, planes and curves are decoded, for a value


@dataclass(frozen=True)
class EncodedBands:
    """Bands as bytes.

    Parameters
    ----------
    sections : dict of bytes
        "maps" and "codes".
    images : array
        What `decode_bands` makes of them, shape and type as given.
    planes : int
        As many as are worth their bytes.
    """

    sections: dict[str, bytes]
    images: np.ndarray
    planes: int


def encode_bands(images: np.ndarray, rank: int, step: float, *, seed: int = 0, jobs: int | None = None) -> EncodedBands:
    """Code aligned bands or frames by a few parts; `Bands` to try several steps for one rank.

    Parameters
    ----------
    images : array, shape (n, h, w) or (n, h, w, 3), uint8, uint16 or floats within 0..1
    rank : int
        Most parts, 1 to 32: 3 are the materials of a plain scene, 8 are as many as pay. Planes that are not worth their
        bytes at this step are left out, so that a rank that is too high does no harm.
    step : float
        Of the quantizers, in 1/255 of the peak: 3 is fine, 10 typical, 30 coarse.
    seed : int
        Of the factorization.
    jobs : int or None
        Threads of the factorization; the bytes are the same for any number.

    Returns
    -------
    EncodedBands

    Raises
    ------
    InputError
        The rank is above the smaller side of V (bands x samples), or V is no such array.
    TooLarge
        Maps that are too large for a picture.
    UsageError
        An argument is out of its range, or this Pillow has no codec for maps.
    """
    return Bands(images, rank, seed=seed, jobs=jobs).encode(step)


class Bands:
    """Bands and their float factors of one rank, to be coded at any step.

    Parameters
    ----------
    images, rank, seed, jobs
        As for `encode_bands`.
    """

    def __init__(self, images: np.ndarray, rank: int, *, seed: int = 0, jobs: int | None = None):
        _checked(images.shape, images.dtype)
        if not 1 <= rank <= MOST_PARTS:
            raise UsageError(f"rank is {rank} (expected 1 to {MOST_PARTS} for bands)")
        self._shape, self._dtype, self._V = images.shape, images.dtype, _flat(images)
        found = factorize(self._V, rank, solver="hals", rng=seed, jobs=jobs)
        self._planes = _principal(found.W.astype(np.float64), found.H.astype(np.float64)) * 255
        n, p = self._V.shape
        self._weights = np.sqrt((self._planes**2).mean(axis=1) * p / n)  # of numbers in curves, for planes of norm 1

    def encode(self, step: float) -> EncodedBands:
        """Code with quantizers of `step`, in 1/255 of the peak (see `encode_bands`)."""
        if not 0 < step < math.inf:
            raise UsageError(f"step is {step} (expected a number above 0)")
        planes = self._planes[: max(1, int((self._weights > WORTH * step).sum()))]
        maps, zeros, decoded = self._coded_planes(planes, step)
        coefficients, deltas = self._quantized_curves(decoded, step)
        head = bytes([len(planes), *zeros.tolist(), *deltas.tolist()])
        images = _images(_codes(coefficients, deltas), decoded, self._shape, self._dtype)
        return EncodedBands({"maps": maps, "codes": head + encode_curves(coefficients)}, images, len(planes))

    def _coded_planes(self, planes: np.ndarray, step: float) -> tuple[bytes, np.ndarray, np.ndarray]:
        """Planes as bytes, their zeros, and as a decoder has them."""
        low, high = np.minimum(planes.min(axis=1), 0), np.maximum(planes.max(axis=1), 0)
        codec, span = codec_here(), float((high - low).max()) or 1.0
        quality = quality_for(codec, step * 255 / span)
        scale = min(quality.step / step, 255 / span)  # levels of the picture to one of the planes
        zeros = np.rint(-low * scale).astype(np.int64)
        pictures = np.clip(np.rint(planes * scale) + zeros[:, None], 0, 255).astype(np.uint8)
        tiles = pictures.reshape(-1, *self._shape[1:3])
        maps = encode_maps(tiles, codec, quality)
        return maps, zeros, decode_maps(maps, tiles.shape).reshape(pictures.shape) - zeros[:, None].astype(np.float64)

    def _quantized_curves(self, planes: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray]:
        """Integer coefficients of the curves that are best for these planes, and the bytes of their steps."""
        gram = planes @ planes.T
        coefficients = analyze(np.linalg.lstsq(gram, self._onto(planes), rcond=SAME**2)[0])
        # So that an error of one step here weighs as much as one in a coefficient of a plane, CURVE_STEP aside.
        fine = CURVE_STEP * step * math.sqrt(len(self._V)) / np.sqrt(np.diag(gram) + 1e-12)
        deltas = _nearest_bytes(np.maximum(fine, np.abs(coefficients).max(axis=1) / LARGEST * 2))
        units = coefficients / _steps(deltas)[:, None]
        return (np.sign(units) * np.floor(np.abs(units) + DEAD)).astype(np.int64), deltas

    def _onto(self, planes: np.ndarray) -> np.ndarray:
        """C Vt, V in levels: (r, n)."""
        return np.concatenate([planes @ block.T for block in self._blocks()], axis=1)

    def _blocks(self) -> Iterator[np.ndarray]:
        n, p = self._V.shape
        rows = max(1, BLOCK // p)
        for first in range(0, n, rows):
            yield self._V[first : first + rows] * (255 / PEAKS[self._dtype.name])


def decode_bands(
    sections: Mapping[str, bytes],
    shape: tuple[int, ...],
    dtype: Any,
    index: np.ndarray | None = None,
    rank: int | None = None,
) -> np.ndarray:
    """The bands again.

    Parameters
    ----------
    sections : mapping of bytes
        As `encode_bands` made them.
    shape : tuple of int
        (n, h, w) or (n, h, w, 3); the caller has checked that so much may be allocated.
    dtype : dtype
        uint8, uint16, float32 or float64.
    index : array of int, optional
        The bands that are wanted, 0 to n - 1.
    rank : int, optional
        How many of the planes are used, the strongest first: fewer are a coarse picture.

    Returns
    -------
    array, shape (len(index) or n, ...), `dtype`

    Raises
    ------
    InputError
        Sections are damaged, or need a codec that this Pillow lacks.
    """
    return read_bands(sections, shape, dtype).bands(index, rank)


@dataclass(frozen=True)
class Mixed:
    """Curves and planes as a decoder has them: makes bands of them, some at a time."""

    curves: np.ndarray
    planes: np.ndarray
    shape: tuple[int, ...]
    dtype: np.dtype

    def bands(self, index: np.ndarray | None = None, rank: int | None = None) -> np.ndarray:
        """Those at `index` (all, where None), of the first `rank` planes."""
        curves = self.curves if index is None else self.curves[:, index]
        return _images(curves[:rank], self.planes[:rank], (curves.shape[1], *self.shape[1:]), self.dtype)


def read_bands(sections: Mapping[str, bytes], shape: tuple[int, ...], dtype: Any) -> Mixed:
    """What bands are made of; as `decode_bands`."""
    shape, dtype = tuple(shape), np.dtype(dtype)
    n, h, w, *colours = _checked(shape, dtype)
    codes = sections.get("codes", b"")
    r = codes[0] if codes else 0
    if not 1 <= r <= MOST_PARTS or len(codes) < 1 + 2 * r:
        raise InputError("its codes are cut off or damaged")
    zeros, deltas = np.frombuffer(codes, np.uint8, 2 * r, 1).reshape(2, r)
    curves = _codes(decode_curves(codes[1 + 2 * r :], r, n), deltas)
    pictures = decode_maps(sections.get("maps", b""), (r * math.prod(colours), h, w))
    return Mixed(curves, pictures.reshape(r, -1) - zeros[:, None].astype(np.float64), shape, dtype)


def reading_bytes(sections: Mapping[str, bytes], shape: tuple[int, ...]) -> int:
    """What `read_bands` takes of memory."""
    r = min(sum(sections.get("codes", b"")[:1]), MOST_PARTS)
    return r * (PLANE_BYTES * math.prod(shape[1:]) + CURVE_BYTES * shape[0])


def _checked(shape: tuple[int, ...], dtype: np.dtype) -> tuple[int, ...]:
    if len(shape) not in (3, 4) or shape[3:] not in ((), (3,)) or min(shape) < 1:
        raise InputError(f"bands of shape {shape} (expected bands, height, width, and 3 for colour)")
    if dtype.name not in PEAKS:
        raise InputError(f"bands of type {dtype.name} (expected {', '.join(PEAKS)})")
    return shape


def _flat(images: np.ndarray) -> np.ndarray:
    """V: one band a row, its channels side by side."""
    ordered = images if images.ndim == 3 else images.transpose(0, 3, 1, 2)
    return ordered.reshape(len(images), -1)


def _principal(W: np.ndarray, H: np.ndarray) -> np.ndarray:
    """The planes C (r, p) of W H = A C, for which the curves A are orthogonal with a mean square of 1.

    Fewer than parts where some are combinations of others; one of nothing where all are nothing.
    """
    _, corner = np.linalg.qr(W)
    left, sizes, _ = np.linalg.svd(corner @ H, full_matrices=False)
    left = left[:, : max(1, int((sizes > SAME * sizes[0]).sum()))]
    planes: np.ndarray = left.T @ corner @ H / math.sqrt(len(W))
    planes *= np.where(planes.sum(axis=1) < 0, -1, 1)[:, None]
    return planes


def _steps(deltas: np.ndarray) -> np.ndarray:
    deltas = deltas.astype(np.int64)
    steps: np.ndarray = np.ldexp((MANTISSA + deltas % MANTISSA).astype(np.float64), deltas // MANTISSA - BIAS)
    return steps


def _nearest_bytes(steps: np.ndarray) -> np.ndarray:
    known = np.log(_steps(np.arange(256)))
    found: np.ndarray = np.abs(known[:, None] - np.log(steps)).argmin(axis=0)
    return found


def _codes(coefficients: np.ndarray, deltas: np.ndarray) -> np.ndarray:
    """A transposed, (r, n), from the coefficients of its curves: whole numbers in float64, ONE is 1."""
    codes = np.floor(synthesize(coefficients) * (_steps(deltas) * (ONE / UNIT))[:, None] + 0.5)
    clipped: np.ndarray = np.clip(codes, -LARGEST_CODE, LARGEST_CODE)
    return clipped


def _images(codes: np.ndarray, planes: np.ndarray, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Bands of `shape` from A transposed (r, n) and C (r, p), both whole numbers."""
    n, h, w, *colours = shape
    images = np.empty((n, *colours, h, w), dtype)
    flat = images.reshape(n, -1)
    rows = max(1, BLOCK // max(flat.shape[1], 1))
    for first in range(0, n, rows):
        part = slice(first, first + rows)
        levels = np.clip(codes[:, part].T @ planes, 0, 255 * ONE)
        if dtype.kind == "f":
            flat[part] = levels / (255 * ONE)
        else:
            flat[part] = np.floor(levels * (PEAKS[dtype.name] / 255) / ONE + 0.5)
    return images.transpose(0, 2, 3, 1) if colours else images
