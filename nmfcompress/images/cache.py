"""Decoded pictures in a temporary file, so that a collection larger than memory is decoded once, not in every sweep.

The file has no name from the start: whatever ends the process, nothing of it is left.
"""

from __future__ import annotations

import errno
import math
import shutil
import tempfile
from typing import Any

import numpy as np

from ..errors import InputError, TooLarge
from .files import display
from .levels import Levels
from .limits import size
from .stored import Array, Extent, StoredFile, StoredImages


class Cache:
    """Room for `shape[0]` images of one shape and type, filled from the first on; to be used in a `with`.

    Parameters
    ----------
    shape : tuple of int
        (n, h, w) or (n, h, w, 3).
    dtype : numpy.dtype
        uint8, uint16, or floats within 0..1.

    Raises
    ------
    TooLarge
        The temporary folder has not the room for it.
    InputError
        There is no such folder, or nothing can be written to it.
    """

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any]):
        self.shape, self.dtype, self.ndim = shape, dtype, len(shape)
        self._image = math.prod(shape[1:]) * dtype.itemsize
        self._count = 0
        try:
            self._folder = tempfile.gettempdir()
            free = shutil.disk_usage(self._folder).free
            if free < shape[0] * self._image:
                raise self._full(free)
            self._file = tempfile.TemporaryFile(buffering=0, prefix="nmfc-")  # noqa: SIM115 - it outlives this call
        except OSError as error:
            raise InputError(f"the pictures need a temporary file: {error.strerror or error} (set TMPDIR)") from error

    def __enter__(self) -> Cache:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, image: Array) -> None:
        """Keep one image more."""
        view = np.ascontiguousarray(image, self.dtype).reshape(-1).view(np.uint8).data
        try:
            while view:
                view = view[self._file.write(view) or 0 :]
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise self._full(shutil.disk_usage(self._folder).free) from error
            needed = size(self.shape[0] * self._image)
            raise InputError(
                f"the temporary file in {display(self._folder)}, of {needed}, cannot be written: {error.strerror}"
            ) from error
        self._count += 1

    def images(self) -> StoredImages:
        """All that were kept; they outlive the cache, for they have a descriptor of their own."""
        levels = Levels(self.dtype.name, 0, 1 if self.dtype.kind == "f" else np.iinfo(self.dtype).max)
        file = StoredFile(None, f"temporary file in {display(self._folder)}", self._file.fileno())
        return StoredImages([Extent(file, 0, self._count)], self.shape[1:], self.dtype, levels)

    def _full(self, free: int) -> TooLarge:
        needed = self.shape[0] * self._image
        return TooLarge(
            f"{self.shape[0]:,} decoded pictures need {size(needed)} in the temporary folder {display(self._folder)}, "
            f"which has {size(free)} free (set TMPDIR to a folder with room, or allow the memory to hold them)"
        )
