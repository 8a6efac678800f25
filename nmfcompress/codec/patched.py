"""One picture or several <-> `.nmfc` by their patches: each has a stream of its own, all have the step in common."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import InputError, TargetMissed
from ..factor.crew import Each, workers
from ..factor.nmf import cores
from ..metrics import psnr_of_mse
from ..settings import Coding
from .drafts import Coded, OnStage, beyond, coded, silent
from .header import Header, Meta
from .patch_streams import BANDS, SECTION, Stream, Streams, check_count, pack_streams, read_streams
from .patches import DECODE_BYTES, ENCODE_BYTES, decode_stream, encode_stream, kept_bands, whole_step
from .targets import meet

STEP = 20.0  # where nothing is asked: good
STEPS = (1 / 64, 1024.0)  # between which a target is sought
FINEST_COLOUR = 0.5  # chroma of half the size comes no nearer by finer steps
PROBED = 6  # pictures that a search over many begins with
AT_WORK = 2**30  # bytes that pictures coded side by side may take


def coded_patches(images: Any, coding: Coding, header: Header, meta: Meta, on_stage: OnStage = silent) -> Coded:
    """The file of pictures (n, h, w) or (n, h, w, 3)."""
    check_count(len(images))
    bands = kept_bands(coding.rank)
    with workers(_side_by_side(header, coding), len(images)) as each:

        def draft(step: float) -> Coded:
            section, mse = encode_pictures(images, whole_step(step), bands, each, on_stage)
            return coded("patches", header, meta, {SECTION: section}, bands, mse, beyond(coding.rank, "patches", BANDS))

        if not coding.targets:
            return draft(coding.step or STEP)
        near = probed(images, coding, each) if len(images) >= 2 * PROBED else None
        return meet(draft, coding, STEP if near is None else near.step, *_steps(header.shape), utmost=True)


@dataclass(frozen=True)
class Probe:
    """A few pictures at one step, and what they come to; `count` of `size` bytes."""

    step: float
    mse: float
    size: int
    psnr_db: float | None
    count: int = 1


def probed(images: Any, coding: Coding, each: Each = map) -> Probe | None:
    """A few of the pictures that meet the target in their place, as nearly as a search on them tells; or nothing."""
    n = len(images)
    places = np.unique(np.linspace(0, n - 1, min(n, PROBED)).astype(int))
    some = np.stack([np.asarray(images[int(i)]) for i in places])
    bands = kept_bands(coding.rank)

    def draft(step: float) -> Probe:
        section, mse = encode_pictures(some, whole_step(step), bands, each)
        return Probe(step, mse, len(section), psnr_of_mse(mse, some.dtype), len(some))

    size = None if coding.target_size is None else max(1, coding.target_size * len(some) // n)
    try:
        return meet(draft, replace(coding, target_size=size), STEP, *_steps(some.shape))
    except TargetMissed:
        return None


def probing_bytes(images: Any) -> int:
    """What that takes of memory beside the pictures, one after the other."""
    few: int = min(len(images), PROBED) * math.prod(images.shape[1:]) * np.dtype(images.dtype).itemsize
    return ENCODE_BYTES * int(math.prod(images.shape[1:3])) + few


def _steps(shape: tuple[int, ...]) -> tuple[float, float]:
    """Between which a target is sought for pictures (n, h, w) or (n, h, w, 3)."""
    return STEPS[0] if len(shape) == 3 else FINEST_COLOUR, STEPS[1]


def encode_pictures(images: Any, step: int, bands: int, each: Each, on_stage: OnStage = silent) -> tuple[bytes, float]:
    """The section, and the mean squared error of the pictures as they are decoded."""

    def one(place: int) -> tuple[Stream, float]:
        pixels = np.asarray(images[place])
        stream, shown = encode_stream(pixels, step, bands)
        return stream, float(np.square(np.subtract(shown, pixels, dtype=np.float64)).sum())

    streams: list[Stream] = []
    error, size = 0.0, 0
    for stream, share in each(one, range(len(images))):
        streams.append(stream)
        error, size = error + share, size + len(stream.decisions)
        psnr = psnr_of_mse(error / (len(streams) * math.prod(images.shape[1:])), np.dtype(images.dtype))
        on_stage("patches", len(streams) / len(images), size / len(streams), psnr)
    return pack_streams(Streams(step, bands, streams)), error / math.prod(images.shape)


def patches_bytes(header: Header, coding: Coding) -> int:
    """What that takes of memory beside the pictures."""
    return ENCODE_BYTES * header.area * _side_by_side(header, coding)


def _side_by_side(header: Header, coding: Coding) -> int:
    """How many pictures are coded at a time; the bytes do not depend on it."""
    most = max(1, AT_WORK // (ENCODE_BYTES * header.area))
    return min(coding.jobs or cores(), header.shape[0], most)


def decode_pictures(data: bytes, header: Header, index: np.ndarray | None, rank: int | None) -> np.ndarray:
    """The pictures at `index` (all, where None) of the section: the streams of no others are decoded.

    Raises
    ------
    InputError
        The section is none; a stream that is none is named by its picture.
    """
    if header.shape[3:] not in ((), (3,)):
        raise InputError(f"is damaged: patches have 1 or 3 channels, its header says {header.shape[3]}")
    streams = read_streams(data, header.shape[0])
    wanted = np.arange(header.shape[0]) if index is None else index
    shown = np.empty((len(wanted), *header.shape[1:]), header.dtype)
    for place in np.unique(wanted).tolist():
        try:
            shown[wanted == place] = decode_stream(streams, place, header.shape[1:], header.dtype, rank)
        except InputError as error:
            if header.shape[0] == 1:
                raise
            raise InputError(f"is damaged: picture {place:,}: {error.message}") from None
    return shown


def decoding_bytes(header: Header) -> int:
    """What that takes of memory beside the pictures that it gives."""
    return DECODE_BYTES * header.area
