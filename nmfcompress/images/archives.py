"""Array archives as image stacks: npz, npy, IDX and MATLAB files, known by their content.

`doors.py` and `matlab.py` list what a file holds, `choosing.py` takes the images among it, `layout.py` finds out which
axis is what; here they are loaded, or left in the file (`stored.py`), and their labels found.
"""

from __future__ import annotations

import io
import math
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import numpy as np

from ..errors import InputError, UsageError, about
from .choosing import COLLECTIONS, IMAGES, LABELS, choose, plain, split_of
from .doors import PIECEWISE, Array, Entry, Source, broken, open_gzip, open_idx, open_npy, open_npz, printable
from .layout import Hints, LaidOut, lay_out, unread
from .levels import Levels, count_text, shape_text, to_levels
from .limits import Limits, size
from .matlab import open_mat
from .sniff import HEAD, describe, identify
from .stored import Extent, StoredFile, StoredImages, open_images
from .unpacking import CHUNK

PLACES = 16  # bytes an image: its place in the file, and once more where some are chosen

DOORS: dict[str, Callable[[Source], list[Entry]]] = {
    "npz": open_npz,
    "npy": open_npy,
    "idx": open_idx,
    "gzip": open_gzip,
    "mat": open_mat,
}


@dataclass(frozen=True, eq=False)
class Stack:
    """Images of one size out of an array archive.

    Parameters
    ----------
    images : array or StoredImages, of shape (n, h, w) or (n, h, w, 3)
        uint8, uint16, or floats within 0..1; contiguous. Above a quarter of the memory allowed they stay in the file,
        where that is possible, and an index (a number, a slice, a list of numbers) reads what it asks for.
    levels : Levels
        What 0 and 1 were in the file.
    labels : array of shape (n,), optional
        int64 or text.
    indices : array of shape (n,)
        The place of each image in the array of the file, from 0; with split "all", train comes before test.
    single : bool
        The array is one picture, not a collection; then n is 1.
    assumed : tuple of str
        What was read out of names and shapes, for who asks.
    notes : tuple of str
        What every user must be told.
    files : tuple of str
        The file of each image, where each has one of its own; else empty.
    """

    images: Array | StoredImages
    levels: Levels
    labels: Array | None
    indices: Array
    single: bool
    assumed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Wishes:
    """What the caller said about the array to read."""

    key: str | None
    axis: int | None
    order: str
    split: str | None
    collection: bool
    limits: Limits
    name: str
    counted: Callable[[int], None] | None


@dataclass
class _Log:
    assumed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_archive(
    source: str | os.PathLike[str] | bytes,
    *,
    name: str | None = None,
    key: str | None = None,
    axis: int | None = None,
    order: str = "C",
    split: str | None = None,
    collection: bool = True,
    limits: Limits | None = None,
    counted: Callable[[int], None] | None = None,
) -> Stack:
    """Read the images of an npz, npy, IDX or MATLAB file; IDX and npy also out of a gzip.

    Parameters
    ----------
    source : path or bytes
        The file, or its contents.
    name : str, optional
        What to call it in errors; its path by default.
    key : str, optional
        Which array; by default the one whose name or shape says that it holds images.
    axis : int, optional
        Which axis counts the images; by default what labels and shape say: the first, the last in MATLAB's files.
    order : {"C", "F"}
        Whether the pixels of an image lie row by row, or column by column as in files made by MATLAB: try "F" when
        the images come out lying on their side.
    split : {"train", "test", "all"}, optional
        Which part, in archives that keep two; "train" by default.
    collection : bool
        Whether a two-dimensional array that tells nothing else is one image a row, or (False) one picture.
    limits : Limits, optional
        What the array may need.
    counted : callable, optional
        Is told how many images there are, before they are unpacked, and may raise.

    Returns
    -------
    Stack

    Raises
    ------
    InputError
        The file cannot be read, is broken, or holds no images.
    TooLarge
        The array needs more memory than `limits` allow; nothing was allocated.
    UsageError
        `axis`, `order` or `split` is out of range, or `key` and `split` are both given.
    ExtraMissing
        A MATLAB file, and SciPy is not installed.
    """
    if order not in ("C", "F"):
        raise UsageError(f"order {order!r} is unknown: C or F")
    if split not in (None, "train", "test", "all"):
        raise UsageError(f"split {split!r} is unknown: train, test or all")
    if key is not None and split is not None:
        raise UsageError("key and split exclude each other: a key names one array")
    shown = name or ("standard input" if isinstance(source, bytes) else os.fsdecode(source))
    wishes = _Wishes(key, axis, order, split, collection, (limits or Limits()).beside(source), shown, counted)
    with about(shown), broken("an array archive"), _opened(source, wishes.limits) as (opened, kind):
        return _stack(opened, kind, DOORS[kind](opened), wishes)


