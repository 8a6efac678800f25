"""A large array in several files below one folder, each written by whoever has its rows."""

from __future__ import annotations

import glob
import os
from dataclasses import dataclass

import numpy as np

from ..errors import OutputError
from .files import display, make_folder, writing


@dataclass(frozen=True)
class Shards:
    """Where the shards of an array are.

    Parameters
    ----------
    folder : str
        Which every process sees by this path.
    """

    folder: str

    def path(self, i: int) -> str:
        """Of the i-th, from 0."""
        return os.path.join(self.folder, f"W-{i:05}.npy")

    def check(self, overwrite: bool) -> None:
        """Raise OutputError when there are some already that may not be overwritten."""
        older = sorted(glob.glob(os.path.join(glob.escape(self.folder), "W-*.npy")))
        if older and not overwrite:
            raise OutputError("exists (pass -f to overwrite it)", display(older[0]))


def write_shard(path: str, array: np.ndarray) -> None:
    """One of them, whole or not at all; a worker that took over from a lost one may find its file, and replaces it."""
    make_folder(os.path.dirname(path))
    with writing(path) as stream:
        np.lib.format.write_array(stream, np.ascontiguousarray(array), allow_pickle=False)
