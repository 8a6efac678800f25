"""A collection <-> `.nmfc`: as a stack with shared parts, as bands that a few maps explain, or each by its patches."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ..errors import InputError, UsageError
from ..factor.crew import workers
from ..factor.nmf import cores
from ..metrics import peak
from ..ranges import check
from ..settings import Coding
from . import integer, stack
from .arrangement import Choice, choice_for, parts_needed
from .arrangement import arrangement_for as arrangement_for
from .bands import MOST_PARTS as BANDS_MOST
from .bands import Bands
from .drafts import Coded, OnStage, beyond, coded, mse_of, silent
from .header import Header, Meta
from .image import checked
from .integer import STEP_OF_PRICE, blocks_of
from .opened import Opened, open_container
from .parts import MOST_PARTS as MOST_READ
from .parts import read_parts
from .patch_streams import BANDS
from .patched import coded_patches, patches_bytes
from .targets import Tries, closer, meet, tight, utmost_of

STEP = 8.0  # where nothing is asked
STEPS = (0.05, 120.0)  # between which a target is sought
RANK_STEP = 11.0  # at which a stack has as many parts as the root of its pictures
MOST_PARTS = 512  # unless told
BANDS_RANK, BANDS_STEP, BANDS_STEPS = 8, 8.0, (0.05, 200.0)  # steps where the largest value is white
FALL = 2.3  # dB that PSNR falls as the price of a bit grows e-fold, about
SHRINK = 0.6  # of the logarithm of the size, likewise
BESIDE_BYTES = 120  # of curve, header and the like, about
MORE_PARTS = 1.3  # times what parts with signs would need
MOST_SHARE, SHARE_OF_ROOT = 0.6, 8.0  # of a size that is for parts: by the root of the number of pictures, measured
LEAST_PART, PART_OF_VALUE = 30, 1 / 12  # bytes of a part, about: 65 of 28 x 28 pixels
FIRST_PRICE = 0.017  # of the squared error of a picture that is aimed at: where learning begins
SPARE = 0.47  # dB that storing the parts takes away, about, and that is aimed above
LATE_FALL = 1.4  # dB that PSNR falls by as the step of parts that are there grows e-fold
TURN, FAR_TURN = 0.08, 0.3  # at most, of the logarithm of the price, in one round of learning, near and far
FAR = 1.0  # of the logarithm of the price
SMALL = 2**19  # values of all pictures for which several numbers of parts take seconds
OWN_SHARE = 2  # pictures that a part is there for, up to which they may share nothing
NEAR = 1.2  # times: numbers of parts between which nothing is looked for


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
    on_stage: OnStage = silent, admit: Callable[[int], None] = lambda nbytes: None,
) -> Coded:  # fmt: skip
    """`encode_stack` as settings say; `admit` is told beforehand how many bytes coding takes beside the pictures."""
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
            made = _stack(images, asked, header, meta or Meta(), origin, on_stage)
        return replace(made, notes=beyond(asked.rank, arrangement, most_rank(arrangement, header)))

    if coding.arrangement is not None:
        return arranged(coding.arrangement)
    choice = choice_for(images, origin is not None, coding)
    if choice.second is None or not coding.targets:
        return arranged(choice.first)
    return _either(arranged, choice, len(images), coding)


def _either(arranged: Callable[[str], Coded], choice: Choice, n: int, coding: Coding) -> Coded:
    """What suits, unless what else there is reaches a target that this misses, or comes nearer where none is sure."""
    tries: Tries[Coded] = Tries(coding)
    for arrangement in (choice.first, str(choice.second)):
        if tries.take(partial(arranged, arrangement)) is None or tries.found is None:
            continue
        wasted = coding.target_size is not None and arrangement != "patches" and not tight(tries.found, coding)
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


def stack_rank(images: Any, header: Header, coding: Coding) -> int:
    """Parts that a stack has, or a search for its target begins with.

    More for more pictures, as they share the cost, and for finer steps; no fewer than come near to a quality; of a size
    a share for the parts.
    """
    n, pixels = header.shape[0], header.pixels
    most = min(coding.rank or MOST_PARTS, most_rank("stack", header))
    if coding.rank is not None and not coding.targets:
        return most
    finer = 1.0 if coding.step is None else min(max(RANK_STEP / coding.step, 0.5), 4.0)
    rank = max(4, round(finer * math.sqrt(n)))
    if coding.min_psnr is not None:
        rank = max(rank, round(MORE_PARTS * parts_needed(images, 10 ** (-coding.min_psnr / 10))))
    elif coding.target_size is not None:
        share = min(MOST_SHARE, SHARE_OF_ROOT / math.sqrt(n))
        rank = round(share * (coding.target_size - BESIDE_BYTES) / part_bytes(pixels))
    return max(1, min(rank, most))


def part_bytes(pixels: int) -> float:
    """What a part takes in a file, about."""
    return max(LEAST_PART, PART_OF_VALUE * pixels)


def most_rank(arrangement: str, header: Header) -> int:
    """The most parts, maps, or bands of a patch that there can be."""
    if arrangement == "patches":
        return BANDS
    return min(BANDS_MOST if arrangement == "bands" else MOST_READ, header.shape[0], header.pixels)


def coding_bytes(header: Header, coding: Coding) -> int:
    """What coding a collection takes beside its pictures, at most: codes and their copies, parts, and the subset."""
    if coding.arrangement == "patches":
        return patches_bytes(header, coding)
    n, pixels = header.shape[0], header.pixels
    rank = min(coding.rank or MOST_PARTS, n, pixels)
    work = 16 * min(integer.BLOCK, n) * 4 * (pixels + rank)
    return 5 * n * rank + 60 * pixels * rank + 24 * rank * rank + 16 * min(n, stack.SUBSET) * pixels + work


def price_of(step: float, pixels: int) -> float:
    """What a bit is worth, in squared grey levels of a picture, for parts of a step of so many grey levels a pixel."""
    return STEP_OF_PRICE * step**2 * pixels


def _stack(images: Any, coding: Coding, header: Header, meta: Meta, origin: Opened | None, on_stage: OnStage) -> Coded:
    n, pixels = header.shape[0], header.pixels
    most = min(coding.rank or MOST_PARTS, most_rank("stack", header))
    with workers(coding.jobs or cores(), len(blocks_of(n))) as each:

        def coder() -> stack.StackCoder:
            return stack.StackCoder(images, header, each, coding.seed, on_stage)

        def made_of(rank: int, coding: Coding = coding, bar: Coded | None = None) -> Coded:
            learning = coder()
            price = _learned(learning, rank, coding, header)
            return _drafted(learning, price, coding, header, meta, bar=bar)

        if origin is not None:
            given = coder()
            given.take(read_parts(origin.container, header))
            return _drafted(given, _first_price(given, coding, header), coding, header, meta, utmost=True)
        first = stack_rank(images, header, coding)
        if not coding.targets:
            return made_of(first)
        patient = n * pixels <= SMALL
        tries: Tries[Coded] = Tries(coding)
        tries.take(lambda: _searched(made_of, first, most, coding, patient))
        found = tries.found
        if patient and n <= most and (found is None or OWN_SHARE * found.rank >= n or not tight(found, coding)):
            own = coder()
            own.take_pictures()
            tries.take(lambda: _drafted(own, _first_price(own, coding, header), coding, header, meta, bar=tries.found))
        if tries.found is None and patient and coding.target_size is not None:
            # what learning comes to jumps with the price, where that is high
            free = replace(coding, target_size=None)
            tries.take(lambda: utmost_of(lambda step: made_of(1, replace(free, step=step)), coding, *STEPS))
        return tries.best()


def _searched(made_of: Callable[..., Coded], rank: int, most: int, coding: Coding, patient: bool) -> Coded:
    """The best of several numbers of parts, `most` at most.

    More come nearer to a quality, fewer fit into a size: so until it is met. Then whatever is better, doubled or
    halved, then by smaller steps; unless `patient`, only until nothing is wasted.
    """
    more = coding.min_psnr is not None
    tries: Tries[Coded] = Tries(coding)

    @functools.cache
    def attempt(rank: int) -> Coded | None:
        return tries.take(lambda: made_of(rank, bar=tries.found))

    def times(factor: float) -> int:
        return min(max(round(rank * factor), 1), most)

    while attempt(rank) is None and rank != (most if more else 1):
        rank = times(2 if more else 1 / 2)
    found, factor = tries.best(), 2.0
    while factor > NEAR and (patient or not tight(found, coding)):
        for other in (times(1 / factor), times(factor)) if more else (times(factor), times(1 / factor)):
            made = attempt(other)
            if made is not None and closer(made, found, coding):
                rank, found = other, made
                break
        else:
            factor = math.sqrt(factor)
    return found


def _first_price(coder: stack.StackCoder, coding: Coding, header: Header) -> float:
    """The price at which learning, or the search for a target, begins."""
    if coding.min_psnr is None:
        return price_of(coding.step or STEP, header.pixels)
    return FIRST_PRICE * 255.0**2 / 10 ** ((coding.min_psnr - coder.spare_db) / 10) * header.pixels


def _learned(coder: stack.StackCoder, rank: int, coding: Coding, header: Header) -> float:
    """Have so many parts learned; returns the price at which that ended."""
    n, pixels = header.shape[0], header.pixels
    wanted = (coding.min_psnr or 0.0) - coder.spare_db
    least, most = price_of(STEPS[0], pixels), price_of(STEPS[1], pixels)

    def steer(price: float, mse: float, size: float) -> float:
        """The next price of learning, for what this one comes to: grey levels squared, and bytes a picture."""
        if coding.min_psnr is not None:
            miss = (10 * math.log10(255.0**2 / max(mse, 1e-9)) - wanted - SPARE) / FALL
        elif coding.target_size is not None:
            miss = math.log((size * n * 0.95 + part_bytes(pixels) * rank + BESIDE_BYTES) / coding.target_size) / SHRINK
        else:
            return price
        turn = TURN if abs(miss) < FAR else FAR_TURN
        return min(max(price * math.exp(min(max(0.3 * miss, -turn), turn)), least), most)

    return coder.learn(rank, _first_price(coder, coding, header), steer)


def _drafted(
    coder: stack.StackCoder, price: float, coding: Coding, header: Header, meta: Meta, *, utmost: bool = False,
    bar: Coded | None = None,
) -> Coded:  # fmt: skip
    """The draft that is asked for, of the parts that `coder` has; the search for a target begins at this price."""
    pixels = header.pixels

    def draft(step: float) -> Coded:
        made = coder.draft(price_of(step, pixels))
        return coded("stack", header, meta, made.sections, coder.rank, made.mse)

    first = math.sqrt(price / price_of(1.0, pixels))
    if not coding.targets:
        return draft(first)
    return meet(draft, coding, first, *STEPS, fall=LATE_FALL, utmost=utmost, bar=bar)


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

    Parameters
    ----------
    index : int or sequence of int, optional
        Only these, in this order; of a stack only the chunks that hold them are decoded.
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
