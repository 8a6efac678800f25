"""A collection <-> `.nmfc`: as a stack with shared parts, or as bands that a few maps explain."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import InputError, TargetMissed, UsageError
from ..factor.crew import workers
from ..factor.nmf import cores
from ..settings import Coding
from . import integer, stack
from .bands import Bands
from .drafts import Coded, OnStage, coded, mse_of, silent
from .header import Header, Meta
from .image import checked
from .integer import STEP_OF_PRICE, blocks_of
from .opened import Opened, open_container
from .parts import read_parts
from .targets import closer, meet, tight

STEP = 8.0  # where nothing is asked
STEPS = (0.05, 120.0)  # between which a target is sought
RANK_STEP = 11.0  # at which a stack has as many parts as the root of its pictures
MOST_PARTS = 512  # unless told
BANDS_MOST = 32
BANDS_RANK, BANDS_STEP, BANDS_STEPS = 8, 8.0, (0.05, 200.0)
FALL = 2.3  # dB that PSNR falls as the price of a bit grows e-fold, about
SHRINK = 0.6  # of the logarithm of the size, likewise
FIRST_PRICE = 0.017  # of the squared error of a picture that is aimed at: where learning begins
SPARE = 0.55  # dB that storing the parts takes away, about, and that is aimed above
LATE_FALL = 1.4  # dB that PSNR falls by as the step of parts that are there grows e-fold
TURN, FAR_TURN = 0.08, 0.3  # at most, of the logarithm of the price, in one round of learning, near and far
FAR = 1.0  # of the logarithm of the price


def encode_stack(
    images: np.ndarray, *, arrangement: str | None = None, rank: int | None = None, step: float | None = None,
    min_psnr: float | None = None, target_size: int | None = None, basis_from: bytes | None = None,
    meta: Meta | None = None, seed: int = 0, jobs: int | None = None,
) -> bytes:  # fmt: skip
    """A collection of aligned pictures as the bytes of a `.nmfc` file.

    Parameters
    ----------
    images : array, shape (n, h, w) or (n, h, w, 3)
        uint8, uint16, or floats within 0..1. What is sliced like such an array, and read in blocks, will do.
    arrangement : {"stack", "bands"}, optional
        "stack" finds parts that the pictures share, each picture a few of them; "bands" few maps that all pictures are
        mixed from, as in spectral bands or the frames of a steady movie. Chosen from the pictures by default.
    rank : int, optional
        Parts: by default the root of the number of pictures ("stack"), 8 ("bands"); with a target the most of them.
    step : float, optional
        Of the quantizer, in grey levels: 2 is fine, 8 typical, 20 a blur.
    min_psnr, target_size : float, int, optional
        dB of all pictures together, at most half a dB more; or bytes of the file, at most.
    basis_from : bytes, optional
        Another `.nmfc` file of mode stack, whose parts are taken: they are not stored again, and `decode_stack` needs
        that file too.
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
    on_stage: OnStage = silent,
) -> Coded:  # fmt: skip
    """`encode_stack` as settings say."""
    if isinstance(images, np.ndarray) or not hasattr(images, "shape"):
        images = checked(images, (3, 4))
    header = header or Header(tuple(images.shape), np.dtype(images.dtype))
    arrangement = coding.arrangement or arrangement_for(images, origin is not None)
    if arrangement not in ("stack", "bands"):
        raise UsageError(f"arrangement is {arrangement} for a collection (expected stack or bands)")
    if arrangement == "bands":
        if origin is not None:
            raise UsageError("a basis is given with arrangement bands (expected stack: the maps belong to one scene)")
        return _bands(images, coding, header, meta or Meta(), on_stage)
    if origin is not None:
        _check_origin(origin.header, header)
    return _stack(images, coding, header, meta or Meta(), origin, on_stage)


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


def arrangement_for(images: Any, given: bool = False) -> str:
    """What suits a collection: bands where neighbours are alike and few, else a stack.

    Bands of a spectrum, and frames of a steady movie, are about as far from their neighbours as noise goes; digits and
    faces are as far from the next as from any other.
    """
    n = len(images)
    if given or n < 8 or len(images.shape) != 3 or n > 20_000:
        return "stack"
    places = np.unique(np.linspace(0, n - 2, min(n - 1, 64)).astype(int))
    first = np.stack([np.asarray(images[int(i)], np.float64) for i in places])
    following = np.stack([np.asarray(images[int(i) + 1], np.float64) for i in places])
    spread = (
        np.square(first - first.mean(axis=0)).mean() + np.square(first - first.mean(axis=(1, 2), keepdims=True)).mean()
    )
    near = np.square(first - following).mean()
    return "bands" if near < 0.25 * spread else "stack"


