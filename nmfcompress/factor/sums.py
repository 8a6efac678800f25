"""What a read of V is asked for and what it leaves, whatever is minimized.

A sweep updates H from sums that the sweep before added up, then reads V once: each block gets its codes (its rows of W)
updated and adds its share to the sums of the next sweep. The sums carry the loss at no extra read.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import numpy as np

PATIENCE = 4  # times the usual repeats, for codes that begin from nothing


@dataclass(frozen=True)
class Cost:
    """What a factor X costs beside the divergence: l1 |X|_1 + l2/2 ||X||_F^2. False where that is nothing."""

    l1: float = 0.0
    l2: float = 0.0

    def __bool__(self) -> bool:
        return self.l1 > 0 or self.l2 > 0

    def of(self, X: np.ndarray) -> float:
        """Added up in float64."""
        X = X.astype(np.float64)
        return self.l1 * float(X.sum()) + self.l2 / 2 * square_sum(X)

    def on(self, G: np.ndarray) -> np.ndarray:
        """The products G of a least-squares problem with l2 on their diagonal: a new array where that is not 0."""
        return G + G.dtype.type(self.l2) * np.eye(len(G), dtype=G.dtype) if self.l2 else G


FREE = Cost()


@dataclass
class Sums:
    """What a read of V leaves for the next update of H, added up in float64.

    Parameters
    ----------
    numerator : array, shape (k, n)
        Wt V, or Wt P for the ratios P of a divergence.
    denominator : array, shape (k, k), (k, n) or (k, 1)
        Wt W, or Wt Q.
    loss : float
        The part of the loss (squared for frobenius) that needs V.
    squares : float
        ||V - W H||_F^2, where it was computed; else nan.
    penalty : float
        What the codes cost beside the divergence.
    slope, pull : float
        Squares of the projected gradient for W, and of V Ht, which it is compared with; nan where not computed.
    """

    numerator: np.ndarray
    denominator: np.ndarray
    loss: float = 0.0
    squares: float = math.nan
    slope: float = math.nan
    pull: float = math.nan
    penalty: float = 0.0

    @property
    def gradient(self) -> float | None:
        """How far the codes are from the minimizer for their H: the part of SweepRecord.gradient that is W's."""
        return None if math.isnan(self.slope) else ratio(self.slope, self.pull)

    def __iadd__(self, other: Sums) -> Sums:
        self.numerator += other.numerator
        self.denominator += other.denominator
        self.loss += other.loss
        self.squares += other.squares
        self.slope += other.slope
        self.pull += other.pull
        self.penalty += other.penalty
        return self


def total(shares: Iterable[Sums]) -> Sums:
    """The shares added up in their order, which makes the result independent of the number of threads."""
    shares = iter(shares)
    sums = next(shares)
    for share in shares:
        sums += share
    return sums


@dataclass(frozen=True)
class Moments:
    """What the first read of V finds: the mean and the sum of squares of the known entries; `crc` of all, if asked."""

    mean: float
    squares: float
    crc: int | None = None


class Codes(Enum):
    """What a read of V does with the codes."""

    KEEP = "keep"
    UPDATE = "update"
    BEGIN = "begin"  # they come from nothing: more patience
    SOLVE = "solve"  # to tolerance for this H


@dataclass(frozen=True)
class Losses:
    """loss and relative_loss of the factors that sums were taken from; gradient, objective: see SweepRecord."""

    loss: float
    relative_loss: float
    gradient: float | None
    objective: float | None = None

    @property
    def brought_down(self) -> float:
        """What no sweep may raise."""
        return self.loss if self.objective is None else self.objective


@dataclass(frozen=True)
class Basis:
    """H (k, n), the `scale` of V as stored; and, where they help, scale * Ht (n, k) and H Ht."""

    H: np.ndarray
    scale: float
    scaled: np.ndarray
    gram: np.ndarray


class Objective(Protocol):
    """One divergence between V and W H, and its updates. A plain value: workers elsewhere get a copy."""

    @property
    def floor(self) -> float:
        """No entry of a factor falls below it."""

    def prepare(self, H: np.ndarray, scale: float) -> Basis:
        """What all blocks of a read need of H."""

    def block(
        self, V: np.ndarray, known: np.ndarray | None, X: np.ndarray, basis: Basis, how: Codes, direct: bool
    ) -> tuple[np.ndarray, Sums]:
        """The codes X (k, b) of scale * V (b, n) for this basis, a new array, and their share of the sums.

        `direct`: the residual is summed itself.
        """

    def basis(self, H: np.ndarray, sums: Sums, m: int) -> np.ndarray:
        """H updated from the sums."""

    def losses(self, H: np.ndarray, sums: Sums) -> Losses | None:
        """What the sums say of the factors; None: take the sums again, directly."""


def square_sum(X: np.ndarray) -> float:
    """||X||_F^2."""
    return float(np.vdot(X, X))


def ratio(squares: float, whole: float) -> float:
    """The root of a part of a sum of squares."""
    return math.sqrt(squares / whole) if whole else 0.0
