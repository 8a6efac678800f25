"""The sample images: computed, so that they are ours to ship, and the same bytes on every run.

- ``photo.png``, 480 x 320 RGB: a mountain lake in the evening, a height field seen in perspective;
- ``grey.png``, 320 x 240 grey: a house front behind a tree, a relief in slanting light;
- ``digits.npz``, in MNIST's layout: 1,800 + 200 digits of 28 x 28, drawn with a pen that wobbles;
- ``swimmer.npz``: the 256 stick figures of Donoho and Stodden, whose parts are known.

The folder samples/ of the repository has what they are; `nmfc demo` makes them anew. Pictures are computed in float64
at twice their size and averaged down.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping

import numpy as np


def files() -> Iterator[tuple[str, bytes]]:
    """The name and the bytes of each, one after the other: three seconds in all."""
    from .digits import digits
    from .front import grey
    from .photo import photo
    from .swimmer import swimmer

    yield "photo.png", _png(photo(np.random.default_rng(11)))
    yield "grey.png", _png(grey(np.random.default_rng(2)))
    yield "digits.npz", _npz(digits(np.random.default_rng(28)))
    yield "swimmer.npz", _npz(swimmer())


def _png(pixels: np.ndarray) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", optimize=True)
    return stream.getvalue()


def _npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    """A compressed npz whose bytes do not tell the time."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, array, allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            archive.writestr(entry, buffer.getvalue(), zipfile.ZIP_DEFLATED, 9)
    return stream.getvalue()
