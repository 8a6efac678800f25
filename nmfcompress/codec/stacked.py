"""A stack by a rank and a step, or for a target: how many parts, learned for which step.

What is learned at one price is best there: parts for fine steps and for coarse ones are others. Small collections are
learned anew at each step that is tried, and each of their pictures is tried as a part of its own. Large ones are
learned once for each number of parts, at a price that is steered towards the target meanwhile; the step of the drafts
makes up for the rest.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..factor.crew import Each, workers
from ..factor.nmf import cores
from ..settings import Coding
from . import integer
from .arrangement import parts_needed
from .drafts import Coded, OnStage, coded
from .header import Header, Meta
from .integer import STEP_OF_PRICE, blocks_of
from .opened import Opened
from .parts import MOST_PARTS as MOST_READ
from .parts import read_parts
from .stack import SUBSET, StackCoder
from .targets import Tries, closer, enough, meet, tight, utmost_of

STEP = 8.0  # where nothing is asked
STEPS = (0.05, 120.0)  # between which a target is sought
RANK_STEP = 11.0  # at which a stack has as many parts as the root of its pictures
MOST_PARTS = 512  # unless told
FALL = 2.3  # dB that PSNR falls by as the price of a bit grows e-fold, about
SHRINK = 0.6  # of the logarithm of the size, likewise
BESIDE_BYTES = 120  # of curve, header and the like, about
MORE_PARTS = 1.3  # times what parts with signs would need
MOST_SHARE, SHARE_OF_ROOT = 0.6, 8.0  # of a size that is for parts: by the root of the number of pictures, measured
LEAST_PART, PART_OF_VALUE = 30, 1 / 12  # bytes of a part, about: 65 of 28 x 28 pixels
FIRST_PRICE = 0.017  # of the squared error of a picture that is aimed at: where learning begins
SPARE = 0.47  # dB that storing the parts takes away, about, and that is aimed above
LATE_FALL, WHOLE_FALL = 1.4, 4.0  # dB that PSNR falls by as the step grows e-fold: of parts that stay, or learned anew
TURN, FAR_TURN = 0.08, 0.3  # at most, of the logarithm of the price, in one round of learning, near and far
FAR = 1.0  # of the logarithm of the price
SMALL = 2**19  # values of all pictures, up to which learning takes a second
STEERED, FAR_STEP = 2, 1.5  # times that a large one is learned at most; between steps, from which on it is far
NEAR = 1.2  # times: numbers of parts between which nothing is looked for


def stack_rank(images: Any, header: Header, coding: Coding) -> int:
    """Parts that a stack has, or a search for its target begins with.

    More for more pictures, as they share the cost, and for finer steps; no fewer than come near to a quality; of a size
    a share for the parts.
    """
    n, pixels = header.shape[0], header.pixels
    most = _most(header, coding)
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


def most_parts(header: Header) -> int:
    """The most parts that there can be."""
    return min(MOST_READ, header.shape[0], header.pixels)


def _most(header: Header, coding: Coding) -> int:
    return min(coding.rank or MOST_PARTS, most_parts(header))


def part_bytes(pixels: int) -> float:
    """What a part takes in a file, about."""
    return max(LEAST_PART, PART_OF_VALUE * pixels)


def price_of(step: float, pixels: int) -> float:
    """What a bit is worth, in squared grey levels of a picture, for parts of a step of so many grey levels a pixel."""
    return STEP_OF_PRICE * step**2 * pixels


def stack_bytes(header: Header, coding: Coding) -> int:
    """What coding takes beside the pictures, at most: codes and their copies, parts, and what they are learned from."""
    n, pixels = header.shape[0], header.pixels
    rank = min(coding.rank or MOST_PARTS, n, pixels)
    work = 16 * min(integer.BLOCK, n) * 4 * (pixels + rank)
    return 5 * n * rank + 60 * pixels * rank + 24 * rank * rank + 16 * min(n, SUBSET) * pixels + work


def coded_as_stack(
    images: Any, coding: Coding, header: Header, meta: Meta, origin: Opened | None, on_stage: OnStage
) -> Coded:
    """A collection as a stack; `origin`: of the parts of this file.

    Raises
    ------
    TargetMissed
        With the best that there is.
    """
    n, most = header.shape[0], _most(header, coding)
    with workers(coding.jobs or cores(), len(blocks_of(n))) as each:
        stacks = Stacks(images, coding, header, meta, each, on_stage)
        if origin is not None:
            return stacks.of_parts(origin)
        first = stack_rank(images, header, coding)
        if not coding.targets:
            step = coding.step or STEP
            return stacks.own(step) if first == n else stacks.whole(first, step)
        if n * header.pixels > SMALL:
            return searched(stacks.steered, first, most, coding, patient=False)
        tries: Tries[Coded] = Tries(coding)
        if n <= most:
            tries.take(stacks.pictures)
        tries.take(lambda: searched(stacks.anew, first, most, coding, patient=True, bar=tries.found))
        return tries.best() if tries.found is not None else stacks.utmost(most)


@dataclass
class Stacks:
    """What is asked for, and the ways to it.

    Parameters
    ----------
    near : float, optional
        The step that met the target the last time, with other parts, where the next search begins.
    """

    images: Any
    coding: Coding
    header: Header
    meta: Meta
    each: Each
    on_stage: OnStage
    near: float | None = None

    def whole(self, rank: int, step: float) -> Coded:
        """Parts learned for this step, and the draft there."""
        coder, price = self._coder(), price_of(step, self.header.pixels)
        coder.learn(rank, price, lambda same, *_: same)
        return self._draft(coder, step)

    def own(self, step: float) -> Coded:
        """Each picture a part of its own."""
        coder = self._coder()
        coder.take_pictures()
        return self._draft(coder, step)

    def pictures(self) -> Coded:
        """The same for the target; coarse ones may be as good as fine ones, where there are but two greys."""
        tries: Tries[Coded] = Tries(self.coding)
        coarse = self.own(STEP)
        if enough(coarse, self.coding):
            tries.take(lambda: coarse)
        tries.take(lambda: meet(self.own, self.coding, self._first_step(), *STEPS, fall=WHOLE_FALL))
        return tries.best()

    def anew(self, rank: int, bar: Coded | None) -> Coded:
        """So many parts for the target, learned for each step that is tried; `bar` as for `meet`."""
        return self._met(functools.partial(self.whole, rank), self.near or self._first_step(), WHOLE_FALL, bar=bar)

    def utmost(self, most: int) -> Coded:
        """The best or the least that there is, whatever is asked for."""
        tries: Tries[Coded] = Tries(self.coding)
        rank = most if self.coding.min_psnr is not None else 1
        tries.take(lambda: utmost_of(functools.partial(self.whole, rank), self.coding, *STEPS))
        if rank == self.header.shape[0]:
            tries.take(lambda: utmost_of(self.own, self.coding, *STEPS))
        return tries.best()

    def steered(self, rank: int, bar: Coded | None) -> Coded:
        """So many parts for the target, learned while the price is steered towards it; anew where that went far."""
        tries: Tries[Coded] = Tries(self.coding)
        pixels = self.header.pixels
        for _ in range(STEERED):
            coder, first = self._coder(), self.near or self._first_step()
            price = coder.learn(rank, price_of(first, pixels), functools.partial(self._steer, rank))
            ended = math.sqrt(price / price_of(1.0, pixels))
            met = functools.partial(self._met, functools.partial(self._draft, coder), ended, LATE_FALL)
            if tries.take(functools.partial(met, bar=tries.found or bar)) is None:
                break
            if self.near is None or max(self.near / first, first / self.near) < FAR_STEP:
                break
        return tries.best()

    def of_parts(self, origin: Opened) -> Coded:
        """Codes for the parts of another file."""
        coder = self._coder()
        coder.take(read_parts(origin.container, self.header))
        step = self._first_step()
        draft = functools.partial(self._draft, coder)
        return self._met(draft, step, LATE_FALL, utmost=True) if self.coding.targets else draft(step)

    def _met(
        self, draft: Callable[[float], Coded], step: float, fall: float, *, utmost: bool = False,
        bar: Coded | None = None,
    ) -> Coded:  # fmt: skip
        """The draft that meets the target; the step of it is kept."""
        tried: list[tuple[Coded, float]] = []

        def kept(step: float) -> Coded:
            tried.append((draft(step), step))
            return tried[-1][0]

        sparing = fall == LATE_FALL
        made = meet(kept, self.coding, step, *STEPS, fall=fall, utmost=utmost, bar=bar, sparing=sparing)
        self.near = next((step for one, step in tried if one is made), None)
        return made

    def _coder(self) -> StackCoder:
        return StackCoder(self.images, self.header, self.each, self.coding.seed, self.on_stage)

    def _draft(self, coder: StackCoder, step: float) -> Coded:
        made = coder.draft(price_of(step, self.header.pixels))
        return coded("stack", self.header, self.meta, made.sections, coder.rank, made.mse)

    @functools.cached_property
    def _wanted(self) -> float:
        """The quality in grey levels, whose peak is the white."""
        return (self.coding.min_psnr or 0.0) - self._coder().spare_db

    def _first_step(self) -> float:
        """The step at which learning, or the search for a target, begins."""
        if self.coding.min_psnr is None:
            return self.coding.step or STEP
        return math.sqrt(FIRST_PRICE * 255.0**2 / 10 ** (self._wanted / 10) / STEP_OF_PRICE)

    def _steer(self, rank: int, price: float, mse: float, size: float) -> float:
        """The next price of learning, for what this one comes to: grey levels squared, and bytes a picture."""
        pixels, coding = self.header.pixels, self.coding
        if coding.min_psnr is not None:
            miss = (10 * math.log10(255.0**2 / max(mse, 1e-9)) - self._wanted - SPARE) / FALL
        else:
            whole = size * self.header.shape[0] * 0.95 + part_bytes(pixels) * rank + BESIDE_BYTES
            miss = math.log(whole / (coding.target_size or 1)) / SHRINK
        turn = TURN if abs(miss) < FAR else FAR_TURN
        turned = price * math.exp(min(max(0.3 * miss, -turn), turn))
        return min(max(turned, price_of(STEPS[0], pixels)), price_of(STEPS[1], pixels))


def searched(
    made_of: Callable[[int, Coded | None], Coded], rank: int, most: int, coding: Coding, patient: bool,
    bar: Coded | None = None,
) -> Coded:  # fmt: skip
    """The best of several numbers of parts, `most` at most.

    More come nearer to a quality, fewer fit into a size: so until it is met. Then whatever is better, doubled or
    halved, then by smaller steps; unless `patient`, only until nothing is wasted. `bar`: what there is without it.
    """
    more = coding.min_psnr is not None
    tries: Tries[Coded] = Tries(coding)

    @functools.cache
    def attempt(rank: int) -> Coded | None:
        return tries.take(lambda: made_of(rank, tries.found or bar))

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
