"""The pages of compress, basis, rank and compare, and what a run gathers for them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from .. import __version__
from ..images.files import display
from ..settings import Fit
from ..showing import Report
from . import compared, page, ranks
from .chart import Series, chart
from .html import Html, joined, tag
from .lines import Line, lines_of
from .page import Section
from .panels import SHOWN, Part, Sizes, Trio, panel, sizes_for
from .ranks import RankRecord
from .rates import Rate, rates_of
from .records import Curve, Outcome, shortened

if TYPE_CHECKING:
    from .compare import Comparison

TILE_SIDE = 480  # pixels, of the codecs side by side
CURVES = 1000  # in the chart


@dataclass(frozen=True)
class Shown:
    """The pictures of one picture's part of a page."""

    trio: Trio
    parts: tuple[Part, ...]


@dataclass
class Gathered:
    """What `nmfc compress` has of its pictures for the page, up to what a page shows."""

    count: int = 0
    promised: int = 0  # pictures that are prepared, and will be shown unless they fail
    outcomes: list[Outcome] = field(default_factory=list)
    shown: list[tuple[Outcome, Shown]] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)

    def sizes(self, pictures: int) -> Sizes | None:
        """How large the pictures of the next one are, of a run of so many; None when there are enough."""
        self.promised += 1
        return sizes_for(pictures) if self.promised <= SHOWN else None

    def add(self, outcome: Outcome, shown: Shown | None, curve: Curve) -> None:
        """A picture that is finished."""
        self.count += 1
        if len(self.outcomes) < page.ROWS:
            self.outcomes.append(outcome)
        if shown is not None:
            self.shown.append((outcome, shown))
        if len(self.lines) < CURVES:
            self.lines += lines_of([curve])


def of_pictures(found: Gathered, fit: Fit, report: Report, failures: Sequence[str]) -> bytes:
    """The page of `nmfc compress`."""
    one = found.count == 1
    lead = [_method(fit)]
    if not one:
        lead.append(
            f"{found.count:,} pictures, each factorized by itself: its pixel rows are the rows of V, the rows of H are "
            "rows of pixels that its parts repeat with varying strength."
        )
    lead += _bounds(found)
    if failures:
        lead.append(f"{len(failures):,} failed and are not here: {_some(failures)}.")
    sections = [Section("figures", "Figures", page.figures(found.outcomes, found.count))]
    sections.append(Section("loss", "Loss", page.curves(found.lines, fit.divergence, found.count)))
    pictures = []
    for number, (outcome, shown) in enumerate(found.shown, start=1):
        name = name_of(outcome)
        words = "Parts, whose sum is the reconstruction, each scaled to its own maximum." if number == 1 else None
        both = [
            page.three(shown.trio, name, outcome),
            page.heading("Parts"),
            page.parts(shown.parts, outcome.rank, words),
        ]
        heading = "Picture" if one else name
        pictures.append(Section(f"picture-{number}", heading, joined([*both, *_noted(outcome.notes)])))
    sections = [*pictures, *reversed(sections)] if one else [*sections, *pictures]
    name = os.path.basename(found.outcomes[0].input) or found.outcomes[0].input
    each = "" if one else "each "
    title = f"{name if one else f'{found.count:,} pictures'}, {each}from {fit.rank} part{'s' if fit.rank > 1 else ''}"
    return page.document(title, lead, sections, report.command)


def of_collection(
    outcome: Outcome, fit: Fit, curve: Curve, pairs: Sequence[tuple[Trio, str]], parts: Sequence[Part], report: Report
) -> bytes:
    """The page of `nmfc basis`."""
    name = os.path.basename(outcome.input) or outcome.input
    lead = [
        _method(fit),
        f"{outcome.images or 1:,} images of {outcome.width} x {outcome.height} pixels, one a row of V: the rows of H "
        "are parts that all of them share, the rows of W say how much of each goes into an image.",
    ]
    if outcome.basis_from is not None:
        lead.append(f"The parts are those of {outcome.basis_from}; only codes were sought.")
    reduced = [trio.original for trio, _ in pairs if trio.original.reduced] + [
        p.panel for p in parts if p.panel.reduced
    ]
    lead += [_REDUCED] if reduced else []
    words = "Parts, those that explain most first, each from its lowest value, black, to its highest, white."
    of = f" The first {len(pairs)} of {outcome.images:,}." if outcome.images and len(pairs) < outcome.images else ""
    shown = [tag("p", f"Original, reconstruction and absolute error.{of}", class_="faint"), page.pairs(pairs)]
    sections = [
        Section("parts", "Parts", page.parts(parts, outcome.rank, words)),
        Section("images", "Images", joined([*shown, *_noted(outcome.notes)])),
        Section("loss", "Loss", page.curves(lines_of([curve]), fit.divergence, 1)),
        Section("figures", "Figures", page.figures([outcome], 1)),
    ]
    title = f"The {outcome.rank} parts of {name}" if outcome.rank > 1 else f"One part of {name}"
    return page.document(title, lead, sections, report.command)


