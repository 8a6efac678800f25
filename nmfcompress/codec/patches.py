"""Pictures <-> bytes, by their patches: a smooth part, and what is left of each patch as a sum of cosine atoms.

A picture of three channels becomes luma and two chroma planes of half the size (BT.601, as in JPEG). Each plane is cut
into patches of 8, 16 or 32 pixels (patch_blocks.py), whose codes come as binary decisions with probabilities from
small networks (patch_model.py); at the end a larger network mends the picture (patch_filter.py). What any of them
learned from photographs is part of the program (patch_tables.py). Of one picture the section "patches" is:

    0   step, in 1 / 65536 of a grey level of 8 bits: unsigned, 32 bits, little-endian
    4   bands kept, 1 to 64; above that bit 7: the picture is mended
    5   the binary logarithm of the lanes
    6   decisions (entropy.py), one chunk

Of n pictures, 2 to 65536, which nothing but these numbers joins, so that any of them is decoded alone, it is:

    0   step, as above
    4   bands kept, 1 to 64
    5   the lengths of n streams, varints from 1, which add up to all that follows them
        the streams, one a picture in their order: a byte, the binary logarithm of the lanes, above that bit 7: this
        picture is mended; then its decisions, one chunk
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from .entropy import BITS, ONE, Reader, Writer
from .patch_blocks import FINE
from .patch_filter import mend
from .patch_planes import Decoded, Source, code_planes
from .patch_streams import (
    BANDS,
    LEAST_STEP,
    MOST_LANE_BITS,
    MOST_STEP,
    ONE_STEP,
    SECTION,
    Stream,
    Streams,
    pack_streams,
    read_streams,
)

LEAST_MENDED = ONE_STEP // 4  # finer than a quarter of a grey level there is nothing to mend
PRICE = 0.1  # of a bit, in squared steps: higher makes smaller files at the same step
LANE_WORTH = 400  # bytes: a lane costs 2 of them
ENCODE_BYTES, DECODE_BYTES = 240, 200  # of memory for a pixel of the picture in work, whatever its channels and type


@dataclass(frozen=True)
class EncodedPatches:
    """A picture's sections, and the picture that they decode to.

    Parameters
    ----------
    sections : dict of str to bytes
    pixels : array, shape and type of the picture
        What `decode_patches` returns.
    """

    sections: dict[str, bytes]
    pixels: np.ndarray


def encode_patches(pixels: np.ndarray, step: float, *, rank: int | None = None) -> EncodedPatches:
    """Encode one picture.

    Parameters
    ----------
    pixels : array of uint8, uint16, or float32 or float64 within 0..1, shape (h, w) or (h, w, 3)
    step : float
        Quantizer step in grey levels of 8 bits, 1/64 to 2048: 20 is good, 50 is typical, 150 is a blur.
    rank : int, optional
        Bands kept of each patch, 1 (its mean, per 8 x 8 pixels) to 64 (all; the default).

    Raises
    ------
    InputError
        The picture is empty or of another shape.
    """
    whole, bands = whole_step(step), kept_bands(rank)
    stream, shown = encode_stream(pixels, whole, bands)
    return EncodedPatches({SECTION: pack_streams(Streams(whole, bands, [stream]))}, shown)


def whole_step(step: float) -> int:
    """The step, of grey levels of 8 bits, as it stands in the file."""
    return int(np.clip(round(step * ONE_STEP), LEAST_STEP, MOST_STEP))


def kept_bands(rank: int | None) -> int:
    """How many bands are kept of each patch."""
    return BANDS if rank is None else min(max(rank, 1), BANDS)


def encode_stream(pixels: np.ndarray, step: int, bands: int) -> tuple[Stream, np.ndarray]:
    """The stream of one picture, and what it decodes to; as `encode_patches`, the step as it stands in the file."""
    if pixels.ndim not in (2, 3) or pixels.size == 0 or pixels.shape[2:] not in ((), (3,)):
        raise InputError(f"patches are cut from pictures of 1 or 3 channels, not from an array {pixels.shape}")
    coder = Recorder()
    decoded = code_planes(coder, plane_shapes(pixels.shape), step, bands, Source(to_planes(pixels), PRICE))
    best, mended = to_pixels(decoded, pixels.shape, pixels.dtype, None), False
    if step >= LEAST_MENDED:
        other = to_pixels(decoded, pixels.shape, pixels.dtype, step)
        mended = _error(other, pixels) < _error(best, pixels)
        best = other if mended else best
    lane_bits = coder.lane_bits()
    return Stream(mended, lane_bits, coder.finish(1 << lane_bits)), best


def decode_patches(
    sections: dict[str, bytes], shape: tuple[int, ...], dtype: np.dtype | type, rank: int | None = None
) -> np.ndarray:
    """Decode a picture; exact on every machine.

    Parameters
    ----------
    shape : tuple of int
        (h, w) or (h, w, 3), as encoded, checked against what memory allows by the caller.
    dtype : uint8, uint16, float32 or float64
    rank : int, optional
        Only the first so many bands of each patch: 1 shows its means, 64 all of it. What is left out is not mended.

    Raises
    ------
    InputError
        The bytes are not those of such a picture.
    """
    return decode_stream(read_streams(sections.get(SECTION, b""), 1), 0, shape, dtype, rank)


def decode_stream(
    streams: Streams, place: int, shape: tuple[int, ...], dtype: np.dtype | type, rank: int | None = None
) -> np.ndarray:
    """Decode the picture of one stream, as `decode_patches`."""
    step, bands, one = streams.step, streams.bands, streams.each[place]
    reader = Reader([one.decisions], 1 << one.lane_bits)
    keep = bands if rank is None else min(max(rank, 1), bands)
    decoded = code_planes(reader, plane_shapes(shape), step, bands, None, keep)
    reader.finish()
    return to_pixels(decoded, shape, np.dtype(dtype), step if one.mended and keep == bands else None)


class Recorder:
    """Keeps decisions until their number, and so the lanes, are known."""

    def __init__(self) -> None:
        self._calls: list[tuple[np.ndarray, np.ndarray]] = []

    def bits(self, values: np.ndarray | None, zeros: np.ndarray) -> np.ndarray:
        assert values is not None  # noqa: S101
        self._calls.append((values, zeros.astype(np.uint16)))
        return values

    def lane_bits(self) -> int:
        """The logarithm of as many lanes as cost half a per cent."""
        bits = sum(float(np.sum(BITS - np.log2(np.where(values, ONE - zeros, zeros)))) for values, zeros in self._calls)
        return int(np.clip(int(bits / 8 / LANE_WORTH).bit_length() - 1, 0, MOST_LANE_BITS))

    def finish(self, lanes: int) -> bytes:
        writer = Writer(lanes)
        for values, zeros in self._calls:
            writer.bits(values, zeros)
        return writer.finish()[0]


def _error(found: np.ndarray, pixels: np.ndarray) -> float:
    difference = found.astype(np.float64) - pixels
    return float(np.vdot(difference, difference))


def plane_shapes(shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """The planes that a picture of this shape has: luma, and two of half the size for colour."""
    h, w = shape[:2]
    return [(h, w)] + [(-(-h // 2), -(-w // 2))] * (2 if len(shape) == 3 else 0)


def to_planes(pixels: np.ndarray) -> list[np.ndarray]:
    """Luma and chroma around 0, floats in grey levels."""
    x = pixels.astype(np.float64) * (255 / _peak(pixels.dtype))
    if x.ndim == 2:
        return [x - 128]
    r, g, b = np.moveaxis(x, 2, 0)
    y = 0.299 * r + 0.587 * g + 0.114 * b
    return [y - 128, _halved((b - y) / 1.772), _halved((r - y) / 1.402)]


def _peak(dtype: np.dtype) -> float:
    return {np.dtype(np.uint8): 255.0, np.dtype(np.uint16): 65535.0}.get(np.dtype(dtype), 1.0)


def _halved(plane: np.ndarray) -> np.ndarray:
    h, w = plane.shape
    p = np.pad(plane, ((0, h % 2), (0, w % 2)), mode="edge")
    halved: np.ndarray = (p[::2, ::2] + p[1::2, ::2] + p[::2, 1::2] + p[1::2, 1::2]) / 4
    return halved


def doubled(plane: np.ndarray) -> np.ndarray:
    """A plane of whole numbers at twice the size: 3/4 of the nearest, 1/4 of the next in each direction."""
    p = np.pad(plane, 1, mode="edge")
    rows = np.empty((2 * plane.shape[0], p.shape[1]))
    rows[::2], rows[1::2] = 3 * p[1:-1] + p[:-2], 3 * p[1:-1] + p[2:]
    wide = np.empty((2 * plane.shape[0], 2 * plane.shape[1]))
    wide[:, ::2], wide[:, 1::2] = 3 * rows[:, 1:-1] + rows[:, :-2], 3 * rows[:, 1:-1] + rows[:, 2:]
    return np.floor(wide / 16 + 0.5)


def to_pixels(decoded: Decoded, shape: tuple[int, ...], dtype: np.dtype, mended: int | None) -> np.ndarray:
    """The picture that planes of whole units of 1 / FINE show; `mended`: the step for the network, None without it."""
    h, w = shape[:2]
    luma, chroma = decoded.planes[0] + 128 * FINE, [doubled(plane) for plane in decoded.planes[1:]]
    if mended is not None:
        more = mend(decoded.planes, decoded.shapes, mended)
        full = [np.pad(luma, ((0, h % 2), (0, w % 2)), mode="edge"), *chroma]
        for i, plane in enumerate(full):
            quarters = plane.reshape(plane.shape[0] // 2, 2, plane.shape[1] // 2, 2).transpose(1, 3, 0, 2)
            part = more[4 * i : 4 * i + 4].astype(np.float64)
            quarters += np.floor(part * mended / (ONE_STEP // FINE * 1024) + 0.5).reshape(quarters.shape)
        luma, chroma = full[0][:h, :w], full[1:]
    if not chroma:
        return _typed(luma, dtype)
    blue, red = (plane[:h, :w] for plane in chroma)
    return _typed(_rgb(luma, blue, red), dtype)


def _rgb(y: np.ndarray, blue: np.ndarray, red: np.ndarray) -> np.ndarray:
    found = np.empty((*y.shape, 3))
    found[..., 0] = y + np.floor(91881 * red / 65536 + 0.5)
    found[..., 1] = y - np.floor((22554 * blue + 46802 * red) / 65536 + 0.5)
    found[..., 2] = y + np.floor(116130 * blue / 65536 + 0.5)
    return found


def _typed(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    top = 255 * FINE
    values = np.clip(values, 0, top)
    if dtype == np.uint8:
        return np.floor(values / FINE + 0.5).astype(np.uint8)
    if dtype == np.uint16:
        return np.floor(values * 257 / FINE + 0.5).astype(np.uint16)
    return (values / top).astype(dtype)
