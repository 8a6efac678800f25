"""nmfc compare: the same pictures through nmfc and through other codecs."""

from __future__ import annotations

from ..settings import Comparing, Reading, Selection, Talk, Writing
from . import options

EXAMPLES = """
\b
Examples:
  nmfc compare photo.png
  nmfc compare photo.png --codecs nmfc,jpeg,avif --at 10KB
  nmfc compare mnist.npz --limit 5000
  nmfc compare faces --gray --resize 64x64 --json
"""


@options.command(
    "compare",
    EXAMPLES,
    options.comparing,
    options.reading_whole,
    options.selection,
    options.overview,
    options.talk,
)
def command(
    inputs: tuple[str, ...],
    comparing: Comparing,
    reading: Reading,
    selection: Selection,
    writing: Writing,
    talk: Talk,
) -> int:
    """Put the same pictures through nmfc, truncated SVD, JPEG, WebP, AVIF and JPEG 2000.

    INPUT is one picture, or one collection: an archive (npz, npy, IDX, mat), a picture with several frames, or pictures
    of one size and folders of them. Collections go through the other codecs as one mosaic, as one file each and as a
    sequence. Every codec is measured at several rates, all bytes counted, PSNR and SSIM on what is decoded again. The
    folder gets compare.csv, compare.json, compare.png, all codecs side by side in as many bytes, and rates.png, what
    each makes of how many; the table ends with who needs more of them at equal PSNR.
    """
    from .comparing import run

    return run(inputs, comparing, reading, selection, writing, talk)
