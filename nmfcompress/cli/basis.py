"""nmfc basis: the parts that a collection of images shares."""

from __future__ import annotations

from ..settings import Course, Fit, Reading, Selection, Talk, Writing
from . import options

EXAMPLES = """
\b
Examples:
  nmfc basis mnist.npz -k 10
  nmfc basis train-images-idx3-ubyte.gz -k 25 --label 3
  nmfc basis faces --resize 64x64 --gray -k 40
  nmfc basis movie.tif -k 6 --json
  nmfc basis new.npz --basis-from nmfc-out/factors.npz -O new
  nmfc basis large.npy -k 50 --scheduler tcp://10.0.0.1:8786
  nmfc basis large.npy -k 50 --checkpoint run.npz; nmfc basis large.npy --resume run.npz
"""


@options.command(
    "basis",
    EXAMPLES,
    options.fit_or_file,
    options.course,
    options.scheduler,
    options.reading_together,
    options.selection,
    options.writing("basis", "compare", "csv", "factors", single=False),
    options.talk,
)
def command(
    inputs: tuple[str, ...],
    fit: Fit,
    course: Course,
    scheduler: str | None,
    reading: Reading,
    selection: Selection,
    writing: Writing,
    talk: Talk,
) -> int:
    """Learn the basis of a collection, one image a row of V ~ W H.

    INPUT is one archive (npz, npy, IDX, mat), one picture with several frames, or pictures of one size and folders
    of them. The folder gets basis/basis-00.png ... and basis.png, the parts by how much they explain;
    reconstructed.png, originals beside reconstructions; factors.npz (W, H, image_shape, labels, settings); and rows in
    loss.csv.
    """
    from .learning import run

    return run(inputs, fit, course, reading, selection, writing, talk, scheduler)
