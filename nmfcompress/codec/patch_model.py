"""Codes of patches <-> decisions: bands from low to high, all cells of a phase at once.

A canvas holds planes side by side, with two empty rows and columns around each. Bands (u, v) come by diagonals u + v =
1 .. 14. For each of these, and each phase (cells of even, then of odd row + column; blue before red), two questions. Is
there anything on this or a later diagonal of the cell (asked only where there was before)? Then, for the bands of the
diagonal where there is: how large is the code? Is it above 0, 1, 2; how many bits has what is left; which? Signs, which
nothing foretells, follow at the end.

How likely each answer is comes from a small network with one hidden layer, in whole numbers, from what is known of
the same and the adjacent cells (patch_nets.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .entropy import EVEN, Coder
from .patch_nets import ODDS, tables, zeros_of

DIAGONALS = 15
REACH = 2  # bands below (u, v) that are looked at: a margin of that many on the low side, one more on the high side
MARGIN = 2  # empty cells around and between planes
WIDE = 8 + REACH + 1
OWN_BANDS = ((-1, 0), (0, -1), (-2, 1), (1, -2), (-1, -1), (-2, 0), (0, -2))
BESIDE = ((0, -1), (0, 1), (-1, 0), (1, 0))
ACROSS = ((-1, -1), (-1, 1), (1, -1), (1, 1))
UNARY = 3  # answers to: above 0? 1? 2?
LENGTHS = 6  # answers to: how many bits has what is left? The last one is repeated
LONGEST = 24
OPEN = 8  # the feature of a cell that goes on


PIECE = 4096  # cells whose features are gathered at a time
# Magnitudes of which a size begins: every one up to 7, then about four to an octave.
SIZES = (1, 2, 3, 4, 5, 6, 7, 9, 11, 13, 16, 19, 23, 27, 32, 38, 45, 54, 64, 76, 91, 108, 128, 152, 181, 215, 256)
SIZE_OF = np.searchsorted(SIZES, np.arange(SIZES[-1] + 1), side="right").astype(np.float32)


def size_of(values: np.ndarray) -> np.ndarray:
    """Magnitudes on a coarse logarithmic scale: how many of SIZES they reach, 0 to 27."""
    found: np.ndarray = SIZE_OF[np.minimum(values, SIZES[-1]).astype(np.int64)]
    return found


@dataclass(frozen=True)
class Layout:
    """Where planes lie on a canvas, and what is known of its cells beforehand.

    Parameters
    ----------
    phase : array of int, shape (h, w)
        The phase of each cell; -1 outside the planes.
    kind : array of int, shape (h, w)
        Row of the net's table of kinds.
    place : array of int, shape (h, w)
        Row of the net's table of places within a patch: 0, 1 + 2 y + x, 5 + 4 y + x for patches of 1, 2, 4 cells.
    known : array of float32, shape (features, h, w)
        Whole numbers, 0 to 31.
    twin : int
        How many places before a cell of phases 2 and 3 its twin lies, the same cell of the plane to the left.
    """

    phase: np.ndarray
    kind: np.ndarray
    place: np.ndarray
    known: np.ndarray
    twin: int = 0


class Canvas:
    """The codes of a canvas while they become known."""

    def __init__(self, layout: Layout):
        self.h, self.w = int(layout.phase.shape[0]), int(layout.phase.shape[1])
        flat = (layout.phase.ravel(), layout.kind.ravel(), layout.place.ravel())
        self.layout = Layout(*flat, layout.known.reshape(len(layout.known), -1), layout.twin)
        cells = self.h * self.w
        self.codes = np.zeros((8, 8, cells), dtype=np.int32)  # magnitudes
        self.sizes = np.zeros((WIDE, WIDE, cells), dtype=np.float32)
        self.sums = np.zeros((DIAGONALS + 3, cells), dtype=np.float32)  # sizes of those of diagonal d at d + 3
        self.open = np.zeros((DIAGONALS, cells), dtype=np.float32)
        self.totals = np.zeros(cells, dtype=np.int64)
        self.total_sizes = np.zeros(cells, dtype=np.float32)

    def density(self, d: int) -> np.ndarray:
        """How much there is in the diagonal before d: sixteenths of cells that are open, and their sizes of sums."""
        inside = self.layout.phase >= 0
        opened = (self.open[d - 1] > 0) & inside if d > 1 else inside
        count = int(opened.sum())
        mean = int(self.sums[d + 2][opened].sum(dtype=np.float64)) // count if count else 0
        return np.array([16 * count // int(inside.sum()), mean], dtype=np.float32)

    def add(self, cells: np.ndarray, d: int, codes: np.ndarray) -> None:
        """Magnitudes (cells, bands) of diagonal d are known."""
        u, v = diagonal(d)
        sums = codes.sum(axis=1)
        self.codes[u, v, cells[:, None]] = codes
        self.sizes[u + REACH, v + REACH, cells[:, None]] = size_of(codes)
        self.sums[d + 3, cells] = size_of(sums)
        self.open[d, cells] = OPEN
        self.totals[cells] += sums

    def twins(self, cells: np.ndarray) -> np.ndarray:
        """The same cells of the plane before theirs; the first cell of the canvas, an empty one, for those without."""
        return np.where(self.layout.phase[cells] > 1, cells - self.layout.twin, 0)

    def shift(self, dy: int, dx: int) -> int:
        return dy * self.w + dx


def diagonal(d: int) -> tuple[np.ndarray, np.ndarray]:
    """The bands (u, v) with u + v = d."""
    u = np.arange(max(0, d - 7), min(7, d) + 1)
    return u, d - u


def last_diagonal(bands: int) -> int:
    """Which diagonal the last one of the first so many bands lies on."""
    u, v = np.nonzero(band_mask(bands)[:, :, 0, 0])
    return int((u + v).max())


def band_mask(bands: int) -> np.ndarray:
    """The first so many bands in the order in which they come: bool (8, 8, 1, 1)."""
    order = np.concatenate([8 * u + v for u, v in map(diagonal, range(DIAGONALS))])
    mask = np.zeros(64, dtype=bool)
    mask[order[:bands]] = True
    return mask.reshape(8, 8, 1, 1)


def cell_features(canvas: Canvas, cells: np.ndarray, d: int) -> np.ndarray:
    """What is known at `cells` (n,) on the way to diagonal d: float32 (n, features), whole numbers 0 to 31."""
    total, sums, opened = canvas.total_sizes, canvas.sums, canvas.open[d]
    here, before = sums[d + 3], sums[d + 2]
    near = np.array([canvas.shift(*step) for step in BESIDE + ACROSS])
    far = np.array([canvas.shift(2 * dy, 2 * dx) for dy, dx in BESIDE])
    twin = canvas.twins(cells)
    around, beside = cells[:, None] + near, cells[:, None] + near[:4]
    found = [
        np.stack([total[cells], before[cells], sums[d + 1][cells], sums[d][cells]], axis=1),
        total[around],
        before[around],
        here[beside],
        opened[beside],
        total[cells[:, None] + far],
        np.stack([total[twin], here[twin], opened[twin]], axis=1),
        np.broadcast_to(canvas.density(d), (len(cells), 2)),
        canvas.layout.known[:, cells].T,
    ]
    return np.concatenate(found, axis=1, dtype=np.float32)


def band_features(canvas: Canvas, cells: np.ndarray, d: int) -> np.ndarray:
    """What is known of bands next to those of diagonal d: float32 (n, bands, features), whole numbers 0 to 31."""
    u, v = diagonal(d)
    area, line = canvas.h * canvas.w, WIDE * canvas.h * canvas.w
    base = (u + REACH) * line + (v + REACH) * area
    steps = [du * line + dv * area for du, dv in OWN_BANDS]
    steps += [canvas.shift(*step) + band for step in BESIDE for band in (0, -line, -area)]
    steps += [canvas.shift(*step) + band for step in ACROSS for band in (-line, -area)]
    places = (cells[:, None] + base)[:, :, None] + np.array([*steps, 0])
    places[:, :, -1] = canvas.twins(cells)[:, None] + base
    found: np.ndarray = canvas.sizes.reshape(-1)[places]
    return found


def code_canvas(coder: Coder, canvas: Canvas, nets: str, chooser: Chooser | None, bands: int) -> np.ndarray:
    """Code a canvas; returns its codes, signed, (8, 8, h, w).

    Parameters
    ----------
    nets : str
        Which networks: "luma", "chroma" or "means".
    chooser : Chooser, optional
        What an encoder wants; None for a decoder.
    bands : int
        The first so many bands are coded, the others are 0.
    """
    open_net = tables().nets[nets + " open"]
    phases, kinds, places = canvas.layout.phase, canvas.layout.kind, canvas.layout.place
    waiting = [np.flatnonzero(phases == phase) for phase in range(int(phases.max()) + 1)]
    for d in range(1, last_diagonal(bands) + 1):
        for phase, cells in enumerate(waiting):
            if not len(cells):
                continue
            features = cell_features(canvas, cells, d)
            hidden = open_net.cells(features, kinds[cells], places[cells]) + open_net.diagonals[d]
            wanted = None if chooser is None else chooser.goes_on(cells, d)[None]
            going = coder.bits(wanted, zeros_of(open_net.odds(hidden)[:, 0])[None])[0]
            waiting[phase] = cells = cells[going]
            if not len(cells):
                continue
            odds = _odds(canvas, nets, cells, features[going], d)
            codes = _magnitudes(coder, odds, None if chooser is None else chooser.choose(cells, d, odds))
            canvas.add(cells, d, codes)
        canvas.total_sizes = size_of(canvas.totals)
    there = np.flatnonzero(canvas.codes)
    wanted = None if chooser is None else chooser.signs(there)[None]
    signs = coder.bits(wanted, np.full((1, len(there)), EVEN))[0]
    canvas.codes.reshape(-1)[there[signs]] *= -1
    return canvas.codes.reshape(8, 8, canvas.h, canvas.w)


def _odds(canvas: Canvas, nets: str, cells: np.ndarray, features: np.ndarray, d: int) -> np.ndarray:
    """Log-odds of the answers for the bands of diagonal d: (cells, bands, UNARY + LENGTHS)."""
    net, layout, (u, v) = tables().nets[nets], canvas.layout, diagonal(d)
    fixed = net.rows[u] + net.columns[v] + net.diagonals[d]
    found = []
    for first in range(0, len(cells), PIECE):
        piece = slice(first, first + PIECE)
        here = cells[piece]
        hidden = net.bands(band_features(canvas, here, d))
        hidden += net.cells(features[piece], layout.kind[here], layout.place[here])[:, None]
        hidden += fixed
        found.append(net.odds(hidden))
    return found[0] if len(found) == 1 else np.concatenate(found)


def _magnitudes(coder: Coder, odds: np.ndarray, wanted: np.ndarray | None) -> np.ndarray:
    """Code magnitudes (cells, bands) with log-odds of each answer: odds (cells, bands, UNARY + LENGTHS)."""
    flat = odds.reshape(-1, odds.shape[2])
    given = None if wanted is None else wanted.ravel()
    codes = np.zeros(len(flat), dtype=np.int32)
    open_ = np.arange(len(flat))
    for level in range(UNARY):
        bits = None if given is None else given[None, open_] > level
        open_ = open_[coder.bits(bits, zeros_of(flat[open_, level])[None])[0]]
        codes[open_] += 1
        if not len(open_):
            return codes.reshape(odds.shape[:2])
    # what is left, plus 1, as a number of so many bits, the first of which is 1
    left = None if given is None else given[open_] - UNARY + 1
    rest, longer = np.ones(len(open_), dtype=np.int32), np.arange(len(open_))
    length = np.zeros(len(open_), dtype=np.int64)
    for step in range(LONGEST):
        likely = flat[open_[longer], UNARY + min(step, LENGTHS - 1)]
        bits = None if left is None else left[None, longer] >> step + 1 > 0
        longer = longer[coder.bits(bits, zeros_of(likely)[None])[0]]
        length[longer] += 1
        if not len(longer):
            break
    for bit in range(int(length.max())):
        long = np.flatnonzero(length > bit)
        bits = None if left is None else left[None, long] >> length[long] - 1 - bit & 1 == 1
        rest[long] = 2 * rest[long] + coder.bits(bits, np.full((1, len(long)), EVEN))[0]
    codes[open_] += rest - 1
    return codes.reshape(odds.shape[:2])


class Chooser:
    """What an encoder wants of a canvas: codes that cost little for what they bring.

    Parameters
    ----------
    targets : array of float, shape (8, 8, h, w)
        Coefficients in steps.
    price : float
        Of a bit, in squared steps: 0.1 to 0.2.
    """

    def __init__(self, targets: np.ndarray, price: float):
        self.targets = targets.reshape(64, -1)
        self.price = price
        t = np.abs(self.targets)
        q = np.rint(t)
        gain = np.maximum(t**2 - (t - q) ** 2 - price * np.where(q > 0, 4 + 2 * np.log2(np.maximum(q, 1)), 0), 0)
        gain = gain.reshape(8, 8, -1)
        ahead = np.zeros((DIAGONALS + 1, gain.shape[2]))
        for d in range(DIAGONALS - 1, 0, -1):
            u, v = diagonal(d)
            ahead[d] = np.maximum(0, ahead[d + 1] + gain[u, v].sum(axis=0) - price * (1 + 0.1 * len(u)))
        self.ahead = ahead

    def goes_on(self, cells: np.ndarray, d: int) -> np.ndarray:
        wanted: np.ndarray = self.ahead[d, cells] > 0
        return wanted

    def choose(self, cells: np.ndarray, d: int, odds: np.ndarray) -> np.ndarray:
        u, v = diagonal(d)
        t = np.abs(self.targets.reshape(8, 8, -1)[u[None, :], v[None, :], cells[:, None]])
        z = odds / ODDS
        # bits for 0 and for 1, 2, 3 and beyond, from log-odds of "above": softplus(z) - z is -ln of saying yes
        no, yes = np.logaddexp(0, z) / np.log(2), np.logaddexp(0, -z) / np.log(2)
        low = np.floor(t)
        best, codes = np.full(t.shape, np.inf), np.zeros(t.shape, dtype=np.int32)
        for q in (np.zeros_like(t), low, low + 1):
            bits = np.where(q == 0, no[..., 0], yes[..., 0] + 1)
            bits += np.where(q == 1, no[..., 1], np.where(q > 1, yes[..., 1], 0))
            bits += np.where(
                q == 2, no[..., 2], np.where(q > 2, yes[..., 2] + 2 * np.log2(np.maximum(q - 2, 1)) + 1, 0)
            )
            cost = (t - q) ** 2 + self.price * bits
            codes = np.where(cost < best, q, codes).astype(np.int32)
            best = np.minimum(best, cost)
        return codes

    def signs(self, there: np.ndarray) -> np.ndarray:
        wanted: np.ndarray = self.targets.ravel()[there] < 0
        return wanted
