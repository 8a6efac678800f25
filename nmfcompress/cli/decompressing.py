"""The work of `nmfc decompress`: open, decode a piece at a time, write, say."""

from __future__ import annotations

import json
import os
import time
import zipfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import IO, Any

import click
import numpy as np

from ..codec.opened import Opened
from ..codec.pictured import in_range
from ..errors import InputError, OutputError, UsageError, about
from ..images.files import display, make_folder
from ..images.files import writing as written_whole
from ..images.levels import Levels
from ..images.limits import Limits, limits_of
from ..images.picture import Picture
from ..images.saving import KINDS, encode_picture, kind_of
from ..report.records import shortened
from ..settings import Decoding, Reading, Talk, Writing, check
from .console import Console
from .containers import chosen, holds, mode_in, opened, origin_of, pieces
from .inputs import STDIN, Source, sources
from .naming import names_of, renamed
from .outputs import Outputs, check_file, stems
from .streams import check_stdout, give, tell

ARRAYS = ("npz", "npy")  # kinds that hold all pictures, as they were
NAME_BYTES = 400  # that go with each picture that becomes a file
WRITERS = 8  # files that are written at a time
DENSEST = 10**6  # dots per inch: beyond is no resolution

Places = Sequence[int] | np.ndarray


@dataclass(frozen=True)
class Restored:
    """What became of one file; its fields are the keys of `--json`."""

    input: str
    arrangement: str
    images: int
    width: int
    height: int
    mode: str
    dtype: str
    bytes: int
    seconds: float
    outputs: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Run:
    """What a run knows: the options, where things go, and the file that has the parts."""

    decoding: Decoding
    writing: Writing
    limits: Limits
    outputs: Outputs
    stems: dict[Source, str]
    console: Console
    origin: Opened | None


def run(inputs: tuple[str, ...], decoding: Decoding, writing: Writing, talk: Talk) -> int:
    """Do all inputs; returns the exit code."""
    found, _ = sources(inputs, Reading(), writing.folder)
    _check(found, writing, talk)
    limits, console = limits_of(decoding.max_memory), Console(talk)
    said: list[str] = []
    with console:
        outputs, origin = Outputs(writing, found, decoding.basis_from), origin_of(decoding, limits)
        work = Run(decoding, writing, limits, outputs, stems(found), console, origin)
        for source in console.each(found):
            with console.attempt(source.path), about(display(source.path) or "''"):
                done = _one(work, source)
                if done is None:
                    console.passed_over += 1
                    continue
                console.finished += 1
                if talk.json:
                    click.echo(json.dumps(asdict(done[0]), allow_nan=False))
                said.append(done[1])
    code = console.close(None)
    if said and not (talk.quiet or talk.json):
        for line in said:
            tell(display(line))
        if writing.file is None:
            tell(f"written to {display(writing.folder)}")
    return code


def _one(work: Run, source: Source) -> tuple[Restored, str] | None:
    """One file, and what to say of it; None when its outputs are all there and may be passed over."""
    began = time.perf_counter()
    file = opened(source, work.limits)
    places = chosen(file, work.decoding, work.limits)
    n, h, w = file.header.shape[:3]
    if work.writing.file is not None and len(places) > 1 and _array_kind(work.writing) is None:
        raise UsageError(
            f"-o takes one picture, {display(source.path)} gives {len(places):,} (choose one by --index, or use "
            "-o FILE.npz or -O)"
        )
    if _array_kind(work.writing):
        paths, notes = _as_arrays(work, source, file, places)
    else:
        paths, notes = _as_pictures(work, source, file, places)
    if not paths:
        return None
    work.console.notes(source.path, notes)
    seconds = round(time.perf_counter() - began, 4)
    done = Restored(
        source.path, file.container.mode, len(places), w, h, mode_in(file), file.header.dtype.name, file.size, seconds,
        tuple(paths), tuple(notes),
    )  # fmt: skip
    some = f"{len(places):,} of its " if len(places) < n else ""
    words = f"{some}{holds(file)} from {file.size:,} bytes ({done.arrangement}), {seconds:.2f} s"
    return done, f"{shortened(source.path)}: {words}"


# Arrays


def _array_kind(writing: Writing) -> str | None:
    """npz or npy, where all pictures go into one array."""
    kind = writing.kind or ("" if writing.file is None else os.path.splitext(writing.file)[1][1:].lower())
    return kind if kind in ARRAYS else None


