"""One picture <-> `.nmfc`: by its rows, for looking and learning, or by its patches, for keeping."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from ..errors import InputError, UsageError
from ..factor.nmf import Factorization, factorize
from ..images.arrange import arrange_rows
from ..images.limits import Limits, rows_bytes
from ..settings import Coding
from .arrangement import parts_needed
from .container import Container
from .drafts import Coded, OnStage, coded, silent
from .header import TYPES, Header, Meta
from .patched import coded_patches, patches_bytes
from .rows import STEPS, RowsCoder, coded_rows, falling, read_rows, sections_of
from .targets import Tries, loose, meet

FEW_ROWS = 0.25  # parts, of the most there can be, up to which rows are tried where patches miss a quality
SECONDS, COLOUR_BITS = 2**17, 6.0  # values of a picture by rows; bits a pixel beyond which colour needs all of it
LITTLE = 2**16  # values of a picture, times parts, of which rows are tried, too, where these may take
ROWS_VALUE = 0.35  # bytes, about, for each of their values
ALL_BUT_EXACT = 70.0  # dB, in place of what is exact


def encode_image(
    pixels: np.ndarray, *, arrangement: str | None = None, rank: int | None = None, step: float | None = None,
    min_psnr: float | None = None, target_size: int | None = None, meta: Meta | None = None, seed: int = 0,
    jobs: int | None = None,
) -> bytes:  # fmt: skip
    """A picture as the bytes of a `.nmfc` file.

    Parameters
    ----------
    pixels : array, shape (h, w) or (h, w, 3)
        uint8, uint16, or floats within 0..1. "rows" takes two and four channels, too: the last may be alpha, and is
        then no better than the others; in `meta` it is kept without loss.
    arrangement : {"rows", "patches"}, optional
        "rows" factorizes the picture by its pixel rows: a few parts, a blur, to look at. "patches" is for keeping it.
        By default "rows" where only a rank is given, else "patches".
    rank : int, optional
        Parts of "rows": 3 is a blur of a photo; with a target the most of them. Of "patches" the bands kept of each
        patch, 1 to 64 (all).
    step : float, optional
        Of the quantizer, in grey levels: for "patches" 20 is good (and the default), 50 typical, 150 a blur; for "rows"
        chosen so that 0.05 dB are lost.
    min_psnr, target_size : float, int, optional
        dB that the decoded picture reaches, at most half a dB more; or bytes of the file, at most.
    meta : Meta, optional
        What goes with the picture.
    seed, jobs
        As for `factorize`.

    Raises
    ------
    TargetMissed
        The target cannot be reached; the message says what can.
    InputError, UsageError
        The pixels are none, or the options contradict each other.
    """
    return coded_image(pixels, Coding(rank, step, min_psnr, target_size, arrangement, seed, jobs), meta).data


def coded_image(
    pixels: np.ndarray, coding: Coding, meta: Meta | None = None, header: Header | None = None,
    fit: Factorization | None = None, on_stage: OnStage = silent, mask: np.ndarray | None = None,
    admit: Callable[[int], None] = lambda nbytes: None,
) -> Coded:  # fmt: skip
    """`encode_image` as settings say.

    `fit`: of its rows, where they are factorized already, with this mask (h, w); `admit` is told beforehand how many
    bytes coding takes beside the picture.
    """
    pixels = checked(pixels, (2, 3))
    header = header or Header((1, *pixels.shape), pixels.dtype, single=True)
    meta = meta or Meta()
    arrangement = arrangement_of(coding)
    if arrangement not in ("rows", "patches"):
        raise UsageError(f"arrangement is {arrangement} for one picture (expected rows or patches)")
    if arrangement == "patches":
        admit(patches_bytes(header, coding))
        tries: Tries[Coded] = Tries(coding)
        patches = tries.take(lambda: coded_patches(pixels[None], coding, header, meta, on_stage))
        if coding.arrangement is None and coding.targets and _may_be_rows(pixels, coding, patches):
            tries.take(lambda: _rows_for_target(pixels, coding, header, meta, on_stage, admit))
        return tries.best()
    if coding.rank is None and not coding.targets:
        raise UsageError("rank is missing (expected the number of parts, such as 3, a target, or arrangement patches)")
    if fit is not None or not coding.targets:
        rank = coding.rank or 1
        fit = fit or factorize(arrange_rows(pixels), rank, rng=coding.seed, jobs=coding.jobs)
        return _rows(pixels, fit, coding, header, meta, mask)
    return _rows_for_target(pixels, coding, header, meta, on_stage, admit)


def arrangement_of(coding: Coding) -> str:
    """What is asked for, or what suits one picture: to be looked at, where there is a rank and no more, or kept."""
    return coding.arrangement or ("rows" if not coding.targets and coding.step is None else "patches")


def _may_be_rows(pixels: np.ndarray, coding: Coding, patches: Coded | None) -> bool:
    """Whether parts of rows may do where patches miss, or better: lines and grids, which patches blur, and noise.

    Where that takes long, only few parts; beside patches that do, only where it takes little time, where so many bits
    are no use to patches of half the colour, or where they end before a size does: their finest step is for 8 bits.
    """
    V = arrange_rows(pixels)
    seconds = pixels.size <= SECONDS
    many = COLOUR_BITS / 8 * pixels.shape[0] * pixels.shape[1]
    deep = coding.target_size is not None and pixels.dtype != np.uint8
    ended = deep and patches is not None and bool(loose(patches, coding))
    if seconds and (patches is None or ended or (patches.psnr_db is not None and patches.size > many)):
        return True
    if patches is None or ended:
        wanted = coding.min_psnr or 0.0 if patches is None else patches.psnr_db or ALL_BUT_EXACT
        few = FEW_ROWS * min(V.shape)
    elif pixels.size <= LITTLE:
        wanted = patches.psnr_db or ALL_BUT_EXACT
        few = min(patches.size / (ROWS_VALUE * sum(V.shape)), LITTLE / pixels.size)
    else:
        return False
    return bool(parts_needed(V, 10 ** (-wanted / 10)) <= few)


def _rows(
    pixels: np.ndarray, fit: Factorization, coding: Coding, header: Header, meta: Meta, mask: np.ndarray | None = None,
    *, utmost: bool = False, bar: Coded | None = None,
) -> Coded:  # fmt: skip
    """The file of these factors, at the step that is asked for, or needed; `utmost` and `bar` as for `meet`."""
    if coding.step is None and not coding.targets:
        return coded_rows([pixels], [header], [meta], [fit], mask)[0]
    coder = RowsCoder([pixels], [falling(fit)], mask)

    def at(step: float) -> Coded:
        factors, mse = coder.tried(0, step)
        (sections,) = sections_of([factors], pixels.shape[1])
        return coded("rows", header, meta, sections, len(factors.w), mse)

    if coding.step is not None:
        return at(coding.step)
    return meet(at, coding, 2.0, coder.finest, STEPS[1], utmost=utmost, bar=bar)


def _rows_for_target(
    pixels: np.ndarray, coding: Coding, header: Header, meta: Meta, on_stage: OnStage, admit: Callable[[int], None]
) -> Coded:
    """The fewest parts that reach a quality, or as many as a size pays for: doubled, then in halves between.

    Beyond 8 bits few parts that are finer may show more than many: the search goes on from where it is better.
    """
    V = arrange_rows(pixels)
    deep = pixels.dtype != np.uint8
    solver = "hals" if deep else "mu"  # what is finer than 8 bits shows how far factors are from the best
    most = min(coding.rank or min(V.shape), *V.shape)
    last = most if coding.min_psnr is not None else 1
    tries: Tries[Coded] = Tries(coding)

    def of_rank(rank: int) -> Coded:
        admit(rows_bytes(len(V), V.shape[1], rank, coded=True, wide=V.itemsize > 4))
        fit = factorize(V, rank, rng=coding.seed, jobs=coding.jobs, solver=solver)
        return _rows(pixels, fit, coding, header, meta, utmost=rank == last, bar=tries.found)

    def tried(rank: int) -> Coded | None:
        made = tries.take(partial(of_rank, rank))
        on_stage(f"rank {rank}", rank / most, *((made.size, made.psnr_db) if made is not None else ()))
        return made

    first = rank = min(4, most)
    low, high = 0, most + 1
    while low + 1 < high:
        made = tried(rank)
        # more parts: for a quality while it is missed, for a size while they fit and there is more to show
        if coding.min_psnr is not None:
            more = made is None
        else:
            more = made is not None and made.psnr_db is not None and (made is tries.found or not deep)
        low, high = (rank, high) if more else (low, rank)
        rank = min(2 * rank, most) if high == most + 1 and rank < most else (low + high) // 2
        if rank in (low, 0) or high - low <= max(1, low // 16):
            break
    if deep and coding.target_size is not None and low == first:
        for fewer in range(first - 1, 0, -1):
            tried(fewer)
    return tries.best()


def decode_image(data: bytes, rank: int | None = None) -> np.ndarray:
    """The picture of a `.nmfc` file, (h, w) or (h, w, 3), of the type that it had; of the first `rank` parts, if asked.

    Floats are within 0..1, as for `decode_stack`.

    Raises
    ------
    InputError
        It is no such file, damaged, or holds a collection.
    UsageError
        The rank is no whole number from 1.
    """
    from .opened import open_container

    opened = open_container(data)
    if opened.header.shape[0] != 1:
        raise InputError(f"holds {opened.header.shape[0]:,} pictures (decode_stack reads them)")
    picture: np.ndarray = opened.pictures(rank=rank)[0]
    return picture


def decode_single(container: Container, header: Header, rank: int | None, limits: Limits | None = None) -> np.ndarray:
    """The one picture of mode rows, with the axis that counts pictures."""
    return np.asarray(read_rows(container, header, limits).pixels(header, rank))[None]


def checked(pixels: np.ndarray, axes: tuple[int, int]) -> np.ndarray:
    """Pixels as they can be coded: contiguous, in the machine's byte order.

    Raises
    ------
    InputError
        They are of another shape or type, or floats beyond 0..1.
    """
    try:
        pixels = np.asarray(pixels)
    except ValueError:
        raise InputError("pictures have several shapes (expected one)") from None
    if pixels.dtype.name not in TYPES and pixels.dtype.newbyteorder("=").name not in TYPES:
        raise InputError(f"pictures have type {pixels.dtype} (expected {', '.join(TYPES)})")
    if pixels.ndim not in axes or 0 in pixels.shape or (pixels.ndim == axes[1] and pixels.shape[-1] > 4):
        shapes = "(h, w) or (h, w, 3)" if axes[0] == 2 else "(n, h, w) or (n, h, w, 3)"
        raise InputError(f"pictures have shape {pixels.shape} (expected {shapes}, none of them 0)")
    pixels = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("="))
    if pixels.dtype.kind == "f" and not (pixels.min() >= 0 and pixels.max() <= 1):
        raise InputError("pictures have values beyond 0 to 1, or NaN (expected floats within 0..1)")
    return pixels
