"""Bytes out of a file, a piece at a time: whatever it unpacks to, no more is taken than was asked for."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np

from ..errors import InputError

CHUNK = 2**20
PACKED = 2**16  # input of a gzip: small, for it is read again for each of its members
MEMBERS, MEMBER = 10_000, 512  # of a gzip that may be tiny, and bytes that the others hold: writers give each 64 KB


def fill(read: Callable[[int], bytes], nbytes: int) -> np.ndarray[Any, Any]:
    """Up to `nbytes` bytes of a stream, read into one array piece by piece."""
    flat = np.empty(nbytes, np.uint8)
    done = 0
    while done < nbytes and (piece := read(min(CHUNK, nbytes - done))):
        flat[done : done + len(piece)] = np.frombuffer(piece, np.uint8)
        done += len(piece)
    return flat[:done]


class Gunzip:
    """The unpacked bytes of a gzip, counted: unlike gzip.open, it hands out all of a stream that breaks off."""

    def __init__(self, file: BinaryIO):
        file.seek(0)
        self._file = file
        self._inflate = zlib.decompressobj(wbits=31)
        self._members = 1
        self.count = 0  # bytes handed out
        self.cut = False  # True when the file ended before the stream did

    def read(self, nbytes: int) -> bytes:
        """The next `nbytes` bytes, fewer at the end."""
        pieces: list[bytes] = []
        while nbytes > 0:
            if self._inflate.eof and not self._next_member():
                break
            packed = self._inflate.unconsumed_tail or self._file.read(PACKED)
            piece = self._inflate.decompress(packed, nbytes)
            if not piece and not packed and not self._inflate.eof:
                self.cut = True
                break
            pieces.append(piece)
            nbytes -= len(piece)
            self.count += len(piece)
        return b"".join(pieces)

    def _next_member(self) -> bool:
        """Go on to the gzip behind this one, if there is one (zeros are padding)."""
        packed = self._inflate.unused_data
        while not (packed := packed.lstrip(b"\0")):
            if not (packed := self._file.read(PACKED)):
                return False
        self._members += 1
        if self._members > MEMBERS + self.count // MEMBER:
            raise InputError(f"is a gzip of over {self._members - 1:,} members with hardly a byte in each")
        self._file.seek(-len(packed), io.SEEK_CUR)  # to be read again, by the new stream
        self._inflate = zlib.decompressobj(wbits=31)
        return True
