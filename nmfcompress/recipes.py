"""The two main jobs, arrays in and arrays out: one picture by its rows, a collection by its basis."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from . import metrics
from .codec import rows
from .factor.checkpoint import Checkpoint, OnCheckpoint
from .factor.cluster import Cluster
from .factor.crew import workers
from .factor.nmf import Factorization, best_rank_loss, cores, factorize_as, transform_as
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
SIZED = 2**21  # values of a collection from which the size of its codes is told
EMPTY = 1 - 1e-6  # relative loss of a W H that is next to zero
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


@dataclass(frozen=True, eq=False)
class PictureFit:
    """One picture, factorized by its rows, and what shows how near that came, each computed when it is asked for.

    Parameters
    ----------
    pixels, settings, mask
        As they went into `fit_picture`.
    fit : Factorization
        `fit.H` are its parts.
    """

    pixels: np.ndarray
    settings: Fit
    mask: np.ndarray | None
    fit: Factorization

    @cached_property
    def reconstruction(self) -> np.ndarray:
        """W H, of the shape and type of the pixels."""
        return to_pixels(restore_rows(self.fit.W @ self.fit.H, self.pixels.shape), self.pixels.dtype)

    @cached_property
    def measured(self) -> Measured:
        """How near the reconstruction came."""
        pixels, mask = self.pixels, self.mask
        counted = None if mask is None else mask.reshape(mask.shape + (1,) * (pixels.ndim - 2))
        return Measured(
            _floor(arrange_rows(pixels), self.settings, mask),
            metrics.psnr(pixels, self.reconstruction, counted),
            metrics.ssim(pixels, self.reconstruction) if mask is None else None,
        )

    def part(self, j: int) -> np.ndarray:
        """The rank-1 part w_j h_j as a picture of floats."""
        return restore_rows(np.outer(self.fit.W[:, j], self.fit.H[j]), self.pixels.shape)


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


def nothing_left(fit: Factorization, settings: Fit) -> tuple[str, ...]:
    """What must be said of factors that the penalties have brought to zero."""
    if not settings.penalties or fit.relative_loss < EMPTY:
        return ()
    said = " and ".join(f"{name} {text}" for name, text in settings.penalties.items())
    return (f"{said} leaves nothing: W H is zero (expected less)",)


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
    known = None if mask is None else arrange_mask(mask, pixels.shape)
    return PictureFit(pixels, settings, mask, factorize_as(arrange_rows(pixels), settings, known, on_sweep).sorted())


def fit_collection(
    images: Images, settings: Fit, mask: np.ndarray | None = None, on_sweep: OnSweep | None = None,
    resume: Checkpoint | None = None, on_checkpoint: OnCheckpoint | None = None, crew: Cluster | None = None,
    start: Factorization | None = None,
) -> CollectionFit:  # fmt: skip
    """Learn the parts that a collection shares.

    Parameters
    ----------
    images : array or StoredImages, shape (n, h, w) or (n, h, w, c), uint8, uint16, or floats within 0..1
        Those that are stored are read in blocks, and never held as a whole.
    mask : array of bool, shape (h, w) or (n, h, w), optional
        True = known.
    resume, on_checkpoint
        As for `factorize`.
    crew : Cluster, optional
        The workers of a cluster, over these images one a row: they learn, and they measure.
    start : Factorization, optional
        Of the same images, to begin with.
    """
    known = None if mask is None else arrange_stack_mask(mask, images.shape[1:])
    V = arrange_stack(images) if crew is None else crew
    W, H = (None, None) if start is None else (start.W, start.H)
    fit = factorize_as(V, settings, known, on_sweep, None, W, H, resume, on_checkpoint)
    measured = _measure(fit, images, known, settings, crew)  # before the sorting, of which workers know nothing
    fit = fit.sorted()
    return CollectionFit(fit, restore_stack(fit.H, images.shape[1:]), measured)


def code_collection(
    images: Images, H: np.ndarray, settings: Fit, mask: np.ndarray | None = None, crew: Cluster | None = None
) -> CollectionFit:
    """A collection (or one image) of parts that are given: H (rank, h * w [* c]), whose order is kept."""
    known = None if mask is None else arrange_stack_mask(mask, images.shape[1:])
    fit = transform_as(arrange_stack(images) if crew is None else crew, H, settings, known)
    measured = _measure(fit, images, known, settings, crew)
    return CollectionFit(fit, restore_stack(fit.H, images.shape[1:]), measured)


@dataclass(frozen=True)
class Likeness:
    """What a block of images tells of PSNR and SSIM; it goes to the workers of a cluster.

    Parameters
    ----------
    H : array, shape (rank, h * w [* c])
    shape : (h, w) or (h, w, c)
    looked_at : array of int
        Of which images the SSIM is taken.
    """

    H: np.ndarray
    shape: tuple[int, ...]
    looked_at: np.ndarray

    def __call__(self, V: np.ndarray, W: np.ndarray, first: int, known: np.ndarray | None = None) -> np.ndarray:
        """The squared errors of V (b, h * w [* c]), images from the one numbered `first` on, and their SSIM added."""
        again = to_pixels(W @ self.H, V.dtype)
        squares = np.square(np.subtract(V, again, dtype=np.float64))
        within = self.looked_at[slice(*np.searchsorted(self.looked_at, (first, first + len(V))))] - first
        planes = (_planes(restore_stack(x, self.shape), within) for x in (V, again))
        likeness = metrics.ssim_stack(*planes) if len(within) else None
        return np.array([squares.sum(where=True if known is None else known), (likeness or 0.0) * len(within)])


def _measure(
    fit: Factorization, images: Images, known: np.ndarray | None, settings: Fit, crew: Cluster | None
) -> Measured:
    """svd_floor, PSNR of all pixels together and the mean SSIM, a block of images at a time."""
    shape = (len(images), math.prod(images.shape[1:]))
    mask = None if known is None else np.broadcast_to(known, shape)
    looked_at = _evenly(len(images), 0 if mask is not None or min(images.shape[1:3]) < metrics.WINDOW else LOOKED_AT)
    likeness = Likeness(fit.H, images.shape[1:], looked_at)
    if crew is not None:
        squares, likenesses = crew.total(likeness).tolist()
    else:
        step = max(1, MEASURED // shape[1])
        blocks = [slice(first, min(first + step, shape[0])) for first in range(0, shape[0], step)]

        def share(rows: slice) -> np.ndarray:
            within = None if mask is None else mask[rows]
            return likeness(arrange_stack(images[rows]), fit.W[rows], rows.start, within)

        with workers(settings.jobs or cores(), len(blocks)) as each:
            squares, likenesses = np.sum(list(each(share, blocks)), axis=0).tolist()
    entries = math.prod(shape) if mask is None else int(np.count_nonzero(mask))
    return Measured(
        _floor(arrange_stack(images) if crew is None else crew, settings, known),
        metrics.psnr_of_mse(squares / entries, images.dtype),
        likenesses / len(looked_at) if len(looked_at) else None,
    )


def _evenly(count: int, most: int) -> np.ndarray:
    """At most `most` of `count` places, evenly spaced, from the first on."""
    kept = min(count, most)
    return np.arange(kept, dtype=np.int64) * count // max(kept, 1)


def _planes(images: np.ndarray, within: np.ndarray) -> np.ndarray:
    """The channels of these images, one after the other: (n, h, w)."""
    chosen = images if len(within) == len(images) else images[within]
    planes = chosen if chosen.ndim == 3 else np.moveaxis(chosen, 3, 1)
    return planes.reshape(-1, *images.shape[1:3])


def _floor(V: Images | Cluster, settings: Fit, mask: np.ndarray | None) -> float | None:
    if settings.divergence != "frobenius" or mask is not None:
        return None
    if isinstance(V, Cluster):
        return V.svd_floor(settings.rank)
    return best_rank_loss(V, settings.rank, settings.jobs)


class Lifted:
    """V (m, n) of pixels that were brought to 0..1 by taking their minimum away, with that minimum again.

    What is a sum of parts without negative numbers need not be one after something was taken away.
    """

    def __init__(self, V: Any, lift: float):
        self.V, self.lift, self.shape = V, lift, V.shape
        self.dtype = np.dtype(np.float64 if V.dtype == np.float64 else np.float32)

    def __getitem__(self, rows: slice) -> np.ndarray:
        found: np.ndarray = self.V[rows] + self.dtype.type(self.lift)
        return found


def psnr_of(V: Any, fit: Factorization, lift: float = 0.0) -> float | None:
    """PSNR in dB of pixels, V (m, n) less `lift`, from the factors of V; None for an exact fit."""
    (m, n), squares = V.shape, 0.0
    for first in range(0, m, max(1, MEASURED // n)):
        some = slice(first, first + max(1, MEASURED // n))
        pixels, again = (np.asarray(x) - lift if lift else np.asarray(x) for x in (V[some], fit.W[some] @ fit.H))
        squares += float(np.square(np.subtract(pixels, to_pixels(again, pixels.dtype), dtype=float)).sum())
    return metrics.psnr_of_mse(squares / (m * n), V.dtype)


def size_of(V: Any, fit: Factorization) -> int:
    """Bytes of the factors of V in integers, about, where it is large by a sample of its rows; see codec.rows."""
    m, n = V.shape
    places = _evenly(m, max(1, SIZED // n))
    if len(places) == m:
        return rows.size_of(np.asarray(V[0:m]), fit)
    some = np.concatenate([np.asarray(V[place : place + 1]) for place in places.tolist()])
    return rows.size_of(some, replace(fit, W=np.asarray(fit.W)[places]), m)
