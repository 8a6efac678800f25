"""The work of `nmfc basis`: read the collection, learn its parts, write, say."""

from __future__ import annotations

import glob
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from ..errors import InputError, about
from ..factor.nmf import cores
from ..factor.start import start_bytes
from ..images import masks, stacks
from ..images.archives import Stack
from ..images.files import display, file_id
from ..images.limits import BESIDE_DRAWING, Limits, in_flight, limits_of
from ..images.saving import encode_picture, encode_png
from ..images.stored import held
from ..recipes import CollectionFit, caveats, code_collection, fit_collection, nothing_left
from ..report import montage, plots
from ..report.pages import of_collection
from ..report.panels import SHOWN, Part, panel, trio
from ..report.records import Curve, Outcome
from ..settings import Course, Fit, Ranking, Reading, Selection, Talk, Writing, check
from ..showing import Report
from .console import Console
from .continuing import Keeper, Start, about_run, begin
from .factors import encode_factors
from .inputs import Source, chosen, content, label_of, mode_of, sources
from .outputs import Outputs
from .spreading import Spread, spread, write_factor
from .trying import remarks_on, try_ranks

SHEET_PARTS = 400  # parts shown on the contact sheet of a large rank
TITLE = " · ".join([montage.PERCENT] * 3)  # about as many words as are under a sheet
PAGE_PARTS, PART_SIDE, PAIR_SIDE = 100, 128, 160  # and on the page, with pixels a side of parts and of images


@dataclass(frozen=True)
class Learned:
    """What the outputs are made from."""

    name: str
    fit: Fit
    stack: Stack
    found: CollectionFit
    outcome: Outcome
    W: dict[str, np.ndarray] = field(default_factory=dict)  # as factors.npz has it


def run(
    inputs: tuple[str, ...],
    fit: Fit,
    course: Course,
    reading: Reading,
    selection: Selection,
    writing: Writing,
    talk: Talk,
    scheduler: str | None = None,
) -> int:
    """Learn one basis from all inputs; returns the exit code."""
    if writing.plot:
        plots.require()
    console, limits = Console(talk), limits_of(reading.max_memory, reading.max_pixels)
    found, passed = sources(inputs, reading, writing.folder, open_folders=True)
    outputs = Outputs(writing, found, course.basis_from, *reading.beside)
    name = name_of(inputs, found)
    with console, console.attempt(name), spread(scheduler, reading) as work:
        console.remarks(passed)
        outputs.check_log()
        start = begin(fit, course, limits)
        stack = read_collection(found, name, reading, selection, limits, console, alone=start.given is not None)
        if start.given is not None:
            start.given.check(stack)
        if course.auto:
            check(not reading.mask and not scheduler, "-k/--rank", "auto with a mask or a scheduler", "a number")
            free = replace(start.fit, l1=(0.0, 0.0), l2=(0.0, 0.0))  # how many parts there are is no matter of cost
            ranks, _ = try_ranks(name, stack, Ranking(), free, limits, console, from_zero=False)
            start = replace(start, fit=replace(start.fit, rank=ranks.recommended), tried=ranks)
        named = _named(outputs, writing, _possible(start, stack), _plot(writing, start, console))
        wanted = outputs.wanted([path for path, _ in named])
        if named and not wanted:
            console.passed_over += 1
        else:
            keeper = _keeper(course, outputs, [path for path, _ in named], console)
            drawn = _drawing(writing, _possible(start, stack), stack.images.shape)
            with about_run(course.resume):
                learned = _learn(name, stack, start, keeper, reading, limits, console, work, drawn)
            console.remarks(start.remarks)
            paths = _write(learned, outputs, [(path, encode) for path, encode in named if path in wanted])
            console.remarks(_left_over(outputs, {path for path, _ in named}))
            console.done(replace(learned.outcome, outputs=paths))
    return console.close(writing.folder)


def _write(learned: Learned, outputs: Outputs, wanted: list[tuple[str, Encode]]) -> tuple[str, ...]:
    """Write every output, and the rows of the log; the paths."""
    if any(encode is _factors for _, encode in wanted):
        learned = replace(
            learned, W=write_factor(learned.found.fit.W, outputs.writing.folder, outputs.writing.overwrite)
        )
    for path, encode in wanted:
        outputs.write(path, encode(learned))
    shards = [outputs.at_root(str(name)) for name in learned.W.get("W_files", ())]
    curve = Curve(display(learned.name), None, None, learned.found.fit.records)
    log = outputs.log([curve]) if "csv" in outputs.writing.what else None
    return (*(path for path, _ in wanted), *shards, *((log,) if log else ()))


