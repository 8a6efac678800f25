"""The work of `nmfc compress`: read, have it factorized, write, say; all in the order of the inputs.

A picture is prepared (read, and its outputs looked for), made (making.py, which may happen in another process) and
finished (written, and said). Preparing runs ahead of finishing, and so says nothing: what there is to say waits.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import chain
from typing import Any

import numpy as np

from ..errors import OutputError, UsageError, about
from ..factor.nmf import cores
from ..images import masks
from ..images.files import display
from ..images.limits import Limits, limits_of
from ..images.saving import KINDS, encode_png, kind_of
from ..recipes import caveats
from ..report import montage, plots
from ..report.pages import Gathered, of_pictures
from ..report.records import Curve, Log, Outcome, shortened
from ..settings import ARCHIVE_FILES, Fit, Packing, Reading, Selection, Talk, Writing, check
from .console import Console
from .inputs import STDIN, Batch, Item, Source, pictures, sources
from .making import Job, Made, drawing, make, matrix_of, overview_bytes
from .outputs import Outputs, check_file, stems
from .processes import MOST, Processes
from .streams import check_stdout

GALLERY_ROWS, GALLERY_SAMPLES = 200, 2**25  # images, and pixel values, in the picture of a whole archive
PLOTTED = 1000  # curves in loss.png
LEFT = "exists and is left as it is (pass -f to draw it anew)"
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
    found: list[Source]
    stems: dict[Source, str]
    console: Console
    log: Log
    curves: list[Curve] = field(default_factory=list)
    count: int = 0  # pictures that are finished
    report: Gathered | None = None  # what the page of the run shows, if there is one
    plot: str | None = None  # where the curves go, once preparing knows that they are wanted
    drawn: str | None = None  # the same, once finishing has come there

    @cached_property
    def places(self) -> dict[tuple[str, str], int]:
        """Which input has which stem in which folder."""
        return {(source.folder, self.stems[source]): place for place, source in enumerate(self.found)}


@dataclass(eq=False)
class Doing:
    """An input at work: how many pictures it has and how many are prepared, those that are shown together, its end."""

    source: Source
    place: int
    count: int = 1
    prepared: int = 0
    gallery: list[tuple[np.ndarray, np.ndarray, str]] = field(default_factory=list)
    failed: bool = False


@dataclass(frozen=True, eq=False)
class Step:
    """A piece of an input: what is done when it is its turn, then what is made of a picture, and what becomes of that.

    `counts`: it is a picture, or all there is of an input.
    """

    doing: Doing
    then: tuple[Callable[[], None], ...] = ()
    job: Job | None = None
    finish: Callable[[Made], None] | None = None
    counts: bool = False


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
    limits, outputs = limits_of(reading.max_memory, reading.max_pixels), Outputs(writing, found, *reading.beside)
    with console, Log() as log:
        work = Run(
            fit, reading, selection, writing, limits, outputs, found, stems(found, bool(writing.plot)), console, log
        )
        console.remarks(passed)
        outputs.check_log()
        if writing.report is not None and outputs.wanted([writing.report.path]):
            work.report = Gathered()
        elif writing.report is not None:
            console.notes(writing.report.path, [LEFT])
        try:
            _all(work)
        finally:
            _log(work)
        return console.close(writing.folder if writing.file is None else None)


def _all(work: Run) -> None:
    """Every input: several pictures at once, where there are several, and where not blocks of the one."""
    found, console, steps = work.found, work.console, _steps(work)
    first = next(steps)
    count = len(found) if len(found) > 1 else first.doing.count
    several, jobs = count > 1, work.fit.jobs or cores()
    if several:
        work.fit = replace(work.fit, jobs=max(1, jobs // min(count, MOST)))
    work_on = make if several else partial(make, on_sweep=console.on_sweep)
    with Processes(jobs if several else 1, work_on, work.limits.max_memory) as processes:
        if several:
            console.bar_of_all(len(found))
        for step, made in processes.each(chain([first], steps)):
            doing = step.doing
            if doing.failed:
                continue
            with console.attempt(doing.source.path):
                doing.failed = True  # unless it comes to its end
                for act in step.then:
                    act()
                if step.finish is not None:
                    with about(display(doing.source.path)):
                        step.finish(made())
                doing.failed = False
            if step.counts and several:
                console.advance(shortened(display(doing.source.path), 30))
            if doing.failed and console.stops(len(found) - doing.place - 1):
                return


def _steps(work: Run) -> Iterator[Step]:
    """The steps of every input; what is wrong with one is raised in its turn."""
    for place, source in enumerate(work.found):
        doing = Doing(source, place)
        later: list[Callable[[], None]] = []
        try:
            yield from _steps_of(work, doing, later)
        except Exception as error:
            yield Step(doing, (*later, partial(_raise, error)), counts=True)


def _raise(error: Exception) -> None:
    raise error


def _steps_of(work: Run, doing: Doing, later: list[Callable[[], None]]) -> Iterator[Step]:
    """One input: a picture, some frames, or the chosen images of an archive; what is to be said goes to `later`."""
    source, console = doing.source, work.console
    batch = pictures(source, work.reading, work.selection, work.limits, partial(_refuse_floods, work, source))
    doing.count = batch.count
    later += [
        partial(console.assumed, source.path, batch.assumed),
        partial(console.notes, source.path, batch.notes),
        partial(console.more, batch.count - 1),
    ]
    _refuse_floods(work, source, batch.count)
    work.plot = work.plot or _curves_path(work, batch, later)
    later.append(partial(setattr, work, "drawn", work.plot))
    if work.writing.file is not None and batch.count > 1:
        raise UsageError(f"-o takes one picture, {display(source.path)} gives {batch.count:,} (choose one, or use -O)")
    overview = _overview_path(work, source, batch, later)
    report = work.writing.report.path if work.writing.report and work.report else None
    shared = [path for path in (overview, work.plot, report) if path is not None]
    if "csv" in work.writing.what:
        shared.append(work.outputs.at_root("loss.csv"))
    yield _step(doing, later)
    for item in batch.items:
        if doing.failed:
            return
        with about(display(source.path)):
            step = _prepared(work, doing, item, batch, overview is not None, shared, later)
        yield step
    if overview is not None:
        later.append(partial(_overview, work, doing, overview))
        yield _step(doing, later)


def _step(doing: Doing, later: list[Callable[[], None]], **rest: Any) -> Step:
    """A step that says what has gathered."""
    then = tuple(later)
    later.clear()
    return Step(doing, then, **rest)


def _overview_path(work: Run, source: Source, batch: Batch, later: list[Callable[[], None]]) -> str | None:
    """Where the picture of all images of an archive goes, if it is wanted."""
    if not batch.archive or "compare" not in work.writing.what:
        return None
    path = work.outputs.beside(source, work.stems[source], ".compare.png")
    if not work.outputs.wanted([path]):
        later.append(partial(work.console.notes, path, [LEFT]))
        return None
    return path


def _overview(work: Run, doing: Doing, path: str) -> None:
    """Draw the picture of all images of an archive."""
    gallery = doing.gallery
    if not gallery:
        return
    title = f"{display(doing.source.name)} · rank {work.fit.rank}"
    if doing.count > len(gallery):
        title += f" · the first {len(gallery)} of {doing.count:,} images"
        work.console.notes(path, [f"shows the first {len(gallery)} of {doing.count:,} images"])
    work.outputs.write(path, encode_png(montage.pairs(gallery, title)))


def _curves_path(work: Run, batch: Batch, later: list[Callable[[], None]]) -> str | None:
    """Where the loss curves go, if they are wanted; unasked, they are no reason to fail."""
    path, asked = work.outputs.at_root("loss.png"), work.writing.plot
    if asked is None and batch.archive:
        if os.path.lexists(path) and not work.writing.overwrite:
            later.append(partial(work.console.notes, path, [LEFT]))
            return None
        if not plots.available():
            later.append(partial(work.console.remarks, [plots.MISSING.format("loss.png")]))
            return None
    return next(iter(work.outputs.wanted([path])), None) if (batch.archive if asked is None else asked) else None


def _refuse_floods(work: Run, source: Source, count: int) -> None:
    """Thousands of files are written on request only."""
    if count > ARCHIVE_FILES and not work.reading.everything and work.writing.file is None:
        files = count * sum(what in ENDINGS for what in work.writing.what) + ("csv" in work.writing.what)
        raise UsageError(
            f"{count:,} pictures would make {files:,} files "
            f"(choose some by --limit, --index, --label or --one-per-label, or pass --all)",
            display(source.path),
        )


def _prepared(
    work: Run, doing: Doing, item: Item, batch: Batch, shown: bool, shared: list[str],
    later: list[Callable[[], None]],
) -> Step:  # fmt: skip
    """One picture, ready to be worked on; there is no job when its outputs are all there and may be passed over."""
    picture, writing, console, source = item.picture, work.writing, work.console, doing.source
    said = (*picture.notes, *caveats(picture.pixels, work.fit))
    if said:
        later.append(partial(console.notes, source.path, said))
    stem = work.stems[source]
    named = {w: work.outputs.beside(source, stem, item.suffix + ENDINGS[w]) for w in writing.what if w in ENDINGS}
    if writing.file is not None:
        named = {"image": writing.file}
    if item.suffix and work.places.get((source.folder, stem + item.suffix), doing.place) < doing.place:
        path = next(iter(named.values()), stem + item.suffix)
        raise OutputError("is an output of this run already, for another input", display(path))
    # of a hundred thousand pictures, whose stems are all different, the names need not be kept
    wanted = work.outputs.wanted([path for path in named.values() if path != STDIN], unique=not item.suffix)
    paths = {what: path for what, path in named.items() if path in wanted or path == STDIN}
    if named and not paths:
        later.append(console.passes_over)
        return _step(doing, later, counts=True)
    mask = masks.read_mask(work.reading.mask, picture.pixels.shape[:2], work.limits) if work.reading.mask else None
    m, n = matrix_of(picture)
    # a rank above both is refused by the core
    rank, wide = min(work.fit.rank, m, n), picture.pixels.itemsize > 4
    drawn = drawing(tuple(paths), picture.pixels.shape, rank)
    work.limits.admit_rows(m, n, rank, "nmfc" in paths, wide, drawn)
    if len(work.found) == doing.count == 1:
        later.append(partial(console.bar, source.path + item.suffix, work.fit.max_sweeps * work.fit.restarts))
    kind = "png" if writing.file is None else writing.kind or kind_of(writing.file)
    shown = shown and doing.prepared < GALLERY_ROWS and doing.prepared * picture.pixels.size < GALLERY_SAMPLES
    if shown and not doing.prepared:
        rows = min(doing.count, GALLERY_ROWS, -(-GALLERY_SAMPLES // picture.pixels.size))
        work.limits.admit(overview_bytes(picture.pixels, rows), f"the picture of {rows} images", "leave out compare")
    doing.prepared += 1
    sizes = None if work.report is None else work.report.sizes(max(len(work.found), doing.count))
    figures = console.wants_figures or shown or work.report is not None
    job = Job(source.path, item, work.fit, mask, tuple(paths), kind, _sweeps_wanted(work), shown, figures, sizes)
    finish = partial(_finish, work, doing, item, paths, shared, (*batch.notes, *said))
    return _step(doing, later, job=job, finish=finish, counts=True)


def _sweeps_wanted(work: Run) -> bool:
    """Whether the losses sweep by sweep go anywhere."""
    if work.report is not None:
        return True
    return work.writing.file is None and ("csv" in work.writing.what or work.writing.plot is not False)


def _finish(
    work: Run, doing: Doing, item: Item, paths: dict[str, str], shared: list[str], notes: tuple[str, ...], made: Made
) -> None:
    """Write what was made of a picture, and say it."""
    source, console = doing.source, work.console
    for what, path in paths.items():
        work.outputs.write(path, made.files[what])
    console.notes(source.path, made.lost)
    work.count += 1
    curve = Curve(display(source.path), item.image, item.label, made.records)
    if made.records:
        if "csv" in work.writing.what:
            work.log.add(curve)
        if work.writing.plot is not False and len(work.curves) < PLOTTED:
            work.curves.append(curve)
    if made.outcome is None:
        console.counts(made.converged)
        return
    outcome = replace(made.outcome, outputs=(*paths.values(), *shared), notes=(*notes, *made.lost))
    if work.report is not None:
        work.report.add(outcome, made.shown, curve)
    if made.pixels is not None:
        doing.gallery.append((item.picture.pixels, made.pixels, _beside(item, outcome)))
    console.done(outcome)


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


def _beside(item: Item, outcome: Outcome) -> str:
    label = f"label {item.label}\n" if item.label is not None else ""
    return f"{label}image {item.image}\nloss {outcome.loss:.3f}\n{outcome.likeness}"


def _single(file: str, writing: Writing, talk: Talk, found: list[Source]) -> Writing:
    """-o: one input, only its reconstruction, of a kind that is known before any work."""
    if len(found) > 1:
        raise UsageError(f"-o takes one input, there are {len(found)} (use -O DIR for several)")
    check_alone(writing, "the reconstruction")
    if file == STDIN:
        if writing.kind is None and not talk.json:
            raise UsageError("-o - needs --to, such as --to png")
        check_stdout("a picture is", talk)
    if writing.kind is None:
        kind_of(file)
    else:
        check(writing.kind in KINDS, "--to", writing.kind, "one of " + ", ".join(KINDS))
    return replace(writing, what=("image",), plot=False)


def check_alone(writing: Writing, output: str) -> None:
    """Raise UsageError where other outputs are asked for beside that of -o."""
    check_file(writing)
    others = {"--write": writing.what != (*ENDINGS, "csv"), "--plot": writing.plot, "--report": writing.report}
    for option, asked in others.items():
        if asked:
            raise UsageError(f"-o writes only {output}; it does not go with {option}")


def _log(work: Run) -> None:
    """loss.csv and loss.png of the run."""
    if work.writing.file is not None or not work.count:
        return
    if "csv" in work.writing.what:
        with work.console.attempt("loss.csv"):
            work.outputs.merge(work.log)
    if work.report is not None and work.writing.report is not None:
        with work.console.attempt(work.writing.report.path):
            made = of_pictures(work.report, work.fit, work.writing.report, work.console.failures)
            work.outputs.write(work.writing.report.path, made)
    if work.drawn and work.curves:
        with work.console.attempt("loss.png"):
            work.outputs.write(work.drawn, plots.loss_curves(work.curves, work.fit.divergence))
        if work.count > PLOTTED:
            work.console.notes(work.drawn, [f"shows the first {PLOTTED:,} of {work.count:,} images"])
