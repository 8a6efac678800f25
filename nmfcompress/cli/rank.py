"""nmfc rank: how many parts?"""

from __future__ import annotations

from ..settings import Fit, Ranking, Reading, Selection, Talk, Writing
from . import options

EXAMPLES = """
\b
Examples:
  nmfc rank swimmer.npz
  nmfc rank faces --gray --resize 64x64 --ranks 4-128
  nmfc rank photo.png --time 30
  nmfc rank mnist.npz --limit 5000 --json
"""


@options.command(
    "rank",
    EXAMPLES,
    options.ranking,
    options.fit_of_any_rank,
    options.reading_whole,
    options.selection,
    options.ranked,
    options.talk,
)
def command(
    inputs: tuple[str, ...],
    ranking: Ranking,
    fit: Fit,
    reading: Reading,
    selection: Selection,
    writing: Writing,
    talk: Talk,
) -> int:
    """Say how many parts a collection of images, or the rows of one image, consist of.

    Ranks are gone over coarse to fine. Entries of V that are held out tell the directions that are more than noise from
    those that are not (bi-cross-validation, Owen and Perry 2009), and how many parts without negative numbers do as
    well. The folder gets rank.csv, a line a rank, and rank.png. Where there is no such rank, as on photos, that is
    said: a quality or a size chooses better then (nmfc compress --min-psnr, --target-size).
    """
    from .ranking import run

    return run(inputs, ranking, fit, reading, selection, writing, talk)
