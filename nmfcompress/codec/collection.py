"""A collection <-> `.nmfc`: as a stack with shared parts, as bands that a few maps explain, or each by its patches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ..errors import InputError, UsageError
from ..metrics import peak
from ..ranges import check
from ..settings import Coding
from .arrangement import Admit, Choice, choice_for
from .arrangement import arrangement_for as arrangement_for
from .bands import MOST_PARTS as BANDS_MOST
from .bands import Bands
from .drafts import Coded, OnStage, beyond, coded, mse_of, silent
from .header import Header, Meta
from .image import checked
from .opened import Opened, open_container
from .patch_streams import BANDS
from .patched import coded_patches, patches_bytes
from .stacked import coded_as_stack, most_parts, stack_bytes
from .targets import Tries, meet, tight

BANDS_RANK, BANDS_STEP, BANDS_STEPS = 8, 8.0, (0.05, 200.0)  # steps where the largest value is white


def encode_stack(
    images: np.ndarray, *, arrangement: str | None = None, rank: int | None = None, step: float | None = None,
    min_psnr: float | None = None, target_size: int | None = None, basis_from: bytes | None = None,
    meta: Meta | None = None, seed: int = 0, jobs: int | None = None,
) -> bytes:  # fmt: skip
    """A collection of aligned pictures as the bytes of a `.nmfc` file.

    Parameters
    ----------
    images : array, shape (n, h, w) or (n, h, w, 3)
        uint8, uint16, or floats within 0..1. What is sliced like such an array, and read in blocks, will do. "stack"
        takes two and four channels, too.
    arrangement : {"stack", "bands", "patches"}, optional
        "stack" finds parts that the pictures share, each picture a few of them; "bands" few maps that all pictures are
        mixed from, as in spectral bands or the frames of a steady movie; "patches" codes each picture by itself, for
        a few large ones. Chosen from the pictures, and from how good they are to be, by default.
    rank : int, optional
        Parts: by default the root of the number of pictures ("stack"), 8 ("bands", at most 32); with a target the most
        of them. Of "patches" the bands kept of each patch, 1 to 64.
    step : float, optional
        Of the quantizer, in grey levels: 2 is fine, 8 typical, 20 a blur; for "patches" 20 is good, 50 typical. Without
        a target it is 8 by default, 20 of "patches".
    min_psnr, target_size : float, int, optional
        dB of all pictures together, at most half a dB more; or bytes of the file, at most.
    basis_from : bytes, optional
        Another `.nmfc` file of mode stack, whose parts are all taken: they are not stored again, and `decode_stack`
        needs that file too. What they cannot show stays missing, whatever the step. Goes with no rank.
    meta : Meta, optional
        Names, labels and the like.
    seed, jobs
        As for `factorize`; the bytes do not depend on `jobs`.

    Raises
    ------
    TargetMissed
        The target cannot be reached; the message says what can.
    InputError, UsageError
        The pictures are none, or the options contradict each other.
    """
    coding = Coding(rank, step, min_psnr, target_size, arrangement, seed, jobs)
    origin = None if basis_from is None else open_container(basis_from)
    return coded_stack(images, coding, meta, origin=origin).data


def coded_stack(
    images: Any, coding: Coding, meta: Meta | None = None, header: Header | None = None, origin: Opened | None = None,
    on_stage: OnStage = silent, admit: Admit = lambda nbytes: None,
) -> Coded:  # fmt: skip
    """`encode_stack` as settings say; `admit` is told beforehand how many bytes a step takes beside the pictures."""
    if isinstance(images, np.ndarray) or not hasattr(images, "shape"):
        images = checked(images, (3, 4))
    header = header or Header(tuple(images.shape), np.dtype(images.dtype))
    if coding.arrangement == "rows":
        raise UsageError("arrangement is rows for a collection (expected stack, bands or patches)")
    if origin is not None:
        if coding.arrangement not in (None, "stack"):
            raise UsageError(f"a basis is given with arrangement {coding.arrangement} (expected stack)")
        if coding.rank is not None:
            raise UsageError("a rank is given with a basis, whose parts are all taken (expected a step or a target)")
        _check_origin(origin.header, header)

    def arranged(arrangement: str) -> Coded:
        asked = replace(coding, arrangement=arrangement)
        admit(coding_bytes(header, asked))
        if arrangement == "patches":
            return coded_patches(images, asked, header, meta or Meta(), on_stage)
        if arrangement == "bands":
            made = _bands(images, asked, header, meta or Meta(), on_stage)
        else:
            made = coded_as_stack(images, asked, header, meta or Meta(), origin, on_stage)
        return replace(made, notes=beyond(asked.rank, arrangement, most_rank(arrangement, header)))

    if coding.arrangement is not None:
        return arranged(coding.arrangement)
    choice = choice_for(images, origin is not None, coding, admit)
    if choice.second is None or not coding.targets:
        return arranged(choice.first)
    return _either(arranged, choice, len(images), coding)


def _either(arranged: Callable[[str], Coded], choice: Choice, n: int, coding: Coding) -> Coded:
    """What suits, unless what else there is reaches a target that this misses, or comes nearer where none is sure."""
    tries: Tries[Coded] = Tries(coding)
    for arrangement in (choice.first, str(choice.second)):
        if tries.take(partial(arranged, arrangement)) is None or tries.found is None:
            continue
        left = coding.target_size is not None and tries.found.psnr_db is not None and not tight(tries.found, coding)
        wasted = left and (choice.small or arrangement != "patches")
        if not wasted and not choice.is_worth(tries.found, n, coding):
            break
    return tries.best()


def _check_origin(there: Header, here: Header) -> None:
    """Raise InputError unless parts of one collection may make the other's pictures: of their size, on their scale."""
    if there.shape[1:] != here.shape[1:]:
        sizes = [" x ".join(map(str, header.shape[1:])) for header in (here, there)]
        raise InputError(f"its pictures are {sizes[0]}, those whose parts are taken {sizes[1]}")
    if here.dtype != there.dtype and "u" in here.dtype.kind + there.dtype.kind:
        raise InputError(
            f"its pictures are {here.dtype}, those whose parts are taken {there.dtype} (expected the same)"
        )
    ranges = [(header.low, header.high) for header in (here, there)]
    if ranges[0] != ranges[1]:
        raise InputError(
            f"its values {ranges[0][0]:g} to {ranges[0][1]:g} are 0 to 1, of those whose parts are taken "
            f"{ranges[1][0]:g} to {ranges[1][1]:g} (expected values of one scale)"
        )


