"""Curves, drawn by Matplotlib (the extra `plot`)."""

from __future__ import annotations

import importlib.util
import io
import warnings
from collections.abc import Sequence

from ..errors import ExtraMissing
from ..images.files import display
from .records import Curve, shortened

# Okabe and Ito's colours, which the colour-blind tell apart, without the yellow that white paper swallows
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")
STYLES = ("-", "--", ":", "-.")
MISSING = "no loss.png, which needs an extra: pip install 'nmfcompress[plot]' (--no-plot keeps this quiet)"
NAMED = 40  # curves with a line in the legend


def available() -> bool:
    """Whether the extra is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def require() -> None:
    """Raise ExtraMissing unless the extra is installed."""
    if not available():
        raise ExtraMissing("the plot of the loss", "plot")


def loss_curves(curves: Sequence[Curve], divergence: str) -> bytes:
    """The loss of each curve over its sweeps, as PNG bytes.

    Raises
    ------
    ExtraMissing
        Matplotlib is not installed.
    """
    require()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    labelled = all(c.label is not None for c in curves) and len({c.label for c in curves}) == len(curves)
    figure = Figure(figsize=(8 + 1.5 * (1 < len(curves) <= NAMED), 5), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
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
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title(_name(curves[0], labelled) if len(curves) == 1 else f"{len(curves):,} images", fontsize="medium")
    if 1 < len(curves) <= NAMED:
        columns = 1 if len(curves) <= NAMED // 2 else 2
        title = "label" if labelled else None
        figure.legend(title=title, loc="outside right upper", frameon=False, ncols=columns, fontsize="small")
    file = io.BytesIO()
    with warnings.catch_warnings(action="ignore"):  # labels may have letters that the font has not
        figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def _name(curve: Curve, labelled: bool) -> str:
    """A legend entry in which a $, a leading underscore or a control character means nothing."""
    words = shortened(str(curve.label), 16) if curve.label is not None else shortened(curve.input, 24)
    if not labelled and curve.image is not None:
        words += f" (image {curve.image})"
    words = display(words)
    return " " + words.replace("$", r"\$") if words.startswith("_") else words.replace("$", r"\$")
