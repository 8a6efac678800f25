"""A run as one HTML page: pictures, parts, curves, figures, the command. Nothing outside of it is needed to read it.

Sections come as `Section`; `document` puts them into a page. Text is escaped where it is put (see `html`), pictures are
data URIs, curves are SVG of our own (`chart`), so that a page is the same with and without Matplotlib, its colours
follow the reader's light or dark, and its words can be read aloud. There is no script, and a policy in the page
forbids what might be slipped in: nothing is loaded, nothing runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .. import __version__
from .chart import NAMED, loss_chart
from .html import Html, data_uri, joined, tag
from .lines import Line, labelled
from .panels import Panel, Part, Trio
from .records import Outcome, figure, shortened, text

ROWS = 500  # of a table
SMALL = 200  # pixels: pictures that stand side by side on a narrow screen too
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1b1b1b; --faint: #595959; --rule: #8c8c8c;
  --grid: #dddddd; --shade: #f3f3f3; --link: #0b57a4;
  --c0: #0072b2; --c1: #d55e00; --c2: #007f5f; --c3: #a8528a; --c4: #1b1b1b; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #16181d; --ink: #ececec; --faint: #b0b0b0; --rule: #7d7d7d; --grid: #383c44; --shade: #23262d;
    --link: #8ec5ff; --c0: #56b4e9; --c1: #e69f00; --c2: #2fc79a; --c3: #dd9fc2; --c4: #ececec; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem clamp(1rem, 4vw, 3rem) 3rem; max-width: 76rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
h1, h2, h3 { line-height: 1.2; overflow-wrap: anywhere; }
h2 { margin: 2.5rem 0 .75rem; padding-top: .75rem; border-top: 1px solid var(--rule); }
p, li, figcaption { max-width: 46rem; overflow-wrap: anywhere; }
a { color: var(--link); }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
figure { margin: 0; }
figcaption, .faint { color: var(--faint); font-size: .9rem; }
img { display: block; max-width: 100%; height: auto; border: 1px solid var(--rule); }
.pixels { image-rendering: pixelated; }
.pictures, .parts { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 17rem), 1fr)); }
.charts { display: grid; gap: 2rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); }
.parts { grid-template-columns: repeat(auto-fill, minmax(min(100%, 8.5rem), 1fr)); }
.trio { display: grid; gap: 1rem; grid-template-columns: repeat(3, minmax(0, 12.5rem)); }
.pairs { display: grid; gap: 1.25rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 17rem), 1fr)); }
.pair { display: flex; gap: .5rem; }
.pair img { min-width: 0; flex: 0 1 auto; width: 32%; align-self: start; }
.chart { display: block; width: 100%; max-width: 34rem; height: auto; color: var(--ink); }
.chart text { font: 13px system-ui, sans-serif; fill: currentColor; }
.grid { stroke: var(--grid); } .axis { stroke: currentColor; }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; } .band { fill: var(--c0); fill-opacity: .25; }
.legend, nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin: .5rem 0; padding: 0; list-style: none; }
.swatch { width: 26px; height: 10px; margin-right: .4rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--faint); font-size: .9rem; padding-bottom: .25rem; }
th, td { padding: .25rem .75rem .25rem 0; text-align: right; border-bottom: 1px solid var(--grid); }
th, td { white-space: nowrap; } th[scope=row], th:first-child { text-align: left; }
th[scope=row] { font-weight: 600; white-space: normal; min-width: 8rem; }
pre { background: var(--shade); border: 1px solid var(--grid); padding: .75rem; white-space: pre-wrap;
  overflow-wrap: anywhere; font: .95rem/1.5 ui-monospace, monospace; }
@media print { body { max-width: none; } h2 { break-after: avoid; } figure { break-inside: avoid; } }
"""


@dataclass(frozen=True)
class Section:
    """A heading of the second level, and what is below it; `id` is another for each section of a page."""

    id: str
    heading: str
    body: Html


