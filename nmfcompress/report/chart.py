"""Curves as SVG within a page, of our own making: no Matplotlib is needed, and they have the page's colours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .html import Html, joined, tag
from .lines import Line, name_of, spread

WIDTH, HEIGHT = 400, 250  # units of the picture, which is as wide as its column, 13 of which are a letter's height
LEFT, RIGHT, TOP, BOTTOM = 52, 382, 10, 204
COLOURS = 5  # custom properties --c0 ... of the page
DASHES = ("", "7 3", "2 2.5", "8 3 2 3")
NAMED = 12  # lines that are drawn one by one; of more the median and the middle of them
POINTS = 240  # of a line
NOTHING = 1e-300  # no range of an axis: its steps could not be told


@dataclass(frozen=True)
class Series:
    """A line of a chart, or (`to`) what is between two: points whose x rises."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    to: Sequence[float] | None = None


def loss_chart(lines: Sequence[Line], by_label: bool, number: str = "loss") -> Html:
    """The loss of some images over their sweeps; the figure that holds it has the words."""
    if len(lines) <= NAMED:
        some = [Series(name_of(line, by_label), line.x, line.y) for line in lines]
    else:
        found = spread(lines)
        some = [
            Series(found.words, found.x.tolist(), found.middle.tolist()),
            Series(found.WHERE, found.x.tolist(), found.low.tolist(), found.high.tolist()),
        ]
    ends = [f"{one.name}: {one.y[0]:.4g} to {one.y[-1]:.4g}" for one in some if one.to is None]
    words = f"Loss by sweep. First and last: {'; '.join(ends)}."
    return chart(some, "sweep", "loss", words, number)


def chart(
    series: Sequence[Series], x: str, y: str, words: str, number: str, log_x: bool = False, points: bool = False,
    from_zero: bool = True,
) -> Html:  # fmt: skip
    """A chart, with a legend where there is more than one line.

    Parameters
    ----------
    series : sequence of Series
        At least one, of finite numbers; above 0 for a logarithmic axis.
    x, y : str
        Names of the axes.
    words : str
        What is to be seen, for those who do not see it.
    number : str
        Of the chart on its page: ids begin with it.
    log_x, points, from_zero : bool
        A logarithmic axis; a mark at each point; y begins with 0.
    """
    xs = [value for one in series for value in one.x]
    ys = [value for one in series for values in (one.y, one.to or ()) for value in values]
    across = Scale.of(min(xs), max(xs), LEFT, RIGHT, log_x)
    up = Scale.of(0.0 if from_zero else min(ys), max(ys), BOTTOM, TOP)
    pieces = [_grid(across, up, x, y)]
    for place, one in enumerate(series):
        pieces.append(_drawn(one, place, across, up, points))
    picture = tag(
        "svg", tag("title", f"{y} over {x}", id=f"{number}-title"), tag("desc", words, id=f"{number}-words"), *pieces,
        viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_labelledby=f"{number}-title {number}-words", class_="chart",
    )  # fmt: skip
    return joined([picture, _legend(series)]) if len(series) > 1 else picture


@dataclass(frozen=True)
class Scale:
    """Values to places on the picture, and the values that are written at the axis."""

    low: float
    high: float
    first: float
    last: float
    log: bool
    ticks: tuple[float, ...]

    @classmethod
    def of(cls, low: float, high: float, first: float, last: float, log: bool = False) -> Scale:
        if log:
            ticks = _decades(low, high)
        else:
            high = high if high - low > NOTHING else low + (abs(low) or 1.0)
            ticks = _round_steps(low, high)
        return cls(min(low, ticks[0]), max(high, ticks[-1]), first, last, log, ticks)

    def __call__(self, value: float) -> float:
        low, high, at = self.low, self.high, value
        if self.log:
            low, high, at = math.log(low), math.log(high), math.log(value)
        share = (at - low) / (high - low) if high > low else 0.5
        return round(self.first + share * (self.last - self.first), 1)


