"""A picture or a collection in one call, and what a notebook shows of it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nmfcompress import NmfcError, factorize, fit_image, fit_stack, psnr, read_image, read_stack, ssim
from nmfcompress.images.picture import Picture
from nmfcompress.report import montage


def shown(result: object) -> np.ndarray:
    """What a notebook asks for: a PNG."""
    data = result._repr_png_()  # type: ignore[attr-defined]
    assert data.startswith(b"\x89PNG")
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def test_a_picture_is_shown_beside_its_reconstruction(samples: Path) -> None:
    picture = read_image(samples / "grey.png")
    found = fit_image(picture, 5, max_sweeps=30)
    assert found.reconstruction.shape == picture.pixels.shape
    assert np.allclose(sum(found.found.part(j) for j in range(5)), found.fit.W @ found.fit.H, atol=1e-4)
    sheet, (h, w) = shown(found), picture.pixels.shape
    gap = montage.GAP
    assert np.array_equal(sheet[gap : gap + h, gap : gap + w, 0], picture.pixels)
    assert np.array_equal(sheet[gap : gap + h, 2 * gap + w : 2 * (gap + w), 0], found.reconstruction)
    quality = psnr(picture.pixels, found.reconstruction)
    assert repr(found).startswith(f"ImageFit(320x240, rank 5, PSNR {quality:.2f} dB, relative loss 0.")


def test_it_is_the_factorization_of_the_rows(samples: Path) -> None:
    pixels = read_image(samples / "grey.png").pixels
    found = fit_image(pixels, 3, max_sweeps=20, seed=4)
    plain = factorize(pixels, 3, max_sweeps=20, rng=4).sorted()
    assert np.array_equal(found.fit.W, plain.W)
    assert np.array_equal(found.fit.H, plain.H)
    assert ssim(pixels, found.reconstruction) == found.found.measured.ssim


def test_a_collection_is_shown_as_pairs(samples: Path) -> None:
    stack = read_stack(samples / "swimmer.npz")
    found = fit_stack(stack, 17, max_sweeps=40)
    assert found.basis.shape == (17, 32, 32)
    assert repr(found).startswith("StackFit(256 images of 32x32, rank 17, PSNR ")
    sheet = shown(found)
    grown = montage.fitted(stack.images[0], 10)
    height, width = grown.shape[:2]
    windows = np.lib.stride_tricks.sliding_window_view(sheet[: height + 60, : width + 40, 0], (height, width))
    assert (windows == grown[..., 0]).all(axis=(2, 3)).any()  # the first image is somewhere at the top left


def test_arrays_of_any_numbers_will_do(rng: np.random.Generator) -> None:
    values = rng.random((12, 16, 3)) * 1000
    assert shown(fit_image(values, 2, max_sweeps=5)).ndim == 3
    images = rng.integers(0, 65536, (6, 12, 16)).astype(np.uint16)
    assert shown(fit_stack(images, 2, max_sweeps=5)).ndim == 3
    assert shown(fit_stack(images.tolist(), 2, max_sweeps=5)).ndim == 3


def test_alpha_shows_paper_and_a_mask_is_heeded(rng: np.random.Generator) -> None:
    pixels = rng.integers(0, 256, (200, 200), dtype=np.uint8)
    picture = Picture(pixels, read_levels(pixels), np.zeros_like(pixels))
    assert (shown(fit_image(picture, 2, max_sweeps=5))[20:190, 20:190] == 255).all()
    mask = np.ones((200, 200), bool)
    mask[:5] = False
    assert fit_image(pixels, 2, mask=mask, max_sweeps=5).found.measured.ssim is None


def read_levels(pixels: np.ndarray) -> object:
    from nmfcompress.images.levels import to_levels

    return to_levels(pixels)[1]


def test_an_exact_fit_says_so() -> None:
    pixels = np.outer(np.arange(1, 13), np.ones(20)).astype(np.uint8) * 20
    assert "all pixels equal" in repr(fit_image(pixels, 1))


@pytest.mark.parametrize("values", [np.zeros(3), np.zeros((2, 2, 2, 2, 2)), np.zeros((4, 4, 5)), np.full((4, 4), -1.0)])
def test_what_is_no_picture_is_refused(values: np.ndarray) -> None:
    with pytest.raises(NmfcError):
        fit_image(values, 1)
    with pytest.raises(NmfcError):
        fit_image(np.ones((4, 4)), 5)  # a rank above its sides
    with pytest.raises(NmfcError):
        fit_stack(np.zeros((4, 4)), 1)


def test_a_notebook_finds_the_picture(samples: Path) -> None:
    formatters = pytest.importorskip("IPython.core.formatters")
    found = fit_image(read_image(samples / "grey.png"), 2, max_sweeps=5)
    data, _ = formatters.DisplayFormatter().format(found)
    assert data["image/png"].startswith(b"\x89PNG")
    assert data["text/plain"].startswith("ImageFit(320x240")