@contextmanager
def _opened(source: str | os.PathLike[str] | bytes, limits: Limits) -> Iterator[tuple[Source, str]]:
    """Open what holds arrays; what comes through a pipe is read to its end."""
    with io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb") as file:
        head = file.read(HEAD)
        kind = identify(head)
        if kind not in DOORS:
            what = "a picture" if kind == "picture" else describe(head)
            begins = f"its first bytes ({head[:4].hex(' ')}) are of no kind that holds arrays (npz, npy, IDX, mat)"
            raise InputError(f"this is {what}, not an array archive" if what else begins)
        if isinstance(source, bytes):
            yield Source(file, len(source)), kind
        elif stat.S_ISREG((status := os.fstat(file.fileno())).st_mode):
            yield Source(file, status.st_size, os.fsdecode(source)), kind
        else:
            content = bytearray(head)
            while piece := file.read(CHUNK):
                content += piece
                limits.admit(len(content), "what comes through the pipe")
            yield Source(io.BytesIO(content), len(content)), kind


def _stack(source: Source, kind: str, entries: list[Entry], wishes: _Wishes) -> Stack:
    log = _Log()
    chosen, found = [], []
    for entry in choose(entries, wishes.key, wishes.split):
        labels = _labels_beside(source, entry, wishes.limits, log) if kind in ("idx", "gzip") else None
        if labels is None:
            labels = _labels_of(entry, entries, wishes.limits, log)
        if len(entry.shape) == 1 and kind in ("idx", "gzip"):
            raise InputError(f"holds {count_text(entry.shape[0])} labels, not images: name the images file")
        chosen.append((entry, _hints(entry, kind, labels, wishes)))
        found.append(labels)
    gathered = _stored(source, chosen, wishes, log) or _loaded(chosen, wishes)
    for place, laid in enumerate(gathered.laid):
        labels = found[place]
        if labels is not None and len(labels) != len(laid.images):
            log.assumed.append(f"{len(labels):,} labels left out: there are {len(laid.images):,} images")
            found[place] = None
        log.assumed += laid.assumed
        log.notes += laid.notes
    held = gathered.images.nbytes if isinstance(gathered.images, np.ndarray) else 0
    wishes.limits.admit(held + PLACES * len(gathered.images), f"to number {len(gathered.images):,} images")
    levels = gathered.levels
    if levels.dtype not in ("bool", "uint8", "uint16") and (levels.low, levels.high) != (0, 1):
        log.notes.append(
            f"{levels.dtype} values {levels.low:g}..{levels.high:g} scaled by their own minimum and maximum"
        )
    labels, indices = _joined(found, log), np.arange(len(gathered.images))
    single = gathered.laid[0].single
    return Stack(gathered.images, levels, labels, indices, single, tuple(log.assumed), tuple(log.notes))


def _hints(entry: Entry, kind: str, labels: Array | None, wishes: _Wishes) -> Hints:
    return Hints(
        printable(entry.name),
        habit=-1 if kind == "mat" else 0,
        axis=wishes.axis,
        order=wishes.order,
        count=None if labels is None else len(labels),
        named=split_of(entry.name, IMAGES) is not None or plain(entry.name) in COLLECTIONS,
        collection=wishes.collection,
    )


@dataclass
class _Gathered:
    """The images of all parts together, and how each part was laid out."""

    images: Array | StoredImages
    levels: Levels
    laid: list[LaidOut]


def _stored(source: Source, chosen: list[tuple[Entry, Hints]], wishes: _Wishes, log: _Log) -> _Gathered | None:
    """The images where they lie, if they would take much memory and lie there one after the other."""
    entries = [entry for entry, _ in chosen]
    needs = sum(entry.needs for entry in entries if not entry.problem)
    if source.path is None or needs <= wishes.limits.loaded or not all(entry.raw for entry in entries):
        return None
    for entry in entries:
        entry.check()
    laid = [lay_out(unread(entry.shape, entry.dtype, bool(entry.raw and entry.raw.fortran)), hints)
            for entry, hints in chosen]  # fmt: skip
    whole = all(
        part.images.flags.c_contiguous and part.images.nbytes == entry.nbytes and not part.single
        for part, entry in zip(laid, entries, strict=True)
    )
    if not whole or len({(part.images.shape[1:], part.images.dtype) for part in laid}) > 1:
        return None
    file = StoredFile(source.path, wishes.name, source.file.fileno())
    extents = [
        Extent(file, entry.raw.offset, len(part.images), entry.raw.start, entry.raw.crc)
        for part, entry in zip(laid, entries, strict=True)
        if entry.raw
    ]
    log.assumed.append(f"{size(sum(entry.nbytes for entry in entries))}, read a piece at a time")
    images, levels = open_images(extents, laid[0].images.shape[1:], entries[0].dtype)
    return _Gathered(images, levels, laid)


