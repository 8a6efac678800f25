"""What the pictures are computed with."""

from __future__ import annotations

import numpy as np


def noise(rng: np.random.Generator, shape: tuple[int, ...], slope: float) -> np.ndarray:
    """Return periodic noise whose amplitude falls as frequency ** -slope (0 is white, 1 clouds, 2 hills).

    Parameters
    ----------
    rng : numpy.random.Generator
        Where the white noise comes from.
    shape : tuple of int
        Height and width.
    slope : float
        How smooth the result is.

    Returns
    -------
    numpy.ndarray
        ``shape`` floats of mean 0 and standard deviation 1.
    """
    frequency = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1]))
    frequency[0, 0] = np.inf
    field = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(shape)) * frequency**-slope if slope else 1, s=shape)
    return np.asarray(field / field.std())


def sample(field: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return the values of a periodic field at fractional positions, bilinearly interpolated."""
    top, left = np.floor(y).astype(int), np.floor(x).astype(int)
    y, x = y - top, x - left
    height, width = field.shape
    top, below, left, right = top % height, (top + 1) % height, left % width, (left + 1) % width
    upper = field[top, left] * (1 - x) + field[top, right] * x
    lower = field[below, left] * (1 - x) + field[below, right] * x
    return np.asarray(upper * (1 - y) + lower * y)


def step(low: float, high: float, x: np.ndarray) -> np.ndarray:
    """Return the smooth step from 0 (at or below low) to 1 (at or above high)."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def mix(a: np.ndarray, b: np.ndarray | list[float], t: np.ndarray) -> np.ndarray:
    """Return a where t is 0, b where t is 1; t gets a colour axis."""
    return np.asarray(a + (np.asarray(b) - a) * t[..., None])


def halve(picture: np.ndarray) -> np.ndarray:
    """Return the means of 2 x 2 pixels."""
    return np.asarray((picture[::2, ::2] + picture[1::2, ::2] + picture[::2, 1::2] + picture[1::2, 1::2]) / 4)


def to_uint8(picture: np.ndarray) -> np.ndarray:
    """Return 0..1 floats as rounded and clipped bytes."""
    return np.asarray(np.clip(np.rint(picture * 255), 0, 255), np.uint8)
