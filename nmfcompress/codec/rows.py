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

import numpy as np

from ..errors import InputError
from ..factor.blocks import as_blocks
from ..factor.nmf import Factorization, transform
from ..factor.solvers import exact_near
from ..images.arrange import arrange_mask, arrange_rows, restore_rows
from ..images.limits import Limits
from ..metrics import peak
from .container import Container, Fields, varint
from .header import Header
from .tables import decode_table, encode_table

POINT = 36  # bits behind the point of a sum
MOST_SUM = 2.0**47
FINEST = 2**15  # levels of an entry, about, at the finest
MOST_PARTS = 4096
READING_BYTES = 88  # of memory for a value of the factors, while it is read and used
BLOCK = 2**20  # values that are computed together
FINEST_STEP = 1 / 64  # grey levels, where the size of factors is told
LOSS = 0.05  # dB that the quantizer may cost where no target is given


@dataclass(frozen=True, eq=False)
class Quantized:
    """Factors in integers: W ~ w * S and so on, and what they show."""

    scales: np.ndarray
    w: np.ndarray
    h: np.ndarray

    def sections(self, channels: int) -> dict[str, bytes]:
        k = len(self.scales)
        return {
            "scales": b"".join(varint(int(x)) for x in (k, *self.scales)),
            "weights": encode_table(self.w),
            "maps": encode_table(self.h.reshape(k * channels, -1)),
        }

    def pixels(self, header: Header, rank: int | None = None) -> np.ndarray:
        """The picture, of the shape and type that the header says, without the axis that counts pictures."""
        V = shown((self.w * self.scales[:, None])[:rank], self.h[:rank], 2.0**POINT, header.dtype)
        return np.ascontiguousarray(restore_rows(V, header.shape[1:]))


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


class RowsCoder:
    """A picture's factors, from which drafts of several steps come cheaply.

    Parameters
    ----------
    pixels : array, shape (h, w) or (h, w, c)
    fit : Factorization
        Of its rows.
    mask : array of bool, shape (h, w), optional
        True = known.
    """

    def __init__(self, pixels: np.ndarray, fit: Factorization, mask: np.ndarray | None = None):
        self._V = arrange_rows(pixels)
        self._known = None if mask is None else arrange_mask(mask, pixels.shape)
        # parts in falling order, so that the first few make a coarse picture; those that are nothing take no room
        fit = fit.sorted()
        W, H = fit.W.T.astype(np.float64), fit.H.astype(np.float64)
        used = (W.max(axis=1) > 0) & (H.max(axis=1) > 0)
        used[0] = True
        self._W, self._H, self._blocks = W[used], H[used], as_blocks(self._V)
        self._sizes = np.linalg.norm(self._W, axis=1), np.linalg.norm(self._H, axis=1)

    def mse(self, drafts: Sequence[Quantized] | None = None) -> np.ndarray:
        """Mean squared error of the pixels of each draft, (s,), or of the factors as they are."""
        if drafts is None:
            V = shown(self._W[None], self._H[None], 1.0, self._V.dtype)
        else:
            W, H = np.stack([one.w * one.scales[:, None] for one in drafts]), np.stack([one.h for one in drafts])
            V = shown(W, H, 2.0**POINT, self._V.dtype)
        errors = np.subtract(V, self._V, dtype=np.float64)
        found: np.ndarray = np.square(errors, out=errors).mean(axis=(1, 2))
        return found

    def quantized(self, steps: Sequence[float]) -> list[Quantized]:
        """Factors whose errors show as errors of about a step of so many grey levels of 255, of each part in each."""
        noise = np.array(steps)[:, None] / 255
        sizes, m, n = self._sizes, self._W.shape[1], self._H.shape[1]
        h_steps = self._steps(self._H, noise * math.sqrt(m) / np.maximum(sizes[0], 1e-30))
        h = np.rint(self._H / h_steps[:, :, None])
        # the other factor once more, for what this one has become
        W = self._refitted(h * h_steps[:, :, None])
        w_steps = self._steps(W, noise * math.sqrt(n) / np.maximum(sizes[1], 1e-30))
        w = np.rint(W / w_steps[:, :, None])
        scales = np.clip(np.rint(w_steps * h_steps * 2.0**POINT), 1, 2.0**40)
        whole = (values.astype(np.int64) for values in (scales, w, h))
        return [Quantized(*one) for one in zip(*whole, strict=True)]

    def _refitted(self, H: np.ndarray) -> np.ndarray:
        """The codes, (s, k, m), for parts that have become H, (s, k, n): not far from what they were."""
        if self._known is not None:
            known = [transform(self._V, parts.astype(np.float32), mask=self._known).T for parts in H]
            return np.array(known, np.float64)
        V = self._blocks
        H = H.astype(V.dtype)
        A = np.concatenate([H @ V.read(rows).T for rows in V.rows], axis=2)
        W = np.broadcast_to(self._W.astype(V.dtype), A.shape)
        return exact_near(W, A, H @ H.swapaxes(1, 2)).astype(np.float64)

    def likely_step(self, mse: float) -> float:
        """The step that ought to cost LOSS where the factors as they are have this squared error, of values to 1.

        Each part errs by the step in either factor, evenly within it: a twelfth of its square.
        """
        spared = mse * (10 ** (LOSS / 10) - 1)
        return max(255 * math.sqrt(12 * spared / (2 * len(self._H))), FINEST_STEP)

    @staticmethod
    def _steps(X: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """Quantizer steps of each row of X (..., k, n), no finer and no coarser than makes sense."""
        tops = np.maximum(X.max(axis=-1), 1e-30)
        found: np.ndarray = np.clip(wanted, tops / FINEST, tops)
        return found


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
    coder = RowsCoder(V, fit)
    sections = coder.quantized([coder.likely_step(squares / V.size)])[0].sections(1)
    weights = len(sections.pop("weights")) * (1 if rows is None else rows / len(V))
    return round(weights) + sum(map(len, sections.values()))
