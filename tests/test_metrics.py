"""PSNR by its formula, SSIM by a slow direct convolution."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from nmfcompress.errors import InputError
from nmfcompress.metrics import TILE, mse, psnr, ssim, ssim_stack

PEAKS = {"uint8": 255, "uint16": 65535, "float32": 1, "float64": 1, ">u2": 65535, ">f4": 1}


def picture(rng, shape, dtype):
    return (rng.random(shape) * PEAKS[dtype]).astype(dtype)


def noisy(rng, pixels, dtype, amount=0.1):
    top = PEAKS[dtype]
    return np.clip(pixels + amount * top * rng.standard_normal(pixels.shape), 0, top).astype(dtype)


def slow_ssim(a, b, top):
    """Of two planes, window by window, as the paper has it."""
    offsets = np.arange(11) - 5
    window = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * 1.5**2))
    window /= window.sum()
    c1, c2 = (0.01 * top) ** 2, (0.03 * top) ** 2
    values = []
    for y in range(a.shape[0] - 10):
        for x in range(a.shape[1] - 10):
            p, q = (plane[y : y + 11, x : x + 11].astype(np.float64) for plane in (a, b))
            mp, mq = (window * p).sum(), (window * q).sum()
            vp, vq = (window * (p - mp) ** 2).sum(), (window * (q - mq) ** 2).sum()
            cov = (window * (p - mp) * (q - mq)).sum()
            values.append((2 * mp * mq + c1) * (2 * cov + c2) / ((mp**2 + mq**2 + c1) * (vp + vq + c2)))
    return np.mean(values)


@pytest.mark.parametrize("dtype", PEAKS)
@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (6, 5, 3), (2, 6, 5, 3)])
def test_psnr_is_its_formula(dtype, shape, rng):
    a = picture(rng, shape, dtype)
    b = noisy(rng, a, dtype)
    pairs = zip(a.ravel().tolist(), b.ravel().tolist(), strict=True)
    error = sum((x - y) ** 2 for x, y in pairs) / a.size
    assert mse(a, b) == pytest.approx(error)
    assert psnr(a, b) == pytest.approx(10 * math.log10(PEAKS[dtype] ** 2 / error))
    assert psnr(a, b) == psnr(b, a)


@pytest.mark.parametrize("dtype", PEAKS)
def test_equal_pictures(dtype, rng):
    a = picture(rng, (12, 13), dtype)
    assert psnr(a, a.copy()) is None
    assert ssim(a, a.copy()) == pytest.approx(1)


def test_one_level_of_255_and_black_against_white():
    black = np.zeros((4, 4), np.uint8)
    assert psnr(black, black + np.uint8(1)) == pytest.approx(48.1308, abs=1e-4)
    assert psnr(black, black + np.uint8(255)) == 0


@pytest.mark.parametrize("mask_shape", [(6, 5, 3), (6, 5, 1), (5, 3), (3,)])
def test_masked_pixels_do_not_count(mask_shape, rng):
    a = picture(rng, (6, 5, 3), "uint8")
    b = noisy(rng, a, "uint8")
    mask = rng.random(mask_shape) < 0.6
    whole = np.broadcast_to(mask, a.shape)
    assert mse(a, b, mask) == pytest.approx(mse(a[whole], b[whole]))
    assert psnr(a, b, mask) == pytest.approx(psnr(a[whole], b[whole]))
    assert psnr(a, np.where(whole, a, b), mask) is None


@settings(deadline=None, max_examples=15)
@given(st.integers(11, 20), st.integers(11, 20), st.sampled_from(list(PEAKS)), st.integers(0, 999))
def test_ssim_is_the_slow_one(height, width, dtype, seed):
    rng = np.random.default_rng(seed)
    a = picture(rng, (height, width), dtype)
    b = noisy(rng, a, dtype, rng.random())
    assert ssim(a, b) == pytest.approx(slow_ssim(a, b, PEAKS[dtype]), abs=1e-6 if "f" in dtype else 1e-9)


@pytest.mark.parametrize("width", [11, TILE + 9, TILE + 10, TILE + 11, 2 * TILE + 12])
def test_ssim_at_the_edges_of_its_tiles(width, rng):
    """Every width against SciPy's Gaussian filter, cropped to where the window lies inside, as scikit-image does."""
    a = picture(rng, (15, width), "uint8")
    b = noisy(rng, a, "uint8")

    def blur(x):
        return gaussian_filter(x, 1.5, truncate=3.5)[5:-5, 5:-5]

    x, y = a / 255, b / 255
    mx, my = blur(x), blur(y)
    vx, vy, cov = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
    expected = (2 * mx * my + 1e-4) * (2 * cov + 9e-4) / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4))
    assert ssim(a, b) == pytest.approx(expected.mean(), abs=1e-9)
    assert ssim(a.T, b.T) == pytest.approx(expected.mean(), abs=1e-9)


def test_ssim_of_colour_is_the_mean_of_its_channels(rng):
    a = picture(rng, (14, 13, 3), "uint8")
    b = noisy(rng, a, "uint8")
    assert ssim(a, b) == pytest.approx(np.mean([ssim(a[..., c], b[..., c]) for c in range(3)]))


@pytest.mark.parametrize("count", [1, 2, 70])
def test_ssim_of_a_stack_is_the_mean_of_its_pictures(count, rng):
    a = picture(rng, (count, 150, 120), "uint8")
    b = noisy(rng, a, "uint8")
    assert ssim_stack(a, b) == pytest.approx(np.mean([ssim(x, y) for x, y in zip(a, b, strict=True)]))


def test_ssim_falls_with_the_noise(rng):
    a = picture(rng, (40, 40), "float32") * np.float32(0.2) + np.float32(0.4)
    values = [ssim(a, noisy(rng, a, "float32", amount)) for amount in (0.01, 0.05, 0.2, 0.5)]
    assert values == sorted(values, reverse=True)
    assert -1 <= values[-1] < values[0] <= 1


@pytest.mark.parametrize("shape", [(10, 40), (40, 10), (1, 1), (10, 10, 3)])
def test_no_ssim_below_11_pixels(shape):
    assert ssim(np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)) is None


@pytest.mark.parametrize("measure", [mse, psnr, ssim])
@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((20, 19), "uint8"), ((19, 20), "uint8"), ((20, 20, 3), "uint8"), ((20, 20), "uint16"), ((20,), "uint8")],
)
def test_pictures_that_differ_in_shape_or_type_are_refused(measure, shape, dtype):
    with pytest.raises(InputError, match="pictures differ"):
        measure(np.zeros((20, 20), np.uint8), np.zeros(shape, dtype))


@pytest.mark.parametrize("measure", [mse, psnr, ssim])
@pytest.mark.parametrize("dtype", ["int64", "bool", "complex128"])
def test_types_without_a_peak_are_refused(measure, dtype):
    pixels = np.ones((20, 20), dtype)
    with pytest.raises(InputError, match=dtype):
        measure(pixels, np.zeros_like(pixels))


def test_what_cannot_be_compared_is_refused():
    a = np.zeros((4, 4), np.uint8)
    for wrong in (lambda: psnr([1], [2]), lambda: ssim(a[0], a[0]), lambda: psnr(a[:0], a[:0])):
        with pytest.raises(InputError):
            wrong()
    for mask in (np.zeros((4, 4), bool), np.ones((3, 3), bool)):
        with pytest.raises(InputError):
            psnr(a, a, mask)
