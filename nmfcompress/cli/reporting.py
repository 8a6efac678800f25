"""`--report FILE.html`: what a run gathers for its page, and the pages of compress and basis."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from .. import __version__
from ..images.files import display
from ..report import page
from ..report.html import Html, joined, tag
from ..report.lines import Line, lines_of
from ..report.page import Section
from ..report.panels import SHOWN, Part, Sizes, Trio, sizes_for
from ..report.records import Curve, Outcome, shortened
from ..settings import Fit
from ..showing import Report

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


def name_of(outcome: Outcome) -> str:
    """A picture, in words."""
    name = shortened(outcome.input, 60)
    if outcome.image is not None:
        name += f", image {outcome.image}"
    return name if outcome.label is None else f"{name}, label {shortened(str(outcome.label), 40)}"


_REDUCED = "Large pictures and parts are shown reduced here; the files beside have all their pixels."


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
