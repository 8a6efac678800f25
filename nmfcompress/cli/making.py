"""What is made of one picture: its factors, and the bytes of its outputs. It reads no file and writes none."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..codec.drafts import Coded
from ..codec.header import Header, Meta
from ..codec.pictured import described
from ..codec.rows import coded_rows, side_by_side
from ..factor.sweeps import SweepRecord
from ..images.limits import rows_bytes
from ..images.picture import Picture
from ..images.saving import encode_picture
from ..recipes import PictureFit, fit_picture, nothing_left
from ..report import montage
from ..report.pages import Shown
from ..report.panels import Part, Sizes, panel, trio
from ..report.records import Outcome
from ..settings import Fit
from .inputs import Item

SHEET_PARTS = 64  # parts shown of a large rank


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
        m, n = matrix_of(self.item.picture)
        wide = self.item.picture.pixels.itemsize > 4
        return rows_bytes(m, n, min(self.fit.rank, m, n), "nmfc" in self.wanted, wide, is_drawn(self.wanted))


def is_drawn(wanted: Collection[str]) -> bool:
    """Whether there are sheets among the outputs."""
    return "basis" in wanted or "compare" in wanted


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
            files[what], notes = png(_parts(found, job.fit.rank)), ()
        elif outcome is not None:
            files[what], notes = png(_compared(picture, found, outcome)), ()
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


def png(pixels: np.ndarray) -> bytes:
    """The bytes of a PNG."""
    return encode_picture(pixels, "png")[0]


def _parts(found: PictureFit, rank: int) -> np.ndarray:
    """The contact sheet of the rank-1 parts, each scaled to its own maximum, largest share first."""
    explained = found.fit.explained()
    shown = min(rank, SHEET_PARTS)
    panels = (montage.fitted(_stretched(found.part(j)), shown) for j in range(shown))  # small ones are kept
    tiles = [montage.Tile(panel, f"part {j}: {explained[j]:.1%}") for j, panel in enumerate(panels)]
    h, w = found.reconstruction.shape[:2]
    columns = montage.even_columns(shown, h / w) if shown > 3 else shown
    more = f" · the first {shown} of {rank}" if rank > shown else ""
    words = f"rank-1 parts, whose sum is the reconstruction{more} · each scaled to its own maximum · {montage.PERCENT}"
    return montage.sheet(tiles, columns, words)


def _stretched(part: np.ndarray) -> np.ndarray:
    """A part to its own maximum; the array is used up."""
    return montage.stretch(part, out=part)


def _compared(picture: Picture, found: PictureFit, outcome: Outcome) -> np.ndarray:
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
