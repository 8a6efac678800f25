"""Which images of a collection are taken."""

from __future__ import annotations

import numpy as np

from ..errors import InputError, UsageError
from ..settings import Selection


def select(selection: Selection, labels: np.ndarray | None, count: int) -> np.ndarray:
    """Positions of the images that `selection` leaves, shape (n,), n >= 1.

    Parameters
    ----------
    labels : array, shape (count,), or None
    count : int
        Images in the collection (its split has been taken already).

    Raises
    ------
    UsageError
        An index beyond the collection.
    InputError
        It has no labels but they are asked for, or nothing is left.
    """
    kept = np.arange(count)
    if selection.index:
        for part in selection.index:
            if part[-1] >= count:
                raise UsageError(f"index {part[-1]:,} is beyond its {count:,} images (0 to {count - 1:,})")
        kept = np.unique(np.concatenate([np.arange(part.start, part.stop) for part in selection.index]))
    if selection.labels or selection.one_per_label:
        if labels is None:
            raise InputError("has no labels, which --label and --one-per-label need")
        if selection.labels:
            distinct, which = np.unique(labels, return_inverse=True)  # a text for each of millions would fill memory
            known = [str(label) for label in distinct]
            missing = [label for label in selection.labels if label not in known]
            if missing:
                raise InputError(f"has no image labelled {missing[0]} (its labels: {_listed(labels)})")
            kept = kept[np.isin(which, [known.index(label) for label in selection.labels])[kept]]
        if selection.one_per_label:
            kept = kept[np.unique(labels[kept], return_index=True)[1]]
    if not len(kept):
        raise InputError("no image is left by the selection")
    return kept[: selection.limit]


def at_least(selection: Selection, count: int) -> int:
    """How many of `count` images a selection leaves, as far as can be said without their labels."""
    if selection.labels or selection.one_per_label or any(part[-1] >= count for part in selection.index):
        return 0
    chosen = max(map(len, selection.index), default=count)
    return chosen if selection.limit is None else min(chosen, selection.limit)


def _listed(labels: np.ndarray) -> str:
    distinct = [str(label) for label in np.unique(labels)]
    return ", ".join(distinct[:12]) + (f" ... {len(distinct)} in all" if len(distinct) > 12 else "")
