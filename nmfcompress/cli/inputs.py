"""What the arguments name: files, folders walked, lists, stdin; and the pictures in them, one by one."""

from __future__ import annotations

import codecs
import io
import os
import stat
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..errors import InputError, OutputError, TooLarge, UsageError, about
from ..images import archives, stacks
from ..images.files import FileId, display, file_id, is_file, regular_id
from ..images.limits import Limits
from ..images.picture import Picture
from ..images.pictures import count_frames, read_frames, read_image
from ..images.selection import at_least, select
from ..images.stored import StoredImages
from ..settings import Reading, Selection
from .streams import discard

STDIN = "-"
LIST_BYTES = 2**28  # of a list of names, millions of them


@dataclass(frozen=True)
class Source:
    """One input: its path as given (- for stdin), and the folder below the output folder that its outputs go to."""

    path: str
    folder: str = ""

    @property
    def stem(self) -> str:
        """Its name without the ending (both endings of .gz)."""
        if self.path == STDIN:
            return "stdin"
        path = Path(self.path)
        return path.with_suffix("").stem or path.name if path.suffix.lower() == ".gz" else path.stem

    @property
    def name(self) -> str:
        """Its full name, for when two inputs share a stem."""
        return "stdin" if self.path == STDIN else Path(self.path).name


@dataclass(frozen=True)
class Item:
    """One picture to factorize: its index in an archive or number of a frame, its label, the ending of its outputs."""

    picture: Picture
    image: int | None = None
    label: int | str | None = None
    suffix: str = ""


@dataclass(frozen=True)
class Batch:
    """The pictures of one source: `count` of them, read one after the other."""

    items: Iterator[Item]
    count: int
    archive: bool
    assumed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def sources(
    inputs: tuple[str, ...], reading: Reading, folder: str, open_folders: bool = False
) -> tuple[list[Source], list[str]]:
    """Every input in order, folders walked and lists read; and what was passed over.

    `open_folders` takes the pictures in a folder without -r too, but not those in the folders below it.

    Raises
    ------
    UsageError
        None at all, or stdin asked for twice.
    InputError
        Only folders without pictures.
    OutputError
        One of them is what stdout or stderr is redirected to.
    """
    named = list(inputs)
    if reading.files_from is not None:
        if reading.files_from == STDIN and STDIN in inputs:
            raise UsageError("stdin is asked for twice: as an input and by --files-from -")
        listed = _listed(reading.files_from, reading.nul)
        if reading.files_from == STDIN in listed:
            raise UsageError("stdin is asked for twice: by --files-from - and in the list itself")
        named += listed
    elif reading.nul:
        raise UsageError("-0 says how --files-from is separated, and there is none")
    if not named:
        raise UsageError("no input (name files, folders with -r, an archive, or - for stdin)")
    walk = reading.recursive or open_folders
    folders = [path for path in named if path != STDIN and os.path.isdir(path)] if walk else []
    found: dict[object, Source] = {}
    notes = []
    for path in named:
        if path in folders:
            below = os.path.basename(os.path.abspath(path)) if len(folders) > 1 else ""
            inside, passed = _walked(path, below, folder, reading.recursive)
            if not inside:
                out = os.path.realpath(path) == os.path.realpath(folder)
                what = (
                    "passed over, it is the folder for the outputs (pass another by -O)" if out else "no pictures in it"
                )
                notes.append(f"{path}: {what}")
            for why, names in passed.items():
                more = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
                notes.append(f"{path}: passed over {names[0]}{more}, {why}")
        else:
            inside = [Source(path)]
        for source in inside:
            found.setdefault(_place(source.path), source)
    if not found:
        raise InputError("; ".join(notes))
    check_redirected(file_id(source.path) for source in found.values() if source.path != STDIN)
    return list(found.values()), notes


def _place(path: str) -> str:
    """One name for each way to spell it; a link to a file is a file of its own."""
    if path == STDIN or not path:
        return path
    folder, name = os.path.split(os.path.abspath(path))
    return os.path.join(_real(folder), name)


@lru_cache
def _real(folder: str) -> str:
    try:
        return os.path.realpath(folder)
    except ValueError:  # a name with a NUL byte
        return folder


