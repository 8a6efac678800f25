"""nmfc plot: the plots of loss.csv, rank.csv and compare.csv, drawn from the files."""

from __future__ import annotations

from ..settings import Drawing, Talk, Writing
from . import options

EXAMPLES = """
\b
Examples:
  nmfc plot nmfc-out/loss.csv -o loss.svg
  nmfc plot mu/loss.csv hals/loss.csv -o both.png --log
  nmfc plot mu/loss.csv hals/loss.csv -o time.pdf --x seconds --y relative_loss
  nmfc plot nmfc-out/rank.csv -o rank.pdf
  nmfc plot nmfc-out/compare.csv -o - --to svg | display
"""


@options.command("plot", EXAMPLES, options.drawing, options.plotted, options.talk_little)
def command(inputs: tuple[str, ...], drawing: Drawing, writing: Writing, talk: Talk) -> int:
    """Draw curves from the CSV files of earlier runs: loss.csv, rank.csv or compare.csv.

    INPUT is one of them (- is stdin), told by its first line; several loss.csv are laid over each other, an image in
    the same colour in each. Of more than 40 curves the median and the middle 80 % of a run are drawn. Without -o it
    is loss.png, rank.png or rates.png in the folder. Needs Matplotlib: pip install 'nmfcompress[plot]'.
    """
    from .plotting import run

    return run(inputs, drawing, writing, talk)