def document(title: str, lead: Sequence[str], sections: Sequence[Section], command: str) -> bytes:
    """The page.

    Parameters
    ----------
    title : str
    lead : sequence of str
        Paragraphs below it.
    sections : sequence of Section
    command : str
        What made it, as a shell takes it.
    """
    made_by = Section(
        "command", "Command",
        joined([
            tag("pre", tag("code", command)),
            tag("p", f"Made by nmfc {__version__}. Nothing else is needed: no network, no script.", class_="faint"),
        ]),
    )  # fmt: skip
    every = [*sections, made_by]
    links = [tag("li", tag("a", section.heading, href=f"#{section.id}")) for section in every]
    head = tag(
        "head", tag("meta", charset="utf-8"), tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="generator", content=f"nmfc {__version__}"), tag("title", title), tag("style", Html(STYLE)),
    )  # fmt: skip
    body = tag(
        "body",
        tag("header", tag("h1", title), *(tag("p", words) for words in lead)),
        tag("nav", tag("ul", *links), aria_label="On this page"),
        tag("main", *(
            tag("section", tag("h2", s.heading, id=s.id), s.body, aria_labelledby=s.id) for s in every
        )),
    )  # fmt: skip
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n".encode()


# What sections are made of


def image(panel: Panel, alt: str) -> Html:
    """A picture, with words for those who do not see it."""
    grow = panel.enlarged
    return tag(
        "img", src=data_uri(panel.png), alt=alt, width=panel.width * grow, height=panel.height * grow,
        class_="pixels" if grow > 1 else None,
    )  # fmt: skip


def captioned(panel: Panel, alt: str, caption: str) -> Html:
    return tag("figure", image(panel, alt), tag("figcaption", caption))


def three(found: Trio, name: str, outcome: Outcome) -> Html:
    """Original, reconstruction and error, each with a caption."""
    error = "none" if found.factor is None else f"{found.factor:.1f} times as bright"
    span = f", {found.span}" if found.span else ""
    w, h = found.original.full
    return tag(
        "div",
        captioned(found.original, f"Original: {name}", f"Original, {w} x {h} pixels{span}"),
        captioned(
            found.reconstruction, f"Reconstruction of {name} from {outcome.rank} parts, {outcome.likeness}",
            f"Reconstruction, rank {outcome.rank}: {outcome.likeness}",
        ),
        captioned(found.error, f"Error of {name}: {_where(found)}", f"Absolute error: {error}"),
        class_="pictures" if found.original.width * found.original.enlarged > SMALL else "trio",
    )  # fmt: skip


def _where(found: Trio) -> str:
    return "all pixels equal" if found.factor is None else "bright where the reconstruction differs"


def pairs(found: Sequence[tuple[Trio, str]]) -> Html:
    """Images of a collection: original, reconstruction and error side by side, with a line of words each."""
    rows = []
    for one, words in found:
        shown = [
            image(one.original, f"Original, {words}"),
            image(one.reconstruction, f"Reconstruction, {words}"),
            image(one.error, f"Error, {words}: {_where(one)}"),
        ]
        rows.append(tag("figure", tag("div", *shown, class_="pair"), tag("figcaption", words)))
    return tag("div", *rows, class_="pairs")


def parts(found: Sequence[Part], rank: int, what: str | None) -> Html:
    """Parts by how much they explain; `what` they are and how they are shown, unless that has been said."""
    figures = [
        captioned(
            part.panel,
            f"Part {place}, which explains {part.explained:.1%}",
            f"{place}: {part.explained:.1%}",
        )
        for place, part in enumerate(found)
    ]
    more = f" The first {len(found)} of {rank}." if rank > len(found) else ""
    words = more.strip()
    if what is not None:
        words = f"{what} Percent: of the sum of squares of the data that each explains.{more}"
    return joined([*([tag("p", words, class_="faint")] if words else []), tag("div", *figures, class_="parts")])


