"""Meeting a size or a quality: one search over the quantizer's step."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Generic, Protocol, TypeVar

from ..errors import TargetMissed
from ..settings import Coding

OVER = 0.5  # dB above min_psnr that are at most given away
FILL = 0.95  # of target_size that is used at least
LOOSER = 1.05  # times the bytes that one must spare that passes a quality by more than OVER
SPARED = 0.25  # dB likewise, that a draft of its own may save
AIM_DB, AIM_FILL = 0.15, 0.985  # where the search aims between these
MOST_DRAFTS = 14
FALL = 5.8  # dB that PSNR falls by as the step grows e-fold
WIDEST = 4.0  # times: how far the step goes at once
FLATTER = 8.0  # times less, at least, than it does at first
BEYOND, FARTHER = 0.03, 0.1  # farther, of the logarithm of the step, and of the way
PATIENT = 4  # tries on one side, before the end of the range
CLOSEST = 1.02  # times: steps between which nothing is looked for
EXACT = 200.0  # dB that only what is exact has; it counts as TOP of them where the search goes on from it
TOP = 400.0
FAR_DB, FAR_SIZE = 3.0, 1.5  # from the utmost, dB and times, where a step is far from its own
NEAR_UTMOST = 1.15  # times: steps between which it is not looked for


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
    *, utmost: bool = False, bar: Draft | None = None, sparing: bool = False,
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
    utmost : bool
        Whether the best or the least that there is, which may lie between two steps, is looked for before the target is
        refused. It is the same whatever is asked for, so that it is met when it is asked for itself.
    bar : Draft, optional
        What meets the target already, found another way: nothing is looked for that can be no better.
    sparing : bool
        Whether a draft costs little beside what it may save: one more where a quality is passed by more than SPARED.

    Raises
    ------
    TargetMissed
        Nowhere in the range, or nothing above the bar; the message says what comes nearest.
    """
    kept: Draft | None = None  # the best that is good enough
    fits: tuple[float, Draft] | None = None  # the last of those, and the last that is not
    fails: tuple[float, Draft] | None = None
    nearest: Draft | None = None  # of those that are not
    following: float | None = min(max(start, low), high)
    alike, before = 0, False
    tried: dict[float, Draft] = {}
    last: tuple[float, Draft] | None = None
    spared: Draft | None = None  # what is kept unless one more is better
    for _ in range(MOST_DRAFTS):
        if following is None:
            break
        step = following
        tried[step] = made = draft(step)
        good = enough(made, coding)
        if spared is not None:
            return made if good and closer(made, spared, coding) else spared
        if good and made.psnr_db is None and coding.target_size is not None:
            # more bytes show nothing more: from here on it is the fewest that are exact
            coding, bar = replace(coding, target_size=None, min_psnr=EXACT), None
            kept, fits, fails = None, None, fits  # what fitted and was not exact is one that fails now
        elif not good and bar is not None and _below(made, bar, coding):
            break
        alike, before = alike + 1 if good == before else 1, good
        if good:
            fits = (step, made)
            kept = made if kept is None or closer(made, kept, coding) else kept
            if tight(made, coding):
                # a coarser one may be more alike, though it leaves more of a size
                found = kept if coding.target_size is not None or tight(kept, coding) else made
                if coding.target_size is not None or not sparing or _miss(made, coding) + AIM_DB <= SPARED:
                    return found
                sparing, spared = False, found
                following = _onward((step, made), last, coding, low, high, fall, alike)
                continue
        else:
            fails = (step, made)
            nearest = made if nearest is None or nearer(made, nearest, coding) else nearest
        if fits is not None and fails is not None:
            near = max(fits[0], fails[0]) / min(fits[0], fails[0]) < CLOSEST
            following = None if near else _between(fits, fails, coding, alike)
        else:
            following = _onward((step, made), last, coding, low, high, fall, alike)
        last = (step, made)
    if kept is None and utmost and bar is None:
        return utmost_of(lambda step: tried[step] if step in tried else draft(step), coding, low, high)
    if kept is None:
        raise _missed(nearest, coding)
    return spared or kept


def utmost_of(draft: Callable[[float], Draft], coding: Coding, low: float, high: float) -> Draft:
    """The best or the least of all steps, as nearly as some tell that do not depend on the target.

    From the end of the range where it ought to be, until far from it; then beside it; no farther than what is enough.

    Raises
    ------
    TargetMissed
        It is not enough.
    """
    step, onward = (low, WIDEST) if coding.min_psnr is not None else (high, 1 / WIDEST)
    tried: dict[float, Draft] = {}
    best = step
    while low <= step <= high:
        tried[step] = made = draft(step)
        best = step if nearer(made, tried[best], coding) else best
        if enough(made, coding) or _far(made, tried[best], coding):
            break
        step *= onward
    while not enough(tried[best], coding):
        beside = [max((x for x in tried if x < best), default=best), min((x for x in tried if x > best), default=best)]
        wider = max(beside, key=lambda x: abs(math.log(x / best)))
        if max(wider, best) / min(wider, best) < NEAR_UTMOST:
            break
        step = math.sqrt(wider * best)
        tried[step] = made = draft(step)
        best = step if nearer(made, tried[best], coding) else best
    if not enough(tried[best], coding):
        raise _missed(tried[best], coding)
    return tried[best]


