"""Collections: an archive, a several-frame picture, or a list of same-sized pictures, as one stack."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import overload

import numpy as np
from PIL import Image

from ..errors import InputError, UsageError, about
from .archives import Stack, read_archive
from .cache import Cache
from .files import display
from .limits import Limits
from .picture import Picture, luma
from .pictures import count_frames, read_frames, read_image
from .sniff import HEAD, identify
from .stored import StoredImages

ARCHIVES = frozenset({"npz", "npy", "idx", "gzip", "mat"})
_WORDS = (
    "png apng jpg jpeg jpe jfif webp tif tiff gif bmp dib avif jp2 j2k jpf jpx ppm pgm pbm pnm pfm qoi tga pcx ico mpo "
    "sgi rgb bw"
)
ENDINGS = frozenset(f".{word}" for word in _WORDS.split(" "))


def is_archive(source: str | bytes) -> bool:
    """Whether the content is an array archive rather than a picture."""
    if isinstance(source, bytes):
        return identify(source[:HEAD]) in ARCHIVES
    try:
        with open(source, "rb") as file:
            return file.seekable() and identify(file.read(HEAD)) in ARCHIVES
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", display(source)) from None
    except ValueError:  # a NUL byte, or a surrogate that no file system spells
        raise InputError("is no possible file name", display(source)) from None


@overload
def to_gray(pixels: np.ndarray) -> np.ndarray: ...
@overload
def to_gray(pixels: np.ndarray | StoredImages) -> np.ndarray | StoredImages: ...
def to_gray(pixels: np.ndarray | StoredImages) -> np.ndarray | StoredImages:
    """(..., 3) -> (...) by luma, in the same type; one channel stays as it is."""
    if isinstance(pixels, StoredImages):
        return pixels.gray()
    if pixels.ndim == 4:
        return np.stack([to_gray(picture) for picture in pixels])
    return luma(pixels) if pixels.ndim == 3 and pixels.shape[-1] == 3 else pixels


def read_stack(
    source: str | os.PathLike[str] | bytes | Sequence[str | os.PathLike[str]],
    *,
    key: str | None = None,
    axis: int | None = None,
    order: str = "C",
    split: str | None = None,
    gray: bool = False,
    resize: tuple[int, int] | None = None,
    name: str | None = None,
    collection: bool = True,
    limits: Limits | None = None,
) -> Stack:
    """Read a collection of images of one size.

    Parameters
    ----------
    source : path, bytes, or list of paths
        An npz, npy, IDX (.gz too) or .mat archive, a picture with several frames, a folder of pictures (in order
        of their names), or a list of pictures.
    key, axis, order, split, collection
        As for `read_archive`; for archives only.
    gray : bool
        Colour is made one channel first.
    resize : (width, height), optional
        For lists and folders: bring every picture to this size (Lanczos).
    name : str, optional
        What messages call `source` when it is bytes.
    limits : Limits, optional

    Returns
    -------
    Stack
        images (n, h, w) or (n, h, w, 3): uint8, uint16, or floats within 0..1. Above a quarter of what `limits` admit
        they are left in their file, or decoded into a temporary one, and read a piece at a time (`StoredImages`).

    Raises
    ------
    InputError
        Unreadable, damaged, or of different sizes; the message names the file.
    TooLarge
        More memory than `limits` admit.
    """
    limits = limits or Limits()
    if isinstance(source, bytes):
        single: str | bytes | None = source
    elif not isinstance(source, str | os.PathLike | Sequence):
        raise UsageError(f"source is {type(source).__name__} (expected a path, bytes, or a list of paths)")
    elif isinstance(source, str | os.PathLike):
        single = str(os.fspath(source))
        if os.path.isdir(single):
            source = sorted(p for p in Path(single).iterdir() if p.suffix.lower() in ENDINGS and p.is_file())
            if not source:
                raise InputError("is a folder without pictures", display(single))
            single = None
    else:
        if not source:
            raise UsageError("a collection of no pictures (expected at least one)")
        single = str(os.fspath(source[0])) if len(source) == 1 else None  # type: ignore[arg-type]
    if single is None:
        return _of_files([os.fspath(path) for path in source], gray, resize, limits)  # type: ignore[union-attr,arg-type]
    known = name or ("-" if isinstance(single, bytes) else display(single))
    if not is_archive(single):
        with about(known):
            count = count_frames(single, name=known, limits=limits)
            return _stacked(read_frames(single, name=known, gray=gray, limits=limits), count, [known], resize, limits)
    if resize is not None:
        raise UsageError("resize is for pictures, and folders and lists of them (expected no archive)")
    stack = read_archive(
        single, name=known, key=key, axis=axis, order=order, split=split, collection=collection, limits=limits
    )
    return replace(stack, images=to_gray(stack.images)) if gray and stack.images.ndim == 4 else stack


def _of_files(paths: list[str], gray: bool, resize: tuple[int, int] | None, limits: Limits) -> Stack:
    for path in paths:
        if not os.path.isdir(path) and is_archive(path):
            raise UsageError(f"{display(path)} is an archive; a collection is one archive, or any number of pictures")
    pictures = (read_image(path, gray=gray, limits=limits) for path in paths)
    return _stacked(pictures, len(paths), [display(path) for path in paths], resize, limits)


def _stacked(
    pictures: Iterator[Picture], count: int, names: list[str], resize: tuple[int, int] | None, limits: Limits
) -> Stack:
    """Pictures in one array, the first of which sets shape and type."""
    notes: dict[str, list[str]] = defaultdict(list)
    pictures = (resized(picture, resize, limits) for picture in pictures)
    first = next(pictures)
    like = first.pixels
    shape, done = (count, *like.shape), 0
    large = count * like.nbytes > limits.loaded
    images = np.empty((0, *like.shape) if large else shape, like.dtype)
    with Cache(shape, like.dtype) if large else nullcontext() as cache:
        for place, picture in enumerate(chain([first], pictures)):
            name = names[place % len(names)]
            with about(name):
                pixels = _like(picture, images, first)
                if cache is None:
                    images[place] = pixels
                else:
                    cache.append(pixels)
            for note in (*picture.notes, *_left_out(picture)):
                if not note.startswith("frame "):
                    notes[note].append(name)
            done = place + 1
        return Stack(
            images=images[:done] if cache is None else cache.images(), levels=first.levels, labels=None,
            indices=np.arange(done), single=False, files=tuple(names) if len(names) == done else (),
            notes=tuple(_counted(note, where, count) for note, where in notes.items()),
        )  # fmt: skip


def _left_out(picture: Picture) -> list[str]:
    """A note of what a collection has no place for."""
    words = {"alpha": picture.alpha, "ICC profile": picture.icc, "EXIF": picture.exif, "resolution": picture.dpi}
    lost = [word for word, value in words.items() if value is not None]
    return [f"{', '.join(lost)} left out"] if lost else []


def _counted(note: str, where: list[str], count: int) -> str:
    """A note with how many images it is about, and which."""
    if count == 1:
        return note
    if len(where) == count:
        return f"{note} (all {count:,} images)"
    return f"{note} ({len(where):,} of {count:,} images, {'the first ' if len(where) > 1 else ''}{where[0]})"


def _like(picture: Picture, images: np.ndarray, first: Picture) -> np.ndarray:
    """The pixels, brought to the collection's channels where that loses nothing; an InputError where they differ."""
    pixels = picture.pixels
    h, w = pixels.shape[:2]
    if (h, w) != images.shape[1:3]:
        W, H = images.shape[2], images.shape[1]
        raise InputError(f"is {w} x {h}, the first image {W} x {H} (pass --resize {W}x{H} to bring all to one size)")
    if pixels.ndim < images.ndim - 1:
        pixels = np.repeat(pixels[:, :, None], 3, axis=2)
    if pixels.ndim > images.ndim - 1:
        raise InputError("is in colour, the first image is not (pass --gray to make all of them grey)")
    if pixels.dtype != images.dtype or picture.levels != first.levels:
        raise InputError(
            f"has {picture.levels.dtype} values {picture.levels.low:g}..{picture.levels.high:g}, the first image "
            f"{first.levels.dtype} values {first.levels.low:g}..{first.levels.high:g} (expected one type and range)"
        )
    return pixels


def resized(picture: Picture, size: tuple[int, int] | None, limits: Limits) -> Picture:
    """The picture at this width and height (Lanczos), its alpha too; as it is where None.

    Raises
    ------
    TooLarge
        It would be more than `limits` admit.
    """
    if size is None or picture.pixels.shape[1::-1] == size:
        return picture
    limits.admit_picture(*size, picture.pixels[0, 0].size)
    alpha = None if picture.alpha is None else _scaled(picture.alpha, size)
    return replace(picture, pixels=_scaled(picture.pixels, size), alpha=alpha)


def _scaled(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    planes = np.moveaxis(pixels[:, :, None] if pixels.ndim == 2 else pixels, 2, 0).astype(np.float32)
    done = [np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.LANCZOS)) for plane in planes]
    scaled = np.stack(done, axis=2) if pixels.ndim == 3 else done[0]
    top = 1 if pixels.dtype.kind == "f" else np.iinfo(pixels.dtype).max
    whole = scaled if pixels.dtype.kind == "f" else np.rint(scaled)
    done_pixels: np.ndarray = np.clip(whole, 0, top).astype(pixels.dtype)
    return done_pixels
