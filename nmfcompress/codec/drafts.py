"""What every recipe hands back: a whole file, and what its pictures look like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from ..metrics import psnr_of_mse
from .container import pack
from .header import Header, Meta


class OnStage(Protocol):
    """Is told how coding goes on."""

    def __call__(self, stage: str, done: float, size: float | None = None, psnr_db: float | None = None) -> None:
        """How much of a stage is done, 0 to 1; where they are known, the bytes of a picture and dB so far."""


def silent(stage: str, done: float, size: float | None = None, psnr_db: float | None = None) -> None:
    """Nobody is told."""


@dataclass(frozen=True, eq=False)
class Coded:
    """A `.nmfc` file.

    Parameters
    ----------
    data : bytes
    mode : str
        Its arrangement.
    rank : int
        Parts that it has.
    psnr_db : float or None
        Of the pictures as they are decoded; None when they are exact.
    sections : dict of str to int
        Bytes of each.
    notes : tuple of str
        What was asked for and could not be.
    """

    data: bytes
    mode: str
    rank: int
    psnr_db: float | None
    sections: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return len(self.data)


def coded(
    mode: str, header: Header, meta: Meta, sections: Mapping[str, bytes], rank: int, mse: float,
    notes: tuple[str, ...] = (),
) -> Coded:  # fmt: skip
    """The file of these sections; `mse` is in squares of the pixels' own values."""
    meta.check(header)
    whole = {"head": header.pack(), **sections, "meta": meta.pack()}
    sizes = {name: len(data) for name, data in whole.items() if data}
    return Coded(pack(mode, whole), mode, rank, psnr_of_mse(mse, header.dtype), sizes, notes)


def beyond(rank: int | None, arrangement: str, most: int) -> tuple[str, ...]:
    """The note that a rank is more than there can be."""
    return (f"rank is {rank:,} ({arrangement} has at most {most:,} here)",) if (rank or 0) > most else ()


def mse_of(shown: np.ndarray, pixels: np.ndarray) -> float:
    """Mean squared error of pictures of one shape."""
    errors = np.subtract(shown, pixels, dtype=np.float64)
    return float(np.square(errors, out=errors).mean())
