"""A picture or a collection factorized in one call; a notebook shows the result beside the original.

from nmfcompress import fit_image, fit_stack, read_image, read_stack
fit_image(read_image("photo.png"), rank=12)      # last line of a cell: original, reconstruction, error
fit_stack(read_stack("digits.npz"), rank=10)     # the first images beside what ten parts make of them
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import UsageError
from .factor.nmf import Factorization
from .images.archives import Stack
from .images.levels import to_levels
from .images.picture import Picture
from .images.saving import encode_png
from .recipes import CollectionFit, Measured, PictureFit, fit_collection, fit_picture
from .report import montage
from .settings import Fit

SHOWN = 10  # images of a collection


@dataclass(frozen=True, eq=False, repr=False)
class ImageFit:
    """One picture from a few parts, and the picture itself.

    Parameters
    ----------
    picture : Picture
    found : PictureFit
        `found.fit` has W, H and the losses, `found.part(j)` is part j as a picture of floats.
    """

    picture: Picture
    found: PictureFit

    @property
    def fit(self) -> Factorization:
        """W, H and the losses."""
        return self.found.fit

    @property
    def reconstruction(self) -> np.ndarray:
        """Of the shape and type of the picture's pixels."""
        return self.found.reconstruction

    def __repr__(self) -> str:
        h, w = self.picture.pixels.shape[:2]
        return f"ImageFit({w}x{h}, {_figures(self.fit, self.found.measured)})"

    def _repr_png_(self) -> bytes:
        """Original, reconstruction and error side by side, for a notebook."""
        caption = _figures(self.fit, self.found.measured).replace(", ", " · ")
        shown = montage.comparison(
            self.picture.pixels, self.reconstruction, self.picture.alpha, caption, len(self.fit.H)
        )
        return encode_png(shown)


@dataclass(frozen=True, eq=False, repr=False)
class StackFit:
    """A collection from the parts that it shares, and the images themselves.

    Parameters
    ----------
    stack : Stack
    found : CollectionFit
        `found.fit` has W, H and the losses, `found.reconstruct(dtype, slice(5, 8))` some of the images again.
    """

    stack: Stack
    found: CollectionFit

    @property
    def fit(self) -> Factorization:
        """W, H and the losses."""
        return self.found.fit

    @property
    def basis(self) -> np.ndarray:
        """The shared parts, shape (rank, h, w) or (rank, h, w, c), those that explain most first."""
        return self.found.basis

    def __repr__(self) -> str:
        n, h, w = self.stack.images.shape[:3]
        return f"StackFit({n:,} images of {w}x{h}, {_figures(self.fit, self.found.measured)})"

    def _repr_png_(self) -> bytes:
        """The first images beside what the parts make of them, for a notebook."""
        images, labels = self.stack.images, self.stack.labels
        count = min(SHOWN, len(images))
        again = self.found.reconstruct(images.dtype, slice(0, count))
        words = [f"image {place}" for place in self.stack.indices[:count]]
        if labels is not None:
            words = [f"label {label}\n{image}" for label, image in zip(labels[:count], words, strict=True)]
        rows = [(images[place], again[place], words[place]) for place in range(count)]
        return encode_png(montage.pairs(rows, _figures(self.fit, self.found.measured).replace(", ", " · ")))


def _figures(fit: Factorization, measured: Measured) -> str:
    likeness = "all pixels equal" if measured.psnr_db is None else f"PSNR {measured.psnr_db:.2f} dB"
    sweeps = len(fit.records)
    return f"rank {len(fit.H)}, {likeness}, relative loss {fit.relative_loss:.4f}, {sweeps} sweep{'s'[: sweeps != 1]}"


def fit_image(picture: Picture | np.ndarray, rank: int, *, mask: np.ndarray | None = None, **options: Any) -> ImageFit:
    """Factorize one picture by its rows, as `nmfc compress` does.

    Parameters
    ----------
    picture : Picture, or array of shape (h, w) or (h, w, 3)
        From `read_image`; arrays of whole numbers or floats, brought to 0..1 by their own range where they are beyond.
    rank : int
        Parts: 3 is a blur of a photo, 30 a likeness.
    mask : array of bool, shape (h, w), optional
        True = known.
    options
        The other fields of `settings.Fit`: max_sweeps, tol, solver, inner, divergence, init, seed, restarts, jobs.

    Returns
    -------
    ImageFit
        A notebook shows original, reconstruction and error.

    Raises
    ------
    InputError, UsageError
        As `factorize`, and where the array is no picture.
    """
    if not isinstance(picture, Picture):
        picture = Picture(*to_levels(_shaped(picture, 2, "(h, w) or (h, w, 3)")))
    return ImageFit(picture, fit_picture(picture.pixels, Fit(rank, **options), mask))


def fit_stack(stack: Stack | np.ndarray, rank: int, *, mask: np.ndarray | None = None, **options: Any) -> StackFit:
    """Learn the parts that a collection shares, one image a row of V, as `nmfc basis` does.

    Parameters
    ----------
    stack : Stack, or array of shape (n, h, w) or (n, h, w, 3)
        From `read_stack`; arrays as for `fit_image`.
    rank : int
        Parts: 10 is typical of digits, 50 of faces.
    mask : array of bool, shape (h, w) or (n, h, w), optional
        True = known.
    options
        As for `fit_image`.

    Returns
    -------
    StackFit
        A notebook shows the first ten images beside their reconstructions.

    Raises
    ------
    InputError, UsageError
        As `factorize`, and where the array is no collection.
    """
    if not isinstance(stack, Stack):
        images, levels = to_levels(_shaped(stack, 3, "(n, h, w) or (n, h, w, 3)"), stack=True)
        stack = Stack(images, levels, None, np.arange(len(images)), False)
    return StackFit(stack, fit_collection(stack.images, Fit(rank, **options), mask))


def _shaped(values: Any, axes: int, expected: str) -> np.ndarray:
    """An array of so many axes, or one more for the colours."""
    array = np.asarray(values)
    if array.ndim != axes and not (array.ndim == axes + 1 and array.shape[-1] == 3):
        raise UsageError(f"array has shape {array.shape} (expected {expected})")
    return np.ascontiguousarray(array)
