"""The work of `nmfc compress -o FILE.nmfc`: read a picture or a collection, code it, write one file, say."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, replace
from typing import Any

import click
import numpy as np

from ..codec.collection import coded_stack
from ..codec.drafts import Coded
from ..codec.header import Header, Meta
from ..codec.image import arrangement_of, coded_image
from ..codec.opened import Opened, open_container
from ..codec.pictured import described, range_of
from ..codec.targets import loose
from ..codec.told import mode_of
from ..errors import InputError, TargetMissed, UsageError, about
from ..factor.nmf import factorize_as
from ..factor.sweeps import SweepRecord
from ..images import stacks
from ..images.archives import Stack
from ..images.arrange import arrange_rows
from ..images.files import display
from ..images.limits import WORK_BYTES, Limits, limits_of
from ..images.picture import Picture
from ..images.pictures import count_frames, read_image
from ..images.stored import held
from ..settings import IDLE, Coding, Fit, Packing, Reading, Selection, Talk, Writing
from . import hints
from .compressing import check_alone
from .console import Console
from .inputs import STDIN, Source, chosen, content, sources
from .outputs import Outputs
from .streams import check_stdout, tell

ENDING, KIND = ".nmfc", "nmfc"


def packs(writing: Writing) -> bool:
    """Whether these options ask for one .nmfc file."""
    if writing.file is None:
        return False
    if writing.kind is not None:
        return writing.kind == KIND
    return writing.file == STDIN or writing.file.lower().endswith(ENDING)


@dataclass(frozen=True)
class Packed:
    """What became of the input; its fields are the keys of `--json`."""

    input: str
    arrangement: str
    images: int
    width: int
    height: int
    mode: str
    dtype: str
    rank: int
    bytes: int
    bits_per_pixel: float
    ratio: float
    psnr_db: float | None
    basis_from: str | None
    seconds: float
    sections: dict[str, int]
    outputs: tuple[str, ...]
    notes: tuple[str, ...]

    def line(self) -> str:
        """For people."""
        pictures = f"{self.images:,} pictures of " if self.images > 1 else ""
        likeness = "all pixels equal" if self.psnr_db is None else f"PSNR {self.psnr_db:.2f} dB"
        each = f", {self.bytes / self.images:.1f} a picture" if self.images > 1 else ""
        smaller = f"{self.ratio:,.{1 if self.ratio < 100 else 0}f} times smaller"
        rate = f"{self.bits_per_pixel:.3g} bit/pixel, {smaller if self.ratio >= 1 else 'larger than the pixels'}"
        pixels = f"{pictures}{self.width}x{self.height} {self.mode} {self.dtype}"
        return f"{display(self.input)}: {pixels}, {self.arrangement}, {likeness}, {self.bytes:,} bytes{each}, {rate}"


def pack(
    inputs: tuple[str, ...], fit: Fit, packing: Packing, reading: Reading, selection: Selection, writing: Writing,
    talk: Talk,
) -> int:  # fmt: skip
    """Put all inputs into one file; returns the exit code."""
    found, passed = sources(inputs, reading, writing.folder, open_folders=True)
    _check(fit, writing, packing, reading, talk)
    file = writing.file or STDIN
    console, limits = Console(talk), limits_of(reading.max_memory, reading.max_pixels)
    outputs = Outputs(writing, found, packing.basis_from, *reading.beside)
    name = found[0].path if len(found) == 1 else f"{found[0].path} and {len(found) - 1:,} more"
    with console, console.attempt(name):
        console.remarks(passed)
        if file != STDIN and not outputs.wanted([file]):
            console.passed_over += 1
        else:
            origin = _origin(packing.basis_from, limits)
            content = _gather(found, name, reading, selection, limits, console)
            began = time.perf_counter()
            with about(display(name)):
                names = hints.own_names(content, found, file, inputs)
                coded, notes = _coded(content, fit, packing, limits, origin, console, name, names)
            outputs.write(file, coded.data)
            packed = _said(content, coded, packing, name, time.perf_counter() - began, (file,), notes)
            console.finished += 1
            if talk.json:
                click.echo(json.dumps(packed.__dict__, allow_nan=False))
            elif not talk.quiet:
                tell(packed.line())
                if file != STDIN:
                    tell(f"written to {display(file)}")
    return console.close(None)


def _check(fit: Fit, writing: Writing, packing: Packing, reading: Reading, talk: Talk) -> None:
    """What contradicts itself, before any work."""
    coding = packing.coding
    if not _factorizes(coding):
        _refuse_penalties(fit, "a target or another arrangement")
    if coding.rank is None and coding.step is None and not coding.targets:
        raise UsageError("say how: one of -k/--rank, --min-psnr, --target-size (or --step)")
    if reading.mask is not None:
        raise UsageError("--mask does not go with .nmfc: what is missing would have to be stored too")
    check_alone(writing, "the file")
    if reading.frame is not None and coding.arrangement in ("stack", "bands"):
        raise UsageError(f"--frame takes one picture, --arrangement {coding.arrangement} is for a collection")
    if writing.file == STDIN:
        check_stdout("a .nmfc file is", talk)


def _refuse_penalties(fit: Fit, instead: str) -> None:
    for name in fit.penalties:
        raise UsageError(f"--{name} is for one picture by its rows (-k, --arrangement rows), not for {instead}")


def _factorizes(coding: Coding) -> bool:
    """Whether one picture is factorized as the options of the fit say."""
    return arrangement_of(coding) == "rows" and not coding.targets and coding.rank is not None


def _idle(fit: Fit) -> tuple[str, ...]:
    """A note of the options that are not as they are by default, where nothing is factorized as they say."""
    heeded = {name: option for name, option in IDLE.items() if name != "seed"} | {"divergence": "--divergence"}
    idle = [option for name, option in heeded.items() if getattr(fit, name) != getattr(Fit, name)]
    are = "are" if len(idle) > 1 else "is"
    return (f"{', '.join(idle)} {are} for arrangement rows without a target, and passed over",) if idle else ()


def _origin(path: str | None, limits: Limits) -> Opened | None:
    """The file whose parts are taken."""
    if path is None:
        return None
    with about(display(path)):
        data = content(Source(path), limits)
        if isinstance(data, str):
            limits.admit(os.path.getsize(data), "reading it")
            with open(data, "rb") as stream:
                data = stream.read()
        opened = open_container(data, limits)
        if "parts" not in opened.container.sections:
            raise InputError("has no parts to take (expected a .nmfc file of arrangement stack with its own)")
        return opened


def _gather(
    found: list[Source], name: str, reading: Reading, selection: Selection, limits: Limits, console: Console
) -> Picture | Stack:
    """The one picture there is, or the collection that the selection leaves."""
    data = [content(source, limits) for source in found]
    options: dict[str, Any] = {
        "key": reading.key, "axis": reading.axis, "order": reading.order, "split": selection.split,
        "gray": reading.gray, "resize": reading.resize, "limits": limits,
    }  # fmt: skip
    if len(data) > 1 and not all(isinstance(one, str) for one in data):
        raise InputError("stdin or a pipe is one whole collection; it does not go with other inputs")
    if len(data) > 1:
        stack = stacks.read_stack([str(one) for one in data], **options)
    elif not stacks.is_archive(data[0]) and (
        reading.frame or count_frames(data[0], name=found[0].path, limits=limits) == 1
    ):
        picture = read_image(data[0], name=found[0].path, frame=reading.frame or 1, gray=reading.gray, limits=limits)
        console.notes(name, picture.notes)
        return stacks.resized(picture, reading.resize, limits)
    else:
        stack = stacks.read_stack(data[0], name=display(found[0].path), collection=False, **options)
    console.assumed(name, stack.assumed)
    console.notes(name, stack.notes)
    if stack.single:
        return Picture(np.asarray(stack.images[0]), stack.levels)
    with about(display(name)):
        return chosen(stack, selection)


def _coded(
    content: Picture | Stack, fit: Fit, packing: Packing, limits: Limits, origin: Opened | None, console: Console,
    name: str, names: tuple[str, ...],
) -> tuple[Coded, tuple[str, ...]]:  # fmt: skip
    """The file, and what has to be said of it."""
    coding = packing.coding
    images = content.pixels[None] if isinstance(content, Picture) else content.images
    console.stages(name, len(images))

    def admit(nbytes: int) -> None:
        limits.admit(held(images) + nbytes, f"coding {len(images):,} picture{'s' if len(images) > 1 else ''}")

    def on_sweep(record: SweepRecord) -> None:
        console.on_stage("sweeps", record.sweep / fit.max_sweeps)

    if isinstance(content, Picture):
        if origin is not None:
            raise UsageError("--basis-from is for collections, and this is one picture")
        pixels = content.pixels
        limits.admit(pixels.size * WORK_BYTES, f"a picture of {pixels.shape[1]} x {pixels.shape[0]}")
        if _factorizes(coding):
            m, n = len(pixels), pixels[0].size
            limits.admit_rows(m, n, min(coding.rank or 1, m, n), coded=True, wide=pixels.itemsize > 4)
        header, meta = described(content)
        meta = replace(meta, names=names)
    else:
        _refuse_penalties(fit, "a collection")
        header = Header(tuple(images.shape), images.dtype, *range_of(content.levels, images.dtype))
        meta = Meta(names=names, labels=content.labels, indices=content.indices)
    heavy = hints.weight(meta, coding.target_size)
    try:
        if isinstance(content, Picture):
            factors = None
            if _factorizes(coding):
                factors = factorize_as(arrange_rows(pixels), fit, on_sweep=on_sweep)
            coded = coded_image(pixels, coding, meta, header, factors, console.on_stage, admit=admit)
        else:
            coded = coded_stack(images, coding, meta, header, origin, console.on_stage, admit)
    except TargetMissed as error:
        why = heavy or hints.in_grey(images.shape, images.dtype, coding)
        error.message += f" ({why})" if why else ""
        raise
    notes = (*coded.notes, *loose(coded, coding), *hints.of_type(content.levels.dtype, images.dtype))
    notes += (heavy,) if heavy else ()
    notes += () if isinstance(content, Picture) and _factorizes(coding) else _idle(fit)
    console.notes(name, notes)
    return coded, (*content.notes, *notes)


def _said(
    content: Picture | Stack, coded: Coded, packing: Packing, name: str, seconds: float, outputs: tuple[str, ...],
    notes: tuple[str, ...],
) -> Packed:  # fmt: skip
    images = content.pixels[None] if isinstance(content, Picture) else content.images
    n, h, w = images.shape[:3]
    raw = int(np.prod(images.shape)) * images.dtype.itemsize
    mode = mode_of(images.shape, isinstance(content, Picture) and content.alpha is not None)
    return Packed(
        name, coded.mode, n, w, h, mode, images.dtype.name, coded.rank, coded.size, 8 * coded.size / (n * h * w),
        raw / coded.size, coded.psnr_db, packing.basis_from, round(seconds, 4), coded.sections, outputs, notes,
    )  # fmt: skip
