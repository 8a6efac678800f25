"""One picture by its rows <-> `.nmfc`: V ~ W H with both factors in integers.

Sections, beside those of every mode (header.py):

scales    varints: k, then k numbers S_j.
weights   the table (tables.py), k x rows, of the integers w.
maps      the table, (k * channels) x columns, of the integers h, channel by channel of each part.

Row j * channels + c of `maps` is channel c of part j. The value in row y, column x and channel c comes of the sum over
j of S_j w_j,y h_j,c,x, which is below 2^53, so exact in float64, as what follows is computed too: a whole number is the
sum times the largest value of the type, divided by 2^36, 0.5 more, rounded down, at most the largest value; a float is
min(sum / 2^36, 1), rounded to its type.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..errors import InputError
from ..factor.blocks import as_blocks
from ..factor.nmf import Factorization, transform
from ..factor.solvers import exact_near
from ..images.arrange import arrange_mask, arrange_rows, restore_rows
from ..images.limits import Limits
from ..metrics import peak
from .container import Container, Fields, varint
from .drafts import Coded, coded
from .header import Header, Meta
from .tables import decode_table, encode_tables

POINT = 36  # bits behind the point of a sum
FINEST, UTMOST = 2**15, 2**24  # levels of an entry, about, at the finest: of usual steps, and of those beyond them
MOST_PARTS = 4096
READING_BYTES = 88  # of memory for a value of the factors, while it is read and used
BLOCK = 2**20  # values that are computed together
LOSS = 0.05  # dB that the quantizer may cost where no target is given
ALLOWED = 10 ** (LOSS / 10) - 1  # the same as a share of the squared error
STEPS = (1 / 64, 64.0)  # of the quantizer, in grey levels: the finest, and the coarsest
FINER = 2.0**-6  # times the finest, of pictures of more than 8 bits
LEAST_STEP = 1e-12  # of what is black
VAIN = 0.25  # times the steps whose products are the least there are: finer ones are hardly any better
SMALL = 64  # of a scale
TRIES, AIMED, USED = 4, 0.9, 0.8  # of a step; shares of what it may cost that are aimed at, and enough
FAN, FANNED = (0.7, 0.94, 1.25, 1.68, 2.24, 3.0), 2**12  # steps side by side; values of a picture, up to which
TOGETHER, MANY = 2**13, 64  # values of small pictures that are coded side by side, and pictures


@dataclass(frozen=True, eq=False)
class Quantized:
    """Factors in integers, W ~ w * S and so on, or several of them, in whatever axes come first."""

    scales: np.ndarray
    w: np.ndarray
    h: np.ndarray

    def __getitem__(self, place: tuple[int, ...]) -> Quantized:
        """One of several."""
        return Quantized(self.scales[place], self.w[place], self.h[place])

    def pixels(self, header: Header, rank: int | None = None) -> np.ndarray:
        """The picture, of the shape and type that the header says, without the axis that counts pictures."""
        V = shown((self.w * self.scales[:, None])[:rank], self.h[:rank], 2.0**POINT, header.dtype)
        return np.ascontiguousarray(restore_rows(V, header.shape[1:]))


def sections_of(made: Sequence[Quantized], columns: int) -> list[dict[str, bytes]]:
    """What each of several of one shape is in its file."""
    weights = encode_tables(np.stack([factors.w for factors in made]))
    maps = encode_tables(np.stack([factors.h.reshape(-1, columns) for factors in made]))
    scales = [b"".join(map(varint, (len(x), *x))) for x in (factors.scales.tolist() for factors in made)]
    names = ("scales", "weights", "maps")
    return [dict(zip(names, sections, strict=True)) for sections in zip(scales, weights, maps, strict=True)]


def shown(W: np.ndarray, H: np.ndarray, one: float, dtype: np.dtype) -> np.ndarray:
    """The rows, (..., m, n), of W (..., k, m) and H (..., k, n); `one` of their products is the largest pixel value."""
    W, H = W.astype(np.float64).swapaxes(-1, -2), H.astype(np.float64)
    V = np.empty((*W.shape[:-1], H.shape[-1]), dtype)
    most, together = int(peak(dtype)), max(1, BLOCK // (H.size // H.shape[-2]))
    for first in range(0, W.shape[-2], together):
        rows = slice(first, first + together)
        sums = W[..., rows, :] @ H
        if dtype.kind == "f":
            sums /= one
        else:
            sums *= most
            sums /= one
            sums += 0.5
            np.floor(sums, out=sums)
        V[..., rows, :] = np.minimum(sums, most, out=sums)
    return V


def falling(fit: Factorization) -> tuple[np.ndarray, np.ndarray]:
    """W (k, m) and H (k, n) with their parts in falling order, so that the first few make a coarse picture.

    Those that are nothing take no room.
    """
    fit = fit.sorted()
    used = (fit.W.max(axis=0) > 0) & (fit.H.max(axis=1) > 0)
    used[0] = True
    return fit.W.T[used], fit.H[used]


def coded_rows(
    pictures: Sequence[np.ndarray], headers: Sequence[Header], metas: Sequence[Meta], fits: Sequence[Factorization],
    mask: np.ndarray | None = None,
) -> list[Coded]:  # fmt: skip
    """The files of pictures of one shape and type, each of its factors, at the step that is needed.

    They are the same as one by one; small ones take less time side by side (`side_by_side` says how many).
    """
    factors = [falling(fit) for fit in fits]
    made: dict[int, Coded] = {}
    for parts in {len(H) for _, H in factors}:
        some = [place for place, (_, H) in enumerate(factors) if len(H) == parts]
        coder = RowsCoder([pictures[place] for place in some], [factors[place] for place in some], mask)
        drafts, errors = zip(*coder.coarsest(), strict=True)
        files = zip(some, sections_of(drafts, pictures[0].shape[1]), errors, coder.exact.tolist(), strict=True)
        for place, sections, mse, exact in files:
            made[place] = coded("rows", headers[place], metas[place], sections, parts, mse, lost(mse, exact))
    return [made[place] for place in range(len(pictures))]


def lost(mse: float, exact: float) -> tuple[str, ...]:
    """The note that a file is worse than its factors, which err by `exact`, by more than LOSS."""
    if mse - exact <= exact * ALLOWED:
        return ()
    what = f"cost {math.ceil(1000 * math.log10(mse / exact)) / 100:g} dB" if exact else "keep no equal pixels"
    return (f"rows: factors in whole numbers {what}",)


def side_by_side(pixels: int) -> int:
    """How many pictures of so many values ought to be coded together."""
    return min(max(1, TOGETHER // pixels), MANY) if pixels <= FANNED else 1


class RowsCoder:
    """The factors of pictures, from which drafts of several steps come cheaply; small ones cost less side by side.

    Parameters
    ----------
    pictures : sequence of arrays, shape (h, w) or (h, w, c)
        Of one shape and type.
    factors : sequence of pairs of arrays, shapes (k, h) and (k, w * c)
        See `falling`; all have as many parts.
    mask : array of bool, shape (h, w), optional
        True = known.
    """

    def __init__(
        self, pictures: Sequence[np.ndarray], factors: Sequence[tuple[np.ndarray, np.ndarray]],
        mask: np.ndarray | None = None,
    ):  # fmt: skip
        matrices = [arrange_rows(pixels) for pixels in pictures]
        self._V = np.stack(matrices) if len(matrices) > 1 else matrices[0][None]
        self._blocks = [as_blocks(V) for V in self._V]
        self._known = None if mask is None else arrange_mask(mask, pictures[0].shape)
        self._W, self._H = (np.array([pair[i] for pair in factors], np.float64) for i in (0, 1))
        self.usual = STEPS[0] * (1.0 if self._V.dtype == np.uint8 else FINER)
        self._sizes = np.linalg.norm(self._W, axis=2), np.linalg.norm(self._H, axis=2)
        # the noise of each part where the product of its steps is the least there is, (all, 1, k)
        means = self._sizes[0] * self._sizes[1] / math.sqrt(self._W.shape[2] * self._H.shape[2])
        self._least = np.sqrt(means * 2.0**-POINT)[:, None]
        finest = 255 * VAIN * np.sqrt(np.square(self._least).mean(axis=(1, 2)))
        self._finest = np.clip(finest, LEAST_STEP, self.usual / 2)

    @property
    def finest(self) -> float:
        """The finest step that is sought for a target, of all pictures."""
        return self.usual if self._V.dtype == np.uint8 else float(self._finest.min())

    @cached_property
    def exact(self) -> np.ndarray:
        """Mean squared error of the pixels that are known of each picture, (all,), by the factors as they are."""
        return self._mse(shown(self._W, self._H, 1.0, self._V.dtype), self._V)

    def mse_of(self, drafts: Quantized, some: np.ndarray) -> np.ndarray:
        """The same of drafts, (p, s), of some pictures, whose places are `some` (p,)."""
        V = shown(drafts.w * drafts.scales[..., None], drafts.h, 2.0**POINT, self._V.dtype)
        return self._mse(V, _of(self._V, some))

    def _mse(self, V: np.ndarray, pixels: np.ndarray) -> np.ndarray:
        """Mean squared error of rows (..., m, n), of what is known of them."""
        errors = np.subtract(V, pixels, dtype=np.float64)
        squares = np.square(errors, out=errors).reshape(*V.shape[:-2], -1)
        if self._known is not None:
            squares = squares[..., self._known.ravel()]
        found: np.ndarray = squares.mean(axis=-1)
        return found

    def quantized(self, steps: np.ndarray, some: np.ndarray, *, fine: bool = False) -> Quantized:
        """Drafts of some pictures, one for each of their steps, (p, s), in grey levels of 255: the errors of each part
        in each factor show as errors of about the step. `fine`: as far as the format goes, for steps beyond the usual.
        """
        noise = np.asarray(steps)[..., None] / 255
        if fine:  # one factor is no finer than the other can be
            noise = np.maximum(noise, self._least[some])
        levels = UTMOST if fine else FINEST
        sizes, m, n = [_of(norms, some) for norms in self._sizes], self._W.shape[2], self._H.shape[2]
        H = _of(self._H, some)
        h_steps = self._steps(H, noise * math.sqrt(m) / np.maximum(sizes[0], 1e-30), levels)
        h = np.rint(H / h_steps[..., None])
        # the other factor once more, for what this one has become
        W = self._refitted(h * h_steps[..., None], some, np.dtype(np.float64) if fine else self._blocks[0].dtype)
        w_steps = self._steps(W, noise * math.sqrt(n) / np.maximum(sizes[1], 1e-30), levels)
        scales = np.clip(np.rint(w_steps * h_steps * 2.0**POINT), 1, 2.0**40)
        # a small number is far from the product that it stands for
        w_steps = np.where(scales < SMALL, scales / (h_steps * 2.0**POINT), w_steps)
        w = np.rint(W / w_steps[..., None])
        return Quantized(scales.astype(np.int64), w.astype(np.int64), h.astype(np.int64))

    def tried(self, picture: int, step: float) -> tuple[Quantized, float]:
        """The factors of a picture at this step, and their mean squared error."""
        only = np.array([picture])
        made = self.quantized(np.array([[step]]), only, fine=step < self.usual)
        return made[0, 0], float(self.mse_of(made, only)[0, 0])

    def coarsest(self) -> list[tuple[Quantized, float]]:
        """The factors of each picture, and their error, at about the coarsest step that costs no more than LOSS.

        Where there is none among the usual steps: among finer ones, or the best.
        """
        every = np.arange(len(self.exact))
        found = self._sought(every, np.full(len(every), self.usual), STEPS[1])
        costly = every[[bool(lost(mse, exact)) for (_, mse), exact in zip(found, self.exact, strict=True)]]
        if len(costly):
            finer = self._sought(costly, self._finest[costly], self.usual, fine=True)
            for place, made in zip(costly.tolist(), finer, strict=True):
                found[place] = min(found[place], made, key=lambda one: one[1])
        return found

    def _sought(
        self, some: np.ndarray, low: np.ndarray, high: float, *, fine: bool = False
    ) -> list[tuple[Quantized, float]]:
        """The same of some pictures, (p,), at steps from `low`, (p,), on; where all of them cost more, at `low`.

        What a step costs is about as its square: each try tells where the next one ought to be. In small pictures
        chance has its say, too, and steps side by side take hardly longer than one.
        """
        exact = self.exact[some]
        allowed = exact * ALLOWED
        step = np.maximum(self.likely_steps(exact / peak(self._V.dtype) ** 2), low)
        coarsest, found = np.zeros(len(some)), dict[int, tuple[Quantized, float]]()
        fan = np.array(FAN if self._V[0].size <= FANNED else (1.0,))
        missing = np.arange(len(some))
        for _ in range(TRIES):
            steps = np.clip(step[missing, None] * fan, low[missing, None], high)
            made = self.quantized(steps, some[missing], fine=fine)
            errors = self.mse_of(made, some[missing])
            fits = errors - exact[missing, None] <= allowed[missing, None]
            fit, last = fits.any(axis=1), (fits * np.arange(len(fan))).max(axis=1)
            each = np.arange(len(missing))
            cost, tried = errors[each, last] - exact[missing], steps[each, last]
            better = fit & (tried > coarsest[missing])
            for place in np.flatnonzero(better).tolist():
                best = place, int(last[place])
                found[int(missing[place])] = made[best], float(errors[best])
            coarsest[missing[better]] = tried[better]
            turn = np.divide(AIMED * allowed[missing], cost, out=np.full(len(missing), 4.0), where=cost > 0)
            step[missing] = tried * np.clip(np.sqrt(turn), 0.25, 4.0)
            enough = fit & ((last + 1 < len(fan)) | (cost >= USED * allowed[missing]))
            in_vain = ~fit & (steps[:, -1] <= low[missing])
            missing = missing[~(enough | in_vain)]
            if not len(missing):
                break
        return [found.get(place) or self.tried(int(some[place]), float(low[place])) for place in range(len(some))]

    def _refitted(self, H: np.ndarray, some: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """The codes, (p, s, k, m), for parts that have become H, (p, s, k, n): not far from what they were.

        Sums are of this type.
        """
        if self._known is not None:
            return np.array([
                [transform(self._V[i], parts.astype(np.float32), mask=self._known).T for parts in drafts]
                for i, drafts in zip(some, H, strict=True)
            ], np.float64)  # fmt: skip
        H = H.astype(dtype)
        A = np.empty((*H.shape[:-1], self._W.shape[2]), H.dtype)
        for place, i in enumerate(some):
            for rows in self._blocks[i].rows:
                A[place, ..., rows] = H[place] @ self._blocks[i].read(rows).T
        W = np.broadcast_to(_of(self._W, some).astype(H.dtype), A.shape)
        one_after_another = (-1, *A.shape[2:])
        G = (H @ H.swapaxes(-1, -2)).reshape(-1, H.shape[2], H.shape[2])
        found = exact_near(W.reshape(one_after_another), A.reshape(one_after_another), G)
        return found.reshape(A.shape).astype(np.float64)

    def likely_steps(self, mse: np.ndarray) -> np.ndarray:
        """The steps that ought to cost LOSS where the factors as they are have these squared errors, of values to 1.

        Each part errs by the step in either factor, evenly within it: a twelfth of its square.
        """
        spared = mse * ALLOWED
        found: np.ndarray = 255 * np.sqrt(12 * spared / (2 * self._H.shape[1]))
        return found

    @staticmethod
    def _steps(X: np.ndarray, wanted: np.ndarray, levels: int) -> np.ndarray:
        """Quantizer steps of each row of X (..., k, n), no finer and no coarser than makes sense."""
        tops = np.maximum(X.max(axis=-1), 1e-30)
        found: np.ndarray = np.clip(wanted, tops / levels, tops)
        return found


def _of(all_: np.ndarray, some: np.ndarray) -> np.ndarray:
    """What belongs to some pictures, (p, ...) as (p, 1, ...); uncopied where they are all."""
    return (all_ if len(some) == len(all_) else all_[some])[:, None]


def read_rows(container: Container, header: Header, limits: Limits | None = None) -> Quantized:
    """The factors of a file, all of which is doubted."""
    fields = Fields(container.section("scales"))
    k = fields.varint()
    if not 1 <= k <= MOST_PARTS:
        raise InputError(f"is damaged: it says that it has {k:,} parts")
    scales = np.array([fields.varint() for _ in range(k)])
    fields.done()
    rows, columns, channels = (*header.shape[1:], 1)[:3]
    needs = READING_BYTES * k * (rows + channels * columns)
    (limits or Limits()).admit(needs, f"reading {k:,} parts of {columns:,} x {rows:,} pixels")
    w = decode_table(container.section("weights"), k, rows)
    h = decode_table(container.section("maps"), k * channels, columns).reshape(k, channels * columns)
    largest = float((scales.astype(float) * np.abs(w).max(axis=1) * np.abs(h).max(axis=1)).sum())
    if w.min() < 0 or h.min() < 0 or largest >= 2.0**53:
        raise InputError("is damaged: its factors are beyond all measure")
    return Quantized(scales, w, h)


def size_of(V: np.ndarray, fit: Factorization, rows: int | None = None) -> int:
    """Bytes of both factors of V (m, n) in integers, about: at the step that ought to cost LOSS.

    `rows`: how many rows there are, where V and W are a sample of them.
    """
    most, squares = float(peak(V.dtype)), 0.0
    for first in range(0, len(V), 1024):
        some = slice(first, first + 1024)
        squares += float(np.square(V[some] / most - fit.W[some] @ fit.H).sum())
    coder = RowsCoder([V], [falling(fit)])
    step = np.maximum(coder.likely_steps(np.array([[squares / V.size]])), coder.usual)
    draft = coder.quantized(step, np.array([0]))[0, 0]
    (sections,) = sections_of([draft], V.shape[1])
    weights = len(sections.pop("weights")) * (1 if rows is None else rows / len(V))
    return round(weights) + sum(map(len, sections.values()))
