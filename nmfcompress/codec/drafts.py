"""What every recipe hands back: a whole file, and what its pictures look like."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from ..metrics import psnr_of_mse
from .container import pack
from .header import Header, Meta

OnStage = Callable[[str, float], None]


def silent(stage: str, done: float) -> None:
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
    """

    data: bytes
    mode: str
    rank: int
    psnr_db: float | None
    sections: dict[str, int] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return len(self.data)


def coded(mode: str, header: Header, meta: Meta, sections: Mapping[str, bytes], rank: int, mse: float) -> Coded:
    """The file of these sections; `mse` is in squares of the pixels' own values."""
    meta.check(header)
    whole = {"head": header.pack(), **sections, "meta": meta.pack()}
    sizes = {name: len(data) for name, data in whole.items() if data}
    return Coded(pack(mode, whole), mode, rank, psnr_of_mse(mse, header.dtype), sizes)


def mse_of(shown: np.ndarray, pixels: np.ndarray) -> float:
    """Mean squared error of pictures of one shape."""
    return float(np.square(np.subtract(shown, pixels, dtype=np.float64)).mean())
