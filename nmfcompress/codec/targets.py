"""Meeting a size or a quality: one search over the quantizer's step."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol, TypeVar

from ..errors import TargetMissed
from ..settings import Coding

OVER = 0.5  # dB above min_psnr that are at most given away
FILL = 0.95  # of target_size that is used at least
AIM_DB, AIM_FILL = 0.15, 0.985  # where the search aims between these
MOST_DRAFTS = 14
FALL = 5.8  # dB that PSNR falls by as the step grows e-fold
WIDEST = 4.0  # times: how far the step goes at once


class Measured(Protocol):
    """A draft of a file, and what it comes to."""

    @property
    def size(self) -> int:
        """Bytes of the whole file."""

    @property
    def psnr_db(self) -> float | None:
        """Of what is decoded; None when it is exact."""


Draft = TypeVar("Draft", bound=Measured)


def meet(
    draft: Callable[[float], Draft], coding: Coding, start: float, low: float, high: float, fall: float = FALL
) -> Draft:
    """The draft that meets the target of `coding`: not larger, or not worse, and without waste.

    Parameters
    ----------
    draft : callable
        Of a step in low..high; both size and PSNR fall, nearly always, as it grows.
    start : float
        Where the search begins.
    low, high : float
        Its range.
    fall : float
        dB that PSNR falls by as the step grows e-fold, about.

    Raises
    ------
    TargetMissed
        Not even at the end of the range; the message says what is reached there.
    """
    fits: tuple[float, Draft] | None = None  # the coarsest known that is good enough, or the finest small enough
    fails: tuple[float, Draft] | None = None
    step = min(max(start, low), high)
    for _ in range(MOST_DRAFTS):
        made = draft(step)
        if enough(made, coding):
            fits = (step, made) if fits is None or closer(made, fits[1], coding) else fits
            if tight(made, coding):
                return made
        else:
            fails = (step, made)
        following = _next(step, made, fits, fails, coding, low, high, fall)
        if following is None:
            break
        step = following
    if fits is None:
        raise TargetMissed(_best(fails[1] if fails else None, coding))
    return fits[1]


def enough(made: Measured, coding: Coding) -> bool:
    """Whether a draft meets the target."""
    if coding.target_size is not None:
        return made.size <= coding.target_size
    return made.psnr_db is None or made.psnr_db >= (coding.min_psnr or 0)


def tight(made: Measured, coding: Coding) -> bool:
    """Whether it does so without waste."""
    if coding.target_size is not None:
        return made.size >= FILL * coding.target_size
    return made.psnr_db is not None and made.psnr_db <= (coding.min_psnr or 0) + OVER


def closer(made: Measured, other: Measured, coding: Coding) -> bool:
    """Whether one that is enough is the better of two: larger within a size, smaller above a quality."""
    return made.size > other.size if coding.target_size is not None else made.size < other.size


def _next(
    step: float, made: Draft, fits: tuple[float, Draft] | None, fails: tuple[float, Draft] | None, coding: Coding,
    low: float, high: float, fall: float,
) -> float | None:  # fmt: skip
    """Where to look next: between the two by regula falsi in logarithms, or on in the same direction."""
    if fits is not None and fails is not None:
        a, b = sorted((fits[0], fails[0]))
        if b / a < 1.002:
            return None
        x, y = (_miss(fits[1], coding), _miss(fails[1], coding))
        share = 0.5 if x == y else min(max(x / (x - y), 0.1), 0.9)
        return float(math.exp(math.log(fits[0]) + share * (math.log(fails[0]) - math.log(fits[0]))))
    miss = _miss(made, coding)
    slope = 1 / fall if coding.min_psnr is not None else 1.0  # the size falls to about a half as the step is doubled
    factor = math.exp(min(max(miss * slope, -math.log(WIDEST)), math.log(WIDEST)))
    if fits is None:
        factor = factor * 0.97 if coding.min_psnr is not None else factor * 1.03
    following = min(max(step * factor, low), high)
    return None if following == step else following


def _miss(made: Measured, coding: Coding) -> float:
    """How far from the aim, above 0 where the step may still grow (PSNR), or must (size)."""
    if coding.target_size is not None:
        return math.log(made.size / (AIM_FILL * coding.target_size))
    return (200.0 if made.psnr_db is None else made.psnr_db) - (coding.min_psnr or 0) - AIM_DB


def _best(made: Measured | None, coding: Coding) -> str:
    if coding.target_size is not None:
        reached = "" if made is None else f", {made.size:,} bytes is the least"
        return f"{coding.target_size:,} bytes cannot be reached{reached}"
    reached = "" if made is None or made.psnr_db is None else f", {made.psnr_db:.2f} dB is the best"
    return f"{coding.min_psnr:g} dB cannot be reached{reached}"
