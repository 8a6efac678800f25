"""Named arrays in an npz of our own, such as factors and checkpoints: written whole or not at all, read in doubt."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Mapping

import numpy as np

from ..errors import InputError, about
from .doors import Array, Source, broken, open_npz, printable
from .files import FileId, display, writing
from .limits import Limits
from .sniff import HEAD, describe, identify

TEXT_BYTES = 2**20  # of a text, such as settings: more is none of ours


def write_arrays(
    target: str | os.PathLike[str], arrays: Mapping[str, Array], *, inputs: Collection[FileId] = ()
) -> None:
    """Write arrays to an uncompressed npz, in place of one that may be there; no array is copied as a whole."""
    with writing(target, overwrite=True, inputs=inputs) as stream:
        np.savez(stream, **arrays)  # type: ignore[arg-type]


def read_arrays(path: str, names: Collection[str], limits: Limits, *, what: str) -> dict[str, Array]:
    """Those of `names` that an npz file has: real numbers, and texts of at most a megabyte.

    Parameters
    ----------
    path : str
    names : collection of str
    limits : Limits
        What each array may need.
    what : str
        What the file is expected to be, for messages.

    Raises
    ------
    InputError
        It cannot be read, is no npz, or broken; or one of the arrays is of another kind. The file is named.
    """
    with about(display(path)):
        try:
            if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe without a writer would wait for ever
                raise InputError(f"is no regular file, expected {what}")
            file = open(path, "rb")  # noqa: SIM115
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}") from None
        except ValueError:
            raise InputError("cannot be read: its name holds a null byte") from None
        with file, broken("an npz archive"):
            head = file.read(HEAD)
            if identify(head) != "npz":
                kind = "a picture" if identify(head) == "picture" else describe(head)
                raise InputError(f"is {kind or 'no npz archive'}, expected {what}")
            found = {}
            for entry in open_npz(Source(file, os.fstat(file.fileno()).st_size, path)):
                if entry.name in names:
                    if entry.dtype.kind == "U" and entry.nbytes > TEXT_BYTES:
                        raise InputError(f"{printable(entry.name)} is a text of {entry.nbytes:,} bytes")
                    found[entry.name] = entry.read(limits, kinds="biufU")
            return found
