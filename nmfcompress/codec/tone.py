"""The output curve: what a sum of parts shows as a grey level.

NMF adds parts up, but pictures do not: strokes that cross are not twice as white. So a sum x of parts is not the grey
level itself: the level is a rising function of x, straight between nodes, learned from the pictures as the mean level
that is seen where the sum is x. The part of it that is flat at black and at white makes both one-sided constraints.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SPACING = 8  # grey levels of 255 from node to node
NODES = 81  # so that sums up to 640 are told apart
START = 64.0  # what a sum has to pass to be seen, before anything is learned: it makes room for errors in the dark
FINE = 256  # levels are integers in 1/256 of a grey level
STEPS = 2  # entries of the table for a grey level, while learning
SMOOTH = 1e-5  # weight of the second differences of the nodes, relative to the number of pixels


@dataclass(frozen=True, eq=False)
class Curve:
    """A rising function, given at sums of 0, 8, 16 ... 640 grey levels.

    Parameters
    ----------
    nodes : array of int, shape (81,)
        The level there, 0 to 255 * 256, in 1/256 of a grey level.
    """

    nodes: np.ndarray

    @classmethod
    def first(cls) -> Curve:
        """A straight line that begins at START and ends at white."""
        return cls(np.rint(np.clip(SPACING * np.arange(NODES) - START, 0, 255) * FINE).astype(np.int64))

    @classmethod
    def straight(cls) -> Curve:
        """The sums themselves, as far as white."""
        return cls(np.minimum(SPACING * np.arange(NODES), 255) * FINE)

    @staticmethod
    def straightened(grey: np.ndarray) -> np.ndarray:
        """The sums at which the straight curve shows these grey levels: its last rise, to white, is slower."""
        last = 255 // SPACING * SPACING
        found: np.ndarray = np.where(grey > last, last + (grey - last) * (SPACING / (255 - last)), grey)
        return found

    def levels(self, sums: np.ndarray, unit: int) -> np.ndarray:
        """The levels at integer `sums`, of which `unit` (a multiple of 1) are a grey level: int64, in 1/256 of one."""
        width = SPACING * unit
        place = np.clip(sums, 0, (NODES - 1) * width - 1).astype(np.int64)
        left, within = np.divmod(place, width)
        steps = np.diff(self.nodes)
        found: np.ndarray = self.nodes[left] + steps[left] * within // width
        return found

    def table(self) -> tuple[np.ndarray, np.ndarray]:
        """Grey levels, and how fast they rise, at sums of 0, 1/2, 1 ... grey levels: two arrays of float32."""
        x, at = np.arange(NODES * SPACING * STEPS) / STEPS, SPACING * np.arange(NODES)
        grey = self.nodes / FINE
        slopes = np.diff(grey, append=grey[-1:]) / SPACING
        return np.interp(x, at, grey).astype(np.float32), np.interp(x, at + SPACING / 2, slopes).astype(np.float32)


def places_of(sums: np.ndarray) -> np.ndarray:
    """Where sums, 0 or above, are in `Curve.table`."""
    rounded = sums * STEPS
    rounded += 0.5
    found: np.ndarray = np.minimum(rounded, NODES * SPACING * STEPS - 1, out=rounded).astype(np.intp)
    return found


class CurveFit:
    """What pictures show at sums of parts, to a half of a grey level: from it follows the best curve."""

    def __init__(self) -> None:
        self._counts, self._totals = np.zeros(NODES * SPACING * STEPS), np.zeros(NODES * SPACING * STEPS)

    def add(self, places: np.ndarray, grey: np.ndarray) -> None:
        """Places (`places_of`) of sums of parts, and the grey levels that are there."""
        self._counts += np.bincount(places.ravel(), minlength=len(self._counts))
        self._totals += np.bincount(places.ravel(), grey.ravel(), len(self._totals))

    def curve(self) -> Curve:
        """The best rising curve, a little smoothed: least squares on hat functions."""
        at = np.minimum(np.arange(len(self._counts)) / (SPACING * STEPS), NODES - 1.001)
        left = at.astype(np.int64)
        within = at - left

        def total(weights: np.ndarray, nodes: np.ndarray) -> np.ndarray:
            return np.bincount(nodes, weights, NODES)

        squares = total((1 - within) ** 2 * self._counts, left) + total(within**2 * self._counts, left + 1)
        beside = total(within * (1 - within) * self._counts, left)[:-1]
        right = total((1 - within) * self._totals, left) + total(within * self._totals, left + 1)
        second = np.diff(np.eye(NODES), 2, axis=0)
        normal = np.diag(squares + 1e-6) + np.diag(beside, 1) + np.diag(beside, -1)
        nodes = np.linalg.solve(normal + SMOOTH * max(self._counts.sum(), 1) * second.T @ second, right)
        return Curve(np.rint(np.maximum.accumulate(np.clip(nodes, 0, 255)) * FINE).astype(np.int64))
