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
NAMED = 20  # curves with a line in the legend


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

    figure = Figure(figsize=(8, 5), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for place, curve in enumerate(curves):
        sweeps, losses = [r.sweep for r in curve.records], [r.loss for r in curve.records]
        colour, style = COLOURS[place % len(COLOURS)], STYLES[place // len(COLOURS) % len(STYLES)]
        marker = "." if len(sweeps) == 1 else ""
        axes.plot(sweeps, losses, color=colour, linestyle=style, linewidth=1.8, marker=marker, label=_name(curve))
    axes.set_xlabel("sweep")
    axes.set_ylabel("loss  ‖V − W H‖" if divergence == "frobenius" else f"loss ({divergence} divergence)")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if 1 < len(curves) <= NAMED:
        axes.legend(title="label" if all(c.label is not None for c in curves) else None, frameon=False, ncols=2)
    file = io.BytesIO()
    with warnings.catch_warnings(action="ignore"):  # labels may have letters that the font has not
        figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def _name(curve: Curve) -> str:
    """A legend entry in which a $, a leading underscore or a control character means nothing."""
    words = str(curve.label) if curve.label is not None else shortened(curve.input, 24)
    if curve.label is None and curve.image is not None:
        words += f" {curve.image}"
    words = display(words)
    return " " + words.replace("$", r"\$") if words.startswith("_") else words.replace("$", r"\$")
