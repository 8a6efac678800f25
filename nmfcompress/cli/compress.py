"""nmfc compress: each picture on its own, from a few parts."""

from __future__ import annotations

from ..settings import Fit, Packing, Reading, Selection, Talk, Writing
from . import options

EXAMPLES = """
\b
Examples:
  nmfc compress photo.png --rank 3
  nmfc compress -r photos -k 30 --write image,csv -O small
  nmfc compress photo.png -k 10 -o - --to png | display
  nmfc compress mnist.npz --one-per-label -k 3 --iterations 50 --inner 1
  nmfc compress mnist.npz -o mnist.nmfc --min-psnr 20
  nmfc compress cube.npy -o cube.nmfc -k 4 --arrangement bands
  nmfc compress photo.png -o photo.nmfc --target-size 20KB
"""


@options.command(
    "compress",
    EXAMPLES,
    options.fit,
    options.coding,
    options.reading_each,
    options.selection,
    options.writing("image", "basis", "compare", "nmfc", "csv", single=True),
    options.talk_each,
)
def command(
    inputs: tuple[str, ...],
    fit: Fit,
    packing: Packing,
    reading: Reading,
    selection: Selection,
    writing: Writing,
    talk: Talk,
) -> int:
    """Factorize each picture by its rows, V ~ W H; or put pictures into one small file.

    For every INPUT (picture, folder with -r, or archive: npz, npy, IDX, mat; - is stdin) the folder gets NAME.nmfc, the
    compressed file; NAME.png, the reconstruction; NAME.basis.png, its parts; NAME.compare.png, original beside
    reconstruction and error; and rows in loss.csv.

    With -o FILE.nmfc there is only that file, and several pictures or an archive become one collection in it. It takes
    one of --rank, --min-psnr and --target-size, of which --rank may go with another as a bound.
    """
    from .compressing import run
    from .packing import pack, packs

    if packs(writing):
        return pack(inputs, fit, packing, reading, selection, writing, talk)
    return run(inputs, fit, packing, reading, selection, writing, talk)