def _round_steps(low: float, high: float) -> tuple[float, ...]:
    """About five round values, the first at or below low unless that is far, the last at or below high."""
    step = 10.0 ** math.floor(math.log10((high - low) / 4))
    step *= next(by for by in (1, 2, 2.5, 5, 10) if (high - low) / (step * by) <= 5)
    first = math.ceil(low / step - 1e-9)
    count = int((high - first * step) / step + 1e-9)
    return tuple(float(f"{(first + i) * step:.10g}") for i in range(count + 1))


def _decades(low: float, high: float) -> tuple[float, ...]:
    """Powers of ten with 2 and 5 between them, from the last at or below low to the first at or above high."""
    marks = [by * 10.0**power for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
             for by in (1, 2, 5)]  # fmt: skip
    first = max((place for place, mark in enumerate(marks) if mark <= low * (1 + 1e-9)), default=0)
    last = min((place for place, mark in enumerate(marks) if mark >= high * (1 - 1e-9)), default=len(marks) - 1)
    kept = marks[first : max(last, first) + 1]
    every = -(-len(kept) // 7)
    return tuple(float(f"{mark:.3g}") for mark in kept[::every])


def _grid(across: Scale, up: Scale, x: str, y: str) -> Html:
    pieces = []
    for value in up.ticks:
        at = up(value)
        pieces += [
            tag("line", x1=LEFT, x2=RIGHT, y1=at, y2=at, class_="grid"),
            tag("text", f"{value:.10g}", x=LEFT - 5, y=at + 4, text_anchor="end"),
        ]
    for value in across.ticks:
        at = across(value)
        pieces += [
            tag("line", x1=at, x2=at, y1=BOTTOM, y2=BOTTOM + 4, class_="axis"),
            tag("text", f"{value:.10g}", x=at, y=BOTTOM + 18, text_anchor="middle"),
        ]
    pieces += [
        tag("line", x1=LEFT, x2=RIGHT, y1=BOTTOM, y2=BOTTOM, class_="axis"),
        tag("text", x, x=(LEFT + RIGHT) / 2, y=HEIGHT - 8, text_anchor="middle"),
        tag("text", y, x=12, y=(TOP + BOTTOM) / 2, text_anchor="middle",
            transform=f"rotate(-90 12 {(TOP + BOTTOM) / 2:g})"),
    ]  # fmt: skip
    return tag("g", *pieces, aria_hidden="true")


def _drawn(one: Series, place: int, across: Scale, up: Scale, points: bool) -> Html:
    count = len(one.x)
    kept = sorted({*range(0, count, -(-count // POINTS)), count - 1})
    xs, ys = [across(one.x[i]) for i in kept], [up(one.y[i]) for i in kept]
    if one.to is not None:
        back = [up(one.to[i]) for i in kept]
        outline = [*zip(xs, ys, strict=True), *reversed([*zip(xs, back, strict=True)])]
        return tag("polygon", points=" ".join(f"{a:g},{b:g}" for a, b in outline), class_="band")
    line = tag("polyline", points=" ".join(f"{a:g},{b:g}" for a, b in zip(xs, ys, strict=True)), **_look(place))
    if not points and len(xs) > 1:
        return line
    colour = f"fill:var(--c{place % COLOURS})"
    marks = [tag("circle", cx=a, cy=b, r=2.6, style=colour) for a, b in zip(xs, ys, strict=True)]
    return joined([line, *marks])


def _look(place: int) -> dict[str, str | None]:
    """Another for each of 20 lines, and other dashes for neighbours: colour alone tells nobody anything."""
    dashes = DASHES[place % len(DASHES)]
    return {"class_": "line", "style": f"stroke:var(--c{place % COLOURS})", "stroke_dasharray": dashes or None}


def _legend(series: Sequence[Series]) -> Html:
    entries = []
    for place, one in enumerate(series):
        band = one.to is not None
        sample = (
            tag("rect", x=0, y=1, width=26, height=8, class_="band")
            if band
            else tag("polyline", points="0,5 26,5", **_look(place))
        )
        swatch = tag("svg", sample, viewBox="0 0 26 10", class_="swatch", aria_hidden="true")
        entries.append(tag("li", swatch, one.name))
    return tag("ul", *entries, class_="legend")