def _far(made: Measured, best: Measured, coding: Coding) -> bool:
    if coding.target_size is not None:
        return made.size > FAR_SIZE * best.size
    return _decibels(made) < _decibels(best) - FAR_DB


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
    """Whether one that is enough is the better of two: nearer within a size, smaller above a quality.

    What passes a quality by far has to be worth it.
    """
    if coding.target_size is None:
        return _weight(made, coding) < _weight(other, coding)
    return made.size < other.size if made.psnr_db == other.psnr_db else _finer(made, other)


def _weight(made: Measured, coding: Coding) -> float:
    passed = made.psnr_db is not None and made.psnr_db > (coding.min_psnr or 0) + OVER
    return made.size * (LOOSER if passed else 1.0)


def _below(made: Measured, bar: Measured, coding: Coding) -> bool:
    """Whether one that is not enough shows no more than one that is (a size), or is no smaller (a quality)."""
    return not _finer(made, bar) if coding.target_size is not None else made.size >= bar.size


def nearer(made: Measured, other: Measured, coding: Coding) -> bool:
    """Whether one that misses the target comes nearer to it than another."""
    return made.size < other.size if coding.target_size is not None else _finer(made, other)


def _finer(made: Measured, other: Measured) -> bool:
    return _decibels(made) > _decibels(other)


def _decibels(made: Measured) -> float:
    return math.inf if made.psnr_db is None else made.psnr_db


def loose(made: Measured, coding: Coding) -> tuple[str, ...]:
    """The note that more was given than was asked for."""
    if not coding.targets or tight(made, coding):
        return ()
    if coding.target_size is not None:
        if made.psnr_db is None:  # more bytes would show nothing more
            return ()
        more = f"{coding.target_size - made.size:,} bytes fewer"
    else:
        more = "exact, more" if made.psnr_db is None else f"{made.psnr_db - (coding.min_psnr or 0):.1f} dB more"
    return (f"{more} than asked for: nothing between came nearer",)


def _between(fits: tuple[float, Draft], fails: tuple[float, Draft], coding: Coding, alike: int) -> float:
    """Where to look between the two: by regula falsi in logarithms, in the middle where it stays on one side."""
    x, y = (_miss(fits[1], coding), _miss(fails[1], coding))
    share = 0.5 if x == y or alike > 1 else min(max(x / (x - y), 0.1), 0.9)
    return float(fits[0] * (fails[0] / fits[0]) ** share)


def _onward(
    now: tuple[float, Draft], last: tuple[float, Draft] | None, coding: Coding, low: float, high: float, fall: float,
    alike: int,
) -> float | None:  # fmt: skip
    """Where to look next in the same direction: as far as the last two tell, and a little farther.

    Each time farther at most than before, and where that has led nowhere at the end of the range.
    """
    step, miss = now[0], _miss(now[1], coding)
    slope = -fall if coding.min_psnr is not None else -1.0  # of what is missed in the logarithm of the step, at first
    most = math.log(WIDEST)
    if last is not None and last[0] != step:
        seen = (miss - _miss(last[1], coding)) / math.log(step / last[0])
        slope, most = min(seen, slope / FLATTER), alike * most
    turn = min(max(-miss / slope, -most), most)
    if not enough(now[1], coding):
        turn += math.copysign(BEYOND + FARTHER * abs(turn), turn)
    following = min(max(step * math.exp(turn), low), high) if alike < PATIENT else low if turn < 0 else high
    return None if following == step else following


def _miss(made: Measured, coding: Coding) -> float:
    """How far from the aim, above 0 where the step may still grow (PSNR), or must (size)."""
    if coding.target_size is not None:
        return math.log(made.size / (AIM_FILL * coding.target_size))
    return min(_decibels(made), TOP) - (coding.min_psnr or 0) - AIM_DB


class BestKnown(TargetMissed):
    """A target that is missed, and what is reached: bytes, or dB."""

    def __init__(self, message: str, best: float | None):
        super().__init__(message)
        self.best = best


@dataclass
class Tries(Generic[Draft]):
    """Several ways to one target: the best that meets it, or what is said where none does.

    Parameters
    ----------
    coding : Coding
        The target; without one there is but one way.
    """

    coding: Coding
    found: Draft | None = None
    missed: list[TargetMissed] = field(default_factory=list)

    def take(self, make: Callable[[], Draft]) -> Draft | None:
        """One more of them; None where it misses."""
        try:
            made = make()
        except TargetMissed as error:
            self.missed.append(error)
            return None
        self.found = made if self.found is None or closer(made, self.found, self.coding) else self.found
        return made

    def best(self) -> Draft:
        """The draft that is to be kept.

        Raises
        ------
        TargetMissed
            There is none; the message is that of the nearest miss.
        """
        if self.found is None:
            raise min(self.missed, key=lambda error: _reached(error, self.coding))
        return self.found


def _reached(error: TargetMissed, coding: Coding) -> float:
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
    # rounded down, so that it is met when it is asked for
    words = "" if psnr is None else f", {math.floor(100 * psnr) / 100:.2f} dB is the best"
    return BestKnown(f"{coding.min_psnr:g} dB cannot be reached{words}", psnr)
