"""Plots of losses, of ranks and of codecs, drawn by Matplotlib (the extra `plot`) as PNG, SVG or PDF."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from . import style
from .lines import NAMED, Line, Run, labelled, lines_of, name_of, spread
from .ranks import RankRecord
from .rates import Rate
from .records import Curve, shortened
from .style import COLOURS, available, look, quiet, require

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["available", "loss_curves", "rank_curves", "rate_curves", "require", "run_curves"]

MISSING = "no {}, which needs an extra: pip install 'nmfcompress[plot]' (--no-plot keeps this quiet)"
FAMILIES = ("nmfc", "SVD", "JPEG 2000", "JPEG", "WebP", "AVIF")  # codecs of one name have one colour
AXES = {
    "sweep": "sweep", "reads": "reads of V", "seconds": "seconds", "loss": "loss",
    "relative_loss": "relative loss  ‖V − W H‖ / ‖V‖", "gradient": "norm of the projected gradient, relative",
}  # fmt: skip


def loss_curves(curves: Sequence[Curve], divergence: str, kind: str = "png") -> bytes:
    """The loss of each curve of a run over its sweeps.

    Raises
    ------
    ExtraMissing
        Matplotlib is not installed.
    """
    y = "loss  ‖V − W H‖" if divergence == "frobenius" else f"loss ({divergence} divergence)"
    return run_curves([Run("", lines_of(curves))], "sweep", y, kind=kind)


def run_curves(runs: Sequence[Run], x: str, y: str, log: bool = False, kind: str = "png") -> bytes:
    """The curves of one run, or of several over each other: one image has one colour in all of them.

    Of more than NAMED curves the median of each run is drawn, and where the middle 80 % of them lie.

    Parameters
    ----------
    runs : sequence of Run
    x, y : str
        Of AXES, or other words.
    log : bool
        A logarithmic axis for y; a loss of 0 has no place on it.
    kind : {"png", "svg", "pdf"}

    Raises
    ------
    ExtraMissing
        Matplotlib is not installed.
    """
    require()
    count = sum(len(run.lines) for run in runs)
    with style.ours():
        from matplotlib.ticker import MaxNLocator

        figure = style.figure(8 + 1.5 * (count > 1), 5)
        axes = figure.add_subplot()
        title = _many(axes, runs) if count > NAMED else _each(axes, runs)
        axes.set_xlabel(AXES.get(x, x))
        axes.set_ylabel(AXES.get(y, y))
        if log:
            style.log_scale(axes, "y")
        if x != "seconds":
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        words = f"{count:,} curves of {len(runs)} runs" if len(runs) > 1 else f"{count:,} images"
        axes.set_title(quiet(_named(runs)[0]) if count == 1 else words, fontsize="medium")
        if count > 1:
            style.legend(figure, title, axes)
        return style.encoded(figure, kind)


def _named(runs: Sequence[Run]) -> list[str]:
    """Names of all images, in the order of `_images`."""
    images = _images(runs)
    by_label = labelled(images)
    return [name_of(line, by_label) for line in images]


def _images(runs: Sequence[Run]) -> list[Line]:
    """One line of each image that any run has."""
    return list({line.key: line for run in runs for line in run.lines}.values())


def _each(axes: Axes, runs: Sequence[Run]) -> str | None:
    """Every curve, with its name; returns the title of the legend."""
    images, names = _images(runs), _named(runs)
    places, groups = {line.key: place for place, line in enumerate(images)}, len(runs)
    apart = groups > 1 and len(images) > 1
    by_style = apart and groups <= len(style.STYLES)  # the legend has the colours once, and the dashes once
    for group, run in enumerate(runs):
        for line in run.lines:
            place = places[line.key]
            one = look(place, group, groups) if apart else look(group if groups > 1 else place)
            words = f"{names[place]} · {run.name}" if apart else (run.name if groups > 1 else names[place])
            _curve(axes, line, one, "_" if by_style else quiet(words))
    if by_style:
        for group, run in enumerate(runs):
            axes.plot([], [], color="0.3", linestyle=look(0, group, groups).style, label=quiet(run.name))
        for place, name in enumerate(names):
            one = look(place, 0, groups)
            axes.plot([], [], color=one.colour, marker=one.marker, label=quiet(name))
    return "label" if groups == 1 and labelled(images) else None


def _curve(axes: Axes, line: Line, one: style.Look, words: str) -> None:
    marker = one.marker or ("." if len(line.x) == 1 else "")
    axes.plot(
        line.x, line.y, color=one.colour, linestyle=one.style, linewidth=1.8, marker=marker, markersize=5,
        markevery=max(1, len(line.x) // 8), label=words,
    )  # fmt: skip


def _many(axes: Axes, runs: Sequence[Run]) -> str | None:
    """Of each run the median and the middle of its curves, and by name the ones that end lowest and highest."""
    for group, run in enumerate(runs):
        one, before = look(group), f"{run.name}: " if len(runs) > 1 else ""
        found = spread(run.lines)
        axes.plot(
            found.x, found.middle, color=one.colour, linestyle=one.style, linewidth=2.2,
            label=quiet(before + found.words),
        )  # fmt: skip
        middle = quiet(before + found.WHERE)
        axes.fill_between(found.x, found.low, found.high, color=one.colour, alpha=0.25, linewidth=0, label=middle)
        if len(runs) == 1:
            for which, end, other in ((min, "lowest", 5), (max, "highest", 3)):
                line = which(run.lines, key=lambda line: line.y[-1])
                axes.plot(line.x, line.y, color=COLOURS[other], linestyle=style.STYLES[1 + (other == 3)], linewidth=1.2,
                          label=quiet(f"{end}: {name_of(line, False)}"))  # fmt: skip
    return None


def rank_curves(
    name: str, records: Sequence[RankRecord], recommended: int | None, log: bool = False, kind: str = "png"
) -> bytes:
    """What each rank comes to: the loss above its floor, and how well held-out entries are predicted.

    Raises
    ------
    ExtraMissing
        Matplotlib is not installed.
    """
    require("the plot of ranks")
    ranks = [r.rank for r in records]
    with style.ours():
        figure = style.figure(9, 4.2)
        left, right = figure.subplots(1, 2)
        left.plot(ranks, [r.relative_loss for r in records], color=COLOURS[0], marker="o", label="NMF")
        floors = [
            (r.rank, r.svd_floor * r.relative_loss / r.loss) for r in records if r.svd_floor is not None and r.loss
        ]
        if floors:
            left.plot(*zip(*floors, strict=True), color=COLOURS[6], linestyle=":", label="svd floor")
        left.set_ylabel(AXES["relative_loss"])
        errors, bars = [r.held_out for r in records], [r.held_out_se for r in records]
        right.errorbar(ranks, errors, bars, color=COLOURS[2], marker="o", capsize=3, label="any sign")
        parts = [(r.rank, r.held_out_parts) for r in records if r.held_out_parts is not None]
        if parts:
            right.plot(*zip(*parts, strict=True), color=COLOURS[1], marker="s", linestyle="--", label="parts")
        right.set_ylabel("squared error of held-out entries / mean square")
        for axes in (left, right):
            if recommended is not None:
                axes.axvline(recommended, color=COLOURS[3], linewidth=1, zorder=0)
            axes.set_xscale("log", base=2)
            shown = _apart(ranks, recommended)
            axes.set_xticks(shown, [str(rank) for rank in shown])
            axes.tick_params(axis="x", which="minor", bottom=False)
            axes.set_xlabel("rank")
            if log:
                style.log_scale(axes, "y")
            else:
                axes.set_ylim(bottom=0)
            axes.legend()
        found = "" if recommended is None else f": rank {recommended}"
        figure.suptitle(quiet(shortened(name)) + found, fontsize="medium")
        return style.encoded(figure, kind)


def _apart(ranks: Sequence[int], always: int | None) -> list[int]:
    """Ranks whose numbers do not run into each other on a logarithmic axis."""
    shown = [] if always is None else [always]
    for rank in ranks:
        if all(abs(math.log2(rank / other)) > 0.3 for other in shown):
            shown.append(rank)
    return sorted(shown)


def rate_curves(name: str, rates: Sequence[Rate], kind: str = "png") -> bytes:
    """What each codec makes of how many bits a pixel: PSNR and SSIM. Ours have the thicker lines.

    Raises
    ------
    ExtraMissing
        Matplotlib is not installed.
    """
    require("the plot of codecs")
    by_codec: dict[tuple[str, str], list[Rate]] = {}
    for rate in sorted(rates, key=lambda rate: rate.bits_per_pixel):
        by_codec.setdefault((rate.input, rate.codec), []).append(rate)
    order = sorted(dict.fromkeys((rate.input, rate.codec) for rate in rates), key=lambda key: _family(key[1])[0])
    places = {family: place for place, family in enumerate(dict.fromkeys(_family(codec)[1] for _, codec in order))}
    members = dict.fromkeys(places, -1)
    several = len({rate.input for rate in rates}) > 1
    with style.ours():
        figure = style.figure(11, 4.6)
        left, right = figure.subplots(1, 2)
        for key in order:
            family = _family(key[1])[1]
            member = members[family] = members[family] + 1
            one = look(places[family], member)
            marker = style.MARKERS[1 + places[family] % (len(style.MARKERS) - 1)]
            words = shortened(key[1]) + (f" · {shortened(key[0], 24)}" if several else "")
            width, points = (2.4 if family == "nmfc" else 1.2), by_codec[key]
            for axes, value in ((left, "psnr_db"), (right, "ssim")):
                drawn = [(p.bits_per_pixel, getattr(p, value)) for p in points if getattr(p, value) is not None]
                xs, ys = ([x for x, _ in drawn], [y for _, y in drawn])
                axes.plot(xs, ys, color=one.colour, linestyle=one.style, marker=marker, markersize=4.5,
                          linewidth=width, label=quiet(words))  # fmt: skip
            exact = [p.bits_per_pixel for p in points if p.psnr_db is None]
            if exact:
                left.plot(
                    exact, [1] * len(exact), color=one.colour, marker=marker, markersize=4.5, linestyle="",
                    transform=left.get_xaxis_transform(), clip_on=False,
                )  # fmt: skip
        for axes, words in ((left, "PSNR in dB (at the upper edge: without loss)"), (right, "SSIM")):
            style.log_scale(axes, "x")
            axes.set_xlabel("bits per pixel")
            axes.set_ylabel(words if axes is right or any(r.psnr_db is None for r in rates) else "PSNR in dB")
        style.legend(figure, None, left)
        figure.suptitle(quiet(shortened(name)), fontsize="medium")
        return style.encoded(figure, kind)


def _family(codec: str) -> tuple[int, str]:
    """Codecs that are one in several layouts: their place among them, and what they have in common."""
    for place, family in enumerate(FAMILIES):
        if codec == family or codec.startswith(f"{family} "):
            return place, family
    return len(FAMILIES), codec
