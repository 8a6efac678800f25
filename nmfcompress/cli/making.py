"""What is made of one picture: its factors, and the bytes of its outputs. It reads no file and writes none."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from PIL import Image

from ..codec.drafts import Coded
from ..codec.header import Header, Meta
from ..codec.pictured import described
from ..codec.rows import coded_rows, side_by_side
from ..factor.sweeps import SweepRecord
from ..images.limits import BESIDE_DRAWING, rows_bytes
from ..images.picture import Picture
from ..images.saving import encode_picture, encode_png
from ..recipes import PictureFit, fit_picture, nothing_left
from ..report import montage
from ..report.pages import Shown
from ..report.panels import Part, Sizes, panel, trio
from ..report.records import Outcome
from ..settings import Fit
from .inputs import Item

SHEET_PARTS = 64  # parts shown of a large rank
FIGURES = " · ".join(["1,000,000 bytes, 8.000 bit/pixel"] * 6)  # about as many words as are under a comparison


@dataclass(frozen=True)
class Job:
    """A picture, and what is wanted of it.

    Parameters
    ----------
    name : str
        Of its input.
    item : Item
    fit : Fit
    mask : array of bool, shape (h, w), optional
        True = known.
    wanted : tuple of str
        Of "image", "basis", "compare" and "nmfc".
    kind : str
        Of the image.
    sweeps, pixels, figures : bool
        Whether the losses of all sweeps are wanted, the reconstruction, and the outcome.
    sizes : Sizes, optional
        Of the pictures of a page, if they are wanted.
    """

    name: str
    item: Item
    fit: Fit
    mask: np.ndarray | None
    wanted: tuple[str, ...]
    kind: str
    sweeps: bool
    pixels: bool
    figures: bool
    sizes: Sizes | None = None

    @property
    def alike(self) -> tuple[object, ...]:
        """Small pictures of which this is the same are worked on together."""
        pixels = self.item.picture.pixels
        return pixels.shape, pixels.dtype

    @property
    def together(self) -> int:
        """How many of them, at most."""
        return side_by_side(self.item.picture.pixels.size)

    @property
    def needs(self) -> int:
        """Bytes that the picture and the work on it take."""
        (m, n), shape = matrix_of(self.item.picture), self.item.picture.pixels.shape
        wide, rank = self.item.picture.pixels.itemsize > 4, min(self.fit.rank, m, n)
        return rows_bytes(m, n, rank, "nmfc" in self.wanted, wide, drawing(self.wanted, shape, rank))


@lru_cache
def drawing(wanted: tuple[str, ...], shape: tuple[int, ...], rank: int) -> int:
    """Bytes of the sheets among the outputs of a picture of this shape, while they are drawn."""
    sizes = []
    if "basis" in wanted:
        sizes.append(_sheet(shape, np.ones(rank)).size)
    if "compare" in wanted:
        sizes.append(montage.compared(shape, ["original"] * 3, FIGURES).size)
    return montage.drawing_bytes(sizes)


def overview_bytes(pixels: np.ndarray, rows: int) -> int:
    """Bytes of so many such images with their reconstructions, and of the picture of them while it is drawn."""
    sheet = montage.Pairs(montage.panel_shape(pixels.shape, rows), [FIGURES[:20]] * rows)
    return 2 * rows * pixels.nbytes + pixels.size * BESIDE_DRAWING + montage.drawing_bytes([sheet.size])


@dataclass(frozen=True)
class Made:
    """What came of it: `files` are bytes by what they are, `lost` says what they could not hold."""

    converged: bool
    outcome: Outcome | None
    files: dict[str, bytes]
    lost: tuple[str, ...]
    records: tuple[SweepRecord, ...]
    pixels: np.ndarray | None
    shown: Shown | None = None


def make(jobs: Sequence[Job], on_sweep: Callable[[SweepRecord], None] | None = None) -> list[Made]:
    """Factorize pictures by their rows, one or several that are alike, and encode what is wanted of each."""
    fits: list[PictureFit] = []
    seconds: list[float] = []
    began = time.perf_counter()
    for job in jobs:
        fits.append(fit_picture(job.item.picture.pixels, job.fit, job.mask, on_sweep))
        seconds.append(time.perf_counter() - began - sum(seconds))
    coded = _coded(jobs, fits)
    shared = (time.perf_counter() - began - sum(seconds)) / len(jobs)
    each = zip(jobs, fits, coded, seconds, strict=True)
    return [_made(job, found, own, spent + shared) for job, found, own, spent in each]


def _made(job: Job, found: PictureFit, coded: Coded | None, seconds: float) -> Made:
    """What came of one of them, on which so many seconds were spent so far."""
    picture, began = job.item.picture, time.perf_counter() - seconds
    outcome = _outcome(job, found, coded, began) if job.figures or "compare" in job.wanted else None
    files: dict[str, bytes] = {}
    lost = nothing_left(found.fit, job.fit)
    for what in job.wanted:
        if what == "nmfc" and coded is not None:
            files[what], notes = coded.data, coded.notes
        elif what == "image":
            files[what], notes = encode_picture(replace(picture, pixels=found.reconstruction), job.kind)
        elif what == "basis":
            files[what], notes = encode_png(_parts(found)), ()
        elif outcome is not None:
            files[what], notes = encode_png(_compared(picture, found, outcome)), ()
        lost += notes
    records = found.fit.records if job.sweeps else ()
    on_page = None if job.sizes is None else _shown(picture, found, job.sizes)
    pixels = found.reconstruction if job.pixels else None
    return Made(found.fit.converged, outcome, files, lost, records, pixels, on_page)


def _outcome(job: Job, found: PictureFit, coded: Coded | None, began: float) -> Outcome:
    """What is told of it, of which the measuring takes as long as a few sweeps."""
    item, (h, w) = job.item, found.pixels.shape[:2]
    return Outcome.of(
        job.fit, found.fit, found.measured, input=job.name, image=item.image, label=item.label, width=w, height=h,
        mode=item.picture.mode, seconds=round(time.perf_counter() - began, 4), **_sizes(coded, found.pixels),
    )  # fmt: skip


def matrix_of(picture: Picture) -> tuple[int, int]:
    """The sides of V."""
    m = picture.pixels.shape[0]
    return m, picture.pixels.size // m


def _parts(found: PictureFit) -> Image.Image:
    """The contact sheet of the rank-1 parts, each scaled to its own maximum, largest share first."""
    sheet = _sheet(found.pixels.shape, found.fit.explained())
    return sheet.drawn(_stretched(found.part(j)) for j in range(len(sheet.captions)))


def _sheet(shape: tuple[int, ...], explained: np.ndarray) -> montage.Sheet:
    """The contact sheet of the parts of a picture of this shape, which explain so much each."""
    rank = len(explained)
    shown = min(rank, SHEET_PARTS)
    columns = montage.even_columns(shown, shape[0] / shape[1]) if shown > 3 else shown
    more = f" · the first {shown} of {rank}" if rank > shown else ""
    words = f"rank-1 parts, whose sum is the reconstruction{more} · each scaled to its own maximum · {montage.PERCENT}"
    captions = [f"part {j}: {explained[j]:.1%}" for j in range(shown)]
    return montage.Sheet(montage.panel_shape(shape, shown), captions, columns, words)


def _stretched(part: np.ndarray) -> np.ndarray:
    """A part to its own maximum; the array is used up."""
    return montage.stretch(part, out=part)


def _compared(picture: Picture, found: PictureFit, outcome: Outcome) -> Image.Image:
    """Original, reconstruction and error side by side."""
    figures = f"{outcome.likeness} · relative loss {outcome.relative_loss:.4f}"
    caption = f"{figures} · rank {outcome.rank} · {outcome.sweeps} sweeps"
    if outcome.bytes is not None:
        caption += f" · {outcome.bytes:,} bytes, {outcome.bits_per_pixel:.3f} bit/pixel"
    return montage.comparison(picture.pixels, found.reconstruction, picture.alpha, caption, outcome.rank)


def _shown(picture: Picture, found: PictureFit, sizes: Sizes) -> Shown:
    """What a page shows."""
    explained = found.fit.explained()
    parts = tuple(
        Part(panel(montage.stretch(found.part(j)), sizes.part), float(explained[j]))
        for j in range(min(len(explained), sizes.parts))
    )
    return Shown(trio(picture.pixels, found.reconstruction, sizes.picture, picture.alpha), parts)


def _coded(jobs: Sequence[Job], fits: Sequence[PictureFit]) -> list[Coded | None]:
    """Pictures as .nmfc files of their factors, where they are wanted."""
    made: list[Coded | None] = [None] * len(jobs)
    wanted = [place for place, job in enumerate(jobs) if "nmfc" in job.wanted]
    if wanted:
        pictures, headers, metas = zip(*(_described(jobs[place].item) for place in wanted), strict=True)
        files = coded_rows(pictures, headers, metas, [fits[place].fit for place in wanted], jobs[0].mask)
        for place, file in zip(wanted, files, strict=True):
            made[place] = file
    return made


def _described(item: Item) -> tuple[np.ndarray, Header, Meta]:
    header, meta = described(item.picture)
    return item.picture.pixels, header, replace(meta, labels=None if item.label is None else np.array([item.label]))


def _sizes(coded: Coded | None, pixels: np.ndarray) -> dict[str, float]:
    if coded is None:
        return {}
    count = pixels.shape[0] * pixels.shape[1]
    return {"bytes": coded.size, "bits_per_pixel": 8 * coded.size / count, "ratio": pixels.nbytes / coded.size}