def read_collection(
    found: list[Source], name: str, reading: Reading, selection: Selection, limits: Limits, console: Console,
    alone: bool, tables: bool = False,
) -> Stack:  # fmt: skip
    """The collection that the selection leaves; `alone`: it may be one image; `tables`: or one of numbers."""
    data = [content(source, limits) for source in found]
    options = {"key": reading.key, "axis": reading.axis, "order": reading.order, "split": selection.split,
               "gray": reading.gray, "resize": reading.resize, "collection": not tables, "limits": limits}  # fmt: skip
    if len(data) == 1:
        stack = stacks.read_stack(data[0], name=display(found[0].path), **options)  # type: ignore[arg-type]
    else:
        if not all(isinstance(one, str) for one in data):
            raise InputError("stdin or a pipe is one whole collection; it does not go with other inputs")
        stack = stacks.read_stack([str(one) for one in data], **options)  # type: ignore[arg-type]
    if len(stack.images) == 1 and not alone:
        raise InputError("is one image, and a basis is what several share (nmfc compress takes single pictures)")
    console.assumed(name, stack.assumed)
    console.notes(name, stack.notes)
    with about(display(name)):
        return chosen(stack, selection)


def _possible(start: Start, stack: Stack) -> int:
    """The rank, or the largest there is: one above it is refused by the core, and must not cost memory before."""
    if start.given is not None:
        return start.fit.rank
    return min(start.fit.rank, len(stack.images), math.prod(stack.images.shape[1:]))


def _plot(writing: Writing, start: Start, console: Console) -> bool:
    """Whether the loss is drawn, of which a given basis leaves one value only."""
    if writing.plot is not None or start.given is not None:
        return bool(writing.plot)
    if not plots.available():
        console.remarks([plots.MISSING.format("loss.png")])
    return plots.available()


def _keeper(course: Course, outputs: Outputs, others: list[str], console: Console) -> Keeper | None:
    """What writes the checkpoints, if any are wanted."""
    path = course.checkpoint if course.checkpoint is not None else course.resume
    if path is None:
        return None
    again = course.resume is not None and file_id(path) == file_id(course.resume)
    outputs.keep(path, others, again)
    return Keeper(path, course.checkpoint_every, outputs.inputs, console)


def _learn(
    name: str, stack: Stack, start: Start, keeper: Keeper | None, reading: Reading, limits: Limits, console: Console,
    work: Spread, drawn: int,
) -> Learned:  # fmt: skip
    fit, shape = start.fit, stack.images.shape
    m, n = shape[0], math.prod(shape[1:])
    all_held = held(stack.images) + stack.indices.nbytes + (0 if stack.labels is None else stack.labels.nbytes)
    working = in_flight(m, n, _possible(start, stack), fit.jobs or cores())
    working += start_bytes((m, n), fit) if start.given is None and start.resume is None else 0
    limits.admit_fit(work.rows_here(m, fit.rank), n, _possible(start, stack), all_held, working, drawn)
    mask = masks.read_mask(reading.mask, shape[:3], limits) if reading.mask else None
    tried = start.tried
    said = (*(remarks_on(tried, stack) if tried else ()), *caveats(stack.images, fit))
    console.notes(name, said)
    began = time.perf_counter()
    crew = work.over(stack.images)
    if start.given is not None:
        found = code_collection(stack.images, start.given.H, fit, mask, crew)
    else:
        console.bar(name, fit.max_sweeps * fit.restarts - start.sweeps)
        grown = tried.best.fit if tried else None
        found = fit_collection(stack.images, fit, mask, console.on_sweep, start.resume, keeper, crew, grown)
    if gone := nothing_left(found.fit, fit):
        console.notes(name, gone)
        said += gone
    outcome = Outcome.of(
        fit, found.fit, found.measured, input=name, image=None, label=None, width=shape[2], height=shape[1],
        mode=mode_of(stack.images[0]), seconds=round(time.perf_counter() - began, 4), notes=(*stack.notes, *said),
        images=shape[0], basis_from=None if start.given is None else start.given.path, **work.said(),
        knee=tried.knee if tried else None, reason=tried.reason if tried else None,
    )  # fmt: skip
    return Learned(name, fit, stack, found, outcome)


def _left_over(outputs: Outputs, named: set[str]) -> list[str]:
    """A remark about basis images that a run with more parts has left in the folder."""
    older = [path for path in glob.glob(glob.escape(outputs.at_root("basis")) + "/basis-*.png") if path not in named]
    return [f"{outputs.at_root('basis')}: {len(older):,} more from an earlier run with more parts"] if older else []


Encode = Callable[[Learned], bytes]


