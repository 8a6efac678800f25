"""How near one picture is to another. Arrays of the same shape and type; a peak of 255, 65535 or 1.0 by type."""

from __future__ import annotations

import numpy as np

from .errors import InputError

WINDOW = 11  # pixels, of SSIM's Gaussian
SIGMA = 1.5
TOGETHER = 2**18  # values that are turned into float64 at a time
TILE = 64  # windows filtered by one product
C1, C2 = 0.01**2, 0.03**2


def peak(dtype: np.dtype) -> float:
    """The largest value that pixels of this type can have: 255, 65535, or 1.0 for floats."""
    known = {np.dtype(np.uint8): 255.0, np.dtype(np.uint16): 65535.0}.get(np.dtype(dtype).newbyteorder("="))
    if known is None and np.dtype(dtype).kind != "f":
        raise InputError(f"pictures have type {dtype} (expected uint8, uint16, or floats within 0..1)")
    return known or 1.0


def mse(a: np.ndarray, b: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Mean squared error in squared pixel values, over the entries where `mask` (broadcastable) is True."""
    _check(a, b)
    if mask is not None:
        try:
            mask = np.broadcast_to(np.asarray(mask, dtype=bool), a.shape)
        except ValueError:
            raise InputError(f"mask has shape {np.shape(mask)} (expected {a.shape}, that of the pictures)") from None
    count = a.size if mask is None else int(np.count_nonzero(mask))
    if not count:
        raise InputError("no pixels to compare")
    total, rows = 0.0, max(1, TOGETHER // max(1, a.size // len(a))) if a.ndim else 1
    for top in range(0, len(a) if a.ndim else 1, rows):
        part = slice(top, top + rows) if a.ndim else ...
        squares = np.square(np.subtract(a[part], b[part], dtype=np.float64))
        total += float(squares.sum() if mask is None else squares.sum(where=mask[part]))
    return total / count


def psnr(a: np.ndarray, b: np.ndarray, mask: np.ndarray | None = None) -> float | None:
    """Peak signal-to-noise ratio in dB: 20 is a blur, 30 good, 40 hard to tell apart; None when equal.

    Parameters
    ----------
    a, b : arrays of one shape and type
        The peak is 255 for uint8, 65535 for uint16, 1.0 for floats.
    mask : array of bool, broadcastable to their shape, optional
        True where pixels count.

    Raises
    ------
    InputError
        Their shapes or types differ, or their type is none of these.
    """
    return psnr_of_mse(mse(a, b, mask), a.dtype)


def psnr_of_mse(error: float, dtype: np.dtype) -> float | None:
    """PSNR in dB of a mean squared error; None for 0."""
    return float(10 * np.log10(peak(dtype) ** 2 / error)) if error > 0 else None


def ssim(a: np.ndarray, b: np.ndarray) -> float | None:
    """Structural similarity, 1 for equal pictures, below 0.5 for poor likeness; None below 11 pixels a side.

    Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to structural
    similarity", IEEE Transactions on Image Processing 13, 2004: Gaussian window of 11 x 11 and sigma 1.5, K1 0.01,
    K2 0.03, only windows that lie wholly inside, mean over channels.

    Parameters
    ----------
    a, b : arrays of one shape and type, (h, w), or (h, w, c) with c at most 4

    Raises
    ------
    InputError
        Their shapes or types differ.
    """
    _check(a, b)
    if a.ndim not in (2, 3):
        raise InputError(f"pictures have shape {a.shape} (expected (h, w) or (h, w, channels))")
    if a.ndim == 2:
        a, b = a[:, :, None], b[:, :, None]
    return ssim_stack(np.moveaxis(a, 2, 0), np.moveaxis(b, 2, 0))


def ssim_stack(a: np.ndarray, b: np.ndarray) -> float | None:
    """The mean SSIM of planes, arrays of shape (n, h, w); None below 11 pixels a side."""
    if min(a.shape[1:]) < WINDOW:
        return None
    n, h, w = a.shape
    images, rows = max(1, TOGETHER // (h * w)), max(1, TOGETHER // w)
    total = 0.0
    for i in range(0, n, images):
        for top in range(0, h - WINDOW + 1, rows):
            strip = slice(i, i + images), slice(top, top + rows + WINDOW - 1)
            total += _ssim_sum(a[strip], b[strip])
    return float(total / (n * (h - WINDOW + 1) * (w - WINDOW + 1)))


def _ssim_sum(a: np.ndarray, b: np.ndarray) -> float:
    """SSIM added up over every window of planes (n, h, w)."""
    x, y = a / peak(a.dtype), b / peak(b.dtype)
    mx, my = _blur(x), _blur(y)
    vx, vy, cov = _blur(x * x) - mx * mx, _blur(y * y) - my * my, _blur(x * y) - mx * my
    values = ((2 * mx * my + C1) * (2 * cov + C2)) / ((mx * mx + my * my + C1) * (vx + vy + C2))
    return float(values.sum())


def _blur(x: np.ndarray) -> np.ndarray:
    """Planes (n, h, w) under the window, where it lies wholly inside: (n, h - 10, w - 10)."""
    return _blur_last(_blur_last(x).swapaxes(1, 2)).swapaxes(1, 2)


def _blur_last(x: np.ndarray) -> np.ndarray:
    """Correlation along the last axis as products with a banded matrix, a tile of columns at a time."""
    taps = np.exp(-0.5 * np.square((np.arange(WINDOW) - WINDOW // 2) / SIGMA))
    taps /= taps.sum()
    width = x.shape[-1] - WINDOW + 1
    band = np.zeros((min(TILE, width) + WINDOW - 1, min(TILE, width)))
    for j in range(band.shape[1]):
        band[j : j + WINDOW, j] = taps
    tiles = []
    for first in range(0, width, TILE):
        count = min(TILE, width - first)
        tiles.append(x[..., first : first + count + WINDOW - 1] @ band[: count + WINDOW - 1, :count])
    return np.concatenate(tiles, axis=-1)


def _check(a: np.ndarray, b: np.ndarray) -> None:
    if not (isinstance(a, np.ndarray) and isinstance(b, np.ndarray)):
        raise InputError(f"pictures are {type(a).__name__} and {type(b).__name__} (expected arrays)")
    peak(a.dtype)  # refuses what are no pixels
    if a.shape != b.shape or a.dtype != b.dtype:
        raise InputError(f"pictures differ: {a.shape} {a.dtype} and {b.shape} {b.dtype} (expected one shape and type)")
