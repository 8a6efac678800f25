"""The two main jobs, arrays in and arrays out: one picture by its rows, a collection by its basis."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from . import metrics
from .factor.crew import workers
from .factor.nmf import Factorization, best_rank_loss, cores, factorize_as
from .factor.sweeps import SweepRecord
from .images.arrange import (
    arrange_mask,
    arrange_rows,
    arrange_stack,
    arrange_stack_mask,
    restore_rows,
    restore_stack,
)
from .images.levels import to_pixels
from .images.stored import StoredImages
from .settings import Fit

Images = np.ndarray | StoredImages
MEASURED = 2**17  # pixels at a time, of which SSIM makes a dozen arrays of float64
LOOKED_AT = 10_000  # images of a collection whose SSIM is taken: it costs more than a sweep, and more add no digit
OnSweep = Callable[[SweepRecord], None]


@dataclass(frozen=True)
class Measured:
    """How near the reconstruction came, on pixels as they would be written.

    Parameters
    ----------
    svd_floor : float or None
        The loss no factorization of this rank can go below (frobenius without a mask; None for a large V).
    psnr_db : float or None
        Over all pixels together; None for an exact fit.
    ssim : float or None
        The mean over the images, of a collection above 10,000 over 10,000 of them, evenly spaced; None below 11
        pixels a side or with a mask.
    """

    svd_floor: float | None
    psnr_db: float | None
    ssim: float | None


@dataclass(frozen=True)
class PictureFit:
    """One picture, factorized by its rows: `reconstruction` has the shape and type of the pixels, `fit.H` its parts."""

    fit: Factorization
    reconstruction: np.ndarray
    measured: Measured

    def part(self, j: int) -> np.ndarray:
        """The rank-1 part w_j h_j as a picture of floats."""
        return restore_rows(np.outer(self.fit.W[:, j], self.fit.H[j]), self.reconstruction.shape)


@dataclass(frozen=True)
class CollectionFit:
    """A collection, factorized one image a row: `basis` (rank, h, w[, c]) are the shared parts."""

    fit: Factorization
    basis: np.ndarray
    measured: Measured

    def reconstruct(self, dtype: np.dtype, images: slice = slice(None)) -> np.ndarray:
        """Images again, of the shape and type of the collection's."""
        return to_pixels(restore_stack(self.fit.W[images] @ self.fit.H, self.basis.shape[1:]), dtype)


def caveats(pixels: Images, settings: Fit) -> tuple[str, ...]:
    """What must be said about factorizing these pixels so."""
    if settings.divergence != "is":
        return ()
    step = max(1, 2**20 // math.prod(pixels.shape[1:]))
    parts = (pixels[first : first + step] for first in range(0, len(pixels), step))
    zeros = sum(part.size - int(np.count_nonzero(part)) for part in parts)
    return (f"{zeros:,} zeros count as half a grey level, for Itakura-Saito has no zeros",) if zeros else ()


def fit_picture(
    pixels: np.ndarray, settings: Fit, mask: np.ndarray | None = None, on_sweep: OnSweep | None = None
) -> PictureFit:
    """Factorize one picture by its rows.

    Parameters
    ----------
    pixels : array, shape (h, w) or (h, w, c), uint8, uint16, or floats within 0..1
    mask : array of bool, shape (h, w), optional
        True = known.
    """
    V = arrange_rows(pixels)
    known = None if mask is None else arrange_mask(mask, pixels.shape)
    fit = factorize_as(V, settings, known, on_sweep).sorted()
    reconstruction = to_pixels(restore_rows(fit.W @ fit.H, pixels.shape), pixels.dtype)
    counted = None if mask is None else mask.reshape(mask.shape + (1,) * (pixels.ndim - 2))
    measured = Measured(
        _floor(V, settings, mask),
        metrics.psnr(pixels, reconstruction, counted),
        metrics.ssim(pixels, reconstruction) if mask is None else None,
    )
    return PictureFit(fit, reconstruction, measured)


def fit_collection(
    images: Images, settings: Fit, mask: np.ndarray | None = None, on_sweep: OnSweep | None = None
) -> CollectionFit:
    """Learn the parts that a collection shares.

    Parameters
    ----------
    images : array or StoredImages, shape (n, h, w) or (n, h, w, c), uint8, uint16, or floats within 0..1
        Those that are stored are read in blocks, and never held as a whole.
    mask : array of bool, shape (h, w) or (n, h, w), optional
        True = known.
    """
    V, shape = arrange_stack(images), images.shape[1:]
    known = None if mask is None else arrange_stack_mask(mask, shape)
    fit = factorize_as(V, settings, known, on_sweep).sorted()
    found = CollectionFit(fit, restore_stack(fit.H, shape), Measured(_floor(V, settings, mask), None, None))
    return replace(found, measured=_measure(found, images, known, settings))


def _measure(found: CollectionFit, images: Images, known: np.ndarray | None, settings: Fit) -> Measured:
    """PSNR of all pixels together and the mean SSIM, a block of images at a time."""
    shape = (len(images), math.prod(images.shape[1:]))
    step = max(1, MEASURED // shape[1])
    blocks = [slice(first, min(first + step, shape[0])) for first in range(0, shape[0], step)]
    mask = None if known is None else np.broadcast_to(known, shape)
    looked_at = _evenly(len(images), 0 if mask is not None or min(images.shape[1:3]) < metrics.WINDOW else LOOKED_AT)

    def share(rows: slice) -> tuple[float, float]:
        originals, again = images[rows], found.reconstruct(images.dtype, rows)
        squares = np.square(np.subtract(originals, again, dtype=np.float64)).reshape(len(again), -1)
        within = looked_at[slice(*np.searchsorted(looked_at, (rows.start, rows.stop)))] - rows.start
        likeness = metrics.ssim_stack(*(_planes(x, within) for x in (originals, again))) if len(within) else None
        return float(squares.sum() if mask is None else squares.sum(where=mask[rows])), (likeness or 0.0) * len(within)

    with workers(settings.jobs or cores(), len(blocks)) as each:
        shares = list(each(share, blocks))
    entries = math.prod(shape) if mask is None else int(np.count_nonzero(mask))
    psnr = metrics.psnr_of_mse(sum(s for s, _ in shares) / entries, images.dtype)
    ssim = sum(s for _, s in shares) / len(looked_at) if len(looked_at) else None
    return replace(found.measured, psnr_db=psnr, ssim=ssim)


def _evenly(count: int, most: int) -> np.ndarray:
    """At most `most` of `count` places, evenly spaced, from the first on."""
    kept = min(count, most)
    return np.arange(kept, dtype=np.int64) * count // max(kept, 1)


def _planes(images: np.ndarray, within: np.ndarray) -> np.ndarray:
    """The channels of these images, one after the other: (n, h, w)."""
    chosen = images if len(within) == len(images) else images[within]
    planes = chosen if chosen.ndim == 3 else np.moveaxis(chosen, 3, 1)
    return planes.reshape(-1, *images.shape[1:3])


def _floor(V: Images, settings: Fit, mask: np.ndarray | None) -> float | None:
    if settings.divergence != "frobenius" or mask is not None:
        return None
    return best_rank_loss(V, settings.rank, settings.jobs)