def check_redirected(inputs: Iterable[FileId | None]) -> None:
    """Raise OutputError where stdout or stderr is redirected to one of these files."""
    streams = {regular_id(number): name for number, name in ((1, "stdout"), (2, "stderr"))}
    streams.pop(None, None)
    for found in inputs if streams else ():
        if found in streams:
            if streams[found] == "stderr":
                discard(2)  # the words would go there, too
            raise OutputError("is an input, which is never overwritten", streams[found])


def stdin_bytes(limits: Limits) -> bytes:
    """All of stdin, up to the memory limit."""
    if sys.stdin is None:
        raise InputError("stdin is closed", STDIN)
    return _piped(sys.stdin.buffer, STDIN, limits)


def _piped(file: BinaryIO, name: str, limits: Limits) -> bytes:
    """What comes through a pipe, which can be read once only."""
    data = io.BytesIO()  # which gives its bytes away uncopied
    try:
        while part := file.read(2**20):
            if not data.tell() and _is_device(file):
                raise InputError("is a device, expected a file or a pipe", name)
            data.write(part)
            if data.tell() > limits.max_memory:
                raise TooLarge(limits.too_long(), name)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", name) from None
    if not data.tell():
        raise InputError("nothing in it: an empty file", name)
    return data.getvalue()


def _is_device(file: BinaryIO) -> bool:
    """Whether it is one such as /dev/zero, which never ends; a terminal does."""
    try:
        return stat.S_ISCHR(os.fstat(file.fileno()).st_mode) and not file.isatty()
    except (OSError, ValueError):
        return False


def content(source: Source, limits: Limits) -> str | bytes:
    """What the doors read: a path, or the bytes that came through stdin or another pipe."""
    if source.path == STDIN:
        return stdin_bytes(limits)
    if not source.path:
        raise InputError("is empty (expected the name of a file)", "''")
    try:
        mode = os.stat(source.path).st_mode
    except (OSError, ValueError):
        return source.path  # whoever opens it says what is wrong
    if stat.S_ISDIR(mode):
        try:
            os.scandir(source.path).close()
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}", display(source.path)) from None
        raise InputError("is a folder (pass -r to take the pictures in it)", display(source.path))
    if not stat.S_ISREG(mode):
        try:
            with open(source.path, "rb") as file:
                return _piped(file, display(source.path), limits)
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}", display(source.path)) from None
    return source.path


def pictures(
    source: Source, reading: Reading, selection: Selection, limits: Limits, counted: Callable[[int], None]
) -> Batch:
    """The pictures of one source that the selection leaves; `counted` is told of many before they are unpacked."""
    data = content(source, limits)
    if stacks.is_archive(data):
        return _of_archive(source, data, reading, selection, limits, counted)
    if selection != Selection(limit=selection.limit) or (reading.key, reading.axis, reading.order) != (None, None, "C"):
        raise UsageError(
            f"{display(source.path)} is a picture; --split, --label, --index, --key and the like are for arrays"
        )
    if reading.frame != 0:
        picture = read_image(data, name=source.path, frame=reading.frame or 1, gray=reading.gray, limits=limits)
        suffix = f"-frame{picture.frame}" if reading.frame else ""
        return Batch(iter([Item(picture, picture.frame if reading.frame else None, None, suffix)]), 1, False)
    count = count_frames(data, name=source.path, limits=limits)
    frames = read_frames(data, name=source.path, gray=reading.gray, limits=limits)
    return Batch((_frame(picture, len(str(count))) for picture in frames), count, False)


def _frame(picture: Picture, digits: int) -> Item:
    """One of all the frames, which need no note that there are others."""
    notes = tuple(note for note in picture.notes if not note.startswith("frame "))
    return Item(replace(picture, notes=notes), picture.frame, None, f"-frame{picture.frame:0{digits}}")


def _of_archive(
    source: Source, data: str | bytes, reading: Reading, selection: Selection, limits: Limits,
    counted: Callable[[int], None],
) -> Batch:  # fmt: skip
    stack = archives.read_archive(
        data, name=source.path, key=reading.key, axis=reading.axis, order=reading.order, split=selection.split,
        collection=False, limits=limits, counted=lambda count: counted(at_least(selection, count)),
    )  # fmt: skip
    if stack.single:
        item = Item(_picture(stack, 0, reading.gray))
        return Batch(iter([item]), 1, False, stack.assumed, stack.notes)
    with about(display(source.path)):
        kept = select(selection, stack.labels, len(stack.images))
    digits = len(str(int(stack.indices.max())))

    def items() -> Iterator[Item]:
        for place in kept:
            index, label = int(stack.indices[place]), label_of(stack, int(place))
            suffix = f"-{index:0{digits}}" + ("" if label is None else f"-label{as_name(label)}")
            yield Item(_picture(stack, int(place), reading.gray), index, label, suffix)

    return Batch(items(), len(kept), True, stack.assumed, stack.notes)


