"""nmfc decompress: the pictures of .nmfc files."""

from __future__ import annotations

from ..settings import Decoding, Talk, Writing
from . import options

EXAMPLES = """
\b
Examples:
  nmfc decompress photo.nmfc
  nmfc decompress mnist.nmfc --index 5,10-20 -O some
  nmfc decompress mnist.nmfc -o back.npz
  nmfc decompress photo.nmfc -o - --to png | display
  nmfc decompress test.nmfc --basis-from train.nmfc -o test.npz
"""


@options.command("decompress", EXAMPLES, options.decoding, options.restoring, options.talk_each)
def command(inputs: tuple[str, ...], decoding: Decoding, writing: Writing, talk: Talk) -> int:
    """Bring back the pictures of .nmfc files.

    For every INPUT (- is stdin) the folder gets its pictures under the names that they had, in the folders below the
    one that was compressed, the ending .png where theirs is of a kind that loses something; without such names
    NAME.png, or NAME-0.png and so on. Colour profile, EXIF, resolution and alpha come back in them; labels in -o
    FILE.npz, whose arrays are images, labels, indices and names. Nothing is ever written outside the folder, whatever
    names a file carries.
    """
    from .decompressing import run

    return run(inputs, decoding, writing, talk)
