"""nmfc plot: the plots of loss.csv, rank.csv and compare.csv, drawn from the files."""

from __future__ import annotations

import click

from .. import showing
from ..settings import Talk, Writing
from ..showing import Drawing
from . import options
from .bundles import bundle, choice, default

EXAMPLES = """
\b
Examples:
  nmfc plot nmfc-out/loss.csv -o loss.svg
  nmfc plot mu/loss.csv hals/loss.csv -o both.png --log
  nmfc plot mu/loss.csv hals/loss.csv -o time.pdf --x seconds --y relative_loss
  nmfc plot nmfc-out/rank.csv -o rank.pdf
  nmfc plot nmfc-out/compare.csv -o - --to svg | display
"""


drawing = bundle(
    "drawing",
    Drawing,
    click.option("--log", is_flag=True, help="A logarithmic axis for the losses."),
    click.option("--x", type=choice(*showing.PLOT_X), default=default(Drawing, "x"), show_default=True,
                 help="Over what losses are drawn."),
    click.option("--y", type=choice(*showing.PLOT_Y), default=default(Drawing, "y"), show_default=True,
                 help="What is drawn of them."),
)  # fmt: skip

plotted = bundle(
    "writing",
    Writing,
    click.option("-o", "--output", "file", metavar="FILE|-", help="This file, png, svg or pdf; - is stdout."),
    click.option("--to", "kind", type=choice(*showing.PLOT_KINDS), help="Kind where the ending does not tell."),
    options._FOLDER,
    options._FORCE,
    options._SKIP,
)

talk = bundle("talk", Talk, *(options._TALK[place] for place in (0, 2, 4)))  # there is no bar, and no more to say


@options.command("plot", EXAMPLES, drawing, plotted, talk)
def command(inputs: tuple[str, ...], drawing: Drawing, writing: Writing, talk: Talk) -> int:
    """Draw curves from the CSV files of earlier runs: loss.csv, rank.csv or compare.csv.

    INPUT is one of them (- is stdin), told by its first line; several loss.csv are laid over each other, an image in
    the same colour in each. Of more than 40 curves the median and the middle 80 % of a run are drawn. Without -o it
    is loss.png, rank.png or rates.png in the folder. Needs Matplotlib: pip install 'nmfcompress[plot]'.
    """
    from .plotting import run

    return run(inputs, drawing, writing, talk)
