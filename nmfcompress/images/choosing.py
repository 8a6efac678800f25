"""Which arrays of an archive hold the images: by the names that people use, and by their shapes."""

from __future__ import annotations

import re
from collections.abc import Callable

from ..errors import InputError
from .doors import Entry, printable

# Names are compared in lower case without "_", "-" and the like: x_train, X_train, xTrain and train_x are known.
SPLITS = {"train": ("train", "training", "tr"), "test": ("test", "testing", "te")}
COLLECTIONS = ("images", "imgs", "frames", "faces", "digits")
IMAGES = (*COLLECTIONS, "image", "img", "data", "x", "arr0", "features", "fea", "pixels", "stack", "cube")
LABELS = ("labels", "label", "y", "targets", "target", "classes", "class", "gnd")

LISTED = 312  # letters of what an archive holds, in a message


def choose(entries: list[Entry], key: str | None, split: str | None) -> list[Entry]:
    """The array to read, named `key` or by its name and shape, or two for both splits.

    Raises
    ------
    InputError
        None of them, or too many; the message lists what there is.
    """
    if key is not None:
        return [_named(entries, key)]
    splits = {known: _first(entries, lambda name: split_of(name, IMAGES), known) for known in SPLITS}
    if any(splits.values()):
        wanted = list(SPLITS) if split == "all" else [split or "train"]
        found = [entry for known in wanted if (entry := splits[known])]
        if len(found) == len(wanted) or split == "all":
            return found
        if split is not None:
            raise InputError(f"has no {split} split: {listing(entries)}")
        return [entry for entry in splits.values() if entry]
    if split in ("train", "test"):
        raise InputError(f"tells of no split, --split {split} finds nothing: {listing(entries)}")
    for known in IMAGES:
        if entry := _first(entries, plain, known):
            return [entry]
    if len(entries) == 1:
        return entries
    stacks = sorted((entry for entry in entries if _plausible(entry)), key=lambda entry: entry.nbytes)
    # Of several, planes that outweigh the rest: what lies beside a spectral cube is small, and weights are 2-d or 4-d.
    if len(stacks) == 1 or (
        stacks and len(stacks[-1].shape) == 3 and stacks[-1].nbytes > 10 * sum(s.nbytes for s in stacks[:-1])
    ):
        return stacks[-1:]
    raise InputError(f"which array holds the images? Choose one with --key: {listing(entries)}")


def _named(entries: list[Entry], key: str) -> Entry:
    for entry in entries:
        if key in (entry.name, f"{entry.name}.npy"):
            return entry
    raise InputError(f"has no {printable(key)!r}, it holds {listing(entries)}")


def _first(entries: list[Entry], sense: Callable[[str], str | None], wanted: str) -> Entry | None:
    """The first array of a fitting name; a broken one counts, for another in its place would surprise."""
    return next((e for e in entries if sense(e.name) == wanted and (e.problem or _plausible(e))), None)


def _plausible(entry: Entry) -> bool:
    return entry.problem is None and entry.dtype.kind in "biuf" and 2 <= len(entry.shape) <= 4


def listing(entries: list[Entry]) -> str:
    """What an archive holds, for messages."""
    words = [str(entry) for entry in entries[:12]]
    while len(words) > 1 and len(", ".join(words)) > LISTED:
        words.pop()
    shown, left = ", ".join(words), len(entries) - len(words)
    return f"{shown} and {left:,} more" if left else shown or "nothing"


def plain(name: str) -> str:
    """A name in lower case, letters and figures only."""
    return re.sub(r"[\W_]", "", name.lower())


def split_of(name: str, words: tuple[str, ...]) -> str | None:
    """The split that a name of images (or labels) speaks of: x_train -> "train"."""
    bare = plain(name)
    for split, forms in SPLITS.items():
        if any(bare in (word + form, form + word) for word in words for form in forms):
            return split
    return next((split for split in SPLITS if bare == split and words is IMAGES), None)
