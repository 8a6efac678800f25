"""What is said of a `.nmfc` file in the making: what it cannot keep of its pictures, and why a target is missed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..codec.header import TYPES, Meta
from ..images.archives import Stack
from ..images.files import display
from ..images.picture import Picture
from ..settings import Coding
from .inputs import STDIN, Source

HEAVY = 0.25  # of the size asked for: what is beside the pictures and takes so much of it is named
BESIDE = {"alpha": "alpha", "icc": "ICC profile", "exif": "EXIF"}


def own_names(content: Picture | Stack, found: Sequence[Source], file: str, inputs: Sequence[str]) -> tuple[str, ...]:
    """The names that the pictures had, below the folder that was walked; none of arrays.

    A picture that is itself the input has none either where the name of its file tells it: photo.png in photo.nmfc.
    """
    own = {display(s.path): os.path.join(s.folder, s.name).replace(os.sep, "/") for s in found if s.path != STDIN}
    if isinstance(content, Stack):
        return tuple(own.get(one, os.path.basename(one)) for one in content.files)
    names = tuple(own.values()) if content.mode else ()
    told = names == (os.path.splitext(os.path.basename(file))[0] + ".png",)
    return () if told and found[0].path in inputs else names


def of_type(stored: str, dtype: np.dtype) -> list[str]:
    """A note where values come back in another type than they had: `stored` is that of the input."""
    if stored in (dtype.name, ""):
        return []
    values = ", 0 and 255" if stored == "bool" else ""
    return [f"{stored} values come back as {dtype.name}{values} (a .nmfc file holds {', '.join(TYPES)})"]


def weight(meta: Meta, size: int | None) -> str:
    """What beside the pixels takes much of a size that is asked for, in words; nothing where it is little."""
    taken = len(meta.pack()) - len(replace(meta, alpha=None, icc=None, exif=None).pack())
    kept = [word for field, word in BESIDE.items() if getattr(meta, field) is not None]
    if size is None or taken < HEAVY * size or not kept:
        return ""
    return f"{', '.join(kept)}, kept without loss, {'takes' if len(kept) == 1 else 'take'} {taken:,} bytes"


def in_grey(shape: Sequence[int], dtype: np.dtype, coding: Coding) -> str:
    """What would reach a quality that colour does not; nothing where that is not the reason."""
    colour = len(shape) == 4 and shape[3] == 3 and dtype == np.uint8
    by_patches = coding.arrangement == "patches" or (coding.arrangement is None and shape[0] == 1)
    if coding.min_psnr is None or coding.rank is not None or not colour or not by_patches:
        return ""
    return "patches keep colour at half the size: --gray would reach it"