def curves(lines: Sequence[Line], divergence: str, of: int) -> Html:
    """The loss over the sweeps, as a chart and, of one image, as numbers."""
    loss = "‖V − WH‖ of pixels between 0 and 1" if divergence == "frobenius" else f"{divergence} divergence"
    words = f"The loss, {loss}, after each sweep."
    if len(lines) > NAMED:
        words += " A curve that has ended stays where it ended."
    if of > len(lines):
        words += f" The first {len(lines):,} of {of:,} images."
    drawn = tag("figure", loss_chart(lines, labelled(lines)), tag("figcaption", words))
    if len(lines) > 1:
        return drawn
    (line,) = lines
    last = len(line.x) - 1
    kept = sorted({round(last * share / 10) for share in range(11)})
    rows = [(f"{line.x[i]:g}", f"{line.y[i]:.5g}") for i in kept]
    numbers = table("Loss by sweep", ("sweep", "loss"), rows, "loss-numbers")
    return joined([drawn, tag("details", tag("summary", "The same in numbers"), numbers)])


FIGURES = (
    "input", "image", "label", "size", "rank", "sweeps", "loss", "relative loss", "svd floor", "PSNR dB", "SSIM",
    "bytes", "bit/pixel", "ratio",
)  # fmt: skip


def row(o: Outcome) -> tuple[str, ...]:
    """The figures of an outcome, of which those that it has not are empty."""
    count = "" if o.images is None else f"{o.images:,} x "
    return (
        shortened(o.input, 60), text(o.image), shortened(text(o.label), 16), f"{count}{o.width}x{o.height} {o.mode}",
        str(o.rank), f"{o.sweeps}{'' if o.converged else '+'}", f"{o.loss:.5g}", f"{o.relative_loss:.4f}",
        figure(o.svd_floor, ".5g"), "equal" if o.psnr_db is None else f"{o.psnr_db:.2f}", figure(o.ssim, ".3f"),
        "" if o.bytes is None else f"{o.bytes:,}", "" if o.bits_per_pixel is None else f"{o.bits_per_pixel:.3f}",
        "" if o.ratio is None else f"{o.ratio:.1f}",
    )  # fmt: skip


def figures(outcomes: Sequence[Outcome], of: int) -> Html:
    """The figures: of one outcome a line each, of several a table."""
    rows = [row(outcome) for outcome in outcomes[:ROWS]]
    used = [i for i in range(len(FIGURES)) if any(cells[i] for cells in rows)]
    heads, rows = [FIGURES[i] for i in used], [tuple(cells[i] for i in used) for cells in rows]
    words = "loss: ‖V − WH‖ or the divergence. relative loss: ‖V − WH‖ / ‖V‖."
    if any(o.svd_floor is not None for o in outcomes[:ROWS]):
        words += " svd floor: what no factorization of this rank goes below."
    if any(o.ratio is not None for o in outcomes[:ROWS]):
        words += " ratio: of the pixels in memory to the bytes of the .nmfc file."
    if any(not outcome.converged for outcome in outcomes[:ROWS]):
        words += " +: stopped by --iterations, the loss was still falling."
    if of > len(rows):
        words += f" The first {len(rows):,} of {of:,}."
    if len(rows) == 1:
        lines = [tag("tr", tag("th", h, scope="row"), tag("td", cell)) for h, cell in zip(heads, rows[0], strict=True)]
        shown = _scrolled(tag("table", tag("caption", "Figures"), tag("tbody", *lines)), "Figures")
    else:
        shown = table("Figures", heads, rows, "figures-all")
    return joined([shown, tag("p", words, class_="faint")])


def table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]], number: str) -> Html:
    """A table whose first column names the rows; where it is too wide it can be scrolled, by keys too."""
    head = tag("tr", *(tag("th", words, scope="col") for words in heads))
    body = [tag("tr", tag("th", cells[0], scope="row"), *(tag("td", cell) for cell in cells[1:])) for cells in rows]
    made = tag("table", tag("caption", caption), tag("thead", head), tag("tbody", *body), id=number)
    return _scrolled(made, caption)


def _scrolled(made: Html, words: str) -> Html:
    return tag("div", made, class_="scroll", tabindex="0", role="region", aria_label=words)


def heading(words: str) -> Html:
    """Of the third level, within a section."""
    return tag("h3", words)


def notes(words: Sequence[str]) -> Html:
    """A list of remarks."""
    return tag("ul", *(tag("li", one) for one in words))
