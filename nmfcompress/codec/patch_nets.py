"""Small networks of whole numbers: what is likely, and what mends, as learned from photographs.

All values are whole numbers in float32, and all sums far below 2**24: the same on every machine, in any order.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from .entropy import BITS, ONE
from .patch_tables import DATA

ODDS = 32  # steps a unit of log-odds
MOST_ODDS = 8 * ODDS  # log-odds stay in -MOST_ODDS .. MOST_ODDS
MOST_HIDDEN = 1023  # of a hidden sum; a quarter of it, rounded down, goes on
KINDS = 9  # luma, blue, red; their means; the means of these and so on
PLACES = 41  # of a cell within a patch: patch_blocks.py counts them
ACTIVITIES = 12
CELL_FEATURES, BAND_FEATURES, ANSWERS = 46, 28, 9
HIDDEN, HIDDEN_OPEN = {"luma": 32, "chroma": 16, "means": 24}, 16


@dataclass(frozen=True)
class Net:
    """One hidden layer: sums of features by `on_cell` and `on_band`, and of a row of each table.

    Parameters
    ----------
    on_cell, on_band : arrays, shape (features, hidden)
    kinds, places, rows, columns, diagonals : arrays, shape (entries, hidden)
    answers : array, shape (hidden, answers)
    bias : array, shape (answers,)
    """

    on_cell: np.ndarray
    on_band: np.ndarray
    kinds: np.ndarray
    places: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    diagonals: np.ndarray
    answers: np.ndarray
    bias: np.ndarray

    def cells(self, features: np.ndarray, kinds: np.ndarray, places: np.ndarray) -> np.ndarray:
        """What the features (n, features) of n cells add to the hidden sums: (n, hidden)."""
        found: np.ndarray = features @ self.on_cell + (self.kinds[kinds] + self.places[places])
        return found

    def bands(self, features: np.ndarray) -> np.ndarray:
        """What the features (..., features) of bands add to them: (..., hidden)."""
        found: np.ndarray = features @ self.on_band
        return found

    def odds(self, hidden: np.ndarray) -> np.ndarray:
        """Log-odds of yes, in 1 / ODDS, from hidden sums (..., hidden): int64 (..., answers)."""
        shown = np.floor(np.clip(hidden, 0, MOST_HIDDEN) * np.float32(1 / 4))
        sums = shown.reshape(-1, shown.shape[-1]) @ self.answers + self.bias
        whole = np.clip(np.floor(sums * np.float32(1 / 16)), -MOST_ODDS, MOST_ODDS).astype(np.int64)
        found: np.ndarray = whole.reshape(*hidden.shape[:-1], -1)
        return found


def level_of(step: int) -> int:
    """Four times the binary logarithm of a step (in 1 / 65536 grey level) in grey levels, rounded down, 0 to 31."""
    return max(0, int(np.searchsorted(LEVELS, step, side="right")) - 1)


LEVELS = np.array([int(65536 * 2 ** (i / 4)) for i in range(32)])


@dataclass(frozen=True)
class Layer:
    """A convolution of 3 x 3 taps, `spread` apart.

    Parameters
    ----------
    weights : array, shape (9, inputs, outputs)
    bias : array, shape (outputs,)
    by_level : array, shape (outputs,)
        Times the level of the step (`level_of`), joins the bias.
    spread : int
    """

    weights: np.ndarray
    bias: np.ndarray
    by_level: np.ndarray
    spread: int


@dataclass(frozen=True)
class Tables:
    """All that was learned: nets by name, layers of the filter, log-odds of splits (2, 5, ACTIVITIES)."""

    nets: dict[str, Net]
    layers: list[Layer]
    splits: np.ndarray


SPREADS, FILTER_HIDDEN, FILTER_INPUTS, FILTER_OUTPUTS = (1, 2, 1, 1), 24, 10, 12


@cache
def tables() -> Tables:
    """The numbers of patch_tables.py: 16 bits, little-endian, deflated, in base 85, as `read_tables` asks for them."""
    numbers = np.frombuffer(zlib.decompress(base64.b85decode(DATA)), dtype="<i2").astype(np.float32)
    start = 0

    def take(*shape: int) -> np.ndarray:
        nonlocal start
        start += int(np.prod(shape))
        return numbers[start - int(np.prod(shape)) : start].reshape(shape)

    found = read_tables(take)
    assert start == len(numbers)  # noqa: S101
    return found


def read_tables(take: Callable[..., np.ndarray]) -> Tables:
    """Take all tables, one after the other, from a function of a shape."""
    nets = {}
    for name in ("luma", "chroma", "means"):
        for part, bands, hidden, answers in (("", BAND_FEATURES, HIDDEN[name], ANSWERS), (" open", 0, HIDDEN_OPEN, 1)):
            nets[name + part] = Net(
                on_cell=take(CELL_FEATURES, hidden),
                on_band=take(bands, hidden),
                kinds=take(KINDS, hidden),
                places=take(PLACES, hidden),
                rows=take(8, hidden),
                columns=take(8, hidden),
                diagonals=take(15, hidden),
                answers=take(hidden, answers),
                bias=take(answers),
            )
    layers, inputs = [], FILTER_INPUTS
    for i, spread in enumerate(SPREADS):
        outputs = FILTER_OUTPUTS if i == len(SPREADS) - 1 else FILTER_HIDDEN
        level = take(outputs) if i == 0 else np.zeros(outputs, dtype=np.float32)
        layers.append(Layer(take(9, inputs, outputs), take(outputs), level, spread))
        inputs = outputs
    return Tables(nets, layers, take(2, 5, ACTIVITIES).astype(np.int64))


@cache
def _zeros() -> np.ndarray:
    """round(2^14 / (1 + exp(x / ODDS))) for all odds, in decimals of 30 digits, so that it is the same everywhere."""
    import decimal

    with decimal.localcontext(decimal.Context(prec=30)):
        exact = [ONE / (1 + (decimal.Decimal(x) / ODDS).exp()) for x in range(-MOST_ODDS, MOST_ODDS + 1)]
        whole = [int(value.to_integral_value(decimal.ROUND_HALF_UP)) for value in exact]
    return np.clip(np.array(whole, dtype=np.int64), 1, (1 << BITS) - 1)


def zeros_of(odds: np.ndarray) -> np.ndarray:
    """How likely a no is, as coders take it, for log-odds of yes in 1 / ODDS."""
    found: np.ndarray = _zeros()[odds + MOST_ODDS]
    return found