def of_ranks(name: str, recommended: int, reason: str, records: Sequence[RankRecord], report: Report) -> bytes:
    """The page of `nmfc rank`."""
    at = [float(record.rank) for record in records]
    losses = [Series("NMF", at, [record.relative_loss for record in records])]
    floors = [(r.rank, r.svd_floor * r.relative_loss / r.loss) for r in records if r.svd_floor is not None and r.loss]
    if floors:
        losses.append(Series("svd floor", [float(x) for x, _ in floors], [y for _, y in floors]))
    held_out = [Series("any sign", at, [record.held_out for record in records])]
    by_parts = [(r.rank, r.held_out_parts) for r in records if r.held_out_parts is not None]
    if by_parts:
        held_out.append(Series("parts without negative numbers", [float(x) for x, _ in by_parts],
                               [y for _, y in by_parts]))  # fmt: skip
    words = "Numbers of each rank are in the table below."
    charts = [
        tag("figure", chart(losses, "rank", "relative loss", words, "loss", log_x=True, points=True),
            tag("figcaption", "‖V − WH‖ / ‖V‖ of each rank, and what no factorization of it goes below.")),
        tag("figure", chart(held_out, "rank", "held out", words, "held", log_x=True, points=True),
            tag("figcaption", "Squared error of entries that were held out, over their mean square.")),
    ]  # fmt: skip
    rows = [ranks.row(record, recommended) for record in records]
    after = "*: the rank that is recommended. bytes: of both factors in integers, about. held out: how badly entries "
    after += "are predicted from the rest, +- its standard error. stability: 1 where all starts find the same parts."
    sections = [
        Section("curves", "Curves", tag("div", *charts, class_="charts")),
        Section("figures", "Figures", joined([
            page.table("Ranks that were tried", ranks.HEADINGS, rows, "ranks"), tag("p", after, class_="faint"),
        ])),
    ]  # fmt: skip
    title = f"{os.path.basename(name) or name}: rank {recommended}"
    return page.document(title, [f"{reason[:1].upper()}{reason[1:]}."], sections, report.command)


def of_comparison(
    name: str, images: np.ndarray, places: np.ndarray, comparison: Comparison, notes: Sequence[str], report: Report
) -> bytes:
    """The page of `nmfc compare`; images and places as for `compared.side_by_side`."""
    name = os.path.basename(name) or name
    pictures = [
        page.captioned(panel(tile.pixels, TILE_SIDE), f"{name}: {tile.caption}", tile.caption)
        for tile in compared.tiles(images, places, comparison)
    ]
    said = [*compared.said_of(name, images, places, comparison)[1:], "an asterisk in the table marks them"]
    words = f"{'; '.join(said)}."
    shown = [tag("p", words[0].upper() + words[1:], class_="faint"), tag("div", *pictures, class_="pictures")]
    rates = rates_of(name, comparison)
    charts = [_rate_chart(rates, "psnr_db", "PSNR in dB"), _rate_chart(rates, "ssim", "SSIM")]
    head, *rows = compared.rate_rows(comparison)
    tables = [page.table("Every rate of every codec", head, rows, "rates")]
    if comparison.deltas:
        head, *rows = compared.delta_rows(comparison)
        tables += [tag("p", ""), page.table("Mean distances over the common range", head, rows, "deltas")]
    sections = [
        Section("side-by-side", "Side by side", joined(shown)),
        Section("curves", "Curves", tag("div", *(one for one in charts if one), class_="charts")),
        Section("figures", "Figures", joined([*tables, *_noted(notes)])),
    ]
    return page.document(
        f"{name} in {len(comparison.curves)} codecs", compared.verdict(comparison), sections, report.command
    )


def _rate_chart(rates: Sequence[Rate], value: str, words: str) -> Html | None:
    """PSNR or SSIM over the bits that they take; None where there is nothing to draw."""
    points: dict[str, list[tuple[float, float]]] = {}
    for rate in rates:
        if getattr(rate, value) is not None:
            points.setdefault(rate.codec, []).append((rate.bits_per_pixel, getattr(rate, value)))
    if not points:
        return None
    some = [Series(codec, *zip(*sorted(found), strict=True)) for codec, found in points.items()]
    drawn = chart(
        some, "bits per pixel", words, "Numbers of each rate are in the table below.", value.partition("_")[0],
        log_x=True, points=True, from_zero=False,
    )  # fmt: skip
    return tag("figure", drawn, tag("figcaption", f"{words} over bits per pixel, of what is decoded again."))


def name_of(outcome: Outcome) -> str:
    """A picture, in words."""
    name = shortened(outcome.input, 60)
    if outcome.image is not None:
        name += f", image {outcome.image}"
    return name if outcome.label is None else f"{name}, label {shortened(str(outcome.label), 40)}"


_REDUCED = "Large pictures and parts are shown reduced here."


def _bounds(found: Gathered) -> list[str]:
    """What the page leaves out, so that it stays small."""
    said = []
    if any(s.trio.original.reduced or any(p.panel.reduced for p in s.parts) for _, s in found.shown):
        said.append(_REDUCED)
    if found.count > len(found.shown):
        said.append(f"The pixels of the first {len(found.shown)} of {found.count:,} pictures are here.")
    return said


def _method(fit: Fit) -> str:
    rule = "multiplicative updates" if fit.solver == "mu" else "coordinate descent (hals)"
    loss = {"frobenius": "the Frobenius norm", "kl": "the Kullback-Leibler divergence", "is": "Itakura-Saito"}
    return (
        f"Non-negative matrix factorization V ≈ W H by nmfc {__version__}: rank {fit.rank}, {rule}, "
        f"{loss[fit.divergence]}, at most {fit.max_sweeps:,} sweeps, seed {fit.seed}."
    )


def _noted(notes: Sequence[str]) -> list[Html]:
    return [page.heading("Notes"), page.notes(notes)] if notes else []


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5:,} more" if len(names) > 5 else ""
    return ", ".join(shortened(display(name)) for name in names[:5]) + more