def stack_rank(n: int, pixels: int, coding: Coding) -> int:
    """Parts of a stack: more for more pictures, as they share the cost, and for finer steps; few in a small file."""
    finer = 1.0 if coding.step is None else min(max(RANK_STEP / coding.step, 0.5), 4.0)
    rank = coding.rank or min(MOST_PARTS, max(4, round(finer * math.sqrt(n))))
    if coding.target_size is not None:
        rank = min(rank, max(1, coding.target_size // 400))
    return max(1, min(rank, n, pixels))


def coding_bytes(header: Header, coding: Coding) -> int:
    """What coding a collection takes beside its pictures, at most: codes and their copies, parts, and the subset."""
    n, pixels = header.shape[0], header.pixels
    rank = min(coding.rank or MOST_PARTS, n, pixels)
    work = 16 * integer.BLOCK * 4 * (pixels + rank)
    return 5 * n * rank + 60 * pixels * rank + 24 * rank * rank + 16 * min(n, stack.SUBSET) * pixels + work


def price_of(step: float, pixels: int) -> float:
    """What a bit is worth, in squared grey levels of a picture, for parts of a step of so many grey levels a pixel."""
    return STEP_OF_PRICE * step**2 * pixels


def _stack(images: Any, coding: Coding, header: Header, meta: Meta, origin: Opened | None, on_stage: OnStage) -> Coded:
    n, pixels = header.shape[0], header.pixels
    rank, most = stack_rank(n, pixels, coding), min(MOST_PARTS, n, pixels)
    found: Coded | None = None
    with workers(coding.jobs or cores(), len(blocks_of(n))) as each:
        while True:
            coder = stack.StackCoder(images, header, each, coding.seed, on_stage)
            last = not coding.targets or coding.rank is not None or origin is not None
            try:
                made = _drafted(coder, rank, coding, header, meta, origin)
            except TargetMissed:
                if found is not None:
                    return found
                # more parts come nearer to a quality, fewer to a size
                following = max(1, rank // 2) if coding.min_psnr is None else min(2 * rank, most)
                if last or following == rank:
                    raise
                rank = following
                continue
            if last or tight(made, coding) or (found is not None and not closer(made, found, coding)):
                return made if found is None or closer(made, found, coding) else found
            # fewer parts leave less above a quality, more fill what is left of a size
            found, rank = made, rank // 2 if coding.min_psnr is not None else min(2 * rank, most)
            if rank == 0 or made.rank >= most:
                return found


def _drafted(
    coder: stack.StackCoder, rank: int, coding: Coding, header: Header, meta: Meta, origin: Opened | None
) -> Coded:
    """The draft that is asked for, of so many parts."""
    n, pixels = header.shape[0], header.pixels
    wanted = (coding.min_psnr or 0.0) - coder.spare_db
    price = price_of(coding.step or STEP, pixels)
    if coding.min_psnr is not None:
        price = FIRST_PRICE * 255.0**2 / 10 ** (wanted / 10) * pixels
    least, most = price_of(STEPS[0], pixels), price_of(STEPS[1], pixels)

    def steer(price: float, mse: float, size: float) -> float:
        """The next price of learning, for what this one comes to: grey levels squared, and bytes a picture."""
        if coding.min_psnr is not None:
            miss = (10 * math.log10(255.0**2 / max(mse, 1e-9)) - wanted - SPARE) / FALL
        elif coding.target_size is not None:
            miss = math.log(max(size * n * 0.95 + 90 * rank, 1) / coding.target_size) / SHRINK
        else:
            return price
        turn = TURN if abs(miss) < FAR else FAR_TURN
        return min(max(price * math.exp(min(max(0.3 * miss, -turn), turn)), least), most)

    if origin is not None:
        if origin.header.shape[1:] != header.shape[1:]:
            shapes = f"{origin.header.shape[1:]}, these {header.shape[1:]}"
            raise InputError(f"the pictures of basis_from have shape {shapes} (expected the same)")
        coder.take(read_parts(origin.container, header), price)
    else:
        price = coder.learn(rank, price, steer)

    def draft(step: float) -> Coded:
        made = coder.draft(price_of(step, pixels))
        return coded("stack", header, meta, made.sections, coder.rank, made.mse)

    learned = math.sqrt(price / price_of(1.0, pixels))
    return meet(draft, coding, learned, *STEPS, fall=LATE_FALL) if coding.targets else draft(learned)


def _bands(images: Any, coding: Coding, header: Header, meta: Meta, on_stage: OnStage) -> Coded:
    images = np.asarray(images[:] if not isinstance(images, np.ndarray) else images)
    made: Coded | None
    rank = max(1, min(coding.rank or BANDS_RANK, BANDS_MOST, len(images), header.pixels))
    coder = Bands(images, rank, seed=coding.seed, jobs=coding.jobs)

    def draft(step: float) -> Coded:
        made = coder.encode(step)
        on_stage("bands", 1.0)
        return coded("bands", header, meta, made.sections, rank, mse_of(made.images, images))

    if not coding.targets:
        return draft(coding.step or BANDS_STEP)
    try:
        made = meet(draft, coding, BANDS_STEP, *BANDS_STEPS)
        if coding.rank is not None or coding.min_psnr is not None or tight(made, coding):
            return made
    except TargetMissed:
        if coding.rank is not None or rank >= min(BANDS_MOST, len(images), header.pixels):
            raise
        made = None
    # more maps come nearer, and fill what is left of a size
    rank = min(BANDS_MOST, len(images), header.pixels)
    coder = Bands(images, rank, seed=coding.seed, jobs=coding.jobs)
    finer = meet(draft, coding, BANDS_STEP, *BANDS_STEPS)
    return finer if made is None or closer(finer, made, coding) else made


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
    """
    origin = None if basis_from is None else open_container(basis_from)
    places = None if index is None else np.atleast_1d(np.asarray(index))
    if places is not None and not places.size:
        places = places.astype(np.int64)
    if places is not None and (places.ndim != 1 or places.dtype.kind not in "iu"):
        raise InputError(f"index is of type {places.dtype} (expected whole numbers from 0)")
    return open_container(data).pictures(places, rank, origin)
