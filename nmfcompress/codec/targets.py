"""Meeting a size or a quality: one search over the quantizer's step."""

from __future__ import annotations

import functools
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
CLOSEST = 1.02  # times: steps between which nothing is looked for
PEAK_DRAFTS = 7  # more, where the quality that is best may lie between two steps
NEAR_PEAK = 1.15  # times: steps between which that is not looked for


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
    draft: Callable[[float], Draft], coding: Coding, start: float, low: float, high: float, fall: float = FALL,
    *, peaked: bool = False,
) -> Draft:  # fmt: skip
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
    peaked : bool
        Whether PSNR may be best not at the finest step: so much is looked for before a quality is refused.

    Raises
    ------
    TargetMissed
        Nowhere in the range; the message says what comes nearest.
    """
    kept: Draft | None = None  # the best that is good enough
    fits: tuple[float, Draft] | None = None  # the last of those, and the last that is not
    fails: tuple[float, Draft] | None = None
    nearest: Draft | None = None  # of those that are not
    following: float | None = min(max(start, low), high)
    alike, before = 0, False
    tried: dict[float, Draft] = {}
    for _ in range(MOST_DRAFTS):
        if following is None:
            break
        step = following
        tried[step] = made = draft(step)
        good = enough(made, coding)
        alike, before = alike + 1 if good == before else 1, good
        if good:
            fits = (step, made)
            kept = made if kept is None or closer(made, kept, coding) else kept
            if tight(made, coding):
                # a coarser one may be more alike, though it leaves more of a size
                return kept if coding.target_size is not None else made
        else:
            fails = (step, made)
            nearest = made if nearest is None or nearer(made, nearest, coding) else nearest
        if fits is not None and fails is not None:
            near = max(fits[0], fails[0]) / min(fits[0], fails[0]) < CLOSEST
            following = None if near else _between(fits, fails, coding, alike)
        else:
            following = _onward(step, made, coding, low, high, fall, alike)
    if kept is None and peaked and coding.min_psnr is not None:
        nearest = _peak(draft, tried, coding, high)
        kept = nearest if enough(nearest, coding) else None
    if kept is None:
        raise _missed(nearest, coding)
    return kept


def _peak(draft: Callable[[float], Draft], tried: dict[float, Draft], coding: Coding, high: float) -> Draft:
    """The best of those tried and of some beside it, first the coarser ones; or one that is enough."""
    best, climbs = max(tried), True
    for _ in range(PEAK_DRAFTS):
        if climbs:
            following = min(2 * best, high)
        else:
            best = functools.reduce(lambda x, y: y if _finer(tried[y], tried[x]) else x, tried)
            finer = max((step for step in tried if step < best), default=best)
            coarser = min((step for step in tried if step > best), default=best)
            far = max(finer, coarser, key=lambda step: abs(math.log(step / best)))
            if max(far, best) / min(far, best) < NEAR_PEAK:
                break
            following = math.sqrt(far * best)
        made = tried[following] = draft(following)
        if enough(made, coding):
            return made
        climbs = climbs and following > best and _finer(made, tried[best])
        best = following if climbs else best
    return functools.reduce(lambda x, y: y if _finer(y, x) else x, tried.values())


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
    """Whether one that is enough is the better of two: nearer within a size, smaller above a quality."""
    return _finer(made, other) if coding.target_size is not None else made.size < other.size


def nearer(made: Measured, other: Measured, coding: Coding) -> bool:
    """Whether one that misses the target comes nearer to it than another."""
    return made.size < other.size if coding.target_size is not None else _finer(made, other)


def _finer(made: Measured, other: Measured) -> bool:
    return other.psnr_db is not None and (made.psnr_db is None or made.psnr_db > other.psnr_db)


def _between(fits: tuple[float, Draft], fails: tuple[float, Draft], coding: Coding, alike: int) -> float:
    """Where to look between the two: by regula falsi in logarithms, in the middle where it stays on one side."""
    x, y = (_miss(fits[1], coding), _miss(fails[1], coding))
    share = 0.5 if x == y or alike > 1 else min(max(x / (x - y), 0.1), 0.9)
    return float(fits[0] * (fails[0] / fits[0]) ** share)


def _onward(
    step: float, made: Draft, coding: Coding, low: float, high: float, fall: float, alike: int
) -> float | None:  # fmt: skip
    """Where to look next in the same direction; where two such steps have led nowhere, at the end of the range."""
    miss = _miss(made, coding)
    slope = 1 / fall if coding.min_psnr is not None else 1.0  # the size falls to about a half as the step is doubled
    factor = math.exp(min(max(miss * slope, -math.log(WIDEST)), math.log(WIDEST)))
    if not enough(made, coding):
        factor = factor * 0.97 if coding.min_psnr is not None else factor * 1.03
    following = min(max(step * factor, low), high) if alike < 3 else low if factor < 1 else high
    return None if following == step else following


def _miss(made: Measured, coding: Coding) -> float:
    """How far from the aim, above 0 where the step may still grow (PSNR), or must (size)."""
    if coding.target_size is not None:
        return math.log(made.size / (AIM_FILL * coding.target_size))
    return (200.0 if made.psnr_db is None else made.psnr_db) - (coding.min_psnr or 0) - AIM_DB


class BestKnown(TargetMissed):
    """A target that is missed, and what is reached: bytes, or dB."""

    def __init__(self, message: str, best: float | None):
        super().__init__(message)
        self.best = best


def reached(error: TargetMissed, coding: Coding) -> float:
    """What is least of the error that comes nearest to the target."""
    best = error.best if isinstance(error, BestKnown) else None
    if best is None:
        return math.inf
    return best if coding.target_size is not None else -best


def _missed(made: Measured | None, coding: Coding) -> TargetMissed:
    if coding.target_size is not None:
        size = None if made is None else made.size
        words = "" if size is None else f", {size:,} bytes is the least"
        return BestKnown(f"{coding.target_size:,} bytes cannot be reached{words}", size)
    psnr = None if made is None else made.psnr_db
    words = "" if psnr is None else f", {psnr:.2f} dB is the best"
    return BestKnown(f"{coding.min_psnr:g} dB cannot be reached{words}", psnr)