def most_rank(arrangement: str, header: Header) -> int:
    """The most parts, maps, or bands of a patch that there can be."""
    if arrangement == "patches":
        return BANDS
    most = most_parts(header)
    return min(BANDS_MOST, most) if arrangement == "bands" else most


def coding_bytes(header: Header, coding: Coding) -> int:
    """What coding a collection takes beside its pictures, at most."""
    return patches_bytes(header, coding) if coding.arrangement == "patches" else stack_bytes(header, coding)


def _bands(images: Any, coding: Coding, header: Header, meta: Meta, on_stage: OnStage) -> Coded:
    images = np.asarray(images[:] if not isinstance(images, np.ndarray) else images)
    white = max(float(images.max()) / peak(images.dtype), 1 / 65535)
    most = most_rank("bands", header)
    first = min(coding.rank or BANDS_RANK, most)
    last = most if coding.rank is None else first
    tries: Tries[Coded] = Tries(coding)

    def made_of(rank: int) -> Coded:
        coder = Bands(images, rank, seed=coding.seed, jobs=coding.jobs)

        def draft(step: float) -> Coded:
            made = coder.encode(step)
            whole = coded("bands", header, meta, made.sections, made.planes, mse_of(made.images, images))
            on_stage("bands", 1.0, whole.size / len(images), whole.psnr_db)
            return whole

        if not coding.targets:
            return draft(coding.step or BANDS_STEP * white)
        low, high = (step * white for step in BANDS_STEPS)
        return meet(draft, coding, BANDS_STEP * white, low, high, utmost=rank == last, bar=tries.found)

    few = tries.take(lambda: made_of(first))
    # while some are not worth their bytes more would not be, either
    if coding.targets and first != last and (few is None or few.rank == first):
        tries.take(lambda: made_of(last))
    return tries.best()


def decode_stack(
    data: bytes, index: Any = None, rank: int | None = None, basis_from: bytes | None = None
) -> np.ndarray:
    """The pictures of a `.nmfc` file, (n, h, w) or (n, h, w, 3), of the type that they had.

    Floats are within 0..1, as they were coded; which values these stood for in another range, `info` tells ("low" and
    "high"), and `nmfc decompress` gives.

    Parameters
    ----------
    index : int or sequence of int, optional
        Only these, in this order, counted from 0; one number gives an array of one picture. Of a stack only the chunks
        that hold them are decoded.
    rank : int, optional
        Only the first so many parts: coarse pictures.
    basis_from : bytes, optional
        The file whose parts these pictures are made of, where they have none of their own.

    Raises
    ------
    InputError
        It is no such file, damaged, or `basis_from` is missing or another; an index is beyond the pictures.
    UsageError
        The index is none, or the rank no whole number from 1.
    """
    origin = None if basis_from is None else open_container(basis_from)
    return open_container(data).pictures(None if index is None else _places(index), rank, origin)


def _places(index: Any) -> np.ndarray:
    """An index as whole numbers side by side."""
    try:
        places = np.atleast_1d(np.asarray(index))
    except ValueError:  # lists of several lengths
        places = np.empty((0, 0))
    places = places if places.size else places.astype(np.int64)
    right = places.ndim == 1 and places.dtype.kind in "iu"
    check(right, "index", f"{places.dtype} {places.shape}", "whole numbers from 0, one or a row of them")
    return places