def _as_arrays(work: Run, source: Source, file: Opened, places: Places) -> tuple[list[str], list[str]]:
    """All pictures as an array; where it went, and what it could not hold."""
    kind = _array_kind(work.writing) or ""
    path = work.writing.file or work.outputs.beside(source, work.stems[source], f".{kind}")
    if path != STDIN and not work.outputs.wanted([path]):
        return [], []
    header = file.header
    shape = header.shape[1:] if header.single else (len(places), *header.shape[1:])
    beside, notes = _beside(file, places, work.limits)
    work.console.bar(source.path, len(places), "picture")
    with _stream(work, path) as stream:
        found = _pixels(work, file, places)
        if kind == "npy":
            notes += [f"{', '.join(beside)} dropped (.npy holds none)"] if beside else []
            _write_npy(stream, shape, header.dtype, found)
        else:
            with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
                with archive.open("images.npy", "w", force_zip64=True) as member:
                    _write_npy(member, shape, header.dtype, found)
                for name, array in beside.items():
                    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                        np.lib.format.write_array(member, array, allow_pickle=False)
    return [path], notes


def _pixels(work: Run, file: Opened, places: Places) -> Iterator[np.ndarray]:
    """Pictures as they were before they were brought to 0..1, a piece at a time."""
    for at, shown in pieces(file, places, work.decoding, work.origin, work.limits):
        yield in_range(shown, file.header)
        for _ in at:
            work.console.advance("")


def _write_npy(stream: IO[bytes], shape: tuple[int, ...], dtype: np.dtype, parts: Iterator[np.ndarray]) -> None:
    """An .npy file whose values come a piece at a time."""
    said = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    first = next(parts)  # what is wrong with the file shows before anything is written
    np.lib.format.write_array_header_1_0(stream, said)
    stream.write(first.tobytes())
    for part in parts:
        stream.write(part.tobytes())


def _beside(file: Opened, places: Places, limits: Limits) -> tuple[dict[str, np.ndarray], list[str]]:
    """The arrays that go with the pictures, and notes of what is no array."""
    meta = file.meta
    found: dict[str, np.ndarray] = {}
    if meta.labels is not None:
        found["labels"] = meta.labels[np.asarray(places)]
    if meta.indices is not None or len(places) < file.header.shape[0]:
        chosen = np.asarray(places)
        found["indices"] = chosen if meta.indices is None else meta.indices[chosen]
    if meta.names:
        names = [meta.names[place] for place in places]
        limits.admit(4 * len(names) * max(map(len, names)), f"an array of {len(names):,} names")
        found["names"] = np.array(names, dtype=np.str_)
    if meta.alpha is not None and file.header.shape[0] == 1:
        found["alpha"] = meta.alpha
    words = {"ICC profile": meta.icc, "EXIF": meta.exif, "resolution": meta.dpi}
    lost = [word for word, value in words.items() if value is not None]
    return found, [f"{', '.join(lost)} dropped (arrays hold none)"] if lost else []


# Pictures


def _as_pictures(work: Run, source: Source, file: Opened, places: Places) -> tuple[list[str], list[str]]:
    """Each picture as a file; those that were written, and what their kinds could not hold."""
    if work.writing.file is not None:
        named = {int(places[0]): work.writing.file}
    else:
        n = file.header.shape[0]
        work.limits.admit(n * NAME_BYTES, f"names for {n:,} pictures")
        folder = os.path.join(work.writing.folder, source.folder)
        names = names_of(file, work.stems[source], work.writing.kind)
        if file.header.single and work.outputs.has(os.path.join(folder, names[0])):
            file = replace(file, meta=replace(file.meta, names=()))  # another file's picture had that name, too
            names = names_of(file, work.stems[source], work.writing.kind)
        if file.meta.names:
            work.console.assumed(source.path, renamed(file.meta.names, names, places))
        _stay_inside(folder, {os.path.dirname(names[int(place)]) for place in places})
        named = {int(place): os.path.join(folder, names[int(place)]) for place in places}
    wanted = {path for path in named.values() if path == STDIN}
    wanted |= set(work.outputs.wanted([path for path in named.values() if path != STDIN]))
    left = np.array([place for place, path in named.items() if path in wanted], dtype=np.int64)
    notes: dict[str, None] = {}
    work.console.bar(source.path, len(left), "picture")
    with _writers(work) as write:
        for at, shown in pieces(file, left, work.decoding, work.origin, work.limits):
            for place, pixels in zip(at.tolist(), shown, strict=True):
                picture, odd = picture_of(file, pixels)
                data, lost = encode_picture(picture, work.writing.kind or kind_of(named[place]))
                notes |= dict.fromkeys((*odd, *lost))
                write(named[place], data)
                work.console.advance("")
    return [named[int(place)] for place in left], list(notes)


