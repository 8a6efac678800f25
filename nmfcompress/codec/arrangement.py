"""Which arrangement suits a collection: shared parts, maps of bands, or each picture by its own patches."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..metrics import peak
from ..settings import Coding
from .patched import Probe, probed, probing_bytes
from .targets import Measured, closer

FEW = 8  # pictures: with fewer, as many parts as a stack needs are as large as the pictures
MANY = 2000  # pictures: with more, coding each by its patches takes too long
BANDS_LEAST, BANDS_MANY = 4, 20_000
LOOKED_AT, SEEN = 512, 2**13  # pictures, and values of each, whose likeness is measured
SHARE = 0.2  # of its pictures that a stack may need parts: each costs about as much as five pictures' patches
UNSURE = 0.06  # from this share on either may be better
BOTH, TRIED = 2**18, 2**22  # values of all pictures of which both are made where it may; of which a stack is a way out
PIECE = 2**16  # values that are float64 at a time
MEAN_BYTES, PIECE_BYTES = 8, 40  # of memory for a value: of their mean, and while they are
PARTS_BYTES = 16  # of memory for a value that is looked at for parts
USUAL_DB = 20.0  # where neither a quality nor a size is asked for: what a stack comes to at its usual step

Admit = Callable[[int], None]  # is told beforehand how many bytes something takes beside the pictures


@dataclass(frozen=True)
class Choice:
    """What suits a collection, what else there is where that misses a target, and whether it may be as good.

    Where that is not sure a stack comes first, which takes less time; `probe` tells what patches would come to. Of a
    `small` one the other is made wherever the first leaves much of a size.
    """

    first: str
    second: str | None = None
    unsure: bool = False
    small: bool = False
    probe: Probe | None = None

    def is_worth(self, found: Measured, n: int, coding: Coding) -> bool:
        """Whether patches of all `n` pictures may be better than the stack that was found."""
        if not self.unsure or self.probe is None:
            return False
        if coding.target_size is not None:
            return closer(self.probe, found, coding)
        return self.probe.size * n < found.size * self.probe.count


def arrangement_for(images: Any, given: bool = False, coding: Coding | None = None) -> str:
    """What suits a collection, as `choice_for` says."""
    return choice_for(images, given, coding or Coding()).first


def choice_for(images: Any, given: bool, coding: Coding, admit: Admit = lambda nbytes: None) -> Choice:
    """What suits a collection at the quality that is asked for.

    Bands where neighbours are alike and few: bands of a spectrum, and frames of a steady movie, are about as far from
    their neighbours as noise goes; digits and faces are as far from the next as from any other. A stack where its
    pictures share much: where a few parts, for the number of pictures, come as near as is asked for. A part takes
    about as many bytes as some pictures do by their patches, so patches where that many parts would cost more than
    the pictures.

    Parameters
    ----------
    images : array or what is sliced like one, (n, h, w) or (n, h, w, c)
    given : bool
        The parts are there already.
    coding : Coding
        What is asked for; with a rank and no target it is parts that are.
    admit : callable
        Is told beforehand what looking at them takes.
    """
    n, shape = len(images), tuple(images.shape)
    if given:
        return Choice("stack")
    alone = n <= MANY and shape[3:] in ((), (3,))
    if _steady(images, admit):
        return Choice("bands", "patches" if alone else None)
    if not alone or (coding.rank is not None and not coding.targets):
        return Choice("stack")
    small = math.prod(shape) <= BOTH
    if n < FEW and not (small and coding.targets):
        return Choice("patches", "stack" if small else None)
    probe = None
    if coding.target_size is not None:
        admit(probing_bytes(images))
        probe = probed(images, replace(coding, rank=None))
        if probe is None:  # not even a few would fit into their part of it
            return Choice("stack", "patches")
    allowed = 10 ** (-(coding.min_psnr or USUAL_DB) / 10) if probe is None else probe.mse / peak(images.dtype) ** 2
    admit(PARTS_BYTES * min(n, LOOKED_AT) * min(math.prod(shape[1:]), SEEN))
    share = parts_needed(images, allowed) / n
    if coding.targets and small and (share > UNSURE or n < FEW):
        admit(probing_bytes(images))
        return Choice("stack", "patches", unsure=True, small=True, probe=probe or probed(images, coding))
    if share <= SHARE:
        return Choice("stack", "patches")
    return Choice("patches", "stack" if math.prod(shape) <= TRIED else None)


def _steady(images: Any, admit: Admit) -> bool:
    """Whether bands suit it."""
    n = len(images)
    if n < BANDS_LEAST or len(images.shape) != 3 or n > BANDS_MANY:
        return False
    values, size = math.prod(images.shape[1:]), np.dtype(images.dtype).itemsize
    admit(values * (MEAN_BYTES + 2 * size) + min(PIECE, values) * PIECE_BYTES)
    places = np.unique(np.linspace(0, n - 2, min(n - 1, 64)).astype(int)).tolist()
    means = np.zeros(values)
    for place in places:
        means += np.asarray(images[place]).reshape(-1)
    means /= len(places)
    apart = spread = 0.0  # squares: from the next picture; from the mean of all, and from its own
    for place in places:
        one, following = (np.asarray(images[i]).reshape(-1) for i in (place, place + 1))
        level = one.mean(dtype=np.float64)
        for start in range(0, values, PIECE):
            part = slice(start, start + PIECE)
            some = one[part].astype(np.float64)
            apart += float(np.square(some - following[part]).sum())
            spread += float(np.square(some - means[part]).sum() + np.square(some - level).sum())
    return apart < 0.25 * spread


def parts_needed(images: Any, allowed: float) -> int:
    """How many parts come as near as this mean squared error, of values up to 1, were they to have signs."""
    n, values = len(images), math.prod(images.shape[1:])
    places = np.unique(np.linspace(0, n - 1, min(n, LOOKED_AT)).astype(int))
    # some values of each picture, the same of all, tell as much of how alike they are
    seen = np.sort(np.random.default_rng(0).choice(values, min(values, SEEN), replace=False, shuffle=False))
    V = np.stack([np.asarray(images[int(i)]).reshape(-1)[seen] for i in places]) / peak(images.dtype)
    energies = np.linalg.eigvalsh(V @ V.T if len(V) <= len(seen) else V.T @ V) / V.size
    left = np.cumsum(np.maximum(energies, 0))  # by the weakest, the two weakest ...
    return len(energies) - int(np.searchsorted(left, allowed, side="right"))
