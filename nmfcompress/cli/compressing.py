"""The work of `nmfc compress`: read, factorize, write, say; one picture at a time."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass, field, replace

import numpy as np

from ..codec.drafts import Coded
from ..codec.header import Header, Meta
from ..codec.image import coded_image
from ..errors import InputError, UsageError, about
from ..images import masks
from ..images.files import display
from ..images.levels import Levels
from ..images.limits import WORK_BYTES, Limits, limits_of
from ..images.picture import Picture
from ..images.saving import KINDS, encode_picture, kind_of
from ..recipes import PictureFit, caveats, fit_picture
from ..report import montage, plots
from ..report.records import Curve, Outcome
from ..settings import ARCHIVE_FILES, Coding, Fit, Packing, Reading, Selection, Talk, Writing, check
from .console import Console
from .inputs import STDIN, Batch, Item, Source, pictures, sources
from .outputs import Outputs, stems

GALLERY_ROWS, GALLERY_SAMPLES = 200, 2**25  # images, and pixel values, in the picture of a whole archive
ENDINGS = {"image": ".png", "basis": ".basis.png", "compare": ".compare.png", "nmfc": ".nmfc"}


@dataclass
class Run:
    """What a run knows: the options, where things go, and what it has gathered."""

    fit: Fit
    reading: Reading
    selection: Selection
    writing: Writing
    limits: Limits
    outputs: Outputs
    stems: dict[Source, str]
    console: Console
    curves: list[Curve] = field(default_factory=list)
    plot: str | None = None  # where the curves go, once it is known that they are wanted


def run(
    inputs: tuple[str, ...], fit: Fit, packing: Packing, reading: Reading, selection: Selection, writing: Writing,
    talk: Talk,
) -> int:  # fmt: skip
    """Do all inputs; returns the exit code."""
    _rows_only(packing, reading)
    found, passed = sources(inputs, reading, writing.folder)
    if writing.file is not None:
        writing = _single(writing.file, writing, talk, found)
    elif writing.kind is not None:
        raise UsageError("--to says the kind of -o, and there is none")
    if writing.plot:
        plots.require()
    console = Console(talk)
    limits, outputs = limits_of(reading.max_memory), Outputs(writing, found)
    work = Run(fit, reading, selection, writing, limits, outputs, stems(found), console)
    with console:
        console.remarks(passed)
        try:
            for source in found:
                with console.attempt(source.path):
                    _do(work, source)
        finally:
            _log(work)
        return console.close(writing.folder if writing.file is None else None)


def _do(work: Run, source: Source) -> None:
    """One input: a picture, some frames, or the chosen images of an archive."""
    batch = pictures(source, work.reading, work.selection, work.limits)
    work.console.assumed(source.path, batch.assumed)
    work.console.notes(source.path, batch.notes)
    _refuse_floods(work, source, batch.count)
    work.plot = work.plot or _curves_path(work, batch)
    if work.writing.file is not None and batch.count > 1:
        raise UsageError(f"-o takes one picture, {display(source.path)} gives {batch.count:,} (choose one, or use -O)")
    overview = _overview_path(work, source, batch)
    shared = [path for path in (overview, work.plot) if path is not None]
    if "csv" in work.writing.what:
        shared.append(work.outputs.at_root("loss.csv"))
    gallery: list[tuple[np.ndarray, np.ndarray, str]] = []
    for item in batch.items:
        with about(display(source.path)):
            done = _one(work, source, item, batch, shared)
        if (
            done is not None
            and len(gallery) < GALLERY_ROWS
            and len(gallery) * item.picture.pixels.size < GALLERY_SAMPLES
        ):
            gallery.append((item.picture.pixels, done[0].reconstruction, _beside(item, done[1])))
    if overview is not None and gallery:
        title = f"{display(source.name)} · rank {work.fit.rank}"
        if batch.count > len(gallery):
            title += f" · the first {len(gallery)} of {batch.count:,} images"
            work.console.notes(overview, [f"shows the first {len(gallery)} of {batch.count:,} images"])
        work.outputs.write(overview, _png(montage.pairs(gallery, title)))


def _overview_path(work: Run, source: Source, batch: Batch) -> str | None:
    """Where the picture of all images of an archive goes, if it is wanted."""
    if not batch.archive or "compare" not in work.writing.what:
        return None
    path = work.outputs.beside(source, work.stems[source], ".compare.png")
    if not work.outputs.wanted([path]):
        work.console.notes(path, ["exists and is left as it is (pass -f to draw it anew)"])
        return None
    return path


def _curves_path(work: Run, batch: Batch) -> str | None:
    """Where the loss curves go, if they are wanted; unasked, they are no reason to fail."""
    path, asked = work.outputs.at_root("loss.png"), work.writing.plot
    if asked is None and batch.archive:
        if os.path.lexists(path) and not work.writing.overwrite:
            work.console.notes(path, ["exists and is left as it is (pass -f to draw it anew)"])
            return None
        if not plots.available():
            work.console.remarks([plots.MISSING])
            return None
    return next(iter(work.outputs.wanted([path])), None) if (batch.archive if asked is None else asked) else None


def _refuse_floods(work: Run, source: Source, count: int) -> None:
    """Thousands of files are written on request only."""
    if count > ARCHIVE_FILES and not work.reading.everything and work.writing.file is None:
        files = count * sum(what in ENDINGS for what in work.writing.what) + ("csv" in work.writing.what)
        raise UsageError(
            f"{display(source.path)}: {count:,} pictures would make {files:,} files "
            f"(choose some by --limit, --index, --label or --one-per-label, or pass --all)"
        )


def _one(work: Run, source: Source, item: Item, batch: Batch, shared: list[str]) -> tuple[PictureFit, Outcome] | None:
    """One picture; None when its outputs are all there and may be passed over."""
    picture, writing, console = item.picture, work.writing, work.console
    said = (*picture.notes, *caveats(picture.pixels, work.fit))
    console.notes(source.path, said)
    stem = work.stems[source]
    named = {w: work.outputs.beside(source, stem, item.suffix + ENDINGS[w]) for w in writing.what if w in ENDINGS}
    if writing.file is not None:
        named = {"image": writing.file}
    wanted = work.outputs.wanted([path for path in named.values() if path != STDIN]) + [
        p for p in named.values() if p == STDIN
    ]
    if named and not wanted:
        console.passed_over += 1
        return None
    mask = masks.read_mask(work.reading.mask, picture.pixels.shape[:2], work.limits) if work.reading.mask else None
    m, n = picture.pixels.shape[0], picture.pixels.size // picture.pixels.shape[0]
    work.limits.admit_fit(
        m, n, min(work.fit.rank, m, n), m * n * WORK_BYTES
    )  # a rank above both is refused by the core
    console.bar(source.path + item.suffix, work.fit.max_sweeps * work.fit.restarts)
    began = time.perf_counter()
    found = fit_picture(picture.pixels, work.fit, mask, console.on_sweep)
    coded = _coded(item, found, mask) if named.get("nmfc") in wanted else None
    h, w = picture.pixels.shape[:2]
    outcome = Outcome.of(
        work.fit, found.fit, found.measured, input=source.path, image=item.image, label=item.label, width=w, height=h,
        mode=picture.mode, seconds=round(time.perf_counter() - began, 4), **_sizes(coded, picture.pixels),
    )  # fmt: skip
    notes: list[str] = []
    paths: list[str] = []
    for what, path in named.items():
        if path in wanted:
            data, lost = (coded.data, ()) if coded and what == "nmfc" else _encode(what, work, item, found, outcome)
            _write(work, path, data)
            notes += lost
            paths.append(path)
    console.notes(source.path, notes)
    outcome = replace(outcome, outputs=(*paths, *shared), notes=(*batch.notes, *said, *notes))
    work.curves.append(Curve(display(source.path), item.image, item.label, found.fit.records))
    console.done(outcome)
    return found, outcome


def _encode(what: str, work: Run, item: Item, found: PictureFit, outcome: Outcome) -> tuple[bytes, tuple[str, ...]]:
    """The bytes of one output, and what its kind could not hold."""
    picture = item.picture
    if what == "image":
        kind = "png"
        if work.writing.file is not None:
            kind = work.writing.kind or kind_of(work.writing.file)
        return encode_picture(replace(picture, pixels=found.reconstruction), kind)
    if what == "basis":
        return _png(_parts(found, work.fit.rank)), ()
    figures = f"{outcome.likeness} · relative loss {outcome.relative_loss:.4f}"
    caption = f"{figures} · rank {outcome.rank} · {outcome.sweeps} sweeps"
    if outcome.bytes is not None:
        caption += f" · {outcome.bytes:,} bytes, {outcome.bits_per_pixel:.3f} bit/pixel"
    return _png(montage.comparison(picture.pixels, found.reconstruction, picture.alpha, caption, outcome.rank)), ()


def _rows_only(packing: Packing, reading: Reading) -> None:
    """What is said of one file makes no sense for a folder of pictures."""
    coding = packing.coding
    asked = {
        "--min-psnr": coding.min_psnr, "--target-size": coding.target_size, "--step": coding.step,
        "--basis-from": packing.basis_from, "--resize": reading.resize,
        "--arrangement": None if coding.arrangement == "rows" else coding.arrangement,
    }  # fmt: skip
    for option, value in asked.items():
        if value is not None:
            raise UsageError(f"{option} goes with -o FILE.nmfc")
    if coding.rank is None:
        raise UsageError("-k/--rank is missing (expected the number of parts, such as -k 3)")


def _coded(item: Item, found: PictureFit, mask: np.ndarray | None) -> Coded:
    """The picture as a .nmfc file of its factors."""
    labels = None if item.label is None else np.array([item.label])
    header, meta = described(item.picture)
    coding = Coding(rank=len(found.fit.H))
    return coded_image(item.picture.pixels, coding, replace(meta, labels=labels), header, found.fit, mask=mask)


def described(picture: Picture) -> tuple[Header, Meta]:
    """What a .nmfc file says of a picture."""
    pixels = picture.pixels
    header = Header((1, *pixels.shape), pixels.dtype, *range_of(picture.levels, pixels.dtype), single=True)
    return header, Meta(picture.icc, picture.exif, picture.dpi, picture.alpha, picture.mode)


def range_of(levels: Levels, dtype: np.dtype) -> tuple[float, float]:
    """What 0 and 1 stand for, of floats that were scaled."""
    return (levels.low, levels.high) if dtype.kind == "f" and levels.own else (0.0, 1.0)


def _sizes(coded: Coded | None, pixels: np.ndarray) -> dict[str, float]:
    if coded is None:
        return {}
    count = pixels.shape[0] * pixels.shape[1]
    return {"bytes": coded.size, "bits_per_pixel": 8 * coded.size / count, "ratio": pixels.nbytes / coded.size}


SHEET_PARTS = 64  # parts shown of a large rank


def _parts(found: PictureFit, rank: int) -> np.ndarray:
    """The contact sheet of the rank-1 parts, each scaled to its own maximum, largest share first."""
    explained = found.fit.explained()
    shown = min(rank, SHEET_PARTS)
    panels = (montage.fitted(montage.stretch(found.part(j)), shown) for j in range(shown))  # small ones are kept
    tiles = [montage.Tile(panel, f"part {j}: {explained[j]:.1%}") for j, panel in enumerate(panels)]
    h, w = found.reconstruction.shape[:2]
    columns = montage.even_columns(shown, h / w) if shown > 3 else shown
    more = f" · the first {shown} of {rank}" if rank > shown else ""
    words = f"rank-1 parts, whose sum is the reconstruction{more} · each scaled to its own maximum · {montage.PERCENT}"
    return montage.sheet(tiles, columns, words)


def _beside(item: Item, outcome: Outcome) -> str:
    label = f"label {item.label}\n" if item.label is not None else ""
    return f"{label}image {item.image}\nloss {outcome.loss:.3f}\n{outcome.likeness}"


def _png(pixels: np.ndarray) -> bytes:
    return encode_picture(pixels, "png")[0]


def _write(work: Run, path: str, data: bytes) -> None:
    if path != STDIN:
        work.outputs.write(path, data)
        return
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _single(file: str, writing: Writing, talk: Talk, found: list[Source]) -> Writing:
    """-o: one input, only its reconstruction, of a kind that is known before any work."""
    if len(found) > 1:
        raise UsageError(f"-o takes one input, there are {len(found)} (use -O DIR for several)")
    if writing.what != (*ENDINGS, "csv"):
        raise UsageError("-o writes only the reconstruction; it does not go with --write")
    if writing.plot:
        raise UsageError("-o writes only the reconstruction; it does not go with --plot")
    if file == STDIN:
        if talk.json:
            raise UsageError("-o - and --json would both write to stdout")
        if writing.kind is None:
            raise UsageError("-o - needs --to, such as --to png")
        if sys.stdout is None:
            raise InputError("is closed", "stdout")
        if sys.stdout.isatty():
            raise UsageError("a picture is not written to a terminal (redirect stdout, or use -o FILE)")
    if file.lower().endswith(".nmfc"):
        raise UsageError(f"-o ends in .nmfc, and --to says {writing.kind} (expected one kind)")
    if writing.kind is None:
        kind_of(file)
    else:
        check(writing.kind in KINDS, "--to", writing.kind, "one of " + ", ".join(KINDS))
    return replace(writing, what=("image",), plot=False)


def _log(work: Run) -> None:
    """loss.csv and loss.png of the run."""
    if not work.curves or work.writing.file is not None:
        return
    if "csv" in work.writing.what:
        with work.console.attempt("loss.csv"):
            work.outputs.log(work.curves)
    if work.plot:
        with work.console.attempt("loss.png"):
            work.outputs.write(work.plot, plots.loss_curves(work.curves, work.fit.divergence))