def _stay_inside(folder: str, below: set[str]) -> None:
    """Raise OutputError when a link that is there already leads one of the folders below `folder` out of it."""
    root = os.path.realpath(folder)
    for one in sorted(below - {""}):
        path = os.path.join(folder, one)
        if not os.path.realpath(path).startswith(os.path.join(root, "")):
            raise OutputError(f"leads outside of {display(folder)} (remove the link, or use another -O)", display(path))


def picture_of(file: Opened, pixels: np.ndarray) -> tuple[Picture, tuple[str, ...]]:
    """A picture with what its file said of it, and notes of what makes no sense.

    Raises
    ------
    InputError
        It has channels that no kind of picture holds.
    """
    header, meta = file.header, file.meta
    one = header.shape[0] == 1
    alpha = meta.alpha if one else None
    if pixels.ndim == 3 and pixels.shape[2] in (2, 4):
        if pixels.dtype != np.uint8:
            raise InputError(
                f"has {pixels.shape[2]} channels of {pixels.dtype}, which no kind of picture holds (use -o FILE.npz)"
            )
        pixels, alpha = pixels[..., :-1], pixels[..., -1]
        pixels = pixels[..., 0] if pixels.shape[2] == 1 else pixels
    low, high = {"uint8": (0.0, 255.0), "uint16": (0.0, 65535.0)}.get(header.dtype.name, (header.low, header.high))
    dpi = meta.dpi if meta.dpi is not None and all(0 < side < DENSEST for side in meta.dpi) else None
    picture = Picture(
        pixels, Levels(header.dtype.name, low, high), alpha, meta.mode, meta.icc, meta.exif if one else None, dpi
    )
    return picture, () if dpi == meta.dpi else ("resolution dropped (it is none)",)


# Where it goes


@contextmanager
def _writers(work: Run) -> Iterator[Callable[[str, bytes], None]]:
    """Write files side by side: for most of the time each only waits for the disk."""
    with ThreadPoolExecutor(WRITERS) as pool:
        waiting: deque[Future[None]] = deque()

        def write(path: str, data: bytes) -> None:
            if path == STDIN:
                with _stream(work, path) as stream:
                    stream.write(data)
                return
            waiting.append(pool.submit(work.outputs.write, path, data))
            if len(waiting) > 4 * WRITERS:
                waiting.popleft().result()

        try:
            yield write
            while waiting:
                waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


class _Plain:
    """stdout as a stream that only goes forward: a shell may have opened it to append."""

    def write(self, data: Any) -> int:
        give(data, flush=False)
        return memoryview(data).nbytes

    def flush(self) -> None:
        give(b"")


@contextmanager
def _stream(work: Run, path: str) -> Iterator[Any]:
    """What is written to `path`, whole or not at all; or to stdout."""
    if path == STDIN:
        plain = _Plain()
        yield plain
        plain.flush()
        return
    if os.path.dirname(path):
        make_folder(os.path.dirname(path))
    with written_whole(path, overwrite=work.writing.overwrite, inputs=work.outputs.inputs) as stream:
        yield stream


def _check(found: list[Source], writing: Writing, talk: Talk) -> None:
    """-o and --to: one input, of a kind that is known before any work."""
    known = (*KINDS, *ARRAYS)
    if writing.kind is not None:
        check(writing.kind in known, "--to", writing.kind, "one of " + ", ".join(known))
    if writing.file is None:
        return
    check_file(writing)
    if len(found) > 1:
        raise UsageError(f"-o takes one input, there are {len(found)} (use -O DIR for several)")
    if writing.file == STDIN:
        if writing.kind is None and not talk.json:
            raise UsageError("-o - needs --to, such as --to png or --to npz")
        check_stdout("pictures are", talk)
    elif writing.kind is None and _array_kind(writing) is None:
        ending = os.path.splitext(writing.file)[1]
        check(ending[1:].lower() in KINDS, "-o", writing.file, "an ending of " + ", ".join(known) + "; or --to")
