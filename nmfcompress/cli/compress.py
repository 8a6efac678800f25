"""nmfc compress: each picture on its own, from a few parts."""

from __future__ import annotations

from ..settings import Fit, Reading, Selection, Talk, Writing
from . import options

EXAMPLES = """
\b
Examples:
  nmfc compress photo.png --rank 3
  nmfc compress -r photos -k 30 --write image,csv -O small
  nmfc compress photo.png -k 10 -o - --to png | display
  nmfc compress mnist.npz --one-per-label -k 3 --iterations 50 --inner 1
"""


@options.command(
    "compress",
    EXAMPLES,
    options.fit,
    options.reading_each,
    options.selection,
    options.writing("image", "basis", "compare", "csv", single=True),
    options.talk,
)
def command(
    inputs: tuple[str, ...], fit: Fit, reading: Reading, selection: Selection, writing: Writing, talk: Talk
) -> int:
    """Factorize each picture by its rows, V ~ W H.

    For every INPUT (picture, folder with -r, or archive: npz, npy, IDX, mat; - is stdin) the folder gets NAME.png, the
    reconstruction; NAME.basis.png, its parts; NAME.compare.png, original beside reconstruction and error; and rows
    in loss.csv.
    """
    from .compressing import run

    return run(inputs, fit, reading, selection, writing, talk)