def _named(outputs: Outputs, writing: Writing, rank: int, plot: bool) -> list[tuple[str, Encode]]:
    """Every output wanted but the log: its path, and what makes its bytes."""
    named: list[tuple[str, Encode]] = []
    if "basis" in writing.what:
        digits = max(2, len(str(rank - 1)))
        for j in range(rank):
            named.append((outputs.at_root(os.path.join("basis", f"basis-{j:0{digits}}.png")), _part(j)))
        named.append((outputs.at_root("basis.png"), _sheet))
    if "compare" in writing.what:
        named.append((outputs.at_root("reconstructed.png"), lambda learned: _reconstructed(learned, writing.show)))
    if "factors" in writing.what:
        named.append((outputs.at_root("factors.npz"), _factors))
    if plot:
        named.append((outputs.at_root("loss.png"), _curve))
    if writing.report is not None:
        named.append((writing.report.path, partial(_page, report=writing.report, show=writing.show)))
    return named


def _part(j: int) -> Encode:
    return lambda learned: _png(montage.own_range(learned.found.basis[j]))


def _sheet(learned: Learned) -> bytes:
    """The contact sheet of the basis."""
    explained, basis = learned.found.fit.explained(), learned.found.basis
    name = display(os.path.basename(learned.name) or learned.name)
    figures = f"rank {learned.fit.rank} · {_figures(learned)}"
    words = f"{name} · {len(learned.stack.images):,} images · {figures} · {montage.PERCENT}"
    sheet = _contact(basis.shape[1:], explained, words)
    return encode_png(sheet.drawn(montage.own_range(basis[j]) for j in range(len(sheet.captions))))


def _contact(shape: tuple[int, ...], explained: np.ndarray, title: str) -> montage.Sheet:
    """The contact sheet of parts of this shape, which explain so much each."""
    shown = min(len(explained), SHEET_PARTS)
    captions = [f"{j:02}: {explained[j]:.1%}" for j in range(shown)]
    columns = montage.even_columns(shown, shape[0] / shape[1])
    return montage.Sheet(montage.panel_shape(shape, shown), captions, columns, title)


def _drawing(writing: Writing, rank: int, shape: tuple[int, ...]) -> int:
    """Bytes of what is largest of the pictures of a collection (n, h, w[, c]), while it is drawn."""
    image, count = shape[1:], min(writing.show, shape[0])
    needs = [0]
    if "basis" in writing.what:
        sheet = _contact(image, np.ones(rank), TITLE)
        needs.append(math.prod(image) * BESIDE_DRAWING + montage.drawing_bytes([sheet.size]))
    if "compare" in writing.what:
        pairs = montage.Pairs(montage.panel_shape(image, count), [TITLE[:20]] * count, TITLE)
        needs.append(count * math.prod(image) * BESIDE_DRAWING + montage.drawing_bytes([pairs.size]))
    return max(needs)


def _reconstructed(learned: Learned, show: int) -> bytes:
    """The first images, originals beside reconstructions."""
    stack, images = learned.stack, learned.stack.images
    count = min(show, len(images))
    again = learned.found.reconstruct(images.dtype, slice(0, count))
    rows = [(images[place], again[place], _words(stack, place)) for place in range(count)]
    return encode_png(montage.pairs(rows, f"rank {learned.fit.rank} · {_figures(learned)}"))


def _figures(learned: Learned) -> str:
    outcome = learned.outcome
    return f"{outcome.likeness} · relative loss {outcome.relative_loss:.4f}"


def _factors(learned: Learned) -> bytes:
    return encode_factors(
        learned.fit, learned.stack, learned.W, learned.found.fit.H, learned.name, learned.outcome.basis_from
    )


def _curve(learned: Learned) -> bytes:
    curve = Curve(display(learned.name), None, None, learned.found.fit.records)
    return plots.loss_curves([curve], learned.fit.divergence)


def _page(learned: Learned, report: Report, show: int) -> bytes:
    """The page of the run."""
    images, basis, explained = learned.stack.images, learned.found.basis, learned.found.fit.explained()
    count = min(show, len(images), SHOWN)
    again = learned.found.reconstruct(images.dtype, slice(0, count))
    pairs = [
        (trio(images[place], again[place], PAIR_SIDE), _words(learned.stack, place).replace("\n", ", "))
        for place in range(count)
    ]
    parts = [
        Part(panel(montage.own_range(basis[j]), PART_SIDE), float(explained[j]))
        for j in range(min(len(basis), PAGE_PARTS))
    ]
    curve = Curve(display(learned.name), None, None, learned.found.fit.records)
    return of_collection(learned.outcome, learned.fit, curve, pairs, parts, report)


def _words(stack: Stack, place: int) -> str:
    """What an image is called."""
    label = "" if stack.labels is None else f"label {label_of(stack, place)}\n"
    return label + (os.path.basename(stack.files[place]) if stack.files else f"image {stack.indices[place]}")


def _png(pixels: np.ndarray) -> bytes:
    return encode_picture(pixels, "png")[0]


def name_of(inputs: tuple[str, ...], found: list[Source]) -> str:
    """What the collection is called."""
    if len(inputs) == 1:
        return inputs[0]
    return found[0].path if len(found) == 1 else f"{found[0].path} and {len(found) - 1:,} more"
