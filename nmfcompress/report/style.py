"""How every plot of Matplotlib looks (the extra `plot`): its colours and lines, and the bytes of a PNG, SVG or PDF."""

from __future__ import annotations

import importlib.util
import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import ExtraMissing
from ..images.files import display
from ..showing import PLOT_KINDS as KINDS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which the colour-blind tell apart, without the yellow that white paper swallows
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")
STYLES = ("-", "--", ":", "-.")
MARKERS = ("", "o", "s", "^", "D", "v", "P", "X", "*")
UNDATED = {  # nothing in the bytes tells when and by what they were made
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


@dataclass(frozen=True)
class Look:
    """Of one line; a marker is "" where it has none."""

    colour: str
    style: str
    marker: str


def look(place: int, group: int | None = None, groups: int = 1) -> Look:
    """The look of a line, another for each place and group, as long as they are a few dozen.

    Parameters
    ----------
    place : int
        From 0. It has the colour; without groups, where the colours are used up, the dashes and then a marker.
    group, groups : int, optional
        The group has the dashes, of `groups`: the same place in another group has the same colour.
    """
    round_, colour = divmod(place, len(COLOURS))
    if group is None:
        marks, dashes = divmod(round_, len(STYLES))
    else:
        marks, dashes = divmod(group, len(STYLES))
        marks += round_ * -(-groups // len(STYLES))
    return Look(COLOURS[colour], STYLES[dashes], MARKERS[marks % len(MARKERS)])


def available() -> bool:
    """Whether the extra is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def require(what: str = "the plot of the loss") -> None:
    """Raise ExtraMissing unless the extra is installed."""
    if not available():
        raise ExtraMissing(what, "plot")


@contextmanager
def ours() -> Iterator[None]:
    """Draw by our own settings, whatever a matplotlibrc says: the same figures are the same bytes.

    What Matplotlib has to say, such as that it cannot keep its fonts at home, is nothing to who asked for a plot.
    """
    log = logging.getLogger("matplotlib")
    before = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        with _our_settings():
            yield
    finally:
        log.setLevel(before)


@contextmanager
def _our_settings() -> Iterator[None]:
    import matplotlib

    default = matplotlib.rcParamsDefault
    plain = {name: default[name] for name in default if not name.startswith(("backend", "date.epoch", "webagg"))}
    plain |= {"svg.fonttype": "none", "svg.hashsalt": "nmfc", "axes.spines.top": False, "axes.spines.right": False}
    plain |= {"axes.grid": True, "grid.alpha": 0.25, "legend.frameon": False, "legend.fontsize": "small"}
    with matplotlib.rc_context(plain), warnings.catch_warnings(action="ignore"):  # names have letters no font has
        yield


def figure(width: float, height: float) -> Figure:
    """An empty one, of so many inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), dpi=120, layout="constrained")
    FigureCanvasAgg(made)
    return made


def log_scale(axes: Axes, which: str) -> None:
    """A logarithmic axis "x" or "y", whose numbers are written as people write them; it has no place for 0."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set(**{f"{which}scale": "log"})
    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = axis.get_view_interval()
    plain = FuncFormatter(lambda value, _: f"{value:g}")
    axis.set_major_formatter(plain)
    axis.set_minor_locator(LogLocator(subs=(2, 3, 5) if high < 30 * low else range(2, 10)))
    axis.set_minor_formatter(plain if high < 30 * low else NullFormatter())
    axis.set_tick_params(which="minor", labelsize="medium")


def legend(made: Figure, title: str | None, axes: Axes) -> None:
    """The names of the lines beside them."""
    handles, names = axes.get_legend_handles_labels()
    columns = 1 if len(handles) <= 20 else 2
    made.legend(handles, names, title=title, loc="outside right upper", ncols=columns)


def encoded(made: Figure, kind: str) -> bytes:
    """The bytes of one of KINDS."""
    file = io.BytesIO()
    made.savefig(file, format=kind, metadata=UNDATED[kind])
    return file.getvalue()


def quiet(words: str) -> str:
    """Words in which a $, a leading underscore or a control character means nothing."""
    words = display(words).replace("$", r"\$")
    return " " + words if words.startswith("_") else words


__all__ = ["KINDS", "Look", "available", "encoded", "figure", "legend", "log_scale", "look", "ours", "quiet", "require"]