def _loaded(chosen: list[tuple[Entry, Hints]], wishes: _Wishes) -> _Gathered:
    """The images in memory, contiguous."""
    limits = wishes.limits
    for entry, _ in chosen:
        entry.admit(limits)
    if wishes.counted is not None:
        seen = [lay_out(unread(entry.shape, entry.dtype, fortran=False), hints) for entry, hints in chosen]
        wishes.counted(sum(len(part.images) for part in seen))
    laid = [lay_out(entry.read(limits), hints) for entry, hints in chosen]
    stacks = [part.images for part in laid]
    if len({stack.shape[1:] for stack in stacks}) > 1:
        sizes = " and ".join(shape_text(stack.shape[1:]) for stack in stacks)
        raise InputError(f"its splits hold images of different sizes ({sizes}): read one at a time")
    if len(stacks) > 1 or not stacks[0].flags.c_contiguous:
        limits.admit(2 * sum(stack.nbytes for stack in stacks), "bringing the images together", PIECEWISE)
    images = np.ascontiguousarray(stacks[0]) if len(stacks) == 1 else np.concatenate(stacks)
    if laid[0].single:
        height, width = images.shape[1:3]
        limits.admit_picture(width, height, images[0, 0, 0].size)
    return _Gathered(*to_levels(images, stack=not laid[0].single), laid)


def _joined(found: list[Array | None], log: _Log) -> Array | None:
    """The labels of all parts."""
    labels = [part for part in found if part is not None]
    if not labels:
        return None
    if len(labels) < len(found) or len({part.dtype.kind for part in labels}) > 1:
        log.notes.append("labels left out: the splits have not the same kind of them")
        return None
    return np.concatenate(labels)


def _labels_of(entry: Entry, entries: list[Entry], limits: Limits, log: _Log) -> Array | None:
    """The labels of an array, beside it in the archive, if there are any of fitting length."""
    split = split_of(entry.name, IMAGES)
    for word in LABELS:
        for other in entries:
            if other is entry:
                continue
            if split_of(other.name, (word,)) == split if split else plain(other.name) == word:
                odd = len(other.shape) > 2 or (
                    len(other.shape) == 2 and min(other.shape) > 1000
                )  # 1,000 classes are many
                if not other.problem and (odd or not set(other.shape) & set(entry.shape)):
                    log.notes.append(f"{other} left out: not one label for each image")
                    continue
                with _labels_may_fail(printable(other.name), log):
                    return _read_labels(other, entry, limits)
    return None


def labels_beside(path: str) -> str | None:
    """The file of labels that MNIST's naming puts beside a file of images: train-labels-idx1-ubyte, packed or not."""
    folder, name = os.path.split(path)
    twin = re.sub(r"idx\d", "idx1", name.replace("images", "labels")).removesuffix(".gz")
    if twin == name.removesuffix(".gz"):
        return None
    return next(filter(os.path.isfile, (os.path.join(folder, twin + ending) for ending in ("", ".gz"))), None)


def _labels_beside(source: Source, entry: Entry, limits: Limits, log: _Log) -> Array | None:
    """The labels of an IDX file."""
    path = labels_beside(source.path or "") if len(entry.shape) > 1 else None
    if path is None:
        return None
    name = os.path.basename(path)
    with _labels_may_fail(name, log), broken("an IDX file"), _opened(path, limits) as (opened, kind):
        labels = _read_labels(DOORS[kind](opened)[0], entry, limits)
        if len(labels) != entry.shape[0]:
            raise InputError(f"{len(labels):,} labels for {entry.shape[0]:,} images")
        log.assumed.append(f"labels from {name}")
        return labels
    return None


@contextmanager
def _labels_may_fail(where: str, log: _Log) -> Iterator[None]:
    """Bad labels are no reason to refuse the images."""
    try:
        yield
    except InputError as error:
        log.notes.append(f"labels in {where} left out: {error.message}")


def _read_labels(labels: Entry, images: Entry, limits: Limits) -> Array:
    """Load labels, if there is room for what is made of them: text stays beside the images."""
    labels.check(kinds="biufUS")
    count, kind = math.prod(labels.shape), labels.dtype.kind
    if kind in "US":
        if labels.dtype.itemsize > 1024:
            raise InputError(f"texts of {labels.dtype.itemsize:,} bytes")
        work = images.needs + 2 * labels.nbytes * (4 if kind == "S" else 1)  # decoded, and again where some are chosen
    else:
        work = 3 * count + 25 * max(labels.shape)  # compared with 0 and 1; whole numbers, of one axis
    limits.admit(labels.nbytes + work, f"{shape_text(labels.shape)} {labels.dtype.name}")
    return _as_labels(labels.load())


def _as_labels(values: Array) -> Array:
    """Labels as (n,) int64 or text; (n, 1), (1, n) and one of c set in each row or column are unpacked."""
    if values.ndim == 2 and 1 not in values.shape and values.dtype.kind in "biuf":
        for axis in (1, 0):
            if ((values == 0) | (values == 1)).all() and (values.sum(axis) == 1).all():
                return np.asarray(values.argmax(axis), np.int64)
    if sum(side != 1 for side in values.shape) > 1:
        raise InputError(f"their shape is {shape_text(values.shape)}")
    flat = values.reshape(-1)
    if flat.dtype.kind in "US":
        return np.char.decode(flat, "latin-1") if flat.dtype.kind == "S" else flat
    with suppress(ValueError, OverflowError), np.errstate(all="ignore"):
        whole = flat.astype(np.int64)
        if (whole == flat).all():
            return whole
    raise InputError("not whole numbers")
