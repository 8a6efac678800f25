"""The two main jobs on arrays: what they measure is what the reconstruction shows."""

from __future__ import annotations

import numpy as np
import pytest

from nmfcompress import metrics
from nmfcompress.recipes import fit_collection, fit_picture
from nmfcompress.settings import Fit

DTYPES = ["uint8", "uint16", "float32", "float64"]
TOPS = {"uint8": 255, "uint16": 65535}
SETTINGS = Fit(3, max_sweeps=15)
ROUNDING = {"uint8": 0.5 / 255, "uint16": 0.5 / 65535, "float32": 1e-5, "float64": 1e-12}


def smooth(shape, dtype, seed=0):
    """A few soft waves and some noise, within 0..1 of the type's range."""
    rng = np.random.default_rng(seed)
    axes = np.meshgrid(*[np.linspace(0, 3, side) for side in shape], indexing="ij")
    values = 0.5 + sum(np.sin(axis * rng.uniform(0.5, 2) + rng.random()) for axis in axes) / (2.5 * len(shape))
    values = np.clip(values + 0.05 * rng.standard_normal(shape), 0, 1)
    return np.rint(values * TOPS[dtype]).astype(dtype) if dtype in TOPS else values.astype(dtype)


def unit(pixels):
    return pixels.astype(np.float64) / TOPS.get(pixels.dtype.name, 1)


# One picture


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(20, 16), (20, 16, 3), (16, 20, 3), (3, 3), (3, 40, 3)])
def test_a_picture_is_reconstructed_in_its_shape_and_type(shape, dtype):
    pixels = smooth(shape, dtype)
    found = fit_picture(pixels, SETTINGS)
    assert found.reconstruction.shape == shape
    assert found.reconstruction.dtype == dtype
    assert found.fit.W.shape == (shape[0], 3)
    difference = unit(pixels) - unit(found.reconstruction)
    loss = np.linalg.norm(difference)
    assert loss == pytest.approx(found.fit.loss, abs=ROUNDING[dtype] * np.sqrt(pixels.size) + 0.02 * found.fit.loss)
    assert found.measured.psnr_db == metrics.psnr(pixels, found.reconstruction)
    assert found.measured.ssim == metrics.ssim(pixels, found.reconstruction)
    assert (found.measured.ssim is None) == (min(shape[:2]) < 11)
    assert found.measured.svd_floor <= found.fit.loss * (1 + 1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(20, 16), (20, 16, 3)])
def test_the_parts_add_up_to_the_reconstruction(shape, dtype):
    found = fit_picture(smooth(shape, dtype), SETTINGS)
    parts = [found.part(j) for j in range(3)]
    assert all(part.shape == shape and part.min() >= 0 for part in parts)
    tolerance = ROUNDING[dtype] + 1e-6
    np.testing.assert_allclose(np.clip(sum(parts), 0, 1), unit(found.reconstruction), atol=tolerance)
    shares = found.fit.shares()
    assert (np.diff(shares) <= 0).all(), "parts that explain most come first"


def test_an_exact_fit_has_no_psnr():
    found = fit_picture(np.full((16, 16), 130, np.uint8), Fit(1))
    assert (found.reconstruction == 130).all()
    assert found.measured.psnr_db is None
    assert found.measured.ssim == pytest.approx(1)


def test_only_known_pixels_of_a_picture_count(rng):
    pixels, mask = smooth((20, 16, 3), "uint8"), rng.random((20, 16)) < 0.7
    found, other = (fit_picture(p, SETTINGS, mask) for p in (pixels, np.where(mask[:, :, None], pixels, 255)))
    np.testing.assert_array_equal(found.reconstruction, other.reconstruction)
    assert found.measured == other.measured
    assert found.measured.psnr_db == pytest.approx(metrics.psnr(pixels[mask], found.reconstruction[mask]))
    assert found.measured.ssim is None
    assert found.measured.svd_floor is None


@pytest.mark.parametrize("divergence", ["kl", "is"])
def test_other_divergences_have_no_svd_floor(divergence):
    settings = Fit(2, max_sweeps=5, divergence=divergence)
    assert fit_picture(smooth((12, 12), "uint8"), settings).measured.svd_floor is None
    assert fit_collection(smooth((6, 12, 12), "uint8"), settings).measured.svd_floor is None


# A collection


@pytest.fixture
def many_blocks(monkeypatch):
    monkeypatch.setattr("nmfcompress.factor.blocks.BLOCK_BYTES", 3 * 14 * 13 * 8)


@pytest.mark.usefixtures("many_blocks")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", [(), (3,)])
@pytest.mark.parametrize("jobs", [1, 3])
def test_a_collection_is_measured_as_a_whole(dtype, channels, jobs):
    images = smooth((11, 14, 13, *channels), dtype)
    found = fit_collection(images, Fit(3, max_sweeps=15, jobs=jobs))
    again = found.reconstruct(images.dtype)
    assert again.shape == images.shape
    assert again.dtype == dtype
    assert found.basis.shape == (3, *images.shape[1:])
    assert found.measured.psnr_db == pytest.approx(metrics.psnr(images, again), rel=1e-6)
    each = [metrics.ssim(a, b) for a, b in zip(images, again, strict=True)]
    assert found.measured.ssim == pytest.approx(np.mean(each), rel=1e-5)
    np.testing.assert_array_equal(found.reconstruct(images.dtype, slice(2, 5)), again[2:5])
    np.testing.assert_allclose(unit(again[0]), np.clip(np.tensordot(found.fit.W[0], found.basis, 1), 0, 1),
                               atol=ROUNDING[dtype] + 1e-6)  # fmt: skip


@pytest.mark.usefixtures("many_blocks")
@pytest.mark.parametrize("each", [False, True])
@pytest.mark.parametrize("channels", [(), (3,)])
def test_only_known_pixels_of_a_collection_count(each, channels, rng):
    images = smooth((11, 14, 13, *channels), "uint8")
    mask = rng.random(images.shape[:3] if each else images.shape[1:3]) < 0.7
    known = np.broadcast_to(mask.reshape(mask.shape + (1,) * len(channels)), images.shape)
    found, other = (fit_collection(x, SETTINGS, mask) for x in (images, np.where(known, images, 0)))
    np.testing.assert_array_equal(found.basis, other.basis)
    again = found.reconstruct(images.dtype)
    assert found.measured.psnr_db == pytest.approx(metrics.psnr(images[known], again[known]))
    assert found.measured == other.measured
    assert found.measured.ssim is None
    assert found.measured.svd_floor is None


def test_small_images_have_no_ssim():
    assert fit_collection(smooth((6, 10, 40), "uint8"), SETTINGS).measured.ssim is None


def test_an_all_black_collection():
    found = fit_collection(np.zeros((5, 12, 12), np.uint8), Fit(2))
    assert found.fit.relative_loss == 0
    assert found.measured.psnr_db is None
    assert not found.reconstruct(np.dtype(np.uint8)).any()


def test_sweeps_are_told_and_restarts_compared():
    images, told = smooth((9, 12, 12), "uint8"), []
    settings = Fit(2, max_sweeps=4, tol=0, restarts=3)
    found = fit_collection(images, settings, on_sweep=told.append)
    assert [r.sweep for r in told] == [1, 2, 3, 4] * 3
    assert found.fit.loss == min(r.loss for r in told[3::4])
