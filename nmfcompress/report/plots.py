"""Curves, drawn by Matplotlib (the extra `plot`)."""

from __future__ import annotations

import importlib.util
import io
import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import ExtraMissing
from ..images.files import display
from .ranks import RankRecord
from .records import Curve, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which the colour-blind tell apart, without the yellow that white paper swallows
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")
STYLES = ("-", "--", ":", "-.")
MISSING = "no loss.png, which needs an extra: pip install 'nmfcompress[plot]' (--no-plot keeps this quiet)"
NAMED = 40  # curves with a line in the legend


def available() -> bool:
    """Whether the extra is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def require(what: str = "the plot of the loss") -> None:
    """Raise ExtraMissing unless the extra is installed."""
    if not available():
        raise ExtraMissing(what, "plot")


def loss_curves(curves: Sequence[Curve], divergence: str) -> bytes:
    """The loss of each curve over its sweeps, as PNG bytes.

    Raises
    ------
    ExtraMissing
        Matplotlib is not installed.
    """
    require()
    from matplotlib.ticker import MaxNLocator

    labelled = all(c.label is not None for c in curves) and len({c.label for c in curves}) == len(curves)
    figure = _figure(8 + 1.5 * (1 < len(curves) <= NAMED), 5)
    axes = figure.add_subplot()
    for place, curve in enumerate(curves):
        sweeps, losses = [r.sweep for r in curve.records], [r.loss for r in curve.records]
        colour, style = COLOURS[place % len(COLOURS)], STYLES[place // len(COLOURS) % len(STYLES)]
        marker = "." if len(sweeps) == 1 else ""
        axes.plot(
            sweeps, losses, color=colour, linestyle=style, linewidth=1.8, marker=marker, label=_name(curve, labelled)
        )
    axes.set_xlabel("sweep")
    axes.set_ylabel("loss  ‖V − W H‖" if divergence == "frobenius" else f"loss ({divergence} divergence)")
    _plain(axes)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title(_name(curves[0], labelled) if len(curves) == 1 else f"{len(curves):,} images", fontsize="medium")
    if 1 < len(curves) <= NAMED:
        columns = 1 if len(curves) <= NAMED // 2 else 2
        title = "label" if labelled else None
        figure.legend(title=title, loc="outside right upper", frameon=False, ncols=columns, fontsize="small")
    return _png(figure)


def rank_curves(name: str, records: Sequence[RankRecord], recommended: int) -> bytes:
    """What each rank comes to, as PNG bytes: the loss above its floor, and how well held-out entries are predicted.

    Raises
    ------
    ExtraMissing
        Matplotlib is not installed.
    """
    require("the plot of ranks")
    figure = _figure(9, 4.2)
    left, right = figure.subplots(1, 2)
    ranks = [r.rank for r in records]
    left.plot(ranks, [r.relative_loss for r in records], color=COLOURS[0], marker="o", label="NMF")
    floors = [(r.rank, r.svd_floor * r.relative_loss / r.loss) for r in records if r.svd_floor is not None and r.loss]
    if floors:
        left.plot(*zip(*floors, strict=True), color=COLOURS[6], linestyle=":", label="svd floor")
    left.set_ylabel("relative loss  ‖V − W H‖ / ‖V‖")
    errors, bars = [r.held_out for r in records], [r.held_out_se for r in records]
    right.errorbar(ranks, errors, bars, color=COLOURS[2], marker="o", capsize=3, label="any sign")
    parts = [(r.rank, r.held_out_parts) for r in records if r.held_out_parts is not None]
    if parts:
        right.plot(*zip(*parts, strict=True), color=COLOURS[1], marker="s", linestyle="--", label="parts")
    right.set_ylabel("squared error of held-out entries / mean square")
    for axes in (left, right):
        _plain(axes)
        axes.axvline(recommended, color=COLOURS[3], linewidth=1, zorder=0)
        axes.set_xscale("log", base=2)
        axes.set_xticks(_apart(ranks, recommended), [str(rank) for rank in _apart(ranks, recommended)])
        axes.minorticks_off()
        axes.set_xlabel("rank")
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False, fontsize="small")
    figure.suptitle(_quiet(f"{shortened(name)}: rank {recommended}"), fontsize="medium")
    return _png(figure)


def _apart(ranks: Sequence[int], always: int) -> list[int]:
    """Ranks whose numbers do not run into each other on a logarithmic axis."""
    shown = [always]
    for rank in ranks:
        if all(abs(math.log2(rank / other)) > 0.3 for other in shown):
            shown.append(rank)
    return sorted(shown)


def _figure(width: float, height: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _plain(axes: Axes) -> None:
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def _png(figure: Figure) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings(action="ignore"):  # labels may have letters that the font has not
        figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def _quiet(words: str) -> str:
    """Words in which a $ means nothing."""
    return display(words).replace("$", r"\$")


def _name(curve: Curve, labelled: bool) -> str:
    """A legend entry in which a $, a leading underscore or a control character means nothing."""
    words = shortened(str(curve.label), 16) if curve.label is not None else shortened(curve.input, 24)
    if not labelled and curve.image is not None:
        words += f" (image {curve.image})"
    words = _quiet(words)
    return " " + words if words.startswith("_") else words
