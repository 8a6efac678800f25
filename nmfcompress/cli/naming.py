"""File names for the pictures of a container, which may carry any names at all."""

from __future__ import annotations

import os
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from ..codec.opened import Opened
from ..images.files import BIDI, fit_name
from ..images.saving import KINDS
from ..images.stacks import ENDINGS

LOSSLESS = ("png", "tif", "tiff", "bmp", "webp", "jp2", "pgm", "ppm", "pnm")
FOLDED = sys.platform in ("win32", "darwin")  # file systems to which a.png and A.png are one
DEEPEST, LONGEST = 8, 100  # folders within each other, and bytes of the name of one, that a stored name may have


def names_of(file: Opened, stem: str, kind: str | None = None) -> list[str]:
    """A file name for each of its pictures, each another, whatever names the file carries.

    One that was in a folder is so again, with / between them, if the names of its folders are plain all through; none
    leads anywhere else.

    Parameters
    ----------
    file : Opened
    stem : str
        For pictures whose names say nothing.
    kind : str, optional
        Of all; by default that of the stored name, where it keeps the picture as it is, else png.
    """
    n = file.header.shape[0]
    numbers = [f"-{place:0{len(str(n - 1))}}" if n > 1 else "" for place in range(n)]
    if not file.meta.names:
        return [fit_name(stem + number, f".{kind or 'png'}") for number in numbers]
    kept = [one for one in LOSSLESS if _holds(one, file)]
    wished = [_split(clean(name), kind, kept) for name in file.meta.names]
    below = [folder_of(name) if own else "" for name, (own, _) in zip(file.meta.names, wished, strict=True)]
    names = _apart(wished, below, numbers, stem)
    folders = {_key(folder[:end]) for folder in set(below) for end in _ends(folder)}
    if any(_key(name) in folders for name in names):  # what is a file cannot be a folder too
        names = _apart(wished, [""] * n, numbers, stem)
    return names


def _apart(
    wished: Sequence[tuple[str, str]], below: Sequence[str], numbers: Sequence[str], stem: str
) -> list[str]:  # fmt: skip
    """Names in their folders, with numbers where two would be the same or one is none."""

    def path(own: str, ending: str, folder: str) -> str:
        return folder + fit_name(own, ending)

    whole = list(zip(wished, below, strict=True))
    how_often = Counter(_key(path(*one, folder)) for one, folder in whole if one[0])
    taken = {key for key, times in how_often.items() if times == 1}
    names = []
    for ((own, ending), folder), number in zip(whole, numbers, strict=True):
        name = path(own, ending, folder)
        if not own or how_often[_key(name)] > 1:
            own = (own or stem) + number
            while _key(name := path(own, ending, folder)) in taken:
                own += number
            taken.add(_key(name))
        names.append(name)
    return names


def folder_of(name: str) -> str:
    """The folders of a stored name, with / behind each; nothing where one is not plain, or they are too many."""
    folders = name.rstrip("/\\").split("/")[:-1]
    plain = all(one and one == clean(one) and len(os.fsencode(one)) <= LONGEST for one in folders)
    return "".join(f"{one}/" for one in folders) if plain and len(folders) <= DEEPEST else ""


def _ends(folder: str) -> Iterator[int]:
    """Where each folder of `a/b/` ends."""
    return (place for place, letter in enumerate(folder) if letter == "/")


def renamed(stored: Sequence[str], names: Sequence[str], places: Iterable[int]) -> Iterator[str]:
    """Which pictures get another name than the stored one, in words."""
    for place in places:
        if names[place] != stored[place]:
            yield f"{stored[place]} becomes {names[place]}"


def clean(name: str) -> str:
    """The last component of a stored name, without what a shell, a terminal or a file system obeys; may be empty."""
    last = re.split(r"[/\\]", name.rstrip("/\\"))[-1]
    forbidden = '<>:"|?*' if sys.platform == "win32" else ""
    plain = "".join("_" if _obeyed(char) or char in forbidden else char for char in last)
    return plain.strip(". \t").lstrip(".-~ ")


def _obeyed(char: str) -> bool:
    surrogate = "\udc80" <= char <= "\udcff"  # a byte that is not UTF-8: file names have such
    return char in BIDI or (unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") and not surrogate)


def _split(name: str, kind: str | None, kept: Sequence[str]) -> tuple[str, str]:
    """A name without its ending, and the ending that it gets."""
    stem, ending = os.path.splitext(name)
    if ending.lower() not in ENDINGS and ending[1:].lower() not in KINDS:
        stem, ending = name, ""
    if kind is None and ending[1:].lower() in kept:
        return stem, ending
    return stem, f".{kind or 'png'}"


def _holds(kind: str, file: Opened) -> bool:
    """Whether a kind holds pictures like these without loss."""
    header, modes = file.header, KINDS[kind].modes
    channels = header.shape[3] if len(header.shape) == 4 else 1
    if header.dtype != np.uint8 and channels == 1:
        return "I;16" in modes
    alpha = channels in (2, 4) or file.meta.alpha is not None
    grey = "L" + "A" * alpha in modes and channels < 3
    return grey or "RGB" + "A" * alpha in modes


def _key(name: str) -> str:
    return name.casefold() if FOLDED else name
