"""What is drawn of losses, by Matplotlib or on a page: lines with names, run by run; of very many their spread."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .records import Curve, shortened, text

NAMED = 40  # lines that are drawn one by one and named; of more the median and the middle of them
SPREAD_OF = 5000  # lines from which that is taken, evenly spaced
POINTS = 400  # of it
TENTHS = (0.1, 0.5, 0.9)


@dataclass(frozen=True)
class Line:
    """The loss of one image over its sweeps: `x` rises; `image` and `label` are "" where there are none."""

    input: str
    image: str
    label: str
    x: Sequence[float]
    y: Sequence[float]

    @property
    def key(self) -> tuple[str, str, str]:
        """What the same image has in another run too."""
        return self.input, self.image, self.label


@dataclass(frozen=True)
class Run:
    """The lines of one run, and what it is called."""

    name: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Spread:
    """Many lines as one: at x a tenth of them lie below `low`, half below `middle`, a tenth above `high`.

    One that has ended stays where it ended. `count` are the lines, `of` those of them that were looked at.
    """

    x: np.ndarray
    low: np.ndarray
    middle: np.ndarray
    high: np.ndarray
    count: int
    of: int
    WHERE: ClassVar[str] = "where 80 % of them are"

    @property
    def words(self) -> str:
        """What it is, for a legend."""
        some = "" if self.of == self.count else f" ({self.of:,} of them looked at)"
        return f"median of {self.count:,} images{some}"


def lines_of(curves: Iterable[Curve]) -> tuple[Line, ...]:
    """The curves of this run."""
    return tuple(
        Line(c.input, text(c.image), text(c.label), [r.sweep for r in c.records], [r.loss for r in c.records])
        for c in curves
    )


def labelled(lines: Sequence[Line]) -> bool:
    """Whether each has a label of its own, which tells more than its number then."""
    return all(line.label for line in lines) and len({line.label for line in lines}) == len(lines)


def name_of(line: Line, by_label: bool) -> str:
    """What a legend calls it."""
    if by_label:
        return shortened(line.label, 16)
    name = shortened(line.label, 16) if line.label else shortened(line.input, 24)
    return f"{name} (image {line.image})" if line.image else name


def spread(lines: Sequence[Line]) -> Spread:
    """The median of many lines, and the first and the last tenth."""
    chosen = [lines[place * len(lines) // SPREAD_OF] for place in range(SPREAD_OF)] if len(lines) > SPREAD_OF else lines
    low, high = min(line.x[0] for line in chosen), max(line.x[-1] for line in chosen)
    whole = high - low < POINTS and all(float(line.x[-1]).is_integer() for line in chosen)
    at = np.arange(low, high + 1) if whole else np.linspace(low, high, POINTS)
    values = np.stack([np.interp(at, np.asarray(line.x, float), np.asarray(line.y, float)) for line in chosen])
    below, middle, above = np.quantile(values, TENTHS, axis=0)
    return Spread(at, below, middle, above, len(lines), len(chosen))


def names_of_runs(paths: Sequence[str]) -> list[str]:
    """What tells runs apart: of A/loss.csv and B/loss.csv the A and the B."""
    parts = [os.path.normpath(path).split(os.sep) for path in paths]
    if len(parts) < 2:
        return [parts[0][-1]] if parts else []
    ends = 0
    while min(len(part) for part in parts) > ends + 1 and len({part[-1 - ends] for part in parts}) == 1:
        ends += 1
    begins = 0
    while min(len(part) for part in parts) > begins + ends + 1 and len({part[begins] for part in parts}) == 1:
        begins += 1
    return ["/".join(part[begins : len(part) - ends]) for part in parts]