def chosen(stack: archives.Stack, selection: Selection) -> archives.Stack:
    """The pictures of a collection that the selection leaves, with what goes with them."""
    kept = select(selection, stack.labels, len(stack.images))
    if len(kept) == len(stack.images):
        return stack
    labels = None if stack.labels is None else stack.labels[kept]
    files = tuple(stack.files[place] for place in kept) if stack.files else ()
    images = stack.images
    images = images.picked(kept) if isinstance(images, StoredImages) else images[kept]
    return replace(stack, images=images, labels=labels, indices=stack.indices[kept], files=files)


def label_of(stack: archives.Stack, place: int) -> int | str | None:
    """A label as Python has it."""
    if stack.labels is None:
        return None
    label = stack.labels[place]
    return int(label) if stack.labels.dtype.kind in "iu" else str(label)


def as_name(label: int | str) -> str:
    """A label as a part of a file name: nothing that is a path or that a terminal obeys."""
    return "".join(c if c.isalnum() or c in "._" else "_" for c in str(label))[:40]


def mode_of(pixels: np.ndarray) -> str:
    """Pillow's mode word for an array of an archive."""
    if pixels.shape[-1] == 3 and pixels.ndim == 3:
        return "RGB"
    return {"uint8": "L", "uint16": "I;16"}.get(pixels.dtype.name, "F")


def _picture(stack: archives.Stack, place: int, gray: bool) -> Picture:
    pixels = stack.images[place]
    mode = mode_of(pixels)
    if gray:
        pixels = stacks.to_gray(pixels)
    return Picture(pixels=pixels, levels=stack.levels, alpha=None, mode=mode, icc=None, exif=None, dpi=None)


def _listed(name: str, nul: bool) -> list[str]:
    """The names in a list file, as the file system spells them."""
    if name == STDIN and sys.stdin is None:
        raise InputError("stdin is closed", "-")
    try:
        with nullcontext(sys.stdin.buffer) if name == STDIN else open(name, "rb") as stream:
            data = stream.read(LIST_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", name) from None
    if len(data) > LIST_BYTES:
        raise InputError(f"is longer than {LIST_BYTES:,} bytes, expected a list of names", name)
    if not nul and b"\0" in data:
        raise UsageError(f"{display(name)} is separated by NUL bytes (pass -0)")
    if nul:
        names = data.split(b"\0")
    else:  # as editors of Windows write them, too; a name may have other ends of lines within it
        names = [line.removesuffix(b"\r") for line in data.removeprefix(codecs.BOM_UTF8).split(b"\n")]
    return [os.fsdecode(name) for name in names if name]


def _walked(root: str, below: str, out: str, deep: bool) -> tuple[list[Source], dict[str, list[str]]]:
    """The pictures in a folder, in order of their names, with outputs `below` this, and folders that cannot be read;
    and the names of what is passed over, by why. Hidden files are not looked at.
    """
    found: list[Source] = []
    passed: dict[str, list[str]] = defaultdict(list)
    unread: list[str] = []
    avoided = os.path.realpath(out)
    for here, folders, files in os.walk(root, onerror=lambda error: unread.append(error.filename)):
        if os.path.realpath(here) == avoided:
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if deep and not name.startswith("."))
        passed["a link to a folder"] += [name for name in folders if os.path.islink(os.path.join(here, name))]
        inside = os.path.normpath(os.path.join(below, os.path.relpath(here, root)))
        for name in sorted(name for name in files if not name.startswith(".")):
            path = os.path.join(here, name)
            if Path(name).suffix.lower() not in stacks.ENDINGS:
                passed["by the ending no picture"].append(name)
            elif os.path.exists(path) and not is_file(path):
                passed["neither a file nor a folder"].append(name)
            else:
                found.append(Source(path, "" if inside == "." else inside))
    found += [Source(path, os.path.join(below, os.path.relpath(path, root))) for path in unread]
    return found, {why: names for why, names in passed.items() if names}
